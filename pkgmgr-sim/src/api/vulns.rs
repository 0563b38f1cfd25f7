//! Vulnerabilities: one by its key, and those of the packages of a source or a repo. That the real server has these is known, their
//! shapes are not: here they are OSV records.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::Value;

use crate::app::App;
use crate::error::{ApiError, Error};
use crate::snapshot::Part;
use crate::store::packages;
use crate::vulns;

/// `GET /__api__/vulns/{key}`: by id or alias.
pub async fn show(State(app): State<App>, Path(key): Path<String>) -> Result<Json<Value>, ApiError> {
    let view = app.view();
    let found = view.documents.vulns.find(&key);
    let found = found.ok_or_else(|| Error::NotFound(format!("no vulnerability {key:?} is known")))?;
    Ok(Json(vulns::whole(found)))
}

/// `GET /__api__/sources/{source}/vulns`
pub async fn of_source(State(app): State<App>, Path(source): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    let view = app.view();
    let source = view.source_named(&source)?;
    let parts: Vec<Part> = match view.newest.get(&source.id) {
        Some(at) => vec![app.part(&view, source.id, *at).await?],
        None => Vec::new(),
    };
    Ok(Json(list(&app, &parts, source.is_python()).await?))
}

/// Of which state.
#[derive(Debug, Deserialize)]
pub struct Filter {
    snapshot: Option<String>,
    bioc_version: Option<String>,
}

/// `GET /__api__/repos/{repo}/vulns`
pub async fn of_repo(
    State(app): State<App>,
    Path(repo): Path<String>,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let repo = app.view().repo(&repo)?;
    let snapshot = app.shown(&repo, filter.snapshot.as_deref(), filter.bioc_version.as_deref()).await?;
    Ok(Json(list(&app, &snapshot.parts, repo.kind == "Python").await?))
}

/// Those of some version of a package that is there, by id.
async fn list(app: &App, parts: &[Part], python: bool) -> Result<Vec<Value>, Error> {
    let known = app.view().documents.vulns.clone();
    let mut found = std::collections::BTreeMap::new();
    for (_, name) in known.packages().filter(|(of_python, _)| *of_python == python) {
        for part in parts {
            if packages::get(app.world().db(), part.source, part.at, name).await?.is_some() {
                for one in known.of_package(python, name) {
                    found.insert(one.id.clone(), vulns::whole(one));
                }
                break;
            }
        }
    }
    Ok(found.into_values().collect())
}
