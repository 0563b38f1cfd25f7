//! What can go wrong, in the two faces of the product: plain text on repository paths, `{"code", "error"}` under `/__api__/`.
//!
//! The real server's `code` numbers are not known; here they are the HTTP status.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use sim_kit::blobs::BlobError;

/// Why a request is not answered with what it asked for. Shown as plain text.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// No token, or one that is not valid (any more).
    #[error("{0}")]
    Unauthorized(String),
    /// A valid token that does not allow this.
    #[error("{0}")]
    Forbidden(String),
    /// It is there already, or in the way of something.
    #[error("{0}")]
    Conflict(String),
    /// More bytes than are taken.
    #[error("{0}")]
    TooLarge(String),
    /// A file is not here and the package service does not give it.
    #[error("the package service does not provide this file: {0}")]
    Upstream(String),
    /// A synchronisation was refused; the last good state is served on.
    #[error("{0}")]
    Refused(String),
    /// The database, the disk or a program error. The text is for the log.
    #[error("internal error")]
    Internal(String),
}

impl Error {
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized(_) => StatusCode::UNAUTHORIZED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Upstream(_) => StatusCode::BAD_GATEWAY,
            Self::Refused(_) => StatusCode::BAD_GATEWAY,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    pub(crate) fn log(&self) {
        match self {
            Self::Internal(cause) => tracing::error!(cause, "internal error"),
            Self::Upstream(cause) => tracing::warn!(cause, "a package file cannot be had"),
            _ => {}
        }
    }
}

impl From<minijinja::Error> for Error {
    fn from(error: minijinja::Error) -> Self {
        Self::Internal(format!("a page: {error:#}"))
    }
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        // The only things that can be there twice are names.
        if error.as_database_error().is_some_and(|error| error.is_unique_violation()) {
            return Self::Conflict("this name is taken".to_owned());
        }
        Self::Internal(format!("database: {error}"))
    }
}

impl From<BlobError> for Error {
    fn from(error: BlobError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Internal(format!("a stored record cannot be read: {error}"))
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        self.log();
        challenged((self.status(), format!("{self}\n")).into_response())
    }
}

/// Clients with a netrc file ask first without credentials and need the challenge to come again with them.
fn challenged(mut response: Response) -> Response {
    if response.status() == StatusCode::UNAUTHORIZED {
        let challenge = HeaderValue::from_static("Basic realm=\"Package Manager\", charset=\"UTF-8\"");
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// An [`Error`] under `/__api__/`.
#[derive(Debug, Clone)]
pub struct ApiError(pub Error);

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.0.log();
        let status = self.0.status();
        challenged((status, Json(json!({ "code": status.as_u16(), "error": self.0.to_string() }))).into_response())
    }
}
