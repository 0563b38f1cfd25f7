//! Every route and every kind of caller.
//!
//! The callers: nobody, a locked user, a key that was revoked, a viewer, a publisher who was given nothing, a
//! collaborator of the item, its owner, an administrator. A service principal that may publish to the item is the ninth;
//! what it gets follows from the row. A route without a row fails the test.

use std::collections::BTreeSet;
use std::time::Duration;

use connect_sim::auth::service::OPEN;
use connect_sim::store::{self, trusted_publishers::TrustedPublisher};
use connect_sim::{Config, product};
use serde_json::{Value, json};
use sim_kit::{World, WorldConfig};

use super::app::{Caller, TestApp, document_bundle, static_bundle};
use super::identity::{self, Issuer, bind};

/// Route, body, and the status for each caller in the order above.
type Row = (&'static str, &'static str, [u16; 8]);

/// What a service principal gets: on the routes that are open to it what a collaborator gets, where everybody gets the same
/// just that, where nobody is asked to sign in or gets 401 a refusal, and elsewhere what a viewer gets.
fn for_machine(route: &str, row: [u16; 8]) -> u16 {
    let (method, path) = route.split_once(' ').unwrap();
    match row[0] {
        _ if OPEN.contains(&(method, path)) || path.starts_with("/content/") => row[5],
        all if row == [all; 8] => all,
        401 | 302 => 403,
        _ => row[3],
    }
}

/// For everybody.
const PUBLIC: [u16; 8] = [200; 8];

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let everyone = [401, 403, 401, 200, 200, 200, 200, 200];
    let publishers = [401, 403, 401, 403, 200, 200, 200, 200];
    let administrators = [401, 403, 401, 403, 403, 403, 403, 200];
    let seers = [401, 403, 401, 403, 403, 200, 200, 200];
    let guessers = [401, 403, 401, 404, 404, 200, 200, 200];
    let then = |row: [u16; 8], status| row.map(|s| if s == 200 { status } else { s });
    vec![
        ("GET /__ping__", "", PUBLIC),
        ("POST /mcp", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", everyone),
        ("POST /mcp/", "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", everyone),
        ("GET /mcp", "", then(everyone, 405)),
        ("GET /mcp/", "", then(everyone, 405)),
        ("GET /__api__/openapi.json", "", PUBLIC),
        ("GET /__api__/server_settings", "", PUBLIC),
        ("GET /__api__/server_settings/applications", "", publishers),
        ("GET /__api__/server_settings/scheduler", "", publishers),
        ("GET /__api__/server_settings/scheduler/{app_mode}", "", publishers),
        ("GET /__api__/v1/server_settings/public", "", PUBLIC),
        ("GET /__api__/v1/timezones", "", everyone),
        ("GET /__api__/timezones", "", everyone),
        ("GET /__api__/v1/server_settings/r", "", publishers),
        ("GET /__api__/v1/server_settings/python", "", publishers),
        ("GET /__api__/v1/server_settings/quarto", "", publishers),
        ("GET /__api__/v1/server_settings/tensorflow", "", publishers),
        ("GET /__api__/v1/server_settings/nodejs", "", publishers),
        // Off on this server.
        ("POST /__api__/v1/bootstrap", "", [404; 8]),
        ("POST /__api__/v1/experimental/bootstrap", "", [404; 8]),
        // Bad on purpose.
        ("POST /__api__/tokens", "{}", [400; 8]),
        ("GET /connect/claim/{token}", "", [302, 403, 401, 404, 404, 404, 404, 404]),
        ("POST /connect/claim/{token}", "", [302, 403, 401, 404, 404, 404, 404, 404]),
        ("GET /__login__", "", PUBLIC),
        ("POST /__login__", "", [401; 8]),
        ("POST /__api__/__login__", "{}", [400; 8]),
        // Without a link.
        ("GET /setpassword", "", [400; 8]),
        ("POST /setpassword", "", [400; 8]),
        // Off on this server.
        ("GET /__login__/callback", "", [404; 8]),
        ("GET /__idp__/.well-known/openid-configuration", "", [404; 8]),
        ("GET /__idp__/jwks", "", [404; 8]),
        ("GET /__idp__/authorize", "", [404; 8]),
        ("POST /__idp__/authorize", "", [404; 8]),
        ("POST /__idp__/token", "", [404; 8]),
        ("GET /__logout__", "", [303; 8]),
        ("POST /__logout__", "", [303; 8]),
        ("GET /.well-known/oauth-authorization-server", "", PUBLIC),
        // Bad on purpose.
        ("POST /oauth/v1/register", "{}", [400; 8]),
        ("GET /oauth/v1/authorize", "", [400, 403, 401, 400, 400, 400, 400, 400]),
        // Keys cannot agree to anything.
        ("POST /oauth/v1/authorize", "", [302, 403, 401, 403, 403, 403, 403, 403]),
        ("POST /oauth/v1/token", "", [400; 8]),
        ("POST /oauth/v1/device_authorization", "", [400; 8]),
        ("GET /oauth/v1/device", "", [302, 403, 401, 403, 403, 403, 403, 403]),
        ("POST /oauth/v1/device", "", [302, 403, 401, 403, 403, 403, 403, 403]),
        ("POST /oauth/v1/revoke", "", [400; 8]),
        ("GET /__api__/v1/oauth/clients", "", everyone),
        ("GET /__api__/v1/oauth/clients/{client_id}", "", everyone),
        ("DELETE /__api__/v1/oauth/clients/{client_id}", "", then(administrators, 204)),
        ("GET /__api__/v1/content/{guid}/trusted-publishers", "", seers),
        // Bad on purpose.
        ("POST /__api__/v1/content/{guid}/trusted-publishers", "{}", then(seers, 400)),
        ("DELETE /__api__/v1/content/{guid}/trusted-publishers/{service_principal_guid}", "", then(seers, 404)),
        ("GET /__api__/v1/user", "", everyone),
        ("GET /__api__/me", "", everyone),
        ("GET /__api__/users/current", "", everyone),
        ("GET /__api__/v1/users", "", everyone),
        ("POST /__api__/v1/users", "{\"username\":\"{unique}\",\"password\":\"a-password\"}", administrators),
        // The users of this server come from no directory.
        ("PUT /__api__/v1/users", "{}", then(publishers, 400)),
        ("GET /__api__/v1/users/remote", "", then(publishers, 400)),
        ("PUT /__api__/v1/groups", "{}", then(publishers, 400)),
        ("GET /__api__/v1/groups/remote", "", then(publishers, 400)),
        ("GET /__api__/v1/users/{guid}", "", everyone),
        // The user is the owner.
        ("PUT /__api__/v1/users/{guid}", "{}", [401, 403, 401, 403, 403, 403, 200, 200]),
        ("POST /__api__/v1/users/{guid}/lock", "{\"locked\":false}", administrators),
        ("GET /__api__/v1/users/{guid}/keys", "", [401, 403, 401, 403, 403, 403, 200, 403]),
        ("POST /__api__/v1/users/{guid}/keys", "{\"name\":\"{unique}\"}", [401, 403, 401, 403, 403, 403, 200, 403]),
        ("GET /__api__/v1/users/{guid}/keys/{id}", "", [401, 403, 401, 403, 403, 403, 404, 403]),
        ("DELETE /__api__/v1/users/{guid}/keys/{id}", "", [401, 403, 401, 403, 403, 403, 404, 403]),
        ("GET /__api__/bundles/{id}", "", then(everyone, 404)),
        ("DELETE /__api__/v1/system/checks/{id}", "", then(administrators, 404)),
        ("GET /__api__/keys", "", everyone),
        ("POST /__api__/keys", "{\"name\":\"{unique}\"}", everyone),
        ("DELETE /__api__/keys/{id}", "", then(everyone, 404)),
        ("GET /__api__/v1/groups", "", everyone),
        ("POST /__api__/v1/groups", "{\"name\":\"{unique}\"}", publishers),
        ("GET /__api__/v1/groups/{guid}", "", everyone),
        // The group is the owner's.
        ("PATCH /__api__/v1/groups/{guid}", "{}", [401, 403, 401, 403, 403, 403, 200, 200]),
        ("POST /__api__/v1/groups/{guid}", "{}", [401, 403, 401, 403, 403, 403, 200, 200]),
        ("DELETE /__api__/v1/groups/{guid}", "", [401, 403, 401, 403, 403, 403, 204, 204]),
        ("GET /__api__/v1/groups/{guid}/members", "", everyone),
        ("POST /__api__/v1/groups/{guid}/members", "{\"user_guid\":\"{owner}\"}", [401, 403, 401, 403, 403, 403, 204, 204]),
        ("DELETE /__api__/v1/groups/{guid}/members/{user_guid}", "", [401, 403, 401, 403, 403, 403, 404, 404]),
        ("GET /__api__/v1/content", "", everyone),
        ("POST /__api__/v1/content", "{}", publishers),
        ("GET /__api__/v1/content/{guid}", "", seers),
        ("PATCH /__api__/v1/content/{guid}", "{}", seers),
        ("DELETE /__api__/v1/content/{guid}", "", then(seers, 204)),
        ("GET /__api__/v1/content/{guid}/environment", "", seers),
        ("PATCH /__api__/v1/content/{guid}/environment", "[]", seers),
        ("PUT /__api__/v1/content/{guid}/environment", "[]", seers),
        ("GET /__api__/v1/content/{guid}/permissions", "", seers),
        ("POST /__api__/v1/content/{guid}/permissions", "{\"principal_guid\":\"{viewer}\",\"principal_type\":\"user\",\"role\":\"viewer\"}", then(seers, 201)),
        ("GET /__api__/v1/content/{guid}/permissions/{id}", "", seers),
        ("PUT /__api__/v1/content/{guid}/permissions/{id}", "{\"principal_guid\":\"{collaborator}\",\"principal_type\":\"user\",\"role\":\"owner\"}", seers),
        ("DELETE /__api__/v1/content/{guid}/permissions/{id}", "", then(seers, 204)),
        ("GET /__api__/v1/content/{guid}/vanity", "", then(seers, 404)),
        ("PUT /__api__/v1/content/{guid}/vanity", "{\"path\":\"/vanity/{unique}/\"}", seers),
        ("DELETE /__api__/v1/content/{guid}/vanity", "", then(seers, 404)),
        ("GET /__api__/v1/vanities", "", administrators),
        ("GET /__api__/v1/tags", "", everyone),
        ("POST /__api__/v1/tags", "{\"name\":\"{unique}\"}", administrators),
        ("GET /__api__/v1/tags/{id}", "", everyone),
        ("PATCH /__api__/v1/tags/{id}", "{}", administrators),
        ("DELETE /__api__/v1/tags/{id}", "", then(administrators, 204)),
        ("GET /__api__/v1/tags/{id}/content", "", everyone),
        ("GET /__api__/v1/content/{guid}/tags", "", seers),
        ("POST /__api__/v1/content/{guid}/tags", "{\"tag_id\":\"{tag}\"}", then(seers, 201)),
        ("DELETE /__api__/v1/content/{guid}/tags/{tag_id}", "", then(seers, 404)),
        ("GET /__api__/applications", "", everyone),
        // Numbers can be guessed: those who may not see get what those get who ask for nothing.
        ("GET /__api__/applications/{id}", "", guessers),
        ("POST /__api__/applications", "{\"name\":\"{unique}\"}", publishers),
        ("POST /__api__/applications/{id}", "{}", guessers),
        // Bad on purpose.
        ("POST /__api__/applications/{id}/upload", "none", then(guessers, 400)),
        ("POST /__api__/applications/{id}/repo", "{\"repository\":\"https://git.example/a\"}", guessers),
        ("PUT /__api__/applications/{id}/repo", "{}", then(guessers, 404)),
        ("POST /__api__/applications/{id}/deploy", "{}", guessers),
        ("GET /__api__/applications/{id}/config", "", guessers),
        ("GET /__api__/tasks/{id}", "", seers),
        ("GET /__api__/v1/content/{guid}/bundles", "", seers),
        ("POST /__api__/v1/content/{guid}/bundles", "no archive", then(seers, 400)),
        ("GET /__api__/v1/content/{guid}/bundles/{id}", "", seers),
        ("DELETE /__api__/v1/content/{guid}/bundles/{id}", "", then(seers, 400)),
        ("GET /__api__/v1/content/{guid}/bundles/{id}/download", "", seers),
        ("GET /__api__/v1/content/{guid}/repository", "", then(seers, 404)),
        ("PUT /__api__/v1/content/{guid}/repository", "{\"repository\":\"https://git.example/a\"}", seers),
        ("PATCH /__api__/v1/content/{guid}/repository", "{}", then(seers, 404)),
        ("DELETE /__api__/v1/content/{guid}/repository", "", then(seers, 404)),
        ("POST /__api__/v1/content/{guid}/repository/bundle", "{}", then(seers, 400)),
        ("GET /__api__/repo/account", "", then(publishers, 400)),
        ("GET /__api__/repo/branches", "", then(publishers, 400)),
        ("GET /__api__/repo/manifest-dirs", "", then(publishers, 400)),
        ("POST /__api__/v1/content/{guid}/deploy", "{}", then(seers, 202)),
        ("POST /__api__/v1/content/{guid}/build", "{}", seers),
        ("GET /__api__/v1/tasks/{id}", "", seers),
        ("GET /__api__/v1/content/{guid}/jobs", "", seers),
        ("GET /__api__/v1/content/{guid}/jobs/{key}", "", then(seers, 404)),
        ("DELETE /__api__/v1/content/{guid}/jobs/{key}", "", then(seers, 404)),
        ("GET /__api__/v1/content/{guid}/jobs/{key}/log", "", then(seers, 404)),
        ("GET /__api__/v1/content/{guid}/jobs/{key}/download", "", then(seers, 404)),
        ("GET /__api__/v1/content/{guid}/jobs/{key}/error", "", then(seers, 404)),
        ("GET /__api__/v1/content/{guid}/jobs/{key}/tail", "", then(seers, 404)),
        ("GET /__api__/v1/content/{guid}/jobs/{key}/metrics", "", then(seers, 404)),
        ("GET /__api__/v1/experimental/jobs/summary", "", publishers),
        ("GET /__api__/v1/packages", "", publishers),
        ("GET /__api__/v1/content/{guid}/packages", "", seers),
        ("GET /__api__/v1/content/{guid}/lockfile", "", then(seers, 404)),
        ("GET /__api__/v1/vulnerabilities", "", publishers),
        ("GET /__api__/v1/content/{guid}/vulnerabilities", "", seers),
        ("GET /__api__/v1/content/{guid}/subscriptions", "", seers),
        // The item is no document: nobody can subscribe to it.
        ("POST /__api__/v1/content/{guid}/subscriptions", "{}", then(seers, 404)),
        ("DELETE /__api__/v1/content/{guid}/subscriptions/{user_guid}", "", then(seers, 404)),
        ("POST /__api__/v1/content/{guid}/email", "{}", then(seers, 404)),
        ("PUT /__api__/v1/content/{guid}/thumbnail", "GIF89a", then(seers, 204)),
        ("DELETE /__api__/v1/content/{guid}/thumbnail", "", then(seers, 404)),
        ("GET /__api__/applications/{id}/image", "", then(guessers, 204)),
        ("POST /__api__/applications/{id}/image", "GIF89a", then(guessers, 204)),
        ("DELETE /__api__/applications/{id}/image", "", then(guessers, 404)),
        ("GET /__api__/v1/content/{guid}/bookmark", "", then(seers, 404)),
        ("POST /__api__/v1/content/{guid}/bookmark", "", then(seers, 201)),
        ("DELETE /__api__/v1/content/{guid}/bookmark", "", then(seers, 404)),
        ("GET /__api__/v1/content/{guid}/bundles/{id}/files", "", seers),
        ("GET /__api__/v1/content/{guid}/bundles/{id}/files/{*path}", "", then(seers, 404)),
        ("GET /__api__/v1/search/content", "", everyone),
        ("GET /__api__/v1/search/variants", "", everyone),
        ("POST /__api__/v1/content/{guid}/render", "{}", then(seers, 202)),
        ("GET /__api__/applications/{id}/variants", "", guessers),
        ("GET /__api__/variants/{id}", "", guessers),
        ("POST /__api__/variants/{id}", "{}", guessers),
        ("POST /__api__/variants/{id}/render", "{}", guessers),
        ("POST /__api__/variants/{id}/sender", "", guessers),
        ("GET /__api__/v1/experimental/groups/{guid}/content", "", everyone),
        ("GET /__api__/applications/{id}/jobs", "", guessers),
        ("GET /__api__/applications/{id}/job/{key}", "", then(guessers, 404)),
        ("GET /__api__/variants/{id}/renderings", "", guessers),
        ("GET /__api__/variants/{id}/schedules", "", guessers),
        ("GET /__api__/variants/{id}/subscribers", "", guessers),
        ("POST /__api__/variants/{id}/subscribers", "[]", guessers),
        ("DELETE /__api__/variants/{id}/subscribers/{user_guid}", "", then(guessers, 404)),
        ("GET /__api__/schedules/{id}", "", guessers),
        ("POST /__api__/schedules", "{\"variant_id\":{id},\"type\":\"weekday\"}", [401, 403, 401, 403, 404, 409, 409, 409]),
        ("POST /__api__/schedules/{id}", "{\"type\":\"weekday\",\"start_time\":\"2026-01-01T00:00:00Z\",\"timezone\":\"UTC\"}", guessers),
        ("DELETE /__api__/schedules/{id}", "", then(guessers, 204)),
        ("GET /__api__/v1/experimental/schedules", "", publishers),
        ("GET /__api__/v1/content/{guid}/schedule/history", "", seers),
        ("GET /__api__/v1/environments", "", publishers),
        ("POST /__api__/v1/environments", "{\"name\":\"{unique}\",\"cluster_name\":\"Kubernetes\"}", administrators),
        ("GET /__api__/v1/environments/{guid}", "", publishers),
        ("PUT /__api__/v1/environments/{guid}", "{}", administrators),
        ("DELETE /__api__/v1/environments/{guid}", "", then(administrators, 204)),
        ("GET /__api__/v1/environments/{guid}/permissions", "", administrators),
        ("POST /__api__/v1/environments/{guid}/permissions", "{\"user_guid\":\"{owner}\"}", administrators),
        ("DELETE /__api__/v1/environments/{guid}/permissions/{id}", "", then(administrators, 404)),
        ("GET /__api__/v1/system/caches/runtime", "", administrators),
        ("DELETE /__api__/v1/system/caches/runtime", "{\"language\":\"R\",\"version\":\"9\"}", then(administrators, 404)),
        ("GET /__api__/v1/system/checks", "", administrators),
        ("POST /__api__/v1/system/checks", "{}", administrators),
        ("GET /__api__/v1/system/checks/{id}", "", then(administrators, 404)),
        ("GET /__api__/v1/system/checks/{id}/results", "", then(administrators, 404)),
        ("GET /__api__/v1/system/chronicle", "", administrators),
        ("GET /__api__/v1/system/service-tokens", "", administrators),
        ("POST /__api__/v1/system/service-tokens", "{\"name\":\"{unique}\",\"scopes\":[\"identity:manage\"]}", administrators),
        ("GET /__api__/v1/system/service-tokens/scopes", "", administrators),
        ("DELETE /__api__/v1/system/service-tokens/{guid}", "", then(administrators, 404)),
        ("GET /__api__/v1/system/storage", "", administrators),
        ("GET /__api__/v1/system/hosts", "", administrators),
        ("GET /__api__/v1/system/offhost/service-accounts", "", publishers),
        ("GET /__api__/v1/system/documentation", "", then(everyone, 404)),
        ("DELETE /__api__/v1/system/documentation", "", then(administrators, 404)),
        ("POST /__api__/v1/system/documentation", "{\"content\":\"{unique}\"}", then(administrators, 204)),
        ("GET /__api__/v1/system/messages", "", everyone),
        ("POST /__api__/v1/system/messages", "{\"content\":\"x\"}", then(administrators, 201)),
        ("PATCH /__api__/v1/system/messages/{guid}", "{}", administrators),
        ("DELETE /__api__/v1/system/messages/{guid}", "", then(administrators, 204)),
        ("GET /__api__/v1/webhooks", "", administrators),
        // Turned off, so that nothing of what follows is told to anybody.
        ("POST /__api__/v1/webhooks", "{\"url\":\"http://127.0.0.1:9/\",\"active\":false}", then(administrators, 201)),
        ("GET /__api__/v1/webhooks/{guid}", "", administrators),
        ("PATCH /__api__/v1/webhooks/{guid}", "{}", administrators),
        ("DELETE /__api__/v1/webhooks/{guid}", "", then(administrators, 204)),
        ("GET /__api__/v1/webhooks/{guid}/deliveries", "", administrators),
        ("POST /__api__/v1/webhooks/{guid}/test", "", then(administrators, 202)),
        ("GET /__api__/v1/feature-usage", "", publishers),
        ("GET /__api__/v1/queue", "", administrators),
        ("DELETE /__api__/v1/queue/{id}", "", then(administrators, 404)),
        ("GET /__api__/v1/content/storage", "", administrators),
        ("GET /__api__/v1/content/{guid}/storage", "", administrators),
        // The item is not open to everybody.
        ("POST /__api__/v1/content/{guid}/access-test", "", then(seers, 400)),
        ("GET /__api__/metrics/procs", "", administrators),
        ("POST /__api__/v1/tasks/send-test-email", "{\"to\":\"a@example.com\"}", administrators),
        ("GET /__api__/v1/metrics/users/active", "", administrators),
        ("GET /__api__/v1/instrumentation/content/visits", "", publishers),
        ("GET /__api__/v1/instrumentation/shiny/usage", "", publishers),
        ("GET /__api__/v1/instrumentation/content/hits", "", publishers),
        ("GET /__api__/v1/audit_logs", "", administrators),
        ("GET /__api__/v1/audit/actions", "", administrators),
        ("GET /__api__/v1/search/auditlogs", "", administrators),
        ("GET /__api__/v1/oauth/integrations", "", publishers),
        ("POST /__api__/v1/oauth/integrations", "{\"name\":\"n\",\"template\":\"aws\"}", administrators),
        // Bad on purpose.
        ("POST /__api__/v1/oauth/integrations/credentials", "", then(everyone, 400)),
        ("GET /__api__/v1/oauth/integrations/{guid}", "", publishers),
        ("PATCH /__api__/v1/oauth/integrations/{guid}", "{}", administrators),
        ("DELETE /__api__/v1/oauth/integrations/{guid}", "", then(administrators, 204)),
        // The integration is none of a service account.
        ("POST /__api__/v1/oauth/integrations/{guid}/verify", "", then(administrators, 400)),
        ("GET /__api__/v1/oauth/integrations/{guid}/associations", "", publishers),
        ("GET /__api__/v1/content/{guid}/oauth/integrations/associations", "", seers),
        ("PUT /__api__/v1/content/{guid}/oauth/integrations/associations", "[]", then(seers, 204)),
        ("GET /__api__/v1/oauth/sessions", "", everyone),
        ("GET /__api__/v1/oauth/sessions/{guid}", "", then(everyone, 404)),
        ("DELETE /__api__/v1/oauth/sessions/{guid}", "", then(everyone, 404)),
        ("GET /__api__/v1/oauth/templates", "", administrators),
        ("GET /__api__/v1/oauth/templates/{key}", "", then(administrators, 404)),
        ("GET /__oauth__/integrations/{guid}/login", "", [302, 403, 401, 302, 302, 302, 302, 302]),
        // An administrator manages content without seeing what it shows.
        ("* /content/{guid}", "", [401, 403, 401, 403, 403, 301, 301, 403]),
        ("* /content/{guid}/", "", [401, 403, 401, 403, 403, 200, 200, 403]),
        ("* /content/{guid}/{*path}", "", [401, 403, 401, 403, 403, 200, 200, 403]),
        ("GET /", "", [307; 8]),
        ("GET /connect", "", [307; 8]),
        ("GET /connect/", "", [302, 403, 401, 200, 200, 200, 200, 200]),
        ("GET /connect/__favicon__", "", PUBLIC),
        ("GET /connect/assets/{name}", "", PUBLIC),
        ("GET /connect/view/apps/{*path}", "", [302, 403, 401, 403, 403, 200, 200, 200]),
        ("GET /connect/view/{*path}", "", [302, 403, 401, 200, 200, 200, 200, 200]),
        // Nothing is there.
        ("* /{*path}", "", [404; 8]),
    ]
}

struct Fixture {
    app: TestApp,
    callers: [Caller; 9],
    machine: String,
    owner: String,
    collaborator: String,
    viewer: String,
    made: usize,
}

impl Fixture {
    async fn new() -> Self {
        let issuer = Issuer::start().await;
        let app = TestApp::with(issuer.config()).await;
        let machine_s = app.publisher().create("of-the-machine").await;
        let machine = bind(&app, &machine_s, &issuer).await;
        let machine_caller = identity::machine(&app, &issuer.token(&json!({}))).await;
        let (locked, locked_caller) = app.user("locked", "publisher").await;
        let (_, revoked) = app.user("revoked", "publisher").await;
        let (collaborator, collaborating) = app.user("collaborator", "publisher").await;
        let address = json!({"email": "collaborator@example.com"});
        app.admin().put(&format!("/v1/users/{collaborator}"), &address).await.ok();
        let (_, stranger) = app.user("stranger", "publisher").await;
        app.admin().post(&format!("/v1/users/{locked}/lock"), &json!({"locked": true})).await;
        let revoking = app.sign_in("revoked", "a-password").await;
        let guid = revoking.get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
        let key = revoking.get(&format!("/v1/users/{guid}/keys")).await.ok()[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(revoking.delete(&format!("/v1/users/{guid}/keys/{key}")).await.status, 204);
        let guid =
            |caller: Caller| async move { caller.get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned() };
        let owner = guid(app.publisher()).await;
        let viewer = guid(app.viewer()).await;
        let callers = [
            app.anonymous(),
            locked_caller,
            revoked,
            app.viewer(),
            stranger,
            collaborating,
            app.publisher(),
            app.admin(),
            machine_caller,
        ];
        Self { app, callers, owner, collaborator, viewer, machine, made: 0 }
    }

    /// Fills a path and a body with new objects, so that no request meets the traces of another.
    async fn fill(&mut self, path: &str, body: &str) -> (String, String) {
        self.made += 1;
        let unique = format!("unique-{}", self.made);
        let publisher = self.app.publisher();
        let (mut guid, mut id, mut tag) = (String::new(), "0".to_owned(), String::new());
        let mut client = String::new();
        if path.contains("/users/") {
            guid.clone_from(&self.owner);
        } else if path.contains("/groups/") {
            let group = publisher.post("/v1/groups", &json!({"name": format!("group-{unique}")})).await.ok();
            guid = group["guid"].as_str().unwrap().to_owned();
        } else if path.contains("/oauth/clients/") {
            let body = json!({"client_name": unique, "redirect_uris": ["http://127.0.0.1/callback"]});
            let made = publisher.post("/oauth/v1/register", &body).await.ok();
            made["client_id"].as_str().unwrap().clone_into(&mut client);
        } else if path.contains("/oauth/sessions/") {
            guid.clone_from(&unique);
        } else if path.contains("oauth") && path.contains("/integrations/{guid}") {
            let body = json!({"name": unique, "template": "github", "config": {"client_id": "c"}});
            let made = self.app.admin().post("/v1/oauth/integrations", &body).await.ok();
            guid = made["guid"].as_str().unwrap().to_owned();
        } else if path.contains("/webhooks/") {
            let body = json!({"name": unique, "url": "http://127.0.0.1:9/", "active": false});
            let made = self.app.admin().post("/v1/webhooks", &body).await.ok();
            guid = made["guid"].as_str().unwrap().to_owned();
        } else if path.contains("/messages/") {
            let made = self.app.admin().post("/v1/system/messages", &json!({"content": "Told to all"})).await.ok();
            guid = made["guid"].as_str().unwrap().to_owned();
        } else if path.contains("/environments/") {
            let body = json!({"name": format!("image-{unique}"), "cluster_name": "Kubernetes"});
            let made = self.app.admin().post("/v1/environments", &body).await.ok();
            guid = made["guid"].as_str().unwrap().to_owned();
        } else if path.contains("{guid}")
            || path.contains("/applications/")
            || path.contains("/tasks/{id}")
            || path.contains("view/apps")
            || path.contains("/variants/")
            || path.contains("/schedules")
        {
            guid = publisher.create(&unique).await;
            let mut tx = self.app.world.db().write().await.unwrap();
            let binding = TrustedPublisher {
                content_guid: guid.clone(),
                user_guid: self.machine.clone(),
                name: String::new(),
                issuer: String::new(),
                audience: String::new(),
                claims: std::collections::BTreeMap::new(),
                created: 0,
            };
            store::trusted_publishers::insert(&mut tx, &binding).await.unwrap();
            tx.commit().await.unwrap();
            let is_document =
                ["/render", "/variants/", "/schedules", "/schedule/"].iter().any(|part| path.contains(part));
            let bundle = if is_document { document_bundle() } else { static_bundle("x") };
            let bundle = publisher.upload(&guid, bundle).await.ok()["id"].clone();
            let task = publisher.deploy(&guid, &json!({})).await["id"].clone();
            let grant = json!({"principal_guid": self.collaborator, "principal_type": "user", "role": "owner"});
            let permission =
                publisher.post(&format!("/v1/content/{guid}/permissions"), &grant).await.ok()["id"].clone();
            let number = publisher.get(&format!("/v1/content/{guid}")).await.ok()["id"].clone();
            let (mut variant, mut schedule) = (Value::Null, Value::Null);
            if is_document {
                let variants = publisher.get(&format!("/applications/{guid}/variants")).await.ok();
                let body = json!({"variant_id": variants[0]["id"], "type": "weekday"});
                schedule = json!(publisher.post("/schedules", &body).await.ok()["id"].to_string());
                variant = json!(variants[0]["id"].to_string());
            }
            let chosen = match path {
                _ if path.contains("/schedules/{id}") => schedule,
                _ if path.contains("/variants/") || path.contains("/schedules") => variant,
                _ if path.contains("/bundles/") => bundle,
                _ if path.contains("/permissions/") => permission,
                _ if path.contains("/applications/") => number,
                _ => task,
            };
            id = chosen.as_str().unwrap().to_owned();
        }
        if path.contains("/tags") {
            let category = self.app.admin().post("/v1/tags", &json!({"name": format!("c-{unique}")})).await.ok();
            let leaf = json!({"name": "leaf", "parent_id": category["id"]});
            tag = self.app.admin().post("/v1/tags", &leaf).await.ok()["id"].as_str().unwrap().to_owned();
            if path.contains("/tags/{id}") {
                id.clone_from(&tag);
            }
        }
        let below = if path.starts_with("/content/") { "index.html".to_owned() } else { format!("{guid}/info") };
        let below = match path {
            "/{*path}" => "vanity/none/".to_owned(),
            "/connect/view/{*path}" => "content/listing".to_owned(),
            _ => below,
        };
        let mut texts = [path.to_owned(), body.to_owned()];
        for text in &mut texts {
            for (name, value) in [
                ("{guid}", guid.as_str()),
                ("{id}", &id),
                ("{client_id}", &client),
                ("{tag_id}", &tag),
                ("{tag}", &tag),
                ("{unique}", &unique),
                ("{*path}", &below),
                ("{owner}", &self.owner),
                ("{viewer}", &self.viewer),
                ("{collaborator}", &self.collaborator),
                ("{user_guid}", &self.viewer),
                ("{app_mode}", "shiny"),
                ("{service_principal_guid}", "none"),
                ("{key}", "none"),
                ("{token}", "none"),
                ("{name}", "dashboard.css"),
            ] {
                *text = text.replace(name, value);
            }
        }
        let [path, body] = texts;
        (path, body)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_has_its_callers() {
    let world = World::open(&WorldConfig::default(), connect_sim::store::MIGRATIONS).await.unwrap();
    let simulator = (product(Config::default()).build)(world).await.unwrap();
    let known: BTreeSet<String> = simulator.routes.iter().map(|r| format!("{} {}", r.method, r.path)).collect();
    let listed: BTreeSet<String> = rows().iter().map(|row| row.0.to_owned()).collect();
    assert_eq!(known.difference(&listed).collect::<Vec<_>>(), Vec::<&String>::new(), "routes without a row");
    assert_eq!(listed.difference(&known).collect::<Vec<_>>(), Vec::<&String>::new(), "rows without a route");

    let group = |n: usize| rows().into_iter().skip(n).step_by(GROUPS).collect::<Vec<Row>>();
    let groups: Vec<_> = (0..GROUPS).map(|n| tokio::spawn(mistakes(group(n)))).collect();
    let mut wrong = Vec::new();
    for group in groups {
        wrong.extend(group.await.unwrap());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Servers that are asked at the same time, each for a part of the rows.
const GROUPS: usize = 2;

/// The rows that are not as a server answers.
async fn mistakes(rows: Vec<Row>) -> Vec<String> {
    let mut fixture = Fixture::new().await;
    let mut wrong = Vec::new();
    for (route, body, expected) in rows {
        let (method, pattern) = route.split_once(' ').unwrap();
        let mut statuses = [0; 9];
        for (number, status) in statuses.iter_mut().enumerate() {
            let (path, body) = fixture.fill(pattern, body).await;
            let method = if method == "*" { "GET" } else { method };
            let answer = fixture.callers[number].raw(method, &path, &[], body.into()).await;
            *status = answer.status.as_u16();
            if answer.status.is_server_error() || (answer.status == 404 && answer.body.is_empty()) {
                wrong.push(format!("{route}: caller {number}: {}", answer.text()));
            }
            // Nothing of the item may show in a refusal.
            if matches!(*status, 401 | 403) {
                assert!(!answer.text().contains("unique-"), "{route}: {}", answer.text());
            }
        }
        if statuses[..8] != expected || statuses[8] != for_machine(route, expected) {
            let machine = for_machine(route, expected);
            wrong.push(format!("{route}: {statuses:?}, not {expected:?} and {machine}"));
        }
        // Locks and such are undone by time for nobody; but activity is noted at most once a minute.
        fixture.app.world.clock().advance(Duration::from_secs(1)).await;
    }
    assert_eq!(fixture.callers[1].get("/v1/user").await.code(), (403, 50));
    let _: Value = fixture.callers[7].get("/v1/user").await.ok();
    wrong
}
