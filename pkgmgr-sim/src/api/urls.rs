//! `/__api__/repos/{repo}/urls`: created snapshot URLs.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use super::time;
use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;
use crate::store::repos::Repo;
use crate::store::urls;
use crate::urls::{Created, Wanted};

async fn url_json(app: &App, repo: &Repo, origin: &Origin, url: &Created) -> Result<Value, ApiError> {
    Ok(json!({
        "id": url.id,
        "long": url.long,
        "url": format!("{}/{}/{}", origin.base().trim_end_matches('/'), repo.name, url.id),
        "locked": url.locked,
        "created": url.created_at.map(time),
        "sources": app.url_sources(repo, url).await?,
    }))
}

/// The address that clients see.
fn seen(app: &App, origin: Origin) -> Origin {
    app.0.config.address.as_deref().map_or(origin, Origin::fixed)
}

/// `GET /__api__/repos/{repo}/urls`, oldest first.
pub async fn list(
    State(app): State<App>,
    origin: Origin,
    Path(repo): Path<String>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let (repo, origin) = (app.view().repo(&repo)?, seen(&app, origin));
    let mut all = Vec::new();
    for row in urls::list(app.world().db(), repo.id).await? {
        all.push(url_json(&app, &repo, &origin, &row.into()).await?);
    }
    Ok(Json(all))
}

/// `POST /__api__/repos/{repo}/urls`
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    origin: Origin,
    Path(repo): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    caller.may_administrate()?;
    let wanted: Wanted = super::body(&body, r#"{"date": "2025-01-31", "snapshots": {"team": "57"}, "lock": true}"#)?;
    let repo = app.view().repo(&repo)?;
    let created = app.create_url(&repo, wanted).await?;
    Ok((StatusCode::CREATED, Json(url_json(&app, &repo, &seen(&app, origin), &created).await?)).into_response())
}

/// `DELETE /__api__/repos/{repo}/urls/{id}`: unless it is locked.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path((repo, id)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    caller.may_administrate()?;
    let repo = app.view().repo(&repo)?;
    app.delete_url(&repo, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
