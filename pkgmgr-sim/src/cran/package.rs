//! Package files.

use axum::response::Response;
use chrono::{DateTime, TimeDelta, Utc};
use http::header::VARY;
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use pkg_formats::psp::{Artifact, RRecord, RVersion};
use pkg_formats::{dcf, psp};

use super::{Flavor, Target};
use crate::app::App;
use crate::blocklist::{Rules, Suspect, When};
use crate::downloads::Download;
use crate::error::Error;
use crate::files::File;
use crate::record::{self, instant};
use crate::snapshot::{FIXED, Freshness, Snapshot};
use crate::stamp::Stamp;
use crate::store::packages;
use crate::store::sources::Source;

const PACKAGE_TYPE: HeaderName = HeaderName::from_static("x-package-type");
const BINARY_TAG: HeaderName = HeaderName::from_static("x-package-binary-tag");

/// A package may be a source package today and a binary tomorrow.
const PACKAGE_UNDER_LATEST: &str = "public, max-age=3600";

/// What a file name in a directory of packages asks for.
struct Asked<'a> {
    package: &'a str,
    version: &'a str,
    from_archive: bool,
}

/// `{package}_{version}.tar.gz` or `Archive/{package}/{package}_{version}.tar.gz`; the documentation also writes `archive/`.
/// Not everywhere the extension is `.tar.gz`.
fn asked<'a>(file: &'a str, extension: &str) -> Option<Asked<'a>> {
    let (name, folder) = match file.split_once('/') {
        None => (file, None),
        Some((archive, rest)) if archive.eq_ignore_ascii_case("archive") => {
            let (folder, name) = rest.trim_start_matches('/').split_once('/')?;
            (name, Some(folder))
        }
        Some(_) => return None,
    };
    let (package, version) = name.strip_suffix(extension)?.split_once('_')?;
    let fits = folder.is_none_or(|folder| folder == package) && !package.is_empty() && !version.is_empty();
    fits.then_some(Asked { package, version, from_archive: folder.is_some() })
}

/// A package, which may be a binary one.
pub(super) async fn package(
    app: &App,
    snapshot: &Snapshot,
    flavor: Flavor,
    file: &str,
    request: &Parts,
) -> Result<Response, Error> {
    let missing = || Error::NotFound(format!("there is no file {file:?} in this snapshot of {}", snapshot.repo.name));
    let only = match &flavor {
        Flavor::Only(target) => Some(target),
        _ => None,
    };
    let asked = asked(file, only.map_or(".tar.gz", Target::extension)).ok_or_else(missing)?;
    let (record, t, source_id) = app.r_record(snapshot, asked.package).await?.ok_or_else(missing)?;
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
    let stamp = if app.view().source(source_id).is_some_and(Source::is_bioconductor) {
        Stamp::Bioconductor
    } else {
        Stamp::Rspm
    };
    if let Some(rules) = app.view().rules_for(snapshot.repo.id, When::Now)
        && blocks(&rules, source_id, &record, version)
    {
        return Err(Error::Forbidden(format!("{} {} is blocked by an administrator", record.name, version.version)));
    }
    let built = |target: &Target| target.binary(version).map(|artifact| (artifact, Some(target.tag())));
    let source = || record::source(version).map(|artifact| (artifact, None));
    let (artifact, tag): (&Artifact, Option<String>) = match &flavor {
        Flavor::Source => source(),
        Flavor::Linux { target, .. } => target.as_ref().and_then(built).or_else(source),
        Flavor::Only(target) => built(target),
    }
    .ok_or_else(|| not_built(&record.name, version))?;

    let as_it_came = app.0.config.redirect_mode || only.is_some_and(Target::is_desktop);
    let (digest, size): (psp::Digest, u64) = match as_it_came {
        true => (artifact.sha256, artifact.size),
        false => app.stamped(artifact.sha256, artifact.size, stamp).await?,
    };
    let served = File {
        digest,
        size: Some(size),
        content_type: only.map_or("application/x-gzip", Target::content_type),
        freshness: Freshness::new(if snapshot.fixed { FIXED } else { PACKAGE_UNDER_LATEST }, version.published_at),
    };
    let mut response = app.0.files.serve(&request.method, &request.headers, served).await?;
    let routed = match &flavor {
        Flavor::Linux { distro, .. } => Some((distro.to_string(), tag.is_some())),
        _ => None,
    };
    let (name, version) = (record.name.clone(), version.version.clone());
    Download { source: source_id, name, version, routed }.mark(&mut response);
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
    ) -> Result<Option<(RRecord, DateTime<Utc>, i64)>, Error> {
        let mut archived = None;
        for part in &snapshot.parts {
            if let Some((_, json)) = packages::get(self.world().db(), part.source, part.at, name).await? {
                if !snapshot.holds(&json)? {
                    continue;
                }
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

/// Why a version that is there has no such file: an installed library, say, is offered without its sources.
fn not_built(name: &str, version: &RVersion) -> Error {
    let mut kinds: Vec<String> = Vec::new();
    for artifact in &version.artifacts {
        let part = |text: &Option<String>| text.as_deref().filter(|text| *text != "*").unwrap_or("any").to_owned();
        let kind = match artifact.kind {
            psp::ArtifactKind::Source => "source".to_owned(),
            psp::ArtifactKind::Linux => format!("Linux ({}), R {}", part(&artifact.tag), part(&artifact.r)),
            psp::ArtifactKind::Windows => format!("Windows, R {}", part(&artifact.r)),
            psp::ArtifactKind::Macos => format!("macOS ({}), R {}", part(&artifact.tag), part(&artifact.r)),
            psp::ArtifactKind::Other => continue,
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let offered =
        if kinds.is_empty() { "has no files".to_owned() } else { format!("is offered for: {}", kinds.join("; ")) };
    Error::NotFound(format!("there is no such file of {name} {}, which {offered}", version.version))
}

/// Whether a version is blocked.
pub(crate) fn blocks(rules: &Rules, source: i64, record: &RRecord, version: &RVersion) -> bool {
    let description = dcf::parse_one(&version.description).unwrap_or_default();
    let license = description.get("License");
    let suspect = Suspect {
        python: false,
        source,
        name: &record.name,
        version: &version.version,
        license,
        deleted: record.removed_at.is_some(),
    };
    rules.blocking(suspect).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names() {
        let read = |file| asked(file, ".tar.gz").map(|a| (a.package, a.version, a.from_archive));
        assert_eq!(read("a.b_1.0-2.tar.gz"), Some(("a.b", "1.0-2", false)));
        assert_eq!(read("Archive/a/a_1.tar.gz"), Some(("a", "1", true)));
        assert_eq!(read("archive/a/a_1.tar.gz"), Some(("a", "1", true)));
        assert!(asked("a_1.zip", ".zip").is_some() && asked("a_1.tgz", ".zip").is_none());
        for bad in
            ["", "a.tar.gz", "_1.tar.gz", "a_.tar.gz", "Archive/b/a_1.tar.gz", "Archive/a_1.tar.gz", "x/a_1.tar.gz"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
