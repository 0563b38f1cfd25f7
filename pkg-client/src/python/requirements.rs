//! The requirements to resolve, from a `requirements.txt` or a command line.

use std::collections::BTreeMap;

use pep508_rs::PackageName;
use pkg_formats::python::requirements::{Hash, Kind, parse};

use super::index::Requirement;
use super::{Resolution, Target};
use crate::Error;

/// Requirements that can be met from an index.
#[derive(Clone, Debug, Default)]
pub struct Requirements {
    listed: Vec<(Requirement, Vec<Hash>)>,
    /// `--pre`: pre-releases of all packages will do.
    pub(crate) prereleases: bool,
    require_hashes: bool,
    notes: Vec<String>,
}

impl Requirements {
    /// Reads a `requirements.txt`; the arguments of a `pip install`, one a line, are one too.
    ///
    /// # Errors
    /// [`Error::Requirements`] for a line that is malformed or asks for something that is not in an index: `-r`, `-c`,
    /// `-e`, URLs and paths.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        let items = parse(text).map_err(|error| Error::Requirements { why: error.to_string() })?;
        let mut requirements = Self::default();
        for item in items {
            match item.kind {
                Kind::Requirement { requirement, hashes } => {
                    requirements.require_hashes |= !hashes.is_empty();
                    requirements.listed.push((requirement, hashes));
                }
                Kind::Option { name: "--pre", .. } => requirements.prereleases = true,
                Kind::Option { name: "--require-hashes", .. } => requirements.require_hashes = true,
                Kind::Option { name, value } => {
                    let note = format!("line {}: {name} {value}", item.line);
                    requirements.notes.push(format!("{} is ignored", note.trim_end()));
                }
                Kind::Unsupported { what, text } => {
                    let why = format!(
                        "line {}: '{text}' is {what}; only packages from the index can be installed",
                        item.line
                    );
                    return Err(Error::Requirements { why });
                }
            }
        }
        Ok(requirements)
    }

    /// Options that have no effect here, such as `--index-url`, one line each: where packages come from is not the
    /// file's to say.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// True when nothing is required.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }

    /// The requirements whose markers hold.
    pub(crate) fn active<'a>(&'a self, target: &'a Target) -> impl Iterator<Item = &'a Requirement> {
        let all = self.listed.iter().map(|(requirement, _)| requirement);
        all.filter(|requirement| requirement.evaluate_markers(target.markers(), &[]))
    }

    /// The hashes listed for each package.
    pub(crate) fn hashes(&self) -> BTreeMap<PackageName, Vec<Hash>> {
        let mut hashes: BTreeMap<PackageName, Vec<_>> = BTreeMap::new();
        for (requirement, listed) in self.listed.iter().filter(|(_, listed)| !listed.is_empty()) {
            hashes.entry(requirement.name.clone()).or_default().extend(listed.iter().cloned());
        }
        hashes
    }

    /// When one requirement has hashes, all packages must have them, and the chosen files must have one of them.
    pub(crate) fn check_hashes<'a>(
        &self,
        listed: &BTreeMap<PackageName, Vec<Hash>>,
        resolution: &Resolution,
        hashes_of: impl Fn(&PackageName) -> Option<&'a BTreeMap<String, String>>,
    ) -> Result<(), Error> {
        if !self.require_hashes {
            return Ok(());
        }
        let mut missing = Vec::new();
        for package in &resolution.packages {
            let found = listed.iter().find(|(name, _)| name.as_ref() == package.name);
            let Some((name, listed)) = found else {
                missing.push(format!("{}=={}", package.name, package.version));
                continue;
            };
            let have = hashes_of(name);
            if !listed.iter().any(|hash| have.and_then(|have| have.get(&hash.algorithm)) == Some(&hash.digest)) {
                let expected: Vec<_> =
                    listed.iter().map(|hash| format!("{}:{}", hash.algorithm, hash.digest)).collect();
                return Err(Error::HashMismatch {
                    url: package.url.clone().into(),
                    algorithm: "hashes",
                    expected: expected.join(" or "),
                    got: package.sha256.clone().unwrap_or_else(|| "none".to_owned()),
                });
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(Error::HashesMissing { missing }) }
    }
}
