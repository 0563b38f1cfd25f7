//! Synchronisation with the package service.
//!
//! A source follows a feed ([`pkg_formats::psp`]): what it has applied is a checkpoint number with its digest. A run verifies
//! the signed head, the chain of checkpoints from the last applied one up to the head, and then every document by its digest;
//! each checkpoint is applied in one database transaction. Whatever fails, the state before stays and is served on; a process
//! that dies in the middle repeats at most one checkpoint. Package files come when clients ask ([`crate::files`]) or, in the eager
//! mode ([`eager`]), right after.
//!
//! A checkpoint becomes one Package Manager transaction for each day on which something happened, as the real server makes one
//! for each day of CRAN; the first checkpoint, which brings years of history, becomes many.

mod apply;
mod discover;
pub mod eager;
mod export;
pub(crate) mod fetch;
pub(crate) mod import;
pub mod schedule;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use pkg_formats::psp::{
    self, Checkpoint, CheckpointPage, CheckpointRef, Digest, FeedInfo, Head, Index, PspError, Root,
};
use serde::Serialize;
use sim_kit::World;
use sim_kit::http_client::LinkError;

use self::eager::Mode;
use self::fetch::Upstream;
use crate::app::App;
use crate::error::Error;
use crate::store::sources::{self, Source};
use crate::store::transactions;

/// Why a synchronisation was refused or broken off.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// No answer.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The connection broke within an answer.
    #[error("{url}: the answer was cut: {reason}")]
    Cut {
        /// Of what.
        url: String,
        /// How.
        reason: String,
    },
    /// Another status than hoped for.
    #[error("{url} answers {status}")]
    Status {
        /// Of what.
        url: String,
        /// The status.
        status: http::StatusCode,
    },
    /// Past its retention.
    #[error("{0} is gone: it is past its retention")]
    Gone(String),
    /// An answer took too long.
    #[error("{url} did not answer within {seconds} seconds")]
    Slow {
        /// What.
        url: String,
        /// The time allowed.
        seconds: u64,
    },
    /// An answer larger than allowed.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// A document is not what it must be.
    #[error("the package service is not to be believed: {0}")]
    Untrusted(#[from] PspError),
    /// The service is another one.
    #[error("this server follows the package service {known}, but {found} answers; use another data folder for it")]
    OtherService {
        /// The one that is followed.
        known: String,
        /// The one that answers.
        found: String,
    },
    /// The service signs with other keys.
    #[error(
        "the package service signs with other keys than those this server has believed since its first synchronisation; if that is \
         right, `rspm clear --type={kind} --confirm` forgets what came from it"
    )]
    OtherKeys {
        /// The type of the source.
        kind: String,
    },
    /// A copy of a service lacks a file.
    #[error("there is no {0}")]
    Absent(String),
    /// A bundle is refused.
    #[error(transparent)]
    Bundle(#[from] crate::bundle::BundleError),
    /// The service has no such feed.
    #[error("the package service has no feed {0:?}")]
    NoFeed(String),
    /// The feed holds something newer than this program.
    #[error("the package service has a feed of this name, but of a kind that this version does not know")]
    UnknownKind,
    /// A number is missing in the list of checkpoints.
    #[error("the package service lists no checkpoint {0}")]
    MissingCheckpoint(u64),
    /// The last checkpoint of the list is not the one that the head names.
    #[error("checkpoint {0} is not the one that was signed")]
    NotTheSigned(u64),
    /// A delta is past its retention and there is no full state to start from.
    #[error("the delta of checkpoint {0} is past its retention, and no later checkpoint has a full state")]
    NoFullState(u64),
    /// A pack holds a record that the delta does not name, or with another digest.
    #[error("the packs of checkpoint {seq} hold a record of {name:?} that its delta does not name")]
    StrayRecord {
        /// The checkpoint.
        seq: u64,
        /// The package.
        name: String,
    },
    /// A record says another name than the one it stands for.
    #[error("the record of {0:?} is about another package")]
    OtherName(String),
    /// What was put together is not what the service has.
    #[error("the state after checkpoint {0} is not the one that the package service has: the feed has diverged")]
    Diverged(u64),
    /// Another node that shares the database has applied a checkpoint meanwhile.
    #[error("another node is synchronising the same source")]
    Overtaken,
    /// The database or the disk.
    #[error("{0}")]
    Store(String),
    /// The eager mode could not have all files. The metadata is applied.
    #[error("{missing} package files cannot be had: {reason}")]
    Files {
        /// How many.
        missing: u64,
        /// Why the last of them could not.
        reason: String,
    },
    /// The first synchronisation of a source failed; it is tried again.
    #[error("source {source_name} could not be synchronised: {reason}")]
    First {
        /// The source.
        source_name: String,
        /// Why.
        reason: String,
    },
    /// The first synchronisation did not end in time.
    #[error("source {0} is still being synchronised")]
    StillRunning(String),
}

impl From<sqlx::Error> for SyncError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(format!("database: {error}"))
    }
}

impl From<std::io::Error> for SyncError {
    fn from(error: std::io::Error) -> Self {
        Self::Store(error.to_string())
    }
}

impl From<Error> for SyncError {
    fn from(error: Error) -> Self {
        match error {
            Error::Internal(cause) => Self::Store(cause),
            other => Self::Store(other.to_string()),
        }
    }
}

/// How the synchronisation of a source stands, as far as this process knows.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Progress {
    /// At work.
    pub running: bool,
    /// The checkpoint that is being applied.
    pub checkpoint: u64,
    /// The newest checkpoint of the service.
    pub head: u64,
    /// Records of the checkpoint that are done.
    pub records: u64,
    /// Packages whose files are here, in the eager mode.
    pub packages: u64,
    /// Files that had to be fetched for that.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When it last went through.
    pub succeeded_at: Option<DateTime<Utc>>,
    /// The feed grows by what it is asked for.
    #[serde(skip)]
    pub on_demand: bool,
    /// When it last failed, and why; none after a success.
    pub error: Option<(DateTime<Utc>, String)>,
}

/// What a run brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Checkpoints applied.
    pub checkpoints: u64,
    /// The number of the last applied one.
    pub seq: u64,
}

/// Names and record digests that a source has from its feed, as of the checkpoint they were read or written at: so that the next
/// day's delta does not begin with reading all of them.
pub(crate) type Held = Option<((u64, Digest), Index)>;

/// Most checkpoint documents that are verified before any is applied; the rest follows in the next round.
const ROUND: u64 = 2000;

impl App {
    /// Synchronises one source with its feed, after any run that is under way.
    ///
    /// # Errors
    /// Why it was refused; that is also noted as a failed transaction and in the status.
    pub async fn sync(&self, source: &Source) -> Result<Outcome, SyncError> {
        self.sync_from(source, &self.service()).await
    }

    /// Held by what changes what `source` has from its feed.
    fn turn(&self, source: &Source) -> Arc<tokio::sync::Mutex<Held>> {
        let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry(source.id).or_default().clone()
    }

    /// The same from elsewhere.
    pub(crate) async fn sync_from(&self, source: &Source, upstream: &Upstream) -> Result<Outcome, SyncError> {
        let turn = self.turn(source);
        let mut held = turn.lock().await;
        let clock = self.world().clock();
        let (began, started) = (clock.now(), Instant::now());
        self.set_progress(source.id, |p| p.running = true);
        let running = StopsRunning { app: self, source: source.id };
        let mut result = self.follow(source, upstream, &mut held).await;
        while matches!(result, Err(SyncError::Overtaken)) {
            self.refresh().await?;
            result = self.follow(source, upstream, &mut held).await;
        }
        if result.is_ok()
            && upstream.carried.unwrap_or(self.0.config.feed_of(source).mode == Mode::Eager)
            && let Err(error) = self.fetch_files(source, upstream).await
        {
            result = Err(error);
        }
        drop(running);
        self.0.metrics.synchronised(&source.kind, started.elapsed());
        let now = clock.now();
        match &result {
            Ok(outcome) => {
                tracing::info!(source = source.name, seq = outcome.seq, new = outcome.checkpoints, "synchronised");
                self.set_progress(source.id, |p| {
                    p.succeeded_at = Some(now);
                    p.error = None;
                });
            }
            Err(error) => {
                let reason = error.to_string();
                tracing::warn!(source = source.name, reason, "synchronisation failed; the last good state is kept");
                self.set_progress(source.id, |p| p.error = Some((now, reason.clone())));
                let (began, now) = (began.timestamp_micros(), now.timestamp_micros());
                transactions::fail(self.world().db(), source.id, "Sync", began, now, &reason).await?;
            }
        }
        result
    }

    async fn follow(&self, source: &Source, upstream: &Upstream, held: &mut Held) -> Result<Outcome, SyncError> {
        let feed = source.feed.as_deref().ok_or_else(|| SyncError::NoFeed(source.name.clone()))?;
        let root = Root::parse(&self.document(upstream, psp::ROOT_PATH).await?)?;
        let info =
            root.feeds.iter().find(|f| f.name == feed).ok_or_else(|| SyncError::NoFeed(feed.to_owned()))?.clone();
        self.set_progress(source.id, |p| p.on_demand = info.on_demand);
        let mut applied: Option<(u64, Digest)> = None;
        if let Some(known) = sources::feed(self.world().db(), source.id).await? {
            if known.service_id != root.service_id {
                return Err(SyncError::OtherService { known: known.service_id, found: root.service_id });
            }
            applied = Some((known.seq.try_into().unwrap_or_default(), known.checkpoint.parse()?));
        }
        let (trusted, root) = self.trusted(source, root).await?;
        let head = self.document(upstream, &psp::head_path(feed)).await?;
        let now = if upstream.carried.is_some() { issued_at(&head)? } else { self.world().clock().now() };
        let head = Head::verify(&head, &root, feed, now, applied)?;
        let mut done = 0;
        let mut index = held.take().filter(|(at, _)| Some(*at) == applied).map(|(_, index)| index);
        loop {
            let from = applied.map_or(0, |(seq, _)| seq);
            if from >= head.seq {
                sources::set_trust(self.world().db(), source.id, &trusted, now.timestamp_micros()).await?;
                *held = applied.zip(index);
                return Ok(Outcome { checkpoints: done, seq: from });
            }
            self.set_progress(source.id, |p| p.head = head.seq);
            let chain = self.chain(upstream, feed, applied, &head).await?;
            let index = match &mut index {
                Some(index) => index,
                none => none.insert(self.index(source).await?),
            };
            let mut next = 0;
            while let Some((digest, checkpoint)) = chain.get(next) {
                let id = &root.service_id;
                match self
                    .apply(upstream, source, &info, id, *digest, checkpoint, apply::From::Delta, applied, index)
                    .await
                {
                    // What the deltas add up to is not what was signed; a full state may be.
                    Err(error @ SyncError::Diverged(_)) if chain[next..].iter().all(|(_, c)| c.full.is_none()) => {
                        return Err(error);
                    }
                    Err(error @ (SyncError::Gone(_) | SyncError::Diverged(_))) => {
                        let what = error.to_string();
                        // The newest full state there is spares most of the way.
                        let full = chain.iter().rposition(|(_, c)| c.full.is_some()).filter(|at| *at >= next);
                        let at = full.ok_or(SyncError::NoFullState(checkpoint.seq))?;
                        let (digest, checkpoint) = &chain[at];
                        // What was put in before it broke off is not in the database.
                        *index = self.index(source).await?;
                        tracing::info!(source = source.name, what, seq = checkpoint.seq, "starting from a full state");
                        self.apply(upstream, source, &info, id, *digest, checkpoint, apply::From::Full, applied, index)
                            .await?;
                        next = at;
                    }
                    other => other?,
                }
                self.refresh().await?;
                applied = Some((chain[next].1.seq, chain[next].0));
                next += 1;
                done += 1;
            }
        }
    }

    /// `root` with the keys that `source` believes: those it first saw, until somebody clears it. With their ids as JSON.
    async fn trusted(&self, source: &Source, mut root: Root) -> Result<(String, Root), SyncError> {
        let stored = sources::trust(self.world().db(), source.id).await?.map_or_else(String::new, |(ids, _)| ids);
        let ids: Vec<Digest> = serde_json::from_str(&stored).unwrap_or_default();
        if ids.is_empty() {
            let ids: Vec<Digest> = root.keys.iter().map(|key| key.id).collect();
            return Ok((serde_json::to_string(&ids).expect("digests are JSON"), root));
        }
        root.keys.retain(|key| ids.contains(&key.id));
        if root.keys.is_empty() {
            return Err(SyncError::OtherKeys { kind: source.kind.clone() });
        }
        Ok((stored, root))
    }

    /// The checkpoints after `applied`, verified as one chain; up to the head, or up to [`ROUND`] of them.
    async fn chain(
        &self,
        upstream: &Upstream,
        feed: &str,
        applied: Option<(u64, Digest)>,
        head: &Head,
    ) -> Result<Vec<(Digest, Checkpoint)>, SyncError> {
        let first = applied.map_or(1, |(seq, _)| seq + 1);
        let last = head.seq.min(first + ROUND - 1);
        let mut parent = applied.map(|(_, digest)| digest);
        let mut chain = Vec::new();
        let mut page: HashMap<u64, CheckpointRef> = HashMap::new();
        for seq in first..=last {
            if seq == first || seq % psp::PAGE_SIZE == 0 {
                let bytes = self.document(upstream, &psp::page_path(feed, seq / psp::PAGE_SIZE)).await?;
                page = CheckpointPage::parse(&bytes)?.items.into_iter().map(|item| (item.seq, item)).collect();
            }
            let item = page.get(&seq).ok_or(SyncError::MissingCheckpoint(seq))?;
            let bytes = self.document(upstream, &psp::checkpoint_path(feed, seq)).await?;
            let checkpoint = Checkpoint::verify(&bytes, item.digest, feed, seq, parent)?;
            parent = Some(item.digest);
            chain.push((item.digest, checkpoint));
        }
        if last == head.seq && parent != Some(head.checkpoint) {
            return Err(SyncError::NotTheSigned(head.seq));
        }
        Ok(chain)
    }
}

/// Waits until every source of the Package Manager in `world` has packages to serve; at once when an earlier run has
/// synchronised them.
///
/// # Errors
/// [`SyncError::First`] as soon as a first synchronisation has failed, [`SyncError::StillRunning`] after `limit`.
pub async fn synced(world: &World, limit: Duration) -> Result<(), SyncError> {
    let until = tokio::time::Instant::now() + limit;
    loop {
        let mut waiting = None;
        for source in sources::list(world.db()).await?.into_iter().filter(|s| s.feed.is_some()) {
            if transactions::point(world.db(), source.id, i64::MAX).await?.is_some() {
                continue;
            }
            let last = transactions::list(world.db(), source.id, false, 1, 0).await?.pop();
            if let Some(failed) = last.filter(|t| t.result != 0) {
                return Err(SyncError::First { source_name: source.name, reason: failed.error });
            }
            waiting = Some(source.name);
        }
        match waiting {
            None => return Ok(()),
            Some(name) if tokio::time::Instant::now() > until => return Err(SyncError::StillRunning(name)),
            // The database is all that a World tells of its product; looking costs less than a millisecond.
            Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// 00:00 UTC of the day after that of `t`.
pub(crate) fn midnight_after(t: DateTime<Utc>) -> DateTime<Utc> {
    let day: NaiveDate = t.date_naive();
    day.succ_opt().unwrap_or(day).and_time(chrono::NaiveTime::MIN).and_utc()
}

/// When a head was signed.
fn issued_at(head: &[u8]) -> Result<DateTime<Utc>, PspError> {
    let malformed = |source| PspError::Malformed { what: "head.json", source };
    Ok(serde_json::from_slice::<Head>(head).map_err(malformed)?.issued_at)
}

/// Also when the run is dropped in the middle.
struct StopsRunning<'a> {
    app: &'a App,
    source: i64,
}

impl Drop for StopsRunning<'_> {
    fn drop(&mut self) {
        self.app.set_progress(self.source, |p| p.running = false);
    }
}

/// The feed's first date as stored microseconds.
fn history_from(info: &FeedInfo) -> i64 {
    info.history_from.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
}
