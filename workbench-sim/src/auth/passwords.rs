//! Passwords, hashed. They are known to everybody who reads the documentation, so the cheapest parameters do.

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, Version};
use sim_kit::World;

use crate::error::Error;
use crate::store;
use crate::store::users::User;

/// `auth-minimum-user-id` of the real product is 1000; its images give the first user 10000.
const FIRST_UID: i64 = 10_000;

/// Adds the users that every fresh world has.
pub(crate) async fn seed_users(world: &World) -> Result<(), Error> {
    let params = Params::new(Params::MIN_M_COST, Params::MIN_T_COST, 1, None).map_err(Error::key)?;
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut users = Vec::new();
    for (uid, seed) in (FIRST_UID..).zip(sim_kit::seed::users(world.ids().seed())) {
        let salt = &world.ids().secret_bytes()[..16];
        let hash = argon2.hash_password_with_salt(seed.password.as_bytes(), salt).map_err(Error::key)?;
        let user = User {
            name: seed.username.to_owned(),
            uid,
            is_admin: seed.role == "administrator",
            locked: false,
            password_hash: hash.to_string(),
        };
        users.push((world.ids().uuid("user").to_string(), user));
    }
    store::users::add(world.db(), &users).await?;
    Ok(())
}

/// Whether `password` is the user's. Without a user the work is done all the same, so that the time taken does not
/// tell which names exist.
pub(crate) fn verify(user: Option<&User>, password: &str) -> bool {
    const NOBODY: &str =
        "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let hash = user.map_or(NOBODY, |user| user.password_hash.as_str());
    PasswordHash::new(hash).is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
}
