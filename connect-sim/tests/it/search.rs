//! Searching content.

use serde_json::{Value, json};

use super::app::{Caller, TestApp, document_bundle, python_bundle, static_bundle};
use super::index::Index;

async fn names(caller: &Caller, query: &str) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let found = caller.get(&format!("/v1/search/content?sort=name&order=asc&q={query}")).await.ok();
    assert_eq!(found["warnings"], Value::Null, "{found}");
    found["results"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn content_is_found_by_what_it_is() {
    let index = Index::start().await;
    let app = TestApp::with(index.config()).await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let page = publisher.publish("sea-bream-page", static_bundle("x")).await;
    let document = publisher.publish("report", document_bundle()).await;
    publisher.publish("api", python_bundle("python-api", "flask")).await;
    admin.create("admins-own").await;
    publisher.patch(&format!("/v1/content/{document}"), &json!({"title": "The Big Sea_Bream", "locked": true})).await;
    publisher.post(&format!("/v1/content/{page}/bookmark"), &json!({})).await;
    let category = admin.post("/v1/tags", &json!({"name": "Fish"})).await.ok();
    let tag = admin.post("/v1/tags", &json!({"name": "Bream", "parent_id": category["id"]})).await.ok();
    publisher.post(&format!("/v1/content/{page}/tags"), &json!({"tag_id": tag["id"]})).await;
    let variants = publisher.get(&format!("/applications/{document}/variants")).await.ok();
    publisher.post("/schedules", &json!({"variant_id": variants[0]["id"], "type": "weekday"})).await.ok();

    for (query, expected) in [
        ("", &["api", "report", "sea-bream-page"][..]),
        ("SEA bream", &["report", "sea-bream-page"]),
        ("\"sea bream\" -big", &["sea-bream-page"]),
        ("owner:@me type:static,quarto-static", &["report", "sea-bream-page"]),
        ("owner:nobody", &[]),
        ("is:locked", &["report"]),
        ("locked:false", &["api", "sea-bream-page"]),
        ("is:bookmarked", &["sea-bream-page"]),
        ("not:bookmarked is:published", &["api", "report"]),
        ("is:scheduled", &["report"]),
        ("tag:Fish/Bream", &["sea-bream-page"]),
        ("tag:fish", &["sea-bream-page"]),
        ("-tag:fish", &["api", "report"]),
        ("python:3.11", &["api"]),
        ("python:>=3.12", &[]),
        ("package:flask", &["api"]),
        ("package:flask>=2,werkzeug>=99", &["api"]),
        ("package:flask<1", &[]),
        ("image:local -type:static", &["api", "report"]),
    ] {
        assert_eq!(names(&publisher, query).await, expected, "{query}");
    }
    assert_eq!(names(&admin, "is:published").await.len(), 3);
    assert_eq!(names(&admin, "not:published").await, ["admins-own"]);
    assert_eq!(names(&app.viewer(), "").await, Vec::<String>::new());

    let warned = publisher.get("/v1/search/content?q=type:cobol+is:nice&include=owner&page_size=2").await.ok();
    assert_eq!((warned["warnings"].as_array().unwrap().len(), &warned["total"]), (2, &json!(3)));
    assert_eq!(warned["results"].as_array().unwrap().len(), 2);
    assert_eq!(warned["results"][0]["owner"]["username"], "publisher");
    let second = publisher.get("/v1/search/content?page_size=2&page_number=2").await.ok();
    assert_eq!((second["results"].as_array().unwrap().len(), &second["current_page"]), (1, &json!(2)));
    let variants = publisher.get("/v1/search/variants").await.ok();
    assert_eq!((&variants["total"], &variants["results"][0]["content_name"]), (&json!(1), &json!("report")));
    let variant = &variants["results"][0];
    assert_eq!((&variant["failures"], variant["variant_key"].as_str().unwrap().len()), (&json!(0), 8));
    assert_eq!(publisher.get("/v1/search/variants?include=owner").await.code(), (400, 161));
    for bad in ["order=up", "sort=luck", "include=all", "page_size=0"] {
        assert_eq!(publisher.get(&format!("/v1/search/content?{bad}")).await.status, 400, "{bad}");
    }
}
