//! What is known of an index during one resolution, and how more of it is learnt.
//!
//! A [`Universe`] holds project pages and core metadata, each fetched at most once. [`Universe::explore`] walks ahead of
//! the solver: from some requirements to the pages of their packages, to the metadata of the best release of each, to
//! the requirements in it, and so on, many requests at a time. Usually that is all the solver needs. What fails on the
//! way is kept as a failure and matters only if the solver comes to need it.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::str::FromStr;
use std::sync::LazyLock;

use futures_util::stream::{FuturesUnordered, StreamExt};
use pep440_rs::{Version, VersionSpecifiers};
use pep508_rs::{ExtraName, PackageName, VersionOrUrl};
use pkg_formats::archive;
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::name::normalize;
use pkg_formats::python::requirements::{Hash, parse_requirement};
use pkg_formats::python::simple::{self, CoreMetadata, ProjectPage};
use pkg_formats::python::version::{parse, parse_specifiers};
use pkg_formats::python::wheel::{self, WheelName};
use pubgrub::Ranges;
use sha2::{Digest as _, Sha256};
use url::Url;

use super::range;
use super::solve::Asked;
use super::target::{Rank, Target};
use crate::{Client, Error};

pub(crate) use pkg_formats::python::requirements::Requirement;

/// The order of preference of pip: JSON, then HTML by either name.
const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// The specifiers of a requirement; a URL has none.
pub(crate) fn specifiers(requirement: &Requirement) -> &VersionSpecifiers {
    static ANY: LazyLock<VersionSpecifiers> = LazyLock::new(VersionSpecifiers::empty);
    match &requirement.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(specifiers)) => specifiers,
        _ => &ANY,
    }
}

/// The file of a release that suits the target best.
#[derive(Clone, Debug)]
pub(crate) struct Release {
    pub(crate) version: Version,
    /// Every usable file of it is yanked.
    pub(crate) yanked: bool,
    pub(crate) filename: String,
    pub(crate) url: Url,
    pub(crate) size: Option<u64>,
    /// Digests by algorithm.
    pub(crate) hashes: BTreeMap<String, String>,
    core: CoreMetadata,
    rank: Rank,
}

/// Source distributions come after every wheel.
const SDIST: Rank = (u8::MAX, 0, 0);

/// What a project page offers this target. A project that the index does not have offers nothing.
#[derive(Debug, Default)]
pub(crate) struct Page {
    /// Newest first.
    pub(crate) releases: Vec<Release>,
    /// Versions left out since they want another Python, with what they want; newest first.
    pub(crate) other_python: Vec<(Version, String)>,
    only_prereleases: bool,
}

/// The part of core metadata that counts here.
#[derive(Debug, Default)]
pub(crate) struct Core {
    pub(crate) requires_python: Option<VersionSpecifiers>,
    pub(crate) extras: Vec<ExtraName>,
    requirements: Vec<Requirement>,
    /// Why this release cannot be used.
    pub(crate) invalid: Option<String>,
}

impl Core {
    /// What is required for this target with these extras.
    pub(crate) fn dependencies<'a>(
        &'a self,
        target: &'a Target,
        extras: &'a [ExtraName],
    ) -> impl Iterator<Item = &'a Requirement> {
        self.requirements.iter().filter(move |requirement| requirement.evaluate_markers(target.markers(), extras))
    }

    fn read(bytes: &[u8]) -> Self {
        let invalid = |why: String| Self { invalid: Some(why), ..Self::default() };
        let metadata = match Metadata::parse(bytes) {
            Ok(metadata) => metadata,
            Err(error) => return invalid(format!("has invalid metadata: {error}")),
        };
        let mut requirements = Vec::with_capacity(metadata.requires_dist.len());
        for text in &metadata.requires_dist {
            match parse_requirement(text) {
                Ok(requirement) => requirements.push(requirement),
                Err(why) => return invalid(format!("has an invalid requirement '{text}': {why}")),
            }
        }
        Self {
            requires_python: metadata.requires_python.and_then(|text| parse_specifiers(&text).ok()),
            extras: metadata.provides_extra.iter().filter_map(|extra| ExtraName::from_str(extra).ok()).collect(),
            requirements,
            invalid: None,
        }
    }
}

/// A look at a package: at its page, and at the metadata of its best release in a range.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Visit {
    name: PackageName,
    extras: Vec<ExtraName>,
    range: Ranges<Version>,
}

impl Visit {
    pub(crate) fn new(name: &PackageName, range: Ranges<Version>) -> Self {
        Self { name: name.clone(), extras: Vec::new(), range }
    }

    pub(crate) fn exactly(name: &PackageName, version: &Version) -> Self {
        Self::new(name, Ranges::singleton(version.clone()))
    }

    pub(crate) fn of(requirement: &Requirement) -> Self {
        let extras = requirement.extras.clone();
        Self { name: requirement.name.clone(), extras, range: range::of(specifiers(requirement)) }
    }
}

/// Something to fetch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Page(PackageName),
    Core(PackageName, Version),
}

enum Learnt {
    Page(PackageName, Result<Page, Error>),
    Core(PackageName, Version, Result<Core, Error>),
}

enum Step<'a> {
    /// Nothing can be said before this is known.
    Wait(Key),
    /// Go on with these.
    Next(Vec<Visit>),
    /// It leads nowhere.
    End,
    Fetch(&'a Release),
}

/// Where an index is and for whom it is read.
pub(crate) struct Source<'a> {
    pub(crate) client: &'a Client,
    pub(crate) index: &'a Url,
    pub(crate) target: &'a Target,
    /// Hashes that requirements demand, by package.
    pub(crate) hashes: &'a BTreeMap<PackageName, Vec<Hash>>,
}

/// What is known of an index.
#[derive(Debug, Default)]
pub(crate) struct Universe {
    pages: BTreeMap<PackageName, Result<Page, Error>>,
    cores: HashMap<PackageName, BTreeMap<Version, Result<Core, Error>>>,
}

impl Universe {
    pub(crate) fn page(&self, name: &PackageName) -> Option<&Page> {
        self.pages.get(name)?.as_ref().ok()
    }

    /// The releases of a package, newest first; `None` when its page has not been read.
    pub(crate) fn releases(&self, name: &PackageName) -> Option<&[Release]> {
        self.page(name).map(|page| page.releases.as_slice())
    }

    pub(crate) fn only_prereleases(&self, name: &PackageName) -> bool {
        self.page(name).is_some_and(|page| page.only_prereleases)
    }

    pub(crate) fn metadata(&self, name: &PackageName, version: &Version) -> Option<&Core> {
        self.cores.get(name)?.get(version)?.as_ref().ok()
    }

    /// Takes out the failure that stands in the way of a visit, if one does.
    pub(crate) fn take_failure(&mut self, visit: &Visit) -> Option<Error> {
        if matches!(self.pages.get(&visit.name), Some(Err(_))) {
            return self.pages.remove(&visit.name)?.err();
        }
        let cores = self.cores.get_mut(&visit.name)?;
        let version = visit.range.as_singleton()?;
        if matches!(cores.get(version), Some(Err(_))) { cores.remove(version)?.err() } else { None }
    }

    /// The visit, and when the solver is going back through the releases of a package, some more in that direction:
    /// twice as many every time, so that few rounds are needed.
    pub(crate) fn ahead(&self, visit: Visit, asked: &Asked) -> VecDeque<Visit> {
        let known = self.cores.get(&visit.name).map_or(0, BTreeMap::len);
        let mut visits = VecDeque::from([visit]);
        if let Some(version) = visits[0].range.as_singleton().filter(|_| known > 1).cloned() {
            let name = visits[0].name.clone();
            let older = self.releases(&name).unwrap_or_default().iter();
            let older = older.filter(|release| release.version < version && asked.allows(self, &name, release));
            visits.extend(older.take(known.min(64)).map(|release| Visit::exactly(&name, &release.version)));
        }
        visits
    }

    /// Fetches what `visits` need and what seems to follow from it.
    ///
    /// # Errors
    /// [`Error::TooManyPackages`]. Failed requests are kept, see [`Self::take_failure`].
    pub(crate) async fn explore(
        &mut self,
        source: &Source<'_>,
        asked: &Asked,
        mut visits: VecDeque<Visit>,
    ) -> Result<(), Error> {
        let limits = source.client.limits();
        let mut seen: HashSet<Visit> = visits.iter().cloned().collect();
        let mut waiting: HashMap<Key, Vec<Visit>> = HashMap::new();
        let mut requests = VecDeque::new();
        let mut running = FuturesUnordered::new();
        loop {
            while let Some(visit) = visits.pop_front() {
                let (key, release) = match self.step(source.target, asked, &visit) {
                    Step::End => continue,
                    Step::Next(next) => {
                        visits.extend(next.into_iter().filter(|visit| seen.insert(visit.clone())));
                        continue;
                    }
                    Step::Wait(key) => (key, None),
                    Step::Fetch(release) => {
                        (Key::Core(visit.name.clone(), release.version.clone()), Some(release.clone()))
                    }
                };
                let others = waiting.entry(key).or_default();
                if others.is_empty() {
                    requests.push_back((visit.name.clone(), release));
                }
                others.push(visit);
            }
            while running.len() < limits.concurrent.max(1)
                && let Some((name, release)) = requests.pop_front()
            {
                running.push(async move {
                    match release {
                        None => {
                            let page = source.page(&name).await;
                            Learnt::Page(name, page)
                        }
                        Some(release) => {
                            let core = source.core(&release).await;
                            Learnt::Core(name, release.version, core)
                        }
                    }
                });
            }
            let key = match running.next().await {
                None => return Ok(()),
                Some(Learnt::Page(name, page)) => {
                    self.pages.insert(name.clone(), page);
                    Key::Page(name)
                }
                Some(Learnt::Core(name, version, core)) => {
                    self.cores.entry(name.clone()).or_default().insert(version.clone(), core);
                    Key::Core(name, version)
                }
            };
            if self.pages.len() > limits.packages {
                return Err(Error::TooManyPackages { limit: limits.packages });
            }
            visits.extend(waiting.remove(&key).unwrap_or_default());
        }
    }

    fn step(&self, target: &Target, asked: &Asked, visit: &Visit) -> Step<'_> {
        let page = match self.pages.get(&visit.name) {
            None => return Step::Wait(Key::Page(visit.name.clone())),
            Some(Err(_)) => return Step::End,
            Some(Ok(page)) => page,
        };
        let fits = |r: &&Release| visit.range.contains(&r.version) && asked.allows(self, &visit.name, r);
        let Some(release) = page.releases.iter().find(fits) else { return Step::End };
        match self.cores.get(&visit.name).and_then(|cores| cores.get(&release.version)) {
            None => Step::Fetch(release),
            Some(Err(_)) => Step::End,
            Some(Ok(core)) => {
                let extras = std::iter::once(&[][..]).chain(visit.extras.iter().map(std::slice::from_ref));
                Step::Next(extras.flat_map(|extra| core.dependencies(target, extra)).map(Visit::of).collect())
            }
        }
    }
}

impl Source<'_> {
    async fn page(&self, name: &PackageName) -> Result<Page, Error> {
        let url = crate::http::below(self.index, &format!("{name}/"))?;
        let answer = match self.client.fetch(&url, ACCEPT, self.client.limits().page).await {
            Ok(answer) => answer,
            Err(Error::NotFound { .. }) => return Ok(Page::default()),
            Err(error) => return Err(error),
        };
        let page = if answer.content_type == simple::JSON_TYPE {
            ProjectPage::from_json(&answer.body)
        } else {
            ProjectPage::from_html(name.as_ref(), &answer.body)
        };
        match page {
            Ok(page) => Ok(self.offers(name, &answer.url, page)),
            Err(error) => Err(Error::Unreadable { url: answer.url.into(), why: error.to_string() }),
        }
    }

    /// Chooses the best file of each version on a page.
    fn offers(&self, name: &PackageName, base: &Url, page: ProjectPage) -> Page {
        let mut best: BTreeMap<Version, Release> = BTreeMap::new();
        let mut other_python: BTreeMap<Version, String> = BTreeMap::new();
        let demanded = self.hashes.get(name).map_or(&[][..], Vec::as_slice);
        let matches = |hashes: &BTreeMap<String, String>| {
            demanded.iter().any(|hash| hashes.get(&hash.algorithm) == Some(&hash.digest))
        };
        let preference = |release: &Release| (release.yanked, !matches(&release.hashes), release.rank);
        for file in page.files {
            let Some((version, rank)) = self.identify(name, &file.filename) else { continue };
            let python = file.requires_python.as_deref().and_then(|text| parse_specifiers(text).ok());
            if python.is_some_and(|python| !python.contains(self.target.python())) {
                other_python.insert(version, file.requires_python.unwrap_or_default());
                continue;
            }
            let Some(url) = base.join(&file.url).ok().filter(|url| matches!(url.scheme(), "http" | "https")) else {
                continue;
            };
            let release = Release {
                version: version.clone(),
                yanked: file.yanked.is_some(),
                filename: file.filename,
                url,
                size: file.size,
                hashes: file.hashes,
                core: file.core_metadata,
                rank,
            };
            match best.get_mut(&version) {
                None => drop(best.insert(version, release)),
                Some(known) if preference(&release) < preference(known) => *known = release,
                Some(_) => {}
            }
        }
        other_python.retain(|version, _| !best.contains_key(version));
        let releases: Vec<_> = best.into_values().rev().collect();
        let only_prereleases = releases.iter().all(|release| release.version.any_prerelease());
        Page { releases, other_python: other_python.into_iter().rev().collect(), only_prereleases }
    }

    /// Version and rank of a file, unless it is of another project, of no use to the target, or something else.
    fn identify(&self, name: &PackageName, filename: &str) -> Option<(Version, Rank)> {
        if let Some(stem) = filename.strip_suffix(".tar.gz") {
            let (project, version) = stem.rsplit_once('-')?;
            return (normalize(project) == name.as_ref())
                .then_some(())
                .and_then(|()| Some((parse(version).ok()?, SDIST)));
        }
        let wheel = WheelName::from_str(filename).ok().filter(|wheel| wheel.name == name.as_ref())?;
        let tags = wheel.python.iter().flat_map(|python| wheel.abi.iter().map(move |abi| (python, abi)));
        let tags = tags.flat_map(|(python, abi)| wheel.platform.iter().map(move |platform| (python, abi, platform)));
        let rank = tags.filter_map(|(python, abi, platform)| self.target.rank(python, abi, platform)).min()?;
        Some((wheel.version, rank))
    }

    /// The metadata of a release: from beside the file where the index has it there, else from the whole file.
    async fn core(&self, release: &Release) -> Result<Core, Error> {
        let limits = self.client.limits();
        let announced = match &release.core {
            CoreMetadata::Absent => None,
            CoreMetadata::Available => Some(None),
            CoreMetadata::Hashed(hashes) => Some(hashes.get("sha256")),
        };
        let Some(sha256) = announced else {
            let answer = self.client.fetch(&release.url, "*/*", limits.file).await?;
            check(&answer.url, &answer.body, release.hashes.get("sha256"))?;
            let (body, sdist) = (answer.body, release.rank == SDIST);
            // Unpacking is work for the processor.
            let read =
                move || if sdist { pkg_info(&body) } else { wheel::read_metadata(&body).map_err(|e| e.to_string()) };
            let metadata = tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(error.to_string()));
            return Ok(match metadata {
                Ok(metadata) => Core::read(&metadata),
                Err(why) => Core { invalid: Some(format!("cannot be read: {why}")), ..Core::default() },
            });
        };
        let mut url = release.url.clone();
        url.set_path(&format!("{}.metadata", release.url.path()));
        let answer = self.client.fetch(&url, "*/*", limits.metadata).await?;
        check(&answer.url, &answer.body, sha256)?;
        Ok(Core::read(&answer.body))
    }
}

fn check(url: &Url, bytes: &[u8], sha256: Option<&String>) -> Result<(), Error> {
    let got = hex::encode(Sha256::digest(bytes));
    match sha256.filter(|expected| !got.eq_ignore_ascii_case(expected)) {
        Some(expected) => {
            Err(Error::HashMismatch { url: url.clone().into(), algorithm: "sha256", expected: expected.clone(), got })
        }
        None => Ok(()),
    }
}

/// `{name}-{version}/PKG-INFO` of a source distribution.
fn pkg_info(sdist: &[u8]) -> Result<Vec<u8>, String> {
    let mut found = None;
    archive::scan(sdist, &archive::Limits::default(), |entry, data| {
        if found.is_none() && entry.path.split('/').nth(1) == Some("PKG-INFO") && entry.path.matches('/').count() == 1 {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut std::io::Read::take(data, 4 << 20), &mut bytes)?;
            found = Some(bytes);
        }
        Ok(())
    })
    .map_err(|error| error.to_string())?;
    found.ok_or_else(|| "there is no PKG-INFO in it".to_owned())
}
