//! `/__api__/repos/{repo}/binaries`: what there are binary packages for. That the real server has this collection is known, its
//! shape is not.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use pkg_formats::psp::ArtifactKind;
use serde::Deserialize;
use serde_json::{Value, json};

use super::current::each_current;
use crate::app::App;
use crate::error::{ApiError, Error};
use crate::platform::{Client, Distro};
use crate::renderings::Kind;
use crate::snapshot::Snapshot;
use crate::store::sources::Language;

/// Of which state.
#[derive(Debug, Deserialize)]
pub struct Filter {
    snapshot: Option<String>,
    bioc_version: Option<String>,
}

const JSON: Kind = Kind { content_type: "application/json", vary: "Accept-Encoding", compress: true, keep: false };

/// `GET /__api__/repos/{repo}/binaries`: a row for each system, R and CPU, with the number of packages that were built for it and
/// where they are below the snapshot.
pub async fn list(
    State(app): State<App>,
    Path(repo): Path<String>,
    Query(filter): Query<Filter>,
    request: Request,
) -> Result<Response, ApiError> {
    let repo = app.view().repo(&repo)?;
    let snapshot = app.shown(&repo, filter.snapshot.as_deref(), filter.bioc_version.as_deref()).await?;
    let key = format!("{}|binaries {}", snapshot.key, app.view().documents.state());
    let build = || async {
        let counted = if repo.language() != Language::R { BTreeMap::new() } else { count(&app, &snapshot).await? };
        let rows: Vec<Value> = counted.into_iter().map(|(target, packages)| row(target, packages)).collect();
        Ok(Value::from(rows).to_string().into_bytes())
    };
    let rendering = app.0.renderings.get(&key, JSON, build).await?;
    let request = request.into_parts().0;
    Ok(rendering.respond(&request.method, &request.headers, &snapshot.freshness).await?)
}

/// System, R's minor version, distribution or flavor, and CPU.
type Target = (ArtifactKind, String, String, String);

fn row((kind, r, place, arch): Target, packages: u64) -> Value {
    let client = Client { r: r.clone(), arch: arch.clone() };
    let (os, tag, path) = match kind {
        ArtifactKind::Windows => ("windows", format!("{r}-win"), format!("bin/windows/contrib/{r}")),
        ArtifactKind::Macos => {
            let flavor = if place.is_empty() { String::new() } else { format!("/{place}") };
            ("macos", client.tag("macos"), format!("bin/macosx{flavor}/contrib/{r}"))
        }
        _ => ("linux", client.tag(&place), format!("bin/linux/{}/contrib/{r}", client.tag(&place))),
    };
    json!({
        "os": os, "r_version": r, "distribution": place, "arch": arch, "tag": tag, "packages": packages, "path": path,
    })
}

async fn count(app: &App, snapshot: &Snapshot) -> Result<BTreeMap<Target, u64>, Error> {
    let distros = app.view().documents.distros.clone();
    let mut counted = BTreeMap::new();
    each_current(app, snapshot, |_, version| {
        let targets = version.artifacts.iter().flat_map(|artifact| {
            let r = artifact.r.clone().unwrap_or_default();
            let place = artifact.tag.as_deref().unwrap_or_default();
            let arch = artifact.arch.as_deref().unwrap_or_default();
            places(&distros, artifact.kind, place, arch)
                .into_iter()
                .map(move |(place, arch)| (artifact.kind, r.clone(), place, arch))
        });
        let targets: BTreeSet<Target> = targets.collect();
        for target in targets {
            *counted.entry(target).or_default() += 1;
        }
    })
    .await?;
    Ok(counted)
}

/// Where a file of this kind is served: a file for Linux may be for every distribution and CPU.
fn places(distros: &[Distro], kind: ArtifactKind, place: &str, arch: &str) -> Vec<(String, String)> {
    match kind {
        ArtifactKind::Linux => distros
            .iter()
            .filter(|distro| distro.os == "linux" && distro.binaries && (place == "*" || place == distro.binary_url))
            .flat_map(|distro| distro.arch.iter().map(|cpu| (distro.binary_url.clone(), cpu.clone())))
            .filter(|(_, cpu)| arch == "*" || arch == cpu)
            .collect(),
        ArtifactKind::Windows | ArtifactKind::Macos => vec![(place.to_owned(), arch.to_owned())],
        _ => Vec::new(),
    }
}
