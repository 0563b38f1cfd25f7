//! What is named by a digest: index documents, records, blobs.

use axum::extract::{Path, State};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use pkg_formats::psp::Digest;
use sim_kit::serve_bytes::{Content, Source, serve};

use crate::documents::IMMUTABLE;
use crate::error::Error;
use crate::feed::{Place, Shelf};
use crate::routes::App;
use crate::service::newest;

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// `GET /psp/v1/index/sha256/{aa}/{hex}`
pub(crate) async fn index(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    object(&app, Shelf::Index, path, &method, &headers).await
}

/// `GET /psp/v1/records/sha256/{aa}/{hex}`
pub(crate) async fn record(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    object(&app, Shelf::Records, path, &method, &headers).await
}

/// `GET /psp/v1/blobs/sha256/{aa}/{hex}`
pub(crate) async fn blob(
    State(app): State<App>,
    Path(path): Path<(String, String)>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Error> {
    object(&app, Shelf::Blobs, path, &method, &headers).await
}

async fn object(
    app: &App,
    shelf: Shelf,
    (start, hex): (String, String),
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response, Error> {
    let digest: Digest = hex.parse().map_err(|_| Error::NotADigest)?;
    if !hex.starts_with(&start) || start.len() != 2 {
        return Err(Error::NotADigest);
    }
    for feed in app.service.feeds() {
        // After a start the first question may be for a digest.
        newest(app, feed).await?;
        // Records and files are made here, in up to some milliseconds.
        let shelves = feed.clone();
        let found = tokio::task::spawn_blocking(move || shelves.find(shelf, &digest)).await;
        let Some((place, bytes)) = found.map_err(std::io::Error::from).flatten()? else { continue };
        if let Place::Delta { checkpoint } = place
            && let Some(before) = app.world.faults().domain(&format!("{}.gone", feed.name()))
            && before.as_u64().is_none_or(|before| u64::from(checkpoint) + 1 < before)
        {
            return Err(Error::Gone);
        }
        return answer(method, headers, shelf, &digest, Source::Bytes(bytes)).await;
    }
    if shelf != Shelf::Blobs {
        return Err(Error::NoSuchDigest);
    }
    for mirror in app.service.mirrors() {
        if let Some(size) = mirror.file(&app.world, &digest).await? {
            let blob = Source::Blob(app.world.blobs().clone(), sim_kit::Digest::from(digest.0), size);
            return answer(method, headers, shelf, &digest, blob).await;
        }
    }
    Err(Error::NoSuchDigest)
}

async fn answer(
    method: &Method,
    headers: &HeaderMap,
    shelf: Shelf,
    digest: &Digest,
    body: Source,
) -> Result<Response, Error> {
    let content = Content {
        body,
        etag: format!("sha256:{digest}"),
        content_type: if shelf == Shelf::Blobs { "application/octet-stream" } else { "application/json" },
        cache_control: Some(IMMUTABLE),
        last_modified: None,
    };
    let mut response = serve(method, headers, content).await?;
    let value = format!("sha-256=:{}:", STANDARD.encode(digest.0));
    let value = HeaderValue::try_from(value).expect("base64 and ASCII punctuation are a header value");
    response.headers_mut().insert(REPR_DIGEST, value);
    Ok(response)
}
