//! Jobs: what ran for an item, and its log. Owners, collaborators and administrators see them.
//!
//! In the simulated runtime these are the restores and renders of deploys; none is active after its deploy.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::{Value, json};
use sqlx::AnyConnection;

use crate::access::{Seen, editable};
use crate::app::App;
use crate::applications;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::Query;
use crate::store;
use crate::store::jobs::Job;
use crate::users::time;

fn shown(app: &App, seen: &Seen, job: &Job) -> Value {
    let mut shown = json!({
        "id": job.id.to_string(),
        "ppid": null,
        "pid": job.id.to_string(),
        "key": job.key,
        "remote_id": null,
        "app_id": seen.content.id.to_string(),
        "variant_id": "0",
        "variant_key": null,
        "bundle_id": job.bundle_id.map(|id| id.to_string()),
        "start_time": time(job.started),
        "end_time": job.ended.map(time),
        "last_heartbeat_time": time(job.ended.unwrap_or(job.started)),
        "queued_time": time(job.started),
        "queue_name": "default",
        "tag": job.tag,
        "exit_code": job.exit_code,
        "error": job.error,
        "status": if job.ended.is_some() { 2 } else { 0 },
        "hostname": "teamsim",
        "cluster": null,
        "image": null,
        "run_as": "rstudio-connect",
        "skip_reason": null,
    });
    if app.config().version.has("2025.01.0") {
        shown["content_id"] = json!(seen.content.id.to_string());
        shown["content_guid"] = json!(seen.content.guid);
    }
    shown
}

/// `GET /v1/content/{guid}/jobs`
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn list(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let seen = editable(&mut db, &principal, &guid).await?;
    let jobs = store::jobs::of_content(&mut db, &guid).await?;
    Ok(Json(jobs.iter().map(|job| shown(&app, &seen, job)).collect()))
}

async fn find(db: &mut AnyConnection, principal: &Principal, guid: &str, key: &str) -> Result<(Seen, Job)> {
    let seen = editable(db, principal, guid).await?;
    let job = store::jobs::get(db, guid, key).await?.ok_or_else(|| Error::missing("job"))?;
    Ok((seen, job))
}

/// `GET /v1/content/{guid}/jobs/{key}`
///
/// # Errors
/// As [`list`].
pub async fn get(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let (seen, job) = find(&mut *app.read().await?, &principal, &guid, &key).await?;
    Ok(Json(shown(&app, &seen, &job)))
}

/// `DELETE /v1/content/{guid}/jobs/{key}`: an order to end it.
///
/// # Errors
/// As [`list`]; 409 with code 163 for a job that is not active.
pub async fn kill(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let (seen, job) = find(&mut *app.read().await?, &principal, &guid, &key).await?;
    if job.ended.is_some() {
        let text = "The specified job cannot be terminated because it is not active";
        return Err(Error::conflict(Code::InactiveJob, text));
    }
    Ok(Json(json!({
        "guid": app.world().ids().uuid("kill-order"),
        "app_id": seen.content.id,
        "app_guid": seen.content.guid,
        "content_id": seen.content.id.to_string(),
        "content_guid": seen.content.guid,
        "job_id": job.id,
        "job_key": job.key,
        "result": "Order to kill job registered",
    })))
}

/// `GET /v1/content/{guid}/jobs/{key}/log`
///
/// # Errors
/// As [`list`]; 400 for a bad number.
pub async fn log(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>> {
    let most = query.integer("maxLogLines", i64::MAX, -1..=i64::MAX)?;
    let mut db = app.read().await?;
    let (_, job) = find(&mut db, &principal, &guid, &key).await?;
    let text = store::jobs::log(&mut db, job.id).await?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let lines: Vec<&str> = text.lines().collect();
    let entries = lines.iter().skip(lines.len().saturating_sub(most)).map(|line| {
        let source = if line.starts_with("[rsc-session]") { "stderr" } else { "stdout" };
        json!({"source": source, "timestamp": time(job.started), "data": line})
    });
    Ok(Json(json!({"entries": entries.collect::<Vec<_>>()})))
}

/// `GET /v1/content/{guid}/jobs/{key}/download`
///
/// # Errors
/// As [`list`].
pub async fn download(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
) -> Result<Response> {
    let mut db = app.read().await?;
    let (_, job) = find(&mut db, &principal, &guid, &key).await?;
    let text = store::jobs::log(&mut db, job.id).await?;
    let name = format!("attachment; filename=\"{}.log\"", job.key);
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)], text).into_response())
}

/// `GET /v1/content/{guid}/jobs/{key}/error`: 204 when it did not fail.
///
/// # Errors
/// As [`list`].
pub async fn error(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
) -> Result<Response> {
    let (_, job) = find(&mut *app.read().await?, &principal, &guid, &key).await?;
    Ok(match job.error {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(summary) => Json(json!({"code": "", "summary": summary, "help_url": ""})).into_response(),
    })
}

fn legacy_shown(seen: &Seen, job: &Job) -> Value {
    json!({
        "id": job.id, "pid": job.id, "key": job.key, "app_id": seen.content.id, "app_guid": seen.content.guid,
        "variant_id": 0, "bundle_id": job.bundle_id, "start_time": job.started / 1_000_000,
        "end_time": job.ended.map(|ended| ended / 1_000_000), "tag": job.tag, "exit_code": job.exit_code,
        "finalized": job.ended.is_some(), "hostname": "teamsim",
    })
}

/// `GET /applications/{id}/jobs`: the shape of servers before 2022.10.0, with numbers.
///
/// # Errors
/// 403 for an item one may not change; 404 when there is none that the caller may see.
pub async fn legacy_list(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let seen = applications::find(&mut db, &principal, &id).await?;
    editable(&mut db, &principal, &seen.content.guid).await?;
    let jobs = store::jobs::of_content(&mut db, &seen.content.guid).await?;
    Ok(Json(jobs.iter().map(|job| legacy_shown(&seen, job)).collect()))
}

/// `GET /applications/{id}/job/{key}`: with the log.
///
/// # Errors
/// As [`legacy_list`]; 404 for no such job.
pub async fn legacy_get(
    State(app): State<App>,
    principal: Principal,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let seen = applications::find(&mut db, &principal, &id).await?;
    let (seen, job) = find(&mut db, &principal, &seen.content.guid, &key).await?;
    let mut shown = legacy_shown(&seen, &job);
    shown["ppid"] = json!(1);
    shown["origin"] = json!(time(job.started));
    shown["stdout"] = json!(store::jobs::log(&mut db, job.id).await?);
    shown["stderr"] = json!("");
    shown["logged_error"] = json!(job.error);
    Ok(Json(shown))
}
