//! Files on their way in: written to the disk while they are hashed, so that their size costs no memory.
//!
//! They go with their handle; what a process that died has left is taken away when the folder is opened the next time.

use std::path::Path;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use md5::Md5;
use pkg_formats::psp::Digest;
use sha2::{Digest as _, Sha256};
use sim_kit::{Blobs, World};
use tempfile::TempPath;
use tokio::io::AsyncWriteExt as _;

use crate::error::Error;
use crate::files::stored;

/// A file that came whole.
#[derive(Debug)]
pub(crate) struct Spool {
    path: TempPath,
    pub(crate) size: u64,
    pub(crate) sha256: Digest,
    /// In hexadecimal.
    pub(crate) md5: String,
}

impl Spool {
    /// Takes what `pieces` yields, at most `limit` bytes.
    pub(crate) async fn receive<E: std::fmt::Display>(
        world: &World,
        limit: u64,
        mut pieces: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Self, Error> {
        let (file, path) = tempfile::NamedTempFile::new_in(world.folder("incoming-packages")?)?.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let (mut size, mut sha256, mut md5) = (0, Sha256::new(), Md5::new());
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(|error| Error::BadRequest(format!("the file did not arrive: {error}")))?;
            size += piece.len() as u64;
            if size > limit {
                return Err(Error::TooLarge(format!("a file has at most {limit} bytes")));
            }
            sha256.update(&piece);
            md5.update(&piece);
            file.write_all(&piece).await?;
        }
        file.flush().await?;
        Ok(Self { path, size, sha256: Digest(sha256.finalize().into()), md5: hex::encode(md5.finalize()) })
    }

    /// To be read from its beginning.
    pub(crate) fn open(&self) -> std::io::Result<std::io::BufReader<std::fs::File>> {
        Ok(std::io::BufReader::new(std::fs::File::open(&self.path)?))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts it into the blob store.
    pub(crate) async fn keep(&self, world: &World) -> Result<(), Error> {
        let blobs: &Blobs = world.blobs();
        if blobs.contains(&stored(self.sha256)).await? {
            return Ok(());
        }
        let file = tokio::fs::File::open(self.path()).await?;
        let pieces = tokio_util::io::ReaderStream::with_capacity(file, 64 * 1024);
        blobs.put_stream(&world.ids().hex("blob", 32), self.size, pieces).await?;
        Ok(())
    }
}
