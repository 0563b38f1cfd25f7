//! Being a release: what it has, and what it does not have yet.

use std::fmt::Write as _;
use std::path::Path;

use connect_sim::differences::Difference;
use connect_sim::{Config, product};
use serde_json::{Value, json};
use sim_kit::testing::generated;
use sim_kit::{World, WorldConfig};

use super::app::{TestApp, bundle, python_bundle, static_bundle};

async fn release(version: &str) -> TestApp {
    TestApp::with(Config { version: version.parse().unwrap(), ..Config::default() }).await
}

#[tokio::test]
async fn the_document_lists_what_came_when() {
    let world = World::open(&WorldConfig::default(), connect_sim::store::MIGRATIONS).await.unwrap();
    let routes = (product(Config::default()).build)(world).await.unwrap().routes;
    let mut text = "# Releases of Connect\n\n\
        Connect can be any release from 2022.11.0 on: `--as 2024.08.0`, or `TEAMSIM_CONNECT_VERSION`. What is below came with\n\
        the release that stands beside it; everything else is in all of them. This file is generated from the tables in\n\
        `connect-sim/src/differences.rs` and `connect-sim/src/routes.rs`; bring it up to date with\n\n\
        ```sh\ncargo nextest run -p connect-sim versions::\n```\n\n\
        ## Fields, parameters, settings\n\n| release | where | what |\n|---|---|---|\n"
        .to_owned();
    for one in Difference::ALL {
        writeln!(text, "| {} | {} | {} |", one.since(), one.place().as_str(), one.what()).unwrap();
    }
    text += "\n## Routes\n\n| release | route |\n|---|---|\n";
    let mut rows: Vec<(&str, String)> = routes
        .iter()
        .filter(|route| !route.since.is_empty())
        .map(|route| (route.since, format!("`{} {}`", route.method, route.path)))
        .collect();
    rows.sort();
    for (since, route) in rows {
        writeln!(text, "| {since} | {route} |").unwrap();
    }
    generated(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/VERSIONS.md"), &text);
}

/// A route is there from its release on, and before gets the text by which clients know to use an older one.
#[tokio::test]
async fn routes_come_with_their_release() {
    for (before, since, path) in [
        ("2022.11.0", "2022.12.0", "/v1/content/{guid}/repository"),
        ("2023.03.0", "2023.05.0", "/v1/environments"),
        ("2024.03.0", "2024.04.0", "/v1/search/content"),
        ("2024.04.1", "2024.05.0", "/v1/system/caches/runtime"),
        ("2024.04.1", "2024.05.0", "/v1/server_settings/tensorflow"),
        ("2024.06.0", "2024.08.0", "/v1/oauth/integrations"),
        ("2024.09.0", "2024.11.0", "/v1/packages"),
        ("2025.03.0", "2025.04.0", "/v1/instrumentation/content/hits"),
        ("2025.11.0", "2025.12.0", "/v1/content/{guid}/lockfile"),
        ("2026.03.1", "2026.04.0", "/v1/server_settings/nodejs"),
    ] {
        let app = release(before).await;
        let guid = app.publisher().create("item").await;
        let answer = app.admin().get(&path.replace("{guid}", &guid)).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found"), "{before} {path}");
        let app = release(since).await;
        let guid = app.publisher().create("item").await;
        let answer = app.admin().get(&path.replace("{guid}", &guid)).await;
        assert_ne!(answer.text(), "404 page not found", "{since} {path}");
    }
}

#[tokio::test]
async fn content_types_come_with_their_release() {
    for (before, since, mode) in [
        ("2024.04.1", "2024.05.0", "tensorflow-saved-model"),
        ("2024.11.0", "2024.12.0", "python-gradio"),
        ("2025.09.1", "2025.10.0", "python-panel"),
        ("2026.03.1", "2026.04.0", "nodejs"),
    ] {
        let archive =
            bundle(&json!({"version": 1, "metadata": {"appmode": mode, "entrypoint": "app"}}), &[("app", "x")]);
        for (version, fits) in [(before, false), (since, true)] {
            let publisher = release(version).await.publisher();
            let guid = publisher.create("item").await;
            let answer = publisher.upload(&guid, archive.clone()).await;
            assert_eq!(answer.status.is_success(), fits, "{version} {mode}: {}", answer.text());
            if !fits {
                assert_eq!(answer.code(), (400, 148), "{version} {mode}");
            }
        }
    }
}

#[tokio::test]
async fn fields_come_with_their_release() {
    let shown = |version: &'static str| async move {
        let app = release(version).await;
        let publisher = app.publisher();
        let guid = publisher.publish("item", static_bundle("x")).await;
        let locked = publisher.patch(&format!("/v1/content/{guid}"), &json!({"locked": true})).await.ok();
        let bundle = publisher.get(&format!("/v1/content/{guid}/bundles/1")).await.ok();
        publisher.put(&format!("/v1/content/{guid}/vanity"), &json!({"path": "/item/"})).await.ok();
        let vanity =
            publisher.get(&format!("/v1/content/{guid}?include=vanity_url")).await.ok().get("vanity_url").is_some();
        let served = publisher.get(&format!("/content/{guid}/")).await.status.as_u16();
        let settings = publisher.get("/server_settings").await.ok();
        (locked, bundle, vanity, served, settings)
    };
    let (content, bundle, vanity, served, settings) = shown("2024.04.0").await;
    assert_eq!((content.get("locked"), &bundle["active"], vanity, served), (None, &json!(true), false, 200));
    assert_eq!(settings["oauth_integrations_enabled"], false);
    assert_eq!((&settings["license"]["allow-apis"], &settings["license"]["users"]), (&json!("1"), &json!("0")));
    assert!(settings["license"].get("oauth-integrations").is_none() && content.get("node_version").is_none());
    let (content, bundle, vanity, served, _) = shown("2024.08.0").await;
    assert_eq!((&content["locked"], &bundle["active"], vanity, served), (&json!(true), &json!(true), true, 403));
    let (content, _, _, _, settings) = shown("2026.04.0").await;
    assert_eq!((&content["node_version"], &settings["license"]["oauth-integrations"]), (&Value::Null, &json!(true)));

    for (version, there) in [("2025.09.0", false), ("2025.10.0", true)] {
        let app = release(version).await;
        let group = app.admin().post("/v1/groups", &json!({"name": "team"})).await.ok();
        let user = app.admin().get("/v1/user").await.ok();
        let has = [group.get("gid"), group.get("member_count"), user.get("external_id")].map(|member| member.is_some());
        assert_eq!(has, [there; 3], "{version}");
    }
    for (version, there) in [("2023.12.0", false), ("2024.01.0", true)] {
        let publisher = release(version).await.publisher();
        let guid = publisher.publish("visited", static_bundle("x")).await;
        publisher.get(&format!("/content/{guid}/")).await;
        let visit = publisher.get("/v1/instrumentation/content/visits").await.ok()["results"][0].clone();
        assert_eq!(
            [visit.get("path"), visit.get("user_agent")].map(|member| member.is_some()),
            [there; 2],
            "{version}"
        );
    }
    // There is no index here, and the log has said before which Python is taken.
    for (version, from) in [("2024.08.0", "python3.11 which"), ("2024.09.0", "python3.11 from Local which")] {
        let publisher = release(version).await.publisher();
        let guid = publisher.create("built").await;
        publisher.upload(&guid, python_bundle("python-api", "flask")).await.ok();
        let task = publisher.deploy(&guid, &json!({})).await;
        assert!(task["output"].to_string().contains(from), "{version}: {task}");
    }

    // Groups with a prefix: one page only, before.
    for (version, second) in [("2025.03.0", 2), ("2025.04.0", 1)] {
        let app = release(version).await;
        for name in ["team-a", "team-b", "team-c"] {
            app.admin().post("/v1/groups", &json!({ "name": name })).await.ok();
        }
        let page = app.admin().get("/v1/groups?prefix=team&page_size=2&page_number=2").await.ok();
        assert_eq!(page["results"].as_array().unwrap().len(), second, "{version}: {page}");
    }
    // Bundles as forms.
    let form = "--b\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n{\"source\":\"git\"}\r\n--b\r\n\
        Content-Disposition: form-data; name=\"archive\"; filename=\"bundle.tar.gz\"\r\n\r\n";
    let body = [form.as_bytes(), &static_bundle("x"), b"\r\n--b--\r\n"].concat();
    for (version, status) in [("2025.11.0", 400), ("2025.12.0", 200)] {
        let publisher = release(version).await.publisher();
        let guid = publisher.create("item").await;
        let head = [("content-type", "multipart/form-data; boundary=b")];
        let answer = publisher.raw("POST", &format!("/v1/content/{guid}/bundles"), &head, body.clone().into()).await;
        assert_eq!(answer.status, status, "{version}: {}", answer.text());
    }
    // Deploys that do not activate.
    for (version, status) in [("2025.05.0", 400), ("2025.06.0", 202)] {
        let publisher = release(version).await.publisher();
        let guid = publisher.create("item").await;
        publisher.upload(&guid, static_bundle("x")).await.ok();
        let answer = publisher.post(&format!("/v1/content/{guid}/deploy"), &json!({"activate": false})).await;
        assert_eq!(answer.status, status, "{version}");
    }
}

#[test]
fn every_release_can_be_named() {
    for good in ["2022.11.0", "2022.12.0", "2023.01.1", "2023.12.0", "2024.06.0", "2025.11.1", "2026.03.1"] {
        assert!(good.parse::<connect_sim::Version>().unwrap() <= connect_sim::version::NEWEST, "{good}");
    }
}
