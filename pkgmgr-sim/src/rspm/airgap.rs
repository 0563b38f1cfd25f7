//! Bundles, from one server to another that cannot reach the package service.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;

use super::{Server, Told, said};
use crate::bundle;

/// What is exported, and whereto.
#[derive(Debug, Clone, Args)]
pub struct Export {
    /// CRAN, PyPI or Bioconductor; without it everything that the server follows.
    #[arg(long = "type")]
    kind: Option<String>,
    /// Of Bioconductor only this release.
    #[arg(long)]
    version: Option<String>,
    /// A file that ends in .tar.gz, or a folder that is not there yet.
    #[arg(long)]
    destination: PathBuf,
    /// Leave package files out.
    #[arg(long)]
    no_files: bool,
}

/// Writes a bundle.
pub(super) async fn export(server: &Server, export: Export) -> anyhow::Result<Told> {
    let Export { kind, version, destination, no_files } = export;
    let shown = destination.display().to_string();
    if destination.exists() {
        bail!("{shown} is there already");
    }
    let files = if no_files { "false" } else { "true" };
    let mut query = vec![("files", files)];
    query.extend(kind.as_deref().map(|kind| ("type", kind)));
    query.extend(version.as_deref().map(|version| ("version", version)));
    let request = server.client.get(server.url(&["sync", "export"], &query)?);
    let answer = server.answer(request).await?;
    // Only what came whole gets the name.
    let part = PathBuf::from(format!("{shown}.part"));
    let written = receive(answer, &part).await.and_then(|()| {
        if is_archive(&destination) {
            return std::fs::rename(&part, &destination).with_context(|| format!("cannot write {shown}"));
        }
        bundle::unpack(&part, &destination).with_context(|| format!("cannot write {shown}"))
    });
    if part.exists() {
        std::fs::remove_file(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    written?;
    let json = serde_json::json!({ "destination": shown });
    Ok(said(json, format!("Exported to {shown}. Check it with: rspm verify --path={shown}")))
}

async fn receive(answer: reqwest::Response, path: &Path) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", path.display());
    let mut file = tokio::fs::File::create(path).await.with_context(failed)?;
    let mut pieces = answer.bytes_stream();
    while let Some(piece) = pieces.next().await {
        let piece = piece.context("the export broke off; the server's log says why")?;
        file.write_all(&piece).await.with_context(failed)?;
    }
    file.flush().await.with_context(failed)
}

fn is_archive(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(".tar.gz") || path.ends_with(".tgz"))
}

/// Checks a bundle, without any server.
pub(super) fn verify(path: &Path) -> anyhow::Result<Told> {
    let room = tempfile::tempdir().context("no temporary folder can be made")?;
    let folder = match path.is_dir() {
        true => path.to_owned(),
        false => {
            let folder = room.path().join("bundle");
            bundle::unpack(path, &folder)?;
            folder
        }
    };
    let report = bundle::verify(&folder)?;
    let mut lines = vec![format!("Service {}, signed by {}", report.service_id, list(&report.keys))];
    for feed in &report.feeds {
        let files = if report.files { format!("{} files", feed.files) } else { "without files".to_owned() };
        lines.push(format!(
            "{}: up to {} (checkpoint {}), {} packages, {files}",
            feed.feed, feed.snapshot_date, feed.checkpoint, feed.packages
        ));
    }
    lines.push("The bundle is good.".to_owned());
    Ok(said(serde_json::to_value(&report)?, lines.join("\n")))
}

fn list(keys: &[pkg_formats::psp::Digest]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Sends a bundle to a server.
pub(super) async fn import(server: &Server, path: &Path) -> anyhow::Result<Told> {
    let shown = path.display().to_string();
    let room = tempfile::tempdir().context("no temporary folder can be made")?;
    let archive = match path.is_dir() {
        true => {
            let archive = room.path().join("bundle.tar.gz");
            pack(path, &archive).with_context(|| format!("cannot pack {shown}"))?;
            archive
        }
        false => path.to_owned(),
    };
    let file = tokio::fs::File::open(&archive).await.with_context(|| format!("cannot read {shown}"))?;
    let body = reqwest::Body::wrap_stream(tokio_util::io::ReaderStream::with_capacity(file, 64 * 1024));
    let done = server.send(server.client.post(server.url(&["sync", "import"], &[])?).body(body)).await?;
    let sources: Vec<String> = done["imported"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|source| format!("Imported {} up to checkpoint {}.", text(&source["source"]), source["checkpoint"]))
        .collect();
    Ok(said(done, sources.join("\n")))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn pack(folder: &Path, archive: &Path) -> std::io::Result<()> {
    let gzip = flate2::write::GzEncoder::new(std::fs::File::create(archive)?, flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    tar.follow_symlinks(false);
    tar.append_dir_all("bundle", folder)?;
    tar.into_inner()?.finish()?.sync_all()
}
