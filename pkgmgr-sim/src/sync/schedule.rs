//! When the sources that follow feeds are synchronised: at the start, and then by a schedule each.
//!
//! A schedule is a cron expression of five fields (minute, hour, day of the month, month, day of the week) or a nickname such as
//! `@daily`, in UTC, on the World's clock. The defaults are the real product's: CRAN at midnight, PyPI at one, Bioconductor at two;
//! feeds that are no packages go with CRAN. A source whose schedule is empty is only synchronised when somebody asks for it. After a
//! failure it is tried again soon (the service may be starting), later every minute, until it goes through.

use std::collections::HashMap;
use std::fmt;
use std::pin::pin;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};

use crate::app::App;
use crate::store::sources::Source;

/// When a source is synchronised on its own.
#[derive(Debug, Clone, Default)]
pub struct Schedule(Option<Cron>);

/// Why a text is no schedule.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{text:?} is no schedule such as \"0 0 * * *\" (minute, hour, day of month, month, day of week): {reason}")]
pub struct BadSchedule {
    text: String,
    reason: String,
}

impl FromStr for Schedule {
    type Err = BadSchedule;

    fn from_str(text: &str) -> Result<Self, BadSchedule> {
        if text.trim().is_empty() {
            return Ok(Self(None));
        }
        let bad = |reason: String| BadSchedule { text: text.to_owned(), reason };
        let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text.trim()).map_err(|error| bad(error.to_string()))?;
        let some_day = DateTime::UNIX_EPOCH;
        cron.find_next_occurrence(&some_day, false).map_err(|_| bad("no day is ever like that".to_owned()))?;
        Ok(Self(Some(cron)))
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_ref().map_or("", Cron::as_str))
    }
}

impl Schedule {
    /// The first time after `t`; none when there is none.
    #[must_use]
    pub fn after(&self, t: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.0.as_ref()?.find_next_occurrence(&t, false).ok()
    }

    /// Whether a source is ever synchronised on its own.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

/// How the next turn of a source is known.
#[derive(Debug, Clone, Copy, Default)]
struct Turn {
    /// When it comes; none: not on its own.
    at: Option<DateTime<Utc>>,
    failures: u32,
}

/// Nothing is due for so long that somebody may have made a source meanwhile.
const LOOK_AGAIN: TimeDelta = TimeDelta::days(1);

impl App {
    /// Synchronises every source at the start and then when its schedule says so.
    pub(crate) async fn sync_for_ever(self) {
        let mut turns: HashMap<i64, Turn> = HashMap::new();
        // The first pass is over before time moves on, or its second try would be counted from where the clock was moved to.
        let mut firing = Some(self.world().clock().hold());
        loop {
            if let Err(error) = self.discover(&self.service()).await {
                tracing::warn!(%error, "whether the package service has new feeds is not known");
            }
            let view = self.view();
            for source in view.fed() {
                let schedule = &self.0.config.feed_of(source).schedule;
                let now = self.world().clock().now();
                let first = Turn { at: (!schedule.is_empty()).then_some(now), failures: 0 };
                let turn = turns.entry(source.id).or_insert(first);
                if turn.at.is_some_and(|at| at <= now) {
                    *turn = self.take_turn(source, schedule, *turn).await;
                }
            }
            let far = self.world().clock().now() + LOOK_AGAIN;
            let next = turns.values().filter_map(|turn| turn.at).min().map_or(far, |at| at.min(far));
            // The next timer stands before the clock hears that this one is done, so that a clock that is moved by days stops at
            // each.
            let mut sleep = pin!(self.world().clock().sleep_until(next));
            let woken = futures_util::future::poll_immediate(sleep.as_mut()).await;
            drop(firing.take());
            firing = Some(match woken {
                Some(firing) => firing,
                None => sleep.await,
            });
        }
    }

    async fn take_turn(&self, source: &Source, schedule: &Schedule, turn: Turn) -> Turn {
        let good = self.sync(source).await.is_ok();
        let now = self.world().clock().now();
        let regular = schedule.after(now);
        if good {
            return Turn { at: regular, failures: 0 };
        }
        let failures = turn.failures + 1;
        let soon = now + TimeDelta::seconds((1 << failures.min(6)).min(60));
        Turn { at: Some(regular.map_or(soon, |at| at.min(soon))), failures }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn schedules_are_cron_in_utc() {
        for (text, after, next) in [
            ("0 0 * * *", "2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"),
            ("30 1 * * 1-5", "2024-03-01T12:00:00Z", "2024-03-04T01:30:00Z"),
            ("*/20 * * * *", "2024-03-01T12:20:00Z", "2024-03-01T12:40:00Z"),
            ("@daily", "2024-03-01T12:20:00Z", "2024-03-02T00:00:00Z"),
        ] {
            assert_eq!(text.parse::<Schedule>().unwrap().after(at(after)), Some(at(next)), "{text}");
        }
        for never in ["", "  "] {
            assert!(never.parse::<Schedule>().unwrap().after(at("2024-03-01T12:20:00Z")).is_none());
        }
        for bad in ["x", "0 0 * *", "0 0 0 * * *", "61 * * * *", "0 0 30 2 *", "0 0 * * * 2024 *"] {
            let reason = bad.parse::<Schedule>().unwrap_err().to_string();
            assert!(reason.contains("minute, hour"), "{bad}: {reason}");
        }
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[-0-9*/,@LW# a-z]{0,24}|\\PC{0,12}") {
            if let Ok(schedule) = text.parse::<Schedule>() {
                let now = at("2024-03-01T12:20:00Z");
                prop_assert!(schedule.after(now).is_none_or(|next| next > now));
            }
        }
    }
}
