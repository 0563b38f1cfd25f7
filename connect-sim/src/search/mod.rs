//! Searching content; see [`query`] for the language. Everybody finds what it may open, administrators find all.

pub mod query;

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
use crate::store::search::{Condition, Order, Part, Sort};
use crate::users::time;

/// Makes what an older release has written findable.
///
/// # Errors
/// When the database fails.
pub async fn prepare(app: &App) -> Result<()> {
    let mut tx = app.write().await?;
    store::search::complete(&mut tx).await?;
    Ok(tx.commit().await?)
}

/// What a request asks for: which items, in which order, and what of the query was left out.
async fn asked_for(
    db: &mut AnyConnection,
    principal: &Principal,
    asked: &Query,
) -> Result<(Condition, Order, Vec<String>)> {
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
    let sort = match asked.text("sort").unwrap_or("last_deployed_time") {
        "last_deployed_time" => Sort::Deployed,
        "created_time" | "created" => Sort::Created,
        "name" => Sort::Name,
        "title" => Sort::Title,
        _ => return Err(bad("`sort` must be name, title, created_time or last_deployed_time.")),
    };
    let query = query::Query::parse(text);
    let condition = Condition::open_to(principal).matching(db, &query, &principal.user.guid).await?;
    Ok((condition, Order { sort, descending }, query.warnings))
}

fn answer(page: Page, results: &[Value], total: i64, warnings: &[String]) -> Json<Value> {
    let mut answer = json!({"total": total, "current_page": page.number, "results": results});
    if !warnings.is_empty() {
        answer["warnings"] = json!(warnings);
    }
    Json(answer)
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
    let (condition, order, warnings) = asked_for(&mut db, &principal, &asked).await?;
    let part = Part { limit: page.size, offset: page.offset() };
    let (items, total) = store::search::items(&mut db, app.totals(), &condition, order, part).await?;
    let shown = Viewer::new(&app, origin, principal).list(&mut db, &items, include).await?;
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
    let (condition, order, warnings) = asked_for(&mut db, &principal, &asked).await?;
    let condition = condition.rendered_for(&principal);
    let part = Part { limit: page.size, offset: page.offset() };
    let (found, total) = store::search::variants(&mut db, app.totals(), &condition, order, part).await?;
    let mut results = Vec::with_capacity(found.len());
    for (variant, item) in found {
        let (failures, last_failed) = store::jobs::failures(&mut db, &item.guid, variant.id).await?;
        let rendering = store::renderings::active(&mut db, variant.id).await?;
        let mut shown = json!({
            "content_guid": item.guid, "content_name": item.name, "content_title": item.title,
            "variant_key": variant.key, "variant_name": variant.name, "is_default": variant.is_default,
            "created_time": time(variant.created), "render_time": rendering.map(|one| time(one.rendered)),
            "failures": failures, "last_failed": last_failed.map(time),
            "skips": 0, "last_skipped": null,
        });
        if with_schedules && let Some(schedule) = store::schedules::of_variant(&mut db, variant.id).await? {
            shown["schedule"] = crate::schedules::in_content(&schedule, &variant);
        }
        results.push(shown);
    }
    Ok(answer(page, &results, total, &warnings))
}
