//! Trusted publishers of content: machines that may publish to one item, known by the identity tokens of the place where
//! they run. Each is a service principal: no user, with no rights but these.
//!
//! The object is the published one; its routes and what makes one (`issuer`, `audience`, `claims`) are chosen here. Whoever
//! may change an item tends its trusted publishers. The issuer must be one that the server trusts.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use crate::access::{Role, editable};
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::identity::federation;
use crate::input::Fields;
use crate::store;
use crate::store::trusted_publishers::TrustedPublisher;
use crate::users::Draft;

/// Trusted publishers of one item.
const MOST: usize = 100;

fn shown(one: &TrustedPublisher) -> Value {
    json!({
        "service_principal_guid": one.user_guid, "name": one.name, "role": "viewer", "app_role": "editor",
        "issuer": one.issuer, "audience": one.audience, "claims": one.claims,
    })
}

/// `GET /v1/content/{guid}/trusted-publishers`
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn list(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Vec<Value>>> {
    let mut db = app.read().await?;
    editable(&mut db, &principal, &guid).await?;
    Ok(Json(store::trusted_publishers::of_content(&mut db, &guid).await?.iter().map(shown).collect()))
}

/// The claims that tell a machine: 1 to 20, each a text.
fn claims(fields: &Fields) -> Result<BTreeMap<String, String>> {
    let bad = || {
        let text = "`claims` must be an object of 1 to 20 texts, such as {\"repository\": \"owner/name\"}.";
        Error::bad(Code::InvalidParameter, text)
    };
    let claims = fields.raw("claims").and_then(Value::as_object).ok_or_else(bad)?;
    let fits = |text: &str| !text.is_empty() && text.len() <= 1024 && !text.contains('\0');
    let claims: Option<BTreeMap<String, String>> = claims
        .iter()
        .map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .map(|pair: Option<(String, String)>| pair.filter(|(name, value)| fits(name) && fits(value)))
        .collect();
    claims.filter(|claims| (1..=20).contains(&claims.len())).ok_or_else(bad)
}

/// `POST /v1/content/{guid}/trusted-publishers`: `name`, `issuer`, `claims`, and `audience`, by default this server's
/// address.
///
/// # Errors
/// 400 for a bad field, 403 for an item one may not change, 404 when there is none.
pub async fn create(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>)> {
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    let name = fields.required("name")?;
    if name.trim().is_empty() || name.chars().count() > 128 || name.chars().any(char::is_control) {
        return Err(Error::bad(Code::InvalidParameter, "`name` must have 1 to 128 characters."));
    }
    let issuer = fields.required("issuer")?;
    if !federation::trusted(&app, &mut tx, &issuer).await? {
        let text = "`issuer` is none that this server trusts; an administrator adds it to the settings.";
        return Err(Error::bad(Code::OAuthCredentialIssClaim, text));
    }
    let audience = fields.text("audience")?.value().unwrap_or_else(|| app.origin(origin).base().to_owned());
    if audience.is_empty() || audience.len() > 1024 {
        return Err(Error::bad(Code::OAuthCredentialsInvalidAudience, "`audience` must have 1 to 1024 characters."));
    }
    let claims = claims(&fields)?;
    if store::trusted_publishers::of_content(&mut tx, &guid).await?.len() >= MOST {
        return Err(Error::bad(Code::BadRequest, format!("The content has {MOST} trusted publishers; remove one.")));
    }
    let username = format!("service-principal-{}", app.world().ids().token("service-principal", 16));
    let draft = Draft { first_name: name.clone(), role: Role::Viewer, service: true, ..Draft::named(&username) };
    let user = draft.insert(&app, &mut tx).await?;
    let created = app.now();
    let one = TrustedPublisher { content_guid: guid, user_guid: user.guid, name, issuer, audience, claims, created };
    store::trusted_publishers::insert(&mut tx, &one).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown(&one))))
}

/// `DELETE /v1/content/{guid}/trusted-publishers/{service_principal_guid}`: its keys end with it.
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn delete(
    State(app): State<App>,
    principal: Principal,
    Path((guid, service)): Path<(String, String)>,
) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    if !store::trusted_publishers::delete(&mut tx, &guid, &service).await? {
        return Err(Error::missing("trusted publisher"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
