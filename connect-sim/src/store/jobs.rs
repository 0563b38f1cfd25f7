//! Jobs: what ran for an item, with its log.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

/// A process or a restore of an item.
#[derive(Debug, Clone)]
pub struct Job {
    /// Id.
    pub id: i64,
    /// 16 letters and digits.
    pub key: String,
    /// For what.
    pub content_guid: String,
    /// For which bundle.
    pub bundle_id: Option<i64>,
    /// What kind, such as `python_restore`.
    pub tag: String,
    /// Microseconds.
    pub started: i64,
    /// Microseconds; none while it runs.
    pub ended: Option<i64>,
    /// None while it runs.
    pub exit_code: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
}

fn job(row: &AnyRow) -> sqlx::Result<Job> {
    Ok(Job {
        id: row.try_get("id")?,
        key: row.try_get("job_key")?,
        content_guid: row.try_get("content_guid")?,
        bundle_id: row.try_get("bundle_id")?,
        tag: row.try_get("tag")?,
        started: row.try_get("started")?,
        ended: row.try_get("ended")?,
        exit_code: row.try_get("exit_code")?,
        error: row.try_get("error")?,
    })
}

const COLUMNS: &str = "SELECT id, job_key, content_guid, bundle_id, tag, started, ended, exit_code, error FROM jobs";

/// Inserts a job with its log, one line a line.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, job: &Job, log: &str) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO jobs (id, job_key, content_guid, bundle_id, tag, started, ended, exit_code, error, log) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(job.id)
    .bind(&job.key)
    .bind(&job.content_guid)
    .bind(job.bundle_id)
    .bind(&job.tag)
    .bind(job.started)
    .bind(job.ended)
    .bind(job.exit_code)
    .bind(&job.error)
    .bind(log)
    .execute(db)
    .await?;
    Ok(())
}

/// An item's jobs, newest first.
///
/// # Errors
/// When the database fails.
pub async fn of_content(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Vec<Job>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE content_guid = $1 ORDER BY id DESC LIMIT 1000"));
    sqlx::query(sql).bind(content_guid).fetch_all(db).await?.iter().map(job).collect()
}

/// One job of an item.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, content_guid: &str, key: &str) -> sqlx::Result<Option<Job>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE content_guid = $1 AND job_key = $2"));
    sqlx::query(sql).bind(content_guid).bind(key).fetch_optional(db).await?.as_ref().map(job).transpose()
}

/// The log of a job.
///
/// # Errors
/// When the database fails, or there is no such job.
pub async fn log(db: &mut AnyConnection, id: i64) -> sqlx::Result<String> {
    sqlx::query("SELECT log FROM jobs WHERE id = $1").bind(id).fetch_one(db).await?.try_get(0)
}

/// The jobs of all items that began last, newest first.
///
/// # Errors
/// When the database fails.
pub async fn newest(db: &mut AnyConnection, limit: i64) -> sqlx::Result<Vec<Job>> {
    let query = format!("{COLUMNS} ORDER BY id DESC LIMIT $1");
    let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(limit).fetch_all(db).await?;
    rows.iter().map(job).collect()
}
