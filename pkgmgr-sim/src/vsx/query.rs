//! `extensionquery`: how editors search a gallery, and ask for what they have.
//!
//! The shapes are those that VS Code sends and reads (`extensionGalleryService.ts`). A query has filters; criteria of one type are
//! alternatives, those of different types all hold. Flags say what the answer is to have. Unknown types of criteria are passed
//! over, as newer editors know more than a gallery.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use chrono::{DateTime, SecondsFormat, Utc};
use pkg_formats::psp::{Digest, VsxVersion};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sim_kit::origin::Origin;

use super::{Extension, Walk, find, shown};
use crate::app::App;
use crate::error::Error;
use crate::record;
use crate::snapshot::Snapshot;

/// What the answer is to have.
mod flag {
    pub(super) const VERSIONS: u32 = 0x1;
    pub(super) const FILES: u32 = 0x2;
    pub(super) const CATEGORIES: u32 = 0x4;
    pub(super) const PROPERTIES: u32 = 0x10;
    pub(super) const ASSET_URI: u32 = 0x80;
    pub(super) const STATISTICS: u32 = 0x100;
    pub(super) const LATEST_ONLY: u32 = 0x200;
    /// Of one extension, by its name.
    pub(super) const ALL_OF_ONE: u32 =
        VERSIONS | FILES | CATEGORIES | PROPERTIES | ASSET_URI | STATISTICS | LATEST_ONLY;
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Asked {
    /// Of [`Filter`]s, read one by one: a list in the place of one would be taken for its fields in a row.
    filters: Vec<Map<String, Value>>,
    flags: u32,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Filter {
    criteria: Vec<Criterion>,
    page_number: usize,
    page_size: usize,
    sort_by: u8,
    sort_order: u8,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Criterion {
    filter_type: u8,
    #[serde(default)]
    value: String,
}

const TAG: u8 = 1;
const ID: u8 = 4;
const CATEGORY: u8 = 5;
const NAME: u8 = 7;
const EDITOR: u8 = 8;
const TEXT: u8 = 10;

/// The editor that all speak for.
const VSCODE: &str = "Microsoft.VisualStudio.Code";

const MOST_FILTERS: usize = 10;
const MOST_CRITERIA: usize = 1000;
const PAGE: usize = 50;
const MOST: usize = 1000;

impl Filter {
    fn takes(&self, extension: &Extension) -> bool {
        let record = &extension.record;
        let of =
            |kind: u8| self.criteria.iter().filter(move |one| one.filter_type == kind).map(|one| one.value.as_str());
        let any = |kind: u8, is_it: &dyn Fn(&str) -> bool| of(kind).next().is_none() || of(kind).any(is_it);
        let named =
            of(NAME).any(|name| name.eq_ignore_ascii_case(&record.name)) || of(ID).any(|id| id == id_of(&record.name));
        let is_named = of(NAME).chain(of(ID)).next().is_none() || named;
        let has = |word: &str| {
            let texts = [&record.name, &record.display_name, &record.publisher];
            texts.iter().any(|text| text.to_lowercase().contains(word))
                || record.categories.iter().any(|category| category.to_lowercase() == word)
        };
        let text = |text: &str| text.to_lowercase().split_whitespace().all(has);
        is_named
            && any(EDITOR, &|editor| editor == VSCODE)
            && any(CATEGORY, &|category| record.categories.iter().any(|known| known.eq_ignore_ascii_case(category)))
            // Extensions have no tags here.
            && any(TAG, &|_| false)
            && any(TEXT, &text)
    }

    /// The names that are asked for, each once, if nothing else can be an answer.
    fn names(&self) -> Option<BTreeSet<String>> {
        let of = |kind: u8| self.criteria.iter().filter(move |one| one.filter_type == kind);
        let names: BTreeSet<String> = of(NAME).map(|one| one.value.to_lowercase()).collect();
        (!names.is_empty() && of(ID).next().is_none()).then_some(names)
    }

    /// The extension, if it is taken and not blocked.
    async fn hit(&self, app: &App, snapshot: &Snapshot, extension: &Extension) -> Result<Option<Hit>, Error> {
        if !self.takes(extension) || versions(snapshot, extension, false).is_empty() {
            return Ok(None);
        }
        let record = &extension.record;
        Ok(Some(Hit {
            name: record.name.clone(),
            title: record.display_name.to_lowercase(),
            publisher: record.publisher.to_lowercase(),
            installs: app.downloads_of(extension.source, &record.name).await?,
            newest: record::vsx_versions(record, extension.t).first().map(|version| version.published_at),
            first: record.versions.first().map(|version| version.published_at),
        }))
    }
}

/// `POST /{repo}/{snapshot}/vscode/gallery/extensionquery`
pub async fn query(
    State(app): State<App>,
    origin: Origin,
    Path((repo, segment)): Path<(String, String)>,
    body: Bytes,
) -> Result<Json<Value>, Error> {
    let example = r#"{"filters": [{"criteria": [{"filterType": 7, "value": "golang.Go"}]}], "flags": 914}"#;
    let asked: Asked = crate::api::body(&body, example)?;
    let filter = |filter| serde_json::from_value(Value::Object(filter));
    let filters: Result<Vec<Filter>, _> = asked.filters.into_iter().map(filter).collect();
    let mut filters = filters.map_err(|error| Error::BadRequest(format!("`filters`: {error}")))?;
    if filters.len() > MOST_FILTERS || filters.iter().any(|filter| filter.criteria.len() > MOST_CRITERIA) {
        let text = format!("a query has at most {MOST_FILTERS} filters, each of at most {MOST_CRITERIA} criteria");
        return Err(Error::BadRequest(text));
    }
    let snapshot = shown(&app, &repo, &segment).await?;
    let base = app.origin(origin).url(&format!("/{repo}/{segment}/vscode"));
    if filters.is_empty() {
        filters.push(Filter::default());
    }
    let mut results = Vec::new();
    for (filter, mut found) in filters.iter().zip(hits(&app, &snapshot, &filters).await?) {
        sort(&mut found, filter.sort_by, filter.sort_order);
        let total = found.len();
        let size = if filter.page_size == 0 { PAGE } else { filter.page_size.min(MOST) };
        let skip = filter.page_number.saturating_sub(1).saturating_mul(size);
        let mut shown = Vec::new();
        for hit in found.into_iter().skip(skip).take(size) {
            if let Some(extension) = find(&app, &snapshot, &hit.name).await? {
                shown.push(extension_json(&snapshot, &extension, hit.installs, asked.flags, &base));
            }
        }
        results.push(json!({
            "extensions": shown,
            "pagingToken": null,
            "resultMetadata": [{"metadataType": "ResultCount", "metadataItems": [{"name": "TotalCount", "count": total}]}],
        }));
    }
    Ok(Json(json!({ "results": results })))
}

/// What is kept of an extension that a filter takes: what it is sorted by, not its record.
#[derive(Clone)]
struct Hit {
    name: String,
    title: String,
    publisher: String,
    installs: i64,
    newest: Option<DateTime<Utc>>,
    first: Option<DateTime<Utc>>,
}

/// What each of `filters` takes. Extensions that are asked for by name are looked up; only for other questions the snapshot is
/// gone through, page by page.
async fn hits(app: &App, snapshot: &Snapshot, filters: &[Filter]) -> Result<Vec<Vec<Hit>>, Error> {
    let mut hits: Vec<Vec<Hit>> = vec![Vec::new(); filters.len()];
    for (filter, hits) in filters.iter().zip(&mut hits) {
        for name in filter.names().unwrap_or_default() {
            if let Some(found) = find(app, snapshot, &name).await?
                && let Some(hit) = filter.hit(app, snapshot, &found).await?
            {
                hits.push(hit);
            }
        }
    }
    if filters.iter().all(|filter| filter.names().is_some()) {
        return Ok(hits);
    }
    let mut walk = Walk::new(app, snapshot);
    while let Some(page) = walk.next().await? {
        for extension in &page {
            for (filter, hits) in filters.iter().zip(&mut hits).filter(|(filter, _)| filter.names().is_none()) {
                hits.extend(filter.hit(app, snapshot, extension).await?);
            }
        }
    }
    Ok(hits)
}

/// `GET /{repo}/{snapshot}/vscode/gallery/{publisher}/{name}/latest`
pub async fn latest(
    State(app): State<App>,
    origin: Origin,
    Path((repo, segment, publisher, name)): Path<(String, String, String, String)>,
) -> Result<Json<Value>, Error> {
    let snapshot = shown(&app, &repo, &segment).await?;
    let missing =
        || Error::NotFound(format!("there is no extension {publisher}.{name} in repository {repo} at {segment}"));
    let found = find(&app, &snapshot, &format!("{publisher}.{name}")).await?.ok_or_else(missing)?;
    if versions(&snapshot, &found, false).is_empty() {
        return Err(missing());
    }
    let installs = app.downloads_of(found.source, &found.record.name).await?;
    let base = app.origin(origin).url(&format!("/{repo}/{segment}/vscode"));
    Ok(Json(extension_json(&snapshot, &found, installs, flag::ALL_OF_ONE, &base)))
}

/// Versions that are not blocked, newest first; with `latest_only` the newest that is finished and the newest that is not, if that is newer.
pub(super) fn versions<'a>(snapshot: &Snapshot, extension: &'a Extension, latest_only: bool) -> Vec<&'a VsxVersion> {
    let Extension { record, t, source } = extension;
    let mut all = record::vsx_versions(record, *t);
    if let Some(rules) = &snapshot.rules {
        all.retain(|version| !super::blocks(rules, *source, record, version));
    }
    if latest_only {
        let newest = all.first().map(|version| version.version.as_str());
        let finished = all.iter().find(|version| !version.pre_release).map(|version| version.version.as_str());
        all.retain(|version| Some(version.version.as_str()) == newest || Some(version.version.as_str()) == finished);
    }
    all
}

fn sort(found: &mut [Hit], by: u8, order: u8) {
    // By title rising, else what is newest or most first, unless the query says which.
    match by {
        1 => found.sort_by_key(|one| Reverse(one.newest)),
        3 => found.sort_by(|a, b| (&a.publisher, &a.title).cmp(&(&b.publisher, &b.title))),
        2 => found.sort_by(|a, b| a.title.cmp(&b.title)),
        5 | 10 => found.sort_by_key(|one| Reverse(one.first)),
        _ => found.sort_by(|a, b| (Reverse(a.installs), &a.title).cmp(&(Reverse(b.installs), &b.title))),
    }
    let natural = if matches!(by, 2 | 3) { 1 } else { 2 };
    if order != 0 && order != natural {
        found.reverse();
    }
}

/// An id of the form that editors compare; the same for one name for ever.
fn id_of(name: &str) -> String {
    let digest = Digest::of(format!("extension {}", name.to_lowercase()).as_bytes()).to_string();
    format!("{}-{}-4{}-8{}-{}", &digest[..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32])
}

fn extension_json(snapshot: &Snapshot, extension: &Extension, installs: i64, flags: u32, base: &str) -> Value {
    let has = |flag: u32| flags & flag != 0;
    let record = &extension.record;
    let (publisher, name) = record.name.split_once('.').unwrap_or(("", &record.name));
    let time = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
    let offered = versions(snapshot, extension, has(flag::LATEST_ONLY));
    let shown = |version: &&VsxVersion| {
        let uri = format!("{base}/asset/{publisher}/{name}/{}", version.version);
        let query = match version.target_platform == super::UNIVERSAL {
            true => String::new(),
            false => format!("?targetPlatform={}", version.target_platform),
        };
        let mut out = json!({
            "version": version.version,
            "lastUpdated": time(version.published_at),
            "targetPlatform": version.target_platform,
            "flags": "validated",
        });
        if has(flag::FILES) {
            let files = version.files.iter();
            let files =
                files.map(|file| json!({ "assetType": file.asset, "source": format!("{uri}/{}{query}", file.asset) }));
            out["files"] = files.collect();
        }
        if has(flag::PROPERTIES) {
            let pre_release =
                version.pre_release.then(|| ("Microsoft.VisualStudio.Code.PreRelease", "true".to_owned()));
            let properties = [
                ("Microsoft.VisualStudio.Code.Engine", version.engine.clone()),
                ("Microsoft.VisualStudio.Code.ExtensionDependencies", record.extension_dependencies.join(",")),
            ];
            let properties = properties.into_iter().chain(pre_release);
            out["properties"] = properties.map(|(key, value)| json!({ "key": key, "value": value })).collect();
        }
        if has(flag::ASSET_URI) {
            out["assetUri"] = uri.clone().into();
            out["fallbackAssetUri"] = uri.into();
        }
        out
    };
    let mut out = json!({
        "extensionId": id_of(&record.name),
        "extensionName": name,
        "displayName": record.display_name,
        "shortDescription": record.summary,
        "publisher": {
            "publisherId": id_of(publisher),
            "publisherName": publisher,
            "displayName": record.publisher,
            "domain": null,
            "isDomainVerified": false,
        },
        "flags": "validated",
        "deploymentType": 0,
    });
    let first = record.versions.first().map(|version| time(version.published_at));
    out["lastUpdated"] = offered.first().map(|version| time(version.published_at)).into();
    out["publishedDate"] = first.clone().into();
    out["releaseDate"] = first.into();
    if has(flag::VERSIONS) || has(flag::LATEST_ONLY) {
        out["versions"] = offered.iter().map(shown).collect();
    }
    if has(flag::CATEGORIES) {
        out["categories"] = json!(record.categories);
        out["tags"] = json!([]);
    }
    if has(flag::STATISTICS) {
        out["statistics"] = json!([{ "statisticName": "install", "value": installs }]);
    }
    out
}
