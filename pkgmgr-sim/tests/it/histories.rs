//! For random histories: what a dated or numbered snapshot once showed, it shows for ever.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::Team;
use crate::administration::{r_package, wheel};
use crate::service::{Service, noon};
use crate::vulns::vulnerability;

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
    /// A rule blocks a package, or all that are vulnerable; the oldest rule goes when there are three.
    Block(usize),
    /// A URL is made of every repo: of its state, or with a date for its last source.
    Pin(Option<u32>),
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
        2 => proptest::option::of(1..16_u32).prop_map(Event::Pin),
        2 => Just(Event::Wait),
    ];
    proptest::collection::vec(event, 1..18)
}

async fn holds(events: &[Event]) {
    let service = Service::start().await;
    service.offer("bioc-3.18");
    service.offer("vulns");
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
    // Created so far: repo and segment.
    let mut pins: Vec<(String, String)> = Vec::new();
    let mut versions = 0;
    for (on, event) in (2..).zip(events) {
        match *event {
            Event::Version(package) => {
                versions += 1;
                let version = format!("1.{versions}");
                service.r(NAMES[package], &version, on, "");
                service.wheel(NAMES[package], &version, on, &[]);
                service.bioc("bioc-3.18", "bioc", NAMES[package], &version, on);
                let id = format!("V-{versions}");
                service.document("vulns", &id, vulnerability(&id, "CRAN", NAMES[package], &version, on, 80), on);
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
                service.publish_feed("bioc-3.18", on);
                service.publish_feed("vulns", on);
                team.sync().await;
                look(&team, &mut seen, &pins, on).await;
            }
            Event::Add(package) => {
                versions += 1;
                let version = format!("2.{versions}");
                assert_eq!(team.add("local", "", r_package(NAMES[package], &version, "")).await.status, 201);
                let (name, bytes) = wheel(NAMES[package], &version);
                assert_eq!(team.add("pylocal", &format!("?filename={name}"), bytes).await.status, 201);
                look(&team, &mut seen, &pins, on).await;
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
                look(&team, &mut seen, &pins, on).await;
            }
            Event::Leave => {
                let left = team.admin("DELETE", "/__api__/repos/mixed/sources/local", Value::Null).await;
                if left.status == 404 {
                    team.does("POST", "/__api__/repos/mixed/sources", json!({"source": "local"})).await;
                }
                look(&team, &mut seen, &pins, on).await;
            }
            Event::Move(package) => {
                let newest = team.get("/__api__/repos/cran/transaction-dates?_order=desc&_limit=1").await.json();
                let Some(date) = newest[0]["alias"].as_str() else { continue };
                let update = json!({"snapshot": date, "commit": true});
                for (kind, language) in [("cran-snapshot", "R"), ("curated-cran", "R"), ("curated-pypi", "Python")] {
                    // Made as soon as there is something to be made of.
                    if team.get(&format!("/__api__/sources/{kind}")).await.status == 404 {
                        let wanted = json!({"name": kind, "type": kind, "snapshot": date});
                        team.does("POST", "/__api__/sources", wanted).await;
                        team.does("POST", "/__api__/repos", json!({"name": kind, "type": language})).await;
                        let path = format!("/__api__/repos/{kind}/sources");
                        team.does("POST", &path, json!({"source": kind})).await;
                    }
                    let path = format!("/__api__/sources/{kind}/update");
                    if language == "R" {
                        team.does("POST", &path, update.clone()).await;
                        continue;
                    }
                    // Not before the package has a version, or while all it has are yanked.
                    let requirements = json!({"snapshot": date, "requirements": NAMES[package], "commit": true});
                    let status = team.admin("POST", &path, requirements).await.status.as_u16();
                    assert!([200, 400].contains(&status), "{status}");
                }
                let more = json!({"packages": [NAMES[package]], "commit": true});
                let status = team.admin("POST", "/__api__/sources/curated-cran/update", more).await.status.as_u16();
                assert!([200, 400].contains(&status), "{status}");
                look(&team, &mut seen, &pins, on).await;
            }
            Event::Block(package) => {
                let rules = team.get("/__api__/blocklist/rules").await.json();
                if rules.as_array().unwrap().len() == 3 {
                    team.does("DELETE", &format!("/__api__/blocklist/rules/{}", rules[0]["id"]), Value::Null).await;
                } else if package == 2 {
                    // Not before there are any.
                    let rule = json!({"vulns": true, "min_severity": "high"});
                    let status = team.admin("POST", "/__api__/blocklist/rules", rule).await.status.as_u16();
                    assert!([201, 400].contains(&status), "{status}");
                } else {
                    let rule = json!({"package_name": NAMES[package], "version": format!("<1.{on}")});
                    team.does("POST", "/__api__/blocklist/rules", rule).await;
                }
                look(&team, &mut seen, &pins, on).await;
            }
            Event::Pin(day) => {
                for repo in team.get("/__api__/repos").await.json().as_array().unwrap() {
                    let repo = repo["name"].as_str().unwrap();
                    let sources = team.get(&format!("/__api__/repos/{repo}/sources")).await.json();
                    let last = sources.as_array().unwrap().last().map_or("", |s| s["name"].as_str().unwrap());
                    let snapshots = day.map_or(json!({}), |day| json!({last: format!("2024-01-{day:02}")}));
                    for form in ["lock", "no_alias"] {
                        let wanted = json!({"snapshots": snapshots, form: true});
                        let made = team.admin("POST", &format!("/__api__/repos/{repo}/urls"), wanted).await;
                        match made.status.as_u16() {
                            201 => pins.push((repo.to_owned(), made.json()["id"].as_str().unwrap().to_owned())),
                            // There is nothing to be pinned yet, or not on that day.
                            status => assert!([400, 409].contains(&status), "{}", made.text()),
                        }
                    }
                }
                look(&team, &mut seen, &pins, on).await;
            }
            Event::Wait => {
                team.running.world().clock().advance(std::time::Duration::from_secs(13 * 3600)).await;
                look(&team, &mut seen, &pins, on).await;
            }
        }
    }
}

/// The paths of the package files that an index of R tells of, beside it.
fn files_of<'a>(packages: &'a str, index: &'a str) -> impl Iterator<Item = String> + 'a {
    let field = |record: &str, name: &str| record.lines().find_map(|line| Some(line.strip_prefix(name)?.to_owned()));
    packages.split("\n\n").filter_map(move |record| {
        let (name, version) = (field(record, "Package: ")?, field(record, "Version: ")?);
        Some(format!("{}{name}_{version}.tar.gz", index.strip_suffix("PACKAGES")?))
    })
}

/// Compares all that was `seen` with what is there now, and adds what is new.
async fn look(team: &Team, seen: &mut BTreeMap<String, Vec<u8>>, pins: &[(String, String)], on: u32) {
    let mut files = Vec::new();
    for (path, body) in &*seen {
        let answer = team.get(path).await;
        // A file may be refused for as long as a rule blocks it; it is never another one.
        if path.ends_with(".tar.gz") && answer.status == 403 {
            assert!(answer.text().ends_with("is blocked by an administrator\n"), "{}", answer.text());
            assert_ne!(team.get("/__api__/blocklist/rules").await.json(), json!([]), "{path} after the {on}th");
            continue;
        }
        assert_eq!(&answer.body, body, "{path} after the {on}th");
        // Of the numbered states of the mixed repo: the files too, with what became of them.
        if path.starts_with("/mixed/") && !path.starts_with("/mixed/2024") && path.ends_with("/PACKAGES") {
            files.extend(files_of(std::str::from_utf8(body).unwrap(), path));
        }
    }
    let mut note = async |path: String| {
        if let Entry::Vacant(new) = seen.entry(path) {
            let answer = team.get(new.key()).await;
            if answer.status == 200 {
                new.insert(answer.body);
            }
        }
    };
    for file in files {
        note(file).await;
    }
    let dates = (1..=31).map(|day| format!("2024-01-{day:02}"));
    let last = pkgmgr_sim::store::transactions::last(team.running.world().db()).await.unwrap();
    let numbers = (1..=last).map(|id| id.to_string());
    for snapshot in dates.chain(numbers) {
        for repo in ["cran", "own", "mixed", "cran-snapshot", "curated-cran"] {
            note(format!("/{repo}/{snapshot}/src/contrib/PACKAGES")).await;
        }
        for repo in ["cran", "own"] {
            note(format!("/{repo}/{snapshot}/src/contrib/Meta/archive.rds")).await;
        }
        for page in ["packages/3.18/bioc/src/contrib/PACKAGES", "config.yaml"] {
            note(format!("/bioconductor/{snapshot}/{page}")).await;
        }
        for repo in ["pypi", "pymixed", "curated-pypi"] {
            for page in ["", "alpha/", "beta/"] {
                note(format!("/{repo}/{snapshot}/simple/{page}")).await;
            }
        }
    }
    for (repo, segment) in pins {
        let pages: &[&str] = match repo.as_str() {
            "pypi" | "pymixed" | "curated-pypi" => &["simple/", "simple/alpha/", "simple/beta/"],
            "bioconductor" => &["packages/3.18/bioc/src/contrib/PACKAGES"],
            _ => &["src/contrib/PACKAGES", "src/contrib/Meta/archive.rds"],
        };
        for page in pages {
            note(format!("/{repo}/{segment}/{page}")).await;
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
