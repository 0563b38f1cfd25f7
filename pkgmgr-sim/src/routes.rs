//! The one table of routes.

use axum::extract::{DefaultBodyLimit, Request};
use axum::handler::Handler as _;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::{Json, Router};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Uri};
use serde_json::json;
use sim_kit::Table;
use sim_kit::routing::Fidelity::{ClientProven, Documented, Inferred};
use tower::ServiceExt as _;

use crate::app::App;
use crate::error::{ApiError, Error};
use crate::hot::Asked;
use crate::{api, cran, home, simple};

/// Bytes of a form with a package file.
const FORM: usize = crate::local::LARGEST + (1 << 20);

/// Every endpoint. `{snapshot}` is `latest`, a date, the number of a transaction or a created URL.
#[must_use]
pub fn table() -> Table<App> {
    Table::default()
        .row("GET", "/", home::page, "", Inferred)
        .row("GET", "/client", home::page, "", Inferred)
        .row("GET", "/client/", home::page, "", Inferred)
        .row("GET", "/__ping__", api::status::ping, "", Documented)
        .row("GET", "/__api__/status", api::status::status, "", Documented)
        .row("GET", "/__api__/repos", api::repos::list, "", Documented)
        .row("GET", "/__api__/repos/{repo}", api::repos::show, "", Documented)
        .row("GET", "/__api__/repos/{repo}/sources", api::repos::sources, "", Documented)
        .row("GET", "/__api__/repos/{repo}/first-transaction", api::repos::first_transaction, "", Inferred)
        .row("GET", "/__api__/repos/{repo}/transaction-dates", api::repos::transaction_dates, "", Documented)
        .row("GET", "/__api__/repos/{repo}/packages", api::packages::of_repo, "", Documented)
        .row("GET", "/__api__/repos/{repo}/packages/{name}", api::packages::show, "", Documented)
        .row("GET", "/__api__/sources", api::sources::list, "", Documented)
        .row("GET", "/__api__/sources/{source}", api::sources::show, "", Inferred)
        .row("GET", "/__api__/sources/{source}/packages", api::packages::of_source, "", Documented)
        .row("GET", "/__api__/sources/{source}/transactions", api::sources::transactions, "", Documented)
        .row("POST", "/__api__/sync", api::sources::sync, "", Inferred)
        .row("POST", "/__api__/repos", api::repos::create, "", Inferred)
        .row("PATCH", "/__api__/repos/{repo}", api::repos::edit, "", Inferred)
        .row("DELETE", "/__api__/repos/{repo}", api::repos::delete, "", Inferred)
        .row("POST", "/__api__/repos/{repo}/sources", api::subscriptions::subscribe, "", Inferred)
        .row("PUT", "/__api__/repos/{repo}/sources", api::subscriptions::reorder, "", Inferred)
        .row("DELETE", "/__api__/repos/{repo}/sources/{source}", api::subscriptions::unsubscribe, "", Inferred)
        .row("GET", "/__api__/repos/{repo}/urls", api::urls::list, "", Inferred)
        .row("POST", "/__api__/repos/{repo}/urls", api::urls::create, "", Inferred)
        .row("DELETE", "/__api__/repos/{repo}/urls/{id}", api::urls::delete, "", Inferred)
        .row("POST", "/__api__/sources", api::sources::create, "", Inferred)
        .row("PATCH", "/__api__/sources/{source}", api::sources::edit, "", Inferred)
        .row("DELETE", "/__api__/sources/{source}", api::sources::delete, "", Inferred)
        .row("POST", "/__api__/sources/{source}/packages", api::contents::add, "", Inferred)
        .row("DELETE", "/__api__/sources/{source}/packages/{name}", api::contents::remove, "", Inferred)
        .row("POST", "/__api__/sources/{source}/packages/{name}/archive", api::contents::archive, "", Inferred)
        .row("POST", "/__api__/sources/{source}/packages/{name}/yank", api::contents::yank, "", Inferred)
        .row("POST", "/__api__/sources/{source}/update", api::contents::update, "", Inferred)
        .row("GET", "/__api__/sources/{source}/packages/{name}/releases", api::packages::releases, "", Inferred)
        .row("POST", "/__api__/filter/packages", api::filter::packages, "", Documented)
        .row("GET", "/__api__/blocklist/rules", api::blocklist::list, "", Documented)
        .row("POST", "/__api__/blocklist/rules", api::blocklist::create, "", Inferred)
        .row("PUT", "/__api__/blocklist/rules/{id}", api::blocklist::edit, "", Inferred)
        .row("DELETE", "/__api__/blocklist/rules/{id}", api::blocklist::delete, "", Inferred)
        .row("GET", "/__api__/blocklist/test", api::blocklist::test, "", Inferred)
        .row("GET", "/__api__/tokens", api::tokens::list, "", Inferred)
        .row("POST", "/__api__/tokens", api::tokens::create, "", Inferred)
        .row("DELETE", "/__api__/tokens/{id}", api::tokens::revoke, "", Inferred)
        .row("POST", "/upload/pypi/{source}", api::uploads::pypi.layer(DefaultBodyLimit::max(FORM)), "", ClientProven)
        .row("GET", "/{repo}/{snapshot}/src/contrib/{*file}", cran::source, "", ClientProven)
        .row("GET", "/{repo}/__linux__/{distro}/{snapshot}/src/contrib/{*file}", cran::linux, "", ClientProven)
        .row(
            "GET",
            "/{repo}/{snapshot}/bin/linux/{platform}/{rver}/src/contrib/{*file}",
            cran::linux_explicit,
            "",
            ClientProven,
        )
        .row("GET", "/{repo}/{snapshot}/bin/linux/{platform}/contrib/{rver}/{*file}", cran::linux_only, "", Documented)
        .row("GET", "/{repo}/{snapshot}/simple", simple::with_slash, "", Documented)
        .row("GET", "/{repo}/{snapshot}/simple/", simple::root, "", Documented)
        .row("GET", "/{repo}/{snapshot}/simple/{project}", simple::with_slash, "", Documented)
        .row("GET", "/{repo}/{snapshot}/simple/{project}/", simple::project, "", ClientProven)
        .row("GET", "/{repo}/{snapshot}/packages/{id}/{filename}", simple::file, "", ClientProven)
}

/// The answer to an unknown path: never HTML with 200, which clients would take for what they asked for.
pub async fn not_found(uri: Uri) -> Response {
    let error = Error::NotFound(format!("there is nothing at {}", uri.path()));
    if uri.path().starts_with("/__api__/") { ApiError(error).into_response() } else { error.into_response() }
}

/// Around the table: nothing of an authenticated repo is seen without a token.
pub(crate) fn guarded(router: Router, app: App) -> Router {
    router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
        let app = app.clone();
        async move {
            if let Err(refusal) = app.guard(request.uri(), request.headers()).await {
                return refusal;
            }
            let has_token = request.headers().contains_key(AUTHORIZATION);
            let principal = if has_token { app.principal(request.headers()) } else { None };
            let mut response = next.run(request).await;
            if let Some(principal) = principal {
                response.extensions_mut().insert(principal);
            }
            response
        }
    }))
}

/// Around the table: `//` in repository paths counts as `/`, because not every client trims the slash at the end of a
/// repository's URL, and every answer from a repository says that it comes from one.
pub(crate) fn with_plain_paths(router: Router, app: App) -> Router {
    Router::new().fallback_service(tower::service_fn(move |mut request: Request| {
        let (router, app) = (router.clone(), app.clone());
        async move {
            let asked = Asked::of(&request);
            let age = app.0.hot.age();
            if let Some(asked) = &asked
                && app.look_again().await.is_ok()
                && let Some(answer) = app.0.hot.answer(asked)
            {
                return Ok(answer);
            }
            let is_repository = !request.uri().path().starts_with("/__");
            if is_repository && request.uri().path().contains("//") {
                plain_path(&mut request);
            }
            let is_api = request.uri().path().starts_with("/__api__/");
            let mut response = router.oneshot(request).await?;
            if is_api && response.status().is_client_error() {
                response = api_face(response).await;
            }
            if is_repository {
                let headers = response.headers_mut();
                headers.insert(REPOSITORY_TYPE, HeaderValue::from_static("RSPM"));
                headers.insert(CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
                headers.insert(FRAME_OPTIONS, HeaderValue::from_static("DENY"));
            }
            if let Some(asked) = asked {
                app.0.hot.keep(asked, age, &response);
            }
            Ok(response)
        }
    }))
}

/// Refusals that come from before the handlers (wrong method, unreadable query) in the shape of the API's own.
async fn api_face(response: Response) -> Response {
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|value| value == "application/json");
    if is_json {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.unwrap_or_default();
    let text = match body.is_empty() {
        true => parts.status.canonical_reason().unwrap_or_default().to_owned(),
        false => String::from_utf8_lossy(&body).into_owned(),
    };
    parts.headers.remove(CONTENT_TYPE);
    parts.headers.remove(CONTENT_LENGTH);
    let mut face = Json(json!({ "code": parts.status.as_u16(), "error": text })).into_response();
    *face.status_mut() = parts.status;
    face.headers_mut().extend(parts.headers);
    *face.extensions_mut() = parts.extensions;
    face
}

const REPOSITORY_TYPE: HeaderName = HeaderName::from_static("x-repository-type");
const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
const FRAME_OPTIONS: HeaderName = HeaderName::from_static("x-frame-options");

fn plain_path(request: &mut Request) {
    let mut path = String::with_capacity(request.uri().path().len());
    for char in request.uri().path().chars() {
        if char != '/' || !path.ends_with('/') {
            path.push(char);
        }
    }
    if let Some(query) = request.uri().query() {
        path.push('?');
        path.push_str(query);
    }
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = path.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}
