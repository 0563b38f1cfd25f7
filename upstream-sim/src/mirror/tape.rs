//! Recordings: a folder with what a mirrored index answered, from which a later run is served without a network.
//!
//! ```text
//! pypi/simple/six.json                the project's page, in the JSON form, with absolute URLs
//! pypi/simple/no-such.json.absent     the index has no such project
//! pypi/files/six-1.17.0-py2.py3-none-any.whl
//! cran/PACKAGES                       the index of the repository
//! cran/files/glue_1.8.0.tar.gz
//! ```

use std::path::{Path, PathBuf};

use super::MirrorError;

/// Whether answers are written down or read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum Tape {
    /// Neither.
    #[default]
    Off,
    /// Written into this folder.
    Record(PathBuf),
    /// Read from this folder; nothing is fetched.
    Replay(PathBuf),
}

/// What is put in the place of a page that does not exist.
fn absent(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".absent");
    name.into()
}

impl Tape {
    pub(super) fn is_replay(&self) -> bool {
        matches!(self, Self::Replay(_))
    }

    /// Where `key` is read from, if it is.
    pub(super) fn replayed(&self, key: &str) -> Option<PathBuf> {
        match self {
            Self::Replay(folder) => Some(folder.join(key)),
            _ => None,
        }
    }

    /// Where `key` is written to, if it is.
    pub(super) fn recorded(&self, key: &str) -> Option<PathBuf> {
        match self {
            Self::Record(folder) => Some(folder.join(key)),
            _ => None,
        }
    }

    /// A document from the recording, or from `fetch` and then into the recording. None when the index has none.
    pub(super) async fn document(
        &self,
        key: &str,
        fetch: impl Future<Output = Result<Option<Vec<u8>>, MirrorError>>,
    ) -> Result<Option<Vec<u8>>, MirrorError> {
        if let Some(path) = self.replayed(key) {
            return match std::fs::read(&path) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(_) if absent(&path).exists() => Ok(None),
                Err(_) => Err(MirrorError::NotRecorded(path)),
            };
        }
        let found = fetch.await?;
        if let Some(path) = self.recorded(key) {
            match &found {
                Some(bytes) => write(&path, bytes)?,
                None => write(&absent(&path), b"")?,
            }
        }
        Ok(found)
    }
}

/// Writes a file at once: who reads the folder meanwhile sees all of it or nothing.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), MirrorError> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut file, bytes)?;
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(MirrorError::io(path.display()))
}
