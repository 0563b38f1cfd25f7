//! How to be a simulator: clock, ids, storage, journal, faults, control plane, serving.
//!
//! This crate knows no product. A product is a function from its config and a [`World`] to a [`Simulator`]; the
//! [`Host`] serves it, records every request in the [`journal`], applies [`faults`], answers the control plane
//! under `/__sim__/v1/` and swaps in a fresh world on reset.
//!
//! | module | what |
//! |---|---|
//! | [`world`] | the only way to time, ids, randomness, storage, faults |
//! | [`clock`] | real, frozen or moved time, and timers that follow it |
//! | [`watch`] | work that falls due on the clock, and sooner when a bell is rung |
//! | [`ids`] | seeded ids, an independent stream per kind |
//! | [`db`] | SQLite or PostgreSQL behind one SQL text; migrations |
//! | [`known`] | what was read from the database, kept until something is written to it |
//! | [`blobs`] | bytes by SHA-256 |
//! | [`journal`] | a bounded ring of requests with lossless counters |
//! | [`faults`] | rules that delay, refuse, cut or corrupt answers |
//! | [`routing`] | the one table of routes of a product, and the nearest route to an unknown path |
//! | [`openapi`] | the OpenAPI document of a table |
//! | [`observe`] | the layer that journals, applies faults and sets `Date` |
//! | [`git`] | repositories of strangers, read with the `git` command in a cage |
//! | [`gcfg`] | settings files in git's syntax, and the variables that go before them |
//! | [`identity`] | identity tokens of other issuers, and their keys |
//! | [`host`] | a running simulator, its reset and its start and stop on a port |
//! | [`at_hand`], `short_way` | answers that are kept whole, and how a request gets to them without the whole server |
//! | `connections`, `lanes` | connections of a port, and the threads that answer them |
//! | [`control`] | `/__sim__/v1/` |
//! | [`origin`] | absolute URLs built from the request |
//! | [`serve_bytes`] | conditional and range requests over bytes and blobs |
//! | [`sendfile`] | large bodies in memory that go out without a copy |
//! | [`counted`] | bodies whose bytes are counted as they are sent |
//! | [`seed`] | the users, passwords and keys every fresh world starts with |
//! | [`testing`] | a real PostgreSQL server and the rule for missing tools, for tests (feature `testing`) |
//! | [`cli`], [`logging`], [`http_client`] | what every server's command line, log and client share |

pub mod at_hand;
pub mod blobs;
pub mod cli;
pub mod clock;
mod connections;
pub mod control;
pub mod counted;
pub mod db;
mod direct;
pub mod faults;
pub mod gcfg;
pub mod git;
pub mod host;
pub mod http_client;
pub mod identity;
pub mod ids;
pub mod journal;
pub mod known;
mod lanes;
pub mod logging;
pub mod observe;
pub mod openapi;
pub mod origin;
pub mod routing;
pub mod seed;
pub mod sendfile;
pub mod serve_bytes;
mod short_way;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
pub mod watch;
pub mod world;

pub use blobs::{Blobs, Digest};
pub use clock::Clock;
pub use db::{Db, Migration, Tx};
pub use host::{Host, HostConfig, Product, Running, Simulator};
pub use routing::{Fidelity, Route, Table};
pub use world::{World, WorldConfig};
