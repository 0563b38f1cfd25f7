//! `POST /__api__/filter/packages`: what clients want to know of many packages at once, one JSON object a line.
//!
//! A row has `vulns` when its version has vulnerabilities, unless the client does not want to know (`"vulns": false`).

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::header::CONTENT_TYPE;
use pkg_formats::python::name::normalize;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::packages::package;
use crate::app::App;
use crate::auth::Caller;
use crate::blocklist::{Suspect, When, license};
use crate::error::{ApiError, Error};
use crate::vulns;

/// Names in one request at most.
const MOST: usize = 1000;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wanted {
    repo: String,
    snapshot: Option<String>,
    names: Vec<String>,
    vulns: Option<bool>,
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
        let mut row = row(&wanted, &found, blocked);
        if !wanted.omit_downloads {
            row["downloads"] = app.downloads_of(suspect.source, &normal).await?.into();
        }
        let vulns = view.documents.vulns.affecting(python, &normal, suspect.version, DateTime::<Utc>::MAX_UTC);
        let vulns: Vec<Value> = vulns.map(|one| vulns::row(one, python, &normal)).collect();
        if wanted.vulns != Some(false) && !vulns.is_empty() {
            row["vulns"] = vulns.into();
        }
        out.push_str(&row.to_string());
        out.push('\n');
    }
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], out).into_response())
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
        row.insert("metadata".to_owned(), json!({}));
    }
    if !wanted.omit_dependencies {
        let (imports, suggests) = (get("imports"), get("suggests"));
        row.insert("dependencies".to_owned(), json!({ "imports": imports, "suggests": suggests }));
    }
    row.into()
}
