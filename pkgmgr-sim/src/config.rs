//! Settings.

use std::time::Duration;

use url::Url;

use crate::store::sources::Source;
use crate::sync::eager::Mode;
use crate::sync::schedule::Schedule;

/// What a Package Manager is told at its start.
#[derive(Debug, Clone)]
pub struct Config {
    /// The package service to synchronise from, such as `http://127.0.0.1:4241`.
    pub upstream: Url,
    /// The server's own address as clients see it (`Server.Address`); none: taken from each request.
    pub address: Option<String>,
    /// Answer requests for files that are not here yet with a redirect (307) to the package service, as the vendor's public
    /// instance does, in place of fetching them. Such files come as the service has them, without the `Repository` stamp.
    pub redirect_mode: bool,
    /// Offer the JSON form of the simple index (PEP 691).
    pub simple_json: bool,
    /// Offer metadata files beside wheels (PEP 658).
    pub simple_metadata: bool,
    /// New repositories ask for a token unless they are made otherwise (`Authentication.NewReposAuthByDefault`).
    pub new_repos_authenticated: bool,
    /// Synchronise in the background at the start and then by the schedules of the feeds.
    pub sync: bool,
    /// Of CRAN, and of feeds that are no packages.
    pub cran: Feed,
    /// Of PyPI.
    pub pypi: Feed,
    /// Of Bioconductor.
    pub bioconductor: Feed,
    /// How long the package service may take for an answer without length. Long answers get more: a second for every 64 KiB.
    pub patience: Duration,
    /// Who has the other half of this key gets a token (`Bootstrap.PublicKey`).
    pub bootstrap: Option<crate::bootstrap::Key>,
    /// What is made of the identity tokens of other servers.
    pub identity: crate::identity::Settings,
    /// Which numbers are given to whom.
    pub metrics: crate::metrics::Settings,
    /// Clients that come by HTTPS are told to come by it only (`HTTPS.Permanent`).
    pub https_only: bool,
    /// How full the disk may be, in percent, before an alert tells of it (`Storage.DiskAlert`); 100 is never.
    pub disk_alert: u8,
    /// What builders of packages from git repositories may do.
    pub git: crate::git::Settings,
}

/// How sources are synchronised.
#[derive(Debug, Clone)]
pub struct Feed {
    /// When (`CRAN.SyncSchedule` and so on).
    pub schedule: Schedule,
    /// When their files are fetched (`CRAN.SyncMode`, which is ours: the real product is always lazy).
    pub mode: Mode,
}

impl Feed {
    fn daily_at(schedule: &str) -> Self {
        Self { schedule: schedule.parse().expect("the defaults are schedules"), mode: Mode::Lazy }
    }
}

impl Config {
    /// How `source`, which follows a feed, is synchronised.
    #[must_use]
    pub fn feed_of(&self, source: &Source) -> &Feed {
        match source.kind.as_str() {
            "pypi" => &self.pypi,
            "bioconductor" => &self.bioconductor,
            _ => &self.cran,
        }
    }

    /// Everything on, redirects off.
    #[must_use]
    pub fn new(upstream: Url) -> Self {
        Self {
            upstream,
            address: None,
            redirect_mode: false,
            simple_json: true,
            simple_metadata: true,
            new_repos_authenticated: false,
            sync: true,
            cran: Feed::daily_at("0 0 * * *"),
            pypi: Feed::daily_at("0 1 * * *"),
            bioconductor: Feed::daily_at("0 2 * * *"),
            patience: Duration::from_secs(90),
            bootstrap: None,
            identity: crate::identity::Settings::default(),
            metrics: crate::metrics::Settings::default(),
            https_only: false,
            disk_alert: 90,
            git: crate::git::Settings::default(),
        }
    }
}
