//! `/__api__/sync`: how the sources that follow feeds stand; bundles for servers that cannot reach the package service; alerts.
//! Starting a synchronisation is in [`super::sources`].

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Deserialize;
use serde_json::{Value, json};

use super::sources::Wanted;
use super::status;
use crate::alerts::Alert;
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, Error};

/// `GET /__api__/sync`: of each source its state (`never synced`, `syncing`, `synced`, `failed`), what it shows, and while it is
/// at work how far it is.
pub async fn show(State(app): State<App>) -> Result<Json<Vec<Value>>, ApiError> {
    Ok(Json(status::sync(&app).await?))
}

/// `GET /__api__/alerts`
pub async fn alerts(State(app): State<App>) -> Result<Json<Vec<Alert>>, ApiError> {
    Ok(Json(app.alerts().await?))
}

/// What to export.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Exported {
    #[serde(rename = "type")]
    kind: Option<String>,
    version: Option<String>,
    files: Option<bool>,
}

/// `GET /__api__/sync/export?type=&version=&files=`: a bundle, with all package files unless `files=false`.
pub async fn export(
    State(app): State<App>,
    caller: Caller,
    Query(wanted): Query<Exported>,
) -> Result<Response, ApiError> {
    caller.may_administrate()?;
    let Exported { kind, version, files } = wanted;
    let feeds: Vec<String> =
        Wanted::of(kind, version).sources(&app.view())?.into_iter().filter_map(|source| source.feed).collect();
    let archive = app.export(&feeds, files.unwrap_or(true)).await.map_err(|error| Error::Refused(error.to_string()))?;
    let pieces = futures_util::stream::unfold(archive, |mut archive| async move {
        let piece = archive.recv().await?;
        Some((piece, archive))
    });
    let headers = [(CONTENT_TYPE, "application/gzip"), (CONTENT_DISPOSITION, "attachment; filename=\"bundle.tar.gz\"")];
    Ok((headers, Body::from_stream(pieces)).into_response())
}

/// `POST /__api__/sync/import`: the body is a bundle.
pub async fn import(State(app): State<App>, caller: Caller, request: Request) -> Result<Json<Value>, ApiError> {
    caller.may_administrate()?;
    Ok(Json(app.import(request.into_body()).await?))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Cleared {
    #[serde(rename = "type")]
    kind: Option<String>,
    version: Option<String>,
    confirm: bool,
}

/// `POST /__api__/sync/clear`: forgets all that came from feeds, whom they are believed from included.
pub async fn clear(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Json<Value>, ApiError> {
    caller.may_administrate()?;
    let wanted: Cleared = super::body(&body, r#"{"type": "cran", "confirm": true}"#)?;
    let kind = wanted.kind.ok_or_else(|| Error::BadRequest("say which type is to be cleared".to_owned()))?;
    let sources = Wanted::of(Some(kind), wanted.version).sources(&app.view())?;
    if !wanted.confirm {
        let names: Vec<String> = sources.into_iter().map(|source| source.name).collect();
        return Err(Error::BadRequest(format!(
            "this forgets all packages and snapshots of {}, which cannot be undone; confirm it",
            names.join(", ")
        ))
        .into());
    }
    let mut cleared = Vec::new();
    for source in sources {
        let transaction = app.clear(&source).await?;
        cleared.push(json!({ "source": source.name, "transaction": transaction }));
    }
    Ok(Json(json!({ "cleared": cleared })))
}
