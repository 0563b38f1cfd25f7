//! OAuth integrations: services that content gets credentials for, in the name of its visitors or its own.
//!
//! Publishers see integrations and associate them with their content; administrators tend them.

pub mod credentials;
pub mod sessions;
pub mod templates;

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Map, Value, json};
use sqlx::AnyConnection;

use crate::access::{Role, editable, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Json as Body};
use crate::store;
use crate::store::oauth::Integration;
use crate::users::time;
use templates::Template;

/// In whose name credentials are.
#[must_use]
pub fn auth_type(integration: &Integration) -> &'static str {
    match integration.config.get("auth_type").and_then(Value::as_str) {
        _ if integration.template == "connect" => "Visitor API Key",
        _ if integration.template.ends_with("-federation") => "Identity Federation",
        Some("Service Account") => "Service Account",
        _ => "Viewer",
    }
}

async fn shown(db: &mut AnyConnection, one: &Integration, principal: &Principal) -> Result<Value> {
    let variables = Template::of(&one.template).map(Template::variables).unwrap_or_default();
    let mut shown = json!({
        "id": one.id.to_string(), "guid": one.guid, "created_time": time(one.created),
        "updated_time": time(one.updated), "name": one.name, "description": one.description,
        "template": one.template, "auth_type": auth_type(one), "config": templates::without_secrets(&one.config),
        "permissions": [], "environment_variables": variables,
    });
    if principal.is_administrator() {
        shown["content_count"] = json!(store::oauth::associations(db, None, Some(&one.guid)).await?.len());
    }
    Ok(shown)
}

async fn find(db: &mut AnyConnection, guid: &str) -> Result<Integration> {
    store::oauth::get(db, guid).await?.ok_or_else(|| Error::missing("OAuth integration"))
}

/// `GET /v1/oauth/integrations`
///
/// # Errors
/// 403 for viewers.
pub async fn list(State(app): State<App>, principal: Principal) -> Result<Json<Vec<Value>>> {
    principal.require(Role::Publisher)?;
    let mut db = app.read().await?;
    let mut all = Vec::new();
    for one in store::oauth::all(&mut db).await? {
        all.push(shown(&mut db, &one, &principal).await?);
    }
    Ok(Json(all))
}

/// `GET /v1/oauth/integrations/{guid}`
///
/// # Errors
/// 403 for viewers, 404 when there is none.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let mut db = app.read().await?;
    let one = find(&mut db, &guid).await?;
    Ok(Json(shown(&mut db, &one, &principal).await?))
}

fn apply(fields: &Fields, one: &mut Integration) -> Result<()> {
    if let Some(name) = fields.text("name")?.value() {
        one.name = name;
    }
    if one.name.trim().is_empty() || one.name.chars().count() > 255 {
        return Err(Error::bad(Code::InvalidOAuthIntegrationName, "`name` must have 1 to 255 characters."));
    }
    if let Some(description) = fields.text("description")?.value() {
        if description.chars().count() > 4096 {
            let text = "`description` must not be longer than 4096 characters.";
            return Err(Error::bad(Code::InvalidOAuthIntegrationDescription, text));
        }
        one.description = description;
    }
    match fields.raw("config") {
        None | Some(Value::Null) => {}
        // Secrets are not told, and so not sent back; what is not sent stays.
        Some(Value::Object(config)) => one.config.extend(config.clone()),
        Some(_) => return Err(Error::bad(Code::OAuthTemplateConfig, "`config` must be an object.")),
    }
    let template = Template::of(&one.template);
    template.ok_or_else(|| Error::bad(Code::OAuthTemplateNotFound, "`template` is no template's."))?.check(&one.config)
}

/// `POST /v1/oauth/integrations`
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks.
pub async fn create(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let now = app.now();
    let mut one = Integration {
        guid: app.world().ids().uuid("integration").to_string(),
        id: 0,
        name: String::new(),
        description: String::new(),
        template: fields.required("template")?,
        config: Map::new(),
        created: now,
        updated: now,
    };
    apply(&fields, &mut one)?;
    let mut tx = app.write().await?;
    one.id = store::next(&mut tx, "integration").await?;
    store::oauth::put(&mut tx, &one).await?;
    let shown = shown(&mut tx, &one, &principal).await?;
    tx.commit().await?;
    Ok(Json(shown))
}

/// `PATCH /v1/oauth/integrations/{guid}`
///
/// # Errors
/// 400 for a bad field or another template, 403 unless an administrator asks, 404 when there is none.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    let mut one = find(&mut tx, &guid).await?;
    if fields.text("template")?.value().is_some_and(|template| template != one.template) {
        let text = "`template` of an integration cannot be changed.";
        return Err(Error::bad(Code::OAuthTemplateProhibitedChange, text));
    }
    apply(&fields, &mut one)?;
    one.updated = app.now();
    store::oauth::put(&mut tx, &one).await?;
    let shown = shown(&mut tx, &one, &principal).await?;
    tx.commit().await?;
    Ok(Json(shown))
}

/// `DELETE /v1/oauth/integrations/{guid}`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    if !store::oauth::delete(&mut tx, &guid).await? {
        return Err(Error::missing("OAuth integration"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn association(content_guid: &str, one: &Integration, created: i64) -> Value {
    json!({
        "app_guid": content_guid, "content_guid": content_guid, "oauth_integration_guid": one.guid,
        "oauth_integration_name": one.name, "oauth_integration_description": one.description,
        "oauth_integration_template": one.template, "oauth_integration_auth_type": auth_type(one),
        "created_time": time(created),
    })
}

/// `GET /v1/oauth/integrations/{guid}/associations`: with the content that the caller may change.
///
/// # Errors
/// 403 for viewers, 404 when there is none.
pub async fn associations(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
) -> Result<Json<Vec<Value>>> {
    principal.require(Role::Publisher)?;
    let mut db = app.read().await?;
    let one = find(&mut db, &guid).await?;
    let mut all = Vec::new();
    for (content, _, created) in store::oauth::associations(&mut db, None, Some(&guid)).await? {
        if editable(&mut db, &principal, &content).await.is_ok() {
            all.push(association(&content, &one, created));
        }
    }
    Ok(Json(all))
}

/// `GET /v1/content/{guid}/oauth/integrations/associations`
///
/// # Errors
/// 403 for an item one may not see, 404 when there is none.
pub async fn of_content(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
) -> Result<Json<Vec<Value>>> {
    let mut db = app.read().await?;
    visible(&mut db, &principal, &guid).await?;
    let mut all = Vec::new();
    for (content, integration, created) in store::oauth::associations(&mut db, Some(&guid), None).await? {
        all.push(association(&content, &find(&mut db, &integration).await?, created));
    }
    Ok(Json(all))
}

/// `PUT /v1/content/{guid}/oauth/integrations/associations`
///
/// # Errors
/// 400 for a bad list, 403 for an item one may not change, 404 when there is none.
pub async fn associate(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    Body(body): Body,
) -> Result<StatusCode> {
    let Value::Array(elements) = body else {
        let text = "The body must be a list of objects with `oauth_integration_guid`.";
        return Err(Error::bad(Code::CannotParseRequestBody, text));
    };
    let mut guids = Vec::new();
    for element in elements {
        guids.push(Fields::of(element)?.required("oauth_integration_guid")?);
    }
    if guids.iter().collect::<BTreeSet<_>>().len() != guids.len() {
        let text = "The list holds an integration twice.";
        return Err(Error::bad(Code::InvalidOAuthIntegrationsDuplicates, text));
    }
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    for integration in &guids {
        if store::oauth::get(&mut tx, integration).await?.is_none() {
            let text = "`oauth_integration_guid` is no integration's.";
            return Err(Error::bad(Code::InvalidOAuthIntegrationGuid, text));
        }
    }
    store::oauth::associate(&mut tx, &guid, &guids, app.now()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
