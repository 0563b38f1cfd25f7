//! Wheels: `{name}-{version}-{python}-{abi}-{platform}.whl`, a zip file (PEP 427).

use std::io::{Cursor, Read, Seek};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::metadata::{self, Metadata};
use super::{name, version};
use crate::archive::{self, File, Files, zip};

/// Why a wheel cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file name is not a wheel's.
    #[error("`{0}` is not the name of a wheel: expected `name-version[-build]-python-abi-platform.whl`")]
    BadFileName(String),
    /// Not a zip file, or a damaged one.
    #[error("the wheel is not a zip file, or it is damaged: {0}")]
    Zip(String),
    /// No `*.dist-info/METADATA`, or several.
    #[error("the wheel must hold exactly one `*.dist-info/METADATA`, found {0}")]
    NoMetadata(usize),
    /// More files than anybody packs.
    #[error("the wheel holds more than {0} files")]
    TooManyFiles(usize),
    /// The metadata is malformed.
    #[error(transparent)]
    Metadata(#[from] metadata::Error),
    /// A path inside the wheel is not plain and relative, or the wheel is too large.
    #[error(transparent)]
    Archive(#[from] archive::Error),
}

const MOST_FILES: usize = 200_000;
const LARGEST_METADATA: u64 = 16 << 20;

/// A pure Python wheel to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelSpec {
    /// Its metadata.
    pub metadata: Metadata,
    /// Modules and data by path from the root of `site-packages`.
    pub files: Files,
    /// Commands to be installed: name and `module:function`.
    pub console_scripts: Vec<(String, String)>,
    /// Compatibility tag such as `py3-none-any`.
    pub tag: String,
}

impl WheelSpec {
    /// A wheel for every Python 3, without commands.
    pub fn new(metadata: Metadata, files: Files) -> Self {
        Self { metadata, files, console_scripts: Vec::new(), tag: "py3-none-any".to_owned() }
    }

    /// The file name.
    ///
    /// # Errors
    /// Name or version are malformed.
    pub fn file_name(&self) -> Result<String, Error> {
        Ok(format!("{}-{}.whl", release_stem(&self.metadata)?, self.tag))
    }

    /// The content of `METADATA`, which an index serves beside the wheel as well.
    pub fn metadata_text(&self) -> String {
        self.metadata.to_string()
    }

    /// The wheel's bytes, a pure function of the spec.
    ///
    /// # Errors
    /// Name, version or a path are malformed.
    pub fn zip(&self) -> Result<Vec<u8>, Error> {
        let info = format!("{}.dist-info", release_stem(&self.metadata)?);
        let mut added: Vec<(String, File)> = vec![
            (format!("{info}/METADATA"), self.metadata_text().into()),
            (
                format!("{info}/WHEEL"),
                format!("Wheel-Version: 1.0\nGenerator: teamsim\nRoot-Is-Purelib: true\nTag: {}\n", self.tag).into(),
            ),
        ];
        if !self.console_scripts.is_empty() {
            let lines = self.console_scripts.iter().map(|(command, target)| format!("{command} = {target}\n"));
            let text = format!("[console_scripts]\n{}", lines.collect::<String>());
            added.push((format!("{info}/entry_points.txt"), text.into()));
        }
        let all = || {
            let files = self.files.iter().map(|(path, file)| (path.as_str(), file));
            files.chain(added.iter().map(|(path, file)| (path.as_str(), file)))
        };
        let mut record = String::new();
        for (path, file) in all() {
            let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(&file.bytes));
            record.push_str(&format!("{},sha256={digest},{}\n", csv_field(path), file.bytes.len()));
        }
        let record_path = format!("{info}/RECORD");
        record.push_str(&format!("{},,\n", csv_field(&record_path)));
        let record = File::from(record);
        Ok(zip(all().chain([(record_path.as_str(), &record)]))?)
    }
}

fn csv_field(path: &str) -> std::borrow::Cow<'_, str> {
    if path.contains([',', '"']) { format!("\"{}\"", path.replace('"', "\"\"")).into() } else { path.into() }
}

/// `{name}-{version}` in the forms that file names use.
pub(super) fn release_stem(metadata: &Metadata) -> Result<String, metadata::Error> {
    metadata.check()?;
    Ok(format!("{}-{}", name::file_form(&metadata.name), version::parse(&metadata.version)?))
}

/// The parts of a wheel's file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WheelName {
    /// Project, in the normal form (PEP 503).
    pub name: String,
    /// Version.
    pub version: version::Version,
    /// Build tag.
    pub build: Option<String>,
    /// Python tags, such as `py2`, `py3`.
    pub python: Vec<String>,
    /// ABI tags, such as `none`.
    pub abi: Vec<String>,
    /// Platform tags, such as `any`.
    pub platform: Vec<String>,
}

impl std::str::FromStr for WheelName {
    type Err = Error;

    fn from_str(file_name: &str) -> Result<Self, Error> {
        let fail = || Error::BadFileName(file_name.chars().take(120).collect());
        let parts: Vec<&str> = file_name.strip_suffix(".whl").ok_or_else(fail)?.split('-').collect();
        let (name, version, build, tags) = match parts.as_slice() {
            [name, version, tags @ ..] if tags.len() == 3 => (name, version, None, tags),
            [name, version, build, tags @ ..] if tags.len() == 3 => (name, version, Some(*build), tags),
            _ => return Err(fail()),
        };
        if !name::is_valid(name) || build.is_some_and(|build| !build.starts_with(|c: char| c.is_ascii_digit())) {
            return Err(fail());
        }
        // `_` stands for the `-` of the old spelling of post releases and separates local segments.
        let version = version::parse(version).map_err(|_| fail())?;
        let [python, abi, platform] = tags else { return Err(fail()) };
        let split = |tags: &str| -> Result<Vec<String>, Error> {
            let word = |tag: &str| !tag.is_empty() && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let tags = tags.split('.').map(|tag| Some(tag.to_owned()).filter(|tag| word(tag)));
            tags.collect::<Option<_>>().ok_or_else(fail)
        };
        Ok(Self {
            name: name::normalize(name),
            version,
            build: build.map(str::to_owned),
            python: split(python)?,
            abi: split(abi)?,
            platform: split(platform)?,
        })
    }
}

/// Reads the raw `METADATA` of a wheel, as an index serves it beside the wheel.
///
/// # Errors
/// See [`Error`].
pub fn read_metadata(wheel: &[u8]) -> Result<Vec<u8>, Error> {
    read_metadata_from(Cursor::new(wheel))
}

/// The same of a wheel in a file.
///
/// # Errors
/// See [`Error`].
pub fn read_metadata_from(wheel: impl Read + Seek) -> Result<Vec<u8>, Error> {
    let damaged = |error: &dyn std::fmt::Display| Error::Zip(error.to_string());
    let mut archive = ::zip::ZipArchive::new(wheel).map_err(|error| damaged(&error))?;
    if archive.len() > MOST_FILES {
        return Err(Error::TooManyFiles(MOST_FILES));
    }
    let is_metadata = |path: &str| path.strip_suffix(".dist-info/METADATA").is_some_and(|dir| !dir.contains('/'));
    let places: Vec<usize> = (0..archive.len())
        .filter(|place| archive.name_for_index(*place).is_some_and(|path| path.is_ok_and(|path| is_metadata(&path))))
        .collect();
    let [place] = places.as_slice() else { return Err(Error::NoMetadata(places.len())) };
    let file = archive.by_index(*place).map_err(|error| damaged(&error))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_METADATA + 1).read_to_end(&mut bytes).map_err(|error| damaged(&error))?;
    if bytes.len() as u64 > LARGEST_METADATA {
        return Err(metadata::Error::TooLarge(LARGEST_METADATA as usize).into());
    }
    Ok(bytes)
}
