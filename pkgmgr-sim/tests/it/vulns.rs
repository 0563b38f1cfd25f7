//! Vulnerabilities, rules that go by them, and counts of downloads.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Team;
use crate::filter::rows;
use crate::service::{Service, noon};

/// Of all versions of a package before one, known from noon of a day.
pub(crate) fn vulnerability(id: &str, ecosystem: &str, name: &str, fixed: &str, on: u32, tenths: u8) -> Value {
    json!({
        "affected": [{
            "package": {"ecosystem": ecosystem, "name": name},
            "ranges": [{"events": [{"introduced": "0"}, {"fixed": fixed}], "type": "ECOSYSTEM"}],
        }],
        "aliases": [format!("ALIAS-{id}")],
        "database_specific": {"base_score_tenths": tenths, "invented": true},
        "details": "d", "id": id, "modified": noon(on), "published": noon(on),
        "severity": [{"score": "CVSS:3.1/AV:N", "type": "CVSS_V3"}], "summary": "s",
    })
}

/// `alpha` before 9 is in danger from the 5th on, `alpha-py` before 2.5 from the 12th on.
async fn team() -> Team {
    let service = Service::with_packages().await;
    service.offer("vulns");
    service.document("vulns", "V-1", vulnerability("V-1", "CRAN", "alpha", "9", 5, 98), 5);
    service.document("vulns", "V-2", vulnerability("V-2", "PyPI", "alpha-py", "2.5", 12, 33), 12);
    service.publish_feed("vulns", 15);
    let team = Team::of(service).await;
    team.sync().await;
    team
}

#[tokio::test]
async fn clients_are_told_what_their_versions_have() {
    let team = team().await;
    let names = json!(["alpha-py==2.0", "alpha-py==3.0", "beta"]);
    let told = rows(&team, json!({"repo": "pypi", "names": names})).await;
    let found = &told[0]["vulns"][0];
    assert_eq!((&found["id"], &found["aliases"][0]), (&json!("V-2"), &json!("ALIAS-V-2")));
    assert_eq!(found["severity"][0]["calculated_score"]["base_score"], 3.3);
    assert_eq!(found["ranges"][0]["events"], json!([{"introduced": "0"}, {"fixed": "2.5"}]));
    assert_eq!(found["simulated"], true);
    assert!(told[1].get("vulns").is_none() && told[2].get("vulns").is_none());
    let silent = rows(&team, json!({"repo": "pypi", "names": names, "vulns": false})).await;
    assert!(silent.iter().all(|row| row.get("vulns").is_none()));
    let versions = async |has: bool| -> Vec<Value> {
        let told = rows(&team, json!({"repo": "pypi", "names": names, "has_vulns": has})).await;
        told.iter().map(|row| row["version"].clone()).collect()
    };
    assert_eq!((versions(true).await, versions(false).await), (vec![json!("2.0")], vec![json!("3.0"), json!("0.1")]));

    for key in ["V-1", "ALIAS-V-1"] {
        assert_eq!(team.get(&format!("/__api__/vulns/{key}")).await.json()["affected"][0]["package"]["name"], "alpha");
    }
    assert_eq!(team.get("/__api__/vulns/none").await.status, 404);
    for (path, ids) in
        [("sources/cran", ["V-1"]), ("sources/pypi", ["V-2"]), ("repos/cran", ["V-1"]), ("repos/pypi", ["V-2"])]
    {
        let list = team.get(&format!("/__api__/{path}/vulns")).await.json();
        let found: Vec<&str> = list.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(found, ids, "{path}");
    }
}

#[tokio::test]
async fn rules_block_what_is_vulnerable() {
    let team = team().await;
    let cran = "/cran/latest/src/contrib/PACKAGES";
    let was = team.text("/cran/2024-01-15/src/contrib/PACKAGES").await;
    let rule = json!({"vulns": true, "min_severity": "high", "description": "no holes"});
    let made = team.does("POST", "/__api__/blocklist/rules", rule).await;
    assert_eq!((&made["vulns"], &made["min_severity"]), (&json!(true), &json!("high")));
    assert!(!team.text(cran).await.contains("Package: alpha\n"));
    let refused = team.get("/cran/latest/src/contrib/alpha_2.0.tar.gz").await;
    assert!(refused.status == 403 && refused.text().contains("blocked"), "{}", refused.text());
    assert_eq!(team.text("/cran/2024-01-15/src/contrib/PACKAGES").await, was, "the past stays");
    // Not severe enough.
    assert!(team.text("/pypi/latest/simple/alpha-py/").await.contains("alpha_py-2.0"));
    let list = team.get("/__api__/repos/cran/packages").await.json();
    assert_eq!(list[0]["blocked"], true, "{list}");
    assert_eq!(list[1]["blocked"], false, "{list}");
    assert_eq!(rows(&team, json!({"repo": "cran", "names": ["alpha"]})).await[0]["blocked"], true);
    let verdict = team.get("/__api__/blocklist/test?repo=cran&package_name=alpha&version=1.0").await.json();
    assert_eq!(verdict["blocked"], true);

    let everything = json!({"vulns": true, "repo": "pypi"});
    let made = team.does("POST", "/__api__/blocklist/rules", everything).await;
    let page = team.text("/pypi/latest/simple/alpha-py/").await;
    assert!(!page.contains("alpha_py-2.0") && page.contains("alpha_py-3.0"), "{page}");
    team.does("DELETE", &format!("/__api__/blocklist/rules/{}", made["id"]), Value::Null).await;

    // It turns out to be none. What was shown on a day between stays as it was.
    for (feed, day) in [("cran", 22), ("pypi", 22), ("vulns", 22)] {
        team.service.publish_feed(feed, day);
    }
    team.running.world().clock().advance(Duration::from_secs(2 * 86_400)).await;
    team.sync().await;
    let between = team.text("/cran/2024-01-22/src/contrib/PACKAGES").await;
    assert!(!between.contains("Package: alpha\n"));
    let mut withdrawn = vulnerability("V-1", "CRAN", "alpha", "9", 5, 98);
    withdrawn["withdrawn"] = json!(noon(23));
    team.service.document("vulns", "V-1", withdrawn, 23);
    team.service.publish(25);
    team.running.world().clock().advance(Duration::from_secs(3 * 86_400)).await;
    team.service.publish_feed("vulns", 24);
    team.sync().await;
    assert!(team.text(cran).await.contains("Package: alpha\n"));
    assert_eq!(team.text("/cran/2024-01-22/src/contrib/PACKAGES").await, between);
    let unknown = team.get("/cran/2024-01-25/src/contrib/PACKAGES").await;
    assert!(unknown.status == 404 && unknown.text().contains("vulnerabilities"), "{}", unknown.text());
}

#[tokio::test]
async fn downloads_are_counted() {
    let team = team().await;
    let count = async |repo: &str, name: &str| {
        rows(&team, json!({"repo": repo, "names": [name]})).await[0]["downloads"].as_i64().unwrap()
    };
    assert_eq!(count("cran", "alpha").await, 0);
    for _ in 0..2 {
        team.get("/cran/latest/src/contrib/alpha_2.0.tar.gz").await;
    }
    team.get("/cran/latest/src/contrib/Archive/alpha/alpha_1.0.tar.gz").await;
    team.head("/cran/latest/src/contrib/alpha_2.0.tar.gz").await;
    team.get_with("/cran/latest/src/contrib/alpha_2.0.tar.gz", &[("range", "bytes=0-9")]).await;
    team.get("/cran/latest/src/contrib/alpha_7.0.tar.gz").await;
    let page = team.text("/pypi/latest/simple/alpha-py/").await;
    let href =
        page.split("href=\"../../").find(|link| link.contains("alpha_py-2.0")).unwrap().split('#').next().unwrap();
    assert_eq!(team.get(&format!("/pypi/latest/{href}")).await.status, 200);
    assert_eq!(team.get(&format!("/pypi/latest/{href}.metadata")).await.status, 200);
    // Between memory and database a count is nowhere for a moment.
    let arrives = async |repo: &str, name: &str, expected: i64| {
        let until = tokio::time::Instant::now() + Duration::from_secs(20);
        while count(repo, name).await != expected {
            assert!(tokio::time::Instant::now() < until, "{repo} {name} was not downloaded {expected} times");
            tokio::task::yield_now().await;
        }
    };
    arrives("cran", "alpha", 3).await;
    arrives("pypi", "alpha-py", 1).await;
    let shown = team.get("/__api__/repos/cran/packages/beta").await.json();
    assert_eq!(shown["downloads"], 0);
}
