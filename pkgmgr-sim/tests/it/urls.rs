//! Created URLs: what they pin, and that nothing moves them.

use serde_json::{Value, json};

use crate::administration::r_package;
use crate::{Answer, Team};

/// Repository `prod` (number 3) made of `team`, which has `alpha` 9.0, and `cran`.
async fn mixed() -> Team {
    let team = Team::synced().await;
    team.does("POST", "/__api__/repos", json!({"name": "prod"})).await;
    team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
    for source in ["team", "cran"] {
        team.does("POST", "/__api__/repos/prod/sources", json!({"source": source})).await;
    }
    assert_eq!(team.add("team", "", r_package("alpha", "9.0", "")).await.status, 201);
    team
}

async fn create(team: &Team, wanted: Value) -> Answer {
    team.admin("POST", "/__api__/repos/prod/urls", wanted).await
}

async fn packages(team: &Team, segment: &str) -> Answer {
    team.get(&format!("/prod/{segment}/src/contrib/PACKAGES")).await
}

#[tokio::test]
async fn a_created_url_pins_every_source_whatever_comes() {
    let team = mixed().await;
    let now = create(&team, json!({})).await.json();
    assert_eq!((now["id"].as_str(), now["url"].as_str()), (Some("4-1"), Some(team.url("/prod/4-1").as_str())));
    assert_eq!(now["sources"][1]["snapshot_date"], "2024-01-15");
    let old = create(&team, json!({"snapshots": {"cran": "2024-01-05"}, "lock": true})).await.json();
    let long = create(&team, json!({"snapshots": {"cran": "2024-01-05"}, "no_alias": true})).await.json();
    let segments: Vec<String> =
        [&now, &old, &long, &json!({"id": now["long"]})].map(|url| url["id"].as_str().unwrap().to_owned()).to_vec();
    let all = async || {
        let mut bodies = Vec::new();
        for segment in &segments {
            bodies.push(team.text(&format!("/prod/{segment}/src/contrib/PACKAGES")).await);
        }
        bodies
    };
    let before = all().await;
    assert!(before[0].contains("Version: 9.0") && before[0].contains("Package: beta"));
    assert_eq!((&before[0], &before[1]), (&before[3], &before[2]), "alias and long form are the same");
    assert_eq!(packages(&team, "4-1").await.header("cache-control"), "public, max-age=31536000, immutable");

    team.add("team", "", r_package("alpha", "9.1", "")).await;
    team.does("DELETE", "/__api__/sources/team/packages/alpha?which=all", Value::Null).await;
    team.does("PUT", "/__api__/repos/prod/sources", json!({"sources": ["cran", "team"]})).await;
    team.does("POST", "/__api__/blocklist/rules", json!({"package_name": "beta"})).await;
    team.does("DELETE", "/__api__/repos/prod/sources/team", Value::Null).await;
    team.does("DELETE", "/__api__/sources/team", Value::Null).await;
    team.service.r("alpha", "3.0", 16, "");
    team.service.publish(18);
    team.sync().await;
    assert_eq!(all().await, before);
    assert!(!team.text("/prod/latest/src/contrib/PACKAGES").await.contains("beta"));
}

#[tokio::test]
async fn transactions_and_dates_are_taken_for_each_source() {
    let team = mixed().await;
    let second = team.add("team", "", r_package("own", "1.0", "")).await.json()["transaction"].to_string();
    let first = (second.parse::<i64>().unwrap() - 1).to_string();
    let made = create(&team, json!({"date": "2024-01-11", "snapshots": {"team": first}})).await.json();
    let shown = packages(&team, made["id"].as_str().unwrap()).await;
    assert!(shown.text().contains("Version: 9.0") && !shown.text().contains("Package: own\n"));
    // On that date the local source had nothing: only CRAN is pinned.
    let dated = create(&team, json!({"date": "2024-01-11"})).await.json();
    assert_eq!(dated["sources"].as_array().unwrap().len(), 1);
    let list = team.get("/__api__/repos/prod/urls").await.json();
    assert_eq!(list.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn what_cannot_be_pinned_is_refused() {
    let team = mixed().await;
    for (wanted, status, reason) in [
        (json!({"date": "2024-02-31"}), 400, "there is no snapshot"),
        (json!({"date": "2031-01-01"}), 400, "in the future"),
        (json!({"date": "2023-01-01"}), 400, "before the first"),
        (json!({"snapshots": {"cran": "newest"}}), 400, "there is no snapshot"),
        (json!({"snapshots": {"pypi": "2024-01-05"}}), 400, "does not subscribe to pypi"),
        (json!({"snapshots": {"cran": "1", "team": "1"}}), 409, "no packages at that time"),
        (json!({"date": 5}), 400, "JSON"),
    ] {
        let answer = create(&team, wanted.clone()).await;
        assert_eq!(answer.status, status, "{wanted}: {}", answer.text());
        assert!(answer.json()["error"].as_str().unwrap().contains(reason), "{wanted}: {}", answer.text());
    }
    let path = "/__api__/repos/prod/urls";
    assert_eq!(team.send(team.request("POST", path).json(&json!({}))).await.status, 401);
    assert_eq!(team.admin("POST", "/__api__/repos/nothing/urls", json!({})).await.status, 404);

    create(&team, json!({})).await;
    let long = create(&team, json!({"no_alias": true})).await.json()["id"].as_str().unwrap().to_owned();
    let mut mistyped = long.clone();
    mistyped.replace_range(..1, if long.starts_with('9') { "8" } else { "9" });
    for segment in [&mistyped, "4-2", "3-1", "-1", "4-", "1-2-3-4", "-", "99999999999999999999-1"] {
        assert_eq!(packages(&team, segment).await.status, 404, "{segment}");
    }
    // Neither form is of use in another repo, whose subscriptions would not show that source.
    for segment in [&long, "4-1"] {
        assert_eq!(team.get(&format!("/cran/{segment}/src/contrib/PACKAGES")).await.status, 404, "{segment}");
    }
}

#[tokio::test]
async fn a_deleted_url_is_gone_for_good() {
    let team = mixed().await;
    let id = create(&team, json!({})).await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(packages(&team, &id).await.status, 200);
    let path = format!("/__api__/repos/prod/urls/{id}");
    assert_eq!(team.send(team.request("DELETE", &path)).await.status, 401);
    team.does("DELETE", &path, Value::Null).await;
    assert_eq!(packages(&team, &id).await.status, 404);
    assert_eq!(team.admin("DELETE", &path, Value::Null).await.status, 404);
    assert_ne!(create(&team, json!({"lock": true})).await.json()["id"], json!(id));
    assert_eq!(team.admin("DELETE", "/__api__/repos/prod/urls/4-2", Value::Null).await.status, 409);
}
