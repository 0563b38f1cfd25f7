//! Who may open or change a content item beside its owner.
//!
//! Everybody who may change the item reads and writes its list. The owner is not in it.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use sim_kit::origin::Origin;
use sqlx::AnyConnection;

use crate::access::{Role, editable};
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::Fields;
use crate::mail;
use crate::store;
use crate::store::content::Content;
use crate::store::permissions::{Grant, Permission};
use crate::store::users::Filter;

fn shown(permission: &Permission) -> Value {
    json!({
        "id": permission.id.to_string(),
        "content_guid": permission.content_guid,
        "principal_guid": permission.principal_guid,
        "principal_type": permission.principal_type,
        "role": permission.grant.as_str(),
    })
}

/// `GET /v1/content/{guid}/permissions`
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn list(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    editable(&mut db, &principal, &guid).await?;
    Ok(Json(store::permissions::of_content(&mut db, &guid).await?.iter().map(shown).collect()))
}

async fn find(db: &mut AnyConnection, guid: &str, id: &str) -> Result<Permission> {
    let found = match id.parse() {
        Ok(id) => store::permissions::get(db, guid, id).await?,
        Err(_) => None,
    };
    found.ok_or_else(|| Error::missing("permission"))
}

/// `GET /v1/content/{guid}/permissions/{id}`
///
/// # Errors
/// As [`list`].
pub async fn get(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    editable(&mut db, &principal, &guid).await?;
    Ok(Json(shown(&find(&mut db, &guid, &id).await?)))
}

/// Reads a body and checks that what it names exists and can have what it gives.
async fn read(db: &mut AnyConnection, content_guid: &str, owner: &str, fields: &Fields) -> Result<Permission> {
    let principal_guid = fields.required("principal_guid")?;
    let principal_type = fields.required("principal_type")?;
    let grant = match fields.required("role")?.as_str() {
        "viewer" => Grant::Viewer,
        "owner" => Grant::Owner,
        _ => return Err(Error::bad(Code::InvalidRoleAssignment, "`role` must be viewer or owner.")),
    };
    match principal_type.as_str() {
        "user" => {
            let user = store::users::by_guid(db, &principal_guid).await?;
            let user = user.ok_or_else(|| Error::bad(Code::InvalidUserGuid, "`principal_guid` is no user's."))?;
            if user.guid == owner {
                let text = "The owner of the content needs no permission.";
                return Err(Error::bad(Code::InvalidCollaborator, text));
            }
            if grant == Grant::Owner && user.role < Role::Publisher {
                let text = "A viewer cannot be a collaborator; make it a publisher first.";
                return Err(Error::bad(Code::InvalidCollaborator, text));
            }
        }
        "group" => {
            if store::groups::by_guid(db, &principal_guid).await?.is_none() {
                return Err(Error::bad(Code::InvalidGroupGuid, "`principal_guid` is no group's."));
            }
        }
        _ => return Err(Error::bad(Code::InvalidPrincipalType, "`principal_type` must be user or group.")),
    }
    Ok(Permission { id: 0, content_guid: content_guid.to_owned(), principal_guid, principal_type, grant })
}

/// Mails those who were given a permission: the user, or the members of the group.
async fn notify(
    app: &App,
    db: &mut AnyConnection,
    giver: &str,
    content: &Content,
    url: &str,
    given: &Permission,
) -> Result<()> {
    let users = match given.principal_type.as_str() {
        "group" => {
            let filter = Filter { group: Some(given.principal_guid.clone()), ..Filter::default() };
            store::users::list(db, &filter, i64::MAX, 0).await?.0
        }
        _ => store::users::by_guid(db, &given.principal_guid).await?.into_iter().collect(),
    };
    let title = content.title.as_ref().unwrap_or(&content.name);
    let may = if given.grant == Grant::Owner { "change" } else { "open" };
    for user in users.iter().filter(|user| !user.email.is_empty()) {
        let body = format!("{giver} lets you {may} {title}: {url}");
        mail::write(app, db, &user.email, &format!("{title} was shared with you"), &body).await?;
    }
    Ok(())
}

/// `POST /v1/content/{guid}/permissions`: 201 for a new one, 200 when the principal had one. A new one
/// is told of by mail with `send_email`, or without it where the item has `notify_on_share`.
///
/// # Errors
/// 400 for a bad field, 403 for an item one may not change, 404 when there is none.
pub async fn create(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Response> {
    let send_email = fields.flag("send_email")?.value();
    let mut tx = app.write().await?;
    store::content::hold(&mut tx, &guid).await?;
    let seen = editable(&mut tx, &principal, &guid).await?;
    let mut permission = read(&mut tx, &guid, &seen.content.owner_guid, &fields).await?;
    let old = store::permissions::of_principal(&mut tx, &guid, &permission.principal_guid).await?;
    let is_new = old.is_none();
    permission.id = match old {
        Some(old) => old.id,
        None => store::next(&mut tx, "permission").await?,
    };
    store::permissions::put(&mut tx, &permission).await?;
    // What the request says goes before what the item is set to; that neither means no mail is a guess.
    if is_new && send_email.or(seen.content.settings.notify_on_share).unwrap_or(false) {
        let url = app.origin(origin).url(&format!("/content/{guid}/"));
        notify(&app, &mut tx, &principal.user.username, &seen.content, &url, &permission).await?;
    }
    tx.commit().await?;
    app.ring_for_mail();
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(shown(&permission))).into_response())
}

/// `PUT /v1/content/{guid}/permissions/{id}`
///
/// # Errors
/// As [`create`]; 400 when the principal has another permission already.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
    fields: Fields,
) -> Result<Json<Value>> {
    let mut tx = app.write().await?;
    store::content::hold(&mut tx, &guid).await?;
    let seen = editable(&mut tx, &principal, &guid).await?;
    let old = find(&mut tx, &guid, &id).await?;
    let mut permission = read(&mut tx, &guid, &seen.content.owner_guid, &fields).await?;
    let other = store::permissions::of_principal(&mut tx, &guid, &permission.principal_guid).await?;
    if other.is_some_and(|other| other.id != old.id) {
        let text = "The principal has another permission on this content; change that one.";
        return Err(Error::bad(Code::InvalidParameter, text));
    }
    permission.id = old.id;
    store::permissions::put(&mut tx, &permission).await?;
    tx.commit().await?;
    Ok(Json(shown(&permission)))
}

/// `DELETE /v1/content/{guid}/permissions/{id}`
///
/// # Errors
/// As [`list`].
pub async fn delete(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    let permission = find(&mut tx, &guid, &id).await?;
    store::permissions::delete(&mut tx, &guid, permission.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
