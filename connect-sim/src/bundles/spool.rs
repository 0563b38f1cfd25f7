//! Bytes on their way: in memory while they are few, in a file without a name when they are many.
//!
//! The file is gone with its handle, also when the process dies, so that an upload that ends early leaves nothing.

use std::io::{BufRead, Read, Seek as _, SeekFrom, Write as _};
use std::path::Path;

use bytes::Bytes;
use futures_util::StreamExt as _;
use md5::Md5;
use sha1::Sha1;
use sha2::Digest as _;
use sim_kit::{Blobs, Digest};
use tempfile::SpooledTempFile;
use tokio_util::io::ReaderStream;

use crate::app::App;
use crate::error::{Error, Result};
use crate::store::bundles::Bundle;

/// Up to here bytes stay in memory.
const IN_MEMORY: usize = 2 << 20;

/// What came.
pub struct Spool {
    file: SpooledTempFile,
    size: u64,
    limit: u64,
}

/// MD5 and SHA-1.
pub type Digests = ([u8; 16], [u8; 20]);

impl Spool {
    /// Nothing so far, and room for `limit` bytes. A file is made in `folder`.
    #[must_use]
    pub fn new(folder: &Path, limit: u64) -> Self {
        Self { file: tempfile::spooled_tempfile_in(IN_MEMORY, folder), size: 0, limit }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// 413 past the limit; when the file cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(Error::too_large("The bundle", self.limit));
        }
        // To memory or to the page cache: too short to hand to another thread.
        self.file.write_all(bytes)?;
        Ok(())
    }

    /// Bytes so far.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The digests of everything. They take milliseconds a mebibyte: not for a thread that answers others, too.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn digests(&mut self) -> std::io::Result<Digests> {
        let (mut md5, mut sha1) = (Md5::new(), Sha1::new());
        let mut reader = self.reader()?;
        loop {
            let bytes = reader.fill_buf()?;
            if bytes.is_empty() {
                return Ok((md5.finalize().into(), sha1.finalize().into()));
            }
            md5.update(bytes);
            sha1.update(bytes);
            let length = bytes.len();
            reader.consume(length);
        }
    }

    /// A reader from the start.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reader(&mut self) -> std::io::Result<impl BufRead + '_> {
        self.file.seek(SeekFrom::Start(0))?;
        Ok(std::io::BufReader::with_capacity(64 * 1024, &mut self.file))
    }

    /// Puts everything into the blob store. `name` is as [`Blobs::writer`] wants it.
    ///
    /// # Errors
    /// When the file or the store fails.
    pub async fn store(mut self, blobs: &Blobs, name: &str) -> Result<Digest> {
        self.file.seek(SeekFrom::Start(0))?;
        match self.file.into_inner() {
            tempfile::SpooledData::InMemory(bytes) => Ok(blobs.put(Bytes::from(bytes.into_inner())).await?),
            tempfile::SpooledData::OnDisk(file) => {
                let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 256 * 1024);
                Ok(blobs.put_stream(name, self.limit, stream).await?.0)
            }
        }
    }
}

/// The archive of a bundle, to be read as often as needed.
pub enum Archive {
    /// A small one.
    Bytes(Bytes),
    /// Another one, in a file without a name.
    File(std::fs::File),
}

impl Archive {
    /// Reads it from the store.
    ///
    /// # Errors
    /// When the store or the file fails.
    pub async fn of(app: &App, bundle: &Bundle) -> Result<Self> {
        let blobs = app.world().blobs();
        if bundle.size.unsigned_abs() <= IN_MEMORY as u64 {
            return Ok(Self::Bytes(blobs.get(&bundle.digest).await?));
        }
        let mut file = tempfile::tempfile_in(app.incoming())?;
        let mut stream = blobs.stream(&bundle.digest, None).await?;
        while let Some(bytes) = stream.next().await {
            file.write_all(&bytes?)?;
        }
        Ok(Self::File(file))
    }

    /// A reader from the start.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reader(&mut self) -> std::io::Result<Box<dyn Read + '_>> {
        Ok(match self {
            Self::Bytes(bytes) => Box::new(&bytes[..]),
            Self::File(file) => {
                file.seek(SeekFrom::Start(0))?;
                Box::new(std::io::BufReader::with_capacity(64 * 1024, file))
            }
        })
    }
}
