//! Users, groups, and a user's own keys.

use axum::response::Response;
use serde_json::{Value, json};

use super::dashboard::Visit;
use crate::error::Result;

/// People on a page.
const PAGE: usize = 25;

fn query(pairs: &[(&str, Option<&str>)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs.iter().filter_map(|(name, value)| value.map(|value| (name, value))));
    query.finish()
}

/// `people/users`
///
/// # Errors
/// 400 for a bad filter.
pub async fn users(visit: &Visit) -> Result<Response> {
    let asked = &visit.query;
    let (prefix, role, status) = (asked.text("q"), asked.text("role"), asked.text("status"));
    let page = asked.text("page").unwrap_or("1");
    let size = PAGE.to_string();
    let path = query(&[
        ("prefix", prefix),
        ("user_role", role),
        ("account_status", status),
        ("page_number", Some(page)),
        ("page_size", Some(&size)),
    ]);
    let users = visit.api.get(&format!("/v1/users?{path}")).await?;
    visit.page(
        "users.html",
        json!({
            "users": users["results"], "total": users["total"], "page_size": PAGE, "prefix": prefix, "role": role,
            "status": status, "number": page.parse::<usize>().unwrap_or(1), "tab": "users",
            "pages": query(&[("q", prefix), ("role", role), ("status", status)]),
        }),
    )
}

/// `people/users/{guid}`: a profile, and what of the user's content one may see.
///
/// # Errors
/// 404 when there is none.
pub async fn user(visit: &Visit, guid: &str) -> Result<Response> {
    let who = visit.api.get(&format!("/v1/users/{guid}")).await?;
    let content = visit.api.get(&format!("/v1/content?owner_guid={guid}")).await?;
    visit.page(
        "user.html",
        json!({
            "who": who, "content": content, "own": guid == visit.principal.user.guid, "tab": "users",
        }),
    )
}

/// `people/groups`
///
/// # Errors
/// When the server fails.
pub async fn groups(visit: &Visit) -> Result<Response> {
    let prefix = visit.query.text("q");
    let page = visit.query.text("page").unwrap_or("1");
    let size = PAGE.to_string();
    let path = query(&[("prefix", prefix), ("page_number", Some(page)), ("page_size", Some(&size))]);
    let groups = visit.api.get(&format!("/v1/groups?{path}")).await?;
    visit.page(
        "groups.html",
        json!({
            "groups": groups["results"], "total": groups["total"], "page_size": PAGE, "prefix": prefix,
            "tab": "groups", "number": page.parse::<usize>().unwrap_or(1), "pages": query(&[("q", prefix)]),
        }),
    )
}

/// `people/groups/{guid}`: its members, and the content it may open.
///
/// # Errors
/// 404 when there is none.
pub async fn group(visit: &Visit, guid: &str) -> Result<Response> {
    let api = &visit.api;
    let group = api.get(&format!("/v1/groups/{guid}")).await?;
    let members = api.get(&format!("/v1/groups/{guid}/members?page_size=500")).await?["results"].clone();
    let content = api.maybe(&format!("/v1/experimental/groups/{guid}/content")).await?;
    let own = group["owner_guid"] == visit.principal.user.guid.as_str();
    let editor = visit.principal.is_administrator() || own;
    let mut free = Vec::new();
    if editor {
        let is_member =
            |user: &Value| members.as_array().is_some_and(|all| all.iter().any(|one| one["guid"] == user["guid"]));
        let users = api.get("/v1/users?page_size=500").await?;
        free.extend(users["results"].as_array().into_iter().flatten().filter(|user| !is_member(user)).cloned());
    }
    visit.page(
        "group.html",
        json!({
            "group": group, "members": members, "content": content, "editor": editor, "free": free, "tab": "groups",
        }),
    )
}

/// `user/api_keys`: one's own keys.
///
/// # Errors
/// When the server fails.
pub async fn keys(visit: &Visit) -> Result<Response> {
    let keys = visit.api.get(&format!("/v1/users/{}/keys", visit.principal.user.guid)).await?;
    let roles = ["administrator", "publisher", "viewer"];
    let allowed = roles.iter().position(|role| *role == visit.principal.role.as_str()).unwrap_or_default();
    visit.page("keys.html", json!({"keys": keys, "roles": &roles[allowed..]}))
}
