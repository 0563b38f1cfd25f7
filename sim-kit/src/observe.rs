//! What happens around every request of a product: faults, the journal, the `Date` of the World's clock.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use http::header::{CONTENT_LENGTH, DATE, HOST, RETRY_AFTER, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderValue, StatusCode};

use crate::at_hand::Repeatable;
use crate::faults::{Effect, Firing, Phase, Subject, spoil};
use crate::host::Instance;
use crate::journal::{Direction, Entry, put};
use crate::routing::{Matched, Principal, Unmatched, nearest};
use crate::serve_bytes::http_date;
use crate::world::World;

/// Set on an answer that must not be sent: the connection closes instead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CutConnection;

/// Answers `request` with the product's router, as the fault rules allow, and journals it.
pub(crate) async fn observe(instance: Arc<Instance>, mut request: Request) -> Response {
    let started = Instant::now();
    let world = &instance.world;
    // Clones of these share what they hold.
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let agent = request.headers().get(USER_AGENT).cloned();
    // HTTP/1.1 clients always send Host; give absolute-form requests the same face.
    if !request.headers().contains_key(HOST)
        && let Some(host) = request.uri().authority().and_then(|a| HeaderValue::from_str(a.as_str()).ok())
    {
        request.headers_mut().insert(HOST, host);
    }
    let firing = world.faults().check(Subject {
        direction: Direction::In,
        peer: None,
        method: method.as_str(),
        path: uri.path(),
    });
    let mut response = match firing {
        None => instance.answer(request).await,
        Some(ref firing) => under_fault(&instance, request, firing).await,
    };
    let now = world.clock().now();
    response.headers_mut().insert(DATE, date(now));
    let extensions = response.extensions();
    let status = extensions.get::<CutConnection>().is_none().then(|| response.status().as_u16());
    let unmatched = extensions.get::<Unmatched>().is_some();
    let nearest = if unmatched { nearest(&instance.routes, method.as_str(), uri.path()) } else { None };
    if unmatched {
        tracing::warn!(%method, %uri, nearest = nearest.as_deref(), "unmatched request");
    }
    let address = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let asker = Asker { started, method: method.as_str(), address, agent: agent.as_ref().map(HeaderValue::as_bytes) };
    note(world, now, &asker, |entry| {
        entry.status = status;
        put(&mut entry.route, extensions.get::<Matched>().map(|matched| matched.0.as_str()));
        entry.unmatched = unmatched;
        entry.nearest = nearest;
        put(&mut entry.principal, extensions.get::<Principal>().map(|principal| principal.0.as_str()));
        entry.fault = firing.map(|firing| firing.rule);
    });
    response
}

/// What the journal wants to know of a request.
pub(crate) struct Asker<'a> {
    pub(crate) started: Instant,
    pub(crate) method: &'a str,
    /// Path and query.
    pub(crate) address: &'a str,
    /// The value of `User-Agent`.
    pub(crate) agent: Option<&'a [u8]>,
}

/// Journals a request that was answered at `now`. `fill` adds what is known of the answer to an entry that says nothing of it.
pub(crate) fn note(world: &World, now: DateTime<Utc>, asker: &Asker<'_>, fill: impl FnOnce(&mut Entry)) {
    let duration_us = u64::try_from(asker.started.elapsed().as_micros()).unwrap_or(u64::MAX);
    world.journal().write(|entry| {
        entry.time = now;
        entry.direction = Direction::In;
        entry.peer = None;
        asker.method.clone_into(&mut entry.method);
        entry.set_path(asker.address);
        entry.status = None;
        entry.duration_us = duration_us;
        entry.unmatched = false;
        entry.nearest = None;
        put(&mut entry.user_agent, asker.agent.and_then(|agent| str::from_utf8(agent).ok()).map(shortened));
        entry.fault = None;
        entry.error = None;
        fill(entry);
    });
}

/// The value of `Date`. Every answer has one, and most have that of the one before.
pub(crate) fn date(now: DateTime<Utc>) -> HeaderValue {
    thread_local! {
        static LAST: RefCell<Option<(i64, HeaderValue)>> = const { RefCell::new(None) };
    }
    let second = now.timestamp();
    LAST.with_borrow_mut(|last| match last {
        Some((at, value)) if *at == second => value.clone(),
        _ => {
            let value = HeaderValue::try_from(http_date(now)).expect("a date is ASCII");
            *last = Some((second, value.clone()));
            value
        }
    })
}

/// The first 300 bytes or so.
fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(300)]
}

async fn under_fault(instance: &Instance, request: Request, firing: &Firing) -> Response {
    let refused = match firing.phase {
        Phase::Before => refuse(&firing.effect).await,
        Phase::After => None,
    };
    let response = match refused {
        Some(response) => response,
        None => {
            let response = instance.answer(request).await;
            match firing.phase {
                Phase::After => refuse(&firing.effect).await.unwrap_or(response),
                Phase::Before => response,
            }
        }
    };
    spoil_body(response, firing.effect.clone())
}

/// The answer that a fault gives in place of the product's, if it is of that kind. Waits out latencies.
async fn refuse(effect: &Effect) -> Option<Response> {
    match effect {
        Effect::Status { status, body, retry_after } => {
            let status = StatusCode::from_u16(*status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            let mut response = (status, body.clone()).into_response();
            if let Some(seconds) = retry_after {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            Some(response)
        }
        Effect::Reset => {
            let mut response = StatusCode::BAD_GATEWAY.into_response();
            response.extensions_mut().insert(CutConnection);
            Some(response)
        }
        Effect::Latency { ms } => {
            tokio::time::sleep(Duration::from_millis(*ms)).await;
            None
        }
        _ => None,
    }
}

fn spoil_body(response: Response, effect: Effect) -> Response {
    if !matches!(effect, Effect::Bandwidth { .. } | Effect::Truncate { .. } | Effect::Corrupt { .. }) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.extensions.remove::<Repeatable>();
    // The promise of a length must stand, or a cut body would look like a whole one.
    if !parts.headers.contains_key(CONTENT_LENGTH)
        && let Some(length) = http_body::Body::size_hint(&body).exact()
    {
        parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    Response::from_parts(parts, Body::from_stream(spoil(body.into_data_stream(), effect)))
}
