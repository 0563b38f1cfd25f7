//! The `teamsim` command.

use std::process::ExitCode;

use clap::Parser as _;
use harness::cli::{Cli, Command, Role, ScenarioCommand};

/// Answers are made of many short-lived pieces; the system's allocator takes a fifth of the time of a hot path.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    if pkgmgr_sim::rspm::is_name(std::env::args_os().next().as_deref()) {
        return pkgmgr_sim::rspm::main().await;
    }
    match dispatch(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("teamsim: {}", sim_kit::cli::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Up(args) => harness::up::up(&args).await?,
        Command::Run(args) => return harness::run::run(&args).await,
        Command::Serve { role } => match role {
            Role::Connect(args) => connect_sim::cli::run(args).await?,
            Role::Workbench(args) => workbench_sim::cli::run(args).await?,
            Role::Pkgmgr(args) => pkgmgr_sim::cli::run(args).await?,
            Role::Upstream(args) => upstream_sim::cli::run(args).await?,
        },
        Command::Scenario { command: ScenarioCommand::Run(args) } => {
            return harness::scenario::run::command(&args).await;
        }
        Command::Rspm(args) => print!("{}", pkgmgr_sim::rspm::run(args).await?),
        Command::Health { url } => harness::health(&url).await?,
    }
    Ok(ExitCode::SUCCESS)
}
