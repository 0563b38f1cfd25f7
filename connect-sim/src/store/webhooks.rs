//! Webhooks, and what is to be delivered to them.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, flag, json};

/// An address that is told of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhook {
    /// UUID.
    pub guid: String,
    /// For people.
    pub name: String,
    /// Where it is.
    pub url: String,
    /// Of what it is told; nothing: of everything.
    pub events: Vec<String>,
    /// What deliveries are signed with; may be empty.
    pub secret: String,
    /// Whether it is told at all.
    pub active: bool,
    /// Microseconds.
    pub created: i64,
    /// Microseconds.
    pub updated: i64,
}

/// One event on its way to one webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Given when it is written.
    pub id: i64,
    /// UUID, the same in every attempt.
    pub guid: String,
    /// Whose.
    pub webhook_guid: String,
    /// Of what it tells.
    pub event: String,
    /// What is sent.
    pub body: String,
    /// Microseconds.
    pub created: i64,
    /// Microseconds of the next attempt; none when it is over.
    pub due: Option<i64>,
    /// So far.
    pub attempts: i64,
    /// The last answer.
    pub status: Option<i64>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

fn webhook(row: &AnyRow) -> sqlx::Result<Webhook> {
    Ok(Webhook {
        guid: row.try_get("guid")?,
        name: row.try_get("name")?,
        url: row.try_get("url")?,
        events: json(row, "events")?,
        secret: row.try_get("secret")?,
        active: flag(row, "active")?,
        created: row.try_get("created")?,
        updated: row.try_get("updated")?,
    })
}

fn delivery(row: &AnyRow) -> sqlx::Result<Delivery> {
    Ok(Delivery {
        id: row.try_get("id")?,
        guid: row.try_get("guid")?,
        webhook_guid: row.try_get("webhook_guid")?,
        event: row.try_get("event")?,
        body: row.try_get("body")?,
        created: row.try_get("created")?,
        due: row.try_get("due")?,
        attempts: row.try_get("attempts")?,
        status: row.try_get("status")?,
        error: row.try_get("error")?,
    })
}

/// Writes a webhook, new or changed.
///
/// # Errors
/// When the database fails.
pub async fn put(db: &mut AnyConnection, one: &Webhook) -> sqlx::Result<()> {
    let number = super::next(&mut *db, "webhook").await?;
    sqlx::query(
        "INSERT INTO webhooks (guid, number, name, url, events, secret, active, created, updated) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (guid) DO UPDATE SET name = excluded.name, \
         url = excluded.url, events = excluded.events, secret = excluded.secret, active = excluded.active, \
         updated = excluded.updated",
    )
    .bind(&one.guid)
    .bind(number)
    .bind(&one.name)
    .bind(&one.url)
    .bind(as_json(&one.events))
    .bind(&one.secret)
    .bind(i64::from(one.active))
    .bind(one.created)
    .bind(one.updated)
    .execute(db)
    .await?;
    Ok(())
}

/// All of them, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &mut AnyConnection) -> sqlx::Result<Vec<Webhook>> {
    sqlx::query("SELECT * FROM webhooks ORDER BY number").fetch_all(db).await?.iter().map(webhook).collect()
}

/// One of them.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Option<Webhook>> {
    let row = sqlx::query("SELECT * FROM webhooks WHERE guid = $1").bind(guid).fetch_optional(db).await?;
    row.as_ref().map(webhook).transpose()
}

/// Takes a webhook away, with its deliveries; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, guid: &str) -> sqlx::Result<bool> {
    let gone = sqlx::query("DELETE FROM webhooks WHERE guid = $1").bind(guid).execute(db).await?;
    Ok(gone.rows_affected() > 0)
}

/// Writes a delivery under a new id, and forgets all but the last `keep` of its webhook that are over.
///
/// # Errors
/// When the database fails.
pub async fn enqueue(db: &mut AnyConnection, one: &Delivery, keep: i64) -> sqlx::Result<()> {
    let id = super::next(&mut *db, "webhook-delivery").await?;
    sqlx::query(
        "INSERT INTO webhook_deliveries (id, guid, webhook_guid, event, body, created, due, attempts) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0)",
    )
    .bind(id)
    .bind(&one.guid)
    .bind(&one.webhook_guid)
    .bind(&one.event)
    .bind(&one.body)
    .bind(one.created)
    .bind(one.due)
    .execute(&mut *db)
    .await?;
    let old = "DELETE FROM webhook_deliveries WHERE webhook_guid = $1 AND due IS NULL AND id NOT IN \
               (SELECT id FROM webhook_deliveries WHERE webhook_guid = $1 ORDER BY id DESC LIMIT $2)";
    sqlx::query(old).bind(&one.webhook_guid).bind(keep).execute(db).await?;
    Ok(())
}

/// The deliveries of a webhook, newest first.
///
/// # Errors
/// When the database fails.
pub async fn deliveries(db: &mut AnyConnection, guid: &str, limit: i64) -> sqlx::Result<Vec<Delivery>> {
    let sql = "SELECT * FROM webhook_deliveries WHERE webhook_guid = $1 ORDER BY id DESC LIMIT $2";
    sqlx::query(sql).bind(guid).bind(limit).fetch_all(db).await?.iter().map(delivery).collect()
}

/// What is due at `now`: of each webhook the oldest, so that it hears of things in their order, and at most `limit`. Each
/// counts as tried and is due again at `again`, so that no other server takes it meanwhile, and a dead one's is tried again.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &mut AnyConnection, now: i64, again: i64, limit: i64) -> sqlx::Result<Vec<Delivery>> {
    let sql = "UPDATE webhook_deliveries SET due = $2, attempts = attempts + 1 WHERE due <= $1 AND id IN \
               (SELECT MIN(id) FROM webhook_deliveries WHERE due <= $1 GROUP BY webhook_guid ORDER BY 1 LIMIT $3) \
               RETURNING *";
    let rows = sqlx::query(sql).bind(now).bind(again).bind(limit).fetch_all(db).await?;
    rows.iter().map(delivery).collect()
}

/// Notes how an attempt went, and when the next one is.
///
/// # Errors
/// When the database fails.
pub async fn tried(db: &mut AnyConnection, one: &Delivery) -> sqlx::Result<()> {
    let sql = "UPDATE webhook_deliveries SET due = $2, status = $3, error = $4 WHERE id = $1";
    sqlx::query(sql).bind(one.id).bind(one.due).bind(one.status).bind(&one.error).execute(db).await?;
    Ok(())
}

/// When the next attempt is.
///
/// # Errors
/// When the database fails.
pub async fn next_due(db: &mut AnyConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query("SELECT MIN(due) FROM webhook_deliveries").fetch_one(db).await?.try_get(0)
}
