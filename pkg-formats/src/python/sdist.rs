//! Source distributions: `{name}-{version}.tar.gz`.
//!
//! They carry their own build backend, which needs nothing but Python, so that pip and uv build them without a network.

use super::metadata::{self, Metadata};
use super::wheel::release_stem;
use crate::archive::{self, Compression, Files, tar_gz};

/// Why an sdist cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Name or version are malformed.
    #[error(transparent)]
    Metadata(#[from] metadata::Error),
    /// A path is not plain and relative.
    #[error(transparent)]
    Archive(#[from] archive::Error),
}

/// A source distribution of a pure Python project, to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdistSpec {
    /// Its metadata.
    pub metadata: Metadata,
    /// Modules and data by path from the root of `site-packages`.
    pub files: Files,
}

/// The build backend that every archive carries. It packs `src/` into a wheel, with `PKG-INFO` as the metadata.
const BACKEND: &str = include_str!("backend.py");

const PYPROJECT: &str = "[build-system]\nrequires = []\nbuild-backend = \"backend\"\nbackend-path = [\".\"]\n";

impl SdistSpec {
    /// The file name.
    ///
    /// # Errors
    /// Name or version are malformed.
    pub fn file_name(&self) -> Result<String, Error> {
        Ok(format!("{}.tar.gz", release_stem(&self.metadata)?))
    }

    /// The archive's bytes, a pure function of the spec.
    ///
    /// # Errors
    /// Name, version or a path are malformed.
    pub fn tar_gz(&self) -> Result<Vec<u8>, Error> {
        let stem = release_stem(&self.metadata)?;
        let mut files: Files =
            self.files.iter().map(|(path, file)| (format!("{stem}/src/{path}"), file.clone())).collect();
        files.insert(format!("{stem}/PKG-INFO"), self.metadata.to_string().into());
        files.insert(format!("{stem}/pyproject.toml"), PYPROJECT.into());
        files.insert(format!("{stem}/backend.py"), BACKEND.replace("@STEM@", &stem).into());
        Ok(tar_gz(&files, Compression::Stored)?)
    }
}
