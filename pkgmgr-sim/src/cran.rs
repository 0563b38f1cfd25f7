//! CRAN-like repositories: indexes and packages for R.
//!
//! | path | what |
//! |---|---|
//! | `/{repo}/{snapshot}/src/contrib/…` | source packages, whatever the client |
//! | `/{repo}/__linux__/{distro}/{snapshot}/src/contrib/…` | Linux binaries under the names of source packages, for clients that say their R version and CPU by `User-Agent` or query; source for the others |
//! | `/{repo}/{snapshot}/bin/linux/{distro}-{arch}/{rver}/src/contrib/…` | the same with everything in the path |
//! | `/{repo}/{snapshot}/bin/linux/{rver}-{distro}/contrib/{rver}/…` | only what has a binary; pak reads this index |
//!
//! Each directory has `PACKAGES`, `PACKAGES.gz`, `PACKAGES.rds`, the current packages, and older ones under `Archive/{package}/`.
//! A missing binary is never an error: the source package comes in its place, and `X-Package-Type` says which it is.
//!
//! Not known of the real server, and chosen here: a version that is not current is not found outside `Archive/` (as on CRAN),
//! but under `latest` for one more day, since a client's index may be older than its download; `Archive/` has the current
//! version too.

use axum::extract::{Path, Query, Request, State};
use axum::response::Response;
use chrono::TimeDelta;
use http::header::{USER_AGENT, VARY};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use pkg_formats::archive::{Compression, gzip};
use pkg_formats::psp::{Artifact, RRecord, RVersion};
use pkg_formats::r::index::packages_rds;
use pkg_formats::{dcf, psp};
use serde::Deserialize;

use crate::app::App;
use crate::blocklist::{Rules, Suspect, When};
use crate::error::Error;
use crate::files::File;
use crate::platform::{Client, is_distro};
use crate::record::{self, instant};
use crate::renderings::{Kind, blocking};
use crate::snapshot::{FIXED, Freshness, Snapshot};
use crate::store::packages::{self, Shows};

const PACKAGE_TYPE: HeaderName = HeaderName::from_static("x-package-type");
const BINARY_TAG: HeaderName = HeaderName::from_static("x-package-binary-tag");

/// A package may be a source package today and a binary tomorrow.
const PACKAGE_UNDER_LATEST: &str = "public, max-age=3600";

/// What a directory of packages is for.
#[derive(Debug, Clone)]
enum Flavor {
    /// Source only.
    Source,
    /// Binaries for a distribution, for clients that say what they run.
    Linux { distro: String, client: Option<Client>, by_header: bool },
    /// Only binaries.
    LinuxOnly { distro: String, client: Client },
}

/// What `rv` says in the query, since it has no R to say it in a header.
#[derive(Debug, Deserialize)]
pub struct Platform {
    r_version: Option<String>,
    arch: Option<String>,
}

/// `/{repo}/{snapshot}/src/contrib/{file}`
pub async fn source(
    State(app): State<App>,
    Path((repo, snapshot, file)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let snapshot = app.snapshot(&repo, &snapshot).await?;
    contrib(&app, &snapshot, Flavor::Source, &file, &request.into_parts().0).await
}

/// `/{repo}/__linux__/{distro}/{snapshot}/src/contrib/{file}`
pub async fn linux(
    State(app): State<App>,
    Path((repo, distro, snapshot, file)): Path<(String, String, String, String)>,
    Query(platform): Query<Platform>,
    request: Request,
) -> Result<Response, Error> {
    known(&distro)?;
    let client = match &platform {
        Platform { r_version: Some(r), arch } => Client::new(r, arch.as_deref().unwrap_or("x86_64")),
        _ => request.headers().get(USER_AGENT).and_then(|v| v.to_str().ok()).and_then(Client::from_user_agent),
    };
    let by_header = platform.r_version.is_none();
    let snapshot = app.snapshot(&repo, &snapshot).await?;
    contrib(&app, &snapshot, Flavor::Linux { distro, client, by_header }, &file, &request.into_parts().0).await
}

/// `/{repo}/{snapshot}/bin/linux/{distro}-{arch}/{rver}/src/contrib/{file}`
pub async fn linux_explicit(
    State(app): State<App>,
    Path((repo, snapshot, platform, rver, file)): Path<(String, String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let unknown = || {
        Error::NotFound(format!("there is no platform {platform:?} with R {rver:?}; an example is noble-x86_64/4.4"))
    };
    let (distro, arch) = platform.rsplit_once('-').ok_or_else(unknown)?;
    known(distro)?;
    let client = Client::new(&rver, arch).ok_or_else(unknown)?;
    let flavor = Flavor::Linux { distro: distro.to_owned(), client: Some(client), by_header: false };
    let snapshot = app.snapshot(&repo, &snapshot).await?;
    contrib(&app, &snapshot, flavor, &file, &request.into_parts().0).await
}

/// `/{repo}/{snapshot}/bin/linux/{rver}-{distro}/contrib/{rver}/{file}`
pub async fn linux_only(
    State(app): State<App>,
    Path((repo, snapshot, platform, rver, file)): Path<(String, String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let unknown = || {
        Error::NotFound(format!(
            "there is no platform {platform:?} with R {rver:?}; an example is 4.4-noble/contrib/4.4"
        ))
    };
    let (own, rest) = platform.split_once('-').ok_or_else(unknown)?;
    let (distro, arch) = match rest.strip_suffix("-arm64") {
        Some(distro) => (distro, "arm64"),
        None => (rest, "x86_64"),
    };
    known(distro)?;
    let client = Client::new(&rver, arch).filter(|client| client.r == own).ok_or_else(unknown)?;
    let flavor = Flavor::LinuxOnly { distro: distro.to_owned(), client };
    let snapshot = app.snapshot(&repo, &snapshot).await?;
    contrib(&app, &snapshot, flavor, &file, &request.into_parts().0).await
}

fn known(distro: &str) -> Result<(), Error> {
    if is_distro(distro) {
        return Ok(());
    }
    Err(Error::NotFound(format!("there is no distribution {distro:?}; GET /__api__/status lists them as binaryURL")))
}

async fn contrib(
    app: &App,
    snapshot: &Snapshot,
    flavor: Flavor,
    file: &str,
    request: &Parts,
) -> Result<Response, Error> {
    snapshot.of_kind("R")?;
    match file.trim_start_matches('/') {
        name @ ("PACKAGES" | "PACKAGES.gz" | "PACKAGES.rds") => index(app, snapshot, &flavor, name, request).await,
        file => package(app, snapshot, flavor, file, request).await,
    }
}

const fn index_kind(content_type: &'static str) -> Kind {
    Kind { content_type, vary: "", compress: false, keep: true }
}

const PLAIN: Kind = index_kind("text/plain; charset=utf-8");
const GZ: Kind = index_kind("application/x-gzip");
const RDS: Kind = index_kind("application/octet-stream");

async fn index(
    app: &App,
    snapshot: &Snapshot,
    flavor: &Flavor,
    name: &str,
    request: &Parts,
) -> Result<Response, Error> {
    let only = match flavor {
        Flavor::LinuxOnly { distro, client } => Some((distro.as_str(), client)),
        _ => None,
    };
    let variant = only.map_or_else(|| "source".to_owned(), |(distro, client)| client.tag(distro));
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

async fn plain_index(app: &App, snapshot: &Snapshot, only: Option<(&str, &Client)>) -> Result<Vec<u8>, Error> {
    let mut entries: Vec<(String, String)> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    let whole = only.is_some() || snapshot.rules.is_some();
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
                        let record: RRecord = serde_json::from_str(&json)?;
                        let offered = |v: &&RVersion| {
                            only.is_none_or(|(distro, client)| {
                                record::linux_binary(v, distro, &client.r, &client.arch).is_some()
                            }) && !snapshot.rules.as_ref().is_some_and(|rules| blocks(rules, part.source, &record, v))
                        };
                        match record::current(&record, t).filter(offered) {
                            Some(_) => record::r_entry(&record, t),
                            None => String::new(),
                        }
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

/// Whether a version is blocked.
pub(crate) fn blocks(rules: &Rules, source: i64, record: &RRecord, version: &RVersion) -> bool {
    let description = dcf::parse_one(&version.description).unwrap_or_default();
    let license = description.get("License");
    let suspect = Suspect { python: false, source, name: &record.name, version: &version.version, license };
    rules.blocking(suspect).is_some()
}

/// What a file name in a directory of packages asks for.
struct Asked<'a> {
    package: &'a str,
    version: &'a str,
    from_archive: bool,
}

/// `{package}_{version}.tar.gz` or `Archive/{package}/{package}_{version}.tar.gz`; the documentation also writes `archive/`.
fn asked(file: &str) -> Option<Asked<'_>> {
    let (name, folder) = match file.split_once('/') {
        None => (file, None),
        Some((archive, rest)) if archive.eq_ignore_ascii_case("archive") => {
            let (folder, name) = rest.trim_start_matches('/').split_once('/')?;
            (name, Some(folder))
        }
        Some(_) => return None,
    };
    let (package, version) = name.strip_suffix(".tar.gz")?.split_once('_')?;
    let fits = folder.is_none_or(|folder| folder == package) && !package.is_empty() && !version.is_empty();
    fits.then_some(Asked { package, version, from_archive: folder.is_some() })
}

async fn package(
    app: &App,
    snapshot: &Snapshot,
    flavor: Flavor,
    file: &str,
    request: &Parts,
) -> Result<Response, Error> {
    let missing = || Error::NotFound(format!("there is no file {file:?} in this snapshot of {}", snapshot.repo.name));
    let asked = asked(file).ok_or_else(missing)?;
    let (record, t, source) = app.r_record(snapshot, asked.package).await?.ok_or_else(missing)?;
    let version = if asked.from_archive {
        // Those of removed packages are gone with them.
        let current = record::current(&record, t).into_iter();
        current.chain(record::archived(&record, t)).find(|v| v.version == asked.version)
    } else {
        let offered = record::current(&record, t).filter(|v| v.version == asked.version);
        // Someone may still hold the index of yesterday.
        let grace = || record::current(&record, t - TimeDelta::days(1)).filter(|v| v.version == asked.version);
        if snapshot.fixed { offered } else { offered.or_else(grace) }
    };
    let version = version.ok_or_else(missing)?;
    if let Some(rules) = app.view().rules_for(snapshot.repo.id, When::Now)
        && blocks(&rules, source, &record, version)
    {
        return Err(Error::Forbidden(format!("{} {} is blocked by an administrator", record.name, version.version)));
    }
    let wanted = |distro: &str, client: &Client| {
        record::linux_binary(version, distro, &client.r, &client.arch).map(|a| (a, Some(client.tag(distro))))
    };
    let source = || record::source(version).map(|artifact| (artifact, None));
    let (artifact, tag): (&Artifact, Option<String>) = match &flavor {
        Flavor::Source => source(),
        Flavor::Linux { distro, client, .. } => {
            client.as_ref().and_then(|client| wanted(distro, client)).or_else(source)
        }
        Flavor::LinuxOnly { distro, client } => wanted(distro, client),
    }
    .ok_or_else(missing)?;

    let (digest, size): (psp::Digest, u64) = match app.0.config.redirect_mode {
        true => (artifact.sha256, artifact.size),
        false => app.stamped(artifact.sha256, artifact.size).await?,
    };
    let served = File {
        digest,
        size: Some(size),
        content_type: "application/x-gzip",
        freshness: Freshness::new(if snapshot.fixed { FIXED } else { PACKAGE_UNDER_LATEST }, version.published_at),
    };
    let mut response = app.0.files.serve(&request.method, &request.headers, served).await?;
    let headers = response.headers_mut();
    match tag.as_deref().map(HeaderValue::try_from) {
        Some(tag) => {
            headers.insert(PACKAGE_TYPE, HeaderValue::from_static("binary"));
            headers.insert(BINARY_TAG, tag.map_err(|e| Error::Internal(e.to_string()))?);
        }
        None => {
            headers.insert(PACKAGE_TYPE, HeaderValue::from_static("source"));
        }
    }
    if matches!(flavor, Flavor::Linux { by_header: true, .. }) {
        headers.insert(VARY, HeaderValue::from_static("User-Agent"));
    }
    Ok(response)
}

impl App {
    /// The record of an R package in the first source of a snapshot that has a current version of it, else in the first that has an
    /// archived one, with the time to look at it and the source's number.
    pub(crate) async fn r_record(
        &self,
        snapshot: &Snapshot,
        name: &str,
    ) -> Result<Option<(RRecord, chrono::DateTime<chrono::Utc>, i64)>, Error> {
        let mut archived = None;
        for part in &snapshot.parts {
            if let Some((_, json)) = packages::get(self.world().db(), part.source, part.at, name).await? {
                let (record, t): (RRecord, _) = (serde_json::from_str(&json)?, instant(part.at.as_of));
                if record::current(&record, t).is_some() {
                    return Ok(Some((record, t, part.source)));
                }
                if archived.is_none() && record::archived(&record, t).next().is_some() {
                    archived = Some((record, t, part.source));
                }
            }
        }
        Ok(archived)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        let read = |file| asked(file).map(|a| (a.package, a.version, a.from_archive));
        assert_eq!(read("a.b_1.0-2.tar.gz"), Some(("a.b", "1.0-2", false)));
        assert_eq!(read("Archive/a/a_1.tar.gz"), Some(("a", "1", true)));
        assert_eq!(read("archive/a/a_1.tar.gz"), Some(("a", "1", true)));
        for bad in
            ["", "a.tar.gz", "_1.tar.gz", "a_.tar.gz", "Archive/b/a_1.tar.gz", "Archive/a_1.tar.gz", "x/a_1.tar.gz"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
