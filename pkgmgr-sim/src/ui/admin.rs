//! `/client/view/admin/…`: administration, and the forms behind it.
//!
//! Forms do what the REST API does: what they hold is written as the body of the API's operation, which answers it, so that
//! both check the same and refuse with the same words.

use axum::body::Bytes;
use axum::extract::{Form, Path, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::HeaderMap;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde_json::{Value as Json, json};
use sim_kit::origin::Origin;

use super::{Asked, Made, Visit, asked, capital, repo_value, session};
use crate::api::{blocklist, repos, sources, status, subscriptions, tokens, urls};
use crate::app::App;
use crate::auth::SCOPES;
use crate::error::{ApiError, Error};
use crate::store::FOREVER;
use crate::store::repos::Repo;

/// What a form holds: names and values, one name possibly several times.
pub(super) struct Filled(pub(super) Vec<(String, String)>);

impl Filled {
    pub(super) fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.trim())
    }

    /// What is said; none for an empty field.
    pub(super) fn said(&self, name: &str) -> Option<&str> {
        Some(self.get(name)).filter(|text| !text.is_empty())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }

    /// Names between commas.
    fn list(&self, name: &str) -> Vec<&str> {
        self.get(name).split(',').map(str::trim).filter(|text| !text.is_empty()).collect()
    }

    /// Refuses a form that no page of ours was sent with, and text with the character U+0000: no name has it, and no database
    /// can look for it.
    pub(super) fn check(&self, visit: &Visit, headers: &HeaderMap) -> Result<(), Error> {
        session::check(visit, headers, self.get("xsrf"))?;
        match self.0.iter().any(|(_, value)| value.contains('\0')) {
            true => Err(Error::BadRequest("a form cannot have the character U+0000".to_owned())),
            false => Ok(()),
        }
    }

    /// For the form that is shown again, with what was wrong.
    pub(super) fn again(&self, error: &Error) -> Value {
        let values = self.0.iter().map(|(name, value)| (name.clone(), Value::from(value.clone())));
        let scopes: Vec<String> = self.all("scope").into_iter().map(str::to_owned).collect();
        let form = Value::from_pairs(values.chain([("scope".to_owned(), scopes.into())]));
        context! { problem => format!("{}.", capital(&error.to_string())), form }
    }
}

pub(super) fn json_body(value: &Json) -> Bytes {
    value.to_string().into()
}

/// `GET /client/view/admin`
pub async fn index(visit: Visit) -> Response {
    Redirect::to(&visit.link("admin/repos", &[])).into_response()
}

/// `GET /client/view/admin/{area}`
pub async fn page(visit: Visit, Path(area): Path<String>, query: Asked) -> Response {
    let done = sentence(asked(&query, "done"));
    let made = make(&visit, &area, context! { done }).await;
    visit.show(made).await
}

/// `GET /client/view/admin/repos/{repo}`
pub async fn repo(visit: Visit, Path(name): Path<String>, query: Asked) -> Response {
    let done = sentence(asked(&query, "done"));
    let made = make_repo(&visit, &name, context! { done }).await;
    visit.show(made).await
}

/// What is said after something was done. Only these words, whatever the address says.
pub(super) fn sentence(done: &str) -> Option<&'static str> {
    Some(match done {
        "create" | "create-url" => "Created.",
        "edit" => "Saved.",
        "delete" | "delete-url" => "Deleted.",
        "revoke" => "Revoked.",
        "subscribe" => "Subscribed.",
        "unsubscribe" => "Unsubscribed.",
        "up" | "down" => "The order is changed.",
        "sync" => "The synchronisation has begun.",
        "run" => "The repository is looked at; what is new is built.",
        "rerun" => "It is built again.",
        _ => return None,
    })
}

async fn make(visit: &Visit, area: &str, more: Value) -> Made {
    visit.caller.needs_token("administration")?;
    let app = &visit.app;
    let view = app.view();
    let names = |ids: &[i64]| {
        let names = ids.iter().filter_map(|id| view.source(*id)).map(|source| source.name.as_str());
        names.collect::<Vec<_>>().join(", ")
    };
    let now = |repo: &Repo| repo.subscriptions.last().map(|now| now.sources.clone()).unwrap_or_default();
    let (template, values) = match area {
        "repos" => {
            let all = view.repos_in_order().into_iter();
            let all: Vec<Value> = all.map(|r| context! { sources => names(&now(r)), ..repo_value(r) }).collect();
            (
                "admin_repos.html",
                context! { repos => all, kinds => repos::KINDS, asks => app.0.config.new_repos_authenticated },
            )
        }
        "sources" => {
            let used = |id: i64| {
                let repos = view.repos_in_order().into_iter().filter(|repo| now(repo).contains(&id));
                repos.map(|repo| repo.name.as_str()).collect::<Vec<_>>().join(", ")
            };
            let all = view.sources_in_order().map(|source| {
                context! {
                    name => &source.name, kind => &source.kind, built_in => source.feed.is_some(), repos => used(source.id),
                }
            });
            let all: Vec<Value> = all.collect();
            ("admin_sources.html", context! { sources => all, kinds => sources::KINDS, root => visit.origin.base() })
        }
        "sync" => {
            let states = status::sync(app).await?;
            let running = states.iter().any(|state| state["state"] == "syncing");
            // What the service tells about packages comes along by itself.
            let fed = view.sources_in_order().filter(|source| source.feed.is_some());
            let fed: Vec<String> = fed.map(|source| source.name.clone()).collect();
            ("admin_sync.html", context! { states => Serde(states), running, can_sync => fed })
        }
        "tokens" => {
            visit.caller.may_administrate()?;
            let all = tokens::list(State(app.clone()), visit.caller.clone()).await.map_err(|error| error.0)?.0;
            ("admin_tokens.html", context! { tokens => Serde(all), scopes => SCOPES.to_vec() })
        }
        "blocklist" => {
            let rules = view.rules.iter().filter(|(row, _)| row.until_tx == FOREVER);
            let rules: Vec<Json> = rules.map(|(row, rule)| blocklist::rule_json(&view, row.id, rule)).collect();
            let repos: Vec<String> = view.repos_in_order().into_iter().map(|repo| repo.name.clone()).collect();
            ("admin_blocklist.html", context! { rules => Serde(rules), repos })
        }
        _ => return Err(Error::NotFound("There is no such page.".to_owned())),
    };
    Ok((template, context! { here => "admin", tab => area, ..context! { ..more, ..values } }))
}

async fn make_repo(visit: &Visit, name: &str, more: Value) -> Made {
    visit.caller.needs_token("administration")?;
    let view = visit.app.view();
    let repo = view.repo(name)?;
    let ids = repo.subscriptions.last().map(|now| now.sources.clone()).unwrap_or_default();
    let sources = ids.iter().filter_map(|id| view.source(*id));
    let sources: Vec<Value> = sources.map(|source| context! { name => &source.name, kind => &source.kind }).collect();
    let fits = view
        .sources_in_order()
        .filter(|source| !ids.contains(&source.id) && subscriptions::fits(&repo, source).is_ok());
    let others: Vec<String> = fits.map(|source| source.name.clone()).collect();
    let created = urls(visit, &repo).await?;
    Ok((
        "admin_repo.html",
        context! {
            here => "admin", tab => "repos", repo => repo_value(&repo), sources, others, created, ..more
        },
    ))
}

/// The created URLs of a repo, as the API tells them; the newest first.
pub(super) async fn urls(visit: &Visit, repo: &Repo) -> Result<Vec<Value>, Error> {
    let origin = Origin::fixed(visit.origin.base());
    let told = urls::list(State(visit.app.clone()), origin, Path(repo.name.clone())).await;
    Ok(told.map_err(|error| error.0)?.0.into_iter().rev().map(|url| Value::from(Serde(url))).collect())
}

/// What a form brings about.
enum Outcome {
    /// It is done; this page is shown next.
    Done(String),
    /// A new token, to be shown now.
    Token(String),
}

/// `POST /client/admin/{area}`
pub async fn act(
    State(app): State<App>,
    visit: Visit,
    Path(area): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let form = Filled(form);
    if let Err(error) = form.check(&visit, &headers) {
        return visit.show(Err(error)).await;
    }
    match in_area(&app, &visit, &area, &form).await {
        Ok(Outcome::Done(next)) => Redirect::to(&visit.link(&next, &[("done", form.get("do"))])).into_response(),
        Ok(Outcome::Token(token)) => {
            let made = make(&visit, &area, context! { token }).await;
            visit.show(made).await
        }
        Err(ApiError(error)) => {
            let more = form.again(&error);
            refused(&visit, &error, make(&visit, &area, more).await).await
        }
    }
}

/// `POST /client/admin/repos/{repo}`
pub async fn act_on_repo(
    State(app): State<App>,
    visit: Visit,
    Path(name): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let form = Filled(form);
    if let Err(error) = form.check(&visit, &headers) {
        return visit.show(Err(error)).await;
    }
    match on_repo(&app, &visit, &name, &form).await {
        Ok(next) => Redirect::to(&visit.link(&next, &[("done", form.get("do"))])).into_response(),
        Err(ApiError(error)) => {
            let more = form.again(&error);
            refused(&visit, &error, make_repo(&visit, &name, more).await).await
        }
    }
}

/// Shows a form again, with the status of what went wrong.
pub(super) async fn refused(visit: &Visit, error: &Error, made: Made) -> Response {
    match made {
        Ok((name, values)) => visit.page(error.status(), name, values).await,
        Err(other) => visit.show(Err(other)).await,
    }
}

pub(super) fn unknown(form: &Filled) -> ApiError {
    Error::BadRequest(format!("there is nothing to do like {:?}", form.get("do"))).into()
}

async fn in_area(app: &App, visit: &Visit, area: &str, form: &Filled) -> Result<Outcome, ApiError> {
    let (state, caller) = (State(app.clone()), visit.caller.clone());
    let next = match (area, form.get("do")) {
        ("repos", "create") => {
            let draft = json!({
                "name": form.said("name"), "type": form.said("type"), "description": form.get("description"),
                "authenticated": form.get("authenticated") == "true",
            });
            let name = form.get("name").to_owned();
            repos::create(state, caller, json_body(&draft)).await?;
            format!("admin/repos/{name}")
        }
        ("sources", "create") => {
            let draft =
                json!({ "name": form.said("name"), "type": form.said("type"), "snapshot": form.said("snapshot") });
            sources::create(state, caller, json_body(&draft)).await?;
            "admin/sources".to_owned()
        }
        ("sources", "delete") => {
            sources::delete(state, caller, Path(form.get("source").to_owned())).await?;
            "admin/sources".to_owned()
        }
        ("sync", "sync") => {
            let wanted = json!({ "source": form.said("source"), "no_wait": true });
            sources::sync(state, caller, json_body(&wanted)).await?;
            "admin/sync".to_owned()
        }
        ("tokens", "create") => {
            let draft = json!({
                "scope": form.all("scope"), "repos": form.list("repos"), "sources": form.list("sources"),
                "expires": form.said("expires"), "user": form.get("user"), "description": form.get("description"),
            });
            let origin = Origin::fixed(visit.origin.base());
            let made = tokens::create(state, caller, origin, json_body(&draft)).await?;
            let bytes = axum::body::to_bytes(made.into_body(), 1 << 20).await;
            let bytes = bytes.map_err(|error| Error::Internal(error.to_string()))?;
            let made: Json = serde_json::from_slice(&bytes)?;
            return Ok(Outcome::Token(made["token"].as_str().unwrap_or_default().to_owned()));
        }
        ("tokens", "revoke") => {
            tokens::revoke(state, caller, Path(form.get("id").to_owned())).await?;
            "admin/tokens".to_owned()
        }
        ("blocklist", "create") => {
            let priority = form.said("priority").unwrap_or("0");
            let priority: i64 = priority
                .parse()
                .map_err(|_| Error::BadRequest(format!("a priority is a whole number, not {priority:?}")))?;
            let draft = json!({
                "package_name": form.said("package_name"), "version": form.said("version"), "repo": form.said("repo"),
                "license": form.said("license"), "priority": priority, "description": form.get("description"),
                "exception": form.get("exception") == "true", "vulns": form.get("vulns") == "true",
                "min_severity": form.said("min_severity"), "block_unscored": form.get("block_unscored") == "true",
            });
            blocklist::create(state, caller, json_body(&draft)).await?;
            "admin/blocklist".to_owned()
        }
        ("blocklist", "delete") => {
            blocklist::delete(state, caller, Path(form.get("id").to_owned())).await?;
            "admin/blocklist".to_owned()
        }
        _ => return Err(unknown(form)),
    };
    Ok(Outcome::Done(next))
}

async fn on_repo(app: &App, visit: &Visit, name: &str, form: &Filled) -> Result<String, ApiError> {
    let (state, caller, path) = (State(app.clone()), visit.caller.clone(), Path(name.to_owned()));
    let source = form.get("source");
    match form.get("do") {
        "edit" => {
            let draft = json!({
                "name": form.said("name"), "description": form.get("description"),
                "authenticated": form.get("authenticated") == "true", "hidden": form.get("hidden") == "true",
            });
            let _ = repos::edit(state, caller, path, json_body(&draft)).await?;
            return Ok(format!("admin/repos/{}", form.said("name").unwrap_or(name)));
        }
        "delete" => {
            repos::delete(state, caller, path).await?;
            return Ok("admin/repos".to_owned());
        }
        "create-url" => {
            let mut snapshots = serde_json::Map::new();
            for (field, segment) in &form.0 {
                if let Some(source) = field.strip_prefix("at-").filter(|_| !segment.trim().is_empty()) {
                    snapshots.insert(source.to_owned(), segment.trim().into());
                }
            }
            let lock = form.get("lock") == "true";
            let draft = json!({ "date": form.said("date"), "snapshots": snapshots, "lock": lock });
            let _ = urls::create(state, caller, Origin::fixed(visit.origin.base()), path, json_body(&draft)).await?;
        }
        "delete-url" => {
            let _ = urls::delete(state, caller, Path((name.to_owned(), form.get("id").to_owned()))).await?;
        }
        "subscribe" => {
            let _ = subscriptions::subscribe(state, caller, path, json_body(&json!({ "source": source }))).await?;
        }
        "unsubscribe" => {
            let _ = subscriptions::unsubscribe(state, caller, Path((name.to_owned(), source.to_owned()))).await?;
        }
        which @ ("up" | "down") => {
            let view = app.view();
            let repo = view.repo(name)?;
            let ids = repo.subscriptions.last().map(|now| now.sources.clone()).unwrap_or_default();
            let mut order: Vec<&str> =
                ids.iter().filter_map(|id| view.source(*id)).map(|source| source.name.as_str()).collect();
            let at = order.iter().position(|name| *name == source).unwrap_or_default();
            let to = if which == "up" { at.saturating_sub(1) } else { (at + 1).min(order.len().saturating_sub(1)) };
            if at < order.len() {
                order.swap(at, to);
            }
            let _ = subscriptions::reorder(state, caller, path, json_body(&json!({ "sources": order }))).await?;
        }
        _ => return Err(unknown(form)),
    }
    Ok(format!("admin/repos/{name}"))
}
