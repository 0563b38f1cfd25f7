//! The command line of a Package Manager on its own.

use std::path::{Path, PathBuf};

use sim_kit::cli::{ServerArgs, asked_to_stop};
use sim_kit::{Host, logging};

use crate::metrics;
use crate::settings::{self, Settings, SettingsError};
use crate::sync::eager::Mode;
use crate::sync::schedule::Schedule;
use crate::{Config, VERSION, product};

/// The real server's port.
const PORT: u16 = 4242;

/// Flags of a Package Manager.
#[derive(Debug, Clone, clap::Args)]
pub struct Cli {
    /// The package service to synchronise from.
    #[arg(long, env = "TEAMSIM_UPSTREAM_URL", default_value = "http://127.0.0.1:4241")]
    upstream: url::Url,
    /// A settings file such as the real server's rstudio-pm.gcfg. PACKAGEMANAGER_… variables go before it, flags before both.
    #[arg(short, long, env = "TEAMSIM_PKGMGR_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// A setting as if it stood in the file, such as Git.PollInterval=1m. May be given several times.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Open a port for /metrics; 0 for any free one. The real server's is 2112.
    #[arg(long, env = "TEAMSIM_PKGMGR_METRICS_PORT", value_name = "PORT")]
    metrics_port: Option<u16>,
    /// Port to listen on; 0 for any free one. 4242 when nothing is said.
    #[arg(long, env = "TEAMSIM_PKGMGR_PORT")]
    port: Option<u16>,
    /// The server's own address as clients see it, such as https://packages.example.org/rspm.
    #[arg(long, env = "TEAMSIM_PKGMGR_ADDRESS")]
    address: Option<String>,
    /// Redirect to the package service for files that are not here yet.
    #[arg(long, env = "TEAMSIM_PKGMGR_REDIRECT")]
    redirect: bool,
    /// Do not offer the JSON form of the simple index.
    #[arg(long, env = "TEAMSIM_PKGMGR_NO_SIMPLE_JSON")]
    no_simple_json: bool,
    /// Do not offer metadata beside wheels.
    #[arg(long, env = "TEAMSIM_PKGMGR_NO_SIMPLE_METADATA")]
    no_simple_metadata: bool,
    /// Builders may read git repositories below this folder of this machine, too; may be given several times.
    #[arg(long, value_name = "FOLDER", env = "TEAMSIM_PKGMGR_GIT_FOLDER", value_delimiter = ':')]
    git_folder: Vec<PathBuf>,
    /// Synchronise only when asked to.
    #[arg(long, env = "TEAMSIM_PKGMGR_NO_SYNC")]
    no_sync: bool,
    #[command(flatten)]
    feeds: FeedArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// Flags that say when and how the feeds are synchronised; also of a whole team. Schedules are cron expressions in UTC.
#[derive(Debug, Clone, clap::Args)]
pub struct FeedArgs {
    /// When CRAN is synchronised; empty: only when asked to.
    #[arg(long, env = "TEAMSIM_CRAN_SYNC_SCHEDULE", value_name = "CRON")]
    cran_sync_schedule: Option<Schedule>,
    /// When PyPI is synchronised.
    #[arg(long, env = "TEAMSIM_PYPI_SYNC_SCHEDULE", value_name = "CRON")]
    pypi_sync_schedule: Option<Schedule>,
    /// When Bioconductor is synchronised.
    #[arg(long, env = "TEAMSIM_BIOCONDUCTOR_SYNC_SCHEDULE", value_name = "CRON")]
    bioconductor_sync_schedule: Option<Schedule>,
    /// Whether the files of CRAN are fetched when clients ask (lazy) or with the synchronisation (eager).
    #[arg(long, env = "TEAMSIM_CRAN_SYNC_MODE", value_name = "MODE")]
    cran_sync_mode: Option<Mode>,
    /// The same for PyPI.
    #[arg(long, env = "TEAMSIM_PYPI_SYNC_MODE", value_name = "MODE")]
    pypi_sync_mode: Option<Mode>,
    /// The same for Bioconductor.
    #[arg(long, env = "TEAMSIM_BIOCONDUCTOR_SYNC_MODE", value_name = "MODE")]
    bioconductor_sync_mode: Option<Mode>,
}

impl FeedArgs {
    /// Changes what the flags say.
    pub fn apply(self, config: &mut Config) {
        for (feed, schedule, mode) in [
            (&mut config.cran, self.cran_sync_schedule, self.cran_sync_mode),
            (&mut config.pypi, self.pypi_sync_schedule, self.pypi_sync_mode),
            (&mut config.bioconductor, self.bioconductor_sync_schedule, self.bioconductor_sync_mode),
        ] {
            feed.schedule = schedule.unwrap_or_else(|| feed.schedule.clone());
            feed.mode = mode.unwrap_or(feed.mode);
        }
    }
}

/// The settings of file and environment, with what the flags say over them.
///
/// # Errors
/// In one line that says what to do.
pub fn settings(
    file: Option<&Path>,
    assignments: &[String],
    feeds: FeedArgs,
    upstream: url::Url,
) -> Result<Settings, SettingsError> {
    let mut settings = settings::read(file, assignments, Config::new(upstream))?;
    feeds.apply(&mut settings.config);
    Ok(settings)
}

/// Serves until asked to stop.
///
/// # Errors
/// In one line that says what to do.
pub async fn run(args: Cli) -> anyhow::Result<()> {
    logging::start(&args.server.log, args.server.log_json);
    let Settings { mut config, port, bind, https, metrics, data_dir, database_url, .. } =
        settings(args.config.as_deref(), &args.set, args.feeds, args.upstream)?;
    config.git.command.folders.extend(args.git_folder);
    let config = Config {
        address: args.address.or(config.address),
        redirect_mode: args.redirect,
        simple_json: !args.no_simple_json,
        simple_metadata: !args.no_simple_metadata,
        sync: !args.no_sync,
        metrics: metrics::Settings { enabled: config.metrics.enabled || args.metrics_port.is_some(), ..config.metrics },
        ..config
    };
    let server = ServerArgs {
        bind: args.server.bind.or(bind),
        data_dir: args.server.data_dir.or(data_dir),
        database_url: args.server.database_url.or(database_url),
        ..args.server
    };
    let port = args.port.or(port).unwrap_or(PORT);
    let metrics_port = args.metrics_port.map(|port| (None, port)).or(metrics.filter(|_| config.metrics.enabled));
    let mut running = Host::start(product(config), server.host(port, "package-manager")).await?;
    println!("Starting Posit Package Manager v{VERSION} (simulated)");
    if let Some((bind, port)) = metrics_port {
        let address = running.also_answer(metrics::PATH, bind.unwrap_or_else(|| server.address()), port).await?;
        println!("Starting metrics server on {address}");
    }
    if let Some(address) = https.open(&mut running, server.address()).await? {
        println!("Starting HTTPS server on {address}");
        if let Some(redirect) = https.open_redirect(&mut running, server.address(), address).await? {
            println!("Starting HTTP redirect server on {redirect}");
        }
    }
    println!("Starting HTTP server on {}", running.address());
    asked_to_stop().await;
    running.stop().await;
    Ok(())
}
