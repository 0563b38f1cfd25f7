//! Real packages, fetched from a real index when somebody asks for them.
//!
//! A mirrored feed begins with the packages that it was told to have and grows by those that are asked for
//! (`POST /psp/v1/{feed}/demand`): their page is fetched, becomes a record, and a new checkpoint publishes it. So the feed only
//! ever tells of packages whose digests are known, and clients verify it like any other. Package Manager asks when a client
//! wants a Python project that it does not have. R's clients read the whole index and never ask for a single package; there the
//! list (`--mirror-cran-packages`) or a demand by hand says what there is, and what those packages need comes along.
//!
//! Files are fetched when a client first wants one, verified against the index's digest, and kept as blobs. Names that are
//! known are looked at again when a head is asked for an hour after the last time.
//!
//! What has been published is kept in a log in the data folder, so that a restarted service signs the same history.

mod fetcher;
mod python;
mod r;
mod shelf;
pub(crate) mod sources;
mod tape;

use std::collections::{HashMap, HashSet};
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use pkg_formats::psp::{Demanded, Digest, FeedKind};
use serde::{Deserialize, Serialize};
use sim_kit::World;
use sim_kit::blobs::BlobError;
use sim_kit::http_client::{Link, LinkError};
use tokio::sync::OnceCell;
use url::Url;

use crate::feed::Feed;
use crate::packages::Package;
use fetcher::Fetcher;
pub(crate) use shelf::Shelf;
pub(crate) use tape::Tape;

/// What the link to the index is called in journal and fault rules.
const PEER: &str = "mirrored-index";
/// Known packages are not looked at more often.
const REFRESH: Duration = Duration::from_secs(3600);
/// What the index does not have is not asked for more often.
const MISSING: Duration = Duration::from_secs(60);
/// Requests to the index at the same time.
const AT_ONCE: usize = 8;

/// Why something cannot be mirrored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MirrorError {
    /// No answer.
    #[error("the mirrored index: {0}")]
    Link(#[from] LinkError),
    /// Another status than hoped for.
    #[error("the mirrored index: {url} answers {status}")]
    Status {
        /// Of what.
        url: String,
        /// The status.
        status: http::StatusCode,
    },
    /// The connection broke within an answer.
    #[error("the mirrored index: {url}: the answer was cut: {reason}")]
    Cut {
        /// Of what.
        url: String,
        /// How.
        reason: String,
    },
    /// Larger than allowed.
    #[error("the mirrored index: {url} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        url: String,
        /// The limit.
        limit: u64,
    },
    /// Not what it should be.
    #[error("the mirrored index: {url}: {reason}")]
    Malformed {
        /// What.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// The file is another one than the index tells of.
    #[error("the mirrored index: {url} has the SHA-256 {found}, but the index promises {expected}")]
    Digest {
        /// The file.
        url: String,
        /// Told by the index.
        expected: Digest,
        /// Of what came.
        found: Digest,
    },
    /// A replay does not have it.
    #[error("the recording has no {0}; record it with --record")]
    NotRecorded(PathBuf),
    /// Recording, log or blobs.
    #[error("{what}: {source}")]
    Io {
        /// Which file.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// The blob store.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl MirrorError {
    #[allow(clippy::needless_pass_by_value)] // errors and URLs that are at hand, mostly made for this
    fn io(what: impl ToString) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.to_string();
        move |source| Self::Io { what, source }
    }

    #[allow(clippy::needless_pass_by_value)] // errors and URLs that are at hand, mostly made for this
    fn malformed(url: impl ToString, reason: impl ToString) -> Self {
        Self::Malformed { url: url.to_string(), reason: reason.to_string() }
    }
}

/// Where a file is fetched from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Remote {
    sha256: Digest,
    /// Tried one after the other.
    urls: Vec<Url>,
    /// Its path in a recording.
    key: String,
}

/// A package as it was fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Fetched {
    name: String,
    /// The newest.
    version: String,
    /// JSON, byte for byte.
    record: String,
    files: Vec<Remote>,
}

/// A line of the log: what a checkpoint brought.
#[derive(Serialize, Deserialize)]
struct Publication {
    /// The second it counts from; none for what the feed began with.
    at: Option<i64>,
    /// The time of the clock.
    now: i64,
    packages: Vec<Fetched>,
}

/// A mirrored feed.
pub(crate) struct Mirror {
    feed: Arc<Feed>,
    shelf: Arc<Shelf>,
    /// Number of the shelf's first package in the feed.
    first: Package,
    /// Packages that the feed has anyway.
    own: HashSet<String>,
    index: Index,
    tape: Tape,
    /// Names that the feed begins with.
    listed: Vec<String>,
    opened: OnceCell<()>,
    log: Mutex<Option<PathBuf>>,
    remotes: Mutex<HashMap<Digest, Remote>>,
    /// Files on their way: whoever wants one that another fetches waits for it.
    flights: Mutex<HashMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    missing: Mutex<HashMap<String, Instant>>,
    refreshed: Mutex<Instant>,
    /// Fetched, and not published yet.
    pending: Mutex<Vec<Fetched>>,
    publishing: tokio::sync::Mutex<()>,
}

/// What is mirrored.
pub(crate) enum Index {
    Python(python::Index),
    R(r::Index),
}

impl Index {
    /// An index by its URL: a simple index for Python, a repository for R. None where only a recording is played.
    pub(crate) fn new(kind: FeedKind, url: Option<Url>) -> Self {
        match kind {
            FeedKind::Python => Self::Python(python::Index::new(url)),
            _ => Self::R(r::Index::new(url)),
        }
    }
}

impl Mirror {
    /// A feed of the packages `own` and, numbered from a first one on, those of a shelf.
    pub(crate) fn new(
        feed: Arc<Feed>,
        (shelf, first): (Arc<Shelf>, Package),
        own: HashSet<String>,
        index: Index,
        tape: Tape,
        listed: Vec<String>,
    ) -> Self {
        Self {
            feed,
            shelf,
            first,
            own,
            index,
            tape,
            listed,
            opened: OnceCell::new(),
            log: Mutex::default(),
            remotes: Mutex::default(),
            flights: Mutex::default(),
            missing: Mutex::default(),
            refreshed: Mutex::new(Instant::now()),
            pending: Mutex::default(),
            publishing: tokio::sync::Mutex::default(),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.feed.name()
    }

    /// Keeps the log in the folder of `world`; the one of the World before, if there was one, goes along.
    pub(crate) fn keep_in(&self, world: &World) -> std::io::Result<()> {
        let path = world.folder("mirror")?.join(format!("{}.ndjson", self.name()));
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = log.as_ref().filter(|before| **before != path && before.exists()) {
            std::fs::copy(before, &path)?;
        }
        *log = Some(path);
        Ok(())
    }

    fn fetcher<'a>(&'a self, world: &'a World) -> Fetcher<'a> {
        let site = match &self.index {
            Index::Python(index) => index.site.as_ref(),
            Index::R(index) => index.site.as_ref(),
        };
        Fetcher { world, link: Link::outside(world, PEER), tape: &self.tape, site }
    }

    /// Reads the log, or begins it with the listed packages; once.
    pub(crate) async fn open(&self, world: &World) -> Result<(), MirrorError> {
        self.opened.get_or_try_init(|| self.begin(world)).await.copied()
    }

    async fn begin(&self, world: &World) -> Result<(), MirrorError> {
        let path = self.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = path.as_ref().map(std::fs::read_to_string).and_then(Result::ok).unwrap_or_default();
        // A line that was cut short was never answered for.
        let lines: Vec<Publication> = text.lines().map_while(|line| serde_json::from_str(line).ok()).collect();
        if lines.is_empty() {
            let packages = match self.fetch(world, &self.listed).await {
                Ok((packages, missing)) => {
                    for name in missing {
                        tracing::warn!(name, feed = self.name(), "the mirrored index has no package of this name");
                    }
                    packages
                }
                Err(error) => {
                    tracing::warn!(%error, feed = self.name(), "the listed packages will come when they are asked for");
                    Vec::new()
                }
            };
            let first = Publication { at: None, now: world.clock().now().timestamp(), packages };
            if let Some(path) = &path {
                // Also removes what was cut.
                std::fs::write(path, "").map_err(MirrorError::io(path.display()))?;
            }
            self.note(&first)?;
            return self.publish(first).await;
        }
        for line in lines {
            self.publish(line).await?;
        }
        Ok(())
    }

    /// Writes a line to the log, to the disk.
    fn note(&self, publication: &Publication) -> Result<(), MirrorError> {
        let path = self.log.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(path) = path else { return Ok(()) };
        let mut line = serde_json::to_vec(publication).expect("a publication is plain data");
        line.push(b'\n');
        let write = || {
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
            file.write_all(&line)?;
            file.sync_data()
        };
        write().map_err(MirrorError::io(path.display()))
    }

    async fn publish(&self, publication: Publication) -> Result<(), MirrorError> {
        let Publication { at, now, packages } = publication;
        let remotes = packages.iter().flat_map(|package| package.files.iter().cloned());
        self.remotes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(remotes.map(|remote| (remote.sha256, remote)));
        let numbers = self.shelf.add(at.unwrap_or(i64::MIN), packages);
        let numbers: Vec<Package> = numbers.into_iter().map(|number| self.first + number).collect();
        let feed = self.feed.clone();
        let made = tokio::task::spawn_blocking(move || match at {
            None => Ok(()),
            Some(at) => feed.publish(at, now, &numbers),
        });
        made.await.map_err(std::io::Error::from).flatten().map_err(MirrorError::io("a checkpoint"))
    }

    /// Whether the feed has a package.
    fn knows(&self, name: &str) -> bool {
        self.own.contains(name) || self.shelf.newest(name).is_some()
    }

    /// Sees to it that the feed has these packages, if the index does.
    pub(crate) async fn demand(&self, world: &World, names: &[String]) -> Result<Demanded, MirrorError> {
        self.open(world).await?;
        let now = Instant::now();
        let asked_lately = |name: &String| {
            let missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            missing.get(name).is_some_and(|asked| now.duration_since(*asked) < MISSING)
        };
        let names: Vec<String> = names.iter().map(|name| self.index.spelled(name)).collect();
        let new: Vec<String> = names.iter().filter(|name| !self.knows(name) && !asked_lately(name)).cloned().collect();
        if !new.is_empty() {
            let (fetched, absent) = self.fetch(world, &new).await?;
            {
                let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
                missing.retain(|_, asked| now.duration_since(*asked) < MISSING);
                missing.extend(absent.into_iter().map(|name| (name, now)));
            }
            self.bring(world, fetched).await?;
        }
        let (found, missing) = names.into_iter().partition(|name| self.knows(name));
        Ok(Demanded { found, missing })
    }

    /// Looks again at what is known, if that is long ago.
    pub(crate) async fn refresh(&self, world: &World) {
        {
            let mut refreshed = self.refreshed.lock().unwrap_or_else(PoisonError::into_inner);
            if self.tape.is_replay() || refreshed.elapsed() < REFRESH {
                return;
            }
            *refreshed = Instant::now();
        }
        match self.fetch(world, &self.shelf.names()).await {
            Ok((fetched, _)) => {
                if let Err(error) = self.bring(world, fetched).await {
                    tracing::warn!(%error, feed = self.name(), "new versions could not be published");
                }
            }
            Err(error) => tracing::warn!(%error, feed = self.name(), "the mirrored index was not looked at again"),
        }
    }

    async fn fetch(&self, world: &World, names: &[String]) -> Result<(Vec<Fetched>, Vec<String>), MirrorError> {
        if names.is_empty() {
            return Ok(Default::default());
        }
        let fetcher = self.fetcher(world);
        match &self.index {
            Index::Python(index) => index.fetch(&fetcher, names).await,
            Index::R(index) => index.fetch(&fetcher, names, &self.shelf, &self.own).await,
        }
    }

    /// Publishes what was fetched, with what others have fetched meanwhile.
    async fn bring(&self, world: &World, fetched: Vec<Fetched>) -> Result<(), MirrorError> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).extend(fetched);
        let _turn = self.publishing.lock().await;
        let mut packages = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        packages.sort_by(|a, b| a.name.cmp(&b.name));
        packages.dedup_by(|a, b| a.name == b.name);
        packages.retain(|package| self.shelf.newest(&package.name).is_none_or(|known| known.record != package.record));
        if packages.is_empty() {
            return Ok(());
        }
        let now = world.clock().now();
        let feed = self.feed.clone();
        let at = tokio::task::spawn_blocking(move || feed.grow(now).map(|()| feed.next_publication(now)));
        let at = at.await.map_err(std::io::Error::from).flatten().map_err(MirrorError::io("a checkpoint"))?;
        let publication = Publication { at: Some(at), now: now.timestamp(), packages };
        self.note(&publication)?;
        self.publish(publication).await
    }

    /// Sees to it that a file is among the blobs; its size. None when this feed tells of no such file.
    pub(crate) async fn file(&self, world: &World, digest: &Digest) -> Result<Option<u64>, MirrorError> {
        let remote = self.remotes.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned();
        let Some(remote) = remote else { return Ok(None) };
        let flight = self.flights.lock().unwrap_or_else(PoisonError::into_inner).entry(*digest).or_default().clone();
        let _turn = flight.lock().await;
        let size = match world.blobs().size(&sim_kit::Digest::from(digest.0)).await {
            Ok(size) => Ok(size),
            Err(BlobError::Missing(_)) => self.fetcher(world).file(&remote).await,
            Err(error) => Err(error.into()),
        };
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(digest);
        size.map(Some)
    }
}

impl Index {
    /// A name as the feed has it.
    pub(crate) fn spelled(&self, name: &str) -> String {
        match self {
            Self::Python(_) => pkg_formats::python::name::normalize(name),
            Self::R(_) => name.to_owned(),
        }
    }
}

/// A time of the index within the calendar of the feeds.
fn within(time: Option<DateTime<Utc>>, earliest: i64) -> DateTime<Utc> {
    let earliest = crate::history::time(earliest * crate::history::DAY);
    time.map_or(earliest, |time| time.max(earliest))
}
