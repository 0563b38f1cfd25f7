//! Who is told of what: webhooks, messages to all, mail of documents.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::sync::Notify;

use super::app::{TestApp, document_bundle, static_bundle};

/// A server that webhooks tell.
#[derive(Clone, Default)]
struct Ear {
    heard: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    refuses: Arc<Mutex<bool>>,
    bell: Arc<Notify>,
}

impl Ear {
    async fn start() -> (Self, String) {
        let ear = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let hear = |State(ear): State<Self>, headers: HeaderMap, body: Bytes| async move {
            ear.heard.lock().unwrap().push((headers, body));
            ear.bell.notify_one();
            if *ear.refuses.lock().unwrap() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
        };
        let router = Router::new().fallback(hear).with_state(ear.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (ear, url)
    }

    /// The next event.
    async fn next(&self) -> (HeaderMap, Value, Bytes) {
        loop {
            let first = {
                let mut heard = self.heard.lock().unwrap();
                (!heard.is_empty()).then(|| heard.remove(0))
            };
            if let Some((headers, body)) = first {
                return (headers, serde_json::from_slice(&body).unwrap(), body);
            }
            self.bell.notified().await;
        }
    }
}

/// The newest delivery of a webhook, once it is in a state.
async fn delivery(app: &TestApp, guid: &str, state: &str) -> Value {
    loop {
        let all = app.admin().get(&format!("/v1/webhooks/{guid}/deliveries")).await.ok();
        if all["results"][0]["state"] == state && all["results"][0]["attempts"] != 0 {
            return all["results"][0].clone();
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn webhooks_are_told_of_what_they_ask_for() {
    let (ear, url) = Ear::start().await;
    let app = TestApp::new().await;
    let admin = app.admin();
    let body = json!({"name": "ops", "url": url, "events": ["deploy_application"], "secret": "s"});
    let made = admin.post("/v1/webhooks", &body).await;
    assert_eq!((made.status.as_u16(), made.json()["has_secret"].as_bool()), (201, Some(true)));
    assert!(!made.text().contains("\"secret\""), "{}", made.text());
    let guid = made.json()["guid"].as_str().unwrap().to_owned();
    assert_eq!(admin.get("/v1/webhooks").await.ok(), json!([made.json()]));

    let item = app.publisher().publish("item", static_bundle("x")).await;
    let (headers, told, raw) = ear.next().await;
    assert_eq!((&told["event"], &told["simulated"]), (&json!("deploy_application"), &json!(true)));
    assert!(told["description"].as_str().unwrap().contains(&item), "{told}");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"s").unwrap();
    mac.update(&raw);
    let signed = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    assert_eq!(headers["x-connect-webhook-signature"], signed.as_str());
    assert_eq!(headers["x-connect-webhook-delivery"], told["delivery_guid"].as_str().unwrap());
    assert_eq!(delivery(&app, &guid, "delivered").await["status"], 204);

    // An address that fails is asked again when its time has come, and again, and then no more.
    *ear.refuses.lock().unwrap() = true;
    assert_eq!(admin.post(&format!("/v1/webhooks/{guid}/test"), &json!({})).await.status, 202);
    let first = ear.next().await.1;
    assert_eq!(first["event"], "test");
    for (attempts, seconds) in [(1, 10), (2, 60), (3, 600)] {
        while delivery(&app, &guid, "pending").await["status"] != 503 {
            tokio::task::yield_now().await;
        }
        assert_eq!(delivery(&app, &guid, "pending").await["attempts"], attempts);
        app.world.clock().advance(Duration::from_secs(seconds)).await;
        assert_eq!(ear.next().await.1["delivery_guid"], first["delivery_guid"]);
    }
    let over = delivery(&app, &guid, "failed").await;
    assert_eq!((&over["attempts"], &over["next_attempt_time"]), (&json!(4), &Value::Null));

    // One that is turned off hears nothing, and one of everything hears that.
    *ear.refuses.lock().unwrap() = false;
    admin.patch(&format!("/v1/webhooks/{guid}"), &json!({"active": false})).await.ok();
    let all = admin.post("/v1/webhooks", &json!({"url": url})).await.json()["guid"].clone();
    let heard = [ear.next().await.1["event"].clone(), {
        app.publisher().publish("other", static_bundle("x")).await;
        ear.next().await.1["event"].clone()
    }];
    assert_eq!(heard, [json!("add_webhook"), json!("add_application")]);
    for guid in [guid.as_str(), all.as_str().unwrap()] {
        assert_eq!(admin.delete(&format!("/v1/webhooks/{guid}")).await.status, 204);
    }
    assert_eq!(admin.get("/v1/webhooks").await.ok(), json!([]));
}

#[tokio::test]
async fn messages_show_where_warnings_do() {
    let app = TestApp::new().await;
    let admin = app.admin();
    let warnings = || async {
        let public = app.anonymous().get("/server_settings").await.ok();
        let own = app.viewer().get("/server_settings").await.ok();
        assert_eq!(
            app.anonymous().get("/v1/server_settings/public").await.ok()["public_warning"],
            public["public_warning"]
        );
        assert!(public.get("logged_in_warning").is_none());
        [public["public_warning"].clone(), own["logged_in_warning"].clone()]
    };
    assert_eq!(warnings().await, ["", ""]);
    let all = json!({"content": "Down at noon", "audience": "everyone", "end_time": "2026-01-02T12:00:00Z"});
    let all = admin.post("/v1/system/messages", &all).await;
    assert_eq!(all.status, 201);
    let later = json!({"content": "Welcome", "start_time": "2026-01-02T06:00:00Z"});
    let later = admin.post("/v1/system/messages", &later).await.json()["guid"].clone();
    assert_eq!(warnings().await, ["Down at noon", ""]);
    // And in pages: of the dashboard, and before anybody has signed in.
    let browser = app.sign_in("viewer", "viewer-password").await;
    for page in [browser.page("/connect/view/content/listing").await, app.anonymous().page("/__login__").await] {
        assert!(page.text().contains("Down at noon") && !page.text().contains("Welcome"), "{}", page.text());
    }
    assert_eq!(app.viewer().get("/v1/system/messages").await.ok().as_array().unwrap().len(), 1);
    assert_eq!(admin.get("/v1/system/messages").await.ok().as_array().unwrap().len(), 2);
    app.world.clock().advance(Duration::from_secs(10 * 3600)).await;
    assert_eq!(warnings().await, ["", "Welcome"]);
    let path = format!("/v1/system/messages/{}", later.as_str().unwrap());
    admin.patch(&path, &json!({"content": "Hello"})).await.ok();
    assert_eq!(warnings().await, ["", "Hello"]);
    assert_eq!(admin.delete(&path).await.status, 204);
    assert_eq!((warnings().await, admin.delete(&path).await.code()), ([json!(""), json!("")], (404, 4)));
    let bad = json!({"content": "x", "start_time": "2026-01-02T06:00:00Z", "end_time": "2026-01-02T06:00:00Z"});
    assert_eq!(admin.post("/v1/system/messages", &bad).await.code(), (400, 25));
}

#[tokio::test]
async fn documents_are_mailed_to_those_who_subscribed() {
    let app = TestApp::new().await;
    let (admin, publisher, viewer) = (app.admin(), app.publisher(), app.viewer());
    let guid = publisher.publish("report", document_bundle()).await;
    let (at, mail) = (format!("/v1/content/{guid}/subscriptions"), format!("/v1/content/{guid}/email"));
    assert_eq!(viewer.post(&at, &json!({})).await.code(), (403, 22));
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"access_type": "logged_in"})).await.ok();
    let made = viewer.post(&at, &json!({})).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let me = publisher.get("/v1/user").await.ok()["guid"].clone();
    // One subscribes others only to what one may change.
    assert_eq!(viewer.post(&at, &json!({"user_guid": me})).await.code(), (403, 22));
    publisher.post(&at, &json!({"variant_key": made.json()["variant_key"]})).await.ok();
    assert_eq!(publisher.post(&at, &json!({"user_guid": "nobody"})).await.code(), (400, 261));
    assert_eq!(publisher.get(&at).await.ok().as_array().unwrap().len(), 2);
    assert_eq!(viewer.get(&at).await.ok(), json!([made.json()]));

    let mails = || async {
        let mut db = app.world.db().read().await.unwrap();
        let (mails, _) = connect_sim::store::mail::newest(&mut db, 99).await.unwrap();
        mails.into_iter().rev().map(|mail| mail.recipient).collect::<Vec<_>>()
    };
    assert_eq!(viewer.post(&mail, &json!({"recipients": "subscribers"})).await.code(), (403, 22));
    assert_eq!(viewer.post(&mail, &json!({})).await.status, 202);
    let task = publisher.post(&mail, &json!({"recipients": "subscribers"})).await;
    publisher.finished(task.json()["task_id"].as_str().unwrap()).await;
    let sent = mails().await;
    assert_eq!((sent.len(), sent[0] == sent[1] || sent[0] == sent[2]), (3, true), "{sent:?}");

    // A schedule that mails.
    let variant = publisher.get(&format!("/applications/{guid}/variants")).await.ok()[0]["id"].clone();
    let schedule =
        json!({"variant_id": variant, "type": "hour", "schedule": "{\"N\":1}", "email": true, "activate": true});
    publisher.post("/schedules", &schedule).await.ok();
    app.world.clock().advance(Duration::from_secs(3700)).await;
    let deadline = async {
        while mails().await.len() < 5 {
            tokio::task::yield_now().await;
        }
    };
    deadline.await;
    assert_eq!(mails().await.len(), 5);

    let own = viewer.get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    assert_eq!(viewer.delete(&format!("{at}/{}", me.as_str().unwrap())).await.code(), (403, 22));
    assert_eq!(viewer.delete(&format!("{at}/{own}")).await.status, 204);
    assert_eq!(viewer.delete(&format!("{at}/{own}")).await.code(), (404, 4));
    assert_eq!(admin.get(&at).await.ok().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn permissions_are_told_of_by_mail_when_asked() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.create("shared").await;
    let path = format!("/v1/content/{guid}/permissions");
    let viewer = app.viewer().get("/v1/user").await.ok();
    let group = publisher.post("/v1/groups", &json!({"name": "readers"})).await.ok()["guid"].clone();
    let members = format!("/v1/groups/{}/members", group.as_str().unwrap());
    publisher.post(&members, &json!({"user_guid": viewer["guid"]})).await;
    let mails = async || {
        let mut db = app.world.db().read().await.unwrap();
        connect_sim::store::mail::newest(&mut db, 99).await.unwrap().0
    };
    let grant = |kind: &str, principal: &Value, send: Value| json!({"principal_guid": principal, "principal_type": kind, "role": "viewer", "send_email": send});
    assert_eq!(publisher.post(&path, &grant("user", &viewer["guid"], json!("yes"))).await.code(), (400, 87));
    let made = publisher.post(&path, &grant("user", &viewer["guid"], Value::Null)).await;
    assert_eq!((made.status.as_u16(), mails().await.len()), (201, 0), "nobody is told unless that is asked for");
    // What is there is no news.
    publisher.post(&path, &grant("user", &viewer["guid"], json!(true))).await.ok();
    assert_eq!(mails().await.len(), 0);
    publisher.delete(&format!("{path}/{}", made.json()["id"].as_str().unwrap())).await;
    publisher.post(&path, &grant("user", &viewer["guid"], json!(true))).await.ok();
    publisher.post(&path, &grant("group", &group, json!(true))).await.ok();
    let told = mails().await;
    assert_eq!(told.len(), 2, "the user, and the member of the group");
    for mail in told {
        assert_eq!(mail.recipient, viewer["email"].as_str().unwrap());
        assert!(mail.body.ends_with(&format!("http://connect.example/content/{guid}/")), "{}", mail.body);
    }
}

#[tokio::test]
async fn items_can_tell_of_every_permission() {
    let app = TestApp::new().await;
    let publisher = app.publisher();
    let guid = publisher.create("shared").await;
    let (item, path) = (format!("/v1/content/{guid}"), format!("/v1/content/{guid}/permissions"));
    publisher.patch(&item, &json!({"notify_on_share": true})).await.ok();
    let share = async |caller: &super::app::Caller, send: Value| {
        let who = caller.get("/v1/user").await.ok()["guid"].clone();
        let grant = json!({"principal_guid": who, "principal_type": "user", "role": "viewer", "send_email": send});
        assert_eq!(publisher.post(&path, &grant).await.status, 201);
        let mut db = app.world.db().read().await.unwrap();
        connect_sim::store::mail::newest(&mut db, 99).await.unwrap().0
    };
    let told = share(&app.viewer(), Value::Null).await;
    assert_eq!((told.len(), told[0].subject.as_str()), (1, "shared was shared with you"));
    assert_eq!(share(&app.admin(), json!(false)).await.len(), 1, "what the request says goes first");
    publisher.patch(&item, &json!({"notify_on_share": null})).await.ok();
    let (_, other) = app.user("other", "viewer").await;
    assert_eq!(share(&other, Value::Null).await.len(), 1);
}
