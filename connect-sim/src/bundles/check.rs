//! What a bundle must be, and what is read out of one.

use std::collections::BTreeMap;
use std::io::Read;

use pkg_formats::archive::{self, Kind, Limits};
use pkg_formats::manifest::{self, Manifest};

use crate::content_type::ContentType;
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::runtime::files::Tree;
use crate::version::Version;

/// Where a bundle's files begin: at the top, or in the one directory that holds everything.
fn rooted<'p>(top: Option<&str>, path: &'p str) -> Option<&'p str> {
    match top {
        None => Some(path),
        Some(top) => path.strip_prefix(top)?.strip_prefix('/'),
    }
}

/// Reads the files `wanted` (paths from the root of the bundle, at most `largest` bytes each) out of an archive, all of
/// which is checked.
///
/// # Errors
/// 400 with code 135 for a bad archive.
pub fn read(bundle: impl Read, limits: &Limits, wanted: &[&str], largest: u64) -> Result<BTreeMap<String, Vec<u8>>> {
    // Whether there is a top directory is known at the end only, so that both places are remembered. The first segment
    // of the first entry is the only candidate.
    let mut first: Option<String> = None;
    let mut found: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let summary = archive::scan(bundle, limits, |entry, data| {
        let top = first.get_or_insert_with(|| entry.path.split('/').next().unwrap_or_default().to_owned());
        let is_wanted = |path: Option<&str>| path.is_some_and(|path| wanted.contains(&path));
        if entry.kind == Kind::File && (is_wanted(Some(&entry.path)) || is_wanted(rooted(Some(top), &entry.path))) {
            if entry.size > largest {
                return Err(archive::Error::EntryTooLarge { path: entry.path.clone(), limit: largest });
            }
            let mut bytes = Vec::new();
            data.read_to_end(&mut bytes)?;
            found.insert(entry.path.clone(), bytes);
        }
        Ok(())
    })
    .map_err(refused)?;
    let top = summary.top.as_deref();
    Ok(found.into_iter().filter_map(|(path, bytes)| Some((rooted(top, &path)?.to_owned(), bytes))).collect())
}

/// An archive's fault as the product's error; ours as it is.
#[must_use]
pub fn refused(error: archive::Error) -> Error {
    match error {
        archive::Error::Io(error) => Error::Io(error),
        bad => Error::bad(Code::BundleExtract, format!("The bundle cannot be unpacked: {bad}.")),
    }
}

/// Where the manifest is.
const MANIFEST: &str = "manifest.json";

/// Checks an archive and its manifest.
///
/// # Errors
/// 400 with code 135 for a bad archive, 38 for a bad or missing manifest, 148 for an app mode that is none of this release.
pub fn check(bundle: impl Read, limits: &Limits, version: Version) -> Result<Manifest> {
    let files = read(bundle, limits, &[MANIFEST], manifest::LARGEST as u64)?;
    manifest_of(files.get(MANIFEST).map(Vec::as_slice), version)
}

/// Checks the manifest of an archive that is unpacked.
///
/// # Errors
/// As [`check`], of the manifest.
pub fn check_tree(tree: &Tree, version: Version) -> Result<Manifest> {
    manifest_of(tree.bytes(MANIFEST).map(|bytes| &bytes[..]), version)
}

fn manifest_of(bytes: Option<&[u8]>, version: Version) -> Result<Manifest> {
    let bad = |text: String| Error::bad(Code::InvalidManifest, text);
    let bytes = bytes.ok_or_else(|| {
        bad("The bundle has no manifest.json, neither at its top nor in the one directory that holds everything."
            .into())
    })?;
    let manifest = manifest::parse(bytes).map_err(|error| bad(format!("The manifest is not valid: {error}.")))?;
    let mode = &manifest.metadata.appmode;
    let known = ContentType::of(mode).filter(|mode| {
        let since = match mode {
            ContentType::TensorFlow => Difference::TensorFlow,
            ContentType::Gradio => Difference::Gradio,
            ContentType::Panel => Difference::Panel,
            ContentType::NodeJs => Difference::NodeJs,
            _ => return true,
        };
        version.with(since)
    });
    match known {
        Some(ContentType::Unknown) | None => {
            let text = format!("The manifest is not valid: `metadata.appmode`: `{mode}` is not an app mode.");
            Err(Error::bad(Code::InvalidAppMode, text))
        }
        Some(_) => Ok(manifest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::NEWEST;
    use pkg_formats::archive::{Compression, Files, tar_gz};
    use proptest::prelude::*;

    fn bundle(files: &[(&str, &str)]) -> Vec<u8> {
        let files: Files = files.iter().map(|(path, text)| ((*path).to_owned(), (*text).into())).collect();
        tar_gz(&files, Compression::Deflate).unwrap()
    }

    const STATIC: &str = r#"{"version":1,"metadata":{"appmode":"static","primary_html":"index.html"}}"#;

    #[test]
    fn a_manifest_is_found_at_the_top_or_in_the_one_directory() {
        let limits = Limits::default();
        for files in [
            &[("manifest.json", STATIC), ("index.html", "x")][..],
            &[("site/manifest.json", STATIC), ("site/a/index.html", "x")],
        ] {
            assert_eq!(check(&*bundle(files), &limits, NEWEST).unwrap().metadata.appmode, "static");
        }
        let split = [("site/manifest.json", STATIC), ("other/index.html", "x")];
        assert!(check(&*bundle(&split), &limits, NEWEST).unwrap_err().to_string().contains("no manifest.json"));
        let mode = [("manifest.json", r#"{"version":1,"metadata":{"appmode":"cobol"}}"#)];
        assert!(
            check(&*bundle(&mode), &limits, NEWEST).unwrap_err().to_string().contains("`cobol` is not an app mode")
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..200) {
            let limits = Limits::default();
            let _ = check(&*bytes, &limits, NEWEST);
            // And a good one with some bytes changed.
            let mut good = bundle(&[("manifest.json", STATIC)]);
            bytes.truncate(3);
            for (offset, byte) in bytes.iter().enumerate() {
                let place = (at + offset) % good.len();
                good[place] = *byte;
            }
            let _ = check(&*good, &limits, NEWEST);
        }
    }
}
