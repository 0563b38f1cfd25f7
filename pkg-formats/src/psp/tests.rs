use std::io::Write as _;

use chrono::NaiveDate;
use ed25519_dalek::SigningKey;

use super::*;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).unwrap()
}

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn root() -> Root {
    Root {
        feeds: vec![FeedInfo {
            history_from: NaiveDate::from_ymd_opt(2017, 10, 10).unwrap(),
            kind: FeedKind::R,
            name: "cran".into(),
            on_demand: false,
        }],
        keys: vec![Key::of(&key(), at(5000))],
        protocol: PROTOCOL.into(),
        service_id: "s".into(),
        threshold: 1,
    }
}

fn head() -> Head {
    Head {
        checkpoint: Digest::of(b"c"),
        expires_at: at(2000),
        feed: "cran".into(),
        issued_at: at(1000),
        seq: 9,
        service_id: "s".into(),
        signatures: vec![],
    }
}

fn object() -> Object {
    Object { digest: Digest::of(b""), encoding: Encoding::Gzip, plain_size: 1, size: 2 }
}

#[test]
fn derived_json_is_canonical() {
    fn check<T: Serialize>(document: &T) {
        assert_eq!(
            String::from_utf8(serde_json::to_vec(document).unwrap()).unwrap(),
            String::from_utf8(canonical_json(document)).unwrap()
        );
    }
    check(&root());
    check(&head().sign(&key()));
    check(&CheckpointPage {
        items: vec![CheckpointRef {
            created_at: at(1),
            digest: Digest::of(b""),
            seq: 1,
            snapshot_date: NaiveDate::MIN,
        }],
        next: None,
    });
    check(&Checkpoint {
        counts: Counts::default(),
        created_at: at(1),
        delta: object(),
        feed: "cran".into(),
        full: Some(object()),
        index_root: Digest::of(b""),
        packs: vec![object()],
        parent: None,
        seq: 1,
        snapshot_date: NaiveDate::MIN,
    });
    check(&DeltaEvent { name: "a".into(), op: Op::Add, record: Digest::of(b""), version: "1".into() });
    check(&FullLine { name: "a".into(), record: Digest::of(b"") });
    let file = VsxFile { asset: VSIX.into(), sha256: Digest::of(b""), size: 1 };
    check(&VsxRecord {
        categories: vec!["Other".into()],
        display_name: "A".into(),
        extension_dependencies: vec![],
        license: None,
        name: "p.a".into(),
        publisher: "P".into(),
        removed_at: None,
        summary: "s".into(),
        versions: vec![VsxVersion {
            engine: "*".into(),
            files: vec![file],
            pre_release: false,
            published_at: at(1),
            target_platform: "universal".into(),
            version: "1.0.0".into(),
        }],
    });
    check(&RRecord {
        name: "a".into(),
        removed_at: None,
        versions: vec![RVersion {
            archived_at: None,
            artifacts: vec![Artifact {
                arch: None,
                filename: "a".into(),
                kind: ArtifactKind::Source,
                md5: String::new(),
                r: None,
                sha256: Digest::of(b""),
                size: 1,
                tag: None,
            }],
            description: "Package: a\n".into(),
            published_at: at(1),
            readme: None,
            readme_type: None,
            state: RState::Current,
            version: "1".into(),
        }],
    });
    check(&PythonRecord {
        files: vec![PythonFile {
            filename: "a".into(),
            metadata_sha256: None,
            requires_python: None,
            sha256: Digest::of(b""),
            size: 1,
            upload_time: at(1),
            version: "1".into(),
            yanked: None,
            yanked_at: None,
        }],
        last_serial: 1,
        license: None,
        name: "a".into(),
        project: "A".into(),
        removed_at: None,
        summary: "s".into(),
    });
    check(&BiocRecord {
        component: "bioc".into(),
        package: RRecord { name: "a".into(), removed_at: None, versions: vec![] },
    });
    check(&DocumentRecord { changed_at: at(1), document: Value::Null, name: "a".into(), removed_at: None });
    check(&SysreqsRule {
        applies_to: vec![],
        installs: vec![SysreqsInstall {
            on: BTreeMap::new(),
            packages: vec![],
            post_install: vec![],
            pre_install: vec![],
        }],
        name: "a".into(),
        words: vec![],
    });
    check(&Distro {
        arch: vec![],
        binaries: true,
        code: "jammy".into(),
        display: "Ubuntu".into(),
        distribution: "ubuntu".into(),
        hidden: false,
        install_command: None,
        name: "jammy".into(),
        os: "linux".into(),
        release: "22.04".into(),
        sysreqs: true,
    });
    check(&Vulnerability {
        affected: vec![Affected {
            package: AffectedPackage { ecosystem: "PyPI".into(), name: "a".into() },
            ranges: vec![AffectedRange { events: vec![], kind: "ECOSYSTEM".into() }],
        }],
        aliases: vec![],
        database_specific: DatabaseSpecific { base_score_tenths: 98, invented: true },
        details: String::new(),
        id: "a".into(),
        modified: at(1),
        published: at(1),
        severity: vec![Severity { score: String::new(), kind: "CVSS_V3".into() }],
        summary: String::new(),
        withdrawn: Some(at(2)),
    });
    let mut index = Index::default();
    for name in ["b", "a", "c"] {
        index.insert(name, Digest::of(b""));
    }
    for document in (0..=255).map(|shard| index.shard_json(shard)).chain([index.clone().root_json()]) {
        let value: Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document, canonical_json(&value));
    }
}

#[test]
fn what_is_newer_is_read_and_left_alone() {
    let mut newer = serde_json::to_value(root()).unwrap();
    newer["feeds"][0]["kind"] = "holograms".into();
    newer["feeds"][0]["depth"] = 3.into();
    assert_eq!(Root::parse(newer.to_string().as_bytes()).unwrap().feeds[0].kind, FeedKind::Other);
    assert_eq!(serde_json::from_str::<ArtifactKind>("\"wasm\"").unwrap(), ArtifactKind::Other);
    let record = serde_json::json!({"component": "books", "name": "a", "removed_at": null, "versions": []});
    let bioc: BiocRecord = serde_json::from_value(record.clone()).unwrap();
    assert_eq!(bioc.package, serde_json::from_value::<RRecord>(record).unwrap());
}

#[test]
fn keys_are_sorted_at_every_depth() {
    let value = serde_json::json!({"b": [{"z": 1, "a": "é\n"}], "a": null});
    assert_eq!(canonical_json(&value), "{\"a\":null,\"b\":[{\"a\":\"é\\n\",\"z\":1}]}".as_bytes());
}

#[test]
fn a_signed_head_is_believed_until_it_expires() {
    let bytes = canonical_json(&head().sign(&key()));
    let verify = |now, applied| Head::verify(&bytes, &root(), "cran", at(now), applied);
    assert_eq!(verify(1500, None).unwrap().seq, 9);
    assert!(matches!(verify(2000, None), Err(PspError::Expired { .. })));
    assert!(matches!(verify(1500, Some((10, Digest::of(b"")))), Err(PspError::Rollback { applied: 10, offered: 9 })));
    assert!(matches!(verify(1500, Some((9, Digest::of(b"")))), Err(PspError::Diverged { seq: 9 })));
    assert!(verify(1500, Some((9, Digest::of(b"c")))).is_ok());
    assert!(matches!(
        Head::verify(&bytes, &root(), "pypi", at(1500), None),
        Err(PspError::Unexpected { field: "feed", .. })
    ));
}

#[test]
fn any_change_of_a_head_breaks_its_signature() {
    let signed = head().sign(&key());
    let good = String::from_utf8(canonical_json(&signed)).unwrap();
    for (from, to) in
        [("\"seq\":9", "\"seq\":8"), ("1970-01-01T00:33:20Z", "1970-01-01T00:43:20Z"), ("{\"c", "{\"a\":1,\"c")]
    {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good);
        let result = Head::verify(bad.as_bytes(), &root(), "cran", at(1500), None);
        assert!(matches!(result, Err(PspError::Unsigned { valid: 0, threshold: 1 })), "{bad}");
    }
    let mut twice = signed.clone();
    twice.signatures.push(signed.signatures[0].clone());
    let mut strict = root();
    strict.threshold = 2;
    let result = Head::verify(&canonical_json(&twice), &strict, "cran", at(1500), None);
    assert!(matches!(result, Err(PspError::Unsigned { valid: 1, threshold: 2 })));
    let mut old = root();
    old.keys[0].expires_at = at(1400);
    let result = Head::verify(good.as_bytes(), &old, "cran", at(1500), None);
    assert!(matches!(result, Err(PspError::Unsigned { .. })));
}

#[test]
fn a_checkpoint_must_be_the_one_named_and_follow_its_parent() {
    let checkpoint = Checkpoint {
        counts: Counts::default(),
        created_at: at(1),
        delta: object(),
        feed: "cran".into(),
        full: None,
        index_root: Digest::of(b""),
        packs: vec![],
        parent: Some(Digest::of(b"p")),
        seq: 2,
        snapshot_date: NaiveDate::MIN,
    };
    let bytes = canonical_json(&checkpoint);
    let digest = Digest::of(&bytes);
    let parent = checkpoint.parent;
    assert_eq!(Checkpoint::verify(&bytes, digest, "cran", 2, parent).unwrap(), checkpoint);
    let err = Checkpoint::verify(&bytes, digest, "cran", 2, None).unwrap_err();
    assert!(matches!(err, PspError::Unexpected { field: "parent", .. }), "{err}");
    let err = Checkpoint::verify(&bytes, digest, "cran", 3, parent).unwrap_err();
    assert!(matches!(err, PspError::Unexpected { field: "seq", .. }), "{err}");
    let err = Checkpoint::verify(&bytes, Digest::of(b""), "cran", 2, parent).unwrap_err();
    assert!(matches!(err, PspError::DigestMismatch { .. }), "{err}");
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn named(bytes: &[u8], plain_size: u64) -> Object {
    Object { digest: Digest::of(bytes), encoding: Encoding::Gzip, plain_size, size: bytes.len() as u64 }
}

#[test]
fn an_object_is_read_line_by_line() {
    let plain = format!("{{\"name\":\"a\",\"record\":\"{}\"}}\n[]\n", Digest([0; 32]));
    let bytes = gzip(plain.as_bytes());
    let object = named(&bytes, plain.len() as u64);
    let mut lines = object.open("full", &bytes).unwrap();
    assert_eq!(lines.next::<FullLine>().unwrap().unwrap().name, "a");
    assert!(matches!(lines.next::<FullLine>(), Err(PspError::Malformed { what: "full", .. })));
    assert!(lines.next_line().unwrap().is_none());
}

#[test]
fn an_object_that_is_not_what_was_promised_is_refused() {
    let bytes = gzip(&[b'x'; 100_000]);
    let mut flipped = bytes.clone();
    flipped[20] ^= 1;
    let object = named(&bytes, 100);
    assert!(matches!(object.open("delta", &flipped), Err(PspError::DigestMismatch { .. })));
    assert!(matches!(object.open("delta", &bytes[1..]), Err(PspError::SizeMismatch { .. })));
    // A bomb: it unpacks to more than it says.
    let err = object.open("delta", &bytes).unwrap().next_line().unwrap_err();
    assert!(matches!(err, PspError::SizeMismatch { expected: 100, found: 101, .. }), "{err}");
    // Less than it says.
    let longer = named(&bytes, 100_001);
    let mut lines = longer.open("delta", &bytes).unwrap();
    assert_eq!(lines.next_line().unwrap().map(<[u8]>::len), Some(100_000));
    assert!(matches!(lines.next_line(), Err(PspError::SizeMismatch { .. })));
    // Broken compression under a right digest.
    let cut = &bytes[..bytes.len() - 12];
    let object = named(cut, 100_000);
    let mut lines = object.open("delta", cut).unwrap();
    assert!((0..3).any(|_| lines.next_line().is_err()));
}

#[test]
fn the_index_root_depends_on_content_not_on_order() {
    let mut a = Index::default();
    let mut b = Index::default();
    for name in ["x", "y", "z"] {
        a.insert(name, Digest::of(name.as_bytes()));
    }
    let _ = a.root_digest();
    for name in ["z", "x", "y"] {
        b.insert(name, Digest::of(name.as_bytes()));
    }
    assert_eq!(a.root_digest(), b.root_digest());
    b.insert("x", Digest::of(b"new"));
    assert_ne!(a.root_digest(), b.root_digest());
    assert_eq!(b.entries().iter().map(|e| e.0).collect::<Vec<_>>(), ["x", "y", "z"]);
    assert_eq!(b.get("x"), Some(Digest::of(b"new")));
    assert_eq!(b.len(), 3);
}

proptest::proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
        let _ = Root::parse(&bytes);
        let _ = Head::verify(&bytes, &root(), "cran", at(1), None);
        let _ = CheckpointPage::parse(&bytes);
        let _ = Checkpoint::verify(&bytes, Digest::of(&bytes), "cran", 1, None);
        if let Ok(mut lines) = named(&bytes, 1000).open("delta", &bytes) {
            while let Ok(Some(_)) = lines.next::<DeltaEvent>() {}
        }
    }
}
