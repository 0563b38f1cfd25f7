//! Content as clients of the unversioned API see it: numeric ids and modes.
//!
//! rsconnect for R asks for `/applications/{id}` on every redeploy, rsconnect-python to turn a numeric id into a guid.
//! Numbers can be guessed, so an item that one may not see is not told from one that is not there.

pub mod publish;

use axum::Json;
use axum::extract::{Path, State};
use http::Uri;
use serde_json::{Value, json};
use sim_kit::origin::Origin;
use sqlx::AnyConnection;

use crate::access::{AppRole, Role, Seen, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::content_type::ContentType;
use crate::error::{Error, Result};
use crate::git;
use crate::input::Query;
use crate::store;
use crate::store::search::{Condition, Order, Part};
use crate::store::users::User;
use crate::users::{self, time};

fn shown(
    app: &App,
    origin: &Origin,
    (seen, principal): (&Seen, &Principal),
    owner: Option<&User>,
    vanity: Option<&str>,
    scheduled: bool,
) -> Value {
    let Seen { content, role } = seen;
    let detailed = principal.role > Role::Viewer;
    let s = &content.settings;
    let url = vanity.map_or_else(|| format!("/content/{}/", content.guid), str::to_owned);
    let owned = |read: fn(&User) -> Value| owner.map_or(Value::Null, read);
    json!({
        "id": content.id,
        "guid": content.guid,
        "name": content.name,
        "title": content.title,
        "description": content.description,
        "url": origin.url(&url),
        "vanity_url": vanity.is_some(),
        "access_type": content.access_type,
        "connection_timeout": s.connection_timeout,
        "read_timeout": s.read_timeout,
        "init_timeout": s.init_timeout,
        "idle_timeout": s.idle_timeout,
        "max_processes": s.max_processes,
        "min_processes": s.min_processes,
        "max_conns_per_process": s.max_conns_per_process,
        "load_factor": s.load_factor,
        "bundle_id": content.bundle_id,
        "app_mode": ContentType::of(&content.app_mode).unwrap_or(ContentType::Unknown).id(),
        "content_category": content.content_category,
        "has_parameters": content.parameterized,
        "created_time": time(content.created),
        "last_deployed_time": time(content.deployed),
        "build_status": 2,
        "cluster_name": if detailed { content.bundle_id.map(|_| "Local") } else { None },
        "image_name": if detailed { content.bundle_id.map(|_| "Local") } else { None },
        "default_image_name": s.default_image_name,
        "service_account_name": s.service_account_name,
        "r_version": s.runtime.r_version,
        "py_version": s.runtime.py_version,
        "quarto_version": s.runtime.quarto_version,
        "r_environment_management": s.runtime.r_environment_management,
        "py_environment_management": s.runtime.py_environment_management,
        "run_as": s.run_as,
        "run_as_current_user": s.run_as_current_user,
        "EnvironmentJson": Value::Null,
        "app_role": role.as_str(),
        "owner_first_name": owned(|user| json!(user.first_name)),
        "owner_last_name": owned(|user| json!(user.last_name)),
        "owner_username": owned(|user| json!(user.username)),
        "owner_guid": content.owner_guid,
        "owner_email": owner.map(|user| users::email(app, user, principal)),
        "owner_locked": owned(|user| json!(user.locked)),
        "is_scheduled": scheduled,
        "git": Value::Null,
        "users": Value::Null,
        "groups": Value::Null,
        "vanities": vanity.map(|path| json!([{"path_prefix": path, "app_guid": content.guid}])),
    })
}

async fn show(app: &App, db: &mut AnyConnection, origin: &Origin, seen: &Seen, principal: &Principal) -> Result<Value> {
    let owner = store::users::by_guid(db, &seen.content.owner_guid).await?;
    let vanity = store::vanities::of_content(db, &seen.content.guid).await?;
    let scheduled = !store::schedules::of_items(db, &[seen.content.guid.as_str()]).await?.is_empty();
    let vanity = vanity.as_ref().map(|v| v.path.as_str());
    Ok(shown(app, origin, (seen, principal), owner.as_ref(), vanity, scheduled))
}

/// One item with what those who may change it see: its repository, the names of its variables, and who was given access,
/// each as the versioned API shows it, but for the repository. That clients read `app_role` of users is known; that lists leave
/// these members null is a guess.
async fn whole(
    app: &App,
    db: &mut AnyConnection,
    origin: &Origin,
    seen: &Seen,
    principal: &Principal,
) -> Result<Value> {
    let mut shown = show(app, db, origin, seen, principal).await?;
    let guid = &seen.content.guid;
    if !principal.is_administrator() && !matches!(seen.role, AppRole::Owner | AppRole::Editor) {
        return Ok(shown);
    }
    shown["EnvironmentJson"] = json!(json!(store::variables::names(db, guid).await?).to_string());
    shown["git"] = git::older(db, guid).await?;
    let (mut people, mut groups) = (Vec::new(), Vec::new());
    for permission in store::permissions::of_content(db, guid).await? {
        let given = &permission.principal_guid;
        let list = if permission.principal_type == "group" { &mut groups } else { &mut people };
        let mut one = match permission.principal_type.as_str() {
            "group" => store::groups::by_guid(db, given).await?.as_ref().map(|group| crate::groups::shown(app, group)),
            _ => store::users::by_guid(db, given).await?.map(|user| users::shown(app, &user, principal)),
        };
        if let Some(one) = &mut one {
            one["app_role"] = json!(permission.grant.as_str());
        }
        list.extend(one);
    }
    shown["users"] = json!(people);
    shown["groups"] = json!(groups);
    Ok(shown)
}

/// An item by number or guid.
///
/// # Errors
/// 404 when there is none that the caller may see.
pub async fn find(db: &mut AnyConnection, principal: &Principal, id: &str) -> Result<Seen> {
    let guid = match id.parse() {
        Ok(id) => store::content::by_id(db, id).await?.map(|content| content.guid),
        Err(_) => Some(id.to_owned()),
    };
    let missing = || Error::missing("application");
    visible(db, principal, &guid.ok_or_else(missing)?).await.map_err(|error| match error {
        Error::Refused { .. } => missing(),
        other => other,
    })
}

/// `GET /applications/{id}`, by number or guid.
///
/// # Errors
/// 404 when there is none that the caller may see.
pub async fn get(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let seen = find(&mut db, &principal, &id).await?;
    Ok(Json(whole(&app, &mut db, &app.origin(origin), &seen, &principal).await?))
}

/// Tags of one filter that are looked at.
const MOST_TAGS: usize = 100;

/// `GET /applications`: the listing of rsconnect and pins for R, and of pins for Python. `filter` is `name:`, `account_id:`,
/// `min_role:`, `tag:1||tag:2`, or `content_type:`, of which the category `pin` is known; `search` is a part of a name or a title.
///
/// # Errors
/// 400 for a bad number.
pub async fn list(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    uri: Uri,
    query: Query,
) -> Result<Json<Value>> {
    let count = query.integer("count", 100, 0..=10_000)?;
    let start = query.integer("start", 0, 0..=i64::MAX)?;
    let mut condition = Condition::open_to(&principal);
    if let Some(text) = query.text("search").filter(|text| !text.is_empty()) {
        // No name and no title is longer.
        condition = condition.called_like(&text.chars().take(1_025).collect::<String>());
    }
    // The client repeats `filter`.
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    for (_, one) in pairs.filter(|(name, _)| name == "filter") {
        condition = match one.split_once(':') {
            Some(("name", name)) => condition.named(name),
            Some(("account_id", id)) if id == principal.user.id.to_string() => condition.owned_by(&principal.user.guid),
            Some(("content_type", category)) => condition.of_category(category),
            Some(("min_role", "editor" | "owner")) => condition.editable_by(&principal),
            Some(("tag", _)) => {
                let tags = one.split("||").filter_map(|one| one.strip_prefix("tag:")?.parse().ok());
                condition.with_tags(&tags.take(MOST_TAGS).collect::<Vec<i64>>())
            }
            _ => condition,
        };
    }
    let mut db = app.read().await?;
    let part = Part { limit: count, offset: start };
    let (items, total) = store::search::items(&mut db, app.totals(), &condition, Order::NEWEST, part).await?;
    let origin = app.origin(origin);
    let mut applications = Vec::new();
    for content in items {
        let caller = crate::auth::Caller::User(principal.clone());
        let role = crate::access::role_of(&mut db, &caller, &content).await?;
        applications.push(show(&app, &mut db, &origin, &Seen { content, role }, &principal).await?);
    }
    Ok(Json(json!({
        "count": applications.len(), "total": total, "applications": applications, "continuation": "",
    })))
}
