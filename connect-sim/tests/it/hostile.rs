//! Whatever is sent to whatever route: a refusal that says why, never a failure of the server.

use std::collections::BTreeSet;

use connect_sim::{Config, product};
use serde_json::{Value, json};
use sim_kit::{Route, World, WorldConfig};

mod bodies;

use bodies::{BODYLESS, BYTES, FORMS, bodies, lists};

use super::app::{Answer, TestApp, document_bundle, static_bundle};

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
        json!("x".repeat(10_000)),
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

/// Servers that are asked at the same time, each for a part of the routes.
const GROUPS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn no_request_fails_the_server() {
    let world = World::open(&WorldConfig::default(), connect_sim::store::MIGRATIONS).await.unwrap();
    let routes = (product(Config::default()).build)(world).await.unwrap().routes;
    let group = |n: usize| routes.iter().skip(n).step_by(GROUPS).cloned().collect::<Vec<Route>>();
    let groups: Vec<_> = (0..GROUPS).map(|n| tokio::spawn(failures(group(n)))).collect();
    let mut all = Vec::new();
    for group in groups {
        all.extend(group.await.unwrap());
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// What fails a server that is asked for `routes` with all that clients do not send.
async fn failures(routes: Vec<Route>) -> Vec<String> {
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
    failures
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

/// One of everything that a path or a body names.
pub(crate) async fn targets(app: &TestApp) -> Vec<(&'static str, String)> {
    let (admin, publisher) = (app.admin(), app.publisher());
    let text = |value: &Value, name: &str| match &value[name] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let user = app.user("target", "publisher").await.0;
    let me = text(&admin.get("/v1/user").await.ok(), "guid");
    let group = text(&admin.post("/v1/groups", &json!({"name": "target"})).await.ok(), "guid");
    let guid = publisher.publish("target", static_bundle("x")).await;
    let document = publisher.publish("document", document_bundle()).await;
    let variant = text(&publisher.get(&format!("/applications/{document}/variants")).await.ok()[0], "id");
    let other = publisher.publish("scheduled", document_bundle()).await;
    let scheduled = text(&publisher.get(&format!("/applications/{other}/variants")).await.ok()[0], "id");
    let schedule = json!({"variant_id": scheduled, "type": "weekday"});
    let schedule = text(&publisher.post("/schedules", &schedule).await.ok(), "id");
    let grant = json!({"principal_guid": user, "principal_type": "user", "role": "viewer"});
    let permission = text(&publisher.post(&format!("/v1/content/{guid}/permissions"), &grant).await.ok(), "id");
    let backed = publisher.create("backed").await;
    let place = json!({"repository": "https://git.example/a"});
    publisher.put(&format!("/v1/content/{backed}/repository"), &place).await.ok();
    let tag = text(&admin.post("/v1/tags", &json!({"name": "target"})).await.ok(), "id");
    let leaf = text(&admin.post("/v1/tags", &json!({"name": "leaf", "parent_id": tag})).await.ok(), "id");
    let environment = json!({"name": "target", "cluster_name": "Kubernetes"});
    let environment = text(&admin.post("/v1/environments", &environment).await.ok(), "guid");
    let integration = json!({"name": "target", "template": "github", "config": {"client_id": "c"}});
    let integration = text(&admin.post("/v1/oauth/integrations", &integration).await.ok(), "guid");
    let webhook = json!({"url": "http://127.0.0.1:9/", "active": false});
    let webhook = text(&admin.post("/v1/webhooks", &webhook).await.ok(), "guid");
    let message = text(&admin.post("/v1/system/messages", &json!({"content": "target"})).await.ok(), "guid");
    vec![
        ("{user}", user),
        ("{me}", me),
        ("{group}", group),
        ("{guid}", guid),
        ("{document}", document),
        ("{variant}", variant),
        ("{schedule}", schedule),
        ("{permission}", permission),
        ("{backed}", backed),
        ("{tag}", tag),
        ("{leaf}", leaf),
        ("{environment}", environment),
        ("{integration}", integration),
        ("{webhook}", webhook),
        ("{message}", message),
    ]
}

/// A route as the table of routes names it.
fn pattern(route: &str) -> String {
    let (method, path) = route.split_once(' ').unwrap();
    let parts: Vec<&str> = path.split('/').map(|part| if part.starts_with('{') { "{}" } else { part }).collect();
    format!("{method} {}", parts.join("/"))
}

#[tokio::test]
async fn every_field_of_every_body_is_checked() {
    let world = World::open(&WorldConfig::default(), connect_sim::store::MIGRATIONS).await.unwrap();
    let routes = (product(Config::default()).build)(world).await.unwrap().routes;
    let known: BTreeSet<String> = routes
        .iter()
        .filter(|route| route.path.starts_with("/__api__/"))
        .filter(|route| matches!(route.method, "POST" | "PUT" | "PATCH"))
        .map(|route| pattern(&format!("{} {}", route.method, route.path)))
        .collect();
    let fields = bodies().into_iter().chain(lists()).map(|row| row.0).chain(FORMS.iter().map(|row| row.0));
    let listed: BTreeSet<String> = fields.chain(BYTES.iter().chain(BODYLESS).copied()).map(pattern).collect();
    let missing: Vec<&String> = known.difference(&listed).collect();
    assert!(missing.is_empty(), "routes without a row in `bodies`, `lists`, FORMS, BYTES or BODYLESS: {missing:?}");

    let trusted_issuers = vec!["https://issuer.example".to_owned()];
    let app = TestApp::with(Config { trusted_issuers, ..Config::default() }).await;
    let targets = targets(&app).await;
    // The users of this one come from a directory.
    let directory = TestApp::with(super::sign_in::config()).await;
    let (mut made, mut wrong) = (0, Vec::new());
    for (route, right, fields) in bodies().into_iter().chain(lists()) {
        let of_directory = matches!(route, "PUT /__api__/v1/users" | "PUT /__api__/v1/groups");
        let admin = if of_directory { directory.admin() } else { app.admin() };
        let mut fill = |text: &str| {
            made += 1;
            let filled = text.replace("{unique}", &format!("unique-{made}"));
            targets.iter().fold(filled, |text, (name, value)| text.replace(name, value))
        };
        let (method, path) = route.split_once(' ').unwrap();
        let path = fill(path.strip_prefix("/__api__").unwrap());
        for (field, kind, required) in fields {
            let mut send = |value: Option<Value>| {
                let mut body: Value = serde_json::from_str(&fill(&right.to_string())).unwrap();
                let object = if body.is_array() { &mut body[0] } else { &mut body };
                match value {
                    Some(value) => object[field] = value,
                    None => drop(object.as_object_mut().unwrap().remove(field)),
                }
                let (admin, path) = (admin.clone(), path.clone());
                async move { admin.send(method, &path, &body).await }
            };
            let mut must = Vec::new();
            for value in kind.wrong() {
                must.push((value.to_string(), send(Some(value)).await));
            }
            if required {
                must.push(("nothing".to_owned(), send(None).await));
                must.push(("null".to_owned(), send(Some(Value::Null)).await));
            }
            for (value, answer) in must {
                let value: String = value.chars().take(40).collect();
                let text = answer.text();
                if !answer.status.is_client_error() {
                    wrong.push(format!("{route}: {field} = {value}: {}", answer.status));
                } else if !text.contains(&format!("`{field}`")) {
                    wrong.push(format!("{route}: {field} = {value}: the answer does not name it: {text}"));
                } else if answer.code().1 == 0 {
                    wrong.push(format!("{route}: {field} = {value}: no code"));
                }
            }
            for value in [Value::Null, json!("\u{202e}\u{feff}\u{1F600}é\r\n"), json!("' OR 1=1 --"), json!("../..%00")]
            {
                let answer = send(Some(value.clone())).await;
                if answer.status.is_server_error() {
                    wrong.push(format!("{route}: {field} = {value}: {}", answer.text()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// What comes in place of a list, a form, an archive, a picture, or nothing.
#[tokio::test]
async fn every_other_body_is_checked() {
    let app = TestApp::new().await;
    let targets = targets(&app).await;
    let fill = |text: &str| targets.iter().fold(text.to_owned(), |text, (name, value)| text.replace(name, value));
    let admin = app.admin();
    let mut wrong = Vec::new();
    let mut note = |what: &str, answer: &Answer, refused: bool, named: &str| {
        let fits = if refused { answer.status.is_client_error() } else { !answer.status.is_server_error() };
        if !fits || (refused && answer.code().1 == 0) || !answer.text().contains(named) {
            wrong.push(format!("{what}: {} {}", answer.status, answer.text()));
        }
    };
    for (route, ..) in lists() {
        let (method, path) = route.split_once(' ').unwrap();
        let path = fill(path.strip_prefix("/__api__").unwrap());
        for body in [
            json!(null),
            json!({}),
            json!(1),
            json!("x"),
            json!([1]),
            json!([null]),
            json!([[]]),
            json!([{"a": 1}]),
            json!(["\u{0}"]),
            json!([{}, {}]),
            json!({"0": "x"}),
        ] {
            note(&format!("{route} {body}"), &admin.send(method, &path, &body).await, true, "");
        }
        note(route, &admin.raw(method, &path, &[], "[".into()).await, true, "");
    }
    for (route, right) in FORMS {
        let (method, path) = route.split_once(' ').unwrap();
        let send = async |pairs: Vec<(&str, &str)>| {
            let mut form = url::form_urlencoded::Serializer::new(String::new());
            let body = form.extend_pairs(pairs).finish();
            admin.raw(method, path, &[("content-type", "application/x-www-form-urlencoded")], body.into()).await
        };
        let long = "x".repeat(10_000);
        for (field, _) in *right {
            for value in [None, Some(""), Some("no-such"), Some("\u{0}"), Some("\u{202e}\u{1F600}"), Some(&*long)] {
                let pairs = right.iter().filter_map(|(name, text)| match value {
                    _ if name != field => Some((*name, *text)),
                    value => value.map(|value| (*name, value)),
                });
                let answer = send(pairs.collect()).await;
                let name = format!("`{field}`");
                note(&format!("{route} {field} {value:.20?}"), &answer, true, &name);
            }
        }
        note(route, &admin.raw(method, path, &[], vec![0xff, 0xfe].into()).await, true, "");
    }
    let junk: [&[u8]; 7] = [b"", b"x", b"{}", b"\x1f\x8b\x08", b"\x89PNG", b"\0\0\0\0\0\0\0\0\0\0", b"GIF8"];
    for (route, refused) in BYTES.iter().map(|route| (route, true)).chain(BODYLESS.iter().map(|route| (route, false))) {
        let (method, path) = route.split_once(' ').unwrap();
        let path = fill(path).replace("{id}", &fill("{guid}"));
        for bytes in junk {
            for kind in ["", "application/json", "multipart/form-data", "multipart/form-data; boundary=b", "image/png"]
            {
                let head: &[(&str, &str)] = if kind.is_empty() { &[] } else { &[("content-type", kind)] };
                let answer = admin.raw(method, &path, head, bytes.to_vec().into()).await;
                note(&format!("{route} {kind} {bytes:?}"), &answer, refused, "");
            }
        }
    }
    for query in ["email=all", "email=%00", "email=me&rendering_id=x", "rendering_id=-1"] {
        let path = fill(&format!("/variants/{{variant}}/sender?{query}"));
        note(query, &admin.post(&path, &json!({})).await, true, "");
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
