//! Pages: sign-in, the dashboard, and what the simulated runtime shows.
//!
//! The dashboard's addresses are hash routes (`/connect/#/apps/{guid}/logs`), as in the real product. A little script
//! turns each into the server-rendered view below `/connect/view/`, which also works by itself. Views show what the API
//! tells the user who asks ([`api::Api`]), and their forms make requests of the API, so that a page can do nothing that
//! a client cannot.
//!
//! | module | views |
//! | --- | --- |
//! | [`dashboard`] | the way from an address to a view |
//! | [`listing`] | content: the list, and how to publish |
//! | [`item`] | one item with its settings |
//! | [`people`] | users, groups, one's own keys |
//! | [`system`] | what administrators see |

pub mod api;
pub mod dashboard;
pub mod item;
pub mod listing;
pub mod people;
pub mod system;

use axum::extract::Path;
use axum::response::{Html, IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, Method};
use minijinja::{AutoEscape, Environment, Value, context};
use rust_embed::RustEmbed;
use sim_kit::origin::Origin;
use sim_kit::serve_bytes::{Content, serve};

use crate::config::Config;
use crate::error::{Error, Result};

#[derive(RustEmbed)]
#[folder = "templates/"]
struct Templates;

/// What pages load.
#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// The templates.
pub struct Pages {
    environment: Environment<'static>,
    system_name: String,
    version: String,
    assets: String,
    /// The prefix of the configured address; pages that know where their reader sees the server give their own.
    root: String,
}

impl Pages {
    /// Compiles the templates.
    ///
    /// # Errors
    /// When one is broken.
    pub fn new(config: &Config) -> std::result::Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|name| match name.ends_with(".html") {
            true => AutoEscape::Html,
            false => AutoEscape::None,
        });
        for name in Templates::iter() {
            let file = Templates::get(&name).expect("the name was listed");
            environment.add_template_owned(name.into_owned(), String::from_utf8_lossy(&file.data).into_owned())?;
        }
        environment.add_filter("when", when);
        environment.add_filter("bytes", bytes);
        environment.add_filter("urlencode", encoded);
        // A new program makes browsers load new files.
        let digests = Assets::iter().filter_map(|name| Assets::get(&name)).map(|file| file.metadata.sha256_hash());
        let assets = digests.fold(0u8, |all, digest| digest.iter().fold(all.rotate_left(1), |all, byte| all ^ byte));
        Ok(Self {
            environment,
            system_name: config.system_name.clone(),
            version: config.version.to_string(),
            assets: format!("{assets:02x}"),
            root: config.address.as_deref().map(|address| root(&Origin::fixed(address))).unwrap_or_default(),
        })
    }

    /// Fills a template. Values that every page may give: `root`, the path prefix of the server; `user` and `xsrf` of
    /// who is signed in.
    ///
    /// # Errors
    /// When the template wants what is not given.
    pub fn render(&self, name: &str, values: Value) -> Result<Html<String>> {
        let general = context! {
            system_name => &self.system_name, version => &self.version, assets => &self.assets, root => &self.root,
        };
        let page = self.environment.get_template(name)?.render(context! { ..values, ..general })?;
        Ok(Html(page))
    }
}

/// The path prefix that a client knows this server under: nothing, or such as `/rsc`.
#[must_use]
pub fn root(origin: &Origin) -> String {
    url::Url::parse(origin.base()).map(|url| url.path().trim_end_matches('/').to_owned()).unwrap_or_default()
}

/// `2026-01-02T03:04:05Z` as people read it.
fn when(time: Option<&str>) -> String {
    match time {
        Some(time) if time.len() >= 16 => format!("{} {} UTC", &time[..10], &time[11..16]),
        _ => "never".to_owned(),
    }
}

/// `1234567` as `1.2 MB`.
fn bytes(number: Option<u64>) -> String {
    match number.unwrap_or_default() {
        n @ 0..1_000 => format!("{n} bytes"),
        n @ 1_000..1_000_000 => format!("{} kB", n / 1_000),
        n => format!("{}.{} MB", n / 1_000_000, n % 1_000_000 / 100_000),
    }
}

/// A text as a value in a query.
fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// `GET /connect/__favicon__`: a picture that is good as a thumbnail as well, as tests of connectapi take it.
///
/// # Errors
/// When it cannot be sent.
pub async fn favicon(method: Method, headers: HeaderMap) -> Result<Response> {
    asset(method, headers, Path("icon.png".to_owned())).await
}

/// `GET /connect/assets/{name}`
///
/// # Errors
/// 404 when there is none.
pub async fn asset(method: Method, headers: HeaderMap, Path(name): Path<String>) -> Result<Response> {
    let file = Assets::get(&name).ok_or_else(|| Error::missing("file"))?;
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("png") => "image/png",
        _ => "image/svg+xml",
    };
    let content =
        Content { cache_control: Some("max-age=3600"), ..Content::bytes(Bytes::from(file.data.into_owned()), kind) };
    Ok(serve(&method, &headers, content).await?.into_response())
}
