//! Writing a [bundle](crate::bundle): feeds of the package service, as it serves them, for a server that cannot reach it.
//!
//! The bundle is written while it is sent; nothing of it is kept here but the package files, which are then here for clients too.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use pkg_formats::psp::{self, Checkpoint, CheckpointPage, Digest, FeedInfo, FullLine, Head, Object, Root};
use sim_kit::blobs::BlobError;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::SyncError;
use super::fetch::Upstream;
use crate::app::App;
use crate::bundle::{CONTENTS, Contents, SUMS, note_files};
use crate::files::stored;

/// Pieces of an archive that wait for the client.
const AHEAD: usize = 16;

/// A feed to be exported: its head, verified.
struct Feed {
    info: FeedInfo,
    head: Head,
    document: Vec<u8>,
}

impl App {
    /// A `.tar.gz` with `names` of the package service, with all package files if `files`.
    ///
    /// # Errors
    /// The service does not answer or is not to be believed; what goes wrong later breaks the stream off.
    pub(crate) async fn export(
        &self,
        names: &[String],
        files: bool,
    ) -> Result<mpsc::Receiver<Result<Bytes, std::io::Error>>, SyncError> {
        let upstream = self.service();
        let document = self.document(&upstream, psp::ROOT_PATH).await?;
        let root = Root::parse(&document)?;
        let mut feeds = Vec::new();
        for name in names {
            let info =
                root.feeds.iter().find(|info| info.name == *name).ok_or_else(|| SyncError::NoFeed(name.clone()))?;
            let document = self.document(&upstream, &psp::head_path(name)).await?;
            let head = Head::verify(&document, &root, name, self.world().clock().now(), None)?;
            feeds.push(Feed { info: info.clone(), head, document });
        }
        let contents = Contents::new(&root.service_id, names.to_vec(), files);
        let (sender, receiver) = mpsc::channel(AHEAD);
        let app = self.clone();
        let handle = Handle::current();
        tokio::task::spawn_blocking(move || {
            let pipe = Pipe(sender.clone());
            let gzip = GzEncoder::new(std::io::BufWriter::with_capacity(64 * 1024, pipe), Compression::fast());
            let mut writer = Writer { tar: tar::Builder::new(gzip), sums: BTreeMap::new(), app, upstream, handle };
            let done = writer.whole(&contents, &document, &feeds);
            let done = done.and_then(|()| {
                let gzip = writer.tar.into_inner()?;
                gzip.finish().and_then(|mut out| out.flush()).map_err(SyncError::from)
            });
            if let Err(error) = done {
                tracing::warn!(%error, "an export broke off");
                let _ = sender.blocking_send(Err(std::io::Error::other(error.to_string())));
            }
        });
        Ok(receiver)
    }
}

/// Sends what is written to it.
struct Pipe(mpsc::Sender<Result<Bytes, std::io::Error>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let sent = self.0.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| std::io::Error::other("the client went away"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A blob, read by a thread that may wait.
struct Pieces {
    handle: Handle,
    stream: BoxStream<'static, Result<Bytes, BlobError>>,
    left: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.left.is_empty() {
            match self.handle.block_on(self.stream.next()) {
                None => return Ok(0),
                Some(piece) => self.left = piece.map_err(std::io::Error::other)?,
            }
        }
        let n = into.len().min(self.left.len());
        into[..n].copy_from_slice(&self.left.split_to(n));
        Ok(n)
    }
}

struct Writer<W: Write> {
    tar: tar::Builder<W>,
    /// What is written already.
    sums: BTreeMap<String, Digest>,
    app: App,
    upstream: Upstream,
    handle: Handle,
}

impl<W: Write> Writer<W> {
    fn whole(&mut self, contents: &Contents, root: &[u8], feeds: &[Feed]) -> Result<(), SyncError> {
        self.put(CONTENTS, &serde_json::to_vec_pretty(contents).expect("contents are plain data"))?;
        self.put(psp::ROOT_PATH, root)?;
        for feed in feeds {
            let mut files = HashSet::new();
            self.feed(feed, &mut files)?;
            if contents.files {
                for digest in files {
                    self.file(digest)?;
                }
            }
        }
        let sums: String = self.sums.iter().map(|(path, digest)| format!("{digest}  {path}\n")).collect();
        self.put(SUMS, sums.as_bytes())?;
        self.tar.finish().map_err(SyncError::from)
    }

    fn feed(&mut self, feed: &Feed, files: &mut HashSet<Digest>) -> Result<(), SyncError> {
        let (name, head) = (feed.info.name.as_str(), &feed.head);
        self.put(&psp::head_path(name), &feed.document)?;
        let mut chain: Vec<Checkpoint> = Vec::new();
        let (mut parent, mut page) = (None, Vec::new());
        for seq in 1..=head.seq {
            if seq == 1 || seq % psp::PAGE_SIZE == 0 {
                let bytes = self.copy(&psp::page_path(name, seq / psp::PAGE_SIZE))?;
                page = CheckpointPage::parse(&bytes)?.items;
            }
            let digest = page.iter().find(|item| item.seq == seq).ok_or(SyncError::MissingCheckpoint(seq))?.digest;
            let bytes = self.copy(&psp::checkpoint_path(name, seq))?;
            chain.push(Checkpoint::verify(&bytes, digest, name, seq, parent)?);
            parent = Some(digest);
        }
        if parent != Some(head.checkpoint) {
            return Err(SyncError::NotTheSigned(head.seq));
        }
        let mut next = 0;
        while let Some(checkpoint) = chain.get(next) {
            match self.object(&checkpoint.delta) {
                Ok(_) => {
                    for pack in &checkpoint.packs {
                        let bytes = self.object(pack)?;
                        let mut lines = pack.open("pack", &bytes)?;
                        while let Some(line) = lines.next_line()? {
                            note_files(feed.info.kind, line, files)?;
                        }
                    }
                    if checkpoint.packs.is_empty() && checkpoint.counts != psp::Counts::default() {
                        self.records(&checkpoint.delta, feed, files)?;
                    }
                }
                Err(SyncError::Gone(_)) => {
                    let full = chain.iter().rposition(|c| c.full.is_some()).filter(|at| *at >= next);
                    next = full.ok_or(SyncError::NoFullState(checkpoint.seq))?;
                    if let Some(full) = &chain[next].full {
                        self.object(full)?;
                        self.records(full, feed, files)?;
                    }
                }
                Err(error) => return Err(error),
            }
            next += 1;
        }
        Ok(())
    }

    /// The records that the lines of a delta or full state name, one by one.
    fn records(&mut self, object: &Object, feed: &Feed, files: &mut HashSet<Digest>) -> Result<(), SyncError> {
        let bytes = self.handle.block_on(self.app.object(&self.upstream, object))?;
        let mut lines = object.open("list of records", &bytes)?;
        // Deltas have more in a line, but the same names for these.
        while let Some(FullLine { record, .. }) = lines.next()? {
            let bytes = self.copy(&psp::record_path(&record))?;
            note_files(feed.info.kind, &bytes, files)?;
        }
        Ok(())
    }

    /// Writes a small document, and gives it.
    fn copy(&mut self, path: &str) -> Result<Vec<u8>, SyncError> {
        let bytes = self.handle.block_on(self.app.document(&self.upstream, path))?;
        self.put(path, &bytes)?;
        Ok(bytes)
    }

    /// Writes a delta, a pack or a full state, and gives it.
    fn object(&mut self, object: &Object) -> Result<Vec<u8>, SyncError> {
        let bytes = self.handle.block_on(self.app.object(&self.upstream, object))?;
        self.put(&psp::blob_path(&object.digest), &bytes)?;
        Ok(bytes)
    }

    /// Writes a package file.
    fn file(&mut self, digest: Digest) -> Result<(), SyncError> {
        let path = psp::blob_path(&digest);
        let path = path.trim_start_matches('/');
        if self.sums.contains_key(path) {
            return Ok(());
        }
        let size = self.handle.block_on(self.app.0.files.fetch(digest, None))?;
        let stream = self.handle.block_on(self.app.world().blobs().stream(&stored(digest), None));
        let stream = stream.map_err(|error| SyncError::Store(error.to_string()))?;
        let pieces = Pieces { handle: self.handle.clone(), stream, left: Bytes::new() };
        self.tar.append_data(&mut header(size), path, pieces)?;
        self.sums.insert(path.to_owned(), digest);
        Ok(())
    }

    fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), SyncError> {
        let path = path.trim_start_matches('/');
        if self.sums.insert(path.to_owned(), Digest::of(bytes)).is_none() {
            self.tar.append_data(&mut header(bytes.len() as u64), path, bytes)?;
        }
        Ok(())
    }
}

/// Of a plain file from the beginning of time.
fn header(size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(0o644);
    header
}
