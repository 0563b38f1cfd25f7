//! `GET /__api__/openapi.json`: the table of routes as an OpenAPI document.
//!
//! The real server documents its API elsewhere; that it would serve the document itself is our own.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use sim_kit::openapi::{Api, document};
use sim_kit::origin::Origin;

use crate::app::App;
use crate::error::{Error, Result};
use crate::routes;

const API: Api = Api {
    title: "Connect (simulated)",
    version: "",
    description: "A simulator of Posit Connect; not affiliated with Posit.",
    prefix: "/__api__/",
    error: "Error",
    always: "400 401 403 404",
    components: include_str!("../openapi/components.json"),
    more: "",
};

/// `GET /__api__/openapi.json`: of the release that the server has.
///
/// # Errors
/// Internal: the components are broken.
pub async fn json(State(app): State<App>, origin: Origin) -> Result<Json<Value>> {
    let version = app.config().version;
    let table = routes::table(version);
    let mut made = document(&API, table.routes()).map_err(|error| Error::Internal(error.to_string()))?;
    made["info"]["version"] = version.to_string().into();
    made["servers"] = json!([{ "url": app.origin(origin).base() }]);
    Ok(Json(made))
}
