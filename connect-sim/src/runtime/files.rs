//! Files of unpacked bundles.
//!
//! A bundle is unpacked when it is first looked at, by one request while others wait. The folder is a cache: what is in
//! it can be made again from the archive.

use std::path::{Path, PathBuf};

use axum::response::Response;
use http::{HeaderMap, Method};
use pkg_formats::archive::{Strip, extract};
use sim_kit::serve_bytes::{self, Source};

use crate::app::App;
use crate::bundles::check;
use crate::bundles::spool::Spool;
use crate::error::{Error, Result};
use crate::store;
use crate::store::bundles::Bundle;

/// The folder with the files of a bundle.
///
/// # Errors
/// When it cannot be unpacked.
pub async fn unpacked(app: &App, bundle: &Bundle) -> Result<PathBuf> {
    let (folder, lock) = app.unpacking(bundle.id);
    if tokio::fs::try_exists(&folder).await? {
        return Ok(folder);
    }
    let _alone = lock.lock().await;
    if tokio::fs::try_exists(&folder).await? {
        return Ok(folder);
    }
    let mut spool = Spool::of_blob(app.incoming(), app.world().blobs(), &bundle.digest).await?;
    let (limits, target) = (app.config().limits.archive.clone(), folder.clone());
    let unpack = move || extract(spool.reader()?, &target, &limits, Strip::TopDirectory).map_err(check::refused);
    tokio::task::spawn_blocking(unpack).await.map_err(|error| Error::Internal(error.to_string()))??;
    Ok(folder)
}

/// Takes away what was unpacked of bundles that are gone, and what was unpacked in part: for the start of a server.
///
/// # Errors
/// When the database or the files fail.
pub async fn sweep(app: &App) -> Result<()> {
    let known = store::bundles::ids(&mut *app.read().await?).await?;
    let mut entries = tokio::fs::read_dir(app.unpacked()).await?;
    while let Some(entry) = entries.next_entry().await? {
        let id = entry.file_name().to_str().and_then(|name| name.parse::<i64>().ok());
        if !id.is_some_and(|id| known.contains(&id)) {
            tokio::fs::remove_dir_all(entry.path()).await?;
        }
    }
    Ok(())
}

/// The place of `path` in `root`; none for a path that could lead elsewhere.
#[must_use]
pub fn place(root: &Path, path: &str) -> Option<PathBuf> {
    let mut place = root.to_owned();
    for part in path.split('/') {
        match part {
            "" => {}
            "." | ".." => return None,
            part if part.contains(['\\', '\0']) => return None,
            part => place.push(part),
        }
    }
    Some(place)
}

/// What a path leads to.
pub enum Found {
    /// A file of this size.
    File(PathBuf, u64),
    /// A folder, asked for without a slash at the end.
    Folder,
}

/// Looks `path` up in `root`. A folder stands for its `index.html`, the root for `home` if that is given.
///
/// # Errors
/// When the files cannot be read.
pub async fn find(root: &Path, path: &str, home: Option<&str>) -> Result<Option<Found>> {
    let Some(mut target) = place(root, path) else { return Ok(None) };
    let metadata = |path: PathBuf| async move {
        match tokio::fs::metadata(&path).await {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Ok(None),
                // A name that is longer than any file's.
                std::io::ErrorKind::InvalidFilename => Ok(None),
                _ => Err(Error::from(error)),
            },
        }
    };
    let Some(mut found) = metadata(target.clone()).await? else { return Ok(None) };
    if found.is_dir() {
        if !path.is_empty() && !path.ends_with('/') {
            return Ok(Some(Found::Folder));
        }
        let index = match home {
            Some(home) if path.is_empty() => place(root, home),
            _ => Some(target.join("index.html")),
        };
        let Some(index) = index else { return Ok(None) };
        target = index;
        match metadata(target.clone()).await? {
            Some(file) => found = file,
            None => return Ok(None),
        }
    } else if path.ends_with('/') {
        return Ok(None);
    }
    Ok(found.is_file().then_some(Found::File(target, found.len())))
}

/// Answers with a file of a bundle.
///
/// # Errors
/// When the file cannot be read.
pub async fn serve(
    bundle: &Bundle,
    file: PathBuf,
    size: u64,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Response> {
    let content_type = content_type(&file.to_string_lossy());
    let content = serve_bytes::Content {
        // The files of a bundle never change, and a tag is compared with those of the same path only.
        etag: format!("{}-{size}", &bundle.digest.to_string()[..32]),
        body: Source::File(file, size),
        content_type,
        cache_control: Some("no-cache"),
        last_modified: None,
    };
    Ok(serve_bytes::serve(method, headers, content).await?)
}

/// The media type of a file by its name.
#[must_use]
pub fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
    match extension.as_deref().unwrap_or_default() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "txt" | "log" | "r" | "rmd" | "qmd" | "py" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "xml" => "application/xml",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "pdf" => "application/pdf",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "wasm" => "application/wasm",
        "zip" => "application/zip",
        "gz" => "application/gzip",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        "ipynb" => "application/x-ipynb+json",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_path_leaves_the_root(path in "[a./\\\\\0%]{0,30}") {
            if let Some(place) = place(Path::new("/base/x"), &path) {
                prop_assert!(place.starts_with("/base/x"));
                prop_assert!(!place.components().any(|c| matches!(c, std::path::Component::ParentDir)));
            }
        }
    }
}
