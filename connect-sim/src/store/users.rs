//! Users.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, Row as _};

use super::{flag, of_each};
use crate::access::Role;

/// A user.
#[derive(Debug, Clone)]
pub struct User {
    /// Numeric id, for legacy routes.
    pub id: i64,
    /// UUID.
    pub guid: String,
    /// Name to sign in with.
    pub username: String,
    /// Email address, may be empty.
    pub email: String,
    /// First name, may be empty.
    pub first_name: String,
    /// Last name, may be empty.
    pub last_name: String,
    /// Role.
    pub role: Role,
    /// In PHC form; none: no sign-in by password.
    pub password_hash: Option<String>,
    /// Id at an external provider.
    pub external_id: Option<String>,
    /// Has confirmed the account.
    pub confirmed: bool,
    /// May do nothing.
    pub locked: bool,
    /// A service principal: a machine, which no list of users holds.
    pub service: bool,
    /// Microseconds.
    pub created: i64,
    /// Microseconds.
    pub updated: i64,
    /// Microseconds; none before the first request.
    pub active: Option<i64>,
}

fn user(row: &AnyRow) -> sqlx::Result<User> {
    let role: String = row.try_get("role")?;
    Ok(User {
        id: row.try_get("id")?,
        guid: row.try_get("guid")?,
        username: row.try_get("username")?,
        email: row.try_get("email")?,
        first_name: row.try_get("first_name")?,
        last_name: row.try_get("last_name")?,
        role: role.parse().unwrap_or(Role::Viewer),
        password_hash: row.try_get("password_hash")?,
        external_id: row.try_get("external_id")?,
        confirmed: flag(row, "confirmed")?,
        locked: flag(row, "locked")?,
        service: flag(row, "service")?,
        created: row.try_get("created")?,
        updated: row.try_get("updated")?,
        active: row.try_get("active")?,
    })
}

/// The form by which user names are compared.
fn folded(username: &str) -> String {
    username.to_lowercase()
}

/// Inserts a user under its own id and guid.
///
/// # Errors
/// A duplicate user name, or when the database fails.
pub async fn insert(db: &mut AnyConnection, user: &User) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO users (guid, id, username, username_folded, email, first_name, last_name, role, password_hash, \
         external_id, confirmed, locked, created, updated, active, service) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)",
    )
    .bind(&user.guid)
    .bind(user.id)
    .bind(&user.username)
    .bind(folded(&user.username))
    .bind(&user.email)
    .bind(&user.first_name)
    .bind(&user.last_name)
    .bind(user.role.as_str())
    .bind(&user.password_hash)
    .bind(&user.external_id)
    .bind(i64::from(user.confirmed))
    .bind(i64::from(user.locked))
    .bind(user.created)
    .bind(user.updated)
    .bind(user.active)
    .bind(i64::from(user.service))
    .execute(db)
    .await?;
    Ok(())
}

/// Writes the fields that can change.
///
/// # Errors
/// A duplicate user name, or when the database fails.
pub async fn update(db: &mut AnyConnection, user: &User) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE users SET username = $2, username_folded = $3, email = $4, first_name = $5, last_name = $6, role = $7, \
         confirmed = $8, locked = $9, updated = $10, password_hash = $11, external_id = $12 WHERE guid = $1",
    )
    .bind(&user.guid)
    .bind(&user.username)
    .bind(folded(&user.username))
    .bind(&user.email)
    .bind(&user.first_name)
    .bind(&user.last_name)
    .bind(user.role.as_str())
    .bind(i64::from(user.confirmed))
    .bind(i64::from(user.locked))
    .bind(user.updated)
    .bind(&user.password_hash)
    .bind(&user.external_id)
    .execute(db)
    .await?;
    Ok(())
}

/// Notes that a user did something.
///
/// # Errors
/// When the database fails.
pub async fn touch(db: &mut AnyConnection, guid: &str, now: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE users SET active = $2 WHERE guid = $1").bind(guid).bind(now).execute(db).await?;
    Ok(())
}

/// A user or a service principal, by guid.
///
/// # Errors
/// When the database fails.
pub async fn principal(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Option<User>> {
    let row = sqlx::query("SELECT * FROM users WHERE guid = $1").bind(guid).fetch_optional(db).await?;
    row.as_ref().map(user).transpose()
}

/// By guid.
///
/// # Errors
/// When the database fails.
pub async fn by_guid(db: &mut AnyConnection, guid: &str) -> sqlx::Result<Option<User>> {
    Ok(principal(db, guid).await?.filter(|user| !user.service))
}

/// Those of these guids, without service principals.
///
/// # Errors
/// When the database fails.
pub async fn by_guids(db: &mut AnyConnection, guids: &[&str]) -> sqlx::Result<Vec<User>> {
    of_each(db, "SELECT * FROM users WHERE service = 0 AND guid", &[], guids).await?.iter().map(user).collect()
}

/// By the id at an external provider.
///
/// # Errors
/// When the database fails.
pub async fn by_external_id(db: &mut AnyConnection, external_id: &str) -> sqlx::Result<Option<User>> {
    let sql = "SELECT * FROM users WHERE external_id = $1 AND service = 0 ORDER BY id LIMIT 1";
    sqlx::query(sql).bind(external_id).fetch_optional(db).await?.as_ref().map(user).transpose()
}

/// By email address, whatever its case; nobody when it is several users'.
///
/// # Errors
/// When the database fails.
pub async fn by_email(db: &mut AnyConnection, email: &str) -> sqlx::Result<Option<User>> {
    let sql = "SELECT * FROM users WHERE LOWER(email) = $1 AND service = 0 LIMIT 2";
    let rows = sqlx::query(sql).bind(email.to_lowercase()).fetch_all(db).await?;
    match &rows[..] {
        [one] => user(one).map(Some),
        _ => Ok(None),
    }
}

/// By user name, whatever its case.
///
/// # Errors
/// When the database fails.
pub async fn by_username(db: &mut AnyConnection, username: &str) -> sqlx::Result<Option<User>> {
    let sql = "SELECT * FROM users WHERE username_folded = $1 AND service = 0";
    let row = sqlx::query(sql).bind(folded(username)).fetch_optional(db).await?;
    row.as_ref().map(user).transpose()
}

/// How many there are.
///
/// # Errors
/// When the database fails.
pub async fn count(db: &mut AnyConnection) -> sqlx::Result<i64> {
    sqlx::query("SELECT COUNT(*) FROM users WHERE service = 0").fetch_one(db).await?.try_get(0)
}

/// How many administrators can still sign in.
///
/// # Errors
/// When the database fails.
pub async fn administrators(db: &mut AnyConnection) -> sqlx::Result<i64> {
    let sql = "SELECT COUNT(*) FROM users WHERE role = 'administrator' AND locked = 0";
    sqlx::query(sql).fetch_one(db).await?.try_get(0)
}

/// What a list of users goes by first; after it come first name, last name, user name, email.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum Sort {
    #[default]
    FirstName,
    /// A name that is the prefix itself, then shorter ones first.
    Relevance,
    LastName,
    Username,
    Active,
    Created,
    Role,
}

impl Sort {
    fn column(self) -> &'static str {
        match self {
            Self::FirstName => "first_name",
            // That the shortest user name counts is a guess; of groups it is known.
            Self::Relevance => {
                "CASE WHEN $12 IN (username_folded, LOWER(first_name), LOWER(last_name), \
                 LOWER(first_name || ' ' || last_name)) THEN 0 ELSE LENGTH(username_folded) END"
            }
            Self::LastName => "last_name",
            Self::Username => "username_folded",
            // Databases differ in where nulls go: who was never active comes before everybody who was.
            Self::Active => "COALESCE(active, 0)",
            Self::Created => "created",
            Self::Role => "role",
        }
    }
}

/// Which users a list holds, and in which order.
#[derive(Debug, Default)]
pub struct Filter {
    /// Beginning of a name or of the user name, any case.
    pub prefix: Option<String>,
    /// One of these roles; empty: any.
    pub roles: Vec<Role>,
    /// In one of these states; none: any.
    pub statuses: Option<Statuses>,
    /// A member of this group.
    pub group: Option<String>,
    /// By what they are ordered.
    pub sort: Sort,
    /// The last first.
    pub descending: bool,
}

/// States of accounts. Who is not locked is licensed or, after long doing nothing, inactive.
#[derive(Debug, Clone, Copy)]
pub struct Statuses {
    /// Locked ones.
    pub locked: bool,
    /// Licensed ones.
    pub licensed: bool,
    /// Inactive ones.
    pub inactive: bool,
    /// In microseconds: who was active then or later is licensed. Being made counts as being active, which is a guess.
    pub since: i64,
}

/// A page of users, and how many there are in all.
///
/// # Errors
/// When the database fails.
pub async fn list(db: &mut AnyConnection, filter: &Filter, limit: i64, offset: i64) -> sqlx::Result<(Vec<User>, i64)> {
    // Every condition is always there and switched off by a null, so that there is one statement.
    let roles = |role: Role| i64::from(filter.roles.is_empty() || filter.roles.contains(&role));
    let condition = "($1 IS NULL OR username_folded LIKE $1 ESCAPE '!' OR LOWER(first_name) LIKE $1 ESCAPE '!' \
         OR LOWER(last_name) LIKE $1 ESCAPE '!' OR LOWER(first_name || ' ' || last_name) LIKE $1 ESCAPE '!') \
         AND ((role = 'viewer' AND $2 = 1) OR (role = 'publisher' AND $3 = 1) OR (role = 'administrator' AND $4 = 1)) \
         AND (($5 = 1 AND locked = 1) OR ($6 = 1 AND locked = 0 AND COALESCE(active, created) >= $8) \
         OR ($7 = 1 AND locked = 0 AND COALESCE(active, created) < $8)) AND service = 0 \
         AND ($9 IS NULL OR guid IN (SELECT user_guid FROM group_members WHERE group_guid = $9))";
    let prefix = filter.prefix.as_deref().map(|prefix| format!("{}%", escaped(&prefix.to_lowercase())));
    let all = Statuses { locked: true, licensed: true, inactive: true, since: 0 };
    let statuses = filter.statuses.unwrap_or(all);
    let direction = if filter.descending { "DESC" } else { "ASC" };
    let columns = [filter.sort.column(), "first_name", "last_name", "username_folded", "email"];
    let relevant = if filter.sort == Sort::Relevance { filter.prefix.as_deref() } else { None };
    let order = match (filter.sort, relevant) {
        // The best ones first, whatever the direction.
        (Sort::Relevance, Some(_)) => columns.join(", "),
        (Sort::Relevance, None) => columns[1..].join(", "),
        _ => columns.map(|column| format!("{column} {direction}")).join(", "),
    };
    let sql = format!("SELECT * FROM users WHERE {condition} ORDER BY {order} LIMIT $10 OFFSET $11");
    let bound = |sql: String| {
        sqlx::query(AssertSqlSafe(sql))
            .bind(prefix.clone())
            .bind(roles(Role::Viewer))
            .bind(roles(Role::Publisher))
            .bind(roles(Role::Administrator))
            .bind(i64::from(statuses.locked))
            .bind(i64::from(statuses.licensed))
            .bind(i64::from(statuses.inactive))
            .bind(statuses.since)
            .bind(filter.group.clone())
    };
    let mut page = bound(sql).bind(limit).bind(offset);
    if let Some(prefix) = relevant {
        page = page.bind(prefix.to_lowercase());
    }
    let rows = page.fetch_all(&mut *db).await?;
    let total = bound(format!("SELECT COUNT(*) FROM users WHERE {condition}")).fetch_one(db).await?.try_get(0)?;
    Ok((rows.iter().map(user).collect::<sqlx::Result<_>>()?, total))
}

/// `text` as a literal in a LIKE pattern whose escape is `!`.
pub(super) fn escaped(text: &str) -> String {
    text.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

/// How many users, who are no service principals, were active at `since` or later.
///
/// # Errors
/// When the database fails.
pub async fn active_since(db: &mut AnyConnection, since: i64) -> sqlx::Result<i64> {
    let sql = "SELECT COUNT(*) FROM users WHERE active >= $1 AND service = 0";
    sqlx::query(sql).bind(since).fetch_one(db).await?.try_get(0)
}
