//! Blocklist rules.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::Serialize;
use serde_json::{Value, json};

use super::{Server, Told, read_text, said};

/// A blocklist rule; what is left out fits everything.
#[derive(Debug, Clone, Args, Serialize)]
pub struct Rule {
    /// The package.
    #[arg(long)]
    package_name: Option<String>,
    /// Versions, such as <4.0.0.
    #[arg(long)]
    version: Option<String>,
    /// Packages of this source only.
    #[arg(long)]
    source: Option<String>,
    /// In this repository only.
    #[arg(long)]
    repo: Option<String>,
    /// Packages of Bioconductor only.
    #[arg(long, conflicts_with = "source")]
    #[serde(skip)]
    pub(super) bioconductor: bool,
    /// Packages with this license only.
    #[arg(long)]
    license: Option<String>,
    /// Packages with licenses of these types only: permissive, weak-copyleft, strong-copyleft, public-domain, unknown.
    #[arg(long, value_delimiter = ',')]
    license_types: Vec<String>,
    /// Packages that were taken away from where they come.
    #[arg(long)]
    deleted_packages: bool,
    /// Packages with vulnerabilities.
    #[arg(long)]
    vulns: bool,
    /// Of vulnerabilities only those at least as severe: low, medium, high, critical, or a base score.
    #[arg(long, requires = "vulns")]
    min_severity: Option<String>,
    /// With --min-severity: those without a score, too.
    #[arg(long, requires = "vulns")]
    block_unscored: bool,
    /// Allow what other rules block.
    #[arg(long)]
    exception: bool,
    /// Of two rules that fit, the one with the higher number decides.
    #[arg(long, default_value_t = 0)]
    priority: i64,
    /// Free text.
    #[arg(long, default_value = "")]
    description: String,
}

/// Rules of a file.
#[derive(Debug, Clone, Args)]
pub struct Bulk {
    /// The file.
    #[arg(long)]
    pub path: PathBuf,
    /// None at all when one is wrong.
    #[arg(long)]
    pub fail_all: bool,
}

/// A rule that becomes another one.
#[derive(Debug, Clone, Args)]
pub struct ChangedRule {
    /// Its number.
    #[arg(long)]
    pub id: String,
    #[command(flatten)]
    #[allow(missing_docs)] // the flags say it
    pub rule: Rule,
}

/// What can be tried.
#[derive(Debug, Clone, Subcommand)]
pub enum Test {
    /// Whether a package would be blocked.
    #[command(after_help = "Example:\n  rspm test blocklist-rules --repo=prod --package-name=sf --version=1.0")]
    BlocklistRules {
        /// The repository.
        #[arg(long)]
        repo: String,
        /// The package.
        #[arg(long)]
        package_name: String,
        /// Its version.
        #[arg(long)]
        version: String,
        /// Of a Bioconductor repository: which release.
        #[arg(long)]
        bioc_version: Option<String>,
    },
}

pub(super) async fn create(server: &Server, rule: Rule) -> anyhow::Result<Told> {
    let made = server.call(Method::POST, &["blocklist", "rules"], &drafted(&rule)?).await?;
    let text = format!("Blocklist rule {} created.", made["id"]);
    Ok(said(made, text))
}

pub(super) async fn create_many(server: &Server, bulk: Bulk) -> anyhow::Result<Told> {
    let Bulk { path, fail_all } = bulk;
    let shown = path.display();
    let rules: Value = serde_json::from_str(&read_text(&path)?)
        .with_context(|| format!("{shown} must hold a list in JSON, such as [{{\"package_name\": \"sf\"}}]"))?;
    let body = json!({ "rules": rules, "fail_all": fail_all });
    let done = server.call(Method::POST, &["blocklist", "rules", "bulk"], &body).await?;
    let list = |member: &str| done[member].as_array().cloned().unwrap_or_default();
    let mut lines = vec![format!("{} blocklist rules created.", list("created").len())];
    for one in list("failed") {
        lines.push(format!("Rule {} was not: {}", one["rule"], one["error"].as_str().unwrap_or_default()));
    }
    Ok(said(done, lines.join("\n")))
}

pub(super) async fn edit(server: &Server, changed: ChangedRule) -> anyhow::Result<Told> {
    let ChangedRule { id, rule } = changed;
    let path = ["blocklist", "rules", &id];
    let now = server.call(Method::PUT, &path, &drafted(&rule)?).await?;
    Ok(said(now, format!("Blocklist rule {id} edited.")))
}

pub(super) async fn test(server: &Server, what: Test) -> anyhow::Result<Told> {
    let Test::BlocklistRules { repo, package_name, version, bioc_version } = what;
    let mut query = vec![("repo", repo.as_str()), ("package_name", &package_name), ("version", &version)];
    query.extend(bioc_version.as_deref().map(|release| ("bioc_version", release)));
    let found = server.get(&["blocklist", "test"], &query).await?;
    let text = match found["blocked"].as_bool() {
        Some(true) => format!("{package_name} {version} is blocked by rule {}.", found["rule"]),
        _ => format!("{package_name} {version} is not blocked."),
    };
    Ok(said(found, text))
}

/// A rule as the server wants it.
fn drafted(rule: &Rule) -> anyhow::Result<Value> {
    let mut draft = serde_json::to_value(rule)?;
    if rule.bioconductor {
        draft["source_type"] = "bioconductor".into();
    }
    Ok(draft)
}
