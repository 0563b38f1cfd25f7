//! All names and records of a feed, hashed so that a change costs one shard.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Digest;

/// The first document of an index: 256 shards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexRoot {
    /// Digests of the shard documents; shard `i` holds the names with [`shard_of`] = `i`. An empty shard is `{}`.
    pub shards: Vec<Digest>,
}

/// Which shard of the index holds `name`: the first byte of its SHA-256.
#[must_use]
pub fn shard_of(name: &str) -> u8 {
    Digest::of(name.as_bytes()).0[0]
}

/// Name → record digest of a whole feed, in 256 shards, so that a change costs the hash of one shard.
#[derive(Debug, Clone)]
pub struct Index {
    shards: Vec<BTreeMap<String, Digest>>,
    /// Digest of each shard's document; `None` when it must be computed anew.
    digests: Vec<Option<Digest>>,
}

impl Default for Index {
    fn default() -> Self {
        Self { shards: vec![BTreeMap::new(); 256], digests: vec![None; 256] }
    }
}

impl Index {
    /// Sets the record of `name`.
    pub fn insert(&mut self, name: &str, record: Digest) {
        let shard = usize::from(shard_of(name));
        self.digests[shard] = None;
        match self.shards[shard].get_mut(name) {
            Some(known) => *known = record,
            None => {
                self.shards[shard].insert(name.to_owned(), record);
            }
        }
    }

    /// The record of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Digest> {
        self.shards[usize::from(shard_of(name))].get(name).copied()
    }

    /// How many names it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shards.iter().map(BTreeMap::len).sum()
    }

    /// True when it holds no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.shards.iter().all(BTreeMap::is_empty)
    }

    /// All names and records, sorted by name.
    #[must_use]
    pub fn entries(&self) -> Vec<(&str, Digest)> {
        let mut all: Vec<_> = self.shards.iter().flatten().map(|(name, digest)| (name.as_str(), *digest)).collect();
        all.sort_unstable();
        all
    }

    /// The document of one shard.
    #[must_use]
    pub fn shard_json(&self, shard: u8) -> Vec<u8> {
        serde_json::to_vec(&self.shards[usize::from(shard)]).expect("a map of text to text is JSON")
    }

    /// The root document.
    pub fn root_json(&mut self) -> Vec<u8> {
        let shards = (0..=255_u8)
            .map(|shard| match self.digests[usize::from(shard)] {
                Some(digest) => digest,
                None => {
                    let digest = Digest::of(&self.shard_json(shard));
                    self.digests[usize::from(shard)] = Some(digest);
                    digest
                }
            })
            .collect();
        serde_json::to_vec(&IndexRoot { shards }).expect("a list of text is JSON")
    }

    /// The digest of the root document, as in [`Checkpoint::index_root`].
    pub fn root_digest(&mut self) -> Digest {
        Digest::of(&self.root_json())
    }
}
