//! The command line of a package service on its own.

use sim_kit::cli::{ServerArgs, asked_to_stop};
use sim_kit::{Host, logging};

use crate::{Config, product};

/// Flags of a package service.
#[derive(Debug, Clone, clap::Args)]
pub struct Cli {
    /// Port to listen on; 0 for any free one.
    #[arg(long, env = "TEAMSIM_UPSTREAM_PORT", default_value_t = 4241)]
    port: u16,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    config: Config,
}

/// Serves until asked to stop.
///
/// # Errors
/// In one line that says what to do.
pub async fn run(args: Cli) -> anyhow::Result<()> {
    logging::start(&args.server.log, args.server.log_json);
    let running = Host::start(product(args.config), args.server.host(args.port, "upstream")).await?;
    println!("package service ready at {}", running.url());
    asked_to_stop().await;
    running.stop().await;
    Ok(())
}
