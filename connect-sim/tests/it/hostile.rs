//! Whatever is sent to whatever route: a refusal that says why, never a failure of the server.

use std::collections::BTreeSet;

use connect_sim::{Config, product};
use serde_json::{Value, json};
use sim_kit::{Route, World, WorldConfig};

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

/// What a field of a body takes.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Text of at most so many characters.
    Text(usize),
    /// One of a few words.
    Word,
    /// Text that names something; a name of nothing is no mistake of the field.
    Key,
    /// A boolean.
    Flag,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// A number or text that holds one.
    Id,
    /// A time.
    Moment,
    /// A list of words.
    Words,
    /// An object.
    Object,
}

impl Kind {
    /// Values that are none of it. All are refused, with the field's name.
    fn wrong(self) -> Vec<Value> {
        let text = |n: usize| json!("x".repeat(n));
        match self {
            Self::Text(longest) => vec![json!(1), json!(true), json!([]), json!({}), json!("\u{0}"), text(longest + 1)],
            Self::Word => {
                vec![json!(1), json!(true), json!([]), json!({}), json!("\u{0}"), json!("no-such-word"), text(100_000)]
            }
            Self::Key => vec![json!(1), json!(true), json!([]), json!({}), json!("\u{0}")],
            Self::Flag => vec![json!("true"), json!(1), json!([]), json!({})],
            Self::Whole => vec![json!("x"), json!(true), json!([]), json!({}), json!(1.5), json!(1e300), json!(-7)],
            Self::Number => vec![json!("x"), json!(true), json!([]), json!({}), json!(-1e300)],
            Self::Id => vec![json!("x"), json!(true), json!([]), json!({}), json!(1.5)],
            Self::Moment => vec![json!(1), json!(true), json!([]), json!({}), json!("yesterday"), json!("\u{0}")],
            Self::Words => {
                vec![
                    json!(1),
                    json!(true),
                    json!({}),
                    json!("x"),
                    json!([1]),
                    json!(["\u{0}"]),
                    json!(["no-such-word"]),
                ]
            }
            Self::Object => vec![json!(1), json!(true), json!([]), json!("x")],
        }
    }
}

/// A field: its name, what it takes, whether it must be there.
type Field = (&'static str, Kind, bool);

/// The settings of content, on creation and later.
const CONTENT: [Field; 29] = [
    ("name", Kind::Text(64), false),
    ("title", Kind::Text(1024), false),
    ("description", Kind::Text(4096), false),
    ("access_type", Kind::Word, false),
    ("connection_timeout", Kind::Whole, false),
    ("read_timeout", Kind::Whole, false),
    ("init_timeout", Kind::Whole, false),
    ("idle_timeout", Kind::Whole, false),
    ("max_processes", Kind::Whole, false),
    ("min_processes", Kind::Whole, false),
    ("max_conns_per_process", Kind::Whole, false),
    ("load_factor", Kind::Number, false),
    ("memory_request", Kind::Whole, false),
    ("memory_limit", Kind::Whole, false),
    ("cpu_request", Kind::Number, false),
    ("cpu_limit", Kind::Number, false),
    ("amd_gpu_limit", Kind::Whole, false),
    ("nvidia_gpu_limit", Kind::Whole, false),
    ("service_account_name", Kind::Text(255), false),
    ("default_image_name", Kind::Text(255), false),
    ("default_environment_guid", Kind::Text(255), false),
    ("default_r_environment_management", Kind::Flag, false),
    ("default_py_environment_management", Kind::Flag, false),
    ("metrics_collection_enabled", Kind::Flag, false),
    ("notify_on_share", Kind::Flag, false),
    ("otel_enabled", Kind::Flag, false),
    ("draft_marker_enabled", Kind::Flag, false),
    ("run_as", Kind::Text(32), false),
    ("run_as_current_user", Kind::Flag, false),
];

/// The routes that read a JSON body: one that is right, and its fields.
fn bodies() -> Vec<(&'static str, Value, Vec<Field>)> {
    use Kind::{Flag, Id, Key, Moment, Object, Text, Whole, Word, Words};
    let user = [
        ("email", Text(254), false),
        ("first_name", Text(128), false),
        ("last_name", Text(128), false),
        ("username", Text(128), false),
        ("user_role", Word, false),
    ];
    let group = [("name", Text(255), false), ("gid", Whole, false)];
    let permission = [("principal_guid", Text(255), true), ("principal_type", Word, true), ("role", Word, true)];
    let place = [("branch", Text(255), false), ("directory", Text(1024), false), ("polling", Flag, false)];
    let schedule = [
        ("activate", Flag, false),
        ("email", Flag, false),
        ("type", Word, true),
        ("schedule", Text(4096), false),
        ("timezone", Word, false),
        ("start_time", Moment, false),
        ("end_time", Moment, false),
    ];
    let environment = [
        ("title", Text(255), false),
        ("description", Text(4096), false),
        ("matching", Word, false),
        ("supervisor", Text(4096), false),
        ("python", Object, false),
        ("r", Object, false),
        ("quarto", Object, false),
    ];
    let integration = [("name", Text(255), false), ("description", Text(4096), false), ("config", Object, false)];
    let webhook =
        [("name", Text(255), false), ("events", Words, false), ("secret", Text(255), false), ("active", Flag, false)];
    let with = |more: &[Field], some: &[Field]| [some, more].concat();
    let right_schedule = json!({"type": "weekday", "start_time": "2026-01-01T00:00:00Z", "timezone": "UTC"});
    vec![
        (
            "POST /__api__/v1/users",
            json!({"username": "{unique}"}),
            with(&[("password", Text(1024), false), ("external_id", Text(255), false)], &user),
        ),
        ("PUT /__api__/v1/users/{user}", json!({}), user.to_vec()),
        ("PUT /__api__/v1/users", json!({"temp_ticket": "x"}), vec![("temp_ticket", Text(4096), true)]),
        ("PUT /__api__/v1/groups", json!({"temp_ticket": "x"}), vec![("temp_ticket", Text(4096), true)]),
        ("POST /__api__/v1/users/{user}/lock", json!({"locked": false}), vec![("locked", Flag, true)]),
        (
            "POST /__api__/v1/users/{me}/keys",
            json!({"name": "{unique}"}),
            vec![("name", Text(255), true), ("user_role", Word, false), ("expires_at", Moment, false)],
        ),
        ("POST /__api__/v1/groups", json!({"name": "{unique}"}), group.to_vec()),
        ("PATCH /__api__/v1/groups/{group}", json!({}), with(&[("owner_guid", Text(255), false)], &group)),
        ("POST /__api__/v1/groups/{group}", json!({}), with(&[("owner_guid", Text(255), false)], &group)),
        (
            "POST /__api__/v1/groups/{group}/members",
            json!({"user_guid": "{user}"}),
            vec![("user_guid", Text(255), true)],
        ),
        ("POST /__api__/v1/content", json!({}), CONTENT.to_vec()),
        ("POST /__api__/applications", json!({}), CONTENT.to_vec()),
        ("POST /__api__/applications/{guid}", json!({}), CONTENT.to_vec()),
        ("POST /__api__/applications/{guid}/deploy", json!({}), vec![("bundle", Id, false)]),
        (
            "PATCH /__api__/v1/content/{guid}",
            json!({}),
            with(
                &[
                    ("locked", Flag, false),
                    ("locked_message", Text(4096), false),
                    ("content_category", Word, false),
                    ("owner_guid", Text(255), false),
                ],
                &CONTENT,
            ),
        ),
        (
            "POST /__api__/v1/content/{guid}/permissions",
            json!({"principal_guid": "{user}", "principal_type": "user", "role": "viewer"}),
            permission.to_vec(),
        ),
        (
            "PUT /__api__/v1/content/{guid}/permissions/{permission}",
            json!({"principal_guid": "{user}", "principal_type": "user", "role": "viewer"}),
            permission.to_vec(),
        ),
        (
            "PUT /__api__/v1/content/{guid}/vanity",
            json!({"path": "/vanity/{unique}/"}),
            vec![("path", Text(1024), true), ("force", Flag, false)],
        ),
        (
            "POST /__api__/v1/tags",
            json!({"name": "{unique}"}),
            vec![("name", Text(255), true), ("parent_id", Id, false)],
        ),
        ("PATCH /__api__/v1/tags/{tag}", json!({}), vec![("name", Text(255), false), ("parent_id", Id, false)]),
        ("POST /__api__/v1/content/{guid}/tags", json!({"tag_id": "{leaf}"}), vec![("tag_id", Id, true)]),
        ("POST /__api__/v1/content/{document}/render", json!({}), vec![("variant_key", Key, false)]),
        (
            "POST /__api__/variants/{variant}",
            json!({}),
            vec![
                ("name", Text(255), false),
                ("email_collaborators", Flag, false),
                ("email_viewers", Flag, false),
                ("email_all", Flag, false),
                ("visibility", Word, false),
            ],
        ),
        (
            "POST /__api__/schedules",
            json!({"variant_id": "{variant}", "type": "weekday"}),
            with(&[("variant_id", Id, true), ("app_id", Id, false)], &schedule),
        ),
        ("POST /__api__/schedules/{schedule}", right_schedule, schedule.to_vec()),
        (
            "POST /__api__/v1/content/{guid}/deploy",
            json!({}),
            vec![("bundle_id", Id, false), ("activate", Flag, false)],
        ),
        ("POST /__api__/v1/content/{guid}/build", json!({}), vec![("bundle_id", Id, false), ("activate", Flag, false)]),
        (
            "PUT /__api__/v1/content/{guid}/repository",
            json!({"repository": "https://git.example/a"}),
            with(&[("repository", Text(2048), true)], &place),
        ),
        (
            "PATCH /__api__/v1/content/{backed}/repository",
            json!({}),
            with(&[("repository", Text(2048), false)], &place),
        ),
        (
            "POST /__api__/v1/content/{backed}/repository/bundle",
            json!({}),
            vec![("repository", Text(2048), false), ("ref", Text(255), false), ("directory", Text(1024), false)],
        ),
        (
            "POST /__api__/v1/environments",
            json!({"name": "{unique}", "cluster_name": "Kubernetes"}),
            with(&[("name", Text(255), true), ("cluster_name", Text(255), true)], &environment),
        ),
        ("PUT /__api__/v1/environments/{environment}", json!({}), environment.to_vec()),
        (
            "POST /__api__/v1/environments/{environment}/permissions",
            json!({"user_guid": "{user}"}),
            vec![("user_guid", Text(255), false), ("group_guid", Text(255), false)],
        ),
        (
            "DELETE /__api__/v1/system/caches/runtime",
            json!({"language": "R", "version": "9"}),
            vec![
                ("language", Word, true),
                ("version", Key, true),
                ("image_name", Key, false),
                ("dry_run", Flag, false),
            ],
        ),
        ("POST /__api__/v1/system/checks", json!({}), vec![("hostname", Word, false)]),
        (
            "POST /__api__/v1/system/service-tokens",
            json!({"name": "{unique}", "scopes": ["identity:manage"]}),
            vec![("name", Text(255), true), ("scopes", Words, true), ("expires_at", Moment, false)],
        ),
        ("POST /__api__/v1/system/documentation", json!({"content": "x"}), vec![("content", Text(500_000), true)]),
        ("POST /__api__/v1/tasks/send-test-email", json!({"to": "a@example.com"}), vec![("to", Text(254), true)]),
        (
            "POST /__api__/v1/system/messages",
            json!({"content": "x"}),
            vec![
                ("content", Text(4096), true),
                ("audience", Word, false),
                ("start_time", Moment, false),
                ("end_time", Moment, false),
            ],
        ),
        (
            "PATCH /__api__/v1/system/messages/{message}",
            json!({}),
            vec![
                ("content", Text(4096), false),
                ("audience", Word, false),
                ("start_time", Moment, false),
                ("end_time", Moment, false),
            ],
        ),
        (
            "POST /__api__/v1/webhooks",
            json!({"url": "http://127.0.0.1:9/", "active": false}),
            with(&[("url", Text(2048), true)], &webhook),
        ),
        ("PATCH /__api__/v1/webhooks/{webhook}", json!({}), with(&[("url", Text(2048), false)], &webhook)),
        (
            "POST /__api__/v1/content/{document}/subscriptions",
            json!({}),
            vec![("user_guid", Text(255), false), ("variant_key", Key, false)],
        ),
        (
            "POST /__api__/v1/content/{document}/email",
            json!({}),
            vec![("recipients", Word, false), ("variant_key", Key, false)],
        ),
        (
            "POST /__api__/v1/oauth/integrations",
            json!({"name": "n", "template": "github", "config": {"client_id": "c"}}),
            with(&[("template", Word, true)], &integration),
        ),
        ("PATCH /__api__/v1/oauth/integrations/{integration}", json!({}), integration.to_vec()),
        (
            "POST /__api__/v1/content/{guid}/trusted-publishers",
            json!({"name": "robot", "issuer": "https://issuer.example", "claims": {"sub": "x"}}),
            vec![
                ("name", Text(128), true),
                ("issuer", Text(1024), true),
                ("audience", Text(1024), false),
                ("claims", Object, true),
            ],
        ),
        (
            "POST /__api__/tokens",
            json!({"token": "T0123456789abcdef0123456789abcdef", "public_key": "x"}),
            vec![("token", Text(64), true), ("public_key", Text(4096), true)],
        ),
    ]
}

/// Routes that read a list: its elements are objects, by their fields, or texts.
fn lists() -> Vec<(&'static str, Value, Vec<Field>)> {
    use Kind::{Key, Text};
    let variable = [("name", Text(1024), true), ("value", Key, false)];
    vec![
        ("PATCH /__api__/v1/content/{guid}/environment", json!([{"name": "A", "value": "b"}]), variable.to_vec()),
        ("PUT /__api__/v1/content/{guid}/environment", json!([{"name": "A", "value": "b"}]), variable.to_vec()),
        (
            "PUT /__api__/v1/content/{guid}/oauth/integrations/associations",
            json!([{"oauth_integration_guid": "{integration}"}]),
            vec![("oauth_integration_guid", Text(255), true)],
        ),
        ("POST /__api__/variants/{variant}/subscribers", json!(["{user}"]), vec![]),
    ]
}

/// Routes that read a form, and a form of the right shape.
const FORMS: &[(&str, &[(&str, &str)])] = &[(
    "POST /__api__/v1/oauth/integrations/credentials",
    &[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:posit:connect:user-session-token"),
        ("subject_token", "none"),
    ],
)];

/// Routes that read an archive or a picture.
const BYTES: &[&str] = &[
    "POST /__api__/applications/{guid}/image",
    "POST /__api__/applications/{guid}/upload",
    "POST /__api__/v1/content/{guid}/bundles",
    "PUT /__api__/v1/content/{guid}/thumbnail",
];

/// Routes that read no body: whatever comes is no failure of theirs.
const BODYLESS: &[&str] = &[
    "DELETE /__api__/applications/{id}/image",
    // They read a header. That header's own tests are in `auth`.
    "POST /__api__/v1/bootstrap",
    "POST /__api__/v1/experimental/bootstrap",
    "POST /__api__/v1/content/{guid}/access-test",
    "POST /__api__/v1/content/{guid}/bookmark",
    "POST /__api__/v1/oauth/integrations/{integration}/verify",
    "POST /__api__/v1/webhooks/{webhook}/test",
    "POST /__api__/variants/{variant}/render",
    // It reads the query.
    "POST /__api__/variants/{variant}/sender",
];

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
