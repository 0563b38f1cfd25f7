//! Python projects: the catalogue's, with their true histories and made-up later versions, and made-up ones.
//!
//! The newest known version of a real project has its true requirements. Of all its earlier versions only the names (with
//! extras and markers) are kept, as far as those projects existed then, so that every snapshot can be resolved.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use pkg_formats::archive::{File, Files};
use pkg_formats::psp::{Digest, FeedKind, Op, PythonFile, PythonRecord};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::name::{file_form, normalize};
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::wheel::WheelSpec;

use crate::catalogue::{self, PypiEntry, py_name, py_unbounded};
use crate::draw::Draw;
use crate::history::{
    self, DAY, Event, MOST_VERSIONS, filler_releases, grow, is_leaf, later_releases, lower_rank, moment, time,
};
use crate::names;
use crate::packages::{Package, Packages, Record};

const FEED: &str = "pypi";

/// 2021-02-03, the first day of the real service's history.
const START: i64 = 18_661;

/// Files of version `v` have the numbers `4v` (sdist), `4v + 1` (wheel) and `4v + 2` (the wheel's metadata).
const FILES_A_VERSION: u32 = 4;

/// Build backends that projects name, and the module that each is. With it a project of the client's own builds from a
/// simulated index.
const BUILD_BACKENDS: [(&str, &str); 5] = [
    ("flit-core", "flit_core/buildapi.py"),
    ("hatchling", "hatchling/build.py"),
    ("pdm-backend", "pdm/backend/__init__.py"),
    ("poetry-core", "poetry/core/masonry/api.py"),
    ("setuptools", "setuptools/build_meta.py"),
];

const BUILD_BACKEND: &str = include_str!("build_backend.py");

/// So many of the newest known versions of a real project have an sdist.
const NEW: usize = 6;

/// Real projects that made-up ones like to require.
const POPULAR: [&str; 16] = [
    "requests",
    "numpy",
    "pandas",
    "click",
    "pyyaml",
    "pydantic",
    "typing-extensions",
    "rich",
    "tqdm",
    "scipy",
    "httpx",
    "jinja2",
    "matplotlib",
    "attrs",
    "sqlalchemy",
    "boto3",
];

/// All Python projects.
pub(crate) struct Pypi {
    seed: u64,
    real: Vec<&'static PypiEntry>,
    /// Second of the first release, by normalised name.
    known: HashMap<&'static str, i64>,
    fillers: u32,
    unborn: u32,
}

struct Release {
    version: String,
    at: i64,
    /// For real projects: it is the newest known version or a later one.
    newest: bool,
    /// For real projects: days before the newest known version.
    age: i64,
    /// It comes with an sdist.
    sdist: bool,
    yanked: Option<(i64, &'static str)>,
}

/// A project at hand, with what is computed once.
struct Project {
    package: Package,
    /// As its authors write it.
    spelled: String,
    name: String,
    releases: Vec<Release>,
    removed: Option<i64>,
    /// It has no wheels.
    source_only: bool,
}

impl Pypi {
    /// `total` projects (no fewer than the real ones). `only` keeps of the real ones those and what they need.
    pub(crate) fn new(seed: u64, total: u32, only: Option<&[String]>) -> Self {
        let entries = catalogue::pypi();
        let wanted = only.map(closure);
        let real: Vec<&PypiEntry> = entries
            .all
            .iter()
            .filter(|entry| wanted.as_ref().is_none_or(|wanted| wanted.contains(entry.name.as_str())))
            .collect();
        let fillers = total.saturating_sub(real.len() as u32);
        let mut pypi = Self { seed, real, known: HashMap::new(), fillers, unborn: fillers / 10 };
        pypi.known = pypi
            .real
            .iter()
            .map(|entry| {
                let first = pypi.real_releases(entry).iter().map(|release| release.at).min();
                (entry.name.as_str(), first.expect("every entry of the catalogue has a version"))
            })
            .collect();
        pypi
    }

    fn filler(&self, package: Package) -> Option<u32> {
        package.checked_sub(self.real.len() as u32)
    }

    fn project(&self, package: Package) -> Project {
        match self.filler(package) {
            None => {
                let entry = self.real[package as usize];
                Project {
                    package,
                    spelled: entry.project.to_owned(),
                    name: entry.name.clone(),
                    releases: self.real_releases(entry),
                    removed: None,
                    source_only: false,
                }
            }
            Some(index) => {
                let spelled = names::pypi(self.seed, index);
                let name = normalize(&spelled);
                let mut releases = self.filler_releases(index, &name, MOST_VERSIONS);
                let mut draw = Draw::new(self.seed, FEED, &name, "end");
                let leaf = is_leaf(self.seed, FEED, index);
                let removed = (leaf && draw.chance(0.1)).then(|| {
                    let after = releases[draw.below(releases.len() as u64) as usize].at;
                    after + draw.between(10 * DAY, 600 * DAY)
                });
                if let Some(at) = removed {
                    releases.retain(|release| release.at < at);
                    for release in &mut releases {
                        release.yanked = release.yanked.filter(|(yanked, _)| *yanked < at);
                    }
                }
                Project { package, spelled, name, releases, removed, source_only: leaf && draw.chance(0.2) }
            }
        }
    }

    /// In the order of time; maintenance releases of old series come after newer versions.
    fn real_releases(&self, entry: &PypiEntry) -> Vec<Release> {
        let mut draw = Draw::new(self.seed, FEED, &entry.name, "moments");
        let count = entry.history.len();
        let newest_day = entry.history.last().map_or(0, |(_, day)| *day);
        let mut releases: Vec<Release> = entry
            .history
            .iter()
            .enumerate()
            .map(|(i, (version, day))| Release {
                version: (*version).to_owned(),
                at: moment(&mut draw, *day),
                newest: i + 1 == count,
                age: newest_day - day,
                sdist: i + NEW >= count,
                yanked: None,
            })
            .collect();
        let mut version = entry.history.last().map_or("0", |(version, _)| version).to_owned();
        for at in later_releases(self.seed, FEED, &entry.name) {
            version = history::next_version(&version);
            releases.push(Release { version: version.clone(), at, newest: true, age: 0, sdist: true, yanked: None });
        }
        releases.sort_by_key(|release| release.at);
        releases
    }

    fn filler_releases(&self, index: u32, name: &str, most: usize) -> Vec<Release> {
        let mut draw = Draw::new(self.seed, FEED, name, "versions");
        let scheme = draw.below(10);
        let mut numbers = [draw.below(2), 1 + draw.below(2), draw.below(3)];
        filler_releases(self.seed, FEED, name, (index, self.fillers), START, most)
            .into_iter()
            .enumerate()
            .map(|(i, at)| {
                let [a, b, c] = numbers;
                let version = match scheme {
                    // The minute of the day keeps two releases of one day apart.
                    0 => format!("{}.{}", time(at).format("%Y.%-m.%-d"), at % DAY / 60),
                    1 if i > 0 && draw.chance(0.2) => format!("{a}.{b}.{c}rc1"),
                    2 if draw.chance(0.15) => format!("{a}.{b}.{c}.post1"),
                    3 => format!("{a}.{}", b * 100 + c),
                    _ => format!("{a}.{b}.{c}"),
                };
                grow(&mut draw, &mut numbers);
                let sdist = draw.chance(0.4);
                let reason = ["broken metadata", "security problem, use a newer version", ""][draw.below(3) as usize];
                let yanked = draw.chance(0.02).then(|| (at + draw.between(DAY / 24, 60 * DAY), reason));
                Release { version, at, newest: false, age: 0, sdist, yanked }
            })
            .collect()
    }

    fn metadata(&self, project: &Project, release: &Release) -> Metadata {
        let mut metadata = Metadata::new(project.spelled.clone(), release.version.clone());
        match self.filler(project.package) {
            None => {
                let entry = self.real[project.package as usize];
                metadata.requires_python = requires_python(entry, release);
                metadata.requires_dist =
                    entry.requires.iter().filter_map(|requirement| self.kept(requirement, release)).collect();
                metadata.provides_extra =
                    entry.extras.split(' ').filter(|extra| !extra.is_empty()).map(str::to_owned).collect();
            }
            Some(index) => {
                metadata.requires_python = Some(filler_requires_python(self.seed, &project.name).to_owned());
                metadata.requires_dist = self.filler_requires(index, &project.name, release);
            }
        }
        metadata.summary = Some(self.summary(project));
        metadata.other = self.license(project).map(|license| ("License".to_owned(), license)).into_iter().collect();
        metadata.description =
            "Synthetic contents made by teamsim for tests and training; not the real project.\n".to_owned();
        metadata
    }

    fn summary(&self, project: &Project) -> String {
        match self.filler(project.package) {
            None => match self.real[project.package as usize].title {
                "" => format!("The {} project", project.spelled),
                title => title.to_owned(),
            },
            Some(index) if index % 97 == 0 => format!("Größen & Maße: 测试 for {}", project.spelled),
            Some(_) => format!("Made-up tools: {}", project.spelled),
        }
    }

    fn license(&self, project: &Project) -> Option<String> {
        match self.filler(project.package) {
            None => Some(self.real[project.package as usize].license)
                .filter(|license| !license.is_empty())
                .map(str::to_owned),
            Some(index) => Some(["MIT", "Apache-2.0", "BSD-3-Clause", "GPL-3.0-only"][(index % 4) as usize].to_owned()),
        }
    }

    /// A requirement of a real project as `release` has it.
    fn kept(&self, requirement: &str, release: &Release) -> Option<String> {
        let first = self.known.get(py_name(requirement).as_str())?;
        match (release.newest, *first <= release.at) {
            (true, _) => Some(requirement.to_owned()),
            (false, true) => Some(py_unbounded(requirement)),
            (false, false) => None,
        }
    }

    fn filler_requires(&self, index: u32, name: &str, release: &Release) -> Vec<String> {
        let mut draw = Draw::new(self.seed, FEED, name, "requires");
        let mut requires = Vec::new();
        let mut seen = HashSet::new();
        while requires.len() < 8 && draw.chance(0.62) {
            if draw.chance(0.4) {
                let popular = POPULAR[lower_rank(&mut draw, POPULAR.len() as u32) as usize];
                if self.known.get(popular).is_some_and(|first| *first <= release.at) && seen.insert(popular.to_owned())
                {
                    requires.push(popular.to_owned());
                }
            } else if index > 0 {
                let target = lower_rank(&mut draw, index);
                let bounded = draw.chance(0.3);
                let spelled = names::pypi(self.seed, target);
                let other = normalize(&spelled);
                if is_leaf(self.seed, FEED, target) || !seen.insert(other.clone()) {
                    continue;
                }
                let first = &self.filler_releases(target, &other, 1)[0];
                if first.at <= release.at {
                    requires.push(if bounded { format!("{spelled}>={}", first.version) } else { spelled });
                }
            }
        }
        requires
    }

    fn wheel(&self, project: &Project, release: &Release, metadata: &Metadata) -> Vec<u8> {
        let mut wheel = WheelSpec::new(metadata.clone(), self.modules(project, release));
        if self.filler(project.package).is_none() {
            let entry = self.real[project.package as usize];
            let module = module_path(entry).0.replace('/', ".");
            wheel.console_scripts = entry
                .scripts
                .split(' ')
                .filter(|script| !script.is_empty())
                .map(|script| (script.to_owned(), format!("{module}:main")))
                .collect();
        }
        wheel.zip().expect("names and versions of the catalogue are well formed")
    }

    fn sdist(&self, project: &Project, release: &Release, metadata: &Metadata) -> Vec<u8> {
        SdistSpec { metadata: metadata.clone(), files: self.modules(project, release) }
            .tar_gz()
            .expect("names and versions of the catalogue are well formed")
    }

    fn modules(&self, project: &Project, release: &Release) -> Files {
        let code = format!(
            "\"\"\"{name}: synthetic contents made by teamsim, not the real project.\"\"\"\n\n\
             __version__ = \"{version}\"\n\n\n\
             def main():\n    print(\"{name} {version}: synthetic contents made by teamsim, not the real project\")\n\n\n\
             def __getattr__(name):\n    raise AttributeError(\n        \
             \"no %r in {name}: it has synthetic contents made by teamsim, not the real project's\" % name)\n",
            name = project.spelled,
            version = release.version,
        );
        let paths: Vec<String> = match self.filler(project.package) {
            None => {
                let entry = self.real[project.package as usize];
                let (first, all) = module_path(entry);
                if all.is_empty() { vec![format!("{first}/__init__.py")] } else { all }
            }
            Some(_) => vec![format!("{}/__init__.py", file_form(&project.name))],
        };
        let mut files: Files = paths.into_iter().map(|path| (path, File::from(code.as_str()))).collect();
        let backend = BUILD_BACKENDS.iter().find(|(name, _)| *name == project.name);
        files.extend(backend.map(|(_, path)| ((*path).to_owned(), File::from(BUILD_BACKEND))));
        files
    }
}

impl Packages for Pypi {
    fn feed(&self) -> &'static str {
        FEED
    }

    fn kind(&self) -> FeedKind {
        FeedKind::Python
    }

    fn history_from(&self) -> NaiveDate {
        history::date(START)
    }

    fn count(&self) -> u32 {
        self.real.len() as u32 + self.fillers + self.unborn
    }

    fn name(&self, package: Package) -> String {
        match self.filler(package) {
            None => self.real[package as usize].name.clone(),
            Some(index) => normalize(&names::pypi(self.seed, index)),
        }
    }

    fn events(&self, package: Package) -> Vec<Event> {
        events(&self.project(package))
    }

    fn record(&self, package: Package, cut: i64) -> Record {
        let project = self.project(package);
        let mut places = Vec::new();
        let mut files = Vec::new();
        for (i, release) in project.releases.iter().enumerate().filter(|(_, release)| release.at < cut) {
            let metadata = self.metadata(&project, release);
            let yanked = release.yanked.filter(|(at, _)| *at < cut);
            let stem = format!("{}-{}", file_form(&project.name), release.version);
            let mut add = |filename: String, kind: u32, bytes: &[u8], metadata_sha256: Option<Digest>| {
                let sha256 = Digest::of(bytes);
                let number = i as u32 * FILES_A_VERSION;
                places.push((sha256, number + kind));
                places.extend(metadata_sha256.map(|digest| (digest, number + 2)));
                files.push(PythonFile {
                    filename,
                    metadata_sha256,
                    requires_python: metadata.requires_python.clone(),
                    sha256,
                    size: bytes.len() as u64,
                    upload_time: time(release.at),
                    version: release.version.clone(),
                    yanked: yanked.map(|(_, reason)| reason.to_owned()),
                    yanked_at: yanked.map(|(at, _)| time(at)),
                });
            };
            if release.sdist || project.source_only {
                add(format!("{stem}.tar.gz"), 0, &self.sdist(&project, release, &metadata), None);
            }
            if !project.source_only {
                let digest = Digest::of(metadata.to_string().as_bytes());
                add(format!("{stem}-py3-none-any.whl"), 1, &self.wheel(&project, release, &metadata), Some(digest));
            }
        }
        let record = PythonRecord {
            files,
            last_serial: events(&project).iter().filter(|event| event.at < cut).count() as u64,
            license: self.license(&project),
            project: project.spelled.clone(),
            removed_at: project.removed.filter(|at| *at < cut).map(time),
            summary: self.summary(&project),
            name: project.name,
        };
        Record { json: serde_json::to_vec(&record).expect("a record is plain data"), files: places }
    }

    fn file(&self, package: Package, file: u32) -> Vec<u8> {
        let project = self.project(package);
        let release = &project.releases[(file / FILES_A_VERSION) as usize];
        let metadata = self.metadata(&project, release);
        match file % FILES_A_VERSION {
            0 => self.sdist(&project, release, &metadata),
            1 => self.wheel(&project, release, &metadata),
            _ => metadata.to_string().into_bytes(),
        }
    }
}

fn events(project: &Project) -> Vec<Event> {
    let mut events = Vec::new();
    for (i, release) in project.releases.iter().enumerate() {
        let op = if i == 0 { Op::Add } else { Op::Update };
        events.push(Event { at: release.at, op, version: release.version.clone() });
        events.extend(release.yanked.map(|(at, _)| Event { at, op: Op::Yank, version: release.version.clone() }));
    }
    if let (Some(at), Some(last)) = (project.removed, project.releases.last()) {
        events.push(Event { at, op: Op::Remove, version: last.version.clone() });
    }
    events.sort_by_key(|event| event.at);
    events
}

/// The module that commands live in, and the paths of all module files when the catalogue names them.
fn module_path(entry: &PypiEntry) -> (String, Vec<String>) {
    let first = match entry.modules.split(' ').next().unwrap_or_default() {
        "" => file_form(&entry.name),
        named => named.trim_start_matches('=').to_owned(),
    };
    let paths =
        entry.modules.split(' ').filter(|module| !module.is_empty()).map(|module| match module.strip_prefix('=') {
            Some(file) => format!("{file}.py"),
            None => format!("{module}/__init__.py"),
        });
    (first, paths.collect())
}

/// Old versions ran on old Pythons.
fn requires_python(entry: &PypiEntry, release: &Release) -> Option<String> {
    match (entry.requires_python, release.age) {
        ("", _) => None,
        (known, age) if age <= 540 => Some(known.to_owned()),
        _ if release.at >= 18_600 * DAY => Some(">=3.8".to_owned()),
        _ => Some(">=3.6".to_owned()),
    }
}

fn filler_requires_python(seed: u64, name: &str) -> &'static str {
    [">=3.8", ">=3.9", ">=3.7", ">=3.8,<4"][Draw::new(seed, FEED, name, "python").below(4) as usize]
}

/// Names and all that they require, directly or not, without extras that nobody asks for, of the real projects.
fn closure(names: &[String]) -> HashSet<&'static str> {
    let entries = catalogue::pypi();
    let mut todo: Vec<usize> = names.iter().filter_map(|name| entries.places.get(&normalize(name))).copied().collect();
    let mut found = HashSet::new();
    while let Some(place) = todo.pop() {
        let entry = &entries.all[place];
        if !found.insert(entry.name.as_str()) {
            continue;
        }
        for requirement in &entry.requires {
            let Some(target) = entries.places.get(&py_name(requirement)) else { continue };
            if !catalogue::py_marker(requirement).is_some_and(|marker| marker.contains("extra")) {
                todo.push(*target);
                todo.extend(extras_of(requirement).flat_map(|extra| behind_extra(&entries.all[*target], extra)));
            }
        }
    }
    found
}

/// The extras in the brackets of a requirement.
fn extras_of(requirement: &str) -> impl Iterator<Item = &str> {
    let what = requirement.split(';').next().unwrap_or_default();
    let inside = what.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("", |(inside, _)| inside);
    inside.split(',').map(str::trim).filter(|extra| !extra.is_empty())
}

/// Places of what `entry` needs for `extra`.
fn behind_extra(entry: &PypiEntry, extra: &str) -> Vec<usize> {
    let quoted = [format!("\"{extra}\""), format!("'{extra}'")];
    entry
        .requires
        .iter()
        .filter(|requirement| {
            catalogue::py_marker(requirement).is_some_and(|marker| {
                marker.contains("extra") && quoted.iter().any(|quoted| marker.contains(quoted.as_str()))
            })
        })
        .filter_map(|requirement| catalogue::pypi().places.get(&py_name(requirement)).copied())
        .collect()
}
