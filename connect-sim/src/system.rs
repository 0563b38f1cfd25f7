//! The server as a whole: caches of runtimes, checks, Chronicle, who was active, mail.
//!
//! All of it is for administrators.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Query};
use crate::jobs;
use crate::mail;
use crate::store;
use crate::store::system::CheckRun;
use crate::store::tasks::Task;
use crate::store::users::Filter;
use crate::users::time;

/// The only host and image of the simulated runtime.
pub(crate) const HOSTNAME: &str = "teamsim";
const IMAGE: &str = "Local";

/// `GET /v1/system/caches/runtime`: of languages and versions that packages were restored for.
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn caches(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let caches = store::system::caches(&mut *app.read().await?).await?;
    let shown =
        |(language, version): &(String, String)| json!({"language": language, "version": version, "image_name": IMAGE});
    Ok(Json(json!({"caches": caches.iter().map(shown).collect::<Vec<_>>()})))
}

/// A task whose work is done with its insertion.
fn done(app: &App, principal: &Principal, kind: &str) -> Task {
    Task::new(app.world().ids().token("task", 16), kind, &principal.user.guid, app.now())
}

/// `DELETE /v1/system/caches/runtime`
///
/// # Errors
/// 400 for a bad body, 403 unless an administrator asks, 404 for no such cache.
pub async fn uncache(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let (language, version) = (fields.required("language")?, fields.required("version")?);
    let image = fields.text("image_name")?.value().unwrap_or_else(|| IMAGE.to_owned());
    let dry = fields.flag("dry_run")?.value().unwrap_or(false);
    if !matches!(language.to_ascii_lowercase().as_str(), "r" | "python") {
        return Err(Error::bad(Code::InvalidRuntimeLanguage, "`language` must be R or Python."));
    }
    let mut tx = app.write().await?;
    let all = store::system::caches(&mut tx).await?;
    let cache = all.iter().find(|cache| cache.0.eq_ignore_ascii_case(&language) && cache.1 == version);
    let missing = || Error::not_found(Code::ObjectDoesNotExist, "Cache does not exist");
    let (language, version) = cache.filter(|_| image == IMAGE).ok_or_else(missing)?;
    let mut answer = json!({"language": language, "version": version, "image_name": IMAGE, "task_id": null});
    if !dry {
        store::system::uncache(&mut tx, language, version).await?;
        let task = done(&app, &principal, "uncache");
        let output = [format!("Removing the {language} {version} cache (simulated)...")];
        store::tasks::insert_finished(&mut tx, &task, &output).await?;
        tx.commit().await?;
        answer["task_id"] = json!(task.id);
    }
    Ok(Json(answer))
}

fn shown(run: &CheckRun) -> Value {
    let passed = run.results.iter().filter(|result| result["passed"] == true).count();
    json!({
        "id": run.id.to_string(), "start_time": time(run.started), "hostname": run.hostname, "status": "done",
        "passed": passed, "failed": run.results.len() - passed,
    })
}

/// `GET /v1/system/checks`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn checks(State(app): State<App>, principal: Principal) -> Result<Json<Vec<Value>>> {
    principal.require(Role::Administrator)?;
    Ok(Json(store::system::runs(&mut *app.read().await?).await?.iter().map(shown).collect()))
}

/// `POST /v1/system/checks`: the checks are carried out before the answer.
///
/// # Errors
/// 400 for another host, 403 unless an administrator asks.
pub async fn check(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    if fields.text("hostname")?.value().is_some_and(|name| !name.is_empty() && name != HOSTNAME) {
        return Err(Error::bad(Code::InvalidHost, format!("`hostname` must be the only host, {HOSTNAME}.")));
    }
    let result = |group: &str, test: &str, outcome: std::result::Result<String, String>| {
        let passed = outcome.is_ok();
        let (output, error) = match outcome {
            Ok(output) => (output, String::new()),
            Err(error) => (String::new(), error),
        };
        json!({
            "group": {"name": group, "args": {}}, "test": {"name": test, "args": {}}, "passed": passed,
            "output": output, "error": error,
        })
    };
    let mut tx = app.write().await?;
    let id = store::next(&mut tx, "check").await?;
    let users = store::users::count(&mut tx).await;
    let blobs = async {
        let bytes = Bytes::from(format!("check {id}"));
        let digest = app.world().blobs().put(bytes.clone()).await?;
        let read = app.world().blobs().get(&digest).await?;
        app.world().blobs().delete(&digest).await?;
        Ok::<_, sim_kit::blobs::BlobError>(read == bytes)
    };
    let blobs = match blobs.await {
        Ok(true) => Ok("A blob was written, read and deleted.".to_owned()),
        Ok(false) => Err("A blob was read as something else than was written.".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let users = users.map(|n| format!("The database answers; it has {n} users.")).map_err(|error| error.to_string());
    let config = app.config();
    let repository = match (&config.pypi_url, config.cran_urls.first()) {
        (None, None) => Err("No package repository is configured; give --pypi-url or --cran-url.".to_owned()),
        (python, r) => Ok([python.as_ref(), r].into_iter().flatten().cloned().collect::<Vec<_>>().join(", ")),
    };
    let results = vec![
        result("server", "database", users),
        result("server", "storage", blobs),
        result("packages", "repositories", repository),
    ];
    let run = CheckRun { id, started: app.now(), hostname: HOSTNAME.to_owned(), results };
    store::system::insert_run(&mut tx, &run).await?;
    tx.commit().await?;
    Ok(Json(shown(&run)))
}

async fn run(app: &App, principal: &Principal, id: &str) -> Result<CheckRun> {
    principal.require(Role::Administrator)?;
    let runs = store::system::runs(&mut *app.read().await?).await?;
    runs.into_iter().find(|run| run.id.to_string() == id).ok_or_else(|| Error::missing("check"))
}

/// `GET /v1/system/checks/{id}`
///
/// # Errors
/// 403 unless an administrator asks, 404 when there is none.
pub async fn check_run(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    Ok(Json(shown(&run(&app, &principal, &id).await?)))
}

/// `DELETE /v1/system/checks/{id}`
///
/// # Errors
/// As [`check_run`].
pub async fn delete_run(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    let run = run(&app, &principal, &id).await?;
    let mut tx = app.write().await?;
    store::system::delete_run(&mut tx, run.id).await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/system/checks/{id}/results`
///
/// # Errors
/// As [`check_run`].
pub async fn results(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    let run = run(&app, &principal, &id).await?;
    Ok(Json(json!({"run": shown(&run), "results": run.results})))
}

/// `GET /v1/system/chronicle`: there is no agent here.
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn chronicle(principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    Ok(Json(json!({"enabled": false, "ready": false})))
}

/// `GET /v1/system/hosts`: the one that answers is there.
///
/// # Errors
/// 400 for a bad flag, 403 unless an administrator asks.
pub async fn hosts(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    query.flag("active", false)?;
    let (version, now) = (app.config().version.to_string(), time(app.now()));
    Ok(Json(json!([{"hostname": HOSTNAME, "version": version, "last_seen": now}])))
}

/// `GET /v1/system/offhost/service-accounts`: there are none, as content runs on this host.
///
/// # Errors
/// 403 for viewers.
pub async fn service_accounts(principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    Ok(Json(json!({"enabled": false, "default": null, "accounts": []})))
}

/// `GET /v1/feature-usage`. The product's names of features are not known; these are ours.
///
/// # Errors
/// 403 for viewers.
pub async fn features(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let used = store::system::features(&mut *app.read().await?).await?;
    Ok(Json(used.iter().map(|(name, used)| json!({"name": name, "used": used})).collect()))
}

/// `GET /metrics/procs`: the processes that run, by number. What they use is invented, see [`crate::jobs::usage`].
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn processes(State(app): State<App>, origin: Origin, principal: Principal) -> Result<Response> {
    principal.require(Role::Administrator)?;
    let (origin, now) = (app.origin(origin), app.now());
    let mut db = app.read().await?;
    let mut shown = serde_json::Map::new();
    for job in store::jobs::processes(&mut db, None).await? {
        let Some(content) = store::content::by_guid(&mut db, &job.content_guid).await? else { continue };
        let (cpu, memory) = jobs::usage(&job, now);
        // Whole seconds: R would refuse a fraction.
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation)]
        let total = ((now - job.started) as f64 / 1e6 * cpu).round() as i64;
        let process = json!({
            "appId": content.id, "appGuid": content.guid, "appName": content.name,
            "appUrl": origin.url(&format!("/content/{}/", content.guid)),
            "appRunAs": job.run_as.as_deref().unwrap_or(jobs::RUN_AS), "type": job.tag,
            "cpuCurrent": cpu, "cpuTotal": total, "ram": memory,
        });
        shown.insert(job.id.to_string(), process);
    }
    Ok(([("x-simulated", "cpu, ram")], Json(Value::Object(shown))).into_response())
}

/// `GET /v1/metrics/users/active`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn active_users(State(app): State<App>, principal: Principal) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let (users, _) = store::users::list(&mut *app.read().await?, &Filter::default(), i64::MAX, 0).await?;
    let now = app.now();
    let mut windows = serde_json::Map::new();
    for days in [1, 7, 30, 365] {
        let since = now - days * 86_400_000_000;
        let active = |role: Option<Role>| {
            let of = |user: &&store::users::User| role.is_none_or(|role| user.role == role);
            users.iter().filter(of).filter(|user| user.active.is_some_and(|at| at >= since)).count()
        };
        let counts = json!({
            "total": active(None), "admin": active(Some(Role::Administrator)),
            "publisher": active(Some(Role::Publisher)), "viewer": active(Some(Role::Viewer)),
        });
        windows.insert(format!("{days}d"), counts);
    }
    Ok(Json(json!({ "windows": windows })))
}

/// `POST /v1/tasks/send-test-email`
///
/// # Errors
/// 400 for what is no address, 403 unless an administrator asks.
pub async fn test_email(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let to = fields.required("to")?;
    if !mail::is_address(&to) {
        return Err(Error::bad(Code::InvalidEmailFormat, "`to` must be an email address."));
    }
    let mut tx = app.write().await?;
    let about = format!("Test mail of {}", app.config().system_name);
    mail::write(&app, &mut tx, &to, &about, "This is a test. A simulator of Connect wrote it.").await?;
    let task = done(&app, &principal, "mail");
    store::tasks::insert_finished(&mut tx, &task, &[mail::told(&app, &to)]).await?;
    tx.commit().await?;
    app.ring_for_mail();
    Ok(Json(json!({"task_id": task.id})))
}
