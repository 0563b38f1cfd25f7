//! Service principals that may publish to an item, and by which identity tokens they are known.

use std::collections::BTreeMap;

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, json};

/// A binding of a service principal to an item.
#[derive(Debug, Clone)]
pub struct TrustedPublisher {
    /// The item.
    pub content_guid: String,
    /// The service principal.
    pub user_guid: String,
    /// Name of the service principal.
    pub name: String,
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` of its tokens.
    pub audience: String,
    /// Further claims of its tokens, each with its value.
    pub claims: BTreeMap<String, String>,
    /// Microseconds.
    pub created: i64,
}

fn publisher(row: &AnyRow) -> sqlx::Result<TrustedPublisher> {
    Ok(TrustedPublisher {
        content_guid: row.try_get("content_guid")?,
        user_guid: row.try_get("user_guid")?,
        name: row.try_get("first_name")?,
        issuer: row.try_get("issuer")?,
        audience: row.try_get("audience")?,
        claims: json(row, "claims")?,
        created: row.try_get("created")?,
    })
}

const SELECT: &str = "SELECT t.*, u.first_name FROM trusted_publishers t JOIN users u ON u.guid = t.user_guid";

/// Inserts a binding.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, one: &TrustedPublisher) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO trusted_publishers (content_guid, user_guid, issuer, audience, claims, created) \
         VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&one.content_guid)
    .bind(&one.user_guid)
    .bind(&one.issuer)
    .bind(&one.audience)
    .bind(as_json(&one.claims))
    .bind(one.created)
    .execute(db)
    .await?;
    Ok(())
}

/// The bindings of an item, oldest first.
///
/// # Errors
/// When the database fails.
pub async fn of_content(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Vec<TrustedPublisher>> {
    let sql = sqlx::AssertSqlSafe(format!("{SELECT} WHERE t.content_guid = $1 ORDER BY t.created, t.user_guid"));
    sqlx::query(sql).bind(content_guid).fetch_all(db).await?.iter().map(publisher).collect()
}

/// All bindings to tokens of an issuer.
///
/// # Errors
/// When the database fails.
pub async fn of_issuer(db: &mut AnyConnection, issuer: &str) -> sqlx::Result<Vec<TrustedPublisher>> {
    let sql = sqlx::AssertSqlSafe(format!("{SELECT} WHERE t.issuer = $1 ORDER BY t.created, t.user_guid"));
    sqlx::query(sql).bind(issuer).fetch_all(db).await?.iter().map(publisher).collect()
}

/// Whether a service principal may publish to an item.
///
/// # Errors
/// When the database fails.
pub async fn may_publish(db: &mut AnyConnection, content_guid: &str, user_guid: &str) -> sqlx::Result<bool> {
    let sql = "SELECT 1 FROM trusted_publishers WHERE content_guid = $1 AND user_guid = $2";
    Ok(sqlx::query(sql).bind(content_guid).bind(user_guid).fetch_optional(db).await?.is_some())
}

/// Takes a binding away, with the keys of the service principal; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, content_guid: &str, user_guid: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM trusted_publishers WHERE content_guid = $1 AND user_guid = $2";
    let gone = sqlx::query(sql).bind(content_guid).bind(user_guid).execute(&mut *db).await?.rows_affected() > 0;
    if gone {
        sqlx::query("DELETE FROM api_keys WHERE user_guid = $1").bind(user_guid).execute(db).await?;
    }
    Ok(gone)
}
