//! Who has signed in.

use std::collections::HashMap;

use axum::extract::{Form, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use minijinja::context;
use sha2::Sha256;

use super::{Asked, Visit, asked, capital};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;

const COOKIE_NAME: &str = "package-manager-session";

/// A visitor who has signed in.
pub(super) struct Session {
    /// Whom the token names.
    pub(super) user: String,
    /// The word that forms carry.
    pub(super) xsrf: String,
}

impl Session {
    /// Of a request's cookie, if its token is still good.
    pub(super) fn of(app: &App, headers: &HeaderMap) -> Option<(Self, Caller)> {
        let token = cookie_of(headers, COOKIE_NAME)?;
        let caller = app.holder(token).ok()?;
        let user = caller.name().unwrap_or_else(|| "token".to_owned());
        Some((Self { user, xsrf: word(app, token) }, caller))
    }
}

/// What a browser sends as its cookie of this name.
pub(super) fn cookie_of<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value)
}

/// The word of a token: what only this server can make of it.
fn word(app: &App, token: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(app.view().token_key.as_bytes()).expect("a key may have any length");
    mac.update(b"form\0");
    mac.update(token.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Refuses forms that another site has sent.
fn same_site(visit: &Visit, headers: &HeaderMap) -> Result<(), Error> {
    let text = |name| headers.get(name).and_then(|value: &http::HeaderValue| value.to_str().ok());
    let own_host = text(HOST).map(|host| [format!("http://{host}"), format!("https://{host}")]);
    let good = |origin: &str| {
        own_host.as_ref().is_some_and(|own| own.iter().any(|own| own == origin))
            || visit.origin.base().strip_prefix(origin).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    match text(ORIGIN) {
        Some(origin) if !good(origin) => Err(Error::Forbidden("this form was sent by another site".to_owned())),
        _ => Ok(()),
    }
}

/// Lets only forms through that a page of this session has sent.
pub(super) fn check(visit: &Visit, headers: &HeaderMap, word: &str) -> Result<(), Error> {
    same_site(visit, headers)?;
    let session = visit.session.as_ref().ok_or_else(|| Error::Unauthorized("sign in first".to_owned()))?;
    match crate::auth::same(word, &session.xsrf) {
        true => Ok(()),
        false => Err(Error::Forbidden("this form is not from this session; open the page again".to_owned())),
    }
}

/// `GET /client/view/sign-in`
pub async fn page(visit: Visit, query: Asked) -> Response {
    let provider = visit.app.0.config.identity.provider.is_some();
    visit.show(Ok(("sign_in.html", context! { here => "sign-in", next => asked(&query, "next"), provider }))).await
}

/// Where to go after signing in: a view, whatever stands in the form.
pub(super) fn next(visit: &Visit, form: &HashMap<String, String>) -> String {
    let next = form.get("next").map_or("", String::as_str);
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~%/?=&+".contains(&b);
    let safe = !next.is_empty() && next.bytes().all(plain) && !next.contains("..") && !next.starts_with("sign-");
    visit.link(if safe { next } else { "admin/repos" }, &[])
}

/// Where visitors come by HTTPS, or shall come by nothing else, cookies are not sent by HTTP.
pub(super) fn is_secure(visit: &Visit) -> bool {
    visit.origin.is_secure() || visit.app.0.config.https_only
}

pub(super) fn cookie(visit: &Visit, value: &str, more: &str) -> String {
    let secure = if is_secure(visit) { "; Secure" } else { "" };
    format!("{COOKIE_NAME}={value}; Path={}/; HttpOnly; SameSite=Strict{secure}{more}", visit.base)
}

/// `POST /client/sign-in`
pub async fn sign_in(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    if let Err(error) = same_site(&visit, &headers) {
        return visit.show(Err(error)).await;
    }
    let token = form.get("token").map_or("", |token| token.trim());
    let good = match app.look_again().await.and_then(|()| app.holder(token)) {
        Ok(_) => token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
        Err(_) => false,
    };
    if good {
        return ([(SET_COOKIE, cookie(&visit, token, ""))], Redirect::to(&next(&visit, &form))).into_response();
    }
    let problem = match app.holder(token) {
        _ if token.is_empty() => "Give a token.".to_owned(),
        Err(error) => format!("{}.", capital(&error.to_string())),
        Ok(_) => "This token cannot be kept in a cookie.".to_owned(),
    };
    let provider = app.0.config.identity.provider.is_some();
    let values = context! { here => "sign-in", next => form.get("next"), problem, provider };
    visit.page(StatusCode::FORBIDDEN, "sign_in.html", values).await
}

/// `GET /client/view/sign-out`
pub async fn leave(visit: Visit) -> Response {
    let made = match &visit.session {
        Some(_) => Ok(("sign_out.html", context! { scopes => visit.caller.scopes().join(", ") })),
        None => Err(Error::Unauthorized("nobody has signed in".to_owned())),
    };
    visit.show(made).await
}

/// `POST /client/sign-out`
pub async fn sign_out(visit: Visit, headers: HeaderMap, Form(form): Form<HashMap<String, String>>) -> Response {
    match check(&visit, &headers, form.get("xsrf").map_or("", String::as_str)) {
        Ok(()) => {
            ([(SET_COOKIE, cookie(&visit, "", "; Max-Age=0"))], Redirect::to(&visit.link("home", &[]))).into_response()
        }
        Err(error) => visit.show(Err(error)).await,
    }
}
