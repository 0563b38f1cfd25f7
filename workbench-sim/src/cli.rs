//! The command line of a Workbench on its own.

use std::time::Duration;

use sim_kit::cli::{ServerArgs, asked_to_stop};
use sim_kit::{Host, logging};
use url::Url;

use crate::{Config, Connect, Runtime, product};

/// Flags of a Workbench.
#[derive(Debug, Clone, clap::Args)]
pub struct Cli {
    #[command(flatten)]
    server: ServerArgs,
    /// Port; 0 for any free one.
    #[arg(long, env = "TEAMSIM_WORKBENCH_PORT", default_value_t = 8787)]
    port: u16,
    /// The simple index of Package Manager for pip and uv in sessions.
    #[arg(long, env = "TEAMSIM_PYPI_URL")]
    python_index: Option<Url>,
    /// The CRAN repository of Package Manager for R in sessions.
    #[arg(long, env = "TEAMSIM_CRAN_URL")]
    cran: Option<Url>,
    /// The Connect that sessions publish to.
    #[arg(long, env = "TEAMSIM_CONNECT_URL")]
    connect: Option<Url>,
    /// Do not give sessions the seeded API keys of their users; needed when Connect is a real one.
    #[arg(long, env = "TEAMSIM_WORKBENCH_NO_SEEDED_KEYS")]
    no_seeded_keys: bool,
    /// The version to be.
    #[arg(long, env = "TEAMSIM_WORKBENCH_VERSION")]
    as_version: Option<String>,
    /// A path before all others, such as /workbench.
    #[arg(long, env = "TEAMSIM_WORKBENCH_ROOT_PATH", default_value = "")]
    root_path: String,
    /// Take name and password in plain text from the sign-in form.
    #[arg(long, env = "TEAMSIM_WORKBENCH_PLAIN_SIGN_IN")]
    plain_sign_in: bool,
    /// Seconds between two sign-ins of one user.
    #[arg(long, env = "TEAMSIM_WORKBENCH_SIGN_IN_THROTTLE", default_value_t = 5)]
    sign_in_throttle: u64,
    /// What sessions run: a real shell, a scripted console, or the one that fits. Beyond loopback `auto` means the
    /// scripted console: everybody knows the passwords.
    #[arg(long, env = "TEAMSIM_WORKBENCH_RUNTIME", value_enum, default_value_t)]
    runtime: Runtime,
    /// Milliseconds from New Session to Active.
    #[arg(long, env = "TEAMSIM_WORKBENCH_LAUNCH_DELAY", default_value_t = 0)]
    launch_delay: u64,
}

/// Serves until asked to stop.
///
/// # Errors
/// In one line that says what to do.
pub async fn run(args: Cli) -> anyhow::Result<()> {
    logging::start(&args.server.log, args.server.log_json);
    let defaults = Config::default();
    let seeded_keys = !args.no_seeded_keys;
    let config = Config {
        version: args.as_version.unwrap_or(defaults.version),
        root_path: args.root_path,
        python_index: args.python_index,
        cran: args.cran,
        connect: args.connect.map(|url| Connect { url, seeded_keys }),
        encrypt_password: !args.plain_sign_in,
        throttle: Duration::from_secs(args.sign_in_throttle),
        runtime: args.runtime.at(args.server.address()),
        launch_delay: Duration::from_millis(args.launch_delay),
        ..defaults
    };
    let version = config.version.clone();
    let host = args.server.host(args.port, "workbench");
    let running = Host::start(product(config), host).await?;
    println!("Posit Workbench {version} (simulated) is ready at {}", running.url());
    asked_to_stop().await;
    running.stop().await;
    Ok(())
}
