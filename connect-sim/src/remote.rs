//! The directory of the identity provider: people and groups that may be added before they sign in.
//!
//! A search answers with a *temp ticket* for each, which adds just that one while it holds. Only the built-in identity
//! provider has a directory; the product has these routes for LDAP and Google.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use sqlx::AnyConnection;

use crate::access::Role;
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Query};
use crate::store;
use crate::store::groups::Group;
use crate::store::idp::Person;
use crate::tickets;
use crate::users::{Draft, shown};

/// How long a ticket holds.
const LIFETIME: Duration = Duration::from_secs(3600);

/// What a ticket is for.
const USER: &str = "temp-ticket-user";
const GROUP: &str = "temp-ticket-group";

async fn ticket(app: &App, db: &mut AnyConnection, kind: &str, name: &str) -> Result<String> {
    tickets::make(app, db, kind, name, LIFETIME).await
}

/// The name on a ticket of `kind`.
async fn redeemed(app: &App, db: &mut AnyConnection, kind: &str, fields: &Fields) -> Result<String> {
    let ticket = fields.required("temp_ticket")?;
    let bad = || Error::bad(Code::InvalidTempTicket, "`temp_ticket` is not valid or has expired; search again.");
    tickets::read(app, db, kind, &ticket).await?.ok_or_else(bad)
}

/// Everybody in the directory.
async fn directory(app: &App, db: &mut AnyConnection) -> Result<Vec<Person>> {
    let own = app.config().identity_provider.as_ref().is_some_and(|provider| provider.issuer.is_none());
    if !own {
        let text = "The users of this server come from no directory that can be searched.";
        return Err(Error::bad(Code::InvalidAuthProvider, text));
    }
    Ok(store::idp::people(db).await?)
}

/// `prefix`, in lower case, and `limit`.
fn search(query: &Query) -> Result<(String, usize)> {
    let limit = query.integer("limit", 20, 1..=500)?;
    Ok((query.text("prefix").unwrap_or_default().to_lowercase(), usize::try_from(limit).unwrap_or(0)))
}

fn answer(results: &[Value]) -> Json<Value> {
    Json(json!({"results": results, "current_page": 1, "total": results.len()}))
}

/// The user that somebody of the directory is here.
async fn known(db: &mut AnyConnection, person: &Person) -> Result<Option<store::users::User>> {
    match store::users::by_external_id(db, &person.sub).await? {
        Some(user) => Ok(Some(user)),
        None => Ok(store::users::by_username(db, &person.username).await?.filter(|user| user.external_id.is_none())),
    }
}

/// `GET /v1/users/remote`: those whose names begin with `prefix`. `guid` is null for who is no user here.
///
/// # Errors
/// 400 for a bad limit or without a directory, 403 for viewers.
pub async fn users(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let (prefix, limit) = search(&query)?;
    let mut db = app.read().await?;
    let mut results = Vec::new();
    for person in directory(&app, &mut db).await? {
        let full = format!("{} {}", person.first_name, person.last_name);
        let names = [&person.username, &person.first_name, &person.last_name, &person.email, &full];
        if results.len() >= limit || !names.iter().any(|name| name.to_lowercase().starts_with(&prefix)) {
            continue;
        }
        let mut one = match known(&mut db, &person).await? {
            Some(user) => shown(&app, &user, &principal),
            None => json!({
                "email": person.email, "username": person.username, "first_name": person.first_name,
                "last_name": person.last_name, "user_role": default_role(&app).as_str(), "created_time": null,
                "updated_time": null, "active_time": null, "confirmed": false, "locked": false, "guid": null,
            }),
        };
        one["temp_ticket"] = json!(ticket(&app, &mut db, USER, &person.username).await?);
        results.push(one);
    }
    Ok(answer(&results))
}

fn default_role(app: &App) -> Role {
    app.config().identity_provider.as_ref().map_or(Role::Viewer, |provider| provider.default_role)
}

/// `PUT /v1/users`: adds the one of a ticket.
///
/// # Errors
/// 400 with code 127 for a bad ticket, 403 for viewers, 409 for who is a user already.
pub async fn add_user(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let mut tx = app.write().await?;
    let people = directory(&app, &mut tx).await?;
    let username = redeemed(&app, &mut tx, USER, &fields).await?;
    let gone = || Error::bad(Code::InvalidTempTicket, "Who `temp_ticket` is for has left the directory.");
    let person = people.into_iter().find(|person| person.username == username).ok_or_else(gone)?;
    if known(&mut tx, &person).await?.is_some() {
        return Err(Error::conflict(Code::DuplicateUserName, "A user of this name exists already."));
    }
    let draft = Draft {
        email: person.email,
        first_name: person.first_name,
        last_name: person.last_name,
        role: default_role(&app),
        external_id: Some(person.sub),
        ..Draft::named(&person.username)
    };
    let user = draft.insert(&app, &mut tx).await?;
    tx.commit().await?;
    Ok(Json(shown(&app, &user, &principal)))
}

/// The names of the groups in the directory.
fn groups_of(people: &[Person]) -> std::collections::BTreeSet<&str> {
    people.iter().flat_map(|person| person.groups.iter().map(String::as_str)).collect()
}

/// `GET /v1/groups/remote`: those whose name begins with `prefix`. `guid` is null for what is no group here.
///
/// # Errors
/// 400 for a bad limit or without a directory, 403 for viewers.
pub async fn groups(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let (prefix, limit) = search(&query)?;
    let mut db = app.read().await?;
    let people = directory(&app, &mut db).await?;
    let mut results = Vec::new();
    for name in groups_of(&people).into_iter().filter(|name| name.to_lowercase().starts_with(&prefix)).take(limit) {
        let guid = store::groups::by_name(&mut db, name).await?.map(|group| group.guid);
        let ticket = ticket(&app, &mut db, GROUP, name).await?;
        results.push(json!({"name": name, "guid": guid, "temp_ticket": ticket}));
    }
    Ok(answer(&results))
}

/// `PUT /v1/groups`: adds the one of a ticket, with those of its members that are users here.
///
/// # Errors
/// 400 with code 127 for a bad ticket, 403 for viewers, 409 for a group that is here already.
pub async fn add_group(State(app): State<App>, principal: Principal, fields: Fields) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let mut tx = app.write().await?;
    let people = directory(&app, &mut tx).await?;
    let name = redeemed(&app, &mut tx, GROUP, &fields).await?;
    if !groups_of(&people).contains(name.as_str()) {
        return Err(Error::bad(Code::InvalidTempTicket, "What `temp_ticket` is for has left the directory."));
    }
    if store::groups::by_name(&mut tx, &name).await?.is_some() {
        return Err(Error::conflict(Code::DuplicateGroupName, "A group of this name exists already."));
    }
    let guid = app.world().ids().uuid("group").to_string();
    let mut group = Group { guid, name, owner_guid: None, gid: None, members: 0 };
    store::groups::put(&mut tx, &group).await?;
    store::sign_in::provided(&mut tx, &group.guid).await?;
    for person in people.iter().filter(|person| person.groups.contains(&group.name)) {
        if let Some(user) = store::users::by_external_id(&mut tx, &person.sub).await? {
            store::groups::add(&mut tx, &group.guid, &user.guid).await?;
            group.members += 1;
        }
    }
    tx.commit().await?;
    Ok(Json(crate::groups::shown(&app, &group)))
}
