//! What every route reads: the fields of its body, a list, a form, bytes, or nothing.

use serde_json::{Value, json};

/// What a field of a body takes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
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
    pub(super) fn wrong(self) -> Vec<Value> {
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
pub(super) type Field = (&'static str, Kind, bool);

/// The settings of content, on creation and later.
pub(super) const CONTENT: [Field; 29] = [
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
pub(super) fn bodies() -> Vec<(&'static str, Value, Vec<Field>)> {
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
        (
            "POST /__api__/keys",
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
            "POST /__api__/applications/{guid}/repo",
            json!({"repository": "https://git.example/a"}),
            vec![("repository", Text(2048), true), ("branch", Text(255), false), ("subdirectory", Text(1024), false)],
        ),
        ("PUT /__api__/applications/{backed}/repo", json!({}), vec![("enabled", Flag, false)]),
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
            "POST /__api__/__login__",
            json!({"username": "publisher", "password": "publisher-password"}),
            vec![("username", Text(1_000), true), ("password", Text(1_000), true)],
        ),
        (
            "POST /__api__/tokens",
            json!({"token": "T0123456789abcdef0123456789abcdef", "public_key": "x"}),
            vec![("token", Text(64), true), ("public_key", Text(4096), true)],
        ),
    ]
}

/// Routes that read a list: its elements are objects, by their fields, or texts.
pub(super) fn lists() -> Vec<(&'static str, Value, Vec<Field>)> {
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
pub(super) const FORMS: &[(&str, &[(&str, &str)])] = &[(
    "POST /__api__/v1/oauth/integrations/credentials",
    &[
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token_type", "urn:posit:connect:user-session-token"),
        ("subject_token", "none"),
    ],
)];

/// Routes that read an archive or a picture.
pub(super) const BYTES: &[&str] = &[
    "POST /__api__/applications/{guid}/image",
    "POST /__api__/applications/{guid}/upload",
    "POST /__api__/v1/content/{guid}/bundles",
    "PUT /__api__/v1/content/{guid}/thumbnail",
];

/// Routes that read no body: whatever comes is no failure of theirs.
pub(super) const BODYLESS: &[&str] = &[
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
