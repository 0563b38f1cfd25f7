//! Applying one checkpoint in one database transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, NaiveTime, Utc};
use futures_util::StreamExt as _;
use pkg_formats::psp::{
    self, Checkpoint, DeltaEvent, Digest, DocumentRecord, FeedInfo, FeedKind, FullLine, Index, Lines, Object, PspError,
    PythonRecord, RRecord, VsxRecord,
};
use sim_kit::Tx;

use super::fetch::Upstream;
use super::{SyncError, history_from, midnight_after};
use crate::app::App;
use crate::record;
use crate::renderings::blocking;
use crate::store::packages::{self, Package};
use crate::store::sources::{self, Feed, Source};
use crate::store::transactions::{self, Transaction};

/// Where the names and digests of the records come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum From {
    /// What changed.
    Delta,
    /// The whole state; what is held already is left alone.
    Full,
}

/// Records fetched one by one at the same time.
const CONCURRENT: usize = 16;
/// Records fetched one by one that are written together.
const BATCH: usize = 256;
/// Packs on their way while one is written.
const AHEAD: usize = 2;

/// Reads the name and record digest on the next line.
type NextName = fn(&mut Lines<'_>) -> Result<Option<(String, Digest)>, PspError>;

/// Changes of one day.
#[derive(Debug, Clone, Copy, Default)]
struct Day {
    added: i64,
    updated: i64,
    archived: i64,
    removed: i64,
}

/// Changes by the midnight at which they are first seen, in microseconds.
type Days = BTreeMap<i64, Day>;

/// Records ready to be written, with the changes they bring.
struct Batch {
    packages: Vec<Package>,
    days: Days,
}

impl App {
    /// Name and record digest of all that `source` holds, as the feed's index has them.
    pub(super) async fn index(&self, source: &Source) -> Result<Index, SyncError> {
        let mut index = Index::default();
        let mut bad = None;
        packages::digests(self.world().db(), source.id, |name, digest| match digest.parse() {
            Ok(digest) => index.insert(name, digest),
            Err(error) => bad = Some(error),
        })
        .await?;
        bad.map_or(Ok(index), |error| Err(error.into()))
    }

    /// Applies `checkpoint` and brings `index` along with it. After an error `index` is of no more use.
    #[allow(clippy::too_many_arguments)] // what a checkpoint is about, each once
    pub(super) async fn apply(
        &self,
        upstream: &Upstream,
        source: &Source,
        info: &FeedInfo,
        service_id: &str,
        digest: Digest,
        checkpoint: &Checkpoint,
        from: From,
        applied: Option<(u64, Digest)>,
        index: &mut Index,
    ) -> Result<(), SyncError> {
        let seq = checkpoint.seq;
        self.set_progress(source.id, |p| {
            p.checkpoint = seq;
            p.records = 0;
        });
        let began = self.world().clock().now_micros();
        let mut wanted = match from {
            From::Delta => self.delta(upstream, &checkpoint.delta).await?,
            From::Full => match &checkpoint.full {
                Some(full) => self.full(upstream, full).await?,
                None => return Err(SyncError::NoFullState(seq)),
            },
        };
        let former = transactions::point(self.world().db(), source.id, i64::MAX).await?;
        let former_as_of = former.map_or(i64::MIN, |point| point.as_of);
        let kind = info.kind;

        let mut tx = self.world().db().write().await?;
        let is_first = index.is_empty();
        wanted.retain(|name, digest| index.get(name) != Some(*digest));
        // From here on no other node applies anything: the number is locked until the transaction ends.
        let first_id = crate::store::take_numbers(&mut tx, "transactions", 1).await?;
        if sources::applied(&mut tx, source.id).await? != stored_seq(applied.map_or(0, |(seq, _)| seq)) {
            return Err(SyncError::Overtaken);
        }
        let mut days = Days::new();
        let writer = Writer { source: source.id, first_id, is_first, kind, former_as_of };

        // Packs hold exactly the records of the delta; for a full state they are no help.
        let packs: &[Object] = if from == From::Delta { &checkpoint.packs } else { &[] };
        let mut batches = std::pin::pin!(
            futures_util::stream::iter(packs.iter().cloned().map(|pack| self.pack(upstream, pack, kind, former_as_of)))
                .buffered(AHEAD)
        );
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            for package in &batch.packages {
                let digest: Digest = package.digest.parse()?;
                // A delta names a record that is held already only if nothing changed; then it may come again.
                if wanted.remove(&package.name) != Some(digest) && index.get(&package.name) != Some(digest) {
                    return Err(SyncError::StrayRecord { seq, name: package.name.clone() });
                }
                index.insert(&package.name, digest);
            }
            self.write(&mut tx, &writer, batch, &mut days).await?;
        }
        // What no pack held is fetched record by record.
        let rest: Vec<(String, Digest)> = wanted.into_iter().collect();
        for part in rest.chunks(BATCH) {
            let mut records = std::pin::pin!(
                futures_util::stream::iter(
                    part.iter().cloned().map(|(name, digest)| self.record(upstream, name, digest))
                )
                .buffered(CONCURRENT)
            );
            let mut lines = Vec::with_capacity(part.len());
            while let Some(line) = records.next().await {
                lines.push(line?);
            }
            for (name, digest) in part {
                index.insert(name, *digest);
            }
            let batch = blocking(move || read_records(kind, lines, former_as_of)).await??;
            self.write(&mut tx, &writer, batch, &mut days).await?;
        }
        let mut whole = std::mem::take(index);
        let (root, whole) = blocking(move || (whole.root_digest(), whole)).await?;
        *index = whole;
        if root != checkpoint.index_root {
            return Err(SyncError::Diverged(seq));
        }
        self.finish(&mut tx, source, info, checkpoint, &writer, days, began).await?;
        let feed = Feed {
            service_id: service_id.to_owned(),
            history_from: history_from(info),
            seq: stored_seq(seq),
            checkpoint: digest.to_string(),
        };
        sources::set_feed(&mut tx, source.id, &feed).await?;
        tx.commit().await?;
        Ok(())
    }

    async fn write(&self, tx: &mut Tx, writer: &Writer, batch: Batch, days: &mut Days) -> Result<(), SyncError> {
        let t = record::instant(writer.former_as_of);
        let same: fn(&str, &str, DateTime<Utc>) -> bool = match writer.kind {
            FeedKind::R => record::r_same_until,
            FeedKind::Python => record::python_same_until,
            FeedKind::Vsx => record::vsx_same_until,
            // Documents have no past.
            FeedKind::Documents | FeedKind::Other => |old, new, _| old == new,
        };
        let unchanged = |old: &str, new: &str| same(old, new, t);
        packages::put(tx, writer.source, writer.first_id, &batch.packages, writer.is_first, unchanged).await?;
        for (day, change) in batch.days {
            let sum = days.entry(day).or_default();
            sum.added += change.added;
            sum.updated += change.updated;
            sum.archived += change.archived;
            sum.removed += change.removed;
        }
        self.set_progress(writer.source, |p| p.records += batch.packages.len() as u64);
        Ok(())
    }

    /// Writes the transactions of the days that the checkpoint brought.
    #[allow(clippy::too_many_arguments)]
    async fn finish(
        &self,
        tx: &mut Tx,
        source: &Source,
        info: &FeedInfo,
        checkpoint: &Checkpoint,
        writer: &Writer,
        days: Days,
        began: i64,
    ) -> Result<(), SyncError> {
        let last = checkpoint.snapshot_date.and_time(NaiveTime::MIN).and_utc().timestamp_micros();
        let first = history_from(info).min(last);
        let mut by_day = Days::from([(last, Day::default())]);
        if writer.is_first {
            by_day.entry(first).or_default();
        }
        for (day, change) in days {
            // All that happened before the history begins is there at its first day.
            let sum = by_day.entry(day.clamp(first.max(writer.former_as_of.min(last)), last)).or_default();
            sum.added += change.added;
            sum.updated += change.updated;
            sum.archived += change.archived;
            sum.removed += change.removed;
        }
        let more = i64::try_from(by_day.len()).unwrap_or(i64::MAX) - 1;
        if more > 0 {
            crate::store::take_numbers(tx, "transactions", more).await?;
        }
        let now = self.world().clock().now_micros();
        let mut from = if writer.is_first { first } else { writer.former_as_of };
        for (id, (as_of, day)) in (writer.first_id..).zip(by_day) {
            let date = record::instant(as_of).date_naive();
            let transaction = Transaction {
                id,
                source_id: Some(source.id),
                repo_id: None,
                action: "Sync".to_owned(),
                tag: format!("Sync on {date}"),
                created_at: began,
                completed_at: now,
                as_of: Some(as_of),
                published_from: Some(from),
                published_to: Some(as_of),
                packages_added: day.added,
                packages_updated: day.updated,
                packages_archived: day.archived,
                packages_removed: day.removed,
                result: 0,
                error: String::new(),
            };
            transactions::insert(tx, &transaction).await?;
            from = as_of;
        }
        Ok(())
    }

    /// The record digests that a delta names.
    async fn delta(&self, upstream: &Upstream, object: &Object) -> Result<HashMap<String, Digest>, SyncError> {
        self.names(upstream, object, "delta", |lines| Ok(lines.next::<DeltaEvent>()?.map(|e| (e.name, e.record)))).await
    }

    /// The record digests of a full state.
    async fn full(&self, upstream: &Upstream, object: &Object) -> Result<HashMap<String, Digest>, SyncError> {
        self.names(upstream, object, "full state", |lines| Ok(lines.next::<FullLine>()?.map(|l| (l.name, l.record))))
            .await
    }

    async fn names(
        &self,
        upstream: &Upstream,
        object: &Object,
        what: &'static str,
        next: NextName,
    ) -> Result<HashMap<String, Digest>, SyncError> {
        let bytes = self.object(upstream, object).await?;
        let object = object.clone();
        let names = blocking(move || -> Result<_, PspError> {
            let mut lines = object.open(what, &bytes)?;
            let mut names = HashMap::new();
            while let Some((name, digest)) = next(&mut lines)? {
                names.insert(name, digest);
            }
            Ok(names)
        });
        Ok(names.await??)
    }

    async fn pack(
        &self,
        upstream: &Upstream,
        object: Object,
        kind: FeedKind,
        former_as_of: i64,
    ) -> Result<Batch, SyncError> {
        let bytes = self.object(upstream, &object).await?;
        let batch = blocking(move || -> Result<Batch, SyncError> {
            let mut lines = object.open("pack", &bytes)?;
            let mut batch = Batch { packages: Vec::new(), days: Days::new() };
            while let Some(line) = lines.next_line()? {
                let digest = Digest::of(line);
                let text = text_of(line)?;
                batch.packages.push(read_record(kind, text, digest, former_as_of, &mut batch.days)?);
            }
            Ok(batch)
        });
        batch.await?
    }

    async fn record(
        &self,
        upstream: &Upstream,
        name: String,
        digest: Digest,
    ) -> Result<(String, Digest, Vec<u8>), SyncError> {
        let bytes = self.document(upstream, &psp::record_path(&digest)).await?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(PspError::DigestMismatch { what: "record", expected: digest, found }.into());
        }
        Ok((name, digest, bytes))
    }
}

fn stored_seq(seq: u64) -> i64 {
    i64::try_from(seq).unwrap_or(i64::MAX)
}

struct Writer {
    source: i64,
    first_id: i64,
    is_first: bool,
    kind: FeedKind,
    /// Until when the source was known before, in microseconds.
    former_as_of: i64,
}

fn read_records(kind: FeedKind, lines: Vec<(String, Digest, Vec<u8>)>, former: i64) -> Result<Batch, SyncError> {
    let mut batch = Batch { packages: Vec::with_capacity(lines.len()), days: Days::new() };
    for (name, digest, bytes) in lines {
        let package = read_record(kind, text_of(&bytes)?, digest, former, &mut batch.days)?;
        if package.name != name {
            return Err(SyncError::OtherName(name));
        }
        batch.packages.push(package);
    }
    Ok(batch)
}

fn text_of(bytes: &[u8]) -> Result<String, SyncError> {
    String::from_utf8(bytes.to_vec()).map_err(|error| {
        let source = serde::de::Error::custom(error);
        PspError::Malformed { what: "record", source }.into()
    })
}

fn read_record(
    kind: FeedKind,
    json: String,
    digest: Digest,
    former: i64,
    days: &mut Days,
) -> Result<Package, SyncError> {
    let malformed = |source| PspError::Malformed { what: "record", source };
    // Events before were counted when they came.
    let mut count = |at: DateTime<Utc>, change: fn(&mut Day)| {
        if at.timestamp_micros() >= former {
            change(days.entry(midnight_after(at).timestamp_micros()).or_default());
        }
    };
    match kind {
        FeedKind::R => {
            let record: RRecord = serde_json::from_str(&json).map_err(malformed)?;
            let published: HashSet<DateTime<Utc>> = record.versions.iter().map(|v| v.published_at).collect();
            for (nth, version) in record.versions.iter().enumerate() {
                count(version.published_at, if nth == 0 { |d| d.added += 1 } else { |d| d.updated += 1 });
                // Superseded by the next version is an update, not an archival.
                if let Some(at) = version.archived_at.filter(|at| !published.contains(at)) {
                    count(at, |d| d.archived += 1);
                }
            }
            if let Some(at) = record.removed_at {
                count(at, |d| d.removed += 1);
            }
            Ok(record::r_package(&record, json, digest.to_string()))
        }
        FeedKind::Python => {
            let record: PythonRecord = serde_json::from_str(&json).map_err(malformed)?;
            let mut seen = HashSet::new();
            for file in &record.files {
                let change: fn(&mut Day) = match (seen.insert(&file.version), seen.len()) {
                    (true, 1) => |d| d.added += 1,
                    (true, _) => |d| d.updated += 1,
                    // One more file of a version: no update, but a day to be shown.
                    (false, _) => |_| {},
                };
                count(file.upload_time, change);
                if let Some(at) = file.yanked_at {
                    count(at, |_| {});
                }
            }
            if let Some(at) = record.removed_at {
                count(at, |d| d.removed += 1);
            }
            Ok(record::python_package(&record, json, digest.to_string()))
        }
        FeedKind::Vsx => {
            let record: VsxRecord = serde_json::from_str(&json).map_err(malformed)?;
            let mut seen = HashSet::new();
            for version in &record.versions {
                let change: fn(&mut Day) = match (seen.insert(&version.version), seen.len()) {
                    (true, 1) => |d| d.added += 1,
                    (true, _) => |d| d.updated += 1,
                    (false, _) => |_| {},
                };
                count(version.published_at, change);
            }
            if let Some(at) = record.removed_at {
                count(at, |d| d.removed += 1);
            }
            Ok(record::vsx_package(&record, json, digest.to_string()))
        }
        FeedKind::Documents => {
            let record: DocumentRecord = serde_json::from_str(&json).map_err(malformed)?;
            count(record.changed_at, |d| d.updated += 1);
            Ok(Package {
                name: record.name,
                digest: digest.to_string(),
                changed_at: record.changed_at.timestamp_micros(),
                entry: String::new(),
                record: json,
            })
        }
        FeedKind::Other => Err(SyncError::UnknownKind),
    }
}
