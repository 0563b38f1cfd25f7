//! `/__api__/sources` and `/__api__/sync`.

use std::collections::BTreeSet;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Chosen, Paging, time};
use crate::app::{App, View};
use crate::auth::Caller;
use crate::curated::Settings;
use crate::error::{ApiError, Error};
use crate::record::instant;
use crate::store::builders;
use crate::store::repos;
use crate::store::sources::{self, Source};
use crate::store::transactions::{self, Transaction};

pub(super) fn source_json(source: &Source) -> Value {
    json!({ "id": source.id, "name": source.name, "type": source.kind, "created": time(source.created_at) })
}

/// `GET /__api__/sources`
pub async fn list(State(app): State<App>, Query(chosen): Query<Chosen>) -> Result<Response, ApiError> {
    Ok(chosen.answer(app.view().sources_in_order().map(source_json).collect())?)
}

/// `GET /__api__/sources/{source}`: of one that shows or takes its packages from a date of another one also that date.
pub async fn show(State(app): State<App>, Path(source): Path<String>) -> Result<Json<Value>, ApiError> {
    let view = app.view();
    let source = view.source_named(&source)?;
    let mut shown = source_json(source);
    if let Some((_, at)) = sources::pin(app.world().db(), source.id, i64::MAX).await? {
        shown["snapshot"] = instant(at.as_of).date_naive().to_string().into();
    }
    Ok(Json(shown))
}

/// The source types that can be created.
pub(crate) const KINDS: [&str; 7] =
    ["local", "local-python", "git", "git-python", "cran-snapshot", "curated-cran", "curated-pypi"];

/// Whether a source of this type shows or takes its packages from a date of another one.
fn has_snapshot(kind: &str) -> bool {
    !kind.starts_with("local") && !kind.starts_with("git")
}

/// What there is to say of a source.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Draft {
    name: Option<String>,
    #[serde(rename = "type")]
    kind: Option<String>,
    /// The date that the source shows or takes its packages from.
    snapshot: Option<String>,
    /// Which dependencies come along, of a curated source.
    include: Option<Vec<String>>,
    /// A curated source without archived versions.
    no_archived: bool,
    /// The release of a source of type `bioconductor`.
    version: Option<String>,
}

fn changed(source: i64, action: &str, tag: String) -> Transaction {
    Transaction { source_id: Some(source), action: action.to_owned(), tag, ..Transaction::default() }
}

/// `POST /__api__/sources`
pub async fn create(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ApiError> {
    caller.may_create_sources()?;
    let draft: Draft = super::body(&body, r#"{"name": "team", "type": "local"}"#)?;
    let name = draft.name.ok_or_else(|| Error::BadRequest("a source needs a name".to_owned()))?;
    super::check_name(&name)?;
    let kind = draft.kind.as_deref().unwrap_or("local");
    if kind == "bioconductor" {
        return Err(bioconductor(&app, draft.version.as_deref()).await.into());
    }
    if draft.version.is_some() {
        return Err(Error::BadRequest(format!("a source of type {kind} has no version; bioconductor has")).into());
    }
    if !KINDS.contains(&kind) {
        let kinds = KINDS.join(", ");
        return Err(
            Error::BadRequest(format!("sources of type {kind:?} cannot be created; the types are {kinds}")).into()
        );
    }
    if !has_snapshot(kind) && draft.snapshot.is_some() {
        return Err(Error::BadRequest(format!("a source of type {kind} has no snapshot")).into());
    }
    let pin = match has_snapshot(kind) {
        true => Some(app.pinned(kind, draft.snapshot.as_deref()).await?),
        false => None,
    };
    let settings = Settings::new(kind, draft.include, draft.no_archived)?;
    let mut change = app.begin().await?;
    let id = sources::create(&mut change.tx, &name, kind, None, change.at).await?;
    if kind == "curated-cran" {
        settings.write(&mut change.tx, id).await?;
    }
    let mut done = changed(id, "Create", format!("Source {name}"));
    if let Some((base, at)) = pin {
        sources::set_pin(&mut change.tx, id, change.id, base, at).await?;
        done.as_of = change.as_of();
    }
    app.conclude(change, done).await?;
    Ok((StatusCode::CREATED, Json(source_json(app.view().source_named(&name)?))).into_response())
}

/// Why a release of Bioconductor cannot be made into a source: each is one by itself, when the package service has it.
async fn bioconductor(app: &App, version: Option<&str>) -> Error {
    if let Err(error) = app.discover(&app.service()).await {
        return Error::Refused(error.to_string());
    }
    let view = app.view();
    let known: Vec<&Source> = view.sources_in_order().filter(|source| source.is_bioconductor()).collect();
    let all = known.iter().filter_map(|source| source.release()).collect::<Vec<_>>().join(", ");
    match (version, known.iter().find(|source| source.release() == version)) {
        (None, _) => Error::BadRequest(format!("say which version of Bioconductor; there are {all}")),
        (Some(_), Some(source)) => Error::Conflict(format!(
            "source {} is there already: a release of Bioconductor is a source as soon as the package service has it",
            source.name
        )),
        (Some(version), None) => {
            Error::BadRequest(format!("the package service has no version {version:?} of Bioconductor; it has {all}"))
        }
    }
}

/// `PATCH /__api__/sources/{source}`
pub async fn edit(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<String>,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let source = app.view().source_named(&source)?.clone();
    caller.may_edit(&source)?;
    let draft: Draft = super::body(&body, r#"{"name": "team"}"#)?;
    let (Some(name), None, None) = (draft.name, draft.kind, draft.snapshot) else {
        return Err(
            Error::BadRequest("of a source only the name can be changed, not `type` or `snapshot`".to_owned()).into()
        );
    };
    if source.feed.is_some() {
        return Err(Error::BadRequest(format!("source {} is built in and keeps its name", source.name)).into());
    }
    super::check_name(&name)?;
    let mut change = app.begin().await?;
    sources::rename(&mut change.tx, source.id, &name).await?;
    app.conclude(change, changed(source.id, "Edit", format!("Source {} is now {name}", source.name))).await?;
    Ok(Json(source_json(app.view().source_named(&name)?)))
}

/// `DELETE /__api__/sources/{source}`: when no repo is made of it. Snapshots of the past still show it.
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path(source): Path<String>,
) -> Result<StatusCode, ApiError> {
    let source = app.view().source_named(&source)?.clone();
    caller.may_edit(&source)?;
    if source.feed.is_some() {
        return Err(Error::BadRequest(format!("source {} is built in and cannot be deleted", source.name)).into());
    }
    let mut change = app.begin().await?;
    // Looked at while nobody else can subscribe.
    let repos = repos::list_in(&mut change.tx).await?;
    if let Some(repo) = repos.iter().find(|r| r.subscriptions.last().is_some_and(|s| s.sources.contains(&source.id))) {
        return Err(Error::Conflict(format!("repository {} subscribes to it; unsubscribe it first", repo.name)).into());
    }
    for builder in builders::list(app.world().db(), Some(source.id)).await? {
        builders::delete(&mut change.tx, builder.id, change.at).await?;
    }
    sources::delete(&mut change.tx, source.id).await?;
    app.conclude(change, changed(source.id, "Delete", format!("Source {}", source.name))).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The real server's number for the kind of a transaction. Only that of a sync is known, and only of a sync the `action`; that all
/// others have the number 0 here, and the words of their actions, is inferred from the names of the commands that make them.
const SYNC: i64 = 3;

/// A synchronisation of CRAN counts as the real server's does: a new version of a known package is one that is added, and its
/// predecessor one that is archived.
fn transaction_json(t: &Transaction, of_cran: bool) -> Value {
    let (added, updated, archived) = match of_cran && t.action == "Sync" {
        true => (t.packages_added + t.packages_updated, None, t.packages_archived + t.packages_updated),
        false => (t.packages_added, Some(t.packages_updated), t.packages_archived),
    };
    json!({
        "id": t.id,
        "created": time(t.created_at),
        "completed": time(t.completed_at),
        "type": if t.action == "Sync" { SYNC } else { 0 },
        "tag": t.tag,
        "source_id": t.source_id,
        "guid": "",
        "packages_added": added,
        "packages_updated": updated,
        "packages_archived": archived,
        "packages_removed": t.packages_removed,
        "action": t.action,
        "published_from": t.published_from.map(time),
        "published_to": t.published_to.map(time),
        "result": t.result,
        "error": t.error,
    })
}

/// `GET /__api__/sources/{source}/transactions`, newest first; failures too.
pub async fn transactions(
    State(app): State<App>,
    Path(source): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Vec<Value>>, ApiError> {
    let (skip, limit) = paging.window()?;
    // Numbers grow with time.
    paging.sort(&["id", "created"])?;
    let ascending = !paging.is_descending(true)?;
    let view = app.view();
    let source = view.source_named(&source)?;
    let (skip, limit) = (i64::try_from(skip).unwrap_or(i64::MAX), i64::try_from(limit).unwrap_or(i64::MAX));
    let list = transactions::list(app.world().db(), source.id, ascending, limit, skip).await?;
    Ok(Json(list.iter().map(|one| transaction_json(one, source.kind == "cran")).collect()))
}

/// What to synchronise.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    /// A source; all when left out.
    source: Option<String>,
    /// In place of a source: those of this type, in any case.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Of Bioconductor only this release.
    version: Option<String>,
    /// Answer at once and go on in the background.
    no_wait: bool,
}

impl Wanted {
    /// Sources of a type; of any when none is given.
    pub(super) fn of(kind: Option<String>, version: Option<String>) -> Self {
        Self { kind, version, ..Self::default() }
    }

    pub(super) fn sources(&self, view: &View) -> Result<Vec<Source>, Error> {
        if let Some(name) = &self.source {
            let source = match view.fed().find(|source| source.name == *name) {
                Some(source) => source,
                None => view.source_named(name)?,
            };
            if source.feed.is_none() {
                return Err(Error::BadRequest(format!("source {:?} follows no feed", source.name)));
            }
            return Ok(vec![source.clone()]);
        }
        let (kind, version) = (self.kind.as_deref(), self.version.as_deref());
        let all: Vec<Source> = view
            .fed()
            .filter(|source| kind.is_none_or(|kind| source.kind.eq_ignore_ascii_case(kind)))
            .filter(|source| version.is_none_or(|version| source.release() == Some(version)))
            .cloned()
            .collect();
        if all.is_empty() {
            let kinds: BTreeSet<&str> = view.fed().map(|source| source.kind.as_str()).collect();
            let kinds = kinds.into_iter().collect::<Vec<_>>().join(", ");
            let releases = view.fed().filter_map(Source::release).collect::<Vec<_>>().join(", ");
            return Err(Error::BadRequest(format!(
                "no source of type {} and version {} follows a feed; types are {kinds}, versions of bioconductor {releases}",
                kind.unwrap_or("any"),
                version.unwrap_or("any"),
            )));
        }
        Ok(all)
    }
}

/// `POST /__api__/sync`: synchronise now, as `rspm sync` asks for. The shape is ours; the real one is not known.
pub async fn sync(State(app): State<App>, caller: Caller, body: Bytes) -> Result<Response, ApiError> {
    caller.may_administrate()?;
    let wanted: Wanted = match body.is_empty() {
        true => Wanted::default(),
        false => super::body(&body, r#"{"source": "cran"}"#)?,
    };
    if let Err(error) = app.discover(&app.service()).await {
        tracing::warn!(%error, "whether the package service has new feeds is not known");
    }
    let view = app.view();
    let sources = wanted.sources(&view)?;
    let names: Vec<String> = sources.iter().map(|s| s.name.clone()).collect();
    // In the background either way: a client that goes away does not stop it in the middle.
    let (done, result) = tokio::sync::oneshot::channel();
    let background = app.clone();
    app.world().spawn(async move {
        let mut results = Vec::new();
        for source in sources {
            let outcome = background.sync(&source).await;
            results.push(
                outcome.map(|o| json!({ "source": source.name, "checkpoints": o.checkpoints, "checkpoint": o.seq })),
            );
        }
        let _ = done.send(results.into_iter().collect::<Result<Vec<Value>, _>>());
    });
    if wanted.no_wait {
        return Ok((StatusCode::ACCEPTED, Json(json!({ "syncing": names }))).into_response());
    }
    match result.await {
        Ok(Ok(results)) => Ok(Json(json!({ "synced": results })).into_response()),
        Ok(Err(error)) => Err(Error::Refused(error.to_string()).into()),
        Err(_) => Err(Error::Refused("the server is stopping".to_owned()).into()),
    }
}
