//! Execution environments: images that content can run in on a cluster.
//!
//! Publishers see those that they may use, administrators all; administrators tend them. One without permissions is
//! everybody's. This server runs content without images, and only holds them.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Map, Value, json};
use sqlx::AnyConnection;

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given};
use crate::store;
use crate::store::environments::{Environment, Permission};
use crate::users::time;

/// The languages that an image has installations of.
const LANGUAGES: [&str; 5] = ["python", "nodejs", "quarto", "r", "tensorflow"];

fn bad(code: Code, text: impl Into<String>) -> Error {
    Error::bad(code, text)
}

fn shown(app: &App, environment: &Environment) -> Value {
    let said = |name: &str| environment.detail.get(name).cloned().unwrap_or_default();
    let mut shown = json!({
        "id": environment.id.to_string(),
        "guid": environment.guid,
        "created_time": time(environment.created),
        "updated_time": time(environment.updated),
        "title": said("title"),
        "description": said("description"),
        "cluster_name": environment.cluster_name,
        "name": environment.name,
        "environment_type": "Kubernetes",
        "managed_by": null,
        "matching": said("matching"),
        "supervisor": said("supervisor"),
    });
    if app.config().version.with(Difference::NodeVersion) {
        shown["nodejs"] = said("nodejs");
    }
    for name in ["python", "quarto", "r", "tensorflow", "volume_mounts"] {
        shown[name] = said(name);
    }
    shown
}

/// `{"installations": [{"version": …, "path": …}]}`
fn installations(language: &str, value: &Value) -> Result<Value> {
    let shape = || bad(Code::InvalidParameter, format!("`{language}` must be an object with `installations`, a list."));
    let all = value.get("installations").and_then(Value::as_array).filter(|all| all.len() <= 100).ok_or_else(shape)?;
    let mut kept = Vec::new();
    for one in all {
        let text = |name: &str| one.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        let short = |text: &&str| text.len() <= 1024 && !text.chars().any(char::is_control);
        let version = text("version").filter(short).ok_or_else(|| {
            bad(Code::InvalidInstallationVersion, format!("`{language}`: an installation has no good `version`."))
        })?;
        let path = text("path").filter(short).filter(|path| path.starts_with('/')).ok_or_else(|| {
            bad(Code::InvalidInstallationPath, format!("`{language}`: `path` of an installation must be absolute."))
        })?;
        kept.push(json!({"version": version, "path": path}));
    }
    Ok(json!({ "installations": kept }))
}

/// Everything but name and cluster, from a body that replaces it.
fn detail(fields: &Fields) -> Result<Map<String, Value>> {
    let mut detail = Map::new();
    let text = |name: &str, most: usize, code| match fields.text(name)? {
        Given::Value(text) if text.chars().count() > most => {
            Err(bad(code, format!("`{name}` must not be longer than {most} characters.")))
        }
        given => Ok(json!(given.value())),
    };
    detail.insert("title".to_owned(), text("title", 255, Code::InvalidEnvironmentTitle)?);
    detail.insert("description".to_owned(), text("description", 4096, Code::InvalidEnvironmentDescription)?);
    detail.insert("supervisor".to_owned(), text("supervisor", 4096, Code::InvalidEnvironmentSupervisor)?);
    let matching = fields.text("matching")?.value().unwrap_or_else(|| "any".to_owned());
    if !matches!(matching.as_str(), "any" | "exact" | "none") {
        return Err(bad(Code::UnknownEnvironmentMatchingType, "`matching` must be any, exact or none."));
    }
    detail.insert("matching".to_owned(), json!(matching));
    for language in LANGUAGES {
        let value = match fields.raw(language) {
            None | Some(Value::Null) => Value::Null,
            Some(value) => installations(language, value)?,
        };
        detail.insert(language.to_owned(), value);
    }
    let mounts = match fields.raw("volume_mounts") {
        None | Some(Value::Null) => json!([]),
        Some(Value::Array(all)) if all.len() <= 100 && all.iter().all(is_mount) => json!(all),
        Some(_) => {
            let text =
                "`volume_mounts` must be a list of objects with `source.volume_type` (nfs or pvc) and `target.path`.";
            return Err(bad(Code::EnvironmentsInvalidVolume, text));
        }
    };
    detail.insert("volume_mounts".to_owned(), mounts);
    Ok(detail)
}

fn is_mount(mount: &Value) -> bool {
    let path = mount["target"]["path"].as_str();
    matches!(mount["source"]["volume_type"].as_str(), Some("nfs" | "pvc"))
        && path.is_some_and(|path| path.starts_with('/') && !path.contains('\0'))
        && mount.to_string().len() < 10_000
}

async fn usable(db: &mut AnyConnection, principal: &Principal, environment: &Environment) -> Result<bool> {
    if principal.is_administrator() {
        return Ok(true);
    }
    let permissions = store::environments::permissions(db, &environment.guid).await?;
    if permissions.is_empty() {
        return Ok(true);
    }
    for permission in permissions {
        if permission.user_guid.as_deref() == Some(&principal.user.guid) {
            return Ok(true);
        }
        if let Some(group) = &permission.group_guid
            && store::groups::has(db, group, &principal.user.guid).await?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Checks that an item may be set to run in an environment by default.
///
/// # Errors
/// 400 when there is none that the caller may use. Which code the product gives is not known.
pub async fn check_default(db: &mut AnyConnection, principal: &Principal, guid: &str) -> Result<()> {
    let known = match store::environments::get(db, guid).await? {
        Some(environment) => usable(db, principal, &environment).await?,
        None => false,
    };
    let text = "`default_environment_guid` is of no environment that you may use.";
    if known { Ok(()) } else { Err(bad(Code::InvalidParameter, text)) }
}

/// `GET /v1/environments`
///
/// # Errors
/// 403 for viewers.
pub async fn list(State(app): State<App>, principal: Principal) -> Result<Json<Vec<Value>>> {
    principal.require(Role::Publisher)?;
    let mut db = app.read().await?;
    let mut all = Vec::new();
    for environment in store::environments::all(&mut db).await? {
        if usable(&mut db, &principal, &environment).await? {
            all.push(shown(&app, &environment));
        }
    }
    Ok(Json(all))
}

async fn find(db: &mut AnyConnection, guid: &str) -> Result<Environment> {
    store::environments::get(db, guid).await?.ok_or_else(|| Error::missing("environment"))
}

/// `GET /v1/environments/{guid}`
///
/// # Errors
/// 403 for viewers; 404 when there is none that the caller may use.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let mut db = app.read().await?;
    let environment = find(&mut db, &guid).await?;
    if !usable(&mut db, &principal, &environment).await? {
        return Err(Error::missing("environment"));
    }
    Ok(Json(shown(&app, &environment)))
}

/// `POST /v1/environments`
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks, 409 for a name that is taken.
pub async fn create(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let word = |name: &str, code| {
        let text = fields.required(name)?;
        let good = !text.trim().is_empty() && text.len() <= 255 && !text.chars().any(char::is_control);
        if good { Ok(text) } else { Err(bad(code, format!("`{name}` must have 1 to 255 characters."))) }
    };
    let name = word("name", Code::InvalidEnvironmentName)?;
    let cluster_name = word("cluster_name", Code::InvalidEnvironmentClusterName)?;
    let detail = detail(&fields)?;
    let now = app.now();
    let mut tx = app.write().await?;
    let environment = Environment {
        guid: app.world().ids().uuid("environment").to_string(),
        id: store::next(&mut tx, "environment").await?,
        name,
        cluster_name,
        detail,
        created: now,
        updated: now,
    };
    let made = store::environments::put(&mut tx, &environment).await;
    made.map_err(|error| match store::is_duplicate(&error) {
        true => Error::conflict(Code::DuplicateEnvironmentName, "There is an environment of this name already."),
        false => error.into(),
    })?;
    tx.commit().await?;
    Ok(Json(shown(&app, &environment)))
}

/// `PUT /v1/environments/{guid}`: replaces everything but name and cluster.
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks, 404 when there is none.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let detail = detail(&fields)?;
    let mut tx = app.write().await?;
    let environment = Environment { detail, updated: app.now(), ..find(&mut tx, &guid).await? };
    store::environments::put(&mut tx, &environment).await?;
    tx.commit().await?;
    Ok(Json(shown(&app, &environment)))
}

/// `DELETE /v1/environments/{guid}`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    if !store::environments::delete(&mut tx, &guid).await? {
        return Err(Error::missing("environment"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

fn permission_shown(permission: &Permission) -> Value {
    json!({
        "id": permission.id.to_string(), "guid": permission.guid, "environment_guid": permission.environment_guid,
        "user_guid": permission.user_guid, "group_guid": permission.group_guid,
    })
}

/// `GET /v1/environments/{guid}/permissions`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn permissions(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
) -> Result<Json<Vec<Value>>> {
    principal.require(Role::Administrator)?;
    let mut db = app.read().await?;
    find(&mut db, &guid).await?;
    Ok(Json(store::environments::permissions(&mut db, &guid).await?.iter().map(permission_shown).collect()))
}

/// `POST /v1/environments/{guid}/permissions`
///
/// # Errors
/// 400 unless one user or one group is given, 403 unless an administrator asks, 404 when there is no such environment,
/// 409 for a permission that is there.
pub async fn permit(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let (user_guid, group_guid) = (fields.text("user_guid")?.value(), fields.text("group_guid")?.value());
    let mut tx = app.write().await?;
    find(&mut tx, &guid).await?;
    let known = match (&user_guid, &group_guid) {
        (Some(user), None) => store::users::by_guid(&mut tx, user).await?.is_some(),
        (None, Some(group)) => store::groups::by_guid(&mut tx, group).await?.is_some(),
        _ => return Err(bad(Code::InvalidEnvironmentPermission, "Give either `user_guid` or `group_guid`.")),
    };
    if !known {
        return Err(bad(Code::InvalidEnvironmentPermission, "`user_guid` or `group_guid` is nobody's."));
    }
    let all = store::environments::permissions(&mut tx, &guid).await?;
    if all.iter().any(|one| one.user_guid == user_guid && one.group_guid == group_guid) {
        return Err(Error::conflict(Code::DuplicateEnvironmentPermission, "The permission is there already."));
    }
    let permission = Permission {
        guid: app.world().ids().uuid("environment-permission").to_string(),
        id: store::next(&mut tx, "environment-permission").await?,
        environment_guid: guid,
        user_guid,
        group_guid,
    };
    store::environments::permit(&mut tx, &permission).await?;
    tx.commit().await?;
    Ok(Json(permission_shown(&permission)))
}

/// `DELETE /v1/environments/{guid}/permissions/{id}`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn forbid(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    if !store::environments::forbid(&mut tx, &guid, &id).await? {
        return Err(Error::missing("permission of this environment"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
