//! The World: the only way to time, ids, randomness, storage and faults.
//!
//! One World belongs to one running simulator. It is what is reset: a fresh World takes its place and the old one goes
//! with everything in it.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::blobs::{BlobError, Blobs};
use crate::clock::Clock;
use crate::db::{Db, DbError, Migration};
use crate::faults::Faults;
use crate::ids::Ids;
use crate::journal::{Bounds, Journal};

/// How a World is made.
#[derive(Debug, Clone)]
pub struct WorldConfig {
    /// The seed of ids and of seeded users.
    pub seed: u64,
    /// Where everything is kept. None: in a temporary folder that goes with the World.
    pub data_dir: Option<PathBuf>,
    /// A PostgreSQL URL; None: SQLite in the data folder.
    pub database_url: Option<String>,
    /// Start with a clock that stands still here.
    pub frozen_at: Option<DateTime<Utc>>,
    /// Size of the journal.
    pub journal: Bounds,
}

impl Default for WorldConfig {
    fn default() -> Self {
        Self { seed: 1, data_dir: None, database_url: None, frozen_at: None, journal: Bounds::default() }
    }
}

/// Why a World cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// The data folder cannot be used.
    #[error("cannot use the data folder {path}: {source}; choose a writable one with --data-dir")]
    Folder {
        /// Which.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Another process uses the folder.
    #[error("the data folder {0} is in use by another process; stop it, or choose another --data-dir")]
    InUse(String),
    /// The database.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The blobs.
    #[error(transparent)]
    Blobs(#[from] BlobError),
}

/// See the module. Clones are the same World.
#[derive(Clone)]
pub struct World(Arc<Inner>);

struct Inner {
    clock: Clock,
    ids: Ids,
    faults: Faults,
    journal: Journal,
    db: Db,
    blobs: Blobs,
    folder: PathBuf,
    tasks: TaskTracker,
    /// Where it was opened; connections are answered elsewhere.
    runtime: Handle,
    ending: CancellationToken,
    /// Held so that a lasting folder stays locked.
    _home: Home,
    /// Held so that a temporary folder lives as long as its World.
    _temporary: Option<tempfile::TempDir>,
}

/// The place of one server's Worlds on disk: a temporary folder a World, or a locked folder that lasts.
///
/// A lasting folder holds `lock`, `current` (a number n) and `world-n/`. A reset makes `world-(n+1)/`, then points
/// `current` at it, then takes the old one away: a process that dies in between comes back with one World or the other.
#[derive(Clone)]
pub(crate) enum Home {
    Temporary,
    Lasting { root: PathBuf, lock: Arc<std::fs::File> },
}

impl Home {
    pub(crate) fn of(config: &WorldConfig) -> Result<Self, WorldError> {
        let Some(root) = &config.data_dir else {
            return Ok(Self::Temporary);
        };
        std::fs::create_dir_all(root).map_err(unusable(root))?;
        let lock = std::fs::File::create(root.join("lock")).map_err(unusable(root))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self::Lasting { root: root.clone(), lock: Arc::new(lock) }),
            Err(std::fs::TryLockError::WouldBlock) => Err(WorldError::InUse(root.display().to_string())),
            Err(std::fs::TryLockError::Error(error)) => Err(unusable(root)(error)),
        }
    }

    /// Lets others have the folder now that its World has ended: a request that somebody else must give up first, such as git's of
    /// its gateway, may hold on to the World for a moment longer.
    pub(crate) fn leave(&self) {
        if let Self::Lasting { lock, root } = self
            && let Err(error) = lock.unlock()
        {
            tracing::warn!(%error, "the lock of {} stays until the process ends", root.display());
        }
    }

    fn generation(root: &Path) -> u64 {
        std::fs::read_to_string(root.join("current")).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    }
}

fn unusable(path: &Path) -> impl FnOnce(std::io::Error) -> WorldError + use<> {
    let path = path.display().to_string();
    move |source| WorldError::Folder { path, source }
}

impl World {
    /// Opens the World of `config` with the tables of `migrations`.
    ///
    /// # Errors
    /// When the folder or the database cannot be used.
    pub async fn open(config: &WorldConfig, migrations: &[Migration]) -> Result<Self, WorldError> {
        let home = Home::of(config)?;
        Self::open_in(home, config, migrations, false).await
    }

    /// Opens the current World of `home`, or with `fresh` a new one that then is the current one.
    pub(crate) async fn open_in(
        home: Home,
        config: &WorldConfig,
        migrations: &[Migration],
        fresh: bool,
    ) -> Result<Self, WorldError> {
        let mut temporary = None;
        let (folder, epoch) = match &home {
            Home::Temporary => {
                let made =
                    tempfile::Builder::new().prefix("teamsim-").tempdir().map_err(unusable(&std::env::temp_dir()))?;
                let folder = made.path().to_owned();
                temporary = Some(made);
                (folder, 0)
            }
            Home::Lasting { root, .. } => {
                let generation = Home::generation(root) + u64::from(fresh);
                let folder = root.join(format!("world-{generation}"));
                std::fs::create_dir_all(&folder).map_err(unusable(root))?;
                // Ids drawn before must not come again: every opening is a new epoch of the id streams.
                let file = folder.join("epoch");
                let epoch =
                    std::fs::read_to_string(&file).ok().and_then(|t| t.trim().parse().ok()).map_or(0, |n: u64| n + 1);
                std::fs::write(&file, epoch.to_string()).map_err(unusable(root))?;
                (folder, epoch)
            }
        };
        if fresh && let Some(url) = &config.database_url {
            Db::erase(url).await?;
        }
        let db = match &config.database_url {
            Some(url) => Db::postgres(url, migrations).await?,
            None => Db::sqlite(&folder.join("db.sqlite"), migrations).await?,
        };
        let blobs = Blobs::local(&folder.join("blobs"))?;
        if epoch > 0 {
            blobs.sweep().await?;
        }
        if let Home::Lasting { root, .. } = &home {
            settle(root, &folder).map_err(unusable(root))?;
        }
        let ids = Ids::new(config.seed, epoch);
        Ok(Self(Arc::new(Inner {
            clock: config.frozen_at.map_or_else(Clock::real, Clock::frozen),
            faults: Faults::new(ids.clone()),
            ids,
            journal: Journal::new(config.journal),
            db,
            blobs,
            folder,
            tasks: TaskTracker::new(),
            runtime: Handle::current(),
            ending: CancellationToken::new(),
            _home: home,
            _temporary: temporary,
        })))
    }

    /// Time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Ids and randomness.
    #[must_use]
    pub fn ids(&self) -> &Ids {
        &self.0.ids
    }

    /// Rules that break things on purpose.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// What happened.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    /// Rows.
    #[must_use]
    pub fn db(&self) -> &Db {
        &self.0.db
    }

    /// Bytes.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.0.blobs
    }

    /// The folder of this World's database, blobs and files.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.0.folder
    }

    /// A folder of this World's for files that are neither rows nor blobs, such as unpacked archives. `name` is one
    /// path segment.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn folder(&self, name: &str) -> std::io::Result<PathBuf> {
        let path = self.0.folder.join(name);
        std::fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// Runs `work` in the background, in the runtime in which the World was opened, until it is done or the World ends; then it is
    /// dropped where it waits.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let ending = self.0.ending.clone();
        let until_the_end = async move {
            tokio::select! {
                biased;
                () = ending.cancelled() => {}
                () = work => {}
            }
        };
        self.0.tasks.spawn_on(until_the_end, &self.0.runtime);
    }

    /// The runtime in which it was opened.
    pub(crate) fn runtime(&self) -> &Handle {
        &self.0.runtime
    }

    /// Resolves when the World ends; for work that has to clean up, such as processes to stop.
    pub async fn ending(&self) {
        self.0.ending.cancelled().await;
    }

    /// Takes the files away; only for a World that has ended and whose place another one took.
    pub(crate) fn discard(&self) -> std::io::Result<()> {
        std::fs::remove_dir_all(&self.0.folder)
    }

    /// Tells background work and long polls that the end is near; [`World::end`] then waits for it.
    pub(crate) fn begin_end(&self) {
        self.0.ending.cancel();
    }

    /// Ends background work (waiting at most five seconds for it) and closes the database.
    pub async fn end(&self) {
        self.0.ending.cancel();
        self.0.tasks.close();
        if tokio::time::timeout(Duration::from_secs(5), self.0.tasks.wait()).await.is_err() {
            tracing::warn!("background work did not end within five seconds");
        }
        self.0.db.close().await;
    }
}

/// Makes `folder` the current World of `root` and takes away those that a reset left behind.
fn settle(root: &Path, folder: &Path) -> std::io::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let generation = name.trim_start_matches("world-");
    if std::fs::read_to_string(root.join("current")).ok().as_deref() == Some(generation) {
        // Leftovers exist only after a death in the middle of a reset.
        for entry in std::fs::read_dir(root)?.flatten() {
            let other = entry.file_name().to_string_lossy().into_owned();
            if other.starts_with("world-") && other != name {
                std::fs::remove_dir_all(entry.path())?;
            }
        }
        return Ok(());
    }
    let next = root.join("current.next");
    std::fs::write(&next, generation)?;
    std::fs::rename(next, root.join("current"))
}
