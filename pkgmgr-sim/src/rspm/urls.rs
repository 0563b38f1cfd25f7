//! Addresses of snapshots.

use anyhow::{Context as _, bail};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, json};

use super::{Human, Server, Told, given, said};

/// Addresses of snapshots.
#[derive(Debug, Clone, Subcommand)]
pub enum Url {
    /// An address of a repository that pins one state of each of its sources.
    #[command(after_help = "Example:\n  rspm url create --repo=prod --snapshot=cran:2025-01-31")]
    Create {
        /// The repository.
        #[arg(long)]
        repo: String,
        /// YYYY-MM-DD, for the sources without a --snapshot; without it they are pinned as they are now. This or --snapshot is needed.
        #[arg(long, required_unless_present = "snapshot")]
        date: Option<String>,
        /// source:YYYY-MM-DD or source:TRANSACTION; may be given several times.
        #[arg(long, value_delimiter = ',', value_name = "SOURCE:SNAPSHOT")]
        snapshot: Vec<String>,
        /// Make it impossible to delete.
        #[arg(long)]
        lock: bool,
        /// Spell the states out in place of making a short name for them.
        #[arg(long)]
        no_alias: bool,
    },
    /// List the created addresses of a repository.
    #[command(after_help = "Example:\n  rspm url list --repo=prod")]
    List {
        /// The repository.
        #[arg(long)]
        repo: String,
    },
    /// Delete an address that is not locked.
    #[command(after_help = "Example:\n  rspm url delete --repo=prod --id=1-4")]
    Delete {
        /// The repository.
        #[arg(long)]
        repo: String,
        /// The part of the address that stands for the snapshot.
        #[arg(long)]
        id: String,
    },
}

pub(super) async fn url(server: &Server, what: Url) -> anyhow::Result<Told> {
    match what {
        Url::Create { repo, date, snapshot, lock, no_alias } => {
            let mut snapshots = Map::new();
            for pair in &snapshot {
                let (source, state) = pair
                    .split_once(':')
                    .with_context(|| format!("--snapshot={pair}: write source:date-or-transaction"))?;
                if snapshots.insert(source.to_owned(), state.into()).is_some() {
                    bail!("--snapshot names {source} twice");
                }
            }
            let body = given(vec![
                ("date", date.into()),
                ("snapshots", snapshots.into()),
                ("lock", lock.into()),
                ("no_alias", no_alias.into()),
            ]);
            let made = server.call(Method::POST, &["repos", &repo, "urls"], &body).await?;
            let url = made["url"].as_str().context("the answer has no URL")?.to_owned();
            Ok(said(made, url))
        }
        Url::List { repo } => {
            let json = server.get(&["repos", &repo, "urls"], &[]).await?;
            Ok(Told { json, human: Human::Table(&["id", "locked", "created", "url"]) })
        }
        Url::Delete { repo, id } => {
            server.delete(&["repos", &repo, "urls", &id], &[]).await?;
            Ok(said(json!({ "deleted": true }), format!("URL {id} of {repo} deleted.")))
        }
    }
}
