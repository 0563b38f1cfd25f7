//! Jobs: what ran for an item, and its log. Owners, collaborators and administrators see them.
//!
//! These are the parts of deploys and renders, see [`crate::build::jobs`], and the processes that answer visits, see
//! [`crate::runtime::processes`].
//!
//! What the product writes into the stream of `…/tail` is known as log entries; here it is one JSON object a line.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::AnyConnection;

use crate::access::{Role, Seen, editable};
use crate::app::App;
use crate::applications;
use crate::auth::Principal;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::{self, Query};
use crate::runtime::processes;
use crate::store;
use crate::store::jobs::Job;
use crate::system::HOSTNAME;
use crate::users::time;

/// The Unix user that content runs as unless it says otherwise.
pub const RUN_AS: &str = "rstudio-connect";

/// The keys of the variants of an item, by their ids.
async fn variant_keys(db: &mut AnyConnection, guid: &str) -> Result<BTreeMap<i64, String>> {
    let variants = store::variants::of_content(db, guid).await?;
    Ok(variants.into_iter().map(|variant| (variant.id, variant.key)).collect())
}

fn shown(app: &App, seen: &Seen, job: &Job, keys: &BTreeMap<i64, String>) -> Value {
    let mut shown = json!({
        "id": job.id.to_string(),
        "ppid": null,
        "pid": job.id.to_string(),
        "key": job.key,
        "remote_id": null,
        "app_id": seen.content.id.to_string(),
        "variant_id": job.variant_id.unwrap_or(0).to_string(),
        "variant_key": job.variant_id.and_then(|id| keys.get(&id)),
        "bundle_id": job.bundle_id.map(|id| id.to_string()),
        "start_time": time(job.started),
        "end_time": job.ended.map(time),
        "last_heartbeat_time": time(job.ended.unwrap_or_else(|| app.now())),
        "queued_time": job.queued.map(time),
        "queue_name": job.queued.map(|_| "default"),
        "tag": job.tag,
        "exit_code": job.exit_code,
        "error": job.error,
        "status": match (job.ended, &job.skip_reason) { (None, _) => 0, (_, None) => 2, (_, Some(_)) => 3 },
        "hostname": HOSTNAME,
        "cluster": null,
        "image": null,
        "run_as": job.run_as.as_deref().unwrap_or(RUN_AS),
        "skip_reason": job.skip_reason,
    });
    if app.config().version.with(Difference::JobContentIds) {
        shown["content_id"] = json!(seen.content.id.to_string());
        shown["content_guid"] = json!(seen.content.guid);
    }
    shown
}

/// `GET /v1/content/{guid}/jobs`
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn list(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let seen = editable(&mut db, &principal, &guid).await?;
    let jobs = store::jobs::of_content(&mut db, &guid).await?;
    let keys = variant_keys(&mut db, &guid).await?;
    Ok(Json(jobs.iter().map(|job| shown(&app, &seen, job, &keys)).collect()))
}

async fn find(db: &mut AnyConnection, principal: &Principal, guid: &str, key: &str) -> Result<(Seen, Job)> {
    let seen = editable(db, principal, guid).await?;
    let job = store::jobs::get(db, guid, key).await?.ok_or_else(|| Error::missing("job"))?;
    Ok((seen, job))
}

/// `GET /v1/content/{guid}/jobs/{key}`
///
/// # Errors
/// As [`list`].
pub async fn get(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let (seen, job) = find(&mut db, &principal, &guid, &key).await?;
    let keys = variant_keys(&mut db, &guid).await?;
    Ok(Json(shown(&app, &seen, &job, &keys)))
}

/// `DELETE /v1/content/{guid}/jobs/{key}`: an order to end it, which is carried out a second later on the World's clock.
///
/// # Errors
/// As [`list`]; 409 with code 163 for a job that is not active.
pub async fn kill(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let (seen, job) = find(&mut *app.read().await?, &principal, &guid, &key).await?;
    if job.ended.is_some() || !processes::order_end(&app, job.id).await? {
        let text = "The specified job cannot be terminated because it is not active";
        return Err(Error::conflict(Code::InactiveJob, text));
    }
    Ok(Json(json!({
        "guid": app.world().ids().uuid("kill-order"),
        "app_id": seen.content.id,
        "app_guid": seen.content.guid,
        "content_id": seen.content.id.to_string(),
        "content_guid": seen.content.guid,
        "job_id": job.id,
        "job_key": job.key,
        "result": "Order to kill job registered",
    })))
}

/// `GET /v1/content/{guid}/jobs/{key}/log`
///
/// # Errors
/// As [`list`]; 400 for a bad number.
pub async fn log(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
    query: Query,
) -> Result<Json<Value>> {
    let most = query.integer("maxLogLines", i64::MAX, -1..=i64::MAX)?;
    let mut db = app.read().await?;
    let (_, job) = find(&mut db, &principal, &guid, &key).await?;
    let text = store::jobs::log(&mut db, &job).await?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let lines: Vec<&str> = text.lines().collect();
    let entries: Vec<Value> =
        lines.iter().skip(lines.len().saturating_sub(most)).map(|line| entry(&job, line)).collect();
    Ok(Json(json!({ "entries": entries })))
}

fn entry(job: &Job, line: &str) -> Value {
    let source = if line.starts_with("[rsc-session]") { "stderr" } else { "stdout" };
    json!({"source": source, "timestamp": time(job.started), "data": line})
}

/// How often a follower looks whether a log has grown.
const LOOK: Duration = Duration::from_millis(250);

/// `GET /v1/content/{guid}/jobs/{key}/tail`: the log from its start, a JSON object a line, and what comes to it until the
/// job has ended.
///
/// # Errors
/// As [`list`].
pub async fn tail(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
) -> Result<Response> {
    find(&mut *app.read().await?, &principal, &guid, &key).await?;
    let follow = async_stream::try_stream! {
        let mut told = 0;
        loop {
            let mut db = app.read().await?;
            // Deleted meanwhile.
            let Some(job) = store::jobs::get(&mut db, &guid, &key).await? else { break };
            let text = store::jobs::log(&mut db, &job).await?;
            drop(db);
            for line in text.lines().skip(told) {
                told += 1;
                yield Bytes::from(format!("{}\n", entry(&job, line)));
            }
            if job.ended.is_some() {
                break;
            }
            tokio::select! {
                () = app.world().ending() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    };
    let follow: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>> = Box::pin(follow);
    Ok(([(CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(follow)).into_response())
}

/// Microseconds between two samples of a process.
const SAMPLE: i64 = 15_000_000;
/// The most samples of an answer; the newest are kept.
const MOST_SAMPLES: i64 = 1_000;

/// What a simulated process uses at a moment: a function of the process and the moment, a little more when it has just
/// started. The answers that hold it say so.
#[must_use]
pub fn usage(job: &Job, at: i64) -> (f64, i64) {
    let noise = Sha256::digest(format!("{} {}", job.key, at / SAMPLE));
    let young = if at - job.started < SAMPLE { 40.0 } else { 1.0 };
    let cpu = (f64::from(noise[0]) / 256.0 * young).round() / 100.0;
    (cpu, (96 << 20) + i64::from(noise[1]) * 65_536)
}

/// `GET /v1/content/{guid}/jobs/{key}/metrics`: a sample every 15 seconds of a process's life, when the item's metrics
/// are collected. No code runs, so what is sampled is invented; `X-Simulated` says so.
///
/// # Errors
/// As [`list`]; 400 for a bad time.
pub async fn metrics(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
    query: Query,
) -> Result<Response> {
    let (from, to) = (input::moment(&query, "from")?, input::moment(&query, "to")?);
    let (seen, job) = find(&mut *app.read().await?, &principal, &guid, &key).await?;
    let collected = job.is_process && seen.content.settings.metrics_collection_enabled.unwrap_or(true);
    let end = job.ended.unwrap_or_else(|| app.now());
    let mut samples = Vec::new();
    if collected {
        let last = (end.min(to.unwrap_or(end)) - job.started).div_euclid(SAMPLE);
        let first = from.map_or(0, |from| (from - job.started + SAMPLE - 1).div_euclid(SAMPLE)).max(0);
        for number in first.max(last - MOST_SAMPLES + 1)..=last {
            let at = job.started + number * SAMPLE;
            let (cpu, memory) = usage(&job, at);
            let now = job.ended.is_none() && number == (end - job.started).div_euclid(SAMPLE);
            samples.push(json!({
                "timestamp": time(at), "cpu_fraction": cpu, "memory_bytes": memory,
                "connections": if now { Some(app.processes().connections(job.id)) } else { None },
                "process_id": job.id,
            }));
        }
    }
    let answer = json!({"content_guid": guid, "job_key": key, "samples": samples});
    Ok(([("x-simulated", "samples")], Json(answer)).into_response())
}

/// The widths of the bars of a histogram, in minutes: the first of which there are at most 60.
const BARS: [i64; 9] = [5, 15, 60, 180, 360, 1_440, 10_080, 20_160, 43_200];

/// `GET /v1/experimental/jobs/summary`: how the runs of schedules ended. Of the items that the caller may change, of all
/// for administrators.
///
/// # Errors
/// 400 for a bad time, 403 for viewers.
pub async fn summary(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let (from, to) = (input::moment(&query, "from")?, input::moment(&query, "to")?);
    let mut db = app.read().await?;
    let jobs = store::jobs::scheduled(&mut db, from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)).await?;
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    for guid in jobs.iter().map(|job| &job.content_guid) {
        if !known.contains_key(guid) {
            let mine = editable(&mut db, &principal, guid).await.is_ok();
            known.insert(guid.clone(), mine);
        }
    }
    let jobs: Vec<&Job> = jobs.iter().filter(|job| known.get(&job.content_guid) == Some(&true)).collect();
    let (mut waiting, mut running) = (0, 0);
    if to.is_none_or(|to| to >= app.now()) {
        for task in store::tasks::scheduled(&mut db).await? {
            let guid = task.content_guid.as_deref().unwrap_or_default();
            if editable(&mut db, &principal, guid).await.is_ok() {
                if task.state == "running" { running += 1 } else { waiting += 1 }
            }
        }
    }
    let count = |jobs: &[&&Job], what: fn(&Job) -> bool| jobs.iter().filter(|job| what(job)).count();
    let succeeded: fn(&Job) -> bool = |job| job.exit_code == Some(0);
    let failed: fn(&Job) -> bool = |job| job.exit_code.is_some_and(|code| code != 0);
    let skipped: fn(&Job) -> bool = |job| job.skip_reason.is_some();
    let all: Vec<&&Job> = jobs.iter().collect();
    let totals = json!({
        "waiting": waiting, "running": running, "succeeded": count(&all, succeeded), "failed": count(&all, failed),
        "skipped": count(&all, skipped),
    });
    let mut buckets = Vec::new();
    if let (Some(first), Some(last)) = (jobs.first(), jobs.last()) {
        let (start, end) = (from.unwrap_or(first.started), to.unwrap_or(last.started).min(app.now()));
        let bars = |minutes: i64| (end - start) / (minutes * 60_000_000) < 60;
        let width = BARS.iter().copied().find(|minutes| bars(*minutes)).unwrap_or(43_200) * 60_000_000;
        let mut by_bar: BTreeMap<i64, Vec<&&Job>> = BTreeMap::new();
        for job in &jobs {
            by_bar.entry(job.started.div_euclid(width)).or_default().push(job);
        }
        for (bar, jobs) in by_bar {
            buckets.push(json!({
                "timestamp": time(bar * width), "succeeded": count(&jobs, succeeded),
                "failed": count(&jobs, failed), "skipped": count(&jobs, skipped),
            }));
        }
    }
    Ok(Json(json!({"totals": totals, "buckets": buckets})))
}

/// `GET /v1/content/{guid}/jobs/{key}/download`: under the name `filename`, if one is given.
///
/// # Errors
/// As [`list`].
pub async fn download(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
    query: Query,
) -> Result<Response> {
    let mut db = app.read().await?;
    let (_, job) = find(&mut db, &principal, &guid, &key).await?;
    let text = store::jobs::log(&mut db, &job).await?;
    let own = format!("{}.log", job.key);
    // What could end the quoted name, or is no character of a header, is not part of it.
    let plain = |c: char| if c.is_ascii_alphanumeric() || " ._-()+".contains(c) { c } else { '_' };
    let name: String = query.text("filename").unwrap_or(&own).chars().take(255).map(plain).collect();
    let name = format!("attachment; filename=\"{name}\"");
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)], text).into_response())
}

/// `GET /v1/content/{guid}/jobs/{key}/error`: 204 when it did not fail.
///
/// # Errors
/// As [`list`].
pub async fn error(
    State(app): State<App>,
    principal: Principal,
    Path((guid, key)): Path<(String, String)>,
) -> Result<Response> {
    let (_, job) = find(&mut *app.read().await?, &principal, &guid, &key).await?;
    Ok(match job.error {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(summary) => {
            let (code, help_url) = reason(&job.tag, &summary);
            Json(json!({"code": code, "summary": summary, "help_url": help_url})).into_response()
        }
    })
}

/// The page that explains errors of the product's builds, a heading a code.
const HELP: &str = "https://docs.posit.co/connect/user/troubleshooting/";

/// A word for why a job failed, and where it is explained. Of the product's words two are known: for a Python package of which
/// no version fits, and for builds in general; the others are guesses. Only the first leads to a heading of the page.
#[must_use]
pub fn reason(tag: &str, summary: &str) -> (&'static str, String) {
    let code = match tag {
        "python_restore" if summary.contains("No matching distribution") => {
            let code = "python-package-version-not-available";
            return (code, format!("{HELP}#{code}"));
        }
        "git" => "git-fetch-failed",
        "python_restore" | "packrat_restore" => BUILD_FAILED,
        _ if tag.starts_with("build_") => BUILD_FAILED,
        _ => "process-failed",
    };
    (code, HELP.to_owned())
}

/// The product's word for a build that failed for no particular reason.
const BUILD_FAILED: &str = "build-failed-error";

fn legacy_shown(seen: &Seen, job: &Job) -> Value {
    json!({
        "id": job.id, "pid": job.id, "key": job.key, "app_id": seen.content.id, "app_guid": seen.content.guid,
        "variant_id": job.variant_id.unwrap_or(0), "bundle_id": job.bundle_id, "start_time": job.started / 1_000_000,
        "end_time": job.ended.map(|ended| ended / 1_000_000), "tag": job.tag, "exit_code": job.exit_code,
        "finalized": job.ended.is_some(), "hostname": HOSTNAME,
    })
}

/// `GET /applications/{id}/jobs`: the shape of servers before 2022.10.0, with numbers.
///
/// # Errors
/// 403 for an item one may not change; 404 when there is none that the caller may see.
pub async fn legacy_list(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let seen = applications::find(&mut db, &principal, &id).await?;
    editable(&mut db, &principal, &seen.content.guid).await?;
    let jobs = store::jobs::of_content(&mut db, &seen.content.guid).await?;
    Ok(Json(jobs.iter().map(|job| legacy_shown(&seen, job)).collect()))
}

/// `GET /applications/{id}/job/{key}`: with the log.
///
/// # Errors
/// As [`legacy_list`]; 404 for no such job.
pub async fn legacy_get(
    State(app): State<App>,
    principal: Principal,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    let seen = applications::find(&mut db, &principal, &id).await?;
    let (seen, job) = find(&mut db, &principal, &seen.content.guid, &key).await?;
    let log = store::jobs::log(&mut db, &job).await?;
    Ok(Json(json!({
        "id": job.id, "ppid": 1, "pid": job.id, "key": job.key, "app_id": seen.content.id, "app_guid": seen.content.guid,
        "variant_id": job.variant_id.unwrap_or(0), "bundle_id": job.bundle_id, "tag": job.tag,
        "finalized": job.ended.is_some(), "hostname": HOSTNAME, "origin": "0001-01-01T00:00:00Z", "stdout": log,
        "stderr": "", "logged_error": job.error, "exit_code": job.exit_code, "start_time": job.started / 1_000_000,
        "end_time": job.ended.map(|ended| ended / 1_000_000),
    })))
}
