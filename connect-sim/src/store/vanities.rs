//! Vanity URLs.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::of_each;

/// A path of the server that leads to an item.
#[derive(Debug, Clone)]
pub struct Vanity {
    /// Begins and ends with a slash.
    pub path: String,
    /// Where it leads.
    pub content_guid: String,
    /// Microseconds.
    pub created: i64,
}

/// Bytes of the longest path.
pub const LONGEST: usize = 255;

fn vanity(row: &AnyRow) -> sqlx::Result<Vanity> {
    Ok(Vanity {
        path: row.try_get("path")?,
        content_guid: row.try_get("content_guid")?,
        created: row.try_get("created")?,
    })
}

/// All of them, by path.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &mut AnyConnection) -> sqlx::Result<Vec<Vanity>> {
    sqlx::query("SELECT * FROM vanities ORDER BY path").fetch_all(db).await?.iter().map(vanity).collect()
}

/// That of an item.
///
/// # Errors
/// When the database fails.
pub async fn of_content(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Option<Vanity>> {
    let sql = "SELECT * FROM vanities WHERE content_guid = $1";
    sqlx::query(sql).bind(content_guid).fetch_optional(db).await?.as_ref().map(vanity).transpose()
}

/// Those of items.
///
/// # Errors
/// When the database fails.
pub async fn of_items(db: &mut AnyConnection, guids: &[&str]) -> sqlx::Result<Vec<Vanity>> {
    of_each(db, "SELECT * FROM vanities WHERE content_guid", &[], guids).await?.iter().map(vanity).collect()
}

/// The one that `path` (which ends with a slash) is or is below of. There is at most one, since none is below another.
///
/// # Errors
/// When the database fails.
pub async fn containing(db: &mut AnyConnection, path: &str) -> sqlx::Result<Option<Vanity>> {
    // The candidates are the beginnings of the path, which an index finds; there are few of them.
    // None is longer than `LONGEST`, whatever a client asks for.
    for (end, _) in path.match_indices('/').skip(1).take_while(|(end, _)| *end < LONGEST) {
        let sql = "SELECT * FROM vanities WHERE path = $1";
        if let Some(row) = sqlx::query(sql).bind(&path[..=end]).fetch_optional(&mut *db).await? {
            return vanity(&row).map(Some);
        }
    }
    Ok(None)
}

/// Those that `path` is below of, or that are below it, or that are it.
///
/// # Errors
/// When the database fails.
pub async fn in_the_way(db: &mut AnyConnection, path: &str) -> sqlx::Result<Vec<Vanity>> {
    let below = format!("{}%", super::users::escaped(path));
    let sql = "SELECT * FROM vanities WHERE path LIKE $1 ESCAPE '!'";
    let mut found: Vec<Vanity> =
        sqlx::query(sql).bind(below).fetch_all(&mut *db).await?.iter().map(vanity).collect::<sqlx::Result<_>>()?;
    if let Some(above) = containing(db, path).await?
        && !found.iter().any(|other| other.path == above.path)
    {
        found.push(above);
    }
    Ok(found)
}

/// Gives an item its vanity URL in place of the one it had.
///
/// # Errors
/// A duplicate path, or when the database fails.
pub async fn put(db: &mut AnyConnection, vanity: &Vanity) -> sqlx::Result<()> {
    delete(db, &vanity.content_guid).await?;
    sqlx::query("INSERT INTO vanities (path, content_guid, created) VALUES ($1, $2, $3)")
        .bind(&vanity.path)
        .bind(&vanity.content_guid)
        .bind(vanity.created)
        .execute(db)
        .await?;
    Ok(())
}

/// Takes that of an item away; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM vanities WHERE content_guid = $1";
    Ok(sqlx::query(sql).bind(content_guid).execute(db).await?.rows_affected() > 0)
}
