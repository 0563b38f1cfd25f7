//! Groups and their members.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

/// A group of users.
#[derive(Debug, Clone)]
pub struct Group {
    /// UUID.
    pub guid: String,
    /// Unique.
    pub name: String,
    /// Who may change it beside administrators.
    pub owner_guid: Option<String>,
    /// Unix id.
    pub gid: Option<i64>,
    /// How many users are in it.
    pub members: i64,
}

const COLUMNS: &str = "SELECT guid, name, owner_guid, gid, \
    (SELECT COUNT(*) FROM group_members WHERE group_guid = user_groups.guid) AS members FROM user_groups";

fn group(row: &AnyRow) -> sqlx::Result<Group> {
    Ok(Group {
        guid: row.try_get("guid")?,
        name: row.try_get("name")?,
        owner_guid: row.try_get("owner_guid")?,
        gid: row.try_get("gid")?,
        members: row.try_get("members")?,
    })
}

/// By guid.
///
/// # Errors
/// When the database fails.
pub async fn by_guid(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Option<Group>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE guid = $1"));
    sqlx::query(sql).bind(guid).fetch_optional(db).await?.as_ref().map(group).transpose()
}

/// By name.
///
/// # Errors
/// When the database fails.
pub async fn by_name(db: &mut AnyConnection, name: &str) -> sqlx::Result<Option<Group>> {
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE name = $1"));
    sqlx::query(sql).bind(name).fetch_optional(db).await?.as_ref().map(group).transpose()
}

/// A page of the groups, by name; and how many there are in all. Of those whose name begins with `prefix` the one that is
/// named so comes first, then shorter names before longer ones, whatever the direction.
///
/// # Errors
/// When the database fails.
pub async fn list(
    db: &mut AnyConnection,
    prefix: Option<&str>,
    descending: bool,
    (limit, offset): (i64, i64),
) -> sqlx::Result<(Vec<Group>, i64)> {
    let exact = prefix.map(str::to_lowercase);
    let order = match (&exact, descending) {
        (Some(_), _) => "CASE WHEN LOWER(name) = $4 THEN 0 ELSE LENGTH(name) END, name",
        (None, false) => "name",
        (None, true) => "name DESC",
    };
    let prefix = prefix.map(|prefix| format!("{}%", super::users::escaped(&prefix.to_lowercase())));
    let condition = "WHERE ($1 IS NULL OR LOWER(name) LIKE $1 ESCAPE '!')";
    let sql = sqlx::AssertSqlSafe(format!("{COLUMNS} {condition} ORDER BY {order} LIMIT $2 OFFSET $3"));
    let mut page = sqlx::query(sql).bind(&prefix).bind(limit).bind(offset);
    if let Some(exact) = &exact {
        page = page.bind(exact);
    }
    let rows = page.fetch_all(&mut *db).await?;
    let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM user_groups {condition}"));
    let total = sqlx::query(sql).bind(&prefix).fetch_one(db).await?.try_get(0)?;
    Ok((rows.iter().map(group).collect::<sqlx::Result<_>>()?, total))
}

/// Inserts a group, or replaces that of the same guid.
///
/// # Errors
/// A duplicate name, or when the database fails.
pub async fn put(db: &mut AnyConnection, group: &Group) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO user_groups (guid, name, owner_guid, gid) VALUES ($1, $2, $3, $4) ON CONFLICT (guid) DO UPDATE \
         SET name = excluded.name, owner_guid = excluded.owner_guid, gid = excluded.gid",
    )
    .bind(&group.guid)
    .bind(&group.name)
    .bind(&group.owner_guid)
    .bind(group.gid)
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a group away; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, guid: &str) -> sqlx::Result<bool> {
    super::permissions::delete_of_principal(db, guid).await?;
    Ok(sqlx::query("DELETE FROM user_groups WHERE guid = $1").bind(guid).execute(db).await?.rows_affected() > 0)
}

/// Puts a user into a group; it may be in it already.
///
/// # Errors
/// When the database fails.
pub async fn add(db: &mut AnyConnection, group_guid: &str, user_guid: &str) -> sqlx::Result<()> {
    let sql = "INSERT INTO group_members (group_guid, user_guid) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(group_guid).bind(user_guid).execute(db).await?;
    Ok(())
}

/// Whether a user is in a group.
///
/// # Errors
/// When the database fails.
pub async fn has(db: &mut AnyConnection, group_guid: &str, user_guid: &str) -> sqlx::Result<bool> {
    let sql = "SELECT 1 FROM group_members WHERE group_guid = $1 AND user_guid = $2";
    Ok(sqlx::query(sql).bind(group_guid).bind(user_guid).fetch_optional(db).await?.is_some())
}

/// Takes a user out of a group; false when it was not in it.
///
/// # Errors
/// When the database fails.
pub async fn remove(db: &mut AnyConnection, group_guid: &str, user_guid: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM group_members WHERE group_guid = $1 AND user_guid = $2";
    Ok(sqlx::query(sql).bind(group_guid).bind(user_guid).execute(db).await?.rows_affected() > 0)
}
