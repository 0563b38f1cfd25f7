//! Content items.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{as_json, flag, json};

/// A content item.
#[derive(Debug, Clone)]
pub struct Content {
    /// Numeric id.
    pub id: i64,
    /// UUID.
    pub guid: String,
    /// Whose.
    pub owner_guid: String,
    /// Unique among the owner's.
    pub name: String,
    /// For people.
    pub title: Option<String>,
    /// For people; may be empty.
    pub description: String,
    /// `acl`, `logged_in` or `all`.
    pub access_type: String,
    /// Neither deploys nor runs.
    pub locked: bool,
    /// Markdown; may be empty.
    pub locked_message: String,
    /// `unknown` before the first deploy.
    pub app_mode: String,
    /// Mostly empty.
    pub content_category: String,
    /// Takes parameters.
    pub parameterized: bool,
    /// What it serves.
    pub bundle_id: Option<i64>,
    /// Microseconds.
    pub created: i64,
    /// Microseconds of the last deploy, of the creation before.
    pub deployed: i64,
    /// What is held and shown but not searched for.
    pub settings: Settings,
}

/// The settings of an item that no query looks at. `None`: the server's default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the names are the API's; the reference describes them
pub struct Settings {
    pub connection_timeout: Option<i64>,
    pub read_timeout: Option<i64>,
    pub init_timeout: Option<i64>,
    pub idle_timeout: Option<i64>,
    pub max_processes: Option<i64>,
    pub min_processes: Option<i64>,
    pub max_conns_per_process: Option<i64>,
    pub load_factor: Option<f64>,
    pub memory_request: Option<i64>,
    pub memory_limit: Option<i64>,
    pub cpu_request: Option<f64>,
    pub cpu_limit: Option<f64>,
    pub amd_gpu_limit: Option<i64>,
    pub nvidia_gpu_limit: Option<i64>,
    pub service_account_name: Option<String>,
    pub default_image_name: Option<String>,
    pub default_environment_guid: Option<String>,
    pub default_r_environment_management: Option<bool>,
    pub default_py_environment_management: Option<bool>,
    pub run_as: Option<String>,
    pub run_as_current_user: bool,
    pub metrics_collection_enabled: Option<bool>,
    pub notify_on_share: Option<bool>,
    pub otel_enabled: bool,
    pub draft_marker_enabled: bool,
    /// What the active bundle was built with.
    pub runtime: Runtime,
}

/// What a bundle was built with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Runtime {
    /// Whether it was built at all.
    pub built: bool,
    /// Version of R, if R is needed.
    pub r_version: Option<String>,
    /// Version of Python, if it is needed.
    pub py_version: Option<String>,
    /// Version of Quarto, if it is needed.
    pub quarto_version: Option<String>,
    /// Version of Node.js, if it is needed.
    pub node_version: Option<String>,
    /// Whether R packages were installed.
    pub r_environment_management: Option<bool>,
    /// Whether Python packages were installed.
    pub py_environment_management: Option<bool>,
}

pub(super) fn from_row(row: &AnyRow) -> sqlx::Result<Content> {
    Ok(Content {
        id: row.try_get("id")?,
        guid: row.try_get("guid")?,
        owner_guid: row.try_get("owner_guid")?,
        name: row.try_get("name")?,
        title: row.try_get("title")?,
        description: row.try_get("description")?,
        access_type: row.try_get("access_type")?,
        locked: flag(row, "locked")?,
        locked_message: row.try_get("locked_message")?,
        app_mode: row.try_get("app_mode")?,
        content_category: row.try_get("content_category")?,
        parameterized: flag(row, "parameterized")?,
        bundle_id: row.try_get("bundle_id")?,
        created: row.try_get("created")?,
        deployed: row.try_get("deployed")?,
        settings: json(row, "settings")?,
    })
}

/// Inserts an item under its own id and guid.
///
/// # Errors
/// A duplicate name of the owner's, or when the database fails.
pub async fn insert(db: &mut AnyConnection, content: &Content) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO content (guid, id, owner_guid, name, title, description, access_type, locked, locked_message, \
         app_mode, content_category, parameterized, bundle_id, created, deployed, settings) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(&content.guid)
    .bind(content.id)
    .bind(&content.owner_guid)
    .bind(&content.name)
    .bind(&content.title)
    .bind(&content.description)
    .bind(&content.access_type)
    .bind(i64::from(content.locked))
    .bind(&content.locked_message)
    .bind(&content.app_mode)
    .bind(&content.content_category)
    .bind(i64::from(content.parameterized))
    .bind(content.bundle_id)
    .bind(content.created)
    .bind(content.deployed)
    .bind(as_json(&content.settings))
    .execute(&mut *db)
    .await?;
    super::search::note(db, content).await
}

/// Writes everything that can change.
///
/// # Errors
/// A duplicate name of the owner's, or when the database fails.
pub async fn update(db: &mut AnyConnection, content: &Content) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE content SET owner_guid = $2, name = $3, title = $4, description = $5, access_type = $6, locked = $7, \
         locked_message = $8, app_mode = $9, content_category = $10, parameterized = $11, bundle_id = $12, \
         deployed = $13, settings = $14 WHERE guid = $1",
    )
    .bind(&content.guid)
    .bind(&content.owner_guid)
    .bind(&content.name)
    .bind(&content.title)
    .bind(&content.description)
    .bind(&content.access_type)
    .bind(i64::from(content.locked))
    .bind(&content.locked_message)
    .bind(&content.app_mode)
    .bind(&content.content_category)
    .bind(i64::from(content.parameterized))
    .bind(content.bundle_id)
    .bind(content.deployed)
    .bind(as_json(&content.settings))
    .execute(&mut *db)
    .await?;
    super::search::note(db, content).await
}

/// By guid.
///
/// # Errors
/// When the database fails.
pub async fn by_guid(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Option<Content>> {
    let row = sqlx::query("SELECT * FROM content WHERE guid = $1").bind(guid).fetch_optional(db).await?;
    row.as_ref().map(from_row).transpose()
}

/// By guid, held against other writers until the transaction ends.
///
/// # Errors
/// When the database fails.
pub async fn hold(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Option<Content>> {
    // An update that changes nothing takes the lock on both engines.
    let sql = "UPDATE content SET guid = guid WHERE guid = $1 RETURNING *";
    sqlx::query(sql).bind(guid).fetch_optional(db).await?.as_ref().map(from_row).transpose()
}

/// By numeric id.
///
/// # Errors
/// When the database fails.
pub async fn by_id(db: &mut AnyConnection, id: i64) -> sqlx::Result<Option<Content>> {
    let row = sqlx::query("SELECT * FROM content WHERE id = $1").bind(id).fetch_optional(db).await?;
    row.as_ref().map(from_row).transpose()
}

/// Takes an item away with everything that belongs to it; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, guid: &str) -> sqlx::Result<bool> {
    Ok(sqlx::query("DELETE FROM content WHERE guid = $1").bind(guid).execute(db).await?.rows_affected() > 0)
}

/// The items of these ids, in the order of the ids; those that are no more are left out.
///
/// # Errors
/// When the database fails.
pub async fn by_ids(db: &mut AnyConnection, ids: &[i64]) -> sqlx::Result<Vec<Content>> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT * FROM content WHERE id IN ({})", super::places(1, ids.len()));
    let query = ids.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, id| query.bind(*id));
    let mut items = query.fetch_all(db).await?.iter().map(from_row).collect::<sqlx::Result<Vec<_>>>()?;
    let places: HashMap<i64, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    items.sort_by_key(|item| places.get(&item.id));
    Ok(items)
}

/// How many items there are, and how many of them were deployed.
///
/// # Errors
/// When the database fails.
pub async fn counts(db: &mut AnyConnection) -> sqlx::Result<(i64, i64)> {
    let row = sqlx::query("SELECT COUNT(*), COUNT(bundle_id) FROM content").fetch_one(db).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// How many items a user owns.
///
/// # Errors
/// When the database fails.
pub async fn owned(db: &mut AnyConnection, owner_guid: &str) -> sqlx::Result<i64> {
    let sql = "SELECT COUNT(*) FROM content WHERE owner_guid = $1";
    sqlx::query(sql).bind(owner_guid).fetch_one(db).await?.try_get(0)
}
