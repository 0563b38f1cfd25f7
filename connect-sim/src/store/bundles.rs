//! Bundles and the packages they were built with.

use std::collections::BTreeMap;

use sim_kit::Digest;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::content::Runtime;
use super::{as_json, digest, flag, json};

/// An uploaded archive.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Id.
    pub id: i64,
    /// Of what.
    pub content_guid: String,
    /// Guid of the user.
    pub created_by: Option<String>,
    /// Microseconds.
    pub created: i64,
    /// Of the archive.
    pub digest: Digest,
    /// Bytes of the archive.
    pub size: i64,
    /// What the client said about it, and digests of the archive.
    pub metadata: BTreeMap<String, String>,
    /// From the manifest.
    pub app_mode: String,
    /// From the manifest; may be empty.
    pub content_category: String,
    /// From the manifest.
    pub parameterized: bool,
    /// From the manifest.
    pub entrypoint: Option<String>,
    /// `primary_html` or `primary_rmd` of the manifest.
    pub primary_file: Option<String>,
    /// What it was built with; empty before.
    pub runtime: Runtime,
}

fn bundle(row: &AnyRow) -> sqlx::Result<Bundle> {
    Ok(Bundle {
        id: row.try_get("id")?,
        content_guid: row.try_get("content_guid")?,
        created_by: row.try_get("created_by")?,
        created: row.try_get("created")?,
        digest: digest(row, "digest")?,
        size: row.try_get("size")?,
        metadata: json(row, "metadata")?,
        app_mode: row.try_get("app_mode")?,
        content_category: row.try_get("content_category")?,
        parameterized: flag(row, "parameterized")?,
        entrypoint: row.try_get("entrypoint")?,
        primary_file: row.try_get("primary_file")?,
        runtime: json(row, "runtime")?,
    })
}

/// Inserts a bundle under its own id.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, bundle: &Bundle) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO bundles (id, content_guid, created_by, created, digest, size, metadata, app_mode, \
         content_category, parameterized, entrypoint, primary_file, runtime) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
    )
    .bind(bundle.id)
    .bind(&bundle.content_guid)
    .bind(&bundle.created_by)
    .bind(bundle.created)
    .bind(bundle.digest.to_string())
    .bind(bundle.size)
    .bind(as_json(&bundle.metadata))
    .bind(&bundle.app_mode)
    .bind(&bundle.content_category)
    .bind(i64::from(bundle.parameterized))
    .bind(&bundle.entrypoint)
    .bind(&bundle.primary_file)
    .bind(as_json(&bundle.runtime))
    .execute(db)
    .await?;
    Ok(())
}

/// Notes what a bundle was built with.
///
/// # Errors
/// When the database fails.
pub async fn set_runtime(db: &mut AnyConnection, id: i64, runtime: &Runtime) -> sqlx::Result<()> {
    sqlx::query("UPDATE bundles SET runtime = $2 WHERE id = $1").bind(id).bind(as_json(runtime)).execute(db).await?;
    Ok(())
}

/// By id.
///
/// # Errors
/// When the database fails.
pub async fn get(db: &mut AnyConnection, id: i64) -> sqlx::Result<Option<Bundle>> {
    let sql = "SELECT * FROM bundles WHERE id = $1";
    sqlx::query(sql).bind(id).fetch_optional(db).await?.as_ref().map(bundle).transpose()
}

/// The bundles of an item, newest first.
///
/// # Errors
/// When the database fails.
pub async fn of_content(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Vec<Bundle>> {
    let sql = "SELECT * FROM bundles WHERE content_guid = $1 ORDER BY id DESC";
    sqlx::query(sql).bind(content_guid).fetch_all(db).await?.iter().map(bundle).collect()
}

/// The newest bundle of an item.
///
/// # Errors
/// When the database fails.
pub async fn newest(db: &mut AnyConnection, content_guid: &str) -> sqlx::Result<Option<Bundle>> {
    let sql = "SELECT * FROM bundles WHERE content_guid = $1 ORDER BY id DESC LIMIT 1";
    sqlx::query(sql).bind(content_guid).fetch_optional(db).await?.as_ref().map(bundle).transpose()
}

/// The bundles that are older than the newest `keep` of their item, are not active, and that no task waits for.
///
/// # Errors
/// When the database fails.
pub async fn beyond(db: &mut AnyConnection, keep: i64) -> sqlx::Result<Vec<Bundle>> {
    let sql = "SELECT * FROM bundles AS old WHERE (SELECT COUNT(*) FROM bundles AS newer \
         WHERE newer.content_guid = old.content_guid AND newer.id > old.id) >= $1 \
         AND NOT EXISTS (SELECT 1 FROM content WHERE content.bundle_id = old.id) \
         AND NOT EXISTS (SELECT 1 FROM tasks WHERE tasks.bundle_id = old.id AND tasks.state <> 'finished') ORDER BY id";
    sqlx::query(sql).bind(keep).fetch_all(db).await?.iter().map(bundle).collect()
}

/// Takes a bundle away.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, id: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM bundles WHERE id = $1").bind(id).execute(db).await?;
    Ok(())
}

/// Whether any bundle has this archive.
///
/// # Errors
/// When the database fails.
pub async fn uses(db: &mut AnyConnection, digest: &Digest) -> sqlx::Result<bool> {
    let sql = "SELECT 1 FROM bundles WHERE digest = $1 UNION SELECT 1 FROM thumbnails WHERE digest = $1 LIMIT 1";
    Ok(sqlx::query(sql).bind(digest.to_string()).fetch_optional(db).await?.is_some())
}

/// Every bundle's id.
///
/// # Errors
/// When the database fails.
pub async fn ids(db: &mut AnyConnection) -> sqlx::Result<Vec<i64>> {
    sqlx::query("SELECT id FROM bundles").fetch_all(db).await?.iter().map(|row| row.try_get(0)).collect()
}

/// Bundles and the bytes of their archives.
#[derive(Debug, Default, Clone, Copy)]
pub struct Room {
    /// Bundles.
    pub count: i64,
    /// Bytes of all.
    pub total: i64,
    /// Bytes of those that are active.
    pub active: i64,
}

/// Sums of the bundles that rows have.
const ROOM: &str = "COUNT(bundles.id) AS bundle_count, CAST(COALESCE(SUM(bundles.size), 0) AS BIGINT) AS bytes_total, \
     CAST(COALESCE(SUM(CASE WHEN content.bundle_id = bundles.id THEN bundles.size ELSE 0 END), 0) AS BIGINT) AS bytes_active";

fn room(row: &AnyRow) -> sqlx::Result<Room> {
    Ok(Room {
        count: row.try_get("bundle_count")?,
        total: row.try_get("bytes_total")?,
        active: row.try_get("bytes_active")?,
    })
}

/// What all bundles take, and how many items they belong to.
///
/// # Errors
/// When the database fails.
pub async fn all_room(db: &mut AnyConnection) -> sqlx::Result<(Room, i64)> {
    let sql = format!(
        "SELECT {ROOM}, COUNT(DISTINCT content.guid) AS items FROM bundles JOIN content ON content.guid = bundles.content_guid"
    );
    let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(db).await?;
    Ok((room(&row)?, row.try_get("items")?))
}

/// What a list of items goes by.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // as in `Room`
pub enum By {
    Total,
    Active,
    Inactive,
    Count,
}

/// What the bundles of each item take: a part of the items' ids, in order.
///
/// # Errors
/// When the database fails.
pub async fn rooms(
    db: &mut AnyConnection,
    by: By,
    descending: bool,
    limit: i64,
    offset: i64,
) -> sqlx::Result<Vec<(i64, Room)>> {
    let by = match by {
        By::Total => "bytes_total",
        By::Active => "bytes_active",
        By::Inactive => "bytes_total - bytes_active",
        By::Count => "bundle_count",
    };
    let direction = if descending { "DESC" } else { "ASC" };
    // An expression cannot name the sums beside it.
    let sql = format!(
        "SELECT * FROM (SELECT content.id AS item, {ROOM} FROM content LEFT JOIN bundles \
         ON bundles.content_guid = content.guid GROUP BY content.id) AS rooms \
         ORDER BY {by} {direction}, item {direction} LIMIT $1 OFFSET $2"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(limit).bind(offset).fetch_all(db).await?;
    rows.iter().map(|row| Ok((row.try_get("item")?, room(row)?))).collect()
}

/// A package that a bundle was built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// `r` or `python`.
    pub language: &'static str,
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Of the R package's description.
    pub hash: Option<String>,
}

/// Notes the packages of a bundle in place of those noted before.
///
/// # Errors
/// When the database fails.
pub async fn set_packages(db: &mut AnyConnection, bundle_id: i64, packages: &[Package]) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM packages WHERE bundle_id = $1").bind(bundle_id).execute(&mut *db).await?;
    for package in packages {
        sqlx::query("INSERT INTO packages (bundle_id, language, name, version, hash) VALUES ($1, $2, $3, $4, $5)")
            .bind(bundle_id)
            .bind(package.language)
            .bind(&package.name)
            .bind(&package.version)
            .bind(&package.hash)
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

fn package(row: &AnyRow) -> sqlx::Result<Package> {
    let language: String = row.try_get("language")?;
    Ok(Package {
        language: if language == "r" { "r" } else { "python" },
        name: row.try_get("name")?,
        version: row.try_get("version")?,
        hash: row.try_get("hash")?,
    })
}

/// The packages of a bundle, by language and name.
///
/// # Errors
/// When the database fails.
pub async fn packages(db: &mut AnyConnection, bundle_id: i64) -> sqlx::Result<Vec<Package>> {
    let sql = "SELECT * FROM packages WHERE bundle_id = $1 ORDER BY language, name";
    sqlx::query(sql).bind(bundle_id).fetch_all(db).await?.iter().map(package).collect()
}

/// A page of the packages of all active bundles, by language and name, with the guid of their item; and how many there are in all.
///
/// # Errors
/// When the database fails.
pub async fn active_packages(
    db: &mut AnyConnection,
    name: Option<&str>,
    ascending: bool,
    limit: i64,
    offset: i64,
) -> sqlx::Result<(Vec<(Package, Bundle)>, i64)> {
    let from = "FROM packages JOIN bundles ON bundles.id = packages.bundle_id \
         JOIN content ON content.bundle_id = bundles.id AND content.guid = bundles.content_guid \
         WHERE ($1 IS NULL OR packages.name = $1)";
    let order = if ascending { "ASC" } else { "DESC" };
    let sql = format!(
        "SELECT packages.bundle_id, packages.language, packages.name, packages.version, packages.hash {from} \
         ORDER BY packages.language {order}, packages.name {order}, packages.bundle_id {order} LIMIT $2 OFFSET $3"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).bind(name).bind(limit).bind(offset).fetch_all(&mut *db).await?;
    let mut found = Vec::with_capacity(rows.len());
    let mut bundles: BTreeMap<i64, Bundle> = BTreeMap::new();
    for row in &rows {
        let id: i64 = row.try_get("bundle_id")?;
        if !bundles.contains_key(&id)
            && let Some(bundle) = get(&mut *db, id).await?
        {
            bundles.insert(id, bundle);
        }
        if let Some(bundle) = bundles.get(&id) {
            found.push((package(row)?, bundle.clone()));
        }
    }
    let sql = AssertSqlSafe(format!("SELECT COUNT(*) {from}"));
    let total = sqlx::query(sql).bind(name).fetch_one(db).await?.try_get(0)?;
    Ok((found, total))
}
