//! `/__api__/cluster`: the nodes that share a database, and maintenance of the one that is asked. See [`crate::nodes`].

use axum::Json;
use axum::extract::State;
use serde_json::Value;

use crate::app::App;
use crate::auth::Caller;
use crate::error::ApiError;

/// `GET /__api__/cluster`
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Vec<Value>>, ApiError> {
    caller.may_administrate()?;
    Ok(Json(app.nodes().await?))
}

/// `POST /__api__/cluster/offline`
pub async fn offline(State(app): State<App>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.may_administrate()?;
    Ok(Json(app.set_offline(true).await?))
}

/// `POST /__api__/cluster/online`
pub async fn online(State(app): State<App>, caller: Caller) -> Result<Json<Value>, ApiError> {
    caller.may_administrate()?;
    Ok(Json(app.set_offline(false).await?))
}
