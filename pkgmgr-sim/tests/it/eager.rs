//! Schedules, and the eager mode.

use std::time::Duration;

use pkgmgr_sim::Config;
use pkgmgr_sim::sync::eager::Mode;

use crate::service::Service;
use crate::{Team, config, host};

fn eager(service: &Service) -> Config {
    let mut config = config(service);
    config.cran.mode = Mode::Eager;
    config.pypi.mode = Mode::Eager;
    config
}

/// Everything that [`Service::with_packages`] publishes, whatever the platform.
const FILES: [&str; 7] = [
    "/cran/latest/src/contrib/alpha_2.0.tar.gz",
    "/cran/latest/src/contrib/Archive/alpha/alpha_1.0.tar.gz",
    "/cran/latest/src/contrib/beta_0.1.tar.gz",
    "/cran/latest/bin/linux/noble-x86_64/4.2/src/contrib/beta_0.1.tar.gz",
    "/pypi/latest/simple/alpha-py/",
    "/pypi/latest/simple/beta/",
    "/pypi/2024-01-05/simple/alpha-py/",
];

#[tokio::test]
async fn eager_sources_need_no_service_once_they_are_synchronised() {
    let service = Service::with_packages().await;
    let config = eager(&service);
    let team = Team::with(service, config, host()).await;
    team.sync().await;
    let before = team.service.asked("");
    for path in FILES {
        assert_eq!(team.get(path).await.status, 200, "{path}");
        let page = team.text("/pypi/latest/simple/alpha-py/").await;
        for file in page.split("href=\"").skip(1).map(|rest| rest.split(['#', '"']).next().unwrap()) {
            let url = url::Url::parse(&team.url("/pypi/latest/simple/alpha-py/")).unwrap().join(file).unwrap();
            assert_eq!(team.get(url.path()).await.status, 200, "{file}");
            assert_eq!(team.get(&format!("{}.metadata", url.path())).await.status, 200, "{file}");
        }
    }
    assert_eq!(team.service.asked(""), before, "nobody asked the service");
    assert_eq!(team.sync_status("cran").await["mode"], "eager");
    // Nothing new: nothing is gone through again.
    let blobs = team.service.asked("/blobs/");
    team.sync().await;
    assert_eq!(team.service.asked("/blobs/"), blobs);
    // One more package: only its files.
    team.service.r("gamma", "1.0", 15, "");
    team.service.publish(16);
    team.sync().await;
    let fresh = team.service.asked("/blobs/") - blobs;
    assert_eq!(fresh, 2 + 2 + 1, "deltas of both feeds, a pack, a source and a binary");
}

#[tokio::test]
async fn a_file_that_cannot_be_had_fails_the_run_and_nothing_else() {
    let service = Service::with_packages().await;
    let good = service.sdist("gamma", "1.0", 4);
    let bytes = service.change(|inner| inner.document(&pkg_formats::psp::blob_path(&good)));
    service.publish(16);
    service.lose(&good);
    let config = eager(&service);
    let team = Team::with(service, config, host()).await;
    assert!(team.refused().await.contains("1 package files cannot be had"));
    assert_eq!(team.sync_status("pypi").await["state"], "failed");
    assert!(team.text("/pypi/latest/simple/").await.contains("gamma"), "the metadata is there");
    let asked = team.service.asked("/blobs/");
    team.service.spoil(&good, bytes);
    team.sync().await;
    assert_eq!(team.service.asked("/blobs/"), asked + 1, "only what was missing is fetched");
    assert_eq!(team.sync_status("pypi").await["state"], "synced");
}

#[tokio::test]
async fn each_source_has_its_schedule() {
    let service = Service::with_packages().await;
    let mut config = Config::new(service.url());
    config.cran.schedule = "0 */6 * * *".parse().unwrap();
    config.pypi.schedule = "30 7 * * *".parse().unwrap();
    let team = Team::with(service, config, host()).await;
    let world = team.running.world();
    pkgmgr_sim::synced(&world, Duration::from_secs(60)).await.unwrap();
    while team.sync_status("pypi").await["state"] != "synced" {
        tokio::task::yield_now().await;
    }
    let asked = || ["/cran/head.json", "/pypi/head.json"].map(|head| team.service.asked(head));
    assert_eq!(asked(), [1, 1], "at the start");
    // From six o'clock on the 20th to six on the 23rd: every turn on the way is taken, however far the clock moves at once.
    world.clock().advance(Duration::from_secs(3 * 86_400)).await;
    assert_eq!(asked(), [1 + 12, 1 + 3]);
    let told = team.get("/__api__/sync").await.json();
    assert_eq!((&told[0]["schedule"], &told[1]["schedule"]), (&"0 */6 * * *".into(), &"30 7 * * *".into()));
    assert_eq!(told[1]["succeeded_at"], "2024-01-22T07:30:00Z");
}

#[tokio::test]
async fn a_source_without_a_schedule_waits_to_be_asked() {
    let service = Service::with_packages().await;
    let mut config = Config::new(service.url());
    config.pypi.schedule = "".parse().unwrap();
    let team = Team::with(service, config, host()).await;
    while team.sync_status("cran").await["state"] != "synced" {
        tokio::task::yield_now().await;
    }
    team.running.world().clock().advance(Duration::from_secs(3 * 86_400)).await;
    assert_eq!(team.service.asked("/pypi/"), 0);
    assert_eq!(team.service.asked("/cran/head.json"), 4);
    team.sync().await;
    assert_eq!(team.sync_status("pypi").await["state"], "synced");
}

#[tokio::test]
async fn after_a_failure_it_is_tried_again_soon() {
    let service = Service::with_packages().await;
    service.change(|inner| inner.forged = true);
    let mut config = Config::new(service.url());
    config.pypi.schedule = "".parse().unwrap();
    let team = Team::with(service, config, host()).await;
    while team.sync_status("cran").await["state"] != "failed" {
        tokio::task::yield_now().await;
    }
    team.running.world().clock().advance(Duration::from_secs(1)).await;
    assert_eq!(team.sync_status("cran").await["state"], "failed");
    team.service.change(|inner| inner.forged = false);
    team.running.world().clock().advance(Duration::from_secs(60)).await;
    assert_eq!(team.sync_status("cran").await["state"], "synced");
}
