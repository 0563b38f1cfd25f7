//! Days go by: what the catalogue publishes, archives, removes and yanks comes to clients of Package Manager, and what dated
//! snapshots showed before stays.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use harness::stack::StackConfig;
use serde_json::{Value, json};
use tests::{Team, http};
use upstream_sim::Config;

const DAYS: u64 = 300;

async fn advance(team: &Team) {
    for server in [&team.urls.upstream, &team.urls.package_manager] {
        let moved = http().post(format!("{server}/__sim__/v1/clock")).json(&json!({"advance": DAYS * 86_400})).send();
        assert_eq!(moved.await.unwrap().status(), 200);
    }
}

/// Name and version of what an index lists.
async fn listed(team: &Team, snapshot: &str) -> BTreeMap<String, String> {
    let url = format!("{}/cran/{snapshot}/src/contrib/PACKAGES", team.urls.package_manager);
    let text = http().get(url).send().await.unwrap().text().await.unwrap();
    let field = |record: &str, name: &str| {
        record.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).unwrap().to_owned()
    };
    text.split("\n\n").filter(|r| !r.trim().is_empty()).map(|r| (field(r, "Package"), field(r, "Version"))).collect()
}

#[tokio::test]
async fn days_bring_versions_archives_removals_and_yanks() {
    let upstream = Config { cran_packages: 1_500, pypi_packages: 600, ..Config::only(&["glue", "six"]) };
    let frozen_at = Some("2026-11-24T12:00:00Z".parse().unwrap());
    let team = Team::with(StackConfig { upstream, frozen_at, ..StackConfig::default() }).await;
    let before = listed(&team, "latest").await;
    let dated = listed(&team, "2026-11-20").await;
    let soon = format!("{}/cran/2027-09-20/src/contrib/PACKAGES", team.urls.package_manager);
    assert_eq!(http().get(&soon).send().await.unwrap().status(), 404, "not published yet");

    advance(&team).await;
    // Three hundred checkpoints take a moment.
    let until = Instant::now() + Duration::from_secs(240);
    while http().get(&soon).send().await.unwrap().status() != 200 {
        assert!(Instant::now() < until, "the days have not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let after = listed(&team, "latest").await;
    assert_eq!(listed(&team, "2026-11-20").await, dated, "the past stays");
    let born = after.keys().filter(|name| !before.contains_key(*name)).count();
    let updated: Vec<&String> =
        after.keys().filter(|name| before.get(*name).is_some_and(|v| *v != after[*name])).collect();
    assert!(born > 10 && updated.len() > 100, "{born} born, {} updated", updated.len());
    let (mut archived, mut removed) = (0, 0);
    for (name, version) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        let url =
            format!("{}/cran/latest/src/contrib/Archive/{name}/{name}_{version}.tar.gz", team.urls.package_manager);
        match http().head(url).send().await.unwrap().status().as_u16() {
            200 => archived += 1,
            404 => removed += 1,
            other => panic!("{name}: {other}"),
        }
    }
    assert!(archived > 0 && removed > 0, "{archived} archived, {removed} removed");

    // What was yanked since.
    let base = format!("{}/pypi", team.urls.package_manager);
    let accept = "application/vnd.pypi.simple.v1+json";
    let get = async |path: &str| -> Value {
        http()
            .get(format!("{base}/{path}"))
            .header("accept", accept)
            .send()
            .await
            .unwrap()
            .json()
            .await
            .unwrap_or_default()
    };
    let projects = get("2026-11-20/simple/").await;
    let mut yanked = 0;
    for project in projects["projects"].as_array().unwrap() {
        let name = project["name"].as_str().unwrap();
        let was = |page: &Value| {
            let files = page["files"].as_array().cloned().unwrap_or_default();
            files.iter().filter(|file| file["yanked"] != Value::Bool(false) && !file["yanked"].is_null()).count()
        };
        let now = was(&get(&format!("latest/simple/{name}/")).await);
        yanked += usize::from(now > was(&get(&format!("2026-11-20/simple/{name}/")).await));
    }
    assert!(yanked > 0);
}
