//! Content from git repositories, which a server on this machine serves over HTTP.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use connect_sim::store::tasks;
use connect_sim::{Config, git};
use serde_json::{Value, json};
use sim_kit::WorldConfig;
use sim_kit::testing::need_tool;
use tokio::io::AsyncWriteExt as _;

use super::app::{TestApp, start, static_bundle};

/// A bare repository and its server.
pub(crate) struct Remote {
    folder: tempfile::TempDir,
    /// The repository's address.
    pub(crate) url: String,
    /// The server's.
    pub(crate) host: String,
}

/// What `git http-backend` answers, or a file for clients that speak the older protocol.
async fn answer(State((root, password)): State<(std::path::PathBuf, Option<String>)>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let header = |name: &str| parts.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if password.is_some_and(|password| header("authorization") != password) {
        return (http::StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=x")], "").into_response();
    }
    let path = parts.uri.path();
    if let Some(plain) = path.strip_prefix("/plain/") {
        return match tokio::fs::read(root.join(plain)).await {
            Ok(bytes) => bytes.into_response(),
            Err(_) => http::StatusCode::NOT_FOUND.into_response(),
        };
    }
    let body = to_bytes(body, 10 << 20).await.unwrap();
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", path)
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    tokio::spawn(async move {
        let _ = stdin.write_all(&body).await;
    });
    let output = child.wait_with_output().await.unwrap().stdout;
    let Some(end) = output.windows(4).position(|four| four == b"\r\n\r\n") else {
        return http::StatusCode::BAD_GATEWAY.into_response();
    };
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut response = Response::builder();
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap()),
            _ => response.header(name, value),
        };
    }
    response.body(output[end + 4..].to_vec().into()).unwrap()
}

impl Remote {
    pub(crate) async fn start() -> Option<Self> {
        Self::guarded(None).await
    }

    /// One that wants this `Authorization`.
    async fn guarded(password: Option<String>) -> Option<Self> {
        need_tool("git")?;
        let folder = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state((folder.path().to_owned(), password));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let remote = Self { folder, url: format!("{host}/team/site.git"), host };
        remote.run(remote.folder.path(), &["init", "-q", "--bare", "team/site.git"]);
        remote.run(remote.folder.path(), &["init", "-q", "-b", "main", "work"]);
        Some(remote)
    }

    fn run(&self, place: &Path, arguments: &[&str]) {
        let mut command = std::process::Command::new("git");
        let by = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgSign=false"];
        command.args(by).args(arguments).current_dir(place).env("GIT_CONFIG_GLOBAL", "/dev/null");
        let output = command.output().unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Writes files, makes a commit of them on `branch`, and pushes it: the commit.
    pub(crate) fn commit(&self, branch: &str, files: &[(&str, &str)]) -> String {
        let work = self.folder.path().join("work");
        self.run(&work, &["checkout", "-q", "-B", branch]);
        for (path, text) in files {
            let path = work.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.run(&work, &["add", "-A"]);
        self.run(&work, &["commit", "-q", "-m", "change", "--allow-empty"]);
        self.run(&work, &["push", "-q", "../team/site.git", branch]);
        self.run(&self.folder.path().join("team/site.git"), &["update-server-info"]);
        let head = std::fs::read_to_string(work.join(format!(".git/refs/heads/{branch}"))).unwrap();
        head.trim().to_owned()
    }

    fn site(&self, text: &str) -> String {
        self.commit("main", &[("site/manifest.json", STATIC), ("site/index.html", text), ("README.md", "outside")])
    }
}

pub(crate) const STATIC: &str = r#"{"version":1,"metadata":{"appmode":"static","primary_html":"index.html"}}"#;

#[tokio::test]
async fn older_servers_list_branches_in_another_type() {
    let Some(remote) = Remote::start().await else { return };
    let commit = remote.site("one");
    let version = "2025.07.0".parse().unwrap();
    let app = TestApp::with(Config { version, ..Config::default() }).await;
    let publisher = app.publisher();
    let started = publisher.get(&format!("/repo/branches?url={}", remote.url)).await.ok();
    let task = publisher.finished(started["id"].as_str().unwrap()).await;
    let expected = json!({"type": "git-repo-ref-branch-array", "data": [{"branch": "main", "ref": commit}]});
    assert_eq!(task["result"], expected);
}

async fn git_app(settings: git::Settings) -> TestApp {
    let world = WorldConfig { frozen_at: Some(start()), ..WorldConfig::default() };
    TestApp::on(Config { git: settings, ..Config::default() }, world).await
}

fn location(remote: &Remote) -> Value {
    json!({"repository": remote.url, "branch": "main", "directory": "site", "polling": true})
}

#[tokio::test]
async fn a_repository_is_deployed_and_followed() {
    let Some(remote) = Remote::start().await else { return };
    let first = remote.site("one");
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.create("from-git").await;
    let path = format!("/v1/content/{guid}/repository");
    assert_eq!(publisher.get(&path).await.code(), (404, 4));
    assert_eq!(publisher.patch(&path, &json!({"branch": "x"})).await.code(), (404, 4));
    assert_eq!(publisher.put(&path, &location(&remote)).await.ok(), location(&remote), "nothing is known yet");
    let task = publisher.deploy(&guid, &json!({"bundle_id": null})).await;
    assert_eq!((&task["code"], &task["error"]), (&json!(0), &json!("")), "{task}");
    let log = task["output"].to_string();
    assert!(log.contains(&format!("Fetched commit {first}")), "{log}");
    let known = publisher.get(&path).await.ok();
    assert_eq!((&known["last_known_commit"], &known["last_error"]), (&json!(first), &Value::Null));
    assert_eq!(known["last_fetched_time"], "2026-01-02T03:04:05Z");
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "one");
    assert_eq!(publisher.get(&format!("/content/{guid}/README.md")).await.status, 404, "only the directory");
    let bundles = publisher.get(&format!("/v1/content/{guid}/bundles")).await.ok();
    let metadata = &bundles[0]["metadata"];
    assert_eq!((&metadata["source"], &metadata["source_commit"]), (&json!("git"), &json!(first)));
    assert_eq!((&metadata["source_repo"], &metadata["source_branch"]), (&json!(remote.url), &json!("main")));
    let jobs = publisher.get(&format!("/v1/content/{guid}/jobs")).await.ok();
    assert_eq!(jobs[0]["tag"], "git");
    assert_eq!(publisher.upload(&guid, static_bundle("x")).await.code(), (400, 144));

    // Nothing new, nothing done.
    let count = || async { publisher.get(&format!("/v1/content/{guid}/bundles")).await.ok().as_array().unwrap().len() };
    app.world.clock().advance(Duration::from_secs(16 * 60)).await;
    assert_eq!(count().await, 1);
    // A commit is found by the next look, not before.
    let second = remote.site("two");
    app.world.clock().advance(Duration::from_secs(10 * 60)).await;
    assert_eq!(count().await, 1);
    app.world.clock().advance(Duration::from_secs(5 * 60)).await;
    assert_eq!(followed(&app, &guid).await["code"], 0);
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "two");
    assert_eq!(publisher.get(&path).await.ok()["last_known_commit"], json!(second));
    // One that cannot be deployed is tried once, and the old bundle stays.
    let broken = remote.commit("main", &[("site/manifest.json", "{")]);
    app.world.clock().advance(Duration::from_secs(15 * 60)).await;
    assert_eq!(followed(&app, &guid).await["code"], 38);
    let known = publisher.get(&path).await.ok();
    assert_eq!(known["last_known_commit"], json!(broken));
    assert!(known["last_error"].as_str().unwrap().contains("manifest"), "{known}");
    app.world.clock().advance(Duration::from_secs(30 * 60)).await;
    assert_eq!(count().await, 2);
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "two");
    let third = remote.commit("main", &[("site/manifest.json", STATIC), ("site/index.html", "three")]);
    app.world.clock().advance(Duration::from_secs(15 * 60)).await;
    assert_eq!(followed(&app, &guid).await["code"], 0);
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "three");
    let known = publisher.get(&path).await.ok();
    assert_eq!((&known["last_known_commit"], &known["last_error"]), (&json!(third), &Value::Null));
    // Who turns polling off is left alone.
    publisher.patch(&path, &json!({"polling": false})).await.ok();
    remote.site("four");
    app.world.clock().advance(Duration::from_secs(60 * 60)).await;
    assert_eq!(count().await, 3);
    // A deploy by hand still fetches; a draft leaves what is served.
    let task = publisher.deploy(&guid, &json!({"activate": false})).await;
    assert_eq!(task["code"], 0, "{task}");
    assert_eq!((count().await, publisher.get(&format!("/content/{guid}/")).await.text()), (4, "three".to_owned()));
    assert_eq!(publisher.delete(&path).await.status, 204);
    assert_eq!(publisher.delete(&path).await.code(), (404, 4));
    publisher.upload(&guid, static_bundle("by hand")).await.ok();
}

/// The deploy that a look has started, finished.
async fn followed(app: &TestApp, guid: &str) -> Value {
    let newest = tasks::newest(&mut app.world.db().read().await.unwrap(), guid).await.unwrap().unwrap();
    app.publisher().finished(&newest.id).await
}

#[tokio::test]
async fn bundles_are_made_of_any_reference() {
    let Some(remote) = Remote::start().await else { return };
    let first = remote.site("one");
    remote.site("two");
    remote.commit("feature/x", &[("a/b/manifest.json", STATIC), ("a/b/index.html", "deep"), ("manifest.json", STATIC)]);
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.create("pieces").await;
    let path = format!("/v1/content/{guid}/repository");
    let make = |body: Value| {
        let (publisher, path) = (publisher.clone(), format!("{path}/bundle"));
        async move {
            let made = publisher.post(&path, &body).await.ok();
            (publisher.finished(made["task_id"].as_str().unwrap()).await, made)
        }
    };
    let none = publisher.post(&format!("{path}/bundle"), &json!({})).await;
    assert_eq!(none.code(), (400, 12));
    let (task, made) = make(json!({"repository": remote.url, "ref": "feature/x", "directory": "a/b"})).await;
    assert_eq!(task["code"], 0, "{task}");
    let expected = json!({"repository": remote.url, "ref": "feature/x", "directory": "a/b"});
    assert_eq!(made["location"], expected);
    let id = made["bundle_id"].as_str().unwrap();
    let files = publisher.get(&format!("/v1/content/{guid}/bundles/{id}/files")).await.ok();
    assert_eq!(files.as_array().unwrap().len(), 2, "{files}");
    assert_eq!(publisher.get(&format!("/v1/content/{guid}")).await.ok()["bundle_id"], Value::Null, "not deployed");
    publisher.deploy(&guid, &json!({"bundle_id": id})).await;
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "deep");
    // A commit, with the item's repository.
    publisher.put(&path, &location(&remote)).await.ok();
    let (task, made) = make(json!({"ref": first})).await;
    assert_eq!(task["code"], 0, "{task}");
    let id = made["bundle_id"].as_str().unwrap();
    publisher.deploy(&guid, &json!({"bundle_id": id})).await;
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "one");
    // What is not there is told with its name.
    for (body, text) in [
        (json!({"ref": "none"}), "none"),
        (json!({"directory": "nowhere"}), "no directory `nowhere`"),
        (json!({"directory": "site/index.html"}), "no directory `site/index.html`"),
        (json!({"repository": format!("{}/team/none.git", remote.host)}), "cannot be read"),
        (json!({"repository": "http://127.0.0.1:9/x.git"}), "cannot be read"),
    ] {
        let (task, _) = make(body.clone()).await;
        assert_eq!(task["code"], 1, "{body}: {task}");
        assert!(task["error"].as_str().unwrap().contains(text), "{body}: {task}");
    }
    // A server that only hands out files.
    let plain = remote.url.replace("/team/", "/plain/team/");
    let (task, _) = make(json!({"repository": plain, "ref": "main"})).await;
    assert_eq!(task["code"], 0, "{task}");

    let look = |path: String| {
        let publisher = publisher.clone();
        async move {
            let started = publisher.get(&path).await.ok();
            assert_eq!(started["id"], started["task_id"]);
            publisher.finished(started["id"].as_str().unwrap()).await
        }
    };
    let branches = look(format!("/repo/branches?url={}", remote.url)).await;
    assert_eq!(branches["result"]["type"], "git-repo-branches-result");
    let names: Vec<&Value> =
        branches["result"]["data"]["branches"].as_array().unwrap().iter().map(|b| &b["branch"]).collect();
    assert_eq!(names, [&json!("feature/x"), &json!("main")]);
    let dirs = look(format!("/repo/manifest-dirs?url={}&branch=feature/x", remote.url)).await;
    let expected = json!({"type": "git-repo-branch-manifest-dirs-array", "data": ["a/b", ".", "site"]});
    assert_eq!(dirs["result"], expected);
    assert_eq!(look(format!("/repo/manifest-dirs?url={}&branch=none", remote.url)).await["code"], 1);
    assert_eq!(publisher.get(&format!("/repo/account?url={}", remote.host)).await.ok(), json!({"username": ""}));
    for ssh in ["ssh://host", "ssh://git@host/a/b", "git@host:a/b.git"] {
        assert_eq!(publisher.get(&format!("/repo/account?url={ssh}")).await.code(), (400, 164), "{ssh}");
    }
    assert_eq!(publisher.get("/repo/account?url=host").await.code(), (400, 146));
    assert_eq!(publisher.get("/repo/branches").await.code(), (400, 12));
    assert_eq!(std::fs::read_dir(app.world.folder("clones").unwrap()).unwrap().count(), 0, "nothing is left");
}

#[tokio::test]
async fn strangers_code_stays_on_its_lead() {
    let Some(remote) = Remote::start().await else { return };
    let command = sim_kit::git::Settings { bytes: 64 * 1024, ..sim_kit::git::Settings::default() };
    let settings = git::Settings { command, ..git::Settings::default() };
    let app = git_app(settings).await;
    let publisher = app.publisher();
    let guid = publisher.create("hostile").await;
    let path = format!("/v1/content/{guid}/repository");
    let fetch = |branch: &'static str| {
        let (publisher, path, url) = (publisher.clone(), format!("{path}/bundle"), remote.url.clone());
        async move {
            let made = publisher.post(&path, &json!({"repository": url, "ref": branch})).await.ok();
            publisher.finished(made["task_id"].as_str().unwrap()).await
        }
    };
    // Links lead out of a bundle.
    let work = remote.folder.path().join("work");
    std::fs::create_dir_all(&work).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", work.join("link")).unwrap();
    remote.commit("links", &[("manifest.json", STATIC), ("index.html", "x")]);
    let task = fetch("links").await;
    assert!(task["code"] == 135 && task["error"].as_str().unwrap().contains("link"), "{task}");
    std::fs::remove_file(work.join("link")).unwrap();
    // More than is taken: noise, which does not pack.
    let noise: String = (0..400_000_u64).map(|n| char::from(b'a' + (n * n * 31 % 241 % 26) as u8)).collect();
    let noise: String = noise.chars().rev().zip(noise.chars()).map(|(a, b)| if a > b { a } else { b }).collect();
    let digits: String = (0..60_000).map(|n: u64| format!("{:x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
    remote.commit("large", &[("manifest.json", STATIC), ("index.html", &(noise + &digits))]);
    let task = fetch("large").await;
    assert!(task["code"] == 1 && task["error"].as_str().unwrap().contains("larger than the 65536 bytes"), "{task}");
    for url in ["file:///etc", "ext::sh -c touch% x", "ssh://host/x", "--upload-pack=touch x"] {
        let answer = publisher.put(&path, &json!({"repository": url})).await;
        assert!(matches!(answer.code(), (400, 146 | 164)), "{url}: {}", answer.text());
    }
    for (field, value) in [("branch", "-x"), ("branch", "a..b"), ("directory", "../x"), ("directory", "/x")] {
        let body = json!({"repository": remote.url, field: value});
        let answer = publisher.put(&path, &body).await;
        assert_eq!(answer.code(), (400, 146), "{field}");
        assert!(answer.text().contains(&format!("`{field}`")), "{}", answer.text());
    }
    assert_eq!(publisher.put(&path, &json!({"branch": "main"})).await.code(), (400, 12));
}

#[tokio::test]
async fn a_cut_link_is_told_and_what_is_published_stays() {
    let Some(remote) = Remote::start().await else { return };
    let first = remote.site("one");
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.create("wired").await;
    let path = format!("/v1/content/{guid}/repository");
    publisher.put(&path, &location(&remote)).await.ok();
    assert_eq!(publisher.deploy(&guid, &json!({})).await["code"], 0);
    let asked = app.world.journal().entries(0, 1000, |entry| entry.peer.as_deref() == Some("git"));
    assert!(
        asked.iter().any(|entry| entry.method == "POST" && entry.path == format!("{}/git-upload-pack", remote.url))
    );
    remote.site("two");
    let rule = json!({"id": "cable", "match": {"direction": "out", "peer": "git"}, "effect": {"kind": "reset"}});
    app.world.faults().add(serde_json::from_value(rule).unwrap()).unwrap();
    app.world.clock().advance(Duration::from_secs(15 * 60)).await;
    let known = publisher.get(&path).await.ok();
    assert!(known["last_error"].as_str().unwrap().contains("cut by fault rule cable"), "{known}");
    assert_eq!(known["last_known_commit"], json!(first));
    let task = publisher.deploy(&guid, &json!({})).await;
    assert_eq!(task["code"], 1, "{task}");
    assert!(task["error"].as_str().unwrap().contains("cut by fault rule cable"), "{task}");
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "one");
    app.world.faults().clear();
    app.world.clock().advance(Duration::from_secs(15 * 60)).await;
    assert_eq!(followed(&app, &guid).await["code"], 0);
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "two");
    assert_eq!(publisher.get(&path).await.ok()["last_error"], Value::Null);
}

#[tokio::test]
async fn settings_say_what_git_may() {
    use base64::Engine as _;
    let pair = base64::engine::general_purpose::STANDARD.encode("robot:secret");
    let Some(remote) = Remote::guarded(Some(format!("Basic {pair}"))).await else { return };
    let commit = remote.site("guarded");
    let credential = git::Credential {
        protocol: "http".to_owned(),
        host: remote.host.trim_start_matches("http://").to_owned(),
        username: "robot".to_owned(),
        password: "secret".to_owned(),
    };
    let folders = vec![remote.folder.path().join("team")];
    let command = sim_kit::git::Settings { folders, ..sim_kit::git::Settings::default() };
    let settings = git::Settings { credentials: vec![credential], command, ..git::Settings::default() };
    let app = git_app(settings).await;
    let publisher = app.publisher();
    let account = publisher.get(&format!("/repo/account?url={}", remote.host)).await.ok();
    assert_eq!(account, json!({"username": "robot"}));
    let local = format!("file://{}/team/site.git", remote.folder.path().display());
    for (name, url) in [("signed-in", &remote.url), ("local", &local)] {
        let guid = publisher.create(name).await;
        publisher
            .put(&format!("/v1/content/{guid}/repository"), &json!({"repository": url, "directory": "site"}))
            .await
            .ok();
        let task = publisher.deploy(&guid, &json!({})).await;
        assert_eq!(task["code"], 0, "{task}");
        assert!(task["output"].to_string().contains(&commit) && !task.to_string().contains("secret"), "{task}");
    }
    // Without the sign-in, and nobody is asked for one.
    let other = TestApp::new().await;
    let guid = other.publisher().create("stranger").await;
    let body = json!({"repository": remote.url});
    other.publisher().put(&format!("/v1/content/{guid}/repository"), &body).await.ok();
    let task = other.publisher().deploy(&guid, &json!({})).await;
    assert_eq!(task["code"], 1, "{task}");
    // Off, and not there.
    let missing = sim_kit::git::Settings { program: "no-such-git".into(), ..sim_kit::git::Settings::default() };
    for off in [
        git::Settings { enabled: false, ..git::Settings::default() },
        git::Settings { command: missing, ..git::Settings::default() },
    ] {
        let app = git_app(off.clone()).await;
        let guid = app.publisher().create("off").await;
        let path = format!("/v1/content/{guid}/repository");
        assert_eq!(app.publisher().get(&path).await.code(), (404, 145));
        assert_eq!(app.publisher().put(&path, &body).await.code(), (404, 145));
        let shown = app.publisher().get("/server_settings").await.ok();
        assert_eq!((&shown["git_enabled"], &shown["git_available"]), (&json!(off.enabled), &json!(false)));
    }
}
