//! The processes of interactive content: when they start, how many there are, and when they end.
//!
//! In the simulated runtime a process is a job and no more, but one with the life of a real one: it starts with the
//! first visit, another one starts when those there are full, it ends when nothing came for the item's `idle_timeout`,
//! when the item's variables, user or bundle change, when the item is locked, and when its end is ordered.
//! `min_processes` are kept running without visits.
//!
//! That they run is in the database, so that every server of it and every request sees the same; how many connections
//! they have, and since when none, is known to the server that has them.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sim_kit::Tx;
use sim_kit::db::Engine;

use super::Visit;
use crate::app::App;
use crate::build::LEASE;
use crate::content_type::{ContentType, Kind};
use crate::error::{Code, Error, Result};
use crate::store;
use crate::store::content::Content;
use crate::store::jobs::Job;
use crate::store::search::{Condition, Order};
use crate::watch;

/// From the order to kill a job to its end, in microseconds.
const GRACE: i64 = 1_000_000;
/// The last line of the log of a process whose server died.
const WENT_DOWN: &str = "[rsc-session] Stopped: the server went down";
/// The exit code of a job that was killed: that of SIGTERM.
pub(crate) const KILLED: i64 = 143;

/// What is known of the processes that this server sent visits to.
#[derive(Default)]
pub struct Processes(Mutex<Loads>);

#[derive(Default)]
struct Loads {
    of: HashMap<i64, Load>,
    /// Whether the watch waits for a time, and will look at all of them then.
    watched: bool,
}

#[derive(Debug, Clone, Copy)]
struct Load {
    connections: usize,
    /// When the last connection ended; none for a process that is kept though it is idle.
    idle_since: Option<i64>,
    /// Microseconds.
    timeout: i64,
}

impl Processes {
    fn lock(&self) -> MutexGuard<'_, Loads> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connections of a process.
    #[must_use]
    pub fn connections(&self, job: i64) -> usize {
        self.lock().of.get(&job).map_or(0, |load| load.connections)
    }

    /// The connections of all processes.
    #[must_use]
    pub fn all_connections(&self) -> usize {
        self.lock().of.values().map(|load| load.connections).sum()
    }

    /// Sends a connection to the least busy of `jobs`, unless they are too full for what would be all connections.
    fn enter(&self, jobs: &[i64], timeout: i64, now: i64, fate: impl Fn(usize) -> Fate) -> Entry {
        let loads = &mut self.lock().of;
        let of = |job: &i64| loads.get(job).map_or(0, |load| load.connections);
        let all: usize = jobs.iter().map(of).sum();
        let least = match (fate(all + 1), jobs.iter().copied().min_by_key(of)) {
            (Fate::NoRoom, _) => return Entry::NoRoom,
            (Fate::Another, _) | (_, None) => return Entry::Another,
            (Fate::Enter, Some(least)) => least,
        };
        let load = loads.entry(least).or_insert(Load { connections: 0, idle_since: None, timeout });
        load.connections += 1;
        load.timeout = timeout;
        load.idle_since = Some(now);
        Entry::Into(least)
    }

    /// Ends a connection; whether the watch has to hear of it.
    fn leave(&self, job: i64, now: i64) -> bool {
        let mut loads = self.lock();
        if let Some(load) = loads.of.get_mut(&job) {
            load.connections = load.connections.saturating_sub(1);
            load.idle_since = Some(now);
        }
        !loads.watched
    }
}

/// What is to become of a connection, by how many there would be with it.
enum Fate {
    Enter,
    Another,
    NoRoom,
}

/// What became of it.
enum Entry {
    /// A process took it.
    Into(i64),
    /// There has to be another process.
    Another,
    /// There must not be another one, and those there are have all they may have.
    NoRoom,
}

/// What visitors are told whom no process has room for.
const NO_ROOM: &str = "All processes of this content have as many connections as they may have. Try again later.";

/// The connection of one visit.
pub struct Connection {
    app: App,
    job: i64,
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.app.processes().leave(self.job, self.app.now()) {
            self.app.ring_for_processes();
        }
    }
}

/// The tag of the processes of a bundle; none when it is served without any.
fn tag(app_mode: &str) -> Option<&'static str> {
    ContentType::of(app_mode).filter(|mode| matches!(mode.kind(), Kind::App | Kind::Api)).map(ContentType::job_tag)
}

/// Connects a visit to a process, which is started when there is none or those there are full.
///
/// # Errors
/// 503 when there must not be more processes, and each has as many connections as it may have (what the product's own
/// answer is in that case is not known beyond its status); when the database fails.
pub async fn connect(app: &App, visit: &Visit<'_>) -> Result<Option<Connection>> {
    let Some(tag) = tag(&visit.bundle.app_mode) else { return Ok(None) };
    let (content, scheduler) = (visit.content, &app.config().scheduler);
    let settings = &content.settings;
    let mut db = app.read().await?;
    let run_as = match visit.user {
        Some(user) if settings.run_as_current_user => {
            store::users::by_guid(&mut db, user).await?.map(|user| user.username)
        }
        _ => settings.run_as.clone(),
    };
    let mine = |jobs: Vec<Job>| {
        let fits = |job: &Job| job.bundle_id == Some(visit.bundle.id) && job.run_as == run_as;
        jobs.iter().filter(|job| fits(job)).map(|job| job.id).collect::<Vec<i64>>()
    };
    let enter = |jobs: &[i64]| {
        let more = jobs.len() < scheduler.most(settings);
        let fate = |connections| match more {
            true if scheduler.is_full(settings, jobs.len(), connections) => Fate::Another,
            false if connections > jobs.len() * scheduler.each(settings) => Fate::NoRoom,
            _ => Fate::Enter,
        };
        app.processes().enter(jobs, scheduler.idle(settings), app.now(), fate)
    };
    let no_room = || Error::unavailable(Code::RateLimitExceeded, NO_ROOM);
    let running = mine(store::jobs::processes(&mut db, Some(&content.guid)).await?);
    drop(db);
    match enter(&running) {
        Entry::Into(job) => return Ok(Some(Connection { app: app.clone(), job })),
        Entry::NoRoom => return Err(no_room()),
        Entry::Another => {}
    }
    let mut tx = app.write().await?;
    if store::content::hold(&mut tx, &content.guid).await?.is_none() {
        return Ok(None);
    }
    // Another visit may have been quicker.
    let now_running = mine(store::jobs::processes(&mut tx, Some(&content.guid)).await?);
    let job = match enter(&now_running) {
        Entry::Into(job) => job,
        Entry::NoRoom => return Err(no_room()),
        Entry::Another => {
            let job = start(app, &mut tx, content, visit.bundle.id, tag, run_as.as_deref()).await?;
            tx.commit().await?;
            app.processes().enter(&[job], scheduler.idle(settings), app.now(), |_| Fate::Enter);
            job
        }
    };
    Ok(Some(Connection { app: app.clone(), job }))
}

async fn start(
    app: &App,
    tx: &mut Tx,
    content: &Content,
    bundle_id: i64,
    tag: &str,
    run_as: Option<&str>,
) -> Result<i64> {
    let id = store::next(&mut *tx, "job").await?;
    let job = Job {
        bundle_id: Some(bundle_id),
        run_as: run_as.map(str::to_owned),
        is_process: true,
        ..Job::new(id, app.world().ids().token("job", 16), &content.guid, tag, app.now())
    };
    let names = store::variables::names(&mut *tx, &content.guid).await?;
    let mut log = vec![
        format!("[rsc-session] Content GUID: {}", content.guid),
        format!("[rsc-session] Content ID: {}", content.id),
        format!("[rsc-session] Bundle ID: {bundle_id}"),
        format!("[rsc-session] Job Key: {}", job.key),
        format!("[rsc-session] Running as: {}", run_as.unwrap_or(crate::jobs::RUN_AS)),
        format!("[rsc-session] Running on host: {}", crate::system::HOSTNAME),
    ];
    if !names.is_empty() {
        log.push(format!("[rsc-session] Environment variables: {}", names.join(", ")));
    }
    log.push("Started (simulated: this process is a record, no code runs)".to_owned());
    store::jobs::insert(&mut *tx, &job, &log.join("\n")).await?;
    store::jobs::set_node(&mut *tx, id, &app.recorder().name()?).await?;
    Ok(id)
}

/// Ends the processes of an item and starts those that it keeps running, in the transaction of the change that is the
/// reason. Whether any ended or started; then call [`App::ring_for_processes`] after it.
///
/// # Errors
/// When the database fails.
pub async fn restart(app: &App, tx: &mut Tx, content: &Content, reason: &str) -> Result<bool> {
    if tag(&content.app_mode).is_none() {
        return Ok(false);
    }
    let running = store::jobs::processes(&mut *tx, Some(&content.guid)).await?;
    for job in &running {
        let line = format!("[rsc-session] Stopped: {reason}");
        store::jobs::end(&mut *tx, job.id, app.now(), 0, &line).await?;
    }
    Ok(keep_warm(app, tx, content).await? || !running.is_empty())
}

/// Starts the processes that an item keeps running and that do not. Whether any did not.
///
/// # Errors
/// When the database fails.
pub async fn keep_warm(app: &App, tx: &mut Tx, content: &Content) -> Result<bool> {
    let (Some(bundle), Some(tag)) = (content.bundle_id, tag(&content.app_mode)) else { return Ok(false) };
    // Whose processes those would be is not known before a visit.
    let least = app.config().scheduler.least(&content.settings);
    if least == 0 || content.locked || content.settings.run_as_current_user {
        return Ok(false);
    }
    let running = store::jobs::processes(&mut *tx, Some(&content.guid)).await?;
    let running = running.iter().filter(|job| job.bundle_id == Some(bundle)).count();
    for _ in running..least {
        start(app, tx, content, bundle, tag, content.settings.run_as.as_deref()).await?;
    }
    Ok(running < least)
}

/// Orders the end of a job; false when it does not run.
///
/// # Errors
/// When the database fails.
pub async fn order_end(app: &App, job: i64) -> Result<bool> {
    let mut tx = app.write().await?;
    let ordered = store::jobs::kill(&mut tx, job, app.now() + GRACE).await?;
    tx.commit().await?;
    app.ring_for_processes();
    Ok(ordered)
}

/// Starts the watch. What a server that died has left running is ended, as real processes would have ended with it: here
/// what this server itself has left, and in [`settle`] what others have that share its database.
///
/// # Errors
/// When the database fails.
pub async fn prepare(app: &App) -> Result<()> {
    let node = app.recorder().name()?;
    let mut tx = app.write().await?;
    store::jobs::alive(&mut tx, &node, app.now(), i64::MAX).await?;
    let left = match app.world().db().engine() {
        // The file has one server.
        Engine::Sqlite => store::jobs::processes(&mut tx, None).await?,
        Engine::Postgres => store::jobs::of_node(&mut tx, &node).await?,
    };
    for job in left {
        store::jobs::end(&mut tx, job.id, app.now(), 1, WENT_DOWN).await?;
    }
    let ids = store::search::ids(&mut tx, &Condition::default(), Order::NEWEST).await?;
    for some in ids.chunks(500) {
        for content in store::content::by_ids(&mut tx, some).await? {
            keep_warm(app, &mut tx, &content).await?;
        }
    }
    tx.commit().await?;
    watch::start(app, App::process_bell, |app| Box::pin(async move { settle(&app).await }));
    Ok(())
}

/// Says that this server is alive, and ends the processes of those that are not.
async fn bury(app: &App, now: i64) -> Result<()> {
    let node = app.recorder().name()?;
    // To say it is a change, after which others read their lists anew.
    let enough = now - LEASE / 3;
    if store::jobs::last_seen(&mut *app.read().await?, &node).await?.is_none_or(|seen| seen < enough) {
        let mut tx = app.write().await?;
        store::jobs::alive(&mut tx, &node, now, enough).await?;
        tx.commit().await?;
    }
    let orphans = store::jobs::orphans(&mut *app.read().await?, &node, now - LEASE).await?;
    let guids: BTreeSet<&String> = orphans.iter().map(|job| &job.content_guid).collect();
    for guid in guids {
        let mut tx = app.write().await?;
        let Some(content) = store::content::hold(&mut tx, guid).await? else { continue };
        for job in orphans.iter().filter(|job| job.content_guid == *guid) {
            store::jobs::end(&mut tx, job.id, now, 1, WENT_DOWN).await?;
        }
        keep_warm(app, &mut tx, &content).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Ends what is to end; when the next is.
async fn settle(app: &App) -> Result<Option<i64>> {
    let now = app.now();
    if app.world().db().engine() == Engine::Postgres {
        bury(app, now).await?;
    }
    let mut cold: BTreeSet<String> = BTreeSet::new();
    for job in store::jobs::to_kill(&mut *app.read().await?, now).await? {
        let mut tx = app.write().await?;
        store::jobs::end(&mut tx, job.id, now, KILLED, "[rsc-session] Stopped: its end was ordered").await?;
        tx.commit().await?;
        if let Some(task) = &job.task_id {
            app.ring(task);
        }
        cold.insert(job.content_guid);
    }
    for guid in cold {
        let mut tx = app.write().await?;
        if let Some(content) = store::content::hold(&mut tx, &guid).await? {
            keep_warm(app, &mut tx, &content).await?;
            tx.commit().await?;
        }
    }
    let running = store::jobs::processes(&mut *app.read().await?, None).await?;
    let mut idle = Vec::new();
    {
        let loads = &mut app.processes().lock().of;
        loads.retain(|id, load| load.connections > 0 || running.iter().any(|job| job.id == *id));
        for job in running {
            let due = loads.get(&job.id).and_then(Load::due);
            if due.is_some_and(|due| due <= now) {
                idle.push(job);
            }
        }
    }
    for job in idle {
        stop_idle(app, &job, now).await?;
    }
    let next = {
        let mut loads = app.processes().lock();
        let next = loads.of.values().filter_map(Load::due).min();
        loads.watched = next.is_some();
        next
    };
    let kill = store::jobs::next_kill(&mut *app.read().await?).await?;
    Ok(next.into_iter().chain(kill).min())
}

impl Load {
    /// When it is to be stopped for being idle.
    fn due(&self) -> Option<i64> {
        self.idle_since.filter(|_| self.connections == 0).map(|since| since.saturating_add(self.timeout))
    }
}

async fn stop_idle(app: &App, job: &Job, now: i64) -> Result<()> {
    let mut tx = app.write().await?;
    let content = store::content::hold(&mut tx, &job.content_guid).await?;
    let running = store::jobs::processes(&mut tx, Some(&job.content_guid)).await?;
    let fits = |other: &&Job| other.bundle_id == job.bundle_id;
    let kept = content.as_ref().is_some_and(|content| {
        content.bundle_id == job.bundle_id
            && running.iter().filter(fits).count() <= app.config().scheduler.least(&content.settings)
    });
    {
        let loads = &mut app.processes().lock().of;
        match loads.get_mut(&job.id) {
            // A visit came meanwhile.
            Some(load) if load.due().is_none_or(|due| due > now) => return Ok(()),
            Some(load) if kept => {
                load.idle_since = None;
                return Ok(());
            }
            _ => drop(loads.remove(&job.id)),
        }
    }
    store::jobs::end(&mut tx, job.id, now, 0, "[rsc-session] Stopped: idle for its timeout").await?;
    tx.commit().await?;
    Ok(())
}
