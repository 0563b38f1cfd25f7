//! The client side of package repositories: read indexes, resolve, download with hash checks.
//!
//! It does over HTTP what `pip install` and `install.packages` do, up to the point where they would unpack files:
//!
//! 1. [`python::resolve`] and [`r::resolve`] find the files that a set of requirements leads to;
//! 2. [`download`](download()) fetches them and checks their hashes.
//!
//! Requests go over one [`Link`](sim_kit::http_client::Link), so they are journaled and fault rules can cut them. Every
//! answer is bounded by [`Limits`]. Results depend on the index alone, not on the order in which answers arrive.

mod download;
mod error;
mod http;
pub mod python;
pub mod r;

pub use download::{Digest, Download, Event, Received, download};
pub use error::Error;
pub use http::{Client, Limits};
