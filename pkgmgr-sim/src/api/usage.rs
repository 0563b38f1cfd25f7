//! `/__api__/metrics/packages`: how often packages were downloaded.
//!
//! The real server's answer is not known beyond its query, and that it needs metrics to be enabled.

use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::Paging;
use crate::app::App;
use crate::auth::Caller;
use crate::downloads::DAY;
use crate::error::{ApiError, Error};
use crate::store::sources::Source;

/// Which downloads.
#[derive(Debug, Deserialize)]
pub struct Asked {
    #[serde(rename = "_sourceType")]
    source_type: Option<String>,
    #[serde(rename = "_days")]
    days: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

/// Days that are counted when nothing is said.
const DAYS: i64 = 7;
const MOST_DAYS: i64 = 3650;

/// `GET /__api__/metrics/packages`: those downloaded most first. Today is one of the days.
pub async fn packages(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<Asked>,
) -> Result<Response, ApiError> {
    if !app.0.config.metrics.enabled {
        return Err(Error::NotFound("metrics are not enabled (Metrics.Enabled)".to_owned()).into());
    }
    let kind = asked.source_type.as_deref().unwrap_or_default();
    let fits: fn(&Source) -> bool = match kind.to_ascii_lowercase().as_str() {
        "" => |_| true,
        "r" => |source| !source.is_python() && !source.is_bioconductor(),
        "python" => Source::is_python,
        "bioconductor" => Source::is_bioconductor,
        _ => {
            let types = "_sourceType is r, python or bioconductor";
            return Err(Error::BadRequest(format!("{types}, not {kind:?}")).into());
        }
    };
    let days = match asked.days.as_deref() {
        None => DAYS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|days| (1..=MOST_DAYS).contains(days))
            .ok_or_else(|| Error::BadRequest(format!("_days is a number from 1 to {MOST_DAYS}, not {text:?}")))?,
    };
    let (skip, limit) = asked.paging.window()?;
    let today = app.world().clock().now_micros().div_euclid(DAY) * DAY;
    let view = app.view();
    let seen = |id: i64| {
        let source = view.source(id).filter(|source| !source.deleted && fits(source))?;
        caller.may_look_into(&view, source).is_ok().then_some(source)
    };
    let mut found: Vec<_> = app.downloads_since(today - (days - 1) * DAY).await?;
    found.retain(|(id, ..)| seen(*id).is_some());
    found.sort_by(|a, b| (b.2, &a.1, a.0).cmp(&(a.2, &b.1, b.0)));
    let total = found.len();
    let items = found.into_iter().skip(skip).take(limit).filter_map(|(id, name, count)| {
        let source = seen(id)?;
        Some(json!({ "name": name, "source": source.name, "source_type": source.kind, "downloads": count }))
    });
    Ok(super::page(items.collect(), total))
}
