//! `/__api__/repos`: what clients address.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use chrono::{NaiveDate, NaiveTime};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Chosen, MOST_DESCRIPTION, Paging, check_length, sources, time};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, Error};
use crate::record::instant;
use crate::store::repos::{self, Repo};
use crate::store::transactions::{self, Point, Transaction};
use crate::sync::midnight_after;

pub(super) fn repo_json(repo: &Repo) -> Value {
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
pub async fn list(State(app): State<App>, Query(chosen): Query<Chosen>) -> Result<Response, ApiError> {
    Ok(chosen.answer(app.view().repos_in_order().into_iter().map(|repo| repo_json(repo)).collect())?)
}

/// `GET /__api__/repos/{repo}`
pub async fn show(State(app): State<App>, Path(repo): Path<String>) -> Result<Json<Value>, ApiError> {
    Ok(Json(repo_json(&*app.view().repo(&repo)?)))
}

/// `GET /__api__/repos/{repo}/sources`, in the order in which they win.
pub async fn sources(
    State(app): State<App>,
    Path(repo): Path<String>,
    Query(chosen): Query<Chosen>,
) -> Result<Response, ApiError> {
    let view = app.view();
    let repo = view.repo(&repo)?;
    let now = repo.subscriptions.last().map(|s| s.sources.as_slice()).unwrap_or_default();
    Ok(chosen.answer(now.iter().filter_map(|id| view.source(*id)).map(sources::source_json).collect())?)
}

/// What there is to say of a repo; what is left out stays, or gets the default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Draft {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    description: Option<String>,
    authenticated: Option<bool>,
    hidden: Option<bool>,
}

/// The repo types that can be created, as they are stored.
pub(crate) const KINDS: [&str; 4] = ["R", "Python", "Bioconductor", "VSX"];

fn kind(text: &str) -> Result<&'static str, Error> {
    KINDS.into_iter().find(|kind| kind.eq_ignore_ascii_case(text)).ok_or_else(|| {
        let kinds = "the types are R, Python, Bioconductor and VSX";
        Error::BadRequest(format!("there are no repositories of type {text:?} here; {kinds}"))
    })
}

impl Draft {
    fn read(bytes: &[u8]) -> Result<Self, Error> {
        let draft: Self = super::body(bytes, r#"{"name": "prod", "type": "R", "description": "For production"}"#)?;
        if let Some(name) = &draft.name {
            super::check_name(name)?;
        }
        check_length("description", draft.description.as_deref(), MOST_DESCRIPTION)?;
        Ok(draft)
    }

    fn apply(self, repo: &mut Repo) {
        repo.name = self.name.unwrap_or_else(|| std::mem::take(&mut repo.name));
        repo.description = self.description.unwrap_or_else(|| std::mem::take(&mut repo.description));
        repo.authenticated = self.authenticated.unwrap_or(repo.authenticated);
        repo.hidden = self.hidden.unwrap_or(repo.hidden);
    }
}

fn changed(repo: i64, action: &str, tag: String) -> Transaction {
    Transaction { repo_id: Some(repo), action: action.to_owned(), tag, ..Transaction::default() }
}

/// `POST /__api__/repos`
pub async fn create(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ApiError> {
    caller.may_administrate()?;
    let draft = Draft::read(&body)?;
    let kind = kind(draft.kind.as_deref().unwrap_or("R"))?;
    let name = draft.name.clone().ok_or_else(|| Error::BadRequest("a repository needs a name".to_owned()))?;
    let mut change = app.begin().await?;
    let id = repos::create(&mut change.tx, &name, kind, "", change.at).await?;
    let mut repo = Repo {
        id,
        name,
        kind: kind.to_owned(),
        description: String::new(),
        hidden: false,
        authenticated: app.0.config.new_repos_authenticated,
        created_at: change.at,
        subscriptions: Vec::new(),
    };
    draft.apply(&mut repo);
    repos::update(&mut change.tx, &repo).await?;
    app.conclude(change, changed(id, "Create", format!("Repository {}", repo.name))).await?;
    Ok((StatusCode::CREATED, Json(repo_json(&repo))).into_response())
}

/// `PATCH /__api__/repos/{repo}`
pub async fn edit(
    State(app): State<App>,
    caller: Caller,
    Path(repo): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    caller.may_administrate()?;
    let draft = Draft::read(&body)?;
    let mut repo = Repo::clone(&*app.view().repo(&repo)?);
    if draft.kind.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case(&repo.kind)) {
        return Err(Error::BadRequest("the type of a repository cannot be changed".to_owned()).into());
    }
    draft.apply(&mut repo);
    let mut change = app.begin().await?;
    repos::update(&mut change.tx, &repo).await?;
    app.conclude(change, changed(repo.id, "Edit", format!("Repository {}", repo.name))).await?;
    Ok(Json(repo_json(&repo)))
}

/// `DELETE /__api__/repos/{repo}`: its snapshots go with it, its sources stay.
pub async fn delete(State(app): State<App>, caller: Caller, Path(repo): Path<String>) -> Result<StatusCode, ApiError> {
    caller.may_administrate()?;
    let repo = app.view().repo(&repo)?;
    let mut change = app.begin().await?;
    repos::delete(&mut change.tx, repo.id).await?;
    app.conclude(change, changed(repo.id, "Delete", format!("Repository {}", repo.name))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The dates that show something new of a repo, oldest first, each with the state it shows of the source that changed last.
///
/// A change in the course of a day is first shown by the date of the next day.
pub(crate) async fn points(app: &App, repo: &str) -> Result<Vec<(NaiveDate, Point)>, Error> {
    let repo = app.view().repo(repo)?;
    let today = app.world().clock().now().date_naive();
    let mut days: BTreeMap<NaiveDate, Point> = BTreeMap::new();
    for source in repo.subscriptions.last().map(|s| s.sources.clone()).unwrap_or_default() {
        let mut own: BTreeMap<NaiveDate, Point> = BTreeMap::new();
        for point in transactions::points(app.world().db(), source).await? {
            let at = instant(point.as_of);
            let day = if at.time() == NaiveTime::MIN { at } else { midnight_after(at) };
            // Of two for the same time the first was served.
            own.entry(day.date_naive())
                .and_modify(|p| {
                    if p.as_of < point.as_of {
                        *p = point;
                    }
                })
                .or_insert(point);
        }
        for (day, point) in own.into_iter().filter(|(day, _)| *day <= today) {
            days.entry(day)
                .and_modify(|p| {
                    if p.tx < point.tx {
                        *p = point;
                    }
                })
                .or_insert(point);
        }
    }
    Ok(days.into_iter().collect())
}

fn date_json((day, point): &(NaiveDate, Point)) -> Value {
    json!({ "id": point.tx, "alias": day, "date": time(point.as_of) })
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
    paging.sort(&["date", "alias"])?;
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
