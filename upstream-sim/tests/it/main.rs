//! The package service as its clients see it.
#![allow(clippy::unwrap_used)]

mod almanac;
mod bioc;
mod chain;
mod contents;
mod durability;
mod faults;
mod http;
mod import;
mod mirror;
mod scenarios;
mod support;
