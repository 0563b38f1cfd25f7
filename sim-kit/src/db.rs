//! SQLite or PostgreSQL behind one SQL text.
//!
//! Everything goes through `sqlx::Any`: `$1` placeholders, TEXT and BIGINT columns only (booleans 0/1, times BIGINT
//! microseconds UTC, JSON as TEXT). Writers take turns: [`Db::write`] holds the one write lock of SQLite from the
//! start of the transaction, so that two transactions that read and then write never dead-lock, and a transaction that
//! is dropped without [`Tx::commit`] leaves nothing behind.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection, AnyPool, AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// One numbered step of a product's schema. The text runs on both engines.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Order of application; never reused.
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
    /// Statements, ended by `;`. Usually `include_str!("../migrations/0001_init.sql")`.
    pub sql: &'static str,
}

/// What can go wrong when a database is opened.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The engine refused.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// An applied migration differs from the one in this program.
    #[error(
        "the database was made by another version (migration {version} {name:?} differs); \
         start with an empty --data-dir, or with the version that made it"
    )]
    Changed {
        /// Its number.
        version: i64,
        /// Its name.
        name: String,
    },
    /// The database holds migrations this program does not know.
    #[error("the database was made by a newer version (migration {0}); upgrade, or start with an empty --data-dir")]
    Newer(i64),
    /// The folder of the database cannot be made.
    #[error("cannot create {path}: {source}")]
    Folder {
        /// Which folder.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// Which engine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file of ours.
    Sqlite,
    /// A server of the operator's.
    Postgres,
}

/// A handle to the database. Clones share the pool.
#[derive(Clone)]
pub struct Db {
    pool: AnyPool,
    /// SQLite: of one connection. What a connection has read it has to forget when another one writes; this one has not.
    writing: AnyPool,
    engine: Engine,
    /// SQLite has one writer at a time; waiting here is fair and needs no polling.
    writer: Arc<Mutex<()>>,
    changes: Arc<Changes>,
}

/// How many transactions were committed.
#[derive(Default)]
struct Changes {
    all: AtomicU64,
    /// Those of [`Tx::routine`] left out.
    rare: AtomicU64,
    /// Since the last checkpoint.
    logged: AtomicU64,
}

/// SQLite writes to a log, which checkpoints move to the file. One is due after so many transactions: 20 MB of log, if they are as
/// large as those of a publish.
const CHECKPOINT: u64 = 500;

/// A write transaction. Rolls back unless committed.
pub struct Tx {
    inner: sqlx::Transaction<'static, Any>,
    db: Db,
    routine: bool,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Tx {
    /// Says that it touches nothing that a product keeps by [`Known::of_rare`](crate::known::Known::of_rare), so that this is not
    /// read anew for it: for what is written all the time.
    #[must_use]
    pub fn routine(self) -> Self {
        Self { routine: true, ..self }
    }

    /// Makes it durable. Once begun it is brought to its end, also when whoever asked for it goes away.
    ///
    /// # Errors
    /// When the engine cannot commit; then nothing was written.
    pub async fn commit(self) -> sqlx::Result<()> {
        let Self { inner, db, routine, turn } = self;
        let commit = tokio::spawn(async move {
            let committed = inner.commit().await;
            // Also when it failed: the engine may have got it all the same.
            db.changes.all.fetch_add(1, Ordering::Release);
            db.changes.rare.fetch_add(u64::from(!routine), Ordering::Release);
            drop(turn);
            if db.engine == Engine::Sqlite && db.changes.logged.fetch_add(1, Ordering::Relaxed) + 1 == CHECKPOINT {
                tokio::spawn(async move { db.checkpoint().await });
            }
            committed
        });
        commit.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }
}

impl std::ops::Deref for Tx {
    type Target = AnyConnection;
    fn deref(&self) -> &AnyConnection {
        &self.inner
    }
}

impl std::ops::DerefMut for Tx {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.inner
    }
}

static DRIVERS: Once = Once::new();

impl Db {
    /// Opens (and creates) the SQLite file `path` and brings it up to date.
    ///
    /// # Errors
    /// When the file cannot be written or was made by another version.
    pub async fn sqlite(path: &Path, migrations: &[Migration]) -> Result<Self, DbError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|source| DbError::Folder { path: folder.display().to_string(), source })?;
        }
        Self::open(&format!("sqlite://{}?mode=rwc", path.display()), Engine::Sqlite, migrations).await
    }

    /// Connects to a PostgreSQL database (`postgres://user:password@host/name`) and brings it up to date.
    ///
    /// # Errors
    /// When there is no connection or the database was made by another version.
    pub async fn postgres(url: &str, migrations: &[Migration]) -> Result<Self, DbError> {
        Self::open(url, Engine::Postgres, migrations).await
    }

    async fn open(url: &str, engine: Engine, migrations: &[Migration]) -> Result<Self, DbError> {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let options: AnyConnectOptions = url.parse()?;
        let options = options
            .log_statements(tracing::log::LevelFilter::Trace)
            .log_slow_statements(tracing::log::LevelFilter::Warn, Duration::from_secs(5));
        let connections = AnyPoolOptions::new()
            .max_connections(8)
            .acquire_timeout(Duration::from_secs(10))
            .test_before_acquire(engine == Engine::Postgres)
            // SQLite ends a transaction itself when the disk is full or fails; the pool's count of open ones is wrong then,
            // and such a connection would refuse every transaction to come.
            .before_acquire(|connection, _| Box::pin(async move { Ok(!connection.is_in_transaction()) }))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if engine == Engine::Sqlite {
                        // WAL with NORMAL survives the death of the process, which is what is promised; the cache is
                        // small because several products share one process.
                        for pragma in [
                            "PRAGMA journal_mode = WAL",
                            "PRAGMA synchronous = NORMAL",
                            "PRAGMA busy_timeout = 10000",
                            "PRAGMA foreign_keys = ON",
                            "PRAGMA cache_size = -2000",
                            // Where `Db::checkpoint` does not keep up, the log is moved to the file whenever it has 64 MB,
                            // by the writer, who waits for the disk; it keeps that size.
                            "PRAGMA wal_autocheckpoint = 16000",
                            "PRAGMA journal_size_limit = 67108864",
                        ] {
                            sqlx::query(pragma).execute(&mut *connection).await?;
                        }
                    }
                    Ok(())
                })
            });
        let (pool, writing) = match engine {
            Engine::Sqlite => {
                // First, for it makes the file.
                let writing = connections.clone().max_connections(1).connect_with(options.clone()).await?;
                (connections.connect_with(options).await?, writing)
            }
            Engine::Postgres => {
                let pool = connections.connect_with(options).await?;
                (pool.clone(), pool)
            }
        };
        let db = Self { pool, writing, engine, writer: Arc::default(), changes: Arc::default() };
        db.migrate(migrations).await?;
        Ok(db)
    }

    /// The engine behind.
    #[must_use]
    pub fn engine(&self) -> Engine {
        self.engine
    }

    /// How many transactions were committed since the start; none on PostgreSQL, where other processes may write too. What was read
    /// holds as long as this number stays.
    #[must_use]
    pub fn changes(&self) -> Option<u64> {
        (self.engine == Engine::Sqlite).then(|| self.changes.all.load(Ordering::Acquire))
    }

    /// As [`Db::changes`], with the transactions of [`Tx::routine`] left out.
    #[must_use]
    pub fn rare_changes(&self) -> Option<u64> {
        (self.engine == Engine::Sqlite).then(|| self.changes.rare.load(Ordering::Acquire))
    }

    /// The pool, for reads: `sqlx::query("…").fetch_all(db.pool())`.
    #[must_use]
    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// One connection, for several reads.
    ///
    /// # Errors
    /// When no connection comes free within ten seconds.
    pub async fn read(&self) -> sqlx::Result<PoolConnection<Any>> {
        self.pool.acquire().await
    }

    /// Starts a write transaction. On SQLite writers of this process queue here.
    ///
    /// # Errors
    /// When no connection comes free within ten seconds, or another process holds the write lock.
    pub async fn write(&self) -> sqlx::Result<Tx> {
        let db = self.clone();
        match self.engine {
            Engine::Sqlite => {
                let turn = self.writer.clone().lock_owned().await;
                let inner = self.writing.begin_with("BEGIN IMMEDIATE").await?;
                Ok(Tx { inner, db, routine: false, turn: Some(turn) })
            }
            Engine::Postgres => Ok(Tx { inner: self.pool.begin().await?, db, routine: false, turn: None }),
        }
    }

    /// Moves the log of SQLite to the file while others write, and what they wrote meanwhile in the turn of a writer: they wait for
    /// the disk shortly, and the log begins anew.
    async fn checkpoint(&self) {
        let moved = async {
            let mut connection = self.pool.acquire().await?;
            let sql = "PRAGMA wal_checkpoint(PASSIVE)";
            sqlx::query(sql).execute(&mut *connection).await?;
            let _turn = self.writer.lock().await;
            sqlx::query(sql).execute(&mut *connection).await
        };
        if let Err(error) = moved.await {
            tracing::debug!(%error, "no checkpoint");
        }
        self.changes.logged.store(0, Ordering::Relaxed);
    }

    /// Closes the connections.
    pub async fn close(&self) {
        self.writing.close().await;
        self.pool.close().await;
    }

    #[cfg(feature = "testing")]
    pub(crate) async fn connect_raw(url: &str) -> sqlx::Result<AnyPool> {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        AnyPoolOptions::new().max_connections(1).connect(url).await
    }

    /// Drops everything in the database: for a reset on PostgreSQL, where there is no file to leave behind.
    ///
    /// # Errors
    /// When the engine refuses.
    pub(crate) async fn erase(url: &str) -> Result<(), DbError> {
        DRIVERS.call_once(sqlx::any::install_default_drivers);
        let mut connection: AnyConnection = url.parse::<AnyConnectOptions>()?.connect().await?;
        for statement in ["DROP SCHEMA public CASCADE", "CREATE SCHEMA public"] {
            sqlx::query(statement).execute(&mut connection).await?;
        }
        Ok(())
    }

    async fn migrate(&self, migrations: &[Migration]) -> Result<(), DbError> {
        let mut tx = self.write().await?;
        if self.engine == Engine::Postgres {
            // Two nodes may start at once on one database.
            sqlx::query("SELECT CAST(pg_advisory_xact_lock(727272) AS TEXT)").execute(&mut *tx).await?;
        }
        sqlx::query(
            "CREATE TABLE IF NOT EXISTS sim_migrations (version BIGINT PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL)",
        )
        .execute(&mut *tx)
        .await?;
        let applied: Vec<(i64, String)> = sqlx::query("SELECT version, sha256 FROM sim_migrations ORDER BY version")
            .fetch_all(&mut *tx)
            .await?
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<sqlx::Result<_>>()?;
        if let Some((version, _)) =
            applied.iter().find(|(version, _)| !migrations.iter().any(|m| m.version == *version))
        {
            return Err(DbError::Newer(*version));
        }
        for migration in migrations {
            let digest = hex::encode(Sha256::digest(migration.sql.as_bytes()));
            match applied.iter().find(|(version, _)| *version == migration.version) {
                Some((_, known)) if *known == digest => {}
                Some(_) => {
                    return Err(DbError::Changed { version: migration.version, name: migration.name.to_owned() });
                }
                None => {
                    sqlx::raw_sql(AssertSqlSafe(migration.sql)).execute(&mut *tx).await?;
                    sqlx::query("INSERT INTO sim_migrations (version, name, sha256) VALUES ($1, $2, $3)")
                        .bind(migration.version)
                        .bind(migration.name)
                        .bind(digest)
                        .execute(&mut *tx)
                        .await?;
                }
            }
        }
        tx.commit().await?;
        Ok(())
    }
}
