//! Over real sockets: as browsers, scripts and other programs see a Workbench.

#![allow(clippy::unwrap_used)] // in a test, what cannot be unwrapped is a failure

mod api;
mod browser;
mod console;
mod pages;
mod program;
mod restart;
mod server;
mod sessions;
mod sign_in;
mod terminal;
