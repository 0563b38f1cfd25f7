//! `/__api__/repos`: what clients address.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::{Value, json};

use super::{Paging, sources, time};
use crate::app::App;
use crate::error::{ApiError, Error};
use crate::record::instant;
use crate::store::repos::Repo;
use crate::store::transactions::{self, Point};

fn repo_json(repo: &Repo) -> Value {
    json!({
        "id": repo.id,
        "name": repo.name,
        "description": repo.description,
        "type": repo.kind,
        "created": time(repo.created_at),
        "auth": repo.authenticated,
        "hidden": repo.hidden,
    })
}

/// `GET /__api__/repos`
pub async fn list(State(app): State<App>) -> Json<Vec<Value>> {
    Json(app.view().repos_in_order().into_iter().map(|repo| repo_json(repo)).collect())
}

/// `GET /__api__/repos/{repo}`
pub async fn show(State(app): State<App>, Path(repo): Path<String>) -> Result<Json<Value>, ApiError> {
    Ok(Json(repo_json(&*app.view().repo(&repo)?)))
}

/// `GET /__api__/repos/{repo}/sources`, in the order in which they win.
pub async fn sources(State(app): State<App>, Path(repo): Path<String>) -> Result<Json<Vec<Value>>, ApiError> {
    let view = app.view();
    let repo = view.repo(&repo)?;
    let now = repo.subscriptions.last().map(|s| s.sources.as_slice()).unwrap_or_default();
    Ok(Json(now.iter().filter_map(|id| view.source(*id)).map(sources::source_json).collect()))
}

/// The states of a repo that have a day of their own, oldest first.
async fn points(app: &App, repo: &str) -> Result<Vec<Point>, Error> {
    let repo = app.view().repo(repo)?;
    let mut points: Vec<Point> = Vec::new();
    for source in repo.subscriptions.last().map(|s| s.sources.clone()).unwrap_or_default() {
        points.extend(transactions::points(app.world().db(), source).await?);
    }
    points.sort_by_key(|p| (p.as_of, p.tx));
    points.dedup_by_key(|p| instant(p.as_of).date_naive());
    Ok(points)
}

fn date_json(point: &Point) -> Value {
    json!({ "id": point.tx, "alias": instant(point.as_of).date_naive(), "date": time(point.as_of) })
}

/// `GET /__api__/repos/{repo}/first-transaction`
pub async fn first_transaction(State(app): State<App>, Path(repo): Path<String>) -> Result<Json<Value>, ApiError> {
    let points = points(&app, &repo).await?;
    let first = points.first().ok_or_else(|| Error::NotFound(format!("repository {repo} has no transactions yet")))?;
    Ok(Json(date_json(first)))
}

/// `GET /__api__/repos/{repo}/transaction-dates`: the days on which something changed, for calendars.
pub async fn transaction_dates(
    State(app): State<App>,
    Path(repo): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let mut points = points(&app, &repo).await?;
    if paging.is_descending(false)? {
        points.reverse();
    }
    let (skip, limit) = match &paging.limit {
        None => (0, usize::MAX),
        Some(_) => paging.window()?,
    };
    Ok(Json(points.iter().skip(skip).take(limit).map(date_json).collect()))
}
