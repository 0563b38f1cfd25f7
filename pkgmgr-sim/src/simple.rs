//! The simple index of Python (PEP 503), as HTML and as JSON (PEP 691), with what newer PEPs added: yanked files (592), metadata
//! beside wheels (658, 714), sizes and upload times (700).
//!
//! | path | what |
//! |---|---|
//! | `/{repo}/{snapshot}/simple/` | the projects |
//! | `/{repo}/{snapshot}/simple/{project}/` | the files of one |
//! | `/{repo}/{snapshot}/packages/{id}/{filename}` | a file; with `.metadata` at the end its metadata |
//!
//! The real server's documentation promises PEP 503 and 592; whether it offers the others is not known, so each can be turned off.
//! What `{id}` is in the real server is not known either; here it is the file's SHA-256. Links are relative, so they hold behind any
//! proxy.

use std::sync::Arc;

use axum::extract::{Path, Query, Request, State};
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use http::header::{ACCEPT, LOCATION};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use pkg_formats::psp::{Digest, PythonFile, PythonRecord};
use pkg_formats::python::name::normalize;
use pkg_formats::python::simple::{CoreMetadata, File as Link, HTML_TYPE, JSON_TYPE, ProjectPage, RootPage};
use serde::Deserialize;
use sim_kit::origin::Origin;

use crate::app::App;
use crate::blocklist::{Rules, Suspect, When};
use crate::downloads::Download;
use crate::error::Error;
use crate::files::File;
use crate::record::{self, instant};
use crate::renderings::{Kind, Rendering, blocking};
use crate::snapshot::{FIXED, Freshness, Snapshot};
use crate::store::packages::{self, Shows};

/// The forms of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Html,
    NamedHtml,
    Json,
}

impl Form {
    fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::NamedHtml => HTML_TYPE,
            Self::Json => JSON_TYPE,
        }
    }

    /// Tells the forms apart in the names of renderings.
    fn suffix(self) -> &'static str {
        match self {
            Self::Html => "|html",
            Self::NamedHtml => "|named html",
            Self::Json => "|json",
        }
    }

    fn kind(self, keep: bool) -> Kind {
        Kind { content_type: self.content_type(), vary: "Accept, Accept-Encoding", compress: true, keep }
    }

    /// What the client prefers; HTML when it takes none of the forms, since old clients say odd things.
    fn wanted(headers: &HeaderMap, format: Option<&str>, with_json: bool) -> Self {
        let of = |name: &str| match name {
            "text/html" => Some(Self::Html),
            HTML_TYPE => Some(Self::NamedHtml),
            JSON_TYPE if with_json => Some(Self::Json),
            "application/vnd.pypi.simple.latest+json" if with_json => Some(Self::Json),
            "application/vnd.pypi.simple.latest+html" => Some(Self::NamedHtml),
            "*/*" | "text/*" => Some(Self::Html),
            _ => None,
        };
        // The `+` of a type, written as it is, has become a space in the query.
        let format = format.map(|format| format.replace(' ', "+"));
        if let Some(form) = format.as_deref().and_then(of) {
            return form;
        }
        let mut best = (0.0_f32, Self::Html);
        for accept in headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()) {
            for part in accept.split(',') {
                let mut parameters = part.split(';').map(str::trim);
                let Some(form) = parameters.next().and_then(of) else { continue };
                let q = parameters.find_map(|p| p.strip_prefix("q=")).map_or(Ok(1.0), str::parse).unwrap_or(0.0);
                if q > best.0 {
                    best = (q, form);
                }
            }
        }
        best.1
    }
}

/// The alternative to `Accept` of PEP 691.
#[derive(Debug, Deserialize)]
pub struct Format {
    format: Option<String>,
}

/// `/{repo}/{snapshot}/simple[/{project}]`: pages end in a slash.
pub async fn with_slash(State(app): State<App>, headers: HeaderMap, uri: Uri) -> Response {
    redirect(&app, &headers, StatusCode::MOVED_PERMANENTLY, &format!("{}/", uri.path()), uri.query())
}

fn redirect(app: &App, headers: &HeaderMap, status: StatusCode, path: &str, query: Option<&str>) -> Response {
    let origin = app.0.config.address.as_deref().map_or_else(|| Origin::from_headers(headers), Origin::fixed);
    let mut location = origin.url(path);
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    (status, [(LOCATION, location)]).into_response()
}

/// `/{repo}/{snapshot}/simple/`
pub async fn root(
    State(app): State<App>,
    Path((repo, snapshot)): Path<(String, String)>,
    Query(query): Query<Format>,
    request: Request,
) -> Result<Response, Error> {
    let Parts { method, headers, .. } = request.into_parts().0;
    let snapshot = app.snapshot(&repo, &snapshot).await?;
    snapshot.of_kind("Python")?;
    let form = Form::wanted(&headers, query.format.as_deref(), app.0.config.simple_json);
    let key = [snapshot.key.as_str(), "|simple", form.suffix()].concat();
    let build = || async {
        let page = RootPage { projects: projects(&app, &snapshot).await?, last_serial: None };
        blocking(move || match form {
            Form::Json => page.to_json().into_bytes(),
            Form::Html | Form::NamedHtml => page.to_html().into_bytes(),
        })
        .await
    };
    let rendering = app.0.renderings.get(&key, form.kind(true), build).await?;
    rendering.respond(&method, &headers, &snapshot.freshness).await
}

/// Projects read at once.
const PAGE: i64 = 2000;

async fn projects(app: &App, snapshot: &Snapshot) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let whole = snapshot.rules.is_some();
    for part in &snapshot.parts {
        let mut pages = packages::pages(app.world().db(), part.source, part.at, whole, PAGE);
        while let Some(page) = pages.next().await? {
            for listed in page {
                let exists = match listed.shows {
                    Shows::Entry(entry) => !entry.is_empty(),
                    Shows::Record(json) => {
                        let record: PythonRecord = serde_json::from_str(&json)?;
                        let offered = |file: &PythonFile| {
                            !snapshot.rules.as_ref().is_some_and(|rules| blocks(rules, part.source, &record, file))
                        };
                        record::files(&record, instant(part.at.as_of)).any(|(file, _)| offered(file))
                    }
                };
                if exists {
                    names.push(listed.name);
                }
            }
        }
    }
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// `/{repo}/{snapshot}/simple/{project}/`
pub async fn project(
    State(app): State<App>,
    Path((repo, segment, project)): Path<(String, String, String)>,
    Query(query): Query<Format>,
    request: Request,
) -> Result<Response, Error> {
    let Parts { method, headers, uri, .. } = request.into_parts().0;
    let snapshot = app.snapshot(&repo, &segment).await?;
    snapshot.of_kind("Python")?;
    let normal = normalize(&project);
    if normal != project {
        let path = format!("/{repo}/{segment}/simple/{}/", path_segment(&normal));
        return Ok(redirect(&app, &headers, StatusCode::PERMANENT_REDIRECT, &path, uri.query()));
    }
    let form = Form::wanted(&headers, query.format.as_deref(), app.0.config.simple_json);
    let mut snapshot = snapshot;
    let mut rendering = app.project_rendering(&snapshot, &project, form).await;
    if matches!(rendering, Err(Error::NotFound(_))) && app.demand(&snapshot, &project).await? {
        snapshot = app.snapshot(&repo, &segment).await?;
        rendering = app.project_rendering(&snapshot, &project, form).await;
    }
    rendering?.respond(&method, &headers, &snapshot.freshness).await
}

impl App {
    async fn project_rendering(&self, snapshot: &Snapshot, project: &str, form: Form) -> Result<Arc<Rendering>, Error> {
        let key = [snapshot.key.as_str(), "|simple/", project, form.suffix()].concat();
        let build = || async {
            let with_metadata = self.0.config.simple_metadata;
            let page = self.project_page(snapshot, project, with_metadata).await?.ok_or_else(|| {
                Error::NotFound(format!("there is no project {project:?} in this snapshot of {}", snapshot.repo.name))
            })?;
            Ok(match form {
                Form::Json => page.to_json().into_bytes(),
                Form::Html | Form::NamedHtml => page.to_html().into_bytes(),
            })
        };
        match self.0.renderings.at_hand(&key) {
            Some(rendering) => Ok(rendering),
            None => self.0.renderings.get(&key, form.kind(false), build).await,
        }
    }

    /// The record of a Python project in the first source of a snapshot that has it, with the time to look at it and the source's number.
    pub(crate) async fn python_record(
        &self,
        snapshot: &Snapshot,
        name: &str,
    ) -> Result<Option<(PythonRecord, chrono::DateTime<chrono::Utc>, i64)>, Error> {
        for part in &snapshot.parts {
            if let Some((_, json)) = packages::get(self.world().db(), part.source, part.at, name).await? {
                let (record, t): (PythonRecord, _) = (serde_json::from_str(&json)?, instant(part.at.as_of));
                if record::files(&record, t).next().is_some() {
                    return Ok(Some((record, t, part.source)));
                }
            }
        }
        Ok(None)
    }

    async fn project_page(
        &self,
        snapshot: &Snapshot,
        name: &str,
        with_metadata: bool,
    ) -> Result<Option<ProjectPage>, Error> {
        let Some((record, t, source)) = self.python_record(snapshot, name).await? else { return Ok(None) };
        let mut versions: Vec<String> = Vec::new();
        let mut files = Vec::new();
        for (file, yanked) in record::files(&record, t) {
            if snapshot.rules.as_ref().is_some_and(|rules| blocks(rules, source, &record, file)) {
                continue;
            }
            if !versions.contains(&file.version) {
                versions.push(file.version.clone());
            }
            let metadata = file.metadata_sha256.filter(|_| with_metadata);
            files.push(Link {
                filename: file.filename.clone(),
                url: format!("../../packages/{}/{}", file.sha256, path_segment(&file.filename)),
                hashes: [("sha256".to_owned(), file.sha256.to_string())].into(),
                requires_python: file.requires_python.clone(),
                size: Some(file.size),
                upload_time: Some(file.upload_time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()),
                yanked: yanked.map(str::to_owned),
                core_metadata: metadata.map_or(CoreMetadata::Absent, |digest| CoreMetadata::sha256(digest.to_string())),
            });
        }
        if files.is_empty() {
            return Ok(None);
        }
        let last_serial = Some(record.last_serial).filter(|_| !snapshot.fixed);
        Ok(Some(ProjectPage { name: name.to_owned(), versions, files, last_serial, status: None }))
    }
}

/// Whether a file is blocked.
fn blocks(rules: &Rules, source: i64, record: &PythonRecord, file: &PythonFile) -> bool {
    let license = record.license.as_deref();
    let suspect = Suspect {
        python: true,
        source,
        name: &record.name,
        version: &file.version,
        license,
        deleted: record.removed_at.is_some(),
    };
    rules.blocking(suspect).is_some()
}

/// `text` as one segment of a path.
fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~+!".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `/{repo}/{snapshot}/packages/{id}/{filename}`
pub async fn file(
    State(app): State<App>,
    Path((repo, segment, id, filename)): Path<(String, String, String, String)>,
    request: Request,
) -> Result<Response, Error> {
    let Parts { method, headers, .. } = request.into_parts().0;
    let snapshot = app.snapshot(&repo, &segment).await?;
    snapshot.of_kind("Python")?;
    let missing = || Error::NotFound(format!("there is no file {filename:?} of this id in {}", snapshot.repo.name));
    let digest: Digest = id.parse().map_err(|_| missing())?;
    let (name, of_metadata) = match filename.strip_suffix(".metadata") {
        Some(name) if app.0.config.simple_metadata => (name, true),
        _ => (filename.as_str(), false),
    };
    for project in projects_of(name) {
        let Some((record, t, source)) = app.python_record(&snapshot, &project).await? else { continue };
        let Some((found, _)) = record::files(&record, t).find(|(f, _)| f.filename == name && f.sha256 == digest) else {
            continue;
        };
        if let Some(rules) = app.view().rules_for(snapshot.repo.id, When::Now)
            && blocks(&rules, source, &record, found)
        {
            return Err(Error::Forbidden(format!("{} {} is blocked by an administrator", record.name, found.version)));
        }
        // The bytes behind a digest never change, wherever they are served.
        let freshness = Freshness::new(FIXED, found.upload_time);
        let served = if of_metadata {
            let digest = found.metadata_sha256.ok_or_else(missing)?;
            File { digest, size: None, content_type: "text/plain; charset=utf-8", freshness }
        } else {
            File { digest, size: Some(found.size), content_type: content_type(name), freshness }
        };
        let mut response = app.0.files.serve(&method, &headers, served).await?;
        if !of_metadata {
            let (name, version) = (record.name.clone(), found.version.clone());
            Download { source, name, version, routed: None }.mark(&mut response);
        }
        return Ok(response);
    }
    Err(missing())
}

fn content_type(filename: &str) -> &'static str {
    match filename.rsplit('.').next() {
        Some("gz" | "tgz") => "application/x-gzip",
        Some("zip") => "application/zip",
        _ => "application/octet-stream",
    }
}

/// The projects that a file of this name can belong to. The name of an sdist may hold dashes of its own, so every dash before a
/// digit may be the one before the version.
fn projects_of(filename: &str) -> Vec<String> {
    if filename.ends_with(".whl") {
        return filename.split('-').take(1).map(normalize).collect();
    }
    let bytes = filename.as_bytes();
    let ends =
        (1..bytes.len().saturating_sub(1).min(256)).filter(|i| bytes[*i] == b'-' && bytes[i + 1].is_ascii_digit());
    ends.filter_map(|end| filename.get(..end)).map(normalize).take(8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_real_clients_accept() {
        let wanted =
            |accept: &str| Form::wanted(&HeaderMap::from_iter([(ACCEPT, accept.parse().unwrap())]), None, true);
        let pip = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html; q=0.1, text/html; q=0.01";
        assert_eq!(wanted(pip), Form::Json);
        assert_eq!(wanted("application/vnd.pypi.simple.v1+json, */*;q=0.1"), Form::Json);
        assert_eq!(wanted("*/*"), Form::Html);
        assert_eq!(wanted("application/json"), Form::Html);
        assert_eq!(wanted("application/vnd.pypi.simple.v1+html"), Form::NamedHtml);
        assert_eq!(wanted("text/html, application/vnd.pypi.simple.v1+json;q=0"), Form::Html);
        assert_eq!(Form::wanted(&HeaderMap::new(), None, true), Form::Html);
        assert_eq!(Form::wanted(&HeaderMap::new(), Some(JSON_TYPE), true), Form::Json);
        assert_eq!(Form::wanted(&HeaderMap::new(), Some(JSON_TYPE), false), Form::Html);
    }

    #[test]
    fn file_names_tell_the_project() {
        assert_eq!(projects_of("Tiny_Pkg-1.0-py3-none-any.whl"), ["tiny-pkg"]);
        assert_eq!(projects_of("a-2b-1.0.tar.gz"), ["a", "a-2b"]);
        assert_eq!(projects_of("nothing"), Vec::<String>::new());
        assert_eq!(path_segment("a-1.0+x é.whl"), "a-1.0+x%20%C3%A9.whl");
    }
}
