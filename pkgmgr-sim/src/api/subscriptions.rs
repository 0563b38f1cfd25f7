//! `/__api__/repos/{repo}/sources`: which sources a repo is made of, and in which order they win.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::Value;

use super::sources::source_json;
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, Error};
use crate::store::repos::{self, Repo};
use crate::store::sources::{Language, Source};
use crate::store::transactions::Transaction;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct One {
    source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    sources: Vec<String>,
}

/// `POST /__api__/repos/{repo}/sources`: one more, behind the others.
pub async fn subscribe(
    State(app): State<App>,
    caller: Caller,
    Path(repo): Path<String>,
    body: Bytes,
) -> Result<Json<Vec<Value>>, ApiError> {
    caller.may_administrate()?;
    let wanted: One = super::body(&body, r#"{"source": "cran"}"#)?;
    let view = app.view();
    let (repo, source) = (view.repo(&repo)?, view.source_named(&wanted.source)?.clone());
    fits(&repo, &source)?;
    let tag = format!("{} subscribes to {}", repo.name, source.name);
    change(&app, &repo, "Subscribe", tag, |now| {
        if now.contains(&source.id) {
            return Err(Error::Conflict(format!("repository {} subscribes to {} already", repo.name, source.name)));
        }
        now.push(source.id);
        Ok(())
    })
    .await
}

/// `DELETE /__api__/repos/{repo}/sources/{source}`
pub async fn unsubscribe(
    State(app): State<App>,
    caller: Caller,
    Path((repo, source)): Path<(String, String)>,
) -> Result<Json<Vec<Value>>, ApiError> {
    caller.may_administrate()?;
    let view = app.view();
    let (repo, source) = (view.repo(&repo)?, view.source_named(&source)?.clone());
    let tag = format!("{} unsubscribes from {}", repo.name, source.name);
    change(&app, &repo, "Unsubscribe", tag, |now| {
        let at = now.iter().position(|id| *id == source.id).ok_or_else(|| {
            Error::NotFound(format!("repository {} does not subscribe to {}", repo.name, source.name))
        })?;
        now.remove(at);
        Ok(())
    })
    .await
}

/// `PUT /__api__/repos/{repo}/sources`: the same in another order.
pub async fn reorder(
    State(app): State<App>,
    caller: Caller,
    Path(repo): Path<String>,
    body: Bytes,
) -> Result<Json<Vec<Value>>, ApiError> {
    caller.may_administrate()?;
    let wanted: Order = super::body(&body, r#"{"sources": ["team", "cran"]}"#)?;
    let view = app.view();
    let repo = view.repo(&repo)?;
    let ids = wanted.sources.iter().map(|name| Ok(view.source_named(name)?.id)).collect::<Result<Vec<i64>, Error>>()?;
    let tag = format!("{} is now made of {}", repo.name, wanted.sources.join(", "));
    change(&app, &repo, "Reorder", tag, |now| {
        let sorted = |ids: &[i64]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids
        };
        if sorted(now) != sorted(&ids) {
            return Err(Error::BadRequest(format!(
                "name each source of repository {} once; subscribe and unsubscribe change which they are",
                repo.name
            )));
        }
        *now = ids;
        Ok(())
    })
    .await
}

pub(crate) fn fits(repo: &Repo, source: &Source) -> Result<(), Error> {
    let fits = match repo.kind.as_str() {
        "R" => source.language() == Language::R,
        "Python" => source.is_python(),
        "VSX" => source.language() == Language::Vsx,
        _ => source.is_bioconductor(),
    };
    if fits {
        return Ok(());
    }
    let holds = match source {
        source if source.is_bioconductor() => "Bioconductor",
        source if source.is_python() => "Python",
        source if source.language() == Language::Vsx => "VSX",
        _ => "R",
    };
    Err(Error::BadRequest(format!(
        "repository {} holds {} packages, and source {} of type {} holds {holds} packages",
        repo.name, repo.kind, source.name, source.kind
    )))
}

async fn change(
    app: &App,
    repo: &Repo,
    action: &str,
    tag: String,
    edit: impl FnOnce(&mut Vec<i64>) -> Result<(), Error>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let mut change = app.begin().await?;
    // Read while nobody else writes, so that no change of another is lost.
    let current = repos::list_in(&mut change.tx).await?.into_iter().find(|r| r.id == repo.id);
    let current = current.ok_or_else(|| Error::NotFound(format!("there is no repository {:?}", repo.name)))?;
    let mut sources = current.subscriptions.last().map(|s| s.sources.clone()).unwrap_or_default();
    edit(&mut sources)?;
    // After the instant of the change: a date that begins at this very instant may have been served before.
    repos::subscribe(&mut change.tx, repo.id, change.id, change.at + 1, &sources).await?;
    let done = Transaction { repo_id: Some(repo.id), action: action.to_owned(), tag, ..Transaction::default() };
    app.conclude(change, done).await?;
    let view = app.view();
    Ok(Json(sources.iter().filter_map(|id| view.source(*id)).map(source_json).collect()))
}
