//! Downloads resolved files: streamed, hash-checked, several at a time, told in a fixed order.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use md5::Md5;
use sha2::{Digest as _, Sha256};
use url::Url;

use crate::{Client, Error};

/// One file to download.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// The package's name.
    pub package: String,
    /// The package's version.
    pub version: String,
    /// Where the file is.
    pub url: Url,
    /// Its size in bytes, if the index tells.
    pub size: Option<u64>,
    /// What its bytes must hash to, if the index tells.
    pub digest: Option<Digest>,
}

/// A promise about the bytes of a file, in lower-case hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Digest {
    /// From a simple index.
    Sha256(String),
    /// From the `MD5sum` or `Hash` field of a `PACKAGES` file.
    Md5(String),
}

/// What happens while [`download`] works. For each file: one `Started`, its `Chunk`s, one `Finished`. Files start and
/// finish in the order in which they were given; chunks of different files interleave.
#[derive(Debug)]
pub enum Event<'a> {
    /// The request for a file goes out.
    Started(&'a Download),
    /// The next bytes of a file. Nothing keeps them unless the receiver does, and they are not checked before `Finished`.
    Chunk(&'a Download, &'a Bytes),
    /// The whole file came and its hash is right.
    Finished(&'a Download, Received),
}

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Bytes.
    pub size: u64,
    /// SHA-256 of the bytes, in lower-case hex.
    pub sha256: String,
}

/// Downloads every file, at most [`Limits::concurrent`](crate::Limits::concurrent) at a time, and tells `on_event` about
/// it. The first error ends it all.
///
/// # Errors
/// [`Error::Unreachable`], [`Error::FileMissing`], [`Error::Status`], [`Error::Truncated`], [`Error::HashMismatch`],
/// [`Error::TooLarge`] and their like, each with the URL.
pub async fn download(
    client: &Client,
    files: &[Download],
    on_event: impl FnMut(Event<'_>) + Send,
) -> Result<Vec<Received>, Error> {
    let on_event = Mutex::new(on_event);
    // By number: a closure over references would keep this future from being `Send`.
    stream::iter(0..files.len())
        .map(|number| {
            let file = &files[number];
            let on_event = &on_event;
            async move {
                lock(on_event)(Event::Started(file));
                let received = one(client, file, on_event).await?;
                Ok::<_, Error>((file, received))
            }
        })
        .buffered(client.limits().concurrent.max(1))
        .map_ok(|(file, received)| {
            lock(&on_event)(Event::Finished(file, received.clone()));
            received
        })
        .try_collect()
        .await
}

async fn one(client: &Client, file: &Download, on_event: &Mutex<impl FnMut(Event<'_>)>) -> Result<Received, Error> {
    let mut incoming = client.open(&file.url, "*/*").await.map_err(|error| match error {
        Error::NotFound { url, status } => {
            Error::FileMissing { package: file.package.clone(), version: file.version.clone(), url, status }
        }
        error => error,
    })?;
    let (mut sha256, mut md5, mut size) = (Sha256::new(), Md5::new(), 0_u64);
    let with_md5 = matches!(file.digest, Some(Digest::Md5(_)));
    while let Some(chunk) = incoming.next(client.limits().file).await? {
        size += chunk.len() as u64;
        sha256.update(&chunk);
        if with_md5 {
            md5.update(&chunk);
        }
        lock(on_event)(Event::Chunk(file, &chunk));
    }
    if let Some(expected) = file.size.filter(|&expected| size < expected) {
        let why = "the index announces a larger file".to_owned();
        return Err(Error::Truncated { url: file.url.clone().into(), received: size, expected: Some(expected), why });
    }
    let sha256 = hex::encode(sha256.finalize());
    let (expected, got) = match &file.digest {
        None => return Ok(Received { size, sha256 }),
        Some(Digest::Sha256(expected)) => (expected, sha256.clone()),
        Some(Digest::Md5(expected)) => (expected, hex::encode(md5.finalize())),
    };
    if !got.eq_ignore_ascii_case(expected) {
        let algorithm = if with_md5 { "md5" } else { "sha256" };
        return Err(Error::HashMismatch { url: file.url.clone().into(), algorithm, expected: expected.clone(), got });
    }
    Ok(Received { size, sha256 })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Display for Download {
    /// `flask==3.0.0`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=={}", self.package, self.version)
    }
}
