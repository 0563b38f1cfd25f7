//! The control plane, `/__sim__/v1/`: what tests, trainers and the harness use to look in and to break things.
//!
//! | route | what |
//! |---|---|
//! | `GET health` | product, time, seed |
//! | `POST reset` | a fresh World in place of this one |
//! | `GET clock`, `POST clock` | the time; `{"advance": seconds}`, `{"set": time}`, `{"freeze": bool}`, `{"reset": true}` |
//! | `GET journal`, `DELETE journal` | entries and counters; `?after=&limit=&path=&direction=&peer=&unmatched=&wait=` |
//! | `GET faults`, `POST faults`, `DELETE faults[/{id}]` | the rules in force |
//! | `GET fidelity` | every route and how sure we are of it |
//!
//! Answers are JSON. Errors are `{"error": "…"}`. Requests that carry a foreign `Origin` are refused, so that no web
//! page can steer a simulator on somebody's laptop; with a control token, `Authorization: Bearer {token}` is needed.

use std::time::Duration;

use axum::extract::{Query, Request};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::faults::Rule;
use crate::host::Shared;
use crate::journal::{Direction, Entry};

/// Where the control plane lives.
pub const PREFIX: &str = "/__sim__/";

struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(text: impl std::fmt::Display) -> Self {
        Self(StatusCode::BAD_REQUEST, text.to_string())
    }
}

type Answer = Result<Value, Refusal>;

pub(crate) async fn answer(shared: &Shared, request: Request) -> Response {
    match dispatch(shared, request).await {
        Ok(value) => axum::Json(value).into_response(),
        Err(Refusal(status, error)) => (status, axum::Json(json!({ "error": error }))).into_response(),
    }
}

async fn dispatch(shared: &Shared, request: Request) -> Answer {
    admit(shared, request.headers())?;
    let path = request.uri().path().to_owned();
    let route = path.strip_prefix("/__sim__/v1/").unwrap_or_default().to_owned();
    let (name, rest) = route.split_once('/').unwrap_or((&route, ""));
    let method = request.method().clone();
    let instance = shared.instance();
    let world = &instance.world;
    match (method.clone(), name, rest) {
        (Method::GET, "health", "") => Ok(json!({
            "product": shared.product.name,
            "status": "ok",
            "time": world.clock().now(),
            "seed": world.ids().seed(),
            "simulated": true,
        })),
        (Method::POST, "reset", "") => {
            shared.reset().await.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
            Ok(json!({ "reset": true }))
        }
        (Method::GET, "clock", "") => Ok(json!({ "now": world.clock().now(), "frozen": world.clock().is_frozen() })),
        (Method::POST, "clock", "") => {
            move_clock(world.clock(), body(request).await?).await?;
            Ok(json!({ "now": world.clock().now(), "frozen": world.clock().is_frozen() }))
        }
        (Method::GET, "journal", "") => journal(world.journal(), request.uri()).await,
        (Method::DELETE, "journal", "") => {
            world.journal().clear();
            Ok(json!({ "cleared": true }))
        }
        (Method::GET, "faults", "") => Ok(json!({ "faults": world.faults().list() })),
        (Method::POST, "faults", "") => {
            let rule: Rule = body(request).await?;
            let id = world.faults().add(rule).map_err(Refusal::bad)?;
            Ok(json!({ "id": id }))
        }
        (Method::DELETE, "faults", "") => {
            world.faults().clear();
            Ok(json!({ "cleared": true }))
        }
        (Method::DELETE, "faults", id) => match world.faults().remove(id) {
            true => Ok(json!({ "removed": id })),
            false => {
                Err(Refusal(StatusCode::NOT_FOUND, format!("no fault rule {id:?}; GET /__sim__/v1/faults lists them")))
            }
        },
        (Method::GET, "fidelity", "") => Ok(json!({ "product": shared.product.name, "routes": instance.routes })),
        (_, "health" | "reset" | "clock" | "journal" | "faults" | "fidelity", "") => {
            Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not for {path}")))
        }
        _ => Err(Refusal(
            StatusCode::NOT_FOUND,
            format!("no {path}; the control plane has /__sim__/v1/{{health,reset,clock,journal,faults,fidelity}}"),
        )),
    }
}

fn admit(shared: &Shared, headers: &HeaderMap) -> Result<(), Refusal> {
    if let Some(origin) = headers.get(ORIGIN) {
        let own = headers.get(HOST).and_then(|h| h.to_str().ok()).map(|host| format!("http://{host}"));
        if origin.to_str().ok() != own.as_deref() || own.is_none() {
            return Err(Refusal(StatusCode::FORBIDDEN, "requests from other origins are refused".to_owned()));
        }
    }
    // A name that was rebound to loopback is no way in either.
    if shared.config.bind.is_loopback() && shared.config.control_token.is_none() {
        let host = headers.get(HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        let name = host
            .rsplit_once(':')
            .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
        if !matches!(name, "localhost" | "127.0.0.1" | "[::1]" | "") {
            return Err(Refusal(StatusCode::FORBIDDEN, format!("host {host:?} is refused; use localhost")));
        }
    }
    if let Some(token) = &shared.config.control_token {
        let given = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
        if given != Some(token) {
            return Err(Refusal(
                StatusCode::UNAUTHORIZED,
                "the control plane needs Authorization: Bearer {the control token}".to_owned(),
            ));
        }
    }
    Ok(())
}

async fn body<T: DeserializeOwned>(request: Request) -> Result<T, Refusal> {
    let bytes = axum::body::to_bytes(request.into_body(), 64 * 1024)
        .await
        .map_err(|_| Refusal(StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 64 KiB".to_owned()))?;
    serde_json::from_slice(&bytes).map_err(Refusal::bad)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockBody {
    /// Seconds to move forward.
    advance: Option<f64>,
    /// A time to move to.
    set: Option<DateTime<Utc>>,
    /// Stop or go on.
    freeze: Option<bool>,
    /// Back to the machine's time.
    reset: Option<bool>,
}

async fn move_clock(clock: &crate::Clock, wanted: ClockBody) -> Result<(), Refusal> {
    if wanted.reset == Some(true) {
        clock.reset();
    }
    match wanted.freeze {
        Some(true) => clock.freeze(),
        Some(false) => clock.resume(),
        None => {}
    }
    if let Some(at) = wanted.set {
        clock.set(at).await;
    }
    if let Some(seconds) = wanted.advance {
        let duration = Duration::try_from_secs_f64(seconds)
            .ok()
            .filter(|d| *d <= Duration::from_secs(100 * 366 * 86_400))
            .ok_or_else(|| Refusal::bad("advance takes seconds, from 0 to a hundred years; use set to go back"))?;
        clock.advance(duration).await;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JournalQuery {
    #[serde(default)]
    after: u64,
    limit: Option<usize>,
    /// Substring of the path.
    path: Option<String>,
    direction: Option<Direction>,
    peer: Option<String>,
    unmatched: Option<bool>,
    /// Seconds to wait for a first entry, at most 60.
    wait: Option<u64>,
}

async fn journal(journal: &crate::journal::Journal, uri: &http::Uri) -> Answer {
    let Query(query) = Query::<JournalQuery>::try_from_uri(uri).map_err(Refusal::bad)?;
    let wanted = |entry: &Entry| {
        query.path.as_deref().is_none_or(|part| entry.path.contains(part))
            && query.direction.is_none_or(|direction| direction == entry.direction)
            && query.peer.as_ref().is_none_or(|peer| entry.peer.as_ref() == Some(peer))
            && query.unmatched.is_none_or(|unmatched| unmatched == entry.unmatched)
    };
    if let Some(seconds) = query.wait {
        let limit = Duration::from_secs(seconds.min(60));
        let _ = tokio::time::timeout(limit, journal.wait_for(query.after, wanted)).await;
    }
    let entries = journal.entries(query.after, query.limit.unwrap_or(1000).min(10_000), wanted);
    Ok(json!({ "entries": entries, "counters": journal.counters() }))
}
