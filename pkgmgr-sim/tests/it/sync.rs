//! Synchronisation, and what is refused. Whatever goes wrong, the last good state is served on.

use std::time::Duration;

use pkg_formats::psp;
use serde_json::json;
use sim_kit::{HostConfig, WorldConfig};

use crate::service::{Service, day};
use crate::{Team, config, host};

const PACKAGES: &str = "/cran/latest/src/contrib/PACKAGES";

#[tokio::test]
async fn days_follow_one_another() {
    let team = Team::synced().await;
    assert_eq!(team.try_sync().await.json()["synced"][0], json!({"source": "cran", "checkpoints": 0, "checkpoint": 1}));
    team.service.r("gamma", "1.0", 15, "");
    team.service.publish(16);
    team.service.publish(17);
    assert_eq!(team.try_sync().await.json()["synced"][0], json!({"source": "cran", "checkpoints": 2, "checkpoint": 3}));
    assert!(team.text(PACKAGES).await.contains("gamma"));
    let status = team.sync_status("cran").await;
    assert_eq!((&status["state"], &status["snapshot_date"]), (&json!("synced"), &json!("2024-01-17")));
}

#[tokio::test]
async fn records_come_one_by_one_when_there_are_no_packs() {
    let service = Service::start().await;
    service.change(|inner| inner.without_packs = true);
    service.r("alpha", "1.0", 2, "");
    service.r("beta", "1.0", 2, "");
    service.publish(15);
    let team = Team::of(service).await;
    team.sync().await;
    assert!(team.text(PACKAGES).await.contains("beta"));
    assert_eq!(team.service.asked("/records/"), 2);
}

#[tokio::test]
async fn a_delta_past_its_retention_is_made_up_for_by_a_full_state() {
    let service = Service::with_packages().await;
    service.r("gamma", "1.0", 15, "");
    service.publish(16);
    service.r("delta", "1.0", 16, "");
    service.publish(17);
    let gone = service.change(|inner| {
        // Both old deltas are gone; the newest is not.
        let seqs = [psp::checkpoint_path("cran", 1), psp::checkpoint_path("cran", 2)];
        seqs.map(|path| inner.checkpoint_delta(&path))
    });
    service.change(|inner| inner.gone.extend(gone.map(|digest| psp::blob_path(&digest))));
    let team = Team::of(service).await;
    team.sync().await;
    let packages = team.text(PACKAGES).await;
    assert!(packages.contains("alpha") && packages.contains("gamma") && packages.contains("delta"));
    // Its history came along.
    assert!(team.text("/cran/2024-01-05/src/contrib/PACKAGES").await.contains("Version: 1.0"));
}

#[tokio::test]
async fn what_cannot_be_believed_is_refused_and_the_last_good_state_stays() {
    let team = Team::synced().await;
    let before = team.text(PACKAGES).await;
    team.service.r("gamma", "1.0", 15, "");

    team.service.change(|inner| inner.forged = true);
    assert!(team.refused().await.contains("carries 0 valid signatures"));
    team.service.change(|inner| inner.forged = false);

    team.service.change(|inner| inner.head_expires = day(19));
    assert!(team.refused().await.contains("the head expired at 2024-01-19"));
    let status = team.sync_status("cran").await;
    assert_eq!(status["state"], "failed");
    assert!(status["error"].as_str().unwrap().contains("expired"), "{status}");
    team.service.change(|inner| inner.head_expires = day(31));

    team.service.change(|inner| inner.service_id = "other".into());
    assert!(team.refused().await.contains("follows the package service test, but other answers"));
    team.service.change(|inner| inner.service_id = "test".into());

    team.service.change(|inner| inner.wrong_index_root = true);
    team.service.publish(16);
    team.service.change(|inner| inner.wrong_index_root = false);
    assert!(team.refused().await.contains("the feed has diverged"));

    assert_eq!(team.text(PACKAGES).await, before);
    let all = team.get("/__api__/sources/cran/transactions?_limit=4").await.json();
    let errors: Vec<&str> = all.as_array().unwrap().iter().map(|t| t["error"].as_str().unwrap()).collect();
    assert!(errors[0].contains("diverged") && errors[3].contains("signatures"), "{errors:?}");
    assert!(all.as_array().unwrap().iter().all(|t| t["result"] == 1));
}

#[tokio::test]
async fn a_feed_that_goes_back_is_refused() {
    let team = Team::synced().await;
    team.service.publish(16);
    team.sync().await;
    team.service.change(|inner| inner.rolled_back = 1);
    assert!(team.refused().await.contains("went back from checkpoint 2 to 1"));
}

#[tokio::test]
async fn a_broken_chain_is_refused() {
    let team = Team::synced().await;
    // Another history under the same service: the second checkpoint has another parent.
    let other = Service::start().await;
    other.r("evil", "1.0", 2, "");
    other.publish(15);
    other.publish(16);
    team.service.change(|inner| inner.adopt(&other, "cran"));
    let reason = team.refused().await;
    assert!(reason.contains("parent is"), "{reason}");
    assert!(!team.text(PACKAGES).await.contains("evil"));
}

#[tokio::test]
async fn broken_links_are_tried_again_and_then_given_up() {
    let service = Service::with_packages().await;
    let team = Team::of(service).await;
    let out = |path: &str, more: serde_json::Value| {
        let mut matcher = json!({"direction": "out", "peer": "package-service", "path": path});
        matcher.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        matcher
    };
    // The service is down.
    team.fault(json!({"id": "f", "match": out("/**", json!({})), "effect": {"kind": "reset"}}));
    assert!(team.refused().await.contains("cut by fault rule f"));
    team.fault(json!({"id": "f", "match": out("/**", json!({})), "effect": {"kind": "status", "status": 503}}));
    assert!(team.refused().await.contains("answers 503"));
    // A byte is flipped in every delta and pack.
    team.fault(json!({"id": "f", "match": out("/**/blobs/**", json!({})), "phase": "after", "effect": {"kind": "corrupt", "at": 30}}));
    assert!(team.refused().await.contains("has digest"));
    team.fault(
        json!({"id": "f", "match": out("/**/checkpoints/1.json", json!({})), "effect": {"kind": "corrupt", "at": 9}}),
    );
    assert!(team.refused().await.contains("checkpoint has digest"));
    // Cut in the middle.
    team.fault(
        json!({"id": "f", "match": out("/**/blobs/**", json!({})), "effect": {"kind": "truncate", "bytes": 40}}),
    );
    assert!(team.refused().await.contains("the answer was cut"));
    assert_eq!(team.get(PACKAGES).await.status, 404);
    // Once is not enough to fail.
    team.fault(json!({"id": "f", "match": out("/**/blobs/**", json!({"times": 2})), "effect": {"kind": "truncate", "bytes": 40}}));
    team.sync().await;
    assert!(team.text(PACKAGES).await.contains("alpha"));
    assert_eq!(team.sync_status("cran").await["error"], json!(null));
}

#[tokio::test]
async fn a_slow_service_is_given_up() {
    let service = Service::with_packages().await;
    let config = pkgmgr_sim::Config { patience: Duration::from_millis(200), ..config(&service) };
    let team = Team::with(service, config, host()).await;
    let slow = json!({"direction": "out", "peer": "package-service", "path": "/**/head.json"});
    team.fault(json!({"id": "f", "match": slow, "effect": {"kind": "latency", "ms": 3_600_000}}));
    assert!(team.refused().await.contains("head.json did not answer within"));
    team.running.world().faults().clear();
    team.sync().await;
}

#[tokio::test]
async fn a_service_without_the_feed_or_with_nonsense() {
    let nonsense = axum::Router::new().fallback(async || "<html>hello</html>");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, nonsense).await });
    let service = Service::start().await;
    let config = pkgmgr_sim::Config { upstream: url.parse().unwrap(), ..config(&service) };
    let team = Team::with(service, config, host()).await;
    assert!(team.refused().await.contains("root.json is malformed"));
    let bad = team.running.url() + "/__api__/sync";
    for (body, reason) in [("{\"source\":\"nothing\"}", "no source"), ("{\"sauce\":1}", "JSON"), ("x", "JSON")] {
        let answer = team.send(reqwest::Client::new().post(&bad).bearer_auth(team.token()).body(body)).await;
        assert!(answer.status.is_client_error() && answer.text().contains(reason), "{answer:?}");
    }
}

#[tokio::test]
async fn it_synchronises_at_the_start_and_at_midnight() {
    let service = Service::with_packages().await;
    let config = pkgmgr_sim::Config::new(service.url());
    let team = Team::with(service, config, host()).await;
    pkgmgr_sim::synced(&team.running.world(), Duration::from_secs(60)).await.unwrap();
    team.service.r("gamma", "1.0", 20, "");
    team.service.publish(21);
    assert!(!team.text(PACKAGES).await.contains("gamma"));
    // The loop waits on the clock once it has gone through both feeds.
    team.running.world().journal().wait_for(0, |e| e.path.ends_with("/pypi/checkpoints/1.json")).await;
    while team.sync_status("pypi").await["succeeded_at"].is_null() {
        tokio::task::yield_now().await;
    }
    team.running.world().clock().advance(Duration::from_secs(18 * 3600)).await;
    while !team.text(PACKAGES).await.contains("gamma") {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_first_synchronisation_that_fails_says_so_to_who_waits() {
    let service = Service::with_packages().await;
    service.change(|inner| inner.forged = true);
    let config = pkgmgr_sim::Config::new(service.url());
    let team = Team::with(service, config, host()).await;
    let error = pkgmgr_sim::synced(&team.running.world(), Duration::from_secs(60)).await.unwrap_err();
    assert!(
        error.to_string().contains("could not be synchronised: the package service is not to be believed"),
        "{error}"
    );
}

#[tokio::test]
async fn what_was_synchronised_is_there_after_a_restart_without_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let kept =
        || HostConfig { world: WorldConfig { data_dir: Some(folder.path().to_owned()), ..host().world }, ..host() };
    let service = Service::with_packages().await;
    let file = "/cran/latest/src/contrib/alpha_2.0.tar.gz";
    let team = Team::with(service.clone(), config(&service), kept()).await;
    team.sync().await;
    let packages = team.text(PACKAGES).await;
    let bytes = team.get(file).await.body;
    let Team { running, service, .. } = team;
    running.stop().await;
    let nobody = pkgmgr_sim::Config { upstream: "http://127.0.0.1:9".parse().unwrap(), ..config(&service) };
    let team = Team::with(service, nobody, kept()).await;
    pkgmgr_sim::synced(&team.running.world(), Duration::ZERO).await.unwrap();
    assert_eq!(team.text(PACKAGES).await, packages);
    assert_eq!(team.get(file).await.body, bytes);
    assert_eq!(team.sync_status("cran").await["state"], "synced");
    assert!(team.refused().await.contains("127.0.0.1:9"));
    assert_eq!(team.text(PACKAGES).await, packages);
}

#[tokio::test]
async fn killed_in_the_middle_it_goes_on() {
    killed_in_the_middle(false).await;
}

#[tokio::test]
async fn killed_while_it_fetches_files_it_goes_on() {
    killed_in_the_middle(true).await;
}

/// The program itself, killed again and again while it synchronises.
async fn killed_in_the_middle(eager: bool) {
    let folder = tempfile::tempdir().unwrap();
    let service = Service::start().await;
    for i in 0..50 {
        service.r(&format!("package{i}"), "1.0", 2, "");
    }
    service.publish(3);
    for on in 4..=12 {
        service.r(&format!("new{on}"), "1.0", on - 1, "");
        service.publish(on);
    }
    let team = Team::with(service.clone(), config(&service), host()).await;
    let start = || {
        tokio::process::Command::new(env!("CARGO_BIN_EXE_pkgmgr-sim"))
            .args([
                "--port",
                "0",
                "--upstream",
                service.url().as_str(),
                "--freeze",
                "2024-01-20T06:00:00Z",
                "--cran-sync-mode",
                if eager { "eager" } else { "lazy" },
                "--data-dir",
            ])
            .arg(folder.path())
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    };
    // Killed each time it has asked for one more checkpoint's records.
    for pack in 1..=9 {
        let before = service.asked("/blobs/");
        let mut child = start();
        let far = if eager { 12 } else { pack.min(3) };
        while service.asked("/blobs/") < before + far {
            tokio::task::yield_now().await;
        }
        child.kill().await.unwrap();
    }
    let mut child = start();
    let url = {
        use tokio::io::{AsyncBufReadExt as _, BufReader};
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some(address) = line.strip_prefix("Starting HTTP server on ") {
                break format!("http://{address}");
            }
        }
    };
    let get = async |path: &str| {
        let answer = team.send(reqwest::Client::new().get(format!("{url}{path}"))).await;
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    // A source is synced when both feeds were gone through.
    loop {
        let status: serde_json::Value = serde_json::from_str(&get("/__api__/status").await.1).unwrap();
        if status["sync"][0]["snapshot_date"] == "2024-01-12" && status["sync"][1]["snapshot_date"] == "2024-01-12" {
            break;
        }
        tokio::task::yield_now().await;
    }
    // Exactly what one that was never killed has.
    team.sync().await;
    for path in [PACKAGES, "/cran/2024-01-08/src/contrib/PACKAGES", "/__api__/repos/cran/transaction-dates"] {
        let ours = team.get(path).await;
        let (status, text) = get(path).await;
        assert_eq!(status, 200);
        if path.starts_with("/cran") {
            assert_eq!(text, ours.text(), "{path}");
        } else {
            let dates = |text: &str| -> Vec<String> {
                let all: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
                all.iter().map(|d| d["alias"].as_str().unwrap().to_owned()).collect()
            };
            assert_eq!(dates(&text), dates(ours.text()));
        }
    }
    if eager {
        while !get("/__api__/status").await.1.contains(r#""state":"synced""#) {
            tokio::task::yield_now().await;
        }
        let asked = service.asked("/blobs/");
        let packages = get(PACKAGES).await.1;
        for name in packages.lines().filter_map(|line| line.strip_prefix("Package: ")) {
            assert_eq!(
                team.send(reqwest::Client::new().get(format!("{url}/cran/latest/src/contrib/{name}_1.0.tar.gz")))
                    .await
                    .status,
                200
            );
        }
        assert_eq!(service.asked("/blobs/"), asked, "all files were here");
        let left = std::fs::read_dir(folder.path().join("package-manager/world-0/incoming-packages")).unwrap().count();
        assert_eq!(left, 0, "and nothing half-fetched");
    }
    child.kill().await.unwrap();
}
