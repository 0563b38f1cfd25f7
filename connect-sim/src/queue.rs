//! The work that waits or goes on. For administrators.
//!
//! The names of the product's queues are known in part; here every task is in the one queue `default`, and its kind of
//! job is told in the product's words where those are known.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::build::jobs;
use crate::error::{Code, Error, Result};
use crate::input::{Page, Query};
use crate::store;
use crate::users::time;

/// The only queue.
const QUEUE: &str = "default";

/// `GET /v1/queue`: oldest first unless `asc_order` is false; `queue_names` is a list with commas.
///
/// # Errors
/// 400 for a bad page, 403 unless an administrator asks.
pub async fn list(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let page = Page::of(&query, 500)?;
    let wanted = query.text("queue_names").is_none_or(|names| names.split(',').any(|name| name.trim() == QUEUE));
    let mut waiting = if wanted { store::tasks::waiting(&mut *app.read().await?).await? } else { Vec::new() };
    if !query.flag("asc_order", true)? {
        waiting.reverse();
    }
    let total = i64::try_from(waiting.len()).unwrap_or(i64::MAX);
    let (skip, take) = (usize::try_from(page.offset()).unwrap_or(usize::MAX), usize::try_from(page.size).unwrap_or(0));
    let shown = waiting.iter().skip(skip).take(take).map(|(number, task)| {
        let kind = match task.kind.as_str() {
            "render" if task.detail.is_object() => "ScheduledRender",
            "render" => "Render",
            "build" => "Build",
            kind if kind.starts_with("git-") => "Git",
            _ => "Deploy",
        };
        json!({
            "id": number.to_string(), "name": QUEUE, "job_type": kind, "created_time": time(task.created),
            "updated_time": time(task.created),
            "started_time": if task.state == "running" { Some(time(task.created)) } else { None },
        })
    });
    Ok(page.answer(&shown.collect::<Vec<Value>>(), total))
}

/// `DELETE /v1/queue/{id}`: the task ends without having begun.
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is no such item, 409 with code 100 when somebody works on it.
pub async fn delete(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let missing = || Error::missing("queue item");
    let number: i64 = id.parse().map_err(|_| missing())?;
    let mut tx = app.write().await?;
    let waiting = store::tasks::waiting(&mut tx).await?;
    let (_, task) = waiting.into_iter().find(|(known, _)| *known == number).ok_or_else(missing)?;
    let reason = "The task was taken out of the queue.";
    if !store::tasks::cancel(&mut tx, &task.id, app.now(), reason).await? {
        let text = "The item is being worked on; wait for its end.";
        return Err(Error::conflict(Code::QueueItemInProgress, text));
    }
    jobs::skip(&app, &mut tx, &task, reason).await?;
    tx.commit().await?;
    app.ring(&task.id);
    // Others of the same item may have waited for it.
    app.ring_for_work();
    Ok(StatusCode::NO_CONTENT)
}
