//! `/__api__/sources` and `/__api__/sync`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Paging, time};
use crate::app::App;
use crate::error::{ApiError, Error};
use crate::store::sources::Source;
use crate::store::transactions::{self, Transaction};

pub(super) fn source_json(source: &Source) -> Value {
    json!({ "id": source.id, "name": source.name, "type": source.kind, "created": time(source.created_at) })
}

/// `GET /__api__/sources`
pub async fn list(State(app): State<App>) -> Json<Vec<Value>> {
    Json(app.view().sources.iter().map(source_json).collect())
}

/// `GET /__api__/sources/{source}`
pub async fn show(State(app): State<App>, Path(source): Path<String>) -> Result<Json<Value>, ApiError> {
    Ok(Json(source_json(app.view().source_named(&source)?)))
}

/// The real server's number for the kind of a transaction; only that of a sync is known.
const SYNC: i64 = 3;

fn transaction_json(t: &Transaction) -> Value {
    json!({
        "id": t.id,
        "created": time(t.created_at),
        "completed": time(t.completed_at),
        "type": if t.action == "Sync" { SYNC } else { 0 },
        "tag": t.tag,
        "source_id": t.source_id,
        "guid": "",
        "packages_added": t.packages_added,
        "packages_updated": t.packages_updated,
        "packages_archived": t.packages_archived,
        "packages_removed": t.packages_removed,
        "action": t.action,
        "published_from": t.published_from.map(time),
        "published_to": t.published_to.map(time),
        "result": t.result,
        "error": t.error,
    })
}

/// `GET /__api__/sources/{source}/transactions`, newest first; failures too.
pub async fn transactions(
    State(app): State<App>,
    Path(source): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let (skip, limit) = paging.window()?;
    let ascending = !paging.is_descending(true)?;
    let view = app.view();
    let source = view.source_named(&source)?;
    let (skip, limit) = (i64::try_from(skip).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    let list = transactions::list(app.world().db(), source.id, ascending, limit, skip).await?;
    Ok(Json(list.iter().map(transaction_json).collect()))
}

/// What to synchronise.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Wanted {
    /// A source; all when left out.
    source: Option<String>,
    /// Answer at once and go on in the background.
    no_wait: bool,
}

/// `POST /__api__/sync`: synchronise now, as `rspm sync` asks for. The shape is ours; the real one is not known.
pub async fn sync(State(app): State<App>, body: Bytes) -> Result<Response, ApiError> {
    let wanted: Wanted = match body.is_empty() {
        true => Wanted::default(),
        false => serde_json::from_slice(&body)
            .map_err(|e| Error::BadRequest(format!("the body must be JSON such as {{\"source\": \"cran\"}}: {e}")))?,
    };
    let view = app.view();
    let sources: Vec<Source> = match &wanted.source {
        Some(name) => vec![view.source_named(name)?.clone()],
        None => view.sources.iter().filter(|s| s.feed.is_some()).cloned().collect(),
    };
    if let Some(other) = sources.iter().find(|s| s.feed.is_none()) {
        return Err(Error::BadRequest(format!("source {:?} follows no feed", other.name)).into());
    }
    let names: Vec<String> = sources.iter().map(|s| s.name.clone()).collect();
    // In the background either way: a client that goes away does not stop it in the middle.
    let (done, result) = tokio::sync::oneshot::channel();
    let background = app.clone();
    app.world().spawn(async move {
        let mut results = Vec::new();
        for source in sources {
            let outcome = background.sync(&source).await;
            results.push(
                outcome.map(|o| json!({ "source": source.name, "checkpoints": o.checkpoints, "checkpoint": o.seq })),
            );
        }
        let _ = done.send(results.into_iter().collect::<Result<Vec<Value>, _>>());
    });
    if wanted.no_wait {
        return Ok((StatusCode::ACCEPTED, Json(json!({ "syncing": names }))).into_response());
    }
    match result.await {
        Ok(Ok(results)) => Ok(Json(json!({ "synced": results })).into_response()),
        Ok(Err(error)) => Err(Error::Refused(error.to_string()).into()),
        Err(_) => Err(Error::Refused("the server is stopping".to_owned()).into()),
    }
}
