//! A small package repository on a port of its own: a simple index and a CRAN-like repository.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use connect_sim::Config;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use pkg_formats::archive::Files;
use pkg_formats::dcf::Record;
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::simple::{CoreMetadata, File, JSON_TYPE, ProjectPage};
use pkg_formats::python::wheel::WheelSpec;
use pkg_formats::r::index::{packages_gz, record};
use pkg_formats::r::source::{SourceSpec, description};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

type Shelf = HashMap<String, (&'static str, Vec<u8>)>;

#[derive(Clone)]
pub(crate) struct Index {
    pub(crate) url: String,
    shelf: Arc<Mutex<Shelf>>,
    /// When set, downloads of files wait until it is rung; `POST /open` rings it for one download and takes it away.
    pub(crate) gate: Arc<Mutex<Option<Arc<Notify>>>>,
}

impl Index {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let index = Self { url, shelf: Arc::default(), gate: Arc::default() };
        let router = Router::new().fallback(answer).with_state(index.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        index.python(&[
            ("flask", "3.0.0", &["werkzeug>=3.0.0"]),
            ("flask", "2.0.0", &["werkzeug<3"]),
            ("werkzeug", "3.0.1", &[]),
            ("werkzeug", "2.3.0", &[]),
            ("fastapi", "0.115.0", &["werkzeug<3"]),
            ("broken", "1.0.0", &[]),
        ]);
        index.spoil("/files/broken-1.0.0-py3-none-any.whl");
        index.r(&[("shiny", "1.8.0", "htmltools (>= 0.5)"), ("htmltools", "0.5.7", ""), ("plumber", "1.2.1", "")]);
        index
    }

    /// Settings of a Connect that builds from here.
    pub(crate) fn config(&self) -> Config {
        Config {
            pypi_url: Some(format!("{}/simple", self.url)),
            cran_urls: vec![format!("{}/cran", self.url)],
            ..Config::default()
        }
    }

    pub(crate) fn put(&self, path: String, content_type: &'static str, bytes: Vec<u8>) {
        self.shelf.lock().unwrap().insert(path, (content_type, bytes));
    }

    /// Takes a file away.
    pub(crate) fn remove(&self, path: &str) {
        self.shelf.lock().unwrap().remove(path).unwrap();
    }

    /// Changes the bytes of a file behind the back of the index.
    pub(crate) fn spoil(&self, path: &str) {
        self.shelf.lock().unwrap().get_mut(path).unwrap().1[20] ^= 1;
    }

    /// Wheels of projects, in place of those that they had.
    pub(crate) fn python(&self, releases: &[(&str, &str, &[&str])]) {
        let mut pages: BTreeMap<&str, ProjectPage> = BTreeMap::new();
        for (name, version, requires) in releases {
            let mut metadata = Metadata::new(*name, *version);
            metadata.metadata_version = "2.2".to_owned();
            metadata.requires_dist = requires.iter().map(ToString::to_string).collect();
            let text = metadata.to_string();
            let wheel = WheelSpec::new(metadata, Files::new());
            let (filename, bytes) = (wheel.file_name().unwrap(), wheel.zip().unwrap());
            let page = pages.entry(name).or_insert_with(|| ProjectPage { name: (*name).into(), ..Default::default() });
            page.versions.push((*version).to_owned());
            page.files.push(File {
                url: format!("../../files/{filename}"),
                hashes: BTreeMap::from([("sha256".to_owned(), hex::encode(Sha256::digest(&bytes)))]),
                requires_python: None,
                size: Some(bytes.len() as u64),
                yanked: None,
                core_metadata: CoreMetadata::sha256(hex::encode(Sha256::digest(text.as_bytes()))),
                filename: filename.clone(),
                upload_time: None,
            });
            self.put(format!("/files/{filename}.metadata"), "text/plain", text.into_bytes());
            self.put(format!("/files/{filename}"), "application/octet-stream", bytes);
        }
        for (name, page) in pages {
            self.put(format!("/simple/{name}/"), JSON_TYPE, page.to_json().into_bytes());
        }
    }

    pub(crate) fn r(&self, packages: &[(&str, &str, &str)]) {
        let mut records = Vec::new();
        for (name, version, imports) in packages {
            let mut description: Record = description(name, version, "Synthetic");
            if !imports.is_empty() {
                description.set("Imports", *imports);
            }
            records.push(record(&description));
            let source = SourceSpec { description, files: Files::new() };
            let path = format!("/cran/src/contrib/{}", source.file_name().unwrap());
            self.put(path, "application/gzip", source.tar_gz().unwrap());
        }
        self.put("/cran/src/contrib/PACKAGES.gz".to_owned(), "application/gzip", packages_gz(&records));
    }
}

async fn answer(State(index): State<Index>, request: Request) -> Response {
    // Also where Package Manager has its repositories.
    let path = request.uri().path();
    let path = path.strip_prefix("/pypi/latest").unwrap_or(path).to_owned();
    if path.starts_with("/files/") && !path.ends_with(".metadata") {
        let gate = index.gate.lock().unwrap().clone();
        if let Some(gate) = gate {
            gate.notified().await;
        }
    }
    if path == "/open" {
        let gate = index.gate.lock().unwrap().take();
        gate.unwrap().notify_one();
        return StatusCode::NO_CONTENT.into_response();
    }
    match index.shelf.lock().unwrap().get(&path) {
        Some((content_type, bytes)) => ([(CONTENT_TYPE, *content_type)], bytes.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
