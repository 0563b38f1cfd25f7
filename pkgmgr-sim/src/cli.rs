//! The command line of a Package Manager on its own.

use sim_kit::cli::{ServerArgs, asked_to_stop};
use sim_kit::{Host, logging};

use crate::sync::eager::Mode;
use crate::sync::schedule::Schedule;
use crate::{Config, VERSION, product};

/// Flags of a Package Manager.
#[derive(Debug, Clone, clap::Args)]
pub struct Cli {
    /// The package service to synchronise from.
    #[arg(long, env = "TEAMSIM_UPSTREAM_URL", default_value = "http://127.0.0.1:4241")]
    upstream: url::Url,
    /// Port to listen on; 0 for any free one.
    #[arg(long, env = "TEAMSIM_PKGMGR_PORT", default_value_t = 4242)]
    port: u16,
    /// The server's own address as clients see it, such as https://packages.example.org/rspm.
    #[arg(long, env = "TEAMSIM_PKGMGR_ADDRESS")]
    address: Option<String>,
    /// The vendor's variable for the same.
    #[arg(long, env = "PACKAGEMANAGER_SERVER_ADDRESS", hide = true)]
    server_address: Option<String>,
    /// The vendor's variable for address and port, such as :4242.
    #[arg(long, env = "PACKAGEMANAGER_HTTP_LISTEN", hide = true)]
    http_listen: Option<String>,
    /// Redirect to the package service for files that are not here yet.
    #[arg(long, env = "TEAMSIM_PKGMGR_REDIRECT")]
    redirect: bool,
    /// Do not offer the JSON form of the simple index.
    #[arg(long, env = "TEAMSIM_PKGMGR_NO_SIMPLE_JSON")]
    no_simple_json: bool,
    /// Do not offer metadata beside wheels.
    #[arg(long, env = "TEAMSIM_PKGMGR_NO_SIMPLE_METADATA")]
    no_simple_metadata: bool,
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
    #[arg(long, env = "PACKAGEMANAGER_CRAN_SYNCSCHEDULE", value_name = "CRON")]
    cran_sync_schedule: Option<Schedule>,
    /// When PyPI is synchronised.
    #[arg(long, env = "PACKAGEMANAGER_PYPI_SYNCSCHEDULE", value_name = "CRON")]
    pypi_sync_schedule: Option<Schedule>,
    /// When Bioconductor is synchronised.
    #[arg(long, env = "PACKAGEMANAGER_BIOCONDUCTOR_SYNCSCHEDULE", value_name = "CRON")]
    bioconductor_sync_schedule: Option<Schedule>,
    /// Whether the files of CRAN are fetched when clients ask (lazy) or with the synchronisation (eager).
    #[arg(long, env = "PACKAGEMANAGER_CRAN_SYNCMODE", value_name = "MODE")]
    cran_sync_mode: Option<Mode>,
    /// The same for PyPI.
    #[arg(long, env = "PACKAGEMANAGER_PYPI_SYNCMODE", value_name = "MODE")]
    pypi_sync_mode: Option<Mode>,
    /// The same for Bioconductor.
    #[arg(long, env = "PACKAGEMANAGER_BIOCONDUCTOR_SYNCMODE", value_name = "MODE")]
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

/// Serves until asked to stop.
///
/// # Errors
/// In one line that says what to do.
pub async fn run(args: Cli) -> anyhow::Result<()> {
    logging::start(&args.server.log, args.server.log_json);
    let mut config = Config {
        address: args.address.or(args.server_address),
        redirect_mode: args.redirect,
        simple_json: !args.no_simple_json,
        simple_metadata: !args.no_simple_metadata,
        sync: !args.no_sync,
        ..Config::new(args.upstream)
    };
    args.feeds.apply(&mut config);
    let port = match args.http_listen.as_deref().and_then(|listen| listen.rsplit(':').next()) {
        Some(port) => {
            port.parse().map_err(|_| anyhow::anyhow!("PACKAGEMANAGER_HTTP_LISTEN must end in a port, such as :4242"))?
        }
        None => args.port,
    };
    let running = Host::start(product(config), args.server.host(port, "package-manager")).await?;
    println!("Starting Posit Package Manager v{VERSION} (simulated)");
    println!("Starting HTTP server on {}", running.address());
    asked_to_stop().await;
    running.stop().await;
    Ok(())
}
