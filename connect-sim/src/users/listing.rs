//! Lists of users.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};
use serde_json::Value;

use super::{sees_nobody_else, shown};
use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Page, Query};
use crate::store;
use crate::store::users::{Filter, Sort, Statuses, User};

/// For how long who was active counts as a user of the licence, in days (`user-activity-days`).
pub const ACTIVITY_DAYS: i64 = 365;
/// The same in microseconds.
const ACTIVITY: i64 = ACTIVITY_DAYS * 24 * 3600 * 1_000_000;

fn roles(text: Option<&str>) -> Result<Vec<Role>> {
    let parse = |role: &str| {
        let bad = |()| Error::bad(Code::InvalidParameter, format!("`user_role`: `{role}` is not a role."));
        role.parse().map_err(bad)
    };
    text.map_or(Ok(Vec::new()), |text| text.split('|').map(parse).collect())
}

/// By relevance where names are searched and nothing else is asked for.
fn sort(query: &Query) -> Result<Sort> {
    Ok(match query.text("sort") {
        None if query.text("prefix").is_some_and(|prefix| !prefix.is_empty()) => Sort::Relevance,
        None | Some("first_name") => Sort::FirstName,
        Some("last_name") => Sort::LastName,
        Some("username") => Sort::Username,
        Some("active_time") => Sort::Active,
        Some("created_time") => Sort::Created,
        Some("user_role") => Sort::Role,
        Some(_) => {
            let text = "`sort` must be first_name, last_name, username, active_time, created_time or user_role.";
            return Err(Error::bad(Code::InvalidParameter, text));
        }
    })
}

/// The columns of a list as CSV: the members of a user.
const COLUMNS: [&str; 12] = [
    "guid",
    "username",
    "email",
    "first_name",
    "last_name",
    "user_role",
    "created_time",
    "updated_time",
    "active_time",
    "confirmed",
    "locked",
    "external_id",
];

/// One value of a line of CSV.
fn csv(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) if text.contains(['"', ',', '\n', '\r']) => format!("\"{}\"", text.replace('"', "\"\"")),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `GET /v1/users`; those that are not locked are licensed or, when they did nothing for a year, inactive. All of them as CSV, without pages, for administrators who accept that.
///
/// # Errors
/// 400 for a filter or an order that is none.
pub async fn list(State(app): State<App>, principal: Principal, headers: HeaderMap, query: Query) -> Result<Response> {
    let page = Page::of(&query, 500)?;
    let statuses: Vec<&str> = query.text("account_status").map_or(Vec::new(), |text| text.split('|').collect());
    if let Some(bad) = statuses.iter().find(|s| !matches!(**s, "locked" | "licensed" | "inactive")) {
        let text = format!("`account_status`: `{bad}` is none of locked, licensed, inactive.");
        return Err(Error::bad(Code::InvalidParameter, text));
    }
    let statuses = (!statuses.is_empty()).then(|| Statuses {
        locked: statuses.contains(&"locked"),
        licensed: statuses.contains(&"licensed"),
        inactive: statuses.contains(&"inactive"),
        since: app.now() - ACTIVITY,
    });
    let filter = Filter {
        prefix: query.text("prefix").map(str::to_owned),
        roles: roles(query.text("user_role"))?,
        statuses,
        group: None,
        sort: sort(&query)?,
        descending: !query.flag("asc_order", true)?,
    };
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let as_csv = accepts.contains("text/csv") && principal.is_administrator();
    let (users, total) = if sees_nobody_else(&app, &principal) {
        (vec![User::clone(&principal.user)], 1)
    } else {
        let (size, offset) = if as_csv { (i64::MAX, 0) } else { (page.size, page.offset()) };
        store::users::list(&mut *app.read().await?, &filter, size, offset).await?
    };
    let users: Vec<Value> = users.iter().map(|user| shown(&app, user, &principal)).collect();
    if !as_csv {
        return Ok(page.answer(&users, total).into_response());
    }
    let mut text = format!("{}\n", COLUMNS.join(","));
    for user in &users {
        text.push_str(&COLUMNS.map(|column| csv(&user[column])).join(","));
        text.push('\n');
    }
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response())
}
