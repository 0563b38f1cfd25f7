//! Browser sessions. Only the SHA-256 of a cookie is kept.

use sqlx::{AnyConnection, Row as _};

/// A signed-in browser.
#[derive(Debug, Clone)]
pub struct Session {
    /// Hex SHA-256 of the cookie.
    pub sha256: String,
    /// Who.
    pub user_guid: String,
    /// What API requests must repeat in a header.
    pub xsrf: String,
    /// Microseconds of what was done with it last; not exact.
    pub used: i64,
    /// Microseconds.
    pub expires: i64,
}

/// Inserts a session, and takes those away that ended before `now`.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, session: &Session, now: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM sessions WHERE expires <= $1").bind(now).execute(&mut *db).await?;
    sqlx::query("INSERT INTO sessions (sha256, user_guid, xsrf, expires, used) VALUES ($1, $2, $3, $4, $5)")
        .bind(&session.sha256)
        .bind(&session.user_guid)
        .bind(&session.xsrf)
        .bind(session.expires)
        .bind(session.used)
        .execute(db)
        .await?;
    Ok(())
}

/// By digest.
///
/// # Errors
/// When the database fails.
pub async fn by_digest(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<Option<Session>> {
    let sql = "SELECT sha256, user_guid, xsrf, expires, used FROM sessions WHERE sha256 = $1";
    let row = sqlx::query(sql).bind(sha256).fetch_optional(db).await?;
    row.map(|row| {
        Ok(Session {
            sha256: row.try_get(0)?,
            user_guid: row.try_get(1)?,
            xsrf: row.try_get(2)?,
            expires: row.try_get(3)?,
            used: row.try_get(4)?,
        })
    })
    .transpose()
}

/// Notes that a session is used.
///
/// # Errors
/// When the database fails.
pub async fn touch(db: &mut AnyConnection, sha256: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE sessions SET used = $2 WHERE sha256 = $1").bind(sha256).bind(now).execute(db).await?;
    Ok(())
}

/// Ends a session.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM sessions WHERE sha256 = $1").bind(sha256).execute(db).await?;
    Ok(())
}
