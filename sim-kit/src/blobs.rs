//! Bytes by SHA-256: uploads, files, logs.
//!
//! A blob is written to a temporary name while it is hashed and gets its name, the digest, when it is complete. So a
//! process that dies half-way leaves no half blob under a digest, and the same bytes are stored once.

use std::fmt;
use std::io::SeekFrom;
use std::ops::Range;
use std::path::Path as FsPath;
use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResult, GetResultPayload, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload,
};
use quick_cache::sync::Cache;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::direct;
use crate::sendfile::{is_shared, share_from};

/// The SHA-256 of a blob; prints and parses as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = BlobError;
    fn from_str(text: &str) -> Result<Self, BlobError> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| BlobError::NotADigest)?;
        Ok(Self(bytes))
    }
}

/// What can go wrong with blobs.
#[derive(Debug, thiserror::Error)]
pub enum BlobError {
    /// No blob has this digest.
    #[error("no blob {0}")]
    Missing(Digest),
    /// Not 64 hexadecimal digits.
    #[error("not a SHA-256 digest")]
    NotADigest,
    /// More bytes than the writer may take.
    #[error("larger than {0} bytes")]
    TooLarge(u64),
    /// The store failed: disk full, no permission, no connection.
    #[error("blob store: {0}")]
    Store(#[from] object_store::Error),
    /// The source of the bytes failed.
    #[error("{0}")]
    Source(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A store of blobs. Clones share it.
#[derive(Clone)]
pub struct Blobs {
    store: Arc<dyn ObjectStore>,
    /// Where the store has its files.
    root: Arc<FsPath>,
    /// What was read lately and is small: most requests are for the same few files.
    recent: Arc<Cache<Digest, Bytes, ByLength>>,
}

/// The folder of what is being written.
const INCOMING: &str = "incoming";
/// Bytes of all recent blobs at most.
const RECENT: u64 = 16 << 20;
/// Bytes of a blob that is read in one go, at most.
const SMALL: u64 = 2 << 20;
/// Bytes that are hashed on a thread that answers nobody, from.
const LONG: usize = 128 << 10;
/// Bytes of a larger one that are read at once.
const PIECE: usize = 256 << 10;

#[derive(Clone)]
struct ByLength;

impl quick_cache::Weighter<Digest, Bytes> for ByLength {
    fn weight(&self, _: &Digest, bytes: &Bytes) -> u64 {
        // The entry itself costs something, too.
        bytes.len() as u64 + 128
    }
}

impl Blobs {
    /// Blobs in the local folder `root`, which is made.
    ///
    /// # Errors
    /// When the folder cannot be made or used.
    pub fn local(root: &FsPath) -> Result<Self, BlobError> {
        std::fs::create_dir_all(root).map_err(|error| BlobError::Source(error.into()))?;
        let store = LocalFileSystem::new_with_prefix(root)?.with_automatic_cleanup(true);
        // For so few that the cache is of one part, and has room for the largest.
        let recent = Cache::with_weighter(32, RECENT, ByLength);
        Ok(Self { store: Arc::new(store), root: root.into(), recent: Arc::new(recent) })
    }

    /// Takes away what a process that died left half-written. Call once at start.
    ///
    /// # Errors
    /// When the store cannot be listed.
    pub async fn sweep(&self) -> Result<(), BlobError> {
        let incoming = Path::from(INCOMING);
        let left: Vec<_> = self.store.list(Some(&incoming)).try_collect().await?;
        for object in left {
            self.store.delete(&object.location).await?;
        }
        Ok(())
    }

    fn path(digest: &Digest) -> Path {
        let hex = digest.to_string();
        Path::from(format!("sha256/{}/{hex}", &hex[..2]))
    }

    /// Starts a blob of unknown digest of at most `limit` bytes. `name` must be unique among writers at work
    /// (`World::ids().hex("blob", 32)`).
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn writer(&self, name: &str, limit: u64) -> Result<BlobWriter, BlobError> {
        let path = Path::from(format!("{INCOMING}/{name}"));
        let upload = self.store.put_multipart(&path).await?;
        Ok(BlobWriter {
            blobs: self.clone(),
            path,
            upload: Some(upload),
            buffer: Vec::new(),
            hash: Sha256::new(),
            size: 0,
            limit,
        })
    }

    /// Stores `bytes`; storing them again changes nothing.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn put(&self, bytes: Bytes) -> Result<Digest, BlobError> {
        let digest = match bytes.len() < LONG {
            true => Digest::of(&bytes),
            false => {
                let bytes = bytes.clone();
                let hashed = tokio::task::spawn_blocking(move || Digest::of(&bytes)).await;
                hashed.map_err(|error| BlobError::Source(error.into()))?
            }
        };
        self.put_as(digest, bytes).await?;
        Ok(digest)
    }

    /// Stores `bytes` whose digest is known, and which nobody is likely to ask for soon.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn put_aside(&self, digest: Digest, bytes: Vec<u8>) -> Result<(), BlobError> {
        if bytes.len() < direct::LEAST {
            return self.put_as(digest, bytes.into()).await;
        }
        let target = self.root.join(Self::path(&digest).as_ref());
        let incoming = self.root.join(INCOMING);
        let written = tokio::task::spawn_blocking(move || match target.exists() {
            true => Ok(()),
            false => direct::write(&incoming, &target, &bytes),
        });
        let written = written.await.unwrap_or_else(|error| Err(error.into()));
        written.map_err(|error| object_store::Error::Generic { store: "files", source: error.into() }.into())
    }

    async fn put_as(&self, digest: Digest, bytes: Bytes) -> Result<(), BlobError> {
        let path = Self::path(&digest);
        // Not by the store, which asks the system on another thread.
        if self.root.join(path.as_ref()).exists() {
            return Ok(());
        }
        // A put is atomic: the file appears whole or not at all.
        self.store.put(&path, PutPayload::from_bytes(bytes.clone())).await?;
        // What comes is mostly asked for soon.
        self.remember(digest, bytes);
        Ok(())
    }

    /// Stores what `stream` yields, at most `limit` bytes.
    ///
    /// # Errors
    /// When the stream fails, yields too much, or the store refuses; then nothing is kept.
    pub async fn put_stream<S, E>(&self, name: &str, limit: u64, mut stream: S) -> Result<(Digest, u64), BlobError>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut writer = self.writer(name, limit).await?;
        loop {
            match stream.next().await {
                Some(Ok(bytes)) => {
                    if let Err(error) = writer.write(bytes).await {
                        writer.abort().await;
                        return Err(error);
                    }
                }
                Some(Err(error)) => {
                    writer.abort().await;
                    return Err(BlobError::Source(error.into()));
                }
                None => return writer.finish().await,
            }
        }
    }

    /// Its size in bytes.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or when the store fails.
    pub async fn size(&self, digest: &Digest) -> Result<u64, BlobError> {
        if let Some(bytes) = self.recent.get(digest) {
            return Ok(bytes.len() as u64);
        }
        match self.store.head(&Self::path(digest)).await {
            Ok(meta) => Ok(meta.size),
            Err(object_store::Error::NotFound { .. }) => Err(BlobError::Missing(*digest)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether it is here.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn contains(&self, digest: &Digest) -> Result<bool, BlobError> {
        match self.size(digest).await {
            Ok(_) => Ok(true),
            Err(BlobError::Missing(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// All of it in memory; for what is known to be small.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or when the store fails.
    pub async fn get(&self, digest: &Digest) -> Result<Bytes, BlobError> {
        if let Some(bytes) = self.recent.get(digest) {
            return Ok(bytes);
        }
        match self.store.get(&Self::path(digest)).await {
            Ok(result) => {
                let bytes = result.bytes().await?;
                self.remember(*digest, bytes.clone());
                Ok(bytes)
            }
            Err(object_store::Error::NotFound { .. }) => Err(BlobError::Missing(*digest)),
            Err(error) => Err(error.into()),
        }
    }

    /// All of it, if it is in memory. Memory that is asked for is sent without a copy.
    #[must_use]
    pub fn at_hand(&self, digest: &Digest) -> Option<Bytes> {
        let mut bytes = self.recent.get(digest)?;
        // Asked for again, so it may be asked for often.
        if !is_shared(&bytes)
            && let Ok(file) = std::fs::File::open(self.root.join(Self::path(digest).as_ref()))
        {
            bytes = share_from(bytes, file);
            self.recent.insert(*digest, bytes.clone());
        }
        Some(bytes)
    }

    /// The bytes of `range`, or all of them, as they come from the store.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or when the store fails.
    pub async fn stream(
        &self,
        digest: &Digest,
        range: Option<Range<u64>>,
    ) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
        if let Some(bytes) = self.at_hand(digest) {
            // As the store does: what lies behind the end is left out.
            let range = range.map_or(0..bytes.len(), |range| index(range.start)..index(range.end).min(bytes.len()));
            return Ok(whole(bytes.slice(range.start.min(range.end)..range.end)));
        }
        let in_part = range.is_some();
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let result = match self.store.get_opts(&Self::path(digest), options).await {
            Ok(result) => result,
            Err(object_store::Error::NotFound { .. }) => return Err(BlobError::Missing(*digest)),
            Err(error) => return Err(error.into()),
        };
        if result.range.end - result.range.start > SMALL {
            return pieces(result).await;
        }
        let bytes = result.bytes().await?;
        if !in_part {
            self.remember(*digest, bytes.clone());
        }
        Ok(whole(bytes))
    }

    fn remember(&self, digest: Digest, bytes: Bytes) {
        if bytes.len() as u64 <= SMALL {
            self.recent.insert(digest, bytes);
        }
    }

    /// Takes it away; a blob that is not here is no error.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delete(&self, digest: &Digest) -> Result<(), BlobError> {
        self.recent.remove(digest);
        match self.store.delete(&Self::path(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A position within bytes that are in memory, so it fits.
fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

fn whole(bytes: Bytes) -> BoxStream<'static, Result<Bytes, BlobError>> {
    stream::once(std::future::ready(Ok(bytes))).boxed()
}

/// What `result` is of, piece by piece. The store's own pieces of a file are so small that handing them over costs more than
/// reading them.
async fn pieces(result: GetResult) -> Result<BoxStream<'static, Result<Bytes, BlobError>>, BlobError> {
    let failed = |error: std::io::Error| BlobError::Source(error.into());
    let range = result.range.clone();
    let GetResultPayload::File(file, _) = result.payload else {
        return Ok(result.into_stream().map_err(BlobError::from).boxed());
    };
    let mut file = tokio::fs::File::from_std(file);
    file.seek(SeekFrom::Start(range.start)).await.map_err(failed)?;
    let part = file.take(range.end - range.start);
    Ok(ReaderStream::with_capacity(part, PIECE).map_err(failed).boxed())
}

/// Part size handed to the store: what S3 demands at least.
const PART: usize = 5 * 1024 * 1024;

/// A blob in the making. Dropped or aborted, it leaves nothing that [`Blobs::sweep`] does not take away.
pub struct BlobWriter {
    blobs: Blobs,
    path: Path,
    upload: Option<Box<dyn MultipartUpload>>,
    buffer: Vec<u8>,
    hash: Sha256,
    size: u64,
    limit: u64,
}

impl BlobWriter {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`] past the limit, or when the store refuses.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        self.size += bytes.len() as u64;
        if self.size > self.limit {
            return Err(BlobError::TooLarge(self.limit));
        }
        self.hash.update(&bytes);
        self.buffer.extend_from_slice(&bytes);
        if self.buffer.len() >= PART {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), BlobError> {
        let part = std::mem::take(&mut self.buffer);
        if let Some(upload) = &mut self.upload {
            upload.put_part(PutPayload::from(part)).await?;
        }
        Ok(())
    }

    /// Gives the blob its name and returns it with its size.
    ///
    /// # Errors
    /// When the store refuses.
    pub async fn finish(mut self) -> Result<(Digest, u64), BlobError> {
        let digest = Digest(std::mem::take(&mut self.hash).finalize().into());
        // What fits one part needs no upload of many: one atomic put.
        if self.size < PART as u64 {
            self.drop_upload().await;
            let bytes = Bytes::from(std::mem::take(&mut self.buffer));
            return Ok((self.blobs.put(bytes).await?, self.size));
        }
        if !self.buffer.is_empty() {
            self.flush().await?;
        }
        if let Some(mut upload) = self.upload.take() {
            upload.complete().await?;
        }
        let target = Blobs::path(&digest);
        self.blobs.store.rename(&self.path, &target).await?;
        Ok((digest, self.size))
    }

    /// Throws it away.
    pub async fn abort(mut self) {
        self.drop_upload().await;
    }

    async fn drop_upload(&mut self) {
        if let Some(mut upload) = self.upload.take()
            && let Err(error) = upload.abort().await
        {
            tracing::debug!(%error, "an aborted upload was not taken away");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_put_comes_back_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        let small = blobs.put(Bytes::from_static(b"hello")).await.unwrap();
        assert_eq!(small.to_string(), "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
        assert_eq!(blobs.get(&small).await.unwrap(), "hello");
        let big = vec![7_u8; 2 * PART + 3];
        let parts =
            futures_util::stream::iter(big.chunks(100_000).map(|c| Ok::<_, BlobError>(Bytes::copy_from_slice(c))));
        let (digest, size) = blobs.put_stream("one", u64::MAX, parts).await.unwrap();
        assert_eq!((digest, size), (Digest::of(&big), big.len() as u64));
        let middle: Vec<Bytes> = blobs.stream(&digest, Some(5..9)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(middle.concat(), [7; 4]);
        let all: Vec<Bytes> = blobs.stream(&digest, None).await.unwrap().try_collect().await.unwrap();
        assert!(all.len() > 1 && all.concat() == big, "a large one comes in pieces");
        let end: Vec<Bytes> =
            blobs.stream(&digest, Some(5..big.len() as u64 - 1)).await.unwrap().try_collect().await.unwrap();
        assert_eq!(Digest::of(&end.concat()), Digest::of(&big[5..big.len() - 1]));
        // From the store, and then from memory.
        for _ in 0..2 {
            for (range, expected) in [(Some(1..3), "el"), (Some(3..99), "lo"), (None, "hello")] {
                let part: Vec<Bytes> = blobs.stream(&small, range).await.unwrap().try_collect().await.unwrap();
                assert_eq!(part.concat(), expected.as_bytes());
            }
        }
        assert_eq!(blobs.size(&small).await.unwrap(), 5);

        // What is asked for again can go out from its file.
        let middling = blobs.put(vec![9_u8; 200_000].into()).await.unwrap();
        let all: Vec<Bytes> = blobs.stream(&middling, None).await.unwrap().try_collect().await.unwrap();
        assert!(is_shared(&all[0]) && all[0] == vec![9_u8; 200_000]);
        blobs.delete(&middling).await.unwrap();

        // What is stored aside, in one way or the other, is there as well.
        for archive in [vec![3_u8; 10], vec![4_u8; direct::LEAST + 1]] {
            let digest = Digest::of(&archive);
            for _ in 0..2 {
                blobs.put_aside(digest, archive.clone()).await.unwrap();
            }
            assert!(blobs.get(&digest).await.unwrap() == archive);
            blobs.delete(&digest).await.unwrap();
        }
        // As a process leaves it that died over it.
        tempfile::NamedTempFile::new_in(folder.path().join(INCOMING)).unwrap().keep().unwrap();

        let endless = futures_util::stream::repeat_with(|| Ok::<_, BlobError>(Bytes::from_static(&[0; 4096]))).boxed();
        assert!(matches!(blobs.put_stream("two", 10_000, endless).await, Err(BlobError::TooLarge(10_000))));
        let broken = futures_util::stream::iter([Ok(Bytes::from_static(b"x")), Err(std::io::Error::other("cut"))]);
        assert!(matches!(blobs.put_stream("three", 10_000, broken).await, Err(BlobError::Source(_))));
        blobs.sweep().await.unwrap();
        let mut files = Vec::new();
        let mut folders = vec![folder.path().to_owned()];
        while let Some(next) = folders.pop() {
            for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
                if entry.path().is_dir() { folders.push(entry.path()) } else { files.push(entry.path()) }
            }
        }
        assert_eq!(files.len(), 2, "{files:?}");
        blobs.delete(&small).await.unwrap();
        assert!(!blobs.contains(&small).await.unwrap());
        assert!(matches!(blobs.stream(&small, None).await, Err(BlobError::Missing(_))));
    }
}
