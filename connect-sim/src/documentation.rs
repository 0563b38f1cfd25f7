//! A page of documentation that administrators write for their users, in Markdown.

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde_json::{Value, json};

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::Fields;
use crate::store;
use crate::users::time;

/// Characters of the longest.
const LONGEST: usize = 500_000;
/// Its place in the database.
const KEY: &str = "documentation";

/// `GET /v1/system/documentation`
///
/// # Errors
/// 404 when there is none.
pub async fn get(State(app): State<App>, _: Principal) -> Result<Json<Value>> {
    let text = store::meta(&mut *app.read().await?, KEY).await?.filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Error::missing("documentation"))?;
    Ok(Json(serde_json::from_str(&text).map_err(|error| Error::Internal(error.to_string()))?))
}

/// `POST /v1/system/documentation`
///
/// # Errors
/// 400 for a bad field, with code 255 for a text that is too long; 403 unless an administrator asks.
pub async fn set(State(app): State<App>, principal: Principal, fields: Fields) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let content = fields.required("content")?;
    if content.chars().count() > LONGEST {
        let text = format!("`content` must not be longer than {LONGEST} characters.");
        return Err(Error::bad(Code::CustomDocumentationLength, text));
    }
    let document = json!({"content": content, "created_time": time(app.now())});
    let mut tx = app.write().await?;
    store::set_meta(&mut tx, KEY, &document.to_string()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/system/documentation`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    if store::meta(&mut tx, KEY).await?.is_none_or(|text| text.is_empty()) {
        return Err(Error::missing("documentation"));
    }
    store::set_meta(&mut tx, KEY, "").await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
