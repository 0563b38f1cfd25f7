//! The packages that active bundles were built with.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use crate::access::{Role, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Error, Result};
use crate::input::{Page, Query};
use crate::store;
use crate::store::bundles::{Bundle, Package};

fn shown(package: &Package, bundle: &Bundle) -> Value {
    let runtime = &bundle.runtime;
    let version = if package.language == "r" { &runtime.r_version } else { &runtime.py_version };
    json!({
        "language": package.language, "language_version": version, "name": package.name,
        "version": package.version, "hash": package.hash,
    })
}

/// `GET /v1/packages`: by language and name.
///
/// # Errors
/// 400 for a bad page, 403 for viewers.
pub async fn all(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let page = Page::of(&query, 1_000_000)?;
    let mut db = app.read().await?;
    let ascending = query.flag("asc_order", true)?;
    let (found, total) =
        store::bundles::active_packages(&mut db, query.text("name"), ascending, page.size, page.offset()).await?;
    let mut results = Vec::with_capacity(found.len());
    for (package, bundle) in &found {
        let content = store::content::by_guid(&mut db, &bundle.content_guid).await?;
        let id = content.map(|content| content.id.to_string());
        let mut shown = shown(package, bundle);
        shown["bundle_id"] = json!(bundle.id.to_string());
        shown["app_id"] = json!(id);
        shown["app_guid"] = json!(bundle.content_guid);
        shown["content_id"] = json!(id);
        shown["content_guid"] = json!(bundle.content_guid);
        results.push(shown);
    }
    Ok(page.answer(&results, total))
}

/// `GET /v1/content/{guid}/packages`: 204 before the first deploy.
///
/// # Errors
/// 403 for an item one may not see, 404 when there is none.
pub async fn of_content(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Response> {
    let mut db = app.read().await?;
    let seen = visible(&mut db, &principal, &guid).await?;
    let bundle = match seen.content.bundle_id {
        Some(id) => store::bundles::get(&mut db, id).await?,
        None => None,
    };
    let Some(bundle) = bundle else { return Ok(StatusCode::NO_CONTENT.into_response()) };
    let packages = store::bundles::packages(&mut db, bundle.id).await?;
    Ok(Json(packages.iter().map(|package| shown(package, &bundle)).collect::<Vec<_>>()).into_response())
}

/// `GET /v1/content/{guid}/lockfile`: the Python packages as a requirements file.
///
/// # Errors
/// 403 for an item one may not see; 404 when there is none, or its Python packages are not managed here.
pub async fn lockfile(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Response> {
    let mut db = app.read().await?;
    let seen = visible(&mut db, &principal, &guid).await?;
    let runtime = &seen.content.settings.runtime;
    let (Some(version), Some(true), Some(bundle)) =
        (&runtime.py_version, runtime.py_environment_management, seen.content.bundle_id)
    else {
        return Err(Error::missing("lockfile"));
    };
    let packages = store::bundles::packages(&mut db, bundle).await?;
    let python = packages.iter().filter(|package| package.language == "python");
    let lines: Vec<String> = python.map(|package| format!("{}=={}\n", package.name, package.version)).collect();
    let head = [
        (CONTENT_TYPE.as_str(), "text/plain; charset=utf-8".to_owned()),
        ("generated-by", format!("connect; python={version}")),
    ];
    Ok((head, lines.concat()).into_response())
}
