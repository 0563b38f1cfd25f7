//! Environment variables of content.

use sqlx::{AnyConnection, Row as _};

/// The names of an item's variables, sorted.
///
/// # Errors
/// When the database fails.
pub async fn names(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Vec<String>> {
    let sql = "SELECT name FROM variables WHERE content_guid = $1 ORDER BY name";
    sqlx::query(sql).bind(content_guid).fetch_all(db).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Sets a variable.
///
/// # Errors
/// When the database fails.
pub async fn set(db: &mut AnyConnection, content_guid: &str, name: &str, value: &str) -> sqlx::Result<()> {
    let sql = "INSERT INTO variables (content_guid, name, value) VALUES ($1, $2, $3) \
         ON CONFLICT (content_guid, name) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).bind(content_guid).bind(name).bind(value).execute(db).await?;
    Ok(())
}

/// Takes a variable away, if it is there.
///
/// # Errors
/// When the database fails.
pub async fn unset(db: &mut AnyConnection, content_guid: &str, name: &str) -> sqlx::Result<()> {
    let sql = "DELETE FROM variables WHERE content_guid = $1 AND name = $2";
    sqlx::query(sql).bind(content_guid).bind(name).execute(db).await?;
    Ok(())
}

/// Takes all variables of an item away.
///
/// # Errors
/// When the database fails.
pub async fn clear(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM variables WHERE content_guid = $1").bind(content_guid).execute(db).await?;
    Ok(())
}
