//! The token endpoint: what a client has for what it may use.
//!
//! A code that comes twice, and a refresh token that was exchanged before, end everything that came of them: one of the
//! two who had it must have stolen it.

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sim_kit::Tx;

use super::{after, client_of, form, needed, private};
use crate::app::App;
use crate::audit;
use crate::auth::digest;
use crate::error::{Error, Result};
use crate::identity::federation;
use crate::input::{Query, Raw};
use crate::store;
use crate::store::oauth_server::{DeviceState, Grant, Kind};

/// The grant of a device.
pub const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// The grant of a machine with a token of another issuer.
pub const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

fn invalid_grant(text: &str) -> Error {
    Error::oauth("invalid_grant", text)
}

/// `POST /oauth/v1/token`, form-encoded.
///
/// # Errors
/// 400 and 401 in the shape of RFC 6749.
pub async fn token(State(app): State<App>, Raw(body): Raw) -> Result<Response> {
    let form = form(&body)?;
    match needed(&form, "grant_type")? {
        "authorization_code" => code(&app, &form).await,
        "refresh_token" => refresh(&app, &form).await,
        DEVICE => device(&app, &form).await,
        EXCHANGE => federation::token(&app, &form).await,
        _ => Err(Error::oauth("unsupported_grant_type", "`grant_type` is none that this server offers.")),
    }
}

/// Tokens for a grant.
async fn issue(app: &App, mut tx: Tx, grant: &Grant) -> Result<Response> {
    let (now, lifetimes) = (app.now(), &app.config().oauth_lifetimes);
    let (access, refresh) = (app.world().ids().secret(32), app.world().ids().secret(32));
    for (token, kind, lifetime) in
        [(&access, Kind::Access, lifetimes.access), (&refresh, Kind::Refresh, lifetimes.refresh)]
    {
        let sha256 = digest(token);
        store::oauth_server::insert_token(&mut tx, &sha256, kind, grant, now, after(now, lifetime)).await?;
    }
    tx.commit().await?;
    let answer = json!({
        "access_token": access, "token_type": "Bearer", "expires_in": lifetimes.access.as_secs(),
        "refresh_token": refresh, "scope": grant.scope,
    });
    Ok(private(StatusCode::OK, &answer))
}

/// Fails unless the user is there and not locked.
async fn check_user(tx: &mut Tx, guid: &str) -> Result<()> {
    let user = store::users::by_guid(tx, guid).await?.filter(|user| !user.locked);
    user.map(|_| ()).ok_or_else(|| invalid_grant("The user's account is gone or locked."))
}

/// Whether `verifier` is what `challenge` was made of.
fn verifies(verifier: &str, challenge: &str) -> bool {
    (43..=128).contains(&verifier.len()) && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())) == challenge
}

async fn code(app: &App, form: &Query) -> Result<Response> {
    let mut tx = app.write().await?;
    let client = client_of(&mut tx, form).await?;
    let found = store::oauth_server::code(&mut tx, &digest(needed(form, "code")?)).await?;
    let code = found.filter(|code| code.client_id == client.client_id);
    let code = code.ok_or_else(|| invalid_grant("`code` is none that was given to this client."))?;
    if let Some(grant) = &code.grant_id {
        store::oauth_server::revoke_grant(&mut tx, grant).await?;
        tx.commit().await?;
        audit::event(app, None, "revoke_oauth_grant", "a code was used twice");
        return Err(invalid_grant("`code` was used before; what came of it has been revoked. Authorize again."));
    }
    let same_place = form.text("redirect_uri").is_none_or(|uri| uri == code.redirect_uri);
    let verified = form.text("code_verifier").is_some_and(|verifier| verifies(verifier, &code.challenge));
    if code.expires <= app.now() || !same_place || !verified {
        // Whoever holds it gets one try.
        store::oauth_server::delete_code(&mut tx, &code.sha256).await?;
        tx.commit().await?;
        let why = match (verified, same_place) {
            (false, _) => "`code_verifier` is not what the challenge was made of.",
            (true, false) => "`redirect_uri` is not where the code was sent.",
            (true, true) => "`code` has expired; authorize again.",
        };
        return Err(invalid_grant(why));
    }
    check_user(&mut tx, &code.user_guid).await?;
    let grant = Grant {
        id: app.world().ids().uuid("oauth-grant").to_string(),
        client_id: code.client_id,
        user_guid: code.user_guid,
        scope: code.scope,
    };
    if !store::oauth_server::redeem_code(&mut tx, &code.sha256, &grant.id).await? {
        return Err(invalid_grant("`code` was used before."));
    }
    store::oauth_server::insert_grant(&mut tx, &grant, app.now()).await?;
    issue(app, tx, &grant).await
}

async fn refresh(app: &App, form: &Query) -> Result<Response> {
    let mut tx = app.write().await?;
    let client = client_of(&mut tx, form).await?;
    let sha256 = digest(needed(form, "refresh_token")?);
    let found = store::oauth_server::token(&mut tx, &sha256).await?;
    let token = found.filter(|token| token.kind == Kind::Refresh && token.grant.client_id == client.client_id);
    let token = token.ok_or_else(|| invalid_grant("`refresh_token` is none of this client's."))?;
    if token.expires <= app.now() {
        return Err(invalid_grant("`refresh_token` has expired; sign in again."));
    }
    if !store::oauth_server::use_token(&mut tx, &sha256).await? {
        store::oauth_server::revoke_grant(&mut tx, &token.grant.id).await?;
        tx.commit().await?;
        audit::event(app, None, "revoke_oauth_grant", "a refresh token was used twice");
        return Err(invalid_grant("`refresh_token` was used before; sign in again."));
    }
    check_user(&mut tx, &token.grant.user_guid).await?;
    issue(app, tx, &token.grant).await
}

async fn device(app: &App, form: &Query) -> Result<Response> {
    let mut tx = app.write().await?;
    let client = client_of(&mut tx, form).await?;
    let found = store::oauth_server::device_by_code(&mut tx, &digest(needed(form, "device_code")?)).await?;
    let device = found.filter(|device| device.client_id == client.client_id);
    let device = device.ok_or_else(|| invalid_grant("`device_code` is none that was given to this client."))?;
    let now = app.now();
    if device.expires <= now {
        return Err(Error::oauth("expired_token", "`device_code` has expired; start again."));
    }
    let user_guid = match (device.state, device.user_guid) {
        (DeviceState::Waiting, _) => {
            let hasty = device.polled.is_some_and(|polled| (polled..polled + device.pause).contains(&now));
            let pause = if hasty { device.pause + 5_000_000 } else { device.pause };
            store::oauth_server::polled(&mut tx, &device.sha256, now, pause).await?;
            tx.commit().await?;
            return Err(match hasty {
                true => Error::oauth("slow_down", format!("Ask every {} seconds at most.", pause / 1_000_000)),
                false => Error::oauth("authorization_pending", "The user has not answered."),
            });
        }
        (DeviceState::Approved, Some(user_guid)) => user_guid,
        (DeviceState::Used, _) => return Err(invalid_grant("`device_code` was used before; start again.")),
        _ => return Err(Error::oauth("access_denied", "The user refused.")),
    };
    check_user(&mut tx, &user_guid).await?;
    let (from, to) = (DeviceState::Approved, DeviceState::Used);
    if !store::oauth_server::set_device(&mut tx, &device.sha256, from, to, Some(&user_guid)).await? {
        return Err(invalid_grant("`device_code` was used before; start again."));
    }
    let id = app.world().ids().uuid("oauth-grant").to_string();
    let grant = Grant { id, client_id: device.client_id, user_guid, scope: device.scope };
    store::oauth_server::insert_grant(&mut tx, &grant, now).await?;
    issue(app, tx, &grant).await
}

/// `POST /oauth/v1/revoke`: ends an access token, or by a refresh token everything that was granted with it. A token that
/// is unknown has ended already.
///
/// # Errors
/// 400 for a bad form, 401 for an unknown client.
pub async fn revoke(State(app): State<App>, Raw(body): Raw) -> Result<Response> {
    let form = form(&body)?;
    let mut tx = app.write().await?;
    let client = client_of(&mut tx, &form).await?;
    let sha256 = digest(needed(&form, "token")?);
    let found = store::oauth_server::token(&mut tx, &sha256).await?;
    if let Some(token) = found.filter(|token| token.grant.client_id == client.client_id) {
        match token.kind {
            Kind::Access => store::oauth_server::delete_token(&mut tx, &sha256).await?,
            Kind::Refresh => store::oauth_server::revoke_grant(&mut tx, &token.grant.id).await?,
        }
        tx.commit().await?;
        audit::event(&app, None, "revoke_oauth_grant", &client.client_id);
    }
    Ok(StatusCode::OK.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verifier_matches_its_challenge() {
        // From RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert!(verifies(verifier, "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        assert!(!verifies(verifier, verifier), "the plain method is none");
        assert!(!verifies("short", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
    }
}
