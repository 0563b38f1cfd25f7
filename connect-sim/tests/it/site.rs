//! Unmodified clients, and the Connect they talk to over a real socket.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Output;

use connect_sim::{Config, product};
use sim_kit::testing::need_tool;
use sim_kit::{Host, HostConfig, Running, seed};

/// The folder of rsconnect-python's program and of the Python that has posit-sdk: one environment holds both.
pub(crate) fn newest_tools() -> Option<PathBuf> {
    Some(need_tool("rsconnect")?.parent().expect("a program is in a folder").to_owned())
}

/// The folder of the oldest rsconnect-python that the tests publish with.
pub(crate) fn older_tools() -> Option<PathBuf> {
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cache/rsconnect-1.24/bin");
    if !bin.join("rsconnect").exists() {
        assert!(need_tool("rsconnect-1.24 (scripts/test --setup installs it)").is_none());
        return None;
    }
    Some(bin)
}

/// A Connect on a socket, and a home for the clients that talk to it.
pub(crate) struct Site {
    pub(crate) running: Running,
    pub(crate) home: tempfile::TempDir,
    /// The folder of the clients' programs.
    bin: PathBuf,
    /// Of the publisher.
    pub(crate) key: String,
}

impl Site {
    /// For programs in `bin`; what stands there otherwise is found on `PATH`.
    pub(crate) async fn new(config: Config, bin: PathBuf) -> Self {
        Self::at(config, bin, 0).await
    }

    /// One at a port; 0 for any free one.
    pub(crate) async fn at(config: Config, bin: PathBuf, port: u16) -> Self {
        let running = Host::start(product(config), HostConfig { port, ..HostConfig::default() }).await.unwrap();
        let [_, publisher, _] = seed::users(1);
        Self { running, home: tempfile::tempdir().unwrap(), bin, key: publisher.api_key }
    }

    pub(crate) async fn run(&self, program: &str, arguments: &[&str]) -> Output {
        self.command(program, arguments).output().await.unwrap()
    }

    pub(crate) fn command(&self, program: &str, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(self.bin.join(program));
        command.args(arguments).current_dir(self.home.path());
        command.env("HOME", self.home.path()).env("XDG_CONFIG_HOME", self.home.path());
        for proxy in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY"] {
            command.env_remove(proxy);
        }
        command.env("ADMIN_KEY", &seed::users(1)[0].api_key);
        // rsconnect refuses them beside the name of a server.
        if program == "python" {
            command.env("CONNECT_SERVER", self.running.url()).env("CONNECT_API_KEY", &self.key);
        }
        // Not the machine's own.
        command.env("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring");
        command.kill_on_drop(true);
        command
    }

    /// Runs rsconnect, which must succeed: what it printed.
    pub(crate) async fn rsconnect(&self, arguments: &[&str]) -> String {
        let output = self.run("rsconnect", arguments).await;
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "rsconnect {arguments:?}: {text}");
        text
    }

    /// Fails unless the client was seen to succeed with each of `routes`.
    pub(crate) fn proves(&self, routes: &[&str]) {
        let journal = self.running.world().journal().entries(0, usize::MAX, |entry| entry.user_agent.is_some());
        let good = journal.iter().filter(|entry| entry.status.is_some_and(|status| (200..300).contains(&status)));
        let seen: BTreeSet<String> = good
            .filter_map(|entry| {
                let path = entry.route.as_deref()?;
                let method = if path.starts_with("/content/") { "*" } else { &entry.method };
                Some(format!("{method} {path}"))
            })
            .collect();
        let missing: Vec<&&str> = routes.iter().filter(|route| !seen.contains(**route)).collect();
        assert!(missing.is_empty(), "not seen: {missing:?}; seen: {seen:#?}");
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.home.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Opens content with the publisher's key.
    pub(crate) async fn open(&self, url: &str) -> String {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.get(url).header("authorization", format!("Key {}", self.key));
        request.send().await.unwrap().text().await.unwrap()
    }
}
