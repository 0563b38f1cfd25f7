//! A team and the real clients that talk to it, for the tests beside this crate.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::environment::{Urls, variables};
use harness::stack::{Stack, StackConfig};
use serde_json::Value;
use sim_kit::seed::{SeedUser, users};

pub use sim_kit::testing::need_tool;

/// A team on free ports, with a folder for what clients write.
pub struct Team {
    /// The servers.
    pub stack: Stack,
    /// Where they are.
    pub urls: Urls,
    /// For homes, environments, bundles.
    pub folder: tempfile::TempDir,
}

/// What a client did.
#[derive(Debug)]
pub struct Done {
    /// True for exit code 0.
    pub ok: bool,
    /// Both streams.
    pub output: String,
}

impl Done {
    /// The output, of a client that went well.
    ///
    /// # Panics
    /// When it did not.
    #[must_use]
    #[track_caller]
    pub fn well(self) -> String {
        assert!(self.ok, "{}", self.output);
        self.output
    }

    /// The output, of a client that failed.
    ///
    /// # Panics
    /// When it went well.
    #[must_use]
    #[track_caller]
    pub fn failed(self) -> String {
        assert!(!self.ok, "{}", self.output);
        self.output
    }
}

impl Team {
    /// Starts a team with a small catalogue: what the tests here install, and what that needs.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        let packages = ["flask", "fastapi", "streamlit", "dash", "shiny", "six", "jsonlite", "glue", "htmltools"];
        let upstream = upstream_sim::Config::only(&packages);
        Self::with(StackConfig { upstream, ..StackConfig::default() }).await
    }

    /// Starts a team.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn with(config: StackConfig) -> Self {
        let stack = Stack::start(config).await.expect("the team starts");
        let folder =
            tempfile::Builder::new().prefix("teamsim-test-").tempdir().expect("a temporary folder can be made");
        Self { urls: stack.urls(), stack, folder }
    }

    /// One of the users: `admin`, `publisher`, `viewer`.
    ///
    /// # Panics
    /// For any other name.
    #[must_use]
    pub fn user(&self, name: &str) -> SeedUser {
        users(1).into_iter().find(|user| user.username == name).expect("one of the three users")
    }

    /// A path in the team's folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file in the team's folder, with the folders above it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("folders can be made");
        std::fs::write(&path, text).expect("files can be written");
        path
    }

    /// Runs a client with the team's environment and an empty home of its own. The servers go on meanwhile.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub async fn client(&self, program: impl AsRef<OsStr>, arguments: &[&str]) -> Done {
        self.client_with(program, arguments, &[]).await
    }

    /// As [`Team::client`], with more variables.
    ///
    /// # Panics
    /// When the program cannot be started.
    pub async fn client_with(&self, program: impl AsRef<OsStr>, arguments: &[&str], more: &[(&str, &str)]) -> Done {
        let home = self.path("home");
        std::fs::create_dir_all(&home).expect("folders can be made");
        let mut command = Command::new(program.as_ref());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .envs(variables(&self.urls, 1))
            .envs([("HOME", home.as_os_str()), ("XDG_CONFIG_HOME", home.join("config").as_os_str())])
            .envs([
                ("PIP_CONFIG_FILE", "/dev/null"),
                ("PIP_NO_CACHE_DIR", "1"),
                ("UV_NO_CACHE", "1"),
                ("UV_NO_CONFIG", "1"),
            ])
            // Nor may R find packages that the machine has.
            .env("R_LIBS_SITE", home.join("none"))
            // The machine's own sources of packages must not help out.
            .env_remove("PIP_FIND_LINKS")
            .env_remove("PIP_EXTRA_INDEX_URL")
            .env_remove("UV_FIND_LINKS")
            .envs(more.iter().copied())
            .stdin(Stdio::null());
        let run = move || command.output();
        let output =
            tokio::task::spawn_blocking(run).await.expect("the thread ends").expect("the client can be started");
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Done { ok: output.status.success(), output: text }
    }

    /// A new Python environment without anything in it; its `python`. None when the machine has no Python.
    pub async fn venv(&self, name: &str) -> Option<PathBuf> {
        let python = need_tool("python3")?;
        let path = self.path(name);
        let target = path.display().to_string();
        let _ = self.client(python, &["-m", "venv", "--without-pip", &target]).await.well();
        Some(path.join("bin/python"))
    }

    /// GETs from Connect's API with the key of `user`; the status and the body.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn connect(&self, user: &str, path: &str) -> (u16, Value) {
        let key = self.user(user).api_key;
        let url = format!("{}/__api__/{path}", self.urls.connect);
        let answer =
            http().get(url).header("authorization", format!("Key {key}")).send().await.expect("Connect answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// Opens a page of Connect with the key of `user`; the status and the body.
    ///
    /// # Panics
    /// When there is no answer.
    pub async fn page(&self, user: &str, path: &str) -> (u16, String) {
        let key = self.user(user).api_key;
        let url = format!("{}{path}", self.urls.connect);
        let answer =
            http().get(url).header("authorization", format!("Key {key}")).send().await.expect("Connect answers");
        (answer.status().as_u16(), answer.text().await.unwrap_or_default())
    }
}

/// An HTTP client without proxies.
#[must_use]
pub fn http() -> reqwest::Client {
    sim_kit::http_client::client(|builder| builder)
}

/// A file in the workspace.
#[must_use]
pub fn workspace(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}
