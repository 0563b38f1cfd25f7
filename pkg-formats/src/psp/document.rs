//! Feeds that are not about packages: system requirements, distributions, vulnerabilities.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A record of a feed of kind `documents`: whatever `document` is, as it is now. It has no history; an entry that went away
/// was removed by an [`Op::Remove`](super::Op) and keeps its last record with `removed_at`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DocumentRecord {
    /// When it came or last changed.
    pub changed_at: DateTime<Utc>,
    /// [`SysreqsRule`] in feed `sysreqs`, [`Distro`] in `distros`, [`Vulnerability`] in `vulns`.
    pub document: Value,
    /// Name in the index: of the rule or the distribution, or the vulnerability's id.
    pub name: String,
    /// When it was taken away.
    pub removed_at: Option<DateTime<Utc>>,
}

/// Which system packages a phrase in an R package's `SystemRequirements` stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysreqsRule {
    /// R packages that need it although their `SystemRequirements` do not say so.
    pub applies_to: Vec<String>,
    /// What to do where; the first that holds for a distribution and release counts.
    pub installs: Vec<SysreqsInstall>,
    /// The rule's name.
    pub name: String,
    /// The rule holds when one of these stands in `SystemRequirements` as a whole word, in any case.
    pub words: Vec<String>,
}

/// What a [`SysreqsRule`] asks for on some distributions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SysreqsInstall {
    /// As [`Distro::distribution`], with the releases ([`Distro::release`]) it holds for; none means all.
    pub on: BTreeMap<String, Vec<String>>,
    /// System packages.
    pub packages: Vec<String>,
    /// Commands after the packages are installed.
    pub post_install: Vec<String>,
    /// Commands before that. Here and above, what begins with `#!` is a whole script.
    pub pre_install: Vec<String>,
}

impl SysreqsRule {
    /// True when the rule holds for R package `package` with these `SystemRequirements`.
    #[must_use]
    pub fn holds_for(&self, package: &str, system_requirements: &str) -> bool {
        let text = system_requirements.to_lowercase();
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        self.applies_to.iter().any(|name| name == package)
            || self.words.iter().map(|word| word.to_lowercase()).filter(|word| !word.is_empty()).any(|word| {
                text.match_indices(&word).any(|(at, _)| {
                    !text[..at].chars().next_back().is_some_and(is_part)
                        && !text[at + word.len()..].chars().next().is_some_and(is_part)
                })
            })
    }

    /// What it asks for on a distribution; none when nothing is known, or nothing needed, there.
    #[must_use]
    pub fn install_on(&self, distribution: &str, release: &str) -> Option<&SysreqsInstall> {
        self.installs.iter().find(|install| {
            let releases = install.on.get(distribution);
            releases.is_some_and(|releases| releases.is_empty() || releases.iter().any(|known| known == release))
        })
    }
}

/// An operating system that packages are built for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Distro {
    /// CPUs.
    pub arch: Vec<String>,
    /// There are binary packages.
    pub binaries: bool,
    /// Segment of a repository URL, as in `__linux__/{code}/`; empty for Windows and macOS.
    pub code: String,
    /// How people call it.
    pub display: String,
    /// Name in rules of system requirements.
    pub distribution: String,
    /// Not offered to people any more.
    pub hidden: bool,
    /// How its package manager installs packages, which are written behind it; none when there is none.
    pub install_command: Option<String>,
    /// Its name: unique, and never changes.
    pub name: String,
    /// `linux`, `macos`, `windows`.
    pub os: String,
    /// Release in rules of system requirements.
    pub release: String,
    /// Rules of system requirements exist for it.
    pub sysreqs: bool,
}

/// A vulnerability in the shape of the OSV schema (version 1), as far as it is used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vulnerability {
    /// Packages and the versions of them that have it.
    pub affected: Vec<Affected>,
    /// Other ids of the same.
    pub aliases: Vec<String>,
    /// What the database adds.
    pub database_specific: DatabaseSpecific,
    /// Text.
    pub details: String,
    /// Id.
    pub id: String,
    /// Last change.
    pub modified: DateTime<Utc>,
    /// When it became known.
    pub published: DateTime<Utc>,
    /// How bad it is.
    pub severity: Vec<Severity>,
    /// One line.
    pub summary: String,
    /// When it turned out to be none; from then on it counts no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<DateTime<Utc>>,
}

/// A package of a [`Vulnerability`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Affected {
    /// Which.
    pub package: AffectedPackage,
    /// Ranges of versions.
    pub ranges: Vec<AffectedRange>,
}

/// Name of a package of a [`Vulnerability`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedPackage {
    /// `CRAN`, `PyPI`.
    pub ecosystem: String,
    /// Exact for R, normalised for Python.
    pub name: String,
}

/// Versions of a package of a [`Vulnerability`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedRange {
    /// In turn `introduced` (`0`: from the first version) and, if it was repaired, `fixed`.
    pub events: Vec<BTreeMap<String, String>>,
    /// `ECOSYSTEM`: versions are ordered as the ecosystem does.
    #[serde(rename = "type")]
    pub kind: String,
}

/// How bad a [`Vulnerability`] is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Severity {
    /// The vector.
    pub score: String,
    /// `CVSS_V3`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What the package service adds to a [`Vulnerability`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseSpecific {
    /// Base score of the vector, times ten.
    pub base_score_tenths: u8,
    /// Nobody found it: it was made up for tests.
    pub invented: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule() -> SysreqsRule {
        let install = |on: &[(&str, &[&str])], package: &str| SysreqsInstall {
            on: on.iter().map(|(d, r)| ((*d).to_owned(), r.iter().map(|r| (*r).to_owned()).collect())).collect(),
            packages: vec![package.to_owned()],
            post_install: vec![],
            pre_install: vec![],
        };
        SysreqsRule {
            applies_to: vec!["sf".into()],
            installs: vec![
                install(&[("ubuntu", &["22.04"])], "old"),
                install(&[("ubuntu", &[]), ("debian", &[])], "new"),
            ],
            name: "gdal".into(),
            words: vec!["GDAL".into(), "libgdal-dev".into()],
        }
    }

    #[test]
    fn rules_hold_for_whole_words_and_for_named_packages() {
        let rule = rule();
        for yes in ["gdal (>= 2.0)", "GEOS, GDAL", "GDAL", "libgdal-dev (deb)", "agdal gdal"] {
            assert!(rule.holds_for("x", yes), "{yes}");
        }
        for no in ["", "gdalx", "mygdal", "gdal_2", "ügdal"] {
            assert!(!rule.holds_for("x", no), "{no}");
        }
        assert!(rule.holds_for("sf", ""));
    }

    #[test]
    fn the_first_install_for_a_release_counts() {
        let rule = rule();
        let on = |distribution, release| rule.install_on(distribution, release).map(|i| i.packages[0].as_str());
        assert_eq!(on("ubuntu", "22.04"), Some("old"));
        assert_eq!(on("ubuntu", "24.04"), Some("new"));
        assert_eq!(on("debian", "12"), Some("new"));
        assert_eq!(on("opensuse", "15.6"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_text_may_be_asked_for(text in "\\PC*", word in "\\PC{0,6}") {
            let _ = SysreqsRule { words: vec![word], ..rule() }.holds_for("x", &text);
        }
    }
}
