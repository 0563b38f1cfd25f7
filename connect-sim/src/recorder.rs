//! Visits and audit entries, written behind the requests that they tell of.
//!
//! They are gathered in memory and written several at a time, so that a visit does not wait for the database. Whoever
//! reads them has what was gathered written first. What was gathered is lost when the server is killed.

use std::sync::{Mutex, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, Notify};

use crate::app::App;
use crate::error::Result;
use crate::store;
use crate::store::audit::Entry;
use crate::store::hits::Hit;

/// The most that is gathered; more is left out.
const MOST: usize = 100_000;

#[derive(Default)]
struct Gathered {
    hits: Vec<Hit>,
    entries: Vec<Entry>,
}

/// What was gathered and not written.
#[derive(Default)]
pub struct Recorder {
    gathered: Mutex<Gathered>,
    /// One writes at a time, so that a reader waits for what another took.
    writing: AsyncMutex<()>,
    bell: Notify,
}

impl Recorder {
    fn gather(&self, add: impl FnOnce(&mut Gathered)) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        if gathered.hits.len() + gathered.entries.len() < MOST {
            add(&mut gathered);
        }
        drop(gathered);
        self.bell.notify_one();
    }

    /// Notes a visit.
    pub fn hit(&self, hit: Hit) {
        self.gather(|gathered| gathered.hits.push(hit));
    }

    /// Notes a change.
    pub fn entry(&self, entry: Entry) {
        self.gather(|gathered| gathered.entries.push(entry));
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn flush(&self, app: &App) -> Result<()> {
        let _alone = self.writing.lock().await;
        let gathered = std::mem::take(&mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
        if gathered.hits.is_empty() && gathered.entries.is_empty() {
            return Ok(());
        }
        let mut tx = app.write().await?;
        for hit in &gathered.hits {
            store::hits::insert(&mut tx, hit).await?;
        }
        for entry in &gathered.entries {
            store::audit::insert(&mut tx, entry).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Writes what is gathered, for as long as the server runs.
pub fn start(app: &App) {
    let app = app.clone();
    let world = app.world().clone();
    world.spawn(async move {
        loop {
            app.recorder().bell.notified().await;
            if let Err(error) = app.recorder().flush(&app).await {
                tracing::error!(%error, "visits and audit entries were lost");
            }
        }
    });
}
