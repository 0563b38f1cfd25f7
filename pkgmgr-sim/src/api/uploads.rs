//! `/upload/pypi/{source}`: uploads by twine and others that speak the legacy upload API of the Python package index.
//!
//! A form (multipart) with the file in `content` and fields that describe it. Of those `name`, `version` and the digests are compared
//! with the file; the rest is in the file itself.

use axum::extract::multipart::MultipartError;
use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;

use crate::app::App;
use crate::auth::Caller;
use crate::error::Error;
use crate::local::{LARGEST, Told, Upload};
use crate::spool::Spool;

/// Bytes of a field that is no file.
const LARGEST_FIELD: usize = 1 << 20;

/// `POST /upload/pypi/{source}`
pub async fn pypi(State(app): State<App>, Path(source): Path<String>, request: Request) -> Result<Response, Error> {
    let caller: Caller = app.caller(request.headers())?;
    caller.needs_token("uploading")?;
    let source = app.view().source_named(&source)?.clone();
    caller.may_write(&source)?;
    if source.kind != "local-python" {
        return Err(Error::BadRequest(format!("source {} is of type {}, not local-python", source.name, source.kind)));
    }
    let form = Multipart::from_request(request, &()).await;
    let form = form.map_err(|error| Error::BadRequest(format!("the body must be a form: {error}")))?;
    app.add(&source, vec![read(&app, form).await?]).await?;
    Ok((StatusCode::OK, "").into_response())
}

fn broken(error: &MultipartError) -> Error {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Error::TooLarge(format!("a file has at most {LARGEST} bytes")),
        _ => Error::BadRequest(format!("the form cannot be read: {error}")),
    }
}

async fn read(app: &App, mut form: Multipart) -> Result<Upload, Error> {
    let mut upload = Told::default();
    let mut content = None;
    while let Some(field) = form.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "content" {
            upload.filename = field.file_name().map(str::to_owned);
            content = Some(Spool::receive(app.world(), LARGEST, field).await?);
            continue;
        }
        let text = field.text().await.map_err(|error| broken(&error))?;
        if text.len() > LARGEST_FIELD {
            return Err(Error::TooLarge(format!("the field {name:?} has more than {LARGEST_FIELD} bytes")));
        }
        let told = Some(text.clone()).filter(|text| !text.is_empty());
        match name.as_str() {
            ":action" if text != "file_upload" => {
                return Err(Error::BadRequest(format!("the only :action is file_upload, not {text:?}")));
            }
            "protocol_version" if text != "1" => {
                return Err(Error::BadRequest(format!("the protocol version is 1, not {text:?}")));
            }
            "name" => upload.name = told,
            "version" => upload.version = told,
            "sha256_digest" => upload.sha256 = told,
            "md5_digest" => upload.md5 = told,
            _ => {}
        }
    }
    let file = content.ok_or_else(|| Error::BadRequest("the form has no file in the field content".to_owned()))?;
    Ok(Upload { file, told: upload })
}
