//! Whatever is sent to whatever route: a refusal that says why, never a failure of the server.

use connect_sim::{Config, product};
use serde_json::{Value, json};
use sim_kit::{World, WorldConfig};

use super::app::{TestApp, static_bundle};

/// Values that clients do not send.
fn values() -> Vec<Value> {
    let mut deep = json!("x");
    for _ in 0..100 {
        deep = json!([deep]);
    }
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1e308),
        json!(9_223_372_036_854_775_807_i64),
        json!(""),
        json!("\u{0}"),
        json!("\u{202e}\u{feff}\u{1F600}é"),
        json!("' OR 1=1 --"),
        json!("%00%ff../../etc/passwd"),
        json!("x".repeat(100_000)),
        json!([]),
        json!({}),
        deep,
    ]
}

const FIELDS: [&str; 54] = [
    "template",
    "config",
    "oauth_integration_guid",
    "language",
    "version",
    "dry_run",
    "hostname",
    "to",
    "cluster_name",
    "matching",
    "python",
    "volume_mounts",
    "group_guid",
    "variant_key",
    "variant_id",
    "app_id",
    "type",
    "schedule",
    "timezone",
    "start_time",
    "end_time",
    "visibility",
    "email_all",
    "bundle",
    "name",
    "title",
    "description",
    "access_type",
    "username",
    "email",
    "password",
    "user_role",
    "expires_at",
    "locked",
    "locked_message",
    "bundle_id",
    "activate",
    "principal_guid",
    "principal_type",
    "role",
    "path",
    "force",
    "parent_id",
    "tag_id",
    "user_guid",
    "owner_guid",
    "gid",
    "token",
    "public_key",
    "max_processes",
    "load_factor",
    "cpu_limit",
    "memory_limit",
    "run_as",
];

#[tokio::test]
async fn no_request_fails_the_server() {
    let world = World::open(&WorldConfig::default(), connect_sim::store::MIGRATIONS).await.unwrap();
    let routes = (product(Config::default()).build)(world).await.unwrap().routes;
    let app = TestApp::new().await;
    let admin = app.admin();
    let guid = admin.publish("target", static_bundle("x")).await;
    let mut failures = Vec::new();
    for route in routes {
        let method = if route.method == "*" { "GET" } else { route.method };
        // Deleting the target would make the rest of the test a test of 404s.
        let known = if route.path == "/__api__/v1/content/{guid}" && method == "DELETE" { "none" } else { &guid };
        let fill = |name: &str| {
            let mut path = String::new();
            for part in route.path.split('/').skip(1) {
                path.push('/');
                path.push_str(if part.starts_with('{') { name } else { part });
            }
            path
        };
        let mut paths: Vec<String> =
            [known, "1", "-1", "99999999999999999999", "%C3%A9%20%22", "%ff", "a%2Fb", "..%2f"].map(fill).to_vec();
        let queries =
            ["include=%ff", "page_number=-1&page_size=x", "first=-1&wait=x", "name=%F0%9F%98%80'", "q=%", "count=x"];
        paths.extend(queries.map(|query| format!("{}?{query}", fill(known))));
        for path in &paths {
            let answer = admin.raw(method, path, &[], Default::default()).await;
            if answer.status.is_server_error() {
                failures.push(format!("{method} {path}: {}", answer.text()));
            }
        }
        if method == "GET" || method == "DELETE" {
            continue;
        }
        for value in values() {
            let all: serde_json::Map<String, Value> =
                FIELDS.map(|name| (name.to_owned(), value.clone())).into_iter().collect();
            let each = FIELDS.map(|name| json!({ name: value.clone() }));
            let bodies = each.into_iter().chain([
                Value::Object(all),
                json!([value]),
                json!([{"name": "A", "value": value}]),
                value,
            ]);
            for body in bodies {
                let answer = admin.send(method, &paths[0], &body).await;
                if answer.status.is_server_error() {
                    failures.push(format!("{method} {} {}: {}", paths[0], body, answer.text()));
                }
            }
        }
        for bytes in [&b"\xff\xfe"[..], b"{", b"{\"name\": \"\\ud800\"}", b"\x1f\x8b\x08"] {
            let answer = admin.raw(method, &paths[0], &[], bytes.to_vec().into()).await;
            if answer.status.is_server_error() {
                failures.push(format!("{method} {}: {}", paths[0], answer.text()));
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[tokio::test]
async fn large_bodies_are_refused() {
    let app = TestApp::new().await;
    let body = format!("{{\"name\":\"{}\"}}", "x".repeat(3 << 20));
    let answer = app.publisher().raw("POST", "/v1/content", &[], body.into()).await;
    assert_eq!(answer.code(), (413, 125));
}

#[tokio::test]
async fn every_release_has_a_table() {
    for version in ["2022.11.0", "2023.01.1", "2024.08.0", "2025.06.0", "2026.04.0", "2026.06.0"] {
        let app = TestApp::with(Config { version: version.parse().unwrap(), ..Config::default() }).await;
        let guid = app.publisher().publish("item", static_bundle("x")).await;
        assert_eq!(app.publisher().get(&format!("/content/{guid}/")).await.text(), "x");
        assert_eq!(app.anonymous().get("/server_settings").await.ok()["version"], version);
    }
}
