//! `GET /__ping__` and `GET /__api__/status`.
//!
//! The status document is what renv, pak, rig and Positron read to find out what the server can do. Its members are the union of
//! those observed on releases 2025.12 and 2026.06. Ours are `simulated` and `sync`, how the synchronisation of each source stands.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use serde_json::{Value, json};

use super::time;
use crate::VERSION;
use crate::app::App;
use crate::bioc;
use crate::error::{ApiError, Error};
use crate::platform::{MACOS, R_VERSIONS};
use crate::record::instant;
use crate::store::transactions;

/// `GET /__ping__`
pub async fn ping() -> &'static str {
    ""
}

/// `GET /__api__/status`
pub async fn status(State(app): State<App>) -> Result<Response, ApiError> {
    let view = app.view();
    let has = |kind: &str| view.repos.values().any(|repo| repo.kind == kind);
    let cran = view.repos_in_order().into_iter().find(|repo| repo.kind == "R").map(|repo| repo.name.clone());
    let status = json!({
        "version": VERSION,
        "build_date": "2026-06-30T00:00:00Z",
        "simulated": true,
        "metrics_enabled": app.0.config.metrics.enabled,
        "r_configured": has("R"),
        "python_configured": has("Python"),
        "binaries_enabled": true,
        "display_ash": false,
        "custom_home": false,
        "custom_home_title": "",
        "ga_id": "",
        "sso_enabled": true,
        "auth_available": true,
        "auth_enabled": false,
        "repos_require_auth": view.repos.values().any(|repo| repo.authenticated),
        "public_p3m": false,
        "distros": *view.documents.distros,
        "cran_repo": cran,
        "bioc_versions": bioc::versions(&view),
        "r_versions": R_VERSIONS,
        "macos_urls": macos_urls(),
        "support_window": { "disable_expiry_banner": true, "days_left": 365, "days_reminder": 0 },
        "sync": sync(&app).await?,
    });
    Ok(([(CACHE_CONTROL, "no-cache")], Json(status)).into_response())
}

/// Which path segment macOS binaries have, by R version and CPU.
fn macos_urls() -> Value {
    let of = |flavors: &[(&str, &str)]| {
        flavors.iter().map(|(arch, flavor)| ((*arch).to_owned(), (*flavor).into())).collect()
    };
    Value::Object(MACOS.iter().map(|(r, flavors)| ((*r).to_owned(), Value::Object(of(flavors)))).collect())
}

/// How the synchronisation of each source stands.
pub(crate) async fn sync(app: &App) -> Result<Vec<Value>, Error> {
    let view = app.view();
    let mut all = Vec::new();
    for source in view.sources.iter().filter(|source| source.feed.is_some()) {
        let progress = app.progress(source.id);
        let newest = view.newest.get(&source.id);
        // After a restart the last failure is still a failure.
        let error = match progress.error {
            None if progress.succeeded_at.is_none() => transactions::list(app.world().db(), source.id, false, 1, 0)
                .await?
                .into_iter()
                .find(|last| last.result != 0)
                .map(|last| (instant(last.completed_at), last.error)),
            known => known,
        };
        let state = match (progress.running, &error, newest) {
            (true, ..) => "syncing",
            (_, Some(_), _) => "failed",
            (_, _, Some(_)) => "synced",
            _ => "never synced",
        };
        all.push(json!({
            "source": source.name,
            "state": state,
            "snapshot_date": newest.map(|point| instant(point.as_of).date_naive()),
            "transaction": newest.map(|point| point.tx),
            "checkpoint": progress.running.then_some(progress.checkpoint),
            "records": progress.running.then_some(progress.records),
            "head": progress.running.then_some(progress.head),
            "packages": progress.running.then_some(progress.packages),
            "files": progress.running.then_some(progress.files),
            "bytes": progress.running.then_some(progress.bytes),
            "mode": app.0.config.feed_of(source).mode,
            "schedule": app.0.config.feed_of(source).schedule.to_string(),
            "succeeded_at": progress.succeeded_at.map(|t| time(t.timestamp_micros())),
            "failed_at": error.as_ref().map(|(at, _)| time(at.timestamp_micros())),
            "error": error.map(|(_, reason)| reason),
        }));
    }
    Ok(all)
}
