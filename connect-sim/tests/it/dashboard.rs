//! The dashboard's views.

use connect_sim::{Config, Version};
use serde_json::json;

use super::app::{TestApp, document_bundle, static_bundle};

#[tokio::test]
async fn dashboard_links_land() {
    let app = TestApp::new().await;
    let guid = app.publisher().publish("shown", static_bundle("x")).await;
    app.publisher().patch(&format!("/v1/content/{guid}"), &json!({"title": "A <b>title</b>"})).await.ok();
    app.publisher().upload(&guid, static_bundle("y")).await.ok();
    assert_eq!(app.anonymous().page("/").await.header("location"), "http://connect.example/connect/");
    let browser = app.sign_in("publisher", "publisher-password").await;
    let shell = browser.page("/connect/").await.text();
    for mark in ["data-shell", "Not affiliated with Posit", "dashboard.js", "Pat Publisher"] {
        assert!(shell.contains(mark), "{mark}: {shell}");
    }
    let list = browser.page("/connect/view/content/listing").await;
    assert!(list.text().contains("A &lt;b&gt;title&lt;&#x2f;b&gt;"), "{}", list.text());
    assert!(list.header("content-security-policy").contains("script-src 'self'"));
    assert!(browser.page("/connect/view/content?q=TITLE").await.text().contains(&guid));
    assert!(!browser.page("/connect/view/content?q=other").await.text().contains(&guid));
    let view = format!("/connect/view/apps/{guid}");
    for (below, mark) in [
        ("", "id=\"contentIFrame\" src=\"&#x2f;content&#x2f;"),
        ("/info", "static content"),
        ("/access", "its owner and those listed here"),
        ("/logs", "Launching static content..."),
        ("/history", "/draft/2"),
        ("/draft/2", "_bundle2"),
        ("/tags", "This server has no tags"),
        ("/variables", "Environment variables"),
    ] {
        let page = browser.page(&format!("{view}{below}")).await;
        assert!(page.status == 200 && page.text().contains(mark), "{below}: {}", page.text());
    }
    assert_eq!(browser.page(&format!("{view}/draft/99")).await.status, 404);
    assert_eq!(browser.page(&format!("{view}/elsewhere")).await.status, 404);
    let viewer = app.sign_in("viewer", "viewer-password").await;
    assert_eq!(viewer.page(&view).await.status, 403);
    assert_eq!(viewer.page("/connect/view/apps/none").await.status, 404);
    app.publisher().patch(&format!("/v1/content/{guid}"), &json!({"access_type": "all"})).await.ok();
    let logs = viewer.page(&format!("{view}/logs")).await.text();
    assert!(!logs.contains("Launching") && !logs.contains("data-api=\"PATCH"), "{logs}");
}

#[tokio::test]
async fn every_view_is_made_for_those_it_is_for() {
    let app = TestApp::new().await;
    let guid = app.publisher().publish("report", document_bundle()).await;
    let variant = app.publisher().get(&format!("/applications/{guid}/variants")).await.ok()[0]["id"].to_string();
    let weekly = json!({"variant_id": variant.parse::<i64>().unwrap(), "type": "week", "schedule": "{\"N\":1}"});
    app.publisher().post("/schedules", &weekly).await.ok();
    let group = app.publisher().post("/v1/groups", &json!({"name": "readers"})).await.ok();
    let group = group["guid"].as_str().unwrap();
    let owner = app.publisher().get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    app.admin().post("/v1/system/checks", &json!({})).await.ok();
    app.admin().post("/v1/tasks/send-test-email", &json!({"to": "a@example.com"})).await.ok();
    let category = app.admin().post("/v1/tags", &json!({"name": "Topics"})).await.ok();
    app.admin().post("/v1/tags", &json!({"name": "Sales", "parent_id": category["id"]})).await.ok();
    let custom = json!({"name": "Code host", "template": "github", "config": {"client_id": "c"}});
    let integration = app.admin().post("/v1/oauth/integrations", &custom).await.ok();
    let integration = integration["guid"].as_str().unwrap();
    let image = json!({"name": "an/image", "cluster_name": "Kubernetes"});
    app.admin().post("/v1/environments", &image).await.ok();

    let [admin, publisher, viewer] = [
        app.sign_in("admin", "admin-password").await,
        app.sign_in("publisher", "publisher-password").await,
        app.sign_in("viewer", "viewer-password").await,
    ];
    let (all, publishers, admins) = ([200, 200, 200], [200, 200, 403], [200, 403, 403]);
    for (path, mark, expected) in [
        ("content/listing", "Your Content", all),
        ("content/new", "rsconnect deploy fastapi -n teamsim", publishers),
        ("people/users", "publisher", all),
        (&format!("people/users/{owner}"), "User name", all),
        ("people/groups", "Groups", all),
        (&format!("people/groups/{group}"), "readers", all),
        ("user/api_keys", "New API Key", all),
        ("auth-success", "You are signed in", all),
        (&format!("apps/{guid}/schedule"), "every … weeks", publishers),
        (&format!("apps/{guid}/schedule/{variant}"), "Remove the schedule", publishers),
        (&format!("apps/{guid}/access/{variant}"), "Own address", publishers),
        (&format!("apps/{guid}/variants"), "Render now", publishers),
        ("system/info", "Overview", admins),
        ("system/checks", "database", admins),
        ("system/audit", "audit-table", admins),
        ("system/jobs", "Processes", admins),
        ("system/schedules", "week", admins),
        ("system/runtimes", "3.13.1", admins),
        ("system/environments", "an&#x2f;image", admins),
        ("system/integrations", "Code host", admins),
        (&format!("system/integrations/{integration}"), "client id", admins),
        ("system/integrations/new/aws", "Amazon Web Services", admins),
        ("system/tags", "Sales", admins),
        ("system/mail", "Test mail", admins),
    ] {
        for (browser, status) in [&admin, &publisher, &viewer].into_iter().zip(expected) {
            let page = browser.page(&format!("/connect/view/{path}")).await;
            assert_eq!(page.status, status, "{path}: {}", page.text());
            assert_eq!(page.text().contains(mark), status == 200, "{path}: {}", page.text());
        }
        let away = app.anonymous().page(&format!("/connect/view/{path}")).await;
        assert_eq!(away.status, 302, "{path}");
    }
}

/// Behind a proxy that keeps the server below a path, pages load and link what is below it.
#[tokio::test]
async fn pages_know_the_prefix_of_a_proxy() {
    let app = TestApp::new().await;
    let browser = app.sign_in("viewer", "viewer-password").await.with("x-forwarded-prefix", "/rsc");
    let page = browser.page("/connect/view/people/users").await.text();
    for mark in [
        "src=\"&#x2f;rsc/connect/assets/dashboard.js",
        "href=\"&#x2f;rsc/connect/#/people/groups",
        "data-root=\"&#x2f;rsc\"",
    ] {
        assert!(page.contains(mark), "{mark}: {page}");
    }
    assert!(!page.contains("href=\"/connect") && !page.contains("src=\"/connect"), "{page}");
    let asset = app.anonymous().get("/connect/assets/dashboard.css").await;
    assert_eq!((asset.status.as_u16(), asset.header("content-type")), (200, "text/css; charset=utf-8"));
    assert_eq!(app.anonymous().get("/connect/assets/../Cargo.toml").await.status, 404);

    let fixed = Config { address: Some("https://pub.example/deep".to_owned()), ..Config::default() };
    let login = TestApp::with(fixed).await.anonymous().page("/__login__").await.text();
    assert!(login.contains("href=\"&#x2f;deep/connect/assets/dashboard.css"), "{login}");
}

/// Older servers have fewer routes; what they lack is not offered, and no page breaks.
#[tokio::test]
async fn the_dashboard_of_an_old_release_offers_what_it_has() {
    let version: Version = "2022.11.0".parse().unwrap();
    let app = TestApp::with(Config { version, ..Config::default() }).await;
    let guid = app.publisher().publish("old", static_bundle("x")).await;
    let browser = app.sign_in("admin", "admin-password").await;
    app.publisher().patch(&format!("/v1/content/{guid}"), &json!({"access_type": "all"})).await.ok();
    assert!(browser.page("/connect/view/content?q=old").await.text().contains(&guid));
    let page = browser.page(&format!("/connect/view/apps/{guid}/info")).await.text();
    assert!(!page.contains("app-lock") && !page.contains("Thumbnail"), "{page}");
    for (path, status) in [
        (format!("apps/{guid}/access"), 200),
        (format!("apps/{guid}/logs"), 200),
        ("system/info".to_owned(), 200),
        ("system/runtimes".to_owned(), 200),
        ("system/integrations".to_owned(), 404),
    ] {
        let page = browser.page(&format!("/connect/view/{path}")).await;
        assert_eq!(page.status, status, "{path}: {}", page.text());
        assert!(!page.text().contains("system/integrations\""), "{path}");
    }
}
