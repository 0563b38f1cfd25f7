//! Releases of Bioconductor, a feed each.
//!
//! A release belongs to one minor version of R. On its day every package of it has a version that ends in `.0`; until the
//! release is over, half a year later, some get patches. In the next release the second number is two higher; what annotates
//! genomes counts the release itself. Of release 3.16 versions are facts (see `data/README.md`); of others they are reckoned.

use std::collections::HashSet;

use chrono::NaiveDate;
use pkg_formats::dcf;
use pkg_formats::psp::{BiocRecord, FeedKind, Op, RRecord, RState, RVersion};
use pkg_formats::r::R_BASE;

use crate::artifacts::{self, Builds, Version};
use crate::catalogue::{self, BiocEntry, r_items, r_name};
use crate::draw::Draw;
use crate::history::{self, DAY, Event, HORIZON, moment, time};
use crate::packages::{Package, Packages, Record};

/// The release that the table is of.
const FACTS: u32 = 16;

/// The package that says which release is installed.
const MARKER: &str = "BiocVersion";

/// A release `3.{minor}`.
struct Release {
    feed: &'static str,
    minor: u32,
    r: &'static str,
    /// Day since 1970 on which it came.
    day: i64,
    /// Day of the last patches.
    over: i64,
}

/// The last release's patches go on as long as the calendar does.
const RELEASES: [Release; 5] = [
    Release { feed: "bioc-3.16", minor: 16, r: "4.2", day: 19_298, over: 19_472 },
    Release { feed: "bioc-3.18", minor: 18, r: "4.3", day: 19_655, over: 19_843 },
    Release { feed: "bioc-3.20", minor: 20, r: "4.4", day: 20_026, over: 20_193 },
    Release { feed: "bioc-3.22", minor: 22, r: "4.5", day: 20_391, over: 20_571 },
    Release { feed: "bioc-3.23", minor: 23, r: "4.6", day: 20_572, over: HORIZON },
];

/// The packages of a release.
pub(crate) struct Bioc {
    seed: u64,
    release: &'static Release,
    packages: Vec<&'static BiocEntry>,
}

struct Patch {
    version: String,
    at: i64,
}

impl Bioc {
    /// All releases. `only` keeps those packages and what they need, and the one that marks the release.
    pub(crate) fn releases(seed: u64, only: Option<&[String]>) -> Vec<Self> {
        let entries = catalogue::bioc();
        let wanted = only.map(closure);
        let kept = |entry: &&BiocEntry| {
            entry.name == MARKER || wanted.as_ref().is_none_or(|wanted| wanted.contains(entry.name))
        };
        let packages: Vec<&BiocEntry> = entries.all.iter().filter(kept).collect();
        RELEASES.iter().map(|release| Self { seed, release, packages: packages.clone() }).collect()
    }

    fn patches(&self, entry: &BiocEntry) -> Vec<Patch> {
        let release = self.release;
        let mut draw = Draw::new(self.seed, release.feed, entry.name, "patches");
        let [x, y, z] = entry.numbers();
        let later = release.minor - FACTS;
        let (stem, known) = match entry.component {
            // Annotations and the marker count releases.
            _ if x == 3 && y == FACTS => (format!("3.{}", release.minor), 0),
            // Others come when their subject has changed.
            "data/annotation" => (format!("{x}.{y}"), z + later / 2),
            _ => (format!("{x}.{}", y + 2 * later), if later == 0 { z } else { 0 }),
        };
        let mut last = if entry.component == "data/annotation" { known } else { 0 };
        // The day before, so that the snapshot of the release's day has it.
        let mut at = moment(&mut draw, release.day - 1);
        let mut patches = vec![Patch { version: format!("{stem}.{last}"), at }];
        let active = entry.component == "bioc" && entry.name != MARKER;
        let most = if later == 0 { known } else { u32::MAX };
        let step = if later == 0 { (release.over - release.day) / i64::from(known + 1) } else { 160 };
        while active && last < most {
            at += draw.between(DAY, step * DAY);
            if at >= release.over * DAY {
                break;
            }
            last += 1;
            patches.push(Patch { version: format!("{stem}.{last}"), at });
        }
        patches
    }

    fn description(&self, entry: &BiocEntry, patch: &Patch) -> dcf::Record {
        let release = self.release;
        let title =
            if entry.title.is_empty() { format!("The Package '{}'", entry.name) } else { entry.title.to_owned() };
        let branch = format!("RELEASE_3_{}", release.minor);
        let mut fields: Vec<(&str, String)> = vec![
            ("Package", entry.name.to_owned()),
            ("Title", title),
            ("Version", patch.version.clone()),
            (
                "Description",
                "Synthetic contents made by teamsim for tests and training. This is not the real package: it exports one \
                 function that says so."
                    .to_owned(),
            ),
            ("License", entry.license.to_owned()),
        ];
        if entry.name == MARKER {
            fields.push(("Depends", format!("R (>= {}.0)", release.r)));
        }
        for (field, items) in [("Imports", entry.imports), ("LinkingTo", entry.linking_to)] {
            if !items.is_empty() {
                fields.push((field, items.to_owned()));
            }
        }
        fields.extend([
            ("biocViews", entry.view().to_owned()),
            ("NeedsCompilation", if entry.compiled { "yes" } else { "no" }.to_owned()),
            ("git_branch", branch),
            ("Author", "teamsim".to_owned()),
            ("Maintainer", "teamsim <teamsim@example.org>".to_owned()),
            ("Repository", format!("Bioconductor 3.{}", release.minor)),
            ("Date/Publication", time(patch.at).format("%Y-%m-%d").to_string()),
        ]);
        fields.into_iter().collect()
    }
}

impl Packages for Bioc {
    fn feed(&self) -> &'static str {
        self.release.feed
    }

    fn kind(&self) -> FeedKind {
        FeedKind::R
    }

    fn history_from(&self) -> NaiveDate {
        history::date(self.release.day)
    }

    fn count(&self) -> u32 {
        self.packages.len() as u32
    }

    fn name(&self, package: Package) -> String {
        self.packages[package as usize].name.to_owned()
    }

    fn events(&self, package: Package) -> Vec<Event> {
        let patches = self.patches(self.packages[package as usize]).into_iter().enumerate();
        patches
            .map(|(i, patch)| Event {
                at: patch.at,
                op: if i == 0 { Op::Add } else { Op::Update },
                version: patch.version,
            })
            .collect()
    }

    fn record(&self, package: Package, cut: i64) -> Record {
        let entry = self.packages[package as usize];
        let patches = self.patches(entry);
        let builds = Builds::find(self.release.r).expect("releases belong to known minor versions");
        let mut files = Vec::new();
        let versions = patches
            .iter()
            .enumerate()
            .take_while(|(_, patch)| patch.at < cut)
            .map(|(i, patch)| {
                let description = self.description(entry, patch);
                let version = Version {
                    description: &description,
                    name: entry.name,
                    version: &patch.version,
                    at: patch.at,
                    imports: &[],
                };
                let archived_at = patches.get(i + 1).map(|next| next.at).filter(|at| *at < cut).map(time);
                RVersion {
                    archived_at,
                    artifacts: version.artifacts(i, &builds, &mut files),
                    description: dcf::write(std::slice::from_ref(&description)),
                    published_at: time(patch.at),
                    readme: None,
                    readme_type: None,
                    state: if archived_at.is_some() { RState::Archived } else { RState::Current },
                    version: patch.version.clone(),
                }
            })
            .collect();
        let package = RRecord { name: entry.name.to_owned(), removed_at: None, versions };
        let record = BiocRecord { component: entry.component.to_owned(), package };
        Record { json: serde_json::to_vec(&record).expect("a record is plain data"), files }
    }

    fn file(&self, package: Package, file: u32) -> Vec<u8> {
        let entry = self.packages[package as usize];
        let patch = &self.patches(entry)[artifacts::version_of(file)];
        let description = self.description(entry, patch);
        Version { description: &description, name: entry.name, version: &patch.version, at: patch.at, imports: &[] }
            .file(file)
    }
}

/// What `names` need of CRAN: packages of Bioconductor may be among them.
pub(crate) fn needed_of_cran(names: &[String]) -> Vec<String> {
    let entries = catalogue::bioc();
    let names = closure(names);
    let needed = names.iter().filter_map(|name| entries.places.get(*name)).map(|place| &entries.all[*place]);
    needed
        .flat_map(|entry| [entry.imports, entry.linking_to])
        .flat_map(r_items)
        .map(r_name)
        .filter(|name| !R_BASE.contains(name) && !entries.places.contains_key(*name))
        .map(str::to_owned)
        .collect()
}

/// Those of `names` that are packages of Bioconductor, and all packages of it that they need.
fn closure(names: &[String]) -> HashSet<&'static str> {
    let entries = catalogue::bioc();
    let mut todo: Vec<usize> = names.iter().filter_map(|name| entries.places.get(name)).copied().collect();
    let mut found = HashSet::new();
    while let Some(place) = todo.pop() {
        let entry = &entries.all[place];
        if found.insert(entry.name) {
            let needed = [entry.imports, entry.linking_to].into_iter().flat_map(r_items).map(r_name);
            todo.extend(needed.filter_map(|name| entries.places.get(name)));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(minor: u32) -> Bioc {
        Bioc::releases(1, None).into_iter().find(|bioc| bioc.release.minor == minor).unwrap()
    }

    #[test]
    fn versions_follow_the_releases() {
        let entry = |name: &str| {
            let entries = catalogue::bioc();
            &entries.all[entries.places[name]]
        };
        let versions = |minor: u32, name: &str| -> Vec<String> {
            release(minor).patches(entry(name)).into_iter().map(|patch| patch.version).collect()
        };
        assert_eq!(versions(16, "DESeq2"), ["1.38.0", "1.38.1", "1.38.2", "1.38.3"]);
        assert_eq!(versions(18, "DESeq2")[0], "1.42.0");
        assert_eq!(versions(16, "BiocVersion"), ["3.16.0"]);
        assert_eq!(versions(22, "BiocVersion"), ["3.22.0"]);
        assert_eq!(versions(22, "org.Hs.eg.db"), ["3.22.0"]);
        assert_eq!(versions(16, "GenomeInfoDbData"), ["1.2.9"]);
    }
}
