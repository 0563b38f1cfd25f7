//! Blocklist rules and their effect; what clients ask of many packages.

use serde_json::{Value, json};

use crate::Team;
use crate::administration::r_package;

#[tokio::test]
async fn what_is_blocked_is_not_offered_and_not_given() {
    let team = Team::synced().await;
    let index = "/cran/latest/src/contrib/PACKAGES";
    let before = team.text(index).await;
    let number = team.get("/__api__/repos/cran/transaction-dates?_order=desc&_limit=1").await.json()[0]["id"].clone();
    let rule = json!({"package_name": "alpha", "version": ">=2.0", "repo": "cran", "description": "broken"});
    let made = team.does("POST", "/__api__/blocklist/rules", rule).await;
    assert_eq!((&made["repo"], &made["exception"]), (&json!("cran"), &json!(false)));
    let id = made["id"].clone();
    assert!(!team.text(index).await.contains("Package: alpha"));
    assert!(team.text(index).await.contains("Package: beta"));
    for path in ["alpha_2.0.tar.gz", "Archive/alpha/alpha_2.0.tar.gz"] {
        let answer = team.get(&format!("/cran/latest/src/contrib/{path}")).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("alpha 2.0 is blocked"));
    }
    assert_eq!(team.get("/cran/latest/src/contrib/Archive/alpha/alpha_1.0.tar.gz").await.status, 200);
    // The past shows what it showed, but does not give it.
    assert_eq!(team.text(&format!("/cran/{number}/src/contrib/PACKAGES")).await, before);
    assert_eq!(team.get(&format!("/cran/{number}/src/contrib/alpha_2.0.tar.gz")).await.status, 403);

    let trial = "/__api__/blocklist/test?repo=cran&package_name=alpha&version=2.0";
    assert_eq!(team.get(trial).await.json(), json!({"blocked": true, "rule": id}));
    let exception = json!({"package_name": "alpha", "version": "2.0", "repo": "cran", "exception": true});
    let made = team.does("POST", "/__api__/blocklist/rules", exception).await;
    assert_eq!(team.get(trial).await.json()["blocked"], false);
    assert_eq!(team.text(index).await, before);
    team.does("DELETE", &format!("/__api__/blocklist/rules/{}", made["id"]), Value::Null).await;
    assert!(!team.text(index).await.contains("Package: alpha"));
    let other = json!({"package_name": "beta"});
    team.does("PUT", &format!("/__api__/blocklist/rules/{id}"), other).await;
    assert!(team.text(index).await.contains("Package: alpha") && !team.text(index).await.contains("Package: beta"));
    assert_eq!(team.get("/__api__/blocklist/rules").await.json()[0]["id"], id);
    // Packages of both languages have this name.
    assert!(!team.text("/pypi/latest/simple/").await.contains("beta"));
    assert_eq!(team.get("/pypi/latest/simple/beta/").await.status, 404);
    team.does("DELETE", &format!("/__api__/blocklist/rules/{id}"), Value::Null).await;
    assert_eq!(team.text(index).await, before);
    assert_eq!(team.get("/__api__/blocklist/rules").await.json(), json!([]));

    let page = team.text("/pypi/latest/simple/alpha-py/").await;
    let file =
        page.split("href=\"../../").find(|part| part.contains("alpha_py-2.0")).unwrap().split('#').next().unwrap();
    let file = format!("/pypi/latest/{file}");
    // Asked for often enough that the whole answer is kept.
    for _ in 0..6 {
        assert_eq!(team.get(&file).await.status, 200);
    }
    team.does("POST", "/__api__/blocklist/rules", json!({"package_name": "Alpha.Py", "version": "==2.*"})).await;
    let now = team.text("/pypi/latest/simple/alpha-py/").await;
    assert!(now.contains("alpha_py-1.0") && !now.contains("alpha_py-2.0"));
    assert_eq!(team.get(&file).await.status, 403);
    assert_eq!(team.get(&format!("{file}.metadata")).await.status, 403);
}

#[tokio::test]
async fn rules_that_make_no_sense_are_refused() {
    let team = Team::synced().await;
    for (method, path, body, status) in [
        ("POST", "", json!({}), 400),
        ("POST", "", json!({"package_name": "a", "version": "new"}), 400),
        ("POST", "", json!({"package_name": "a", "repo": "none"}), 404),
        ("POST", "", json!({"vulns": true}), 400),
        ("POST", "", json!({"package_name": "x", "min_severity": "high"}), 400),
        ("POST", "", json!({"nonsense": true}), 400),
        ("PUT", "/7", json!({"package_name": "a"}), 404),
        ("DELETE", "/7", Value::Null, 404),
        ("DELETE", "/x", Value::Null, 404),
    ] {
        let answer = team.admin(method, &format!("/__api__/blocklist/rules{path}"), body.clone()).await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json()["code"]),
            (status, &json!(status)),
            "{method} {path} {body}"
        );
    }
    let anonymous = team.request("POST", "/__api__/blocklist/rules").json(&json!({"package_name": "a"}));
    assert_eq!(team.send(anonymous).await.status, 401);
    let draft = json!({"scope": ["blocklist:admin"]});
    let token = team.does("POST", "/__api__/tokens", draft).await["token"].as_str().unwrap().to_owned();
    let scoped = team.request("POST", "/__api__/blocklist/rules").json(&json!({"package_name": "a"}));
    assert_eq!(team.send(scoped.bearer_auth(&token)).await.status, 201);
}

#[tokio::test]
async fn many_packages_at_once() {
    let team = Team::synced().await;
    let ask = async |body: Value| team.send(team.request("POST", "/__api__/filter/packages").json(&body)).await;
    let rows = async |body: Value| -> Vec<Value> {
        let answer = ask(body).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "application/x-ndjson"));
        answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    team.does("POST", "/__api__/blocklist/rules", json!({"package_name": "alpha", "version": "2.0"})).await;
    let found = rows(json!({"repo": "cran", "names": ["alpha", "nothing", "alpha==1.0", "beta"]})).await;
    let told: Vec<_> =
        found.iter().map(|row| (row["name"].clone(), row["version"].clone(), row["blocked"].clone())).collect();
    assert_eq!(told[..2], [(json!("alpha"), json!("2.0"), json!(true)), (json!("alpha"), json!("1.0"), json!(false))]);
    assert_eq!(found.len(), 3);
    assert_eq!(found[0]["dependencies"]["imports"][0]["name"], "beta");
    assert!(found[0].get("vulns").is_none() && found[0]["license"] == "MIT");
    let short = json!({
        "repo": "pypi", "names": ["Alpha_Py"], "omit_dependencies": true, "omit_downloads": true,
        "omit_package_details": true, "snapshot": "2024-01-05"
    });
    let found = rows(short).await;
    assert_eq!(found[0].as_object().unwrap().keys().collect::<Vec<_>>(), ["name", "version", "blocked", "metadata"]);
    assert_eq!(found[0]["version"], "1.0");
    for (body, status) in [
        (json!({"repo": "none", "names": []}), 404),
        (json!({"repo": "cran", "names": "alpha"}), 400),
        (json!({"repo": "cran", "names": vec!["a"; 1001]}), 400),
        (json!({"repo": "cran", "names": [], "snapshot": "2024-02-31"}), 404),
    ] {
        assert_eq!(ask(body.clone()).await.status, status, "{body}");
    }
}

#[tokio::test]
async fn releases_and_sorted_lists() {
    let team = Team::synced().await;
    let releases = team.get("/__api__/sources/pypi/packages/Alpha_Py/releases").await.json();
    let versions: Vec<&Value> = releases.as_array().unwrap().iter().map(|r| &r["version"]).collect();
    assert_eq!(versions, ["1.0", "2.0", "3.0"]);
    assert_eq!(releases[2]["files"][0]["yanked"], true);
    let releases = team.get("/__api__/sources/cran/packages/alpha/releases").await.json();
    let told: Vec<_> = releases.as_array().unwrap().iter().map(|r| (&r["version"], &r["archived"])).collect();
    assert_eq!(told, [(&json!("1.0"), &json!(true)), (&json!("2.0"), &json!(false))]);
    assert_eq!(team.get("/__api__/sources/cran/packages/none/releases").await.status, 404);
    team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
    assert_eq!(team.get("/__api__/sources/team/packages/none/releases").await.status, 404);
    for (name, version) in [("zulu", "1.0"), ("yankee", "2.0"), ("xray", "3.0")] {
        assert_eq!(team.add("team", "", r_package(name, version, "")).await.status, 201);
    }
    let names = async |query: &str| -> Vec<String> {
        let list = team.get(&format!("/__api__/sources/team/packages{query}")).await.json();
        list.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["xray", "yankee", "zulu"]);
    assert_eq!(names("?_sort=id").await, ["zulu", "yankee", "xray"]);
    assert_eq!(names("?_sort=version&_order=desc").await, ["xray", "yankee", "zulu"]);
    assert_eq!(names("?_sort=id&_limit=1&_page=2").await, ["yankee"]);
    assert_eq!(team.get("/__api__/sources/team/packages?_sort=love").await.status, 400);
}
