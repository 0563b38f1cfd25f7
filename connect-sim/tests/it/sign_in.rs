//! Signing in with an identity provider: the built-in one and another server's.

use axum::body::Body;
use connect_sim::config::IdentityProvider;
use connect_sim::store::idp::Person;
use connect_sim::{Config, product, store};
use serde_json::{Value, json};
use sim_kit::{Host, HostConfig, WorldConfig};

use super::app::{Answer, Caller, TestApp, start};
use super::identity::Issuer;

pub(crate) fn config() -> Config {
    Config { identity_provider: Some(IdentityProvider::default()), ..Config::default() }
}

fn path_of(url: &str) -> String {
    url.strip_prefix("http://connect.example").unwrap_or_else(|| panic!("{url}")).to_owned()
}

fn query_of(url: &str) -> String {
    url.split_once('?').unwrap().1.to_owned()
}

fn parameter(url: &str, name: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|pair| pair.0 == name).unwrap().1.into_owned()
}

fn with_cookies(caller: &Caller, answer: &Answer) -> Caller {
    let cookies: Vec<String> = answer.cookies().iter().map(|(name, value)| format!("{name}={value}")).collect();
    caller.clone().with("cookie", &cookies.join("; "))
}

/// A browser that has gone to the provider: itself, and where it was sent.
async fn begun(app: &TestApp, return_to: &str) -> (Caller, String) {
    let sent = app.anonymous().page(&format!("/__login__?return_to={return_to}")).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    (with_cookies(&app.anonymous(), &sent), sent.header("location").to_owned())
}

/// The address that the provider sends the browser back to.
async fn chosen(app: &TestApp, to: &str, username: &str) -> String {
    let page = app.anonymous().page(&path_of(to)).await;
    assert!(page.text().contains(&format!("value=\"{username}\"")), "{}", page.text());
    let body = format!("{}&username={username}", query_of(to));
    let back = app.anonymous().raw("POST", "/__idp__/authorize", &[], body.into()).await;
    assert_eq!(back.status, 303, "{}", back.text());
    back.header("location").to_owned()
}

/// A browser that has signed in, and where it was led.
pub(crate) async fn signed_in(app: &TestApp, username: &str, return_to: &str) -> (Caller, String) {
    let (browser, to) = begun(app, return_to).await;
    let back = chosen(app, &to, username).await;
    let answer = browser.page(&path_of(&back)).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookies = answer.cookies();
    let caller = with_cookies(&app.anonymous(), &answer).with("x-rsc-xsrf", &cookies["RSC-XSRF"]);
    (caller, answer.header("location").to_owned())
}

async fn refused(answer: &Answer, status: u16) {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    assert!(!answer.cookies().contains_key("rsconnect"), "{answer:?}");
    assert!(answer.text().contains("Sign-in failed"), "{}", answer.text());
}

#[tokio::test]
async fn users_and_their_groups_come_from_the_provider() {
    let app = TestApp::with(config()).await;
    let (dana, led) = signed_in(&app, "dana", "/content/x/?a=b").await;
    assert_eq!(led, "http://connect.example/content/x/?a=b");
    let me = dana.get("/v1/user").await.ok();
    assert_eq!((&me["username"], &me["user_role"]), (&json!("dana"), &json!("viewer")));
    assert_eq!((&me["email"], &me["external_id"]), (&json!("dana@example.com"), &json!("built-in|dana")));
    let group_of = async |name: &str| {
        let groups = app.admin().get(&format!("/v1/groups?prefix={name}")).await.ok();
        let guid = groups["results"][0]["guid"].as_str().unwrap_or("none").to_owned();
        app.admin().get(&format!("/v1/groups/{guid}/members")).await
    };
    assert_eq!(group_of("analysts").await.ok()["results"][0]["username"], "dana");

    // She moves to another group, and keeps the one that was not the provider's.
    let own = app.admin().post("/v1/groups", &json!({"name": "own"})).await.ok()["guid"].clone();
    let members = format!("/v1/groups/{}/members", own.as_str().unwrap());
    app.admin().post(&members, &json!({"user_guid": me["guid"]})).await;
    let mut tx = app.world.db().write().await.unwrap();
    let person = Person {
        sub: String::new(),
        username: "dana".to_owned(),
        email: "d@example.com".to_owned(),
        first_name: "Dana".to_owned(),
        last_name: "Moved".to_owned(),
        groups: vec!["engineers".to_owned()],
    };
    store::idp::put(&mut tx, &person).await.unwrap();
    tx.commit().await.unwrap();
    let (dana, _) = signed_in(&app, "dana", "/").await;
    let again = dana.get("/v1/user").await.ok();
    assert_eq!((&again["guid"], &again["last_name"]), (&me["guid"], &json!("Moved")));
    assert_eq!(group_of("analysts").await.ok()["total"], 0);
    assert_eq!(group_of("engineers").await.ok()["total"], 1);
    assert_eq!(app.admin().get(&members).await.ok()["total"], 1);

    // The seeded users are theirs of the same name.
    let (publisher, _) = signed_in(&app, "publisher", "/").await;
    assert_eq!(publisher.get("/v1/user").await.ok()["guid"], app.publisher().get("/v1/user").await.ok()["guid"]);
    let settings = app.admin().get("/server_settings").await.ok();
    assert_eq!(settings["authentication"]["handles_credentials"], false);
    let password = "username=publisher&password=publisher-password";
    assert_eq!(app.anonymous().raw("POST", "/__login__", &[], password.into()).await.code(), (403, 95));
    let out = dana.raw("POST", "/__logout__", &[], Body::empty()).await;
    assert_eq!((out.status.as_u16(), out.header("location")), (200, ""));
    assert_eq!(dana.get("/v1/user").await.code(), (401, 24));
}

#[tokio::test]
async fn who_may_not_sign_in_is_told_so() {
    let unknown = IdentityProvider { register: false, groups_auto_provision: false, ..IdentityProvider::default() };
    let app = TestApp::with(Config { identity_provider: Some(unknown), ..Config::default() }).await;
    let attempt = async |username: &str| {
        let (browser, to) = begun(&app, "/").await;
        browser.page(&path_of(&chosen(&app, &to, username).await)).await
    };
    refused(&attempt("dana").await, 403).await;
    assert_eq!(app.admin().get("/v1/users").await.ok()["total"], 3);
    // Another identity has the name.
    let taken = json!({"username": "erik", "external_id": "other|erik"});
    app.admin().post("/v1/users", &taken).await.ok();
    refused(&attempt("erik").await, 403).await;
    let viewer = app.viewer().get("/v1/user").await.ok()["guid"].as_str().unwrap().to_owned();
    app.admin().post(&format!("/v1/users/{viewer}/lock"), &json!({"locked": true})).await;
    refused(&attempt("viewer").await, 403).await;
    assert_eq!(attempt("publisher").await.status, 303);
    assert_eq!(app.admin().get("/v1/groups").await.ok()["total"], 0);
}

#[tokio::test]
async fn a_sign_in_is_its_browser_s_and_good_once() {
    let app = TestApp::with(config()).await;
    let (browser, to) = begun(&app, "/").await;
    let (other, _) = begun(&app, "/").await;
    let back = path_of(&chosen(&app, &to, "dana").await);
    // An attacker has the victim finish the attacker's sign-in.
    refused(&app.anonymous().page(&back).await, 400).await;
    refused(&browser.page(&back).await, 400).await;
    let (browser, to) = begun(&app, "/").await;
    refused(&other.page(&path_of(&chosen(&app, &to, "dana").await)).await, 400).await;

    let (browser_2, to) = begun(&app, "/").await;
    let back = path_of(&chosen(&app, &to, "dana").await);
    assert_eq!(browser_2.page(&back).await.status, 303);
    refused(&browser_2.page(&back).await, 400).await;
    for bad in ["", "?state=x&code=y", "?code=y", "?state=%00"] {
        let answer = browser.page(&format!("/__login__/callback{bad}")).await;
        assert!(answer.status == 400 && !answer.cookies().contains_key("rsconnect"), "{bad}: {answer:?}");
    }
    let (browser, to) = begun(&app, "/").await;
    let state = parameter(&to, "state");
    refused(&browser.page(&format!("/__login__/callback?state={state}&error=access_denied")).await, 403).await;
    let (browser, to) = begun(&app, "/").await;
    let state = parameter(&to, "state");
    refused(&browser.page(&format!("/__login__/callback?state={state}&code=forged")).await, 401).await;
    // A code of one sign-in in another: PKCE and nonce tell them apart.
    let (browser, to) = begun(&app, "/").await;
    let (_, foreign) = begun(&app, "/").await;
    let code = parameter(&chosen(&app, &foreign, "dana").await, "code");
    let state = parameter(&to, "state");
    refused(&browser.page(&format!("/__login__/callback?state={state}&code={code}")).await, 401).await;
    let (browser, to) = begun(&app, "/").await;
    let back = path_of(&chosen(&app, &to, "dana").await);
    app.world.clock().advance(std::time::Duration::from_secs(601)).await;
    refused(&browser.page(&back).await, 400).await;
}

#[tokio::test]
async fn a_session_set_before_is_not_the_one_after() {
    let planted = "rsconnect=planted; RSC-XSRF=planted";
    let app = TestApp::with(config()).await;
    let (browser, to) = begun(&app, "/").await;
    let back = path_of(&chosen(&app, &to, "dana").await);
    let victim = app.anonymous().page(&path_of(&to)).await;
    assert_eq!(victim.status, 200);
    let answer = browser.page(&back).await;
    assert_ne!(answer.cookies()["rsconnect"], "planted");
    let attacker = app.anonymous().with("cookie", planted).with("x-rsc-xsrf", "planted");
    assert_eq!(attacker.get("/v1/user").await.code(), (401, 24));

    // The same by password.
    let app = TestApp::new().await;
    let form = "username=viewer&password=viewer-password";
    let answer = app.anonymous().with("cookie", planted).raw("POST", "/__login__", &[], form.into()).await;
    assert_eq!(answer.status, 303);
    assert_ne!(answer.cookies()["rsconnect"], "planted");
    let attacker = app.anonymous().with("cookie", planted).with("x-rsc-xsrf", "planted");
    assert_eq!(attacker.get("/v1/user").await.code(), (401, 24));
    // Signing in again ends the session that the browser had.
    let old = with_cookies(&app.anonymous(), &answer).with("x-rsc-xsrf", &answer.cookies()["RSC-XSRF"]);
    assert_eq!(old.get("/v1/user").await.status, 200);
    assert_eq!(old.raw("POST", "/__login__", &[], form.into()).await.status, 303);
    assert_eq!(old.get("/v1/user").await.code(), (401, 24));
}

#[tokio::test]
async fn nobody_is_led_to_another_site() {
    let evil =
        ["//evil.example", "https://evil.example/", "/\\evil.example", "javascript:alert(1)", "%0d%0aLocation:x"];
    let app = TestApp::with(config()).await;
    for place in evil {
        let (_, led) = signed_in(&app, "dana", place).await;
        assert_eq!(led, "http://connect.example/connect/", "{place}");
    }
    let (_, to) = begun(&app, "/").await;
    let redirect = parameter(&to, "redirect_uri");
    assert_eq!(redirect, "http://connect.example/__login__/callback");
    for place in ["https://evil.example/__login__/callback", "http://connect.example/other", "//evil.example", "x"] {
        let encoded = url::form_urlencoded::byte_serialize(place.as_bytes()).collect::<String>();
        let own = url::form_urlencoded::byte_serialize(redirect.as_bytes()).collect::<String>();
        let query = query_of(&to).replace(&own, &encoded);
        assert!(query.contains(&encoded));
        let asked = app.anonymous().page(&format!("/__idp__/authorize?{query}")).await;
        assert_eq!((asked.status.as_u16(), asked.header("location")), (400, ""), "{place}");
        let body = format!("{query}&username=dana");
        let chosen = app.anonymous().raw("POST", "/__idp__/authorize", &[], body.into()).await;
        assert_eq!((chosen.status.as_u16(), chosen.header("location")), (400, ""), "{place}");
    }
    let app = TestApp::new().await;
    for place in evil {
        let form = format!("username=viewer&password=viewer-password&return_to={place}");
        let led = app.anonymous().raw("POST", "/__login__", &[], form.into()).await;
        assert_eq!(led.header("location"), "http://connect.example/connect/", "{place}");
    }
}

/// Another Connect is the provider, by its discovery document, over the network.
#[tokio::test]
async fn another_server_can_be_the_provider() {
    let redirect = "http://connect.example/__login__/callback".to_owned();
    let other = Config { built_in_identity_provider: true, identity_redirects: vec![redirect], ..Config::default() };
    let world = WorldConfig { frozen_at: Some(start()), ..WorldConfig::default() };
    let other = Host::start(product(other), HostConfig { world, ..HostConfig::default() }).await.unwrap();
    let issuer = format!("{}/__idp__", other.url());
    let provider = IdentityProvider { issuer: Some(issuer.clone()), ..IdentityProvider::default() };
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let attempt = async |provider: IdentityProvider| {
        let app = TestApp::with(Config { identity_provider: Some(provider), ..Config::default() }).await;
        let (browser, to) = begun(&app, "/").await;
        assert!(to.starts_with(&format!("{issuer}/authorize?")), "{to}");
        let body = format!("{}&username=erik", query_of(&to));
        let back = client.post(format!("{issuer}/authorize")).body(body).send().await.unwrap();
        let back = back.headers()["location"].to_str().unwrap().to_owned();
        (app, browser.page(&path_of(&back)).await)
    };
    let (app, answer) = attempt(provider.clone()).await;
    assert_eq!(answer.status, 303, "{}", answer.text());
    let cookies = answer.cookies();
    let erik = with_cookies(&app.anonymous(), &answer).with("x-rsc-xsrf", &cookies["RSC-XSRF"]);
    assert_eq!(erik.get("/v1/user").await.ok()["username"], "erik");
    let (_, answer) = attempt(IdentityProvider { client_secret: "wrong".to_owned(), ..provider }).await;
    refused(&answer, 401).await;
    other.stop().await;
}

/// A provider's answers are believed only as far as they are signed, for this server, and for this sign-in.
#[tokio::test]
async fn a_provider_s_answers_are_verified() {
    let issuer = Issuer::start().await;
    let provider = IdentityProvider { issuer: Some(issuer.url.clone()), ..IdentityProvider::default() };
    let app = TestApp::with(Config { identity_provider: Some(provider), ..Config::default() }).await;
    let foreign = super::identity::Pair::new("foreign");
    for (what, good, change) in [
        ("good", true, json!({})),
        ("another nonce", false, json!({"nonce": "x"})),
        ("no nonce", false, json!({"nonce": null})),
        ("another client", false, json!({"aud": "x"})),
        ("made for another", false, json!({"azp": "x"})),
        ("expired", false, json!({"exp": start().timestamp() - 61})),
        ("another issuer", false, json!({"iss": "https://evil.example"})),
        ("no user name", false, json!({"sub": "new", "preferred_username": null})),
        ("no subject", false, json!({"sub": null})),
        ("foreign key", false, json!({"foreign": true})),
    ] {
        let (browser, to) = begun(&app, "/").await;
        let mut claims = issuer.claims(start().timestamp());
        claims["aud"] = json!("connect");
        claims["nonce"] = json!(parameter(&to, "nonce"));
        claims["preferred_username"] = json!("nina");
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let token = if claims["foreign"] == true { foreign.sign(&claims) } else { issuer.pair.sign(&claims) };
        issuer.answers(&json!({"access_token": "x", "token_type": "Bearer", "id_token": token}));
        let state = parameter(&to, "state");
        let answer = browser.page(&format!("/__login__/callback?state={state}&code=c")).await;
        assert_eq!(answer.cookies().contains_key("rsconnect"), good, "{what}: {}", answer.text());
        assert!(answer.status.as_u16() < 500, "{what}");
    }
    for (body, what) in [("{", "no JSON"), ("{}", "no token"), ("{\"id_token\": 1}", "no text")] {
        let (browser, to) = begun(&app, "/").await;
        issuer.answers_with(body.to_owned());
        let state = parameter(&to, "state");
        let answer = browser.page(&format!("/__login__/callback?state={state}&code=c")).await;
        assert_eq!((answer.status.as_u16(), what), (401, what));
    }
    let users = app.admin().get("/v1/users?prefix=nina").await.ok();
    assert_eq!(users["total"], 1);
}

#[tokio::test]
async fn tests_steer_the_built_in_provider() {
    let running = Host::start(product(config()), HostConfig::default()).await.unwrap();
    let url = running.url();
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let control = async |method: &str, path: &str, body: &Value| {
        let method = method.parse().unwrap();
        let request = client.request(method, format!("{url}/__sim__/v1/{path}")).body(body.to_string());
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, serde_json::from_slice::<Value>(&answer.bytes().await.unwrap()).unwrap_or_default())
    };
    let (status, people) = control("GET", "idp/users", &json!({})).await;
    assert_eq!((status, people["users"].as_array().unwrap().len()), (200, 5));
    let nina = json!({"username": "nina", "email": "n@example.com", "groups": ["night"]});
    assert_eq!(control("POST", "idp/users", &nina).await.0, 200);
    assert_eq!(control("POST", "idp/users", &json!({"username": ""})).await.0, 400);
    assert_eq!(control("POST", "idp/users", &json!({"username": "x", "groups": [1]})).await.0, 400);
    assert_eq!(control("POST", "idp/choose", &json!({"username": "nobody"})).await.0, 404);
    assert_eq!(control("POST", "idp/choose", &json!({"username": "nina"})).await.0, 200);
    // Signed in by redirects alone.
    let mut next = format!("{url}/__login__?return_to=/connect/");
    let mut cookies = String::new();
    for _ in 0..3 {
        let answer = client.get(&next).header("cookie", &cookies).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{next}");
        let set = answer.headers().get_all("set-cookie").iter();
        let set: Vec<_> = set.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned()).collect();
        if !set.is_empty() {
            cookies = set.join("; ");
        }
        answer.headers()["location"].to_str().unwrap().clone_into(&mut next);
    }
    assert_eq!(next, format!("{url}/connect/"));
    let xsrf = cookies.split("RSC-XSRF=").nth(1).unwrap().split(';').next().unwrap();
    let request = client.get(format!("{url}/__api__/v1/user")).header("cookie", &cookies).header("x-rsc-xsrf", xsrf);
    assert!(request.send().await.unwrap().text().await.unwrap().contains("\"nina\""));

    let (status, made) = control("POST", "idp/tokens", &json!({"claims": {"sub": "job", "aud": "x"}})).await;
    assert_eq!((status, made["token"].as_str().unwrap().split('.').count()), (200, 3));
    assert_eq!(control("POST", "idp/tokens", &json!({"claims": 1})).await.0, 400);
    assert_eq!(control("POST", "idp/choose", &json!({"username": null})).await.1["chosen"], Value::Null);
    assert_eq!(control("DELETE", "idp/users/nina", &json!({})).await.0, 200);
    assert_eq!(control("DELETE", "idp/users/nina", &json!({})).await.0, 404);
    let (status, unknown) = control("GET", "idp/other", &json!({})).await;
    assert!(status == 404 && unknown["error"].is_string(), "{unknown}");
    let foreign = client.post(format!("{url}/__sim__/v1/idp/choose")).header("origin", "https://evil.example");
    assert_eq!(foreign.body("{\"username\":null}").send().await.unwrap().status(), 403);
    running.stop().await;
}

#[tokio::test]
async fn the_directory_adds_people_and_groups_by_ticket() {
    let app = TestApp::with(config()).await;
    let publisher = app.publisher();
    assert_eq!(app.viewer().get("/v1/users/remote?prefix=d").await.code(), (403, 22));
    let found = publisher.get("/v1/users/remote?prefix=DAN").await.ok();
    assert_eq!((&found["total"], &found["results"][0]["guid"]), (&json!(1), &Value::Null));
    let ticket = json!({"temp_ticket": found["results"][0]["temp_ticket"]});
    assert_eq!(app.viewer().put("/v1/users", &ticket).await.code(), (403, 22));
    let made = publisher.put("/v1/users", &ticket).await.ok();
    assert_eq!((&made["username"], &made["user_role"]), (&json!("dana"), &json!("viewer")));
    assert_eq!(publisher.put("/v1/users", &ticket).await.code(), (409, 8));
    let again = publisher.get("/v1/users/remote?prefix=dana").await.ok();
    assert_eq!(again["results"][0]["guid"], made["guid"]);
    assert_eq!(publisher.get("/v1/users/remote?limit=2").await.ok()["results"].as_array().unwrap().len(), 2);
    assert_eq!(publisher.get("/v1/users/remote?limit=0").await.code(), (400, 25));
    // Signing in finds the account that waits.
    let (dana, _) = signed_in(&app, "dana", "/").await;
    assert_eq!(dana.get("/v1/user").await.ok()["guid"], made["guid"]);

    let groups = publisher.get("/v1/groups/remote?prefix=eng").await.ok();
    assert_eq!((&groups["results"][0]["name"], &groups["results"][0]["guid"]), (&json!("engineers"), &Value::Null));
    let group = json!({"temp_ticket": groups["results"][0]["temp_ticket"]});
    assert_eq!(publisher.put("/v1/users", &group).await.code(), (400, 127), "a group's ticket adds no user");
    assert_eq!(publisher.put("/v1/groups", &group).await.ok()["name"], "engineers");
    assert_eq!(publisher.put("/v1/groups", &group).await.code(), (409, 15));
    for bad in [json!("x"), json!(""), json!("a.b.c")] {
        assert_eq!(publisher.put("/v1/users", &json!({"temp_ticket": bad})).await.code(), (400, 127), "{bad}");
    }
    for path in ["/v1/users", "/v1/groups"] {
        assert_eq!(publisher.put(path, &json!({})).await.code(), (400, 12));
        for wrong in [json!(1), json!([]), json!({}), json!("a\u{0}b")] {
            assert_eq!(publisher.put(path, &json!({"temp_ticket": wrong})).await.status, 400, "{wrong}");
        }
    }
    let erik = publisher.get("/v1/users/remote?prefix=erik").await.ok()["results"][0]["temp_ticket"].clone();
    app.world.clock().advance(std::time::Duration::from_secs(3601)).await;
    assert_eq!(publisher.put("/v1/users", &json!({"temp_ticket": erik})).await.code(), (400, 127));
}
