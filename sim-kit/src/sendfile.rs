//! Large bodies that are in memory and go out without a copy.
//!
//! Handing a body to a socket copies it into the kernel, which for a body of a mebibyte is most of the work. [`share`] puts the
//! bytes into a file without a name as well, and [`share_from`] notes the file that they were read from; a [`Stream`] that is asked to
//! write any of them has the kernel send that part of the file (`sendfile(2)`), which copies nothing. Everything between the two
//! sees ordinary [`Bytes`] and may slice or drop them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// Fewer bytes are not worth a file descriptor and a call of their own.
const LEAST: usize = 128 << 10;

/// The shared bytes that are alive, by the address of the first.
static SHARED: RwLock<BTreeMap<usize, Entry>> = RwLock::new(BTreeMap::new());

struct Entry {
    owner: Weak<Owner>,
    file: Arc<File>,
    length: usize,
}

/// Bytes with an entry in [`SHARED`]. What is borrowed from them cannot outlive them, so an address that is found there is theirs.
struct Owner {
    bytes: Bytes,
    file: Arc<File>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        let mut shared = SHARED.write().unwrap_or_else(PoisonError::into_inner);
        // Another one may have come for the same bytes, after the last handle of this one was gone.
        if shared.get(&address(&self.bytes)).is_some_and(|entry| Arc::ptr_eq(&entry.file, &self.file)) {
            shared.remove(&address(&self.bytes));
        }
    }
}

/// What keeps shared bytes alive.
struct Handle(Arc<Owner>);

impl AsRef<[u8]> for Handle {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// Bytes of a file.
struct Part {
    file: Arc<File>,
    offset: u64,
    length: usize,
}

fn address(bytes: &[u8]) -> usize {
    bytes.as_ptr().addr()
}

/// The same bytes, which a [`Stream`] sends without a copy. They take their memory twice, and a file descriptor: this is for what
/// is kept to be sent often, and bounded. Few bytes, and all when the system gives no file, are returned as they are.
#[must_use]
pub fn share(bytes: Bytes) -> Bytes {
    share_with(bytes, system::anonymous)
}

/// As [`share`], of bytes that are those of `file` from its beginning to its end, and stay that: they take their memory once.
#[must_use]
pub fn share_from(bytes: Bytes, file: File) -> Bytes {
    share_with(bytes, |bytes| match file.metadata()?.len() == bytes.len() as u64 {
        true => Ok(file),
        false => Err(io::Error::other("the file has other bytes")),
    })
}

fn share_with(bytes: Bytes, file: impl FnOnce(&[u8]) -> io::Result<File>) -> Bytes {
    if !cfg!(target_os = "linux") || bytes.len() < LEAST {
        return bytes;
    }
    let shared = SHARED.read().unwrap_or_else(PoisonError::into_inner);
    let known = shared.get(&address(&bytes)).and_then(|entry| entry.owner.upgrade());
    // Before an owner may be dropped, which wants to write.
    drop(shared);
    if let Some(owner) = known.filter(|owner| owner.bytes.len() == bytes.len()) {
        return Bytes::from_owner(Handle(owner));
    }
    let file = match file(&bytes) {
        Ok(file) => Arc::new(file),
        Err(error) => {
            tracing::debug!(%error, "no file for a body that is kept");
            return bytes;
        }
    };
    let (start, length) = (address(&bytes), bytes.len());
    let owner = Arc::new(Owner { bytes, file: file.clone() });
    let entry = Entry { owner: Arc::downgrade(&owner), file, length };
    SHARED.write().unwrap_or_else(PoisonError::into_inner).insert(start, entry);
    Bytes::from_owner(Handle(owner))
}

/// Whether [`share`] has nothing to do: they are in a file, or too few, or this system cannot.
#[must_use]
pub fn is_shared(bytes: &[u8]) -> bool {
    !cfg!(target_os = "linux") || bytes.len() < LEAST || part(bytes).is_some()
}

/// The file that has these bytes, all of which belong to one owner.
fn part(bytes: &[u8]) -> Option<Part> {
    let (start, end) = (address(bytes), address(bytes) + bytes.len());
    let shared = SHARED.read().unwrap_or_else(PoisonError::into_inner);
    let (first, entry) = shared.range(..=start).next_back()?;
    (end <= first + entry.length).then(|| Part {
        file: entry.file.clone(),
        offset: (start - first) as u64,
        length: bytes.len(),
    })
}

/// A connection that sends shared bytes from their file.
pub struct Stream {
    socket: TcpStream,
    /// What was read from the socket already, and is to be read again.
    unread: Bytes,
}

impl Stream {
    /// Takes the connection over.
    #[must_use]
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, unread: Bytes::new() }
    }

    /// Takes bytes back that were read, so that they are read again.
    pub(crate) fn unread(&mut self, bytes: Bytes) {
        self.unread = bytes;
    }

    /// Waits for the other side to go away. Bytes that came instead hide it.
    pub(crate) async fn gone(&self) {
        if let Ok(1..) = self.socket.peek(&mut [0]).await {
            std::future::pending::<()>().await;
        }
    }

    /// Calls `write` until the socket takes something.
    fn poll_with(
        &self,
        cx: &mut Context<'_>,
        mut write: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.socket.poll_write_ready(cx))?;
            match self.socket.try_io(Interest::WRITABLE, || write(&self.socket)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return Poll::Ready(other),
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.unread.is_empty() {
            let many = self.unread.len().min(buffer.remaining());
            buffer.put_slice(&self.unread.split_to(many));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.socket).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match long(bytes).then(|| part(bytes)).flatten() {
            Some(part) => self.poll_with(cx, |stream| system::send(stream, &part)),
            None => Pin::new(&mut self.socket).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // What comes before shared bytes goes out the usual way; they are asked for again after it.
        let found = slices.iter().enumerate().find_map(|(i, slice)| Some((i, long(slice).then(|| part(slice))??)));
        match found {
            Some((0, part)) => self.poll_with(cx, |stream| system::send(stream, &part)),
            Some((before, _)) => self.poll_with(cx, |stream| system::announce(stream, &slices[..before])),
            None => Pin::new(&mut self.socket).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

/// Short writes, nearly all, need no look into [`SHARED`]; the rest of shared bytes, when it is short, is copied.
fn long(bytes: &[u8]) -> bool {
    bytes.len() >= 16 << 10
}

/// What the system does.
#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io::{self, IoSlice, Write as _};

    use rustix::fs::{MemfdFlags, memfd_create, sendfile};
    use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
    use tokio::net::TcpStream;

    use super::Part;

    /// A file without a name. One of a disk's, whose cache has it in larger pieces, is sent up to a fifth faster than one of memory.
    pub(super) fn anonymous(bytes: &[u8]) -> io::Result<File> {
        let on_disk = tempfile::tempfile().and_then(|file| written(file, bytes));
        on_disk.or_else(|_| written(memfd_create("body", MemfdFlags::CLOEXEC)?.into(), bytes))
    }

    fn written(mut file: File, bytes: &[u8]) -> io::Result<File> {
        file.write_all(bytes)?;
        Ok(file)
    }

    /// Writes what has a file behind it. It waits in the kernel for that, so that the client wakes once and not twice: this is
    /// worth as much as the copy that is saved.
    pub(super) fn announce(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::MORE | SendFlags::NOSIGNAL;
        Ok(sendmsg(stream, slices, &mut SendAncillaryBuffer::default(), flags)?)
    }

    pub(super) fn send(stream: &TcpStream, part: &Part) -> io::Result<usize> {
        let mut offset = part.offset;
        Ok(sendfile(stream, &part.file, Some(&mut offset), part.length)?)
    }
}

/// Elsewhere nothing is shared, and everything is copied.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io::{self, IoSlice};

    use tokio::net::TcpStream;

    use super::Part;

    pub(super) fn anonymous(_: &[u8]) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(super) fn announce(stream: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        stream.try_write_vectored(slices)
    }

    pub(super) fn send(_: &TcpStream, _: &Part) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    fn noise(length: usize) -> Bytes {
        (0..length).map(|i| (i * i / 7 % 251) as u8).collect::<Vec<u8>>().into()
    }

    #[test]
    fn shared_bytes_are_known_while_they_live() {
        let private = noise(LEAST);
        let shared = share(private.clone());
        assert_eq!(shared, private);
        let slice = shared.slice(5..LEAST - 5);
        let (found, again) = (part(&slice).unwrap(), share(private.clone()));
        assert!(Arc::ptr_eq(&found.file, &part(&again).unwrap().file), "no second file for the same bytes");
        drop(again);
        assert_eq!((found.offset, found.length), (5, LEAST - 10));
        drop(shared);
        assert!(part(&slice).is_some(), "a slice keeps them alive");
        drop(slice);
        assert!(part(&private).is_none());
        assert!(part(&share(noise(LEAST - 1))).is_none(), "few bytes are not shared");
        assert!(part(&noise(LEAST)).is_none());
    }

    #[tokio::test]
    async fn all_of_them_arrive_in_order() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (sender, receiver) = tokio::join!(listener.accept(), TcpStream::connect(listener.local_addr().unwrap()));
        let (mut sender, mut receiver) = (Stream::new(sender.unwrap().0), receiver.unwrap());
        // More than a socket takes at once.
        let (shared, other) = (share(noise(3 << 20)), noise(70_000));
        let reading = tokio::spawn(async move {
            let mut all = Vec::new();
            receiver.read_to_end(&mut all).await.unwrap();
            all
        });
        let head = b"head".as_slice();
        let middle = shared.slice(1 << 20..2 << 20);
        let mut queue = std::collections::VecDeque::from([head, &shared, &other, &middle]);
        while !queue.is_empty() {
            let slices: Vec<IoSlice<'_>> = queue.iter().map(|bytes| IoSlice::new(bytes)).collect();
            let mut written = sender.write_vectored(&slices).await.unwrap();
            assert!(written > 0);
            while let Some(first) = queue.front_mut() {
                let taken = written.min(first.len());
                *first = &first[taken..];
                written -= taken;
                if !first.is_empty() {
                    break;
                }
                queue.pop_front();
            }
        }
        sender.write_all(&shared).await.unwrap();
        drop(sender);
        let expected = [head, &shared, &other, &middle, &shared].concat();
        assert!(reading.await.unwrap() == expected);
    }
}
