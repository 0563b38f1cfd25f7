//! Changes of what is in a source: adding, removing, archiving and yanking packages of local sources, and moving the sources that
//! follow another one.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::auth::Caller;
use crate::curated::{Update, Updated};
use crate::error::{ApiError, Error};
use crate::local::{LARGEST, Upload};

/// How a file is to be added.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct How {
    filename: Option<String>,
    sha256: Option<String>,
    md5: Option<String>,
    replace: bool,
}

/// `POST /__api__/sources/{source}/packages?filename=&sha256=&md5=&replace=`: the body is the file.
pub async fn add(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<String>,
    Query(how): Query<How>,
    request: Request,
) -> Result<Response, ApiError> {
    let source = app.view().source_named(&source)?.clone();
    caller.may_write(&source)?;
    let bytes = whole(request).await?;
    let How { filename, sha256, md5, replace } = how;
    let upload = Upload { bytes, filename, sha256, md5, replace, ..Upload::default() };
    let done = app.add(&source, upload).await?;
    Ok((StatusCode::CREATED, Json(done)).into_response())
}

/// The body of a request that may be large.
pub(super) async fn whole(request: Request) -> Result<Bytes, Error> {
    axum::body::to_bytes(request.into_body(), LARGEST)
        .await
        .map_err(|error| Error::TooLarge(format!("the file did not arrive, or has more than {LARGEST} bytes: {error}")))
}

/// Which part of a package.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// `all`, `current`, a version, or a file of a Python project.
    which: Option<String>,
}

/// `DELETE /__api__/sources/{source}/packages/{name}?which=`
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
    let transaction = app.remove(&source, &name, &which).await?;
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
