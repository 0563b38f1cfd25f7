//! What values mean.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::GcfgError;

/// Where a value was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place<'a> {
    /// In this line of the file, from 1.
    Line(usize),
    /// By this variable.
    Variable(&'a str),
    /// By the command line.
    CommandLine,
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Variable(name) => f.write_str(name),
            Self::CommandLine => f.write_str("--set"),
        }
    }
}

/// A value with its place, so that mistakes in it can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value<'a> {
    /// `Section.Key` as the program asks for it.
    pub name: String,
    /// The value.
    pub text: &'a str,
    /// Where it comes from.
    pub place: Place<'a>,
}

impl Value<'_> {
    /// The error that says that the setting takes something else: `a number`, `a URL`.
    #[must_use]
    pub fn must_be(&self, expected: &str) -> GcfgError {
        GcfgError::Value {
            place: self.place.to_string(),
            name: self.name.clone(),
            expected: expected.to_owned(),
            value: self.text.to_owned(),
        }
    }

    /// The value as a `T`; `expected` says what that is.
    ///
    /// # Errors
    /// It is none.
    pub fn parse<T: FromStr>(&self, expected: &str) -> Result<T, GcfgError> {
        self.text.parse().map_err(|_| self.must_be(expected))
    }

    /// `true`, `yes`, `on`, `1` or their opposites, in any case.
    ///
    /// # Errors
    /// It is something else.
    pub fn bool(&self) -> Result<bool, GcfgError> {
        match self.text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Ok(true),
            "false" | "no" | "off" | "0" => Ok(false),
            _ => Err(self.must_be("true or false")),
        }
    }

    /// A length of time such as `90s`, `5m`, `1h30m`, `2d` or `250ms`.
    ///
    /// # Errors
    /// It is something else, or longer than can be counted.
    pub fn duration(&self) -> Result<Duration, GcfgError> {
        duration(self.text).ok_or_else(|| self.must_be("a length of time such as 90s, 5m, 1h30m or 2d"))
    }
}

fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit);
        let millis: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(millis)?)?;
        rest = after;
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}
