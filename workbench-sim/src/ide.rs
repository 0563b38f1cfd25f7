//! The page of a session, `/s/{scope}/`: for RStudio a console and a terminal, with the element ids that automation of
//! the real IDE looks for.
//!
//! Opening the page of a session that is suspended or has ended starts it again, as in the real product.

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse as _, Response};
use axum_extra::extract::CookieJar;
use http::header::{CACHE_CONTROL, X_FRAME_OPTIONS};
use minijinja::context;
use minijinja::value::Serde;
use serde_json::json;

use crate::App;
use crate::auth::sign_in::redirect;
use crate::auth::{Page, csrf};
use crate::error::Error;
use crate::scope::Scope;
use crate::session::{self, State as SessionState};

pub(crate) async fn without_slash(State(app): State<App>, Path(scope): Path<String>) -> Result<Response, Error> {
    let scope: Scope = scope.parse().map_err(|()| Error::NoSession)?;
    Ok(redirect(&format!("{}/s/{scope}/", app.root())))
}

pub(crate) async fn page(
    State(app): State<App>,
    Page(identity): Page,
    Path(scope): Path<String>,
    jar: CookieJar,
) -> Result<Response, Error> {
    let scope: Scope = scope.parse().map_err(|()| Error::NoSession)?;
    let session = match session::find_own(&app, &identity, &scope.session).await {
        Ok(session) if session.ide.project_id() == scope.project => session,
        Ok(_) => return Err(Error::NotFound("Project not found".to_owned())),
        Err(Error::NotFound(_)) => return Err(Error::NoSession),
        Err(error) => return Err(error),
    };
    if session.state == SessionState::Suspended || session.state.has_ended() {
        session::resume(&app, &session).await?;
    } else {
        session::touch(&app, &session).await?;
    }
    let config = app.config();
    let facts = json!([
        ["Runtime", if config.shell().is_some() { "real shell (process)" } else { "simulated console" }],
        ["Packages for Python", config.python_index.as_ref().map_or("not set".to_owned(), ToString::to_string)],
        ["Packages for R", config.cran.as_ref().map_or("not set".to_owned(), ToString::to_string)],
        ["Connect", config.connect.as_ref().map_or("not set".to_owned(), |connect| connect.url.to_string())],
        ["R", session.r_version],
        ["Python", session.python_version],
        ["Session", session.id],
    ]);
    let html = app.render(
        "session.html",
        context! {
            user => identity.user.name,
            token => csrf::of(&jar).unwrap_or_default(),
            session => Serde(session::to_json(&app, &session, identity.user.uid)),
            simulated => config.shell().is_none(),
            facts => Serde(facts),
        },
    )?;
    Ok(([(CACHE_CONTROL, "no-store"), (X_FRAME_OPTIONS, "DENY")], Html(html)).into_response())
}
