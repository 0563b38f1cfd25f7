//! What was granted on content to users and groups.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::of_each;

/// What a permission gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grant {
    /// To open it.
    Viewer,
    /// To change it: a collaborator, for which the product's word is `owner`.
    Owner,
}

impl Grant {
    /// The product's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Owner => "owner",
        }
    }
}

/// A permission.
#[derive(Debug, Clone)]
pub struct Permission {
    /// Id.
    pub id: i64,
    /// On what.
    pub content_guid: String,
    /// To whom.
    pub principal_guid: String,
    /// `user` or `group`.
    pub principal_type: String,
    /// What.
    pub grant: Grant,
}

fn permission(row: &AnyRow) -> sqlx::Result<Permission> {
    let role: String = row.try_get("role")?;
    Ok(Permission {
        id: row.try_get("id")?,
        content_guid: row.try_get("content_guid")?,
        principal_guid: row.try_get("principal_guid")?,
        principal_type: row.try_get("principal_type")?,
        grant: if role == "owner" { Grant::Owner } else { Grant::Viewer },
    })
}

/// The most that was granted to a user, by itself or through its groups.
///
/// # Errors
/// When the database fails.
pub async fn grant(db: &mut AnyConnection, content_guid: &str, user_guid: &str) -> sqlx::Result<Option<Grant>> {
    let rows = sqlx::query(
        "SELECT role FROM permissions WHERE content_guid = $1 AND (principal_guid = $2 OR principal_guid IN \
         (SELECT group_guid FROM group_members WHERE user_guid = $2))",
    )
    .bind(content_guid)
    .bind(user_guid)
    .fetch_all(db)
    .await?;
    let roles = rows.iter().map(|row| row.try_get::<String, _>(0)).collect::<sqlx::Result<Vec<_>>>()?;
    Ok(roles.iter().map(|role| if role == "owner" { Grant::Owner } else { Grant::Viewer }).max())
}

/// What was granted on items to a user, by itself or through its groups: guid of the item and what.
///
/// # Errors
/// When the database fails.
pub async fn grants(db: &mut AnyConnection, user_guid: &str, guids: &[&str]) -> sqlx::Result<Vec<(String, Grant)>> {
    let sql = "SELECT content_guid, role FROM permissions WHERE (principal_guid = $1 OR principal_guid IN \
         (SELECT group_guid FROM group_members WHERE user_guid = $1)) AND content_guid";
    let row = |row: &AnyRow| {
        let role: String = row.try_get(1)?;
        Ok((row.try_get(0)?, if role == "owner" { Grant::Owner } else { Grant::Viewer }))
    };
    of_each(db, sql, &[user_guid], guids).await?.iter().map(row).collect()
}

/// The permissions on an item, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn of_content(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Vec<Permission>> {
    let sql = "SELECT * FROM permissions WHERE content_guid = $1 ORDER BY id";
    sqlx::query(sql).bind(content_guid).fetch_all(db).await?.iter().map(permission).collect()
}

/// One permission on an item.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, content_guid: &str, id: i64) -> sqlx::Result<Option<Permission>> {
    let sql = "SELECT * FROM permissions WHERE content_guid = $1 AND id = $2";
    sqlx::query(sql).bind(content_guid).bind(id).fetch_optional(db).await?.as_ref().map(permission).transpose()
}

/// The permission of a principal on an item.
///
/// # Errors
/// When the database fails.
pub async fn of_principal(db: &mut AnyConnection, content_guid: &str, guid: &str) -> sqlx::Result<Option<Permission>> {
    let sql = "SELECT * FROM permissions WHERE content_guid = $1 AND principal_guid = $2";
    sqlx::query(sql).bind(content_guid).bind(guid).fetch_optional(db).await?.as_ref().map(permission).transpose()
}

/// The permissions of a principal on anything, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn to_principal(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Vec<Permission>> {
    let sql = "SELECT * FROM permissions WHERE principal_guid = $1 ORDER BY id";
    sqlx::query(sql).bind(guid).fetch_all(db).await?.iter().map(permission).collect()
}

/// Inserts a permission, or replaces that of the same id.
///
/// # Errors
/// When the principal has another permission on the item, or when the database fails.
pub async fn put(db: &mut AnyConnection, permission: &Permission) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO permissions (id, content_guid, principal_guid, principal_type, role) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (id) DO UPDATE SET principal_guid = excluded.principal_guid, \
         principal_type = excluded.principal_type, role = excluded.role",
    )
    .bind(permission.id)
    .bind(&permission.content_guid)
    .bind(&permission.principal_guid)
    .bind(&permission.principal_type)
    .bind(permission.grant.as_str())
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a permission away; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, content_guid: &str, id: i64) -> sqlx::Result<bool> {
    let sql = "DELETE FROM permissions WHERE content_guid = $1 AND id = $2";
    Ok(sqlx::query(sql).bind(content_guid).bind(id).execute(db).await?.rows_affected() > 0)
}

/// Takes away everything that was granted to a principal.
///
/// # Errors
/// When the database fails.
pub async fn delete_of_principal(db: &mut AnyConnection, guid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM permissions WHERE principal_guid = $1").bind(guid).execute(db).await?;
    Ok(())
}
