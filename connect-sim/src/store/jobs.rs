//! Jobs: what ran for an item, with its log.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::flag;

/// A process, a restore or a render of an item.
#[derive(Debug, Clone)]
pub struct Job {
    /// Id.
    pub id: i64,
    /// 16 letters and digits.
    pub key: String,
    /// For what.
    pub content_guid: String,
    /// The task that it is a part of, whose output is its log; none for a process.
    pub task_id: Option<String>,
    /// For which bundle.
    pub bundle_id: Option<i64>,
    /// For which variant of a document.
    pub variant_id: Option<i64>,
    /// What kind, such as `python_restore`.
    pub tag: String,
    /// Microseconds at which a schedule asked for it; none for what no schedule did.
    pub queued: Option<i64>,
    /// Microseconds.
    pub started: i64,
    /// Microseconds; none while it runs.
    pub ended: Option<i64>,
    /// None while it runs, and for one that was skipped.
    pub exit_code: Option<i64>,
    /// Why it failed.
    pub error: Option<String>,
    /// Why it ended without having begun.
    pub skip_reason: Option<String>,
    /// The Unix user; none for the server's.
    pub run_as: Option<String>,
    /// Whether it answers visits.
    pub is_process: bool,
}

impl Job {
    /// One that starts at `now`.
    #[must_use]
    pub fn new(id: i64, key: String, content_guid: &str, tag: &str, now: i64) -> Self {
        Self {
            id,
            key,
            content_guid: content_guid.to_owned(),
            task_id: None,
            bundle_id: None,
            variant_id: None,
            tag: tag.to_owned(),
            queued: None,
            started: now,
            ended: None,
            exit_code: None,
            error: None,
            skip_reason: None,
            run_as: None,
            is_process: false,
        }
    }
}

fn job(row: &AnyRow) -> sqlx::Result<Job> {
    Ok(Job {
        id: row.try_get("id")?,
        key: row.try_get("job_key")?,
        content_guid: row.try_get("content_guid")?,
        task_id: row.try_get("task_id")?,
        bundle_id: row.try_get("bundle_id")?,
        variant_id: row.try_get("variant_id")?,
        tag: row.try_get("tag")?,
        queued: row.try_get("queued")?,
        started: row.try_get("started")?,
        ended: row.try_get("ended")?,
        exit_code: row.try_get("exit_code")?,
        error: row.try_get("error")?,
        skip_reason: row.try_get("skip_reason")?,
        run_as: row.try_get("run_as")?,
        is_process: flag(row, "is_process")?,
    })
}

const COLUMNS: &str = "SELECT id, job_key, content_guid, task_id, bundle_id, variant_id, tag, queued, started, ended, \
     exit_code, error, skip_reason, run_as, is_process FROM jobs";

/// Inserts a job that runs, with its log, one line a line. That of a job of a task is its task's output, with `log` after it.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, job: &Job, log: &str) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO jobs (id, job_key, content_guid, task_id, bundle_id, variant_id, tag, queued, started, run_as, \
         is_process, log) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(job.id)
    .bind(&job.key)
    .bind(&job.content_guid)
    .bind(&job.task_id)
    .bind(job.bundle_id)
    .bind(job.variant_id)
    .bind(&job.tag)
    .bind(job.queued)
    .bind(job.started)
    .bind(&job.run_as)
    .bind(i64::from(job.is_process))
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
    let sql = AssertSqlSafe(format!("{COLUMNS} WHERE content_guid = $1 ORDER BY id DESC LIMIT 1000"));
    sqlx::query(sql).bind(content_guid).fetch_all(db).await?.iter().map(job).collect()
}

/// One job of an item.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, content_guid: &str, key: &str) -> sqlx::Result<Option<Job>> {
    let sql = AssertSqlSafe(format!("{COLUMNS} WHERE content_guid = $1 AND job_key = $2"));
    sqlx::query(sql).bind(content_guid).bind(key).fetch_optional(db).await?.as_ref().map(job).transpose()
}

/// The jobs of a task, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn of_task(db: &mut AnyConnection, task_id: &str) -> sqlx::Result<Vec<Job>> {
    let sql = AssertSqlSafe(format!("{COLUMNS} WHERE task_id = $1 ORDER BY id"));
    sqlx::query(sql).bind(task_id).fetch_all(db).await?.iter().map(job).collect()
}

/// Writes how a job ended, and what is known of it only then: its bundle and its variant.
///
/// # Errors
/// When the database fails.
pub async fn finish(db: &mut AnyConnection, job: &Job) -> sqlx::Result<()> {
    let sql = "UPDATE jobs SET ended = $2, exit_code = $3, error = $4, skip_reason = $5, bundle_id = $6, variant_id = $7 \
         WHERE id = $1";
    let query = sqlx::query(sql).bind(job.id).bind(job.ended).bind(job.exit_code).bind(&job.error);
    query.bind(&job.skip_reason).bind(job.bundle_id).bind(job.variant_id).execute(db).await?;
    Ok(())
}

/// The log of a job: of one that is a part of a task, the output of all of that task so far.
///
/// # Errors
/// When the database fails, or there is no such job.
pub async fn log(db: &mut AnyConnection, job: &Job) -> sqlx::Result<String> {
    let own: String =
        sqlx::query("SELECT log FROM jobs WHERE id = $1").bind(job.id).fetch_one(&mut *db).await?.try_get(0)?;
    let Some(task) = &job.task_id else { return Ok(own) };
    let mut log = vec![format!("[rsc-session] Content GUID: {}", job.content_guid)];
    if let Some(content) = super::content::by_guid(&mut *db, &job.content_guid).await? {
        log.push(format!("[rsc-session] Content ID: {}", content.id));
    }
    // One that fetches a repository makes its bundle in the course of its log.
    if let Some(id) = job.bundle_id.filter(|_| job.tag != "git") {
        log.push(format!("[rsc-session] Bundle ID: {id}"));
    }
    log.extend(super::tasks::output(db, task, 0).await?);
    log.extend(own.lines().filter(|line| !line.is_empty()).map(str::to_owned));
    Ok(log.join("\n"))
}

/// How many jobs of a variant failed, and when the last of them did, in microseconds.
///
/// # Errors
/// When the database fails.
pub async fn failures(db: &mut AnyConnection, content_guid: &str, variant_id: i64) -> sqlx::Result<(i64, Option<i64>)> {
    let sql = "SELECT COUNT(*), MAX(ended) FROM jobs WHERE content_guid = $1 AND variant_id = $2 AND exit_code <> 0";
    let row = sqlx::query(sql).bind(content_guid).bind(variant_id).fetch_one(db).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
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

/// The processes of an item that run, oldest first; of all items without a guid.
///
/// # Errors
/// When the database fails.
pub async fn processes(db: &mut AnyConnection, content_guid: Option<&str>) -> sqlx::Result<Vec<Job>> {
    let sql =
        format!("{COLUMNS} WHERE ended IS NULL AND is_process = 1 AND ($1 IS NULL OR content_guid = $1) ORDER BY id");
    sqlx::query(AssertSqlSafe(sql)).bind(content_guid).fetch_all(db).await?.iter().map(job).collect()
}

/// Ends a job that runs, with a last line of its log; false when it does not run.
///
/// # Errors
/// When the database fails.
pub async fn end(db: &mut AnyConnection, id: i64, now: i64, exit_code: i64, line: &str) -> sqlx::Result<bool> {
    let sql = "UPDATE jobs SET ended = $2, exit_code = $3, log = log || $4 WHERE id = $1 AND ended IS NULL";
    let query = sqlx::query(sql).bind(id).bind(now).bind(exit_code).bind(format!("\n{line}"));
    Ok(query.execute(db).await?.rows_affected() > 0)
}

/// Orders the end of a job that runs; false when it does not run.
///
/// # Errors
/// When the database fails.
pub async fn kill(db: &mut AnyConnection, id: i64, at: i64) -> sqlx::Result<bool> {
    let sql = "UPDATE jobs SET kill_at = COALESCE(kill_at, $2) WHERE id = $1 AND ended IS NULL";
    Ok(sqlx::query(sql).bind(id).bind(at).execute(db).await?.rows_affected() > 0)
}

/// The jobs whose end was ordered for `now` or before.
///
/// # Errors
/// When the database fails.
pub async fn to_kill(db: &mut AnyConnection, now: i64) -> sqlx::Result<Vec<Job>> {
    let sql = AssertSqlSafe(format!("{COLUMNS} WHERE ended IS NULL AND kill_at <= $1 ORDER BY id"));
    sqlx::query(sql).bind(now).fetch_all(db).await?.iter().map(job).collect()
}

/// When the next ordered end is, in microseconds.
///
/// # Errors
/// When the database fails.
pub async fn next_kill(db: &mut AnyConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query("SELECT MIN(kill_at) FROM jobs WHERE ended IS NULL").fetch_one(db).await?.try_get(0)
}

/// The jobs that schedules asked for, which started in a span of microseconds (ends included), oldest first.
///
/// # Errors
/// When the database fails.
pub async fn scheduled(db: &mut AnyConnection, from: i64, to: i64) -> sqlx::Result<Vec<Job>> {
    let sql = AssertSqlSafe(format!(
        "{COLUMNS} WHERE queued IS NOT NULL AND started >= $1 AND started <= $2 ORDER BY started, id"
    ));
    sqlx::query(sql).bind(from).bind(to).fetch_all(db).await?.iter().map(job).collect()
}

/// Says whose process a job is.
///
/// # Errors
/// When the database fails.
pub async fn set_node(db: &mut AnyConnection, id: i64, node: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE jobs SET node = $2 WHERE id = $1").bind(id).bind(node).execute(db).await?;
    Ok(())
}

/// Says that a server is alive, unless it was said at `enough` or later.
///
/// # Errors
/// When the database fails.
pub async fn alive(db: &mut AnyConnection, node: &str, now: i64, enough: i64) -> sqlx::Result<()> {
    let sql = "INSERT INTO nodes (id, seen) VALUES ($1, $2) ON CONFLICT (id) DO UPDATE SET seen = excluded.seen \
         WHERE nodes.seen < $3";
    sqlx::query(sql).bind(node).bind(now).bind(enough).execute(db).await?;
    Ok(())
}

/// When a server last said that it is alive, in microseconds.
///
/// # Errors
/// When the database fails.
pub async fn last_seen(db: &mut AnyConnection, node: &str) -> sqlx::Result<Option<i64>> {
    let row = sqlx::query("SELECT seen FROM nodes WHERE id = $1").bind(node).fetch_optional(db).await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// The processes that no server has: those of nobody, and those of servers that were last seen before `since`. Of `node`
/// itself none.
///
/// # Errors
/// When the database fails.
pub async fn orphans(db: &mut AnyConnection, node: &str, since: i64) -> sqlx::Result<Vec<Job>> {
    let sql = AssertSqlSafe(format!(
        "{COLUMNS} WHERE ended IS NULL AND is_process = 1 AND (node IS NULL OR (node <> $1 \
         AND node NOT IN (SELECT id FROM nodes WHERE seen >= $2))) ORDER BY id"
    ));
    sqlx::query(sql).bind(node).bind(since).fetch_all(db).await?.iter().map(job).collect()
}

/// The processes of a server.
///
/// # Errors
/// When the database fails.
pub async fn of_node(db: &mut AnyConnection, node: &str) -> sqlx::Result<Vec<Job>> {
    let sql = AssertSqlSafe(format!("{COLUMNS} WHERE ended IS NULL AND is_process = 1 AND node = $1 ORDER BY id"));
    sqlx::query(sql).bind(node).fetch_all(db).await?.iter().map(job).collect()
}
