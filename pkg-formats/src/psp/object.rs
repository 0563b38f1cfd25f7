//! Compressed blobs of lines: deltas, full states, packs.

use std::io::{BufRead as _, BufReader, Read};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Digest, PspError, Result, parse};

/// A blob that a checkpoint names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// SHA-256 of the bytes as served.
    pub digest: Digest,
    /// How the bytes as served are compressed. The HTTP answer has no `Content-Encoding`.
    pub encoding: Encoding,
    /// Bytes after decompression; a reader stops there.
    pub plain_size: u64,
    /// Bytes as served.
    pub size: u64,
}

/// How an [`Object`] is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// One gzip member.
    Gzip,
    /// Not at all.
    Identity,
}

impl Object {
    /// Checks size and digest of `bytes` and gives a reader of the decompressed text that fails rather than give more than
    /// [`Object::plain_size`] bytes. `what` names it in errors.
    ///
    /// # Errors
    /// Other size or digest than promised.
    pub fn open<'a>(&self, what: &'static str, bytes: &'a [u8]) -> Result<Lines<'a>> {
        if bytes.len() as u64 != self.size {
            return Err(PspError::SizeMismatch { what, expected: self.size, found: bytes.len() as u64 });
        }
        let found = Digest::of(bytes);
        if found != self.digest {
            return Err(PspError::DigestMismatch { what, expected: self.digest, found });
        }
        let plain: Box<dyn Read + Send + 'a> = match self.encoding {
            Encoding::Gzip => Box::new(flate2::read::GzDecoder::new(bytes)),
            Encoding::Identity => Box::new(bytes),
        };
        // One byte more than promised is enough to see that there is more.
        let reader = BufReader::new(plain.take(self.plain_size + 1));
        Ok(Lines { what, reader, left: self.plain_size, expected: self.plain_size, line: Vec::new() })
    }
}

/// The lines of an NDJSON [`Object`].
pub struct Lines<'a> {
    what: &'static str,
    reader: BufReader<std::io::Take<Box<dyn Read + Send + 'a>>>,
    left: u64,
    expected: u64,
    line: Vec<u8>,
}

impl Lines<'_> {
    /// The next line without its newline, or `None` at the end.
    ///
    /// # Errors
    /// Broken compression, or more or fewer bytes than promised.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>> {
        self.line.clear();
        let read = self
            .reader
            .read_until(b'\n', &mut self.line)
            .map_err(|source| PspError::Decompress { what: self.what, source })? as u64;
        if read == 0 && self.left == 0 {
            return Ok(None);
        }
        if read == 0 || read > self.left {
            let found = self.expected - self.left + read;
            return Err(PspError::SizeMismatch { what: self.what, expected: self.expected, found });
        }
        self.left -= read;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        Ok(Some(&self.line))
    }

    /// The next line as a document.
    ///
    /// # Errors
    /// As [`Lines::next_line`], or a malformed line.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot lend its lines nor choose the document by the call"
    )]
    pub fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>> {
        let what = self.what;
        self.next_line()?.map(|line| parse(what, line)).transpose()
    }
}
