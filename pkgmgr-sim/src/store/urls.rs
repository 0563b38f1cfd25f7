//! Created snapshot URLs.

use sim_kit::{Db, Tx};
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// A created URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The segment that stands for the snapshot.
    pub id: String,
    /// The repo in whose URLs it stands.
    pub repo_id: i64,
    /// The long form of the same.
    pub spelled: String,
    /// Cannot be deleted.
    pub locked: bool,
    /// Microseconds since 1970.
    pub created_at: i64,
}

const COLUMNS: &str = "id, repo_id, spelled, locked, created_at";

fn row(row: &AnyRow) -> sqlx::Result<Row> {
    Ok(Row {
        id: row.try_get(0)?,
        repo_id: row.try_get(1)?,
        spelled: row.try_get(2)?,
        locked: row.try_get::<i64, _>(3)? != 0,
        created_at: row.try_get(4)?,
    })
}

/// Writes a URL.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, url: &Row) -> sqlx::Result<()> {
    let sql = format!("INSERT INTO urls ({COLUMNS}) VALUES ($1, $2, $3, $4, $5)");
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(&url.id)
        .bind(url.repo_id)
        .bind(&url.spelled)
        .bind(i64::from(url.locked))
        .bind(url.created_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The URL `id` of `repo`, unless it is deleted.
///
/// # Errors
/// The database's.
pub async fn get(db: &Db, repo: i64, id: &str) -> sqlx::Result<Option<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM urls WHERE id = $1 AND repo_id = $2 AND deleted_at IS NULL");
    let found = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).bind(repo).fetch_optional(db.pool()).await?;
    found.as_ref().map(row).transpose()
}

/// The URLs of `repo`, oldest first.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db, repo: i64) -> sqlx::Result<Vec<Row>> {
    let sql = format!("SELECT {COLUMNS} FROM urls WHERE repo_id = $1 AND deleted_at IS NULL ORDER BY created_at, id");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(repo).fetch_all(db.pool()).await?;
    rows.iter().map(row).collect()
}

/// Takes a URL that is not locked out of use. False when there is none.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, repo: i64, id: &str, now: i64) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE urls SET deleted_at = $1 WHERE id = $2 AND repo_id = $3 AND locked = 0 AND deleted_at IS NULL",
    )
    .bind(now)
    .bind(id)
    .bind(repo)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}
