//! Asking a real index, and bringing its files among the blobs.

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use pkg_formats::psp::Digest;
use sim_kit::World;
use sim_kit::http_client::Link;
use url::Url;

use super::sources::Site;
use super::tape::{self, Tape};
use super::{MirrorError, Remote};

/// No package file is larger.
const LARGEST_FILE: u64 = 4 << 30;
/// No page and no list of packages is larger.
pub(super) const LARGEST_PAGE: u64 = 128 << 20;

/// What fetching takes.
pub(super) struct Fetcher<'a> {
    pub(super) world: &'a World,
    pub(super) link: Link,
    pub(super) tape: &'a Tape,
    /// None where only a recording is played.
    pub(super) site: Option<&'a Site>,
}

/// An answer of the index.
pub(super) struct Got {
    /// After redirects.
    pub(super) url: Url,
    pub(super) content_type: String,
    pub(super) body: Bytes,
}

impl Fetcher<'_> {
    pub(super) async fn send(
        &self,
        method: http::Method,
        url: &Url,
        accept: Option<&'static str>,
    ) -> Result<reqwest::Response, MirrorError> {
        let mut headers = HeaderMap::new();
        headers.extend(accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))));
        let address = self.site.map_or_else(|| url.clone(), |site| site.authorised(url));
        Ok(self.link.send(self.link.client().request(method, address).headers(headers)).await?)
    }

    /// The address of something in the index.
    pub(super) fn within_site(&self, path: &str) -> Result<Url, MirrorError> {
        let site = self.site.ok_or_else(|| MirrorError::malformed(path, "no index is mirrored"))?;
        site.url.join(path).map_err(|error| MirrorError::malformed(path, error))
    }

    /// A page of the index; None for 404 and 410.
    pub(super) async fn page(&self, url: &Url, accept: Option<&'static str>) -> Result<Option<Got>, MirrorError> {
        let answer = self.send(http::Method::GET, url, accept).await?;
        match answer.status().as_u16() {
            200 => {}
            404 | 410 => return Ok(None),
            _ => return Err(MirrorError::Status { url: url.to_string(), status: answer.status() }),
        }
        let too_large = || MirrorError::TooLarge { url: url.to_string(), limit: LARGEST_PAGE };
        if answer.content_length().is_some_and(|length| length > LARGEST_PAGE) {
            return Err(too_large());
        }
        let header = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let content_type = header.unwrap_or_default().to_ascii_lowercase();
        let landed = answer.url().clone();
        let mut body = Vec::new();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|e| MirrorError::Cut { url: url.to_string(), reason: e.to_string() })?;
            if (body.len() + piece.len()) as u64 > LARGEST_PAGE {
                return Err(too_large());
            }
            body.extend_from_slice(&piece);
        }
        Ok(Some(Got { url: landed, content_type, body: body.into() }))
    }

    /// Fetches a file into the blobs and verifies it; its size.
    pub(super) async fn file(&self, remote: &Remote) -> Result<u64, MirrorError> {
        if let Some(path) = self.tape.replayed(&remote.key) {
            let file = match tokio::fs::File::open(&path).await {
                Ok(file) => file,
                Err(_) => return Err(MirrorError::NotRecorded(path)),
            };
            let pieces = tokio_util::io::ReaderStream::new(file);
            return self.keep(remote.sha256, &path.display().to_string(), pieces).await;
        }
        let mut last = None;
        for url in &remote.urls {
            let answer = self.send(http::Method::GET, url, None).await?;
            if !answer.status().is_success() {
                last = Some(MirrorError::Status { url: url.to_string(), status: answer.status() });
                continue;
            }
            let size = self.keep(remote.sha256, url.as_str(), answer.bytes_stream()).await?;
            self.record(remote).await?;
            return Ok(size);
        }
        Err(last.unwrap_or_else(|| MirrorError::malformed(&remote.key, "it is nowhere to be had")))
    }

    pub(super) async fn keep<E: std::fmt::Display>(
        &self,
        expected: Digest,
        from: &str,
        pieces: impl futures_util::Stream<Item = Result<Bytes, E>>,
    ) -> Result<u64, MirrorError> {
        let (found, size) = self.store(from, pieces).await?;
        if found != expected {
            self.world.blobs().delete(&sim_kit::Digest::from(found.0)).await?;
            return Err(MirrorError::Digest { url: from.to_owned(), expected, found });
        }
        Ok(size)
    }

    pub(super) async fn store<E: std::fmt::Display>(
        &self,
        from: &str,
        pieces: impl futures_util::Stream<Item = Result<Bytes, E>>,
    ) -> Result<(Digest, u64), MirrorError> {
        let name = self.world.ids().hex("mirrored-file", 32);
        let mut writer = self.world.blobs().writer(&name, LARGEST_FILE).await?;
        let mut pieces = std::pin::pin!(pieces);
        while let Some(piece) = pieces.next().await {
            let written = match piece {
                Ok(piece) => writer.write(piece).await.map_err(MirrorError::from),
                Err(error) => Err(MirrorError::Cut { url: from.to_owned(), reason: error.to_string() }),
            };
            if let Err(error) = written {
                writer.abort().await;
                return Err(error);
            }
        }
        let (digest, size) = writer.finish().await?;
        Ok((Digest(*digest.as_bytes()), size))
    }

    /// Copies a blob into the recording.
    pub(super) async fn record(&self, remote: &Remote) -> Result<(), MirrorError> {
        if let Some(path) = self.tape.recorded(&remote.key) {
            let bytes = self.world.blobs().get(&sim_kit::Digest::from(remote.sha256.0)).await?;
            tape::write(&path, &bytes)?;
        }
        Ok(())
    }
}
