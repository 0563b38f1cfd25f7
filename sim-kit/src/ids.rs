//! Ids that are the same in every run with the same seed.
//!
//! Every kind of id has a stream of its own, so that one more user does not change the ids of tasks. A world that is
//! opened again on old data starts a new epoch of every stream and so never repeats itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rand::SeedableRng;
use rand::TryRng;
use rand::rngs::SysRng;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const ALPHANUMERIC: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The source of ids and of seeded randomness. Clones draw from the same streams.
#[derive(Clone)]
pub struct Ids(Arc<Inner>);

struct Inner {
    seed: u64,
    epoch: u64,
    drawn: Mutex<HashMap<&'static str, u64>>,
}

impl Ids {
    /// Streams of `seed`. `epoch` is how often this data was opened before.
    #[must_use]
    pub fn new(seed: u64, epoch: u64) -> Self {
        Self(Arc::new(Inner { seed, epoch, drawn: Mutex::default() }))
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.0.seed
    }

    /// The next 32 bytes of the stream `kind`.
    #[must_use]
    pub fn bytes(&self, kind: &'static str) -> [u8; 32] {
        let number = {
            let mut drawn = self.0.drawn.lock().unwrap_or_else(PoisonError::into_inner);
            let number = drawn.entry(kind).or_default();
            *number += 1;
            *number
        };
        let mut hash = Sha256::new();
        for part in [self.0.seed, self.0.epoch, number] {
            hash.update(part.to_be_bytes());
        }
        hash.update(kind.as_bytes());
        hash.finalize().into()
    }

    /// A version 4 UUID.
    #[must_use]
    pub fn uuid(&self, kind: &'static str) -> Uuid {
        let bytes = self.bytes(kind);
        uuid::Builder::from_random_bytes(bytes[..16].try_into().expect("16 of 32 bytes")).into_uuid()
    }

    /// `len` letters and digits (at most 32). Not for secrets: whoever knows the seed knows it.
    #[must_use]
    pub fn token(&self, kind: &'static str, len: usize) -> String {
        alphanumeric(&self.bytes(kind), len)
    }

    /// `len` lower-case hexadecimal digits (at most 64).
    #[must_use]
    pub fn hex(&self, kind: &'static str, len: usize) -> String {
        let mut text = hex::encode(self.bytes(kind));
        text.truncate(len);
        text
    }

    /// A generator seeded from the stream `kind`.
    #[must_use]
    pub fn rng(&self, kind: &'static str) -> ChaCha20Rng {
        ChaCha20Rng::from_seed(self.bytes(kind))
    }

    /// `len` letters and digits (at most 32) that nobody can foretell: session cookies, keys made for a caller.
    #[must_use]
    pub fn secret(&self, len: usize) -> String {
        alphanumeric(&self.secret_bytes(), len)
    }

    /// 32 bytes from the operating system.
    #[must_use]
    pub fn secret_bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        SysRng.try_fill_bytes(&mut bytes).expect("the operating system has random bytes");
        bytes
    }
}

/// The first `len` letters and digits that `bytes` stand for.
fn alphanumeric(bytes: &[u8; 32], len: usize) -> String {
    // The bias of the remainder is irrelevant here: 62 of 256.
    bytes.iter().take(len).map(|b| char::from(ALPHANUMERIC[usize::from(*b) % ALPHANUMERIC.len()])).collect()
}

/// A text of `len` letters and digits (at most 32) that depends on `seed` and `purpose` only: keys of seeded users.
#[must_use]
pub fn derived(seed: u64, purpose: &str, len: usize) -> String {
    let mut hash = Sha256::new();
    hash.update(seed.to_be_bytes());
    hash.update(b"derived\0");
    hash.update(purpose.as_bytes());
    alphanumeric(&hash.finalize().into(), len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_stable_and_independent() {
        let (a, b) = (Ids::new(7, 0), Ids::new(7, 0));
        let first = a.uuid("task");
        let _ = b.uuid("user");
        assert_eq!(first, b.uuid("task"));
        assert_ne!(first, a.uuid("task"));
        assert_ne!(first, Ids::new(8, 0).uuid("task"));
        assert_ne!(first, Ids::new(7, 1).uuid("task"));
        assert_eq!(first.get_version_num(), 4);
    }

    #[test]
    fn secrets_do_not_follow_the_seed() {
        assert_ne!(Ids::new(7, 0).secret(32), Ids::new(7, 0).secret(32));
        assert_eq!(derived(7, "x", 32), derived(7, "x", 32));
    }
}
