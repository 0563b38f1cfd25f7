//! `/__api__/tokens`: tokens for people and programs.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use super::time;
use crate::app::{App, View};
use crate::auth::{Caller, Grants, Known, SCOPES, Which};
use crate::change::Change;
use crate::error::{ApiError, Error};
use crate::store::tokens::{self, Token};
use crate::store::transactions::Transaction;

/// What a token shall be; the words are those of `rspm create token`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Draft {
    scope: Vec<String>,
    #[serde(default)]
    repos: Vec<String>,
    #[serde(default)]
    sources: Vec<String>,
    /// `20d`, `5h` or `never`.
    #[serde(default)]
    expires: Option<String>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    user: String,
}

const MOST_DESCRIPTION: usize = 500;

fn token_json(view: &View, known: &Known) -> Value {
    let names = |which: &Which, name: &dyn Fn(i64) -> Option<String>| match which {
        Which::All => vec!["*".to_owned()],
        Which::Only(ids) => ids.iter().filter_map(|id| name(*id)).collect(),
    };
    let repo = |id: i64| view.repos.values().find(|repo| repo.id == id).map(|repo| repo.name.clone());
    let source = |id: i64| view.source(id).map(|source| source.name.clone());
    json!({
        "id": known.token.id,
        "user": known.token.username,
        "description": known.token.description,
        "scopes": known.grants.scopes,
        "repos": names(&known.grants.repos, &repo),
        "sources": names(&known.grants.sources, &source),
        "created": time(known.token.created_at),
        "expires": known.token.expires_at.map(time),
    })
}

/// `GET /__api__/tokens`, oldest first.
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Vec<Value>>, ApiError> {
    caller.may_administrate()?;
    let view = app.view();
    let mut all: Vec<&Known> = view.tokens.values().collect();
    all.sort_by_key(|known| (known.token.created_at, known.token.id.clone()));
    Ok(Json(all.into_iter().map(|known| token_json(&view, known)).collect()))
}

/// `POST /__api__/tokens`: the answer is the only one that shows the token.
pub async fn create(State(app): State<App>, caller: Caller, origin: Origin, body: Bytes) -> Result<Response, ApiError> {
    caller.may_administrate()?;
    let draft: Draft = super::body(&body, r#"{"scope": ["repos:read"], "repos": ["prod"], "expires": "20d"}"#)?;
    let view = app.view();
    let grants = grants(&view, &draft)?;
    if draft.description.chars().count() > MOST_DESCRIPTION || draft.user.chars().count() > MOST_DESCRIPTION {
        let text = format!("description and user have at most {MOST_DESCRIPTION} characters");
        return Err(Error::BadRequest(text).into());
    }
    let expires_at = end(app.world().clock().now(), draft.expires.as_deref().unwrap_or("never"))?;
    let new = New { grants, username: draft.user, description: draft.description, expires_at };
    let answer = issue(&app, app.begin().await?, origin, new).await?;
    Ok((StatusCode::CREATED, Json(answer)).into_response())
}

/// A token to be made.
pub(crate) struct New {
    pub(crate) grants: Grants,
    pub(crate) username: String,
    pub(crate) description: String,
    /// Microseconds since 1970; none: never.
    pub(crate) expires_at: Option<i64>,
}

/// Makes a token, and gives what is shown of it once.
pub(crate) async fn issue(app: &App, mut change: Change, origin: Origin, new: New) -> Result<Value, Error> {
    let token = Token {
        id: app.world().ids().uuid("package-manager-token").to_string(),
        username: new.username,
        description: new.description,
        scopes: serde_json::to_string(&new.grants)?,
        created_at: app.world().clock().now_micros(),
        expires_at: new.expires_at,
    };
    let text = app.signed(&token, app.origin(origin).base())?;
    tokens::insert(&mut change.tx, &token).await?;
    app.conclude(change, changed("Create token", &token.id)).await?;
    let mut answer = token_json(&app.view(), &Known { token, grants: new.grants });
    answer["token"] = text.into();
    Ok(answer)
}

/// When a token ends that is made at `now`, in microseconds since 1970; none: never.
pub(super) fn end(now: DateTime<Utc>, expires: &str) -> Result<Option<i64>, Error> {
    let Some(lifetime) = lifetime(expires)? else { return Ok(None) };
    Ok(Some(now.checked_add_signed(lifetime).ok_or_else(far)?.timestamp_micros()))
}

/// `DELETE /__api__/tokens/{id}`: it is of no use from now on.
pub async fn revoke(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    caller.may_administrate()?;
    let mut change = app.begin().await?;
    if !tokens::revoke(&mut change.tx, &id, change.at).await? {
        return Err(Error::NotFound(format!("there is no token {id:?}")).into());
    }
    app.conclude(change, changed("Revoke token", &id)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn changed(action: &str, id: &str) -> Transaction {
    Transaction { action: action.to_owned(), tag: format!("Token {id}"), ..Transaction::default() }
}

fn grants(view: &View, draft: &Draft) -> Result<Grants, Error> {
    if draft.scope.is_empty() {
        return Err(Error::BadRequest("a token needs a scope".to_owned()));
    }
    for scope in &draft.scope {
        if !SCOPES.contains(&scope.as_str()) {
            let all = SCOPES.join(", ");
            return Err(Error::BadRequest(format!("there is no scope {scope:?}; the scopes are {all}")));
        }
    }
    let which = |names: &[String], find: &dyn Fn(&str) -> Result<i64, Error>| -> Result<Which, Error> {
        if names.iter().any(|name| name == "*") {
            return Ok(Which::All);
        }
        Ok(Which::Only(names.iter().map(|name| find(name)).collect::<Result<_, _>>()?))
    };
    let repos = which(&draft.repos, &|name| Ok(view.repo(name)?.id))?;
    let sources = which(&draft.sources, &|name| Ok(view.source_named(name)?.id))?;
    let has = |prefix: &str| draft.scope.iter().any(|scope| scope.starts_with(prefix));
    for (prefix, which, names) in [("repos:", &repos, "repos"), ("sources:", &sources, "sources")] {
        let is_empty = *which == Which::Only(Vec::new());
        if has(prefix) && is_empty {
            return Err(Error::BadRequest(format!("say which {names} the token is for; * is all")));
        }
        if !has(prefix) && !is_empty {
            return Err(Error::BadRequest(format!("{names} are of no use without a scope {prefix}…")));
        }
    }
    Ok(Grants { scopes: draft.scope.clone(), repos, sources })
}

fn far() -> Error {
    Error::BadRequest("expires is too far away; use never".to_owned())
}

fn lifetime(text: &str) -> Result<Option<TimeDelta>, Error> {
    if text == "never" {
        return Ok(None);
    }
    let read = || {
        let unit = text.chars().last().filter(|unit| "dhms".contains(*unit))?;
        let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count > 0)?;
        Some((unit, count))
    };
    let (unit, count) =
        read().ok_or_else(|| Error::BadRequest(format!("expires is such as 20d, 5h or never, not {text:?}")))?;
    let lifetime = match unit {
        'd' => TimeDelta::try_days(count),
        'h' => TimeDelta::try_hours(count),
        'm' => TimeDelta::try_minutes(count),
        _ => TimeDelta::try_seconds(count),
    };
    Ok(Some(lifetime.filter(|lifetime| *lifetime < TimeDelta::days(36_500)).ok_or_else(far)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        assert_eq!(lifetime("20d").unwrap(), Some(TimeDelta::days(20)));
        assert_eq!(lifetime("5h").unwrap(), Some(TimeDelta::hours(5)));
        assert_eq!(lifetime("never").unwrap(), None);
        for bad in ["", "d", "5", "-5d", "0d", "5y", "99999999999999999999d", "9999999d", "9223372036854775807h", "5é"]
        {
            assert!(lifetime(bad).is_err(), "{bad}");
        }
    }
}
