//! Bundles: the archives that content is published as.
//!
//! | route | who |
//! | --- | --- |
//! | `GET`, `POST /v1/content/{guid}/bundles` | owner, collaborators, administrators |
//! | `GET`, `DELETE /v1/content/{guid}/bundles/{id}`, `GET …/download`, `GET …/files` | the same |
//!
//! An upload is checked before anything of it is kept: the gzip and tar streams to their end, every path, the manifest.

pub mod check;
pub mod files;
pub mod retention;
pub mod spool;
pub mod upload;

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::header::CONTENT_DISPOSITION;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value, json};
use sim_kit::{Digest, serve_bytes};
use sqlx::AnyConnection;

use crate::access::{Seen, editable};
use crate::app::App;
use crate::auth::Principal;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::{Page, Query};
use crate::store;
use crate::store::bundles::Bundle;
use crate::users::time;

fn metadata(known: &BTreeMap<String, String>) -> Value {
    let mut shown = Map::new();
    for name in ["source", "source_repo", "source_branch", "source_commit"] {
        shown.insert(name.to_owned(), Value::Null);
    }
    shown.extend(known.iter().map(|(name, value)| (name.clone(), json!(value))));
    Value::Object(shown)
}

/// A bundle as v1 shows it.
#[must_use]
pub fn shown(app: &App, bundle: &Bundle, active: Option<i64>) -> Value {
    let mut shown = json!({
        "id": bundle.id.to_string(),
        "content_guid": bundle.content_guid,
        "created_by": bundle.created_by,
        "created_time": time(bundle.created),
        "environment_guid": null,
        "cluster_name": "Local",
        "image_name": "Local",
        "r_version": bundle.runtime.r_version,
        "r_environment_management": bundle.runtime.r_environment_management,
        "py_version": bundle.runtime.py_version,
        "py_environment_management": bundle.runtime.py_environment_management,
        "quarto_version": bundle.runtime.quarto_version,
        "active": active == Some(bundle.id),
        "size": bundle.size,
        "metadata": metadata(&bundle.metadata),
    });
    if app.config().version.with(Difference::NodeVersion) {
        shown["node_version"] = json!(bundle.runtime.node_version);
    }
    shown
}

/// `GET /v1/content/{guid}/bundles`: newest first, all of them unless a page is asked for.
///
/// # Errors
/// 400 for a bad page, 403 for an item one may not change, 404 when there is none.
pub async fn list(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    query: Query,
) -> Result<Json<Vec<Value>>> {
    let page = Page::of(&query, 500)?;
    let paged = query.text("page_number").is_some() || query.text("page_size").is_some();
    let ascending = query.flag("asc_order", false)?;
    let mut db = app.read().await?;
    let Seen { content, .. } = editable(&mut db, &principal, &guid).await?;
    let mut bundles = store::bundles::of_content(&mut db, &guid).await?;
    if ascending {
        bundles.reverse();
    }
    let (skip, take) = if paged { (page.offset(), page.size) } else { (0, i64::MAX) };
    let (skip, take) = (usize::try_from(skip).unwrap_or(usize::MAX), usize::try_from(take).unwrap_or(usize::MAX));
    let shown = bundles.iter().skip(skip).take(take).map(|bundle| shown(&app, bundle, content.bundle_id));
    Ok(Json(shown.collect()))
}

/// The bundle `id` of an item that the caller may change, with the item.
async fn find(db: &mut AnyConnection, principal: &Principal, guid: &str, id: &str) -> Result<(Bundle, Seen)> {
    let seen = editable(db, principal, guid).await?;
    let found = match id.parse() {
        Ok(id) => store::bundles::get(db, id).await?,
        Err(_) => None,
    };
    let bundle = found.filter(|bundle| bundle.content_guid == guid).ok_or_else(|| Error::missing("bundle"))?;
    Ok((bundle, seen))
}

/// `GET /v1/content/{guid}/bundles/{id}`
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn get(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let (bundle, seen) = find(&mut *app.read().await?, &principal, &guid, &id).await?;
    Ok(Json(shown(&app, &bundle, seen.content.bundle_id)))
}

/// `GET /v1/content/{guid}/bundles/{id}/download`: the archive as it was uploaded.
///
/// # Errors
/// As [`get`].
pub async fn download(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let (bundle, _) = find(&mut *app.read().await?, &principal, &guid, &id).await?;
    let content = serve_bytes::Content::blob(app.world().blobs(), bundle.digest, "application/gzip").await?;
    let mut response = serve_bytes::serve(&method, &headers, content).await?;
    let name = format!("attachment; filename=\"bundle-{}.tar.gz\"", bundle.id);
    let name = HeaderValue::try_from(name).expect("digits and ASCII are a header value");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

/// `DELETE /v1/content/{guid}/bundles/{id}`
///
/// # Errors
/// As [`get`]; 400 with code 75 while it is the active one.
pub async fn delete(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    store::content::hold(&mut tx, &guid).await?;
    let (bundle, seen) = find(&mut tx, &principal, &guid, &id).await?;
    if seen.content.bundle_id == Some(bundle.id) {
        let text = "The active bundle cannot be deleted; deploy another one first.";
        return Err(Error::bad(Code::DeleteActiveBundle, text));
    }
    store::bundles::delete(&mut tx, bundle.id).await?;
    tx.commit().await?;
    discard(&app, &bundle).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes away the files of a bundle whose row is gone.
///
/// # Errors
/// When the database or the files fail.
pub async fn discard(app: &App, bundle: &Bundle) -> Result<()> {
    let (folder, lock) = app.unpacking(bundle.id);
    {
        let _alone = lock.lock().await;
        match tokio::fs::remove_dir_all(&folder).await {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    drop_blob(app, &bundle.digest).await
}

/// Takes a blob away unless a row names it.
///
/// # Errors
/// When the database or the files fail.
pub async fn drop_blob(app: &App, digest: &Digest) -> Result<()> {
    let _alone = app.blob_rows().write().await;
    if !store::bundles::uses(&mut *app.read().await?, digest).await? {
        app.world().blobs().delete(digest).await?;
    }
    Ok(())
}
