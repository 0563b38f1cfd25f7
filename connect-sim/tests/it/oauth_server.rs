//! Applications that act as a user: registration, consent, codes, devices, tokens and their end.

use std::time::Duration;

use axum::body::Body;
use connect_sim::Config;
use serde_json::{Value, json};

use super::app::{Answer, Caller, TestApp, static_bundle};

/// From RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http://127.0.0.1:49152/callback";
const DEVICE: &str = "urn:ietf:params:oauth:grant-type:device_code";

fn encoded(pairs: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

async fn form(caller: &Caller, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let head = [("content-type", "application/x-www-form-urlencoded")];
    caller.raw("POST", path, &head, encoded(pairs).into()).await
}

/// The word of RFC 6749 in an error.
fn error(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert!(body["error_description"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    (answer.status.as_u16(), body["error"].as_str().unwrap().to_owned())
}

pub(crate) async fn register(app: &TestApp) -> String {
    let body = json!({
        "client_name": "A command line", "redirect_uris": ["http://127.0.0.1/callback"],
        "token_endpoint_auth_method": "none", "response_types": ["code"],
        "grant_types": ["authorization_code", "refresh_token", DEVICE],
    });
    let made = app.anonymous().post("/oauth/v1/register", &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["client_id"].as_str().unwrap().to_owned()
}

pub(crate) async fn browser(app: &TestApp) -> Caller {
    app.sign_in("publisher", "publisher-password").await
}

/// The hidden token of a page's form.
fn xsrf(page: &str) -> String {
    page.split("name=\"xsrf\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn request<'a>(client: &'a str, changed: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut pairs = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
        ("state", "a state &="),
    ];
    pairs.retain(|pair| !changed.iter().any(|change| change.0 == pair.0));
    pairs.extend(changed.iter().filter(|change| !change.1.is_empty()));
    pairs
}

fn landed(answer: &Answer) -> (String, std::collections::BTreeMap<String, String>) {
    let url = url::Url::parse(answer.header("location")).unwrap_or_else(|_| panic!("{answer:?}"));
    let pairs = url.query_pairs().into_owned().collect();
    (url[..url::Position::AfterPath].to_owned(), pairs)
}

/// A code that the publisher's browser agreed to.
async fn code(app: &TestApp, client: &str) -> String {
    let browser = browser(app).await;
    let pairs = request(client, &[]);
    let page = browser.page(&format!("/oauth/v1/authorize?{}", encoded(&pairs))).await;
    assert_eq!((page.status.as_u16(), page.header("x-frame-options")), (200, "DENY"), "{}", page.text());
    assert!(page.text().contains("A command line") && page.text().contains("127.0.0.1"), "{}", page.text());
    let token = xsrf(&page.text());
    let answer =
        form(&browser, "/oauth/v1/authorize", &[&pairs[..], &[("xsrf", &token), ("decision", "allow")]].concat()).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let (place, mut said) = landed(&answer);
    assert_eq!((place.as_str(), said["state"].as_str()), (REDIRECT, "a state &="));
    assert_eq!(said["iss"], "http://connect.example");
    said.remove("code").unwrap()
}

fn redemption<'a>(client: &'a str, code: &'a str) -> [(&'a str, &'a str); 5] {
    [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ]
}

pub(crate) async fn tokens(app: &TestApp, client: &str) -> Value {
    let code = code(app, client).await;
    let answer = form(&app.anonymous(), "/oauth/v1/token", &redemption(client, &code)).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    answer.ok()
}

pub(crate) fn bearer(app: &TestApp, tokens: &Value) -> Caller {
    app.anonymous().with("authorization", &format!("Bearer {}", tokens["access_token"].as_str().unwrap()))
}

pub(crate) async fn refresh(app: &TestApp, client: &str, tokens: &Value) -> Answer {
    let token = tokens["refresh_token"].as_str().unwrap();
    let pairs = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)];
    form(&app.anonymous(), "/oauth/v1/token", &pairs).await
}

#[tokio::test]
async fn the_metadata_leads_to_every_endpoint() {
    let app = TestApp::new().await;
    let metadata = app.anonymous().get("/.well-known/oauth-authorization-server").await.ok();
    assert_eq!(metadata["issuer"], "http://connect.example");
    for name in ["authorization", "token", "registration", "device_authorization", "revocation"] {
        let url = metadata[format!("{name}_endpoint")].as_str().unwrap();
        assert!(url.starts_with("http://connect.example/oauth/v1/"), "{url}");
    }
    assert_eq!(metadata["code_challenge_methods_supported"], json!(["S256"]));
    let version = "2026.04.0".parse().unwrap();
    let older = TestApp::with(Config { version, ..Config::default() }).await;
    let answer = older.anonymous().get("/.well-known/oauth-authorization-server").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (404, "404 page not found"));
    let ignored = older.anonymous().with("authorization", "Bearer unknown").get("/v1/user").await;
    assert_eq!(ignored.code(), (401, 24), "there the scheme is a proxy's");
}

#[tokio::test]
async fn only_clients_that_can_be_are_registered() {
    let app = TestApp::new().await;
    let uris = |uri: &str| json!({"redirect_uris": [uri]});
    for (body, word) in [
        (uris("http://app.example/cb"), "invalid_redirect_uri"),
        (uris("javascript:alert(1)"), "invalid_redirect_uri"),
        (uris("https://app.example/#fragment"), "invalid_redirect_uri"),
        (json!({}), "invalid_redirect_uri"),
        (json!([]), "invalid_client_metadata"),
        (json!({"redirect_uris": "https://app.example"}), "invalid_client_metadata"),
        (json!({"redirect_uris": [1]}), "invalid_client_metadata"),
        (json!({"redirect_uris": ["https://a.example"], "client_name": "x".repeat(300)}), "invalid_client_metadata"),
        (json!({"redirect_uris": ["https://a.example"], "client_name": "a\u{0}b"}), "invalid_client_metadata"),
        (json!({"redirect_uris": ["https://a.example"], "grant_types": ["password"]}), "invalid_client_metadata"),
        (json!({"redirect_uris": ["https://a.example"], "response_types": ["token"]}), "invalid_client_metadata"),
    ] {
        let answer = app.anonymous().post("/oauth/v1/register", &body).await;
        assert_eq!(error(&answer), (400, word.to_owned()), "{body}");
    }
    let client = register(&app).await;
    let listed = app.viewer().get("/v1/oauth/clients?page_size=5").await.ok();
    assert_eq!((&listed["total"], &listed["results"][0]["client_id"]), (&json!(1), &json!(client)));
    let path = format!("/v1/oauth/clients/{client}");
    let one = app.viewer().get(&path).await.ok();
    assert_eq!((&one["client_name"], &one["last_used_at"]), (&json!("A command line"), &Value::Null));
    assert_eq!(app.publisher().delete(&path).await.code(), (403, 22));
    let tokens = tokens(&app, &client).await;
    assert!(app.viewer().get(&path).await.ok()["last_used_at"].is_string());
    assert_eq!(app.admin().delete(&path).await.status, 204);
    assert_eq!(app.admin().get(&path).await.code(), (404, 4));
    assert_eq!(bearer(&app, &tokens).get("/v1/user").await.code(), (401, 30), "its tokens went with it");
    assert_eq!(error(&refresh(&app, &client, &tokens).await), (401, "invalid_client".to_owned()));
}

#[tokio::test]
async fn a_token_acts_as_its_user_until_it_expires() {
    let app = TestApp::new().await;
    let client = register(&app).await;
    let first = tokens(&app, &client).await;
    assert_eq!((&first["token_type"], &first["expires_in"]), (&json!("Bearer"), &json!(3600)));
    let caller = bearer(&app, &first);
    assert_eq!(caller.get("/v1/user").await.ok()["username"], "publisher");
    let guid = caller.publish("by-token", static_bundle("seen")).await;
    assert_eq!(caller.get(&format!("/content/{guid}/")).await.text(), "seen");

    app.world.clock().advance(Duration::from_secs(3601)).await;
    let late = caller.get("/v1/user").await;
    assert_eq!((late.code(), late.header("www-authenticate")), ((401, 29), "Bearer error=\"invalid_token\""));
    assert_eq!(caller.get(&format!("/content/{guid}/")).await.code(), (401, 29));
    let second = refresh(&app, &client, &first).await.ok();
    assert_eq!(bearer(&app, &second).get("/v1/user").await.status, 200);
    // The old refresh token comes again: somebody stole it, or the new one.
    assert_eq!(error(&refresh(&app, &client, &first).await), (400, "invalid_grant".to_owned()));
    assert_eq!(bearer(&app, &second).get("/v1/user").await.code(), (401, 30));
    assert_eq!(error(&refresh(&app, &client, &second).await), (400, "invalid_grant".to_owned()));
    // On content an unknown bearer token is the content's own business.
    app.publisher().patch(&format!("/v1/content/{guid}"), &json!({"access_type": "all"})).await.ok();
    assert_eq!(bearer(&app, &second).get(&format!("/content/{guid}/")).await.text(), "seen");

    let third = tokens(&app, &client).await;
    app.world.clock().advance(Duration::from_secs(31 * 24 * 3600)).await;
    assert_eq!(error(&refresh(&app, &client, &third).await), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_locked_user_has_no_tokens() {
    let app = TestApp::new().await;
    let client = register(&app).await;
    let tokens = tokens(&app, &client).await;
    let guid = app.publisher().get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    app.admin().post(&format!("/v1/users/{guid}/lock"), &json!({"locked": true})).await;
    assert_eq!(bearer(&app, &tokens).get("/v1/user").await.code(), (403, 50));
    assert_eq!(error(&refresh(&app, &client, &tokens).await), (400, "invalid_grant".to_owned()));
}

#[tokio::test]
async fn a_code_is_good_once_and_its_replay_ends_what_came_of_it() {
    let app = TestApp::new().await;
    let client = register(&app).await;
    let code = code(&app, &client).await;
    let pairs = redemption(&client, &code);
    let tokens = form(&app.anonymous(), "/oauth/v1/token", &pairs).await.ok();
    assert_eq!(bearer(&app, &tokens).get("/v1/user").await.status, 200);
    let again = form(&app.anonymous(), "/oauth/v1/token", &pairs).await;
    assert_eq!(error(&again), (400, "invalid_grant".to_owned()));
    assert_eq!(bearer(&app, &tokens).get("/v1/user").await.code(), (401, 30));
}

#[tokio::test]
async fn a_code_needs_its_verifier_its_client_and_its_place() {
    let app = TestApp::new().await;
    let (client, other) = (register(&app).await, register(&app).await);
    let short = "a".repeat(42);
    for (name, value) in [
        ("code_verifier", "another-verifier-that-is-long-enough-to-be-one"),
        ("code_verifier", CHALLENGE),
        ("code_verifier", short.as_str()),
        ("code_verifier", ""),
        ("redirect_uri", "http://127.0.0.1:49153/callback"),
    ] {
        let code = code(&app, &client).await;
        let bad = redemption(&client, &code).map(|pair| if pair.0 == name { (name, value) } else { pair });
        let refused = form(&app.anonymous(), "/oauth/v1/token", &bad).await;
        assert_eq!(error(&refused), (400, "invalid_grant".to_owned()), "{name}={value}");
        let late = form(&app.anonymous(), "/oauth/v1/token", &redemption(&client, &code)).await;
        assert_eq!(error(&late), (400, "invalid_grant".to_owned()), "one try");
    }
    let foreign = code(&app, &client).await;
    let stolen = form(&app.anonymous(), "/oauth/v1/token", &redemption(&other, &foreign)).await;
    assert_eq!(error(&stolen), (400, "invalid_grant".to_owned()));
    let unknown = form(&app.anonymous(), "/oauth/v1/token", &redemption("nobody", &foreign)).await;
    assert_eq!(error(&unknown), (401, "invalid_client".to_owned()));
    app.world.clock().advance(Duration::from_secs(61)).await;
    let late = form(&app.anonymous(), "/oauth/v1/token", &redemption(&client, &foreign)).await;
    assert_eq!(error(&late), (400, "invalid_grant".to_owned()));
    let none = form(&app.anonymous(), "/oauth/v1/token", &[("grant_type", "password"), ("client_id", &client)]).await;
    assert_eq!(error(&none), (400, "unsupported_grant_type".to_owned()));
    assert_eq!(error(&form(&app.anonymous(), "/oauth/v1/token", &[]).await), (400, "invalid_request".to_owned()));
    let bytes = app.anonymous().raw("POST", "/oauth/v1/token", &[], Body::from(&b"grant_type=\xff"[..])).await;
    assert_eq!(error(&bytes), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn pkce_cannot_be_left_out_or_weakened() {
    let app = TestApp::new().await;
    let client = register(&app).await;
    let browser = browser(&app).await;
    for (changed, word) in [
        (&[("code_challenge", "")][..], "invalid_request"),
        (&[("code_challenge_method", "")], "invalid_request"),
        (&[("code_challenge_method", "plain")], "invalid_request"),
        (&[("code_challenge", "short")], "invalid_request"),
        (&[("response_type", "token")], "unsupported_response_type"),
    ] {
        let asked = encoded(&request(&client, changed));
        let answer = browser.page(&format!("/oauth/v1/authorize?{asked}")).await;
        let (place, said) = landed(&answer);
        assert_eq!((place.as_str(), said["error"].as_str(), said["state"].as_str()), (REDIRECT, word, "a state &="));
        assert!(!said.contains_key("code"));
    }
}

#[tokio::test]
async fn nobody_is_sent_to_a_place_that_was_not_registered() {
    let app = TestApp::new().await;
    let client = register(&app).await;
    let browser = browser(&app).await;
    for place in [
        "https://evil.example/callback",
        "http://127.0.0.1:1/other",
        "http://127.0.0.1.evil.example/callback",
        "http://127.0.0.1:1@evil.example/callback",
        "//evil.example/callback",
        "javascript:alert(1)",
        "/connect/",
    ] {
        let asked = encoded(&request(&client, &[("redirect_uri", place)]));
        for caller in [&browser, &app.anonymous()] {
            let answer = caller.page(&format!("/oauth/v1/authorize?{asked}")).await;
            assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""), "{place}");
        }
    }
    let unknown = encoded(&request("nobody", &[]));
    assert_eq!(browser.page(&format!("/oauth/v1/authorize?{unknown}")).await.status, 400);
}

#[tokio::test]
async fn only_the_user_at_its_browser_agrees() {
    let app = TestApp::new().await;
    let client = register(&app).await;
    let pairs = request(&client, &[]);
    let path = format!("/oauth/v1/authorize?{}", encoded(&pairs));
    let led = app.anonymous().page(&path).await;
    let (login, said) = landed(&led);
    assert_eq!((led.status.as_u16(), login.as_str()), (302, "http://connect.example/__login__"));
    assert_eq!(said["return_to"], path);
    // Neither a key nor a token can beget another.
    assert_eq!(app.publisher().page(&path).await.code(), (403, 22));
    let tokens = tokens(&app, &client).await;
    assert_eq!(bearer(&app, &tokens).page(&path).await.code(), (403, 22));

    let browser = browser(&app).await;
    let allow = [("decision", "allow")];
    let forged = form(&browser, "/oauth/v1/authorize", &[&pairs[..], &allow].concat()).await;
    assert_eq!(forged.code(), (403, 92));
    let other = app.sign_in("viewer", "viewer-password").await;
    let foreign = xsrf(&other.page(&path).await.text());
    let forged = form(&browser, "/oauth/v1/authorize", &[&pairs[..], &allow, &[("xsrf", &foreign)]].concat()).await;
    assert_eq!(forged.code(), (403, 92));
    let own = xsrf(&browser.page(&path).await.text());
    let denied =
        form(&browser, "/oauth/v1/authorize", &[&pairs[..], &[("xsrf", &own), ("decision", "deny")]].concat()).await;
    let (_, said) = landed(&denied);
    assert_eq!((said["error"].as_str(), said.contains_key("code")), ("access_denied", false));
    // What the form says is checked as what the address said.
    let evil = request(&client, &[("redirect_uri", "https://evil.example/")]);
    let answer = form(&browser, "/oauth/v1/authorize", &[&evil[..], &allow, &[("xsrf", &own)]].concat()).await;
    assert_eq!((answer.status.as_u16(), answer.header("location")), (400, ""));
    // A client's name is no markup.
    let body = json!({"client_name": "<script>alert(1)</script>", "redirect_uris": ["http://127.0.0.1/callback"]});
    let hostile =
        app.anonymous().post("/oauth/v1/register", &body).await.json()["client_id"].as_str().unwrap().to_owned();
    let page = browser.page(&format!("/oauth/v1/authorize?{}", encoded(&request(&hostile, &[])))).await;
    assert!(page.status == 200 && !page.text().contains("<script>alert"), "{}", page.text());
}

pub(crate) async fn start_device(app: &TestApp, client: &str) -> (String, String) {
    let begun = form(&app.anonymous(), "/oauth/v1/device_authorization", &[("client_id", client)]).await.ok();
    assert_eq!((&begun["interval"], &begun["expires_in"]), (&json!(5), &json!(900)));
    let code = begun["user_code"].as_str().unwrap().to_owned();
    assert_eq!(begun["verification_uri"], "http://connect.example/oauth/v1/device");
    assert!(begun["verification_uri_complete"].as_str().unwrap().ends_with(&code));
    (begun["device_code"].as_str().unwrap().to_owned(), code)
}

pub(crate) async fn poll(app: &TestApp, client: &str, device_code: &str) -> Answer {
    let pairs = [("grant_type", DEVICE), ("client_id", client), ("device_code", device_code)];
    form(&app.anonymous(), "/oauth/v1/token", &pairs).await
}

pub(crate) async fn decide(browser: &Caller, user_code: &str, decision: &str) -> Answer {
    let page = browser.page(&format!("/oauth/v1/device?user_code={user_code}")).await;
    assert!(page.text().contains("A command line"), "{}", page.text());
    let token = xsrf(&page.text());
    form(browser, "/oauth/v1/device", &[("user_code", user_code), ("xsrf", &token), ("decision", decision)]).await
}

#[tokio::test]
async fn devices_wait_for_their_user() {
    let app = TestApp::new().await;
    let client = register(&app).await;
    let (device, code) = start_device(&app, &client).await;
    let pending = (400, "authorization_pending".to_owned());
    assert_eq!(error(&poll(&app, &client, &device).await), pending);
    assert_eq!(error(&poll(&app, &client, &device).await), (400, "slow_down".to_owned()));
    app.world.clock().advance(Duration::from_secs(5)).await;
    assert_eq!(error(&poll(&app, &client, &device).await), (400, "slow_down".to_owned()), "it is 10 seconds now");
    app.world.clock().advance(Duration::from_secs(15)).await;
    assert_eq!(error(&poll(&app, &client, &device).await), pending);

    let browser = browser(&app).await;
    let wrong = browser.page("/oauth/v1/device?user_code=BCDF-BCDF").await;
    assert!(wrong.text().contains("device-error"), "{}", wrong.text());
    assert_eq!(
        form(&browser, "/oauth/v1/device", &[("user_code", &code), ("decision", "allow")]).await.code(),
        (403, 92)
    );
    assert_eq!(decide(&browser, &code.to_lowercase(), "allow").await.status, 200);
    let other = register(&app).await;
    assert_eq!(error(&poll(&app, &other, &device).await), (400, "invalid_grant".to_owned()));
    let tokens = poll(&app, &client, &device).await.ok();
    assert_eq!(bearer(&app, &tokens).get("/v1/user").await.ok()["username"], "publisher");
    assert_eq!(error(&poll(&app, &client, &device).await), (400, "invalid_grant".to_owned()), "once");

    let (device, code) = start_device(&app, &client).await;
    assert_eq!(decide(&browser, &code, "deny").await.status, 200);
    assert_eq!(error(&poll(&app, &client, &device).await), (400, "access_denied".to_owned()));
    let (device, _) = start_device(&app, &client).await;
    app.world.clock().advance(Duration::from_secs(901)).await;
    assert_eq!(error(&poll(&app, &client, &device).await), (400, "expired_token".to_owned()));
    let unknown = form(&app.anonymous(), "/oauth/v1/device_authorization", &[("client_id", "nobody")]).await;
    assert_eq!(error(&unknown), (401, "invalid_client".to_owned()));
}

#[tokio::test]
async fn tokens_are_revoked_by_their_own_client() {
    let app = TestApp::new().await;
    let (client, other) = (register(&app).await, register(&app).await);
    let tokens = tokens(&app, &client).await;
    let revoke = async |client: &str, token: &str| {
        form(&app.anonymous(), "/oauth/v1/revoke", &[("client_id", client), ("token", token)]).await.status.as_u16()
    };
    let (access, fresh) = (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    assert_eq!(revoke(&other, access).await, 200);
    assert_eq!(bearer(&app, &tokens).get("/v1/user").await.status, 200, "another client's token is left alone");
    assert_eq!(revoke(&client, access).await, 200);
    assert_eq!(bearer(&app, &tokens).get("/v1/user").await.code(), (401, 30));
    let second = refresh(&app, &client, &tokens).await.ok();
    assert_eq!(revoke(&client, second["refresh_token"].as_str().unwrap()).await, 200);
    assert_eq!(bearer(&app, &second).get("/v1/user").await.code(), (401, 30));
    assert_eq!((revoke(&client, fresh).await, revoke(&client, "unknown").await), (200, 200));
    assert_eq!(revoke("nobody", access).await, 401);
}

#[tokio::test]
async fn what_happens_to_security_is_in_the_audit_log() {
    let app = TestApp::new().await;
    let client = register(&app).await;
    let code = code(&app, &client).await;
    for _ in 0..2 {
        form(&app.anonymous(), "/oauth/v1/token", &redemption(&client, &code)).await;
    }
    form(&app.anonymous(), "/__login__", &[("username", "viewer"), ("password", "wrong")]).await;
    form(&app.anonymous(), "/__login__", &[("username", "<nobody>"), ("password", "wrong")]).await;
    browser(&app).await.raw("POST", "/__logout__", &[], Body::empty()).await;
    let log = app.admin().get("/v1/audit_logs?limit=500").await.ok();
    let entries = log["results"].as_array().unwrap();
    let seen = |action: &str, who: &str| {
        entries
            .iter()
            .any(|entry| entry["action"] == action && entry["user_description"].as_str().unwrap().contains(who))
    };
    for (action, who) in [
        ("user_login", "(publisher)"),
        ("user_login_failed", "(viewer)"),
        ("user_login_failed", ""),
        ("user_logout", "(publisher)"),
        ("authorize_oauth_client", "(publisher)"),
        ("revoke_oauth_grant", ""),
    ] {
        assert!(seen(action, who), "{action} {who}: {log}");
    }
    let actions = app.admin().get("/v1/audit/actions").await.ok();
    for entry in entries {
        assert!(actions.as_array().unwrap().iter().any(|known| known["action"] == entry["action"]), "{entry}");
    }
}
