//! Devices that ask for a token.

use sim_kit::{Db, Tx};
use sqlx::Row as _;
use sqlx::any::AnyRow;

/// A device that asks. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The digest of the code that it has.
    pub id: String,
    /// The code that people type.
    pub user_code: String,
    /// The PKCE challenge (S256).
    pub challenge: String,
    /// `pending`, `approved`, `denied`, `given` or `spent`.
    pub state: String,
    /// The id of the token of who approved.
    pub approver: Option<String>,
    /// When it asked.
    pub created_at: i64,
    /// When it has to be approved by.
    pub expires_at: i64,
    /// When it last asked whether it is approved.
    pub polled_at: i64,
    /// How long it has to wait between two such questions.
    pub interval_seconds: i64,
}

const COLUMNS: &str = "id, user_code, challenge, state, approver, created_at, expires_at, polled_at, interval_seconds";

fn device(row: &AnyRow) -> sqlx::Result<Device> {
    Ok(Device {
        id: row.try_get(0)?,
        user_code: row.try_get(1)?,
        challenge: row.try_get(2)?,
        state: row.try_get(3)?,
        approver: row.try_get(4)?,
        created_at: row.try_get(5)?,
        expires_at: row.try_get(6)?,
        polled_at: row.try_get(7)?,
        interval_seconds: row.try_get(8)?,
    })
}

/// Notes a device, and forgets those that ended before `long_ago`. Gives how many others are still waited for.
///
/// # Errors
/// The database's.
pub async fn insert(tx: &mut Tx, new: &Device, long_ago: i64) -> sqlx::Result<i64> {
    sqlx::query("DELETE FROM devices WHERE expires_at < $1").bind(long_ago).execute(&mut **tx).await?;
    let waiting = sqlx::query("SELECT COUNT(*) FROM devices WHERE state = 'pending' AND expires_at > $1")
        .bind(new.created_at)
        .fetch_one(&mut **tx)
        .await?
        .try_get(0)?;
    let insert = format!("INSERT INTO devices ({COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)");
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(&new.id)
        .bind(&new.user_code)
        .bind(&new.challenge)
        .bind(&new.state)
        .bind(&new.approver)
        .bind(new.created_at)
        .bind(new.expires_at)
        .bind(new.polled_at)
        .bind(new.interval_seconds)
        .execute(&mut **tx)
        .await?;
    Ok(waiting)
}

/// The device with this id.
///
/// # Errors
/// The database's.
pub async fn get(tx: &mut Tx, id: &str) -> sqlx::Result<Option<Device>> {
    let select = format!("SELECT {COLUMNS} FROM devices WHERE id = $1");
    sqlx::query(sqlx::AssertSqlSafe(select)).bind(id).fetch_optional(&mut **tx).await?.as_ref().map(device).transpose()
}

/// The device that people know by this code.
///
/// # Errors
/// The database's.
pub async fn by_user_code(db: &Db, code: &str) -> sqlx::Result<Option<Device>> {
    let select = format!("SELECT {COLUMNS} FROM devices WHERE user_code = $1");
    sqlx::query(sqlx::AssertSqlSafe(select))
        .bind(code)
        .fetch_optional(db.pool())
        .await?
        .as_ref()
        .map(device)
        .transpose()
}

/// Notes that a device has asked at `now`, and how long it has to wait from now on.
///
/// # Errors
/// The database's.
pub async fn polled(tx: &mut Tx, id: &str, now: i64, interval_seconds: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE devices SET polled_at = $1, interval_seconds = $2 WHERE id = $3")
        .bind(now)
        .bind(interval_seconds)
        .bind(id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Answers a device that waits. False when it does not wait (any more).
///
/// # Errors
/// The database's.
pub async fn answer(tx: &mut Tx, code: &str, state: &str, approver: &str, now: i64) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE devices SET state = $1, approver = $2 WHERE user_code = $3 AND state = 'pending' AND expires_at > $4",
    )
    .bind(state)
    .bind(approver)
    .bind(code)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// Moves a device from one state to the next. False when it is not in that state, so that only one of several goes on.
///
/// # Errors
/// The database's.
pub async fn advance(tx: &mut Tx, id: &str, from: &str, to: &str) -> sqlx::Result<bool> {
    let done = sqlx::query("UPDATE devices SET state = $1 WHERE id = $2 AND state = $3")
        .bind(to)
        .bind(id)
        .bind(from)
        .execute(&mut **tx)
        .await?;
    Ok(done.rows_affected() > 0)
}

/// Counts a code that `who` gives at `now` as a wrong one, and gives how many those are since the first one after `long_ago`.
/// A transaction that is not committed has counted nothing; until it ends, others of `who` wait for it.
///
/// # Errors
/// The database's.
pub async fn count_wrong_code(tx: &mut Tx, who: &str, now: i64, long_ago: i64) -> sqlx::Result<i64> {
    sqlx::query(
        "INSERT INTO wrong_codes (who, since, given) VALUES ($1, $2, 1) ON CONFLICT (who) DO UPDATE SET
         given = CASE WHEN wrong_codes.since <= $3 THEN 1 ELSE wrong_codes.given + 1 END,
         since = CASE WHEN wrong_codes.since <= $3 THEN $2 ELSE wrong_codes.since END
         RETURNING given",
    )
    .bind(who)
    .bind(now)
    .bind(long_ago)
    .fetch_one(&mut **tx)
    .await?
    .try_get(0)
}
