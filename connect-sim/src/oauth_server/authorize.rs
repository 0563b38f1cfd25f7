//! The authorization endpoint: a browser comes from a client, its user signs in and agrees, and it goes back with a code.
//!
//! PKCE with S256 is demanded of every client. What is wrong with the client or with the place to go back to is told on a
//! page; everything else is told to the client.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::header::LOCATION;
use http::{StatusCode, Uri};
use minijinja::context;
use sim_kit::origin::Origin;
use sqlx::AnyConnection;
use url::Url;

use super::{after, browser, is_registered, page};
use crate::app::App;
use crate::audit;
use crate::auth::{Caller, digest};
use crate::error::{Code, Error, Result};
use crate::input::{Query, Raw};
use crate::store;
use crate::store::oauth_server::{Client, Code as Issued};

/// A request that can be granted.
struct Asked {
    client: Client,
    redirect_uri: String,
    challenge: String,
    scope: String,
    state: Option<String>,
}

/// Why a request cannot be granted.
enum Refusal {
    /// Said to the user.
    Page(&'static str),
    /// Said to the client, at this place.
    Redirect { to: String, state: Option<String>, error: &'static str, text: &'static str },
}

/// A redirect URI with what the client is told.
fn back(uri: &str, pairs: &[(&str, &str)], state: Option<&str>, origin: &Origin) -> Result<Response> {
    let mut url = Url::parse(uri).map_err(|_| Error::forbidden())?;
    let pairs = pairs.iter().copied().chain(state.map(|state| ("state", state))).chain([("iss", origin.base())]);
    url.query_pairs_mut().extend_pairs(pairs);
    let head = [("referrer-policy", "no-referrer"), ("cache-control", "no-store")];
    Ok((StatusCode::SEE_OTHER, head, [(LOCATION, url.as_str())]).into_response())
}

/// A code challenge of the method S256: 43 characters of the URL-safe alphabet.
fn is_challenge(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

async fn read(db: &mut AnyConnection, query: &Query) -> Result<std::result::Result<Asked, Refusal>> {
    let found = match query.text("client_id").filter(|id| !id.contains('\0')) {
        Some(id) => store::oauth_server::by_client_id(db, id).await?,
        None => None,
    };
    let Some(client) = found else {
        return Ok(Err(Refusal::Page("The application is not registered with this server. Connect it anew.")));
    };
    let only = match &client.redirect_uris[..] {
        [only] => Some(only.as_str()),
        _ => None,
    };
    let uri = query.text("redirect_uri").or(only);
    let Some(uri) = uri.filter(|uri| client.redirect_uris.iter().any(|known| is_registered(known, uri))) else {
        return Ok(Err(Refusal::Page("The application wants you sent to a place that it has not registered.")));
    };
    let uri = uri.to_owned();
    let state = query.text("state").map(str::to_owned);
    let refuse = |error, text| Ok(Err(Refusal::Redirect { to: uri.clone(), state: state.clone(), error, text }));
    if query.text("response_type") != Some("code") {
        return refuse("unsupported_response_type", "`response_type` must be `code`.");
    }
    if query.text("code_challenge_method") != Some("S256") {
        return refuse("invalid_request", "`code_challenge_method` must be `S256`.");
    }
    let Some(challenge) = query.text("code_challenge").filter(|text| is_challenge(text)) else {
        return refuse("invalid_request", "`code_challenge` must be the 43 characters of an S256 challenge.");
    };
    let scope = query.text("scope").unwrap_or_default();
    if scope.len() > 1000 || scope.contains('\0') {
        return refuse("invalid_scope", "`scope` is too long.");
    }
    let (challenge, scope) = (challenge.to_owned(), scope.to_owned());
    Ok(Ok(Asked { client, redirect_uri: uri, challenge, scope, state }))
}

fn refused(app: &App, refusal: Refusal, origin: &Origin) -> Result<Response> {
    match refusal {
        Refusal::Page(text) => {
            page(app, origin, StatusCode::BAD_REQUEST, "message.html", context! { title => "Cannot connect", text })
        }
        Refusal::Redirect { to, state, error, text } => {
            back(&to, &[("error", error), ("error_description", text)], state.as_deref(), origin)
        }
    }
}

/// `GET /oauth/v1/authorize`: asks the user.
///
/// # Errors
/// The redirect to the login page; 403 for callers that are no browser.
pub async fn ask(State(app): State<App>, origin: Origin, caller: Caller, query: Query, uri: Uri) -> Result<Response> {
    let origin = app.origin(origin);
    let asked = match read(&mut *app.read().await?, &query).await? {
        Ok(asked) => asked,
        Err(refusal) => return refused(&app, refusal, &origin),
    };
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let (principal, xsrf) = browser(caller, &origin, path)?;
    let host = Url::parse(&asked.redirect_uri).ok().and_then(|url| url.host_str().map(str::to_owned));
    let fields: Vec<_> = query.pairs().map(|(name, value)| context! { name, value }).collect();
    let values = context! {
        fields, xsrf, host, action => "/oauth/v1/authorize", username => &principal.user.username,
        role => principal.role.as_str(), client => asked.client.name, client_id => asked.client.client_id,
    };
    page(&app, &origin, StatusCode::OK, "consent.html", values)
}

/// `POST /oauth/v1/authorize`: the user's answer, `decision` being `allow` or `deny`.
///
/// # Errors
/// As [`ask`]; 403 without the token of the form.
pub async fn answer(State(app): State<App>, origin: Origin, caller: Caller, Raw(body): Raw) -> Result<Response> {
    let origin = app.origin(origin);
    let form = Query::parse(&String::from_utf8_lossy(&body));
    let (principal, xsrf) = browser(caller, &origin, "/connect/")?;
    if form.text("xsrf") != Some(&xsrf) {
        return Err(Error::forbidden_because(Code::Xsrf, "XSRF token mismatch"));
    }
    let mut tx = app.write().await?;
    let asked = match read(&mut tx, &form).await? {
        Ok(asked) => asked,
        Err(refusal) => return refused(&app, refusal, &origin),
    };
    let state = asked.state.as_deref();
    if form.text("decision") != Some("allow") {
        let pairs = [("error", "access_denied"), ("error_description", "The user refused.")];
        return back(&asked.redirect_uri, &pairs, state, &origin);
    }
    let (code, now) = (app.world().ids().secret(32), app.now());
    let issued = Issued {
        sha256: digest(&code),
        client_id: asked.client.client_id,
        user_guid: principal.user.guid.clone(),
        redirect_uri: asked.redirect_uri,
        challenge: asked.challenge,
        scope: asked.scope,
        grant_id: None,
        expires: after(now, app.config().oauth_lifetimes.code),
    };
    store::oauth_server::insert_code(&mut tx, &issued, now).await?;
    tx.commit().await?;
    audit::event(&app, Some(&principal.user), "authorize_oauth_client", &issued.client_id);
    back(&issued.redirect_uri, &[("code", &code)], state, &origin)
}
