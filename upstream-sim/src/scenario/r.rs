//! R scenarios: those of Python, with what matters for R.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use pkg_formats::dcf;
use pkg_formats::psp::{FeedKind, Op, RRecord, RState, RVersion};
use pkg_formats::r::{self, R_BASE, deps, is_package_name};
use serde::Deserialize;

use super::{Expected, check_name};
use crate::artifacts::{self, Builds};
use crate::catalogue::{self, r_name};
use crate::history::{DAY, Event, date, day, time};
use crate::packages::{Package, Packages, Record};

/// The day before the feed's history begins; a version without a date came then, so that every snapshot has it.
pub(crate) const DAY_OF_ALL: i64 = 17_448;

/// What a file says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// `r`.
    pub language: String,
    /// Its name.
    pub name: String,
    /// What it is about.
    #[serde(default)]
    pub description: String,
    /// What is asked for.
    pub root: Root,
    /// What there is.
    #[serde(default)]
    pub packages: BTreeMap<String, Versions>,
    /// What should come of it.
    pub expected: Expected,
}

/// What is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// The R that asks, such as `4.4`.
    pub r: Option<String>,
    /// The date of the snapshot that is asked; the newest without one.
    pub snapshot: Option<NaiveDate>,
    /// Names of packages.
    #[serde(default)]
    pub requires: Vec<String>,
}

/// Versions of a package and its end.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    /// By version.
    #[serde(default)]
    pub versions: BTreeMap<String, Version>,
    /// The day on which the package as a whole was archived.
    pub archived: Option<NaiveDate>,
    /// The day on which it was taken away, with its archive.
    pub removed: Option<NaiveDate>,
}

/// One version of a package.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Version {
    /// Items of the field `Depends`; names of the scenario, of packages of R, or `R` itself.
    pub depends: Vec<String>,
    /// Items of `Imports`.
    pub imports: Vec<String>,
    /// Items of `LinkingTo`.
    pub linking_to: Vec<String>,
    /// Items of `Suggests`.
    pub suggests: Vec<String>,
    /// Text of `SystemRequirements`.
    pub system_requirements: String,
    /// The day on which it came.
    pub published: Option<NaiveDate>,
    /// Minor versions of R that it is built for; all when left out.
    pub binaries: Option<Vec<String>>,
    /// The title.
    pub description: String,
}

/// A name, or an item of a dependency field, as it is published.
pub(crate) fn published(scenario: &str, item: &str) -> String {
    let item = item.trim_start();
    if R_BASE.contains(&r_name(item)) {
        return item.to_owned();
    }
    format!("{}.{item}", scenario.replace('-', "."))
}

/// A package to be published.
pub(crate) struct Published {
    name: String,
    releases: Vec<Release>,
    end: Option<(i64, Op)>,
}

struct Release {
    version: String,
    at: i64,
    description: dcf::Record,
    /// Names of the packages in `Imports`.
    imports: Vec<String>,
    builds: Builds,
}

impl Scenario {
    /// What it publishes.
    ///
    /// # Errors
    /// The key and what is wrong with its value.
    pub(crate) fn packages(&self) -> Result<Vec<Published>, String> {
        check_name(&self.name)?;
        let mut packages = Vec::new();
        for (package, versions) in &self.packages {
            let name = published(&self.name, package);
            if !is_package_name(&name) || catalogue::cran().places.contains_key(&name) {
                return Err(format!("packages.{package}: {name:?} is not a new name of a package"));
            }
            let mut releases = Vec::new();
            for (text, version) in &versions.versions {
                let release = self.release(&name, text, version);
                releases.push(release.map_err(|reason| format!("packages.{package}.versions.{text:?}: {reason}"))?);
            }
            // Each has been parsed.
            releases.sort_by_cached_key(|release: &Release| release.version.parse::<r::RVersion>().ok());
            for i in 1..releases.len() {
                let before = releases[i - 1].at;
                if releases[i].at / DAY < before / DAY {
                    let (old, new) = (&releases[i - 1].version, &releases[i].version);
                    return Err(format!("packages.{package}.versions: {new} is published before {old}"));
                }
                // Two of one day come one after the other.
                releases[i].at = releases[i].at.max(before + 1);
            }
            let end = match (versions.archived, versions.removed) {
                (Some(_), Some(_)) => return Err(format!("packages.{package}: either `archived` or `removed`")),
                (Some(on), None) => Some((day(on) * DAY, Op::Archive)),
                (None, Some(on)) => Some((day(on) * DAY, Op::Remove)),
                (None, None) => None,
            };
            let Some(last) = releases.last() else { continue };
            if end.is_some_and(|(at, _)| at <= last.at) {
                return Err(format!("packages.{package}: it ends before version {} is published", last.version));
            }
            packages.push(Published { name, releases, end });
        }
        Ok(packages)
    }

    fn release(&self, name: &str, text: &str, version: &Version) -> Result<Release, String> {
        let title = match version.description.as_str() {
            "" => format!("Part of Scenario {}", self.name),
            said => said.split_whitespace().collect::<Vec<_>>().join(" "),
        };
        let mut fields = vec![
            ("Package", name.to_owned()),
            ("Title", title),
            ("Version", text.to_owned()),
            ("Description", "Synthetic contents made by teamsim for a scenario.".to_owned()),
            ("License", "MIT".to_owned()),
        ];
        for (key, field, items) in [
            ("depends", "Depends", &version.depends),
            ("imports", "Imports", &version.imports),
            ("linking_to", "LinkingTo", &version.linking_to),
            ("suggests", "Suggests", &version.suggests),
        ] {
            let items: Vec<String> = items.iter().map(|item| published(&self.name, item)).collect();
            let joined = items.join(", ");
            let parsed = deps::parse(&joined).map_err(|error| format!("{key}: {error}"))?;
            if let Some(bad) = parsed.iter().find(|item| item.name != "R" && !is_package_name(&item.name)) {
                return Err(format!("{key}: {:?} is not the name of a package", bad.name));
            }
            if !items.is_empty() {
                fields.push((field, joined));
            }
        }
        if !version.system_requirements.is_empty() {
            let text = version.system_requirements.split_whitespace().collect::<Vec<_>>().join(" ");
            fields.push(("SystemRequirements", text));
        }
        fields.extend([
            ("NeedsCompilation", if version.linking_to.is_empty() { "no" } else { "yes" }.to_owned()),
            ("Author", "teamsim".to_owned()),
            ("Maintainer", "teamsim <teamsim@example.org>".to_owned()),
            ("Repository", "CRAN".to_owned()),
        ]);
        let description: dcf::Record = fields.into_iter().collect();
        r::package::identity(&description).map_err(|error| error.to_string())?;
        let builds = match &version.binaries {
            None => Builds::all(),
            Some(minors) => minors
                .iter()
                .map(|minor| Builds::find(minor).ok_or_else(|| format!("binaries: nothing is built for R {minor:?}")))
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .fold(Builds::default(), Builds::and),
        };
        let at = version.published.map_or(DAY_OF_ALL, day);
        if !(DAY_OF_ALL..crate::history::HORIZON).contains(&at) {
            return Err(format!("published: outside {} to {}", date(DAY_OF_ALL), date(crate::history::HORIZON)));
        }
        let imports = version.imports.iter().map(|item| r_name(&published(&self.name, item)).to_owned()).collect();
        Ok(Release { version: text.to_owned(), at: at * DAY, description, imports, builds })
    }
}

/// What the scenarios publish, as part of feed `cran`.
pub(crate) struct PublishedPackages(pub(crate) Vec<Published>);

fn version_of<'a>(package: &'a Published, release: &'a Release) -> artifacts::Version<'a> {
    artifacts::Version {
        description: &release.description,
        name: &package.name,
        version: &release.version,
        at: release.at,
        imports: &release.imports,
    }
}

impl Packages for PublishedPackages {
    fn feed(&self) -> &'static str {
        "cran"
    }

    fn kind(&self) -> FeedKind {
        FeedKind::R
    }

    fn history_from(&self) -> NaiveDate {
        date(DAY_OF_ALL + 1)
    }

    fn count(&self) -> u32 {
        self.0.len() as u32
    }

    fn name(&self, package: Package) -> String {
        self.0[package as usize].name.clone()
    }

    fn events(&self, package: Package) -> Vec<Event> {
        let package = &self.0[package as usize];
        let event = |at, op, release: &Release| Event { at, op, version: release.version.clone() };
        let releases = package.releases.iter().enumerate();
        let mut events: Vec<Event> = releases
            .map(|(i, release)| event(release.at, if i == 0 { Op::Add } else { Op::Update }, release))
            .collect();
        events.extend(package.end.zip(package.releases.last()).map(|((at, op), last)| event(at, op, last)));
        events
    }

    fn record(&self, package: Package, cut: i64) -> Record {
        let package = &self.0[package as usize];
        let mut files = Vec::new();
        let versions = package
            .releases
            .iter()
            .enumerate()
            .take_while(|(_, release)| release.at < cut)
            .map(|(i, release)| {
                let over = package.releases.get(i + 1).map(|next| next.at).or(package.end.map(|(at, _)| at));
                let archived_at = over.filter(|at| *at < cut).map(time);
                RVersion {
                    archived_at,
                    artifacts: version_of(package, release).artifacts(i, &release.builds, &mut files),
                    description: dcf::write(std::slice::from_ref(&release.description)),
                    published_at: time(release.at),
                    readme: None,
                    readme_type: None,
                    state: if archived_at.is_some() { RState::Archived } else { RState::Current },
                    version: release.version.clone(),
                }
            })
            .collect();
        let removed_at = package.end.filter(|(at, op)| *op == Op::Remove && *at < cut).map(|(at, _)| time(at));
        let record = RRecord { name: package.name.clone(), removed_at, versions };
        Record { json: serde_json::to_vec(&record).expect("a record is plain data"), files }
    }

    fn file(&self, package: Package, file: u32) -> Vec<u8> {
        let package = &self.0[package as usize];
        version_of(package, &package.releases[artifacts::version_of(file)]).file(file)
    }
}
