//! Repos, sources and packages in the hands of administrators.

use pkg_formats::archive::Files;
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::sdist::SdistSpec;
use pkg_formats::python::wheel::WheelSpec;
use pkg_formats::r::source::{SourceSpec, description};
use serde_json::{Value, json};

use crate::{Answer, Team};

/// An R source package.
pub(crate) fn r_package(name: &str, version: &str, title: &str) -> Vec<u8> {
    SourceSpec { description: description(name, version, title), files: Files::new() }.tar_gz().unwrap()
}

/// File name and bytes of a wheel.
pub(crate) fn wheel(name: &str, version: &str) -> (String, Vec<u8>) {
    let spec = WheelSpec::new(Metadata::new(name, version), Files::new());
    (spec.file_name().unwrap(), spec.zip().unwrap())
}

fn refused(answer: &Answer, status: u16, reason: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!(body["code"], status);
    assert!(body["error"].as_str().unwrap().contains(reason), "{body}");
}

#[tokio::test]
async fn repos_and_sources_come_and_go() {
    let team = Team::synced().await;
    let made = team.does("POST", "/__api__/repos", json!({"name": "prod", "type": "r", "description": "d"})).await;
    assert_eq!((&made["id"], &made["type"], &made["auth"]), (&json!(4), &json!("R"), &json!(false)));
    assert_eq!(team.get("/prod/latest/src/contrib/PACKAGES").await.status, 404, "it has no sources");
    team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
    team.does("POST", "/__api__/repos/prod/sources", json!({"source": "team"})).await;
    assert_eq!(team.text("/prod/latest/src/contrib/PACKAGES").await, "");
    refused(&team.admin("POST", "/__api__/repos/prod/sources", json!({"source": "team"})).await, 409, "already");
    refused(&team.admin("POST", "/__api__/repos/prod/sources", json!({"source": "pypi"})).await, 400, "Python");
    refused(&team.admin("DELETE", "/__api__/sources/team", Value::Null).await, 409, "prod");
    refused(&team.admin("DELETE", "/__api__/sources/cran", Value::Null).await, 400, "built in");
    refused(&team.admin("POST", "/__api__/repos", json!({"name": "prod"})).await, 409, "taken");
    refused(&team.admin("POST", "/__api__/sources", json!({"name": "cran"})).await, 409, "taken");
    for name in ["", "12", "a/b", "__api__", "latest", "a b", "é", &"x".repeat(65)] {
        refused(&team.admin("POST", "/__api__/repos", json!({"name": name})).await, 400, "cannot be a name");
        refused(&team.admin("POST", "/__api__/sources", json!({"name": name})).await, 400, "cannot be a name");
    }
    refused(
        &team.admin("POST", "/__api__/repos", json!({"name": "x", "type": "Ruby"})).await,
        400,
        "R, Python, Bioconductor and VSX",
    );
    refused(&team.admin("POST", "/__api__/sources", json!({"name": "x", "type": "svn"})).await, 400, "local-python");
    refused(&team.admin("POST", "/__api__/repos", json!({"nome": "x"})).await, 400, "nome");

    let edited = team.does("PATCH", "/__api__/repos/prod", json!({"name": "live", "hidden": true})).await;
    assert_eq!((&edited["description"], &edited["hidden"]), (&json!("d"), &json!(true)));
    assert_eq!(team.get("/prod/latest/src/contrib/PACKAGES").await.status, 404);
    assert_eq!(team.get("/live/latest/src/contrib/PACKAGES").await.status, 200);
    let was = team.does("POST", "/__api__/repos/live/sources", json!({"source": "cran"})).await;
    assert_eq!(was.as_array().unwrap().len(), 2);
    team.does("DELETE", "/__api__/repos/live/sources/team", Value::Null).await;
    refused(&team.admin("DELETE", "/__api__/repos/live/sources/team", Value::Null).await, 404, "not subscribe");
    team.does("DELETE", "/__api__/sources/team", Value::Null).await;
    assert_eq!(team.get("/__api__/sources/team").await.status, 404);
    team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
    team.does("DELETE", "/__api__/repos/live", Value::Null).await;
    assert_eq!(team.get("/live/latest/src/contrib/PACKAGES").await.status, 404);
}

#[tokio::test]
async fn r_packages_are_added_archived_and_removed() {
    let team = Team::synced().await;
    team.does("POST", "/__api__/repos", json!({"name": "prod"})).await;
    team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
    for source in ["team", "cran"] {
        team.does("POST", "/__api__/repos/prod/sources", json!({"source": source})).await;
    }
    let packages = async || team.text("/prod/latest/src/contrib/PACKAGES").await;
    let cran = packages().await;
    assert!(cran.contains("Package: alpha\nVersion: 2.0\n"));
    let added = team.add("team", "", r_package("alpha", "9.1", "Ours")).await;
    assert_eq!(added.status, 201, "{}", added.text());
    let first = added.json()["transaction"].as_i64().unwrap();
    // The first source wins, whole packages at a time.
    assert!(packages().await.contains("Package: alpha\nVersion: 9.1\n") && !packages().await.contains("Version: 2.0"));
    let file = team.get("/prod/latest/src/contrib/alpha_9.1.tar.gz").await;
    assert_eq!((file.status.as_u16(), file.header("x-package-type")), (200, "source"));
    assert_eq!(team.get("/prod/latest/src/contrib/alpha_2.0.tar.gz").await.status, 404);
    team.does("PUT", "/__api__/repos/prod/sources", json!({"sources": ["cran", "team"]})).await;
    assert_eq!(packages().await, cran);
    team.does("PUT", "/__api__/repos/prod/sources", json!({"sources": ["team", "cran"]})).await;

    assert_eq!(team.add("team", "", r_package("alpha", "9.3", "")).await.status, 201);
    // An older one goes to the archive.
    assert_eq!(team.add("team", "", r_package("alpha", "9.2", "")).await.status, 201);
    assert!(packages().await.contains("Package: alpha\nVersion: 9.3\n"));
    for old in ["9.1", "9.2"] {
        let path = format!("/prod/latest/src/contrib/Archive/alpha/alpha_{old}.tar.gz");
        assert_eq!(team.get(&path).await.status, 200);
    }
    refused(&team.add("team", "", r_package("alpha", "9.3", "")).await, 409, "there already");
    assert_eq!(team.add("team", "?replace=true", r_package("alpha", "9.3", "New")).await.status, 201);
    team.does("DELETE", "/__api__/sources/team/packages/alpha?which=current", Value::Null).await;
    assert!(packages().await.contains("Package: alpha\nVersion: 9.2\n"));
    team.does("POST", "/__api__/sources/team/packages/alpha/archive", Value::Null).await;
    refused(&team.admin("POST", "/__api__/sources/team/packages/alpha/archive", Value::Null).await, 409, "archived");
    assert_eq!(packages().await, cran, "what no source before has any more comes from the next");
    assert_eq!(team.get("/prod/latest/src/contrib/alpha_2.0.tar.gz").await.status, 200);
    team.does("DELETE", "/__api__/sources/team/packages/alpha?which=all", Value::Null).await;
    refused(&team.admin("DELETE", "/__api__/sources/team/packages/alpha?which=all", Value::Null).await, 404, "alpha");
    refused(&team.admin("DELETE", "/__api__/sources/cran/packages/alpha?which=all", Value::Null).await, 400, "cran");
    // What a transaction showed it shows still.
    let then = team.text(&format!("/prod/{first}/src/contrib/PACKAGES")).await;
    assert!(then.contains("Package: alpha\nVersion: 9.1\n"));
    assert_eq!(team.get(&format!("/prod/{first}/src/contrib/alpha_9.1.tar.gz")).await.status, 200);
    let log = team.get("/__api__/sources/team/transactions?_order=asc").await.json();
    let actions: Vec<&str> = log.as_array().unwrap().iter().map(|t| t["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["Create", "Add", "Add", "Add", "Add", "Remove", "Archive", "Remove"]);
}

#[tokio::test]
async fn python_packages_are_added_yanked_and_removed() {
    let team = Team::synced().await;
    team.does("POST", "/__api__/repos", json!({"name": "py", "type": "Python"})).await;
    team.does("POST", "/__api__/sources", json!({"name": "wheels", "type": "local-python"})).await;
    for source in ["wheels", "pypi"] {
        team.does("POST", "/__api__/repos/py/sources", json!({"source": source})).await;
    }
    let (name, bytes) = wheel("Alpha_Py", "7.0");
    let query = format!("?filename={name}&sha256={}", pkg_formats::psp::Digest::of(&bytes));
    assert_eq!(team.add("wheels", &query, bytes.clone()).await.status, 201);
    let page = team.text("/py/latest/simple/alpha-py/").await;
    assert!(page.contains(&name) && !page.contains("2.0"), "the first source wins: {page}");
    let href = page.split("href=\"../../").nth(1).unwrap().split('#').next().unwrap();
    assert_eq!(team.get(&format!("/py/latest/{href}")).await.body, bytes);
    assert_eq!(
        team.text(&format!("/py/latest/{href}.metadata")).await,
        "Metadata-Version: 2.1\nName: Alpha_Py\nVersion: 7.0\n"
    );
    let sdist = SdistSpec { metadata: Metadata::new("alpha-py", "7.1"), files: Files::new() };
    let sdist_name = sdist.file_name().unwrap();
    assert_eq!(team.add("wheels", &format!("?filename={sdist_name}"), sdist.tar_gz().unwrap()).await.status, 201);
    let yank = json!({"which": "7.0", "reason": "bad"});
    team.does("POST", "/__api__/sources/wheels/packages/alpha.py/yank", yank).await;
    assert!(team.text("/py/latest/simple/alpha-py/").await.contains("data-yanked=\"bad\""));
    team.does("DELETE", &format!("/__api__/sources/wheels/packages/alpha-py?which={name}"), Value::Null).await;
    let page = team.text("/py/latest/simple/alpha-py/").await;
    assert!(page.contains(&sdist_name) && !page.contains(&name));
    team.does("DELETE", "/__api__/sources/wheels/packages/alpha-py?which=all", Value::Null).await;
    assert!(team.text("/py/latest/simple/alpha-py/").await.contains("2.0"), "the next source has it");

    for (query, bytes, status, reason) in [
        (format!("?filename={name}&sha256=00"), bytes.clone(), 400, "SHA-256"),
        (format!("?filename={name}&md5=00"), bytes.clone(), 400, "MD5"),
        (String::new(), bytes.clone(), 400, "name of the file is missing"),
        ("?filename=alpha_py-7.0.zip".to_owned(), bytes.clone(), 400, "expected a wheel"),
        ("?filename=alpha_py-7.5-py3-none-any.whl".to_owned(), bytes.clone(), 400, "those inside"),
        ("?filename=a/../b-1.0-py3-none-any.whl".to_owned(), bytes.clone(), 400, "characters"),
        (format!("?filename={name}"), b"nonsense".to_vec(), 400, "not a Python package"),
        (format!("?filename={name}"), bytes[..bytes.len() / 2].to_vec(), 400, "not a Python package"),
        ("?filename=a-1.0.tar.gz".to_owned(), r_package("a", "1.0", ""), 400, "not a Python package"),
        ("?nonsense=1".to_owned(), bytes.clone(), 400, "nonsense"),
    ] {
        refused(&team.add("wheels", &query, bytes).await, status, reason);
    }
    team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
    for (query, bytes, reason) in [
        ("", bytes.clone(), "not an R source package"),
        ("?filename=x-1.0-py3-none-any.whl", bytes.clone(), "wheel"),
        ("?filename=b_1.0.tar.gz", r_package("a", "1.0", ""), "must be named a_1.0.tar.gz"),
        ("", r_package("a", "1.0", "")[..40].to_vec(), "not an R source package"),
        ("", Vec::new(), "not an R source package"),
    ] {
        refused(&team.add("team", query, bytes).await, 400, reason);
    }
    refused(&team.add("cran", "", r_package("a", "1.0", "")).await, 400, "type cran");
}

#[tokio::test]
async fn sources_that_follow_another_move_only_when_told() {
    let team = Team::synced().await;
    let create = |name: &str, kind: &str, date: &str| json!({"name": name, "type": kind, "snapshot": date});
    team.does("POST", "/__api__/sources", create("frozen", "cran-snapshot", "2024-01-05")).await;
    team.does("POST", "/__api__/sources", create("chosen", "curated-cran", "2024-01-12")).await;
    team.does("POST", "/__api__/sources", create("pychosen", "curated-pypi", "2024-01-12")).await;
    for (repo, kind) in [("frozen", "R"), ("chosen", "R"), ("pychosen", "Python")] {
        team.does("POST", "/__api__/repos", json!({"name": repo, "type": kind})).await;
        team.does("POST", &format!("/__api__/repos/{repo}/sources"), json!({"source": repo})).await;
    }
    let packages = async |repo: &str| team.text(&format!("/{repo}/latest/src/contrib/PACKAGES")).await;
    assert_eq!(packages("frozen").await, team.text("/cran/2024-01-05/src/contrib/PACKAGES").await);
    let tried = team.does("POST", "/__api__/sources/frozen/update", json!({"snapshot": "2024-01-12"})).await;
    assert_eq!(tried["committed"], false);
    assert_eq!(packages("frozen").await, team.text("/cran/2024-01-05/src/contrib/PACKAGES").await);
    let wanted = json!({"snapshot": "2024-01-12", "commit": true});
    let before = team.does("GET", "/__api__/sources/frozen/transactions?_limit=1", Value::Null).await[0]["id"].clone();
    team.does("POST", "/__api__/sources/frozen/update", wanted).await;
    assert_eq!(packages("frozen").await, team.text("/cran/2024-01-12/src/contrib/PACKAGES").await);
    assert_eq!(team.get("/frozen/latest/src/contrib/alpha_2.0.tar.gz").await.status, 200);
    assert_eq!(team.get(&format!("/__api__/sources/frozen/packages?_limit={before}")).await.status, 200);

    // alpha imports beta.
    let wanted = json!({"packages": ["alpha"]});
    let tried = team.does("POST", "/__api__/sources/chosen/update", wanted).await;
    let names: Vec<&str> = tried["added"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["alpha", "beta"]);
    assert_eq!(packages("chosen").await, "");
    let wanted = json!({"packages": ["alpha"], "include": ["none"], "commit": true});
    let done = team.does("POST", "/__api__/sources/chosen/update", wanted).await;
    assert_eq!(done["added"], json!([{"name": "alpha", "version": "2.0"}]));
    assert!(packages("chosen").await.contains("Package: alpha\nVersion: 2.0\n"));
    let then = done["transaction"].as_i64().unwrap();
    let wanted = json!({"snapshot": "2024-01-05", "include": ["none"], "commit": true});
    let done = team.does("POST", "/__api__/sources/chosen/update", wanted).await;
    assert_eq!(done["updated"], json!([{"name": "alpha", "version": "1.0"}]));
    assert!(packages("chosen").await.contains("Package: alpha\nVersion: 1.0\n"));
    assert!(team.text(&format!("/chosen/{then}/src/contrib/PACKAGES")).await.contains("Version: 2.0\n"));
    team.does("POST", "/__api__/sources/chosen/update", json!({"remove": ["alpha"], "commit": true})).await;
    assert_eq!(packages("chosen").await, "");

    let wanted = json!({"requirements": "Alpha.Py<2 # ours\n", "commit": true});
    let done = team.does("POST", "/__api__/sources/pychosen/update", wanted).await;
    assert_eq!(done["added"], json!([{"name": "alpha-py", "version": "1.0"}]));
    let page = team.text("/pychosen/latest/simple/alpha-py/").await;
    assert!(page.contains("alpha_py-1.0") && !page.contains("alpha_py-2.0"));
    assert_eq!(team.get("/pychosen/latest/simple/beta/").await.status, 404);

    let update =
        async |source: &str, body| team.admin("POST", &format!("/__api__/sources/{source}/update"), body).await;
    refused(&update("chosen", json!({"packages": ["nothing"]})).await, 400, "no package nothing");
    refused(&update("chosen", json!({"include": ["love"]})).await, 400, "love");
    refused(&update("chosen", json!({"snapshot": "2031-01-01"})).await, 400, "snapshots from");
    refused(&update("chosen", json!({"snapshot": "2024-02-31"})).await, 400, "not a date");
    refused(&update("pychosen", json!({"requirements": "-e ."})).await, 400, "editable");
    refused(&update("pychosen", json!({"requirements": "beta==77"})).await, 400, "beta==77");
    assert_eq!(update("pychosen", json!({})).await.json()["updated"], json!([]), "it knows its requirements");
    refused(&update("cran", json!({})).await, 400, "type cran");
}

#[tokio::test]
async fn a_date_shows_what_was_there_before_it_began() {
    let team = Team::synced().await;
    team.does("POST", "/__api__/repos", json!({"name": "prod"})).await;
    team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
    team.does("POST", "/__api__/repos/prod/sources", json!({"source": "team"})).await;
    for version in ["1.0", "1.1"] {
        assert_eq!(team.add("team", "", r_package("own", version, "")).await.status, 201);
    }
    let dates = async || team.get("/__api__/repos/prod/transaction-dates").await.json();
    assert_eq!(dates().await, json!([]), "no date shows it yet");
    assert_eq!(team.get("/prod/2024-01-21/src/contrib/PACKAGES").await.status, 404);
    assert_eq!(team.text("/prod/2024-01-20/src/contrib/PACKAGES").await, "");
    team.running.world().clock().advance(std::time::Duration::from_secs(18 * 3600)).await;
    let told = dates().await;
    assert_eq!((told.as_array().unwrap().len(), &told[0]["alias"]), (1, &json!("2024-01-21")));
    let by_date = team.text("/prod/2024-01-21/src/contrib/PACKAGES").await;
    assert!(by_date.contains("Version: 1.1"));
    assert_eq!(by_date, team.text(&format!("/prod/{}/src/contrib/PACKAGES", told[0]["id"])).await);
    // Midnight is now, and this date has been served: what comes now is not in it.
    assert_eq!(team.add("team", "", r_package("own", "1.2", "")).await.status, 201);
    assert_eq!(team.text("/prod/2024-01-21/src/contrib/PACKAGES").await, by_date);
}
