//! OAuth integrations: services that content gets credentials for, in the name of its visitors or its own.
//!
//! An integration with permissions is for the users and groups that they name, others do not see it. Publishers see integrations and associate them with their content; administrators tend them.

pub mod credentials;
pub mod sessions;
pub mod templates;

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use pkg_formats::manifest::IntegrationRequest;
use serde_json::{Map, Value, json};
use sim_kit::Tx;
use sqlx::AnyConnection;

use crate::access::{Role, editable, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Json as Body};
use crate::license::{self, Feature};
use crate::store;
use crate::store::oauth::{Integration, Permission};
use crate::users::time;
use templates::Template;

/// Permissions of one integration.
const MOST_PERMISSIONS: usize = 500;

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
    let permissions = store::oauth::permissions(db, &one.guid).await?;
    let permissions: Vec<Value> = permissions.iter().map(permission).collect();
    let mut shown = json!({
        "id": one.id.to_string(), "guid": one.guid, "created_time": time(one.created),
        "updated_time": time(one.updated), "name": one.name, "description": one.description,
        "template": one.template, "auth_type": auth_type(one), "config": templates::without_secrets(&one.config),
        "permissions": permissions, "environment_variables": variables,
    });
    if principal.is_administrator() {
        shown["content_count"] = json!(store::oauth::associations(db, None, Some(&one.guid)).await?.len());
    }
    Ok(shown)
}

fn permission(one: &Permission) -> Value {
    let mut shown = json!({"id": one.id.to_string(), "guid": one.guid, "integration_guid": one.integration_guid});
    if let Some(user) = &one.user_guid {
        shown["user_guid"] = json!(user);
    }
    if let Some(group) = &one.group_guid {
        shown["group_guid"] = json!(group);
    }
    shown
}

/// Sets the permissions that a body gives, if it gives any.
async fn permit(app: &App, tx: &mut Tx, fields: &Fields, integration_guid: &str) -> Result<()> {
    let elements = match fields.raw("permissions") {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Array(elements)) if elements.len() <= MOST_PERMISSIONS => elements.clone(),
        Some(_) => {
            let text = format!("`permissions` must be a list of at most {MOST_PERMISSIONS} objects.");
            return Err(Error::bad(Code::InvalidParameter, text));
        }
    };
    let mut all = Vec::new();
    for element in elements {
        let element = Fields::of(element)?;
        let (user, group) = (element.text("user_guid")?.value(), element.text("group_guid")?.value());
        match (&user, &group) {
            (Some(user), None) if store::users::by_guid(tx, user).await?.is_some() => {}
            (None, Some(group)) if store::groups::by_guid(tx, group).await?.is_some() => {}
            (Some(_), None) => return Err(Error::bad(Code::InvalidUserGuid, "`user_guid` is no user's.")),
            (None, Some(_)) => return Err(Error::bad(Code::InvalidGroupGuid, "`group_guid` is no group's.")),
            _ => {
                let text = "Each of `permissions` must have either `user_guid` or `group_guid`.";
                return Err(Error::bad(Code::InvalidParameter, text));
            }
        }
        all.push(Permission {
            guid: app.world().ids().uuid("integration-permission").to_string(),
            id: store::next(tx, "integration-permission").await?,
            integration_guid: integration_guid.to_owned(),
            user_guid: user,
            group_guid: group,
        });
    }
    Ok(store::oauth::set_permissions(tx, integration_guid, &all).await?)
}

/// Whether `principal` may use an integration.
async fn may_use(db: &mut AnyConnection, principal: &Principal, guid: &str) -> Result<bool> {
    Ok(principal.is_administrator() || store::oauth::permits(db, guid, &principal.user.guid).await?)
}

/// Whether an integration is what a manifest asks for.
fn meets(one: &Integration, request: &IntegrationRequest) -> bool {
    if let Some(guid) = &request.guid {
        return *guid == one.guid;
    }
    let same = |wanted: &Option<String>, have: &str| wanted.as_ref().is_none_or(|wanted| wanted == have);
    let config = request.config.as_object();
    let configured = config.is_none_or(|config| config.iter().all(|(key, value)| one.config.get(key) == Some(value)));
    let named = request.name.is_some() || request.kind.is_some();
    named
        && configured
        && same(&request.name, &one.name)
        && same(&request.kind, &one.template)
        && same(&request.auth_type, auth_type(one))
}

/// Associates an item with the integrations that its manifest asks for, as far as its publisher may use them. What is asked
/// for and not there is left out.
///
/// # Errors
/// When the database fails.
pub async fn associate_requested(
    tx: &mut Tx,
    content_guid: &str,
    user_guid: &str,
    requests: &[IntegrationRequest],
    now: i64,
) -> Result<()> {
    let administrator =
        store::users::by_guid(tx, user_guid).await?.is_some_and(|user| user.role == Role::Administrator);
    let all = store::oauth::all(tx).await?;
    let mut guids = Vec::new();
    for request in requests {
        for one in all.iter().filter(|one| meets(one, request)) {
            let may = administrator || store::oauth::permits(tx, &one.guid, user_guid).await?;
            if may && !guids.contains(&one.guid) {
                guids.push(one.guid.clone());
                break;
            }
        }
    }
    Ok(store::oauth::associate(tx, content_guid, &guids, now).await?)
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
        if !may_use(&mut db, &principal, &one.guid).await? {
            continue;
        }
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
    if !may_use(&mut db, &principal, &guid).await? {
        return Err(Error::missing("OAuth integration"));
    }
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
    license::require(&app, Feature::OAuthIntegrations)?;
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
    if !templates::is_known(&app, &one.template) {
        return Err(Error::bad(Code::OAuthTemplateNotFound, "`template` is no template's."));
    }
    apply(&fields, &mut one)?;
    let mut tx = app.write().await?;
    one.id = store::next(&mut tx, "integration").await?;
    store::oauth::put(&mut tx, &one).await?;
    permit(&app, &mut tx, &fields, &one.guid).await?;
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
    license::require(&app, Feature::OAuthIntegrations)?;
    let mut tx = app.write().await?;
    let mut one = find(&mut tx, &guid).await?;
    if fields.text("template")?.value().is_some_and(|template| template != one.template) {
        let text = "`template` of an integration cannot be changed.";
        return Err(Error::bad(Code::OAuthTemplateProhibitedChange, text));
    }
    apply(&fields, &mut one)?;
    one.updated = app.now();
    store::oauth::put(&mut tx, &one).await?;
    permit(&app, &mut tx, &fields, &one.guid).await?;
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

/// `POST /v1/oauth/integrations/{guid}/verify`: whether credentials of a service account can be had. The configuration is
/// checked; the service itself is not asked, and the answer says so.
///
/// # Errors
/// 400 with code 240 for an integration of another kind, with 228 for a configuration that is not whole; 403 unless an
/// administrator asks, 404 when there is none.
pub async fn verify(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let one = find(&mut *app.read().await?, &guid).await?;
    if auth_type(&one) != "Service Account" {
        let text = "Only integrations of the auth_type Service Account can be verified.";
        return Err(Error::bad(Code::OAuthServiceAccountTestInvalidAuthType, text));
    }
    let template = Template::of(&one.template);
    template
        .ok_or_else(|| Error::bad(Code::OAuthTemplateNotFound, "`template` is no template's."))?
        .check(&one.config)?;
    Ok(Json(json!({"verified": true, "simulated": true})))
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
/// 403 for viewers, 404 when there is none that the caller may use or whose content it may change.
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
    if all.is_empty() && !may_use(&mut db, &principal, &guid).await? {
        return Err(Error::missing("OAuth integration"));
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
    let old = store::oauth::associations(&mut tx, Some(&guid), None).await?;
    for integration in &guids {
        let kept = old.iter().any(|one| one.1 == *integration);
        let known = store::oauth::get(&mut tx, integration).await?.is_some();
        if !known || !(kept || may_use(&mut tx, &principal, integration).await?) {
            let text = "`oauth_integration_guid` is no integration's.";
            return Err(Error::bad(Code::InvalidOAuthIntegrationGuid, text));
        }
    }
    store::oauth::associate(&mut tx, &guid, &guids, app.now()).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
