//! The indexes of a directory of packages.

use axum::response::Response;
use http::request::Parts;
use pkg_formats::archive::{Compression, gzip};
use pkg_formats::dcf;
use pkg_formats::psp::{RRecord, RVersion};
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
        let mut after = String::new();
        loop {
            let page = packages::page(app.world().db(), part.source, part.at, whole, &after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.name);
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
