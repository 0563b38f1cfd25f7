//! Users who may sign in, and sign-in cookies that were signed out.

use sim_kit::Db;
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// A row of `licensed_users`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    /// The name typed at sign-in.
    pub(crate) name: String,
    /// The numeric id of the account.
    pub(crate) uid: i64,
    /// May act on the sessions of others.
    pub(crate) is_admin: bool,
    /// May not sign in.
    pub(crate) locked: bool,
    /// PHC string.
    pub(crate) password_hash: String,
}

const COLUMNS: &str = "user_name, user_id, is_admin, locked, password_hash";

fn user(row: &AnyRow) -> sqlx::Result<User> {
    Ok(User {
        name: row.try_get(0)?,
        uid: row.try_get(1)?,
        is_admin: row.try_get::<i64, _>(2)? != 0,
        locked: row.try_get::<i64, _>(3)? != 0,
        password_hash: row.try_get(4)?,
    })
}

/// All users by name.
pub(crate) async fn all(db: &Db) -> sqlx::Result<Vec<User>> {
    let sql = format!("SELECT {COLUMNS} FROM licensed_users ORDER BY user_name");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(db.pool()).await?;
    rows.iter().map(user).collect()
}

/// Adds users that are not there yet, each with an id.
pub(crate) async fn add(db: &Db, users: &[(String, User)]) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    for (id, user) in users {
        sqlx::query(
            "INSERT INTO licensed_users (id, user_name, user_id, is_admin, locked, password_hash) \
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (user_name) DO NOTHING",
        )
        .bind(id.as_str())
        .bind(user.name.as_str())
        .bind(user.uid)
        .bind(i64::from(user.is_admin))
        .bind(i64::from(user.locked))
        .bind(user.password_hash.as_str())
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await
}

/// The user called `name`.
pub(crate) async fn find(db: &Db, name: &str) -> sqlx::Result<Option<User>> {
    let sql = format!("SELECT {COLUMNS} FROM licensed_users WHERE user_name = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(name).fetch_optional(db.pool()).await?;
    row.as_ref().map(user).transpose()
}

/// Notes a sign-in.
pub(crate) async fn signed_in(db: &Db, name: &str, now: i64) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE licensed_users SET last_sign_in = $1 WHERE user_name = $2")
        .bind(now)
        .bind(name)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Makes a sign-in cookie worthless until it expires anyway; forgets those that have expired.
pub(crate) async fn revoke(db: &Db, cookie: &str, expiration: i64, now: i64) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query("DELETE FROM revoked_cookie WHERE expiration < $1").bind(now).execute(&mut *tx).await?;
    sqlx::query(
        "INSERT INTO revoked_cookie (cookie_data, expiration) VALUES ($1, $2) ON CONFLICT (cookie_data) DO NOTHING",
    )
    .bind(cookie)
    .bind(expiration)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Whether a sign-in cookie was signed out.
pub(crate) async fn is_revoked(db: &Db, cookie: &str) -> sqlx::Result<bool> {
    let row = sqlx::query("SELECT expiration FROM revoked_cookie WHERE cookie_data = $1")
        .bind(cookie)
        .fetch_optional(db.pool())
        .await?;
    Ok(row.is_some())
}
