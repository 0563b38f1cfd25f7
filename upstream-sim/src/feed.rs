//! One feed: its chain of checkpoints, and the way back from a digest to the bytes it names.
//!
//! # When checkpoints come
//!
//! The first checkpoint has the snapshot date `daily_from` and carries everything that happened before 00:00 UTC of that
//! day, back to the beginning. Every later day brings one checkpoint, so `seq` = days since `daily_from` + 1. The chain is
//! a pure function of seed, sizes and `daily_from`: a restarted service, or another node, signs the same history.
//! Checkpoints of past days are made when somebody asks for the head; none exists for days to come.
//!
//! Older dates need no checkpoint of their own, since records carry the times of events.
//!
//! A mirrored feed has further checkpoints in between, one whenever packages were fetched ([`Feed::publish`]).
//!
//! # What is kept and what is made again
//!
//! Kept: checkpoint documents, compressed deltas, packs (on disk when they are large), and for each file its place under eight
//! bytes of its digest. Records, index documents and package files are made again from their place when they are asked for.

use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use bytes::Bytes;
use chrono::{DateTime, NaiveDate, Utc};
use flate2::write::GzEncoder;
use pkg_formats::psp::{
    Checkpoint, CheckpointPage, CheckpointRef, Counts, DeltaEvent, Digest, Encoding, FULL_EVERY, FeedInfo, FullLine,
    Index, IndexRoot, Object, Op, PACK_RECORDS, PAGE_SIZE, canonical_json, shard_of,
};
use serde::Serialize;

use crate::history::{self, DAY, HORIZON, time};
use crate::packages::{Package, Packages};
use crate::spool::{Piece, Spool};

/// The last day that gets a checkpoint: a year after the last made-up event.
const LAST_DAY: i64 = HORIZON + 365;

/// A feed and its checkpoints so far.
pub(crate) struct Feed {
    packages: Box<dyn Packages>,
    /// Day of the first checkpoint.
    daily_from: i64,
    /// It takes demands.
    on_demand: bool,
    /// Packs.
    spool: Spool,
    chain: RwLock<Arc<Chain>>,
    /// Held while the chain grows.
    growing: Mutex<()>,
}

/// Checkpoints and all that is needed to serve what they name. Readers see one consistent chain; growth makes a new one.
#[derive(Default, Clone)]
struct Chain {
    checkpoints: Vec<Arc<Built>>,
    changes: Arc<Vec<Change>>,
    index: Index,
    /// Sorted by the first eight bytes of the digest.
    places: Arc<Vec<(u64, Place)>>,
    /// Day and package of every event after the first checkpoint, sorted.
    calendar: Arc<Vec<(u32, Package)>>,
}

struct Built {
    document: Bytes,
    digest: Digest,
    /// It knows the events before this second.
    cut: i64,
    /// Second from which on it is shown.
    from: i64,
    /// Shards of the index that changed.
    shards: Vec<(u8, Digest)>,
    delta: Bytes,
    full: Option<Bytes>,
    packs: Vec<Piece>,
}

/// A package got a new record.
struct Change {
    /// Place of the checkpoint in the chain.
    checkpoint: u32,
    package: Package,
    shard: u8,
    record: Digest,
}

/// What a digest names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    IndexRoot { checkpoint: u32 },
    Shard { checkpoint: u32, shard: u8 },
    Record { checkpoint: u32, package: Package },
    Delta { checkpoint: u32 },
    Full { checkpoint: u32 },
    Pack { checkpoint: u32, number: u32 },
    File { package: Package, file: u32 },
}

/// Under which path a digest may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shelf {
    Index,
    Records,
    Blobs,
}

impl Place {
    fn shelf(self) -> Shelf {
        match self {
            Self::IndexRoot { .. } | Self::Shard { .. } => Shelf::Index,
            Self::Record { .. } => Shelf::Records,
            Self::Delta { .. } | Self::Full { .. } | Self::Pack { .. } | Self::File { .. } => Shelf::Blobs,
        }
    }
}

/// What new checkpoints add to a [`Chain`].
#[derive(Default)]
struct More {
    changes: Vec<Change>,
    places: Vec<(u64, Place)>,
}

/// Records of up to [`PACK_RECORDS`] packages, made together by one thread.
struct Batch {
    pack: Piece,
    pack_object: Object,
    /// Lines of the delta.
    delta: Vec<u8>,
    counts: Counts,
    records: Vec<(Package, String, Digest)>,
    files: Vec<(u64, Place)>,
}

impl Feed {
    /// A feed without checkpoints; they are made when asked for.
    pub(crate) fn new(packages: Box<dyn Packages>, daily_from: NaiveDate, on_demand: bool) -> Self {
        Self {
            packages,
            daily_from: history::day(daily_from),
            on_demand,
            spool: Spool::default(),
            chain: RwLock::default(),
            growing: Mutex::default(),
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> &'static str {
        self.packages.feed()
    }

    /// What the root document says of it.
    pub(crate) fn info(&self) -> FeedInfo {
        FeedInfo {
            history_from: self.packages.history_from(),
            kind: self.packages.kind(),
            name: self.name().to_owned(),
            on_demand: self.on_demand,
        }
    }

    /// The number of the newest checkpoint at `now`, if there is one; all up to then must be made.
    pub(crate) fn seq_at(&self, now: DateTime<Utc>) -> Option<u64> {
        let shown = self.chain().checkpoints.partition_point(|built| built.from <= now.timestamp());
        Some(shown as u64).filter(|seq| *seq > 0)
    }

    /// The first date with a checkpoint.
    pub(crate) fn begins(&self) -> NaiveDate {
        history::date(self.daily_from)
    }

    fn chain(&self) -> Arc<Chain> {
        self.chain.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether all checkpoints up to `now` are made.
    pub(crate) fn is_grown(&self, now: DateTime<Utc>) -> bool {
        self.days_missing(&self.chain(), now).is_none()
    }

    /// The first and the last day up to `now` whose checkpoints are not made.
    fn days_missing(&self, chain: &Chain, now: DateTime<Utc>) -> Option<(i64, i64)> {
        let today = now.timestamp().div_euclid(DAY).min(LAST_DAY);
        let next = chain.checkpoints.last().map_or(self.daily_from, |last| last.cut.div_euclid(DAY) + 1);
        (next <= today).then_some((next, today))
    }

    /// Makes all checkpoints up to `now`. The first one takes a while: it hashes every file of the feed.
    ///
    /// # Errors
    /// When large packs cannot be put on disk.
    pub(crate) fn grow(&self, now: DateTime<Utc>) -> io::Result<()> {
        let _one_at_a_time = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        self.grow_days(now)
    }

    fn grow_days(&self, now: DateTime<Utc>) -> io::Result<()> {
        let Some((next, today)) = self.days_missing(&self.chain(), now) else { return Ok(()) };
        self.change(|chain, more| {
            for day in next..=today {
                let mut events = (day - 1) * DAY..day * DAY;
                let changed = if chain.checkpoints.is_empty() {
                    events.start = i64::MIN;
                    let (changed, calendar) = self.survey(day);
                    chain.calendar = Arc::new(calendar);
                    changed
                } else {
                    // A checkpoint of day D knows the events of D - 1.
                    let of = (day - 1) as u32;
                    let from = chain.calendar.partition_point(|(day, _)| *day < of);
                    let to = chain.calendar.partition_point(|(day, _)| *day <= of);
                    chain.calendar[from..to].iter().map(|(_, package)| *package).collect()
                };
                let from = events.end;
                self.add_checkpoint(chain, events, from, changed, more)?;
            }
            Ok(())
        })
    }

    /// The second from which on a publication at `now` counts.
    pub(crate) fn next_publication(&self, now: DateTime<Utc>) -> i64 {
        self.chain().checkpoints.last().map_or(i64::MIN, |last| last.cut).max(now.timestamp())
    }

    /// Makes a checkpoint of packages that were added, or changed, at second `at` ([`Feed::next_publication`]), when the clock
    /// showed `now`. They are numbered as in the feed.
    ///
    /// # Errors
    /// When large packs cannot be put on disk.
    pub(crate) fn publish(&self, at: i64, now: i64, packages: &[Package]) -> io::Result<()> {
        let _one_at_a_time = self.growing.lock().unwrap_or_else(PoisonError::into_inner);
        self.grow_days(time(now))?;
        self.change(|chain, more| self.add_checkpoint(chain, at..at + 1, now, packages.to_vec(), more))
    }

    /// Changes the chain: readers see it before or after, and nothing in between.
    fn change(&self, edit: impl FnOnce(&mut Chain, &mut More) -> io::Result<()>) -> io::Result<()> {
        let mut chain = Chain::clone(&self.chain());
        let mut more = More::default();
        edit(&mut chain, &mut more)?;
        let mut all = Arc::try_unwrap(std::mem::take(&mut chain.changes))
            .unwrap_or_else(|shared| shared.iter().map(Change::copy).collect());
        all.append(&mut more.changes);
        chain.changes = Arc::new(all);
        more.places.extend(chain.places.iter().copied());
        more.places.sort_unstable();
        more.places.shrink_to_fit();
        chain.places = Arc::new(more.places);
        *self.chain.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(chain);
        Ok(())
    }

    /// Packages that exist before `day`, and the calendar of events from `day` on.
    fn survey(&self, day: i64) -> (Vec<Package>, Vec<(u32, Package)>) {
        const STRIDE: u32 = 1024;
        let count = self.packages.count();
        let strides: Vec<u32> = (0..count).step_by(STRIDE as usize).collect();
        let parts = in_parallel(&strides, |from| {
            let mut existing = Vec::new();
            let mut calendar = Vec::new();
            for package in *from..(from + STRIDE).min(count) {
                for (i, event) in self.packages.events(package).into_iter().enumerate() {
                    if event.at >= day * DAY {
                        calendar.push(((event.at / DAY) as u32, package));
                    } else if i == 0 {
                        existing.push(package);
                    }
                }
            }
            (existing, calendar)
        });
        let (existing, calendar): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let mut calendar = calendar.concat();
        calendar.sort_unstable();
        calendar.dedup();
        (existing.concat(), calendar)
    }

    /// Adds a checkpoint that brings what happened to `changed` in the seconds `events`, and is shown from second `from` on.
    fn add_checkpoint(
        &self,
        chain: &mut Chain,
        events: Range<i64>,
        from: i64,
        changed: Vec<Package>,
        more: &mut More,
    ) -> io::Result<()> {
        let More { changes, places } = more;
        let number = chain.checkpoints.len() as u32;
        let seq = u64::from(number) + 1;
        let Range { start: after, end: cut } = events;

        let mut sorted: Vec<(String, Package)> =
            changed.into_iter().map(|package| (self.packages.name(package), package)).collect();
        sorted.sort_unstable();
        sorted.dedup();
        let batches: Vec<&[(String, Package)]> = sorted.chunks(PACK_RECORDS).collect();
        let batches = in_parallel(&batches, |batch| self.batch(batch, after, cut));

        let mut delta = Gzip::new();
        let mut counts = Counts::default();
        let mut packs = Vec::new();
        let mut pack_objects = Vec::new();
        for batch in batches {
            let batch = batch?;
            delta.write(&batch.delta);
            counts.added += batch.counts.added;
            counts.archived += batch.counts.archived;
            counts.removed += batch.counts.removed;
            counts.updated += batch.counts.updated;
            counts.yanked += batch.counts.yanked;
            for (package, name, record) in batch.records {
                chain.index.insert(&name, record);
                changes.push(Change { checkpoint: number, package, shard: shard_of(&name), record });
                places.push((key(&record), Place::Record { checkpoint: number, package }));
            }
            places.extend(batch.files);
            let number_in_checkpoint = packs.len() as u32;
            places.push((
                key(&batch.pack_object.digest),
                Place::Pack { checkpoint: number, number: number_in_checkpoint },
            ));
            packs.push(batch.pack);
            pack_objects.push(batch.pack_object);
        }
        let (delta, delta_object) = delta.finish();
        places.push((key(&delta_object.digest), Place::Delta { checkpoint: number }));

        let root_json = chain.index.root_json();
        let index_root = Digest::of(&root_json);
        places.push((key(&index_root), Place::IndexRoot { checkpoint: number }));
        let root: IndexRoot = serde_json::from_slice(&root_json).expect("the index wrote it");
        let before = shard_digests(&chain.checkpoints);
        let shards: Vec<(u8, Digest)> = (0..=255_u8)
            .zip(root.shards)
            .filter(|(shard, digest)| before[usize::from(*shard)] != Some(*digest))
            .collect();
        places.extend(
            shards.iter().map(|(shard, digest)| (key(digest), Place::Shard { checkpoint: number, shard: *shard })),
        );

        let full = (seq == 1 || seq.is_multiple_of(FULL_EVERY)).then(|| {
            let mut full = Gzip::new();
            for (name, record) in chain.index.entries() {
                full.line(&FullLine { name: name.to_owned(), record });
            }
            full.finish()
        });
        places.extend(full.iter().map(|(_, object)| (key(&object.digest), Place::Full { checkpoint: number })));

        let document = canonical_json(&Checkpoint {
            counts,
            created_at: time(cut),
            delta: delta_object,
            feed: self.name().to_owned(),
            full: full.as_ref().map(|(_, object)| object.clone()),
            index_root,
            packs: pack_objects,
            parent: chain.checkpoints.last().map(|last| last.digest),
            seq,
            snapshot_date: history::date(cut.div_euclid(DAY)),
        });
        chain.checkpoints.push(Arc::new(Built {
            digest: Digest::of(&document),
            document: document.into(),
            cut,
            from,
            shards,
            delta,
            full: full.map(|(bytes, _)| bytes),
            packs,
        }));
        Ok(())
    }

    /// Records, delta lines and files of `packages` with the events from second `after` to before `cut`.
    fn batch(&self, packages: &[(String, Package)], after: i64, cut: i64) -> io::Result<Batch> {
        let mut pack = Gzip::new();
        let mut delta = Vec::new();
        let mut counts = Counts::default();
        let mut records = Vec::with_capacity(packages.len());
        let mut files = Vec::new();
        for (name, package) in packages {
            let made = self.packages.record(*package, cut);
            let record = Digest::of(&made.json);
            pack.write(&made.json);
            pack.write(b"\n");
            files.extend(
                made.files.iter().map(|(digest, file)| (key(digest), Place::File { package: *package, file: *file })),
            );

            let mut events = self.packages.events(*package);
            events.retain(|event| (after..cut).contains(&event.at));
            if events.iter().any(|event| event.op == Op::Add) {
                // A new package is one event, whatever happened to it on its first day.
                let newest = events.iter().rposition(|event| matches!(event.op, Op::Add | Op::Update)).unwrap_or(0);
                let mut newest = events.swap_remove(newest);
                newest.op = Op::Add;
                events = vec![newest];
            }
            events.sort_by(|a, b| (&a.version, a.op).cmp(&(&b.version, b.op)));
            for event in events {
                match event.op {
                    Op::Add => counts.added += 1,
                    Op::Archive => counts.archived += 1,
                    Op::Remove => counts.removed += 1,
                    Op::Update => counts.updated += 1,
                    Op::Yank => counts.yanked += 1,
                    Op::Unyank => {}
                }
                let line = DeltaEvent { name: name.clone(), op: event.op, record, version: event.version };
                serde_json::to_writer(&mut delta, &line).expect("a vector takes any write");
                delta.push(b'\n');
            }
            records.push((*package, name.clone(), record));
        }
        let (pack, pack_object) = pack.finish();
        Ok(Batch { pack: self.spool.put(&pack)?, pack_object, delta, counts, records, files })
    }

    /// Document and digest of checkpoint `seq`, if it is made.
    pub(crate) fn checkpoint(&self, seq: u64) -> Option<(Bytes, Digest)> {
        let place = usize::try_from(seq.checked_sub(1)?).ok()?;
        self.chain().checkpoints.get(place).map(|built| (built.document.clone(), built.digest))
    }

    /// Page `page` of the checkpoints up to `head`, and whether it is full and so will never change.
    pub(crate) fn page(&self, page: u64, head: u64) -> Option<(CheckpointPage, bool)> {
        let first = page.checked_mul(PAGE_SIZE)?;
        if first > head {
            return None;
        }
        let last = first + PAGE_SIZE - 1;
        let chain = self.chain();
        let items = (first.max(1)..=last.min(head))
            .filter_map(|seq| {
                let built = chain.checkpoints.get((seq - 1) as usize)?;
                Some(CheckpointRef {
                    created_at: time(built.cut),
                    digest: built.digest,
                    seq,
                    snapshot_date: history::date(built.cut.div_euclid(DAY)),
                })
            })
            .collect();
        let full = last < head;
        Some((CheckpointPage { items, next: full.then_some(page + 1) }, full))
    }

    /// The bytes that `digest` names on `shelf`, with what they are.
    ///
    /// # Errors
    /// When a pack cannot be read back from disk.
    pub(crate) fn find(&self, shelf: Shelf, digest: &Digest) -> io::Result<Option<(Place, Bytes)>> {
        let chain = self.chain();
        let from = chain.places.partition_point(|(known, _)| *known < key(digest));
        let candidates = chain.places[from..].iter().take_while(|(known, _)| *known == key(digest));
        for (_, place) in candidates.filter(|(_, place)| place.shelf() == shelf) {
            let bytes = self.bytes(&chain, *place)?;
            // Eight bytes of the digest led here; the bytes themselves decide.
            if Digest::of(&bytes) == *digest {
                return Ok(Some((*place, bytes)));
            }
        }
        Ok(None)
    }

    fn bytes(&self, chain: &Chain, place: Place) -> io::Result<Bytes> {
        let built = |checkpoint: u32| &chain.checkpoints[checkpoint as usize];
        Ok(match place {
            Place::IndexRoot { checkpoint } => {
                let shards = shard_digests(&chain.checkpoints[..=checkpoint as usize]);
                let shards =
                    shards.into_iter().map(|digest| digest.expect("the first checkpoint has all shards")).collect();
                canonical_json(&IndexRoot { shards }).into()
            }
            Place::Shard { checkpoint, shard } => {
                let mut index = Index::default();
                let changes = chain.changes.iter().take_while(|change| change.checkpoint <= checkpoint);
                for change in changes.filter(|change| change.shard == shard) {
                    index.insert(&self.packages.name(change.package), change.record);
                }
                index.shard_json(shard).into()
            }
            Place::Record { checkpoint, package } => self.packages.record(package, built(checkpoint).cut).json.into(),
            Place::Delta { checkpoint } => built(checkpoint).delta.clone(),
            Place::Full { checkpoint } => built(checkpoint).full.clone().unwrap_or_default(),
            Place::Pack { checkpoint, number } => self.spool.get(built(checkpoint).packs[number as usize])?,
            Place::File { package, file } => self.packages.file(package, file).into(),
        })
    }
}

impl Change {
    fn copy(&self) -> Self {
        Self { checkpoint: self.checkpoint, package: self.package, shard: self.shard, record: self.record }
    }
}

/// The digest of each shard after the last of `checkpoints`.
fn shard_digests(checkpoints: &[Arc<Built>]) -> [Option<Digest>; 256] {
    let mut digests = [None; 256];
    for (shard, digest) in checkpoints.iter().flat_map(|built| &built.shards) {
        digests[usize::from(*shard)] = Some(*digest);
    }
    digests
}

/// The first eight bytes of a digest.
fn key(digest: &Digest) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = digest.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

fn object(bytes: &[u8], plain_size: u64) -> Object {
    Object { digest: Digest::of(bytes), encoding: Encoding::Gzip, plain_size, size: bytes.len() as u64 }
}

/// Compressed text in the making.
struct Gzip {
    encoder: GzEncoder<Vec<u8>>,
    plain: u64,
}

impl Gzip {
    fn new() -> Self {
        let builder = flate2::GzBuilder::new().operating_system(255);
        Self { encoder: builder.write(Vec::new(), flate2::Compression::fast()), plain: 0 }
    }

    fn write(&mut self, bytes: &[u8]) {
        use std::io::Write as _;
        self.plain += bytes.len() as u64;
        self.encoder.write_all(bytes).expect("a vector takes any write");
    }

    fn line<T: Serialize>(&mut self, document: &T) {
        let mut line = serde_json::to_vec(document).expect("wire documents are plain data");
        line.push(b'\n');
        self.write(&line);
    }

    fn finish(self) -> (Bytes, Object) {
        let mut bytes = self.encoder.finish().expect("a vector takes any write");
        bytes.shrink_to_fit();
        let object = object(&bytes, self.plain);
        (bytes.into(), object)
    }
}

/// `work` on every item, on all cores, results in the order of the items.
fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let next = AtomicUsize::new(0);
    let mut results: Vec<(usize, R)> = std::thread::scope(|scope| {
        let take = || {
            let mut mine = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                match items.get(place) {
                    Some(item) => mine.push((place, work(item))),
                    None => return mine,
                }
            }
        };
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(take)).collect();
        let mut all = take();
        for other in others {
            match other.join() {
                Ok(results) => all.extend(results),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        all
    });
    results.sort_unstable_by_key(|(place, _)| *place);
    results.into_iter().map(|(_, result)| result).collect()
}
