//! From the files of a commit to a source package, without running anything of it.
//!
//! The real server runs `R CMD build` and `python -m build`. Here the files are packed as these would pack them, as far as that goes
//! without running code: no vignettes are built, no version is computed, no wheel is made. The log says so.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use pkg_formats::archive::{Compression, Files, tar_gz_at};
use pkg_formats::dcf;
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::name::normalize;
use pkg_formats::r::package::identity;
use pkg_formats::r::source::SourceSpec;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use toml::Spanned;

use crate::git::Tree;

/// A source package that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) filename: String,
    pub(crate) bytes: Vec<u8>,
}

/// What is put to the version of a commit that no tag names, so that it comes after the version that its author wrote: its day and
/// the second of the day in UTC, and one more for each commit of the same second before it. What the real server puts there is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Seconds since 1970.
    pub(crate) committed_at: i64,
    /// How many versions of the same second there are.
    pub(crate) nth: i64,
}

impl Stamp {
    fn parts(self) -> (String, i64) {
        let at = DateTime::<Utc>::from_timestamp(self.committed_at, 0).unwrap_or_default();
        (at.format("%Y%m%d").to_string(), self.committed_at.rem_euclid(86_400) + self.nth)
    }

    /// R's versions are numbers below 2^31.
    fn r(self, version: &str) -> String {
        let (day, second) = self.parts();
        format!("{version}.{day}.{second}")
    }

    /// A local version, which may follow any other.
    fn python(self, version: &str) -> String {
        let (day, second) = self.parts();
        let joint = if version.contains('+') { '.' } else { '+' };
        format!("{version}{joint}{day}.{second}")
    }
}

/// The name of the R package in `tree`.
pub(crate) fn r_name(tree: &Tree) -> Result<String, String> {
    let description = r_description(tree)?;
    let (name, _) = identity(&description).map_err(|error| format!("DESCRIPTION: {error}"))?;
    Ok(name.to_owned())
}

fn r_description(tree: &Tree) -> Result<dcf::Record, String> {
    let file = tree.files.get("DESCRIPTION").ok_or("there is no DESCRIPTION; --sub-dir says where the package is")?;
    let text = std::str::from_utf8(&file.bytes).map_err(|_| "DESCRIPTION is not UTF-8")?;
    dcf::parse_one(text).map_err(|error| format!("DESCRIPTION: {error}"))
}

/// Packs an R package as `R CMD build` would.
pub(crate) fn r_package(tree: &Tree, stamp: Option<Stamp>, log: &mut Vec<String>) -> Result<Made, String> {
    let mut description = r_description(tree)?;
    let (name, version) = identity(&description).map_err(|error| format!("DESCRIPTION: {error}"))?;
    let (name, version) = (name.to_owned(), version.to_string());
    log.push(format!("* checking for file '{name}/DESCRIPTION' ... OK"));
    for field in ["Depends", "Imports", "LinkingTo", "Suggests", "Enhances"] {
        let value = description.get(field).unwrap_or_default();
        pkg_formats::r::deps::parse(value).map_err(|error| format!("DESCRIPTION, field {field}: {error}"))?;
    }
    let version = stamp.map_or(version.clone(), |stamp| stamp.r(&version));
    description.set("Version", version.as_str());
    let is_compiled = tree.files.keys().any(|path| path.starts_with("src/"));
    description.set("NeedsCompilation", if is_compiled { "yes" } else { "no" });
    let packaged = DateTime::<Utc>::from_timestamp(tree.committed_at, 0).unwrap_or_default();
    description.set("Packaged", packaged.format("%Y-%m-%d %H:%M:%S UTC; teamsim").to_string());
    let ignored = ignored(tree, &name, log);
    let mut files = Files::new();
    let mut left_out = 0;
    for (path, file) in &tree.files {
        match path.as_str() {
            "DESCRIPTION" => {}
            path if is_ignored(path, &ignored) => left_out += 1,
            path => drop(files.insert(path.to_owned(), file.clone())),
        }
    }
    log.push(format!("* {} files are packed, {left_out} are left out", files.len() + 1));
    if tree.files.keys().any(|path| path.starts_with("vignettes/")) {
        log.push("* vignettes are not built: that would run R".to_owned());
    }
    let spec = SourceSpec { description, files };
    let bytes = spec.tar_gz().map_err(|error| error.to_string())?;
    let filename = spec.file_name().map_err(|error| error.to_string())?;
    log.push(format!("* building '{filename}'"));
    Ok(Made { name, version, filename, bytes })
}

/// What `R CMD build` always leaves out, at any depth or at the top.
const ALWAYS: [&str; 12] = [
    r"(^|/)\.DS_Store$",
    r"(^|/)\.git",
    r"(^|/)\.(svn|hg|bzr)(/|$)",
    r"^\.Rbuildignore$",
    r"^\.Rinstignore$|^\.Rhistory$|^\.RData$|^\.Rproj\.user(/|$)",
    r"\.Rproj$",
    r"~$",
    r"\.(bak|swp|orig)$",
    r"(^|/)\._",
    r"^\.github(/|$)",
    r"(^|/)CVS(/|$)",
    r"^src/.*\.(o|so|dll|dylib)$",
];
/// Patterns of a package, and bytes of one compiled.
const PATTERNS: usize = 1000;
const PATTERN: usize = 1 << 20;

fn pattern(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).case_insensitive(true).size_limit(PATTERN).build()
}

/// The patterns of what is left out: R's own and those of `.Rbuildignore`.
fn ignored(tree: &Tree, name: &str, log: &mut Vec<String>) -> Vec<Regex> {
    let mut patterns: Vec<Regex> = ALWAYS.iter().filter_map(|text| pattern(text).ok()).collect();
    patterns.extend(pattern(&format!(r"^{}_[0-9.-]+\.tar\.gz$", regex::escape(name))));
    let own = tree.files.get(".Rbuildignore").map(|file| String::from_utf8_lossy(&file.bytes).into_owned());
    for line in own.unwrap_or_default().lines().map(str::trim).filter(|line| !line.is_empty()).take(PATTERNS) {
        match pattern(line) {
            Ok(pattern) => patterns.push(pattern),
            Err(_) => {
                log.push(format!("* the pattern {line:?} of .Rbuildignore is not understood here and does nothing"));
            }
        }
    }
    patterns
}

/// A pattern that fits a folder leaves out what is in it.
fn is_ignored(path: &str, patterns: &[Regex]) -> bool {
    let folders = path.match_indices('/').map(|(at, _)| &path[..at]);
    folders.chain([path]).any(|part| patterns.iter().any(|pattern| pattern.is_match(part)))
}

/// The part of `pyproject.toml` that is read.
#[derive(Deserialize)]
struct Pyproject {
    project: Option<Project>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Project {
    name: String,
    version: Option<Spanned<String>>,
    description: Option<String>,
    requires_python: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
    #[serde(default)]
    optional_dependencies: BTreeMap<String, Vec<String>>,
    license: Option<License>,
    readme: Option<Readme>,
    #[serde(default)]
    classifiers: Vec<String>,
    #[serde(default)]
    dynamic: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum License {
    Expression(String),
    Table { text: Option<String> },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Readme {
    Path(String),
    Table { file: Option<String> },
}

/// The second day of 1980, whatever the time zone.
const IN_1980: u64 = 315_619_200;

/// Packs a Python project as an sdist, with `PKG-INFO` from `pyproject.toml`.
pub(crate) fn python_package(tree: &Tree, stamp: Option<Stamp>, log: &mut Vec<String>) -> Result<Made, String> {
    let file = tree.files.get("pyproject.toml");
    let file =
        file.ok_or("there is no pyproject.toml; --sub-dir says where the project is, and setup.py is not run here")?;
    let text = std::str::from_utf8(&file.bytes).map_err(|_| "pyproject.toml is not UTF-8")?;
    let parsed: Pyproject = toml::from_str(text).map_err(|error| format!("pyproject.toml: {}", error.message()))?;
    let project = parsed
        .project
        .ok_or("pyproject.toml has no [project] with name and version, and nothing is run to find them")?;
    let written =
        project.version.as_ref().ok_or_else(|| match project.dynamic.iter().any(|field| field == "version") {
            true => "the version is dynamic; write it into [project], since nothing is run to find it",
            false => "pyproject.toml has no version in [project]",
        })?;
    let version = stamp.map_or_else(|| written.get_ref().clone(), |stamp| stamp.python(written.get_ref()));
    let metadata = core_metadata(&project, &version, tree)?;
    metadata.check().map_err(|error| error.to_string())?;
    let stem = format!("{}-{version}", normalize(&metadata.name).replace('-', "_"));
    log.push(format!("* creating {stem}"));
    let mut files = Files::new();
    for (path, file) in &tree.files {
        if !path.starts_with(".git") && path != "PKG-INFO" {
            files.insert(format!("{stem}/{path}"), file.clone());
        }
    }
    if stamp.is_some() {
        // What is built from it must have the version that it is offered as.
        let span = written.span();
        let stamped = format!("{}\"{version}\"{}", &text[..span.start], &text[span.end..]);
        files.insert(format!("{stem}/pyproject.toml"), stamped.into());
        log.push(format!("* the version in pyproject.toml is now {version}"));
    }
    files.insert(format!("{stem}/PKG-INFO"), metadata.to_string().into());
    log.push(format!("* {} files are packed; no wheel is made: that would run the project", files.len()));
    // Build backends pack these files into zip files, which know no time before 1980.
    let at = u64::try_from(tree.committed_at).unwrap_or(0).max(IN_1980);
    let bytes = tar_gz_at(&files, Compression::Deflate, at).map_err(|error| error.to_string())?;
    let filename = format!("{stem}.tar.gz");
    log.push(format!("* building '{filename}'"));
    Ok(Made { name: normalize(&metadata.name), version, filename, bytes })
}

fn core_metadata(project: &Project, version: &str, tree: &Tree) -> Result<Metadata, String> {
    let line = |what: &str, text: &str| match text.chars().any(char::is_control) {
        false => Ok(text.to_owned()),
        true => Err(format!("pyproject.toml: {what} must be one line")),
    };
    let mut metadata = Metadata::new(line("name", &project.name)?, version);
    metadata.summary = project.description.as_deref().map(|text| line("description", text)).transpose()?;
    metadata.requires_python = project.requires_python.as_deref().map(|t| line("requires-python", t)).transpose()?;
    for dependency in &project.dependencies {
        metadata.requires_dist.push(line("dependencies", dependency)?);
    }
    for (extra, dependencies) in &project.optional_dependencies {
        metadata.provides_extra.push(line("optional-dependencies", extra)?);
        for dependency in dependencies {
            let dependency = line("optional-dependencies", dependency)?;
            metadata.requires_dist.push(match dependency.split_once(';') {
                Some((what, marker)) => format!("{}; ({}) and extra == \"{extra}\"", what.trim(), marker.trim()),
                None => format!("{dependency}; extra == \"{extra}\""),
            });
        }
    }
    let license = match &project.license {
        Some(License::Expression(text)) => Some(text),
        Some(License::Table { text }) => text.as_ref(),
        None => None,
    };
    if let Some(license) = license.and_then(|text| text.lines().next()) {
        metadata.other.push(("License".to_owned(), line("license", license)?));
    }
    for classifier in &project.classifiers {
        metadata.other.push(("Classifier".to_owned(), line("classifiers", classifier)?));
    }
    let readme = match &project.readme {
        Some(Readme::Path(path)) => Some(path),
        Some(Readme::Table { file }) => file.as_ref(),
        None => None,
    };
    if let Some((path, file)) = readme.and_then(|path| Some((path, tree.files.get(path)?))) {
        let kind = if path.to_lowercase().ends_with(".md") { "text/markdown" } else { "text/plain" };
        metadata.other.push(("Description-Content-Type".to_owned(), kind.to_owned()));
        metadata.description = String::from_utf8_lossy(&file.bytes).into_owned();
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).into())).collect();
        Tree { files, committed_at: 1_705_730_400 }
    }

    fn paths(bytes: &[u8]) -> Vec<String> {
        let mut paths = Vec::new();
        let limits = pkg_formats::archive::Limits::default();
        pkg_formats::archive::scan(bytes, &limits, |entry, _| {
            if entry.kind == pkg_formats::archive::Kind::File {
                paths.push(entry.path.clone());
            }
            Ok(())
        })
        .unwrap();
        paths
    }

    #[test]
    fn an_r_package_without_what_is_ignored() {
        let tree = tree(&[
            ("DESCRIPTION", "Package: own\nVersion: 1.2\nTitle: T\nVersion.x: y\n"),
            (".Rbuildignore", "^docs$\n^(?=x)\n\\.Rmd$\n"),
            (".gitignore", ""),
            ("NAMESPACE", ""),
            ("R/a.R", ""),
            ("R/a.R~", ""),
            ("docs/deep/index.html", ""),
            ("README.Rmd", ""),
            ("own.Rproj", ""),
        ]);
        let mut log = Vec::new();
        let made = r_package(&tree, None, &mut log).unwrap();
        assert_eq!(
            (made.name.as_str(), made.version.as_str(), made.filename.as_str()),
            ("own", "1.2", "own_1.2.tar.gz")
        );
        assert_eq!(paths(&made.bytes), ["own/DESCRIPTION", "own/NAMESPACE", "own/R/a.R"]);
        assert!(log.iter().any(|line| line.contains("(?=x)")), "{log:?}");
        let stamp = Stamp { committed_at: tree.committed_at, nth: 1 };
        assert_eq!(r_package(&tree, Some(stamp), &mut log).unwrap().filename, "own_1.2.20240120.21601.tar.gz");
        assert_eq!(r_package(&tree, None, &mut log).unwrap(), made, "the same commit gives the same bytes");
        assert_eq!(r_name(&tree).unwrap(), "own");
    }

    #[test]
    fn what_is_no_r_package() {
        let refused = |files: &[(&str, &str)]| r_package(&tree(files), None, &mut Vec::new()).unwrap_err();
        assert!(refused(&[("R/a.R", "")]).contains("--sub-dir"));
        assert!(refused(&[("DESCRIPTION", "Package: 1\nVersion: 1\n")]).starts_with("DESCRIPTION"));
        assert!(refused(&[("DESCRIPTION", "Package: own\nVersion: x\n")]).starts_with("DESCRIPTION"));
        assert!(refused(&[("DESCRIPTION", "no field")]).starts_with("DESCRIPTION"));
        assert!(refused(&[("DESCRIPTION", "Package: own\nVersion: 1.0\nImports: 9bad (1.0\n")]).contains("Imports"));
    }

    #[test]
    fn an_sdist_of_the_version_it_is_offered_as() {
        let pyproject = "[project]\nname = \"Own.Thing\"\nversion = '1.0' # here\nrequires-python = \">=3.8\"\n\
                         dependencies = [\"x>1\"]\n[project.optional-dependencies]\nmore = [\"y; python_version < '3.9'\"]\n";
        let tree = tree(&[("pyproject.toml", pyproject), ("own.py", ""), (".github/x", "")]);
        let made = python_package(&tree, None, &mut Vec::new()).unwrap();
        assert_eq!((made.name.as_str(), made.filename.as_str()), ("own-thing", "own_thing-1.0.tar.gz"));
        assert_eq!(
            paths(&made.bytes),
            ["own_thing-1.0/PKG-INFO", "own_thing-1.0/own.py", "own_thing-1.0/pyproject.toml"]
        );
        let stamp = Stamp { committed_at: tree.committed_at, nth: 0 };
        let made = python_package(&tree, Some(stamp), &mut Vec::new()).unwrap();
        assert_eq!(made.filename, "own_thing-1.0+20240120.21600.tar.gz");
        let mut texts = BTreeMap::new();
        pkg_formats::archive::scan(made.bytes.as_slice(), &pkg_formats::archive::Limits::default(), |entry, data| {
            let mut text = String::new();
            std::io::Read::read_to_string(data, &mut text)?;
            texts.insert(entry.path.rsplit('/').next().unwrap().to_owned(), text);
            Ok(())
        })
        .unwrap();
        assert!(texts["pyproject.toml"].contains("\nversion = \"1.0+20240120.21600\" # here\n"));
        let info = Metadata::parse(texts["PKG-INFO"].as_bytes()).unwrap();
        assert_eq!(info.requires_dist, ["x>1", "y; (python_version < '3.9') and extra == \"more\""]);
        assert_eq!(info.version, "1.0+20240120.21600");
    }

    #[test]
    fn what_is_no_python_project() {
        let refused =
            |text: &str| python_package(&tree(&[("pyproject.toml", text)]), None, &mut Vec::new()).unwrap_err();
        assert!(refused("[project]\nname = \"a\"\ndynamic = [\"version\"]\n").contains("dynamic"));
        assert!(refused("[build-system]\nrequires = []\n").contains("[project]"));
        assert!(refused("[project\n").starts_with("pyproject.toml"));
        assert!(
            refused("[project]\nname = \"a\"\nversion = \"1\"\ndescription = \"a\\nLicense: b\"\n")
                .contains("one line")
        );
        assert!(refused("[project]\nname = \"a b\"\nversion = \"1\"\n").contains("project name"));
        assert!(
            python_package(&tree(&[("setup.py", "")]), None, &mut Vec::new()).unwrap_err().contains("pyproject.toml")
        );
    }
}
