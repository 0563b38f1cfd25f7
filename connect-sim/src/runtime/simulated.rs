//! The simulated runtime.
//!
//! Static content, and documents whose bundle holds the rendered page, are served as they are. Everything else is
//! answered by a page that names the content, its type, its entry point and its packages and says that it is simulated;
//! by JSON with the same facts when an API is called by something that is no browser.

use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use http::header::{ACCEPT, LOCATION};
use http::{Method, StatusCode};
use minijinja::context;
use serde_json::json;

use super::Visit;
use super::files::{Found, serve, unpacked};
use crate::app::App;
use crate::content_type::{ContentType, Kind};
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::oauth::credentials;
use crate::store;

pub(super) async fn answer(app: &App, visit: &Visit<'_>) -> Result<Response> {
    let mode = ContentType::of(&visit.bundle.app_mode).unwrap_or(ContentType::Unknown);
    let home = visit.bundle.primary_file.as_deref();
    match mode.kind() {
        Kind::Static => {
            // A client that names no page names one as the entry point.
            let home = home.or(visit.bundle.entrypoint.as_deref());
            let file = file(app, visit, home).await?;
            file.ok_or_else(|| Error::not_found(Code::ObjectDoesNotExist, "The content has no such file."))
        }
        Kind::Rendered => {
            let source = home.or(visit.bundle.entrypoint.as_deref());
            match rendered(app, visit, source).await? {
                Some(response) => Ok(response),
                None if visit.path.is_empty() => stand_in(app, visit, mode).await,
                None => Err(Error::not_found(Code::ObjectDoesNotExist, "The content has no such file.")),
            }
        }
        Kind::App | Kind::Api => stand_in(app, visit, mode).await,
    }
}

/// A component of a path, as in a URL.
fn encoded(part: &str) -> String {
    url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A file of the bundle, when `path` is one.
async fn file(app: &App, visit: &Visit<'_>, home: Option<&str>) -> Result<Option<Response>> {
    if !matches!(*visit.method, Method::GET | Method::HEAD) {
        let text = "Static content answers GET and HEAD only.";
        return Err(Error::bad(Code::BadRequest, text));
    }
    Ok(match unpacked(app, visit.bundle).await?.find(visit.path, home).await? {
        None => None,
        // The product leads to the name of a main file that is not the usual one.
        Some(Found::File(path, _)) if visit.path.is_empty() && path != "index.html" => {
            let encoded: Vec<String> = path.split('/').map(encoded).collect();
            Some((StatusCode::FOUND, [(LOCATION, encoded.join("/"))]).into_response())
        }
        Some(Found::File(path, file)) => Some(serve(visit.bundle, &path, file, visit.method, visit.headers).await?),
        // Relative, so that it is right under every prefix.
        Some(Found::Folder) => {
            let location = format!("./{}/", encoded(visit.path.rsplit('/').next().unwrap_or_default()));
            Some((StatusCode::FOUND, [(LOCATION, location)]).into_response())
        }
    })
}

/// The page that was rendered before the bundle was made: beside its source, or in the folder of a rendered site.
async fn rendered(app: &App, visit: &Visit<'_>, source: Option<&str>) -> Result<Option<Response>> {
    let page = source.and_then(|source| Some(format!("{}.html", source.rsplit_once('.')?.0)));
    let files = unpacked(app, visit.bundle).await?;
    for home in page.into_iter().chain(["index.html".to_owned()]) {
        if files.file(&home).await?.is_some() {
            return file(app, visit, Some(&home)).await;
        }
    }
    Ok(None)
}

/// Writes a token into a file that only this server's user reads.
fn write_secret(file: &std::path::Path, token: &str) -> Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    Ok(std::io::Write::write_all(&mut options.open(file)?, format!("{token}\n").as_bytes())?)
}

async fn stand_in(app: &App, visit: &Visit<'_>, mode: ContentType) -> Result<Response> {
    let packages = store::bundles::packages(&mut *app.read().await?, visit.bundle.id).await?;
    let accept = visit.headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let title = visit.content.title.as_ref().unwrap_or(&visit.content.name);
    let entrypoint = visit.bundle.entrypoint.as_ref().or(visit.bundle.primary_file.as_ref());
    let runtime = &visit.bundle.runtime;
    if mode.kind() == Kind::Api && !accept.contains("text/html") {
        let packages: Vec<_> =
            packages.iter().map(|p| json!({"language": p.language, "name": p.name, "version": p.version})).collect();
        let mut answer = json!({
            "simulated": true,
            "message": format!("{title} ({}) would answer here; the simulated runtime runs no code.", mode.noun()),
            "content": {
                "guid": visit.content.guid, "name": visit.content.name, "title": visit.content.title,
                "app_mode": mode.name(), "bundle_id": visit.bundle.id.to_string(), "entrypoint": entrypoint,
            },
            "request": {"method": visit.method.as_str(), "path": format!("/{}", visit.path)},
            "packages": packages,
        });
        let mut db = app.read().await?;
        let guid = &visit.content.guid;
        if let Some(user) = visit.user
            && !store::oauth::associations(&mut db, Some(guid), None).await?.is_empty()
        {
            let token = credentials::token(app, &mut db, guid, Some(user)).await?;
            answer["headers"] = json!({"Posit-Connect-User-Session-Token": token});
            if user == visit.content.owner_guid {
                let token = credentials::token(app, &mut db, guid, None).await?;
                answer["environment"] = json!({"CONNECT_CONTENT_SESSION_TOKEN": token});
                if app.config().version.with(Difference::SessionTokenFile) {
                    let file = app.session_tokens().join(guid);
                    write_secret(&file, &token)?;
                    answer["environment"]["CONNECT_CONTENT_SESSION_TOKEN_FILE"] = json!(file);
                }
            }
        }
        return Ok(Json(answer).into_response());
    }
    let languages: Vec<_> = [
        ("R", &runtime.r_version),
        ("Python", &runtime.py_version),
        ("Quarto", &runtime.quarto_version),
        ("Node.js", &runtime.node_version),
    ]
    .iter()
    .filter_map(|(name, version)| Some(context! { name => *name, version => version.as_ref()? }))
    .collect();
    let packages: Vec<_> =
        packages.iter().map(|p| context! { language => p.language, name => &p.name, version => &p.version }).collect();
    let page: Html<String> = app.pages().render(
        "stand_in.html",
        context! {
            title, noun => mode.noun(), app_mode => mode.name(), entrypoint, packages, languages,
            guid => &visit.content.guid, path => visit.path, description => &visit.content.description,
            rendered => mode.kind() == Kind::Rendered,
        },
    )?;
    Ok(page.into_response())
}
