//! Users.
//!
//! | route | who |
//! | --- | --- |
//! | `GET /v1/user`, `/me`, `/users/current` | the caller itself |
//! | `GET /v1/users`, `/v1/users/{guid}` | every user |
//! | `POST /v1/users` | administrators; anybody while there is no user at all, who becomes the first administrator |
//! | `PUT /v1/users/{guid}` | the user itself, except its role; administrators |
//! | `POST /v1/users/{guid}/lock` | administrators |

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sim_kit::{Tx, World, seed};

use crate::access::Role;
use crate::app::App;
use crate::auth::{Caller, Principal, password};
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Page, Query};
use crate::mail;
use crate::store;
use crate::store::users::{Filter, Sort, User};

/// RFC 3339 of a time in the database.
#[must_use]
pub fn time(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// A user as v1 shows it. `external_id` is for itself and for administrators.
#[must_use]
pub fn shown(user: &User, asker: &Principal) -> Value {
    fields(user, asker.is_administrator() || asker.user.guid == user.guid)
}

/// A user, with the id at an external provider or without.
fn fields(user: &User, with_external_id: bool) -> Value {
    let mut shown = json!({
        "email": user.email,
        "username": user.username,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "user_role": user.role.as_str(),
        "created_time": time(user.created),
        "updated_time": time(user.updated),
        "active_time": user.active.map(time),
        "confirmed": user.confirmed,
        "locked": user.locked,
        "guid": user.guid,
    });
    if with_external_id {
        shown["external_id"] = json!(user.external_id);
    }
    shown
}

fn privileges(role: Role) -> &'static [&'static str] {
    match role {
        Role::Viewer => &["view_apps"],
        Role::Publisher => &[
            "add_vanities",
            "build_bundles",
            "change_app_permissions",
            "change_apps",
            "change_variant_schedule",
            "create_groups",
            "edit_runtime",
            "manage_repository",
            "publish_apps",
            "remove_apps",
            "remove_vanities",
            "view_app_settings",
            "view_apps",
        ],
        Role::Administrator => &[
            "add_users",
            "add_vanities",
            "build_bundles",
            "change_app_permissions",
            "change_apps",
            "change_groups",
            "change_usernames",
            "change_users",
            "change_variant_schedule",
            "create_groups",
            "edit_run_as",
            "edit_runtime",
            "lock_users",
            "manage_repository",
            "publish_apps",
            "remove_apps",
            "remove_groups",
            "remove_users",
            "remove_vanities",
            "view_app_settings",
            "view_apps",
        ],
    }
}

/// `GET /v1/user`
pub async fn current(principal: Principal) -> Json<Value> {
    let mut shown = shown(&principal.user, &principal);
    shown["user_role"] = json!(principal.role.as_str());
    Json(shown)
}

/// `GET /me`, `GET /users/current`: the older shape, with a numeric id.
pub async fn legacy_current(principal: Principal) -> Json<Value> {
    let Json(mut shown) = current(principal.clone()).await;
    shown["id"] = json!(principal.user.id);
    shown["password"] = json!("");
    shown["preferences"] = json!({});
    shown["privileges"] = json!(privileges(principal.role));
    Json(shown)
}

/// A user in the making.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Name to sign in with.
    pub username: String,
    /// Email address.
    pub email: String,
    /// First name.
    pub first_name: String,
    /// Last name.
    pub last_name: String,
    /// Role.
    pub role: Role,
    /// Password; none: no sign-in by password.
    pub password: Option<String>,
    /// Id at an external provider.
    pub external_id: Option<String>,
    /// A service principal.
    pub service: bool,
}

impl Draft {
    /// A viewer of that name.
    #[must_use]
    pub fn named(username: &str) -> Self {
        Self {
            username: username.to_owned(),
            email: String::new(),
            first_name: String::new(),
            last_name: String::new(),
            role: Role::Viewer,
            password: None,
            external_id: None,
            service: false,
        }
    }

    /// Makes the user.
    ///
    /// # Errors
    /// 409 when the name is taken.
    pub async fn insert(self, app: &App, tx: &mut Tx) -> Result<User> {
        let now = app.now();
        let password_hash = match &self.password {
            Some(password) => Some(password::hash(app.world(), password)?),
            None => None,
        };
        let user = User {
            id: store::next(&mut *tx, "user").await?,
            guid: app.world().ids().uuid("user").to_string(),
            username: self.username,
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            role: self.role,
            password_hash,
            external_id: self.external_id,
            confirmed: true,
            locked: false,
            service: self.service,
            created: now,
            updated: now,
            active: None,
        };
        store::users::insert(&mut *tx, &user).await.map_err(duplicate)?;
        Ok(user)
    }
}

fn duplicate(error: sqlx::Error) -> Error {
    match store::is_duplicate(&error) {
        true => Error::conflict(Code::DuplicateUserName, "A user of this name exists already."),
        false => error.into(),
    }
}

/// Puts the seeded users into a world that has not seen them.
///
/// # Errors
/// When the database fails.
pub async fn seed(app: &App) -> Result<()> {
    let world: &World = app.world();
    let mut tx = app.write().await?;
    if store::meta(&mut tx, "seeded").await?.is_some() {
        return Ok(());
    }
    if app.config().seed_users {
        for seed in seed::users(world.ids().seed()) {
            let role = seed.role.parse().unwrap_or(Role::Viewer);
            let draft = Draft {
                email: seed.email,
                first_name: seed.first_name.to_owned(),
                last_name: seed.last_name.to_owned(),
                role,
                password: Some(seed.password),
                ..Draft::named(seed.username)
            };
            let user = draft.insert(app, &mut tx).await?;
            crate::keys::put(app, &mut tx, &user, "seeded", role, &seed.api_key, None).await?;
        }
    }
    store::set_meta(&mut tx, "seeded", if app.config().seed_users { "users" } else { "empty" }).await?;
    tx.commit().await?;
    Ok(())
}

fn roles(text: Option<&str>) -> Result<Vec<Role>> {
    let parse = |role: &str| {
        let bad = |()| Error::bad(Code::InvalidParameter, format!("`user_role`: `{role}` is not a role."));
        role.parse().map_err(bad)
    };
    text.map_or(Ok(Vec::new()), |text| text.split('|').map(parse).collect())
}

fn sort(text: Option<&str>) -> Result<Sort> {
    Ok(match text {
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

/// `GET /v1/users`; all of them as CSV, without pages, for administrators who accept that.
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
    // Nobody's licence lapses here, so who is not locked is licensed.
    let locked = match (statuses.contains(&"locked"), statuses.contains(&"licensed")) {
        (true, false) => Some(true),
        (false, true) => Some(false),
        _ => None,
    };
    let nobody = !statuses.is_empty() && statuses.iter().all(|status| *status == "inactive");
    let filter = Filter {
        prefix: query.text("prefix").map(str::to_owned),
        roles: roles(query.text("user_role"))?,
        locked,
        group: None,
        sort: sort(query.text("sort"))?,
        descending: !query.flag("asc_order", true)?,
    };
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let as_csv = accepts.contains("text/csv") && principal.is_administrator();
    let (users, total) = if nobody {
        (Vec::new(), 0)
    } else if sees_nobody_else(&app, &principal) {
        (vec![User::clone(&principal.user)], 1)
    } else {
        let (size, offset) = if as_csv { (i64::MAX, 0) } else { (page.size, page.offset()) };
        store::users::list(&mut *app.read().await?, &filter, size, offset).await?
    };
    let users: Vec<Value> = users.iter().map(|user| shown(user, &principal)).collect();
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

/// `GET /v1/users/{guid}`
///
/// # Errors
/// 404 when there is none.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    if sees_nobody_else(&app, &principal) && principal.user.guid != guid {
        return Err(Error::missing("user"));
    }
    Ok(Json(shown(&find(&app, &guid).await?, &principal)))
}

/// Whether the server hides everybody else from this user.
#[must_use]
pub fn sees_nobody_else(app: &App, principal: &Principal) -> bool {
    app.config().viewers_can_only_see_themselves && principal.role == Role::Viewer
}

async fn find(app: &App, guid: &str) -> Result<User> {
    store::users::by_guid(&mut *app.read().await?, guid).await?.ok_or_else(|| Error::missing("user"))
}

/// The fields of a user that bodies carry, checked.
struct Given {
    username: Option<String>,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    role: Option<Role>,
}

impl Given {
    fn of(fields: &Fields) -> Result<Self> {
        let short = |name: &str, code| match fields.text(name)?.value() {
            Some(text) if text.chars().count() > 128 => {
                Err(Error::bad(code, format!("`{name}` must not be longer than 128 characters.")))
            }
            other => Ok(other),
        };
        let username = short("username", Code::InvalidUserName)?;
        let fits = |c: char| c.is_alphanumeric() || "._-@+".contains(c);
        if username.as_ref().is_some_and(|name| name.is_empty() || !name.chars().all(fits)) {
            let text = "`username` must be letters, digits, `.`, `_`, `-`, `@` and `+`.";
            return Err(Error::bad(Code::InvalidUserName, text));
        }
        let email = short("email", Code::InvalidEmailFormat)?;
        if email.as_ref().is_some_and(|e| !e.is_empty() && !mail::is_address(e)) {
            return Err(Error::bad(Code::InvalidEmailFormat, "`email` must be an address such as name@example.com."));
        }
        let role = match fields.text("user_role")?.value() {
            None => None,
            Some(text) => Some(text.parse().map_err(|()| {
                Error::bad(Code::InvalidRoleAssignment, "`user_role` must be viewer, publisher or administrator.")
            })?),
        };
        Ok(Self {
            username,
            email,
            first_name: short("first_name", Code::InvalidFirstName)?,
            last_name: short("last_name", Code::InvalidLastName)?,
            role,
        })
    }
}

/// Who may add users: an administrator, or, as `None`, whoever comes to a server that has no users. Only where people
/// sign in with passwords of this server: elsewhere the first one to sign in is the first user.
pub struct Adder(Option<Principal>);

impl FromRequestParts<App> for Adder {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self> {
        match Caller::from_request_parts(parts, app).await? {
            Caller::User(principal) => {
                principal.require(Role::Administrator)?;
                Ok(Self(Some(principal)))
            }
            Caller::Anonymous if app.config().identity_provider.is_some() => Err(Error::no_credential()),
            Caller::Anonymous => match store::users::count(&mut *app.read().await?).await? {
                0 => Ok(Self(None)),
                _ => Err(Error::no_credential()),
            },
        }
    }
}

/// `POST /v1/users`
///
/// # Errors
/// 400 for a bad field, 403 unless an administrator asks, 409 when the name is taken.
pub async fn create(State(app): State<App>, Adder(adder): Adder, body: Fields) -> Result<Json<Value>> {
    let given = Given::of(&body)?;
    let missing = || Error::bad(Code::ParameterMissing, "`username` is missing.");
    let password = body.text("password")?.value();
    if password.as_ref().is_some_and(|p| !(6..=1024).contains(&p.chars().count())) {
        return Err(Error::bad(Code::InadequatePassword, "`password` must have 6 to 1024 characters."));
    }
    if adder.is_none() && password.is_none() {
        let text = "`password` is missing: the first user has no other way in.";
        return Err(Error::bad(Code::ParameterMissing, text));
    }
    let id = |name: &str| match body.text(name)?.value() {
        Some(id) if id.chars().count() > 255 => {
            Err(Error::bad(Code::InvalidParameter, format!("`{name}` must not be longer than 255 characters.")))
        }
        id => Ok(id),
    };
    let external_id = match id("external_id")? {
        Some(id) => Some(id),
        None => id("unique_id")?,
    };
    let draft = Draft {
        username: given.username.ok_or_else(missing)?,
        email: given.email.unwrap_or_default(),
        first_name: given.first_name.unwrap_or_default(),
        last_name: given.last_name.unwrap_or_default(),
        role: match adder {
            Some(_) => given.role.unwrap_or(app.config().default_role),
            None => Role::Administrator,
        },
        password,
        external_id,
        service: false,
    };
    let mut tx = app.write().await?;
    if adder.is_none() && store::users::count(&mut tx).await? > 0 {
        return Err(Error::no_credential());
    }
    let user = draft.insert(&app, &mut tx).await?;
    if !user.email.is_empty() {
        let body = format!("An account named {} was made for you on {}.", user.username, app.config().system_name);
        mail::write(&app, &mut tx, &user.email, "Your new account", &body).await?;
    }
    tx.commit().await?;
    app.ring_for_mail();
    Ok(Json(fields(&user, true)))
}

/// `PUT /v1/users/{guid}`
///
/// # Errors
/// 400 for a bad field, 403 for another's account or an own role, 404 when there is none.
pub async fn update(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Json<Value>> {
    if principal.user.guid != guid {
        principal.require(Role::Administrator)?;
    }
    let given = Given::of(&fields)?;
    let mut tx = app.write().await?;
    let mut user = store::users::by_guid(&mut tx, &guid).await?.ok_or_else(|| Error::missing("user"))?;
    if let Some(role) = given.role.filter(|role| *role != user.role) {
        principal.require(Role::Administrator)?;
        if user.role == Role::Administrator && store::users::administrators(&mut tx).await? < 2 {
            let text = "This is the only administrator; make another one first.";
            return Err(Error::conflict(Code::SoleAdminDemotion, text));
        }
        user.role = role;
    }
    user.username = given.username.unwrap_or(user.username);
    user.email = given.email.unwrap_or(user.email);
    user.first_name = given.first_name.unwrap_or(user.first_name);
    user.last_name = given.last_name.unwrap_or(user.last_name);
    user.updated = app.now();
    store::users::update(&mut tx, &user).await.map_err(duplicate)?;
    tx.commit().await?;
    Ok(Json(json!({
        "email": user.email, "username": user.username, "first_name": user.first_name,
        "last_name": user.last_name, "user_role": user.role.as_str(), "updated_time": time(user.updated),
    })))
}

/// `POST /v1/users/{guid}/lock`
///
/// # Errors
/// 403 unless an administrator asks, and for one's own account; 404 when there is none.
pub async fn lock(
    State(app): State<App>,
    principal: Principal,
    Path(guid): Path<String>,
    fields: Fields,
) -> Result<Response> {
    principal.require(Role::Administrator)?;
    let locked = fields.flag("locked")?.value();
    let locked = locked.ok_or_else(|| Error::bad(Code::ParameterMissing, "`locked` is missing."))?;
    if locked && principal.user.guid == guid {
        return Err(Error::forbidden_because(Code::PermissionDenied, "You cannot lock your own account."));
    }
    let mut tx = app.write().await?;
    let mut user = store::users::by_guid(&mut tx, &guid).await?.ok_or_else(|| Error::missing("user"))?;
    user.locked = locked;
    user.updated = app.now();
    store::users::update(&mut tx, &user).await?;
    tx.commit().await?;
    Ok(StatusCode::OK.into_response())
}
