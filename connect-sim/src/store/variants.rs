//! Variants: the ways in which a document is rendered, and who is mailed about them.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, flag, json, of_each};

/// A way to render an item.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Id.
    pub id: i64,
    /// Of what.
    pub content_guid: String,
    /// 8 letters and digits.
    pub key: String,
    /// For people; `default` for the first.
    pub name: String,
    /// The one that the item shows.
    pub is_default: bool,
    /// Not `public`.
    pub is_private: bool,
    /// What no query looks at.
    pub settings: Settings,
    /// Microseconds.
    pub created: i64,
}

/// Settings of a variant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs)] // the names are the API's
pub struct Settings {
    pub email_collaborators: bool,
    pub email_viewers: bool,
    pub email_all: bool,
}

pub(super) fn from_row(row: &AnyRow) -> sqlx::Result<Variant> {
    Ok(Variant {
        id: row.try_get("id")?,
        content_guid: row.try_get("content_guid")?,
        key: row.try_get("variant_key")?,
        name: row.try_get("name")?,
        is_default: flag(row, "is_default")?,
        is_private: flag(row, "is_private")?,
        settings: json(row, "settings")?,
        created: row.try_get("created")?,
    })
}

/// Inserts a variant under its own id.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, variant: &Variant) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO variants (id, content_guid, variant_key, name, is_default, settings, created, is_private) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(variant.id)
    .bind(&variant.content_guid)
    .bind(&variant.key)
    .bind(&variant.name)
    .bind(i64::from(variant.is_default))
    .bind(as_json(&variant.settings))
    .bind(variant.created)
    .bind(i64::from(variant.is_private))
    .execute(db)
    .await?;
    Ok(())
}

/// Writes name, visibility and settings.
///
/// # Errors
/// When the database fails.
pub async fn update(db: &mut AnyConnection, variant: &Variant) -> sqlx::Result<()> {
    let query = sqlx::query("UPDATE variants SET name = $2, settings = $3, is_private = $4 WHERE id = $1");
    let query = query.bind(variant.id).bind(&variant.name).bind(as_json(&variant.settings));
    query.bind(i64::from(variant.is_private)).execute(db).await?;
    Ok(())
}

/// By id.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, id: i64) -> sqlx::Result<Option<Variant>> {
    let sql = "SELECT * FROM variants WHERE id = $1";
    sqlx::query(sql).bind(id).fetch_optional(db).await?.as_ref().map(from_row).transpose()
}

/// An item's variants, the default one first.
///
/// # Errors
/// When the database fails.
pub async fn of_content(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Vec<Variant>> {
    let sql = "SELECT * FROM variants WHERE content_guid = $1 ORDER BY is_default DESC, id";
    sqlx::query(sql).bind(content_guid).fetch_all(db).await?.iter().map(from_row).collect()
}

/// Those of items.
///
/// # Errors
/// When the database fails.
pub async fn of_items(db: &mut AnyConnection, guids: &[&str]) -> sqlx::Result<Vec<Variant>> {
    let sql = "SELECT * FROM variants WHERE content_guid";
    of_each(db, sql, &[], guids).await?.iter().map(from_row).collect()
}

/// Guids of the users that are mailed about a variant.
///
/// # Errors
/// When the database fails.
pub async fn subscribers(db: &mut AnyConnection, id: i64) -> sqlx::Result<Vec<String>> {
    let sql = "SELECT user_guid FROM subscribers WHERE variant_id = $1 ORDER BY user_guid";
    sqlx::query(sql).bind(id).fetch_all(db).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Adds one of them.
///
/// # Errors
/// When the database fails.
pub async fn subscribe(db: &mut AnyConnection, id: i64, user_guid: &str) -> sqlx::Result<()> {
    let sql = "INSERT INTO subscribers (variant_id, user_guid) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(id).bind(user_guid).execute(db).await?;
    Ok(())
}

/// Takes one of them away; false when it was none.
///
/// # Errors
/// When the database fails.
pub async fn unsubscribe(db: &mut AnyConnection, id: i64, user_guid: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM subscribers WHERE variant_id = $1 AND user_guid = $2";
    Ok(sqlx::query(sql).bind(id).bind(user_guid).execute(db).await?.rows_affected() > 0)
}
