//! The scripted console: what a terminal is where no real shell runs.
//!
//! It understands a handful of commands and does them for real as far as HTTP goes: `pip install` and
//! `install.packages` resolve against Package Manager and download every file with a hash check; `rsconnect deploy`
//! publishes to Connect. It unpacks and runs nothing, and says that it is simulated.

mod bundle;
mod editor;
mod expression;
mod files;
mod install;
mod publish;
mod r;
mod shell;
mod web;
mod words;

use std::collections::VecDeque;

use tokio::sync::{mpsc, watch};

use crate::App;
use crate::environment::Environment;
use crate::terminal::{Channel, Ending, Input, Screen};
use editor::{Editor, Event};
use shell::{Flow, Interpreter};

/// Bytes typed ahead while a command runs.
const TYPED_AHEAD: usize = 64 * 1024;

/// Starts a console with its output on `screen`. It ends with the World, when `ending` says so, or on `exit`.
pub(crate) fn start(
    app: &App,
    channel: Channel,
    environment: Environment,
    screen: Screen,
    input: mpsc::Receiver<Input>,
    mut ending: watch::Receiver<Option<Ending>>,
) {
    let console = Console {
        interpreter: Interpreter::new(app, environment, screen.clone(), channel),
        editor: Editor::default(),
        typed: VecDeque::new(),
        input,
        screen: screen.clone(),
    };
    app.world().spawn(async move {
        let closes = Closes(screen);
        let code = tokio::select! {
            code = console.run() => code,
            _ = ending.wait_for(Option::is_some) => -1,
        };
        closes.0.close(code);
    });
}

struct Closes(Screen);

impl Drop for Closes {
    fn drop(&mut self) {
        self.0.close(-1);
    }
}

struct Console {
    interpreter: Interpreter,
    editor: Editor,
    typed: VecDeque<u8>,
    input: mpsc::Receiver<Input>,
    screen: Screen,
}

impl Console {
    /// Reads and runs lines until the end; answers with the exit code.
    async fn run(mut self) -> i32 {
        self.interpreter.greet();
        self.interpreter.prompt();
        loop {
            let Some(byte) = self.typed.pop_front() else {
                match self.input.recv().await {
                    Some(Input::Bytes(bytes)) => self.typed.extend(&bytes),
                    Some(Input::Resize(_)) => {}
                    None => return 0,
                }
                continue;
            };
            let mut echo = Vec::new();
            let event = self.editor.key(byte, &mut echo);
            self.screen.write(&echo);
            match event {
                Event::None => {}
                Event::Line(line) => {
                    if self.line(&line).await == Flow::Exit {
                        return self.interpreter.status();
                    }
                    self.interpreter.prompt();
                }
                Event::Interrupt => self.interpreter.prompt(),
                Event::Clear => {
                    self.screen.write(b"\x1b[H\x1b[2J");
                    self.interpreter.prompt();
                    self.screen.write(self.editor.line().as_bytes());
                }
                Event::End => {
                    self.screen.write(b"\r\n");
                    return self.interpreter.status();
                }
            }
        }
    }

    /// Runs a line; Control-C stops it where it is.
    async fn line(&mut self, line: &str) -> Flow {
        let finished = tokio::select! {
            flow = self.interpreter.run(line) => Some(flow),
            () = interrupt(&mut self.input, &mut self.typed) => None,
        };
        finished.unwrap_or_else(|| {
            self.typed.clear();
            self.screen.write(b"^C\r\n");
            self.interpreter.interrupted();
            Flow::Continue
        })
    }
}

/// Waits for Control-C; keeps what else is typed for later.
async fn interrupt(input: &mut mpsc::Receiver<Input>, typed: &mut VecDeque<u8>) {
    loop {
        match input.recv().await {
            Some(Input::Bytes(bytes)) if bytes.contains(&3) => return,
            Some(Input::Bytes(bytes)) => {
                let room = TYPED_AHEAD.saturating_sub(typed.len());
                typed.extend(&bytes[..bytes.len().min(room)]);
            }
            Some(Input::Resize(_)) => {}
            // Nobody types any more; the line runs to its end.
            None => std::future::pending().await,
        }
    }
}
