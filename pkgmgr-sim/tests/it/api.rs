//! The REST API.

use serde_json::{Value, json};

use crate::Team;

#[tokio::test]
async fn status_has_what_clients_read() {
    let team = Team::synced().await;
    let status = team.get("/__api__/status").await.json();
    for member in [
        "version",
        "build_date",
        "metrics_enabled",
        "r_configured",
        "python_configured",
        "binaries_enabled",
        "display_ash",
        "custom_home",
        "custom_home_title",
        "ga_id",
        "sso_enabled",
        "distros",
        "cran_repo",
        "bioc_versions",
        "r_versions",
        "macos_urls",
        "support_window",
        "auth_available",
        "public_p3m",
        "auth_enabled",
        "repos_require_auth",
    ] {
        assert!(!status[member].is_null(), "{member}");
    }
    assert_eq!((&status["cran_repo"], &status["simulated"]), (&json!("cran"), &json!(true)));
    let distros = status["distros"].as_array().unwrap();
    let noble = distros.iter().find(|d| d["name"] == "noble").unwrap();
    assert_eq!(
        noble,
        &json!({
            "name": "noble", "os": "linux", "binaryDisplay": "Ubuntu 24.04 (Noble)", "binaryURL": "noble",
            "display": "Ubuntu 24.04 (Noble)", "distribution": "ubuntu", "release": "24.04", "build_distribution": "noble",
            "sysReqs": true, "binaries": true, "hidden": false, "official_rspm": true, "arch": ["x86_64", "arm64"],
        })
    );
    assert_eq!(team.get("/__ping__").await.status, 200);
}

#[tokio::test]
async fn repos_and_sources() {
    let team = Team::synced().await;
    let repos = team.get("/__api__/repos").await.json();
    let named: Vec<(&Value, &Value, &Value)> =
        repos.as_array().unwrap().iter().map(|r| (&r["id"], &r["name"], &r["type"])).collect();
    let expected = json!([[1, "cran", "R"], [2, "pypi", "Python"], [3, "bioconductor", "Bioconductor"]]);
    assert_eq!(json!(named), expected);
    assert_eq!(team.get("/__api__/repos/cran").await.json(), team.get("/__api__/repos/1").await.json());
    assert_eq!(team.get("/__api__/repos/cran").await.json()["created"], "2024-01-20T06:00:00Z");
    let sources = team.get("/__api__/repos/pypi/sources").await.json();
    assert_eq!((&sources[0]["name"], &sources[0]["type"]), (&json!("pypi"), &json!("pypi")));
    assert_eq!(team.get("/__api__/sources").await.json().as_array().unwrap().len(), 2);
    let first = team.get("/__api__/repos/cran/first-transaction").await.json();
    assert_eq!(first["alias"], "2024-01-01");
}

#[tokio::test]
async fn packages() {
    let team = Team::synced().await;
    let list = team.get("/__api__/repos/cran/packages").await;
    assert_eq!(list.header("x-total-count"), "2");
    assert_eq!(list.json()[0]["name"], "alpha");
    let names = async |query: &str| -> Vec<String> {
        let list = team.get(&format!("/__api__/repos/pypi/packages{query}")).await.json();
        list.as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("?name_like=ALP").await, ["alpha-py"]);
    assert_eq!(names("?name=alpha").await, [""; 0]);
    assert_eq!(names("?_order=desc&_limit=1").await, ["beta"]);
    assert_eq!(names("?_limit=1&_page=2").await, ["beta"]);
    assert_eq!(names("?snapshot=2024-01-03").await, ["alpha-py"]);
    let alpha = team.get("/__api__/repos/cran/packages/alpha").await.json();
    assert_eq!(
        (&alpha["version"], &alpha["license"], &alpha["date_publication"]),
        (&json!("2.0"), &json!("MIT"), &json!("2024-01-10T12:00:00Z"))
    );
    assert_eq!(alpha["archived"], json!([{"version": "1.0", "date_publication": "2024-01-02T12:00:00Z"}]));
    assert_eq!(alpha["imports"], json!([{"name": "beta", "operator": "", "version": ""}]));
    let old = team.get("/__api__/repos/cran/packages/alpha?version=1.0").await.json();
    let told = |record: &Value, member: &str| record[member].clone();
    assert_eq!((told(&old, "version"), told(&old, "name")), (json!("1.0"), json!("alpha")));
    let hardly = ["checksum", "title", "license", "date_publication", "imports", "archived", "available_versions"];
    assert_eq!(
        hardly.map(|member| told(&old, member)),
        [json!(""), json!(""), json!(""), json!(null), json!(null), json!(null), json!(null)]
    );
    let asked = team.get("/__api__/repos/cran/packages/alpha?version=2.0").await.json();
    assert_eq!(asked, alpha, "the current version is told whole");
    let before = team.get("/__api__/repos/cran/packages/alpha?version=1.0&snapshot=2024-01-05").await.json();
    assert_eq!((&before["license"], &before["available_versions"]), (&json!("MIT"), &json!(["1.0"])), "it was current");
    assert_eq!((&alpha["available_versions"], &alpha["licenses"]), (&json!(["1.0", "2.0"]), &json!(["MIT"])));
    assert!(
        alpha["package_size"].as_u64().is_some_and(|size| size > 0) && alpha["license_types"] == json!(["permissive"])
    );
    let python = team.get("/__api__/repos/pypi/packages/Alpha_Py").await.json();
    // 3.0 was yanked.
    assert_eq!((&python["version"], &python["available_versions"]), (&json!("2.0"), &json!(["1.0", "2.0", "3.0"])));
    assert_eq!((&python["license"], &python["license_types"]), (&json!("MIT"), &json!(["permissive"])));
    assert_eq!(team.get("/__api__/sources/pypi/packages?name_like=b").await.json()[0]["name"], "beta");
}

#[tokio::test]
async fn bad_questions_get_errors_that_help() {
    let team = Team::synced().await;
    for (path, status, reason) in [
        ("/__api__/repos/nothing", 404, "there is no repository \"nothing\""),
        ("/__api__/repos/cran/packages/nothing", 404, "there is no package nothing"),
        ("/__api__/repos/cran/packages/alpha?version=7", 404, "there is no package alpha 7"),
        ("/__api__/repos/cran/packages?_limit=0", 400, "_limit must be a number from 1 to 10000"),
        ("/__api__/repos/cran/packages?_limit=99999999999999999999", 400, "_limit"),
        ("/__api__/repos/cran/packages?_page=-1", 400, "_page"),
        ("/__api__/repos/cran/packages?_order=up", 400, "_order must be asc or desc"),
        ("/__api__/repos/cran/packages?snapshot=2024-02-31", 404, "there is no snapshot"),
        ("/__api__/sources/9/transactions", 404, "there is no source"),
        ("/__api__/nothing", 404, "there is nothing at"),
    ] {
        let answer = team.get(path).await;
        assert_eq!(answer.status, status, "{path}");
        let body = answer.json();
        assert_eq!(body["code"], status, "{path}");
        assert!(body["error"].as_str().unwrap().contains(reason), "{path}: {body}");
    }
}

#[tokio::test]
async fn refusals_before_the_handlers_have_the_same_shape() {
    let team = Team::synced().await;
    let client = reqwest::Client::new();
    let wrong_method = team.send(client.delete(team.url("/__api__/repos"))).await;
    assert_eq!(wrong_method.json(), json!({"code": 405, "error": "Method Not Allowed"}));
    assert!(wrong_method.header("allow").contains("GET"));
    let twice = team.get("/__api__/repos/cran/packages?name=a&name=b").await;
    assert_eq!((twice.status.as_u16(), &twice.json()["code"]), (400, &json!(400)));
    let no_utf8 = team.get("/__api__/repos/%ff").await;
    assert_eq!((no_utf8.status.as_u16(), &no_utf8.json()["code"]), (400, &json!(400)));
}

#[tokio::test]
async fn the_home_page_tells_how_to_use_the_repos() {
    let team = Team::synced().await;
    for path in ["/", "/client/"] {
        let page = team.get(path).await;
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        let text = page.text().replace("&#x2f;", "/");
        assert!(text.contains(&team.url("/pypi/latest/simple")), "{text}");
        assert!(page.text().contains("data-automation=\"home-title\"") && page.text().contains("not affiliated"));
    }
}

#[tokio::test]
async fn short_lists_are_filtered_ordered_and_paged() {
    let team = Team::synced().await;
    let names = async |path: &str| -> Vec<String> {
        let answer = team.get(path).await.json();
        answer.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    for list in ["/__api__/repos", "/__api__/sources"] {
        let all = names(list).await;
        assert!(all.len() > 1 && all.contains(&"pypi".to_owned()), "{all:?}");
        let mut sorted = all.clone();
        sorted.sort();
        assert_eq!(names(&format!("{list}?_sort=name")).await, sorted);
        sorted.reverse();
        assert_eq!(names(&format!("{list}?_sort=name&_order=desc")).await, sorted);
        assert_eq!(names(&format!("{list}?_limit=1&_page=2")).await, all[1..2]);
        assert_eq!(names(&format!("{list}?name=pypi")).await, ["pypi"]);
        assert!(names(&format!("{list}?name=pyp")).await.is_empty());
        assert_eq!(names(&format!("{list}?name_like=YP")).await, ["pypi"]);
        assert_eq!(team.get(&format!("{list}?_limit=1")).await.header("x-total-count"), all.len().to_string());
    }
    assert!(names("/__api__/repos/pypi/sources?name_like=cran").await.is_empty());
    assert_eq!(names("/__api__/repos/pypi/sources?_sort=id").await, ["pypi"]);
}

#[tokio::test]
async fn the_address_of_manuals_tells_what_documents_there_are() {
    let team = Team::synced().await;
    let text = team.text("/__docs__/").await.replace("&#x2f;", "/");
    assert!(text.contains("not affiliated with Posit") && text.contains("docs/FIDELITY.md"), "{text}");
    let links: Vec<&str> = text.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for path in ["/__api__/swagger/index.html", "/client/view/repos/cran/setup", "/client/view/repos/pypi/setup"] {
        let link = links.iter().find(|link| link.replace("&#x2f;", "/").ends_with(path));
        assert!(link.is_some(), "{path}: {links:?}");
        assert_eq!(team.get(path).await.status, 200, "{path}");
    }
    let moved = team.get("/__docs__").await;
    assert_eq!((moved.status.as_u16(), moved.header("location")), (303, "/__docs__/"));
    assert_eq!(team.get("/__docs__/admin/none").await.status, 404);
}
