//! API keys: a user's own. The secret is told once, when the key is made.

use axum::Json;
use axum::extract::{Path, State};
use chrono::DateTime;
use http::StatusCode;
use serde_json::{Value, json};
use sim_kit::Tx;

use crate::access::Role;
use crate::app::App;
use crate::auth::{Principal, digest};
use crate::error::{Code, Error, Result};
use crate::input::Fields;
use crate::store;
use crate::store::keys::Key;
use crate::store::users::User;
use crate::users::time;

/// Keys a user can have.
const MOST_KEYS: usize = 1_000;

fn shown(key: &Key, secret: Option<&str>) -> Value {
    json!({
        "id": key.id.to_string(),
        "name": key.name,
        "key": secret.map_or_else(|| format!("********{}", key.tail), str::to_owned),
        "user_role": key.role.as_str(),
        "created_time": time(key.created),
        "active_time": key.active.map(time),
        "expires_at": key.expires.map(time),
    })
}

/// Gives `user` the key `secret`.
///
/// # Errors
/// 409 when it has a key of this name.
pub async fn put(
    app: &App,
    tx: &mut Tx,
    user: &User,
    name: &str,
    role: Role,
    secret: &str,
    expires: Option<i64>,
) -> Result<Key> {
    let key = Key {
        id: store::next(&mut *tx, "key").await?,
        user_guid: user.guid.clone(),
        name: name.to_owned(),
        role,
        sha256: digest(secret),
        tail: secret.chars().skip(secret.len().saturating_sub(4)).collect(),
        created: app.now(),
        active: None,
        expires,
    };
    store::keys::insert(&mut *tx, &key).await.map_err(|error| match store::is_duplicate(&error) {
        true => Error::conflict(Code::DuplicateUserKey, "You have a key of this name already."),
        false => error.into(),
    })?;
    Ok(key)
}

/// Gives `user` a new key.
///
/// # Errors
/// As [`put`].
pub async fn make(
    app: &App,
    tx: &mut Tx,
    user: &User,
    name: &str,
    role: Role,
    expires: Option<i64>,
) -> Result<(Key, String)> {
    let secret = app.world().ids().secret(32);
    Ok((put(app, tx, user, name, role, &secret, expires).await?, secret))
}

/// Keys are their user's alone.
fn own(principal: &Principal, guid: &str) -> Result<()> {
    if principal.user.guid == guid { Ok(()) } else { Err(Error::forbidden()) }
}

async fn of(app: &App, principal: &Principal, id: &str) -> Result<Key> {
    let keys = store::keys::of_user(&mut *app.read().await?, &principal.user.guid).await?;
    keys.into_iter().find(|key| key.id.to_string() == id).ok_or_else(|| Error::missing("API key"))
}

/// `GET /v1/users/{guid}/keys`
///
/// # Errors
/// 403 for another's.
pub async fn list(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    own(&principal, &guid)?;
    let keys = store::keys::of_user(&mut *app.read().await?, &guid).await?;
    Ok(Json(keys.iter().map(|key| shown(key, None)).collect()))
}

/// `GET /v1/users/{guid}/keys/{id}`
///
/// # Errors
/// 403 for another's, 404 when there is none.
pub async fn get(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
) -> Result<Json<Value>> {
    own(&principal, &guid)?;
    Ok(Json(shown(&of(&app, &principal, &id).await?, None)))
}

/// `POST /v1/users/{guid}/keys`
///
/// # Errors
/// 400 for a bad field, 403 for another's, 409 for a name that is taken.
pub async fn create(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    own(&principal, &guid)?;
    let name = fields.text("name")?.value().unwrap_or_default();
    if name.trim().is_empty() || name.chars().count() > 255 {
        return Err(Error::bad(Code::InvalidKeyName, "`name` must have 1 to 255 characters."));
    }
    let role = match fields.text("user_role")?.value() {
        None => principal.role,
        Some(text) => text.parse().ok().filter(|role| *role <= principal.role).ok_or_else(|| {
            let text = format!("`user_role` must be a role that is not above yours, {}.", principal.role);
            Error::bad(Code::InvalidKeyRole, text)
        })?,
    };
    let expires = match fields.text("expires_at")?.value() {
        None => None,
        Some(text) => {
            let at = DateTime::parse_from_rfc3339(&text).ok().map(|at| at.timestamp_micros());
            Some(at.filter(|at| *at > app.now()).ok_or_else(|| {
                let text = "`expires_at` must be a time to come, such as 2030-01-01T00:00:00Z.";
                Error::bad(Code::InvalidParameter, text)
            })?)
        }
    };
    let mut tx = app.write().await?;
    if store::keys::of_user(&mut tx, &guid).await?.len() >= MOST_KEYS {
        return Err(Error::bad(Code::BadRequest, format!("You have {MOST_KEYS} keys; delete some first.")));
    }
    let (key, secret) = make(&app, &mut tx, &principal.user, &name, role, expires).await?;
    tx.commit().await?;
    Ok(Json(shown(&key, Some(&secret))))
}

/// `GET /keys`: one's own, as clients ask that are older than the versioned API.
///
/// # Errors
/// When the database fails.
pub async fn legacy_list(app: State<App>, principal: Principal) -> Result<Json<Value>> {
    let me = Path(principal.user.guid.clone());
    list(app, principal, me).await
}

/// `POST /keys`: likewise.
///
/// # Errors
/// As [`create`].
pub async fn legacy_create(app: State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    let me = Path(principal.user.guid.clone());
    create(app, principal, me, fields).await
}

/// `DELETE /keys/{id}`: likewise.
///
/// # Errors
/// As [`delete`].
pub async fn legacy_delete(app: State<App>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    let me = principal.user.guid.clone();
    delete(app, principal, Path((me, id))).await
}

/// `DELETE /v1/users/{guid}/keys/{id}`
///
/// # Errors
/// 403 for another's, 404 when there is none.
pub async fn delete(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
) -> Result<StatusCode> {
    own(&principal, &guid)?;
    let key = of(&app, &principal, &id).await?;
    let mut tx = app.write().await?;
    store::keys::delete(&mut tx, &guid, key.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
