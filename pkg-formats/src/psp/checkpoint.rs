//! The states of a feed, and what changed from one to the next.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::{Digest, Object, PspError, Result, expect, parse};

/// Up to [`PAGE_SIZE`] checkpoints in the order of their numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointPage {
    /// The checkpoints.
    pub items: Vec<CheckpointRef>,
    /// The next page's number, or null on the last page.
    pub next: Option<u64>,
}

/// One line of a [`CheckpointPage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRef {
    /// [`Checkpoint::created_at`].
    pub created_at: DateTime<Utc>,
    /// SHA-256 of the checkpoint document.
    pub digest: Digest,
    /// Its number.
    pub seq: u64,
    /// [`Checkpoint::snapshot_date`].
    pub snapshot_date: NaiveDate,
}

impl CheckpointPage {
    /// Reads a page.
    ///
    /// # Errors
    /// Malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        parse("checkpoint page", bytes)
    }
}

/// One immutable state of a feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// How many events of each kind the delta has.
    pub counts: Counts,
    /// 00:00 UTC of `snapshot_date`; all events before are in, none after.
    pub created_at: DateTime<Utc>,
    /// NDJSON of [`DeltaEvent`]s, sorted by name, then version as text. A package that is new has one `add` and no other
    /// event, whatever else happened to it since the checkpoint before; so the first checkpoint's delta adds every package.
    pub delta: Object,
    /// The feed.
    pub feed: String,
    /// NDJSON of [`FullLine`]s sorted by name: the whole state. On the first and every [`FULL_EVERY`]th checkpoint.
    pub full: Option<Object>,
    /// [`Index::root_digest`] of the whole state.
    pub index_root: Digest,
    /// NDJSON of the records that the delta names, each once, sorted by name.
    pub packs: Vec<Object>,
    /// Digest of checkpoint `seq - 1`; null on the first.
    pub parent: Option<Digest>,
    /// Its number, from 1.
    pub seq: u64,
    /// The date whose snapshot this checkpoint completes.
    pub snapshot_date: NaiveDate,
}

/// Events of a checkpoint by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// New packages.
    pub added: u64,
    /// Packages archived as a whole.
    pub archived: u64,
    /// Packages removed.
    pub removed: u64,
    /// New versions of known packages.
    pub updated: u64,
    /// Versions yanked.
    pub yanked: u64,
}

impl Checkpoint {
    /// Reads checkpoint `seq` of `feed` and checks it against the digest that the page named and against its parent's digest.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(bytes: &[u8], digest: Digest, feed: &str, seq: u64, parent: Option<Digest>) -> Result<Self> {
        let what = "checkpoint";
        let found = Digest::of(bytes);
        if found != digest {
            return Err(PspError::DigestMismatch { what, expected: digest, found });
        }
        let checkpoint: Self = parse(what, bytes)?;
        expect(what, "feed", &checkpoint.feed.as_str(), &feed)?;
        expect(what, "seq", &checkpoint.seq, &seq)?;
        if checkpoint.parent != parent {
            let show = |d: Option<Digest>| d.map_or_else(|| "null".to_owned(), |d| d.to_string());
            return Err(PspError::Unexpected {
                what,
                field: "parent",
                expected: show(parent),
                found: show(checkpoint.parent),
            });
        }
        Ok(checkpoint)
    }
}

/// One change of a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeltaEvent {
    /// The package: exact for R, normalised for Python.
    pub name: String,
    /// What happened.
    pub op: Op,
    /// The record as of this checkpoint. Several events of one package name the same record.
    pub record: Digest,
    /// The version it happened to; on `add`, `archive` and `remove` the one released last.
    pub version: String,
}

/// What happened to a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// It is new.
    Add,
    /// The package as a whole was archived: no version is current any more (R).
    Archive,
    /// It was taken away with all its versions.
    Remove,
    /// A yank was undone (Python).
    Unyank,
    /// It has a new version; the former current one of R is archived thereby.
    Update,
    /// A version was yanked (Python).
    Yank,
}

/// One line of a full state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FullLine {
    /// The package.
    pub name: String,
    /// Its record.
    pub record: Digest,
}
