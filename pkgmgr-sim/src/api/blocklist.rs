//! `/__api__/blocklist/rules`: rules that keep packages from clients.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

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
    /// The same, as `rspm list blocklist-rules` writes it.
    source_name: Option<String>,
    source_id: Option<i64>,
    /// Sources of this type.
    source_type: Option<String>,
    repo: Option<String>,
    repo_id: Option<i64>,
    license: Option<String>,
    /// Types of licenses.
    license_types: Vec<String>,
    deleted_packages: bool,
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
        let source = self.source.or(self.source_name).or(self.source_id.map(|id| id.to_string()));
        let repo = self.repo.or(self.repo_id.map(|id| id.to_string()));
        let of_type = source.is_none();
        if let Some(kind) =
            self.source_type.as_ref().filter(|kind| view.sources.iter().all(|source| source.kind != **kind))
        {
            let known: std::collections::BTreeSet<&str> =
                view.sources_in_order().map(|source| source.kind.as_str()).collect();
            let known = Vec::from_iter(known).join(", ");
            return Err(Error::BadRequest(format!("source_type {kind:?}: no source is of it; there are {known}")));
        }
        let rule = Rule {
            priority: self.priority,
            package_name: self.package_name,
            version: self.version,
            source_id: source.map(|name| view.source_named(&name).map(|source| source.id)).transpose()?,
            repo_id: repo.map(|name| view.repo(&name).map(|repo| repo.id)).transpose()?,
            // A named source is of its type.
            source_type: self.source_type.filter(|_| of_type),
            license: self.license,
            license_types: self.license_types,
            deleted_packages: self.deleted_packages,
            vulns: self.vulns,
            min_severity,
            block_unscored: self.block_unscored,
            exception: self.exception,
            description: self.description,
            ..Rule::default()
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
        "source_type": source.map(|source| &source.kind).or(rule.source_type.as_ref()),
        "repo_id": rule.repo_id,
        "repo": repo.map(|repo| &repo.name),
        "license": rule.license,
        "license_types": rule.license_types,
        "deleted_packages": rule.deleted_packages,
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

/// Several rules at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    /// Of [`Draft`]s, read one by one so that one that is wrong can be told.
    rules: Vec<Map<String, Value>>,
    /// None at all when one is wrong.
    #[serde(default)]
    fail_all: bool,
}

/// Rules that can be made at once.
const MOST_AT_ONCE: usize = 1000;

/// `POST /__api__/blocklist/rules/bulk`: in one transaction. Rules that are wrong are left out and told, or keep all from being made.
pub async fn create_many(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ApiError> {
    caller.may("blocklist:admin")?;
    let view = app.view();
    let many: Many = super::body(&body, r#"{"rules": [{"package_name": "sf"}], "fail_all": true}"#)?;
    if many.rules.is_empty() || many.rules.len() > MOST_AT_ONCE {
        return Err(Error::BadRequest(format!("`rules` has from 1 to {MOST_AT_ONCE} rules")).into());
    }
    let (mut good, mut failed) = (Vec::new(), Vec::new());
    for (nth, draft) in many.rules.into_iter().enumerate() {
        let draft = serde_json::from_value::<Draft>(Value::Object(draft));
        match draft.map_err(|error| Error::BadRequest(error.to_string())).and_then(|draft| draft.rule(&view)) {
            Ok(rule) => good.push(rule),
            Err(error) => failed.push(json!({ "rule": nth + 1, "error": error.to_string() })),
        }
    }
    if many.fail_all
        && let Some(first) = failed.first()
    {
        let (nth, why) = (&first["rule"], first["error"].as_str().unwrap_or_default());
        let text =
            format!("`rules`: none was created: {} of them are wrong, the first is number {nth}: {why}", failed.len());
        return Err(Error::BadRequest(text).into());
    }
    let mut created = Vec::new();
    if !good.is_empty() {
        let mut change = app.begin().await?;
        let count = i64::try_from(good.len()).unwrap_or(i64::MAX);
        let first = take_numbers(&mut change.tx, "rules", count).await?;
        for (id, rule) in (first..).zip(&good) {
            rules::start(&mut change.tx, id, change.id, change.at + 1, &serde_json::to_string(rule)?).await?;
            created.push(rule_json(&view, id, rule));
        }
        app.conclude(change, changed("Create blocklist rules", first)).await?;
    }
    Ok((StatusCode::CREATED, Json(json!({ "created": created, "failed": failed }))).into_response())
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
    /// Of a Bioconductor repo: which release.
    bioc_version: Option<String>,
}

/// `GET /__api__/blocklist/test?repo=&package_name=&version=`: whether a package would be blocked, and by which rule. Its license
/// and source are looked at if the repo has that version.
pub async fn test(State(app): State<App>, caller: Caller, Query(trial): Query<Trial>) -> Result<Json<Value>, ApiError> {
    let view = app.view();
    let repo = view.repo(&trial.repo)?;
    caller.may_read(&repo)?;
    let python = repo.kind == "Python";
    let normal = pkg_formats::python::name::normalize(&trial.package_name);
    let name = if python { &normal } else { &trial.package_name };
    let shown = app.shown(&repo, None, trial.bioc_version.as_deref()).await;
    let found = match shown {
        Ok(snapshot) => super::packages::package(&app, &repo, &snapshot, name, Some(&trial.version)).await?,
        // A repo that has nothing yet.
        Err(Error::NotFound(_)) if trial.bioc_version.is_none() => None,
        Err(error) => return Err(error.into()),
    };
    let source = found.as_ref().and_then(|found| found["source_id"].as_i64()).unwrap_or_default();
    let license = found.as_ref().and_then(|found| found["license"].as_str());
    let suspect = Suspect { python, source, name, version: &trial.version, license, deleted: false };
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
