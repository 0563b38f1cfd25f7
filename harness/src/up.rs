//! `teamsim up`: a team until Ctrl-C.

use std::fmt::Write as _;
use std::io::Write as _;

use anyhow::Context as _;
use sim_kit::seed::users;

use crate::cli::UpArgs;
use crate::environment::{Urls, env_file, variables};
use crate::stack::{Ports, Stack};

/// Starts the team, says where it is, and stops it when asked to.
///
/// # Errors
/// When the team does not start or the file cannot be written.
pub async fn up(args: &UpArgs) -> anyhow::Result<()> {
    sim_kit::logging::start(&args.team.log, args.team.log_json);
    let ports = Ports {
        workbench: args.workbench_port,
        connect: args.connect_port,
        package_manager: args.pkgmgr_port,
        upstream: args.upstream_port,
    };
    let stack = Stack::start(args.team.stack(ports)?).await?;
    let urls = stack.urls();
    let variables = variables(&urls, args.team.seed);
    if let Some(path) = &args.env_file {
        std::fs::write(path, env_file(&variables)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let metrics = stack.pkgmgr_metrics.as_deref();
    let text = if args.json {
        json(&urls, metrics, args.team.seed, &variables)
    } else {
        table(&urls, metrics, args.team.seed)
    };
    let mut out = std::io::stdout().lock();
    // Whoever started this may have stopped reading; the team stays up all the same.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    drop(out);
    sim_kit::cli::asked_to_stop().await;
    stack.stop().await;
    Ok(())
}

fn json(urls: &Urls, metrics: Option<&str>, seed: u64, variables: &[(String, String)]) -> String {
    let team = users(seed).map(|user| {
        serde_json::json!({
            "username": user.username, "password": user.password, "role": user.role, "api_key": user.api_key,
        })
    });
    let environment: serde_json::Map<_, _> = variables.iter().map(|(n, v)| (n.clone(), v.clone().into())).collect();
    let mut told = serde_json::json!({ "urls": urls, "users": team, "environment": environment });
    if let Some(metrics) = metrics {
        told["package_manager_metrics"] = metrics.into();
    }
    format!("{told}\n")
}

fn table(urls: &Urls, metrics: Option<&str>, seed: u64) -> String {
    let mut text = String::from("teamsim is up. Simulated; not affiliated with Posit.\n\n");
    for (name, url) in [
        ("Workbench", &urls.workbench),
        ("Connect", &urls.connect),
        ("Package Manager", &urls.package_manager),
        ("Package Service", &urls.upstream),
    ] {
        let _ = writeln!(text, "  {name:<17}{url}");
    }
    if let Some(metrics) = metrics {
        let _ = writeln!(text, "  {:<17}{metrics}", "its metrics");
    }
    let _ = writeln!(text, "\n  {:<11}{:<15}{:<22}API key (Connect)", "User", "Role", "Password");
    for user in users(seed) {
        let _ = writeln!(text, "  {:<11}{:<15}{:<22}{}", user.username, user.role, user.password, user.api_key);
    }
    let _ = writeln!(
        text,
        "\nTry next:\n  pip install --index-url {pypi} flask\n  \
         rsconnect add -n team -s {connect} -k {key}\n  \
         curl {connect}/__sim__/v1/journal\n\nCtrl-C stops it.",
        pypi = urls.pypi(),
        connect = urls.connect,
        key = users(seed)[1].api_key,
    );
    text
}
