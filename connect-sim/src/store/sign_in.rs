//! Sign-ins with an identity provider that are under way, and the groups that it provided.

use sqlx::{AnyConnection, Row as _};

/// A browser that was sent to the identity provider.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// Hex SHA-256 of the state.
    pub state: String,
    /// Hex SHA-256 of the cookie of the browser that was sent.
    pub browser: String,
    /// What the identity token must repeat.
    pub nonce: String,
    /// What the code is redeemed with.
    pub verifier: String,
    /// A path of this server.
    pub return_to: String,
    /// Microseconds.
    pub expires: i64,
}

/// Inserts an attempt, and takes those away that ended before `now`.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, attempt: &Attempt, now: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM login_attempts WHERE expires <= $1").bind(now).execute(&mut *db).await?;
    sqlx::query(
        "INSERT INTO login_attempts (state, browser, nonce, verifier, return_to, expires) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&attempt.state)
    .bind(&attempt.browser)
    .bind(&attempt.nonce)
    .bind(&attempt.verifier)
    .bind(&attempt.return_to)
    .bind(attempt.expires)
    .execute(db)
    .await?;
    Ok(())
}

/// How many are under way.
///
/// # Errors
/// When the database fails.
pub async fn under_way(db: &mut AnyConnection) -> sqlx::Result<i64> {
    sqlx::query("SELECT COUNT(*) FROM login_attempts").fetch_one(db).await?.try_get(0)
}

/// Takes an attempt out: it is good once.
///
/// # Errors
/// When the database fails.
pub async fn take(db: &mut AnyConnection, state: &str) -> sqlx::Result<Option<Attempt>> {
    let row = sqlx::query("DELETE FROM login_attempts WHERE state = $1 RETURNING *").bind(state);
    let row = row.fetch_optional(db).await?;
    row.map(|row| {
        Ok(Attempt {
            state: row.try_get("state")?,
            browser: row.try_get("browser")?,
            nonce: row.try_get("nonce")?,
            verifier: row.try_get("verifier")?,
            return_to: row.try_get("return_to")?,
            expires: row.try_get("expires")?,
        })
    })
    .transpose()
}

/// Notes that a group came from the identity provider.
///
/// # Errors
/// When the database fails.
pub async fn provided(db: &mut AnyConnection, group_guid: &str) -> sqlx::Result<()> {
    let sql = "INSERT INTO provided_groups (group_guid) VALUES ($1) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(group_guid).execute(db).await?;
    Ok(())
}

/// The provided groups that a user is in: guid and name.
///
/// # Errors
/// When the database fails.
pub async fn provided_of(db: &mut AnyConnection, user_guid: &str) -> sqlx::Result<Vec<(String, String)>> {
    let sql = "SELECT g.guid, g.name FROM user_groups g JOIN provided_groups p ON p.group_guid = g.guid \
         JOIN group_members m ON m.group_guid = g.guid WHERE m.user_guid = $1 ORDER BY g.name";
    let rows = sqlx::query(sql).bind(user_guid).fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
