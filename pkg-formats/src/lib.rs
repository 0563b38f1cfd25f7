//! Package formats of R and Python, pure and deterministic: no I/O of its own, no async.
//!
//! | module | format |
//! | --- | --- |
//! | [`archive`] | gzip-compressed tar archives and zip files: checked reading, deterministic writing |
//! | [`dcf`] | Debian control format as R reads and writes it: `DESCRIPTION`, `PACKAGES` |
//! | [`r`] | R versions, dependency lists, repository indexes, source and binary packages, RDS |
//! | [`python`] | Python names, versions, `METADATA`, wheels, sdists, the simple index, requirements files |
//! | [`manifest`] | the `manifest.json` of a Connect bundle |
//! | [`psp`] | PSP/1, what a package service and a Package Manager say to each other |
//!
//! Every writer gives the same bytes for the same input, on every machine and on every day. Every reader of
//! foreign bytes has limits and answers bad input with an error that says what is wrong and where.

pub mod archive;
pub mod dcf;
pub mod manifest;
pub mod psp;
pub mod python;
pub mod r;
