//! The `git` command in a cage.

use std::fmt::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::{Remote, Settings};
use crate::store::builders::Credential;

/// Why the command gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GitError {
    /// There is no such command here.
    #[error("the git command is not installed on this server, or cannot be started: {0}")]
    Missing(std::io::Error),
    /// It was ended.
    #[error("git took longer than {} seconds and was ended", .0.as_secs())]
    TimedOut(Duration),
    /// It was ended.
    #[error("the repository is larger than {0} bytes, which is the most that is taken")]
    TooLarge(u64),
    /// What it said.
    #[error("git: {0}")]
    Failed(String),
    /// What it read is not taken.
    #[error("{0}")]
    Refused(String),
    /// Its folder or its pipes.
    #[error("git cannot be run: {0}")]
    Io(#[from] std::io::Error),
}

impl GitError {
    /// Whether it may go better another time.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Failed(_) | Self::Io(_))
    }
}

/// Bytes of complaints that are kept.
const COMPLAINTS: u64 = 8 << 10;
/// How often the size of a growing repository is looked at.
const WATCH: Duration = Duration::from_millis(200);

/// A place to run the command in, for one repository. Everything in it goes with it.
pub(crate) struct Git {
    home: tempfile::TempDir,
    allowed: &'static str,
    time: Duration,
    bytes: u64,
}

impl Git {
    /// A place in `folder` from which `remote` can be read, with a credential if there is one.
    pub(crate) fn new(
        folder: &Path,
        remote: &Remote,
        credential: Option<&Credential>,
        settings: &Settings,
    ) -> Result<Self, GitError> {
        let home = tempfile::Builder::new().prefix("git-").tempdir_in(folder)?;
        let mut config =
            "[core]\nhooksPath = /dev/null\nfsmonitor = false\n[gc]\nauto = 0\n[maintenance]\nauto = false\n\
                          [http]\nlowSpeedLimit = 500\nlowSpeedTime = 60\n"
                .to_owned();
        if let Remote::Folder(path) = remote {
            // It may belong to another user.
            writeln!(config, "[safe]\ndirectory = {}", quoted(&path.display().to_string()))
                .expect("a string takes all");
        }
        if let Some(credential) = credential {
            let basic = STANDARD.encode(format!("{}:{}", credential.username, credential.password));
            // A header of one's own would follow a redirect to another server.
            let section = quoted(&remote.argument());
            writeln!(
                config,
                "[http {section}]\nextraHeader = {}\nfollowRedirects = false",
                quoted(&format!("Authorization: Basic {basic}"))
            )
            .expect("a string takes all");
        }
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(home.path().join("config"))?;
        std::io::Write::write_all(&mut file, config.as_bytes())?;
        let allowed = if matches!(remote, Remote::Folder(_)) { "file" } else { "http:https" };
        Ok(Self { home, allowed, time: settings.time, bytes: settings.bytes })
    }

    /// Runs `git` with `arguments` and `input`, and gives what it writes, of which there may be `most` bytes.
    pub(crate) async fn run(&self, arguments: &[&str], input: Vec<u8>, most: u64) -> Result<Vec<u8>, GitError> {
        let mut command = Command::new("git");
        command
            .arg("--git-dir")
            .arg(self.home.path().join("repository"))
            .args(arguments)
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("HOME", self.home.path())
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", self.home.path().join("config"))
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ALLOW_PROTOCOL", self.allowed)
            .env("GIT_PROTOCOL_FROM_USER", "0")
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(GitError::Missing)?;
        // The command has children of its own, which speak HTTP.
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let mut stdin = child.stdin.take().expect("it is piped");
        let (stdout, stderr) = (child.stdout.take().expect("it is piped"), child.stderr.take().expect("it is piped"));
        let feed = async move {
            // A command that ends early reads no more; why it ended says its status.
            let _ = stdin.write_all(&input).await;
        };
        let talk = async {
            let ((), out, complaints) = tokio::join!(feed, read(stdout, most + 1), read(stderr, COMPLAINTS));
            Ok::<_, std::io::Error>((out?, complaints?, child.wait().await?))
        };
        let (out, complaints, status) = tokio::select! {
            talked = talk => talked?,
            () = tokio::time::sleep(self.time) => return Err(GitError::TimedOut(self.time)),
            () = self.outgrown() => return Err(GitError::TooLarge(self.bytes)),
        };
        // It has waited for its children, and the number may soon be another's.
        group.0 = None;
        // A quick command ends between two looks.
        if size(self.home.path()) > self.bytes {
            return Err(GitError::TooLarge(self.bytes));
        }
        if out.len() as u64 > most {
            return Err(GitError::TooLarge(most));
        }
        if !status.success() {
            let said = String::from_utf8_lossy(&complaints);
            let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            // The last lines say why; what the place is called says nothing.
            let said = said[said.len().saturating_sub(3)..].join("; ");
            let said = said.replace(&self.home.path().display().to_string(), "…");
            return Err(GitError::Failed(if said.is_empty() { status.to_string() } else { said }));
        }
        Ok(out)
    }

    /// Bytes that contents of files may have, with what the command writes around them.
    pub(super) fn most(&self) -> u64 {
        self.bytes + (64 << 20)
    }

    /// Whether what was fetched has only the newest commits.
    pub(super) fn is_shallow(&self) -> bool {
        self.home.path().join("repository/shallow").exists()
    }

    /// Resolves when there is more on disk than may be.
    async fn outgrown(&self) {
        let mut watch = tokio::time::interval(WATCH);
        loop {
            watch.tick().await;
            if size(self.home.path()) > self.bytes {
                return;
            }
        }
    }
}

/// Ends all processes of a group, also when what runs them is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end, and keeps the first `most` bytes.
async fn read(mut from: impl AsyncRead + Unpin, most: u64) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    (&mut from).take(most).read_to_end(&mut out).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(out)
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(about) if about.is_dir() => size(&entry.path()),
            Ok(about) => about.len(),
            Err(_) => 0,
        })
        .sum()
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
