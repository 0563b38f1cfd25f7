//! The people of the built-in identity provider, and the codes it gave out.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

use super::{as_json, json};

/// Somebody who can sign in.
#[derive(Debug, Clone)]
pub struct Person {
    /// Never changes.
    pub sub: String,
    /// Unique.
    pub username: String,
    /// May be empty.
    pub email: String,
    /// May be empty.
    pub first_name: String,
    /// May be empty.
    pub last_name: String,
    /// Names of groups.
    pub groups: Vec<String>,
}

fn person(row: &AnyRow) -> sqlx::Result<Person> {
    Ok(Person {
        sub: row.try_get("sub")?,
        username: row.try_get("username")?,
        email: row.try_get("email")?,
        first_name: row.try_get("first_name")?,
        last_name: row.try_get("last_name")?,
        groups: json(row, "member_of")?,
    })
}

/// Inserts a person, or writes the one of the same user name anew.
///
/// # Errors
/// When the database fails.
pub async fn put(db: &mut AnyConnection, one: &Person) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO idp_users (sub, username, email, first_name, last_name, member_of) VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (username) DO UPDATE SET email = excluded.email, first_name = excluded.first_name, \
         last_name = excluded.last_name, member_of = excluded.member_of",
    )
    .bind(&one.sub)
    .bind(&one.username)
    .bind(&one.email)
    .bind(&one.first_name)
    .bind(&one.last_name)
    .bind(as_json(&one.groups))
    .execute(db)
    .await?;
    Ok(())
}

/// Everybody, by user name.
///
/// # Errors
/// When the database fails.
pub async fn people(db: &mut AnyConnection) -> sqlx::Result<Vec<Person>> {
    sqlx::query("SELECT * FROM idp_users ORDER BY username").fetch_all(db).await?.iter().map(person).collect()
}

/// By user name.
///
/// # Errors
/// When the database fails.
pub async fn by_username(db: &mut AnyConnection, username: &str) -> sqlx::Result<Option<Person>> {
    let sql = "SELECT * FROM idp_users WHERE username = $1";
    sqlx::query(sql).bind(username).fetch_optional(db).await?.as_ref().map(person).transpose()
}

/// Takes a person away; false when there is none.
///
/// # Errors
/// When the database fails.
pub async fn delete(db: &mut AnyConnection, username: &str) -> sqlx::Result<bool> {
    let sql = "DELETE FROM idp_users WHERE username = $1";
    Ok(sqlx::query(sql).bind(username).execute(db).await?.rows_affected() > 0)
}

/// A code that was given out.
#[derive(Debug, Clone)]
pub struct Code {
    /// Hex SHA-256 of the code.
    pub sha256: String,
    /// Whose.
    pub sub: String,
    /// Where it was sent.
    pub redirect_uri: String,
    /// What the token must repeat.
    pub nonce: Option<String>,
    /// An S256 challenge.
    pub challenge: Option<String>,
    /// Microseconds.
    pub expires: i64,
}

/// Inserts a code, and takes those away that ended before `now`.
///
/// # Errors
/// When the database fails.
pub async fn insert_code(db: &mut AnyConnection, code: &Code, now: i64) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM idp_codes WHERE expires <= $1").bind(now).execute(&mut *db).await?;
    sqlx::query(
        "INSERT INTO idp_codes (sha256, sub, redirect_uri, nonce, challenge, expires) VALUES ($1, $2, $3, $4, $5, $6)",
    )
    .bind(&code.sha256)
    .bind(&code.sub)
    .bind(&code.redirect_uri)
    .bind(&code.nonce)
    .bind(&code.challenge)
    .bind(code.expires)
    .execute(db)
    .await?;
    Ok(())
}

/// Takes a code out, with the person it was given for: it is good once.
///
/// # Errors
/// When the database fails.
pub async fn take_code(db: &mut AnyConnection, sha256: &str) -> sqlx::Result<Option<(Code, Person)>> {
    let sql = "DELETE FROM idp_codes WHERE sha256 = $1 RETURNING *";
    let Some(row) = sqlx::query(sql).bind(sha256).fetch_optional(&mut *db).await? else { return Ok(None) };
    let code = Code {
        sha256: row.try_get("sha256")?,
        sub: row.try_get("sub")?,
        redirect_uri: row.try_get("redirect_uri")?,
        nonce: row.try_get("nonce")?,
        challenge: row.try_get("challenge")?,
        expires: row.try_get("expires")?,
    };
    let sql = "SELECT * FROM idp_users WHERE sub = $1";
    let row = sqlx::query(sql).bind(&code.sub).fetch_optional(db).await?;
    row.as_ref().map(person).transpose().map(|person| person.map(|person| (code, person)))
}
