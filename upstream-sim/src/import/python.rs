//! Wheels and sdists.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pkg_formats::psp::{Digest, FeedKind, PythonFile, PythonRecord};
use pkg_formats::python::distribution::Distribution;
use pkg_formats::python::name::normalize;
use pkg_formats::python::version;

use super::{Contents, Held, ImportError, Imported, LIMITS, file_name, not_a_package};
use crate::history::time;
use crate::packages::Record;

/// Files have even numbers by their place, the metadata beside wheels the odd ones after them.
const NUMBERS: u32 = 2;

/// A file of a project.
pub(super) struct Distributed {
    path: PathBuf,
    filename: String,
    inside: Distribution,
    sha256: Digest,
    size: u64,
}

/// Adds a file to its project.
pub(super) fn add_file(
    path: &Path,
    bytes: &[u8],
    projects: &mut BTreeMap<String, Vec<Distributed>>,
) -> Result<(), ImportError> {
    let filename = file_name(path);
    let inside =
        Distribution::read(&filename, Cursor::new(bytes), &LIMITS).map_err(|error| not_a_package(path, error))?;
    let files = projects.entry(normalize(&inside.metadata.name)).or_default();
    let sha256 = Digest::of(bytes);
    match files.iter().find(|file| file.filename == filename) {
        Some(other) if other.sha256 == sha256 => {}
        Some(other) => return Err(ImportError::Twice { path: path.to_owned(), other: other.path.clone() }),
        None => files.push(Distributed { path: path.to_owned(), filename, inside, sha256, size: bytes.len() as u64 }),
    }
    Ok(())
}

/// A project of its files.
pub(super) fn held(name: String, mut files: Vec<Distributed>) -> Held {
    // Of one version the sdist before the wheels.
    files.sort_by_cached_key(|file| {
        (version::parse(&file.inside.metadata.version).ok(), file.inside.beside.is_some(), file.filename.clone())
    });
    let mut versions: Vec<String> = files.iter().map(|file| file.inside.metadata.version.clone()).collect();
    versions.dedup();
    Held { name, versions, contents: Contents::Python(files), record: OnceLock::new() }
}

pub(super) fn record(name: &str, files: &[Distributed]) -> Record {
    let mut places = Vec::new();
    let mut listed: Vec<PythonFile> = Vec::new();
    let mut versions = 0;
    for (file, number) in files.iter().zip(0..) {
        let metadata = &file.inside.metadata;
        if listed.last().is_some_and(|last| last.version != metadata.version) {
            versions += 1;
        }
        let beside = file.inside.beside.as_deref().map(Digest::of);
        places.push((file.sha256, number * NUMBERS));
        places.extend(beside.map(|digest| (digest, number * NUMBERS + 1)));
        listed.push(PythonFile {
            filename: file.filename.clone(),
            metadata_sha256: beside,
            requires_python: metadata.requires_python.clone(),
            sha256: file.sha256,
            size: file.size,
            upload_time: time(Imported::at(FeedKind::Python, versions)),
            version: metadata.version.clone(),
            yanked: None,
            yanked_at: None,
        });
    }
    let newest = files.last().map(|file| &file.inside.metadata);
    let header = |name: &str| {
        let headers = newest.into_iter().flat_map(|metadata| &metadata.other);
        headers.filter(|(have, _)| have.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone()).next()
    };
    let record = PythonRecord {
        last_serial: listed.len() as u64,
        files: listed,
        license: header("License-Expression").or_else(|| header("License")),
        name: name.to_owned(),
        project: newest.map_or(name, |metadata| &metadata.name).to_owned(),
        removed_at: None,
        summary: newest.and_then(|metadata| metadata.summary.clone()).unwrap_or_default(),
    };
    Record { json: serde_json::to_vec(&record).expect("a record is plain data"), files: places }
}

pub(super) fn bytes(files: &[Distributed], number: u32) -> Vec<u8> {
    let file = &files[(number / NUMBERS) as usize];
    match number % NUMBERS {
        // What has gone is missed when the digest of nothing is compared.
        0 => std::fs::read(&file.path).unwrap_or_default(),
        _ => file.inside.beside.clone().unwrap_or_default(),
    }
}
