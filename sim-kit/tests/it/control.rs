//! The control plane, as a test suite of somebody else would use it.

use serde_json::{Value, json};
use sim_kit::HostConfig;

use super::{client, start};

#[tokio::test]
async fn look_in_move_time_and_start_anew() {
    let running = start(HostConfig::default()).await;
    let base = format!("{}/__sim__/v1", running.url());
    let get = async |path: &str| -> Value {
        client().get(format!("{base}/{path}")).send().await.unwrap().json().await.unwrap()
    };
    let post =
        async |path: &str, body: Value| client().post(format!("{base}/{path}")).json(&body).send().await.unwrap();

    assert_eq!(get("health").await["product"], "notebook");
    assert_eq!(
        get("fidelity").await["routes"][0],
        json!({"method": "GET", "path": "/notes", "fidelity": "documented"})
    );

    assert_eq!(post("clock", json!({"set": "2030-01-01T00:00:00Z", "freeze": true})).await.status(), 200);
    let notes = client().get(format!("{}/notes", running.url())).send().await.unwrap();
    assert_eq!(notes.headers()["date"], "Tue, 01 Jan 2030 00:00:00 GMT");
    post("clock", json!({"advance": 86400.5})).await;
    assert_eq!(get("clock").await, json!({"now": "2030-01-02T00:00:00.500Z", "frozen": true}));
    for wrong in [json!({"advance": -1}), json!({"advance": 1e99}), json!({"advanse": 1}), json!([])] {
        assert_eq!(post("clock", wrong).await.status(), 400);
    }

    client().get(format!("{}/nodes", running.url())).send().await.unwrap();
    let journal = get("journal?unmatched=true&wait=5").await;
    assert_eq!(journal["entries"][0]["nearest"], "GET /notes");
    assert_eq!(journal["counters"]["total"], 2);

    let id = post("faults", json!({"effect": {"kind": "status", "status": 500}})).await.json::<Value>().await.unwrap();
    assert_eq!(get("faults").await["faults"][0]["id"], id["id"]);
    assert_eq!(post("faults", json!({"effect": {"kind": "status", "status": 9}})).await.status(), 400);
    let gone = client().delete(format!("{base}/faults/{}", id["id"].as_str().unwrap())).send().await.unwrap();
    assert_eq!(gone.status(), 200);
    assert_eq!(client().delete(format!("{base}/faults/none")).send().await.unwrap().status(), 404);

    assert_eq!(post("reset", json!({})).await.status(), 200);
    assert_eq!(get("journal").await["counters"]["total"], 0);
    assert_eq!(client().get(format!("{base}/nothing")).send().await.unwrap().status(), 404);
    assert_eq!(client().delete(format!("{base}/health")).send().await.unwrap().status(), 405);
    running.stop().await;
}

#[tokio::test]
async fn what_a_product_adds_is_described_and_guarded() {
    let running = start(HostConfig { control_token: Some("t0ken".into()), ..HostConfig::default() }).await;
    let ask = async |method: http::Method, path: &str| {
        let url = format!("{}/__sim__/v1/{path}", running.url());
        client().request(method, url).bearer_auth("t0ken").send().await.unwrap()
    };
    assert_eq!(ask(http::Method::GET, "pages").await.json::<Value>().await.unwrap(), json!([]));
    assert_eq!(client().get(format!("{}/__sim__/v1/pages", running.url())).send().await.unwrap().status(), 401);
    let wrong = ask(http::Method::DELETE, "pages").await;
    assert_eq!(wrong.status(), 405);
    assert!(wrong.json::<Value>().await.unwrap()["error"].is_string());
    let unknown = ask(http::Method::GET, "page").await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.json::<Value>().await.unwrap()["error"].is_string());
    let document = ask(http::Method::GET, "openapi.json").await.json::<Value>().await.unwrap();
    assert_eq!(document["paths"]["/__sim__/v1/pages"]["get"]["summary"], "Its pages");
    assert_eq!(document["components"]["schemas"]["Page"]["type"], "string");
    assert!(document["paths"].get("/__sim__/v1/clock").is_some());
    running.stop().await;
}

#[tokio::test]
async fn web_pages_and_strangers_are_kept_out() {
    let open = start(HostConfig::default()).await;
    let reset = format!("{}/__sim__/v1/reset", open.url());
    let foreign = client().post(&reset).header("origin", "http://evil.example").send().await.unwrap();
    assert_eq!(foreign.status(), 403);
    let rebound = client().post(&reset).header("host", "evil.example").send().await.unwrap();
    assert_eq!(rebound.status(), 403);
    assert_eq!(client().post(&reset).header("origin", open.url()).send().await.unwrap().status(), 200);
    // The next World belongs to the runtime of the one before, not to the thread of the connection that asked.
    let (tell, told) = tokio::sync::oneshot::channel();
    open.world().spawn(async move { tell.send(std::thread::current().id()).unwrap() });
    assert_eq!(told.await.unwrap(), std::thread::current().id());
    open.stop().await;

    let guarded = start(HostConfig { control_token: Some("t0ken".into()), ..HostConfig::default() }).await;
    let health = format!("{}/__sim__/v1/health", guarded.url());
    assert_eq!(client().get(&health).send().await.unwrap().status(), 401);
    assert_eq!(client().get(&health).bearer_auth("t0ken").send().await.unwrap().status(), 200);
    guarded.stop().await;
}
