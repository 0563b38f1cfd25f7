//! Where content comes from that is backed by git.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::flag;

/// The repository of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Of what.
    pub content_guid: String,
    /// URL.
    pub repository: String,
    /// Branch.
    pub branch: String,
    /// Path inside the repository, `.` for its root.
    pub directory: String,
    /// Whether new commits are looked for.
    pub polling: bool,
    /// Why the last fetch, deploy or look failed.
    pub last_error: Option<String>,
    /// The commit that was deployed or tried last.
    pub last_known_commit: Option<String>,
    /// Microseconds of the last fetch.
    pub last_fetched: Option<i64>,
    /// Microseconds of the next look; none before the first fetch.
    pub next_poll: Option<i64>,
}

fn repository(row: &AnyRow) -> sqlx::Result<Repository> {
    Ok(Repository {
        content_guid: row.try_get("content_guid")?,
        repository: row.try_get("repository")?,
        branch: row.try_get("branch")?,
        directory: row.try_get("directory")?,
        polling: flag(row, "polling")?,
        last_error: row.try_get("last_error")?,
        last_known_commit: row.try_get("last_known_commit")?,
        last_fetched: row.try_get("last_fetched")?,
        next_poll: row.try_get("next_poll")?,
    })
}

/// The repository of an item.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Option<Repository>> {
    let sql = "SELECT * FROM repositories WHERE content_guid = $1";
    sqlx::query(sql).bind(content_guid).fetch_optional(db).await?.as_ref().map(repository).transpose()
}

/// Writes the repository of an item in place of the one before.
///
/// # Errors
/// When the database fails.
pub async fn put(db: &mut AnyConnection, repository: &Repository) -> sqlx::Result<()> {
    delete(&mut *db, &repository.content_guid).await?;
    sqlx::query(
        "INSERT INTO repositories (content_guid, repository, branch, directory, polling, last_error, \
         last_known_commit, last_fetched, next_poll) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    )
    .bind(&repository.content_guid)
    .bind(&repository.repository)
    .bind(&repository.branch)
    .bind(&repository.directory)
    .bind(i64::from(repository.polling))
    .bind(&repository.last_error)
    .bind(&repository.last_known_commit)
    .bind(repository.last_fetched)
    .bind(repository.next_poll)
    .execute(db)
    .await?;
    Ok(())
}

/// Takes the repository of an item away; false when it has none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM repositories WHERE content_guid = $1";
    Ok(sqlx::query(sql).bind(content_guid).execute(db).await?.rows_affected() > 0)
}

/// Notes that a commit was fetched.
///
/// # Errors
/// When the database fails.
pub async fn fetched(db: &mut AnyConnection, content_guid: &str, commit: &str, now: i64) -> sqlx::Result<()> {
    let sql = "UPDATE repositories SET last_known_commit = $2, last_fetched = $3 WHERE content_guid = $1";
    sqlx::query(sql).bind(content_guid).bind(commit).bind(now).execute(db).await?;
    Ok(())
}

/// Notes how a deploy or a look ended (`None`: well), and when to look next.
///
/// # Errors
/// When the database fails.
pub async fn tried(db: &mut AnyConnection, content_guid: &str, error: Option<&str>, next: i64) -> sqlx::Result<()> {
    let sql = "UPDATE repositories SET last_error = $2, next_poll = $3 WHERE content_guid = $1";
    sqlx::query(sql).bind(content_guid).bind(error).bind(next).execute(db).await?;
    Ok(())
}

/// The polled repositories whose next look is at `now` or before.
///
/// # Errors
/// When the database fails.
pub async fn due(db: &mut AnyConnection, now: i64) -> sqlx::Result<Vec<Repository>> {
    let sql = "SELECT * FROM repositories WHERE polling = 1 AND next_poll <= $1 ORDER BY next_poll, content_guid";
    sqlx::query(sql).bind(now).fetch_all(db).await?.iter().map(repository).collect()
}

/// Moves the next look from `from` to `to`; false when another server has done so.
///
/// # Errors
/// When the database fails.
pub async fn advance(db: &mut AnyConnection, content_guid: &str, from: i64, to: i64) -> sqlx::Result<bool> {
    let sql = "UPDATE repositories SET next_poll = $3 WHERE content_guid = $1 AND next_poll = $2 AND polling = 1";
    Ok(sqlx::query(sql).bind(content_guid).bind(from).bind(to).execute(db).await?.rows_affected() > 0)
}

/// When the next look is, in microseconds.
///
/// # Errors
/// When the database fails.
pub async fn next_poll(db: &mut AnyConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query("SELECT MIN(next_poll) FROM repositories WHERE polling = 1").fetch_one(db).await?.try_get(0)
}
