//! One item: what it shows, and its settings.
//!
//! Views are `apps/{guid}/{tab}`; `access/{variant_id}`, `draft/{bundle_id}` and `logs/{job_key}` are links that clients
//! and mails carry. Who may not change the item sees it and its facts.

use axum::response::Response;
use serde_json::{Value, json};

use super::dashboard::Visit;
use super::listing::{kind, tree};
use crate::access::Role;
use crate::content_type::{ContentType, Kind};
use crate::error::{Error, Result};
use crate::store;
use crate::users::time;

/// People and groups that a page offers to choose from.
const MOST_CHOICES: usize = 500;

/// An item that is looked at.
struct Item<'v> {
    visit: &'v Visit,
    guid: &'v str,
    content: Value,
    /// The user may change it.
    editor: bool,
    kind: Kind,
}

/// `apps/{guid}/…`
///
/// # Errors
/// 403 and 404 as the API's.
pub async fn show(visit: &Visit, guid: &str, below: &[&str]) -> Result<Response> {
    let content = visit.api.get(&format!("/v1/content/{guid}?include=owner,tags,bookmarked")).await?;
    let publisher = visit.principal.role >= Role::Publisher;
    let editor = visit.principal.is_administrator()
        || publisher && matches!(content["app_role"].as_str(), Some("owner" | "editor"));
    let kind = ContentType::of(content["app_mode"].as_str().unwrap_or_default()).unwrap_or(ContentType::Unknown).kind();
    let item = Item { visit, guid, content, editor, kind };
    match below {
        [] | ["info"] => item.info().await,
        // What viewers get of the settings is what everybody sees.
        _ if !editor => item.info().await,
        ["access"] => item.access(None).await,
        ["access", variant] => item.access(Some(variant)).await,
        ["draft", bundle] => item.draft(bundle).await,
        ["runtime"] => item.runtime().await,
        ["schedule"] if kind == Kind::Rendered => item.schedule(None).await,
        ["schedule", variant] if kind == Kind::Rendered => item.schedule(Some(variant)).await,
        ["variants"] if kind == Kind::Rendered => item.variants().await,
        ["tags"] => item.tags().await,
        ["variables" | "vars"] => item.variables().await,
        ["logs"] => item.logs().await,
        ["logs", key] => item.job(key).await,
        ["history"] => item.history().await,
        _ => Err(Error::NoRoute),
    }
}

/// The members of both objects.
fn with(mut page: Value, values: Value) -> Value {
    if let (Value::Object(page), Value::Object(values)) = (&mut page, values) {
        page.extend(values);
    }
    page
}

impl Item<'_> {
    async fn api(&self, below: &str) -> Result<Value> {
        self.visit.api.maybe(&format!("/v1/content/{}{below}", self.guid)).await
    }

    fn has(&self, release: &str) -> bool {
        self.visit.app.config().version.has(release)
    }

    /// The page of a tab. `frame` is the part of the content's address behind its slash.
    async fn page(&self, tab: &str, frame: Option<String>, values: Value) -> Result<Response> {
        let (noun, short) = kind(self.content["app_mode"].as_str().unwrap_or_default());
        let shown = self.content["app_role"] != "none" && (self.content["bundle_id"].is_string() || frame.is_some());
        let frame = shown.then(|| format!("/content/{}/{}", self.guid, frame.unwrap_or_default()));
        let running = if self.editor { self.task().await?.filter(|task| task["finished"] == false) } else { None };
        let mut tabs = vec![("info", "Info")];
        if self.editor {
            tabs.push(("access", "Access"));
            if matches!(self.kind, Kind::App | Kind::Api) {
                tabs.push(("runtime", "Runtime"));
            }
            if self.kind == Kind::Rendered {
                tabs.extend([("schedule", "Schedule"), ("variants", "Variants")]);
            }
            tabs.extend([("tags", "Tags"), ("variables", "Vars"), ("logs", "Logs"), ("history", "History")]);
        }
        // Logs and lists want the width that content otherwise has.
        let wide = matches!(tab, "logs" | "history" | "variants");
        let page = json!({
            "item": self.content, "guid": self.guid, "noun": noun, "short": short, "editor": self.editor,
            "frame": frame, "tab": tab, "tabs": tabs, "wide": wide, "running": running.is_some(),
        });
        self.visit.page(&format!("item_{tab}.html"), with(page, values))
    }

    /// The newest deploy or render, with its output.
    async fn task(&self) -> Result<Option<Value>> {
        let mut db = self.visit.app.read().await?;
        let Some(task) = store::tasks::newest(&mut db, self.guid).await? else { return Ok(None) };
        let output = store::tasks::output(&mut db, &task.id, 0).await?;
        Ok(Some(json!({
            "id": task.id, "kind": task.kind, "finished": task.state == "finished", "code": task.code,
            "error": task.error, "last": output.len(), "output": output.join("\n"), "created": time(task.created),
            "bundle_id": task.bundle_id,
        })))
    }

    async fn info(&self) -> Result<Response> {
        let packages = if self.has("2024.11.0") { self.api("/packages").await? } else { Value::Null };
        let owners = match self.visit.principal.is_administrator() {
            true => self.visit.api.maybe("/v1/users?page_size=500&user_role=publisher|administrator").await?,
            false => Value::Null,
        };
        let variants = if self.kind == Kind::Rendered { self.all_variants().await? } else { Vec::new() };
        let variant = variants.iter().find(|one| one["is_default"] == true);
        let thumbnail = store::thumbnails::get(&mut *self.visit.app.read().await?, self.guid).await?.is_some();
        let values = json!({
            "packages": packages, "variant": variant, "owners": owners["results"], "thumbnail": thumbnail,
            "thumbnails": self.has("2024.09.0"), "locks": self.has("2024.08.0"),
        });
        self.page("info", None, values).await
    }

    async fn draft(&self, bundle: &str) -> Result<Response> {
        let bundle = self.visit.api.get(&format!("/v1/content/{}/bundles/{bundle}", self.guid)).await?;
        let id = bundle["id"].as_str().unwrap_or_default().to_owned();
        self.page("draft", Some(format!("_bundle{id}/")), json!({"bundle": bundle, "draft": id})).await
    }

    async fn access(&self, variant: Option<&str>) -> Result<Response> {
        let api = &self.visit.api;
        let users = api.maybe(&format!("/v1/users?page_size={MOST_CHOICES}")).await?;
        let groups = api.maybe(&format!("/v1/groups?page_size={MOST_CHOICES}")).await?;
        let by = |list: &Value, guid: &Value| {
            list["results"].as_array().and_then(|all| all.iter().find(|one| one["guid"] == *guid).cloned())
        };
        let mut permissions = Vec::new();
        for permission in self.api("/permissions").await?.as_array().into_iter().flatten() {
            let guid = &permission["principal_guid"];
            let of_group = permission["principal_type"] == "group";
            let known = by(if of_group { &groups } else { &users }, guid);
            let path = if of_group { "groups" } else { "users" };
            let who = match known {
                Some(known) => known,
                None => api.maybe(&format!("/v1/{path}/{}", guid.as_str().unwrap_or_default())).await?,
            };
            let mut permission = permission.clone();
            permission["who"] = who;
            permissions.push(permission);
        }
        let taken = |guid: &Value| {
            *guid == self.content["owner_guid"] || permissions.iter().any(|one| one["principal_guid"] == *guid)
        };
        let free = |list: &Value| -> Vec<Value> {
            list["results"].as_array().into_iter().flatten().filter(|one| !taken(&one["guid"])).cloned().collect()
        };
        let (users, groups) = (free(&users), free(&groups));
        let frame = match variant {
            None => None,
            Some(id) => {
                let variant = api.get(&format!("/variants/{id}")).await?;
                Some(format!("v{}/", variant["key"].as_str().unwrap_or_default()))
            }
        };
        let mut integrations = api.maybe("/v1/oauth/integrations").await?;
        let associated = self.api("/oauth/integrations/associations").await?;
        let is_associated = |guid: &Value| {
            associated.as_array().is_some_and(|all| all.iter().any(|one| one["oauth_integration_guid"] == *guid))
        };
        for one in integrations.as_array_mut().into_iter().flatten() {
            one["chosen"] = json!(is_associated(&one["guid"]));
        }
        let vanity = self.api("/vanity").await?;
        self.page(
            "access",
            frame,
            json!({
                "permissions": permissions, "users": users, "groups": groups, "vanity": vanity,
                "integrations": integrations,
            }),
        )
        .await
    }

    async fn runtime(&self) -> Result<Response> {
        let mode = self.content["app_mode"].as_str().unwrap_or_default();
        let api = &self.visit.api;
        let mut defaults = api.maybe(&format!("/server_settings/scheduler/{mode}")).await?;
        if defaults.is_null() {
            defaults = api.maybe("/server_settings/scheduler").await?;
        }
        let environments = api.maybe("/v1/environments").await?;
        self.page("runtime", None, json!({"defaults": defaults, "environments": environments})).await
    }

    async fn all_variants(&self) -> Result<Vec<Value>> {
        let all = self.visit.api.maybe(&format!("/applications/{}/variants", self.guid)).await?;
        Ok(all.as_array().cloned().unwrap_or_default())
    }

    async fn schedule(&self, variant: Option<&str>) -> Result<Response> {
        let api = &self.visit.api;
        let variants = self.all_variants().await?;
        let wanted = |one: &&Value| match variant {
            Some(id) => id.parse().is_ok_and(|id: i64| one["id"] == id),
            None => one["is_default"] == true,
        };
        let chosen = variants.iter().find(wanted).cloned();
        if variant.is_some() && chosen.is_none() {
            return Err(Error::missing("variant"));
        }
        let (mut schedule, mut detail, mut runs) = (Value::Null, Value::Null, Value::Null);
        let (mut subscribers, mut others) = (Vec::new(), Vec::new());
        if let Some(chosen) = &chosen {
            schedule = api.maybe(&format!("/variants/{}/schedules", chosen["id"])).await?[0].clone();
            detail = schedule["schedule"].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
            let key = chosen["key"].as_str().unwrap_or_default();
            runs = self.api(&format!("/schedule/history?variant={key}")).await?["results"].clone();
            let all = self.api(&format!("/subscriptions?variant_key={key}")).await?;
            let has =
                |user: &Value| all.as_array().is_some_and(|all| all.iter().any(|one| one["user_guid"] == user["guid"]));
            let users = api.maybe("/v1/users?page_size=500").await?["results"].take();
            let users = users.as_array().cloned().unwrap_or_default();
            (subscribers, others) = users.into_iter().partition(has);
        }
        let zones = api.maybe("/v1/timezones").await?;
        let now = time(self.visit.app.now());
        self.page(
            "schedule",
            None,
            json!({
                "variants": variants, "chosen": chosen, "schedule": schedule, "detail": detail, "runs": runs,
                "zones": zones, "now": now, "subscribers": subscribers, "others": others,
            }),
        )
        .await
    }

    async fn variants(&self) -> Result<Response> {
        let mut variants = self.all_variants().await?;
        for one in &mut variants {
            one["renderings"] = self.visit.api.maybe(&format!("/variants/{}/renderings", one["id"])).await?;
        }
        self.page("variants", None, json!({"variants": variants})).await
    }

    async fn tags(&self) -> Result<Response> {
        let all = self.visit.api.maybe("/v1/tags").await?;
        let assigned = self.api("/tags").await?;
        let has =
            |tag: &Value| assigned.as_array().is_some_and(|assigned| assigned.iter().any(|one| one["id"] == tag["id"]));
        fn flat(tags: Vec<Value>, all: &mut Vec<Value>) {
            for mut tag in tags {
                let children = tag["children"].take();
                all.push(tag);
                flat(children.as_array().cloned().unwrap_or_default(), all);
            }
        }
        let mut tags = Vec::new();
        flat(tree(all.as_array().map_or(&[], Vec::as_slice), None, ""), &mut tags);
        // Categories group tags, and are not given to content.
        tags.retain(|tag| tag["path"].as_str().is_some_and(|path| path.contains('/')));
        let (mine, free): (Vec<Value>, Vec<Value>) = tags.into_iter().partition(has);
        self.page("tags", None, json!({"mine": mine, "free": free})).await
    }

    async fn variables(&self) -> Result<Response> {
        self.page("variables", None, json!({"names": self.api("/environment").await?})).await
    }

    async fn logs(&self) -> Result<Response> {
        let jobs = self.api("/jobs").await?;
        self.page("logs", None, json!({"task": self.task().await?, "jobs": jobs})).await
    }

    async fn job(&self, key: &str) -> Result<Response> {
        let job = self.visit.api.get(&format!("/v1/content/{}/jobs/{key}", self.guid)).await?;
        let log = self.api(&format!("/jobs/{key}/log")).await?;
        let lines: Vec<&str> =
            log["entries"].as_array().into_iter().flatten().filter_map(|entry| entry["data"].as_str()).collect();
        self.page("logs", None, json!({"job": job, "log": lines.join("\n")})).await
    }

    async fn history(&self) -> Result<Response> {
        let bundles = self.api("/bundles").await?;
        let repository = if self.has("2022.12.0") { self.api("/repository").await? } else { Value::Null };
        let git = self.visit.api.maybe("/server_settings").await?["git_available"] == true;
        self.page("history", None, json!({ "bundles": bundles, "repository": repository, "git": git })).await
    }
}
