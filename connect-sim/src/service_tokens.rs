//! Service tokens: credentials of machines for single abilities of the server. For administrators.
//!
//! | route | |
//! | --- | --- |
//! | `GET`, `POST /v1/system/service-tokens` | the key is in the answer to `POST` only |
//! | `DELETE /v1/system/service-tokens/{guid}` | |
//! | `GET /v1/system/service-tokens/scopes` | |
//!
//! A token is no key to the API: what it could be used for (SCIM, the name service) this server does not have.

use axum::Json;
use axum::extract::{Path, State};
use chrono::DateTime;
use http::StatusCode;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given};
use crate::store;
use crate::store::service_tokens::ServiceToken;
use crate::users::time;

/// What a token can be good for.
const SCOPES: [(&str, &str); 2] = [
    ("identity:manage", "Manage users and groups through SCIM"),
    ("nameservice:read", "Read users and groups for the name service"),
];

fn shown(token: &ServiceToken) -> Value {
    json!({
        "guid": token.guid, "name": token.name, "scopes": token.scopes, "created_time": time(token.created),
        "active_time": token.active.map(time), "expires_at": token.expires.map(time),
    })
}

/// `GET /v1/system/service-tokens`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn list(State(app): State<App>, principal: Principal) -> Result<Json<Vec<Value>>> {
    principal.require(Role::Administrator)?;
    let tokens = store::service_tokens::list(&mut *app.read().await?, app.now()).await?;
    Ok(Json(tokens.iter().map(shown).collect()))
}

/// `GET /v1/system/service-tokens/scopes`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn scopes(principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let scopes: Vec<Value> = SCOPES.iter().map(|(name, text)| json!({"name": name, "description": text})).collect();
    Ok(Json(json!({ "scopes": scopes })))
}

/// `POST /v1/system/service-tokens`
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks.
pub async fn create(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let bad = |text: String| Error::bad(Code::InvalidParameter, text);
    let name = fields.required("name")?;
    if name.trim().is_empty() || name.chars().count() > 255 || name.chars().any(char::is_control) {
        return Err(bad("`name` must have 1 to 255 characters, none of them a control character.".to_owned()));
    }
    let known: Vec<&str> = SCOPES.iter().map(|scope| scope.0).collect();
    let mut scopes = Vec::new();
    for scope in fields.texts("scopes")?.value().unwrap_or_default() {
        if !known.contains(&scope.as_str()) {
            return Err(bad(format!("`scopes` must be of {}.", known.join(", "))));
        }
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    if scopes.is_empty() {
        return Err(Error::bad(Code::ParameterMissing, "`scopes` must hold one scope at least."));
    }
    let now = app.now();
    let expires = match fields.text("expires_at")? {
        Given::Absent | Given::Null => None,
        Given::Value(text) => match DateTime::parse_from_rfc3339(&text).map(|at| at.timestamp_micros()) {
            Ok(at) if at > now => Some(at),
            Ok(_) => return Err(bad("`expires_at` must be in the future.".to_owned())),
            Err(_) => {
                let text = "`expires_at` must be a time such as 2026-01-31T09:30:00Z.";
                return Err(Error::bad(Code::InvalidTimeFormat, text));
            }
        },
    };
    let token = ServiceToken {
        guid: app.world().ids().uuid("service-token").to_string(),
        name,
        scopes,
        created: now,
        active: None,
        expires,
    };
    let key = app.world().ids().secret(32);
    let mut tx = app.write().await?;
    store::service_tokens::sweep(&mut tx, now).await?;
    store::service_tokens::insert(&mut tx, &token, &hex::encode(Sha256::digest(&key))).await?;
    tx.commit().await?;
    let mut shown = shown(&token);
    shown["key"] = json!(key);
    Ok(Json(shown))
}

/// `DELETE /v1/system/service-tokens/{guid}`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    store::service_tokens::sweep(&mut tx, app.now()).await?;
    if !store::service_tokens::delete(&mut tx, &guid).await? {
        return Err(Error::missing("service token"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
