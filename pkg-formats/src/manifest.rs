//! `manifest.json`: what a bundle tells Connect about itself.
//!
//! Publishers write it in several dialects, so reading is tolerant: unknown members are ignored and any member may be
//! null or missing, except `metadata.appmode`. A member of the wrong type is an error that names the member.

mod read;

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

pub use read::parse;

/// A bundle's manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Manifest {
    /// Version of the format; always 1.
    pub version: u64,
    /// Locale of the author, such as `en_US`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// Version of R of the author. Its presence means that R is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What the content is.
    pub metadata: Metadata,
    /// How notebooks are rendered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jupyter: Option<Jupyter>,
    /// That Quarto is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quarto: Option<Quarto>,
    /// That Python is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<Python>,
    /// That Node.js is needed; `nodejs` is another spelling of the member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<Node>,
    /// R packages by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packages: Option<BTreeMap<String, RPackage>>,
    /// Files of the bundle by plain relative path. Absent in some manifests, which then say nothing about them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<BTreeMap<String, FileEntry>>,
    /// Where and with what the content shall run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// OAuth integrations to associate on the first deploy.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub integration_requests: Vec<IntegrationRequest>,
}

/// `metadata`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Metadata {
    /// The app mode, such as `python-fastapi`; not checked against those that are known.
    pub appmode: String,
    /// Python: module or `module:object`; notebook: file name; Node.js: file; static: HTML file. Never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// R Markdown or Quarto document; `primary_document` is another spelling. Never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_rmd: Option<String>,
    /// Page that static content opens with. Never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub primary_html: Option<String>,
    /// `plot`, `pin`, `site`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_category: Option<String>,
    /// Whether an R Markdown document takes parameters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_parameters: Option<bool>,
}

/// `jupyter`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Jupyter {
    /// Hide the code of all cells.
    pub hide_all_input: bool,
    /// Hide the code of tagged cells.
    pub hide_tagged_input: bool,
}

/// `quarto`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Quarto {
    /// Author's version; `99.9.9` when unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `knitr`, `jupyter`, `markdown`.
    pub engines: Vec<String>,
}

/// `python`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Python {
    /// Author's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How packages are installed; absent means not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_manager: Option<PackageManager>,
}

/// `python.package_manager`, `node.package_manager`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct PackageManager {
    /// `pip`, `uv`, `none`, `conda`; `npm`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// File in the bundle that lists the packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_file: Option<String>,
    /// Whether uv may be used; absent leaves it to the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_uv: Option<bool>,
}

/// `node` or `nodejs`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Node {
    /// Author's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// How packages are installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_manager: Option<PackageManager>,
}

/// An element of `packages`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct RPackage {
    /// `CRAN`, `Bioconductor`, `github` … or the name of a repository.
    #[serde(rename = "Source", skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// URL of the repository.
    #[serde(rename = "Repository", skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Fields of the package's `DESCRIPTION`.
    pub description: BTreeMap<String, String>,
}

impl RPackage {
    /// The version, if the description tells it.
    pub fn version(&self) -> Option<&str> {
        self.description.get("Version").map(String::as_str)
    }
}

/// An element of `files`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FileEntry {
    /// MD5 of the content in hex, as written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
}

/// `environment`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Environment {
    /// Container image. Never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Selector of an execution environment. Never empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identifier: Option<String>,
    /// Whether the image holds all packages already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prebuilt: Option<bool>,
    /// Which languages' packages Connect installs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_management: Option<EnvironmentManagement>,
    /// Which Python is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<Requires>,
    /// Which R is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r: Option<Requires>,
    /// Which Node.js is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nodejs: Option<Requires>,
}

/// `environment.environment_management`: `false` means that Connect installs nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct EnvironmentManagement {
    /// For Python.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<bool>,
    /// For R.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub r: Option<bool>,
    /// For Node.js; `nodejs` is another spelling.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<bool>,
}

/// `environment.python`, `environment.r`, `environment.nodejs`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Requires {
    /// Constraint on the version, such as `~=4.3.0`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requires: Option<String>,
    /// For R: `lax`, `strict`, `legacy`, `lockfile`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_repository_resolution: Option<String>,
}

/// An element of `integration_requests`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct IntegrationRequest {
    /// Integration wanted, if one is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guid: Option<String>,
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How it signs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_type: Option<String>,
    /// Its kind.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its settings, as written.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub config: Value,
}

/// What is wrong with a manifest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Larger than [`LARGEST`].
    #[error("manifest.json is larger than {LARGEST} bytes")]
    TooLarge,
    /// Not JSON, or nested too deep.
    #[error("manifest.json is not valid JSON: {0}")]
    Json(String),
    /// A member of the wrong type.
    #[error("manifest.json: `{member}` must be {expected}, not {found}")]
    WrongType {
        /// Path of the member, such as `python.package_manager.name`.
        member: String,
        /// What it must be, with its article.
        expected: &'static str,
        /// What it is, with its article.
        found: &'static str,
    },
    /// A member that must be there is not.
    #[error("manifest.json: `{0}` is missing")]
    Missing(&'static str),
    /// A member that cannot be as it is.
    #[error("manifest.json: `{member}` {reason}")]
    Invalid {
        /// Path of the member.
        member: String,
        /// What is wrong, completing "the member …".
        reason: String,
    },
    /// More elements than anybody has.
    #[error("manifest.json: `{member}` has more than {limit} elements")]
    TooMany {
        /// Path of the member.
        member: String,
        /// The limit.
        limit: usize,
    },
}

/// Bytes of the largest manifest that is read.
pub const LARGEST: usize = 32 << 20;
