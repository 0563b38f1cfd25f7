//! The service as a whole: its feeds and its key.

use std::sync::Arc;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use pkg_formats::psp::{Digest, Head, Key, PROTOCOL, Root};
use sha2::{Digest as _, Sha256};

use crate::almanac::Almanac;
use crate::bioc::{self, Bioc};
use crate::config::Config;
use crate::cran::Cran;
use crate::error::Error;
use crate::feed::Feed;
use crate::history;
use crate::import::{ImportError, Imports, Wanted};
use crate::packages::{Joined, Packages};
use crate::pypi::Pypi;
use crate::scenario::python::Projects;
use crate::scenario::r::PublishedPackages;
use crate::scenario::{Content, ScenarioError, Scenarios};

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
}

/// Feeds and key: a pure function of seed, config and the day the daily checkpoints begin.
pub(crate) struct Service {
    feeds: Vec<Arc<Feed>>,
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
            (config.cran_packages, config.pypi_packages, only),
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
        let mut packages: Vec<Box<dyn Packages>> = vec![
            Box::new(Joined::new(
                Box::new(Joined::new(Box::new(cran), Box::new(PublishedPackages(of_r)))),
                Box::new(imports.r),
            )),
            Box::new(Joined::new(
                Box::new(Joined::new(Box::new(pypi), Box::new(Projects(of_python)))),
                Box::new(imports.python),
            )),
        ];
        packages.extend(Bioc::releases(seed, only).into_iter().map(|bioc| Box::new(bioc) as Box<dyn Packages>));
        packages.extend(
            [Almanac::sysreqs(), Almanac::distros(), Almanac::vulns(seed)]
                .map(|almanac| Box::new(almanac) as Box<dyn Packages>),
        );
        Ok(Self {
            feeds: packages.into_iter().map(|packages| Arc::new(Feed::new(packages, daily_from))).collect(),
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

/// The newest checkpoint of `feed` at `now`; makes what is missing up to it.
pub(crate) async fn newest(feed: &Arc<Feed>, now: DateTime<Utc>) -> Result<u64, Error> {
    let seq = feed.seq_at(now).ok_or_else(|| Error::NotYet { feed: feed.name(), begins: feed.begins() })?;
    if !feed.has(seq) {
        let feed = feed.clone();
        let grown = tokio::task::spawn_blocking(move || feed.grow(seq)).await;
        grown.map_err(std::io::Error::from).flatten().map_err(Error::Broken)?;
    }
    Ok(seq)
}
