//! One Package Manager simulator as a process.

use std::process::ExitCode;

use clap::Parser;

/// A simulator of Posit Package Manager; not affiliated with Posit.
#[derive(Parser)]
#[command(version)]
struct Args {
    #[command(flatten)]
    cli: pkgmgr_sim::cli::Cli,
}

#[tokio::main]
async fn main() -> ExitCode {
    if pkgmgr_sim::rspm::is_name(std::env::args_os().next().as_deref()) {
        return pkgmgr_sim::rspm::main().await;
    }
    match pkgmgr_sim::cli::run(Args::parse().cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pkgmgr-sim: {}", sim_kit::cli::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
