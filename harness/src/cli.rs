//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};

use crate::stack::{Ports, StackConfig};

/// Simulators of Posit Workbench, Connect and Package Manager. Not affiliated with Posit.
#[derive(Debug, Parser)]
#[command(
    name = "teamsim",
    version,
    after_help = "Examples:\n  teamsim up                                a team on the usual ports, until Ctrl-C\n  \
                  teamsim run -- pytest tests/              an ephemeral team around one command\n  \
                  teamsim scenario run publish.toml         publish-and-install as a file\n\n\
                  Every flag has a TEAMSIM_… variable; `teamsim COMMAND --help` names them."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, made once")]
pub enum Command {
    /// Start a team in one process and print its URLs, users and keys
    Up(UpArgs),
    /// Start an ephemeral team around one command, with its environment set; the exit code is the command's
    Run(RunArgs),
    /// Serve one role, as containers do
    Serve {
        /// Which.
        #[command(subcommand)]
        role: Role,
    },
    /// Publish-and-install scenarios
    Scenario {
        /// What to do with them.
        #[command(subcommand)]
        command: ScenarioCommand,
    },
    /// Package Manager's administration: repositories, sources, tokens, sync
    Rspm(pkgmgr_sim::rspm::Rspm),
    /// GET a URL and fail unless it answers with success: a health check for images without curl
    Health {
        /// Such as <http://127.0.0.1:3939/__ping__>.
        url: String,
    },
}

/// How a team is made.
#[derive(Debug, Clone, Args)]
pub struct TeamArgs {
    /// Address to listen on; beyond loopback the control planes need --control-token
    #[arg(long, env = "TEAMSIM_BIND", default_value = "127.0.0.1")]
    pub bind: IpAddr,
    /// Folder where everything is kept; without it nothing is kept
    #[arg(long, env = "TEAMSIM_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Seed of ids, keys and packages
    #[arg(long, env = "TEAMSIM_SEED", default_value_t = 1)]
    pub seed: u64,
    /// Be a release of a product, such as connect=2024.08.0; may be given several times
    #[arg(long = "as", value_name = "PRODUCT=VERSION", env = "TEAMSIM_AS", value_delimiter = ',')]
    pub versions: Vec<String>,
    /// Start with all clocks standing still at this time, such as 2026-01-01T00:00:00Z
    #[arg(long, env = "TEAMSIM_FREEZE")]
    pub freeze: Option<DateTime<Utc>>,
    /// What Workbench sessions are made of
    #[arg(long, env = "TEAMSIM_RUNTIME", value_enum, default_value_t)]
    pub runtime: workbench_sim::Runtime,
    /// Port where Prometheus finds Connect's metrics (default: 3232 where Connect has port 3939, none otherwise)
    #[arg(long, env = "TEAMSIM_CONNECT_METRICS_PORT")]
    pub connect_metrics_port: Option<u16>,
    /// The catalogue.
    #[command(flatten)]
    pub upstream: upstream_sim::Config,
    /// Settings file of Package Manager (rstudio-pm.gcfg); of what it says about listening and storage the flags here decide
    #[arg(long, env = "TEAMSIM_PKGMGR_CONFIG", value_name = "FILE")]
    pub pkgmgr_config: Option<PathBuf>,
    /// Open a port for Package Manager's metrics (0: any free one); without it, what the settings file says
    #[arg(long, env = "TEAMSIM_PKGMGR_METRICS_PORT", value_name = "PORT")]
    pub pkgmgr_metrics_port: Option<u16>,
    /// How Package Manager follows the catalogue.
    #[command(flatten)]
    pub feeds: pkgmgr_sim::cli::FeedArgs,
    /// Token for the control planes (/__sim__/v1/) when listening beyond loopback
    #[arg(long, env = "TEAMSIM_CONTROL_TOKEN", hide_env_values = true)]
    pub control_token: Option<String>,
    /// What to log: error, warn, info, debug, trace, or a list of target=level
    #[arg(long, env = "TEAMSIM_LOG", default_value = "warn")]
    pub log: String,
    /// Log one JSON object a line
    #[arg(long, env = "TEAMSIM_LOG_JSON")]
    pub log_json: bool,
}

impl TeamArgs {
    /// The team these flags mean, on `ports`.
    ///
    /// # Errors
    /// When --as names a product or a release that is none, or Package Manager's settings are wrong.
    pub fn stack(&self, ports: Ports) -> anyhow::Result<StackConfig> {
        let defaults = StackConfig::default();
        let feed = defaults.package_manager.upstream;
        let settings = pkgmgr_sim::cli::settings(self.pkgmgr_config.as_deref(), &[], self.feeds.clone(), feed)?;
        let asked = settings.metrics.filter(|_| settings.config.metrics.enabled).map(|(_, port)| port);
        let mut config = StackConfig {
            bind: self.bind,
            ports,
            data_dir: self.data_dir.clone(),
            seed: self.seed,
            frozen_at: self.freeze,
            control_token: self.control_token.clone(),
            upstream: self.upstream.clone(),
            package_manager: settings.config,
            pkgmgr_metrics: self.pkgmgr_metrics_port.or(asked),
            connect_metrics: self.connect_metrics_port,
            ..StackConfig::default()
        };
        config.workbench.runtime = self.runtime.at(self.bind);
        for version in &self.versions {
            match version.split_once('=') {
                Some(("connect", release)) => {
                    config.connect.version =
                        release.parse().map_err(|error| anyhow::anyhow!("--as {version}: {error}"))?;
                }
                Some(("workbench", release)) => config.workbench.version = release.to_owned(),
                _ => anyhow::bail!(
                    "--as {version}: give connect=VERSION or workbench=VERSION, such as connect=2024.08.0"
                ),
            }
        }
        Ok(config)
    }
}

/// `teamsim up`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  teamsim up\n  teamsim up --data-dir ./team            keep what is published\n  \
                        teamsim up --env-file team.env          then: set -a; . ./team.env\n  \
                        teamsim up --connect-port 0 --json      any free port, told as JSON\n  \
                        teamsim up --pkgmgr-metrics-port 2112   numbers of Package Manager for Prometheus\n  \
                        teamsim up --cran-sync-mode eager       all files of CRAN at once\n  \
                        teamsim up --pypi-sync-schedule '*/30 * * * *'")]
pub struct UpArgs {
    /// The team.
    #[command(flatten)]
    pub team: TeamArgs,
    /// Port of Workbench (0: any free one)
    #[arg(long, env = "TEAMSIM_WORKBENCH_PORT", default_value_t = 8787)]
    pub workbench_port: u16,
    /// Port of Connect
    #[arg(long, env = "TEAMSIM_CONNECT_PORT", default_value_t = 3939)]
    pub connect_port: u16,
    /// Port of Package Manager
    #[arg(long, env = "TEAMSIM_PKGMGR_PORT", default_value_t = 4242)]
    pub pkgmgr_port: u16,
    /// Port of the package service
    #[arg(long, env = "TEAMSIM_UPSTREAM_PORT", default_value_t = 4241)]
    pub upstream_port: u16,
    /// Print one JSON object in place of the table
    #[arg(long)]
    pub json: bool,
    /// Write the environment variables that point clients at the team to this file
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
}

/// `teamsim run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  teamsim run -- pytest tests/\n  teamsim run --env                       the variables the command gets\n  \
                        teamsim run --as connect=2024.08.0 -- ./suite.sh\n  \
                        teamsim run --pkgmgr-config rstudio-pm.gcfg -- ./suite.sh"
)]
pub struct RunArgs {
    /// The team.
    #[command(flatten)]
    pub team: TeamArgs,
    /// Port of Workbench (0: any free one)
    #[arg(long, env = "TEAMSIM_WORKBENCH_PORT", default_value_t = 0)]
    pub workbench_port: u16,
    /// Port of Connect
    #[arg(long, env = "TEAMSIM_CONNECT_PORT", default_value_t = 0)]
    pub connect_port: u16,
    /// Port of Package Manager
    #[arg(long, env = "TEAMSIM_PKGMGR_PORT", default_value_t = 0)]
    pub pkgmgr_port: u16,
    /// Port of the package service
    #[arg(long, env = "TEAMSIM_UPSTREAM_PORT", default_value_t = 0)]
    pub upstream_port: u16,
    /// Print the variables the command would get, and end
    #[arg(long)]
    pub env: bool,
    /// The command and its arguments
    #[arg(trailing_var_arg = true, required_unless_present = "env")]
    pub command: Vec<String>,
}

/// `teamsim serve`.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one, made once")]
pub enum Role {
    /// Posit Connect
    Connect(connect_sim::cli::Cli),
    /// Posit Workbench
    Workbench(workbench_sim::cli::Cli),
    /// Posit Package Manager
    Pkgmgr(pkgmgr_sim::cli::Cli),
    /// The package service that feeds Package Manager
    Upstream(upstream_sim::cli::Cli),
}

/// `teamsim scenario`.
#[derive(Debug, Subcommand)]
pub enum ScenarioCommand {
    /// Run scenario files against a team of their own, or against one that is up
    Run(ScenarioArgs),
}

/// `teamsim scenario run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  teamsim scenario run harness/scenarios/publish_and_install.toml --junit report.xml\n  \
                        teamsim scenario run my.toml --connect-url http://localhost:3939 \\\n      \
                        --workbench-url http://localhost:8787 --pkgmgr-url http://localhost:4242"
)]
pub struct ScenarioArgs {
    /// Scenario files
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Workbench of a team that is up
    #[arg(long, requires_all = ["connect_url", "pkgmgr_url"])]
    pub workbench_url: Option<url::Url>,
    /// Connect of a team that is up
    #[arg(long, requires_all = ["workbench_url", "pkgmgr_url"])]
    pub connect_url: Option<url::Url>,
    /// Package Manager of a team that is up
    #[arg(long, requires_all = ["workbench_url", "connect_url"])]
    pub pkgmgr_url: Option<url::Url>,
    /// Write JUnit XML to this file
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write a report page to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// The team to start when none is named.
    #[command(flatten)]
    pub team: TeamArgs,
}
