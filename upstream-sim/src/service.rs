//! The service as a whole: its feeds and its key.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use pkg_formats::psp::{Digest, FeedKind, Head, Key, PROTOCOL, Root};
use sha2::{Digest as _, Sha256};
use sim_kit::World;

use crate::almanac::Almanac;
use crate::bioc::{self, Bioc};
use crate::config::Config;
use crate::cran::Cran;
use crate::error::Error;
use crate::feed::Feed;
use crate::history;
use crate::import::{ImportError, Imports, Wanted};
use crate::mirror::sources::{self, SourceError, index_url};
use crate::mirror::{Index, Mirror, Shelf, Tape};
use crate::packages::{Joined, Packages};
use crate::pypi::Pypi;
use crate::routes::App;
use crate::scenario::python::Projects;
use crate::scenario::r::PublishedPackages;
use crate::scenario::{Content, ScenarioError, Scenarios};
use crate::vsx::Vsx;

/// A head is believed for this long.
const HEAD_HOURS: i64 = 24;

/// Heads are signed anew this often, so that their ETag stays the same in between.
const HEAD_SECONDS: i64 = 600;

/// Why the service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The scenarios.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The imports.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The index to be mirrored.
    #[error(transparent)]
    Mirror(#[from] SourceError),
    /// The folder of a recording.
    #[error("{folder}: {source}; --replay needs a folder that --record wrote, with pypi or cran in it")]
    Replay {
        /// Which.
        folder: PathBuf,
        /// Why it cannot be used.
        source: std::io::Error,
    },
    /// The World's folder.
    #[error("cannot keep what is mirrored: {0}")]
    Io(#[from] std::io::Error),
}

/// Feeds and key: a pure function of seed, config and the day the daily checkpoints begin.
pub(crate) struct Service {
    feeds: Vec<Arc<Feed>>,
    mirrors: Vec<Mirror>,
    key: SigningKey,
    id: String,
}

impl Service {
    /// # Errors
    /// Scenarios or imports cannot be read.
    pub(crate) fn new(seed: u64, config: &Config, daily_from: NaiveDate) -> Result<Self, StartError> {
        let scenarios = config.scenarios.as_deref().map(Scenarios::load).transpose()?.unwrap_or_default();
        let imports = Imports::load(&Wanted {
            paths: &config.import,
            libraries: &config.import_library,
            distribution: config.import_distribution.as_deref(),
        })?;
        let only = config.only.as_deref();
        let secret = |purpose: &str, rest: &str| -> [u8; 32] {
            Sha256::new()
                .chain_update(seed.to_be_bytes())
                .chain_update(purpose)
                .chain_update([0])
                .chain_update(rest)
                .finalize()
                .into()
        };
        // Another history is another service: seed, sizes, first day and the tables and code that make the contents.
        let identity = format!(
            "{:?} {daily_from} {:?} {:?} {} {}",
            (
                config.cran_packages,
                config.pypi_packages,
                only,
                &config.mirror_cran,
                &config.mirror_pypi,
                &config.replay
            ),
            scenarios.digest(),
            imports.digest,
            env!("CARGO_PKG_VERSION"),
            Digest::of(
                concat!(
                    include_str!("../data/bioc.tsv"),
                    include_str!("../data/cran.tsv"),
                    include_str!("../data/distros.tsv"),
                    include_str!("../data/pypi.tsv"),
                    include_str!("../data/sysreqs.tsv"),
                    include_str!("../data/vsx.tsv"),
                    include_str!("build_backend.py"),
                )
                .as_bytes()
            ),
        );
        // What the named packages of Bioconductor need of CRAN is named along.
        let cran_only = only.map(|only| [only, &bioc::needed_of_cran(only)].concat());
        let (mut of_r, mut of_python) = (Vec::new(), Vec::new());
        for scenario in &scenarios.all {
            let malformed = |reason| ScenarioError::Malformed { path: scenario.path.clone(), reason };
            match &scenario.content {
                Content::Python(scenario) => of_python.extend(scenario.projects().map_err(malformed)?),
                Content::R(scenario) => of_r.extend(scenario.packages().map_err(malformed)?),
            }
        }
        let cran = Cran::new(seed, config.cran_packages, cran_only.as_deref());
        let pypi = Pypi::new(seed, config.pypi_packages, only);
        let own_r = Joined::new(Box::new(PublishedPackages(of_r)), Box::new(imports.r));
        let own_python = Joined::new(Box::new(Projects(of_python)), Box::new(imports.python));
        let mirrored = Mirrored::of(config)?;
        let mut feeds = Vec::new();
        let mut mirrors = Vec::new();
        let mut add = |catalogue: Box<dyn Packages>, own: Joined, mirrored: Option<(Index, Vec<String>)>| {
            let Some((index, listed)) = mirrored else {
                feeds.push(Arc::new(Feed::new(Box::new(Joined::new(catalogue, Box::new(own))), daily_from, false)));
                return;
            };
            let names: HashSet<String> = (0..own.count()).map(|package| own.name(package)).collect();
            let shelf = Shelf::new(own.feed(), own.kind(), own.history_from());
            let first = own.count();
            let packages = Joined::new(Box::new(own), Box::new(shelf.clone()));
            let feed = Arc::new(Feed::new(Box::new(packages), daily_from, true));
            feeds.push(feed.clone());
            mirrors.push(Mirror::new(feed, (shelf, first), names, index, mirrored_tape(config), listed));
        };
        add(Box::new(cran), own_r, mirrored.cran);
        add(Box::new(pypi), own_python, mirrored.pypi);
        let mut packages: Vec<Box<dyn Packages>> = Vec::new();
        packages.extend(Bioc::releases(seed, only).into_iter().map(|bioc| Box::new(bioc) as Box<dyn Packages>));
        packages.extend(
            [Almanac::sysreqs(), Almanac::distros(), Almanac::vulns(seed)]
                .map(|almanac| Box::new(almanac) as Box<dyn Packages>),
        );
        let vsx = Vsx::new(seed, only);
        if !vsx.is_empty() {
            packages.push(Box::new(vsx));
        }
        feeds.extend(packages.into_iter().map(|packages| Arc::new(Feed::new(packages, daily_from, false))));
        Ok(Self {
            feeds,
            mirrors,
            key: SigningKey::from_bytes(&secret("signing key", "")),
            id: hex::encode(&secret("service", &identity)[..16]),
        })
    }

    pub(crate) fn feeds(&self) -> &[Arc<Feed>] {
        &self.feeds
    }

    pub(crate) fn feed(&self, name: &str) -> Result<&Arc<Feed>, Error> {
        self.feeds
            .iter()
            .find(|feed| feed.name() == name)
            .ok_or_else(|| Error::NoSuchFeed(name.chars().take(60).collect()))
    }

    /// The mirror behind a feed, if there is one.
    pub(crate) fn mirror(&self, feed: &str) -> Option<&Mirror> {
        self.mirrors.iter().find(|mirror| mirror.name() == feed)
    }

    pub(crate) fn mirrors(&self) -> &[Mirror] {
        &self.mirrors
    }

    /// Keeps in `world` what a mirror needs to go on after a restart.
    pub(crate) fn keep_in(&self, world: &World) -> std::io::Result<()> {
        self.mirrors.iter().try_for_each(|mirror| mirror.keep_in(world))
    }

    pub(crate) fn root(&self) -> Root {
        Root {
            feeds: self.feeds.iter().map(|feed| feed.info()).collect(),
            // Beyond the calendar of the catalogue.
            keys: vec![Key::of(&self.key, history::time((history::HORIZON + 36_500) * history::DAY))],
            protocol: PROTOCOL.to_owned(),
            service_id: self.id.clone(),
            threshold: 1,
        }
    }

    /// A signed head that says that `feed` stands at `seq`, issued at `now` or a little before.
    pub(crate) fn head(&self, feed: &Feed, seq: u64, now: DateTime<Utc>) -> Option<Head> {
        let (_, checkpoint) = feed.checkpoint(seq)?;
        let issued_at = history::time(now.timestamp().div_euclid(HEAD_SECONDS) * HEAD_SECONDS);
        let head = Head {
            checkpoint,
            expires_at: issued_at + TimeDelta::hours(HEAD_HOURS),
            feed: feed.name().to_owned(),
            issued_at,
            seq,
            service_id: self.id.clone(),
            signatures: Vec::new(),
        };
        Some(head.sign(&self.key))
    }
}

/// The newest checkpoint of `feed` now; makes what is missing up to it.
pub(crate) async fn newest(app: &App, feed: &Arc<Feed>) -> Result<u64, Error> {
    if let Some(mirror) = app.service.mirror(feed.name()) {
        mirror.open(&app.world).await?;
    }
    let now = app.world.clock().now();
    if !feed.is_grown(now) {
        let feed = feed.clone();
        let grown = tokio::task::spawn_blocking(move || feed.grow(now)).await;
        grown.map_err(std::io::Error::from).flatten().map_err(Error::Broken)?;
    }
    feed.seq_at(now).ok_or_else(|| Error::NotYet { feed: feed.name(), begins: feed.begins() })
}

/// Which feeds are mirrored, of which index, and what they begin with.
struct Mirrored {
    cran: Option<(Index, Vec<String>)>,
    pypi: Option<(Index, Vec<String>)>,
}

impl Mirrored {
    fn of(config: &Config) -> Result<Self, StartError> {
        let index = |kind, url| Some((Index::new(kind, url), Vec::new()));
        let mut mirrored = Self { cran: None, pypi: None };
        if let Some(folder) = &config.replay {
            let broken = |source| StartError::Replay { folder: folder.clone(), source };
            std::fs::read_dir(folder).map_err(broken)?;
            // What the addresses were does not matter: the recording has everything, or it is missing.
            mirrored.cran = folder.join("cran").is_dir().then(|| index(FeedKind::R, None)).flatten();
            mirrored.pypi = folder.join("pypi").is_dir().then(|| index(FeedKind::Python, None)).flatten();
            if mirrored.cran.is_none() && mirrored.pypi.is_none() {
                return Err(broken(std::io::ErrorKind::NotFound.into()));
            }
        } else {
            if let Some(given) = &config.mirror_cran {
                let auto = sources::configured_repository;
                let asked = "your R names no repository (options(repos = c(CRAN = ...)))";
                mirrored.cran = index(FeedKind::R, Some(index_url("--mirror-cran", given, auto, asked)?));
            }
            if let Some(given) = &config.mirror_pypi {
                let auto = || sources::configured_python_index(config.uv_default_index.as_deref());
                let asked = "neither uv nor pip names an index";
                mirrored.pypi = index(FeedKind::Python, Some(index_url("--mirror-pypi", given, auto, asked)?));
            }
        }
        let listed =
            [(&mut mirrored.cran, &config.mirror_cran_packages), (&mut mirrored.pypi, &config.mirror_pypi_packages)];
        for (index, names) in listed {
            if let Some((index, listed)) = index {
                *listed = names.iter().map(|name| index.spelled(name.trim())).collect();
            }
        }
        // R asks for lists and files, never for a package by its name: what was recorded is listed from the start.
        if let (Some(folder), Some((_, listed))) = (&config.replay, &mut mirrored.cran)
            && listed.is_empty()
        {
            let files = folder.join("cran/files");
            *listed = recorded_packages(&files).map_err(|source| StartError::Replay { folder: files, source })?;
        }
        Ok(mirrored)
    }
}

/// The packages of the files `name_version.tar.gz` in a recording.
fn recorded_packages(files: &std::path::Path) -> std::io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in files.is_dir().then(|| std::fs::read_dir(files)).transpose()?.into_iter().flatten() {
        if let Some((name, _)) = entry?.file_name().to_string_lossy().split_once('_') {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

fn mirrored_tape(config: &Config) -> Tape {
    match (&config.record, &config.replay) {
        (_, Some(folder)) => Tape::Replay(folder.clone()),
        (Some(folder), None) => Tape::Record(folder.clone()),
        (None, None) => Tape::Off,
    }
}
