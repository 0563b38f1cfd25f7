//! Keys of the server: made once, shared by every server on the same database.

use sim_kit::Db;
use sqlx::Row as _;

/// The key called `name`, if it was made.
pub(crate) async fn get(db: &Db, name: &str) -> sqlx::Result<Option<String>> {
    let row = sqlx::query("SELECT value FROM server_keys WHERE name = $1").bind(name).fetch_optional(db.pool()).await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Keeps `value` as the key called `name` unless another was first; answers with the one that is kept.
pub(crate) async fn put(db: &Db, name: &str, value: &str) -> sqlx::Result<String> {
    let mut tx = db.write().await?;
    sqlx::query("INSERT INTO server_keys (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
        .bind(name)
        .bind(value)
        .execute(&mut *tx)
        .await?;
    let row = sqlx::query("SELECT value FROM server_keys WHERE name = $1").bind(name).fetch_one(&mut *tx).await?;
    let kept = row.try_get(0)?;
    tx.commit().await?;
    Ok(kept)
}
