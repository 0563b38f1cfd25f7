//! PSP/1, the wire format between a package service and a Package Manager.
//!
//! The real product's protocol is proprietary; this one keeps what is known of it (immutable manifests, a list of
//! checkpoints, payloads named by a hash) and adds signatures, a hash chain and deltas. Both sides use this module, so
//! that what one writes is what the other checks. Nothing here does I/O.
//!
//! # Vocabulary
//!
//! A **feed** (`cran`, `pypi`, `bioc-3.22`, `vsx`, `sysreqs`, `distros`, `vulns`) is a log of **checkpoints**, numbered from 1 without gaps. A checkpoint names, by
//! SHA-256, the **records** that are new in it; a record is the whole published history of one package as of that
//! checkpoint. A **blob** is any file. Everything that is named by a digest never changes.
//!
//! | path | document | served as |
//! |---|---|---|
//! | [`ROOT_PATH`] | [`Root`] | revalidate after an hour |
//! | [`head_path`] | [`Head`] | revalidate after 60 s |
//! | [`page_path`] | [`CheckpointPage`] | full pages immutable, the last one 60 s |
//! | [`checkpoint_path`] | [`Checkpoint`] | immutable |
//! | [`index_path`] | [`IndexRoot`] or a shard: map of name to record digest | immutable |
//! | [`record_path`] | [`RRecord`], [`BiocRecord`], [`PythonRecord`], [`VsxRecord`] or [`DocumentRecord`] | immutable |
//! | [`blob_path`] | deltas, full states, packs, package files, wheel metadata | immutable |
//!
//! A feed that grows on demand also takes `POST` [`demand_path`] with a [`Demand`]; the answer is [`Demanded`], and when it
//! comes, a head that is asked for anew has what was found.
//!
//! All documents are canonical JSON: UTF-8, keys sorted, no insignificant space. Times are RFC 3339 in UTC.
//!
//! | feed | kind | records |
//! |---|---|---|
//! | `cran` | `r` | [`RRecord`] |
//! | `bioc-{release}` | `r` | [`BiocRecord`]: an [`RRecord`] with one field more, `component` |
//! | `pypi` | `python` | [`PythonRecord`] |
//! | `vsx` | `vsx` | [`VsxRecord`] |
//! | `sysreqs` | `documents` | [`DocumentRecord`] of a [`SysreqsRule`] |
//! | `distros` | `documents` | [`DocumentRecord`] of a [`Distro`] |
//! | `vulns` | `documents` | [`DocumentRecord`] of a [`Vulnerability`] |
//!
//! Clients leave alone what they do not know: fields, feeds, kinds of feeds and kinds of artifacts.
//!
//! # How a client follows a feed
//!
//! 1. `GET` root and head, then [`Head::verify`]: signatures, expiry, service, and no step back from what was applied.
//! 2. Page through the checkpoints after the last applied one. [`Checkpoint::verify`] each against the digest the page
//!    names and against its parent. The last one's digest must be the head's.
//! 3. For each checkpoint: `GET` its `delta` and its `packs` from the blob path, [`Object::open`] them (digest and size are
//!    checked, decompression is bounded), and read line by line: a [`DeltaEvent`] a line in a delta, one record a line in a
//!    pack. The digest of a pack's line (without the newline) is the record's digest. Packs hold every record that the
//!    delta names and nothing else, in the order of names; they exist to spare one request a record. A client may ignore
//!    them and `GET` records one by one.
//! 4. Apply all of a checkpoint in one transaction, together with its `seq` and digest.
//! 5. The [`Index`] over all names and record digests must have [`Index::root_digest`] equal to `index_root`.
//! 6. A delta answered with 410 Gone is past its retention: take the newest checkpoint with `full` at or before the head
//!    (a [`FullLine`] a line), fetch the records not yet held, and go on from there.
//!
//! # Time
//!
//! Records carry the time of every event, so one checkpoint can bring years of history: the first checkpoint of a feed does,
//! and later ones bring one day each. The snapshot of date *D* is the state just before *D* 00:00 UTC:
//!
//! - R: a version is current at *t* when `published_at < t` and not `archived_at <= t`; it is archived when `archived_at <= t`.
//!   At most one version is current.
//! - Extensions: a version exists at *t* when `published_at < t`.
//! - Python: a file exists at *t* when `upload_time < t`; it is yanked at *t* when `yanked_at <= t`.
//! - A package with `removed_at <= t` does not exist at *t*, not even in the archive.
//!
//! Documents have no past: whatever the date, the newest record counts.
//!
//! A checkpoint with `snapshot_date` *D* has `created_at` = *D* 00:00 UTC and knows all events before that instant and none
//! after. Dates from the feed's `history_from` to the head's `snapshot_date` can be served.
//!
//! Removed packages keep their record (and stay in the index), so that earlier dates can still be served.

mod checkpoint;
mod document;
mod index;
mod object;
mod record;
mod root;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub use checkpoint::{Checkpoint, CheckpointPage, CheckpointRef, Counts, DeltaEvent, FullLine, Op};
pub use document::{
    Affected, AffectedPackage, AffectedRange, DatabaseSpecific, Distro, DocumentRecord, Severity, SysreqsInstall,
    SysreqsRule, Vulnerability,
};
pub use index::{Index, IndexRoot, shard_of};
pub use object::{Encoding, Lines, Object};
pub use record::{
    Artifact, ArtifactKind, BIOC_COMPONENTS, BiocRecord, PythonFile, PythonRecord, RRecord, RState, RVersion, VSIX,
    VsxFile, VsxRecord, VsxVersion,
};
pub use root::{Demand, Demanded, FeedInfo, FeedKind, Head, Key, MOST_DEMANDED, Root, Signature};

// In every struct of the wire the fields stand in the order of their names, so that what `derive(Serialize)` writes is
// canonical without a detour through `Value`; `derived_json_is_canonical` holds them to it.

/// The value of [`Root::protocol`].
pub const PROTOCOL: &str = "psp/1";
/// Path of the [`Root`] document.
pub const ROOT_PATH: &str = "/psp/v1/root.json";
/// Checkpoints a page: page `k` holds the seqs `1000k ..= 1000k + 999` (page 0 starts at 1).
pub const PAGE_SIZE: u64 = 1000;
/// A checkpoint whose `seq` is 1 or a multiple of this has `full`.
pub const FULL_EVERY: u64 = 50;
/// No pack holds more records than this.
pub const PACK_RECORDS: usize = 1000;

/// Path of a feed's [`Head`].
#[must_use]
pub fn head_path(feed: &str) -> String {
    format!("/psp/v1/{feed}/head.json")
}

/// Path to which a client `POST`s a [`Demand`], where [`FeedInfo::on_demand`] says so.
#[must_use]
pub fn demand_path(feed: &str) -> String {
    format!("/psp/v1/{feed}/demand")
}

/// Path of the [`CheckpointPage`] that holds `seq`s from `page * PAGE_SIZE` on.
#[must_use]
pub fn page_path(feed: &str, page: u64) -> String {
    format!("/psp/v1/{feed}/checkpoints/page-{page}.json")
}

/// Path of one [`Checkpoint`].
#[must_use]
pub fn checkpoint_path(feed: &str, seq: u64) -> String {
    format!("/psp/v1/{feed}/checkpoints/{seq}.json")
}

/// Path of an [`IndexRoot`] or a shard.
#[must_use]
pub fn index_path(digest: &Digest) -> String {
    by_digest("index", digest)
}

/// Path of a record.
#[must_use]
pub fn record_path(digest: &Digest) -> String {
    by_digest("records", digest)
}

/// Path of a blob.
#[must_use]
pub fn blob_path(digest: &Digest) -> String {
    by_digest("blobs", digest)
}

fn by_digest(kind: &str, digest: &Digest) -> String {
    format!("/psp/v1/{kind}/sha256/{:02x}/{digest}", digest.0[0])
}

/// Why a document is not believed.
#[derive(Debug, thiserror::Error)]
pub enum PspError {
    /// Not JSON, or not of the expected shape.
    #[error("{what} is malformed: {source}")]
    Malformed {
        /// Which document.
        what: &'static str,
        /// What the parser says.
        source: serde_json::Error,
    },
    /// Not a SHA-256 digest of 64 lower-case hexadecimal digits.
    #[error("not a SHA-256 digest: {0:?}")]
    NotADigest(String),
    /// The bytes are not those that were named.
    #[error("{what} has digest {found}, not {expected}")]
    DigestMismatch {
        /// Which document.
        what: &'static str,
        /// The digest that was promised.
        expected: Digest,
        /// The digest of what came.
        found: Digest,
    },
    /// More or fewer bytes than promised.
    #[error("{what} is {found} bytes long, not {expected}")]
    SizeMismatch {
        /// Which document.
        what: &'static str,
        /// Bytes promised.
        expected: u64,
        /// Bytes that came; decompression stops there.
        found: u64,
    },
    /// A field says something else than it must.
    #[error("{what}: {field} is {found}, not {expected}")]
    Unexpected {
        /// Which document.
        what: &'static str,
        /// Which field.
        field: &'static str,
        /// What must be there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// Too few valid signatures by keys that the root knows and that have not run out.
    #[error("the head carries {valid} valid signatures and needs {threshold}")]
    Unsigned {
        /// Valid signatures found.
        valid: u32,
        /// Signatures needed.
        threshold: u32,
    },
    /// The head is too old to be believed: the service is stale or someone replays it.
    #[error("the head expired at {expired_at}")]
    Expired {
        /// When.
        expired_at: DateTime<Utc>,
    },
    /// The head is behind what this client has applied.
    #[error("the head went back from checkpoint {applied} to {offered}")]
    Rollback {
        /// The last applied seq.
        applied: u64,
        /// The seq of the head.
        offered: u64,
    },
    /// Same number, other content: the service's history was rewritten.
    #[error("checkpoint {seq} is not the one that was applied: the histories diverge")]
    Diverged {
        /// The seq at which they differ.
        seq: u64,
    },
    /// A compressed body is broken.
    #[error("{what} cannot be decompressed: {source}")]
    Decompress {
        /// Which document.
        what: &'static str,
        /// What the decoder says.
        source: std::io::Error,
    },
}

type Result<T> = std::result::Result<T, PspError>;

/// A SHA-256; 64 lower-case hexadecimal digits in text and JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = [0; 64];
        hex::encode_to_slice(self.0, &mut text).expect("64 digits hold 32 bytes");
        f.write_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = PspError;

    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = [0; 32];
        if text.bytes().any(|b| b.is_ascii_uppercase()) || hex::decode_to_slice(text, &mut bytes).is_err() {
            return Err(PspError::NotADigest(text.to_owned()));
        }
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Canonical JSON of `document`: keys sorted, no insignificant space.
#[must_use]
pub fn canonical_json<T: Serialize>(document: &T) -> Vec<u8> {
    let value = serde_json::to_value(document).expect("wire documents have string keys and no NaN");
    let mut out = Vec::new();
    write_canonical(&value, &mut out);
    out
}

fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push(b'{');
            for (i, (key, value)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                serde_json::to_writer(&mut *out, key).expect("a vector takes any write");
                out.push(b':');
                write_canonical(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        scalar => serde_json::to_writer(out, scalar).expect("a vector takes any write"),
    }
}

fn parse<'a, T: Deserialize<'a>>(what: &'static str, bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| PspError::Malformed { what, source })
}

fn expect<T: PartialEq + fmt::Display>(what: &'static str, field: &'static str, found: &T, expected: &T) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(PspError::Unexpected { what, field, expected: expected.to_string(), found: found.to_string() })
}
