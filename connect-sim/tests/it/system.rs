//! What happened, and the server as a whole.

use std::time::Duration;

use serde_json::{Value, json};

use super::app::{TestApp, bundle, document_bundle, python_bundle, static_bundle};
use super::index::Index;

#[tokio::test]
async fn visits_are_recorded_and_paged() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let page = publisher.publish("page", static_bundle("x")).await;
    let document = publisher.publish("document", document_bundle()).await;
    publisher.patch(&format!("/v1/content/{page}"), &json!({"access_type": "all"})).await.ok();
    app.anonymous().with("user-agent", "Robot/1").get(&format!("/content/{page}/?a=b")).await;
    publisher.get(&format!("/content/{document}/doc.html")).await;
    for path in ["none.html", "a%20b/c.css"] {
        publisher.get(&format!("/content/{page}/{path}")).await;
    }
    app.world.clock().advance(Duration::from_secs(60)).await;
    publisher.get(&format!("/content/{page}/sub/")).await;

    let visits = publisher.get("/v1/instrumentation/content/visits").await.ok();
    let all = visits["results"].as_array().unwrap();
    assert_eq!(all.len(), 3, "no misses and no style sheets: {visits}");
    assert_eq!((&all[0]["user_guid"], &all[0]["path"]), (&Value::Null, &json!("/")));
    assert_eq!((&all[0]["user_agent"], &all[0]["rendering_id"]), (&json!("Robot/1"), &Value::Null));
    assert_eq!((&all[1]["content_guid"], &all[1]["rendering_id"]), (&json!(document), &json!("1")));
    assert_eq!(all[1]["variant_key"].as_str().unwrap().len(), 8);
    let keys: Vec<&String> = visits.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["paging", "results"]);

    let first = publisher.get("/v1/instrumentation/content/visits?limit=2&asc_order=false").await.ok();
    assert_eq!(first["results"][0]["path"], "/sub/");
    let next = first["paging"]["next"].as_str().unwrap();
    assert!(next.starts_with("http://connect.example/__api__/v1/instrumentation/content/visits?"), "{next}");
    let rest = publisher.get(next.split_once("/__api__").unwrap().1).await.ok();
    assert_eq!((&rest["results"][0]["path"], &rest["paging"]["next"]), (&json!("/"), &Value::Null));
    let one = |query: &str| {
        let (publisher, path) = (publisher.clone(), format!("/v1/instrumentation/content/visits?{query}"));
        async move { publisher.get(&path).await.ok()["results"].as_array().unwrap().len() }
    };
    assert_eq!(one(&format!("content_guid={document}")).await, 1);
    assert_eq!(one(&format!("content_guid={document}|{page}")).await, 3);
    assert_eq!(one("content_guid=%25").await, 0);
    assert_eq!(one("from=2026-01-02T03:05:00Z").await, 1);
    assert_eq!(one("to=2026-01-02T03:04:05Z").await, 2);
    assert_eq!(one("min_data_version=4").await, 0);
    assert_eq!((one("user_agent=Robot/1").await, one("user_agent=Robot").await), (1, 0));
    let bad = publisher.get("/v1/instrumentation/content/visits?from=yesterday").await;
    assert_eq!(bad.code(), (400, 136));

    let hits = admin.get(&format!("/v1/instrumentation/content/hits?content_guid={page}")).await.ok();
    assert_eq!(hits.as_array().unwrap().len(), 2);
    assert_eq!((&hits[0]["data"]["query"], hits[0]["id"].is_i64()), (&json!("a=b"), true));
    let (_, stranger) = app.user("stranger", "publisher").await;
    assert_eq!(stranger.get("/v1/instrumentation/content/hits").await.ok(), json!([]));
}

#[tokio::test]
async fn shiny_has_its_own_list() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let manifest = json!({"version": 1, "metadata": {"appmode": "python-shiny", "entrypoint": "app:app"}});
    let guid = publisher.publish("shiny", bundle(&manifest, &[("app.py", "")])).await;
    publisher.page(&format!("/content/{guid}/")).await;
    let usage = publisher.get("/v1/instrumentation/shiny/usage").await.ok();
    assert_eq!(usage["results"][0]["content_guid"], json!(guid));
    assert_eq!(publisher.get("/v1/instrumentation/content/visits").await.ok()["results"], json!([]));
}

#[tokio::test]
async fn older_servers_do_not_filter_hits() {
    let version = "2025.04.0".parse().unwrap();
    let app = TestApp::with(connect_sim::Config { version, ..connect_sim::Config::default() }).await;
    let publisher = app.publisher();
    let guid = publisher.publish("page", static_bundle("x")).await;
    publisher.get(&format!("/content/{guid}/")).await;
    let hits = publisher.get("/v1/instrumentation/content/hits?content_guid=00000000").await.ok();
    assert_eq!(hits.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn changes_are_audited() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let guid = publisher.publish("page", static_bundle("x")).await;
    publisher.get(&format!("/v1/content/{guid}")).await.ok();
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"title": "?"})).await;
    let log = admin.get("/v1/audit_logs").await.ok();
    let actions: Vec<&str> =
        log["results"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["add_application", "add_bundle", "deploy_application"], "neither reads nor refusals");
    assert!(log["results"][0]["user_description"].as_str().unwrap().contains("publisher"));
    let newest = admin.get("/v1/audit_logs?ascOrder=false&limit=1").await.ok();
    assert_eq!(newest["results"][0]["action"], "deploy_application");
    let next = newest["paging"]["cursors"]["next"].as_str().unwrap();
    let second = admin.get(&format!("/v1/audit_logs?ascOrder=false&limit=1&next={next}")).await.ok();
    assert_eq!(second["results"][0]["action"], "add_bundle");
    let found = admin.get("/v1/search/auditlogs?q=BUNDLE").await.ok();
    assert_eq!((&found["total"], &found["results"][0]["action"]), (&json!(1), &json!("add_bundle")));
    let known = admin.get("/v1/audit/actions").await.ok();
    assert!(known.as_array().unwrap().iter().any(|action| action["action"] == "add_bundle"));
}

#[tokio::test]
async fn runtime_caches_come_with_builds_and_go_when_told() {
    let index = Index::start().await;
    let app = TestApp::with(index.config()).await;
    let admin = app.admin();
    let path = "/v1/system/caches/runtime";
    assert_eq!(admin.get(path).await.ok(), json!({"caches": []}));
    app.publisher().publish("api", python_bundle("python-api", "flask")).await;
    let cache = admin.get(path).await.ok()["caches"][0].clone();
    assert_eq!((&cache["language"], &cache["image_name"]), (&json!("Python"), &json!("Local")));
    let mut body = cache.clone();
    body["dry_run"] = json!(true);
    assert_eq!(admin.send("DELETE", path, &body).await.ok()["task_id"], Value::Null);
    let task = admin.send("DELETE", path, &cache).await.ok()["task_id"].as_str().unwrap().to_owned();
    assert_eq!(admin.finished(&task).await["code"], 0);
    let gone = admin.send("DELETE", path, &cache).await;
    assert_eq!((gone.code(), gone.json()["error"].clone()), ((404, 4), json!("Cache does not exist")));
    let other = json!({"language": "COBOL", "version": "1"});
    assert_eq!(admin.send("DELETE", path, &other).await.code(), (400, 179));
}

#[tokio::test]
async fn environments_are_for_those_who_are_permitted() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let body = json!({
        "title": "R 4.3", "name": "example.org/image:1", "cluster_name": "Kubernetes", "matching": "exact",
        "r": {"installations": [{"version": "4.3.1", "path": "/opt/R/4.3.1/bin/R"}]},
        "volume_mounts": [{"source": {"volume_type": "pvc", "pvc_name": "data"}, "target": {"path": "/data"}}],
    });
    let made = admin.post("/v1/environments", &body).await.ok();
    assert_eq!((&made["environment_type"], &made["python"]), (&json!("Kubernetes"), &Value::Null));
    assert_eq!(made["r"]["installations"][0]["version"], "4.3.1");
    assert_eq!(admin.post("/v1/environments", &body).await.code(), (409, 175));
    let guid = made["guid"].as_str().unwrap();
    let path = format!("/v1/environments/{guid}");
    assert_eq!(publisher.get(&path).await.ok()["title"], "R 4.3");
    for (field, value, code) in [
        ("matching", json!("some"), 172),
        ("r", json!({"installations": [{"version": "1", "path": "R"}]}), 173),
        ("r", json!({"installations": [{"path": "/R"}]}), 174),
        ("title", json!("x".repeat(300)), 168),
        ("volume_mounts", json!([{"source": {"volume_type": "floppy"}}]), 254),
    ] {
        let mut bad = body.clone();
        bad[field] = value;
        assert_eq!(admin.put(&path, &bad).await.code(), (400, code), "{field}");
    }
    let replaced = admin.put(&path, &json!({"title": "Other"})).await.ok();
    assert_eq!((&replaced["title"], &replaced["r"], &replaced["name"]), (&json!("Other"), &Value::Null, &body["name"]));

    let viewer = app.viewer().get("/v1/user").await.ok()["guid"].clone();
    let permissions = format!("{path}/permissions");
    let permission = admin.post(&permissions, &json!({"user_guid": viewer})).await.ok();
    assert_eq!(admin.post(&permissions, &json!({"user_guid": viewer})).await.code(), (409, 247));
    assert_eq!(admin.post(&permissions, &json!({})).await.code(), (400, 246));
    assert_eq!(publisher.get(&path).await.code(), (404, 4));
    assert_eq!(publisher.get("/v1/environments").await.ok(), json!([]));
    let me = publisher.get("/v1/user").await.ok()["guid"].clone();
    let group = publisher.post("/v1/groups", &json!({"name": "g"})).await.ok()["guid"].as_str().unwrap().to_owned();
    publisher.post(&format!("/v1/groups/{group}/members"), &json!({"user_guid": me})).await;
    admin.post(&permissions, &json!({"group_guid": group})).await.ok();
    assert_eq!(publisher.get("/v1/environments").await.ok().as_array().unwrap().len(), 1);
    let one = format!("{permissions}/{}", permission["guid"].as_str().unwrap());
    assert_eq!(admin.delete(&one).await.status, 204);
    assert_eq!(admin.get(&permissions).await.ok().as_array().unwrap().len(), 1);
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(admin.get(&path).await.code(), (404, 4));
}

#[tokio::test]
async fn the_server_checks_itself_and_keeps_its_mail() {
    let app = TestApp::new().await;
    let admin = app.admin();
    let run = admin.post("/v1/system/checks", &json!({})).await.ok();
    assert_eq!((&run["status"], &run["passed"], &run["failed"]), (&json!("done"), &json!(2), &json!(1)));
    let id = run["id"].as_str().unwrap();
    let results = admin.get(&format!("/v1/system/checks/{id}/results")).await.ok();
    assert_eq!(results["run"], run);
    let failed: Vec<&Value> =
        results["results"].as_array().unwrap().iter().filter(|result| result["passed"] == false).collect();
    assert_eq!(failed[0]["test"]["name"], "repositories", "none is configured");
    assert_eq!(admin.get("/v1/system/checks").await.ok(), json!([run]));
    assert_eq!(admin.post("/v1/system/checks", &json!({"hostname": "other"})).await.code(), (400, 162));

    let sent = admin.post("/v1/tasks/send-test-email", &json!({"to": "a@example.com"})).await.ok();
    assert_eq!(admin.finished(sent["task_id"].as_str().unwrap()).await["code"], 0);
    let (mails, _) = connect_sim::store::mail::newest(&mut app.world.db().read().await.unwrap(), 99).await.unwrap();
    assert_eq!((mails.len(), mails[0].recipient.as_str()), (1, "a@example.com"));
    for bad in ["", "a", "a@", "@b", "a@b\r\nBcc: c@d", "a b@c"] {
        let answer = admin.post("/v1/tasks/send-test-email", &json!({"to": bad})).await;
        assert_eq!(answer.code(), (400, 264), "{bad:?}");
    }
}

#[tokio::test]
async fn active_users_are_counted_by_their_last_visit() {
    let app = TestApp::new().await;
    app.viewer().get("/v1/user").await.ok();
    app.world.clock().advance(Duration::from_secs(3 * 24 * 3600)).await;
    let windows = app.admin().get("/v1/metrics/users/active").await.ok()["windows"].clone();
    assert_eq!(windows["1d"], json!({"total": 1, "admin": 1, "publisher": 0, "viewer": 0}));
    assert_eq!(windows["7d"], json!({"total": 2, "admin": 1, "publisher": 0, "viewer": 1}));
}

#[tokio::test]
async fn service_tokens_are_told_once() {
    let app = TestApp::new().await;
    let admin = app.admin();
    let path = "/v1/system/service-tokens";
    let scopes = admin.get(&format!("{path}/scopes")).await.ok();
    assert_eq!(scopes["scopes"][0]["name"], "identity:manage");
    let body = json!({"name": "SCIM", "scopes": ["identity:manage"], "expires_at": "2026-01-03T00:00:00Z"});
    let made = admin.post(path, &body).await.ok();
    assert_eq!((made["key"].as_str().unwrap().len(), &made["active_time"]), (32, &Value::Null));
    let forever =
        admin.post(path, &json!({"name": "SCIM", "scopes": ["nameservice:read"], "expires_at": null})).await.ok();
    let listed = admin.get(path).await.ok();
    assert_eq!(listed.as_array().unwrap().len(), 2, "names may come twice");
    assert!(listed[0].get("key").is_none(), "{listed}");
    let refused = app.key(made["key"].as_str().unwrap()).get("/v1/user").await;
    assert_eq!(refused.status, 401, "it is no key to the API");
    for (body, code, field) in [
        (json!({"scopes": ["identity:manage"]}), 12, "name"),
        (json!({"name": " ", "scopes": ["identity:manage"]}), 25, "name"),
        (json!({"name": "x"}), 12, "scopes"),
        (json!({"name": "x", "scopes": []}), 12, "scopes"),
        (json!({"name": "x", "scopes": ["everything"]}), 25, "scopes"),
        (json!({"name": "x", "scopes": [1]}), 87, "scopes"),
        (json!({"name": "x", "scopes": ["identity:manage"], "expires_at": "2026-01-01T00:00:00Z"}), 25, "expires_at"),
        (json!({"name": "x", "scopes": ["identity:manage"], "expires_at": "soon"}), 136, "expires_at"),
    ] {
        let answer = admin.post(path, &body).await;
        assert_eq!(answer.code(), (400, code), "{body}");
        assert!(answer.text().contains(&format!("`{field}`")), "{}", answer.text());
    }
    app.world.clock().advance(Duration::from_secs(24 * 3600)).await;
    let listed = admin.get(path).await.ok();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["guid"]), (1, &forever["guid"]), "one has expired");
    let one = format!("{path}/{}", forever["guid"].as_str().unwrap());
    assert_eq!(admin.delete(&one).await.status, 204);
    assert_eq!(admin.delete(&one).await.code(), (404, 4));
}

#[tokio::test]
async fn storage_counts_what_bundles_take() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let small = publisher.publish("small", static_bundle("x")).await;
    let large = publisher.publish("large", static_bundle("x")).await;
    publisher.upload(&large, static_bundle("another")).await.ok();
    publisher.create("empty").await;
    let bytes = |answer: &Value| answer["size"].as_i64().unwrap();
    let bundles = publisher.get(&format!("/v1/content/{large}/bundles")).await.ok();
    let (second, first) = (bytes(&bundles[0]), bytes(&bundles[1]));
    let server = admin.get("/v1/system/storage").await.ok();
    let expected = json!({
        "bytes_total": 2 * first + second, "bytes_active": 2 * first, "bytes_inactive": second, "count": 3,
        "content_count": 2,
    });
    assert_eq!(server["bundles"], expected);
    let list = admin.get("/v1/content/storage?page_size=2").await.ok();
    assert_eq!((&list["total"], &list["total_pages"], &list["current_page"]), (&json!(3), &json!(2), &json!(1)));
    assert_eq!(
        (&list["results"][0]["content_guid"], &list["results"][1]["content_guid"]),
        (&json!(large), &json!(small))
    );
    assert_eq!(list["results"][0]["owner_username"], "publisher");
    let ascending = admin.get("/v1/content/storage?sort=bundle_count&order=asc").await.ok();
    assert_eq!(ascending["results"][0]["content_name"], "empty");
    let detail = admin.get(&format!("/v1/content/{large}/storage")).await.ok();
    assert_eq!((&detail["bundle_count"], &detail["bundle_bytes_inactive"]), (&json!(2), &json!(second)));
    assert_eq!((&detail["bundles"][0]["is_active"], &detail["bundles"][1]["is_active"]), (&json!(false), &json!(true)));
    for bad in ["sort=x", "order=up", "page_size=0"] {
        assert_eq!(admin.get(&format!("/v1/content/storage?{bad}")).await.code(), (400, 25), "{bad}");
    }
    assert_eq!(admin.get("/v1/content/none/storage").await.code(), (404, 4));
}

#[tokio::test]
async fn work_that_waits_can_be_taken_away() {
    let app = TestApp::with(connect_sim::Config { builders: 0, ..Default::default() }).await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let guid = publisher.create("waiting").await;
    publisher.upload(&guid, document_bundle()).await.ok();
    let mut tasks = Vec::new();
    for _ in 0..3 {
        let started = publisher.post(&format!("/v1/content/{guid}/deploy"), &json!({})).await.json();
        tasks.push(started["task_id"].as_str().unwrap().to_owned());
    }
    let queue = admin.get("/v1/queue?page_size=2").await.ok();
    assert_eq!((&queue["total"], queue["results"].as_array().unwrap().len()), (&json!(3), 2));
    assert_eq!(
        (&queue["results"][0]["job_type"], &queue["results"][0]["started_time"]),
        (&json!("Deploy"), &Value::Null)
    );
    let newest = admin.get("/v1/queue?asc_order=false").await.ok()["results"][0]["id"].clone();
    assert_eq!(admin.get("/v1/queue?queue_names=other").await.ok()["total"], 0);
    let path = format!("/v1/queue/{}", newest.as_str().unwrap());
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!(admin.delete(&path).await.code(), (404, 4));
    assert_eq!(admin.get("/v1/queue").await.ok()["total"], 2);
    let task = publisher.finished(&tasks[2]).await;
    assert_eq!((&task["code"], task["error"].as_str().unwrap().contains("queue")), (&json!(1), true));
    let jobs = publisher.get(&format!("/v1/content/{guid}/jobs")).await.ok();
    let states: Vec<(&Value, &Value)> =
        jobs.as_array().unwrap().iter().map(|job| (&job["status"], &job["skip_reason"])).collect();
    assert_eq!(states, [(&json!(3), &task["error"]), (&json!(0), &Value::Null), (&json!(0), &Value::Null)]);
    let mut tx = app.world.db().write().await.unwrap();
    connect_sim::store::tasks::claim(&mut tx, "somebody", (0, i64::MAX), 9).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let busy = admin.get("/v1/queue").await.ok()["results"][0]["id"].clone();
    assert_eq!(admin.delete(&format!("/v1/queue/{}", busy.as_str().unwrap())).await.code(), (409, 100));
}

#[tokio::test]
async fn the_server_tells_of_itself() {
    let app = TestApp::with(Index::start().await.config()).await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let hosts = admin.get("/v1/system/hosts?active=true").await.ok();
    assert_eq!(
        (&hosts[0]["version"], &hosts[0]["last_seen"]),
        (&json!(connect_sim::version::NEWEST.to_string()), &json!("2026-01-02T03:04:05Z"))
    );
    let accounts = publisher.get("/v1/system/offhost/service-accounts").await.ok();
    assert_eq!(accounts, json!({"enabled": false, "default": null, "accounts": []}));
    let used = |features: Value, name: &str| {
        features.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["used"].clone()
    };
    assert_eq!(used(publisher.get("/v1/feature-usage").await.ok(), "tags"), false);
    admin.post("/v1/tags", &json!({"name": "c"})).await.ok();
    assert_eq!(used(publisher.get("/v1/feature-usage").await.ok(), "tags"), true);

    let path = "/v1/system/documentation";
    assert_eq!(admin.get(path).await.code(), (404, 4));
    assert_eq!(admin.post(path, &json!({"content": "# Häuser"})).await.status, 204);
    assert_eq!(
        app.viewer().get(path).await.ok(),
        json!({"content": "# Häuser", "created_time": "2026-01-02T03:04:05Z"})
    );
    assert_eq!(admin.post(path, &json!({"content": "x".repeat(500_001)})).await.code(), (400, 255));
    assert_eq!(admin.delete(path).await.status, 204);
    assert_eq!(admin.delete(path).await.code(), (404, 4));

    let guid = publisher.publish("api", python_bundle("python-api", "flask")).await;
    let test = format!("/v1/content/{guid}/access-test");
    assert_eq!(publisher.post(&test, &json!({})).await.code(), (400, 259));
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"access_type": "all"})).await.ok();
    let answer = publisher.post(&test, &json!({})).await.ok();
    assert_eq!((&answer["accessible"], &answer["guid"]), (&json!(false), &json!(guid)), "{answer}");
    assert!(answer["message"].as_str().unwrap().contains("simulated"));
}
