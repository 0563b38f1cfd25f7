//! Content, its variables, permissions, vanity URLs and tags.

use connect_sim::Config;
use serde_json::{Value, json};

use super::app::{TestApp, bundle, static_bundle};

#[tokio::test]
async fn an_item_has_the_documented_shape() {
    let app = TestApp::new().await;
    let made = app.publisher().post("/v1/content", &json!({"name": "first", "title": "First item"})).await.ok();
    insta::assert_json_snapshot!("content_new", made);
    let guid = made["guid"].as_str().unwrap();
    let deployed = app.publisher().publish("second", static_bundle("x")).await;
    let path = format!("/v1/content/{deployed}?include=owner,tags,vanity_url");
    insta::assert_json_snapshot!("content_deployed", app.publisher().get(&path).await.ok());
    let id = made["id"].as_str().unwrap();
    insta::assert_json_snapshot!("application", app.publisher().get(&format!("/applications/{id}")).await.ok());
    assert_eq!(app.publisher().get(&format!("/applications/{guid}")).await.ok()["id"].to_string(), id);
}

#[tokio::test]
async fn names_are_unique_for_an_owner_and_generated_when_empty() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    publisher.create("same").await;
    assert_eq!(publisher.post("/v1/content", &json!({"name": "same"})).await.code(), (409, 26));
    app.admin().create("same").await;
    let one = publisher.post("/v1/content", &json!({"name": ""})).await.ok();
    let two = publisher.post("/v1/content", &json!({})).await.ok();
    assert_ne!(one["name"], two["name"]);
    let guid = two["guid"].as_str().unwrap();
    let rename = publisher.patch(&format!("/v1/content/{guid}"), &json!({"name": "same"})).await;
    assert_eq!(rename.code(), (409, 26));
    let kept = publisher.patch(&format!("/v1/content/{guid}"), &json!({"name": "", "title": "Kept"})).await.ok();
    assert_eq!((&kept["name"], &kept["title"]), (&two["name"], &json!("Kept")));
}

#[tokio::test]
async fn lists_are_filtered_and_ordered_by_deploy() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let one = publisher.publish("one", static_bundle("1")).await;
    app.world.clock().advance(std::time::Duration::from_secs(5)).await;
    let two = publisher.publish("two", static_bundle("2")).await;
    app.world.clock().advance(std::time::Duration::from_secs(5)).await;
    publisher.deploy(&one, &json!({})).await;
    let guids = |list: Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|item| item["guid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(guids(publisher.get("/v1/content").await.ok()), [one.clone(), two.clone()]);
    assert_eq!(guids(publisher.get("/v1/content?name=two").await.ok()), std::slice::from_ref(&two));
    let me = publisher.get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    assert_eq!(guids(publisher.get(&format!("/v1/content?owner_guid={me}")).await.ok()).len(), 2);
    assert!(guids(publisher.get("/v1/content?owner_guid=x").await.ok()).is_empty());
    assert!(guids(app.viewer().get("/v1/content").await.ok()).is_empty());
    publisher.patch(&format!("/v1/content/{two}"), &json!({"access_type": "logged_in"})).await.ok();
    assert_eq!(guids(app.viewer().get("/v1/content").await.ok()), [two]);
    let all = app.admin().get("/v1/content").await.ok();
    assert_eq!(all[0]["app_role"], "none");
    assert_eq!(app.publisher().get("/v1/content?include=everything").await.code(), (400, 161));
}

/// For each field: a value of a wrong type, and values that cannot be.
#[tokio::test]
async fn every_field_is_checked() {
    let app = TestApp::new().await;
    let guid = app.admin().create("fields").await;
    let long = "x".repeat(5000);
    let cases: &[(&str, Value, i64)] = &[
        ("name", json!(1), 87),
        ("name", json!("ab"), 5),
        ("name", json!("a b c"), 5),
        ("name", json!("\u{202e}abc"), 5),
        ("name", json!(long), 5),
        ("title", json!([]), 87),
        ("title", json!("ab"), 122),
        ("title", json!(long), 122),
        ("title", json!("a\0bc"), 25),
        ("description", json!(long), 123),
        ("description", json!({}), 87),
        ("access_type", json!("everybody"), 117),
        ("access_type", json!(true), 87),
        ("locked", json!("yes"), 87),
        ("locked_message", json!(long), 224),
        ("connection_timeout", json!(-1), 151),
        ("read_timeout", json!("1"), 87),
        ("init_timeout", json!(1.5), 87),
        ("idle_timeout", json!(i64::MAX), 151),
        ("max_processes", json!(21), 113),
        ("max_processes", json!(0), 272),
        ("min_processes", json!(4), 114),
        ("min_processes", json!(-1), 191),
        ("max_conns_per_process", json!(-1), 239),
        ("load_factor", json!(1.1), 150),
        ("load_factor", json!("x"), 87),
        ("memory_request", json!(-1), 181),
        ("memory_limit", json!(-1), 183),
        ("cpu_request", json!(-0.1), 186),
        ("cpu_limit", json!(1e9), 188),
        ("amd_gpu_limit", json!(-1), 196),
        ("nvidia_gpu_limit", json!(-1), 198),
        ("service_account_name", json!("a\nb"), 176),
        ("default_image_name", json!(long), 193),
        ("default_environment_guid", json!(7), 87),
        ("default_r_environment_management", json!("on"), 87),
        ("default_py_environment_management", json!(1), 87),
        ("run_as", json!("a\tb"), 57),
        ("run_as_current_user", json!("x"), 87),
        ("metrics_collection_enabled", json!(0), 87),
        ("notify_on_share", json!(0), 87),
        ("otel_enabled", json!(0), 87),
        ("content_category", json!("pin"), 25),
        ("owner_guid", json!("nobody"), 156),
    ];
    for (field, value, code) in cases {
        let answer = app.admin().patch(&format!("/v1/content/{guid}"), &json!({ *field: value })).await;
        assert_eq!(answer.code(), (400, *code), "{field} {value}");
        let text = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(text.contains(field), "{field}: {text}");
    }
    let both = json!({"memory_request": 2, "memory_limit": 1});
    assert_eq!(app.admin().patch(&format!("/v1/content/{guid}"), &both).await.code(), (400, 185));
    for body in ["[]", "7", "{", "\"x\"", "\u{0}"] {
        let path = format!("/v1/content/{guid}");
        let answer = app.admin().raw("PATCH", &path, &[], body.to_owned().into()).await;
        assert_eq!(answer.code(), (400, 87), "{body}");
    }
    let unchanged = app.admin().get(&format!("/v1/content/{guid}")).await.ok();
    assert_eq!((&unchanged["name"], &unchanged["title"]), (&json!("fields"), &Value::Null));
}

#[tokio::test]
async fn settings_are_kept_and_null_resets_them() {
    let app = TestApp::with(Config { unix_users: vec!["somebody".to_owned()], ..Config::default() }).await;
    let guid = app.publisher().create("settings").await;
    let path = format!("/v1/content/{guid}");
    let set = json!({"max_processes": 5, "load_factor": 0.25, "cpu_limit": 2, "idle_timeout": 0, "unknown_field": 1});
    let after = app.publisher().patch(&path, &set).await.ok();
    assert_eq!((&after["max_processes"], &after["load_factor"]), (&json!(5), &json!(0.25)));
    let reset = app.publisher().patch(&path, &json!({"max_processes": null})).await.ok();
    assert_eq!((&reset["max_processes"], &reset["idle_timeout"]), (&Value::Null, &json!(0)));
    let run_as = app.publisher().patch(&path, &json!({"run_as": "somebody"})).await;
    assert_eq!(run_as.code(), (403, 22));
    for known in ["somebody", "rstudio-connect"] {
        assert_eq!(app.admin().patch(&path, &json!({ "run_as": known })).await.ok()["run_as"], known);
    }
    let unknown = app.admin().patch(&path, &json!({"run_as": "fake-user"})).await;
    assert_eq!(unknown.code(), (400, 57));
    assert!(unknown.text().contains("--unix-user"), "{}", unknown.text());
    let viewer = app.viewer().get("/v1/user").await.ok()["guid"].clone();
    assert_eq!(app.admin().patch(&path, &json!({"owner_guid": viewer})).await.code(), (403, 156));
}

#[tokio::test]
async fn deleting_takes_everything_along() {
    let app = TestApp::new().await;
    let guid = app.publisher().publish("gone", static_bundle("x")).await;
    assert_eq!(app.publisher().get(&format!("/content/{guid}/")).await.text(), "x");
    assert_eq!(app.publisher().delete(&format!("/v1/content/{guid}")).await.status, 204);
    assert_eq!(app.publisher().get(&format!("/v1/content/{guid}")).await.code(), (404, 4));
    assert_eq!(app.publisher().get(&format!("/content/{guid}/")).await.code(), (404, 4));
    let unpacked = app.world.folder("unpacked").unwrap();
    assert_eq!(std::fs::read_dir(unpacked).unwrap().count(), 0);
    let archive = sim_kit::Digest::of(&static_bundle("x"));
    assert!(!app.world.blobs().contains(&archive).await.unwrap());
}

#[tokio::test]
async fn variables_tell_names_only() {
    let app = TestApp::new().await;
    let guid = app.publisher().create("variables").await;
    let path = format!("/v1/content/{guid}/environment");
    let set = json!([{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]);
    assert_eq!(app.publisher().patch(&path, &set).await.ok(), json!(["A", "B"]));
    let unset = json!([{"name": "B", "value": null}, {"name": "NONE", "value": null}, {"name": "C", "value": ""}]);
    assert_eq!(app.publisher().patch(&path, &unset).await.ok(), json!(["A", "C"]));
    assert_eq!(app.publisher().put(&path, &json!([{"name": "D", "value": "4"}])).await.ok(), json!(["D"]));
    assert_eq!(app.publisher().put(&path, &json!([])).await.ok(), json!([]));
    for (body, code) in [
        (json!({}), 87),
        (json!([1]), 87),
        (json!([{"value": "x"}]), 266),
        (json!([{"name": "", "value": "x"}]), 266),
        (json!([{"name": "A=B", "value": "x"}]), 25),
        (json!([{"name": "A"}]), 12),
        (json!([{"name": "A", "value": 1}]), 87),
        (json!([{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]), 149),
    ] {
        assert_eq!(app.publisher().patch(&path, &body).await.code(), (400, code), "{body}");
    }
    assert_eq!(app.publisher().get(&path).await.ok(), json!([]));
}

#[tokio::test]
async fn permissions_open_content_to_users_and_groups() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("shared", static_bundle("x")).await;
    let path = format!("/v1/content/{guid}/permissions");
    let viewer = app.viewer().get("/v1/user").await.ok()["guid"].clone();
    assert_eq!(app.viewer().get(&format!("/content/{guid}/")).await.code(), (403, 22));
    let body = json!({"principal_guid": viewer, "principal_type": "user", "role": "viewer"});
    let made = publisher.post(&path, &body).await;
    assert_eq!(made.status, 201);
    insta::assert_json_snapshot!("permission", made.json());
    assert_eq!(publisher.post(&path, &body).await.status, 200);
    assert_eq!(publisher.get(&path).await.ok().as_array().unwrap().len(), 1);
    assert_eq!(app.viewer().get(&format!("/content/{guid}/")).await.status, 200);
    let seen = app.viewer().get(&format!("/v1/content/{guid}")).await.ok();
    assert_eq!((&seen["app_role"], &seen["cluster_name"]), (&json!("viewer"), &Value::Null));
    let id = made.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(publisher.delete(&format!("{path}/{id}")).await.status, 204);
    assert_eq!(app.viewer().get(&format!("/content/{guid}/")).await.code(), (403, 22));

    let group = publisher.post("/v1/groups", &json!({"name": "readers"})).await.ok()["guid"].clone();
    let members = format!("/v1/groups/{}/members", group.as_str().unwrap());
    assert_eq!(publisher.post(&members, &json!({"user_guid": viewer})).await.status, 204);
    let body = json!({"principal_guid": group, "principal_type": "group", "role": "viewer"});
    assert_eq!(publisher.post(&path, &body).await.status, 201);
    assert_eq!(app.viewer().get(&format!("/content/{guid}/")).await.status, 200);
    assert_eq!(publisher.delete(&format!("/v1/groups/{}", group.as_str().unwrap())).await.status, 204);
    assert_eq!(app.viewer().get(&format!("/content/{guid}/")).await.code(), (403, 22));

    let (editor, editing) = app.user("editor", "publisher").await;
    assert_eq!(editing.patch(&format!("/v1/content/{guid}"), &json!({})).await.code(), (403, 22));
    let body = json!({"principal_guid": editor, "principal_type": "user", "role": "owner"});
    publisher.post(&path, &body).await.ok();
    assert_eq!(editing.patch(&format!("/v1/content/{guid}"), &json!({})).await.ok()["app_role"], "editor");

    let owner = publisher.get("/v1/user").await.ok()["guid"].clone();
    for (body, code) in [
        (json!({"principal_guid": viewer, "principal_type": "user", "role": "owner"}), 33),
        (json!({"principal_guid": owner, "principal_type": "user", "role": "viewer"}), 33),
        (json!({"principal_guid": "x", "principal_type": "user", "role": "viewer"}), 261),
        (json!({"principal_guid": "x", "principal_type": "group", "role": "viewer"}), 262),
        (json!({"principal_guid": viewer, "principal_type": "robot", "role": "viewer"}), 152),
        (json!({"principal_guid": viewer, "principal_type": "user", "role": "editor"}), 23),
        (json!({"principal_type": "user", "role": "viewer"}), 12),
    ] {
        assert_eq!(publisher.post(&path, &body).await.code(), (400, code), "{body}");
    }
}

#[tokio::test]
async fn vanity_urls_lead_to_content() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("one", static_bundle("one")).await;
    let other = publisher.publish("two", static_bundle("two")).await;
    let path = format!("/v1/content/{guid}/vanity");
    assert_eq!(publisher.get(&path).await.code(), (404, 4));
    insta::assert_json_snapshot!("vanity", publisher.put(&path, &json!({"path": "vanity/one"})).await.ok());
    assert_eq!(publisher.get("/vanity/one/").await.text(), "one");
    assert_eq!(publisher.get("/vanity/one/sub/").await.text(), "below");
    assert_eq!(publisher.get("/vanity/one").await.header("location"), "http://connect.example/vanity/one/");
    assert_eq!(publisher.get("/vanity/other/").await.text(), "404 page not found");
    let shown = publisher.get(&format!("/v1/content/{guid}?include=vanity_url")).await.ok();
    assert_eq!(shown["vanity_url"], "http://connect.example/vanity/one/");
    let taken = format!("/v1/content/{other}/vanity");
    for path in ["/vanity/one/", "/vanity/", "/vanity/one/more"] {
        assert_eq!(publisher.put(&taken, &json!({"path": path})).await.code(), (409, 51), "{path}");
    }
    assert_eq!(publisher.put(&taken, &json!({"path": "/content/x"})).await.code(), (400, 52));
    assert_eq!(publisher.put(&taken, &json!({"path": "/a?b"})).await.code(), (400, 25));
    publisher.put(&taken, &json!({"path": "/vanity/one/", "force": true})).await.ok();
    assert_eq!(publisher.get("/vanity/one/").await.text(), "two");
    assert_eq!(app.admin().get("/v1/vanities").await.ok().as_array().unwrap().len(), 1);
    assert_eq!(publisher.delete(&taken).await.status, 204);
    assert_eq!(publisher.delete(&taken).await.code(), (404, 4));
}

#[tokio::test]
async fn tags_form_trees() {
    let app = TestApp::new().await;
    let admin = app.admin();
    let tag = |name: &'static str, parent: Value| {
        let admin = admin.clone();
        async move { admin.post("/v1/tags", &json!({"name": name, "parent_id": parent})).await.ok() }
    };
    let category = tag("Topic", Value::Null).await;
    insta::assert_json_snapshot!("tag", category);
    let middle = tag("Sales", category["id"].clone()).await;
    let leaf = tag("North", middle["id"].clone()).await;
    let guid = app.publisher().create("tagged").await;
    let path = format!("/v1/content/{guid}/tags");
    let assign = |id: &Value| json!({"tag_id": id});
    assert_eq!(app.publisher().post(&path, &assign(&category["id"])).await.code(), (400, 79));
    let with_tags =
        async || app.publisher().get(&format!("/v1/content/{guid}?include=tags")).await.ok().get("tags").cloned();
    assert_eq!(with_tags().await, None);
    assert_eq!(app.publisher().post(&path, &assign(&leaf["id"])).await.status, 201);
    let names = |list: Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(app.publisher().get(&path).await.ok()), ["Sales", "North"]);
    assert_eq!(names(with_tags().await.unwrap()), ["Sales", "North"]);
    let id = category["id"].as_str().unwrap();
    assert_eq!(names(app.publisher().get(&format!("/v1/tags/{id}/content")).await.ok()), ["tagged"]);
    assert_eq!(app.publisher().get("/v1/tags/Topic,Sales,North").await.ok(), leaf);
    let below_itself = json!({"parent_id": leaf["id"]});
    assert_eq!(admin.patch(&format!("/v1/tags/{id}"), &below_itself).await.code(), (400, 157));
    assert_eq!(admin.post("/v1/tags", &json!({"name": "Topic"})).await.code(), (409, 81));
    // The tag above one that goes stays.
    let leaf = leaf["id"].as_str().unwrap();
    assert_eq!(app.publisher().delete(&format!("{path}/{leaf}")).await.status, 204);
    assert_eq!(names(app.publisher().get(&path).await.ok()), ["Sales"]);
    app.publisher().post(&path, &json!({"tag_id": leaf})).await.ok();
    let middle = middle["id"].as_str().unwrap();
    assert_eq!(app.publisher().delete(&format!("{path}/{middle}")).await.status, 204);
    assert!(names(app.publisher().get(&path).await.ok()).is_empty());
    assert_eq!(admin.delete(&format!("/v1/tags/{id}")).await.status, 204);
    assert!(names(admin.get("/v1/tags").await.ok()).is_empty());
}

#[tokio::test]
async fn a_default_environment_is_one_that_is_there() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let make = async |name: &str| {
        let body = json!({"name": name, "cluster_name": "Kubernetes"});
        admin.post("/v1/environments", &body).await.ok()["guid"].as_str().unwrap().to_owned()
    };
    let (open, closed) = (make("open").await, make("closed").await);
    let me = admin.get("/v1/user").await.ok()["guid"].clone();
    admin.post(&format!("/v1/environments/{closed}/permissions"), &json!({"user_guid": me})).await.ok();
    let body = |name: &str, guid: &str| json!({"name": name, "default_environment_guid": guid});
    for guid in ["none", &closed] {
        assert_eq!(publisher.post("/v1/content", &body("refused", guid)).await.code(), (400, 25), "{guid}");
    }
    let made = publisher.post("/v1/content", &body("item", &open)).await.ok();
    assert_eq!(made["default_environment_guid"], json!(open));
    let path = format!("/v1/content/{}", made["guid"].as_str().unwrap());
    assert_eq!(publisher.patch(&path, &json!({"default_environment_guid": closed})).await.code(), (400, 25));
    assert_eq!(admin.patch(&path, &json!({"default_environment_guid": closed})).await.status, 200);
    admin.delete(&format!("/v1/environments/{closed}")).await;
    publisher.patch(&path, &json!({"title": "Of an environment that is gone"})).await.ok();
    let none = publisher.patch(&path, &json!({"default_environment_guid": null})).await.ok();
    assert_eq!(none["default_environment_guid"], Value::Null);
}

#[tokio::test]
async fn the_older_shape_tells_who_may_change_it_everything() {
    let app = TestApp::new().await;
    let (publisher, viewer) = (app.publisher(), app.viewer());
    let guid = publisher.create("item").await;
    let older = format!("/applications/{guid}");
    let grant = |principal: &Value, kind: &str, role: &str| json!({"principal_guid": principal, "principal_type": kind, "role": role});
    let permissions = format!("/v1/content/{guid}/permissions");
    let who = viewer.get("/v1/user").await.ok()["guid"].clone();
    publisher.post(&permissions, &grant(&who, "user", "viewer")).await.ok();
    let group = publisher.post("/v1/groups", &json!({"name": "team"})).await.ok()["guid"].clone();
    publisher.post(&permissions, &grant(&group, "group", "owner")).await.ok();
    let variables = json!([{"name": "B", "value": "hush"}, {"name": "A", "value": "x"}]);
    publisher.put(&format!("/v1/content/{guid}/environment"), &variables).await.ok();
    let seen = publisher.get(&older).await;
    assert!(!seen.text().contains("hush"));
    let seen = seen.ok();
    assert_eq!((&seen["EnvironmentJson"], &seen["git"]), (&json!("[\"A\",\"B\"]"), &Value::Null));
    assert_eq!((&seen["users"][0]["username"], &seen["users"][0]["app_role"]), (&json!("viewer"), &json!("viewer")));
    assert_eq!((&seen["groups"][0]["name"], &seen["groups"][0]["app_role"]), (&json!("team"), &json!("owner")));
    if sim_kit::testing::need_tool("git").is_some() {
        let place = json!({"repository": "https://git.example/a", "branch": "main", "polling": false});
        publisher.put(&format!("/v1/content/{guid}/repository"), &place).await.ok();
        assert_eq!(publisher.get(&older).await.ok()["git"]["repository_url"], "https://git.example/a");
        // As connectapi of 2024 sets it, and as rsconnect-ts reads it.
        let path = format!("{older}/repo");
        let wanted = json!({"repository": "https://git.example/b", "branch": "dev", "subdirectory": "site"});
        let set = publisher.post(&path, &wanted).await.ok();
        assert_eq!(
            (&set["content_path"], &set["branch"], &set["enabled"]),
            (&json!("site"), &json!("dev"), &json!(true))
        );
        assert_eq!(publisher.put(&path, &json!({"enabled": false})).await.ok()["enabled"], false);
        assert_eq!(publisher.post(&path, &json!({"branch": "x"})).await.status, 400);
    }
    let seen = viewer.get(&older).await.ok();
    for name in ["EnvironmentJson", "git", "users", "groups"] {
        assert_eq!(seen[name], Value::Null, "{name}");
    }
}

/// As pins for R and Python asks.
#[tokio::test]
async fn pins_are_found_by_category_and_text() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let manifest = json!({"version": 1, "files": ["index.html", "data.txt"],
        "metadata": {"appmode": "static", "primary_html": "index.html", "content_category": "pin"}});
    for (name, title) in [("cars", "The fast ones"), ("trees", "Oaks")] {
        let pin = bundle(&manifest, &[("index.html", "x"), ("data.txt", "y")]);
        let guid = publisher.publish(name, pin).await;
        publisher.patch(&format!("/v1/content/{guid}"), &json!({"title": title})).await.ok();
    }
    publisher.publish("cars-page", static_bundle("x")).await;
    let found = async |query: &str| {
        let answer = publisher.get(&format!("/applications/?{query}")).await.ok();
        let names =
            answer["applications"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned());
        names.collect::<Vec<String>>()
    };
    assert_eq!(found("filter=content_type:pin&count=1000").await, ["trees", "cars"]);
    assert_eq!(found("filter=content_type:pin&search=CAR").await, ["cars"]);
    assert_eq!(found("search=fast").await, ["cars"]);
    assert_eq!(found("search=%25").await, [""; 0]);
    assert_eq!(found("search=car").await, ["cars-page", "cars"]);
    assert_eq!(found(&format!("search={}", "a%25".repeat(10_000))).await, [""; 0]);
    assert_eq!(found("filter=min_role:editor").await, ["cars-page", "trees", "cars"]);
    let category = app.admin().post("/v1/tags", &json!({"name": "c"})).await.ok()["id"].clone();
    let tags = app.admin().post("/v1/tags", &json!({"name": "t", "parent_id": category})).await.ok()["id"].clone();
    let cars = publisher.get("/v1/content?name=cars").await.ok()[0]["guid"].as_str().unwrap().to_owned();
    publisher.post(&format!("/v1/content/{cars}/tags"), &json!({ "tag_id": tags })).await;
    let tag = tags.as_str().unwrap();
    assert_eq!(found(&format!("filter=tag:99||tag:{tag}")).await, ["cars"]);
    assert_eq!(found(&format!("filter={}", "tag:7||".repeat(5_000))).await, [""; 0]);
    assert_eq!(publisher.get("/users/current/").await.ok()["username"], "publisher");
    assert_eq!(publisher.get("/v1/nothing/").await.text(), "404 page not found");
    assert_eq!(publisher.post("/v1/content/", &json!({"name": "slash"})).await.ok()["name"], "slash");
}
