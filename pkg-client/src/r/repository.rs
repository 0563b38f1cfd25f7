//! The index of a CRAN-like repository.

use std::collections::HashMap;
use std::io::Read;

use flate2::read::MultiGzDecoder;
use pkg_formats::dcf::{self, Record};
use pkg_formats::r::deps::{self, Dependency};
use pkg_formats::r::{RVersion, is_package_name};
use url::Url;

use crate::{Client, Digest, Error};

/// What a repository says it has now.
#[derive(Debug)]
pub struct Repository {
    url: Url,
    contrib: Url,
    records: HashMap<String, Vec<Record>>,
}

/// One package in an index.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: RVersion,
    /// `Depends`, `Imports` and `LinkingTo`, in this order, `R` and base packages included.
    pub needs: Vec<Dependency>,
    /// Where its file is.
    pub url: Url,
    /// The `MD5sum` or `Hash` field.
    pub digest: Option<Digest>,
}

impl Repository {
    /// Reads the index of the repository at `url`, such as `http://127.0.0.1:4242/cran/latest`. `PACKAGES.gz` is asked
    /// for first, then `PACKAGES` where there is none.
    ///
    /// # Errors
    /// [`Error::Address`]; [`Error::NotFound`] when there is no repository; the errors of requests;
    /// [`Error::Unreadable`] when the index is malformed.
    pub async fn open(client: &Client, url: &str) -> Result<Self, Error> {
        let url = crate::http::address(url)?;
        let contrib = crate::http::below(&url, "src/contrib/")?;
        let limit = client.limits().page;
        let text = match client.fetch(&join(&contrib, "PACKAGES.gz")?, "*/*", limit).await {
            Ok(answer) => {
                let mut text = Vec::new();
                let unpacked = MultiGzDecoder::new(&*answer.body).take(limit + 1).read_to_end(&mut text);
                unpacked
                    .map_err(|error| Error::Unreadable { url: answer.url.clone().into(), why: error.to_string() })?;
                if text.len() as u64 > limit {
                    return Err(Error::TooLarge { url: answer.url.into(), limit });
                }
                text
            }
            Err(Error::NotFound { .. }) => client.fetch(&join(&contrib, "PACKAGES")?, "*/*", limit).await?.body.into(),
            Err(error) => return Err(error),
        };
        let unreadable = |why: String| Error::Unreadable { url: contrib.clone().into(), why };
        let text = String::from_utf8(text).map_err(|_| unreadable("PACKAGES is not UTF-8".to_owned()))?;
        let mut records: HashMap<String, Vec<Record>> = HashMap::new();
        for record in dcf::parse(&text).map_err(|error| unreadable(format!("PACKAGES: {error}")))? {
            let name = record.get("Package").filter(|name| is_package_name(name));
            let name = name.ok_or_else(|| unreadable("PACKAGES has a record without a package".to_owned()))?.to_owned();
            if record.get("OS_type") != Some("windows") {
                records.entry(name).or_default().push(record);
            }
        }
        Ok(Self { url, contrib, records })
    }

    /// The address that it was opened with.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How many packages the index lists.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// True when the index lists nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether the index lists a package.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.records.contains_key(name)
    }

    /// The versions of a package in the index, newest first; usually one, none when the repository does not have it.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when a record of it is malformed.
    pub fn find(&self, name: &str) -> Result<Vec<Package>, Error> {
        let records = self.records.get(name).map_or(&[][..], Vec::as_slice);
        let mut packages = records.iter().map(|record| self.package(name, record)).collect::<Result<Vec<_>, _>>()?;
        packages.sort_by(|a, b| b.version.cmp(&a.version));
        Ok(packages)
    }

    /// Where an older version of a package is.
    ///
    /// # Errors
    /// [`Error::Unreadable`] when the name is not one of a package.
    pub fn archived(&self, name: &str, version: &RVersion) -> Result<Url, Error> {
        if !is_package_name(name) {
            return Err(Error::Unreadable {
                url: self.contrib.clone().into(),
                why: format!("'{name}' is not a package name"),
            });
        }
        join(&self.contrib, &format!("Archive/{name}/{name}_{version}.tar.gz"))
    }

    fn package(&self, name: &str, record: &Record) -> Result<Package, Error> {
        let unreadable = |why: &dyn ToString| Error::Unreadable {
            url: self.contrib.clone().into(),
            why: format!("PACKAGES: {name}: {}", why.to_string()),
        };
        let version: RVersion =
            record.get("Version").ok_or_else(|| unreadable(&"no Version"))?.parse().map_err(|e| unreadable(&e))?;
        let mut needs = Vec::new();
        for field in ["Depends", "Imports", "LinkingTo"] {
            needs.extend(deps::parse(record.get(field).unwrap_or_default()).map_err(|error| unreadable(&error))?);
        }
        let file = record.get("File").map_or_else(|| format!("{name}_{version}.tar.gz"), str::to_owned);
        let path = record.get("Path").map_or_else(|| file.clone(), |path| format!("{path}/{file}"));
        let url = join(&self.contrib, &path)?;
        let digest = record.get("MD5sum").or(record.get("Hash")).map(|md5| Digest::Md5(md5.to_ascii_lowercase()));
        Ok(Package { name: name.to_owned(), version, needs, url, digest })
    }
}

/// An address below `contrib`; a path that leads elsewhere is refused.
fn join(contrib: &Url, path: &str) -> Result<Url, Error> {
    match contrib.join(path) {
        Ok(url) if url.as_str().starts_with(contrib.as_str()) => Ok(url),
        _ => Err(Error::Unreadable {
            url: contrib.clone().into(),
            why: format!("'{path}' is not a file of the repository"),
        }),
    }
}
