//! The web interface, at `/` and `/client/`.
//!
//! The real product has a single-page application there, whose addresses are hash routes (`#/repos/cran/packages`). Here every
//! page is a view that the server renders (`/client/view/repos/cran/packages`) and that works by itself; a little script turns
//! the product's hash routes into these views and keeps the addresses as browser tests of the real product expect them. Such
//! tests find their way by `data-automation` hooks, which the templates keep.
//!
//! | view | what |
//! |---|---|
//! | `home` | repositories, and a search over all of them |
//! | `repos/{repo}/packages`, `…/packages/{name}` | packages |
//! | `repos/{repo}/setup` | what to tell R or Python, for a system and a snapshot |
//! | `activity`, `repos/{repo}/activity` | transactions |
//! | `device` | approves devices that ask for a token |
//! | `/__login__`, `/__login__/callback` | to the identity provider and back, where there is one |
//! | `sign-in`, `sign-out`, `admin/…` | administration, for holders of a token |
//! | `admin/sources/{source}`, `…/builds/{transaction}` | git builders, what they have built, and the logs |
//!
//! Whoever signs in has a cookie with the token, which no script can read and no other site can send; forms carry a word that
//! only the server can have made of it. The REST API does not look at the cookie.

pub mod activity;
pub mod admin;
pub mod builders;
pub mod device;
pub mod docs;
pub mod home;
pub mod package;
pub mod packages;
pub mod provider;
pub mod session;
pub mod setup;
pub mod swagger;

use std::collections::HashMap;
use std::sync::LazyLock;

use axum::extract::FromRequestParts;
use axum::response::{Html, IntoResponse as _, Redirect, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode};
use minijinja::{Environment, Value, context};
use sha2::{Digest as _, Sha256};
use sim_kit::origin::Origin;
use url::form_urlencoded::Serializer;

use crate::VERSION;
use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::store::repos::Repo;
use session::Session;

const TEMPLATES: [(&str, &str); 21] = [
    ("activity.html", include_str!("../templates/activity.html")),
    ("admin_base.html", include_str!("../templates/admin_base.html")),
    ("admin_blocklist.html", include_str!("../templates/admin_blocklist.html")),
    ("admin_build.html", include_str!("../templates/admin_build.html")),
    ("admin_builders.html", include_str!("../templates/admin_builders.html")),
    ("admin_repo.html", include_str!("../templates/admin_repo.html")),
    ("admin_repos.html", include_str!("../templates/admin_repos.html")),
    ("admin_sources.html", include_str!("../templates/admin_sources.html")),
    ("admin_sync.html", include_str!("../templates/admin_sync.html")),
    ("admin_tokens.html", include_str!("../templates/admin_tokens.html")),
    ("base.html", include_str!("../templates/base.html")),
    ("docs.html", include_str!("../templates/docs.html")),
    ("home.html", include_str!("../templates/home.html")),
    ("message.html", include_str!("../templates/message.html")),
    ("package.html", include_str!("../templates/package.html")),
    ("packages.html", include_str!("../templates/packages.html")),
    ("parts.html", include_str!("../templates/parts.html")),
    ("repo_head.html", include_str!("../templates/repo_head.html")),
    ("setup.html", include_str!("../templates/setup.html")),
    ("signed_in.html", include_str!("../templates/signed_in.html")),
    ("swagger.html", include_str!("../templates/swagger.html")),
];
const SIGN_IN: &str = include_str!("../templates/sign_in.html");
const SIGN_OUT: &str = include_str!("../templates/sign_out.html");
const DEVICE: &str = include_str!("../templates/device.html");
const STYLE: &str = include_str!("../templates/style.css");
const SCRIPT: &str = include_str!("../templates/script.js");

/// Names the files that pages load, so that caches keep none of another build.
static ASSETS: LazyLock<String> = LazyLock::new(|| {
    let digest = Sha256::new().chain_update(STYLE).chain_update(SCRIPT).finalize();
    hex::encode(&digest[..6])
});

/// The templates.
pub(crate) fn templates() -> Result<Environment<'static>, Error> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
    for (name, text) in
        TEMPLATES.into_iter().chain([("sign_in.html", SIGN_IN), ("sign_out.html", SIGN_OUT), ("device.html", DEVICE)])
    {
        templates.add_template(name, text)?;
    }
    templates.add_global("version", VERSION);
    templates.add_global("assets", ASSETS.as_str());
    Ok(templates)
}

/// `GET /client/style.css`
pub async fn style() -> Response {
    asset("text/css; charset=utf-8", STYLE)
}

/// `GET /client/script.js`
pub async fn script() -> Response {
    asset("text/javascript; charset=utf-8", SCRIPT)
}

fn asset(content_type: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")], text).into_response()
}

/// Somebody who looks at a page.
pub struct Visit {
    app: App,
    origin: Origin,
    /// The prefix of paths, such as `/rspm`; usually empty.
    base: String,
    /// The view that is looked at, with its query; none for what is not a view.
    view: Option<String>,
    session: Option<Session>,
    caller: Caller,
}

/// What a handler makes: a template and its values.
type Made = Result<(&'static str, Value), Error>;

impl FromRequestParts<App> for Visit {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
        let origin = app.origin(Origin::from_headers(&parts.headers));
        let base = url::Url::parse(origin.base()).map_or_else(|_| String::new(), |url| url.path().to_owned());
        let base = base.trim_end_matches('/').to_owned();
        let (session, caller) = match Session::of(app, &parts.headers) {
            Some((session, caller)) => (Some(session), caller),
            None => (None, Caller::nobody()),
        };
        let asked = parts.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        let view = asked.strip_prefix("/client/view/").filter(|_| parts.method == http::Method::GET).map(str::to_owned);
        Ok(Self { app: app.clone(), origin, base, view, session, caller })
    }
}

impl Visit {
    /// The address of a view. What stands in `query` with an empty value is left out.
    fn link(&self, view: &str, query: &[(&str, &str)]) -> String {
        let mut text = Serializer::new(String::new());
        text.extend_pairs(query.iter().filter(|(_, value)| !value.is_empty()));
        let text = text.finish();
        let mark = if text.is_empty() { "" } else { "?" };
        format!("{}/client/view/{view}{mark}{text}", self.base)
    }

    /// The repo, if the visitor may look into it.
    fn repo(&self, name: &str) -> Result<std::sync::Arc<Repo>, Error> {
        let repo = self.app.view().repo(name)?;
        self.caller.may_read(&repo)?;
        Ok(repo)
    }

    /// Shows what a handler has made, or why it could not.
    async fn show(&self, made: Made) -> Response {
        let is_way_in = self.view.as_ref().is_some_and(|view| view.split('?').next() == Some("sign-in"));
        let made = match self.app.0.config.identity.require_login && self.session.is_none() && !is_way_in {
            true => Err(Error::Unauthorized("sign in first".to_owned())),
            false => made,
        };
        let (status, name, values) = match made {
            Ok((name, values)) => (StatusCode::OK, name, values),
            // Whoever has not signed in may do so.
            Err(Error::Unauthorized(_)) if self.session.is_none() => {
                let next = self.view.clone().unwrap_or_default();
                return Redirect::to(&self.link("sign-in", &[("next", &next)])).into_response();
            }
            Err(error) => {
                let title = match error.status() {
                    StatusCode::NOT_FOUND => "Not found",
                    StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => "Not allowed",
                    status if status.is_server_error() => "Something went wrong",
                    _ => "That does not work",
                };
                error.log();
                (error.status(), "message.html", context! { title, text => capital(&error.to_string()) })
            }
        };
        self.page(status, name, values).await
    }

    async fn page(&self, status: StatusCode, name: &str, values: Value) -> Response {
        // A page without its banner is better than none.
        let banner: Vec<String> = match self.app.alerts().await {
            Ok(alerts) => alerts.into_iter().map(|alert| format!("{}.", capital(&alert.message))).collect(),
            Err(_) => Vec::new(),
        };
        let general = context! {
            base => &self.base, view => &self.view, banner,
            user => self.session.as_ref().map(|session| &session.user),
            xsrf => self.session.as_ref().map(|session| &session.xsrf),
        };
        let rendered =
            self.app.0.pages.get_template(name).and_then(|page| page.render(context! { ..values, ..general }));
        match rendered {
            Ok(page) => (status, sealed(), Html(page)).into_response(),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

/// Headers that keep a page to itself: it loads nothing from elsewhere, runs no script but its own, is framed by nobody.
fn sealed() -> [(HeaderName, HeaderValue); 3] {
    let policy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; \
                  base-uri 'none'; frame-ancestors 'none'";
    [
        (HeaderName::from_static("content-security-policy"), HeaderValue::from_static(policy)),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    ]
}

/// `/client/view/…`, for views that are none.
pub async fn nothing(visit: Visit) -> Response {
    visit.show(Err(Error::NotFound("There is no such page.".to_owned()))).await
}

/// The query of a view, by names.
type Asked = axum::extract::Query<HashMap<String, String>>;

fn asked<'a>(query: &'a Asked, name: &str) -> &'a str {
    query.get(name).map_or("", |text| text.trim())
}

/// The number of the page that is asked for, from 1.
fn page_number(query: &Asked) -> usize {
    asked(query, "page").parse().ok().filter(|n| (1..=1_000_000).contains(n)).unwrap_or(1)
}

/// A sentence from an error's text.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What templates show of a repo.
fn repo_value(repo: &Repo) -> Value {
    context! {
        name => &repo.name, kind => &repo.kind, description => &repo.description, authenticated => repo.authenticated,
        hidden => repo.hidden,
    }
}

/// A stored time, to the minute.
fn minute(micros: i64) -> String {
    crate::record::instant(micros).format("%Y-%m-%d %H:%M").to_string()
}
