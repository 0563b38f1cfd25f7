//! Python scenarios, in the format of packse.

use std::collections::{BTreeMap, HashSet};

use chrono::NaiveDate;
use pkg_formats::archive::{File, Files};
use pkg_formats::psp::{Digest, FeedKind, Op, PythonFile, PythonRecord};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::name::{file_form, normalize};
use pkg_formats::python::requirements::parse_requirement;
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::version;
use pkg_formats::python::wheel::{WheelName, WheelSpec};
use serde::Deserialize;

use super::{Expected, check_name};
use crate::catalogue;
use crate::history::{DAY, Event, date, time};
use crate::packages::{Package, Packages, Record};

/// The day before the feed's history begins, so that every snapshot has all of it.
pub(crate) const DAY_OF_ALL: i64 = 18_660;

/// Files of version `v` have the numbers `256v` (sdist), `256v + 1` (metadata) and from `256v + 2` (wheels).
const FILES_A_VERSION: u32 = 256;
const WHEELS: u32 = 2;
const MOST_TAGS: usize = 200;

/// What a file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// What it is about.
    #[serde(default)]
    pub description: String,
    /// What is asked for.
    pub root: Root,
    /// What there is.
    #[serde(default)]
    pub packages: BTreeMap<String, Versions>,
    /// What should come of it.
    pub expected: Expected,
    /// Where it is asked.
    #[serde(default)]
    pub environment: Environment,
    /// How it is asked.
    #[serde(default)]
    pub resolver_options: ResolverOptions,
}

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Pythons it should hold for.
    pub requires_python: Option<String>,
    /// Requirements.
    #[serde(default)]
    pub requires: Vec<String>,
}

/// Versions of a package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// By version.
    #[serde(default)]
    pub versions: BTreeMap<String, Version>,
}

/// One version of a package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Version {
    /// Requirements.
    pub requires: Vec<String>,
    /// Pythons it runs on; none at all when empty.
    pub requires_python: Option<String>,
    /// Requirements by extra.
    pub extras: BTreeMap<String, Vec<String>>,
    /// There is an sdist.
    pub sdist: bool,
    /// There are wheels.
    pub wheel: bool,
    /// It is yanked.
    pub yanked: bool,
    /// Of the wheels.
    pub wheel_tags: Vec<String>,
    /// One line.
    pub description: String,
}

impl Default for Version {
    fn default() -> Self {
        Self {
            requires: Vec::new(),
            requires_python: Some(">=3.12".to_owned()),
            extras: BTreeMap::new(),
            sdist: true,
            wheel: true,
            yanked: false,
            wheel_tags: Vec::new(),
            description: String::new(),
        }
    }
}

/// Pythons that a scenario is played with.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Environment {
    /// The active one.
    pub python: Option<String>,
    /// Others that could be found.
    pub additional_python: Vec<String>,
}

/// Options for the resolver.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ResolverOptions {
    /// The Python to resolve for.
    pub python: Option<String>,
    /// Pre-releases are allowed.
    pub prereleases: Option<bool>,
    /// Packages that must not be built.
    pub no_build: Vec<String>,
    /// Packages whose wheels must not be used.
    pub no_binary: Vec<String>,
    /// For all platforms at once.
    pub universal: bool,
    /// The platform to resolve for.
    pub python_platform: Option<String>,
    /// Environments that must be satisfied.
    pub required_environments: Vec<String>,
}

/// A name, or a requirement that begins with one, as it is published.
pub(crate) fn published(scenario: &str, requirement: &str) -> String {
    format!("{scenario}-{}", requirement.trim_start())
}

/// A project to be published.
pub(crate) struct Project {
    name: String,
    summary: String,
    releases: Vec<Release>,
}

struct Release {
    metadata: Metadata,
    at: i64,
    sdist: bool,
    tags: Vec<String>,
    yanked: bool,
}

impl Scenario {
    /// What it publishes.
    ///
    /// # Errors
    /// The key and what is wrong with its value.
    pub(crate) fn projects(&self) -> Result<Vec<Project>, String> {
        check_name(&self.name)?;
        for item in &self.root.requires {
            requirement(item).map_err(|reason| format!("root.requires: {reason}"))?;
        }
        let mut projects = Vec::new();
        let mut seen = HashSet::new();
        for (package, versions) in &self.packages {
            let name = normalize(&published(&self.name, package));
            if catalogue::pypi().places.contains_key(&name) || !seen.insert(name.clone()) {
                return Err(format!("packages.{package}: there is another package {name:?}"));
            }
            let mut releases = Vec::new();
            for (text, version) in &versions.versions {
                let release = self.release(&name, text, version);
                releases.push(release.map_err(|reason| format!("packages.{package}.versions.{text:?}: {reason}"))?);
            }
            // Each has been parsed.
            releases.sort_by_cached_key(|release| version::parse(&release.metadata.version).ok());
            for (release, second) in releases.iter_mut().zip(0..) {
                release.at = DAY_OF_ALL * DAY + second;
            }
            if let Some(last) = releases.last() {
                let summary = last.metadata.summary.clone().unwrap_or_default();
                projects.push(Project { name, summary, releases });
            }
        }
        Ok(projects)
    }

    fn release(&self, name: &str, text: &str, version: &Version) -> Result<Release, String> {
        let mut metadata = Metadata::new(name.to_owned(), text.to_owned());
        let own = |key: &str, item: &String| requirement(item).map_err(|reason| format!("{key}: {reason}"));
        for item in &version.requires {
            own("requires", item)?;
            metadata.requires_dist.push(published(&self.name, item));
        }
        for (extra, items) in &version.extras {
            metadata.provides_extra.push(extra.clone());
            for item in items {
                own("extras", item)?;
                let item = published(&self.name, item);
                metadata.requires_dist.push(match item.split_once(';') {
                    Some((what, marker)) => format!("{what}; ({}) and extra == '{extra}'", marker.trim()),
                    None => format!("{item} ; extra == '{extra}'"),
                });
            }
        }
        metadata.requires_python = version.requires_python.clone().filter(|python| !python.is_empty());
        metadata.summary = Some(match version.description.as_str() {
            "" => format!("Part of scenario {}", self.name),
            said => said.replace(['\n', '\r'], " "),
        });
        metadata.description = "Synthetic contents made by teamsim for a scenario.\n".to_owned();
        metadata.check().map_err(|error| error.to_string())?;
        for item in &metadata.requires_dist {
            requirement(item)?;
        }
        let mut tags = match version.wheel_tags.as_slice() {
            [] => vec!["py3-none-any".to_owned()],
            tags => tags.to_vec(),
        };
        if tags.len() > MOST_TAGS {
            return Err(format!("wheel_tags: more than {MOST_TAGS}"));
        }
        for tag in &tags {
            let name = format!("{}-{text}-{tag}.whl", file_form(name));
            name.parse::<WheelName>().map_err(|error| format!("wheel_tags: {tag:?}: {error}"))?;
        }
        tags.retain(|_| version.wheel);
        Ok(Release { metadata, at: 0, sdist: version.sdist, tags, yanked: version.yanked })
    }
}

fn requirement(text: &str) -> Result<(), String> {
    match parse_requirement(text) {
        Ok(requirement) if matches!(requirement.version_or_url, Some(pep508_rs::VersionOrUrl::Url(_))) => {
            Err(format!("{text:?} points out of the index"))
        }
        Ok(_) => Ok(()),
        Err(reason) => Err(format!("{text:?}: {reason}")),
    }
}

/// What the scenarios publish, as part of feed `pypi`.
pub(crate) struct Projects(pub(crate) Vec<Project>);

impl Project {
    fn stem(&self, release: &Release) -> String {
        format!("{}-{}", file_form(&self.name), release.metadata.version)
    }

    fn numbers(release: &Release) -> impl Iterator<Item = u32> {
        let wheels = WHEELS..WHEELS + release.tags.len() as u32;
        release.sdist.then_some(0).into_iter().chain(wheels)
    }

    fn file(&self, release: &Release, number: u32) -> Vec<u8> {
        let code = format!("__version__ = \"{}\"  # synthetic\n", release.metadata.version);
        let files = Files::from([(format!("{}/__init__.py", file_form(&self.name)), File::from(code))]);
        let metadata = release.metadata.clone();
        let checked = "names and versions were checked when the scenario was read";
        match number {
            0 => SdistSpec { metadata, files }.tar_gz().expect(checked),
            1 => metadata.to_string().into_bytes(),
            wheel => {
                let tag = release.tags[(wheel - WHEELS) as usize].clone();
                WheelSpec { tag, ..WheelSpec::new(metadata, files) }.zip().expect(checked)
            }
        }
    }
}

impl Packages for Projects {
    fn feed(&self) -> &'static str {
        "pypi"
    }

    fn kind(&self) -> FeedKind {
        FeedKind::Python
    }

    fn history_from(&self) -> NaiveDate {
        date(DAY_OF_ALL + 1)
    }

    fn count(&self) -> u32 {
        self.0.len() as u32
    }

    fn name(&self, package: Package) -> String {
        self.0[package as usize].name.clone()
    }

    fn events(&self, package: Package) -> Vec<Event> {
        let mut events = Vec::new();
        for (i, release) in self.0[package as usize].releases.iter().enumerate() {
            let version = release.metadata.version.clone();
            let op = if i == 0 { Op::Add } else { Op::Update };
            events.push(Event { at: release.at, op, version: version.clone() });
            events.extend(release.yanked.then_some(Event { at: release.at, op: Op::Yank, version }));
        }
        events
    }

    fn record(&self, package: Package, cut: i64) -> Record {
        let project = &self.0[package as usize];
        let mut places = Vec::new();
        let mut files = Vec::new();
        for (i, release) in project.releases.iter().enumerate().filter(|(_, release)| release.at < cut) {
            let first = i as u32 * FILES_A_VERSION;
            let metadata_digest = Digest::of(&project.file(release, 1));
            for number in Project::numbers(release) {
                let bytes = project.file(release, number);
                let sha256 = Digest::of(&bytes);
                places.push((sha256, first + number));
                let (filename, metadata_sha256) = match number {
                    0 => (format!("{}.tar.gz", project.stem(release)), None),
                    wheel => {
                        let tag = &release.tags[(wheel - WHEELS) as usize];
                        (format!("{}-{tag}.whl", project.stem(release)), Some(metadata_digest))
                    }
                };
                places.extend(metadata_sha256.map(|digest| (digest, first + 1)));
                files.push(PythonFile {
                    filename,
                    metadata_sha256,
                    requires_python: release.metadata.requires_python.clone(),
                    sha256,
                    size: bytes.len() as u64,
                    upload_time: time(release.at),
                    version: release.metadata.version.clone(),
                    yanked: release.yanked.then(|| "yanked by its scenario".to_owned()),
                    yanked_at: release.yanked.then(|| time(release.at)),
                });
            }
        }
        let record = PythonRecord {
            files,
            last_serial: self.events(package).iter().filter(|event| event.at < cut).count() as u64,
            license: None,
            name: project.name.clone(),
            project: project.name.clone(),
            removed_at: None,
            summary: project.summary.clone(),
        };
        Record { json: serde_json::to_vec(&record).expect("a record is plain data"), files: places }
    }

    fn file(&self, package: Package, file: u32) -> Vec<u8> {
        let project = &self.0[package as usize];
        project.file(&project.releases[(file / FILES_A_VERSION) as usize], file % FILES_A_VERSION)
    }
}
