//! Wheels and sdists made by others, as an index takes them in: whole, and named as they say inside.

use std::io::{Read, Seek};

use super::metadata::{self, Metadata};
use super::name::normalize;
use super::version;
use super::wheel::{self, WheelName, read_metadata_from};
use crate::archive::{self, Kind, Limits};

/// Why a file is no distribution.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Characters that no such name has.
    #[error("the name of the file has characters that no wheel or sdist has, or too many")]
    FileName,
    /// Another ending.
    #[error("expected a wheel (.whl) or an sdist (.tar.gz)")]
    Kind,
    /// The parts of the name.
    #[error("an sdist is named name-version.tar.gz")]
    Stem,
    /// Bad wheel.
    #[error(transparent)]
    Wheel(#[from] wheel::Error),
    /// Bad sdist.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// Bad metadata.
    #[error(transparent)]
    Metadata(#[from] metadata::Error),
    /// Bad version in the file's name.
    #[error(transparent)]
    Version(#[from] version::Error),
    /// The file is called otherwise than what is in it.
    #[error("it holds {name} {version}: name and version of the file must be those inside")]
    OtherInside {
        /// The project inside.
        name: String,
        /// Its version.
        version: String,
    },
}

/// What a wheel or sdist says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Distribution {
    /// Name, version, requirements.
    pub metadata: Metadata,
    /// Of a wheel its `METADATA`, byte for byte, as an index serves it beside the wheel.
    pub beside: Option<Vec<u8>>,
}

impl Distribution {
    /// Reads a file and checks it.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(filename: &str, file: impl Read + Seek, limits: &Limits) -> Result<Self, Error> {
        let plain = filename.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+!".contains(&b));
        if !plain || filename.len() > 250 {
            return Err(Error::FileName);
        }
        let (raw, beside) = if filename.ends_with(".whl") {
            let raw = read_metadata_from(file)?;
            (raw.clone(), Some(raw))
        } else if filename.ends_with(".tar.gz") {
            (pkg_info(file, limits)?, None)
        } else {
            return Err(Error::Kind);
        };
        let metadata = Metadata::parse(&raw)?;
        metadata.check()?;
        let own = (normalize(&metadata.name), version::parse(&metadata.version)?);
        let named = match filename.strip_suffix(".tar.gz") {
            None => {
                let name: WheelName = filename.parse()?;
                (name.name, name.version)
            }
            Some(stem) => {
                let (name, text) = stem.rsplit_once('-').ok_or(Error::Stem)?;
                (normalize(name), version::parse(text)?)
            }
        };
        if own != named {
            return Err(Error::OtherInside { name: metadata.name, version: metadata.version });
        }
        Ok(Self { metadata, beside })
    }
}

/// `PKG-INFO` in the top directory of an sdist, all of which is read and checked.
fn pkg_info(sdist: impl Read, limits: &Limits) -> Result<Vec<u8>, Error> {
    let mut found = Vec::new();
    archive::scan(sdist, limits, |entry, data| {
        let is_it = entry.path.split_once('/').is_some_and(|(_, rest)| rest == "PKG-INFO");
        if entry.kind == Kind::File && is_it {
            found.clear();
            data.take(16 << 20).read_to_end(&mut found)?;
        }
        Ok(())
    })?;
    Ok(found)
}
