//! Versions of R and its packages, as R's `package_version` understands them.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

/// A version: numbers separated by `.` or `-`, such as `1.2-3` or `1.0.0.9000`.
///
/// Numbers are compared one by one and a version precedes its own extensions (`1.2` < `1.2.0`); the separator does not
/// matter (`1.2-3` equals `1.2.3`), nor do leading zeros. Displayed as it was written.
///
/// A single number is read as well, though R takes it neither as a package's version nor in a dependency.
#[derive(Debug, Clone)]
pub struct RVersion {
    text: String,
    parts: Vec<u64>,
}

/// A text that is no version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an R version; expected at least two numbers separated by `.` or `-`, such as `1.2-3`")]
pub struct Error(pub String);

impl RVersion {
    /// The numbers.
    pub fn parts(&self) -> &[u64] {
        &self.parts
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first two numbers, as repository paths name a version of R: `4.2` for `4.2.2`.
    pub fn minor(&self) -> String {
        let part = |at: usize| self.parts.get(at).copied().unwrap_or(0);
        format!("{}.{}", part(0), part(1))
    }
}

impl FromStr for RVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |part: &str| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| digits)
        };
        let parts: Option<Vec<u64>> = match text.len() {
            1..=256 => text.split(['.', '-']).map(number).collect(),
            _ => None,
        };
        match parts {
            Some(parts) => Ok(Self { text: text.to_owned(), parts }),
            None => Err(Error(text.chars().take(80).collect())),
        }
    }
}

impl fmt::Display for RVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl PartialEq for RVersion {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for RVersion {}

impl Hash for RVersion {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts.hash(state);
    }
}

impl PartialOrd for RVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RVersion {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts.cmp(&other.parts)
    }
}
