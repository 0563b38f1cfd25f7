//! Who visited what, recorded from real visits.
//!
//! A visit is a successful request for a page, or for anything of an API. Publishers see those of the content that they
//! own or collaborate on, administrators all. In the simulated runtime a session of a Shiny application is over as soon
//! as its page was delivered.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use crate::access::Role;
use crate::app::App;
use crate::auth::{Caller, Principal};
use crate::content_type::{ContentType, Kind};
use crate::cursor::{Cursor, Window};
use crate::differences::Difference;
use crate::error::Result;
use crate::input::{self, Query};
use crate::runtime::Visit;
use crate::store;
use crate::store::hits::{Filter, Hit};
use crate::users::time;

/// Which variant and rendering was visited.
#[derive(Debug, Clone, Default)]
pub struct Of {
    /// Key of the variant.
    pub variant: Option<String>,
    /// Id of the rendering.
    pub rendering: Option<i64>,
}

/// Notes a visit that was answered.
pub fn record(app: &App, caller: &Caller, visit: &Visit<'_>, of: Of, request: &Parts, answer: &Response) {
    let Visit { content, bundle, path, .. } = *visit;
    let mode = ContentType::of(&bundle.app_mode).unwrap_or(ContentType::Unknown);
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let media_type = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // The main file of what is static counts whatever it is.
    let is_main = path.is_empty() || bundle.primary_file.as_deref() == Some(path);
    let is_page = is_main || mode.kind() == Kind::Api || media_type.starts_with("text/html");
    if !answer.status().is_success() || !is_page {
        return;
    }
    let shiny = [ContentType::Shiny, ContentType::RmdShiny, ContentType::QuartoShiny, ContentType::PythonShiny];
    app.metrics().hit();
    app.recorder().hit(Hit {
        id: 0,
        content_guid: content.guid.clone(),
        user_guid: match caller {
            Caller::User(principal) => Some(principal.user.guid.clone()),
            Caller::Anonymous => None,
        },
        variant_key: of.variant,
        rendering_id: of.rendering,
        bundle_id: bundle.id,
        time: app.now(),
        kind: if shiny.contains(&mode) { "shiny" } else { "visit" }.to_owned(),
        path: format!("/{path}"),
        user_agent: header("user-agent"),
        query: request.uri.query().map(str::to_owned),
        fetch_dest: header("sec-fetch-dest"),
        fetch_site: header("sec-fetch-site"),
    });
}

fn filter(principal: &Principal, query: &Query, kind: Option<&str>) -> Result<Filter> {
    principal.require(Role::Publisher)?;
    // Guids of nothing but hex and dashes: no wildcard gets through.
    let guids = |text: &str| {
        let known = text.split('|').filter(|guid| guid.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-'));
        format!("|{}|", known.collect::<Vec<_>>().join("|"))
    };
    Ok(Filter {
        kind: kind.map(str::to_owned),
        content: query.text("content_guid").map(guids),
        // Hits are of all browsers.
        user_agent: kind.and_then(|_| query.text("user_agent")).map(str::to_owned),
        from: input::moment(query, "from")?,
        to: input::moment(query, "to")?,
        editor: (!principal.is_administrator()).then(|| principal.user.guid.clone()),
    })
}

async fn page(
    app: &App,
    origin: Origin,
    principal: &Principal,
    query: &Query,
    kind: &str,
    (path, version, least): (&str, i64, i64),
    shown: impl Fn(&Hit) -> Value,
) -> Result<Json<Value>> {
    let filter = filter(principal, query, Some(kind))?;
    let cursor = Cursor::of(query, "asc_order")?;
    let wanted = query.integer("min_data_version", least, 0..=1_000)? <= version;
    app.recorder().flush(app).await?;
    let hits = match wanted {
        true => store::hits::list(&mut *app.read().await?, &filter, cursor.window()).await?,
        false => Vec::new(),
    };
    let rows = hits.iter().map(|hit| (hit.id, shown(hit))).collect();
    Ok(cursor.answer(&app.origin(origin), path, query, rows))
}

/// `GET /v1/instrumentation/content/visits`
///
/// # Errors
/// 400 for a bad parameter, 403 for viewers.
pub async fn visits(State(app): State<App>, origin: Origin, principal: Principal, query: Query) -> Result<Json<Value>> {
    let with_path = app.config().version.with(Difference::VisitPath);
    let shown = |hit: &Hit| {
        let mut shown = json!({
            "content_guid": hit.content_guid, "user_guid": hit.user_guid, "variant_key": hit.variant_key,
            "rendering_id": hit.rendering_id.map(|id| id.to_string()), "bundle_id": hit.bundle_id.to_string(),
            "time": time(hit.time), "data_version": 3,
        });
        if with_path {
            shown["path"] = json!(hit.path);
            shown["user_agent"] = json!(hit.user_agent);
        }
        shown
    };
    let place = ("/__api__/v1/instrumentation/content/visits", 3, 3);
    page(&app, origin, &principal, &query, "visit", place, shown).await
}

/// `GET /v1/instrumentation/shiny/usage`
///
/// # Errors
/// As [`visits`].
pub async fn shiny(State(app): State<App>, origin: Origin, principal: Principal, query: Query) -> Result<Json<Value>> {
    let shown = |hit: &Hit| {
        json!({
            "content_guid": hit.content_guid, "user_guid": hit.user_guid, "started": time(hit.time),
            "ended": time(hit.time), "data_version": 1,
        })
    };
    let place = ("/__api__/v1/instrumentation/shiny/usage", 1, 1);
    page(&app, origin, &principal, &query, "shiny", place, shown).await
}

/// The most hits of one answer.
const MOST: i64 = 100_000;

/// `GET /v1/instrumentation/content/hits`: oldest first. `content_guid` came with 2026.01.0; older servers do not look
/// at it.
///
/// # Errors
/// As [`visits`].
pub async fn hits(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Vec<Value>>> {
    let mut filter = filter(&principal, &query, None)?;
    if !app.config().version.with(Difference::HitsOfContent) {
        filter.content = None;
    }
    app.recorder().flush(&app).await?;
    let window = Window { above: -1, below: i64::MAX, descending: false, limit: MOST };
    let hits = store::hits::list(&mut *app.read().await?, &filter, window).await?;
    let shown = |hit: &Hit| {
        json!({
            "id": hit.id, "user_guid": hit.user_guid, "content_guid": hit.content_guid, "timestamp": time(hit.time),
            "data": {
                "path": hit.path, "user_agent": hit.user_agent, "query": hit.query,
                "sec_fetch_dest": hit.fetch_dest, "sec_fetch_site": hit.fetch_site,
            },
        })
    };
    Ok(Json(hits.iter().map(shown).collect()))
}
