//! The same store on SQLite and on PostgreSQL.

use pkgmgr_sim::store::devices::Device;
use pkgmgr_sim::store::nodes::{self, Node};
use pkgmgr_sim::store::packages::{self, Package, Shows};
use pkgmgr_sim::store::sources::{self, Feed};
use pkgmgr_sim::store::tokens::{self, Token};
use pkgmgr_sim::store::transactions::{self, Point, Transaction};
use pkgmgr_sim::store::{MIGRATIONS, assertions, devices, downloads, repos, rules, take_instant, take_numbers, urls};
use sim_kit::testing::Postgres;
use sim_kit::{Db, HostConfig, WorldConfig};

use serde_json::json;

use crate::administration::r_package;
use crate::service::Service;
use crate::{Team, config, host};

fn package(name: &str, record: &str, changed_at: i64) -> Package {
    Package {
        name: name.to_owned(),
        digest: format!("{changed_at:064x}"),
        changed_at,
        entry: format!("entry of {record}"),
        record: record.to_owned(),
    }
}

async fn keeps_every_state(db: &Db) {
    let mut tx = db.write().await.unwrap();
    let source = sources::create(&mut tx, "s", "cran", Some("cran"), 1).await.unwrap();
    let repo = repos::create(&mut tx, "r", "R", "text", 1).await.unwrap();
    repos::subscribe(&mut tx, repo, 1, 1, &[source, 7]).await.unwrap();
    assert_eq!(take_numbers(&mut tx, "transactions", 9).await.unwrap(), 1);
    assert_eq!(take_numbers(&mut tx, "transactions", 5).await.unwrap(), 10);
    tx.commit().await.unwrap();
    assert_eq!(sources::feed(db, source).await.unwrap(), None);

    let states = [
        (10, 100, vec![package("a", "a1", 90), package("Ä b", "b1", 90)]),
        (11, 200, vec![package("a", "a2", 150)]),
        (12, 300, vec![package("a", "a3", 250), package("c", "c1", 250)]),
    ];
    for (id, as_of, new) in &states {
        let mut tx = db.write().await.unwrap();
        // The second change of `a` shows the same for the past, the third does not.
        packages::put(&mut tx, source, *id, new, false, |_, new| new == "a2").await.unwrap();
        let transaction = Transaction {
            id: *id,
            source_id: Some(source),
            action: "Sync".into(),
            as_of: Some(*as_of),
            published_from: None,
            ..Transaction::default()
        };
        transactions::insert(&mut tx, &transaction).await.unwrap();
        let feed = Feed { service_id: "x".into(), history_from: 1, seq: *id, checkpoint: "c".into() };
        sources::set_feed(&mut tx, source, &feed).await.unwrap();
        tx.commit().await.unwrap();
    }
    for (day, count) in [(0, 2), (0, 3), (86_400_000_000, 1)] {
        let mut tx = db.write().await.unwrap();
        downloads::add(&mut tx, source, "a", "1.0", day, count).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(downloads::of(db, source, "a").await.unwrap(), 6);
    assert_eq!(downloads::of(db, source, "b").await.unwrap(), 0);
    assert_eq!(downloads::since(db, 0).await.unwrap(), [(source, "a".to_owned(), 6)]);
    let mut tx = db.write().await.unwrap();
    assert!(assertions::spend(&mut tx, "a", 10, 5).await.unwrap());
    assert!(!assertions::spend(&mut tx, "a", 10, 10).await.unwrap(), "it was used");
    assert!(assertions::spend(&mut tx, "b", 20, 11).await.unwrap(), "what has ended is forgotten");
    let device = Device {
        id: "d".into(),
        user_code: "BCDF-GHJK".into(),
        challenge: "c".into(),
        state: "pending".into(),
        approver: None,
        created_at: 1,
        expires_at: 10,
        polled_at: 0,
        interval_seconds: 5,
    };
    let other = Device { id: "e".into(), user_code: "BCDF-GHJL".into(), expires_at: 3, ..device.clone() };
    assert_eq!(devices::insert(&mut tx, &other, 0).await.unwrap(), 0);
    assert_eq!(devices::insert(&mut tx, &device, 0).await.unwrap(), 1, "the other one waits");
    assert!(!devices::answer(&mut tx, "BCDF-GHJL", "approved", "t", 3).await.unwrap(), "it is too late");
    assert!(devices::answer(&mut tx, "BCDF-GHJK", "approved", "t", 3).await.unwrap());
    assert!(!devices::answer(&mut tx, "BCDF-GHJK", "denied", "t", 3).await.unwrap(), "once");
    assert!(devices::advance(&mut tx, "d", "approved", "given").await.unwrap());
    assert!(!devices::advance(&mut tx, "d", "approved", "given").await.unwrap(), "once");
    devices::polled(&mut tx, "d", 4, 9).await.unwrap();
    let now = Device { state: "given".into(), approver: Some("t".into()), polled_at: 4, interval_seconds: 9, ..device };
    assert_eq!(devices::get(&mut tx, "d").await.unwrap(), Some(now.clone()));
    let third = Device { id: "f".into(), user_code: "BCDF-GHJM".into(), ..other };
    assert_eq!(devices::insert(&mut tx, &third, 4).await.unwrap(), 0);
    assert_eq!(devices::get(&mut tx, "e").await.unwrap(), None, "long ago");
    tx.commit().await.unwrap();
    assert_eq!(devices::by_user_code(db, "BCDF-GHJK").await.unwrap(), Some(now));
    // Rolled back: nothing of it is seen.
    let mut tx = db.write().await.unwrap();
    packages::put(&mut tx, source, 13, &[package("d", "d1", 1)], false, |_, _| false).await.unwrap();
    drop(tx);

    let at = |tx, as_of| Point { tx, as_of };
    assert_eq!(transactions::point(db, source, i64::MAX).await.unwrap(), Some(at(12, 300)));
    assert_eq!(transactions::point(db, source, 11).await.unwrap(), Some(at(11, 200)));
    assert_eq!(transactions::point(db, source, 9).await.unwrap(), None);
    assert_eq!(transactions::point_at(db, source, 299).await.unwrap(), Some(at(11, 200)));
    assert_eq!(transactions::point_at(db, source, 99).await.unwrap(), None);
    let record =
        async |point, name: &str| packages::get(db, source, point, name).await.unwrap().map(|(_, record)| record);
    assert_eq!(record(at(10, 100), "a").await.as_deref(), Some("a2"));
    assert_eq!(record(at(11, 200), "a").await.as_deref(), Some("a2"));
    assert_eq!(record(at(12, 300), "a").await.as_deref(), Some("a3"));
    assert_eq!(record(at(12, 300), "Ä b").await.as_deref(), Some("b1"));
    assert_eq!(record(at(11, 200), "c").await, None);
    assert_eq!(record(at(12, 300), "d").await, None);
    let ids: Vec<i64> = {
        let mut ids = Vec::new();
        for point in [at(10, 100), at(12, 300)] {
            ids.push(packages::get(db, source, point, "a").await.unwrap().unwrap().0);
        }
        ids
    };
    assert_eq!(ids[0], ids[1], "a package keeps its number");

    let mut listed = Vec::new();
    let mut pages = packages::pages(db, source, at(12, 250), false, 1);
    while let Some(page) = pages.next().await.unwrap() {
        assert_eq!(page.len(), 1);
        listed.extend(page);
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    let shows: Vec<_> = listed.into_iter().map(|l| (l.name, l.shows)).collect();
    assert_eq!(
        shows,
        [
            ("a".to_owned(), Shows::Record("a3".into())),
            ("c".to_owned(), Shows::Record("c1".into())),
            ("Ä b".to_owned(), Shows::Entry("entry of b1".into())),
        ]
    );
    let mut digests = Vec::new();
    packages::digests(db, source, |name, digest| digests.push((name.to_owned(), digest.to_owned()))).await.unwrap();
    assert_eq!(digests.len(), 3);

    transactions::fail(db, source, "Sync", 400, 401, "no route").await.unwrap();
    transactions::fail(db, source, "Sync", 500, 501, "no route").await.unwrap();
    transactions::fail(db, source, "Sync", 600, 601, "other").await.unwrap();
    let all = transactions::list(db, source, false, 10, 0).await.unwrap();
    let failures: Vec<(i64, &str)> =
        all.iter().filter(|t| t.result == 1).map(|t| (t.completed_at, t.error.as_str())).collect();
    assert_eq!(failures, [(601, "other"), (501, "no route")]);
    assert_eq!(transactions::point(db, source, i64::MAX).await.unwrap(), Some(at(12, 300)), "failures make no state");
    assert!(!transactions::exists(db, all[0].id).await.unwrap());

    packages::set_stamped(db, "o", "s", 3).await.unwrap();
    packages::set_stamped(db, "o", "t", 4).await.unwrap();
    assert_eq!(packages::stamped(db, "o").await.unwrap(), Some(("s".to_owned(), 3)));
    let repos = repos::list(db).await.unwrap();
    assert_eq!(repos[0].subscriptions[0].sources, [source, 7]);
    administration(db, source, repos[0].clone()).await;
    let mut tx = db.write().await.unwrap();
    let twice = sources::create(&mut tx, "t", "cran", None, 1).await.unwrap_err();
    assert!(twice.as_database_error().unwrap().is_unique_violation(), "names are unique: {twice}");
}

async fn administration(db: &Db, source: i64, repo: repos::Repo) {
    let mut tx = db.write().await.unwrap();
    let first = take_instant(&mut tx, 1000).await.unwrap();
    let second = take_instant(&mut tx, 1000).await.unwrap();
    let third = take_instant(&mut tx, 2000).await.unwrap();
    assert_eq!((first, second, third), (1000, 1002, 2000));
    sources::rename(&mut tx, source, "t").await.unwrap();
    let other = sources::create(&mut tx, "other", "local", None, 1).await.unwrap();
    sources::delete(&mut tx, other).await.unwrap();
    sources::create(&mut tx, "other", "local", None, 1).await.unwrap();
    for (since, base_tx) in [(20, 10), (30, 12)] {
        sources::set_pin(&mut tx, other, since, source, Point { tx: base_tx, as_of: base_tx * 10 }).await.unwrap();
    }
    sources::set_curated(&mut tx, other, "depends,none", true).await.unwrap();
    let changed = repos::Repo { name: "x".into(), hidden: true, authenticated: true, ..repo.clone() };
    repos::update(&mut tx, &changed).await.unwrap();
    assert_eq!(repos::list_in(&mut tx).await.unwrap(), [changed]);
    assert_eq!(packages::newest(&mut tx, source, "a").await.unwrap().as_deref(), Some("a3"));
    assert_eq!(packages::newest(&mut tx, source, "d").await.unwrap(), None);
    rules::start(&mut tx, 1, 40, 400, "{}").await.unwrap();
    assert!(rules::end(&mut tx, 1, 41, 410).await.unwrap());
    assert!(!rules::end(&mut tx, 1, 42, 420).await.unwrap(), "it has ended");
    rules::start(&mut tx, 1, 41, 410, "{}").await.unwrap();
    let token = |id: &str, expires_at| Token {
        id: id.into(),
        username: "u".into(),
        description: "d".into(),
        scopes: "{}".into(),
        created_at: 1,
        expires_at,
    };
    tokens::insert(&mut tx, &token("a", None)).await.unwrap();
    tokens::insert(&mut tx, &token("b", Some(7))).await.unwrap();
    tokens::insert(&mut tx, &token("b", Some(9))).await.unwrap();
    assert!(tokens::revoke(&mut tx, "a", 5).await.unwrap());
    assert!(!tokens::revoke(&mut tx, "a", 6).await.unwrap(), "it is revoked");
    assert_eq!(tokens::secret(&mut tx, "key", "one").await.unwrap(), "one");
    assert_eq!(tokens::secret(&mut tx, "key", "two").await.unwrap(), "one");
    tx.commit().await.unwrap();

    let names: Vec<_> = sources::list(db).await.unwrap().into_iter().map(|s| (s.name, s.deleted)).collect();
    assert_eq!(
        names,
        [("t".to_owned(), false), (format!("other (deleted {other})"), true), ("other".to_owned(), false)]
    );
    let pin = async |tx| sources::pin(db, other, tx).await.unwrap();
    assert_eq!(pin(19).await, None);
    assert_eq!(pin(29).await, Some((source, Point { tx: 10, as_of: 100 })));
    assert_eq!(pin(i64::MAX).await, Some((source, Point { tx: 12, as_of: 120 })));
    assert_eq!(sources::curated(db, other).await.unwrap(), Some(("depends,none".to_owned(), true)));
    assert_eq!(sources::curated(db, source).await.unwrap(), None);
    let rows = rules::list(db).await.unwrap();
    let spans: Vec<_> = rows.iter().map(|row| (row.since_tx, row.since, row.until_tx, row.until)).collect();
    assert_eq!(spans, [(40, 400, 41, 410), (41, 410, i64::MAX, i64::MAX)]);
    assert_eq!(tokens::list(db).await.unwrap(), [token("b", Some(7))]);
    let url = |id: &str, locked| urls::Row {
        id: id.into(),
        repo_id: repo.id,
        spelled: "1-2-3-4".into(),
        locked,
        created_at: 5,
    };
    let mut tx = db.write().await.unwrap();
    for (id, locked) in [("1-1", true), ("1-2", false)] {
        urls::insert(&mut tx, &url(id, locked)).await.unwrap();
    }
    assert!(!urls::delete(&mut tx, repo.id, "1-1", 6).await.unwrap(), "it is locked");
    assert!(urls::delete(&mut tx, repo.id, "1-2", 6).await.unwrap());
    assert!(!urls::delete(&mut tx, repo.id, "1-2", 7).await.unwrap(), "it is deleted");
    tx.commit().await.unwrap();
    assert_eq!(urls::list(db, repo.id).await.unwrap(), [url("1-1", true)]);
    assert_eq!(urls::get(db, repo.id, "1-1").await.unwrap(), Some(url("1-1", true)));
    assert_eq!(urls::get(db, repo.id, "1-2").await.unwrap(), None);
    assert_eq!(urls::get(db, repo.id + 1, "1-1").await.unwrap(), None);
    assert_eq!(transactions::last(db).await.unwrap(), 12);
    let mut tx = db.write().await.unwrap();
    repos::delete(&mut tx, repo.id).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(repos::list(db).await.unwrap(), []);
}

async fn counts_wrong_codes_and_knows_nodes(db: &Db) {
    let give = async |who: &str, now: i64, commit: bool| {
        let mut tx = db.write().await.unwrap();
        let given = devices::count_wrong_code(&mut tx, who, now, now - 100).await.unwrap();
        if commit {
            tx.commit().await.unwrap();
        }
        given
    };
    assert_eq!(give("a", 1000, true).await, 1);
    assert_eq!(give("a", 1010, true).await, 2);
    assert_eq!(give("b", 1010, true).await, 1);
    assert_eq!(give("a", 1020, false).await, 3, "and it was a right one");
    assert_eq!(give("a", 1099, true).await, 3);
    assert_eq!(give("a", 1100, true).await, 1, "that was long ago");

    let node = |id: &str, at: i64| Node {
        id: id.to_owned(),
        name: "host".to_owned(),
        version: "1".to_owned(),
        offline: false,
        started_at: at,
        seen_at: at,
    };
    let mut tx = db.write().await.unwrap();
    assert!(!nodes::join(&mut tx, &node("one", 5), 0).await.unwrap());
    assert!(!nodes::join(&mut tx, &node("two", 6), 0).await.unwrap());
    nodes::set_offline(&mut tx, "one", true).await.unwrap();
    nodes::seen(&mut tx, "two", 20).await.unwrap();
    assert!(nodes::join(&mut tx, &node("one", 30), 10).await.unwrap(), "it was offline when it stopped");
    tx.commit().await.unwrap();
    let all = [Node { offline: true, ..node("one", 30) }, Node { seen_at: 20, ..node("two", 6) }];
    assert_eq!(nodes::list(db).await.unwrap(), all);
    let mut tx = db.write().await.unwrap();
    nodes::join(&mut tx, &node("three", 40), 25).await.unwrap();
    tx.commit().await.unwrap();
    let left: Vec<String> = nodes::list(db).await.unwrap().into_iter().map(|node| node.id).collect();
    assert_eq!(left, ["one", "three"]);
}

#[tokio::test]
async fn on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    counts_wrong_codes_and_knows_nodes(&Db::sqlite(&folder.path().join("more"), MIGRATIONS).await.unwrap()).await;
    keeps_every_state(&Db::sqlite(&folder.path().join("db"), MIGRATIONS).await.unwrap()).await;
}

#[tokio::test]
async fn on_postgres() {
    let Some(postgres) = Postgres::start() else { return };
    keeps_every_state(&postgres.db(MIGRATIONS).await).await;
    counts_wrong_codes_and_knows_nodes(&postgres.db(MIGRATIONS).await).await;
    // And the server as a whole gives the same answers.
    let service = Service::with_packages().await;
    let url = postgres.database().await;
    let world = WorldConfig { database_url: Some(url), ..host().world };
    let config = config(&service);
    let on_postgres = Team::with(service.clone(), config.clone(), HostConfig { world, ..host() }).await;
    let on_sqlite = Team::with(service.clone(), config, host()).await;
    for team in [&on_postgres, &on_sqlite] {
        team.sync().await;
    }
    for team in [&on_postgres, &on_sqlite] {
        team.does("POST", "/__api__/repos", json!({"name": "prod"})).await;
        team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
        for source in ["team", "cran"] {
            team.does("POST", "/__api__/repos/prod/sources", json!({"source": source})).await;
        }
        assert_eq!(team.add("team", "", r_package("own", "1.0", "")).await.status, 201);
        let frozen = json!({"name": "frozen", "type": "cran-snapshot", "snapshot": "2024-01-05"});
        team.does("POST", "/__api__/sources", frozen).await;
        team.does("POST", "/__api__/blocklist/rules", json!({"package_name": "beta", "repo": "prod"})).await;
        assert_eq!(team.admin("POST", "/__api__/repos", json!({"name": "prod"})).await.status, 409);
        team.does("POST", "/__api__/repos/prod/urls", json!({"snapshots": {"cran": "2024-01-05"}})).await;
    }
    service.r("Zeta", "1.0", 16, "");
    service.publish(17);
    for team in [&on_postgres, &on_sqlite] {
        team.sync().await;
    }
    for path in [
        "/cran/latest/src/contrib/PACKAGES",
        "/cran/2024-01-05/src/contrib/PACKAGES",
        "/pypi/latest/simple/",
        "/pypi/latest/simple/alpha-py/",
        "/__api__/repos/cran/transaction-dates",
        "/__api__/repos/cran/packages",
        "/__api__/repos/cran/packages/alpha",
        "/prod/latest/src/contrib/PACKAGES",
        "/__api__/repos/prod/packages",
        "/__api__/sources/frozen/packages",
        "/__api__/sources/team/packages/own/releases",
        "/__api__/blocklist/rules",
        "/prod/4-1/src/contrib/PACKAGES",
    ] {
        assert_eq!(on_postgres.text(path).await, on_sqlite.text(path).await, "{path}");
    }
}

#[tokio::test]
async fn two_nodes_on_one_database() {
    let Some(postgres) = Postgres::start() else { return };
    let service = Service::with_packages().await;
    let url = postgres.database().await;
    let host = || HostConfig { world: WorldConfig { database_url: Some(url.clone()), ..host().world }, ..host() };
    let one = Team::with(service.clone(), config(&service), host()).await;
    let two = Team::with(service.clone(), config(&service), host()).await;
    for on in 16..=18 {
        service.r(&format!("new{on}"), "1.0", on - 1, "");
        service.publish(on);
    }
    // Both follow the feed at once; each checkpoint is applied by one of them.
    tokio::join!(one.sync(), two.sync());
    let packages = "/cran/latest/src/contrib/PACKAGES";
    let expected = one.text(packages).await;
    assert!(expected.contains("new18"));
    while two.get(packages).await.body != expected.as_bytes() {
        tokio::task::yield_now().await;
    }
    let dates = one.get("/__api__/repos/cran/transaction-dates").await.json();
    let ids: std::collections::BTreeSet<i64> =
        dates.as_array().unwrap().iter().map(|d| d["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), dates.as_array().unwrap().len());
    let aliases: Vec<&str> = dates.as_array().unwrap().iter().map(|d| d["alias"].as_str().unwrap()).collect();
    assert_eq!(aliases[4..], ["2024-01-15", "2024-01-16", "2024-01-17", "2024-01-18"]);
}
