//! Tokens, and the key that they are signed with.

use sim_kit::{Db, Tx};
use sqlx::Row as _;

/// What is kept of a token. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// Its `jti`.
    pub id: String,
    /// For whom.
    pub username: String,
    /// Free text.
    pub description: String,
    /// What it allows, as JSON.
    pub scopes: String,
    /// When it was made.
    pub created_at: i64,
    /// When it ends; none: never.
    pub expires_at: Option<i64>,
}

/// All tokens that are not revoked, oldest first.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> sqlx::Result<Vec<Token>> {
    let rows = sqlx::query(
        "SELECT id, username, description, scopes, created_at, expires_at FROM tokens WHERE revoked_at IS NULL
         ORDER BY created_at, id",
    )
    .fetch_all(db.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Token {
                id: row.try_get(0)?,
                username: row.try_get(1)?,
                description: row.try_get(2)?,
                scopes: row.try_get(3)?,
                created_at: row.try_get(4)?,
                expires_at: row.try_get(5)?,
            })
        })
        .collect()
}

/// Notes a token; one of this id that there is already stays what it is.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, token: &Token) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO tokens (id, username, description, scopes, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(&token.id)
    .bind(&token.username)
    .bind(&token.description)
    .bind(&token.scopes)
    .bind(token.created_at)
    .bind(token.expires_at)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Revokes a token. False when there is none to revoke.
///
/// # Errors
/// The database's.
pub async fn revoke(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE tokens SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL")
        .bind(now)
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// The secret `name`, which is `fresh` if there was none.
///
/// # Errors
/// The database's.
pub async fn secret(tx: &mut Tx, name: &str, fresh: &str) -> sqlx::Result<String> {
    sqlx::query("INSERT INTO secrets (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(fresh)
        .execute(&mut **tx)
        .await?;
    sqlx::query("SELECT value FROM secrets WHERE name = $1").bind(name).fetch_one(&mut **tx).await?.try_get(0)
}
