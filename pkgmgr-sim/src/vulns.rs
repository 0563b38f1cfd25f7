//! Vulnerabilities of packages.
//!
//! The package service tells them in the shape of the OSV schema; those of this project's service are made up, and say so. A package
//! has a vulnerability when its version lies in one of the ranges, from the time at which it became known until it was withdrawn.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use pkg_formats::psp::{AffectedRange, Vulnerability};
use pkg_formats::python::version;
use pkg_formats::r::RVersion;
use serde_json::{Value, json};

/// Vulnerabilities by package.
#[derive(Debug, Default)]
pub(crate) struct Vulns {
    by_package: HashMap<(bool, String), Vec<Arc<Vulnerability>>>,
    by_id: BTreeMap<String, Arc<Vulnerability>>,
}

impl Vulns {
    pub(crate) fn new(all: Vec<Vulnerability>) -> Self {
        let mut vulns = Self::default();
        for one in all {
            let one = Arc::new(one);
            for affected in &one.affected {
                let of_package = vulns.by_package.entry(key(&affected.package.ecosystem, &affected.package.name));
                let of_package = of_package.or_default();
                if of_package.iter().all(|known| known.id != one.id) {
                    of_package.push(one.clone());
                }
            }
            vulns.by_id.insert(one.id.clone(), one);
        }
        vulns
    }

    /// By its id or one of its aliases.
    pub(crate) fn find(&self, id: &str) -> Option<&Vulnerability> {
        let by_alias = || self.by_id.values().find(|one| one.aliases.iter().any(|alias| alias == id));
        self.by_id.get(id).or_else(by_alias).map(|one| &**one)
    }

    /// Packages that some version of has or had one: whether they are of Python, and their names.
    pub(crate) fn packages(&self) -> impl Iterator<Item = (bool, &str)> {
        self.by_package.keys().map(|(python, name)| (*python, name.as_str()))
    }

    /// Those of some version of a package, whenever they were known.
    pub(crate) fn of_package(&self, python: bool, name: &str) -> &[Arc<Vulnerability>] {
        self.by_package.get(&(python, name.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// Those that `version` of a package was known to have just before `t`.
    pub(crate) fn affecting(
        &self,
        python: bool,
        name: &str,
        version: &str,
        t: DateTime<Utc>,
    ) -> impl Iterator<Item = &Vulnerability> {
        self.of_package(python, name)
            .iter()
            .map(|one| &**one)
            .filter(move |one| one.published < t && one.withdrawn.is_none_or(|at| at >= t))
            .filter(move |one| ranges(one, python, name).any(|range| holds(range, python, version)))
    }
}

/// Bioconductor's packages are R's: names do not clash.
fn key(ecosystem: &str, name: &str) -> (bool, String) {
    (ecosystem.eq_ignore_ascii_case("PyPI"), name.to_owned())
}

fn ranges<'a>(one: &'a Vulnerability, python: bool, name: &'a str) -> impl Iterator<Item = &'a AffectedRange> {
    let of_package = one.affected.iter().filter(move |affected| {
        affected.package.name == name && affected.package.ecosystem.eq_ignore_ascii_case("PyPI") == python
    });
    of_package.flat_map(|affected| &affected.ranges)
}

/// Whether `version` lies between an `introduced` and the next `fixed` or `last_affected`. A version that cannot be read lies in no
/// range but one that has no end.
fn holds(range: &AffectedRange, python: bool, version: &str) -> bool {
    let mut inside = false;
    for (kind, bound) in range.events.iter().flatten() {
        let order = if bound == "0" { Some(std::cmp::Ordering::Greater) } else { compare(python, version, bound) };
        match (kind.as_str(), order) {
            ("introduced", Some(order)) if order.is_ge() => inside = true,
            ("fixed", Some(order)) if order.is_ge() => inside = false,
            ("last_affected", Some(order)) if order.is_gt() => inside = false,
            ("fixed" | "last_affected", None) => inside = false,
            _ => {}
        }
    }
    inside
}

fn compare(python: bool, a: &str, b: &str) -> Option<std::cmp::Ordering> {
    match python {
        true => Some(version::parse(a).ok()?.cmp(&version::parse(b).ok()?)),
        false => Some(a.parse::<RVersion>().ok()?.cmp(&b.parse::<RVersion>().ok()?)),
    }
}

/// The base score times ten; none when nobody has scored it.
pub(crate) fn score(one: &Vulnerability) -> Option<u8> {
    (!one.severity.is_empty()).then_some(one.database_specific.base_score_tenths)
}

/// The score times ten that a text means: `7.5`, or the least of `low`, `medium`, `high` and `critical`.
pub(crate) fn severity(text: &str) -> Option<u8> {
    match text.trim().to_ascii_lowercase().as_str() {
        "low" => Some(1),
        "medium" | "moderate" => Some(40),
        "high" => Some(70),
        "critical" => Some(90),
        number => {
            let score: f64 = number.parse().ok().filter(|score| (0.0..=10.0).contains(score))?;
            // In range, so nothing is cut.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some((score * 10.0).round() as u8)
        }
    }
}

fn severities(one: &Vulnerability) -> Vec<Value> {
    let base = score(one).map(|tenths| f64::from(tenths) / 10.0);
    let all = one.severity.iter();
    all.map(|s| json!({ "type": s.kind, "score": s.score, "calculated_score": { "base_score": base } })).collect()
}

/// What rows of packages tell of a vulnerability: its ranges are those of that package.
pub(crate) fn row(one: &Vulnerability, python: bool, name: &str) -> Value {
    json!({
        "id": one.id,
        "aliases": one.aliases,
        "summary": one.summary,
        "details": one.details,
        "published": one.published,
        "modified": one.modified,
        "severity": severities(one),
        "ranges": ranges(one, python, name).collect::<Vec<_>>(),
        "simulated": one.database_specific.invented,
    })
}

/// The whole of it, as an OSV record.
pub(crate) fn whole(one: &Vulnerability) -> Value {
    let mut record = serde_json::to_value(one).unwrap_or_default();
    record["severity"] = severities(one).into();
    record["simulated"] = one.database_specific.invented.into();
    record
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(events: &[(&str, &str)]) -> AffectedRange {
        let event = |(kind, version): &(&str, &str)| BTreeMap::from([((*kind).to_owned(), (*version).to_owned())]);
        AffectedRange { events: events.iter().map(event).collect(), kind: "ECOSYSTEM".into() }
    }

    #[test]
    fn ranges_begin_and_end() {
        let open = range(&[("introduced", "1.2")]);
        let closed = range(&[("introduced", "0"), ("fixed", "1.10"), ("introduced", "2.0"), ("last_affected", "2.1")]);
        for (range, python, version, expected) in [
            (&open, false, "1.1", false),
            (&open, false, "1.2", true),
            (&open, false, "1.10-1", true),
            (&closed, false, "1.9", true),
            (&closed, false, "1.10", false),
            (&closed, false, "2.0.5", true),
            (&closed, false, "2.1", true),
            (&closed, false, "2.1.1", false),
            (&closed, true, "1.10rc1", true),
            (&closed, true, "1.10", false),
            (&closed, true, "odd", false),
        ] {
            assert_eq!(holds(range, python, version), expected, "{version} {range:?}");
        }
    }

    #[test]
    fn severities_are_words_or_numbers() {
        let known = [("critical", 90), (" High", 70), ("7.5", 75), ("10", 100), ("0", 0)];
        for (text, tenths) in known {
            assert_eq!(severity(text), Some(tenths), "{text}");
        }
        for bad in ["", "11", "-1", "NaN", "severe"] {
            assert_eq!(severity(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_version_is_too_odd(version in "\\PC{0,20}", bound in "\\PC{0,20}", python: bool) {
            let _ = holds(&range(&[("introduced", "0"), ("fixed", &bound)]), python, &version);
        }
    }
}
