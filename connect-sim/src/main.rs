//! One Connect simulator as a process.

use std::process::ExitCode;

use clap::Parser;

/// A simulator of Posit Connect; not affiliated with Posit.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    cli: connect_sim::cli::Cli,
}

#[tokio::main]
async fn main() -> ExitCode {
    match connect_sim::cli::run(Args::parse().cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("connect-sim: {}", sim_kit::cli::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
