//! The token that a page proves with that it is one of ours: a cookie that other sites cannot read, repeated in a
//! header (calls) or a field (forms).

use axum_extra::extract::CookieJar;
use http::HeaderMap;

use super::{Identity, Proof, constant_time_eq};
use crate::error::Error;

/// The cookie.
pub(crate) const COOKIE: &str = "rs-csrf-token";
/// Its older name, set and taken as well.
pub(crate) const LEGACY_COOKIE: &str = "csrf-token";
/// The headers of calls, newer and older.
const HEADERS: [&str; 2] = ["x-rs-csrf-token", "x-csrf-token"];

/// The token that a client has, if it has one.
pub(crate) fn of(jar: &CookieJar) -> Option<&str> {
    jar.get(COOKIE).or_else(|| jar.get(LEGACY_COOKIE)).map(|cookie| cookie.value()).filter(|value| !value.is_empty())
}

/// Whether `given` is the client's token.
pub(crate) fn matches(jar: &CookieJar, given: Option<&str>) -> bool {
    matches!((of(jar), given), (Some(have), Some(given)) if constant_time_eq(have, given))
}

/// Refuses a call that comes with the browser's cookies but not from one of our pages.
pub(crate) fn check(identity: &Identity, headers: &HeaderMap) -> Result<(), Error> {
    if identity.proof == Proof::Token {
        return Ok(());
    }
    let given = HEADERS.iter().find_map(|name| headers.get(*name)).and_then(|value| value.to_str().ok());
    if matches(&CookieJar::from_headers(headers), given) { Ok(()) } else { Err(Error::BadToken) }
}

/// Refuses a WebSocket that a page of another site opens: browsers send cookies along, but also say whose page it is.
pub(crate) fn check_origin(headers: &HeaderMap) -> Result<(), Error> {
    let Some(origin) = headers.get(http::header::ORIGIN) else { return Ok(()) };
    let own = sim_kit::origin::Origin::from_headers(headers);
    let host = |url: &str| url.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default().to_owned());
    let same = origin.to_str().ok().and_then(host).is_some_and(|theirs| Some(theirs) == host(own.base()));
    if same { Ok(()) } else { Err(Error::ForeignOrigin) }
}
