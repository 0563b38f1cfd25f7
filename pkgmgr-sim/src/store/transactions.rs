//! Transactions: every change, done or failed.

use sim_kit::{Db, Tx};
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// A change. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// Its number; also the name of the snapshot it makes.
    pub id: i64,
    /// The source that changed.
    pub source_id: Option<i64>,
    /// The repo that changed.
    pub repo_id: Option<i64>,
    /// `Sync`, `Create`, `Subscribe` …
    pub action: String,
    /// A line for people.
    pub tag: String,
    /// When it began.
    pub created_at: i64,
    /// When it ended.
    pub completed_at: i64,
    /// The time whose state it brought about.
    pub as_of: Option<i64>,
    /// From where on the events it brought are.
    pub published_from: Option<i64>,
    /// Until where.
    pub published_to: Option<i64>,
    /// New packages.
    pub packages_added: i64,
    /// Packages with a new version.
    pub packages_updated: i64,
    /// Packages archived altogether.
    pub packages_archived: i64,
    /// Packages removed.
    pub packages_removed: i64,
    /// 0 done, 1 failed.
    pub result: i64,
    /// Why it failed.
    pub error: String,
}

const COLUMNS: &str = "id, source_id, repo_id, action, tag, created_at, completed_at, as_of, published_from, \
                       published_to, packages_added, packages_updated, packages_archived, packages_removed, result, error";

fn transaction(row: &AnyRow) -> sqlx::Result<Transaction> {
    Ok(Transaction {
        id: row.try_get(0)?,
        source_id: row.try_get(1)?,
        repo_id: row.try_get(2)?,
        action: row.try_get(3)?,
        tag: row.try_get(4)?,
        created_at: row.try_get(5)?,
        completed_at: row.try_get(6)?,
        as_of: row.try_get(7)?,
        published_from: row.try_get(8)?,
        published_to: row.try_get(9)?,
        packages_added: row.try_get(10)?,
        packages_updated: row.try_get(11)?,
        packages_archived: row.try_get(12)?,
        packages_removed: row.try_get(13)?,
        result: row.try_get(14)?,
        error: row.try_get(15)?,
    })
}

/// Writes a transaction.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, t: &Transaction) -> sqlx::Result<()> {
    let sql = format!("INSERT INTO transactions ({COLUMNS}) VALUES ({})", super::placeholders(1, 16));
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(t.id)
        .bind(t.source_id)
        .bind(t.repo_id)
        .bind(&t.action)
        .bind(&t.tag)
        .bind(t.created_at)
        .bind(t.completed_at)
        .bind(t.as_of)
        .bind(t.published_from)
        .bind(t.published_to)
        .bind(t.packages_added)
        .bind(t.packages_updated)
        .bind(t.packages_archived)
        .bind(t.packages_removed)
        .bind(t.result)
        .bind(&t.error)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// A state of a source: the transaction that made it, and the time it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// The transaction.
    pub tx: i64,
    /// Microseconds since 1970.
    pub as_of: i64,
}

/// The newest state of `source` that a transaction numbered at most `tx` made.
///
/// # Errors
/// The database's.
pub async fn point(db: &Db, source: i64, tx: i64) -> sqlx::Result<Option<Point>> {
    let row = sqlx::query(
        "SELECT id, as_of FROM transactions WHERE source_id = $1 AND result = 0 AND as_of IS NOT NULL AND id <= $2
         ORDER BY id DESC LIMIT 1",
    )
    .bind(source)
    .bind(tx)
    .fetch_optional(db.pool())
    .await?;
    row.map(|row| Ok(Point { tx: row.try_get(0)?, as_of: row.try_get(1)? })).transpose()
}

/// The last state of `source` that stands for a time not after `as_of`. Of two for the same time the one that was first, since
/// that is the one that was served.
///
/// # Errors
/// The database's.
pub async fn point_at(db: &Db, source: i64, as_of: i64) -> sqlx::Result<Option<Point>> {
    let row = sqlx::query(
        "SELECT id, as_of FROM transactions WHERE source_id = $1 AND result = 0 AND as_of <= $2
         ORDER BY as_of DESC, id LIMIT 1",
    )
    .bind(source)
    .bind(as_of)
    .fetch_optional(db.pool())
    .await?;
    row.map(|row| Ok(Point { tx: row.try_get(0)?, as_of: row.try_get(1)? })).transpose()
}

/// Whether there is a transaction of this number, and it was done.
///
/// # Errors
/// The database's.
pub async fn exists(db: &Db, id: i64) -> sqlx::Result<bool> {
    let row = sqlx::query("SELECT id FROM transactions WHERE id = $1 AND result = 0")
        .bind(id)
        .fetch_optional(db.pool())
        .await?;
    Ok(row.is_some())
}

/// The number of the last transaction that was done; 0 before the first.
///
/// # Errors
/// The database's.
pub async fn last(db: &Db) -> sqlx::Result<i64> {
    let row = sqlx::query("SELECT MAX(id) FROM transactions WHERE result = 0").fetch_one(db.pool()).await?;
    Ok(row.try_get::<Option<i64>, _>(0)?.unwrap_or(0))
}

/// The states of `source`, oldest first.
///
/// # Errors
/// The database's.
pub async fn points(db: &Db, source: i64) -> sqlx::Result<Vec<Point>> {
    let rows = sqlx::query(
        "SELECT id, as_of FROM transactions WHERE source_id = $1 AND result = 0 AND as_of IS NOT NULL ORDER BY as_of, id",
    )
    .bind(source)
    .fetch_all(db.pool())
    .await?;
    rows.iter().map(|row| Ok(Point { tx: row.try_get(0)?, as_of: row.try_get(1)? })).collect()
}

/// A page of the transactions of `source`, newest first unless `ascending`.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db, source: i64, ascending: bool, limit: i64, offset: i64) -> sqlx::Result<Vec<Transaction>> {
    let order = if ascending { "ASC" } else { "DESC" };
    let sql = format!("SELECT {COLUMNS} FROM transactions WHERE source_id = $1 ORDER BY id {order} LIMIT $2 OFFSET $3");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(source).bind(limit).bind(offset).fetch_all(db.pool()).await?;
    rows.iter().map(transaction).collect()
}

/// A page of transactions, newest first: those of `sources`, of `repo`, and with `others` all that concern no source.
///
/// # Errors
/// The database's.
pub async fn recent(
    db: &Db,
    sources: &[i64],
    others: bool,
    repo: Option<i64>,
    limit: usize,
    offset: usize,
) -> sqlx::Result<Vec<Transaction>> {
    // Numbers, so they may stand in the text; a list of none needs one that is no source.
    let list = sources.iter().chain([&-1]).map(i64::to_string).collect::<Vec<_>>().join(", ");
    let others = if others { "OR source_id IS NULL" } else { "" };
    let sql = format!(
        "SELECT {COLUMNS} FROM transactions WHERE source_id IN ({list}) OR repo_id = $1 {others}
         ORDER BY id DESC LIMIT $2 OFFSET $3"
    );
    let (limit, offset) = (i64::try_from(limit).unwrap_or(i64::MAX), i64::try_from(offset).unwrap_or(i64::MAX));
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(repo.unwrap_or(-1)).bind(limit).bind(offset);
    query.fetch_all(db.pool()).await?.iter().map(transaction).collect()
}

/// Notes a failure. A failure like the one before only moves that one's end, so that a service that is down all night leaves
/// one line.
///
/// # Errors
/// The database's.
pub async fn fail(db: &Db, source: i64, action: &str, began: i64, now: i64, error: &str) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    let sql = format!("SELECT {COLUMNS} FROM transactions WHERE source_id = $1 ORDER BY id DESC LIMIT 1");
    let last = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(source).fetch_optional(&mut *tx).await?;
    let last = last.as_ref().map(transaction).transpose()?;
    if let Some(last) = last.filter(|last| last.result == 1 && last.error == error && last.action == action) {
        sqlx::query("UPDATE transactions SET completed_at = $1 WHERE id = $2")
            .bind(now)
            .bind(last.id)
            .execute(&mut *tx)
            .await?;
    } else {
        let id = super::take_numbers(&mut tx, "transactions", 1).await?;
        let failed = Transaction {
            id,
            source_id: Some(source),
            action: action.to_owned(),
            tag: format!("{action} failed"),
            created_at: began,
            completed_at: now,
            result: 1,
            error: error.to_owned(),
            ..Transaction::default()
        };
        insert(&mut tx, &failed).await?;
    }
    tx.commit().await
}
