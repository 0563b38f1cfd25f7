//! The command line of a Connect on its own.

use sim_kit::cli::{ServerArgs, asked_to_stop};
use sim_kit::{Host, logging};

use crate::config::ConnectArgs;
use crate::{NAME, PORT, listening_line, product, starting_line};

/// Flags of a Connect.
#[derive(Debug, Clone, clap::Args)]
pub struct Cli {
    /// Port to listen on; 0 for any free one.
    #[arg(long, env = "TEAMSIM_CONNECT_PORT", default_value_t = PORT)]
    port: u16,
    #[command(flatten)]
    connect: ConnectArgs,
    #[command(flatten)]
    server: ServerArgs,
}

/// Serves until asked to stop. Prints the two lines that launchers of the real image wait for.
///
/// # Errors
/// In one line that says what to do.
pub async fn run(args: Cli) -> anyhow::Result<()> {
    logging::start(&args.server.log, args.server.log_json);
    let config = args.connect.config()?;
    println!("{}", starting_line(&config));
    let running = Host::start(product(config), args.server.host(args.port, NAME)).await?;
    println!("{}", listening_line(running.address().port()));
    asked_to_stop().await;
    running.stop().await;
    Ok(())
}
