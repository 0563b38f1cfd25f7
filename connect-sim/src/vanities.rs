//! Vanity URLs: paths of the server that lead to content.
//!
//! A path begins and ends with a slash, is none of the server's own, and lies neither above nor below another one.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};

use crate::access::{Role, editable, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::Fields;
use crate::store;
use crate::store::vanities::{LONGEST, Vanity};
use crate::users::time;

const PROHIBITED: [&str; 26] = [
    "/favicon.ico",
    "/connect",
    "/apps",
    "/users",
    "/groups",
    "/setpassword",
    "/user-completion",
    "/confirm",
    "/recent",
    "/reports",
    "/plots",
    "/unpublished",
    "/settings",
    "/metrics",
    "/tokens",
    "/help",
    "/login",
    "/welcome",
    "/register",
    "/resetpassword",
    "/content",
    "/mcp",
    "/.well-known",
    "/robots.txt",
    "/__",
    "/",
];

/// The form in which a path is kept, or what is wrong with it.
///
/// # Errors
/// 400 that names the problem.
pub fn normal(path: &str) -> Result<String> {
    let bad = |text: &str| Err(Error::bad(Code::InvalidParameter, text));
    if !path.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_/".contains(&b)) {
        return bad("`path` must be letters, digits, `-`, `_` and `/`.");
    }
    let path = format!("/{}/", path.trim_matches('/'));
    if path.len() > LONGEST {
        return bad("`path` must not be longer than 255 characters, slashes included.");
    }
    if path.contains("//") && path != "//" {
        return bad("`path` must not have an empty segment.");
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    if first.is_empty() {
        let text = "`path` must be more than the server's own address: give it a name.";
        return Err(Error::bad(Code::ProhibitedVanityPath, text));
    }
    if first.starts_with("__") || PROHIBITED.contains(&format!("/{first}").as_str()) {
        let text = format!("`path` must not begin with /{first}: that is the server's own.");
        return Err(Error::bad(Code::ProhibitedVanityPath, text));
    }
    Ok(path)
}

fn shown(vanity: &Vanity) -> Value {
    json!({"content_guid": vanity.content_guid, "path": vanity.path, "created_time": time(vanity.created)})
}

/// `GET /v1/vanities`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn all(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    Ok(Json(store::vanities::all(&mut *app.read().await?).await?.iter().map(shown).collect()))
}

/// `GET /v1/content/{guid}/vanity`
///
/// # Errors
/// 403 for an item one may not see; 404 when there is none, or it has no vanity URL.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    visible(&mut db, &principal, &guid).await?;
    let vanity = store::vanities::of_content(&mut db, &guid).await?;
    Ok(Json(shown(&vanity.ok_or_else(|| Error::missing("vanity URL"))?)))
}

/// # Errors
/// 403 where only administrators give vanity URLs.
fn may_name(app: &App, principal: &Principal) -> Result<()> {
    match app.config().publishers_can_manage_vanities {
        true => Ok(()),
        false => principal.require(Role::Administrator),
    }
}

/// `PUT /v1/content/{guid}/vanity`
///
/// # Errors
/// 400 for a path that cannot be, 403 for an item one may not change, 404 when there is none, 409 for a path that is
/// taken.
pub async fn put(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let path = normal(&fields.required("path")?)?;
    may_name(&app, &principal)?;
    let force = fields.flag("force")?.value().unwrap_or(false);
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    for other in store::vanities::in_the_way(&mut tx, &path).await? {
        if other.content_guid == guid {
            continue;
        }
        let mine = editable(&mut tx, &principal, &other.content_guid).await.is_ok();
        if !(force && mine && other.path == path) {
            let text = match other.path == path {
                true => format!("The path {path} is in use; choose another."),
                false => format!("The path {path} is too near to {}, which is in use; choose another.", other.path),
            };
            return Err(Error::conflict(Code::VanityPathInUse, text));
        }
        store::vanities::delete(&mut tx, &other.content_guid).await?;
    }
    let vanity = Vanity { path, content_guid: guid, created: app.now() };
    store::vanities::put(&mut tx, &vanity).await?;
    tx.commit().await?;
    Ok(Json(shown(&vanity)))
}

/// `DELETE /v1/content/{guid}/vanity`
///
/// # Errors
/// As [`get`], and 403 for an item one may not change.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    may_name(&app, &principal)?;
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    if !store::vanities::delete(&mut tx, &guid).await? {
        return Err(Error::missing("vanity URL"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_normalised_or_refused() {
        assert_eq!(normal("my-app").unwrap(), "/my-app/");
        assert_eq!(normal("/a/b_c/").unwrap(), "/a/b_c/");
        for bad in ["", "/", "//", "/content/x", "/connect", "/__api__", "/a//b", "/a b", "/ä", "/../a", "/login/"] {
            assert!(normal(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_path_is_its_own_normal_form(path in "[a-z/_-]{0,40}") {
            if let Ok(normal) = normal(&path) {
                prop_assert_eq!(super::normal(&normal).unwrap(), normal);
            }
        }
    }
}
