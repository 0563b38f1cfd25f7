//! Package files that are fetched when somebody asks for them.

use pkg_formats::psp::Digest;
use pkgmgr_sim::Config;
use serde_json::json;

use crate::service::Service;
use crate::{Team, config, host};

/// A Python file of this size, published; and where it is served.
async fn with_file(size: usize) -> (Team, String, Vec<u8>, Digest) {
    let service = Service::start().await;
    let bytes: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
    let digest = service.python("big", "1.0", 2, "big-1.0.tar.gz".into(), bytes.clone(), None);
    service.r("alpha", "1.0", 2, "");
    service.publish(15);
    let team = Team::of(service).await;
    team.sync().await;
    (team, format!("/pypi/latest/packages/{digest}/big-1.0.tar.gz"), bytes, digest)
}

fn blobs(effect: &serde_json::Value, times: u64) -> serde_json::Value {
    json!({
        "match": {"direction": "out", "peer": "package-service", "path": "/**/blobs/**", "times": times},
        "phase": "after",
        "effect": effect,
    })
}

#[tokio::test]
async fn however_many_ask_it_is_fetched_once() {
    let (team, path, bytes, digest) = with_file(3_000_000).await;
    let answers = futures_util::future::join_all((0..100).map(|_| team.get(&path))).await;
    for answer in answers {
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-length"), bytes.len().to_string());
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert!(answer.body == bytes);
    }
    assert_eq!(team.service.asked(&digest.to_string()), 1);
    // And kept.
    team.service.lose(&digest);
    assert!(team.get(&path).await.body == bytes);
}

#[tokio::test]
async fn parts_of_what_is_not_here_yet_come_from_one_fetch_of_the_whole() {
    let (team, path, bytes, digest) = with_file(1_000_000).await;
    let ranges = ["bytes=0-9", "bytes=-10", "bytes=500000-500009", "bytes=999999-"];
    let asked = ranges.iter().map(|range| async { (*range, team.get_with(&path, &[("range", range)]).await) });
    for (range, answer) in futures_util::future::join_all(asked).await {
        let expected = match range {
            "bytes=0-9" => &bytes[..10],
            "bytes=-10" => &bytes[999_990..],
            "bytes=999999-" => &bytes[999_999..],
            _ => &bytes[500_000..500_010],
        };
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.header("content-range").ends_with("/1000000"), "{range}");
        assert!(answer.body == expected, "{range}");
    }
    assert_eq!(team.get_with(&path, &[("range", "bytes=1000000-")]).await.status, 416);
    assert_eq!(team.service.asked(&digest.to_string()), 1);
}

#[tokio::test]
async fn an_r_package_that_many_ask_for_is_fetched_and_stamped_once() {
    let (team, ..) = with_file(10).await;
    let asked = team.service.asked("/blobs/");
    let path = "/cran/latest/src/contrib/alpha_1.0.tar.gz";
    let answers = futures_util::future::join_all((0..100).map(|_| team.get(path))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    assert_eq!(team.service.asked("/blobs/"), asked + 1);
}

#[tokio::test]
async fn nothing_is_fetched_for_a_head() {
    let (team, path, bytes, digest) = with_file(100_000).await;
    let head = team.head(&path).await;
    assert_eq!((head.status.as_u16(), head.header("content-length")), (200, bytes.len().to_string().as_str()));
    assert_eq!(team.service.asked(&digest.to_string()), 0);
}

#[tokio::test]
async fn a_file_with_a_flipped_byte_never_arrives_whole() {
    let (team, path, bytes, digest) = with_file(3_000_000).await;
    team.fault(blobs(&json!({"kind": "corrupt", "at": 1_000_000}), 1));
    let answer = team.get(&path).await;
    assert!(answer.status == 502 || answer.broke_off, "{}", answer.status);
    assert!(answer.body.len() < bytes.len());
    // It was thrown away, and the next one is good.
    let answer = team.get(&path).await;
    assert!(answer.status == 200 && answer.body == bytes);
    assert_eq!(team.service.asked(&digest.to_string()), 2);
}

#[tokio::test]
async fn known_before_the_first_byte_the_answer_is_502() {
    let (team, path, bytes, digest) = with_file(1_000).await;
    let mut flipped = bytes.clone();
    flipped[10] ^= 1;
    team.service.spoil(&digest, flipped);
    let answer = team.get(&path).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("has the SHA-256"), "{}", answer.text());
    team.service.spoil(&digest, [bytes.as_slice(), b"more"].concat());
    assert!(team.get(&path).await.text().contains("larger than it should be"));
    team.service.lose(&digest);
    assert!(team.get(&path).await.text().contains("answers 404"));
    team.fault(blobs(&json!({"kind": "status", "status": 503}), 100));
    assert!(team.get(&path).await.text().contains("answers 503"));
    assert_eq!(team.get_with(&path, &[("range", "bytes=0-9")]).await.status, 502);
    team.running.world().faults().clear();
    team.service.spoil(&digest, bytes.clone());
    assert_eq!(team.get(&path).await.body, bytes);
}

#[tokio::test]
async fn a_download_that_is_cut_goes_on_where_it_was() {
    let (team, path, bytes, digest) = with_file(3_000_000).await;
    team.fault(blobs(&json!({"kind": "truncate", "bytes": 1_000_000}), 2));
    let answer = team.get(&path).await;
    assert!(answer.status == 200 && !answer.broke_off && answer.body == bytes);
    assert_eq!(team.service.asked(&digest.to_string()), 3);
    // A link that stays cut.
    let (team, path, bytes, _) = with_file(3_000_000).await;
    team.fault(blobs(&json!({"kind": "truncate", "bytes": 100_000}), 100));
    let answer = team.get(&path).await;
    assert!(answer.broke_off && answer.body.len() < bytes.len());
    team.running.world().faults().clear();
    assert!(team.get(&path).await.body == bytes);
}

#[tokio::test]
async fn an_r_package_that_cannot_be_had_is_502() {
    let (team, ..) = with_file(10).await;
    team.fault(blobs(&json!({"kind": "reset"}), 100));
    let answer = team.get("/cran/latest/src/contrib/alpha_1.0.tar.gz").await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("the package service does not provide this file"), "{}", answer.text());
    team.running.world().faults().clear();
    assert_eq!(team.get("/cran/latest/src/contrib/alpha_1.0.tar.gz").await.status, 200);
}

#[tokio::test]
async fn redirects_for_what_is_not_here() {
    let service = Service::start().await;
    let digest = service.sdist("beta", "0.1", 3);
    let source = service.r("alpha", "1.0", 2, "");
    service.publish(15);
    let config = Config { redirect_mode: true, ..config(&service) };
    let team = Team::with(service, config, host()).await;
    team.sync().await;
    for (path, digest) in [
        (format!("/pypi/latest/packages/{digest}/beta-0.1.tar.gz"), digest),
        ("/cran/latest/src/contrib/alpha_1.0.tar.gz".to_owned(), source),
    ] {
        let answer = team.get(&path).await;
        assert_eq!(answer.status, 307, "{path}");
        assert!(answer.header("location").starts_with(team.service.url().as_str()));
        assert!(answer.header("location").ends_with(&digest.to_string()));
        assert_eq!(team.head(&path).await.status, 200);
    }
}
