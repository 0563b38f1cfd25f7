//! What a terminal has written: the latest bytes, for browsers that come later, and word of more, for those that are
//! there. Readers keep their own place, so a slow one holds nobody up; one that falls behind loses the oldest bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

/// Bytes kept.
pub(crate) const SCROLLBACK: usize = 256 * 1024;
/// Bytes handed out at once.
const CHUNK: usize = 32 * 1024;

/// See the module. Clones are the same screen.
#[derive(Clone)]
pub(crate) struct Screen(Arc<Inner>);

struct Inner {
    ring: Mutex<Ring>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Ring {
    bytes: VecDeque<u8>,
    /// Bytes ever written.
    written: u64,
    exit: Option<i32>,
}

/// What a reader gets.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// These bytes; read on from there.
    Bytes(Bytes, u64),
    /// Everything was read and nothing more comes.
    Exit(i32),
}

impl Screen {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Inner { ring: Mutex::default(), changed: watch::Sender::new(()) }))
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.0.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends bytes.
    pub(crate) fn write(&self, bytes: &[u8]) {
        let mut ring = self.ring();
        ring.written += bytes.len() as u64;
        let kept = &bytes[bytes.len().saturating_sub(SCROLLBACK)..];
        let over = (ring.bytes.len() + kept.len()).saturating_sub(SCROLLBACK);
        ring.bytes.drain(..over);
        ring.bytes.extend(kept);
        drop(ring);
        self.0.changed.send_replace(());
    }

    /// Nothing more comes. The first exit code counts.
    pub(crate) fn close(&self, code: i32) {
        self.ring().exit.get_or_insert(code);
        self.0.changed.send_replace(());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.ring().exit.is_some()
    }

    /// What comes after the first `place` bytes; waits for it.
    pub(crate) async fn read(&self, place: u64) -> Output {
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.mark_unchanged();
            {
                let ring = self.ring();
                let oldest = ring.written - ring.bytes.len() as u64;
                let skip = usize::try_from(place.saturating_sub(oldest)).unwrap_or(usize::MAX);
                let bytes: Bytes = ring.bytes.iter().skip(skip).take(CHUNK).copied().collect();
                if !bytes.is_empty() {
                    let next = place.max(oldest) + bytes.len() as u64;
                    return Output::Bytes(bytes, next);
                }
                if let Some(code) = ring.exit {
                    return Output::Exit(code);
                }
            }
            if changed.changed().await.is_err() {
                return Output::Exit(-1);
            }
        }
    }

    /// Waits until nothing more comes.
    pub(crate) async fn closed(&self) {
        let mut changed = self.0.changed.subscribe();
        while !self.is_closed() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn late_readers_get_the_latest_and_then_the_end() {
        let screen = Screen::new();
        screen.write(b"hello ");
        screen.write(b"world");
        assert_eq!(screen.read(0).await, Output::Bytes("hello world".into(), 11));
        assert_eq!(screen.read(6).await, Output::Bytes("world".into(), 11));
        let waiting = tokio::spawn({
            let screen = screen.clone();
            async move { screen.read(11).await }
        });
        screen.write(b"!");
        assert_eq!(waiting.await.unwrap(), Output::Bytes("!".into(), 12));
        screen.close(3);
        screen.close(4);
        assert_eq!(screen.read(12).await, Output::Exit(3));
    }

    #[tokio::test]
    async fn memory_is_bounded_and_the_end_is_kept() {
        let screen = Screen::new();
        for n in 0..40_000 {
            screen.write(format!("line {n:08}\n").as_bytes());
        }
        assert_eq!(screen.ring().bytes.len(), SCROLLBACK);
        screen.write(&vec![b'x'; 2 * SCROLLBACK]);
        screen.write(b"end");
        screen.close(0);
        let (mut place, mut text) = (0, Vec::new());
        while let Output::Bytes(bytes, next) = screen.read(place).await {
            place = next;
            text.extend(bytes);
        }
        assert_eq!(text.len(), SCROLLBACK);
        assert!(text.ends_with(b"xxend"));
        assert_eq!(place, 40_000 * 14 + 2 * SCROLLBACK as u64 + 3);
    }
}
