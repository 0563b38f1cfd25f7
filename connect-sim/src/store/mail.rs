//! Mail: kept, and where a server for it is set up, sent.

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, Row as _};

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// From 1.
    pub id: i64,
    /// When it was written, in microseconds.
    pub written: i64,
    /// Address.
    pub recipient: String,
    /// One line.
    pub subject: String,
    /// Text.
    pub body: String,
    /// `kept` where there is no server, `queued`, `sent`, `failed`.
    pub state: String,
    /// How often it was tried to send it.
    pub attempts: i64,
    /// When it is tried next, in microseconds; of no meaning unless it is queued.
    pub next_try: i64,
    /// Why the last try failed; empty otherwise.
    pub error: String,
}

fn mail(row: &AnyRow) -> sqlx::Result<Mail> {
    Ok(Mail {
        id: row.try_get("id")?,
        written: row.try_get("sent")?,
        recipient: row.try_get("recipient")?,
        subject: row.try_get("subject")?,
        body: row.try_get("body")?,
        state: row.try_get("state")?,
        attempts: row.try_get("attempts")?,
        next_try: row.try_get("next_try")?,
        error: row.try_get("error")?,
    })
}

/// Puts a mail in; its id is given here.
///
/// # Errors
/// When the database fails.
pub async fn insert(db: &mut AnyConnection, mail: &Mail) -> sqlx::Result<()> {
    let id = super::next(&mut *db, "mail").await?;
    let sql = "INSERT INTO mails (id, sent, recipient, subject, body, state, attempts, next_try, error) \
         VALUES ($1, $2, $3, $4, $5, $6, 0, $7, $8)";
    let query = sqlx::query(sql).bind(id).bind(mail.written).bind(&mail.recipient).bind(&mail.subject);
    query.bind(&mail.body).bind(&mail.state).bind(mail.next_try).bind(&mail.error).execute(db).await?;
    Ok(())
}

/// The newest mails, newest first, at most `limit`; and how many there are.
///
/// # Errors
/// When the database fails.
pub async fn newest(db: &mut AnyConnection, limit: i64) -> sqlx::Result<(Vec<Mail>, i64)> {
    let sql = "SELECT * FROM mails ORDER BY id DESC LIMIT $1";
    let mails = sqlx::query(sql).bind(limit).fetch_all(&mut *db).await?;
    let total = sqlx::query("SELECT COUNT(*) FROM mails").fetch_one(db).await?.try_get(0)?;
    Ok((mails.iter().map(mail).collect::<sqlx::Result<_>>()?, total))
}

/// Takes all mails away, also those that were not sent yet.
///
/// # Errors
/// When the database fails.
pub async fn clear(db: &mut AnyConnection) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM mails").execute(db).await?;
    Ok(())
}

/// The oldest mail that is to be tried now. Nobody else gets it until `lease`, when it is tried again unless
/// [`ended`] was called.
///
/// # Errors
/// When the database fails.
pub async fn claim(db: &mut AnyConnection, now: i64, lease: i64) -> sqlx::Result<Option<Mail>> {
    let sql = "UPDATE mails SET attempts = attempts + 1, next_try = $2 WHERE id = (SELECT id FROM mails \
         WHERE state = 'queued' AND next_try <= $1 ORDER BY id LIMIT 1) AND state = 'queued' AND next_try <= $1 \
         RETURNING *";
    sqlx::query(sql).bind(now).bind(lease).fetch_optional(db).await?.as_ref().map(mail).transpose()
}

/// Writes what became of a try.
///
/// # Errors
/// When the database fails.
pub async fn ended(db: &mut AnyConnection, id: i64, state: &str, next_try: i64, error: &str) -> sqlx::Result<()> {
    let sql = "UPDATE mails SET state = $2, next_try = $3, error = $4 WHERE id = $1";
    sqlx::query(sql).bind(id).bind(state).bind(next_try).bind(error).execute(db).await?;
    Ok(())
}

/// Puts off what is to be tried now.
///
/// # Errors
/// When the database fails.
pub async fn put_off(db: &mut AnyConnection, now: i64, until: i64) -> sqlx::Result<()> {
    let sql = "UPDATE mails SET next_try = $2 WHERE state = 'queued' AND next_try <= $1";
    sqlx::query(sql).bind(now).bind(until).execute(db).await?;
    Ok(())
}

/// When the next mail is to be tried, in microseconds.
///
/// # Errors
/// When the database fails.
pub async fn next_try(db: &mut AnyConnection) -> sqlx::Result<Option<i64>> {
    sqlx::query("SELECT MIN(next_try) FROM mails WHERE state = 'queued'").fetch_one(db).await?.try_get(0)
}
