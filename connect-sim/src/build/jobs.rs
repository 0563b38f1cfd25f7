//! The jobs of tasks: a repository that is fetched, packages that are restored, a document that is rendered.
//!
//! A render is there as soon as it is asked for, and waits for what comes before it; the others begin with their work. A
//! render whose turn does not come, since the build failed or was taken out of the queue, ends as skipped. Their log is the
//! output of the task. To kill one of them is to end the task.

use std::time::Duration;

use serde_json::Value;
use sim_kit::Tx;

use super::steps::{Failure, Stop};
use crate::app::App;
use crate::content_type::{ContentType, Kind};
use crate::error::{Error, Result};
use crate::runtime::processes::KILLED;
use crate::store;
use crate::store::bundles::Bundle;
use crate::store::jobs::Job;
use crate::store::renderings::Rendering;
use crate::store::tasks::Task;
use crate::subscriptions::{self, Recipients};
use crate::variants;

/// How often it is looked whether another server has killed a job.
const LOOK: Duration = Duration::from_secs(1);

/// The tag of the job that renders what a task makes of a bundle of this type; none when nothing is rendered.
fn render_tag(task: &Task, app_mode: &str) -> Option<&'static str> {
    let mode = ContentType::of(app_mode).filter(|mode| mode.kind() == Kind::Rendered)?;
    let renders = task.kind == "render" || (task.kind == "deploy" && task.activate);
    renders.then(|| mode.job_tag())
}

fn is_running(job: &Job) -> bool {
    job.ended.is_none()
}

/// Whether a job renders, by its tag.
fn renders(job: &Job) -> bool {
    ContentType::ALL.iter().any(|mode| mode.kind() == Kind::Rendered && mode.job_tag() == job.tag)
}

async fn insert(app: &App, tx: &mut Tx, task: &Task, tag: &str) -> Result<Job> {
    let id = store::next(&mut *tx, "job").await?;
    let guid = task.content_guid.as_deref().unwrap_or_default();
    let job = Job {
        task_id: Some(task.id.clone()),
        bundle_id: task.bundle_id,
        variant_id: task.variant_id,
        queued: task.detail.get("scheduled").and_then(Value::as_i64),
        ..Job::new(id, app.world().ids().token("job", 16), guid, tag, app.now())
    };
    store::jobs::insert(&mut *tx, &job, "").await?;
    Ok(job)
}

/// Inserts a task, for a bundle of the type `app_mode` where that is known, and the render that waits for it.
///
/// # Errors
/// When the database fails.
pub async fn submit(app: &App, tx: &mut Tx, task: &Task, app_mode: Option<&str>) -> Result<()> {
    store::tasks::insert(&mut *tx, task).await?;
    if let Some(tag) = app_mode.and_then(|app_mode| render_tag(task, app_mode)) {
        insert(app, tx, task, tag).await?;
    }
    Ok(())
}

/// Begins the job `tag` of a task, which follows what it did before.
///
/// # Errors
/// [`Stop`] when the item is gone or the database fails.
pub(crate) async fn begin(app: &App, task: &Task, tag: &str) -> std::result::Result<(), Stop> {
    let mut tx = app.write().await?.routine();
    let guid = task.content_guid.as_deref().unwrap_or_default();
    if store::content::hold(&mut tx, guid).await?.is_none() {
        return Err(Failure::new(1, "The content was deleted during the task.").into());
    }
    for job in at_work(&mut tx, task).await? {
        let ended = Some(app.now());
        store::jobs::finish(&mut tx, &Job { ended, exit_code: Some(0), bundle_id: task.bundle_id, ..job }).await?;
    }
    insert(app, &mut tx, task, tag).await?;
    Ok(tx.commit().await.map_err(Error::from)?)
}

/// The jobs of a task that are at work, but for a render, which is when the task is done.
async fn at_work(tx: &mut Tx, task: &Task) -> Result<Vec<Job>> {
    let mut jobs = store::jobs::of_task(&mut *tx, &task.id).await?;
    jobs.retain(|job| is_running(job) && !renders(job));
    Ok(jobs)
}

/// Ends what was at work for a task when its server went down.
///
/// # Errors
/// When the database fails.
pub(super) async fn interrupted(app: &App, task: &Task) -> Result<()> {
    let mut tx = app.write().await?.routine();
    for job in at_work(&mut tx, task).await? {
        let error = Some("The server went down.".to_owned());
        store::jobs::finish(&mut tx, &Job { ended: Some(app.now()), exit_code: Some(1), error, ..job }).await?;
    }
    Ok(tx.commit().await?)
}

/// Returns when a job of a task has been killed.
pub(super) async fn killed(app: &App, id: &str) {
    let bell = app.bell(id);
    loop {
        // A bell rings on this server only.
        let _ = tokio::time::timeout(LOOK, bell.notified()).await;
        let look = async { Ok::<_, Error>(store::jobs::of_task(&mut *app.read().await?, id).await?) };
        match look.await {
            Ok(jobs) if jobs.iter().any(was_killed) => return,
            Ok(_) => {}
            Err(error) => tracing::warn!(task = id, %error, "the jobs of a task cannot be read"),
        }
    }
}

/// Whether a job of a task was killed.
pub(super) fn was_killed(job: &Job) -> bool {
    job.exit_code == Some(KILLED)
}

/// Why a task fails of which a job was killed.
pub(super) fn terminated() -> Failure {
    Failure::new(1, "The job was terminated.")
}

/// What is told of a task that fails in one of its `jobs`, in the product's words: the error of the task, by which Publisher
/// finds the reason, and the last lines of its output. None where no job failed, or its end was ordered.
pub(super) fn told(jobs: &[Job], task: &Task, failure: &Failure) -> Option<(String, Vec<String>)> {
    let fails = |job: &&Job| is_running(job) && job.tag != "git" && (!renders(job) || task.kind == "render");
    let job = jobs.iter().find(fails).filter(|_| !jobs.iter().any(was_killed))?;
    let (code, help) = crate::jobs::reason(&job.tag, &failure.text);
    let text = "An error occurred while building your content.";
    let advice = "This link offers advice for this kind of error:";
    let lines = [&failure.text, "", text, advice, &format!("    {help}")].map(str::to_owned);
    Some((format!("{text} (Error code: {code})"), lines.into()))
}

/// Ends the `jobs` of a task that failed.
///
/// # Errors
/// When the database fails.
pub(super) async fn failed(app: &App, tx: &mut Tx, task: &Task, jobs: Vec<Job>, failure: &Failure) -> Result<()> {
    for mut job in jobs.into_iter().filter(is_running) {
        job.ended = Some(app.now());
        if renders(&job) && task.kind != "render" {
            job.skip_reason = Some("The build failed before the document was rendered.".to_owned());
        } else {
            job.exit_code = Some(1);
            job.error = Some(failure.text.clone());
        }
        store::jobs::finish(&mut *tx, &job).await?;
    }
    Ok(())
}

/// Ends the jobs of a task that was taken out of the queue.
///
/// # Errors
/// When the database fails.
pub async fn skip(app: &App, tx: &mut Tx, task: &Task, reason: &str) -> Result<()> {
    for job in store::jobs::of_task(&mut *tx, &task.id).await?.into_iter().filter(is_running) {
        let skip_reason = Some(reason.to_owned());
        store::jobs::finish(&mut *tx, &Job { ended: Some(app.now()), skip_reason, ..job }).await?;
    }
    Ok(())
}

/// Ends the `jobs` of a task that is done, and notes and mails what it rendered.
///
/// # Errors
/// When the database fails.
pub(super) async fn succeeded(
    app: &App,
    tx: &mut Tx,
    task: &Task,
    mut jobs: Vec<Job>,
    bundle: Option<&Bundle>,
) -> Result<()> {
    let now = app.now();
    jobs.retain(is_running);
    let rendered = bundle.and_then(|bundle| Some((bundle, render_tag(task, &bundle.app_mode)?)));
    // Of a repository, the type of its content was not known before.
    if let Some((_, tag)) = rendered
        && !jobs.iter().any(|job| job.tag == tag)
    {
        jobs.push(insert(app, tx, task, tag).await?);
    }
    for job in &mut jobs {
        *job = Job { ended: Some(now), exit_code: Some(0), bundle_id: task.bundle_id, ..job.clone() };
        if let Some((bundle, _)) = rendered.filter(|(_, tag)| *tag == job.tag) {
            let variant_id = match task.variant_id {
                Some(id) => id,
                None => variants::default_of(app, &mut *tx, &bundle.content_guid, now).await?.id,
            };
            job.variant_id = Some(variant_id);
            let rendering = Rendering {
                id: store::next(&mut *tx, "rendering").await?,
                variant_id,
                bundle_id: bundle.id,
                job_key: job.key.clone(),
                rendered: now,
                duration: (now - task.created).max(0).saturating_mul(1_000),
            };
            store::renderings::insert(&mut *tx, &rendering).await?;
            mail(app, tx, task, &bundle.content_guid).await?;
        }
        store::jobs::finish(&mut *tx, job).await?;
    }
    Ok(())
}

/// Mails what a schedule that mails has rendered: to those whom the variant's settings name, and to its subscribers.
async fn mail(app: &App, tx: &mut Tx, task: &Task, content_guid: &str) -> Result<()> {
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
