//! Exchanging session tokens for credentials: what code that runs as content does.
//!
//! The product hands content a token for each visitor (a request header) and one for itself (its environment). The
//! simulated runtime runs no code; its stand-in for an API shows the tokens that the code would have had: the visitor's
//! to the visitor, the content's to its owner. Whoever may change the content exchanges them.
//!
//! | integration | subject token | credential |
//! | --- | --- | --- |
//! | `connect` | the visitor's | an API key of the visitor, for an hour |
//! | Viewer | the visitor's | the token of the visitor's session with the integration, renewed if it has run out |
//! | Service Account | the content's | a token that says that it is simulated |
//!
//! Integrations of the template `aws` give keys that say the same, in place of a token.

use axum::Json;
use axum::extract::State;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::AnyConnection;

use super::{auth_type, find, sessions};
use crate::access::{Role, editable};
use crate::app::App;
use crate::auth::{Caller, Principal};
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::identity::federation::{self, ID_TOKEN};
use crate::input::{Query, Raw};
use crate::license::{self, Feature};
use crate::store;
use crate::store::oauth::Integration;
use crate::users::time;

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const API_KEY: &str = "urn:posit:connect:api-key";
const AWS: &str = "urn:ietf:params:aws:token-type:credentials";
const USER: &str = "urn:posit:connect:user-session-token";
const CONTENT: &str = "urn:posit:connect:content-session-token";

/// Where the key that session tokens are signed with is kept.
const SECRET: &str = "session-token-secret";
/// Seconds that tokens and keys hold.
pub(super) const LIFETIME: i64 = 3600;

#[derive(Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    /// The user; empty for the content's own.
    sub: String,
    content: String,
    exp: i64,
}

/// Makes the key that session tokens are signed with, unless there is one.
///
/// # Errors
/// When the database fails.
pub async fn prepare(app: &App) -> Result<()> {
    let mut tx = app.write().await?;
    if store::meta(&mut tx, SECRET).await?.is_none() {
        store::set_meta(&mut tx, SECRET, &app.world().ids().secret(64)).await?;
        tx.commit().await?;
    }
    Ok(())
}

pub(crate) async fn secret(db: &mut AnyConnection) -> Result<String> {
    store::meta(db, SECRET).await?.ok_or_else(|| Error::Internal("the key of session tokens is gone".to_owned()))
}

/// The token that content has for a visitor, or for itself.
///
/// # Errors
/// When the database fails.
pub async fn token(app: &App, db: &mut AnyConnection, content_guid: &str, user_guid: Option<&str>) -> Result<String> {
    let claims = Claims {
        iss: "connect".to_owned(),
        aud: user_guid.map_or(CONTENT, |_| USER).to_owned(),
        sub: user_guid.unwrap_or_default().to_owned(),
        content: content_guid.to_owned(),
        exp: app.now() / 1_000_000 + LIFETIME,
    };
    let key = EncodingKey::from_secret(secret(db).await?.as_bytes());
    jsonwebtoken::encode(&Header::default(), &claims, &key).map_err(|error| Error::Internal(error.to_string()))
}

/// The claims of a token of `kind`.
async fn read(app: &App, db: &mut AnyConnection, kind: &str, token: &str) -> Result<Claims> {
    let code = if kind == USER { Code::OAuthCredentialSubjectToken } else { Code::OAuthInvalidContentSessionToken };
    let bad = |why: String| Error::bad(code, format!("`subject_token` is not valid: {why}."));
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_audience(&[kind]);
    validation.set_issuer(&["connect"]);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    // Compared with the World's clock below.
    validation.validate_exp = false;
    let key = DecodingKey::from_secret(secret(db).await?.as_bytes());
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation);
    let claims = claims.map_err(|error| bad(error.to_string()))?.claims;
    if claims.exp <= app.now() / 1_000_000 {
        return Err(bad("it has expired".to_owned()));
    }
    Ok(claims)
}

/// The integration that is meant: the one of `audience`, or the only one.
async fn meant(app: &App, db: &mut AnyConnection, content_guid: &str, asked: &Query) -> Result<Integration> {
    let all = store::oauth::associations(db, Some(content_guid), None).await?;
    if all.is_empty() {
        let text = "The content is associated with no OAuth integration.";
        return Err(Error::bad(Code::OAuthCredentialNoAssociations, text));
    }
    let audience = asked.text("audience").filter(|_| app.config().version.with(Difference::CredentialAudience));
    let guid = match (audience, &all[..]) {
        (Some(guid), all) => all.iter().map(|one| &one.1).find(|known| *known == guid).ok_or_else(|| {
            let text = "`audience` is no integration that the content is associated with.";
            Error::bad(Code::OAuthCredentialsInvalidAudience, text)
        })?,
        (None, [one]) => &one.1,
        (None, _) => {
            let text = "The content is associated with several integrations; say which by `audience`.";
            return Err(Error::bad(Code::OAuthCredentialsInvalidAssociationCount, text));
        }
    };
    find(db, guid).await
}

/// `POST /v1/oauth/integrations/credentials`, form-encoded.
///
/// # Errors
/// 400 for a bad form or token, 401 when the visitor has no session with the integration or one that cannot be renewed, 403 for content that the
/// caller may not change.
pub async fn exchange(
    State(app): State<App>,
    caller: Caller,
    principal: Result<Principal>,
    Raw(body): Raw,
) -> Result<Json<Value>> {
    let form = std::str::from_utf8(&body);
    let form = form.map_err(|_| Error::bad(Code::FormPostParseFailure, "The body must be a form in UTF-8."))?;
    let asked = Query::parse(form);
    let federation = app.config().version.with(Difference::IdentityFederation);
    if federation && matches!(caller, Caller::Anonymous) && asked.text("subject_token_type") == Some(ID_TOKEN) {
        if asked.text("grant_type") != Some(GRANT) {
            return Err(Error::bad(Code::OAuthCredentialGrantType, format!("`grant_type` must be {GRANT}.")));
        }
        return Ok(Json(federation::credentials(&app, &asked).await?));
    }
    let principal = principal?;
    license::require(&app, Feature::OAuthIntegrations)?;
    if asked.text("grant_type") != Some(GRANT) {
        return Err(Error::bad(Code::OAuthCredentialGrantType, format!("`grant_type` must be {GRANT}.")));
    }
    let kind = asked.text("subject_token_type").unwrap_or_default();
    if kind != USER && kind != CONTENT {
        let text = format!("`subject_token_type` must be {USER} or {CONTENT}.");
        return Err(Error::bad(Code::OAuthCredentialSubjectTokenType, text));
    }
    let mut tx = app.write().await?;
    let claims = read(&app, &mut tx, kind, asked.text("subject_token").unwrap_or_default()).await?;
    editable(&mut tx, &principal, &claims.content).await?;
    let integration = meant(&app, &mut tx, &claims.content, &asked).await?;
    let auth = auth_type(&integration);
    if (auth == "Service Account") != (kind == CONTENT) {
        let text = format!("The integration is of the type {auth}, which this `subject_token_type` is not for.");
        return Err(Error::bad(Code::OAuthCredentialInvalidSubjectTokenTypeForAuthType, text));
    }
    let given = match (auth, integration.template.as_str()) {
        ("Visitor API Key", _) => API_KEY,
        (_, "aws") if app.config().version.with(Difference::AwsCredentials) => AWS,
        _ => ACCESS_TOKEN,
    };
    if asked.text("requested_token_type").is_some_and(|wanted| wanted != given) {
        let text = format!("`requested_token_type` must be {given} for this integration.");
        return Err(Error::bad(Code::OAuthCredentialRequestedTokenType, text));
    }
    let session = if kind == USER && given != API_KEY {
        Some(sessions::good(&app, &mut tx, &claims.sub, &integration.guid).await?)
    } else {
        None
    };
    let (token, token_type, left) = match given {
        API_KEY => (visitor_key(&app, &mut tx, &claims.sub, &integration).await?, "Key", LIFETIME),
        AWS => {
            let keys = json!({
                "accessKeyId": format!("simulated-{}", app.world().ids().secret(12)),
                "secretAccessKey": format!("simulated-{}", app.world().ids().secret(32)),
                "sessionToken": format!("simulated-{}", app.world().ids().secret(32)),
                "expiration": time(app.now() + LIFETIME * 1_000_000),
            });
            (STANDARD.encode(keys.to_string()), "aws_credentials", LIFETIME)
        }
        _ => {
            let own = || (format!("simulated-{}", app.world().ids().secret(32)), LIFETIME);
            let left = |session: &store::oauth::Session| (session.expires - app.now()) / 1_000_000;
            let (token, left) = session.map_or_else(own, |session| (session.access_token.clone(), left(&session)));
            (token, "Bearer", left)
        }
    };
    tx.commit().await?;
    Ok(Json(json!({
        "access_token": token, "issued_token_type": given, "token_type": token_type, "expires_in": left,
    })))
}

async fn visitor_key(app: &App, tx: &mut sim_kit::Tx, user_guid: &str, integration: &Integration) -> Result<String> {
    let user = store::users::by_guid(tx, user_guid).await?.filter(|user| !user.locked);
    let gone = || Error::bad(Code::OAuthCredentialSubjectToken, "The visitor of `subject_token` is gone or locked.");
    let user = user.ok_or_else(gone)?;
    let most = match integration.config.get("max_role").and_then(Value::as_str) {
        Some("Admin") => Role::Administrator,
        Some("Publisher") => Role::Publisher,
        _ => Role::Viewer,
    };
    let name = format!("visitor-{}", app.world().ids().token("visitor-key", 12));
    let expires = app.now() + LIFETIME * 1_000_000;
    let (_, secret) = crate::keys::make(app, tx, &user, &name, user.role.min(most), Some(expires)).await?;
    Ok(secret)
}
