//! What binary packages are built for.

use pkg_formats::psp::{Artifact, ArtifactKind, RVersion};

use crate::error::Error;
use crate::platform::{Client, Distro, R_VERSIONS, macos_cpu};
use crate::record;

/// A system with a minor version of R and a CPU.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    kind: ArtifactKind,
    /// The distribution's code, the flavor of macOS, or nothing for Windows.
    place: String,
    client: Client,
}

impl Target {
    /// A distribution; none when nothing is built for it, or not for that CPU.
    pub(crate) fn linux(distro: &Distro, client: Client) -> Option<Self> {
        let built = distro.binaries && distro.arch.contains(&client.arch);
        built.then(|| Self { kind: ArtifactKind::Linux, place: distro.binary_url.clone(), client })
    }

    /// Windows with an R such as `4.4`.
    pub(crate) fn windows(rver: &str) -> Result<Self, Error> {
        let client = minor(rver, "x86_64").ok_or_else(|| no_builds("Windows", rver))?;
        Ok(Self { kind: ArtifactKind::Windows, place: String::new(), client })
    }

    /// A flavor of macOS, which may be empty, with an R such as `4.4`.
    pub(crate) fn macos(flavor: &str, rver: &str) -> Result<Self, Error> {
        let client = macos_cpu(rver, flavor).and_then(|arch| minor(rver, arch));
        let client = client.ok_or_else(|| no_builds(&format!("macOS ({flavor:?})"), rver))?;
        Ok(Self { kind: ArtifactKind::Macos, place: flavor.to_owned(), client })
    }

    /// The binary of a version, if it was built for this.
    pub(crate) fn binary<'a>(&self, version: &'a RVersion) -> Option<&'a Artifact> {
        record::binary(version, self.kind, &self.place, &self.client.r, &self.client.arch)
    }

    /// The value of `X-Package-Binary-Tag`: `4.4-noble`, `4.4-noble-arm64`, `4.4-win`, `4.6-macos-arm64`.
    pub(crate) fn tag(&self) -> String {
        match self.kind {
            ArtifactKind::Windows => format!("{}-win", self.client.r),
            ArtifactKind::Macos => self.client.tag("macos"),
            _ => self.client.tag(&self.place),
        }
    }

    /// The end of its packages' names.
    pub(crate) fn extension(&self) -> &'static str {
        match self.kind {
            ArtifactKind::Windows => ".zip",
            ArtifactKind::Macos => ".tgz",
            _ => ".tar.gz",
        }
    }

    pub(crate) fn content_type(&self) -> &'static str {
        if self.kind == ArtifactKind::Windows { "application/zip" } else { "application/x-gzip" }
    }

    /// Whether its packages are served as they came, and its index tells their digests.
    pub(crate) fn is_desktop(&self) -> bool {
        self.kind != ArtifactKind::Linux
    }
}

/// A minor version that packages are built for.
fn minor(rver: &str, arch: &str) -> Option<Client> {
    R_VERSIONS.contains(&rver).then(|| Client::new(rver, arch)).flatten()
}

fn no_builds(system: &str, rver: &str) -> Error {
    Error::NotFound(format!(
        "there are no packages for {system} with R {rver:?}; GET /__api__/status lists r_versions and macos_urls"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags() {
        assert_eq!(Target::windows("4.6").unwrap().tag(), "4.6-win");
        assert_eq!(Target::macos("sonoma-arm64", "4.6").unwrap().tag(), "4.6-macos-arm64");
        assert_eq!(Target::macos("big-sur-x86_64", "4.5").unwrap().tag(), "4.5-macos");
        assert_eq!(Target::macos("", "4.2").unwrap().tag(), "4.2-macos");
        for (flavor, rver) in [("big-sur-arm64", "4.6"), ("", "4.5"), ("catalina", "4.4"), ("big-sur-arm64", "4.4.1")] {
            assert!(Target::macos(flavor, rver).is_err(), "{flavor} {rver}");
        }
        assert!(Target::windows("2.1").is_err());
    }
}
