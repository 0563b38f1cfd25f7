//! What answers requests for content: the seam between the simulated world and real processes.
//!
//! Access was decided before; a runtime only answers.

pub mod files;
pub mod processes;
mod simulated;

use std::sync::Arc;

use axum::response::Response;
use http::{HeaderMap, Method};

use crate::app::App;
use crate::error::Result;
use crate::store::bundles::Bundle;
use crate::store::content::Content;

/// A request for content, access granted.
pub struct Visit<'a> {
    /// The item.
    pub content: &'a Content,
    /// The bundle to answer from: the active one, or a draft.
    pub bundle: &'a Bundle,
    /// Path below the item, percent-decoded, without a slash at the start.
    pub path: &'a str,
    /// Guid of the visitor; none for nobody.
    pub user: Option<&'a str>,
    /// The method.
    pub method: &'a Method,
    /// The headers.
    pub headers: &'a HeaderMap,
}

/// A way to run content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runtime {
    /// Files as they are; a built-in stand-in, which says what it is, for everything that would need a process.
    Simulated,
}

impl Runtime {
    /// The runtime of a content type on this server.
    #[must_use]
    pub fn of(_app: &App, _content: &Content) -> Self {
        Self::Simulated
    }

    /// Answers a visit.
    ///
    /// # Errors
    /// 404 for a file that is not there; when files or database fail.
    pub async fn answer(self, app: &App, visit: &Visit<'_>) -> Result<Response> {
        match self {
            Self::Simulated => {
                // The visit is one of its process's connections until the last of its answer was sent.
                let connection = processes::connect(app, visit).await?;
                let mut response = simulated::answer(app, visit).await?;
                if let Some(connection) = connection {
                    response.extensions_mut().insert(Arc::new(connection));
                }
                Ok(response)
            }
        }
    }
}
