//! `/__api__/swagger/index.html`: a page to read the OpenAPI document.

use axum::response::{IntoResponse as _, Redirect, Response};
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde_json::json;

use super::{Made, Visit};
use crate::openapi::described;

/// `GET /__api__/swagger/`
pub async fn index(visit: Visit) -> Response {
    Redirect::to(&format!("{}/__api__/swagger/index.html", visit.base)).into_response()
}

/// `GET /__api__/swagger/index.html`
pub async fn page(visit: Visit) -> Response {
    visit.show(make()).await
}

fn make() -> Made {
    let document = described()?;
    let mut groups: Vec<(String, Vec<serde_json::Value>)> = Vec::new();
    for tag in document["tags"].as_array().into_iter().flatten() {
        groups.push((tag["name"].as_str().unwrap_or_default().to_owned(), Vec::new()));
    }
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let mut operation = operation.clone();
            operation["method"] = method.to_uppercase().into();
            operation["path"] = json!(path);
            let tag = operation["tags"][0].as_str().unwrap_or_default();
            if let Some((_, list)) = groups.iter_mut().find(|(name, _)| name == tag) {
                list.push(operation);
            }
        }
    }
    let groups: Vec<Value> =
        groups.into_iter().map(|(name, operations)| context! { name, operations => Serde(operations) }).collect();
    Ok(("swagger.html", context! { here => "api", document => Serde(document), groups }))
}
