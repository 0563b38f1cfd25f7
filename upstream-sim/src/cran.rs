//! R packages: the catalogue's, with made-up earlier and later versions, and made-up ones.
//!
//! The newest known version of a real package has its true dependencies. Of all its other versions only the names of the
//! dependencies are kept, as far as those packages existed then, so that every snapshot can be installed.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDate;
use pkg_formats::dcf;
use pkg_formats::psp::{FeedKind, Op, RRecord, RState, RVersion};
use pkg_formats::r::R_BASE;

use crate::artifacts::{self, Builds, Version};
use crate::catalogue::{self, CranEntry, r_items, r_name};
use crate::draw::Draw;
use crate::history::{
    self, DAY, Event, MOST_VERSIONS, filler_releases, grow, is_leaf, later_releases, lower_rank, moment, time,
};
use crate::names;
use crate::packages::{Package, Packages, Record};

const FEED: &str = "cran";

/// 2017-10-10, the first day of the real service's history.
const START: i64 = 17_449;

/// Real packages that made-up ones like to import.
const POPULAR: [&str; 16] = [
    "rlang",
    "dplyr",
    "ggplot2",
    "magrittr",
    "stringr",
    "tibble",
    "purrr",
    "jsonlite",
    "data.table",
    "Rcpp",
    "tidyr",
    "shiny",
    "httr",
    "lubridate",
    "Matrix",
    "cli",
];

/// All R packages.
pub(crate) struct Cran {
    seed: u64,
    real: Vec<&'static CranEntry>,
    /// Day on which a real package must be there, since the newest known version of another needs it, by name.
    needed: HashMap<&'static str, i64>,
    /// Second of a real package's first release, by name.
    known: HashMap<&'static str, i64>,
    /// Made-up packages on the day of the facts.
    fillers: u32,
    /// Those that are born later.
    unborn: u32,
}

/// One version of a package.
struct Release {
    version: String,
    at: i64,
    /// For real packages: it is the newest known version or a later one.
    newest: bool,
}

/// How a package ends.
#[derive(Clone, Copy)]
enum End {
    Archived(i64),
    Removed(i64),
}

impl Cran {
    /// `total` packages (no fewer than the real ones). `only` keeps of the real ones those and what they need.
    pub(crate) fn new(seed: u64, total: u32, only: Option<&[String]>) -> Self {
        let entries = catalogue::cran();
        let wanted = only.map(closure);
        let real: Vec<&CranEntry> = entries
            .all
            .iter()
            .filter(|entry| wanted.as_ref().is_none_or(|wanted| wanted.contains(entry.name)))
            .collect();
        let fillers = total.saturating_sub(real.len() as u32);
        let mut needed = HashMap::new();
        for entry in &real {
            for item in [entry.depends, entry.imports, entry.linking_to].into_iter().flat_map(r_items) {
                let day: &mut i64 = needed.entry(r_name(item)).or_insert(entry.day);
                *day = entry.day.min(*day);
            }
        }
        let mut cran = Self { seed, real, needed, known: HashMap::new(), fillers, unborn: fillers / 10 };
        cran.known = cran.real.iter().map(|entry| (entry.name, cran.real_releases(entry)[0].at)).collect();
        cran
    }

    fn filler(&self, package: Package) -> Option<u32> {
        package.checked_sub(self.real.len() as u32)
    }

    fn releases(&self, package: Package, name: &str) -> Vec<Release> {
        match self.filler(package) {
            None => self.real_releases(self.real[package as usize]),
            Some(index) => self.filler_releases(index, name, MOST_VERSIONS),
        }
    }

    fn real_releases(&self, entry: &CranEntry) -> Vec<Release> {
        let mut draw = Draw::new(self.seed, FEED, entry.name, "earlier");
        let mut releases =
            vec![Release { version: entry.version.to_owned(), at: moment(&mut draw, entry.day), newest: true }];
        let mut day = entry.day;
        let needed = self.needed.get(entry.name).copied().unwrap_or(day);
        let count = draw.between(3, 7);
        for left in (0..count).rev() {
            let last = &releases[releases.len() - 1].version;
            let Some(version) = earlier_version(&mut draw, last) else { break };
            day -= draw.between(60, 300);
            if left == 0 {
                day = day.min(needed - draw.between(1, 200));
            }
            releases.push(Release { version, at: moment(&mut draw, day), newest: false });
        }
        releases.reverse();
        for at in later_releases(self.seed, FEED, entry.name) {
            let version = history::next_version(&releases[releases.len() - 1].version);
            releases.push(Release { version, at, newest: true });
        }
        releases
    }

    fn filler_releases(&self, index: u32, name: &str, most: usize) -> Vec<Release> {
        let mut draw = Draw::new(self.seed, FEED, name, "versions");
        let scheme = draw.below(10);
        let mut numbers = [draw.below(2), 1 + draw.below(2), draw.below(3)];
        filler_releases(self.seed, FEED, name, (index, self.fillers), START, most)
            .into_iter()
            .map(|at| {
                let [a, b, c] = numbers;
                let version = match scheme {
                    0 | 1 => format!("{a}.{b}-{c}"),
                    2 if draw.chance(0.3) => format!("{a}.{b}.{c}.9000"),
                    _ => format!("{a}.{b}.{c}"),
                };
                grow(&mut draw, &mut numbers);
                Release { version, at, newest: false }
            })
            .collect()
    }

    /// Some packages that nothing needs are archived or removed some time after their last release.
    fn end(&self, package: Package, name: &str, releases: &[Release]) -> Option<End> {
        let index = self.filler(package)?;
        let mut draw = Draw::new(self.seed, FEED, name, "end");
        let fate = draw.unit();
        if !is_leaf(self.seed, FEED, index) || fate > 0.4 {
            return None;
        }
        // After one of its releases, not before: what was never there cannot end.
        let after = releases[draw.below(releases.len() as u64) as usize].at;
        let at = after + draw.between(30 * DAY, 900 * DAY);
        Some(if fate < 0.05 { End::Removed(at) } else { End::Archived(at) })
    }

    /// Releases and end together: after the end nothing is released.
    fn life(&self, package: Package, name: &str) -> (Vec<Release>, Option<End>) {
        let mut releases = self.releases(package, name);
        let end = self.end(package, name, &releases);
        if let Some(End::Archived(at) | End::Removed(at)) = end {
            releases.retain(|release| release.at < at);
        }
        (releases, end)
    }

    fn description(&self, package: Package, name: &str, release: &Release) -> dcf::Record {
        let mut fields: Vec<(&str, String)> = vec![("Package", name.to_owned())];
        let made_up = "Synthetic contents made by teamsim for tests and training. This is not the real package: it exports \
                       one function that says so.";
        match self.filler(package) {
            None => {
                let entry = self.real[package as usize];
                let title =
                    if entry.title.is_empty() { format!("The Package '{name}'") } else { entry.title.to_owned() };
                fields.push(("Title", title));
                fields.push(("Version", release.version.clone()));
                if entry.recommended {
                    fields.push(("Priority", "recommended".to_owned()));
                }
                fields.push(("Description", made_up.to_owned()));
                fields.push(("License", entry.license.to_owned()));
                for (field, items) in [
                    ("Depends", entry.depends),
                    ("Imports", entry.imports),
                    ("LinkingTo", entry.linking_to),
                    ("Suggests", entry.suggests),
                ] {
                    let kept = r_items(items).filter_map(|item| self.kept_item(item, release)).collect::<Vec<_>>();
                    if !kept.is_empty() {
                        fields.push((field, kept.join(", ")));
                    }
                }
                if !entry.system_requirements.is_empty() {
                    fields.push(("SystemRequirements", entry.system_requirements.to_owned()));
                }
                fields.push(("NeedsCompilation", if entry.compiled { "yes" } else { "no" }.to_owned()));
            }
            Some(index) => {
                let mut draw = Draw::new(self.seed, FEED, name, "description");
                let title = match draw.below(12) {
                    0 => format!("Größen, Maße & Modèles for '{name}'"),
                    1 => format!("数据 Tools for '{name}'"),
                    _ => format!("Made-Up Tools for '{name}'"),
                };
                fields.push(("Title", title));
                fields.push(("Version", release.version.clone()));
                fields.push(("Description", made_up.to_owned()));
                fields.push((
                    "License",
                    ["MIT + file LICENSE", "GPL-3", "GPL (>= 2)", "Apache License 2.0"][draw.below(4) as usize]
                        .to_owned(),
                ));
                let r = match draw.below(8) {
                    // Only packages that nothing needs may ask for a newer R than some clients have.
                    0 if is_leaf(self.seed, FEED, index) => Some("R (>= 4.4.0)"),
                    1..=4 => Some("R (>= 3.5.0)"),
                    _ => None,
                };
                if let Some(r) = r {
                    fields.push(("Depends", r.to_owned()));
                }
                let imports = self.filler_imports(index, name, release);
                let links = imports.iter().any(|item| item == "Rcpp");
                if !imports.is_empty() {
                    fields.push(("Imports", imports.join(", ")));
                }
                if links {
                    fields.push(("LinkingTo", "Rcpp".to_owned()));
                }
                if draw.chance(0.05) {
                    fields.push((
                        "SystemRequirements",
                        ["libxml2", "libcurl", "openssl", "GNU make"][draw.below(4) as usize].to_owned(),
                    ));
                }
                fields.push(("NeedsCompilation", if links { "yes" } else { "no" }.to_owned()));
            }
        }
        fields.push(("Author", "teamsim".to_owned()));
        fields.push(("Maintainer", "teamsim <teamsim@example.org>".to_owned()));
        fields.push(("Repository", "CRAN".to_owned()));
        fields.push(("Date/Publication", time(release.at).format("%Y-%m-%d %H:%M:%S UTC").to_string()));
        fields.into_iter().collect()
    }

    /// An item of a real package's dependency field as `release` has it.
    fn kept_item(&self, item: &'static str, release: &Release) -> Option<String> {
        let name = r_name(item);
        if R_BASE.contains(&name) {
            return Some(item.to_owned());
        }
        let first = self.known.get(name)?;
        match (release.newest, *first <= release.at) {
            (true, _) => Some(item.to_owned()),
            (false, true) => Some(name.to_owned()),
            (false, false) => None,
        }
    }

    fn filler_imports(&self, index: u32, name: &str, release: &Release) -> Vec<String> {
        let mut draw = Draw::new(self.seed, FEED, name, "imports");
        let mut imports = Vec::new();
        let mut seen = HashSet::new();
        while imports.len() < 8 && draw.chance(0.62) {
            if draw.chance(0.4) {
                // The first of the list are the most popular.
                let popular = POPULAR[lower_rank(&mut draw, POPULAR.len() as u32) as usize];
                if self.known.get(popular).is_some_and(|first| *first <= release.at) && seen.insert(popular.to_owned())
                {
                    imports.push(popular.to_owned());
                }
            } else if index > 0 {
                let target = lower_rank(&mut draw, index);
                let bounded = draw.chance(0.3);
                let other = names::cran(self.seed, target);
                if is_leaf(self.seed, FEED, target) || !seen.insert(other.clone()) {
                    continue;
                }
                let first = &self.filler_releases(target, &other, 1)[0];
                if first.at <= release.at {
                    imports.push(if bounded { format!("{other} (>= {})", first.version) } else { other });
                }
            }
        }
        imports
    }

    /// What `release` is built for. `until`: when it stopped being current. `age`: how many releases up to the newest
    /// known one come after it.
    fn builds(&self, package: Package, name: &str, release: &Release, until: Option<i64>, age: usize) -> Builds {
        let desktop = Builds::desktop(release.at, until);
        match self.filler(package) {
            None if age == 0 => Builds::all(),
            None => Builds { linux: vec![0], ..Builds::default() }.with_desktop(&desktop),
            Some(_) => {
                let mut draw = Draw::new(self.seed, FEED, name, &format!("binaries {}", release.version));
                // Builds fail now and then; clients then get the source.
                if draw.chance(0.08) {
                    return Builds::default();
                }
                let newest = Builds::newest_on(release.at / DAY);
                let linux = if newest == 0 || draw.chance(0.05) { vec![newest] } else { vec![0, newest] };
                let builds = Builds { linux, ..Builds::default() };
                // Hashing files of all versions would take too long.
                if !Builds::is_recent(until) {
                    return builds;
                }
                let mut builds = builds.with_desktop(&desktop);
                builds.windows.retain(|_| !draw.chance(0.04));
                builds.macos.retain(|_| !draw.chance(0.06));
                builds
            }
        }
    }
}

impl Packages for Cran {
    fn feed(&self) -> &'static str {
        FEED
    }

    fn kind(&self) -> FeedKind {
        FeedKind::R
    }

    fn history_from(&self) -> NaiveDate {
        history::date(START)
    }

    fn count(&self) -> u32 {
        self.real.len() as u32 + self.fillers + self.unborn
    }

    fn name(&self, package: Package) -> String {
        match self.filler(package) {
            None => self.real[package as usize].name.to_owned(),
            Some(index) => names::cran(self.seed, index),
        }
    }

    fn events(&self, package: Package) -> Vec<Event> {
        let name = self.name(package);
        let (releases, end) = self.life(package, &name);
        let newest = releases.last().map(|release| release.version.clone());
        let mut events: Vec<Event> = releases
            .into_iter()
            .enumerate()
            .map(|(i, release)| Event {
                at: release.at,
                op: if i == 0 { Op::Add } else { Op::Update },
                version: release.version,
            })
            .collect();
        if let (Some(end), Some(version)) = (end, newest) {
            let (at, op) = match end {
                End::Archived(at) => (at, Op::Archive),
                End::Removed(at) => (at, Op::Remove),
            };
            events.push(Event { at, op, version });
        }
        events
    }

    fn record(&self, package: Package, cut: i64) -> Record {
        let name = self.name(package);
        let (releases, end) = self.life(package, &name);
        let anchor = releases.iter().position(|release| release.newest).unwrap_or(0);
        let mut files = Vec::new();
        let versions: Vec<RVersion> = releases
            .iter()
            .enumerate()
            .take_while(|(_, release)| release.at < cut)
            .map(|(i, release)| {
                let description = self.description(package, &name, release);
                let next = releases.get(i + 1).map(|next| next.at);
                let over = next.or(match end {
                    Some(End::Archived(at) | End::Removed(at)) => Some(at),
                    None => None,
                });
                let archived_at = over.filter(|at| *at < cut).map(time);
                let version = Version {
                    description: &description,
                    name: &name,
                    version: &release.version,
                    at: release.at,
                    imports: &[],
                };
                let builds = self.builds(package, &name, release, over, anchor.saturating_sub(i));
                RVersion {
                    archived_at,
                    artifacts: version.artifacts(i, &builds, &mut files),
                    description: dcf::write(std::slice::from_ref(&description)),
                    published_at: time(release.at),
                    readme: None,
                    readme_type: None,
                    state: if archived_at.is_some() { RState::Archived } else { RState::Current },
                    version: release.version.clone(),
                }
            })
            .collect();
        let removed_at = match end {
            Some(End::Removed(at)) if at < cut => Some(time(at)),
            _ => None,
        };
        let json = serde_json::to_vec(&RRecord { name, removed_at, versions }).expect("a record is plain data");
        Record { json, files }
    }

    fn file(&self, package: Package, file: u32) -> Vec<u8> {
        let name = self.name(package);
        let (releases, _) = self.life(package, &name);
        let release = &releases[artifacts::version_of(file)];
        let description = self.description(package, &name, release);
        Version { description: &description, name: &name, version: &release.version, at: release.at, imports: &[] }
            .file(file)
    }
}

/// Names and all that they need, directly or not, of the real packages.
fn closure(names: &[String]) -> HashSet<&'static str> {
    let entries = catalogue::cran();
    let mut todo: Vec<usize> = names.iter().filter_map(|name| entries.places.get(name)).copied().collect();
    let mut found = HashSet::new();
    while let Some(place) = todo.pop() {
        let entry = &entries.all[place];
        if found.insert(entry.name) {
            let needed = [entry.depends, entry.imports, entry.linking_to];
            todo.extend(needed.into_iter().flat_map(r_items).filter_map(|item| entries.places.get(r_name(item))));
        }
    }
    found
}

/// A version somewhat before `version`: one less in the last number that can be less.
fn earlier_version(draw: &mut Draw, version: &str) -> Option<String> {
    let mut parts: Vec<(String, String)> = Vec::new();
    // Number and the separator after it.
    for piece in version.split_inclusive(['.', '-']) {
        let number = piece.trim_end_matches(['.', '-']);
        parts.push((number.to_owned(), piece[number.len()..].to_owned()));
    }
    let place = parts.iter().rposition(|(number, _)| number.parse::<u64>().is_ok_and(|number| number > 0))?;
    let number: u64 = parts[place].0.parse().ok()?;
    parts[place].0 = (number - 1).to_string();
    for (later, _) in &mut parts[place + 1..] {
        *later = (1 + draw.below(8)).to_string();
    }
    Some(parts.into_iter().map(|(number, separator)| number + &separator).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn earlier_versions_are_earlier() {
        let mut draw = Draw::new(1, "", "", "");
        for entry in &catalogue::cran().all {
            let mut version = entry.version.to_owned();
            for _ in 0..8 {
                let Some(earlier) = earlier_version(&mut draw, &version) else { break };
                let parse = |text: &str| text.parse::<pkg_formats::r::RVersion>().unwrap();
                assert!(parse(&earlier) < parse(&version), "{earlier} {version}");
                version = earlier;
            }
        }
    }
}
