//! Work that falls due on a [`Clock`], and sooner when something changes.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

use crate::clock::{Clock, Firing};

/// Wakes a [`watch`]. Whoever moves the clock after a ring waits until the watch has looked and set its timer anew:
/// otherwise time would run past what the change has made due.
pub struct Bell {
    clock: Clock,
    state: Mutex<State>,
    rung: Notify,
}

#[derive(Default)]
struct State {
    watched: bool,
    /// Of a ring that the watch has not heard yet.
    firing: Option<Firing>,
}

impl Bell {
    /// A bell that nobody watches yet.
    #[must_use]
    pub fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), state: Mutex::default(), rung: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the watch that something has changed. A ring before it watches is not needed: it looks first.
    pub fn ring(&self) {
        let mut state = self.state();
        if state.watched && state.firing.is_none() {
            state.firing = Some(self.clock.hold());
            self.rung.notify_one();
        }
    }

    async fn rung(&self) -> Firing {
        loop {
            let firing = self.state().firing.take();
            match firing {
                Some(firing) => return firing,
                None => self.rung.notified().await,
            }
        }
    }
}

/// When to look again.
#[derive(Debug, Default, Clone, Copy)]
pub struct Next {
    /// When something falls due on the clock.
    pub due: Option<DateTime<Utc>>,
    /// After how much of the machine's time, for what does not ring: another node, a database that is not there.
    pub again: Option<Duration>,
}

/// The bell's one watch.
struct Watched<'a>(&'a Bell);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        // Nobody will look: the clock must not wait for it.
        let mut state = self.0.state();
        state.watched = false;
        let unheard = state.firing.take();
        drop(state);
        drop(unheard);
    }
}

/// Calls `look`, which does what is due, for ever: at once, when something falls due, and when the bell is rung. A clock
/// that is moved stops wherever something falls due, and waits until that is done.
pub async fn watch<Look: Future<Output = Next>>(bell: &Bell, mut look: impl FnMut() -> Look) {
    bell.state().watched = true;
    let watched = Watched(bell);
    let clock = &watched.0.clock;
    let mut held = Some(clock.hold());
    loop {
        let next = look().await;
        // What fell due while this was found out is done at once.
        if next.due.is_some_and(|at| at <= clock.now()) {
            continue;
        }
        let due = async {
            match next.due {
                Some(at) => clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let again = async {
            match next.again {
                Some(wait) => tokio::time::sleep(wait).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            firing = due => held = Some(firing),
            // The next time is waited for before the clock hears that this look is done, so that it stops there.
            () = async { drop(held.take()); std::future::pending().await } => {}
            firing = bell.rung() => held = Some(firing),
            () = again => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chrono::TimeDelta;

    use super::*;

    /// A watch that notes when it looks, and wants to look again every 45 seconds.
    fn start(clock: &Clock, bell: &Arc<Bell>) -> (tokio::task::JoinHandle<()>, Arc<Mutex<Vec<i64>>>) {
        let looks = Arc::new(Mutex::new(Vec::new()));
        let (clock, bell, seen) = (clock.clone(), bell.clone(), looks.clone());
        let task = tokio::spawn(async move {
            let look = || async {
                // What it does takes its time.
                for _ in 0..10 {
                    tokio::task::yield_now().await;
                }
                let now = clock.now();
                seen.lock().unwrap().push(now.timestamp());
                Next { due: Some(now + TimeDelta::seconds(45)), again: None }
            };
            watch(&bell, look).await;
        });
        (task, looks)
    }

    #[tokio::test]
    async fn a_moved_clock_stops_where_something_is_due_even_after_a_ring() {
        let clock = Clock::frozen(DateTime::UNIX_EPOCH);
        let bell = Arc::new(Bell::new(&clock));
        bell.ring();
        let (watcher, looks) = start(&clock, &bell);
        while !bell.state().watched {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(100)).await;
        assert_eq!(*looks.lock().unwrap(), [0, 45, 90]);
        bell.ring();
        bell.ring();
        clock.advance(Duration::from_secs(50)).await;
        assert_eq!(looks.lock().unwrap()[3..], [100, 145]);
        watcher.abort();
        let _ = watcher.await;
        // Nobody waits for a watch that is over.
        bell.ring();
        clock.advance(Duration::from_secs(100)).await;
        assert_eq!(looks.lock().unwrap().len(), 5);
    }
}
