//! Where a repository is.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

const LONGEST: usize = 2048;

/// A repository that may be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// Over HTTP or HTTPS.
    Http(Url),
    /// In a folder of this machine that is allowed.
    Folder(PathBuf),
}

/// Why an address is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RemoteError {
    /// It is none.
    #[error("expected an address such as https://git.example.org/team/project.git, of at most 2048 characters")]
    NoAddress,
    /// Of another kind.
    #[error("only https and http are spoken here")]
    Protocol,
    /// With a name or a password.
    #[error("user and password do not belong into an address; give this server a sign-in for it")]
    SignIn,
    /// With more than a path.
    #[error("the address of a repository has no query (?) and no fragment (#)")]
    Appendix,
    /// Not in a folder that is allowed.
    #[error("it is not in a folder that this server may read repositories from")]
    Outside,
}

impl Remote {
    /// Reads an address. A folder, given as its path or a `file` URL, must be below one of `folders`, after links were
    /// followed.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub fn parse(text: &str, folders: &[PathBuf]) -> Result<Self, RemoteError> {
        if text.is_empty() || text.len() > LONGEST || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(RemoteError::NoAddress);
        }
        if text.starts_with('/') {
            return folder(Path::new(text), folders);
        }
        let url = Url::parse(text).map_err(|_| RemoteError::NoAddress)?;
        match url.scheme() {
            "http" | "https" if !url.username().is_empty() || url.password().is_some() => Err(RemoteError::SignIn),
            "http" | "https" if url.query().is_some() || url.fragment().is_some() => Err(RemoteError::Appendix),
            "http" | "https" => Ok(Self::Http(url)),
            "file" => folder(&url.to_file_path().map_err(|()| RemoteError::Outside)?, folders),
            _ => Err(RemoteError::Protocol),
        }
    }

    /// The address of a submodule of this repository. Those are never in folders of this machine.
    ///
    /// # Errors
    /// [`RemoteError`]
    pub fn submodule(&self, text: &str) -> Result<Self, RemoteError> {
        match self {
            Self::Http(base) if text.starts_with("./") || text.starts_with("../") => {
                let mut base = base.clone();
                // Relative to the repository as if it were a folder.
                base.set_path(&format!("{}/", base.path().trim_end_matches('/')));
                // What a URL drops without a word must be refused as it was written.
                Self::parse(&format!("http://relative/{text}"), &[])?;
                Self::parse(base.join(text).map_err(|_| RemoteError::NoAddress)?.as_str(), &[])
            }
            _ => Self::parse(text, &[]),
        }
    }

    /// Whether a sign-in for `self` may be shown to `other`.
    #[must_use]
    pub fn same_server(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Http(one), Self::Http(other)) => one.origin() == other.origin(),
            _ => false,
        }
    }
}

/// As a URL.
impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(url) => url.fmt(f),
            Self::Folder(path) => write!(f, "file://{}", path.display()),
        }
    }
}

fn folder(path: &Path, folders: &[PathBuf]) -> Result<Remote, RemoteError> {
    let path = path.canonicalize().map_err(|_| RemoteError::Outside)?;
    // The command would take anything else for the end of the address.
    let plain = path.to_str().is_some_and(|path| path.chars().all(|c| c.is_alphanumeric() || "/._-+@ ".contains(c)));
    let allowed = folders.iter().filter_map(|folder| folder.canonicalize().ok());
    let below = allowed.into_iter().any(|folder| path.starts_with(&folder) && path != folder);
    if plain && below && path.is_dir() { Ok(Remote::Folder(path)) } else { Err(RemoteError::Outside) }
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
            "https://example.org/a.git?x",
            "file:///etc",
            "file://other.example.org/etc",
            "/etc",
            "relative/path",
            "https://example.org/a\n.git",
            outside.to_str().unwrap(),
            link.to_str().unwrap(),
            &up,
            root.path().join("in").to_str().unwrap(),
        ] {
            assert!(Remote::parse(bad, &folders).is_err(), "{bad}");
        }
        assert!(Remote::parse(inside.to_str().unwrap(), &[]).is_err(), "no folder is allowed unless it is said");
    }

    #[test]
    fn submodules_are_relative_to_the_repository_and_never_local() {
        let base = Remote::parse("https://git.example.org/team/a.git", &[]).unwrap();
        let of = |text: &str| base.submodule(text).map(|remote| remote.to_string());
        assert_eq!(of("../b.git").unwrap(), "https://git.example.org/team/b.git");
        assert_eq!(of("https://other.example.org/c.git").unwrap(), "https://other.example.org/c.git");
        for bad in ["file:///etc", "/etc", "../../../../../../etc/\n", "ext::sh", "c"] {
            assert!(of(bad).is_err(), "{bad}");
        }
    }
}
