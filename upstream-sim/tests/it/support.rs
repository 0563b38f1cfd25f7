//! A service without a port, and a client that follows a feed as [`pkg_formats::psp`] says.

use std::collections::{BTreeMap, HashMap};

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use pkg_formats::psp::{
    self, Checkpoint, CheckpointPage, DeltaEvent, Digest, Head, Index, PythonRecord, RRecord, Root, blob_path,
};
use sim_kit::World;
use sim_kit::host::{HostConfig, in_process};
use sim_kit::world::WorldConfig;
use tower::ServiceExt as _;
use upstream_sim::Config;

pub(crate) struct Service {
    pub(crate) world: World,
    router: Router,
}

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// A service whose clock stands at `now`.
pub(crate) async fn service_at(config: Config, seed: u64, now: &str) -> Service {
    let world = WorldConfig { seed, frozen_at: Some(at(now)), ..WorldConfig::default() };
    let host = HostConfig { world, ..HostConfig::default() };
    let (world, router) = in_process(&upstream_sim::product(config), &host).await.unwrap();
    Service { world, router }
}

/// A few real packages, on the day of the catalogue.
pub(crate) async fn small() -> Service {
    service_at(Config::only(&["httr2", "flask", "uvicorn"]), 1, "2026-11-24T12:00:00Z").await
}

impl Service {
    pub(crate) fn new(world: World, router: Router) -> Self {
        Self { world, router }
    }

    pub(crate) async fn send(&self, request: http::Request<Body>) -> http::Response<Bytes> {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        http::Response::from_parts(parts, body)
    }

    pub(crate) async fn get(&self, path: &str) -> http::Response<Bytes> {
        self.send(http::Request::get(path).body(Body::empty()).unwrap()).await
    }

    /// The body of a successful answer.
    pub(crate) async fn fetch(&self, path: &str) -> Bytes {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}: {:?}", response.body());
        response.into_body()
    }

    pub(crate) async fn blob(&self, digest: &Digest) -> Bytes {
        let bytes = self.fetch(&blob_path(digest)).await;
        assert_eq!(Digest::of(&bytes), *digest);
        bytes
    }

    pub(crate) async fn root(&self) -> Root {
        Root::parse(&self.fetch(psp::ROOT_PATH).await).unwrap()
    }

    pub(crate) async fn head(&self, feed: &str) -> Result<Head, psp::PspError> {
        let root = self.root().await;
        let bytes = self.fetch(&psp::head_path(feed)).await;
        Head::verify(&bytes, &root, feed, self.world.clock().now(), None)
    }
}

/// What a client knows of a feed.
#[derive(Default)]
pub(crate) struct Follower {
    pub(crate) applied: Option<(u64, Digest)>,
    pub(crate) checkpoints: Vec<Checkpoint>,
    pub(crate) records: BTreeMap<String, Bytes>,
    pub(crate) events: Vec<Vec<DeltaEvent>>,
    index: Index,
}

impl Follower {
    /// Applies all checkpoints up to the head, checking everything on the way. How many were applied?
    pub(crate) async fn follow(&mut self, service: &Service, feed: &str) -> usize {
        let applied = self.follow_loosely(service, feed).await;
        for checkpoint in &self.checkpoints {
            assert_eq!(checkpoint.created_at, checkpoint.snapshot_date.and_hms_opt(0, 0, 0).unwrap().and_utc());
        }
        applied
    }

    /// As [`Follower::follow`], of a feed that has checkpoints at all times of the day.
    pub(crate) async fn follow_loosely(&mut self, service: &Service, feed: &str) -> usize {
        let root = service.root().await;
        let now = service.world.clock().now();
        let head = Head::verify(&service.fetch(&psp::head_path(feed)).await, &root, feed, now, self.applied).unwrap();
        let first = self.applied.map_or(1, |(seq, _)| seq + 1);
        let mut refs = HashMap::new();
        let mut page = Some(first / psp::PAGE_SIZE);
        while let Some(number) = page {
            let document = CheckpointPage::parse(&service.fetch(&psp::page_path(feed, number)).await).unwrap();
            refs.extend(document.items.into_iter().map(|item| (item.seq, item)));
            page = document.next;
        }
        for seq in first..=head.seq {
            let parent = self.applied.map(|(_, digest)| digest);
            let item = &refs[&seq];
            let bytes = service.fetch(&psp::checkpoint_path(feed, seq)).await;
            let checkpoint = Checkpoint::verify(&bytes, item.digest, feed, seq, parent).unwrap();
            assert_eq!((checkpoint.created_at, checkpoint.snapshot_date), (item.created_at, item.snapshot_date));
            assert_eq!(checkpoint.created_at.date_naive(), checkpoint.snapshot_date);
            assert!(checkpoint.created_at <= now + chrono::TimeDelta::minutes(1));
            self.apply(service, checkpoint).await;
            self.applied = Some((seq, item.digest));
        }
        assert_eq!(self.applied, Some((head.seq, head.checkpoint)));
        (head.seq + 1 - first) as usize
    }

    async fn apply(&mut self, service: &Service, checkpoint: Checkpoint) {
        let delta = service.blob(&checkpoint.delta.digest).await;
        let mut lines = checkpoint.delta.open("delta", &delta).unwrap();
        let mut events = Vec::new();
        while let Some(event) = lines.next::<DeltaEvent>().unwrap() {
            events.push(event);
        }
        let order: Vec<_> = events.iter().map(|event| (event.name.clone(), event.version.clone())).collect();
        assert!(order.is_sorted(), "events are sorted by name, then version");
        let mut named: Vec<(String, Digest)> = events.iter().map(|event| (event.name.clone(), event.record)).collect();
        named.dedup();

        let mut packed = Vec::new();
        for object in &checkpoint.packs {
            let bytes = service.blob(&object.digest).await;
            let mut lines = object.open("pack", &bytes).unwrap();
            let mut count = 0;
            while let Some(line) = lines.next_line().unwrap() {
                packed.push(Bytes::copy_from_slice(line));
                count += 1;
            }
            assert!(count <= psp::PACK_RECORDS);
        }
        assert_eq!(packed.len(), named.len(), "packs hold what the delta names, and nothing else");
        for ((name, digest), record) in named.into_iter().zip(packed) {
            assert_eq!(Digest::of(&record), digest, "{name}");
            self.index.insert(&name, digest);
            self.records.insert(name, record);
        }
        assert_eq!(self.index.root_digest(), checkpoint.index_root);
        self.events.push(events);
        self.checkpoints.push(checkpoint);
    }

    pub(crate) fn r(&self, name: &str) -> RRecord {
        serde_json::from_slice(&self.records[name]).unwrap()
    }

    pub(crate) fn python(&self, name: &str) -> PythonRecord {
        serde_json::from_slice(&self.records[name]).unwrap()
    }

    pub(crate) fn all_r(&self) -> Vec<RRecord> {
        self.records.values().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect()
    }

    pub(crate) fn all_python(&self) -> Vec<PythonRecord> {
        self.records.values().map(|bytes| serde_json::from_slice(bytes).unwrap()).collect()
    }
}

/// A feed followed to its head.
pub(crate) async fn followed(service: &Service, feed: &str) -> Follower {
    let mut follower = Follower::default();
    follower.follow(service, feed).await;
    follower
}
