//! Every way in.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connect_sim::Config;
use connect_sim::input::checksum;
use jsonwebtoken::{EncodingKey, Header, encode};
use rsa::PrivateKey;
use rsa::pkcs8::EncodePublicKey as _;
use serde_json::{Value, json};
use sha1::Sha1;

use super::app::{Answer, Caller, TestApp, start, static_bundle};

#[tokio::test]
async fn api_keys_come_in_both_headers() {
    let app = TestApp::new().await;
    let key = sim_kit::seed::users(1)[1].api_key.clone();
    for (name, value) in [
        ("authorization", format!("Key {key}")),
        ("x-rsc-authorization", format!("Key {key}")),
        ("x-rsc-authorization", key.clone()),
    ] {
        let user = app.anonymous().with(name, &value).get("/v1/user").await.ok();
        assert_eq!(user["username"], "publisher", "{name}");
    }
    let proxied = app.anonymous().with("authorization", "Basic eDp5").with("x-rsc-authorization", &key);
    assert_eq!(proxied.get("/v1/user").await.status, 200);
    assert_eq!(app.anonymous().get("/v1/user").await.code(), (401, 24));
    assert_eq!(app.key("wrong").get("/v1/user").await.code(), (401, 30));
    assert_eq!(app.key("wrong").get("/server_settings").await.status, 200);
}

#[tokio::test]
async fn answers_carry_a_correlation_id_and_unknown_routes_the_plain_404() {
    let app = TestApp::new().await;
    let given = app.anonymous().with("x-correlation-id", "mine").get("/server_settings").await;
    assert_eq!(given.header("x-correlation-id"), "mine");
    assert_eq!(app.anonymous().get("/v1/user").await.header("x-correlation-id").len(), 36);
    for (method, path) in [("GET", "/v1/contents"), ("DELETE", "/v1/user"), ("GET", "/__unknown__"), ("PUT", "/v1")] {
        let answer = app.publisher().raw(method, path, &[], Default::default()).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found"), "{method} {path}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    assert_eq!(app.world.journal().counters().unmatched, 4);
    // The control plane tells which route was meant.
    let unmatched = app.world.journal().entries(0, usize::MAX, |entry| entry.unmatched);
    let nearest: Vec<&str> = unmatched.iter().map(|entry| entry.nearest.as_deref().unwrap_or_default()).collect();
    assert_eq!(nearest[..2], ["GET /__api__/v1/content", "GET /__api__/v1/user"]);
    assert_eq!(app.publisher().get("/v1/content?name=%00").await.code(), (400, 2));
}

#[tokio::test]
async fn an_older_release_lacks_newer_routes() {
    let version = "2024.08.0".parse().unwrap();
    let app = TestApp::with(Config { version, ..Config::default() }).await;
    assert_eq!(app.anonymous().get("/server_settings").await.ok()["version"], "2024.08.0");
    for path in ["/v1/packages", "/v1/server_settings/nodejs"] {
        assert_eq!(app.publisher().get(path).await.text(), "404 page not found", "{path}");
    }
    let guid = app.publisher().create("old").await;
    app.publisher().upload(&guid, static_bundle("x")).await.ok();
    let refused = app.publisher().post(&format!("/v1/content/{guid}/deploy"), &json!({"activate": false})).await;
    assert_eq!(refused.code(), (400, 87));
}

#[tokio::test]
async fn browsers_sign_in_and_repeat_the_xsrf_token() {
    let app = TestApp::new().await;
    let page = app.anonymous().page("/__login__?return_to=//evil.example").await;
    for mark in [
        "name=\"username\"",
        "name=\"password\"",
        "data-automation=\"login-panel-submit\"",
        "value=\"&#x2f;connect&#x2f;\"",
    ] {
        assert!(page.text().contains(mark), "{mark}");
    }
    let wrong = app.anonymous().raw("POST", "/__login__", &[], "username=viewer&password=x".into()).await;
    assert_eq!((wrong.status.as_u16(), wrong.cookies().len()), (401, 0));
    let nobody = app.anonymous().raw("POST", "/__login__", &[], "username=%00&password=x".into()).await;
    assert_eq!(nobody.status, 401);
    let cross = [("sec-fetch-site", "cross-site")];
    let form = "username=viewer&password=viewer-password";
    assert_eq!(app.anonymous().raw("POST", "/__login__", &cross, form.into()).await.code(), (403, 92));
    let good = app.anonymous().raw("POST", "/__login__", &[], form.into()).await;
    assert_eq!(good.header("location"), "http://connect.example/connect/");
    let mut cookies = good.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap());
    let session = cookies.find(|cookie| cookie.starts_with("rsconnect=")).unwrap();
    assert!(session.contains("HttpOnly") && session.contains("SameSite=Lax"), "{session}");

    // Programs send JSON.
    let credentials = json!({"username": "viewer", "password": "viewer-password"});
    for path in ["/__login__", "/__api__/__login__"] {
        let answer = app.anonymous().post(path, &credentials).await;
        assert_eq!((answer.cookies().len(), &answer.ok()["username"]), (2, &json!("viewer")), "{path}");
        let wrong = json!({"username": "viewer", "password": "x"});
        assert_eq!(app.anonymous().post(path, &wrong).await.code(), (401, 30));
        let wrong = json!({"username": "viewer", "password": ["x"]});
        assert_eq!(app.anonymous().post(path, &wrong).await.status, 400);
    }

    let browser = app.sign_in("viewer", "viewer-password").await;
    assert_eq!(browser.get("/v1/user").await.ok()["username"], "viewer");
    assert_eq!(browser.clone().with("x-rsc-xsrf", "forged").get("/v1/user").await.code(), (403, 92));
    assert_eq!(browser.page("/connect/").await.status, 200);
    app.world.clock().advance(Duration::from_secs(25 * 3600)).await;
    assert_eq!(browser.get("/v1/user").await.code(), (401, 24));
    let browser = app.sign_in("viewer", "viewer-password").await;
    assert_eq!(browser.get("/__logout__").await.status, 303);
    assert_eq!(browser.get("/v1/user").await.code(), (401, 24));
    let away = browser.page("/connect/view/content?q=a").await;
    let login = "http://connect.example/__login__?return_to=%2Fconnect%2Fview%2Fcontent%3Fq%3Da";
    assert_eq!((away.status.as_u16(), away.header("location")), (302, login));
}

/// A key that is the same in every run.
pub(crate) fn private_key() -> PrivateKey {
    PrivateKey::new(&mut sim_kit::ids::Ids::new(1, 0).rng("test-key"), 2048).unwrap()
}

/// A client that signs its requests.
pub(crate) struct Signer {
    pub(crate) token: String,
    pub(crate) key: PrivateKey,
    pub(crate) prefix: &'static str,
}

impl Signer {
    pub(crate) fn headers(&self, method: &str, path: &str, date: &str, body: &str) -> Vec<(&'static str, String)> {
        let canonical = format!("{method}\n{}{path}\n{date}\n{}", self.prefix, checksum(body.as_bytes()));
        let signature = self.key.pkcs1v15_sign::<Sha1>(canonical.as_bytes()).unwrap();
        vec![
            ("x-auth-token", self.token.clone()),
            ("date", date.to_owned()),
            ("x-content-checksum", checksum(body.as_bytes())),
            ("x-auth-signature", STANDARD.encode(signature)),
        ]
    }

    pub(crate) async fn send(&self, caller: &Caller, method: &str, path: &str, body: &str) -> Answer {
        let date = start().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let headers = self.headers(method, &format!("/__api__{path}"), &date, body);
        send(caller, method, path, &headers, body).await
    }
}

pub(crate) async fn send(
    caller: &Caller,
    method: &str,
    path: &str,
    headers: &[(&'static str, String)],
    body: &str,
) -> Answer {
    let headers: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    caller.raw(method, path, &headers, body.to_owned().into()).await
}

pub(crate) fn public_key(key: &PrivateKey) -> String {
    STANDARD.encode(key.to_public_key().to_public_key_der().unwrap().as_bytes())
}

/// A client whose token a publisher has claimed.
pub(crate) async fn claimed(app: &TestApp) -> Signer {
    let key = private_key();
    let signer = Signer { token: format!("T{}", "0123456789abcdef".repeat(2)), key: key.clone(), prefix: "" };
    let body = json!({"token": signer.token, "public_key": public_key(&key), "user_id": 0});
    let registered = app.anonymous().post("/tokens", &body).await.ok();
    let claim = registered["token_claim_url"].as_str().unwrap().strip_prefix("http://connect.example").unwrap();
    let browser = app.sign_in("publisher", "publisher-password").await;
    let page = browser.page(claim).await.text();
    let xsrf = page.split("name=\"xsrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(browser.raw("POST", claim, &[], format!("xsrf={xsrf}").into()).await.status, 200);
    signer
}

#[tokio::test]
async fn a_claimed_token_signs_requests() {
    let app = TestApp::new().await;
    let key = private_key();
    let signer = Signer { token: format!("T{}", "0123456789abcdef".repeat(2)), key: key.clone(), prefix: "" };
    let anonymous = app.anonymous().with("x-auth-token", "anonymous-access");
    let body = json!({"token": signer.token, "public_key": public_key(&key), "user_id": 0});
    let registered = anonymous.post("/tokens", &body).await.ok();
    let claim = registered["token_claim_url"].as_str().unwrap().strip_prefix("http://connect.example").unwrap();
    assert_eq!(anonymous.post("/tokens", &body).await.code(), (400, 85));
    assert_eq!(anonymous.post("/tokens", &json!({"token": signer.token})).await.code(), (400, 86));
    let short = json!({"token": "T1", "public_key": public_key(&key)});
    assert_eq!(anonymous.post("/tokens", &short).await.code(), (400, 25));
    let nonsense = json!({"token": format!("T{}", "f".repeat(32)), "public_key": "AAAA"});
    assert_eq!(anonymous.post("/tokens", &nonsense).await.code(), (400, 25));

    let anybody = app.anonymous();
    assert_eq!(signer.send(&anybody, "GET", "/users/current", "").await.status, 401);
    assert!(app.anonymous().page(claim).await.header("location").contains("/__login__?return_to=%2Fconnect%2Fclaim"));
    let browser = app.sign_in("publisher", "publisher-password").await;
    let page = browser.page(claim).await.text();
    assert!(page.contains("data-automation=\"token-connect\""));
    assert_eq!(browser.raw("POST", claim, &[], "xsrf=forged".into()).await.code(), (403, 92));
    let xsrf = page.split("name=\"xsrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let agreed = browser.raw("POST", claim, &[], format!("xsrf={xsrf}").into()).await;
    assert!(agreed.text().contains("data-automation=\"token-claimed\""), "{}", agreed.text());
    assert_eq!(browser.raw("POST", claim, &[], format!("xsrf={xsrf}").into()).await.status, 409);

    // Reads may repeat within a second, as polling does.
    for _ in 0..2 {
        let me = signer.send(&anybody, "GET", "/users/current", "").await.ok();
        assert_eq!((&me["username"], me["id"].is_i64()), (&json!("publisher"), true));
    }
    let content = r#"{"name":"signed"}"#;
    assert_eq!(signer.send(&anybody, "POST", "/v1/content", content).await.status, 200);
    // Within the second it may be the client that makes it again; later it is somebody who has seen it.
    let again = signer.send(&anybody, "POST", "/v1/content", content).await;
    assert!(again.status == 409 && again.text().contains("that name already exists"), "{}", again.text());
    app.world.clock().advance(Duration::from_secs(1)).await;
    let replayed = signer.send(&anybody, "POST", "/v1/content", content).await;
    assert_eq!(replayed.code(), (401, 30));
    assert!(replayed.text().contains("made before"));

    let date = start().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let good = signer.headers("POST", "/__api__/v1/content", &date, "{}");
    let other_body = send(&anybody, "POST", "/v1/content", &good, "{\"name\":\"evil\"}").await;
    assert_eq!(other_body.code(), (400, 104));
    let other_path = send(&anybody, "POST", "/v1/groups", &good, "{}").await;
    assert_eq!(other_path.code(), (401, 30));
    let old = "Fri, 02 Jan 2026 02:04:05 GMT";
    let late = send(&anybody, "GET", "/v1/user", &signer.headers("GET", "/__api__/v1/user", old, ""), "").await;
    assert!(late.text().contains("too far from this server's"), "{}", late.text());
    for broken in ["x-auth-signature", "date", "x-content-checksum"] {
        let mut headers = signer.headers("GET", "/__api__/v1/user", &date, "");
        headers.retain(|(name, _)| *name != broken);
        assert_eq!(send(&anybody, "GET", "/v1/user", &headers, "").await.code(), (401, 30), "{broken}");
    }
    // rsconnect signs the path with a proxy's prefix, Publisher without.
    let behind = anybody.clone().with("x-forwarded-prefix", "/rsc");
    let prefixed = Signer { prefix: "/rsc", token: signer.token.clone(), key };
    assert_eq!(prefixed.send(&behind, "GET", "/v1/user", "").await.status, 200);
    assert_eq!(signer.send(&behind, "GET", "/v1/user", "").await.status, 200);
    assert_eq!(prefixed.send(&anybody, "GET", "/v1/user", "").await.code(), (401, 30));
}

pub(crate) fn bootstrap_token(secret: &[u8], change: impl FnOnce(&mut Value)) -> String {
    let now = start().timestamp();
    let mut claims = json!({
        "iss": "rsconnect-python", "aud": "rsconnect", "scope": "bootstrap", "iat": now, "exp": now + 900,
    });
    change(&mut claims);
    let token = encode(&Header::default(), &claims, &EncodingKey::from_secret(secret)).unwrap();
    format!("Connect-Bootstrap {token}")
}

#[tokio::test]
async fn bootstrap_works_once_on_an_empty_server() {
    let secret = b"0123456789abcdef0123456789abcdef";
    let config = Config { bootstrap_secret: Some(secret.to_vec()), seed_users: false, ..Config::default() };
    let app = TestApp::with(config.clone()).await;
    let path = "/v1/experimental/bootstrap";
    let with = |token: &str| app.anonymous().with("authorization", token);
    assert_eq!(app.anonymous().post(path, &Value::Null).await.code(), (401, 166));
    for token in [
        bootstrap_token(b"another secret of 32 bytes ......", |_| {}),
        bootstrap_token(secret, |c| c["exp"] = json!(start().timestamp() - 3600)),
        bootstrap_token(secret, |c| c["aud"] = json!("somebody")),
        bootstrap_token(secret, |c| c["iss"] = json!("somebody")),
        bootstrap_token(secret, |c| c["scope"] = json!("all")),
        "Connect-Bootstrap x.y.z".to_owned(),
    ] {
        assert_eq!(with(&token).post(path, &Value::Null).await.code(), (401, 166), "{token}");
    }
    let token = bootstrap_token(secret, |_| {});
    let made = with(&token).post(path, &Value::Null).await.ok();
    let user = app.key(made["api_key"].as_str().unwrap()).get("/v1/user").await.ok();
    assert_eq!(user["user_role"], "administrator");
    assert_eq!(with(&token).post("/v1/bootstrap", &Value::Null).await.code(), (403, 165));

    let seeded = TestApp::with(Config { seed_users: true, ..config }).await;
    assert_eq!(seeded.anonymous().with("authorization", &token).post(path, &Value::Null).await.code(), (403, 165));
    let off = TestApp::new().await;
    assert_eq!(off.anonymous().with("authorization", &token).post(path, &Value::Null).await.code(), (404, 4));
}

#[tokio::test]
async fn server_settings_need_no_credential() {
    let app = TestApp::new().await;
    insta::assert_json_snapshot!("server_settings_anonymous", app.anonymous().get("/server_settings").await.ok());
    let settings = app.publisher().get("/server_settings").await.ok();
    insta::assert_json_snapshot!("server_settings", settings, {".git_available" => "[whether git is there]"});
    let scheduler = app.publisher().get("/server_settings/scheduler").await.ok();
    insta::assert_json_snapshot!("scheduler", scheduler);
    assert_eq!(app.publisher().get("/server_settings/scheduler/shiny").await.ok(), scheduler);
    for mode in ["static", "tensorflow-saved-model", "cobol"] {
        assert_eq!(app.publisher().get(&format!("/server_settings/scheduler/{mode}")).await.code(), (400, 148));
    }
    insta::assert_json_snapshot!("applications", app.publisher().get("/server_settings/applications").await.ok());
    insta::assert_json_snapshot!("python", app.publisher().get("/v1/server_settings/python").await.ok());
}

#[tokio::test]
async fn a_browser_that_does_nothing_is_signed_out() {
    let inactivity = Some(Duration::from_secs(600));
    let app = TestApp::with(Config { session_inactivity: inactivity, ..Config::default() }).await;
    let (busy, idle) =
        (app.sign_in("publisher", "publisher-password").await, app.sign_in("viewer", "viewer-password").await);
    for _ in 0..4 {
        app.world.clock().advance(Duration::from_secs(300)).await;
        assert_eq!(busy.get("/v1/user").await.status, 200);
    }
    assert_eq!(idle.get("/v1/user").await.status, 401);
    app.world.clock().advance(Duration::from_secs(600)).await;
    assert_eq!(busy.get("/v1/user").await.status, 401);
}
