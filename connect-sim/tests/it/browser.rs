//! A real browser walks through the dashboard.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use connect_sim::{Config, product};
use serde_json::{Value, json};
use sim_kit::testing::need_tool;
use sim_kit::{Host, HostConfig, Running, seed};
use tokio::sync::Notify;

use super::app::{document_bundle, python_bundle, static_bundle};
use super::index::Index;

/// The Python that has playwright (the one beside its command), and the browser.
fn tools() -> Option<(PathBuf, PathBuf)> {
    Some((need_tool("playwright")?.with_file_name("python3"), need_tool("chromium")?))
}

async fn start(config: Config) -> Running {
    Host::start(product(config), HostConfig::default()).await.unwrap()
}

/// Runs a walk and waits for its last word.
async fn walk((python, chromium): (PathBuf, PathBuf), script: &str, arguments: &[&str], last: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser").join(script);
    let output = tokio::process::Command::new(python)
        .arg("-B")
        .arg(script)
        .args(arguments)
        .env("CHROMIUM", chromium)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.ends_with(&format!("{last}\n")), "{said}{complained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_walks_through_the_dashboard() {
    let (Some(tools), Some(rsconnect)) = (tools(), need_tool("rsconnect")) else { return };
    let index = Index::start().await;
    *index.gate.lock().unwrap() = Some(Arc::new(Notify::new()));
    let running = start(index.config()).await;
    let key = &seed::users(1)[1].api_key;
    let url = running.url();
    walk(tools, "walk.py", &[&url, &index.url, rsconnect.to_str().unwrap(), key], "walked").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_walks_through_the_dashboard() {
    let Some(tools) = tools() else { return };
    let running = start(Config::default()).await;
    walk(tools, "admin.py", &[&running.url()], "administered").await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_killed_and_subscribers_are_mailed() {
    let Some(tools) = tools() else { return };
    let index = Index::start().await;
    let running = start(index.config()).await;
    let publisher = Caller::new(&running, 1);
    let application = json!({"name": "application", "idle_timeout": 600});
    let application = publisher.publish(&application, python_bundle("python-shiny", "")).await;
    let document = publisher.publish(&json!({"name": "document"}), document_bundle()).await;
    walk(tools, "rounds.py", &[&running.url(), &application, &document], "went round").await;
    running.stop().await;
}

/// Somebody who fills a server through the API.
struct Caller {
    client: reqwest::Client,
    url: String,
    key: String,
}

impl Caller {
    fn new(running: &Running, user: usize) -> Self {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { client, url: running.url(), key: seed::users(1)[user].api_key.clone() }
    }

    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> Value {
        let request = self.client.request(method.parse().unwrap(), format!("{}/__api__{path}", self.url));
        let request = request.header("authorization", format!("Key {}", self.key)).body(body);
        let answer = request.send().await.unwrap();
        assert!(answer.status().is_success(), "{method} {path}: {}", answer.text().await.unwrap());
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.send("POST", path, body.to_string().into()).await
    }

    async fn publish(&self, content: &Value, bundle: Vec<u8>) -> String {
        let guid = self.post("/v1/content", content).await["guid"].as_str().unwrap().to_owned();
        self.send("POST", &format!("/v1/content/{guid}/bundles"), bundle).await;
        let task = self.post(&format!("/v1/content/{guid}/deploy"), &json!({})).await;
        let task = format!("/v1/tasks/{}?wait=30", task["task_id"].as_str().unwrap());
        assert_eq!(self.send("GET", &task, Vec::new()).await["finished"], true);
        guid
    }
}

/// Names that break out of what is careless, and out of what is narrow.
const HOSTILE: [&str; 4] = [
    "<script>window.hacked = 1</script><img src=x onerror=\"window.hacked = 1\">",
    "\"'><svg onload=window.hacked=1> ${window.hacked=1} {{ 7 * 7 }} </textarea></title>",
    "\u{202e}sdrawkcab \u{200b}\u{2066}\u{1f9ea}\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467} Ze\u{301}\u{323}\u{489}ro \u{05e9}\u{05dc}\u{05d5}\u{05dd} \u{6f22}\u{5b57}",
    "",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_view_fits_and_shows_names_as_they_are() {
    let Some(tools) = tools() else { return };
    let running = start(Config::default()).await;
    let (admin, publisher) = (Caller::new(&running, 0), Caller::new(&running, 1));
    let mut hostile = HOSTILE.map(str::to_owned);
    hostile[3] = "Donaudampfschifffahrtsgesellschaft".repeat(7);
    let [script, quotes, bidi, long] = &hostile;
    let me = publisher.send("GET", "/v1/user", Vec::new()).await["guid"].as_str().unwrap().to_owned();
    let names = json!({"first_name": &script[..60], "last_name": &long[..120]});
    publisher.send("PUT", &format!("/v1/users/{me}"), names.to_string().into()).await;
    let category = admin.post("/v1/tags", &json!({"name": script})).await;
    let tag = admin.post("/v1/tags", &json!({"name": long, "parent_id": category["id"]})).await;
    let group = publisher.post("/v1/groups", &json!({"name": long})).await["guid"].as_str().unwrap().to_owned();
    publisher.post("/v1/groups", &json!({"name": script})).await;
    publisher.post(&format!("/v1/groups/{group}/members"), &json!({"user_guid": me})).await;
    admin.post("/v1/users", &json!({"username": "a".repeat(128), "first_name": bidi, "password": "a-password"})).await;
    publisher.post(&format!("/v1/users/{me}/keys"), &json!({"name": quotes})).await;
    publisher.post(&format!("/v1/users/{me}/keys"), &json!({"name": &long[..200]})).await;
    let custom = json!({"name": script, "description": long, "template": "github", "config": {"client_id": quotes}});
    let custom = admin.post("/v1/oauth/integrations", &custom).await["guid"].as_str().unwrap().to_owned();
    let image = json!({"name": &long[..200], "title": script, "description": quotes, "cluster_name": "Kubernetes"});
    admin.post("/v1/environments", &image).await;
    admin.post("/v1/system/checks", &json!({})).await;
    admin
        .post(
            "/v1/tasks/send-test-email",
            &json!({"to": format!("a@{}.example.com", ["a".repeat(60), "b".repeat(60), "c".repeat(60)].join("."))}),
        )
        .await;

    publisher.publish(&json!({"name": "plain", "title": "Plain name", "access_type": "all"}), static_bundle("x")).await;
    let mut routes = Vec::new();
    for (number, name) in hostile.iter().enumerate() {
        let content = json!({
            "name": format!("hostile-{number}"), "title": name, "description": name, "access_type": "all",
        });
        let bundle = if number % 2 == 0 { document_bundle() } else { static_bundle(name) };
        let guid = publisher.publish(&content, bundle).await;
        let permission = json!({"principal_guid": group, "principal_type": "group", "role": "viewer"});
        publisher.post(&format!("/v1/content/{guid}/permissions"), &permission).await;
        publisher.post(&format!("/v1/content/{guid}/tags"), &json!({"tag_id": tag["id"]})).await;
        let variable = json!([{"name": quotes.replace('=', ":"), "value": script}]).to_string();
        publisher.send("PATCH", &format!("/v1/content/{guid}/environment"), variable.into()).await;
        routes.push((format!("apps/{guid}"), Value::Null));
        let tabs = ["access", "tags", "variables", "logs", "history"].into_iter();
        let tabs = tabs.chain(["schedule", "variants"].into_iter().filter(|_| number % 2 == 0));
        routes.extend(tabs.map(|tab| (format!("apps/{guid}/{tab}"), json!("viewer"))));
    }
    let everybody = ["content/listing", "people/users", "people/groups", "user/api_keys", "auth-success"];
    routes.extend(everybody.map(|route| (route.to_owned(), Value::Null)));
    routes.push((format!("people/users/{me}"), Value::Null));
    routes.push((format!("people/groups/{group}"), Value::Null));
    routes.push(("content/new".to_owned(), json!("viewer")));
    let system =
        ["info", "checks", "audit", "jobs", "schedules", "runtimes", "environments", "integrations", "tags", "mail"];
    routes.extend(system.map(|name| (format!("system/{name}"), json!("publisher"))));
    routes.push((format!("system/integrations/{custom}"), json!("publisher")));
    walk(tools, "looks.py", &[&running.url(), &json!(routes).to_string()], "looked").await;
    running.stop().await;
}
