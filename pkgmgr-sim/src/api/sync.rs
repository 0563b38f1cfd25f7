//! `/__api__/sync`: how the sources that follow feeds stand. Starting a synchronisation is in [`super::sources`].

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use super::status;
use crate::app::App;
use crate::error::ApiError;

/// `GET /__api__/sync`: of each source its state (`never synced`, `syncing`, `synced`, `failed`), what it shows, and while it is
/// at work how far it is.
pub async fn show(State(app): State<App>) -> Result<Json<Vec<Value>>, ApiError> {
    Ok(Json(status::sync(&app).await?))
}
