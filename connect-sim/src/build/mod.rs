//! Building bundles: the work behind a deploy.
//!
//! Workers claim tasks from the database with a lease, so that another server, or this one after a restart, takes up
//! what a dead one left. A task ends in one transaction: its last lines, its result, and the activation of the bundle.

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
use crate::content_type::ContentType;
use crate::error::Result;
use crate::git;
use crate::oauth;
use crate::runtime::processes;
use crate::store;
use crate::store::bundles::Bundle;
use crate::store::content::Content;
use crate::store::jobs::Job;
use crate::store::renderings::Rendering;
use crate::store::tasks::{End, Task};
use crate::subscriptions::{self, Recipients};
use crate::variants;
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
        "git-branches" | "git-manifest-dirs" => return git::lookups::look(app, task, log).await.map(Done::Found),
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
    }
    let id = task.id.clone();
    let build = async {
        let built = carry_out(app, worker, &mut task, &log).await;
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
    let mut result = Value::Null;
    let mut restarted = false;
    let end = match (done, held, bundle) {
        (Ok(Done::Found(found)), ..) => {
            result = found;
            Ok(())
        }
        (Ok(Done::Built(built)), Some(content), Some(bundle)) => {
            log.last(&built.closing);
            store::tasks::append(&mut tx, &task.id, &log.rest()).await?;
            jobs(app, &mut tx, task, &bundle, &built, now).await?;
            restarted = keep(app, &mut tx, task, content, &bundle, &built, now).await?;
            Ok(())
        }
        (Ok(_), _, _) => Err(Failure::new(1, "The content or its bundle was deleted during the task.")),
        (Err(failure), Some(content), bundle) => {
            store::tasks::append(&mut tx, &task.id, &log.rest()).await?;
            if task.kind == "render" && task.detail.get("scheduled").is_some() {
                subscriptions::mail_failure(app, &mut tx, &content, &failure.text).await?;
            }
            failed(app, &mut tx, task, bundle.as_ref(), &failure, now).await?;
            Err(failure)
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

/// The log of a job of a task: that of the task, with what the product writes before.
async fn job_log(tx: &mut sim_kit::Tx, task: &Task, bundle: Option<i64>) -> Result<String> {
    let mut log = store::tasks::output(tx, &task.id, 0).await?;
    log.insert(0, format!("[rsc-session] Content GUID: {}", task.content_guid.as_deref().unwrap_or_default()));
    if let Some(id) = bundle {
        log.insert(1, format!("[rsc-session] Bundle ID: {id}"));
    }
    Ok(log.join("\n"))
}

/// A job of a task.
async fn job_of(app: &App, tx: &mut sim_kit::Tx, task: &Task, tag: &str, now: i64) -> Result<Job> {
    let id = store::next(&mut *tx, "job").await?;
    let guid = task.content_guid.as_deref().unwrap_or_default();
    Ok(Job {
        bundle_id: task.bundle_id,
        variant_id: task.variant_id,
        queued: task.detail.get("scheduled").and_then(Value::as_i64),
        ended: Some(now),
        exit_code: Some(0),
        ..Job::new(id, app.world().ids().token("job", 16), guid, tag, task.created)
    })
}

/// Notes the process that has failed.
async fn failed(
    app: &App,
    tx: &mut sim_kit::Tx,
    task: &Task,
    bundle: Option<&Bundle>,
    failure: &Failure,
    now: i64,
) -> Result<()> {
    let mode = bundle.and_then(|bundle| ContentType::of(&bundle.app_mode));
    let git = task.detail.get("repository").filter(|_| bundle.is_none()).map(|_| "git");
    // What fails before any process is started has no job.
    let render = mode.filter(|_| task.kind == "render").map(ContentType::job_tag);
    let Some(tag) = failure.tag.or(git).or(render) else { return Ok(()) };
    let log = job_log(tx, task, task.bundle_id).await?;
    let job = job_of(app, tx, task, tag, now).await?;
    let job = Job { exit_code: Some(1), error: Some(failure.text.clone()), ..job };
    store::jobs::insert(&mut *tx, &job, &log).await?;
    Ok(())
}

/// Mails what a schedule that mails has rendered: to those whom the variant's settings name, and to its subscribers.
async fn mail(app: &App, tx: &mut sim_kit::Tx, task: &Task, content_guid: &str) -> Result<()> {
    let wanted = task.detail.get("email") == Some(&Value::Bool(true));
    let (true, Some(id)) = (wanted, task.variant_id) else { return Ok(()) };
    if let Some(variant) = store::variants::get(tx, id).await?
        && let Some(content) = store::content::by_guid(tx, content_guid).await?
    {
        let settings = &variant.settings;
        let to = Recipients {
            user: None,
            collaborators: settings.email_collaborators || settings.email_all,
            viewers: settings.email_viewers || settings.email_all,
            subscribers: true,
        };
        subscriptions::mail_rendering(app, tx, &content, &variant, to).await?;
    }
    Ok(())
}

/// Notes the processes that the real product would have started, and what they rendered.
async fn jobs(app: &App, tx: &mut sim_kit::Tx, task: &Task, bundle: &Bundle, built: &Built, now: i64) -> Result<()> {
    let mode = ContentType::of(&bundle.app_mode);
    let rendered = mode.filter(|mode| {
        mode.kind() == crate::content_type::Kind::Rendered
            && ((task.activate && task.kind == "deploy") || task.kind == "render")
    });
    let fetched = task.detail.get("repository").map(|_| "git");
    let tags: Vec<_> =
        fetched.into_iter().chain(built.restored.iter().copied()).chain(rendered.map(ContentType::job_tag)).collect();
    if tags.is_empty() {
        return Ok(());
    }
    let log = job_log(tx, task, Some(bundle.id)).await?;
    let default = match rendered {
        Some(_) => Some(variants::default_of(app, &mut *tx, &bundle.content_guid, now).await?),
        None => None,
    };
    let mut last = String::new();
    for tag in tags {
        let mut job = job_of(app, tx, task, tag, now).await?;
        if rendered.map(ContentType::job_tag) == Some(tag) {
            job.variant_id = task.variant_id.or(default.as_ref().map(|variant| variant.id));
        }
        store::jobs::insert(&mut *tx, &job, &log).await?;
        last = job.key;
    }
    if let Some(default) = default {
        let rendering = Rendering {
            id: store::next(&mut *tx, "rendering").await?,
            variant_id: task.variant_id.unwrap_or(default.id),
            bundle_id: bundle.id,
            job_key: last,
            rendered: now,
            duration: (now - task.created).max(0).saturating_mul(1_000),
        };
        store::renderings::insert(&mut *tx, &rendering).await?;
        mail(app, tx, task, &bundle.content_guid).await?;
    }
    Ok(())
}
