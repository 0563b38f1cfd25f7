//! What the service is, and where a feed stands.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, Utc};
use ed25519_dalek::{Signature as EdSignature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Digest, PROTOCOL, PspError, Result, canonical_json, expect, parse};

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
    /// `cran`, `pypi`, `bioc-3.22`, `sysreqs`, `distros`, `vulns`.
    pub name: String,
    /// The feed has more than it tells of: it brings what is [demanded](super::demand_path), if it can be had.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_demand: bool,
}

/// Names of packages that a feed is to have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// Normalised or not; at most [`MOST_DEMANDED`].
    pub names: Vec<String>,
}

/// Names in one [`Demand`].
pub const MOST_DEMANDED: usize = 500;

/// What came of a [`Demand`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demanded {
    /// The feed has these now, or had them before.
    pub found: Vec<String>,
    /// There are none of these names.
    pub missing: Vec<String>,
}

/// Which kind of record a feed holds. Names that this version does not know are read as [`FeedKind::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FeedKind {
    /// [`DocumentRecord`](super::DocumentRecord)s.
    Documents,
    /// [`PythonRecord`](super::PythonRecord)s.
    Python,
    /// [`RRecord`](super::RRecord)s; in the feeds of Bioconductor [`BiocRecord`](super::BiocRecord)s, which can be read as such.
    R,
    /// [`VsxRecord`](super::VsxRecord)s.
    Vsx,
    /// Something newer than this program; such a feed cannot be followed, and hinders no other.
    #[serde(other)]
    Other,
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
        let valid: BTreeSet<Digest> = head
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
