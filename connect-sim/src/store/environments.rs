//! Execution environments, and who may use them.

use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, json};

/// An image that content can run in.
#[derive(Debug, Clone)]
pub struct Environment {
    /// UUID.
    pub guid: String,
    /// Id.
    pub id: i64,
    /// Of the image.
    pub name: String,
    /// Such as `Kubernetes`.
    pub cluster_name: String,
    /// Every other member, as the API shows it.
    pub detail: serde_json::Map<String, Value>,
    /// Microseconds.
    pub created: i64,
    /// Microseconds.
    pub updated: i64,
}

fn environment(row: &AnyRow) -> sqlx::Result<Environment> {
    Ok(Environment {
        guid: row.try_get("guid")?,
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        cluster_name: row.try_get("cluster_name")?,
        detail: json(row, "detail")?,
        created: row.try_get("created")?,
        updated: row.try_get("updated")?,
    })
}

/// Inserts an environment, or writes it anew.
///
/// # Errors
/// A duplicate name, or when the database fails.
pub async fn put(db: &mut AnyConnection, environment: &Environment) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO environments (guid, id, name, cluster_name, detail, created, updated) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (guid) DO UPDATE SET detail = excluded.detail, updated = excluded.updated",
    )
    .bind(&environment.guid)
    .bind(environment.id)
    .bind(&environment.name)
    .bind(&environment.cluster_name)
    .bind(as_json(&environment.detail))
    .bind(environment.created)
    .bind(environment.updated)
    .execute(db)
    .await?;
    Ok(())
}

/// All of them.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &mut AnyConnection) -> sqlx::Result<Vec<Environment>> {
    sqlx::query("SELECT * FROM environments ORDER BY id").fetch_all(db).await?.iter().map(environment).collect()
}

/// By guid.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Option<Environment>> {
    let sql = "SELECT * FROM environments WHERE guid = $1";
    sqlx::query(sql).bind(guid).fetch_optional(db).await?.as_ref().map(environment).transpose()
}

/// Takes one away; false when there was none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, guid: &str) -> sqlx::Result<bool> {
    Ok(sqlx::query("DELETE FROM environments WHERE guid = $1").bind(guid).execute(db).await?.rows_affected() > 0)
}

/// Who may use an environment. One without any is everybody's.
#[derive(Debug, Clone)]
pub struct Permission {
    /// UUID.
    pub guid: String,
    /// Id.
    pub id: i64,
    /// Of which environment.
    pub environment_guid: String,
    /// A user,
    pub user_guid: Option<String>,
    /// or a group.
    pub group_guid: Option<String>,
}

/// Inserts a permission under its own id.
///
/// # Errors
/// When the database fails.
pub async fn permit(db: &mut AnyConnection, permission: &Permission) -> sqlx::Result<()> {
    let sql = "INSERT INTO environment_permissions (guid, id, environment_guid, user_guid, group_guid) \
         VALUES ($1, $2, $3, $4, $5)";
    let query = sqlx::query(sql).bind(&permission.guid).bind(permission.id).bind(&permission.environment_guid);
    query.bind(&permission.user_guid).bind(&permission.group_guid).execute(db).await?;
    Ok(())
}

/// The permissions of an environment.
///
/// # Errors
/// When the database fails.
pub async fn permissions(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Vec<Permission>> {
    let sql = "SELECT * FROM environment_permissions WHERE environment_guid = $1 ORDER BY id";
    let permission = |row: &AnyRow| {
        Ok(Permission {
            guid: row.try_get("guid")?,
            id: row.try_get("id")?,
            environment_guid: row.try_get("environment_guid")?,
            user_guid: row.try_get("user_guid")?,
            group_guid: row.try_get("group_guid")?,
        })
    };
    sqlx::query(sql).bind(guid).fetch_all(db).await?.iter().map(permission).collect()
}

/// Takes a permission away; false when there was none.
///
/// # Errors
/// When the database fails.
pub async fn forbid(db: &mut AnyConnection, environment_guid: &str, guid: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM environment_permissions WHERE environment_guid = $1 AND guid = $2";
    Ok(sqlx::query(sql).bind(environment_guid).bind(guid).execute(db).await?.rows_affected() > 0)
}
