//! Builders and builds as rows, on both engines.

use pkg_formats::psp::{RRecord, RState, RVersion};
use pkgmgr_sim::record;
use pkgmgr_sim::store::builders::{self, Build, Builder, Credential};
use pkgmgr_sim::store::transactions::{self, Transaction};
use pkgmgr_sim::store::{MIGRATIONS, packages, sources, take_instant, take_numbers};
use serde_json::json;
use sim_kit::Db;
use sim_kit::testing::Postgres;

use crate::Team;

fn builder(source_id: i64, name: &str) -> Builder {
    Builder {
        id: 0,
        source_id,
        name: name.to_owned(),
        url: "https://git.example.org/a.git".to_owned(),
        trigger: "commits".to_owned(),
        branch: String::new(),
        sub_dir: String::new(),
        credential: None,
        clone_depth: 1,
        submodules: 0,
        created_at: 1,
        seen: "{}".to_owned(),
        next_poll_at: 100,
        poll_error: String::new(),
        polled_at: 1,
    }
}

async fn builds_end_once(db: &Db) {
    let mut tx = db.write().await.unwrap();
    let source = sources::create(&mut tx, "git", "git", None, 1).await.unwrap();
    let id = builders::insert(&mut tx, &builder(source, "own")).await.unwrap();
    let first = builders::enqueue(&mut tx, (id, source), "", "aa", 5).await.unwrap();
    let second = builders::enqueue(&mut tx, (id, source), "v1", "bb", 5).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.write().await.unwrap();
    assert!(builders::insert(&mut tx, &builder(source, "own")).await.is_err(), "the name is taken");
    drop(tx);

    let claim = async |owner: &str, now: i64| {
        let mut tx = db.write().await.unwrap();
        let claimed = builders::claim(&mut tx, owner, now, now + 10).await.unwrap();
        tx.commit().await.unwrap();
        claimed.map(|build| (build.id, build.attempts))
    };
    assert_eq!(claim("one", 50).await, Some((first, 1)));
    assert_eq!(claim("two", 50).await, Some((second, 1)));
    assert_eq!(claim("two", 59).await, None, "both are at work");
    assert_eq!(builders::next_due(db).await.unwrap(), Some(60));
    assert_eq!(claim("two", 60).await, Some((first, 2)), "the first node is dead");
    let end = |id, transaction| Build {
        id,
        state: "succeeded".to_owned(),
        package: "own".to_owned(),
        version: "1.0".to_owned(),
        completed_at: Some(61),
        transaction_id: Some(transaction),
        ..Build::default()
    };
    let mut tx = db.write().await.unwrap();
    assert!(!builders::finish(&mut tx, "one", &end(first, 7)).await.unwrap(), "it is not its any more");
    assert!(builders::finish(&mut tx, "two", &end(first, 8)).await.unwrap());
    assert!(!builders::finish(&mut tx, "two", &end(first, 9)).await.unwrap(), "it has ended");
    builders::release_all(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(claim("three", 62).await, Some((second, 2)));
    assert_eq!(builders::sha_of(db, source, "own", "1.0").await.unwrap().as_deref(), Some("aa"));
    assert_eq!(builders::build_by_transaction(db, 8).await.unwrap().unwrap().id, first);
    assert_eq!(builders::build_by_transaction(db, 7).await.unwrap(), None);
    let ids: Vec<i64> = builders::builds(db, source, Some(id), 10, 0).await.unwrap().iter().map(|b| b.id).collect();
    assert_eq!(ids, [second, first]);

    let own = builders::list(db, Some(source)).await.unwrap().remove(0);
    let mut tx = db.write().await.unwrap();
    assert!(builders::claim_poll(&mut tx, &own, 200).await.unwrap());
    assert!(!builders::claim_poll(&mut tx, &own, 200).await.unwrap(), "another was faster");
    assert!(builders::set_seen(&mut tx, (id, "{}"), "{\"commit\":\"aa\"}", "", 3).await.unwrap());
    assert!(!builders::set_seen(&mut tx, (id, "{}"), "{\"commit\":\"bb\"}", "", 3).await.unwrap());
    builders::enqueue(&mut tx, (id, source), "", "cc", 5).await.unwrap();
    builders::delete(&mut tx, id, 70).await.unwrap();
    builders::insert(&mut tx, &builder(source, "own")).await.unwrap();
    let credential = Credential {
        name: "ci".to_owned(),
        kind: "https".to_owned(),
        username: "u".to_owned(),
        password: "p".to_owned(),
        created_at: 1,
    };
    builders::insert_credential(&mut tx, &credential).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(builders::credentials(db).await.unwrap(), [credential]);
    assert_eq!(claim("three", 80).await, Some((second, 3)), "what a deleted builder had not begun is never made");
    let mut tx = db.write().await.unwrap();
    assert!(builders::delete_credential(&mut tx, "ci").await.unwrap());
    assert!(!builders::delete_credential(&mut tx, "ci").await.unwrap());
}

#[tokio::test]
async fn on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    builds_end_once(&Db::sqlite(&folder.path().join("db"), MIGRATIONS).await.unwrap()).await;
}

#[tokio::test]
async fn on_postgres() {
    let Some(postgres) = Postgres::start() else { return };
    builds_end_once(&postgres.db(MIGRATIONS).await).await;
}

/// What a build writes at its end, in the moment before the server has read it anew.
#[tokio::test]
async fn a_build_has_succeeded_when_the_index_shows_it() {
    let team = Team::synced().await;
    let made = team.does("POST", "/__api__/sources", json!({"name": "git", "type": "git"})).await;
    let source = made["id"].as_i64().unwrap();
    team.does("POST", "/__api__/repos", json!({"name": "own"})).await;
    team.does("POST", "/__api__/repos/own/sources", json!({"source": "git"})).await;
    let index = "/own/latest/src/contrib/PACKAGES";
    assert!(!team.get(index).await.text().contains("Package: own"));

    let world = team.running.world();
    let now = world.clock().now_micros();
    let mut tx = world.db().write().await.unwrap();
    let idle = Builder { next_poll_at: i64::MAX, ..builder(source, "own") };
    let id = builders::insert(&mut tx, &idle).await.unwrap();
    let build = builders::enqueue(&mut tx, (id, source), "", "aa", now).await.unwrap();
    builders::claim(&mut tx, "another", now, i64::MAX).await.unwrap().unwrap();
    let transaction = take_numbers(&mut tx, "transactions", 1).await.unwrap();
    let at = take_instant(&mut tx, now).await.unwrap();
    let version = RVersion {
        archived_at: None,
        artifacts: vec![],
        description: "Package: own\nVersion: 1.0\n".to_owned(),
        published_at: record::instant(at),
        readme: None,
        readme_type: None,
        state: RState::Current,
        version: "1.0".to_owned(),
    };
    let own = RRecord { name: "own".to_owned(), removed_at: None, versions: vec![version] };
    let own = record::r_package(&own, serde_json::to_string(&own).unwrap(), "x".to_owned());
    packages::put(&mut tx, source, transaction, &[own], false, |_, _| false).await.unwrap();
    let done = Transaction {
        id: transaction,
        source_id: Some(source),
        action: "Git build".to_owned(),
        created_at: now,
        completed_at: now,
        as_of: Some(at + 1),
        ..Transaction::default()
    };
    transactions::insert(&mut tx, &done).await.unwrap();
    let end = Build {
        id: build,
        state: "succeeded".to_owned(),
        package: "own".to_owned(),
        version: "1.0".to_owned(),
        completed_at: Some(now),
        transaction_id: Some(transaction),
        ..Build::default()
    };
    assert!(builders::finish(&mut tx, "another", &end).await.unwrap());
    tx.commit().await.unwrap();

    let told = team.does("GET", "/__api__/sources/git/git-builds", serde_json::Value::Null).await;
    assert_eq!(told[0]["status"], "succeeded", "{told}");
    assert!(team.text(index).await.contains("Package: own\nVersion: 1.0\n"), "it was told before it was there");
}
