//! The `git` program, kept on a short lead.
//!
//! What it fetches was written by strangers: it gets none of this server's environment and none of the machine's
//! settings, runs no hooks, asks nobody for a password, speaks HTTP (and to a local folder only where a setting names
//! one), writes no file larger than a bundle may be, and is ended with all its children when it takes too long.

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdout, Command};

use super::Settings;

/// Bytes of what git says that are kept.
const LONGEST_COMPLAINT: u64 = 16 * 1024;

/// Settings that no repository and no machine changes.
const CONFIGURATION: &[(&str, &str)] = &[
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.symlinks", "false"),
    ("core.protectHFS", "true"),
    ("core.protectNTFS", "true"),
    // Larger files are streamed rather than held in memory.
    ("core.bigFileThreshold", "8m"),
    ("credential.helper", ""),
    ("fetch.fsckObjects", "true"),
    // One file a fetch, so that the limit on a file's size is one on the fetch.
    ("fetch.unpackLimit", "1"),
    ("fetch.recurseSubmodules", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", "1000"),
    ("http.lowSpeedTime", "30"),
    ("protocol.ext.allow", "never"),
    // A local folder is allowed by the settings of this server or not at all; who owns it does not matter then.
    ("safe.directory", "*"),
];

/// Why git did not do what it was told to.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It said why.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error("git took longer than {0} seconds and was ended; is the repository reachable, and is it small enough?")]
    TooSlow(u64),
    /// It brought too much.
    #[error("the repository is larger than the {0} bytes that this server takes")]
    TooLarge(u64),
    /// It could not be started.
    #[error("git cannot be started: {0}")]
    NotThere(std::io::Error),
}

/// Ends git and its children when it is dropped before its end.
struct Leash(Option<Pid>);

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(group) = self.0.take() {
            // An error says that nothing is left of it.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

fn command(settings: &Settings, folder: &Path, arguments: &[&str]) -> Command {
    // The shell sets the limit, in blocks of 512 bytes, and then becomes git.
    let mut command = Command::new("/bin/sh");
    command.args(["-c", "ulimit -f \"$1\" && shift && exec \"$@\"", "sh"]);
    command.arg((settings.largest / 512 + 1).to_string()).arg(&settings.executable).args(arguments);
    command.current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.kill_on_drop(true).process_group(0);
    command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", folder).env("LC_ALL", "C");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    command.env("GIT_ASKPASS", "/bin/false").env("GIT_LFS_SKIP_SMUDGE", "1").env("GIT_PROTOCOL_FROM_USER", "0");
    command.env("GIT_ALLOW_PROTOCOL", if settings.folder.is_some() { "http:https:file" } else { "http:https" });
    let mut configuration: Vec<(String, String)> =
        CONFIGURATION.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    for credential in &settings.credentials {
        // For this host only, also when another one is redirected to.
        let key = format!("http.{}://{}/.extraHeader", credential.protocol, credential.host);
        let pair = STANDARD.encode(format!("{}:{}", credential.username, credential.password));
        configuration.push((key, format!("Authorization: Basic {pair}")));
    }
    // Through the environment, as other users of the machine can read a command line.
    command.env("GIT_CONFIG_COUNT", configuration.len().to_string());
    for (number, (key, value)) in configuration.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{number}"), key).env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
    command
}

async fn read(source: Option<impl AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        let mut source = source.take(limit + 1);
        source.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

/// What it said, in one line for people: the last complaint without its label.
fn complaint(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    // The first fatal one has the reason; those after it tell that somebody stopped because of it.
    let labelled = lines.iter().find_map(|line| line.strip_prefix("fatal: ").or(line.strip_prefix("error: ")));
    labelled.or(lines.last().copied()).unwrap_or("git failed without a reason").to_owned()
}

/// Runs git in `folder` and gives its standard output to `take`.
async fn with<T, F>(
    settings: &Settings,
    folder: &Path,
    arguments: &[&str],
    take: impl FnOnce(ChildStdout) -> F,
) -> Result<T, GitError>
where
    F: Future<Output = Result<T, GitError>>,
{
    let mut child: Child = command(settings, folder, arguments).spawn().map_err(GitError::NotThere)?;
    let mut leash = Leash(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let stderr = child.stderr.take();
    let stdout = child.stdout.take().ok_or_else(|| GitError::NotThere(std::io::ErrorKind::BrokenPipe.into()))?;
    let work = async {
        let (taken, said) = tokio::join!(take(stdout), read(stderr, LONGEST_COMPLAINT));
        let taken = taken?;
        let status = child.wait().await.map_err(GitError::NotThere)?;
        Ok::<_, GitError>((taken, said.unwrap_or_default(), status))
    };
    // The machine's time: a clock that stands still ends no process.
    let done = tokio::time::timeout(settings.timeout, work).await;
    let (taken, said, status) = done.map_err(|_| GitError::TooSlow(settings.timeout.as_secs()))??;
    leash.0 = None;
    if status.success() {
        return Ok(taken);
    }
    let text = String::from_utf8_lossy(&said);
    let complaint = complaint(&said);
    // 25 is the signal of a file that grew past its limit; a fetch does not tell it of the child that wrote the file.
    if text.contains("signal 25") || text.contains("File too large") || complaint.contains("invalid index-pack output")
    {
        return Err(GitError::TooLarge(settings.largest));
    }
    Err(GitError::Refused(complaint))
}

/// Runs git in `folder`: what it printed, at most `limit` bytes.
///
/// # Errors
/// [`GitError`]
pub async fn output(settings: &Settings, folder: &Path, arguments: &[&str], limit: u64) -> Result<Vec<u8>, GitError> {
    let take = |stdout| async move {
        let bytes = read(Some(stdout), limit).await.map_err(GitError::NotThere)?;
        if bytes.len() as u64 > limit { Err(GitError::TooLarge(limit)) } else { Ok(bytes) }
    };
    with(settings, folder, arguments, take).await
}

/// Runs git in `folder` and hands what it prints to `each`, piece by piece.
///
/// # Errors
/// [`GitError`]; what `each` refuses, as too large.
pub async fn stream(
    settings: &Settings,
    folder: &Path,
    arguments: &[&str],
    mut each: impl FnMut(&[u8]) -> bool + Send,
) -> Result<(), GitError> {
    let take = |mut stdout: ChildStdout| async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match stdout.read(&mut buffer).await.map_err(GitError::NotThere)? {
                0 => return Ok(()),
                n if each(&buffer[..n]) => {}
                _ => return Err(GitError::TooLarge(settings.largest)),
            }
        }
    };
    with(settings, folder, arguments, take).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_one_line() {
        let said = b"warning: x\nfatal: Remote branch none not found in upstream origin\n";
        assert_eq!(complaint(said), "Remote branch none not found in upstream origin");
        assert_eq!(complaint(b""), "git failed without a reason");
        assert_eq!(complaint(b"sh: 1: exec: nogit: not found\n"), "sh: 1: exec: nogit: not found");
    }

    #[tokio::test]
    async fn a_slow_git_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let slow = Settings {
            executable: "/bin/sleep".into(),
            timeout: std::time::Duration::from_millis(50),
            ..Settings::default()
        };
        let ended = output(&slow, folder.path(), &["1000"], 10).await;
        assert!(matches!(ended, Err(GitError::TooSlow(0))), "{ended:?}");
    }

    #[tokio::test]
    async fn nothing_of_this_process_reaches_git() {
        let folder = tempfile::tempdir().unwrap();
        let print = Settings { executable: "/usr/bin/env".into(), ..Settings::default() };
        let printed = String::from_utf8(output(&print, folder.path(), &[], 10_000).await.unwrap()).unwrap();
        let known = ["PATH", "HOME", "LC_ALL", "PWD", "OLDPWD", "SHLVL", "_"];
        for line in printed.lines() {
            let name = line.split_once('=').unwrap().0;
            assert!(name.starts_with("GIT_") || known.contains(&name), "{line}");
        }
        assert!(printed.contains("GIT_ALLOW_PROTOCOL=http:https\n"), "{printed}");
    }
}
