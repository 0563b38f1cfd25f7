//! Errors as problem documents (RFC 9457).

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};

use crate::mirror::MirrorError;

/// Why a request gets no document.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("there is no such path; begin with /psp/v1/root.json")]
    NoSuchPath,
    #[error("there is no feed `{0}`; /psp/v1/root.json lists the feeds")]
    NoSuchFeed(String),
    #[error("feed `{feed}` has no such checkpoint document; its newest checkpoint is {head}")]
    NoSuchCheckpoint { feed: &'static str, head: u64 },
    #[error(
        "feed `{feed}` begins on {begins}, after the time the clock shows; move the clock, or start with --daily-from"
    )]
    NotYet { feed: &'static str, begins: NaiveDate },
    #[error("feed `{0}` is whole as it is and takes no demands; start the service with --mirror-pypi or --mirror-cran")]
    NotOnDemand(&'static str),
    #[error("not a demand: {0}; post JSON such as {{\"names\": [\"six\"]}}")]
    NoDemand(String),
    #[error(transparent)]
    Mirror(#[from] MirrorError),
    #[error("nothing is stored under this digest")]
    NoSuchDigest,
    #[error("not a digest: expected /sha256/{{its first two digits}}/{{64 lower-case hexadecimal digits}}")]
    NotADigest,
    #[error("this delta is past its retention; begin anew from the newest full state")]
    Gone,
    #[error("packs cannot be kept on disk: {0}; make room in the folder for temporary files (TMPDIR)")]
    Broken(#[from] std::io::Error),
    #[error(transparent)]
    Blob(#[from] sim_kit::blobs::BlobError),
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NoSuchPath
            | Self::NoSuchFeed(_)
            | Self::NoSuchCheckpoint { .. }
            | Self::NotYet { .. }
            | Self::NoSuchDigest => StatusCode::NOT_FOUND,
            Self::NotADigest | Self::NoDemand(_) => StatusCode::BAD_REQUEST,
            Self::NotOnDemand(_) => StatusCode::CONFLICT,
            Self::Mirror(_) => StatusCode::BAD_GATEWAY,
            Self::Gone => StatusCode::GONE,
            Self::Broken(_) | Self::Blob(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let problem = serde_json::json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": self.to_string(),
        });
        let mut response = (status, Json(problem)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}
