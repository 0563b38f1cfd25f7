//! Rows of sessions. The row of a session that has ended stays for those who ask what became of it; only the latest
//! are kept.

use sim_kit::Db;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::session::{Ide, Session, State};

const COLUMNS: &str = "session_id, user_name, workbench, label, activity_state, status_message, created, last_used, \
                       last_state_updated, r_version, python_version, working_directory, launch_parameters, server_url";

/// Ended sessions of a user that are remembered.
const REMEMBERED: i64 = 100;

fn decode<E: Into<Box<dyn std::error::Error + Send + Sync>>>(error: E) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

fn session(row: &AnyRow) -> sqlx::Result<Session> {
    Ok(Session {
        id: row.try_get(0)?,
        user: row.try_get(1)?,
        ide: row.try_get::<String, _>(2)?.parse::<Ide>().map_err(decode)?,
        label: row.try_get(3)?,
        state: row.try_get::<String, _>(4)?.parse::<State>().map_err(decode)?,
        status_message: row.try_get(5)?,
        created: row.try_get(6)?,
        last_used: row.try_get(7)?,
        last_state_updated: row.try_get(8)?,
        r_version: row.try_get(9)?,
        python_version: row.try_get(10)?,
        working_directory: row.try_get(11)?,
        launch_parameters: serde_json::from_str(&row.try_get::<String, _>(12)?).map_err(decode)?,
        server_url: row.try_get(13)?,
    })
}

/// Adds a row, unless the user has `limit` sessions that have not ended; then answers false.
pub(crate) async fn add(db: &Db, session: &Session, limit: i64) -> sqlx::Result<bool> {
    let mut tx = db.write().await?;
    let open: i64 = sqlx::query(
        "SELECT COUNT(*) FROM active_session_metadata \
         WHERE user_name = $1 AND activity_state NOT IN ('finished', 'failed', 'killed')",
    )
    .bind(session.user.as_str())
    .fetch_one(&mut *tx)
    .await?
    .try_get(0)?;
    if open >= limit {
        return Ok(false);
    }
    let sql = format!(
        "INSERT INTO active_session_metadata ({COLUMNS}) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(session.id.as_str())
        .bind(session.user.as_str())
        .bind(session.ide.name())
        .bind(session.label.as_str())
        .bind(session.state.name())
        .bind(session.status_message.as_str())
        .bind(session.created)
        .bind(session.last_used)
        .bind(session.last_state_updated)
        .bind(session.r_version.as_str())
        .bind(session.python_version.as_str())
        .bind(session.working_directory.as_str())
        .bind(session.launch_parameters.to_string())
        .bind(session.server_url.as_str())
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(true)
}

/// The session `id`.
pub(crate) async fn find(db: &Db, id: &str) -> sqlx::Result<Option<Session>> {
    let sql = format!("SELECT {COLUMNS} FROM active_session_metadata WHERE session_id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(db.pool()).await?;
    row.as_ref().map(session).transpose()
}

/// Sessions that have not been quit, newest first: of one user, or with none of everybody. Failed ones are shown until
/// they are quit.
pub(crate) async fn open(db: &Db, user: Option<&str>) -> sqlx::Result<Vec<Session>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM active_session_metadata \
         WHERE ($1 = '' OR user_name = $1) AND activity_state NOT IN ('finished', 'killed') \
         ORDER BY created DESC, session_id"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(user.unwrap_or_default()).fetch_all(db.pool()).await?;
    rows.iter().map(session).collect()
}

/// Moves a session to `to` if it is in one of `from`; answers whether it was.
pub(crate) async fn move_to(
    db: &Db,
    id: &str,
    from: &[State],
    to: State,
    message: &str,
    now: i64,
) -> sqlx::Result<bool> {
    let names: Vec<String> = from.iter().map(|state| format!("'{}'", state.name())).collect();
    let sql = format!(
        "UPDATE active_session_metadata SET activity_state = $1, status_message = $2, last_state_updated = $3 \
         WHERE session_id = $4 AND activity_state IN ({})",
        names.join(", ")
    );
    let mut tx = db.write().await?;
    let done = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(to.name())
        .bind(message)
        .bind(now)
        .bind(id)
        .execute(&mut *tx)
        .await?
        .rows_affected();
    if done > 0 && to.has_ended() {
        sqlx::query(
            "DELETE FROM active_session_metadata WHERE activity_state IN ('finished', 'killed') AND last_state_updated < ( \
               SELECT MIN(last_state_updated) FROM ( \
                 SELECT last_state_updated FROM active_session_metadata WHERE activity_state IN ('finished', 'killed') \
                 ORDER BY last_state_updated DESC LIMIT $1) AS latest)",
        )
        .bind(REMEMBERED)
        .execute(&mut *tx)
        .await?;
    }
    tx.commit().await?;
    Ok(done > 0)
}

/// Notes that the user did something in the session.
pub(crate) async fn touch(db: &Db, id: &str, now: i64) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE active_session_metadata SET last_used = $1 WHERE session_id = $2")
        .bind(now)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}

/// Gives the session another name.
pub(crate) async fn rename(db: &Db, id: &str, label: &str) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query("UPDATE active_session_metadata SET label = $1 WHERE session_id = $2")
        .bind(label)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    tx.commit().await
}
