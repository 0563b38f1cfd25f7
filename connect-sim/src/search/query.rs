//! The query language of the content search.
//!
//! Terms are separated by blanks and all have to match; quotes hold a term with blanks together, and a value with commas. A
//! term that is quoted as a whole is a text, whatever it holds. `key:a,b` matches either value, a leading `-` turns a term around, `is:locked` and `not:locked` stand for `locked:true` and
//! `locked:false`. A value that makes no sense is left out, with a warning.

use std::str::FromStr as _;

use pep440_rs::{Version, VersionSpecifiers};

use crate::content_type::ContentType;

/// A query, read.
#[derive(Debug, Default)]
pub struct Query {
    /// What has to match.
    pub terms: Vec<Term>,
    /// What was left out.
    pub warnings: Vec<String>,
}

/// Something that has to match, or must not.
#[derive(Debug)]
pub struct Term {
    /// Must not.
    pub negated: bool,
    /// One of these is enough.
    pub any: Vec<Filter>,
}

/// One condition.
#[derive(Debug)]
pub enum Filter {
    /// In name, title or description; folded by [`fold`].
    Text(String),
    /// By username, lower case; `@me` is the caller.
    Owner(String),
    /// By app mode or content category.
    Type(String),
    /// By the names from the category down.
    Tag(Vec<String>),
    /// A property that is there or not.
    Is(Property, bool),
    /// By the version of Python.
    Python(VersionSpecifiers),
    /// By the version of R.
    R(VersionSpecifiers),
    /// By a package, of these versions; names of Python are the same as PEP 503 says.
    Package(String, VersionSpecifiers),
    /// By the image it runs in.
    Image(String),
}

/// What an item is or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names are the language's
pub enum Property {
    Published,
    Locked,
    Bookmarked,
    Scheduled,
}

impl Property {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "published" => Self::Published,
            "locked" => Self::Locked,
            "bookmarked" => Self::Bookmarked,
            "scheduled" => Self::Scheduled,
            _ => return None,
        })
    }
}

/// The most conditions of a query.
const MOST: usize = 100;

/// A text without case, its separators all blanks.
#[must_use]
pub fn fold(text: &str) -> String {
    let separator = |c: char| c.is_whitespace() || matches!(c, '-' | '_' | '.' | '/');
    text.to_lowercase().split(separator).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// A version of R or one of its packages as one of Python: `1.2-3` is `1.2.3`.
#[must_use]
pub fn version(text: &str) -> Option<Version> {
    Version::from_str(&text.replace('-', ".")).ok()
}

/// `3.11` is any 3.11; with operators it is what PEP 440 says.
fn versions(text: &str) -> Option<VersionSpecifiers> {
    let bare = text.starts_with(|c: char| c.is_ascii_digit());
    let text = if bare { format!("=={}.*", text.trim_end_matches(".*")) } else { text.to_owned() };
    VersionSpecifiers::from_str(&text.replace('-', ".")).ok()
}

fn filter(key: &str, value: &str) -> Option<Filter> {
    Some(match key {
        "owner" => Filter::Owner(value.to_lowercase()),
        "type" => {
            let known = ContentType::of(value).is_some() || matches!(value, "pin" | "plot" | "site" | "mcp");
            return known.then(|| Filter::Type(value.to_owned()));
        }
        "tag" => Filter::Tag(value.split('/').map(|name| name.trim().to_lowercase()).collect()),
        "python" => Filter::Python(versions(value)?),
        "r" => Filter::R(versions(value)?),
        "package" => {
            let end = value.find(|c: char| "=<>!~".contains(c)).unwrap_or(value.len());
            let (name, rest) = value.split_at(end);
            let wanted = if rest.is_empty() { VersionSpecifiers::empty() } else { versions(rest)? };
            let name = name.trim().to_lowercase();
            return (!name.is_empty()).then_some(Filter::Package(name, wanted));
        }
        "image" => Filter::Image(value.to_lowercase()),
        "is" => Filter::Is(Property::of(value)?, true),
        "not" => Filter::Is(Property::of(value)?, false),
        property => {
            let wanted = match value.to_ascii_lowercase().as_str() {
                "true" | "yes" | "1" => true,
                "false" | "no" | "0" => false,
                _ => return None,
            };
            Filter::Is(Property::of(property)?, wanted)
        }
    })
}

const KEYS: [&str; 13] = [
    "owner",
    "type",
    "tag",
    "published",
    "locked",
    "bookmarked",
    "scheduled",
    "python",
    "r",
    "package",
    "image",
    "is",
    "not",
];

/// Splits outside of quotes, which stay.
fn split(text: &str, separates: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    text.split(move |c| {
        quoted ^= c == '"';
        !quoted && separates(c)
    })
    .filter(|part| !part.is_empty())
}

/// A text without its quotes.
fn plain(text: &str) -> String {
    text.replace('"', "")
}

impl Query {
    /// Reads a query.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut query = Self::default();
        let mut left = MOST;
        for word in split(text, char::is_whitespace) {
            let (negated, word) = match word.strip_prefix('-') {
                Some(rest) if !rest.is_empty() => (true, rest),
                _ => (false, word),
            };
            let mut any = Vec::new();
            match word.split_once(':') {
                Some((key, values)) if KEYS.contains(&key.to_ascii_lowercase().as_str()) => {
                    let key = key.to_ascii_lowercase();
                    for value in split(values, |c| c == ',').map(plain) {
                        let value = value.trim();
                        match filter(&key, value) {
                            _ if value.is_empty() => {}
                            Some(filter) => any.push(filter),
                            None => query.warnings.push(format!("`{value}` is no value for `{key}:`; it is ignored.")),
                        }
                    }
                }
                _ => any.extend(Some(fold(&plain(word))).filter(|folded| !folded.is_empty()).map(Filter::Text)),
            }
            if any.len() > left {
                query.warnings.push(format!("Only the first {MOST} conditions are looked at."));
                break;
            }
            left -= any.len();
            if !any.is_empty() {
                query.terms.push(Term { negated, any });
            }
        }
        query
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn queries_are_read() {
        let query =
            Query::parse("sea-bream owner:@me,\"jane doe\" -type:shiny is:locked python:>=3.11 package:flask<3");
        assert_eq!(query.terms.len(), 6);
        assert!(query.warnings.is_empty());
        assert!(matches!(&query.terms[0].any[0], Filter::Text(text) if text == "sea bream"));
        assert!(matches!(&query.terms[1].any[..], [Filter::Owner(me), Filter::Owner(jane)]
            if me == "@me" && jane == "jane doe"));
        assert!(query.terms[2].negated);
        let query = Query::parse("owner:\"Doe, Jane\",bob -\"is:locked\" \"-x\" type:\"\",shiny \"");
        let texts: Vec<_> = query.terms.iter().map(|term| (term.negated, format!("{:?}", term.any))).collect();
        let expected = [
            (false, "[Owner(\"doe, jane\"), Owner(\"bob\")]"),
            (true, "[Text(\"is:locked\")]"),
            (false, "[Text(\"x\")]"),
            (false, "[Type(\"shiny\")]"),
        ];
        assert_eq!(texts, expected.map(|(negated, text)| (negated, text.to_owned())));
        assert!(query.warnings.is_empty(), "{:?}", query.warnings);
        let query = Query::parse("type:cobol locked:perhaps is:nice a:b");
        assert_eq!((query.terms.len(), query.warnings.len()), (1, 3), "{query:?}");
    }

    #[test]
    fn versions_may_be_short() {
        let holds = |spec: &str, text: &str| versions(spec).unwrap().contains(&version(text).unwrap());
        assert!(holds("3.11", "3.11.4") && !holds("3.11", "3.12.0"));
        assert!(holds(">=4.2,<5", "4.3.1") && holds("==1.2-3", "1.2-3"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_query(text in "[ -~é\"]{0,60}") {
            let _ = Query::parse(&text);
        }
    }
}
