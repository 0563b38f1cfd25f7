//! Requirements files, as pip reads them: one requirement (PEP 508) a line, with comments, continuation lines, hashes
//! and options.
//!
//! What is understood but not acted upon (included files, editable installs, URLs, paths) is reported as such, so that
//! the caller can say so to the user. Environment variables are never substituted.

use std::str::FromStr;

use super::name;

/// A requirement such as `requests[security]>=2.8; python_version > "3.8"`.
pub type Requirement = pep508_rs::Requirement<url::Url>;

/// One item of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Line on which it begins, from 1.
    pub line: usize,
    /// What it is.
    pub kind: Kind,
}

/// What an item of a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A requirement to be met from the index.
    Requirement {
        /// The requirement.
        requirement: Requirement,
        /// Digests of which a file must match one; none when the file gives none.
        hashes: Vec<Hash>,
    },
    /// An option for the whole file, such as `--index-url`.
    Option {
        /// Long name with the dashes.
        name: &'static str,
        /// Its value; empty for switches.
        value: String,
    },
    /// Something that can only be acted upon with files or a network that a simulator has not.
    Unsupported {
        /// What it is.
        what: Unsupported,
        /// The line as written.
        text: String,
    },
}

/// A digest that a requirement pins a file to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Hash {
    /// `sha256`, `sha384` or `sha512`.
    pub algorithm: String,
    /// Lower-case hex.
    pub digest: String,
}

/// What kinds of line are reported as unsupported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsupported {
    /// `-r FILE`
    Include,
    /// `-c FILE`
    Constraint,
    /// `-e …`
    Editable,
    /// `name @ URL`, or a URL alone.
    Url,
    /// A path to a file or directory.
    Path,
}

impl std::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Include => "an included requirements file",
            Self::Constraint => "a constraints file",
            Self::Editable => "an editable install",
            Self::Url => "a requirement by URL",
            Self::Path => "a requirement by path",
        })
    }
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Larger than 4 MiB.
    #[error("the requirements file is larger than {0} bytes")]
    TooLarge(usize),
    /// More than 20,000 items.
    #[error("the requirements file has more than {0} items")]
    TooMany(usize),
    /// Neither UTF-8 nor UTF-16 with a byte order mark.
    #[error("the requirements file is not UTF-8")]
    Encoding,
    /// A line that cannot be understood.
    #[error("line {line}: `{text}` is not a valid requirement: {reason}")]
    Invalid {
        /// Line on which it begins, from 1.
        line: usize,
        /// The line, cut.
        text: String,
        /// What is wrong.
        reason: String,
    },
}

const LARGEST: usize = 4 << 20;
const MOST_ITEMS: usize = 20_000;
/// A requirement without its hashes.
const LONGEST_REQUIREMENT: usize = 4096;
/// The marker parser recurses, and its decision diagrams grow with each comparison, doubling with each of an extra or of
/// a part of a string in the worst case. Markers that tools write stay far below.
const DEEPEST_MARKER: usize = 32;
const MOST_COMPARISONS: usize = 48;
const MOST_FLAGS: usize = 12;

/// Options with a value, by their names.
const OPTIONS: [(&str, &str); 12] = [
    ("--index-url", "--index-url"),
    ("-i", "--index-url"),
    ("--pypi-url", "--index-url"),
    ("--extra-index-url", "--extra-index-url"),
    ("--find-links", "--find-links"),
    ("-f", "--find-links"),
    ("--no-binary", "--no-binary"),
    ("--only-binary", "--only-binary"),
    ("--trusted-host", "--trusted-host"),
    ("--use-feature", "--use-feature"),
    ("--config-settings", "--config-settings"),
    ("-C", "--config-settings"),
];

/// Options without a value.
const SWITCHES: [&str; 4] = ["--no-index", "--pre", "--prefer-binary", "--require-hashes"];

/// Options that name something to install or to read.
const REFERENCES: [(&str, Unsupported); 6] = [
    ("--requirement", Unsupported::Include),
    ("-r", Unsupported::Include),
    ("--constraint", Unsupported::Constraint),
    ("-c", Unsupported::Constraint),
    ("--editable", Unsupported::Editable),
    ("-e", Unsupported::Editable),
];

/// Reads a requirements file.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn parse(bytes: &[u8]) -> Result<Vec<Item>, Error> {
    if bytes.len() > LARGEST {
        return Err(Error::TooLarge(LARGEST));
    }
    let text = decode(bytes)?;
    let mut items = Vec::new();
    for (line, text) in logical_lines(&text) {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        if items.len() == MOST_ITEMS {
            return Err(Error::TooMany(MOST_ITEMS));
        }
        let invalid = |reason: String| Error::Invalid { line, text: text.chars().take(120).collect(), reason };
        items.push(Item { line, kind: item(text).map_err(invalid)? });
    }
    Ok(items)
}

/// Decodes UTF-8, or UTF-16 where a byte order mark says so: PowerShell writes that when it redirects `pip freeze`.
fn decode(bytes: &[u8]) -> Result<String, Error> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (units, rest) = bytes.as_chunks::<2>();
        let units: Vec<u16> = units.iter().map(|pair| unit(*pair)).collect();
        String::from_utf16(&units).ok().filter(|_| rest.is_empty())
    };
    let text = match bytes {
        [0xff, 0xfe, text @ ..] => wide(text, u16::from_le_bytes),
        [0xfe, 0xff, text @ ..] => wide(text, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, text @ ..] | text => std::str::from_utf8(text).ok().map(str::to_owned),
    };
    text.ok_or(Error::Encoding)
}

/// Joins continued lines and cuts comments, as pip does: a comment begins at the start or after a blank, and a comment
/// line ends a continuation.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let is_comment = line.trim_start().starts_with('#');
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        match line.strip_suffix('\\') {
            Some(start) if !is_comment => {
                joined.push_str(start);
                open = Some((number, joined));
            }
            _ => {
                if !is_comment {
                    joined.push_str(line);
                }
                lines.push((number, joined));
            }
        }
    }
    lines.extend(open);
    for (_, line) in &mut lines {
        let comment =
            line.match_indices('#').map(|(at, _)| at).find(|at| line[..*at].ends_with([' ', '\t']) || *at == 0);
        line.truncate(comment.unwrap_or(line.len()));
    }
    lines
}

fn item(text: &str) -> Result<Kind, String> {
    let unsupported = |what| Ok(Kind::Unsupported { what, text: text.to_owned() });
    if text.starts_with('-') {
        for (name, what) in REFERENCES {
            if option_value(text, name).is_some() {
                return unsupported(what);
            }
        }
        for (name, long) in OPTIONS {
            if let Some(value) = option_value(text, name) {
                return Ok(Kind::Option { name: long, value: value.to_owned() });
            }
        }
        return match SWITCHES.into_iter().find(|name| text == *name) {
            Some(name) => Ok(Kind::Option { name, value: String::new() }),
            None => Err("the option is not known".to_owned()),
        };
    }
    let (text, hashes) = split_hashes(text)?;
    let head = text.split([';', '[', '<', '>', '=', '!', '~', ' ', '@']).next().unwrap_or(text);
    if head.contains("://") || head.contains("+") && text.contains("://") {
        return unsupported(Unsupported::Url);
    }
    if head.starts_with('.') || head.contains('/') || is_archive_name(text) {
        return unsupported(Unsupported::Path);
    }
    let requirement = parse_requirement(text)?;
    if matches!(requirement.version_or_url, Some(pep508_rs::VersionOrUrl::Url(_))) {
        return unsupported(Unsupported::Url);
    }
    Ok(Kind::Requirement { requirement, hashes })
}

/// Reads one requirement (PEP 508), as `Requires-Dist` and command lines hold it.
///
/// # Errors
/// What is wrong with it.
pub fn parse_requirement(text: &str) -> Result<Requirement, String> {
    if text.len() > LONGEST_REQUIREMENT {
        return Err(format!("longer than {LONGEST_REQUIREMENT} bytes"));
    }
    check_names(text)?;
    check_marker(text)?;
    Requirement::from_str(text).map_err(|error| match error.message {
        pep508_rs::Pep508ErrorSource::String(reason) => reason,
        other => other.to_string(),
    })
}

/// Refuses markers that would take the parser's time and memory, and those that it stumbles over: it takes the characters
/// of a word between comparisons for bytes, so only literals may hold others than ASCII.
fn check_marker(text: &str) -> Result<(), String> {
    let literal_before_marker = text.split(';').next().is_some_and(|head| head.contains(['"', '\'']));
    if literal_before_marker && !text.is_ascii() {
        return Err("a quote before the marker; write %22 or %27 in a URL".to_owned());
    }
    let (mut parentheses, mut literals, mut words) = (0, 0, vec![String::new()]);
    let mut open = None;
    for char in text.chars() {
        match (open, char) {
            (Some(quote), _) => open = open.filter(|_| char != quote),
            (None, '"' | '\'') => {
                literals += 1;
                open = Some(char);
                words.push(String::new());
            }
            (None, _) if !char.is_ascii() => return Err(format!("{char:?} is not allowed outside of quotes")),
            (None, _) if char.is_ascii_alphanumeric() => words.last_mut().expect("never empty").push(char),
            (None, _) => {
                parentheses += usize::from(char == '(');
                words.push(String::new());
            }
        }
    }
    let flags = words.iter().filter(|word| matches!(word.as_str(), "extra" | "in")).count();
    match () {
        () if parentheses > DEEPEST_MARKER => Err("too many parentheses".to_owned()),
        () if literals > MOST_COMPARISONS || flags > MOST_FLAGS => {
            Err("the marker has too many comparisons".to_owned())
        }
        () => Ok(()),
    }
}

/// Checks the name and the extras before the parser sees them: it panics at some names that end in a separator.
fn check_names(text: &str) -> Result<(), String> {
    let is_part = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
    let (name, rest) = text.split_at(text.find(|char| !is_part(char)).unwrap_or(text.len()));
    if !name::is_valid(name) {
        return Err(format!("`{name}` is not a project name"));
    }
    // Without a closing bracket the parser reads names up to the end.
    let extras = rest.trim_start().strip_prefix('[').and_then(|rest| rest.split(']').next()).unwrap_or("");
    match extras.split(',').map(str::trim).find(|extra| !extra.is_empty() && !name::is_valid(extra)) {
        Some(extra) => Err(format!("`{extra}` is not the name of an extra")),
        None => Ok(()),
    }
}

/// The value of an option, written as `--name value`, `--name=value`, `-n value` or `-nvalue`.
fn option_value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let rest = text.strip_prefix(name)?;
    match rest.strip_prefix([' ', '\t', '=']) {
        Some(value) => Some(value.trim()),
        None if !name.starts_with("--") && !rest.is_empty() => Some(rest),
        None => None,
    }
}

fn is_archive_name(text: &str) -> bool {
    let ends = [".whl", ".tar.gz", ".zip", ".tar.bz2", ".tgz"];
    !text.contains('@') && ends.iter().any(|end| text.ends_with(end))
}

/// Cuts the `--hash` options (and other options of one requirement) from its end.
fn split_hashes(text: &str) -> Result<(&str, Vec<Hash>), String> {
    let options_at = [" --", "\t--"].into_iter().filter_map(|start| text.find(start)).min();
    let Some(at) = options_at else { return Ok((text, Vec::new())) };
    let mut hashes = Vec::new();
    let mut words = text[at..].split_whitespace();
    while let Some(word) = words.next() {
        let Some(rest) = word.strip_prefix("--hash") else {
            return Err(format!("the option `{word}` is not supported here; only `--hash` is"));
        };
        let value = match rest.strip_prefix('=') {
            Some(value) => value,
            None => words.next().unwrap_or(""),
        };
        hashes.push(hash(value).ok_or_else(|| format!("`{value}` is not a hash such as `sha256:0123…`"))?);
    }
    Ok((text[..at].trim_end(), hashes))
}

fn hash(value: &str) -> Option<Hash> {
    let (algorithm, digest) = value.split_once(':')?;
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return None,
    };
    let is_digest = digest.len() == length && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| Hash { algorithm: algorithm.to_owned(), digest: digest.to_ascii_lowercase() })
}
