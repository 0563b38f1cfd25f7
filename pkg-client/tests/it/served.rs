//! A package repository on a port of its own, made of packages that tests describe in a line each.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use pkg_client::python::{Requirements, Resolution, Target};
use pkg_client::{Client, Error, Limits};
use pkg_formats::archive::Files;
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::name::normalize;
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::simple::{CoreMetadata, File, JSON_TYPE, ProjectPage};
use pkg_formats::python::wheel::WheelSpec;
use sha2::{Digest, Sha256};
use sim_kit::http_client::Link;
use sim_kit::world::{World, WorldConfig};

/// One release of a Python project.
#[derive(Clone, Debug, Default)]
pub(crate) struct Release {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) requires: Vec<String>,
    pub(crate) extras: Vec<String>,
    pub(crate) python: Option<String>,
    pub(crate) yanked: bool,
    /// Only a source distribution.
    pub(crate) sdist: bool,
    /// The index does not have the metadata beside the file.
    pub(crate) bare: bool,
    /// Of the wheel; `py3-none-any` when empty.
    pub(crate) tag: String,
}

/// A release that requires the given others.
pub(crate) fn release(name: &str, version: &str, requires: &[&str]) -> Release {
    let requires: Vec<_> = requires.iter().map(ToString::to_string).collect();
    let extras = requires.iter().filter_map(|text| text.split_once("extra == '")?.1.split_once('\''));
    let extras = extras.map(|(extra, _)| extra.to_owned()).collect();
    Release { name: name.to_owned(), version: version.to_owned(), requires, extras, ..Release::default() }
}

#[derive(Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
    /// Announce the whole body, send so many bytes of it, and hang up.
    pub(crate) cut_after: Option<usize>,
}

impl Reply {
    pub(crate) fn ok(content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, content_type, body: body.into(), cut_after: None }
    }
}

/// Files by path, and what was asked for.
#[derive(Default)]
pub(crate) struct Shelf {
    pub(crate) files: HashMap<String, Reply>,
    /// Served instead to those who do not accept JSON.
    html: HashMap<String, Vec<u8>>,
    /// Path and User-Agent.
    pub(crate) asked: Vec<(String, String)>,
}

#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) shelf: Arc<Mutex<Shelf>>,
    pub(crate) world: World,
}

impl Served {
    pub(crate) async fn start() -> Self {
        let shelf = Arc::new(Mutex::new(Shelf::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(shelf.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let world = World::open(&WorldConfig::default(), &[]).await.unwrap();
        Self { url, shelf, world }
    }

    pub(crate) async fn with(releases: &[Release]) -> Self {
        let served = Self::start().await;
        served.publish(releases);
        served
    }

    pub(crate) fn put(&self, path: &str, reply: Reply) {
        self.shelf.lock().unwrap().files.insert(path.to_owned(), reply);
    }

    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Reply)) {
        change(self.shelf.lock().unwrap().files.get_mut(path).unwrap());
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.shelf.lock().unwrap().asked.iter().map(|(path, _)| path.clone()).collect()
    }

    /// Lays out a simple index of these releases and nothing else.
    pub(crate) fn publish(&self, releases: &[Release]) {
        let mut pages: BTreeMap<String, ProjectPage> = BTreeMap::new();
        let mut shelf = self.shelf.lock().unwrap();
        *shelf = Shelf::default();
        for release in releases {
            let mut metadata = Metadata::new(&release.name, &release.version);
            metadata.metadata_version = "2.2".to_owned();
            metadata.requires_dist = release.requires.clone();
            metadata.provides_extra = release.extras.clone();
            metadata.requires_python = release.python.clone();
            let (filename, bytes) = if release.sdist {
                let sdist = SdistSpec { metadata: metadata.clone(), files: Files::new() };
                (sdist.file_name().unwrap(), sdist.tar_gz().unwrap())
            } else {
                let mut wheel = WheelSpec::new(metadata.clone(), Files::new());
                if !release.tag.is_empty() {
                    wheel.tag = release.tag.clone();
                }
                (wheel.file_name().unwrap(), wheel.zip().unwrap())
            };
            let beside = !release.bare && !release.sdist;
            let text = metadata.to_string();
            let file = File {
                url: format!("../../files/{filename}"),
                hashes: BTreeMap::from([("sha256".to_owned(), sha256(&bytes))]),
                requires_python: release.python.clone(),
                size: Some(bytes.len() as u64),
                yanked: release.yanked.then(String::new),
                core_metadata: if beside {
                    CoreMetadata::sha256(sha256(text.as_bytes()))
                } else {
                    CoreMetadata::Absent
                },
                filename: filename.clone(),
                upload_time: None,
            };
            if beside {
                shelf.files.insert(format!("/files/{filename}.metadata"), Reply::ok("text/plain", text));
            }
            shelf.files.insert(format!("/files/{filename}"), Reply::ok("application/octet-stream", bytes));
            let name = normalize(&release.name);
            let page = pages.entry(name.clone()).or_insert(ProjectPage { name, ..ProjectPage::default() });
            page.files.push(file);
            page.versions.push(release.version.clone());
        }
        for (name, page) in pages {
            let path = format!("/simple/{name}/");
            shelf.html.insert(path.clone(), page.to_html().into_bytes());
            shelf.files.insert(path, Reply::ok(JSON_TYPE, page.to_json()));
        }
    }

    /// A page that has no JSON form.
    pub(crate) fn html_only(&self, name: &str) {
        let mut shelf = self.shelf.lock().unwrap();
        let path = format!("/simple/{name}/");
        let html = shelf.html[&path].clone();
        shelf.files.insert(path, Reply::ok("text/html; charset=utf-8", html));
    }

    pub(crate) fn client(&self) -> Client {
        self.client_within("pip/24.0", Limits::default())
    }

    pub(crate) fn client_within(&self, agent: &str, limits: Limits) -> Client {
        Client::new(Link::new(&self.world, "package-manager"), agent, limits)
    }

    /// Resolves for Python 3.11 on x86-64.
    pub(crate) async fn resolve(&self, requirements: &str) -> Result<Resolution, Error> {
        let target = Target::linux("3.11.4", "x86_64").unwrap();
        let requirements = Requirements::parse(requirements.as_bytes())?;
        pkg_client::python::resolve(&self.client(), &format!("{}/simple", self.url), &target, &requirements).await
    }

    /// As `resolve`, as `name==version` in the order of the resolution.
    pub(crate) async fn resolved(&self, requirements: &str) -> Vec<String> {
        let resolution = self.resolve(requirements).await.unwrap();
        resolution.packages.iter().map(|package| format!("{}=={}", package.name, package.version)).collect()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

async fn answer(State(shelf): State<Arc<Mutex<Shelf>>>, request: Request) -> Response {
    let header = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let path = request.uri().path().to_owned();
    let mut shelf = shelf.lock().unwrap();
    shelf.asked.push((path.clone(), header(USER_AGENT)));
    let Some(reply) = shelf.files.get(&path).cloned() else {
        return Response::builder().status(StatusCode::NOT_FOUND).body("not found".into()).unwrap();
    };
    let response = Response::builder().status(reply.status);
    if reply.content_type == JSON_TYPE && !header(ACCEPT).contains("json") {
        return response.header(CONTENT_TYPE, "text/html").body(shelf.html[&path].clone().into()).unwrap();
    }
    let response = response.header(CONTENT_TYPE, reply.content_type);
    match reply.cut_after {
        None => response.body(reply.body.into()).unwrap(),
        Some(bytes) => {
            let length = reply.body.len();
            let start = bytes::Bytes::from(reply.body[..bytes].to_vec());
            let pieces = futures_util::stream::unfold(Some(start), |start| async {
                let Some(start) = start else {
                    // What was sent so far goes out first.
                    tokio::task::yield_now().await;
                    return Some((Err(std::io::Error::other("hung up")), None));
                };
                Some((Ok(start), None))
            });
            response.header(CONTENT_LENGTH, length).body(Body::from_stream(pieces)).unwrap()
        }
    }
}
