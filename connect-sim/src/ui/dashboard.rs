//! The way from an address of the dashboard to what it shows.

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use minijinja::value::Serde;
use serde_json::{Map, Value, json};
use sim_kit::origin::Origin;

use super::api::{Api, Routes};
use super::{item, listing, people, root, system};
use crate::app::App;
use crate::auth::{Caller, Principal, Via, login};
use crate::error::{Error, Result};
use crate::input::Query;
use crate::messages;

/// What a page of the dashboard may load and do: nothing from elsewhere, and no script in the page itself. Programs that
/// drive a browser and evaluate expressions in it have it bypass this.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
     connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// A user who looks at a page.
pub struct Visit {
    /// The server.
    pub app: App,
    /// What it tells this user.
    pub api: Api,
    /// The user.
    pub principal: Principal,
    /// Where the user sees the server.
    pub origin: Origin,
    /// The query of the page.
    pub query: Query,
    /// What every page shows.
    general: Map<String, Value>,
}

impl Visit {
    async fn new(
        app: App,
        routes: Routes,
        origin: Origin,
        caller: Caller,
        headers: HeaderMap,
        uri: &Uri,
    ) -> Result<Self> {
        let origin = app.origin(origin);
        let path = uri.path_and_query().map_or("/connect/", http::uri::PathAndQuery::as_str);
        let principal = login::for_page(caller.clone(), &origin, path)?;
        let xsrf = if let Via::Session { xsrf } = &principal.via { xsrf.clone() } else { String::new() };
        let user = json!({
            "guid": &principal.user.guid, "username": &principal.user.username, "role": principal.role.as_str(),
            "first_name": &principal.user.first_name, "last_name": &principal.user.last_name,
        });
        let entry = |below: &str, route: &str, label: &str| {
            let here = uri.path().trim_start_matches("/connect/view/");
            let current = here.split('/').next() == Some(below) || (below == "content" && here.starts_with("apps"));
            json!({"below": below, "route": route, "label": label, "current": current})
        };
        let mut menu = vec![entry("content", "content/listing", "Content"), entry("people", "people/users", "People")];
        if principal.is_administrator() {
            menu.push(entry("system", "system/info", "System"));
        }
        let general = Map::from_iter([
            ("user".to_owned(), user),
            ("xsrf".to_owned(), json!(xsrf)),
            ("menu".to_owned(), json!(menu)),
            ("root".to_owned(), json!(root(&origin))),
            ("server".to_owned(), json!(origin.base())),
        ]);
        let banners = [messages::text(&app, "everyone").await?, messages::text(&app, "logged_in").await?];
        let banners: Vec<&str> = banners.iter().flat_map(|text| text.lines()).collect();
        let general = general.into_iter().chain([("banners".to_owned(), json!(banners))]).collect();
        let query = Query::parse(uri.query().unwrap_or_default());
        Ok(Self { app, api: Api::new(routes, caller, headers), principal, origin, query, general })
    }

    /// A page out of a template.
    ///
    /// # Errors
    /// When the template is broken.
    pub fn page(&self, template: &str, values: Value) -> Result<Response> {
        self.answer(StatusCode::OK, template, values)
    }

    fn answer(&self, status: StatusCode, template: &str, values: Value) -> Result<Response> {
        let mut all = self.general.clone();
        if let Value::Object(values) = values {
            all.extend(values);
        }
        let page = self.app.pages().render(template, minijinja::Value::from(Serde(all)))?;
        let mut response = (status, page).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(response)
    }
}

/// `GET /`, `GET /connect`
pub async fn home(State(app): State<App>, origin: Origin) -> Redirect {
    Redirect::temporary(&app.origin(origin).url("/connect/"))
}

/// `GET /connect/`: the page whose script shows the view behind the hash sign.
///
/// # Errors
/// The redirect to the login page.
pub async fn shell(
    State(app): State<App>,
    Extension(routes): Extension<Routes>,
    origin: Origin,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response> {
    Visit::new(app, routes, origin, caller, headers, &uri).await?.page("shell.html", json!({"shell": true}))
}

/// `GET /connect/view/{*path}`: a view.
///
/// # Errors
/// The redirect to the login page.
pub async fn view(
    State(app): State<App>,
    Extension(routes): Extension<Routes>,
    origin: Origin,
    caller: Caller,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response> {
    let visit = Visit::new(app, routes, origin, caller, headers, &uri).await?;
    // As it came, percent-encoded: parts of it become parts of addresses of the API.
    let path = uri.path().strip_prefix("/connect/view/").unwrap_or_default().trim_end_matches('/');
    let segments: Vec<&str> = path.split('/').collect();
    match show(&visit, &segments).await {
        Err(Error::Refused { status, text, .. }) => {
            let title = if status == StatusCode::NOT_FOUND { "Nothing here" } else { "Not for you" };
            visit.answer(status, "message.html", json!({"title": title, "text": text}))
        }
        Err(Error::NoRoute) => {
            let text = "There is no such page, or this release has none.";
            visit.answer(
                StatusCode::NOT_FOUND,
                "message.html",
                json!({
                    "title": "No such page", "text": text,
                }),
            )
        }
        other => other,
    }
}

/// The dashboard's routes.
async fn show(visit: &Visit, path: &[&str]) -> Result<Response> {
    match path {
        ["" | "content" | "welcome" | "home"] | ["content", "listing"] => listing::list(visit).await,
        ["content", "new"] => listing::publish(visit),
        ["auth-success"] => visit.page(
            "message.html",
            json!({
                "title": "You are signed in", "text": "You can close this page and go back to your client.",
            }),
        ),
        ["apps", guid, below @ ..] => item::show(visit, guid, below).await,
        ["people"] | ["people", "users"] => people::users(visit).await,
        ["people", "users", guid] => people::user(visit, guid).await,
        ["people", "groups"] => people::groups(visit).await,
        ["people", "groups", guid] => people::group(visit, guid).await,
        ["user", "api_keys"] => people::keys(visit).await,
        ["system", below @ ..] => system::show(visit, below).await,
        _ => Err(Error::NoRoute),
    }
}
