//! Changes of what is in a source: adding, removing, archiving and yanking packages of local sources, and moving the sources that
//! follow another one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Multipart, Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MOST_DESCRIPTION, check_length};
use crate::app::App;
use crate::auth::Caller;
use crate::curated::{Update, Updated};
use crate::error::{ApiError, Error};
use crate::local::{LARGEST, MOST, Told, Upload};
use crate::spool::Spool;

/// How a file is to be added.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct How {
    filename: Option<String>,
    sha256: Option<String>,
    md5: Option<String>,
    replace: bool,
}

/// `POST /__api__/sources/{source}/packages?filename=&sha256=&md5=&replace=`: the body is the file, or a form with files in the field
/// `file`, each of which a field `sha256` may go before; those are added in one transaction or not at all.
pub async fn add(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<String>,
    Query(how): Query<How>,
    request: Request,
) -> Result<Response, ApiError> {
    let source = app.view().source_named(&source)?.clone();
    caller.may_write(&source)?;
    let How { filename, sha256, md5, replace } = how;
    let type_of = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if type_of.starts_with("multipart/form-data") {
        let uploads = files_of_form(&app, request, replace).await?;
        return Ok((StatusCode::CREATED, Json(app.add(&source, uploads).await?)).into_response());
    }
    let file = Spool::receive(app.world(), LARGEST, request.into_body().into_data_stream()).await?;
    let told = Told { filename, sha256, md5, replace, ..Told::default() };
    let done = app.add(&source, vec![Upload { file, told }]).await?;
    Ok((StatusCode::CREATED, Json(done.into_iter().next())).into_response())
}

async fn files_of_form(app: &App, request: Request, replace: bool) -> Result<Vec<Upload>, Error> {
    let broken = |error: &dyn std::fmt::Display| Error::BadRequest(format!("the form cannot be read: {error}"));
    let mut form = Multipart::from_request(request, &()).await.map_err(|error| broken(&error))?;
    let (mut uploads, mut sha256) = (Vec::new(), None);
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
        match field.name() {
            Some("sha256") => sha256 = Some(field.text().await.map_err(|error| broken(&error))?),
            Some("file") if uploads.len() < MOST => {
                let told = Told {
                    filename: field.file_name().map(str::to_owned),
                    sha256: sha256.take(),
                    replace,
                    ..Told::default()
                };
                uploads.push(Upload { file: Spool::receive(app.world(), LARGEST, field).await?, told });
            }
            Some("file") => return Err(Error::TooLarge(format!("a form has at most {MOST} files"))),
            other => return Err(broken(&format!("it has fields file and sha256, not {other:?}"))),
        }
    }
    match uploads.is_empty() {
        true => Err(broken(&"it has no file")),
        false => Ok(uploads),
    }
}

/// Which part of a package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// `all`, `current`, a version, or a file of a Python project.
    which: Option<String>,
    /// Why; the transaction tells it.
    comment: Option<String>,
}

/// `DELETE /__api__/sources/{source}/packages/{name}?which=&comment=`
pub async fn remove(
    State(app): State<App>,
    caller: Caller,
    Path((source, name)): Path<(String, String)>,
    Query(part): Query<Part>,
) -> Result<Json<Value>, ApiError> {
    let source = app.view().source_named(&source)?.clone();
    caller.may_write(&source)?;
    let which = part.which.ok_or_else(|| {
        Error::BadRequest("say which: ?which=all, current, a version, or the name of a file".to_owned())
    })?;
    check_length("comment", part.comment.as_deref(), MOST_DESCRIPTION)?;
    let transaction = app.remove(&source, &name, &which, part.comment.as_deref()).await?;
    Ok(Json(json!({ "name": name, "removed": which, "transaction": transaction })))
}

/// `POST /__api__/sources/{source}/packages/{name}/archive`
pub async fn archive(
    State(app): State<App>,
    caller: Caller,
    Path((source, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let source = app.view().source_named(&source)?.clone();
    caller.may_write(&source)?;
    let transaction = app.archive(&source, &name).await?;
    Ok(Json(json!({ "name": name, "transaction": transaction })))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Yank {
    /// A version or a file.
    which: String,
    /// Why; null takes it back.
    reason: Option<String>,
}

/// `POST /__api__/sources/{source}/packages/{name}/yank`
pub async fn yank(
    State(app): State<App>,
    caller: Caller,
    Path((source, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let source = app.view().source_named(&source)?.clone();
    caller.may_write(&source)?;
    let wanted: Yank = super::body(&body, r#"{"which": "1.0", "reason": "broken"}"#)?;
    check_length("reason", wanted.reason.as_deref(), MOST_DESCRIPTION)?;
    let transaction = app.yank(&source, &name, &wanted.which, wanted.reason).await?;
    Ok(Json(json!({ "name": name, "transaction": transaction })))
}

/// `POST /__api__/sources/{source}/update`: moves a source that follows another one; without `commit` only tells what would change.
pub async fn update(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<String>,
    body: Bytes,
) -> Result<Json<Updated>, ApiError> {
    let source = app.view().source_named(&source)?.clone();
    caller.may_write(&source)?;
    let wanted: Update = super::body(&body, r#"{"snapshot": "2025-01-31", "packages": ["sf"], "commit": true}"#)?;
    Ok(Json(app.update(&source, wanted).await?))
}
