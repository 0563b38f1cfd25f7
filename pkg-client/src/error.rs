//! What can go wrong between a requirement and its file.

use url::Url;

use crate::python::{Conflict, NoMatch};

/// Why a resolution or a download failed. Every message is fit for a build log; those of Python packages begin with
/// `ERROR:` and those of R with `Error:`, as the real installers' do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a Python that can be resolved for.
    #[error("'{python}' is not a version of Python 3 such as 3.11 or 3.11.4")]
    Target {
        /// What was given.
        python: String,
    },
    /// Not an address to fetch from.
    #[error("'{url}' is not an http or https URL of a repository: {why}")]
    Address {
        /// What was given.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A `requirements.txt` that cannot be resolved from an index.
    #[error("ERROR: Invalid requirement: {why}")]
    Requirements {
        /// Line number, the line, and what is wrong with it.
        why: String,
    },

    /// No answer came: refused, cut, timed out, no such host.
    #[error("could not connect to {url}: {why}")]
    Unreachable {
        /// What was asked for.
        url: Box<Url>,
        /// The innermost reason, such as `Connection refused (os error 111)`.
        why: String,
    },
    /// The server says that it does not have it (404, 410).
    #[error("{url} was not found ({status})")]
    NotFound {
        /// What was asked for.
        url: Box<Url>,
        /// 404 or 410.
        status: u16,
    },
    /// A file that the index promises, or an archived version that was asked for, is not there (404, 410).
    #[error("{package} {version} cannot be downloaded: {url} was not found ({status})")]
    FileMissing {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// What was asked for.
        url: Box<Url>,
        /// 404 or 410.
        status: u16,
    },
    /// The server answered with another status than 200.
    #[error("{url} answered with status {status}")]
    Status {
        /// What was asked for.
        url: Box<Url>,
        /// The HTTP status.
        status: u16,
    },
    /// Redirected too often, or to nowhere.
    #[error("{url} redirects too often or to an address that cannot be followed")]
    Redirects {
        /// The last address.
        url: Box<Url>,
    },
    /// The body ended early.
    #[error("the download of {url} was cut short after {received} bytes{}: {why}", .expected.map(|n| format!(" of {n}")).unwrap_or_default())]
    Truncated {
        /// What was asked for.
        url: Box<Url>,
        /// Bytes that came.
        received: u64,
        /// Bytes that were announced, if they were.
        expected: Option<u64>,
        /// What the connection said.
        why: String,
    },
    /// The bytes are not those that the index promised.
    #[error("the bytes of {url} do not match the {algorithm} of its index: expected {expected}, got {got}")]
    HashMismatch {
        /// What was asked for.
        url: Box<Url>,
        /// `sha256` or `md5`.
        algorithm: &'static str,
        /// The digest in the index, in hex.
        expected: String,
        /// The digest of what came, in hex.
        got: String,
    },
    /// More bytes than allowed for one answer of this kind.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: Box<Url>,
        /// The limit that it passed.
        limit: u64,
    },
    /// More bytes in total than [`Limits::total`](crate::Limits::total).
    #[error("gave up at {url}: more than {limit} bytes were received in total")]
    TooMuch {
        /// What was being received.
        url: Box<Url>,
        /// The limit.
        limit: u64,
    },
    /// The answer came whole but is not what it should be.
    #[error("cannot read {url}: {why}")]
    Unreadable {
        /// What was asked for.
        url: Box<Url>,
        /// What is wrong with it.
        why: String,
    },

    /// A requirement leads to more packages than [`Limits::packages`](crate::Limits::packages).
    #[error("ERROR: gave up: the requirements reach more than {limit} packages")]
    TooManyPackages {
        /// The limit.
        limit: usize,
    },
    /// The solver did not come to an end within [`Limits::steps`](crate::Limits::steps).
    #[error("ERROR: ResolutionTooDeep: gave up after {limit} steps; pin more of the requirements")]
    TooDeep {
        /// The limit.
        limit: u64,
    },
    /// A requirement, direct or not, that no version can satisfy.
    #[error("{0}")]
    NoMatchingDistribution(Box<NoMatch>),
    /// Each requirement could be satisfied, but not all of them together.
    #[error("{0}")]
    Conflict(Box<Conflict>),
    /// Some requirements carry hashes, which demands hashes of all, also of the dependencies.
    #[error("ERROR: Hashes are required in --require-hashes mode, but they are missing from some requirements: {}", .missing.join(", "))]
    HashesMissing {
        /// `name==version` of each package without a hash.
        missing: Vec<String>,
    },

    /// An R package that no repository has.
    #[error("Error: package '{package}' is not available in {}{}", .repositories.join(", "), needed(.needed_by.as_ref()))]
    RPackageMissing {
        /// The package.
        package: String,
        /// Where it was looked for.
        repositories: Vec<String>,
        /// The package that needs it, if it is a dependency.
        needed_by: Option<String>,
    },
    /// An R package that needs another R, usually a newer one.
    #[error("Error: this is R {r}, package '{package}' {version} requires R {constraint}")]
    RUnsuitable {
        /// The package.
        package: String,
        /// Its version.
        version: String,
        /// Such as `>= 4.3`.
        constraint: String,
        /// The R to install for.
        r: String,
    },
    /// The chosen version of an R package does not suit a package that depends on it.
    #[error("Error: package '{package}' {version} is to be installed, but '{needed_by}' requires {constraint}")]
    RUnsatisfied {
        /// The dependency.
        package: String,
        /// Its pinned or current version.
        version: String,
        /// The package that depends on it.
        needed_by: String,
        /// Such as `>= 1.2`.
        constraint: String,
    },
}

fn needed(by: Option<&String>) -> String {
    by.map(|by| format!(" (needed by '{by}')")).unwrap_or_default()
}
