//! Identity federation: an identity token of an issuer that the server trusts becomes an API key for an hour.
//!
//! It stands for a *service principal*, a machine that was made a trusted publisher of an item, or for a *user*, by a
//! federation integration. Two ways lead here:
//!
//! | route | client |
//! | --- | --- |
//! | `POST /oauth/v1/token`, for an access token | rsconnect-python |
//! | `POST /v1/oauth/integrations/credentials`, for an API key | rsconnect for R inside Workbench |
//!
//! How the product words its refusals is known as far as clients look into them.

use std::collections::BTreeMap;

use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::{Claims, claimed_issuer, is_for};
use crate::access::Role;
use crate::app::App;
use crate::audit;
use crate::error::{Code, Error, Result};
use crate::input::Query;
use crate::store;
use crate::store::oauth::Integration;
use crate::store::users::User;

/// What a token is of.
pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
/// What one client asks for.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What the other one asks for.
const API_KEY: &str = "urn:posit:connect:api-key";
/// Seconds that a key holds.
const LIFETIME: i64 = 3600;

/// Why a token stands for nobody.
enum Refusal {
    Untrusted,
    Unverified(String),
    NoAccess,
    Ambiguous,
}

/// The integrations that map tokens to users.
async fn integrations(db: &mut AnyConnection) -> Result<Vec<Integration>> {
    let all = store::oauth::all(db).await?;
    Ok(all.into_iter().filter(|one| one.template.ends_with("-federation")).collect())
}

fn text<'a>(integration: &'a Integration, key: &str) -> Option<&'a str> {
    integration.config.get(key).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The issuers that may be asked for their keys: by the settings, or by an integration.
///
/// # Errors
/// When the database fails.
pub async fn trusted(app: &App, db: &mut AnyConnection, issuer: &str) -> Result<bool> {
    let named = |known: &String| known == issuer;
    if app.config().trusted_issuers.iter().any(named) {
        return Ok(true);
    }
    Ok(integrations(db).await?.iter().any(|one| text(one, "issuer") == Some(issuer)))
}

/// A claim as a text.
fn claim(claims: &Claims, name: &str) -> Option<String> {
    match claims.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

/// The user that an integration takes a token's for.
async fn mapped(db: &mut AnyConnection, integration: &Integration, claims: &Claims) -> Result<Option<User>> {
    let name = text(integration, "match_claim").unwrap_or("sub");
    let Some(value) = claim(claims, name).filter(|value| !value.is_empty() && !value.contains('\0')) else {
        return Ok(None);
    };
    Ok(match name {
        "preferred_username" | "username" | "upn" => store::users::by_username(db, &value).await?,
        "email" => store::users::by_email(db, &value).await?,
        _ => store::users::by_external_id(db, &value).await?,
    })
}

/// Whom a token stands for.
async fn principal(app: &App, token: &str) -> Result<std::result::Result<User, Refusal>> {
    let Some(issuer) = claimed_issuer(token) else {
        return Ok(Err(Refusal::Unverified("it is no JWT with an issuer".to_owned())));
    };
    if !trusted(app, &mut *app.read().await?, &issuer).await? {
        return Ok(Err(Refusal::Untrusted));
    }
    // No connection is held while the issuer is asked.
    let claims = match app.issuers().verify(&issuer, token).await {
        Ok(claims) => claims,
        Err(why) => return Ok(Err(Refusal::Unverified(why))),
    };
    let mut db = app.read().await?;
    let mut found = BTreeMap::new();
    for binding in store::trusted_publishers::of_issuer(&mut db, &issuer).await? {
        let all = binding.claims.iter().all(|(name, value)| claim(&claims, name).as_ref() == Some(value));
        if all && is_for(&claims, &binding.audience) {
            let user = store::users::principal(&mut db, &binding.user_guid).await?;
            found.extend(user.map(|user| (user.guid.clone(), user)));
        }
    }
    for one in integrations(&mut db).await? {
        let own = text(&one, "issuer") == Some(&issuer);
        if own && text(&one, "client_id").is_some_and(|audience| is_for(&claims, audience)) {
            let user = mapped(&mut db, &one, &claims).await?;
            found.extend(user.map(|user| (user.guid.clone(), user)));
        }
    }
    found.retain(|_, user| !user.locked);
    let mut users = found.into_values();
    Ok(match (users.next(), users.next()) {
        (Some(user), None) => Ok(user),
        (None, _) => Err(Refusal::NoAccess),
        (Some(_), Some(_)) => Err(Refusal::Ambiguous),
    })
}

/// A key of `user`.
async fn key(app: &App, user: &User) -> Result<String> {
    let now = app.now();
    let mut tx = app.write().await?;
    store::keys::delete_expired(&mut tx, &user.guid, "federated-", now).await?;
    let name = format!("federated-{}", app.world().ids().token("federated-key", 12));
    let role = if user.service { Role::Viewer } else { user.role };
    let expires = Some(now + LIFETIME * 1_000_000);
    let (_, secret) = crate::keys::make(app, &mut tx, user, &name, role, expires).await?;
    tx.commit().await?;
    audit::event(app, Some(user), "exchange_identity_token", "");
    Ok(secret)
}

/// The token endpoint's exchange.
///
/// # Errors
/// 400 in the shape of RFC 6749. The texts hold the words that clients tell the cases apart by.
pub async fn token(app: &App, form: &Query) -> Result<Response> {
    if form.text("subject_token_type") != Some(ID_TOKEN) {
        return Err(Error::oauth("invalid_request", format!("`subject_token_type` must be {ID_TOKEN}.")));
    }
    if form.text("requested_token_type").is_some_and(|kind| kind != ACCESS_TOKEN) {
        return Err(Error::oauth("invalid_request", format!("`requested_token_type` must be {ACCESS_TOKEN}.")));
    }
    let token = form.text("subject_token");
    let token = token.ok_or_else(|| Error::oauth("invalid_request", "`subject_token` is missing."))?;
    let user = principal(app, token).await?.map_err(|refusal| {
        let text = match refusal {
            Refusal::Untrusted => "The subject token could not be verified: its issuer is not trusted.".to_owned(),
            Refusal::Unverified(why) => format!("The subject token could not be verified: {why}."),
            Refusal::NoAccess => "The subject token grants no access.".to_owned(),
            Refusal::Ambiguous => "The subject token is ambiguous: it matches several principals.".to_owned(),
        };
        Error::oauth("invalid_grant", text)
    })?;
    let answer = json!({
        "access_token": key(app, &user).await?, "issued_token_type": ACCESS_TOKEN, "token_type": "Key",
        "expires_in": LIFETIME,
    });
    Ok(crate::oauth_server::private(StatusCode::OK, &answer))
}

/// The exchange at the credentials endpoint.
///
/// # Errors
/// 400 and 403 with a code.
pub async fn credentials(app: &App, form: &Query) -> Result<Value> {
    if form.text("requested_token_type").is_some_and(|kind| kind != API_KEY) {
        let text = format!("`requested_token_type` must be {API_KEY}.");
        return Err(Error::bad(Code::OAuthCredentialRequestedTokenType, text));
    }
    let token = form.text("subject_token");
    let token = token.ok_or_else(|| Error::bad(Code::OAuthMissingIdToken, "`subject_token` is missing."))?;
    let user = principal(app, token).await?.map_err(|refusal| match refusal {
        Refusal::Untrusted => {
            Error::bad(Code::OAuthCredentialIssClaim, "The issuer of `subject_token` is not trusted.")
        }
        Refusal::Unverified(why) => {
            let text = format!("`subject_token` could not be verified: {why}.");
            Error::bad(Code::OAuthCredentialIdTokenVerification, text)
        }
        Refusal::NoAccess => {
            Error::forbidden_because(Code::OAuthCredentialSubClaim, "`subject_token` grants no access.")
        }
        Refusal::Ambiguous => {
            let text = "`subject_token` is ambiguous: it matches several principals.";
            Error::forbidden_because(Code::OAuthCredentialSubClaim, text)
        }
    })?;
    Ok(json!({
        "access_token": key(app, &user).await?, "issued_token_type": API_KEY, "token_type": "Key",
        "expires_in": LIFETIME,
    }))
}
