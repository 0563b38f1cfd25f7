//! The output of a task while it grows.
//!
//! Lines gather in memory while the ones before are written, so that a fast build costs few transactions and a slow one
//! shows each line at once.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::app::App;
use crate::error::Result;
use crate::store;

/// Lines of one task that are kept at most.
const MOST_LINES: usize = 10_000;
/// How long lines wait for others.
const MOMENT: Duration = Duration::from_millis(10);
/// Characters of one line that are kept.
const LONGEST_LINE: usize = 2_000;

/// See the module.
pub struct Log {
    app: App,
    task: String,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    waiting: Vec<String>,
    lines: usize,
    closed: bool,
}

impl Log {
    /// The log of a task.
    #[must_use]
    pub fn new(app: App, task: &str) -> Self {
        Self { app, task: task.to_owned(), state: Mutex::default(), changed: Notify::new() }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a text of one line or several.
    pub fn line(&self, text: impl AsRef<str>) {
        let mut state = self.state();
        for line in text.as_ref().split('\n') {
            if state.lines >= MOST_LINES {
                break;
            }
            state.lines += 1;
            let line = if state.lines == MOST_LINES { "… the log is too long to be kept in full" } else { line };
            // Output of others may hold anything; a column cannot hold NUL.
            let kept = line.chars().filter(|c| *c != '\0' && *c != '\r').take(LONGEST_LINE).collect();
            state.waiting.push(kept);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Appends the lines that stand at the end of a task.
    pub fn last(&self, lines: &[String]) {
        lines.iter().for_each(|line| self.line(line));
    }

    /// Lets [`Log::pump`] return.
    pub fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// What has not been written; the caller writes it.
    #[must_use]
    pub fn rest(&self) -> Vec<String> {
        std::mem::take(&mut self.state().waiting)
    }

    /// Waits a moment for more lines, or for the end.
    async fn gather(&self) {
        let closed = async {
            while !self.state().closed {
                self.changed.notified().await;
            }
        };
        // Machine time: it is about the database, not about the simulated day.
        let _ = tokio::time::timeout(MOMENT, closed).await;
    }

    /// Writes lines as they come, until the log is closed; what comes at the very end is left to [`Log::rest`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn pump(&self) -> Result<()> {
        loop {
            self.changed.notified().await;
            self.gather().await;
            let lines = {
                let mut state = self.state();
                if state.closed {
                    return Ok(());
                }
                std::mem::take(&mut state.waiting)
            };
            if lines.is_empty() {
                continue;
            }
            let mut tx = self.app.write().await?.routine();
            store::tasks::append(&mut tx, &self.task, &lines).await?;
            tx.commit().await?;
        }
    }
}
