//! Against an index served in the same process, over a real socket.

#![allow(clippy::unwrap_used)] // in a test, what cannot be unwrapped is a failure

mod against_uv;
mod download;
mod python;
mod r;
mod random;
mod served;
