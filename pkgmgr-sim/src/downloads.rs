//! Counting downloads of packages.
//!
//! A count is kept in memory for a moment and then written together with others, so that a download does not wait for the database;
//! a server that is killed forgets the last moment. Whole files that were sent count, and redirects to them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::response::Response;
use http::{Method, StatusCode};

use crate::app::App;
use crate::error::Error;
use crate::store::downloads;

/// How long counts wait for others.
const MOMENT: Duration = Duration::from_millis(200);

/// Microseconds.
pub(crate) const DAY: i64 = 86_400_000_000;

/// Source, package, version and the day's beginning.
type Key = (i64, String, String, i64);

/// Counts that are not written yet.
#[derive(Default)]
pub(crate) struct Downloads(Mutex<HashMap<Key, i64>>);

/// What an answer gives, set on it by the handler that found the file.
#[derive(Debug)]
pub(crate) struct Download {
    pub(crate) source: i64,
    pub(crate) name: String,
    pub(crate) version: String,
    /// For an address of a Linux distribution: which, and whether there was a binary package for it.
    pub(crate) routed: Option<(String, bool)>,
}

impl Download {
    /// Sets it on `answer`.
    pub(crate) fn mark(self, answer: &mut Response) {
        answer.extensions_mut().insert(Arc::new(self));
    }

    /// What is set on `answer`.
    pub(crate) fn of(answer: &Response) -> Option<&Arc<Self>> {
        answer.extensions().get()
    }

    /// As [`Download::of`], if the answer gives a whole file, or says where it is.
    pub(crate) fn given<'a>(method: &Method, answer: &'a Response) -> Option<&'a Arc<Self>> {
        let is_given =
            method == Method::GET && matches!(answer.status(), StatusCode::OK | StatusCode::TEMPORARY_REDIRECT);
        if is_given { Self::of(answer) } else { None }
    }
}

impl App {
    /// Counts a download that was given.
    pub(crate) fn count_download(&self, download: &Download) {
        self.0.metrics.downloads.inc();
        if let Some((distro, binary)) = &download.routed {
            self.0.metrics.routed(distro, *binary);
        }
        let day = self.world().clock().now_micros().div_euclid(DAY) * DAY;
        let mut waiting = self.0.downloads.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = waiting.is_empty();
        *waiting.entry((download.source, download.name.clone(), download.version.clone(), day)).or_default() += 1;
        drop(waiting);
        if is_first {
            let app = self.clone();
            self.world().spawn(async move {
                // Machine time: it is about the database, not about the simulated day.
                tokio::time::sleep(MOMENT).await;
                if let Err(error) = app.write_downloads().await {
                    tracing::warn!(%error, "downloads are not counted");
                }
            });
        }
    }

    async fn write_downloads(&self) -> Result<(), Error> {
        let waiting = std::mem::take(&mut *self.0.downloads.0.lock().unwrap_or_else(PoisonError::into_inner));
        if waiting.is_empty() {
            return Ok(());
        }
        let mut tx = self.world().db().write().await?;
        for ((source, name, version, day), count) in waiting {
            downloads::add(&mut tx, source, &name, &version, day, count).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Source, package and downloads from the day that begins at `day` on.
    pub(crate) async fn downloads_since(&self, day: i64) -> Result<Vec<(i64, String, i64)>, Error> {
        // What waits is written first, so that nothing is counted twice or not at all.
        self.write_downloads().await?;
        Ok(downloads::since(self.world().db(), day).await?)
    }

    /// Downloads of a package up to now.
    pub(crate) async fn downloads_of(&self, source: i64, name: &str) -> Result<i64, Error> {
        let written = downloads::of(self.world().db(), source, name).await?;
        let waiting = self.0.downloads.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_package = waiting.iter().filter(|((of, package, ..), _)| *of == source && package == name);
        Ok(written + of_package.map(|(_, count)| count).sum::<i64>())
    }
}
