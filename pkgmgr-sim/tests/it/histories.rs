//! For random histories: what a dated or numbered snapshot once showed, it shows for ever.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::Team;
use crate::administration::{r_package, wheel};
use crate::service::{Service, noon};

/// Something that happens to one of three packages of each kind on a day, or that is published up to then.
#[derive(Debug, Clone)]
enum Event {
    Version(usize),
    Archive(usize),
    Remove(usize),
    Yank(usize),
    /// A record is written anew with another past.
    Rewrite(usize),
    Publish,
    /// A package of a local source gets a version, in R and in Python.
    Add(usize),
    RemoveLocal(usize),
    ArchiveLocal(usize),
    /// The sources of the mixed repos change places.
    Reorder,
    /// The mixed repo of R loses a source or gets it back.
    Leave,
    /// The frozen source moves to the newest state, the chosen one takes another package.
    Move(usize),
    /// A rule blocks a package of a repo; the oldest rule goes when there are three.
    Block(usize),
    /// Thirteen hours go by.
    Wait,
}

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let package = 0..NAMES.len();
    let event = prop_oneof![
        6 => package.clone().prop_map(Event::Version),
        1 => package.clone().prop_map(Event::Archive),
        1 => package.clone().prop_map(Event::Remove),
        2 => package.clone().prop_map(Event::Yank),
        1 => package.clone().prop_map(Event::Rewrite),
        3 => Just(Event::Publish),
        4 => package.clone().prop_map(Event::Add),
        1 => package.clone().prop_map(Event::RemoveLocal),
        1 => package.clone().prop_map(Event::ArchiveLocal),
        1 => Just(Event::Reorder),
        1 => Just(Event::Leave),
        2 => package.clone().prop_map(Event::Move),
        2 => package.prop_map(Event::Block),
        2 => Just(Event::Wait),
    ];
    proptest::collection::vec(event, 1..18)
}

async fn holds(events: &[Event]) {
    let service = Service::start().await;
    let team = Team::of(service.clone()).await;
    for (repo, kind, sources) in
        [("own", "R", &["local"][..]), ("mixed", "R", &["local", "cran"]), ("pymixed", "Python", &["pylocal", "pypi"])]
    {
        team.does("POST", "/__api__/repos", json!({"name": repo, "type": kind})).await;
        for source in sources {
            let of = if source.starts_with("py") { "local-python" } else { "local" };
            let made =
                team.admin("POST", "/__api__/sources", json!({"name": source, "type": of})).await.status.as_u16();
            assert!([201, 409].contains(&made), "{made}");
            team.does("POST", &format!("/__api__/repos/{repo}/sources"), json!({"source": source})).await;
        }
    }
    let mut seen: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut versions = 0;
    for (on, event) in (2..).zip(events) {
        match *event {
            Event::Version(package) => {
                versions += 1;
                let version = format!("1.{versions}");
                service.r(NAMES[package], &version, on, "");
                service.wheel(NAMES[package], &version, on, &[]);
            }
            Event::Archive(package) => service.try_change_r(NAMES[package], |record| {
                if let Some(last) = record.versions.last_mut() {
                    last.archived_at = last.archived_at.or(Some(noon(on)));
                }
            }),
            Event::Remove(package) => {
                service.try_change_r(NAMES[package], |record| record.removed_at = record.removed_at.or(Some(noon(on))));
            }
            Event::Yank(package) => service.try_change_python(NAMES[package], |record| {
                if let Some(file) = record.files.first_mut() {
                    file.yanked = Some(String::new());
                    file.yanked_at = Some(noon(on));
                }
            }),
            Event::Rewrite(package) => {
                service.try_change_r(NAMES[package], |record| {
                    record.removed_at = None;
                    record.versions[0].published_at = noon(1);
                    record.versions[0].archived_at = None;
                });
                service.try_change_python(NAMES[package], |record| record.files[0].yanked = None);
            }
            Event::Publish => {
                service.publish(on);
                team.sync().await;
                look(&team, &mut seen, on).await;
            }
            Event::Add(package) => {
                versions += 1;
                let version = format!("2.{versions}");
                assert_eq!(team.add("local", "", r_package(NAMES[package], &version, "")).await.status, 201);
                let (name, bytes) = wheel(NAMES[package], &version);
                assert_eq!(team.add("pylocal", &format!("?filename={name}"), bytes).await.status, 201);
                look(&team, &mut seen, on).await;
            }
            Event::RemoveLocal(package) => {
                for source in ["local", "pylocal"] {
                    let path = format!("/__api__/sources/{source}/packages/{}?which=current", NAMES[package]);
                    let status = team.admin("DELETE", &path, Value::Null).await.status.as_u16();
                    assert!([200, 404].contains(&status), "{status}");
                }
            }
            Event::ArchiveLocal(package) => {
                let path = format!("/__api__/sources/local/packages/{}/archive", NAMES[package]);
                let status = team.admin("POST", &path, Value::Null).await.status.as_u16();
                assert!([200, 404, 409].contains(&status), "{status}");
            }
            Event::Reorder => {
                for repo in ["mixed", "pymixed"] {
                    let path = format!("/__api__/repos/{repo}/sources");
                    let now = team.get(&path).await.json();
                    let mut names: Vec<&Value> = now.as_array().unwrap().iter().map(|s| &s["name"]).collect();
                    names.reverse();
                    team.does("PUT", &path, json!({ "sources": names })).await;
                }
                look(&team, &mut seen, on).await;
            }
            Event::Leave => {
                let left = team.admin("DELETE", "/__api__/repos/mixed/sources/local", Value::Null).await;
                if left.status == 404 {
                    team.does("POST", "/__api__/repos/mixed/sources", json!({"source": "local"})).await;
                }
                look(&team, &mut seen, on).await;
            }
            Event::Move(package) => {
                let newest = team.get("/__api__/repos/cran/transaction-dates?_order=desc&_limit=1").await.json();
                let Some(date) = newest[0]["alias"].as_str() else { continue };
                let update = json!({"snapshot": date, "commit": true});
                for kind in ["cran-snapshot", "curated-cran"] {
                    // Made as soon as there is something to be made of.
                    if team.get(&format!("/__api__/sources/{kind}")).await.status == 404 {
                        let wanted = json!({"name": kind, "type": kind, "snapshot": date});
                        team.does("POST", "/__api__/sources", wanted).await;
                        team.does("POST", "/__api__/repos", json!({"name": kind})).await;
                        let path = format!("/__api__/repos/{kind}/sources");
                        team.does("POST", &path, json!({"source": kind})).await;
                    }
                    team.does("POST", &format!("/__api__/sources/{kind}/update"), update.clone()).await;
                }
                let more = json!({"packages": [NAMES[package]], "commit": true});
                let status = team.admin("POST", "/__api__/sources/curated-cran/update", more).await.status.as_u16();
                assert!([200, 400].contains(&status), "{status}");
                look(&team, &mut seen, on).await;
            }
            Event::Block(package) => {
                let rules = team.get("/__api__/blocklist/rules").await.json();
                if rules.as_array().unwrap().len() == 3 {
                    team.does("DELETE", &format!("/__api__/blocklist/rules/{}", rules[0]["id"]), Value::Null).await;
                } else {
                    let rule = json!({"package_name": NAMES[package], "version": format!("<1.{on}")});
                    team.does("POST", "/__api__/blocklist/rules", rule).await;
                }
                look(&team, &mut seen, on).await;
            }
            Event::Wait => {
                team.running.world().clock().advance(std::time::Duration::from_secs(13 * 3600)).await;
                look(&team, &mut seen, on).await;
            }
        }
    }
}

/// Compares all that was `seen` with what is there now, and adds what is new.
async fn look(team: &Team, seen: &mut BTreeMap<String, Vec<u8>>, on: u32) {
    for (path, body) in &*seen {
        assert_eq!(&team.get(path).await.body, body, "{path} after the {on}th");
    }
    let dates = (1..=31).map(|day| format!("2024-01-{day:02}"));
    let numbers = (1..80).map(|id| id.to_string());
    for snapshot in dates.chain(numbers) {
        for path in [
            "cran/{}/src/contrib/PACKAGES",
            "own/{}/src/contrib/PACKAGES",
            "mixed/{}/src/contrib/PACKAGES",
            "cran-snapshot/{}/src/contrib/PACKAGES",
            "curated-cran/{}/src/contrib/PACKAGES",
            "pypi/{}/simple/",
            "pypi/{}/simple/alpha/",
            "pypi/{}/simple/beta/",
            "pymixed/{}/simple/",
            "pymixed/{}/simple/alpha/",
        ] {
            let path = format!("/{}", path.replace("{}", &snapshot));
            if let Entry::Vacant(new) = seen.entry(path) {
                let answer = team.get(new.key()).await;
                if answer.status == 200 {
                    new.insert(answer.body);
                }
            }
        }
    }
}

#[test]
fn the_past_stays_what_it_was() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    runner
        .run(&events(), |events| {
            runtime.block_on(holds(&events));
            Ok(())
        })
        .unwrap();
}
