//! Scenario files become packages.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use pkg_formats::psp::{ArtifactKind, RState};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::{dcf, r};
use sim_kit::host::{HostConfig, in_process};
use upstream_sim::Config;
use upstream_sim::scenario::{Content, Scenarios};

use crate::support::{Service, at, followed, service_at};

const NOW: &str = "2026-11-24T12:00:00Z";

type Requirement = pep508_rs::Requirement<pep508_rs::VerbatimUrl>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

async fn service(folder: PathBuf) -> Service {
    service_at(Config { scenarios: Some(folder), ..Config::only(&["flask"]) }, 1, NOW).await
}

/// Whether `version` is what `requirement` asks for; true for other systems' requirements.
fn fits(requirement: &Requirement, version: Option<&String>) -> bool {
    let marker = requirement.marker.contents().map(|marker| marker.to_string()).unwrap_or_default();
    if !marker.is_empty() && !marker.contains("linux") {
        return true;
    }
    match (&requirement.version_or_url, version) {
        (_, None) => marker.contains("!="),
        (Some(pep508_rs::VersionOrUrl::VersionSpecifier(wanted)), Some(version)) => {
            wanted.contains(&version.parse().unwrap()) || marker.contains("!=")
        }
        (_, Some(_)) => true,
    }
}

#[tokio::test]
async fn every_group_of_scenarios_is_there_and_published() {
    let scenarios = Scenarios::load(&folder()).unwrap();
    let service = service(folder()).await;
    let pypi = followed(&service, "pypi").await;
    let cran = followed(&service, "cran").await;
    assert!(pypi.records.contains_key("flask"), "the rest is there too");
    let mut languages = [0, 0];
    for scenario in &scenarios.all {
        let name = scenario.name();
        let expected = scenario.expected();
        assert!(!scenario.requires().is_empty() && (expected.satisfiable || expected.explanation.is_some()), "{name}");
        match &scenario.content {
            Content::Python(content) => {
                languages[0] += 1;
                for item in scenario.requires() {
                    let requirement = Requirement::from_str(&item).unwrap();
                    let chosen = expected.packages.get(requirement.name.as_ref());
                    assert!(!expected.satisfiable || fits(&requirement, chosen), "{name}: {item} {chosen:?}");
                }
                for (package, versions) in &content.packages {
                    let record = pypi.python(&format!("{name}-{package}"));
                    for (text, version) in &versions.versions {
                        let files: Vec<_> = record.files.iter().filter(|file| file.version == *text).collect();
                        let wheels = if version.wheel { version.wheel_tags.len().max(1) } else { 0 };
                        assert_eq!(files.len(), wheels + usize::from(version.sdist), "{name}: {package} {text}");
                        assert!(files.iter().all(|file| file.yanked.is_some() == version.yanked));
                        for file in files {
                            assert_eq!(file.requires_python, version.requires_python);
                            assert_eq!(service.blob(&file.sha256).await.len() as u64, file.size);
                        }
                    }
                }
                // What is chosen exists, and has all it needs among the chosen, on Linux.
                let on_linux = content.resolver_options.python_platform.is_none();
                for (package, version) in expected.packages.iter().filter(|_| on_linux) {
                    let record = pypi.python(package);
                    let file = record.files.iter().rfind(|file| file.version == *version).unwrap();
                    let Some(digest) = &file.metadata_sha256 else { continue };
                    let metadata = Metadata::parse(&service.blob(digest).await).unwrap();
                    for item in &metadata.requires_dist {
                        let requirement = Requirement::from_str(item).unwrap();
                        let chosen = expected.packages.get(requirement.name.as_ref());
                        assert!(fits(&requirement, chosen), "{name}: {package} {version} needs {item}, not {chosen:?}");
                    }
                }
            }
            Content::R(content) => {
                languages[1] += 1;
                let dotted = name.replace('-', ".");
                for package in content.packages.keys() {
                    assert!(cran.records.contains_key(&format!("{dotted}.{package}")), "{name}: {package}");
                }
                for (package, version) in &expected.packages {
                    let record = cran.r(package);
                    let asked = content.root.snapshot.map_or(at(NOW), |date| at(&format!("{date}T00:00:00Z")));
                    let current = record.versions.iter().rfind(|version| version.published_at < asked).unwrap();
                    assert!(current.archived_at.is_none_or(|archived| archived > asked), "{name}: {package}");
                    assert_eq!(current.version, *version, "{name}: {package}");
                    let described = dcf::parse_one(&current.description).unwrap();
                    for field in ["Depends", "Imports", "LinkingTo"] {
                        for needed in r::deps::parse(described.get(field).unwrap_or_default()).unwrap() {
                            let chosen = expected.packages.get(&needed.name);
                            let is_base = ["R", "methods", "utils"].contains(&needed.name.as_str());
                            assert!(
                                is_base || chosen.is_some_and(|version| needed.accepts(&version.parse().unwrap())),
                                "{name}: {needed:?}"
                            );
                        }
                    }
                }
            }
        }
    }
    assert!(languages[0] >= 48 && languages[1] >= 13, "{languages:?}");
}

#[tokio::test]
async fn r_scenarios_keep_their_dates_and_binaries() {
    let service = service(folder().join("r")).await;
    let cran = followed(&service, "cran").await;
    let archived = cran.r("only.in.the.archive.a");
    assert!(archived.versions.iter().all(|version| version.state == RState::Archived) && archived.removed_at.is_none());
    assert_eq!(archived.versions[1].archived_at, Some(at("2024-09-15T00:00:00Z")));
    assert_eq!(cran.r("gone.on.a.date.a").removed_at, Some(at("2025-01-15T00:00:00Z")));
    let late = cran.r("snapshot.too.old.b");
    assert_eq!(late.versions[1].published_at, at("2024-04-01T00:00:00Z"));
    assert_eq!(late.versions[0].archived_at, Some(late.versions[1].published_at));

    let one = cran.r("binary.for.one.r.a").versions.pop().unwrap();
    let built = one.artifacts.iter().filter(|artifact| artifact.kind != ArtifactKind::Source);
    assert!(built.clone().count() == 4 && built.clone().all(|artifact| artifact.r.as_deref() == Some("4.4")));
    let links = cran.r("linking.to.headers.a").versions.pop().unwrap();
    assert_eq!(links.artifacts.len(), 1);
    let described = dcf::parse_one(&links.description).unwrap();
    assert_eq!(described.get("LinkingTo"), Some("linking.to.headers.headers (>= 1.1)"));
    let newer = cran.r("newer.r.wanted.a").versions.pop().unwrap();
    assert_eq!(dcf::parse_one(&newer.description).unwrap().get("Depends"), Some("R (>= 4.5.0)"));
}

#[tokio::test]
async fn extras_keep_their_markers() {
    let service = service(folder().join("python")).await;
    let pypi = followed(&service, "pypi").await;
    let record = pypi.python("extra-brings-its-own-a");
    let digest = record.files.iter().find_map(|file| file.metadata_sha256).unwrap();
    let metadata = Metadata::parse(&service.blob(&digest).await).unwrap();
    assert_eq!(metadata.provides_extra, ["fast", "slow"]);
    assert!(metadata.requires_dist.contains(&"extra-brings-its-own-c>=2 ; extra == 'fast'".to_owned()));
}

#[tokio::test]
async fn the_spellings_of_the_format_are_understood() {
    let text = r#"
name = "all-spellings"
description = '''
Several
lines.
'''
[environment]
python = "3.12"
additional_python = ["3.8.20"]
[resolver_options]
python = "3.11"
prereleases = true
no_build = ["a"]
no_binary = ["b"]
python_platform = "linux"
required_environments = ["sys_platform == 'linux'"]
[root]
requires = ["a[all]", "b; os_name == 'posix'"]
[packages.b.versions]
"1.0.0" = { }
"2.0.0" = { wheel = false, requires_python = "" }
[packages.a.versions."1.0.0".extras]
all = ["a[extra_b]"]
extra_b = ["b ; os_name == 'posix' or os_name == 'nt'"]
[expected]
satisfiable = true
"#;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("all.toml"), text).unwrap();
    let service = service(folder.path().to_owned()).await;
    let pypi = followed(&service, "pypi").await;
    let of = |name: &str| pypi.python(&format!("all-spellings-{name}"));
    let kinds: Vec<_> =
        of("b").files.iter().map(|file| (file.filename.clone(), file.requires_python.clone())).collect();
    let python = Some(">=3.12".to_owned());
    assert_eq!(
        kinds,
        [
            ("all_spellings_b-1.0.0.tar.gz".to_owned(), python.clone()),
            ("all_spellings_b-1.0.0-py3-none-any.whl".to_owned(), python),
            ("all_spellings_b-2.0.0.tar.gz".to_owned(), None),
        ]
    );
    let digest = of("a").files.iter().find_map(|file| file.metadata_sha256).unwrap();
    let metadata = Metadata::parse(&service.blob(&digest).await).unwrap();
    assert_eq!(
        metadata.requires_dist,
        [
            "all-spellings-a[extra_b] ; extra == 'all'",
            "all-spellings-b ; (os_name == 'posix' or os_name == 'nt') and extra == 'extra_b'",
        ]
    );
}

#[tokio::test]
async fn bad_files_are_refused_by_file_and_key() {
    let good = "name = 'x'\n[root]\nrequires = ['a']\n[packages.a.versions.'1.0']\n[expected]\nsatisfiable = true\n";
    let r = format!("language = 'r'\n{good}");
    let cases = [
        (good.replace("requires = ['a']", "requiers = ['a']"), "requiers"),
        (good.replace("'1.0']\n", "'1.0']\nwheels = true\n"), "wheels"),
        (good.replace("'1.0']\n", "'1.0']\nrequires = ['b >> 2']\n"), "requires: \"b >> 2\""),
        (good.replace("'1.0']\n", "'1.0']\nrequires = ['b @ https://example.org/b.zip']\n"), "out of the index"),
        (good.replace("'1.0']\n", "'1.0']\nrequires_python = 'new'\n"), "packages.a.versions.\"1.0\""),
        (good.replace("'1.0']\n", "'1.0']\nwheel_tags = ['../../etc']\n"), "wheel_tags"),
        (good.replace("'1.0'", "'one'"), "\"one\""),
        (good.replace("name = 'x'", "name = '../x'"), "name: \"../x\""),
        (format!("language = 'perl'\n{good}"), "`language` must be"),
        (good.replace("satisfiable", "satisfied"), "satisfied"),
        (r.replace("'1.0']\n", "'1.0']\nrequires = ['b']\n"), "requires"),
        (r.replace("'1.0']\n", "'1.0']\nbinaries = ['3.1']\n"), "binaries"),
        (r.replace("'1.0']\n", "'1.0']\npublished = '2024-02-31'\n"), "published"),
        (r.replace("'1.0']\n", "'1.0']\npublished = '1999-02-01'\n"), "published"),
        (r.replace("'1.0']\n", "'1.0']\nimports = ['b (>= )']\n"), "imports"),
        (r.replace("'1.0']\n", "'1.0']\n[packages.a]\nremoved = '2001-01-01'\n"), "it ends before"),
    ];
    for (text, named) in cases {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("deep")).unwrap();
        std::fs::write(folder.path().join("deep/broken.toml"), &text).unwrap();
        let said = Scenarios::load(folder.path()).unwrap_err().to_string();
        assert!(said.contains("broken.toml") && said.contains(named), "{text}\n{said}");
        // The service does not start with it.
        let config = Config { scenarios: Some(folder.path().to_owned()), ..Config::only(&[]) };
        let Err(error) = in_process(&upstream_sim::product(config), &HostConfig::default()).await else {
            panic!("it starts with {text}")
        };
        assert!(format!("{error:#}").contains(named), "{error:#}");
    }
    let folder = tempfile::tempdir().unwrap();
    for file in ["a.toml", "b.toml"] {
        std::fs::write(folder.path().join(file), good).unwrap();
    }
    let said = Scenarios::load(folder.path()).unwrap_err().to_string();
    assert!(said.contains("b.toml") && said.contains("a.toml"), "{said}");
    assert!(Scenarios::load(&folder.path().join("missing")).unwrap_err().to_string().contains("missing"));
}

#[tokio::test]
async fn without_scenarios_the_rest_stays_what_it_is() {
    let digests = async |config: Config| -> BTreeMap<String, Vec<u8>> {
        let pypi = followed(&service_at(config, 1, NOW).await, "pypi").await;
        pypi.records.into_iter().map(|(name, bytes)| (name, bytes.to_vec())).collect()
    };
    let plain = digests(Config::only(&["flask"])).await;
    let mut both = digests(Config { scenarios: Some(folder()), ..Config::only(&["flask"]) }).await;
    both.retain(|name, _| plain.contains_key(name));
    assert_eq!(plain, both);
}
