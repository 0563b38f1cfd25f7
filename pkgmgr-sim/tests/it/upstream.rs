//! Fed by the package service of this project.

use std::time::Duration;

use sim_kit::{Host, HostConfig, Running, WorldConfig};

use crate::Team;
use crate::service::Service;

/// A Package Manager and the package service of this project, which has only these of the real packages and what they need. The
/// clocks stand still.
pub(crate) async fn fed_by_ours(at: &str, packages: &[&str]) -> (Team, Running) {
    let at: chrono::DateTime<chrono::Utc> = at.parse().unwrap();
    let host =
        || HostConfig { world: WorldConfig { frozen_at: Some(at), ..WorldConfig::default() }, ..HostConfig::default() };
    let feed = Host::start(upstream_sim::product(upstream_sim::Config::only(packages)), host()).await.unwrap();
    let config = pkgmgr_sim::Config { sync: false, ..pkgmgr_sim::Config::new(feed.url().parse().unwrap()) };
    (Team::with(Service::start().await, config, host()).await, feed)
}

#[tokio::test]
async fn days_go_by() {
    let (team, feed) = fed_by_ours("2026-03-10T06:00:00Z", &["flask", "requests", "shiny", "jsonlite"]).await;
    team.sync().await;
    let packages = team.text("/cran/latest/src/contrib/PACKAGES").await;
    assert!(packages.contains("Package: shiny\n") && packages.contains("Package: jsonlite\n"), "{packages}");
    let flask = team.text("/pypi/latest/simple/flask/").await;
    assert!(flask.contains("-py3-none-any.whl"));
    let dated = team.text("/cran/2022-03-10/src/contrib/PACKAGES").await;
    assert_ne!(dated, packages);
    let package = packages.split("\n\n").next().unwrap();
    let field = |name: &str| package.lines().find_map(|l| l.strip_prefix(name)).unwrap();
    let file = format!("/cran/latest/src/contrib/{}_{}.tar.gz", field("Package: "), field("Version: "));
    assert_eq!(team.get(&file).await.status, 200);

    for world in [feed.world(), team.running.world()] {
        world.clock().advance(Duration::from_secs(40 * 86_400)).await;
    }
    let answer = team.try_sync().await.json();
    assert_eq!((&answer["synced"][0]["checkpoints"], &answer["synced"][1]["checkpoints"]), (&40.into(), &40.into()));
    assert_eq!(team.text("/cran/2022-03-10/src/contrib/PACKAGES").await, dated);
    assert_eq!(team.text("/cran/2026-03-10/src/contrib/PACKAGES").await, packages, "what was latest then");
    assert_eq!(team.sync_status("pypi").await["snapshot_date"], "2026-04-19");
}
