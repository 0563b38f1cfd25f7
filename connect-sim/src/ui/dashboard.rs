//! The dashboard: content, and of each item its facts, its bundles and its logs.

use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::Uri;
use minijinja::{Value, context};
use sim_kit::origin::Origin;

use crate::access::{AppRole, Role, visible};
use crate::app::App;
use crate::auth::{Caller, Principal, Via, login};
use crate::content_type::ContentType;
use crate::error::{Error, Result};
use crate::input::Query;
use crate::store;
use crate::store::content::{Content, Filter};
use crate::users::time;

/// Items on one page of the list.
const MOST_ITEMS: i64 = 500;

/// `GET /`, `GET /connect`
pub async fn home(State(app): State<App>, origin: Origin) -> Redirect {
    Redirect::temporary(&app.origin(origin).url("/connect/"))
}

/// A caller who signed in with a browser, with what every page shows.
fn signed_in(app: &App, origin: Origin, caller: Caller, uri: &Uri) -> Result<(Principal, Value)> {
    let path = uri.path_and_query().map_or("/connect/", http::uri::PathAndQuery::as_str);
    let principal = login::for_page(caller, &app.origin(origin), path)?;
    let xsrf = if let Via::Session { xsrf } = &principal.via { xsrf.clone() } else { String::new() };
    let user = context! {
        username => &principal.user.username, role => principal.role.as_str(),
        first_name => &principal.user.first_name, last_name => &principal.user.last_name,
    };
    Ok((principal, context! { user, xsrf }))
}

fn noun(content: &Content) -> &'static str {
    ContentType::of(&content.app_mode).unwrap_or(ContentType::Unknown).noun()
}

/// `GET /connect/`, `GET /connect/view/content`: the list.
///
/// # Errors
/// The redirect to the login page.
pub async fn list(
    State(app): State<App>,
    origin: Origin,
    caller: Caller,
    query: Query,
    uri: Uri,
) -> Result<Html<String>> {
    let (principal, general) = signed_in(&app, origin, caller, &uri)?;
    let viewer = (principal.role < Role::Administrator).then(|| principal.user.guid.clone());
    let mut db = app.read().await?;
    let filter = Filter { viewer, limit: Some(MOST_ITEMS), ..Filter::default() };
    let items = store::content::list(&mut db, &filter).await?;
    let words: Vec<String> = query.text("q").unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    let matches = |item: &Content| {
        let text = format!("{} {} {}", item.name, item.title.as_deref().unwrap_or_default(), item.description);
        let text = text.to_lowercase();
        words.iter().all(|word| text.contains(word))
    };
    let mut rows = Vec::new();
    for item in items.iter().filter(|item| matches(item)) {
        let owner = store::users::by_guid(&mut db, &item.owner_guid).await?;
        rows.push(context! {
            guid => &item.guid, title => item.title.as_ref().unwrap_or(&item.name), noun => noun(item),
            owner => owner.map(|user| user.username), access => &item.access_type, locked => item.locked,
            deployed => item.bundle_id.map(|_| time(item.deployed)),
        });
    }
    app.pages().render("list.html", context! { items => rows, q => query.text("q"), ..general })
}

/// `GET /connect/view/apps/{guid}` and below: an item. The last segment chooses what is shown.
///
/// # Errors
/// The redirect to the login page; 403, 404.
pub async fn content(
    State(app): State<App>,
    origin: Origin,
    caller: Caller,
    Path(path): Path<String>,
    uri: Uri,
) -> Result<Response> {
    let (principal, general) = signed_in(&app, origin, caller, &uri)?;
    let (guid, tab) = path.split_once('/').unwrap_or((&path, ""));
    let mut db = app.read().await?;
    let seen = match visible(&mut db, &principal, guid).await {
        Ok(seen) => seen,
        Err(Error::Refused { status, text, .. }) => {
            let page = app.pages().render("message.html", context! { title => "No such content", text, ..general })?;
            return Ok((status, page).into_response());
        }
        Err(error) => return Err(error),
    };
    let item = &seen.content;
    let editor = matches!(seen.role, AppRole::Owner | AppRole::Editor) || principal.is_administrator();
    let owner = store::users::by_guid(&mut db, &item.owner_guid).await?;
    let (mut bundles, mut permissions, mut variables) = (Vec::new(), Vec::new(), Vec::new());
    let mut task = Value::UNDEFINED;
    if editor {
        for bundle in store::bundles::of_content(&mut db, guid).await? {
            bundles.push(context! {
                id => bundle.id, created => time(bundle.created), size => bundle.size,
                active => item.bundle_id == Some(bundle.id),
            });
        }
        for permission in store::permissions::of_content(&mut db, guid).await? {
            let user = store::users::by_guid(&mut db, &permission.principal_guid).await?;
            let group = store::groups::by_guid(&mut db, &permission.principal_guid).await?;
            let name = user.map(|user| user.username).or(group.map(|group| group.name));
            permissions.push(context! {
                name, kind => permission.principal_type,
                role => if permission.grant.as_str() == "owner" { "collaborator" } else { "viewer" },
            });
        }
        variables = store::variables::names(&mut db, guid).await?;
        if let Some(newest) = store::tasks::newest(&mut db, guid).await? {
            let output = store::tasks::output(&mut db, &newest.id, 0).await?;
            task = context! {
                id => newest.id, kind => newest.kind, finished => newest.state == "finished",
                error => newest.error, last => output.len(), output => output.join("\n"),
                created => time(newest.created),
            };
        }
    }
    let draft = tab.strip_prefix("draft/").and_then(|id| id.parse::<i64>().ok()).filter(|_| editor);
    let tab = match tab.split('/').next().unwrap_or_default() {
        "access" => "access",
        "logs" => "logs",
        "history" => "history",
        _ => "info",
    };
    let opens = seen.role != AppRole::None && (item.bundle_id.is_some() || draft.is_some());
    let frame = opens.then(|| match draft {
        Some(id) => format!("/content/{guid}/_bundle{id}/"),
        None => format!("/content/{guid}/"),
    });
    let page = context! {
        guid, tab, editor, frame, draft, bundles, permissions, variables, task,
        title => item.title.as_ref().unwrap_or(&item.name), name => &item.name, noun => noun(item),
        description => &item.description, access => &item.access_type, locked => item.locked,
        locked_message => &item.locked_message, owner => owner.map(|user| user.username),
        created => time(item.created), deployed => item.bundle_id.map(|_| time(item.deployed)),
        r_version => &item.settings.runtime.r_version, py_version => &item.settings.runtime.py_version,
        quarto_version => &item.settings.runtime.quarto_version, role => seen.role.as_str(),
        ..general
    };
    Ok(app.pages().render("content.html", page)?.into_response())
}
