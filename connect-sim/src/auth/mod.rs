//! Who asks: every way in, and what each demands of a request.
//!
//! | credential | where |
//! | --- | --- |
//! | API key | `Authorization: Key …`, or `X-RSC-Authorization` with or without `Key ` when a proxy owns the other |
//! | signed token | `X-Auth-Token`, `X-Auth-Signature`, `Date`, `X-Content-Checksum`; see [`signature`] |
//! | browser session | cookie `rsconnect`; API requests repeat cookie `RSC-XSRF` in header `X-Rsc-Xsrf` |
//! | access token | `Authorization: Bearer …`; see [`crate::oauth_server`] |
//! | bootstrap | `Authorization: Connect-Bootstrap …`, for one route; see [`bootstrap`] |
//!
//! A credential that is wrong is refused even where none is needed, except by the few routes by which clients find out
//! what a server is. Below `/content/` an unknown bearer token is the business of the content. `Authorization` of other schemes belongs to proxies and is ignored.

pub mod bootstrap;
pub mod login;
pub mod oidc;
pub mod password;
pub mod service;
pub mod set_password;
pub mod signature;
pub mod tokens;

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum_extra::extract::CookieJar;
use http::HeaderMap;
use http::request::Parts;
use sha2::{Digest as _, Sha256};
use sim_kit::known::Known;
use sim_kit::origin::Origin;
use sqlx::AnyConnection;

use crate::access::Role;
use crate::app::App;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::oauth_server;
use crate::store;
use crate::store::keys::Key;
use crate::store::oauth_server::Kind;
use crate::store::sessions::Session;
use crate::store::users::User;

/// The cookie of a browser session.
pub const SESSION_COOKIE: &str = "rsconnect";
/// The cookie that scripts of the dashboard repeat in a header.
pub const XSRF_COOKIE: &str = "RSC-XSRF";

/// How often a key's and a user's last activity is written down at most, in microseconds.
const ACTIVITY_GRAIN: i64 = 60_000_000;

/// A user, with the way it came.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The user.
    pub user: Arc<User>,
    /// The user's role, or the lower one of its key.
    pub role: Role,
    /// The way.
    pub via: Via,
}

/// The way a user came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Via {
    /// By API key of this id.
    Key(i64),
    /// By a signature with this token.
    Token(String),
    /// By an access token of this grant.
    Bearer(String),
    /// By a browser session with this XSRF token.
    Session {
        /// What forms and scripts repeat.
        xsrf: String,
    },
}

impl Principal {
    /// # Errors
    /// 403 unless the role is `role` or more.
    pub fn require(&self, role: Role) -> Result<()> {
        if self.role >= role { Ok(()) } else { Err(Error::forbidden()) }
    }

    /// Whether it may administer.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        self.role == Role::Administrator
    }
}

/// A browser session and whose it is.
type SignedIn = (Arc<Session>, Arc<User>);

/// Who asked before, by the digest of what they showed: clients ask again and again.
pub struct Callers {
    keys: Known<String, (Arc<Key>, Arc<User>)>,
    sessions: Known<String, Option<SignedIn>>,
}

impl Default for Callers {
    fn default() -> Self {
        Self { keys: Known::of_rare(1000), sessions: Known::of_rare(1000) }
    }
}

/// Anybody.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Without a credential.
    Anonymous,
    /// With a good one.
    User(Principal),
}

/// The hex SHA-256 under which secrets are kept.
#[must_use]
pub fn digest(secret: &str) -> String {
    hex::encode(Sha256::digest(secret.as_bytes()))
}

/// A secret in a header.
#[derive(Debug, PartialEq, Eq)]
enum Secret<'a> {
    Key(&'a str),
    Bearer(&'a str),
}

/// The secret in the headers, if there is one.
///
/// # Errors
/// 401 for a header that is not text.
fn secret(headers: &HeaderMap) -> Result<Option<Secret<'_>>> {
    let text = |name: &str| match headers.get(name).map(|value| value.to_str()) {
        Some(Err(_)) => Err(Error::invalid_login()),
        Some(Ok(text)) => Ok(Some(text.trim())),
        None => Ok(None),
    };
    let of = |(scheme, secret)| match scheme {
        "key" => Some(Secret::Key(secret)),
        "bearer" => Some(Secret::Bearer(secret)),
        _ => None,
    };
    if let Some(value) = text("x-rsc-authorization")? {
        // Behind Snowflake one client sends the key alone.
        return Ok(scheme(value).map_or(Some(Secret::Key(value)), of));
    }
    Ok(text("authorization")?.and_then(scheme).and_then(of))
}

/// `Key abc` as `key` and `abc`.
fn scheme(value: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = value.split_once(' ')?;
    let known = ["key", "bearer", "basic", "snowflake", "connect-bootstrap"];
    Some((known.into_iter().find(|known| scheme.eq_ignore_ascii_case(known)).unwrap_or(""), rest.trim()))
}

impl FromRequestParts<App> for Caller {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        if let Some(known) = parts.extensions.get::<Self>() {
            return Ok(known.clone());
        }
        let caller = identify(parts, app).await?;
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

impl FromRequestParts<App> for Principal {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        match Caller::from_request_parts(parts, app).await? {
            Caller::User(principal) if principal.user.service && !service::may_ask(parts) => Err(Error::forbidden()),
            Caller::User(principal) => Ok(principal),
            Caller::Anonymous => Err(Error::no_credential()),
        }
    }
}

/// A user, or nobody: also when the credential is wrong.
pub struct Recognised(pub Option<Principal>);

impl FromRequestParts<App> for Recognised {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        match Caller::from_request_parts(parts, app).await {
            Ok(Caller::User(principal)) => Ok(Self(Some(principal))),
            Ok(Caller::Anonymous) | Err(Error::Refused { .. }) => Ok(Self(None)),
            Err(failure) => Err(failure),
        }
    }
}

async fn identify(parts: &Parts, app: &App) -> Result<Caller> {
    let principal = if let Some(claim) = signature::Claim::of(parts)? {
        by_signature(parts, app, &claim).await?
    } else if let Some(principal) = by_secret(parts, app).await? {
        principal
    } else if let Some(cookie) = CookieJar::from_headers(&parts.headers).get(SESSION_COOKIE) {
        match by_session(parts, app, cookie.value()).await? {
            Some(principal) => principal,
            // A browser that was signed out is as good as one that never signed in.
            None => return Ok(Caller::Anonymous),
        }
    } else {
        return Ok(Caller::Anonymous);
    };
    if principal.user.locked {
        return Err(Error::forbidden_because(Code::UserLocked, "Your account is locked; ask an administrator."));
    }
    let now = app.now();
    if is_stale(principal.user.active, now) {
        let mut tx = app.write().await?;
        store::users::touch(&mut tx, &principal.user.guid, now).await?;
        tx.commit().await?;
    }
    Ok(Caller::User(principal))
}

/// Whether the last activity is long enough ago to be written down anew; also when the clock was set back.
fn is_stale(active: Option<i64>, now: i64) -> bool {
    active.is_none_or(|active| !(active..active + ACTIVITY_GRAIN).contains(&now))
}

async fn user(db: &mut AnyConnection, guid: &str) -> Result<Arc<User>> {
    let user = store::users::principal(db, guid).await?;
    user.map(Arc::new).ok_or_else(Error::invalid_login)
}

async fn by_secret(parts: &Parts, app: &App) -> Result<Option<Principal>> {
    match secret(&parts.headers)? {
        Some(Secret::Key(key)) => Ok(Some(by_key(app, key).await?)),
        Some(Secret::Bearer(token)) if app.config().version.has(oauth_server::SINCE) => {
            let principal = by_bearer(app, token).await?;
            match principal {
                None if parts.uri.path().starts_with("/__api__/") => Err(Error::invalid_login()),
                principal => Ok(principal),
            }
        }
        _ => Ok(None),
    }
}

/// None for a token that is unknown.
async fn by_bearer(app: &App, token: &str) -> Result<Option<Principal>> {
    let mut db = app.read().await?;
    let found = store::oauth_server::token(&mut db, &digest(token)).await?;
    let Some(token) = found.filter(|token| token.kind == Kind::Access) else { return Ok(None) };
    if token.expires <= app.now() {
        let text = "The access token has expired; refresh it.";
        return Err(Error::unauthorized(Code::TokenExpired, text));
    }
    let user = user(&mut db, &token.grant.user_guid).await?;
    let role = user.role;
    Ok(Some(Principal { user, role, via: Via::Bearer(token.grant.id) }))
}

async fn by_key(app: &App, key: &str) -> Result<Principal> {
    let now = app.now();
    let sha256 = digest(key);
    let read = async || {
        let mut db = app.read().await?;
        let key = store::keys::by_digest(&mut db, &sha256).await?.ok_or_else(Error::invalid_login)?;
        let user = user(&mut db, &key.user_guid).await?;
        Ok::<_, Error>((Arc::new(key), user))
    };
    let (key, user) = app.callers().keys.get(app.world().db(), sha256.as_str(), read).await?;
    if key.expires.is_some_and(|at| at <= now) {
        return Err(Error::invalid_login());
    }
    if is_stale(key.active, now) {
        let mut tx = app.write().await?;
        store::keys::touch(&mut tx, key.id, now).await?;
        tx.commit().await?;
    }
    let role = key.role.min(user.role);
    Ok(Principal { user, role, via: Via::Key(key.id) })
}

async fn by_signature(parts: &Parts, app: &App, claim: &signature::Claim<'_>) -> Result<Principal> {
    let found = store::tokens::get(&mut *app.read().await?, claim.token).await?;
    let token = found.ok_or_else(Error::invalid_login)?;
    let prefix = Origin::from_headers(&parts.headers);
    let prefix = url::Url::parse(prefix.base()).map(|url| url.path().trim_end_matches('/').to_owned());
    signature::check(claim, &token.public_key, parts, &prefix.unwrap_or_default())?;
    app.replays().check(claim, parts, app.world().clock().now())?;
    let unclaimed = || match app.config().version.with(Difference::UnclaimedTokenIs401) {
        true => Error::no_credential(),
        false => Error::unclaimed_token(),
    };
    let guid = token.user_guid.ok_or_else(unclaimed)?;
    let user = user(&mut *app.read().await?, &guid).await?;
    let role = user.role;
    Ok(Principal { user, role, via: Via::Token(token.token) })
}

async fn by_session(parts: &Parts, app: &App, cookie: &str) -> Result<Option<Principal>> {
    let sha256 = digest(cookie);
    let read = async || {
        let mut db = app.read().await?;
        let Some(session) = store::sessions::by_digest(&mut db, &sha256).await? else { return Ok(None) };
        let user = user(&mut db, &session.user_guid).await?;
        Ok::<_, Error>(Some((Arc::new(session), user)))
    };
    let now = app.now();
    let found = app.callers().sessions.get(app.world().db(), sha256.as_str(), read).await?;
    let Some((session, user)) = found.filter(|(session, _)| session.expires > now) else { return Ok(None) };
    let allowed = app.config().session_inactivity.map(|time| i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
    if allowed.is_some_and(|allowed| now.saturating_sub(session.used) >= allowed) {
        return Ok(None);
    }
    if parts.uri.path().starts_with("/__api__/") {
        let header = parts.headers.get("x-rsc-xsrf").map(http::HeaderValue::as_bytes);
        if header != Some(session.xsrf.as_bytes()) {
            return Err(Error::forbidden_because(Code::Xsrf, "XSRF token mismatch"));
        }
    }
    // Not at every request: a tenth of what is allowed is exact enough.
    if allowed.is_some_and(|allowed| !(0..allowed / 10).contains(&(now - session.used))) {
        let mut tx = app.write().await?;
        store::sessions::touch(&mut tx, &session.sha256, now).await?;
        tx.commit().await?;
    }
    let role = user.role;
    Ok(Some(Principal { user, role, via: Via::Session { xsrf: session.xsrf.clone() } }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn both_headers_and_both_spellings_carry_a_key() {
        let key = |pairs: &[(&'static str, &str)]| {
            let headers: HeaderMap = pairs.iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect();
            match secret(&headers).unwrap()? {
                Secret::Key(key) => Some(key.to_owned()),
                Secret::Bearer(token) => Some(format!("bearer {token}")),
            }
        };
        assert_eq!(key(&[("authorization", "Key abc")]).unwrap(), "abc");
        assert_eq!(key(&[("authorization", "key  abc ")]).unwrap(), "abc");
        assert_eq!(key(&[("x-rsc-authorization", "Key abc")]).unwrap(), "abc");
        assert_eq!(key(&[("x-rsc-authorization", "abc")]).unwrap(), "abc");
        let both = [("authorization", "Snowflake Token=\"x\""), ("x-rsc-authorization", "abc")];
        assert_eq!(key(&both).unwrap(), "abc");
        assert_eq!(key(&[("authorization", "Bearer abc")]).unwrap(), "bearer abc");
        assert_eq!(key(&[("authorization", "Basic abc")]), None);
        assert_eq!(key(&[("authorization", "abc")]), None);
    }

    proptest! {
        #[test]
        fn any_header_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(value) = http::HeaderValue::from_bytes(&bytes) {
                for name in ["authorization", "x-rsc-authorization"] {
                    let _ = secret(&HeaderMap::from_iter([(http::HeaderName::from_static(name), value.clone())]));
                }
            }
        }
    }
}
