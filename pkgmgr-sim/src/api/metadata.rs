//! `/__api__/metadata/records`: custom metadata. The paths are the real server's; what goes over them is our own, in the words of
//! `rspm create metadata`.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{MOST_DESCRIPTION, check_length};
use crate::app::{App, View};
use crate::auth::Caller;
use crate::change::Change;
use crate::error::{ApiError, Error};
use crate::store::metadata::{self, Record};
use crate::store::take_numbers;
use crate::store::transactions::Transaction;

/// A record in the words of `rspm create metadata`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Draft {
    package_name: Option<String>,
    version: Option<String>,
    source: Option<String>,
    repo: Option<String>,
    key: String,
    value: String,
    /// Where there is one like it, give that the value.
    update_existing: bool,
    /// Where there is one like it, leave that as it is.
    succeed_on_existing: bool,
}

/// What became of a draft.
enum Done {
    Created,
    Updated,
    Kept,
}

const EXAMPLE: &str = r#"{"package_name": "sf", "version": "1.0", "key": "risk", "value": "low"}"#;

impl Draft {
    /// As it would be stored, without a number.
    fn record(&self, view: &View) -> Result<Record, Error> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        for (field, text, most) in [
            ("package_name", self.package_name.as_deref(), 256),
            ("version", self.version.as_deref(), 256),
            ("key", Some(self.key.as_str()), 256),
            ("value", Some(self.value.as_str()), MOST_DESCRIPTION),
        ] {
            check_length(field, text, most)?;
        }
        if self.key.is_empty() || self.value.is_empty() {
            return Err(Error::BadRequest(format!(
                "a record of metadata has a `key` and a `value`, such as {EXAMPLE}"
            )));
        }
        Ok(Record {
            id: 0,
            package_name: given(&self.package_name),
            version: given(&self.version),
            source_id: given(&self.source).map(|name| view.source_named(&name).map(|source| source.id)).transpose()?,
            repo_id: given(&self.repo).map(|name| view.repo(&name).map(|repo| repo.id)).transpose()?,
            key: self.key.clone(),
            value: self.value.clone(),
        })
    }

    /// Writes the record, and gives it its number.
    async fn write(&self, change: &mut Change, record: &mut Record) -> Result<Done, Error> {
        if let Some(id) = metadata::same(&mut change.tx, record).await? {
            record.id = id;
            if self.update_existing {
                metadata::set(&mut change.tx, id, &record.value).await?;
                return Ok(Done::Updated);
            }
            if self.succeed_on_existing {
                return Ok(Done::Kept);
            }
            let text = format!(
                "record {id} has the key {:?} and fits the same packages; `update_existing` gives it the value",
                record.key
            );
            return Err(Error::Conflict(text));
        }
        record.id = take_numbers(&mut change.tx, "metadata", 1).await?;
        metadata::insert(&mut change.tx, record).await?;
        Ok(Done::Created)
    }
}

fn record_json(view: &View, record: &Record) -> Value {
    let source = record.source_id.and_then(|id| view.source(id));
    let repo = record.repo_id.and_then(|id| view.repos.values().find(|repo| repo.id == id));
    json!({
        "id": record.id,
        "package_name": record.package_name,
        "version": record.version,
        "source_id": record.source_id,
        "source": source.map(|source| &source.name),
        "repo_id": record.repo_id,
        "repo": repo.map(|repo| &repo.name),
        "key": record.key,
        "value": record.value,
    })
}

fn shown(view: &View, id: i64) -> Value {
    view.metadata.iter().find(|record| record.id == id).map_or(Value::Null, |record| record_json(view, record))
}

/// `GET /__api__/metadata/records`
pub async fn list(State(app): State<App>) -> Json<Vec<Value>> {
    let view = app.view();
    Json(view.metadata.iter().map(|record| record_json(&view, record)).collect())
}

/// `POST /__api__/metadata/records`
pub async fn create(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ApiError> {
    caller.may("metadata:admin")?;
    let draft: Draft = super::body(&body, EXAMPLE)?;
    let mut record = draft.record(&app.view())?;
    let mut change = app.begin().await?;
    let (action, status) = match draft.write(&mut change, &mut record).await? {
        Done::Created => ("Create metadata", StatusCode::CREATED),
        Done::Updated => ("Update metadata", StatusCode::OK),
        Done::Kept => {
            drop(change);
            return Ok(Json(shown(&app.view(), record.id)).into_response());
        }
    };
    app.conclude(change, told(action, &record.id.to_string())).await?;
    Ok((status, Json(record_json(&app.view(), &record))).into_response())
}

/// Several records at once.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Many {
    /// Of [`Draft`]s, read one by one so that one that is wrong can be told.
    records: Vec<Map<String, Value>>,
    /// None at all when one is wrong.
    #[serde(default)]
    fail_all: bool,
}

/// Records that can be made at once.
const MOST_AT_ONCE: usize = 1000;

/// `POST /__api__/metadata/records/bulk`: in one transaction. Records that are wrong are left out and told, or keep all from being made.
pub async fn create_many(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ApiError> {
    caller.may("metadata:admin")?;
    let view = app.view();
    let example = format!(r#"{{"records": [{EXAMPLE}], "fail_all": true}}"#);
    let many: Many = super::body(&body, &example)?;
    if many.records.is_empty() || many.records.len() > MOST_AT_ONCE {
        return Err(Error::BadRequest(format!("`records` has from 1 to {MOST_AT_ONCE} records")).into());
    }
    let mut change = app.begin().await?;
    let (mut written, mut failed) = (Vec::new(), Vec::new());
    for (nth, draft) in many.records.into_iter().enumerate() {
        let draft = serde_json::from_value::<Draft>(Value::Object(draft));
        let draft = draft.map_err(|error| Error::BadRequest(error.to_string()));
        let done = match draft.and_then(|draft| draft.record(&view).map(|record| (draft, record))) {
            Ok((draft, mut record)) => draft.write(&mut change, &mut record).await.map(|_| record.id),
            Err(error) => Err(error),
        };
        match done {
            Ok(id) => written.push(id),
            Err(error @ (Error::BadRequest(_) | Error::NotFound(_) | Error::Conflict(_))) => {
                failed.push(json!({ "record": nth + 1, "error": error.to_string() }));
            }
            // Of the database: nothing can be done any more.
            Err(error) => return Err(error.into()),
        }
    }
    if many.fail_all
        && let Some(first) = failed.first()
    {
        let (nth, why) = (&first["record"], first["error"].as_str().unwrap_or_default());
        let text = format!(
            "`records`: none was created: {} of them are wrong, the first is number {nth}: {why}",
            failed.len()
        );
        return Err(Error::BadRequest(text).into());
    }
    if !written.is_empty() {
        app.conclude(change, told("Create metadata", &format!("of {} records", written.len()))).await?;
    }
    let view = app.view();
    let created: Vec<Value> = written.iter().map(|id| shown(&view, *id)).collect();
    Ok((StatusCode::CREATED, Json(json!({ "created": created, "failed": failed }))).into_response())
}

/// `DELETE /__api__/metadata/records/{id}`: a number, numbers with commas, or `all`. Either all of them go or none.
pub async fn delete(State(app): State<App>, caller: Caller, Path(ids): Path<String>) -> Result<StatusCode, ApiError> {
    caller.may("metadata:admin")?;
    let mut change = app.begin().await?;
    if ids == "all" {
        metadata::clear(&mut change.tx).await?;
    } else {
        for id in ids.split(',') {
            let missing = || Error::NotFound(format!("there is no record {id:?} of metadata"));
            let number = id.trim().parse().map_err(|_| missing())?;
            if !metadata::delete(&mut change.tx, number).await? {
                return Err(missing().into());
            }
        }
    }
    app.conclude(change, told("Delete metadata", &ids)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn told(action: &str, which: &str) -> Transaction {
    Transaction { action: action.to_owned(), tag: format!("Metadata {which}"), ..Transaction::default() }
}
