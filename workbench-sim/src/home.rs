//! The home page: sessions and what can be done with them.
//!
//! Rows are rendered here, once for the page and again for `/workspaces/sessions`, which the page asks for while
//! something is under way and which answers as soon as something changes.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse as _, Response};
use axum_extra::extract::CookieJar;
use http::StatusCode;
use http::header::{CACHE_CONTROL, X_FRAME_OPTIONS};
use minijinja::context;
use minijinja::value::Serde;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::App;
use crate::auth::{Call, Identity, Page, csrf};
use crate::error::Error;
use crate::session::{Ide, State as SessionState};
use crate::{session, store};

/// Longest that a request for rows waits for a change.
const LONGEST_WAIT: Duration = Duration::from_secs(25);

/// One user's rows as the template takes them.
async fn rows(app: &App, identity: &Identity) -> Result<Vec<Value>, Error> {
    let sessions = store::sessions::open(app.world().db(), Some(&identity.user.name)).await?;
    Ok(sessions
        .iter()
        .map(|session| {
            let mut row = session::to_json(app, session, identity.user.uid);
            row["ide"] = json!(session.ide.title());
            row["in_transit"] = json!(session.state.is_in_transit());
            row["can_suspend"] = json!(session.ide == Ide::RStudio && session.state == SessionState::Running);
            row
        })
        .collect())
}

pub(crate) async fn page(State(app): State<App>, Page(identity): Page, jar: CookieJar) -> Result<Response, Error> {
    let ides: Vec<Value> = Ide::ALL
        .iter()
        .map(|ide| {
            json!({
                "name": ide.name(),
                "title": ide.title(),
                "id": ide.title().replace(' ', ""),
                "available": ide.is_available(),
            })
        })
        .collect();
    let html = app.render(
        "home.html",
        context! {
            user => identity.user.name.as_str(),
            token => csrf::of(&jar).unwrap_or_default(),
            sessions => Serde(rows(&app, &identity).await?),
            ides => Serde(ides),
            r_versions => app.config().r_versions(),
            python_versions => app.config().python_versions(),
        },
    )?;
    Ok(([(CACHE_CONTROL, "no-store"), (X_FRAME_OPTIONS, "DENY")], Html(html)).into_response())
}

#[derive(Deserialize)]
pub(crate) struct Since {
    /// The page's `version`: the answer waits for another one.
    since: Option<String>,
}

pub(crate) async fn sessions(
    State(app): State<App>,
    Call(identity): Call,
    Query(since): Query<Since>,
) -> Result<Json<Value>, Error> {
    let mut changes = app.watch_sessions();
    let deadline = tokio::time::Instant::now() + LONGEST_WAIT;
    loop {
        let rows = rows(&app, &identity).await?;
        let html = app.render("sessions.html", context! { sessions => Serde(rows) })?;
        let version = sim_kit::Digest::of(html.as_bytes()).to_string();
        if since.since.as_ref() != Some(&version) {
            return Ok(Json(json!({ "version": version, "html": html })));
        }
        let ended = tokio::select! {
            changed = tokio::time::timeout_at(deadline, changes.changed()) => !matches!(changed, Ok(Ok(()))),
            () = app.world().ending() => true,
        };
        if ended {
            return Ok(Json(json!({ "version": version, "html": html })));
        }
    }
}

/// Timing beacons of the real product's pages: taken and dropped.
pub(crate) async fn perf(Call(_): Call) -> StatusCode {
    StatusCode::NO_CONTENT
}
