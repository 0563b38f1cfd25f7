//! `/client/view/admin/sources/{source}`: the git builders of a source, what they have built, and the logs.
//!
//! As on the other pages of administration, what a form holds is written as the body of the API's operation, which answers it.

use axum::extract::{Form, Path, Query, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use http::HeaderMap;
use minijinja::value::Serde;
use minijinja::{Value, context};
use serde_json::json;

use super::admin::{Filled, json_body, refused, sentence, unknown};
use super::{Asked, Made, Visit, asked};
use crate::api::builders;
use crate::app::App;
use crate::error::{ApiError, Error};

/// `GET /client/view/admin/sources/{source}`
pub async fn page(visit: Visit, Path(source): Path<String>, query: Asked) -> Response {
    let done = sentence(asked(&query, "done"));
    let made = make(&visit, &source, context! { done }).await;
    visit.show(made).await
}

async fn make(visit: &Visit, source: &str, more: Value) -> Made {
    visit.caller.needs_token("administration")?;
    let source = visit.app.view().source_named(source)?.clone();
    let (mut all, mut builds) = (Vec::new(), Vec::new());
    if source.is_git() {
        let (state, caller) = (State(visit.app.clone()), visit.caller.clone());
        let name = || Path(source.name.clone());
        let told = builders::list(state.clone(), caller.clone(), name()).await;
        all = told.map_err(|error| error.0)?.0;
        let told = builders::builds(state, caller, name(), Query::default(), Query::default()).await;
        builds = told.map_err(|error| error.0)?.0;
    }
    let running = builds.iter().any(|build| build["completed"].is_null());
    Ok((
        "admin_builders.html",
        context! {
            here => "admin", tab => "sources", source => &source.name, kind => &source.kind, is_git => source.is_git(),
            is_python => source.is_python(), builders => Serde(all), builds => Serde(builds), running, ..more
        },
    ))
}

/// `GET /client/view/admin/sources/{source}/builds/{transaction}`: the log of a build.
pub async fn log(visit: Visit, Path((source, transaction)): Path<(String, String)>) -> Response {
    let made = make_log(&visit, &source, &transaction).await;
    visit.show(made).await
}

async fn make_log(visit: &Visit, source: &str, transaction: &str) -> Made {
    let source = visit.app.view().source_named(source)?.name.clone();
    let told = builders::logs(State(visit.app.clone()), visit.caller.clone(), Path(transaction.to_owned())).await;
    let body = told.map_err(|error| error.0)?.into_body();
    let text = axum::body::to_bytes(body, usize::MAX).await.map_err(|error| Error::Internal(error.to_string()))?;
    let log = String::from_utf8_lossy(&text).into_owned();
    Ok(("admin_build.html", context! { here => "admin", tab => "sources", source, transaction, log }))
}

/// `POST /client/admin/sources/{source}`
pub async fn act(
    State(app): State<App>,
    visit: Visit,
    Path(source): Path<String>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Response {
    let form = Filled(form);
    if let Err(error) = form.check(&visit, &headers) {
        return visit.show(Err(error)).await;
    }
    match on_source(&app, &visit, &source, &form).await {
        Ok(()) => {
            let next = format!("admin/sources/{source}");
            Redirect::to(&visit.link(&next, &[("done", form.get("do"))])).into_response()
        }
        Err(ApiError(error)) => {
            let more = form.again(&error);
            refused(&visit, &error, make(&visit, &source, more).await).await
        }
    }
}

async fn on_source(app: &App, visit: &Visit, source: &str, form: &Filled) -> Result<(), ApiError> {
    let (state, caller) = (State(app.clone()), visit.caller.clone());
    let builder = || Path((source.to_owned(), form.get("builder").to_owned()));
    match form.get("do") {
        "create" => {
            let draft = json!({
                "name": form.said("name"), "url": form.said("url"), "build_trigger": form.said("build_trigger"),
                "branch": form.said("branch"), "sub_dir": form.said("sub_dir"), "credential": form.said("credential"),
                "no_wait": true,
            });
            let _ = builders::create(state, caller, Path(source.to_owned()), json_body(&draft)).await?;
        }
        "run" => {
            let _ = builders::run(state, caller, builder(), json_body(&json!({ "no_wait": true }))).await?;
        }
        "rerun" => {
            let wanted = json!({ "tag": form.said("tag"), "commit_sha": form.said("commit_sha"), "no_wait": true });
            let _ = builders::rerun(state, caller, builder(), json_body(&wanted)).await?;
        }
        "delete" => {
            let _ = builders::delete(state, caller, builder()).await?;
        }
        _ => return Err(unknown(form)),
    }
    Ok(())
}
