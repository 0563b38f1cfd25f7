//! System requirements, distributions and the lists of binaries.

use serde_json::{Value, json};
use sim_kit::Running;

use crate::Team;
use crate::service::Service;
use crate::upstream::fed_by_ours;

async fn team() -> (Team, Running) {
    let (team, upstream) = fed_by_ours("2026-11-20T06:00:00Z", &["curl", "sf", "jsonlite", "rJava"]).await;
    team.sync().await;
    (team, upstream)
}

const UBUNTU: &str = "distribution=ubuntu&release=22.04";

#[tokio::test]
async fn of_named_packages_and_of_all() {
    let (team, _upstream) = team().await;
    let path = "/__api__/repos/cran/sysreqs";
    let named =
        team.get(&format!("{path}?all=false&pkgname=curl&pkgname=jsonlite&pkgname=rJava&{UBUNTU}")).await.json();
    let curl = &named["requirements"][0];
    assert_eq!(curl["name"], "curl");
    assert_eq!(curl["requirements"]["packages"][0], "libcurl4-openssl-dev");
    assert_eq!(curl["requirements"]["install_scripts"][0], "apt-get install -y libcurl4-openssl-dev");
    let java = &named["requirements"][1];
    assert_eq!(java["requirements"]["post_install"], json!([{"command": "R CMD javareconf"}]));
    assert_eq!(named["requirements"].as_array().unwrap().len(), 2, "jsonlite needs nothing");
    let all = team.get(&format!("{path}?all=true&{UBUNTU}")).await.json();
    let all = all["requirements"].as_array().unwrap();
    let names: Vec<&Value> = all.iter().map(|row| &row["name"]).collect();
    assert!(names.contains(&&json!("sf")) && !names.contains(&&json!("jsonlite")), "{names:?}");
    assert_eq!(all.iter().find(|row| row["name"] == "curl"), Some(curl));

    let rocky = team.get(&format!("{path}?pkgname=sf&distribution=rockylinux&release=9")).await.json();
    let steps = &rocky["requirements"][0]["requirements"];
    assert_eq!(steps["pre_install"], json!([{"command": "dnf install -y epel-release"}]));
    assert!(steps["install_scripts"].as_array().unwrap().contains(&json!("dnf install -y gdal-devel")), "{steps}");
    let old = team.get(&format!("{path}?pkgname=sf&distribution=redhat&release=7")).await.json();
    let steps = old["requirements"][0]["requirements"]["pre_install"].as_array().unwrap();
    assert_eq!((steps.len(), steps[0].as_object().unwrap().len()), (1, 1), "{steps:?}");
    assert!(steps[0]["script"].as_str().unwrap().starts_with("#!/bin/sh\n"), "{steps:?}");
    let one = team.get(&format!("/__api__/repos/cran/packages/curl/sysreqs?{UBUNTU}")).await.json();
    assert_eq!(one, *curl);

    for (query, status, reason) in [
        (format!("pkgname=curl&pkgname=none&{UBUNTU}"), 404, "no package \"none\""),
        (UBUNTU.to_owned(), 400, "all=true"),
        (format!("all=maybe&{UBUNTU}"), 400, "true or false"),
        ("all=true".to_owned(), 400, "distribution=ubuntu"),
        ("all=true&distribution=ubuntu&release=1.0".to_owned(), 400, "ubuntu 22.04"),
        ("all=true&distribution=windows&release=all".to_owned(), 400, "not known"),
    ] {
        let answer = team.get(&format!("{path}?{query}")).await;
        assert_eq!(answer.status, status, "{query}: {}", answer.text());
        assert!(answer.json()["error"].as_str().unwrap().contains(reason), "{query}: {}", answer.text());
    }
    assert_eq!(team.get(&format!("/__api__/repos/pypi/sysreqs?all=true&{UBUNTU}")).await.status, 400);
}

#[tokio::test]
async fn of_a_description_and_what_it_needs() {
    let (team, _upstream) = team().await;
    let post = async |body: &str, query: &str| {
        let path = format!("/__api__/repos/1/sysreqs?{UBUNTU}{query}");
        team.send(team.request("POST", &path).header("content-type", "text/plain").body(body.to_owned())).await
    };
    let description = "Package: own\nVersion: 1.0\nSystemRequirements: libxml2 (>= 2.6)\nImports: jsonlite, sf (>= 0.1), utils\n\
                       Suggests: curl\n";
    let found = post(description, "").await.json();
    assert_eq!(found["install_scripts"], json!(["apt-get install -y libxml2-dev"]));
    assert_eq!((&found["pre_install"], &found["post_install"]), (&json!([]), &json!([])));
    let names = |found: &Value| -> Vec<String> {
        let rows = found["dependencies"].as_array().unwrap();
        rows.iter().map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert!(names(&found).contains(&"sf".to_owned()) && names(&found).contains(&"units".to_owned()), "{found}");
    assert!(!names(&found).contains(&"curl".to_owned()));
    assert!(names(&post(description, "&suggests=true").await.json()).contains(&"curl".to_owned()));
    let bad = post("this is no description", "").await;
    assert!(bad.status == 400 && bad.text().contains("DESCRIPTION"), "{}", bad.text());
}

#[tokio::test]
async fn the_service_says_which_distributions_there_are() {
    let (team, _upstream) = team().await;
    let distros = team.get("/__api__/status").await.json()["distros"].take();
    let jammy = distros.as_array().unwrap().iter().find(|distro| distro["name"] == "jammy").unwrap();
    let expected = json!({
        "name": "jammy", "os": "linux", "binaryDisplay": "Ubuntu 22.04 (Jammy)", "binaryURL": "jammy",
        "display": "Ubuntu 22.04 (Jammy)", "distribution": "ubuntu", "release": "22.04", "build_distribution": "jammy",
        "sysReqs": true, "binaries": true, "hidden": false, "official_rspm": true, "arch": ["x86_64"],
    });
    assert_eq!(*jammy, expected);
    let unknown = team.get("/cran/__linux__/warty/latest/src/contrib/PACKAGES").await;
    assert!(unknown.status == 404 && unknown.text().contains("jammy, "), "{}", unknown.text());

    // Nothing is built for this one, nor for that CPU.
    let packages = team.text("/cran/latest/src/contrib/PACKAGES").await;
    let version = packages.split("Package: jsonlite\nVersion: ").nth(1).unwrap().lines().next().unwrap();
    let kind = async |path: &str, arch: &str| {
        let path = format!("/cran/{path}/src/contrib/jsonlite_{version}.tar.gz");
        let agent = format!("R (4.4.1 {arch}-pc-linux-gnu {arch} linux-gnu)");
        team.get_with(&path, &[("user-agent", agent.as_str())]).await.header("x-package-binary-tag").to_owned()
    };
    assert_eq!(kind("__linux__/noble/latest", "aarch64").await, "4.4-noble-arm64");
    assert_eq!(kind("__linux__/jammy/latest", "x86_64").await, "4.4-jammy");
    assert_eq!(kind("__linux__/jammy/latest", "aarch64").await, "");
    assert_eq!(kind("__linux__/buster/latest", "x86_64").await, "");

    // What a service tells takes the place of what is built in.
    let service = Service::with_packages().await;
    service.offer("distros");
    let told = json!({
        "arch": ["x86_64"], "binaries": true, "code": "hamm", "display": "Hamm", "distribution": "debian", "hidden": false,
        "install_command": null, "name": "hamm", "os": "linux", "release": "2", "sysreqs": false,
    });
    service.document("distros", "hamm", told, 2);
    service.document("distros", "odd", json!({"name": 1}), 2);
    service.publish_feed("distros", 15);
    let team = Team::of(service).await;
    assert_eq!(team.get("/__api__/status").await.json()["distros"].as_array().unwrap().len(), 35);
    team.sync().await;
    assert_eq!(team.get("/__api__/status").await.json()["distros"].as_array().unwrap().len(), 1);
    assert_eq!(team.get("/cran/__linux__/hamm/latest/src/contrib/PACKAGES").await.status, 200);
    assert_eq!(team.get("/cran/__linux__/jammy/latest/src/contrib/PACKAGES").await.status, 404);
    // One that is withdrawn is served no more, and clients are told so.
    team.service.withdraw("distros", "hamm", 16);
    team.service.publish_feed("distros", 17);
    team.sync().await;
    assert_eq!(team.get("/__api__/status").await.json()["distros"], json!([]));
    let gone = team.get("/cran/__linux__/hamm/latest/src/contrib/PACKAGES").await;
    assert!(gone.status == 404 && gone.text().contains("no distribution \"hamm\""), "{}", gone.text());
    assert_eq!(team.get("/cran/latest/src/contrib/PACKAGES").await.status, 200);
}

#[tokio::test]
async fn binaries_are_counted() {
    let (team, _upstream) = team().await;
    let list = team.get("/__api__/repos/cran/binaries").await.json();
    let find = |tag: &str| list.as_array().unwrap().iter().find(|row| row["tag"] == tag).cloned().unwrap();
    for tag in ["4.4-noble-arm64", "4.4-win", "4.6-macos-arm64"] {
        let row = find(tag);
        let index = team.text(&format!("/cran/latest/{}/PACKAGES", row["path"].as_str().unwrap())).await;
        assert_eq!(row["packages"], index.matches("Package: ").count(), "{row}");
    }
    assert_eq!(team.get("/__api__/repos/pypi/binaries").await.json(), json!([]));
}
