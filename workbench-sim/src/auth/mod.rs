//! Who asks: the sign-in cookie of a browser, the token of an API client, or the RPC cookie of a session.
//!
//! A layer around every route finds out once a request, notes the name for the journal and refreshes the sign-in; the
//! extractors [`Page`] and [`Call`] refuse, each in the way its kind of client understands: pages are redirected to the
//! sign-in page, calls are answered with 401.

pub(crate) mod cookies;
pub(crate) mod csrf;
mod keys;
mod passwords;
pub(crate) mod sign_in;
pub(crate) mod signed;
mod throttle;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum_extra::extract::CookieJar;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use sim_kit::origin::Origin;
use sim_kit::routing::Principal;

pub(crate) use keys::Keys;
pub(crate) use passwords::seed_users;
pub(crate) use throttle::Throttle;

use crate::App;
use crate::error::Error;
use crate::store;
use crate::store::users::User;

/// A user who has proved to be one.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) user: User,
    pub(crate) proof: Proof,
}

/// How.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The sign-in cookie, until then. State-changing requests need a CSRF token too.
    Cookie(DateTime<Utc>),
    /// `Authorization: Bearer`, or the RPC cookie of a session; no browser sends these by itself.
    Token,
}

/// A signed-in user, for pages: others are sent to the sign-in page.
pub(crate) struct Page(pub(crate) Identity);

/// A signed-in user, for calls: others get 401.
pub(crate) struct Call(pub(crate) Identity);

impl FromRequestParts<App> for Page {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Error> {
        match parts.extensions.get::<Identity>() {
            Some(identity) => Ok(Self(identity.clone())),
            None => {
                let target = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
                let to = sign_in::address(app, target, None);
                Err(Error::SignInFirst { to, cookie_path: app.cookie_path().to_owned() })
            }
        }
    }
}

impl FromRequestParts<App> for Call {
    type Rejection = Error;
    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Error> {
        parts.extensions.get::<Identity>().cloned().map(Self).ok_or(Error::Unauthorized)
    }
}

/// The layer around every route.
pub(crate) async fn layer(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let identity = match identify(&app, request.headers()).await {
        Ok(identity) => identity,
        Err(error) => return error.into_response(),
    };
    let origin = Origin::from_headers(request.headers());
    let jar = CookieJar::from_headers(request.headers());
    // Polling must not keep a sign-in alive that nobody uses any more.
    let refreshes = request.headers().get("x-rstudio-refresh-auth-creds").is_none_or(|v| v.as_bytes() != b"0");
    if let Some(identity) = &identity {
        request.extensions_mut().insert(identity.clone());
    }
    let mut response = next.run(request).await;
    if let Some(Identity { user, proof }) = identity {
        response.extensions_mut().insert(Principal(user.name.clone()));
        let lifetime = TimeDelta::from_std(app.config().sign_in_lifetime()).unwrap_or(TimeDelta::days(365));
        let sets_cookies = response.headers().contains_key(http::header::SET_COOKIE);
        if let Proof::Cookie(expires) = proof
            && refreshes
            && !sets_cookies
            && expires - app.now() < lifetime - TimeDelta::minutes(1)
        {
            let persist = jar.get(cookies::PERSIST).is_some_and(|cookie| cookie.value() == "1");
            return (cookies::signed_in(&app, &origin, &jar, &user, persist), response).into_response();
        }
    }
    response
}

/// Who sent these headers, if they prove it.
async fn identify(app: &App, headers: &HeaderMap) -> Result<Option<Identity>, Error> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(value) = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()) {
        let Some(token) = value.strip_prefix("Bearer ").or_else(|| value.strip_prefix("Key ")) else {
            return Ok(None);
        };
        return by_token(app, token.trim()).await;
    }
    if let Some(cookie) = text("x-rs-session-server-rpc-cookie") {
        let Some(signed) = app.keys().rpc.open(cookie, app.now()) else { return Ok(None) };
        return known(app, &signed.value, Proof::Token).await;
    }
    let jar = CookieJar::from_headers(headers);
    let (Some(user), Some(list)) = (jar.get(cookies::USER), jar.get(cookies::USER_LIST)) else { return Ok(None) };
    let keys = app.keys();
    let Some(signed) = keys.user.open(user.value(), app.now()) else { return Ok(None) };
    // A change of the list of users demands a new sign-in of everybody.
    if keys.user_list.open(list.value(), app.now()).is_none_or(|list| list.value != app.user_list()) {
        return Ok(None);
    }
    if store::users::is_revoked(app.world().db(), user.value()).await? {
        return Ok(None);
    }
    known(app, &signed.value, Proof::Cookie(signed.expires)).await
}

async fn known(app: &App, name: &str, proof: Proof) -> Result<Option<Identity>, Error> {
    let user = store::users::find(app.world().db(), name).await?;
    Ok(user.filter(|user| !user.locked).map(|user| Identity { user, proof }))
}

async fn by_token(app: &App, token: &str) -> Result<Option<Identity>, Error> {
    let seed = app.world().ids().seed();
    for user in sim_kit::seed::users(seed) {
        if constant_time_eq(token, &crate::api_token(seed, user.username)) {
            return known(app, user.username, Proof::Token).await;
        }
    }
    Ok(None)
}

/// Compares secrets without telling by the time taken where they differ.
pub(crate) fn constant_time_eq(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}
