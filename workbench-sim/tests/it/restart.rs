//! What outlives the server, on both engines.

use std::time::Duration;

use serde_json::json;
use sim_kit::testing::Postgres;
use sim_kit::{Host, HostConfig, WorldConfig};
use workbench_sim::client::Client;
use workbench_sim::{Config, Runtime};

use crate::server::{LONG, config, http, publisher, start_in};

#[tokio::test]
async fn sign_ins_sessions_and_files_outlive_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let workbench = start_in(config(Runtime::Simulated), folder.path()).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "kept").await.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
    let mut terminal = client.terminal(&session).await.unwrap();
    terminal.run("echo kept > file", LONG).await.unwrap();
    // Another user: cookies of one user made in one second are the same.
    let signed_out = Client::sign_in(&workbench.url(), "viewer", "viewer-password").await.unwrap();
    let worthless = signed_out.cookie_header();
    let form = [("rs-csrf-token", signed_out.token())];
    let url = format!("{}/auth-sign-out", workbench.url());
    assert_eq!(http().post(url).header("Cookie", &worthless).form(&form).send().await.unwrap().status(), 302);
    let cookie = client.cookie_header();
    workbench.stop().await;

    let workbench = start_in(config(Runtime::Simulated), folder.path()).await;
    let home = async |cookie: &str| {
        http().get(format!("{}/home", workbench.url())).header("Cookie", cookie).send().await.unwrap()
    };
    let page = home(&cookie).await;
    assert_eq!(page.status(), 200);
    assert!(page.text().await.unwrap().contains("join kept"));
    assert_eq!(home(&worthless).await.status(), 302);
    let client = publisher(&workbench).await;
    let mut terminal = client.terminal(&session).await.unwrap();
    assert_eq!(terminal.run("cat file", LONG).await.unwrap().output, "kept\n");
    // Ids of the first life do not come again.
    assert_ne!(client.launch("RStudio", "new").await.unwrap().id, session.id);
}

#[tokio::test]
async fn a_session_with_processes_is_suspended_afterwards() {
    let folder = tempfile::tempdir().unwrap();
    let workbench = start_in(config(Runtime::Process), folder.path()).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "p").await.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
    let mut terminal = client.terminal(&session).await.unwrap();
    terminal.run("echo kept > file", LONG).await.unwrap();
    workbench.stop().await;

    let workbench = start_in(config(Runtime::Process), folder.path()).await;
    let client = publisher(&workbench).await;
    let told = client.call("get_session", json!({ "session_id": session.id })).await.unwrap();
    assert_eq!(told["sessions"][0]["activity_state"], "suspended");
    assert!(told["sessions"][0]["status_message"].as_str().unwrap().contains("processes ended"));
    client.call("resume_session", json!({ "session_id": session.id })).await.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
    let mut terminal = client.terminal(&session).await.unwrap();
    assert_eq!(terminal.run("cat file", LONG).await.unwrap().output, "kept\n");
}

#[tokio::test]
async fn a_launch_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let slow = || Config { launch_delay: Duration::from_secs(3600), ..config(Runtime::Simulated) };
    let workbench = start_in(slow(), folder.path()).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "slow").await.unwrap();
    workbench.stop().await;
    let workbench = start_in(config(Runtime::Simulated), folder.path()).await;
    let client = publisher(&workbench).await;
    client.wait_until_active(&session, LONG).await.unwrap();
}

#[tokio::test]
async fn everything_works_on_postgresql() {
    let Some(postgres) = Postgres::start() else { return };
    let world = WorldConfig { database_url: Some(postgres.database().await), ..WorldConfig::default() };
    let host = || HostConfig { world: world.clone(), ..HostConfig::default() };
    let product = workbench_sim::product(config(Runtime::Simulated));
    let workbench = Host::start(product.clone(), host()).await.unwrap();
    let client = publisher(&workbench).await;
    let cookie = client.cookie_header();
    for n in 0..3 {
        let session = client.launch("RStudio", &format!("s{n}")).await.unwrap();
        client.wait_until_active(&session, LONG).await.unwrap();
        client.quit(&session).await.unwrap();
    }
    let session = client.launch("RStudio", "kept").await.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
    let refused = Client::sign_in(&workbench.url(), "publisher", "wrong").await;
    assert!(refused.is_err());
    workbench.stop().await;
    let workbench = Host::start(product, host()).await.unwrap();
    let page = http().get(format!("{}/home", workbench.url())).header("Cookie", cookie).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("join kept"));
    workbench.stop().await;
}
