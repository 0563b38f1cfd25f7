//! Mail by a program: `Server.EmailProvider` is `sendmail`.
//!
//! The program of `Server.SendmailPath` is run as sendmail is: `-t` has it read the recipients from the head of the mail, `-i`
//! lets a line be a single dot. It is run as it is, by no shell, and gets nothing that a user wrote but the mail, at its
//! standard input, with the line ends of Unix; of the environment it has a `PATH`. A program that cannot be run, ends with
//! another status than 0 or takes too long has not sent the mail, which is tried again like one that a server did not take.

use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use super::PATIENCE;

/// Where programs of the system are.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Bytes of what a program complains that are told.
const MOST_COMPLAINT: u64 = 1024;

/// Gives a mail to a program.
///
/// # Errors
/// Why it has not been sent.
pub async fn send(program: &Path, mail: &[u8]) -> Result<(), String> {
    let name = program.display();
    let mut command = Command::new(program);
    command.args(["-t", "-i"]).env_clear().env("PATH", PATH).current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{name} cannot be run: {error}"))?;
    let (input, errors) = (child.stdin.take(), child.stderr.take());
    let plain: Vec<u8> = String::from_utf8_lossy(mail).replace("\r\n", "\n").into_bytes();
    let give = async {
        if let Some(mut input) = input {
            // Whether it wanted all of it is told by its status.
            let _ = input.write_all(&plain).await;
        }
    };
    let talk = async { tokio::join!(give, complaint(errors), child.wait()) };
    let Ok(((), complaint, ended)) = tokio::time::timeout(PATIENCE, talk).await else {
        return Err(format!("{name} took longer than {} seconds", PATIENCE.as_secs()));
    };
    let status = ended.map_err(|error| format!("{name} cannot be waited for: {error}"))?;
    match (status.success(), complaint.as_str()) {
        (true, _) => Ok(()),
        (false, "") => Err(format!("{name} ended with {status}")),
        (false, complaint) => Err(format!("{name} ended with {status}: {complaint}")),
    }
}

/// The beginning of what it complains, in one line; the rest is read too, so that it does not wait.
async fn complaint(errors: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut errors) = errors else { return String::new() };
    let mut begin = Vec::new();
    let _ = (&mut errors).take(MOST_COMPLAINT).read_to_end(&mut begin).await;
    let _ = tokio::io::copy(&mut errors, &mut tokio::io::sink()).await;
    let plain: String = String::from_utf8_lossy(&begin).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.trim().to_owned()
}
