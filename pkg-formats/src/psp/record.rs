//! What a feed says of one package.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Digest;

/// The history of an R package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RRecord {
    /// Its name.
    pub name: String,
    /// When it was taken away altogether.
    pub removed_at: Option<DateTime<Utc>>,
    /// Oldest first.
    pub versions: Vec<RVersion>,
}

/// One version in an [`RRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RVersion {
    /// When it stopped being current: the time the next version came, or the package was archived.
    pub archived_at: Option<DateTime<Utc>>,
    /// Its files; exactly one has kind `source`.
    pub artifacts: Vec<Artifact>,
    /// The DESCRIPTION file of the source package.
    pub description: String,
    /// When it came.
    pub published_at: DateTime<Utc>,
    /// Text of the README, if there is one.
    pub readme: Option<String>,
    /// `md` or `txt`.
    pub readme_type: Option<String>,
    /// As of the checkpoint; follows from `archived_at`.
    pub state: RState,
    /// The version.
    pub version: String,
}

/// The history of a package within one release of Bioconductor. Whoever does not care for the component may read it as an
/// [`RRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BiocRecord {
    /// The repository it lies in, one of [`BIOC_COMPONENTS`]; it never moves.
    pub component: String,
    /// The rest; its fields stand beside `component`.
    #[serde(flatten)]
    pub package: RRecord,
}

/// The repositories of a Bioconductor release, as they are called in URLs: `packages/{release}/{component}`. A release has
/// them all, even where one is empty.
pub const BIOC_COMPONENTS: [&str; 5] = ["bioc", "data/annotation", "data/experiment", "workflows", "books"];

/// Whether a version is offered or only kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RState {
    /// Under `Archive/`.
    Archived,
    /// In the index.
    Current,
}

/// A file of an R version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// CPU (`x86_64`, `arm64`; of Windows always `x86_64`), or `*` when the file runs on every one; null for source.
    pub arch: Option<String>,
    /// Name under which clients get it.
    pub filename: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// MD5 in hexadecimal, for indexes that carry it; empty for Linux, where the index tells of the source.
    pub md5: String,
    /// R's minor version it is built for (`4.4`); null for source.
    pub r: Option<String>,
    /// Names its blob.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Linux: the distribution's code (`jammy`), or `*` when the file runs on every one. macOS: the flavor (`big-sur-arm64`),
    /// which is the segment of the URL between `macosx` and `contrib`. Else null.
    pub tag: Option<String>,
}

/// What an [`Artifact`] is. Names that this version does not know are read as [`ArtifactKind::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// Installed tree under a source file's name, `.tar.gz`.
    Linux,
    /// Installed tree, `.tgz`.
    Macos,
    /// As the author wrote it, `.tar.gz`.
    Source,
    /// Installed tree, `.zip`.
    Windows,
    /// Something newer than this program, to be left alone.
    #[serde(other)]
    Other,
}

/// The history of a Python project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonRecord {
    /// In the order of `upload_time`; of one version the sdist before the wheel.
    pub files: Vec<PythonFile>,
    /// Grows with every change of this project.
    pub last_serial: u64,
    /// Licence expression of the newest version.
    pub license: Option<String>,
    /// Normalised name.
    pub name: String,
    /// The name as its authors write it.
    pub project: String,
    /// When it was taken away altogether.
    pub removed_at: Option<DateTime<Utc>>,
    /// One line about it.
    pub summary: String,
}

/// A file of a [`PythonRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonFile {
    /// Name under which clients get it.
    pub filename: String,
    /// Names the blob that is byte for byte the wheel's METADATA; null for sdists.
    pub metadata_sha256: Option<Digest>,
    /// PEP 440 specifier.
    pub requires_python: Option<String>,
    /// Names its blob.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// When it came.
    pub upload_time: DateTime<Utc>,
    /// The version it belongs to.
    pub version: String,
    /// The reason (may be empty) if it is yanked.
    pub yanked: Option<String>,
    /// When it was yanked; set exactly when `yanked` is.
    pub yanked_at: Option<DateTime<Utc>>,
}

/// The history of an extension of an editor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VsxRecord {
    /// As the gallery groups extensions.
    pub categories: Vec<String>,
    /// The name that people see.
    pub display_name: String,
    /// Extensions that are installed along, as `publisher.name`.
    pub extension_dependencies: Vec<String>,
    /// SPDX expression.
    pub license: Option<String>,
    /// `publisher.name`, as its publisher writes it; editors do not mind case.
    pub name: String,
    /// The publisher's name that people see.
    pub publisher: String,
    /// When it was taken away altogether.
    pub removed_at: Option<DateTime<Utc>>,
    /// One line about it.
    pub summary: String,
    /// In the order of `published_at`; of one version, one for each platform it was built for.
    pub versions: Vec<VsxVersion>,
}

/// A version of a [`VsxRecord`] for a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VsxVersion {
    /// The editors it is for, such as `^1.80.0`.
    pub engine: String,
    /// The package and what the gallery shows of it.
    pub files: Vec<VsxFile>,
    /// Whether it is offered only to those who ask for unfinished versions.
    pub pre_release: bool,
    /// When it came.
    pub published_at: DateTime<Utc>,
    /// `universal`, or such as `linux-x64`.
    pub target_platform: String,
    /// Its number.
    pub version: String,
}

/// A file of a [`VsxVersion`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VsxFile {
    /// The gallery's word for it: `Microsoft.VisualStudio.Services.VSIXPackage` is the package.
    pub asset: String,
    /// Names its blob.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
}

/// The [`VsxFile::asset`] of the package itself.
pub const VSIX: &str = "Microsoft.VisualStudio.Services.VSIXPackage";
