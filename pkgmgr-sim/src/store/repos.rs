//! Repos and the sources they are made of.

use sim_kit::{Db, Tx};
use sqlx::{AnyConnection, Row as _};

use super::sources::Language;
use super::take_numbers;

/// What clients address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repo {
    /// Its number.
    pub id: i64,
    /// Its name, unique.
    pub name: String,
    /// `R`, `Python`, `Bioconductor` or `VSX`.
    pub kind: String,
    /// Free text.
    pub description: String,
    /// Left out of the list on the home page.
    pub hidden: bool,
    /// Needs a token.
    pub authenticated: bool,
    /// Microseconds since 1970.
    pub created_at: i64,
    /// What it was made of, oldest first.
    pub subscriptions: Vec<Subscription>,
}

impl Repo {
    /// What its packages are for.
    #[must_use]
    pub fn language(&self) -> Language {
        match self.kind.as_str() {
            "Python" => Language::Python,
            "VSX" => Language::Vsx,
            _ => Language::R,
        }
    }
}

/// The sources of a repo from a transaction on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The transaction.
    pub since_tx: i64,
    /// Its time in microseconds since 1970.
    pub since: i64,
    /// Numbers of sources; of two that have a package the first wins.
    pub sources: Vec<i64>,
}

/// All repos in the order of their numbers.
///
/// # Errors
/// The database's.
pub async fn list(db: &Db) -> sqlx::Result<Vec<Repo>> {
    read(&mut *db.read().await?).await
}

/// All repos, as a transaction sees them.
///
/// # Errors
/// The database's.
pub async fn list_in(tx: &mut Tx) -> sqlx::Result<Vec<Repo>> {
    read(&mut *tx).await
}

async fn read(connection: &mut AnyConnection) -> sqlx::Result<Vec<Repo>> {
    let rows =
        sqlx::query("SELECT id, name, type, description, hidden, authenticated, created_at FROM repos ORDER BY id")
            .fetch_all(&mut *connection)
            .await?;
    let mut repos = rows
        .iter()
        .map(|row| {
            Ok(Repo {
                id: row.try_get(0)?,
                name: row.try_get(1)?,
                kind: row.try_get(2)?,
                description: row.try_get(3)?,
                hidden: row.try_get::<i64, _>(4)? != 0,
                authenticated: row.try_get::<i64, _>(5)? != 0,
                created_at: row.try_get(6)?,
                subscriptions: Vec::new(),
            })
        })
        .collect::<sqlx::Result<Vec<_>>>()?;
    let rows = sqlx::query("SELECT repo_id, since_tx, since, sources FROM subscriptions ORDER BY repo_id, since_tx")
        .fetch_all(&mut *connection)
        .await?;
    for row in &rows {
        let id: i64 = row.try_get(0)?;
        let sources = serde_json::from_str(&row.try_get::<String, _>(3)?)
            .map_err(|error| sqlx::Error::ColumnDecode { index: "sources".to_owned(), source: error.into() })?;
        if let Some(repo) = repos.iter_mut().find(|repo| repo.id == id) {
            repo.subscriptions.push(Subscription { since_tx: row.try_get(1)?, since: row.try_get(2)?, sources });
        }
    }
    Ok(repos)
}

/// Makes a repo without sources and gives its number.
///
/// # Errors
/// The database's; a name that is taken is a violated constraint.
pub async fn create(tx: &mut Tx, name: &str, kind: &str, description: &str, now: i64) -> sqlx::Result<i64> {
    let id = take_numbers(tx, "repos", 1).await?;
    sqlx::query(
        "INSERT INTO repos (id, name, type, description, hidden, authenticated, created_at)
         VALUES ($1, $2, $3, $4, 0, 0, $5)",
    )
    .bind(id)
    .bind(name)
    .bind(kind)
    .bind(description)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    Ok(id)
}

/// Makes `repo` consist of `sources` from transaction `since_tx` on.
///
/// # Errors
/// The database's.
pub async fn subscribe(tx: &mut Tx, repo: i64, since_tx: i64, now: i64, sources: &[i64]) -> sqlx::Result<()> {
    let sources = serde_json::to_string(sources).expect("numbers are JSON");
    sqlx::query("INSERT INTO subscriptions (repo_id, since_tx, since, sources) VALUES ($1, $2, $3, $4)")
        .bind(repo)
        .bind(since_tx)
        .bind(now)
        .bind(sources)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Writes name, description and flags of `repo`.
///
/// # Errors
/// The database's; a name that is taken is a violated constraint.
pub async fn update(tx: &mut Tx, repo: &Repo) -> sqlx::Result<()> {
    sqlx::query("UPDATE repos SET name = $1, description = $2, hidden = $3, authenticated = $4 WHERE id = $5")
        .bind(&repo.name)
        .bind(&repo.description)
        .bind(i64::from(repo.hidden))
        .bind(i64::from(repo.authenticated))
        .bind(repo.id)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// Takes a repo away.
///
/// # Errors
/// The database's.
pub async fn delete(tx: &mut Tx, repo: i64) -> sqlx::Result<()> {
    let tables = [
        "DELETE FROM subscriptions WHERE repo_id = $1",
        "DELETE FROM urls WHERE repo_id = $1",
        "DELETE FROM repos WHERE id = $1",
    ];
    for sql in tables {
        sqlx::query(sql).bind(repo).execute(&mut **tx).await?;
    }
    Ok(())
}
