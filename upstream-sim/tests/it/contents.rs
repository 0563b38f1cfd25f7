//! The world that is published.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr as _;

use chrono::{DateTime, Utc};
use md5::Digest as _;
use pkg_formats::archive;
use pkg_formats::psp::{ArtifactKind, Digest, PythonRecord, RRecord, RState};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::name::normalize;
use pkg_formats::{dcf, python, r};
use upstream_sim::Config;

use crate::support::{at, followed, service_at, small};

const NOW: &str = "2026-11-24T12:00:00Z";

#[tokio::test]
async fn feeds_are_as_large_as_asked_and_hold_all_kinds_of_packages() {
    let config = Config { cran_packages: 1500, pypi_packages: 2500, ..Config::only(&["httr2", "flask"]) };
    let service = service_at(config, 1, NOW).await;
    let cran = followed(&service, "cran").await.all_r();
    let pypi = followed(&service, "pypi").await.all_python();
    // The checkpoint of the 24th knows what came before it; nobody is born on the day itself.
    assert_eq!(cran.len(), 1500);
    assert_eq!(pypi.len(), 2500);

    for record in &cran {
        assert!(record.versions.len() <= 40 && !record.versions.is_empty());
        let versions: Vec<r::RVersion> = record.versions.iter().map(|v| v.version.parse().unwrap()).collect();
        assert!(versions.windows(2).all(|pair| pair[0] < pair[1]), "{}: {versions:?}", record.name);
        let current = record.versions.iter().filter(|v| v.state == RState::Current).count();
        assert!(current <= 1);
        for (i, version) in record.versions.iter().enumerate() {
            assert_eq!(version.archived_at.is_some(), version.state == RState::Archived);
            if let Some(next) = record.versions.get(i + 1) {
                assert_eq!(version.archived_at, Some(next.published_at));
            }
        }
    }
    let count = |test: &dyn Fn(&RRecord) -> bool| cran.iter().filter(|record| test(record)).count();
    assert!(count(&|r| r.removed_at.is_some()) > 0, "removed");
    assert!(
        count(&|r| r.removed_at.is_none() && r.versions.iter().all(|v| v.state == RState::Archived)) > 5,
        "archived"
    );
    assert!(count(&|r| r.versions.last().unwrap().artifacts.len() == 1) > 5, "without binaries");
    assert!(count(&|r| r.versions.iter().any(|v| v.version.contains('-'))) > 20);
    assert!(count(&|r| r.versions.iter().any(|v| v.version.ends_with(".9000"))) > 5);

    let count = |test: &dyn Fn(&PythonRecord) -> bool| pypi.iter().filter(|record| test(record)).count();
    assert!(count(&|p| p.files.iter().any(|f| f.yanked.is_some())) > 5, "yanked");
    assert!(count(&|p| p.removed_at.is_some()) > 1, "removed");
    assert!(count(&|p| p.files.iter().all(|f| f.filename.ends_with(".tar.gz"))) > 2, "sdists only");
    assert!(count(&|p| p.project != p.name) > 100, "names that need normalisation");
    for record in &pypi {
        assert_eq!(normalize(&record.project), record.name);
        assert!(record.files.is_sorted_by_key(|file| file.upload_time));
        let names: BTreeSet<_> = record.files.iter().map(|file| &file.filename).collect();
        assert_eq!(names.len(), record.files.len(), "{}", record.name);
        for file in &record.files {
            assert_eq!(file.yanked.is_some(), file.yanked_at.is_some());
            if file.filename.ends_with(".whl") {
                let parsed: python::wheel::WheelName = file.filename.parse().unwrap();
                assert_eq!((parsed.name, parsed.version.to_string()), (record.name.clone(), file.version.clone()));
                assert!(file.metadata_sha256.is_some());
            }
        }
    }
}

#[tokio::test]
async fn python_files_are_what_their_records_say() {
    let service = small().await;
    let pypi = followed(&service, "pypi").await;
    for record in pypi.all_python() {
        for file in record.files.iter().rev().take(3) {
            let bytes = service.blob(&file.sha256).await;
            assert_eq!(bytes.len() as u64, file.size);
            if let Some(digest) = &file.metadata_sha256 {
                let metadata = service.blob(digest).await;
                assert_eq!(python::wheel::read_metadata(&bytes).unwrap(), metadata);
                let metadata = Metadata::parse(&metadata).unwrap();
                metadata.check().unwrap();
                assert_eq!(metadata.version, file.version);
                assert_eq!(metadata.requires_python, file.requires_python);
                for requirement in &metadata.requires_dist {
                    let parsed = pep508_rs::Requirement::<pep508_rs::VerbatimUrl>::from_str(requirement).unwrap();
                    assert!(pypi.records.contains_key(parsed.name.as_ref()), "{} needs {requirement}", record.name);
                }
            } else {
                assert!(file.filename.ends_with(".tar.gz"));
            }
        }
    }
    let flask = pypi.python("flask");
    assert_eq!(flask.project, "Flask");
    assert_eq!(flask.license.as_deref(), Some("BSD-3-Clause"));
    let versions: Vec<&str> = flask.files.iter().map(|file| file.version.as_str()).collect();
    assert!(versions.contains(&"2.3.3") && versions.contains(&"3.1.3"), "{versions:?}");
}

#[tokio::test]
async fn r_files_are_what_their_records_say() {
    let service = small().await;
    let cran = followed(&service, "cran").await;
    for record in cran.all_r() {
        let version = record.versions.last().unwrap();
        let described = dcf::parse_one(&version.description).unwrap();
        assert_eq!(described.get("Package"), Some(record.name.as_str()));
        assert_eq!(described.get("Version"), Some(version.version.as_str()));
        assert!(described.get("Description").unwrap().contains("Synthetic contents made by teamsim"));
        let kinds: Vec<_> = version.artifacts.iter().map(|artifact| (artifact.kind, artifact.r.as_deref())).collect();
        assert_eq!(kinds[0], (ArtifactKind::Source, None));
        assert!(kinds.contains(&(ArtifactKind::Linux, Some("4.2"))), "{}: {kinds:?}", record.name);
        for artifact in &version.artifacts {
            let bytes = service.blob(&artifact.sha256).await;
            assert_eq!(bytes.len() as u64, artifact.size);
            let extension = match artifact.kind {
                ArtifactKind::Source | ArtifactKind::Linux => "tar.gz",
                ArtifactKind::Macos => "tgz",
                ArtifactKind::Windows => "zip",
                ArtifactKind::Other => panic!("{artifact:?}"),
            };
            assert_eq!(artifact.filename, format!("{}_{}.{extension}", record.name, version.version));
            let inside = if artifact.kind == ArtifactKind::Windows {
                let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&bytes)).unwrap();
                assert!(zip.file_names().all(|name| name.unwrap().starts_with(&format!("{}/", record.name))));
                let file = zip.by_name(&format!("{}/DESCRIPTION", record.name)).unwrap();
                dcf::parse_one(&std::io::read_to_string(file).unwrap()).unwrap()
            } else {
                r::package::read_description(&bytes[..], &archive::Limits::default()).unwrap()
            };
            let md5 = hex::encode(md5::Md5::digest(&bytes));
            assert_eq!(artifact.md5, if artifact.kind == ArtifactKind::Linux { String::new() } else { md5 });
            let os = if artifact.kind == ArtifactKind::Windows { "windows" } else { "unix" };
            match &artifact.r {
                None => assert_eq!(inside, described),
                Some(r) => {
                    let built = inside.get("Built").unwrap();
                    assert!(built.starts_with(&format!("R {r}.0; ; ")) && built.ends_with(os), "{built}");
                }
            }
        }
    }
    let httr2 = cran.r("httr2");
    assert!(httr2.versions.len() >= 4, "earlier versions are there");
}

#[tokio::test]
async fn windows_and_macos_have_what_is_built_and_not_more() {
    let config = Config { cran_packages: 1500, ..Config::only(&["shiny"]) };
    let cran = followed(&service_at(config, 1, NOW).await, "cran").await;
    let kinds = |record: &RRecord| -> BTreeSet<(ArtifactKind, String, String, String)> {
        let artifacts = record.versions.iter().filter(|v| v.state == RState::Current).flat_map(|v| &v.artifacts);
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        artifacts.map(|a| (a.kind, text(&a.r), text(&a.tag), text(&a.arch))).collect()
    };
    let shiny = kinds(&cran.r("shiny"));
    let has = |kind, r: &str, tag: &str, arch: &str| shiny.contains(&(kind, r.into(), tag.into(), arch.into()));
    for r in ["4.3", "4.4", "4.5", "4.6"] {
        assert!(has(ArtifactKind::Windows, r, "", "x86_64"), "{shiny:?}");
        assert!(has(ArtifactKind::Macos, r, "big-sur-x86_64", "x86_64"));
        let arm = if r == "4.6" { "sonoma-arm64" } else { "big-sur-arm64" };
        assert!(has(ArtifactKind::Macos, r, arm, "arm64"));
    }
    assert!(shiny.iter().all(|(kind, r, ..)| *kind == ArtifactKind::Linux || r != "4.2"));

    // Of the others some are built for one system and not for the other, and most for both.
    let all: Vec<_> = cran.all_r().iter().map(kinds).filter(|kinds| !kinds.is_empty()).collect();
    let built = |kinds: &BTreeSet<(ArtifactKind, String, String, String)>, wanted| {
        kinds.iter().any(|(kind, r, ..)| *kind == wanted && r == "4.6")
    };
    let count = |windows: bool, macos: bool| {
        all.iter()
            .filter(|k| built(k, ArtifactKind::Windows) == windows && built(k, ArtifactKind::Macos) == macos)
            .count()
    };
    assert!(count(true, true) * 10 > all.len() * 8, "{} of {}", count(true, true), all.len());
    assert!(count(false, true) > 10 && count(false, false) > 10);
}

/// The version of an R package that is current on a date.
fn current(record: &RRecord, date: DateTime<Utc>) -> Option<&pkg_formats::psp::RVersion> {
    let gone = record.removed_at.is_some_and(|at| at <= date);
    let live = |v: &&pkg_formats::psp::RVersion| v.published_at < date && v.archived_at.is_none_or(|at| at > date);
    record.versions.iter().rfind(live).filter(|_| !gone)
}

#[tokio::test]
async fn at_every_date_what_a_current_r_package_needs_is_current_too() {
    let config = Config { cran_packages: 1500, ..Config::default() };
    let service = service_at(config, 3, NOW).await;
    let records = followed(&service, "cran").await.all_r();
    let by_name: HashMap<&str, &RRecord> = records.iter().map(|record| (record.name.as_str(), record)).collect();
    for date in ["2018-06-01", "2020-02-29", "2022-09-10", "2024-01-15", "2025-12-31", "2026-11-24"] {
        let date = at(&format!("{date}T00:00:00Z"));
        let mut live = 0;
        for record in &records {
            let Some(version) = current(record, date) else { continue };
            live += 1;
            let description = dcf::parse_one(&version.description).unwrap();
            for field in ["Depends", "Imports", "LinkingTo"] {
                for needed in r::deps::parse(description.get(field).unwrap_or_default()).unwrap() {
                    if r::R_BASE.contains(&needed.name.as_str()) {
                        continue;
                    }
                    let target = by_name.get(needed.name.as_str()).and_then(|target| current(target, date));
                    let target = target.unwrap_or_else(|| panic!("{date}: {} needs {}", record.name, needed.name));
                    if date == at("2026-11-24T00:00:00Z") {
                        assert!(needed.accepts(&target.version.parse().unwrap()), "{}: {needed:?}", record.name);
                    }
                }
            }
        }
        assert!(live > 100, "{live} packages on {date}");
    }
}

#[tokio::test]
async fn at_every_date_what_a_python_release_needs_exists() {
    let config = Config { pypi_packages: 1500, ..Config::default() };
    let service = service_at(config, 3, NOW).await;
    let records = followed(&service, "pypi").await.all_python();
    let born: HashMap<&str, DateTime<Utc>> =
        records.iter().map(|record| (record.name.as_str(), record.files[0].upload_time)).collect();
    let removed: HashSet<&str> =
        records.iter().filter(|record| record.removed_at.is_some()).map(|record| record.name.as_str()).collect();
    for (i, record) in records.iter().enumerate() {
        // Every seventh in full, of the others the newest: enough to see a rule broken.
        let skip = if i % 7 == 0 { 0 } else { record.files.len() - 1 };
        for file in record.files.iter().skip(skip) {
            let Some(digest) = &file.metadata_sha256 else { continue };
            let metadata = Metadata::parse(&service.blob(digest).await).unwrap();
            for requirement in &metadata.requires_dist {
                let parsed = pep508_rs::Requirement::<pep508_rs::VerbatimUrl>::from_str(requirement).unwrap();
                let name = parsed.name.as_ref();
                assert!(
                    born.get(name).is_some_and(|born| *born <= file.upload_time),
                    "{} {requirement}",
                    file.filename
                );
                assert!(!removed.contains(name));
            }
        }
    }
}

#[tokio::test]
async fn made_up_packages_form_a_graph_without_cycles_and_with_a_heavy_head() {
    let config = Config { cran_packages: 2000, ..Config::only(&["tidyverse"]) };
    let service = service_at(config, 9, NOW).await;
    let records = followed(&service, "cran").await.all_r();
    let mut needed_by: HashMap<String, usize> = HashMap::new();
    let mut edges: HashMap<String, Vec<String>> = HashMap::new();
    for record in &records {
        let description = dcf::parse_one(&record.versions.last().unwrap().description).unwrap();
        let imports = r::deps::parse(description.get("Imports").unwrap_or_default()).unwrap();
        for import in &imports {
            *needed_by.entry(import.name.clone()).or_default() += 1;
        }
        edges.insert(record.name.clone(), imports.into_iter().map(|import| import.name).collect());
    }
    // Take away what needs nothing that is left, until nothing is left.
    let mut left: HashSet<String> = edges.keys().cloned().collect();
    loop {
        let free: Vec<String> =
            left.iter().filter(|name| edges[*name].iter().all(|needed| !left.contains(needed))).cloned().collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            left.remove(&name);
        }
    }
    assert!(left.is_empty(), "cycle among {left:?}");
    let mut degrees: Vec<usize> = needed_by.into_values().collect();
    degrees.sort_unstable_by(|a, b| b.cmp(a));
    let total: usize = degrees.iter().sum();
    let head: usize = degrees.iter().take(degrees.len() / 10).sum();
    assert!(head * 2 > total, "a tenth of the packages takes {head} of {total} edges");
}

#[tokio::test]
async fn files_do_not_change_when_the_feed_grows() {
    let digests = async |total: u32| {
        let config = Config { cran_packages: total, ..Config::only(&["shiny"]) };
        let service = service_at(config, 4, NOW).await;
        let follower = followed(&service, "cran").await;
        let artifacts = follower.r("shiny").versions.into_iter().flat_map(|version| version.artifacts);
        artifacts.map(|artifact| artifact.sha256).collect::<Vec<Digest>>()
    };
    assert_eq!(digests(0).await, digests(100).await);
}

#[tokio::test]
async fn build_backends_build_a_project_of_the_clients_own() {
    let config = Config::only(&["hatchling", "setuptools", "flit-core", "poetry-core", "pdm-backend"]);
    let service = service_at(config, 1, NOW).await;
    let pypi = followed(&service, "pypi").await;
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().join("project");
    std::fs::create_dir_all(project.join("src/mine")).unwrap();
    std::fs::write(project.join("src/mine/__init__.py"), "__version__ = '0.3'\n").unwrap();
    let toml = "[project]\nname = 'Mine.X'\ndynamic = ['version']\ndependencies = ['six>=1']\n";
    std::fs::write(project.join("pyproject.toml"), toml).unwrap();
    for (name, module) in [
        ("hatchling", "hatchling.build"),
        ("setuptools", "setuptools.build_meta"),
        ("flit-core", "flit_core.buildapi"),
        ("poetry-core", "poetry.core.masonry.api"),
        ("pdm-backend", "pdm.backend"),
    ] {
        let record = pypi.python(name);
        let wheel = record.files.iter().rfind(|file| file.filename.ends_with(".whl")).unwrap();
        let path = folder.path().join(&wheel.filename);
        std::fs::write(&path, service.blob(&wheel.sha256).await).unwrap();
        let site = folder.path().join(format!("{name}-site"));
        let unpack = std::process::Command::new("python3").args(["-m", "zipfile", "-e"]).args([&path, &site]).status();
        assert!(unpack.unwrap().success());
        let out = folder.path().join(name);
        std::fs::create_dir(&out).unwrap();
        let script = format!("import {module} as b; print(b.build_wheel({out:?})); print(b.build_sdist({out:?}))");
        let run = std::process::Command::new("python3")
            .args(["-c", &script])
            .env("PYTHONPATH", &site)
            .current_dir(&project)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&run.stdout);
        assert_eq!(
            said,
            "mine_x-0.3-py3-none-any.whl\nmine_x-0.3.tar.gz\n",
            "{}",
            String::from_utf8_lossy(&run.stderr)
        );
        let built = std::fs::read(out.join("mine_x-0.3-py3-none-any.whl")).unwrap();
        let metadata = Metadata::parse(&python::wheel::read_metadata(&built).unwrap()).unwrap();
        assert_eq!((metadata.name.as_str(), metadata.requires_dist), ("Mine.X", vec!["six>=1".to_owned()]));
    }
}
