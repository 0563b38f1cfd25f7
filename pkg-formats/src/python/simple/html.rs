use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{CoreMetadata, Error, File, ProjectPage, RootPage, check_size, check_version};
use crate::python::name::normalize;

impl ProjectPage {
    /// The HTML form.
    pub fn to_html(&self) -> String {
        let mut out = head(&format!("Links for {}", self.name));
        for file in &self.files {
            write_anchor(&mut out, file).expect("writing to a string cannot fail");
        }
        out.push_str(FOOT);
        out
    }

    /// Reads the HTML form of the page of `project`, as far as HTML tells: URLs stay as they are written.
    ///
    /// Anchors are found as installers find them; anything else on the page is ignored.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn from_html(project: &str, bytes: &[u8]) -> Result<Self, Error> {
        let anchors = anchors(bytes)?;
        let files = anchors.into_iter().filter_map(|anchor| file(&anchor)).collect();
        Ok(Self { name: normalize(project), files, ..Self::default() })
    }
}

impl RootPage {
    /// The HTML form; every project's link is `{normal form}/`.
    pub fn to_html(&self) -> String {
        let mut out = head("Simple index");
        out.reserve(self.projects.iter().map(|name| name.len() * 2 + 32).sum());
        for name in &self.projects {
            writeln!(out, "<a href=\"{}/\">{}</a><br/>", escape(&normalize(name)), escape(name))
                .expect("writing to a string cannot fail");
        }
        out.push_str(FOOT);
        out
    }

    /// Reads the HTML form.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn from_html(bytes: &[u8]) -> Result<Self, Error> {
        let projects = anchors(bytes)?.into_iter().map(|anchor| anchor.text).filter(|name| !name.is_empty()).collect();
        Ok(Self { projects, last_serial: None })
    }
}

const FOOT: &str = "</body>\n</html>\n";

fn head(title: &str) -> String {
    let title = escape(title);
    format!(
        "<!DOCTYPE html>\n<html>\n<head>\n<meta name=\"pypi:repository-version\" content=\"1.0\">\n\
         <title>{title}</title>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

fn write_anchor(out: &mut String, file: &File) -> std::fmt::Result {
    write!(out, "<a href=\"{}", escape(&file.url))?;
    // Only one digest fits into a fragment.
    let best = file.hashes.get_key_value("sha256").or_else(|| file.hashes.iter().next_back());
    if let Some((algorithm, digest)) = best {
        write!(out, "#{}={}", escape(algorithm), escape(digest))?;
    }
    out.push('"');
    if let Some(specifiers) = &file.requires_python {
        write!(out, " data-requires-python=\"{}\"", escape(specifiers))?;
    }
    let metadata = match &file.core_metadata {
        CoreMetadata::Absent => None,
        CoreMetadata::Available => Some("true".to_owned()),
        CoreMetadata::Hashed(hashes) => Some(match hashes.get_key_value("sha256").or_else(|| hashes.iter().next()) {
            Some((algorithm, digest)) => format!("{algorithm}={digest}"),
            None => "true".to_owned(),
        }),
    };
    if let Some(metadata) = metadata {
        let metadata = escape(&metadata);
        write!(out, " data-dist-info-metadata=\"{metadata}\" data-core-metadata=\"{metadata}\"")?;
    }
    if let Some(reason) = &file.yanked {
        write!(out, " data-yanked=\"{}\"", escape(reason))?;
    }
    writeln!(out, ">{}</a><br/>", escape(&file.filename))
}

fn escape(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>', '"', '\'']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}

fn file(anchor: &Anchor) -> Option<File> {
    let href = anchor.attributes.get("href")?;
    let (url, fragment) = href.split_once('#').unwrap_or((href, ""));
    let path = url.split('?').next().unwrap_or(url);
    let filename = path.rsplit('/').next().filter(|name| !name.is_empty())?;
    // The text is the decoded name; the URL may hold it percent-encoded.
    let filename = if anchor.text.is_empty() { filename } else { &anchor.text };
    let digests = |text: &str| -> BTreeMap<String, String> {
        let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
        pairs.map(|(algorithm, digest)| (algorithm.to_owned(), digest.to_owned())).collect()
    };
    let get = |name: &str| anchor.attributes.get(name);
    let metadata = get("data-core-metadata").or_else(|| get("data-dist-info-metadata"));
    Some(File {
        filename: filename.to_owned(),
        url: url.to_owned(),
        hashes: digests(fragment),
        requires_python: get("data-requires-python").cloned(),
        yanked: get("data-yanked").cloned(),
        core_metadata: match metadata.map(String::as_str) {
            None | Some("false") => CoreMetadata::Absent,
            Some(text) if text.contains('=') => CoreMetadata::Hashed(digests(text)),
            Some(_) => CoreMetadata::Available,
        },
        ..File::default()
    })
}

struct Anchor {
    /// By lower-case name, entities decoded.
    attributes: BTreeMap<String, String>,
    text: String,
}

/// Finds the anchors of a page, after checking the version that it declares.
fn anchors(bytes: &[u8]) -> Result<Vec<Anchor>, Error> {
    check_size(bytes)?;
    let mut rest = std::str::from_utf8(bytes).map_err(|_| Error::Encoding)?;
    let mut anchors = Vec::new();
    while let Some((_, after)) = rest.split_once('<') {
        rest = after;
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.split_once("-->").map_or("", |(_, after)| after);
            continue;
        }
        let name = &rest[..rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len())];
        let is_anchor = name.eq_ignore_ascii_case("a");
        if !is_anchor && !name.eq_ignore_ascii_case("meta") {
            continue;
        }
        let attributes;
        (attributes, rest) = tag_attributes(&rest[name.len()..]);
        if is_anchor {
            let end = rest.find('<').unwrap_or(rest.len());
            let text = decode(rest[..end].trim()).into_owned();
            rest = &rest[end..];
            anchors.push(Anchor { attributes, text });
        } else if attributes.get("name").is_some_and(|name| name == "pypi:repository-version")
            && let Some(version) = attributes.get("content")
        {
            check_version(version)?;
        }
    }
    Ok(anchors)
}

/// Reads attributes up to the end of a tag, and gives what follows it.
fn tag_attributes(mut rest: &str) -> (BTreeMap<String, String>, &str) {
    let mut attributes = BTreeMap::new();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '/');
        if rest.is_empty() {
            return (attributes, rest);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (attributes, after);
        }
        let ends_name = |c: char| c.is_ascii_whitespace() || matches!(c, '=' | '>' | '/');
        // A name has at least one character, even if that is a stray `=`.
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let end = rest[first..].find(ends_name).map_or(rest.len(), |at| at + first);
        let name = rest[..end].to_ascii_lowercase();
        rest = rest[end..].trim_start();
        let mut value = "";
        if let Some(after) = rest.strip_prefix('=') {
            rest = after.trim_start();
            (value, rest) = match rest.chars().next() {
                Some(quote @ ('"' | '\'')) => rest[1..].split_once(quote).unwrap_or((&rest[1..], "")),
                _ => rest.split_at(rest.find(|c: char| c.is_ascii_whitespace() || c == '>').unwrap_or(rest.len())),
            };
        }
        // The first of two attributes with one name counts.
        attributes.entry(name).or_insert_with(|| decode(value).into_owned());
    }
}

/// A character reference such as `#x1F4E6;`, with leading zeros to spare.
const LONGEST_REFERENCE: usize = 16;

/// Decodes the character references that index pages use.
fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        let known = after.bytes().take(LONGEST_REFERENCE).position(|byte| byte == b';');
        let known = known.and_then(|end| Some((reference(&after[..end])?, &after[end + 1..])));
        match known {
            Some((char, after)) => {
                out.push(char);
                rest = after;
            }
            None => {
                out.push('&');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let number = name.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}
