//! `POST /__api__/filter/packages`: what clients want to know of many packages at once, one JSON object a line.
//!
//! A row has `metadata`, what administrators have noted of its version, unless the client does not want to know (`"metadata": false`).
//! Editors read an entry of it by position, the key first. A row has `vulns` when its version has vulnerabilities, unless the client does not want to know (`"vulns": false`); with `has_vulns`
//! there are only rows of versions that have some, or only of those that have none. Of an R package without its details there is a row
//! for each binary of it, all alike, as from the real server.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::header::CONTENT_TYPE;
use pkg_formats::psp::{ArtifactKind, PythonRecord, RRecord};
use pkg_formats::python::name::normalize;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::dependencies;
use super::packages::{package, seen};
use crate::app::App;
use crate::auth::Caller;
use crate::blocklist::{Suspect, When, license};
use crate::error::{ApiError, Error};
use crate::metadata::Shown;
use crate::record;
use crate::snapshot::Snapshot;
use crate::store::sources::Language;
use crate::vulns;

/// Names in one request at most.
const MOST: usize = 1000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    repo: String,
    snapshot: Option<String>,
    names: Vec<String>,
    metadata: Option<bool>,
    vulns: Option<bool>,
    has_vulns: Option<bool>,
    omit_dependencies: bool,
    omit_downloads: bool,
    omit_package_details: bool,
}

/// `POST /__api__/filter/packages`
pub async fn packages(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ApiError> {
    let wanted: Wanted = super::body(&body, r#"{"repo": "cran", "names": ["sf", "dplyr==1.1.4"]}"#)?;
    let view = app.view();
    let repo = view.repo(&wanted.repo)?;
    caller.may_read(&repo)?;
    if wanted.names.len() > MOST {
        return Err(Error::BadRequest(format!("at most {MOST} names at once")).into());
    }
    let snapshot = app.shown(&repo, wanted.snapshot.as_deref(), None).await?;
    let rules = view.rules_for(repo.id, When::Now);
    let python = repo.kind == "Python";
    let mut out = String::new();
    for asked in &wanted.names {
        let (name, version) = match asked.split_once("==") {
            Some((name, version)) => (name.trim(), Some(version.trim())),
            None => (asked.trim(), None),
        };
        let normal = if python { normalize(name) } else { name.to_owned() };
        let found = package(&app, &repo, &snapshot, &normal, version).await?;
        // What is not there has no row.
        let Some(Value::Object(found)) = found else { continue };
        let text = |name: &str| found.get(name).and_then(Value::as_str);
        let suspect = Suspect {
            python,
            source: found.get("source_id").and_then(Value::as_i64).unwrap_or_default(),
            name: &normal,
            version: text("version").unwrap_or_default(),
            license: text("license"),
            deleted: false,
        };
        let blocked = rules.as_ref().is_some_and(|rules| rules.blocking(suspect).is_some());
        let vulns = view.documents.vulns.affecting(python, &normal, suspect.version, DateTime::<Utc>::MAX_UTC);
        let vulns: Vec<Value> = vulns.map(|one| vulns::row(one, python, &normal)).collect();
        if wanted.has_vulns.is_some_and(|has| has == vulns.is_empty()) {
            continue;
        }
        let mut row = row(&wanted, &found, blocked);
        if !wanted.omit_dependencies && python {
            row["dependencies"] = needs(&app, &snapshot, &normal, suspect.version).await?;
        }
        if !wanted.omit_downloads {
            row["downloads"] = app.downloads_of(suspect.source, &normal).await?.into();
        }
        if wanted.metadata != Some(false) {
            let Suspect { version, source, .. } = suspect;
            let shown = Shown { python, name: &normal, version, source, repo: repo.id };
            let values = shown.values(&view.metadata).into_iter();
            row["metadata"] = values.map(|(key, value)| json!({ "key": key, "value": value })).collect();
        }
        if wanted.vulns != Some(false) && !vulns.is_empty() {
            row["vulns"] = vulns.into();
        }
        let times = match wanted.omit_package_details && repo.language() == Language::R {
            true => binaries(&app, &snapshot, &normal, suspect.version).await?.max(1),
            false => 1,
        };
        let line = row.to_string() + "\n";
        out.push_str(&line.repeat(times));
    }
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], out).into_response())
}

/// What a release of a Python project needs; nulls when that is not known.
async fn needs(app: &App, snapshot: &Snapshot, name: &str, version: &str) -> Result<Value, Error> {
    let unknown = json!({ "imports": null, "suggests": null });
    let Some(seen) = seen(app, snapshot, name).await? else { return Ok(unknown) };
    let record: PythonRecord = serde_json::from_str(&seen.json)?;
    let files: Vec<_> =
        record::files(&record, seen.t).map(|(file, _)| file).filter(|file| file.version == version).collect();
    Ok(dependencies::metadata_of(app, &files).await.map_or(unknown, |metadata| dependencies::by_kind(&metadata)))
}

/// How many binaries of a version of an R package there are.
async fn binaries(app: &App, snapshot: &Snapshot, name: &str, version: &str) -> Result<usize, Error> {
    let Some(seen) = seen(app, snapshot, name).await? else { return Ok(0) };
    let record: RRecord = serde_json::from_str(&seen.json)?;
    let is_binary = |kind| matches!(kind, ArtifactKind::Linux | ArtifactKind::Macos | ArtifactKind::Windows);
    let shown = record.versions.iter().find(|one| one.version == version);
    Ok(shown.map_or(0, |shown| shown.artifacts.iter().filter(|file| is_binary(file.kind)).count()))
}

fn row(wanted: &Wanted, found: &Map<String, Value>, blocked: bool) -> Value {
    let get = |name: &str| found.get(name).cloned().unwrap_or(Value::Null);
    let first = |names: [&str; 2]| names.into_iter().map(get).find(|value| !value.is_null()).unwrap_or(Value::Null);
    let mut row = Map::new();
    for name in ["name", "version"] {
        row.insert(name.to_owned(), get(name));
    }
    row.insert("blocked".to_owned(), blocked.into());
    if !wanted.omit_package_details {
        row.insert("summary".to_owned(), first(["summary", "title"]));
        row.insert("license".to_owned(), get("license"));
        let licenses: Vec<Value> = Some(get("license")).filter(|license| !license.is_null()).into_iter().collect();
        row.insert("licenses".to_owned(), licenses.into());
        let license = found.get("license").and_then(Value::as_str);
        row.insert("license_types".to_owned(), json!(license::types(license)));
        row.insert("package_date".to_owned(), first(["package_date", "date_publication"]));
        row.insert("package_size".to_owned(), get("package_size"));
        row.insert("available_versions".to_owned(), get("available_versions"));
    }
    if !wanted.omit_dependencies {
        // Extensions of editors name others, never with versions. What a pack brings along the feed does not say.
        let others = found.get("extension_dependencies").and_then(Value::as_array);
        let (imports, suggests) = match others {
            Some(names) => {
                let named = names.iter().map(|name| json!({ "name": name, "operator": "", "version": "" }));
                (named.collect(), json!([]))
            }
            None => (get("imports"), get("suggests")),
        };
        row.insert("dependencies".to_owned(), json!({ "imports": imports, "suggests": suggests }));
    }
    row.into()
}
