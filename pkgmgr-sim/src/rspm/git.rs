//! Commands about git builders.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::{Human, Server, Told, given, said};

/// A git builder to be made.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  rspm create git-builder --source=team --url=https://git.example.org/team/own.git
  rspm create git-builder --source=team --url=https://git.example.org/team/own.git --build-trigger=tags --no-wait
  rspm create git-builder --source=pyteam --name=own --url=https://git.example.org/team/own.git --sub-dir=python")]
pub struct NewBuilder {
    /// The source, of type git or git-python.
    #[arg(long)]
    source: String,
    /// Where the repository is, such as https://git.example.org/team/own.git.
    #[arg(long)]
    url: String,
    /// Its name; that of the R package when left out. Builders of Python packages need one.
    #[arg(long)]
    name: Option<String>,
    /// commits or tags.
    #[arg(long, default_value = "commits")]
    build_trigger: String,
    /// The branch to follow; the repository's default when left out.
    #[arg(long)]
    branch: Option<String>,
    /// Where in the repository the package is.
    #[arg(long)]
    sub_dir: Option<String>,
    /// Name of a git credential.
    #[arg(long)]
    credential: Option<String>,
    /// Commits to fetch; 0 for all.
    #[arg(long, default_value_t = 1)]
    clone_depth: i64,
    /// How deep submodules are followed.
    #[arg(long, num_args = 0..=1, default_value_t = 0, default_missing_value = "1")]
    recurse_submodules: i64,
    #[command(flatten)]
    patience: Patience,
}

/// Whether to wait for builds.
#[derive(Debug, Clone, Copy, Args)]
pub struct Patience {
    /// Wait until the build has ended; the default.
    #[arg(long)]
    wait: bool,
    /// Do not wait for the build.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

/// What shall be different about a git builder.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  rspm edit git-builder --source=team --name=own --new-branch=stable
  rspm edit git-builder --source=team --name=own --new-url=https://git.example.org/team/moved.git --remove-credential")]
pub struct ChangedBuilder {
    /// Its name.
    #[arg(long)]
    name: String,
    /// Its source.
    #[arg(long)]
    source: String,
    /// Where the repository is now.
    #[arg(long)]
    new_url: Option<String>,
    /// The branch to follow from now on.
    #[arg(long)]
    new_branch: Option<String>,
    /// Where in the repository the package is now.
    #[arg(long, conflicts_with = "remove_sub_dir")]
    new_sub_dir: Option<String>,
    /// The package is at the top of the repository.
    #[arg(long)]
    remove_sub_dir: bool,
    /// Another git credential.
    #[arg(long, conflicts_with = "remove_credential")]
    new_credential: Option<String>,
    /// No git credential any more.
    #[arg(long)]
    remove_credential: bool,
    /// Commits to fetch; 0 for all.
    #[arg(long)]
    clone_depth: Option<i64>,
    /// How deep submodules are followed.
    #[arg(long)]
    recurse_submodules: Option<i64>,
}

/// One git builder.
#[derive(Debug, Clone, Args)]
pub struct Named {
    /// Its name.
    #[arg(long)]
    name: String,
    /// Its source.
    #[arg(long)]
    source: String,
}

/// What to look at now.
#[derive(Debug, Clone, Subcommand)]
pub enum Run {
    /// Look at a repository now, and build what is new.
    #[command(after_help = "Example:\n  rspm run git-builder --source=team --name=own")]
    GitBuilder {
        #[command(flatten)]
        #[allow(missing_docs)] // the flags say it
        builder: Named,
        #[command(flatten)]
        #[allow(missing_docs)]
        patience: Patience,
    },
}

/// What to build again.
#[derive(Debug, Clone, Subcommand)]
pub enum Rerun {
    /// Build a tag or a commit again; without either what was built last.
    #[command(after_help = "Examples:
  rspm rerun git-builder --source=team --name=own
  rspm rerun git-builder --source=team --name=own --tag=v1.0")]
    GitBuilder {
        #[command(flatten)]
        #[allow(missing_docs)]
        builder: Named,
        /// The tag.
        #[arg(long, conflicts_with = "commit_sha")]
        tag: Option<String>,
        /// The commit.
        #[arg(long)]
        commit_sha: Option<String>,
        #[command(flatten)]
        #[allow(missing_docs)]
        patience: Patience,
    },
}

/// What can be imported.
#[derive(Debug, Clone, Subcommand)]
pub enum Import {
    /// User and password for git servers.
    #[command(after_help = "Example:\n  rspm import https-credential --name=ci --username=ci --password=…")]
    HttpsCredential {
        /// Its name.
        #[arg(long)]
        name: String,
        /// The user.
        #[arg(long)]
        username: String,
        /// The password or personal access token.
        #[arg(long)]
        password: String,
        /// Do not mind when there is one of this name.
        #[arg(long)]
        succeed_on_existing: bool,
    },
}

/// The log of a build.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Examples:
  rspm logs --transaction-id=6677
  rspm logs --transaction-id=6677 --file-out=build.log")]
pub struct Logs {
    /// The transaction that the build is.
    #[arg(long)]
    transaction_id: i64,
    /// Write it into this file.
    #[arg(long)]
    file_out: Option<PathBuf>,
}

/// Which builds are listed.
#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  rspm list git-builds --source=team --name=own --count=10 --page=1")]
pub struct Builds {
    /// The source.
    #[arg(long)]
    source: String,
    /// The git builder; all of the source when left out.
    #[arg(long)]
    name: Option<String>,
    /// Builds a page.
    #[arg(long, default_value_t = 100)]
    count: u32,
    /// The page, from 1.
    #[arg(long, default_value_t = 1)]
    page: u32,
}

pub(super) async fn create(server: &Server, new: NewBuilder) -> anyhow::Result<Told> {
    let body = given(vec![
        ("url", new.url.into()),
        ("name", new.name.into()),
        ("build_trigger", new.build_trigger.into()),
        ("branch", new.branch.into()),
        ("sub_dir", new.sub_dir.into()),
        ("credential", new.credential.into()),
        ("clone_depth", new.clone_depth.into()),
        ("recurse_submodules", new.recurse_submodules.into()),
        ("no_wait", new.patience.no_wait.into()),
    ]);
    let made = server.call(Method::POST, &["sources", &new.source, "git-builders"], &body).await?;
    let mut text = format!("Git builder {} created.", made["name"].as_str().unwrap_or_default());
    match made["builds"].as_array().is_none_or(Vec::is_empty) {
        true => text.push_str("\nThere is nothing to build yet."),
        false => text = format!("{text}\n{}", ended(&made["builds"])),
    }
    Ok(said(made, text))
}

/// What became of builds, a line each.
fn ended(builds: &Value) -> String {
    let line = |build: &Value| {
        let text = |member: &str| build[member].as_str().unwrap_or_default().to_owned();
        let what = if text("tag").is_empty() { text("commit_sha") } else { text("tag") };
        let id = &build["transaction_id"];
        match build["status"].as_str() {
            Some("succeeded") => {
                format!("Built {} {} from {what} in transaction {id}.", text("package"), text("version"))
            }
            Some("failed") => format!("Building {what} failed in transaction {id}: {}.", text("error")),
            _ => format!("Building {what}."),
        }
    };
    builds.as_array().into_iter().flatten().map(line).collect::<Vec<_>>().join("\n")
}

pub(super) async fn edit(server: &Server, changed: ChangedBuilder) -> anyhow::Result<Told> {
    let empty = |remove: bool, new: Option<String>| if remove { Some(String::new()) } else { new };
    let body = given(vec![
        ("url", changed.new_url.into()),
        ("branch", changed.new_branch.into()),
        ("sub_dir", empty(changed.remove_sub_dir, changed.new_sub_dir).into()),
        ("credential", empty(changed.remove_credential, changed.new_credential).into()),
        ("clone_depth", changed.clone_depth.into()),
        ("recurse_submodules", changed.recurse_submodules.into()),
    ]);
    let now = server.call(Method::PATCH, &["sources", &changed.source, "git-builders", &changed.name], &body).await?;
    Ok(said(now, format!("Git builder {} edited.", changed.name)))
}

pub(super) async fn delete(server: &Server, builder: &Named) -> anyhow::Result<Told> {
    server.delete(&["sources", &builder.source, "git-builders", &builder.name], &[]).await?;
    Ok(said(json!({ "deleted": true }), format!("Git builder {} deleted.", builder.name)))
}

pub(super) async fn run(server: &Server, what: Run) -> anyhow::Result<Told> {
    let Run::GitBuilder { builder, patience } = what;
    let path = ["sources", &builder.source, "git-builders", &builder.name, "run"];
    let builds = server.call(Method::POST, &path, &json!({ "no_wait": patience.no_wait })).await?;
    let text = match builds.as_array().is_none_or(Vec::is_empty) {
        true => "There is nothing new to build.".to_owned(),
        false => ended(&builds),
    };
    Ok(said(builds, text))
}

pub(super) async fn rerun(server: &Server, what: Rerun) -> anyhow::Result<Told> {
    let Rerun::GitBuilder { builder, tag, commit_sha, patience } = what;
    let path = ["sources", &builder.source, "git-builders", &builder.name, "rerun"];
    let body =
        given(vec![("tag", tag.into()), ("commit_sha", commit_sha.into()), ("no_wait", patience.no_wait.into())]);
    let builds = server.call(Method::POST, &path, &body).await?;
    let text = ended(&builds);
    Ok(said(builds, text))
}

pub(super) async fn import(server: &Server, what: Import) -> anyhow::Result<Told> {
    let Import::HttpsCredential { name, username, password, succeed_on_existing } = what;
    if succeed_on_existing {
        let held = server.get(&["git-credentials"], &[]).await?;
        if held.as_array().is_some_and(|all| all.iter().any(|one| one["name"] == name.as_str())) {
            return Ok(said(json!({ "name": name }), format!("There is a git credential {name} already.")));
        }
    }
    let body = json!({ "name": name, "username": username, "password": password });
    let made = server.call(Method::POST, &["git-credentials"], &body).await?;
    Ok(said(made, format!("Git credential {name} imported.")))
}

pub(super) async fn logs(server: &Server, what: Logs) -> anyhow::Result<Told> {
    let log = server.text(&["transactions", &what.transaction_id.to_string(), "logs"]).await?;
    let json = json!({ "transaction_id": what.transaction_id, "log": log });
    let Some(path) = what.file_out else { return Ok(said(json, log.trim_end())) };
    std::fs::write(&path, log).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(said(json, format!("The log is in {}.", path.display())))
}

pub(super) async fn list(server: &Server, source: &str) -> anyhow::Result<Told> {
    let json = server.get(&["sources", source, "git-builders"], &[]).await?;
    Ok(Told {
        json,
        human: Human::Table(&["name", "url", "build_trigger", "branch", "sub_dir", "credential", "error"]),
    })
}

pub(super) async fn builds(server: &Server, which: Builds) -> anyhow::Result<Told> {
    let (count, page) = (which.count.to_string(), which.page.to_string());
    let mut query = vec![("_limit", count.as_str()), ("_page", page.as_str())];
    query.extend(which.name.as_deref().map(|name| ("name", name)));
    let json = server.get(&["sources", &which.source, "git-builds"], &query).await?;
    let columns = &["transaction_id", "name", "status", "tag", "commit_sha", "package", "version", "created", "error"];
    Ok(Told { json, human: Human::Table(columns) })
}

pub(super) async fn credentials(server: &Server) -> anyhow::Result<Told> {
    let json = server.get(&["git-credentials"], &[]).await?;
    Ok(Told { json, human: Human::Table(&["name", "type", "username", "created"]) })
}
