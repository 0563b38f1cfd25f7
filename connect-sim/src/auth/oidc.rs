//! Signing in with an identity provider (OpenID Connect), as `Authentication.Provider = oauth2` makes the product do.
//!
//! `/__login__` sends the browser to the provider and `/__login__/callback` takes it back. A sign-in is bound to the browser
//! that began it by a cookie, to the provider's answer by `state` and `nonce`, and its code by PKCE. Its user is the one
//! with the token's `sub` as external id, else the one of its user name that has no external id yet, else a new one; the
//! groups of the token are the user's provided groups.
//!
//! The provider is another server, or the built-in one ([`crate::idp`]), which is called without a detour through the
//! network: a server behind a port mapping does not reach itself by its own address.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum_extra::extract::CookieJar;
use axum_extra::extract::cookie::{Cookie, SameSite};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use http::header::{CACHE_CONTROL, LOCATION};
use minijinja::context;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use sim_kit::Tx;
use sim_kit::origin::Origin;
use url::Url;

use super::{digest, login};
use crate::access::Role;
use crate::app::App;
use crate::audit;
use crate::config::IdentityProvider;
use crate::error::{Error, Result};
use crate::identity::{Claims, of_sign_in, text};
use crate::idp;
use crate::input::Query;
use crate::store;
use crate::store::groups::Group;
use crate::store::sign_in::Attempt;
use crate::store::users::User;
use crate::users::Draft;

/// The cookie of a browser that is on its way.
const COOKIE: &str = "rsconnect-sign-in";
/// How long it may be on its way, in microseconds.
const WAIT: i64 = 10 * 60 * 1_000_000;
/// How long what the provider says of itself is kept, in microseconds.
const KEPT: i64 = 10 * 60 * 1_000_000;
/// Sign-ins that are under way at most.
const MOST: i64 = 10_000;
/// Groups of a token that are looked at.
const MOST_GROUPS: usize = 200;

/// What went wrong, as the user sees it.
fn refused(app: &App, status: StatusCode, text: &str) -> Result<Response> {
    let page = app.pages().render("message.html", context! { title => "Sign-in failed", text })?;
    Ok((status, [(CACHE_CONTROL, "no-store")], page).into_response())
}

/// The provider's issuer and where it authorizes.
async fn endpoints(app: &App, provider: &IdentityProvider, origin: &Origin) -> std::result::Result<Claims, String> {
    match &provider.issuer {
        Some(issuer) => Ok(app.issuers().get(issuer, KEPT).await?.metadata),
        None => match idp::metadata(origin) {
            Value::Object(metadata) => Ok(metadata),
            _ => Err("the built-in provider has no description".to_owned()),
        },
    }
}

/// Sends a browser to the provider.
///
/// # Errors
/// When the database fails.
pub async fn begin(
    app: &App,
    provider: &IdentityProvider,
    origin: &Origin,
    jar: CookieJar,
    return_to: String,
) -> Result<Response> {
    let unreachable = |why: &str| {
        tracing::warn!(why, "the identity provider cannot be used");
        refused(app, StatusCode::BAD_GATEWAY, "The identity provider cannot be reached; try again later.")
    };
    let metadata = match endpoints(app, provider, origin).await {
        Ok(metadata) => metadata,
        Err(why) => return unreachable(&why),
    };
    let endpoint = text(&metadata, "authorization_endpoint").and_then(|url| Url::parse(url).ok());
    let Some(mut url) = endpoint.filter(|url| matches!(url.scheme(), "http" | "https")) else {
        return unreachable("it names no `authorization_endpoint`");
    };
    let secret = || app.world().ids().secret(32);
    let (state, browser, nonce, verifier) = (secret(), secret(), secret(), secret() + &secret());
    let now = app.now();
    let attempt = Attempt {
        state: digest(&state),
        browser: digest(&browser),
        nonce: nonce.clone(),
        verifier: verifier.clone(),
        return_to,
        expires: now + WAIT,
    };
    let mut tx = app.write().await?;
    store::sign_in::insert(&mut tx, &attempt, now).await?;
    if store::sign_in::under_way(&mut tx).await? > MOST {
        return refused(app, StatusCode::TOO_MANY_REQUESTS, "Too many sign-ins are under way; try again later.");
    }
    tx.commit().await?;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &provider.client_id)
        .append_pair("redirect_uri", &origin.url(idp::CALLBACK))
        .append_pair("scope", &provider.scope)
        .append_pair("state", &state)
        .append_pair("nonce", &nonce)
        .append_pair("code_challenge", &URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())))
        .append_pair("code_challenge_method", "S256");
    let cookie = Cookie::build((COOKIE, browser)).path("/__login__").http_only(true).same_site(SameSite::Lax);
    let jar = jar.add(cookie.secure(app.config().secures_cookies(origin)).build());
    let head = [(LOCATION, url.to_string()), (CACHE_CONTROL, "no-store".to_owned())];
    Ok((StatusCode::SEE_OTHER, jar, head).into_response())
}

/// The claims of the identity token that a code is good for.
async fn claims(
    app: &App,
    provider: &IdentityProvider,
    origin: &Origin,
    code: &str,
    attempt: &Attempt,
) -> std::result::Result<Claims, String> {
    let callback = origin.url(idp::CALLBACK);
    let pairs = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &callback),
        ("client_id", &provider.client_id),
        ("client_secret", &provider.client_secret),
        ("code_verifier", &attempt.verifier),
    ];
    let (issuer, token) = match &provider.issuer {
        Some(issuer) => (issuer.clone(), app.issuers().redeem(issuer, &pairs).await?),
        None => {
            let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let client = (provider.client_id.as_str(), provider.client_secret.as_str());
            let answer = idp::redeem(app, origin, &Query::parse(&form), client).await;
            let keys = idp::keys(app).await.map_err(|error| error.to_string())?;
            let issuer = origin.url(idp::PATH);
            app.issuers().put(&issuer, &keys);
            let token = answer.map_err(|error| error.to_string())?["id_token"].as_str().map(str::to_owned);
            (issuer, token.ok_or("the provider gave no identity token")?)
        }
    };
    let claims = app.issuers().verify(&issuer, &token).await?;
    of_sign_in(&claims, &provider.client_id, &attempt.nonce)?;
    Ok(claims)
}

/// `GET /__login__/callback`
///
/// # Errors
/// The plain 404 where sign-in is by password.
pub async fn callback(State(app): State<App>, origin: Origin, jar: CookieJar, query: Query) -> Result<Response> {
    let provider = app.config().identity_provider.clone().ok_or(Error::NoRoute)?;
    let origin = app.origin(origin);
    let fail = |status, why: &str, text: &str| {
        audit::event(&app, None, "user_login_failed", why);
        refused(&app, status, text)
    };
    let again = "Sign-in was not begun in this browser, or was finished before. Sign in again.";
    let mut tx = app.write().await?;
    let found = store::sign_in::take(&mut tx, &digest(query.text("state").unwrap_or_default())).await?;
    tx.commit().await?;
    let browser = jar.get(COOKIE).map(|cookie| digest(cookie.value()));
    let attempt = found.filter(|one| one.expires > app.now() && browser.as_ref() == Some(&one.browser));
    let Some(attempt) = attempt else {
        return fail(StatusCode::BAD_REQUEST, "state", again);
    };
    let jar = jar.remove(Cookie::build((COOKIE, "")).path("/__login__").build());
    let Some(code) = query.text("code") else {
        return fail(StatusCode::FORBIDDEN, query.text("error").unwrap_or("no code"), "The provider refused.");
    };
    let claims = match claims(&app, &provider, &origin, code, &attempt).await {
        Ok(claims) => claims,
        Err(why) => return fail(StatusCode::UNAUTHORIZED, &why, "The provider's answer cannot be used."),
    };
    let mut tx = app.write().await?;
    let user = match provision(&app, &mut tx, &provider, &claims).await? {
        Ok(user) => user,
        Err(text) => return fail(StatusCode::FORBIDDEN, text, text),
    };
    tx.commit().await?;
    login::start_session(&app, jar, &user, &origin, &attempt.return_to).await
}

/// The user that a token is for, made or brought up to date.
async fn provision(
    app: &App,
    tx: &mut Tx,
    provider: &IdentityProvider,
    claims: &Claims,
) -> Result<std::result::Result<User, &'static str>> {
    let Some(sub) = text(claims, "sub") else { return Ok(Err("The provider names no user.")) };
    let username = text(claims, &provider.username_claim).filter(|name| name.chars().count() <= 128);
    let mut user = match (store::users::by_external_id(tx, sub).await?, username) {
        (Some(user), _) => user,
        (None, None) => return Ok(Err("The provider names no user name.")),
        (None, Some(username)) => match store::users::by_username(tx, username).await? {
            Some(user) if user.external_id.is_none() => user,
            Some(_) => return Ok(Err("The user name is taken by a user of another identity.")),
            None if !provider.register => return Ok(Err("There is no account for you; ask an administrator.")),
            None => {
                let first = store::users::count(tx).await? == 0;
                let role = if first { Role::Administrator } else { provider.default_role };
                let user = Draft { role, ..Draft::named(username) }.insert(app, tx).await?;
                audit::event(app, Some(&user), "add_user", "");
                user
            }
        },
    };
    if user.locked {
        return Ok(Err("This account is locked; ask an administrator."));
    }
    for (place, name) in
        [(&mut user.email, "email"), (&mut user.first_name, "given_name"), (&mut user.last_name, "family_name")]
    {
        if let Some(text) = text(claims, name).filter(|text| text.chars().count() <= 128) {
            text.clone_into(place);
        }
    }
    user.external_id = Some(sub.to_owned());
    user.updated = app.now();
    store::users::update(tx, &user).await?;
    groups(app, tx, provider, claims, &user).await?;
    Ok(Ok(user))
}

/// Makes the user's provided groups those of the token.
async fn groups(app: &App, tx: &mut Tx, provider: &IdentityProvider, claims: &Claims, user: &User) -> Result<()> {
    let Some(Value::Array(named)) = claims.get(&provider.groups_claim) else { return Ok(()) };
    let fits =
        |name: &&str| !name.trim().is_empty() && name.chars().count() <= 255 && !name.chars().any(char::is_control);
    let named: BTreeSet<&str> = named.iter().filter_map(Value::as_str).filter(fits).take(MOST_GROUPS).collect();
    for (guid, name) in store::sign_in::provided_of(tx, &user.guid).await? {
        if !named.contains(name.as_str()) {
            store::groups::remove(tx, &guid, &user.guid).await?;
        }
    }
    for name in named {
        let group = match store::groups::by_name(tx, name).await? {
            Some(group) => group,
            None if !provider.groups_auto_provision => continue,
            None => {
                let guid = app.world().ids().uuid("group").to_string();
                let group = Group { guid, name: name.to_owned(), owner_guid: None, gid: None, members: 0 };
                store::groups::put(tx, &group).await?;
                group
            }
        };
        store::sign_in::provided(tx, &group.guid).await?;
        store::groups::add(tx, &group.guid, &user.guid).await?;
    }
    Ok(())
}
