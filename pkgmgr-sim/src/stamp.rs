//! The `Repository: RSPM` stamp in R packages.
//!
//! Package Manager rewrites the packages it serves: `DESCRIPTION` says where they came from. renv and others tell the origin
//! of an installed package by it. So what is served has another digest than what the package service has; in a binary
//! package the copy of the description in `Meta/package.rds` changes along.

use bytes::Bytes;
use pkg_formats::archive::{self, Compression, File, Files, Kind, Limits};
use pkg_formats::dcf::{self, Record};
use pkg_formats::psp::Digest;
use pkg_formats::r::binary::{Built, package_rds};
use pkg_formats::r::package::{self, Error as PackageError};

use crate::app::App;
use crate::error::Error;
use crate::files::stored;
use crate::renderings::blocking;
use crate::store::packages;

/// The value of `Repository`.
pub const STAMP: &str = "RSPM";
/// Packages larger than this are served as they came: rewriting holds them in memory.
const LARGEST: u64 = 64 << 20;
/// What a package may unpack to.
const LIMITS: Limits = Limits {
    entries: 100_000,
    total_bytes: 512 << 20,
    entry_bytes: 256 << 20,
    ratio: 400,
    path_bytes: 1024,
    path_depth: 64,
};

impl App {
    /// The package file that is served for `original`, and its size. It is here afterwards.
    ///
    /// # Errors
    /// [`Error::Upstream`] when the original is not to be had.
    pub(crate) async fn stamped(&self, original: Digest, size: u64) -> Result<(Digest, u64), Error> {
        let blobs = self.world().blobs();
        if let Some((served, size)) = packages::stamped(self.world().db(), &original.to_string()).await? {
            let served: Digest = served.parse().map_err(|_| Error::Internal("a stored digest is none".to_owned()))?;
            if blobs.contains(&stored(served)).await? {
                return Ok((served, size.try_into().unwrap_or_default()));
            }
        }
        let size = self.0.files.fetch(original, Some(size)).await?;
        let _few = self.0.rewriting.acquire().await;
        let bytes = blobs.get(&stored(original)).await?;
        let rewritten = if size > LARGEST { Ok(None) } else { blocking(move || stamp(&bytes)).await? };
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

/// The package with its stamp; none when it has it already.
fn stamp(bytes: &Bytes) -> Result<Option<Vec<u8>>, PackageError> {
    let mut files = Files::new();
    archive::scan(bytes.as_ref(), &LIMITS, |entry, data| {
        if entry.kind == Kind::File {
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes)?;
            files.insert(entry.path.clone(), File { bytes, executable: entry.executable });
        }
        Ok(())
    })?;
    let is_description = |path: &&String| path.split_once('/').is_some_and(|(_, rest)| rest == "DESCRIPTION");
    let path = files.keys().find(is_description).cloned().ok_or(PackageError::NoDescription)?;
    let mut description = package::read_description(bytes.as_ref(), &LIMITS)?;
    if description.get("Repository") == Some(STAMP) {
        return Ok(None);
    }
    description.set("Repository", STAMP);
    if description.get("Encoding").is_some() {
        description.set("Encoding", "UTF-8");
    }
    let metadata = format!("{}/Meta/package.rds", path.trim_end_matches("/DESCRIPTION"));
    if let Some(file) = files.get_mut(&metadata)
        && let Some(built) = built(&description)
    {
        let value = package_rds(&description, &built)?.to_bytes();
        file.bytes = archive::gzip(&value, Compression::Deflate);
    }
    files.insert(path, dcf::write(&[description]).into());
    Ok(Some(archive::tar_gz(&files, Compression::Deflate)?))
}

/// The `Built` field, taken apart.
fn built(description: &Record) -> Option<Built> {
    let mut parts = description.get("Built")?.split(';').map(str::trim);
    Some(Built {
        r: parts.next()?.strip_prefix("R ")?.parse().ok()?,
        platform: parts.next()?.to_owned(),
        time: parts.next()?.to_owned(),
        os: match parts.next()? {
            "windows" => "windows",
            _ => "unix",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use pkg_formats::r::binary::BinarySpec;
    use pkg_formats::r::source::{SourceSpec, description};

    #[test]
    fn packages_get_the_stamp_once() {
        let source = SourceSpec { description: description("a", "1.0", "T"), files: Files::new() };
        let stamped = stamp(&source.tar_gz().unwrap().into()).unwrap().unwrap();
        let read = package::read_description(stamped.as_slice(), &LIMITS).unwrap();
        assert_eq!((read.get("Repository"), read.get("Version")), (Some("RSPM"), Some("1.0")));
        assert!(stamp(&stamped.into()).unwrap().is_none());
        assert!(stamp(&Bytes::from_static(b"not a package")).is_err());
    }

    #[test]
    fn binaries_carry_the_stamp_in_both_places() {
        let built = Built {
            r: "4.2.0".parse().unwrap(),
            platform: String::new(),
            time: "2026-01-01 00:00:00 UTC".into(),
            os: "unix",
        };
        let spec = BinarySpec {
            description: description("a", "1.0", "T"),
            namespace: "export(f)".into(),
            code: "f <- function() 42".into(),
            files: Files::new(),
            built: built.clone(),
        };
        let stamped = stamp(&spec.tar_gz().unwrap().into()).unwrap().unwrap();
        let mut stamped_description = spec.description.clone();
        stamped_description.set("Built", built.field());
        stamped_description.set("Repository", STAMP);
        let mut found = None;
        archive::scan(stamped.as_slice(), &LIMITS, |entry, data| {
            if entry.path == "a/Meta/package.rds" {
                let mut bytes = Vec::new();
                data.read_to_end(&mut bytes)?;
                found = Some(bytes);
            }
            Ok(())
        })
        .unwrap();
        let expected = package_rds(&stamped_description, &built).unwrap().to_bytes();
        assert_eq!(found.unwrap(), archive::gzip(&expected, Compression::Deflate));
    }
}
