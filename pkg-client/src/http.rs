//! Requests to a package repository, every answer bounded.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue};
use sim_kit::http_client::{Link, LinkError};
use url::Url;

use crate::Error;

/// How much one [`Client`] may ask and receive.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Bytes of one index page, `PACKAGES` after decompression included.
    pub page: u64,
    /// Bytes of one core metadata document.
    pub metadata: u64,
    /// Bytes of one package file.
    pub file: u64,
    /// Bytes in total over the life of the client.
    pub total: u64,
    /// Distinct packages that one resolution may look at.
    pub packages: usize,
    /// Steps of the solver in one resolution.
    pub steps: u64,
    /// Requests in flight at a time.
    pub concurrent: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            page: 64 << 20,
            metadata: 4 << 20,
            file: 512 << 20,
            total: 4 << 30,
            packages: 2_000,
            steps: 200_000,
            concurrent: 8,
        }
    }
}

/// Speaks to package repositories as one installer: over one link, under one User-Agent, within limits. Make one for each
/// installation: what it received counts towards [`Limits::total`] as long as it lives. Clones share the count.
#[derive(Clone)]
pub struct Client {
    link: Link,
    agent: HeaderValue,
    limits: Limits,
    received: Arc<AtomicU64>,
}

/// A whole answer.
pub(crate) struct Answer {
    /// Where it came from after redirects: what relative links in it are relative to.
    pub(crate) url: Url,
    /// `Content-Type` without parameters, in lower case.
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

impl Client {
    /// A client that asks over `link` and calls itself `agent`. Package Manager chooses between source packages and Linux
    /// binaries by this header: an R that wants binaries sends `R (4.4.2 x86_64-pc-linux-gnu x86_64 linux-gnu)`. An
    /// agent that cannot stand in a header is not sent.
    #[must_use]
    pub fn new(link: Link, agent: &str, limits: Limits) -> Self {
        let agent = HeaderValue::from_str(agent).unwrap_or(HeaderValue::from_static("pkg-client"));
        Self { link, agent, limits, received: Arc::new(AtomicU64::new(0)) }
    }

    /// What this client keeps to.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Asks for `url`, after redirects, and answers with a 200 whose body has not been read.
    pub(crate) async fn open(&self, url: &Url, accept: &str) -> Result<Incoming<'_>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, self.agent.clone());
        headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap_or(HeaderValue::from_static("*/*")));
        let response = self.link.get(url, headers).await.map_err(|error| match error {
            LinkError::Http(error) if error.is_redirect() => {
                Error::Redirects { url: error.url().unwrap_or(url).clone().into() }
            }
            error => Error::Unreachable { url: url.clone().into(), why: innermost(&error) },
        })?;
        match response.status().as_u16() {
            200 => Ok(Incoming { client: self, url: arrived_at(&response, url), received: 0, response }),
            status @ (404 | 410) => Err(Error::NotFound { url: url.clone().into(), status }),
            status => Err(Error::Status { url: url.clone().into(), status }),
        }
    }

    /// Asks for `url` and reads all of the answer, at most `limit` bytes.
    pub(crate) async fn fetch(&self, url: &Url, accept: &str, limit: u64) -> Result<Answer, Error> {
        let mut incoming = self.open(url, accept).await?;
        let content_type = incoming.response.headers().get(CONTENT_TYPE).and_then(|t| t.to_str().ok());
        let content_type = content_type.and_then(|t| t.split(';').next()).unwrap_or_default().trim();
        let content_type = content_type.to_ascii_lowercase();
        let mut body = BytesMut::new();
        while let Some(chunk) = incoming.next(limit).await? {
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { url: incoming.url, content_type, body: body.freeze() })
    }
}

/// An answer whose body is still coming.
pub(crate) struct Incoming<'a> {
    client: &'a Client,
    url: Url,
    received: u64,
    response: reqwest::Response,
}

impl Incoming<'_> {
    /// The next piece of the body, `None` after the last.
    pub(crate) async fn next(&mut self, limit: u64) -> Result<Option<Bytes>, Error> {
        let expected = self.response.headers().get(CONTENT_LENGTH).and_then(|n| n.to_str().ok()?.parse::<u64>().ok());
        let url = || Box::new(self.url.clone());
        if expected.is_some_and(|n| n > limit) {
            return Err(Error::TooLarge { url: url(), limit });
        }
        let chunk = self.response.chunk().await.map_err(|error| Error::Truncated {
            url: url(),
            received: self.received,
            expected,
            why: innermost(&error),
        })?;
        let Some(chunk) = chunk else { return Ok(None) };
        let size = chunk.len() as u64;
        self.received += size;
        if self.received > limit {
            return Err(Error::TooLarge { url: url(), limit });
        }
        let total = self.client.received.fetch_add(size, Ordering::Relaxed).saturating_add(size);
        if total > self.client.limits.total {
            return Err(Error::TooMuch { url: url(), limit: self.client.limits.total });
        }
        Ok(Some(chunk))
    }
}

/// The URL of a repository, as a user gives it.
pub(crate) fn address(text: &str) -> Result<Url, Error> {
    let bad = |why: &dyn ToString| Error::Address { url: text.to_owned(), why: why.to_string() };
    let url = Url::parse(text.trim()).map_err(|error| bad(&error))?;
    if matches!(url.scheme(), "http" | "https") { Ok(url) } else { Err(bad(&"the scheme is another")) }
}

/// `path` below `url`, which may end in a slash or not; its query and fragment go.
pub(crate) fn below(url: &Url, path: &str) -> Result<Url, Error> {
    let mut folder = url.clone();
    folder.set_query(None);
    folder.set_fragment(None);
    folder.set_path(&format!("{}/", url.path().trim_end_matches('/')));
    folder.join(path).map_err(|error| Error::Address { url: url.to_string(), why: error.to_string() })
}

/// Where an answer came from. One that a fault rule has spoilt does not know it any more.
fn arrived_at(response: &reqwest::Response, asked: &Url) -> Url {
    let from = response.url();
    if from.host_str() == Some("no.url.provided.local") { asked.clone() } else { from.clone() }
}

/// The last cause in the chain: `Connection refused` rather than `error sending request`.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
