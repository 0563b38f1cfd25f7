//! Passwords, kept as Argon2id.
//!
//! The cost is the least that Argon2 allows: the passwords of a simulator guard nothing, and its tests sign in often.

use argon2::password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash};
use argon2::{Algorithm, Argon2, Params, Version};
use sim_kit::World;

use crate::error::{Error, Result};

/// Compared with where there is no hash, so that an unknown name takes as long as a wrong password.
const NOBODY: &str = "$argon2id$v=19$m=8,t=1,p=1$bm9ib2R5J3Mgc2FsdA$5s0mSGqJ0VJ3SBm0F4zB4iJrZ1v8iI2QvVQ3o0q0nGc";

fn argon2() -> Argon2<'static> {
    let params = Params::new(Params::MIN_M_COST, 1, 1, None).expect("the least cost is allowed");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// The PHC form of a password, with a salt of the world's.
///
/// # Errors
/// When the password is longer than Argon2 takes (4 GiB).
pub fn hash(world: &World, password: &str) -> Result<String> {
    let salt = world.ids().bytes("salt");
    let hash: std::result::Result<PasswordHash, _> = argon2().hash_password_with_salt(password.as_bytes(), &salt[..16]);
    Ok(hash.map_err(|error| Error::Internal(format!("argon2: {error}")))?.to_string())
}

/// Whether `password` is the one of `hash`. Without a hash it never is, after the same work.
#[must_use]
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let matches = PasswordHash::new(hash.unwrap_or(NOBODY))
        .is_ok_and(|parsed| argon2().verify_password(password.as_bytes(), &parsed).is_ok());
    matches && hash.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_kit::WorldConfig;

    #[tokio::test]
    async fn only_the_password_matches_its_hash() {
        let world = World::open(&WorldConfig::default(), &[]).await.unwrap();
        let hash = hash(&world, "correct").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert!(verify("correct", Some(&hash)) && !verify("wrong", Some(&hash)) && !verify("", None));
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert_ne!(super::hash(&world, "correct").unwrap(), hash, "salts differ");
    }
}
