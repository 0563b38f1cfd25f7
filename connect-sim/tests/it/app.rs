//! A Connect in this process, and callers of it.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use connect_sim::{Config, product};
use http::{HeaderMap, Request, StatusCode};
use pkg_formats::archive::{Compression, Files, tar_gz};
use serde_json::{Value, json};
use sim_kit::host::in_process;
use sim_kit::{HostConfig, World, WorldConfig, seed};
use tower::ServiceExt as _;

/// When the clock of a test stands still.
pub(crate) fn start() -> DateTime<Utc> {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

pub(crate) struct TestApp {
    pub(crate) world: World,
    pub(crate) router: Router,
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with(Config::default()).await
    }

    pub(crate) async fn with(config: Config) -> Self {
        let world = WorldConfig { frozen_at: Some(start()), ..WorldConfig::default() };
        Self::on(config, world).await
    }

    pub(crate) async fn on(config: Config, world: WorldConfig) -> Self {
        let host = HostConfig { world, ..HostConfig::default() };
        let (world, router) = in_process(&product(config), &host).await.unwrap();
        Self { world, router }
    }

    pub(crate) fn anonymous(&self) -> Caller {
        Caller { router: self.router.clone(), headers: HeaderMap::new() }
    }

    pub(crate) fn key(&self, key: &str) -> Caller {
        self.anonymous().with("authorization", &format!("Key {key}"))
    }

    fn seeded(&self, number: usize) -> Caller {
        self.key(&seed::users(1)[number].api_key)
    }

    pub(crate) fn admin(&self) -> Caller {
        self.seeded(0)
    }

    pub(crate) fn publisher(&self) -> Caller {
        self.seeded(1)
    }

    pub(crate) fn viewer(&self) -> Caller {
        self.seeded(2)
    }

    /// A new user of a role, with a password that allows to sign in: who it is, and a key's caller.
    pub(crate) async fn user(&self, username: &str, role: &str) -> (String, Caller) {
        let body = json!({"username": username, "email": "", "user_role": role, "password": "a-password"});
        let guid = self.admin().post("/v1/users", &body).await.ok()["guid"].as_str().unwrap().to_owned();
        let browser = self.sign_in(username, "a-password").await;
        let made = browser.post(&format!("/v1/users/{guid}/keys"), &json!({"name": "test"})).await.ok();
        (guid, self.key(made["key"].as_str().unwrap()))
    }

    /// A browser that is signed in; its API calls carry the XSRF header.
    pub(crate) async fn sign_in(&self, username: &str, password: &str) -> Caller {
        let form = format!("username={username}&password={password}&return_to=/connect/");
        let answer = self.anonymous().raw("POST", "/__login__", &[], form.into()).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        let cookies = answer.cookies();
        let text = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ");
        self.anonymous().with("cookie", &text).with("x-rsc-xsrf", &cookies["RSC-XSRF"])
    }
}

/// Somebody who makes requests.
#[derive(Clone)]
pub(crate) struct Caller {
    router: Router,
    headers: HeaderMap,
}

impl Caller {
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.insert(name, value.parse().unwrap());
        self
    }

    /// A request for a path of the server, or of the API when it begins with none of the server's own prefixes.
    pub(crate) async fn raw(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Body) -> Answer {
        let own = ["/__", "/content/", "/connect", "/mcp", "/vanity", "/oauth/", "/.well-known/", "/setpassword"];
        let path = match own.iter().any(|own| path.starts_with(own)) || path == "/" {
            true => path.to_owned(),
            false => format!("/__api__{path}"),
        };
        let mut request = Request::builder().method(method).uri(path).header("host", "connect.example");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, &[], Body::empty()).await
    }

    pub(crate) async fn page(&self, path: &str) -> Answer {
        self.raw("GET", path, &[("accept", "text/html,*/*")], Body::empty()).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.raw(method, path, &[("content-type", "application/json")], body.to_string().into()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, body).await
    }

    pub(crate) async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, body).await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, body).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.raw("DELETE", path, &[], Body::empty()).await
    }

    pub(crate) async fn create(&self, name: &str) -> String {
        let made = self.post("/v1/content", &json!({"name": name})).await.ok();
        made["guid"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn upload(&self, guid: &str, bundle: Vec<u8>) -> Answer {
        self.raw("POST", &format!("/v1/content/{guid}/bundles"), &[], bundle.into()).await
    }

    /// Starts a deploy and waits for its end: the finished task.
    pub(crate) async fn deploy(&self, guid: &str, body: &Value) -> Value {
        let answer = self.post(&format!("/v1/content/{guid}/deploy"), body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text());
        self.finished(answer.json()["task_id"].as_str().unwrap()).await
    }

    pub(crate) async fn finished(&self, task: &str) -> Value {
        let task = self.get(&format!("/v1/tasks/{task}?wait=60")).await.ok();
        assert_eq!(task["finished"], true, "{task}");
        task
    }

    /// Creates, uploads and deploys.
    pub(crate) async fn publish(&self, name: &str, bundle: Vec<u8>) -> String {
        let guid = self.create(name).await;
        let uploaded = self.upload(&guid, bundle).await.ok();
        let task = self.deploy(&guid, &json!({"bundle_id": uploaded["id"]})).await;
        assert_eq!(task["code"], 0, "{task}");
        guid
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// The JSON of an answer that must be a 2xx.
    pub(crate) fn ok(&self) -> Value {
        assert!(self.status.is_success(), "{} {}", self.status, self.text());
        self.json()
    }

    /// Status and code of an error.
    pub(crate) fn code(&self) -> (u16, i64) {
        let body = self.json();
        assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        assert!(body.as_object().unwrap().contains_key("payload"), "{body}");
        (self.status.as_u16(), body["code"].as_i64().unwrap())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn cookies(&self) -> BTreeMap<String, String> {
        let cookies = self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
        let pair = |text: &str| text.split(';').next().unwrap().split_once('=').map(|(n, v)| (n.into(), v.into()));
        cookies.filter_map(pair).collect()
    }
}

/// A bundle of files; one named `manifest.json` is made of `manifest` unless that is null.
pub(crate) fn bundle(manifest: &Value, files: &[(&str, &str)]) -> Vec<u8> {
    let mut all: Files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).into())).collect();
    if !manifest.is_null() {
        all.insert("manifest.json".to_owned(), manifest.to_string().into());
    }
    tar_gz(&all, Compression::Deflate).unwrap()
}

pub(crate) fn static_bundle(text: &str) -> Vec<u8> {
    let manifest = json!({"version": 1, "metadata": {"appmode": "static", "primary_html": "index.html"}});
    bundle(&manifest, &[("index.html", text), ("sub/index.html", "below"), ("a b/c.css", "p {}")])
}

pub(crate) fn python_bundle(app_mode: &str, requirements: &str) -> Vec<u8> {
    let manifest = json!({
        "version": 1,
        "metadata": {"appmode": app_mode, "entrypoint": "app:app"},
        "python": {
            "version": "3.11.4",
            "package_manager": {"name": "pip", "version": "24.0", "package_file": "requirements.txt"},
        },
        "files": {"app.py": {"checksum": "0"}, "requirements.txt": {"checksum": "0"}},
    });
    bundle(&manifest, &[("app.py", "app = None"), ("requirements.txt", requirements)])
}

pub(crate) fn document_bundle() -> Vec<u8> {
    let manifest = json!({
        "version": 1, "metadata": {"appmode": "quarto-static", "primary_rmd": "doc.qmd"},
        "quarto": {"version": "1.4.557", "engines": ["markdown"]},
    });
    bundle(&manifest, &[("doc.qmd", "# Document"), ("doc.html", "<h1>Document</h1>")])
}

pub(crate) fn r_bundle(app_mode: &str, packages: &[(&str, &str)]) -> Vec<u8> {
    let packages: serde_json::Map<String, Value> = packages
        .iter()
        .map(|(name, version)| {
            let description = json!({"Package": name, "Version": version});
            ((*name).to_owned(), json!({"Source": "CRAN", "Repository": "x", "description": description}))
        })
        .collect();
    let manifest = json!({
        "version": 1, "platform": "4.2.2", "metadata": {"appmode": app_mode, "primary_rmd": null},
        "packages": packages,
    });
    bundle(&manifest, &[("app.R", "shiny::shinyApp(ui, server)")])
}
