//! Python versions (PEP 440), by the `pep440_rs` crate.

use std::str::FromStr;

pub use pep440_rs::{Version, VersionSpecifiers};

/// A text that is no version or no version specifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a Python version or specifier: {reason}")]
pub struct Error {
    /// The text, cut.
    pub text: String,
    /// What the parser says.
    pub reason: String,
}

/// Versions and specifiers longer than this are refused.
const LONGEST: usize = 512;

/// Reads a version.
///
/// # Errors
/// The text is no version.
pub fn parse(text: &str) -> Result<Version, Error> {
    check_length(text)?;
    Version::from_str(text).map_err(|error| fail(text, &error))
}

/// Reads a specifier such as `>=3.8, !=3.9.*`. An empty one accepts everything.
///
/// # Errors
/// The text is no specifier.
pub fn parse_specifiers(text: &str) -> Result<VersionSpecifiers, Error> {
    check_length(text)?;
    VersionSpecifiers::from_str(text).map_err(|error| fail(text, &error))
}

/// The newest of some versions by pip's preference: a final or post release if there is one.
pub fn newest<'v>(versions: impl IntoIterator<Item = &'v Version>) -> Option<&'v Version> {
    versions.into_iter().max_by_key(|version| (!version.any_prerelease(), *version))
}

fn check_length(text: &str) -> Result<(), Error> {
    if text.len() > LONGEST { Err(fail(text, &"too long")) } else { Ok(()) }
}

fn fail(text: &str, reason: &impl ToString) -> Error {
    Error { text: text.chars().take(80).collect(), reason: reason.to_string().chars().take(400).collect() }
}
