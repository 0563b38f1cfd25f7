//! `/__api__/blocklist/rules`: rules that keep packages from clients.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MOST_DESCRIPTION, check_length};
use crate::app::{App, View};
use crate::auth::Caller;
use crate::blocklist::{Rule, Suspect, When};
use crate::error::{ApiError, Error};
use crate::store::transactions::Transaction;
use crate::store::{FOREVER, rules, take_numbers};

/// A rule in the words of `rspm create blocklist-rule`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Draft {
    priority: i64,
    package_name: Option<String>,
    version: Option<String>,
    source: Option<String>,
    repo: Option<String>,
    license: Option<String>,
    exception: bool,
    description: String,
    vulns: bool,
    /// A word or a number.
    min_severity: Option<Value>,
    block_unscored: bool,
}

impl Draft {
    fn rule(self, view: &View) -> Result<Rule, Error> {
        if self.vulns && view.sources.iter().all(|source| source.kind != "vulns") {
            return Err(Error::BadRequest(
                "the package service has told no vulnerabilities to go by; block packages or versions".to_owned(),
            ));
        }
        for (field, text, most) in [
            ("package_name", self.package_name.as_deref(), 256),
            ("version", self.version.as_deref(), 256),
            ("license", self.license.as_deref(), 256),
            ("description", Some(self.description.as_str()), MOST_DESCRIPTION),
        ] {
            check_length(field, text, most)?;
        }
        let min_severity = match self.min_severity {
            None | Some(Value::Null) => None,
            Some(Value::String(word)) => Some(word),
            Some(other) => Some(other.to_string()),
        };
        let rule = Rule {
            priority: self.priority,
            package_name: self.package_name,
            version: self.version,
            source_id: self.source.map(|name| view.source_named(&name).map(|source| source.id)).transpose()?,
            repo_id: self.repo.map(|name| view.repo(&name).map(|repo| repo.id)).transpose()?,
            license: self.license,
            vulns: self.vulns,
            min_severity,
            block_unscored: self.block_unscored,
            exception: self.exception,
            description: self.description,
        };
        rule.check()?;
        Ok(rule)
    }
}

pub(crate) fn rule_json(view: &View, id: i64, rule: &Rule) -> Value {
    let source = rule.source_id.and_then(|id| view.source(id));
    let repo = rule.repo_id.and_then(|id| view.repos.values().find(|repo| repo.id == id));
    json!({
        "id": id,
        "priority": rule.priority,
        "package_name": rule.package_name,
        "version": rule.version,
        "source_id": rule.source_id,
        "source_name": source.map(|source| &source.name),
        "source_type": source.map(|source| &source.kind),
        "repo_id": rule.repo_id,
        "repo": repo.map(|repo| &repo.name),
        "license": rule.license,
        "vulns": rule.vulns,
        "min_severity": rule.min_severity,
        "block_unscored": rule.block_unscored,
        "exception": rule.exception,
        "description": rule.description,
    })
}

/// `GET /__api__/blocklist/rules`
pub async fn list(State(app): State<App>) -> Json<Vec<Value>> {
    let view = app.view();
    let now = view.rules.iter().filter(|(row, _)| row.until_tx == FOREVER);
    Json(now.map(|(row, rule)| rule_json(&view, row.id, rule)).collect())
}

const EXAMPLE: &str = r#"{"package_name": "sf", "version": "<1.0", "description": "broken"}"#;

/// `POST /__api__/blocklist/rules`
pub async fn create(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ApiError> {
    caller.may("blocklist:admin")?;
    let view = app.view();
    let rule = super::body::<Draft>(&body, EXAMPLE)?.rule(&view)?;
    let mut change = app.begin().await?;
    let id = take_numbers(&mut change.tx, "rules", 1).await?;
    rules::start(&mut change.tx, id, change.id, change.at + 1, &serde_json::to_string(&rule)?).await?;
    app.conclude(change, changed("Create blocklist rule", id)).await?;
    Ok((StatusCode::CREATED, Json(rule_json(&view, id, &rule))).into_response())
}

/// `PUT /__api__/blocklist/rules/{id}`: a rule is now another one.
pub async fn edit(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    caller.may("blocklist:admin")?;
    let view = app.view();
    let rule = super::body::<Draft>(&body, EXAMPLE)?.rule(&view)?;
    let number = number(&id)?;
    let mut change = app.begin().await?;
    if !rules::end(&mut change.tx, number, change.id, change.at + 1).await? {
        return Err(missing(&id).into());
    }
    rules::start(&mut change.tx, number, change.id, change.at + 1, &serde_json::to_string(&rule)?).await?;
    app.conclude(change, changed("Edit blocklist rule", number)).await?;
    Ok(Json(rule_json(&view, number, &rule)))
}

/// `DELETE /__api__/blocklist/rules/{id}`
pub async fn delete(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    caller.may("blocklist:admin")?;
    let number = number(&id)?;
    let mut change = app.begin().await?;
    if !rules::end(&mut change.tx, number, change.id, change.at + 1).await? {
        return Err(missing(&id).into());
    }
    app.conclude(change, changed("Delete blocklist rule", number)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A package to be tried.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    repo: String,
    package_name: String,
    version: String,
}

/// `GET /__api__/blocklist/test?repo=&package_name=&version=`: whether a package would be blocked, and by which rule. Licenses and
/// sources are not looked at.
pub async fn test(State(app): State<App>, caller: Caller, Query(trial): Query<Trial>) -> Result<Json<Value>, ApiError> {
    let view = app.view();
    let repo = view.repo(&trial.repo)?;
    caller.may_read(&repo)?;
    let python = repo.kind == "Python";
    let normal = pkg_formats::python::name::normalize(&trial.package_name);
    let name = if python { &normal } else { &trial.package_name };
    let suspect = Suspect { python, source: 0, name, version: &trial.version, license: None };
    let by = view.rules_for(repo.id, When::Now).and_then(|rules| rules.blocking(suspect));
    Ok(Json(json!({ "blocked": by.is_some(), "rule": by })))
}

fn number(id: &str) -> Result<i64, Error> {
    id.parse().map_err(|_| missing(id))
}

fn missing(id: &str) -> Error {
    Error::NotFound(format!("there is no blocklist rule {id:?}"))
}

fn changed(action: &str, id: i64) -> Transaction {
    Transaction { action: action.to_owned(), tag: format!("Blocklist rule {id}"), ..Transaction::default() }
}
