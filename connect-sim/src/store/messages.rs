//! Messages of administrators to all who use the server.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// UUID.
    pub guid: String,
    /// Text.
    pub content: String,
    /// `everyone` or `logged_in`.
    pub audience: String,
    /// Microseconds.
    pub created: i64,
    /// Microseconds.
    pub updated: i64,
    /// Microseconds before which it is not shown.
    pub starts: Option<i64>,
    /// Microseconds from which on it is no longer shown.
    pub ends: Option<i64>,
}

impl Message {
    /// Whether it is shown at `now`.
    #[must_use]
    pub fn shows(&self, now: i64) -> bool {
        self.starts.is_none_or(|at| at <= now) && self.ends.is_none_or(|at| at > now)
    }
}

fn message(row: &AnyRow) -> sqlx::Result<Message> {
    Ok(Message {
        guid: row.try_get("guid")?,
        content: row.try_get("content")?,
        audience: row.try_get("audience")?,
        created: row.try_get("created")?,
        updated: row.try_get("updated")?,
        starts: row.try_get("starts")?,
        ends: row.try_get("ends")?,
    })
}

/// Writes a message, new or changed.
///
/// # Errors
/// When the database fails.
pub async fn put(db: &mut AnyConnection, one: &Message) -> sqlx::Result<()> {
    let number = super::next(&mut *db, "message").await?;
    sqlx::query(
        "INSERT INTO messages (guid, number, content, audience, created, updated, starts, ends) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (guid) DO UPDATE SET content = excluded.content, \
         audience = excluded.audience, updated = excluded.updated, starts = excluded.starts, ends = excluded.ends",
    )
    .bind(&one.guid)
    .bind(number)
    .bind(&one.content)
    .bind(&one.audience)
    .bind(one.created)
    .bind(one.updated)
    .bind(one.starts)
    .bind(one.ends)
    .execute(db)
    .await?;
    Ok(())
}

/// All of them, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &mut AnyConnection) -> sqlx::Result<Vec<Message>> {
    sqlx::query("SELECT * FROM messages ORDER BY number").fetch_all(db).await?.iter().map(message).collect()
}

/// Takes a message away; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, guid: &str) -> sqlx::Result<bool> {
    let gone = sqlx::query("DELETE FROM messages WHERE guid = $1").bind(guid).execute(db).await?;
    Ok(gone.rows_affected() > 0)
}
