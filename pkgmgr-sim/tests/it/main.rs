//! Package Manager over real sockets, fed by a package service that the tests hold in their hands.
#![allow(clippy::unwrap_used)]

mod access;
mod administration;
mod airgap;
mod api;
mod bioc;
mod blocklist;
mod bootstrap;
mod browser;
mod builders;
mod clients;
mod cran;
mod desktop;
mod device;
mod eager;
mod files;
mod filter;
mod histories;
mod hostile;
mod identity;
mod metrics;
mod odd_requests;
mod poetry;
mod r_clients;
mod r_methods;
mod renv;
mod rspm;
mod service;
mod settings;
mod simple;
mod snapshots;
mod store;
mod sync;
mod sysreqs;
mod upstream;
mod urls;
mod vsx;
mod vulns;

use chrono::TimeDelta;
use http::{HeaderMap, HeaderValue, StatusCode};
use pkgmgr_sim::{Config, product};
use serde_json::Value;
use service::{Service, day};
use sim_kit::{Host, HostConfig, Running, WorldConfig};

/// A Package Manager and the service that feeds it.
pub(crate) struct Team {
    pub(crate) service: Service,
    pub(crate) running: Running,
    client: reqwest::Client,
}

/// An answer, read to its end; `body` is what came if it broke off.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    pub(crate) broke_off: bool,
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }
}

/// On the 20th of January 2024 at six in the morning, nothing kept.
pub(crate) fn host() -> HostConfig {
    HostConfig {
        world: WorldConfig { frozen_at: Some(day(20) + TimeDelta::hours(6)), ..WorldConfig::default() },
        ..HostConfig::default()
    }
}

pub(crate) fn config(service: &Service) -> Config {
    // How full the disk of this machine is shall not matter.
    Config { sync: false, disk_alert: 100, ..Config::new(service.url()) }
}

impl Team {
    /// Synchronised with [`Service::with_packages`].
    pub(crate) async fn synced() -> Self {
        let team = Self::of(Service::with_packages().await).await;
        team.sync().await;
        team
    }

    /// Not synchronised.
    pub(crate) async fn of(service: Service) -> Self {
        let config = config(&service);
        Self::with(service, config, host()).await
    }

    pub(crate) async fn with(service: Service, config: Config, host: HostConfig) -> Self {
        let running = Host::start(product(config), host).await.unwrap();
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().build().unwrap();
        Self { service, running, client }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.running.url())
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let mut response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        let broke_off = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => body.extend_from_slice(&bytes),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        Answer { status, headers, body, broke_off }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&'static str, &str)]) -> Answer {
        let headers = headers.iter().map(|(k, v)| (k.parse().unwrap(), HeaderValue::from_str(v).unwrap())).collect();
        self.send(self.client.get(self.url(path)).headers(headers)).await
    }

    pub(crate) async fn head(&self, path: &str) -> Answer {
        self.send(self.client.head(self.url(path))).await
    }

    /// Text of a page that must be there.
    pub(crate) async fn text(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.text().to_owned()
    }

    pub(crate) async fn try_sync(&self) -> Answer {
        self.admin("POST", "/__api__/sync", Value::Null).await
    }

    /// A token that allows everything.
    pub(crate) fn token(&self) -> String {
        pkgmgr_sim::admin_token(self.running.world().ids().seed())
    }

    pub(crate) fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method.parse().unwrap(), self.url(path))
    }

    /// With the administrator's token.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        let request = self.request(method, path).bearer_auth(self.token());
        self.send(if body.is_null() { request } else { request.json(&body) }).await
    }

    /// Something an administrator does that must succeed.
    pub(crate) async fn does(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.admin(method, path, body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// Adds a package file to a source.
    pub(crate) async fn add(&self, source: &str, query: &str, bytes: Vec<u8>) -> Answer {
        let path = format!("/__api__/sources/{source}/packages{query}");
        self.send(self.request("POST", &path).bearer_auth(self.token()).body(bytes)).await
    }

    pub(crate) async fn sync(&self) {
        let answer = self.try_sync().await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// The reason why a synchronisation is refused.
    pub(crate) async fn refused(&self) -> String {
        let answer = self.try_sync().await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        answer.json()["error"].as_str().unwrap().to_owned()
    }

    /// Adds a fault rule.
    pub(crate) fn fault(&self, rule: Value) {
        self.running.world().faults().add(serde_json::from_value(rule).unwrap()).unwrap();
    }

    /// What the status document says about the synchronisation of a source.
    pub(crate) async fn sync_status(&self, source: &str) -> Value {
        let status = self.get("/__api__/status").await.json();
        status["sync"].as_array().unwrap().iter().find(|s| s["source"] == source).unwrap().clone()
    }
}
