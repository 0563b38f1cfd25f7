//! What every server's command line shares.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use anyhow::Context as _;
use chrono::{DateTime, Utc};

use crate::host::{HostConfig, Running};
use crate::journal::Bounds;
use crate::world::WorldConfig;

/// Flags of every server. Each has a `TEAMSIM_…` variable.
#[derive(Debug, Clone, clap::Args)]
pub struct ServerArgs {
    /// Address to listen on; default: loopback. Anything else needs --control-token for the control plane.
    #[arg(long, env = "TEAMSIM_BIND")]
    pub bind: Option<IpAddr>,
    /// Folder where everything is kept; without it nothing is kept.
    #[arg(long, env = "TEAMSIM_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// PostgreSQL database to use in place of SQLite, as postgres://user:password@host/name.
    #[arg(long, env = "TEAMSIM_DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
    /// Seed of ids and of the users' keys.
    #[arg(long, env = "TEAMSIM_SEED", default_value_t = 1)]
    pub seed: u64,
    /// Start with the clock standing still at this time, such as 2026-01-01T00:00:00Z.
    #[arg(long, env = "TEAMSIM_FREEZE")]
    pub freeze: Option<DateTime<Utc>>,
    /// Token for the control plane (/__sim__/v1/) when listening beyond loopback.
    #[arg(long, env = "TEAMSIM_CONTROL_TOKEN", hide_env_values = true)]
    pub control_token: Option<String>,
    /// What to log: error, warn, info, debug, trace, or a list of target=level.
    #[arg(long, env = "TEAMSIM_LOG", default_value = "warn")]
    pub log: String,
    /// Log one JSON object a line.
    #[arg(long, env = "TEAMSIM_LOG_JSON")]
    pub log_json: bool,
}

impl ServerArgs {
    /// The address to listen on.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// The host of a server on `port` (0: any free one). `folder` is the server's own place in the data folder.
    #[must_use]
    pub fn host(&self, port: u16, folder: &str) -> HostConfig {
        HostConfig {
            bind: self.address(),
            port,
            control_token: self.control_token.clone(),
            world: WorldConfig {
                seed: self.seed,
                data_dir: self.data_dir.as_ref().map(|path| path.join(folder)),
                database_url: self.database_url.clone(),
                frozen_at: self.freeze,
                journal: Bounds::default(),
            },
        }
    }
}

/// Resolves on Ctrl-C and on SIGTERM.
pub async fn asked_to_stop() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

/// The usual port of HTTPS.
const HTTPS_PORT: u16 = 443;

/// HTTPS beside HTTP, as the settings `HTTPS.*` of the products say.
#[derive(Debug, Clone, Default)]
pub struct Https {
    /// Port, and its address, where it has one. None: 443.
    pub listen: Option<(Option<IpAddr>, u16)>,
    /// PEM file; none: there is no HTTPS.
    pub certificate: Option<PathBuf>,
    /// PEM file.
    pub key: Option<PathBuf>,
    /// Port that sends browsers to HTTPS, and its address, where it has one. None: there is no such port.
    pub redirect: Option<(Option<IpAddr>, u16)>,
}

impl Https {
    /// Opens the port, if there is a certificate, on the address `usual` unless another one is said.
    ///
    /// # Errors
    /// There is no key, or the files or the port cannot be used.
    pub async fn open(&self, running: &mut Running, usual: IpAddr) -> anyhow::Result<Option<SocketAddr>> {
        let Some(certificate) = &self.certificate else { return Ok(None) };
        let key = self.key.as_deref().context("HTTPS.Certificate needs HTTPS.Key, the PEM file with its key")?;
        let (bind, port) = self.listen.unwrap_or((None, HTTPS_PORT));
        Ok(Some(running.also_serve_tls(bind.unwrap_or(usual), port, certificate, key).await?))
    }

    /// Opens the port that sends browsers to the port of HTTPS at `https`, if there shall be one.
    ///
    /// # Errors
    /// The port cannot be used.
    pub async fn open_redirect(
        &self,
        running: &mut Running,
        usual: IpAddr,
        https: SocketAddr,
    ) -> anyhow::Result<Option<SocketAddr>> {
        let Some((bind, port)) = self.redirect else { return Ok(None) };
        Ok(Some(running.also_redirect(bind.unwrap_or(usual), port, https.port()).await?))
    }
}

/// An error with its causes, in one line. What an error says of its cause itself is not said twice.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let next_text = next.to_string();
        if !text.ends_with(&next_text) {
            text.push_str(": ");
            text.push_str(&next_text);
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{said}")]
    struct Told {
        said: &'static str,
        source: std::io::Error,
    }

    #[test]
    fn a_cause_is_told_once() {
        let told = |said| chain(&Told { said, source: std::io::Error::other("no space left") });
        assert_eq!(told("cannot write"), "cannot write: no space left");
        assert_eq!(told("cannot write: no space left"), "cannot write: no space left");
    }
}
