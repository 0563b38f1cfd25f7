//! `/client/view/activity`: what has happened, newest first.

use axum::extract::{Path, State};
use axum::response::Response;
use minijinja::{Value, context};

use super::{Asked, Made, Visit, asked, minute, page_number, repo_value};
use crate::app::{App, View};
use crate::store::repos::Repo;
use crate::store::transactions::{self, Transaction};

/// Transactions on a page.
const PAGE: usize = 50;

fn counts(t: &Transaction) -> String {
    let parts = [
        (t.packages_added, "added"),
        (t.packages_updated, "updated"),
        (t.packages_archived, "archived"),
        (t.packages_removed, "removed"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}"));
    parts.collect::<Vec<_>>().join(", ")
}

fn entry(view: &View, t: &Transaction) -> Value {
    let source = t.source_id.and_then(|id| view.source(id)).map(|source| source.name.as_str());
    let repo =
        || t.repo_id.and_then(|id| view.repos.values().find(|repo| repo.id == id)).map(|repo| repo.name.as_str());
    context! {
        id => t.id, when => minute(t.completed_at), action => &t.action, tag => &t.tag, failed => t.result != 0,
        error => &t.error, place => source.or_else(repo), counts => counts(t),
    }
}

/// `GET /client/view/activity`
pub async fn page(State(app): State<App>, visit: Visit, query: Asked) -> Response {
    let made = make(&app, &visit, None, &query).await;
    visit.show(made).await
}

/// `GET /client/view/repos/{repo}/activity`
pub async fn of_repo(State(app): State<App>, visit: Visit, Path(repo): Path<String>, query: Asked) -> Response {
    let made = async { make(&app, &visit, Some(&*visit.repo(&repo)?), &query).await }.await;
    visit.show(made).await
}

async fn make(app: &App, visit: &Visit, repo: Option<&Repo>, query: &Asked) -> Made {
    let view = app.view();
    let seen: Vec<_> = view.sources_in_order().filter(|s| visit.caller.may_look_into(&view, s).is_ok()).collect();
    let source = asked(query, "source");
    let ids: Vec<i64> = match repo {
        Some(repo) => repo.subscriptions.iter().flat_map(|then| &then.sources).copied().collect(),
        None => seen.iter().filter(|one| source.is_empty() || one.name == source).map(|one| one.id).collect(),
    };
    let page = page_number(query);
    // What concerns no source concerns repos and tokens.
    let with_others = repo.is_none() && source.is_empty();
    let repo_id = repo.map(|repo| repo.id);
    let list = transactions::recent(app.world().db(), &ids, with_others, repo_id, PAGE + 1, (page - 1) * PAGE).await?;
    let place = repo.map_or_else(|| "activity".to_owned(), |repo| format!("repos/{}/activity", repo.name));
    let link = |page: usize| visit.link(&place, &[("source", source), ("page", &page.to_string())]);
    let entries: Vec<Value> = list.iter().take(PAGE).map(|t| entry(&view, t)).collect();
    let found = context! {
        page,
        before => (page > 1).then(|| link(page - 1)),
        after => (list.len() > PAGE).then(|| link(page + 1)),
    };
    let names: Vec<String> = seen.iter().map(|source| source.name.clone()).collect();
    let values = context! { entries, found, sources => names, source };
    Ok((
        "activity.html",
        match repo {
            Some(repo) => context! { here => "home", tab => "activity", repo => repo_value(repo), ..values },
            None => context! { here => "activity", ..values },
        },
    ))
}
