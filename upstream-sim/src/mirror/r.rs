//! A repository of R packages.
//!
//! Its index tells neither digests nor sizes, so a package is fetched when it becomes part of the feed, with all that it
//! needs. Versions that were mirrored before and have been succeeded since stay in the archive.

use std::collections::{HashMap, HashSet};
use std::io::Read as _;

use chrono::{DateTime, NaiveDateTime, Utc};
use md5::{Digest as _, Md5};
use pkg_formats::archive::Limits;
use pkg_formats::dcf;
use pkg_formats::psp::{Artifact, ArtifactKind, Digest, RRecord, RState, RVersion};
use pkg_formats::r::{R_BASE, deps, is_package_name, package};
use url::Url;

use super::fetcher::{Fetcher, LARGEST_PAGE};
use super::sources::Site;
use super::{Fetched, MirrorError, Remote, Shelf, within};
use crate::scenario::r::DAY_OF_ALL;

/// Packages that one demand brings, with all that they need.
const MOST: usize = 2_000;
const PACKAGES: &str = "cran/PACKAGES";
const LIMITS: Limits = Limits {
    entries: 100_000,
    total_bytes: 2 << 30,
    entry_bytes: 1 << 30,
    ratio: 400,
    path_bytes: 1024,
    path_depth: 64,
};

/// The repository.
pub(crate) struct Index {
    pub(super) site: Option<Site>,
}

/// What the repository's index says of a package.
struct Entry {
    version: String,
    md5: Option<String>,
    needs: Vec<String>,
}

impl Index {
    pub(super) fn new(url: Option<Url>) -> Self {
        Self { site: url.map(Site::new) }
    }

    /// Fetches packages and what they need; those that are new, and the names that the repository does not have.
    pub(super) async fn fetch(
        &self,
        fetcher: &Fetcher<'_>,
        names: &[String],
        shelf: &Shelf,
        own: &HashSet<String>,
    ) -> Result<(Vec<Fetched>, Vec<String>), MirrorError> {
        let text = fetcher.tape.document(PACKAGES, packages(fetcher)).await?;
        let text =
            text.ok_or_else(|| MirrorError::malformed(PACKAGES, "the repository has no src/contrib/PACKAGES"))?;
        let entries = entries(&text)?;
        let mut missing = Vec::new();
        let mut todo: Vec<String> = names.to_vec();
        let mut seen: HashSet<String> = HashSet::new();
        let mut fetched = Vec::new();
        while let Some(name) = todo.pop() {
            if R_BASE.contains(&name.as_str()) || own.contains(&name) || !seen.insert(name.clone()) {
                continue;
            }
            if seen.len() > MOST {
                let reason = format!("more than {MOST} packages at once are too many; demand fewer");
                return Err(MirrorError::malformed(PACKAGES, reason));
            }
            let Some(entry) = entries.get(&name) else {
                missing.extend(names.contains(&name).then_some(name));
                continue;
            };
            todo.extend(entry.needs.iter().cloned());
            let known = shelf.newest(&name);
            if known.as_ref().is_some_and(|known| known.version == entry.version) {
                continue;
            }
            fetched.push(package(fetcher, &name, entry, known).await?);
        }
        Ok((fetched, missing))
    }
}

/// The index of the repository as text.
async fn packages(fetcher: &Fetcher<'_>) -> Result<Option<Vec<u8>>, MirrorError> {
    let packed = fetcher.within_site("src/contrib/PACKAGES.gz")?;
    let Some(got) = fetcher.page(&packed, None).await? else {
        let plain = fetcher.within_site("src/contrib/PACKAGES")?;
        return Ok(fetcher.page(&plain, None).await?.map(|got| got.body.to_vec()));
    };
    let mut text = Vec::new();
    let mut reader = flate2::read::MultiGzDecoder::new(got.body.as_ref()).take(LARGEST_PAGE + 1);
    reader.read_to_end(&mut text).map_err(|error| MirrorError::malformed(&packed, error))?;
    if text.len() as u64 > LARGEST_PAGE {
        return Err(MirrorError::TooLarge { url: packed.to_string(), limit: LARGEST_PAGE });
    }
    Ok(Some(text))
}

/// The newest version of each package; entries that cannot be understood are left out.
fn entries(text: &[u8]) -> Result<HashMap<String, Entry>, MirrorError> {
    let records =
        dcf::parse(&String::from_utf8_lossy(text)).map_err(|error| MirrorError::malformed(PACKAGES, error))?;
    let mut entries: HashMap<String, Entry> = HashMap::new();
    for record in records {
        let Ok((name, version)) = package::identity(&record) else { continue };
        let field = |name: &str| deps::parse(record.get(name).unwrap_or_default()).unwrap_or_default();
        let needs = ["Depends", "Imports", "LinkingTo"].iter().flat_map(|name| field(name)).map(|item| item.name);
        let entry = Entry {
            version: record.get("Version").unwrap_or_default().to_owned(),
            md5: record.get("MD5sum").map(str::to_ascii_lowercase),
            needs: needs.collect(),
        };
        let known = entries.get(name).and_then(|known| known.version.parse().ok());
        // Of several versions, which are for several versions of R, the newest counts.
        if known.is_none_or(|known: pkg_formats::r::RVersion| known < version) {
            entries.insert(name.to_owned(), entry);
        }
    }
    Ok(entries)
}

/// Fetches the current version of a package and puts it after those that are `known`.
async fn package(
    fetcher: &Fetcher<'_>,
    name: &str,
    entry: &Entry,
    known: Option<Fetched>,
) -> Result<Fetched, MirrorError> {
    debug_assert!(is_package_name(name), "identity() has looked at it");
    let filename = format!("{name}_{}.tar.gz", entry.version);
    let key = format!("cran/files/{filename}");
    let mut urls = Vec::new();
    if fetcher.site.is_some() {
        urls.push(fetcher.within_site(&format!("src/contrib/{filename}"))?);
        urls.push(fetcher.within_site(&format!("src/contrib/Archive/{name}/{filename}"))?);
    }
    let bytes =
        fetcher.tape.document(&key, async { Ok(fetcher.page(&urls[0], None).await?.map(|got| got.body.to_vec())) });
    let bytes =
        bytes.await?.ok_or_else(|| MirrorError::malformed(&filename, "the index names it, but it is not there"))?;
    let md5 = hex::encode(Md5::digest(&bytes));
    if entry.md5.as_ref().is_some_and(|told| *told != md5) {
        return Err(MirrorError::malformed(&filename, format!("its MD5 is {md5}, not what the index promises")));
    }
    let bad = |reason: String| MirrorError::malformed(&filename, reason);
    let description = package::read_description(bytes.as_slice(), &LIMITS).map_err(|error| bad(error.to_string()))?;
    let (inside, version) = package::identity(&description).map_err(|error| bad(error.to_string()))?;
    if inside != name || Some(&version) != entry.version.parse().ok().as_ref() {
        return Err(bad(format!("it holds {inside} {version}")));
    }
    let size = bytes.len() as u64;
    let sha256 = Digest::of(&bytes);
    fetcher.world.blobs().put(bytes.into()).await?;
    let mut record: RRecord = match &known {
        Some(known) => serde_json::from_str(&known.record).map_err(|error| bad(error.to_string()))?,
        None => RRecord { name: name.to_owned(), removed_at: None, versions: Vec::new() },
    };
    let mut published_at = within(published(&description), DAY_OF_ALL);
    if let Some(before) = record.versions.last_mut() {
        published_at = published_at.max(before.published_at + chrono::TimeDelta::seconds(1));
        before.archived_at = Some(published_at);
        before.state = RState::Archived;
    }
    record.versions.push(RVersion {
        archived_at: None,
        artifacts: vec![Artifact {
            arch: None,
            filename,
            kind: ArtifactKind::Source,
            md5,
            r: None,
            sha256,
            size,
            tag: None,
        }],
        description: dcf::write(std::slice::from_ref(&description)),
        published_at,
        readme: None,
        readme_type: None,
        state: RState::Current,
        version: entry.version.clone(),
    });
    let mut files = known.map(|known| known.files).unwrap_or_default();
    files.push(Remote { sha256, urls, key });
    Ok(Fetched {
        name: name.to_owned(),
        version: entry.version.clone(),
        record: serde_json::to_string(&record).expect("a record is plain data"),
        files,
    })
}

/// `Date/Publication`, or the day that the package was built on.
fn published(description: &dcf::Record) -> Option<DateTime<Utc>> {
    let text = description.get("Date/Publication").or_else(|| description.get("Packaged"))?;
    let time = text.split(';').next()?.trim().trim_end_matches(" UTC");
    NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").ok().map(|time| time.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_an_index() {
        let text = b"Package: a\nVersion: 1.0\nDepends: R (>= 4.0), b\nImports: utils\n\nPackage: a\nVersion: 1.2\nMD5sum: AB\n\n\
                     Package: a\nVersion: 1.1\n\nVersion: 1\n";
        let entries = entries(text).unwrap();
        assert_eq!(entries.len(), 1);
        assert_eq!((entries["a"].version.as_str(), entries["a"].md5.as_deref()), ("1.2", Some("ab")));
    }

    #[test]
    fn times_of_publication() {
        let time = |field: &str, text: &str| published(&[(field, text)].into_iter().collect());
        let at = |text: &str| Some(text.parse::<DateTime<Utc>>().unwrap());
        assert_eq!(time("Date/Publication", "2024-09-30 21:10:00 UTC"), at("2024-09-30T21:10:00Z"));
        assert_eq!(time("Packaged", "2024-09-30 21:10:00 UTC; me"), at("2024-09-30T21:10:00Z"));
        assert_eq!(time("Date/Publication", "yesterday"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_index_is_understood_or_refused(text in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let _ = entries(&text);
        }
    }
}
