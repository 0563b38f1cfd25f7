//! Thumbnails: the picture that lists show beside an item.
//!
//! Whoever may change an item sets it; whoever may open the item sees it at `/content/{guid}/__thumbnail__`. Servers
//! before 2024.09.0 have the unversioned routes only.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, Method, StatusCode};
use sim_kit::serve_bytes;

use crate::access::editable;
use crate::app::App;
use crate::applications;
use crate::auth::Principal;
use crate::bundles;
use crate::error::{Code, Error, Result};
use crate::input;
use crate::store;
use crate::store::thumbnails::Thumbnail;

/// The media type of a picture by its first bytes. Formats that can hold scripts are none.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

async fn set(app: &App, principal: &Principal, guid: &str, body: Body) -> Result<()> {
    editable(&mut *app.read().await?, principal, guid).await?;
    let bytes = input::read(body, app.config().limits.image_bytes).await?;
    let media_type = media_type(&bytes)
        .ok_or_else(|| Error::bad(Code::InvalidParameter, "The body must be a picture: PNG, JPEG, GIF or WebP."))?;
    let old = {
        // The blob must not go between its write and that of its row.
        let _shared = app.blob_rows().read().await;
        let digest = app.world().blobs().put(bytes).await?;
        let mut tx = app.write().await?;
        editable(&mut tx, principal, guid).await?;
        let old = store::thumbnails::get(&mut tx, guid).await?;
        let new = Thumbnail { digest, media_type: media_type.to_owned() };
        store::thumbnails::put(&mut tx, guid, &new).await?;
        tx.commit().await?;
        old
    };
    match old {
        Some(old) => bundles::drop_blob(app, &old.digest).await,
        None => Ok(()),
    }
}

async fn unset(app: &App, principal: &Principal, guid: &str) -> Result<()> {
    let mut tx = app.write().await?;
    editable(&mut tx, principal, guid).await?;
    let old = store::thumbnails::get(&mut tx, guid).await?;
    let old = old.ok_or_else(|| Error::not_found(Code::RemoveNothing, "The content has no thumbnail."))?;
    store::thumbnails::delete(&mut tx, guid).await?;
    tx.commit().await?;
    bundles::drop_blob(app, &old.digest).await
}

/// The picture of an item, or 204.
///
/// # Errors
/// When the database or the files fail.
pub async fn serve(app: &App, guid: &str, method: &Method, headers: &HeaderMap) -> Result<Response> {
    let found = store::thumbnails::get(&mut *app.read().await?, guid).await?;
    let Some(thumbnail) = found else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let media_type = ["image/png", "image/jpeg", "image/gif", "image/webp"];
    let media_type = media_type.into_iter().find(|known| *known == thumbnail.media_type);
    let media_type = media_type.unwrap_or("application/octet-stream");
    let content = serve_bytes::Content::blob(app.world().blobs(), thumbnail.digest, media_type).await?;
    Ok(serve_bytes::serve(method, headers, content).await?)
}

/// `PUT /v1/content/{guid}/thumbnail`
///
/// # Errors
/// 400 for no picture, 403 for an item one may not change, 404 when there is none, 413 for too many bytes.
pub async fn put(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    body: Body,
) -> Result<StatusCode> {
    set(&app, &principal, &guid, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/content/{guid}/thumbnail`
///
/// # Errors
/// 403 for an item one may not change; 404 when there is none, with code 17 when it has no picture.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    unset(&app, &principal, &guid).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /applications/{id}/image`
///
/// # Errors
/// 404 when there is no item that the caller may see.
pub async fn legacy_get(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response> {
    let seen = applications::find(&mut *app.read().await?, &principal, &id).await?;
    serve(&app, &seen.content.guid, &method, &headers).await
}

/// `POST /applications/{id}/image`
///
/// # Errors
/// As [`put`].
pub async fn legacy_set(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    body: Body,
) -> Result<StatusCode> {
    let seen = applications::find(&mut *app.read().await?, &principal, &id).await?;
    set(&app, &principal, &seen.content.guid, body).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /applications/{id}/image`
///
/// # Errors
/// As [`delete`].
pub async fn legacy_unset(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    let seen = applications::find(&mut *app.read().await?, &principal, &id).await?;
    unset(&app, &principal, &seen.content.guid).await?;
    Ok(StatusCode::NO_CONTENT)
}
