//! Deploys: what a build does, what it says, and why it fails.

use std::sync::Arc;
use std::time::Duration;

use connect_sim::Config;
use serde_json::{Value, json};
use sim_kit::faults::Rule;
use sim_kit::{HostConfig, WorldConfig};
use tokio::sync::Notify;

use super::app::{TestApp, bundle, document_bundle, python_bundle, r_bundle, start, static_bundle};
use super::index::Index;

async fn builder() -> (Index, TestApp) {
    let index = Index::start().await;
    let app = TestApp::with(index.config()).await;
    (index, app)
}

/// The finished task of a deploy of this bundle as new content.
async fn deployed(app: &TestApp, name: &str, bundle: Vec<u8>) -> (String, Value) {
    let guid = app.publisher().create(name).await;
    app.publisher().upload(&guid, bundle).await.ok();
    let task = app.publisher().deploy(&guid, &json!({"bundle_id": null})).await;
    (guid, task)
}

fn log(task: &Value) -> String {
    task["output"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn static_content_is_built_at_once() {
    let app = TestApp::new().await;
    let (_, mut task) = deployed(&app, "static", static_bundle("x")).await;
    assert_eq!(task["id"].as_str().unwrap().len(), 16);
    task["id"] = json!("[id]");
    insta::assert_json_snapshot!("task", task);
}

#[tokio::test]
async fn python_packages_are_resolved_and_downloaded() {
    let (index, app) = builder().await;
    let (guid, task) = deployed(&app, "flask", python_bundle("python-api", "flask\n")).await;
    let log = log(&task).replace(&index.url, "http://index");
    insta::assert_snapshot!("python_log", log);
    let content = app.publisher().get(&format!("/v1/content/{guid}")).await.ok();
    let facts = ["app_mode", "py_version", "py_environment_management", "r_version", "cluster_name"];
    let facts: Vec<&Value> = facts.iter().map(|name| &content[*name]).collect();
    assert_eq!(json!(facts), json!(["python-api", "3.11.11", true, null, "Local"]));
    insta::assert_json_snapshot!("packages", app.publisher().get(&format!("/v1/content/{guid}/packages")).await.ok());
    insta::assert_json_snapshot!("all_packages", app.publisher().get("/v1/packages?name=flask").await.ok());
    let lockfile = app.publisher().get(&format!("/v1/content/{guid}/lockfile")).await;
    assert_eq!(lockfile.header("generated-by"), "connect; python=3.11.11");
    assert_eq!(lockfile.text(), "flask==3.0.0\nwerkzeug==3.0.1\n");
    let jobs = app.publisher().get(&format!("/v1/content/{guid}/jobs")).await.ok();
    insta::assert_json_snapshot!("jobs", jobs, {"[].key" => "[key]"});
    let key = jobs[0]["key"].as_str().unwrap();
    let entries = app.publisher().get(&format!("/v1/content/{guid}/jobs/{key}/log?maxLogLines=1")).await.ok();
    assert_eq!(entries["entries"][0]["data"], "Launching Python API...");
    for (query, name) in [("", format!("{key}.log")), ("?filename=a%22%0d%0ab.txt", "a___b.txt".to_owned())] {
        let file = app.publisher().get(&format!("/v1/content/{guid}/jobs/{key}/download{query}")).await;
        assert_eq!(file.header("content-disposition"), format!("attachment; filename=\"{name}\""));
        assert!(file.text().contains("Launching Python API..."), "{}", file.text());
    }
    assert_eq!(app.publisher().delete(&format!("/v1/content/{guid}/jobs/{key}")).await.code(), (409, 163));
}

#[tokio::test]
async fn r_packages_are_restored() {
    let (index, app) = builder().await;
    let (guid, task) = deployed(&app, "shiny", r_bundle("shiny", &[("shiny", "1.8.0"), ("htmltools", "0.5.7")])).await;
    insta::assert_snapshot!("r_log", log(&task).replace(&index.url, "http://index"));
    assert_eq!(task["code"], 0);
    let packages = app.publisher().get(&format!("/v1/content/{guid}/packages")).await.ok();
    assert_eq!(packages.as_array().unwrap().len(), 2);
    assert_eq!(packages[0]["hash"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn builds_fail_for_the_reasons_of_real_ones() {
    let (index, app) = builder().await;
    index.remove("/cran/src/contrib/plumber_1.2.1.tar.gz");
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("missing", python_bundle("python-api", "nosuch"), "No matching distribution found for nosuch"),
        ("version", python_bundle("python-api", "flask==9"), "No matching distribution found for flask==9"),
        ("conflict", python_bundle("python-fastapi", "flask==3.0.0\nfastapi"), "ResolutionImpossible"),
        ("spoilt", python_bundle("python-api", "broken"), "do not match the sha256"),
        ("unreadable", python_bundle("python-api", "???"), "is not a valid requirement"),
        ("r-missing", r_bundle("shiny", &[("nosuch", "1.0")]), "nosuch 1.0 cannot be downloaded"),
        ("r-dead", r_bundle("api", &[("plumber", "1.2.1")]), "was not found (404)"),
        ("r-archived", r_bundle("shiny", &[("htmltools", "0.4.0")]), "was not found (404)"),
        (
            "no-file",
            bundle(
                &json!({"version": 1, "metadata": {"appmode": "python-dash", "entrypoint": "app"},
                        "python": {"version": "3.11.0", "package_manager": {"package_file": "deps.txt"}}}),
                &[("app.py", "")],
            ),
            "names the package file deps.txt, which is not in the bundle",
        ),
        (
            "no-version",
            bundle(
                &json!({"version": 1, "metadata": {"appmode": "python-dash", "entrypoint": "app"},
                        "python": {"version": "3.11.0"}, "environment": {"python": {"requires": "<3"}}}),
                &[("app.py", "")],
            ),
            "no installed version of Python",
        ),
    ];
    let explained = [
        ("missing", "python-package-version-not-available", "#python-package-version-not-available"),
        ("spoilt", "build-failed-error", "/troubleshooting/"),
        ("r-missing", "build-failed-error", "/troubleshooting/"),
    ];
    for (name, bundle, reason) in cases {
        let (guid, task) = deployed(&app, name, bundle).await;
        assert_eq!(task["finished"], true);
        assert!(task["code"].as_i64().unwrap() != 0, "{name}: {task}");
        assert!(log(&task).contains(reason) || task["error"].as_str().unwrap().contains(reason), "{name}: {task}");
        let content = app.publisher().get(&format!("/v1/content/{guid}")).await.ok();
        assert_eq!((&content["bundle_id"], &content["app_mode"]), (&Value::Null, &json!("unknown")), "{name}");
        assert_eq!(app.publisher().get(&format!("/content/{guid}/")).await.code(), (404, 4), "{name}");
        if let Some((_, code, help)) = explained.iter().find(|one| one.0 == name) {
            let jobs = format!("/v1/content/{guid}/jobs");
            let key = app.publisher().get(&jobs).await.ok()[0]["key"].as_str().unwrap().to_owned();
            let error = app.publisher().get(&format!("{jobs}/{key}/error")).await.ok();
            assert_eq!(error["code"], *code, "{name}");
            assert!(error["summary"].as_str().unwrap().contains(reason), "{name}: {error}");
            // In the words by which Publisher finds the reason.
            let told = format!("An error occurred while building your content. (Error code: {code})");
            assert_eq!(task["error"], told, "{name}");
            assert!(log(&task).ends_with(error["help_url"].as_str().unwrap()), "{name}: {task}");
            assert!(error["help_url"].as_str().unwrap().ends_with(help), "{name}: {error}");
        }
    }
}

#[tokio::test]
async fn a_cut_link_fails_the_build_and_a_redeploy_succeeds() {
    let (index, app) = builder().await;
    let rule: Rule = serde_json::from_value(json!({
        "match": {"direction": "out", "peer": "package-manager"}, "effect": {"kind": "reset"},
    }))
    .unwrap();
    let id = app.world.faults().add(rule).unwrap();
    let (guid, task) = deployed(&app, "cut", python_bundle("python-api", "flask")).await;
    let said = log(&task);
    assert!(said.contains("could not connect to") && said.contains(&index.url), "{said}");
    assert!(log(&task).contains(&format!("Looking in indexes: {}/simple", index.url)));
    app.world.faults().remove(&id);
    assert_eq!(app.publisher().deploy(&guid, &json!({})).await["code"], 0);
}

#[tokio::test]
async fn a_draft_leaves_the_active_bundle_alone() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("draft", static_bundle("one")).await;
    let second = publisher.upload(&guid, static_bundle("two")).await.ok()["id"].clone();
    let draft = format!("/content/{guid}/_bundle{}/", second.as_str().unwrap());
    let task = publisher.deploy(&guid, &json!({"bundle_id": second, "activate": false})).await;
    assert_eq!(task["code"], 0);
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "one");
    assert_eq!(publisher.get(&draft).await.text(), "two");
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"access_type": "all"})).await.ok();
    assert_eq!(app.anonymous().get(&format!("/content/{guid}/")).await.text(), "one");
    assert_eq!(app.viewer().get(&draft).await.code(), (403, 22));
    // By its number, readers see what has been the active one.
    let revision = |id: &str| format!("/content/{guid}/_rev{id}/index.html");
    assert_eq!(app.viewer().get(&revision("1")).await.text(), "one");
    assert_eq!(app.viewer().get(&revision("2")).await.code(), (404, 4));
    assert_eq!(app.viewer().get(&revision("9")).await.code(), (404, 4));
    assert_eq!(publisher.get(&revision("2")).await.text(), "two");
    let task = publisher.deploy(&guid, &json!({"bundle_id": second})).await;
    assert!(log(&task).contains("has been built before"));
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "two");
}

#[tokio::test]
async fn the_app_mode_stays_and_bundles_are_the_contents_own() {
    let (_index, app) = builder().await;
    let publisher = app.publisher();
    let guid = publisher.publish("mode", static_bundle("one")).await;
    publisher.upload(&guid, python_bundle("python-api", "")).await.ok();
    let task = publisher.deploy(&guid, &json!({})).await;
    assert_eq!(task["code"], 48, "{task}");
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "one");
    let other = publisher.create("other").await;
    let path = format!("/v1/content/{other}/deploy");
    assert_eq!(publisher.post(&path, &json!({"bundle_id": "1"})).await.code(), (404, 4));
    assert_eq!(publisher.post(&path, &json!({})).await.code(), (400, 28));
    assert_eq!(publisher.post(&path, &json!({"bundle_id": "x"})).await.code(), (400, 87));
    assert_eq!(publisher.post(&path, &json!({"activate": 1})).await.code(), (400, 87));
}

#[tokio::test]
async fn output_is_seen_while_it_grows() {
    let (index, app) = builder().await;
    let gate = Arc::new(Notify::new());
    *index.gate.lock().unwrap() = Some(gate.clone());
    let guid = app.publisher().create("slow").await;
    app.publisher().upload(&guid, python_bundle("python-api", "flask")).await.ok();
    let started = app.publisher().post(&format!("/v1/content/{guid}/deploy"), &json!({})).await.ok();
    let path = format!("/v1/tasks/{}", started["task_id"].as_str().unwrap());
    // The downloads hang, and what was written before is there.
    let (mut first, mut seen) = (0, Vec::new());
    while !seen.iter().any(|line: &String| line.starts_with("Collecting flask")) {
        let task = app.publisher().get(&format!("{path}?first={first}")).await.ok();
        assert_eq!(task["finished"], false);
        first = task["last"].as_i64().unwrap();
        seen.extend(task["output"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()));
        tokio::task::yield_now().await;
    }
    let waiting = tokio::spawn({
        let (publisher, path) = (app.publisher(), path.clone());
        async move { publisher.get(&format!("{path}?first={first}&wait=60")).await.ok() }
    });
    *index.gate.lock().unwrap() = None;
    while !waiting.is_finished() {
        gate.notify_waiters();
        tokio::task::yield_now().await;
    }
    let task = waiting.await.unwrap();
    assert_eq!((&task["finished"], &task["code"]), (&json!(true), &json!(0)));
    let rest = task["output"].as_array().unwrap();
    assert_eq!(task["last"].as_i64().unwrap(), first + i64::try_from(rest.len()).unwrap());
    seen.extend(rest.iter().map(|line| line.as_str().unwrap().to_owned()));
    let whole = app.publisher().get(&path).await.ok();
    assert_eq!(log(&whole), seen.join("\n"));
    assert_eq!(app.viewer().get(&path).await.code(), (403, 22));
    assert_eq!(app.publisher().get("/v1/tasks/unknown").await.code(), (404, 4));
    assert_eq!(app.publisher().get(&format!("{path}?first=x")).await.code(), (400, 25));
}

#[tokio::test]
async fn a_build_goes_on_after_a_restart() {
    let index = Index::start().await;
    let folder = tempfile::tempdir().unwrap();
    let host = HostConfig {
        world: WorldConfig {
            data_dir: Some(folder.path().to_owned()),
            frozen_at: Some(start()),
            ..WorldConfig::default()
        },
        ..HostConfig::default()
    };
    let config: Config = index.config();
    *index.gate.lock().unwrap() = Some(Arc::new(Notify::new()));
    let (guid, task) = {
        let app = TestApp::on(config.clone(), host.world.clone()).await;
        let guid = app.publisher().create("restarted").await;
        app.publisher().upload(&guid, python_bundle("python-api", "flask")).await.ok();
        let started = app.publisher().post(&format!("/v1/content/{guid}/deploy"), &json!({})).await.ok();
        let task = started["task_id"].as_str().unwrap().to_owned();
        while !app.publisher().get(&format!("/v1/tasks/{task}")).await.text().contains("Collecting flask") {
            tokio::task::yield_now().await;
        }
        // Background work is dropped where it waits, as a dying process would.
        app.world.end().await;
        (guid, task)
    };
    *index.gate.lock().unwrap() = None;
    let app = TestApp::on(config, host.world).await;
    let task = app.publisher().finished(&task).await;
    assert_eq!(task["code"], 0, "{task}");
    assert!(log(&task).contains("The server went down during this task; it starts anew."));
    assert_eq!(ends(&app, &guid).await, [("python_restore", json!(0)), ("python_restore", json!(1))]);
    assert_eq!(app.publisher().get(&format!("/content/{guid}/")).await.status, 200);
}

/// The jobs of an item, newest first, and what they exited with.
async fn ends(app: &TestApp, guid: &str) -> Vec<(&'static str, Value)> {
    let jobs = app.publisher().get(&format!("/v1/content/{guid}/jobs")).await.ok();
    let known = |tag: &Value| *["python_restore", "build_jupyter"].iter().find(|known| tag == **known).unwrap();
    jobs.as_array().unwrap().iter().map(|job| (known(&job["tag"]), job["exit_code"].clone())).collect()
}

#[tokio::test]
async fn jobs_are_there_while_their_work_goes_on_and_can_be_killed() {
    let (index, app) = builder().await;
    let publisher = app.publisher();
    *index.gate.lock().unwrap() = Some(Arc::new(Notify::new()));
    let guid = publisher.create("notebook").await;
    let path = format!("/v1/content/{guid}");
    let deploy = async || {
        publisher.upload(&guid, python_bundle("jupyter-static", "flask")).await.ok();
        let started = publisher.post(&format!("{path}/deploy"), &json!({})).await.ok();
        started["task_id"].as_str().unwrap().to_owned()
    };
    let task = deploy().await;
    let jobs = publisher.get(&format!("{path}/jobs")).await.ok();
    let render = jobs.as_array().unwrap().iter().find(|job| job["tag"] == "build_jupyter").unwrap();
    let render = format!("{path}/jobs/{}", render["key"].as_str().unwrap());
    assert_eq!(publisher.get(&render).await.ok()["status"], 0, "it waits for the packages");
    let restore = loop {
        let jobs = publisher.get(&format!("{path}/jobs")).await.ok();
        if jobs[0]["tag"] == "python_restore" {
            break format!("{path}/jobs/{}", jobs[0]["key"].as_str().unwrap());
        }
    };
    while !publisher.get(&format!("{restore}/download")).await.text().contains("Collecting flask") {
        assert_eq!(publisher.get(&restore).await.ok()["status"], 0);
    }

    publisher.delete(&restore).await.ok();
    assert_eq!(publisher.get(&format!("/v1/tasks/{task}")).await.ok()["finished"], false);
    app.world.clock().advance(Duration::from_secs(1)).await;
    let task = publisher.finished(&task).await;
    assert_eq!((&task["code"], &task["error"]), (&json!(1), &json!("The job was terminated.")));
    assert_eq!(ends(&app, &guid).await, [("python_restore", json!(143)), ("build_jupyter", Value::Null)]);
    let skipped = publisher.get(&render).await.ok();
    assert_eq!((&skipped["status"], skipped["skip_reason"].is_string()), (&json!(3), true));
    assert_eq!(publisher.delete(&render).await.code(), (409, 163));
    assert!(publisher.get(&format!("{restore}/log")).await.text().contains("its end was ordered"));
    assert_eq!(publisher.get(&path).await.ok()["bundle_id"], Value::Null);

    // One that is killed before its turn comes ends its deploy as well.
    let task = deploy().await;
    let jobs = publisher.get(&format!("{path}/jobs")).await.ok();
    let waiting = jobs.as_array().unwrap().iter().find(|job| job["tag"] == "build_jupyter").unwrap();
    publisher.delete(&format!("{path}/jobs/{}", waiting["key"].as_str().unwrap())).await.ok();
    app.world.clock().advance(Duration::from_secs(1)).await;
    assert_eq!(publisher.finished(&task).await["error"], "The job was terminated.");

    *index.gate.lock().unwrap() = None;
    let task = deploy().await;
    assert_eq!(publisher.finished(&task).await["code"], 0);
    assert_eq!(ends(&app, &guid).await[..2], [("python_restore", json!(0)), ("build_jupyter", json!(0))]);
}

#[tokio::test]
async fn a_build_restores_packages_and_renders_nothing() {
    let (_index, app) = builder().await;
    let guid = app.publisher().create("built").await;
    app.publisher().upload(&guid, python_bundle("python-api", "flask")).await.ok();
    let started = app.publisher().post(&format!("/v1/content/{guid}/build"), &json!({})).await;
    assert_eq!(started.status, 200);
    let task = app.publisher().finished(started.json()["task_id"].as_str().unwrap()).await;
    assert_eq!(task["code"], 0);
    assert_eq!(app.publisher().get(&format!("/v1/content/{guid}")).await.ok()["bundle_id"], "1");
    assert_eq!(app.publisher().get(&format!("/v1/content/{guid}/bundles/1")).await.ok()["py_version"], "3.11.11");
    let document = app.publisher().create("document").await;
    app.publisher().upload(&document, document_bundle()).await.ok();
    for (body, bundle) in [(json!({"activate": false}), Value::Null), (json!({}), json!("2"))] {
        let started = app.publisher().post(&format!("/v1/content/{document}/build"), &body).await.ok();
        app.publisher().finished(started["task_id"].as_str().unwrap()).await;
        assert_eq!(app.publisher().get(&format!("/v1/content/{document}")).await.ok()["bundle_id"], bundle);
        assert_eq!(app.publisher().get(&format!("/applications/{document}/variants")).await.ok(), json!([]));
    }
}

#[tokio::test]
async fn deploys_of_one_item_take_effect_in_their_order() {
    let (index, app) = builder().await;
    let guid = app.publisher().create("ordered").await;
    *index.gate.lock().unwrap() = Some(Arc::new(Notify::new()));
    let deploy = async |bundle: Vec<u8>| {
        let id = app.publisher().upload(&guid, bundle).await.ok()["id"].clone();
        let started = app.publisher().post(&format!("/v1/content/{guid}/deploy"), &json!({"bundle_id": id})).await.ok();
        started["task_id"].as_str().unwrap().to_owned()
    };
    let slow = deploy(python_bundle("python-api", "flask")).await;
    let fast = deploy(python_bundle("python-api", "")).await;
    // The first hangs in its download; the second waits for it, while those of others go on.
    app.publisher().publish("other", static_bundle("x")).await;
    let waiting = app.publisher().get(&format!("/v1/tasks/{fast}")).await.ok();
    assert_eq!((&waiting["finished"], &waiting["last"]), (&json!(false), &json!(0)));
    let gate = index.gate.lock().unwrap().take().unwrap();
    let finished = tokio::spawn({
        let publisher = app.publisher();
        async move { (publisher.finished(&slow).await, publisher.finished(&fast).await) }
    });
    while !finished.is_finished() {
        gate.notify_waiters();
        tokio::task::yield_now().await;
    }
    let (slow, fast) = finished.await.unwrap();
    assert_eq!((&slow["code"], &fast["code"]), (&json!(0), &json!(0)));
    assert_eq!(app.publisher().get(&format!("/v1/content/{guid}")).await.ok()["bundle_id"], "2");
}

/// Package Manager is asked in the words that it has for clients.
#[tokio::test]
async fn vulnerabilities_are_those_that_package_manager_knows() {
    let index = Index::start().await;
    let config = Config { pypi_url: Some(format!("{}/pypi/latest/simple", index.url)), ..index.config() };
    let app = TestApp::with(config).await;
    let publisher = app.publisher();
    let guid = publisher.publish("api", python_bundle("python-api", "flask==3.0.0")).await;
    let path = format!("/v1/content/{guid}/vulnerabilities");
    // It does not answer yet.
    let answer = publisher.get(&path).await.ok();
    assert_eq!(answer["results"], json!([]));
    assert!(answer["warnings"][0].as_str().unwrap().contains("404"), "{answer}");
    let row = json!({"name": "Flask", "version": "3.0.0", "blocked": false, "vulns": [{
        "id": "SIM-1", "aliases": ["CVE-0"], "summary": "s", "details": "d", "published": "2026-01-01T00:00:00Z",
        "severity": [{"type": "CVSS_V3", "score": "x", "calculated_score": {"base_score": 7.5}}],
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "3.0.1"}]}], "simulated": true,
    }]});
    let lines = format!("{row}\n{}\n", json!({"name": "werkzeug", "version": "3.0.1", "blocked": false}));
    index.put("/__api__/filter/packages".to_owned(), "application/x-ndjson", lines.into_bytes());
    let expected = json!({
        "id": "SIM-1", "aliases": ["CVE-0"], "summary": "s", "details": "d", "published": "2026-01-01T00:00:00Z",
        "base_score": 7.5, "fixed_in": ["3.0.1"], "language": "python", "name": "flask", "version": "3.0.0",
        "content_guids": [guid], "simulated": true,
    });
    let answer = publisher.get(&path).await.ok();
    assert_eq!((&answer["results"], &answer["warnings"]), (&json!([expected]), &json!([])));
    assert_eq!(publisher.get("/v1/vulnerabilities").await.ok()["results"], json!([expected]));
    let (_, stranger) = app.user("stranger", "publisher").await;
    let others = stranger.get("/v1/vulnerabilities").await.ok();
    assert_eq!((&others["total"], &others["warnings"]), (&json!(0), &json!([])));
    index.put("/__api__/filter/packages".to_owned(), "application/x-ndjson", b"{".to_vec());
    let answer = publisher.get(&path).await.ok();
    assert!(answer["warnings"][0].as_str().unwrap().contains("not understood"), "{answer}");
}
