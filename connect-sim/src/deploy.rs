//! Deploying: a task that builds a bundle and, unless it is a draft, makes it the active one.
//!
//! Without a bundle, the newest is meant; of content from a repository, the branch as it is now.
//!
//! Owners, collaborators and administrators may. `activate: false` came with 2025.06.0; older servers refuse the member.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use crate::access::{Seen, editable};
use crate::app::App;
use crate::auth::Principal;
use crate::build::jobs;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::git;
use crate::input::{Fields, Given};
use crate::store;
use crate::store::tasks::Task;

async fn start(app: &App, principal: &Principal, guid: &str, fields: &Fields, kind: &str) -> Result<Json<Value>> {
    let wanted = fields.id("bundle_id")?;
    let activate = fields.flag("activate")?;
    if activate != Given::Absent && !app.config().version.with(Difference::DeployActivate) {
        return Err(Error::bad(Code::CannotParseRequestBody, "The body has the unknown field `activate`."));
    }
    let mut tx = app.write().await?.routine();
    let Seen { content, .. } = editable(&mut tx, principal, guid).await?;
    if content.locked {
        let text = "The content is locked; unlock it before you deploy.";
        return Err(Error::conflict(Code::LockedContentBundle, text));
    }
    let mut task = Task {
        content_guid: Some(guid.to_owned()),
        activate: activate.value().unwrap_or(true),
        ..Task::new(app.world().ids().token("task", 16), kind, &principal.user.guid, app.now())
    };
    let bundle = if let Some(id) = wanted.value() {
        let found = store::bundles::get(&mut tx, id).await?.filter(|bundle| bundle.content_guid == guid);
        Some(found.ok_or_else(|| Error::missing("bundle"))?)
    } else if let Some(repository) = store::repositories::get(&mut tx, guid).await? {
        // The task fetches its bundle.
        task.detail = git::location(&repository);
        None
    } else {
        let newest = store::bundles::newest(&mut tx, guid).await?.ok_or_else(|| {
            Error::bad(Code::BundleMissing, "The content has no bundle; upload one before you deploy.")
        })?;
        Some(newest)
    };
    task.bundle_id = bundle.as_ref().map(|bundle| bundle.id);
    jobs::submit(app, &mut tx, &task, bundle.as_ref().map(|bundle| bundle.app_mode.as_str())).await?;
    tx.commit().await?;
    app.ring_for_work();
    Ok(Json(json!({"task_id": task.id})))
}

/// `POST /v1/content/{guid}/deploy`
///
/// # Errors
/// 400 without a bundle, 403 for an item one may not change, 404 when there is no such item or bundle, 409 for a locked
/// item.
pub async fn deploy(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>)> {
    Ok((StatusCode::ACCEPTED, start(&app, &principal, &guid, &fields, "deploy").await?))
}

/// `POST /v1/content/{guid}/build`: restores the packages of a bundle, renders nothing, and makes it the active one.
///
/// # Errors
/// As [`deploy`].
pub async fn build(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    start(&app, &principal, &guid, &fields, "build").await
}
