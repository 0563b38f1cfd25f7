//! `/__api__/swagger/`: the OpenAPI document, and a page to read it.
//!
//! The real server shows Swagger UI there, with the document beside it. Here both are made from the table of routes; the page
//! is our own and needs nothing from elsewhere.

use std::sync::OnceLock;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use sim_kit::openapi::{Api, document};
use sim_kit::origin::Origin;

use crate::VERSION;
use crate::app::App;
use crate::error::{ApiError, Error};
use crate::routes;

const API: Api = Api {
    title: "Package Manager (simulated)",
    version: VERSION,
    description: "A simulator of Posit Package Manager; not affiliated with Posit. Operations that change something are its own: how \
                  the real server is administrated remotely is not known.",
    prefix: "/__api__/",
    error: "Error",
    always: "400 401",
    components: include_str!("../openapi/components.json"),
    more: "",
};

/// The document, without the address of the server.
pub(crate) fn described() -> Result<&'static Value, Error> {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    if let Some(known) = DOCUMENT.get() {
        return Ok(known);
    }
    let made = document(&API, routes::table().routes()).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(DOCUMENT.get_or_init(|| made))
}

/// `GET /__api__/swagger/doc.json`
pub async fn json(State(app): State<App>, origin: Origin) -> Result<Json<Value>, ApiError> {
    let mut document = described()?.clone();
    document["servers"] = json!([{ "url": app.origin(origin).base() }]);
    Ok(Json(document))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_api_says_what_it_does() {
        let table = routes::table();
        let silent: Vec<_> =
            table.routes().iter().filter(|r| r.path.starts_with(API.prefix) && r.doc.is_none()).collect();
        assert!(silent.is_empty(), "these rows have no doc: {silent:#?}");
        let document = described().unwrap();
        let parameters: Value = serde_json::from_str::<Value>(API.components).unwrap()["parameters"].take();
        for operation in
            document["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
        {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let name = parameter["name"].as_str().unwrap();
                assert!(parameters.get(name).is_some(), "nothing says what {name} is in {}", operation["summary"]);
            }
        }
    }
}
