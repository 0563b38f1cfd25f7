//! Tokens: public keys that a user has claimed, or has not yet.

use sqlx::{AnyConnection, Row as _};

/// A registered token.
#[derive(Debug, Clone)]
pub struct Token {
    /// `T` and hexadecimal digits.
    pub token: String,
    /// Base64 of the SubjectPublicKeyInfo.
    pub public_key: String,
    /// Who claimed it.
    pub user_guid: Option<String>,
    /// Microseconds.
    pub created: i64,
}

/// Inserts a token.
///
/// # Errors
/// A duplicate, or when the database fails.
pub async fn insert(db: &mut AnyConnection, token: &Token) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO tokens (token, public_key, user_guid, created) VALUES ($1, $2, $3, $4)")
        .bind(&token.token)
        .bind(&token.public_key)
        .bind(&token.user_guid)
        .bind(token.created)
        .execute(db)
        .await?;
    Ok(())
}

/// By its name.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, token: &str) -> sqlx::Result<Option<Token>> {
    let sql = "SELECT token, public_key, user_guid, created FROM tokens WHERE token = $1";
    let row = sqlx::query(sql).bind(token).fetch_optional(db).await?;
    row.map(|row| {
        Ok(Token {
            token: row.try_get(0)?,
            public_key: row.try_get(1)?,
            user_guid: row.try_get(2)?,
            created: row.try_get(3)?,
        })
    })
    .transpose()
}

/// Binds an unclaimed token to a user; false when it is claimed or unknown.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &mut AnyConnection, token: &str, user_guid: &str) -> sqlx::Result<bool> {
    let sql = "UPDATE tokens SET user_guid = $2 WHERE token = $1 AND user_guid IS NULL";
    Ok(sqlx::query(sql).bind(token).bind(user_guid).execute(db).await?.rows_affected() > 0)
}

/// How many wait to be claimed, and takes those away that were registered before `oldest`.
///
/// # Errors
/// When the database fails.
pub async fn unclaimed(db: &mut AnyConnection, oldest: i64) -> sqlx::Result<i64> {
    let sql = "DELETE FROM tokens WHERE user_guid IS NULL AND created < $1";
    sqlx::query(sql).bind(oldest).execute(&mut *db).await?;
    sqlx::query("SELECT COUNT(*) FROM tokens WHERE user_guid IS NULL").fetch_one(db).await?.try_get(0)
}
