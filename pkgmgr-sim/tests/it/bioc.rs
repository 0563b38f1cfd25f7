//! Releases of Bioconductor, from the package service of this project and from one in the tests' hands.

use std::time::Duration;

use pkg_formats::archive::Limits;
use pkg_formats::r::package::read_description;
use serde_json::{Value, json};
use sim_kit::Running;

use crate::Team;
use crate::service::Service;
use crate::upstream::fed_by_ours;

const LIMITS: Limits =
    Limits { entries: 100, total_bytes: 1 << 20, entry_bytes: 1 << 20, ratio: 400, path_bytes: 200, path_depth: 8 };

async fn before_the_fall_of_2025() -> (Team, Running) {
    let (team, upstream) = fed_by_ours("2025-10-20T06:00:00Z", &["DESeq2", "jsonlite", "flask"]).await;
    team.sync().await;
    (team, upstream)
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn releases_appear_and_stand_side_by_side() {
    let (team, upstream) = before_the_fall_of_2025().await;
    let sources = team.get("/__api__/sources").await.json();
    assert_eq!(names(&sources), ["cran", "pypi", "bioc-3.16", "bioc-3.18", "bioc-3.20"]);
    assert_eq!(sources[2]["type"], "bioconductor");
    let subscribed = team.get("/__api__/repos/bioconductor/sources").await.json();
    assert_eq!(names(&subscribed), ["bioc-3.16", "bioc-3.18", "bioc-3.20"]);
    let status = team.get("/__api__/status").await.json();
    let newest = json!({"bioc_version": "3.20", "r_version": "4.4", "cran_snapshot": "latest"});
    assert_eq!(status["bioc_versions"][0], newest);
    assert_eq!(status["bioc_versions"][2]["cran_snapshot"], "2023-04-26");

    let config = team.get("/bioconductor/config.yaml").await;
    assert_eq!(config.header("content-type"), "text/yaml; charset=utf-8");
    assert!(config.text().contains("\nrelease_version: \"3.20\"\n"), "{}", config.text());
    assert_eq!(team.text("/bioconductor/latest/config.yaml").await, config.text());
    for release in ["3.16", "3.18", "3.20"] {
        for component in ["bioc", "data/annotation", "data/experiment", "workflows", "books"] {
            for file in ["PACKAGES", "PACKAGES.gz", "PACKAGES.rds"] {
                let path = format!("/bioconductor/packages/{release}/{component}/src/contrib/{file}");
                assert_eq!(team.get(&path).await.status, 200, "{path}");
            }
        }
    }
    let packages = team.text("/bioconductor/latest/packages/3.16/bioc/src/contrib/PACKAGES").await;
    assert!(packages.contains("Package: BiocVersion\nVersion: 3.16.0\n"), "{packages}");
    assert!(packages.contains("Package: DESeq2\n") && !packages.contains("Package: GenomeInfoDbData\n"), "{packages}");
    let annotation = team.text("/bioconductor/latest/packages/3.16/data/annotation/src/contrib/PACKAGES").await;
    assert!(annotation.contains("Package: GenomeInfoDbData\n") && !annotation.contains("DESeq2"), "{annotation}");
    for (path, why) in [
        ("/bioconductor/packages/3.17/bioc/src/contrib/PACKAGES", "it has 3.16, 3.18, 3.20"),
        ("/bioconductor/packages/3.16/extra/src/contrib/PACKAGES", "data/annotation"),
        ("/bioconductor/packages/3.16/bioc/web/PACKAGES", "src/contrib"),
        ("/bioconductor/latest/src/contrib/PACKAGES", "holds Bioconductor packages"),
        ("/cran/latest/config.yaml", "holds R packages"),
        ("/cran/packages/3.16/bioc/src/contrib/PACKAGES", "holds R packages"),
        ("/bioconductor/2022-11-01/packages/3.16/bioc/src/contrib/PACKAGES", "before the first snapshot"),
        ("/bioconductor/latest/packages/3.16/data/annotation/src/contrib/DESeq2_1.38.3.tar.gz", "no file"),
    ] {
        let answer = team.get(path).await;
        assert!(answer.status == 404 && answer.text().contains(why), "{path}: {}", answer.text());
    }

    // Two weeks go by, and the next release comes.
    let dated = "/bioconductor/2025-10-20/config.yaml";
    let was = team.text(dated).await;
    for world in [upstream.world(), team.running.world()] {
        world.clock().advance(Duration::from_secs(16 * 86_400)).await;
    }
    team.sync().await;
    assert_eq!(names(&team.get("/__api__/repos/bioconductor/sources").await.json()).len(), 4);
    assert!(team.text("/bioconductor/config.yaml").await.contains("\nrelease_version: \"3.22\"\n"));
    assert_eq!(team.text(dated).await, was);
    let early = team.get("/bioconductor/2025-10-20/packages/3.22/bioc/src/contrib/PACKAGES").await;
    assert_eq!(early.status, 404);
    assert_eq!(team.get("/bioconductor/latest/packages/3.22/bioc/src/contrib/PACKAGES").await.status, 200);
}

#[tokio::test]
async fn packages_say_where_they_come_from_and_come_as_binaries_too() {
    let (team, _upstream) = before_the_fall_of_2025().await;
    let file = "DESeq2_1.38.3.tar.gz";
    let source = team.get(&format!("/bioconductor/packages/3.16/bioc/src/contrib/{file}")).await;
    assert_eq!((source.status.as_u16(), source.header("x-package-type")), (200, "source"));
    let description = read_description(source.body.as_slice(), &LIMITS).unwrap();
    assert_eq!(description.get("Repository"), Some("Bioconductor 3.16"));
    let agent = [("user-agent", "R (4.2.2 x86_64-pc-linux-gnu x86_64 linux-gnu)")];
    for root in [
        "/bioconductor/__linux__/bookworm/latest/packages/3.16/bioc",
        "/bioconductor/packages/3.16/bioc/__linux__/bookworm/latest",
        "/bioconductor/latest/packages/3.16/bioc/__linux__/bookworm/2025-10-01",
    ] {
        let binary = team.get_with(&format!("{root}/src/contrib/{file}"), &agent).await;
        assert_eq!(binary.header("x-package-binary-tag"), "4.2-bookworm", "{root}: {}", binary.status);
        let silent = team.get(&format!("{root}/src/contrib/{file}")).await;
        assert_eq!(silent.header("x-package-type"), "source", "{root}");
    }
    let explicit = "/bioconductor/latest/packages/3.16/bioc/bin/linux/noble-x86_64/4.2/src/contrib";
    assert_eq!(team.get(&format!("{explicit}/{file}")).await.header("x-package-binary-tag"), "4.2-noble");
    let windows = team.text("/bioconductor/packages/3.20/bioc/bin/windows/contrib/4.4/PACKAGES").await;
    assert!(windows.contains("Package: DESeq2\n") && windows.contains("\nHash: "), "{windows}");
    let archived = "/bioconductor/2025-10-20/packages/3.16/bioc/src/contrib/Archive/DESeq2/DESeq2_1.38.0.tar.gz";
    assert_eq!(team.get(archived).await.status, 200);
    let first = team.text("/bioconductor/2022-11-02/packages/3.16/bioc/src/contrib/PACKAGES").await;
    assert!(first.contains("Package: DESeq2\nVersion: 1.38.0\n"), "{first}");
}

#[tokio::test]
async fn the_api_looks_into_one_release() {
    let (team, _upstream) = before_the_fall_of_2025().await;
    let version = async |query: &str| {
        let list = team.get(&format!("/__api__/repos/bioconductor/packages?name=BiocVersion{query}")).await.json();
        list[0]["version"].as_str().unwrap().to_owned()
    };
    assert_eq!(version("").await, "3.20.0");
    assert_eq!(version("&bioc_version=3.18").await, "3.18.0");
    let package = team.get("/__api__/repos/bioconductor/packages/DESeq2?bioc_version=3.16").await.json();
    assert_eq!(package["version"], "1.38.3");
    let none = team.get("/__api__/repos/bioconductor/packages?bioc_version=2.0").await;
    assert_eq!(none.status, 404, "{}", none.text());

    // Documents are no sources for people.
    assert_eq!(team.get("/__api__/sources/vulns").await.status, 404);
    assert_eq!(team.sync_status("distros").await["state"], "synced");
    let again = team.does("POST", "/__api__/sync", json!({"type": "Bioconductor", "version": "3.16"})).await;
    assert_eq!(
        again["synced"],
        json!([{"source": "bioc-3.16", "checkpoints": 0, "checkpoint": again["synced"][0]["checkpoint"]}])
    );
    let unknown = team.admin("POST", "/__api__/sync", json!({"type": "Bioconductor", "version": "3.17"})).await;
    assert!(unknown.status == 400 && unknown.text().contains("3.16, 3.18, 3.20"), "{}", unknown.text());
}

#[tokio::test]
async fn a_repo_of_r_has_the_newest_packages_of_a_release() {
    let service = Service::with_packages().await;
    service.offer("bioc-3.18");
    service.bioc("bioc-3.18", "bioc", "IRanges", "1.0.0", 5);
    service.bioc("bioc-3.18", "data/annotation", "hg", "3.18.0", 5);
    service.publish_feed("bioc-3.18", 15);
    let team = Team::of(service).await;
    team.sync().await;
    team.does("POST", "/__api__/repos", json!({"name": "mixed"})).await;
    for source in ["cran", "bioc-3.18"] {
        team.does("POST", "/__api__/repos/mixed/sources", json!({"source": source})).await;
    }
    for (repo, source) in [("pypi", "bioc-3.18"), ("bioconductor", "cran")] {
        let path = format!("/__api__/repos/{repo}/sources");
        assert_eq!(team.admin("POST", &path, json!({"source": source})).await.status, 400, "{repo} {source}");
    }
    team.service.publish(22);
    team.running.world().clock().advance(Duration::from_secs(2 * 86_400)).await;
    team.sync().await;
    let dated = "/mixed/2024-01-21/src/contrib/PACKAGES";
    let was = team.get(dated).await;
    assert!(was.text().contains("Package: alpha\nVersion: 2.0\n"), "{}", was.text());
    assert!(was.text().contains("Package: IRanges\nVersion: 1.0.0\n") && was.text().contains("Package: hg\n"));
    assert_eq!(was.header("cache-control"), "public, max-age=60", "it moves with the release");
    let file = team.get("/mixed/latest/src/contrib/IRanges_1.0.0.tar.gz").await;
    let description = read_description(file.body.as_slice(), &LIMITS).unwrap();
    assert_eq!(description.get("Repository"), Some("Bioconductor"));
    team.service.bioc("bioc-3.18", "bioc", "IRanges", "1.0.1", 21);
    team.service.publish_feed("bioc-3.18", 22);
    team.sync().await;
    let now = team.text(dated).await;
    assert!(now.contains("Package: IRanges\nVersion: 1.0.1\n") && now.contains("Package: alpha\nVersion: 2.0\n"));
}
