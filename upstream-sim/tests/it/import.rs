//! Files on this machine become packages.

use std::path::Path;

use pkg_formats::archive::{File, Files};
use pkg_formats::psp::{ArtifactKind, RState};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::wheel::WheelSpec;
use pkg_formats::r::binary::{BinarySpec, Built};
use pkg_formats::r::package::read_description;
use pkg_formats::r::source::{SourceSpec, description};
use sim_kit::host::{HostConfig, in_process};
use upstream_sim::Config;

use crate::support::{followed, service_at};

const NOW: &str = "2026-11-24T12:00:00Z";

fn importing(folder: &Path) -> Config {
    Config {
        import: vec![folder.to_owned()],
        import_distribution: Some("bookworm".to_owned()),
        ..Config::only(&["flask", "jsonlite"])
    }
}

pub(crate) fn wheel(name: &str, version: &str) -> (String, Vec<u8>) {
    let mut metadata = Metadata::new(name, version);
    metadata.requires_python = Some(">=3.9".to_owned());
    metadata.summary = Some("Measures".to_owned());
    metadata.requires_dist = vec!["click".to_owned()];
    let spec = WheelSpec::new(metadata, Files::from([("acme/__init__.py".to_owned(), File::from("x = 1\n"))]));
    (spec.file_name().unwrap(), spec.zip().unwrap())
}

fn sdist(name: &str, version: &str) -> (String, Vec<u8>) {
    let spec = SdistSpec { metadata: Metadata::new(name, version), files: Files::new() };
    (spec.file_name().unwrap(), spec.tar_gz().unwrap())
}

pub(crate) fn r_source(name: &str, version: &str) -> (String, Vec<u8>) {
    let spec = SourceSpec { description: description(name, version, "Measures"), files: Files::new() };
    (spec.file_name().unwrap(), spec.tar_gz().unwrap())
}

fn r_binary(name: &str, version: &str) -> Vec<u8> {
    let built = Built {
        r: "4.2.2".parse().unwrap(),
        platform: "x86_64-pc-linux-gnu".to_owned(),
        time: "2026-01-01 00:00:00 UTC".to_owned(),
        os: "unix",
    };
    let description = description(name, version, "Measures");
    let spec = BinarySpec { description, namespace: String::new(), code: String::new(), files: Files::new(), built };
    spec.tar_gz().unwrap()
}

pub(crate) fn put(folder: &Path, (name, bytes): (String, Vec<u8>)) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), bytes).unwrap();
}

#[tokio::test]
async fn wheels_and_sdists_become_projects_in_place_of_the_catalogues() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), wheel("Acme_Measures", "1.10"));
    put(&folder.path().join("deep/er"), sdist("acme-measures", "1.9"));
    put(folder.path(), sdist("Acme.Measures", "1.10"));
    put(folder.path(), wheel("click", "99.0"));
    std::fs::write(folder.path().join("README.txt"), "nothing").unwrap();
    let service = service_at(importing(folder.path()), 1, NOW).await;
    let pypi = followed(&service, "pypi").await;

    let acme = pypi.python("acme-measures");
    let names: Vec<&str> = acme.files.iter().map(|file| file.filename.as_str()).collect();
    assert_eq!(
        names,
        ["acme_measures-1.9.tar.gz", "acme_measures-1.10.tar.gz", "acme_measures-1.10-py3-none-any.whl"],
        "in the order of versions"
    );
    assert_eq!((acme.summary.as_str(), acme.project.as_str()), ("Measures", "Acme_Measures"));
    let of_wheel = acme.files.last().unwrap();
    assert_eq!(of_wheel.requires_python.as_deref(), Some(">=3.9"));
    let (name, bytes) = wheel("Acme_Measures", "1.10");
    assert_eq!((&of_wheel.filename, service.blob(&of_wheel.sha256).await), (&name, bytes.into()));
    let beside = service.blob(&of_wheel.metadata_sha256.unwrap()).await;
    assert_eq!(Metadata::parse(&beside).unwrap().requires_dist, ["click"]);

    let click = pypi.python("click");
    assert!(click.files.len() == 1 && click.files[0].version == "99.0", "flask's own click is hidden");
    assert!(pypi.records.contains_key("flask") && pypi.records.contains_key("jinja2"));

    // A file that has changed is not the one that was promised.
    std::fs::write(folder.path().join(&name), "something else").unwrap();
    assert_eq!(service.get(&pkg_formats::psp::blob_path(&of_wheel.sha256)).await.status(), 404);
}

#[tokio::test]
async fn r_packages_and_libraries_become_sources_and_binaries() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), r_source("acme", "0.9-2"));
    put(folder.path(), r_source("acme", "0.10"));
    put(&folder.path().join("built"), ("acme_0.10.tar.gz".to_owned(), r_binary("acme", "0.10")));
    let library = folder.path().join("library");
    let installed = |name: &str, text: &str| {
        std::fs::create_dir_all(library.join(name).join("R")).unwrap();
        std::fs::write(library.join(name).join("DESCRIPTION"), text).unwrap();
        std::fs::write(library.join(name).join("R").join(name), "f <- 1\n").unwrap();
    };
    let built = "Built: R 4.2.2; ; 2026-01-01 00:00:00 UTC; unix\n";
    installed("stats", &format!("Package: stats\nVersion: 4.2.2\nPriority: base\n{built}"));
    installed("jsonlite", &format!("Package: jsonlite\nVersion: 1.8.4\nDepends: methods\n{built}"));
    let config = Config { import_library: vec![library.clone()], ..importing(folder.path()) };
    let service = service_at(config, 1, NOW).await;
    let cran = followed(&service, "cran").await;

    let acme = cran.r("acme");
    let states: Vec<_> = acme.versions.iter().map(|version| (version.version.as_str(), version.state)).collect();
    assert_eq!(states, [("0.9-2", RState::Archived), ("0.10", RState::Current)], "versions of R, not of text");
    assert_eq!(acme.versions[0].archived_at, Some(acme.versions[1].published_at));
    let [source, binary] = acme.versions[1].artifacts.as_slice() else { panic!("{acme:#?}") };
    assert_eq!((source.kind, source.md5.len()), (ArtifactKind::Source, 32));
    let told = (binary.kind, binary.r.as_deref(), binary.arch.as_deref(), binary.tag.as_deref());
    assert_eq!(told, (ArtifactKind::Linux, Some("4.2"), Some("x86_64"), Some("bookworm")));
    assert_eq!(service.blob(&binary.sha256).await, r_binary("acme", "0.10"));
    assert!(!acme.versions[1].description.contains("Built"));

    let jsonlite = cran.r("jsonlite");
    assert_eq!(jsonlite.versions.len(), 1, "the catalogue's is hidden");
    let [binary] = jsonlite.versions[0].artifacts.as_slice() else { panic!("{jsonlite:#?}") };
    assert_eq!((binary.kind, binary.arch.as_deref()), (ArtifactKind::Linux, Some("*")));
    let packed = service.blob(&binary.sha256).await;
    let inside = read_description(packed.as_ref(), &pkg_formats::archive::Limits::default()).unwrap();
    assert_eq!(inside.get("Built"), Some("R 4.2.2; ; 2026-01-01 00:00:00 UTC; unix"));
    assert!(!cran.records.contains_key("stats"));
}

#[tokio::test]
async fn what_is_no_package_keeps_the_service_from_starting() {
    let (_, good) = wheel("a", "1.0");
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("a-2.0-py3-none-any.whl", good.clone(), "those inside"),
        ("a.whl", good.clone(), "a.whl"),
        ("a-1.0-py3-none-any.whl", b"PK".to_vec(), "a-1.0"),
        ("a-1.0.tar.gz", b"no archive".to_vec(), "gzip"),
        ("b_1.0.tar.gz", r_source("a", "1.0").1, "must be named a_1.0.tar.gz"),
        ("a-1.0.tar.gz", r_source("a", "1.0").1, "must be named a_1.0.tar.gz"),
    ];
    for (name, bytes, said) in cases {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), (name.to_owned(), bytes));
        let Err(error) = in_process(&upstream_sim::product(importing(folder.path())), &HostConfig::default()).await
        else {
            panic!("it starts with {name}")
        };
        let error = format!("{error:#}");
        assert!(error.contains(said) && error.contains(name) && error.contains("--import"), "{name}: {error}");
    }
    // The same file in two folders is one; two of one name that differ are a mistake.
    let twice = tempfile::tempdir().unwrap();
    put(&twice.path().join("one"), wheel("a", "1.0"));
    put(&twice.path().join("two"), wheel("a", "1.0"));
    let service = service_at(importing(twice.path()), 1, NOW).await;
    assert_eq!(followed(&service, "pypi").await.python("a").files.len(), 1);
    let other = WheelSpec::new(Metadata::new("a", "1.0"), Files::new());
    put(&twice.path().join("two"), (other.file_name().unwrap(), other.zip().unwrap()));
    let Err(error) = in_process(&upstream_sim::product(importing(twice.path())), &HostConfig::default()).await else {
        panic!("it starts with two files of one name")
    };
    assert!(format!("{error:#}").contains("is there twice"), "{error:#}");
}
