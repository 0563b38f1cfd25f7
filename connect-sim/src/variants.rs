//! Variants of rendered documents, and their renderings.
//!
//! A document gets its one default variant with the deploy that renders it first. Ids are numbers and can be guessed, so
//! a variant of an item that one may not see is not told from one that is not there. Whoever may change the item may
//! change and render its variants.
//!
//! A variant whose `visibility` is private is there for those who may change the item, in lists, by its id and key, and in
//! mail; to others it is not there, and what it rendered is not shown.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use crate::access::{AppRole, Seen, editable, visible};
use crate::app::App;
use crate::applications;
use crate::auth::Principal;
use crate::build::jobs;
use crate::content_type::{ContentType, Kind};
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Json as Body, Query};
use crate::store;
use crate::store::content::Content;
use crate::store::renderings::Rendering;
use crate::store::tasks::Task;
use crate::store::variants::{Settings, Variant};
use crate::subscriptions::{self, Recipients};
use crate::tasks;
use crate::users::time;

/// Whether an item is a document that is rendered.
#[must_use]
pub fn is_rendered(content: &Content) -> bool {
    ContentType::of(&content.app_mode).is_some_and(|mode| mode.kind() == Kind::Rendered)
}

/// The default variant of an item; made when there is none.
///
/// # Errors
/// When the database fails.
pub async fn default_of(app: &App, tx: &mut AnyConnection, content_guid: &str, now: i64) -> Result<Variant> {
    if let Some(variant) = store::variants::of_content(tx, content_guid).await?.into_iter().find(|v| v.is_default) {
        return Ok(variant);
    }
    let variant = Variant {
        id: store::next(tx, "variant").await?,
        content_guid: content_guid.to_owned(),
        key: app.world().ids().token("variant", 8),
        name: "default".to_owned(),
        is_default: true,
        is_private: false,
        settings: Settings::default(),
        created: now,
    };
    store::variants::insert(tx, &variant).await?;
    Ok(variant)
}

/// Whether a variant is there for one to whom the item is what `role` says.
#[must_use]
pub fn is_shown(variant: &Variant, role: AppRole, is_administrator: bool) -> bool {
    !variant.is_private || is_administrator || matches!(role, AppRole::Owner | AppRole::Editor)
}

/// The variants of an item that are there for a caller.
///
/// # Errors
/// When the database fails.
pub async fn of_item(db: &mut AnyConnection, principal: &Principal, seen: &Seen) -> Result<Vec<Variant>> {
    let mut all = store::variants::of_content(db, &seen.content.guid).await?;
    all.retain(|variant| is_shown(variant, seen.role, principal.is_administrator()));
    Ok(all)
}

/// A variant by its number, with its item.
///
/// # Errors
/// 404 when there is none that the caller may see.
pub async fn find(db: &mut AnyConnection, principal: &Principal, id: &str) -> Result<(Variant, Seen)> {
    let missing = || Error::missing("variant");
    let variant = match id.parse() {
        Ok(id) => store::variants::get(db, id).await?,
        Err(_) => None,
    };
    let variant = variant.ok_or_else(missing)?;
    let seen = visible(db, principal, &variant.content_guid).await.map_err(|error| match error {
        Error::Refused { .. } => missing(),
        other => other,
    })?;
    match is_shown(&variant, seen.role, principal.is_administrator()) {
        true => Ok((variant, seen)),
        false => Err(missing()),
    }
}

fn shown(variant: &Variant, content: &Content, rendering: Option<&Rendering>) -> Value {
    json!({
        "id": variant.id,
        "app_id": content.id,
        "key": variant.key,
        "bundle_id": content.bundle_id,
        "is_default": variant.is_default,
        "name": variant.name,
        "email_collaborators": variant.settings.email_collaborators,
        "email_viewers": variant.settings.email_viewers,
        "email_all": variant.settings.email_all,
        "created_time": time(variant.created),
        "rendering_id": rendering.map(|rendering| rendering.id),
        "render_time": rendering.map(|rendering| time(rendering.rendered)),
        "render_duration": rendering.map(|rendering| rendering.duration),
        "visibility": if variant.is_private { "private" } else { "public" },
        // Variants belong to the item; the product says 0.
        "owner_id": 0,
    })
}

async fn show(db: &mut AnyConnection, variant: &Variant, content: &Content) -> Result<Value> {
    let rendering = store::renderings::active(db, variant.id).await?;
    Ok(shown(variant, content, rendering.as_ref()))
}

/// `GET /applications/{id}/variants`
///
/// # Errors
/// 404 when there is no item that the caller may see.
pub async fn list(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Vec<Value>>> {
    let mut db = app.read().await?;
    let seen = applications::find(&mut db, &principal, &id).await?;
    let mut all = Vec::new();
    for variant in of_item(&mut db, &principal, &seen).await? {
        all.push(show(&mut db, &variant, &seen.content).await?);
    }
    Ok(Json(all))
}

/// `GET /variants/{id}`
///
/// # Errors
/// 404 when there is none that the caller may see.
pub async fn get(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let (variant, seen) = find(&mut db, &principal, &id).await?;
    Ok(Json(show(&mut db, &variant, &seen.content).await?))
}

/// `POST /variants/{id}`
///
/// # Errors
/// 400 for a bad field, 403 for an item one may not change, 404 when there is none.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let mut tx = app.write().await?;
    let (mut variant, seen) = find(&mut tx, &principal, &id).await?;
    editable(&mut tx, &principal, &seen.content.guid).await?;
    if let Some(name) = fields.text("name")?.value() {
        if name.trim().is_empty() || name.chars().count() > 255 {
            return Err(Error::bad(Code::InvalidVariantName, "`name` must have 1 to 255 characters."));
        }
        variant.name = name;
    }
    let s = &mut variant.settings;
    s.email_collaborators = fields.flag("email_collaborators")?.value().unwrap_or(s.email_collaborators);
    s.email_viewers = fields.flag("email_viewers")?.value().unwrap_or(s.email_viewers);
    s.email_all = fields.flag("email_all")?.value().unwrap_or(s.email_all);
    match fields.text("visibility")?.value().as_deref() {
        None => {}
        Some("public") => variant.is_private = false,
        Some("private") => variant.is_private = true,
        Some(_) => return Err(Error::bad(Code::InvalidParameter, "`visibility` must be public or private.")),
    }
    store::variants::update(&mut tx, &variant).await?;
    let shown = show(&mut tx, &variant, &seen.content).await?;
    tx.commit().await?;
    Ok(Json(shown))
}

/// `GET /variants/{id}/renderings`: newest first.
///
/// # Errors
/// 404 when there is none that the caller may see.
pub async fn renderings(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Vec<Value>>> {
    let mut db = app.read().await?;
    let (variant, seen) = find(&mut db, &principal, &id).await?;
    let all = store::renderings::of_variant(&mut db, variant.id).await?;
    let newest = all.first().map(|rendering| rendering.id);
    let shown = |rendering: &Rendering| {
        json!({
            "id": rendering.id, "app_id": seen.content.id, "variant_id": variant.id,
            "bundle_id": rendering.bundle_id, "job_key": rendering.job_key,
            "render_time": time(rendering.rendered), "render_duration": rendering.duration,
            "active": Some(rendering.id) == newest,
        })
    };
    Ok(Json(all.iter().map(shown).collect()))
}

/// A task that renders a variant from the active bundle.
#[must_use]
pub fn render_task(app: &App, content: &Content, variant: &Variant, user_guid: &str) -> Task {
    Task {
        content_guid: Some(content.guid.clone()),
        bundle_id: content.bundle_id,
        variant_id: Some(variant.id),
        ..Task::new(app.world().ids().token("task", 16), "render", user_guid, app.now())
    }
}

/// Checks that an item can be rendered.
fn renderable(content: &Content) -> Result<()> {
    if content.locked {
        let text = "The content is locked; unlock it before you render it.";
        return Err(Error::conflict(Code::LockedContentBundle, text));
    }
    if !is_rendered(content) {
        let text = "Only documents can be rendered, after they were deployed.";
        return Err(Error::bad(Code::AppModeIsNotExecutable, text));
    }
    Ok(())
}

/// `POST /v1/content/{guid}/render`
///
/// # Errors
/// 400 for content that is not rendered, 403 for an item one may not change, 404 when there is no such item or variant,
/// 409 for a locked item.
pub async fn render_content(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>)> {
    let key = fields.text("variant_key")?.value().filter(|key| !key.is_empty());
    let mut tx = app.write().await?;
    let Seen { content, .. } = editable(&mut tx, &principal, &guid).await?;
    renderable(&content)?;
    let variants = store::variants::of_content(&mut tx, &guid).await?;
    let wanted = |variant: &&Variant| key.as_ref().map_or(variant.is_default, |key| *key == variant.key);
    let variant = variants.iter().find(wanted).ok_or_else(|| Error::missing("variant"))?;
    let task = render_task(&app, &content, variant, &principal.user.guid);
    jobs::submit(&app, &mut tx, &task, Some(&content.app_mode)).await?;
    tx.commit().await?;
    app.ring_for_work();
    Ok((StatusCode::ACCEPTED, Json(json!({"task_id": task.id}))))
}

/// `POST /variants/{id}/render`: the task as it begins, in the older shape and the newer.
///
/// # Errors
/// As [`render_content`].
pub async fn render(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    let mut tx = app.write().await?;
    let (variant, seen) = find(&mut tx, &principal, &id).await?;
    editable(&mut tx, &principal, &seen.content.guid).await?;
    renderable(&seen.content)?;
    let task = render_task(&app, &seen.content, &variant, &principal.user.guid);
    jobs::submit(&app, &mut tx, &task, Some(&seen.content.app_mode)).await?;
    tx.commit().await?;
    app.ring_for_work();
    Ok(Json(tasks::legacy(&task, &[], principal.user.id)))
}

/// `GET /variants/{id}/subscribers`: guids of users.
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn subscribers(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let (variant, seen) = find(&mut db, &principal, &id).await?;
    editable(&mut db, &principal, &seen.content.guid).await?;
    Ok(Json(json!(store::variants::subscribers(&mut db, variant.id).await?)))
}

/// `POST /variants/{id}/subscribers`: adds the users of a list of guids.
///
/// # Errors
/// 400 for no list or a guid that is no user's, 403 for an item one may not change, 404 when there is none.
pub async fn subscribe(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    Body(body): Body,
) -> Result<Json<Value>> {
    let guids: Option<Vec<&str>> = body.as_array().and_then(|all| all.iter().map(Value::as_str).collect());
    let bad = || Error::bad(Code::CannotParseRequestBody, "The body must be a list of guids of users.");
    let guids = guids.filter(|guids| guids.len() <= 10_000).ok_or_else(bad)?;
    let mut tx = app.write().await?;
    let (variant, seen) = find(&mut tx, &principal, &id).await?;
    editable(&mut tx, &principal, &seen.content.guid).await?;
    for guid in guids {
        if guid.contains('\0') || store::users::by_guid(&mut tx, guid).await?.is_none() {
            return Err(Error::bad(Code::InvalidUserGuid, "The list holds a guid that is no user's."));
        }
        store::variants::subscribe(&mut tx, variant.id, guid).await?;
    }
    let all = store::variants::subscribers(&mut tx, variant.id).await?;
    tx.commit().await?;
    Ok(Json(json!(all)))
}

/// `DELETE /variants/{id}/subscribers/{user_guid}`: owners and collaborators; everybody for oneself.
///
/// # Errors
/// 403 for another of an item one may not change; 404 when there is none.
pub async fn unsubscribe(
    State(app): State<App>,
    principal: Principal,
    Path((id, user)): Path<(String, String)>,
) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    let (variant, seen) = find(&mut tx, &principal, &id).await?;
    if user != principal.user.guid {
        editable(&mut tx, &principal, &seen.content.guid).await?;
    }
    if !store::variants::unsubscribe(&mut tx, variant.id, &user).await? {
        return Err(Error::missing("subscriber"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /variants/{id}/sender`: mails the newest rendering, to oneself, to owner and collaborators, or to all who may
/// open it by name. Mail is kept, and leaves for nowhere.
///
/// # Errors
/// 400 for other recipients or without any address; 403 for others than oneself on an item one may not change; 404 when
/// there is no such variant or rendering.
pub async fn send(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<Value>> {
    let wanted = query.text("email").unwrap_or("me");
    let to = Recipients::named(wanted, &principal.user.guid).filter(|to| !to.subscribers).ok_or_else(|| {
        let text = "`email` must be me, collaborators or collaborators_viewers.";
        Error::bad(Code::InvalidParameter, text)
    })?;
    let mut tx = app.write().await?;
    let (variant, Seen { content, .. }) = find(&mut tx, &principal, &id).await?;
    if to.user.is_none() {
        editable(&mut tx, &principal, &content.guid).await?;
    }
    let asked = (principal.user.guid.as_str(), query.text("rendering_id"));
    let (task, output) = subscriptions::send(&app, &mut tx, &content, &variant, to, asked).await?;
    tx.commit().await?;
    app.ring_for_mail();
    Ok(Json(tasks::legacy(&task, &output, principal.user.id)))
}
