//! The OAuth 2.1 authorization server, by which command lines and assistants act in the name of a user.
//!
//! | route | what |
//! |---|---|
//! | `GET /.well-known/oauth-authorization-server` | what it offers (RFC 8414) |
//! | `POST /oauth/v1/register` | a client makes itself known (RFC 7591) |
//! | `GET`, `POST /oauth/v1/authorize` | the page that asks the user; see [`authorize`] |
//! | `POST /oauth/v1/token` | codes, device codes and refresh tokens for tokens; see [`token`] |
//! | `POST /oauth/v1/device_authorization`, `GET`, `POST /oauth/v1/device` | devices without a browser; see [`device`] |
//! | `POST /oauth/v1/revoke` | a token or a grant ends (RFC 7009) |
//! | `GET`, `DELETE /v1/oauth/clients` | the registered clients |
//!
//! The paths of the metadata, of registration, of authorization and of tokens are the product's documented ones; those of
//! the device flow and of revocation are chosen here, and clients learn them from the metadata. The product has it since
//! 2026.06.0. Lifetimes are not documented; see [`Lifetimes`]. They follow the World's clock.

pub mod authorize;
pub mod device;
pub mod token;

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};
use sim_kit::origin::Origin;
use url::{Host, Url};

use crate::access::Role;
use crate::app::App;
use crate::auth::{Caller, Principal, Via, login};
use crate::error::{Error, Result};
use crate::input::{Page, Query, Raw};
use crate::store;
use crate::store::oauth_server::Client;
use crate::ui;
use crate::users::time;

/// The release that brought it.
pub const SINCE: &str = "2026.06.0";

/// How long what it gives out holds.
#[derive(Debug, Clone)]
pub struct Lifetimes {
    /// An authorization code.
    pub code: Duration,
    /// An access token.
    pub access: Duration,
    /// A refresh token.
    pub refresh: Duration,
    /// A device's request.
    pub device: Duration,
    /// What a device leaves between two questions.
    pub pause: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            code: Duration::from_secs(60),
            access: Duration::from_secs(3600),
            refresh: Duration::from_secs(30 * 24 * 3600),
            device: Duration::from_secs(15 * 60),
            pause: Duration::from_secs(5),
        }
    }
}

/// Microseconds after `now`.
fn after(now: i64, time: Duration) -> i64 {
    now.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

/// Clients without a token that are kept at most, so that anonymous callers cannot fill the database.
const MOST_UNUSED: i64 = 10_000;
/// How long a client without a token is kept, in microseconds.
const UNUSED: i64 = 24 * 3600 * 1_000_000;

const GRANTS: [&str; 4] = ["authorization_code", "refresh_token", token::DEVICE, token::EXCHANGE];

/// `GET /.well-known/oauth-authorization-server`
pub async fn metadata(State(app): State<App>, origin: Origin) -> Json<Value> {
    let origin = app.origin(origin);
    Json(json!({
        "issuer": origin.base(),
        "authorization_endpoint": origin.url("/oauth/v1/authorize"),
        "token_endpoint": origin.url("/oauth/v1/token"),
        "registration_endpoint": origin.url("/oauth/v1/register"),
        "device_authorization_endpoint": origin.url("/oauth/v1/device_authorization"),
        "revocation_endpoint": origin.url("/oauth/v1/revoke"),
        "grant_types_supported": GRANTS,
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "revocation_endpoint_auth_methods_supported": ["none"],
        "authorization_response_iss_parameter_supported": true,
    }))
}

/// An answer that must not be kept.
pub(crate) fn private(status: StatusCode, body: &Value) -> Response {
    (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
}

/// A form in UTF-8 without NUL characters.
fn form(body: &[u8]) -> Result<Query> {
    let text = std::str::from_utf8(body).map_err(|_| Error::oauth("invalid_request", "The body must be UTF-8."))?;
    let query = Query::parse(text);
    if query.pairs().any(|(name, value)| name.contains('\0') || value.contains('\0')) {
        return Err(Error::oauth("invalid_request", "The body must not hold a NUL character."));
    }
    Ok(query)
}

/// What a form must have.
fn needed<'a>(form: &'a Query, name: &str) -> Result<&'a str> {
    form.text(name).ok_or_else(|| Error::oauth("invalid_request", format!("`{name}` is missing.")))
}

/// The client that a form names.
async fn client_of(db: &mut sqlx::AnyConnection, form: &Query) -> Result<Client> {
    let found = store::oauth_server::by_client_id(db, needed(form, "client_id")?).await?;
    found.ok_or_else(|| Error::OAuth {
        status: StatusCode::UNAUTHORIZED,
        error: "invalid_client",
        text: "`client_id` is no registered client's; register again.".to_owned(),
    })
}

/// Whether a URI leads to the user's own machine, where clients listen on whatever port is free.
fn is_loopback(url: &Url) -> bool {
    url.scheme() == "http"
        && match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        }
}

/// Whether users may be sent to a URI at all: HTTPS, the user's own machine, or an application's own scheme.
fn may_redirect(text: &str) -> bool {
    let Ok(url) = Url::parse(text) else { return false };
    let own = !matches!(
        url.scheme(),
        "http" | "https" | "javascript" | "data" | "vbscript" | "file" | "blob" | "about" | "ftp" | "ws" | "wss"
    );
    let plain = text.len() <= 2048 && text.bytes().all(|b| b.is_ascii_graphic()) && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    plain && anonymous && (own || (url.scheme() == "https" && url.has_host()) || is_loopback(&url))
}

/// Whether `asked` is the registered `known`: the same text, or the same but for the port on the user's own machine.
pub(crate) fn is_registered(known: &str, asked: &str) -> bool {
    if known == asked {
        return true;
    }
    let (Ok(mut known), Ok(mut asked_url)) = (Url::parse(known), Url::parse(asked)) else { return false };
    if !is_loopback(&known) || !is_loopback(&asked_url) || !may_redirect(asked) {
        return false;
    }
    known.set_port(None).is_ok() && asked_url.set_port(None).is_ok() && known == asked_url
}

/// `POST /oauth/v1/register`
///
/// # Errors
/// 400 with `invalid_redirect_uri` or `invalid_client_metadata`.
pub async fn register(State(app): State<App>, Raw(body): Raw) -> Result<Response> {
    let bad = |text: &str| Error::oauth("invalid_client_metadata", text);
    let body: Value = serde_json::from_slice(&body).map_err(|error| bad(&format!("The body is no JSON: {error}.")))?;
    let body = body.as_object().ok_or_else(|| bad("The body must be a JSON object."))?;
    let text = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= 255 && !text.chars().any(char::is_control) => {
            Ok(Some(text.as_str()))
        }
        Some(_) => Err(bad(&format!("`{name}` must be a text of at most 255 characters."))),
    };
    let list = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Array(all)) if all.len() <= 20 => {
            let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
            texts.map(Some).ok_or_else(|| bad(&format!("`{name}` must be a list of texts.")))
        }
        Some(_) => Err(bad(&format!("`{name}` must be a list of at most 20 texts."))),
    };
    let grants = list("grant_types")?.unwrap_or_else(|| vec!["authorization_code"]);
    if let Some(unknown) = grants.iter().find(|grant| !GRANTS.contains(grant)) {
        return Err(bad(&format!("`grant_types`: `{unknown:.100}` is not offered.")));
    }
    let responses = list("response_types")?.unwrap_or_else(|| vec!["code"]);
    if responses.iter().any(|kind| *kind != "code") {
        return Err(bad("`response_types` can only be `code`."));
    }
    let uris = list("redirect_uris")?.unwrap_or_default();
    if let Some(wrong) = uris.iter().find(|uri| !may_redirect(uri)) {
        let text = format!(
            "`redirect_uris`: `{wrong:.200}` must be an https URL, an http URL of this machine, or one of an \
             application's own scheme, without a fragment."
        );
        return Err(Error::oauth("invalid_redirect_uri", text));
    }
    if uris.is_empty() && grants.contains(&"authorization_code") {
        return Err(Error::oauth("invalid_redirect_uri", "`redirect_uris` is missing."));
    }
    let now = app.now();
    let mut tx = app.write().await?;
    if store::oauth_server::unused(&mut tx, now - UNUSED).await? >= MOST_UNUSED {
        return Err(bad("Too many clients were registered and never used; come back in a day."));
    }
    let client = Client {
        client_id: app.world().ids().uuid("oauth-client").to_string(),
        id: store::next(&mut tx, "oauth-client").await?,
        name: text("client_name")?.map(str::to_owned),
        redirect_uris: uris.iter().map(|uri| (*uri).to_owned()).collect(),
        created: now,
        used: None,
    };
    store::oauth_server::register(&mut tx, &client).await?;
    tx.commit().await?;
    let mut answer = json!({
        "client_id": client.client_id, "client_id_issued_at": now / 1_000_000, "redirect_uris": client.redirect_uris,
        "grant_types": grants, "response_types": responses,
        // Nobody is given a secret, whatever was asked for.
        "token_endpoint_auth_method": "none",
    });
    if let Some(name) = &client.name {
        answer["client_name"] = json!(name);
    }
    Ok(private(StatusCode::CREATED, &answer))
}

/// Who sits at the browser. Only a signed-in browser can agree to anything: no key or token can beget another.
fn browser(caller: Caller, origin: &Origin, path: &str) -> Result<(Principal, String)> {
    let principal = login::for_page(caller, origin, path)?;
    match &principal.via {
        Via::Session { xsrf } => {
            let xsrf = xsrf.clone();
            Ok((principal, xsrf))
        }
        _ => Err(Error::forbidden()),
    }
}

/// A page that no other site may show in a frame, and that tells other sites nothing.
fn page(app: &App, origin: &Origin, status: StatusCode, name: &str, values: minijinja::Value) -> Result<Response> {
    let values = minijinja::context! { root => ui::root(origin), ..values };
    let head = [
        ("x-frame-options", "DENY"),
        ("content-security-policy", "frame-ancestors 'none'"),
        ("referrer-policy", "no-referrer"),
        ("cache-control", "no-store"),
    ];
    Ok((status, head, app.pages().render(name, values)?).into_response())
}

fn shown(client: &Client) -> Value {
    json!({
        "id": client.id.to_string(), "client_id": client.client_id, "client_name": client.name,
        "redirect_uris": client.redirect_uris, "created_at": time(client.created),
        "last_used_at": client.used.map(time),
    })
}

/// `GET /v1/oauth/clients`
///
/// # Errors
/// 400 for a bad page.
pub async fn clients(State(app): State<App>, _: Principal, query: Query) -> Result<Json<Value>> {
    let page = Page::of(&query, 500)?;
    let ascending = query.flag("asc_order", true)?;
    let mut db = app.read().await?;
    let (found, total) = store::oauth_server::clients(&mut db, ascending, page.size, page.offset()).await?;
    Ok(page.answer(&found.iter().map(shown).collect::<Vec<_>>(), total))
}

/// `GET /v1/oauth/clients/{client_id}`
///
/// # Errors
/// 404 when there is none.
pub async fn client(State(app): State<App>, _: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    let found = store::oauth_server::by_client_id(&mut *app.read().await?, &id).await?;
    Ok(Json(shown(&found.ok_or_else(|| Error::missing("OAuth client"))?)))
}

/// `DELETE /v1/oauth/clients/{client_id}`: it ends with all its tokens.
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn unregister(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    if !store::oauth_server::unregister(&mut tx, &id).await? {
        return Err(Error::missing("OAuth client"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn users_are_sent_to_registered_places_only() {
        let known = "http://127.0.0.1/callback";
        for good in ["http://127.0.0.1/callback", "http://127.0.0.1:49152/callback"] {
            assert!(is_registered(known, good), "{good}");
        }
        for bad in [
            "http://127.0.0.1/callback2",
            "http://127.0.0.1:1/callback?x=1",
            "http://127.0.0.1:1/callback#x",
            "http://localhost:1/callback",
            "http://127.0.0.1.evil.example/callback",
            "http://127.0.0.1@evil.example/callback",
            "http://x@127.0.0.1:1/callback",
            "https://127.0.0.1/callback",
            "http://evil.example/callback",
        ] {
            assert!(!is_registered(known, bad), "{bad}");
        }
        assert!(!is_registered("https://app.example/cb", "https://app.example:444/cb"));
        assert!(!is_registered("https://app.example/cb", "https://app.example/cb/"));
        for good in ["https://app.example/cb", "http://localhost:3000/x", "http://[::1]/x", "com.example.app:/cb"] {
            assert!(may_redirect(good), "{good}");
        }
        for bad in ["http://app.example/cb", "javascript:alert(1)", "data:text/html,x", "/cb", "", "https://a/#x"] {
            assert!(!may_redirect(bad), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_uri_is_taken_or_refused(known in ".{0,40}", asked in "(http://127\\.0\\.0\\.1)?.{0,40}") {
            let _ = (may_redirect(&known), is_registered(&known, &asked), form(asked.as_bytes()));
        }
    }
}
