//! Files of unpacked bundles.
//!
//! A small bundle is unpacked into memory when it comes, another one into a folder when it is first looked at, by one request while
//! others wait. Both are caches: what is in them can be made again from the archive.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, Method};
use pkg_formats::archive::{Kind, Limits, Strip, extract, scan};
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use sim_kit::serve_bytes::{self, Source};

use crate::app::App;
use crate::bundles::check;
use crate::bundles::spool::Archive;
use crate::error::{Error, Result};
use crate::store;
use crate::store::bundles::Bundle;

/// Bytes of an archive, and of the files in it, that are unpacked into memory, at most.
const SMALL: u64 = 2 << 20;
/// Files and folders of such an archive, at most.
const FEW: usize = 200;
/// Bytes of all bundles in memory, at most.
const BUDGET: u64 = 16 << 20;

/// The files of small bundles that were looked at lately, by the bundle's id, which never comes again.
pub type SmallBundles = Cache<i64, Arc<Tree>, BySize>;

/// An empty [`SmallBundles`].
#[must_use]
pub fn small_bundles() -> SmallBundles {
    // Of one part, so that there is room for the largest. Most of it is for what came last: a bundle is opened soon after, and by
    // default the next few would have pushed it out.
    let options = OptionsBuilder::new()
        .shards(1)
        .estimated_items_capacity(32)
        .weight_capacity(BUDGET)
        .hot_allocation(0.25)
        .build()
        .expect("all that is needed is said");
    Cache::with_options(options, BySize, DefaultHashBuilder::default(), DefaultLifecycle::default())
}

/// Weighs a tree by its bytes.
#[derive(Clone)]
pub struct BySize;

impl Weighter<i64, Arc<Tree>> for BySize {
    fn weight(&self, _: &i64, tree: &Arc<Tree>) -> u64 {
        tree.0.iter().map(|(path, bytes)| (path.len() + bytes.len() + 128) as u64).sum()
    }
}

/// Files by their path from the root. A folder is there as well, with a slash at the end, and without bytes.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, Bytes>);

/// The files of a bundle.
#[derive(Debug, Clone)]
pub enum Files {
    /// In memory.
    Tree(Arc<Tree>),
    /// In a folder.
    Folder(PathBuf),
}

/// Where the bytes of a file are.
#[derive(Debug)]
pub enum File {
    /// In memory.
    Bytes(Bytes),
    /// At this place, so many.
    Path(PathBuf, u64),
}

impl File {
    /// How many they are.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Path(_, size) => *size,
        }
    }

    /// All of them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn read(self) -> Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.into()),
            Self::Path(path, _) => Ok(tokio::fs::read(path).await?),
        }
    }
}

/// The files of a bundle, unpacked.
///
/// # Errors
/// When it cannot be unpacked.
pub async fn unpacked(app: &App, bundle: &Bundle) -> Result<Files> {
    let small = app.small_bundles();
    if let Some(tree) = small.get(&bundle.id) {
        return Ok(Files::Tree(tree));
    }
    let (folder, lock) = app.unpacking(bundle.id);
    // Too short to hand to another thread.
    if folder.try_exists()? {
        return Ok(Files::Folder(folder));
    }
    let _alone = lock.lock().await;
    if let Some(tree) = small.get(&bundle.id) {
        return Ok(Files::Tree(tree));
    }
    if folder.try_exists()? {
        return Ok(Files::Folder(folder));
    }
    let mut archive = Archive::of(app, bundle).await?;
    let limits = app.config().limits.archive.clone();
    let size = bundle.size.unsigned_abs();
    let unpack = move || {
        if let Some(tree) = into_memory(archive.reader()?, size, &limits)? {
            return Ok(Files::Tree(Arc::new(tree)));
        }
        extract(archive.reader()?, &folder, &limits, Strip::TopDirectory).map_err(check::refused)?;
        Ok::<_, Error>(Files::Folder(folder))
    };
    let files = tokio::task::spawn_blocking(unpack).await.map_err(|error| Error::Internal(error.to_string()))??;
    if let Files::Tree(tree) = &files {
        small.insert(bundle.id, tree.clone());
    }
    Ok(files)
}

/// Unpacks an archive of so many bytes, unless there is too much in it.
///
/// # Errors
/// 400 with code 135 for a bad archive.
pub fn into_memory(archive: impl Read, size: u64, limits: &Limits) -> Result<Option<Tree>> {
    if size > SMALL {
        return Ok(None);
    }
    let (mut files, mut bytes, mut too_much) = (BTreeMap::new(), 0, false);
    let scanned = scan(archive, limits, |entry, data| {
        bytes += entry.size;
        if bytes > SMALL || files.len() >= FEW {
            too_much = true;
            return Err(std::io::Error::other("too much for memory").into());
        }
        match entry.kind {
            Kind::Directory => files.insert(format!("{}/", entry.path), Bytes::new()),
            Kind::File => {
                let mut text = Vec::with_capacity(usize::try_from(entry.size).unwrap_or_default());
                data.read_to_end(&mut text)?;
                files.insert(entry.path.clone(), text.into())
            }
        };
        Ok(())
    });
    if too_much {
        return Ok(None);
    }
    let Some(top) = scanned.map_err(check::refused)?.top else { return Ok(Some(Tree(files))) };
    let below = files.into_iter().filter_map(|(path, bytes)| {
        let path = path.strip_prefix(&top)?.strip_prefix('/').filter(|path| !path.is_empty())?;
        Some((path.to_owned(), bytes))
    });
    Ok(Some(Tree(below.collect())))
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

/// The parts of a path below a root, between its slashes; none when it could lead elsewhere.
fn parts(path: &str) -> Option<Vec<&str>> {
    let bad = |part: &&str| matches!(*part, "." | "..") || part.contains(['\\', '\0']);
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    (!parts.iter().any(bad)).then_some(parts)
}

/// What a path leads to.
pub enum Found {
    /// A file, by this path.
    File(String, File),
    /// A folder, asked for without a slash at the end.
    Folder,
}

/// What is at a place.
enum At {
    File(File),
    Folder,
}

impl Tree {
    /// The bytes of a file, by its path from the root.
    #[must_use]
    pub fn bytes(&self, path: &str) -> Option<&Bytes> {
        self.0.get(path)
    }

    fn at(&self, parts: &[&str]) -> Option<At> {
        let path = parts.join("/");
        if let Some(bytes) = self.0.get(&path) {
            return Some(At::File(File::Bytes(bytes.clone())));
        }
        let folder = format!("{path}/");
        let is_folder = path.is_empty() || self.0.range(folder.clone()..).next()?.0.starts_with(&folder);
        is_folder.then_some(At::Folder)
    }
}

impl Files {
    async fn at(&self, parts: &[&str]) -> Result<Option<At>> {
        let place = match self {
            Self::Tree(tree) => return Ok(tree.at(parts)),
            Self::Folder(root) => root.join(PathBuf::from_iter(parts)),
        };
        match tokio::fs::metadata(&place).await {
            Ok(metadata) if metadata.is_dir() => Ok(Some(At::Folder)),
            Ok(metadata) => Ok(metadata.is_file().then(|| At::File(File::Path(place, metadata.len())))),
            Err(error) => match error.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Ok(None),
                // A name that is longer than any file's.
                std::io::ErrorKind::InvalidFilename => Ok(None),
                _ => Err(Error::from(error)),
            },
        }
    }

    /// The file at `path`, when there is one.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub async fn file(&self, path: &str) -> Result<Option<File>> {
        let Some(parts) = parts(path) else { return Ok(None) };
        Ok(match self.at(&parts).await? {
            Some(At::File(file)) => Some(file),
            _ => None,
        })
    }

    /// Looks `path` up. A folder stands for its `index.html`, the root for `home` if that is given.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub async fn find(&self, path: &str, home: Option<&str>) -> Result<Option<Found>> {
        let Some(parts) = parts(path) else { return Ok(None) };
        let wants_folder = path.is_empty() || path.ends_with('/');
        let index = match self.at(&parts).await? {
            None => return Ok(None),
            Some(At::File(_)) if wants_folder => return Ok(None),
            Some(At::File(file)) => return Ok(Some(Found::File(parts.join("/"), file))),
            Some(At::Folder) if !wants_folder => return Ok(Some(Found::Folder)),
            Some(At::Folder) => match home.filter(|_| path.is_empty()) {
                Some(home) => home.to_owned(),
                None => format!("{path}/index.html"),
            },
        };
        Ok(self.file(&index).await?.map(|file| Found::File(index, file)))
    }

    /// Paths and sizes of all files, in order.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub async fn list(&self) -> Result<Vec<(String, u64)>> {
        let root = match self {
            Self::Tree(tree) => {
                let files = tree.0.iter().filter(|(path, _)| !path.ends_with('/'));
                return Ok(files.map(|(path, bytes)| (path.clone(), bytes.len() as u64)).collect());
            }
            Self::Folder(root) => root.clone(),
        };
        let walk = move || {
            let mut found = Vec::new();
            walk(&root, "", &mut found)?;
            found.sort();
            Ok(found)
        };
        tokio::task::spawn_blocking(walk).await.map_err(|error| Error::Internal(error.to_string()))?
    }
}

/// The files below `folder`, with their sizes.
fn walk(folder: &Path, prefix: &str, found: &mut Vec<(String, u64)>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let path = format!("{prefix}{}", name.to_string_lossy());
        let metadata = entry.metadata()?;
        if metadata.is_dir() {
            walk(&entry.path(), &format!("{path}/"), found)?;
        } else {
            found.push((path, metadata.len()));
        }
    }
    Ok(())
}

/// Answers with a file of a bundle, which is at `path`.
///
/// # Errors
/// When the file cannot be read.
pub async fn serve(bundle: &Bundle, path: &str, file: File, method: &Method, headers: &HeaderMap) -> Result<Response> {
    let content = serve_bytes::Content {
        // The files of a bundle never change, and a tag is compared with those of the same path only.
        etag: format!("{}-{}", &bundle.digest.to_string()[..32], file.size()),
        body: match file {
            File::Bytes(bytes) => Source::Bytes(bytes),
            File::Path(path, size) => Source::File(path, size),
        },
        content_type: content_type(path),
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

    /// An archive; a path with a slash at the end is a folder.
    fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o755);
            if path.ends_with('/') {
                header.set_entry_type(tar::EntryType::Directory);
            }
            tar.append_data(&mut header, path, *bytes).unwrap();
        }
        tar.into_inner().unwrap().finish().unwrap()
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_root(path in "[a./\\\\\0%]{0,30}") {
            if let Some(parts) = parts(&path) {
                let place = Path::new("/base/x").join(PathBuf::from_iter(&parts));
                prop_assert!(place.starts_with("/base/x"));
                prop_assert!(!place.components().any(|c| matches!(c, std::path::Component::ParentDir)));
            }
        }
    }

    /// Memory and folder are two ways to the same files.
    #[tokio::test]
    async fn a_small_bundle_is_served_from_memory_as_from_a_folder() {
        for top in ["", "site/"] {
            let archive = tar(&[
                (&format!("{top}index.html"), b"home"),
                (&format!("{top}a/index.html"), b"a"),
                (&format!("{top}a/b.c/data.csv"), b"1,2"),
                (&format!("{top}empty/"), b""),
            ]);
            let folder = tempfile::tempdir().unwrap();
            let root = folder.path().join("files");
            extract(&archive[..], &root, &Limits::default(), Strip::TopDirectory).unwrap();
            let tree = into_memory(&archive[..], 0, &Limits::default()).unwrap().unwrap();
            let (tree, folder) = (Files::Tree(Arc::new(tree)), Files::Folder(root));
            assert_eq!(tree.list().await.unwrap(), folder.list().await.unwrap());
            for path in [
                "",
                "/",
                "index.html",
                "index.html/",
                "a",
                "a/",
                "a/b.c",
                "a/b.c/",
                "a//b.c/data.csv",
                "empty",
                "empty/",
                "b",
                "../files/index.html",
                "a/../index.html",
            ] {
                for home in [None, Some("a/b.c/data.csv"), Some("nothing"), Some("a")] {
                    let mut answers = Vec::new();
                    for files in [&tree, &folder] {
                        answers.push(match files.find(path, home).await.unwrap() {
                            None => "none".to_owned(),
                            Some(Found::Folder) => "folder".to_owned(),
                            Some(Found::File(path, file)) => format!("{path} {:?}", file.read().await.unwrap()),
                        });
                    }
                    assert_eq!(answers[0], answers[1], "{path:?} {home:?}");
                }
            }
        }
    }

    #[test]
    fn bundles_that_came_last_are_kept_until_they_are_opened() {
        let cache = small_bundles();
        let tree = || Arc::new(Tree(BTreeMap::from([("index.html".to_owned(), Bytes::from(vec![b'x'; 1 << 20]))])));
        // Eight at a time, as clients publish: all come before the first is opened.
        for eight in 0..20 {
            let ids: Vec<i64> = (eight * 8..eight * 8 + 8).collect();
            ids.iter().for_each(|id| cache.insert(*id, tree()));
            assert!(ids.iter().all(|id| cache.get(id).is_some()), "{eight}");
        }
        assert!(cache.weight() <= BUDGET);
    }

    #[test]
    fn what_is_too_much_for_memory_is_left_to_the_folder() {
        let zeros = vec![0; SMALL as usize + 1];
        assert!(into_memory(&tar(&[("zeros", &zeros)])[..], 0, &Limits::default()).unwrap().is_none());
        let many: Vec<String> = (0..=FEW).map(|n| format!("{n}.txt")).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert!(into_memory(&tar(&many)[..], 0, &Limits::default()).unwrap().is_none());
        assert!(into_memory(&b"no archive"[..], 0, &Limits::default()).is_err());
    }
}
