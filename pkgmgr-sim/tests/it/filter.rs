//! What clients ask of many packages at once.

use serde_json::{Value, json};

use crate::Team;
use crate::service::Service;

pub(crate) async fn rows(team: &Team, wanted: Value) -> Vec<Value> {
    let answer = team.admin("POST", "/__api__/filter/packages", wanted).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn what_python_projects_need() {
    let service = Service::with_packages().await;
    let needs = ["six", "click>=8,<9; python_version < '4'", "pytest>7; extra == 'test'"];
    service.wheel("needy", "1.0", 4, &needs);
    service.wheel("needy", "2.0", 16, &[]);
    service.publish(17);
    let team = Team::of(service).await;
    team.sync().await;
    let names = json!(["needy==1.0", "needy", "beta"]);
    let told = rows(&team, json!({"repo": "pypi", "names": names})).await;
    let one =
        |name: &str, operator: &str, version: &str| json!({"name": name, "operator": operator, "version": version});
    let needed = json!({
        "imports": [one("six", "", ""), one("click", ">=", "8"), one("click", "<", "9")],
        "suggests": [one("pytest", ">", "7")],
    });
    assert_eq!(told[0]["dependencies"], needed);
    assert_eq!(told[1]["dependencies"], json!({"imports": [], "suggests": []}));
    assert_eq!(told[2]["dependencies"], json!({"imports": null, "suggests": null}), "an sdist does not say");
    let short = rows(&team, json!({"repo": "pypi", "names": names, "omit_dependencies": true})).await;
    assert!(short.iter().all(|row| row.get("dependencies").is_none()));
}

#[tokio::test]
async fn without_details_each_binary_has_a_row() {
    let service = Service::with_packages().await;
    service.change_r("alpha", |record| {
        let newest = record.versions.last_mut().unwrap();
        let mut other = newest.artifacts[1].clone();
        other.r = Some("4.3".into());
        newest.artifacts.push(other);
    });
    service.change_r("beta", |record| record.versions[0].artifacts.truncate(1));
    service.publish(16);
    let team = Team::of(service).await;
    team.sync().await;
    let names = json!(["alpha", "alpha==1.0", "beta"]);
    let versions = async |more: Value| -> Vec<(String, String)> {
        let mut wanted = json!({"repo": "cran", "names": names});
        wanted.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let told = rows(&team, wanted).await;
        let text = |row: &Value, member: &str| row[member].as_str().unwrap().to_owned();
        told.iter().map(|row| (text(row, "name"), text(row, "version"))).collect()
    };
    let row = |name: &str, version: &str| (name.to_owned(), version.to_owned());
    let (new, old, other) = (row("alpha", "2.0"), row("alpha", "1.0"), row("beta", "0.1"));
    assert_eq!(versions(json!({"omit_downloads": true})).await, [new.clone(), old.clone(), other.clone()]);
    assert_eq!(versions(json!({"omit_package_details": true})).await, [new.clone(), new, old, other]);
}

#[tokio::test]
async fn administrators_note_what_they_want() {
    let team = Team::synced().await;
    let noted = async |wanted: Value| -> Value { rows(&team, wanted).await[0]["metadata"].clone() };
    let of =
        |version: &str| json!({"repo": "cran", "names": [format!("alpha=={version}")], "omit_package_details": true});
    assert_eq!(noted(of("1.0")).await, json!([]));
    let records = "/__api__/metadata/records";
    let first = team.does("POST", records, json!({"source": "cran", "key": "risk", "value": "some"})).await;
    assert_eq!((&first["id"], &first["source"], &first["repo"]), (&json!(1), &json!("cran"), &Value::Null));
    team.does("POST", records, json!({"package_name": "alpha", "version": "2.0", "key": "risk", "value": "high"}))
        .await;
    let docs = "https://docs.example/<alpha>";
    team.does("POST", records, json!({"package_name": "alpha", "repo": "cran", "key": "docs", "value": docs})).await;
    let entry = |key: &str, value: &str| json!({"key": key, "value": value});
    assert_eq!(noted(of("1.0")).await, json!([entry("docs", docs), entry("risk", "some")]));
    assert_eq!(noted(of("2.0")).await, json!([entry("docs", docs), entry("risk", "high")]));
    assert_eq!(noted(json!({"repo": "pypi", "names": ["alpha-py"]})).await, json!([]));
    let without = rows(&team, json!({"repo": "cran", "names": ["alpha"], "metadata": false})).await;
    assert!(without[0].get("metadata").is_none());
    let page = team.text("/client/view/repos/cran/packages/alpha").await;
    assert!(page.contains("<dt>risk</dt>") && page.contains("docs.example") && !page.contains("<alpha>"), "{page}");

    let again = json!({"source": "cran", "key": "risk", "value": "none"});
    let with = |flag: &str| {
        let mut body = again.clone();
        body[flag] = true.into();
        body
    };
    assert_eq!(team.admin("POST", records, again.clone()).await.status, 409);
    assert_eq!(team.does("POST", records, with("succeed_on_existing")).await["value"], "some");
    assert_eq!(team.does("POST", records, with("update_existing")).await["id"], 1);
    assert_eq!(noted(of("1.0")).await[1]["value"], "none");
    for (body, status) in [
        (json!({"value": "x"}), 400),
        (json!({"key": "k", "value": ""}), 400),
        (json!({"key": "k", "value": "v", "source": "none"}), 404),
        (json!({"key": "k", "value": "v", "repo": "none"}), 404),
        (json!({"key": "k", "value": "v", "love": 1}), 400),
    ] {
        assert_eq!(team.admin("POST", records, body.clone()).await.status, status, "{body}");
    }

    let many = json!([{"key": "a", "value": "1"}, {"key": "b"}, {"key": "a", "value": "2"}]);
    let refused = team.admin("POST", &format!("{records}/bulk"), json!({"records": many, "fail_all": true})).await;
    assert!(refused.status == 400 && refused.text().contains("number 2"), "{}", refused.text());
    assert_eq!(team.get(records).await.json().as_array().unwrap().len(), 3, "none of them");
    let some = team.does("POST", &format!("{records}/bulk"), json!({"records": many})).await;
    assert_eq!((&some["created"][0]["key"], some["failed"].as_array().unwrap().len()), (&json!("a"), 2));
    assert_eq!(team.admin("DELETE", &format!("{records}/1,77"), Value::Null).await.status, 404);
    assert_eq!(team.get(records).await.json().as_array().unwrap().len(), 4, "all or none");
    team.does("DELETE", &format!("{records}/1,2"), Value::Null).await;
    team.does("DELETE", &format!("{records}/all"), Value::Null).await;
    assert_eq!(team.get(records).await.json(), json!([]));

    let anonymous = team.request("POST", records).json(&again);
    assert_eq!(team.send(anonymous).await.status, 401);
    for (scope, status) in [("metadata:admin", 201), ("blocklist:admin", 403)] {
        let token = team.does("POST", "/__api__/tokens", json!({"scope": [scope]})).await["token"].clone();
        let scoped = team.request("POST", records).json(&again).bearer_auth(token.as_str().unwrap());
        assert_eq!(team.send(scoped).await.status, status, "{scope}");
    }
}
