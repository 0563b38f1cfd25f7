//! The Workbench API, JSON-RPC over HTTP: `POST /api/{method}` with `{"method", "kwparams": {…}}`, or `GET /api/{method}`
//! for methods without parameters. The answer is `{"result": …}` or `{"error": {"code", "message"}}`.
//!
//! | method | parameters | result |
//! |---|---|---|
//! | `version` | | `{"version": {…}, "features": […]}` |
//! | `launch_session` | `workbench`, `name`, `launch_parameters`, `working_directory`, `username`, `r_version`, `python_version` | `{"id", "url", "project_id"}` |
//! | `get_session` | `session_id` (ids joined by commas), `user`/`username`, `fields` | `{"sessions": […]}` |
//! | `resume_session` | `session_id` | as `launch_session` |
//! | `stop_session` | `session_ids` (joined by commas), `force_quit`, `suspend` | `true` |
//! | `get_compute_envs` | | `{"clusters": […]}` |
//!
//! Callers prove who they are with `Authorization: Bearer {token}`, with the RPC cookie of a session, or with the sign-in
//! cookie and the CSRF header. An administrator may name another `username`.
//!
//! The home page has the same methods and `rename_session` under `/workspaces/`, whatever the API settings are.

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use serde_json::{Map, Value, json};
use sim_kit::origin::Origin;

use crate::App;
use crate::auth::{Identity, csrf};
use crate::error::Error;
use crate::session::{self, Ide, Launch, Session};
use crate::store;
use crate::store::users::User;

/// Bytes of `launch_parameters` at most.
const LARGEST_PARAMETERS: usize = 16 * 1024;
/// Sessions named in one call at most.
const MOST_IDS: usize = 200;

type Parameters = Map<String, Value>;

fn failure(error: &Error) -> Response {
    if error.status() == StatusCode::INTERNAL_SERVER_ERROR {
        tracing::error!(%error, "call failed");
    }
    let body = json!({ "error": { "code": error.rpc_code(), "message": error.to_string() } });
    (error.status(), Json(body)).into_response()
}

fn answer(result: Result<Value, Error>) -> Response {
    match result {
        Ok(value) => Json(json!({ "result": value })).into_response(),
        Err(error) => failure(&error),
    }
}

fn allowed(app: &App, identity: Option<axum::Extension<Identity>>) -> Result<Identity, Error> {
    if !app.config().api {
        return Err(Error::NotFound("the Workbench API is not enabled (workbench-api-enabled)".to_owned()));
    }
    identity.map(|axum::Extension(identity)| identity).ok_or(Error::Unauthorized)
}

pub(crate) async fn get(
    State(app): State<App>,
    identity: Option<axum::Extension<Identity>>,
    Path(method): Path<String>,
    origin: Origin,
) -> Response {
    let identity = match allowed(&app, identity) {
        Ok(identity) => identity,
        Err(error) => return failure(&error),
    };
    match method.as_str() {
        "version" | "get_session" | "get_compute_envs" => {
            answer(call(&app, &identity, &origin, &method, Parameters::new()).await)
        }
        _ => answer(Err(unknown(&method))),
    }
}

pub(crate) async fn post(
    State(app): State<App>,
    identity: Option<axum::Extension<Identity>>,
    Path(method): Path<String>,
    origin: Origin,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let identity = match allowed(&app, identity) {
        Ok(identity) => identity,
        Err(error) => return failure(&error),
    };
    dispatch(&app, &identity, &origin, &headers, &method, &body).await
}

/// The home page's own calls.
pub(crate) async fn home_call(
    State(app): State<App>,
    identity: Option<axum::Extension<Identity>>,
    Path(method): Path<String>,
    origin: Origin,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match identity {
        Some(axum::Extension(identity)) => dispatch(&app, &identity, &origin, &headers, &method, &body).await,
        None => failure(&Error::Unauthorized),
    }
}

async fn dispatch(
    app: &App,
    identity: &Identity,
    origin: &Origin,
    headers: &HeaderMap,
    method: &str,
    body: &[u8],
) -> Response {
    if let Err(error) = csrf::check(identity, headers) {
        return failure(&error);
    }
    match parameters(method, body) {
        Ok(parameters) => answer(call(app, identity, origin, method, parameters).await),
        Err(error) => failure(&error),
    }
}

/// The parameters in a body, whose `method`, if it names one, must be that of the address. A slash before it is what
/// one client sends.
fn parameters(method: &str, body: &[u8]) -> Result<Parameters, Error> {
    if body.is_empty() {
        return Ok(Parameters::new());
    }
    let body: Value =
        serde_json::from_slice(body).map_err(|error| Error::Bad(format!("the body is no JSON: {error}")))?;
    let Value::Object(mut body) = body else { return Err(Error::Bad("the body is no JSON object".to_owned())) };
    if body.get("method").and_then(Value::as_str).is_some_and(|named| named.trim_start_matches('/') != method) {
        return Err(Error::Bad(format!("the body names another method than /api/{method}")));
    }
    match body.remove("kwparams") {
        None | Some(Value::Null) => Ok(Parameters::new()),
        Some(Value::Object(parameters)) => Ok(parameters),
        Some(_) => Err(Error::Bad("kwparams is no JSON object".to_owned())),
    }
}

fn unknown(method: &str) -> Error {
    Error::NotFound(format!(
        "no method {method:?}; there are version, launch_session, get_session, resume_session, stop_session, get_compute_envs"
    ))
}

fn text(parameters: &Parameters, name: &str) -> Result<Option<String>, Error> {
    match parameters.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::Bad(format!("{name} is no string"))),
    }
}

fn flag(parameters: &Parameters, name: &str) -> Result<bool, Error> {
    match parameters.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => Err(Error::Bad(format!("{name} is no boolean"))),
    }
}

/// Ids joined by commas, or an array of them.
fn ids(parameters: &Parameters, name: &str) -> Result<Vec<String>, Error> {
    let ids: Vec<String> = match parameters.get(name) {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => {
            text.split(',').map(|id| id.trim().to_owned()).filter(|id| !id.is_empty()).collect()
        }
        Some(Value::Array(ids)) => ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect(),
        Some(_) => return Err(Error::Bad(format!("{name} is no string of ids joined by commas"))),
    };
    if ids.len() > MOST_IDS {
        return Err(Error::Bad(format!("{name} names more than {MOST_IDS} sessions")));
    }
    Ok(ids)
}

/// The user that a call is about: the caller or, for administrators, whom it names.
async fn subject(app: &App, identity: &Identity, named: Option<String>) -> Result<User, Error> {
    match named.filter(|name| !name.is_empty() && *name != identity.user.name) {
        None => Ok(identity.user.clone()),
        Some(_) if !identity.user.is_admin => {
            Err(Error::Forbidden("only an administrator may act for another user".to_owned()))
        }
        Some(name) => {
            let user = store::users::find(app.world().db(), &name).await?;
            user.ok_or_else(|| Error::Bad(format!("no user {name:?}")))
        }
    }
}

async fn call(
    app: &App,
    identity: &Identity,
    origin: &Origin,
    method: &str,
    parameters: Parameters,
) -> Result<Value, Error> {
    match method {
        "version" => Ok(version(app)),
        "launch_session" => launch(app, identity, origin, &parameters).await,
        "get_session" => get_session(app, identity, &parameters).await,
        "resume_session" => {
            let id = text(&parameters, "session_id")?.ok_or_else(|| Error::Bad("session_id is missing".to_owned()))?;
            let session = session::find_own(app, identity, &id).await?;
            session::resume(app, &session).await?;
            let session = session::find(app, &id).await?;
            address(app, &session).await
        }
        "stop_session" => stop(app, identity, &parameters).await,
        "rename_session" => {
            let id = text(&parameters, "session_id")?.ok_or_else(|| Error::Bad("session_id is missing".to_owned()))?;
            let name = text(&parameters, "name")?.ok_or_else(|| Error::Bad("name is missing".to_owned()))?;
            session::rename(app, &session::find_own(app, identity, &id).await?, &name).await?;
            Ok(Value::Bool(true))
        }
        "get_compute_envs" => Ok(json!({ "clusters": [{
            "name": "Local",
            "type": "Local",
            "defaultImage": "",
            "images": [],
            "queues": [],
            "resourceProfiles": [{ "name": "default", "displayName": "Default" }],
        }] })),
        other => Err(unknown(other)),
    }
}

fn version(app: &App) -> Value {
    let config = app.config();
    let (number, build) = config.version.split_once('+').unwrap_or((&config.version, ""));
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    json!({
        "version": {
            "major": parts.next(),
            "minor": parts.next(),
            "patch": parts.next(),
            "suffix": build,
            "version": config.version,
            "release_name": config.release_name,
        },
        "features": ["sessions"],
    })
}

async fn launch(app: &App, identity: &Identity, origin: &Origin, parameters: &Parameters) -> Result<Value, Error> {
    let workbench = text(parameters, "workbench")?.ok_or_else(|| Error::Bad("workbench is missing".to_owned()))?;
    let ide: Ide = workbench.parse().map_err(Error::Bad)?;
    let user = subject(app, identity, text(parameters, "username")?).await?;
    let launch_parameters = match parameters.get("launch_parameters") {
        None | Some(Value::Null) => json!({}),
        Some(given) if given.to_string().len() > LARGEST_PARAMETERS => {
            return Err(Error::Bad(format!("launch_parameters is larger than {LARGEST_PARAMETERS} bytes")));
        }
        Some(given @ Value::Object(_)) => given.clone(),
        Some(_) => return Err(Error::Bad("launch_parameters is no JSON object".to_owned())),
    };
    let label = text(parameters, "name")?.or_else(|| launch_parameters["name"].as_str().map(str::to_owned));
    let wanted = Launch {
        label,
        r_version: text(parameters, "r_version")?,
        python_version: text(parameters, "python_version")?,
        working_directory: text(parameters, "working_directory")?,
        launch_parameters,
        server_url: origin.base().to_owned(),
    };
    let session = session::launch(app, &user.name, ide, wanted).await?;
    address(app, &session).await
}

async fn address(app: &App, session: &Session) -> Result<Value, Error> {
    let user = store::users::find(app.world().db(), &session.user).await?.ok_or(Error::NoSession)?;
    let scope = session.scope(user.uid);
    Ok(json!({
        "id": session.id,
        "url": format!("{}/s/{scope}/", app.root()),
        "project_id": scope.project,
    }))
}

async fn get_session(app: &App, identity: &Identity, parameters: &Parameters) -> Result<Value, Error> {
    let wanted = ids(parameters, "session_id")?;
    let named = text(parameters, "user")?.or(text(parameters, "username")?);
    let fields = ids(parameters, "fields")?;
    let sessions = if wanted.is_empty() {
        let user = subject(app, identity, named).await?;
        store::sessions::open(app.world().db(), Some(&user.name)).await?
    } else {
        let mut sessions = Vec::new();
        for id in &wanted {
            match session::find_own(app, identity, id).await {
                Ok(session) => sessions.push(session),
                // What does not exist is not in the answer.
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        sessions
    };
    let mut told = Vec::new();
    for session in &sessions {
        let user = store::users::find(app.world().db(), &session.user).await?.ok_or(Error::NoSession)?;
        let mut value = session::to_json(app, session, user.uid);
        if let (Value::Object(members), false) = (&mut value, fields.is_empty()) {
            members.retain(|name, _| name == "id" || fields.contains(name));
        }
        told.push(value);
    }
    Ok(json!({ "sessions": told }))
}

async fn stop(app: &App, identity: &Identity, parameters: &Parameters) -> Result<Value, Error> {
    let wanted = ids(parameters, "session_ids")?;
    if wanted.is_empty() {
        return Err(Error::Bad("session_ids is missing: ids joined by commas".to_owned()));
    }
    let (force, suspend) = (flag(parameters, "force_quit")?, flag(parameters, "suspend")?);
    // All or none: a name that is not there stops nothing.
    let mut sessions = Vec::new();
    for id in &wanted {
        sessions.push(session::find_own(app, identity, id).await?);
    }
    for session in &sessions {
        if suspend {
            session::suspend(app, session).await?;
        } else {
            session::quit(app, session, force).await?;
        }
    }
    Ok(Value::Bool(true))
}

/// Servers inside sessions say that they are in use.
pub(crate) async fn heartbeat(
    State(app): State<App>,
    identity: Option<axum::Extension<Identity>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let result = async {
        let identity = identity.map(|axum::Extension(identity)| identity).ok_or(Error::Unauthorized)?;
        csrf::check(&identity, &headers)?;
        let parameters = parameters("heartbeat", &body)?;
        let scope = text(&parameters, "sessionId")?.unwrap_or_default();
        let scope: crate::scope::Scope = scope.parse().map_err(|()| Error::Bad("sessionId is no scope".to_owned()))?;
        let session = session::find_own(&app, &identity, &scope.session).await?;
        session::touch(&app, &session).await?;
        Ok(Value::Bool(true))
    };
    answer(result.await)
}

/// Only other ways of signing in have it; the real server says so in this odd form.
pub(crate) async fn no_update_credentials() -> Response {
    let body = json!({ "error": { "code": 7, "message": "Method not found" } });
    (StatusCode::OK, [(CONTENT_TYPE, "text/html")], body.to_string()).into_response()
}
