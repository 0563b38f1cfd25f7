//! Searching content.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use connect_sim::Config;
use connect_sim::access::Role;
use connect_sim::auth::{Principal, Via};
use connect_sim::search::query::{Filter, Property, Query, Term, fold, version};
use connect_sim::store::bundles::{Bundle, Package};
use connect_sim::store::content::{Content, Runtime, Settings};
use connect_sim::store::groups::Group;
use connect_sim::store::permissions::{Grant, Permission};
use connect_sim::store::schedules::Schedule;
use connect_sim::store::search::{Condition, Order, Part, Sort};
use connect_sim::store::users::User;
use connect_sim::store::variants::Variant;
use connect_sim::store::{self, MIGRATIONS};
use pkg_formats::python::name::normalize;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use sim_kit::WorldConfig;
use sim_kit::testing::Postgres;
use sqlx::AnyConnection;
use tower::ServiceExt as _;

use super::app::{Caller, TestApp, document_bundle, python_bundle, static_bundle};
use super::index::Index;

async fn names(caller: &Caller, query: &str) -> Vec<String> {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    let found = caller.get(&format!("/v1/search/content?sort=name&order=asc&q={query}")).await.ok();
    assert_eq!(found["warnings"], Value::Null, "{found}");
    found["results"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn content_is_found_by_what_it_is() {
    let index = Index::start().await;
    let app = TestApp::with(index.config()).await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let page = publisher.publish("sea-bream-page", static_bundle("x")).await;
    let document = publisher.publish("report", document_bundle()).await;
    publisher.publish("api", python_bundle("python-api", "flask")).await;
    admin.create("admins-own").await;
    publisher.patch(&format!("/v1/content/{document}"), &json!({"title": "The Big Sea_Bream", "locked": true})).await;
    publisher.post(&format!("/v1/content/{page}/bookmark"), &json!({})).await;
    let category = admin.post("/v1/tags", &json!({"name": "Fish"})).await.ok();
    let tag = admin.post("/v1/tags", &json!({"name": "Bream", "parent_id": category["id"]})).await.ok();
    publisher.post(&format!("/v1/content/{page}/tags"), &json!({"tag_id": tag["id"]})).await;
    let variants = publisher.get(&format!("/applications/{document}/variants")).await.ok();
    publisher.post("/schedules", &json!({"variant_id": variants[0]["id"], "type": "weekday"})).await.ok();

    for (query, expected) in [
        ("", &["api", "report", "sea-bream-page"][..]),
        ("SEA bream", &["report", "sea-bream-page"]),
        ("\"sea bream\" -big", &["sea-bream-page"]),
        ("owner:@me type:static,quarto-static", &["report", "sea-bream-page"]),
        ("owner:nobody", &[]),
        ("is:locked", &["report"]),
        ("locked:false", &["api", "sea-bream-page"]),
        ("is:bookmarked", &["sea-bream-page"]),
        ("not:bookmarked is:published", &["api", "report"]),
        ("is:scheduled", &["report"]),
        ("tag:Fish/Bream", &["sea-bream-page"]),
        ("tag:fish", &["sea-bream-page"]),
        ("-tag:fish", &["api", "report"]),
        ("python:3.11", &["api"]),
        ("python:>=3.12", &[]),
        ("package:flask", &["api"]),
        ("package:flask>=2,werkzeug>=99", &["api"]),
        ("package:flask<1", &[]),
        ("image:local -type:static", &["api", "report"]),
    ] {
        assert_eq!(names(&publisher, query).await, expected, "{query}");
    }
    assert_eq!(names(&admin, "is:published").await.len(), 3);
    assert_eq!(names(&admin, "not:published").await, ["admins-own"]);
    assert_eq!(names(&app.viewer(), "").await, Vec::<String>::new());

    let warned = publisher.get("/v1/search/content?q=type:cobol+is:nice&include=owner&page_size=2").await.ok();
    assert_eq!((warned["warnings"].as_array().unwrap().len(), &warned["total"]), (2, &json!(3)));
    assert_eq!(warned["results"].as_array().unwrap().len(), 2);
    assert_eq!(warned["results"][0]["owner"]["username"], "publisher");
    let second = publisher.get("/v1/search/content?page_size=2&page_number=2").await.ok();
    assert_eq!((second["results"].as_array().unwrap().len(), &second["current_page"]), (1, &json!(2)));
    let variants = publisher.get("/v1/search/variants").await.ok();
    assert_eq!((&variants["total"], &variants["results"][0]["content_name"]), (&json!(1), &json!("report")));
    let variant = &variants["results"][0];
    assert_eq!((&variant["failures"], variant["variant_key"].as_str().unwrap().len()), (&json!(0), 8));
    assert_eq!(publisher.get("/v1/search/variants?include=owner").await.code(), (400, 161));
    for bad in ["order=up", "sort=luck", "include=all", "page_size=0"] {
        assert_eq!(publisher.get(&format!("/v1/search/content?{bad}")).await.status, 400, "{bad}");
    }
}

/// An item of the test below, with what is known of it elsewhere.
#[derive(Debug, Clone)]
struct Made {
    item: Content,
    tags: Vec<i64>,
    bookmarked: bool,
    scheduled: bool,
    packages: Vec<Package>,
    granted: Option<Grant>,
}

const ME: &str = "11111111-1111-1111-1111-111111111111";
const OTHER: &str = "22222222-2222-2222-2222-222222222222";
const GROUP: &str = "33333333-3333-3333-3333-333333333333";
/// Id, name and parent.
const TAGS: [(i64, &str, Option<i64>); 5] =
    [(1, "Fish", None), (2, "Bream", Some(1)), (3, "Sea 100%", Some(2)), (4, "Bream", None), (5, "Crab", Some(4))];

fn made() -> impl Strategy<Value = Made> {
    let names = select(vec!["sea-bream", "Sea.Bass", "report_42", "ZZZ", "a_b", "a%b"]);
    let titles = option::of(select(vec!["The Big Sea_Bream", "Ärger", "ärger 100%", "report/42", "a!b"]));
    let texts = (names, titles, select(vec!["", "about sea  fish", "ÉTÉ 42", "100% a_b"]));
    let access = select(vec!["acl", "acl", "logged_in", "all"]);
    let modes = select(vec![("static", ""), ("static", "pin"), ("python-api", ""), ("quarto-static", "site")]);
    let versions =
        (option::of(select(vec!["3.11.4", "3.12.0", "3.9", "odd"])), option::of(select(vec!["4.4.1", "4.1-2"])));
    let image = option::of(select(vec!["ghcr.example/R_Base", "local-2"]));
    let package = select(vec![
        ("r", "flask"),
        ("r", "Flask"),
        ("r", "shiny"),
        ("r", "data.table"),
        ("python", "data_table"),
        ("python", "Data--Table"),
    ]);
    let package = (package, select(vec!["1.0", "2.3.1", "1.8-1", "odd"]));
    let packages = vec(package, 0..3);
    let marks = (vec(select(vec![2_i64, 3, 5]), 0..2), any::<[bool; 5]>());
    let granted = (option::of(select(vec![Grant::Viewer, Grant::Owner])), 0_i64..4, 0_i64..4);
    (texts, access, modes, versions, image, packages, marks, granted).prop_map(
        |(texts, access, modes, versions, image, packages, (tags, flags), (granted, created, deployed))| {
            let [mine, locked, published, bookmarked, scheduled] = flags;
            let runtime = Runtime {
                py_version: versions.0.map(str::to_owned),
                r_version: versions.1.map(str::to_owned),
                ..Runtime::default()
            };
            let mut packages: Vec<Package> = packages
                .into_iter()
                .map(|((language, name), version)| Package {
                    language,
                    name: name.to_owned(),
                    version: version.to_owned(),
                    hash: None,
                })
                .collect();
            packages.sort_by(|a, b| a.name.cmp(&b.name));
            packages.dedup_by(|a, b| a.name == b.name);
            let item = Content {
                id: 0,
                guid: String::new(),
                owner_guid: if mine { ME } else { OTHER }.to_owned(),
                name: texts.0.to_owned(),
                title: texts.1.map(str::to_owned),
                description: texts.2.to_owned(),
                access_type: access.to_owned(),
                locked,
                locked_message: String::new(),
                app_mode: modes.0.to_owned(),
                content_category: modes.1.to_owned(),
                parameterized: false,
                bundle_id: published.then_some(0),
                created,
                deployed: created + deployed,
                settings: Settings { default_image_name: image.map(str::to_owned), runtime, ..Settings::default() },
            };
            Made { item, tags, bookmarked, scheduled, packages, granted }
        },
    )
}

/// A query of one to three terms.
fn asked() -> impl Strategy<Value = String> {
    let term = select(vec![
        "sea",
        "\"sea bream\"",
        "bream",
        "42",
        "100%",
        "a_b",
        "a%b",
        "a!b",
        "ärger",
        "ÉTÉ",
        "fish the",
        "owner:@me",
        "owner:ME",
        "owner:other,nobody",
        "type:static",
        "type:pin,site",
        "tag:fish",
        "tag:Bream",
        "tag:fish/bream",
        "tag:\"bream/sea 100%\"",
        "tag:sea",
        "is:published",
        "not:published",
        "is:locked",
        "locked:false",
        "is:bookmarked",
        "not:bookmarked",
        "is:scheduled",
        "not:scheduled",
        "python:3.11",
        "python:>=3.9",
        "python:<3",
        "r:4.4",
        "r:>=4.1.2",
        "package:FLASK",
        "package:data.table",
        "package:Data-Table",
        "package:data_._table>=1",
        "package:flask>=2,shiny",
        "package:flask<1",
        "package:shiny==1.8-1",
        "image:local",
        "image:r_base",
        "image:r%base",
        "type:static,pin,python-api",
    ]);
    vec((any::<bool>(), term), 1..4).prop_map(|terms| {
        let term = |(negated, text): (bool, &str)| format!("{}{text}", if negated { "-" } else { "" });
        terms.into_iter().map(term).collect::<Vec<_>>().join(" ")
    })
}

/// What the language says about an item, without SQL.
fn holds(filter: &Filter, made: &Made) -> bool {
    let Made { item, .. } = made;
    let of = |text: &Option<String>, wanted: &pep440_rs::VersionSpecifiers| {
        text.as_deref().and_then(version).is_some_and(|version| wanted.contains(&version))
    };
    match filter {
        Filter::Text(text) => {
            let title = item.title.as_deref().unwrap_or_default();
            [item.name.as_str(), title, &item.description].iter().any(|part| fold(part).contains(text))
        }
        Filter::Owner(name) => match name.as_str() {
            "@me" | "me" => item.owner_guid == ME,
            "other" => item.owner_guid == OTHER,
            _ => false,
        },
        Filter::Type(name) => item.app_mode == *name || item.content_category == *name,
        Filter::Tag(path) => made.tags.iter().any(|tag| {
            let mut names = Vec::new();
            let mut next = Some(*tag);
            while let Some((_, name, parent)) = TAGS.iter().find(|tag| Some(tag.0) == next) {
                names.insert(0, name.to_lowercase());
                next = *parent;
            }
            names.windows(path.len()).any(|part| part == path)
        }),
        Filter::Is(property, wanted) => {
            *wanted
                == match property {
                    Property::Published => item.bundle_id.is_some(),
                    Property::Locked => item.locked,
                    Property::Bookmarked => made.bookmarked,
                    Property::Scheduled => made.scheduled,
                }
        }
        Filter::Python(wanted) => of(&item.settings.runtime.py_version, wanted),
        Filter::R(wanted) => of(&item.settings.runtime.r_version, wanted),
        Filter::Package(name, wanted) => {
            item.bundle_id.is_some()
                && made.packages.iter().any(|package| {
                    let version = Some(package.version.clone());
                    let same = match package.language {
                        "python" => normalize(&package.name) == normalize(name),
                        _ => package.name.to_lowercase() == *name,
                    };
                    same && (wanted.is_empty() || of(&version, wanted))
                })
        }
        Filter::Image(name) => {
            let image = item.settings.default_image_name.as_deref().unwrap_or("Local").to_lowercase();
            item.bundle_id.is_some() && image.contains(name)
        }
    }
}

async fn write(tx: &mut AnyConnection, all: &mut [Made]) {
    for (id, guid, username) in [(1, ME, "Me"), (2, OTHER, "other")] {
        let user = User {
            id,
            guid: guid.to_owned(),
            username: username.to_owned(),
            email: String::new(),
            first_name: String::new(),
            last_name: String::new(),
            role: Role::Publisher,
            password_hash: None,
            external_id: None,
            confirmed: true,
            locked: false,
            service: false,
            created: 0,
            updated: 0,
            active: None,
        };
        store::users::insert(tx, &user).await.unwrap();
    }
    for (id, name, parent_id) in TAGS {
        let tag = store::tags::Tag { id, name: name.to_owned(), parent_id, created: 0, updated: 0 };
        store::tags::put(tx, &tag).await.unwrap();
    }
    for (n, made) in (1..).zip(all.iter_mut()) {
        let Made { item, .. } = made;
        item.id = n;
        item.guid = format!("item-{n}");
        item.name = format!("{}-{n}", item.name);
        item.bundle_id = item.bundle_id.map(|_| n);
        store::content::insert(tx, item).await.unwrap();
        for tag in &made.tags {
            store::tags::assign(tx, &item.guid, *tag).await.unwrap();
        }
        if made.bookmarked {
            store::bookmarks::insert(tx, &item.guid, ME, 0).await.unwrap();
        }
        if made.scheduled {
            let variant = Variant {
                id: n,
                content_guid: item.guid.clone(),
                key: format!("key-{n}"),
                name: "default".to_owned(),
                is_default: true,
                is_private: false,
                settings: store::variants::Settings::default(),
                created: 0,
            };
            store::variants::insert(tx, &variant).await.unwrap();
            let schedule = Schedule {
                id: n,
                variant_id: n,
                activate: true,
                email: false,
                kind: "day".to_owned(),
                detail: "{}".to_owned(),
                timezone: "UTC".to_owned(),
                starts: 0,
                ends: None,
                next_run: None,
            };
            store::schedules::put(tx, &schedule).await.unwrap();
        }
        let bundle = Bundle {
            id: n,
            content_guid: item.guid.clone(),
            created_by: None,
            created: 0,
            digest: "0".repeat(64).parse().unwrap(),
            size: 0,
            metadata: BTreeMap::new(),
            app_mode: String::new(),
            content_category: String::new(),
            parameterized: false,
            entrypoint: None,
            primary_file: None,
            runtime: Runtime::default(),
        };
        store::bundles::insert(tx, &bundle).await.unwrap();
        store::bundles::set_packages(tx, n, &made.packages).await.unwrap();
        if let Some(grant) = made.granted {
            // Half of them through the group.
            let (principal_guid, kind) = if n % 2 == 0 { (ME, "user") } else { (GROUP, "group") };
            let permission = Permission {
                id: n,
                content_guid: item.guid.clone(),
                principal_guid: principal_guid.to_owned(),
                principal_type: kind.to_owned(),
                grant,
            };
            store::permissions::put(tx, &permission).await.unwrap();
        }
    }
}

/// Compares what SQL finds with what a plain filter over everything does.
async fn finds_the_same(world: sim_kit::Db) {
    let totals = store::search::Totals::new(&world);
    let mut runner = TestRunner::deterministic();
    let mut all = vec(made(), 80).new_tree(&mut runner).unwrap().current();
    let mut tx = world.write().await.unwrap();
    write(&mut tx, &mut all).await;
    let group = Group { guid: GROUP.to_owned(), name: "g".to_owned(), owner_guid: None, gid: None, members: 0 };
    store::groups::put(&mut tx, &group).await.unwrap();
    store::groups::add(&mut tx, GROUP, ME).await.unwrap();
    tx.commit().await.unwrap();
    let mut db = world.read().await.unwrap();
    let user = Arc::new(store::users::by_guid(&mut db, ME).await.unwrap().unwrap());
    let mut hits = 0;
    for (n, text) in vec(asked(), 150).new_tree(&mut runner).unwrap().current().iter().enumerate() {
        let query = Query::parse(text);
        let role = if n % 3 == 0 { Role::Administrator } else { Role::Publisher };
        let principal = Principal { user: user.clone(), role, via: Via::Key(1) };
        let (sort, descending) = ([Sort::Deployed, Sort::Created, Sort::Name, Sort::Title][n % 4], n % 5 < 3);
        let mut expected: Vec<&Made> = all
            .iter()
            .filter(|made| {
                let open = made.item.owner_guid == ME || made.item.access_type != "acl" || made.granted.is_some();
                let term = |term: &Term| term.any.iter().any(|filter| holds(filter, made)) != term.negated;
                (open || role == Role::Administrator) && query.terms.iter().all(term)
            })
            .collect();
        expected.sort_by_key(|made| {
            let item = &made.item;
            let (moment, text) = match sort {
                Sort::Deployed => (item.deployed, String::new()),
                Sort::Created => (item.created, String::new()),
                Sort::Name => (0, item.name.to_lowercase()),
                Sort::Title => (0, item.title.as_ref().unwrap_or(&item.name).to_lowercase()),
            };
            (moment, text, item.id)
        });
        if descending {
            expected.reverse();
        }
        let expected: Vec<i64> = expected.iter().map(|made| made.item.id).collect();
        let order = Order { sort, descending };
        let condition = Condition::open_to(&principal).matching(&mut db, &query, ME).await.unwrap();
        assert_eq!(store::search::ids(&mut db, &condition, order).await.unwrap(), expected, "{text:?}");
        let part = Part { limit: 7, offset: i64::try_from(n % 9).unwrap() };
        let (page, total) = store::search::items(&mut db, &totals, &condition, order, part).await.unwrap();
        let page: Vec<i64> = page.iter().map(|item| item.id).collect();
        let wanted: Vec<i64> = expected.iter().copied().skip(n % 9).take(7).collect();
        assert_eq!((page, total), (wanted, i64::try_from(expected.len()).unwrap()), "{text:?}");
        hits += expected.len();
    }
    drop(db);
    // What was written before there was the table of lists is listed when the server starts.
    let mut tx = world.write().await.unwrap();
    let before = store::search::ids(&mut tx, &Condition::default(), Order::NEWEST).await.unwrap();
    sqlx::query("DELETE FROM listed WHERE content_id > 5").execute(&mut *tx).await.unwrap();
    store::search::complete(&mut tx).await.unwrap();
    assert_eq!(store::search::ids(&mut tx, &Condition::default(), Order::NEWEST).await.unwrap(), before);
    assert!(hits > 500, "the queries find next to nothing: {hits}");
}

#[tokio::test]
async fn sql_finds_what_the_language_says() {
    let folder = tempfile::tempdir().unwrap();
    finds_the_same(sim_kit::Db::sqlite(&folder.path().join("db.sqlite"), MIGRATIONS).await.unwrap()).await;
    let Some(server) = Postgres::start() else { return };
    finds_the_same(server.db(MIGRATIONS).await).await;
}

/// Lists are read in pieces; one that is much longer than a piece is whole, in order, and JSON.
#[tokio::test]
async fn long_lists_are_whole() {
    long_lists(&TestApp::new().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn long_lists_are_whole_on_postgres() {
    let Some(server) = Postgres::start() else { return };
    let url = server.database().await;
    let world = || WorldConfig { database_url: Some(url.clone()), ..WorldConfig::default() };
    let (app, other) = (TestApp::on(Config::default(), world()).await, TestApp::on(Config::default(), world()).await);
    long_lists(&app).await;
    // What another server has written is in the next list.
    let listed = async |app: &TestApp| app.publisher().get("/v1/content").await.ok();
    let mut tx = other.world.db().write().await.unwrap();
    let known = store::content::by_id(&mut tx, 1).await.unwrap().unwrap();
    let more = Content { id: 9_999, guid: "elsewhere".to_owned(), name: "elsewhere".to_owned(), ..known };
    store::content::insert(&mut tx, &more).await.unwrap();
    assert_eq!(listed(&app).await.as_array().unwrap().len(), 100);
    tx.commit().await.unwrap();
    assert_eq!(listed(&app).await.as_array().unwrap().len(), 101);
    assert_eq!(listed(&app).await, listed(&other).await);
    app.world.end().await;
    other.world.end().await;
}

async fn long_lists(app: &TestApp) {
    let publisher = app.publisher();
    let guid = publisher.create("first").await;
    let mut tx = app.world.db().write().await.unwrap();
    let first = store::content::by_guid(&mut tx, &guid).await.unwrap().unwrap();
    for n in 0..600 {
        let (id, deployed) = (first.id + 1 + n, first.deployed - 1 - n % 100);
        let item = Content { id, guid: format!("item-{n}"), name: format!("item-{n}"), deployed, ..first.clone() };
        store::content::insert(&mut tx, &item).await.unwrap();
    }
    tx.commit().await.unwrap();
    let listed = publisher.get("/v1/content?include=owner,tags").await.ok();
    let listed = listed.as_array().unwrap();
    assert_eq!((listed.len(), &listed[0]["guid"]), (601, &json!(guid)));
    let order: Vec<(&str, i64)> = listed
        .iter()
        .map(|item| (item["last_deployed_time"].as_str().unwrap(), item["id"].as_str().unwrap().parse().unwrap()))
        .collect();
    let mut db = app.world.db().read().await.unwrap();
    let expected = store::search::ids(&mut db, &Condition::default(), Order::NEWEST).await.unwrap();
    drop(db);
    let ids: Vec<i64> = order.iter().map(|one| one.1).collect();
    assert_eq!(ids, expected);
    assert!(order.windows(2).all(|pair| pair[0].0 >= pair[1].0));
    assert!(listed.iter().all(|item| item["owner"]["username"] == "publisher" && item["app_role"] == "owner"));
    // It is kept, for this caller, as long as nothing changes.
    let path = "/v1/content?include=owner,tags";
    assert_eq!(publisher.get(path).await.ok().as_array().unwrap(), listed);
    assert_eq!(app.viewer().get(path).await.ok(), json!([]));
    assert_eq!(app.admin().get(path).await.ok()[0]["app_role"], "none");
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"title": "Another"})).await.ok();
    assert_eq!(publisher.get(path).await.ok()[0]["title"], "Another");
    // Who takes it compressed gets it so, and the same.
    let key = format!("Key {}", sim_kit::seed::users(1)[1].api_key);
    let ask = async |path: &str| {
        let request = http::Request::get(format!("/__api__{path}"))
            .header("host", "connect.example")
            .header("authorization", &key);
        let request = request.header("accept-encoding", "gzip, deflate").body(Body::empty()).unwrap();
        app.router.clone().oneshot(request).await.unwrap()
    };
    let answer = ask(path).await;
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    assert_eq!(answer.headers()["vary"], "Accept-Encoding");
    let compressed = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(&compressed[..]).read_to_end(&mut text).unwrap();
    let told: Value = serde_json::from_slice(&text).unwrap();
    assert!(told == publisher.get(path).await.ok());
    assert!(compressed.len() < text.len() / 10);

    // One that is too long to be kept is sent as it is read: items that go meanwhile are left out, and the rest is still JSON.
    let mut tx = app.world.db().write().await.unwrap();
    let long = "x".repeat(30_000);
    sqlx::query("UPDATE content SET description = $1").bind(long).execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let answer = ask("/v1/content").await;
    assert!(!answer.headers().contains_key("content-encoding"));
    let mut tx = app.world.db().write().await.unwrap();
    for item in listed.iter().skip(100) {
        store::content::delete(&mut tx, item["guid"].as_str().unwrap()).await.unwrap();
    }
    tx.commit().await.unwrap();
    let rest: Value = serde_json::from_slice(&to_bytes(answer.into_body(), usize::MAX).await.unwrap()).unwrap();
    assert_eq!(rest.as_array().unwrap().len(), 100);
}
