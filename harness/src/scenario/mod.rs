//! Scenarios: what people do with a team, as files that can be run against any team.
//!
//! A scenario is a TOML file with a name and steps; each step says what it does and what must come of it. A step that
//! fails ends the scenario. The same file runs against a team of its own (the default) or one that is up elsewhere.

pub mod browser;
pub mod file;
pub mod report;
pub mod run;
