//! How much room bundles take. For administrators.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Page, Query};
use crate::store;
use crate::store::content::Filter;
use crate::users::time;

/// Bundles and their bytes.
#[derive(Debug, Default, Clone, Copy)]
struct Room {
    count: i64,
    total: i64,
    active: i64,
}

impl Room {
    fn add(&mut self, bytes: i64, is_active: bool) {
        self.count += 1;
        self.total += bytes;
        self.active += if is_active { bytes } else { 0 };
    }

    fn shown(self) -> Value {
        json!({
            "count": self.count, "bytes_total": self.total, "bytes_active": self.active,
            "bytes_inactive": self.total - self.active,
        })
    }
}

/// `GET /v1/system/storage`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn server(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let (mut all, mut items) = (Room::default(), 0);
    for (_, room) in rooms(&app).await? {
        items += 1;
        all.count += room.count;
        all.total += room.total;
        all.active += room.active;
    }
    let mut bundles = all.shown();
    bundles["content_count"] = json!(items);
    Ok(Json(json!({ "bundles": bundles })))
}

/// What the bundles of each item take that has some.
async fn rooms(app: &App) -> Result<BTreeMap<String, Room>> {
    let mut rooms: BTreeMap<String, Room> = BTreeMap::new();
    for (guid, size, active) in store::bundles::sizes(&mut *app.read().await?).await? {
        rooms.entry(guid).or_default().add(size, active);
    }
    Ok(rooms)
}

/// `GET /v1/content/storage`: a page of items with what they take, the largest first.
///
/// # Errors
/// 400 for a bad page, sort or order; 403 unless an administrator asks.
pub async fn list(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let page = Page::of(&query, 500)?;
    let bad = |text: &str| Error::bad(Code::InvalidParameter, text);
    let key: fn(&Room) -> i64 = match query.text("sort").unwrap_or("bytes_total") {
        "bytes_total" => |room| room.total,
        "bytes_active" => |room| room.active,
        "bytes_inactive" => |room| room.total - room.active,
        "count" | "bundle_count" => |room| room.count,
        _ => return Err(bad("`sort` must be bytes_total, bytes_active, bytes_inactive or bundle_count.")),
    };
    let descending = match query.text("order").unwrap_or("desc") {
        "asc" => false,
        "desc" => true,
        _ => return Err(bad("`order` must be asc or desc.")),
    };
    let rooms = rooms(&app).await?;
    let mut db = app.read().await?;
    let mut items = store::content::list(&mut db, &Filter::default()).await?;
    let room = |guid: &str| rooms.get(guid).copied().unwrap_or_default();
    items.sort_by_key(|item| (key(&room(&item.guid)), item.id));
    if descending {
        items.reverse();
    }
    let total = i64::try_from(items.len()).unwrap_or(i64::MAX);
    let (skip, take) = (usize::try_from(page.offset()).unwrap_or(usize::MAX), usize::try_from(page.size).unwrap_or(0));
    let mut names: HashMap<String, Option<String>> = HashMap::new();
    let mut results = Vec::new();
    for item in items.iter().skip(skip).take(take) {
        if !names.contains_key(&item.owner_guid) {
            let owner = store::users::by_guid(&mut db, &item.owner_guid).await?.map(|user| user.username);
            names.insert(item.owner_guid.clone(), owner);
        }
        results.push(json!({
            "content_guid": item.guid, "content_name": item.name, "content_title": item.title,
            "owner_guid": item.owner_guid, "owner_username": names.get(&item.owner_guid), "app_mode": item.app_mode,
            "bundles": room(&item.guid).shown(),
        }));
    }
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
        room.add(bundle.size, is_active);
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
