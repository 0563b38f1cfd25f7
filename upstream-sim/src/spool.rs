//! Bytes that are kept until the process ends: in memory while they are few, else in an unnamed temporary file.

use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tempfile::SpooledTempFile;

/// So much stays in memory.
const IN_MEMORY: usize = 16 << 20;

/// Where a piece lies in a [`Spool`].
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    offset: u64,
    len: usize,
}

/// A growing file of pieces.
pub(crate) struct Spool(Mutex<SpooledTempFile>);

impl Default for Spool {
    fn default() -> Self {
        Self(Mutex::new(SpooledTempFile::new(IN_MEMORY)))
    }
}

impl Spool {
    /// Appends `bytes`.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<Piece> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = file.seek(SeekFrom::End(0))?;
        file.write_all(bytes)?;
        Ok(Piece { offset, len: bytes.len() })
    }

    /// Reads a piece back.
    pub(crate) fn get(&self, piece: Piece) -> io::Result<Bytes> {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(piece.offset))?;
        let mut bytes = vec![0; piece.len];
        file.read_exact(&mut bytes)?;
        Ok(bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_from_memory_and_from_disk() {
        let spool = Spool::default();
        let large = vec![7; IN_MEMORY];
        let pieces: Vec<Piece> = [&b"first"[..], &large, b"", b"last"].map(|bytes| spool.put(bytes).unwrap()).into();
        assert_eq!(spool.get(pieces[3]).unwrap(), "last");
        assert_eq!(spool.get(pieces[0]).unwrap(), "first");
        assert_eq!(spool.get(pieces[1]).unwrap(), large);
        assert_eq!(spool.get(pieces[2]).unwrap(), "");
    }
}
