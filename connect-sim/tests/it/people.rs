//! Users, keys and groups.

use std::time::Duration;

use connect_sim::Config;
use serde_json::json;

use super::app::TestApp;

#[tokio::test]
async fn groups_tell_what_they_were_given() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.create("given").await;
    let group = publisher.post("/v1/groups", &json!({"name": "readers"})).await.ok()["guid"].clone();
    let path = format!("/v1/experimental/groups/{}/content", group.as_str().unwrap());
    assert_eq!(publisher.get(&path).await.ok(), json!([]));
    let grant = json!({"principal_guid": group, "principal_type": "group", "role": "viewer"});
    publisher.post(&format!("/v1/content/{guid}/permissions"), &grant).await.ok();
    let given = publisher.get(&path).await.ok();
    let roles: Vec<_> = given[0]["permissions"].as_array().unwrap().iter().map(|p| &p["principal_role"]).collect();
    assert_eq!(roles, ["author", "viewer"]);
    assert_eq!(given[0]["permissions"][1]["principal_name"], "readers");
    assert_eq!(app.viewer().get(&path).await.ok(), json!([]));
}

#[tokio::test]
async fn users_have_the_documented_shapes() {
    let app = TestApp::new().await;
    insta::assert_json_snapshot!("user", app.publisher().get("/v1/user").await.ok());
    insta::assert_json_snapshot!("user_legacy", app.viewer().get("/users/current").await.ok());
    insta::assert_json_snapshot!("users", app.viewer().get("/v1/users?page_size=2").await.ok());
    let prefix = app.viewer().get("/v1/users?prefix=PAT").await.ok();
    assert_eq!((&prefix["total"], &prefix["results"][0]["username"]), (&json!(1), &json!("publisher")));
    let roles = app.viewer().get("/v1/users?user_role=viewer%7Cadministrator").await.ok();
    assert_eq!(roles["total"], 2);
    assert_eq!(app.viewer().get("/v1/users?prefix=%25").await.ok()["total"], 0);
    for query in ["page_number=0", "page_size=501", "page_size=x", "user_role=god", "account_status=dead"] {
        assert_eq!(app.viewer().get(&format!("/v1/users?{query}")).await.code(), (400, 25), "{query}");
    }
}

#[tokio::test]
async fn users_are_ordered_and_told_as_csv() {
    let app = TestApp::new().await;
    let odd = json!({"username": "zed", "first_name": "A, \"B\"", "user_role": "viewer"});
    app.world.clock().advance(Duration::from_secs(60)).await;
    app.admin().post("/v1/users", &odd).await.ok();
    let names = async |query: &str| -> Vec<String> {
        let list = app.admin().get(&format!("/v1/users?{query}")).await.ok();
        list["results"].as_array().unwrap().iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect()
    };
    let by_name = names("sort=username").await;
    assert!(by_name.is_sorted() && by_name.len() == 4, "{by_name:?}");
    let last_first = names("sort=username&asc_order=false").await;
    assert_eq!(last_first, by_name.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(names("sort=created_time&asc_order=false&page_size=1").await, ["zed"]);
    assert_eq!(names("").await[0], "zed", "by first name");
    assert_eq!(names("asc_order=false").await[3], "zed");
    // Of the others only the administrator has asked anything.
    assert_eq!(names("sort=active_time&asc_order=false").await[0], "admin");
    assert_eq!(names("sort=user_role").await[0], "admin");
    assert_eq!(names("account_status=inactive").await.len(), 0);
    for query in ["sort=email", "asc_order=up"] {
        assert_eq!(app.admin().get(&format!("/v1/users?{query}")).await.code(), (400, 25), "{query}");
    }

    let csv = app.admin().with("accept", "text/csv").get("/v1/users?page_size=1&sort=username").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let text = csv.text();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "all of them, below the names of the columns: {text}");
    assert!(lines[0].starts_with("guid,username,email,first_name,") && lines[1].contains(",admin,"), "{text}");
    assert!(lines[4].contains(",zed,,\"A, \"\"B\"\"\",,viewer,") && lines[4].ends_with(",true,false,"), "{text}");
    let other = app.publisher().with("accept", "text/csv").get("/v1/users").await;
    assert_eq!(other.ok()["total"], 4, "CSV is for administrators");
}

#[tokio::test]
async fn the_first_user_of_a_server_makes_itself() {
    let empty = Config { seed_users: false, ..Config::default() };
    let app = TestApp::with(empty.clone()).await;
    let nobody = app.anonymous();
    assert_eq!(app.key("wrong").post("/v1/users", &json!({"username": "first"})).await.code(), (401, 30));
    assert_eq!(nobody.post("/v1/users", &json!({"username": "first"})).await.code(), (400, 12));
    let body = json!({"username": "first", "password": "a-password", "user_role": "viewer"});
    assert_eq!(nobody.post("/v1/users", &body).await.ok()["user_role"], "administrator");
    let body = json!({"username": "second", "password": "a-password"});
    assert_eq!(nobody.post("/v1/users", &body).await.code(), (401, 24));
    let first = app.sign_in("first", "a-password").await;
    first.post("/v1/users", &body).await.ok();
    // Where others say who somebody is, nobody makes itself.
    let provider = Some(connect_sim::config::IdentityProvider::default());
    let app = TestApp::with(Config { identity_provider: provider, ..empty }).await;
    assert_eq!(app.anonymous().post("/v1/users", &body).await.code(), (401, 24));
}

#[tokio::test]
async fn users_are_made_changed_and_locked() {
    let app = TestApp::new().await;
    let (guid, caller) = app.user("new.user", "publisher").await;
    assert_eq!(app.admin().post("/v1/users", &json!({"username": "NEW.user"})).await.code(), (409, 8));
    let path = format!("/v1/users/{guid}");
    assert_eq!(caller.put(&path, &json!({"first_name": "N"})).await.ok()["first_name"], "N");
    assert_eq!(caller.put(&path, &json!({"user_role": "administrator"})).await.code(), (403, 22));
    assert_eq!(app.viewer().put(&path, &json!({"first_name": "X"})).await.code(), (403, 22));
    for (body, code) in [
        (json!({"username": "a b"}), 7),
        (json!({"email": "nobody"}), 264),
        (json!({"first_name": "x".repeat(129)}), 268),
        (json!({"user_role": "king"}), 23),
        (json!({"username": 1}), 87),
    ] {
        assert_eq!(app.admin().put(&path, &body).await.code(), (400, code), "{body}");
    }
    assert_eq!(app.admin().post(&format!("{path}/lock"), &json!({"locked": true})).await.status, 200);
    assert_eq!(caller.get("/v1/user").await.code(), (403, 50));
    app.admin().post(&format!("{path}/lock"), &json!({"locked": false})).await;
    assert_eq!(caller.get("/v1/user").await.status, 200);
    let me = app.admin().get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    let demoted = app.admin().put(&format!("/v1/users/{me}"), &json!({"user_role": "viewer"})).await;
    assert_eq!(demoted.code(), (409, 61));
}

#[tokio::test]
async fn keys_are_told_once_and_end() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let me = publisher.get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    let keys = format!("/v1/users/{me}/keys");
    let body = json!({"name": "ci", "user_role": "viewer", "expires_at": "2026-01-02T04:00:00Z"});
    let made = publisher.post(&keys, &body).await.ok();
    insta::assert_json_snapshot!("key_new", made, {".key" => "[secret]"});
    let secret = made["key"].as_str().unwrap();
    assert_eq!(secret.len(), 32);
    let shown = publisher.get(&format!("{keys}/{}", made["id"].as_str().unwrap())).await.ok();
    assert_eq!(shown["key"], format!("********{}", &secret[28..]));
    let with_key = app.key(secret);
    assert_eq!(with_key.get("/v1/user").await.ok()["user_role"], "viewer");
    assert_eq!(with_key.post("/v1/content", &json!({})).await.code(), (403, 22));
    assert_eq!(publisher.post(&keys, &json!({"name": "ci"})).await.code(), (409, 76));
    assert_eq!(publisher.post(&keys, &json!({"name": " "})).await.code(), (400, 62));
    assert_eq!(publisher.post(&keys, &json!({"name": "x", "user_role": "administrator"})).await.code(), (400, 234));
    assert_eq!(publisher.post(&keys, &json!({"name": "x", "expires_at": "yesterday"})).await.code(), (400, 25));
    assert_eq!(app.admin().get(&keys).await.code(), (403, 22));
    app.world.clock().advance(Duration::from_secs(3600)).await;
    assert_eq!(with_key.get("/v1/user").await.code(), (401, 30));
    let id = made["id"].as_str().unwrap();
    assert_eq!(publisher.delete(&format!("{keys}/{id}")).await.status, 204);
    assert_eq!(publisher.delete(&format!("{keys}/{id}")).await.code(), (404, 4));
}

#[tokio::test]
async fn groups_belong_to_somebody() {
    let app = TestApp::new().await;
    let made = app.publisher().post("/v1/groups", &json!({"name": "Team", "gid": 7})).await.ok();
    insta::assert_json_snapshot!("group", made);
    let path = format!("/v1/groups/{}", made["guid"].as_str().unwrap());
    let (_, other) = app.user("other", "publisher").await;
    assert_eq!(other.patch(&path, &json!({"name": "Mine"})).await.code(), (403, 22));
    assert_eq!(app.admin().patch(&path, &json!({"name": "Ours"})).await.ok()["name"], "Ours");
    assert_eq!(app.publisher().post("/v1/groups", &json!({"name": "Ours"})).await.code(), (409, 15));
    assert_eq!(app.publisher().post("/v1/groups", &json!({"name": ""})).await.code(), (400, 14));
    let me = app.viewer().get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    app.publisher().post(&format!("{path}/members"), &json!({"user_guid": me})).await;
    insta::assert_json_snapshot!("group_members", app.viewer().get(&format!("{path}/members")).await.ok());
    assert_eq!(app.publisher().delete(&format!("{path}/members/{me}")).await.status, 204);
    assert_eq!(app.publisher().delete(&format!("{path}/members/{me}")).await.code(), (404, 4));
}
