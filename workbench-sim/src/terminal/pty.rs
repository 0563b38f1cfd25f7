//! A real program on a PTY.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use sim_kit::World;
use tokio::sync::{mpsc, oneshot, watch};

use super::processes::Processes;
use super::screen::Screen;
use super::{Ending, Input, Size};
use crate::environment::Environment;

/// Variables of the server's own environment that a session shares; everything else, such as secrets in it, it does not.
const SHARED: [&str; 8] =
    ["PATH", "LANG", "LC_ALL", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"];

/// The variable that tells programs in which terminal they run; the real product's has it too.
const MARK: &str = "RSTUDIO_TERM";

/// What to start, and where.
pub(crate) struct Program<'a> {
    /// A path or a name on `PATH`, and arguments.
    pub(crate) command: &'a [&'a str],
    /// `TERM`
    pub(crate) term: &'static str,
    pub(crate) environment: &'a Environment,
    pub(crate) size: Size,
}

/// Starts a program with its output on `screen`. It ends with the World, when `ending` says so, or by itself.
///
/// # Errors
/// When the program cannot be started, as a text for the screen.
pub(crate) fn start(
    world: &World,
    program: &Program<'_>,
    screen: Screen,
    mut input: mpsc::Receiver<Input>,
    mut ending: watch::Receiver<Option<Ending>>,
) -> Result<(), String> {
    let Program { command: words, term, environment, size } = *program;
    let pty = native_pty_system().openpty(pty_size(size)).map_err(|error| format!("no PTY: {error}"))?;
    let mut command = CommandBuilder::new(words[0]);
    command.args(&words[1..]);
    let shared: Vec<_> = SHARED.iter().filter_map(|name| Some((*name, command.get_env(name)?.to_owned()))).collect();
    command.env_clear();
    for (name, value) in shared {
        command.env(name, value);
    }
    for (name, value) in &environment.variables {
        command.env(name, value);
    }
    // Where pip puts commands that a user installs.
    let mut path = environment.home.join(".local/bin").into_os_string();
    if let Some(shared) = command.get_env("PATH") {
        path.push(":");
        path.push(shared);
    }
    command.env("PATH", path);
    command.env("TERM", term);
    if Path::new(words[0]).is_absolute() {
        command.env("SHELL", words[0]);
    }
    command.cwd(&environment.directory);
    // Not from the seed: two servers of one seed on one machine must not end each other's processes.
    let mark = world.ids().secret(32);
    command.env(MARK, &mark);
    let mut child = pty.slave.spawn_command(command).map_err(|error| format!("cannot start {}: {error}", words[0]))?;
    // Ours would keep the PTY open after the child's is closed.
    drop(pty.slave);
    let processes = Processes::new(child.process_id().unwrap_or_default(), &format!("{MARK}={mark}"));
    let reader = pty.master.try_clone_reader().map_err(|error| error.to_string());
    let writer = pty.master.take_writer().map_err(|error| error.to_string());
    // Reading, writing and waiting block, for as long as the program likes: a thread each, none of the runtime's.
    let (drained, mut all_read) = oneshot::channel::<()>();
    let (mut reader, mut writer) = (reader?, writer?);
    let to = screen.clone();
    std::thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        // An error means that the other side is closed, as the end of a file does.
        while let Ok(n @ 1..) = reader.read(&mut buffer) {
            to.write(&buffer[..n]);
        }
        let _ = drained.send(());
    });
    let master = pty.master;
    std::thread::spawn(move || {
        while let Some(input) = input.blocking_recv() {
            let done = match input {
                Input::Bytes(bytes) => writer.write_all(&bytes).and_then(|()| writer.flush()).is_ok(),
                Input::Resize(size) => master.resize(pty_size(size)).is_ok(),
            };
            if !done {
                return;
            }
        }
    });
    let (exited, mut exit) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = exited.send(child.wait().map_or(-1, |status| i32::try_from(status.exit_code()).unwrap_or(-1)));
    });
    world.spawn(async move {
        // Dropped wherever this stops, also when the World ends.
        let processes = processes;
        let _closes = Closes(screen.clone());
        tokio::select! {
            code = &mut exit => {
                drop(processes);
                // What it wrote last is still on its way, though not for long.
                let _ = tokio::time::timeout(Duration::from_secs(1), &mut all_read).await;
                screen.close(code.unwrap_or(-1));
            }
            wanted = told_to_end(&mut ending) => {
                if wanted == Ending::HangUp {
                    processes.hang_up().await;
                }
                drop(processes);
                let code = exit.await.unwrap_or(-1);
                screen.close(code);
            }
        }
    });
    Ok(())
}

/// How to end, once that is wanted.
async fn told_to_end(ending: &mut watch::Receiver<Option<Ending>>) -> Ending {
    // A terminal that nobody can end any more is ended.
    ending.wait_for(Option::is_some).await.ok().and_then(|wanted| *wanted).unwrap_or(Ending::Kill)
}

/// Tells the readers of a screen that nothing comes any more, also when the World ends.
struct Closes(Screen);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close(-1);
    }
}

fn pty_size(size: Size) -> PtySize {
    PtySize { rows: size.rows, cols: size.cols, pixel_width: 0, pixel_height: 0 }
}
