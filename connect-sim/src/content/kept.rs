//! The last long list of items, kept as it was sent until something is written to the database.
//!
//! Clients ask for everything there is again and again, and most of the time nothing has changed. One list is kept, of a bounded
//! size, so that memory stays as it is; while one answer is being gathered others go out as they are read.

use std::sync::Arc;

use bytes::Bytes;
use sim_kit::db::Db;
use sim_kit::known::Known;
use sim_kit::sendfile::share;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a list that is kept, at most.
const MOST: usize = 16 << 20;

/// See the module.
pub struct Kept {
    lists: Known<String, Bytes>,
    turn: Arc<Semaphore>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { lists: Known::new(1), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Kept {
    /// The list of everything that `key` tells, as it is now.
    pub fn get(&self, db: &Db, key: &str) -> Option<Bytes> {
        self.lists.kept(db, key)
    }

    /// To be asked for before the list is read. None: it is not to be kept.
    pub fn gather(&self, db: &Db, key: String) -> Option<Gathered> {
        let turn = self.turn.clone().try_acquire_owned().ok()?;
        Some(Gathered { key, changes: db.changes()?, text: Vec::new(), _turn: turn })
    }

    /// Keeps what was gathered to its end.
    pub fn keep(&self, gathered: Gathered) {
        let Gathered { key, changes, text, .. } = gathered;
        self.lists.keep(key, changes, share(text.into()));
    }
}

/// A list that is on its way.
pub struct Gathered {
    key: String,
    changes: u64,
    text: Vec<u8>,
    _turn: OwnedSemaphorePermit,
}

impl Gathered {
    /// With the next bytes. None: it has become too long.
    #[must_use]
    pub fn and(mut self, piece: &[u8]) -> Option<Self> {
        if self.text.len() + piece.len() > MOST {
            return None;
        }
        self.text.extend_from_slice(piece);
        Some(self)
    }
}
