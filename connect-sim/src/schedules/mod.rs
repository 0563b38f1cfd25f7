//! Schedules: documents that are rendered anew when the World's clock says so.
//!
//! Whoever may change an item schedules its variants. `schedule` is a string that holds JSON; see [`calendar`].
//! Every server watches; a run that is due is taken by the one that moves the schedule on.

pub mod calendar;

use axum::Json;
use axum::extract::{Path, State};
use chrono::DateTime;
use chrono_tz::Tz;
use http::StatusCode;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use crate::access::{Role, editable};
use crate::app::App;
use crate::auth::Principal;
use crate::build::jobs;
use crate::content_type::ContentType;
use crate::error::{Code, Error, Result};
use crate::input::{self, Fields, Given, Query};
use crate::store;
use crate::store::content::Content;
use crate::store::schedules::{Change, Schedule};
use crate::store::tasks::Task;
use crate::store::variants::Variant;
use crate::users::{self, time};
use crate::{variants, watch};
use calendar::Rule;

/// Starts the watch for runs that are due.
pub fn start(app: &App) {
    watch::start(app, App::scheduled, |app| Box::pin(async move { run_due(&app).await }));
}

/// Starts what is due; when the next run is.
async fn run_due(app: &App) -> Result<Option<i64>> {
    let now = app.now();
    let due = store::schedules::due(&mut *app.read().await?, now).await?;
    for schedule in due {
        let Some(at) = schedule.next_run else { continue };
        let mut tx = app.write().await?;
        if !store::schedules::advance(&mut tx, schedule.id, at, next_run(&schedule, now)).await? {
            continue;
        }
        if let Some(variant) = store::variants::get(&mut tx, schedule.variant_id).await?
            && let Some(content) = store::content::by_guid(&mut tx, &variant.content_guid).await?
            && !content.locked
            && content.bundle_id.is_some()
        {
            let detail = json!({ "scheduled": at, "email": schedule.email });
            let task = variants::render_task(app, &content, &variant, &content.owner_guid);
            jobs::submit(app, &mut tx, &Task { detail, ..task }, Some(&content.app_mode)).await?;
        }
        tx.commit().await?;
        app.ring_for_work();
    }
    Ok(store::schedules::next_run(&mut *app.read().await?).await?)
}

fn next_run(schedule: &Schedule, after: i64) -> Option<i64> {
    let rule = Rule::parse(&schedule.kind, &schedule.detail).ok()?;
    let zone: Tz = schedule.timezone.parse().ok()?;
    let of = DateTime::from_timestamp_micros;
    let next = rule.next(of(schedule.starts)?, zone, of(after)?)?.timestamp_micros();
    schedule.ends.is_none_or(|ends| next <= ends).then_some(next)
}

fn shown(schedule: &Schedule, content: &Content) -> Value {
    json!({
        "id": schedule.id,
        "app_id": content.id,
        "app_guid": content.guid,
        "variant_id": schedule.variant_id,
        "activate": schedule.activate,
        "email": schedule.email,
        "type": schedule.kind,
        "schedule": schedule.detail,
        "timezone": schedule.timezone,
        "start_time": time(schedule.starts),
        "next_run": schedule.next_run.map(time),
        "end_time": schedule.ends.map(time),
    })
}

/// A rule in the words of RFC 5545, as newer parts of the API show it.
fn rule_set(schedule: &Schedule) -> Value {
    let zone: Tz = schedule.timezone.parse().unwrap_or(Tz::UTC);
    let start = DateTime::from_timestamp_micros(schedule.starts).unwrap_or_default().with_timezone(&zone);
    let rule = Rule::parse(&schedule.kind, &schedule.detail);
    let rules: Vec<String> = rule.iter().map(|rule| format!("RRULE:{}", rule.rrule(start.date_naive()))).collect();
    let local = start.format("%Y%m%dT%H%M%S");
    let until = schedule.ends.and_then(DateTime::from_timestamp_micros);
    let mut shown = json!({"dtstart": format!("DTSTART;TZID={}:{local}", schedule.timezone), "rrules": rules});
    if let Some(until) = until {
        shown["until"] = json!(format!("UNTIL={}", until.format("%Y%m%dT%H%M%SZ")));
    }
    shown
}

/// A schedule as `include=schedule` shows it in content.
#[must_use]
pub fn in_content(schedule: &Schedule, variant: &Variant) -> Value {
    json!({
        "id": schedule.id.to_string(), "variant_id": schedule.variant_id.to_string(), "type": "rrule",
        "schedule": rule_set(schedule), "timezone": schedule.timezone, "next_run": schedule.next_run.map(time),
        "activate": schedule.activate, "email": schedule.email,
        "variant": {"key": variant.key, "name": variant.name, "is_default": variant.is_default},
    })
}

/// The schedule of a variant, as a list.
///
/// # Errors
/// 404 when there is no such variant that the caller may see.
pub async fn of_variant(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
) -> Result<Json<Vec<Value>>> {
    let mut db = app.read().await?;
    let (variant, seen) = variants::find(&mut db, &principal, &id).await?;
    let schedule = store::schedules::of_variant(&mut db, variant.id).await?;
    Ok(Json(schedule.iter().map(|schedule| shown(schedule, &seen.content)).collect()))
}

async fn find(db: &mut AnyConnection, principal: &Principal, id: &str) -> Result<(Schedule, Variant, Content)> {
    let missing = || Error::missing("schedule");
    let schedule = match id.parse() {
        Ok(id) => store::schedules::get(db, id).await?,
        Err(_) => None,
    };
    let schedule = schedule.ok_or_else(missing)?;
    let found = variants::find(db, principal, &schedule.variant_id.to_string()).await;
    let (variant, seen) = found.map_err(|error| match error {
        Error::Refused { .. } => missing(),
        other => other,
    })?;
    Ok((schedule, variant, seen.content))
}

/// `GET /schedules/{id}`
///
/// # Errors
/// 404 when there is none that the caller may see.
pub async fn get(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<Json<Value>> {
    let (schedule, _, content) = find(&mut *app.read().await?, &principal, &id).await?;
    Ok(Json(shown(&schedule, &content)))
}

/// Sets what a body says: all of it, as what it does not say is reset.
fn apply(fields: &Fields, schedule: &mut Schedule, now: i64) -> Result<()> {
    let bad = |text: String| Error::bad(Code::InvalidSchedule, text);
    let moment = |name: &str| match fields.text(name)? {
        Given::Value(text) if text.is_empty() => Ok(Given::Null),
        Given::Value(text) => match DateTime::parse_from_rfc3339(&text) {
            Ok(at) => Ok(Given::Value(at.timestamp_micros())),
            Err(_) => Err(bad(format!("`{name}` must be a time such as 2026-01-31T09:30:00Z."))),
        },
        Given::Null => Ok(Given::Null),
        Given::Absent => Ok(Given::Absent),
    };
    schedule.activate = fields.flag("activate")?.value().unwrap_or(false);
    schedule.email = fields.flag("email")?.value().unwrap_or(false);
    schedule.kind = fields.required("type")?;
    schedule.detail = match fields.text("schedule")?.value() {
        Some(detail) if detail.len() > 4096 => return Err(bad("`schedule` is too long.".to_owned())),
        Some(detail) => detail,
        None => "{}".to_owned(),
    };
    Rule::parse(&schedule.kind, &schedule.detail).map_err(|error| bad(format!("{error}.")))?;
    if let Some(zone) = fields.text("timezone")?.value().filter(|zone| !zone.is_empty()) {
        zone.parse::<Tz>().map_err(|_| bad("`timezone` is none of /v1/timezones.".to_owned()))?;
        schedule.timezone = zone;
    }
    schedule.starts = moment("start_time")?.value().unwrap_or(schedule.starts);
    schedule.ends = moment("end_time")?.value();
    // Clients send back the run they were told of; where it falls is the server's to say.
    schedule.next_run = next_run(schedule, now);
    Ok(())
}

/// `POST /schedules`
///
/// # Errors
/// 400 for a bad field or content that is not rendered, 403 for an item one may not change, 404 for no such variant,
/// 409 when the variant has one.
pub async fn create(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let variant = fields.id("variant_id")?.value();
    let variant = variant.ok_or_else(|| Error::bad(Code::ParameterMissing, "`variant_id` is missing."))?;
    let now = app.now();
    let mut tx = app.write().await?;
    let (variant, seen) = variants::find(&mut tx, &principal, &variant.to_string()).await?;
    editable(&mut tx, &principal, &seen.content.guid).await?;
    if let Some(id) = fields.id("app_id")?.value()
        && id != seen.content.id
    {
        return Err(Error::bad(Code::InvalidSchedule, "`app_id` is not the content of the variant."));
    }
    if !variants::is_rendered(&seen.content) {
        let text = "Only documents that are rendered can be scheduled.";
        return Err(Error::bad(Code::InvalidAppForVariantSchedule, text));
    }
    let mut schedule = Schedule {
        id: store::next(&mut tx, "schedule").await?,
        variant_id: variant.id,
        activate: false,
        email: false,
        kind: String::new(),
        detail: "{}".to_owned(),
        timezone: "UTC".to_owned(),
        starts: now,
        ends: None,
        next_run: None,
    };
    apply(&fields, &mut schedule, now)?;
    store::schedules::put(&mut tx, &schedule).await.map_err(|error| match store::is_duplicate(&error) {
        true => Error::conflict(Code::DuplicateSchedule, "The variant has a schedule already; change that."),
        false => error.into(),
    })?;
    note(&app, &mut tx, &principal, variant.id, ("created", Some(&schedule))).await?;
    tx.commit().await?;
    app.ring_for_schedules();
    Ok(Json(shown(&schedule, &seen.content)))
}

/// `POST /schedules/{id}`: the whole schedule anew.
///
/// # Errors
/// 400 for a bad field, 403 for an item one may not change, 404 when there is none.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(id): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    let mut tx = app.write().await?;
    let (mut schedule, _, content) = find(&mut tx, &principal, &id).await?;
    editable(&mut tx, &principal, &content.guid).await?;
    fields.required("start_time")?;
    fields.required("timezone")?;
    apply(&fields, &mut schedule, app.now())?;
    store::schedules::put(&mut tx, &schedule).await?;
    note(&app, &mut tx, &principal, schedule.variant_id, ("updated", Some(&schedule))).await?;
    tx.commit().await?;
    app.ring_for_schedules();
    Ok(Json(shown(&schedule, &content)))
}

/// `DELETE /schedules/{id}`
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn delete(State(app): State<App>, principal: Principal, Path(id): Path<String>) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    let (schedule, _, content) = find(&mut tx, &principal, &id).await?;
    editable(&mut tx, &principal, &content.guid).await?;
    store::schedules::delete(&mut tx, schedule.id).await?;
    note(&app, &mut tx, &principal, schedule.variant_id, ("deleted", None)).await?;
    tx.commit().await?;
    app.ring_for_schedules();
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/experimental/schedules`: those of the items that the caller may change, all for administrators.
///
/// # Errors
/// 400 for a bad time, 403 for viewers.
pub async fn all(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let detailed = query.flag("detailed", false)?;
    let (start, end) = (input::moment(&query, "start")?, input::moment(&query, "end")?);
    let mut db = app.read().await?;
    let mut rows = Vec::new();
    for schedule in store::schedules::all(&mut db).await? {
        let outside = |at: i64| start.is_some_and(|start| at < start) || end.is_some_and(|end| at > end);
        if schedule.next_run.is_some_and(outside) {
            continue;
        }
        let Some(variant) = store::variants::get(&mut db, schedule.variant_id).await? else { continue };
        let Ok(seen) = editable(&mut db, &principal, &variant.content_guid).await else { continue };
        let mut row = shown(&schedule, &seen.content);
        row["content_id"] = json!(seen.content.id);
        if detailed {
            row["extra"] = extra(&app, &mut db, &principal, (&seen.content, &variant)).await?;
        }
        rows.push(row);
    }
    Ok(Json(json!({"schedules": rows})))
}

async fn extra(
    app: &App,
    db: &mut AnyConnection,
    principal: &Principal,
    (content, variant): (&Content, &Variant),
) -> Result<Value> {
    let owner = store::users::by_guid(db, &content.owner_guid).await?;
    let runs = store::renderings::of_variant(db, variant.id).await?;
    Ok(json!({
        "description": content.description,
        "content": {
            "id": content.id, "guid": content.guid, "title": content.title,
            "type": ContentType::of(&content.app_mode).unwrap_or(ContentType::Unknown).id(),
            "has_parameters": content.parameterized, "content_category": content.content_category,
            "variant_id": variant.id, "variant_name": variant.name, "default_variant": variant.is_default,
        },
        "owner": owner.map(|user| json!({
            "guid": user.guid, "username": user.username, "first_name": user.first_name,
            "last_name": user.last_name, "email": users::email(app, &user, principal),
        })),
        "runs": runs.iter().map(|run| json!({
            "rendering_id": run.id, "job_key": run.job_key, "time": time(run.rendered), "duration": run.duration,
        })).collect::<Vec<_>>(),
        "run_count": runs.len(),
    }))
}

/// The most changes that are shown of a variant.
const MOST_CHANGES: usize = 100;

/// `GET /v1/content/{guid}/schedule/history`: of each variant, the schedule and how it came to be, newest change first;
/// of one variant when `variant` is its key.
///
/// # Errors
/// 403 for an item one may not change, 404 when there is none.
pub async fn history(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    query: Query,
) -> Result<Json<Value>> {
    let mut db = app.read().await?;
    editable(&mut db, &principal, &guid).await?;
    let mut results = Vec::new();
    for variant in store::variants::of_content(&mut db, &guid).await? {
        if query.text("variant").is_some_and(|wanted| wanted != variant.key) {
            continue;
        }
        let current = store::schedules::of_variant(&mut db, variant.id).await?;
        let changes = store::schedules::changes(&mut db, variant.id).await?;
        let mut history = Vec::new();
        for change in changes.iter().take(MOST_CHANGES) {
            let user = store::users::by_guid(&mut db, &change.user_guid).await?;
            let new = (!change.schedule.is_null()).then(|| json!({"schedule": change.schedule}));
            history.push(json!({
                "change_type": change.kind, "change_time": time(change.changed),
                "user": user.map(|user| users::shown(&app, &user, &principal)), "new_schedule": new,
            }));
        }
        results.push(json!({
            "variant_key": variant.key,
            "current_schedule": current.as_ref().map(|schedule| json!({
                "schedule": rule_set(schedule), "next_run": schedule.next_run.map(time),
            })),
            "history": history, "total_count": changes.len(),
        }));
    }
    Ok(Json(json!({"results": results})))
}

/// Notes who changed a variant's schedule; `None` when it was taken away.
async fn note(
    app: &App,
    tx: &mut AnyConnection,
    principal: &Principal,
    variant: i64,
    (kind, schedule): (&str, Option<&Schedule>),
) -> Result<()> {
    let change = Change {
        kind: kind.to_owned(),
        changed: app.now(),
        user_guid: principal.user.guid.clone(),
        schedule: schedule.map_or(Value::Null, rule_set),
    };
    Ok(store::schedules::note(tx, variant, &change).await?)
}
