//! Bioconductor: repositories in the layout that BiocManager expects.
//!
//! | path | what |
//! |---|---|
//! | `/{repo}[/{snapshot}]/config.yaml` | which releases there are, in the shape of Bioconductor's own file |
//! | `/{repo}[/{snapshot}]/packages/{release}/{component}/…` | a CRAN-like repository for each of the five components of a release |
//!
//! Before `{snapshot}` there may be `__linux__/{distro}`, and so may be between the component and `src/contrib`, then with a
//! snapshot of its own: both forms are seen in settings of users. Without a snapshot the newest state is meant.
//!
//! The file names only releases that are here, and the one after the newest as the one in development, which clients need to
//! find there. What the real server's file names beyond that is not known.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use http::request::Parts;
use pkg_formats::psp::BIOC_COMPONENTS;
use serde_json::{Value, json};

use crate::app::{App, View};
use crate::cran::{self, Flavor, Platform};
use crate::error::Error;
use crate::record::instant;
use crate::renderings::Kind;
use crate::snapshot::Snapshot;
use crate::store::repos::Repo;

/// Days on which releases came, by the second number: facts, for those whose successor may not be here.
const CAME: [(u32, (i32, u32, u32)); 9] = [
    (15, (2022, 4, 27)),
    (16, (2022, 11, 2)),
    (17, (2023, 4, 26)),
    (18, (2023, 10, 25)),
    (19, (2024, 5, 1)),
    (20, (2024, 10, 30)),
    (21, (2025, 4, 16)),
    (22, (2025, 10, 30)),
    (23, (2026, 4, 29)),
];

/// The second number of a release such as `3.22`; 0 for anything else.
pub(crate) fn minor(release: &str) -> u32 {
    release.strip_prefix("3.").and_then(|minor| minor.parse().ok()).unwrap_or(0)
}

/// The minor version of R that release `3.{minor}` is for. Two releases a year share an R.
fn r_of(minor: u32) -> String {
    match minor.div_ceil(2) {
        year @ 6.. => format!("4.{}", year - 6),
        year => format!("3.{}", year + 1),
    }
}

/// A release that is here.
struct Release {
    minor: u32,
    /// Its day.
    came: Option<DateTime<Utc>>,
}

/// Releases among sources, newest first.
fn releases(view: &View, sources: impl Iterator<Item = i64>) -> Vec<Release> {
    let mut found: Vec<Release> = sources
        .filter_map(|id| {
            let minor = minor(view.source(id)?.release()?);
            Some(Release { minor, came: view.history_from.get(&id).copied().map(instant) })
        })
        .collect();
    found.sort_by_key(|release| std::cmp::Reverse(release.minor));
    found
}

/// The snapshot of CRAN that goes with each of `releases`: that of the day on which the next release came.
fn cran_snapshots(releases: &[Release]) -> Vec<(u32, String)> {
    let newest = releases.first().map_or(0, |release| release.minor);
    let next = |minor: u32| {
        let came = CAME
            .iter()
            .find(|(release, _)| *release == minor + 1)
            .map(|(_, (y, m, d))| NaiveDate::from_ymd_opt(*y, *m, *d).map(|date| date.to_string()).unwrap_or_default());
        came.unwrap_or_default()
    };
    let snapshot = |minor| if minor == newest { "latest".to_owned() } else { next(minor) };
    releases.iter().map(|release| (release.minor, snapshot(release.minor))).collect()
}

/// `bioc_versions` of the status document.
pub(crate) fn versions(view: &View) -> Vec<Value> {
    let synced = view.sources_in_order().filter(|source| view.newest.contains_key(&source.id)).map(|source| source.id);
    let releases = releases(view, synced);
    cran_snapshots(&releases)
        .into_iter()
        .map(|(minor, cran_snapshot)| {
            json!({ "bioc_version": format!("3.{minor}"), "r_version": r_of(minor), "cran_snapshot": cran_snapshot })
        })
        .collect()
}

impl App {
    /// A snapshot to look packages up in: of a Bioconductor repo one release, the newest unless `release` says which.
    pub(crate) async fn shown(
        &self,
        repo: &Repo,
        segment: Option<&str>,
        release: Option<&str>,
    ) -> Result<Arc<Snapshot>, Error> {
        let segment = segment.unwrap_or("latest");
        if repo.kind != "Bioconductor" {
            return self.snapshot(&repo.name, segment).await;
        }
        if let Some(release) = release {
            return self.release_snapshot(&repo.name, segment, release, None).await;
        }
        let whole = self.snapshot(&repo.name, segment).await?;
        match releases(&self.view(), whole.parts.iter().map(|part| part.source)).first() {
            Some(newest) => self.release_snapshot(&repo.name, segment, &format!("3.{}", newest.minor), None).await,
            None => Ok(whole),
        }
    }
}

/// `/{repo}/config.yaml`
pub async fn config(State(app): State<App>, Path(repo): Path<String>, request: Request) -> Result<Response, Error> {
    answer_config(&app, &repo, "latest", &request.into_parts().0).await
}

/// `/{repo}/{snapshot}/config.yaml`
pub async fn config_at(
    State(app): State<App>,
    Path((repo, snapshot)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Error> {
    answer_config(&app, &repo, &snapshot, &request.into_parts().0).await
}

/// `/{repo}/__linux__/{distro}/{snapshot}/config.yaml`
pub async fn config_for_linux(
    State(app): State<App>,
    Path((repo, distro, snapshot)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    crate::cran::known(&app, &distro)?;
    answer_config(&app, &repo, &snapshot, &request.into_parts().0).await
}

const YAML: Kind = Kind { content_type: "text/yaml; charset=utf-8", vary: "", compress: false, keep: false };

async fn answer_config(app: &App, repo: &str, segment: &str, request: &Parts) -> Result<Response, Error> {
    let snapshot = app.snapshot(repo, segment).await?;
    snapshot.of_kind("Bioconductor")?;
    let releases = releases(&app.view(), snapshot.parts.iter().map(|part| part.source));
    if releases.is_empty() {
        return Err(Error::NotFound(format!("repository {repo} has no release of Bioconductor at {segment}")));
    }
    let key = format!("{}|config.yaml", snapshot.key);
    let rendering = app.0.renderings.get(&key, YAML, || async { Ok(config_text(&releases).into_bytes()) }).await?;
    rendering.respond(&request.method, &request.headers, &snapshot.freshness).await
}

/// Clients read it line by line: keys in column 0, entries indented by two, versions in quotes, and no empty lines, which
/// BiocManager takes for entries.
fn config_text(releases: &[Release]) -> String {
    let newest = releases.first().map_or(0, |release| release.minor);
    let devel = newest + 1;
    let mut out = format!(
        "# Releases of Bioconductor in this repository (simulated).\nrelease_version: \"3.{newest}\"\n\
         devel_version: \"3.{devel}\"\nversions:\n"
    );
    let mut oldest_first: Vec<&Release> = releases.iter().collect();
    oldest_first.reverse();
    let minors: Vec<u32> = oldest_first.iter().map(|release| release.minor).collect();
    let mut line = |text: String| writeln!(out, "{text}").expect("writing to a string cannot fail");
    for minor in minors.iter().copied().chain([devel]) {
        line(format!("  - \"3.{minor}\""));
    }
    line("r_ver_for_bioc_ver:".to_owned());
    for minor in minors.iter().copied().chain([devel]) {
        line(format!("  \"3.{minor}\": \"{}\"", r_of(minor)));
    }
    line("release_dates:".to_owned());
    for release in &oldest_first {
        if let Some(came) = release.came {
            line(format!("  \"3.{}\": \"{}\"", release.minor, came.format("%m/%d/%Y")));
        }
    }
    line("rspm_ver_for_bioc_ver:".to_owned());
    for (minor, date) in cran_snapshots(releases).into_iter().rev().filter(|(_, date)| date != "latest") {
        line(format!("  \"3.{minor}\": \"{date}\""));
    }
    line("simulated: true".to_owned());
    out
}

/// `/{repo}/packages/{release}/{component}/{path}`
pub async fn tree(
    State(app): State<App>,
    Path((repo, release, component, path)): Path<(String, String, String, String)>,
    Query(platform): Query<Platform>,
    request: Request,
) -> Result<Response, Error> {
    let place = Place { repo: &repo, linux: None, snapshot: "latest", release: &release };
    answer(&app, place, &format!("{component}/{path}"), &platform, &request.into_parts().0).await
}

/// `/{repo}/{snapshot}/packages/{release}/{component}/{path}`
pub async fn tree_at(
    State(app): State<App>,
    Path((repo, snapshot, release, component, path)): Path<(String, String, String, String, String)>,
    Query(platform): Query<Platform>,
    request: Request,
) -> Result<Response, Error> {
    let place = Place { repo: &repo, linux: None, snapshot: &snapshot, release: &release };
    answer(&app, place, &format!("{component}/{path}"), &platform, &request.into_parts().0).await
}

/// `/{repo}/__linux__/{distro}/{snapshot}/packages/{release}/{component}/{path}`
pub async fn tree_for_linux(
    State(app): State<App>,
    Path((repo, distro, snapshot, release, component, path)): Path<(String, String, String, String, String, String)>,
    Query(platform): Query<Platform>,
    request: Request,
) -> Result<Response, Error> {
    let place = Place { repo: &repo, linux: Some(&distro), snapshot: &snapshot, release: &release };
    answer(&app, place, &format!("{component}/{path}"), &platform, &request.into_parts().0).await
}

/// Where a component is looked for.
struct Place<'a> {
    repo: &'a str,
    /// A distribution for which binaries are asked for.
    linux: Option<&'a str>,
    snapshot: &'a str,
    release: &'a str,
}

async fn answer(
    app: &App,
    place: Place<'_>,
    path: &str,
    platform: &Platform,
    request: &Parts,
) -> Result<Response, Error> {
    let Place { repo, mut linux, snapshot: mut segment, release } = place;
    let found = BIOC_COMPONENTS.iter().find_map(|component| {
        let rest = path.strip_prefix(component)?.strip_prefix('/')?;
        Some((*component, rest.trim_start_matches('/')))
    });
    let (component, mut path) = found.ok_or_else(|| {
        let components = BIOC_COMPONENTS.join(", ");
        Error::NotFound(format!("Bioconductor has nothing at {path:?}; a release has {components}"))
    })?;
    if let Some(rest) = path.strip_prefix("__linux__/") {
        let mut pieces = rest.splitn(3, '/');
        let (Some(distro), Some(own), Some(rest)) = (pieces.next(), pieces.next(), pieces.next()) else {
            return Err(Error::NotFound("after __linux__ come a distribution and a snapshot".to_owned()));
        };
        (linux, segment, path) = (Some(distro), own, rest);
    }
    let snapshot = app.release_snapshot(repo, segment, release, Some(component)).await?;
    let (flavor, file) = match (linux, path.strip_prefix("src/contrib/")) {
        (Some(distro), Some(file)) => (Flavor::negotiated(app, distro, platform, request)?, file.to_owned()),
        _ => Flavor::of_path(app, path)?,
    };
    cran::contrib(app, &snapshot, flavor, &file, request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_releases_share_an_r() {
        let pairs =
            [(1, "3.2"), (9, "3.6"), (10, "3.6"), (11, "4.0"), (14, "4.1"), (16, "4.2"), (22, "4.5"), (23, "4.6")];
        for (minor, r) in pairs {
            assert_eq!(r_of(minor), r, "3.{minor}");
        }
    }

    #[test]
    fn the_file_has_the_shape_that_clients_read() {
        let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).unwrap().and_time(chrono::NaiveTime::MIN).and_utc();
        let here = [(22, day(2025, 10, 30)), (16, day(2022, 11, 2))];
        let text = config_text(&here.map(|(minor, came)| Release { minor, came: Some(came) }));
        let block = |key: &str| -> Vec<&str> {
            let lines = text.lines().skip_while(|line| *line != format!("{key}:")).skip(1);
            lines.take_while(|line| line.starts_with(' ')).map(str::trim).collect()
        };
        assert!(text.contains("\nrelease_version: \"3.22\"\ndevel_version: \"3.23\"\n"), "{text}");
        assert_eq!(block("r_ver_for_bioc_ver"), ["\"3.16\": \"4.2\"", "\"3.22\": \"4.5\"", "\"3.23\": \"4.6\""]);
        assert_eq!(block("release_dates"), ["\"3.16\": \"11/02/2022\"", "\"3.22\": \"10/30/2025\""]);
        assert!(text.lines().all(|line| !line.is_empty()), "{text}");
        assert_eq!(block("rspm_ver_for_bioc_ver"), ["\"3.16\": \"2023-04-26\""]);
    }
}
