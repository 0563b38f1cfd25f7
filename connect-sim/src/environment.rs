//! Environment variables of content. Names are told, values never. A change restarts the content's processes.
//!
//! Owners, collaborators and administrators read and write them.

use std::collections::BTreeSet;

use axum::extract::{Path, State};
use serde_json::Value;

use crate::access::editable;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given, Json};
use crate::runtime::processes;
use crate::store;

type Names = axum::Json<Vec<String>>;

/// `GET /v1/content/{guid}/environment`
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Names> {
    let mut db = app.read().await?;
    editable(&mut db, &principal, &guid).await?;
    Ok(axum::Json(store::variables::names(&mut db, &guid).await?))
}

/// The most variables of an item.
const MOST: usize = 1_000;

/// Reads `[{"name": …, "value": …}]`; a null value takes the variable away.
fn variables(body: Value) -> Result<Vec<(String, Option<String>)>> {
    let Value::Array(elements) = body else {
        let text = "The body must be a list of objects with `name` and `value`.";
        return Err(Error::bad(Code::CannotParseRequestBody, text));
    };
    if elements.len() > MOST {
        return Err(Error::bad(Code::BadRequest, format!("At most {MOST} variables can be set.")));
    }
    let mut seen = BTreeSet::new();
    let mut variables = Vec::with_capacity(elements.len());
    for element in elements {
        let fields = Fields::of(element)?;
        let name = fields.text("name")?.value().unwrap_or_default();
        if name.is_empty() {
            return Err(Error::bad(Code::EmptyEnvironmentVariableName, "`name` of a variable must not be empty."));
        }
        if name.len() > 1024 || name.contains('=') || name.chars().any(char::is_control) {
            let text = "`name` of a variable must have at most 1024 bytes, without `=` and control characters.";
            return Err(Error::bad(Code::InvalidParameter, text));
        }
        if !seen.insert(name.clone()) {
            return Err(Error::bad(Code::DuplicateEnvironmentVariable, format!("The variable {name} is given twice.")));
        }
        let value = match fields.text("value")? {
            Given::Value(value) => Some(value),
            Given::Null => None,
            Given::Absent => {
                let text = format!("`value` of the variable {name} is missing; null takes it away.");
                return Err(Error::bad(Code::ParameterMissing, text));
            }
        };
        variables.push((name, value));
    }
    Ok(variables)
}

async fn write(app: &App, principal: &Principal, guid: &str, body: Value, replace: bool) -> Result<Names> {
    let variables = variables(body)?;
    let mut tx = app.write().await?;
    store::content::hold(&mut tx, guid).await?;
    let seen = editable(&mut tx, principal, guid).await?;
    let changes = replace || !variables.is_empty();
    if replace {
        store::variables::clear(&mut tx, guid).await?;
    }
    for (name, value) in variables {
        match value {
            Some(value) => store::variables::set(&mut tx, guid, &name, &value).await?,
            None => store::variables::unset(&mut tx, guid, &name).await?,
        }
    }
    let names = store::variables::names(&mut tx, guid).await?;
    if names.len() > MOST {
        return Err(Error::bad(Code::BadRequest, format!("Content can have at most {MOST} variables.")));
    }
    if changes {
        processes::restart(app, &mut tx, &seen.content, "the environment variables changed").await?;
    }
    tx.commit().await?;
    app.ring_for_processes();
    Ok(axum::Json(names))
}

/// `PATCH /v1/content/{guid}/environment`
///
/// # Errors
/// 400 for a bad body, 403 for an item one may not change, 404 when there is none.
pub async fn patch(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    Json(body): Json,
) -> Result<Names> {
    write(&app, &principal, &guid, body, false).await
}

/// `PUT /v1/content/{guid}/environment`
///
/// # Errors
/// As [`patch`].
pub async fn put(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    Json(body): Json,
) -> Result<Names> {
    write(&app, &principal, &guid, body, true).await
}
