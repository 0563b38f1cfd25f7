//! The package service as a program.

use std::process::ExitCode;

use clap::Parser;

/// The package service that feeds Package Manager: synthetic feeds of R and Python packages over PSP/1.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    cli: upstream_sim::cli::Cli,
}

#[tokio::main]
async fn main() -> ExitCode {
    match upstream_sim::cli::run(Args::parse().cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", sim_kit::cli::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
