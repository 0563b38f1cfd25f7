//! A real browser walks through the dashboard.

use std::path::{Path, PathBuf};

use connect_sim::{Config, product};
use serde_json::{Value, json};
use sim_kit::testing::need_tool;
use sim_kit::{Host, HostConfig, seed};

use super::app::static_bundle;

/// The Python that has playwright: the one beside its command.
fn python() -> Option<PathBuf> {
    Some(need_tool("playwright")?.with_file_name("python3"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_walks_through_the_dashboard() {
    let (Some(python), Some(chromium)) = (python(), need_tool("chromium")) else { return };
    let running = Host::start(product(Config::default()), HostConfig::default()).await.unwrap();
    let publisher = seed::users(1)[1].clone();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let send = async |path: &str, body: Vec<u8>| -> Value {
        let request = client.post(format!("{}/__api__{path}", running.url()));
        let request = request.header("authorization", format!("Key {}", publisher.api_key)).body(body);
        let answer = request.send().await.unwrap().error_for_status().unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let made = send("/v1/content", json!({"name": "walked", "title": "Walked"}).to_string().into()).await;
    let guid = made["guid"].as_str().unwrap();
    send(&format!("/v1/content/{guid}/bundles"), static_bundle("first")).await;
    send(&format!("/v1/content/{guid}/deploy"), b"{}".to_vec()).await;
    send(&format!("/v1/content/{guid}/bundles"), static_bundle("second")).await;

    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/walk.py");
    let output = tokio::process::Command::new(python)
        .arg(script)
        .args([&running.url(), publisher.username, &publisher.password, guid])
        .env("CHROMIUM", chromium)
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.ends_with("walked\n"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    running.stop().await;
}
