//! The indexes of a directory of packages.

use std::collections::BTreeMap;

use axum::response::Response;
use http::request::Parts;
use pkg_formats::archive::{Compression, gzip};
use pkg_formats::dcf;
use pkg_formats::psp::{RRecord, RVersion};
use pkg_formats::r::file_lists::{ListedFile, archive_rds, current_rds};
use pkg_formats::r::index::packages_rds;

use super::{Flavor, Target, blocks};
use crate::app::App;
use crate::error::Error;
use crate::record::{self, instant};
use crate::renderings::{Kind, blocking};
use crate::snapshot::Snapshot;
use crate::store::packages::{self, Shows};

const fn index_kind(content_type: &'static str) -> Kind {
    Kind { content_type, vary: "", compress: false, keep: true }
}

const PLAIN: Kind = index_kind("text/plain; charset=utf-8");
const GZ: Kind = index_kind("application/x-gzip");
const RDS: Kind = index_kind("application/octet-stream");

/// `PACKAGES`, `PACKAGES.gz` or `PACKAGES.rds`.
pub(super) async fn index(
    app: &App,
    snapshot: &Snapshot,
    flavor: &Flavor,
    name: &str,
    request: &Parts,
) -> Result<Response, Error> {
    let only = match flavor {
        Flavor::Only(target) => Some(target),
        _ => None,
    };
    let variant = only.map_or_else(|| "source".to_owned(), Target::tag);
    let key = format!("{}|{variant}|{name}", snapshot.key);
    let kind = match name {
        "PACKAGES" => PLAIN,
        "PACKAGES.gz" => GZ,
        _ => RDS,
    };
    let renderings = &app.0.renderings;
    let rendering = match renderings.at_hand(&key) {
        Some(rendering) => rendering,
        None if kind == PLAIN => renderings.get(&key, kind, || plain_index(app, snapshot, only)).await?,
        None => {
            let plain_key = format!("{}|{variant}|PACKAGES", snapshot.key);
            let plain = renderings.get(&plain_key, PLAIN, || plain_index(app, snapshot, only)).await?;
            let body = plain.body().clone();
            let derive = move || match kind {
                GZ => Ok(gzip(&body, Compression::Deflate)),
                _ => {
                    let text = std::str::from_utf8(&body).map_err(|e| Error::Internal(e.to_string()))?;
                    let records = dcf::parse(text).map_err(|e| Error::Internal(e.to_string()))?;
                    Ok(packages_rds(&records))
                }
            };
            renderings.get(&key, kind, || async { blocking(derive).await? }).await?
        }
    };
    rendering.respond(&request.method, &request.headers, &snapshot.freshness).await
}

/// Packages read at once while an index is built.
const PAGE: i64 = 500;

async fn plain_index(app: &App, snapshot: &Snapshot, only: Option<&Target>) -> Result<Vec<u8>, Error> {
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let whole = only.is_some() || snapshot.rules.is_some() || snapshot.component.is_some();
    for (nth, part) in snapshot.parts.iter().enumerate() {
        let t = instant(part.at.as_of);
        let mut pages = packages::pages(app.world().db(), part.source, part.at, whole, PAGE);
        while let Some(page) = pages.next().await? {
            for listed in page {
                let entry = match listed.shows {
                    Shows::Entry(entry) => entry,
                    Shows::Record(json) => {
                        if !snapshot.holds(&json)? {
                            continue;
                        }
                        let record: RRecord = serde_json::from_str(&json)?;
                        let offered = |v: &&RVersion| {
                            only.is_none_or(|target| target.binary(v).is_some())
                                && !snapshot.rules.as_ref().is_some_and(|rules| blocks(rules, part.source, &record, v))
                        };
                        record::current(&record, t)
                            .filter(offered)
                            .map_or_else(String::new, |version| entry(&record, version, only))
                    }
                };
                if !entry.is_empty() && (nth == 0 || !seen.contains(&listed.name)) {
                    entries.push((listed.name, entry));
                }
            }
        }
        if nth + 1 < snapshot.parts.len() {
            seen.extend(entries.iter().map(|(name, _)| name.clone()));
        }
    }
    entries.sort_unstable();
    let mut out = String::with_capacity(entries.iter().map(|(_, entry)| entry.len() + 1).sum());
    for (nth, (_, entry)) in entries.iter().enumerate() {
        if nth > 0 {
            out.push('\n');
        }
        out.push_str(entry);
    }
    Ok(out.into_bytes())
}

/// The lines of `PACKAGES` for one version.
fn entry(record: &RRecord, version: &RVersion, only: Option<&Target>) -> String {
    let mut entry = record::entry_of(record, version);
    if let Some(binary) = only.filter(|target| target.is_desktop()).and_then(|target| target.binary(version)) {
        entry.push_str("Hash: ");
        entry.push_str(&binary.md5);
        entry.push('\n');
    }
    entry
}

/// `Meta/archive.rds` or `Meta/current.rds`, of source packages. Sizes are those of the files as they came, without the stamp.
pub(super) async fn file_list(
    app: &App,
    snapshot: &Snapshot,
    archived: bool,
    request: &Parts,
) -> Result<Response, Error> {
    let key = format!("{}|source|{}", snapshot.key, if archived { "archive.rds" } else { "current.rds" });
    let build = || async {
        let listed = source_files(app, snapshot, archived).await?;
        blocking(move || match archived {
            true => archive_rds(&listed),
            false => current_rds(&listed.into_iter().flat_map(|(_, files)| files).collect::<Vec<_>>()),
        })
        .await
    };
    let rendering = app.0.renderings.get(&key, RDS, build).await?;
    rendering.respond(&request.method, &request.headers, &snapshot.freshness).await
}

/// The source files of each package of which there are any, oldest first.
async fn source_files(app: &App, snapshot: &Snapshot, archived: bool) -> Result<Vec<(String, Vec<ListedFile>)>, Error> {
    let mut all: BTreeMap<String, Vec<ListedFile>> = BTreeMap::new();
    for part in &snapshot.parts {
        let t = instant(part.at.as_of);
        let mut pages = packages::pages(app.world().db(), part.source, part.at, true, PAGE);
        while let Some(page) = pages.next().await? {
            for listed in page {
                let Shows::Record(json) = listed.shows else { continue };
                if all.contains_key(&listed.name) || !snapshot.holds(&json)? {
                    continue;
                }
                let record: RRecord = serde_json::from_str(&json)?;
                let mut versions: Vec<&RVersion> = match archived {
                    true => record::archived(&record, t).collect(),
                    false => record::current(&record, t).into_iter().collect(),
                };
                versions.reverse();
                versions.retain(|version| {
                    !snapshot.rules.as_ref().is_some_and(|rules| blocks(rules, part.source, &record, version))
                });
                let files = versions.into_iter().filter_map(|version| {
                    let source = record::source(version)?;
                    let name = format!("{}_{}.tar.gz", record.name, version.version);
                    Some(ListedFile {
                        path: if archived { format!("{}/{name}", record.name) } else { name },
                        size: source.size,
                        time: version.published_at.timestamp(),
                    })
                });
                let files: Vec<ListedFile> = files.collect();
                if !files.is_empty() {
                    all.insert(listed.name, files);
                }
            }
        }
    }
    Ok(all.into_iter().collect())
}
