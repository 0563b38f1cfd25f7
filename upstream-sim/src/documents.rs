//! Root, heads and checkpoints: the documents that have names.
//!
//! | domain effect | what it does |
//! |---|---|
//! | `{feed}.stale` | the head expired 29 days ago |
//! | `{feed}.rollback` | the head names an earlier checkpoint; value: how many back (default 1) |
//! | `{feed}.forged` | the head's signature is not the key's |
//! | `{feed}.missing` | checkpoint documents answer 404; value: the `seq`, or none for all |
//! | `{feed}.gone` | deltas answer 410; value: those before this `seq`, or none for all |

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use chrono::TimeDelta;
use http::{HeaderMap, Method};
use pkg_formats::psp::{Demand, Demanded, MOST_DEMANDED, canonical_json};
use sim_kit::serve_bytes::{Content, serve};

use crate::error::Error;
use crate::routes::App;
use crate::service::newest;

/// Documents that move.
const A_MINUTE: &str = "public, max-age=60";
const AN_HOUR: &str = "public, max-age=3600";
/// Documents that never change.
pub(crate) const IMMUTABLE: &str = "public, max-age=31536000, immutable";

async fn json(
    method: &Method,
    headers: &HeaderMap,
    body: impl Into<Bytes>,
    cache: &'static str,
) -> Result<Response, Error> {
    let content = Content { cache_control: Some(cache), ..Content::bytes(body.into(), "application/json") };
    Ok(serve(method, headers, content).await?)
}

/// `GET /psp/v1/root.json`
pub(crate) async fn root(State(app): State<App>, method: Method, headers: HeaderMap) -> Result<Response, Error> {
    json(&method, &headers, canonical_json(&app.service.root()), AN_HOUR).await
}

/// `GET /psp/v1/{feed}/head.json`
pub(crate) async fn head(
    State(app): State<App>,
    Path(feed): Path<String>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let feed = app.service.feed(&feed)?;
    let faults = app.world.faults();
    if let Some(mirror) = app.service.mirror(feed.name()) {
        mirror.open(&app.world).await?;
        mirror.refresh(&app.world).await;
    }
    let mut now = app.world.clock().now();
    let mut seq = newest(&app, feed).await?;
    if let Some(back) = faults.domain(&format!("{}.rollback", feed.name())) {
        seq = seq.saturating_sub(back.as_u64().unwrap_or(1)).max(1);
    }
    if faults.domain(&format!("{}.stale", feed.name())).is_some() {
        now -= TimeDelta::days(30);
    }
    let mut head = app.service.head(feed, seq, now).ok_or(Error::NoSuchCheckpoint { feed: feed.name(), head: seq })?;
    if faults.domain(&format!("{}.forged", feed.name())).is_some() {
        for signature in &mut head.signatures {
            signature.signature = "0".repeat(128);
        }
    }
    json(&method, &headers, canonical_json(&head), A_MINUTE).await
}

/// `POST /psp/v1/{feed}/demand`
pub(crate) async fn demand(
    State(app): State<App>,
    Path(feed): Path<String>,
    body: Bytes,
) -> Result<Json<Demanded>, Error> {
    let feed = app.service.feed(&feed)?;
    let mirror = app.service.mirror(feed.name()).ok_or(Error::NotOnDemand(feed.name()))?;
    let demand: Demand = serde_json::from_slice(&body).map_err(|error| Error::NoDemand(error.to_string()))?;
    if demand.names.len() > MOST_DEMANDED {
        return Err(Error::NoDemand(format!("{} names are more than {MOST_DEMANDED}", demand.names.len())));
    }
    Ok(Json(mirror.demand(&app.world, &demand.names).await?))
}

/// `GET /psp/v1/{feed}/checkpoints/page-{k}.json` and `GET /psp/v1/{feed}/checkpoints/{seq}.json`
pub(crate) async fn checkpoint(
    State(app): State<App>,
    Path((feed, document)): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let feed = app.service.feed(&feed)?;
    let head = newest(&app, feed).await?;
    let missing = || Error::NoSuchCheckpoint { feed: feed.name(), head };
    let name = document.strip_suffix(".json").ok_or_else(missing)?;
    if let Some(page) = name.strip_prefix("page-") {
        let page = page.parse().map_err(|_| missing())?;
        let (page, full) = feed.page(page, head).ok_or_else(missing)?;
        return json(&method, &headers, canonical_json(&page), if full { IMMUTABLE } else { A_MINUTE }).await;
    }
    let seq: u64 = name.parse().ok().filter(|seq| *seq <= head).ok_or_else(missing)?;
    if let Some(which) = app.world.faults().domain(&format!("{}.missing", feed.name()))
        && which.as_u64().is_none_or(|which| which == seq)
    {
        return Err(missing());
    }
    let (document, _) = feed.checkpoint(seq).ok_or_else(missing)?;
    json(&method, &headers, document, IMMUTABLE).await
}
