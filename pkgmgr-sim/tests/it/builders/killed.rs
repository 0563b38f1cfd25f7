//! The program itself, killed while a build is under way.

use std::path::Path;

use serde_json::{Value, json};

use super::server::GitServer;
use super::{BUILDERS, R};
use crate::service::Service;
use crate::settings::{Server, command, http};

/// A server that allows no second attempt, or three.
async fn start(service: &Service, folder: &Path, retries: &str) -> Server {
    let file = folder.join("rstudio-pm.gcfg");
    std::fs::write(&file, format!("[Server]\nDataDir = {}\n", folder.join("data").display())).unwrap();
    let retries = format!("Git.BuildRetries={retries}");
    Server::start(command(service, &file, &["--port", "0", "--set", &retries])).await
}

impl Server {
    async fn does(&self, method: &str, path: &str, body: Value) -> Value {
        let request = http().request(method.parse().unwrap(), format!("{}{path}", self.url));
        let request = request.bearer_auth(pkgmgr_sim::admin_token(1));
        let answer = if body.is_null() { request } else { request.json(&body) }.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{method} {path}: {text}");
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    async fn newest(&self) -> Value {
        self.does("GET", "/__api__/sources/git/git-builds", Value::Null).await[0].clone()
    }

    /// The newest build, once it is `state`.
    async fn until(&self, state: &str) -> Value {
        loop {
            let build = self.newest().await;
            if build["status"] == state {
                return build;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn index(&self) -> String {
        let answer = http().get(format!("{}/built/latest/src/contrib/PACKAGES", self.url)).send().await.unwrap();
        answer.text().await.unwrap()
    }
}

#[tokio::test]
async fn in_the_middle_of_a_build() {
    let Some(git) = GitServer::start(None).await else { return };
    let (service, folder) = (Service::with_packages().await, tempfile::tempdir().unwrap());
    git.commit("own", 1, &R);
    let server = start(&service, folder.path(), "3").await;
    server.does("POST", "/__api__/repos", json!({"name": "built", "type": "R"})).await;
    server.does("POST", "/__api__/sources", json!({"name": "git", "type": "git"})).await;
    server.does("POST", "/__api__/repos/built/sources", json!({"source": "git"})).await;
    server.does("POST", BUILDERS, json!({"url": git.address("own")})).await;
    let built = server.index().await;
    assert!(built.contains("Version: 1.0.20240115.1\n"), "{built}");

    // It has begun to fetch, and no more comes.
    let begin = async |server: &Server, second: u32| {
        let sha = git.commit("own", second, &[("NEWS", &second.to_string())]);
        git.hang(true);
        let asked = git.asked();
        let order = json!({"commit_sha": sha, "no_wait": true});
        server.does("POST", &format!("{BUILDERS}/own/rerun"), order).await;
        server.until("running").await;
        while git.asked() == asked {
            tokio::task::yield_now().await;
        }
    };
    let places = folder.path().join("data/package-manager/world-0/git");
    let left = || std::fs::read_dir(&places).unwrap().count();
    begin(&server, 2).await;
    server.kill().await;
    assert_eq!(left(), 1, "what was fetched is still there");

    git.hang(false);
    let server = start(&service, folder.path(), "3").await;
    // Nothing half-made serves: it is the one version, then the other.
    let built = loop {
        let index = server.index().await;
        if index.contains("Version: 1.0.20240115.2\n") {
            break index;
        }
        assert_eq!(index, built);
        tokio::task::yield_now().await;
    };

    let done = server.until("succeeded").await;
    assert_eq!((&done["attempts"], &done["version"]), (&json!(2), &json!("1.0.20240115.2")), "{done}");
    assert_eq!(left(), 0, "and nothing is left of the first attempt");

    // Where no second attempt is allowed, it has failed, and can be asked for again.
    begin(&server, 3).await;
    server.kill().await;
    git.hang(false);
    let server = start(&service, folder.path(), "0").await;
    let failed = server.until("failed").await;
    assert!(failed["error"].as_str().unwrap().contains("the server has ended 1 times"), "{failed}");
    assert_eq!(server.index().await, built);
    let again = server.does("POST", &format!("{BUILDERS}/own/rerun"), Value::Null).await;
    assert_eq!((&again[0]["status"], &again[0]["version"]), (&json!("succeeded"), &json!("1.0.20240115.3")), "{again}");
    server.kill().await;
}
