//! The command line of a Connect on its own.

use sim_kit::cli::{ServerArgs, asked_to_stop};
use sim_kit::{Host, logging};

use crate::config::{ConnectArgs, Listen, Setup};
use crate::metrics;
use crate::{NAME, PORT, listening_line, product, starting_line};

/// Flags of a Connect.
#[derive(Debug, Clone, clap::Args)]
pub struct Cli {
    /// Port to listen on; 0 for any free one. Default: 3939, or what HTTP.Listen says.
    #[arg(long, env = "TEAMSIM_CONNECT_PORT")]
    port: Option<u16>,
    /// Port where Prometheus finds /metrics; 0 for any free one. Default: what Metrics.PrometheusListen says.
    #[arg(long, env = "TEAMSIM_CONNECT_METRICS_PORT")]
    metrics_port: Option<u16>,
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
    let setup = args.connect.from_environment()?;
    for warning in &setup.warnings {
        tracing::warn!("{warning}");
    }
    let Setup { config, place, .. } = setup;
    let server = ServerArgs {
        bind: args.server.bind.or(place.listen.and_then(|listen| listen.address)),
        database_url: args.server.database_url.clone().or(place.database_url()?),
        data_dir: args.server.data_dir.clone().or(place.data_dir),
        ..args.server
    };
    let port = args.port.or(place.listen.map(|listen| listen.port)).unwrap_or(PORT);
    println!("{}", starting_line(&config));
    let mut running = Host::start(product(config), server.host(port, NAME)).await?;
    println!("{}", listening_line(running.address().port()));
    let said = args.metrics_port.map(|port| Some(Listen { address: None, port })).or(place.metrics);
    if let Some(address) = metrics::serve(&mut running, said, server.address()).await? {
        println!("Serving metrics on [::]:{}", address.port());
    }
    if let Some(address) = place.https.open(&mut running, server.address()).await? {
        println!("Starting HTTPS server on [::]:{}", address.port());
        if let Some(redirect) = place.https.open_redirect(&mut running, server.address(), address).await? {
            println!("Starting HTTP redirect server on [::]:{}", redirect.port());
        }
    }
    asked_to_stop().await;
    running.stop().await;
    Ok(())
}
