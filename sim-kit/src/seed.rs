//! The users, passwords and keys every fresh world starts with.
//!
//! They depend on the seed only, so that separate servers and the command that prints them agree without talking.

use crate::ids::derived;

/// A user of a fresh world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeedUser {
    /// The role that gave the user its name: `admin`, `publisher` or `viewer`.
    pub username: &'static str,
    /// The product's word for the role: `administrator`, `publisher` or `viewer`.
    pub role: &'static str,
    /// First name.
    pub first_name: &'static str,
    /// Last name.
    pub last_name: &'static str,
    /// An address that leads nowhere.
    pub email: String,
    /// The password: known, because this is a simulator.
    pub password: String,
    /// 32 letters and digits.
    pub api_key: String,
}

/// The three users of the world of `seed`.
#[must_use]
pub fn users(seed: u64) -> [SeedUser; 3] {
    [
        ("admin", "administrator", "Ada", "Admin"),
        ("publisher", "publisher", "Pat", "Publisher"),
        ("viewer", "viewer", "Vic", "Viewer"),
    ]
    .map(|(username, role, first_name, last_name)| SeedUser {
        username,
        role,
        first_name,
        last_name,
        email: format!("{username}@teamsim.invalid"),
        password: format!("{username}-password"),
        api_key: derived(seed, &format!("api-key/{username}"), 32),
    })
}
