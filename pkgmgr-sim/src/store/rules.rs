//! Blocklist rules with their history.

use sim_kit::{Db, Tx};
use sqlx::Row as _;

use super::FOREVER;

/// A rule as it was for a while: seen by the transactions `since_tx <= id < until_tx`, and at the times `since <= t < until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number; edited it keeps it.
    pub id: i64,
    /// The first transaction that sees it.
    pub since_tx: i64,
    /// Microseconds since 1970.
    pub since: i64,
    /// The first transaction that does not see it any more.
    pub until_tx: i64,
    /// Microseconds since 1970.
    pub until: i64,
    /// JSON.
    pub rule: String,
}

/// All rules that ever were.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> sqlx::Result<Vec<Row>> {
    let rows =
        sqlx::query("SELECT id, since_tx, since, until_tx, until, rule FROM blocklist_rules ORDER BY id, since_tx")
            .fetch_all(db.pool())
            .await?;
    rows.iter()
        .map(|row| {
            Ok(Row {
                id: row.try_get(0)?,
                since_tx: row.try_get(1)?,
                since: row.try_get(2)?,
                until_tx: row.try_get(3)?,
                until: row.try_get(4)?,
                rule: row.try_get(5)?,
            })
        })
        .collect()
}

/// Writes rule `id` as it is from transaction `since_tx` at time `since` on.
///
/// # Errors
/// The database's.
pub async fn start(tx: &mut Tx, id: i64, since_tx: i64, since: i64, rule: &str) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO blocklist_rules (id, since_tx, since, until_tx, until, rule) VALUES ($1, $2, $3, $4, $4, $5)",
    )
    .bind(id)
    .bind(since_tx)
    .bind(since)
    .bind(FOREVER)
    .bind(rule)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Ends rule `id` with transaction `until_tx` at time `until`. False when there is no such rule now.
///
/// # Errors
/// The database's.
pub async fn end(tx: &mut Tx, id: i64, until_tx: i64, until: i64) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE blocklist_rules SET until_tx = $1, until = $2 WHERE id = $3 AND until_tx = $4")
        .bind(until_tx)
        .bind(until)
        .bind(id)
        .bind(FOREVER)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}
