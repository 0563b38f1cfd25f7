//! Receiving a bundle.
//!
//! Clients send the archive as the whole body, with any content type or none and often in chunks, or as the part
//! `archive` of a multipart form whose part `metadata` is a flat JSON object. Instead of the archive they may say where it
//! is, in the part `url` or in the query; then the server fetches it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest as _, Multipart, Path, Request, State};
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use pkg_formats::manifest::Manifest;
use serde_json::Value;

use super::spool::{Digests, Spool};
use super::{check, shown};
use crate::access::editable;
use crate::app::App;
use crate::auth::Principal;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::{Query, check_checksum};
use crate::license;
use crate::runtime::files::{self, Tree};
use crate::store;
use crate::store::bundles::Bundle;
use crate::store::content::Runtime;

/// `POST /v1/content/{guid}/bundles`
///
/// # Errors
/// 400 for a bad archive or manifest, 403 for an item one may not change, 404 when there is none, 409 for a locked item,
/// 413 for too many bytes.
pub async fn upload(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    request: Request,
) -> Result<Json<Value>> {
    // Before any byte is read, so that nobody sends a large file in vain; and again when the row is written.
    may_upload(&app, &principal, &guid).await?;
    let headers = request.headers().clone();
    let announced = announced(&headers);
    let limit = app.config().limits.bundle_bytes;
    // What a form has around its archive is little.
    if announced.is_some_and(|bytes| bytes > limit.saturating_add(1 << 20)) {
        return Err(Error::too_large("The bundle", limit));
    }
    let (spool, metadata) = receive(&app, request).await?;
    if spool.size() == 0 {
        return Err(Error::bad(Code::BundleExtract, "The bundle is empty; send a gzip-compressed tar archive."));
    }
    let archive = checked(&app, spool, headers).await?;
    let _rows = app.blob_rows().read().await;
    let tree = archive.tree.clone();
    let mut bundle = stored(&app, archive, metadata, &guid, &principal.user.guid).await?;
    let mut tx = app.write().await?.routine();
    let seen = editable(&mut tx, &principal, &guid).await?;
    bundle.id = store::next(&mut tx, "bundle").await?;
    store::bundles::insert(&mut tx, &bundle).await?;
    tx.commit().await?;
    if let Some(tree) = tree {
        // It is mostly deployed and opened at once.
        app.small_bundles().insert(bundle.id, tree);
    }
    Ok(Json(shown(&app, &bundle, seen.content.bundle_id)))
}

/// An archive that is as it should be.
pub(crate) struct Checked {
    spool: Spool,
    digests: Digests,
    manifest: Manifest,
    /// Its files, when they are few.
    tree: Option<Arc<Tree>>,
}

/// Checks an archive, against the checksum in the headers that it came with, if there is one.
///
/// # Errors
/// 400 for a bad archive, checksum or manifest, 402 for what the licence does not have.
pub(crate) async fn checked(app: &App, mut spool: Spool, headers: HeaderMap) -> Result<Checked> {
    let (limits, version) = (app.config().limits.archive.clone(), app.config().version);
    let checked = tokio::task::spawn_blocking(move || {
        let digests = spool.digests()?;
        // First: an upload that was cut has a bad archive as well.
        check_checksum(&headers, &digests.md5)?;
        let size = spool.size();
        let tree = files::into_memory(spool.reader()?, size, &limits)?.map(Arc::new);
        let manifest = match &tree {
            Some(tree) => check::check_tree(tree, version)?,
            None => check::check(spool.reader()?, &limits, version)?,
        };
        Ok::<_, Error>(Checked { spool, digests, manifest, tree })
    })
    .await
    .map_err(|error| Error::Internal(error.to_string()))??;
    // Where the product notices is not known; nothing that cannot run is kept.
    license::require_for(app, &checked.manifest.metadata.appmode)?;
    Ok(checked)
}

/// Stores an archive: the bundle that it makes, without an id and a row. Hold [`App::blob_rows`] for reading until it has
/// both.
///
/// # Errors
/// When the files fail.
pub(crate) async fn stored(
    app: &App,
    archive: Checked,
    mut metadata: BTreeMap<String, String>,
    content_guid: &str,
    created_by: &str,
) -> Result<Bundle> {
    let Checked { spool, digests, manifest, .. } = archive;
    metadata.insert("archive_md5".to_owned(), hex::encode(digests.md5));
    metadata.insert("archive_sha1".to_owned(), hex::encode(digests.sha1));
    let size = i64::try_from(spool.size()).unwrap_or(i64::MAX);
    let digest = digests.sha256;
    spool.store(digest, app.world().blobs(), &app.world().ids().hex("blob", 32)).await?;
    let main = manifest.metadata;
    Ok(Bundle {
        id: 0,
        content_guid: content_guid.to_owned(),
        created_by: Some(created_by.to_owned()),
        created: app.now(),
        digest,
        size,
        metadata,
        app_mode: main.appmode,
        content_category: main.content_category.unwrap_or_default(),
        parameterized: main.has_parameters.unwrap_or(false),
        entrypoint: main.entrypoint,
        primary_file: main.primary_html.or(main.primary_rmd),
        runtime: Runtime::default(),
    })
}

async fn may_upload(app: &App, principal: &Principal, guid: &str) -> Result<()> {
    let mut db = app.read().await?;
    let seen = editable(&mut db, principal, guid).await?;
    if store::repositories::get(&mut db, guid).await?.is_some() {
        let text = "The content comes from a git repository; deploy that, or take it off the content first.";
        return Err(Error::bad(Code::NoBundleUploadForGitManagedApp, text));
    }
    if seen.content.locked {
        let text = "The content is locked; unlock it before you upload a bundle.";
        return Err(Error::conflict(Code::LockedContentBundle, text));
    }
    Ok(())
}

fn cut(error: impl std::fmt::Display) -> Error {
    Error::bad(Code::CannotParseRequestBody, format!("The upload ended early: {error}."))
}

fn is_multipart(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.trim_start().to_ascii_lowercase().starts_with("multipart/form-data")
}

/// How many bytes the client says it sends.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

async fn receive(app: &App, request: Request) -> Result<(Spool, BTreeMap<String, String>)> {
    let mut spool = Spool::new(app.incoming(), app.config().limits.bundle_bytes, announced(request.headers()));
    let query = Query::parse(request.uri().query().unwrap_or_default());
    if let Some(url) = query.text("url").filter(|_| app.config().version.with(Difference::BundleFromUrl)) {
        fetch(app, url, &mut spool).await?;
        return Ok((spool, BTreeMap::new()));
    }
    // A form is no archive to releases that know none.
    if !is_multipart(request.headers()) || !app.config().version.with(Difference::BundleMetadata) {
        let mut body = request.into_body().into_data_stream();
        while let Some(bytes) = body.next().await {
            spool.write(&bytes.map_err(cut)?)?;
        }
        return Ok((spool, BTreeMap::new()));
    }
    let form = |error: MultipartError| cut(error.body_text());
    let mut parts = Multipart::from_request(request, &()).await.map_err(|error| cut(error.body_text()))?;
    let (mut metadata, mut has_archive) = (BTreeMap::new(), false);
    while let Some(mut part) = parts.next_field().await.map_err(form)? {
        match part.name() {
            Some("archive") if !has_archive => {
                has_archive = true;
                while let Some(bytes) = part.chunk().await.map_err(form)? {
                    spool.write(&bytes)?;
                }
            }
            Some("url") if !has_archive => {
                has_archive = true;
                let url = part_text(part, "url", 2048).await?;
                fetch(app, String::from_utf8_lossy(&url).trim(), &mut spool).await?;
            }
            Some("metadata") => metadata = parse_metadata(&part_text(part, "metadata", 64 * 1024).await?)?,
            name => {
                let text = format!("The form has the part `{}`, which is not known.", name.unwrap_or_default());
                return Err(Error::bad(Code::BadRequest, text));
            }
        }
    }
    if has_archive {
        Ok((spool, metadata))
    } else {
        Err(Error::bad(Code::BundleMissing, "The form has neither a part `archive` nor a part `url`."))
    }
}

/// A part that is read whole, of at most `most` bytes.
async fn part_text(mut part: Field<'_>, name: &str, most: usize) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| cut(error.body_text()))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > most {
            return Err(Error::too_large(&format!("The part `{name}`"), most as u64));
        }
    }
    Ok(bytes)
}

/// Fetches an archive from another server.
async fn fetch(app: &App, url: &str, spool: &mut Spool) -> Result<()> {
    let url = url::Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let url = url.ok_or_else(|| Error::bad(Code::InvalidBundleUrl, "`url` must be an http or https URL."))?;
    let failed = |why: String| {
        Error::bad(Code::UnableToGetBundleFromUrl, format!("The bundle cannot be fetched from `url`: {why}."))
    };
    let answer = app.outside().get(&url, HeaderMap::new()).await.map_err(|error| failed(error.to_string()))?;
    if !answer.status().is_success() {
        return Err(failed(format!("it was answered with {}", answer.status())));
    }
    let mut body = answer.bytes_stream();
    while let Some(bytes) = body.next().await {
        spool.write(&bytes.map_err(|error| failed(error.to_string()))?)?;
    }
    Ok(())
}

/// Reads the flat JSON object that a client says about its bundle. Values that are no strings are kept as JSON.
///
/// # Errors
/// 400 when it is something else, or too much.
fn parse_metadata(bytes: &[u8]) -> Result<BTreeMap<String, String>> {
    let bad = |text: String| Error::bad(Code::CannotParseRequestBody, text);
    let value =
        serde_json::from_slice(bytes).map_err(|error| bad(format!("`metadata` is not valid JSON: {error}.")))?;
    let Value::Object(map) = value else { return Err(bad("`metadata` must be a JSON object.".to_owned())) };
    if map.len() > 100 {
        return Err(bad("`metadata` must not have more than 100 members.".to_owned()));
    }
    let mut metadata = BTreeMap::new();
    for (name, value) in map {
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text,
            other => other.to_string(),
        };
        if name.contains('\0') || text.contains('\0') {
            return Err(bad("`metadata` must not hold a NUL character.".to_owned()));
        }
        metadata.insert(name, text);
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn metadata_is_flat() {
        let parsed = parse_metadata(br#"{"source":"git","n":1,"o":{"a":[]},"x":null}"#).unwrap();
        let expected = [("source", "git"), ("n", "1"), ("o", r#"{"a":[]}"#)];
        assert_eq!(parsed, expected.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
        assert!(parse_metadata(b"[]").is_err() && parse_metadata(b"{").is_err());
        assert!(parse_metadata(br#"{"a":"\u0000"}"#).is_err());
    }

    proptest! {
        #[test]
        fn any_metadata_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = parse_metadata(&bytes);
        }
    }
}
