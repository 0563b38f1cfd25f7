//! Packages that lie on this machine and become part of the feeds: wheels, sdists and R packages as files (`--import`), and
//! installed libraries of R packages (`--import-library`), which become binary packages for this system.
//!
//! They are real: nothing in them is made up. They were always there, as far as snapshots are concerned, and take the place of
//! packages of the same name. Files are read and checked at the start and read again when somebody asks for one; a file that
//! was changed in between is not served, since its digest is another one. Installed packages are packed when the feed is made.

mod python;
mod r;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use chrono::NaiveDate;
use pkg_formats::archive::Limits;
use pkg_formats::psp::{Digest, FeedKind, Op};
use sha2::{Digest as _, Sha256};

use crate::history::{DAY, Event, date};
use crate::packages::{Package, Packages, Record};

/// No larger file is imported.
const LARGEST: u64 = 512 << 20;
/// No more files are imported, or looked at in one folder.
const MOST_FILES: usize = 20_000;
/// Folders within folders.
const DEEPEST: usize = 6;
/// Bounds on what is in an archive.
const LIMITS: Limits = Limits {
    entries: 100_000,
    total_bytes: 2 << 30,
    entry_bytes: 1 << 30,
    ratio: 400,
    path_bytes: 1024,
    path_depth: 64,
};

/// Why something cannot be imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file or folder cannot be read.
    #[error("--import: {path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is too large, or there are too many.
    #[error("--import: {path}: {what}")]
    TooMuch {
        /// Which.
        path: PathBuf,
        /// Of what, and the limit.
        what: String,
    },
    /// Neither a wheel, nor an sdist, nor an R package.
    #[error("--import: {path}: {reason}")]
    NotAPackage {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Two files are the same version of a package, with other contents.
    #[error("--import: {path} is there twice, with other contents: {other}")]
    Twice {
        /// The second.
        path: PathBuf,
        /// The first.
        other: PathBuf,
    },
    /// Nothing is built for this system.
    #[error(
        "--import-library: Package Manager has no binary packages for this system ({found}); name the one that the library \
         was built on with --import-distribution, such as jammy"
    )]
    NoSuchSystem {
        /// What the system says that it is.
        found: String,
    },
}

/// What is to be imported.
#[derive(Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// Files, and folders of them.
    pub(crate) paths: &'a [PathBuf],
    /// Installed R libraries.
    pub(crate) libraries: &'a [PathBuf],
    /// The code of the distribution that binary packages are for; this system's when nothing is said.
    pub(crate) distribution: Option<&'a str>,
}

/// What was imported.
pub(crate) struct Imports {
    pub(crate) python: Imported,
    pub(crate) r: Imported,
    /// Tells one set of imports from another.
    pub(crate) digest: Option<Digest>,
}

/// Packages of one language.
pub(crate) struct Imported {
    kind: FeedKind,
    packages: Vec<Held>,
}

/// A package with all its versions.
struct Held {
    name: String,
    versions: Vec<String>,
    contents: Contents,
    record: OnceLock<Record>,
}

enum Contents {
    Python(Vec<python::Distributed>),
    R(Vec<r::Release>),
}

impl Imports {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// The first file that is no package, with the reason.
    pub(crate) fn load(wanted: &Wanted<'_>) -> Result<Self, ImportError> {
        let mut files = Vec::new();
        for path in wanted.paths {
            find(path, 0, &mut files)?;
        }
        files.sort();
        let mut hash = Sha256::new();
        let mut of_python: BTreeMap<String, Vec<python::Distributed>> = BTreeMap::new();
        let mut of_r: BTreeMap<String, Vec<r::Release>> = BTreeMap::new();
        let mut system = r::System::new(wanted.distribution);
        for path in files {
            let bytes = read(&path)?;
            hash.update(Digest::of(&bytes).0);
            if !r::add_file(&path, &bytes, &mut of_r, &mut system)? {
                python::add_file(&path, &bytes, &mut of_python)?;
            }
        }
        for library in wanted.libraries {
            r::add_library(library, &mut of_r, &mut system, &mut hash)?;
        }
        let something = !of_python.is_empty() || !of_r.is_empty();
        let python = of_python.into_iter().map(|(name, files)| python::held(name, files)).collect();
        let r = of_r.into_iter().map(|(name, releases)| r::held(name, releases)).collect();
        Ok(Self {
            python: Imported { kind: FeedKind::Python, packages: python },
            r: Imported { kind: FeedKind::R, packages: r },
            digest: something.then(|| Digest(hash.finalize().into())),
        })
    }
}

/// Packages in the files of a folder; other files are left alone.
fn find(path: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), ImportError> {
    let io = |source| ImportError::Io { path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(io)?;
    if metadata.is_file() {
        found.push(path.to_owned());
        if found.len() > MOST_FILES {
            let what = format!("more than {MOST_FILES} files");
            return Err(ImportError::TooMuch { path: path.to_owned(), what });
        }
    } else if metadata.is_dir() && depth <= DEEPEST {
        for entry in std::fs::read_dir(path).map_err(io)? {
            let entry = entry.map_err(io)?;
            let kind = entry.file_type().map_err(io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if kind.is_dir() || (kind.is_file() && [".whl", ".tar.gz"].iter().any(|end| name.ends_with(end))) {
                find(&entry.path(), depth + 1, found)?;
            }
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<Vec<u8>, ImportError> {
    let io = |source| ImportError::Io { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(io)?.len() > LARGEST {
        return Err(ImportError::TooMuch { path: path.to_owned(), what: format!("larger than {LARGEST} bytes") });
    }
    std::fs::read(path).map_err(io)
}

#[allow(clippy::needless_pass_by_value)] // errors and URLs that are at hand, mostly made for this
fn not_a_package(path: &Path, reason: impl ToString) -> ImportError {
    ImportError::NotAPackage { path: path.to_owned(), reason: reason.to_string() }
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

impl Imported {
    /// The second at which version `place` of a package came: before the history of the feed begins.
    fn at(kind: FeedKind, place: usize) -> i64 {
        Self::first_day(kind) * DAY + place as i64
    }

    fn first_day(kind: FeedKind) -> i64 {
        match kind {
            FeedKind::Python => crate::scenario::python::DAY_OF_ALL,
            _ => crate::scenario::r::DAY_OF_ALL,
        }
    }

    fn made(&self, package: Package) -> &Record {
        let held = &self.packages[package as usize];
        held.record.get_or_init(|| match &held.contents {
            Contents::Python(files) => python::record(&held.name, files),
            Contents::R(releases) => r::record(&held.name, releases),
        })
    }
}

impl Packages for Imported {
    fn feed(&self) -> &'static str {
        if self.kind == FeedKind::Python { "pypi" } else { "cran" }
    }

    fn kind(&self) -> FeedKind {
        self.kind
    }

    fn history_from(&self) -> NaiveDate {
        date(Self::first_day(self.kind) + 1)
    }

    fn count(&self) -> u32 {
        self.packages.len() as u32
    }

    fn name(&self, package: Package) -> String {
        self.packages[package as usize].name.clone()
    }

    fn events(&self, package: Package) -> Vec<Event> {
        let versions = self.packages[package as usize].versions.iter().enumerate();
        let event = |(place, version): (usize, &String)| Event {
            at: Self::at(self.kind, place),
            op: if place == 0 { Op::Add } else { Op::Update },
            version: version.clone(),
        };
        versions.map(event).collect()
    }

    fn record(&self, package: Package, _cut: i64) -> Record {
        // All of it happened before the first checkpoint.
        self.made(package).clone()
    }

    fn file(&self, package: Package, file: u32) -> Vec<u8> {
        match &self.packages[package as usize].contents {
            Contents::Python(files) => python::bytes(files, file),
            Contents::R(releases) => r::bytes(releases, file),
        }
    }
}
