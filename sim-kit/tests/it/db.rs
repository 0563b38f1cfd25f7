//! The same SQL on both engines.

use sim_kit::db::DbError;
use sim_kit::testing::Postgres;
use sim_kit::{Db, Migration};

use super::MIGRATIONS;

async fn behaves(db: Db) {
    let insert = "INSERT INTO notes (id, text, number) VALUES ($1, $2, $3)";
    let count =
        async || -> i64 { sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(db.pool()).await.unwrap() };
    let mut tx = db.write().await.unwrap();
    sqlx::query(insert).bind("a").bind(None::<String>).bind(i64::MAX).execute(&mut *tx).await.unwrap();
    drop(tx);
    assert_eq!(count().await, 0, "a dropped transaction leaves nothing");
    let mut tx = db.write().await.unwrap();
    sqlx::query(insert).bind("a").bind("ü\u{1F600}").bind(-1_i64).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let (text, number): (Option<String>, i64) =
        sqlx::query_as("SELECT text, number FROM notes WHERE id = $1").bind("a").fetch_one(db.pool()).await.unwrap();
    assert_eq!((text.as_deref(), number), (Some("ü\u{1F600}"), -1));

    // Many writers that read first and write then: none fails, none is lost.
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let db = db.clone();
        writers.spawn(async move {
            let mut tx = db.write().await.unwrap();
            let number: i64 =
                sqlx::query_scalar("SELECT number FROM notes WHERE id = 'a' ").fetch_one(&mut *tx).await.unwrap();
            // PostgreSQL lets writers interleave; the increment is in the database there.
            let _ = number;
            sqlx::query("UPDATE notes SET number = number + 1 WHERE id = 'a'").execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        });
    }
    while let Some(result) = writers.join_next().await {
        result.unwrap();
    }
    let number: i64 = sqlx::query_scalar("SELECT number FROM notes WHERE id = 'a'").fetch_one(db.pool()).await.unwrap();
    assert_eq!(number, 19);
}

#[tokio::test]
async fn sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x/db.sqlite");
    behaves(Db::sqlite(&path, MIGRATIONS).await.unwrap()).await;
    let again = Db::sqlite(&path, MIGRATIONS).await.unwrap();
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(again.pool()).await.unwrap();
    assert_eq!(count, 1, "an opened database is not migrated twice");

    // A failure that ends the transaction behind the pool's back, as a full disk does.
    for _ in 0..20 {
        let mut tx = again.write().await.unwrap();
        let failing = "INSERT OR ROLLBACK INTO notes (id, text, number) VALUES ('a', NULL, 1)";
        assert!(sqlx::query(failing).execute(&mut *tx).await.is_err());
        drop(tx);
    }
    let mut tx = again.write().await.unwrap();
    sqlx::query("UPDATE notes SET number = 7").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();

    let changed = [Migration { sql: "CREATE TABLE notes (id TEXT);", ..MIGRATIONS[0] }];
    assert!(matches!(Db::sqlite(&path, &changed).await, Err(DbError::Changed { version: 1, .. })));
    assert!(matches!(Db::sqlite(&path, &[]).await, Err(DbError::Newer(1))));
}

/// What is written all the time moves on from SQLite's log, so that this stays as long as it is.
#[tokio::test]
async fn the_log_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::sqlite(&folder.path().join("db.sqlite"), MIGRATIONS).await.unwrap();
    let length = || std::fs::metadata(folder.path().join("db.sqlite-wal")).unwrap().len();
    let text = "x".repeat(4000);
    let mut before = 0;
    loop {
        for number in 0..1000_i64 {
            let mut tx = db.write().await.unwrap();
            let sql = "INSERT INTO notes (id, text, number) VALUES ('a', $1, $2) \
                 ON CONFLICT (id) DO UPDATE SET number = excluded.number";
            sqlx::query(sql).bind(&text).bind(number).execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
        }
        // Here a writer would move it, with all others waiting.
        assert!(length() < 60 << 20);
        if length() == before {
            break;
        }
        before = length();
    }
}

#[tokio::test]
async fn postgres() {
    let Some(server) = Postgres::start() else { return };
    behaves(server.db(MIGRATIONS).await).await;
}
