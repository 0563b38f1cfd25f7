//! When a schedule falls due.
//!
//! | type | detail | on |
//! | --- | --- | --- |
//! | `minute`, `hour` | `{"N":n}` | every n minutes or hours from the start |
//! | `day`, `week` | `{"N":n}` | every n of them from the day of the start |
//! | `year` | `{"N":n}` | the day of the start every n years, 28 February for the 29th in years without it |
//! | `weekday` | `{}` | Monday to Friday |
//! | `dayofweek` | `{"Days":[0,6]}` | these days of the week, 0 is Sunday |
//! | `semimonth` | `{"First":true}` | the 1st and 15th; else the 14th and the last of a month |
//! | `dayofmonth` | `{"N":n,"Day":d}` | that day of every n-th month, its last day if the month is shorter |
//! | `dayweekofmonth` | `{"N":n,"Day":d,"Week":w}` | that day of the w-th week of every n-th month; 0 is the first, too |
//!
//! Days are those of the schedule's time zone, at the time of day of its start there; a time that a change of clocks
//! skips falls on the moment of the change.
//!
//! Rules of iCalendar leave out what a month has not; so that nobody misses a report, runs fall on the last day before. The
//! rule that is told says so: the last of the days up to the one that is meant.

use chrono::{DateTime, Datelike as _, NaiveDate, TimeDelta, TimeZone as _, Utc};
use chrono_tz::Tz;
use serde_json::Value;

/// How often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// Every so many seconds.
    Every(i64),
    /// Every so many days.
    Days(i64),
    /// Every so many years.
    Years(i64),
    /// On these days of the week, from Sunday.
    Week([bool; 7]),
    /// Twice a month; whether on the 1st and 15th.
    HalfMonths(bool),
    /// Every so many months, on a day.
    Months(i64, u32),
    /// Every so many months, on a day of the week of a week.
    MonthWeeks(i64, u32, u32),
}

/// The longest interval.
const MOST: i64 = 1_000;
/// How many days are looked at for the next run: more than any rule waits.
const HORIZON: i64 = 366 * MOST;

impl Rule {
    /// Reads a type and its JSON.
    ///
    /// # Errors
    /// A text that says what is wrong.
    pub fn parse(kind: &str, detail: &str) -> Result<Self, String> {
        let bad = |error: serde_json::Error| format!("`schedule` must be a string that holds a JSON object: {error}");
        let detail: serde_json::Map<String, Value> = serde_json::from_str(detail).map_err(bad)?;
        let number = |name: &str, low: i64, high: i64| {
            let found = detail.get(name).and_then(Value::as_i64).filter(|n| (low..=high).contains(n));
            found.ok_or_else(|| format!("`schedule` of type {kind} must have `{name}`, a number from {low} to {high}"))
        };
        let small = |name: &str, low: i64, high: i64| {
            number(name, low, high).map(|n| u32::try_from(n).expect("it was found to be small and positive"))
        };
        Ok(match kind {
            "minute" => Self::Every(60 * number("N", 1, MOST)?),
            "hour" => Self::Every(3600 * number("N", 1, MOST)?),
            "day" => Self::Days(number("N", 1, MOST)?),
            "week" => Self::Days(7 * number("N", 1, MOST)?),
            "year" => Self::Years(number("N", 1, 100)?),
            "weekday" => Self::Week([false, true, true, true, true, true, false]),
            "dayofweek" => {
                let days = detail.get("Days").and_then(Value::as_array).filter(|days| !days.is_empty());
                let text = "`schedule` of type dayofweek must have `Days`, numbers from 0 (Sunday) to 6";
                let mut week = [false; 7];
                for day in days.ok_or(text)? {
                    let day = day.as_u64().and_then(|day| usize::try_from(day).ok());
                    *day.and_then(|day| week.get_mut(day)).ok_or(text)? = true;
                }
                Self::Week(week)
            }
            "semimonth" => Self::HalfMonths(detail.get("First").and_then(Value::as_bool).unwrap_or(true)),
            "dayofmonth" => Self::Months(number("N", 1, MOST)?, small("Day", 1, 31)?),
            "dayweekofmonth" => Self::MonthWeeks(number("N", 1, MOST)?, small("Day", 0, 6)?, small("Week", 0, 5)?),
            _ => {
                return Err("`type` must be one of minute, hour, day, week, year, weekday, dayofweek, semimonth, \
                            dayofmonth, dayweekofmonth"
                    .to_owned());
            }
        })
    }

    /// The first run after `after` of a schedule that starts at `start`; the start itself is one.
    #[must_use]
    pub fn next(&self, start: DateTime<Utc>, zone: Tz, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        if let Self::Every(seconds) = self {
            if start > after {
                return Some(start);
            }
            let step = TimeDelta::seconds(*seconds);
            let passed = (after - start).num_seconds() / seconds + 1;
            return start.checked_add_signed(step.checked_mul(i32::try_from(passed).ok()?)?);
        }
        let local = start.with_timezone(&zone).naive_local();
        let (first, time) = (local.date(), local.time());
        // One before, as a day there may have begun the day before here.
        let from = first.max(after.with_timezone(&zone).date_naive().pred_opt()?);
        from.iter_days().take(usize::try_from(HORIZON).ok()?).filter(|day| self.falls_on(first, *day)).find_map(|day| {
            let at = day.and_time(time);
            let skipped = || zone.from_local_datetime(&(at + TimeDelta::hours(1))).earliest();
            let at = zone.from_local_datetime(&at).earliest().or_else(skipped)?.with_timezone(&Utc);
            (at > after && at >= start).then_some(at)
        })
    }

    fn falls_on(&self, first: NaiveDate, day: NaiveDate) -> bool {
        let months = i64::from(day.year() - first.year()) * 12 + i64::from(day.month()) - i64::from(first.month());
        let last = u32::from(day.num_days_in_month());
        match *self {
            Self::Every(_) => false,
            Self::Days(n) => (day - first).num_days() % n == 0,
            Self::Years(n) => {
                let same = day.month() == first.month() && day.day() == first.day().min(last);
                same && i64::from(day.year() - first.year()) % n == 0
            }
            Self::Week(week) => week[day.weekday().num_days_from_sunday() as usize],
            Self::HalfMonths(true) => matches!(day.day(), 1 | 15),
            Self::HalfMonths(false) => day.day() == 14 || day.day() == last,
            Self::Months(n, on) => months % n == 0 && day.day() == on.min(last),
            Self::MonthWeeks(n, on, week) => {
                months % n == 0 && day.weekday().num_days_from_sunday() == on && (day.day() - 1) / 7 + 1 == week.max(1)
            }
        }
    }

    /// The same as a recurrence rule of iCalendar, for a schedule whose first day is `first`.
    #[must_use]
    pub fn rrule(&self, first: NaiveDate) -> String {
        const DAYS: [&str; 7] = ["SU", "MO", "TU", "WE", "TH", "FR", "SA"];
        match *self {
            Self::Every(seconds) if seconds % 3600 == 0 => format!("FREQ=HOURLY;INTERVAL={}", seconds / 3600),
            Self::Every(seconds) => format!("FREQ=MINUTELY;INTERVAL={}", seconds / 60),
            Self::Days(n) => format!("FREQ=DAILY;INTERVAL={n}"),
            Self::Years(n) if first.month() == 2 && first.day() == 29 => {
                format!("FREQ=YEARLY;INTERVAL={n};BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1")
            }
            Self::Years(n) => format!("FREQ=YEARLY;INTERVAL={n}"),
            Self::Week(week) => {
                let days: Vec<&str> = DAYS.into_iter().zip(week).filter(|(_, on)| *on).map(|(day, _)| day).collect();
                format!("FREQ=WEEKLY;BYDAY={}", days.join(","))
            }
            Self::HalfMonths(true) => "FREQ=MONTHLY;BYMONTHDAY=1,15".to_owned(),
            Self::HalfMonths(false) => "FREQ=MONTHLY;BYMONTHDAY=14,-1".to_owned(),
            Self::Months(n, day @ ..=28) => format!("FREQ=MONTHLY;INTERVAL={n};BYMONTHDAY={day}"),
            Self::Months(n, day) => {
                let days: Vec<String> = (28..=day).map(|day| day.to_string()).collect();
                format!("FREQ=MONTHLY;INTERVAL={n};BYMONTHDAY={};BYSETPOS=-1", days.join(","))
            }
            Self::MonthWeeks(n, day, week) => {
                format!("FREQ=MONTHLY;INTERVAL={n};BYDAY={}{}", week.max(1), DAYS[day as usize % 7])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn next(kind: &str, detail: &str, start: &str, zone: &str, after: &str) -> String {
        let rule = Rule::parse(kind, detail).unwrap();
        rule.next(start.parse().unwrap(), zone.parse().unwrap(), after.parse().unwrap()).unwrap().to_rfc3339()
    }

    #[test]
    fn runs_fall_where_the_type_says() {
        let start = "2026-01-31T09:30:00Z"; // a Saturday
        let cases = [
            ("minute", "{\"N\":15}", "2026-02-01T00:00:00Z", "2026-02-01T00:15:00+00:00"),
            ("hour", "{\"N\":2}", "2026-01-31T09:30:00Z", "2026-01-31T11:30:00+00:00"),
            ("day", "{\"N\":3}", "2026-01-31T09:30:00Z", "2026-02-03T09:30:00+00:00"),
            ("week", "{\"N\":2}", "2026-02-01T00:00:00Z", "2026-02-14T09:30:00+00:00"),
            ("year", "{\"N\":1}", "2026-02-01T00:00:00Z", "2027-01-31T09:30:00+00:00"),
            ("weekday", "{}", "2026-01-31T10:00:00Z", "2026-02-02T09:30:00+00:00"),
            ("dayofweek", "{\"Days\":[0,3]}", "2026-02-01T10:00:00Z", "2026-02-04T09:30:00+00:00"),
            ("semimonth", "{\"First\":true}", "2026-02-01T10:00:00Z", "2026-02-15T09:30:00+00:00"),
            ("semimonth", "{\"First\":false}", "2026-02-15T00:00:00Z", "2026-02-28T09:30:00+00:00"),
            ("dayofmonth", "{\"N\":1,\"Day\":31}", "2026-02-01T00:00:00Z", "2026-02-28T09:30:00+00:00"),
            ("dayweekofmonth", "{\"N\":1,\"Day\":2,\"Week\":2}", "2026-02-01T00:00:00Z", "2026-02-10T09:30:00+00:00"),
        ];
        for (kind, detail, after, expected) in cases {
            assert_eq!(next(kind, detail, start, "UTC", after), expected, "{kind} {detail}");
        }
        assert_eq!(next("day", "{\"N\":1}", start, "UTC", "2020-01-01T00:00:00Z"), "2026-01-31T09:30:00+00:00");
    }

    #[test]
    fn days_keep_their_hour_through_changes_of_clocks() {
        let at = |after| next("day", "{\"N\":1}", "2026-03-01T07:30:00Z", "America/New_York", after);
        assert_eq!(at("2026-03-07T12:00:00Z"), "2026-03-08T07:30:00+00:00", "2:30 is skipped that day");
        assert_eq!(at("2026-03-08T12:00:00Z"), "2026-03-09T06:30:00+00:00");
    }

    #[test]
    fn rules_are_told_as_those_of_calendars() {
        for (kind, detail, expected) in [
            ("hour", "{\"N\":2}", "FREQ=HOURLY;INTERVAL=2"),
            ("weekday", "{}", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR"),
            ("semimonth", "{\"First\":false}", "FREQ=MONTHLY;BYMONTHDAY=14,-1"),
            ("dayweekofmonth", "{\"N\":1,\"Day\":2,\"Week\":0}", "FREQ=MONTHLY;INTERVAL=1;BYDAY=1TU"),
            ("dayofmonth", "{\"N\":2,\"Day\":28}", "FREQ=MONTHLY;INTERVAL=2;BYMONTHDAY=28"),
            ("dayofmonth", "{\"N\":1,\"Day\":31}", "FREQ=MONTHLY;INTERVAL=1;BYMONTHDAY=28,29,30,31;BYSETPOS=-1"),
            ("year", "{\"N\":1}", "FREQ=YEARLY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1"),
        ] {
            let first = "2024-02-29".parse().unwrap();
            assert_eq!(Rule::parse(kind, detail).unwrap().rrule(first), expected, "{kind} {detail}");
        }
    }

    #[test]
    fn nonsense_is_named() {
        for (kind, detail, says) in [
            ("minute", "{\"N\":0}", "`N`"),
            ("fortnight", "{}", "`type`"),
            ("day", "x", "JSON"),
            ("dayofweek", "{\"Days\":[7]}", "`Days`"),
            ("dayofweek", "{\"Days\":[]}", "`Days`"),
        ] {
            assert!(Rule::parse(kind, detail).unwrap_err().contains(says), "{kind} {detail}");
        }
    }

    proptest! {
        #[test]
        fn a_next_run_comes_after(at in 0_i64..4_000_000_000, start in 0_i64..4_000_000_000, which in 0_usize..8) {
            let rules = [
                ("minute", "{\"N\":7}"), ("day", "{\"N\":10}"), ("year", "{\"N\":1}"), ("weekday", "{}"),
                ("semimonth", "{\"First\":false}"), ("dayofmonth", "{\"N\":5,\"Day\":30}"), ("week", "{\"N\":3}"),
                ("dayweekofmonth", "{\"N\":2,\"Day\":6,\"Week\":4}"),
            ];
            let rule = Rule::parse(rules[which].0, rules[which].1).unwrap();
            let of = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
            let next = rule.next(of(start), chrono_tz::Europe::Berlin, of(at)).unwrap();
            prop_assert!(next > of(at) && next >= of(start));
        }

        #[test]
        fn any_text_is_read_or_refused(kind in "[a-z]{0,12}", detail in ".{0,40}") {
            let _ = Rule::parse(&kind, &detail);
        }
    }
}
