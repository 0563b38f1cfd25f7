//! The processes of interactive content, and its runtime settings.

use std::time::Duration;

use axum::body::Body;
use connect_sim::Config;
use connect_sim::scheduler::Scheduler;
use serde_json::{Value, json};

use tower::ServiceExt as _;

use super::app::{Caller, TestApp, document_bundle, python_bundle, start, static_bundle};
use super::index::Index;

async fn apps() -> TestApp {
    let unix_users = vec!["robot".to_owned()];
    TestApp::with(Config { unix_users, ..Index::start().await.config() }).await
}

/// The processes that run, and all jobs, of an item.
async fn jobs(caller: &Caller, guid: &str) -> (Vec<Value>, Vec<Value>) {
    let all = caller.get(&format!("/v1/content/{guid}/jobs")).await.ok().as_array().unwrap().clone();
    let running = all.iter().filter(|job| job["status"] == 0).cloned().collect();
    (running, all)
}

/// Lets the watch see what has just happened: time passes until the job is over, a little at a time.
async fn until_over(app: &TestApp, guid: &str, key: &Value) -> Value {
    for _ in 0..200 {
        let job = app.admin().get(&format!("/v1/content/{guid}/jobs/{}", key.as_str().unwrap())).await.ok();
        if job["status"] == 2 {
            return job;
        }
        app.world.clock().advance(Duration::from_millis(1)).await;
    }
    panic!("the job {key} goes on");
}

#[tokio::test]
async fn visits_start_processes_and_silence_ends_them() {
    let app = apps().await;
    let publisher = app.publisher();
    let guid = publisher.publish("api", python_bundle("python-api", "flask")).await;
    assert_eq!(jobs(&publisher, &guid).await.0.len(), 0, "a deploy starts nothing");
    let visit = format!("/content/{guid}/");
    publisher.get(&visit).await.ok();
    publisher.get(&visit).await.ok();
    let (running, _) = jobs(&publisher, &guid).await;
    assert_eq!(running.len(), 1, "{running:?}");
    let job = &running[0];
    assert_eq!(
        (&job["tag"], &job["end_time"], &job["exit_code"]),
        (&json!("run_python_api"), &Value::Null, &Value::Null)
    );
    assert_eq!((&job["run_as"], &job["variant_id"]), (&json!("rstudio-connect"), &json!("0")));
    let log = publisher.get(&format!("/v1/content/{guid}/jobs/{}/log", job["key"].as_str().unwrap())).await.ok();
    let text = log.to_string();
    assert!(text.contains(&format!("Content GUID: {guid}")) && text.contains("simulated"), "{text}");

    // Four seconds are not five; a visit begins them anew.
    app.world.clock().advance(Duration::from_secs(4)).await;
    publisher.get(&visit).await.ok();
    app.world.clock().advance(Duration::from_secs(4)).await;
    assert_eq!(jobs(&publisher, &guid).await.0.len(), 1);
    app.world.clock().advance(Duration::from_secs(1)).await;
    let over = until_over(&app, &guid, &job["key"]).await;
    assert_eq!(over["exit_code"], 0);
    // An item of its own mind.
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"idle_timeout": 60})).await.ok();
    publisher.get(&visit).await.ok();
    app.world.clock().advance(Duration::from_secs(59)).await;
    let (running, all) = jobs(&publisher, &guid).await;
    assert_eq!(running.len(), 1);
    assert_eq!(all.iter().filter(|job| job["tag"] == "run_python_api").count(), 2);
    app.world.clock().advance(Duration::from_secs(1)).await;
    until_over(&app, &guid, &running[0]["key"]).await;
    // What has no process has no job.
    let page = publisher.publish("page", static_bundle("x")).await;
    publisher.get(&format!("/content/{page}/")).await;
    assert_eq!(jobs(&publisher, &page).await.1.len(), 0);
}

#[tokio::test]
async fn changes_restart_processes() {
    let app = apps().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let guid = publisher.publish("api", python_bundle("python-api", "flask")).await;
    let (path, visit) = (format!("/v1/content/{guid}"), format!("/content/{guid}/"));
    let one = || async {
        publisher.get(&visit).await;
        let (running, _) = jobs(&publisher, &guid).await;
        assert_eq!(running.len(), 1, "{running:?}");
        running[0]["key"].clone()
    };
    let mut key = one().await;
    assert_eq!(one().await, key);
    publisher.patch(&format!("{path}/environment"), &json!([])).await.ok();
    assert_eq!(one().await, key, "nothing was changed");
    for change in ["PATCH", "PUT"] {
        publisher.send(change, &format!("{path}/environment"), &json!([{"name": "A", "value": change}])).await.ok();
        let (running, all) = jobs(&publisher, &guid).await;
        assert_eq!(running.len(), 0, "{change}: stopped at once");
        let stopped = all.iter().find(|job| job["key"] == key).unwrap();
        assert_eq!((&stopped["status"], &stopped["exit_code"]), (&json!(2), &json!(0)));
        let next = one().await;
        assert_ne!(next, key, "{change}");
        key = next;
    }
    let log = publisher.get(&format!("{path}/jobs/{}/log", key.as_str().unwrap())).await.text();
    assert!(log.contains("Environment variables: A") && !log.contains("PUT"), "names, no values: {log}");
    // A draft is a process of its own and leaves the other alone; activating it replaces that.
    let bundle = publisher.upload(&guid, python_bundle("python-api", "flask")).await.ok()["id"].clone();
    publisher.deploy(&guid, &json!({"bundle_id": bundle, "activate": false})).await;
    publisher.get(&format!("/content/{guid}/_bundle{}/", bundle.as_str().unwrap())).await.ok();
    assert_eq!(jobs(&publisher, &guid).await.0.len(), 2);
    publisher.deploy(&guid, &json!({"bundle_id": bundle})).await;
    assert_eq!(jobs(&publisher, &guid).await.0.len(), 0);
    one().await;
    // Another user.
    assert_eq!(publisher.patch(&path, &json!({"run_as": "robot"})).await.code(), (403, 22));
    admin.patch(&path, &json!({"run_as": "robot"})).await.ok();
    one().await;
    assert_eq!(jobs(&publisher, &guid).await.0[0]["run_as"], "robot");
    // A process for each visitor.
    admin.patch(&path, &json!({"run_as_current_user": true, "run_as": null})).await.ok();
    publisher.patch(&path, &json!({"access_type": "logged_in"})).await.ok();
    publisher.get(&visit).await.ok();
    app.viewer().get(&visit).await.ok();
    let names: Vec<Value> = jobs(&publisher, &guid).await.0.iter().map(|job| job["run_as"].clone()).collect();
    assert_eq!(names, [json!("viewer"), json!("publisher")]);
    // Locked content runs nothing.
    publisher.patch(&path, &json!({"locked": true})).await.ok();
    assert_eq!(publisher.get(&visit).await.code(), (403, 223));
    assert_eq!(jobs(&publisher, &guid).await.0.len(), 0);
}

#[tokio::test]
async fn processes_are_killed_and_kept_running() {
    let app = apps().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let guid = publisher.publish("api", python_bundle("python-fastapi", "fastapi")).await;
    let path = format!("/v1/content/{guid}");
    publisher.get(&format!("/content/{guid}/")).await.ok();
    let key = jobs(&publisher, &guid).await.0[0]["key"].clone();
    let job = format!("{path}/jobs/{}", key.as_str().unwrap());
    let order = publisher.delete(&job).await.ok();
    assert_eq!((&order["result"], &order["job_key"]), (&json!("Order to kill job registered"), &key));
    assert!(order["app_id"].is_i64() && order["job_id"].is_i64() && order["content_id"].is_string());
    assert_eq!(publisher.get(&job).await.ok()["status"], 0, "an order is not yet its end");
    app.world.clock().advance(Duration::from_secs(1)).await;
    assert_eq!(until_over(&app, &guid, &key).await["exit_code"], 143);
    assert_eq!(publisher.delete(&job).await.code(), (409, 163));

    publisher.patch(&path, &json!({"min_processes": 2})).await.ok();
    let (running, _) = jobs(&publisher, &guid).await;
    assert_eq!(running.len(), 2, "without a visit");
    publisher.get(&format!("/content/{guid}/")).await.ok();
    app.world.clock().advance(Duration::from_secs(3600)).await;
    assert_eq!(jobs(&publisher, &guid).await.0.len(), 2, "an hour of silence");
    publisher.delete(&format!("{path}/jobs/{}", running[0]["key"].as_str().unwrap())).await.ok();
    app.world.clock().advance(Duration::from_secs(1)).await;
    until_over(&app, &guid, &running[0]["key"]).await;
    // The successor is started by the same watch.
    for _ in 0..200 {
        if jobs(&publisher, &guid).await.0.len() == 2 {
            break;
        }
        app.world.clock().advance(Duration::from_millis(1)).await;
    }
    let (running, all) = jobs(&publisher, &guid).await;
    assert_eq!((running.len(), all.iter().filter(|job| job["tag"] == "run_fastapi_app").count()), (2, 4));
    let procs = admin.get("/metrics/procs").await;
    assert_eq!(procs.header("x-simulated"), "cpu, ram");
    let procs = procs.ok();
    let one = &procs[running[0]["pid"].as_str().unwrap()];
    assert_eq!(
        (&one["appGuid"], &one["appRunAs"], procs.as_object().unwrap().len()),
        (&json!(guid), &json!("rstudio-connect"), 2)
    );
    assert!(one["cpuCurrent"].is_f64() && one["ram"].as_i64().unwrap() > 1_000_000, "{one}");

    let key = running[0]["key"].as_str().unwrap();
    let metrics = publisher.get(&format!("{path}/jobs/{key}/metrics")).await;
    assert_eq!(metrics.header("x-simulated"), "samples");
    let samples = |answer: Value| answer["samples"].as_array().unwrap().len();
    assert_eq!(samples(metrics.ok()), 1, "one at the start");
    app.world.clock().advance(Duration::from_secs(60)).await;
    assert_eq!(samples(publisher.get(&format!("{path}/jobs/{key}/metrics")).await.ok()), 5);
    let since = publisher.get(&format!("{path}/jobs/{key}/metrics?from=2030-01-01T00:00:00Z")).await.ok();
    assert_eq!(samples(since), 0);
    publisher.patch(&path, &json!({"metrics_collection_enabled": false})).await.ok();
    assert_eq!(samples(publisher.get(&format!("{path}/jobs/{key}/metrics")).await.ok()), 0);
    assert_eq!(publisher.get(&format!("{path}/jobs/{key}/metrics?to=soon")).await.code(), (400, 136));

    // The log is followed to its end.
    let tail = tokio::spawn({
        let (publisher, path) = (publisher.clone(), format!("{path}/jobs/{key}/tail"));
        async move { publisher.get(&path).await }
    });
    tokio::task::yield_now().await;
    publisher.patch(&path, &json!({"locked": true})).await.ok();
    let tail = tail.await.unwrap();
    let lines: Vec<Value> = tail.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["source"], "stderr");
    assert!(lines.last().unwrap()["data"].as_str().unwrap().contains("the content was locked"), "{lines:?}");
    // Deleted content leaves no process.
    publisher.patch(&path, &json!({"locked": false})).await.ok();
    assert_eq!(publisher.delete(&path).await.status, 204);
    assert_eq!(admin.get("/metrics/procs").await.ok(), json!({}));
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_processes_as_connections_want() {
    let app = TestApp::with(Index::start().await.config()).await;
    let publisher = app.publisher();
    let guid = publisher.publish("busy", python_bundle("python-api", "flask")).await;
    // Each process is full with its first connection; three at most.
    let body = json!({"load_factor": 0, "max_processes": 3, "max_conns_per_process": 20, "access_type": "all"});
    publisher.patch(&format!("/v1/content/{guid}"), &body).await.ok();
    let visits = (0..20).map(|_| {
        let (anyone, path) = (app.anonymous(), format!("/content/{guid}/"));
        tokio::spawn(async move { anyone.get(&path).await.status })
    });
    for visit in visits.collect::<Vec<_>>() {
        assert_eq!(visit.await.unwrap(), 200);
    }
    let running = jobs(&publisher, &guid).await.0.len();
    assert_eq!(running, 3);
}

#[tokio::test]
async fn settings_keep_within_the_servers_limits() {
    let scheduler = Scheduler {
        min_processes_limit: 2,
        max_processes_limit: 8,
        max_cpu_request: 2.0,
        max_cpu_limit: 4.0,
        max_memory_request: 1_000,
        max_memory_limit: 2_000,
        max_amd_gpu_limit: 1,
        max_nvidia_gpu_limit: 2,
        ..Scheduler::default()
    };
    let app = TestApp::with(Config { scheduler, ..Config::default() }).await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let shown = publisher.get("/server_settings/scheduler/shiny").await.ok();
    assert_eq!((&shown["max_processes_limit"], &shown["max_memory_limit"]), (&json!(8), &json!(2_000)));
    let guid = publisher.create("limited").await;
    let path = format!("/v1/content/{guid}");
    for (body, code, field) in [
        (json!({"min_processes": 3}), 45, "min_processes"),
        (json!({"max_processes": 9}), 113, "max_processes"),
        (json!({"max_processes": 1, "min_processes": 2}), 114, "min_processes"),
        (json!({"load_factor": 1.5}), 150, "load_factor"),
        (json!({"load_factor": -0.1}), 150, "load_factor"),
        (json!({"read_timeout": -1}), 151, "read_timeout"),
        (json!({"connection_timeout": 2_592_001}), 151, "connection_timeout"),
        (json!({"init_timeout": -1}), 151, "init_timeout"),
        (json!({"idle_timeout": -1}), 151, "idle_timeout"),
        (json!({"memory_request": -1}), 181, "memory_request"),
        (json!({"memory_request": 1_001}), 182, "memory_request"),
        (json!({"memory_limit": -1}), 183, "memory_limit"),
        (json!({"memory_limit": 2_001}), 184, "memory_limit"),
        (json!({"memory_request": 900, "memory_limit": 800}), 185, "memory_request"),
        (json!({"cpu_request": -1}), 186, "cpu_request"),
        (json!({"cpu_request": 2.5}), 187, "cpu_request"),
        (json!({"cpu_limit": -1}), 188, "cpu_limit"),
        (json!({"cpu_limit": 4.5}), 189, "cpu_limit"),
        (json!({"cpu_request": 1.5, "cpu_limit": 1}), 190, "cpu_request"),
        (json!({"min_processes": -1}), 191, "min_processes"),
        (json!({"max_processes": -1}), 192, "max_processes"),
        (json!({"default_image_name": "a\nb"}), 193, "default_image_name"),
        (json!({"amd_gpu_limit": -1}), 196, "amd_gpu_limit"),
        (json!({"amd_gpu_limit": 2}), 197, "amd_gpu_limit"),
        (json!({"nvidia_gpu_limit": -1}), 198, "nvidia_gpu_limit"),
        (json!({"nvidia_gpu_limit": 3}), 199, "nvidia_gpu_limit"),
        (json!({"max_conns_per_process": 0}), 239, "max_conns_per_process"),
        (json!({"max_processes": 0}), 272, "max_processes"),
    ] {
        let answer = publisher.patch(&path, &body).await;
        assert_eq!(answer.code(), (400, code), "{body}");
        assert!(answer.text().contains(&format!("`{field}`")), "{body}: {}", answer.text());
        let made = publisher.post("/v1/content", &body).await;
        assert_eq!(made.code(), (400, code), "on creation: {body}");
    }
    // Nothing of it was kept; what is right is shown as it was said.
    let right = json!({
        "min_processes": 2, "max_processes": 8, "max_conns_per_process": 50, "load_factor": 0.25, "init_timeout": 1,
        "idle_timeout": 0, "connection_timeout": 0, "read_timeout": 0, "memory_request": 1_000, "memory_limit": 2_000,
        "cpu_request": 0.5, "cpu_limit": 4.0, "amd_gpu_limit": 1, "nvidia_gpu_limit": 2,
    });
    let set = publisher.patch(&path, &right).await.ok();
    for (name, value) in right.as_object().unwrap() {
        assert_eq!(&set[name], value, "{name}");
    }
    let legacy = publisher.get(&format!("/applications/{guid}")).await.ok();
    assert_eq!((&legacy["max_processes"], &legacy["load_factor"]), (&json!(8), &json!(0.25)));
    let none: Value = right
        .as_object()
        .unwrap()
        .keys()
        .map(|name| (name.clone(), Value::Null))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let reset = publisher.patch(&path, &none).await.ok();
    assert!(right.as_object().unwrap().keys().all(|name| reset[name].is_null()), "{reset}");
    // As whom.
    for (body, code) in [
        (json!({"run_as": "Not A User"}), 57),
        (json!({"run_as": "x".repeat(33)}), 57),
        (json!({"run_as": "root\n"}), 57),
    ] {
        assert_eq!(admin.patch(&path, &body).await.code(), (400, code), "{body}");
    }
    let page = publisher.publish("page", static_bundle("x")).await;
    assert_eq!(admin.patch(&format!("/v1/content/{page}"), &json!({"run_as": "robot"})).await.code(), (400, 55));
    let document = publisher.publish("document", document_bundle()).await;
    let path = format!("/v1/content/{document}");
    assert_eq!(admin.patch(&path, &json!({"run_as_current_user": true})).await.code(), (400, 54));
    assert_eq!(publisher.patch(&path, &json!({"service_account_name": "robot"})).await.code(), (403, 22));
    assert_eq!(
        admin.patch(&path, &json!({"service_account_name": "robot"})).await.ok()["service_account_name"],
        "robot"
    );
}

#[tokio::test]
async fn runs_of_schedules_are_counted() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("document", document_bundle()).await;
    let empty = json!({"waiting": 0, "running": 0, "succeeded": 0, "failed": 0, "skipped": 0});
    let summary = |query: &str| {
        let (publisher, path) = (publisher.clone(), format!("/v1/experimental/jobs/summary{query}"));
        async move { publisher.get(&path).await.ok() }
    };
    assert_eq!(summary("").await, json!({"totals": empty, "buckets": []}), "a deploy is no run");
    let variants = publisher.get(&format!("/applications/{guid}/variants")).await.ok();
    let body = json!({"variant_id": variants[0]["id"], "type": "hour", "schedule": "{\"N\":1}"});
    publisher.post("/schedules", &body).await.ok();
    for _ in 0..3 {
        app.world.clock().advance(Duration::from_secs(3600)).await;
        let newest =
            connect_sim::store::tasks::newest(&mut app.world.db().read().await.unwrap(), &guid).await.unwrap().unwrap();
        publisher.finished(&newest.id).await;
    }
    let all = summary("").await;
    assert_eq!((&all["totals"]["succeeded"], &all["totals"]["waiting"]), (&json!(3), &json!(0)), "{all}");
    let counted: i64 = all["buckets"].as_array().unwrap().iter().map(|b| b["succeeded"].as_i64().unwrap()).sum();
    assert_eq!(counted, 3);
    let (_, every) = jobs(&publisher, &guid).await;
    let run = every.iter().find(|job| job["queued_time"].is_string()).unwrap();
    assert_eq!((&run["queue_name"], &run["tag"]), (&json!("default"), &json!("build_report")));
    assert_eq!(run["variant_key"], variants[0]["key"]);
    let first = summary("?to=2026-01-02T04:30:00Z").await;
    assert_eq!(first["totals"]["succeeded"], 1, "{first}");
    let (_, stranger) = app.user("stranger", "publisher").await;
    assert_eq!(stranger.get("/v1/experimental/jobs/summary").await.ok()["totals"], empty);
    assert_eq!(publisher.get("/v1/experimental/jobs/summary?from=x").await.code(), (400, 136));
}

#[tokio::test]
async fn failed_work_is_a_job_with_its_error() {
    let app = apps().await;
    let publisher = app.publisher();
    let guid = publisher.create("failing").await;
    publisher.upload(&guid, python_bundle("python-api", "nosuchpackage")).await.ok();
    assert_ne!(publisher.deploy(&guid, &json!({})).await["code"], 0);
    let (_, all) = jobs(&publisher, &guid).await;
    let (tag, code) = (&all[0]["tag"], &all[0]["exit_code"]);
    assert_eq!((tag, code, &all[0]["status"]), (&json!("python_restore"), &json!(1), &json!(2)));
    let path = format!("/v1/content/{guid}/jobs/{}", all[0]["key"].as_str().unwrap());
    let error = publisher.get(&format!("{path}/error")).await.ok();
    assert!(error["summary"].as_str().unwrap().contains("nosuchpackage"), "{error}");
    let log = publisher.get(&format!("{path}/download")).await.text();
    assert!(log.contains("nosuchpackage") && log.contains(&guid), "{log}");
}

/// When there must be no more processes and all have what they may have, a visitor is sent away, and comes in later.
#[tokio::test]
async fn more_connections_than_there_is_room_for_are_refused() {
    let app = apps().await;
    let publisher = app.publisher();
    let guid = publisher.publish("app", python_bundle("python-shiny", "")).await;
    let limits = json!({"max_processes": 2, "max_conns_per_process": 1, "load_factor": 1.0});
    publisher.patch(&format!("/v1/content/{guid}"), &limits).await.ok();
    let page = format!("/content/{guid}/");
    let held = |path: String| {
        let router = app.router.clone();
        let key = sim_kit::seed::users(1)[1].api_key.clone();
        async move {
            let request = http::Request::builder().uri(path).header("authorization", format!("Key {key}"));
            router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
        }
    };
    let (one, two) = (held(page.clone()).await, held(page.clone()).await);
    assert_eq!((one.status().as_u16(), two.status().as_u16()), (200, 200));
    assert_eq!(publisher.get(&page).await.code(), (503, 277));
    let shown = publisher.page(&page).await;
    assert_eq!(shown.status, 503);
    assert!(shown.text().contains("as many connections as they may have"), "{}", shown.text());
    drop(one);
    assert_eq!(publisher.get(&page).await.status, 200, "there is room again");
    drop(two);
}

/// Two servers of one database: what the one that died has left running is ended by the other, and started anew there.
#[tokio::test]
async fn what_a_dead_server_left_running_is_ended() {
    let Some(server) = sim_kit::testing::Postgres::start() else { return };
    let url = server.database().await;
    // Seeds of their own, as what is drawn from one must not come again.
    let on = async |minutes: i64, seed: u64| {
        let frozen_at = Some(start() + chrono::TimeDelta::minutes(minutes));
        let world = sim_kit::WorldConfig { database_url: Some(url.clone()), frozen_at, seed, ..Default::default() };
        TestApp::on(connect_sim::Config::default(), world).await
    };
    let first = on(0, 1).await;
    let guid = first.publisher().publish("app", python_bundle("python-shiny", "")).await;
    first.publisher().patch(&format!("/v1/content/{guid}"), &json!({"min_processes": 1})).await.ok();
    let (running, _) = jobs(&first.publisher(), &guid).await;
    let key = running[0]["key"].clone();
    // As abrupt as within one process it can be: nothing is written any more.
    first.world.end().await;

    let soon = on(0, 2).await;
    let (running, _) = jobs(&soon.publisher(), &guid).await;
    assert!(running.iter().any(|job| job["key"] == key), "it may be alive: {running:?}");
    soon.world.end().await;
    let later = on(5, 3).await;
    let over = until_over(&later, &guid, &key).await;
    assert_eq!(over["exit_code"], 1, "{over}");
    let (running, _) = jobs(&later.publisher(), &guid).await;
    assert_eq!(running.len(), 1, "its content keeps one running: {running:?}");
    later.world.end().await;
}
