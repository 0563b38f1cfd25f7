//! API keys. Only the SHA-256 of a key is kept.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use crate::access::Role;

/// An API key.
#[derive(Debug, Clone)]
pub struct Key {
    /// Id.
    pub id: i64,
    /// Whose.
    pub user_guid: String,
    /// Unique among the user's.
    pub name: String,
    /// No higher than the user's.
    pub role: Role,
    /// Hex.
    pub sha256: String,
    /// The last characters, to recognise it by.
    pub tail: String,
    /// Microseconds.
    pub created: i64,
    /// Microseconds of the last use, to the minute.
    pub active: Option<i64>,
    /// Microseconds.
    pub expires: Option<i64>,
}

fn key(row: &AnyRow) -> sqlx::Result<Key> {
    let role: String = row.try_get("role")?;
    Ok(Key {
        id: row.try_get("id")?,
        user_guid: row.try_get("user_guid")?,
        name: row.try_get("name")?,
        role: role.parse().unwrap_or(Role::Viewer),
        sha256: row.try_get("sha256")?,
        tail: row.try_get("tail")?,
        created: row.try_get("created")?,
        active: row.try_get("active")?,
        expires: row.try_get("expires")?,
    })
}

/// Inserts a key.
///
/// # Errors
/// A duplicate name, or when the database fails.
pub async fn insert(db: &mut AnyConnection, key: &Key) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO api_keys (id, user_guid, name, role, sha256, tail, created, active, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(key.id)
    .bind(&key.user_guid)
    .bind(&key.name)
    .bind(key.role.as_str())
    .bind(&key.sha256)
    .bind(&key.tail)
    .bind(key.created)
    .bind(key.active)
    .bind(key.expires)
    .execute(db)
    .await?;
    Ok(())
}

/// By digest.
///
/// # Errors
/// When the database fails.
pub async fn by_digest(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<Option<Key>> {
    let row = sqlx::query("SELECT * FROM api_keys WHERE sha256 = $1").bind(sha256).fetch_optional(db).await?;
    row.as_ref().map(key).transpose()
}

/// A user's keys, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn of_user(db: &mut AnyConnection, user_guid: &str) -> sqlx::Result<Vec<Key>> {
    let sql = "SELECT * FROM api_keys WHERE user_guid = $1 ORDER BY id";
    sqlx::query(sql).bind(user_guid).fetch_all(db).await?.iter().map(key).collect()
}

/// Notes that a key was used.
///
/// # Errors
/// When the database fails.
pub async fn touch(db: &mut AnyConnection, id: i64, now: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE api_keys SET active = $2 WHERE id = $1").bind(id).bind(now).execute(db).await?;
    Ok(())
}

/// Takes a user's keys away that ended before `now` and whose name begins with `prefix`.
///
/// # Errors
/// When the database fails.
pub async fn delete_expired(db: &mut AnyConnection, user_guid: &str, prefix: &str, now: i64) -> sqlx::Result<()> {
    let sql = "DELETE FROM api_keys WHERE user_guid = $1 AND expires <= $2 AND name LIKE $3 ESCAPE '!'";
    let pattern = format!("{}%", super::users::escaped(prefix));
    sqlx::query(sql).bind(user_guid).bind(now).bind(pattern).execute(db).await?;
    Ok(())
}

/// Takes a user's key away; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, user_guid: &str, id: i64) -> sqlx::Result<bool> {
    let sql = "DELETE FROM api_keys WHERE user_guid = $1 AND id = $2";
    Ok(sqlx::query(sql).bind(user_guid).bind(id).execute(db).await?.rows_affected() > 0)
}
