//! Releases of Bioconductor.

use std::collections::{BTreeMap, BTreeSet};

use pkg_formats::psp::{ArtifactKind, BIOC_COMPONENTS, BiocRecord, FeedKind};
use pkg_formats::{dcf, r};
use upstream_sim::Config;

use crate::support::{Follower, followed, service_at};

const NOW: &str = "2026-11-24T12:00:00Z";

fn records(follower: &Follower) -> BTreeMap<String, BiocRecord> {
    follower.records.iter().map(|(name, bytes)| (name.clone(), serde_json::from_slice(bytes).unwrap())).collect()
}

/// The version offered last.
fn newest(record: &BiocRecord) -> &pkg_formats::psp::RVersion {
    record.package.versions.last().unwrap()
}

#[tokio::test]
async fn every_release_is_a_feed_with_all_components_for_one_r() {
    let service = service_at(Config::default(), 1, NOW).await;
    let releases = [("3.16", "4.2"), ("3.18", "4.3"), ("3.20", "4.4"), ("3.22", "4.5"), ("3.23", "4.6")];
    let cran = followed(&service, "cran").await;
    for (release, minor) in releases {
        let feed = format!("bioc-{release}");
        let root = service.root().await;
        assert_eq!(root.feeds.iter().find(|info| info.name == feed).unwrap().kind, FeedKind::R);
        let follower = followed(&service, &feed).await;
        let records = records(&follower);
        assert!(records.len() > 100);
        let components: BTreeSet<&str> = records.values().map(|record| record.component.as_str()).collect();
        assert_eq!(components, BIOC_COMPONENTS.into());

        let marker = newest(&records["BiocVersion"]);
        assert!(marker.version.starts_with(&format!("{release}.")), "{}", marker.version);
        let described = dcf::parse_one(&marker.description).unwrap();
        assert_eq!(described.get("Depends"), Some(format!("R (>= {minor}.0)").as_str()));
        assert_eq!(described.get("Repository"), Some(format!("Bioconductor {release}").as_str()));
        assert_eq!(records["BiocGenerics"].component, "bioc");
        assert_eq!(records["GO.db"].component, "data/annotation");

        for (name, record) in &records {
            // It can also be read by whoever knows nothing of components.
            assert_eq!(follower.r(name), record.package);
            let version = newest(record);
            let kinds: BTreeSet<_> = version.artifacts.iter().map(|artifact| artifact.kind).collect();
            let desktop = minor != "4.2";
            assert_eq!(kinds.contains(&ArtifactKind::Windows), desktop);
            assert_eq!(kinds.contains(&ArtifactKind::Macos), desktop);
            assert!(version.artifacts.iter().all(|artifact| artifact.r.as_deref().is_none_or(|r| r == minor)));
            let described = dcf::parse_one(&version.description).unwrap();
            for field in ["Imports", "LinkingTo"] {
                for needed in r::deps::parse(described.get(field).unwrap_or_default()).unwrap() {
                    match records.get(&needed.name) {
                        Some(target) => assert!(
                            needed.accepts(&newest(target).version.parse().unwrap()),
                            "{feed}: {name} needs {needed:?}"
                        ),
                        None => assert!(
                            cran.records.contains_key(&needed.name)
                                || ["methods", "stats", "utils"].contains(&needed.name.as_str()),
                            "{feed}: {name} needs {needed:?}"
                        ),
                    }
                }
            }
        }
        let bytes = service.blob(&marker.artifacts[0].sha256).await;
        assert_eq!(bytes.len() as u64, marker.artifacts[0].size);
    }
    let versions = |follower: &Follower, name: &str| newest(&records(follower)[name]).version.clone();
    assert_eq!(versions(&followed(&service, "bioc-3.16").await, "DESeq2"), "1.38.3");
    assert!(versions(&followed(&service, "bioc-3.22").await, "DESeq2").starts_with("1.50."));
}

#[tokio::test]
async fn a_package_named_alone_brings_what_it_needs_of_both_repositories() {
    let service = service_at(Config::only(&["BiocParallel"]), 1, NOW).await;
    let bioc = followed(&service, "bioc-3.22").await;
    assert_eq!(bioc.records.keys().collect::<Vec<_>>(), ["BiocParallel", "BiocVersion"]);
    let cran = followed(&service, "cran").await;
    for needed in ["futile.logger", "lambda.r", "BH"] {
        assert!(cran.records.contains_key(needed), "{needed}");
    }
}

#[tokio::test]
async fn a_release_that_has_not_come_yet_is_empty_and_fills_on_its_day() {
    let service = service_at(Config::only(&["limma"]), 1, "2026-04-26T12:00:00Z").await;
    let mut follower = followed(&service, "bioc-3.23").await;
    assert!(follower.records.is_empty());
    service.world.clock().advance(std::time::Duration::from_secs(3 * 86_400)).await;
    assert_eq!(follower.follow(&service, "bioc-3.23").await, 3);
    assert_eq!(follower.records.keys().collect::<Vec<_>>(), ["BiocVersion", "limma"]);
}
