//! PSP/1, the wire format between a package service and a Package Manager.
//!
//! The real product's protocol is proprietary; this one keeps what is known of it (immutable manifests, a list of
//! checkpoints, payloads named by a hash) and adds signatures, a hash chain and deltas. Both sides use this module, so
//! that what one writes is what the other checks. Nothing here does I/O.
//!
//! # Vocabulary
//!
//! A **feed** (`cran`, `pypi`) is a log of **checkpoints**, numbered from 1 without gaps. A checkpoint names, by
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
//! | [`record_path`] | [`RRecord`] or [`PythonRecord`] | immutable |
//! | [`blob_path`] | deltas, full states, packs, package files, wheel metadata | immutable |
//!
//! All documents are canonical JSON: UTF-8, keys sorted, no insignificant space. Times are RFC 3339 in UTC.
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
//! - Python: a file exists at *t* when `upload_time < t`; it is yanked at *t* when `yanked_at <= t`.
//! - A package with `removed_at <= t` does not exist at *t*, not even in the archive.
//!
//! A checkpoint with `snapshot_date` *D* has `created_at` = *D* 00:00 UTC and knows all events before that instant and none
//! after. Dates from the feed's `history_from` to the head's `snapshot_date` can be served.
//!
//! Removed packages keep their record (and stay in the index), so that earlier dates can still be served.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};
use ed25519_dalek::{Signature as EdSignature, Signer as _, SigningKey, VerifyingKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

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

// In every struct below the fields stand in the order of their names, so that what `derive(Serialize)` writes is canonical
// without a detour through `Value`; `derived_json_is_canonical` holds them to it.

/// What the service is and whom to believe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// The feeds served.
    pub feeds: Vec<FeedInfo>,
    /// Keys that may sign heads.
    pub keys: Vec<Key>,
    /// [`PROTOCOL`].
    pub protocol: String,
    /// Opaque name of this service; a client that synchronised from one service must not go on from another.
    pub service_id: String,
    /// How many keys must have signed a head.
    pub threshold: u32,
}

/// One feed of a [`Root`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedInfo {
    /// The first date a snapshot can be served for.
    pub history_from: NaiveDate,
    /// Which kind of record it holds.
    pub kind: FeedKind,
    /// `cran`, `pypi`.
    pub name: String,
}

/// Which kind of record a feed holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    /// [`PythonRecord`]s.
    Python,
    /// [`RRecord`]s.
    R,
}

/// A public key of a [`Root`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key {
    /// After this the key's signatures count no more.
    pub expires_at: DateTime<Utc>,
    /// The SHA-256 of the public key.
    pub id: Digest,
    /// 32 bytes in hexadecimal.
    pub public_key: String,
    /// `ed25519`.
    pub scheme: String,
}

impl Key {
    /// The public half of `key`.
    #[must_use]
    pub fn of(key: &SigningKey, expires_at: DateTime<Utc>) -> Self {
        let public = key.verifying_key().to_bytes();
        Self { expires_at, id: Digest::of(&public), public_key: hex::encode(public), scheme: "ed25519".to_owned() }
    }

    fn verifying_key(&self) -> Option<VerifyingKey> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&self.public_key, &mut bytes).ok()?;
        VerifyingKey::from_bytes(&bytes).ok()
    }
}

impl Root {
    /// Reads a root document.
    ///
    /// # Errors
    /// Malformed, or of another protocol.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let root: Self = parse("root.json", bytes)?;
        expect("root.json", "protocol", &root.protocol.as_str(), &PROTOCOL)?;
        Ok(root)
    }
}

/// Where a feed stands. Signed over the canonical JSON of the document without `signatures`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Digest of checkpoint `seq`.
    pub checkpoint: Digest,
    /// A head is not to be believed from this time on.
    pub expires_at: DateTime<Utc>,
    /// The feed.
    pub feed: String,
    /// When it was signed, or a little before.
    pub issued_at: DateTime<Utc>,
    /// The newest checkpoint's number.
    pub seq: u64,
    /// Same as [`Root::service_id`].
    pub service_id: String,
    /// By keys of the root.
    pub signatures: Vec<Signature>,
}

/// A signature of a [`Head`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// [`Key::id`].
    pub key: Digest,
    /// 64 bytes in hexadecimal.
    pub signature: String,
}

impl Head {
    /// The head with its signature by `key` added.
    #[must_use]
    pub fn sign(mut self, key: &SigningKey) -> Self {
        let value = serde_json::to_value(&self).expect("a head is plain data");
        let signature = key.sign(&signed_part(value));
        self.signatures.push(Signature {
            key: Digest::of(&key.verifying_key().to_bytes()),
            signature: hex::encode(signature.to_bytes()),
        });
        self
    }

    /// Reads a head and checks what can be checked without fetching more: signatures against `root`, service, feed,
    /// expiry at `now`, and that it is not behind `applied` (seq and digest of the last applied checkpoint).
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(
        bytes: &[u8],
        root: &Root,
        feed: &str,
        now: DateTime<Utc>,
        applied: Option<(u64, Digest)>,
    ) -> Result<Self> {
        let value: Value = parse("head.json", bytes)?;
        let head: Self = parse("head.json", bytes)?;
        let signed = signed_part(value);
        // One key counts once, however often it signed.
        let valid: std::collections::BTreeSet<Digest> = head
            .signatures
            .iter()
            .filter(|signature| {
                root.keys.iter().any(|key| {
                    key.id == signature.key && key.expires_at > now && is_signed(key, &signature.signature, &signed)
                })
            })
            .map(|signature| signature.key)
            .collect();
        let valid = u32::try_from(valid.len()).unwrap_or(u32::MAX);
        if valid < root.threshold.max(1) {
            return Err(PspError::Unsigned { valid, threshold: root.threshold.max(1) });
        }
        expect("head.json", "service_id", &head.service_id, &root.service_id)?;
        expect("head.json", "feed", &head.feed.as_str(), &feed)?;
        if head.expires_at <= now {
            return Err(PspError::Expired { expired_at: head.expires_at });
        }
        if let Some((seq, digest)) = applied {
            if head.seq < seq {
                return Err(PspError::Rollback { applied: seq, offered: head.seq });
            }
            if head.seq == seq && head.checkpoint != digest {
                return Err(PspError::Diverged { seq });
            }
        }
        Ok(head)
    }
}

/// What a head's signatures are made over. Fields this version does not know are covered too.
fn signed_part(mut head: Value) -> Vec<u8> {
    if let Value::Object(map) = &mut head {
        map.remove("signatures");
    }
    canonical_json(&head)
}

fn is_signed(key: &Key, signature: &str, message: &[u8]) -> bool {
    let mut bytes = [0; 64];
    hex::decode_to_slice(signature, &mut bytes).is_ok()
        && key
            .verifying_key()
            .is_some_and(|public| public.verify_strict(message, &EdSignature::from_bytes(&bytes)).is_ok())
}

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

/// A blob that a checkpoint names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// SHA-256 of the bytes as served.
    pub digest: Digest,
    /// How the bytes as served are compressed. The HTTP answer has no `Content-Encoding`.
    pub encoding: Encoding,
    /// Bytes after decompression; a reader stops there.
    pub plain_size: u64,
    /// Bytes as served.
    pub size: u64,
}

/// How an [`Object`] is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// One gzip member.
    Gzip,
    /// Not at all.
    Identity,
}

impl Object {
    /// Checks size and digest of `bytes` and gives a reader of the decompressed text that fails rather than give more than
    /// [`Object::plain_size`] bytes. `what` names it in errors.
    ///
    /// # Errors
    /// Other size or digest than promised.
    pub fn open<'a>(&self, what: &'static str, bytes: &'a [u8]) -> Result<Lines<'a>> {
        if bytes.len() as u64 != self.size {
            return Err(PspError::SizeMismatch { what, expected: self.size, found: bytes.len() as u64 });
        }
        let found = Digest::of(bytes);
        if found != self.digest {
            return Err(PspError::DigestMismatch { what, expected: self.digest, found });
        }
        let plain: Box<dyn Read + Send + 'a> = match self.encoding {
            Encoding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Encoding::Identity => Box::new(bytes),
        };
        // One byte more than promised is enough to see that there is more.
        let reader = BufReader::new(plain.take(self.plain_size + 1));
        Ok(Lines { what, reader, left: self.plain_size, expected: self.plain_size, line: Vec::new() })
    }
}

/// The lines of an NDJSON [`Object`].
pub struct Lines<'a> {
    what: &'static str,
    reader: BufReader<std::io::Take<Box<dyn Read + Send + 'a>>>,
    left: u64,
    expected: u64,
    line: Vec<u8>,
}

impl Lines<'_> {
    /// The next line without its newline, or `None` at the end.
    ///
    /// # Errors
    /// Broken compression, or more or fewer bytes than promised.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        let read = self
            .reader
            .read_until(b'\n', &mut self.line)
            .map_err(|source| PspError::Decompress { what: self.what, source })? as u64;
        if read == 0 && self.left == 0 {
            return Ok(None);
        }
        if read == 0 || read > self.left {
            let found = self.expected - self.left + read;
            return Err(PspError::SizeMismatch { what: self.what, expected: self.expected, found });
        }
        self.left -= read;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        Ok(Some(&self.line))
    }

    /// The next line as a document.
    ///
    /// # Errors
    /// As [`Lines::next_line`], or a malformed line.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend its lines nor choose the document by the call"
    )]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let what = self.what;
        self.next_line()?.map(|line| parse(what, line)).transpose()
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

/// The history of an R package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RRecord {
    /// Its name.
    pub name: String,
    /// When it was taken away altogether.
    pub removed_at: Option<DateTime<Utc>>,
    /// Oldest first.
    pub versions: Vec<RVersion>,
}

/// One version in an [`RRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RVersion {
    /// When it stopped being current: the time the next version came, or the package was archived.
    pub archived_at: Option<DateTime<Utc>>,
    /// Its files; exactly one has kind `source`.
    pub artifacts: Vec<Artifact>,
    /// The DESCRIPTION file of the source package.
    pub description: String,
    /// When it came.
    pub published_at: DateTime<Utc>,
    /// Text of the README, if there is one.
    pub readme: Option<String>,
    /// `md` or `txt`.
    pub readme_type: Option<String>,
    /// As of the checkpoint; follows from `archived_at`.
    pub state: RState,
    /// The version.
    pub version: String,
}

/// Whether a version is offered or only kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RState {
    /// Under `Archive/`.
    Archived,
    /// In the index.
    Current,
}

/// A file of an R version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// CPU (`x86_64`, `arm64`), or `*` when the file runs on every one; null for source.
    pub arch: Option<String>,
    /// Name under which clients get it.
    pub filename: String,
    /// What it is.
    pub kind: ArtifactKind,
    /// MD5 in hexadecimal, for indexes that carry it.
    pub md5: String,
    /// R's minor version it is built for (`4.4`); null for source.
    pub r: Option<String>,
    /// Names its blob.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// Linux: the distribution's code (`jammy`), or `*` when the file runs on every one. macOS: the flavor. Else null.
    pub tag: Option<String>,
}

/// What an [`Artifact`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactKind {
    /// Installed tree under a source file's name, `.tar.gz`.
    Linux,
    /// Installed tree, `.tgz`.
    Macos,
    /// As the author wrote it, `.tar.gz`.
    Source,
    /// Installed tree, `.zip`.
    Windows,
}

/// The history of a Python project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonRecord {
    /// In the order of `upload_time`; of one version the sdist before the wheel.
    pub files: Vec<PythonFile>,
    /// Grows with every change of this project.
    pub last_serial: u64,
    /// Licence expression of the newest version.
    pub license: Option<String>,
    /// Normalised name.
    pub name: String,
    /// The name as its authors write it.
    pub project: String,
    /// When it was taken away altogether.
    pub removed_at: Option<DateTime<Utc>>,
    /// One line about it.
    pub summary: String,
}

/// A file of a [`PythonRecord`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PythonFile {
    /// Name under which clients get it.
    pub filename: String,
    /// Names the blob that is byte for byte the wheel's METADATA; null for sdists.
    pub metadata_sha256: Option<Digest>,
    /// PEP 440 specifier.
    pub requires_python: Option<String>,
    /// Names its blob.
    pub sha256: Digest,
    /// Bytes.
    pub size: u64,
    /// When it came.
    pub upload_time: DateTime<Utc>,
    /// The version it belongs to.
    pub version: String,
    /// The reason (may be empty) if it is yanked.
    pub yanked: Option<String>,
    /// When it was yanked; set exactly when `yanked` is.
    pub yanked_at: Option<DateTime<Utc>>,
}

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

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[7; 32])
    }

    fn root() -> Root {
        Root {
            feeds: vec![FeedInfo {
                history_from: NaiveDate::from_ymd_opt(2017, 10, 10).unwrap(),
                kind: FeedKind::R,
                name: "cran".into(),
            }],
            keys: vec![Key::of(&key(), at(5000))],
            protocol: PROTOCOL.into(),
            service_id: "s".into(),
            threshold: 1,
        }
    }

    fn head() -> Head {
        Head {
            checkpoint: Digest::of(b"c"),
            expires_at: at(2000),
            feed: "cran".into(),
            issued_at: at(1000),
            seq: 9,
            service_id: "s".into(),
            signatures: vec![],
        }
    }

    fn object() -> Object {
        Object { digest: Digest::of(b""), encoding: Encoding::Gzip, plain_size: 1, size: 2 }
    }

    #[test]
    fn derived_json_is_canonical() {
        fn check<T: Serialize>(document: &T) {
            assert_eq!(
                String::from_utf8(serde_json::to_vec(document).unwrap()).unwrap(),
                String::from_utf8(canonical_json(document)).unwrap()
            );
        }
        check(&root());
        check(&head().sign(&key()));
        check(&CheckpointPage {
            items: vec![CheckpointRef {
                created_at: at(1),
                digest: Digest::of(b""),
                seq: 1,
                snapshot_date: NaiveDate::MIN,
            }],
            next: None,
        });
        check(&Checkpoint {
            counts: Counts::default(),
            created_at: at(1),
            delta: object(),
            feed: "cran".into(),
            full: Some(object()),
            index_root: Digest::of(b""),
            packs: vec![object()],
            parent: None,
            seq: 1,
            snapshot_date: NaiveDate::MIN,
        });
        check(&DeltaEvent { name: "a".into(), op: Op::Add, record: Digest::of(b""), version: "1".into() });
        check(&FullLine { name: "a".into(), record: Digest::of(b"") });
        check(&RRecord {
            name: "a".into(),
            removed_at: None,
            versions: vec![RVersion {
                archived_at: None,
                artifacts: vec![Artifact {
                    arch: None,
                    filename: "a".into(),
                    kind: ArtifactKind::Source,
                    md5: String::new(),
                    r: None,
                    sha256: Digest::of(b""),
                    size: 1,
                    tag: None,
                }],
                description: "Package: a\n".into(),
                published_at: at(1),
                readme: None,
                readme_type: None,
                state: RState::Current,
                version: "1".into(),
            }],
        });
        check(&PythonRecord {
            files: vec![PythonFile {
                filename: "a".into(),
                metadata_sha256: None,
                requires_python: None,
                sha256: Digest::of(b""),
                size: 1,
                upload_time: at(1),
                version: "1".into(),
                yanked: None,
                yanked_at: None,
            }],
            last_serial: 1,
            license: None,
            name: "a".into(),
            project: "A".into(),
            removed_at: None,
            summary: "s".into(),
        });
        check(&Index::default().shards[0]);
    }

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value = serde_json::json!({"b": [{"z": 1, "a": "é\n"}], "a": null});
        assert_eq!(canonical_json(&value), "{\"a\":null,\"b\":[{\"a\":\"é\\n\",\"z\":1}]}".as_bytes());
    }

    #[test]
    fn a_signed_head_is_believed_until_it_expires() {
        let bytes = canonical_json(&head().sign(&key()));
        let verify = |now, applied| Head::verify(&bytes, &root(), "cran", at(now), applied);
        assert_eq!(verify(1500, None).unwrap().seq, 9);
        assert!(matches!(verify(2000, None), Err(PspError::Expired { .. })));
        assert!(matches!(
            verify(1500, Some((10, Digest::of(b"")))),
            Err(PspError::Rollback { applied: 10, offered: 9 })
        ));
        assert!(matches!(verify(1500, Some((9, Digest::of(b"")))), Err(PspError::Diverged { seq: 9 })));
        assert!(verify(1500, Some((9, Digest::of(b"c")))).is_ok());
        assert!(matches!(
            Head::verify(&bytes, &root(), "pypi", at(1500), None),
            Err(PspError::Unexpected { field: "feed", .. })
        ));
    }

    #[test]
    fn any_change_of_a_head_breaks_its_signature() {
        let signed = head().sign(&key());
        let good = String::from_utf8(canonical_json(&signed)).unwrap();
        for (from, to) in
            [("\"seq\":9", "\"seq\":8"), ("1970-01-01T00:33:20Z", "1970-01-01T00:43:20Z"), ("{\"c", "{\"a\":1,\"c")]
        {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good);
            let result = Head::verify(bad.as_bytes(), &root(), "cran", at(1500), None);
            assert!(matches!(result, Err(PspError::Unsigned { valid: 0, threshold: 1 })), "{bad}");
        }
        let mut twice = signed.clone();
        twice.signatures.push(signed.signatures[0].clone());
        let mut strict = root();
        strict.threshold = 2;
        let result = Head::verify(&canonical_json(&twice), &strict, "cran", at(1500), None);
        assert!(matches!(result, Err(PspError::Unsigned { valid: 1, threshold: 2 })));
        let mut old = root();
        old.keys[0].expires_at = at(1400);
        let result = Head::verify(good.as_bytes(), &old, "cran", at(1500), None);
        assert!(matches!(result, Err(PspError::Unsigned { .. })));
    }

    #[test]
    fn a_checkpoint_must_be_the_one_named_and_follow_its_parent() {
        let checkpoint = Checkpoint {
            counts: Counts::default(),
            created_at: at(1),
            delta: object(),
            feed: "cran".into(),
            full: None,
            index_root: Digest::of(b""),
            packs: vec![],
            parent: Some(Digest::of(b"p")),
            seq: 2,
            snapshot_date: NaiveDate::MIN,
        };
        let bytes = canonical_json(&checkpoint);
        let digest = Digest::of(&bytes);
        let parent = checkpoint.parent;
        assert_eq!(Checkpoint::verify(&bytes, digest, "cran", 2, parent).unwrap(), checkpoint);
        let err = Checkpoint::verify(&bytes, digest, "cran", 2, None).unwrap_err();
        assert!(matches!(err, PspError::Unexpected { field: "parent", .. }), "{err}");
        let err = Checkpoint::verify(&bytes, digest, "cran", 3, parent).unwrap_err();
        assert!(matches!(err, PspError::Unexpected { field: "seq", .. }), "{err}");
        let err = Checkpoint::verify(&bytes, Digest::of(b""), "cran", 2, parent).unwrap_err();
        assert!(matches!(err, PspError::DigestMismatch { .. }), "{err}");
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn named(bytes: &[u8], plain_size: u64) -> Object {
        Object { digest: Digest::of(bytes), encoding: Encoding::Gzip, plain_size, size: bytes.len() as u64 }
    }

    #[test]
    fn an_object_is_read_line_by_line() {
        let plain = format!("{{\"name\":\"a\",\"record\":\"{}\"}}\n[]\n", Digest([0; 32]));
        let bytes = gzip(plain.as_bytes());
        let object = named(&bytes, plain.len() as u64);
        let mut lines = object.open("full", &bytes).unwrap();
        assert_eq!(lines.next::<FullLine>().unwrap().unwrap().name, "a");
        assert!(matches!(lines.next::<FullLine>(), Err(PspError::Malformed { what: "full", .. })));
        assert!(lines.next_line().unwrap().is_none());
    }

    #[test]
    fn an_object_that_is_not_what_was_promised_is_refused() {
        let bytes = gzip(&[b'x'; 100_000]);
        let mut flipped = bytes.clone();
        flipped[20] ^= 1;
        let object = named(&bytes, 100);
        assert!(matches!(object.open("delta", &flipped), Err(PspError::DigestMismatch { .. })));
        assert!(matches!(object.open("delta", &bytes[1..]), Err(PspError::SizeMismatch { .. })));
        // A bomb: it unpacks to more than it says.
        let err = object.open("delta", &bytes).unwrap().next_line().unwrap_err();
        assert!(matches!(err, PspError::SizeMismatch { expected: 100, found: 101, .. }), "{err}");
        // Less than it says.
        let longer = named(&bytes, 100_001);
        let mut lines = longer.open("delta", &bytes).unwrap();
        assert_eq!(lines.next_line().unwrap().map(<[u8]>::len), Some(100_000));
        assert!(matches!(lines.next_line(), Err(PspError::SizeMismatch { .. })));
        // Broken compression under a right digest.
        let cut = &bytes[..bytes.len() - 12];
        let object = named(cut, 100_000);
        let mut lines = object.open("delta", cut).unwrap();
        assert!((0..3).any(|_| lines.next_line().is_err()));
    }

    #[test]
    fn the_index_root_depends_on_content_not_on_order() {
        let mut a = Index::default();
        let mut b = Index::default();
        for name in ["x", "y", "z"] {
            a.insert(name, Digest::of(name.as_bytes()));
        }
        let _ = a.root_digest();
        for name in ["z", "x", "y"] {
            b.insert(name, Digest::of(name.as_bytes()));
        }
        assert_eq!(a.root_digest(), b.root_digest());
        b.insert("x", Digest::of(b"new"));
        assert_ne!(a.root_digest(), b.root_digest());
        assert_eq!(b.entries().iter().map(|e| e.0).collect::<Vec<_>>(), ["x", "y", "z"]);
        assert_eq!(b.get("x"), Some(Digest::of(b"new")));
        assert_eq!(b.len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _ = Root::parse(&bytes);
            let _ = Head::verify(&bytes, &root(), "cran", at(1), None);
            let _ = CheckpointPage::parse(&bytes);
            let _ = Checkpoint::verify(&bytes, Digest::of(&bytes), "cran", 1, None);
            if let Ok(mut lines) = named(&bytes, 1000).open("delta", &bytes) {
                while let Ok(Some(_)) = lines.next::<DeltaEvent>() {}
            }
        }
    }
}
