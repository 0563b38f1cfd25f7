//! `/client/view/repos/{repo}/packages`: the packages of a repository, and a search in them.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use axum::response::Response;
use minijinja::{Value, context};

use super::{Asked, Made, Visit, asked, capital, page_number, repo_value};
use crate::api::packages as api;
use crate::app::App;
use crate::error::Error;
use crate::record::instant;
use crate::snapshot::Snapshot;
use crate::store::packages::{self, Shows};
use crate::store::repos::Repo;

/// Packages on a page.
const PAGE: usize = 30;

/// A part of what a search finds.
pub(super) struct Found {
    /// For the template.
    pub(super) items: Vec<Value>,
    /// How many there are in all.
    pub(super) total: usize,
}

/// Packages whose names hold `wanted`: first the one of that name, then those that begin with it.
pub(super) async fn search(
    app: &App,
    repo: &Repo,
    snapshot: &Snapshot,
    segment: &str,
    wanted: &str,
    skip: usize,
    limit: usize,
) -> Result<Found, Error> {
    let lower = wanted.to_lowercase();
    let mut found: Vec<String> = names(app, repo, snapshot, &lower).await?.into_iter().collect();
    found.sort_by_cached_key(|name| {
        let name = name.to_lowercase();
        (name != lower, !name.starts_with(&lower), name)
    });
    let total = found.len();
    let mut items = Vec::new();
    let query = if segment == "latest" { String::new() } else { format!("?snapshot={segment}") };
    for name in found.into_iter().skip(skip).take(limit) {
        let package = api::package(app, repo, snapshot, &name, None).await?;
        let text = |member: &str| package.as_ref().and_then(|p| p[member].as_str()).map(str::to_owned);
        let what = text("title").or_else(|| text("summary"));
        items.push(context! { repo => &repo.name, name, version => text("version"), what, query => &query });
    }
    Ok(Found { items, total })
}

/// Names read at once.
const CHUNK: i64 = 2000;

/// The names of the packages of a snapshot that hold `part`, which is in lower case.
async fn names(app: &App, repo: &Repo, snapshot: &Snapshot, part: &str) -> Result<BTreeSet<String>, Error> {
    let shows = api::shows(repo.language());
    let mut names = BTreeSet::new();
    for source in &snapshot.parts {
        let mut pages = packages::pages(app.world().db(), source.source, source.at, false, CHUNK);
        while let Some(page) = pages.next().await? {
            for listed in page.into_iter().filter(|listed| listed.name.to_lowercase().contains(part)) {
                let is_there = match &listed.shows {
                    Shows::Entry(entry) => !entry.is_empty(),
                    Shows::Record(json) => shows(json, instant(source.at.as_of))?,
                };
                if is_there {
                    names.insert(listed.name);
                }
            }
        }
    }
    Ok(names)
}

/// `GET /client/view/repos/{repo}`, `…/packages`
pub async fn page(State(app): State<App>, visit: Visit, Path(repo): Path<String>, query: Asked) -> Response {
    let made = make(&app, &visit, &repo, &query).await;
    visit.show(made).await
}

async fn make(app: &App, visit: &Visit, repo: &str, query: &Asked) -> Made {
    let repo = visit.repo(repo)?;
    let (wanted, page) = (asked(query, "search"), page_number(query));
    let segment = Some(asked(query, "snapshot")).filter(|text| !text.is_empty()).unwrap_or("latest");
    let general = context! {
        here => "home", tab => "packages", repo => repo_value(&repo), search => wanted, snapshot => segment,
    };
    let snapshot = match app.shown(&repo, Some(segment), None).await {
        Ok(snapshot) => snapshot,
        Err(Error::NotFound(reason)) => {
            return Ok(("packages.html", context! { problem => capital(&reason), ..general }));
        }
        Err(other) => return Err(other),
    };
    let Found { items, total } = search(app, &repo, &snapshot, segment, wanted, (page - 1) * PAGE, PAGE).await?;
    let link = |page: usize| {
        let segment = if segment == "latest" { "" } else { segment };
        let query = [("search", wanted), ("snapshot", segment), ("page", &page.to_string())];
        visit.link(&format!("repos/{}/packages", repo.name), &query)
    };
    let found = context! {
        items, total, page,
        before => (page > 1).then(|| link(page - 1)),
        after => (page * PAGE < total).then(|| link(page + 1)),
    };
    Ok(("packages.html", context! { found, ..general }))
}
