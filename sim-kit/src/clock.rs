//! Time that tests and trainers can move.
//!
//! A [`Clock`] is real, or frozen, or real with an offset. Work that must happen later waits in
//! [`Clock::sleep_until`]; [`Clock::advance`] moves the time, wakes every waiter that falls due in the order of its
//! deadline, and returns when their work is done.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, oneshot};

/// A shared handle to one notion of time. Clones see the same time.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// Woken when the time was moved or frozen: sleepers compute anew how long they have to wait.
    changed: Notify,
    /// Woken when a firing is done.
    settled: Notify,
}

struct State {
    mode: Mode,
    timers: BTreeMap<(DateTime<Utc>, u64), oneshot::Sender<Firing>>,
    next_timer: u64,
    in_flight: usize,
}

#[derive(Clone, Copy)]
enum Mode {
    /// Machine time plus this.
    Offset(TimeDelta),
    Frozen(DateTime<Utc>),
}

/// Held by work that a timer or a [`Bell`](crate::watch::Bell) woke. [`Clock::advance`] returns only after every such guard is dropped, so
/// keep it until the work is done, and do not wait for another timer while holding it.
#[must_use = "dropping the firing tells the clock that the work is done"]
pub struct Firing(Option<Arc<Inner>>);

impl Drop for Firing {
    fn drop(&mut self) {
        if let Some(inner) = self.0.take() {
            lock(&inner.state).in_flight -= 1;
            inner.settled.notify_waiters();
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[allow(clippy::disallowed_methods)] // the one place that reads the machine's clock
fn machine_now() -> DateTime<Utc> {
    Utc::now()
}

impl Clock {
    /// A clock that follows the machine's.
    #[must_use]
    pub fn real() -> Self {
        Self::with(Mode::Offset(TimeDelta::zero()))
    }

    /// A clock that stands still at `at` until it is advanced.
    #[must_use]
    pub fn frozen(at: DateTime<Utc>) -> Self {
        Self::with(Mode::Frozen(at))
    }

    fn with(mode: Mode) -> Self {
        let state = State { mode, timers: BTreeMap::new(), next_timer: 0, in_flight: 0 };
        Self(Arc::new(Inner { state: Mutex::new(state), changed: Notify::new(), settled: Notify::new() }))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        lock(&self.0.state).mode.now()
    }

    /// The time now in microseconds since 1970, as stored in databases.
    #[must_use]
    pub fn now_micros(&self) -> i64 {
        self.now().timestamp_micros()
    }

    /// True when time stands still.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        matches!(lock(&self.0.state).mode, Mode::Frozen(_))
    }

    /// Stops the clock where it is.
    pub fn freeze(&self) {
        let mut state = lock(&self.0.state);
        state.mode = Mode::Frozen(state.mode.now());
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Lets the clock run on from where it is.
    pub fn resume(&self) {
        let mut state = lock(&self.0.state);
        state.mode = Mode::Offset(state.mode.now() - machine_now());
        drop(state);
        self.0.changed.notify_waiters();
    }

    /// Back to the machine's time. Timers that were moved past stay fired.
    pub fn reset(&self) {
        lock(&self.0.state).mode = Mode::Offset(TimeDelta::zero());
        self.0.changed.notify_waiters();
    }

    /// Moves the time to `at`: forward as [`Clock::advance`] does; backward without a firing, and it runs on or stands
    /// still as before.
    pub async fn set(&self, at: DateTime<Utc>) {
        match (at - self.now()).to_std() {
            Ok(ahead) => drop(self.advance(ahead).await),
            Err(_) => {
                let mut state = lock(&self.0.state);
                state.mode = match state.mode {
                    Mode::Frozen(_) => Mode::Frozen(at),
                    Mode::Offset(_) => Mode::Offset(at - machine_now()),
                };
                drop(state);
                self.0.changed.notify_waiters();
            }
        }
    }

    /// Keeps [`Clock::advance`] from moving the time until this is dropped: for work that sets a timer, from before
    /// others can see that it was done.
    pub fn hold(&self) -> Firing {
        lock(&self.0.state).in_flight += 1;
        Firing(Some(self.0.clone()))
    }

    /// Waits until the clock shows `at` or later.
    pub async fn sleep_until(&self, at: DateTime<Utc>) -> Firing {
        let (sender, mut receiver) = oneshot::channel();
        let key = {
            let mut state = lock(&self.0.state);
            let key = (at, state.next_timer);
            state.next_timer += 1;
            state.timers.insert(key, sender);
            key
        };
        let _forget = Forget { inner: &self.0, key };
        loop {
            let changed = self.0.changed.notified();
            let mode = lock(&self.0.state).mode;
            let wait = match mode {
                // No longer than an hour at a stretch: the machine's clock may be set meanwhile.
                Mode::Offset(_) => (at - mode.now()).to_std().unwrap_or(Duration::ZERO).min(Duration::from_secs(3600)),
                Mode::Frozen(now) if now >= at => Duration::ZERO,
                Mode::Frozen(_) => Duration::from_secs(3600),
            };
            tokio::select! {
                fired = &mut receiver => if let Ok(firing) = fired { return firing },
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
            let mut state = lock(&self.0.state);
            if state.mode.now() >= at && state.timers.remove(&key).is_some() {
                state.in_flight += 1;
                return Firing(Some(self.0.clone()));
            }
        }
    }

    /// Waits for `duration` of this clock's time.
    pub async fn sleep(&self, duration: Duration) -> Firing {
        let at = self.now() + TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(36_500));
        self.sleep_until(at).await
    }

    /// Moves the time forward by `duration`, runs what falls due in order, waits until that work is done, and answers
    /// with the new time.
    pub async fn advance(&self, duration: Duration) -> DateTime<Utc> {
        let (target, was_frozen) = {
            let mut state = lock(&self.0.state);
            let start = state.mode.now();
            let was_frozen = matches!(state.mode, Mode::Frozen(_));
            state.mode = Mode::Frozen(start);
            (start + TimeDelta::from_std(duration).unwrap_or(TimeDelta::days(36_500)), was_frozen)
        };
        loop {
            let settled = self.0.settled.notified();
            let next = {
                let mut state = lock(&self.0.state);
                if state.in_flight > 0 {
                    None
                } else {
                    match state.timers.first_key_value() {
                        Some((&(at, _), _)) if at <= target => {
                            if at > state.mode.now() {
                                state.mode = Mode::Frozen(at);
                            }
                            state.in_flight += 1;
                            state.timers.pop_first()
                        }
                        _ => {
                            state.mode =
                                if was_frozen { Mode::Frozen(target) } else { Mode::Offset(target - machine_now()) };
                            break;
                        }
                    }
                }
            };
            match next {
                // A sleeper that went away drops its firing at once.
                Some((_, sender)) => drop(sender.send(Firing(Some(self.0.clone())))),
                None => settled.await,
            }
        }
        self.0.changed.notify_waiters();
        target
    }
}

impl Mode {
    fn now(self) -> DateTime<Utc> {
        match self {
            Self::Offset(offset) => machine_now() + offset,
            Self::Frozen(at) => at,
        }
    }
}

/// Takes the timer away when its sleeper is dropped.
struct Forget<'a> {
    inner: &'a Arc<Inner>,
    key: (DateTime<Utc>, u64),
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        lock(&self.inner.state).timers.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn advance_runs_what_falls_due_in_order_and_waits_for_it() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::frozen(start);
        let log = Arc::new(Mutex::new(Vec::new()));
        for seconds in [30_i64, 10, 20] {
            let (clock, log) = (clock.clone(), log.clone());
            tokio::spawn(async move {
                let firing = clock.sleep_until(start + TimeDelta::seconds(seconds)).await;
                tokio::task::yield_now().await;
                log.lock().unwrap().push((seconds, clock.now()));
                drop(firing);
            });
        }
        while lock(&clock.0.state).timers.len() < 3 {
            tokio::task::yield_now().await;
        }
        let now = clock.advance(Duration::from_secs(25)).await;
        assert_eq!(now, start + TimeDelta::seconds(25));
        let seen = log.lock().unwrap().clone();
        assert_eq!(seen, [10, 20].map(|s| (s, start + TimeDelta::seconds(s))).to_vec());
    }

    #[tokio::test]
    async fn a_dropped_sleeper_holds_nobody_up() {
        let clock = Clock::frozen(DateTime::from_timestamp(0, 0).unwrap());
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { drop(clock.sleep(Duration::from_secs(5)).await) }
        });
        while lock(&clock.0.state).timers.is_empty() {
            tokio::task::yield_now().await;
        }
        sleeper.abort();
        let _ = sleeper.await;
        clock.advance(Duration::from_secs(60)).await;
        assert!(lock(&clock.0.state).timers.is_empty());
    }

    #[tokio::test]
    async fn what_is_due_is_not_waited_for() {
        let start = DateTime::from_timestamp(1_700_000_000, 0).unwrap();
        let clock = Clock::frozen(start);
        drop(clock.sleep_until(start).await);
        drop(clock.sleep_until(start - TimeDelta::days(1)).await);
    }

    #[tokio::test]
    async fn a_moved_clock_runs_on() {
        let clock = Clock::real();
        let before = clock.now();
        clock.advance(Duration::from_secs(86_400)).await;
        assert!(!clock.is_frozen());
        assert!(clock.now() >= before + TimeDelta::days(1));
        clock.reset();
        assert!(clock.now() < before + TimeDelta::days(1));
    }
}
