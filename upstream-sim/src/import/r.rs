//! R packages: source packages and binary packages as files, and libraries of installed packages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use md5::{Digest as _, Md5};
use pkg_formats::archive::{Compression, File, Files, tar_gz};
use pkg_formats::dcf;
use pkg_formats::psp::{Artifact, ArtifactKind, Digest, FeedKind, RRecord, RState, RVersion};
use pkg_formats::r::binary::Built;
use pkg_formats::r::{self, deps, package};
use sha2::Sha256;

use super::{Contents, Held, ImportError, Imported, LARGEST, LIMITS, MOST_FILES, file_name, not_a_package};
use crate::catalogue;
use crate::history::time;
use crate::packages::Record;

/// Files of a version have the numbers `16v` (source) and from `16v + 1` (binaries).
const FILES_A_VERSION: u32 = 16;

/// A version of a package.
pub(super) struct Release {
    version: r::RVersion,
    description: String,
    /// At most one is not built.
    origins: Vec<Origin>,
}

/// Where a file comes from.
struct Origin {
    path: PathBuf,
    /// None for a source package.
    built: Option<Build>,
}

/// What a binary package is for.
struct Build {
    /// Minor version of R.
    r: String,
    arch: String,
    distribution: String,
    /// It is an installed tree yet, to be packed.
    installed: bool,
}

/// What binary packages are for, looked up when the first is met.
pub(super) struct System {
    distribution: Option<String>,
}

impl System {
    pub(super) fn new(distribution: Option<&str>) -> Self {
        Self { distribution: distribution.map(str::to_owned) }
    }

    fn distribution(&mut self) -> Result<String, ImportError> {
        if let Some(known) = &self.distribution {
            return Ok(known.clone());
        }
        let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
        let code = distribution_of(&text).ok_or_else(|| ImportError::NoSuchSystem { found: told(&text) })?;
        self.distribution = Some(code.clone());
        Ok(code)
    }
}

fn os_field<'t>(text: &'t str, name: &str) -> &'t str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    line.unwrap_or_default().trim_matches(['"', '\''])
}

fn told(text: &str) -> String {
    format!("{} {}", os_field(text, "ID"), os_field(text, "VERSION_ID"))
}

/// The code of the distribution that `os-release` tells of.
fn distribution_of(text: &str) -> Option<String> {
    let id = match os_field(text, "ID") {
        "rhel" => "redhat",
        "rocky" => "rockylinux",
        "sles" => "sle",
        other => other.strip_prefix("opensuse").map_or(other, |_| "opensuse"),
    };
    let version = os_field(text, "VERSION_ID");
    let major = version.split('.').next().unwrap_or_default();
    catalogue::rows(include_str!("../../data/distros.tsv"))
        .find(|row| row[1] == "linux" && row[3] == id && [version, major].contains(&row[4]) && row[6].contains('b'))
        .map(|row| row[2].to_owned())
}

fn checked(description: &dcf::Record) -> Result<(String, r::RVersion, Option<Built>), package::Error> {
    let (name, version) = package::identity(description)?;
    for field in ["Depends", "Imports", "LinkingTo", "Suggests", "Enhances"] {
        deps::parse(description.get(field).unwrap_or_default())?;
    }
    let built = description.get("Built").and_then(|built| built.parse().ok());
    Ok((name.to_owned(), version, built))
}

fn build(built: &Built, distribution: String, installed: bool) -> Build {
    let minor: Vec<String> = built.r.parts().iter().take(2).map(ToString::to_string).collect();
    let arch = match built.platform.split('-').next().unwrap_or_default() {
        // Without compiled code it runs on every CPU.
        "" => "*",
        "aarch64" => "arm64",
        other => other,
    };
    Build { r: minor.join("."), arch: arch.to_owned(), distribution, installed }
}

/// Adds an R package to its versions; false when the file is none.
pub(super) fn add_file(
    path: &Path,
    bytes: &[u8],
    packages: &mut BTreeMap<String, Vec<Release>>,
    system: &mut System,
) -> Result<bool, ImportError> {
    let filename = file_name(path);
    if filename.ends_with(".whl") {
        return Ok(false);
    }
    let description = match package::read_description(bytes, &LIMITS) {
        Ok(description) => description,
        Err(package::Error::NoDescription) => return Ok(false),
        Err(error) => return Err(not_a_package(path, error)),
    };
    let (name, version, built) = checked(&description).map_err(|error| not_a_package(path, error))?;
    if filename.split('_').next() != Some(&name) {
        return Err(not_a_package(
            path,
            format!("it holds package {name}; the file must be named {name}_{version}.tar.gz"),
        ));
    }
    let built = built.map(|built| Ok(build(&built, system.distribution()?, false))).transpose()?;
    add(packages, name, version, &description, Origin { path: path.to_owned(), built })?;
    Ok(true)
}

/// Adds the packages of a library, but not those of R itself.
pub(super) fn add_library(
    library: &Path,
    packages: &mut BTreeMap<String, Vec<Release>>,
    system: &mut System,
    hash: &mut Sha256,
) -> Result<(), ImportError> {
    let io = |source| ImportError::Io { path: library.to_owned(), source };
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(library).map_err(io)?.map(|entry| Ok(entry?.path())).collect::<Result<_, _>>().map_err(io)?;
    folders.sort();
    let mut found = 0;
    for folder in folders.into_iter().filter(|folder| folder.join("DESCRIPTION").is_file()) {
        let text = std::fs::read(folder.join("DESCRIPTION")).map_err(io)?;
        let bad = |error: &dyn std::fmt::Display| not_a_package(&folder, error);
        let description = dcf::parse_one(&String::from_utf8_lossy(&text)).map_err(|error| bad(&error))?;
        if description.get("Priority") == Some("base") {
            continue;
        }
        let (name, version, built) = checked(&description).map_err(|error| bad(&error))?;
        let built = built.ok_or_else(|| bad(&"DESCRIPTION has no field `Built`: it is not installed"))?;
        // What tells this library from another; packing it takes too long for the start.
        hash.update(&text);
        let mut files = Vec::new();
        walk(&folder, "", &mut files).map_err(|error| bad(&error))?;
        for (file, size) in &files {
            hash.update(file);
            hash.update(size.to_be_bytes());
        }
        let built = Some(build(&built, system.distribution()?, true));
        add(packages, name, version, &description, Origin { path: folder, built })?;
        found += 1;
    }
    if found == 0 {
        return Err(not_a_package(library, "the library holds no package but those of R itself"));
    }
    Ok(())
}

fn add(
    packages: &mut BTreeMap<String, Vec<Release>>,
    name: String,
    version: r::RVersion,
    description: &dcf::Record,
    origin: Origin,
) -> Result<(), ImportError> {
    let releases = packages.entry(name).or_default();
    let mut described = description.clone();
    described.remove("Built");
    let text = dcf::write(std::slice::from_ref(&described));
    let is_source = origin.built.is_none();
    let Some(release) = releases.iter_mut().find(|release| release.version == version) else {
        releases.push(Release { version, description: text, origins: vec![origin] });
        return Ok(());
    };
    let what = |origin: &Origin| origin.built.as_ref().map(|b| (b.r.clone(), b.arch.clone(), b.distribution.clone()));
    if let Some(other) = release.origins.iter().find(|other| what(other) == what(&origin)) {
        return Err(ImportError::Twice { path: origin.path, other: other.path.clone() });
    }
    if release.origins.len() as u32 == FILES_A_VERSION {
        return Err(not_a_package(&origin.path, "there are too many files of this version"));
    }
    if is_source {
        release.description = text;
    }
    release.origins.push(origin);
    release.origins.sort_by_key(|origin| origin.built.is_some());
    Ok(())
}

/// Files below a folder, by their paths in it, with their sizes. Links are followed, as R follows them.
fn walk(folder: &Path, prefix: &str, files: &mut Vec<(String, u64)>) -> std::io::Result<()> {
    let mut names: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().into_string();
        names.push(name.map_err(|name| std::io::Error::other(format!("{} is not UTF-8", name.display())))?);
    }
    names.sort();
    for name in names {
        let path = folder.join(&name);
        // A link that leads nowhere is of no use to R either.
        let Ok(metadata) = std::fs::metadata(&path) else { continue };
        let plain = format!("{prefix}{name}");
        if metadata.is_dir() && plain.matches('/').count() < 16 {
            walk(&path, &format!("{plain}/"), files)?;
        } else if metadata.is_file() {
            files.push((plain, metadata.len()));
        }
        if files.len() > MOST_FILES || files.iter().map(|(_, size)| size).sum::<u64>() > LARGEST {
            return Err(std::io::Error::other(format!("more than {MOST_FILES} files or {LARGEST} bytes")));
        }
    }
    Ok(())
}

/// An installed package as a binary package: the tree under its name, packed. The same tree gives the same bytes.
fn pack(folder: &Path) -> std::io::Result<Vec<u8>> {
    let package = file_name(folder);
    let mut found = Vec::new();
    walk(folder, "", &mut found)?;
    let mut files = Files::new();
    for (path, _) in found {
        let bytes = std::fs::read(folder.join(&path))?;
        let executable = path.starts_with("libs/") || path.starts_with("bin/");
        files.insert(format!("{package}/{path}"), File { bytes, executable });
    }
    tar_gz(&files, Compression::Deflate).map_err(std::io::Error::other)
}

pub(super) fn held(name: String, mut releases: Vec<Release>) -> Held {
    releases.sort_by(|a, b| a.version.cmp(&b.version));
    let versions = releases.iter().map(|release| release.version.to_string()).collect();
    Held { name, versions, contents: Contents::R(releases), record: OnceLock::new() }
}

pub(super) fn record(name: &str, releases: &[Release]) -> Record {
    let mut places = Vec::new();
    let mut versions = Vec::new();
    for (place, release) in releases.iter().enumerate() {
        let mut artifacts = Vec::new();
        for (origin, number) in release.origins.iter().zip(0..) {
            let bytes = origin.bytes();
            let sha256 = Digest::of(&bytes);
            places.push((sha256, place as u32 * FILES_A_VERSION + number));
            let built = origin.built.as_ref();
            artifacts.push(Artifact {
                arch: built.map(|built| built.arch.clone()),
                filename: format!("{name}_{}.tar.gz", release.version),
                kind: if built.is_some() { ArtifactKind::Linux } else { ArtifactKind::Source },
                md5: if built.is_some() { String::new() } else { hex::encode(Md5::digest(&bytes)) },
                r: built.map(|built| built.r.clone()),
                sha256,
                size: bytes.len() as u64,
                tag: built.map(|built| built.distribution.clone()),
            });
        }
        let archived_at = (place + 1 < releases.len()).then(|| time(Imported::at(FeedKind::R, place + 1)));
        versions.push(RVersion {
            archived_at,
            artifacts,
            description: release.description.clone(),
            published_at: time(Imported::at(FeedKind::R, place)),
            readme: None,
            readme_type: None,
            state: if archived_at.is_some() { RState::Archived } else { RState::Current },
            version: release.version.to_string(),
        });
    }
    let record = RRecord { name: name.to_owned(), removed_at: None, versions };
    Record { json: serde_json::to_vec(&record).expect("a record is plain data"), files: places }
}

impl Origin {
    /// What has gone is missed when the digest of nothing is compared.
    fn bytes(&self) -> Vec<u8> {
        let installed = self.built.as_ref().is_some_and(|built| built.installed);
        let bytes = if installed { pack(&self.path) } else { std::fs::read(&self.path) };
        bytes
            .inspect_err(|error| tracing::warn!(path = %self.path.display(), %error, "an import is gone"))
            .unwrap_or_default()
    }
}

pub(super) fn bytes(releases: &[Release], number: u32) -> Vec<u8> {
    releases[(number / FILES_A_VERSION) as usize].origins[(number % FILES_A_VERSION) as usize].bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributions_by_what_they_say() {
        let code = |id: &str, version: &str| distribution_of(&format!("NAME=x\nID={id}\nVERSION_ID=\"{version}\"\n"));
        assert_eq!(code("debian", "12").as_deref(), Some("bookworm"));
        assert_eq!(code("ubuntu", "22.04").as_deref(), Some("jammy"));
        assert_eq!(code("plan9", "4"), None);
        assert_eq!(distribution_of(""), None);
    }

    #[test]
    fn cpus_of_builds() {
        let built = |text: &str| build(&text.parse().unwrap(), "x".to_owned(), true);
        let compiled = built("R 4.2.2; aarch64-unknown-linux-gnu; 2026-01-01 00:00:00 UTC; unix");
        assert_eq!((compiled.r.as_str(), compiled.arch.as_str()), ("4.2", "arm64"));
        assert_eq!(built("R 4.4.0; ; 2026-01-01 00:00:00 UTC; unix").arch, "*");
    }
}
