//! OAuth integrations, associations, sessions.

use serde_json::{Value, json};

use super::app::{TestApp, static_bundle};

fn custom() -> Value {
    json!({
        "name": "keycloak", "description": "d", "template": "custom",
        "config": {
            "auth_mode": "Confidential", "authorization_uri": "https://id.example/auth", "client_id": "c",
            "client_secret": "hush", "scopes": "email", "token_uri": "https://id.example/token",
        },
    })
}

#[tokio::test]
async fn integrations_keep_their_secrets() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let made = admin.post("/v1/oauth/integrations", &custom()).await.ok();
    assert_eq!((&made["auth_type"], &made["content_count"]), (&json!("Viewer"), &json!(0)));
    let path = format!("/v1/oauth/integrations/{}", made["guid"].as_str().unwrap());
    let seen = publisher.get(&path).await;
    assert!(!seen.text().contains("hush"), "{}", seen.text());
    assert_eq!(seen.ok()["config"]["client_id"], "c");
    assert_eq!(seen.ok()["content_count"], Value::Null);

    let changed = admin.patch(&path, &json!({"name": "other", "config": {"scopes": "openid"}})).await.ok();
    assert_eq!((&changed["name"], &changed["config"]["client_id"]), (&json!("other"), &json!("c")));
    assert_eq!(admin.patch(&path, &json!({"template": "github"})).await.code(), (400, 229));
    assert_eq!(admin.patch(&path, &json!({"config": {"token_uri": "javascript:1"}})).await.code(), (400, 228));
    for (field, value, code) in [
        ("template", json!("none"), 227),
        ("name", json!(""), 225),
        ("description", json!("x".repeat(5000)), 226),
        ("config", json!({}), 228),
        ("config", json!([]), 228),
    ] {
        let mut bad = custom();
        bad[field] = value;
        assert_eq!(admin.post("/v1/oauth/integrations", &bad).await.code(), (400, code), "{field}");
    }
    let connect = |role: &str| json!({"name": "c", "template": "connect", "config": {"max_role": role}});
    let wrong = admin.post("/v1/oauth/integrations", &connect("King")).await;
    assert_eq!(wrong.code(), (400, 228));
    assert!(wrong.text().contains("max_role"));
    let right = admin.post("/v1/oauth/integrations", &connect("Publisher")).await.ok();
    assert_eq!(right["auth_type"], "Visitor API Key");
    let templates = admin.get("/v1/oauth/templates").await.ok();
    assert_eq!(templates.as_array().unwrap().len(), 15);
    assert_eq!(admin.get("/v1/oauth/templates/connect").await.ok()["fields"][0]["name"], "max_role");
    assert_eq!(admin.get("/v1/oauth/templates/none").await.code(), (404, 227));
}

#[tokio::test]
async fn content_is_associated() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let guid = publisher.publish("page", static_bundle("x")).await;
    let made = admin.post("/v1/oauth/integrations", &custom()).await.ok();
    let integration = made["guid"].as_str().unwrap();
    let path = format!("/v1/content/{guid}/oauth/integrations/associations");
    let one = json!({"oauth_integration_guid": integration});
    assert_eq!(publisher.put(&path, &json!([one])).await.status, 204);
    let all = publisher.get(&path).await.ok();
    assert_eq!((&all[0]["app_guid"], &all[0]["oauth_integration_name"]), (&json!(guid), &json!("keycloak")));
    let of = format!("/v1/oauth/integrations/{integration}/associations");
    assert_eq!(publisher.get(&of).await.ok(), all);
    let (_, stranger) = app.user("stranger", "publisher").await;
    assert_eq!(stranger.get(&of).await.ok(), json!([]));
    assert_eq!(publisher.put(&path, &json!([one, one])).await.code(), (400, 258));
    let unknown = json!([{"oauth_integration_guid": "none"}]);
    assert_eq!(publisher.put(&path, &unknown).await.code(), (400, 207));
    assert_eq!(publisher.put(&path, &json!({})).await.code(), (400, 87));
    assert_eq!(publisher.put(&path, &json!([])).await.status, 204);
    assert_eq!(publisher.get(&path).await.ok(), json!([]));
    publisher.put(&path, &json!([one])).await;
    assert_eq!(admin.delete(&format!("/v1/oauth/integrations/{integration}")).await.status, 204);
    assert_eq!(publisher.get(&path).await.ok(), json!([]));
}

#[tokio::test]
async fn sessions_are_ones_own() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let made = admin.post("/v1/oauth/integrations", &custom()).await.ok();
    let login = format!("/__oauth__/integrations/{}/login", made["guid"].as_str().unwrap());
    let led = app.anonymous().page(&login).await;
    assert!(led.status == 302 && led.header("location").contains("/__login__"), "{led:?}");
    for _ in 0..2 {
        assert_eq!(publisher.page(&login).await.status, 302);
    }
    let own = publisher.get("/v1/oauth/sessions").await.ok();
    assert_eq!((own.as_array().unwrap().len(), &own[0]["oauth_integration_guid"]), (1, &made["guid"]));
    assert!(!own.to_string().contains("simulated-"), "tokens are not told");
    assert_eq!(admin.get("/v1/oauth/sessions").await.ok(), json!([]));
    assert_eq!(admin.get("/v1/oauth/sessions?all=true").await.ok(), own);
    assert_eq!(publisher.get("/v1/oauth/sessions?all=true").await.code(), (403, 22));
    let path = format!("/v1/oauth/sessions/{}", own[0]["guid"].as_str().unwrap());
    assert_eq!(app.viewer().get(&path).await.code(), (404, 220));
    assert_eq!(publisher.get(&path).await.ok(), own[0]);
    assert_eq!(publisher.delete(&path).await.status, 204);
    assert_eq!(publisher.get(&path).await.code(), (404, 220));
}

#[tokio::test]
async fn older_servers_have_no_integrations() {
    let version = "2024.07.0".parse().unwrap();
    let app = TestApp::with(connect_sim::Config { version, ..connect_sim::Config::default() }).await;
    let answer = app.admin().get("/v1/oauth/integrations").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found"));
}
