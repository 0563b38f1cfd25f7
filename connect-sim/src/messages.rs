//! Messages of administrators to all who use the server.
//!
//! | route | who |
//! | --- | --- |
//! | `GET /v1/system/messages` | every user: those that are shown now; administrators: all |
//! | `POST /v1/system/messages`, `PATCH`, `DELETE /v1/system/messages/{guid}` | administrators |
//!
//! That the product has custom messages is known, their shapes are not. Here a message is shown where the product shows its
//! warnings: `public_warning` of `/server_settings` holds those to everyone, `logged_in_warning` those to users.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use chrono::DateTime;
use http::StatusCode;
use serde_json::{Value, json};

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given};
use crate::store;
use crate::store::messages::Message;
use crate::users::time;

/// Characters of the longest.
const LONGEST: usize = 4096;
/// Messages of one server.
const MOST: usize = 100;

fn shown(one: &Message, now: i64) -> Value {
    json!({
        "guid": one.guid, "content": one.content, "audience": one.audience, "active": one.shows(now),
        "created_time": time(one.created), "updated_time": time(one.updated), "start_time": one.starts.map(time),
        "end_time": one.ends.map(time),
    })
}

async fn all(app: &App) -> Result<Arc<Vec<Message>>> {
    // Every page and every client asks for the settings that show them.
    let read = async || Ok::<_, Error>(Arc::new(store::messages::all(&mut *app.read().await?).await?));
    app.messages().get(app.world().db(), &(), read).await
}

/// The texts that are shown to an audience now, one a line; that of the settings first.
///
/// # Errors
/// When the database fails.
pub async fn text(app: &App, audience: &str) -> Result<String> {
    let (all, now) = (all(app).await?, app.now());
    let config = app.config();
    let own = if audience == "everyone" { &config.public_warning } else { &config.logged_in_warning };
    let shown = all.iter().filter(|one| one.audience == audience && one.shows(now));
    let texts = [own.as_str()].into_iter().chain(shown.map(|one| one.content.as_str())).filter(|text| !text.is_empty());
    Ok(texts.collect::<Vec<_>>().join("\n"))
}

/// `GET /v1/system/messages`
pub async fn list(State(app): State<App>, principal: Principal) -> Result<Json<Vec<Value>>> {
    let (all, now) = (all(&app).await?, app.now());
    let for_caller = |one: &&Message| principal.is_administrator() || one.shows(now);
    Ok(Json(all.iter().filter(for_caller).map(|one| shown(one, now)).collect()))
}

fn moment(fields: &Fields, name: &str, place: &mut Option<i64>) -> Result<()> {
    let read = match fields.text(name)? {
        Given::Absent => return Ok(()),
        Given::Null => None,
        Given::Value(text) => Some(DateTime::parse_from_rfc3339(&text).map_err(|_| {
            let text = format!("`{name}` must be a time such as 2026-01-31T09:30:00Z.");
            Error::bad(Code::InvalidTimeFormat, text)
        })?),
    };
    *place = read.map(|at| at.timestamp_micros());
    Ok(())
}

fn apply(fields: &Fields, one: &mut Message) -> Result<()> {
    let bad = |text: String| Err(Error::bad(Code::InvalidParameter, text));
    if let Some(content) = fields.text("content")?.value() {
        one.content = content;
    }
    if one.content.trim().is_empty() || one.content.chars().count() > LONGEST {
        return bad(format!("`content` must have 1 to {LONGEST} characters."));
    }
    if let Some(audience) = fields.text("audience")?.value() {
        one.audience = audience;
    }
    if !matches!(one.audience.as_str(), "everyone" | "logged_in") {
        return bad("`audience` must be everyone or logged_in.".to_owned());
    }
    moment(fields, "start_time", &mut one.starts)?;
    moment(fields, "end_time", &mut one.ends)?;
    match (one.starts, one.ends) {
        (Some(starts), Some(ends)) if ends <= starts => bad("`end_time` must be after `start_time`.".to_owned()),
        _ => Ok(()),
    }
}

/// `POST /v1/system/messages`
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks, 409 when there are too many.
pub async fn create(State(app): State<App>, principal: Principal, fields: Fields) -> Result<(StatusCode, Json<Value>)> {
    principal.require(Role::Administrator)?;
    let now = app.now();
    let mut one = Message {
        guid: app.world().ids().uuid("message").to_string(),
        content: fields.required("content")?,
        audience: "logged_in".to_owned(),
        created: now,
        updated: now,
        starts: None,
        ends: None,
    };
    apply(&fields, &mut one)?;
    let mut tx = app.write().await?;
    if store::messages::all(&mut tx).await?.len() >= MOST {
        let text = format!("There are {MOST} messages already; take one away first.");
        return Err(Error::conflict(Code::TooManyResults, text));
    }
    store::messages::put(&mut tx, &one).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown(&one, now))))
}

/// `PATCH /v1/system/messages/{guid}`
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks, 404 when there is none.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    let found = store::messages::all(&mut tx).await?.into_iter().find(|one| one.guid == guid);
    let mut one = found.ok_or_else(|| Error::missing("message"))?;
    apply(&fields, &mut one)?;
    one.updated = app.now();
    store::messages::put(&mut tx, &one).await?;
    tx.commit().await?;
    Ok(Json(shown(&one, app.now())))
}

/// `DELETE /v1/system/messages/{guid}`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    if !store::messages::delete(&mut tx, &guid).await? {
        return Err(Error::missing("message"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
