//! The processes of one terminal: everything in the session (in the sense of the kernel) that its shell leads, whatever
//! process groups an interactive shell puts them in, and what left that session but still has the terminal's mark in its
//! environment, as daemons have.

use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// How long processes may take to end after they were asked to.
const GRACE: Duration = Duration::from_secs(2);

/// Ends them all when it is dropped.
pub(crate) struct Processes {
    leader: u32,
    mark: Vec<u8>,
}

impl Processes {
    /// Of the session that `leader` leads. `mark` is a setting that only their environments have.
    pub(crate) fn new(leader: u32, mark: &str) -> Self {
        Self { leader, mark: mark.as_bytes().to_vec() }
    }

    /// Asks them to end and waits a moment for it.
    pub(crate) async fn hang_up(&self) {
        self.signal(Signal::CONT);
        self.signal(Signal::HUP);
        let waited = tokio::time::timeout(GRACE, async {
            while !self.members().is_empty() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let _ = waited.await;
    }

    fn signal(&self, signal: Signal) {
        for pid in self.members() {
            let _ = kill_process(pid, signal);
        }
        // Where there is no /proc this is all that can be reached.
        if let Some(group) = pid(self.leader) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Those that are alive.
    fn members(&self) -> Vec<Pid> {
        let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
        let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        ids.filter(|id| self.has(*id)).filter_map(pid).collect()
    }

    fn has(&self, id: u32) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        match session_of(&stat) {
            None | Some(('Z' | 'X', _)) => false,
            Some((_, session)) if session == self.leader => true,
            Some(_) => {
                let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
                environment.split(|byte| *byte == 0).any(|setting| setting == self.mark)
            }
        }
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // Again while some remain: one may have forked while the others were killed.
        for _ in 0..8 {
            self.signal(Signal::KILL);
            if self.members().is_empty() {
                return;
            }
            std::thread::yield_now();
        }
    }
}

fn pid(id: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(id).ok()?)
}

/// State and session id in `/proc/{pid}/stat`. The name of the program, in parentheses, may hold anything.
fn session_of(stat: &str) -> Option<(char, u32)> {
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.nth(2)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_session_is_read_whatever_the_program_is_called() {
        assert_eq!(session_of("12 (sh) S 1 12 34 0 -1"), Some(('S', 34)));
        assert_eq!(session_of("12 (a ) R 9 9 9) Z 1 12 34 0 -1"), Some(('Z', 34)));
        assert_eq!(session_of(""), None);
    }
}
