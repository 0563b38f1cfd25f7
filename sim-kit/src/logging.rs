//! Logs go to standard error; standard output is for what programs read.

use tracing_subscriber::EnvFilter;

/// Starts logging once for the process. `filter` is a level or a list of `target=level`; `json` for one object a line.
pub fn start(filter: &str, json: bool) {
    // The solver tells every step of its search at a level that is otherwise for people.
    let filter = EnvFilter::try_new(format!("pubgrub=warn,{filter}")).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A second start in one process is harmless.
    let _ = if json { builder.json().try_init() } else { builder.with_target(false).try_init() };
}
