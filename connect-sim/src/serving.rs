//! Content itself, at `/content/{guid}/` and at vanity URLs.
//!
//! | path | what |
//! | --- | --- |
//! | `/content/{guid}/…` | the active bundle |
//! | `/content/{guid}/_bundle{id}/…` | one bundle, for those who may change the item |
//! | `/content/{guid}/_rev{id}/…` | files of a static bundle that is or was the active one; pins reads older versions so |
//! | `/content/{guid}/v{key}/…`, `/content/{guid}/v{key}/_rev{id}/…` | a variant of a document, one rendering of it |
//! | `/content/{guid}/__thumbnail__` | the picture, or 204 |
//!
//! Access comes first. A browser that has not signed in is led to the login page, other clients get 401.

use axum::Extension;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::response::{IntoResponse, Response};
use http::header::{ACCEPT, LOCATION};
use http::request::Parts;
use http::{HeaderMap, StatusCode, Uri};
use minijinja::context;
use sim_kit::origin::Origin;
use sim_kit::routing::Unmatched;
use tower::ServiceExt as _;

use crate::access::{AppRole, role_of};
use crate::app::App;
use crate::auth::{Caller, login};
use crate::content_type::{ContentType, Kind};
use crate::error::{Code, Error, Result};
use crate::instrumentation::{self, Of};
use crate::runtime::{Runtime, Visit};
use crate::store;
use crate::store::content::Content;
use crate::store::variants::Variant;
use crate::ui::api::Routes;
use crate::{thumbnails, ui, variants};

/// `* /content/{guid}` and below.
///
/// # Errors
/// 401, 403, 404; the redirect to the login page.
pub async fn content(State(app): State<App>, caller: Caller, request: Request) -> Result<Response> {
    let (parts, _) = request.into_parts();
    let path = decoded(parts.uri.path())?;
    let rest = path.strip_prefix("/content/").ok_or(Error::NoRoute)?;
    let (guid, below) = match rest.split_once('/') {
        Some((guid, below)) => (guid, Some(below)),
        None => (rest, None),
    };
    let content = store::content::by_guid(&mut *app.read().await?, guid).await?;
    let content = content.ok_or_else(|| Error::missing("content"))?;
    let base = format!("/content/{}/", content.guid);
    visit(&app, &caller, &content, &base, below, &parts).await
}

/// `* /{*path}`: a vanity URL, a path of the API with a slash at its end (pins for R asks so), or nothing.
///
/// # Errors
/// As [`content`]; the plain 404 for a path that leads nowhere.
pub async fn vanity(State(app): State<App>, routes: Option<Extension<Routes>>, request: Request) -> Result<Response> {
    if let (Some(plain), Some(Extension(Routes(routes)))) = (without_slash(request.uri()), routes) {
        // A new request: what the match of this path has left on the old one would be taken for the other's.
        let (parts, body) = request.into_parts();
        let mut request = Request::new(body);
        (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (parts.method, plain, parts.headers);
        return Ok(routes.oneshot(request).await.unwrap_or_else(|never| match never {}));
    }
    let unknown = || {
        let mut response = Error::NoRoute.into_response();
        response.extensions_mut().insert(Unmatched);
        Ok(response)
    };
    let (mut parts, _) = request.into_parts();
    let Ok(path) = decoded(parts.uri.path()) else { return unknown() };
    if path.starts_with("/__") {
        return unknown();
    }
    let closed = if path.ends_with('/') { path.clone() } else { format!("{path}/") };
    let found = store::vanities::containing(&mut *app.read().await?, &closed).await?;
    let Some(vanity) = found else { return unknown() };
    let content = store::content::by_guid(&mut *app.read().await?, &vanity.content_guid).await?;
    let content = content.ok_or_else(|| Error::missing("content"))?;
    // Only here, so that a wrong credential does not hide that nothing is there.
    let caller = Caller::from_request_parts(&mut parts, &app).await?;
    visit(&app, &caller, &content, &vanity.path, path.strip_prefix(&vanity.path), &parts).await
}

/// A path of the API that ends in a slash, without it.
fn without_slash(uri: &Uri) -> Option<Uri> {
    let path = uri.path().strip_suffix('/').filter(|path| path.starts_with("/__api__/"))?;
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}{query}", path.trim_end_matches('/')).parse().ok()
}

/// A path without percent-encoding.
fn decoded(path: &str) -> Result<String> {
    let bad = || Error::bad(Code::BadRequest, "The path is not UTF-8, or holds a NUL character.");
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|byte| char::from(byte).to_digit(16));
        let (Some(high), Some(low)) = (digit(), digit()) else { return Err(bad()) };
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| bad())?);
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0')).ok_or_else(bad)
}

fn wants_page(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|accept| accept.contains("text/html"))
}

/// Answers a visit of `content` at `base`. `below` is the path under it; none when the slash at its end is missing.
async fn visit(
    app: &App,
    caller: &Caller,
    content: &Content,
    base: &str,
    below: Option<&str>,
    request: &Parts,
) -> Result<Response> {
    let origin = app.origin(Origin::from_headers(&request.headers));
    let page = wants_page(&request.headers);
    let role = role_of(&mut *app.read().await?, caller, content).await?;
    if role == AppRole::None {
        return match caller {
            Caller::Anonymous if page => {
                let asked = request.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
                Err(Error::SignIn(login::login_url(&origin, asked)))
            }
            Caller::Anonymous => Err(Error::no_credential()),
            Caller::User(_) if page => {
                let text = "You don't have permission to view this content. Ask its owner for access.";
                message(app, &origin, StatusCode::FORBIDDEN, "No access", text)
            }
            Caller::User(_) => Err(Error::forbidden()),
        };
    }
    let Some(below) = below else {
        let query = request.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
        let location = origin.url(&format!("{base}{query}"));
        return Ok((StatusCode::MOVED_PERMANENTLY, [(LOCATION, location)]).into_response());
    };
    if below == "__thumbnail__" {
        return thumbnails::serve(app, &content.guid, &request.method, &request.headers).await;
    }
    let is_administrator = matches!(caller, Caller::User(principal) if principal.is_administrator());
    let shows = |variant: &Variant| variants::is_shown(variant, role, is_administrator);
    let is_editor = matches!(role, AppRole::Owner | AppRole::Editor) || is_administrator;
    let draft = below.split_once('/').unwrap_or((below, "")).0.strip_prefix("_bundle");
    let mut of = Of::default();
    let (bundle, path) = match draft.and_then(|id| id.parse::<i64>().ok()) {
        None => match earlier(app, content, is_editor, &shows, below).await? {
            Some(Found { path: None, .. }) => {
                let location = origin.url(&format!("{base}{below}/"));
                return Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response());
            }
            Some(Found { bundle, path: Some(path), of: found }) => {
                of = found;
                (bundle, path)
            }
            None => {
                let Some(found) = default_rendering(app, content, &shows).await? else {
                    let text = "This document has no version that you may see.";
                    return match page {
                        true => message(app, &origin, StatusCode::NOT_FOUND, "Not for you", text),
                        false => Err(Error::not_found(Code::ObjectDoesNotExist, text)),
                    };
                };
                of = found;
                (content.bundle_id, below)
            }
        },
        Some(id) => {
            if !is_editor {
                return Err(Error::forbidden());
            }
            match below.split_once('/') {
                Some((_, path)) => (Some(id), path),
                None => {
                    let location = origin.url(&format!("{base}_bundle{id}/"));
                    return Ok((StatusCode::FOUND, [(LOCATION, location)]).into_response());
                }
            }
        }
    };
    if content.locked {
        let note = if content.locked_message.is_empty() { "" } else { ": " };
        let text = format!("This content is locked{note}{}", content.locked_message);
        return match page {
            true => message(app, &origin, StatusCode::FORBIDDEN, "Locked", &text),
            false => Err(Error::forbidden_because(Code::LockedContentProcess, text)),
        };
    }
    let found = match bundle {
        Some(id) => store::bundles::get(&mut *app.read().await?, id).await?,
        None => None,
    };
    let Some(bundle) = found.filter(|bundle| bundle.content_guid == content.guid) else {
        let text = "Nothing has been deployed here yet.";
        return match page {
            true => message(app, &origin, StatusCode::NOT_FOUND, "Not deployed", text),
            false => Err(Error::not_found(Code::ObjectDoesNotExist, text)),
        };
    };
    let user = match caller {
        Caller::User(principal) => Some(principal.user.guid.as_str()),
        Caller::Anonymous => None,
    };
    let (method, headers) = (&request.method, &request.headers);
    let visit = Visit { content, bundle: &bundle, path, user, method, headers };
    match Runtime::of(app, content).answer(app, &visit).await {
        Err(Error::Refused { status: StatusCode::NOT_FOUND, text, .. }) if page => {
            message(app, &origin, StatusCode::NOT_FOUND, "Not found", &text)
        }
        Err(Error::Refused { status: StatusCode::SERVICE_UNAVAILABLE, text, .. }) if page => {
            message(app, &origin, StatusCode::SERVICE_UNAVAILABLE, "Too many visitors", &text)
        }
        Ok(answer) => {
            instrumentation::record(app, caller, &visit, of, request, &answer);
            Ok(answer)
        }
        refused => refused,
    }
}

/// What is shown of a document; none when its default variant is not for the visitor.
async fn default_rendering(app: &App, content: &Content, shows: &impl Fn(&Variant) -> bool) -> Result<Option<Of>> {
    if !variants::is_rendered(content) {
        return Ok(Some(Of::default()));
    }
    let mut db = app.read().await?;
    let variants = store::variants::of_content(&mut db, &content.guid).await?;
    let Some(variant) = variants.into_iter().find(|variant| variant.is_default) else { return Ok(Some(Of::default())) };
    if !shows(&variant) {
        return Ok(None);
    }
    let rendering = store::renderings::active(&mut db, variant.id).await?;
    Ok(Some(Of { variant: Some(variant.key), rendering: rendering.map(|rendering| rendering.id) }))
}

/// What a path of a variant leads to.
struct Found<'p> {
    bundle: Option<i64>,
    /// None when the slash at its end is missing.
    path: Option<&'p str>,
    of: Of,
}

/// A path's first component and what is below it; none when the slash at its end is missing.
fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)))
}

/// The bundle and the path of `_rev{id}/…`, `v{key}/…` and `v{key}/_rev{id}/…`; none when `below` is no such path.
async fn earlier<'p>(
    app: &App,
    content: &Content,
    is_editor: bool,
    shows: &impl Fn(&Variant) -> bool,
    below: &'p str,
) -> Result<Option<Found<'p>>> {
    let (first, rest) = split(below);
    let is_static = ContentType::of(&content.app_mode).is_some_and(|mode| mode.kind() == Kind::Static);
    if is_static && let Some(id) = first.strip_prefix("_rev").and_then(|id| id.parse::<i64>().ok()) {
        let mut db = app.read().await?;
        // A draft is for those who may change the item.
        if !is_editor && !store::tasks::has_activated(&mut db, &content.guid, id).await? {
            return Err(Error::missing("bundle"));
        }
        return Ok(Some(Found { bundle: Some(id), path: rest, of: Of::default() }));
    }
    let Some(key) = first.strip_prefix('v').filter(|key| key.len() == 8) else { return Ok(None) };
    let mut db = app.read().await?;
    let variants = store::variants::of_content(&mut db, &content.guid).await?;
    let Some(variant) = variants.iter().find(|variant| variant.key == key) else { return Ok(None) };
    if !shows(variant) {
        return Err(Error::missing("variant"));
    }
    let mut of = Of { variant: Some(variant.key.clone()), rendering: None };
    let Some(rest) = rest else { return Ok(Some(Found { bundle: content.bundle_id, path: None, of })) };
    let (second, below) = split(rest);
    let Some(id) = second.strip_prefix("_rev").and_then(|id| id.parse::<i64>().ok()) else {
        of.rendering = store::renderings::active(&mut db, variant.id).await?.map(|rendering| rendering.id);
        return Ok(Some(Found { bundle: content.bundle_id, path: Some(rest), of }));
    };
    let renderings = store::renderings::of_variant(&mut db, variant.id).await?;
    let found = renderings.iter().find(|rendering| rendering.id == id);
    let found = found.ok_or_else(|| Error::missing("rendering"))?;
    of.rendering = Some(id);
    Ok(Some(Found { bundle: Some(found.bundle_id), path: below, of }))
}

fn message(app: &App, origin: &Origin, status: StatusCode, title: &str, text: &str) -> Result<Response> {
    let values = context! { root => ui::root(origin), title, text };
    Ok((status, app.pages().render("message.html", values)?).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn paths_are_decoded_or_refused() {
        assert_eq!(decoded("/a%20b/%C3%A4").unwrap(), "/a b/ä");
        for bad in ["/%", "/%2", "/%zz", "/%ff", "/%00"] {
            assert!(decoded(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_path_is_decoded_or_refused(path in "[ -~]{0,40}") {
            let _ = decoded(&path);
        }
    }
}
