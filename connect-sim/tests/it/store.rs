//! The same flow on both engines.

use serde_json::{Value, json};
use sim_kit::WorldConfig;
use sim_kit::testing::Postgres;

use connect_sim::store::tasks::{self, End, Task};
use connect_sim::store::{MIGRATIONS, tags};

use super::app::{TestApp, document_bundle, python_bundle, start, static_bundle};
use super::identity::{self, Issuer};
use super::index::Index;
use super::{oauth_server, sign_in};

/// One of everything that SQL says.
async fn behaves(database_url: Option<String>) {
    let index = Index::start().await;
    let world = WorldConfig { database_url, ..WorldConfig::default() };
    let app = TestApp::on(index.config(), world).await;
    let publisher = app.publisher();
    let guid = publisher.publish("flow", python_bundle("python-api", "flask")).await;
    let viewer = app.viewer().get("/v1/user").await.ok()["guid"].clone();
    let group = publisher.post("/v1/groups", &json!({"name": "Gröup_%!"})).await.ok()["guid"].clone();
    let group = group.as_str().unwrap();
    publisher.post(&format!("/v1/groups/{group}/members"), &json!({"user_guid": viewer})).await;
    assert_eq!(publisher.get("/v1/groups?prefix=gr%C3%B6up_%25").await.ok()["total"], 1);
    assert_eq!(publisher.get("/v1/groups?prefix=gr_").await.ok()["total"], 0);
    assert_eq!(publisher.get(&format!("/v1/groups/{group}/members")).await.ok()["total"], 1);
    let permission = json!({"principal_guid": group, "principal_type": "group", "role": "viewer"});
    let made = publisher.post(&format!("/v1/content/{guid}/permissions"), &permission).await.ok();
    let id = made["id"].as_str().unwrap();
    publisher.put(&format!("/v1/content/{guid}/permissions/{id}"), &permission).await.ok();
    assert_eq!(app.viewer().get(&format!("/content/{guid}/")).await.status, 200);
    assert_eq!(app.viewer().get("/v1/content").await.ok()[0]["app_role"], "viewer");
    publisher.patch(&format!("/v1/content/{guid}/environment"), &json!([{"name": "A", "value": "ü"}])).await.ok();
    publisher.put(&format!("/v1/content/{guid}/environment"), &json!([{"name": "B", "value": ""}])).await.ok();
    publisher.put(&format!("/v1/content/{guid}/vanity"), &json!({"path": "/vanity/a_b/"})).await.ok();
    publisher.put(&format!("/v1/content/{guid}/vanity"), &json!({"path": "/vanity/axb/"})).await.ok();
    assert_eq!(publisher.get("/vanity/axb/").await.status, 200);
    let category = app.admin().post("/v1/tags", &json!({"name": "c"})).await.ok();
    let tag = app.admin().post("/v1/tags", &json!({"name": "t", "parent_id": category["id"]})).await.ok();
    publisher.post(&format!("/v1/content/{guid}/tags"), &json!({"tag_id": tag["id"]})).await.ok();
    // A tag as it was assigned before, without those above it.
    let leaf = app.admin().post("/v1/tags", &json!({"name": "l", "parent_id": tag["id"]})).await.ok();
    let older = publisher.create("older").await;
    let mut tx = app.world.db().write().await.unwrap();
    let id = |tag: &Value| tag["id"].as_str().unwrap().parse::<i64>().unwrap();
    tags::assign(&mut tx, &older, id(&leaf)).await.unwrap();
    let migration = MIGRATIONS.iter().find(|migration| migration.name == "assigned_tags").unwrap();
    sqlx::raw_sql(migration.sql).execute(&mut *tx).await.unwrap();
    assert_eq!(tags::of_content(&mut tx, &older).await.unwrap(), [id(&tag), id(&leaf)]);
    drop(tx);
    assert_eq!(publisher.delete(&format!("/v1/content/{older}")).await.status, 204);
    let below = format!("/v1/tags/{}/content", category["id"].as_str().unwrap());
    assert_eq!(publisher.get(&below).await.ok().as_array().unwrap().len(), 1);
    let all = publisher.get(&format!("/v1/content/{guid}?include=owner,tags,vanity_url")).await.ok();
    assert_eq!((all["tags"].as_array().unwrap().len(), &all["owner"]["username"]), (1, &json!("publisher")));
    assert_eq!(publisher.get("/v1/packages?page_size=1").await.ok()["total"], 2);
    let jobs = publisher.get(&format!("/v1/content/{guid}/jobs")).await.ok();
    assert_eq!(jobs.as_array().unwrap().iter().filter(|job| job["tag"] == "python_restore").count(), 1);
    assert_eq!(publisher.get("/v1/users?prefix=v&user_role=viewer&account_status=licensed").await.ok()["total"], 1);
    let browser = app.sign_in("publisher", "publisher-password").await;
    assert_eq!(browser.get("/v1/user").await.status, 200);
    assert_eq!(publisher.post("/v1/content", &json!({"name": "flow"})).await.code(), (409, 26));
    // At once, so that writers meet.
    let many = (0..16).map(|n| {
        let publisher = publisher.clone();
        tokio::spawn(async move { publisher.publish(&format!("many-{n}"), static_bundle("x")).await })
    });
    for one in many.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    assert_eq!(publisher.get("/v1/content").await.ok().as_array().unwrap().len(), 17);
    assert_eq!(publisher.delete(&format!("/v1/content/{guid}")).await.status, 204);
    assert_eq!(app.admin().get("/v1/vanities").await.ok(), Value::Array(Vec::new()));
    assert_eq!(publisher.delete(&format!("/v1/groups/{group}")).await.status, 204);
    assert_eq!(app.admin().delete(&format!("/v1/tags/{}", category["id"].as_str().unwrap())).await.status, 204);
    assert_eq!(app.admin().get("/v1/tags").await.ok(), json!([]));
    app.world.end().await;
}

/// Every way in.
async fn lets_in(databases: [Option<String>; 2]) {
    let [first, second] = databases;
    let world = |database_url| WorldConfig { database_url, frozen_at: Some(start()), ..WorldConfig::default() };
    let issuer = Issuer::start().await;
    let app = TestApp::on(issuer.config(), world(first)).await;
    let client = oauth_server::register(&app).await;
    let tokens = oauth_server::tokens(&app, &client).await;
    assert_eq!(oauth_server::bearer(&app, &tokens).get("/v1/user").await.status, 200);
    let renewed = oauth_server::refresh(&app, &client, &tokens).await.ok();
    assert_eq!(oauth_server::refresh(&app, &client, &tokens).await.status, 400);
    assert_eq!(oauth_server::bearer(&app, &renewed).get("/v1/user").await.status, 401);
    let (device, code) = oauth_server::start_device(&app, &client).await;
    assert_eq!(oauth_server::poll(&app, &client, &device).await.status, 400);
    oauth_server::decide(&oauth_server::browser(&app).await, &code, "allow").await;
    let tokens = oauth_server::poll(&app, &client, &device).await.ok();
    assert_eq!(app.admin().get("/v1/oauth/clients?asc_order=false").await.ok()["total"], 1);
    assert_eq!(app.admin().delete(&format!("/v1/oauth/clients/{client}")).await.status, 204);
    assert_eq!(oauth_server::bearer(&app, &tokens).get("/v1/user").await.status, 401);

    let guid = app.publisher().create("own").await;
    let service = identity::bind(&app, &guid, &issuer).await;
    let machine = identity::machine(&app, &issuer.token(&json!({}))).await;
    assert_eq!(machine.get(&format!("/v1/content/{guid}")).await.ok()["app_role"], "editor");
    let path = format!("/v1/content/{guid}/trusted-publishers/{service}");
    assert_eq!(app.publisher().delete(&path).await.status, 204);
    assert_eq!(machine.get(&format!("/v1/content/{guid}")).await.status, 401);
    let group = app.admin().post("/v1/groups", &json!({"name": "g"})).await.ok()["guid"].clone();
    let body = json!({"name": "n", "template": "aws", "permissions": [{"group_guid": group}]});
    app.admin().post("/v1/oauth/integrations", &body).await.ok();
    assert_eq!(app.publisher().get("/v1/oauth/integrations").await.ok(), json!([]));
    app.world.end().await;

    let app = TestApp::on(sign_in::config(), world(second)).await;
    for _ in 0..2 {
        let (dana, _) = sign_in::signed_in(&app, "dana", "/").await;
        assert_eq!(dana.get("/v1/user").await.ok()["external_id"], "built-in|dana");
    }
    assert_eq!(app.admin().get("/v1/groups?prefix=analysts").await.ok()["total"], 1);
    let found = app.admin().get("/v1/groups/remote?prefix=eng").await.ok();
    let ticket = json!({"temp_ticket": found["results"][0]["temp_ticket"]});
    assert_eq!(app.admin().put("/v1/groups", &ticket).await.ok()["name"], "engineers");
    app.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ways_in_on_both_engines() {
    lets_in([None, None]).await;
    let Some(server) = Postgres::start() else { return };
    lets_in([Some(server.database().await), Some(server.database().await)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    behaves(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let Some(server) = Postgres::start() else { return };
    behaves(Some(server.database().await)).await;
}

/// A task goes from worker to worker by its lease.
async fn leases(db: sim_kit::Db) {
    let task = |id: &str| Task::new(id.to_owned(), "deploy", "u", 0);
    let end = |code, error| End { code, error, result: json!({"a": [1]}) };
    let mut tx = db.write().await.unwrap();
    tasks::insert(&mut tx, &task("one")).await.unwrap();
    tasks::insert(&mut tx, &task("two")).await.unwrap();
    let claim = tasks::claim(&mut tx, "a", (10, 20), 9).await.unwrap().unwrap();
    assert_eq!((claim.id.as_str(), claim.attempts), ("one", 1));
    assert_eq!(tasks::claim(&mut tx, "b", (15, 25), 9).await.unwrap().unwrap().id, "two");
    assert!(tasks::claim(&mut tx, "b", (15, 25), 9).await.unwrap().is_none());
    assert_eq!(tasks::outlook(&mut tx, "b").await.unwrap().1, Some(20));
    assert!(tasks::claim(&mut tx, "a", (30, 40), 9).await.unwrap().is_some_and(|task| task.id == "two"), "b's ran out");
    assert!(tasks::claim(&mut tx, "a", (99, 110), 9).await.unwrap().is_none(), "nobody takes its own");
    assert!(!tasks::renew(&mut tx, "two", "b", 50).await.unwrap());
    assert!(!tasks::finish(&mut tx, "two", "b", 50, &end(0, "")).await.unwrap());
    assert!(tasks::renew(&mut tx, "one", "a", 50).await.unwrap());
    tasks::append(&mut tx, "one", &["a".to_owned(), "b".to_owned()]).await.unwrap();
    tasks::append(&mut tx, "one", &["c".to_owned()]).await.unwrap();
    for (first, expected) in [(0, &["a", "b", "c"][..]), (1, &["b", "c"]), (2, &["c"]), (3, &[]), (9, &[])] {
        assert_eq!(tasks::output(&mut tx, "one", first).await.unwrap(), expected, "{first}");
    }
    assert!(tasks::finish(&mut tx, "one", "a", 60, &end(1, "why")).await.unwrap());
    assert!(!tasks::finish(&mut tx, "one", "a", 61, &end(0, "")).await.unwrap(), "a task ends once");
    let one = tasks::get(&mut tx, "one").await.unwrap().unwrap();
    assert_eq!((one.state.as_str(), one.code, one.error.as_str(), one.lines), ("finished", 1, "why", 3));
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn leases_on_both_engines() {
    let folder = tempfile::tempdir().unwrap();
    leases(sim_kit::Db::sqlite(&folder.path().join("db.sqlite"), MIGRATIONS).await.unwrap()).await;
    let Some(server) = Postgres::start() else { return };
    leases(server.db(MIGRATIONS).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_of_the_database_builds() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database().await;
    let world = || WorldConfig { database_url: Some(url.clone()), ..WorldConfig::default() };
    let front = TestApp::on(connect_sim::Config { builders: 0, ..Default::default() }, world()).await;
    let back = TestApp::on(connect_sim::Config::default(), world()).await;
    let guid = front.publisher().create("shared").await;
    front.publisher().upload(&guid, static_bundle("x")).await.ok();
    assert_eq!(front.publisher().deploy(&guid, &json!({})).await["code"], 0);
    assert_eq!(back.publisher().get(&format!("/v1/content/{guid}")).await.ok()["app_mode"], "static");
    front.world.end().await;
    back.world.end().await;
}

/// One of everything that the later tables hold.
async fn keeps(database_url: Option<String>) {
    let index = Index::start().await;
    let world = WorldConfig { database_url, frozen_at: Some(start()), ..WorldConfig::default() };
    let app = TestApp::on(index.config(), world).await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let api = publisher.publish("api", python_bundle("python-api", "flask")).await;
    let document = publisher.publish("document", document_bundle()).await;
    // Hits and audit entries, by pages.
    for _ in 0..3 {
        publisher.get(&format!("/content/{api}/?q=ü")).await.ok();
    }
    let visits = publisher.get(&format!("/v1/instrumentation/content/visits?limit=2&content_guid={api}")).await.ok();
    assert_eq!((visits["results"].as_array().unwrap().len(), visits["paging"]["next"].is_string()), (2, true));
    assert_eq!(publisher.get("/v1/instrumentation/content/hits").await.ok()[0]["data"]["query"], "q=ü");
    let entries = admin.get("/v1/audit_logs?limit=500&ascOrder=true").await.ok()["results"].clone();
    assert!(entries.as_array().unwrap().iter().any(|entry| entry["action"] == "deploy_application"), "{entries}");
    assert_eq!(admin.get("/v1/search/auditlogs?q=DEPLOY").await.ok()["total"], 2);
    // Processes and their jobs.
    let jobs = publisher.get(&format!("/v1/content/{api}/jobs")).await.ok();
    assert_eq!((&jobs[0]["tag"], &jobs[0]["status"]), (&json!("run_python_api"), &json!(0)));
    publisher.patch(&format!("/v1/content/{api}/environment"), &json!([{"name": "A", "value": "1"}])).await.ok();
    assert_eq!(publisher.get(&format!("/v1/content/{api}/jobs")).await.ok()[0]["status"], 2);
    // Documents: variants, renderings, schedules and their history, subscribers, pictures, bookmarks.
    let variant = publisher.get(&format!("/applications/{document}/variants")).await.ok()[0]["id"].clone();
    publisher.post(&format!("/variants/{variant}"), &json!({"name": "Täglich", "visibility": "private"})).await.ok();
    let made = publisher.post("/schedules", &json!({"variant_id": variant, "type": "weekday"})).await.ok();
    let body =
        json!({"type": "hour", "schedule": "{\"N\":2}", "start_time": "2026-01-02T04:00:00Z", "timezone": "UTC"});
    publisher.post(&format!("/schedules/{}", made["id"]), &body).await.ok();
    app.world.clock().advance(std::time::Duration::from_secs(3_600)).await;
    // The watch hears of a new schedule a moment after the answer.
    let run = async {
        loop {
            let newest = tasks::newest(&mut app.world.db().read().await.unwrap(), &document).await.unwrap().unwrap();
            if newest.kind == "render" {
                return newest.id;
            }
            app.world.clock().advance(std::time::Duration::from_millis(1)).await;
        }
    };
    publisher.finished(&run.await).await;
    let renderings = publisher.get(&format!("/variants/{variant}/renderings")).await.ok();
    assert_eq!((renderings.as_array().unwrap().len(), &renderings[0]["active"]), (2, &json!(true)));
    assert_eq!(publisher.get("/v1/experimental/jobs/summary").await.ok()["totals"]["succeeded"], 1);
    assert_eq!(publisher.delete(&format!("/schedules/{}", made["id"])).await.status, 204);
    let history = publisher.get(&format!("/v1/content/{document}/schedule/history")).await.ok();
    let kinds: Vec<&Value> =
        history["results"][0]["history"].as_array().unwrap().iter().map(|change| &change["change_type"]).collect();
    assert_eq!(kinds, [&json!("deleted"), &json!("updated"), &json!("created")]);
    assert_eq!(publisher.get("/v1/search/variants").await.ok()["results"][0]["variant_name"], "Täglich");
    let picture = publisher.raw("PUT", &format!("/v1/content/{api}/thumbnail"), &[], "GIF89a".into()).await;
    assert_eq!(picture.status, 204);
    assert_eq!(publisher.post(&format!("/v1/content/{api}/bookmark"), &json!({})).await.status, 201);
    assert_eq!(publisher.post(&format!("/v1/content/{api}/bookmark"), &json!({})).await.code(), (409, 267));
    // The server: environments with their permissions, integrations with associations and sessions, caches, checks,
    // mails, tokens, documentation, storage.
    let body = json!({"name": "image", "cluster_name": "Kubernetes", "r": {"installations": [{"version": "4.4.0", "path": "/r"}]}});
    let environment = admin.post("/v1/environments", &body).await.ok()["guid"].as_str().unwrap().to_owned();
    let viewer = app.viewer().get("/v1/user").await.ok()["guid"].clone();
    let path = format!("/v1/environments/{environment}");
    let permission = admin.post(&format!("{path}/permissions"), &json!({"user_guid": viewer})).await.ok();
    assert_eq!(admin.get(&format!("{path}/permissions")).await.ok()[0]["guid"], permission["guid"]);
    assert_eq!(admin.put(&path, &json!({"title": "Bild"})).await.ok()["title"], "Bild");
    assert_eq!(admin.delete(&path).await.status, 204);
    let body = json!({"name": "n", "template": "github", "config": {"client_id": "c"}});
    let integration = admin.post("/v1/oauth/integrations", &body).await.ok()["guid"].clone();
    let associations = format!("/v1/content/{api}/oauth/integrations/associations");
    assert_eq!(publisher.put(&associations, &json!([{"oauth_integration_guid": integration}])).await.status, 204);
    assert_eq!(publisher.get(&associations).await.ok()[0]["oauth_integration_guid"], integration);
    let login = format!("/__oauth__/integrations/{}/login", integration.as_str().unwrap());
    assert_eq!(publisher.get(&login).await.status, 302);
    assert_eq!(publisher.get("/v1/oauth/sessions").await.ok()[0]["oauth_integration_guid"], integration);
    assert_eq!(admin.delete(&format!("/v1/oauth/integrations/{}", integration.as_str().unwrap())).await.status, 204);
    assert_eq!(admin.get("/v1/system/caches/runtime").await.ok()["caches"][0]["language"], "Python");
    let run = admin.post("/v1/system/checks", &json!({})).await.ok()["id"].clone();
    assert_eq!(admin.get(&format!("/v1/system/checks/{}/results", run.as_str().unwrap())).await.ok()["run"]["id"], run);
    admin.post("/v1/tasks/send-test-email", &json!({"to": "a@example.com"})).await.ok();
    let token = json!({"name": "t", "scopes": ["identity:manage"], "expires_at": "2027-01-01T00:00:00Z"});
    let token = admin.post("/v1/system/service-tokens", &token).await.ok()["guid"].as_str().unwrap().to_owned();
    assert_eq!(admin.delete(&format!("/v1/system/service-tokens/{token}")).await.status, 204);
    assert_eq!(admin.post("/v1/system/documentation", &json!({"content": "ä"})).await.status, 204);
    assert_eq!(admin.get("/v1/system/storage").await.ok()["bundles"]["count"], 2);
    assert_eq!(admin.get("/v1/queue").await.ok()["total"], 0);
    assert_eq!(admin.get("/v1/feature-usage").await.ok().as_array().unwrap().len(), 9);
    // Repositories.
    let backed = publisher.create("backed").await;
    let path = format!("/v1/content/{backed}/repository");
    publisher.put(&path, &json!({"repository": "https://git.example/a", "branch": "zweig"})).await.ok();
    assert_eq!(publisher.patch(&path, &json!({"polling": false})).await.ok()["branch"], "zweig");
    assert_eq!(publisher.delete(&format!("/v1/content/{backed}")).await.status, 204);
    assert_eq!(publisher.get(&path).await.status, 404);
    app.world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_kept_by_sqlite() {
    keeps(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_kept_by_postgres() {
    let Some(server) = Postgres::start() else { return };
    keeps(Some(server.database().await)).await;
}
