//! Getting documents from the package service, within bounds of size and time.

use std::time::Duration;

use futures_util::StreamExt as _;
use http::{HeaderMap, StatusCode};
use pkg_formats::psp::{self, Object};

use super::SyncError;
use crate::app::App;
use crate::files::link;

/// No document but a blob is larger.
const DOCUMENT: u64 = 16 << 20;
/// No delta, pack or full state is larger.
const OBJECT: u64 = 256 << 20;
/// How often a document is asked for before its failure counts.
const ATTEMPTS: u32 = 3;

impl App {
    /// A small document.
    pub(super) async fn document(&self, path: &str) -> Result<Vec<u8>, SyncError> {
        self.bounded(path, DOCUMENT).await
    }

    /// The bytes of a delta, a pack or a full state; not verified yet.
    pub(super) async fn object(&self, object: &Object) -> Result<Vec<u8>, SyncError> {
        let path = psp::blob_path(&object.digest);
        if object.size > OBJECT {
            return Err(SyncError::TooLarge { url: link(&self.0.config.upstream, &path).to_string(), limit: OBJECT });
        }
        self.bounded(&path, object.size).await
    }

    async fn bounded(&self, path: &str, limit: u64) -> Result<Vec<u8>, SyncError> {
        let url = link(&self.0.config.upstream, path);
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
