//! Users.
//!
//! | route | who |
//! | --- | --- |
//! | `GET /v1/user`, `/me`, `/users/current` | the caller itself |
//! | `GET /v1/users`, `/v1/users/{guid}` | every user |
//! | `POST /v1/users` | administrators; anybody while there is no user at all, who becomes the first administrator |
//! | `PUT /v1/users/{guid}` | the user itself, except its role; administrators |
//! | `POST /v1/users/{guid}/lock` | administrators |
//!
//! A user who must set a password gets a link by mail and cannot sign in before ([`crate::auth::set_password`]).

pub mod listing;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use http::request::Parts;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use sim_kit::origin::Origin;
use sim_kit::{Tx, World, seed};

use crate::access::Role;
use crate::app::App;
use crate::audit;
use crate::auth::{Caller, Principal, password, set_password};
use crate::differences::Difference;
use crate::error::{Code, Error, Result};
use crate::input::Fields;
use crate::mail;
use crate::store;
use crate::store::users::User;

/// RFC 3339 of a time in the database.
#[must_use]
pub fn time(micros: i64) -> String {
    let time = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    time.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
}

/// A user as v1 shows it. `external_id` is for itself and for administrators, as is the address where the server hides it.
#[must_use]
pub fn shown(app: &App, user: &User, asker: &Principal) -> Value {
    let may = asker.is_administrator() || asker.user.guid == user.guid;
    let mut shown = fields(user, may && app.config().version.with(Difference::UserExternalId));
    shown["email"] = json!(email(app, user, asker));
    shown
}

/// The address of a user as another may see it. The product does not fill it in for callers who are no administrators; that
/// everybody sees their own is a guess.
#[must_use]
pub fn email<'a>(app: &App, user: &'a User, asker: &Principal) -> &'a str {
    let may = asker.is_administrator() || asker.user.guid == user.guid;
    if app.config().hide_email_addresses && !may { "" } else { &user.email }
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
pub async fn current(State(app): State<App>, principal: Principal) -> Json<Value> {
    let mut shown = shown(&app, &principal.user, &principal);
    shown["user_role"] = json!(principal.role.as_str());
    Json(shown)
}

/// `GET /me`, `GET /users/current`: the older shape, with a numeric id.
pub async fn legacy_current(app: State<App>, principal: Principal) -> Json<Value> {
    let Json(mut shown) = current(app, principal.clone()).await;
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
    /// Whether the account can be used, or waits for its user to set a password.
    pub confirmed: bool,
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
            confirmed: true,
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
            confirmed: self.confirmed,
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

/// `GET /v1/users/{guid}`
///
/// # Errors
/// 404 when there is none.
pub async fn get(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    if sees_nobody_else(&app, &principal) && principal.user.guid != guid {
        return Err(Error::missing("user"));
    }
    Ok(Json(shown(&app, &find(&app, &guid).await?, &principal)))
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
pub async fn create(State(app): State<App>, origin: Origin, Adder(adder): Adder, body: Fields) -> Result<Json<Value>> {
    let given = Given::of(&body)?;
    let missing = || Error::bad(Code::ParameterMissing, "`username` is missing.");
    // Forms send what was left open as empty.
    let password = body.text("password")?.value().filter(|password| !password.is_empty());
    if let Some(password) = &password {
        set_password::adequate(password)?;
    }
    // Passwords are of no use where others say who somebody is.
    let by_password = app.config().identity_provider.is_none();
    let must_set = body.flag("user_must_set_password")?.value().unwrap_or(false) && by_password;
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
    if by_password {
        let email = given.email.as_deref().unwrap_or_default();
        set_password::check(must_set, adder.is_none(), password.is_some(), email)?;
    }
    let draft = Draft {
        username: given.username.ok_or_else(missing)?,
        email: given.email.unwrap_or_default(),
        first_name: given.first_name.unwrap_or_default(),
        last_name: given.last_name.unwrap_or_default(),
        role: match &adder {
            Some(_) => given.role.unwrap_or(app.config().default_role),
            None => Role::Administrator,
        },
        password,
        external_id,
        service: false,
        confirmed: !must_set,
    };
    let mut tx = app.write().await?;
    if adder.is_none() && store::users::count(&mut tx).await? > 0 {
        return Err(Error::no_credential());
    }
    let user = draft.insert(&app, &mut tx).await?;
    if !user.email.is_empty() {
        let mut body = format!("An account named {} was made for you on {}.", user.username, app.config().system_name);
        if must_set {
            let link = set_password::link(&app, &mut tx, &app.origin(origin), &user).await?;
            body = format!("{body} Set your password within a day: {link}");
        }
        mail::write(&app, &mut tx, &user.email, "Your new account", &body).await?;
    }
    tx.commit().await?;
    app.ring_for_mail();
    if adder.is_none() {
        // Nobody asked whom the log could name: the first user has made itself.
        audit::record(&app, &user, &Method::POST, "/__api__/v1/users", "/__api__/v1/users");
    }
    Ok(Json(fields(&user, app.config().version.with(Difference::UserExternalId))))
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
    store::users::update(&mut tx, &user).await?;
    tx.commit().await?;
    Ok(StatusCode::OK.into_response())
}
