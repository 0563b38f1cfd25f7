//! The audit log: every change, with who made it. For administrators.
//!
//! The names of the product's actions are known in part; these are ours where they are not.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::cursor::{Cursor, Window};
use crate::error::{Code, Error, Result};
use crate::input::{Page, Query};
use crate::store;
use crate::store::audit::Entry;
use crate::store::users::User;
use crate::users::time;

/// Method, route, action, and what it means.
const ACTIONS: &[(&str, &str, &str, &str)] = &[
    ("POST", "/__api__/v1/users", "add_user", "Added a user"),
    ("PUT", "/__api__/v1/users", "add_user", "Added a user"),
    ("PUT", "/__api__/v1/groups", "add_group", "Added a group"),
    ("PUT", "/__api__/v1/users/{guid}", "edit_user", "Changed a user"),
    ("POST", "/__api__/v1/users/{guid}/lock", "lock_user", "Locked or unlocked a user"),
    ("POST", "/__api__/v1/users/{guid}/keys", "add_api_key", "Added an API key"),
    ("DELETE", "/__api__/v1/users/{guid}/keys/{id}", "remove_api_key", "Removed an API key"),
    ("POST", "/__api__/v1/groups", "add_group", "Added a group"),
    ("PATCH", "/__api__/v1/groups/{guid}", "edit_group", "Changed a group"),
    ("POST", "/__api__/v1/groups/{guid}", "edit_group", "Changed a group"),
    ("DELETE", "/__api__/v1/groups/{guid}", "remove_group", "Removed a group"),
    ("POST", "/__api__/v1/groups/{guid}/members", "add_group_member", "Added a member to a group"),
    ("DELETE", "/__api__/v1/groups/{guid}/members/{user_guid}", "remove_group_member", "Removed a member of a group"),
    ("POST", "/__api__/v1/content", "add_application", "Added content"),
    ("PATCH", "/__api__/v1/content/{guid}", "edit_application", "Changed the settings of content"),
    ("DELETE", "/__api__/v1/content/{guid}", "remove_application", "Removed content"),
    ("PATCH", "/__api__/v1/content/{guid}/environment", "edit_environment_variables", "Changed variables of content"),
    ("PUT", "/__api__/v1/content/{guid}/environment", "edit_environment_variables", "Changed variables of content"),
    ("POST", "/__api__/v1/content/{guid}/permissions", "add_permission", "Granted access to content"),
    ("PUT", "/__api__/v1/content/{guid}/permissions/{id}", "edit_permission", "Changed access to content"),
    ("DELETE", "/__api__/v1/content/{guid}/permissions/{id}", "remove_permission", "Removed access to content"),
    ("PUT", "/__api__/v1/content/{guid}/vanity", "add_vanity", "Set the vanity URL of content"),
    ("DELETE", "/__api__/v1/content/{guid}/vanity", "remove_vanity", "Removed the vanity URL of content"),
    ("POST", "/__api__/v1/tags", "add_tag", "Added a tag"),
    ("PATCH", "/__api__/v1/tags/{id}", "edit_tag", "Changed a tag"),
    ("DELETE", "/__api__/v1/tags/{id}", "remove_tag", "Removed a tag"),
    ("POST", "/__api__/v1/content/{guid}/bundles", "add_bundle", "Uploaded a bundle"),
    ("DELETE", "/__api__/v1/content/{guid}/bundles/{id}", "remove_bundle", "Removed a bundle"),
    ("PUT", "/__api__/v1/content/{guid}/repository", "set_repository", "Set the git repository of content"),
    ("PATCH", "/__api__/v1/content/{guid}/repository", "edit_repository", "Changed the git repository of content"),
    ("DELETE", "/__api__/v1/content/{guid}/repository", "remove_repository", "Removed the git repository of content"),
    (
        "POST",
        "/__api__/v1/content/{guid}/trusted-publishers",
        "add_trusted_publisher",
        "Let a machine publish to content",
    ),
    (
        "DELETE",
        "/__api__/v1/content/{guid}/trusted-publishers/{service_principal_guid}",
        "remove_trusted_publisher",
        "Let a machine no longer publish to content",
    ),
    ("POST", "/__api__/v1/content/{guid}/deploy", "deploy_application", "Deployed content"),
    ("DELETE", "/__api__/v1/system/caches/runtime", "remove_runtime_cache", "Removed a runtime cache"),
    ("POST", "/__api__/v1/system/service-tokens", "add_service_token", "Added a service token"),
    ("DELETE", "/__api__/v1/system/service-tokens/{guid}", "remove_service_token", "Removed a service token"),
    ("POST", "/__api__/v1/system/documentation", "edit_documentation", "Changed the custom documentation"),
    ("DELETE", "/__api__/v1/system/documentation", "remove_documentation", "Removed the custom documentation"),
    ("DELETE", "/__api__/v1/queue/{id}", "remove_queue_item", "Took a task out of the queue"),
    ("DELETE", "/__api__/v1/content/{guid}/jobs/{key}", "kill_job", "Ordered the end of a job"),
    ("POST", "/__api__/v1/oauth/integrations", "add_integration", "Added an OAuth integration"),
    ("PATCH", "/__api__/v1/oauth/integrations/{guid}", "edit_integration", "Changed an OAuth integration"),
    ("DELETE", "/__api__/v1/oauth/integrations/{guid}", "remove_integration", "Removed an OAuth integration"),
    ("DELETE", "/__api__/v1/oauth/clients/{client_id}", "remove_oauth_client", "Removed an OAuth client"),
    ("POST", "/__api__/v1/webhooks", "add_webhook", "Added a webhook"),
    ("PATCH", "/__api__/v1/webhooks/{guid}", "edit_webhook", "Changed a webhook"),
    ("DELETE", "/__api__/v1/webhooks/{guid}", "remove_webhook", "Removed a webhook"),
    ("POST", "/__api__/v1/system/messages", "add_message", "Added a message to all"),
    ("PATCH", "/__api__/v1/system/messages/{guid}", "edit_message", "Changed a message to all"),
    ("DELETE", "/__api__/v1/system/messages/{guid}", "remove_message", "Removed a message to all"),
    ("POST", "/__api__/v1/environments", "add_environment", "Added an execution environment"),
    ("PUT", "/__api__/v1/environments/{guid}", "edit_environment", "Changed an execution environment"),
    ("DELETE", "/__api__/v1/environments/{guid}", "remove_environment", "Removed an execution environment"),
];

/// What happens to the security of the server outside of the API: action, and what it means.
const EVENTS: &[(&str, &str)] = &[
    ("add_user", "Added a user at its first sign-in"),
    ("authorize_oauth_client", "Let an application act in its name"),
    ("claim_token", "Claimed a token"),
    ("exchange_identity_token", "Exchanged an identity token for an API key"),
    ("revoke_oauth_grant", "Ended what an application was allowed"),
    ("set_password", "Set its first password"),
    ("user_login", "Signed in"),
    ("user_login_failed", "Was refused at sign-in"),
    ("user_logout", "Signed out"),
];

/// Notes something of [`EVENTS`]. Without a user when nobody in particular did it.
pub fn event(app: &App, user: Option<&User>, action: &'static str, detail: &str) {
    let text = EVENTS.iter().find(|known| known.0 == action).map_or(action, |known| known.1);
    app.recorder().entry(Entry {
        id: 0,
        time: app.now(),
        user_id: user.map_or(0, |user| user.id),
        user_guid: user.map(|user| user.guid.clone()),
        user_description: user.map(described).unwrap_or_default(),
        action: action.to_owned(),
        // What was typed in as a name may be long.
        event_description: if detail.is_empty() { text.to_owned() } else { format!("{text}: {detail:.200}") },
    });
}

fn described(user: &User) -> String {
    format!("{} {} ({})", user.first_name, user.last_name, user.username).trim().to_owned()
}

/// Notes a change that was made by a request for `route`.
pub fn record(app: &App, user: &User, method: &http::Method, route: &str, path: &str) {
    let action = ACTIONS.iter().find(|action| action.0 == method.as_str() && action.1 == route);
    let Some((.., action, text)) = action else { return };
    app.recorder().entry(Entry {
        id: 0,
        time: app.now(),
        user_id: user.id,
        user_guid: Some(user.guid.clone()),
        user_description: described(user),
        action: (*action).to_owned(),
        event_description: format!("{text}: {path}"),
    });
}

fn shown(entry: &Entry) -> Value {
    json!({
        "id": entry.id.to_string(), "time": time(entry.time), "user_id": entry.user_id.to_string(),
        "user_guid": entry.user_guid, "user_description": entry.user_description, "action": entry.action,
        "event_description": entry.event_description,
    })
}

/// `GET /v1/audit_logs`
///
/// # Errors
/// 400 for a bad parameter, 403 unless an administrator asks.
pub async fn list(State(app): State<App>, origin: Origin, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let cursor = Cursor::of(&query, "ascOrder")?;
    app.recorder().flush(&app).await?;
    let entries = store::audit::list(&mut *app.read().await?, None, cursor.window()).await?;
    let rows = entries.iter().map(|entry| (entry.id, shown(entry))).collect();
    Ok(cursor.answer(&app.origin(origin), "/__api__/v1/audit_logs", &query, rows))
}

/// The names of what is noted and what they mean, in order.
#[must_use]
pub fn actions_known() -> Vec<(&'static str, &'static str)> {
    let mut actions: Vec<_> = ACTIONS.iter().map(|action| (action.2, action.3)).chain(EVENTS.iter().copied()).collect();
    actions.sort_unstable();
    actions.dedup();
    actions
}

/// `GET /v1/audit/actions`
///
/// # Errors
/// 403 unless an administrator asks.
pub async fn actions(principal: Principal) -> Result<Json<Vec<Value>>> {
    principal.require(Role::Administrator)?;
    let shown = |(action, text)| json!({"action": action, "description": text});
    Ok(Json(actions_known().into_iter().map(shown).collect()))
}

/// `GET /v1/search/auditlogs`: newest first unless `order` is `asc`.
///
/// # Errors
/// As [`list`].
pub async fn search(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Administrator)?;
    let page = Page::of(&query, 500)?;
    let descending = match query.text("order").unwrap_or("desc") {
        "asc" => false,
        "desc" => true,
        _ => return Err(Error::bad(Code::InvalidParameter, "`order` must be asc or desc.")),
    };
    app.recorder().flush(&app).await?;
    let text = query.text("q").map(str::to_lowercase);
    let window = Window { above: -1, below: i64::MAX, descending, limit: i64::MAX };
    let found = store::audit::list(&mut *app.read().await?, text.as_deref(), window).await?;
    let (skip, take) = (usize::try_from(page.offset()).unwrap_or(usize::MAX), usize::try_from(page.size).unwrap_or(0));
    let results: Vec<Value> = found.iter().skip(skip).take(take).map(shown).collect();
    Ok(Json(json!({"total": found.len(), "results": results})))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_action_has_its_route() {
        let world = sim_kit::World::open(&sim_kit::WorldConfig::default(), store::MIGRATIONS).await.unwrap();
        let routes = (crate::product(crate::Config::default()).build)(world).await.unwrap().routes;
        for (method, route, ..) in ACTIONS {
            assert!(routes.iter().any(|known| known.method == *method && known.path == *route), "{method} {route}");
        }
    }
}
