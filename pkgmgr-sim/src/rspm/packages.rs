//! Packages of sources: adding them, moving them on, taking them out.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;

use super::{Server, Told, given, read_text, said};

/// What is added, and to what.
#[derive(Debug, Clone, Args)]
pub struct Add {
    /// The source.
    #[arg(long)]
    pub source: String,
    /// Package files.
    #[arg(long, value_delimiter = ',')]
    pub path: Vec<PathBuf>,
    /// Take the place of the same version.
    #[arg(long)]
    pub replace: bool,
    /// Packages for a curated source.
    #[arg(long, value_delimiter = ',', conflicts_with = "path")]
    pub packages: Vec<String>,
    /// A file with names of packages, one a line or with commas; a line may say which versions will do, such as sf>=1.0,<2.0.
    #[arg(long, conflicts_with = "path")]
    pub file_in: Option<PathBuf>,
    /// Bring along what they suggest.
    #[arg(long)]
    pub include_suggests: bool,
    /// Write what changes to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    pub csv_out: Option<PathBuf>,
    /// The date of a curated source; the one it has when left out, which --commit does not allow.
    #[arg(long)]
    pub snapshot: Option<String>,
    /// Do it.
    #[arg(long, requires = "snapshot")]
    pub commit: bool,
}

/// What a curated or snapshot source becomes.
#[derive(Debug, Clone, Args)]
pub struct Update {
    /// The source.
    #[arg(long)]
    pub source: String,
    /// A requirements file: all that there shall be. For R a line such as sf, sf>=1.0,<2.0 or sf==1.0[suggests].
    #[arg(long)]
    pub file_in: Option<PathBuf>,
    /// The new date; the newest when left out.
    #[arg(long, default_value = "latest")]
    pub snapshot: String,
    /// More R packages.
    #[arg(long, value_delimiter = ',')]
    pub packages: Vec<String>,
    /// R packages to be taken out.
    #[arg(long, value_delimiter = ',')]
    pub remove: Vec<String>,
    /// Which dependencies come along: imports, depends, linking-to, suggests, none, all; those the source was made with if none
    /// are given.
    #[arg(long, value_delimiter = ',')]
    pub include: Option<Vec<String>>,
    /// Write what changes to this file.
    #[arg(long, value_name = "FILE")]
    pub csv_out: Option<PathBuf>,
    /// Do it.
    #[arg(long)]
    pub commit: bool,
}

/// What can be removed.
#[derive(Debug, Clone, Subcommand)]
pub enum Remove {
    /// A package, or a version or file of it.
    #[command(after_help = "Example:\n  rspm remove package --source=team --name=own@all")]
    Package {
        /// name@all, name@current, name@1.2.3, or the name of a Python file.
        #[arg(long)]
        name: String,
        /// The source.
        #[arg(long)]
        source: String,
        /// Why; the transaction tells it.
        #[arg(long)]
        comment: Option<String>,
    },
}

pub(super) async fn add(server: &Server, add: Add) -> anyhow::Result<Told> {
    if add.path.is_empty() {
        let mut packages = add.packages;
        if let Some(file) = &add.file_in {
            packages.extend(requirements_in(&read_text(file)?));
        }
        if packages.is_empty() {
            bail!("give files with --path, or for a curated source packages with --packages or --file-in");
        }
        let is_open = add.snapshot.is_none();
        let body = given(vec![
            ("packages", packages.into()),
            ("snapshot", add.snapshot.into()),
            ("include_suggests", add.include_suggests.into()),
            ("commit", add.commit.into()),
        ]);
        let done = server.call(Method::POST, &["sources", &add.source, "update"], &body).await?;
        let flags = match done["snapshot"].as_str().filter(|_| is_open) {
            Some(date) => format!("--snapshot={date} --commit"),
            None => "--commit".to_owned(),
        };
        return updated(done, add.csv_out.as_deref(), &flags);
    }
    let mut files = Vec::new();
    for path in &add.path {
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.with_context(|| format!("{} names no file", path.display()))?;
        let shown = path.display().to_string();
        let digest = crate::bundle::digest_of(path, &shown).with_context(|| format!("cannot read {shown}"))?;
        files.push((name.to_owned(), digest.to_string(), path.as_path()));
    }
    let done = server.upload(&add.source, add.replace, &files).await?;
    let names: Vec<String> = done
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            let text = |member: &str| one[member].as_str().unwrap_or_default().to_owned();
            format!("Added {} {} to {}.", text("name"), text("version"), add.source)
        })
        .collect();
    Ok(said(done, names.join("\n")))
}

pub(super) async fn update(server: &Server, what: Update) -> anyhow::Result<Told> {
    let Update { source, file_in, snapshot, packages, remove, include, csv_out, commit } = what;
    let requirements = file_in.as_deref().map(read_text).transpose()?;
    let body = given(vec![
        ("snapshot", snapshot.into()),
        ("requirements", requirements.into()),
        ("packages", packages.into()),
        ("remove", remove.into()),
        ("include", include.into()),
        ("commit", commit.into()),
    ]);
    let done = server.call(Method::POST, &["sources", &source, "update"], &body).await?;
    updated(done, csv_out.as_deref(), "--commit")
}

/// Tells what an update changes, and writes it to `csv`, where wanted. With `flags` more it would be done.
fn updated(json: Value, csv: Option<&Path>, flags: &str) -> anyhow::Result<Told> {
    let mut lines = vec![format!("Snapshot {}", json["snapshot"].as_str().unwrap_or_default())];
    let mut rows = String::from("change,name,version\n");
    for change in ["added", "updated", "removed"] {
        for package in json[change].as_array().into_iter().flatten() {
            let text = |member: &str| package[member].as_str().unwrap_or_default().to_owned();
            lines.push(format!("{change:>8}  {} {}", text("name"), text("version")));
            // Neither names nor versions have commas or quotes.
            rows.push_str(&format!("{change},{},{}\n", text("name"), text("version")));
        }
    }
    for name in json["missing"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        lines.push(format!(" missing  {name}"));
        rows.push_str(&format!("missing,{name},\n"));
    }
    if let Some(path) = csv {
        std::fs::write(path, rows).with_context(|| format!("cannot write {}", path.display()))?;
    }
    lines.push(match json["committed"].as_bool() {
        Some(true) => "Done.".to_owned(),
        _ => format!("Nothing was changed; add {flags} to do it."),
    });
    Ok(said(json, lines.join("\n")))
}

pub(super) async fn remove(server: &Server, what: Remove) -> anyhow::Result<Told> {
    let Remove::Package { name, source, comment } = what;
    let (package, which) = name.rsplit_once('@').unwrap_or((&name, ""));
    // Of Python packages a file can be named alone.
    let (package, which) = match which {
        "" if project_of(&name).is_some() => (project_of(&name).unwrap_or_default(), name.as_str()),
        "" => bail!("say which: --name={name}@all, {name}@current, or a version such as {name}@1.2.3"),
        which => (package, which),
    };
    let mut query = vec![("which", which)];
    query.extend(comment.as_deref().map(|comment| ("comment", comment)));
    let gone = server.delete(&["sources", &source, "packages", package], &query).await?;
    Ok(said(gone, format!("Removed {name} from {source}.")))
}

/// The packages that a file names: several names on a line have commas between them, and so have bounds of versions.
fn requirements_in(text: &str) -> Vec<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let split = |line: &str| -> Vec<String> {
        let is_one = line.contains(['<', '>', '=', '[', '(']);
        let parts: Vec<&str> = if is_one { vec![line] } else { line.split(',').collect() };
        parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
    };
    lines.flat_map(split).collect()
}

/// The project that a Python file of this name belongs to.
fn project_of(file: &str) -> Option<&str> {
    match file.strip_suffix(".tar.gz") {
        Some(stem) => stem.rsplit_once('-').map(|(project, _)| project),
        None => file.strip_suffix(".whl")?.split('-').next(),
    }
}
