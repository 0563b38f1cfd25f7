//! The audit log: who changed what.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::cursor::Window;

/// An entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// Given when it is written.
    pub id: i64,
    /// Microseconds.
    pub time: i64,
    /// Number of the user.
    pub user_id: i64,
    /// Guid of the user.
    pub user_guid: Option<String>,
    /// For people.
    pub user_description: String,
    /// Such as `add_app`.
    pub action: String,
    /// For people.
    pub event_description: String,
}

fn entry(row: &AnyRow) -> sqlx::Result<Entry> {
    Ok(Entry {
        id: row.try_get("id")?,
        time: row.try_get("time")?,
        user_id: row.try_get("user_id")?,
        user_guid: row.try_get("user_guid")?,
        user_description: row.try_get("user_description")?,
        action: row.try_get("action")?,
        event_description: row.try_get("event_description")?,
    })
}

/// Writes entries under new ids.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, entries: &[&Entry]) -> sqlx::Result<()> {
    for entries in entries.chunks(super::ROWS) {
        let first = super::next_of(&mut *db, "audit", entries.len()).await?;
        let sql = format!(
            "INSERT INTO audit (id, time, user_id, user_guid, user_description, action, event_description) VALUES {}",
            super::rows(entries.len(), 7)
        );
        // As many statements as there are lengths are not worth keeping.
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for (id, entry) in (first..).zip(entries) {
            query = query.bind(id).bind(entry.time).bind(entry.user_id).bind(&entry.user_guid);
            query = query.bind(&entry.user_description).bind(&entry.action).bind(&entry.event_description);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// Entries in the order of their ids; those whose action or texts hold `text`, in lower case, if it is given.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &mut AnyConnection, text: Option<&str>, window: Window) -> sqlx::Result<Vec<Entry>> {
    let sql = format!(
        "SELECT * FROM audit WHERE id > $1 AND id < $2 AND ($3 IS NULL OR \
         replace(lower(action || ' ' || user_description || ' ' || event_description), $3, '') <> \
         lower(action || ' ' || user_description || ' ' || event_description)) ORDER BY id {} LIMIT $4",
        if window.descending { "DESC" } else { "ASC" },
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(window.above).bind(window.below).bind(text);
    query.bind(window.limit).fetch_all(db).await?.iter().map(entry).collect()
}
