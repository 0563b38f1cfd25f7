//! Tasks, as clients follow them.
//!
//! `wait` holds the answer until the task is finished or that many seconds have passed: clients do not sleep on their
//! own. `first` is the number of the first line wanted; `last` tells how many there are. Who asked for a task, who may
//! change its content, and administrators see it.

use std::pin::pin;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::access::editable;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Error, Result};
use crate::input::Query;
use crate::store;
use crate::store::tasks::Task;

/// How often a waiting request looks whether another server has gone on with a task.
const LOOK: Duration = Duration::from_millis(250);

/// `GET /v1/tasks/{id}`
///
/// # Errors
/// 400 for a bad number, 403 for another's task, 404 when there is none.
pub async fn get(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    query: Query,
) -> Result<Json<Value>> {
    let first = query.integer("first", 0, 0..=i64::MAX)?;
    let wait = query.integer("wait", 0, 0..=86_400)?;
    let wait = Duration::from_secs(wait.unsigned_abs()).min(app.config().limits.wait);
    let until = Instant::now() + wait;
    let bell = app.bell(&id);
    let mut allowed = false;
    let task = loop {
        // Before the task is read: it may end in the moment after.
        let mut rung = pin!(bell.notified());
        rung.as_mut().enable();
        let task = find(&app, &id).await?;
        if !allowed {
            may_see(&app, &principal, &task).await?;
            allowed = true;
        }
        let now = Instant::now();
        if task.state == "finished" || now >= until {
            break task;
        }
        // A bell rings on this server only.
        let _ = tokio::time::timeout_at(until.min(now + LOOK), rung).await;
    };
    let output = store::tasks::output(&mut *app.read().await?, &id, first).await?;
    Ok(Json(shown(&task, first, &output)))
}

async fn may_see(app: &App, principal: &Principal, task: &Task) -> Result<()> {
    if task.user_guid == principal.user.guid || principal.is_administrator() {
        return Ok(());
    }
    let guid = task.content_guid.as_deref().ok_or_else(Error::forbidden)?;
    editable(&mut *app.read().await?, principal, guid).await.map(drop).map_err(|_| Error::forbidden())
}

async fn find(app: &App, id: &str) -> Result<Task> {
    store::tasks::get(&mut *app.read().await?, id).await?.ok_or_else(|| Error::missing("task"))
}

/// A task as the unversioned API answers with it, with the members of v1 beside the older ones.
#[must_use]
pub fn legacy(task: &Task, output: &[String], user_id: i64) -> Value {
    older(&shown(task, 0, output), user_id)
}

/// The same of a task as v1 answers with it.
#[must_use]
pub fn older(v1: &Value, user_id: i64) -> Value {
    json!({
        "id": v1["id"], "user_id": user_id, "status": v1["output"], "output": v1["output"], "result": v1["result"],
        "finished": v1["finished"], "code": v1["code"], "error": v1["error"], "last": v1["last"],
        "last_status": v1["last"],
    })
}

fn shown(task: &Task, first: i64, output: &[String]) -> Value {
    // The lines were read after the task and may be more.
    let last = task.lines.max(first.min(task.lines) + i64::try_from(output.len()).unwrap_or(0));
    json!({
        "id": task.id,
        "output": output,
        "result": task.result,
        "finished": task.state == "finished",
        "code": task.code,
        "error": task.error,
        "last": last,
    })
}
