//! Custom metadata of packages.

use sim_kit::{Db, Tx};
use sqlx::Row as _;

/// A value under a key, and which packages have it; what is none fits all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub id: i64,
    /// The package.
    pub package_name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Where the package comes from.
    pub source_id: Option<i64>,
    /// Where it is looked at.
    pub repo_id: Option<i64>,
    /// What the value is.
    pub key: String,
    /// The value.
    pub value: String,
}

/// All records by number.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> sqlx::Result<Vec<Record>> {
    let rows = sqlx::query(
        "SELECT id, package_name, version, source_id, repo_id, key, value FROM custom_metadata ORDER BY id",
    )
    .fetch_all(db.pool())
    .await?;
    rows.iter()
        .map(|row| {
            Ok(Record {
                id: row.try_get(0)?,
                package_name: row.try_get(1)?,
                version: row.try_get(2)?,
                source_id: row.try_get(3)?,
                repo_id: row.try_get(4)?,
                key: row.try_get(5)?,
                value: row.try_get(6)?,
            })
        })
        .collect()
}

/// The number of the record that fits the same packages and has the same key.
///
/// # Errors
/// The database's.
pub async fn same(tx: &mut Tx, record: &Record) -> sqlx::Result<Option<i64>> {
    // No number of a source or repo is 0, and no name or version is empty.
    let row = sqlx::query(
        "SELECT id FROM custom_metadata WHERE COALESCE(package_name, '') = $1 AND COALESCE(version, '') = $2
         AND COALESCE(source_id, 0) = $3 AND COALESCE(repo_id, 0) = $4 AND key = $5",
    )
    .bind(record.package_name.as_deref().unwrap_or_default())
    .bind(record.version.as_deref().unwrap_or_default())
    .bind(record.source_id.unwrap_or_default())
    .bind(record.repo_id.unwrap_or_default())
    .bind(&record.key)
    .fetch_optional(&mut **tx)
    .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Writes a new record.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, record: &Record) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO custom_metadata (id, package_name, version, source_id, repo_id, key, value)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(record.id)
    .bind(&record.package_name)
    .bind(&record.version)
    .bind(record.source_id)
    .bind(record.repo_id)
    .bind(&record.key)
    .bind(&record.value)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Gives a record another value.
///
/// # Errors
/// The database's.
pub async fn set(tx: &mut Tx, id: i64, value: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE custom_metadata SET value = $1 WHERE id = $2").bind(value).bind(id).execute(&mut **tx).await?;
    Ok(())
}

/// Takes a record away. False when there is none of that number.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, id: i64) -> sqlx::Result<bool> {
    let done = sqlx::query("DELETE FROM custom_metadata WHERE id = $1").bind(id).execute(&mut **tx).await?;
    Ok(done.rows_affected() > 0)
}

/// Takes all records away.
///
/// # Errors
/// The database's.
pub async fn clear(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM custom_metadata").execute(&mut **tx).await?;
    Ok(())
}
