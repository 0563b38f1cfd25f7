//! The package service as a program.

use std::process::ExitCode;

use clap::Parser;
use sim_kit::Host;
use sim_kit::cli::{ServerArgs, asked_to_stop};

/// The package service that feeds Package Manager: synthetic CRAN and PyPI feeds over PSP/1.
#[derive(Parser)]
#[command(version)]
struct Args {
    /// Port to listen on; 0 for any free one.
    #[arg(long, env = "TEAMSIM_UPSTREAM_PORT", default_value_t = 4241)]
    port: u16,
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    config: upstream_sim::Config,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    sim_kit::logging::start(&args.server.log, args.server.log_json);
    let host = args.server.host(args.port, "upstream");
    match Host::start(upstream_sim::product(args.config), host).await {
        Ok(running) => {
            println!("package service ready at {}", running.url());
            asked_to_stop().await;
            running.stop().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
