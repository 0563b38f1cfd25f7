//! Bookmarks: what a user wants to find again.

use sqlx::{AnyConnection, Row as _};

use super::of_each;

/// When a user marked an item, in microseconds.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, content_guid: &str, user_guid: &str) -> sqlx::Result<Option<i64>> {
    let sql = "SELECT created FROM bookmarks WHERE content_guid = $1 AND user_guid = $2";
    let row = sqlx::query(sql).bind(content_guid).bind(user_guid).fetch_optional(db).await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Those of the items that a user marked.
///
/// # Errors
/// When the database fails.
pub async fn of_items(db: &mut AnyConnection, user_guid: &str, guids: &[&str]) -> sqlx::Result<Vec<String>> {
    let sql = "SELECT content_guid FROM bookmarks WHERE user_guid = $1 AND content_guid";
    of_each(db, sql, &[user_guid], guids).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Marks an item.
///
/// # Errors
/// A duplicate when it is marked already, or when the database fails.
pub async fn insert(db: &mut AnyConnection, content_guid: &str, user_guid: &str, now: i64) -> sqlx::Result<()> {
    let sql = "INSERT INTO bookmarks (content_guid, user_guid, created) VALUES ($1, $2, $3)";
    sqlx::query(sql).bind(content_guid).bind(user_guid).bind(now).execute(db).await?;
    Ok(())
}

/// Takes a mark away; false when there was none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, content_guid: &str, user_guid: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM bookmarks WHERE content_guid = $1 AND user_guid = $2";
    Ok(sqlx::query(sql).bind(content_guid).bind(user_guid).execute(db).await?.rows_affected() > 0)
}
