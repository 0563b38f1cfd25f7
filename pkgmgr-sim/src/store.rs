//! The only place with SQL.
//!
//! Sources hold packages, repos are lists of sources, and every change is a transaction with a number. Nothing that a
//! past transaction showed is ever overwritten: package rows are valid from one transaction to before another.

pub mod assertions;
pub mod builders;
pub mod devices;
pub mod downloads;
pub mod metadata;
pub mod nodes;
pub mod packages;
pub mod repos;
pub mod rules;
pub mod sources;
pub mod tokens;
pub mod transactions;
pub mod urls;

use sim_kit::{Migration, Tx};
use sqlx::Row as _;

/// The tables.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "init", sql: include_str!("../migrations/0001_init.sql") },
    Migration { version: 2, name: "administration", sql: include_str!("../migrations/0002_administration.sql") },
    Migration { version: 3, name: "blocklist", sql: include_str!("../migrations/0003_blocklist.sql") },
    Migration { version: 10, name: "downloads", sql: include_str!("../migrations/0010_downloads.sql") },
    Migration { version: 20, name: "urls", sql: include_str!("../migrations/0020_urls.sql") },
    Migration { version: 21, name: "curated", sql: include_str!("../migrations/0021_curated.sql") },
    Migration { version: 22, name: "files", sql: include_str!("../migrations/0022_files.sql") },
    Migration { version: 23, name: "trust", sql: include_str!("../migrations/0023_trust.sql") },
    Migration { version: 30, name: "git_builders", sql: include_str!("../migrations/0030_git_builders.sql") },
    Migration { version: 40, name: "bootstrap", sql: include_str!("../migrations/0040_bootstrap.sql") },
    Migration { version: 41, name: "devices", sql: include_str!("../migrations/0041_devices.sql") },
    Migration { version: 50, name: "wrong_codes", sql: include_str!("../migrations/0050_wrong_codes.sql") },
    Migration { version: 51, name: "nodes", sql: include_str!("../migrations/0051_nodes.sql") },
    Migration { version: 60, name: "metadata", sql: include_str!("../migrations/0060_metadata.sql") },
    Migration { version: 61, name: "requirements", sql: include_str!("../migrations/0061_requirements.sql") },
];

/// A transaction number above all that will ever be given.
pub const FOREVER: i64 = i64::MAX;

/// The first of `n` numbers that nobody else gets. Holds others off until the transaction ends.
///
/// # Errors
/// The database's.
pub async fn take_numbers(tx: &mut Tx, counter: &str, n: i64) -> sqlx::Result<i64> {
    sqlx::query("INSERT INTO counters (name, value) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING")
        .bind(counter)
        .execute(&mut **tx)
        .await?;
    let row = sqlx::query("UPDATE counters SET value = value + $1 WHERE name = $2 RETURNING value")
        .bind(n)
        .bind(counter)
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.try_get::<i64, _>(0)? - n + 1)
}

/// A time for a change, in microseconds since 1970: `now`, or shortly after the last change when the clock stands still. Times of
/// changes differ by at least two, so that there is an instant between any two.
///
/// # Errors
/// The database's.
pub async fn take_instant(tx: &mut Tx, now: i64) -> sqlx::Result<i64> {
    let at = take_numbers(tx, "instant", 2).await?;
    if at >= now {
        return Ok(at);
    }
    sqlx::query("UPDATE counters SET value = $1 WHERE name = 'instant'").bind(now + 1).execute(&mut **tx).await?;
    Ok(now)
}

/// `$first, $first+1, …`: `n` placeholders.
fn placeholders(first: usize, n: usize) -> String {
    let mut out = String::with_capacity(n * 5);
    for i in first..first + n {
        if i > first {
            out.push(',');
        }
        out.push('$');
        out.push_str(&i.to_string());
    }
    out
}
