//! The command line of a Package Manager on its own.

use sim_kit::cli::{ServerArgs, asked_to_stop};
use sim_kit::{Host, logging};

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
    server: ServerArgs,
}

/// Serves until asked to stop.
///
/// # Errors
/// In one line that says what to do.
pub async fn run(args: Cli) -> anyhow::Result<()> {
    logging::start(&args.server.log, args.server.log_json);
    let config = Config {
        address: args.address.or(args.server_address),
        redirect_mode: args.redirect,
        simple_json: !args.no_simple_json,
        simple_metadata: !args.no_simple_metadata,
        sync: !args.no_sync,
        ..Config::new(args.upstream)
    };
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
