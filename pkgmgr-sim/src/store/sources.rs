//! Sources, and how far those that follow a feed have come.

use sim_kit::{Db, Tx};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::take_numbers;
use super::transactions::Point;

/// A set of packages of one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its number.
    pub id: i64,
    /// Its name, unique.
    pub name: String,
    /// `cran`, `pypi`, `local` …
    pub kind: String,
    /// The feed of the package service that fills it.
    pub feed: Option<String>,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// Out of sight; only snapshots of the past show it.
    pub deleted: bool,
}

/// What packages are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// R, the releases of Bioconductor included.
    R,
    /// Python.
    Python,
    /// Editors that take extensions from an Open VSX registry.
    Vsx,
}

impl Source {
    /// What its packages are for.
    #[must_use]
    pub fn language(&self) -> Language {
        match self.kind.as_str() {
            "vsx" => Language::Vsx,
            _ if self.is_python() => Language::Python,
            _ => Language::R,
        }
    }

    /// Whether it holds Python packages.
    #[must_use]
    pub fn is_python(&self) -> bool {
        self.kind.contains("pypi") || self.kind.contains("python")
    }

    /// Whether it is a release of Bioconductor.
    #[must_use]
    pub fn is_bioconductor(&self) -> bool {
        self.kind == "bioconductor"
    }

    /// The release of Bioconductor that it is, such as `3.22`.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.feed.as_deref()?.strip_prefix(BIOC_FEED)
    }

    /// Whether it holds no packages, but what the service tells about packages; such sources are not shown to anyone.
    #[must_use]
    pub fn holds_documents(&self) -> bool {
        DOCUMENT_KINDS.contains(&self.kind.as_str())
    }

    /// Whether people put packages into it one by one.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.kind == "local" || self.kind == "local-python"
    }

    /// Whether git builders fill it.
    #[must_use]
    pub fn is_git(&self) -> bool {
        self.kind == "git" || self.kind == "git-python"
    }
}

/// What the names of feeds of Bioconductor begin with.
pub const BIOC_FEED: &str = "bioc-";

/// Feeds of documents, and the types of the sources that follow them.
pub const DOCUMENT_KINDS: [&str; 3] = ["sysreqs", "distros", "vulns"];

/// How far a source has followed its feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feed {
    /// The service it follows.
    pub service_id: String,
    /// Microseconds since 1970 of the first date that can be served.
    pub history_from: i64,
    /// The last applied checkpoint's number.
    pub seq: i64,
    /// Its digest in hexadecimal.
    pub checkpoint: String,
}

fn source(row: &AnyRow) -> sqlx::Result<Source> {
    Ok(Source {
        id: row.try_get(0)?,
        name: row.try_get(1)?,
        kind: row.try_get(2)?,
        feed: row.try_get(3)?,
        created_at: row.try_get(4)?,
        deleted: row.try_get::<i64, _>(5)? != 0,
    })
}

/// All sources in the order of their numbers.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> sqlx::Result<Vec<Source>> {
    let rows = sqlx::query("SELECT id, name, type, feed, created_at, deleted FROM sources ORDER BY id")
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(source).collect()
}

/// Makes a source and gives its number.
///
/// # Errors
/// The database's; a name that is taken is a violated constraint.
pub async fn create(tx: &mut Tx, name: &str, kind: &str, feed: Option<&str>, now: i64) -> sqlx::Result<i64> {
    let id = take_numbers(tx, "sources", 1).await?;
    sqlx::query("INSERT INTO sources (id, name, type, feed, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(name)
        .bind(kind)
        .bind(feed)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(id)
}

/// Whether there is a source of this name.
///
/// # Errors
/// The database's.
pub async fn is_taken(tx: &mut Tx, name: &str) -> sqlx::Result<bool> {
    let row = sqlx::query("SELECT id FROM sources WHERE name = $1").bind(name).fetch_optional(&mut **tx).await?;
    Ok(row.is_some())
}

/// Gives a source another name.
///
/// # Errors
/// The database's; a name that is taken is a violated constraint.
pub async fn rename(tx: &mut Tx, source: i64, name: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE sources SET name = $1 WHERE id = $2").bind(name).bind(source).execute(&mut **tx).await?;
    Ok(())
}

/// Takes a source out of sight and frees its name.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, source: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE sources SET deleted = 1, name = name || ' (deleted ' || CAST(id AS TEXT) || ')' WHERE id = $1")
        .bind(source)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The state of which other source `source` shows after transaction `tx`: that source's number and state.
///
/// # Errors
/// The database's.
pub async fn pin(db: &Db, source: i64, tx: i64) -> sqlx::Result<Option<(i64, Point)>> {
    let row = sqlx::query(
        "SELECT base_id, base_tx, base_as_of FROM pins WHERE source_id = $1 AND since_tx <= $2
         ORDER BY since_tx DESC LIMIT 1",
    )
    .bind(source)
    .bind(tx)
    .fetch_optional(db.pool())
    .await?;
    row.map(|row| Ok((row.try_get(0)?, Point { tx: row.try_get(1)?, as_of: row.try_get(2)? }))).transpose()
}

/// Makes `source` show the state `at` of `base` from transaction `since_tx` on.
///
/// # Errors
/// The database's.
pub async fn set_pin(tx: &mut Tx, source: i64, since_tx: i64, base: i64, at: Point) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO pins (source_id, since_tx, base_id, base_tx, base_as_of) VALUES ($1, $2, $3, $4, $5)")
        .bind(source)
        .bind(since_tx)
        .bind(base)
        .bind(at.tx)
        .bind(at.as_of)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What a curated source was made with: kinds of dependencies with commas, and whether it leaves archived versions out.
///
/// # Errors
/// The database's.
pub async fn curated(db: &Db, source: i64) -> sqlx::Result<Option<(String, bool)>> {
    let row = sqlx::query("SELECT include, no_archived FROM curated WHERE source_id = $1")
        .bind(source)
        .fetch_optional(db.pool())
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)? != 0))).transpose()
}

/// Notes what a curated source was made with.
///
/// # Errors
/// The database's.
pub async fn set_curated(tx: &mut Tx, source: i64, include: &str, no_archived: bool) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO curated (source_id, include, no_archived) VALUES ($1, $2, $3)")
        .bind(source)
        .bind(include)
        .bind(i64::from(no_archived))
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// What the packages of a curated source were asked for with; empty when nothing was noted.
///
/// # Errors
/// The database's.
pub async fn requirements(db: &Db, source: i64) -> sqlx::Result<String> {
    let row = sqlx::query("SELECT requirements FROM curated_requirements WHERE source_id = $1")
        .bind(source)
        .fetch_optional(db.pool())
        .await?;
    row.map_or(Ok(String::new()), |row| row.try_get(0))
}

/// Notes what the packages of a curated source were asked for with.
///
/// # Errors
/// The database's.
pub async fn set_requirements(tx: &mut Tx, source: i64, requirements: &str) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO curated_requirements (source_id, requirements) VALUES ($1, $2)
         ON CONFLICT (source_id) DO UPDATE SET requirements = excluded.requirements",
    )
    .bind(source)
    .bind(requirements)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The transaction of the state of `source` whose files are all here.
///
/// # Errors
/// The database's.
pub async fn files_until(db: &Db, source: i64) -> sqlx::Result<Option<i64>> {
    let row =
        sqlx::query("SELECT tx FROM files_here WHERE source_id = $1").bind(source).fetch_optional(db.pool()).await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// Notes that all files of the state that transaction `tx` made of `source` are here.
///
/// # Errors
/// The database's.
pub async fn set_files_until(db: &Db, source: i64, tx: i64) -> sqlx::Result<()> {
    let mut write = db.write().await?;
    sqlx::query(
        "INSERT INTO files_here (source_id, tx) VALUES ($1, $2) ON CONFLICT (source_id) DO UPDATE SET tx = excluded.tx",
    )
    .bind(source)
    .bind(tx)
    .execute(&mut *write)
    .await?;
    write.commit().await
}

/// Where a source stands; none before its first synchronisation.
///
/// # Errors
/// The database's.
pub async fn feed(db: &Db, source: i64) -> sqlx::Result<Option<Feed>> {
    let row = sqlx::query("SELECT service_id, history_from, seq, checkpoint FROM feeds WHERE source_id = $1")
        .bind(source)
        .fetch_optional(db.pool())
        .await?;
    row.map(|row| {
        Ok(Feed {
            service_id: row.try_get(0)?,
            history_from: row.try_get(1)?,
            seq: row.try_get(2)?,
            checkpoint: row.try_get(3)?,
        })
    })
    .transpose()
}

/// The ids of the keys that `source` believes, as JSON, and when it was last seen to be up to date.
///
/// # Errors
/// The database's.
pub async fn trust(db: &Db, source: i64) -> sqlx::Result<Option<(String, i64)>> {
    let row = sqlx::query("SELECT trusted, checked_at FROM feeds WHERE source_id = $1")
        .bind(source)
        .fetch_optional(db.pool())
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Notes whom `source` believes, and that it was up to date at `now`.
///
/// # Errors
/// The database's.
pub async fn set_trust(db: &Db, source: i64, trusted: &str, now: i64) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE feeds SET trusted = $1, checked_at = $2 WHERE source_id = $3")
        .bind(trusted)
        .bind(now)
        .bind(source)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Forgets all that a source has from its feed. Its transactions stay as a log, but none of them is a state any more. Gives how
/// many packages there were.
///
/// # Errors
/// The database's.
pub async fn clear(tx: &mut Tx, source: i64) -> sqlx::Result<i64> {
    let row = sqlx::query("SELECT COUNT(*) FROM packages WHERE source_id = $1 AND until_tx = $2")
        .bind(source)
        .bind(super::FOREVER)
        .fetch_one(&mut **tx)
        .await?;
    for sql in [
        "DELETE FROM packages WHERE source_id = $1",
        "DELETE FROM feeds WHERE source_id = $1",
        "DELETE FROM files_here WHERE source_id = $1",
        "UPDATE transactions SET as_of = NULL WHERE source_id = $1",
    ] {
        sqlx::query(sql).bind(source).execute(&mut **tx).await?;
    }
    row.try_get(0)
}

/// The number of the last applied checkpoint, as a transaction sees it; 0 before the first.
///
/// # Errors
/// The database's.
pub async fn applied(tx: &mut Tx, source: i64) -> sqlx::Result<i64> {
    let row = sqlx::query("SELECT seq FROM feeds WHERE source_id = $1").bind(source).fetch_optional(&mut **tx).await?;
    row.map_or(Ok(0), |row| row.try_get(0))
}

/// Notes where a source stands now.
///
/// # Errors
/// The database's.
pub async fn set_feed(tx: &mut Tx, source: i64, feed: &Feed) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO feeds (source_id, service_id, history_from, seq, checkpoint) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (source_id) DO UPDATE SET service_id = excluded.service_id, history_from = excluded.history_from,
         seq = excluded.seq, checkpoint = excluded.checkpoint",
    )
    .bind(source)
    .bind(&feed.service_id)
    .bind(feed.history_from)
    .bind(feed.seq)
    .bind(&feed.checkpoint)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
