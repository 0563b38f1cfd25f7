//! What a value of the product's settings must be, and how it is read.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use sim_kit::gcfg::{GcfgError, Value};

use super::Listen;
use super::setup::is_url;
use crate::access::{AccessType, Role};
use crate::access_log::{Format, Target};
use crate::license::Feature;

pub(super) const ADDRESS: &str = "a mail address";
pub(super) const BOOL: &str = "true or false";
pub(super) const FEATURES: &str = "some of allow-apis, tensorflow, nodejs, oauth-integrations";
pub(super) const COUNT: &str = "a whole number from 0";
pub(super) const NUMBER: &str = "a number from 0";
pub(super) const PROGRAMS: &str = "programs";
pub(super) const SHOWN: &str = "their versions are shown: a version in the path, such as /opt/python/3.12.8/bin/python3, or else what the program says of itself";
pub(super) const SIZE: &str = "bytes, such as 1073741824 or 512 MB";
pub(super) const TEXT: &str = "text";
pub(super) const TIME: &str = "a length of time such as 90s, 5m or 24h; a number alone is seconds";
pub(super) const URL: &str = "an http or https URL";

#[allow(clippy::unnecessary_wraps)] // what a row of the table ends with
pub(super) fn set<T>(place: &mut T, value: T) -> Result<(), GcfgError> {
    *place = value;
    Ok(())
}

pub(super) fn url(value: &Value<'_>) -> Result<String, GcfgError> {
    match is_url(value.text) {
        true => Ok(value.text.to_owned()),
        false => Err(value.must_be(URL)),
    }
}

pub(super) fn postgres(value: &Value<'_>) -> Result<url::Url, GcfgError> {
    let url = url::Url::parse(value.text).ok().filter(|url| matches!(url.scheme(), "postgres" | "postgresql"));
    url.ok_or_else(|| value.must_be("a postgres:// URL such as postgres://connect@localhost/connect?sslmode=disable"))
}

pub(super) fn address(value: &Value<'_>) -> Result<lettre::Address, GcfgError> {
    value.parse(ADDRESS)
}

/// A text that can stand in the head of a mail.
pub(super) fn line(value: &Value<'_>) -> Result<String, GcfgError> {
    match value.text.chars().any(char::is_control) {
        true => Err(value.must_be("text of one line")),
        false => Ok(value.text.to_owned()),
    }
}

pub(super) fn path(value: &Value<'_>) -> Result<PathBuf, GcfgError> {
    match value.text.is_empty() {
        true => Err(value.must_be("a path")),
        false => Ok(value.text.into()),
    }
}

pub(super) fn read(value: &Value<'_>) -> Result<String, GcfgError> {
    let text = std::fs::read_to_string(value.text);
    let text = text.map_err(|error| value.must_be(&format!("a file that can be read ({error})")))?;
    Ok(text.trim().to_owned())
}

pub(super) fn secret(value: &Value<'_>, text: &str) -> Result<Vec<u8>, GcfgError> {
    let secret = base64::engine::general_purpose::STANDARD.decode(text.trim());
    // The secret itself is not to be told.
    let told = Value { text: "***", ..value.clone() };
    let told = if value.text == text { told } else { value.clone() };
    secret.ok().filter(|secret| secret.len() >= 32).ok_or_else(|| told.must_be("the base64 of at least 32 bytes"))
}

pub(super) fn one_of(value: &Value<'_>, words: &[&str]) -> Result<String, GcfgError> {
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(value.text));
    found.map(|&word| word.to_owned()).ok_or_else(|| value.must_be(&words.join(" or ")))
}

/// Features of a licence, some in one value.
pub(super) fn features(all: &[Value<'_>]) -> Result<Vec<Feature>, GcfgError> {
    let mut found = Vec::new();
    for value in all {
        for word in value.text.split([',', ' ']).filter(|word| !word.is_empty()) {
            let named = |feature: &Feature| feature.name().eq_ignore_ascii_case(word);
            found.push(Feature::ALL.into_iter().find(named).ok_or_else(|| value.must_be(FEATURES))?);
        }
    }
    Ok(found)
}

pub(super) fn role(value: &Value<'_>) -> Result<Role, GcfgError> {
    Ok(match one_of(value, &["viewer", "publisher"])?.as_str() {
        "viewer" => Role::Viewer,
        _ => Role::Publisher,
    })
}

pub(super) fn access(value: &Value<'_>) -> Result<AccessType, GcfgError> {
    AccessType::of(value.text).ok_or_else(|| value.must_be("all, logged_in or acl"))
}

pub(super) fn target(value: &Value<'_>) -> Option<Target> {
    match value.text.to_ascii_uppercase().as_str() {
        "" => None,
        "STDOUT" => Some(Target::Stdout),
        "STDERR" => Some(Target::Stderr),
        _ => Some(Target::File(value.text.into())),
    }
}

pub(super) fn format(value: &Value<'_>) -> Result<Format, GcfgError> {
    Ok(match one_of(value, &["COMMON", "COMBINED", "JSON"])?.as_str() {
        "COMMON" => Format::Common,
        "COMBINED" => Format::Combined,
        _ => Format::Json,
    })
}

pub(super) fn listen(value: &Value<'_>) -> Result<Listen, GcfgError> {
    Listen::of(value.text)
        .ok_or_else(|| value.must_be("a port such as :3939, or an address with one such as 127.0.0.1:3939"))
}

pub(super) fn whole<T: TryFrom<i64>>(value: &Value<'_>) -> Result<T, GcfgError> {
    let number = value.text.parse::<i64>().ok().filter(|n| (0..=1_000_000_000).contains(n));
    number.and_then(|n| T::try_from(n).ok()).ok_or_else(|| value.must_be(COUNT))
}

pub(super) fn number(value: &Value<'_>) -> Result<f64, GcfgError> {
    let number = value.text.parse::<f64>().ok().filter(|n| n.is_finite() && *n >= 0.0);
    number.ok_or_else(|| value.must_be(NUMBER))
}

pub(super) fn fraction(value: &Value<'_>) -> Result<f64, GcfgError> {
    number(value).ok().filter(|n| *n <= 1.0).ok_or_else(|| value.must_be("a number from 0 to 1"))
}

pub(super) fn time(value: &Value<'_>) -> Result<Duration, GcfgError> {
    let plain = value.text.parse::<u64>().ok().map(Duration::from_secs);
    let time = plain.or_else(|| value.duration().ok()).filter(|time| time.as_secs() <= 10 * 366 * 86_400);
    time.ok_or_else(|| value.must_be("a length of time such as 90s, 5m or 24h"))
}

pub(super) fn positive(value: &Value<'_>) -> Result<Duration, GcfgError> {
    time(value)?
        .max(Duration::ZERO)
        .checked_sub(Duration::from_secs(1))
        .ok_or_else(|| value.must_be("a second at least"))?;
    time(value)
}

pub(super) fn seconds(value: &Value<'_>) -> Result<i64, GcfgError> {
    Ok(i64::try_from(time(value)?.as_secs()).unwrap_or(i64::MAX))
}

pub(super) fn bytes(value: &Value<'_>) -> Result<i64, GcfgError> {
    let text = value.text.trim();
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let unit: Option<i64> = match unit.trim().to_ascii_uppercase().trim_end_matches('B').trim_end_matches('I') {
        "" => Some(1),
        "K" => Some(1 << 10),
        "M" => Some(1 << 20),
        "G" => Some(1 << 30),
        "T" => Some(1 << 40),
        _ => None,
    };
    let bytes = digits.parse::<i64>().ok().zip(unit).and_then(|(number, unit)| number.checked_mul(unit));
    bytes.ok_or_else(|| value.must_be(SIZE))
}

/// The versions of programs, oldest first.
pub(super) fn versions(programs: &[Value<'_>]) -> Result<Vec<String>, GcfgError> {
    let mut versions = Vec::new();
    for program in programs {
        let found = version_in(program.text).or_else(|| asked(Path::new(program.text)));
        let expected =
            "a program whose path has its version, such as /opt/python/3.12.8/bin/python3, or that can be run here";
        versions.push(found.ok_or_else(|| program.must_be(expected))?);
    }
    versions.sort_by_key(|version| version.split('.').map(|n| n.parse::<u64>().unwrap_or(0)).collect::<Vec<_>>());
    versions.dedup();
    Ok(versions)
}

/// The first thing in a text that looks like a version of two or three numbers.
pub(super) fn version_in(text: &str) -> Option<String> {
    let pieces = text.split(|c: char| !c.is_ascii_digit() && c != '.').map(|piece| piece.trim_matches('.'));
    pieces.filter(|piece| piece.contains('.')).find(|piece| piece.split('.').all(|n| !n.is_empty())).map(str::to_owned)
}

pub(super) fn asked(program: &Path) -> Option<String> {
    let mut command = std::process::Command::new(program);
    let output = command.arg("--version").stdin(std::process::Stdio::null()).output().ok()?;
    version_in(&String::from_utf8_lossy(&output.stdout))
        .or_else(|| version_in(&String::from_utf8_lossy(&output.stderr)))
}
