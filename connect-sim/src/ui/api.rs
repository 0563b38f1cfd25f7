//! The API as a page sees it: the same routes, asked in this process for the user who asked for the page.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::{HeaderMap, StatusCode};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::auth::Caller;
use crate::error::{Code, Error, Result};

/// The routes, as the router hands them to pages.
#[derive(Clone)]
pub struct Routes(pub Router);

/// A client of the API.
pub struct Api {
    routes: Routes,
    caller: Caller,
    headers: HeaderMap,
}

impl Api {
    /// A client that is `caller` and has come with `headers`, from which addresses in answers are made.
    #[must_use]
    pub fn new(routes: Routes, caller: Caller, headers: HeaderMap) -> Self {
        Self { routes, caller, headers }
    }

    async fn answer(&self, path: &str) -> Result<(StatusCode, Option<Value>)> {
        let mut request = Request::builder().uri(format!("/__api__{path}")).body(Body::empty());
        if let Ok(request) = &mut request {
            // Who asks is known already, so that no credential is looked at again.
            request.extensions_mut().insert(self.caller.clone());
            let kept = |name: &&http::HeaderName| name.as_str() == "host" || name.as_str().starts_with("x-forwarded");
            for name in self.headers.keys().filter(kept) {
                if let Some(value) = self.headers.get(name) {
                    request.headers_mut().insert(name, value.clone());
                }
            }
        }
        let request = request.map_err(|error| Error::bad(Code::BadRequest, format!("The address is bad: {error}.")))?;
        let response = match self.routes.0.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        };
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.map_err(|e| Error::Internal(e.to_string()))?;
        Ok((status, serde_json::from_slice(&body).ok()))
    }

    /// What `GET` of a path of the API answers; the path is percent-encoded as in a URL.
    ///
    /// # Errors
    /// [`Error::Refused`] with the status and the text of the API's own refusal; [`Error::NoRoute`] for a path that this
    /// release does not have.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let (status, body) = self.answer(path).await?;
        match body {
            Some(body) if status.is_success() => Ok(body),
            None if status.is_success() => Ok(Value::Null),
            None => Err(Error::NoRoute),
            Some(body) => {
                let text = body["error"].as_str().unwrap_or_default().to_owned();
                // What is no id is the id of nothing.
                let status = if body["code"] == Code::InvalidId as i64 { StatusCode::NOT_FOUND } else { status };
                let code = match status {
                    StatusCode::NOT_FOUND => Code::ObjectDoesNotExist,
                    StatusCode::FORBIDDEN => Code::PermissionDenied,
                    _ if status.is_client_error() => Code::BadRequest,
                    _ => return Err(Error::Internal(format!("{path}: {text}"))),
                };
                Err(Error::Refused { status, code, text })
            }
        }
    }

    /// As [`Api::get`]; null where there is nothing, or nothing for this user or in this release.
    ///
    /// # Errors
    /// When the server fails.
    pub async fn maybe(&self, path: &str) -> Result<Value> {
        match self.get(path).await {
            Err(Error::Refused { .. } | Error::NoRoute) => Ok(Value::Null),
            other => other,
        }
    }
}
