//! The device flow (RFC 8628): a client without a browser shows its user a short code, which the user types in elsewhere.

use axum::extract::State;
use axum::response::Response;
use http::{StatusCode, Uri};
use minijinja::context;
use serde_json::json;
use sim_kit::origin::Origin;

use super::{after, browser, client_of, form, page, private};
use crate::app::App;
use crate::audit;
use crate::auth::{Caller, digest};
use crate::error::{Code, Error, Result};
use crate::input::{Query, Raw};
use crate::store;
use crate::store::oauth_server::{Device, DeviceState};

/// Devices that wait at most, so that anonymous callers cannot fill the database.
const MOST_WAITING: i64 = 10_000;
/// Letters that are no vowels, so that no code is a word.
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// `ABCD-EFGH` as it is kept: letters alone, in upper case.
fn plain(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphabetic).take(9).map(|c| c.to_ascii_uppercase()).collect()
}

/// As it is shown.
fn shown(code: &str) -> String {
    let (left, right) = code.split_at_checked(4).unwrap_or((code, ""));
    format!("{left}-{right}")
}

/// `POST /oauth/v1/device_authorization`, form-encoded.
///
/// # Errors
/// 400 for a bad form, 401 for an unknown client.
pub async fn start(State(app): State<App>, origin: Origin, Raw(body): Raw) -> Result<Response> {
    let form = form(&body)?;
    let origin = app.origin(origin);
    let lifetimes = &app.config().oauth_lifetimes;
    let now = app.now();
    let mut tx = app.write().await?;
    let client = client_of(&mut tx, &form).await?;
    if store::oauth_server::waiting_devices(&mut tx, now).await? >= MOST_WAITING {
        return Err(Error::oauth("temporarily_unavailable", "Too many devices wait; try again later."));
    }
    let scope = form.text("scope").unwrap_or_default();
    if scope.len() > 1000 {
        return Err(Error::oauth("invalid_scope", "`scope` is too long."));
    }
    let secret = app.world().ids().secret(32);
    let letters = app.world().ids().secret_bytes();
    let letter = |byte: &u8| char::from(LETTERS[usize::from(*byte) % LETTERS.len()]);
    let device = Device {
        sha256: digest(&secret),
        user_code: letters.iter().take(8).map(letter).collect(),
        client_id: client.client_id,
        scope: scope.to_owned(),
        state: DeviceState::Waiting,
        user_guid: None,
        pause: after(0, lifetimes.pause),
        polled: None,
        expires: after(now, lifetimes.device),
    };
    store::oauth_server::insert_device(&mut tx, &device, now).await?;
    tx.commit().await?;
    let code = shown(&device.user_code);
    let answer = json!({
        "device_code": secret, "user_code": code, "verification_uri": origin.url("/oauth/v1/device"),
        "verification_uri_complete": origin.url(&format!("/oauth/v1/device?user_code={code}")),
        "expires_in": lifetimes.device.as_secs(), "interval": lifetimes.pause.as_secs(),
    });
    Ok(private(StatusCode::OK, &answer))
}

/// The device that waits under a user code.
async fn waiting(app: &App, code: &str) -> Result<Option<Device>> {
    let found = store::oauth_server::device_by_user_code(&mut *app.read().await?, &plain(code)).await?;
    Ok(found.filter(|device| device.state == DeviceState::Waiting && device.expires > app.now()))
}

/// `GET /oauth/v1/device`: asks for the code, or with a good `user_code` whether it is the user's.
///
/// # Errors
/// The redirect to the login page; 403 for callers that are no browser.
pub async fn ask(State(app): State<App>, origin: Origin, caller: Caller, query: Query, uri: Uri) -> Result<Response> {
    let origin = app.origin(origin);
    let path = uri.path_and_query().map_or("/oauth/v1/device", http::uri::PathAndQuery::as_str);
    let (principal, xsrf) = browser(caller, &origin, path)?;
    let code = query.text("user_code").unwrap_or_default();
    let Some(device) = waiting(&app, code).await? else {
        let wrong = !code.is_empty();
        return page(&app, &origin, StatusCode::OK, "device.html", context! { wrong });
    };
    let client = store::oauth_server::by_client_id(&mut *app.read().await?, &device.client_id).await?;
    let code = shown(&device.user_code);
    let fields = [context! { name => "user_code", value => &code }];
    let values = context! {
        fields, xsrf, code, action => "/oauth/v1/device", username => &principal.user.username,
        role => principal.role.as_str(), client => client.and_then(|client| client.name),
        client_id => device.client_id,
    };
    page(&app, &origin, StatusCode::OK, "consent.html", values)
}

/// `POST /oauth/v1/device`: the user's answer, `decision` being `allow` or `deny`.
///
/// # Errors
/// As [`ask`]; 403 without the token of the form.
pub async fn answer(State(app): State<App>, origin: Origin, caller: Caller, Raw(body): Raw) -> Result<Response> {
    let form = Query::parse(&String::from_utf8_lossy(&body));
    let origin = app.origin(origin);
    let (principal, xsrf) = browser(caller, &origin, "/oauth/v1/device")?;
    if form.text("xsrf") != Some(&xsrf) {
        return Err(Error::forbidden_because(Code::Xsrf, "XSRF token mismatch"));
    }
    let Some(device) = waiting(&app, form.text("user_code").unwrap_or_default()).await? else {
        return page(&app, &origin, StatusCode::BAD_REQUEST, "device.html", context! { wrong => true });
    };
    let allow = form.text("decision") == Some("allow");
    let to = if allow { DeviceState::Approved } else { DeviceState::Denied };
    let mut tx = app.write().await?;
    let user = Some(principal.user.guid.as_str());
    store::oauth_server::set_device(&mut tx, &device.sha256, DeviceState::Waiting, to, user).await?;
    tx.commit().await?;
    if allow {
        audit::event(&app, Some(&principal.user), "authorize_oauth_client", &device.client_id);
    }
    let text = match allow {
        true => "Your application is connected. You can close this page.",
        false => "The application was refused. You can close this page.",
    };
    let title = if allow { "Connected" } else { "Refused" };
    page(&app, &origin, StatusCode::OK, "message.html", context! { title, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_typed_in_as_people_do() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk "] {
            assert_eq!(plain(typed), "BCDFGHJK", "{typed}");
        }
        assert_eq!(shown("BCDFGHJK"), "BCDF-GHJK");
    }
}
