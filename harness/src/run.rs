//! `teamsim run -- CMD`: an ephemeral team around one command.

use std::process::ExitCode;

use anyhow::Context as _;

use crate::cli::RunArgs;
use crate::environment::{env_file, r_profile, variables};
use crate::stack::{Ports, Stack};

/// Starts a team, runs the command with the team's environment, stops the team. The code is the command's; 128 + n when a
/// signal n ended it.
///
/// # Errors
/// When the team does not start or the command cannot be run.
pub async fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    sim_kit::logging::start(&args.team.log, args.team.log_json);
    let ports = Ports {
        workbench: args.workbench_port,
        connect: args.connect_port,
        package_manager: args.pkgmgr_port,
        upstream: args.upstream_port,
    };
    let stack = Stack::start(args.team.stack(ports)?).await?;
    let urls = stack.urls();
    let mut variables = variables(&urls, args.team.seed);
    let folder = tempfile::Builder::new().prefix("teamsim-run-").tempdir()?;
    let profile = folder.path().join("Rprofile");
    std::fs::write(&profile, r_profile(&urls))?;
    variables.push(("R_PROFILE_USER".to_owned(), profile.display().to_string()));
    if args.env {
        print!("{}", env_file(&variables));
        stack.stop().await;
        return Ok(ExitCode::SUCCESS);
    }
    let (program, rest) = args.command.split_first().context("no command; write: teamsim run -- CMD …")?;
    let mut child = tokio::process::Command::new(program)
        .args(rest)
        .envs(variables)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let status = tokio::select! {
        status = child.wait() => status?,
        () = sim_kit::cli::asked_to_stop() => {
            // Ctrl-C reaches the command too, SIGTERM does not: pass it on and wait for its end.
            if let Some(id) = child.id() {
                let _ = tokio::process::Command::new("kill").arg(id.to_string()).status().await;
            }
            child.wait().await?
        }
    };
    stack.stop().await;
    let code =
        status.code().or_else(|| std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal));
    Ok(ExitCode::from(u8::try_from(code.unwrap_or(1)).unwrap_or(1)))
}
