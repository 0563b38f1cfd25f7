//! A Workbench on a port of its own, and the servers around it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use pkg_formats::archive::Files;
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::wheel::WheelSpec;
use pkg_formats::r::{index, source};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sim_kit::{Host, HostConfig, Running, WorldConfig};
use workbench_sim::client::Client;
use workbench_sim::{Config, Connect, Runtime};

/// Longer than anything takes, shorter than patience.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Settings of tests: no waiting between sign-ins.
pub(crate) fn config(runtime: Runtime) -> Config {
    Config { runtime, throttle: Duration::ZERO, ..Config::default() }
}

/// A Workbench that forgets everything.
pub(crate) async fn start(config: Config) -> Running {
    Host::start(workbench_sim::product(config), HostConfig::default()).await.unwrap()
}

/// A Workbench whose clock stands still.
pub(crate) async fn start_frozen(config: Config) -> Running {
    let world = WorldConfig { frozen_at: Some(noon()), ..WorldConfig::default() };
    Host::start(workbench_sim::product(config), HostConfig { world, ..HostConfig::default() }).await.unwrap()
}

/// A Workbench that keeps everything in `folder`.
pub(crate) async fn start_in(config: Config, folder: &Path) -> Running {
    let world = WorldConfig { data_dir: Some(folder.to_owned()), ..WorldConfig::default() };
    Host::start(workbench_sim::product(config), HostConfig { world, ..HostConfig::default() }).await.unwrap()
}

pub(crate) fn noon() -> DateTime<Utc> {
    "2026-03-02T12:00:00Z".parse().unwrap()
}

pub(crate) async fn publisher(workbench: &Running) -> Client {
    Client::sign_in(&workbench.url(), "publisher", "publisher-password").await.unwrap()
}

/// A plain client without cookies or redirects.
pub(crate) fn http() -> reqwest::Client {
    sim_kit::http_client::client(|builder| builder.redirect(reqwest::redirect::Policy::none()))
}

/// A Package Manager with two Python projects (`needy` requires `needed`) and two R packages likewise, and a Connect that
/// remembers what it was asked and lets every deployment succeed.
#[derive(Clone, Default)]
pub(crate) struct Around {
    files: Arc<HashMap<String, (&'static str, Vec<u8>)>>,
    pub(crate) asked: Arc<Mutex<Vec<Asked>>>,
}

/// A request that Connect got.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) request: String,
    pub(crate) key: String,
    pub(crate) body: Bytes,
}

impl Around {
    /// Serves both on one port; answers with its address. It ends with the test's runtime.
    pub(crate) async fn start(spoilt: bool) -> (Self, String) {
        let mut files = HashMap::new();
        for (name, requires) in [("needed", vec![]), ("needy", vec!["needed>=1".to_owned()])] {
            let metadata = Metadata { requires_dist: requires, ..Metadata::new(name, "1.2.0") };
            let content = Files::from([(format!("{name}.py"), "x = 1\n".into())]);
            let wheel = WheelSpec::new(metadata, content);
            let (file, bytes) = (wheel.file_name().unwrap(), wheel.zip().unwrap());
            let mut digest = hex::encode(Sha256::digest(&bytes));
            if spoilt {
                digest = digest.replace(|c: char| c.is_ascii_digit(), "0");
            }
            let page = format!(
                "<!DOCTYPE html><html><body><a href=\"/files/{file}#sha256={digest}\">{file}</a></body></html>"
            );
            files.insert(format!("/simple/{name}/"), ("text/html", page.into_bytes()));
            files.insert(format!("/files/{file}"), ("application/octet-stream", bytes));
        }
        let mut records = Vec::new();
        for (name, imports) in [("rneeded", None), ("rneedy", Some("rneeded (>= 0.1)"))] {
            let mut description = source::description(name, "0.2.0", "A package of a test");
            if let Some(imports) = imports {
                description.set("Imports", imports);
            }
            records.push(index::record(&description));
            let spec = source::SourceSpec { description, files: Files::from([("NAMESPACE".to_owned(), "".into())]) };
            let path = format!("/cran/src/contrib/{}", spec.file_name().unwrap());
            files.insert(path, ("application/gzip", spec.tar_gz().unwrap()));
        }
        files.insert("/cran/src/contrib/PACKAGES.gz".to_owned(), ("application/gzip", index::packages_gz(&records)));
        files.insert("/cran/src/contrib/PACKAGES".to_owned(), ("text/plain", index::packages(&records).into_bytes()));
        let around = Self { files: Arc::new(files), asked: Arc::default() };
        let router = Router::new().fallback(answer).with_state(around.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (around, url)
    }
}

/// Settings that lead to `around`.
pub(crate) fn with_around(runtime: Runtime, around: &str) -> Config {
    Config {
        python_index: Some(format!("{around}/simple").parse().unwrap()),
        cran: Some(format!("{around}/cran").parse().unwrap()),
        connect: Some(Connect { url: around.parse().unwrap(), seeded_keys: true }),
        ..config(runtime)
    }
}

async fn answer(State(around): State<Around>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    if let Some((content_type, bytes)) = around.files.get(&path) {
        return ([("Content-Type", *content_type)], bytes.clone()).into_response();
    }
    let Some(call) = path.strip_prefix("/__api__/") else {
        return match path.as_str() {
            "/content/c1/" => "the content".into_response(),
            _ => StatusCode::NOT_FOUND.into_response(),
        };
    };
    let key = request.headers().get("Authorization").map_or("", |v| v.to_str().unwrap()).replace("Key ", "");
    let asked = format!("{} {call}", request.method());
    let host = request.headers()["Host"].to_str().unwrap().to_owned();
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap();
    around.asked.lock().unwrap().push(Asked { request: asked.clone(), key, body });
    let content = json!({ "guid": "c1", "content_url": format!("http://{host}/content/c1/"), "dashboard_url": "" });
    let value: Value = match asked.as_str() {
        "GET server_settings" => json!({ "version": "2026.08.0" }),
        "GET v1/user" => json!({ "username": "publisher" }),
        "GET v1/content" => json!([]),
        "POST v1/content" | "PATCH v1/content/c1" | "GET v1/content/c1" => content,
        "POST v1/content/c1/bundles" => json!({ "id": "7" }),
        "POST v1/content/c1/deploy" => json!({ "task_id": "t1" }),
        "GET v1/tasks/t1" => {
            json!({ "id": "t1", "output": ["Building…"], "finished": true, "code": 0, "error": "", "last": 1 })
        }
        _ => return (StatusCode::NOT_FOUND, axum::Json(json!({ "error": "no such call" }))).into_response(),
    };
    axum::Json(value).into_response()
}
