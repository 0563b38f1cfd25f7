//! The teamsim command: starts the team, runs scenarios.
