//! Taking a [bundle](crate::bundle), and clearing what came from a feed.
//!
//! A bundle is verified as a whole before anything is changed; then each of its feeds is followed as if it came from the service,
//! package files included, under the same conditions: the same service, the same keys, no step back. A server that dies in the
//! middle has what was applied so far, and takes the same bundle again.

use std::path::{Path, PathBuf};

use axum::body::Body;
use serde_json::{Value, json};
use sim_kit::World;
use tokio::io::AsyncWriteExt as _;

use super::SyncError;
use super::fetch::Upstream;
use crate::app::App;
use crate::bundle::{self, BundleError};
use crate::error::Error;
use crate::renderings::blocking;
use crate::store::sources::{self, Source};
use crate::store::transactions::Transaction;

/// Bytes of a bundle's archive at most.
const LARGEST: u64 = 256 << 30;
/// The folder of bundles that are being taken.
const FOLDER: &str = "incoming-bundles";

/// Takes away what a process that died has left of bundles.
pub(crate) fn sweep(world: &World) -> std::io::Result<()> {
    let folder = world.folder(FOLDER)?;
    std::fs::remove_dir_all(&folder)?;
    std::fs::create_dir(folder)
}

/// Goes with what is in it.
struct Room(PathBuf);

impl Drop for Room {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "a bundle that was taken is not thrown away");
        }
    }
}

impl App {
    /// Takes the bundle whose archive is `body`, and tells how far each of its feeds is now.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a bundle that is not to be believed, [`Error::Refused`] for one that this server does not go on with.
    pub(crate) async fn import(&self, body: Body) -> Result<Value, Error> {
        let room = Room(self.world().folder(FOLDER)?.join(self.world().ids().hex("bundle", 16)));
        tokio::fs::create_dir(&room.0).await?;
        let archive = room.0.join("bundle.tar.gz");
        receive(body, &archive).await?;
        let folder = room.0.join("bundle");
        let target = folder.clone();
        let verified = blocking(move || {
            bundle::unpack(&archive, &target)?;
            std::fs::remove_file(&archive)
                .map_err(|source| BundleError::Io { path: "bundle.tar.gz".to_owned(), source })?;
            bundle::verify(&target)
        });
        let report = verified.await?.map_err(|error| match error {
            BundleError::Io { .. } => Error::Internal(error.to_string()),
            BundleError::Archive(error) if !error.is_bad_archive() => Error::Internal(error.to_string()),
            other => Error::BadRequest(other.to_string()),
        })?;
        let base = url::Url::from_directory_path(&folder).map_err(|()| Error::Internal("no folder".to_owned()))?;
        let upstream = Upstream { base, carried: Some(report.files) };
        let refused = |error: SyncError| match error {
            SyncError::Store(reason) => Error::Internal(reason),
            other => Error::Refused(other.to_string()),
        };
        self.discover(&upstream).await.map_err(refused)?;
        let view = self.view();
        let mut taken = Vec::new();
        for feed in &report.feeds {
            let source = view.fed().find(|source| source.feed.as_deref() == Some(feed.feed.as_str()));
            // Of a feed that this version has no use for.
            let Some(source) = source else { continue };
            let outcome = self.sync_from(source, &upstream).await.map_err(refused)?;
            taken.push(json!({ "source": source.name, "checkpoints": outcome.checkpoints, "checkpoint": outcome.seq }));
        }
        Ok(json!({ "imported": taken, "bundle": report }))
    }

    /// Forgets all that `source` has from its feed, so that it can be synchronised anew, from whatever service.
    pub(crate) async fn clear(&self, source: &Source) -> Result<i64, Error> {
        if source.feed.is_none() {
            return Err(Error::BadRequest(format!(
                "source {} follows no feed, so there is nothing to be cleared",
                source.name
            )));
        }
        let turn = self.turn(source);
        let _turn = turn.lock().await;
        let mut change = self.begin().await?;
        let packages_removed = sources::clear(&mut change.tx, source.id).await?;
        let done = Transaction {
            source_id: Some(source.id),
            action: "Clear".to_owned(),
            tag: format!("Cleared {}", source.name),
            packages_removed,
            ..Transaction::default()
        };
        let id = self.conclude(change, done).await?;
        self.set_progress(source.id, |p| *p = super::Progress::default());
        Ok(id)
    }
}

async fn receive(body: Body, path: &Path) -> Result<(), Error> {
    use futures_util::StreamExt as _;
    let mut file = tokio::fs::File::create(path).await?;
    let (mut pieces, mut size) = (body.into_data_stream(), 0);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(|error| Error::BadRequest(format!("the bundle did not arrive: {error}")))?;
        size += piece.len() as u64;
        if size > LARGEST {
            return Err(Error::TooLarge(format!("a bundle has at most {LARGEST} bytes")));
        }
        file.write_all(&piece).await?;
    }
    Ok(file.flush().await?)
}
