//! What all handlers share: the World, the settings, the pages, and signals between requests and builds.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use http::HeaderValue;
use sim_kit::http_client::Link;
use sim_kit::known::Known;
use sim_kit::origin::Origin;
use sim_kit::watch::Bell;
use sim_kit::{Tx, World};
use sqlx::Any;
use sqlx::pool::PoolConnection;
use tokio::sync::{Notify, RwLock};

use crate::access_log::AccessLog;
use crate::auth::Callers;
use crate::auth::signature::Replays;
use crate::config::Config;
use crate::content::kept::{self, Lists};
use crate::error::Result;
use crate::identity::Issuers;
use crate::metrics::Metrics;
use crate::recorder::Recorder;
use crate::runtime::files::{SmallBundles, small_bundles};
use crate::runtime::processes::Processes;
use crate::server_settings::Warnings;
use crate::store::messages::Message;
use crate::store::search::Totals;
use crate::ui::Pages;

/// A handle to one Connect. Clones are the same one.
#[derive(Clone)]
pub struct App(Arc<Inner>);

struct Inner {
    world: World,
    config: Config,
    pages: Pages,
    replays: Replays,
    /// Rung when a task waits for a worker.
    work: Notify,
    /// Rung when a schedule was changed.
    scheduled: Bell,
    /// Rung when a process is to be looked at.
    process_bell: Bell,
    processes: Processes,
    /// Rung when a repository was changed.
    polls: Bell,
    /// Rung when something is to be told to webhooks.
    deliveries: Bell,
    has_git: AtomicBool,
    server: HeaderValue,
    recorder: Recorder,
    metrics: Metrics,
    access_log: Option<AccessLog>,
    /// Rung when a mail waits.
    mail: Bell,
    /// One bell a task, for those who wait for its output.
    bells: Mutex<HashMap<String, Weak<Notify>>>,
    /// Held for reading from the write of a blob to that of its row, and for writing while a blob without rows goes:
    /// two equal uploads share one blob.
    blob_rows: RwLock<()>,
    /// Folders of unpacked bundles, each unpacked by one request at a time.
    unpacking: Mutex<HashMap<i64, Weak<tokio::sync::Mutex<()>>>>,
    unpacked: PathBuf,
    small_bundles: SmallBundles,
    incoming: PathBuf,
    clones: PathBuf,
    session_tokens: PathBuf,
    messages: Known<(), Arc<Vec<Message>>>,
    callers: Callers,
    settings: Known<Warnings, Bytes>,
    lists: Lists,
    totals: Totals,
    package_manager: Link,
    outside: Link,
    issuers: Issuers,
}

/// That names the product and its release, which no setting hides: VIP says so.
fn server(config: &Config) -> HeaderValue {
    let text = format!("Posit Connect v{}", config.version);
    HeaderValue::try_from(text).expect("letters and digits are a header value")
}

impl App {
    /// A Connect of `config` in `world`.
    ///
    /// # Errors
    /// When its folder cannot be made or a template is broken.
    pub fn new(world: World, config: Config) -> anyhow::Result<Self> {
        let unpacked = world.folder("unpacked")?;
        let incoming = world.folder("incoming")?;
        let clones = world.folder("clones")?;
        let session_tokens = world.folder("session-tokens")?;
        let recorded = world.folder("recorded")?;
        let package_manager = Link::new(&world, "package-manager");
        let outside = Link::outside(&world, "outside");
        let issuers = Issuers::new(&world);
        let replays = Replays::new(config.signature_window);
        Ok(Self(Arc::new(Inner {
            pages: Pages::new(&config)?,
            replays,
            work: Notify::new(),
            scheduled: Bell::new(world.clock()),
            process_bell: Bell::new(world.clock()),
            processes: Processes::default(),
            polls: Bell::new(world.clock()),
            deliveries: Bell::new(world.clock()),
            has_git: AtomicBool::new(false),
            server: server(&config),
            recorder: Recorder::new(recorded),
            metrics: Metrics::new(config.version)?,
            access_log: config.access_log.as_ref().map(AccessLog::open).transpose()?,
            mail: Bell::new(world.clock()),
            bells: Mutex::default(),
            blob_rows: RwLock::default(),
            unpacking: Mutex::default(),
            unpacked,
            small_bundles: small_bundles(),
            incoming,
            clones,
            session_tokens,
            messages: Known::of_rare(1),
            callers: Callers::default(),
            settings: Known::of_rare(10),
            lists: kept::lists(world.db().engine()),
            totals: Totals::new(world.db()),
            package_manager,
            outside,
            issuers,
            config,
            world,
        })))
    }

    /// Time, ids, storage.
    #[must_use]
    pub fn world(&self) -> &World {
        &self.0.world
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// The HTML pages.
    #[must_use]
    pub fn pages(&self) -> &Pages {
        &self.0.pages
    }

    /// Signatures seen.
    #[must_use]
    pub fn replays(&self) -> &Replays {
        &self.0.replays
    }

    /// What [`crate::messages`] knows.
    #[must_use]
    pub fn messages(&self) -> &Known<(), Arc<Vec<Message>>> {
        &self.0.messages
    }

    /// The long list of content that is kept.
    #[must_use]
    pub fn lists(&self) -> &Lists {
        &self.0.lists
    }

    /// The settings as they were told before.
    #[must_use]
    pub fn settings(&self) -> &Known<Warnings, Bytes> {
        &self.0.settings
    }

    /// How long lists are.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.0.totals
    }

    /// Who asked before.
    #[must_use]
    pub fn callers(&self) -> &Callers {
        &self.0.callers
    }

    /// The link that packages come over.
    #[must_use]
    pub fn package_manager(&self) -> &Link {
        &self.0.package_manager
    }

    /// The link to servers that callers name: of webhooks, of bundles.
    #[must_use]
    pub fn outside(&self) -> &Link {
        &self.0.outside
    }

    /// The issuers of identity tokens.
    #[must_use]
    pub fn issuers(&self) -> &Issuers {
        &self.0.issuers
    }

    /// The time now, in microseconds since 1970.
    #[must_use]
    pub fn now(&self) -> i64 {
        self.0.world.clock().now_micros()
    }

    /// A connection for reads.
    ///
    /// # Errors
    /// When none comes free.
    pub async fn read(&self) -> Result<PoolConnection<Any>> {
        Ok(self.0.world.db().read().await?)
    }

    /// A write transaction.
    ///
    /// # Errors
    /// When none can be had.
    pub async fn write(&self) -> Result<Tx> {
        Ok(self.0.world.db().write().await?)
    }

    /// Where this server is for the client of a request that came from `origin`.
    #[must_use]
    pub fn origin(&self, origin: Origin) -> Origin {
        self.0.config.address.as_deref().map_or(origin, Origin::fixed)
    }

    /// Tells the workers that there is a task.
    pub fn ring_for_work(&self) {
        // One task wakes one worker; a worker at work looks for more when it is done.
        self.0.work.notify_one();
    }

    /// The bell that [`App::ring_for_work`] rings.
    #[must_use]
    pub fn work(&self) -> &Notify {
        &self.0.work
    }

    /// Tells the watch that a schedule was changed.
    pub fn ring_for_schedules(&self) {
        self.0.scheduled.ring();
    }

    /// The bell that [`App::ring_for_schedules`] rings.
    #[must_use]
    pub fn scheduled(&self) -> &Bell {
        &self.0.scheduled
    }

    /// Tells the watch of processes that one of them is idle or to be ended.
    pub fn ring_for_processes(&self) {
        self.0.process_bell.ring();
    }

    /// The bell that [`App::ring_for_processes`] rings.
    #[must_use]
    pub fn process_bell(&self) -> &Bell {
        &self.0.process_bell
    }

    /// The connections of processes.
    #[must_use]
    pub fn processes(&self) -> &Processes {
        &self.0.processes
    }

    /// Tells the watch that a repository was changed or fetched.
    pub fn ring_for_polls(&self) {
        self.0.polls.ring();
    }

    /// The bell that [`App::ring_for_polls`] rings.
    #[must_use]
    pub fn polls(&self) -> &Bell {
        &self.0.polls
    }

    /// Tells the watch of webhooks that there is something to deliver.
    pub fn ring_for_deliveries(&self) {
        self.0.deliveries.ring();
    }

    /// The bell that [`App::ring_for_deliveries`] rings.
    #[must_use]
    pub fn deliveries(&self) -> &Bell {
        &self.0.deliveries
    }

    /// Notes that git is turned on and works.
    pub fn git_is_there(&self) {
        self.0.has_git.store(true, Ordering::Relaxed);
    }

    /// Whether git is turned on and works.
    #[must_use]
    pub fn has_git(&self) -> bool {
        self.0.has_git.load(Ordering::Relaxed)
    }

    /// The header by which clients know the product and its release.
    #[must_use]
    pub fn server(&self) -> &HeaderValue {
        &self.0.server
    }

    /// Visits and changes to be written.
    #[must_use]
    pub fn recorder(&self) -> &Recorder {
        &self.0.recorder
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// The log of requests, if there is one.
    #[must_use]
    pub fn access_log(&self) -> Option<&AccessLog> {
        self.0.access_log.as_ref()
    }

    /// Tells the watch that a mail waits.
    pub fn ring_for_mail(&self) {
        self.0.mail.ring();
    }

    /// The bell that [`App::ring_for_mail`] rings.
    #[must_use]
    pub fn mail_bell(&self) -> &Bell {
        &self.0.mail
    }

    /// The bell of one task.
    #[must_use]
    pub fn bell(&self, task: &str) -> Arc<Notify> {
        let mut bells = self.0.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(task).and_then(Weak::upgrade) {
            return bell;
        }
        bells.retain(|_, bell| bell.strong_count() > 0);
        let bell = Arc::new(Notify::new());
        bells.insert(task.to_owned(), Arc::downgrade(&bell));
        bell
    }

    /// Wakes those who wait for the output of a task.
    pub fn ring(&self, task: &str) {
        let bells = self.0.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bell) = bells.get(task).and_then(Weak::upgrade) {
            bell.notify_waiters();
        }
    }

    /// See the field.
    #[must_use]
    pub fn blob_rows(&self) -> &RwLock<()> {
        &self.0.blob_rows
    }

    /// Small bundles that are unpacked in memory.
    #[must_use]
    pub fn small_bundles(&self) -> &SmallBundles {
        &self.0.small_bundles
    }

    /// Where unpacked bundles are, each in a folder named by its id.
    #[must_use]
    pub fn unpacked(&self) -> &Path {
        &self.0.unpacked
    }

    /// Where bytes on their way are kept, in files without names.
    #[must_use]
    pub fn incoming(&self) -> &Path {
        &self.0.incoming
    }

    /// Where repositories are fetched to, each into a folder that goes afterwards.
    #[must_use]
    pub fn clones(&self) -> &Path {
        &self.0.clones
    }

    /// Where content finds its session token, each in a file named by its guid.
    #[must_use]
    pub fn session_tokens(&self) -> &Path {
        &self.0.session_tokens
    }

    /// Where a bundle is or will be unpacked, and the lock of whoever unpacks it.
    #[must_use]
    pub fn unpacking(&self, bundle: i64) -> (PathBuf, Arc<tokio::sync::Mutex<()>>) {
        let folder = self.0.unpacked.join(bundle.to_string());
        let mut locks = self.0.unpacking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lock) = locks.get(&bundle).and_then(Weak::upgrade) {
            return (folder, lock);
        }
        locks.retain(|_, lock| lock.strong_count() > 0);
        let lock = Arc::new(tokio::sync::Mutex::new(()));
        locks.insert(bundle, Arc::downgrade(&lock));
        (folder, lock)
    }
}
