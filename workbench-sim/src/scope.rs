//! The 21 hex digits that name a session in addresses, and the token that obscures port numbers.
//!
//! `/s/{5 hex user}{8 hex project}{8 hex session}/`. The user part follows from the numeric user id, the project part is
//! a reserved word per IDE (no RStudio projects here), the session part is the session's id.

use std::str::FromStr;

use crate::session::Ide;

/// The parts of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope {
    pub(crate) user: String,
    pub(crate) project: String,
    pub(crate) session: String,
}

impl Scope {
    pub(crate) fn new(uid: i64, ide: Ide, session: &str) -> Self {
        Self { user: user_part(uid), project: ide.project_id().to_owned(), session: session.to_owned() }
    }
}

/// Stable, different for every id below 2^20, and not the id itself.
fn user_part(uid: i64) -> String {
    let mixed = uid.wrapping_mul(0x5_8365).wrapping_add(0xd_a29) & 0xf_ffff;
    format!("{mixed:05x}")
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", self.user, self.project, self.session)
    }
}

impl FromStr for Scope {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        if text.len() != 21 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(());
        }
        let text = text.to_ascii_lowercase();
        Ok(Self { user: text[..5].to_owned(), project: text[5..13].to_owned(), session: text[13..].to_owned() })
    }
}

/// Twelve hex digits: four of a multiplier, eight of a key.
pub(crate) fn port_token(seed: u64, user: &str) -> String {
    let text = sim_kit::ids::derived(seed, &format!("port-token/{user}"), 16);
    let bytes = text.as_bytes();
    let number = |range: std::ops::Range<usize>| bytes[range].iter().fold(0_u32, |n, b| (n << 4) ^ u32::from(*b));
    // The multiplier must not be zero, and its low bits must not lose the port.
    format!("{:04x}{:08x}", (number(0..4) & 0xffff) | 0x8001, number(4..12))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_round_trip() {
        let scope = Scope::new(10_000, Ide::RStudio, "acdd5861");
        let text = scope.to_string();
        assert_eq!(text.len(), 21);
        assert_eq!(&text[5..], "cfc78a31acdd5861");
        assert_eq!(text.parse(), Ok(scope));
        for bad in ["", "x", "zda29cfc78a31acdd5861", "0da29cfc78a31acdd58610", "0da29cfc78a31acdd58é"] {
            assert_eq!(bad.parse::<Scope>(), Err(()), "{bad}");
        }
    }

    #[test]
    fn users_have_parts_of_their_own() {
        let parts: std::collections::HashSet<String> = (0..5000).map(user_part).collect();
        assert_eq!(parts.len(), 5000);
    }

    #[test]
    fn port_tokens_are_twelve_digits() {
        let token = port_token(1, "admin");
        assert_eq!(token.len(), 12);
        assert!(token.bytes().all(|b| b.is_ascii_hexdigit()));
        assert_ne!(token, port_token(1, "viewer"));
    }
}
