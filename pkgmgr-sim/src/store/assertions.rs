//! Assertions that were used, so that none is used again.

use sim_kit::Tx;

/// Notes that the assertion `jti` was used, and forgets those that ended before `now`. False when it was used before.
///
/// # Errors
/// The database's.
pub async fn spend(tx: &mut Tx, jti: &str, expires_at: i64, now: i64) -> sqlx::Result<bool> {
    sqlx::query("DELETE FROM spent_assertions WHERE expires_at < $1").bind(now).execute(&mut **tx).await?;
    let noted =
        sqlx::query("INSERT INTO spent_assertions (jti, expires_at) VALUES ($1, $2) ON CONFLICT (jti) DO NOTHING")
            .bind(jti)
            .bind(expires_at)
            .execute(&mut **tx)
            .await?;
    Ok(noted.rows_affected() > 0)
}
