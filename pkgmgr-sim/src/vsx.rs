//! Extensions of editors: what VS Code, Positron and their kin ask a gallery.
//!
//! That Package Manager has repositories of Open VSX extensions is documented, and that a dotted name such as `golang.Go` names
//! one; under which addresses it shows them is not. Here they are those of an Open VSX registry, below a repository and a
//! snapshot, so that an editor is pointed at `{repo}/{snapshot}/vscode/gallery`, and a date shows the versions of that date.
//!
//! | path below `/{repo}/{snapshot}/vscode` | what |
//! |---|---|
//! | `gallery/extensionquery` | search ([`query`]) |
//! | `gallery/{publisher}/{name}/latest`, `gallery/vscode/…` | one extension, which newer editors ask for |
//! | `gallery/publishers/{publisher}/vsextensions/{name}/{version}/vspackage` | the package |
//! | `asset/{publisher}/{name}/{version}/{asset}` | package, manifest, readme and so on |
//! | `unpkg/{publisher}/{name}/{version}/{path}` | the same by their paths in the package |
//! | `item?itemName=` | the page of an extension |
//!
//! Beside that, `/{repo}/{snapshot}/api` is what an Open VSX registry has there ([`registry`]).
//!
//! Editors do not mind the case of names. A version that was built for several platforms has a file for each; one that is not
//! there for a platform is given as `universal`, if there is that.

pub mod query;
pub mod registry;

use std::collections::HashSet;

use axum::extract::{Path, Query, Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use chrono::{DateTime, Utc};
use http::request::Parts;
use pkg_formats::psp::{VSIX, VsxFile, VsxRecord, VsxVersion};
use serde::Deserialize;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use crate::app::App;
use crate::blocklist::{Rules, Suspect, When};
use crate::downloads::Download;
use crate::error::Error;
use crate::files::File;
use crate::record::{self, instant};
use crate::snapshot::{FIXED, Freshness, Part, Snapshot};
use crate::store::packages::{self, Pages, Shows};
use crate::store::repos::Repo;

/// What a version without parts for a machine is built for.
const UNIVERSAL: &str = "universal";

/// An extension as a snapshot shows it.
pub(crate) struct Extension {
    pub(crate) record: VsxRecord,
    /// The time to look at it.
    pub(crate) t: DateTime<Utc>,
    /// The source it is in.
    pub(crate) source: i64,
}

/// The address that editors are given.
pub(crate) fn gallery(origin: &Origin, repo: &Repo, segment: &str) -> String {
    origin.url(&format!("/{}/{segment}/vscode/gallery", repo.name))
}

/// A file of a version.
pub(crate) fn file_of<'a>(version: &'a VsxVersion, asset: &str) -> Option<&'a VsxFile> {
    version.files.iter().find(|file| file.asset.eq_ignore_ascii_case(asset))
}

/// Whether a version is blocked.
pub(crate) fn blocks(rules: &Rules, source: i64, record: &VsxRecord, version: &VsxVersion) -> bool {
    let license = record.license.as_deref();
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

/// Versions with their files, oldest first, for the API.
pub(crate) fn releases(record: &VsxRecord, t: DateTime<Utc>) -> Vec<Value> {
    let mut releases: Vec<(&str, Vec<Value>)> = Vec::new();
    for version in record::vsx_versions(record, t).into_iter().rev() {
        let file = file_of(version, VSIX).map(|file| {
            json!({
                "filename": format!("{}-{}.vsix", record.name, version.version),
                "target_platform": version.target_platform,
                "sha256": file.sha256,
                "size": file.size,
                "upload_time": crate::api::time(version.published_at.timestamp_micros()),
                "pre_release": version.pre_release,
            })
        });
        match releases.last_mut().filter(|(known, _)| *known == version.version) {
            Some((_, files)) => files.extend(file),
            None => releases.push((&version.version, file.into_iter().collect())),
        }
    }
    releases.into_iter().map(|(version, files)| json!({ "version": version, "files": files })).collect()
}

/// The extension `publisher.name`, in any case, in the first source that has it.
pub(crate) async fn find(app: &App, snapshot: &Snapshot, name: &str) -> Result<Option<Extension>, Error> {
    let db = app.world().db();
    for part in &snapshot.parts {
        let exact = packages::get(db, part.source, part.at, name).await?.map(|(_, json)| json);
        let found = match exact {
            Some(json) => Some(json),
            None => in_other_case(app, part.source, part.at, name).await?,
        };
        if let Some(json) = found {
            let found =
                Extension { record: serde_json::from_str(&json)?, t: instant(part.at.as_of), source: part.source };
            if record::vsx_newest(&found.record, found.t).is_some() {
                return Ok(Some(found));
            }
        }
    }
    Ok(None)
}

async fn in_other_case(
    app: &App,
    source: i64,
    at: crate::store::transactions::Point,
    name: &str,
) -> Result<Option<String>, Error> {
    let db = app.world().db();
    let mut pages = packages::pages(db, source, at, false, PAGE);
    while let Some(page) = pages.next().await? {
        if let Some(listed) = page.iter().find(|listed| listed.name.eq_ignore_ascii_case(name)) {
            return Ok(packages::get(db, source, at, &listed.name).await?.map(|(_, json)| json));
        }
    }
    Ok(None)
}

const PAGE: i64 = 500;

/// All extensions of a snapshot, a page at a time; of two of one name that of the first source.
struct Walk<'a> {
    app: &'a App,
    parts: std::slice::Iter<'a, Part>,
    /// Of the source that is gone through.
    pages: Option<(Pages<'a>, &'a Part)>,
    seen: HashSet<String>,
}

impl<'a> Walk<'a> {
    fn new(app: &'a App, snapshot: &'a Snapshot) -> Self {
        Self { app, parts: snapshot.parts.iter(), pages: None, seen: HashSet::new() }
    }

    /// The next page; none after the last one.
    async fn next(&mut self) -> Result<Option<Vec<Extension>>, Error> {
        loop {
            if self.pages.is_none() {
                let Some(part) = self.parts.next() else { return Ok(None) };
                self.pages = Some((packages::pages(self.app.world().db(), part.source, part.at, true, PAGE), part));
            }
            let Some((pages, part)) = &mut self.pages else { continue };
            let Some(page) = pages.next().await? else {
                self.pages = None;
                continue;
            };
            let mut found = Vec::new();
            for listed in page {
                let Shows::Record(json) = listed.shows else { continue };
                let one =
                    Extension { record: serde_json::from_str(&json)?, t: instant(part.at.as_of), source: part.source };
                if record::vsx_newest(&one.record, one.t).is_some() && self.seen.insert(listed.name.to_lowercase()) {
                    found.push(one);
                }
            }
            return Ok(Some(found));
        }
    }
}

async fn shown(app: &App, repo: &str, segment: &str) -> Result<std::sync::Arc<Snapshot>, Error> {
    let snapshot = app.snapshot(repo, segment).await?;
    snapshot.of_kind("VSX")?;
    Ok(snapshot)
}

/// What a file is to run on.
#[derive(Debug, Deserialize)]
pub struct Platform {
    #[serde(rename = "targetPlatform")]
    target_platform: Option<String>,
}

/// Path of an extension's version: repo, snapshot, publisher, name, version and what is asked of it.
type OfVersion = (String, String, String, String, String, String);

/// `/{repo}/{snapshot}/vscode/gallery/publishers/{publisher}/vsextensions/{name}/{version}/vspackage`
pub async fn package(
    State(app): State<App>,
    Path((repo, segment, publisher, name, version)): Path<(String, String, String, String, String)>,
    Query(platform): Query<Platform>,
    request: Request,
) -> Result<Response, Error> {
    let wanted =
        Wanted { repo, segment, name: format!("{publisher}.{name}"), version, platform: platform.target_platform };
    give(&app, &wanted, request.into_parts().0, |file| file.asset == VSIX, "package").await
}

/// `/{repo}/{snapshot}/vscode/asset/{publisher}/{name}/{version}/{asset}`
pub async fn asset(
    State(app): State<App>,
    Path((repo, segment, publisher, name, version, asset)): Path<OfVersion>,
    Query(platform): Query<Platform>,
    request: Request,
) -> Result<Response, Error> {
    let wanted =
        Wanted { repo, segment, name: format!("{publisher}.{name}"), version, platform: platform.target_platform };
    give(&app, &wanted, request.into_parts().0, |file| file.asset.eq_ignore_ascii_case(&asset), &asset).await
}

/// `/{repo}/{snapshot}/vscode/unpkg/{publisher}/{name}/{version}/{path}`
pub async fn unpacked(
    State(app): State<App>,
    Path((repo, segment, publisher, name, version, path)): Path<OfVersion>,
    request: Request,
) -> Result<Response, Error> {
    let wanted = Wanted { repo, segment, name: format!("{publisher}.{name}"), version, platform: None };
    let asked = path.trim_start_matches('/').to_lowercase();
    let is_it = |file: &VsxFile| path_of(&file.asset).is_some_and(|known| known.eq_ignore_ascii_case(&asked));
    give(&app, &wanted, request.into_parts().0, is_it, &path).await
}

/// Where a file lies in the package.
fn path_of(asset: &str) -> Option<&'static str> {
    Some(match asset {
        "Microsoft.VisualStudio.Services.VsixManifest" => "extension.vsixmanifest",
        "Microsoft.VisualStudio.Code.Manifest" => "extension/package.json",
        "Microsoft.VisualStudio.Services.Content.Details" => "extension/readme.md",
        "Microsoft.VisualStudio.Services.Content.Changelog" => "extension/changelog.md",
        "Microsoft.VisualStudio.Services.Content.License" => "extension/license.txt",
        _ => return None,
    })
}

fn content_type(asset: &str) -> &'static str {
    match path_of(asset).and_then(|path| path.rsplit('.').next()) {
        Some("json") => "application/json",
        Some("md") => "text/markdown; charset=utf-8",
        Some("txt") => "text/plain; charset=utf-8",
        Some("vsixmanifest") => "text/xml; charset=utf-8",
        _ => "application/octet-stream",
    }
}

/// A version of an extension.
struct Wanted {
    repo: String,
    segment: String,
    name: String,
    /// `latest` is the newest.
    version: String,
    platform: Option<String>,
}

async fn give(
    app: &App,
    wanted: &Wanted,
    request: Parts,
    is_it: impl Fn(&VsxFile) -> bool,
    what: &str,
) -> Result<Response, Error> {
    let Wanted { repo, segment, name, version, platform } = wanted;
    let snapshot = shown(app, repo, segment).await?;
    let missing = |what: String| Error::NotFound(format!("there is no {what} in repository {repo} at {segment}"));
    let found = find(app, &snapshot, name).await?.ok_or_else(|| missing(format!("extension {name}")))?;
    let newest = record::vsx_newest(&found.record, found.t).map(|newest| newest.version.as_str());
    let version = if version == "latest" { newest.unwrap_or(version) } else { version };
    let versions = record::vsx_versions(&found.record, found.t);
    let of_version: Vec<&VsxVersion> = versions.into_iter().filter(|known| known.version == *version).collect();
    let platform = platform.as_deref().unwrap_or(UNIVERSAL);
    let is_for = |name: &str| of_version.iter().find(|known| known.target_platform == name).copied();
    // Whoever does not say a platform gets some.
    let any = of_version.first().copied().filter(|_| platform == UNIVERSAL);
    let of_platform = is_for(platform).or_else(|| is_for(UNIVERSAL)).or(any);
    let of_platform = of_platform.ok_or_else(|| missing(format!("version {version} of {name} for {platform}")))?;
    let file = of_platform.files.iter().find(|file| is_it(file));
    let file = file.ok_or_else(|| missing(format!("{what} of {name} {version}")))?;
    if let Some(rules) = app.view().rules_for(snapshot.repo.id, When::Now)
        && blocks(&rules, found.source, &found.record, of_platform)
    {
        return Err(Error::Forbidden(format!("{name} {version} is blocked by an administrator")));
    }
    let freshness = match wanted.version == "latest" || !snapshot.fixed {
        true => snapshot.freshness.clone(),
        false => Freshness::new(FIXED, of_platform.published_at),
    };
    let served =
        File { digest: file.sha256, size: Some(file.size), content_type: content_type(&file.asset), freshness };
    let mut response = app.0.files.serve(&request.method, &request.headers, served).await?;
    if file.asset == VSIX {
        let (name, version) = (found.record.name.clone(), version.to_owned());
        Download { source: found.source, name, version, routed: None }.mark(&mut response);
    }
    Ok(response)
}

/// Which extension.
#[derive(Debug, Deserialize)]
pub struct Item {
    #[serde(rename = "itemName")]
    item_name: String,
}

/// `/{repo}/{snapshot}/vscode/item?itemName=`
pub async fn item(
    State(app): State<App>,
    origin: Origin,
    Path((repo, segment)): Path<(String, String)>,
    Query(item): Query<Item>,
) -> Result<Response, Error> {
    let snapshot = shown(&app, &repo, &segment).await?;
    let missing = || Error::NotFound(format!("there is no extension {:?} in repository {repo}", item.item_name));
    let found = find(&app, &snapshot, &item.item_name).await?.ok_or_else(missing)?;
    let page = format!("/client/view/repos/{}/packages/{}?snapshot={segment}", snapshot.repo.name, found.record.name);
    Ok(Redirect::to(&app.origin(origin).url(&page)).into_response())
}
