//! Bytes on their way: in memory while they are few, in a file without a name when they are many.
//!
//! The file is gone with its handle, also when the process dies, so that an upload that ends early leaves nothing.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::StreamExt as _;
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use sim_kit::{Blobs, Digest};
use tokio_util::io::ReaderStream;

use crate::app::App;
use crate::error::{Error, Result};
use crate::store::bundles::Bundle;

/// Up to here bytes stay in memory.
const IN_MEMORY: usize = 2 << 20;

/// What came.
pub struct Spool {
    bytes: Kept,
    folder: PathBuf,
    size: u64,
    limit: u64,
}

enum Kept {
    Memory(Vec<u8>),
    File(File),
}

/// Of everything that came.
pub struct Digests {
    /// MD5.
    pub md5: [u8; 16],
    /// SHA-1.
    pub sha1: [u8; 20],
    /// SHA-256, which is the name of the blob.
    pub sha256: Digest,
}

impl Spool {
    /// Nothing so far, and room for `limit` bytes, of which so many as `announced` are likely to come. A file is made in `folder`.
    #[must_use]
    pub fn new(folder: &Path, limit: u64, announced: Option<u64>) -> Self {
        let announced = announced.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes <= IN_MEMORY);
        let bytes = Kept::Memory(Vec::with_capacity(announced.unwrap_or_default()));
        Self { bytes, folder: folder.to_owned(), size: 0, limit }
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
        if let Kept::Memory(before) = &self.bytes
            && before.len() + bytes.len() > IN_MEMORY
        {
            let mut file = tempfile::tempfile_in(&self.folder)?;
            file.write_all(before)?;
            self.bytes = Kept::File(file);
        }
        match &mut self.bytes {
            Kept::Memory(before) => before.extend_from_slice(bytes),
            // To the page cache: too short to hand to another thread.
            Kept::File(file) => file.write_all(bytes)?,
        }
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
        let (mut md5, mut sha1, mut sha256) = (Md5::new(), Sha1::new(), Sha256::new());
        let mut reader = self.reader()?;
        loop {
            let bytes = reader.fill_buf()?;
            if bytes.is_empty() {
                let sha256 = Digest::from(<[u8; 32]>::from(sha256.finalize()));
                return Ok(Digests { md5: md5.finalize().into(), sha1: sha1.finalize().into(), sha256 });
            }
            // Block by block: the steps of one digest wait for each other, and the processor does those of the others meanwhile.
            for block in bytes.chunks(64) {
                md5.update(block);
                sha1.update(block);
                sha256.update(block);
            }
            let length = bytes.len();
            reader.consume(length);
        }
    }

    /// A reader from the start.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn reader(&mut self) -> std::io::Result<Box<dyn BufRead + '_>> {
        Ok(match &mut self.bytes {
            Kept::Memory(bytes) => Box::new(&bytes[..]),
            Kept::File(file) => {
                file.seek(SeekFrom::Start(0))?;
                Box::new(BufReader::with_capacity(64 * 1024, file))
            }
        })
    }

    /// Puts everything, which has the digest `digest`, into the blob store. `name` is as [`Blobs::writer`] wants it.
    ///
    /// # Errors
    /// When the file or the store fails.
    pub async fn store(self, digest: Digest, blobs: &Blobs, name: &str) -> Result<()> {
        match self.bytes {
            Kept::Memory(bytes) => blobs.put_aside(digest, bytes).await?,
            Kept::File(mut file) => {
                file.seek(SeekFrom::Start(0))?;
                let stream = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 256 * 1024);
                let (stored, _) = blobs.put_stream(name, self.limit, stream).await?;
                if stored != digest {
                    return Err(Error::Internal(format!("a bundle changed on its way to the store, to {stored}")));
                }
            }
        }
        Ok(())
    }
}

/// The archive of a bundle, to be read as often as needed.
pub enum Archive {
    /// A small one.
    Bytes(Bytes),
    /// Another one, in a file without a name.
    File(File),
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
                Box::new(BufReader::with_capacity(64 * 1024, file))
            }
        })
    }
}
