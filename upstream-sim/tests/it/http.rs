//! HEAD, ranges, conditions, caching, errors.

use axum::body::Body;
use base64::Engine as _;
use http::Request;
use pkg_formats::psp::{self, Digest};

use crate::support::{followed, small};

#[tokio::test]
async fn digests_name_immutable_bytes() {
    let service = small().await;
    let record = followed(&service, "pypi").await.python("flask");
    let file = record.files.last().unwrap();
    let path = psp::blob_path(&file.sha256);
    let whole = service.get(&path).await;
    assert_eq!(whole.status(), 200);
    assert_eq!(whole.body().len() as u64, file.size);
    let headers = whole.headers();
    assert_eq!(headers["etag"], format!("\"sha256:{}\"", file.sha256).as_str());
    assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
    assert_eq!(headers["accept-ranges"], "bytes");
    let base64 = base64::engine::general_purpose::STANDARD.encode(file.sha256.0);
    assert_eq!(headers["repr-digest"], format!("sha-256=:{base64}:").as_str());
    assert!(!headers.contains_key("content-encoding"));

    let head = service.send(Request::head(&path).body(Body::empty()).unwrap()).await;
    assert_eq!(head.status(), 200);
    assert!(head.body().is_empty());
    for name in ["etag", "content-length", "content-type", "repr-digest", "accept-ranges", "cache-control"] {
        assert_eq!(head.headers()[name], headers[name], "{name}");
    }

    let ask = async |name: &str, value: &str, extra: Option<(&str, &str)>| {
        let mut request = Request::get(&path).header(name, value);
        if let Some((name, value)) = extra {
            request = request.header(name, value);
        }
        service.send(request.body(Body::empty()).unwrap()).await
    };
    let part = ask("range", "bytes=10-19", None).await;
    assert_eq!(part.status(), 206);
    assert_eq!(part.body(), &whole.body()[10..20]);
    assert_eq!(part.headers()["content-range"], format!("bytes 10-19/{}", file.size).as_str());
    let tail = ask("range", "bytes=-22", None).await;
    assert!(tail.body().starts_with(b"PK\x05\x06"), "the end of a zip file");
    assert_eq!(ask("range", "bytes=999999999-", None).await.status(), 416);
    assert_eq!(ask("range", "bytes=0-1", Some(("if-range", "\"sha256:other\""))).await.status(), 200);
    let etag = headers["etag"].to_str().unwrap();
    assert_eq!(ask("range", "bytes=0-1", Some(("if-range", etag))).await.status(), 206);
    let same = ask("if-none-match", etag, None).await;
    assert_eq!(same.status(), 304);
    assert!(same.body().is_empty());
}

#[tokio::test]
async fn named_documents_are_revalidated() {
    let service = small().await;
    for (path, cache) in [
        (psp::ROOT_PATH.to_owned(), "public, max-age=3600"),
        (psp::head_path("cran"), "public, max-age=60"),
        (psp::page_path("cran", 0), "public, max-age=60"),
        (psp::checkpoint_path("cran", 1), "public, max-age=31536000, immutable"),
    ] {
        let response = service.get(&path).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(response.headers()["cache-control"], cache, "{path}");
        let value: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(psp::canonical_json(&value), response.body().as_ref(), "{path} is canonical");
        let request = Request::get(&path).header("if-none-match", &response.headers()["etag"]);
        assert_eq!(service.send(request.body(Body::empty()).unwrap()).await.status(), 304, "{path}");
    }
}

#[tokio::test]
async fn a_head_keeps_its_etag_for_a_while() {
    let service = small().await;
    let first = service.get(&psp::head_path("cran")).await;
    service.world.clock().advance(std::time::Duration::from_secs(300)).await;
    let second = service.get(&psp::head_path("cran")).await;
    assert_eq!(first.headers()["etag"], second.headers()["etag"]);
    service.world.clock().advance(std::time::Duration::from_secs(600)).await;
    assert_ne!(first.headers()["etag"], service.get(&psp::head_path("cran")).await.headers()["etag"]);
}

#[tokio::test]
async fn errors_are_problems_that_say_what_is_wrong() {
    let service = small().await;
    let nothing = Digest::of(b"nothing").to_string();
    let upper = nothing.to_ascii_uppercase();
    for (path, status, says) in [
        ("/".to_owned(), 404, "root.json"),
        ("/psp/v1/bioc/head.json".to_owned(), 404, "no feed `bioc`"),
        (psp::checkpoint_path("cran", 0), 404, "newest checkpoint is 24"),
        (psp::checkpoint_path("cran", 25), 404, "newest checkpoint is 24"),
        (psp::page_path("cran", 1), 404, "newest checkpoint is 24"),
        (psp::page_path("cran", u64::MAX), 404, "newest checkpoint is 24"),
        ("/psp/v1/cran/checkpoints/1.xml".to_owned(), 404, "no such checkpoint"),
        (format!("/psp/v1/blobs/sha256/{}/{nothing}", &nothing[..2]), 404, "nothing is stored"),
        (format!("/psp/v1/records/sha256/zz/{nothing}"), 400, "not a digest"),
        (format!("/psp/v1/blobs/sha256/{}/{upper}", &upper[..2]), 400, "not a digest"),
        ("/psp/v1/index/sha256/ab/abc".to_owned(), 400, "not a digest"),
    ] {
        let response = service.get(&path).await;
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["content-type"], "application/problem+json", "{path}");
        let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        assert_eq!(problem["status"], status);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{path}: {problem}");
    }
}

#[tokio::test]
async fn a_digest_is_found_on_its_own_shelf_only() {
    let service = small().await;
    let follower = followed(&service, "cran").await;
    let record = follower.events[0][0].record;
    assert_eq!(service.get(&psp::record_path(&record)).await.status(), 200);
    assert_eq!(service.get(&psp::blob_path(&record)).await.status(), 404);
    assert_eq!(service.get(&psp::index_path(&record)).await.status(), 404);
}
