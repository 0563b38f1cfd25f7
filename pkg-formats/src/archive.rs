//! Archives: checked reading of foreign ones ([`scan`], [`extract`]), deterministic writing ([`tar_gz`], [`zip`]).
//!
//! Connect takes bundles as gzip-compressed tar archives from anybody who may publish, so the reader trusts
//! nothing: it bounds the number of entries, their sizes, their total and the compression ratio, refuses paths that
//! would leave the directory, refuses everything that is neither a file nor a directory, and notices archives that
//! are cut short or damaged.

mod read;
mod write;

pub use read::{Entry, Kind, Strip, Summary, extract, scan};
pub use write::{Compression, File, Files, gzip, tar_gz, tar_gz_at, zip, zip_with_directories};

/// Bounds on a foreign archive. The default suits a Connect bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Tar headers, of whatever kind.
    pub entries: u64,
    /// Bytes of the unpacked tar stream, headers and padding included.
    pub total_bytes: u64,
    /// Bytes of one unpacked file.
    pub entry_bytes: u64,
    /// Unpacked bytes per compressed byte, looked at once 16 MiB are unpacked.
    pub ratio: u64,
    /// Bytes of one path.
    pub path_bytes: usize,
    /// Components of one path.
    pub path_depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            total_bytes: 10 << 30,
            entry_bytes: 4 << 30,
            ratio: 500,
            path_bytes: 1024,
            path_depth: 64,
        }
    }
}

/// Why an archive was refused, or could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not gzip, a bad checksum, or not a tar stream inside.
    #[error("the archive is not a gzip-compressed tar file, or it is damaged: {0}")]
    Corrupt(String),
    /// The archive ends in the middle.
    #[error("the archive is cut short")]
    Truncated,
    /// More entries than [`Limits::entries`].
    #[error("the archive holds more than {limit} entries")]
    TooManyEntries {
        /// The limit.
        limit: u64,
    },
    /// More unpacked bytes than [`Limits::total_bytes`].
    #[error("the archive unpacks to more than {limit} bytes")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// A file larger than [`Limits::entry_bytes`].
    #[error("`{path}` in the archive is larger than {limit} bytes")]
    EntryTooLarge {
        /// The file.
        path: String,
        /// The limit.
        limit: u64,
    },
    /// More than [`Limits::ratio`] unpacked bytes for each compressed byte.
    #[error("the archive is compressed more than {limit} times, as only an archive made to do harm is")]
    Bomb {
        /// The limit.
        limit: u64,
    },
    /// A path that is not a plain relative one.
    #[error("the archive holds the path `{path}`, which {reason}")]
    BadPath {
        /// The path, made printable.
        path: String,
        /// What is wrong, completing "the path …".
        reason: &'static str,
    },
    /// An entry that is neither a file nor a directory.
    #[error("`{path}` in the archive is a {kind}; only files and directories are allowed")]
    ForbiddenKind {
        /// The entry.
        path: String,
        /// What it is.
        kind: &'static str,
    },
    /// One path used as a file and as a directory.
    #[error("`{path}` is both a file and a directory in the archive")]
    Conflict {
        /// The path.
        path: String,
    },
    /// Reading the source or writing the files failed; the archive may be good.
    #[error("the archive could not be read or unpacked: {0}")]
    Io(std::io::Error),
}

impl Error {
    /// Whether the archive itself is at fault, rather than this machine.
    pub fn is_bad_archive(&self) -> bool {
        !matches!(self, Self::Io(_))
    }
}

impl From<std::io::Error> for Error {
    /// Gives back the error that a [`scan`] visitor met while reading an entry, or wraps a failure of the machine.
    fn from(error: std::io::Error) -> Self {
        error.downcast::<Self>().unwrap_or_else(Self::Io)
    }
}

/// Checks a path from an archive and gives it in plain form. Empty when it names the root itself, as `./` does.
fn plain_path(raw: &[u8], limits: &Limits) -> Result<String, Error> {
    let checked = match std::str::from_utf8(raw) {
        Err(_) => Err("is not UTF-8"),
        Ok(path) if path.len() > limits.path_bytes => Err("is too long"),
        Ok(path) => check_plain(path),
    };
    let checked = checked.and_then(|path| match path.split('/').count() {
        depth if depth > limits.path_depth => Err("is nested too deep"),
        _ => Ok(path),
    });
    checked.map_err(|reason| {
        let shown: String = String::from_utf8_lossy(raw).chars().take(200).collect();
        Error::BadPath { path: shown.escape_debug().to_string(), reason }
    })
}

/// Gives a path in plain form: relative, `/` between components, no `.` components, no trailing slash; or says what
/// is wrong with it, completing "the path …".
pub(crate) fn check_plain(path: &str) -> Result<String, &'static str> {
    // Python's tarfile calls the directory itself `/` when it is told that its name is `/`; pins publishes so.
    if path.starts_with('/') && path.bytes().any(|b| b != b'/') {
        return Err("is absolute");
    }
    if path.contains('\\') {
        return Err("holds a backslash; use `/` between directories");
    }
    if path.chars().any(char::is_control) {
        return Err("holds a control character");
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("leaves the directory by `..`"),
            _ if part.len() > 255 => return Err("has a component longer than 255 bytes"),
            _ => parts.push(part),
        }
    }
    match parts.first().map(|part| part.as_bytes()) {
        Some([drive, b':', ..]) if drive.is_ascii_alphabetic() => Err("begins with a drive letter"),
        _ => Ok(parts.join("/")),
    }
}
