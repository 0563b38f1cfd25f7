//! Ready-made answers: index pages, kept because they are asked for over and over.
//!
//! A rendering is named by the state of the repo it shows and never changes; so it is built once, and an answer is a look
//! into a map. The map is bounded by bytes. Those that cost a walk through all packages are kept on disk too, so that neither
//! a restart nor a crowded map builds them again.

use std::collections::HashMap;
use std::future::Future;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, RANGE, VARY,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pkg_formats::archive::{Compression, gzip};
use pkg_formats::psp::Digest;
use sim_kit::at_hand::Repeatable;
use sim_kit::serve_bytes::{Content, Source, accepts_gzip, serve};

use crate::error::Error;
use crate::snapshot::Freshness;

/// Bytes of renderings in memory at most.
const BUDGET: u64 = 16 << 20;
/// A rendering larger than this share of the budget stays on disk.
const LARGEST: u64 = BUDGET / 2;
/// Bytes of renderings on disk at most.
const KEPT: u64 = 512 << 20;
/// Smaller bodies gain nothing by compression.
const WORTH_COMPRESSING: usize = 512;

/// How a rendering is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Vary`; empty for none.
    pub vary: &'static str,
    /// Whether it may be sent with `Content-Encoding: gzip`. Never for what is a `.gz` file itself.
    pub compress: bool,
    /// Whether it is kept on disk.
    pub keep: bool,
}

/// A ready-made answer.
#[derive(Debug)]
pub struct Rendering {
    kind: Kind,
    body: Bytes,
    etag: HeaderValue,
    gzip: Option<(Bytes, HeaderValue)>,
}

impl Rendering {
    fn new(kind: Kind, body: Bytes) -> Self {
        let digest = Digest::of(&body);
        let tag = |suffix: &str| HeaderValue::try_from(format!("\"{digest}{suffix}\"")).expect("hexadecimal digits");
        let gzip = (kind.compress && body.len() >= WORTH_COMPRESSING)
            .then(|| (Bytes::from(gzip(&body, Compression::Deflate)), tag("-gzip")));
        Self { kind, etag: tag(""), gzip, body }
    }

    /// The bytes.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    fn weight(&self) -> u64 {
        (self.body.len() + self.gzip.as_ref().map_or(0, |(bytes, _)| bytes.len()) + 256) as u64
    }

    /// The answer to a GET or HEAD.
    ///
    /// # Errors
    /// None that can happen with bytes in memory.
    pub async fn respond(
        &self,
        method: &Method,
        request: &HeaderMap,
        freshness: &Freshness,
    ) -> Result<Response, Error> {
        let gzip = self.gzip.as_ref().filter(|_| accepts_gzip(request));
        let (body, etag) = gzip.map_or((&self.body, &self.etag), |(body, etag)| (body, etag));
        let conditional = [RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|name| request.contains_key(name));
        let mut response = if conditional {
            let content = Content {
                body: Source::Bytes(body.clone()),
                etag: etag.to_str().unwrap_or_default().trim_matches('"').to_owned(),
                content_type: self.kind.content_type,
                cache_control: None,
                last_modified: Some(freshness.modified),
            };
            serve(method, request, content).await?
        } else {
            let mut headers = HeaderMap::with_capacity(12);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind.content_type));
            headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            headers.insert(ETAG, etag.clone());
            headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
            headers.insert(LAST_MODIFIED, freshness.modified_header.clone());
            let whole = if method == Method::HEAD { Body::empty() } else { Body::from(body.clone()) };
            let mut response = (headers, whole).into_response();
            response.extensions_mut().insert(Repeatable(body.clone()));
            response
        };
        let has_body = response.status() != StatusCode::NOT_MODIFIED;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(freshness.cache_control));
        if gzip.is_some() && has_body {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        if !self.kind.vary.is_empty() {
            headers.insert(VARY, HeaderValue::from_static(self.kind.vary));
        }
        Ok(response)
    }
}

/// The renderings at hand.
pub struct Renderings {
    folder: PathBuf,
    map: RwLock<Map>,
    clock: AtomicU64,
    /// Two requests for one rendering build it once; two for different ones seldom wait for each other.
    building: [tokio::sync::Mutex<()>; 32],
}

#[derive(Default)]
struct Map {
    known: HashMap<String, Slot>,
    bytes: u64,
}

struct Slot {
    rendering: Arc<Rendering>,
    used: AtomicU64,
}

impl Renderings {
    /// Renderings with `folder` for those that are kept.
    #[must_use]
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            map: RwLock::default(),
            clock: AtomicU64::new(0),
            building: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
        }
    }

    /// The rendering `key`, if it is in memory.
    #[must_use]
    pub fn at_hand(&self, key: &str) -> Option<Arc<Rendering>> {
        let map = self.map.read().unwrap_or_else(PoisonError::into_inner);
        let slot = map.known.get(key)?;
        slot.used.store(self.clock.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        Some(slot.rendering.clone())
    }

    /// The rendering `key`, built if need be. Equal keys must stand for equal bytes.
    ///
    /// # Errors
    /// What `build` failed with.
    pub async fn get<F>(&self, key: &str, kind: Kind, build: impl FnOnce() -> F) -> Result<Arc<Rendering>, Error>
    where
        F: Future<Output = Result<Vec<u8>, Error>>,
    {
        if let Some(known) = self.at_hand(key) {
            return Ok(known);
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let stripe = usize::try_from(hasher.finish() % self.building.len() as u64).unwrap_or(0);
        let _turn = self.building[stripe].lock().await;
        if let Some(known) = self.at_hand(key) {
            return Ok(known);
        }
        let path = self.folder.join(Digest::of(key.as_bytes()).to_string());
        let kept = if kind.keep { read_kept(path.clone()).await } else { None };
        let body = match kept {
            Some(body) => body,
            None => {
                let body = build().await?;
                if kind.keep { write_kept(path, body).await? } else { body }
            }
        };
        let rendering = blocking(move || Rendering::new(kind, body.into())).await?;
        let rendering = Arc::new(rendering);
        self.remember(key, &rendering);
        Ok(rendering)
    }

    fn remember(&self, key: &str, rendering: &Arc<Rendering>) {
        let weight = rendering.weight();
        if weight > LARGEST {
            return;
        }
        let mut map = self.map.write().unwrap_or_else(PoisonError::into_inner);
        if map.bytes + weight > BUDGET {
            // Down to half, the longest unused first: so this is rare.
            let mut by_use: Vec<(u64, String)> =
                map.known.iter().map(|(key, slot)| (slot.used.load(Ordering::Relaxed), key.clone())).collect();
            by_use.sort_unstable();
            for (_, key) in by_use {
                if map.bytes + weight <= BUDGET / 2 {
                    break;
                }
                if let Some(slot) = map.known.remove(&key) {
                    map.bytes -= slot.rendering.weight();
                }
            }
        }
        let used = AtomicU64::new(self.clock.fetch_add(1, Ordering::Relaxed));
        let slot = Slot { rendering: rendering.clone(), used };
        if let Some(old) = map.known.insert(key.to_owned(), slot) {
            map.bytes -= old.rendering.weight();
        }
        map.bytes += weight;
    }
}

/// Runs what takes long on a thread where it does not hold others up.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Internal(error.to_string()))
}

/// A kept file is the body and its SHA-256, so that a file cut short by a power failure is not taken for whole.
async fn read_kept(path: PathBuf) -> Option<Vec<u8>> {
    blocking(move || {
        let mut bytes = std::fs::read(path).ok()?;
        let digest = bytes.split_off(bytes.len().checked_sub(32)?);
        (Digest::of(&bytes).0.as_slice() == digest).then_some(bytes)
    })
    .await
    .ok()
    .flatten()
}

async fn write_kept(path: PathBuf, body: Vec<u8>) -> Result<Vec<u8>, Error> {
    blocking(move || {
        let write = || -> std::io::Result<()> {
            use std::io::Write as _;
            let next = path.with_extension("next");
            let mut file = std::fs::File::create(&next)?;
            file.write_all(&body)?;
            file.write_all(&Digest::of(&body).0)?;
            drop(file);
            std::fs::rename(next, &path)?;
            path.parent().map_or(Ok(()), make_room)
        };
        // It is only a copy: a full disk must not keep the answer from the client.
        if let Err(error) = write() {
            tracing::warn!(%error, "a rendered index is not kept");
        }
        body
    })
    .await
}

/// Takes the oldest files away until the rest fits [`KEPT`].
fn make_room(folder: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)?.flatten() {
        let metadata = entry.metadata()?;
        files.push((metadata.modified()?, metadata.len(), entry.path()));
    }
    let mut total: u64 = files.iter().map(|(_, size, _)| size).sum();
    files.sort();
    for (_, size, path) in files {
        if total <= KEPT {
            break;
        }
        std::fs::remove_file(path)?;
        total -= size;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind { content_type: "text/plain", vary: "Accept", compress: true, keep: true };

    #[tokio::test]
    async fn a_rendering_is_built_once_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let renderings = Renderings::new(folder.path().to_owned());
        let built = renderings.get("k", KIND, || async { Ok(b"abc".to_vec()) }).await.unwrap();
        assert_eq!(built.body(), "abc");
        let never = || async { Err(Error::Internal("built again".into())) };
        assert_eq!(renderings.get("k", KIND, never).await.unwrap().body(), "abc");
        let again = Renderings::new(folder.path().to_owned());
        assert_eq!(again.get("k", KIND, never).await.unwrap().body(), "abc");
        let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
        std::fs::write(file, b"abc").unwrap();
        assert!(Renderings::new(folder.path().to_owned()).get("k", KIND, never).await.is_err());
    }

    #[tokio::test]
    async fn memory_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let renderings = Renderings::new(folder.path().to_owned());
        let kind = Kind { compress: false, keep: false, ..KIND };
        for i in 0..50 {
            renderings.get(&i.to_string(), kind, || async { Ok(vec![0; 1 << 20]) }).await.unwrap();
            renderings.at_hand("0").unwrap();
        }
        assert!(renderings.map.read().unwrap().bytes <= BUDGET);
        assert!(renderings.at_hand("0").is_some() && renderings.at_hand("1").is_none());
    }
}
