//! Git builders, their builds, and the credentials they use.

use sim_kit::{Db, Tx};
use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::take_numbers;

/// A builder. Times are microseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// Its number.
    pub id: i64,
    /// The source that its packages go into.
    pub source_id: i64,
    /// Its name, unique in the source.
    pub name: String,
    /// Where the repository is.
    pub url: String,
    /// `commits` or `tags`.
    pub trigger: String,
    /// Empty for the default branch.
    pub branch: String,
    /// Where in the repository the package is; empty for the top.
    pub sub_dir: String,
    /// Name of a credential.
    pub credential: Option<String>,
    /// Commits to fetch; 0 for all.
    pub clone_depth: i64,
    /// How deep submodules are followed; 0 for not at all.
    pub submodules: i64,
    /// When it was made.
    pub created_at: i64,
    /// What has been given to builds, as JSON.
    pub seen: String,
    /// When the repository is looked at next.
    pub next_poll_at: i64,
    /// Why the last look failed; empty when it did not.
    pub poll_error: String,
    /// When that was, or when the builder was made.
    pub polled_at: i64,
}

const BUILDER: &str = "id, source_id, name, url, build_trigger, branch, sub_dir, credential, clone_depth, submodules, \
                       created_at, seen, next_poll_at, poll_error, polled_at";

fn builder(row: &AnyRow) -> sqlx::Result<Builder> {
    Ok(Builder {
        id: row.try_get(0)?,
        source_id: row.try_get(1)?,
        name: row.try_get(2)?,
        url: row.try_get(3)?,
        trigger: row.try_get(4)?,
        branch: row.try_get(5)?,
        sub_dir: row.try_get(6)?,
        credential: row.try_get(7)?,
        clone_depth: row.try_get(8)?,
        submodules: row.try_get(9)?,
        created_at: row.try_get(10)?,
        seen: row.try_get(11)?,
        next_poll_at: row.try_get(12)?,
        poll_error: row.try_get(13)?,
        polled_at: row.try_get(14)?,
    })
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Build {
    /// Its number.
    pub id: i64,
    /// Whose it is.
    pub builder_id: i64,
    /// The source that the package goes into.
    pub source_id: i64,
    /// The tag that it builds; empty for a commit.
    pub tag: String,
    /// The commit that it builds.
    pub commit_sha: String,
    /// `queued`, `running`, `succeeded` or `failed`.
    pub state: String,
    /// How often it was begun.
    pub attempts: i64,
    /// When it was asked for.
    pub created_at: i64,
    /// When it ended.
    pub completed_at: Option<i64>,
    /// The transaction that it is, once it has ended.
    pub transaction_id: Option<i64>,
    /// The package that it made.
    pub package: String,
    /// Its version.
    pub version: String,
    /// Digest of the log.
    pub log: String,
    /// Why it failed.
    pub error: String,
}

const BUILD: &str = "id, builder_id, source_id, tag, commit_sha, state, attempts, created_at, completed_at, \
                     transaction_id, package, version, log, error";

fn build(row: &AnyRow) -> sqlx::Result<Build> {
    Ok(Build {
        id: row.try_get(0)?,
        builder_id: row.try_get(1)?,
        source_id: row.try_get(2)?,
        tag: row.try_get(3)?,
        commit_sha: row.try_get(4)?,
        state: row.try_get(5)?,
        attempts: row.try_get(6)?,
        created_at: row.try_get(7)?,
        completed_at: row.try_get(8)?,
        transaction_id: row.try_get(9)?,
        package: row.try_get(10)?,
        version: row.try_get(11)?,
        log: row.try_get(12)?,
        error: row.try_get(13)?,
    })
}

/// All builders, or those of one source, by name.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db, source: Option<i64>) -> sqlx::Result<Vec<Builder>> {
    let sql =
        format!("SELECT {BUILDER} FROM git_builders WHERE deleted = 0 AND (source_id = $1 OR $1 = 0) ORDER BY name");
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(source.unwrap_or(0)).fetch_all(db.pool()).await?;
    rows.iter().map(builder).collect()
}

/// The builder of this number, also a deleted one.
///
/// # Errors
/// The database's.
pub async fn get(db: &Db, id: i64) -> sqlx::Result<Option<Builder>> {
    let sql = format!("SELECT {BUILDER} FROM git_builders WHERE id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(db.pool()).await?;
    row.as_ref().map(builder).transpose()
}

/// Writes a new builder; its number is given here.
///
/// # Errors
/// The database's; a name that is taken is a violated constraint.
pub async fn insert(tx: &mut Tx, new: &Builder) -> sqlx::Result<i64> {
    let id = take_numbers(tx, "git_builders", 1).await?;
    let sql = format!("INSERT INTO git_builders ({BUILDER}) VALUES ({})", super::placeholders(1, 15));
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(new.source_id)
        .bind(&new.name)
        .bind(&new.url)
        .bind(&new.trigger)
        .bind(&new.branch)
        .bind(&new.sub_dir)
        .bind(&new.credential)
        .bind(new.clone_depth)
        .bind(new.submodules)
        .bind(new.created_at)
        .bind(&new.seen)
        .bind(new.next_poll_at)
        .bind(&new.poll_error)
        .bind(new.polled_at)
        .execute(&mut **tx)
        .await?;
    Ok(id)
}

/// Changes what an administrator can change of a builder.
///
/// # Errors
/// The database's.
pub async fn update(tx: &mut Tx, now: &Builder) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE git_builders SET url = $1, branch = $2, sub_dir = $3, credential = $4, clone_depth = $5, submodules = $6,
         next_poll_at = $7 WHERE id = $8",
    )
    .bind(&now.url)
    .bind(&now.branch)
    .bind(&now.sub_dir)
    .bind(&now.credential)
    .bind(now.clone_depth)
    .bind(now.submodules)
    .bind(now.next_poll_at)
    .bind(now.id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Takes a builder away; builds of it that have not begun never will.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, id: i64, now: i64) -> sqlx::Result<()> {
    sqlx::query("UPDATE git_builders SET deleted = 1 WHERE id = $1").bind(id).execute(&mut **tx).await?;
    sqlx::query(
        "UPDATE git_builds SET state = 'failed', error = 'the builder was deleted', completed_at = $1
         WHERE builder_id = $2 AND state = 'queued'",
    )
    .bind(now)
    .bind(id)
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Makes the caller the one who looks at a repository that is due. False when another was faster.
///
/// # Errors
/// The database's.
pub async fn claim_poll(tx: &mut Tx, due: &Builder, next: i64) -> sqlx::Result<bool> {
    let done =
        sqlx::query("UPDATE git_builders SET next_poll_at = $1 WHERE id = $2 AND next_poll_at = $3 AND deleted = 0")
            .bind(next)
            .bind(due.id)
            .bind(due.next_poll_at)
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Notes what a look at the repository of a builder has found, if it had seen what was known before: `of` is its number and that. False when another was faster.
///
/// # Errors
/// The database's.
pub async fn set_seen(tx: &mut Tx, of: (i64, &str), seen: &str, error: &str, now: i64) -> sqlx::Result<bool> {
    let (id, before) = of;
    let done =
        sqlx::query("UPDATE git_builders SET seen = $1, poll_error = $2, polled_at = $3 WHERE id = $4 AND seen = $5 AND deleted = 0")
            .bind(seen)
            .bind(error)
            .bind(now)
            .bind(id)
            .bind(before)
            .execute(&mut **tx)
            .await?;
    Ok(done.rows_affected() > 0)
}

/// Asks for a build of a commit, which a tag may name; gives its number.
///
/// # Errors
/// The database's.
pub async fn enqueue(tx: &mut Tx, of: (i64, i64), tag: &str, sha: &str, now: i64) -> sqlx::Result<i64> {
    let id = take_numbers(tx, "git_builds", 1).await?;
    let (builder, source) = of;
    let sql = format!(
        "INSERT INTO git_builds ({BUILD}, owner, lease_until)
         VALUES ($1, $2, $3, $4, $5, 'queued', 0, $6, NULL, NULL, '', '', '', '', '', 0)"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(id)
        .bind(builder)
        .bind(source)
        .bind(tag)
        .bind(sha)
        .bind(now)
        .execute(&mut **tx)
        .await?;
    Ok(id)
}

/// Claims the oldest build that nobody works on, for `owner` until `until`.
///
/// # Errors
/// The database's.
pub async fn claim(tx: &mut Tx, owner: &str, now: i64, until: i64) -> sqlx::Result<Option<Build>> {
    let row = sqlx::query(
        "UPDATE git_builds SET state = 'running', owner = $1, lease_until = $2, attempts = attempts + 1
         WHERE id = (SELECT MIN(id) FROM git_builds WHERE state = 'queued' OR (state = 'running' AND lease_until <= $3))
         AND (state = 'queued' OR (state = 'running' AND lease_until <= $3)) RETURNING id",
    )
    .bind(owner)
    .bind(until)
    .bind(now)
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let id: i64 = row.try_get(0)?;
    let sql = format!("SELECT {BUILD} FROM git_builds WHERE id = $1");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id).fetch_one(&mut **tx).await?;
    build(&row).map(Some)
}

/// Ends all leases: for a database that has one process at a time, when that begins.
///
/// # Errors
/// The database's.
pub async fn release_all(tx: &mut Tx) -> sqlx::Result<()> {
    sqlx::query("UPDATE git_builds SET lease_until = 0 WHERE state = 'running'").execute(&mut **tx).await?;
    Ok(())
}

/// Writes how a build ended, if `owner` still has it: `state`, package, version, log, error and transaction of `end`. False
/// when another has it now.
///
/// # Errors
/// The database's.
pub async fn finish(tx: &mut Tx, owner: &str, end: &Build) -> sqlx::Result<bool> {
    let done = sqlx::query(
        "UPDATE git_builds SET state = $1, completed_at = $2, transaction_id = $3, package = $4, version = $5, log = $6,
         error = $7 WHERE id = $8 AND owner = $9 AND state = 'running'",
    )
    .bind(&end.state)
    .bind(end.completed_at)
    .bind(end.transaction_id)
    .bind(&end.package)
    .bind(&end.version)
    .bind(&end.log)
    .bind(&end.error)
    .bind(end.id)
    .bind(owner)
    .execute(&mut **tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

/// A build by its number.
///
/// # Errors
/// The database's.
pub async fn build_by_id(db: &Db, id: i64) -> sqlx::Result<Option<Build>> {
    one(db, "id = $1", id).await
}

/// The build that a transaction is.
///
/// # Errors
/// The database's.
pub async fn build_by_transaction(db: &Db, transaction: i64) -> sqlx::Result<Option<Build>> {
    one(db, "transaction_id = $1", transaction).await
}

async fn one(db: &Db, condition: &'static str, value: i64) -> sqlx::Result<Option<Build>> {
    let sql = format!("SELECT {BUILD} FROM git_builds WHERE {condition}");
    let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(value).fetch_optional(db.pool()).await?;
    row.as_ref().map(build).transpose()
}

/// Builds of a source, or of one of its builders, newest first.
///
/// # Errors
/// The database's.
pub async fn builds(db: &Db, source: i64, builder: Option<i64>, limit: i64, offset: i64) -> sqlx::Result<Vec<Build>> {
    let sql = format!(
        "SELECT {BUILD} FROM git_builds WHERE source_id = $1 AND (builder_id = $2 OR $2 = 0)
         ORDER BY id DESC LIMIT $3 OFFSET $4"
    );
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(source)
        .bind(builder.unwrap_or(0))
        .bind(limit)
        .bind(offset)
        .fetch_all(db.pool())
        .await?;
    rows.iter().map(build).collect()
}

/// The commit that a version of a package was built from; of several builds the last.
///
/// # Errors
/// The database's.
pub async fn sha_of(db: &Db, source: i64, package: &str, version: &str) -> sqlx::Result<Option<String>> {
    let row = sqlx::query(
        "SELECT commit_sha FROM git_builds WHERE source_id = $1 AND package = $2 AND version = $3 AND state = 'succeeded'
         ORDER BY transaction_id DESC LIMIT 1",
    )
    .bind(source)
    .bind(package)
    .bind(version)
    .fetch_optional(db.pool())
    .await?;
    row.map(|row| row.try_get(0)).transpose()
}

/// When there is something to do next: a repository to look at, or a lease that runs out. What is queued is due since 1970.
///
/// # Errors
/// The database's.
pub async fn next_due(db: &Db) -> sqlx::Result<Option<i64>> {
    let row = sqlx::query(
        "SELECT MIN(due) FROM (SELECT next_poll_at AS due FROM git_builders WHERE deleted = 0
         UNION ALL SELECT lease_until AS due FROM git_builds WHERE state = 'running'
         UNION ALL SELECT 0 AS due FROM git_builds WHERE state = 'queued') AS work",
    )
    .fetch_one(db.pool())
    .await?;
    row.try_get(0)
}

/// What is sent to a git server that asks who reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its name.
    pub name: String,
    /// `https`.
    pub kind: String,
    /// The user.
    pub username: String,
    /// The password or token.
    pub password: String,
    /// Microseconds since 1970.
    pub created_at: i64,
}

/// All credentials by name.
///
/// # Errors
/// The database's.
pub async fn credentials(db: &Db) -> sqlx::Result<Vec<Credential>> {
    let rows = sqlx::query("SELECT name, kind, username, password, created_at FROM git_credentials ORDER BY name")
        .fetch_all(db.pool())
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Credential {
                name: row.try_get(0)?,
                kind: row.try_get(1)?,
                username: row.try_get(2)?,
                password: row.try_get(3)?,
                created_at: row.try_get(4)?,
            })
        })
        .collect()
}

/// Writes a credential.
///
/// # Errors
/// The database's; a name that is taken is a violated constraint.
pub async fn insert_credential(tx: &mut Tx, new: &Credential) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO git_credentials (name, kind, username, password, created_at) VALUES ($1, $2, $3, $4, $5)")
        .bind(&new.name)
        .bind(&new.kind)
        .bind(&new.username)
        .bind(&new.password)
        .bind(new.created_at)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes a credential away. False when there is none of this name.
///
/// # Errors
/// The database's.
pub async fn delete_credential(tx: &mut Tx, name: &str) -> sqlx::Result<bool> {
    let done = sqlx::query("DELETE FROM git_credentials WHERE name = $1").bind(name).execute(&mut **tx).await?;
    Ok(done.rows_affected() > 0)
}
