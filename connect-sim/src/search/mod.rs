//! Searching content; see [`query`] for the language. Everybody finds what it may open, administrators find all.

pub mod query;

use std::collections::{HashMap, HashSet};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use sim_kit::origin::Origin;
use sqlx::AnyConnection;

use crate::app::App;
use crate::auth::Principal;
use crate::content::view::{Include, Viewer};
use crate::error::{Code, Error, Result};
use crate::input::{Page, Query};
use crate::store;
use crate::store::bundles::Package;
use crate::store::content::{Content, Filter as Listed};
use crate::store::jobs::Job;
use crate::tags::path_of;
use crate::users::time;
use query::{Filter, Property, fold, version};

/// What conditions need beside the items, read when one asks for it.
#[derive(Default)]
struct Known {
    me: String,
    owners: HashMap<String, String>,
    tags: HashMap<String, Vec<Vec<String>>>,
    bookmarked: HashSet<String>,
    scheduled: HashSet<String>,
    packages: HashMap<i64, Vec<Package>>,
}

impl Known {
    async fn read(
        db: &mut AnyConnection,
        principal: &Principal,
        query: &query::Query,
        items: &[Content],
    ) -> Result<Self> {
        let mut known = Self { me: principal.user.guid.clone(), ..Self::default() };
        if query.asks(|filter| matches!(filter, Filter::Owner(_))) {
            for guid in items.iter().map(|item| &item.owner_guid).collect::<HashSet<_>>() {
                if let Some(user) = store::users::by_guid(&mut *db, guid).await? {
                    known.owners.insert(user.guid, user.username.to_lowercase());
                }
            }
        }
        if query.asks(|filter| matches!(filter, Filter::Tag(_))) {
            let all = store::tags::all(&mut *db).await?;
            for (guid, tag) in store::tags::assignments(&mut *db).await? {
                known.tags.entry(guid).or_default().push(path_of(&all, tag));
            }
        }
        if query.asks(|filter| matches!(filter, Filter::Is(Property::Bookmarked, _))) {
            known.bookmarked = store::bookmarks::of_user(&mut *db, &known.me).await?.into_iter().collect();
        }
        if query.asks(|filter| matches!(filter, Filter::Is(Property::Scheduled, _))) {
            known.scheduled = store::schedules::scheduled(&mut *db).await?.into_iter().collect();
        }
        if query.asks(|filter| matches!(filter, Filter::Package(..))) {
            let (all, _) = store::bundles::active_packages(&mut *db, None, true, i64::MAX, 0).await?;
            for (package, bundle) in all {
                known.packages.entry(bundle.id).or_default().push(package);
            }
        }
        Ok(known)
    }

    fn holds(&self, filter: &Filter, item: &Content) -> bool {
        let runtime = &item.settings.runtime;
        let is = |wanted: &pep440_rs::VersionSpecifiers, have: Option<&String>| {
            have.and_then(|have| version(have)).is_some_and(|have| wanted.contains(&have))
        };
        match filter {
            Filter::Text(text) => {
                let title = item.title.as_deref().unwrap_or_default();
                [item.name.as_str(), title, &item.description].iter().any(|part| fold(part).contains(text))
            }
            Filter::Owner(name) if name == "@me" => item.owner_guid == self.me,
            Filter::Owner(name) => self.owners.get(&item.owner_guid) == Some(name) || item.owner_guid == *name,
            Filter::Type(name) => item.app_mode == *name || item.content_category == *name,
            Filter::Tag(path) => {
                let below = |tag: &Vec<String>| tag.windows(path.len()).any(|part| part == path);
                self.tags.get(&item.guid).is_some_and(|tags| tags.iter().any(below))
            }
            Filter::Is(property, wanted) => {
                let is = match property {
                    Property::Published => item.bundle_id.is_some(),
                    Property::Locked => item.locked,
                    Property::Bookmarked => self.bookmarked.contains(&item.guid),
                    Property::Scheduled => self.scheduled.contains(&item.guid),
                };
                is == *wanted
            }
            Filter::Python(wanted) => is(wanted, runtime.py_version.as_ref()),
            Filter::R(wanted) => is(wanted, runtime.r_version.as_ref()),
            Filter::Package(name, wanted) => {
                let packages = item.bundle_id.and_then(|bundle| self.packages.get(&bundle));
                packages.is_some_and(|packages| {
                    packages.iter().any(|package| {
                        let any = wanted.is_empty() || is(wanted, Some(&package.version));
                        package.name.to_lowercase() == *name && any
                    })
                })
            }
            Filter::Image(name) => {
                let image = item.settings.default_image_name.as_deref().unwrap_or("Local").to_lowercase();
                item.bundle_id.is_some() && image.contains(name)
            }
        }
    }
}

/// The items that a request asks for, in its order, and what of the query was left out.
async fn found(db: &mut AnyConnection, principal: &Principal, asked: &Query) -> Result<(Vec<Content>, Vec<String>)> {
    let text = asked.text("q").unwrap_or_default();
    if text.len() > 10_000 {
        return Err(Error::bad(Code::InvalidParameter, "`q` must not be longer than 10000 bytes."));
    }
    let bad = |text| Error::bad(Code::InvalidParameter, text);
    let descending = match asked.text("order").unwrap_or("desc") {
        "asc" => false,
        "desc" => true,
        _ => return Err(bad("`order` must be asc or desc.")),
    };
    let query = query::Query::parse(text);
    let viewer = (!principal.is_administrator()).then(|| principal.user.guid.clone());
    let mut items = store::content::list(db, &Listed { viewer, ..Listed::default() }).await?;
    let known = Known::read(db, principal, &query, &items).await?;
    items.retain(|item| {
        query.terms.iter().all(|term| term.any.iter().any(|filter| known.holds(filter, item)) != term.negated)
    });
    match asked.text("sort").unwrap_or("last_deployed_time") {
        "last_deployed_time" => items.sort_by_key(|item| (item.deployed, item.id)),
        "created_time" | "created" => items.sort_by_key(|item| (item.created, item.id)),
        "name" => items.sort_by_key(|item| (item.name.to_lowercase(), item.id)),
        "title" => items.sort_by_key(|item| (item.title.as_ref().unwrap_or(&item.name).to_lowercase(), item.id)),
        _ => return Err(bad("`sort` must be name, title, created_time or last_deployed_time.")),
    }
    if descending {
        items.reverse();
    }
    Ok((items, query.warnings))
}

fn answer(page: Page, results: &[Value], total: usize, warnings: &[String]) -> Json<Value> {
    let mut answer = page.answer(results, i64::try_from(total).unwrap_or(i64::MAX));
    if !warnings.is_empty() {
        answer.0["warnings"] = json!(warnings);
    }
    answer
}

fn cut<T>(page: Page, all: Vec<T>) -> Vec<T> {
    let (skip, take) = (usize::try_from(page.offset()).unwrap_or(usize::MAX), usize::try_from(page.size).unwrap_or(0));
    all.into_iter().skip(skip).take(take).collect()
}

/// `GET /v1/search/content`
///
/// # Errors
/// 400 for a bad page, order or `include`.
pub async fn content(
    State(app): State<App>,
    origin: Origin,
    principal: Principal,
    asked: Query,
) -> Result<Json<Value>> {
    let include = Include::of(&app, &asked)?;
    let page = Page::of(&asked, 500)?;
    let mut db = app.read().await?;
    let (items, warnings) = found(&mut db, &principal, &asked).await?;
    let total = items.len();
    let shown = Viewer::new(&app, origin, principal).list(&mut db, cut(page, items), include).await?;
    Ok(answer(page, &shown, total, &warnings))
}

/// `GET /v1/search/variants`: the variants of the items found.
///
/// # Errors
/// As [`content`].
pub async fn variants(State(app): State<App>, principal: Principal, asked: Query) -> Result<Json<Value>> {
    let page = Page::of(&asked, 500)?;
    let with_schedules = match asked.text("include") {
        None => false,
        Some("schedule") => true,
        Some(_) => return Err(Error::bad(Code::InvalidInclude, "`include` must be schedule.")),
    };
    let mut db = app.read().await?;
    let (items, warnings) = found(&mut db, &principal, &asked).await?;
    let mut all = Vec::new();
    for item in items.iter().filter(|item| crate::variants::is_rendered(item)) {
        let jobs = store::jobs::of_content(&mut db, &item.guid).await?;
        for variant in store::variants::of_content(&mut db, &item.guid).await? {
            // Private ones are their owner's; what is not known to be another's is the item owner's.
            if variant.settings.is_private && item.owner_guid != principal.user.guid {
                continue;
            }
            let jobs: Vec<&Job> = jobs.iter().filter(|job| job.variant_id == Some(variant.id)).collect();
            let failed: Vec<&&Job> = jobs.iter().filter(|job| job.exit_code.is_some_and(|code| code != 0)).collect();
            let rendering = store::renderings::active(&mut db, variant.id).await?;
            let mut shown = json!({
                "content_guid": item.guid, "content_name": item.name, "content_title": item.title,
                "variant_key": variant.key, "variant_name": variant.name, "is_default": variant.is_default,
                "created_time": time(variant.created), "render_time": rendering.map(|one| time(one.rendered)),
                "failures": failed.len(), "last_failed": failed.first().and_then(|job| job.ended).map(time),
                "skips": 0, "last_skipped": null,
            });
            if with_schedules && let Some(schedule) = store::schedules::of_variant(&mut db, variant.id).await? {
                shown["schedule"] = crate::schedules::in_content(&schedule, &variant);
            }
            all.push(shown);
        }
    }
    let total = all.len();
    Ok(answer(page, &cut(page, all), total, &warnings))
}
