//! Tests of the formats: golden bytes, round trips, bad input, and what R, pip and uv make of what is written.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod archive;
mod dcf;
mod manifest;
mod python;
mod r;
mod requirements;
mod simple;
mod tools;
mod with_python;
mod with_r;
mod with_tar;
