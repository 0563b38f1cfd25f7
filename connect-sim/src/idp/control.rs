//! What tests say to the built-in identity provider, below `/__sim__/v1/idp/`.
//!
//! | route | what |
//! |---|---|
//! | `GET users`, `POST users`, `DELETE users/{username}` | its people: `username`, `email`, `first_name`, `last_name`, `groups` |
//! | `POST choose` | `{"username": "dana"}`: who is signed in from now on without being asked; `null`: nobody |
//! | `POST tokens` | `{"claims": {…}}`: an identity token that says just that, and `iss`, `iat`, `exp` unless it does |

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use super::{CHOSEN, LIFETIME, PATH, sign};
use crate::app::App;
use crate::error::{Code, Error, Result};
use crate::input::{Fields, Given};
use crate::store;
use crate::store::idp::Person;

/// # Errors
/// 404 where this server is no identity provider; JSON, as all refusals of the control plane.
fn served(app: &App) -> Result<()> {
    if app.config().serves_identity() { Ok(()) } else { Err(Error::missing("identity provider")) }
}

fn shown(person: &Person) -> Value {
    json!({
        "sub": person.sub, "username": person.username, "email": person.email, "first_name": person.first_name,
        "last_name": person.last_name, "groups": person.groups,
    })
}

/// `GET /__sim__/v1/idp/users`
///
/// # Errors
/// 404 where this server is no identity provider.
pub async fn users(State(app): State<App>) -> Result<Json<Value>> {
    served(&app)?;
    let people = store::idp::people(&mut *app.read().await?).await?;
    Ok(Json(json!({"users": people.iter().map(shown).collect::<Vec<_>>()})))
}

/// `POST /__sim__/v1/idp/users`: adds somebody, or changes who has that name.
///
/// # Errors
/// 400 for a bad field; 404 as [`users`].
pub async fn add(State(app): State<App>, fields: Fields) -> Result<Json<Value>> {
    served(&app)?;
    let username = fields.required("username")?;
    if username.is_empty() || username.chars().count() > 128 {
        return Err(Error::bad(Code::InvalidUserName, "`username` must have 1 to 128 characters."));
    }
    let text = |name: &str| Ok::<_, Error>(fields.text(name)?.value().unwrap_or_default());
    let groups = fields.texts("groups")?.value().unwrap_or_default();
    let mut tx = app.write().await?;
    let known = store::idp::by_username(&mut tx, &username).await?;
    let sub = known.map_or_else(|| app.world().ids().uuid("idp-user").to_string(), |known| known.sub);
    let (email, first_name, last_name) = (text("email")?, text("first_name")?, text("last_name")?);
    let person = Person { sub, username, email, first_name, last_name, groups };
    store::idp::put(&mut tx, &person).await?;
    tx.commit().await?;
    Ok(Json(shown(&person)))
}

/// `DELETE /__sim__/v1/idp/users/{username}`
///
/// # Errors
/// 404 as [`users`], and for nobody.
pub async fn remove(State(app): State<App>, Path(username): Path<String>) -> Result<Json<Value>> {
    served(&app)?;
    let mut tx = app.write().await?;
    if !store::idp::delete(&mut tx, &username).await? {
        return Err(Error::missing("user of the identity provider"));
    }
    tx.commit().await?;
    Ok(Json(json!({"removed": username})))
}

/// `POST /__sim__/v1/idp/choose`
///
/// # Errors
/// 400 without a name; 404 as [`remove`].
pub async fn choose(State(app): State<App>, fields: Fields) -> Result<Json<Value>> {
    served(&app)?;
    let chosen = match fields.text("username")? {
        Given::Value(username) => username,
        Given::Null => String::new(),
        Given::Absent => return Err(Error::bad(Code::ParameterMissing, "`username` is missing.")),
    };
    let mut tx = app.write().await?;
    if !chosen.is_empty() && store::idp::by_username(&mut tx, &chosen).await?.is_none() {
        return Err(Error::missing("user of the identity provider"));
    }
    store::set_meta(&mut tx, CHOSEN, &chosen).await?;
    tx.commit().await?;
    Ok(Json(json!({"chosen": (!chosen.is_empty()).then_some(chosen)})))
}

/// `POST /__sim__/v1/idp/tokens`
///
/// # Errors
/// 400 without claims; 404 as [`users`].
pub async fn tokens(State(app): State<App>, origin: Origin, fields: Fields) -> Result<Json<Value>> {
    served(&app)?;
    let claims = fields.raw("claims").and_then(Value::as_object);
    let claims = claims.ok_or_else(|| Error::bad(Code::InvalidParameter, "`claims` must be an object."))?;
    let now = app.now() / 1_000_000;
    let mut all = json!({"iss": app.origin(origin).url(PATH), "iat": now, "exp": now + LIFETIME});
    for (name, value) in claims {
        all[name] = value.clone();
    }
    Ok(Json(json!({"token": sign(&mut *app.read().await?, &all).await?})))
}
