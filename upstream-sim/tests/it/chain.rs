//! Checkpoints, and what hangs on them.

use std::time::Duration;

use pkg_formats::psp::{self, Digest, FullLine, IndexRoot, Op, shard_of};
use upstream_sim::Config;

use crate::support::{Follower, at, followed, service_at, small};

const DAY: Duration = Duration::from_secs(86_400);

#[tokio::test]
async fn a_client_follows_both_feeds_from_the_beginning() {
    let service = small().await;
    for feed in ["cran", "pypi"] {
        let follower = followed(&service, feed).await;
        // From 2026-11-01 to 2026-11-24, one a day.
        assert_eq!(follower.checkpoints.len(), 24);
        assert_eq!(follower.checkpoints[0].snapshot_date.to_string(), "2026-11-01");
        assert_eq!(follower.checkpoints[23].snapshot_date.to_string(), "2026-11-24");
        assert!(follower.events[0].iter().all(|event| event.op == Op::Add));
        assert_eq!(follower.checkpoints[0].counts.added, follower.events[0].len() as u64);
        assert!(follower.checkpoints[0].full.is_some());
        assert!(follower.checkpoints[1].full.is_none());
    }
}

#[tokio::test]
async fn the_same_seed_gives_the_same_history_and_another_seed_another() {
    let config = || Config { cran_packages: 200, pypi_packages: 300, ..Config::only(&["httr2", "flask"]) };
    let now = "2026-11-03T00:00:00Z";
    let (a, b) = (service_at(config(), 5, now).await, service_at(config(), 5, now).await);
    let c = service_at(config(), 6, now).await;
    assert_eq!(a.root().await, b.root().await);
    assert_ne!(a.root().await.service_id, c.root().await.service_id);
    assert_ne!(a.root().await.keys, c.root().await.keys);
    for feed in ["cran", "pypi"] {
        assert_eq!(a.head(feed).await.unwrap(), b.head(feed).await.unwrap());
        assert_ne!(a.head(feed).await.unwrap().checkpoint, c.head(feed).await.unwrap().checkpoint);
    }
}

#[tokio::test]
async fn a_later_start_continues_the_same_history() {
    let config = || Config { cran_packages: 400, ..Config::only(&["httr2"]) };
    let mut early = followed(&service_at(config(), 1, "2026-11-20T08:00:00Z").await, "cran").await;
    // Another process, started ten days later.
    let later = service_at(config(), 1, "2026-11-30T08:00:00Z").await;
    assert_eq!(early.follow(&later, "cran").await, 10);
    assert_eq!(early.applied, followed(&later, "cran").await.applied);
}

#[tokio::test]
async fn every_day_that_passes_brings_a_checkpoint_with_that_days_events() {
    let config = Config { cran_packages: 600, pypi_packages: 900, ..Config::only(&["httr2", "flask"]) };
    let service = service_at(config, 1, "2026-11-24T12:00:00Z").await;
    for feed in ["cran", "pypi"] {
        let mut follower = followed(&service, feed).await;
        assert_eq!(follower.follow(&service, feed).await, 0);
    }
    let mut cran = followed(&service, "cran").await;
    let mut pypi = followed(&service, "pypi").await;
    service.world.clock().advance(30 * DAY).await;
    for follower in [&mut cran, &mut pypi] {
        let feed = follower.checkpoints[0].feed.clone();
        assert_eq!(follower.follow(&service, &feed).await, 30);
        let new: usize = follower.events[24..].iter().map(Vec::len).sum();
        assert!(new > 20, "{new} events of {feed} in a month");
        assert!(follower.events[24..].iter().flatten().any(|event| event.op == Op::Update));
        assert!(follower.checkpoints[49].full.is_some(), "every fiftieth checkpoint has the full state");
    }
    // A checkpoint of day D knows what came before D, and nothing else.
    for record in cran.all_r() {
        assert!(record.versions.iter().all(|version| version.published_at < at("2026-12-24T00:00:00Z")));
    }
    let newest = cran.all_r().iter().flat_map(|r| r.versions.iter().map(|v| v.published_at)).max().unwrap();
    assert!(newest > at("2026-12-20T00:00:00Z"), "{newest}");
}

#[tokio::test]
async fn full_states_and_index_documents_agree_with_the_deltas() {
    let config = Config { cran_packages: 300, ..Config::only(&["Matrix"]) };
    let service = service_at(config, 1, "2026-12-22T00:00:00Z").await;
    let follower = followed(&service, "cran").await;
    let last = &follower.checkpoints[51];
    let fiftieth = &follower.checkpoints[49];
    let object = fiftieth.full.as_ref().unwrap();
    let bytes = service.blob(&object.digest).await;
    let mut lines = object.open("full", &bytes).unwrap();
    let mut names = Vec::new();
    while let Some(line) = lines.next::<FullLine>().unwrap() {
        let record = service.fetch(&psp::record_path(&line.record)).await;
        assert_eq!(Digest::of(&record), line.record);
        names.push(line.name);
    }
    assert!(names.is_sorted());
    let added: u64 = follower.checkpoints[..50].iter().map(|checkpoint| checkpoint.counts.added).sum();
    assert_eq!(names.len() as u64, added);

    for checkpoint in [&follower.checkpoints[0], last] {
        let root = service.fetch(&psp::index_path(&checkpoint.index_root)).await;
        assert_eq!(Digest::of(&root), checkpoint.index_root);
        let root: IndexRoot = serde_json::from_slice(&root).unwrap();
        assert_eq!(root.shards.len(), 256);
        let shard = root.shards[usize::from(shard_of("Matrix"))];
        let shard = service.fetch(&psp::index_path(&shard)).await;
        let shard: std::collections::BTreeMap<String, Digest> = serde_json::from_slice(&shard).unwrap();
        let record = service.fetch(&psp::record_path(&shard["Matrix"])).await;
        assert!(record.starts_with(b"{\"name\":\"Matrix\""));
    }
}

#[tokio::test]
async fn a_reset_world_signs_the_same_history() {
    let product = upstream_sim::product(Config::only(&["R6", "six"]));
    let host = sim_kit::host::HostConfig::default();
    let running = sim_kit::Host::start(product, host).await.unwrap();
    let client = sim_kit::http_client::Link::new(&running.world(), "package-service").client().clone();
    let ask = async || {
        let url = format!("{}{}", running.url(), psp::checkpoint_path("cran", 1));
        client.get(url).send().await.unwrap().bytes().await.unwrap()
    };
    let before = ask().await;
    running.reset().await.unwrap();
    assert_eq!(before, ask().await);
    running.stop().await;
}

#[tokio::test]
async fn the_clock_may_stand_before_the_first_checkpoint() {
    let config = Config { daily_from: at("2026-01-01T00:00:00Z").date_naive().into(), ..Config::only(&["R6"]) };
    let service = service_at(config, 1, "2025-12-31T23:59:59Z").await;
    let response = service.get(&psp::head_path("cran")).await;
    assert_eq!(response.status(), 404);
    assert!(String::from_utf8_lossy(response.body()).contains("begins on 2026-01-01"));
    service.world.clock().advance(Duration::from_secs(1)).await;
    let mut follower = Follower::default();
    assert_eq!(follower.follow(&service, "cran").await, 1);
}
