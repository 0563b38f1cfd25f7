//! Packages for Windows and macOS, and what the vendor's own test suite asks of repositories.

use std::io::Read as _;

use md5::{Digest as _, Md5};

use crate::upstream::fed_by_ours;

/// A field of the record of a package.
fn field<'a>(index: &'a str, package: &str, name: &str) -> Option<&'a str> {
    let record = index.split("\n\n").find(|record| record.starts_with(&format!("Package: {package}\n")))?;
    record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// The `DESCRIPTION` of the package jsonlite.
fn description_in(file: &[u8], extension: &str) -> String {
    let mut text = String::new();
    if extension == "zip" {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(file)).unwrap();
        archive.by_name("jsonlite/DESCRIPTION").unwrap().read_to_string(&mut text).unwrap();
    } else {
        pkg_formats::archive::scan(file, &pkg_formats::archive::Limits::default(), |entry, data| {
            if entry.path == "jsonlite/DESCRIPTION" {
                data.read_to_string(&mut text)?;
            }
            Ok(())
        })
        .unwrap();
    }
    text
}

#[tokio::test]
async fn indexes_tell_the_digests_of_the_files() {
    let (team, _upstream) = fed_by_ours("2026-11-20T06:00:00Z", &["jsonlite"]).await;
    team.sync().await;
    for (folder, extension, tag, content_type) in [
        ("windows/contrib/4.4", "zip", "4.4-win", "application/zip"),
        ("macosx/sonoma-arm64/contrib/4.6", "tgz", "4.6-macos-arm64", "application/x-gzip"),
        ("macosx/big-sur-x86_64/contrib/4.5", "tgz", "4.5-macos", "application/x-gzip"),
    ] {
        let folder = format!("/cran/latest/bin/{folder}");
        let index = team.text(&format!("{folder}/PACKAGES")).await;
        let (version, hash) =
            (field(&index, "jsonlite", "Version").unwrap(), field(&index, "jsonlite", "Hash").unwrap());
        let path = format!("{folder}/jsonlite_{version}.{extension}");
        let file = team.get(&path).await;
        assert_eq!(file.status, 200, "{path}: {}", file.text());
        assert_eq!(hex::encode(Md5::digest(&file.body)), hash, "{path}");
        assert_eq!((file.header("x-package-type"), file.header("x-package-binary-tag")), ("binary", tag));
        assert_eq!(file.header("content-type"), content_type);
        let description = description_in(&file.body, extension);
        assert!(description.contains("Repository: RSPM\n") && description.contains("Built: R 4."), "{description}");
        assert_eq!(team.head(&path).await.header("x-package-binary-tag"), tag);
        let other = if extension == "zip" { "tgz" } else { "zip" };
        for missing in
            [format!("jsonlite_{version}.{other}"), format!("jsonlite_{version}.tar.gz"), "none_1.zip".into()]
        {
            assert_eq!(team.get(&format!("{folder}/{missing}")).await.status, 404, "{missing}");
        }
        for name in ["PACKAGES.gz", "PACKAGES.rds"] {
            assert_eq!(team.get(&format!("{folder}/{name}")).await.status, 200, "{folder}/{name}");
        }
    }
    // R 4.2 is too old for files for Windows and macOS here, and its list is empty; systems that never were have none.
    assert_eq!(team.text("/cran/latest/bin/windows/contrib/4.2/PACKAGES").await, "");
    assert_eq!(team.text("/cran/latest/bin/macosx/contrib/4.2/PACKAGES").await, "");
    for never in
        ["windows/contrib/2.1", "macosx/big-sur-arm64/contrib/4.6", "macosx/contrib/4.5", "macosx/x/contrib/4.5"]
    {
        let answer = team.get(&format!("/cran/latest/bin/{never}/PACKAGES")).await;
        assert!(answer.status == 404 && answer.text().contains("macos_urls"), "{never}: {}", answer.text());
    }
    // What is not built for a system is not listed.
    let dated = team.text("/cran/2022-06-01/bin/windows/contrib/4.6/PACKAGES").await;
    assert_eq!(field(&dated, "jsonlite", "Version"), None);
}

#[tokio::test]
async fn probes_of_the_vendors_test_suite() {
    let (team, _upstream) = fed_by_ours("2026-11-20T06:00:00Z", &["Matrix", "numpy", "requests", "BiocGenerics"]).await;
    team.sync().await;
    assert!(team.text("/cran/latest/src/contrib/PACKAGES").await.contains("Matrix"));
    let mut folders: Vec<String> = ["4.4", "4.3", "4.5"].map(|r| format!("windows/contrib/{r}")).into();
    folders.push("macosx/sonoma-arm64/contrib/4.6".into());
    folders.extend(["4.5", "4.4", "4.3"].map(|r| format!("macosx/big-sur-arm64/contrib/{r}")));
    for platform in ["jammy-x86_64/4.4", "noble-x86_64/4.4", "jammy-x86_64/4.3", "centos7-x86_64/4.4"] {
        folders.push(format!("linux/{platform}/src/contrib"));
    }
    for folder in folders {
        let index = team.text(&format!("/cran/latest/bin/{folder}/PACKAGES")).await;
        assert!(index.contains("Package:"), "{folder}");
    }
    assert!(team.text("/pypi/latest/simple/numpy/").await.contains(".whl"));
    assert_eq!(team.get("/pypi/latest/simple/requests/").await.status, 200);
    let newest = team.get("/__api__/status").await.json()["bioc_versions"][0]["bioc_version"].clone();
    for name in ["BiocGenerics", "BiocVersion"] {
        let query = format!("name={name}&bioc_version={}", newest.as_str().unwrap());
        let found = team.get(&format!("/__api__/repos/bioconductor/packages?{query}")).await.json();
        assert_eq!(found[0]["name"], name);
    }
}
