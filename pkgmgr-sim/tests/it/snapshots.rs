//! Snapshots: latest, dates, transactions; and that the past does not change.

use serde_json::json;

use crate::Team;
use crate::service::{Service, noon};

#[tokio::test]
async fn a_date_shows_what_was_published_before_that_day() {
    let team = Team::synced().await;
    let version = async |snapshot: &str| {
        let answer = team.get(&format!("/cran/{snapshot}/src/contrib/PACKAGES")).await;
        let text = answer.text().to_owned();
        text.lines().find_map(|line| line.strip_prefix("Version: ")).map(str::to_owned).unwrap_or(text)
    };
    assert_eq!(version("latest").await, "2.0");
    assert_eq!(version("2024-01-15").await, "2.0");
    assert_eq!(version("2024-01-11").await, "2.0");
    assert_eq!(version("2024-01-10").await, "1.0");
    assert_eq!(version("2024-01-03").await, "1.0");
    // Nothing had been published yet.
    assert_eq!(version("2024-01-02").await, "");
    for (segment, reason) in [
        ("2023-12-31", "before the first snapshot, which is 2024-01-01"),
        ("2024-01-16", "is not published yet; the newest snapshot is 2024-01-15"),
        ("2024-01-32", "there is no snapshot"),
        ("2024-1-5", "there is no snapshot"),
        ("newest", "there is no snapshot"),
        ("0", "there is no transaction"),
        ("99999999999999999999999", "there is no snapshot"),
    ] {
        let answer = team.get(&format!("/cran/{segment}/src/contrib/PACKAGES")).await;
        assert_eq!(answer.status, 404, "{segment}");
        assert!(answer.text().contains(reason), "{segment}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    assert_eq!(team.get("/nothing/latest/src/contrib/PACKAGES").await.status, 404);
}

#[tokio::test]
async fn every_day_with_a_change_is_a_transaction_that_can_be_addressed() {
    let team = Team::synced().await;
    let dates = team.get("/__api__/repos/cran/transaction-dates").await.json();
    let aliases: Vec<&str> = dates.as_array().unwrap().iter().map(|d| d["alias"].as_str().unwrap()).collect();
    assert_eq!(aliases, ["2024-01-01", "2024-01-03", "2024-01-04", "2024-01-11", "2024-01-15"]);
    for date in dates.as_array().unwrap() {
        let (id, alias) = (date["id"].as_i64().unwrap(), date["alias"].as_str().unwrap());
        let by_id = team.text(&format!("/cran/{id}/src/contrib/PACKAGES")).await;
        assert_eq!(by_id, team.text(&format!("/cran/{alias}/src/contrib/PACKAGES")).await, "{alias}");
    }
    let all = team.get("/__api__/sources/cran/transactions?_order=asc").await.json();
    let changes: Vec<(i64, i64)> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|t| (t["packages_added"].as_i64().unwrap(), t["packages_archived"].as_i64().unwrap()))
        .collect();
    assert_eq!(changes, [(0, 0), (1, 0), (1, 0), (1, 1), (0, 0)]);
    let captured =
        json!({"type": 3, "guid": "", "action": "Sync", "packages_updated": null, "packages_removed": 0, "result": 0});
    for (member, value) in captured.as_object().unwrap() {
        assert_eq!(all[3][member], *value, "{member}");
    }
    let members = ["id", "created", "completed", "tag", "source_id", "published_from"];
    assert!(members.iter().all(|member| !all[3][member].is_null()), "{}", all[3]);
    assert_eq!(all[3]["published_to"], "2024-01-11T00:00:00Z");
}

#[tokio::test]
async fn the_past_does_not_change_whatever_the_service_does_later() {
    let team = Team::synced().await;
    let ids: Vec<i64> = (1..=20).collect();
    let mut pages = Vec::new();
    for d in 1..=15 {
        pages.push(format!("/cran/2024-01-{d:02}/src/contrib/PACKAGES"));
        pages.push(format!("/cran/2024-01-{d:02}/src/contrib/alpha_1.0.tar.gz"));
        pages.push(format!("/cran/2024-01-{d:02}/src/contrib/Archive/alpha/alpha_1.0.tar.gz"));
        pages.push(format!("/pypi/2024-01-{d:02}/simple/"));
        pages.push(format!("/pypi/2024-01-{d:02}/simple/alpha-py/"));
        pages.push(format!("/pypi/2024-01-{d:02}/simple/beta/"));
    }
    for id in ids {
        pages.push(format!("/cran/{id}/src/contrib/PACKAGES"));
        pages.push(format!("/pypi/{id}/simple/alpha-py/"));
    }
    let all = async || {
        let mut answers = Vec::new();
        for page in &pages {
            let answer = team.get(page).await;
            // What a missing transaction is told may change; it was nothing.
            answers.push((page.clone(), answer.status, (answer.status == 200).then_some(answer.body)));
        }
        answers
    };
    let before: Vec<_> = all().await;
    assert!(before.iter().filter(|(_, status, _)| *status == 200).count() > 60);

    // A new version, a removal, an undone yank, a rewritten description, a package that appears with an old date.
    team.service.r("alpha", "3.0", 16, "");
    team.service.change_r("beta", |record| record.removed_at = Some(noon(17)));
    team.service.change_r("alpha", |record| {
        record.versions[0].description = record.versions[0].description.replace("License: MIT", "License: GPL-3");
        record.versions[0].published_at = noon(1);
    });
    team.service.r("late", "1.0", 5, "");
    team.service.wheel("alpha-py", "0.5", 4, &[]);
    team.service.publish(18);
    team.sync().await;
    let after = all().await;
    for (old, new) in before.iter().zip(&after) {
        if old.1 == 200 {
            assert_eq!(old, new, "{}", old.0);
        }
    }
    let latest = team.text("/cran/latest/src/contrib/PACKAGES").await;
    assert!(latest.contains("Version: 3.0") && latest.contains("late") && !latest.contains("beta"), "{latest}");
    assert!(!team.text("/cran/2024-01-15/src/contrib/PACKAGES").await.contains("late"));
    assert!(team.text("/pypi/latest/simple/alpha-py/").await.contains("alpha_py-0.5"));
}

#[tokio::test]
async fn a_repo_without_packages_says_so() {
    let team = Team::of(Service::with_packages().await).await;
    let answer = team.get("/cran/latest/src/contrib/PACKAGES").await;
    assert_eq!(answer.status, 404);
    assert!(answer.text().contains("has not been synchronised yet"));
    assert_eq!(team.get("/__ping__").await.status, 200);
    assert_eq!(team.sync_status("cran").await["state"], "never synced");
}

#[tokio::test]
async fn a_day_on_which_a_file_was_only_yanked_or_added_has_a_snapshot_too() {
    let service = Service::start().await;
    service.wheel("alpha-py", "1.0", 2, &[]);
    service.sdist("alpha-py", "1.0", 6);
    service.yank("alpha-py", 0, 4);
    service.publish(15);
    let team = Team::of(service).await;
    team.sync().await;
    let shown = async |day: &str| {
        let page = team.text(&format!("/pypi/2024-01-{day}/simple/alpha-py/")).await;
        (page.contains("data-yanked"), page.contains("alpha_py-1.0.tar.gz"))
    };
    assert_eq!(shown("04").await, (false, false));
    assert_eq!(shown("05").await, (true, false));
    assert_eq!(shown("07").await, (true, true));
}
