//! Bundles: feeds of a package service carried by hand to a server that cannot reach it.
//!
//! A bundle is a folder, or a `.tar.gz` of one, with the documents of the service under the paths at which it serves them
//! ([`pkg_formats::psp`]), so a folder can also be served by any web server or named as `file://…` in place of the service.
//!
//! | file | what |
//! |---|---|
//! | `bundle.json` | [`Contents`]: which feeds, up to where, and whether package files are there |
//! | `psp/v1/…` | root, heads, pages, checkpoints, deltas, packs, and package files by digest |
//! | `SHA256SUMS` | the digest of every other file, as `sha256sum -c` reads it |
//!
//! [`verify`] believes nothing: every file must be listed and every listed file be there with its digest, whatever is named by a
//! digest must have it, each head must be signed, and the chain of checkpoints with their deltas and packs must lead to the index that
//! the head signs. Heads are believed although they expire on the way; a server still refuses a bundle that is older than what it
//! has, or that others have signed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use chrono::NaiveDate;
use pkg_formats::archive::{self, Limits, Strip};
use pkg_formats::psp::{
    self, Checkpoint, CheckpointPage, CheckpointRef, DeltaEvent, Digest, FeedKind, FullLine, Head, Index, Object,
    PspError, Root,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::sources::Language;
use crate::sync::eager::files_of;

/// The list of what is in a bundle.
pub const CONTENTS: &str = "bundle.json";
/// The digests of the other files.
pub const SUMS: &str = "SHA256SUMS";
/// The version of this form.
const FORMAT: u32 = 1;
/// Bytes of a document, of a list of digests, and of a delta, a pack or a full state at most.
const DOCUMENT: u64 = 16 << 20;
const LIST: u64 = 1 << 30;
const OBJECT: u64 = 256 << 20;
/// What the archive of a bundle may unpack to.
pub const LIMITS: Limits = Limits {
    entries: 20_000_000,
    total_bytes: 1 << 40,
    entry_bytes: 8 << 30,
    ratio: 2000,
    path_bytes: 256,
    path_depth: 8,
};

/// What a bundle is said to hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// 1.
    pub format: u32,
    /// The service that the feeds are of.
    pub service_id: String,
    /// The feeds.
    pub feeds: Vec<String>,
    /// Whether all package files are there; else only what is known about packages.
    pub files: bool,
}

impl Contents {
    /// Of `feeds` of a service.
    #[must_use]
    pub fn new(service_id: &str, feeds: Vec<String>, files: bool) -> Self {
        Self { format: FORMAT, service_id: service_id.to_owned(), feeds, files }
    }
}

/// What [`verify`] found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The service that the feeds are of.
    pub service_id: String,
    /// Ids of the keys that its heads are signed with.
    pub keys: Vec<Digest>,
    /// The feeds.
    pub feeds: Vec<FeedReport>,
    /// Whether all package files are there.
    pub files: bool,
}

/// A feed of a [`Report`].
#[derive(Debug, Clone, Serialize)]
pub struct FeedReport {
    /// Its name.
    pub feed: String,
    /// The newest checkpoint.
    pub checkpoint: u64,
    /// Its date.
    pub snapshot_date: NaiveDate,
    /// Names in its index.
    pub packages: usize,
    /// Package files that it names.
    pub files: usize,
}

/// Why a bundle is refused.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The archive.
    #[error("the bundle cannot be unpacked: {0}")]
    Archive(#[from] archive::Error),
    /// A file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Something that must be there is not.
    #[error("the bundle has no {0}")]
    Absent(String),
    /// A file is larger than one of its kind can be.
    #[error("{0} in the bundle is too large")]
    TooLarge(String),
    /// A file that no list names.
    #[error("{0} is in the bundle but not in its {SUMS}")]
    Unlisted(String),
    /// A file is not what the list says.
    #[error("{path} in the bundle has the SHA-256 {found}, not {expected}")]
    Changed {
        /// Which.
        path: String,
        /// Listed, or its name.
        expected: Digest,
        /// Of its bytes.
        found: Digest,
    },
    /// A list that is none.
    #[error("{file} in the bundle cannot be read: {reason}")]
    Malformed {
        /// Which.
        file: &'static str,
        /// Why.
        reason: String,
    },
    /// A document is not to be believed.
    #[error("feed {feed} of the bundle is not to be believed: {source}")]
    Untrusted {
        /// Of which feed.
        feed: String,
        /// Why.
        source: PspError,
    },
    /// The root.
    #[error("the bundle is not to be believed: {0}")]
    Root(PspError),
    /// A number is missing in the list of checkpoints, or the last is not the signed one.
    #[error("feed {feed} of the bundle: {reason}")]
    Chain {
        /// Of which feed.
        feed: String,
        /// What is wrong.
        reason: String,
    },
}

type Result<T> = std::result::Result<T, BundleError>;

/// Unpacks the archive at `path` into the folder `to`, which must not be there.
///
/// # Errors
/// It is no good archive, or too large.
pub fn unpack(path: &Path, to: &Path) -> Result<()> {
    let file = File::open(path).map_err(|source| BundleError::Io { path: path.display().to_string(), source })?;
    archive::extract(std::io::BufReader::new(file), to, &LIMITS, Strip::TopDirectory)?;
    Ok(())
}

/// Checks the bundle in `folder` as the module says.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn verify(folder: &Path) -> Result<Report> {
    let found = Found { folder, digests: listed_and_there(folder)? };
    let contents: Contents = serde_json::from_slice(&found.read(CONTENTS, DOCUMENT)?)
        .map_err(|error| BundleError::Malformed { file: CONTENTS, reason: error.to_string() })?;
    if contents.format != FORMAT || contents.feeds.is_empty() {
        let reason = format!("format {} with {} feeds", contents.format, contents.feeds.len());
        return Err(BundleError::Malformed { file: CONTENTS, reason });
    }
    let root = Root::parse(&found.read(psp::ROOT_PATH, DOCUMENT)?).map_err(BundleError::Root)?;
    if root.service_id != contents.service_id {
        let reason = format!("it is of service {}, and the root of {}", contents.service_id, root.service_id);
        return Err(BundleError::Malformed { file: CONTENTS, reason });
    }
    let feeds = contents.feeds.iter().map(|feed| found.feed(&root, feed, contents.files)).collect::<Result<_>>()?;
    let keys = root.keys.iter().map(|key| key.id).collect();
    Ok(Report { service_id: root.service_id, keys, feeds, files: contents.files })
}

/// The files of a bundle with the digests that they really have.
struct Found<'a> {
    folder: &'a Path,
    digests: HashMap<String, Digest>,
}

impl Found<'_> {
    /// The bytes at `path`, which may start with a slash as paths of the service do.
    fn read(&self, path: &str, limit: u64) -> Result<Vec<u8>> {
        let path = path.trim_start_matches('/');
        if !self.digests.contains_key(path) {
            return Err(BundleError::Absent(path.to_owned()));
        }
        read(&self.folder.join(path), path, limit)
    }

    fn feed(&self, root: &Root, feed: &str, with_files: bool) -> Result<FeedReport> {
        let untrusted = |source| BundleError::Untrusted { feed: feed.to_owned(), source };
        let chain = |reason: String| BundleError::Chain { feed: feed.to_owned(), reason };
        let info = root
            .feeds
            .iter()
            .find(|info| info.name == feed)
            .ok_or_else(|| chain("the root has no such feed".into()))?;
        let head = self.read(&psp::head_path(feed), DOCUMENT)?;
        // On its way it may have expired; that it was good when it was signed must be seen.
        let malformed = |source| untrusted(PspError::Malformed { what: "head.json", source });
        let issued_at = serde_json::from_slice::<Head>(&head).map_err(malformed)?.issued_at;
        let head = Head::verify(&head, root, feed, issued_at, None).map_err(untrusted)?;

        let mut checkpoints: Vec<Checkpoint> = Vec::new();
        let mut page: HashMap<u64, CheckpointRef> = HashMap::new();
        let mut parent = None;
        for seq in 1..=head.seq {
            if seq == 1 || seq % psp::PAGE_SIZE == 0 {
                let bytes = self.read(&psp::page_path(feed, seq / psp::PAGE_SIZE), DOCUMENT)?;
                let items = CheckpointPage::parse(&bytes).map_err(untrusted)?.items;
                page = items.into_iter().map(|item| (item.seq, item)).collect();
            }
            let item = page.get(&seq).ok_or_else(|| chain(format!("it lists no checkpoint {seq}")))?;
            let bytes = self.read(&psp::checkpoint_path(feed, seq), DOCUMENT)?;
            checkpoints.push(Checkpoint::verify(&bytes, item.digest, feed, seq, parent).map_err(untrusted)?);
            parent = Some(item.digest);
        }
        let Some(last) = checkpoints.last().filter(|_| parent == Some(head.checkpoint)) else {
            return Err(chain(format!("checkpoint {} is not the one that was signed", head.seq)));
        };

        // Where deltas are past their retention, the copy begins with a full state.
        let has = |object: &Object| self.digests.contains_key(psp::blob_path(&object.digest).trim_start_matches('/'));
        let begin = checkpoints.iter().rposition(|checkpoint| !has(&checkpoint.delta)).map_or(0, |gone| {
            checkpoints[gone..].iter().position(|c| c.full.as_ref().is_some_and(&has)).map_or(gone, |full| gone + full)
        });
        let mut index = Index::default();
        let mut files = HashSet::new();
        for (nth, checkpoint) in checkpoints.iter().enumerate().skip(begin) {
            let from_full = nth == begin && !has(&checkpoint.delta);
            let mut named: BTreeMap<String, Digest> = BTreeMap::new();
            let (object, what) = match (&checkpoint.full, from_full) {
                (Some(full), true) => (full, "full state"),
                _ => (&checkpoint.delta, "delta"),
            };
            let bytes = self.read(&psp::blob_path(&object.digest), OBJECT)?;
            let mut lines = object.open(what, &bytes).map_err(untrusted)?;
            if from_full {
                while let Some(FullLine { name, record }) = lines.next().map_err(untrusted)? {
                    named.insert(name, record);
                }
            } else {
                while let Some(DeltaEvent { name, record, .. }) = lines.next().map_err(untrusted)? {
                    named.insert(name, record);
                }
            }
            for (name, record) in &named {
                index.insert(name, *record);
            }
            let mut wanted: HashSet<Digest> = named.into_values().collect();
            let packs: &[Object] = if from_full { &[] } else { &checkpoint.packs };
            for pack in packs {
                let bytes = self.read(&psp::blob_path(&pack.digest), OBJECT)?;
                let mut lines = pack.open("pack", &bytes).map_err(untrusted)?;
                while let Some(line) = lines.next_line().map_err(untrusted)? {
                    let digest = Digest::of(line);
                    if !wanted.remove(&digest) {
                        return Err(chain(format!(
                            "a pack of checkpoint {} holds a record that its delta does not name",
                            nth + 1
                        )));
                    }
                    note_files(info.kind, line, &mut files).map_err(untrusted)?;
                }
            }
            for digest in wanted {
                let record = self.read(&psp::record_path(&digest), DOCUMENT)?;
                note_files(info.kind, &record, &mut files).map_err(untrusted)?;
            }
            if index.root_digest() != checkpoint.index_root {
                return Err(chain(format!("the state after checkpoint {} is not the one that was signed", nth + 1)));
            }
        }
        if with_files
            && let Some(missing) = files.iter().find(|digest| !self.digests.contains_key(blob(digest).as_str()))
        {
            return Err(BundleError::Absent(format!("{}, which feed {feed} names", blob(missing))));
        }
        Ok(FeedReport {
            feed: feed.to_owned(),
            checkpoint: head.seq,
            snapshot_date: last.snapshot_date,
            packages: index.len(),
            files: files.len(),
        })
    }
}

fn blob(digest: &Digest) -> String {
    psp::blob_path(digest).trim_start_matches('/').to_owned()
}

/// Adds the files that a record names.
pub(crate) fn note_files(
    kind: FeedKind,
    record: &[u8],
    files: &mut HashSet<Digest>,
) -> std::result::Result<(), PspError> {
    let language = match kind {
        FeedKind::R => Language::R,
        FeedKind::Python => Language::Python,
        FeedKind::Vsx => Language::Vsx,
        FeedKind::Documents | FeedKind::Other => return Ok(()),
    };
    let malformed = |error: String| PspError::Malformed { what: "record", source: serde::de::Error::custom(error) };
    let json = std::str::from_utf8(record).map_err(|error| malformed(error.to_string()))?;
    let named = files_of(language, json).map_err(|error| malformed(error.to_string()))?;
    files.extend(named.into_iter().map(|(digest, _)| digest));
    Ok(())
}

/// Path and digest of every file of the bundle, all of which are listed.
fn listed_and_there(folder: &Path) -> Result<HashMap<String, Digest>> {
    let sums = folder.join(SUMS);
    if !sums.is_file() {
        return Err(BundleError::Absent(format!("{SUMS}: it is none, or it was cut short")));
    }
    let malformed = |reason: String| BundleError::Malformed { file: SUMS, reason };
    let list = String::from_utf8(read(&sums, SUMS, LIST)?).map_err(|error| malformed(error.to_string()))?;
    let mut expected: HashMap<&str, Digest> = HashMap::new();
    for line in list.lines() {
        let (digest, path) = line.split_once("  ").ok_or_else(|| malformed(format!("the line {line:?}")))?;
        expected.insert(path, digest.parse().map_err(|_| malformed(format!("the line {line:?}")))?);
    }
    let mut digests = HashMap::new();
    let mut folders = vec![(folder.to_owned(), String::new())];
    while let Some((at, prefix)) = folders.pop() {
        let failed = |source| BundleError::Io { path: prefix.clone(), source };
        for entry in std::fs::read_dir(&at).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                folders.push((entry.path(), format!("{path}/")));
                continue;
            }
            if path == SUMS {
                continue;
            }
            let expected = expected.remove(path.as_str()).filter(|_| kind.is_file());
            let expected = expected.ok_or_else(|| BundleError::Unlisted(path.clone()))?;
            let found = digest_of(&entry.path(), &path)?;
            let named = path.contains("/sha256/").then(|| path.rsplit('/').next().unwrap_or_default().parse().ok());
            for expected in [Some(expected), named.flatten()].into_iter().flatten() {
                if expected != found {
                    return Err(BundleError::Changed { path, expected, found });
                }
            }
            digests.insert(path, found);
        }
    }
    match expected.into_keys().next() {
        Some(missing) => Err(BundleError::Absent(missing.to_owned())),
        None => Ok(digests),
    }
}

fn read(path: &PathBuf, shown: &str, limit: u64) -> Result<Vec<u8>> {
    let failed = |source| BundleError::Io { path: shown.to_owned(), source };
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(BundleError::TooLarge(shown.to_owned()));
    }
    Ok(bytes)
}

/// The digest of a file, of whatever size.
pub(crate) fn digest_of(path: &Path, shown: &str) -> Result<Digest> {
    let failed = |source| BundleError::Io { path: shown.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok(Digest(hash.finalize().into())),
            n => hash.update(&piece[..n]),
        }
    }
}
