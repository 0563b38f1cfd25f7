//! Content itself.

use axum::body::Body;
use connect_sim::content_type::{ContentType, Kind};
use serde_json::{Value, json};

use super::app::{TestApp, bundle, python_bundle, static_bundle};
use super::index::Index;

#[tokio::test]
async fn static_content_is_served_as_it_is() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("site", static_bundle("0123456789")).await;
    let base = format!("/content/{guid}");
    let page = publisher.get(&format!("{base}/")).await;
    assert_eq!((page.header("content-type"), page.text().as_str()), ("text/html; charset=utf-8", "0123456789"));
    let etag = page.header("etag").to_owned();
    let again = publisher.raw("GET", &format!("{base}/"), &[("if-none-match", &etag)], Body::empty()).await;
    assert_eq!(again.status, 304);
    let part = publisher.raw("GET", &format!("{base}/index.html"), &[("range", "bytes=2-4")], Body::empty()).await;
    assert_eq!((part.status.as_u16(), part.text().as_str()), (206, "234"));
    assert_eq!(publisher.get(&format!("{base}/a%20b/c.css")).await.header("content-type"), "text/css; charset=utf-8");
    assert_eq!(publisher.get(&format!("{base}/sub")).await.header("location"), "./sub/");
    assert_eq!(publisher.get(&format!("{base}/sub/")).await.text(), "below");
    assert_eq!(publisher.get(&base).await.header("location"), format!("http://connect.example{base}/"));
    assert_eq!(publisher.get(&format!("{base}/__thumbnail__")).await.status, 204);
    let long = "x".repeat(300);
    let tricks =
        ["nope", "a%20b/", "..%2f..%2fdb.sqlite", "%2e%2e/%2e%2e/db.sqlite", "sub/..%5c..", "index.html/x", &long];
    for trick in tricks {
        assert_eq!(publisher.get(&format!("{base}/{trick}")).await.status, 404, "{trick}");
    }
    for bad in ["%ff", "%zz"] {
        assert_eq!(publisher.get(&format!("{base}/{bad}")).await.code(), (400, 2), "{bad}");
    }
    let post = publisher.raw("POST", &format!("{base}/"), &[], "x".into()).await;
    assert_eq!(post.code(), (400, 2));
    assert_eq!(publisher.get(&format!("{base}/_bundle99/")).await.code(), (404, 4));
}

#[tokio::test]
async fn access_comes_first() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("access", static_bundle("x")).await;
    let path = format!("/content/{guid}/index.html?a=b");
    let status = |caller: super::app::Caller| {
        let path = path.clone();
        async move { caller.get(&path).await.status.as_u16() }
    };
    let set = |access: &'static str| {
        let (publisher, guid) = (app.publisher(), guid.clone());
        async move { publisher.patch(&format!("/v1/content/{guid}"), &json!({"access_type": access})).await.ok() }
    };
    // An administrator manages content without seeing what it shows.
    for (access, expected) in [("acl", [401, 403, 200, 403]), ("logged_in", [401, 200, 200, 200]), ("all", [200; 4])] {
        set(access).await;
        let callers = [app.anonymous(), app.viewer(), app.publisher(), app.admin()];
        for (caller, expected) in callers.into_iter().zip(expected) {
            assert_eq!(status(caller).await, expected, "{access}");
        }
    }
    set("acl").await;
    let away = app.anonymous().page(&path).await;
    let login = format!("http://connect.example/__login__?return_to=%2Fcontent%2F{guid}%2Findex.html%3Fa%3Db");
    assert_eq!((away.status.as_u16(), away.header("location")), (302, login.as_str()));
    let refused = app.viewer().page(&path).await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("permission to view this content"));
    assert_eq!(app.anonymous().get("/content/00000000-0000-4000-8000-000000000000/").await.code(), (404, 4));
}

#[tokio::test]
async fn every_type_of_content_answers() {
    let index = Index::start().await;
    let app = TestApp::with(index.config()).await;
    for mode in ContentType::ALL.iter().filter(|mode| !matches!(mode, ContentType::Unknown | ContentType::Static)) {
        let name = mode.name();
        let guid = app.publisher().publish(name, python_bundle(name, "flask")).await;
        let page = app.publisher().page(&format!("/content/{guid}/")).await;
        assert_eq!(page.status, 200, "{name}");
        for mark in ["simulated", name, "app:app", "flask 3.0.0", &guid] {
            assert!(page.text().contains(mark), "{name}: {mark}: {}", page.text());
        }
        let call = app.publisher().raw("POST", &format!("/content/{guid}/deep/path"), &[], "{}".into()).await;
        match mode.kind() {
            Kind::Api => {
                assert_eq!(call.status, 200, "{name}");
                assert_eq!(
                    (&call.json()["simulated"], &call.json()["request"]["path"]),
                    (&json!(true), &json!("/deep/path"))
                );
            }
            Kind::App => assert!(call.text().contains("simulated"), "{name}"),
            Kind::Rendered | Kind::Static => assert_eq!(call.status, 404, "{name}"),
        }
    }
}

#[tokio::test]
async fn rendered_documents_are_served_when_the_bundle_holds_them() {
    let app = TestApp::new().await;
    let manifest = |document: &str| {
        json!({"version": 1, "metadata": {"appmode": "quarto-static", "primary_rmd": document},
               "quarto": {"version": "1.4.0", "engines": ["markdown"]}})
    };
    let files = [("doc.qmd", "source"), ("doc.html", "rendered"), ("doc_files/x.css", "p {}")];
    let guid = app.publisher().publish("rendered", bundle(&manifest("doc.qmd"), &files)).await;
    let led = app.publisher().get(&format!("/content/{guid}/")).await;
    assert_eq!((led.status.as_u16(), led.header("location")), (302, "doc.html"));
    assert_eq!(app.publisher().get(&format!("/content/{guid}/doc.html")).await.text(), "rendered");
    assert_eq!(app.publisher().get(&format!("/content/{guid}/doc_files/x.css")).await.text(), "p {}");
    let content = app.publisher().get(&format!("/v1/content/{guid}")).await.ok();
    assert_eq!(content["quarto_version"], "1.4.557");
    let guid = app.publisher().publish("source", bundle(&manifest("doc.qmd"), &files[..1])).await;
    let page = app.publisher().page(&format!("/content/{guid}/")).await.text();
    assert!(page.contains("rendered no document") && page.contains("doc.qmd"), "{page}");
    let static_site =
        json!({"version": 1, "metadata": {"appmode": "static", "entrypoint": "a.html", "primary_html": Value::Null}});
    let guid = app.publisher().publish("entry", bundle(&static_site, &[("a.html", "entry")])).await;
    assert_eq!(app.publisher().get(&format!("/content/{guid}/")).await.header("location"), "a.html");
    let nested = json!({"version": 1, "metadata": {"appmode": "static", "primary_html": "a b/ü.png"}});
    let guid = app.publisher().publish("nested", bundle(&nested, &[("a b/ü.png", "picture")])).await;
    assert_eq!(app.publisher().get(&format!("/content/{guid}/")).await.header("location"), "a%20b/%C3%BC.png");
    assert_eq!(app.publisher().get(&format!("/content/{guid}/a%20b/%C3%BC.png")).await.text(), "picture");
    let visits = app.publisher().get(&format!("/v1/instrumentation/content/visits?content_guid={guid}")).await.ok();
    assert_eq!(visits["results"].as_array().unwrap().len(), 1, "of a picture, for it is the main file: {visits}");
}

#[tokio::test]
async fn titles_cannot_carry_script() {
    let index = Index::start().await;
    let app = TestApp::with(index.config()).await;
    let guid = app.publisher().publish("script", python_bundle("python-api", "flask")).await;
    let title = json!({"title": "<script>alert(1)</script>", "access_type": "all"});
    app.publisher().patch(&format!("/v1/content/{guid}"), &title).await.ok();
    let page = app.anonymous().page(&format!("/content/{guid}/")).await.text();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"), "{page}");
}
