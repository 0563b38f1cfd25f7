//! What administrators see of the server.

use axum::response::Response;
use serde_json::{Value, json};

use super::dashboard::Visit;
use super::listing::tree;
use crate::access::Role;
use crate::error::{Error, Result};
use crate::mail;
use crate::store;
use crate::users::time;

/// Entries of the audit log on a page.
const PAGE: usize = 50;

/// `system/…`
///
/// # Errors
/// 403 unless an administrator looks.
pub async fn show(visit: &Visit, below: &[&str]) -> Result<Response> {
    visit.principal.require(Role::Administrator)?;
    match below {
        [] | ["info"] => info(visit).await,
        ["checks"] => checks(visit, None).await,
        ["checks", id] => checks(visit, Some(id)).await,
        ["audit" | "audit_logs"] => audit(visit).await,
        ["schedules" | "scheduled_content"] => schedules(visit).await,
        ["jobs" | "processes"] => jobs(visit).await,
        ["runtimes"] => runtimes(visit).await,
        ["environments"] => environments(visit).await,
        ["integrations"] => integrations(visit).await,
        ["integrations", "new", template] => integration(visit, None, Some(template)).await,
        ["integrations", guid] => integration(visit, Some(guid), None).await,
        ["tags"] => tags(visit).await,
        ["mail"] => mail(visit).await,
        _ => Err(Error::NoRoute),
    }
}

fn page(visit: &Visit, tab: &str, mut values: Value) -> Result<Response> {
    let has = |release: &str| visit.app.config().version.has(release);
    let mut tabs = vec![("info", "Overview"), ("checks", "Checks"), ("audit", "Audit log"), ("jobs", "Jobs")];
    tabs.extend([("schedules", "Schedules"), ("runtimes", "Runtimes")]);
    if has("2023.05.0") {
        tabs.push(("environments", "Environments"));
    }
    if has("2024.08.0") {
        tabs.push(("integrations", "Integrations"));
    }
    tabs.extend([("tags", "Tags"), ("mail", "Mail")]);
    values["tab"] = json!(tab);
    values["tabs"] = json!(tabs);
    visit.page(&format!("system_{tab}.html"), values)
}

async fn info(visit: &Visit) -> Result<Response> {
    let api = &visit.api;
    let settings = api.get("/server_settings").await?;
    let active = api.maybe("/v1/metrics/users/active").await?;
    let chronicle = api.maybe("/v1/system/chronicle").await?;
    let mut db = visit.app.read().await?;
    let (items, deployed) = store::content::counts(&mut db).await?;
    let counts = json!({"users": store::users::count(&mut db).await?, "content": items, "deployed": deployed});
    let config = visit.app.config();
    let repositories: Vec<&String> = config.pypi_url.iter().chain(&config.cran_urls).collect();
    let now = time(visit.app.now());
    page(
        visit,
        "info",
        json!({
            "settings": settings, "active": active, "chronicle": chronicle, "counts": counts,
            "repositories": repositories, "now": now,
        }),
    )
}

async fn checks(visit: &Visit, id: Option<&str>) -> Result<Response> {
    let runs = visit.api.maybe("/v1/system/checks").await?;
    let chosen = match id {
        Some(id) => visit.api.get(&format!("/v1/system/checks/{id}/results")).await?,
        None => match runs[0]["id"].as_str() {
            Some(newest) => visit.api.maybe(&format!("/v1/system/checks/{newest}/results")).await?,
            None => Value::Null,
        },
    };
    page(visit, "checks", json!({"runs": runs, "chosen": chosen}))
}

async fn audit(visit: &Visit) -> Result<Response> {
    let number = visit.query.integer("page", 1, 1..=1_000_000)?;
    let text = visit.query.text("q");
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(text.map(|text| ("q", text)))
        .append_pair("page_size", &PAGE.to_string())
        .append_pair("page_number", &number.to_string())
        .finish();
    let found = visit.api.get(&format!("/v1/search/auditlogs?{query}")).await?;
    let pages =
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(text.map(|text| ("q", text))).finish();
    let values = json!({
        "entries": found["results"], "total": found["total"], "page_size": PAGE, "number": number, "text": text,
        "pages": pages,
    });
    page(visit, "audit", values)
}

async fn schedules(visit: &Visit) -> Result<Response> {
    let all = visit.api.maybe("/v1/experimental/schedules?detailed=true").await?;
    page(visit, "schedules", json!({"schedules": all["schedules"]}))
}

async fn jobs(visit: &Visit) -> Result<Response> {
    let mut db = visit.app.read().await?;
    let mut jobs = Vec::new();
    for job in store::jobs::newest(&mut db, 100).await? {
        let content = store::content::by_guid(&mut db, &job.content_guid).await?;
        let title = content.map(|content| content.title.unwrap_or(content.name));
        jobs.push(json!({
            "key": job.key, "guid": job.content_guid, "title": title, "tag": job.tag, "started": time(job.started),
            "ended": job.ended.map(time), "exit_code": job.exit_code, "skip_reason": job.skip_reason,
        }));
    }
    drop(db);
    let processes = visit.api.maybe("/metrics/procs").await?;
    page(visit, "jobs", json!({"jobs": jobs, "processes": processes}))
}

async fn runtimes(visit: &Visit) -> Result<Response> {
    let mut languages = Vec::new();
    let known =
        [("R", "r"), ("Python", "python"), ("Quarto", "quarto"), ("Node.js", "nodejs"), ("TensorFlow", "tensorflow")];
    for (name, path) in known {
        let settings = visit.api.maybe(&format!("/v1/server_settings/{path}")).await?;
        if settings["installations"].as_array().is_some_and(|all| !all.is_empty()) {
            languages.push(json!({"name": name, "installations": settings["installations"]}));
        }
    }
    let caches = visit.api.maybe("/v1/system/caches/runtime").await?;
    page(visit, "runtimes", json!({"languages": languages, "caches": caches["caches"]}))
}

async fn environments(visit: &Visit) -> Result<Response> {
    page(visit, "environments", json!({"environments": visit.api.get("/v1/environments").await?}))
}

async fn integrations(visit: &Visit) -> Result<Response> {
    let all = visit.api.get("/v1/oauth/integrations").await?;
    let templates = visit.api.get("/v1/oauth/templates").await?;
    page(visit, "integrations", json!({"integrations": all, "templates": templates}))
}

async fn integration(visit: &Visit, guid: Option<&str>, template: Option<&str>) -> Result<Response> {
    let one = match guid {
        Some(guid) => visit.api.get(&format!("/v1/oauth/integrations/{guid}")).await?,
        None => Value::Null,
    };
    let template = template.or(one["template"].as_str()).unwrap_or_default();
    let template = visit.api.get(&format!("/v1/oauth/templates/{template}")).await?;
    let used = match guid {
        Some(guid) => visit.api.maybe(&format!("/v1/oauth/integrations/{guid}/associations")).await?,
        None => Value::Null,
    };
    page(visit, "integration", json!({"one": one, "template": template, "used": used}))
}

async fn tags(visit: &Visit) -> Result<Response> {
    let all = visit.api.get("/v1/tags").await?;
    page(visit, "tags", json!({"tree": tree(all.as_array().map_or(&[], Vec::as_slice), None, "")}))
}

async fn mail(visit: &Visit) -> Result<Response> {
    let (mails, total) = store::mail::newest(&mut *visit.app.read().await?, 200).await?;
    let server = visit.app.config().mail.as_ref().map(crate::mail::Settings::by);
    let mails: Vec<_> = mails.iter().map(mail::shown).collect();
    page(visit, "mail", json!({"mails": mails, "total": total, "server": server}))
}
