//! Publishing as clients did before the versioned API could: rsconnect for R 0.8.29 and rsconnect-python 1.24 do, and
//! rsconnect-ts, which the publishing action of GitHub runs; connectapi did so for repositories.
//!
//! | route | versioned |
//! | --- | --- |
//! | `POST /applications` | `POST /v1/content` |
//! | `POST /applications/{id}` | `PATCH /v1/content/{guid}` |
//! | `POST /applications/{id}/upload` | `POST /v1/content/{guid}/bundles` |
//! | `POST /applications/{id}/deploy` | `POST /v1/content/{guid}/deploy` |
//! | `GET /applications/{id}/config` | the `dashboard_url` of the item |
//! | `GET /tasks/{id}` | `GET /v1/tasks/{id}` |
//! | `GET /bundles/{id}` | `GET /v1/content/{guid}/bundles/{id}` |
//! | `POST /applications/{id}/repo` | `PUT /v1/content/{guid}/repository` |
//! | `PUT /applications/{id}/repo` | `PATCH /v1/content/{guid}/repository` |
//!
//! Each does what the versioned route does and answers in the older shape, in which ids are numbers. The shapes are those
//! that these clients read.

use axum::Json;
use axum::extract::{Path, Request, State};
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use super::{find, whole};
use crate::access::editable;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Error, Result};
use crate::input::{Fields, Query};
use crate::{bundles, content, deploy, git, store, tasks};

async fn guid(app: &App, principal: &Principal, id: &str) -> Result<String> {
    Ok(find(&mut *app.read().await?, principal, id).await?.content.guid)
}

async fn item(app: &App, origin: Origin, principal: &Principal, id: &str) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let seen = find(&mut db, principal, id).await?;
    Ok(Json(whole(app, &mut db, &app.origin(origin), &seen, principal).await?))
}

/// `POST /applications`, with `name` and perhaps `title`.
///
/// # Errors
/// As [`content::create`].
pub async fn create(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    fields: Fields,
) -> Result<Json<Value>> {
    let Json(made) = content::create(State(app.clone()), origin.clone(), principal.clone(), fields).await?;
    item(&app, origin, &principal, made["guid"].as_str().unwrap_or_default()).await
}

/// `POST /applications/{id}`: changes the fields that are given.
///
/// # Errors
/// As [`content::update`].
pub async fn update(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let guid = guid(&app, &principal, &id).await?;
    let _ = content::update(State(app.clone()), origin.clone(), principal.clone(), Path(guid), fields).await?;
    item(&app, origin, &principal, &id).await
}

/// `POST /applications/{id}/upload`, with the archive as the body: the bundle, whose `id` is a number.
///
/// # Errors
/// As [`bundles::upload::upload`].
pub async fn upload(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    request: Request,
) -> Result<Json<Value>> {
    let seen = find(&mut *app.read().await?, &principal, &id).await?.content;
    let Json(bundle) = bundles::upload::upload(State(app), principal, Path(seen.guid), request).await?;
    Ok(Json(older(bundle, seen.id)))
}

/// A bundle of the versioned API in the older shape.
fn older(mut bundle: Value, app_id: i64) -> Value {
    bundle["id"] = json!(bundle["id"].as_str().and_then(|id| id.parse::<i64>().ok()));
    bundle["app_id"] = json!(app_id);
    bundle["updated_time"] = bundle["created_time"].clone();
    bundle["build_status"] = json!(2);
    bundle
}

/// `GET /bundles/{id}`
///
/// # Errors
/// 404 when there is none of an item that the caller may change.
pub async fn bundle(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    let missing = || Error::missing("bundle");
    let number = id.parse().map_err(|_| missing())?;
    let found = store::bundles::get(&mut *app.read().await?, number).await?.ok_or_else(missing)?;
    let seen =
        editable(&mut *app.read().await?, &principal, &found.content_guid).await.map_err(|error| match error {
            Error::Refused { .. } => missing(),
            other => other,
        })?;
    let Json(shown) = bundles::get(State(app), principal, Path((found.content_guid, id))).await?;
    Ok(Json(older(shown, seen.content.id)))
}

/// `POST /applications/{id}/repo`, with `repository`, `branch` and `subdirectory`: the repository as the item has it.
///
/// # Errors
/// As [`git::put`].
pub async fn set_repository(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let guid = guid(&app, &principal, &id).await?;
    let mut wanted = json!({"repository": fields.required("repository")?});
    if let Some(branch) = fields.text("branch")?.value() {
        wanted["branch"] = json!(branch);
    }
    if let Some(path) = fields.text("subdirectory")?.value() {
        wanted["directory"] = json!(git::directory("subdirectory", &path)?);
    }
    let _ = git::put(State(app.clone()), principal, Path(guid.clone()), Fields::of(wanted)?).await?;
    git::older(&mut *app.read().await?, &guid).await.map(Json)
}

/// `PUT /applications/{id}/repo`: whether it is looked at for new commits, as `enabled`.
///
/// # Errors
/// As [`git::patch`].
pub async fn enable_repository(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let guid = guid(&app, &principal, &id).await?;
    let wanted = match fields.flag("enabled")?.value() {
        Some(enabled) => json!({ "polling": enabled }),
        None => json!({}),
    };
    let _ = git::patch(State(app.clone()), principal, Path(guid.clone()), Fields::of(wanted)?).await?;
    git::older(&mut *app.read().await?, &guid).await.map(Json)
}

/// `POST /applications/{id}/deploy`, with the number of a bundle as `bundle`; without one the newest is deployed.
///
/// # Errors
/// As [`deploy::deploy`].
pub async fn start(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let guid = guid(&app, &principal, &id).await?;
    let bundle = fields.id("bundle")?.value();
    let wanted = Fields::of(json!({"bundle_id": bundle}))?;
    let (_, Json(started)) = deploy::deploy(State(app.clone()), principal.clone(), Path(guid), wanted).await?;
    let task = started["task_id"].as_str().unwrap_or_default().to_owned();
    following(app, principal, task, 0).await
}

/// `GET /applications/{id}/config`: where the dashboard shows the item.
///
/// # Errors
/// 404 when there is none that the caller may see.
pub async fn config(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    let guid = guid(&app, &principal, &id).await?;
    let page = app.origin(origin).url(&format!("/connect/#/apps/{guid}"));
    Ok(Json(json!({"config_url": format!("{page}/access"), "logs_url": format!("{page}/logs")})))
}

/// `GET /tasks/{id}`: `first_status` is the number of the first line wanted. It never waits: these clients sleep.
///
/// # Errors
/// As [`tasks::get`].
pub async fn task(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<Value>> {
    let first = query.integer("first_status", 0, 0..=i64::MAX)?;
    following(app, principal, id, first).await
}

async fn following(app: App, principal: Principal, id: String, first: i64) -> Result<Json<Value>> {
    let user = principal.user.id;
    let query = Query::parse(&format!("first={first}"));
    let Json(task) = tasks::get(State(app), principal, Path(id), query).await?;
    Ok(Json(tasks::older(&task, user)))
}
