//! Unmodified clients against a real socket.
//!
//! rsconnect-python is found on `PATH`.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use connect_sim::version::{NEWEST, Version};
use connect_sim::{Config, product};
use futures_util::future::join_all;
use serde_json::{Value, json};
use sim_kit::testing::need_tool;
use sim_kit::{Fidelity, World, WorldConfig, seed};

use tokio::io::AsyncBufReadExt as _;

use super::git::{Remote, STATIC};
use super::identity::Issuer;
use super::index::Index;
use super::site::{Site, newest_tools, older_tools};

/// Routes that rsconnect-python is seen to succeed with.
const RSCONNECT: &[&str] = &[
    "* /content/{guid}/{*path}",
    "GET /__api__/server_settings",
    "GET /__api__/v1/content",
    "GET /__api__/v1/content/{guid}",
    "GET /__api__/v1/content/{guid}/bundles/{id}/download",
    "GET /__api__/v1/content/{guid}/lockfile",
    "GET /__api__/v1/content/{guid}/repository",
    "GET /__api__/v1/oauth/templates",
    "GET /__api__/v1/oauth/templates/{key}",
    "GET /__api__/v1/tasks/{id}",
    "GET /__api__/v1/user",
    "PATCH /__api__/v1/content/{guid}",
    "PATCH /__api__/v1/content/{guid}/environment",
    "PATCH /__api__/v1/content/{guid}/repository",
    "POST /__api__/v1/content",
    "POST /__api__/v1/content/{guid}/build",
    "POST /__api__/v1/content/{guid}/bundles",
    "POST /__api__/v1/content/{guid}/deploy",
    "PUT /__api__/v1/content/{guid}/repository",
];
/// Routes that an older rsconnect-python is seen to succeed with.
const OLDER: &[&str] = &[
    "GET /__api__/applications",
    "GET /__api__/applications/{id}",
    "GET /__api__/applications/{id}/config",
    "GET /__api__/tasks/{id}",
    "POST /__api__/applications",
    "POST /__api__/applications/{id}",
    "POST /__api__/applications/{id}/deploy",
    "POST /__api__/applications/{id}/upload",
];
/// Routes that its `bootstrap` is seen to succeed with.
const BOOTSTRAP: &[&str] = &["POST /__api__/v1/experimental/bootstrap"];
/// Routes that its `login` is seen to succeed with.
const LOGIN: &[&str] = &[
    "GET /.well-known/oauth-authorization-server",
    "POST /oauth/v1/device_authorization",
    "POST /oauth/v1/register",
    "POST /oauth/v1/token",
];
/// The label is granted by the tests below and by nothing else.
#[tokio::test]
async fn client_proven_is_what_clients_prove() {
    let world = World::open(&WorldConfig::default(), connect_sim::store::MIGRATIONS).await.unwrap();
    let routes = (product(Config::default()).build)(world).await.unwrap().routes;
    let labelled: BTreeSet<String> = routes
        .iter()
        .filter(|route| route.fidelity == Fidelity::ClientProven)
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let proven: BTreeSet<String> = [
        RSCONNECT,
        OLDER,
        BOOTSTRAP,
        LOGIN,
        super::posit_sdk::SDK,
        super::pins::PINS,
        super::r_client::R,
        super::publisher::PUBLISHER,
    ]
    .concat()
    .into_iter()
    .map(|route| (*route).to_owned())
    .collect();
    assert_eq!(labelled, proven);
}

/// The address that a client printed behind `label`.
fn address(text: &str, label: &str) -> String {
    let line = text.lines().find(|line| line.contains(label)).unwrap_or_else(|| panic!("no {label} in {text}"));
    let url = line.split_once("http").unwrap().1;
    format!("http{}", url.split(|c: char| c.is_whitespace() || c == '\u{1b}').next().unwrap())
}

/// Personalities that every client is run against: the first three are older than much of what the clients know.
/// They are run at the same time: one client or another always waits, `content build run` for five seconds on its own.
const RELEASES: [Version; 3] = [Version::new(2023, 1, 0), Version::new(2024, 8, 0), NEWEST];

#[tokio::test(flavor = "multi_thread")]
async fn rsconnect_publishes() {
    let Some(tools) = newest_tools() else { return };
    let each = RELEASES.map(async |release| {
        let index = Index::start().await;
        let site = Site::new(Config { version: release, ..index.config() }, tools.clone()).await;
        publish(&site).await;
        if release == NEWEST {
            administrate(&site).await;
            publish_from_git(&site).await;
            site.proves(RSCONNECT);
        }
        site.running.stop().await;
    });
    join_all(each).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn older_rsconnect_publishes() {
    let Some(tools) = older_tools() else { return };
    let each = RELEASES.map(async |release| {
        let index = Index::start().await;
        let site = Site::new(Config { version: release, ..index.config() }, tools.clone()).await;
        publish(&site).await;
        site.proves(OLDER);
        site.running.stop().await;
    });
    join_all(each).await;
}

/// What an rsconnect-python of any age does with a Connect of any age.
async fn publish(site: &Site) {
    let url = site.running.url();
    site.rsconnect(&["add", "-s", &url, "-k", &site.key, "-n", "sim"]).await;
    let wrong = site.run("rsconnect", &["add", "-s", &url, "-k", "wrong", "-n", "no"]).await;
    assert!(!wrong.status.success());

    site.write("html/index.html", "<h1>from rsconnect</h1>");
    let text = site.rsconnect(&["deploy", "html", "-n", "sim", "-t", "A page", "html/index.html"]).await;
    let content = address(&text, "Direct content URL");
    assert!(site.open(&content).await.contains("from rsconnect"));
    let guid = content.trim_end_matches('/').rsplit('/').next().unwrap().to_owned();

    // Again, as the same content.
    site.write("html/index.html", "<h1>second</h1>");
    site.rsconnect(&["deploy", "html", "-n", "sim", "html/index.html"]).await;
    assert!(site.open(&content).await.contains("second"));

    site.write("flask/app.py", "from flask import Flask\napp = Flask(__name__)\n");
    site.write("flask/requirements.txt", "flask==3.0.0\n");
    let text = site.rsconnect(&["deploy", "flask", "-n", "sim", "-t", "An API", "-E", "NAME=value", "flask"]).await;
    for line in ["Collecting flask==3.0.0", "Collecting werkzeug==3.0.1", "Deployment completed successfully"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let api = address(&text, "Direct content URL");
    assert!(site.open(&api).await.contains("\"simulated\":true"));

    site.rsconnect(&["write-manifest", "flask", "flask"]).await;
    let text = site.rsconnect(&["deploy", "manifest", "-n", "sim", "-t", "By manifest", "flask/manifest.json"]).await;
    assert!(text.contains("Deployment completed successfully"), "{text}");

    site.write("missing/app.py", "app = None\n");
    site.write("missing/requirements.txt", "nosuchpackage\n");
    let failed = site.run("rsconnect", &["deploy", "flask", "-n", "sim", "missing"]).await;
    let text = String::from_utf8_lossy(&failed.stdout).into_owned() + &String::from_utf8_lossy(&failed.stderr);
    assert!(!failed.status.success() && text.contains("No matching distribution found for nosuchpackage"), "{text}");

    let found: Value =
        serde_json::from_str(&site.rsconnect(&["content", "search", "-n", "sim", "--published"]).await).unwrap();
    assert_eq!(found.as_array().unwrap().len(), 3);
    let described: Value =
        serde_json::from_str(&site.rsconnect(&["content", "describe", "-n", "sim", "-g", &guid]).await).unwrap();
    assert_eq!(described[0]["title"], "A page");
    site.rsconnect(&["content", "download-bundle", "-n", "sim", "-g", &guid, "-o", "bundle.tar.gz"]).await;
    assert!(site.home.path().join("bundle.tar.gz").metadata().unwrap().len() > 100);
    let api_guid = api.trim_end_matches('/').rsplit('/').next().unwrap();
    site.rsconnect(&["content", "build", "add", "-n", "sim", "-g", api_guid]).await;
    site.rsconnect(&["content", "build", "run", "-n", "sim", "--poll-wait", "1"]).await;
}

/// The rest of the newest rsconnect-python's commands.
async fn administrate(site: &Site) {
    // Every kind of content that this machine has what the client needs for.
    let kinds = ["api", "fastapi", "dash", "streamlit", "bokeh", "gradio", "panel", "shiny"];
    let deploys = kinds.map(async |kind| {
        site.write(&format!("{kind}/app.py"), "app = None\n");
        site.write(&format!("{kind}/requirements.txt"), "werkzeug\n");
        let text = site.rsconnect(&["deploy", kind, "-n", "sim", "-t", kind, kind]).await;
        assert!(text.contains("Deployment completed successfully"), "{text}");
    });
    join_all(deploys).await;
    let notebook = r#"{"cells": [], "metadata": {"kernelspec": {"name": "python3", "language": "python"}},
        "nbformat": 4, "nbformat_minor": 5}"#;
    site.write("notes/notes.ipynb", notebook);
    site.write("notes/requirements.txt", "werkzeug\n");
    site.write("voila/voila.ipynb", notebook);
    site.write("voila/requirements.txt", "werkzeug\n");
    site.rsconnect(&["deploy", "notebook", "-n", "sim", "-t", "notebook", "notes/notes.ipynb"]).await;
    site.rsconnect(&["deploy", "voila", "-n", "sim", "-t", "voila", "voila/voila.ipynb"]).await;
    site.write("model/1/saved_model.pb", "model");
    site.rsconnect(&["deploy", "tensorflow", "-n", "sim", "-t", "model", "model"]).await;
    site.write("node/package.json", r#"{"name": "node", "version": "1.0.0", "main": "index.js"}"#);
    site.write(
        "node/package-lock.json",
        r#"{"name": "node", "version": "1.0.0", "lockfileVersion": 3, "packages": {}}"#,
    );
    site.write("node/index.js", "");
    site.rsconnect(&["deploy", "nodejs", "-n", "sim", "-t", "node", "-e", "index.js", "node"]).await;

    let admin = seed::users(1)[0].api_key.clone();
    site.rsconnect(&["add", "-s", &site.running.url(), "-k", &admin, "-n", "admin"]).await;
    let found: Value = parsed(&site.rsconnect(&["content", "search", "-n", "sim", "--published"]).await);
    let of_title = |title: &str| {
        let item = found.as_array().unwrap().iter().find(|item| item["title"] == title).unwrap();
        item["guid"].as_str().unwrap().to_owned()
    };
    for (title, mode) in [("panel", "python-panel"), ("voila", "jupyter-voila"), ("node", "nodejs")] {
        let guid = of_title(title);
        let described = parsed(&site.rsconnect(&["content", "describe", "-n", "sim", "-g", &guid]).await);
        assert_eq!(described[0]["app_mode"], mode);
    }
    let guid = of_title("An API");
    site.rsconnect(&["content", "get-lockfile", "-n", "sim", "-g", &guid, "-o", "lock.txt"]).await;
    assert!(std::fs::read_to_string(site.home.path().join("lock.txt")).unwrap().contains("flask==3.0.0"));
    site.rsconnect(&["content", "download-bundle", "-n", "sim", "-g", &guid, "-o", "api.tar.gz"]).await;
    site.rsconnect(&["deploy", "bundle", "-n", "sim", "-t", "Promoted", "api.tar.gz"]).await;
    for command in ["ls", "history", "logs", "rm"] {
        let which: &[&str] = if command == "ls" { &[] } else { &["-g", &guid] };
        site.rsconnect(&[&["content", "build", command, "-n", "sim"][..], which].concat()).await;
    }

    let text = site.rsconnect(&["integration", "templates", "list", "-n", "admin"]).await;
    assert!(text.contains("snowflake"), "{text}");
    let text = site.rsconnect(&["integration", "templates", "show", "-n", "admin", "connect"]).await;
    assert!(text.contains("max_role"), "{text}");
    let config =
        ["client_id=c", "client_secret=s", "authorization_uri=https://id.example/a", "token_uri=https://id.example/t"];
    let config: Vec<&str> = config.iter().flat_map(|&pair| ["-C", pair]).collect();
    let add = ["integration", "add", "-n", "admin", "-t", "custom", "-N", "service"];
    let made = parsed(&site.rsconnect(&[&add[..], &config].concat()).await);
    let guid = made["guid"].as_str().unwrap();
    site.rsconnect(&["integration", "edit", "-n", "admin", "-N", "renamed", guid]).await;
    let shown = parsed(&site.rsconnect(&["integration", "show", "-n", "admin", guid]).await);
    assert_eq!(shown["name"], "renamed");
    site.rsconnect(&["integration", "remove", "-n", "admin", guid]).await;
    let text = site.rsconnect(&["integration", "list", "-n", "admin"]).await;
    assert!(!text.contains(guid), "{text}");

    let add = ["environment", "add", "-n", "admin", "-T", "Image", "--python", "3.12.1=/opt/python/bin/python"];
    let made = parsed(&site.rsconnect(&[&add[..], &["registry.example/image:1"]].concat()).await);
    let guid = made["guid"].as_str().unwrap();
    site.rsconnect(&["environment", "edit", "-n", "admin", "-T", "Other", guid]).await;
    let shown = parsed(&site.rsconnect(&["environment", "show", "-n", "admin", guid]).await);
    assert_eq!((&shown["title"], &shown["name"]), (&"Other".into(), &"registry.example/image:1".into()));
    assert!(site.rsconnect(&["environment", "list", "-n", "admin"]).await.contains(guid));
    site.rsconnect(&["environment", "remove", "-n", "admin", guid]).await;

    let caches = parsed(&site.rsconnect(&["system", "caches", "list", "-n", "admin"]).await);
    let (language, version) = (caches["caches"][0]["language"].as_str(), caches["caches"][0]["version"].as_str());
    let which = ["-l", language.unwrap(), "-V", version.unwrap()];
    site.rsconnect(&[&["system", "caches", "delete", "-n", "admin"][..], &which].concat()).await;

    assert!(site.rsconnect(&["server", "list"]).await.contains("sim"));
    assert!(site.rsconnect(&["server", "details", "-n", "sim"]).await.contains(&NEWEST.to_string()));
    assert!(site.rsconnect(&["info", "flask"]).await.contains("An API"));
    site.rsconnect(&["server", "remove", "-n", "admin"]).await;
}

/// Content that the server fetches from a repository.
async fn publish_from_git(site: &Site) {
    let Some(remote) = Remote::start().await else { return };
    let page = |text| remote.commit("main", &[("site/manifest.json", STATIC), ("site/index.html", text)]);
    page("from a repository");
    let from_git = ["deploy", "git", "-n", "sim", "-r", &remote.url, "-b", "main", "-d", "site"];
    let text = site.rsconnect(&[&from_git[..], &["-t", "From git"]].concat()).await;
    let backed = address(&text, "Direct content URL");
    assert!(site.open(&backed).await.contains("from a repository"));
    page("the next commit");
    let backed_guid = backed.trim_end_matches('/').rsplit('/').next().unwrap();
    site.rsconnect(&[&from_git[..], &["--app-id", backed_guid]].concat()).await;
    assert!(site.open(&backed).await.contains("the next commit"));
    site.rsconnect(&["content", "repository", "show", "-n", "sim", "-g", backed_guid]).await;
    site.rsconnect(&["content", "repository", "redeploy", "-n", "sim", "-g", backed_guid]).await;
    site.rsconnect(&["content", "repository", "delete", "-f", "-n", "sim", "-g", backed_guid]).await;
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn rsconnect_bootstraps() {
    let secret = [7_u8; 32];
    let config = Config { bootstrap_secret: Some(secret.to_vec()), seed_users: false, ..Config::default() };
    let Some(tools) = newest_tools() else { return };
    let site = Site::new(config, tools).await;
    let text = base64::engine::general_purpose::STANDARD.encode(secret);
    site.write("secret", &text);
    let url = site.running.url();
    let printed = site.rsconnect(&["bootstrap", "-s", &url, "-j", "secret", "--raw"]).await;
    let key = printed.trim();
    assert_eq!(key.len(), 32, "{printed}");
    site.rsconnect(&["add", "-s", &url, "-k", key, "-n", "fresh"]).await;
    let again = site.run("rsconnect", &["bootstrap", "-s", &url, "-j", "secret", "--raw"]).await;
    assert!(!again.status.success() || String::from_utf8_lossy(&again.stdout).trim().is_empty());
    site.proves(BOOTSTRAP);
    site.running.stop().await;
}

/// `rsconnect login` by a browser and as a device, deploys with what it got, and new tokens when those have expired.
#[tokio::test(flavor = "multi_thread")]
async fn rsconnect_signs_in() {
    let mut config = Config::default();
    config.oauth_lifetimes.pause = Duration::from_secs(1);
    let (Some(tools), Some(chromium), Some(_)) = (newest_tools(), need_tool("chromium"), need_tool("playwright"))
    else {
        return;
    };
    let python = tools.join("python");
    let site = Site::new(config, tools).await;
    let url = site.running.url();
    let [_, publisher, _] = seed::users(1);
    let script = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/consent.py");
    let consent = |command: &mut tokio::process::Command| {
        command.env("CHROMIUM", &chromium).env("USERNAME", publisher.username).env("PASSWORD", &publisher.password);
    };
    site.write("html/index.html", "<h1>by token</h1>");

    let mut login = site.command("rsconnect", &["login", "-s", &url, "-n", "browser"]);
    login.env("BROWSER", format!("{} {} %s", python.display(), script.display()));
    consent(&mut login);
    let output = login.output().await.unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("Logged in to \"browser\""), "{said}");
    let deploy = ["deploy", "html", "-n", "browser", "-t", "By token", "html/index.html"];
    assert!(site.rsconnect(&deploy).await.contains("Deployment completed successfully"));

    // The access token expires, and is renewed.
    site.running.world().clock().advance(Duration::from_secs(2 * 3600)).await;
    let world = site.running.world();
    let journal = world.journal();
    let before = journal.entries(0, usize::MAX, |_| true).len();
    assert!(site.rsconnect(&deploy).await.contains("Deployment completed successfully"));
    let entries = journal.entries(0, usize::MAX, |_| true).split_off(before);
    let statuses = |path: &str| {
        let of = entries.iter().filter(|entry| entry.path.starts_with(path));
        of.filter_map(|entry| entry.status).collect::<Vec<_>>()
    };
    assert!(statuses("/__api__/v1/").contains(&401), "{entries:#?}");
    assert_eq!(statuses("/oauth/v1/token").first(), Some(&200), "{entries:#?}");

    let mut device = site.command("rsconnect", &["login", "-s", &url, "-n", "device", "--use-device-code"]);
    device.env("PYTHONUNBUFFERED", "1").stdout(std::process::Stdio::piped());
    let mut device = device.spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(device.stdout.take().unwrap()).lines();
    let verification = loop {
        let line = lines.next_line().await.unwrap().expect("rsconnect shows where to go");
        if line.contains("user_code=") {
            break line.trim().to_owned();
        }
    };
    let mut browser = tokio::process::Command::new(&python);
    browser.arg(&script).arg(&verification);
    consent(&mut browser);
    let output = browser.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    while lines.next_line().await.unwrap().is_some() {}
    assert!(device.wait().await.unwrap().success());
    let described = site.rsconnect(&["content", "search", "-n", "device"]).await;
    assert!(described.contains("By token"), "{described}");
    site.proves(LOGIN);

    // A client that was taken away registers again, and its user signs in again.
    let client = first_client(&site).await;
    let mut tx = world.db().write().await.unwrap();
    assert!(connect_sim::store::oauth_server::unregister(&mut tx, &client).await.unwrap());
    tx.commit().await.unwrap();
    let refused = site.run("rsconnect", &deploy).await;
    assert!(!refused.status.success());
    site.running.stop().await;
}

/// A build machine deploys with the token of the place where it runs.
#[tokio::test(flavor = "multi_thread")]
async fn rsconnect_exchanges_an_identity_token() {
    let issuer = Issuer::start().await;
    let Some(tools) = newest_tools() else { return };
    let site = Site::new(issuer.config(), tools).await;
    let url = site.running.url();
    site.write("html/index.html", "<h1>first</h1>");
    site.rsconnect(&["add", "-s", &url, "-k", &site.key, "-n", "sim"]).await;
    let text = site.rsconnect(&["deploy", "html", "-n", "sim", "html/index.html"]).await;
    let content = address(&text, "Direct content URL");
    let guid = content.trim_end_matches('/').rsplit('/').next().unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let key = format!("Key {}", site.key);
    let body = json!({"name": "Build", "issuer": issuer.url, "claims": {"repository": "acme/web"}}).to_string();
    let request = client.post(format!("{url}/__api__/v1/content/{guid}/trusted-publishers"));
    let made = request.header("authorization", &key).body(body).send().await.unwrap();
    assert_eq!(made.status(), 201);

    let mut claims = issuer.claims(site.running.world().clock().now().timestamp());
    claims["aud"] = json!(url);
    site.write("token", &issuer.pair.sign(&claims));
    let login = ["login", "-s", &url, "-n", "machine", "--identity-token-file", "token"];
    let said = site.rsconnect(&login).await;
    assert!(said.contains("via identity token exchange"), "{said}");
    site.write("html/index.html", "<h1>by a machine</h1>");
    let deploy = ["deploy", "html", "-n", "machine", "--app-id", guid, "html/index.html"];
    let said = site.rsconnect(&deploy).await;
    assert!(said.contains("Deployment completed successfully"), "{said}");
    let page = client.get(&content).header("authorization", &key).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("by a machine"), "{page}");

    for (name, value, message) in [
        ("repository", json!("acme/other"), "did not grant access"),
        ("exp", json!(1), "could not verify the identity token"),
    ] {
        let mut bad = claims.clone();
        bad[name] = value;
        site.write("token", &issuer.pair.sign(&bad));
        let output = site.run("rsconnect", &login).await;
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(!output.status.success() && said.contains(message), "{said}");
    }
    site.running.stop().await;
}

/// The client that signed in by a browser: the first that registered.
async fn first_client(site: &Site) -> String {
    let world = site.running.world();
    let mut db = world.db().read().await.unwrap();
    let (clients, _) = connect_sim::store::oauth_server::clients(&mut db, true, 1, 0).await.unwrap();
    clients[0].client_id.clone()
}
