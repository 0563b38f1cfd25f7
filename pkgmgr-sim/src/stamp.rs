//! The `Repository: RSPM` stamp in R packages.
//!
//! Package Manager rewrites the packages it serves: `DESCRIPTION` says where they came from. renv and others tell the origin
//! of an installed package by it; for them a package is of Bioconductor when the stamp contains that word. So what is served has another digest than what the package service has; in a binary
//! package the copy of the description in `Meta/package.rds` changes along.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use pkg_formats::archive::Limits;
use pkg_formats::psp::Digest;
use pkg_formats::r::package::{self, Error as PackageError};
use tokio::sync::Semaphore;

use crate::app::App;
use crate::error::Error;
use crate::files::stored;
use crate::renderings::blocking;
use crate::store::packages;

/// The value of `Repository`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// `RSPM`.
    Rspm,
    /// `Bioconductor`, unless the package says so itself with its release: `Bioconductor 3.22`.
    Bioconductor,
}
/// Packages larger than this are served as they came: rewriting holds them in memory.
const LARGEST: u64 = 64 << 20;
/// What a package may unpack to.
pub(crate) const LIMITS: Limits = Limits {
    entries: 100_000,
    total_bytes: 512 << 20,
    entry_bytes: 256 << 20,
    ratio: 400,
    path_bytes: 1024,
    path_depth: 64,
};

/// What was stamped lately, and who may stamp.
pub(crate) struct Stamps {
    /// Served digest and size by original digest.
    known: Mutex<HashMap<Digest, (Digest, u64)>>,
    /// Few packages are rewritten at once: each is held in memory.
    turns: Semaphore,
}

/// Stamps remembered in memory at most.
const REMEMBERED: usize = 4096;

impl Default for Stamps {
    fn default() -> Self {
        Self { known: Mutex::default(), turns: Semaphore::new(4) }
    }
}

impl Stamps {
    fn get(&self, original: Digest) -> Option<(Digest, u64)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(&original).copied()
    }

    fn remember(&self, original: Digest, served: (Digest, u64)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(original, served);
    }
}

impl App {
    /// The package file that is served for `original`, and its size. It is here afterwards.
    ///
    /// # Errors
    /// [`Error::Upstream`] when the original is not to be had.
    pub(crate) async fn stamped(&self, original: Digest, size: u64, stamp: Stamp) -> Result<(Digest, u64), Error> {
        if let Some(known) = self.0.stamps.get(original) {
            return Ok(known);
        }
        let served = match self.stamped_before(original).await? {
            Some(known) => known,
            None => {
                let size = self.0.files.fetch(original, Some(size)).await?;
                let _turn = self.0.stamps.turns.acquire().await;
                match self.0.stamps.get(original) {
                    Some(known) => return Ok(known),
                    None => self.stamp_now(original, size, stamp).await?,
                }
            }
        };
        self.0.stamps.remember(original, served);
        Ok(served)
    }

    /// What an earlier run served.
    async fn stamped_before(&self, original: Digest) -> Result<Option<(Digest, u64)>, Error> {
        let Some((served, size)) = packages::stamped(self.world().db(), &original.to_string()).await? else {
            return Ok(None);
        };
        let served: Digest = served.parse().map_err(|_| Error::Internal("a stored digest is none".to_owned()))?;
        let is_here = self.world().blobs().contains(&stored(served)).await?;
        Ok(is_here.then(|| (served, size.try_into().unwrap_or_default())))
    }

    async fn stamp_now(&self, original: Digest, size: u64, stamp: Stamp) -> Result<(Digest, u64), Error> {
        let blobs = self.world().blobs();
        let rewritten = match size > LARGEST {
            true => Ok(None),
            false => {
                let bytes = blobs.get(&stored(original)).await?;
                blocking(move || stamp.put_on(&bytes)).await?
            }
        };
        let (served, size) = match rewritten {
            Ok(None) => (original, size),
            Ok(Some(rewritten)) => {
                let size = rewritten.len() as u64;
                (Digest(*blobs.put(Bytes::from(rewritten)).await?.as_bytes()), size)
            }
            Err(error) => {
                // It is what was published, and its digest is right: the client shall judge.
                tracing::warn!(%original, %error, "an R package cannot be rewritten and is served as it came");
                (original, size)
            }
        };
        // Not awaited: a synchronisation may hold the database's write lock for long, and this can be found out again.
        let app = self.clone();
        self.world().spawn(async move {
            let (original, served) = (original.to_string(), served.to_string());
            let size = i64::try_from(size).unwrap_or(i64::MAX);
            if let Err(error) = packages::set_stamped(app.world().db(), &original, &served, size).await {
                tracing::warn!(%error, "a rewritten package is not noted");
            }
        });
        Ok((served, size))
    }
}

impl Stamp {
    /// The package with its stamp; none when it has it already.
    fn put_on(self, bytes: &Bytes) -> Result<Option<Vec<u8>>, PackageError> {
        package::rewrite_description(bytes.as_ref(), &LIMITS, |description| match self {
            Self::Rspm => description.set("Repository", "RSPM"),
            Self::Bioconductor if description.get("Repository").is_some_and(|own| own.contains("Bioconductor")) => {}
            Self::Bioconductor => description.set("Repository", "Bioconductor"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pkg_formats::archive::Files;
    use pkg_formats::r::source::{SourceSpec, description};

    #[test]
    fn packages_get_the_stamp_once() {
        let source = SourceSpec { description: description("a", "1.0", "T"), files: Files::new() };
        let stamp = |bytes: &Bytes| Stamp::Rspm.put_on(bytes);
        let stamped = stamp(&source.tar_gz().unwrap().into()).unwrap().unwrap();
        let read = package::read_description(stamped.as_slice(), &LIMITS).unwrap();
        assert_eq!((read.get("Repository"), read.get("Version")), (Some("RSPM"), Some("1.0")));
        assert!(stamp(&stamped.clone().into()).unwrap().is_none());
        let of_bioconductor = Stamp::Bioconductor.put_on(&stamped.into()).unwrap().unwrap();
        let read = package::read_description(of_bioconductor.as_slice(), &LIMITS).unwrap();
        assert_eq!(read.get("Repository"), Some("Bioconductor"));
        assert!(Stamp::Bioconductor.put_on(&of_bioconductor.into()).unwrap().is_none());
        assert!(stamp(&Bytes::from_static(b"not a package")).is_err());
    }
}
