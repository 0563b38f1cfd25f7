//! Sources that follow a built-in one: `cran-snapshot` shows all of CRAN as of a date, `curated-cran` and `curated-pypi` hold chosen
//! packages as of a date.
//!
//! A `cran-snapshot` is a pin; nothing is copied. A curated source has copies of the records, cut off at its date, so that they are
//! what they were whatever happens to the built-in source later. They change only by an update, which can be tried without being
//! committed. In `curated-cran` packages bring along what they depend on; which kinds of dependencies, `include` says: that of the
//! update, else the one that the source was made with.
//!
//! What packages were asked for with is kept: moved to another date without a list, a source has the same packages within the same bounds.

mod wanted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use pkg_formats::psp::{Digest, PythonRecord, RRecord};
use pkg_formats::python::name::normalize;
use pkg_formats::python::requirements::{self, Kind, Requirement};
use pkg_formats::python::version;
use pkg_formats::{dcf, r};
use serde::{Deserialize, Serialize};
use sim_kit::{Db, Tx};

use crate::app::App;
use crate::error::Error;
use crate::record::{self, instant};
use crate::snapshot::{parse_date, parse_id};
use crate::store::packages::{self, Package, Shows};
use crate::store::sources::{self, Source};
use crate::store::transactions::{self, Point, Transaction};
use wanted::Wanted;

/// What to change about a source.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Update {
    /// The new date; none: the one it has.
    pub snapshot: Option<String>,
    /// R packages to be added; each may say which versions will do, as a line of `requirements` does.
    pub packages: Vec<String>,
    /// R packages to be taken out, without what they brought along.
    pub remove: Vec<String>,
    /// Whether `packages` are all there shall be.
    pub only: bool,
    /// Which dependencies come along: `depends`, `imports`, `linking-to`, `suggests` (of the named packages only), `none`, `all`.
    pub include: Option<Vec<String>>,
    /// Besides those, what the named packages suggest.
    pub include_suggests: bool,
    /// A requirements file that says which packages there shall be.
    pub requirements: Option<String>,
    /// Do it; else only tell.
    pub commit: bool,
}

/// A package and its version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Named {
    /// The package.
    pub name: String,
    /// The version that the index shows.
    pub version: String,
}

/// What an update changes, or would.
#[derive(Debug, Default, Serialize)]
pub struct Updated {
    /// The date that the source shows.
    pub snapshot: String,
    /// New packages.
    pub added: Vec<Named>,
    /// Packages with another version.
    pub updated: Vec<Named>,
    /// Packages that are gone.
    pub removed: Vec<Named>,
    /// Dependencies that the snapshot does not have; packages that come with R are not meant.
    pub missing: Vec<String>,
    /// Whether it was done.
    pub committed: bool,
    /// Number of the transaction; none if it was not done.
    pub transaction: Option<i64>,
}

/// What a source was made with.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// Which dependencies come along.
    include: Vec<String>,
    /// Archived versions are left out.
    no_archived: bool,
}

impl Settings {
    /// Of a source that shall be of type `kind`.
    pub(crate) fn new(kind: &str, include: Option<Vec<String>>, no_archived: bool) -> Result<Self, Error> {
        if kind != "curated-cran" && (include.is_some() || no_archived) {
            let text = "include and no_archived are for sources of type curated-cran";
            return Err(Error::BadRequest(text.to_owned()));
        }
        let include = include.unwrap_or_else(|| ["depends", "imports", "linking-to"].map(str::to_owned).to_vec());
        fields(&include)?;
        Ok(Self { include, no_archived })
    }

    pub(crate) async fn write(&self, tx: &mut Tx, source: i64) -> Result<(), Error> {
        Ok(sources::set_curated(tx, source, &self.include.join(","), self.no_archived).await?)
    }

    async fn read(db: &Db, source: &Source) -> Result<Self, Error> {
        let (include, no_archived) = sources::curated(db, source.id).await?.unzip();
        let include = include.map(|text: String| text.split(',').map(str::to_owned).collect());
        Self::new(&source.kind, include, no_archived.unwrap_or_default())
    }
}

/// The packages that a curated source shall have, by name, as they are written and as the index shows them.
type Chosen = BTreeMap<String, (Package, String)>;

/// What an update makes of a curated source.
#[derive(Default)]
struct Choice {
    packages: Chosen,
    /// Dependencies that the snapshot does not have.
    missing: Vec<String>,
    /// What the packages were asked for with, to be kept.
    requirements: String,
}

impl App {
    /// The built-in source that a source of type `kind` follows, and its state at `date`, which is a date or a transaction; none: its
    /// newest.
    pub(crate) async fn pinned(&self, kind: &str, date: Option<&str>) -> Result<(i64, Point), Error> {
        let name = if kind == "curated-pypi" { "pypi" } else { "cran" };
        let view = self.view();
        let base = view.source_named(name)?;
        let newest = view.newest.get(&base.id).copied().ok_or_else(|| {
            Error::Conflict(format!("source {name} has not been synchronised yet, so there is nothing to show"))
        })?;
        let date = match date {
            None | Some("latest") => return Ok((base.id, newest)),
            Some(date) => date,
        };
        if let Some(id) = parse_id(date) {
            let missing = || Error::BadRequest(format!("source {name} had no state at transaction {id}"));
            if !transactions::exists(self.world().db(), id).await? {
                return Err(missing());
            }
            let point = transactions::point(self.world().db(), base.id, id).await?;
            return Ok((base.id, point.ok_or_else(missing)?));
        }
        let day = parse_date(date).ok_or_else(|| {
            Error::BadRequest(format!(
                "snapshot {date:?} is not a date such as 2025-01-31, nor the number of a transaction"
            ))
        })?;
        let at = day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros();
        let first = view.history_from.get(&base.id).copied().unwrap_or(newest.as_of);
        if at < first || at > newest.as_of {
            let (first, last) = (instant(first).date_naive(), instant(newest.as_of).date_naive());
            return Err(Error::BadRequest(format!("source {name} has snapshots from {first} to {last}, not {date}")));
        }
        let point = transactions::point_at(self.world().db(), base.id, at).await?;
        Ok((base.id, point.ok_or_else(|| Error::BadRequest(format!("source {name} has no snapshot of {date}")))?))
    }

    /// Updates a source that follows another one, or tells what that would change.
    pub(crate) async fn update(&self, source: &Source, update: Update) -> Result<Updated, Error> {
        if !["cran-snapshot", "curated-cran", "curated-pypi"].contains(&source.kind.as_str()) {
            return Err(Error::BadRequest(format!(
                "source {} is of type {}; only cran-snapshot, curated-cran and curated-pypi are updated",
                source.name, source.kind
            )));
        }
        let (base, at) = match &update.snapshot {
            Some(date) => self.pinned(&source.kind, Some(date)).await?,
            None => sources::pin(self.world().db(), source.id, i64::MAX)
                .await?
                .ok_or_else(|| Error::Internal(format!("source {} has no pin", source.name)))?,
        };
        let mut result = Updated { snapshot: instant(at.as_of).date_naive().to_string(), ..Updated::default() };
        let held = match source.kind.as_str() {
            "cran-snapshot" => BTreeMap::new(),
            _ => self.held(source).await?,
        };
        let known = sources::requirements(self.world().db(), source.id).await?;
        let Choice { packages: chosen, missing, requirements } = match source.kind.as_str() {
            "curated-cran" => {
                let settings = Settings::read(self.world().db(), source).await?;
                self.choose_r(base, at, &held, &update, &settings, &known).await?
            }
            "curated-pypi" => self.choose_python(base, at, update.requirements.as_ref().unwrap_or(&known)).await?,
            _ if update.packages.is_empty() && update.requirements.is_none() => Choice::default(),
            _ => return Err(Error::BadRequest("a cran-snapshot shows all packages of its date".to_owned())),
        };
        result.missing = missing;
        for (name, (_, version)) in &chosen {
            let named = Named { name: name.clone(), version: version.clone() };
            match held.get(name) {
                None => result.added.push(named),
                Some((_, old)) if old != version => result.updated.push(named),
                Some(_) => {}
            }
        }
        let gone = held.iter().filter(|(name, _)| !chosen.contains_key(*name));
        result.removed = gone.map(|(name, (_, v))| Named { name: name.clone(), version: v.clone() }).collect();
        if !update.commit {
            return Ok(result);
        }
        let mut change = self.begin().await?;
        let mut written: Vec<Package> = chosen.into_values().map(|(package, _)| package).collect();
        for named in &result.removed {
            if let Some((json, _)) = held.get(&named.name) {
                written.push(removed(source, json, change.at)?);
            }
        }
        packages::put(&mut change.tx, source.id, change.id, &written, false, |_, _| false).await?;
        sources::set_pin(&mut change.tx, source.id, change.id, base, at).await?;
        sources::set_requirements(&mut change.tx, source.id, &requirements).await?;
        let count = |list: &[Named]| i64::try_from(list.len()).unwrap_or(i64::MAX);
        let done = Transaction {
            source_id: Some(source.id),
            action: "Update".to_owned(),
            tag: format!("Update to {}", result.snapshot),
            as_of: change.as_of(),
            packages_added: count(&result.added),
            packages_updated: count(&result.updated),
            packages_removed: count(&result.removed),
            ..Transaction::default()
        };
        result.transaction = Some(self.conclude(change, done).await?);
        result.committed = true;
        Ok(result)
    }

    /// What a curated source has now: record and shown version by name.
    async fn held(&self, source: &Source) -> Result<BTreeMap<String, (String, String)>, Error> {
        let mut held = BTreeMap::new();
        let Some(at) = self.view().newest.get(&source.id).copied() else { return Ok(held) };
        let mut pages = packages::pages(self.world().db(), source.id, at, true, 500);
        while let Some(page) = pages.next().await? {
            for listed in page {
                let Shows::Record(json) = listed.shows else { continue };
                let version = match source.is_python() {
                    true => record::python_entry(&serde_json::from_str(&json)?, instant(at.as_of)),
                    false => record::current(&serde_json::from_str(&json)?, instant(at.as_of))
                        .map_or_else(String::new, |v| v.version.clone()),
                };
                if !version.is_empty() {
                    held.insert(listed.name, (json, version));
                }
            }
        }
        Ok(held)
    }

    async fn choose_r(
        &self,
        base: i64,
        at: Point,
        held: &BTreeMap<String, (String, String)>,
        update: &Update,
        settings: &Settings,
        known: &str,
    ) -> Result<Choice, Error> {
        let listed = update.requirements.as_deref().map(wanted::read).transpose()?;
        if listed.is_some() && (update.only || !update.packages.is_empty() || !update.remove.is_empty()) {
            let text = "a requirements file says all that there shall be; name no packages besides";
            return Err(Error::BadRequest(text.to_owned()));
        }
        let only = update.only || listed.is_some();
        let named = match listed {
            Some(listed) => listed,
            None => {
                let read = update.packages.iter().map(|text| Wanted::parse(text.trim()));
                read.map(|wanted| wanted.map(|wanted| (wanted.name.clone(), wanted))).collect::<Result<_, _>>()?
            }
        };
        // What was asked for before counts for what stays.
        let mut asked = if only { BTreeMap::new() } else { wanted::read(known)? };
        asked.retain(|name, _| !update.remove.contains(name));
        asked.extend(named.clone());
        let (along, suggests) = fields(update.include.as_ref().unwrap_or(&settings.include))?;
        let with_suggests = suggests || update.include_suggests;
        let stays = |name: &&String| !only && !update.remove.contains(name);
        let mut queue: VecDeque<(String, bool)> = named.keys().map(|name| (name.clone(), true)).collect();
        queue.extend(held.keys().filter(stays).map(|name| (name.clone(), false)));
        if let Some(name) = update.remove.iter().find(|name| !held.contains_key(*name)) {
            return Err(Error::NotFound(format!("the source has no package {name}")));
        }
        let mut chosen = Chosen::new();
        let (mut seen, mut missing) = (BTreeSet::new(), BTreeSet::new());
        let t = instant(at.as_of);
        while let Some((name, is_named)) = queue.pop_front() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let mut record: Option<RRecord> = match packages::get(self.world().db(), base, at, &name).await? {
                Some((_, json)) => Some(record::r_before(serde_json::from_str(&json)?, t)),
                None => None,
            };
            let wanted = asked.get(&name);
            let current = record.as_mut().and_then(|record| match wanted {
                Some(wanted) => wanted.narrow(record, t),
                None => record::current(record, t).cloned(),
            });
            let (Some(mut record), Some(current)) = (record, current) else {
                if let Some(wanted) = wanted.filter(|_| is_named) {
                    let date = t.date_naive();
                    return Err(Error::BadRequest(format!("there is no package {wanted} in the snapshot of {date}")));
                }
                // One that it had is gone from this snapshot; that is told as removed.
                if !held.contains_key(&name) {
                    missing.insert(name);
                }
                continue;
            };
            let description = dcf::parse_one(&current.description).unwrap_or_default();
            let (more, suggested) = fields(wanted.map_or(&[], |wanted| &wanted.extras))?;
            let suggests = (is_named && with_suggests || suggested).then_some("Suggests");
            // What stays has brought its dependencies along before; a newer version may need others.
            for field in along.iter().copied().chain(more).chain(suggests) {
                for dependency in r::deps::parse(description.get(field).unwrap_or_default()).unwrap_or_default() {
                    if !r::R_BASE.contains(&dependency.name.as_str()) {
                        queue.push_back((dependency.name, false));
                    }
                }
            }
            if settings.no_archived {
                record.versions.retain(|version| version.archived_at.is_none());
            }
            let json = serde_json::to_string(&record)?;
            let digest = Digest::of(json.as_bytes()).to_string();
            chosen.insert(name, (record::r_package(&record, json, digest), current.version));
        }
        let requirements = asked.values().map(|wanted| format!("{wanted}\n")).collect();
        Ok(Choice { packages: chosen, missing: missing.into_iter().collect(), requirements })
    }

    async fn choose_python(&self, base: i64, at: Point, text: &str) -> Result<Choice, Error> {
        if text.is_empty() {
            return Err(Error::BadRequest("curated-pypi needs the requirements that say what it holds".to_owned()));
        }
        let t = instant(at.as_of);
        let mut chosen = Chosen::new();
        for requirement in read_requirements(text)? {
            let name = normalize(requirement.name.as_ref());
            let none =
                |what: &str| Error::BadRequest(format!("there is no {what} in the snapshot of {}", t.date_naive()));
            let found = packages::get(self.world().db(), base, at, &name).await?;
            let (_, json) = found.ok_or_else(|| none(&name))?;
            let record: PythonRecord = serde_json::from_str(&json)?;
            let mut record = record::python_before(record, t);
            if let Some(pep508_rs::VersionOrUrl::VersionSpecifier(wanted)) = &requirement.version_or_url {
                let fits = |text: &str| version::parse(text).is_ok_and(|version| wanted.contains(&version));
                record.files.retain(|file| fits(&file.version));
            }
            if record.files.is_empty() || record.removed_at.is_some() {
                return Err(none(&requirement.to_string()));
            }
            let shown = record::python_entry(&record, t);
            let json = serde_json::to_string(&record)?;
            let digest = Digest::of(json.as_bytes()).to_string();
            chosen.insert(name, (record::python_package(&record, json, digest), shown));
        }
        Ok(Choice { packages: chosen, missing: Vec::new(), requirements: text.to_owned() })
    }
}

/// The dependency fields that come along, and whether those suggested by named packages do.
fn fields(include: &[String]) -> Result<(Vec<&'static str>, bool), Error> {
    let (mut fields, mut suggests) = (Vec::new(), false);
    for word in include {
        match word.as_str() {
            "depends" => fields.push("Depends"),
            "imports" => fields.push("Imports"),
            "linking-to" => fields.push("LinkingTo"),
            "suggests" => suggests = true,
            "none" => {}
            "all" => {
                fields = vec!["Depends", "Imports", "LinkingTo"];
                suggests = true;
            }
            other => {
                return Err(Error::BadRequest(format!(
                    "{other:?} is no kind of dependency; they are depends, imports, linking-to, suggests, none and all"
                )));
            }
        }
    }
    Ok((fields, suggests))
}

fn read_requirements(text: &str) -> Result<Vec<Requirement>, Error> {
    let items =
        requirements::parse(text.as_bytes()).map_err(|error| Error::BadRequest(format!("requirements: {error}")))?;
    let mut found = Vec::new();
    for item in items {
        match item.kind {
            Kind::Requirement { requirement, .. } => found.push(requirement),
            Kind::Option { .. } => {}
            Kind::Unsupported { what, text } => {
                let line = item.line;
                return Err(Error::BadRequest(format!(
                    "requirements: line {line}: {text}: {what} cannot be looked up in a source"
                )));
            }
        }
    }
    Ok(found)
}

/// A record as it is written when its package leaves the source.
fn removed(source: &Source, json: &str, at: i64) -> Result<Package, Error> {
    let removed_at = Some(instant(at));
    Ok(match source.is_python() {
        true => {
            let record = PythonRecord { removed_at, ..serde_json::from_str(json)? };
            let json = serde_json::to_string(&record)?;
            let digest = Digest::of(json.as_bytes()).to_string();
            record::python_package(&record, json, digest)
        }
        false => {
            let record = RRecord { removed_at, ..serde_json::from_str(json)? };
            let json = serde_json::to_string(&record)?;
            let digest = Digest::of(json.as_bytes()).to_string();
            record::r_package(&record, json, digest)
        }
    })
}
