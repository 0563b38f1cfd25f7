//! What source and binary package archives have in common: one top directory `{package}/` with a `DESCRIPTION`.

use std::io::Read;

use super::{RVersion, deps, is_package_name, version};
use crate::archive::{self, Compression, File, Files, Kind, Limits};
use crate::dcf::{self, Record};

/// Why a package cannot be read or made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The archive is bad.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// The `DESCRIPTION` is not in Debian control format.
    #[error("DESCRIPTION: {0}")]
    Dcf(#[from] dcf::Error),
    /// There is no `{package}/DESCRIPTION`.
    #[error("the archive is not an R package: it has no DESCRIPTION in a top directory")]
    NoDescription,
    /// The `DESCRIPTION` is larger than a mebibyte.
    #[error("DESCRIPTION is larger than a mebibyte")]
    DescriptionTooLarge,
    /// The `DESCRIPTION` is neither UTF-8 nor declared as Latin-1.
    #[error("DESCRIPTION is not UTF-8 and does not declare `Encoding: latin1`")]
    Encoding,
    /// A field that every package has is missing.
    #[error("DESCRIPTION has no field `{0}`")]
    MissingField(&'static str),
    /// The `Package` field is no package name.
    #[error("`{0}` is not a package name: use ASCII letters, digits and dots, beginning with a letter")]
    BadName(String),
    /// The `Version` field is no version.
    #[error("DESCRIPTION: {0}")]
    BadVersion(#[from] version::Error),
    /// A dependency field cannot be understood.
    #[error("DESCRIPTION: {0}")]
    BadDependency(#[from] deps::Error),
}

const LARGEST_DESCRIPTION: u64 = 1 << 20;

/// Name and version, checked, of a `DESCRIPTION`.
///
/// # Errors
/// [`Error::MissingField`], [`Error::BadName`], [`Error::BadVersion`]: a package's version has at least two numbers.
pub fn identity(description: &Record) -> Result<(&str, RVersion), Error> {
    let name = description.get("Package").ok_or(Error::MissingField("Package"))?;
    if !is_package_name(name) {
        return Err(Error::BadName(name.chars().take(80).collect()));
    }
    let version = description.get("Version").ok_or(Error::MissingField("Version"))?;
    let version: RVersion = version.parse()?;
    match version.parts() {
        [_] => Err(version::Error(version.to_string()).into()),
        _ => Ok((name, version)),
    }
}

/// Reads the `DESCRIPTION` of a package archive (`.tar.gz`, `.tgz`), checking the whole archive on the way.
///
/// # Errors
/// See [`Error`].
pub fn read_description(package: impl Read, limits: &Limits) -> Result<Record, Error> {
    let mut found: Option<Vec<u8>> = None;
    archive::scan(package, limits, |entry, data| {
        if entry.kind == Kind::File && is_description(&entry.path) {
            let mut bytes = Vec::new();
            data.take(LARGEST_DESCRIPTION + 1).read_to_end(&mut bytes)?;
            found = Some(bytes);
        }
        Ok(())
    })?;
    parse_description(&found.ok_or(Error::NoDescription)?)
}

/// Packs a package anew with its `DESCRIPTION` edited, as Package Manager does to stamp `Repository`.
///
/// # Errors
/// See [`Error`]. The archive is held in memory, so give `limits` that fit.
pub fn rewrite_description(
    package: impl Read,
    limits: &Limits,
    compression: Compression,
    edit: impl FnOnce(&mut Record),
) -> Result<Vec<u8>, Error> {
    let mut files = Files::new();
    archive::scan(package, limits, |entry, data| {
        if entry.kind == Kind::File {
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes)?;
            files.insert(entry.path.clone(), File { bytes, executable: entry.executable });
        }
        Ok(())
    })?;
    let file = files.iter_mut().find(|(path, _)| is_description(path)).ok_or(Error::NoDescription)?.1;
    let mut description = parse_description(&file.bytes)?;
    edit(&mut description);
    // What is written is UTF-8 whatever was read.
    if description.get("Encoding").is_some() {
        description.set("Encoding", "UTF-8");
    }
    file.bytes = dcf::write(&[description]).into_bytes();
    Ok(archive::tar_gz(&files, compression)?)
}

fn is_description(path: &str) -> bool {
    path.split_once('/').is_some_and(|(_, rest)| rest == "DESCRIPTION")
}

fn parse_description(bytes: &[u8]) -> Result<Record, Error> {
    if bytes.len() as u64 > LARGEST_DESCRIPTION {
        return Err(Error::DescriptionTooLarge);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(dcf::parse_one(text)?),
        Err(_) => {
            let text: String = bytes.iter().copied().map(char::from).collect();
            let record = dcf::parse_one(&text)?;
            match record.get("Encoding") {
                Some(encoding) if encoding.eq_ignore_ascii_case("latin1") => Ok(record),
                _ => Err(Error::Encoding),
            }
        }
    }
}
