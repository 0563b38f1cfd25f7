//! `/`, `/client/` and `/client/view/home`: the repositories, and a search over all of them.

use axum::extract::State;
use axum::response::Response;
use minijinja::{Value, context};

use super::packages::{Found, search};
use super::setup::index_url;
use super::{Asked, Made, Visit, asked, repo_value};
use crate::app::App;
use crate::record::instant;
use crate::store::repos::Repo;

/// Hits shown of each repository.
const MOST: usize = 10;

/// `GET /`, `GET /client/`, `GET /client/view/home`
pub async fn page(State(app): State<App>, visit: Visit, query: Asked) -> Response {
    let made = make(&app, &visit, asked(&query, "search")).await;
    visit.show(made).await
}

async fn make(app: &App, visit: &Visit, wanted: &str) -> Made {
    let view = app.view();
    let shown = |repo: &Repo| !repo.hidden || visit.session.is_some();
    let repos: Vec<_> = view.repos_in_order().into_iter().filter(|repo| shown(repo)).cloned().collect();
    let mut groups: Vec<Value> = Vec::new();
    if !wanted.is_empty() {
        for repo in repos.iter().filter(|repo| visit.caller.may_read(repo).is_ok()) {
            // A repo without a state has nothing to be found.
            let Ok(snapshot) = app.shown(repo, None, None).await else { continue };
            let Found { items, total } = search(app, repo, &snapshot, "latest", wanted, 0, MOST).await?;
            if total > 0 {
                let all = visit.link(&format!("repos/{}/packages", repo.name), &[("search", wanted)]);
                groups.push(
                    context! { repo => &repo.name, found => items, total, more => (total > MOST).then_some(all) },
                );
            }
        }
    }
    let state = |repo: &Repo| {
        let sources = repo.subscriptions.last().map(|now| now.sources.as_slice()).unwrap_or_default();
        let newest = sources.iter().filter_map(|id| view.newest.get(id)).map(|point| point.as_of).max();
        match (newest, sources.is_empty()) {
            (Some(at), _) => format!("Snapshot of {}", instant(at).date_naive()),
            (None, true) => "No sources yet".to_owned(),
            (None, false) => "Not synchronised yet".to_owned(),
        }
    };
    let cards: Vec<Value> = repos
        .iter()
        .map(|repo| context! { state => state(repo), url => index_url(visit, repo, "latest"), ..repo_value(repo) })
        .collect();
    Ok(("home.html", context! { here => "home", search => wanted, groups, repos => cards }))
}
