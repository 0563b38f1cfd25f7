//! `/__api__/git-credentials`: what git builders show to servers that ask. Passwords go in and never come out.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::time;
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, Error};
use crate::store::builders::{self, Credential};
use crate::store::transactions::Transaction;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    name: String,
    username: String,
    password: String,
}

const LONGEST: usize = 4096;

fn credential_json(credential: &Credential) -> Value {
    json!({
        "name": credential.name,
        "type": credential.kind,
        "username": credential.username,
        "created": time(credential.created_at),
    })
}

/// `GET /__api__/git-credentials`
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Vec<Value>>, ApiError> {
    caller.may_administrate()?;
    let all = builders::credentials(app.world().db()).await?;
    Ok(Json(all.iter().map(credential_json).collect()))
}

/// `POST /__api__/git-credentials`
pub async fn create(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ApiError> {
    caller.may_administrate()?;
    let draft: Draft = super::body(&body, r#"{"name": "ci", "username": "ci", "password": "secret"}"#)?;
    super::check_name(&draft.name)?;
    let odd = |text: &String| text.len() > LONGEST || text.chars().any(char::is_control);
    if draft.username.is_empty() || draft.username.contains(':') || odd(&draft.username) || odd(&draft.password) {
        let text = "a credential has a `username` without colons and a `password`, both without control characters and of at most";
        return Err(Error::BadRequest(format!("{text} {LONGEST} bytes")).into());
    }
    let mut change = app.begin().await?;
    let credential = Credential {
        name: draft.name,
        kind: "https".to_owned(),
        username: draft.username,
        password: draft.password,
        created_at: change.at,
    };
    builders::insert_credential(&mut change.tx, &credential).await?;
    app.conclude(change, told("Create git credential", &credential.name)).await?;
    Ok((StatusCode::CREATED, Json(credential_json(&credential))).into_response())
}

/// `DELETE /__api__/git-credentials/{name}`: builders that use it can read nothing from now on.
pub async fn delete(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    caller.may_administrate()?;
    let mut change = app.begin().await?;
    if !builders::delete_credential(&mut change.tx, &name).await? {
        return Err(Error::NotFound(format!("there is no git credential {name:?}")).into());
    }
    app.conclude(change, told("Delete git credential", &name)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn told(action: &str, name: &str) -> Transaction {
    Transaction { action: action.to_owned(), tag: format!("Git credential {name}"), ..Transaction::default() }
}
