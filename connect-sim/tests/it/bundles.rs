//! Uploads, good and bad.

use connect_sim::Config;
use connect_sim::config::Limits;
use connect_sim::input::checksum;
use futures_util::stream;
use pkg_formats::archive::{self, Compression, gzip};
use serde_json::{Value, json};

use super::app::{TestApp, bundle, static_bundle};
use super::index::Index;

/// Every file below the folders of a world, blobs included.
fn files(app: &TestApp) -> Vec<std::path::PathBuf> {
    let root = app.world.folder("unpacked").unwrap().parent().unwrap().to_owned();
    let mut folders = vec![root];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    // Not of bundles: the database, and what is about to be written to it.
    files.retain(|path| !path.parent().unwrap().ends_with("recorded"));
    files.retain(|path| !path.file_name().unwrap().to_string_lossy().starts_with("db.sqlite"));
    files
}

#[tokio::test]
async fn an_upload_comes_back_as_it_was() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.create("bundles").await;
    let path = format!("/v1/content/{guid}/bundles");
    let bytes = static_bundle("x");
    let made = publisher.upload(&guid, bytes.clone()).await.ok();
    insta::assert_json_snapshot!("bundle", made);
    let id = made["id"].as_str().unwrap();
    let download = publisher.get(&format!("{path}/{id}/download")).await;
    assert_eq!((download.header("content-type"), download.body.to_vec()), ("application/gzip", bytes.clone()));

    // In chunks, as rsconnect-python sends it.
    let pieces: Vec<_> = bytes.chunks(7).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect();
    let body = axum::body::Body::from_stream(stream::iter(pieces));
    let chunked = publisher.raw("POST", &path, &[], body).await.ok();
    assert_eq!(chunked["size"], bytes.len());

    let form = |parts: &[(&str, &[u8])]| {
        let mut body = Vec::new();
        for (name, bytes) in parts {
            let head = format!("--b0b\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"f\"\r\n\r\n");
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(b"--b0b--\r\n");
        body
    };
    let multipart = [("content-type", "multipart/form-data; boundary=b0b")];
    let metadata = br#"{"source":"git","source_commit":"abc-dirty","extra":1}"#;
    let body = form(&[("archive", &bytes), ("metadata", metadata)]);
    let made = publisher.raw("POST", &path, &multipart, body.into()).await.ok();
    assert_eq!((&made["metadata"]["source"], &made["metadata"]["extra"]), (&json!("git"), &json!("1")));
    for (parts, code) in [
        (form(&[("metadata", metadata)]), 28),
        (form(&[("archive", &bytes), ("metadata", b"[]")]), 87),
        (form(&[("archive", &bytes), ("other", b"x")]), 2),
        (form(&[("archive", &bytes)])[..200].to_vec(), 87),
    ] {
        assert_eq!(publisher.raw("POST", &path, &multipart, parts.into()).await.code(), (400, code));
    }

    let ids = |list: Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|b| b["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(publisher.get(&path).await.ok()), ["3", "2", "1"]);
    assert_eq!(ids(publisher.get(&format!("{path}?page_size=1&page_number=2")).await.ok()), ["2"]);
    assert_eq!(ids(publisher.get(&format!("{path}?asc_order=true")).await.ok()), ["1", "2", "3"]);

    publisher.deploy(&guid, &json!({"bundle_id": "1"})).await;
    assert_eq!(publisher.get(&format!("{path}/1")).await.ok()["active"], true);
    assert_eq!(publisher.delete(&format!("{path}/1")).await.code(), (400, 75));
    assert_eq!(publisher.delete(&format!("{path}/2")).await.status, 204);
    assert_eq!(publisher.get(&format!("{path}/2")).await.code(), (404, 4));
    assert_eq!(publisher.get(&format!("{path}/1/download")).await.body.len(), bytes.len(), "equal bytes are shared");
    let other = publisher.create("other").await;
    assert_eq!(publisher.get(&format!("/v1/content/{other}/bundles/1")).await.code(), (404, 4));
}

#[tokio::test]
async fn checksums_are_compared() {
    let app = TestApp::new().await;
    let guid = app.publisher().create("checksum").await;
    let path = format!("/v1/content/{guid}/bundles");
    let bytes = static_bundle("x");
    let good = [("x-content-checksum", checksum(&bytes))];
    let send = |sum: String| {
        let (publisher, path, bytes) = (app.publisher(), path.clone(), bytes.clone());
        async move { publisher.raw("POST", &path, &[("x-content-checksum", &sum)], bytes.into()).await }
    };
    assert_eq!(send(checksum(b"y")).await.code(), (400, 104));
    assert_eq!(files(&app), Vec::<std::path::PathBuf>::new());
    assert_eq!(send(good[0].1.clone()).await.status, 200);
}

/// A tar entry of any kind and path, which no honest writer makes.
fn entry(path: &str, kind: u8, link: &str, size: u64) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header.to_vec()
}

fn archive_of(entries: &[Vec<u8>]) -> Vec<u8> {
    let manifest = br#"{"version":1,"metadata":{"appmode":"static"}}"#;
    let mut tar = entry("manifest.json", b'0', "", manifest.len() as u64);
    tar.extend_from_slice(manifest);
    tar.resize(1024, 0);
    entries.iter().for_each(|entry| tar.extend_from_slice(entry));
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar, Compression::Deflate)
}

#[tokio::test]
async fn bad_archives_leave_nothing() {
    let limits = Limits {
        bundle_bytes: 100_000,
        archive: archive::Limits { total_bytes: 100 << 20, ..archive::Limits::default() },
        ..Limits::default()
    };
    let app = TestApp::with(Config { limits, ..Config::default() }).await;
    let guid = app.publisher().create("bad").await;
    let good = static_bundle("x");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    let mut bomb = entry("zeros", b'0', "", 80 << 20);
    bomb.resize(512 + (80 << 20), 0);
    let manifest = |text: &str| bundle(&Value::Null, &[("manifest.json", text)]);
    let cases: Vec<(&str, Vec<u8>, (u16, i64))> = vec![
        ("empty", Vec::new(), (400, 135)),
        ("no gzip", b"hello, this is no archive".to_vec(), (400, 135)),
        ("cut short", good[..good.len() / 2].to_vec(), (400, 135)),
        ("flipped", flipped, (400, 135)),
        ("gzip of nonsense", gzip(&[7; 4096], Compression::Deflate), (400, 135)),
        ("parent", archive_of(&[entry("../../etc/x", b'0', "", 0)]), (400, 135)),
        ("absolute", archive_of(&[entry("/etc/x", b'0', "", 0)]), (400, 135)),
        ("symlink", archive_of(&[entry("x", b'2', "/etc/passwd", 0)]), (400, 135)),
        ("hard link", archive_of(&[entry("x", b'1', "manifest.json", 0)]), (400, 135)),
        ("device", archive_of(&[entry("x", b'3', "", 0)]), (400, 135)),
        ("fifo", archive_of(&[entry("x", b'6', "", 0)]), (400, 135)),
        ("bomb", archive_of(&[bomb]), (400, 135)),
        ("too large", vec![0; 100_001], (413, 125)),
        ("no manifest", bundle(&Value::Null, &[("index.html", "x")]), (400, 38)),
        ("manifest is no JSON", manifest("{"), (400, 38)),
        ("manifest without mode", manifest(r#"{"version":1,"metadata":{}}"#), (400, 38)),
        ("unknown mode", manifest(r#"{"version":1,"metadata":{"appmode":"cobol"}}"#), (400, 148)),
    ];
    for (name, bytes, expected) in cases {
        assert_eq!(app.publisher().upload(&guid, bytes).await.code(), expected, "{name}");
    }
    let broken = stream::iter([Ok(vec![0x1f, 0x8b]), Err(std::io::Error::other("cut"))]);
    let path = format!("/v1/content/{guid}/bundles");
    let cut = app.publisher().raw("POST", &path, &[], axum::body::Body::from_stream(broken)).await;
    assert_eq!(cut.code(), (400, 87));
    assert_eq!(app.publisher().get(&path).await.ok(), json!([]));
    assert_eq!(files(&app), Vec::<std::path::PathBuf>::new());
}

#[tokio::test]
async fn locked_content_takes_no_bundle_and_no_deploy() {
    let app = TestApp::new().await;
    let guid = app.publisher().publish("locked", static_bundle("x")).await;
    let lock = json!({"locked": true, "locked_message": "Under repair"});
    app.publisher().patch(&format!("/v1/content/{guid}"), &lock).await.ok();
    assert_eq!(app.publisher().upload(&guid, static_bundle("y")).await.code(), (409, 222));
    assert_eq!(app.publisher().post(&format!("/v1/content/{guid}/deploy"), &json!({})).await.code(), (409, 222));
    let visit = app.publisher().get(&format!("/content/{guid}/")).await;
    assert_eq!(visit.code(), (403, 223));
    assert!(app.publisher().page(&format!("/content/{guid}/")).await.text().contains("Under repair"));
}

#[tokio::test]
async fn a_bundle_is_fetched_from_where_it_is() {
    let index = Index::start().await;
    index.put("/bundle.tar.gz".to_owned(), "application/gzip", static_bundle("fetched"));
    index.put("/page".to_owned(), "text/html", b"<p>".to_vec());
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.create("fetched").await;
    let path = format!("/v1/content/{guid}/bundles");
    let from = |url: String| {
        let url: String = url::form_urlencoded::byte_serialize(url.as_bytes()).collect();
        let (publisher, path) = (publisher.clone(), path.clone());
        async move { publisher.raw("POST", &format!("{path}?url={url}"), &[], Default::default()).await }
    };
    let made = from(format!("{}/bundle.tar.gz", index.url)).await.ok();
    assert_eq!(made["size"], static_bundle("fetched").len());
    assert_eq!(publisher.deploy(&guid, &json!({})).await["code"], 0);
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "fetched");
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"url\"\r\n\r\n{}/bundle.tar.gz\r\n--b\r\n\
         Content-Disposition: form-data; name=\"metadata\"\r\n\r\n{{\"source\":\"url\"}}\r\n--b--\r\n",
        index.url
    );
    let head = [("content-type", "multipart/form-data; boundary=b")];
    assert_eq!(publisher.raw("POST", &path, &head, form.into()).await.ok()["metadata"]["source"], "url");

    for (url, code) in [
        ("ftp://h/x".to_owned(), 232),
        ("file:///etc/passwd".to_owned(), 232),
        ("x".to_owned(), 232),
        (format!("{}/none", index.url), 233),
        ("http://127.0.0.1:9/".to_owned(), 233),
        (format!("{}/page", index.url), 135),
    ] {
        assert_eq!(from(url.clone()).await.code(), (400, code), "{url}");
    }
    let small = Config { limits: Limits { bundle_bytes: 10, ..Limits::default() }, ..Config::default() };
    let small = TestApp::with(small).await.publisher();
    let guid = small.create("small").await;
    let path = format!("/v1/content/{guid}/bundles?url={}/bundle.tar.gz", index.url);
    assert_eq!(small.raw("POST", &path, &[], Default::default()).await.code(), (413, 125));
    // Releases that know nothing of it take the body for the archive.
    let old = TestApp::with(Config { version: "2024.09.0".parse().unwrap(), ..Config::default() }).await.publisher();
    let guid = old.create("old").await;
    let path = format!("/v1/content/{guid}/bundles?url={}/bundle.tar.gz", index.url);
    assert_eq!(old.raw("POST", &path, &[], Default::default()).await.code(), (400, 135));
}
