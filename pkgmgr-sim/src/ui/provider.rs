//! Signing in with an identity provider, where `OpenIDConnect` names one.
//!
//! `/__login__` sends the browser to the provider, and `/__login__/callback` takes it back: the paths that the vendor's products share.
//! A sign-in is bound to the browser that began it by a cookie, which holds all that must be known when it ends, signed; to the
//! provider's answer by `state` and `nonce`; and its code by PKCE. Who has signed in gets a token for the cookie of the session, with
//! the scopes that the provider's groups and roles stand for ([`crate::identity`]).

use std::collections::HashMap;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use minijinja::context;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sim_kit::identity::{of_sign_in, text};
use url::Url;

use super::{Asked, Visit, asked, capital, session};
use crate::api::tokens::{self, New};
use crate::app::App;
use crate::auth::same;
use crate::error::Error;
use crate::identity::{Person, Provider};

/// The cookie of a browser that is on its way.
const COOKIE: &str = "package-manager-sign-in";
/// Not that of tokens, which a sign-in is none of.
const AUDIENCE: &str = "packagemanager-sign-in";
/// Where the provider sends browsers back to.
const CALLBACK: &str = "/__login__/callback";
/// How long a browser may be on its way.
const WAIT: Duration = Duration::from_mins(10);
/// How long what the provider says of itself is kept, in microseconds.
const KEPT: i64 = 10 * 60 * 1_000_000;
/// Seconds that clocks may be apart.
const LEEWAY: u64 = 60;

/// A sign-in that is under way.
#[derive(Serialize, Deserialize)]
struct Attempt {
    aud: String,
    exp: i64,
    state: String,
    nonce: String,
    verifier: String,
    /// The view that was asked for.
    next: String,
}

impl Attempt {
    fn signed(&self, app: &App) -> Result<String, Error> {
        let key = EncodingKey::from_secret(app.view().token_key.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), self, &key)
            .map_err(|error| Error::Internal(format!("cannot sign a sign-in: {error}")))
    }

    /// The one of this browser, if it is not over.
    fn of(app: &App, headers: &HeaderMap) -> Option<Self> {
        let text = session::cookie_of(headers, COOKIE)?;
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        // What counts is the World's clock.
        validation.validate_exp = false;
        let key = DecodingKey::from_secret(app.view().token_key.as_bytes());
        let attempt = jsonwebtoken::decode::<Self>(text, &key, &validation).ok()?.claims;
        (attempt.exp > app.world().clock().now().timestamp()).then_some(attempt)
    }
}

/// The provider, where there is one.
fn provider(visit: &Visit) -> Result<&Provider, Error> {
    let provider = visit.app.0.config.identity.provider.as_ref();
    provider.ok_or_else(|| Error::NotFound("people sign in with a token here".to_owned()))
}

/// Comes back with the browser from the provider's site, which cookies of the session do not.
fn cookie(visit: &Visit, value: &str, more: &str) -> String {
    let secure = if session::is_secure(visit) { "; Secure" } else { "" };
    format!("{COOKIE}={value}; Path={}/__login__; HttpOnly; SameSite=Lax{secure}{more}", visit.base)
}

/// Why somebody could not sign in. It is told as a page, also where all other pages ask to sign in.
async fn refused(visit: &Visit, error: &Error) -> Response {
    error.log();
    let values =
        context! { here => "sign-in", title => "Sign-in failed", text => format!("{}.", capital(&error.to_string())) };
    visit.page(error.status(), "message.html", values).await
}

/// `GET /__login__`
pub async fn begin(visit: Visit, query: Asked) -> Response {
    match sent(&visit, asked(&query, "next")).await {
        Ok(response) => response,
        Err(error) => refused(&visit, &error).await,
    }
}

async fn sent(visit: &Visit, next: &str) -> Result<Response, Error> {
    let (app, provider) = (&visit.app, provider(visit)?);
    let unusable = |why: &str| Error::Refused(format!("the identity provider cannot be used: {why}"));
    let known = app.0.issuers.get(&provider.trust.issuer, KEPT).await.map_err(|why| unusable(&why))?;
    let endpoint = text(&known.metadata, "authorization_endpoint").and_then(|url| Url::parse(url).ok());
    let endpoint = endpoint.filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut url = endpoint.ok_or_else(|| unusable("it names no `authorization_endpoint`"))?;
    let secret = || app.world().ids().secret(32);
    let attempt = Attempt {
        aud: AUDIENCE.to_owned(),
        exp: (app.world().clock().now() + WAIT).timestamp(),
        state: secret(),
        nonce: secret(),
        verifier: secret() + &secret(),
        next: next.chars().take(500).collect(),
    };
    let wants_groups = !app.0.config.identity.groups.is_empty() && !provider.no_groups_scope;
    let scope = ["openid", "profile", "email"].into_iter().chain(wants_groups.then_some("groups"));
    let scope: Vec<&str> = scope.chain(provider.custom_scope.iter().map(String::as_str)).collect();
    {
        let mut pairs = url.query_pairs_mut();
        pairs.append_pair("response_type", "code").append_pair("client_id", &provider.client_id);
        pairs.append_pair("redirect_uri", &visit.origin.url(CALLBACK)).append_pair("scope", &scope.join(" "));
        pairs.append_pair("state", &attempt.state).append_pair("nonce", &attempt.nonce);
        if !provider.no_pkce {
            let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(attempt.verifier.as_bytes()));
            pairs.append_pair("code_challenge", &challenge).append_pair("code_challenge_method", "S256");
        }
        if let Some(age) = provider.max_age {
            pairs.append_pair("max_age", &age.as_secs().to_string());
        }
    }
    let cookie = cookie(visit, &attempt.signed(app)?, &format!("; Max-Age={}", WAIT.as_secs()));
    let head = [(SET_COOKIE, cookie), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((head, Redirect::to(url.as_str())).into_response())
}

/// `GET /__login__/callback`
pub async fn callback(State(app): State<App>, visit: Visit, headers: HeaderMap, query: Asked) -> Response {
    match come_back(&app, &visit, &headers, &query).await {
        Ok(response) => response,
        Err(error) => refused(&visit, &error).await,
    }
}

async fn come_back(app: &App, visit: &Visit, headers: &HeaderMap, query: &Asked) -> Result<Response, Error> {
    let provider = provider(visit)?;
    let attempt = Attempt::of(app, headers).filter(|attempt| same(asked(query, "state"), &attempt.state));
    let attempt = attempt.ok_or_else(|| {
        Error::BadRequest("sign-in was not begun in this browser, or has taken too long; sign in again".to_owned())
    })?;
    let code = asked(query, "code");
    if code.is_empty() {
        return Err(Error::Forbidden("the identity provider has refused".to_owned()));
    }
    let person = person(app, visit, provider, code, &attempt).await.map_err(|why| {
        tracing::warn!(why, "somebody could not sign in");
        Error::Forbidden(why)
    })?;
    let end = app.world().clock().now() + app.0.config.identity.session;
    let Person { username, description, grants, .. } = person;
    let start = if grants.scopes.iter().any(|scope| scope == "global:admin") { "admin/repos" } else { "home" };
    let new = New { grants, username, description, expires_at: Some(end.timestamp_micros()) };
    let made = tokens::issue(app, app.begin().await?, visit.origin.clone(), new).await?;
    let token = made["token"].as_str().ok_or_else(|| Error::Internal("a token without its text".to_owned()))?;
    let next = if attempt.next.is_empty() { start.to_owned() } else { attempt.next };
    let next = session::next(visit, &HashMap::from([("next".to_owned(), next)]));
    // A browser that comes from another site would not send the new cookie along a redirect, but does so from a page of this one.
    let page = visit.page(StatusCode::OK, "signed_in.html", context! { here => "sign-in", next }).await;
    let (mut parts, body) = page.into_parts();
    for cookie in [session::cookie(visit, token, ""), cookie(visit, "", "; Max-Age=0")] {
        let value = cookie.parse().map_err(|_| Error::Internal("a cookie that is none".to_owned()))?;
        parts.headers.append(SET_COOKIE, value);
    }
    Ok(Response::from_parts(parts, body))
}

/// Whom a code of the provider stands for.
async fn person(
    app: &App,
    visit: &Visit,
    provider: &Provider,
    code: &str,
    attempt: &Attempt,
) -> Result<Person, String> {
    let callback = visit.origin.url(CALLBACK);
    let mut form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &callback),
        ("client_id", &provider.client_id),
        ("client_secret", &provider.client_secret),
    ];
    if !provider.no_pkce {
        form.push(("code_verifier", &attempt.verifier));
    }
    let token = app.0.issuers.redeem(&provider.trust.issuer, &form).await?;
    let claims = app.0.issuers.verify(&provider.trust.issuer, &token).await?;
    of_sign_in(&claims, &provider.client_id, &attempt.nonce)?;
    if let Some(age) = provider.max_age {
        let at = claims.get("auth_time").and_then(Value::as_i64).ok_or("its `auth_time` is missing")?;
        let oldest = app.world().clock().now() - age - Duration::from_secs(LEEWAY);
        if at < oldest.timestamp() {
            return Err("the identity provider was signed in to too long ago".to_owned());
        }
    }
    app.person(&provider.trust, &claims)
}
