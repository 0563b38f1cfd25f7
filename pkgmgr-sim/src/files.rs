//! Package files, fetched from the package service when a client first asks for one and then kept.
//!
//! However many ask for a file at once, it is fetched once: the first request starts a flight, everyone reads what has
//! arrived. The last bytes are held back until the digest of the whole is verified, so nobody ever holds a complete file that
//! is not the right one: with a wrong digest the connections end short of their `Content-Length`, and what came is thrown
//! away. When the failure is known before the first byte was sent, the answer is 502.

use std::collections::HashMap;
use std::io::SeekFrom;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, LOCATION, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use pkg_formats::psp::{self, Digest};
use sha2::{Digest as _, Sha256};
use sim_kit::at_hand::Repeatable;
use sim_kit::http_client::Link;
use sim_kit::serve_bytes::{Content, Source, serve};
use sim_kit::{Blobs, World};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::watch;

use crate::config::Config;
use crate::error::Error;
use crate::snapshot::Freshness;

/// No package file is larger.
const LARGEST: u64 = 8 << 30;
/// How often a download that was cut goes on where it stopped.
const ATTEMPTS: u32 = 3;
/// A piece of a file handed to a client.
const PIECE: usize = 64 * 1024;

/// A file that clients can have.
#[derive(Debug, Clone)]
pub struct File {
    /// Its bytes.
    pub digest: Digest,
    /// How many; none when nobody has said.
    pub size: Option<u64>,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// What caches are told.
    pub freshness: Freshness,
}

impl File {
    /// The file once it is in the blob store.
    fn content(&self, blobs: &Blobs, size: u64) -> Content {
        Content {
            body: Source::Blob(blobs.clone(), stored(self.digest), size),
            etag: self.digest.to_string(),
            content_type: self.content_type,
            cache_control: Some(self.freshness.cache_control),
            last_modified: Some(self.freshness.modified),
        }
    }
}

/// The files here and on their way. Clones share them.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

struct Inner {
    world: World,
    upstream: Link,
    base: url::Url,
    redirect: bool,
    folder: PathBuf,
    flights: Mutex<HashMap<Digest, Arc<Flight>>>,
}

/// A file on its way.
struct Flight {
    /// Where it is written to while it is not verified.
    path: PathBuf,
    progress: watch::Sender<Progress>,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    /// Bytes that clients may have.
    released: u64,
    /// The size, once the service has said it.
    size: Option<u64>,
    end: Option<Result<(), String>>,
}

/// The name of a blob in sim-kit's store.
#[must_use]
pub fn stored(digest: Digest) -> sim_kit::Digest {
    sim_kit::Digest::from(digest.0)
}

impl Files {
    pub(crate) fn new(world: &World, upstream: &Link, config: &Config) -> Result<Self, Error> {
        let folder = world.folder("incoming-packages")?;
        // What a process that died left half-fetched.
        for entry in std::fs::read_dir(&folder)?.flatten() {
            std::fs::remove_file(entry.path())?;
        }
        Ok(Self(Arc::new(Inner {
            world: world.clone(),
            upstream: upstream.clone(),
            base: config.upstream.clone(),
            redirect: config.redirect_mode,
            folder,
            flights: Mutex::default(),
        })))
    }

    fn blobs(&self) -> &Blobs {
        self.0.world.blobs()
    }

    /// The answer to a GET or HEAD of `file`.
    ///
    /// # Errors
    /// [`Error::Upstream`] when the file is neither here nor to be had.
    pub async fn serve(&self, method: &Method, request: &HeaderMap, file: File) -> Result<Response, Error> {
        let blob = stored(file.digest);
        let size = match (self.blobs().size(&blob).await, file.size) {
            (Ok(size), _) => Some(size),
            // Nothing is read from the store for a HEAD.
            (Err(sim_kit::blobs::BlobError::Missing(_)), Some(size)) if method == Method::HEAD => Some(size),
            (Err(sim_kit::blobs::BlobError::Missing(_)), _) => None,
            (Err(error), _) => return Err(error.into()),
        };
        if size.is_none() && self.0.redirect {
            let location = link(&self.0.base, &psp::blob_path(&file.digest));
            return Ok((StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location.to_string())]).into_response());
        }
        let in_parts = [RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE].iter().any(|name| request.contains_key(name));
        let size = match size {
            Some(size) => size,
            None if in_parts || method == Method::HEAD => self.fetch(file.digest, file.size).await?,
            None => return self.stream(file).await,
        };
        let mut content = file.content(self.blobs(), size);
        let Some(bytes) = self.blobs().at_hand(&stored(file.digest)) else {
            return Ok(serve(method, request, content).await?);
        };
        content.body = Source::Bytes(bytes.clone());
        let mut response = serve(method, request, content).await?;
        if response.status() == StatusCode::OK {
            response.extensions_mut().insert(Repeatable(bytes));
        }
        Ok(response)
    }

    /// Sees to it that the blob is here, and gives its size.
    ///
    /// # Errors
    /// [`Error::Upstream`] when it is not to be had.
    pub async fn fetch(&self, digest: Digest, size: Option<u64>) -> Result<u64, Error> {
        match self.blobs().size(&stored(digest)).await {
            Ok(size) => return Ok(size),
            Err(sim_kit::blobs::BlobError::Missing(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let flight = self.board(digest, size);
        let mut progress = flight.progress.subscribe();
        let end = progress.wait_for(|p| p.end.is_some()).await.map(|p| p.end.clone());
        match end {
            Ok(Some(Ok(()))) => Ok(self.blobs().size(&stored(digest)).await?),
            Ok(Some(Err(reason))) => Err(Error::Upstream(reason)),
            _ => Err(Error::Upstream("the download was given up".to_owned())),
        }
    }

    /// The flight of `digest`, which is started if there is none.
    fn board(&self, digest: Digest, size: Option<u64>) -> Arc<Flight> {
        let mut flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = flights.get(&digest) {
            return flight.clone();
        }
        let path = self.0.folder.join(self.0.world.ids().hex("incoming-package", 32));
        let flight = Arc::new(Flight { path, progress: watch::channel(Progress::default()).0 });
        flights.insert(digest, flight.clone());
        drop(flights);
        let (this, started) = (self.clone(), flight.clone());
        self.0.world.spawn(async move {
            let landed = Landed { files: &this, flight: &started, digest };
            // A flight may have landed since the caller saw that the blob was not here.
            let end = match this.blobs().contains(&stored(digest)).await {
                Ok(true) => Ok(()),
                _ => this.download(digest, size, &started).await,
            };
            landed.with(end);
        });
        flight
    }

    /// Streams a file while it arrives.
    async fn stream(&self, file: File) -> Result<Response, Error> {
        let flight = self.board(file.digest, file.size);
        let mut progress = flight.progress.subscribe();
        let given_up = |_| Error::Upstream("the download was given up".to_owned());
        let first = progress.wait_for(|p| p.released > 0 || p.end.is_some()).await.map_err(given_up)?.clone();
        if let Some(Err(reason)) = first.end {
            return Err(Error::Upstream(reason));
        }
        // The file goes away when the flight lands, so it is opened before that is looked at again.
        let source = match tokio::fs::File::open(&flight.path).await {
            Ok(source) => source,
            Err(_) => {
                let size = self.fetch(file.digest, file.size).await?;
                return Ok(serve(&Method::GET, &HeaderMap::new(), file.content(self.blobs(), size)).await?);
            }
        };
        let mut headers = HeaderMap::with_capacity(12);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(file.content_type));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(file.freshness.cache_control));
        headers.insert(LAST_MODIFIED, file.freshness.modified_header.clone());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(ETAG, HeaderValue::try_from(format!("\"{}\"", file.digest)).expect("hexadecimal digits"));
        if let Some(size) = file.size.or(first.size) {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(size));
        }
        Ok((headers, Body::from_stream(follow(source, progress))).into_response())
    }

    async fn download(&self, digest: Digest, size: Option<u64>, flight: &Flight) -> Result<(), String> {
        let url = link(&self.0.base, &psp::blob_path(&digest));
        if let Ok(path) = url.to_file_path() {
            return self.take(digest, &path).await.map(drop);
        }
        let disk = |error: std::io::Error| format!("cannot write to the disk: {error}");
        let mut file = tokio::fs::File::create(&flight.path).await.map_err(disk)?;
        let mut hash = Sha256::new();
        let mut have = 0_u64;
        let mut reason = String::new();
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                tracing::info!(%url, have, reason, "a download goes on where it was cut");
            }
            let mut headers = HeaderMap::new();
            if have > 0 {
                headers.insert(RANGE, HeaderValue::try_from(format!("bytes={have}-")).expect("digits"));
            }
            let answer = match self.0.upstream.get(&url, headers).await {
                Ok(answer) => answer,
                Err(error) => {
                    reason = error.to_string();
                    continue;
                }
            };
            let mut skip = match answer.status() {
                StatusCode::OK => have,
                StatusCode::PARTIAL_CONTENT if starts_at(answer.headers()) == Some(have) => 0,
                status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
                    reason = format!("{url} answers {status}");
                    continue;
                }
                status => return Err(format!("{url} answers {status}")),
            };
            let total = answer.content_length().map(|length| length + have - skip);
            if total.is_some_and(|total| total > LARGEST) {
                return Err(format!("{url} is larger than {LARGEST} bytes"));
            }
            flight.progress.send_modify(|p| p.size = p.size.or(total));
            let mut body = answer.bytes_stream();
            loop {
                let bytes = match body.next().await {
                    None => break,
                    Some(Ok(bytes)) => bytes,
                    Some(Err(error)) => {
                        reason = format!("{url}: {error}");
                        break;
                    }
                };
                let skipped = skip.min(bytes.len() as u64);
                skip -= skipped;
                let bytes = bytes.slice(usize::try_from(skipped).unwrap_or(bytes.len())..);
                // All that came before this piece may go out: this one may be the last.
                flight.progress.send_if_modified(|p| std::mem::replace(&mut p.released, have) != have);
                hash.update(&bytes);
                file.write_all(&bytes).await.map_err(disk)?;
                file.flush().await.map_err(disk)?;
                have += bytes.len() as u64;
                if have > size.unwrap_or(LARGEST) {
                    return Err(format!("{url} is larger than it should be"));
                }
            }
            let complete = match size.or(total) {
                Some(expected) => have >= expected,
                None => reason.is_empty(),
            };
            if complete {
                let found = Digest(hash.finalize().into());
                if found != digest {
                    return Err(format!("{url} has the SHA-256 {found}"));
                }
                return self.keep(&flight.path, have).await;
            }
            if reason.is_empty() {
                reason = format!("{url} ended after {have} bytes");
            }
        }
        Err(reason)
    }

    /// Copies the file at `path`, which must be the blob `digest`, and gives its size.
    pub(crate) async fn take(&self, digest: Digest, path: &Path) -> Result<u64, String> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let file = tokio::fs::File::open(path).await.map_err(|error| failed(&error))?;
        let pieces = tokio_util::io::ReaderStream::with_capacity(file, PIECE);
        let name = self.0.world.ids().hex("blob", 32);
        let (found, size) = self.blobs().put_stream(&name, LARGEST, pieces).await.map_err(|error| failed(&error))?;
        if found == stored(digest) {
            return Ok(size);
        }
        // What came instead stays under its own name, which may be that of a file that is needed.
        Err(format!("{} has the SHA-256 {found}", path.display()))
    }

    /// Moves a verified file to where it stays.
    async fn keep(&self, path: &Path, size: u64) -> Result<(), String> {
        let keep = async {
            let file = tokio::fs::File::open(path).await?;
            let pieces = tokio_util::io::ReaderStream::with_capacity(file, PIECE);
            let name = self.0.world.ids().hex("blob", 32);
            self.blobs().put_stream(&name, size, pieces).await.map_err(std::io::Error::other)
        };
        keep.await.map(drop).map_err(|error| format!("cannot keep the file: {error}"))
    }
}

/// Ends a flight, also when its work is dropped because the World ends.
struct Landed<'a> {
    files: &'a Files,
    flight: &'a Flight,
    digest: Digest,
}

impl Landed<'_> {
    fn with(self, end: Result<(), String>) {
        self.land(end);
    }

    fn land(&self, end: Result<(), String>) {
        // First the flight leaves the table: who comes later finds the blob, or starts anew.
        self.files.0.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.digest);
        if let Err(reason) = &end {
            tracing::warn!(reason, "a package file cannot be fetched");
        }
        self.flight.progress.send_if_modified(|p| {
            let open = p.end.is_none();
            if open {
                p.end = Some(end);
            }
            open
        });
        let _ = std::fs::remove_file(&self.flight.path);
    }
}

impl Drop for Landed<'_> {
    fn drop(&mut self) {
        if self.flight.progress.borrow().end.is_none() {
            self.land(Err("the download was given up".to_owned()));
        }
    }
}

/// What has arrived and may go out, until the flight ends.
fn follow(
    source: tokio::fs::File,
    progress: watch::Receiver<Progress>,
) -> impl futures_util::Stream<Item = Result<Bytes, std::io::Error>> + Send {
    let failed = |reason: String| Err(std::io::Error::other(reason));
    futures_util::stream::unfold(Some((source, progress, 0_u64)), move |state| async move {
        let (mut source, mut progress, at) = state?;
        let now = match progress.wait_for(|p| p.released > at || p.end.is_some()).await {
            Ok(now) => now.clone(),
            Err(_) => return Some((failed("the download was given up".to_owned()), None)),
        };
        if let Some(Err(reason)) = now.end {
            return Some((failed(reason), None));
        }
        let limit = match now.end {
            Some(_) => PIECE as u64,
            None => (now.released - at).min(PIECE as u64),
        };
        let mut piece = Vec::with_capacity(usize::try_from(limit).unwrap_or(PIECE));
        let read = async {
            source.seek(SeekFrom::Start(at)).await?;
            (&mut source).take(limit).read_to_end(&mut piece).await
        };
        match read.await {
            Ok(0) => None,
            Ok(n) => Some((Ok(piece.into()), Some((source, progress, at + n as u64)))),
            Err(error) => Some((Err(error), None)),
        }
    })
}

/// The first byte of a partial answer.
fn starts_at(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_RANGE)?.to_str().ok()?.strip_prefix("bytes ")?.split('-').next()?.parse().ok()
}

/// `path` below the service's address, which may have a path of its own.
pub(crate) fn link(base: &url::Url, path: &str) -> url::Url {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url
}
