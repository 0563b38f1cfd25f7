//! OAuth integrations, associations, sessions.

use serde_json::{Value, json};

use super::app::{TestApp, bundle, static_bundle};

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
    assert_eq!(templates.as_array().unwrap().len(), 17);
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
async fn sessions_are_renewed_where_the_service_lets() {
    let app = TestApp::new().await;
    let (publisher, admin, viewer) = (app.publisher(), app.admin(), app.viewer());
    let manifest = json!({"version": 1, "metadata": {"appmode": "python-api", "entrypoint": "app:app"}});
    let guid = publisher.publish("api", bundle(&manifest, &[("app.py", "")])).await;
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"access_type": "logged_in"})).await.ok();
    let exchange = || async {
        let seen = viewer.get(&format!("/content/{guid}/")).await.ok();
        let token = seen["headers"]["Posit-Connect-User-Session-Token"].as_str().unwrap().to_owned();
        let form = format!(
            "grant_type=urn:ietf:params:oauth:grant-type:token-exchange\
             &subject_token_type=urn:posit:connect:user-session-token&subject_token={token}"
        );
        publisher.raw("POST", "/v1/oauth/integrations/credentials", &[], form.into()).await
    };
    for (scopes, renewed) in [("email", true), ("openid email", false), ("openid offline_access", true)] {
        let mut body = custom();
        body["config"]["scopes"] = json!(scopes);
        let integration = admin.post("/v1/oauth/integrations", &body).await.ok()["guid"].clone();
        let associations = json!([{"oauth_integration_guid": integration}]);
        let path = format!("/v1/content/{guid}/oauth/integrations/associations");
        assert_eq!(publisher.put(&path, &associations).await.status, 204);
        let login = format!("/__oauth__/integrations/{}/login", integration.as_str().unwrap());
        assert_eq!(viewer.page(&login).await.status, 302);
        let session =
            || async { viewer.get("/v1/oauth/sessions").await.ok().as_array().unwrap().last().cloned().unwrap() };
        let begun = session().await;
        assert_eq!((&begun["has_refresh_token"], &begun["oauth_integration_guid"]), (&json!(renewed), &integration));
        app.world.clock().advance(std::time::Duration::from_secs(600)).await;
        let first = exchange().await.ok();
        assert_eq!(first["expires_in"], 3000, "{scopes}");
        assert_eq!(exchange().await.ok()["access_token"], first["access_token"], "it is still good");
        app.world.clock().advance(std::time::Duration::from_secs(3000)).await;
        if !renewed {
            assert_eq!(exchange().await.code(), (401, 219), "{scopes}");
            assert_eq!(viewer.page(&login).await.status, 302);
        }
        let second = exchange().await.ok();
        assert_ne!(second["access_token"], first["access_token"]);
        assert_eq!(second["expires_in"], 3600);
        let now = session().await;
        assert_eq!((&now["guid"], &now["created_time"]), (&begun["guid"], &begun["created_time"]));
        assert_ne!(now["updated_time"], begun["updated_time"]);
    }
}

#[tokio::test]
async fn older_servers_have_no_integrations() {
    let version = "2024.07.0".parse().unwrap();
    let app = TestApp::with(connect_sim::Config { version, ..connect_sim::Config::default() }).await;
    let answer = app.admin().get("/v1/oauth/integrations").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found"));
    let version = "2024.12.0".parse().unwrap();
    let app = TestApp::with(connect_sim::Config { version, ..connect_sim::Config::default() }).await;
    assert_eq!(app.admin().get("/v1/oauth/templates/connect").await.code(), (404, 227), "a template of 2025");
    assert_eq!(app.admin().get("/v1/oauth/templates/github").await.status, 200);
}

#[tokio::test]
async fn content_exchanges_its_tokens_for_credentials() {
    let app = TestApp::new().await;
    let (publisher, admin, viewer) = (app.publisher(), app.admin(), app.viewer());
    let manifest = json!({"version": 1, "metadata": {"appmode": "python-api", "entrypoint": "app:app"}});
    let guid = publisher.publish("api", bundle(&manifest, &[("app.py", "")])).await;
    publisher.patch(&format!("/v1/content/{guid}"), &json!({"access_type": "logged_in"})).await.ok();
    let address = format!("/content/{guid}/");
    assert_eq!(viewer.get(&address).await.ok()["headers"], Value::Null, "nothing is associated");
    let make = |body: Value| {
        let admin = admin.clone();
        async move { admin.post("/v1/oauth/integrations", &body).await.ok()["guid"].as_str().unwrap().to_owned() }
    };
    let associate = |guids: Vec<String>| {
        let list: Vec<Value> = guids.iter().map(|guid| json!({"oauth_integration_guid": guid})).collect();
        let (publisher, path) = (publisher.clone(), format!("/v1/content/{guid}/oauth/integrations/associations"));
        async move { assert_eq!(publisher.put(&path, &json!(list)).await.status, 204) }
    };
    let exchange = |caller: &super::app::Caller, kind: &str, token: &str, more: &str| {
        let grant = "urn:ietf:params:oauth:grant-type:token-exchange";
        let form = format!(
            "grant_type={grant}&subject_token_type=urn:posit:connect:{kind}-session-token&subject_token={token}{more}"
        );
        let caller = caller.clone();
        async move { caller.raw("POST", "/v1/oauth/integrations/credentials", &[], form.into()).await }
    };
    let connect = make(json!({"name": "c", "template": "connect", "config": {"max_role": "Publisher"}})).await;
    associate(vec![connect.clone()]).await;
    let seen = viewer.get(&address).await.ok();
    assert_eq!(seen["environment"], Value::Null, "the content's own token is for its owner");
    let token = seen["headers"]["Posit-Connect-User-Session-Token"].as_str().unwrap().to_owned();

    let key = exchange(&publisher, "user", &token, "").await.ok();
    assert_eq!((&key["token_type"], &key["issued_token_type"]), (&json!("Key"), &json!("urn:posit:connect:api-key")));
    let visitor = app.key(key["access_token"].as_str().unwrap());
    assert_eq!(visitor.get("/v1/user").await.ok()["username"], "viewer");
    let (_, stranger) = app.user("stranger", "publisher").await;
    assert_eq!(exchange(&stranger, "user", &token, "").await.code(), (403, 22), "another's content");
    assert_eq!(exchange(&publisher, "content", &token, "").await.code(), (400, 236));
    assert_eq!(exchange(&publisher, "user", "a.b.c", "").await.code(), (400, 215));
    assert_eq!(exchange(&publisher, "none", &token, "").await.code(), (400, 214));
    let aws = "&requested_token_type=urn:ietf:params:aws:token-type:credentials";
    assert_eq!(exchange(&publisher, "user", &token, aws).await.code(), (400, 242));
    let bare = publisher.raw("POST", "/v1/oauth/integrations/credentials", &[], "grant_type=x".into()).await;
    assert_eq!(bare.code(), (400, 213));

    let custom = make(custom()).await;
    associate(vec![connect.clone(), custom.clone()]).await;
    assert_eq!(exchange(&publisher, "user", &token, "").await.code(), (400, 257));
    assert_eq!(exchange(&publisher, "user", &token, "&audience=none").await.code(), (400, 256));
    let audience = format!("&audience={custom}");
    assert_eq!(exchange(&publisher, "user", &token, &audience).await.code(), (401, 220));
    viewer.page(&format!("/__oauth__/integrations/{custom}/login")).await;
    let bearer = exchange(&publisher, "user", &token, &audience).await.ok();
    assert_eq!(bearer["token_type"], "Bearer");
    assert!(bearer["access_token"].as_str().unwrap().starts_with("simulated-"));

    let service = json!({"name": "s", "template": "aws", "config": {"auth_type": "Service Account", "client_id": "c"}});
    let service = make(service).await;
    associate(vec![service]).await;
    assert_eq!(exchange(&publisher, "user", &token, "").await.code(), (400, 252));
    let own = publisher.get(&address).await.ok()["environment"]["CONNECT_CONTENT_SESSION_TOKEN"].clone();
    let keys = exchange(&publisher, "content", own.as_str().unwrap(), aws).await.ok();
    assert_eq!(keys["token_type"], "aws_credentials");

    app.world.clock().advance(std::time::Duration::from_secs(3601)).await;
    assert_eq!(exchange(&publisher, "user", &token, "").await.code(), (400, 215), "it has expired");
    assert_eq!(visitor.get("/v1/user").await.code(), (401, 30), "so has the key");
}

#[tokio::test]
async fn integrations_are_for_those_who_were_permitted() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let (other, other_caller) = app.user("other", "publisher").await;
    let group = publisher.post("/v1/groups", &json!({"name": "permitted"})).await.ok()["guid"].clone();
    let me = publisher.get("/v1/user").await.ok()["guid"].clone();
    let mut body = custom();
    body["permissions"] = json!([{"group_guid": group}]);
    let made = admin.post("/v1/oauth/integrations", &body).await.ok();
    assert_eq!(made["permissions"][0]["group_guid"], group);
    let guid = made["guid"].as_str().unwrap().to_owned();
    let path = format!("/v1/oauth/integrations/{guid}");
    let content = publisher.create("uses").await;
    let associate = json!([{"oauth_integration_guid": guid}]);
    let associations = format!("/v1/content/{content}/oauth/integrations/associations");
    assert_eq!(publisher.get("/v1/oauth/integrations").await.ok(), json!([]));
    assert_eq!(publisher.get(&path).await.code(), (404, 4));
    assert_eq!(publisher.get(&format!("{path}/associations")).await.code(), (404, 4));
    assert_eq!(publisher.put(&associations, &associate).await.code(), (400, 207));
    let members = format!("/v1/groups/{}/members", group.as_str().unwrap());
    publisher.post(&members, &json!({"user_guid": me})).await;
    assert_eq!(publisher.get(&path).await.status, 200);
    assert_eq!(publisher.put(&associations, &associate).await.status, 204);
    let only = json!({"permissions": [{"user_guid": other}]});
    assert_eq!(admin.patch(&path, &only).await.ok()["permissions"][0]["user_guid"], json!(other));
    assert_eq!(other_caller.get(&path).await.status, 200);
    assert_eq!(publisher.get(&path).await.code(), (404, 4));
    assert_eq!(publisher.put(&associations, &associate).await.status, 204, "what is associated may stay");
    let of = publisher.get(&format!("{path}/associations")).await.ok();
    assert_eq!(of[0]["content_guid"], json!(content), "and is told of");
    assert_eq!(admin.patch(&path, &json!({"name": "renamed"})).await.ok()["permissions"].as_array().unwrap().len(), 1);
    assert_eq!(admin.patch(&path, &json!({"permissions": []})).await.ok()["permissions"], json!([]));
    assert_eq!(publisher.get(&path).await.status, 200);
    for (bad, code) in [
        (json!("x"), 25),
        (json!([{}]), 25),
        (json!([{"user_guid": other, "group_guid": group}]), 25),
        (json!([{"user_guid": "none"}]), 261),
        (json!([{"group_guid": "none"}]), 262),
    ] {
        assert_eq!(admin.patch(&path, &json!({"permissions": bad})).await.code(), (400, code), "{bad}");
    }
}

#[tokio::test]
async fn a_manifest_asks_for_integrations_on_the_first_deploy() {
    let app = TestApp::new().await;
    let (publisher, admin) = (app.publisher(), app.admin());
    let named = admin.post("/v1/oauth/integrations", &custom()).await.ok()["guid"].clone();
    let mut closed = json!({"name": "closed", "template": "github", "config": {"client_id": "c"}});
    let me = admin.get("/v1/user").await.ok()["guid"].clone();
    closed["permissions"] = json!([{"user_guid": me}]);
    let closed = admin.post("/v1/oauth/integrations", &closed).await.ok()["guid"].clone();
    let manifest = |requests: Value| {
        let manifest = json!({
            "version": 1, "metadata": {"appmode": "quarto-static", "primary_rmd": "doc.qmd"},
            "quarto": {"version": "1.4.557", "engines": ["markdown"]}, "integration_requests": requests,
        });
        bundle(&manifest, &[("doc.qmd", "# Document"), ("doc.html", "<h1>Document</h1>")])
    };
    let requests = json!([
        {"name": "keycloak", "type": "custom", "auth_type": "Viewer", "config": {"scopes": "email"}},
        {"guid": closed},
        {"type": "none"},
        {},
    ]);
    let guid = publisher.publish("asks", manifest(requests.clone())).await;
    let path = format!("/v1/content/{guid}/oauth/integrations/associations");
    let list = publisher.get(&path).await.ok();
    assert_eq!((list.as_array().unwrap().len(), &list[0]["oauth_integration_guid"]), (1, &named));
    // Later deploys leave the owner's choice alone.
    assert_eq!(publisher.put(&path, &json!([])).await.status, 204);
    publisher.upload(&guid, manifest(requests)).await.ok();
    assert_eq!(publisher.deploy(&guid, &json!({})).await["code"], 0);
    assert_eq!(publisher.get(&path).await.ok(), json!([]));
}

#[tokio::test]
async fn service_accounts_are_verified() {
    let app = TestApp::new().await;
    let admin = app.admin();
    let verify = |body: Value| {
        let admin = admin.clone();
        async move {
            let made = admin.post("/v1/oauth/integrations", &body).await.ok();
            let path = format!("/v1/oauth/integrations/{}/verify", made["guid"].as_str().unwrap());
            admin.post(&path, &json!({})).await
        }
    };
    assert_eq!(verify(custom()).await.code(), (400, 240));
    let mut account = custom();
    account["config"]["auth_type"] = json!("Service Account");
    assert_eq!(verify(account).await.ok(), json!({"verified": true, "simulated": true}));
    assert_eq!(admin.post("/v1/oauth/integrations/none/verify", &json!({})).await.code(), (404, 4));
}
