//! What belongs to the server as a whole: caches of runtimes, runs of checks.

use serde_json::Value;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, json};

/// Notes that packages of a runtime are cached.
///
/// # Errors
/// When the database fails.
pub async fn cache(db: &mut AnyConnection, language: &str, version: &str) -> sqlx::Result<()> {
    let sql = "INSERT INTO runtime_caches (language, version) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    sqlx::query(sql).bind(language).bind(version).execute(db).await?;
    Ok(())
}

/// Languages and versions with a cache.
///
/// # Errors
/// When the database fails.
pub async fn caches(db: &mut AnyConnection) -> sqlx::Result<Vec<(String, String)>> {
    let rows = sqlx::query("SELECT language, version FROM runtime_caches ORDER BY language DESC, version");
    rows.fetch_all(db).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Takes a cache away.
///
/// # Errors
/// When the database fails.
pub async fn uncache(db: &mut AnyConnection, language: &str, version: &str) -> sqlx::Result<()> {
    let sql = "DELETE FROM runtime_caches WHERE language = $1 AND version = $2";
    sqlx::query(sql).bind(language).bind(version).execute(db).await?;
    Ok(())
}

/// Features by name, and whether anything was made with each.
///
/// # Errors
/// When the database fails.
pub async fn features(db: &mut AnyConnection) -> sqlx::Result<Vec<(&'static str, bool)>> {
    let tables = [
        ("environments", "environments"),
        ("git-backed-content", "repositories"),
        ("groups", "user_groups"),
        ("oauth-integrations", "oauth_integrations"),
        ("schedules", "schedules"),
        ("service-tokens", "service_tokens"),
        ("tags", "tags"),
        ("thumbnails", "thumbnails"),
        ("vanity-urls", "vanities"),
    ];
    let mut used = Vec::new();
    for (name, table) in tables {
        let sql = sqlx::AssertSqlSafe(format!("SELECT 1 FROM {table} LIMIT 1"));
        used.push((name, sqlx::query(sql).fetch_optional(&mut *db).await?.is_some()));
    }
    Ok(used)
}

/// A run of the checks; all are over when it is written.
#[derive(Debug, Clone)]
pub struct CheckRun {
    /// Id.
    pub id: i64,
    /// Microseconds.
    pub started: i64,
    /// Where.
    pub hostname: String,
    /// As the API shows them.
    pub results: Vec<Value>,
}

/// Writes a run under its own id.
///
/// # Errors
/// When the database fails.
pub async fn insert_run(db: &mut AnyConnection, run: &CheckRun) -> sqlx::Result<()> {
    let query = sqlx::query("INSERT INTO check_runs (id, started, hostname, results) VALUES ($1, $2, $3, $4)");
    query.bind(run.id).bind(run.started).bind(&run.hostname).bind(as_json(&run.results)).execute(db).await?;
    Ok(())
}

/// Takes a run away.
///
/// # Errors
/// When the database fails.
pub async fn delete_run(db: &mut AnyConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM check_runs WHERE id = $1").bind(id).execute(db).await?;
    Ok(())
}

/// Runs, newest first.
///
/// # Errors
/// When the database fails.
pub async fn runs(db: &mut AnyConnection) -> sqlx::Result<Vec<CheckRun>> {
    let rows = sqlx::query("SELECT * FROM check_runs ORDER BY id DESC LIMIT 1000").fetch_all(db).await?;
    let run = |row: &sqlx::any::AnyRow| {
        Ok(CheckRun {
            id: row.try_get("id")?,
            started: row.try_get("started")?,
            hostname: row.try_get("hostname")?,
            results: json(row, "results")?,
        })
    };
    rows.iter().map(run).collect()
}
