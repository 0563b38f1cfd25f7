//! Calendar versions such as `2026.06.0`, and what a server of a version has.

use std::fmt;
use std::str::FromStr;

/// The newest release this simulator knows; the default personality.
pub const NEWEST: Version = Version { year: 2026, month: 6, patch: 0 };

/// A release of Connect. Orders by date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Such as 2026.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// From 0.
    pub patch: u16,
}

impl Version {
    /// A release, for comparisons in code.
    #[must_use]
    pub const fn new(year: u16, month: u8, patch: u16) -> Self {
        Self { year, month, patch }
    }

    /// Whether a route or field that came with `since` (empty: always there) is there.
    ///
    /// # Panics
    /// When `since` is not a version: a mistake in a table of this crate, which its tests find.
    #[must_use]
    pub fn has(self, since: &str) -> bool {
        since.is_empty() || self >= since.parse().expect("the tables hold versions")
    }
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a release of Connect; write it as 2026.06.0")]
pub struct NotAVersion(String);

impl FromStr for Version {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let bad = || NotAVersion(text.chars().take(40).collect());
        let mut parts = text.split('.');
        let mut next = |digits: std::ops::RangeInclusive<usize>| {
            let part = parts.next().filter(|p| digits.contains(&p.len()) && p.bytes().all(|b| b.is_ascii_digit()));
            part.and_then(|p| p.parse::<u16>().ok()).ok_or_else(bad)
        };
        let (year, month, patch) = (next(4..=4)?, next(1..=2)?, next(1..=4)?);
        match u8::try_from(month) {
            Ok(month @ 1..=12) if parts.next().is_none() => Ok(Self { year, month, patch }),
            _ => Err(bad()),
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}.{:02}.{}", self.year, self.month, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_order_by_date() {
        let v = |text: &str| text.parse::<Version>().unwrap();
        assert!(v("2024.08.0") < v("2024.09.0") && v("2024.09.1") > v("2024.09.0") && v("2025.1.0") > v("2024.12.9"));
        assert_eq!(v("2025.1.0").to_string(), "2025.01.0");
        assert!(NEWEST.has("") && NEWEST.has("2022.10.0") && !v("2024.11.0").has("2025.01.0"));
        for bad in ["", "2024", "2024.13.0", "2024.00.0", "2024.08", "2024.08.0.1", "24.8.0", "2024.08.x", "latest"] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(year in 1000_u16..9999, month in 1_u8..=12, patch in 0_u16..9999) {
            let version = Version { year, month, patch };
            prop_assert_eq!(version.to_string().parse::<Version>().unwrap(), version);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,30}") {
            let _ = text.parse::<Version>();
        }
    }
}
