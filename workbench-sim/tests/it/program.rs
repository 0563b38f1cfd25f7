//! The program itself: its first line, its refusals, and its death.

use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use workbench_sim::client::Client;

use crate::server::LONG;

fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_workbench-sim"));
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Starts it and answers with its address, which its first line names.
async fn start(data: &std::path::Path) -> (Child, String) {
    let data = data.to_str().unwrap();
    let arguments = ["--port", "0", "--sign-in-throttle", "0", "--runtime", "simulated", "--data-dir", data];
    let mut child = program(&arguments).spawn().unwrap();
    let line = BufReader::new(child.stdout.take().unwrap()).lines().next_line().await.unwrap().unwrap();
    assert!(
        line.starts_with("Posit Workbench 20") && line.contains("(simulated) is ready at http://127.0.0.1:"),
        "{line}"
    );
    (child, line.split_whitespace().last().unwrap().to_owned())
}

#[tokio::test]
async fn what_was_answered_outlives_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, url) = start(folder.path()).await;
    let client = Client::sign_in(&url, "publisher", "publisher-password").await.unwrap();
    let session = client.launch("RStudio", "kept").await.unwrap();
    child.kill().await.unwrap();

    let (mut child, url) = start(folder.path()).await;
    let client = Client::sign_in(&url, "publisher", "publisher-password").await.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
    client.quit(&session).await.unwrap();
    child.kill().await.unwrap();

    let (_child, url) = start(folder.path()).await;
    let client = Client::sign_in(&url, "publisher", "publisher-password").await.unwrap();
    assert_eq!(client.state(&session).await.unwrap(), "finished");
}

#[tokio::test]
async fn what_cannot_work_is_said_in_one_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (arguments, words) in [
        (vec!["--port", port.as_str()], "another port"),
        (vec!["--port", "0", "--root-path", "no-slash"], "must be like /workbench"),
        (vec!["--port", "0", "--root-path", "/{x}"], "must be like /workbench"),
        (vec!["--port", "0", "--data-dir", "/proc/none"], "--data-dir"),
        (vec!["--port", "0", "--bind", "0.0.0.0"], "--control-token"),
    ] {
        let output = program(&arguments).output().await.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(words) && said.trim_end().lines().count() == 1, "{said}");
    }
}
