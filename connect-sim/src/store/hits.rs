//! Visits of content.

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use crate::cursor::Window;

/// A visit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Hit {
    /// Given when it is written.
    pub id: i64,
    /// Of what.
    pub content_guid: String,
    /// Whose; none for nobody's.
    pub user_guid: Option<String>,
    /// Of which variant.
    pub variant_key: Option<String>,
    /// Of which rendering.
    pub rendering_id: Option<i64>,
    /// Of which bundle.
    pub bundle_id: i64,
    /// Microseconds.
    pub time: i64,
    /// `shiny` for applications of Shiny, `visit` for all else.
    pub kind: String,
    /// Below the item, with a slash at the start.
    pub path: String,
    /// Of the browser.
    pub user_agent: Option<String>,
    /// Without the question mark.
    pub query: Option<String>,
    /// `Sec-Fetch-Dest`.
    pub fetch_dest: Option<String>,
    /// `Sec-Fetch-Site`.
    pub fetch_site: Option<String>,
}

fn hit(row: &AnyRow) -> sqlx::Result<Hit> {
    Ok(Hit {
        id: row.try_get("id")?,
        content_guid: row.try_get("content_guid")?,
        user_guid: row.try_get("user_guid")?,
        variant_key: row.try_get("variant_key")?,
        rendering_id: row.try_get("rendering_id")?,
        bundle_id: row.try_get("bundle_id")?,
        time: row.try_get("time")?,
        kind: row.try_get("kind")?,
        path: row.try_get("path")?,
        user_agent: row.try_get("user_agent")?,
        query: row.try_get("query")?,
        fetch_dest: row.try_get("fetch_dest")?,
        fetch_site: row.try_get("fetch_site")?,
    })
}

/// Writes visits under new ids.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, hits: &[&Hit]) -> sqlx::Result<()> {
    for hits in hits.chunks(super::ROWS) {
        let first = super::next_of(&mut *db, "hit", hits.len()).await?;
        let sql = format!(
            "INSERT INTO hits (id, content_guid, user_guid, variant_key, rendering_id, bundle_id, time, kind, path, \
             user_agent, query, fetch_dest, fetch_site) VALUES {}",
            super::rows(hits.len(), 13)
        );
        // As many statements as there are lengths are not worth keeping.
        let mut query = sqlx::query(AssertSqlSafe(sql)).persistent(false);
        for (id, hit) in (first..).zip(hits) {
            query = query.bind(id).bind(&hit.content_guid).bind(&hit.user_guid).bind(&hit.variant_key);
            query = query.bind(hit.rendering_id).bind(hit.bundle_id).bind(hit.time).bind(&hit.kind).bind(&hit.path);
            query = query.bind(&hit.user_agent).bind(&hit.query).bind(&hit.fetch_dest).bind(&hit.fetch_site);
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// Which visits a list holds.
#[derive(Debug, Default)]
pub struct Filter {
    /// Of this kind.
    pub kind: Option<String>,
    /// Of these items, between bars: `|a|b|`.
    pub content: Option<String>,
    /// By this browser.
    pub user_agent: Option<String>,
    /// Microseconds, inclusive.
    pub from: Option<i64>,
    /// Microseconds, inclusive.
    pub to: Option<i64>,
    /// Only of items that this user owns or collaborates on.
    pub editor: Option<String>,
}

/// Visits in the order of their ids.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &mut AnyConnection, filter: &Filter, window: Window) -> sqlx::Result<Vec<Hit>> {
    let sql = format!(
        "SELECT * FROM hits WHERE id > $1 AND id < $2 AND ($3 IS NULL OR kind = $3) \
         AND ($4 IS NULL OR $4 LIKE '%|' || content_guid || '|%') AND ($5 IS NULL OR time >= $5) \
         AND ($6 IS NULL OR time <= $6) AND ($7 IS NULL OR content_guid IN (SELECT guid FROM content WHERE \
         owner_guid = $7) OR content_guid IN (SELECT content_guid FROM permissions WHERE role = 'owner' AND \
         (principal_guid = $7 OR principal_guid IN (SELECT group_guid FROM group_members WHERE user_guid = $7)))) \
         AND ($8 IS NULL OR user_agent = $8) ORDER BY id {} LIMIT $9",
        if window.descending { "DESC" } else { "ASC" },
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(window.above).bind(window.below).bind(&filter.kind);
    let query = query.bind(&filter.content).bind(filter.from).bind(filter.to).bind(&filter.editor);
    let query = query.bind(&filter.user_agent);
    query.bind(window.limit).fetch_all(db).await?.iter().map(hit).collect()
}
