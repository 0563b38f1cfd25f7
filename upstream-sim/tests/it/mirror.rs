//! A real index is passed on. The real one here is a small server of the test's own, or another package service's repository.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use pkg_formats::archive::Files;
use pkg_formats::psp::{self, Demand, Demanded, Digest};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::simple::{CoreMetadata, File, JSON_TYPE, ProjectPage};
use pkg_formats::python::wheel::WheelSpec;
use pkg_formats::r::index;
use pkg_formats::r::source::{SourceSpec, description};
use sim_kit::host::{HostConfig, in_process};
use upstream_sim::Config;

use crate::support::{Follower, Service, followed, service_at};

const NOW: &str = "2026-11-24T12:00:00Z";

/// An index in memory, behind HTTP.
#[derive(Clone, Default)]
pub(crate) struct Index(Arc<Mutex<Inner>>);

#[derive(Default)]
pub(crate) struct Inner {
    files: HashMap<String, (String, Bytes)>,
    /// Paths, in the order in which they were asked for.
    asked: Vec<String>,
    password: Option<String>,
}

async fn serve(State(index): State<Index>, request: Request) -> Response {
    let mut inner = index.0.lock().unwrap();
    let path = request.uri().path().to_owned();
    inner.asked.push(format!("{} {path}", request.method()));
    if let Some(password) = &inner.password {
        let expected = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("me:{password}")));
        if request.headers().get(AUTHORIZATION).is_none_or(|given| given != expected.as_str()) {
            return StatusCode::UNAUTHORIZED.into_response();
        }
    }
    match inner.files.get(&path) {
        Some((kind, body)) => ([(CONTENT_TYPE, kind.clone())], Body::from(body.clone())).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Index {
    /// Serves it until the runtime ends; its address.
    pub(crate) async fn start(&self) -> (String, tokio::task::JoinHandle<()>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(serve).with_state(self.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (url, task)
    }

    fn put(&self, path: &str, kind: &str, body: impl Into<Bytes>) {
        self.0.lock().unwrap().files.insert(path.to_owned(), (kind.to_owned(), body.into()));
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().asked)
    }

    /// A project with one wheel of each version.
    pub(crate) fn project(&self, name: &str, versions: &[&str]) {
        let mut page = ProjectPage { name: name.to_owned(), ..ProjectPage::default() };
        for (version, day) in versions.iter().zip(10..) {
            let wheel = wheel(name, version);
            let filename = wheel.file_name().unwrap();
            let bytes = wheel.zip().unwrap();
            let beside = wheel.metadata_text();
            page.versions.push((*version).to_owned());
            page.files.push(File {
                url: format!("../../files/{filename}"),
                hashes: [("sha256".to_owned(), Digest::of(&bytes).to_string())].into(),
                size: Some(bytes.len() as u64),
                upload_time: Some(format!("2024-05-{day}T10:00:00Z")),
                requires_python: Some(">=3.8".to_owned()),
                core_metadata: CoreMetadata::sha256(Digest::of(beside.as_bytes()).to_string()),
                filename: filename.clone(),
                ..File::default()
            });
            self.put(&format!("/files/{filename}"), "application/octet-stream", bytes);
            self.put(&format!("/files/{filename}.metadata"), "text/plain", beside);
        }
        self.put(&format!("/simple/{name}/"), JSON_TYPE, page.to_json());
    }

    pub(crate) fn repository(&self, packages: &[(&str, &str, &str)]) {
        let mut records = Vec::new();
        for (name, version, imports) in packages {
            let mut description = description(name, version, "Title");
            if !imports.is_empty() {
                description.set("Imports", *imports);
            }
            description.set("Date/Publication", "2024-05-10 10:00:00 UTC");
            records.push(index::record(&description));
            let bytes = SourceSpec { description, files: Files::new() }.tar_gz().unwrap();
            self.put(&format!("/cran/src/contrib/{name}_{version}.tar.gz"), "application/x-gzip", bytes);
        }
        self.put("/cran/src/contrib/PACKAGES.gz", "application/x-gzip", index::packages_gz(&records));
    }
}

pub(crate) fn wheel(name: &str, version: &str) -> WheelSpec {
    WheelSpec::new(Metadata::new(name, version), Files::new())
}

async fn demand(service: &Service, feed: &str, names: &[&str]) -> Demanded {
    let body = serde_json::to_vec(&Demand { names: names.iter().map(|name| (*name).to_owned()).collect() }).unwrap();
    let request = http::Request::post(psp::demand_path(feed)).body(Body::from(body)).unwrap();
    let answer = service.send(request).await;
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
    serde_json::from_slice(answer.body()).unwrap()
}

fn pypi(url: &str) -> Config {
    Config { mirror_pypi: Some(format!("{url}/simple")), ..Config::only(&["flask"]) }
}

#[tokio::test]
async fn projects_come_when_they_are_asked_for() {
    let index = Index::default();
    index.project("acme-measures", &["1.9", "1.10"]);
    let (url, _task) = index.start().await;
    let service = service_at(pypi(&url), 1, NOW).await;
    let mut follower = followed(&service, "pypi").await;
    assert!(follower.records.is_empty(), "the catalogue is not offered beside a real index");
    let before = follower.checkpoints.len();
    assert_eq!(index.asked(), Vec::<String>::new(), "nobody has asked for anything");

    let answer = demand(&service, "pypi", &["Acme_Measures", "no-such"]).await;
    assert_eq!((answer.found, answer.missing), (vec!["acme-measures".to_owned()], vec!["no-such".to_owned()]));
    assert_eq!(follower.follow_loosely(&service, "pypi").await, 1);
    let record = follower.python("acme-measures");
    let files: Vec<_> =
        record.files.iter().map(|file| (file.version.as_str(), file.upload_time.to_rfc3339())).collect();
    assert_eq!(
        files,
        [("1.9", "2024-05-10T10:00:00+00:00".to_owned()), ("1.10", "2024-05-11T10:00:00+00:00".to_owned())]
    );
    let [add] = follower.events[before].as_slice() else { panic!("{:?}", follower.events[before]) };
    assert_eq!((add.name.as_str(), add.version.as_str()), ("acme-measures", "1.10"));

    // Nothing but the page was fetched; files come when they are wanted, once, and are kept.
    index.asked();
    let wanted = &record.files[1];
    for _ in 0..2 {
        assert_eq!(service.blob(&wanted.sha256).await, wheel("acme-measures", "1.10").zip().unwrap());
        let beside = service.blob(&wanted.metadata_sha256.unwrap()).await;
        assert_eq!(Metadata::parse(&beside).unwrap().version, "1.10");
    }
    let file = format!("GET /files/{}", wanted.filename);
    assert_eq!(index.asked(), [file.clone(), format!("{file}.metadata")]);

    // What is known, and what was missing a moment ago, is not asked for again.
    assert_eq!(demand(&service, "pypi", &["acme-measures", "no-such"]).await.found, ["acme-measures"]);
    assert!(index.asked().is_empty());
    assert_eq!(follower.follow_loosely(&service, "pypi").await, 0);

    // The days go on.
    service.world.clock().advance(std::time::Duration::from_secs(2 * 86_400)).await;
    assert_eq!(follower.follow_loosely(&service, "pypi").await, 2);
    index.project("later", &["2.0"]);
    demand(&service, "pypi", &["later"]).await;
    demand(&service, "pypi", &["no-such"]).await;
    assert_eq!(follower.follow_loosely(&service, "pypi").await, 1);
    assert_eq!(follower.all_python().len(), 2);

    // Whole as they are: feeds that are not mirrored.
    let post = http::Request::post(psp::demand_path("cran")).body(Body::from("{\"names\":[\"x\"]}")).unwrap();
    assert_eq!(service.send(post).await.status(), 409);
    for bad in ["", "{}", "{\"names\":\"x\"}"] {
        let post = http::Request::post(psp::demand_path("pypi")).body(Body::from(bad)).unwrap();
        assert_eq!(service.send(post).await.status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn an_index_in_html_that_tells_little() {
    let index = Index::default();
    let wheel = wheel("acme", "1.0");
    let bytes = wheel.zip().unwrap();
    let digest = Digest::of(&bytes);
    let other = self::wheel("acme", "2.0").zip().unwrap();
    let page = format!(
        "<a href=\"/f/acme-1.0-py3-none-any.whl#sha256={digest}\" data-yanked=\"bad\">acme-1.0-py3-none-any.whl</a>\n\
         <a href=\"/f/acme-2.0-py3-none-any.whl\">acme-2.0-py3-none-any.whl</a>\n<a href=\"/f/acme-1.0.exe\">acme-1.0.exe</a>"
    );
    index.put("/simple/acme/", "text/html", page);
    index.put("/f/acme-1.0-py3-none-any.whl", "application/octet-stream", bytes.clone());
    index.put("/f/acme-2.0-py3-none-any.whl", "application/octet-stream", other.clone());
    let (url, _task) = index.start().await;
    let service = service_at(pypi(&url), 1, NOW).await;
    demand(&service, "pypi", &["acme"]).await;
    let asked = index.asked();
    assert!(asked.contains(&"HEAD /f/acme-1.0-py3-none-any.whl".to_owned()), "{asked:?}");
    let mut follower = Follower::default();
    follower.follow_loosely(&service, "pypi").await;
    let record = follower.python("acme");
    assert_eq!(record.files.len(), 2);
    assert_eq!((record.files[0].size, record.files[0].yanked.as_deref()), (bytes.len() as u64, Some("bad")));
    assert_eq!(record.files[1].sha256, Digest::of(&other), "learnt from the file");
    assert!(record.files.iter().all(|file| file.upload_time.to_rfc3339().starts_with("2021-02-02")));
    assert_eq!(service.blob(&record.files[0].sha256).await, bytes);
}

#[tokio::test]
async fn listed_packages_are_there_on_all_dates() {
    let index = Index::default();
    index.project("acme", &["1.0"]);
    index.repository(&[("a", "1.0-2", "b (>= 0.1), utils"), ("b", "0.1", ""), ("c", "3.0", "")]);
    let (url, _task) = index.start().await;
    let config = Config {
        mirror_pypi_packages: vec!["Acme".to_owned(), "no-such".to_owned()],
        mirror_cran: Some(format!("{url}/cran")),
        mirror_cran_packages: vec!["a".to_owned()],
        ..pypi(&url)
    };
    let service = service_at(config, 1, NOW).await;
    let pypi = followed(&service, "pypi").await;
    assert_eq!(pypi.events[0].len(), 1, "in the first checkpoint, which all dates before it are served from");
    let cran = followed(&service, "cran").await;
    assert_eq!(cran.records.keys().collect::<Vec<_>>(), ["a", "b"], "with what it needs");
    let a = cran.r("a").versions.pop().unwrap();
    assert_eq!(a.published_at.to_rfc3339(), "2024-05-10T10:00:00+00:00");
    assert!(a.description.contains("Imports: b (>= 0.1), utils"));
    assert_eq!(service.blob(&a.artifacts[0].sha256).await.len() as u64, a.artifacts[0].size);

    assert_eq!(demand(&service, "cran", &["c", "nothing"]).await.missing, ["nothing"]);
    let mut follower = cran;
    assert_eq!(follower.follow_loosely(&service, "cran").await, 1);
    assert_eq!(follower.records.len(), 3);
}

#[tokio::test]
async fn what_is_wrong_with_the_index_is_said() {
    let index = Index::default();
    index.project("acme", &["1.0"]);
    index.0.lock().unwrap().password = Some("p@ss".to_owned());
    index.put("/simple/broken/", JSON_TYPE, "{");
    let (url, _task) = index.start().await;
    let post = |name: &str| {
        http::Request::post(psp::demand_path("pypi")).body(Body::from(format!("{{\"names\":[\"{name}\"]}}"))).unwrap()
    };
    let said = async |service: &Service, name: &str| {
        let answer = service.send(post(name)).await;
        assert_eq!(answer.status(), 502);
        String::from_utf8(answer.into_body().to_vec()).unwrap()
    };
    let refused = service_at(pypi(&url), 1, NOW).await;
    assert!(said(&refused, "acme").await.contains("401"));

    // Credentials of the URL are used, and told to nobody.
    let with_user = url.replace("http://", "http://me:p%40ss@");
    let service = service_at(pypi(&with_user), 1, NOW).await;
    assert_eq!(demand(&service, "pypi", &["acme"]).await.found, ["acme"]);
    assert!(said(&service, "broken").await.contains("/simple/broken/"));
    let mut follower = Follower::default();
    follower.follow_loosely(&service, "pypi").await;
    let digest = follower.python("acme").files[0].sha256;
    index.put("/files/acme-1.0-py3-none-any.whl", "application/octet-stream", "something else");
    let answer = service.get(&psp::blob_path(&digest)).await;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(answer.status() == 502 && text.contains("promises"), "{text}");
    let journal = format!("{:?}", service.world.journal().entries(0, 1000, |_| true));
    assert!(!journal.contains("p%40ss") && !text.contains("p%40ss"));

    // Nobody listens on the first port.
    let nowhere = service_at(pypi("http://127.0.0.1:1"), 1, NOW).await;
    assert!(said(&nowhere, "acme").await.contains("mirrored index"));
    for bad in ["index", "ftp://index.example"] {
        let config = Config { mirror_pypi: Some(bad.to_owned()), ..Config::only(&[]) };
        let Err(error) = in_process(&upstream_sim::product(config), &HostConfig::default()).await else {
            panic!("it starts with {bad}")
        };
        assert!(format!("{error:#}").contains("--mirror-pypi"), "{error:#}");
    }
}

fn replaying(folder: &Path) -> Config {
    Config { replay: Some(folder.to_owned()), ..Config::only(&[]) }
}

#[tokio::test]
async fn a_recording_is_played_without_a_network() {
    let index = Index::default();
    index.project("acme", &["1.0", "2.0"]);
    index.repository(&[("a", "1.0", "")]);
    let (url, task) = index.start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = Config {
        mirror_cran: Some(format!("{url}/cran")),
        mirror_cran_packages: vec!["a".to_owned()],
        record: Some(folder.path().to_owned()),
        ..pypi(&url)
    };
    let service = service_at(config, 1, NOW).await;
    demand(&service, "pypi", &["acme", "no-such"]).await;
    let mut recorded = Follower::default();
    recorded.follow_loosely(&service, "pypi").await;
    let [old, new] = [0, 1].map(|nth| recorded.python("acme").files[nth].clone());
    let bytes = service.blob(&new.sha256).await;
    let of_r = followed(&service, "cran").await.r("a").versions[0].artifacts[0].sha256;
    task.abort();
    index.asked();
    let config = Config { mirror_cran_packages: vec!["a".to_owned()], ..replaying(folder.path()) };
    let service = service_at(config, 1, NOW).await;
    let answer = demand(&service, "pypi", &["acme", "no-such"]).await;
    assert_eq!((answer.found.len(), answer.missing.len()), (1, 1));
    let mut played = Follower::default();
    played.follow_loosely(&service, "pypi").await;
    assert_eq!(played.records, recorded.records);
    assert_eq!(service.blob(&new.sha256).await, bytes);
    assert_eq!(followed(&service, "cran").await.r("a").versions.len(), 1);
    assert!(!service.blob(&of_r).await.is_empty());
    assert!(index.asked().is_empty());

    // What is not in the recording is named.
    let answer = service.get(&psp::blob_path(&old.sha256)).await;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(answer.status() == 502 && text.contains(&format!("pypi/files/{}", old.filename)), "{text}");
    let post = http::Request::post(psp::demand_path("pypi")).body(Body::from("{\"names\":[\"other\"]}")).unwrap();
    let answer = service.send(post).await;
    let text = String::from_utf8(answer.body().to_vec()).unwrap();
    assert!(answer.status() == 502 && text.contains("pypi/simple/other.json"), "{text}");

    let empty = tempfile::tempdir().unwrap();
    for wrong in [empty.path(), &empty.path().join("nowhere")] {
        let Err(error) = in_process(&upstream_sim::product(replaying(wrong)), &HostConfig::default()).await else {
            panic!("it starts without a recording")
        };
        assert!(format!("{error:#}").contains("--replay"), "{error:#}");
    }
}

#[tokio::test]
async fn a_restarted_service_goes_on_where_it_was() {
    let index = Index::default();
    index.project("acme", &["1.0"]);
    index.project("later", &["1.0"]);
    let (url, _task) = index.start().await;
    let folder = tempfile::tempdir().unwrap();
    let host = HostConfig {
        world: sim_kit::WorldConfig {
            data_dir: Some(folder.path().to_owned()),
            frozen_at: Some(crate::support::at(NOW)),
            ..sim_kit::WorldConfig::default()
        },
        ..HostConfig::default()
    };
    let mut follower = Follower::default();
    for name in ["acme", "later"] {
        let (world, router) = in_process(&upstream_sim::product(pypi(&url)), &host).await.unwrap();
        let service = Service::new(world, router);
        demand(&service, "pypi", &[name]).await;
        follower.follow_loosely(&service, "pypi").await;
        service.world.end().await;
    }
    assert_eq!(follower.records.len(), 2, "the second run went on from the first one's checkpoint");
}
