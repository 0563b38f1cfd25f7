//! The blocklist: rules that keep packages from clients.
//!
//! Of the rules that fit a package the one of the highest `priority` decides, of equals the one that says most, of equals an
//! exception, which allows. What is blocked is left out of indexes and cannot be downloaded (403). An index that a snapshot of the past
//! has shown stays what it was: there the rules of that time count. Downloads are refused by the rules of now, whatever the snapshot.
//! How the real product orders priorities, and whether it leaves blocked packages out of indexes, is not known.

pub(crate) mod license;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use pkg_formats::python::name::normalize;
use pkg_formats::python::version;
use pkg_formats::r::deps::{self, Dependency};
use serde::{Deserialize, Serialize};

use crate::app::View;
use crate::error::Error;
use crate::record::instant;
use crate::store::FOREVER;
use crate::store::rules::Row;
use crate::vulns::{self, Vulns};

/// A rule. What is left out fits everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Rule {
    pub(crate) priority: i64,
    pub(crate) package_name: Option<String>,
    /// Versions, such as `<4.0.0`; a version alone means that one.
    pub(crate) version: Option<String>,
    pub(crate) source_id: Option<i64>,
    pub(crate) repo_id: Option<i64>,
    /// Sources of this type, such as `bioconductor`.
    pub(crate) source_type: Option<String>,
    /// Those sources now.
    #[serde(skip)]
    pub(crate) sources_of_type: Vec<i64>,
    pub(crate) license: Option<String>,
    /// Licenses of any of these types.
    pub(crate) license_types: Vec<String>,
    /// Packages that were taken away from where they come, whatever snapshot still shows them.
    pub(crate) deleted_packages: bool,
    /// Packages with vulnerabilities.
    pub(crate) vulns: bool,
    /// Of vulnerabilities only those that are at least as severe: a word such as `high`, or a base score.
    pub(crate) min_severity: Option<String>,
    /// With `min_severity`: those that nobody has scored, too.
    pub(crate) block_unscored: bool,
    /// Allows what others block.
    pub(crate) exception: bool,
    pub(crate) description: String,
}

/// A package that may be blocked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspect<'a> {
    pub(crate) python: bool,
    pub(crate) source: i64,
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) license: Option<&'a str>,
    /// Whether its source has it no more.
    pub(crate) deleted: bool,
}

impl Rule {
    /// Refuses what could never fit, or would fit everything.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.specificity() == 0 && !self.exception {
            return Err(Error::BadRequest(
                "this rule would block everything; name a package, a version, a source, a repository, a license, \
                 vulnerabilities or deleted packages"
                    .to_owned(),
            ));
        }
        if let Some(text) = &self.min_severity
            && vulns::severity(text).is_none()
        {
            return Err(Error::BadRequest(format!(
                "min_severity {text:?} is no severity; use low, medium, high, critical, or a base score such as 7.5"
            )));
        }
        if let Some(unknown) =
            self.license_types.iter().find(|name| license::names().all(|known| known != name.as_str()))
        {
            let known: Vec<&str> = license::names().collect();
            return Err(Error::BadRequest(format!(
                "license_types has {unknown:?}; the types are {}",
                known.join(", ")
            )));
        }
        if !self.vulns && (self.min_severity.is_some() || self.block_unscored) {
            return Err(Error::BadRequest("min_severity and block_unscored go with vulns".to_owned()));
        }
        if let Some(text) = &self.version
            && r_versions(text).is_none()
            && version::parse_specifiers(&with_operator(text)).is_err()
        {
            return Err(Error::BadRequest(format!("{text:?} says no versions; an example is <4.0.0")));
        }
        Ok(())
    }

    fn specificity(&self) -> usize {
        let set = [
            self.package_name.is_some(),
            self.version.is_some(),
            self.source_id.is_some(),
            self.repo_id.is_some(),
            self.source_type.is_some(),
            self.license.is_some(),
            !self.license_types.is_empty(),
            self.deleted_packages,
            self.vulns,
        ];
        set.into_iter().filter(|set| *set).count()
    }

    /// Whether it goes for a vulnerability.
    fn minds(&self, vulnerability: &pkg_formats::psp::Vulnerability) -> bool {
        let Some(least) = self.min_severity.as_deref().and_then(vulns::severity) else { return true };
        vulns::score(vulnerability).map_or(self.block_unscored, |score| score >= least)
    }

    /// `now` says that downloads of now are judged, not the indexes of the past.
    fn fits(&self, package: Suspect<'_>, vulns: &Vulns, t: DateTime<Utc>, now: bool) -> bool {
        let named = |name: &String| match package.python {
            true => normalize(name) == package.name,
            false => name == package.name,
        };
        let versions = |text: &String| match package.python {
            true => version::parse(package.version).is_ok_and(|version| {
                version::parse_specifiers(&with_operator(text)).is_ok_and(|wanted| wanted.contains(&version))
            }),
            false => package.version.parse().is_ok_and(|version| {
                r_versions(text).is_some_and(|wanted| wanted.iter().all(|one| one.accepts(&version)))
            }),
        };
        self.package_name.as_ref().is_none_or(named)
            && self.source_id.is_none_or(|id| id == package.source)
            && (self.source_type.is_none() || self.sources_of_type.contains(&package.source))
            && self.license.as_deref().is_none_or(|license| package.license == Some(license))
            && (self.license_types.is_empty()
                || license::types(package.license).iter().any(|kind| self.license_types.iter().any(|name| name == kind)))
            // What an index of the past has shown before the package went, it shows on.
            && (!self.deleted_packages || now && package.deleted)
            && self.version.as_ref().is_none_or(versions)
            && (!self.vulns
                || vulns.affecting(package.python, package.name, package.version, t).any(|one| self.minds(one)))
    }
}

/// A version alone means that one.
fn with_operator(text: &str) -> String {
    let text = text.trim();
    if text.starts_with(|c: char| c.is_ascii_digit()) { format!("=={text}") } else { text.to_owned() }
}

fn r_versions(text: &str) -> Option<Vec<Dependency>> {
    let one = |part: &str| {
        let part = with_operator(part);
        let digit = part.find(|c: char| c.is_ascii_digit())?;
        let (operator, version) = part.split_at(digit);
        let parsed = deps::parse(&format!("x ({} {version})", operator.trim())).ok()?;
        parsed.into_iter().next()
    };
    text.split(',').map(one).collect()
}

/// The rules for a repo at a time.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<(i64, Rule)>,
    /// What is known of vulnerabilities, as of a time.
    vulns: Arc<Vulns>,
    vulns_at: DateTime<Utc>,
    /// Whether they are those of now.
    now: bool,
    /// Names them: equal keys are equal rules.
    pub(crate) key: String,
}

/// Which rules count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum When {
    Now,
    /// Microseconds since 1970.
    At(i64),
    /// The number of a transaction.
    After(i64),
}

impl Rules {
    /// Whether any of them is about vulnerabilities.
    pub(crate) fn go_by_vulns(&self) -> bool {
        self.rules.iter().any(|(_, rule)| rule.vulns)
    }

    /// The same rules with these vulnerabilities of transaction `tx`, as of `t` in microseconds since 1970.
    pub(crate) fn going_by(mut self, vulns: Arc<Vulns>, tx: i64, t: i64) -> Self {
        if self.go_by_vulns() {
            self.key.push_str(&format!("|v{tx}@{t}"));
        }
        self.vulns = vulns;
        self.vulns_at = instant(t);
        self
    }

    /// The number of the rule that blocks the package.
    pub(crate) fn blocking(&self, package: Suspect<'_>) -> Option<i64> {
        let fitting = self.rules.iter().filter(|(_, rule)| rule.fits(package, &self.vulns, self.vulns_at, self.now));
        let rank = |rule: &Rule| (rule.priority, rule.specificity(), rule.exception);
        let (id, decides) = fitting.max_by_key(|(_, rule)| rank(rule))?;
        (!decides.exception).then_some(*id)
    }
}

impl View {
    /// The rules that may block something in `repo`; none when there is no such rule.
    pub(crate) fn rules_for(&self, repo: i64, when: When) -> Option<Rules> {
        let counts = |row: &&(Row, Rule)| match when {
            When::Now => row.0.until_tx == FOREVER,
            When::At(t) => row.0.since <= t && t < row.0.until,
            When::After(tx) => row.0.since_tx <= tx && tx < row.0.until_tx,
        };
        let concerns = |row: &&(Row, Rule)| row.1.repo_id.is_none_or(|id| id == repo);
        let rows: Vec<&(Row, Rule)> = self.rules.iter().filter(counts).filter(concerns).collect();
        if rows.iter().all(|(_, rule)| rule.exception) {
            return None;
        }
        let key = rows.iter().map(|(row, _)| format!("|!{}@{}", row.id, row.since_tx)).collect();
        let resolved = |rule: &Rule| {
            let of_type = |source: &&crate::store::sources::Source| rule.source_type.as_ref() == Some(&source.kind);
            Rule {
                sources_of_type: self.sources.iter().filter(of_type).map(|source| source.id).collect(),
                ..rule.clone()
            }
        };
        let rules = rows.into_iter().map(|(row, rule)| (row.id, resolved(rule))).collect();
        let now = matches!(when, When::Now);
        let rules = Rules { rules, vulns: Arc::default(), vulns_at: DateTime::<Utc>::MAX_UTC, now, key };
        Some(match when {
            When::Now => rules.going_by(self.documents.vulns.clone(), self.documents.vulns_tx(), i64::MAX),
            When::At(_) | When::After(_) => rules,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_then_the_most_telling_rule_decides() {
        let rule = |priority, name: Option<&str>, version: Option<&str>, exception| Rule {
            priority,
            package_name: name.map(str::to_owned),
            version: version.map(str::to_owned),
            exception,
            ..Rule::default()
        };
        let rules = |rules: Vec<Rule>| Rules {
            rules: (1..).zip(rules).collect(),
            vulns: Arc::default(),
            vulns_at: DateTime::<Utc>::MAX_UTC,
            now: true,
            key: String::new(),
        };
        let r =
            |name, version| Suspect { python: false, source: 1, name, version, license: Some("MIT"), deleted: false };
        let py = |name, version| Suspect { python: true, ..r(name, version) };
        let some =
            rules(vec![rule(0, Some("A.b"), Some("<2.0, >= 1.0"), false), rule(0, Some("A.b"), Some("1.5"), true)]);
        assert_eq!(some.blocking(r("A.b", "1.5")), None, "the exception comes first among equals");
        assert_eq!(some.blocking(r("A.b", "1.4-2")), Some(1));
        assert_eq!(some.blocking(r("A.b", "2.0")), None);
        assert_eq!(some.blocking(r("A.B", "1.4")), None);
        assert_eq!(some.blocking(py("a-b", "1.9.post1")), Some(1));
        let some = rules(vec![rule(5, Some("a"), None, false), rule(1, Some("a"), Some("1.0"), true)]);
        assert_eq!(some.blocking(r("a", "1.0")), Some(1), "priority comes first");
        let license = Rule { license: Some("MIT".into()), ..Rule::default() };
        assert_eq!(rules(vec![license]).blocking(r("x", "1.0")), Some(1));
        let kind = Rule { license_types: vec!["permissive".into()], ..Rule::default() };
        assert_eq!(rules(vec![kind]).blocking(r("x", "1.0")), Some(1));
        let gone = Rule { deleted_packages: true, ..Rule::default() };
        assert_eq!(rules(vec![gone.clone()]).blocking(r("x", "1.0")), None);
        let deleted = Suspect { deleted: true, ..r("x", "1.0") };
        assert_eq!(rules(vec![gone.clone()]).blocking(deleted), Some(1));
        assert_eq!(Rules { now: false, ..rules(vec![gone]) }.blocking(deleted), None, "the past stays");
        assert!(Rule { license_types: vec!["nice".into()], ..Rule::default() }.check().is_err());
        assert!(Rule::default().check().is_err());
        assert!(rule(0, None, Some("love"), false).check().is_err());
        assert!(rule(0, None, Some("~=1.0"), false).check().is_ok());
    }
}
