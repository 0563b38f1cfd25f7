//! What a repository holds, for those who are about to publish from it.
//!
//! Finding out is a task, whose result is the answer:
//!
//! | route | result |
//! | --- | --- |
//! | `GET /repo/branches?url=` | `git-repo-branches-result`: `{branches: [{branch, ref}]}`; of older releases `git-repo-ref-branch-array`: `[{branch, ref}]` |
//! | `GET /repo/manifest-dirs?url=&branch=` | `git-repo-branch-manifest-dirs-array`: `[directory]` |

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use sim_kit::git::GitError;

use super::{credential, fetch, reference, repository_url, require_git};
use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::build::log::Log;
use crate::build::steps::Stop;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::Query;
use crate::store;
use crate::store::tasks::Task;
use crate::tasks;

/// Bytes of the longest list.
const LONGEST: u64 = 4 << 20;

fn address(app: &App, query: &Query) -> Result<String> {
    let url = query.text("url").ok_or_else(|| Error::bad(Code::ParameterMissing, "`url` is missing."))?;
    repository_url(&app.config().git, "url", url)
}

/// `GET /repo/account`: as whom this server signs in at a host; an empty name for nobody.
///
/// # Errors
/// 400 for a bad URL, 403 for viewers, 404 where git is not there.
pub async fn account(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    require_git(&app)?;
    let url = address(&app, &query)?;
    let found = credential(&app.config().git, &url);
    Ok(Json(json!({"username": found.map_or("", |credential| credential.username.as_str())})))
}

async fn start(app: &App, principal: &Principal, kind: &str, detail: Value) -> Result<Json<Value>> {
    let id = app.world().ids().token("task", 16);
    let task = Task { detail, ..Task::new(id, kind, &principal.user.guid, app.now()) };
    let mut tx = app.write().await?;
    store::tasks::insert(&mut tx, &task).await?;
    tx.commit().await?;
    app.ring_for_work();
    let mut shown = tasks::legacy(&task, &[], principal.user.id);
    shown["task_id"] = json!(task.id);
    Ok(Json(shown))
}

/// `GET /repo/branches`
///
/// # Errors
/// As [`account`].
pub async fn branches(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    require_git(&app)?;
    let url = address(&app, &query)?;
    start(&app, &principal, "git-branches", json!({ "repository": url })).await
}

/// `GET /repo/manifest-dirs`
///
/// # Errors
/// As [`account`]; 400 for a bad branch.
pub async fn manifest_dirs(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    require_git(&app)?;
    let url = address(&app, &query)?;
    let branch = query.text("branch").ok_or_else(|| Error::bad(Code::ParameterMissing, "`branch` is missing."))?;
    let branch = reference("branch", branch)?;
    start(&app, &principal, "git-manifest-dirs", json!({"repository": url, "ref": branch})).await
}

/// The branches of a repository with their commits.
pub(crate) async fn heads(app: &App, url: &str, pattern: &str) -> std::result::Result<Vec<(String, String)>, GitError> {
    let patterns: &[&str] = if pattern.is_empty() { &[] } else { &[pattern] };
    let listed = super::open(app, url).await?.ls_remote(&["--heads"], patterns, LONGEST).await?;
    let listed = String::from_utf8_lossy(&listed);
    let head = |line: &str| {
        let (commit, name) = line.split_once('\t')?;
        Some((name.strip_prefix("refs/heads/")?.to_owned(), commit.to_owned()))
    };
    Ok(listed.lines().filter_map(head).collect())
}

/// Does what a look-up's task says: its result.
pub(crate) async fn look(app: &App, task: &Task, log: &Log) -> std::result::Result<Value, Stop> {
    let detail = |name: &str| task.detail.get(name).and_then(Value::as_str).unwrap_or_default();
    let url = detail("repository");
    if task.kind == "git-branches" {
        log.line(format!("Listing the branches of {url}..."));
        let heads = heads(app, url, "").await?;
        let shown: Vec<Value> = heads.iter().map(|(branch, commit)| json!({"branch": branch, "ref": commit})).collect();
        return Ok(match app.config().version.with(Difference::BranchesResult) {
            true => json!({"type": "git-repo-branches-result", "data": {"branches": shown}}),
            false => json!({"type": "git-repo-ref-branch-array", "data": shown}),
        });
    }
    log.line(format!("Looking for manifests in {} of {url}...", detail("ref")));
    let fetched = fetch::fetch(app, url, &format!("refs/heads/{}", detail("ref"))).await?;
    let arguments = ["ls-tree", "-r", "-z", "--name-only", "refs/fetched"];
    let listed = fetched.git.run(&arguments, Vec::new(), LONGEST).await?;
    let listed = String::from_utf8_lossy(&listed);
    let folder = |path: &str| match path.strip_suffix("manifest.json")? {
        "" => Some(".".to_owned()),
        path => path.strip_suffix('/').map(str::to_owned),
    };
    let folders: Vec<String> = listed.split('\0').filter_map(folder).collect();
    Ok(json!({"type": "git-repo-branch-manifest-dirs-array", "data": folders}))
}
