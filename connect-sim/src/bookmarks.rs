//! Bookmarks: whoever may open an item may mark it, for itself.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use crate::access::visible;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::store;
use crate::users::time;

/// `GET /v1/content/{guid}/bookmark`
///
/// # Errors
/// 403 for an item one may not see; 404 when there is none, or it is not marked.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    visible(&mut db, &principal, &guid).await?;
    let created = store::bookmarks::get(&mut db, &guid, &principal.user.guid).await?;
    let created = created.ok_or_else(|| Error::missing("bookmark"))?;
    Ok(Json(json!({"created_time": time(created)})))
}

/// `POST /v1/content/{guid}/bookmark`
///
/// # Errors
/// 403 for an item one may not see, 404 when there is none, 409 when it is marked already.
pub async fn create(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
) -> Result<(StatusCode, Json<Value>)> {
    let now = app.now();
    let mut tx = app.write().await?;
    visible(&mut tx, &principal, &guid).await?;
    let made = store::bookmarks::insert(&mut tx, &guid, &principal.user.guid, now).await;
    made.map_err(|error| match store::is_duplicate(&error) {
        true => Error::conflict(Code::DuplicateBookmark, "You have bookmarked this content already."),
        false => error.into(),
    })?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(json!({"created_time": time(now)}))))
}

/// `DELETE /v1/content/{guid}/bookmark`
///
/// # Errors
/// As [`get`].
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    visible(&mut tx, &principal, &guid).await?;
    if !store::bookmarks::delete(&mut tx, &guid, &principal.user.guid).await? {
        return Err(Error::missing("bookmark"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
