//! Which index is mirrored: a URL, or `auto` for the one that the user's own pip, uv or R installs from.

use std::process::{Command, Stdio};

use url::Url;

/// An index that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Not a URL of a web server.
    #[error("{flag} {given}: {reason}; give a URL such as https://<your-index>/simple, or auto")]
    Url {
        /// The flag.
        flag: &'static str,
        /// Its value.
        given: String,
        /// What is wrong.
        reason: String,
    },
    /// `auto`, and nothing is configured.
    #[error("{flag} auto: {reason}; give a URL")]
    NotConfigured {
        /// The flag.
        flag: &'static str,
        /// Who was asked.
        reason: &'static str,
    },
}

/// Where an index is, and whom it knows the user as.
#[derive(Debug, Clone)]
pub(super) struct Site {
    /// Ends in a slash and holds no credentials.
    pub(super) url: Url,
    /// As they stand in a URL.
    user: Option<(String, String)>,
}

impl Site {
    pub(super) fn new(mut url: Url) -> Self {
        let user = (!url.username().is_empty())
            .then(|| (url.username().to_owned(), url.password().unwrap_or_default().to_owned()));
        // Neither fails for a URL with a host, which was checked.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Self { url, user }
    }

    /// `url` with the user's credentials, if it is one of the index itself. The client makes a header of them.
    pub(super) fn authorised(&self, url: &Url) -> Url {
        let mut url = url.clone();
        if let Some((user, password)) = self.user.as_ref().filter(|_| url.origin() == self.url.origin()) {
            let _ = url.set_username(user);
            let _ = url.set_password(Some(password));
        }
        url
    }
}

/// The URL that `given` means.
pub(crate) fn index_url(
    flag: &'static str,
    given: &str,
    auto: impl FnOnce() -> Option<String>,
    asked: &'static str,
) -> Result<Url, SourceError> {
    let text = match given {
        "auto" => auto().ok_or(SourceError::NotConfigured { flag, reason: asked })?,
        given => given.to_owned(),
    };
    let bad = |reason: &str| SourceError::Url { flag, given: given.to_owned(), reason: reason.to_owned() };
    let url: Url = text.trim().parse().map_err(|error: url::ParseError| bad(&error.to_string()))?;
    match (url.scheme(), url.has_host()) {
        ("http" | "https", true) => Ok(url),
        _ => Err(bad("it is no address of a web server")),
    }
}

/// What a program prints, if it goes well.
fn said(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

/// The index of the user's uv (by its variable) or pip (by its files and variables), else the one that pip has built in.
pub(crate) fn configured_python_index(uv: Option<&str>) -> Option<String> {
    if let Some(uv) = uv.filter(|url| !url.is_empty()) {
        return Some(uv.to_owned());
    }
    let settings = said("python3", &["-m", "pip", "config", "list"]).unwrap_or_default();
    let of = |section: &str| {
        let name = format!("{section}.index-url=");
        settings
            .lines()
            .find_map(|line| line.strip_prefix(&name))
            .map(|value| value.trim_matches(['\'', '"']).to_owned())
    };
    let built_in = || said("python3", &["-c", "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"]);
    of(":env:").or_else(|| of("install")).or_else(|| of("global")).or_else(built_in)
}

/// The repository of the user's R.
pub(crate) fn configured_repository() -> Option<String> {
    let repository = said("Rscript", &["-e", "cat(c(getOption('repos'), CRAN = '')[['CRAN']])"])?;
    repository.starts_with("http").then_some(repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_credentials() {
        let site = Site::new("https://me:p%40ss@index.example/simple".parse().unwrap());
        assert_eq!(site.url.as_str(), "https://index.example/simple/");
        let own: Url = "https://index.example/files/a.whl".parse().unwrap();
        assert_eq!(site.authorised(&own).as_str(), "https://me:p%40ss@index.example/files/a.whl");
        let foreign: Url = "https://files.example/a.whl".parse().unwrap();
        assert_eq!(site.authorised(&foreign), foreign);
        for bad in ["simple", "file:///x", "ftp://index.example/"] {
            assert!(index_url("--mirror-pypi", bad, || None, "nobody").is_err(), "{bad}");
        }
        let asked = index_url("--mirror-pypi", "auto", || None, "nobody said one").unwrap_err().to_string();
        assert_eq!(asked, "--mirror-pypi auto: nobody said one; give a URL");
        let auto = index_url("--mirror-pypi", "auto", || Some("https://index.example/x".to_owned()), "nobody").unwrap();
        assert_eq!(auto.as_str(), "https://index.example/x");
    }
}
