//! The first password of a user who was added with `user_must_set_password`.
//!
//! The product asks for it at the first sign-in. Where its page is and how it knows the user again is not known: here a link
//! in the mail that tells of the account leads to it, once and for a day.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use minijinja::context;
use sim_kit::origin::Origin;
use sqlx::AnyConnection;

use super::password;
use crate::app::App;
use crate::audit;
use crate::error::{Code, Error, Result};
use crate::input::{Query, Raw};
use crate::store;
use crate::store::users::User;
use crate::tickets;
use crate::ui;

/// What the ticket in a link is for.
const KIND: &str = "set-password";
/// How long a link holds.
const LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// Checks what a new user is made with against its having to set a password, or not.
///
/// # Errors
/// 400: the first user of a server must come with one; others with a password of their own to set, or without an address,
/// cannot set it; who neither has one nor is to set one could not sign in.
pub fn check(must_set: bool, is_first: bool, has_password: bool, email: &str) -> Result<()> {
    if is_first && must_set {
        let text = "The first user cannot set its password later: leave `user_must_set_password` out.";
        return Err(Error::bad(Code::InitialUserGeneratePassword, text));
    }
    if is_first && !has_password {
        let text = "`password` is missing: the first user has no other way in.";
        return Err(Error::bad(Code::ParameterMissing, text));
    }
    if must_set && has_password {
        let text = "`password` cannot be set where `user_must_set_password` is true.";
        return Err(Error::bad(Code::InvalidParameter, text));
    }
    if !must_set && !has_password {
        let text = "`password` is missing: give one, or an `email` and `user_must_set_password`.";
        return Err(Error::bad(Code::InadequatePassword, text));
    }
    if must_set && email.is_empty() {
        let text = "`email` is missing: the link by which the user sets a password is sent there.";
        return Err(Error::bad(Code::UserMissingEmail, text));
    }
    Ok(())
}

/// Checks that a password is long enough.
///
/// # Errors
/// 400 when it is not.
pub fn adequate(password: &str) -> Result<()> {
    match (6..=1024).contains(&password.chars().count()) {
        true => Ok(()),
        false => Err(Error::bad(Code::InadequatePassword, "`password` must have 6 to 1024 characters.")),
    }
}

/// The address at which a user sets its password.
///
/// # Errors
/// When the database fails.
pub async fn link(app: &App, db: &mut AnyConnection, origin: &Origin, user: &User) -> Result<String> {
    let ticket = tickets::make(app, db, KIND, &user.guid, LIFETIME).await?;
    Ok(origin.url(&format!("/setpassword?token={ticket}")))
}

/// The user of a link, who has no password yet: each link is of use once.
async fn user_of(app: &App, db: &mut AnyConnection, token: &str) -> Result<User> {
    let user = match tickets::read(app, db, KIND, token).await? {
        Some(guid) => store::users::by_guid(db, &guid).await?,
        None => None,
    };
    let text = "The link is not valid, has expired or was used; ask an administrator.";
    user.filter(|user| !user.confirmed).ok_or_else(|| Error::bad(Code::InvalidPasswordToken, text))
}

fn show(app: &App, origin: &Origin, token: &str, user: &User, error: Option<&str>) -> Result<Response> {
    let root = ui::root(origin);
    let page = app.pages().render("set_password.html", context! { root, token, username => &user.username, error })?;
    let status = if error.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    Ok((status, page).into_response())
}

/// `GET /setpassword`
///
/// # Errors
/// 400 with code 101 for a bad link.
pub async fn page(State(app): State<App>, origin: Origin, query: Query) -> Result<Response> {
    let token = query.text("token").unwrap_or_default();
    let user = user_of(&app, &mut *app.read().await?, token).await?;
    show(&app, &app.origin(origin), token, &user, None)
}

/// `POST /setpassword`: leads on to the login page.
///
/// # Errors
/// As [`page`]; 403 when another site's page sent the form.
pub async fn submit(State(app): State<App>, origin: Origin, headers: HeaderMap, Raw(body): Raw) -> Result<Response> {
    if headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site") {
        return Err(Error::forbidden_because(Code::Xsrf, "The form was sent by another site."));
    }
    let origin = app.origin(origin);
    let form = Query::parse(&String::from_utf8_lossy(&body));
    let token = form.text("token").unwrap_or_default();
    let wanted = form.text("password").unwrap_or_default();
    let mut tx = app.write().await?;
    let mut user = user_of(&app, &mut tx, token).await?;
    if let Err(error) = adequate(wanted) {
        return show(&app, &origin, token, &user, Some(&error.to_string()));
    }
    user.password_hash = Some(password::hash(app.world(), wanted)?);
    user.confirmed = true;
    user.updated = app.now();
    store::users::update(&mut tx, &user).await?;
    tx.commit().await?;
    audit::event(&app, Some(&user), "set_password", "");
    Ok((StatusCode::SEE_OTHER, [(LOCATION, origin.url("/__login__"))]).into_response())
}
