//! `/__api__/bootstrap`: a token for who has the bootstrap key.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde::Deserialize;
use sim_kit::origin::Origin;

use super::tokens::{self, New};
use crate::app::App;
use crate::auth::Grants;
use crate::error::{ApiError, Error};
use crate::store::assertions;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    assertion: String,
    /// `24h` when left out.
    #[serde(default)]
    expires: Option<String>,
}

/// `POST /__api__/bootstrap`
pub async fn create(State(app): State<App>, origin: Origin, body: Bytes) -> Result<Response, ApiError> {
    let Some(key) = &app.0.config.bootstrap else {
        return Err(Error::NotFound("this server has no bootstrap key (Bootstrap.PublicKey)".to_owned()).into());
    };
    let draft: Draft = super::body(&body, r#"{"assertion": "a JWT", "expires": "24h"}"#)?;
    let now = app.world().clock().now();
    let expires_at = tokens::end(now, draft.expires.as_deref().unwrap_or("24h"))?;
    let assertion = key.verify(&draft.assertion, now.timestamp())?;
    let mut change = app.begin().await?;
    let (ends, at) = (assertion.exp.saturating_mul(1_000_000), now.timestamp_micros());
    if !assertions::spend(&mut change.tx, &assertion.jti, ends, at).await? {
        return Err(Error::Unauthorized("the assertion is not valid: it was used before".to_owned()).into());
    }
    let new = New {
        grants: Grants::everything(),
        username: "bootstrap".to_owned(),
        description: "Made with the bootstrap key".to_owned(),
        expires_at,
    };
    let made = tokens::issue(&app, change, origin, new).await?;
    Ok((StatusCode::CREATED, [(CACHE_CONTROL, "no-store")], Json(made)).into_response())
}
