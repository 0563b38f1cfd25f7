//! What service principals may do: publish to the items that they are trusted publishers of, and nothing else.
//!
//! A route is closed to them unless it is listed here; on those that are, [`crate::access`] decides by item. A closed route
//! answers 403 with code 22, which rsconnect-python takes for a good credential when `/v1/user` says it.

use axum::extract::MatchedPath;
use http::request::Parts;

/// Method and route.
pub const OPEN: &[(&str, &str)] = &[
    ("GET", "/__api__/v1/content/{guid}"),
    ("GET", "/__api__/v1/content/{guid}/bundles"),
    ("POST", "/__api__/v1/content/{guid}/bundles"),
    ("GET", "/__api__/v1/content/{guid}/bundles/{id}"),
    ("POST", "/__api__/v1/content/{guid}/build"),
    ("POST", "/__api__/v1/content/{guid}/deploy"),
    ("GET", "/__api__/v1/tasks/{id}"),
];

/// Whether a request is for a route that is open to service principals.
#[must_use]
pub fn may_ask(parts: &Parts) -> bool {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    OPEN.contains(&(parts.method.as_str(), route))
}
