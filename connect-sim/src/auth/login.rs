//! Signing in with a password, and out.
//!
//! The page is at `/__login__`; its inputs and its button carry the names that browser tests of the product look for. A
//! sign-in starts a new session, whatever the browser had before.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use minijinja::context;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use super::{Caller, SESSION_COOKIE, XSRF_COOKIE, digest, oidc, password};
use crate::app::App;
use crate::audit;
use crate::error::{Code, Error, Result};
use crate::input::{self, Fields, Query, Raw};
use crate::messages;
use crate::store;
use crate::store::sessions::Session;
use crate::store::users::User;
use crate::ui;

/// The longest name and password that are looked at, in bytes.
const LONGEST: usize = 1_000;

/// A path of this server to go on to; anything else becomes the dashboard.
#[must_use]
pub fn safe_return(path: Option<&str>) -> String {
    let dashboard = "/connect/".to_owned();
    let Some(path) = path else { return dashboard };
    let plain = path.starts_with('/')
        && !path.starts_with("//")
        && path.len() <= 2048
        && !path.contains('\\')
        && path.bytes().all(|b| b.is_ascii_graphic());
    if plain { path.to_owned() } else { dashboard }
}

/// The address of the login page that leads back to `path`.
#[must_use]
pub fn login_url(origin: &Origin, path: &str) -> String {
    let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("return_to", path).finish();
    origin.url(&format!("/__login__?{query}"))
}

/// `GET /__login__`
///
/// # Errors
/// When the page cannot be made.
pub async fn page(State(app): State<App>, origin: Origin, jar: CookieJar, query: Query) -> Result<Response> {
    if let Some(provider) = &app.config().identity_provider {
        let return_to = safe_return(query.text("return_to"));
        return oidc::begin(&app, provider, &app.origin(origin), jar, return_to).await;
    }
    show(&app, &app.origin(origin), StatusCode::OK, &safe_return(query.text("return_to")), "", None).await
}

async fn show(
    app: &App,
    origin: &Origin,
    status: StatusCode,
    return_to: &str,
    username: &str,
    error: Option<&str>,
) -> Result<Response> {
    let root = ui::root(origin);
    let config = app.config();
    let warning = messages::text(app, "everyone").await?;
    let notices = warning.lines().chain([config.authentication_notice.as_str()]).filter(|text| !text.is_empty());
    let notices: Vec<String> = notices.map(str::to_owned).collect();
    let page = app.pages().render("login.html", context! { root, return_to, username, error, notices })?;
    Ok((status, page).into_response())
}

/// The user of this name and password, or why there is none: what is told to people.
async fn user_of(
    app: &App,
    headers: &HeaderMap,
    username: &str,
    given: &str,
) -> Result<std::result::Result<User, &'static str>> {
    // Without a session there is no token to compare; browsers tell where the request came from.
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Err(Error::forbidden_because(Code::Xsrf, "The sign-in form was sent by another site."));
    }
    if app.config().identity_provider.is_some() {
        let text = "Users of this server sign in with its identity provider; open /__login__ in a browser.";
        return Err(Error::forbidden_because(Code::ProhibitedAuthType, text));
    }
    let user = match username.contains('\0') {
        true => None,
        false => store::users::by_username(&mut *app.read().await?, username).await?,
    };
    let matches = password::verify(given, user.as_ref().and_then(|user| user.password_hash.as_deref()));
    let refused = match user {
        Some(user) if matches && !user.locked => return Ok(Ok(user)),
        Some(_) if matches => "This account is locked; ask an administrator.",
        _ => "The user name or the password is wrong.",
    };
    audit::event(app, user.as_ref(), "user_login_failed", username);
    Ok(Err(refused))
}

/// `POST /__login__`: the form of the page, or JSON, as [`submit_fields`].
///
/// # Errors
/// 403 when another site's page sent the form.
pub async fn submit(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
    jar: CookieJar,
    Raw(body): Raw,
) -> Result<Response> {
    let media = headers.get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
    if media.starts_with("application/json") {
        let fields = Fields::of(input::Json::parse(&body)?.0)?;
        let done = submit_fields(State(app), origin, headers, jar, fields).await?;
        return Ok(done.into_response());
    }
    let form = Query::parse(&String::from_utf8_lossy(&body));
    let username = form.text("username").unwrap_or_default();
    let given = form.text("password").unwrap_or_default();
    let return_to = safe_return(form.text("return_to"));
    match user_of(&app, &headers, username, given).await? {
        Ok(user) => start_session(&app, jar, &user, &app.origin(origin), &return_to).await,
        Err(text) => show(&app, &app.origin(origin), StatusCode::UNAUTHORIZED, &return_to, username, Some(text)).await,
    }
}

/// `POST /__api__/__login__`: signs a program in with `username` and `password`, which keeps the session's cookies. That it
/// is there is known from pins and vetiver, whose tests make the keys of their users so; they do not look at the answer, which
/// is here the user. Older tests of connectapi send the same to `/__login__`.
///
/// # Errors
/// 400 without one of them; 401 with code 30 for a wrong name or password, or a locked user; 403 when another site's page asks,
/// or users sign in elsewhere.
pub async fn submit_fields(
    State(app): State<App>,
    origin: Origin,
    headers: HeaderMap,
    jar: CookieJar,
    fields: Fields,
) -> Result<(CookieJar, Json<Value>)> {
    let short = |name: &str| match fields.required(name)? {
        text if text.len() > LONGEST => Err(Error::bad(Code::InvalidParameter, format!("`{name}` is too long."))),
        text => Ok(text),
    };
    let (username, given) = (short("username")?, short("password")?);
    let user = user_of(&app, &headers, &username, &given).await?;
    let user = user.map_err(|text| Error::unauthorized(Code::InvalidLogin, text))?;
    let jar = session_of(&app, jar, &user, &app.origin(origin)).await?;
    Ok((jar, Json(json!({"guid": user.guid, "username": user.username}))))
}

/// Signs a browser in as `user`, and leads it on. Whatever session it had ends.
///
/// # Errors
/// When the database fails.
pub async fn start_session(
    app: &App,
    jar: CookieJar,
    user: &User,
    origin: &Origin,
    return_to: &str,
) -> Result<Response> {
    let jar = session_of(app, jar, user, origin).await?;
    Ok((jar, (StatusCode::SEE_OTHER, [(http::header::LOCATION, origin.url(return_to))])).into_response())
}

/// The cookies of a new session of `user`, in place of those of the one before, which ends.
async fn session_of(app: &App, jar: CookieJar, user: &User, origin: &Origin) -> Result<CookieJar> {
    let (secret, now) = (app.world().ids().secret(32), app.now());
    let lifetime = app.config().session_lifetime;
    let session = Session {
        sha256: digest(&secret),
        user_guid: user.guid.clone(),
        xsrf: app.world().ids().secret(32),
        used: now,
        expires: now.saturating_add(i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX)),
    };
    let mut tx = app.write().await?;
    if let Some(old) = jar.get(SESSION_COOKIE) {
        store::sessions::delete(&mut tx, &digest(old.value())).await?;
    }
    store::sessions::insert(&mut tx, &session, now).await?;
    tx.commit().await?;
    audit::event(app, Some(user), "user_login", "");
    let cookie = |name, value, hidden| {
        let cookie = Cookie::build((name, value)).path("/").http_only(hidden).same_site(SameSite::Lax);
        cookie.secure(app.config().secures_cookies(origin)).build()
    };
    Ok(jar.add(cookie(SESSION_COOKIE, secret, true)).add(cookie(XSRF_COOKIE, session.xsrf, false)))
}

/// `GET` and `POST /__logout__`
///
/// # Errors
/// When the database fails.
pub async fn logout(State(app): State<App>, origin: Origin, jar: CookieJar) -> Result<Response> {
    if let Some(cookie) = jar.get(SESSION_COOKIE) {
        let mut tx = app.write().await?;
        let sha256 = digest(cookie.value());
        let session = store::sessions::by_digest(&mut tx, &sha256).await?;
        store::sessions::delete(&mut tx, &sha256).await?;
        let user = match session {
            Some(session) => store::users::by_guid(&mut tx, &session.user_guid).await?,
            None => None,
        };
        tx.commit().await?;
        if let Some(user) = user {
            audit::event(&app, Some(&user), "user_logout", "");
        }
    }
    let gone = |name| Cookie::build((name, "")).path("/").build();
    let jar = jar.remove(gone(SESSION_COOKIE)).remove(gone(XSRF_COOKIE));
    if app.config().identity_provider.is_some() {
        // The login page would lead to the provider, and maybe straight back.
        let text = "You are signed out of this server.";
        let page = app
            .pages()
            .render("message.html", context! { root => ui::root(&app.origin(origin)), title => "Signed out", text })?;
        return Ok((jar, page).into_response());
    }
    Ok((jar, Redirect::to(&app.origin(origin).url("/__login__"))).into_response())
}

/// A caller for a page: one who has not signed in is led to the login page and back.
///
/// # Errors
/// The redirect.
pub fn for_page(caller: Caller, origin: &Origin, path: &str) -> Result<super::Principal> {
    match caller {
        Caller::User(principal) if principal.user.service => Err(Error::forbidden()),
        Caller::User(principal) => Ok(principal),
        Caller::Anonymous => Err(Error::SignIn(login_url(origin, path))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_returned_to() {
        assert_eq!(safe_return(Some("/content/x/?a=b")), "/content/x/?a=b");
        for bad in ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:x", "", "/a\r\nb", "/a b"]
        {
            assert_eq!(safe_return(Some(bad)), "/connect/", "{bad}");
        }
    }
}
