//! Tasks: work that goes on after the answer, which any server of the database may pick up.
//!
//! A worker claims a task with a lease and renews it. When the worker dies, the lease runs out and the task is claimed
//! again. Output is appended in pieces of several lines, so that it can be read while it grows.

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, flag};

/// A task.
#[derive(Debug, Clone)]
pub struct Task {
    /// 16 letters and digits.
    pub id: String,
    /// `deploy`, `build`, `render` or one that begins with `git-`; any other is finished when it is inserted.
    pub kind: String,
    /// For what.
    pub content_guid: Option<String>,
    /// With what.
    pub bundle_id: Option<i64>,
    /// The variant to render.
    pub variant_id: Option<i64>,
    /// Whether the bundle becomes the active one.
    pub activate: bool,
    /// Who asked for it.
    pub user_guid: String,
    /// `queued`, `running`, `finished`.
    pub state: String,
    /// How often it was claimed.
    pub attempts: i64,
    /// Microseconds.
    pub created: i64,
    /// Microseconds.
    pub finished: Option<i64>,
    /// 0 for success.
    pub code: i64,
    /// Why it failed; empty for success.
    pub error: String,
    /// Lines of output so far.
    pub lines: i64,
    /// What its kind needs to know; null when that is nothing.
    pub detail: Value,
    /// What it found, as clients see it; null when that is nothing.
    pub result: Value,
}

impl Task {
    /// A task that waits for a worker, for nothing in particular.
    #[must_use]
    pub fn new(id: String, kind: &str, user_guid: &str, created: i64) -> Self {
        Self {
            id,
            kind: kind.to_owned(),
            content_guid: None,
            bundle_id: None,
            variant_id: None,
            activate: false,
            user_guid: user_guid.to_owned(),
            state: "queued".to_owned(),
            attempts: 0,
            created,
            finished: None,
            code: 0,
            error: String::new(),
            lines: 0,
            detail: Value::Null,
            result: Value::Null,
        }
    }
}

/// A column that holds JSON or nothing.
fn optional(row: &AnyRow, column: &str) -> sqlx::Result<Value> {
    let text: Option<String> = row.try_get(column)?;
    let read = text.map_or(Ok(Value::Null), |text| serde_json::from_str(&text));
    read.map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
}

/// JSON for such a column.
fn text(value: &Value) -> Option<String> {
    (!value.is_null()).then(|| as_json(value))
}

fn task(row: &AnyRow) -> sqlx::Result<Task> {
    Ok(Task {
        id: row.try_get("id")?,
        kind: row.try_get("kind")?,
        content_guid: row.try_get("content_guid")?,
        bundle_id: row.try_get("bundle_id")?,
        variant_id: row.try_get("variant_id")?,
        activate: flag(row, "activate")?,
        user_guid: row.try_get("user_guid")?,
        state: row.try_get("state")?,
        attempts: row.try_get("attempts")?,
        created: row.try_get("created")?,
        finished: row.try_get("finished")?,
        code: row.try_get("code")?,
        error: row.try_get("error")?,
        lines: row.try_get("lines")?,
        detail: optional(row, "detail")?,
        result: optional(row, "result")?,
    })
}

/// Inserts a task that waits for a worker.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, task: &Task) -> sqlx::Result<()> {
    let number = super::next(&mut *db, "task").await?;
    sqlx::query(
        "INSERT INTO tasks (id, number, kind, content_guid, bundle_id, variant_id, activate, user_guid, state, attempts, \
         created, code, error, lines, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 'queued', 0, $9, 0, '', 0, $10)",
    )
    .bind(&task.id)
    .bind(number)
    .bind(&task.kind)
    .bind(&task.content_guid)
    .bind(task.bundle_id)
    .bind(task.variant_id)
    .bind(i64::from(task.activate))
    .bind(&task.user_guid)
    .bind(task.created)
    .bind(text(&task.detail))
    .execute(db)
    .await?;
    Ok(())
}

/// Inserts a task whose work is done in the same transaction, with its output.
///
/// # Errors
/// When the database fails.
pub async fn insert_finished(db: &mut AnyConnection, task: &Task, output: &[String]) -> sqlx::Result<()> {
    insert(&mut *db, task).await?;
    append(&mut *db, &task.id, output).await?;
    let sql = "UPDATE tasks SET state = 'finished', finished = created, code = $2, error = $3 WHERE id = $1";
    sqlx::query(sql).bind(&task.id).bind(task.code).bind(&task.error).execute(db).await?;
    Ok(())
}

/// By id.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, id: &str) -> sqlx::Result<Option<Task>> {
    let sql = "SELECT * FROM tasks WHERE id = $1";
    sqlx::query(sql).bind(id).fetch_optional(db).await?.as_ref().map(task).transpose()
}

/// The newest task of an item.
///
/// # Errors
/// When the database fails.
pub async fn newest(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Option<Task>> {
    let sql = "SELECT * FROM tasks WHERE content_guid = $1 ORDER BY number DESC LIMIT 1";
    sqlx::query(sql).bind(content_guid).fetch_optional(db).await?.as_ref().map(task).transpose()
}

/// Whether a bundle of an item has been the active one.
///
/// # Errors
/// When the database fails.
pub async fn has_activated(db: &mut AnyConnection, content_guid: &str, bundle_id: i64) -> sqlx::Result<bool> {
    let sql = "SELECT id FROM tasks WHERE content_guid = $1 AND bundle_id = $2 AND activate = 1 AND state = 'finished' \
         AND code = 0 LIMIT 1";
    Ok(sqlx::query(sql).bind(content_guid).bind(bundle_id).fetch_optional(db).await?.is_some())
}

/// The renders that schedules asked for and that are not over.
///
/// # Errors
/// When the database fails.
pub async fn scheduled(db: &mut AnyConnection) -> sqlx::Result<Vec<Task>> {
    let sql =
        "SELECT * FROM tasks WHERE state <> 'finished' AND kind = 'render' AND detail IS NOT NULL ORDER BY number";
    sqlx::query(sql).fetch_all(db).await?.iter().map(task).collect()
}

/// The tasks that are not over, with their numbers, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn waiting(db: &mut AnyConnection) -> sqlx::Result<Vec<(i64, Task)>> {
    let sql = "SELECT * FROM tasks WHERE state <> 'finished' ORDER BY number";
    let row = |row: &AnyRow| Ok((row.try_get("number")?, task(row)?));
    sqlx::query(sql).fetch_all(db).await?.iter().map(row).collect()
}

/// How many tasks wait for a worker, and since when the oldest does.
///
/// # Errors
/// When the database fails.
pub async fn queue(db: &mut AnyConnection) -> sqlx::Result<(i64, Option<i64>)> {
    let row = sqlx::query("SELECT COUNT(*), MIN(created) FROM tasks WHERE state = 'queued'").fetch_one(db).await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

/// Ends a task that nobody works on; false when somebody does.
///
/// # Errors
/// When the database fails.
pub async fn cancel(db: &mut AnyConnection, id: &str, now: i64, error: &str) -> sqlx::Result<bool> {
    let sql =
        "UPDATE tasks SET state = 'finished', finished = $2, code = 1, error = $3 WHERE id = $1 AND state = 'queued'";
    Ok(sqlx::query(sql).bind(id).bind(now).bind(error).execute(db).await?.rows_affected() > 0)
}

/// Lines from number `first` (from 0) on.
///
/// # Errors
/// When the database fails.
pub async fn output(db: &mut AnyConnection, id: &str, first: i64) -> sqlx::Result<Vec<String>> {
    let sql = "SELECT first_line, text FROM task_output WHERE task_id = $1 AND first_line + lines > $2 \
         ORDER BY first_line";
    let mut output = Vec::new();
    for row in sqlx::query(sql).bind(id).bind(first).fetch_all(db).await? {
        let (start, text): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let skip = usize::try_from(first - start).unwrap_or(0);
        output.extend(text.split('\n').skip(skip).map(str::to_owned));
    }
    Ok(output)
}

/// Appends lines, none of which holds a line break.
///
/// # Errors
/// When the database fails.
pub async fn append(db: &mut AnyConnection, id: &str, lines: &[String]) -> sqlx::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(lines.len()).unwrap_or(i64::MAX);
    let sql = "UPDATE tasks SET lines = lines + $2 WHERE id = $1 RETURNING lines";
    let Some(row) = sqlx::query(sql).bind(id).bind(count).fetch_optional(&mut *db).await? else { return Ok(()) };
    let after: i64 = row.try_get(0)?;
    sqlx::query("INSERT INTO task_output (task_id, first_line, lines, text) VALUES ($1, $2, $3, $4)")
        .bind(id)
        .bind(after - count)
        .bind(count)
        .bind(lines.join("\n"))
        .execute(db)
        .await?;
    Ok(())
}

/// Gives `worker` the oldest task that waits or whose lease ran out before `now`, until `lease`. The tasks of one item
/// are carried out one after the other, so that the last deploy asked for is the last that takes effect. Of the renders
/// that schedules asked for, at most `scheduled` are carried out at a time.
///
/// # Errors
/// When the database fails.
pub async fn claim(
    db: &mut AnyConnection,
    worker: &str,
    (now, lease): (i64, i64),
    scheduled: i64,
) -> sqlx::Result<Option<Task>> {
    // Never its own: a worker whose clock was moved past its lease is still at work. Two servers may choose the same
    // row; the second finds that it does not qualify any more.
    let sql = "UPDATE tasks SET state = 'running', worker = $1, lease = $3, attempts = attempts + 1 \
         WHERE id = (SELECT id FROM tasks AS next WHERE (state = 'queued' OR (state = 'running' AND lease < $2 \
         AND worker <> $1)) AND NOT EXISTS (SELECT 1 FROM tasks AS earlier WHERE earlier.content_guid = next.content_guid \
         AND earlier.number < next.number AND earlier.state <> 'finished') \
         AND (next.kind <> 'render' OR next.detail IS NULL OR (SELECT COUNT(*) FROM tasks AS busy \
         WHERE busy.state = 'running' AND busy.kind = 'render' AND busy.detail IS NOT NULL AND busy.id <> next.id) < $4) \
         ORDER BY number LIMIT 1) \
         AND (state = 'queued' OR (state = 'running' AND lease < $2 AND worker <> $1)) RETURNING *";
    let query = sqlx::query(sql).bind(worker).bind(now).bind(lease).bind(scheduled);
    query.fetch_optional(db).await?.as_ref().map(task).transpose()
}

/// Whether a task waits for a worker, and when the next lease of another worker than `worker` runs out, in microseconds.
///
/// # Errors
/// When the database fails.
pub async fn outlook(db: &mut AnyConnection, worker: &str) -> sqlx::Result<(bool, Option<i64>)> {
    let sql = "SELECT CAST(CASE WHEN EXISTS (SELECT 1 FROM tasks WHERE state = 'queued') THEN 1 ELSE 0 END AS BIGINT), \
         (SELECT MIN(lease) FROM tasks WHERE state = 'running' AND worker <> $1)";
    let row = sqlx::query(sql).bind(worker).fetch_one(db).await?;
    Ok((row.try_get::<i64, _>(0)? != 0, row.try_get(1)?))
}

/// Keeps a claimed task; false when another worker has it.
///
/// # Errors
/// When the database fails.
pub async fn renew(db: &mut AnyConnection, id: &str, worker: &str, lease: i64) -> sqlx::Result<bool> {
    let sql = "UPDATE tasks SET lease = $3 WHERE id = $1 AND worker = $2 AND state = 'running'";
    Ok(sqlx::query(sql).bind(id).bind(worker).bind(lease).execute(db).await?.rows_affected() > 0)
}

/// Names the bundle that a task which `worker` has works on; false when it has it no more.
///
/// # Errors
/// When the database fails.
pub async fn set_bundle(db: &mut AnyConnection, id: &str, worker: &str, bundle_id: i64) -> sqlx::Result<bool> {
    let sql = "UPDATE tasks SET bundle_id = $3 WHERE id = $1 AND worker = $2 AND state = 'running'";
    Ok(sqlx::query(sql).bind(id).bind(worker).bind(bundle_id).execute(db).await?.rows_affected() > 0)
}

/// How a task ended.
#[derive(Debug, Default)]
pub struct End<'a> {
    /// 0 for success.
    pub code: i64,
    /// Why it failed; empty for success.
    pub error: &'a str,
    /// What it found.
    pub result: Value,
}

/// Ends a task that `worker` has; false when it has it no more.
///
/// # Errors
/// When the database fails.
pub async fn finish(db: &mut AnyConnection, id: &str, worker: &str, now: i64, end: &End<'_>) -> sqlx::Result<bool> {
    let sql = "UPDATE tasks SET state = 'finished', finished = $3, code = $4, error = $5, result = $6, lease = NULL \
         WHERE id = $1 AND worker = $2 AND state = 'running'";
    let query = sqlx::query(sql).bind(id).bind(worker).bind(now).bind(end.code).bind(end.error);
    Ok(query.bind(text(&end.result)).execute(db).await?.rows_affected() > 0)
}

/// Lets every claimed task be claimed at once: for a server that is alone and has just started.
///
/// # Errors
/// When the database fails.
pub async fn release_all(db: &mut AnyConnection) -> sqlx::Result<()> {
    sqlx::query("UPDATE tasks SET lease = 0 WHERE state = 'running'").execute(db).await?;
    Ok(())
}
