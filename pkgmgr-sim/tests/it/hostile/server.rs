//! The server that is asked, with one of everything that paths and bodies name.

use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Body;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, SET_COOKIE};
use http::{HeaderMap, Request, StatusCode};
use pkgmgr_sim::product;
use serde_json::{Value, json};
use sim_kit::host::in_process;
use sim_kit::{Host, HostConfig, Running, World, WorldConfig};
use tower::ServiceExt as _;

use crate::administration::{r_package, wheel};
use crate::builders::server::GitServer;

use super::rows::Targets;

/// A key whose other half is lost.
const BOOTSTRAP: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAktEnGzH59QkK7zQAM/nzixrdbSbPaOu8+AayWMmpouEVXmCqFBg9TfOqyqyHO9qrwuX2TEyFMq4dO48cvFNQeVmN9/9M6QctzcnPnQ7xOhkfbSFT/8PqdkYmjRvG9+rvQS+rpmn3wtsEOz25wBpBbkKhtX1YIj8zTCmJCjhDsXQ5srRmwn9nyfUYiZ0XCzrPS8HQmu+3of39QfsdwxFQFTcJo5SnL9aU60KJckuJQy277Gpuw/qmK+KJ1RPmYhDTfa6anJOdjQF1UK2ugV9LZtj2jqx/Lg95kUcft7pze2ck+Lh/5mZlkPN/SOWfrd2875eTgWWhnlajJx6SyqYYrQIDAQAB";

pub(super) struct Server {
    pub(super) router: Router,
    pub(super) token: String,
    pub(super) cookie: String,
    pub(super) xsrf: String,
    pub(super) made: AtomicU32,
    /// What a database may stumble over, and nothing else.
    pub(super) only_texts: bool,
    pub(super) _kept: (World, Running),
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(300).collect()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub(super) fn kind(&self) -> &str {
        self.headers.get(CONTENT_TYPE).map_or("", |kind| kind.to_str().unwrap())
    }

    /// What is wrong with a refusal; nothing if it is one, of the shape that its path has.
    pub(super) fn as_refusal(&self, path: &str) -> Option<String> {
        if !self.status.is_client_error() {
            return Some(format!("{} {}", self.status, self.text()));
        }
        if path.starts_with("/__api__/") {
            let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
            let whole =
                body["code"] == self.status.as_u16() && body["error"].as_str().is_some_and(|text| !text.is_empty());
            return (!whole).then(|| format!("{} is not in the API's shape: {}", self.status, self.text()));
        }
        let html = self.kind().starts_with("text/html");
        let page = path.starts_with("/client") || path.starts_with("/__login__");
        (!page && (html || self.body.is_empty()))
            .then(|| format!("{} as {}: {}", self.status, self.kind(), self.text()))
    }

    /// What is wrong with an answer to what may be taken.
    pub(super) fn as_answer(&self) -> Option<String> {
        self.status.is_server_error().then(|| format!("{} {}", self.status, self.text()))
    }
}

impl Server {
    pub(super) async fn start(database_url: Option<String>) -> Self {
        let frozen_at = Some("2025-10-20T06:00:00Z".parse().unwrap());
        let host =
            || HostConfig { world: WorldConfig { frozen_at, ..WorldConfig::default() }, ..HostConfig::default() };
        let packages = ["DESeq2", "jsonlite", "flask", "curl", "sf", "golang.Go"];
        let feed = Host::start(upstream_sim::product(upstream_sim::Config::only(&packages)), host()).await.unwrap();
        let metrics = pkgmgr_sim::metrics::Settings { on_main_port: true, ..pkgmgr_sim::metrics::Settings::default() };
        let config = pkgmgr_sim::Config {
            sync: false,
            metrics,
            bootstrap: BOOTSTRAP.parse().ok(),
            ..pkgmgr_sim::Config::new(feed.url().parse().unwrap())
        };
        let only_texts = database_url.is_some();
        let world = WorldConfig { database_url, ..host().world };
        let (world, router) = in_process(&product(config), &HostConfig { world, ..host() }).await.unwrap();
        let token = pkgmgr_sim::admin_token(world.ids().seed());
        Self {
            router,
            token,
            cookie: String::new(),
            xsrf: String::new(),
            made: AtomicU32::new(0),
            only_texts,
            _kept: (world, feed),
        }
    }

    pub(super) async fn send(&self, method: &str, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header(AUTHORIZATION, format!("Bearer {}", self.token)).header(COOKIE, &self.cookie);
        if !kind.is_empty() {
            request = request.header(CONTENT_TYPE, kind);
        }
        let request = request.body(body.into()).unwrap_or_else(|error| panic!("{path}: {error}"));
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        // What breaks off is no answer.
        let body =
            axum::body::to_bytes(body, usize::MAX).await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        Answer { status: parts.status, headers: parts.headers, body: body.to_vec() }
    }

    /// With names that are not taken.
    pub(super) fn fresh(&self, text: &str) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        text.replace("{unique}", &format!("made-{number}"))
    }

    pub(super) async fn json(&self, method: &str, path: &str, body: &Value) -> Answer {
        match body {
            Value::Null => self.send(method, path, "", Body::empty()).await,
            body => self.send(method, path, "application/json", self.fresh(&body.to_string())).await,
        }
    }

    pub(super) async fn form(&self, path: &str, fields: &[(&'static str, String)]) -> Answer {
        let mut text = url::form_urlencoded::Serializer::new(String::new());
        text.append_pair("xsrf", &self.xsrf);
        text.extend_pairs(
            fields.iter().map(|(name, value)| (*name, self.fresh(value).replace("{token}", &self.token))),
        );
        self.send("POST", path, "application/x-www-form-urlencoded", text.finish()).await
    }

    pub(super) async fn does(&self, method: &str, path: &str, body: Value) -> Answer {
        let answer = self.json(method, path, &body).await;
        assert!(answer.status.is_success(), "{method} {path}: {}", answer.text());
        answer
    }

    /// One of everything that a path or a body names.
    pub(super) async fn prepare(&mut self, git: &GitServer) -> Targets {
        self.does("POST", "/__api__/sync", Value::Null).await;
        git.commit("built", 7, &[("DESCRIPTION", "Package: built\nVersion: 1.0\n"), ("NAMESPACE", "")]);
        let git = git.address("built");
        for (name, kind) in [("team", "local"), ("pyteam", "local-python"), ("git", "git"), ("spare", "local")] {
            self.does("POST", "/__api__/sources", json!({"name": name, "type": kind})).await;
        }
        for (name, kind) in [("curated", "curated-cran"), ("pycurated", "curated-pypi")] {
            let draft = json!({"name": name, "type": kind, "snapshot": "2025-01-31"});
            self.does("POST", "/__api__/sources", draft).await;
        }
        self.does("POST", "/__api__/repos", json!({"name": "spare"})).await;
        let renamed = self.does("POST", "/__api__/sources", json!({"name": "renamed"})).await.json()["id"].to_string();
        self.does("POST", "/__api__/sources/git/git-builders", json!({"name": "built", "url": git})).await;
        let credential = json!({"name": "ci", "username": "ci", "password": "secret"});
        self.does("POST", "/__api__/git-credentials", credential).await;
        let add = async |path: &str, bytes: Vec<u8>| {
            let answer = self.send("POST", path, "application/octet-stream", bytes).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
        };
        add("/__api__/sources/team/packages", r_package("old", "1.0", "Old")).await;
        let (name, bytes) = wheel("old", "1.0");
        add(&format!("/__api__/sources/pyteam/packages?filename={name}"), bytes).await;
        self.does("POST", "/__api__/blocklist/rules", json!({"package_name": "none"})).await;
        let token = json!({"scope": ["repos:read"], "repos": ["cran"]});
        let token = self.does("POST", "/__api__/tokens", token).await.json()["id"].as_str().unwrap().to_owned();
        let page = self.does("GET", "/pypi/latest/simple/flask/", Value::Null).await;
        let page = String::from_utf8(page.body).unwrap();
        let file = page.split("href=\"../../").nth(1).unwrap().split('#').next().unwrap().to_owned();
        let bundle = "/__api__/sync/export?type=bioconductor&version=3.18&files=false";
        let bundle = self.does("GET", bundle, Value::Null).await.body;
        let signed_in = self.form("/client/sign-in", &[("token", self.token.clone())]).await;
        let cookie = signed_in.headers[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned();
        self.cookie = cookie;
        let page = self.does("GET", "/client/view/admin/repos", Value::Null).await;
        let page = String::from_utf8(page.body).unwrap();
        let word = page.split("name=\"xsrf\" value=\"").nth(1).expect("forms carry a word");
        self.xsrf = word.split('"').next().unwrap().to_owned();
        let mut ids = (1..=48).flat_map(|n| (2022..=2025).map(move |year| format!("TEAMSIM-{year}-{n:04}")));
        let vulnerability = loop {
            let id = ids.next().expect("some were published before now");
            if self.send("GET", &format!("/__api__/vulns/{id}"), "", Body::empty()).await.status == 200 {
                break id;
            }
        };
        Targets { file, token, vulnerability, git, renamed, bundle }
    }

    pub(super) fn sends(&self, value: &str) -> bool {
        !self.only_texts
            || !value.is_ascii()
            || ["%00", "\\u0000", "\u{0}", "%ff"].iter().any(|odd| value.contains(odd))
    }
}
