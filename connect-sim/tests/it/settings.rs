//! What settings of the product change.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use connect_sim::Config;
use connect_sim::access::{AccessType, Role};
use connect_sim::config::Retention;
use connect_sim::config::settings::{SETTINGS, WITHOUT_EFFECT};
use connect_sim::store::tasks;
use serde_json::json;
use sim_kit::testing::generated;

use super::app::{TestApp, static_bundle};

#[test]
fn the_document_lists_every_setting() {
    let mut text = "# Settings of Connect\n\n\
        Connect reads the product's `rstudio-connect.gcfg`: the file that `--config FILE` (or `TEAMSIM_CONNECT_CONFIG`) names, or\n\
        `/etc/rstudio-connect/rstudio-connect.gcfg` where that is there. A variable `CONNECT_<SECTION>_<KEY>` goes before the file,\n\
        and `--set Section.Key=value` before both:\n\n\
        ```sh\nconnect-sim --config rstudio-connect.gcfg --set Scheduler.MaxProcesses=6\n\
        CONNECT_SCHEDULER_MAXPROCESSES=6 teamsim serve connect\n```\n\n\
        A value that a setting does not take ends the start, with its line. A setting that is known to nobody is warned of, with its\n\
        line. This file is generated from the table in `connect-sim/src/config/settings.rs`; bring it up to date with\n\n\
        ```sh\ncargo nextest run -p connect-sim settings::\n```\n\n\
        ## With effect\n\n| setting | takes | what |\n|---|---|---|\n"
        .to_owned();
    for one in SETTINGS {
        writeln!(text, "| `{}.{}` | {} | {} |", one.section, one.key, one.takes, one.what).unwrap();
    }
    text += "\n## Taken, without effect here\n\n";
    for (section, key) in WITHOUT_EFFECT {
        writeln!(text, "- `{section}.{key}`").unwrap();
    }
    generated(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/CONNECT-SETTINGS.md"), &text);
}

#[tokio::test]
async fn what_people_may_do_follows_settings() {
    let config = Config {
        publishers_can_manage_vanities: false,
        viewers_can_only_see_themselves: true,
        widest_access: AccessType::LoggedIn,
        default_role: Role::Publisher,
        hide_version: true,
        ..Config::default()
    };
    let app = TestApp::with(config).await;
    let (publisher, admin, viewer) = (app.publisher(), app.admin(), app.viewer());
    let guid = publisher.create("item").await;
    let (item, vanity) = (format!("/v1/content/{guid}"), format!("/v1/content/{guid}/vanity"));
    assert_eq!(publisher.put(&vanity, &json!({"path": "/mine/"})).await.code(), (403, 22));
    admin.put(&vanity, &json!({"path": "/mine/"})).await.ok();
    assert_eq!(publisher.delete(&vanity).await.code(), (403, 22));

    assert_eq!(publisher.patch(&item, &json!({"access_type": "all"})).await.code(), (400, 118));
    publisher.patch(&item, &json!({"access_type": "logged_in"})).await.ok();
    let shown = publisher.get("/server_settings/applications").await.ok();
    assert_eq!(shown["access_types"], json!(["acl", "logged_in"]));

    let all = viewer.get("/v1/users").await.ok();
    assert_eq!((&all["total"], &all["results"][0]["username"]), (&json!(1), &json!("viewer")));
    let other = publisher.get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    assert_eq!(viewer.get(&format!("/v1/users/{other}")).await.status, 404);
    assert_eq!(publisher.get("/v1/users").await.ok()["total"], 3);

    let made =
        admin.post("/v1/users", &json!({"username": "newcomer", "email": "", "password": "a-password"})).await.ok();
    assert_eq!(made["user_role"], "publisher");
    assert_eq!(app.anonymous().get("/server_settings").await.ok()["version"], "");
    assert_ne!(viewer.get("/server_settings").await.ok()["version"], "");
}

#[tokio::test]
async fn warnings_and_secure_cookies() {
    let config = Config {
        public_warning: "Tests <only>".to_owned(),
        authentication_notice: "Use your badge".to_owned(),
        force_secure: true,
        ..Config::default()
    };
    let app = TestApp::with(config).await;
    let page = app.anonymous().page("/__login__").await.text();
    assert!(page.contains("Tests &lt;only&gt;") && page.contains("Use your badge"), "{page}");
    assert_eq!(app.anonymous().get("/server_settings").await.ok()["public_warning"], "Tests <only>");
    let form = "username=viewer&password=viewer-password";
    let answer = app.anonymous().raw("POST", "/__login__", &[], form.into()).await;
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
    assert!(!cookies.is_empty() && cookies.iter().all(|cookie| cookie.contains("Secure")), "{cookies:?}");
    assert!(!answer.headers.contains_key("strict-transport-security"), "{answer:?}");
}

/// Browsers believe it by HTTPS only.
#[tokio::test]
async fn permanent_https_is_told_to_who_came_by_it() {
    let app = TestApp::with(Config { https_permanent: true, ..Config::default() }).await;
    let form = "username=viewer&password=viewer-password";
    let by = |scheme: &'static str| app.anonymous().with("x-forwarded-proto", scheme);
    for (scheme, told) in [("http", None), ("https", Some("max-age=2592000"))] {
        let answer = by(scheme).raw("POST", "/__login__", &[], form.into()).await;
        let header = answer.headers.get("strict-transport-security").map(|value| value.to_str().unwrap());
        assert_eq!(header, told, "{scheme}");
        let cookies: Vec<_> =
            answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(cookies.len() == 2 && cookies.iter().all(|cookie| cookie.contains("Secure")), "{cookies:?}");
        for path in ["/__ping__", "/none/such", "/__api__/v1/user"] {
            let answer = by(scheme).page(path).await;
            assert_eq!(answer.headers.contains_key("strict-transport-security"), told.is_some(), "{scheme} {path}");
        }
    }
    // Without the setting cookies are as the visit is.
    let app = TestApp::new().await;
    for (scheme, secure) in [("http", false), ("https", true)] {
        let by = app.anonymous().with("x-forwarded-proto", scheme);
        let answer = by.raw("POST", "/__login__", &[], form.into()).await;
        assert!(!answer.headers.contains_key("strict-transport-security"));
        let cookies: Vec<_> =
            answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap()).collect();
        assert!(cookies.iter().all(|cookie| cookie.contains("Secure") == secure), "{cookies:?}");
    }
}

#[tokio::test]
async fn old_bundles_go_when_their_time_has_come() {
    let bundles = Retention { keep: 2, every: Duration::from_secs(3600) };
    let app = TestApp::with(Config { bundles, ..Config::default() }).await;
    let publisher = app.publisher();
    let guid = publisher.publish("item", static_bundle("1")).await;
    for n in 2..=4 {
        publisher.upload(&guid, static_bundle(&n.to_string())).await.ok();
    }
    let list = format!("/v1/content/{guid}/bundles");
    assert_eq!(publisher.get(&list).await.ok().as_array().unwrap().len(), 4);
    app.world.clock().advance(Duration::from_secs(3601)).await;
    let kept = publisher.get(&list).await.ok();
    let ids: Vec<_> = kept.as_array().unwrap().iter().map(|bundle| bundle["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["4", "3", "1"], "the newest two and the active one");
    assert_eq!(publisher.get(&format!("/content/{guid}/")).await.text(), "1");
}

/// One scheduled render at a time, on request of three schedules that are due at once; what people ask for goes ahead.
#[tokio::test]
async fn scheduled_renders_wait_for_each_other() {
    let app = TestApp::with(Config { schedule_concurrency: 1, builders: 0, ..Config::default() }).await;
    let guid = app.publisher().get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    let mut tx = app.world.db().write().await.unwrap();
    for (id, detail) in [("one", json!({"scheduled": 1})), ("two", json!({"scheduled": 1})), ("three", json!(null))] {
        let task = tasks::Task { detail, ..tasks::Task::new(id.into(), "render", &guid, 0) };
        tasks::insert(&mut tx, &task).await.unwrap();
    }
    let mut taken = Vec::new();
    while let Some(task) = tasks::claim(&mut tx, "w", (0, 10), 1).await.unwrap() {
        taken.push(task.id);
    }
    assert_eq!(taken, ["one", "three"]);
    let done = tasks::End::default();
    tasks::finish(&mut tx, "one", "w", 1, &done).await.unwrap();
    assert_eq!(tasks::claim(&mut tx, "w", (0, 10), 1).await.unwrap().unwrap().id, "two");
    tx.commit().await.unwrap();
}
