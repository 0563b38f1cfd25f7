//! A token for a device that cannot ask for one itself: the device flow (RFC 8628 with PKCE), then a token exchange (RFC 8693).
//!
//! | request | from whom | answer |
//! |---|---|---|
//! | `POST /__api__/device` | the device | a code for it, and one for people |
//! | `/client/view/device` | somebody who has signed in | approves or denies |
//! | `POST /__api__/device_access` | the device, again and again | an id token, once |
//! | `POST /__api__/token` | the device | an access token, once for each id token |
//!
//! Paths, fields and errors are those of the vendor's keyring client. In the real product devices are for people of an identity
//! provider; here whoever has signed in to the web interface approves them, and what the device gets allows no more than the token of
//! that one and ends with it. The last step is also for programs that have an identity token of another server already
//! ([`crate::identity`]), as often as they want. Refusals have the members of OAuth (`error`, `error_description`) and of this API
//! (`code`, `error`). Times go by the World's clock.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Form, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::TimeDelta;
use http::StatusCode;
use http::header::CACHE_CONTROL;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sim_kit::identity::claimed_issuer;
use sim_kit::origin::Origin;

use super::tokens::{self, New};
use crate::app::App;
use crate::auth::same;
use crate::change::Change;
use crate::error::{ApiError, Error};
use crate::identity::Person;
use crate::store::devices::{self, Device};

/// Seconds that a device waits between two questions, and what is added when it does not.
const INTERVAL: i64 = 5;
/// Seconds that people have.
const LIFETIME: i64 = 900;
/// Seconds that an id token is good for.
const MOMENT: i64 = 300;
/// Hours that an access token is good for.
const SHIFT: i64 = 8;
/// Devices that wait at the same time at most.
const MOST: i64 = 200;
/// Characters of codes for people: none that look alike, no vowels that make words.
const LETTERS: &[u8] = b"BCDFGHJKLMNPQRSTVWXZ";

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Not that of access tokens, which an id token is none of.
const AUDIENCE: &str = "packagemanager-id";

type Fields = Form<HashMap<String, String>>;

/// A refusal in the words of OAuth.
struct Refusal(&'static str, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self(error, why) = self;
        let status = StatusCode::BAD_REQUEST;
        let body = json!({ "code": status.as_u16(), "error": error, "error_description": why });
        (status, [(CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }
}

fn refused<T>(error: &'static str, why: impl Into<String>) -> Result<Result<T, Refusal>, Error> {
    Ok(Err(Refusal(error, why.into())))
}

fn told(answer: Result<Result<serde_json::Value, Refusal>, Error>) -> Response {
    match answer {
        Ok(Ok(body)) => ([(CACHE_CONTROL, "no-store")], Json(body)).into_response(),
        Ok(Err(refusal)) => refusal.into_response(),
        Err(error) => ApiError(error).into_response(),
    }
}

fn field<'a>(form: &'a Fields, name: &str) -> &'a str {
    form.get(name).map_or("", String::as_str)
}

/// What is kept of a code in place of it.
fn digest(code: &str) -> String {
    hex::encode(Sha256::digest(code.as_bytes()))
}

/// A code as it is kept, from what somebody typed.
pub(crate) fn user_code(typed: &str) -> Option<String> {
    let plain = typed.chars().filter(|c| *c != '-' && !c.is_whitespace()).map(|c| c.to_ascii_uppercase());
    let plain: String = plain.take(LETTERS.len()).collect();
    let good = plain.len() == 8 && plain.bytes().all(|b| LETTERS.contains(&b));
    good.then(|| format!("{}-{}", &plain[..4], &plain[4..]))
}

/// `POST /__api__/device`
pub async fn ask(State(app): State<App>, origin: Origin, form: Fields) -> Response {
    told(begin(&app, &app.origin(origin), &form).await)
}

async fn begin(app: &App, origin: &Origin, form: &Fields) -> Result<Result<serde_json::Value, Refusal>, Error> {
    let challenge = field(form, "code_challenge");
    if field(form, "code_challenge_method") != "S256" {
        return refused("invalid_request", "code_challenge_method must be S256");
    }
    if !URL_SAFE_NO_PAD.decode(challenge).is_ok_and(|digest| digest.len() == 32) {
        return refused("invalid_request", "code_challenge must be a SHA-256 digest in base64url without padding");
    }
    let now = app.world().clock().now_micros();
    let code = app.world().ids().secret(32);
    let letters: String = app
        .world()
        .ids()
        .secret_bytes()
        .iter()
        .take(8)
        .map(|b| char::from(LETTERS[usize::from(*b) % LETTERS.len()]))
        .collect();
    let device = Device {
        id: digest(&code),
        user_code: format!("{}-{}", &letters[..4], &letters[4..]),
        challenge: challenge.to_owned(),
        state: "pending".to_owned(),
        approver: None,
        created_at: now,
        expires_at: now + LIFETIME * 1_000_000,
        polled_at: now - INTERVAL * 1_000_000,
        interval_seconds: INTERVAL,
    };
    let mut tx = app.world().db().write().await?;
    let waiting = devices::insert(&mut tx, &device, now - 10 * LIFETIME * 1_000_000).await?;
    if waiting >= MOST {
        return refused("slow_down", format!("{waiting} devices are waiting already; try again later"));
    }
    tx.commit().await?;
    let page = origin.url("/client/view/device");
    Ok(Ok(json!({
        "device_code": code,
        "user_code": device.user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={}", device.user_code),
        "interval": INTERVAL,
        "expires_in": LIFETIME,
    })))
}

/// What an id token says.
#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    iss: String,
    iat: i64,
    exp: i64,
    /// Whom the approver's token names.
    sub: String,
    /// The device.
    jti: String,
}

/// `POST /__api__/device_access`
pub async fn poll(State(app): State<App>, origin: Origin, form: Fields) -> Response {
    told(access(&app, &app.origin(origin), &form).await)
}

async fn access(app: &App, origin: &Origin, form: &Fields) -> Result<Result<serde_json::Value, Refusal>, Error> {
    let now = app.world().clock().now_micros();
    let id = digest(field(form, "device_code"));
    let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(field(form, "code_verifier").as_bytes()));
    let mut tx = app.world().db().write().await?;
    let found = devices::get(&mut tx, &id).await?.filter(|device| same(&device.challenge, &verifier));
    let Some(device) = found else {
        return refused("invalid_grant", "there is no such device_code, or the code_verifier is not its own");
    };
    let too_soon = device.state == "pending" && now < device.polled_at + device.interval_seconds * 1_000_000;
    let interval = device.interval_seconds + if too_soon { INTERVAL } else { 0 };
    devices::polled(&mut tx, &id, now, interval).await?;
    let is_late = now >= device.expires_at;
    if device.state == "approved" && !is_late && devices::advance(&mut tx, &id, "approved", "given").await? {
        let view = app.view();
        let approver = device.approver.as_deref().and_then(|id| view.tokens.get(id));
        let Some(approver) = approver else {
            return refused("access_denied", "the token of who approved was revoked");
        };
        let at = now / 1_000_000;
        let claims = Claims {
            aud: AUDIENCE.to_owned(),
            iss: format!("{}/", origin.base().trim_end_matches('/')),
            iat: at,
            exp: at + MOMENT,
            sub: approver.token.username.clone(),
            jti: id,
        };
        let key = EncodingKey::from_secret(view.token_key.as_bytes());
        let text = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
            .map_err(|error| Error::Internal(format!("cannot sign an id token: {error}")))?;
        tx.commit().await?;
        return Ok(Ok(json!({ "id_token": text })));
    }
    tx.commit().await?;
    match device.state.as_str() {
        "given" | "spent" => refused("invalid_grant", "this device_code was used"),
        "denied" => refused("access_denied", "somebody has denied it"),
        _ if is_late => refused("expired_token", "nobody has approved in time; ask for another code"),
        _ if too_soon => refused("slow_down", format!("wait {interval} seconds between two questions")),
        _ => refused("authorization_pending", "nobody has approved yet"),
    }
}

/// `POST /__api__/token`
pub async fn exchange(State(app): State<App>, origin: Origin, form: Fields) -> Response {
    told(token(&app, origin, &form).await)
}

async fn token(app: &App, origin: Origin, form: &Fields) -> Result<Result<serde_json::Value, Refusal>, Error> {
    if field(form, "grant_type") != EXCHANGE {
        return refused("unsupported_grant_type", format!("grant_type must be {EXCHANGE}"));
    }
    if field(form, "subject_token_type") != ID_TOKEN {
        return refused("invalid_request", format!("subject_token_type must be {ID_TOKEN}"));
    }
    let subject = field(form, "subject_token");
    if let Some(issuer) = claimed_issuer(subject).filter(|issuer| app.trusts(issuer)) {
        return federated(app, origin, &issuer, subject).await;
    }
    let view = app.view();
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[AUDIENCE]);
    // What counts is the World's clock.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(view.token_key.as_bytes());
    let now = app.world().clock().now();
    let claims = match jsonwebtoken::decode::<Claims>(subject, &key, &validation) {
        Ok(decoded) if decoded.claims.exp > now.timestamp() => decoded.claims,
        Ok(_) => return refused("invalid_grant", "the subject_token has expired"),
        Err(_) => {
            let why = "the subject_token is not an id token of this server, nor of an issuer that it trusts";
            return refused("invalid_grant", why);
        }
    };
    let mut change = app.begin().await?;
    let device = devices::get(&mut change.tx, &claims.jti).await?;
    if !devices::advance(&mut change.tx, &claims.jti, "given", "spent").await? {
        return refused("invalid_grant", "the subject_token was exchanged before");
    }
    let approver = device.and_then(|device| view.tokens.get(&device.approver?).cloned());
    let Some(approver) = approver.filter(|known| known.token.expires_at.is_none_or(|at| at > now.timestamp_micros()))
    else {
        return refused("invalid_grant", "the token of who approved was revoked or has expired");
    };
    let shift = (now + TimeDelta::hours(SHIFT)).timestamp_micros();
    let expires_at = approver.token.expires_at.map_or(shift, |end| end.min(shift));
    let new = New {
        grants: approver.grants,
        username: approver.token.username,
        description: "For a device".to_owned(),
        expires_at: Some(expires_at),
    };
    issued(app, change, origin, new).await
}

/// An identity token of another server becomes a token of this one.
async fn federated(
    app: &App,
    origin: Origin,
    issuer: &str,
    subject: &str,
) -> Result<Result<serde_json::Value, Refusal>, Error> {
    let person = match app.exchanged(issuer, subject).await {
        Ok(person) => person,
        Err(why) => return refused("invalid_grant", format!("the subject_token is not good: {why}")),
    };
    let end = app.world().clock().now() + person.lifetime;
    let Person { username, description, grants, .. } = person;
    let new = New { grants, username, description, expires_at: Some(end.timestamp_micros()) };
    issued(app, app.begin().await?, origin, new).await
}

async fn issued(
    app: &App,
    change: Change,
    origin: Origin,
    new: New,
) -> Result<Result<serde_json::Value, Refusal>, Error> {
    let left = new.expires_at.unwrap_or_default() - app.world().clock().now_micros();
    let made = tokens::issue(app, change, origin, new).await?;
    Ok(Ok(json!({
        "access_token": made["token"],
        "issued_token_type": ACCESS_TOKEN,
        "token_type": "Bearer",
        "expires_in": left / 1_000_000,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_as_people_type_them() {
        assert_eq!(user_code("bcdf-ghjk").as_deref(), Some("BCDF-GHJK"));
        assert_eq!(user_code(" BCDFGHJK ").as_deref(), Some("BCDF-GHJK"));
        for bad in ["", "BCDF-GHJ", "BCDF-GHJKL", "ABCD-EFGH", "BCDF-GHJé", "BCDF_GHJK"] {
            assert_eq!(user_code(bad), None, "{bad}");
        }
    }
}
