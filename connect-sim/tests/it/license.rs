//! What a licence lacks, and one that has expired.

use connect_sim::Config;
use connect_sim::license::Feature;
use serde_json::{Value, json};

use super::app::{Caller, TestApp, bundle, static_bundle};

async fn upload(publisher: &Caller, app_mode: &str) -> super::app::Answer {
    let guid = publisher.create("").await;
    let manifest = json!({"version": 1, "metadata": {"appmode": app_mode, "entrypoint": "app"}});
    publisher.upload(&guid, bundle(&manifest, &[("app.py", "")])).await
}

#[tokio::test]
async fn what_the_licence_lacks_is_answered_with_402() {
    let whole = TestApp::new().await;
    let app = TestApp::with(Config { unlicensed: Feature::ALL.to_vec(), ..Config::default() }).await;
    for (mode, code) in
        [("api", 65), ("python-api", 65), ("python-fastapi", 65), ("tensorflow-saved-model", 105), ("nodejs", 270)]
    {
        assert_eq!(upload(&whole.publisher(), mode).await.status, 200, "{mode}");
        assert_eq!(upload(&app.publisher(), mode).await.code(), (402, code), "{mode}");
    }
    app.publisher().publish("page", static_bundle("x")).await;

    let integration = json!({"name": "k", "template": "connect", "config": {"max_role": "Viewer"}});
    let admin = app.admin();
    assert_eq!(admin.post("/v1/oauth/integrations", &integration).await.code(), (402, 221));
    assert_eq!(admin.patch("/v1/oauth/integrations/none", &integration).await.code(), (402, 221));
    assert_eq!(app.viewer().post("/v1/oauth/integrations", &integration).await.code(), (403, 22));
    let form = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange";
    let exchanged = admin.raw("POST", "/v1/oauth/integrations/credentials", &[], form.into()).await;
    assert_eq!(exchanged.code(), (402, 221));
    assert_eq!(admin.get("/v1/oauth/integrations").await.ok(), json!([]), "what there is may be seen");

    let settings = admin.get("/server_settings").await.ok();
    let license = &settings["license"];
    assert_eq!((&license["allow-apis"], &license["oauth-integrations"]), (&json!(false), &json!(false)));
    assert_eq!((&license["custom-branding"], &settings["oauth_integrations_enabled"]), (&json!(true), &json!(false)));
    assert_eq!(admin.get("/v1/server_settings/python").await.ok()["api_enabled"], false);
    assert_eq!(admin.get("/v1/server_settings/nodejs").await.ok()["enabled"], false);
    assert_eq!(whole.admin().get("/server_settings").await.ok()["license"]["allow-apis"], true);
}

#[tokio::test]
async fn an_expired_licence_shows_in_the_ping() {
    let app = TestApp::with(Config { license_expired: true, ..Config::default() }).await;
    let ping = app.anonymous().get("/__ping__").await;
    assert_eq!((ping.status.as_u16(), ping.json()), (402, json!({})));
    let settings = app.viewer().get("/server_settings").await.ok();
    assert_eq!((&settings["license"]["status"], &settings["license"]["days-left"]), (&json!("expired"), &json!(0)));
    let warned: &Value = &settings["license_expiration_ui_warning"];
    assert_eq!(warned, true);
}
