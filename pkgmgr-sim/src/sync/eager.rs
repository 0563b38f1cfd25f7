//! The eager mode: all package files of a source are fetched before anybody asks.
//!
//! After the metadata every record of the newest state is gone through, a page at a time, and the files that are not here are
//! fetched, several at once. What is here is known by its digest, so a run that was killed, or that a service without some file
//! broke off, goes on where it was; a source whose files are all here is noted, and not gone through again before its next
//! checkpoint. In the lazy mode, which is the real product's, files come when clients ask for them.

use futures_util::StreamExt as _;
use pkg_formats::psp::{self, Digest, PythonRecord, RRecord, VsxRecord};
use serde::{Deserialize, Serialize};

use super::SyncError;
use super::fetch::Upstream;
use crate::app::App;
use crate::error::Error;
use crate::files::{link, stored};
use crate::store::packages::{self, Shows};
use crate::store::sources::{self, Language, Source};

/// When package files are fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// When a client asks.
    #[default]
    Lazy,
    /// With the synchronisation, all of them.
    Eager,
}

impl std::str::FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        <Self as clap::ValueEnum>::from_str(text.trim(), true)
            .map_err(|_| format!("{text:?} is no mode; the modes are lazy and eager"))
    }
}

/// Files on their way at the same time.
const CONCURRENT: usize = 8;
/// Packages looked at together.
const PAGE: i64 = 200;

impl App {
    /// Fetches the files of the newest state of `source` that are not here.
    ///
    /// # Errors
    /// Some could not be had; the others are here.
    pub(super) async fn fetch_files(&self, source: &Source, upstream: &Upstream) -> Result<(), SyncError> {
        let db = self.world().db();
        let Some(at) = self.view().newest.get(&source.id).copied().filter(|_| !source.holds_documents()) else {
            return Ok(());
        };
        if sources::files_until(db, source.id).await? == Some(at.tx) {
            return Ok(());
        }
        self.set_progress(source.id, |p| {
            (p.packages, p.files, p.bytes) = (0, 0, 0);
        });
        let (mut missing, mut reason) = (0_u64, String::new());
        let mut pages = packages::pages(db, source.id, at, true, PAGE);
        while let Some(page) = pages.next().await? {
            let looked_at = page.len() as u64;
            let mut wanted = Vec::new();
            for listed in page {
                let Shows::Record(json) = listed.shows else { continue };
                wanted.extend(files_of(source.language(), &json)?);
            }
            let fetched = futures_util::stream::iter(
                wanted.into_iter().map(|(digest, size)| self.fetch_missing(upstream, digest, size)),
            );
            let mut fetched = std::pin::pin!(fetched.buffer_unordered(CONCURRENT));
            while let Some(result) = fetched.next().await {
                match result {
                    Ok(0) => {}
                    Ok(size) => self.set_progress(source.id, |p| {
                        p.files += 1;
                        p.bytes += size;
                    }),
                    Err(error) => {
                        missing += 1;
                        reason = error.to_string();
                    }
                }
            }
            self.set_progress(source.id, |p| p.packages += looked_at);
        }
        if missing > 0 {
            return Err(SyncError::Files { missing, reason });
        }
        Ok(sources::set_files_until(db, source.id, at.tx).await?)
    }

    /// Bytes that had to be fetched.
    async fn fetch_missing(&self, upstream: &Upstream, digest: Digest, size: Option<u64>) -> Result<u64, Error> {
        if self.world().blobs().contains(&stored(digest)).await? {
            return Ok(0);
        }
        if let Ok(path) = link(&upstream.base, &psp::blob_path(&digest)).to_file_path() {
            return self.0.files.take(digest, &path).await.map_err(Error::Upstream);
        }
        self.0.files.fetch(digest, size).await
    }
}

/// All files that a record names, with their sizes where it tells them.
pub(crate) fn files_of(language: Language, json: &str) -> Result<Vec<(Digest, Option<u64>)>, Error> {
    Ok(match language {
        Language::Python => {
            let record: PythonRecord = serde_json::from_str(json)?;
            let of = |file: pkg_formats::psp::PythonFile| {
                [Some((file.sha256, Some(file.size))), file.metadata_sha256.map(|digest| (digest, None))]
            };
            record.files.into_iter().flat_map(of).flatten().collect()
        }
        Language::Vsx => {
            let record: VsxRecord = serde_json::from_str(json)?;
            let files = record.versions.into_iter().flat_map(|version| version.files);
            files.map(|file| (file.sha256, Some(file.size))).collect()
        }
        Language::R => {
            let record: RRecord = serde_json::from_str(json)?;
            let artifacts = record.versions.into_iter().flat_map(|version| version.artifacts);
            artifacts.map(|artifact| (artifact.sha256, Some(artifact.size))).collect()
        }
    })
}
