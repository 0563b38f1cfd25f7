//! Tags: a forest that administrators tend, and their assignment to content.
//!
//! Tags without a parent are categories and cannot be assigned. Assigning a tag assigns those above it, too, but for the category, and
//! taking one away takes those below it away; so the integration suite of posit-sdk finds it on real servers.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sim_kit::origin::Origin;
use sqlx::AnyConnection;

use crate::access::{Role, editable, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::content::view::{Include, Viewer};
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given, Query};
use crate::store;
use crate::store::search::Condition;
use crate::store::tags::Tag;
use crate::users::time;

fn shown(tag: &Tag) -> Value {
    json!({
        "id": tag.id.to_string(),
        "name": tag.name,
        "parent_id": tag.parent_id.map(|id| id.to_string()),
        "created_time": time(tag.created),
        "updated_time": time(tag.updated),
    })
}

fn ancestors(all: &[Tag], id: i64) -> impl Iterator<Item = &Tag> {
    let mut next = Some(id);
    std::iter::from_fn(move || {
        let tag = all.iter().find(|tag| Some(tag.id) == next)?;
        next = tag.parent_id;
        Some(tag)
    })
}

/// The names of a tag from its category down, in lower case.
#[must_use]
pub fn path_of(all: &[Tag], id: i64) -> Vec<String> {
    let mut names: Vec<String> = ancestors(all, id).map(|tag| tag.name.to_lowercase()).collect();
    names.reverse();
    names
}

/// Those of the tags that are assigned to an item.
#[must_use]
pub fn of_item(all: &[Tag], assigned: &[i64]) -> Value {
    all.iter().filter(|tag| assigned.contains(&tag.id)).map(shown).collect()
}

/// `GET /v1/tags`
///
/// # Errors
/// 400 for a parent that is no number.
pub async fn list(State(app): State<App>, _: Principal, query: Query) -> Result<Json<Value>> {
    let parent = match query.text("parent_id") {
        Some(_) => Some(query.integer("parent_id", 0, 0..=i64::MAX)?),
        None => None,
    };
    let tags = store::tags::all(&mut *app.read().await?).await?;
    let wanted = |tag: &&Tag| {
        query.text("name").is_none_or(|name| tag.name == name) && (parent.is_none() || tag.parent_id == parent)
    };
    Ok(Json(tags.iter().filter(wanted).map(shown).collect()))
}

/// By id, or by the names from the category down, separated by commas.
async fn find(db: &mut AnyConnection, id: &str) -> Result<Tag> {
    if let Ok(id) = id.parse() {
        return store::tags::get(db, id).await?.ok_or_else(|| Error::missing("tag"));
    }
    let all = store::tags::all(db).await?;
    let mut found: Option<&Tag> = None;
    for name in id.split(',').map(str::trim) {
        let parent = found.map(|tag| tag.id);
        let child = all.iter().find(|tag| tag.parent_id == parent && tag.name == name);
        found = Some(child.ok_or_else(|| Error::missing("tag"))?);
    }
    found.cloned().ok_or_else(|| Error::missing("tag"))
}

/// `GET /v1/tags/{id}`
///
/// # Errors
/// 404 when there is none.
pub async fn get(State(app): State<App>, _: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    Ok(Json(shown(&find(&mut *app.read().await?, &id).await?)))
}

/// Sets what a body says, and checks that the forest stays one.
fn apply(fields: &Fields, all: &[Tag], tag: &mut Tag) -> Result<()> {
    if let Some(name) = fields.text("name")?.value() {
        tag.name = name;
    }
    if tag.name.trim().is_empty() {
        return Err(Error::bad(Code::NoEmptyTagName, "`name` must not be empty."));
    }
    if tag.name.chars().count() > 255 {
        return Err(Error::bad(Code::NoLongTagName, "`name` must not be longer than 255 characters."));
    }
    match fields.id("parent_id")? {
        Given::Absent => {}
        Given::Null => tag.parent_id = None,
        Given::Value(parent) => {
            if ancestors(all, parent).next().is_none() {
                return Err(Error::bad(Code::InvalidParentTag, "`parent_id` is no tag's."));
            }
            if ancestors(all, parent).any(|above| above.id == tag.id) {
                return Err(Error::bad(Code::InvalidParentTag, "A tag cannot be below itself."));
            }
            tag.parent_id = Some(parent);
        }
    }
    let twin = |other: &Tag| other.id != tag.id && other.parent_id == tag.parent_id && other.name == tag.name;
    if all.iter().any(twin) {
        return Err(Error::conflict(Code::NoDuplicateTagNames, "A tag of this name is there already."));
    }
    Ok(())
}

/// `POST /v1/tags`
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks, 409 for a name that a sibling has.
pub async fn create(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    let id = store::next(&mut tx, "tag").await?;
    let mut tag = Tag { id, name: String::new(), parent_id: None, created: app.now(), updated: app.now() };
    apply(&fields, &store::tags::all(&mut tx).await?, &mut tag)?;
    store::tags::put(&mut tx, &tag).await?;
    tx.commit().await?;
    Ok(Json(shown(&tag)))
}

/// `PATCH /v1/tags/{id}`
///
/// # Errors
/// As [`create`]; 404 when there is none.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    let mut tag = find(&mut tx, &id).await?;
    apply(&fields, &store::tags::all(&mut tx).await?, &mut tag)?;
    tag.updated = app.now();
    store::tags::put(&mut tx, &tag).await?;
    tx.commit().await?;
    Ok(Json(shown(&tag)))
}

/// `DELETE /v1/tags/{id}`: with everything below it.
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    principal.require(Role::Administrator)?;
    let mut tx = app.write().await?;
    let tag = find(&mut tx, &id).await?;
    store::tags::delete(&mut tx, tag.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/tags/{id}/content`
///
/// # Errors
/// 404 when there is none.
pub async fn content(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let mut db = app.read().await?;
    let tag = find(&mut db, &id).await?;
    drop(db);
    let condition = Condition::open_to(&principal).with_tags(&[tag.id]);
    Viewer::new(&app, origin, principal).all(&condition, Include::default(), &headers).await
}

/// `GET /v1/content/{guid}/tags`
///
/// # Errors
/// 403 for an item one may not see, 404 when there is none.
pub async fn of_content(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    visible(&mut db, &principal, &guid).await?;
    let all = store::tags::all(&mut db).await?;
    Ok(Json(of_item(&all, &store::tags::of_content(&mut db, &guid).await?)))
}

/// `POST /v1/content/{guid}/tags`
///
/// # Errors
/// 400 for a tag that cannot be assigned, 403 for an item one may not change, 404 when there is none.
pub async fn assign(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>)> {
    let id = fields.id("tag_id")?.value();
    let id = id.ok_or_else(|| Error::bad(Code::ParameterMissing, "`tag_id` is missing."))?;
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    let tag = store::tags::get(&mut tx, id).await?;
    let tag = tag.ok_or_else(|| Error::bad(Code::InvalidTag, "`tag_id` is no tag's."))?;
    if tag.parent_id.is_none() {
        let text = "A category cannot be assigned to content; assign a tag below it.";
        return Err(Error::bad(Code::NoCategoryAppAssignment, text));
    }
    let all = store::tags::all(&mut tx).await?;
    for tag in ancestors(&all, tag.id).filter(|tag| tag.parent_id.is_some()) {
        store::tags::assign(&mut tx, &guid, tag.id).await?;
    }
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown(&tag))))
}

/// `DELETE /v1/content/{guid}/tags/{tag_id}`: with the assigned tags below it.
///
/// # Errors
/// 403 for an item one may not change; 404 when there is none, or it has no such tag.
pub async fn unassign(
    State(app): State<App>,
    principal: Principal,
    Path((guid, id)): Path<(String, String)>,
) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    let tag = find(&mut tx, &id).await?;
    let all = store::tags::all(&mut tx).await?;
    let mut assigned = store::tags::of_content(&mut tx, &guid).await?;
    assigned.retain(|id| ancestors(&all, *id).any(|above| above.id == tag.id));
    if assigned.is_empty() {
        return Err(Error::missing("tag of this content"));
    }
    for id in assigned {
        store::tags::unassign(&mut tx, &guid, id).await?;
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
