//! Content items: the objects that are published.
//!
//! | route | who |
//! | --- | --- |
//! | `GET /v1/content` | every user; those it may open, administrators all |
//! | `POST /v1/content` | publishers |
//! | `GET /v1/content/{guid}` | who may open it, administrators |
//! | `PATCH`, `DELETE /v1/content/{guid}` | owner, collaborators, administrators |
//!
//! Lists have no pages and are ordered by the last deploy, newest first, which clients rely on.

pub mod access_test;
pub mod fields;
pub mod kept;
pub mod view;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use sim_kit::origin::Origin;

use crate::access::{AppRole, Role, Seen, editable, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::bundles;
use crate::environments;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Query};
use crate::runtime::processes;
use crate::store;
use crate::store::content::{Content, Settings};
use crate::store::search::Condition;
use view::{Include, Viewer};

/// `GET /v1/content`
///
/// # Errors
/// 400 for an unknown `include`.
pub async fn list(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    query: Query,
    headers: HeaderMap,
) -> Result<Response> {
    let include = Include::of(&app, &query)?;
    let mut condition = Condition::open_to(&principal);
    if let Some(name) = query.text("name") {
        condition = condition.named(name);
    }
    if let Some(guid) = query.text("owner_guid") {
        condition = condition.owned_by(guid);
    }
    Viewer::new(&app, origin, principal).all(&condition, include, &headers).await
}

/// `GET /v1/content/{guid}`
///
/// # Errors
/// 400 for an unknown `include`, 403 for an item one may not see, 404 when there is none.
pub async fn get(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    Path(guid): Path<String>,
    query: Query,
) -> Result<Json<Value>> {
    let include = Include::of(&app, &query)?;
    let mut db = app.read().await?;
    let seen = visible(&mut db, &principal, &guid).await?;
    Ok(Json(Viewer::new(&app, origin, principal).one(&mut db, &seen, include).await?))
}

/// `POST /v1/content`
///
/// # Errors
/// 400 for a bad field, 403 for viewers, 409 for a name that the caller has used.
pub async fn create(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    fields: Fields,
) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let now = app.now();
    let mut content = Content {
        id: 0,
        guid: app.world().ids().uuid("content").to_string(),
        owner_guid: principal.user.guid.clone(),
        name: String::new(),
        title: None,
        description: String::new(),
        access_type: "acl".to_owned(),
        locked: false,
        locked_message: String::new(),
        app_mode: "unknown".to_owned(),
        content_category: String::new(),
        parameterized: false,
        bundle_id: None,
        created: now,
        deployed: now,
        settings: Settings::default(),
    };
    fields::apply(app.config(), &principal, &fields, &mut content, fields::Moment::Creation)?;
    if content.name.is_empty() {
        content.name = format!("content-{}", app.world().ids().hex("content-name", 12));
    }
    let mut tx = app.write().await?.routine();
    if let Some(environment) = &content.settings.default_environment_guid {
        environments::check_default(&mut tx, &principal, environment).await?;
    }
    content.id = store::next(&mut tx, "content").await?;
    store::content::insert(&mut tx, &content).await.map_err(duplicate)?;
    tx.commit().await?;
    let mut db = app.read().await?;
    let seen = Seen { content, role: AppRole::Owner };
    Ok(Json(Viewer::new(&app, origin, principal).one(&mut db, &seen, Include::default()).await?))
}

fn duplicate(error: sqlx::Error) -> Error {
    match store::is_duplicate(&error) {
        true => Error::conflict(Code::DuplicateName, "An object with that name already exists."),
        false => error.into(),
    }
}

/// `PATCH /v1/content/{guid}`
///
/// # Errors
/// 400 for a bad field, 403 for an item one may not change, 404 when there is none, 409 for a name that is taken.
pub async fn update(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let mut tx = app.write().await?;
    store::content::hold(&mut tx, &guid).await?;
    let Seen { mut content, .. } = editable(&mut tx, &principal, &guid).await?;
    let before = content.clone();
    fields::apply(app.config(), &principal, &fields, &mut content, fields::Moment::Update)?;
    if content.owner_guid != before.owner_guid {
        let user = store::users::by_guid(&mut tx, &content.owner_guid).await?;
        let Some(user) = user else { return Err(Error::bad(Code::InvalidOwner, "`owner_guid` is no user's.")) };
        if user.role < Role::Publisher {
            let text = "The user that `owner_guid` names does not have permission to publish.";
            return Err(Error::forbidden_because(Code::InvalidOwner, text));
        }
    }
    // One that was there when it was chosen may be gone by now, which is no reason to refuse other changes.
    if let Some(environment) = &content.settings.default_environment_guid
        && content.settings.default_environment_guid != before.settings.default_environment_guid
    {
        environments::check_default(&mut tx, &principal, environment).await?;
    }
    store::content::update(&mut tx, &content).await.map_err(duplicate)?;
    let user = |content: &Content| (content.settings.run_as.clone(), content.settings.run_as_current_user);
    if content.locked && !before.locked {
        processes::restart(&app, &mut tx, &content, "the content was locked").await?;
    } else if user(&content) != user(&before) {
        processes::restart(&app, &mut tx, &content, "the content runs as another user").await?;
    } else {
        processes::keep_warm(&app, &mut tx, &content).await?;
    }
    tx.commit().await?;
    app.ring_for_processes();
    let mut db = app.read().await?;
    let seen = visible(&mut db, &principal, &guid).await?;
    Ok(Json(Viewer::new(&app, origin, principal).one(&mut db, &seen, Include::default()).await?))
}

/// `DELETE /v1/content/{guid}`
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    let bundles = store::bundles::of_content(&mut tx, &guid).await?;
    let thumbnail = store::thumbnails::get(&mut tx, &guid).await?;
    store::content::delete(&mut tx, &guid).await?;
    tx.commit().await?;
    for bundle in bundles {
        bundles::discard(&app, &bundle).await?;
    }
    if let Some(thumbnail) = thumbnail {
        bundles::drop_blob(&app, &thumbnail.digest).await?;
    }
    app.ring_for_schedules();
    Ok(StatusCode::NO_CONTENT)
}
