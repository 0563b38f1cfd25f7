//! A content item as callers see it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::pin::Pin;
use std::sync::Arc;

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::Stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use serde::Serialize;
use serde_json::{Value, json};
use sim_kit::db::Engine;
use sim_kit::origin::Origin;
use sqlx::AnyConnection;

use crate::access::{AppRole, Role, Seen};
use crate::app::App;
use crate::auth::{Caller, Principal};
use crate::content::kept::{List, MOST};
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::Query;
use crate::store;
use crate::store::content::Content;
use crate::store::permissions::Grant;
use crate::store::search::{Condition, Order};
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
                // Older releases know it and add nothing: the suite of posit-sdk, which asks for it always, is for them, too.
                "vanity_url" => include.vanity_url = app.config().version.with(Difference::VanityUrlInclude),
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

/// Items of a list that are read and written at a time.
const PIECE: usize = 250;

/// Shows items to one caller.
#[derive(Clone)]
pub struct Viewer {
    app: App,
    origin: Origin,
    principal: Principal,
    locks: bool,
    nodes: bool,
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

/// An item as it is shown. What is `None` outside of everything is not there at all.
#[derive(Serialize)]
struct Shown<'a> {
    guid: &'a str,
    name: &'a str,
    title: Option<&'a str>,
    description: &'a str,
    access_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_message: Option<&'a str>,
    extension: bool,
    connection_timeout: Option<i64>,
    read_timeout: Option<i64>,
    init_timeout: Option<i64>,
    idle_timeout: Option<i64>,
    max_processes: Option<i64>,
    min_processes: Option<i64>,
    max_conns_per_process: Option<i64>,
    load_factor: Option<f64>,
    memory_request: Option<i64>,
    memory_limit: Option<i64>,
    cpu_request: Option<f64>,
    cpu_limit: Option<f64>,
    amd_gpu_limit: Option<i64>,
    nvidia_gpu_limit: Option<i64>,
    service_account_name: Option<&'a str>,
    default_image_name: Option<&'a str>,
    default_environment_guid: Option<&'a str>,
    created_time: String,
    last_deployed_time: String,
    bundle_id: Option<String>,
    app_mode: &'a str,
    content_category: &'a str,
    parameterized: bool,
    environment_guid: Option<&'a str>,
    cluster_name: Option<&'a str>,
    image_name: Option<&'a str>,
    r_version: Option<&'a str>,
    py_version: Option<&'a str>,
    quarto_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_version: Option<Option<&'a str>>,
    r_environment_management: Option<bool>,
    default_r_environment_management: Option<bool>,
    py_environment_management: Option<bool>,
    default_py_environment_management: Option<bool>,
    run_as: Option<&'a str>,
    run_as_current_user: bool,
    metrics_collection_enabled: Option<bool>,
    notify_on_share: Option<bool>,
    otel_enabled: bool,
    draft_marker_enabled: bool,
    owner_guid: &'a str,
    content_url: String,
    dashboard_url: String,
    app_role: &'static str,
    public_content_status: Option<&'a str>,
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vanity_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bookmarked: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedules: Option<&'a [Value]>,
}

fn value(shown: &Shown<'_>) -> Result<Value> {
    serde_json::to_value(shown).map_err(|error| Error::Internal(error.to_string()))
}

impl Viewer {
    /// For a caller who came from `origin`.
    #[must_use]
    pub fn new(app: &App, origin: Origin, principal: Principal) -> Self {
        let version = app.config().version;
        let (locks, nodes) = (version.with(Difference::ContentLock), version.with(Difference::NodeVersion));
        Self { origin: app.origin(origin), principal, locks, nodes, app: app.clone() }
    }

    /// Shows one item.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn one(&self, db: &mut AnyConnection, seen: &Seen, include: Include) -> Result<Value> {
        let extras = self.extras(db, std::slice::from_ref(&seen.content), include).await?;
        value(&self.shown(&seen.content, seen.role, include, &extras))
    }

    /// Shows the items of a page.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self, db: &mut AnyConnection, items: &[Content], include: Include) -> Result<Vec<Value>> {
        let extras = self.extras(&mut *db, items, include).await?;
        let roles = self.roles(db, items).await?;
        items.iter().zip(roles).map(|(item, role)| value(&self.shown(item, role, include, &extras))).collect()
    }

    /// The answer with all items of a condition, what was deployed last first, to a request of these headers. A long one is kept;
    /// one that is too long for that, or may not be kept, is read and sent in pieces, so that it takes no more memory than a short
    /// one; an item that goes meanwhile may be missing from it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn all(self, condition: &Condition, include: Include, request: &HeaderMap) -> Result<Response> {
        let mut key = format!(
            "{condition:?} {include:?} {:?} {} {:?}",
            self.origin, self.principal.user.guid, self.principal.role
        );
        let (lists, world) = (self.app.lists(), self.app.world().clone());
        if world.db().engine() == Engine::Postgres {
            key.push_str(&store::search::state(&mut *self.app.read().await?).await?);
        }
        if let Some(Some(list)) = lists.kept(world.db(), &key) {
            return list.answer(request).await;
        }
        let mut db = self.app.read().await?;
        let ids = store::search::ids(&mut db, condition, Order::NEWEST).await?;
        let body = if ids.len() <= PIECE {
            let mut text = vec![b'['];
            self.write(&mut db, &ids, include, &mut text).await?;
            text.push(b']');
            Body::from(text)
        } else {
            // Whoever waits or reads slowly holds no connection meanwhile.
            drop(db);
            if let Some(Some(list)) = lists.get_once(world.db(), &key, || self.gather(condition, include)).await? {
                return list.answer(request).await;
            }
            let pieces: Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>> = Box::pin(self.pieces(ids, include));
            Body::from_stream(pieces)
        };
        Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
    }

    /// All items in one text; none when it is too long.
    async fn gather(&self, condition: &Condition, include: Include) -> Result<Option<Arc<List>>> {
        let ids = store::search::ids(&mut *self.app.read().await?, condition, Order::NEWEST).await?;
        let mut text = vec![b'['];
        for some in ids.chunks(PIECE) {
            self.write(&mut *self.app.read().await?, some, include, &mut text).await?;
            if text.len() > MOST {
                return Ok(None);
            }
        }
        text.push(b']');
        Ok(Some(Arc::new(List::new(text))))
    }

    /// The same as it is read.
    fn pieces(self, ids: Vec<i64>, include: Include) -> impl Stream<Item = Result<Bytes>> + Send {
        async_stream::try_stream! {
            let mut text = vec![b'['];
            for some in ids.chunks(PIECE) {
                self.write(&mut *self.app.read().await?, some, include, &mut text).await?;
                // The last byte stays and tells whether a comma comes next.
                let last = text.split_off(text.len() - 1);
                yield Bytes::from(std::mem::replace(&mut text, last));
            }
            text.push(b']');
            yield Bytes::from(text);
        }
    }

    /// Writes items, separated by commas, into a list that was begun.
    async fn write(&self, db: &mut AnyConnection, ids: &[i64], include: Include, text: &mut Vec<u8>) -> Result<()> {
        let items = store::content::by_ids(&mut *db, ids).await?;
        let extras = self.extras(&mut *db, &items, include).await?;
        let roles = self.roles(db, &items).await?;
        for (item, role) in items.iter().zip(roles) {
            if text.last().is_some_and(|last| *last != b'[') {
                text.push(b',');
            }
            let shown = self.shown(item, role, include, &extras);
            serde_json::to_writer(&mut *text, &shown).map_err(|error| Error::Internal(error.to_string()))?;
        }
        Ok(())
    }

    /// What the caller is to items.
    async fn roles(&self, db: &mut AnyConnection, items: &[Content]) -> Result<Vec<AppRole>> {
        let mut grants: HashMap<String, Grant> = HashMap::new();
        for (guid, grant) in store::permissions::grants(db, &self.principal.user.guid, &guids(items)).await? {
            let best = grants.entry(guid).or_insert(grant);
            *best = grant.max(*best);
        }
        let caller = Caller::User(self.principal.clone());
        Ok(items.iter().map(|item| AppRole::of(&caller, item, grants.get(&item.guid).copied())).collect())
    }

    async fn extras(&self, db: &mut AnyConnection, items: &[Content], include: Include) -> Result<Extras> {
        let mut extras = Extras::default();
        let guids = guids(items);
        if include.owner {
            let owners: BTreeSet<&str> = items.iter().map(|item| item.owner_guid.as_str()).collect();
            for user in store::users::by_guids(&mut *db, &Vec::from_iter(owners)).await? {
                let shown = json!({
                    "guid": user.guid, "username": user.username,
                    "first_name": user.first_name, "last_name": user.last_name,
                });
                extras.owners.insert(user.guid, shown);
            }
        }
        if include.tags {
            extras.tags = store::tags::all(&mut *db).await?;
            for (guid, tag) in store::tags::of_items(&mut *db, &guids).await? {
                extras.assigned.entry(guid).or_default().push(tag);
            }
        }
        if include.vanity_url {
            let all = store::vanities::of_items(&mut *db, &guids).await?;
            extras.vanities = all.into_iter().map(|vanity| (vanity.content_guid, vanity.path)).collect();
        }
        if include.bookmarked {
            let me = &self.principal.user.guid;
            extras.bookmarked = store::bookmarks::of_items(&mut *db, me, &guids).await?.into_iter().collect();
        }
        if include.schedule {
            let roles = self.roles(&mut *db, items).await?;
            let roles: HashMap<&str, AppRole> = guids.iter().copied().zip(roles).collect();
            let mut variants = store::variants::of_items(&mut *db, &guids).await?;
            variants.retain(|variant| {
                let role = roles.get(variant.content_guid.as_str()).copied().unwrap_or(AppRole::None);
                crate::variants::is_shown(variant, role, self.principal.is_administrator())
            });
            for schedule in store::schedules::of_items(&mut *db, &guids).await? {
                if let Some(variant) = variants.iter().find(|variant| variant.id == schedule.variant_id) {
                    let shown = crate::schedules::in_content(&schedule, variant);
                    extras.schedules.entry(variant.content_guid.clone()).or_default().push(shown);
                }
            }
        }
        Ok(extras)
    }

    fn shown<'a>(&self, content: &'a Content, role: AppRole, include: Include, extras: &'a Extras) -> Shown<'a> {
        let s = &content.settings;
        // What runs it is no business of those who only look.
        let detailed = self.principal.role > Role::Viewer;
        let place = content.bundle_id.filter(|_| detailed).map(|_| "Local");
        let version = |of: &'a Option<String>| of.as_deref().filter(|_| detailed);
        Shown {
            guid: &content.guid,
            name: &content.name,
            title: content.title.as_deref(),
            description: &content.description,
            access_type: &content.access_type,
            locked: self.locks.then_some(content.locked),
            locked_message: self.locks.then_some(&content.locked_message),
            extension: false,
            connection_timeout: s.connection_timeout,
            read_timeout: s.read_timeout,
            init_timeout: s.init_timeout,
            idle_timeout: s.idle_timeout,
            max_processes: s.max_processes,
            min_processes: s.min_processes,
            max_conns_per_process: s.max_conns_per_process,
            load_factor: s.load_factor,
            memory_request: s.memory_request,
            memory_limit: s.memory_limit,
            cpu_request: s.cpu_request,
            cpu_limit: s.cpu_limit,
            amd_gpu_limit: s.amd_gpu_limit,
            nvidia_gpu_limit: s.nvidia_gpu_limit,
            service_account_name: s.service_account_name.as_deref(),
            default_image_name: s.default_image_name.as_deref(),
            default_environment_guid: s.default_environment_guid.as_deref(),
            created_time: time(content.created),
            last_deployed_time: time(content.deployed),
            bundle_id: content.bundle_id.map(|id| id.to_string()),
            app_mode: &content.app_mode,
            content_category: &content.content_category,
            parameterized: content.parameterized,
            environment_guid: None,
            cluster_name: place,
            image_name: place,
            r_version: version(&s.runtime.r_version),
            py_version: version(&s.runtime.py_version),
            quarto_version: version(&s.runtime.quarto_version),
            node_version: self.nodes.then(|| version(&s.runtime.node_version)),
            r_environment_management: s.runtime.r_environment_management,
            default_r_environment_management: s.default_r_environment_management,
            py_environment_management: s.runtime.py_environment_management,
            default_py_environment_management: s.default_py_environment_management,
            run_as: s.run_as.as_deref(),
            run_as_current_user: s.run_as_current_user,
            metrics_collection_enabled: s.metrics_collection_enabled,
            notify_on_share: s.notify_on_share,
            otel_enabled: s.otel_enabled,
            draft_marker_enabled: s.draft_marker_enabled,
            owner_guid: &content.owner_guid,
            content_url: self.origin.url(&format!("/content/{}/", content.guid)),
            dashboard_url: self.origin.url(&format!("/connect/#/apps/{}", content.guid)),
            app_role: role.as_str(),
            public_content_status: None,
            id: content.id.to_string(),
            owner: include.owner.then(|| extras.owners.get(&content.owner_guid).unwrap_or(&Value::Null)),
            // Without tags there is no such member, as recordings and the suite of posit-sdk show.
            tags: extras.assigned.get(&content.guid).map(|assigned| crate::tags::of_item(&extras.tags, assigned)),
            vanity_url: extras.vanities.get(&content.guid).map(|path| self.origin.url(path)),
            bookmarked: include.bookmarked.then(|| extras.bookmarked.contains(&content.guid)),
            schedules: include.schedule.then(|| extras.schedules.get(&content.guid).map_or(&[][..], Vec::as_slice)),
        }
    }
}

fn guids(items: &[Content]) -> Vec<&str> {
    items.iter().map(|item| item.guid.as_str()).collect()
}
