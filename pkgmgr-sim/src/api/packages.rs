//! `/__api__/repos/{repo}/packages` and `/__api__/sources/{source}/packages`.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use chrono::{DateTime, Utc};
use pkg_formats::psp::{PythonRecord, RRecord, VSIX, VsxRecord};
use pkg_formats::{dcf, python, r};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Chosen, time};
use crate::app::App;
use crate::blocklist::{Rules, Suspect, When, license};
use crate::cran::blocks;
use crate::error::{ApiError, Error};
use crate::record::{self, instant};
use crate::snapshot::{Part, Snapshot};
use crate::store::builders;
use crate::store::packages::{self, Shows};
use crate::store::repos::Repo;
use crate::store::sources::Language;
use crate::vsx;

/// Which packages.
#[derive(Debug, Deserialize)]
pub struct Filter {
    #[serde(flatten)]
    chosen: Chosen,
    snapshot: Option<String>,
    /// Of a Bioconductor repo: which release; the newest when left out.
    bioc_version: Option<String>,
    version: Option<String>,
}

/// `GET /__api__/repos/{repo}/packages`
pub async fn of_repo(
    State(app): State<App>,
    Path(repo): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiError> {
    let repo = app.view().repo(&repo)?;
    let snapshot = app.shown(&repo, filter.snapshot.as_deref(), filter.bioc_version.as_deref()).await?;
    let rules = app.view().rules_for(repo.id, When::Now);
    Ok(list(&app, &snapshot.parts, repo.language(), rules.as_ref(), &filter).await?)
}

/// `GET /__api__/sources/{source}/packages`
pub async fn of_source(
    State(app): State<App>,
    Path(source): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Response, ApiError> {
    let view = app.view();
    let source = view.source_named(&source)?;
    let parts: Vec<Part> = match view.newest.get(&source.id) {
        Some(at) => vec![app.part(&view, source.id, *at).await?],
        None => Vec::new(),
    };
    Ok(list(&app, &parts, source.language(), None, &filter).await?)
}

const PAGE: i64 = 2000;

/// With the `rules` of a repo, each package says whether they block it.
async fn list(
    app: &App,
    parts: &[Part],
    language: Language,
    rules: Option<&Rules>,
    filter: &Filter,
) -> Result<Response, Error> {
    let (skip, limit) = filter.chosen.paging.window()?;
    let mut found: Vec<(String, i64, String, bool)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for part in parts {
        let t = instant(part.at.as_of);
        let mut pages = packages::pages(app.world().db(), part.source, part.at, rules.is_some(), PAGE);
        while let Some(page) = pages.next().await? {
            for listed in page.into_iter().filter(|listed| filter.chosen.takes(&listed.name)) {
                let blocked = match (&listed.shows, rules) {
                    (Shows::Record(json), Some(rules)) => is_blocked(rules, part.source, language, json, t)?,
                    _ => false,
                };
                let version = match (listed.shows, language) {
                    (Shows::Entry(entry), Language::R) => version_in(&entry),
                    (Shows::Entry(version), _) => version,
                    (Shows::Record(json), Language::Python) => record::python_entry(&serde_json::from_str(&json)?, t),
                    (Shows::Record(json), Language::Vsx) => {
                        let record: VsxRecord = serde_json::from_str(&json)?;
                        record::vsx_newest(&record, t).map_or_else(String::new, |newest| newest.version.clone())
                    }
                    (Shows::Record(json), Language::R) => {
                        version_in(&record::r_entry(&serde_json::from_str(&json)?, t))
                    }
                };
                if !version.is_empty() && seen.insert(listed.name.clone()) {
                    found.push((listed.name, listed.id, version, blocked));
                }
            }
        }
    }
    match filter.chosen.paging.sort(&["name", "id", "version"])? {
        "id" => found.sort_by_key(|(_, id, ..)| *id),
        "version" => found.sort_by(|a, b| (&a.2, &a.0).cmp(&(&b.2, &b.0))),
        _ => found.sort_unstable(),
    }
    if filter.chosen.paging.is_descending(false)? {
        found.reverse();
    }
    let total = found.len();
    let items = found.into_iter().skip(skip).take(limit);
    let shown = items.map(|(name, id, version, blocked)| {
        let mut shown = json!({ "id": id, "name": name, "version": version });
        if rules.is_some() {
            shown["blocked"] = blocked.into();
        }
        shown
    });
    Ok(super::page(shown.collect(), total))
}

/// Whether the version that a record shows at `t` is blocked.
fn is_blocked(rules: &Rules, source: i64, language: Language, json: &str, t: DateTime<Utc>) -> Result<bool, Error> {
    if language == Language::Vsx {
        let record: VsxRecord = serde_json::from_str(json)?;
        return Ok(record::vsx_newest(&record, t).is_some_and(|version| vsx::blocks(rules, source, &record, version)));
    }
    if language == Language::Python {
        let record: PythonRecord = serde_json::from_str(json)?;
        let version = record::newest(&record, t).unwrap_or_default();
        let license = record.license.as_deref();
        let deleted = record.removed_at.is_some();
        let suspect = Suspect { python: true, source, name: &record.name, version, license, deleted };
        return Ok(rules.blocking(suspect).is_some());
    }
    let record: RRecord = serde_json::from_str(json)?;
    Ok(record::current(&record, t).is_some_and(|version| blocks(rules, source, &record, version)))
}

fn version_in(entry: &str) -> String {
    entry.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap_or_default().to_owned()
}

/// `GET /__api__/sources/{source}/packages/{name}/releases`: its versions with their files, oldest first.
pub async fn releases(
    State(app): State<App>,
    Path((source, name)): Path<(String, String)>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let view = app.view();
    let source = view.source_named(&source)?;
    let missing = || Error::NotFound(format!("there is no package {name} in source {}", source.name));
    let part = match view.newest.get(&source.id) {
        Some(at) => app.part(&view, source.id, *at).await?,
        None => return Err(missing().into()),
    };
    let key = if source.is_python() { python::name::normalize(&name) } else { name.clone() };
    let (_, json) = packages::get(app.world().db(), part.source, part.at, &key).await?.ok_or_else(missing)?;
    let t = instant(part.at.as_of);
    let mut releases: Vec<Value> = Vec::new();
    if source.language() == Language::Vsx {
        releases = vsx::releases(&serde_json::from_str(&json)?, t);
    } else if source.is_python() {
        let record: PythonRecord = serde_json::from_str(&json)?;
        let mut by_version: Vec<(&str, Vec<Value>)> = Vec::new();
        for (file, yanked) in record::files(&record, t) {
            let shown = json!({
                "filename": file.filename,
                "sha256": file.sha256,
                "size": file.size,
                "upload_time": time(file.upload_time.timestamp_micros()),
                "requires_python": file.requires_python,
                "yanked": yanked.is_some(),
                "yanked_reason": yanked,
            });
            match by_version.iter_mut().find(|(version, _)| *version == file.version) {
                Some((_, files)) => files.push(shown),
                None => by_version.push((&file.version, vec![shown])),
            }
        }
        releases.extend(by_version.into_iter().map(|(version, files)| json!({ "version": version, "files": files })));
    } else {
        let record: RRecord = serde_json::from_str(&json)?;
        let current = record::current(&record, t);
        let mut shown: Vec<_> = record::archived(&record, t).map(|v| (v, true)).collect();
        shown.reverse();
        shown.extend(current.map(|v| (v, false)));
        for (version, archived) in shown {
            let file = record::source(version);
            releases.push(json!({
                "version": version.version,
                "date_publication": time(version.published_at.timestamp_micros()),
                "archived": archived,
                "files": file.iter().map(|a| json!({ "filename": a.filename, "sha256": a.sha256, "size": a.size })).collect::<Vec<_>>(),
            }));
        }
    }
    if releases.is_empty() {
        return Err(missing().into());
    }
    Ok(Json(releases))
}

/// `GET /__api__/repos/{repo}/packages/{name}`
pub async fn show(
    State(app): State<App>,
    Path((repo, name)): Path<(String, String)>,
    Query(filter): Query<Filter>,
) -> Result<Json<Value>, ApiError> {
    let repo = app.view().repo(&repo)?;
    let snapshot = app.shown(&repo, filter.snapshot.as_deref(), filter.bioc_version.as_deref()).await?;
    let version = filter.version.as_deref();
    let found = match (repo.language(), version) {
        (Language::R, Some(version)) => r_package_now_or_before(&app, &snapshot, &name, version).await?,
        _ => package(&app, &repo, &snapshot, &name, version).await?,
    };
    let missing = || {
        let version = version.map(|v| format!(" {v}")).unwrap_or_default();
        Error::NotFound(format!("there is no package {name}{version} in repository {}", repo.name))
    };
    let mut found = found.ok_or_else(missing)?;
    let source = found["source_id"].as_i64().unwrap_or_default();
    let key = if repo.kind == "Python" { python::name::normalize(&name) } else { name.clone() };
    found["downloads"] = app.downloads_of(source, &key).await?.into();
    Ok(Json(found))
}

/// A package as a snapshot of `repo` shows it; of all its versions the current one, unless `version` says which.
pub(crate) async fn package(
    app: &App,
    repo: &Repo,
    snapshot: &Snapshot,
    name: &str,
    version: Option<&str>,
) -> Result<Option<Value>, Error> {
    match repo.kind.as_str() {
        "Python" => python_package(app, snapshot, &python::name::normalize(name), version).await,
        "VSX" => vsx_package(app, snapshot, name, version).await,
        _ => r_package(app, snapshot, name, version).await,
    }
}

/// A package in a source.
pub(crate) struct Seen {
    id: i64,
    pub(crate) source: i64,
    /// Its record.
    pub(crate) json: String,
    /// The time to look at it.
    pub(crate) t: DateTime<Utc>,
}

/// The record behind a package of a snapshot.
pub(crate) async fn seen(app: &App, snapshot: &Snapshot, name: &str) -> Result<Option<Seen>, Error> {
    id_of(app, snapshot, name, shows(snapshot.repo.language())).await
}

/// Tells whether a record of a package for `language` shows any of it at a time.
pub(crate) fn shows(language: Language) -> fn(&str, DateTime<Utc>) -> Result<bool, Error> {
    match language {
        Language::R => shows_r,
        Language::Python => shows_python,
        Language::Vsx => shows_vsx,
    }
}

pub(crate) fn shows_r(json: &str, t: DateTime<Utc>) -> Result<bool, Error> {
    Ok(record::current(&serde_json::from_str(json)?, t).is_some())
}

pub(crate) fn shows_vsx(json: &str, t: DateTime<Utc>) -> Result<bool, Error> {
    Ok(record::vsx_newest(&serde_json::from_str(json)?, t).is_some())
}

pub(crate) fn shows_python(json: &str, t: DateTime<Utc>) -> Result<bool, Error> {
    Ok(record::files(&serde_json::from_str(json)?, t).next().is_some())
}

/// A package in the first source that shows any of it.
async fn id_of(
    app: &App,
    snapshot: &Snapshot,
    name: &str,
    shows: fn(&str, DateTime<Utc>) -> Result<bool, Error>,
) -> Result<Option<Seen>, Error> {
    let mut hidden = None;
    for part in &snapshot.parts {
        if let Some((id, json)) = packages::get(app.world().db(), part.source, part.at, name).await? {
            let t = instant(part.at.as_of);
            if shows(&json, t)? {
                return Ok(Some(Seen { id, source: part.source, json, t }));
            }
            hidden = hidden.or(Some(Seen { id, source: part.source, json, t }));
        }
    }
    Ok(hidden)
}

/// What the API tells of a version of an R package: of one that is not the current one hardly anything, as was seen of the real server.
/// Which fields that leaves is a guess.
async fn r_package_now_or_before(
    app: &App,
    snapshot: &Snapshot,
    name: &str,
    version: &str,
) -> Result<Option<Value>, Error> {
    let Some(whole) = r_package(app, snapshot, name, Some(version)).await? else { return Ok(None) };
    let Some((record, t, _)) = app.r_record(snapshot, name).await? else { return Ok(None) };
    if record::current(&record, t).is_some_and(|current| current.version == version) {
        return Ok(Some(whole));
    }
    let Value::Object(mut members) = whole else { return Ok(None) };
    for (member, value) in &mut members {
        match value {
            _ if ["id", "source_id", "name", "version"].contains(&member.as_str()) => {}
            Value::String(text) if member != "date_publication" => text.clear(),
            other => *other = Value::Null,
        }
    }
    Ok(Some(members.into()))
}

async fn r_package(app: &App, snapshot: &Snapshot, name: &str, version: Option<&str>) -> Result<Option<Value>, Error> {
    let Some(Seen { id, source, json, t }) = id_of(app, snapshot, name, shows_r).await? else { return Ok(None) };
    let record: RRecord = serde_json::from_str(&json)?;
    let current = record::current(&record, t);
    let mut known = current.into_iter().chain(record::archived(&record, t));
    let shown = match version {
        None => known.next(),
        Some(wanted) => known.find(|v| v.version == wanted),
    };
    let Some(shown) = shown else { return Ok(None) };
    let archived: Vec<Value> = record::archived(&record, t)
        .map(|v| json!({ "version": v.version, "date_publication": time(v.published_at.timestamp_micros()) }))
        .collect();
    let description = dcf::parse_one(&shown.description).unwrap_or_default();
    let field = |name: &str| description.get(name).unwrap_or_default().to_owned();
    let mut out = Map::new();
    out.insert("id".into(), id.into());
    out.insert("source_id".into(), source.into());
    out.insert("name".into(), name.into());
    out.insert("version".into(), shown.version.clone().into());
    out.insert("title".into(), field("Title").into());
    out.insert("description".into(), field("Description").into());
    out.insert("license".into(), field("License").into());
    let checksum = record::source(shown).map(|a| a.sha256.to_string());
    out.insert("checksum".into(), checksum.unwrap_or_default().into());
    out.insert("date_publication".into(), time(shown.published_at.timestamp_micros()).into());
    out.insert("archived".into(), if archived.is_empty() { Value::Null } else { archived.into() });
    // As of Python projects, oldest first.
    let known = record::archived(&record, t).collect::<Vec<_>>().into_iter().rev().chain(current);
    out.insert("available_versions".into(), known.map(|one| one.version.as_str()).collect());
    out.insert("package_size".into(), record::source(shown).map(|a| a.size).into());
    out.insert("licenses".into(), description.get("License").into_iter().collect());
    out.insert("license_types".into(), json!(license::types(Some(&field("License")))));
    for name in ["Depends", "Imports", "LinkingTo", "Suggests", "Enhances"] {
        let parsed = r::deps::parse(&field(name)).unwrap_or_default();
        let list: Vec<Value> = parsed.iter().map(dependency_json).collect();
        out.insert(name.to_lowercase().replace("linkingto", "linking_to"), list.into());
    }
    out.insert("readme".into(), shown.readme.clone().into());
    out.insert("readme_type".into(), shown.readme_type.clone().into());
    if let Some(sha) = remote_sha(app, source, name, &shown.version).await? {
        out.insert("remote_sha".into(), sha.into());
    }
    Ok(Some(out.into()))
}

/// The commit that a package of a git source was built from.
async fn remote_sha(app: &App, source: i64, name: &str, version: &str) -> Result<Option<String>, Error> {
    if !app.view().source(source).is_some_and(|source| source.is_git()) {
        return Ok(None);
    }
    Ok(builders::sha_of(app.world().db(), source, name, version).await?)
}

fn dependency_json(dependency: &r::deps::Dependency) -> Value {
    let (operator, version) = match &dependency.requirement {
        Some((op, version)) => (op.as_str(), version.to_string()),
        None => ("", String::new()),
    };
    json!({ "name": dependency.name, "operator": operator, "version": version })
}

async fn vsx_package(
    app: &App,
    snapshot: &Snapshot,
    name: &str,
    version: Option<&str>,
) -> Result<Option<Value>, Error> {
    let Some(found) = vsx::find(app, snapshot, name).await? else { return Ok(None) };
    let Some(id) = id_of(app, snapshot, &found.record.name, shows_vsx).await?.map(|seen| seen.id) else {
        return Ok(None);
    };
    let versions = record::vsx_versions(&found.record, found.t);
    let shown = match version {
        None => record::vsx_newest(&found.record, found.t),
        Some(wanted) => versions.iter().find(|version| version.version == wanted).copied(),
    };
    let Some(shown) = shown else { return Ok(None) };
    let platforms = versions.iter().filter(|v| v.version == shown.version).map(|v| v.target_platform.as_str());
    let mut known: Vec<&str> = versions.iter().map(|version| version.version.as_str()).collect();
    known.dedup();
    let record = &found.record;
    Ok(Some(json!({
        "id": id,
        "source_id": found.source,
        "name": record.name,
        "version": shown.version,
        "title": record.display_name,
        "description": record.summary,
        "publisher": record.publisher,
        "categories": record.categories,
        "license": record.license,
        "checksum": vsx::file_of(shown, VSIX).map(|file| file.sha256),
        "package_size": vsx::file_of(shown, VSIX).map(|file| file.size),
        "date_publication": time(shown.published_at.timestamp_micros()),
        "available_versions": known,
        "pre_release": shown.pre_release,
        "engine": shown.engine,
        "target_platforms": platforms.collect::<Vec<_>>(),
        "extension_dependencies": record.extension_dependencies,
    })))
}

async fn python_package(
    app: &App,
    snapshot: &Snapshot,
    name: &str,
    version: Option<&str>,
) -> Result<Option<Value>, Error> {
    let Some(Seen { id, source, json, t }) = id_of(app, snapshot, name, shows_python).await? else { return Ok(None) };
    let record: PythonRecord = serde_json::from_str(&json)?;
    let mut versions: Vec<&str> = record::files(&record, t).map(|(file, _)| file.version.as_str()).collect();
    versions.dedup();
    let Some(shown) = version.or_else(|| record::newest(&record, t)) else { return Ok(None) };
    let files: Vec<_> = record::files(&record, t).filter(|(file, _)| file.version == shown).collect();
    let Some((first, yanked)) = files.first() else { return Ok(None) };
    let remote_sha = remote_sha(app, source, &record.name, shown).await?;
    Ok(Some(json!({
        "id": id,
        "source_id": source,
        "remote_sha": remote_sha,
        "name": record.project,
        "version": shown,
        "summary": record.summary,
        "license": record.license,
        "license_types": license::types(record.license.as_deref()),
        "licenses": record.license.iter().collect::<Vec<_>>(),
        "available_versions": versions,
        "package_date": time(first.upload_time.timestamp_micros()),
        "package_size": files.iter().map(|(file, _)| file.size).max(),
        "requires_python": first.requires_python,
        "yanked": yanked.is_some(),
    })))
}
