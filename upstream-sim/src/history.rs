//! When made-up things happen: births, releases, yanks, ends.

use chrono::{DateTime, NaiveDate, Utc};
use pkg_formats::psp::Op;

use crate::catalogue::FACTS_OF;
use crate::draw::Draw;

/// Seconds a day.
pub(crate) const DAY: i64 = 86_400;

/// No release is made up from this day (2031-01-01) on.
pub(crate) const HORIZON: i64 = 22_280;

/// Most versions a package ever has.
pub(crate) const MOST_VERSIONS: usize = 40;

/// Something that happens to a package.
pub(crate) struct Event {
    /// Second since 1970.
    pub(crate) at: i64,
    pub(crate) op: Op,
    pub(crate) version: String,
}

/// The time `seconds` after 1970.
pub(crate) fn time(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("the calendar of the catalogue lies within chrono's")
}

/// The day `days` after 1970.
pub(crate) fn date(days: i64) -> NaiveDate {
    time(days * DAY).date_naive()
}

/// The number of `date`'s day since 1970.
pub(crate) fn day(date: NaiveDate) -> i64 {
    date.signed_duration_since(NaiveDate::default()).num_days()
}

/// A time on `day` that depends on the draw.
pub(crate) fn moment(draw: &mut Draw, day: i64) -> i64 {
    day * DAY + draw.between(0, DAY - 1)
}

/// Release times of made-up package `index` of a feed that began on day `start` and has `born` such packages on the day
/// of the facts; later indices are born after it. Poisson releases at a pace of its own, from one in five months to one
/// in ten years. At most `most` of them are computed.
pub(crate) fn filler_releases(
    seed: u64,
    feed: &str,
    name: &str,
    (index, born): (u32, u32),
    start: i64,
    most: usize,
) -> Vec<i64> {
    let mut draw = Draw::new(seed, feed, name, "releases");
    let birth = if index < born {
        // The feed grew: more packages are young than old.
        start + ((FACTS_OF - 1 - start) as f64 * draw.unit().powf(0.7)) as i64
    } else {
        FACTS_OF + 1 + draw.between(0, 400)
    };
    let pace = 150.0 * (4000.0_f64 / 150.0).powf(draw.unit());
    let mut times = vec![moment(&mut draw, birth)];
    while times.len() < most {
        let gap = -pace * (1.0 - draw.unit()).ln();
        let next = times[times.len() - 1] + (gap * DAY as f64) as i64 + 60;
        if next >= HORIZON * DAY {
            break;
        }
        times.push(next);
    }
    times
}

/// Release times after the day of the facts of a package that really exists.
pub(crate) fn later_releases(seed: u64, feed: &str, name: &str) -> Vec<i64> {
    let mut draw = Draw::new(seed, feed, name, "later");
    let mut times = Vec::new();
    let mut day = FACTS_OF;
    loop {
        day += draw.between(20, 600);
        if day >= HORIZON {
            return times;
        }
        times.push(moment(&mut draw, day));
    }
}

/// The version after `version`: its last number is one more.
pub(crate) fn next_version(version: &str) -> String {
    let digits = version.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (stem, last) = version.split_at(version.len() - digits);
    match last.parse::<u64>() {
        Ok(last) => format!("{stem}{}", last + 1),
        Err(_) => format!("{version}.1"),
    }
}

/// Three numbers that grow: mostly the last, sometimes the second, seldom the first.
pub(crate) fn grow(draw: &mut Draw, numbers: &mut [u64; 3]) {
    match draw.below(10) {
        0 => *numbers = [numbers[0] + 1, 0, 0],
        1..=3 => *numbers = [numbers[0], numbers[1] + 1, 0],
        _ => numbers[2] += 1,
    }
}

/// Where made-up package `index` points to: a made-up package of lower rank, the lower the more likely, so that few
/// packages are needed by many and the graph has no cycle.
pub(crate) fn lower_rank(draw: &mut Draw, index: u32) -> u32 {
    (f64::from(index) * draw.unit().powi(3)) as u32
}

/// Packages that nothing depends on; only these are ever archived as a whole, or removed.
pub(crate) fn is_leaf(seed: u64, feed: &str, index: u32) -> bool {
    Draw::new(seed ^ u64::from(index), feed, "", "leaf").below(10) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_count_from_1970() {
        assert_eq!(date(0).to_string(), "1970-01-01");
        assert_eq!(date(FACTS_OF).to_string(), "2026-11-24");
        assert_eq!(date(HORIZON).to_string(), "2031-01-01");
        assert_eq!(day(date(FACTS_OF)), FACTS_OF);
    }

    #[test]
    fn versions_grow() {
        for (before, after) in [
            ("3.1.3", "3.1.4"),
            ("6.0-94", "6.0-95"),
            ("2026.10.18", "2026.10.19"),
            ("311", "312"),
            ("1.0.post9", "1.0.post10"),
        ] {
            assert_eq!(next_version(before), after);
        }
    }

    proptest::proptest! {
        #[test]
        fn releases_are_ordered_and_bounded(seed: u64, index in 0_u32..200) {
            let times = filler_releases(seed, "cran", "x", (index, 100), 17_449, MOST_VERSIONS);
            proptest::prop_assert!(!times.is_empty() && times.len() <= 40);
            proptest::prop_assert!(times.windows(2).all(|pair| pair[0] < pair[1]));
            let born = times[0] / DAY;
            proptest::prop_assert!(times[0] >= 17_449 * DAY && times[times.len() - 1] < HORIZON * DAY);
            proptest::prop_assert_eq!(born < FACTS_OF, index < 100);
        }

        #[test]
        fn ranks_point_down(seed: u64, index in 1_u32..1_000_000) {
            proptest::prop_assert!(lower_rank(&mut Draw::new(seed, "", "", ""), index) < index);
        }
    }
}
