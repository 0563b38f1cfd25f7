//! Randomness that depends on what it is for and on nothing else.
//!
//! Every draw is keyed by seed, feed, package and purpose. There is no shared stream, so adding a package or asking in
//! another order changes nothing.

use sha2::{Digest as _, Sha256};

/// A source of numbers for one purpose.
pub(crate) struct Draw(u64);

impl Draw {
    /// The source for `purpose` of package `name` in `feed`.
    pub(crate) fn new(seed: u64, feed: &str, name: &str, purpose: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update(seed.to_be_bytes());
        for part in [feed, name, purpose] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        Self(u64::from_be_bytes([a, b, c, d, e, f, g, h]))
    }

    /// The next number (SplitMix64).
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 to before 1.
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds exactly.
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From 0 to before `n`; 0 for `n` = 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        // The bias is below 2^-40 for every `n` used here.
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(u64::try_from(high - low + 1).unwrap_or(0))).unwrap_or(0)
    }

    /// True with chance `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.unit() < p
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_depends_on_its_key_alone() {
        let first = |seed, feed, name, purpose| Draw::new(seed, feed, name, purpose).next();
        assert_eq!(first(1, "cran", "a", "x"), first(1, "cran", "a", "x"));
        let others = [
            (2, "cran", "a", "x"),
            (1, "pypi", "a", "x"),
            (1, "cran", "b", "x"),
            (1, "cran", "a", "y"),
            (1, "cran", "ax", ""),
        ];
        for (seed, feed, name, purpose) in others {
            assert_ne!(first(1, "cran", "a", "x"), first(seed, feed, name, purpose));
        }
    }

    #[test]
    fn draws_keep_their_bounds() {
        let mut draw = Draw::new(1, "", "", "");
        for _ in 0..1000 {
            assert!((0.0..1.0).contains(&draw.unit()));
            assert!(draw.below(7) < 7);
            assert!((3..=5).contains(&draw.between(3, 5)));
        }
        assert_eq!(draw.below(0), 0);
        assert!(!draw.chance(0.0));
    }
}
