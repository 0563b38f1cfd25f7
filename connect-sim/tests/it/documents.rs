//! Documents: variants, renderings, schedules; and the small things beside content.

use std::time::Duration;

use serde_json::{Value, json};

use super::app::{TestApp, document_bundle, static_bundle};

#[tokio::test]
async fn a_document_has_one_default_variant_and_renders() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("document", document_bundle()).await;
    let variants = publisher.get(&format!("/applications/{guid}/variants")).await.ok();
    assert_eq!(variants.as_array().unwrap().len(), 1);
    let (variant, key) = (variants[0]["id"].as_i64().unwrap(), variants[0]["key"].as_str().unwrap());
    assert_eq!((&variants[0]["is_default"], &variants[0]["name"]), (&json!(true), &json!("default")));
    assert_eq!(key.len(), 8);
    let jobs = publisher.get(&format!("/v1/content/{guid}/jobs")).await.ok();
    let first = publisher.get(&format!("/variants/{variant}/renderings")).await.ok();
    assert_eq!((first.as_array().unwrap().len(), &first[0]["job_key"]), (1, &jobs[0]["key"]));

    let started = publisher.post(&format!("/variants/{variant}/render"), &json!({})).await.ok();
    assert_eq!((started["finished"].clone(), started["status"].clone()), (json!(false), json!([])));
    let task = publisher.finished(started["id"].as_str().unwrap()).await;
    assert_eq!(task["code"], 0);
    assert!(task["output"].to_string().contains("simulated"), "{task}");
    let answer = publisher.post(&format!("/v1/content/{guid}/render"), &json!({"variant_key": key})).await;
    assert_eq!(answer.status, 202);
    publisher.finished(answer.json()["task_id"].as_str().unwrap()).await;

    let renderings = publisher.get(&format!("/variants/{variant}/renderings")).await.ok();
    let active: Vec<&Value> = renderings.as_array().unwrap().iter().map(|one| &one["active"]).collect();
    assert_eq!(active, [true, false, false]);
    let shown = publisher.get(&format!("/variants/{variant}")).await.ok();
    assert_eq!(shown["rendering_id"], renderings[0]["id"]);
    let jobs = publisher.get(&format!("/v1/content/{guid}/jobs")).await.ok();
    assert_eq!(jobs[0]["tag"], "build_report");
    let page = publisher.get(&format!("/content/{guid}/v{key}/_rev{}/doc.html", renderings[2]["id"])).await;
    assert_eq!(page.text(), "<h1>Document</h1>");
    assert_eq!(publisher.get(&format!("/content/{guid}/v{key}")).await.status, 302);
    assert_eq!(publisher.get(&format!("/content/{guid}/v{key}/_rev99/")).await.code(), (404, 4));

    // A second deploy renders the same variant.
    publisher.deploy(&guid, &json!({})).await;
    assert_eq!(publisher.get(&format!("/applications/{guid}/variants")).await.ok().as_array().unwrap().len(), 1);
    let changed = publisher.post(&format!("/variants/{variant}"), &json!({"name": "Weekly", "email_all": true})).await;
    assert_eq!((changed.ok()["name"].clone(), changed.ok()["email_all"].clone()), (json!("Weekly"), json!(true)));

    let page = publisher.publish("page", static_bundle("x")).await;
    assert_eq!(publisher.get(&format!("/applications/{page}/variants")).await.ok(), json!([]));
    assert_eq!(publisher.post(&format!("/v1/content/{page}/render"), &json!({})).await.code(), (400, 147));
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"locked": true})).await.ok();
    assert_eq!(publisher.post(&format!("/variants/{variant}/render"), &json!({})).await.code(), (409, 222));
}

#[tokio::test]
async fn private_variants_are_for_those_who_may_change_the_item() {
    let app = TestApp::new().await;
    let (publisher, admin, viewer) = (app.publisher(), app.admin(), app.viewer());
    let (collaborator_guid, collaborator) = app.user("helper", "publisher").await;
    let guid = publisher.publish("document", document_bundle()).await;
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"access_type": "logged_in"})).await.ok();
    let permission = json!({"principal_guid": collaborator_guid, "principal_type": "user", "role": "owner"});
    publisher.post(&format!("/v1/content/{guid}/permissions"), &permission).await;
    let list = format!("/applications/{guid}/variants");
    let variant = publisher.get(&list).await.ok()[0].clone();
    let (id, key) = (variant["id"].as_i64().unwrap(), variant["key"].as_str().unwrap().to_owned());
    let schedule = json!({
        "variant_id": id, "activate": true, "type": "day", "schedule": "{\"N\":1}", "timezone": "UTC",
    });
    let schedule = publisher.post("/schedules", &schedule).await.ok()["id"].clone();
    let own = viewer.post(&format!("/v1/content/{guid}/subscriptions"), &json!({})).await;
    assert_eq!(own.status, 201);

    for (visibility, shown) in [("public", true), ("private", false)] {
        let set = publisher.post(&format!("/variants/{id}"), &json!({"visibility": visibility})).await.ok();
        assert_eq!(set["visibility"], visibility);
        let (ok, redirected) = if shown { (200, 302) } else { (404, 404) };
        for (path, status) in [
            (format!("/variants/{id}"), ok),
            (format!("/variants/{id}/renderings"), ok),
            (format!("/variants/{id}/schedules"), ok),
            (format!("/schedules/{schedule}"), ok),
            (format!("/v1/content/{guid}/subscriptions?variant_key={key}"), ok),
            (format!("/content/{guid}/doc.html"), ok),
            (format!("/content/{guid}/v{key}/doc.html"), ok),
            (format!("/content/{guid}/v{key}"), redirected),
        ] {
            assert_eq!(viewer.get(&path).await.status, status, "{visibility}: {path}");
            for other in [&publisher, &collaborator] {
                let status = other.get(&path).await.status.as_u16();
                assert!(matches!(status, 200 | 302), "{visibility}: {path}: {status}");
            }
        }
        let seen = |answer: Value| answer.as_array().unwrap().len();
        let subscriptions = format!("/v1/content/{guid}/subscriptions");
        let search = "/v1/search/variants?include=schedule";
        let with_schedules = format!("/v1/content/{guid}?include=schedule");
        for (caller, count) in [(&viewer, usize::from(shown)), (&publisher, 1), (&collaborator, 1), (&admin, 1)] {
            assert_eq!(seen(caller.get(&list).await.ok()), count, "{visibility}");
            assert_eq!(seen(caller.get(search).await.ok()["results"].clone()), count, "{visibility}");
            assert_eq!(seen(caller.get(&with_schedules).await.ok()["schedules"].clone()), count, "{visibility}");
        }
        assert_eq!(seen(viewer.get(&subscriptions).await.ok()), usize::from(shown), "{visibility}");
        assert_eq!(seen(publisher.get(&subscriptions).await.ok()), 1, "{visibility}");
        let me = viewer.post(&format!("/variants/{id}/sender?email=me"), &json!({})).await;
        assert_eq!(me.status, ok, "{visibility}");
        let again = viewer.post(&subscriptions, &json!({"variant_key": key})).await;
        assert_eq!(again.status, if shown { 201 } else { 404 }, "{visibility}");
    }
    let page = viewer.page(&format!("/content/{guid}/")).await;
    assert!(page.status == 404 && page.text().contains("no version that you may see"), "{}", page.text());

    // Who subscribed while it was public gets nothing any more.
    let sent = publisher.post(&format!("/v1/content/{guid}/email"), &json!({"recipients": "subscribers"})).await;
    assert_eq!(sent.code(), (400, 200));
}

#[tokio::test]
async fn schedules_fall_on_the_last_day_of_shorter_months() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("document", document_bundle()).await;
    let variant = publisher.get(&format!("/applications/{guid}/variants")).await.ok()[0]["id"].clone();
    let mut body = json!({
        "variant_id": variant, "activate": true, "type": "dayofmonth", "schedule": "{\"N\":1,\"Day\":31}",
        "timezone": "UTC", "start_time": "2026-01-31T06:00:00Z",
    });
    let made = publisher.post("/schedules", &body).await.ok();
    let path = format!("/schedules/{}", made["id"]);
    let next = async || publisher.get(&path).await.ok()["next_run"].clone();
    let until = async |at: &str| {
        let at: chrono::DateTime<chrono::Utc> = at.parse().unwrap();
        app.world.clock().advance((at - app.world.clock().now()).to_std().unwrap()).await;
    };
    for day in ["2026-01-31T06:00:00Z", "2026-02-28T06:00:00Z", "2026-03-31T06:00:00Z", "2026-04-30T06:00:00Z"] {
        assert_eq!(next().await, day);
        until(day).await;
    }
    assert_eq!(next().await, "2026-05-31T06:00:00Z");
    // Tasks of one item are carried out in their order.
    publisher.deploy(&guid, &json!({})).await;
    let runs = publisher.get(&format!("/variants/{variant}/renderings")).await.ok();
    assert_eq!(runs.as_array().unwrap().len(), 6, "two deploys and four runs: {runs}");

    let rule = async || {
        let item = publisher.get(&format!("/v1/content/{guid}?include=schedule")).await.ok();
        item["schedules"][0]["schedule"]["rrules"][0].as_str().unwrap().to_owned()
    };
    assert_eq!(rule().await, "RRULE:FREQ=MONTHLY;INTERVAL=1;BYMONTHDAY=28,29,30,31;BYSETPOS=-1");
    body["type"] = json!("year");
    body["schedule"] = json!("{\"N\":1}");
    body["start_time"] = json!("2024-02-29T06:00:00Z");
    publisher.post(&path, &body).await.ok();
    assert_eq!(next().await, "2027-02-28T06:00:00Z");
    until("2027-02-28T06:00:00Z").await;
    assert_eq!(next().await, "2028-02-29T06:00:00Z");
    assert_eq!(rule().await, "RRULE:FREQ=YEARLY;INTERVAL=1;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1");
}

#[tokio::test]
async fn schedules_fire_when_the_clock_passes_them() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("document", document_bundle()).await;
    let variant = publisher.get(&format!("/applications/{guid}/variants")).await.ok()[0]["id"].clone();
    let body = json!({
        "app_id": publisher.get(&format!("/applications/{guid}")).await.ok()["id"], "variant_id": variant,
        "activate": true, "email": false, "type": "day", "schedule": "{\"N\":1}", "timezone": "America/New_York",
        "start_time": "2026-01-03T08:00:00-05:00", "next_run": null, "end_time": null, "app_guid": guid,
    });
    let made = publisher.post("/schedules", &body).await.ok();
    assert_eq!((&made["type"], &made["schedule"]), (&json!("day"), &json!("{\"N\":1}")));
    assert_eq!(made["next_run"], "2026-01-03T13:00:00Z");
    assert_eq!(publisher.post("/schedules", &body).await.code(), (409, 102));
    let content = publisher.get(&format!("/v1/content/{guid}?include=schedule")).await.ok();
    assert_eq!(content["schedules"][0]["schedule"]["rrules"], json!(["RRULE:FREQ=DAILY;INTERVAL=1"]));
    assert_eq!(publisher.get(&format!("/applications/{guid}")).await.ok()["is_scheduled"], true);

    // Three runs in one step of the clock; the tasks they start are carried out beside it.
    app.world.clock().advance(Duration::from_secs(4 * 24 * 3600)).await;
    let id = made["id"].as_i64().unwrap();
    let schedule = publisher.get(&format!("/schedules/{id}")).await.ok();
    assert_eq!(schedule["next_run"], "2026-01-06T13:00:00Z");
    // Tasks of one item are carried out in their order.
    publisher.deploy(&guid, &json!({})).await;
    let runs = publisher.get(&format!("/variants/{variant}/renderings")).await.ok();
    assert_eq!(runs.as_array().unwrap().len(), 5, "the deploys and three runs: {runs}");
    let all = publisher.get("/v1/experimental/schedules?detailed=true").await.ok();
    assert_eq!(all["schedules"][0]["extra"]["run_count"], 5);
    assert_eq!(all["schedules"][0]["extra"]["owner"]["username"], "publisher");
    let none = publisher.get("/v1/experimental/schedules?start=2027-01-01T00:00:00Z").await.ok();
    assert_eq!(none["schedules"], json!([]));
    let history = publisher.get(&format!("/v1/content/{guid}/schedule/history")).await.ok();
    let history = &history["results"][0];
    assert_eq!((&history["total_count"], &history["history"][0]["change_type"]), (&json!(1), &json!("created")));
    assert_eq!(history["history"][0]["user"]["username"], "publisher");
    let rules =
        json!({"dtstart": "DTSTART;TZID=America/New_York:20260103T080000", "rrules": ["RRULE:FREQ=DAILY;INTERVAL=1"]});
    assert_eq!(history["history"][0]["new_schedule"]["schedule"], rules);
    let current = json!({"schedule": rules, "next_run": "2026-01-06T13:00:00Z"});
    assert_eq!(history["current_schedule"], current);

    // The whole schedule is sent.
    let change = |name: &str, value: &str| {
        let mut whole = made.clone();
        whole[name] = json!(value);
        whole
    };
    let changed = publisher.post(&format!("/schedules/{id}"), &change("type", "fortnight")).await;
    assert_eq!(changed.code(), (400, 245));
    let part = publisher.post(&format!("/schedules/{id}"), &json!({"type": "weekday"})).await;
    assert_eq!(part.code(), (400, 12));
    let ended = change("end_time", "2026-01-05T00:00:00Z");
    assert_eq!(publisher.post(&format!("/schedules/{id}"), &ended).await.ok()["next_run"], Value::Null);
    assert_eq!(publisher.delete(&format!("/schedules/{id}")).await.status, 204);
    assert_eq!(publisher.get(&format!("/variants/{variant}/schedules")).await.ok(), json!([]));
}

#[tokio::test]
async fn subscribers_come_and_go() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("document", document_bundle()).await;
    let variant = publisher.get(&format!("/applications/{guid}/variants")).await.ok()[0]["id"].clone();
    let viewer = app.viewer().get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    let path = format!("/variants/{variant}/subscribers");
    assert_eq!(publisher.post(&path, &json!([viewer])).await.ok(), json!([viewer]));
    assert_eq!(publisher.post(&path, &json!(["nobody"])).await.code(), (400, 261));
    assert_eq!(publisher.post(&path, &json!({})).await.code(), (400, 87));
    assert_eq!(publisher.delete(&format!("{path}/{viewer}")).await.status, 204);
    assert_eq!(publisher.delete(&format!("{path}/{viewer}")).await.code(), (404, 4));
}

#[tokio::test]
async fn renderings_are_mailed_to_those_who_have_an_address() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("document", document_bundle()).await;
    let variant = publisher.get(&format!("/applications/{guid}/variants")).await.ok()[0]["id"].clone();
    let (reader, _) = app.user("reader", "viewer").await;
    let path = format!("/v1/users/{reader}");
    app.admin().put(&path, &json!({"email": "reader@example.com"})).await.ok();
    let grant = json!({"principal_guid": reader, "principal_type": "user", "role": "viewer"});
    publisher.post(&format!("/v1/content/{guid}/permissions"), &grant).await.ok();
    let sender = format!("/variants/{variant}/sender");
    assert_eq!(publisher.post(&format!("{sender}?email=world"), &json!({})).await.code(), (400, 25));
    assert_eq!(publisher.post(&format!("{sender}?rendering_id=99"), &json!({})).await.code(), (404, 4));
    for who in ["me", "collaborators", "collaborators_viewers"] {
        let sent = publisher.post(&format!("{sender}?email={who}&rendering_id=1"), &json!({})).await.ok();
        assert_eq!((&sent["finished"], &sent["code"]), (&json!(true), &json!(0)));
    }
    let (mut mails, _) = connect_sim::store::mail::newest(&mut app.world.db().read().await.unwrap(), 99).await.unwrap();
    mails.retain(|mail| mail.subject != "Your new account");
    let to_reader = mails.iter().filter(|mail| mail.recipient == "reader@example.com").count();
    assert_eq!((mails.len(), to_reader), (4, 1), "{mails:?}");
}

#[tokio::test]
async fn thumbnails_are_pictures() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("page", static_bundle("x")).await;
    let shown = format!("/content/{guid}/__thumbnail__");
    let path = format!("/v1/content/{guid}/thumbnail");
    assert_eq!(publisher.get(&shown).await.status, 204);
    assert_eq!(publisher.delete(&path).await.code(), (404, 17));
    let set = publisher.raw("PUT", &path, &[("content-type", "image/png")], "GIF89a-first".into()).await;
    assert_eq!(set.status, 204);
    let seen = publisher.get(&shown).await;
    assert_eq!((seen.header("content-type"), seen.text().as_str()), ("image/gif", "GIF89a-first"));
    assert_eq!(app.viewer().get(&shown).await.status, 403);
    let svg = publisher.raw("PUT", &path, &[], "<svg onload='alert(1)'/>".into()).await;
    assert_eq!(svg.code(), (400, 25));
    assert_eq!(publisher.raw("PUT", &path, &[], vec![0; 10_000_001].into()).await.code(), (413, 125));

    // Two items with the same picture: it stays for the one when the other goes.
    let other = publisher.publish("other", static_bundle("y")).await;
    let legacy = format!("/applications/{other}/image");
    assert_eq!(publisher.raw("POST", &legacy, &[], "GIF89a-first".into()).await.status, 204);
    publisher.delete(&format!("/v1/content/{guid}")).await;
    assert_eq!(publisher.get(&legacy).await.text(), "GIF89a-first");
    assert_eq!(publisher.delete(&legacy).await.status, 204);
    assert_eq!(publisher.get(&legacy).await.status, 204);
}

#[tokio::test]
async fn older_servers_have_the_older_thumbnail_route_only() {
    let config = connect_sim::Config { version: "2024.08.0".parse().unwrap(), ..connect_sim::Config::default() };
    let app = TestApp::with(config).await;
    let guid = app.publisher().publish("page", static_bundle("x")).await;
    let path = format!("/v1/content/{guid}/thumbnail");
    let answer = app.publisher().raw("PUT", &path, &[], "GIF89a".into()).await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found"));
    let answer = app.publisher().raw("POST", &format!("/applications/{guid}/image"), &[], "GIF89a".into()).await;
    assert_eq!(answer.status, 204);
}

#[tokio::test]
async fn bookmarks_are_ones_own() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("page", static_bundle("x")).await;
    let path = format!("/v1/content/{guid}/bookmark");
    assert_eq!(publisher.post(&path, &json!({})).await.status, 201);
    assert_eq!(publisher.post(&path, &json!({})).await.code(), (409, 267));
    assert_eq!(publisher.get(&path).await.ok()["created_time"], "2026-01-02T03:04:05Z");
    let marked = |caller: super::app::Caller| {
        let path = format!("/v1/content/{guid}?include=bookmarked");
        async move { caller.get(&path).await.ok()["bookmarked"].clone() }
    };
    assert_eq!((marked(publisher.clone()).await, marked(app.admin()).await), (json!(true), json!(false)));
    assert_eq!(publisher.delete(&path).await.status, 204);
    assert_eq!(publisher.get(&path).await.code(), (404, 4));
}

#[tokio::test]
async fn bundles_show_their_files() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.publish("page", static_bundle("hello")).await;
    let path = format!("/v1/content/{guid}/bundles/1/files");
    let all = publisher.get(&path).await.ok();
    let paths: Vec<&str> = all.as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    assert_eq!(paths, ["a b/c.css", "index.html", "manifest.json", "sub/index.html"]);
    let file = publisher.get(&format!("{path}/index.html")).await.ok();
    let expected = json!({"path": "index.html", "size": 5, "content": "hello", "binary": false, "oversize": false});
    assert_eq!(file, expected);
    for bad in ["none", "sub", "..%2f..%2fetc%2fpasswd", "%2e%2e/x"] {
        assert_eq!(publisher.get(&format!("{path}/{bad}")).await.code(), (404, 278), "{bad}");
    }
}

#[tokio::test]
async fn time_zones_have_their_offsets_now() {
    let app = TestApp::new().await;
    let zones = app.viewer().get("/v1/timezones").await.ok();
    let find = |name: &str| zones.as_array().unwrap().iter().find(|zone| zone["timezone"] == name).unwrap().clone();
    assert_eq!(find("America/New_York")["offset"], "-05:00");
    assert_eq!(find("Asia/Kolkata")["offset"], "+05:30");
    assert_eq!(app.viewer().get("/timezones").await.ok(), zones);
    app.world.clock().advance(Duration::from_secs(180 * 24 * 3600)).await;
    let summer = app.viewer().get("/v1/timezones").await.ok();
    assert!(summer.as_array().unwrap().contains(&json!({"timezone": "America/New_York", "offset": "-04:00"})));
}
