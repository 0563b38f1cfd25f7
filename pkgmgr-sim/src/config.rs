//! Settings.

use std::time::Duration;

use url::Url;

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
    /// Synchronise in the background at the start and then once a day at midnight UTC.
    pub sync: bool,
    /// How long the package service may take for an answer without length. Long answers get more: a second for every 64 KiB.
    pub patience: Duration,
}

impl Config {
    /// Everything on, redirects off.
    #[must_use]
    pub fn new(upstream: Url) -> Self {
        Self {
            upstream,
            address: None,
            redirect_mode: false,
            simple_json: true,
            simple_metadata: true,
            sync: true,
            patience: Duration::from_secs(90),
        }
    }
}
