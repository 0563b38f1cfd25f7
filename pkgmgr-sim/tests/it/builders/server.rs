//! A git server for tests: bare repositories over HTTP, as any web server would give them out.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use sim_kit::testing::need_tool;

/// A folder of repositories, and a server of it. `credentials` is what it asks for, as `user:password` in base64.
pub(crate) struct GitServer {
    folder: tempfile::TempDir,
    pub(crate) url: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Requests that are still to be refused with 503.
    refusals: AtomicU32,
    /// Requests that were answered or refused.
    asked: AtomicU32,
    hangs: std::sync::atomic::AtomicBool,
}

impl GitServer {
    pub(crate) async fn start(credentials: Option<&'static str>) -> Option<Self> {
        need_tool("git")?;
        let folder = tempfile::tempdir().unwrap();
        let state = Arc::new(State::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (root, shared) = (folder.path().join("bare"), state.clone());
        let answer = move |request: Request| {
            let (root, state) = (root.clone(), shared.clone());
            let path = request.uri().path().trim_start_matches('/').to_owned();
            let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
            async move { serve(&root, &state, credentials, path, given).await }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Some(Self { folder, url, state })
    }

    /// The next `n` requests fail as those to a server that is being restarted.
    pub(crate) fn refuse(&self, n: u32) {
        self.state.refusals.store(n, Ordering::SeqCst);
    }

    /// From now on no request is answered, or again all.
    pub(crate) fn hang(&self, hangs: bool) {
        self.state.hangs.store(hangs, Ordering::SeqCst);
    }

    pub(crate) fn asked(&self) -> u32 {
        self.state.asked.load(Ordering::SeqCst)
    }

    /// The address of a repository.
    pub(crate) fn address(&self, name: &str) -> String {
        format!("{}/{name}.git", self.url)
    }

    /// The folder of the bare repository.
    pub(crate) fn bare(&self, name: &str) -> PathBuf {
        self.folder.path().join("bare").join(format!("{name}.git"))
    }

    fn work(&self, name: &str) -> PathBuf {
        self.folder.path().join("work").join(name)
    }

    /// A repository with one commit, or one more commit: of `files`, made at `second` of the 15th of January 2024. Gives its name.
    pub(crate) fn commit(&self, name: &str, second: u32, files: &[(&str, &str)]) -> String {
        let work = self.work(name);
        if !work.exists() {
            std::fs::create_dir_all(&work).unwrap();
            git(&work, &["init", "--quiet", "--initial-branch=main"]);
            git(&work, &["init", "--quiet", "--bare", "--initial-branch=main", self.bare(name).to_str().unwrap()]);
        }
        for (path, text) in files {
            let path = work.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(&work, &["add", "--all"]);
        self.commit_index(name, second)
    }

    /// Commits what is in the index, such as what [`GitServer::git`] has put there.
    pub(crate) fn commit_index(&self, name: &str, second: u32) -> String {
        let date = format!("2024-01-15T00:{:02}:{:02}Z", second / 60, second % 60);
        let work = self.work(name);
        git_at(&work, &["commit", "--quiet", "--allow-empty", "-m", "change"], &date);
        self.publish(name);
        git(&work, &["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Runs git in the working tree of a repository.
    pub(crate) fn git(&self, name: &str, arguments: &[&str]) -> String {
        git(&self.work(name), arguments)
    }

    /// Brings everything to where the server has it.
    pub(crate) fn publish(&self, name: &str) {
        let bare = self.bare(name);
        git(&self.work(name), &["push", "--quiet", "--force", "--mirror", bare.to_str().unwrap()]);
        git(&bare, &["update-server-info"]);
    }

    pub(crate) fn tag(&self, name: &str, tag: &str) {
        self.git(name, &["tag", "-a", tag, "-m", tag]);
        self.publish(name);
    }
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    git_at(folder, arguments, "2024-01-15T00:00:00Z")
}

fn git_at(folder: &Path, arguments: &[&str], date: &str) -> String {
    let mut command = Command::new("git");
    command.args(arguments).current_dir(folder).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    for who in ["AUTHOR", "COMMITTER"] {
        command.env(format!("GIT_{who}_NAME"), "Test").env(format!("GIT_{who}_EMAIL"), "test@example.org");
        command.env(format!("GIT_{who}_DATE"), date);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn serve(root: &Path, state: &State, credentials: Option<&str>, path: String, given: Option<String>) -> Response {
    state.asked.fetch_add(1, Ordering::SeqCst);
    if state.hangs.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
    let refuse = |n: u32| n.checked_sub(1);
    if state.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, refuse).is_ok() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    if let Some(credentials) = credentials
        && given != Some(format!("Basic {credentials}"))
    {
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Basic realm=\"git\"")]).into_response();
    }
    match tokio::fs::read(root.join(&path)).await {
        Ok(bytes) if !path.contains("..") => bytes.into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
