//! How much room bundles take. For administrators.

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Page, Query};
use crate::store;
use crate::store::bundles::{By, Room};
use crate::store::content::Content;
use crate::users::time;

fn shown(room: Room) -> Value {
    json!({
        "count": room.count, "bytes_total": room.total, "bytes_active": room.active,
        "bytes_inactive": room.total - room.active,
    })
}

/// `GET /v1/system/storage`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn server(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let (room, items) = store::bundles::all_room(&mut *app.read().await?).await?;
    let mut bundles = shown(room);
    bundles["content_count"] = json!(items);
    Ok(Json(json!({ "bundles": bundles })))
}

/// `GET /v1/content/storage`: a page of items with what they take, the largest first.
///
/// # Errors
/// 400 for a bad page, sort or order; 403 unless an administrator asks.
pub async fn list(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let page = Page::of(&query, 500)?;
    let bad = |text: &str| Error::bad(Code::InvalidParameter, text);
    let by = match query.text("sort").unwrap_or("bytes_total") {
        "bytes_total" => By::Total,
        "bytes_active" => By::Active,
        "bytes_inactive" => By::Inactive,
        "count" | "bundle_count" => By::Count,
        _ => return Err(bad("`sort` must be bytes_total, bytes_active, bytes_inactive or bundle_count.")),
    };
    let descending = match query.text("order").unwrap_or("desc") {
        "asc" => false,
        "desc" => true,
        _ => return Err(bad("`order` must be asc or desc.")),
    };
    let mut db = app.read().await?;
    let rooms = store::bundles::rooms(&mut db, by, descending, page.size, page.offset()).await?;
    let items = store::content::by_ids(&mut db, &rooms.iter().map(|one| one.0).collect::<Vec<_>>()).await?;
    let owners: Vec<&str> = items.iter().map(|item| item.owner_guid.as_str()).collect();
    let owners = store::users::by_guids(&mut db, &owners).await?;
    let (total, _) = store::content::counts(&mut db).await?;
    let result = |item: &Content| {
        let room = rooms.iter().find(|one| one.0 == item.id).map(|one| one.1).unwrap_or_default();
        let owner = owners.iter().find(|user| user.guid == item.owner_guid);
        json!({
            "content_guid": item.guid, "content_name": item.name, "content_title": item.title,
            "owner_guid": item.owner_guid, "owner_username": owner.map(|user| &user.username), "app_mode": item.app_mode,
            "bundles": shown(room),
        })
    };
    let results: Vec<Value> = items.iter().map(result).collect();
    let pages = (total + page.size - 1) / page.size;
    Ok(Json(json!({"results": results, "current_page": page.number, "total": total, "total_pages": pages})))
}

/// `GET /v1/content/{guid}/storage`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is no such item.
pub async fn of_content(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let mut db = app.read().await?;
    let item = store::content::by_guid(&mut db, &guid).await?.ok_or_else(|| Error::missing("content"))?;
    let owner = store::users::by_guid(&mut db, &item.owner_guid).await?;
    let (mut room, mut bundles) = (Room::default(), Vec::new());
    for bundle in store::bundles::of_content(&mut db, &guid).await? {
        let is_active = item.bundle_id == Some(bundle.id);
        room.count += 1;
        room.total += bundle.size;
        room.active += if is_active { bundle.size } else { 0 };
        bundles.push(json!({
            "id": bundle.id.to_string(), "created_time": time(bundle.created), "size_bytes": bundle.size,
            "is_active": is_active,
        }));
    }
    Ok(Json(json!({
        "content_guid": item.guid, "content_name": item.name, "owner_guid": item.owner_guid,
        "owner_username": owner.map(|user| user.username), "bundle_count": room.count,
        "bundle_bytes_total": room.total, "bundle_bytes_active": room.active,
        "bundle_bytes_inactive": room.total - room.active, "bundles": bundles,
    })))
}
