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
//! | `GET openapi.json` | all this as an OpenAPI document |
//!
//! A product may add its own; see [`Control`]. Answers are JSON. Errors are `{"error": "…"}`. Requests that carry a foreign `Origin` are refused, so that no web
//! page can steer a simulator on somebody's laptop; with a control token, `Authorization: Bearer {token}` is needed.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::{HeaderMap, Method, StatusCode, Uri};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::faults::Rule;
use crate::host::Shared;
use crate::journal::{Direction, Entry};
use crate::openapi::{Api, doc, document};
use crate::routing::Fidelity::Documented;
use crate::routing::{Route, Table};

/// Where the control plane lives.
pub const PREFIX: &str = "/__sim__/";

pub(crate) struct Refusal(StatusCode, String);

impl Refusal {
    fn bad(text: impl std::fmt::Display) -> Self {
        Self(StatusCode::BAD_REQUEST, text.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, axum::Json(json!({ "error": self.1 }))).into_response()
    }
}

/// What a product adds to the control plane, below `/__sim__/v1/`; who may ask it is checked before.
#[derive(Clone)]
pub struct Control {
    pub(crate) router: Router,
    pub(crate) routes: Vec<Route>,
    pub(crate) components: &'static str,
}

impl Default for Control {
    /// Nothing.
    fn default() -> Self {
        let router = Router::new().fallback(unknown);
        Self { router, routes: Vec::new(), components: "" }
    }
}

impl Control {
    /// The rows of a table, and what their documentation names: `components` as in [`Api`].
    #[must_use]
    pub fn of<S: Clone + Send + Sync + 'static>(table: Table<S>, state: S, components: &'static str) -> Self {
        let (router, routes) = table.finish(state, unknown);
        Self { router: router.method_not_allowed_fallback(wrong_method), routes, components }
    }
}

/// What a route answers.
type Answer = Result<axum::Json<Value>, Refusal>;
type Server = State<Arc<Shared>>;

#[rustfmt::skip] // a row a line
fn table() -> Table<Arc<Shared>> {
    Table::default()
        .row("GET", "/__sim__/v1/health", health, "", Documented)
        .doc(doc("Product, time and seed").gives("200 Health"))
        .row("POST", "/__sim__/v1/reset", reset, "", Documented)
        .doc(doc("A fresh World in place of this one").gives("200 Done"))
        .row("GET", "/__sim__/v1/clock", clock, "", Documented)
        .doc(doc("The time").gives("200 Clock"))
        .row("POST", "/__sim__/v1/clock", move_clock, "", Documented)
        .doc(doc("Move, stop or start the time").body("Move").gives("200 Clock").fails("413"))
        .row("GET", "/__sim__/v1/journal", journal, "", Documented)
        .doc(doc("What was asked and answered").query("after limit path direction peer unmatched wait").gives("200 Journal"))
        .row("DELETE", "/__sim__/v1/journal", clear_journal, "", Documented)
        .doc(doc("Forget what was asked so far").gives("200 Done"))
        .row("GET", "/__sim__/v1/faults", faults, "", Documented)
        .doc(doc("The fault rules in force").gives("200 Faults"))
        .row("POST", "/__sim__/v1/faults", add_fault, "", Documented)
        .doc(doc("Add a fault rule").body("Rule").gives("200 Added").fails("413"))
        .row("DELETE", "/__sim__/v1/faults", clear_faults, "", Documented)
        .doc(doc("Take all fault rules away").gives("200 Done"))
        .row("DELETE", "/__sim__/v1/faults/{id}", remove_fault, "", Documented)
        .doc(doc("Take a fault rule away").gives("200 Done").fails("404"))
        .row("GET", "/__sim__/v1/fidelity", fidelity, "", Documented)
        .doc(doc("Every route of the product and how sure we are of it").gives("200 Fidelity"))
        .row("GET", "/__sim__/v1/openapi.json", openapi, "", Documented)
        .doc(doc("This document").gives("200 application/json"))
}

/// The control plane of a server.
pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let (router, _) = table().finish(shared, of_product);
    router.method_not_allowed_fallback(wrong_method)
}

/// Answers a request to it, if it comes from who may ask.
pub(crate) async fn answer(router: Router, shared: &Shared, request: Request) -> Response {
    match admit(shared, request.headers()) {
        Err(refusal) => refusal.into_response(),
        Ok(()) => match router.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
    }
}

/// What the product adds.
async fn of_product(State(shared): Server, request: Request) -> Response {
    match shared.instance().control.router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn said(value: Value) -> Answer {
    Ok(axum::Json(value))
}

/// The answer to a path that neither the control plane nor the product's part of it has.
async fn unknown(uri: Uri) -> Refusal {
    let text = format!(
        "no {}; the control plane has /__sim__/v1/{{health,reset,clock,journal,faults,fidelity,openapi.json}}",
        uri.path()
    );
    Refusal(StatusCode::NOT_FOUND, text)
}

async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    Refusal(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not for {}", uri.path()))
}

async fn health(State(shared): Server) -> Answer {
    let world = &shared.instance().world;
    said(json!({
        "product": shared.product.name,
        "status": "ok",
        "time": world.clock().now(),
        "seed": world.ids().seed(),
        "simulated": true,
    }))
}

async fn reset(State(shared): Server) -> Answer {
    shared.reset().await.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    said(json!({ "reset": true }))
}

async fn clock(State(shared): Server) -> Answer {
    let instance = shared.instance();
    let clock = instance.world.clock();
    said(json!({ "now": clock.now(), "frozen": clock.is_frozen() }))
}

async fn clear_journal(State(shared): Server) -> Answer {
    shared.instance().world.journal().clear();
    said(json!({ "cleared": true }))
}

async fn faults(State(shared): Server) -> Answer {
    said(json!({ "faults": shared.instance().world.faults().list() }))
}

async fn add_fault(State(shared): Server, request: Request) -> Answer {
    let rule: Rule = body(request).await?;
    let id = shared.instance().world.faults().add(rule).map_err(Refusal::bad)?;
    said(json!({ "id": id }))
}

async fn clear_faults(State(shared): Server) -> Answer {
    shared.instance().world.faults().clear();
    said(json!({ "cleared": true }))
}

async fn remove_fault(State(shared): Server, Path(id): Path<String>) -> Answer {
    match shared.instance().world.faults().remove(&id) {
        true => said(json!({ "removed": id })),
        false => {
            Err(Refusal(StatusCode::NOT_FOUND, format!("no fault rule {id:?}; GET /__sim__/v1/faults lists them")))
        }
    }
}

async fn fidelity(State(shared): Server) -> Answer {
    said(json!({ "product": shared.product.name, "routes": shared.instance().routes }))
}

const API: Api = Api {
    title: "Control plane",
    version: "1",
    description: "Look into a simulator, and break things on purpose.",
    prefix: PREFIX,
    error: "Error",
    always: "400 401 403",
    components: include_str!("../openapi/components.json"),
    more: "",
};

async fn openapi(State(shared): Server) -> Answer {
    let instance = shared.instance();
    let routes: Vec<_> = table().routes().iter().chain(&instance.control.routes).cloned().collect();
    let made = document(&Api { more: instance.control.components, ..API }, &routes);
    said(made.map_err(|error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?)
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

async fn move_clock(State(shared): Server, request: Request) -> Answer {
    let wanted: ClockBody = body(request).await?;
    let instance = shared.instance();
    let clock = instance.world.clock();
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
    said(json!({ "now": clock.now(), "frozen": clock.is_frozen() }))
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

async fn journal(State(shared): Server, uri: Uri) -> Answer {
    let Query(query) = Query::<JournalQuery>::try_from_uri(&uri).map_err(Refusal::bad)?;
    let instance = shared.instance();
    let journal = instance.world.journal();
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
    said(json!({ "entries": entries, "counters": journal.counters() }))
}
