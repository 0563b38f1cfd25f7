//! The sign-in page and what it posts to.
//!
//! | route | |
//! |---|---|
//! | `GET /auth-sign-in` | the page; 302 home for those who are signed in |
//! | `GET /auth-public-key` | `exponent:modulus` in hex |
//! | `POST /auth-do-sign-in` | encrypted (`v`) or plain (`username`, `password`) form; 302 to `appUri`, or back with `error=N` |
//! | `POST /auth-sign-out` | form with the token; revokes the cookie; 302 to the page |
//! | `GET /auth-refresh-credentials` | 302 to the page for those who are not signed in |
//!
//! Routes, fields, cookies and error numbers are those of the open-source server and of clients that sign in to it.

use axum::Form;
use axum::extract::{Query, State};
use axum::response::{Html, IntoResponse, Response};
use axum_extra::extract::CookieJar;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION, X_FRAME_OPTIONS};
use minijinja::context;
use serde::Deserialize;
use sim_kit::origin::Origin;

use super::signed::percent_encode;
use super::{Identity, Page, cookies, csrf, passwords};
use crate::App;
use crate::error::Error;
use crate::store;
use crate::store::users::User;

/// Why a sign-in was refused, with the number in the page's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    InvalidLogin = 1,
    ServerError = 2,
    Unauthorized = 3,
}

/// The text for an error number; numbers of refusals that cannot happen here are known too.
fn error_text(number: &str) -> Option<&'static str> {
    Some(match number {
        "1" => "Incorrect or invalid username/password",
        "2" => "Temporary server error, please try again",
        "3" => "Unauthorized user.",
        "4" => "The user limit for this license has been reached, or you are not allowed access.",
        "5" => "The user licensing system is temporarily unavailable. Please try again later.",
        _ => return None,
    })
}

/// A place on this server, whatever was asked for: it starts with one slash, so that no link to the sign-in page leads
/// elsewhere afterwards.
pub(crate) fn local_target(wanted: Option<&str>) -> String {
    let wanted = wanted.unwrap_or_default();
    let clean: String = wanted.chars().filter(|c| c.is_ascii_graphic()).collect();
    format!("/{}", clean.trim_start_matches(['/', '\\']))
}

/// The sign-in page's address.
pub(crate) fn address(app: &App, target: &str, error: Option<u8>) -> String {
    let error = error.map(|number| format!("&error={number}")).unwrap_or_default();
    format!("{}/auth-sign-in?appUri={}{error}", app.root(), percent_encode(target))
}

/// 302: what the real server sends, where newer ones would send 303.
pub(crate) fn redirect(to: &str) -> Response {
    (StatusCode::FOUND, [(LOCATION, to.to_owned()), (CACHE_CONTROL, "no-cache, no-store".to_owned())]).into_response()
}

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    #[serde(rename = "appUri")]
    app_uri: Option<String>,
    error: Option<String>,
}

pub(crate) async fn page(
    State(app): State<App>,
    origin: Origin,
    jar: CookieJar,
    identity: Option<axum::Extension<Identity>>,
    Query(query): Query<PageQuery>,
) -> Result<Response, Error> {
    if identity.is_some() {
        return Ok(redirect("./"));
    }
    let token = csrf::of(&jar).map_or_else(|| app.new_csrf_token(), str::to_owned);
    let html = app.render(
        "sign_in.html",
        context! {
            token => token.as_str(),
            app_uri => local_target(query.app_uri.as_deref()),
            error => query.error.as_deref().and_then(error_text),
            encrypt => app.config().encrypt_password,
            stay => !app.config().auth_timeout.is_zero(),
        },
    )?;
    let set = cookies::token(&app, &origin, &token);
    let headers = [(CACHE_CONTROL, "no-cache, no-store, must-revalidate"), (X_FRAME_OPTIONS, "DENY")];
    Ok((set, headers, Html(html)).into_response())
}

pub(crate) async fn public_key(State(app): State<App>) -> Result<Response, Error> {
    let key = app.keys().public(app.world()).await?;
    Ok(([(CONTENT_TYPE, "text/plain"), (CACHE_CONTROL, "no-cache, no-store")], key).into_response())
}

#[derive(Deserialize)]
pub(crate) struct SignInForm {
    username: Option<String>,
    password: Option<String>,
    v: Option<String>,
    persist: Option<String>,
    #[serde(rename = "staySignedIn")]
    stay_signed_in: Option<String>,
    #[serde(rename = "rs-csrf-token")]
    token: Option<String>,
    #[serde(rename = "csrf-token")]
    legacy_token: Option<String>,
    #[serde(rename = "appUri")]
    app_uri: Option<String>,
}

pub(crate) async fn submit(
    State(app): State<App>,
    origin: Origin,
    jar: CookieJar,
    Form(form): Form<SignInForm>,
) -> Result<Response, Error> {
    let target = local_target(form.app_uri.as_deref());
    let back = |refusal: Refusal| redirect(&address(&app, &target, Some(refusal as u8)));
    let given = form.token.as_deref().or(form.legacy_token.as_deref());
    let script = given.is_none()
        && csrf::of(&jar).is_none()
        && app.config().sign_in_without_token
        && !app.config().encrypt_password;
    if !script && !csrf::matches(&jar, given) {
        let mut refused = back(Refusal::ServerError);
        *refused.body_mut() = "Missing or incorrect token.".into();
        return Ok(refused);
    }
    let (name, password) = match (app.config().encrypt_password, form.v, form.username, form.password) {
        (true, Some(v), _, _) => match app.keys().decrypt(app.world(), &v).await? {
            Some(pair) => pair,
            None => return Ok(back(Refusal::ServerError)),
        },
        (false, _, Some(name), Some(password)) => (name, password),
        _ => return Ok(back(Refusal::ServerError)),
    };
    match check(&app, &name, &password).await? {
        Err(refusal) => Ok(back(refusal)),
        Ok(user) => {
            store::users::signed_in(app.world().db(), &user.name, app.now().timestamp_micros()).await?;
            let persist = [form.persist.as_deref(), form.stay_signed_in.as_deref()].contains(&Some("1"))
                || app.config().auth_timeout.is_zero();
            let to = if app.root().is_empty() || target.starts_with(&format!("{}/", app.root())) {
                target
            } else {
                format!("{}{target}", app.root())
            };
            Ok((cookies::signed_in(&app, &origin, &jar, &user, persist), redirect(&to)).into_response())
        }
    }
}

/// The checks in the real server's order: is the user allowed, is it too soon, is the password right.
async fn check(app: &App, name: &str, password: &str) -> Result<Result<User, Refusal>, Error> {
    let user = store::users::find(app.world().db(), name).await?;
    if user.as_ref().is_some_and(|user| user.locked) {
        return Ok(Err(Refusal::Unauthorized));
    }
    if app.throttle().is_too_soon(name, app.now(), app.config().throttle) {
        tracing::info!(user = name, "sign-in throttled");
        return Ok(Err(Refusal::ServerError));
    }
    let right = passwords::verify(user.as_ref(), password);
    Ok(user.filter(|_| right).ok_or(Refusal::InvalidLogin))
}

#[derive(Deserialize)]
pub(crate) struct SignOutForm {
    #[serde(rename = "rs-csrf-token")]
    token: Option<String>,
    #[serde(rename = "csrf-token")]
    legacy_token: Option<String>,
}

pub(crate) async fn sign_out(
    State(app): State<App>,
    jar: CookieJar,
    identity: Option<axum::Extension<Identity>>,
    Form(form): Form<SignOutForm>,
) -> Result<Response, Error> {
    if identity.is_none() {
        return Err(Error::Unauthorized);
    }
    if !csrf::matches(&jar, form.token.as_deref().or(form.legacy_token.as_deref())) {
        return Err(Error::BadToken);
    }
    let now = app.now();
    if let Some(cookie) = jar.get(cookies::USER)
        && let Some(signed) = app.keys().user.open(cookie.value(), now)
    {
        let (expires, now) = (signed.expires.timestamp_micros(), now.timestamp_micros());
        store::users::revoke(app.world().db(), cookie.value(), expires, now).await?;
    }
    Ok((cookies::signed_out(app.cookie_path()), redirect(&format!("{}/auth-sign-in", app.root()))).into_response())
}

/// Home for those who are signed in; the layer refreshes their cookies, [`Page`] sends the others to the sign-in page.
pub(crate) async fn refresh(State(app): State<App>, _: Page) -> Response {
    redirect(&format!("{}/", app.root()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_target_leads_away() {
        for (wanted, target) in [
            ("", "/"),
            ("/home?x=1", "/home?x=1"),
            ("home", "/home"),
            ("//evil.example/", "/evil.example/"),
            ("/\\evil.example", "/evil.example"),
            ("https://evil.example/", "/https://evil.example/"),
            ("/\t/evil.example", "/evil.example"),
            ("/a\r\nSet-Cookie: x", "/aSet-Cookie:x"),
        ] {
            assert_eq!(local_target(Some(wanted)), target);
        }
    }
}
