//! The dashboard's pages.

use serde_json::json;

use super::app::{TestApp, static_bundle};

#[tokio::test]
async fn dashboard_links_land() {
    let app = TestApp::new().await;
    let guid = app.publisher().publish("shown", static_bundle("x")).await;
    app.publisher().patch(&format!("/v1/content/{guid}"), &json!({"title": "A <b>title</b>"})).await.ok();
    app.publisher().upload(&guid, static_bundle("y")).await.ok();
    assert_eq!(app.anonymous().page("/").await.header("location"), "http://connect.example/connect/");
    let browser = app.sign_in("publisher", "publisher-password").await;
    let list = browser.page("/connect/").await.text();
    for mark in ["A &lt;b&gt;title&lt;&#x2f;b&gt;", "Not affiliated with Posit", "hashchange", "Pat Publisher"] {
        assert!(list.contains(mark), "{mark}: {list}");
    }
    assert!(browser.page("/connect/view/content?q=TITLE").await.text().contains(&guid));
    assert!(!browser.page("/connect/view/content?q=other").await.text().contains(&guid));
    let view = format!("/connect/view/apps/{guid}");
    for (below, mark) in [
        ("", "<iframe src=\"&#x2f;content&#x2f;"),
        ("/info", "static content"),
        ("/access", "its owner and those listed here"),
        ("/access/12", "its owner and those listed here"),
        ("/logs", "Launching static content..."),
        ("/history", "/draft/2"),
        ("/draft/2", "_bundle2"),
    ] {
        let page = browser.page(&format!("{view}{below}")).await;
        assert!(page.status == 200 && page.text().contains(mark), "{below}: {}", page.text());
    }
    let viewer = app.sign_in("viewer", "viewer-password").await;
    assert_eq!(viewer.page(&view).await.status, 403);
    assert_eq!(viewer.page("/connect/view/apps/none").await.status, 404);
    app.publisher().patch(&format!("/v1/content/{guid}"), &json!({"access_type": "all"})).await.ok();
    let logs = viewer.page(&format!("{view}/logs")).await.text();
    assert!(!logs.contains("Launching"), "{logs}");
}
