//! Schedules: when variants are rendered anew. A variant has one at most.

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, flag, json, of_each};

/// When a variant is rendered.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Id.
    pub id: i64,
    /// Of which variant.
    pub variant_id: i64,
    /// Whether the rendering is shown.
    pub activate: bool,
    /// Whether it is mailed.
    pub email: bool,
    /// Such as `day`; see `calendar`.
    pub kind: String,
    /// JSON, such as `{"N":1}`.
    pub detail: String,
    /// IANA name.
    pub timezone: String,
    /// Microseconds of the first run.
    pub starts: i64,
    /// Microseconds after which there is none.
    pub ends: Option<i64>,
    /// Microseconds; none when there is none.
    pub next_run: Option<i64>,
}

/// A change of a variant's schedule.
#[derive(Debug, Clone)]
pub struct Change {
    /// `created`, `updated` or `deleted`.
    pub kind: String,
    /// Microseconds.
    pub changed: i64,
    /// Who made it.
    pub user_guid: String,
    /// As clients see it; null when there is none from then on.
    pub schedule: Value,
}

/// Notes a change.
///
/// # Errors
/// When the database fails.
pub async fn note(db: &mut AnyConnection, variant_id: i64, change: &Change) -> sqlx::Result<()> {
    let id = super::next(&mut *db, "schedule-change").await?;
    sqlx::query(
        "INSERT INTO schedule_changes (id, variant_id, change_type, changed, user_guid, schedule) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(id)
    .bind(variant_id)
    .bind(&change.kind)
    .bind(change.changed)
    .bind(&change.user_guid)
    .bind(as_json(&change.schedule))
    .execute(db)
    .await?;
    Ok(())
}

/// The changes of a variant's schedule, newest first.
///
/// # Errors
/// When the database fails.
pub async fn changes(db: &mut AnyConnection, variant_id: i64) -> sqlx::Result<Vec<Change>> {
    let sql = "SELECT * FROM schedule_changes WHERE variant_id = $1 ORDER BY id DESC";
    let change = |row: &AnyRow| {
        Ok(Change {
            kind: row.try_get("change_type")?,
            changed: row.try_get("changed")?,
            user_guid: row.try_get("user_guid")?,
            schedule: json(row, "schedule")?,
        })
    };
    sqlx::query(sql).bind(variant_id).fetch_all(db).await?.iter().map(change).collect()
}

fn schedule(row: &AnyRow) -> sqlx::Result<Schedule> {
    Ok(Schedule {
        id: row.try_get("id")?,
        variant_id: row.try_get("variant_id")?,
        activate: flag(row, "activate")?,
        email: flag(row, "email")?,
        kind: row.try_get("kind")?,
        detail: row.try_get("detail")?,
        timezone: row.try_get("timezone")?,
        starts: row.try_get("starts")?,
        ends: row.try_get("ends")?,
        next_run: row.try_get("next_run")?,
    })
}

/// Inserts a schedule, or writes it anew.
///
/// # Errors
/// A duplicate when the variant has another, or when the database fails.
pub async fn put(db: &mut AnyConnection, schedule: &Schedule) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO schedules (id, variant_id, activate, email, kind, detail, timezone, starts, ends, next_run) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO UPDATE SET activate = excluded.activate, \
         email = excluded.email, kind = excluded.kind, detail = excluded.detail, timezone = excluded.timezone, \
         starts = excluded.starts, ends = excluded.ends, next_run = excluded.next_run",
    )
    .bind(schedule.id)
    .bind(schedule.variant_id)
    .bind(i64::from(schedule.activate))
    .bind(i64::from(schedule.email))
    .bind(&schedule.kind)
    .bind(&schedule.detail)
    .bind(&schedule.timezone)
    .bind(schedule.starts)
    .bind(schedule.ends)
    .bind(schedule.next_run)
    .execute(db)
    .await?;
    Ok(())
}

/// Moves a schedule on from the run that is due; false when another server has.
///
/// # Errors
/// When the database fails.
pub async fn advance(db: &mut AnyConnection, id: i64, due: i64, next: Option<i64>) -> sqlx::Result<bool> {
    let sql = "UPDATE schedules SET next_run = $3 WHERE id = $1 AND next_run = $2";
    Ok(sqlx::query(sql).bind(id).bind(due).bind(next).execute(db).await?.rows_affected() > 0)
}

/// By id.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, id: i64) -> sqlx::Result<Option<Schedule>> {
    let sql = "SELECT * FROM schedules WHERE id = $1";
    sqlx::query(sql).bind(id).fetch_optional(db).await?.as_ref().map(schedule).transpose()
}

/// The one of a variant.
///
/// # Errors
/// When the database fails.
pub async fn of_variant(db: &mut AnyConnection, variant_id: i64) -> sqlx::Result<Option<Schedule>> {
    let sql = "SELECT * FROM schedules WHERE variant_id = $1";
    sqlx::query(sql).bind(variant_id).fetch_optional(db).await?.as_ref().map(schedule).transpose()
}

/// All of them, by the time of the next run.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &mut AnyConnection) -> sqlx::Result<Vec<Schedule>> {
    sqlx::query("SELECT * FROM schedules ORDER BY next_run, id").fetch_all(db).await?.iter().map(schedule).collect()
}

/// Those of items' variants, by the time of the next run.
///
/// # Errors
/// When the database fails.
pub async fn of_items(db: &mut AnyConnection, guids: &[&str]) -> sqlx::Result<Vec<Schedule>> {
    let sql = "SELECT schedules.* FROM schedules JOIN variants ON variants.id = schedules.variant_id \
         WHERE variants.content_guid";
    let mut all: Vec<_> = of_each(db, sql, &[], guids).await?.iter().map(schedule).collect::<sqlx::Result<_>>()?;
    // Those without a next run are last.
    all.sort_by_key(|one| (one.next_run.is_none(), one.next_run, one.id));
    Ok(all)
}

/// Those that are due at `now`.
///
/// # Errors
/// When the database fails.
pub async fn due(db: &mut AnyConnection, now: i64) -> sqlx::Result<Vec<Schedule>> {
    let sql = "SELECT * FROM schedules WHERE next_run <= $1 ORDER BY next_run, id";
    sqlx::query(sql).bind(now).fetch_all(db).await?.iter().map(schedule).collect()
}

/// When the next one is due.
///
/// # Errors
/// When the database fails.
pub async fn next_run(db: &mut AnyConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query("SELECT MIN(next_run) FROM schedules").fetch_one(db).await?.try_get(0)
}

/// Takes a schedule away.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM schedules WHERE id = $1").bind(id).execute(db).await?;
    Ok(())
}
