//! The built-in identity provider, for tests: an OpenID Connect provider whose users are chosen, not asked for a password.
//!
//! | route | what |
//! |---|---|
//! | `GET /__idp__/.well-known/openid-configuration`, `GET /__idp__/jwks` | discovery, keys |
//! | `GET`, `POST /__idp__/authorize` | the page where a user is chosen |
//! | `POST /__idp__/token` | the code for an identity token |
//!
//! The real product has none. This one is here so that sign-in by OpenID Connect can be tested without another server; see
//! [`control`] for what tests say to it. It knows one client, the one of the settings, and sends users to the callback of
//! this server, of servers on the same machine, and to places of the settings.

pub mod control;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::header::LOCATION;
use http::{HeaderMap, StatusCode};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use minijinja::context;
use rsa::PrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sim_kit::origin::Origin;
use sqlx::AnyConnection;
use url::Url;

use crate::app::App;
use crate::auth::digest;
use crate::error::{Error, Result};
use crate::input::{Query, Raw};
use crate::oauth_server::is_registered;
use crate::store;
use crate::store::idp::{Code, Person};
use crate::ui;

/// Where it lives.
pub const PATH: &str = "/__idp__";
/// Where codes for this server come back to.
pub const CALLBACK: &str = "/__login__/callback";
/// Name of the key.
const KEY_ID: &str = "built-in";
/// Where the key is kept.
const KEY: &str = "idp-key";
/// Where the user is kept that is signed in without being asked.
const CHOSEN: &str = "idp-chosen";
/// Seconds that a token holds.
const LIFETIME: i64 = 3600;
/// Microseconds that a code holds.
const CODE: i64 = 60 * 1_000_000;

/// Makes the key and the first people, unless they are there.
///
/// # Errors
/// When the database fails.
pub async fn prepare(app: &App) -> Result<()> {
    if !app.config().serves_identity() || store::meta(&mut *app.read().await?, KEY).await?.is_some() {
        return Ok(());
    }
    let mut random = app.world().ids().rng("idp-key");
    let failed = |error: &dyn std::fmt::Display| Error::Internal(format!("the identity provider's key: {error}"));
    let made = tokio::task::spawn_blocking(move || PrivateKey::new(&mut random, 2048)).await;
    let key = made.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
    let pem = key.to_pkcs8_pem(LineEnding::LF).map_err(|error| failed(&error))?;
    let mut tx = app.write().await?;
    for seed in sim_kit::seed::users(app.world().ids().seed()) {
        let person = Person {
            sub: format!("built-in|{}", seed.username),
            username: seed.username.to_owned(),
            email: seed.email,
            first_name: seed.first_name.to_owned(),
            last_name: seed.last_name.to_owned(),
            groups: Vec::new(),
        };
        store::idp::put(&mut tx, &person).await?;
    }
    for (username, first_name, group) in [("dana", "Dana", "analysts"), ("erik", "Erik", "engineers")] {
        let person = Person {
            sub: format!("built-in|{username}"),
            username: username.to_owned(),
            email: format!("{username}@example.com"),
            first_name: first_name.to_owned(),
            last_name: "Example".to_owned(),
            groups: vec![group.to_owned()],
        };
        store::idp::put(&mut tx, &person).await?;
    }
    store::set_meta(&mut tx, KEY, &pem).await?;
    tx.commit().await?;
    Ok(())
}

/// It answers only when the settings say so.
fn served(app: &App) -> Result<()> {
    if app.config().serves_identity() { Ok(()) } else { Err(Error::NoRoute) }
}

async fn key(db: &mut AnyConnection) -> Result<EncodingKey> {
    let pem = store::meta(db, KEY).await?.ok_or(Error::NoRoute)?;
    EncodingKey::from_rsa_pem(pem.as_bytes()).map_err(|error| Error::Internal(error.to_string()))
}

/// An identity token that says `claims`.
async fn sign(db: &mut AnyConnection, claims: &Value) -> Result<String> {
    let header = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::RS256) };
    let token = jsonwebtoken::encode(&header, claims, &key(db).await?);
    token.map_err(|error| Error::Internal(error.to_string()))
}

/// Its discovery document, for who sees it at `origin`.
#[must_use]
pub fn metadata(origin: &Origin) -> Value {
    let url = |path: &str| origin.url(&format!("{PATH}{path}"));
    json!({
        "issuer": url(""), "authorization_endpoint": url("/authorize"), "token_endpoint": url("/token"),
        "jwks_uri": url("/jwks"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"], "scopes_supported": ["openid", "profile", "email"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "claims_supported": ["sub", "preferred_username", "email", "given_name", "family_name", "groups"],
    })
}

/// Its keys.
///
/// # Errors
/// When the database fails.
pub async fn keys(app: &App) -> Result<Value> {
    let key = key(&mut *app.read().await?).await?;
    let key = Jwk::from_encoding_key(&key, Algorithm::RS256).map_err(|error| Error::Internal(error.to_string()))?;
    let mut key = json!(key);
    key["kid"] = json!(KEY_ID);
    key["use"] = json!("sig");
    Ok(json!({"keys": [key]}))
}

/// `GET /__idp__/.well-known/openid-configuration`
///
/// # Errors
/// The plain 404 when it is off.
pub async fn discovery(State(app): State<App>, origin: Origin) -> Result<Json<Value>> {
    served(&app)?;
    Ok(Json(metadata(&app.origin(origin))))
}

/// `GET /__idp__/jwks`
///
/// # Errors
/// The plain 404 when it is off.
pub async fn jwks(State(app): State<App>) -> Result<Json<Value>> {
    served(&app)?;
    Ok(Json(keys(&app).await?))
}

/// Where a request may send the user, if it may at all.
fn place(app: &App, origin: &Origin, query: &Query) -> Result<Url> {
    let config = app.config();
    let bad = |text: &str| Err(Error::oauth("invalid_request", text));
    if query.text("client_id") != Some(&config.oidc_client().0) {
        return bad("`client_id` is not the client of this identity provider.");
    }
    let asked = query.text("redirect_uri").unwrap_or_default();
    let local = ["http://127.0.0.1", "http://localhost", "http://[::1]"].map(|host| format!("{host}{CALLBACK}"));
    let known = [origin.url(CALLBACK)].into_iter().chain(local).chain(config.identity_redirects.iter().cloned());
    match Url::parse(asked) {
        Ok(url) if known.into_iter().any(|known| is_registered(&known, asked)) => Ok(url),
        _ => bad("`redirect_uri` is no place that this identity provider sends users to."),
    }
}

async fn answer(app: &App, origin: &Origin, query: &Query, person: &Person) -> Result<Response> {
    let mut url = place(app, origin, query)?;
    let (code, now) = (app.world().ids().secret(32), app.now());
    let issued = Code {
        sha256: digest(&code),
        sub: person.sub.clone(),
        redirect_uri: query.text("redirect_uri").unwrap_or_default().to_owned(),
        nonce: query.text("nonce").map(str::to_owned),
        challenge: query.text("code_challenge").map(str::to_owned),
        expires: now + CODE,
    };
    let mut tx = app.write().await?;
    store::idp::insert_code(&mut tx, &issued, now).await?;
    tx.commit().await?;
    url.query_pairs_mut().append_pair("code", &code);
    url.query_pairs_mut().extend_pairs(query.text("state").map(|state| ("state", state)));
    Ok((StatusCode::SEE_OTHER, [(LOCATION, url.as_str())]).into_response())
}

/// What a request must be, apart from where it leads.
fn check(query: &Query) -> Result<()> {
    if query.text("response_type") != Some("code") {
        return Err(Error::oauth("unsupported_response_type", "`response_type` must be `code`."));
    }
    let plain = query.text("code_challenge").is_some() && query.text("code_challenge_method") != Some("S256");
    if plain || query.pairs().any(|(_, value)| value.contains('\0') || value.len() > 2048) {
        return Err(Error::oauth("invalid_request", "A parameter is not as it must be."));
    }
    Ok(())
}

/// `GET /__idp__/authorize`: the page where a user is chosen, or at once back for the one that a test chose.
///
/// # Errors
/// 400 for a request that is not good, the plain 404 when it is off.
pub async fn authorize(State(app): State<App>, origin: Origin, query: Query) -> Result<Response> {
    served(&app)?;
    let origin = app.origin(origin);
    let place = place(&app, &origin, &query)?;
    check(&query)?;
    let mut db = app.read().await?;
    if let Some(chosen) = store::meta(&mut db, CHOSEN).await?.filter(|name| !name.is_empty())
        && let Some(person) = store::idp::by_username(&mut db, &chosen).await?
    {
        drop(db);
        return answer(&app, &origin, &query, &person).await;
    }
    let people = store::idp::people(&mut db).await?;
    let people: Vec<_> = people
        .iter()
        .map(|one| {
            context! {
                username => &one.username, first_name => &one.first_name, last_name => &one.last_name,
                groups => one.groups.join(", "),
            }
        })
        .collect();
    let fields: Vec<_> = query.pairs().map(|(name, value)| context! { name, value }).collect();
    let page = app
        .pages()
        .render("choose.html", context! { root => ui::root(&origin), people, fields, host => place.host_str() })?;
    Ok(page.into_response())
}

/// `POST /__idp__/authorize`: a user was chosen.
///
/// # Errors
/// As [`authorize`]; 400 for a user that is none.
pub async fn choose(State(app): State<App>, origin: Origin, Raw(body): Raw) -> Result<Response> {
    served(&app)?;
    let origin = app.origin(origin);
    let form = Query::parse(&String::from_utf8_lossy(&body));
    place(&app, &origin, &form)?;
    check(&form)?;
    let username = form.text("username").unwrap_or_default();
    let person = store::idp::by_username(&mut *app.read().await?, username).await?;
    let person = person.ok_or_else(|| Error::oauth("access_denied", "`username` is nobody's."))?;
    answer(&app, &origin, &form, &person).await
}

/// Redeems a code: what the token endpoint answers.
///
/// # Errors
/// 400 and 401 in the shape of RFC 6749.
pub async fn redeem(app: &App, origin: &Origin, form: &Query, client: (&str, &str)) -> Result<Value> {
    let (client_id, secret) = app.config().oidc_client();
    if client.0 != client_id || digest(client.1) != digest(&secret) {
        let text = "The client's id or secret is wrong.".to_owned();
        return Err(Error::OAuth { status: StatusCode::UNAUTHORIZED, error: "invalid_client", text });
    }
    if form.text("grant_type") != Some("authorization_code") {
        return Err(Error::oauth("unsupported_grant_type", "`grant_type` must be authorization_code."));
    }
    let mut tx = app.write().await?;
    let taken = store::idp::take_code(&mut tx, &digest(form.text("code").unwrap_or_default())).await?;
    tx.commit().await?;
    let now = app.now();
    let verifies = |challenge: &String| {
        let made = URL_SAFE_NO_PAD.encode(Sha256::digest(form.text("code_verifier").unwrap_or_default().as_bytes()));
        made == *challenge
    };
    let good = |code: &Code| {
        code.expires > now
            && form.text("redirect_uri") == Some(&code.redirect_uri)
            && code.challenge.as_ref().is_none_or(verifies)
    };
    let bad = || Error::oauth("invalid_grant", "`code` is unknown, was used, has expired, or is another's.");
    let (code, person) = taken.filter(|(code, _)| good(code)).ok_or_else(bad)?;
    let seconds = now / 1_000_000;
    let mut claims = json!({
        "iss": origin.url(PATH), "sub": person.sub, "aud": client_id, "iat": seconds, "exp": seconds + LIFETIME,
        "preferred_username": person.username, "email": person.email, "given_name": person.first_name,
        "family_name": person.last_name, "groups": person.groups,
    });
    if let Some(nonce) = code.nonce {
        claims["nonce"] = json!(nonce);
    }
    let token = sign(&mut *app.read().await?, &claims).await?;
    Ok(json!({
        "access_token": app.world().ids().secret(32), "token_type": "Bearer", "expires_in": LIFETIME, "id_token": token,
    }))
}

/// `POST /__idp__/token`, form-encoded.
///
/// # Errors
/// As [`redeem`]; the plain 404 when it is off.
pub async fn token(State(app): State<App>, origin: Origin, headers: HeaderMap, Raw(body): Raw) -> Result<Response> {
    served(&app)?;
    let form = Query::parse(&String::from_utf8_lossy(&body));
    let basic = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let basic = basic.and_then(|value| value.strip_prefix("Basic ")).and_then(|value| STANDARD.decode(value).ok());
    let basic = basic.and_then(|bytes| String::from_utf8(bytes).ok());
    let client = match basic.as_deref().and_then(|pair| pair.split_once(':')) {
        Some(pair) => pair,
        None => (form.text("client_id").unwrap_or_default(), form.text("client_secret").unwrap_or_default()),
    };
    let answer = redeem(&app, &app.origin(origin), &form, client).await?;
    Ok(crate::oauth_server::private(StatusCode::OK, &answer))
}
