//! The simple index: the list of projects and, for each, its files; as HTML (PEP 503, 592, 629, 658, 714) and as JSON
//! (PEP 691, 700, 714, 792).
//!
//! One structure serves both forms, in both directions. To leave a feature out of a page, leave its field empty.

mod html;
mod json;

use std::collections::BTreeMap;

/// Content type of the JSON form.
pub const JSON_TYPE: &str = "application/vnd.pypi.simple.v1+json";
/// Content type of the HTML form for clients that ask for it by name; others get `text/html`.
pub const HTML_TYPE: &str = "application/vnd.pypi.simple.v1+html";

/// `{index}/{project}/`: the files of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProjectPage {
    /// The project, in the normal form.
    pub name: String,
    /// All versions that the index knows of (PEP 700); JSON only.
    pub versions: Vec<String>,
    /// The files.
    pub files: Vec<File>,
    /// Number of the last change, as mirrors use it; JSON only.
    pub last_serial: Option<u64>,
    /// `active`, `archived`, `quarantined` or `deprecated` (PEP 792); JSON only.
    pub status: Option<String>,
}

/// A file of a project.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct File {
    /// Its name, from which clients learn version and tags.
    pub filename: String,
    /// Where it is, absolute or relative to the page, without a fragment.
    pub url: String,
    /// Digests in lower-case hex by algorithm (`sha256`).
    pub hashes: BTreeMap<String, String>,
    /// Version specifier for Python.
    pub requires_python: Option<String>,
    /// Bytes; JSON only.
    pub size: Option<u64>,
    /// When it was uploaded, as `2024-01-31T12:00:00.000000Z`; JSON only.
    pub upload_time: Option<String>,
    /// Whether the release was withdrawn, and why; an empty reason is none given.
    pub yanked: Option<String>,
    /// Whether `{url}.metadata` exists.
    pub core_metadata: CoreMetadata,
}

/// Whether the metadata of a file can be had without the file (PEP 658, 714).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum CoreMetadata {
    /// No, or nothing is said.
    #[default]
    Absent,
    /// Yes.
    Available,
    /// Yes, and these are its digests by algorithm.
    Hashed(BTreeMap<String, String>),
}

impl CoreMetadata {
    /// With a SHA-256 digest in hex.
    pub fn sha256(hex: impl Into<String>) -> Self {
        Self::Hashed(BTreeMap::from([("sha256".to_owned(), hex.into())]))
    }
}

/// `{index}/`: the list of projects.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RootPage {
    /// Names of the projects.
    pub projects: Vec<String>,
    /// Number of the last change, as mirrors use it; JSON only.
    pub last_serial: Option<u64>,
}

/// Why a page cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Larger than 256 MiB.
    #[error("the index page is larger than {0} bytes")]
    TooLarge(usize),
    /// Not UTF-8.
    #[error("the index page is not UTF-8")]
    Encoding,
    /// Not JSON, or not of the right shape.
    #[error("the index page is not simple-index JSON: {0}")]
    Json(String),
    /// A major version of the protocol that is not known.
    #[error("the index page has version {0}; only major version 1 is known")]
    Version(String),
}

const LARGEST: usize = 256 << 20;

fn check_size(bytes: &[u8]) -> Result<(), Error> {
    if bytes.len() > LARGEST { Err(Error::TooLarge(LARGEST)) } else { Ok(()) }
}

fn check_version(version: &str) -> Result<(), Error> {
    match version.split_once('.') {
        Some(("1", _)) => Ok(()),
        _ => Err(Error::Version(version.chars().take(40).collect())),
    }
}
