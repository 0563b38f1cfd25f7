//! The only place with SQL. Plain functions on a connection that return plain structs; one file a resource.

pub mod audit;
pub mod bookmarks;
pub mod bundles;
pub mod content;
pub mod environments;
pub mod groups;
pub mod hits;
pub mod idp;
pub mod jobs;
pub mod keys;
pub mod mail;
pub mod messages;
pub mod oauth;
pub mod oauth_server;
pub mod permissions;
pub mod renderings;
pub mod repositories;
pub mod schedules;
pub mod search;
pub mod service_tokens;
pub mod sessions;
pub mod sign_in;
pub mod system;
pub mod tags;
pub mod tasks;
pub mod thumbnails;
pub mod tokens;
pub mod trusted_publishers;
pub mod users;
pub mod vanities;
pub mod variables;
pub mod variants;
pub mod webhooks;

use sim_kit::Migration;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

/// The schema.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "init", sql: include_str!("../../migrations/0001_init.sql") },
    Migration { version: 2, name: "variants", sql: include_str!("../../migrations/0002_variants.sql") },
    Migration { version: 3, name: "system", sql: include_str!("../../migrations/0003_system.sql") },
    Migration { version: 4, name: "oauth", sql: include_str!("../../migrations/0004_oauth.sql") },
    Migration { version: 10, name: "oauth_server", sql: include_str!("../../migrations/0010_oauth_server.sql") },
    Migration {
        version: 11,
        name: "service_principals",
        sql: include_str!("../../migrations/0011_service_principals.sql"),
    },
    Migration { version: 12, name: "sign_in", sql: include_str!("../../migrations/0012_sign_in.sql") },
    Migration {
        version: 13,
        name: "integration_permissions",
        sql: include_str!("../../migrations/0013_integration_permissions.sql"),
    },
    Migration { version: 20, name: "git", sql: include_str!("../../migrations/0020_git.sql") },
    Migration { version: 21, name: "processes", sql: include_str!("../../migrations/0021_processes.sql") },
    Migration { version: 22, name: "records", sql: include_str!("../../migrations/0022_records.sql") },
    Migration { version: 30, name: "mail", sql: include_str!("../../migrations/0030_mail.sql") },
    Migration { version: 31, name: "nodes", sql: include_str!("../../migrations/0031_nodes.sql") },
    Migration { version: 40, name: "webhooks", sql: include_str!("../../migrations/0040_webhooks.sql") },
    Migration { version: 41, name: "messages", sql: include_str!("../../migrations/0041_messages.sql") },
    Migration { version: 50, name: "search", sql: include_str!("../../migrations/0050_search.sql") },
    Migration { version: 51, name: "inactivity", sql: include_str!("../../migrations/0051_inactivity.sql") },
    Migration { version: 52, name: "refresh_tokens", sql: include_str!("../../migrations/0052_refresh_tokens.sql") },
    Migration { version: 53, name: "package_names", sql: include_str!("../../migrations/0053_package_names.sql") },
    Migration { version: 54, name: "assigned_tags", sql: include_str!("../../migrations/0054_assigned_tags.sql") },
    Migration { version: 55, name: "jobs_of_tasks", sql: include_str!("../../migrations/0055_jobs_of_tasks.sql") },
];

/// The next number of `kind`, from 1; never given twice, also not after its holder is gone. Needs a write transaction.
///
/// # Errors
/// When the database fails.
pub async fn next(db: &mut AnyConnection, kind: &str) -> sqlx::Result<i64> {
    next_of(db, kind, 1).await
}

/// As [`next`], for `count` numbers in a row; gives the first.
///
/// # Errors
/// When the database fails.
pub async fn next_of(db: &mut AnyConnection, kind: &str, count: usize) -> sqlx::Result<i64> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    let row = sqlx::query(
        "INSERT INTO counters (kind, value) VALUES ($1, $2) \
         ON CONFLICT (kind) DO UPDATE SET value = counters.value + excluded.value RETURNING value",
    )
    .bind(kind)
    .bind(count)
    .fetch_one(db)
    .await?;
    Ok(row.try_get::<i64, _>(0)? - count + 1)
}

/// Rows written by one statement, at most: databases limit how many values it has.
pub const ROWS: usize = 500;

/// The places of the values of so many rows of so many columns: `($1, $2), ($3, $4)`.
#[must_use]
pub fn rows(rows: usize, columns: usize) -> String {
    (0..rows).map(|row| format!("({})", places(row * columns + 1, columns))).collect::<Vec<_>>().join(", ")
}

/// A value that outlives restarts.
///
/// # Errors
/// When the database fails.
pub async fn meta(db: &mut AnyConnection, key: &str) -> sqlx::Result<Option<String>> {
    let row = sqlx::query("SELECT value FROM meta WHERE key = $1").bind(key).fetch_optional(db).await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Sets a value that outlives restarts.
///
/// # Errors
/// When the database fails.
pub async fn set_meta(db: &mut AnyConnection, key: &str, value: &str) -> sqlx::Result<()> {
    let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    sqlx::query(sql).bind(key).bind(value).execute(db).await?;
    Ok(())
}

/// `$3, $4, $5`: places for `count` values from the number `first`.
fn places(first: usize, count: usize) -> String {
    (first..first + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}

/// The rows of `sql`, which takes `values` and ends with the column that is one of `texts`.
async fn of_each(db: &mut AnyConnection, sql: &str, values: &[&str], texts: &[&str]) -> sqlx::Result<Vec<AnyRow>> {
    if texts.is_empty() {
        return Ok(Vec::new());
    }
    let sql = AssertSqlSafe(format!("{sql} IN ({})", places(values.len() + 1, texts.len())));
    values.iter().chain(texts).fold(sqlx::query(sql), |query, text| query.bind(*text)).fetch_all(db).await
}

/// A boolean column.
fn flag(row: &AnyRow, column: &str) -> sqlx::Result<bool> {
    Ok(row.try_get::<i64, _>(column)? != 0)
}

/// A column that holds the digest of a blob.
fn digest(row: &AnyRow, column: &str) -> sqlx::Result<sim_kit::Digest> {
    let text: String = row.try_get(column)?;
    text.parse().map_err(|error: sim_kit::blobs::BlobError| sqlx::Error::ColumnDecode {
        index: column.to_owned(),
        source: error.into(),
    })
}

/// A column that holds JSON of a known shape.
fn json<T: serde::de::DeserializeOwned>(row: &AnyRow, column: &str) -> sqlx::Result<T> {
    let text: String = row.try_get(column)?;
    serde_json::from_str(&text)
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
}

/// The JSON text of a value for a column.
fn as_json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("plain structs with text keys are JSON")
}

/// Whether an error says that a row of the same key exists.
#[must_use]
pub fn is_duplicate(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
