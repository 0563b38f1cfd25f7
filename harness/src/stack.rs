//! A whole team in one process: four servers, each talking to the next by URL as if it were elsewhere.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, Utc};
use sim_kit::journal::Bounds;
use sim_kit::{Host, HostConfig, Running, WorldConfig};
use url::Url;

use crate::environment::Urls;

/// What a team is made of.
#[derive(Debug, Clone)]
pub struct StackConfig {
    /// Address all servers listen on.
    pub bind: IpAddr,
    /// Ports; 0: any free one.
    pub ports: Ports,
    /// Where everything is kept, a folder a server; None: nothing is kept.
    pub data_dir: Option<PathBuf>,
    /// Seed of ids, keys and packages.
    pub seed: u64,
    /// A clock that stands still here from the start.
    pub frozen_at: Option<DateTime<Utc>>,
    /// For the control planes beyond loopback.
    pub control_token: Option<String>,
    /// The package service.
    pub upstream: upstream_sim::Config,
    /// Package Manager; the URL of its feed is filled in.
    pub package_manager: pkgmgr_sim::Config,
    /// Port of Package Manager's metrics, if there shall be one.
    pub pkgmgr_metrics: Option<u16>,
    /// Connect; its URLs are filled in.
    pub connect: connect_sim::Config,
    /// Port of Connect's metrics; None: the product's own where Connect has the product's port, none otherwise.
    pub connect_metrics: Option<u16>,
    /// Workbench; its URLs are filled in.
    pub workbench: workbench_sim::Config,
}

/// One port a server.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    /// Workbench: 8787.
    pub workbench: u16,
    /// Connect: 3939.
    pub connect: u16,
    /// Package Manager: 4242.
    pub package_manager: u16,
    /// The package service: 4241.
    pub upstream: u16,
}

impl Default for StackConfig {
    /// Free ports on loopback, nothing kept.
    fn default() -> Self {
        Self {
            bind: IpAddr::from([127, 0, 0, 1]),
            ports: Ports::default(),
            data_dir: None,
            seed: 1,
            frozen_at: None,
            control_token: None,
            upstream: upstream_sim::Config::default(),
            package_manager: pkgmgr_sim::Config::new(
                "http://127.0.0.1:4241".parse().expect("a constant that is a URL"),
            ),
            pkgmgr_metrics: None,
            connect: connect_sim::Config::default(),
            connect_metrics: None,
            workbench: workbench_sim::Config::default(),
        }
    }
}

/// A team that answers.
pub struct Stack {
    /// Workbench.
    pub workbench: Running,
    /// Connect.
    pub connect: Running,
    /// Package Manager.
    pub package_manager: Running,
    /// The package service.
    pub upstream: Running,
    /// Where Package Manager's metrics are.
    pub pkgmgr_metrics: Option<String>,
}

impl Stack {
    /// Starts the four servers and waits until Package Manager has packages.
    ///
    /// # Errors
    /// In one line that says what to do: a port in use, a folder that cannot be written.
    pub async fn start(config: StackConfig) -> anyhow::Result<Self> {
        let host = |port: u16, folder: &str| HostConfig {
            bind: config.bind,
            port,
            control_token: config.control_token.clone(),
            world: WorldConfig {
                seed: config.seed,
                data_dir: config.data_dir.as_ref().map(|root| root.join(folder)),
                database_url: None,
                frozen_at: config.frozen_at,
                journal: Bounds::default(),
            },
        };
        let ports = config.ports;
        let upstream =
            Host::start(upstream_sim::product(config.upstream.clone()), host(ports.upstream, "upstream")).await?;
        let feed: Url = upstream.url().parse()?;
        let package_manager = pkgmgr_sim::Config { upstream: feed, ..config.package_manager.clone() };
        let mut package_manager =
            Host::start(pkgmgr_sim::product(package_manager), host(ports.package_manager, "package-manager")).await?;
        let path = pkgmgr_sim::metrics::PATH;
        let pkgmgr_metrics = match config.pkgmgr_metrics {
            Some(port) => Some(format!("http://{}{path}", package_manager.also_answer(path, config.bind, port).await?)),
            None => None,
        };
        let mut urls = Urls {
            workbench: String::new(),
            connect: String::new(),
            package_manager: package_manager.url(),
            upstream: upstream.url(),
        };
        let mut connect = config.connect.clone();
        connect.pypi_url = Some(urls.pypi());
        connect.cran_urls = vec![urls.cran()];
        let mut connect = Host::start(connect_sim::product(connect), host(ports.connect, "connect")).await?;
        let metrics = config.connect_metrics.map(|port| Some(connect_sim::config::Listen { address: None, port }));
        connect_sim::metrics::serve(&mut connect, metrics, config.bind).await?;
        urls.connect = connect.url();
        let mut workbench = config.workbench.clone();
        workbench.python_index = Some(urls.pypi().parse()?);
        workbench.cran = Some(urls.cran().parse()?);
        workbench.connect = Some(workbench_sim::Connect { url: urls.connect.parse()?, seeded_keys: true });
        let workbench = Host::start(workbench_sim::product(workbench), host(ports.workbench, "workbench")).await?;
        let stack = Self { workbench, connect, package_manager, upstream, pkgmgr_metrics };
        stack.wait_for_packages(Duration::from_secs(600)).await.context("Package Manager did not get its packages")?;
        Ok(stack)
    }

    /// Waits until Package Manager's status says that every source that is synchronised on its own shows a state.
    async fn wait_for_packages(&self, limit: Duration) -> anyhow::Result<()> {
        let url = format!("{}/__api__/status", self.package_manager.url());
        let client = crate::http_client();
        let until = tokio::time::Instant::now() + limit;
        loop {
            let status: serde_json::Value = client.get(&url).send().await?.json().await?;
            let sources = status["sync"].as_array().context("the status tells of no sync")?;
            let waits = |source: &&serde_json::Value| source["transaction"].is_null() && source["schedule"] != "";
            if !sources.iter().any(|source| waits(&source)) {
                return Ok(());
            }
            for source in sources.iter().filter(waits) {
                anyhow::ensure!(source["error"].is_null(), "source {}: {}", source["source"], source["error"]);
                anyhow::ensure!(tokio::time::Instant::now() < until, "source {} is still at it", source["source"]);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Where the servers are.
    #[must_use]
    pub fn urls(&self) -> Urls {
        Urls {
            workbench: self.workbench.url(),
            connect: self.connect.url(),
            package_manager: self.package_manager.url(),
            upstream: self.upstream.url(),
        }
    }

    /// Stops all four, the ones that ask before the ones that answer.
    pub async fn stop(self) {
        self.workbench.stop().await;
        self.connect.stop().await;
        self.package_manager.stop().await;
        self.upstream.stop().await;
    }
}
