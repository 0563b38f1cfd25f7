//! Getting documents from the package service, or from a folder with a copy of it, within bounds of size and time.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use pkg_formats::psp::{self, Object};

use super::SyncError;
use crate::app::App;
use crate::files::link;

/// Where documents come from.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// `http://…`, or `file://…` of a folder with the same paths.
    pub(crate) base: url::Url,
    /// It was carried here by hand, with all package files or without: heads are believed although they have expired on the way.
    pub(crate) carried: Option<bool>,
}

/// No document but a blob is larger.
const DOCUMENT: u64 = 16 << 20;
/// No delta, pack or full state is larger.
const OBJECT: u64 = 256 << 20;
/// How often a document is asked for before its failure counts.
const ATTEMPTS: u32 = 3;

impl App {
    /// The package service.
    pub(crate) fn service(&self) -> Upstream {
        Upstream { base: self.0.config.upstream.clone(), carried: None }
    }

    /// A small document.
    pub(crate) async fn document(&self, upstream: &Upstream, path: &str) -> Result<Vec<u8>, SyncError> {
        self.bounded(upstream, path, DOCUMENT).await
    }

    /// The bytes of a delta, a pack or a full state; not verified yet.
    pub(crate) async fn object(&self, upstream: &Upstream, object: &Object) -> Result<Vec<u8>, SyncError> {
        let path = psp::blob_path(&object.digest);
        if object.size > OBJECT {
            return Err(SyncError::TooLarge { url: link(&upstream.base, &path).to_string(), limit: OBJECT });
        }
        match self.bounded(upstream, &path, object.size).await {
            // A copy has no deltas past the retention of its original.
            Err(SyncError::Absent(path)) => Err(SyncError::Gone(path)),
            result => result,
        }
    }

    async fn bounded(&self, upstream: &Upstream, path: &str, limit: u64) -> Result<Vec<u8>, SyncError> {
        let url = link(&upstream.base, path);
        if let Ok(file) = url.to_file_path() {
            return from_disk(&file, limit).await;
        }
        let mut attempt = 1;
        loop {
            let result = self.get(&url, limit).await;
            let passing = match &result {
                Err(SyncError::Link(_) | SyncError::Cut { .. }) => true,
                Err(SyncError::Status { status, .. }) => {
                    status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
                }
                _ => false,
            };
            if !passing || attempt == ATTEMPTS {
                return result;
            }
            // Machine time: this is about the network, not about the simulated day.
            tokio::time::sleep(Duration::from_millis(50 << attempt)).await;
            attempt += 1;
        }
    }

    async fn get(&self, url: &url::Url, limit: u64) -> Result<Vec<u8>, SyncError> {
        // A slow service is a broken one.
        let patience = self.0.config.patience;
        let within = |allowed: Duration| move |_| SyncError::Slow { url: url.to_string(), seconds: allowed.as_secs() };
        let answer = tokio::time::timeout(patience, self.0.upstream.get(url, HeaderMap::new()));
        let answer = answer.await.map_err(within(patience))??;
        match answer.status() {
            StatusCode::OK => {}
            StatusCode::GONE => return Err(SyncError::Gone(url.to_string())),
            status => return Err(SyncError::Status { url: url.to_string(), status }),
        }
        let announced = answer.content_length();
        if announced.is_some_and(|length| length > limit) {
            return Err(SyncError::TooLarge { url: url.to_string(), limit });
        }
        let allowed = patience + Duration::from_secs(announced.unwrap_or(limit) / (64 << 10));
        tokio::time::timeout(allowed, read(url, answer, limit)).await.map_err(within(allowed))?
    }
}

async fn read(url: &url::Url, answer: reqwest::Response, limit: u64) -> Result<Vec<u8>, SyncError> {
    let mut bytes = Vec::with_capacity(usize::try_from(answer.content_length().unwrap_or(0)).unwrap_or(0));
    let mut body = answer.bytes_stream();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| SyncError::Cut { url: url.to_string(), reason: error.to_string() })?;
        if bytes.len() as u64 + piece.len() as u64 > limit {
            return Err(SyncError::TooLarge { url: url.to_string(), limit });
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

async fn from_disk(path: &std::path::Path, limit: u64) -> Result<Vec<u8>, SyncError> {
    use tokio::io::AsyncReadExt as _;
    let shown = || path.display().to_string();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => SyncError::Absent(shown()),
        _ => SyncError::Store(format!("{}: {error}", shown())),
    };
    let mut bytes = Vec::new();
    tokio::fs::File::open(path).await.map_err(failed)?.take(limit + 1).read_to_end(&mut bytes).await.map_err(failed)?;
    if bytes.len() as u64 > limit {
        return Err(SyncError::TooLarge { url: shown(), limit });
    }
    Ok(bytes)
}
