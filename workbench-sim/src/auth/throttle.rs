//! Sign-ins of one user, spaced out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// Names remembered at most; past it the oldest half is forgotten.
const MOST: usize = 10_000;

/// When each name was last let through.
#[derive(Default)]
pub(crate) struct Throttle(Mutex<HashMap<String, DateTime<Utc>>>);

impl Throttle {
    /// Whether `name` was let through less than `apart` ago; if not, it is let through now.
    pub(crate) fn is_too_soon(&self, name: &str, now: DateTime<Utc>, apart: Duration) -> bool {
        let apart = TimeDelta::from_std(apart).unwrap_or(TimeDelta::days(365));
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if last.get(name).is_some_and(|at| now - *at < apart) {
            return true;
        }
        if last.len() >= MOST {
            last.retain(|_, at| now - *at < apart);
            let mut times: Vec<_> = last.values().copied().collect();
            times.sort_unstable();
            if let Some(middle) = times.get(MOST / 2).copied() {
                last.retain(|_, at| *at > middle);
            }
        }
        last.insert(name.to_owned(), now);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_name_waits_and_memory_is_bounded() {
        let throttle = Throttle::default();
        let at = |s: i64| DateTime::from_timestamp(s, 0).unwrap();
        let five = Duration::from_secs(5);
        assert!(!throttle.is_too_soon("a", at(0), five));
        assert!(throttle.is_too_soon("a", at(4), five));
        assert!(!throttle.is_too_soon("b", at(4), five));
        assert!(!throttle.is_too_soon("a", at(5), five));
        for n in 0..3 * MOST {
            assert!(!throttle.is_too_soon(&format!("n{n}"), at(6), five));
        }
        assert!(throttle.0.lock().unwrap().len() <= MOST);
        assert!(!throttle.is_too_soon("a", at(10), Duration::ZERO));
    }
}
