//! Content that comes from a git repository: fetched by this server, and again when the branch moves on.
//!
//! | route | who |
//! | --- | --- |
//! | `GET`, `PUT`, `PATCH`, `DELETE /v1/content/{guid}/repository` | owner, collaborators, administrators |
//! | `POST /v1/content/{guid}/repository/bundle` | the same |
//! | `GET /repo/account`, `/repo/branches`, `/repo/manifest-dirs` | publishers |
//!
//! A deploy of such content that names no bundle fetches the branch and makes a bundle of its directory. The product
//! takes repositories over https and http; without git, or with it turned off, these routes answer 404.

pub(crate) mod fetch;
pub mod lookups;
pub(crate) mod poll;

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use sim_kit::git::{Git, GitError, Remote, RemoteError, SignIn, tidy};
use sqlx::AnyConnection;

use crate::access::editable;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given};
use crate::store;
use crate::store::repositories::Repository;
use crate::store::tasks::Task;
use crate::users::time;

/// How this server uses git.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Whether it does.
    pub enabled: bool,
    /// How the command is run, and which folders it may read.
    pub command: sim_kit::git::Settings,
    /// How often branches are looked at.
    pub poll_interval: Duration,
    /// Sign-ins by host.
    pub credentials: Vec<Credential>,
}

/// A sign-in at one host, as the product's `GitCredential` section.
#[derive(Debug, Clone)]
pub struct Credential {
    /// `https` or `http`.
    pub protocol: String,
    /// With its port, if that is not the usual one.
    pub host: String,
    /// Name.
    pub username: String,
    /// Password or access token.
    pub password: String,
}

impl Default for Settings {
    /// The product looks every 15 minutes.
    fn default() -> Self {
        Self {
            enabled: true,
            command: sim_kit::git::Settings { time: Duration::from_secs(120), ..sim_kit::git::Settings::default() },
            poll_interval: Duration::from_secs(15 * 60),
            credentials: Vec::new(),
        }
    }
}

/// Makes git ready: what was left of fetches by a server that died is taken away.
///
/// # Errors
/// When the files fail.
pub async fn prepare(app: &App) -> Result<()> {
    tidy(app.clones())?;
    let settings = &app.config().git;
    if settings.enabled {
        match Git::is_there(app.world(), app.clones(), &settings.command).await {
            Ok(()) => app.git_is_there(),
            Err(error) => tracing::info!(%error, "there is no git: content cannot come from repositories"),
        }
    }
    Ok(())
}

/// A place in which the repository at `url` can be read, as whom the settings say.
async fn open(app: &App, url: &str) -> std::result::Result<Git, GitError> {
    let settings = &app.config().git;
    // It was good when it was told; since then a folder may have gone.
    let remote = Remote::parse(url, &settings.command.folders).map_err(|why| GitError::Refused(why.to_string()))?;
    let sign_in = credential(settings, url)
        .map(|found| SignIn { username: found.username.clone(), password: found.password.clone() });
    Git::new(app.world(), app.clones(), remote, sign_in.as_ref(), &settings.command).await
}

/// The sign-in for the host of `url`.
fn credential<'a>(settings: &'a Settings, url: &str) -> Option<&'a Credential> {
    let url = url::Url::parse(url).ok()?;
    let host = match (url.host_str()?, url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    settings.credentials.iter().find(|one| one.protocol == url.scheme() && one.host.eq_ignore_ascii_case(&host))
}

/// # Errors
/// 404 with code 145 where git is turned off or not there.
fn require_git(app: &App) -> Result<()> {
    match app.has_git() {
        true => Ok(()),
        false => Err(Error::not_found(Code::GitIsDisabled, "Git is not available on this server.")),
    }
}

/// A repository's address, checked.
///
/// # Errors
/// 400 for what is none, with code 164 for a protocol that is not taken.
pub fn repository_url(settings: &Settings, field: &str, text: &str) -> Result<String> {
    let bad = |code, text: &str| Err(Error::bad(code, format!("`{field}` {text}.")));
    match Remote::parse(text, &settings.command.folders) {
        // As it was written: clients compare it.
        Ok(_) => Ok(text.to_owned()),
        // `user@host:path` is SSH, too.
        Err(RemoteError::NoAddress) if text.split_once(':').is_some_and(|(host, _)| host.contains('@')) => {
            bad(Code::GitUnsupportedProtocol, "must be an https or http URL; repositories by SSH are not taken")
        }
        Err(RemoteError::NoAddress) => bad(
            Code::GitUnsupportedParameters,
            "must be an https or http URL of at most 2048 characters, without spaces",
        ),
        Err(RemoteError::Protocol | RemoteError::Outside) => {
            bad(Code::GitUnsupportedProtocol, "must be an https or http URL")
        }
        Err(RemoteError::SignIn) => {
            bad(Code::GitUnsupportedParameters, "must not hold a user or password; ask for a sign-in of the server")
        }
        Err(RemoteError::Appendix) => bad(Code::GitUnsupportedParameters, "must have no query and no fragment"),
    }
}

/// A name of a branch, tag or commit, as git allows them.
///
/// # Errors
/// 400 when it cannot be one.
pub fn reference(field: &str, text: &str) -> Result<String> {
    let bad = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\".contains(c);
    let ill = text.is_empty()
        || text.len() > 255
        || text.chars().any(bad)
        || text.starts_with('-')
        || text.contains("..")
        || text.contains("@{")
        || text.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with(".lock"));
    match ill {
        true => {
            let text = format!("`{field}` must be the name of a branch, of at most 255 bytes.");
            Err(Error::bad(Code::GitUnsupportedParameters, text))
        }
        false => Ok(text.to_owned()),
    }
}

/// A folder inside a repository; the root is `.`.
///
/// # Errors
/// 400 when it leads out of it.
pub fn directory(field: &str, text: &str) -> Result<String> {
    let ill = text.len() > 1_024
        || text.starts_with('/')
        || text.chars().any(|c| c.is_control() || c == '\\')
        || text.split('/').any(|part| part == ".." || part == ".git");
    if ill {
        let text = format!("`{field}` must be a path inside the repository, of at most 1024 bytes.");
        return Err(Error::bad(Code::GitUnsupportedParameters, text));
    }
    let parts: Vec<&str> = text.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    Ok(if parts.is_empty() { ".".to_owned() } else { parts.join("/") })
}

/// A repository as the API shows it.
pub(crate) fn shown(repository: &Repository) -> Value {
    let mut shown = json!({
        "repository": repository.repository, "branch": repository.branch, "directory": repository.directory,
        "polling": repository.polling,
    });
    if let Some(error) = &repository.last_error {
        shown["last_error"] = json!(error);
    }
    if let Some(commit) = &repository.last_known_commit {
        shown["last_known_commit"] = json!(commit);
    }
    if let Some(at) = repository.last_fetched {
        shown["last_fetched_time"] = json!(time(at));
    }
    shown
}

/// The repository of an item as clients of the unversioned API read it; null when it has none.
///
/// # Errors
/// When the database fails.
pub(crate) async fn older(db: &mut AnyConnection, guid: &str) -> Result<Value> {
    let Some(repository) = store::repositories::get(db, guid).await? else { return Ok(Value::Null) };
    let id = store::content::by_guid(db, guid).await?.map(|content| content.id);
    Ok(json!({
        "id": id, "repository_url": repository.repository, "branch": repository.branch,
        "content_path": repository.directory, "last_known_commit": repository.last_known_commit.unwrap_or_default(),
        "enabled": repository.polling, "last_error": repository.last_error.unwrap_or_default(),
    }))
}

async fn find(db: &mut AnyConnection, guid: &str) -> Result<Repository> {
    store::repositories::get(db, guid).await?.ok_or_else(|| Error::missing("repository"))
}

/// `GET /v1/content/{guid}/repository`
///
/// # Errors
/// 403 for an item one may not change; 404 when there is none, it has no repository, or git is not there.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    require_git(&app)?;
    let mut db = app.read().await?;
    editable(&mut db, &principal, &guid).await?;
    Ok(Json(shown(&find(&mut db, &guid).await?)))
}

/// Sets what `fields` say. Another place is a place of which no commit is known.
fn apply(app: &App, fields: &Fields, repository: &mut Repository) -> Result<()> {
    let settings = &app.config().git;
    let before = repository.clone();
    if let Some(url) = fields.text("repository")?.value() {
        repository.repository = repository_url(settings, "repository", &url)?;
    }
    if let Some(branch) = fields.text("branch")?.value() {
        repository.branch = reference("branch", &branch)?;
    }
    if let Some(path) = fields.text("directory")?.value() {
        repository.directory = directory("directory", &path)?;
    }
    repository.polling = fields.flag("polling")?.value().unwrap_or(repository.polling);
    let place = |r: &Repository| (r.repository.clone(), r.branch.clone(), r.directory.clone());
    if place(repository) != place(&before) {
        repository.last_error = None;
        repository.last_known_commit = None;
        repository.last_fetched = None;
        repository.next_poll = None;
    } else if repository.polling && repository.last_fetched.is_some() {
        repository.next_poll = Some(app.now() + interval(settings));
    }
    Ok(())
}

/// Microseconds between two looks.
pub(crate) fn interval(settings: &Settings) -> i64 {
    i64::try_from(settings.poll_interval.as_micros()).unwrap_or(i64::MAX / 4)
}

/// `PUT /v1/content/{guid}/repository`: all of it; what is not said has its default.
///
/// # Errors
/// 400 for a bad field, 403 for an item one may not change, 404 when there is none or git is not there.
pub async fn put(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    require_git(&app)?;
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    fields.required("repository")?;
    let mut repository = Repository {
        content_guid: guid.clone(),
        repository: String::new(),
        branch: "main".to_owned(),
        directory: ".".to_owned(),
        polling: true,
        last_error: None,
        last_known_commit: None,
        last_fetched: None,
        next_poll: None,
    };
    apply(&app, &fields, &mut repository)?;
    store::repositories::put(&mut tx, &repository).await?;
    tx.commit().await?;
    app.ring_for_polls();
    Ok(Json(shown(&repository)))
}

/// `PATCH /v1/content/{guid}/repository`: what is said.
///
/// # Errors
/// As [`put`]; 404 when it has none.
pub async fn patch(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    require_git(&app)?;
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    let mut repository = find(&mut tx, &guid).await?;
    apply(&app, &fields, &mut repository)?;
    store::repositories::put(&mut tx, &repository).await?;
    tx.commit().await?;
    app.ring_for_polls();
    Ok(Json(shown(&repository)))
}

/// `DELETE /v1/content/{guid}/repository`: the item keeps its bundles and is published by upload from then on.
///
/// # Errors
/// 403 for an item one may not change; 404 when there is none, it has no repository, or git is not there.
pub async fn delete(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<StatusCode> {
    require_git(&app)?;
    let mut tx = app.write().await?;
    editable(&mut tx, &principal, &guid).await?;
    if !store::repositories::delete(&mut tx, &guid).await? {
        return Err(Error::missing("repository"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/content/{guid}/repository/bundle`: a bundle of any branch, tag or commit, without deploying it. The id is
/// the bundle's as soon as the task is finished.
///
/// # Errors
/// 400 for a bad field or when no repository is said and the item has none, 403 for an item one may not change, 404
/// when there is none or git is not there, 409 for a locked item.
pub async fn bundle(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    require_git(&app)?;
    let mut tx = app.write().await?;
    let seen = editable(&mut tx, &principal, &guid).await?;
    if seen.content.locked {
        let text = "The content is locked; unlock it before you make a bundle.";
        return Err(Error::conflict(Code::LockedContentBundle, text));
    }
    let known = store::repositories::get(&mut tx, &guid).await?;
    let known = known.as_ref();
    let repository = match (fields.text("repository")?, known) {
        (Given::Value(url), _) => repository_url(&app.config().git, "repository", &url)?,
        (_, Some(known)) => known.repository.clone(),
        (_, None) => {
            let text = "`repository` is missing, and the content has none of its own.";
            return Err(Error::bad(Code::ParameterMissing, text));
        }
    };
    let name = match fields.text("ref")?.value() {
        Some(name) => reference("ref", &name)?,
        None => known.map_or_else(|| "main".to_owned(), |known| known.branch.clone()),
    };
    let path = match fields.text("directory")?.value() {
        Some(path) => directory("directory", &path)?,
        None => known.map_or_else(|| ".".to_owned(), |known| known.directory.clone()),
    };
    let location = json!({"repository": repository, "ref": name, "directory": path});
    let id = store::next(&mut tx, "bundle").await?;
    let task = Task {
        content_guid: Some(guid),
        bundle_id: Some(id),
        detail: location.clone(),
        ..Task::new(app.world().ids().token("task", 16), "git-bundle", &principal.user.guid, app.now())
    };
    store::tasks::insert(&mut tx, &task).await?;
    tx.commit().await?;
    app.ring_for_work();
    Ok(Json(json!({"bundle_id": id.to_string(), "task_id": task.id, "location": location})))
}

/// What a deploy of the item's branch fetches.
#[must_use]
pub(crate) fn location(repository: &Repository) -> Value {
    json!({
        "repository": repository.repository, "ref": repository.branch, "directory": repository.directory,
        "tracked": true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_https_or_http_and_hold_no_secret() {
        let settings = Settings::default();
        for good in ["https://git.example/a/b", "http://127.0.0.1:3000/x.git", "https://git.example/a/b.git/"] {
            assert_eq!(repository_url(&settings, "repository", good).unwrap(), good);
        }
        for bad in [
            "",
            "git@git.example:a/b",
            "ssh://git.example/a",
            "git://git.example/a",
            "file:///etc",
            "ext::sh -c x",
            "/tmp/x",
            "--upload-pack=x",
            "https://",
            "https://user:secret@git.example/a",
            "https://git.example/a?x",
            "https://git.example/a b",
            "https://git.example/\u{0}",
        ] {
            let error = repository_url(&settings, "repository", bad).unwrap_err().to_string();
            assert!(error.contains("`repository`") && !error.contains("secret"), "{bad}: {error}");
        }
    }

    #[test]
    fn directories_are_inside() {
        for (text, expected) in [("", "."), (".", "."), ("a/b", "a/b"), ("./a//b/", "a/b")] {
            assert_eq!(directory("directory", text).unwrap(), expected);
        }
        for bad in ["/a", "../a", "a/../b", "a\\b", ".git/x", "a\n"] {
            assert!(directory("directory", bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_name_is_taken_or_refused(text in ".{0,40}") {
            if let Ok(name) = reference("branch", &text) {
                prop_assert!(!name.starts_with('-') && !name.contains(":") && !name.contains(".."));
            }
            if let Ok(path) = directory("directory", &text) {
                prop_assert!(!path.starts_with('/') && path.split('/').all(|part| part != ".."));
            }
        }
    }
}
