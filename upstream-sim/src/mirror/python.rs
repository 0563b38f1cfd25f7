//! A simple index of Python packages (PEP 503, 691).
//!
//! What the index does not say is left out: dates of files without `upload-time` are those of the feed's beginning, a yanked
//! file is so from its upload on. Sizes that are missing are asked for; a file whose SHA-256 is not told is fetched at once,
//! since a feed names nothing without its digest.

use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Method;
use http::header::CONTENT_LENGTH;
use pkg_formats::psp::{Digest, PythonFile, PythonRecord};
use pkg_formats::python::name::{is_valid, normalize};
use pkg_formats::python::simple::{CoreMetadata, File, JSON_TYPE, ProjectPage};
use pkg_formats::python::version;
use pkg_formats::python::wheel::WheelName;
use url::Url;

use super::fetcher::Fetcher;
use super::sources::Site;
use super::{AT_ONCE, Fetched, MirrorError, Remote, within};
use crate::scenario::python::DAY_OF_ALL;

/// Files without a digest that are fetched to learn it.
const MOST_UNTOLD: usize = 200;

const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.01";

/// The index.
pub(crate) struct Index {
    pub(super) site: Option<Site>,
}

/// What the name of a file says.
struct Named {
    version: String,
    is_wheel: bool,
}

impl Index {
    pub(super) fn new(url: Option<Url>) -> Self {
        Self { site: url.map(Site::new) }
    }

    /// Fetches projects by their normalised names; those that are there, and the names of the others.
    pub(super) async fn fetch(
        &self,
        fetcher: &Fetcher<'_>,
        names: &[String],
    ) -> Result<(Vec<Fetched>, Vec<String>), MirrorError> {
        let asked = futures_util::stream::iter(names.iter().cloned().map(|name| async move {
            let found = if is_valid(&name) { project(fetcher, &name).await? } else { None };
            Ok::<_, MirrorError>((name, found))
        }));
        let answers: Vec<_> = asked.buffered(AT_ONCE).try_collect().await?;
        let mut fetched = Vec::new();
        let mut missing = Vec::new();
        for (name, found) in answers {
            match found {
                Some(project) => fetched.push(project),
                None => missing.push(name),
            }
        }
        Ok((fetched, missing))
    }
}

async fn project(fetcher: &Fetcher<'_>, name: &str) -> Result<Option<Fetched>, MirrorError> {
    let key = format!("pypi/simple/{name}.json");
    let page = fetcher.tape.document(&key, page(fetcher, name)).await?;
    let Some(bytes) = page else { return Ok(None) };
    let page = ProjectPage::from_json(&bytes).map_err(|error| MirrorError::malformed(&key, error))?;
    fetched(name, page).map(Some)
}

/// The page of a project in the form that is recorded: JSON, with absolute URLs, and digests and sizes for all files.
async fn page(fetcher: &Fetcher<'_>, name: &str) -> Result<Option<Vec<u8>>, MirrorError> {
    let url = fetcher.within_site(&format!("{name}/"))?;
    let Some(got) = fetcher.page(&url, Some(ACCEPT)).await? else { return Ok(None) };
    let malformed = |reason: String| MirrorError::malformed(&url, reason);
    let is_json = got.content_type.starts_with(JSON_TYPE) || got.content_type.starts_with("application/json");
    let page = if is_json { ProjectPage::from_json(&got.body) } else { ProjectPage::from_html(name, &got.body) };
    let mut page = page.map_err(|error| malformed(error.to_string()))?;
    page.name = name.to_owned();
    page.files.retain(|file| named(name, &file.filename).is_some());
    for file in &mut page.files {
        let absolute = got.url.join(&file.url).map_err(|error| malformed(format!("{}: {error}", file.url)))?;
        if !["http", "https"].contains(&absolute.scheme()) {
            return Err(malformed(format!("{absolute} is no address of a web server")));
        }
        file.url = absolute.into();
    }
    let untold = page.files.iter().filter(|file| !file.hashes.contains_key("sha256")).count();
    if untold > MOST_UNTOLD {
        let why = format!("no SHA-256 is told of {untold} files, which is too many to fetch them all");
        return Err(malformed(why));
    }
    let files =
        futures_util::stream::iter(std::mem::take(&mut page.files).into_iter().map(|file| complete(fetcher, file)));
    page.files = files.buffered(AT_ONCE).try_collect().await?;
    Ok(Some(page.to_json().into_bytes()))
}

/// A file with its digest and size.
async fn complete(fetcher: &Fetcher<'_>, mut file: File) -> Result<File, MirrorError> {
    let url: Url = file.url.parse().map_err(|error| MirrorError::malformed(&file.url, error))?;
    if !file.hashes.contains_key("sha256") {
        let answer = fetcher.send(Method::GET, &url, None).await?;
        if !answer.status().is_success() {
            return Err(MirrorError::Status { url: file.url, status: answer.status() });
        }
        let (digest, size) = fetcher.store(&file.url, answer.bytes_stream()).await?;
        file.hashes.insert("sha256".to_owned(), digest.to_string());
        file.size = Some(size);
        let key = file_key(&file.filename);
        fetcher.record(&Remote { sha256: digest, urls: vec![url], key }).await?;
    } else if file.size.is_none() {
        let answer = fetcher.send(Method::HEAD, &url, None).await?;
        if !answer.status().is_success() {
            return Err(MirrorError::Status { url: file.url, status: answer.status() });
        }
        let length = answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        file.size = Some(length.ok_or_else(|| MirrorError::malformed(&url, "nobody tells its size"))?);
    }
    Ok(file)
}

fn file_key(filename: &str) -> String {
    format!("pypi/files/{filename}")
}

/// Version and kind of a file of project `name`; None for what installers do not take, and for names that are no plain ones.
fn named(name: &str, filename: &str) -> Option<Named> {
    let plain = filename.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.+!".contains(&b));
    if !plain || filename.len() > 250 {
        return None;
    }
    if filename.ends_with(".whl") {
        let wheel: WheelName = filename.parse().ok()?;
        return (wheel.name == name).then(|| Named { version: wheel.version.to_string(), is_wheel: true });
    }
    let stem = [".tar.gz", ".zip"].iter().find_map(|end| filename.strip_suffix(end))?;
    // The name may hold dashes of its own.
    let dashes = stem.match_indices('-').map(|(at, _)| at);
    let at = dashes.filter(|at| normalize(&stem[..*at]) == name).find(|at| version::parse(&stem[at + 1..]).is_ok())?;
    Some(Named { version: version::parse(&stem[at + 1..]).ok()?.to_string(), is_wheel: false })
}

/// The record of a complete page.
fn fetched(name: &str, page: ProjectPage) -> Result<Fetched, MirrorError> {
    let mut files = Vec::new();
    let mut remotes = Vec::new();
    for file in page.files {
        let bad = |reason: &str| MirrorError::malformed(format!("{name}: {}", file.filename), reason);
        let Some(named) = named(name, &file.filename) else { continue };
        let digest = |hashes: &std::collections::BTreeMap<String, String>| {
            hashes.get("sha256").and_then(|hex| hex.to_ascii_lowercase().parse::<Digest>().ok())
        };
        let sha256 = digest(&file.hashes).ok_or_else(|| bad("its SHA-256 is none"))?;
        let size = file.size.ok_or_else(|| bad("nobody tells its size"))?;
        let url: Url = file.url.parse().map_err(|_| bad("its URL is none"))?;
        let metadata_sha256 = match &file.core_metadata {
            CoreMetadata::Hashed(hashes) if named.is_wheel => digest(hashes),
            _ => None,
        };
        let key = file_key(&file.filename);
        if let Some(sha256) = metadata_sha256 {
            let beside = format!("{}.metadata", url.path());
            let mut url = url.clone();
            url.set_path(&beside);
            remotes.push(Remote { sha256, urls: vec![url], key: format!("{key}.metadata") });
        }
        remotes.push(Remote { sha256, urls: vec![url], key });
        let told = file.upload_time.as_deref().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        let upload_time = within(told, DAY_OF_ALL);
        files.push((
            named.is_wheel,
            PythonFile {
                filename: file.filename,
                metadata_sha256,
                requires_python: file.requires_python.filter(|python| version::parse_specifiers(python).is_ok()),
                sha256,
                size,
                upload_time,
                version: named.version,
                yanked_at: file.yanked.as_ref().map(|_| upload_time),
                yanked: file.yanked,
            },
        ));
    }
    files.sort_by_cached_key(|(is_wheel, file)| {
        (file.upload_time, version::parse(&file.version).ok(), *is_wheel, file.filename.clone())
    });
    let files: Vec<PythonFile> = files.into_iter().map(|(_, file)| file).collect();
    let newest = files.iter().filter_map(|file| version::parse(&file.version).ok()).max();
    let record = PythonRecord {
        last_serial: page.last_serial.unwrap_or(files.len() as u64),
        files,
        license: None,
        name: name.to_owned(),
        project: name.to_owned(),
        removed_at: None,
        summary: String::new(),
    };
    Ok(Fetched {
        name: name.to_owned(),
        version: newest.map(|version| version.to_string()).unwrap_or_default(),
        record: serde_json::to_string(&record).expect("a record is plain data"),
        files: remotes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_installers_take() {
        let version = |name: &str, file: &str| named(name, file).map(|named| named.version);
        assert_eq!(version("a-b", "A_b-1.0-py3-none-any.whl").as_deref(), Some("1.0"));
        assert_eq!(version("a-b", "a-b-1.0rc1.tar.gz").as_deref(), Some("1.0rc1"));
        assert_eq!(version("a-2b", "a-2b-1.0.zip").as_deref(), Some("1.0"));
        for (name, file) in [
            ("a", "a-1.0.exe"),
            ("a", "a-1.0.tar.bz2"),
            ("a", "b-1.0.tar.gz"),
            ("a", "../a-1.0.tar.gz"),
            ("a", "a-one.tar.gz"),
            ("a", "a-1.0.whl"),
        ] {
            assert_eq!(version(name, file), None, "{file}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_page_is_understood_or_refused(filename in "[a-z0-9._-]{0,20}(\\.whl|\\.tar\\.gz)", hash in "\\PC{0,70}", time in "\\PC{0,30}") {
            let file = File {
                filename,
                url: "https://files.example/x".to_owned(),
                hashes: [("sha256".to_owned(), hash)].into(),
                size: Some(1),
                upload_time: Some(time),
                ..File::default()
            };
            let page = ProjectPage { name: "a".to_owned(), files: vec![file], ..ProjectPage::default() };
            let _ = fetched("a", page);
        }
    }
}
