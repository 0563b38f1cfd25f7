//! Tokens: a client makes a key pair, registers the public half, and has its user claim it in a browser.
//!
//! Until then signed requests get 401, which is what clients poll for.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use http::{StatusCode, Uri};
use minijinja::context;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use super::signature::{is_token, public_key};
use super::{Caller, Via, login};
use crate::app::App;
use crate::audit;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Query, Raw};
use crate::store;
use crate::store::tokens::Token;
use crate::ui;

/// Unclaimed tokens that are kept at most, so that anonymous callers cannot fill the database.
const MOST_UNCLAIMED: i64 = 10_000;
/// How long a token waits to be claimed, in microseconds.
const WAIT: i64 = 24 * 3600 * 1_000_000;

/// `POST /__api__/tokens`
///
/// # Errors
/// 400 for a token or a key that is none, or for a token that is known.
pub async fn register(State(app): State<App>, origin: Origin, fields: Fields) -> Result<Json<Value>> {
    let missing = |_| Error::bad(Code::MissingTokenAttributes, "`token` and `public_key` are needed, as strings.");
    let token = fields.required("token").map_err(missing)?;
    let key = fields.required("public_key").map_err(missing)?;
    if !is_token(&token) {
        return Err(Error::bad(
            Code::InvalidParameter,
            "`token` must be a T and 16 to 64 hexadecimal digits, usually 32.",
        ));
    }
    if public_key(&key).is_none() {
        let text = "`public_key` must be the base64 of the DER of an RSA public key of 1024 to 4096 bits.";
        return Err(Error::bad(Code::InvalidParameter, text));
    }
    let mut tx = app.write().await?;
    if store::tokens::unclaimed(&mut tx, app.now() - WAIT).await? >= MOST_UNCLAIMED {
        return Err(Error::bad(Code::BadRequest, "Too many tokens wait to be claimed; claim or wait a day."));
    }
    let row = Token { token: token.clone(), public_key: key, user_guid: None, created: app.now() };
    store::tokens::insert(&mut tx, &row).await.map_err(|error| match store::is_duplicate(&error) {
        true => Error::bad(Code::DuplicateToken, "This token is registered already; make another."),
        false => error.into(),
    })?;
    tx.commit().await?;
    Ok(Json(json!({"token_claim_url": app.origin(origin).url(&format!("/connect/claim/{token}"))})))
}

/// `GET /connect/claim/{token}`: the page that asks the user.
///
/// # Errors
/// 404 for an unknown token.
pub async fn claim_page(
    State(app): State<App>,
    origin: Origin,
    caller: Caller,
    Path(token): Path<String>,
    uri: Uri,
) -> Result<Html<String>> {
    let origin = app.origin(origin);
    let (principal, root) = (login::for_page(caller, &origin, uri.path())?, ui::root(&origin));
    let found = store::tokens::get(&mut *app.read().await?, &token).await?.ok_or_else(|| Error::missing("token"))?;
    let claimed = found.user_guid.is_some();
    let xsrf = if let Via::Session { xsrf } = principal.via { xsrf } else { String::new() };
    let page = context! { root, username => &principal.user.username, claimed, xsrf, token => &found.token };
    app.pages().render("claim.html", page)
}

/// `POST /connect/claim/{token}`: the user agrees.
///
/// # Errors
/// 403 without the token of the form; 404 for an unknown token; 409 for a claimed one.
pub async fn claim(
    State(app): State<App>,
    origin: Origin,
    caller: Caller,
    Path(token): Path<String>,
    uri: Uri,
    Raw(body): Raw,
) -> Result<Response> {
    let origin = app.origin(origin);
    let (principal, root) = (login::for_page(caller, &origin, uri.path())?, ui::root(&origin));
    let form = Query::parse(&String::from_utf8_lossy(&body));
    if let Via::Session { xsrf } = &principal.via
        && form.text("xsrf") != Some(xsrf)
    {
        return Err(Error::forbidden_because(Code::Xsrf, "XSRF token mismatch"));
    }
    let mut tx = app.write().await?;
    let found = store::tokens::get(&mut tx, &token).await?.ok_or_else(|| Error::missing("token"))?;
    let page = |claimed: bool| context! { root, username => &principal.user.username, claimed, done => !claimed };
    if !store::tokens::claim(&mut tx, &found.token, &principal.user.guid).await? {
        return Ok((StatusCode::CONFLICT, app.pages().render("claim.html", page(true))?).into_response());
    }
    tx.commit().await?;
    audit::event(&app, Some(&principal.user), "claim_token", &found.token);
    Ok(app.pages().render("claim.html", page(false))?.into_response())
}
