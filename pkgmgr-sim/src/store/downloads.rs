//! How often packages were downloaded, by day.

use sim_kit::{Db, Tx};
use sqlx::Row as _;

/// Adds `count` downloads of a version on the day that begins at `day`, in microseconds since 1970.
///
/// # Errors
/// The database's.
pub async fn add(tx: &mut Tx, source: i64, name: &str, version: &str, day: i64, count: i64) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO downloads (source_id, name, version, day, count) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (source_id, name, version, day) DO UPDATE SET count = downloads.count + excluded.count",
    )
    .bind(source)
    .bind(name)
    .bind(version)
    .bind(day)
    .bind(count)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Downloads of all versions of a package.
///
/// # Errors
/// The database's.
pub async fn of(db: &Db, source: i64, name: &str) -> sqlx::Result<i64> {
    // PostgreSQL's sum of such numbers is of another type.
    let row =
        sqlx::query("SELECT CAST(COALESCE(SUM(count), 0) AS BIGINT) FROM downloads WHERE source_id = $1 AND name = $2")
            .bind(source)
            .bind(name)
            .fetch_one(db.pool())
            .await?;
    row.try_get(0)
}

/// Source, package and downloads of all its versions on the days from the one that begins at `day` on.
///
/// # Errors
/// The database's.
pub async fn since(db: &Db, day: i64) -> sqlx::Result<Vec<(i64, String, i64)>> {
    let rows = sqlx::query(
        "SELECT source_id, name, CAST(SUM(count) AS BIGINT) FROM downloads WHERE day >= $1 GROUP BY source_id, name",
    )
    .bind(day)
    .fetch_all(db.pool())
    .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}
