//! Groups of users.
//!
//! Every user sees them. Publishers make them and change their own, administrators change all.

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use crate::access::{Role, Seen, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given, Page, Query};
use crate::store;
use crate::store::groups::Group;
use crate::store::permissions::Grant;
use crate::store::users::Filter;
use crate::users;

pub(crate) fn shown(app: &App, group: &Group) -> Value {
    let mut shown = json!({"guid": group.guid, "name": group.name, "owner_guid": group.owner_guid});
    if app.config().version.with(Difference::GroupDetails) {
        shown["gid"] = json!(group.gid);
        shown["member_count"] = json!(group.members);
    }
    shown
}

async fn find(db: &mut AnyConnection, guid: &str) -> Result<Group> {
    store::groups::by_guid(db, guid).await?.ok_or_else(|| Error::missing("group"))
}

async fn changeable(db: &mut AnyConnection, principal: &Principal, guid: &str) -> Result<Group> {
    principal.require(Role::Publisher)?;
    let group = find(db, guid).await?;
    let own = group.owner_guid.as_deref() == Some(&principal.user.guid);
    if own || principal.is_administrator() { Ok(group) } else { Err(Error::forbidden()) }
}

/// `GET /v1/groups`
///
/// # Errors
/// 400 for a bad page.
pub async fn list(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    let page = Page::of(&query, 500)?;
    if users::sees_nobody_else(&app, &principal) {
        return Ok(page.answer(&[], 0));
    }
    let mut db = app.read().await?;
    let prefix = query.text("prefix").filter(|prefix| !prefix.is_empty());
    let descending = !query.flag("asc_order", true)?;
    let pages = prefix.is_none() || app.config().version.with(Difference::GroupPagesWithPrefix);
    let offset = if pages { page.offset() } else { 0 };
    let (groups, total) = store::groups::list(&mut db, prefix, descending, (page.size, offset)).await?;
    Ok(page.answer(&groups.iter().map(|group| shown(&app, group)).collect::<Vec<_>>(), total))
}

/// `GET /v1/groups/{guid}`
///
/// # Errors
/// 404 when there is none.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    if users::sees_nobody_else(&app, &principal) {
        return Err(Error::missing("group"));
    }
    Ok(Json(shown(&app, &find(&mut *app.read().await?, &guid).await?)))
}

fn apply(fields: &Fields, group: &mut Group) -> Result<()> {
    if let Some(name) = fields.text("name")?.value() {
        if name.trim().is_empty() || name.chars().count() > 255 || name.chars().any(char::is_control) {
            let text = "`name` must have 1 to 255 characters, none of them a control character.";
            return Err(Error::bad(Code::InvalidGroupName, text));
        }
        group.name = name;
    }
    match fields.integer("gid")? {
        Given::Value(gid) if gid < 0 => {
            return Err(Error::bad(Code::InvalidParameter, "`gid` must be a whole number from 0."));
        }
        gid => gid.store(&mut group.gid),
    }
    Ok(())
}

fn duplicate(error: sqlx::Error) -> Error {
    match store::is_duplicate(&error) {
        true => Error::conflict(Code::DuplicateGroupName, "A group of this name exists already."),
        false => error.into(),
    }
}

/// `POST /v1/groups`
///
/// # Errors
/// 400 for a bad field, 403 for viewers, 409 for a name that is taken.
pub async fn create(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let mut group = Group {
        guid: app.world().ids().uuid("group").to_string(),
        name: String::new(),
        owner_guid: Some(principal.user.guid.clone()),
        gid: None,
        members: 0,
    };
    apply(&fields, &mut group)?;
    if group.name.is_empty() {
        return Err(Error::bad(Code::InvalidGroupName, "`name` is missing."));
    }
    let mut tx = app.write().await?;
    store::groups::put(&mut tx, &group).await.map_err(duplicate)?;
    tx.commit().await?;
    Ok(Json(shown(&app, &group)))
}

/// `PATCH`, `POST /v1/groups/{guid}`
///
/// # Errors
/// As [`create`]; 404 when there is none.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let mut tx = app.write().await?;
    let mut group = changeable(&mut tx, &principal, &guid).await?;
    apply(&fields, &mut group)?;
    if let Some(owner) = fields.text("owner_guid")?.value() {
        if store::users::by_guid(&mut tx, &owner).await?.is_none() {
            return Err(Error::bad(Code::InvalidOwner, "`owner_guid` is no user's."));
        }
        group.owner_guid = Some(owner);
    }
    store::groups::put(&mut tx, &group).await.map_err(duplicate)?;
    tx.commit().await?;
    Ok(Json(shown(&app, &group)))
}

/// `DELETE /v1/groups/{guid}`
///
/// # Errors
/// 403 for another's, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    changeable(&mut tx, &principal, &guid).await?;
    store::groups::delete(&mut tx, &guid).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/groups/{guid}/members`
///
/// # Errors
/// 404 when there is none.
pub async fn members(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    query: Query,
) -> Result<Json<Value>> {
    let page = Page::of(&query, 500)?;
    let mut db = app.read().await?;
    find(&mut db, &guid).await?;
    let filter = Filter { group: Some(guid), ..Filter::default() };
    let (users, total) = store::users::list(&mut db, &filter, page.size, page.offset()).await?;
    Ok(page.answer(&users.iter().map(|user| crate::users::shown(&app, user, &principal)).collect::<Vec<_>>(), total))
}

/// `POST /v1/groups/{guid}/members`
///
/// # Errors
/// 400 for a user that is none, 403 for another's group, 404 when there is none.
pub async fn add(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<StatusCode> {
    let user = fields.required("user_guid")?;
    let mut tx = app.write().await?;
    changeable(&mut tx, &principal, &guid).await?;
    if store::users::by_guid(&mut tx, &user).await?.is_none() {
        return Err(Error::bad(Code::InvalidUserGuid, "`user_guid` is no user's."));
    }
    store::groups::add(&mut tx, &guid, &user).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE /v1/groups/{guid}/members/{user_guid}`
///
/// # Errors
/// 403 for another's group; 404 when there is none, or the user is not in it.
pub async fn remove(
    State(app): State<App>,
    principal: Principal,
    Path((guid, user)): Path<(String, String)>,
) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    changeable(&mut tx, &principal, &guid).await?;
    if !store::groups::remove(&mut tx, &guid, &user).await? {
        return Err(Error::missing("group member"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/experimental/groups/{guid}/content`: the content that a group was given access to, as far as the caller may
/// see it, with everybody who was given access.
///
/// # Errors
/// 404 when there is no such group.
pub async fn content(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
) -> Result<Json<Vec<Value>>> {
    let mut db = app.read().await?;
    find(&mut db, &guid).await?;
    let mut all = Vec::new();
    for given in store::permissions::to_principal(&mut db, &guid).await? {
        let Ok(Seen { content, .. }) = visible(&mut db, &principal, &given.content_guid).await else { continue };
        let mut permissions = Vec::new();
        let mut list = |guid: &str, name: Option<String>, role: &str, kind: &str| {
            permissions.push(json!({
                "principal_guid": guid, "principal_name": name, "principal_role": role, "principal_type": kind,
            }));
        };
        let owner = store::users::by_guid(&mut db, &content.owner_guid).await?;
        list(&content.owner_guid, owner.map(|owner| owner.username), "author", "user");
        for permission in store::permissions::of_content(&mut db, &content.guid).await? {
            let guid = &permission.principal_guid;
            let name = match permission.principal_type.as_str() {
                "group" => store::groups::by_guid(&mut db, guid).await?.map(|group| group.name),
                _ => store::users::by_guid(&mut db, guid).await?.map(|user| user.username),
            };
            let role = if permission.grant == Grant::Owner { "publisher" } else { "viewer" };
            list(guid, name, role, &permission.principal_type);
        }
        all.push(json!({
            "content_guid": content.guid, "content_name": content.name, "content_title": content.title,
            "access_type": content.access_type, "permissions": permissions,
        }));
    }
    Ok(Json(all))
}
