//! The `teamsim` command.
fn main() {}
