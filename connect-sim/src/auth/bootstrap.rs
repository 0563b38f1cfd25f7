//! The first key of an empty server, for whoever knows the bootstrap secret.
//!
//! The request carries an HS256 token signed with the decoded secret (`iss` rsconnect-python, `aud` rsconnect, `scope`
//! bootstrap). It works once: when any user exists, the answer is 403.

use axum::Json;
use axum::extract::State;
use http::HeaderMap;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::access::Role;
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::store;
use crate::users::Draft;

#[derive(Deserialize)]
struct Claims {
    exp: i64,
    nbf: Option<i64>,
    scope: String,
}

/// Clocks may be this far apart, in seconds.
const LEEWAY: i64 = 60;

/// `POST /__api__/v1/bootstrap`, `POST /__api__/v1/experimental/bootstrap`
///
/// # Errors
/// 404 when bootstrap is off, 401 for a bad token, 403 when a user exists.
pub async fn bootstrap(State(app): State<App>, headers: HeaderMap) -> Result<Json<Value>> {
    let Some(secret) = &app.config().bootstrap_secret else {
        let text = "Bootstrap is off; start the server with CONNECT_BOOTSTRAP_ENABLED=true and a secret key.";
        return Err(Error::not_found(Code::ObjectDoesNotExist, text));
    };
    let bad = |why: &str| Error::unauthorized(Code::InvalidJwt, format!("The bootstrap token is not valid: {why}."));
    let header = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let token = header.strip_prefix("Connect-Bootstrap ").ok_or_else(|| bad("there is none"))?;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&["rsconnect"]);
    validation.set_issuer(&["rsconnect-python"]);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    // Compared with the World's clock below.
    validation.validate_exp = false;
    let claims = jsonwebtoken::decode::<Claims>(token.trim(), &DecodingKey::from_secret(secret), &validation)
        .map_err(|error| bad(&error.to_string()))?
        .claims;
    if claims.exp.saturating_add(LEEWAY) < app.now() / 1_000_000 {
        return Err(bad("it has expired"));
    }
    if claims.nbf.is_some_and(|from| from > (app.now() / 1_000_000).saturating_add(LEEWAY)) {
        return Err(bad("its time has not come"));
    }
    if claims.scope != "bootstrap" {
        return Err(bad("its scope is another"));
    }
    let mut tx = app.write().await?;
    if store::users::count(&mut tx).await? > 0 {
        let text = "Bootstrap is for a server without users; this one has some. Use an administrator's API key.";
        return Err(Error::forbidden_because(Code::ProhibitedBootstrap, text));
    }
    let draft = Draft { role: Role::Administrator, ..Draft::named("__bootstrap_admin__") };
    let user = draft.insert(&app, &mut tx).await?;
    let (_, secret) = crate::keys::make(&app, &mut tx, &user, "bootstrap", Role::Administrator, None).await?;
    tx.commit().await?;
    Ok(Json(json!({"api_key": secret})))
}
