//! A package service in the hands of a test: it publishes what the test says, on the dates that the test says, and can be told to
//! misbehave.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ed25519_dalek::SigningKey;
use http::StatusCode;
use pkg_formats::archive::{Compression, File, Files, gzip};
use pkg_formats::dcf::{self, Record};
use pkg_formats::psp::{
    self, Artifact, ArtifactKind, BiocRecord, Checkpoint, CheckpointPage, CheckpointRef, Counts, DeltaEvent, Digest,
    DocumentRecord, Encoding, FeedInfo, FeedKind, FullLine, Head, Index, Key, Object, Op, PythonFile, PythonRecord,
    RRecord, RState, RVersion, Root,
};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::wheel::WheelSpec;
use pkg_formats::r::binary::{BinarySpec, Built};
use pkg_formats::r::source::{self, SourceSpec};
use sim_kit::serve_bytes::{Content, serve};

/// 00:00 UTC of a day of January 2024.
pub(crate) fn day(day: u32) -> DateTime<Utc> {
    date(day).and_hms_opt(0, 0, 0).unwrap().and_utc()
}

/// Noon of a day of January 2024.
pub(crate) fn noon(day: u32) -> DateTime<Utc> {
    self::day(day) + TimeDelta::hours(12)
}

fn date(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2024, 1, day).unwrap()
}

/// The service. Clones share it.
#[derive(Clone)]
pub(crate) struct Service(Arc<Mutex<Inner>>, SocketAddr);

#[derive(Default)]
struct Feed {
    r: BTreeMap<String, RRecord>,
    python: BTreeMap<String, PythonRecord>,
    /// Where packages of Bioconductor lie.
    components: BTreeMap<String, &'static str>,
    documents: BTreeMap<String, DocumentRecord>,
    /// As of the last checkpoint.
    state: BTreeMap<String, Digest>,
    checkpoints: Vec<(Digest, Bytes, NaiveDate)>,
}

pub(crate) struct Inner {
    feeds: HashMap<&'static str, Feed>,
    documents: HashMap<String, Bytes>,
    /// Paths asked for.
    pub(crate) asked: Vec<String>,
    pub(crate) service_id: String,
    pub(crate) head_expires: DateTime<Utc>,
    /// Answered with 410.
    pub(crate) gone: BTreeSet<String>,
    pub(crate) without_packs: bool,
    pub(crate) wrong_index_root: bool,
    /// Flips a bit of the signature.
    pub(crate) forged: bool,
    /// Signs with another key, and names it as its own.
    pub(crate) other_key: bool,
    /// Deltas leave out the last record; full states do not.
    pub(crate) incomplete_deltas: bool,
    /// Heads are of this many checkpoints less.
    pub(crate) rolled_back: usize,
}

fn key(other: bool) -> SigningKey {
    SigningKey::from_bytes(&[if other { 8 } else { 9 }; 32])
}

impl Service {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let inner = Inner {
            feeds: HashMap::from([("cran", Feed::default()), ("pypi", Feed::default())]),
            documents: HashMap::new(),
            asked: Vec::new(),
            service_id: "test".into(),
            head_expires: day(31) + TimeDelta::days(3650),
            gone: BTreeSet::new(),
            without_packs: false,
            wrong_index_root: false,
            forged: false,
            other_key: false,
            incomplete_deltas: false,
            rolled_back: 0,
        };
        let this = Self(Arc::new(Mutex::new(inner)), listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(this.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        this
    }

    /// One with `alpha` (1.0 on the 2nd, 2.0 on the 10th, a dependency on `beta` from then on), `beta` (0.1 on the 3rd), and the
    /// Python projects `alpha-py` (1.0 on the 2nd, 2.0 on the 10th, 3.0 on the 12th, yanked on the 14th) and `beta` (an sdist, on
    /// the 3rd), published up to the 15th.
    pub(crate) async fn with_packages() -> Self {
        let this = Self::start().await;
        this.r("alpha", "1.0", 2, "");
        this.r("alpha", "2.0", 10, "Imports: beta\n");
        this.r("beta", "0.1", 3, "");
        this.wheel("alpha-py", "1.0", 2, &[]);
        this.wheel("alpha-py", "2.0", 10, &["beta"]);
        this.wheel("alpha-py", "3.0", 12, &[]);
        this.yank("alpha-py", 2, 14);
        this.sdist("beta", "0.1", 3);
        this.publish(15);
        this
    }

    pub(crate) fn url(&self) -> url::Url {
        format!("http://{}", self.1).parse().unwrap()
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap())
    }

    /// How often a path with `part` in it was asked for.
    pub(crate) fn asked(&self, part: &str) -> usize {
        self.change(|inner| inner.asked.iter().filter(|path| path.contains(part)).count())
    }

    pub(crate) fn blob(&self, bytes: Vec<u8>) -> Digest {
        let digest = Digest::of(&bytes);
        self.change(|inner| inner.documents.insert(psp::blob_path(&digest), bytes.into()));
        digest
    }

    /// Takes a blob away.
    pub(crate) fn lose(&self, digest: &Digest) {
        self.change(|inner| inner.documents.remove(&psp::blob_path(digest)));
    }

    /// Puts other bytes under the name of a blob.
    pub(crate) fn spoil(&self, digest: &Digest, bytes: Vec<u8>) {
        self.change(|inner| inner.documents.insert(psp::blob_path(digest), bytes.into()));
    }

    /// Offers one more feed.
    pub(crate) fn offer(&self, feed: &'static str) {
        self.change(|inner| inner.feeds.insert(feed, Feed::default()));
    }

    /// A version of a package of Bioconductor.
    pub(crate) fn bioc(&self, feed: &'static str, component: &'static str, name: &str, version: &str, on: u32) {
        self.r_in(feed, name, version, on, "");
        self.change(|inner| inner.feeds.get_mut(feed).unwrap().components.insert(name.to_owned(), component));
    }

    /// A document that came on a day.
    pub(crate) fn document(&self, feed: &'static str, name: &str, document: serde_json::Value, on: u32) {
        let record = DocumentRecord { changed_at: noon(on), document, name: name.to_owned(), removed_at: None };
        self.change(|inner| inner.feeds.get_mut(feed).unwrap().documents.insert(name.to_owned(), record));
    }

    /// Takes a document away.
    pub(crate) fn withdraw(&self, feed: &'static str, name: &str, on: u32) {
        self.change(|inner| {
            let record = inner.feeds.get_mut(feed).unwrap().documents.get_mut(name).unwrap();
            (record.changed_at, record.removed_at) = (noon(on), Some(noon(on)));
        });
    }

    /// A version of an R package with its source and a binary for R 4.2 on every distribution; archives the one before.
    pub(crate) fn r(&self, name: &str, version: &str, on: u32, fields: &str) -> Digest {
        self.r_in("cran", name, version, on, fields)
    }

    fn r_in(&self, feed: &'static str, name: &str, version: &str, on: u32, fields: &str) -> Digest {
        let mut description: Record = source::description(name, version, "A package");
        for (field, value) in dcf::parse(fields).unwrap().iter().flat_map(Record::iter) {
            description.set(field, value);
        }
        let code = format!("version <- function() '{version}'\n");
        let files = Files::from([
            ("NAMESPACE".to_owned(), File::from("export(version)\n")),
            ("R/code.R".to_owned(), File::from(code.as_str())),
        ]);
        let spec = SourceSpec { description: description.clone(), files };
        let binary = BinarySpec {
            description: description.clone(),
            namespace: "export(version)\n".into(),
            code,
            files: Files::new(),
            built: Built {
                r: "4.2.0".parse().unwrap(),
                platform: String::new(),
                time: "2024-01-01 00:00:00 UTC".into(),
                os: "unix",
            },
        };
        let artifact = |kind, bytes: Vec<u8>, r: Option<&str>| Artifact {
            arch: r.map(|_| "*".into()),
            filename: format!("{name}_{version}.tar.gz"),
            kind,
            md5: String::new(),
            r: r.map(str::to_owned),
            size: bytes.len() as u64,
            sha256: self.blob(bytes),
            tag: r.map(|_| "*".into()),
        };
        let artifacts = vec![
            artifact(ArtifactKind::Source, spec.tar_gz().unwrap(), None),
            artifact(ArtifactKind::Linux, binary.tar_gz().unwrap(), Some("4.2")),
        ];
        let digest = artifacts[0].sha256;
        self.change(|inner| {
            let records = &mut inner.feeds.get_mut(feed).unwrap().r;
            let record = records.entry(name.to_owned()).or_insert_with(|| RRecord {
                name: name.to_owned(),
                removed_at: None,
                versions: vec![],
            });
            if let Some(last) = record.versions.last_mut() {
                last.archived_at = last.archived_at.or(Some(noon(on)));
            }
            record.versions.push(RVersion {
                archived_at: None,
                artifacts,
                description: dcf::write(&[description]),
                published_at: noon(on),
                readme: None,
                readme_type: None,
                state: RState::Current,
                version: version.to_owned(),
            });
        });
        digest
    }

    pub(crate) fn change_r(&self, name: &str, change: impl FnOnce(&mut RRecord)) {
        self.change(|inner| change(inner.feeds.get_mut("cran").unwrap().r.get_mut(name).unwrap()));
    }

    /// Changes a record if there is one.
    pub(crate) fn try_change_r(&self, name: &str, change: impl FnOnce(&mut RRecord)) {
        self.change(|inner| inner.feeds.get_mut("cran").unwrap().r.get_mut(name).map(change));
    }

    /// Changes a record if there is one.
    pub(crate) fn try_change_python(&self, name: &str, change: impl FnOnce(&mut PythonRecord)) {
        self.change(|inner| inner.feeds.get_mut("pypi").unwrap().python.get_mut(name).map(change));
    }

    /// A wheel with its metadata.
    pub(crate) fn wheel(&self, name: &str, version: &str, on: u32, requires: &[&str]) -> Digest {
        let metadata = Metadata {
            requires_dist: requires.iter().map(|r| (*r).to_owned()).collect(),
            requires_python: Some(">=3.8".into()),
            ..Metadata::new(name, version)
        };
        let module = name.replace('-', "_");
        let files = Files::from([(format!("{module}.py"), File::from(format!("version = '{version}'\n")))]);
        let wheel = WheelSpec::new(metadata, files);
        let metadata = self.blob(wheel.metadata_text().into_bytes());
        self.python(name, version, on, wheel.file_name().unwrap(), wheel.zip().unwrap(), Some(metadata))
    }

    pub(crate) fn sdist(&self, name: &str, version: &str, on: u32) -> Digest {
        let module = name.replace('-', "_");
        let files = Files::from([(format!("{module}.py"), File::from(format!("version = '{version}'\n")))]);
        let sdist = SdistSpec { metadata: Metadata::new(name, version), files };
        self.python(name, version, on, sdist.file_name().unwrap(), sdist.tar_gz().unwrap(), None)
    }

    /// Yanks the nth file of a project.
    pub(crate) fn yank(&self, name: &str, nth: usize, on: u32) {
        self.change(|inner| {
            let record = inner.feeds.get_mut("pypi").unwrap().python.get_mut(name).unwrap();
            record.files[nth].yanked = Some("broken <badly>".into());
            record.files[nth].yanked_at = Some(noon(on));
        });
    }

    pub(crate) fn python(
        &self,
        name: &str,
        version: &str,
        on: u32,
        filename: String,
        bytes: Vec<u8>,
        metadata_sha256: Option<Digest>,
    ) -> Digest {
        let size = bytes.len() as u64;
        let sha256 = self.blob(bytes);
        self.change(|inner| {
            let records = &mut inner.feeds.get_mut("pypi").unwrap().python;
            let record = records.entry(name.to_owned()).or_insert_with(|| PythonRecord {
                files: vec![],
                last_serial: 0,
                license: Some("MIT".into()),
                name: name.to_owned(),
                project: name.to_owned(),
                removed_at: None,
                summary: format!("The project {name}"),
            });
            record.last_serial += 1;
            record.files.push(PythonFile {
                filename,
                metadata_sha256,
                requires_python: Some(">=3.8".into()),
                sha256,
                size,
                upload_time: noon(on),
                version: version.to_owned(),
                yanked: None,
                yanked_at: None,
            });
        });
        sha256
    }

    /// A checkpoint of both feeds for a day of January.
    pub(crate) fn publish(&self, on: u32) {
        self.publish_feed("cran", on);
        self.publish_feed("pypi", on);
    }

    pub(crate) fn publish_feed(&self, feed: &'static str, on: u32) {
        let t = day(on);
        self.change(|inner| {
            let Feed { r, python, components, documents, state, checkpoints } = &inner.feeds[feed];
            let mut records: BTreeMap<String, Bytes> = BTreeMap::new();
            for record in r.values().cloned() {
                let Some(package) = r_before(record, t) else { continue };
                let name = package.name.clone();
                let json = match components.get(&name) {
                    Some(component) => psp::canonical_json(&BiocRecord { component: (*component).to_owned(), package }),
                    None => psp::canonical_json(&package),
                };
                records.insert(name, json.into());
            }
            for record in documents.values().filter(|record| record.changed_at < t) {
                records.insert(record.name.clone(), psp::canonical_json(record).into());
            }
            for record in python.values().cloned() {
                records.extend(python_before(record, t).map(|r| (r.name.clone(), psp::canonical_json(&r).into())));
            }
            let new: Vec<(String, Digest, Bytes)> = records
                .into_iter()
                .map(|(name, bytes)| (name, Digest::of(&bytes), bytes))
                .filter(|(name, digest, _)| state.get(name) != Some(digest))
                .collect();
            let mut state = state.clone();
            state.extend(new.iter().map(|(name, digest, _)| (name.clone(), *digest)));
            let mut index = Index::default();
            for (name, digest) in &state {
                index.insert(name, *digest);
            }
            let told = new.len() - usize::from(inner.incomplete_deltas && !new.is_empty());
            let delta: Vec<u8> = lines(new[..told].iter().map(|(name, record, _)| {
                psp::canonical_json(&DeltaEvent {
                    name: name.clone(),
                    op: Op::Update,
                    record: *record,
                    version: "1".into(),
                })
            }));
            let full = lines(
                state
                    .iter()
                    .map(|(name, record)| psp::canonical_json(&FullLine { name: name.clone(), record: *record })),
            );
            let pack = lines(new[..told].iter().map(|(_, _, bytes)| bytes.to_vec()));
            let documents = &mut inner.documents;
            let mut object = |plain: &[u8]| {
                let bytes = gzip(plain, Compression::Deflate);
                let object = Object {
                    digest: Digest::of(&bytes),
                    encoding: Encoding::Gzip,
                    plain_size: plain.len() as u64,
                    size: bytes.len() as u64,
                };
                documents.insert(psp::blob_path(&object.digest), bytes.into());
                object
            };
            let seq = checkpoints.len() as u64 + 1;
            let checkpoint = Checkpoint {
                counts: Counts::default(),
                created_at: t,
                delta: object(&delta),
                feed: feed.to_owned(),
                full: Some(object(&full)),
                index_root: if inner.wrong_index_root { Digest::of(b"") } else { index.root_digest() },
                packs: if inner.without_packs || new.is_empty() { vec![] } else { vec![object(&pack)] },
                parent: checkpoints.last().map(|(digest, ..)| *digest),
                seq,
                snapshot_date: date(on),
            };
            for (_, digest, bytes) in new {
                documents.insert(psp::record_path(&digest), bytes);
            }
            let bytes = Bytes::from(psp::canonical_json(&checkpoint));
            documents.insert(psp::checkpoint_path(feed, seq), bytes.clone());
            let feed = inner.feeds.get_mut(feed).unwrap();
            feed.state = state;
            feed.checkpoints.push((Digest::of(&bytes), bytes, date(on)));
        });
    }
}

fn lines(lines: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    lines
        .flat_map(|mut line| {
            line.push(b'\n');
            line
        })
        .collect()
}

fn r_before(mut record: RRecord, t: DateTime<Utc>) -> Option<RRecord> {
    record.versions.retain(|v| v.published_at < t);
    record.removed_at = record.removed_at.filter(|at| *at < t);
    for version in &mut record.versions {
        version.archived_at = version.archived_at.filter(|at| *at < t);
        version.state = if version.archived_at.is_some() { RState::Archived } else { RState::Current };
    }
    (!record.versions.is_empty()).then_some(record)
}

fn python_before(mut record: PythonRecord, t: DateTime<Utc>) -> Option<PythonRecord> {
    record.files.retain(|f| f.upload_time < t);
    record.removed_at = record.removed_at.filter(|at| *at < t);
    for file in &mut record.files {
        file.yanked_at = file.yanked_at.filter(|at| *at < t);
        file.yanked = file.yanked.take().filter(|_| file.yanked_at.is_some());
    }
    (!record.files.is_empty()).then_some(record)
}

async fn answer(State(service): State<Service>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let body = service.change(|inner| {
        inner.asked.push(path.clone());
        if inner.gone.contains(&path) {
            return Err(StatusCode::GONE);
        }
        document(inner, &path).ok_or(StatusCode::NOT_FOUND)
    });
    match body {
        Ok(bytes) => {
            let content = Content::bytes(bytes, "application/octet-stream");
            serve(request.method(), request.headers(), content).await.unwrap()
        }
        Err(status) => status.into_response(),
    }
}

fn document(inner: &Inner, path: &str) -> Option<Bytes> {
    if path == psp::ROOT_PATH {
        let feed = |name: &&str| FeedInfo {
            history_from: date(1),
            kind: match *name {
                "pypi" => FeedKind::Python,
                "sysreqs" | "distros" | "vulns" => FeedKind::Documents,
                _ => FeedKind::R,
            },
            name: (*name).to_owned(),
            on_demand: false,
        };
        return Some(
            psp::canonical_json(&Root {
                feeds: inner.feeds.keys().map(feed).collect(),
                keys: vec![Key::of(&key(inner.other_key), day(1) + TimeDelta::days(36_500))],
                protocol: psp::PROTOCOL.into(),
                service_id: inner.service_id.clone(),
                threshold: 1,
            })
            .into(),
        );
    }
    for (name, feed) in &inner.feeds {
        let offered = feed.checkpoints.len().checked_sub(inner.rolled_back)?;
        if path == psp::head_path(name) {
            let (checkpoint, ..) = feed.checkpoints.get(offered.checked_sub(1)?)?;
            let mut head = Head {
                checkpoint: *checkpoint,
                expires_at: inner.head_expires,
                feed: (*name).to_owned(),
                issued_at: day(1),
                seq: offered as u64,
                service_id: inner.service_id.clone(),
                signatures: vec![],
            }
            .sign(&key(inner.other_key));
            if inner.forged {
                head.issued_at = day(2);
            }
            return Some(psp::canonical_json(&head).into());
        }
        if path == psp::page_path(name, 0) {
            let items = feed.checkpoints.iter().zip(1..).map(|((digest, _, date), seq)| CheckpointRef {
                created_at: day(1),
                digest: *digest,
                seq,
                snapshot_date: *date,
            });
            return Some(psp::canonical_json(&CheckpointPage { items: items.collect(), next: None }).into());
        }
    }
    inner.documents.get(path).cloned()
}

impl Inner {
    /// The bytes at `path`.
    pub(crate) fn document(&self, path: &str) -> Vec<u8> {
        self.documents[path].to_vec()
    }

    /// The delta of the checkpoint document at `path`.
    pub(crate) fn checkpoint_delta(&self, path: &str) -> Digest {
        serde_json::from_slice::<Checkpoint>(&self.documents[path]).unwrap().delta.digest
    }

    /// Takes over the feed of another service, as if its history had always been ours.
    pub(crate) fn adopt(&mut self, other: &Service, feed: &'static str) {
        other.change(|other| {
            let theirs = &other.feeds[feed];
            let ours = self.feeds.get_mut(feed).unwrap();
            ours.checkpoints = theirs.checkpoints.clone();
            self.documents.extend(other.documents.clone());
        });
    }
}
