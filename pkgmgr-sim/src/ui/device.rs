//! Somebody who has signed in approves a device, or denies it.

use std::collections::HashMap;

use axum::extract::{Form, State};
use axum::response::Response;
use http::HeaderMap;
use minijinja::context;

use super::session::check;
use super::{Asked, Made, Visit, asked, minute};
use crate::api::devices::user_code;
use crate::app::App;
use crate::error::Error;
use crate::store::devices::{self, Device};

/// Wrong codes that the holder of a token may give in [`PAUSE`].
const MOST_WRONG: i64 = 10;
/// Microseconds of the World's clock.
const PAUSE: i64 = 900_000_000;

/// `GET /client/view/device`
pub async fn page(visit: Visit, query: Asked) -> Response {
    let made = make(&visit, asked(&query, "user_code")).await;
    visit.show(made).await
}

async fn make(visit: &Visit, typed: &str) -> Made {
    visit.caller.needs_token("approving a device")?;
    if typed.is_empty() {
        return Ok(("device.html", context! { here => "device" }));
    }
    let device = waiting(visit, typed).await?;
    let values = context! {
        here => "device", code => device.user_code, asked_at => minute(device.created_at),
        scopes => visit.caller.scopes().join(", "),
    };
    Ok(("device.html", values))
}

/// The device that waits for an answer under this code. Who gives too many wrong ones has to wait.
async fn waiting(visit: &Visit, typed: &str) -> Result<Device, Error> {
    let (app, who) = (&visit.app, visit.caller.id().unwrap_or_default());
    let now = app.world().clock().now_micros();
    let mut tx = app.world().db().write().await?;
    if devices::count_wrong_code(&mut tx, &who, now, now - PAUSE).await? > MOST_WRONG {
        return Err(Error::Forbidden("too many wrong codes; wait a quarter of an hour".to_owned()));
    }
    let found = match user_code(typed) {
        Some(code) => devices::by_user_code(app.world().db(), &code).await?,
        None => None,
    };
    let Some(device) = found.filter(|device| device.expires_at > now) else {
        tx.commit().await?;
        return Err(Error::NotFound("no device waits with this code; it may have waited too long".to_owned()));
    };
    // A right code does not count.
    drop(tx);
    match device.state.as_str() {
        "pending" => Ok(device),
        _ => Err(Error::Conflict("this device was answered already".to_owned())),
    }
}

/// `POST /client/device`
pub async fn act(
    State(app): State<App>,
    visit: Visit,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> Response {
    let made = answer(&app, &visit, &headers, &form).await;
    visit.show(made).await
}

async fn answer(app: &App, visit: &Visit, headers: &HeaderMap, form: &HashMap<String, String>) -> Made {
    let get = |name: &str| form.get(name).map_or("", String::as_str);
    check(visit, headers, get("xsrf"))?;
    let (state, title, text) = match get("do") {
        "approve" => {
            ("approved", "Approved", "The device gets a token that allows what yours does. You may close this page.")
        }
        "deny" => ("denied", "Denied", "The device gets nothing. You may close this page."),
        _ => return Err(Error::BadRequest("a device is approved or denied".to_owned())),
    };
    let device = waiting(visit, get("user_code")).await?;
    let approver = visit.caller.id().unwrap_or_default();
    let now = app.world().clock().now_micros();
    let mut tx = app.world().db().write().await?;
    if !devices::answer(&mut tx, &device.user_code, state, &approver, now).await? {
        return Err(Error::Conflict("this device was answered already".to_owned()));
    }
    tx.commit().await?;
    Ok(("message.html", context! { here => "device", title, text }))
}
