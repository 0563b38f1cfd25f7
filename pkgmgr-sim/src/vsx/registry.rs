//! `/api`: extensions as an Open VSX registry describes them, for its command line `ovsx` and for Theia.
//!
//! Paths and members are those that Open VSX documents; that Package Manager has them is not known. Nothing here is reviewed or
//! verified, so those members say so, and there is no `reviewsUrl`.
//!
//! | path below `/{repo}/{snapshot}/api` | what |
//! |---|---|
//! | `{publisher}` | the extensions of a publisher |
//! | `{publisher}/{name}` | the newest version of an extension |
//! | `{publisher}/{name}/{version}`, `…/{platform}`, `…/{platform}/{version}` | that version; `latest` is the newest |
//! | `…/{version}/file/{file}` | one of its files |

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse as _, Response};
use chrono::SecondsFormat;
use pkg_formats::psp::{VSIX, VsxFile, VsxVersion};
use serde_json::{Map, Value, json};
use sim_kit::origin::Origin;

use super::query::versions;
use super::{Extension, UNIVERSAL, Walk, Wanted, find, give, path_of, shown};
use crate::app::App;
use crate::error::{ApiError, Error};
use crate::snapshot::Snapshot;

/// What extensions are built for; no version is called that.
const PLATFORMS: [&str; 12] = [
    UNIVERSAL,
    "alpine-arm64",
    "alpine-x64",
    "darwin-arm64",
    "darwin-x64",
    "linux-arm64",
    "linux-armhf",
    "linux-x64",
    "web",
    "win32-arm64",
    "win32-ia32",
    "win32-x64",
];

/// `/{repo}/{snapshot}/api/{publisher}`
pub async fn publisher(
    State(app): State<App>,
    origin: Origin,
    Path((repo, segment, publisher)): Path<(String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let snapshot = shown(&app, &repo, &segment).await?;
    let base = app.origin(origin).url(&format!("/{repo}/{segment}/api"));
    let (mut extensions, mut known) = (Map::new(), publisher.clone());
    let mut walk = Walk::new(&app, &snapshot);
    while let Some(page) = walk.next().await? {
        for extension in &page {
            let Some((owner, name)) = extension.record.name.split_once('.') else { continue };
            if owner.eq_ignore_ascii_case(&publisher) && !versions(&snapshot, extension, false).is_empty() {
                owner.clone_into(&mut known);
                extensions.insert(name.to_owned(), format!("{base}/{owner}/{name}").into());
            }
        }
    }
    if extensions.is_empty() {
        return Err(Error::NotFound(format!("Namespace not found: {publisher}")).into());
    }
    Ok(Json(json!({ "name": known, "extensions": extensions, "verified": false })))
}

/// `/{repo}/{snapshot}/api/{publisher}/{name}`
pub async fn extension(
    State(app): State<App>,
    origin: Origin,
    Path((repo, segment, publisher, name)): Path<(String, String, String, String)>,
) -> Result<Json<Value>, ApiError> {
    let (repo, segment) = (&*repo, &*segment);
    Ok(Json(described(&app, origin, (repo, segment), &format!("{publisher}.{name}"), (None, "latest")).await?))
}

/// `/{repo}/{snapshot}/api/{publisher}/{name}/…`
pub async fn below(
    State(app): State<App>,
    origin: Origin,
    Path((repo, segment, publisher, name, rest)): Path<(String, String, String, String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let name = format!("{publisher}.{name}");
    let mut parts: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
    let platform = parts.first().copied().filter(|first| PLATFORMS.contains(first));
    if platform.is_some() {
        parts.remove(0);
    }
    let asked = match parts[..] {
        [] => ("latest", None),
        [version] => (version, None),
        [version, "file", file] => (version, Some(file)),
        _ => return Err(Error::NotFound(format!("there is nothing at {rest} of extension {name}")).into()),
    };
    let (version, Some(file)) = asked else {
        let json = described(&app, origin, (&repo, &segment), &name, (platform, asked.0)).await?;
        return Ok(Json(json).into_response());
    };
    let (version, platform) = (version.to_owned(), platform.map(str::to_owned));
    let is_it = |known: &VsxFile| match file.ends_with(".vsix") {
        true => known.asset == VSIX,
        false => file_name(known).is_some_and(|name| name.eq_ignore_ascii_case(file)),
    };
    let wanted = Wanted { repo, segment, name, version, platform };
    Ok(give(&app, &wanted, request.into_parts().0, is_it, file).await?)
}

/// What a file of a version is called, but for the package.
fn file_name(file: &VsxFile) -> Option<&'static str> {
    path_of(&file.asset)?.rsplit('/').next()
}

/// A version of an extension, for a platform or for any.
async fn described(
    app: &App,
    origin: Origin,
    (repo, segment): (&str, &str),
    name: &str,
    (platform, number): (Option<&str>, &str),
) -> Result<Value, Error> {
    let snapshot = shown(app, repo, segment).await?;
    let found =
        find(app, &snapshot, name).await?.ok_or_else(|| Error::NotFound(format!("Extension not found: {name}")))?;
    let all = versions(&snapshot, &found, false);
    let newest =
        all.iter().find(|version| !version.pre_release).or(all.first()).map(|version| version.version.as_str());
    let wanted = if number == "latest" { newest.unwrap_or_default() } else { number };
    let of = |platform: &str| all.iter().find(|one| one.version == wanted && one.target_platform == platform);
    let any = || all.iter().find(|one| one.version == wanted);
    let version = match platform {
        None => of(UNIVERSAL).or_else(any),
        Some(platform) => of(platform).or_else(|| of(UNIVERSAL)),
    };
    let version = version.ok_or_else(|| {
        let of_platform = platform.map(|platform| format!(" ({platform})")).unwrap_or_default();
        Error::NotFound(format!("Extension not found: {name} {number}{of_platform}"))
    })?;
    let installs = app.downloads_of(found.source, &found.record.name).await?;
    let base = app.origin(origin).url(&format!("/{repo}/{segment}/api"));
    Ok(json_of(&snapshot, &found, version, (newest.unwrap_or_default(), installs), &base))
}

fn json_of(
    snapshot: &Snapshot,
    extension: &Extension,
    version: &VsxVersion,
    (newest, installs): (&str, i64),
    base: &str,
) -> Value {
    let record = &extension.record;
    let (publisher, name) = record.name.split_once('.').unwrap_or(("", &record.name));
    let at = format!("{base}/{publisher}/{name}");
    let all = versions(snapshot, extension, false);
    let address = |one: &VsxVersion| match one.target_platform == UNIVERSAL {
        true => format!("{at}/{}", one.version),
        false => format!("{at}/{}/{}", one.target_platform, one.version),
    };
    let package = |one: &VsxVersion| {
        let of_platform = match one.target_platform == UNIVERSAL {
            true => String::new(),
            false => format!("@{}", one.target_platform),
        };
        format!("{}/file/{}-{}{of_platform}.vsix", address(one), record.name, one.version)
    };
    let mut files = BTreeMap::new();
    for file in &version.files {
        let (kind, url) = match file_name(file) {
            None if file.asset == VSIX => ("download", package(version)),
            None => continue,
            Some(name) => {
                let kind = match name {
                    "package.json" => "manifest",
                    "extension.vsixmanifest" => "vsixmanifest",
                    other => other.split('.').next().unwrap_or(other),
                };
                (kind, format!("{}/file/{name}", address(version)))
            }
        };
        files.insert(kind, url);
    }
    let mut numbers: BTreeMap<&str, String> =
        all.iter().map(|one| (one.version.as_str(), format!("{at}/{}", one.version))).collect();
    numbers.insert("latest", format!("{at}/latest"));
    let downloads: BTreeMap<&str, String> = all
        .iter()
        .filter(|one| one.version == version.version)
        .map(|one| (one.target_platform.as_str(), package(one)))
        .collect();
    let dependencies = record.extension_dependencies.iter().filter_map(|other| {
        let (namespace, extension) = other.split_once('.')?;
        Some(
            json!({ "url": format!("{base}/{namespace}/{extension}"), "namespace": namespace, "extension": extension }),
        )
    });
    let aliases: &[&str] = if version.version == newest { &["latest"] } else { &[] };
    json!({
        "namespaceUrl": format!("{base}/{publisher}"),
        "url": address(version),
        "files": files,
        "name": name,
        "namespace": publisher,
        "namespaceDisplayName": record.publisher,
        "targetPlatform": version.target_platform,
        "version": version.version,
        "preRelease": version.pre_release,
        "publishedBy": { "loginName": publisher, "fullName": record.publisher },
        "verified": false,
        "unrelatedPublisher": false,
        "namespaceAccess": "restricted",
        "allVersions": numbers,
        "versionAlias": aliases,
        "downloads": downloads,
        "downloadCount": installs,
        "reviewCount": 0,
        "timestamp": version.published_at.to_rfc3339_opts(SecondsFormat::Micros, true),
        "preview": false,
        "displayName": record.display_name,
        "description": record.summary,
        "engines": { "vscode": version.engine },
        "categories": record.categories,
        "tags": [],
        "license": record.license,
        "dependencies": dependencies.collect::<Vec<_>>(),
        "bundledExtensions": [],
    })
}
