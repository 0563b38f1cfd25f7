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
    let odd = json!({"username": "zed", "first_name": "A, \"B\"", "user_role": "viewer", "password": "a-password"});
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
    assert_eq!(names("account_status=licensed").await.len(), 4);
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
async fn who_did_nothing_for_a_year_is_inactive() {
    let app = TestApp::new().await;
    let (locked, _) = app.user("locked", "viewer").await;
    app.admin().post(&format!("/v1/users/{locked}/lock"), &json!({"locked": true})).await;
    app.publisher().get("/v1/user").await.ok();
    let of = async |status: &str| -> Vec<String> {
        let path = format!("/v1/users?sort=username&account_status={status}");
        let list = app.admin().get(&path).await.ok();
        let all: Vec<_> = list["results"].as_array().unwrap().iter().map(|u| u["username"].clone()).collect();
        assert_eq!(list["total"], all.len());
        all.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of("licensed").await, ["admin", "publisher", "viewer"]);
    assert_eq!(of("inactive").await.len(), 0);
    assert_eq!(of("locked").await, ["locked"]);
    app.world.clock().advance(Duration::from_secs(366 * 24 * 3600)).await;
    assert_eq!(of("licensed").await, ["admin"], "it asks");
    assert_eq!(of("inactive%7Clocked").await, ["locked", "publisher", "viewer"]);
    app.publisher().get("/v1/user").await.ok();
    assert_eq!(of("licensed").await, ["admin", "publisher"], "it is back");
}

#[tokio::test]
async fn searches_find_the_best_first() {
    let app = TestApp::new().await;
    for (username, first, last) in
        [("annabel", "Zoe", "Z"), ("ann", "Yves", "Y"), ("bob", "Ann", "Longname"), ("anne", "Alan", "A")]
    {
        let body = json!({"username": username, "first_name": first, "last_name": last, "password": "a-password"});
        app.admin().post("/v1/users", &body).await.ok();
    }
    let names = async |path: &str, member: &str| -> Vec<String> {
        let list = app.admin().get(path).await.ok();
        list["results"].as_array().unwrap().iter().map(|one| one[member].as_str().unwrap().to_owned()).collect()
    };
    // Two are named so: by first name.
    assert_eq!(names("/v1/users?prefix=Ann", "username").await, ["bob", "ann", "anne", "annabel"]);
    assert_eq!(names("/v1/users?prefix=ann&page_size=2&page_number=2", "username").await, ["anne", "annabel"]);
    assert_eq!(names("/v1/users?prefix=ann&sort=username", "username").await, ["ann", "annabel", "anne", "bob"]);
    for name in ["team", "teams", "team a", "tea"] {
        app.publisher().post("/v1/groups", &json!({"name": name})).await.ok();
    }
    assert_eq!(names("/v1/groups?prefix=TEA", "name").await, ["tea", "team", "teams", "team a"]);
    assert_eq!(names("/v1/groups?prefix=team", "name").await, ["team", "teams", "team a"]);
    assert_eq!(names("/v1/groups?asc_order=false&page_size=1", "name").await, ["teams"]);
    assert_eq!(app.admin().get("/v1/groups?asc_order=up").await.code(), (400, 25));
}

#[tokio::test]
async fn addresses_can_be_hidden() {
    let app = TestApp::with(Config { hide_email_addresses: true, ..Config::default() }).await;
    let (admin, publisher, viewer) = (app.admin(), app.publisher(), app.viewer());
    let me = viewer.get("/v1/user").await.ok();
    assert_ne!(me["email"], "", "one's own");
    let group = publisher.post("/v1/groups", &json!({"name": "g"})).await.ok()["guid"].as_str().unwrap().to_owned();
    let members = format!("/v1/groups/{group}/members");
    publisher.post(&members, &json!({"user_guid": me["guid"]})).await;
    let content = publisher.create("item").await;
    publisher.patch(&format!("/v1/content/{content}"), &json!({"access_type": "logged_in"})).await.ok();
    let other = publisher.get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    let addresses = async |who: &super::app::Caller| {
        let list = who.get("/v1/users?prefix=publisher").await.ok()["results"][0]["email"].clone();
        let one = who.get(&format!("/v1/users/{other}")).await.ok()["email"].clone();
        let owner = who.get(&format!("/applications/{content}")).await.ok()["owner_email"].clone();
        [list, one, owner].map(|email| email.as_str().unwrap().to_owned())
    };
    assert!(addresses(&viewer).await.iter().all(String::is_empty));
    assert!(addresses(&publisher).await.iter().all(|email| email.contains('@')));
    assert!(addresses(&admin).await.iter().all(|email| email.contains('@')));
    assert_eq!(publisher.get(&members).await.ok()["results"][0]["email"], "");
    assert_eq!(admin.get(&members).await.ok()["results"][0]["email"], me["email"]);
}

#[tokio::test]
async fn users_set_their_first_password_by_a_link() {
    let app = TestApp::new().await;
    let new = |more: serde_json::Value| {
        let mut body = json!({"username": "new", "email": "new@example.com", "user_must_set_password": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let admin = app.admin();
    for password in [json!(null), json!("")] {
        let body = json!({"username": "new", "email": "new@example.com", "password": password});
        let refused = admin.post("/v1/users", &body).await;
        assert_eq!(refused.code(), (400, 6), "nobody could sign in");
        assert!(refused.text().contains("user_must_set_password"), "{}", refused.text());
    }
    assert_eq!(admin.post("/v1/users", &new(json!({"password": "a-password"}))).await.code(), (400, 25));
    assert_eq!(admin.post("/v1/users", &new(json!({"email": ""}))).await.code(), (400, 44));
    let made = admin.post("/v1/users", &new(json!({}))).await.ok();
    assert_eq!(made["confirmed"], false);
    let mut db = app.world.db().read().await.unwrap();
    let (mails, _) = connect_sim::store::mail::newest(&mut db, 1).await.unwrap();
    drop(db);
    assert_eq!(mails[0].recipient, "new@example.com");
    let link = mails[0].body.split("http://connect.example").nth(1).unwrap().to_owned();
    assert!(app.anonymous().page(&link).await.text().contains("For the account new."));
    let token = link.split_once("token=").unwrap().1;
    let set = async |token: &str, password: &str| {
        let form = format!("token={token}&password={password}");
        app.anonymous().raw("POST", "/setpassword", &[], form.into()).await
    };
    let short = set(token, "short").await;
    assert!(short.status == 400 && short.text().contains("6 to 1024 characters"), "{}", short.text());
    assert_eq!(set("a.b.c", "my-password").await.code(), (400, 101));
    let done = set(token, "my-password").await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "http://connect.example/__login__"));
    let user = app.sign_in("new", "my-password").await.get("/v1/user").await.ok();
    assert_eq!(user["confirmed"], true);
    assert_eq!(set(token, "another-one").await.code(), (400, 101), "once");
    assert_eq!(app.anonymous().page(&link).await.code(), (400, 101));
    let late = json!({"username": "late", "email": "l@example.com", "user_must_set_password": true});
    admin.post("/v1/users", &late).await.ok();
    let (mails, _) = {
        let mut db = app.world.db().read().await.unwrap();
        connect_sim::store::mail::newest(&mut db, 1).await.unwrap()
    };
    let token = mails[0].body.split_once("token=").unwrap().1.to_owned();
    app.world.clock().advance(Duration::from_secs(24 * 3600)).await;
    assert_eq!(set(&token, "my-password").await.code(), (400, 101), "too late");
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
    let later = json!({"username": "x", "email": "x@example.com", "user_must_set_password": true});
    let unborn = TestApp::with(empty.clone()).await;
    assert_eq!(unborn.anonymous().post("/v1/users", &later).await.code(), (400, 41));
    let body = json!({"username": "second", "password": "a-password"});
    assert_eq!(nobody.post("/v1/users", &body).await.code(), (401, 24));
    let first = app.sign_in("first", "a-password").await;
    first.post("/v1/users", &body).await.ok();
    let log = first.get("/v1/audit_logs?limit=500").await.ok();
    let added = log["results"].as_array().unwrap().iter().filter(|entry| entry["action"] == "add_user");
    let by: Vec<_> = added.map(|entry| entry["user_description"].as_str().unwrap()).collect();
    assert_eq!(by, ["(first)", "(first)"], "itself, and the second");
    // Where others say who somebody is, nobody makes itself.
    let provider = Some(connect_sim::config::IdentityProvider::default());
    let app = TestApp::with(Config { identity_provider: provider, ..empty }).await;
    assert_eq!(app.anonymous().post("/v1/users", &body).await.code(), (401, 24));
}

#[tokio::test]
async fn users_are_made_changed_and_locked() {
    let app = TestApp::new().await;
    let (guid, caller) = app.user("new.user", "publisher").await;
    let taken = json!({"username": "NEW.user", "password": "a-password"});
    assert_eq!(app.admin().post("/v1/users", &taken).await.code(), (409, 8));
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
    let counted = async || {
        let list = app.viewer().get("/v1/groups").await.ok()["results"][0]["member_count"].clone();
        (list, app.viewer().get(&path).await.ok()["member_count"].clone())
    };
    assert_eq!(counted().await, (json!(1), json!(1)));
    let renamed = app.admin().patch(&path, &json!({"name": "Ours"})).await.ok();
    assert_eq!(renamed["member_count"], 1, "a change of the group tells it too");
    insta::assert_json_snapshot!("group_members", app.viewer().get(&format!("{path}/members")).await.ok());
    assert_eq!(app.publisher().delete(&format!("{path}/members/{me}")).await.status, 204);
    assert_eq!(counted().await, (json!(0), json!(0)));
    let version = "2025.04.0".parse().unwrap();
    let older = TestApp::with(Config { version, ..Config::default() }).await;
    let made = older.publisher().post("/v1/groups", &json!({"name": "Team"})).await.ok();
    assert_eq!(made.get("member_count"), None);
    assert_eq!(app.publisher().delete(&format!("{path}/members/{me}")).await.code(), (404, 4));
}
