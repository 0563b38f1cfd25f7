//! `/__api__/sources/{source}/git-builders` and `…/git-builds`: packages built from git repositories.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Paging, time};
use crate::app::App;
use crate::auth::Caller;
use crate::error::{ApiError, Error};
use crate::git::plain_sub_dir;
use crate::store::builders::{self, Build, Builder};
use crate::store::sources::Source;

/// What a builder shall be; the words are those of `rspm create git-builder`. What is left out stays, or gets the default.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Draft {
    name: Option<String>,
    url: Option<String>,
    /// `commits` or `tags`.
    build_trigger: Option<String>,
    /// Empty for the default branch.
    branch: Option<String>,
    /// Empty for the top of the repository.
    sub_dir: Option<String>,
    /// Empty for none.
    credential: Option<String>,
    clone_depth: Option<i64>,
    recurse_submodules: Option<i64>,
    /// Answer before the build has ended.
    no_wait: bool,
}

const EXAMPLE: &str = r#"{"name": "own", "url": "https://git.example.org/team/own.git", "build_trigger": "commits"}"#;
const DEEPEST: i64 = 10;
const MOST_COMMITS: i64 = 1_000_000;

impl Draft {
    fn apply(self, builder: &mut Builder) -> Result<(), Error> {
        super::check_length("url", self.url.as_deref(), 2048)?;
        super::check_length("sub_dir", self.sub_dir.as_deref(), 1024)?;
        if let Some(url) = self.url {
            builder.url = url;
        }
        if let Some(branch) = self.branch {
            // What git's own rules forbid, and what would end its arguments.
            let odd = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
            let bad = branch.starts_with(['-', '/'])
                || branch.contains("..")
                || branch.contains("@{")
                || branch.contains(odd);
            if bad || branch.len() > 255 {
                return Err(Error::BadRequest(format!("{branch:?} is not the name of a branch")));
            }
            builder.branch = branch;
        }
        if let Some(folder) = self.sub_dir {
            builder.sub_dir = plain_sub_dir(&folder)
                .ok_or_else(|| Error::BadRequest(format!("sub_dir {folder:?} is not a folder inside a repository")))?;
        }
        if let Some(name) = self.credential {
            builder.credential = Some(name).filter(|name| !name.is_empty());
        }
        let number = |what: &str, given: Option<i64>, held: i64, most: i64| match given {
            None => Ok(held),
            Some(n) if (0..=most).contains(&n) => Ok(n),
            Some(n) => Err(Error::BadRequest(format!("{what} must be a number from 0 to {most}, not {n}"))),
        };
        builder.clone_depth = number("clone_depth", self.clone_depth, builder.clone_depth, MOST_COMMITS)?;
        builder.submodules = number("recurse_submodules", self.recurse_submodules, builder.submodules, DEEPEST)?;
        Ok(())
    }
}

fn builder_json(source: &Source, builder: &Builder) -> Value {
    json!({
        "id": builder.id,
        "name": builder.name,
        "source_id": source.id,
        "source": source.name,
        "url": builder.url,
        "build_trigger": builder.trigger,
        "branch": builder.branch,
        "sub_dir": builder.sub_dir,
        "credential": builder.credential,
        "clone_depth": builder.clone_depth,
        "recurse_submodules": builder.submodules,
        "created": time(builder.created_at),
        "last_poll": time(builder.polled_at),
        "next_poll": time(builder.next_poll_at),
        "error": builder.poll_error,
    })
}

fn build_json(name: &str, build: &Build) -> Value {
    json!({
        "id": build.id,
        "source_id": build.source_id,
        "name": name,
        "tag": build.tag,
        "commit_sha": build.commit_sha,
        "status": build.state,
        "attempts": build.attempts,
        "created": time(build.created_at),
        "completed": build.completed_at.map(time),
        "transaction_id": build.transaction_id,
        "package": build.package,
        "version": build.version,
        "error": build.error,
    })
}

fn git_source(app: &App, name: &str) -> Result<Source, Error> {
    let source = app.view().source_named(name)?.clone();
    match source.is_git() {
        true => Ok(source),
        false => Err(Error::BadRequest(format!(
            "source {} is of type {}; git builders belong to sources of type git and git-python",
            source.name, source.kind
        ))),
    }
}

async fn named(app: &App, source: &Source, name: &str) -> Result<Builder, Error> {
    let all = builders::list(app.world().db(), Some(source.id)).await?;
    let found = all.into_iter().find(|builder| builder.name == name);
    found.ok_or_else(|| Error::NotFound(format!("source {} has no git builder {name:?}", source.name)))
}

/// `GET /__api__/sources/{source}/git-builders`
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<String>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let source = git_source(&app, &source)?;
    caller.may_write(&source)?;
    let all = builders::list(app.world().db(), Some(source.id)).await?;
    Ok(Json(all.iter().map(|builder| builder_json(&source, builder)).collect()))
}

/// `POST /__api__/sources/{source}/git-builders`: with the first build, which is waited for unless `no_wait`.
pub async fn create(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<String>,
    body: Bytes,
) -> Result<Response, ApiError> {
    let source = git_source(&app, &source)?;
    caller.may_write(&source)?;
    let mut draft: Draft = super::body(&body, EXAMPLE)?;
    let name = draft.name.take().unwrap_or_default();
    if !name.is_empty() {
        super::check_name(&name)?;
    } else if source.is_python() {
        return Err(Error::BadRequest("a git builder of Python packages needs a name".to_owned()).into());
    }
    let trigger = draft.build_trigger.take().unwrap_or_else(|| "commits".to_owned());
    if !["commits", "tags"].contains(&trigger.as_str()) {
        return Err(Error::BadRequest(format!("build_trigger must be commits or tags, not {trigger:?}")).into());
    }
    let waits = !draft.no_wait;
    let mut builder = Builder {
        id: 0,
        source_id: source.id,
        name,
        url: String::new(),
        trigger,
        branch: String::new(),
        sub_dir: String::new(),
        credential: None,
        clone_depth: 1,
        submodules: 0,
        created_at: 0,
        seen: String::new(),
        next_poll_at: 0,
        poll_error: String::new(),
        polled_at: 0,
    };
    draft.apply(&mut builder)?;
    let (builder, build) = app.create_builder(&source, builder).await?;
    let builds = ended(&app, &builder.name, build.into_iter().collect(), waits).await?;
    let mut answer = builder_json(&source, &builder);
    answer["builds"] = builds.into();
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// Who is told that a build went well finds its package in the index.
async fn shown(app: &App, build: &Build) -> Result<(), Error> {
    match build.transaction_id.filter(|_| build.state == "succeeded") {
        Some(transaction) => app.catch_up(build.source_id, transaction).await,
        None => Ok(()),
    }
}

/// The builds, when they have ended or as they are.
async fn ended(app: &App, name: &str, builds: Vec<i64>, waits: bool) -> Result<Vec<Value>, Error> {
    let mut answers = Vec::new();
    for id in builds {
        let build = match waits {
            true => app.built(id).await?,
            false => builders::build_by_id(app.world().db(), id).await?.unwrap_or_default(),
        };
        shown(app, &build).await?;
        answers.push(build_json(name, &build));
    }
    Ok(answers)
}

/// `PATCH /__api__/sources/{source}/git-builders/{name}`
pub async fn edit(
    State(app): State<App>,
    caller: Caller,
    Path((source, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let source = git_source(&app, &source)?;
    caller.may_write(&source)?;
    let draft: Draft = super::body(&body, r#"{"branch": "main"}"#)?;
    if draft.name.is_some() || draft.build_trigger.is_some() {
        return Err(
            Error::BadRequest("the name and the trigger of a git builder stay; make another one".to_owned()).into()
        );
    }
    let before = named(&app, &source, &name).await?;
    let mut now = before.clone();
    draft.apply(&mut now)?;
    app.edit_builder(&source, &before, now).await?;
    Ok(Json(builder_json(&source, &named(&app, &source, &name).await?)))
}

/// `DELETE /__api__/sources/{source}/git-builders/{name}`: what it has built stays.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path((source, name)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let source = git_source(&app, &source)?;
    caller.may_write(&source)?;
    let builder = named(&app, &source, &name).await?;
    app.delete_builder(&source, &builder).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to build again.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Again {
    tag: Option<String>,
    commit_sha: Option<String>,
    no_wait: bool,
}

fn again(body: &[u8], example: &str) -> Result<Again, Error> {
    if body.is_empty() { Ok(Again::default()) } else { super::body(body, example) }
}

/// `POST /__api__/sources/{source}/git-builders/{name}/run`: look now, and build what is new.
pub async fn run(
    State(app): State<App>,
    caller: Caller,
    Path((source, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Vec<Value>>, ApiError> {
    let source = git_source(&app, &source)?;
    caller.may_write(&source)?;
    let wanted = again(&body, r#"{"no_wait": true}"#)?;
    let builder = named(&app, &source, &name).await?;
    let builds = app.run_builder(&builder).await?;
    Ok(Json(ended(&app, &name, builds, !wanted.no_wait).await?))
}

/// `POST /__api__/sources/{source}/git-builders/{name}/rerun`: build a tag or commit again.
pub async fn rerun(
    State(app): State<App>,
    caller: Caller,
    Path((source, name)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Vec<Value>>, ApiError> {
    let source = git_source(&app, &source)?;
    caller.may_write(&source)?;
    let wanted = again(&body, r#"{"tag": "v1.0"}"#)?;
    let builder = named(&app, &source, &name).await?;
    let build = app.rerun_builder(&builder, wanted.tag, wanted.commit_sha).await?;
    Ok(Json(ended(&app, &name, vec![build], !wanted.no_wait).await?))
}

/// Which builds.
#[derive(Debug, Default, Deserialize)]
pub struct Which {
    name: Option<String>,
}

/// `GET /__api__/sources/{source}/git-builds?name=`, newest first.
pub async fn builds(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<String>,
    Query(which): Query<Which>,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let (skip, limit) = paging.window()?;
    let source = git_source(&app, &source)?;
    caller.may_write(&source)?;
    let db = app.world().db();
    let all = builders::list(db, Some(source.id)).await?;
    let wanted = match &which.name {
        Some(name) => Some(named(&app, &source, name).await?.id),
        None => None,
    };
    let (skip, limit) = (i64::try_from(skip).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    let found = builders::builds(db, source.id, wanted, limit, skip).await?;
    for build in &found {
        shown(&app, build).await?;
    }
    let name =
        |build: &Build| all.iter().find(|builder| builder.id == build.builder_id).map_or("", |b| b.name.as_str());
    Ok(Json(found.iter().map(|build| build_json(name(build), build)).collect()))
}

/// `GET /__api__/transactions/{id}/logs`: the log of a git build, as text.
pub async fn logs(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<Response, ApiError> {
    caller.needs_token("reading the log of a build")?;
    let missing = || Error::NotFound(format!("there is no git build with the transaction {id:?}"));
    let number: i64 = id.parse().map_err(|_| missing())?;
    let build = builders::build_by_transaction(app.world().db(), number).await?.ok_or_else(missing)?;
    let source = app.view().source(build.source_id).cloned().ok_or_else(missing)?;
    caller.may_write(&source)?;
    let text = app.world().blobs().get(&build.log.parse()?).await?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
