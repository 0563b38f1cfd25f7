//! Building bundles: the work behind a deploy.
//!
//! Workers claim tasks from the database with a lease, so that another server, or this one after a restart, takes up
//! what a dead one left. A task ends in one transaction: its last lines, its result, and the activation of the bundle.

pub mod jobs;
pub mod log;
mod python;
mod r;
pub(crate) mod steps;
mod versions;

use std::pin::pin;
use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;
use sim_kit::db::Engine;

use crate::app::App;
use crate::error::Result;
use crate::git;
use crate::oauth;
use crate::runtime::processes;
use crate::store;
use crate::store::bundles::Bundle;
use crate::store::content::Content;
use crate::store::tasks::{End, Task};
use crate::subscriptions;
use log::Log;
use steps::{Built, Failure, Stop};

/// How long a claim holds without renewal, in microseconds.
pub(crate) const LEASE: i64 = 30_000_000;
/// How often it is renewed.
const RENEWAL: Duration = Duration::from_secs(10);
/// How often a task is taken up again after its worker died.
const MOST_ATTEMPTS: i64 = 3;

/// Starts the workers of this server.
///
/// # Errors
/// When the database fails.
pub async fn start(app: &App) -> Result<()> {
    if app.world().db().engine() == Engine::Sqlite {
        // The file has one server: whatever is claimed was claimed by one that is dead.
        let mut tx = app.write().await?;
        store::tasks::release_all(&mut tx).await?;
        tx.commit().await?;
    }
    // Not drawn from the seed: servers of one seed may share a database.
    let worker = app.world().ids().secret(16);
    for _ in 0..app.config().builders {
        app.world().spawn(work(app.clone(), worker.clone()));
    }
    Ok(())
}

async fn work(app: App, worker: String) {
    // Whether there was a ring, so that there is likely to be a task.
    let mut rang = true;
    loop {
        let mut rung = pin!(app.work().notified());
        rung.as_mut().enable();
        match next(&app, &worker, rang).await {
            Ok(Next::Task(task)) => {
                let id = task.id.clone();
                if let Err(error) = run(&app, &worker, *task).await {
                    tracing::error!(task = id, %error, "a task could not be carried on; its lease will run out");
                }
                app.ring(&id);
                rang = false;
            }
            Ok(Next::Lease(lease)) => {
                tokio::select! {
                    () = rung => {}
                    () = until(&app, lease) => {}
                }
                rang = true;
            }
            Err(error) => {
                tracing::error!(%error, "tasks cannot be claimed");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

enum Next {
    /// This one is to be carried out.
    Task(Box<Task>),
    /// None, before the lease of another worker has run out.
    Lease(Option<i64>),
}

/// What a worker is to do. To claim a task takes the turn of all who write, so a look comes first where there may be none.
async fn next(app: &App, worker: &str, likely: bool) -> Result<Next> {
    if likely && let Some(task) = claim(app, worker).await? {
        return Ok(Next::Task(Box::new(task)));
    }
    let (waiting, lease) = store::tasks::outlook(&mut *app.read().await?, worker).await?;
    let is_due = waiting || lease.is_some_and(|lease| lease < app.now());
    if !likely
        && is_due
        && let Some(task) = claim(app, worker).await?
    {
        return Ok(Next::Task(Box::new(task)));
    }
    Ok(Next::Lease(lease))
}

async fn claim(app: &App, worker: &str) -> Result<Option<Task>> {
    let now = app.now();
    let mut tx = app.write().await?.routine();
    let scheduled = match app.config().schedule_concurrency {
        0 => i64::MAX,
        most => most,
    };
    let task = store::tasks::claim(&mut tx, worker, (now, now + LEASE), scheduled).await?;
    // Nothing is no change.
    if task.is_some() {
        tx.commit().await?;
    }
    Ok(task)
}

/// Waits until a lease has run out; for ever when there is none.
async fn until(app: &App, lease: Option<i64>) {
    // Servers that share a database do not ring each other's bells.
    let shared = app.world().db().engine() == Engine::Postgres;
    let lease = async {
        match lease.and_then(DateTime::from_timestamp_micros) {
            Some(at) => drop(app.world().clock().sleep_until(at + Duration::from_millis(1)).await),
            None => std::future::pending().await,
        }
    };
    let look =
        async { if shared { tokio::time::sleep(Duration::from_secs(1)).await } else { std::future::pending().await } };
    tokio::select! {
        () = lease => {}
        () = look => {}
    }
}

/// Keeps the claim; returns when it is lost.
async fn renew(app: &App, worker: &str, id: &str) {
    loop {
        let firing = app.world().clock().sleep(RENEWAL).await;
        let kept = async {
            let mut tx = app.write().await?.routine();
            let kept = store::tasks::renew(&mut tx, id, worker, app.now() + LEASE).await?;
            tx.commit().await?;
            Ok::<_, crate::error::Error>(kept)
        };
        let kept = kept.await;
        drop(firing);
        if matches!(kept, Ok(false)) {
            return;
        }
    }
}

/// What a task came to.
enum Done {
    /// A bundle was built, or its document rendered.
    Built(Box<Built>),
    /// Something was found out, or made that has its row already.
    Found(Value),
}

/// Carries a task out. One that has to fetch its bundle is given it.
async fn carry_out(app: &App, worker: &str, task: &mut Task, log: &Log) -> std::result::Result<Done, Stop> {
    let is_git = task.detail.get("repository").is_some();
    if is_git && !app.has_git() {
        return Err(git::fetch::is_disabled());
    }
    match task.kind.as_str() {
        "git-branches" | "git-manifest-dirs" => {
            let found = git::lookups::look(app, task, log).await;
            if let Err(Stop::Failed(failure)) = &found {
                // Clients of look-ups show what was said, and no more.
                log.line(&failure.text);
            }
            return found.map(Done::Found);
        }
        "git-bundle" => {
            git::fetch::bundle(app, task, worker, log).await?;
            return Ok(Done::Found(Value::Null));
        }
        _ if is_git && task.bundle_id.is_none() => {
            task.bundle_id = Some(git::fetch::bundle(app, task, worker, log).await?);
        }
        _ => {}
    }
    steps::build(app, task, log).await.map(Done::Built)
}

async fn run(app: &App, worker: &str, mut task: Task) -> Result<()> {
    let log = Log::new(app.clone(), &task.id);
    if task.attempts > MOST_ATTEMPTS {
        let text = format!("The server went down {MOST_ATTEMPTS} times during this task; it is not tried again.");
        return finish(app, worker, &task, &log, Err(Failure::new(1, text))).await;
    }
    if task.attempts > 1 {
        log.line("The server went down during this task; it starts anew.");
        jobs::interrupted(app, &task).await?;
    }
    let id = task.id.clone();
    let build = async {
        let built = tokio::select! {
            built = carry_out(app, worker, &mut task, &log) => built,
            () = jobs::killed(app, &id) => Err(jobs::terminated().into()),
        };
        log.close();
        built
    };
    let work = async {
        let (built, written) = tokio::join!(build, log.pump());
        written.map(|()| built)
    };
    tokio::select! {
        built = work => {
            let built = match built? {
                Err(Stop::Failed(failure)) => Err(failure),
                Err(Stop::Broken(error)) => {
                    tracing::error!(task = task.id, %error, "a build broke");
                    Err(Failure::new(1, "An internal failure occurred; the server's log says more."))
                }
                Ok(built) => Ok(built),
            };
            finish(app, worker, &task, &log, built).await
        }
        () = renew(app, worker, &id) => {
            tracing::warn!(task = id, "another worker took over");
            Ok(())
        }
    }
}

/// Writes the end of a task, in one transaction with what it changes.
async fn finish(
    app: &App,
    worker: &str,
    task: &Task,
    log: &Log,
    done: std::result::Result<Done, Failure>,
) -> Result<()> {
    let now = app.now();
    let mut tx = app.write().await?.routine();
    let held = match &task.content_guid {
        Some(guid) => store::content::hold(&mut tx, guid).await?,
        None => None,
    };
    // Both may have been deleted meanwhile.
    let bundle = match task.bundle_id {
        Some(id) => store::bundles::get(&mut tx, id).await?,
        None => None,
    };
    let jobs = store::jobs::of_task(&mut tx, &task.id).await?;
    let done = if jobs.iter().any(jobs::was_killed) { Err(jobs::terminated()) } else { done };
    let mut result = Value::Null;
    let mut restarted = false;
    let end = match (done, held, bundle) {
        (Ok(Done::Found(found)), ..) => {
            jobs::succeeded(app, &mut tx, task, jobs, None).await?;
            result = found;
            Ok(())
        }
        (Ok(Done::Built(built)), Some(content), Some(bundle)) => {
            log.last(&built.closing);
            store::tasks::append(&mut tx, &task.id, &log.rest()).await?;
            jobs::succeeded(app, &mut tx, task, jobs, Some(&bundle)).await?;
            restarted = keep(app, &mut tx, task, content, &bundle, &built, now).await?;
            Ok(())
        }
        (Ok(_), _, _) => {
            let failure = Failure::new(1, "The content or its bundle was deleted during the task.");
            jobs::failed(app, &mut tx, task, jobs, &failure).await?;
            Err(failure)
        }
        (Err(failure), Some(content), _) => {
            let told = jobs::told(&jobs, task, &failure);
            if let Some((_, lines)) = &told {
                log.last(lines);
            }
            store::tasks::append(&mut tx, &task.id, &log.rest()).await?;
            if task.kind == "render" && task.detail.get("scheduled").is_some() {
                subscriptions::mail_failure(app, &mut tx, &content, &failure.text).await?;
            }
            jobs::failed(app, &mut tx, task, jobs, &failure).await?;
            Err(Failure { text: told.map_or(failure.text, |(error, _)| error), ..failure })
        }
        (Err(failure), _, _) => Err(failure),
    };
    let (code, error) = match &end {
        Ok(()) => (0, ""),
        Err(failure) => (failure.code, failure.text.as_str()),
    };
    store::tasks::append(&mut tx, &task.id, &log.rest()).await?;
    let tracked = task.detail.get("tracked").is_some().then_some(task.content_guid.as_ref()).flatten();
    if let Some(guid) = tracked {
        let next = now + git::interval(&app.config().git);
        store::repositories::tried(&mut tx, guid, end.as_ref().err().map(|failure| failure.text.as_str()), next)
            .await?;
    }
    if store::tasks::finish(&mut tx, &task.id, worker, now, &End { code, error, result }).await? {
        // Who sees the task's end may move the clock: not before the watches know.
        let _held = app.world().clock().hold();
        tx.commit().await?;
        if restarted {
            app.ring_for_processes();
        }
        app.ring_for_mail();
        if tracked.is_some() {
            app.ring_for_polls();
        }
    }
    Ok(())
}

/// Keeps what was built, and activates it if that was asked for. Whether processes ended or started.
async fn keep(
    app: &App,
    tx: &mut sim_kit::Tx,
    task: &Task,
    mut content: Content,
    bundle: &Bundle,
    built: &Built,
    now: i64,
) -> Result<bool> {
    if task.kind == "render" {
        return Ok(false);
    }
    store::bundles::set_runtime(tx, bundle.id, &built.runtime).await?;
    if bundle.runtime.built || !built.packages.is_empty() {
        store::bundles::set_packages(tx, bundle.id, &built.packages).await?;
    }
    let runtime = &built.runtime;
    for (tag, language, version) in
        [("packrat_restore", "R", &runtime.r_version), ("python_restore", "Python", &runtime.py_version)]
    {
        if let Some(version) = version.as_ref().filter(|_| built.restored.contains(&tag)) {
            store::system::cache(tx, language, version).await?;
        }
    }
    if task.activate {
        if content.bundle_id.is_none() && !built.integrations.is_empty() {
            // On the first deploy only: later on, what is associated is the owner's choice.
            oauth::associate_requested(tx, &content.guid, &task.user_guid, &built.integrations, now).await?;
        }
        content.bundle_id = Some(bundle.id);
        content.app_mode.clone_from(&bundle.app_mode);
        if content.content_category.is_empty() {
            content.content_category.clone_from(&bundle.content_category);
        }
        content.parameterized = bundle.parameterized;
        content.deployed = now;
        content.settings.runtime = built.runtime.clone();
        store::content::update(tx, &content).await?;
        return processes::restart(app, tx, &content, &format!("bundle {} is the active one", bundle.id)).await;
    }
    Ok(false)
}
