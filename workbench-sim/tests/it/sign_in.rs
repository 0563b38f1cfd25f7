//! Signing in and out, in both forms, and what is refused.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{LOCATION, SET_COOKIE};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use rsa::{BoxedUint, Pkcs1v15Encrypt, PublicKey};
use sim_kit::Running;
use workbench_sim::client::{Client, ClientError};
use workbench_sim::{Config, Runtime};

use crate::server::{config, http, publisher, start, start_frozen};

fn plain() -> Config {
    Config { encrypt_password: false, ..config(Runtime::Simulated) }
}

fn location(answer: &reqwest::Response) -> String {
    answer.headers()[LOCATION].to_str().unwrap().to_owned()
}

/// What `Set-Cookie` says of a cookie.
fn set_cookie(answer: &reqwest::Response, name: &str) -> Option<String> {
    let all = answer.headers().get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap());
    all.filter_map(|text| text.strip_prefix(&format!("{name}="))).map(str::to_owned).next()
}

async fn script(workbench: &Running, fields: &[(&str, &str)], cookie: &str) -> reqwest::Response {
    let url = format!("{}/auth-do-sign-in", workbench.url());
    http().post(url).header("Cookie", cookie).form(fields).send().await.unwrap()
}

#[tokio::test]
async fn a_page_leads_to_the_sign_in_page_and_back() {
    let workbench = start(plain()).await;
    let url = workbench.url();
    let answer = http().get(format!("{url}/home?x=1")).send().await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(location(&answer), "/auth-sign-in?appUri=%2Fhome%3Fx%3D1");
    assert!(set_cookie(&answer, "user-id").unwrap().contains("1970"));
    let page = http().get(format!("{url}{}", location(&answer))).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["x-frame-options"], "DENY");
    assert!(page.headers()["cache-control"].to_str().unwrap().contains("no-cache"));
    let token = set_cookie(&page, "rs-csrf-token").unwrap();
    assert_eq!(Some(&token), set_cookie(&page, "csrf-token").as_ref());
    assert!(token.contains("HttpOnly"));
    let token = token.split(';').next().unwrap().to_owned();
    let text = page.text().await.unwrap();
    for part in
        ["id=\"username\"", "id=\"password\"", "id=\"signinbutton\"", "id=\"staySignedIn\"", "name=\"login_form\""]
    {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("realform"));

    let fields = [
        ("username", "publisher"),
        ("password", "publisher-password"),
        ("appUri", "/home?x=1"),
        ("csrf-token", &token),
    ];
    let answer = script(&workbench, &fields, &format!("csrf-token={token}")).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (302, "/home?x=1".to_owned()));
    let user = set_cookie(&answer, "user-id").unwrap();
    assert!(user.starts_with("publisher|") && !user.contains("Expires"), "{user}");
    assert!(set_cookie(&answer, "persist-auth").unwrap().starts_with('0'));
    assert!(set_cookie(&answer, "user-list-id").is_some());
    assert_eq!(set_cookie(&answer, "port-token").unwrap().split(';').next().unwrap().len(), 12);
}

#[tokio::test]
async fn staying_signed_in_outlives_the_browser() {
    let workbench = start_frozen(plain()).await;
    let fields = [("username", "viewer"), ("password", "viewer-password"), ("staySignedIn", "1")];
    let answer = script(&workbench, &fields, "").await;
    assert_eq!(location(&answer), "/");
    assert!(set_cookie(&answer, "user-id").unwrap().contains("Expires=Mon, 02 Mar 2026 13:00:00 GMT"));
    assert!(set_cookie(&answer, "persist-auth").unwrap().starts_with('1'));
}

#[tokio::test]
async fn all_three_users_may_sign_in_with_an_encrypted_form() {
    let workbench = start(config(Runtime::Simulated)).await;
    for user in sim_kit::seed::users(1) {
        let client = Client::sign_in(&workbench.url(), user.username, &user.password).await.unwrap();
        let home = client.get("").await.unwrap();
        assert_eq!(home.status(), 200);
        assert!(home.text().await.unwrap().contains(&format!(">{}</button>", user.username)));
    }
}

#[tokio::test]
async fn the_encrypted_form_is_what_the_page_says() {
    let workbench = start(config(Runtime::Simulated)).await;
    let url = workbench.url();
    let page = http().get(format!("{url}/auth-sign-in")).send().await.unwrap();
    let token = set_cookie(&page, "rs-csrf-token").unwrap().split(';').next().unwrap().to_owned();
    assert!(page.text().await.unwrap().contains("name=\"realform\""));
    let answer = http().get(format!("{url}/auth-public-key")).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/plain");
    let key = answer.text().await.unwrap();
    let (exponent, modulus) = key.split_once(':').unwrap();
    let number = |text: &str| BoxedUint::from_be_slice_vartime(&hex::decode(text).unwrap());
    let key = PublicKey::new(number(modulus), number(exponent)).unwrap();
    let mut rng = ChaCha20Rng::from_seed([7; 32]);
    let mut encrypt =
        |text: &str| BASE64_STANDARD.encode(key.encrypt(&mut rng, Pkcs1v15Encrypt, text.as_bytes()).unwrap());
    let cookie = format!("rs-csrf-token={token}");
    for (v, to) in [
        (encrypt("admin\nadmin-password"), "/"),
        (encrypt("admin\nwrong"), "/auth-sign-in?appUri=%2F&error=1"),
        (encrypt("no line"), "/auth-sign-in?appUri=%2F&error=2"),
        ("AAAA".to_owned(), "/auth-sign-in?appUri=%2F&error=2"),
        ("not base64!".to_owned(), "/auth-sign-in?appUri=%2F&error=2"),
    ] {
        let fields =
            [("v", v.as_str()), ("persist", "0"), ("rs-csrf-token", &token), ("appUri", ""), ("clientPath", "/")];
        let answer = script(&workbench, &fields, &cookie).await;
        assert_eq!((answer.status().as_u16(), location(&answer)), (302, to.to_owned()));
    }
    // A plain form is not taken where encryption is asked for.
    let fields = [("username", "admin"), ("password", "admin-password"), ("rs-csrf-token", &token)];
    assert!(location(&script(&workbench, &fields, &cookie).await).ends_with("error=2"));
}

#[tokio::test]
async fn refusals_name_their_number_and_the_page_its_words() {
    let workbench = start(plain()).await;
    for (user, password) in [("publisher", "wrong"), ("nobody", "publisher-password"), ("", "")] {
        let answer = script(&workbench, &[("username", user), ("password", password), ("appUri", "/home")], "").await;
        assert_eq!(location(&answer), "/auth-sign-in?appUri=%2Fhome&error=1", "{user}");
        assert!(set_cookie(&answer, "user-id").is_none());
    }
    for (number, words) in [
        (1, "Incorrect or invalid username/password"),
        (2, "Temporary server error, please try again"),
        (3, "Unauthorized user."),
        (4, "The user limit for this license has been reached, or you are not allowed access."),
        (5, "The user licensing system is temporarily unavailable. Please try again later."),
    ] {
        let page = http().get(format!("{}/auth-sign-in?error={number}", workbench.url())).send().await.unwrap();
        assert!(page.text().await.unwrap().contains(&format!("Error: {words}")));
    }
    let page = http().get(format!("{}/auth-sign-in?error=%3Cscript%3E", workbench.url())).send().await.unwrap();
    assert!(page.text().await.unwrap().contains("style=\"display:none\""));
}

#[tokio::test]
async fn a_missing_or_wrong_token_is_refused() {
    let strict = start(Config { sign_in_without_token: false, ..plain() }).await;
    let fields = [("username", "admin"), ("password", "admin-password")];
    let answer = script(&strict, &fields, "").await;
    assert!(location(&answer).ends_with("error=2"));
    assert_eq!(answer.text().await.unwrap(), "Missing or incorrect token.");

    let workbench = start(plain()).await;
    assert_eq!(location(&script(&workbench, &fields, "").await), "/");
    // With a cookie the token counts, whatever the setting.
    for given in ["", "other"] {
        let fields = [fields[0], fields[1], ("rs-csrf-token", given)];
        assert!(location(&script(&workbench, &fields, "rs-csrf-token=mine").await).ends_with("error=2"), "{given}");
    }
}

#[tokio::test]
async fn no_link_to_the_sign_in_page_leads_elsewhere() {
    let workbench = start(plain()).await;
    for wanted in
        ["//evil.example/x", "https://evil.example", "\\\\evil.example", "/\\evil.example", "javascript:alert(1)"]
    {
        let fields = [("username", "admin"), ("password", "admin-password"), ("appUri", wanted)];
        let to = location(&script(&workbench, &fields, "").await);
        let base = reqwest::Url::parse(&workbench.url()).unwrap();
        let target = base.join(&to).unwrap();
        assert_eq!(target.origin(), base.origin(), "{wanted} leads to {target}");
    }
}

#[tokio::test]
async fn two_sign_ins_of_one_user_are_five_seconds_apart() {
    let workbench = start_frozen(Config { throttle: Duration::from_secs(5), ..plain() }).await;
    let sign_in = async |user: &str, password: &str| {
        location(&script(&workbench, &[("username", user), ("password", password)], "").await)
    };
    assert_eq!(sign_in("admin", "admin-password").await, "/");
    assert!(sign_in("admin", "admin-password").await.ends_with("error=2"));
    assert_eq!(sign_in("viewer", "viewer-password").await, "/");
    workbench.world().clock().advance(Duration::from_millis(4999)).await;
    assert!(sign_in("admin", "admin-password").await.ends_with("error=2"));
    workbench.world().clock().advance(Duration::from_millis(1)).await;
    assert_eq!(sign_in("admin", "admin-password").await, "/");
}

#[tokio::test]
async fn a_sign_in_ends_an_hour_after_the_last_page_and_polling_does_not_keep_it() {
    let workbench = start_frozen(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let clock = workbench.world().clock().clone();
    clock.advance(Duration::from_secs(50 * 60)).await;
    assert_eq!(client.get("home").await.unwrap().status(), 200);
    clock.advance(Duration::from_secs(50 * 60)).await;
    let polled = http()
        .get(format!("{}/workspaces/sessions", workbench.url()))
        .header("Cookie", client.cookie_header())
        .header("X-RStudio-Refresh-Auth-Creds", "0")
        .send()
        .await
        .unwrap();
    assert_eq!((polled.status().as_u16(), set_cookie(&polled, "user-id")), (200, None));
    clock.advance(Duration::from_secs(11 * 60)).await;
    assert_eq!(client.get("home").await.unwrap().status(), 302);
}

#[tokio::test]
async fn signing_out_makes_the_cookie_worthless() {
    let workbench = start(config(Runtime::Simulated)).await;
    let client = publisher(&workbench).await;
    let cookie = client.cookie_header();
    let post = async |token: &str| {
        let url = format!("{}/auth-sign-out", workbench.url());
        http().post(url).header("Cookie", &cookie).form(&[("rs-csrf-token", token)]).send().await.unwrap()
    };
    assert_eq!(post("wrong").await.status(), 400);
    assert_eq!(client.get("home").await.unwrap().status(), 200);
    let answer = post(&client.token()).await;
    assert_eq!((answer.status().as_u16(), location(&answer)), (302, "/auth-sign-in".to_owned()));
    assert!(set_cookie(&answer, "user-id").unwrap().contains("1970"));
    let kept = http().get(format!("{}/home", workbench.url())).header("Cookie", &cookie).send().await.unwrap();
    assert_eq!(kept.status(), 302);
    assert_eq!(post(&client.token()).await.status(), 401);
}

#[tokio::test]
async fn forged_cookies_open_nothing() {
    let workbench = start(config(Runtime::Simulated)).await;
    let cookie = publisher(&workbench).await.cookie_header();
    let home = async |cookie: String| {
        http().get(format!("{}/home", workbench.url())).header("Cookie", cookie).send().await.unwrap().status().as_u16()
    };
    assert_eq!(home(cookie.clone()).await, 200);
    assert_eq!(home(cookie.replace("user-id=publisher", "user-id=admin")).await, 302);
    assert_eq!(home(cookie.replace("user-list-id=", "user-list-id=0")).await, 302);
    let without_list: Vec<&str> = cookie.split("; ").filter(|c| !c.starts_with("user-list-id")).collect();
    assert_eq!(home(without_list.join("; ")).await, 302);
}

#[tokio::test]
async fn the_client_says_why_it_was_refused() {
    let workbench = start(config(Runtime::Simulated)).await;
    let refused = Client::sign_in(&workbench.url(), "publisher", "wrong").await;
    assert!(matches!(refused, Err(ClientError::Refused { ref number, .. }) if number == "1"));
}

#[tokio::test]
async fn everything_lies_below_the_root_path() {
    let workbench = start(Config { root_path: "/bench".to_owned(), ..config(Runtime::Simulated) }).await;
    let answer = http().get(format!("{}/", workbench.url())).send().await.unwrap();
    assert_eq!(location(&answer), "/bench/");
    let answer = http().get(format!("{}/bench/home", workbench.url())).send().await.unwrap();
    assert_eq!(location(&answer), "/bench/auth-sign-in?appUri=%2Fhome");
    assert!(set_cookie(&answer, "user-id").unwrap().contains("Path=/bench;"));
    let client = Client::sign_in(&format!("{}/bench", workbench.url()), "admin", "admin-password").await.unwrap();
    let page = client.get("home").await.unwrap().text().await.unwrap();
    assert!(page.contains("href=\"/bench/css/app.css\""));
    assert!(client.launch("RStudio", "x").await.unwrap().url.starts_with("/bench/s/"));
}
