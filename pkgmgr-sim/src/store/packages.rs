//! Packages, each with its history as one JSON record.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use sim_kit::{Db, Tx};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::transactions::Point;
use super::{FOREVER, placeholders, take_numbers};

/// A package as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Exact for R, normalised for Python.
    pub name: String,
    /// SHA-256 of the record in hexadecimal.
    pub digest: String,
    /// Microseconds since 1970 of the last event in the record.
    pub changed_at: i64,
    /// What an index shows of it after `changed_at`; empty for nothing.
    pub entry: String,
    /// The record as JSON.
    pub record: String,
}

/// A package as an index needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: i64,
    /// Its name.
    pub name: String,
    /// What the index shows.
    pub shows: Shows,
}

/// What an index shows of a package at the time of a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shows {
    /// This.
    Entry(String),
    /// The record has later events; the entry follows from it.
    Record(String),
}

/// The number and record of one package at a state.
///
/// # Errors
/// The database's.
pub async fn get(db: &Db, source: i64, at: Point, name: &str) -> sqlx::Result<Option<(i64, String)>> {
    let row = sqlx::query(
        "SELECT id, record FROM packages WHERE source_id = $1 AND name = $2 AND since_tx <= $3 AND until_tx > $3",
    )
    .bind(source)
    .bind(name)
    .bind(at.tx)
    .fetch_optional(db.pool())
    .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// The record of a package in the newest state of `source`, as a transaction sees it.
///
/// # Errors
/// The database's.
pub async fn newest(tx: &mut Tx, source: i64, name: &str) -> sqlx::Result<Option<String>> {
    let row = sqlx::query("SELECT record FROM packages WHERE source_id = $1 AND name = $2 AND until_tx = $3")
        .bind(source)
        .bind(name)
        .bind(FOREVER)
        .fetch_optional(&mut **tx)
        .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// The packages of a state in the order of their names, `size` at a time. The order is the database's; it need not be that of
/// bytes. With `whole` each shows its record.
pub fn pages(db: &Db, source: i64, at: Point, whole: bool, size: i64) -> Pages<'_> {
    Pages { db, source, at, whole, size, after: String::new() }
}

/// What [`pages`] gives.
pub struct Pages<'a> {
    db: &'a Db,
    source: i64,
    at: Point,
    whole: bool,
    size: i64,
    /// The last name of the page before.
    after: String,
}

impl Pages<'_> {
    /// The next page; none after the last one.
    ///
    /// # Errors
    /// The database's.
    pub async fn next(&mut self) -> sqlx::Result<Option<Vec<Listed>>> {
        let until = if self.whole { i64::MIN } else { self.at.as_of };
        let rows = sqlx::query(
            "SELECT id, name, changed_at, entry, CASE WHEN changed_at < $3 THEN '' ELSE record END FROM packages
             WHERE source_id = $1 AND since_tx <= $2 AND until_tx > $2 AND name > $4 ORDER BY name LIMIT $5",
        )
        .bind(self.source)
        .bind(self.at.tx)
        .bind(until)
        .bind(&self.after)
        .bind(self.size)
        .fetch_all(self.db.pool())
        .await?;
        let listed = |row: &AnyRow| {
            let shows = match row.try_get::<i64, _>(2)? < until {
                true => Shows::Entry(row.try_get(3)?),
                false => Shows::Record(row.try_get(4)?),
            };
            Ok(Listed { id: row.try_get(0)?, name: row.try_get(1)?, shows })
        };
        let page: Vec<Listed> = rows.iter().map(listed).collect::<sqlx::Result<_>>()?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after.clone_from(&last.name);
        Ok(Some(page))
    }
}

/// Shows name and record digest of all packages of the newest state to `each`, one by one: there may be very many.
///
/// # Errors
/// The database's.
pub async fn digests(db: &Db, source: i64, mut each: impl FnMut(&str, &str)) -> sqlx::Result<()> {
    let mut rows = sqlx::query("SELECT name, digest FROM packages WHERE source_id = $1 AND until_tx = $2")
        .bind(source)
        .bind(FOREVER)
        .fetch(db.pool());
    while let Some(row) = rows.try_next().await? {
        each(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(())
}

/// What is held of a package.
#[derive(Debug, Clone)]
struct Held {
    id: i64,
    since_tx: i64,
    record: String,
}

/// Rows written by one statement.
const BATCH: usize = 100;

/// Writes `packages` into `source`, as seen from transaction `tx_id` on. `unchanged` says of an old and a new record whether
/// they show the same at every time that was served so far; then the new one takes the old one's place, else the old one
/// stays for the older transactions. `all_new` spares the look for old ones.
///
/// # Errors
/// The database's.
pub async fn put(
    tx: &mut Tx,
    source: i64,
    tx_id: i64,
    packages: &[Package],
    all_new: bool,
    unchanged: impl Fn(&str, &str) -> bool,
) -> sqlx::Result<()> {
    for batch in packages.chunks(BATCH) {
        let mut held = if all_new { HashMap::new() } else { held(tx, source, batch).await? };
        let mut since = Vec::with_capacity(batch.len());
        let new = batch.iter().filter(|package| !held.contains_key(&package.name)).count();
        let mut next_id = match i64::try_from(new).unwrap_or(i64::MAX) {
            0 => 0,
            new => take_numbers(tx, "packages", new).await?,
        };
        for package in batch {
            match held.remove(&package.name) {
                None => {
                    since.push((next_id, tx_id));
                    next_id += 1;
                }
                Some(old) if old.since_tx == tx_id || unchanged(&old.record, &package.record) => {
                    sqlx::query("DELETE FROM packages WHERE source_id = $1 AND name = $2 AND since_tx = $3")
                        .bind(source)
                        .bind(&package.name)
                        .bind(old.since_tx)
                        .execute(&mut **tx)
                        .await?;
                    since.push((old.id, old.since_tx));
                }
                Some(old) => {
                    sqlx::query(
                        "UPDATE packages SET until_tx = $1 WHERE source_id = $2 AND name = $3 AND since_tx = $4",
                    )
                    .bind(tx_id)
                    .bind(source)
                    .bind(&package.name)
                    .bind(old.since_tx)
                    .execute(&mut **tx)
                    .await?;
                    since.push((old.id, tx_id));
                }
            }
        }
        insert(tx, source, batch, &since).await?;
    }
    Ok(())
}

async fn held(tx: &mut Tx, source: i64, batch: &[Package]) -> sqlx::Result<HashMap<String, Held>> {
    let sql = format!(
        "SELECT name, id, since_tx, record FROM packages WHERE source_id = $1 AND until_tx = $2 AND name IN ({})",
        placeholders(3, batch.len())
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(source).bind(FOREVER);
    for package in batch {
        query = query.bind(&package.name);
    }
    let rows = query.fetch_all(&mut **tx).await?;
    rows.iter()
        .map(|row| {
            let held = Held { id: row.try_get(1)?, since_tx: row.try_get(2)?, record: row.try_get(3)? };
            Ok((row.try_get(0)?, held))
        })
        .collect()
}

async fn insert(tx: &mut Tx, source: i64, batch: &[Package], since: &[(i64, i64)]) -> sqlx::Result<()> {
    const COLUMNS: usize = 9;
    let rows: Vec<String> = (0..batch.len()).map(|i| format!("({})", placeholders(1 + i * COLUMNS, COLUMNS))).collect();
    let sql = format!(
        "INSERT INTO packages (source_id, name, since_tx, until_tx, id, digest, changed_at, entry, record) VALUES {}",
        rows.join(",")
    );
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for (package, (id, since_tx)) in batch.iter().zip(since) {
        query = query
            .bind(source)
            .bind(&package.name)
            .bind(*since_tx)
            .bind(FOREVER)
            .bind(*id)
            .bind(&package.digest)
            .bind(package.changed_at)
            .bind(&package.entry)
            .bind(&package.record);
    }
    query.execute(&mut **tx).await?;
    Ok(())
}

/// The file that is served for the file `original`: digest in hexadecimal and size.
///
/// # Errors
/// The database's.
pub async fn stamped(db: &Db, original: &str) -> sqlx::Result<Option<(String, i64)>> {
    let row = sqlx::query("SELECT served, size FROM stamped WHERE original = $1")
        .bind(original)
        .fetch_optional(db.pool())
        .await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// Notes which file is served for `original`.
///
/// # Errors
/// The database's.
pub async fn set_stamped(db: &Db, original: &str, served: &str, size: i64) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query("INSERT INTO stamped (original, served, size) VALUES ($1, $2, $3) ON CONFLICT (original) DO NOTHING")
        .bind(original)
        .bind(served)
        .bind(size)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}
