//! Servers that share a database.

use sim_kit::{Db, Tx};
use sqlx::Row as _;

/// A server. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it calls itself in its data folder.
    pub id: String,
    /// Its machine.
    pub name: String,
    /// Its release.
    pub version: String,
    /// Whether it is in maintenance.
    pub offline: bool,
    /// When it was started.
    pub started_at: i64,
    /// When it last said that it lives.
    pub seen_at: i64,
}

/// Notes that `node` has started, and forgets those that were not seen since `long_ago`. Whether it is offline stays as it was, and
/// is what this gives.
///
/// # Errors
/// The database's.
pub async fn join(tx: &mut Tx, node: &Node, long_ago: i64) -> sqlx::Result<bool> {
    sqlx::query("DELETE FROM nodes WHERE seen_at < $1 AND id <> $2")
        .bind(long_ago)
        .bind(&node.id)
        .execute(&mut **tx)
        .await?;
    let offline: i64 = sqlx::query(
        "INSERT INTO nodes (id, name, version, offline, started_at, seen_at) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET name = $2, version = $3, started_at = $5, seen_at = $6 RETURNING offline",
    )
    .bind(&node.id)
    .bind(&node.name)
    .bind(&node.version)
    .bind(i64::from(node.offline))
    .bind(node.started_at)
    .bind(node.seen_at)
    .fetch_one(&mut **tx)
    .await?
    .try_get(0)?;
    Ok(offline != 0)
}

/// Notes that the node lives.
///
/// # Errors
/// The database's.
pub async fn seen(tx: &mut Tx, id: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE nodes SET seen_at = $1 WHERE id = $2").bind(now).bind(id).execute(&mut **tx).await?;
    Ok(())
}

/// Notes that the node is offline, or again online.
///
/// # Errors
/// The database's.
pub async fn set_offline(tx: &mut Tx, id: &str, offline: bool) -> sqlx::Result<()> {
    let update = sqlx::query("UPDATE nodes SET offline = $1 WHERE id = $2");
    update.bind(i64::from(offline)).bind(id).execute(&mut **tx).await?;
    Ok(())
}

/// All, by name.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> sqlx::Result<Vec<Node>> {
    let rows = sqlx::query("SELECT id, name, version, offline, started_at, seen_at FROM nodes ORDER BY name, id")
        .fetch_all(db.pool())
        .await?;
    let node = |row: &sqlx::any::AnyRow| {
        Ok(Node {
            id: row.try_get(0)?,
            name: row.try_get(1)?,
            version: row.try_get(2)?,
            offline: row.try_get::<i64, _>(3)? != 0,
            started_at: row.try_get(4)?,
            seen_at: row.try_get(5)?,
        })
    };
    rows.iter().map(node).collect()
}
