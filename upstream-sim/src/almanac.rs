//! Feeds of documents: rules for system requirements, distributions, and vulnerabilities.
//!
//! Rules and distributions are facts (see `data/README.md`). Vulnerabilities are made up: their ids begin with `TEAMSIM-`,
//! their text and `database_specific.invented` say so, and the newest version of a package never has one that was repaired.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use pkg_formats::psp::{
    Affected, AffectedPackage, AffectedRange, DatabaseSpecific, Distro, DocumentRecord, FeedKind, Op, Severity,
    SysreqsInstall, SysreqsRule, Vulnerability, canonical_json,
};
use serde::Serialize;
use serde_json::Value;

use crate::catalogue::{self, FACTS_OF};
use crate::draw::Draw;
use crate::history::{self, DAY, Event, HORIZON, moment, time};
use crate::packages::{Package, Packages, Record};

/// 2017-10-10, like the first feed of packages.
const START: i64 = 17_449;

/// Vulnerabilities that become known before the day of the facts, and after it.
const KNOWN: usize = 48;
const TO_COME: usize = 48;

/// Vectors of CVSS 3.1 and their base scores, times ten.
const VECTORS: [(&str, u8); 4] = [
    ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 98),
    ("CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:N/A:N", 75),
    ("CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", 61),
    ("CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:L/I:N/A:N", 33),
];

/// A feed of documents.
pub(crate) struct Almanac {
    feed: &'static str,
    entries: Vec<Entry>,
}

/// A document and how it changed.
struct Entry {
    name: String,
    /// In the order of time, with the second each began to hold.
    states: Vec<(i64, Value)>,
}

fn document<T: Serialize>(document: &T) -> Value {
    serde_json::to_value(document).expect("wire documents have string keys and no NaN")
}

impl Almanac {
    /// Rules for system requirements.
    pub(crate) fn sysreqs() -> Self {
        let entries = catalogue::rows(include_str!("../data/sysreqs.tsv")).map(|row| {
            let rule = rule(&row);
            Entry { name: rule.name.clone(), states: vec![(START * DAY - 1, document(&rule))] }
        });
        Self { feed: "sysreqs", entries: entries.collect() }
    }

    /// Distributions; each is there from about the day it came out.
    pub(crate) fn distros() -> Self {
        let entries = catalogue::rows(include_str!("../data/distros.tsv")).map(|row| {
            let since: i64 = row[8].parse().expect("the embedded table has numbers for days");
            let distro = distro(&row);
            Entry { name: distro.name.clone(), states: vec![(since.max(START) * DAY - 1, document(&distro))] }
        });
        Self { feed: "distros", entries: entries.collect() }
    }

    /// Made-up vulnerabilities of earlier versions of real packages.
    pub(crate) fn vulns(seed: u64) -> Self {
        Self { feed: "vulns", entries: (1..=KNOWN + TO_COME).map(|number| vulnerability(seed, number)).collect() }
    }
}

fn list(cell: &str) -> Vec<String> {
    cell.split(", ").filter(|item| !item.is_empty()).map(str::to_owned).collect()
}

/// What the packages need is in a repository of a subscription that is not on by itself; more than a command does.
const ON_SUBSCRIPTION: &str = "#!/bin/sh\nset -e\nsubscription-manager repos --enable rhel-7-server-optional-rpms\n\
                               yum install -y epel-release\n";

fn rule(row: &[&'static str; 11]) -> SysreqsRule {
    let [name, words, applies_to, apt, dnf, zypper, flags, ..] = *row;
    let on = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), Vec::new())).collect();
    let install = |on: BTreeMap<String, Vec<String>>, packages: &str, before: Option<&str>| SysreqsInstall {
        on,
        packages: list(packages),
        post_install: flags.contains('j').then(|| "R CMD javareconf".to_owned()).into_iter().collect(),
        pre_install: before.map(str::to_owned).into_iter().collect(),
    };
    let epel = flags.contains('e').then_some("dnf install -y epel-release");
    let mut installs = vec![
        install(on(&["debian", "ubuntu"]), apt, None),
        install(on(&["centos", "redhat", "rockylinux"]), dnf, epel),
        install(on(&["opensuse", "sle"]), zypper, None),
    ];
    if epel.is_some() {
        // The oldest release has another package manager.
        let old = |name: &str| BTreeMap::from([(name.to_owned(), vec!["7".to_owned()])]);
        installs.insert(0, install(old("centos"), dnf, Some("yum install -y epel-release")));
        installs.insert(1, install(old("redhat"), dnf, Some(ON_SUBSCRIPTION)));
    }
    installs.retain(|install| !install.packages.is_empty());
    SysreqsRule {
        applies_to: list(applies_to),
        installs,
        name: name.to_owned(),
        words: words.split('|').map(str::to_owned).collect(),
    }
}

fn distro(row: &[&'static str; 11]) -> Distro {
    let [name, os, code, distribution, release, arch, flags, display, ..] = *row;
    let install_command = match (distribution, release) {
        ("debian" | "ubuntu", _) => Some("apt-get install -y"),
        ("centos" | "redhat", "7") => Some("yum install -y"),
        ("centos" | "redhat" | "rockylinux", _) => Some("dnf install -y"),
        ("opensuse" | "sle", _) => Some("zypper --non-interactive install"),
        _ => None,
    };
    Distro {
        arch: list(arch),
        binaries: flags.contains('b'),
        code: code.to_owned(),
        display: display.to_owned(),
        distribution: distribution.to_owned(),
        hidden: flags.contains('h'),
        install_command: install_command.map(str::to_owned),
        name: name.to_owned(),
        os: os.to_owned(),
        release: release.to_owned(),
        sysreqs: flags.contains('s'),
    }
}

fn vulnerability(seed: u64, number: usize) -> Entry {
    let mut draw = Draw::new(seed, "vulns", &number.to_string(), "vulnerability");
    let day = if number <= KNOWN {
        FACTS_OF - draw.between(1, 1000)
    } else {
        // Every month brings one or two.
        FACTS_OF + (number - KNOWN) as i64 * (HORIZON - FACTS_OF) / (TO_COME as i64 + 1)
    };
    let published = moment(&mut draw, day);
    let id = format!("TEAMSIM-{}-{number:04}", time(published).format("%Y"));
    // `fixed` is the newest known version, so that it is clean and all before it are not.
    let (ecosystem, name, fixed) = if draw.chance(0.5) {
        let entries = &catalogue::cran().all;
        let entry = &entries[draw.below(entries.len() as u64) as usize];
        ("CRAN", entry.name, entry.version)
    } else {
        let entries = &catalogue::pypi().all;
        let entry = &entries[draw.below(entries.len() as u64) as usize];
        ("PyPI", entry.name.as_str(), entry.history.last().map_or("0", |(version, _)| *version))
    };
    let (vector, base_score_tenths) = VECTORS[draw.below(VECTORS.len() as u64) as usize];
    let event = |kind: &str, version: &str| BTreeMap::from([(kind.to_owned(), version.to_owned())]);
    let first = Vulnerability {
        affected: vec![Affected {
            package: AffectedPackage { ecosystem: ecosystem.to_owned(), name: name.to_owned() },
            ranges: vec![AffectedRange {
                events: vec![event("introduced", "0"), event("fixed", fixed)],
                kind: "ECOSYSTEM".to_owned(),
            }],
        }],
        aliases: Vec::new(),
        database_specific: DatabaseSpecific { base_score_tenths, invented: true },
        details: format!(
            "Made up by teamsim for tests and training. Nobody ever found it; {name} is named because people know the name."
        ),
        id: id.clone(),
        modified: time(published),
        published: time(published),
        severity: vec![Severity { score: vector.to_owned(), kind: "CVSS_V3".to_owned() }],
        summary: format!("Invented vulnerability in {name} before {fixed}"),
        withdrawn: None,
    };
    let mut states = vec![(published, document(&first))];
    if number.is_multiple_of(12) {
        let at = published + draw.between(5, 90) * DAY;
        let withdrawn = Vulnerability { modified: time(at), withdrawn: Some(time(at)), ..first };
        states.push((at, document(&withdrawn)));
    }
    Entry { name: id, states }
}

impl Packages for Almanac {
    fn feed(&self) -> &'static str {
        self.feed
    }

    fn kind(&self) -> FeedKind {
        FeedKind::Documents
    }

    fn history_from(&self) -> NaiveDate {
        history::date(START)
    }

    fn count(&self) -> u32 {
        self.entries.len() as u32
    }

    fn name(&self, package: Package) -> String {
        self.entries[package as usize].name.clone()
    }

    fn events(&self, package: Package) -> Vec<Event> {
        let states = self.entries[package as usize].states.iter().enumerate();
        states
            .map(|(i, (at, _))| Event {
                at: *at,
                op: if i == 0 { Op::Add } else { Op::Update },
                version: String::new(),
            })
            .collect()
    }

    fn record(&self, package: Package, cut: i64) -> Record {
        let entry = &self.entries[package as usize];
        let holds = entry.states.iter().rfind(|(at, _)| *at < cut).unwrap_or(&entry.states[0]);
        let record = DocumentRecord {
            changed_at: time(holds.0),
            document: holds.1.clone(),
            name: entry.name.clone(),
            removed_at: None,
        };
        Record { json: canonical_json(&record), files: Vec::new() }
    }

    /// Documents have no files.
    fn file(&self, _: Package, _: u32) -> Vec<u8> {
        Vec::new()
    }
}
