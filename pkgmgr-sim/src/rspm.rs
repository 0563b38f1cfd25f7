//! `rspm`: the administrator's command line.
//!
//! The commands, flags and their meaning are those of the real product's `rspm`, as documented. It talks to a server over HTTP with a
//! token, like the real one does remotely; the way they talk is our own, since that of the real one is not known. Results go to
//! standard output, for people or (`-o json`) for programs; everything else goes to standard error. Without `--commit` updates of
//! curated sources only tell what they would do.

mod airgap;
mod blocklist;
mod bootstrap;
mod command;
mod git;
mod metadata;
mod packages;
mod server;
mod table;
mod urls;

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use reqwest::Method;
use serde_json::{Map, Value, json};

pub use command::Command;
use command::{Create, Delete, Edit, List};
use server::Server;
use table::{fields, table};

/// Flags of every command, and the command.
#[derive(Debug, Clone, Args)]
#[command(version = crate::VERSION)]
pub struct Rspm {
    /// The server, such as http://127.0.0.1:4242.
    #[arg(short, long, env = "PACKAGEMANAGER_ADDRESS", default_value = "http://127.0.0.1:4242", global = true)]
    address: url::Url,
    /// An API token; better given as PACKAGEMANAGER_TOKEN than on the command line.
    #[arg(long, env = "PACKAGEMANAGER_TOKEN", hide_env_values = true, global = true)]
    token: Option<String>,
    /// A file with an identity token of another server, which is exchanged for a token of this one when there is no --token.
    #[arg(long, env = "PACKAGEMANAGER_IDENTITY_TOKEN_FILE", value_name = "FILE", hide = true, global = true)]
    identity_token_file: Option<std::path::PathBuf>,
    /// For people or for programs.
    #[arg(short, long, value_enum, default_value_t = Format::Human, global = true)]
    output_format: Format,
    /// The real command's settings file; here it is not read.
    #[arg(short, long, hide = true, global = true)]
    config: Option<std::path::PathBuf>,
    /// Tell on standard error what is asked of the server.
    #[arg(short, long, global = true)]
    verbose: bool,
    /// Believe servers whose certificates nobody has signed.
    #[arg(long, global = true)]
    insecure_ssl_skip_verify: bool,
    #[command(subcommand)]
    command: Command,
}

/// `rspm` as a command of its own, which it is when the program is called by that name (a link named `rspm` does that).
#[derive(Debug, clap::Parser)]
#[command(
    name = "rspm",
    about = "Administer a Package Manager (simulated)",
    after_help = "Examples:\n  rspm sync --type=PyPI\n  rspm create repo --name=prod\n  rspm subscribe --repo=prod --source=cran"
)]
struct Alone {
    #[command(flatten)]
    rspm: Rspm,
}

/// Whether a program was called as `rspm`.
#[must_use]
pub fn is_name(program: Option<&OsStr>) -> bool {
    program.and_then(|path| Path::new(path).file_name()).is_some_and(|name| name == "rspm")
}

/// The whole program, when it was called as `rspm`.
pub async fn main() -> ExitCode {
    match run(<Alone as clap::Parser>::parse().rspm).await {
        Ok(told) => {
            print!("{told}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("rspm: {}", sim_kit::cli::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    Human,
    /// JSON.
    Json,
}

/// A result: JSON for programs, and what people are shown of it.
struct Told {
    json: Value,
    human: Human,
}

enum Human {
    Text(String),
    /// A table with these fields of each item.
    Table(&'static [&'static str]),
    /// Each field on a line.
    Fields,
}

/// Runs a command and gives what is to be written to standard output.
///
/// # Errors
/// What the server or the disk says, in one line that tells what to do.
pub async fn run(rspm: Rspm) -> anyhow::Result<String> {
    let mut server = Server {
        client: match rspm.insecure_ssl_skip_verify {
            true => sim_kit::http_client::trusting_client(),
            false => sim_kit::http_client::client(|builder| builder),
        },
        verbose: rspm.verbose,
        address: rspm.address,
        token: rspm.token.filter(|token| !token.is_empty()),
    };
    if let Some(path) = rspm.identity_token_file.filter(|_| server.token.is_none()) {
        server.token = Some(server.exchanged(read_text(&path)?.trim()).await?);
    }
    let told = command(&server, rspm.command).await?;
    Ok(match (rspm.output_format, told.human) {
        (Format::Json, _) => format!("{:#}\n", told.json),
        (_, Human::Text(text)) if text.is_empty() => text,
        (_, Human::Text(text)) => text + "\n",
        (_, Human::Table(columns)) => table(&told.json, columns),
        (_, Human::Fields) => fields(&told.json),
    })
}

fn said(json: Value, text: impl Into<String>) -> Told {
    Told { json, human: Human::Text(text.into()) }
}

/// The members that are given.
fn given(members: Vec<(&str, Value)>) -> Value {
    let members = members.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(members.map(|(name, value)| (name.to_owned(), value)).collect::<Map<_, _>>())
}

async fn command(server: &Server, command: Command) -> anyhow::Result<Told> {
    match command {
        Command::Create(what) => create(server, what).await,
        Command::Edit(what) => edit(server, what).await,
        Command::Delete(what) => delete(server, what).await,
        Command::List(what) => list(server, what).await,
        Command::Add(add) => packages::add(server, add).await,
        Command::Subscribe(pair) => {
            let body = json!({ "source": pair.source });
            let now = server.call(Method::POST, &["repos", &pair.repo, "sources"], &body).await?;
            Ok(said(now, format!("Repository {} now subscribes to {}.", pair.repo, pair.source)))
        }
        Command::Unsubscribe(pair) => {
            let now = server.delete(&["repos", &pair.repo, "sources", &pair.source], &[]).await?;
            Ok(said(now, format!("Repository {} no longer subscribes to {}.", pair.repo, pair.source)))
        }
        Command::Reorder { repo, sources } => {
            let now = server.call(Method::PUT, &["repos", &repo, "sources"], &json!({ "sources": sources })).await?;
            Ok(said(now, format!("Repository {repo} is now made of {}.", sources.join(", "))))
        }
        Command::Info { repo, source } => {
            let segments: [&str; 2] = match (&repo, &source) {
                (Some(repo), None) => ["repos", repo],
                (None, Some(source)) => ["sources", source],
                _ => bail!("give either --repo or --source"),
            };
            let mut json = server.get(&segments, &[]).await?;
            if let Some(repo) = &repo {
                let sources = server.get(&["repos", repo, "sources"], &[]).await?;
                let names = sources.as_array().map(|all| all.iter().map(|s| s["name"].clone()).collect::<Vec<_>>());
                json["sources"] = names.into();
            }
            Ok(Told { json, human: Human::Fields })
        }
        Command::Update(what) => packages::update(server, what).await,
        Command::Remove(what) => packages::remove(server, what).await,
        Command::Archive { name, source } => {
            let path = ["sources", &source, "packages", &name, "archive"];
            let done = server.call(Method::POST, &path, &Value::Null).await?;
            Ok(said(done, format!("Archived {name} in {source}.")))
        }
        Command::Sync { kind, version, no_wait, wait: _, quiet } => {
            let body = json!({ "type": kind, "version": version, "no_wait": no_wait });
            let sync = server.call(Method::POST, &["sync"], &body);
            let done = match no_wait || quiet {
                true => sync.await?,
                false => {
                    tokio::select! {
                        biased;
                        done = sync => done?,
                        never = told_progress(server) => match never {},
                    }
                }
            };
            let verb = if no_wait { "Synchronising" } else { "Synchronised" };
            Ok(said(done, if quiet { String::new() } else { format!("{verb} {kind}.") }))
        }
        Command::Bootstrap(step) => bootstrap::bootstrap(server, step).await,
        Command::Export(what) => airgap::export(server, what).await,
        Command::Import { path: _, what: Some(what) } => git::import(server, what).await,
        Command::Import { path, what: None } => airgap::import(server, &path.unwrap_or_default()).await,
        Command::Verify { path } => airgap::verify(&path),
        Command::Clear { kind, version, confirm } => {
            if !confirm {
                bail!(
                    "all packages and snapshots of {kind} would be gone, which cannot be undone; add --confirm to do it"
                );
            }
            let body = json!({ "type": kind, "version": version, "confirm": confirm });
            let done = server.call(Method::POST, &["sync", "clear"], &body).await?;
            Ok(said(done, format!("Cleared {kind}. Synchronise it anew with: rspm sync --type={kind}")))
        }
        Command::Test(what) => blocklist::test(server, what).await,
        Command::Url(what) => urls::url(server, what).await,
        Command::Run(what) => git::run(server, what).await,
        Command::Rerun(what) => git::rerun(server, what).await,
        Command::Logs(what) => git::logs(server, what).await,
        Command::Offline => {
            let node = server.here()?.call(Method::POST, &["cluster", "offline"], &Value::Null).await?;
            Ok(said(node, "This server is offline: its repositories answer 503. Bring it back with: rspm online"))
        }
        Command::Online => {
            let node = server.here()?.call(Method::POST, &["cluster", "online"], &Value::Null).await?;
            Ok(said(node, "This server is online."))
        }
        Command::Cluster => {
            let json = server.here()?.get(&["cluster"], &[]).await?;
            Ok(Told { json, human: Human::Table(&["name", "id", "version", "state", "started", "seen"]) })
        }
    }
}

/// Tells on standard error how far synchronisations are, a line whenever that has changed.
async fn told_progress(server: &Server) -> std::convert::Infallible {
    let mut last = String::new();
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        // Whether it goes through is told by its own answer.
        let Ok(sources) = server.get(&["sync"], &[]).await else { continue };
        for source in sources.as_array().into_iter().flatten().filter(|source| source["state"] == "syncing") {
            let number = |member: &str| source[member].as_u64().unwrap_or_default();
            let mut line = format!(
                "{}: checkpoint {} of {}, {} records",
                source["source"].as_str().unwrap_or_default(),
                number("checkpoint"),
                number("head"),
                number("records")
            );
            if number("packages") > 0 {
                let mebibytes = number("bytes") >> 20;
                line += &format!(", files of {} packages, {mebibytes} MiB fetched", number("packages"));
            }
            if line != last {
                eprintln!("{line}");
                last = line;
            }
        }
    }
}

async fn create(server: &Server, what: Create) -> anyhow::Result<Told> {
    match what {
        Create::Repo { name, description, kind, authenticated, hidden } => {
            let body = given(vec![
                ("name", name.clone().into()),
                ("description", description.into()),
                ("type", kind.into()),
                ("authenticated", authenticated.into()),
                ("hidden", hidden.into()),
            ]);
            let made = server.call(Method::POST, &["repos"], &body).await?;
            Ok(said(made, format!("Repository {name} created.")))
        }
        Create::Source { name, kind, snapshot, include, no_archived, version } => {
            let body = given(vec![
                ("name", name.clone().into()),
                ("type", kind.into()),
                ("snapshot", snapshot.into()),
                ("include", include.into()),
                ("no_archived", no_archived.into()),
                ("version", version.into()),
            ]);
            let made = server.call(Method::POST, &["sources"], &body).await?;
            Ok(said(made, format!("Source {name} created.")))
        }
        Create::Token { scope, repos, sources, expires, description, user, quiet } => {
            let body = json!({
                "scope": scope, "repos": repos, "sources": sources, "expires": expires, "description": description,
                "user": user
            });
            let made = server.call(Method::POST, &["tokens"], &body).await?;
            let token = made["token"].as_str().context("the answer has no token")?.to_owned();
            if !quiet {
                eprintln!("Token {} created. It is shown only this once.", made["id"].as_str().unwrap_or_default());
            }
            Ok(said(made, token))
        }
        Create::BulkBlocklistRules(bulk) => blocklist::create_many(server, bulk).await,
        Create::BlocklistRule(rule) => blocklist::create(server, rule).await,
        Create::GitBuilder(new) => git::create(server, new).await,
        Create::Metadata(record) => metadata::create(server, record).await,
        Create::BulkMetadata(records) => metadata::create_many(server, records).await,
    }
}

async fn edit(server: &Server, what: Edit) -> anyhow::Result<Told> {
    match what {
        Edit::Repo { name, new_name, description, authenticated, hidden } => {
            let body = given(vec![
                ("name", new_name.into()),
                ("description", description.into()),
                ("authenticated", authenticated.into()),
                ("hidden", hidden.into()),
            ]);
            let now = server.call(Method::PATCH, &["repos", &name], &body).await?;
            Ok(said(now, format!("Repository {name} edited.")))
        }
        Edit::Source { name, new_name } => {
            let now = server.call(Method::PATCH, &["sources", &name], &json!({ "name": new_name })).await?;
            Ok(said(now, format!("Source {name} is now {new_name}.")))
        }
        Edit::BlocklistRule(changed) => blocklist::edit(server, changed).await,
        Edit::GitBuilder(changed) => git::edit(server, changed).await,
    }
}

async fn delete(server: &Server, what: Delete) -> anyhow::Result<Told> {
    let (path, text): (Vec<&str>, String) = match &what {
        Delete::Repo { name } => (vec!["repos", name], format!("Repository {name} deleted.")),
        Delete::Source { name } => (vec!["sources", name], format!("Source {name} deleted.")),
        Delete::Token { id } => (vec!["tokens", id], format!("Token {id} revoked.")),
        Delete::BlocklistRule { id } => (vec!["blocklist", "rules", id], format!("Blocklist rule {id} deleted.")),
        Delete::Metadata { id } => (vec!["metadata", "records", id], format!("Metadata {id} deleted.")),
        Delete::GitBuilder(builder) => return git::delete(server, builder).await,
        Delete::GitCredential { name, kind: _ } => {
            (vec!["git-credentials", name], format!("Git credential {name} deleted."))
        }
    };
    server.delete(&path, &[]).await?;
    Ok(said(json!({ "deleted": true }), text))
}

async fn list(server: &Server, what: List) -> anyhow::Result<Told> {
    let (json, columns): (Value, &'static [&'static str]) = match what {
        List::Repos { source: None } => {
            (server.get(&["repos"], &[]).await?, &["id", "name", "type", "auth", "description"])
        }
        List::Repos { source: Some(source) } => {
            let mut found = Vec::new();
            for repo in server.get(&["repos"], &[]).await?.as_array().into_iter().flatten() {
                let name = repo["name"].as_str().unwrap_or_default();
                let sources = server.get(&["repos", name, "sources"], &[]).await?;
                if sources.as_array().is_some_and(|all| all.iter().any(|s| s["name"] == source.as_str())) {
                    found.push(repo.clone());
                }
            }
            (found.into(), &["id", "name", "type", "auth", "description"])
        }
        List::Sources => (server.get(&["sources"], &[]).await?, &["id", "name", "type", "created"]),
        List::Packages { source } => {
            let mut all: Vec<Value> = Vec::new();
            for page in 1.. {
                let page = page.to_string();
                let query = [("_limit", "1000"), ("_page", page.as_str())];
                let Value::Array(items) = server.get(&["sources", &source, "packages"], &query).await? else { break };
                let is_last = items.len() < 1000;
                all.extend(items);
                if is_last {
                    break;
                }
            }
            (all.into(), &["name", "version"])
        }
        List::Requirements { repo, packages, distribution, release } => {
            let mut query = vec![("distribution", distribution.as_str()), ("release", &release)];
            match packages.iter().any(|name| name == "*") {
                true => query.push(("all", "true")),
                false => query.extend(packages.iter().map(|name| ("pkgname", name.as_str()))),
            }
            let json = server.get(&["repos", &repo, "sysreqs"], &query).await?;
            let rows = json["requirements"].as_array().into_iter().flatten().map(|row| {
                let needs = &row["requirements"];
                let commands = |member: &str| needs[member].as_array().cloned().unwrap_or_default();
                let run = |step: Value| step.get("command").or_else(|| step.get("script")).cloned().unwrap_or_default();
                let before = commands("pre_install").into_iter().map(run);
                let after = commands("post_install").into_iter().map(run);
                let all: Vec<Value> = before.chain(commands("install_scripts")).chain(after).collect();
                json!({ "name": row["name"], "packages": needs["packages"], "commands": all })
            });
            (rows.collect(), &["name", "packages", "commands"])
        }
        List::GitBuilders { source } => return git::list(server, &source).await,
        List::GitBuilds(which) => return git::builds(server, which).await,
        List::Metadata => return metadata::list(server).await,
        List::GitCredentials => return git::credentials(server).await,
        List::Tokens => (
            server.get(&["tokens"], &[]).await?,
            &["id", "user", "scopes", "repos", "sources", "expires", "description"],
        ),
        List::BlocklistRules => (
            server.get(&["blocklist", "rules"], &[]).await?,
            &[
                "id",
                "priority",
                "package_name",
                "version",
                "repo",
                "source_name",
                "license",
                "exception",
                "description",
            ],
        ),
    };
    Ok(Told { json, human: Human::Table(columns) })
}

fn read_text(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}
