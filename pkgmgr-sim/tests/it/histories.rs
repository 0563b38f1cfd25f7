//! For random histories: what a dated or numbered snapshot once showed, it shows for ever.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::Team;
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
}

const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

fn events() -> impl Strategy<Value = Vec<Event>> {
    let package = 0..NAMES.len();
    let event = prop_oneof![
        6 => package.clone().prop_map(Event::Version),
        1 => package.clone().prop_map(Event::Archive),
        1 => package.clone().prop_map(Event::Remove),
        2 => package.clone().prop_map(Event::Yank),
        1 => package.prop_map(Event::Rewrite),
        3 => Just(Event::Publish),
    ];
    proptest::collection::vec(event, 1..18)
}

async fn holds(events: &[Event]) {
    let service = Service::start().await;
    let team = Team::of(service.clone()).await;
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
                for (path, body) in &seen {
                    assert_eq!(&team.get(path).await.body, body, "{path} after the {on}th");
                }
                let dates = (1..=on).map(|day| format!("2024-01-{day:02}"));
                let numbers = (1..80).map(|id| id.to_string());
                for snapshot in dates.chain(numbers) {
                    for path in [
                        "cran/{}/src/contrib/PACKAGES",
                        "pypi/{}/simple/",
                        "pypi/{}/simple/alpha/",
                        "pypi/{}/simple/beta/",
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
