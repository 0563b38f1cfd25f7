//! Templates of pages, and the files that pages load. All are part of the program.

use std::fmt::Write as _;

use axum::extract::Path;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use minijinja::{AutoEscape, Environment, Output, State, Value, escape_formatter};
use rust_embed::RustEmbed;
use sim_kit::serve_bytes::{Content, serve};

use crate::config::Config;
use crate::error::Error;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

const TEMPLATES: [(&str, &str); 6] = [
    ("layout.html", include_str!("../templates/layout.html")),
    ("parts.html", include_str!("../templates/parts.html")),
    ("sign_in.html", include_str!("../templates/sign_in.html")),
    ("home.html", include_str!("../templates/home.html")),
    ("sessions.html", include_str!("../templates/sessions.html")),
    ("session.html", include_str!("../templates/session.html")),
];

/// The templates, with what every page needs to know.
pub(crate) fn templates(config: &Config) -> Result<Environment<'static>, Error> {
    let mut templates = Environment::new();
    templates.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    templates.set_formatter(format_value);
    for (name, text) in TEMPLATES {
        templates.add_template(name, text)?;
    }
    templates.add_global("root", config.root_path.trim_end_matches('/').to_owned());
    templates.add_global("version", config.version.clone());
    templates.add_global("release_name", config.release_name.clone());
    templates.add_global("commit", config.commit.clone());
    Ok(templates)
}

/// Escapes what must be escaped in HTML, and no more: addresses stay readable for those who read pages with less than a
/// browser.
fn format_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), minijinja::Error> {
    let text = match value.as_str() {
        Some(text) if !value.is_safe() && !matches!(state.auto_escape(), AutoEscape::None) => text,
        _ => return escape_formatter(out, state, value),
    };
    for c in text.chars() {
        match c {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            c => out.write_char(c),
        }
        .map_err(|_| minijinja::Error::from(std::fmt::Error))?;
    }
    Ok(())
}

pub(crate) async fn css(method: Method, headers: HeaderMap, Path(path): Path<String>) -> Response {
    file(&method, &headers, &format!("css/{path}")).await
}

pub(crate) async fn js(method: Method, headers: HeaderMap, Path(path): Path<String>) -> Response {
    file(&method, &headers, &format!("js/{path}")).await
}

pub(crate) async fn images(method: Method, headers: HeaderMap, Path(path): Path<String>) -> Response {
    file(&method, &headers, &format!("images/{path}")).await
}

async fn file(method: &Method, headers: &HeaderMap, path: &str) -> Response {
    let content_type = match path.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    };
    let Some(file) = Assets::get(path) else {
        return (StatusCode::NOT_FOUND, "404 Not Found").into_response();
    };
    let bytes = match file.data {
        std::borrow::Cow::Borrowed(bytes) => Bytes::from_static(bytes),
        std::borrow::Cow::Owned(bytes) => Bytes::from(bytes),
    };
    // Revalidated with every page, so that a newer program's page never runs an older one's scripts.
    let etag = hex::encode(file.metadata.sha256_hash());
    let content = Content { etag, cache_control: Some("no-cache"), ..Content::bytes(bytes, content_type) };
    match serve(method, headers, content).await {
        Ok(response) => response,
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
