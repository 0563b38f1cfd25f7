//! The Workbench API, by token, by cookie and from inside a session.

use serde_json::{Value, json};
use sim_kit::Running;
use workbench_sim::{Config, Runtime, api_token};

use crate::server::{LONG, config, http, publisher, start};

async fn post(workbench: &Running, user: &str, method: &str, kwparams: Value) -> (u16, Value) {
    let request = http()
        .post(format!("{}/api/{method}", workbench.url()))
        .header("Authorization", format!("Bearer {}", api_token(1, user)))
        .json(&json!({ "method": method, "kwparams": kwparams }));
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

#[tokio::test]
async fn a_session_is_launched_looked_at_and_stopped_with_a_token() {
    let workbench = start(config(Runtime::Simulated)).await;
    let wanted = json!({ "workbench": "RStudio", "launch_parameters": { "name": "by api", "cluster": "Local" } });
    let (status, made) = post(&workbench, "publisher", "launch_session", wanted).await;
    assert_eq!(status, 200, "{made}");
    let made = &made["result"];
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(id.len(), 8);
    assert_eq!(made["project_id"], "cfc78a31");
    let url = made["url"].as_str().unwrap();
    assert!(url.starts_with("/s/") && url.ends_with(&format!("cfc78a31{id}/")) && url.len() == 25, "{url}");

    let client = publisher(&workbench).await;
    let session = workbench_sim::client::LaunchedSession { id: id.clone(), url: url.to_owned() };
    client.wait_until_active(&session, LONG).await.unwrap();
    let (_, told) = post(&workbench, "publisher", "get_session", json!({ "session_id": id })).await;
    let told = &told["result"]["sessions"][0];
    assert_eq!(
        (&told["label"], &told["activity_state"], &told["running"]),
        (&json!("by api"), &json!("running"), &json!(true))
    );
    let (_, few) = post(&workbench, "publisher", "get_session", json!({ "fields": ["label"] })).await;
    assert_eq!(few["result"]["sessions"], json!([{ "id": id, "label": "by api" }]));

    let (_, done) = post(&workbench, "publisher", "stop_session", json!({ "session_ids": id, "suspend": true })).await;
    assert_eq!(done["result"], true);
    assert_eq!(client.state(&session).await.unwrap(), "suspended");
    let (_, again) = post(&workbench, "publisher", "resume_session", json!({ "session_id": id })).await;
    assert_eq!(again["result"]["url"], url);
    client.wait_until_active(&session, LONG).await.unwrap();
    post(&workbench, "publisher", "stop_session", json!({ "session_ids": id })).await;
    assert_eq!(client.state(&session).await.unwrap(), "finished");
    let (_, none) = post(&workbench, "publisher", "get_session", json!({})).await;
    assert_eq!(none["result"]["sessions"], json!([]));
}

#[tokio::test]
async fn others_sessions_are_out_of_reach_except_for_administrators() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let session = client.launch("RStudio", "mine").await.unwrap();
    let (status, refused) = post(&workbench, "viewer", "stop_session", json!({ "session_ids": session.id })).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!(14)));
    let (_, none) = post(&workbench, "viewer", "get_session", json!({ "session_id": session.id })).await;
    assert_eq!(none["result"]["sessions"], json!([]));
    let (status, _) = post(&workbench, "viewer", "get_session", json!({ "username": "publisher" })).await;
    assert_eq!(status, 403);
    let viewer = api_token(1, "viewer");
    let page = format!("{}{}", workbench.url(), session.url);
    let page = http().get(page).header("Authorization", format!("Bearer {viewer}")).send().await.unwrap();
    assert_eq!(page.status(), 503);

    let (_, seen) = post(&workbench, "admin", "get_session", json!({ "username": "publisher" })).await;
    assert_eq!(seen["result"]["sessions"][0]["id"], session.id);
    let (status, _) = post(&workbench, "admin", "stop_session", json!({ "session_ids": session.id })).await;
    assert_eq!(status, 200);
    let wanted = json!({ "workbench": "RStudio", "username": "viewer", "name": "for them" });
    let (_, made) = post(&workbench, "admin", "launch_session", wanted).await;
    let (_, seen) = post(&workbench, "viewer", "get_session", json!({})).await;
    assert_eq!(seen["result"]["sessions"][0]["id"], made["result"]["id"]);
}

#[tokio::test]
async fn nonsense_gets_a_clear_refusal() {
    let workbench = start(config(Runtime::Simulated)).await;
    for (method, kwparams, status, words) in [
        ("launch_session", json!({}), 400, "workbench is missing"),
        ("launch_session", json!({ "workbench": "rstudio" }), 400, "RStudio"),
        ("launch_session", json!({ "workbench": "VS Code" }), 400, "not installed"),
        ("launch_session", json!({ "workbench": "RStudio", "name": "a\nb" }), 400, "control characters"),
        ("launch_session", json!({ "workbench": "RStudio", "r_version": "1.0" }), 400, "no R version"),
        ("launch_session", json!({ "workbench": "RStudio", "launch_parameters": 7 }), 400, "launch_parameters"),
        (
            "launch_session",
            json!({ "workbench": "RStudio", "launch_parameters": { "x": "y".repeat(20_000) } }),
            400,
            "larger",
        ),
        (
            "launch_session",
            json!({ "workbench": "RStudio", "working_directory": "/etc" }),
            400,
            "below the home folder",
        ),
        ("stop_session", json!({}), 400, "session_ids"),
        ("stop_session", json!({ "session_ids": "00000000" }), 404, "no session"),
        ("resume_session", json!({ "session_id": 7 }), 400, "no string"),
        ("frobnicate", json!({}), 404, "launch_session"),
    ] {
        let (got, told) = post(&workbench, "publisher", method, kwparams.clone()).await;
        let message = told["error"]["message"].as_str().unwrap();
        assert!(got == status && message.contains(words), "{method} {kwparams}: {got} {message}");
    }
    let raw = async |body: &'static str| {
        let request = http()
            .post(format!("{}/api/launch_session", workbench.url()))
            .header("Authorization", format!("Bearer {}", api_token(1, "publisher")));
        request.body(body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(
        [raw("{").await, raw("[]").await, raw("{\"method\":\"other\"}").await, raw("{\"kwparams\":1}").await],
        [400; 4]
    );
}

#[tokio::test]
async fn without_proof_or_token_nothing_happens() {
    let workbench = start(config(Runtime::Simulated)).await;
    let url = format!("{}/api/launch_session", workbench.url());
    let body = json!({ "method": "launch_session", "kwparams": { "workbench": "RStudio" } });
    let nobody = http().post(&url).json(&body).send().await.unwrap();
    assert_eq!(nobody.status(), 401);
    assert_eq!(nobody.json::<Value>().await.unwrap()["error"], json!({ "code": 3, "message": "Unauthorized" }));
    let wrong = http().post(&url).header("Authorization", "Bearer x").json(&body).send().await.unwrap();
    assert_eq!(wrong.status(), 401);
    // The cookie alone is what another site could make a browser send.
    let client = publisher(&workbench).await;
    let cookie_only = http().post(&url).header("Cookie", client.cookie_header()).json(&body).send().await.unwrap();
    assert_eq!(cookie_only.status(), 400);
    for header in ["X-RS-CSRF-Token", "X-CSRF-Token"] {
        let request = http().post(&url).header("Cookie", client.cookie_header()).header(header, client.token());
        assert_eq!(request.json(&body).send().await.unwrap().status(), 200);
    }
    let sessions = client.call("get_session", json!({})).await.unwrap();
    assert_eq!(sessions["sessions"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn version_answers_a_get() {
    let config = Config { version: "2025.09.1+401.pro7".to_owned(), ..config(Runtime::Simulated) };
    let workbench = start(config).await;
    let request = http().get(format!("{}/api/version", workbench.url()));
    let answer = request.header("Authorization", format!("Key {}", api_token(1, "viewer"))).send().await.unwrap();
    let value: Value = answer.json().await.unwrap();
    let version = &value["result"]["version"];
    assert_eq!((&version["major"], &version["minor"], &version["patch"]), (&json!(2025), &json!(9), &json!(1)));
    let off = start(Config { api: false, ..crate::server::config(Runtime::Simulated) }).await;
    let request = http().get(format!("{}/api/version", off.url()));
    let answer = request.header("Authorization", format!("Bearer {}", api_token(1, "admin"))).send().await.unwrap();
    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn the_number_of_sessions_is_limited() {
    let workbench = start(Config { session_limit: 2, ..config(Runtime::Simulated) }).await;
    let client = publisher(&workbench).await;
    let first = client.launch("RStudio", "one").await.unwrap();
    client.launch("RStudio", "two").await.unwrap();
    let refused = client.launch("RStudio", "three").await.unwrap_err().to_string();
    assert!(refused.contains("limit of 2 sessions"), "{refused}");
    client.quit(&first).await.unwrap();
    client.launch("RStudio", "three").await.unwrap();
}
