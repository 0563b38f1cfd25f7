//! Git repositories of strangers, read with the `git` command in a cage.
//!
//! The command gets none of this server's environment and none of the machine's settings, runs no hooks, asks nobody for
//! a password, writes no more than it may, and is ended with all its children when it takes too long. It never leaves
//! the machine by itself: it speaks HTTP to a gateway in this process, which fetches over a [`Link`] named `git` and
//! shows the credential. So a repository's server is watched, slowed and cut as every other one, and no secret is
//! ever told to the command. Repositories in folders of this machine are read only where the settings allow the folder;
//! a look at one is journalled under the same name, with the method `GIT`.
//!
//! Nothing should be checked out: links, filters and attributes of a tree mean nothing to `ls-tree`, `cat-file` and
//! `archive`.

mod gateway;
mod remote;

use std::fmt::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::World;
use crate::http_client::Link;
use gateway::Gateway;
pub use remote::{Remote, RemoteError};

/// The name of the link.
pub const PEER: &str = "git";

/// How the command is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program, by name or path.
    pub program: PathBuf,
    /// Repositories below these folders of this machine may be read; none: only over HTTP.
    pub folders: Vec<PathBuf>,
    /// How long one run may take, in machine time.
    pub time: Duration,
    /// Bytes that may be fetched, and that one file of a repository's may have on disk.
    pub bytes: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { program: "git".into(), folders: Vec::new(), time: Duration::from_secs(300), bytes: 1 << 30 }
    }
}

/// Why the command gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no such command here.
    #[error("the git command is not installed on this server, or cannot be started")]
    Missing,
    /// It was ended.
    #[error("git took longer than {} seconds and was ended; is the repository reachable, and is it small enough?", .0.as_secs())]
    TimedOut(Duration),
    /// It was ended, or what it wrote is not taken.
    #[error("the repository is larger than the {0} bytes that are taken")]
    TooLarge(u64),
    /// What it said, or why the gateway got it no answer.
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
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::TimedOut(_) | Self::Failed(_) | Self::Io(_))
    }
}

/// A sign-in at the server of a repository.
#[derive(Debug, Clone)]
pub struct SignIn {
    /// Name.
    pub username: String,
    /// Password or access token.
    pub password: String,
}

/// Bytes of complaints that are kept.
const COMPLAINTS: u64 = 16 << 10;

/// Settings that no repository and no machine changes.
const CONFIGURATION: &str = "[core]
hooksPath = /dev/null
fsmonitor = false
symlinks = false
protectHFS = true
protectNTFS = true
bigFileThreshold = 8m
[credential]
helper =
[fetch]
fsckObjects = true
recurseSubmodules = false
; One file a fetch, so that the limit on a file's size is one on the fetch.
unpackLimit = 1
[gc]
auto = 0
[maintenance]
auto = false
[protocol \"ext\"]
allow = never
[http]
followRedirects = false
lowSpeedLimit = 1000
lowSpeedTime = 60
";

/// A place to run the command in, for one repository. Everything in it goes with it.
pub struct Git {
    home: tempfile::TempDir,
    remote: Remote,
    /// What the command asks for repositories over HTTP.
    gateway: Option<Gateway>,
    link: Link,
    settings: Settings,
}

impl Git {
    /// A place in `folder` from which `remote` can be read, with a sign-in if it is over HTTP and needs one.
    ///
    /// # Errors
    /// The folder cannot be written, or no port is free.
    pub async fn new(
        world: &World,
        folder: &Path,
        remote: Remote,
        sign_in: Option<&SignIn>,
        settings: &Settings,
    ) -> Result<Self, GitError> {
        let home = tempfile::Builder::new().prefix("git-").tempdir_in(folder)?;
        let link = Link::tethered(world, PEER);
        let mut config = CONFIGURATION.to_owned();
        let mut gateway = None;
        match &remote {
            // It may belong to another user.
            Remote::Folder(path) => writeln!(config, "[safe]\ndirectory = \"{}\"", path.display()),
            Remote::Http(url) => {
                let secret = world.ids().secret(32);
                let opened = Gateway::open(link.clone(), url.clone(), sign_in, &secret, settings.bytes).await?;
                gateway = Some(opened);
                writeln!(config, "extraHeader = {}: {secret}", gateway::SECRET)
            }
        }
        .expect("a string takes all");
        let mut file =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(home.path().join("config"))?;
        std::io::Write::write_all(&mut file, config.as_bytes())?;
        Ok(Self { home, remote, gateway, link, settings: settings.clone() })
    }

    /// Whether the command is there.
    ///
    /// # Errors
    /// [`GitError::Missing`], or why it does not run.
    pub async fn is_there(world: &World, folder: &Path, settings: &Settings) -> Result<(), GitError> {
        let git = Self::new(world, folder, Remote::Folder(folder.to_owned()), None, settings).await?;
        git.run(&["--version"], Vec::new(), 1_000).await.map(drop)
    }

    /// Branches, tags and their commits as `ls-remote` lists them.
    ///
    /// # Errors
    /// [`GitError`]
    pub async fn ls_remote(&self, arguments: &[&str], patterns: &[&str], most: u64) -> Result<Vec<u8>, GitError> {
        self.visit().await?;
        let url = self.address();
        self.run(&[&["ls-remote", "--quiet"], arguments, &["--", &url], patterns].concat(), Vec::new(), most).await
    }

    /// Makes the repository of this place, if it is not there, and fetches `what`.
    ///
    /// # Errors
    /// [`GitError`]
    pub async fn fetch(&self, arguments: &[&str], what: &[&str]) -> Result<(), GitError> {
        if !self.repository().exists() {
            self.run(&["init", "--quiet", "--bare", "--template="], Vec::new(), 10_000).await?;
        }
        self.visit().await?;
        let url = self.address();
        let plain = ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance"];
        self.run(&[&plain, arguments, &["--", &url], what].concat(), Vec::new(), 10_000).await.map(drop)
    }

    /// Runs the command with `arguments` and `input`, and gives what it writes, of which there may be `most` bytes.
    ///
    /// # Errors
    /// [`GitError`]
    pub async fn run(&self, arguments: &[&str], input: Vec<u8>, most: u64) -> Result<Vec<u8>, GitError> {
        let mut out = Vec::new();
        let kept = self.stream(arguments, input, |bytes| {
            out.extend_from_slice(bytes);
            out.len() as u64 <= most
        });
        match kept.await? {
            true => Ok(out),
            false => Err(GitError::TooLarge(most)),
        }
    }

    /// Runs the command and hands what it writes to `each`, piece by piece; false when `each` wanted no more.
    ///
    /// # Errors
    /// [`GitError`]
    pub async fn stream(
        &self,
        arguments: &[&str],
        input: Vec<u8>,
        mut each: impl FnMut(&[u8]) -> bool,
    ) -> Result<bool, GitError> {
        if let Some(gateway) = &self.gateway {
            // Of an earlier run, which could do without that answer.
            gateway.trouble();
        }
        let mut child = self.command(arguments).spawn()?;
        // The command has children of its own, which speak HTTP.
        let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let mut stdin = child.stdin.take().expect("it is piped");
        let mut stdout = child.stdout.take().expect("it is piped");
        let stderr = child.stderr.take().expect("it is piped");
        let feed = async move {
            // A command that ends early reads no more; why it ended says its status.
            let _ = stdin.write_all(&input).await;
        };
        let take = async move {
            let mut buffer = vec![0; 64 << 10];
            loop {
                match stdout.read(&mut buffer).await? {
                    0 => return Ok::<_, std::io::Error>(true),
                    n if each(&buffer[..n]) => {}
                    // The command finds nobody who reads, and ends.
                    _ => return Ok(false),
                }
            }
        };
        let talk = async {
            let ((), whole, complaints) = tokio::join!(feed, take, first(stderr, COMPLAINTS));
            Ok::<_, std::io::Error>((whole?, complaints?, child.wait().await?))
        };
        let talked = tokio::time::timeout(self.settings.time, talk).await;
        let (whole, complaints, status) = talked.map_err(|_| GitError::TimedOut(self.settings.time))??;
        // It has waited for its children, and the number may soon be another's.
        group.0 = None;
        if status.success() || !whole {
            return Ok(whole);
        }
        Err(self.failure(status, &complaints))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        // The shell sets the limit, in blocks of 512 bytes, and then becomes the command.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "ulimit -f \"$1\" && shift && exec \"$@\"", "sh"]);
        command.arg((self.settings.bytes / 512 + 1).to_string()).arg(&self.settings.program);
        command.arg("--git-dir").arg(self.repository()).args(arguments).current_dir(self.home.path());
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", self.home.path());
        command.env("LC_ALL", "C.UTF-8").env("GIT_CONFIG_NOSYSTEM", "1");
        command.env("GIT_CONFIG_GLOBAL", self.home.path().join("config"));
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ASKPASS", "/bin/false");
        command.env("GIT_ALLOW_PROTOCOL", if self.gateway.is_some() { "http" } else { "file" });
        command.env("GIT_PROTOCOL_FROM_USER", "0").env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_NO_LAZY_FETCH", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        command
    }

    /// Why it failed: what the gateway knows goes before what the command says.
    fn failure(&self, status: std::process::ExitStatus, complaints: &[u8]) -> GitError {
        let gateway = self.gateway.as_ref();
        if gateway.is_some_and(Gateway::is_full) || size(self.home.path()) >= self.settings.bytes {
            return GitError::TooLarge(self.settings.bytes);
        }
        if let Some(reason) = gateway.and_then(Gateway::trouble) {
            return GitError::Failed(reason);
        }
        // What a shell says with.
        if matches!(status.code(), Some(126 | 127)) {
            return GitError::Missing;
        }
        let said = complaint(complaints).unwrap_or_else(|| status.to_string());
        let said = said.replace(&self.address(), &self.remote.to_string());
        GitError::Failed(said.replace(&self.home.path().display().to_string(), "…"))
    }

    /// A look at a folder is no request, and can be cut all the same.
    async fn visit(&self) -> Result<(), GitError> {
        let Remote::Folder(path) = &self.remote else { return Ok(()) };
        let visited = self.link.visit("GIT", &self.remote.to_string(), &path.to_string_lossy()).await;
        visited.map_err(|error| GitError::Failed(error.to_string()))
    }

    /// The repository as the command is told.
    fn address(&self) -> String {
        self.gateway.as_ref().map_or_else(|| self.remote.to_string(), |gateway| gateway.address().to_owned())
    }

    fn repository(&self) -> PathBuf {
        self.home.path().join("repository")
    }

    /// Whether what was fetched has only the newest commits.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.repository().join("shallow").exists()
    }
}

/// Takes away what a process that was killed has left of its places in `folder`, which nobody else may be using.
///
/// # Errors
/// The folder cannot be read.
pub fn tidy(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)?.flatten() {
        std::fs::remove_dir_all(entry.path())?;
    }
    Ok(())
}

/// Ends all processes of a group, also when what runs them is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that nothing is left of it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// Reads to the end, and keeps the first `most` bytes.
async fn first(mut from: impl AsyncRead + Unpin, most: u64) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    (&mut from).take(most).read_to_end(&mut out).await?;
    tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
    Ok(out)
}

/// What it said, in one line for people: the first complaint that ended it, without its label.
fn complaint(stderr: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // Those after the first tell that somebody stopped because of it.
    let labelled = lines.iter().find_map(|line| line.strip_prefix("fatal: ").or(line.strip_prefix("error: ")));
    labelled.or(lines.last().copied()).map(str::to_owned)
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => size(&entry.path()),
        about => about.map_or(0, |about| about.len()),
    });
    sizes.sum()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use axum::Router;
    use axum::extract::Request;
    use axum::response::{IntoResponse as _, Redirect};

    use super::*;
    use crate::WorldConfig;
    use crate::testing::need_tool;

    async fn world() -> World {
        World::open(&WorldConfig::default(), &[]).await.unwrap()
    }

    /// What runs in place of git.
    fn script(folder: &Path, text: &str) -> Settings {
        let program = folder.join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Settings { program, ..Settings::default() }
    }

    #[test]
    fn a_complaint_is_one_line() {
        let said = b"warning: x\nfatal: Remote branch none not found in upstream origin\nfatal: stopped\n";
        assert_eq!(complaint(said).unwrap(), "Remote branch none not found in upstream origin");
        assert_eq!(complaint(b"something else\n").unwrap(), "something else");
        assert_eq!(complaint(b""), None);
    }

    #[tokio::test]
    async fn the_command_is_alone_and_short_lived() {
        let (world, folder) = (world().await, tempfile::tempdir().unwrap());
        let here = Remote::Folder(folder.path().to_owned());
        let open =
            async |settings: &Settings| Git::new(&world, folder.path(), here.clone(), None, settings).await.unwrap();
        let git = open(&script(folder.path(), "env")).await;
        let printed = String::from_utf8(git.run(&[], Vec::new(), 10_000).await.unwrap()).unwrap();
        let known = ["PATH", "HOME", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"];
        for line in printed.lines() {
            let name = line.split_once('=').unwrap().0;
            assert!(name.starts_with("GIT_") || known.contains(&name), "{line}");
        }
        assert!(printed.contains("GIT_ALLOW_PROTOCOL=file\n"), "{printed}");
        let slow = Settings { time: Duration::from_millis(50), ..script(folder.path(), "sleep 1000") };
        let ended = open(&slow).await.run(&[], Vec::new(), 10).await;
        assert!(matches!(ended, Err(GitError::TimedOut(_))), "{ended:?}");
        let endless = open(&script(folder.path(), "yes")).await.run(&[], Vec::new(), 100_000).await;
        assert!(matches!(endless, Err(GitError::TooLarge(100_000))), "{endless:?}");
        let large = Settings { bytes: 10_000, ..script(folder.path(), "yes > file") };
        let ended = open(&large).await.run(&[], Vec::new(), 10).await;
        assert!(matches!(ended, Err(GitError::TooLarge(10_000))), "{ended:?}");
        let nowhere = Settings { program: "no-such-git".into(), ..Settings::default() };
        let missing = Git::is_there(&world, folder.path(), &nowhere).await;
        assert!(matches!(missing, Err(GitError::Missing)), "{missing:?}");
        // What a killed process has left goes, whatever it is called.
        std::fs::create_dir_all(folder.path().join("git-left/repository")).unwrap();
        std::fs::remove_file(folder.path().join("program")).unwrap();
        tidy(folder.path()).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    const REFS: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\trefs/heads/main\n";

    /// A server of plain files that has moved one repository, and gives another one to somebody else.
    async fn server(elsewhere: String) -> String {
        let answer = move |request: Request| async move {
            let signed = request.headers().get("authorization").is_some_and(|given| given == "Basic bWU6c2VjcmV0");
            match request.uri().path() {
                _ if !signed => http::StatusCode::UNAUTHORIZED.into_response(),
                "/old.git/info/refs" => Redirect::permanent("/new.git/info/refs").into_response(),
                "/new.git/info/refs" => REFS.into_response(),
                "/new.git/HEAD" => "ref: refs/heads/main\n".into_response(),
                "/away.git/info/refs" => Redirect::temporary(&format!("{elsewhere}/new.git/info/refs")).into_response(),
                _ => http::StatusCode::NOT_FOUND.into_response(),
            }
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        url
    }

    #[tokio::test]
    async fn everything_goes_over_a_link_that_stays_at_its_server() {
        let Some(_) = need_tool("git") else { return };
        let (world, folder) = (world().await, tempfile::tempdir().unwrap());
        let other = server(String::new()).await;
        let url = server(other.clone()).await;
        let sign_in = SignIn { username: "me".to_owned(), password: "secret".to_owned() };
        let list = async |name: &str, sign_in: Option<&SignIn>| {
            let remote = Remote::parse(&format!("{url}/{name}.git"), &[]).unwrap();
            let git = Git::new(&world, folder.path(), remote, sign_in, &Settings::default()).await.unwrap();
            // Others on this machine get nothing from it.
            let address = format!("{}/info/refs", git.address());
            assert_eq!(crate::http_client::client(|b| b).get(address).send().await.unwrap().status(), 404);
            git.ls_remote(&[], &[], 10_000).await.map_err(|error| error.to_string())
        };
        let said = String::from_utf8(list("old", Some(&sign_in)).await.unwrap()).unwrap();
        assert!(said.contains(REFS), "{said}");
        for (name, sign_in, reason) in [
            ("old", None, "wants a sign-in"),
            ("away", Some(&sign_in), "redirected to another server"),
            ("none", Some(&sign_in), "/none.git"),
        ] {
            let refused = list(name, sign_in).await.unwrap_err();
            assert!(refused.contains(reason) && !refused.contains("secret"), "{name}: {refused}");
        }
        let rule = serde_json::json!({"id": "cable", "match": {"direction": "out", "peer": "git"}, "effect": {"kind": "reset"}});
        world.faults().add(serde_json::from_value(rule).unwrap()).unwrap();
        let cut = list("new", Some(&sign_in)).await.unwrap_err();
        assert!(cut.contains("connection reset by peer (cut by fault rule cable)"), "{cut}");
        let here = Remote::Folder(folder.path().to_owned());
        let git = Git::new(&world, folder.path(), here, None, &Settings::default()).await.unwrap();
        let cut = git.ls_remote(&[], &[], 10_000).await.unwrap_err().to_string();
        assert!(cut.contains("cut by fault rule cable"), "{cut}");
        world.faults().clear();
        let gone = git.ls_remote(&[], &[], 10_000).await.unwrap_err();
        assert!(matches!(gone, GitError::Failed(_)), "{gone}");
        let told = world.journal().entries(0, 100, |_| true);
        assert!(told.iter().all(|entry| entry.peer.as_deref() == Some(PEER)), "{told:?}");
        let (last, before) = (&told[told.len() - 1], &told[told.len() - 2]);
        assert_eq!((last.method.as_str(), &last.fault), ("GIT", &None));
        assert_eq!((before.method.as_str(), before.fault.as_deref()), ("GIT", Some("cable")));
        assert!(told.iter().any(|entry| entry.path.ends_with("/old.git/info/refs?service=git-upload-pack")));
    }
}
