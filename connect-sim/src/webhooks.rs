//! Webhooks: addresses of other servers that are told what happens here. For administrators.
//!
//! | route | |
//! | --- | --- |
//! | `GET`, `POST /v1/webhooks` | |
//! | `GET`, `PATCH`, `DELETE /v1/webhooks/{guid}` | |
//! | `GET /v1/webhooks/{guid}/deliveries` | newest first |
//! | `POST /v1/webhooks/{guid}/test` | delivers an event of its own kind, `test` |
//!
//! That the product has webhooks is known, their shapes are not. Here an event is an entry of the audit log, under the name
//! of its action. It is posted as JSON, signed with HMAC-SHA-256 where the webhook has a secret, until the address answers
//! with 2xx or the attempts are used up. What is to be delivered is written together with the entry, so that it outlives the
//! server; an address may get the same delivery twice and knows it by its guid.

use axum::Json;
use axum::extract::{Path, State};
use futures_util::future::join_all;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::StatusCode;
use serde_json::{Value, json};
use sha2::Sha256;
use sqlx::AnyConnection;

use crate::access::Role;
use crate::app::App;
use crate::audit;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given, Page, Query};
use crate::store;
use crate::store::audit::Entry;
use crate::store::webhooks::{Delivery, Webhook};
use crate::users::time;
use crate::watch;

/// Webhooks of one server.
const MOST: usize = 100;
/// Deliveries that are kept of one webhook when they are over.
const KEPT: i64 = 500;
/// Deliveries at a time.
const AT_A_TIME: i64 = 16;
/// Microseconds after which a delivery whose server died is tried again.
const LEASE: i64 = 30_000_000;
/// How long an address has to answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// Microseconds from a failed attempt to the next; after the last one it is over.
const WAITS: [i64; 3] = [10_000_000, 60_000_000, 600_000_000];

fn shown(one: &Webhook) -> Value {
    json!({
        "guid": one.guid, "name": one.name, "url": one.url, "events": one.events, "active": one.active,
        "has_secret": !one.secret.is_empty(), "created_time": time(one.created), "updated_time": time(one.updated),
    })
}

fn shown_delivery(one: &Delivery) -> Value {
    let state = match (one.due, &one.error) {
        (Some(_), _) => "pending",
        (None, None) => "delivered",
        (None, Some(_)) => "failed",
    };
    json!({
        "guid": one.guid, "event": one.event, "state": state, "attempts": one.attempts, "status": one.status,
        "error": one.error, "created_time": time(one.created), "next_attempt_time": one.due.map(time),
    })
}

async fn find(db: &mut AnyConnection, principal: &Principal, guid: &str) -> Result<Webhook> {
    principal.require(Role::Administrator)?;
    store::webhooks::get(db, guid).await?.ok_or_else(|| Error::missing("webhook"))
}

/// `GET /v1/webhooks`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn list(State(app): State<App>, principal: Principal) -> Result<Json<Vec<Value>>> {
    principal.require(Role::Administrator)?;
    let all = store::webhooks::all(&mut *app.read().await?).await?;
    Ok(Json(all.iter().map(shown).collect()))
}

/// `GET /v1/webhooks/{guid}`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    Ok(Json(shown(&find(&mut *app.read().await?, &principal, &guid).await?)))
}

fn apply(fields: &Fields, one: &mut Webhook) -> Result<()> {
    let bad = |text: &str| Err(Error::bad(Code::InvalidParameter, text));
    if let Some(name) = fields.text("name")?.value() {
        one.name = name;
    }
    if one.name.chars().count() > 255 || one.name.chars().any(char::is_control) {
        return bad("`name` must have at most 255 characters, none of them a control character.");
    }
    if let Some(url) = fields.text("url")?.value() {
        one.url = url;
    }
    let is_http = url::Url::parse(&one.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    if !is_http || one.url.len() > 2048 {
        return bad("`url` must be an http or https URL of at most 2048 characters.");
    }
    if let Some(events) = fields.texts("events")?.value() {
        let known = audit::actions_known();
        if let Some(other) = events.iter().find(|event| !known.iter().any(|known| known.0 == event.as_str())) {
            let text = format!("`events`: `{other:.40}` is none of the actions of GET /v1/audit/actions.");
            return Err(Error::bad(Code::InvalidParameter, text));
        }
        one.events = events;
        one.events.sort_unstable();
        one.events.dedup();
    }
    match fields.text("secret")? {
        Given::Absent => {}
        Given::Null => one.secret.clear(),
        Given::Value(secret) if secret.chars().count() <= 255 => one.secret = secret,
        Given::Value(_) => return bad("`secret` must not be longer than 255 characters."),
    }
    one.active = fields.flag("active")?.value().unwrap_or(one.active);
    Ok(())
}

/// `POST /v1/webhooks`
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks, 409 when there are too many.
pub async fn create(State(app): State<App>, principal: Principal, fields: Fields) -> Result<(StatusCode, Json<Value>)> {
    principal.require(Role::Administrator)?;
    let now = app.now();
    let mut one = Webhook {
        guid: app.world().ids().uuid("webhook").to_string(),
        name: String::new(),
        url: fields.required("url")?,
        events: Vec::new(),
        secret: String::new(),
        active: true,
        created: now,
        updated: now,
    };
    apply(&fields, &mut one)?;
    // What happened before is told to the webhooks that there were.
    app.recorder().flush(&app).await?;
    let mut tx = app.write().await?;
    if store::webhooks::all(&mut tx).await?.len() >= MOST {
        let text = format!("There are {MOST} webhooks already; take one away first.");
        return Err(Error::conflict(Code::TooManyResults, text));
    }
    store::webhooks::put(&mut tx, &one).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown(&one))))
}

/// `PATCH /v1/webhooks/{guid}`
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks, 404 when there is none.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    app.recorder().flush(&app).await?;
    let mut tx = app.write().await?;
    let mut one = find(&mut tx, &principal, &guid).await?;
    apply(&fields, &mut one)?;
    one.updated = app.now();
    store::webhooks::put(&mut tx, &one).await?;
    tx.commit().await?;
    Ok(Json(shown(&one)))
}

/// `DELETE /v1/webhooks/{guid}`: what is on its way to it is not delivered.
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    find(&mut tx, &principal, &guid).await?;
    store::webhooks::delete(&mut tx, &guid).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/webhooks/{guid}/deliveries`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn deliveries(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    query: Query,
) -> Result<Json<Value>> {
    let page = Page::of(&query, 500)?;
    principal.require(Role::Administrator)?;
    app.recorder().flush(&app).await?;
    let mut db = app.read().await?;
    find(&mut db, &principal, &guid).await?;
    let all = store::webhooks::deliveries(&mut db, &guid, i64::MAX).await?;
    let skip = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let take = usize::try_from(page.size).unwrap_or_default();
    let results: Vec<Value> = all.iter().skip(skip).take(take).map(shown_delivery).collect();
    Ok(page.answer(&results, i64::try_from(all.len()).unwrap_or(i64::MAX)))
}

/// `POST /v1/webhooks/{guid}/test`: also to one that is not active.
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn test(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
) -> Result<(StatusCode, Json<Value>)> {
    let mut tx = app.write().await?;
    let one = find(&mut tx, &principal, &guid).await?;
    let about = json!({"user_guid": principal.user.guid, "description": "A test of this webhook"});
    let delivery = made(&app, &one, "test", app.now(), about);
    store::webhooks::enqueue(&mut tx, &delivery, KEPT).await?;
    tx.commit().await?;
    app.ring_for_deliveries();
    Ok((StatusCode::ACCEPTED, Json(shown_delivery(&delivery))))
}

fn made(app: &App, webhook: &Webhook, event: &str, at: i64, about: Value) -> Delivery {
    let guid = app.world().ids().uuid("webhook-delivery").to_string();
    let mut body = json!({"delivery_guid": guid, "event": event, "time": time(at), "simulated": true});
    if let (Value::Object(body), Value::Object(about)) = (&mut body, about) {
        body.extend(about);
    }
    Delivery {
        id: 0,
        guid,
        webhook_guid: webhook.guid.clone(),
        event: event.to_owned(),
        body: body.to_string(),
        created: at,
        due: Some(at),
        attempts: 0,
        status: None,
        error: None,
    }
}

/// Writes what webhooks are to be told of new entries of the audit log; whether there is anything.
///
/// # Errors
/// When the database fails.
pub async fn enqueue(app: &App, tx: &mut AnyConnection, entries: &[&Entry]) -> Result<bool> {
    if entries.is_empty() {
        return Ok(false);
    }
    let mut any = false;
    for webhook in store::webhooks::all(tx).await?.iter().filter(|one| one.active) {
        for entry in entries.iter().filter(|one| webhook.events.is_empty() || webhook.events.contains(&one.action)) {
            let about = json!({
                "user_guid": entry.user_guid, "user_description": entry.user_description,
                "description": entry.event_description,
            });
            let delivery = made(app, webhook, &entry.action, entry.time, about);
            store::webhooks::enqueue(tx, &delivery, KEPT).await?;
            any = true;
        }
    }
    Ok(any)
}

/// Starts the watch for deliveries that are due.
pub fn start(app: &App) {
    watch::start(app, App::deliveries, |app| Box::pin(async move { deliver(&app).await }));
}

/// Tries what is due; when the next attempt is.
async fn deliver(app: &App) -> Result<Option<i64>> {
    let now = app.now();
    let claimed = {
        let mut db = app.read().await?;
        match store::webhooks::next_due(&mut db).await? {
            Some(due) if due <= now => {}
            next => return Ok(next),
        }
        drop(db);
        let mut tx = app.write().await?;
        let claimed = store::webhooks::claim(&mut tx, now, now + LEASE, AT_A_TIME).await?;
        tx.commit().await?;
        claimed
    };
    let tried = join_all(claimed.into_iter().map(|one| attempt(app, one))).await;
    let mut tx = app.write().await?;
    for one in tried {
        store::webhooks::tried(&mut tx, &one?).await?;
    }
    tx.commit().await?;
    Ok(store::webhooks::next_due(&mut *app.read().await?).await?)
}

async fn attempt(app: &App, mut one: Delivery) -> Result<Delivery> {
    let webhook = store::webhooks::get(&mut *app.read().await?, &one.webhook_guid).await?;
    // Taken away meanwhile, with its deliveries.
    let Some(webhook) = webhook else { return Ok(one) };
    let client = app.outside().client();
    let mut request = client
        .post(&webhook.url)
        .timeout(PATIENCE)
        .header("content-type", "application/json")
        .header("x-connect-webhook-event", &one.event)
        .header("x-connect-webhook-delivery", &one.guid);
    if !webhook.secret.is_empty() {
        request = request.header("x-connect-webhook-signature", signature(&webhook.secret, one.body.as_bytes()));
    }
    let answer = app.outside().send(request.body(one.body.clone())).await;
    one.status = answer.as_ref().ok().map(|answer| i64::from(answer.status().as_u16()));
    one.error = match &answer {
        Ok(answer) if answer.status().is_success() => None,
        Ok(answer) => Some(format!("the address answered {}", answer.status())),
        Err(error) => Some(error.to_string()),
    };
    let wait = usize::try_from(one.attempts - 1).ok().and_then(|n| WAITS.get(n));
    one.due = one.error.as_ref().and(wait).map(|wait| app.now() + wait);
    Ok(one)
}

/// What `X-Connect-Webhook-Signature` holds.
fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    #[test]
    fn signatures_are_those_of_other_programs() {
        // RFC 4231, test case 2.
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(super::signature("Jefe", b"what do ya want for nothing?"), expected);
    }
}
