//! The life of sessions on the World's clock.

use std::time::Duration;

use serde_json::{Value, json};
use sim_kit::Running;
use workbench_sim::client::{Client, LaunchedSession};
use workbench_sim::{Config, Runtime};

use crate::server::{LONG, config, http, publisher, start, start_frozen};

/// The rows of the home page, once they differ from `since`.
async fn rows(workbench: &Running, client: &Client, since: &str) -> Value {
    let url = format!("{}/workspaces/sessions?since={since}", workbench.url());
    http().get(url).header("Cookie", client.cookie_header()).send().await.unwrap().json().await.unwrap()
}

fn shows(rows: &Value, status: &str) -> bool {
    rows["html"].as_str().unwrap().contains(&format!("aria-label=\"{status}\""))
}

#[tokio::test]
async fn a_session_becomes_active_as_time_goes_by() {
    let workbench = start_frozen(Config { launch_delay: Duration::from_secs(10), ..config(Runtime::Simulated) }).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "slow").await.unwrap();
    let seen = rows(&workbench, &client, "").await;
    assert!(shows(&seen, "Pending"), "{seen}");
    assert!(!seen["html"].as_str().unwrap().contains("join slow"));
    for (seconds, state, status) in [(4, "pending", "Pending"), (1, "launching", "Starting"), (5, "running", "Active")]
    {
        workbench.world().clock().advance(Duration::from_secs(seconds)).await;
        assert_eq!(client.state(&session).await.unwrap(), state);
        assert!(shows(&rows(&workbench, &client, "").await, status), "{status}");
    }
    let page = rows(&workbench, &client, "").await["html"].as_str().unwrap().to_owned();
    assert!(page.contains("title=\"join slow\"") && page.contains("aria-label=\"No project: slow\""));
    // Nobody uses it.
    workbench.world().clock().advance(Duration::from_secs(15 * 60)).await;
    assert!(shows(&rows(&workbench, &client, "").await, "Idle"));
}

#[tokio::test]
async fn the_list_answers_when_something_changes() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let empty = rows(&workbench, &client, "").await;
    let version = empty["version"].as_str().unwrap();
    let waiting = rows(&workbench, &client, version);
    let (changed, session) = tokio::join!(waiting, client.launch("RStudio", "new"));
    assert_ne!(changed["version"], empty["version"]);
    let session = session.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
    client.quit(&session).await.unwrap();
    assert_eq!(rows(&workbench, &client, "").await["version"], empty["version"]);
}

#[tokio::test]
async fn suspended_sessions_come_back_by_their_address() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "s").await.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
    let suspend = json!({ "session_ids": session.id, "suspend": true });
    client.call("stop_session", suspend.clone()).await.unwrap();
    assert!(shows(&rows(&workbench, &client, "").await, "Suspended"));
    let twice = client.call("stop_session", suspend).await.unwrap_err().to_string();
    assert!(twice.contains("409") && twice.contains("not running"), "{twice}");
    assert!(client.terminal(&session).await.is_err());
    assert_eq!(client.get(session.url.trim_start_matches('/')).await.unwrap().status(), 200);
    client.wait_until_active(&session, LONG).await.unwrap();
}

#[tokio::test]
async fn quit_and_force_quit_end_a_session() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    for (force, state) in [(false, "finished"), (true, "killed")] {
        let session = client.launch("RStudio", "q").await.unwrap();
        client.wait_until_active(&session, LONG).await.unwrap();
        let kwparams = json!({ "session_ids": session.id, "force_quit": force });
        client.call("stop_session", kwparams).await.unwrap();
        assert_eq!(client.state(&session).await.unwrap(), state);
        assert!(!rows(&workbench, &client, "").await["html"].as_str().unwrap().contains(&session.id));
    }
}

#[tokio::test]
async fn quitting_while_it_starts_leaves_nothing_behind() {
    let workbench = start_frozen(Config { launch_delay: Duration::from_secs(10), ..config(Runtime::Simulated) }).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "early").await.unwrap();
    client.quit(&session).await.unwrap();
    workbench.world().clock().advance(Duration::from_secs(60)).await;
    assert_eq!(client.state(&session).await.unwrap(), "finished");
}

#[tokio::test]
async fn a_session_that_cannot_start_fails_with_its_reason() {
    let workbench = start(config(Runtime::Simulated)).await;
    let effect = json!({ "effect": { "kind": "domain", "name": "session.start", "value": "No node has room." }, "match": { "times": 1 } });
    let faults = format!("{}/__sim__/v1/faults", workbench.url());
    assert_eq!(http().post(faults).json(&effect).send().await.unwrap().status(), 200);
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "f").await.unwrap();
    assert!(client.wait_until_active(&session, LONG).await.unwrap_err().to_string().contains("failed"));
    assert!(shows(&rows(&workbench, &client, "").await, "Failed"));
    let told = client.call("get_session", json!({ "session_id": session.id })).await.unwrap();
    assert_eq!(told["sessions"][0]["status_message"], "No node has room.");
    // The next one starts, and so does this one when it is launched again.
    client.call("resume_session", json!({ "session_id": session.id })).await.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
}

#[tokio::test]
async fn sessions_are_renamed() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "before").await.unwrap();
    let rename = async |session: &LaunchedSession, name: &str| {
        let request = http()
            .post(format!("{}/workspaces/rename_session", workbench.url()))
            .header("Cookie", client.cookie_header())
            .header("X-RS-CSRF-Token", client.token())
            .json(&json!({ "kwparams": { "session_id": session.id, "name": name } }));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(rename(&session, "after _a.b-c").await, 200);
    assert!(rows(&workbench, &client, "").await["html"].as_str().unwrap().contains("No project: after _a.b-c\""));
    assert_eq!(rename(&session, "  ").await, 400);
}
