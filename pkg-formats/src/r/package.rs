//! What source and binary package archives have in common: one top directory `{package}/` with a `DESCRIPTION`.

use std::io::Read;

use md5::{Digest, Md5};

use super::binary::{Built, package_rds};
use super::{RVersion, deps, is_package_name, version};
use crate::archive::{self, Compression, File, Files, Kind, Limits, gzip};
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
    /// There are several top directories with a `DESCRIPTION`.
    #[error("the archive holds more than one R package")]
    SeveralPackages,
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
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    archive::scan(package, limits, |entry, data| {
        if entry.kind == Kind::File && top_of_description(&entry.path).is_some() {
            let mut bytes = Vec::new();
            data.take(LARGEST_DESCRIPTION + 1).read_to_end(&mut bytes)?;
            found.retain(|(path, _)| *path != entry.path);
            // Two are as wrong as more.
            found.truncate(1);
            found.push((entry.path.clone(), bytes));
        }
        Ok(())
    })?;
    match found.as_slice() {
        [] => Err(Error::NoDescription),
        [(_, bytes)] => parse_description(bytes),
        _ => Err(Error::SeveralPackages),
    }
}

/// Packs a package anew with its `DESCRIPTION` edited, as Package Manager does to stamp `Repository`; `None` when the
/// edit changes nothing.
///
/// What depends on the `DESCRIPTION` changes along: in a binary package the copy in `Meta/package.rds`, which is what R
/// reads once the package is installed, and in any package the checksums in `MD5`, which R checks when it installs.
///
/// # Errors
/// See [`Error`]. The archive is held in memory, so give `limits` that fit.
pub fn rewrite_description(
    package: impl Read,
    limits: &Limits,
    edit: impl FnOnce(&mut Record),
) -> Result<Option<Vec<u8>>, Error> {
    let mut files = Files::new();
    archive::scan(package, limits, |entry, data| {
        if entry.kind == Kind::File {
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes)?;
            files.insert(entry.path.clone(), File { bytes, executable: entry.executable });
        }
        Ok(())
    })?;
    let mut tops = files.keys().filter_map(|path| top_of_description(path));
    let top = tops.next().ok_or(Error::NoDescription)?.to_owned();
    if tops.next().is_some() {
        return Err(Error::SeveralPackages);
    }
    let mut edited = Edited { files, top, changed: Vec::new() };
    let mut description = parse_description(&edited.get("DESCRIPTION").ok_or(Error::NoDescription)?.bytes)?;
    let before = description.clone();
    edit(&mut description);
    if description == before {
        return Ok(None);
    }
    // What is written is UTF-8 whatever was read.
    if description.get("Encoding").is_some() {
        description.set("Encoding", "UTF-8");
    }
    if edited.get("Meta/package.rds").is_some()
        && let Some(built) = description.get("Built").and_then(|built| built.parse::<Built>().ok())
    {
        let metadata = package_rds(&description, &built)?.to_bytes();
        edited.set("Meta/package.rds", gzip(&metadata, Compression::Deflate));
    }
    edited.set("DESCRIPTION", dcf::write(&[description]).into_bytes());
    edited.update_checksums();
    Ok(Some(archive::tar_gz(&edited.files, Compression::Deflate)?))
}

/// The files of a package some of which are changed.
struct Edited {
    files: Files,
    /// The package's directory in the archive.
    top: String,
    /// Paths below it.
    changed: Vec<&'static str>,
}

impl Edited {
    fn get(&mut self, path: &str) -> Option<&mut File> {
        self.files.get_mut(&format!("{}/{path}", self.top))
    }

    fn set(&mut self, path: &'static str, bytes: Vec<u8>) {
        if let Some(file) = self.get(path) {
            file.bytes = bytes;
            self.changed.push(path);
        }
    }

    /// Rewrites the lines `{digest} *{path}` of `MD5` for the files that were changed.
    fn update_checksums(&mut self) {
        for path in std::mem::take(&mut self.changed) {
            let digest = self.get(path).map(|file| hex::encode(Md5::digest(&file.bytes)));
            let (Some(digest), Some(checksums)) = (digest, self.get("MD5")) else { continue };
            let text = String::from_utf8_lossy(&checksums.bytes);
            let lines = text.lines().map(|line| match line.split_once([' ', '\t']) {
                Some((_, named)) if named.trim_start_matches([' ', '*']) == path => format!("{digest} *{path}\n"),
                _ => format!("{line}\n"),
            });
            checksums.bytes = lines.collect::<String>().into_bytes();
        }
    }
}

/// The top directory, if the path is that of a `DESCRIPTION` in one.
fn top_of_description(path: &str) -> Option<&str> {
    path.strip_suffix("/DESCRIPTION").filter(|top| !top.contains('/'))
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
