//! The same flow on both engines, and how fast it is.

use std::time::Instant;

use serde_json::{Value, json};
use sim_kit::WorldConfig;
use sim_kit::testing::Postgres;

use connect_sim::store::MIGRATIONS;
use connect_sim::store::tasks::{self, End, Task};

use super::app::{TestApp, python_bundle, static_bundle};
use super::index::Index;

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
    let below = format!("/v1/tags/{}/content", category["id"].as_str().unwrap());
    assert_eq!(publisher.get(&below).await.ok().as_array().unwrap().len(), 1);
    let all = publisher.get(&format!("/v1/content/{guid}?include=owner,tags,vanity_url")).await.ok();
    assert_eq!((all["tags"].as_array().unwrap().len(), &all["owner"]["username"]), (2, &json!("publisher")));
    assert_eq!(publisher.get("/v1/packages?page_size=1").await.ok()["total"], 2);
    assert_eq!(publisher.get(&format!("/v1/content/{guid}/jobs")).await.ok().as_array().unwrap().len(), 1);
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

#[tokio::test(flavor = "multi_thread")]
async fn sqlite() {
    behaves(None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres() {
    let Some(server) = Postgres::start() else { return };
    behaves(Some(server.database().await)).await;
}

/// How many publishes a second 8 clients get, for a look: `--run-ignored all publishes_per_second`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn publishes_per_second() {
    let app = TestApp::on(connect_sim::Config::default(), WorldConfig::default()).await;
    let (clients, each) = (8, 50);
    let started = Instant::now();
    let work = (0..clients).map(|client| {
        let publisher = app.publisher();
        tokio::spawn(async move {
            for n in 0..each {
                let guid = publisher.publish(&format!("p-{client}-{n}"), static_bundle("x")).await;
                assert_eq!(publisher.get(&format!("/content/{guid}/")).await.status, 200);
            }
        })
    });
    for one in work.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    eprintln!("{:.0} publishes per second with {clients} clients", f64::from(clients * each) / seconds);
}

/// A task goes from worker to worker by its lease.
async fn leases(db: sim_kit::Db) {
    let task = |id: &str| Task::new(id.to_owned(), "deploy", "u", 0);
    let end = |code, error| End { code, error, result: json!({"a": [1]}) };
    let mut tx = db.write().await.unwrap();
    tasks::insert(&mut tx, &task("one")).await.unwrap();
    tasks::insert(&mut tx, &task("two")).await.unwrap();
    let claim = tasks::claim(&mut tx, "a", 10, 20).await.unwrap().unwrap();
    assert_eq!((claim.id.as_str(), claim.attempts), ("one", 1));
    assert_eq!(tasks::claim(&mut tx, "b", 15, 25).await.unwrap().unwrap().id, "two");
    assert!(tasks::claim(&mut tx, "b", 15, 25).await.unwrap().is_none());
    assert_eq!(tasks::next_lease(&mut tx, "b").await.unwrap(), Some(20));
    assert!(tasks::claim(&mut tx, "a", 30, 40).await.unwrap().is_some_and(|task| task.id == "two"), "b's ran out");
    assert!(tasks::claim(&mut tx, "a", 99, 110).await.unwrap().is_none(), "nobody takes its own");
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
