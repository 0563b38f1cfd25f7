//! Bundles: from a server with a service to one without, and that nothing in them can be changed.

use std::path::{Path, PathBuf};

use clap::Parser;
use pkgmgr_sim::Config;
use pkgmgr_sim::bundle::{unpack, verify};
use pkgmgr_sim::rspm::{self, Rspm};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

use crate::service::{Service, day};
use crate::{Answer, Team, config, host};

const PACKAGES: &str = "/cran/latest/src/contrib/PACKAGES";

/// A server that can reach nothing.
async fn island() -> Team {
    let nowhere = Service::start().await;
    let config = Config { upstream: "http://127.0.0.1:9".parse().unwrap(), ..config(&nowhere) };
    Team::with(nowhere, config, host()).await
}

async fn exported(team: &Team, query: &str) -> Vec<u8> {
    let answer = team.admin("GET", &format!("/__api__/sync/export{query}"), Value::Null).await;
    assert!(answer.status == 200 && !answer.broke_off, "{answer:?}");
    answer.body
}

async fn import(team: &Team, bundle: Vec<u8>) -> Answer {
    team.send(team.request("POST", "/__api__/sync/import").bearer_auth(team.token()).body(bundle)).await
}

/// The bundle as a folder in `room`.
fn unpacked(room: &Path, bundle: &[u8]) -> PathBuf {
    let (archive, folder) = (room.join("b.tar.gz"), room.join("b"));
    std::fs::write(&archive, bundle).unwrap();
    unpack(&archive, &folder).unwrap();
    folder
}

/// Paths of all files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        for entry in std::fs::read_dir(at).unwrap().map(Result::unwrap) {
            if entry.path().is_dir() { folders.push(entry.path()) } else { found.push(entry.path()) }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_bundle_makes_an_island_serve_the_same() {
    let team = Team::synced().await;
    let island = island().await;
    let answer = import(&island, exported(&team, "").await).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["imported"][0], json!({"source": "cran", "checkpoints": 1, "checkpoint": 1}));
    for path in [
        PACKAGES,
        "/cran/2024-01-05/src/contrib/PACKAGES",
        "/cran/latest/src/contrib/alpha_2.0.tar.gz",
        "/cran/latest/src/contrib/Archive/alpha/alpha_1.0.tar.gz",
        "/cran/latest/bin/linux/noble-x86_64/4.2/src/contrib/beta_0.1.tar.gz",
        "/pypi/latest/simple/alpha-py/",
    ] {
        assert_eq!(island.get(path).await.body, team.get(path).await.body, "{path}");
        assert_eq!(island.get(path).await.status, 200, "{path}");
    }
    // The same once more changes nothing; a later one brings what is new; the earlier one is a step back then.
    let first = exported(&team, "?type=cran").await;
    assert_eq!(import(&island, first.clone()).await.json()["imported"][0]["checkpoints"], 0);
    team.service.r("gamma", "1.0", 15, "");
    team.service.publish(16);
    let second = import(&island, exported(&team, "?type=CRAN").await).await.json();
    assert_eq!(second["imported"], json!([{"source": "cran", "checkpoints": 1, "checkpoint": 2}]));
    assert_eq!(island.get("/cran/latest/src/contrib/gamma_1.0.tar.gz").await.status, 200);
    let back = import(&island, first).await;
    assert_eq!(back.status, 502);
    assert!(back.text().contains("went back from checkpoint 2 to 1"), "{}", back.text());
}

#[tokio::test]
async fn heads_may_expire_on_the_way_and_keys_may_not_change() {
    let team = Team::synced().await;
    team.service.change(|inner| inner.head_expires = day(21));
    let bundle = exported(&team, "?files=false").await;
    let island = island().await;
    island.running.world().clock().advance(std::time::Duration::from_secs(5 * 86_400)).await;
    assert_eq!(import(&island, bundle).await.status, 200);
    // Files were left out, and there is nobody to ask for them.
    assert_eq!(island.get("/cran/latest/src/contrib/alpha_2.0.tar.gz").await.status, 502);
    // Somebody else may have packed the next one.
    team.service.publish(16);
    team.service.change(|inner| inner.other_key = true);
    let forged = exported(&team, "").await;
    let answer = import(&island, forged.clone()).await;
    assert_eq!(answer.status, 502);
    assert!(answer.text().contains("rspm clear --type=cran --confirm"), "{}", answer.text());
    // Unless the administrator says that it is right.
    island.does("POST", "/__api__/sync/clear", json!({"type": "cran", "confirm": true})).await;
    island.does("POST", "/__api__/sync/clear", json!({"type": "pypi", "confirm": true})).await;
    assert_eq!(island.get(PACKAGES).await.status, 404);
    assert_eq!(import(&island, forged).await.status, 200);
    assert_eq!(island.get("/cran/latest/src/contrib/alpha_2.0.tar.gz").await.status, 200);
}

#[tokio::test]
async fn a_folder_takes_the_place_of_the_service() {
    let team = Team::synced().await;
    let room = tempfile::tempdir().unwrap();
    let folder = unpacked(room.path(), &exported(&team, "").await);
    let nowhere = Service::start().await;
    let upstream = url::Url::from_directory_path(&folder).unwrap();
    let island = Team::with(nowhere.clone(), Config { upstream, ..config(&nowhere) }, host()).await;
    island.sync().await;
    for path in [PACKAGES, "/cran/latest/src/contrib/alpha_2.0.tar.gz"] {
        assert_eq!(island.get(path).await.body, team.get(path).await.body, "{path}");
    }
}

#[tokio::test]
async fn a_bundle_that_was_touched_is_refused_with_the_reason() {
    let team = Team::synced().await;
    let bundle = exported(&team, "").await;
    let room = tempfile::tempdir().unwrap();
    let folder = unpacked(room.path(), &bundle);
    assert_eq!(verify(&folder).unwrap().feeds.len(), 2);
    let paths = files(&folder);
    // Whatever byte of whatever file is changed, and whatever file is missing or too much.
    let mut runner =
        TestRunner::new(proptest::test_runner::Config { cases: 200, failure_persistence: None, ..Default::default() });
    let tampering = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0..4_usize, 1..=255_u8);
    runner
        .run(&tampering, |(which, at, how, flip)| {
            let path = which.get(&paths);
            let good = std::fs::read(path).unwrap();
            match how {
                0 => std::fs::remove_file(path).unwrap(),
                1 => std::fs::write(path, &good[..at.index(good.len())]).unwrap(),
                2 => std::fs::write(path.with_extension("more"), b"").unwrap(),
                _ => {
                    let mut bad = good.clone();
                    bad[at.index(good.len())] ^= flip;
                    std::fs::write(path, bad).unwrap();
                }
            }
            let refused = verify(&folder);
            let _ = std::fs::remove_file(path.with_extension("more"));
            std::fs::write(path, good).unwrap();
            let error = refused.err().map(|error| error.to_string());
            prop_assert!(
                error.as_ref().is_some_and(|text| text.contains("bundle") || text.contains("SUMS")),
                "{path:?}: {error:?}"
            );
            Ok(())
        })
        .unwrap();
    assert!(verify(&folder).is_ok(), "and as it was it is good");

    // Who changes the list along is found out by the chain and the signature.
    for (part, reason) in [
        ("cran/head.json", "0 valid signatures"),
        ("cran/checkpoints/1.json", "checkpoint has digest"),
        ("cran/checkpoints/page-0.json", "checkpoint has digest"),
        ("root.json", "not to be believed"),
    ] {
        let path = folder.join("psp/v1").join(part);
        let good = std::fs::read_to_string(&path).unwrap();
        let (from, to) = if part == "root.json" { ("psp/1", "psp/2") } else { ("2024-01-", "2024-02-") };
        std::fs::write(&path, good.replacen(from, to, 1)).unwrap();
        if part.ends_with("page-0.json") {
            let other = good.split("\"digest\":\"").nth(1).unwrap()[..64].to_owned();
            std::fs::write(&path, good.replace(&other, &"0".repeat(64))).unwrap();
        }
        let sums = std::fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
        let digest = pkg_formats::psp::Digest::of(&std::fs::read(&path).unwrap());
        let line = sums.lines().find(|line| line.ends_with(part)).unwrap();
        let patched = sums.replace(line, &format!("{digest}  psp/v1/{part}"));
        std::fs::write(folder.join("SHA256SUMS"), patched).unwrap();
        let error = verify(&folder).unwrap_err().to_string();
        assert!(error.contains(reason), "{part}: {error}");
        std::fs::write(&path, good).unwrap();
        std::fs::write(folder.join("SHA256SUMS"), sums).unwrap();
    }
}

#[tokio::test]
async fn no_archive_harms_the_server() {
    let team = Team::synced().await;
    let bundle = exported(&team, "?type=cran").await;
    let island = island().await;
    for (bytes, reason) in [
        (b"nonsense".to_vec(), "cannot be unpacked"),
        (Vec::new(), "cannot be unpacked"),
        (bundle[..bundle.len() / 2].to_vec(), "cannot be unpacked"),
        (crate::administration::r_package("own", "1.0", ""), "SHA256SUMS"),
    ] {
        let answer = import(&island, bytes).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.json()["error"].as_str().unwrap().contains(reason), "{}", answer.text());
    }
    let mut runner =
        TestRunner::new(proptest::test_runner::Config { cases: 60, failure_persistence: None, ..Default::default() });
    let changes = proptest::collection::vec((any::<prop::sample::Index>(), 1..=255_u8), 1..4);
    let room = tempfile::tempdir().unwrap();
    runner
        .run(&(changes, any::<bool>()), |(changes, cut)| {
            let mut bad = bundle.clone();
            for (at, flip) in changes {
                let at = at.index(bad.len());
                bad[at] ^= flip;
                if cut {
                    bad.truncate(at.max(1));
                }
            }
            let (archive, folder) = (room.path().join("b.tar.gz"), room.path().join("b"));
            std::fs::write(&archive, &bad).unwrap();
            let taken = unpack(&archive, &folder).and_then(|()| verify(&folder));
            if folder.exists() {
                std::fs::remove_dir_all(&folder).unwrap();
            }
            // A flip may fall on what nobody reads, such as the time in a header: then all is still as it was.
            if let Ok(report) = taken {
                prop_assert_eq!((report.feeds[0].packages, report.feeds[0].checkpoint), (2, 1));
            }
            Ok(())
        })
        .unwrap();
    let nobody = island.send(island.request("POST", "/__api__/sync/import").body("x")).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(island.get(PACKAGES).await.status, 404, "nothing was taken");
    let left = std::fs::read_dir(island.running.world().folder("incoming-bundles").unwrap()).unwrap().count();
    assert_eq!(left, 0);
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    rspm: Rspm,
}

async fn run(team: &Team, words: &[&str]) -> Result<String, String> {
    let (address, token) = (team.running.url(), team.token());
    let fixed = ["rspm", "--address", address.as_str(), "--token", token.as_str()];
    let line = Line::try_parse_from([&fixed[..], words].concat()).map_err(|error| error.to_string())?;
    rspm::run(line.rspm).await.map_err(|error| format!("{error:#}"))
}

#[tokio::test]
async fn on_the_command_line() {
    let (team, island) = (Team::synced().await, island().await);
    let room = tempfile::tempdir().unwrap();
    let at = |name: &str| room.path().join(name).to_str().unwrap().to_owned();
    for (name, destination) in [("file", at("b.tar.gz")), ("folder", at("b"))] {
        run(&team, &["export", "--destination", &destination]).await.unwrap();
        let told = run(&island, &["verify", "--path", &destination]).await.unwrap();
        assert!(told.contains("cran: up to 2024-01-15 (checkpoint 1), 2 packages, 6 files"), "{name}: {told}");
        let told = run(&island, &["import", "--path", &destination]).await.unwrap();
        assert!(told.starts_with("Imported cran up to checkpoint 1."), "{name}: {told}");
        let twice = run(&team, &["export", "--destination", &destination]).await.unwrap_err();
        assert!(twice.contains("is there already"), "{twice}");
    }
    std::fs::write(room.path().join("b/psp/v1/root.json"), b"{}").unwrap();
    let refused = run(&island, &["verify", "--path", &at("b")]).await.unwrap_err();
    assert!(refused.contains("root.json in the bundle has the SHA-256"), "{refused}");
    let refused = run(&island, &["import", "--path", &at("b")]).await.unwrap_err();
    assert!(refused.contains("root.json in the bundle has the SHA-256"), "{refused}");
    let refused = run(&island, &["export", "--destination", &at("c")]).await.unwrap_err();
    assert!(refused.contains("127.0.0.1:9") && !room.path().join("c.part").exists(), "{refused}");
    assert_eq!(run(&team, &["sync", "--type=PyPI", "--quiet"]).await.unwrap(), "");
    assert_eq!(run(&team, &["sync", "--no-wait"]).await.unwrap(), "Synchronising CRAN.\n");
    let refused = run(&island, &["clear", "--type=CRAN"]).await.unwrap_err();
    assert!(refused.contains("confirm"), "{refused}");
    run(&island, &["clear", "--type=CRAN", "--confirm"]).await.unwrap();
    assert_eq!(island.get(PACKAGES).await.status, 404);
    run(&island, &["import", "--path", &at("b.tar.gz")]).await.unwrap();
    assert_eq!(island.text(PACKAGES).await, team.text(PACKAGES).await);
}

#[tokio::test]
async fn alerts_tell_of_what_is_refused_or_stale() {
    let team = Team::synced().await;
    let alerts = async || team.get("/__api__/alerts").await.json();
    assert_eq!(alerts().await, json!([]));
    team.running.world().clock().advance(std::time::Duration::from_secs(3 * 86_400)).await;
    let stale = alerts().await;
    assert_eq!((&stale[0]["type"], &stale[0]["source"]), (&json!("sync-stale"), &json!("cran")));
    assert!(stale[0]["message"].as_str().unwrap().contains("the state of 2024-01-15 is served"), "{stale}");
    team.service.change(|inner| inner.forged = true);
    team.refused().await;
    let failed = alerts().await;
    assert_eq!(failed[0]["type"], "sync-failed");
    assert!(failed[0]["message"].as_str().unwrap().contains("valid signatures"), "{failed}");
    team.service.change(|inner| inner.forged = false);
    team.sync().await;
    assert_eq!(alerts().await, json!([]), "nothing new came, but all is well");
    // Every disk is as full as that.
    let service = Service::start().await;
    let config = Config { disk_alert: 0, ..config(&service) };
    let team = Team::with(service, config, host()).await;
    let full = team.get("/__api__/alerts").await.json();
    let told = full.as_array().unwrap().iter().find(|alert| alert["type"] == "disk-usage").unwrap();
    assert!(told["source"].is_null() && told["message"].as_str().unwrap().contains("MiB are left"), "{full}");
    let banner = team.text("/client/view/home").await;
    assert!(banner.contains("The disk of the data folder is full to"), "{banner}");
}

#[tokio::test]
async fn a_feed_that_has_diverged_is_rebuilt_or_cleared() {
    // Deltas that do not add up: the full state does.
    let team = Team::synced().await;
    team.service.change(|inner| inner.incomplete_deltas = true);
    team.service.r("gamma", "1.0", 15, "");
    team.service.r("zeta", "1.0", 15, "");
    team.service.publish(16);
    team.sync().await;
    let packages = team.text(PACKAGES).await;
    assert!(packages.contains("gamma") && packages.contains("zeta"));
    // Another history under the same service: refused, until the administrator clears what came before.
    let other = Service::start().await;
    other.r("omega", "1.0", 2, "");
    other.publish(15);
    other.publish(16);
    other.publish(17);
    team.service.change(|inner| inner.adopt(&other, "cran"));
    assert!(team.refused().await.contains("parent is"));
    assert_eq!(team.text(PACKAGES).await, packages, "the last good state is served on");
    let pinned = team.does("POST", "/__api__/repos/cran/urls", json!({})).await["id"].as_str().unwrap().to_owned();
    let refused = team.admin("POST", "/__api__/sync/clear", json!({"type": "cran", "confirm": false})).await;
    assert_eq!(refused.status, 400);
    team.does("POST", "/__api__/sync/clear", json!({"type": "cran", "confirm": true})).await;
    team.sync().await;
    assert!(team.text(PACKAGES).await.contains("omega"));
    let gone = team.get(&format!("/cran/{pinned}/src/contrib/PACKAGES")).await;
    assert_eq!(gone.status, 404, "a pinned state that was cleared is gone, never another one");
}
