//! Where a repository is.

use std::path::{Path, PathBuf};

use url::Url;

use crate::error::Error;

const LONGEST: usize = 2048;

/// A repository that may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remote {
    /// Over HTTP or HTTPS.
    Http(Url),
    /// In a folder of this machine that is allowed.
    Folder(PathBuf),
}

impl Remote {
    /// Reads an address. Folders must be inside one of `folders`; links on the way do not count.
    pub(crate) fn parse(text: &str, folders: &[PathBuf]) -> Result<Self, Error> {
        let bad = |why: &str| Error::BadRequest(format!("{text:?} cannot be read as a git repository: {why}"));
        if is_odd(text) {
            return Err(bad("expected an address such as https://git.example.org/team/package.git"));
        }
        if text.starts_with('/') {
            return folder(Path::new(text), folders).ok_or_else(|| bad(OUTSIDE));
        }
        let url = Url::parse(text).map_err(|_| {
            bad("expected an address such as https://git.example.org/team/package.git; SSH is not spoken here")
        })?;
        match url.scheme() {
            "http" | "https" if url.fragment().is_some() => Err(bad("an address has no fragment (#)")),
            "http" | "https" if !url.username().is_empty() || url.password().is_some() => {
                Err(bad("user and password do not belong into the address; import a credential and name that"))
            }
            "http" | "https" if url.host().is_some() => Ok(Self::Http(url)),
            "file" => {
                let path = url.to_file_path().map_err(|()| bad(OUTSIDE))?;
                folder(&path, folders).ok_or_else(|| bad(OUTSIDE))
            }
            other => Err(bad(&format!("only http and https are spoken here, not {other}"))),
        }
    }

    /// The address of a submodule of this repository. Those are never in folders of this machine.
    pub(crate) fn submodule(&self, text: &str) -> Result<Self, Error> {
        let relative = text.starts_with("./") || text.starts_with("../");
        match self {
            Self::Http(base) if relative && !is_odd(text) => {
                let mut base = base.clone();
                // Relative to the repository as if it were a folder.
                base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
                let joined =
                    base.join(text).map_err(|error| Error::BadRequest(format!("submodule {text:?}: {error}")))?;
                Self::parse(joined.as_str(), &[])
            }
            _ => Self::parse(text, &[]),
        }
    }

    /// As the git command takes it.
    pub(crate) fn argument(&self) -> String {
        match self {
            Self::Http(url) => url.to_string(),
            Self::Folder(path) => format!("file://{}", path.display()),
        }
    }

    /// Whether a credential for `self` may be sent to `other`.
    pub(crate) fn same_server(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http(one), Self::Http(other)) => one.origin() == other.origin(),
            _ => false,
        }
    }
}

/// What no address is, and what would be read in more than one way.
fn is_odd(text: &str) -> bool {
    text.is_empty() || text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace())
}

const OUTSIDE: &str = "it is not in a folder that this server may read repositories from";

fn folder(path: &Path, folders: &[PathBuf]) -> Option<Remote> {
    let path = path.canonicalize().ok()?;
    // The command would take anything else for the end of the address.
    let plain = path.to_str()?.chars().all(|c| c.is_alphanumeric() || "/._-+@ ".contains(c));
    let inside = folders.iter().filter_map(|folder| folder.canonicalize().ok()).any(|folder| path.starts_with(folder));
    (plain && inside && path.is_dir()).then_some(Remote::Folder(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_and_allowed_folders() {
        let root = tempfile::tempdir().unwrap();
        let (inside, outside) = (root.path().join("in/repo"), root.path().join("out/repo"));
        std::fs::create_dir_all(&inside).unwrap();
        std::fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, root.path().join("in/link")).unwrap();
        let folders = [root.path().join("in")];
        let folder = inside.canonicalize().unwrap();
        let good = |text: &str| Remote::parse(text, &folders).unwrap();
        assert_eq!(good(inside.to_str().unwrap()), Remote::Folder(folder.clone()));
        assert_eq!(good(&format!("file://{}", inside.display())), Remote::Folder(folder));
        assert!(matches!(good("https://git.example.org/a.git"), Remote::Http(_)));
        let link = root.path().join("in/link");
        let up = format!("{}/in/../out/repo", root.path().display());
        for bad in [
            "",
            "--upload-pack=touch x",
            "-oProxyCommand=x",
            "ext::sh -c id",
            "ext::id",
            "ssh://-oProxyCommand=x/y",
            "git@example.org:a/b.git",
            "git://example.org/a.git",
            "https://user:secret@example.org/a.git",
            "https://example.org/a.git#x",
            "file:///etc",
            "file://other.example.org/etc",
            "/etc",
            "relative/path",
            "https://example.org/a\n.git",
            outside.to_str().unwrap(),
            link.to_str().unwrap(),
            &up,
        ] {
            assert!(Remote::parse(bad, &folders).is_err(), "{bad}");
        }
        assert!(Remote::parse(inside.to_str().unwrap(), &[]).is_err(), "no folder is allowed unless it is said");
    }

    #[test]
    fn submodules_are_relative_to_the_repository_and_never_local() {
        let base = Remote::parse("https://git.example.org/team/a.git", &[]).unwrap();
        let of = |text: &str| base.submodule(text).map(|remote| remote.argument());
        assert_eq!(of("../b.git").unwrap(), "https://git.example.org/team/b.git");
        assert_eq!(of("https://other.example.org/c.git").unwrap(), "https://other.example.org/c.git");
        for bad in ["file:///etc", "/etc", "../../../../../../etc/\n", "ext::sh", "c"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
