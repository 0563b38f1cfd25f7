//! Mail of documents: who is sent a rendering, at once or with every run of a schedule that mails.
//!
//! | route | who |
//! | --- | --- |
//! | `GET /v1/content/{guid}/subscriptions` | owner and collaborators: all; others: their own |
//! | `POST /v1/content/{guid}/subscriptions` | everybody for oneself, owner and collaborators for others |
//! | `DELETE /v1/content/{guid}/subscriptions/{user_guid}` | the same |
//! | `POST /v1/content/{guid}/email` | everybody to oneself, owner and collaborators to others |
//!
//! The older routes below `/variants/{id}` do the same by the number of a variant. That the product has newer ones for mail
//! and subscriptions is known, their shapes are not. What is mailed says that the document was rendered.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::{Path, State};
use http::StatusCode;
use serde_json::{Value, json};
use sim_kit::Tx;
use sqlx::AnyConnection;

use crate::access::{Role, Seen, editable, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Query};
use crate::mail;
use crate::store;
use crate::store::content::Content;
use crate::store::permissions::Grant;
use crate::store::tasks::Task;
use crate::store::users::Filter;
use crate::store::variants::Variant;
use crate::variants;

/// To whom a document is mailed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Recipients<'a> {
    /// One user.
    pub user: Option<&'a str>,
    /// The owner and the collaborators.
    pub collaborators: bool,
    /// All who may open it by name.
    pub viewers: bool,
    /// Those who subscribed.
    pub subscribers: bool,
}

impl<'a> Recipients<'a> {
    /// Those that a word of the API means.
    #[must_use]
    pub fn named(word: &str, caller: &'a str) -> Option<Self> {
        let none = Self::default();
        match word {
            "me" => Some(Self { user: Some(caller), ..none }),
            "collaborators" => Some(Self { collaborators: true, ..none }),
            "collaborators_viewers" => Some(Self { collaborators: true, viewers: true, ..none }),
            "subscribers" => Some(Self { subscribers: true, ..none }),
            _ => None,
        }
    }

    /// Their addresses. Of a private variant nobody hears but those who may change the item.
    async fn addresses(
        self,
        db: &mut AnyConnection,
        content: &Content,
        variant: Option<&Variant>,
    ) -> Result<BTreeSet<String>> {
        let (mut users, mut addresses) = (Vec::new(), BTreeSet::new());
        users.extend(self.user.map(str::to_owned));
        if self.collaborators {
            users.push(content.owner_guid.clone());
        }
        if let Some(variant) = variant.filter(|_| self.subscribers) {
            users.extend(store::variants::subscribers(db, variant.id).await?);
        }
        let is_private = variant.is_some_and(|variant| variant.is_private);
        for permission in store::permissions::of_content(db, &content.guid).await? {
            match permission.grant {
                Grant::Owner if self.collaborators => {}
                Grant::Viewer if self.viewers && !is_private => {}
                _ => continue,
            }
            if permission.principal_type == "group" {
                let filter = Filter { group: Some(permission.principal_guid), ..Filter::default() };
                let (members, _) = store::users::list(db, &filter, i64::MAX, 0).await?;
                addresses.extend(members.into_iter().map(|user| user.email));
            } else {
                users.push(permission.principal_guid);
            }
        }
        for guid in users {
            let Some(user) = store::users::by_guid(db, &guid).await? else { continue };
            if is_private && guid != content.owner_guid && user.role < Role::Administrator {
                let grant = store::permissions::grant(db, &content.guid, &guid).await?;
                if grant != Some(Grant::Owner) {
                    continue;
                }
            }
            addresses.insert(user.email);
        }
        addresses.remove("");
        Ok(addresses)
    }
}

/// Mails that a variant was rendered: a line for each who got it. Nothing when none has an address.
///
/// # Errors
/// When the database fails.
pub async fn mail_rendering(
    app: &App,
    tx: &mut Tx,
    content: &Content,
    variant: &Variant,
    to: Recipients<'_>,
) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for recipient in to.addresses(tx, content, Some(variant)).await? {
        lines.push(mail::told(app, &recipient));
        let about = content.title.as_ref().unwrap_or(&content.name);
        let body = format!("The document {} was rendered (simulated).", content.name);
        mail::write(app, tx, &recipient, about, &body).await?;
    }
    Ok(lines)
}

/// Mails the owner and the collaborators that a scheduled rendering failed.
///
/// # Errors
/// When the database fails.
pub async fn mail_failure(app: &App, tx: &mut Tx, content: &Content, why: &str) -> Result<()> {
    let to = Recipients { collaborators: true, ..Recipients::default() };
    for recipient in to.addresses(tx, content, None).await? {
        let about = format!("Rendering of {} failed", content.title.as_ref().unwrap_or(&content.name));
        mail::write(app, tx, &recipient, &about, &format!("The scheduled rendering failed: {why}")).await?;
    }
    Ok(())
}

/// Mails the newest rendering of a variant: the finished task.
///
/// # Errors
/// 400 when nobody has an address, 404 when there is no rendering.
pub async fn send(
    app: &App,
    tx: &mut Tx,
    content: &Content,
    variant: &Variant,
    to: Recipients<'_>,
    (user_guid, rendering): (&str, Option<&str>),
) -> Result<(Task, Vec<String>)> {
    let renderings = store::renderings::of_variant(tx, variant.id).await?;
    let known = rendering.is_none_or(|id| renderings.iter().any(|one| one.id.to_string() == id));
    if renderings.is_empty() || !known {
        return Err(Error::missing("rendering"));
    }
    let output = mail_rendering(app, tx, content, variant, to).await?;
    if output.is_empty() {
        return Err(Error::bad(Code::EmailNoRecipients, "None of the recipients has an email address."));
    }
    let task = Task { kind: "mail".to_owned(), ..variants::render_task(app, content, variant, user_guid) };
    store::tasks::insert_finished(tx, &task, &output).await?;
    let lines = i64::try_from(output.len()).unwrap_or(i64::MAX);
    Ok((Task { state: "finished".to_owned(), lines, ..task }, output))
}

/// The variant that is meant: the one of the key, or the default.
async fn meant(db: &mut AnyConnection, principal: &Principal, seen: &Seen, key: Option<&str>) -> Result<Variant> {
    let all = variants::of_item(db, principal, seen).await?;
    let wanted = |one: &Variant| key.map_or(one.is_default, |key| one.key == key);
    all.into_iter().find(wanted).ok_or_else(|| Error::missing("variant"))
}

fn shown(variant: &Variant, user: &str) -> Value {
    json!({"user_guid": user, "variant_key": variant.key, "variant_id": variant.id.to_string()})
}

/// `GET /v1/content/{guid}/subscriptions`: of all variants, or of that of `variant_key`.
///
/// # Errors
/// 403 for an item one may not see, 404 when there is no such item or variant.
pub async fn list(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    query: Query,
) -> Result<Json<Vec<Value>>> {
    let mut db = app.read().await?;
    let seen = visible(&mut db, &principal, &guid).await?;
    let all = editable(&mut db, &principal, &guid).await.is_ok();
    let shown_variants = match query.text("variant_key") {
        Some(key) => vec![meant(&mut db, &principal, &seen, Some(key)).await?],
        None => variants::of_item(&mut db, &principal, &seen).await?,
    };
    let mut found = Vec::new();
    for variant in shown_variants {
        let users = store::variants::subscribers(&mut db, variant.id).await?;
        let users = users.iter().filter(|user| all || **user == principal.user.guid);
        found.extend(users.map(|user| shown(&variant, user)));
    }
    Ok(Json(found))
}

/// The user that a body names, or the caller.
async fn user(db: &mut AnyConnection, principal: &Principal, guid: &str, named: Option<String>) -> Result<String> {
    let Some(user) = named.filter(|user| *user != principal.user.guid) else {
        return Ok(principal.user.guid.clone());
    };
    editable(db, principal, guid).await?;
    if store::users::by_guid(db, &user).await?.is_none() {
        return Err(Error::bad(Code::InvalidUserGuid, "`user_guid` is no user's."));
    }
    Ok(user)
}

/// `POST /v1/content/{guid}/subscriptions`
///
/// # Errors
/// 400 for a bad field, 403 for an item one may not see or another user of an item one may not change, 404 when there is
/// no such item or variant.
pub async fn subscribe(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>)> {
    let (named, key) = (fields.text("user_guid")?.value(), fields.text("variant_key")?.value());
    let mut tx = app.write().await?;
    let seen = visible(&mut tx, &principal, &guid).await?;
    let user = user(&mut tx, &principal, &guid, named).await?;
    let variant = meant(&mut tx, &principal, &seen, key.as_deref()).await?;
    store::variants::subscribe(&mut tx, variant.id, &user).await?;
    tx.commit().await?;
    Ok((StatusCode::CREATED, Json(shown(&variant, &user))))
}

/// `DELETE /v1/content/{guid}/subscriptions/{user_guid}`: to all variants, or to that of `variant_key`.
///
/// # Errors
/// 403 as for [`subscribe`]; 404 when there is none.
pub async fn unsubscribe(
    State(app): State<App>,
    principal: Principal,
    Path((guid, user)): Path<(String, String)>,
    query: Query,
) -> Result<StatusCode> {
    let mut tx = app.write().await?;
    visible(&mut tx, &principal, &guid).await?;
    if user != principal.user.guid {
        editable(&mut tx, &principal, &guid).await?;
    }
    let mut gone = false;
    for variant in store::variants::of_content(&mut tx, &guid).await? {
        if query.text("variant_key").is_none_or(|key| key == variant.key) {
            gone |= store::variants::unsubscribe(&mut tx, variant.id, &user).await?;
        }
    }
    if !gone {
        return Err(Error::missing("subscription"));
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/content/{guid}/email`: to `me`, or to those whom `recipients` names.
///
/// # Errors
/// 400 for a bad field or nobody with an address, 403 as for [`subscribe`], 404 when there is no such item, variant or
/// rendering.
pub async fn email(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<(StatusCode, Json<Value>)> {
    let word = fields.text("recipients")?.value().unwrap_or_else(|| "me".to_owned());
    let key = fields.text("variant_key")?.value();
    let to = Recipients::named(&word, &principal.user.guid).ok_or_else(|| {
        let text = "`recipients` must be me, collaborators, collaborators_viewers or subscribers.";
        Error::bad(Code::InvalidParameter, text)
    })?;
    let mut tx = app.write().await?;
    let seen = visible(&mut tx, &principal, &guid).await?;
    if to.user.is_none() {
        editable(&mut tx, &principal, &guid).await?;
    }
    let variant = meant(&mut tx, &principal, &seen, key.as_deref()).await?;
    let (task, _) = send(&app, &mut tx, &seen.content, &variant, to, (&principal.user.guid, None)).await?;
    tx.commit().await?;
    app.ring_for_mail();
    Ok((StatusCode::ACCEPTED, Json(json!({"task_id": task.id}))))
}
