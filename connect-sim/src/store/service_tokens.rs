//! Service tokens: credentials of machines, which belong to no user.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, json};

/// A service token. Its key is kept as a digest only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceToken {
    /// UUID.
    pub guid: String,
    /// For people; may be given twice.
    pub name: String,
    /// What it is good for.
    pub scopes: Vec<String>,
    /// Microseconds.
    pub created: i64,
    /// Microseconds of its last use.
    pub active: Option<i64>,
    /// Microseconds; none for never.
    pub expires: Option<i64>,
}

fn token(row: &AnyRow) -> sqlx::Result<ServiceToken> {
    Ok(ServiceToken {
        guid: row.try_get("guid")?,
        name: row.try_get("name")?,
        scopes: json(row, "scopes")?,
        created: row.try_get("created")?,
        active: row.try_get("active")?,
        expires: row.try_get("expires")?,
    })
}

/// Inserts a token whose key has the digest `sha256` in hex.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, token: &ServiceToken, sha256: &str) -> sqlx::Result<()> {
    let number = super::next(&mut *db, "service-token").await?;
    sqlx::query(
        "INSERT INTO service_tokens (guid, number, name, scopes, sha256, created, active, expires) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(&token.guid)
    .bind(number)
    .bind(&token.name)
    .bind(as_json(&token.scopes))
    .bind(sha256)
    .bind(token.created)
    .bind(token.active)
    .bind(token.expires)
    .execute(db)
    .await?;
    Ok(())
}

/// The tokens that have not expired at `now`, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &mut AnyConnection, now: i64) -> sqlx::Result<Vec<ServiceToken>> {
    let sql = "SELECT * FROM service_tokens WHERE expires IS NULL OR expires > $1 ORDER BY number";
    sqlx::query(sql).bind(now).fetch_all(db).await?.iter().map(token).collect()
}

/// The token whose key has this digest, unless it has expired at `now`.
///
/// # Errors
/// When the database fails.
pub async fn by_digest(db: &mut AnyConnection, sha256: &str, now: i64) -> sqlx::Result<Option<ServiceToken>> {
    let sql = "SELECT * FROM service_tokens WHERE sha256 = $1 AND (expires IS NULL OR expires > $2)";
    sqlx::query(sql).bind(sha256).bind(now).fetch_optional(db).await?.as_ref().map(token).transpose()
}

/// Notes a use.
///
/// # Errors
/// When the database fails.
pub async fn used(db: &mut AnyConnection, guid: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE service_tokens SET active = $2 WHERE guid = $1").bind(guid).bind(now).execute(db).await?;
    Ok(())
}

/// Takes away those that have expired at `now`.
///
/// # Errors
/// When the database fails.
pub async fn sweep(db: &mut AnyConnection, now: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM service_tokens WHERE expires <= $1").bind(now).execute(db).await?;
    Ok(())
}

/// Takes a token away; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, guid: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM service_tokens WHERE guid = $1";
    Ok(sqlx::query(sql).bind(guid).execute(db).await?.rows_affected() > 0)
}
