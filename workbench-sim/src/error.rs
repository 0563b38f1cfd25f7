//! What can go wrong, and how each kind of client is told.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, LOCATION};

use crate::auth::cookies;

/// Everything that a handler can refuse with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A page without a sign-in: to the sign-in page, and away with what was left of an old sign-in.
    #[error("sign in first")]
    SignInFirst {
        /// The sign-in page with the way back.
        to: String,
        /// Path of the sign-in cookies.
        cookie_path: String,
    },
    /// A call without a sign-in.
    #[error("Unauthorized")]
    Unauthorized,
    /// The CSRF token is missing or wrong.
    #[error("Missing or incorrect token.")]
    BadToken,
    /// A page of another site opens a WebSocket.
    #[error("Requests from other origins are refused.")]
    ForeignOrigin,
    /// May not do this.
    #[error("{0}")]
    Forbidden(String),
    /// No such thing.
    #[error("{0}")]
    NotFound(String),
    /// The scope in the address names no session.
    #[error("No session for this address. Open it from the home page.")]
    NoSession,
    /// The request makes no sense.
    #[error("{0}")]
    Bad(String),
    /// Not in this state.
    #[error("{0}")]
    Conflict(String),
    /// A user has as many sessions as allowed.
    #[error("The limit of {0} sessions per user has been reached. Quit one to start another.")]
    SessionLimit(u32),
    /// The database.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// Files of sessions.
    #[error("files: {0}")]
    Io(#[from] std::io::Error),
    /// A template.
    #[error("template: {0}")]
    Template(#[from] minijinja::Error),
    /// Keys and hashes.
    #[error("key: {0}")]
    Key(String),
}

impl Error {
    pub(crate) fn key(error: impl std::fmt::Display) -> Self {
        Self::Key(error.to_string())
    }

    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::SignInFirst { .. } => StatusCode::FOUND,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::BadToken | Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::ForeignOrigin | Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::NoSession => StatusCode::SERVICE_UNAVAILABLE,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::SessionLimit(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Sql(_) | Self::Io(_) | Self::Template(_) | Self::Key(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The number in a JSON-RPC answer: those that the open-source server and its web client share.
    pub(crate) fn rpc_code(&self) -> u32 {
        match self {
            Self::SignInFirst { .. } | Self::Unauthorized | Self::BadToken => 3,
            Self::ForeignOrigin | Self::Forbidden(_) => 3,
            Self::NotFound(_) | Self::NoSession => 14,
            Self::SessionLimit(_) => 15,
            Self::Bad(_) => 10,
            Self::Conflict(_) => 11,
            Self::Sql(_) | Self::Io(_) | Self::Template(_) | Self::Key(_) => 100,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if self.status() == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(error = %self, "request failed");
        }
        match self {
            Self::SignInFirst { to, cookie_path } => {
                let headers = [(LOCATION, to), (CACHE_CONTROL, "no-cache, no-store".to_owned())];
                (StatusCode::FOUND, cookies::signed_out(&cookie_path), headers).into_response()
            }
            error => (error.status(), error.to_string()).into_response(),
        }
    }
}
