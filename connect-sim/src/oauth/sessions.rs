//! Sessions of users with integrations.
//!
//! A browser signs in at `/__oauth__/integrations/{guid}/login`. Here no other service is asked: whoever signed in to
//! this server is signed in there, with a token that says that it is simulated and is good for an hour.
//!
//! With it comes a token to renew it, which `has_refresh_token` tells of: the exchange of credentials renews what has run
//! out. Without one the visitor signs in again. As OpenID Connect has it, a service that is asked for `openid` gives one
//! only for `offline_access`; a service that is asked for other scopes always does.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::LOCATION;
use serde_json::{Value, json};
use sim_kit::Tx;
use sim_kit::origin::Origin;

use super::credentials::LIFETIME;
use super::{auth_type, find};
use crate::access::Role;
use crate::app::App;
use crate::auth::{Caller, Principal, login};
use crate::error::{Code, Error, Result};
use crate::input::Query;
use crate::store;
use crate::store::oauth::{Integration, Session};
use crate::users::time;

/// `GET /__oauth__/integrations/{guid}/login`
///
/// # Errors
/// The redirect to the login page; 400 with code 230 for an integration without sessions, 404 when there is none.
pub async fn sign_in(
    State(app): State<App>,
    origin: Origin,
    caller: Caller,
    Path(guid): Path<String>,
) -> Result<Response> {
    let origin = app.origin(origin);
    let principal = login::for_page(caller, &origin, &format!("/__oauth__/integrations/{guid}/login"))?;
    let now = app.now();
    let mut tx = app.write().await?;
    let integration = find(&mut tx, &guid).await?;
    if auth_type(&integration) != "Viewer" {
        let text = "Nobody signs in with this integration.";
        return Err(Error::bad(Code::InvalidOAuthIntegrationLogin, text));
    }
    let mut session = Session {
        guid: app.world().ids().uuid("oauth-session").to_string(),
        id: store::next(&mut tx, "oauth-session").await?,
        user_guid: principal.user.guid.clone(),
        integration_guid: guid,
        access_token: String::new(),
        refresh_token: is_renewable(&integration).then(String::new),
        expires: now,
        created: now,
        updated: now,
    };
    renew(&app, &mut session);
    store::oauth::sign_in(&mut tx, &session).await?;
    tx.commit().await?;
    Ok((StatusCode::FOUND, [(LOCATION, origin.url("/connect/"))]).into_response())
}

/// Whether the service gives tokens that renew those of content.
fn is_renewable(integration: &Integration) -> bool {
    let scopes = integration.config.get("scopes").and_then(Value::as_str).unwrap_or_default();
    let asked = |scope: &str| scopes.split([' ', ',']).any(|one| one == scope);
    !asked("openid") || asked("offline_access")
}

/// Gives a session new tokens, as the service does.
fn renew(app: &App, session: &mut Session) {
    let token = || format!("simulated-{}", app.world().ids().secret(32));
    session.access_token = token();
    // A used one is of no more use, as OAuth 2.1 recommends.
    session.refresh_token = session.refresh_token.as_ref().map(|_| token());
    session.updated = app.now();
    session.expires = session.updated + LIFETIME * 1_000_000;
}

/// A visitor's session with an integration, its token good.
///
/// # Errors
/// 401 when the visitor has to sign in.
pub(super) async fn good(app: &App, tx: &mut Tx, user_guid: &str, integration_guid: &str) -> Result<Session> {
    let path = format!("/__oauth__/integrations/{integration_guid}/login");
    let sessions = store::oauth::sessions(tx).await?;
    let own = |session: &Session| session.user_guid == user_guid && session.integration_guid == integration_guid;
    let mut session = sessions.into_iter().find(own).ok_or_else(|| {
        let text = format!("The visitor has not signed in with the integration; send it to {path}.");
        Error::unauthorized(Code::OAuthSessionNotFound, text)
    })?;
    if session.expires <= app.now() {
        if session.refresh_token.is_none() {
            let text = format!(
                "The visitor's token has run out, and the service gave none to renew it; send the visitor to {path}."
            );
            return Err(Error::unauthorized(Code::OAuthAccessTokenRefreshFailure, text));
        }
        renew(app, &mut session);
        store::oauth::sign_in(tx, &session).await?;
    }
    Ok(session)
}

fn shown(session: &Session) -> Value {
    json!({
        "id": session.id.to_string(), "guid": session.guid, "user_guid": session.user_guid,
        "oauth_integration_guid": session.integration_guid, "has_refresh_token": session.refresh_token.is_some(),
        "created_time": time(session.created), "updated_time": time(session.updated),
    })
}

/// `GET /v1/oauth/sessions`: one's own; with `all`, everybody's.
///
/// # Errors
/// 403 for everybody's unless an administrator asks.
pub async fn list(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Vec<Value>>> {
    let all = query.flag("all", false)?;
    if all {
        principal.require(Role::Administrator)?;
    }
    let mut sessions = store::oauth::sessions(&mut *app.read().await?).await?;
    sessions.retain(|session| all || session.user_guid == principal.user.guid);
    Ok(Json(sessions.iter().map(shown).collect()))
}

async fn of(app: &App, principal: &Principal, guid: &str) -> Result<Session> {
    let sessions = store::oauth::sessions(&mut *app.read().await?).await?;
    let found = sessions.into_iter().find(|session| session.guid == guid);
    let own = |session: &Session| principal.is_administrator() || session.user_guid == principal.user.guid;
    let missing = || Error::not_found(Code::OAuthSessionNotFound, "There is no such OAuth session.");
    found.filter(own).ok_or_else(missing)
}

/// `GET /v1/oauth/sessions/{guid}`
///
/// # Errors
/// 404 when there is none that is the caller's.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    Ok(Json(shown(&of(&app, &principal, &guid).await?)))
}

/// `DELETE /v1/oauth/sessions/{guid}`
///
/// # Errors
/// As [`get`].
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    of(&app, &principal, &guid).await?;
    let mut tx = app.write().await?;
    store::oauth::sign_out(&mut tx, &guid).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
