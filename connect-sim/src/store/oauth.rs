//! OAuth integrations, the content that uses them, and the sessions of users with them.

use serde_json::{Map, Value};
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, json};

/// A service that content gets credentials for.
#[derive(Debug, Clone)]
pub struct Integration {
    /// UUID.
    pub guid: String,
    /// Id.
    pub id: i64,
    /// For people.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// Key of the template.
    pub template: String,
    /// With its secrets.
    pub config: Map<String, Value>,
    /// Microseconds.
    pub created: i64,
    /// Microseconds.
    pub updated: i64,
}

fn integration(row: &AnyRow) -> sqlx::Result<Integration> {
    Ok(Integration {
        guid: row.try_get("guid")?,
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        description: row.try_get("description")?,
        template: row.try_get("template")?,
        config: json(row, "config")?,
        created: row.try_get("created")?,
        updated: row.try_get("updated")?,
    })
}

/// Inserts an integration, or writes it anew.
///
/// # Errors
/// When the database fails.
pub async fn put(db: &mut AnyConnection, one: &Integration) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO oauth_integrations (guid, id, name, description, template, config, created, updated) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (guid) DO UPDATE SET name = excluded.name, \
         description = excluded.description, config = excluded.config, updated = excluded.updated",
    )
    .bind(&one.guid)
    .bind(one.id)
    .bind(&one.name)
    .bind(&one.description)
    .bind(&one.template)
    .bind(as_json(&one.config))
    .bind(one.created)
    .bind(one.updated)
    .execute(db)
    .await?;
    Ok(())
}

/// All integrations.
///
/// # Errors
/// When the database fails.
pub async fn all(db: &mut AnyConnection) -> sqlx::Result<Vec<Integration>> {
    let sql = "SELECT * FROM oauth_integrations ORDER BY id";
    sqlx::query(sql).fetch_all(db).await?.iter().map(integration).collect()
}

/// By guid.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Option<Integration>> {
    let sql = "SELECT * FROM oauth_integrations WHERE guid = $1";
    sqlx::query(sql).bind(guid).fetch_optional(db).await?.as_ref().map(integration).transpose()
}

/// Takes an integration away, with what belongs to it.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, guid: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM oauth_integrations WHERE guid = $1";
    Ok(sqlx::query(sql).bind(guid).execute(db).await?.rows_affected() > 0)
}

/// Who may use an integration: a user or a group.
#[derive(Debug, Clone)]
pub struct Permission {
    /// UUID.
    pub guid: String,
    /// Id.
    pub id: i64,
    /// What.
    pub integration_guid: String,
    /// The user.
    pub user_guid: Option<String>,
    /// The group.
    pub group_guid: Option<String>,
}

/// Who may use an integration; empty: everybody who publishes.
///
/// # Errors
/// When the database fails.
pub async fn permissions(db: &mut AnyConnection, integration_guid: &str) -> sqlx::Result<Vec<Permission>> {
    let sql = "SELECT * FROM oauth_integration_permissions WHERE integration_guid = $1 ORDER BY id";
    let rows = sqlx::query(sql).bind(integration_guid).fetch_all(db).await?;
    let permission = |row: &AnyRow| {
        Ok(Permission {
            guid: row.try_get("guid")?,
            id: row.try_get("id")?,
            integration_guid: row.try_get("integration_guid")?,
            user_guid: row.try_get("user_guid")?,
            group_guid: row.try_get("group_guid")?,
        })
    };
    rows.iter().map(permission).collect()
}

/// Sets who may use an integration.
///
/// # Errors
/// When the database fails.
pub async fn set_permissions(db: &mut AnyConnection, integration_guid: &str, all: &[Permission]) -> sqlx::Result<()> {
    let sql = "DELETE FROM oauth_integration_permissions WHERE integration_guid = $1";
    sqlx::query(sql).bind(integration_guid).execute(&mut *db).await?;
    for one in all {
        let sql = "INSERT INTO oauth_integration_permissions (guid, id, integration_guid, user_guid, group_guid) \
             VALUES ($1, $2, $3, $4, $5)";
        let query = sqlx::query(sql).bind(&one.guid).bind(one.id).bind(integration_guid);
        query.bind(&one.user_guid).bind(&one.group_guid).execute(&mut *db).await?;
    }
    Ok(())
}

/// Whether a user may use an integration, by itself, through a group, or as everybody may.
///
/// # Errors
/// When the database fails.
pub async fn permits(db: &mut AnyConnection, integration_guid: &str, user_guid: &str) -> sqlx::Result<bool> {
    let sql = "SELECT 1 FROM oauth_integrations WHERE guid = $1 AND (NOT EXISTS \
         (SELECT 1 FROM oauth_integration_permissions WHERE integration_guid = $1) OR EXISTS \
         (SELECT 1 FROM oauth_integration_permissions WHERE integration_guid = $1 AND (user_guid = $2 OR group_guid IN \
         (SELECT group_guid FROM group_members WHERE user_guid = $2))))";
    let query = sqlx::query(sql).bind(integration_guid).bind(user_guid);
    Ok(query.fetch_optional(db).await?.is_some())
}

/// Which content uses which integration, since when: `(content, integration, microseconds)`. Of one content, of one
/// integration, or all.
///
/// # Errors
/// When the database fails.
pub async fn associations(
    db: &mut AnyConnection,
    content_guid: Option<&str>,
    integration_guid: Option<&str>,
) -> sqlx::Result<Vec<(String, String, i64)>> {
    let sql = "SELECT content_guid, integration_guid, created FROM oauth_associations \
         WHERE ($1 IS NULL OR content_guid = $1) AND ($2 IS NULL OR integration_guid = $2) \
         ORDER BY created, integration_guid, content_guid";
    let rows = sqlx::query(sql).bind(content_guid).bind(integration_guid).fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
}

/// Sets which integrations an item uses.
///
/// # Errors
/// When the database fails.
pub async fn associate(db: &mut AnyConnection, content_guid: &str, guids: &[String], now: i64) -> sqlx::Result<()> {
    let sql = "DELETE FROM oauth_associations WHERE content_guid = $1";
    sqlx::query(sql).bind(content_guid).execute(&mut *db).await?;
    for guid in guids {
        let sql = "INSERT INTO oauth_associations (content_guid, integration_guid, created) VALUES ($1, $2, $3)";
        sqlx::query(sql).bind(content_guid).bind(guid).bind(now).execute(&mut *db).await?;
    }
    Ok(())
}

/// A user who signed in with an integration.
#[derive(Debug, Clone)]
pub struct Session {
    /// UUID.
    pub guid: String,
    /// Id.
    pub id: i64,
    /// Whose.
    pub user_guid: String,
    /// With what.
    pub integration_guid: String,
    /// What content gets.
    pub access_token: String,
    /// What a new one is got with, where the service gave it.
    pub refresh_token: Option<String>,
    /// Until when content's token is good, microseconds.
    pub expires: i64,
    /// Microseconds.
    pub created: i64,
    /// Microseconds.
    pub updated: i64,
}

/// Inserts a session, or renews the tokens of the one that is there.
///
/// # Errors
/// When the database fails.
pub async fn sign_in(db: &mut AnyConnection, session: &Session) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO oauth_sessions (guid, id, user_guid, integration_guid, access_token, created, updated, \
         refresh_token, expires) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
         ON CONFLICT (user_guid, integration_guid) DO UPDATE SET access_token = excluded.access_token, \
         updated = excluded.updated, refresh_token = excluded.refresh_token, expires = excluded.expires",
    )
    .bind(&session.guid)
    .bind(session.id)
    .bind(&session.user_guid)
    .bind(&session.integration_guid)
    .bind(&session.access_token)
    .bind(session.created)
    .bind(session.updated)
    .bind(&session.refresh_token)
    .bind(session.expires)
    .execute(db)
    .await?;
    Ok(())
}

/// All sessions.
///
/// # Errors
/// When the database fails.
pub async fn sessions(db: &mut AnyConnection) -> sqlx::Result<Vec<Session>> {
    let session = |row: &AnyRow| {
        Ok(Session {
            guid: row.try_get("guid")?,
            id: row.try_get("id")?,
            user_guid: row.try_get("user_guid")?,
            integration_guid: row.try_get("integration_guid")?,
            access_token: row.try_get("access_token")?,
            refresh_token: row.try_get("refresh_token")?,
            expires: row.try_get("expires")?,
            created: row.try_get("created")?,
            updated: row.try_get("updated")?,
        })
    };
    sqlx::query("SELECT * FROM oauth_sessions ORDER BY id").fetch_all(db).await?.iter().map(session).collect()
}

/// Takes a session away.
///
/// # Errors
/// When the database fails.
pub async fn sign_out(db: &mut AnyConnection, guid: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM oauth_sessions WHERE guid = $1").bind(guid).execute(db).await?;
    Ok(())
}
