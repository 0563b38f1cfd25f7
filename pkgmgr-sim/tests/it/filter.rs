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
