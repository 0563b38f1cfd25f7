//! The server of one simulated Workbench.

use std::process::ExitCode;

use clap::Parser;

/// A simulator of Posit Workbench. Not affiliated with Posit.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    cli: workbench_sim::cli::Cli,
}

#[tokio::main]
async fn main() -> ExitCode {
    match workbench_sim::cli::run(Args::parse().cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", sim_kit::cli::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
