//! The `teamsim` command: a whole team in one process, single roles, scenarios.
//!
//! | module | what |
//! |---|---|
//! | [`stack`] | the four servers, wired by URL |
//! | [`environment`] | the variables that point clients at a team |
//! | [`up`], [`run`], [`scenario`] | the commands |
//! | [`cli`] | the command line |

pub mod cli;
pub mod environment;
pub mod run;
pub mod scenario;
pub mod stack;
pub mod up;

/// GETs `url`; an error unless the answer is a success.
///
/// # Errors
/// When there is no answer within five seconds, or one that is no success.
pub async fn health(url: &str) -> anyhow::Result<()> {
    let client = http_client();
    let answer = client.get(url).timeout(std::time::Duration::from_secs(5)).send().await?;
    anyhow::ensure!(answer.status().is_success(), "{url} answered {}", answer.status());
    Ok(())
}

/// A client without cookies.
fn http_client() -> reqwest::Client {
    sim_kit::http_client::client(|builder| builder.user_agent(concat!("teamsim/", env!("CARGO_PKG_VERSION"))))
}
