//! A content item as callers see it.

use std::collections::{BTreeSet, HashMap, HashSet};

use serde_json::{Map, Value, json};
use sim_kit::origin::Origin;
use sqlx::AnyConnection;

use crate::access::{AppRole, Role, Seen};
use crate::app::App;
use crate::auth::{Caller, Principal};
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::Query;
use crate::store;
use crate::store::content::Content;
use crate::store::permissions::Grant;
use crate::store::tags::Tag;
use crate::users::time;

/// What `include=` adds.
#[derive(Debug, Default, Clone, Copy)]
#[allow(clippy::struct_excessive_bools)] // they are independent
pub struct Include {
    owner: bool,
    tags: bool,
    vanity_url: bool,
    bookmarked: bool,
    schedule: bool,
}

impl Include {
    /// Reads the query.
    ///
    /// # Errors
    /// 400 with code 161 for a word that adds nothing.
    pub fn of(app: &App, query: &Query) -> Result<Self> {
        let mut include = Self::default();
        for word in query.text("include").unwrap_or_default().split(',').map(str::trim).filter(|w| !w.is_empty()) {
            match word {
                "owner" => include.owner = true,
                "tags" => include.tags = true,
                "vanity_url" if app.config().version.with(Difference::VanityUrlInclude) => include.vanity_url = true,
                "bookmarked" => include.bookmarked = true,
                "schedule" | "schedules" => include.schedule = true,
                other => {
                    let text =
                        format!("`include`: `{other}` is none of owner, tags, vanity_url, bookmarked, schedule.");
                    return Err(Error::bad(Code::InvalidInclude, text));
                }
            }
        }
        Ok(include)
    }
}

/// Shows items to one caller.
pub struct Viewer<'a> {
    app: &'a App,
    origin: Origin,
    principal: Principal,
}

/// What several items are shown with, read once.
#[derive(Default)]
struct Extras {
    owners: HashMap<String, Value>,
    tags: Vec<Tag>,
    assigned: HashMap<String, Vec<i64>>,
    vanities: HashMap<String, String>,
    bookmarked: HashSet<String>,
    schedules: HashMap<String, Vec<Value>>,
}

impl<'a> Viewer<'a> {
    /// For a caller who came from `origin`.
    #[must_use]
    pub fn new(app: &'a App, origin: Origin, principal: Principal) -> Self {
        Self { app, origin: app.origin(origin), principal }
    }

    /// Shows one item.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn one(&self, db: &mut AnyConnection, seen: &Seen, include: Include) -> Result<Value> {
        let items = std::slice::from_ref(&seen.content);
        let extras = self.extras(db, items, include).await?;
        Ok(self.show(&seen.content, seen.role, include, &extras))
    }

    /// Shows items.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, db: &mut AnyConnection, items: Vec<Content>, include: Include) -> Result<Vec<Value>> {
        let extras = self.extras(&mut *db, &items, include).await?;
        let me = &self.principal.user.guid;
        let mut grants: HashMap<String, Grant> = HashMap::new();
        for (guid, grant) in store::permissions::grants(db, me).await? {
            let best = grants.entry(guid).or_insert(grant);
            *best = grant.max(*best);
        }
        let caller = Caller::User(self.principal.clone());
        let show = |item: &Content| {
            let role = AppRole::of(&caller, item, grants.get(&item.guid).copied());
            self.show(item, role, include, &extras)
        };
        Ok(items.iter().map(show).collect())
    }

    async fn extras(&self, db: &mut AnyConnection, items: &[Content], include: Include) -> Result<Extras> {
        let mut extras = Extras::default();
        if include.owner {
            for guid in items.iter().map(|item| &item.owner_guid).collect::<BTreeSet<_>>() {
                if let Some(user) = store::users::by_guid(&mut *db, guid).await? {
                    let shown = json!({
                        "guid": user.guid, "username": user.username,
                        "first_name": user.first_name, "last_name": user.last_name,
                    });
                    extras.owners.insert(user.guid, shown);
                }
            }
        }
        if include.tags {
            extras.tags = store::tags::all(&mut *db).await?;
            if let [item] = items {
                let assigned = store::tags::of_content(&mut *db, &item.guid).await?;
                extras.assigned.insert(item.guid.clone(), assigned);
            } else {
                for (guid, tag) in store::tags::assignments(&mut *db).await? {
                    extras.assigned.entry(guid).or_default().push(tag);
                }
            }
        }
        if include.vanity_url {
            let all = match items {
                [item] => store::vanities::of_content(&mut *db, &item.guid).await?.into_iter().collect(),
                _ => store::vanities::all(&mut *db).await?,
            };
            extras.vanities = all.into_iter().map(|vanity| (vanity.content_guid, vanity.path)).collect();
        }
        if include.bookmarked {
            let marked = store::bookmarks::of_user(&mut *db, &self.principal.user.guid).await?;
            extras.bookmarked = marked.into_iter().collect();
        }
        if include.schedule {
            for schedule in store::schedules::all(&mut *db).await? {
                if let Some(variant) = store::variants::get(&mut *db, schedule.variant_id).await? {
                    let shown = crate::schedules::in_content(&schedule, &variant);
                    extras.schedules.entry(variant.content_guid).or_default().push(shown);
                }
            }
        }
        Ok(extras)
    }

    fn show(&self, content: &Content, role: AppRole, include: Include, extras: &Extras) -> Value {
        let Value::Object(mut shown) = self.plain(content, role) else { unreachable!("an object was made") };
        if include.owner {
            shown.insert("owner".to_owned(), extras.owners.get(&content.owner_guid).cloned().unwrap_or_default());
        }
        if include.tags {
            let assigned = extras.assigned.get(&content.guid).map_or(&[][..], Vec::as_slice);
            shown.insert("tags".to_owned(), crate::tags::with_ancestors(&extras.tags, assigned));
        }
        if let Some(path) = extras.vanities.get(&content.guid) {
            shown.insert("vanity_url".to_owned(), json!(self.origin.url(path)));
        }
        if include.bookmarked {
            shown.insert("bookmarked".to_owned(), json!(extras.bookmarked.contains(&content.guid)));
        }
        if include.schedule {
            let schedules = extras.schedules.get(&content.guid).cloned().unwrap_or_default();
            shown.insert("schedules".to_owned(), Value::Array(schedules));
        }
        Value::Object(shown)
    }

    fn plain(&self, content: &Content, role: AppRole) -> Value {
        let s = &content.settings;
        // What runs it is no business of those who only look.
        let detailed = self.principal.role > Role::Viewer;
        let details = |value: Value| if detailed { value } else { Value::Null };
        let mut shown = Map::new();
        let mut put = |name: &str, value: Value| drop(shown.insert(name.to_owned(), value));
        put("guid", json!(content.guid));
        put("name", json!(content.name));
        put("title", json!(content.title));
        put("description", json!(content.description));
        put("access_type", json!(content.access_type));
        if self.app.config().version.with(Difference::ContentLock) {
            put("locked", json!(content.locked));
            put("locked_message", json!(content.locked_message));
        }
        put("connection_timeout", json!(s.connection_timeout));
        put("read_timeout", json!(s.read_timeout));
        put("init_timeout", json!(s.init_timeout));
        put("idle_timeout", json!(s.idle_timeout));
        put("max_processes", json!(s.max_processes));
        put("min_processes", json!(s.min_processes));
        put("max_conns_per_process", json!(s.max_conns_per_process));
        put("load_factor", json!(s.load_factor));
        put("memory_request", json!(s.memory_request));
        put("memory_limit", json!(s.memory_limit));
        put("cpu_request", json!(s.cpu_request));
        put("cpu_limit", json!(s.cpu_limit));
        put("amd_gpu_limit", json!(s.amd_gpu_limit));
        put("nvidia_gpu_limit", json!(s.nvidia_gpu_limit));
        put("service_account_name", json!(s.service_account_name));
        put("default_image_name", json!(s.default_image_name));
        put("default_environment_guid", json!(s.default_environment_guid));
        put("created_time", json!(time(content.created)));
        put("last_deployed_time", json!(time(content.deployed)));
        put("bundle_id", json!(content.bundle_id.map(|id| id.to_string())));
        put("app_mode", json!(content.app_mode));
        put("content_category", json!(content.content_category));
        put("parameterized", json!(content.parameterized));
        put("environment_guid", Value::Null);
        put("cluster_name", details(json!(content.bundle_id.map(|_| "Local"))));
        put("image_name", details(json!(content.bundle_id.map(|_| "Local"))));
        put("r_version", details(json!(s.runtime.r_version)));
        put("py_version", details(json!(s.runtime.py_version)));
        put("quarto_version", details(json!(s.runtime.quarto_version)));
        if self.app.config().version.with(Difference::NodeVersion) {
            put("node_version", details(json!(s.runtime.node_version)));
        }
        put("r_environment_management", json!(s.runtime.r_environment_management));
        put("default_r_environment_management", json!(s.default_r_environment_management));
        put("py_environment_management", json!(s.runtime.py_environment_management));
        put("default_py_environment_management", json!(s.default_py_environment_management));
        put("run_as", json!(s.run_as));
        put("run_as_current_user", json!(s.run_as_current_user));
        put("metrics_collection_enabled", json!(s.metrics_collection_enabled));
        put("notify_on_share", json!(s.notify_on_share));
        put("otel_enabled", json!(s.otel_enabled));
        put("draft_marker_enabled", json!(s.draft_marker_enabled));
        put("owner_guid", json!(content.owner_guid));
        put("content_url", json!(self.origin.url(&format!("/content/{}/", content.guid))));
        put("dashboard_url", json!(self.origin.url(&format!("/connect/#/apps/{}", content.guid))));
        put("app_role", json!(role.as_str()));
        put("public_content_status", Value::Null);
        put("extension", json!(false));
        put("id", json!(content.id.to_string()));
        Value::Object(shown)
    }
}
