//! The only place with SQL. Table and column names are those the real product's database is known to have, where
//! they are known.

pub(crate) mod keys;
pub(crate) mod sessions;
pub(crate) mod users;

use sim_kit::Migration;

/// The schema.
pub const MIGRATIONS: &[Migration] =
    &[Migration { version: 1, name: "init", sql: include_str!("../../migrations/0001_init.sql") }];
