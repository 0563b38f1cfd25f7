//! The cookies of a sign-in. Without "stay signed in" they end with the browser; their signed expiry holds in any case.

use axum::response::{IntoResponseParts, ResponseParts};
use axum_extra::extract::CookieJar;
use chrono::{DateTime, TimeDelta, Utc};
use http::HeaderValue;
use http::header::SET_COOKIE;
use sim_kit::origin::Origin;
use sim_kit::serve_bytes::http_date;

use super::csrf;
use crate::App;
use crate::store::users::User;

/// Who is signed in.
pub(crate) const USER: &str = "user-id";
/// For which list of users that holds.
pub(crate) const USER_LIST: &str = "user-list-id";
/// `1` for "stay signed in".
pub(crate) const PERSIST: &str = "persist-auth";
/// What obscures port numbers in addresses.
const PORT_TOKEN: &str = "port-token";

/// `Set-Cookie` headers.
pub(crate) struct SetCookies(Vec<String>);

impl IntoResponseParts for SetCookies {
    type Error = std::convert::Infallible;
    fn into_response_parts(self, mut response: ResponseParts) -> Result<ResponseParts, Self::Error> {
        for text in self.0 {
            // Values are percent-encoded, hex or digits.
            if let Ok(value) = HeaderValue::from_str(&text) {
                response.headers_mut().append(SET_COOKIE, value);
            }
        }
        Ok(response)
    }
}

fn cookie(path: &str, secure: bool, name: &str, value: &str, expires: Option<DateTime<Utc>>) -> String {
    let expires = expires.map(|at| format!("; Expires={}", http_date(at))).unwrap_or_default();
    let secure = if secure { "; Secure" } else { "" };
    format!("{name}={value}; Path={path}; HttpOnly; SameSite=Lax{secure}{expires}")
}

/// The token of the sign-in page.
pub(crate) fn token(app: &App, origin: &Origin, token: &str) -> SetCookies {
    SetCookies(
        [csrf::COOKIE, csrf::LEGACY_COOKIE]
            .map(|name| cookie(app.cookie_path(), origin.is_secure(), name, token, None))
            .into(),
    )
}

/// The cookies of a user who is signed in from now on, with the token that the browser has or a new one.
pub(crate) fn signed_in(app: &App, origin: &Origin, jar: &CookieJar, user: &User, persist: bool) -> SetCookies {
    let lifetime = TimeDelta::from_std(app.config().sign_in_lifetime()).unwrap_or(TimeDelta::days(365));
    let expires = app.now() + lifetime;
    let token = csrf::of(jar).map_or_else(|| app.new_csrf_token(), str::to_owned);
    let mut values = vec![
        (USER, app.keys().user.sign(&user.name, expires)),
        (USER_LIST, app.keys().user_list.sign(app.user_list(), expires)),
        (csrf::COOKIE, token.clone()),
        (csrf::LEGACY_COOKIE, token),
        (PORT_TOKEN, crate::scope::port_token(app.world().ids().seed(), &user.name)),
    ];
    if !app.config().auth_timeout.is_zero() {
        values.push((PERSIST, if persist { "1" } else { "0" }.to_owned()));
    }
    let expires = persist.then_some(expires);
    let set = |(name, value): &(&str, String)| cookie(app.cookie_path(), origin.is_secure(), name, value, expires);
    SetCookies(values.iter().map(set).collect())
}

/// Takes a sign-in away.
pub(crate) fn signed_out(path: &str) -> SetCookies {
    SetCookies([USER, USER_LIST, PERSIST].map(|name| cookie(path, false, name, "", Some(DateTime::UNIX_EPOCH))).into())
}
