//! The files of a version of an R package: the source package, and what it becomes when it is built.
//!
//! No package has compiled code, so a file for Linux runs on every distribution and CPU, and one for macOS has the bytes of
//! the one for Linux: an installed tree for Unix. Files for Windows are the same tree in a zip file.
//!
//! The newest known version of a real package is built for every R. Of others, Windows and macOS packages exist for each R
//! that was the newest while the version was current, as CRAN builds them; so one may be missing where another is there,
//! and clients then take the source.

use md5::{Digest as _, Md5};
use pkg_formats::archive::{File, Files};
use pkg_formats::dcf;
use pkg_formats::psp::{Artifact, ArtifactKind, Digest};
use pkg_formats::r::binary::{BinarySpec, Built};
use pkg_formats::r::source::SourceSpec;

use crate::history::{DAY, time};

/// Minor versions of R that binaries are built for, and the day each came.
const R_MINORS: [(&str, i64); 5] =
    [("4.2", 19_104), ("4.3", 19_468), ("4.4", 19_837), ("4.5", 20_189), ("4.6", 20_567)];

/// The first of [`R_MINORS`] with files for Windows and macOS.
const DESKTOP_FROM: usize = 1;

/// The CPUs of macOS and the flavor of each for the newest R, and for those before.
const MACOS: [(&str, &str, &str); 2] =
    [("arm64", "sonoma-arm64", "big-sur-arm64"), ("x86_64", "big-sur-x86_64", "big-sur-x86_64")];

/// Files of version `v` have the numbers `16v` (source), from `16v + 1` installed trees for Unix and from `16v + 9` ones for
/// Windows, each in the order of [`R_MINORS`].
const FILES_A_VERSION: u32 = 16;
const UNIX: u32 = 1;
const WINDOWS: u32 = 9;

/// A version whose files are to be made.
pub(crate) struct Version<'a> {
    pub(crate) description: &'a dcf::Record,
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    /// The second it came.
    pub(crate) at: i64,
    /// Packages that its code imports: it does not load without them. The others load alone, which is quicker.
    pub(crate) imports: &'a [String],
}

/// What a version is built for; numbers are places in [`R_MINORS`].
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Builds {
    pub(crate) linux: Vec<usize>,
    pub(crate) windows: Vec<usize>,
    /// With the place in [`MACOS`].
    pub(crate) macos: Vec<(usize, usize)>,
}

impl Builds {
    /// The newest minor version of R on `day`, or the oldest that there is.
    pub(crate) fn newest_on(day: i64) -> usize {
        R_MINORS.iter().rposition(|(_, came)| *came <= day).unwrap_or(0)
    }

    /// Every minor version on every system.
    pub(crate) fn all() -> Self {
        let linux = (0..R_MINORS.len()).collect();
        Self { linux, ..Self::default() }.with_desktop(&Self::desktop(0, None))
    }

    /// One minor version of R, such as `4.4`, on every system that has files for it.
    pub(crate) fn find(r: &str) -> Option<Self> {
        let minor = R_MINORS.iter().position(|(minor, _)| *minor == r)?;
        let builds = Self { linux: vec![minor], ..Self::default() };
        Some(if minor >= DESKTOP_FROM { builds.with_desktop(&[minor]) } else { builds })
    }

    /// These and the others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.linux.extend(others.linux);
        self.windows.extend(others.windows);
        self.macos.extend(others.macos);
        self
    }

    /// Minor versions that were the newest while a version was current: from second `at` to before `until`, or for good.
    pub(crate) fn desktop(at: i64, until: Option<i64>) -> Vec<usize> {
        let last = Self::newest_on(until.map_or(i64::MAX, |until| until / DAY));
        (Self::newest_on(at / DAY).max(DESKTOP_FROM)..=last).collect()
    }

    /// Whether a version that stopped being current at second `until` was so while the newest of all minor versions was there.
    pub(crate) fn is_recent(until: Option<i64>) -> bool {
        until.is_none_or(|until| Self::newest_on(until / DAY) + 1 == R_MINORS.len())
    }

    /// Files for Windows and both kinds of macOS.
    pub(crate) fn with_desktop(mut self, minors: &[usize]) -> Self {
        self.windows = minors.to_vec();
        self.macos = minors.iter().flat_map(|minor| (0..MACOS.len()).map(|cpu| (*minor, cpu))).collect();
        self
    }
}

/// Which version of a package a file belongs to.
pub(crate) fn version_of(file: u32) -> usize {
    (file / FILES_A_VERSION) as usize
}

impl Version<'_> {
    /// What the record says of the files of the package's `place`th version; their digests and numbers go to `files`.
    pub(crate) fn artifacts(&self, place: usize, builds: &Builds, files: &mut Vec<(Digest, u32)>) -> Vec<Artifact> {
        let mut add = |number: u32| {
            let bytes = self.file(number);
            let sha256 = Digest::of(&bytes);
            files.push((sha256, place as u32 * FILES_A_VERSION + number));
            // Hashing takes most of the time, and no index tells the MD5 of a file for Linux.
            let only_linux = builds.macos.iter().all(|(minor, _)| number != UNIX + *minor as u32)
                && (UNIX..WINDOWS).contains(&number);
            let md5 = if only_linux { String::new() } else { hex::encode(Md5::digest(&bytes)) };
            (sha256, bytes.len() as u64, md5)
        };
        let stem = format!("{}_{}", self.name, self.version);
        let artifact =
            |kind, minor: Option<usize>, (sha256, size, md5): (Digest, u64, String), extension: &str| Artifact {
                arch: None,
                filename: format!("{stem}.{extension}"),
                kind,
                md5,
                r: minor.map(|minor| R_MINORS[minor].0.to_owned()),
                sha256,
                size,
                tag: None,
            };
        let mut artifacts = vec![artifact(ArtifactKind::Source, None, add(0), "tar.gz")];
        let mut unix = [const { None }; R_MINORS.len()];
        let mut unix = |minor: usize| unix[minor].get_or_insert_with(|| add(UNIX + minor as u32)).clone();
        for minor in builds.linux.iter().copied() {
            let anywhere = Some("*".to_owned());
            artifacts.push(Artifact {
                arch: anywhere.clone(),
                md5: String::new(),
                tag: anywhere,
                ..artifact(ArtifactKind::Linux, Some(minor), unix(minor), "tar.gz")
            });
        }
        for (minor, cpu) in builds.macos.iter().copied() {
            let (arch, newest, before) = MACOS[cpu];
            let flavor = if minor + 1 == R_MINORS.len() { newest } else { before };
            artifacts.push(Artifact {
                arch: Some(arch.to_owned()),
                tag: Some(flavor.to_owned()),
                ..artifact(ArtifactKind::Macos, Some(minor), unix(minor), "tgz")
            });
        }
        for minor in builds.windows.iter().copied() {
            artifacts.push(Artifact {
                arch: Some("x86_64".to_owned()),
                ..artifact(ArtifactKind::Windows, Some(minor), add(WINDOWS + minor as u32), "zip")
            });
        }
        artifacts
    }

    /// File `number` of the package, which must be of this version.
    pub(crate) fn file(&self, number: u32) -> Vec<u8> {
        match number % FILES_A_VERSION {
            0 => self.source(),
            windows @ WINDOWS.. => self.built((windows - WINDOWS) as usize, "windows").zip(),
            unix => self.built((unix - UNIX) as usize, "unix").tar_gz(),
        }
        .expect("names, versions and dependency fields are well formed")
    }

    fn source(&self) -> Result<Vec<u8>, pkg_formats::r::package::Error> {
        let (namespace, code) = self.contents();
        let files =
            Files::from([("NAMESPACE".to_owned(), File::from(namespace)), ("R/about.R".to_owned(), File::from(code))]);
        SourceSpec { description: self.description.clone(), files }.tar_gz()
    }

    fn built(&self, minor: usize, os: &'static str) -> BinarySpec {
        let (namespace, code) = self.contents();
        let built = Built {
            r: format!("{}.0", R_MINORS[minor].0).parse().expect("three numbers"),
            platform: String::new(),
            time: time(self.at).format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            os,
        };
        // R asks a package with compiled code against which internals it was built. There is no such code in this one.
        let mut description = self.description.clone();
        description.set("NeedsCompilation", "no");
        // Binaries are built for Package Manager. It stamps no files for Windows and macOS, whose digests its indexes tell.
        if description.get("Repository").is_none_or(|repository| !repository.contains("Bioconductor")) {
            description.set("Repository", "RSPM");
        }
        BinarySpec { description, namespace, code, files: Files::new(), built }
    }

    /// `NAMESPACE` and code: the package loads, and says what it is.
    fn contents(&self) -> (String, String) {
        let (name, version) = (self.name, self.version);
        let function = format!("about_{name}");
        let imports = self.imports.iter().map(|import| format!("import({import})\n"));
        let namespace = imports.chain([format!("export({function})\n")]).collect();
        let code = format!(
            "{function} <- function() \"{name} {version}: synthetic contents made by teamsim, not the real package\"\n"
        );
        (namespace, code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn desktop_builds_are_made_while_an_r_is_the_newest() {
        let made = |at: i64, until: Option<i64>| {
            Builds::desktop(at * DAY, until.map(|until| until * DAY))
                .into_iter()
                .map(|m| R_MINORS[m].0)
                .collect::<Vec<_>>()
        };
        assert_eq!(made(18_000, Some(19_400)), Vec::<&str>::new());
        assert_eq!(made(18_000, Some(19_900)), ["4.3", "4.4"]);
        assert_eq!(made(19_900, Some(19_950)), ["4.4"]);
        assert_eq!(made(20_300, None), ["4.5", "4.6"]);
    }
}
