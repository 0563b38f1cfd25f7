//! Tags, a forest, and their assignment to content.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::of_each;

/// A tag. Those without a parent are categories.
#[derive(Debug, Clone)]
pub struct Tag {
    /// Id.
    pub id: i64,
    /// Unique among its siblings.
    pub name: String,
    /// The tag above.
    pub parent_id: Option<i64>,
    /// Microseconds.
    pub created: i64,
    /// Microseconds.
    pub updated: i64,
}

fn tag(row: &AnyRow) -> sqlx::Result<Tag> {
    Ok(Tag {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        parent_id: row.try_get("parent_id")?,
        created: row.try_get("created")?,
        updated: row.try_get("updated")?,
    })
}

/// All tags, by id.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &mut AnyConnection) -> sqlx::Result<Vec<Tag>> {
    sqlx::query("SELECT * FROM tags ORDER BY id").fetch_all(db).await?.iter().map(tag).collect()
}

/// By id.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, id: i64) -> sqlx::Result<Option<Tag>> {
    let sql = "SELECT * FROM tags WHERE id = $1";
    sqlx::query(sql).bind(id).fetch_optional(db).await?.as_ref().map(tag).transpose()
}

/// Inserts a tag, or replaces that of the same id.
///
/// # Errors
/// When the database fails.
pub async fn put(db: &mut AnyConnection, tag: &Tag) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO tags (id, name, parent_id, created, updated) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (id) DO \
         UPDATE SET name = excluded.name, parent_id = excluded.parent_id, updated = excluded.updated",
    )
    .bind(tag.id)
    .bind(&tag.name)
    .bind(tag.parent_id)
    .bind(tag.created)
    .bind(tag.updated)
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a tag and those below it away; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, id: i64) -> sqlx::Result<bool> {
    Ok(sqlx::query("DELETE FROM tags WHERE id = $1").bind(id).execute(db).await?.rows_affected() > 0)
}

/// The ids of the tags that are assigned to an item.
///
/// # Errors
/// When the database fails.
pub async fn of_content(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Vec<i64>> {
    let sql = "SELECT tag_id FROM content_tags WHERE content_guid = $1 ORDER BY tag_id";
    sqlx::query(sql).bind(content_guid).fetch_all(db).await?.iter().map(|row| row.try_get(0)).collect()
}

/// The assignments of items: guid of the item and id of the tag.
///
/// # Errors
/// When the database fails.
pub async fn of_items(db: &mut AnyConnection, guids: &[&str]) -> sqlx::Result<Vec<(String, i64)>> {
    let sql = "SELECT content_guid, tag_id FROM content_tags WHERE content_guid";
    of_each(db, sql, &[], guids).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Assigns a tag; it may be assigned already.
///
/// # Errors
/// When the database fails.
pub async fn assign(db: &mut AnyConnection, content_guid: &str, tag_id: i64) -> sqlx::Result<()> {
    let sql = "INSERT INTO content_tags (content_guid, tag_id) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(content_guid).bind(tag_id).execute(db).await?;
    Ok(())
}

/// Takes an assignment away.
///
/// # Errors
/// When the database fails.
pub async fn unassign(db: &mut AnyConnection, content_guid: &str, tag_id: i64) -> sqlx::Result<()> {
    let sql = "DELETE FROM content_tags WHERE content_guid = $1 AND tag_id = $2";
    sqlx::query(sql).bind(content_guid).bind(tag_id).execute(db).await?;
    Ok(())
}
