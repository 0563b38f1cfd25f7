//! Whatever is asked for, the answer is the server's own, and no failure of the server's.

use axum::body::Body;
use axum::extract::Request;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sim_kit::host::in_process;
use tower::ServiceExt as _;

use crate::service::Service;
use crate::{config, host};

/// Segments that mean something, and ones that do not.
fn segment() -> impl Strategy<Value = String> {
    let known = [
        "cran",
        "pypi",
        "latest",
        "2024-01-05",
        "2024-02-31",
        "4",
        "-1",
        "99999999999999999999",
        "__linux__",
        "jammy",
        "bin",
        "linux",
        "jammy-x86_64",
        "4.2",
        "4.2-jammy",
        "src",
        "contrib",
        "PACKAGES",
        "PACKAGES.rds",
        "Archive",
        "alpha",
        "alpha_1.0.tar.gz",
        "simple",
        "alpha-py",
        "packages",
        "alpha_py-1.0-py3-none-any.whl",
        "..",
        ".",
        "",
        "%00",
        "%ff",
        "%2e%2e%2f",
        "__api__",
        "repos",
        "sources",
        "transactions",
        "transaction-dates",
        "status",
        "__ping__",
        "tokens",
        "archive",
        "yank",
        "update",
        "upload",
        "pypi",
        "releases",
        "filter",
        "blocklist",
        "rules",
        "\u{e9}",
    ];
    prop_oneof![
        8 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => "[ -~]{0,20}".prop_map(|text| text.replace(['?', '#', ' ', '/'], "_")),
    ]
}

#[test]
fn are_answered_without_failure() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (router, token) = runtime.block_on(async {
        let service = Service::with_packages().await;
        let (world, router) = in_process(&pkgmgr_sim::product(config(&service)), &host()).await.unwrap();
        let token = format!("Bearer {}", pkgmgr_sim::admin_token(world.ids().seed()));
        let sync = Request::post("/__api__/sync").header("authorization", &token).body(Body::empty()).unwrap();
        let synced = router.clone().oneshot(sync).await.unwrap();
        assert_eq!(synced.status(), 200);
        // Kept for as long as the test.
        std::mem::forget(world);
        (router, token)
    });
    let query = proptest::option::of("[a-z_]{1,10}=[ -~]{0,12}".prop_map(|q| q.replace([' ', '#'], "+")));
    let header = proptest::option::of("[ -~]{0,40}");
    let method = proptest::sample::select(vec!["GET", "HEAD", "POST", "PUT", "DELETE"]);
    let request = (method, proptest::collection::vec(segment(), 0..9), query, header.clone(), header);
    let mut runner = TestRunner::new(Config { cases: 600, failure_persistence: None, ..Config::default() });
    let run = runner.run(&request, |(method, segments, query, agent, range)| {
        let mut uri = format!("/{}", segments.join("/"));
        if let Some(query) = query {
            uri = format!("{uri}?{query}");
        }
        let mut request = Request::builder().method(method).uri(&uri);
        for (name, value) in [("user-agent", agent), ("range", range.clone()), ("accept", range)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        // Not for what would delete everything.
        if method != "DELETE" {
            request = request.header("authorization", &token);
        }
        // What is no request at all never gets here.
        let Ok(request) = request.body(Body::empty()) else { return Ok(()) };
        let status = runtime.block_on(async { router.clone().oneshot(request).await.unwrap().status() });
        prop_assert!(!status.is_server_error(), "{method} {uri}: {status}");
        Ok(())
    });
    run.unwrap();
}
