//! Terminals of sessions. A session has two: `terminal`, a shell, and `console`, R. Each starts when somebody opens it
//! and lives on when the browser goes away; several browsers may watch and type.
//!
//! What runs is a real program on a PTY, or where there is none or none is wanted a [scripted console](crate::console).

mod processes;
mod pty;
mod screen;
pub(crate) mod socket;

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

pub(crate) use screen::{Output, Screen};

use crate::App;
use crate::console;
use crate::environment::Environment;

/// Which terminal of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Channel {
    /// The shell.
    Shell,
    /// R.
    R,
}

/// Characters across and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) cols: u16,
    pub(crate) rows: u16,
}

impl Size {
    /// Bounded, so that no browser makes a program allocate a screen of a billion cells.
    pub(crate) fn bounded(cols: u16, rows: u16) -> Self {
        Self { cols: cols.clamp(2, 500), rows: rows.clamp(1, 200) }
    }
}

/// What a browser sends to a terminal.
#[derive(Debug)]
pub(crate) enum Input {
    Bytes(Bytes),
    Resize(Size),
}

/// How a terminal is made to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As when a line is cut: programs may save what they have.
    HangUp,
    /// At once.
    Kill,
}

/// A terminal that runs or has run. Clones are the same.
#[derive(Clone)]
pub(crate) struct Terminal {
    pub(crate) screen: Screen,
    /// Bounded: a program that does not read holds up its writers, not the server.
    pub(crate) input: mpsc::Sender<Input>,
    /// `process` or `simulated`.
    pub(crate) runtime: &'static str,
    end: watch::Sender<Option<Ending>>,
}

/// Inputs that wait for a program to read them.
const WAITING_INPUTS: usize = 64;

/// The terminals of all sessions.
#[derive(Default)]
pub(crate) struct Terminals(Mutex<HashMap<(String, Channel), Terminal>>);

impl Terminals {
    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Channel), Terminal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The terminal `channel` of session `id`: the one that runs, or a new one.
    pub(crate) fn open(
        &self,
        app: &App,
        id: &str,
        channel: Channel,
        environment: &Environment,
        size: Size,
    ) -> Terminal {
        let mut terminals = self.lock();
        let key = (id.to_owned(), channel);
        if let Some(terminal) = terminals.get(&key).filter(|terminal| !terminal.screen.is_closed()) {
            return terminal.clone();
        }
        let terminal = start(app, channel, environment, size);
        terminals.insert(key, terminal.clone());
        terminal
    }

    /// Ends the terminals of session `id` and waits for it.
    pub(crate) async fn end(&self, id: &str, force: bool) {
        let ended: Vec<Terminal> = {
            let mut terminals = self.lock();
            let keys = [Channel::Shell, Channel::R].map(|channel| (id.to_owned(), channel));
            keys.iter().filter_map(|key| terminals.remove(key)).collect()
        };
        for terminal in &ended {
            terminal.end.send_replace(Some(if force { Ending::Kill } else { Ending::HangUp }));
        }
        for terminal in &ended {
            // The grace of programs and then some.
            let _ = tokio::time::timeout(Duration::from_secs(5), terminal.screen.closed()).await;
        }
    }
}

fn start(app: &App, channel: Channel, environment: &Environment, size: Size) -> Terminal {
    let screen = Screen::new();
    let (input, inputs) = mpsc::channel(WAITING_INPUTS);
    let (end, ending) = watch::channel(None);
    let shell = app.config().shell();
    let runtime = if shell.is_some() { "process" } else { "simulated" };
    match shell {
        None => console::start(app, channel, environment.clone(), screen.clone(), inputs, ending),
        Some(shell) => {
            // The console's page shows plain text; without readline R echoes nothing but what is typed.
            let r = ["R", "--quiet", "--no-save", "--no-restore", "--no-readline", "--interactive"];
            let (command, term): (&[&str], _) = match channel {
                Channel::Shell => (&[shell], "xterm-256color"),
                Channel::R => (&r, "dumb"),
            };
            let program = pty::Program { command, term, environment, size };
            let started = pty::start(app.world(), &program, screen.clone(), inputs, ending);
            if let Err(why) = started {
                screen.write(format!("{why}\r\n").as_bytes());
                screen.close(127);
            }
        }
    }
    Terminal { screen, input, runtime, end }
}
