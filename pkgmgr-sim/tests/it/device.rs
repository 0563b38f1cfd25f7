//! A token for a device: it asks, somebody approves, it exchanges.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::{Answer, Team};

const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0";

fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

/// Somebody who has signed in to the web interface.
struct Person<'a> {
    team: &'a Team,
    cookie: String,
}

impl Team {
    async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(self.request("POST", path).form(fields)).await
    }

    /// The answer to a device that asks.
    async fn device(&self) -> Value {
        let fields = [("code_challenge_method", "S256"), ("code_challenge", &challenge(VERIFIER))];
        let answer = self.form("/__api__/device", &fields).await;
        assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"), "{}", answer.text());
        answer.json()
    }

    async fn poll(&self, device: &Value) -> Answer {
        let code = device["device_code"].as_str().unwrap();
        self.form("/__api__/device_access", &[("device_code", code), ("code_verifier", VERIFIER)]).await
    }

    async fn exchange(&self, id_token: &str) -> Answer {
        let fields = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", id_token),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ];
        self.form("/__api__/token", &fields).await
    }

    async fn wait(&self, seconds: u64) {
        self.running.world().clock().advance(Duration::from_secs(seconds)).await;
    }

    async fn person(&self, token: &str) -> Person<'_> {
        let answer = self.form("/client/sign-in", &[("token", token)]).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        Person { team: self, cookie: answer.header("set-cookie").split(';').next().unwrap().to_owned() }
    }

    async fn token_for(&self, draft: Value) -> String {
        self.does("POST", "/__api__/tokens", draft).await["token"].as_str().unwrap().to_owned()
    }

    async fn allows(&self, path: &str, token: &str) -> u16 {
        self.send(self.request("GET", path).bearer_auth(token)).await.status.as_u16()
    }
}

impl Person<'_> {
    async fn page(&self, code: &str) -> Answer {
        let path = format!("/client/view/device?user_code={code}");
        self.team.send(self.team.request("GET", &path).header("cookie", &self.cookie)).await
    }

    async fn send(&self, fields: &[(&str, &str)]) -> Answer {
        self.team.send(self.team.request("POST", "/client/device").header("cookie", &self.cookie).form(fields)).await
    }

    /// Presses a button of the page.
    async fn answers(&self, device: &Value, what: &str) -> Answer {
        let code = device["user_code"].as_str().unwrap();
        let page = self.page(code).await;
        let xsrf = match page.text().split("name=\"xsrf\" value=\"").nth(1) {
            Some(rest) => rest.split('"').next().unwrap().to_owned(),
            None => return page,
        };
        self.send(&[("xsrf", &xsrf), ("user_code", code), ("do", what)]).await
    }
}

fn refuses(answer: &Answer, error: &str) {
    assert_eq!(answer.status, 400, "{}", answer.text());
    let body = answer.json();
    assert_eq!((&body["error"], &body["code"]), (&json!(error), &json!(400)));
    assert!(!body["error_description"].as_str().unwrap().is_empty());
}

#[tokio::test]
async fn a_device_gets_what_the_approver_may() {
    let team = Team::synced().await;
    team.does("POST", "/__api__/repos", json!({ "name": "secret", "authenticated": true })).await;
    team.does("POST", "/__api__/repos/secret/sources", json!({ "source": "cran" })).await;
    let draft = json!({ "scope": ["repos:read"], "repos": ["secret"], "expires": "2h", "user": "ann" });
    let reader = team.token_for(draft).await;
    let device = team.device().await;
    assert_eq!((&device["interval"], &device["expires_in"]), (&json!(5), &json!(900)));
    let page = device["verification_uri_complete"].as_str().unwrap();
    assert_eq!(page, team.url(&format!("/client/view/device?user_code={}", device["user_code"].as_str().unwrap())));
    refuses(&team.poll(&device).await, "authorization_pending");
    // Whoever has not signed in is sent there, and back.
    let code = device["user_code"].as_str().unwrap();
    let stranger = team.get(&format!("/client/view/device?user_code={code}")).await;
    assert_eq!(stranger.status, 303);
    assert!(stranger.header("location").ends_with(&format!("sign-in?next=device%3Fuser_code%3D{code}")));
    let back = format!("device?user_code={code}");
    let signed_in = team.form("/client/sign-in", &[("token", &reader), ("next", &back)]).await;
    assert!(signed_in.header("location").ends_with(&format!("/client/view/{back}")), "{:?}", signed_in.headers);

    let ann = team.person(&reader).await;
    let shown = ann.page(&code.to_lowercase().replace('-', "")).await;
    assert!(shown.text().contains(code) && shown.text().contains("repos:read"), "{}", shown.text());
    let approved = ann.answers(&device, "approve").await;
    assert!(approved.status == 200 && approved.text().contains("Approved"), "{}", approved.text());
    team.wait(5).await;
    let given = team.poll(&device).await;
    assert_eq!((given.status.as_u16(), given.header("cache-control")), (200, "no-store"), "{}", given.text());
    let id_token = given.json()["id_token"].as_str().unwrap().to_owned();
    assert_eq!(team.allows("/secret/latest/src/contrib/PACKAGES", &id_token).await, 401, "it is no access token");
    let exchanged = team.exchange(&id_token).await;
    assert_eq!(exchanged.status, 200, "{}", exchanged.text());
    let exchanged = exchanged.json();
    assert_eq!(exchanged["token_type"], "Bearer");
    assert_eq!(exchanged["expires_in"], 2 * 3600 - 5, "it ends with the approver's");
    let token = exchanged["access_token"].as_str().unwrap();
    assert_eq!(team.allows("/secret/latest/src/contrib/PACKAGES", token).await, 200);
    assert_eq!(team.allows("/__api__/tokens", token).await, 403, "it allows no more than the approver's");
    assert_eq!(team.allows("/", token).await, 200, "as clients try a token that they have kept");
    assert_eq!(team.allows("/", "worthless").await, 401);
    let basic = team.request("GET", "/").basic_auth("__token__", Some("worthless"));
    assert_eq!(team.send(basic).await.status, 401);
    // Neither code nor id token is good twice.
    refuses(&team.exchange(&id_token).await, "invalid_grant");
    team.wait(5).await;
    refuses(&team.poll(&device).await, "invalid_grant");
    team.wait(2 * 3600).await;
    assert_eq!(team.allows("/", token).await, 401, "it has ended");
}

#[tokio::test]
async fn times_go_by_the_worlds_clock() {
    let team = Team::synced().await;
    let device = team.device().await;
    refuses(&team.poll(&device).await, "authorization_pending");
    team.wait(4).await;
    refuses(&team.poll(&device).await, "slow_down");
    // From now on ten seconds.
    team.wait(9).await;
    refuses(&team.poll(&device).await, "slow_down");
    team.wait(15).await;
    refuses(&team.poll(&device).await, "authorization_pending");
    team.wait(900).await;
    refuses(&team.poll(&device).await, "expired_token");
    let admin = team.person(&team.token()).await;
    assert_eq!(admin.answers(&device, "approve").await.status, 404, "it has waited too long");
    // An id token that is not exchanged soon is lost.
    let device = team.device().await;
    assert_eq!(admin.answers(&device, "approve").await.status, 200);
    let id_token = team.poll(&device).await.json()["id_token"].as_str().unwrap().to_owned();
    team.wait(300).await;
    refuses(&team.exchange(&id_token).await, "invalid_grant");
    // An approval that is not fetched in time, too.
    let device = team.device().await;
    assert_eq!(admin.answers(&device, "approve").await.status, 200);
    team.wait(900).await;
    refuses(&team.poll(&device).await, "expired_token");
}

#[tokio::test]
async fn approving_is_for_who_has_signed_in_and_done_once() {
    let team = Team::synced().await;
    let admin = team.person(&team.token()).await;
    let device = team.device().await;
    let code = device["user_code"].as_str().unwrap();
    let fields = [("user_code", code), ("do", "approve")];
    assert_eq!(admin.send(&fields).await.status, 403, "a form without the session's word");
    let foreign = [("xsrf", "0".repeat(64)), ("user_code", code.to_owned()), ("do", "approve".to_owned())];
    let foreign: Vec<(&str, &str)> = foreign.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(admin.send(&foreign).await.status, 403);
    assert_eq!(team.form("/client/device", &foreign).await.status, 303, "nobody has signed in");
    let request = team.request("POST", "/client/device").header("cookie", &admin.cookie);
    assert_eq!(team.send(request.header("origin", "https://evil.example").form(&foreign)).await.status, 403);
    refuses(&team.poll(&device).await, "authorization_pending");

    assert_eq!(admin.answers(&device, "maybe").await.status, 400);
    let other = team.token_for(json!({ "scope": ["repos:read"], "repos": ["*"], "user": "bob" })).await;
    let bob = team.person(&other).await;
    assert_eq!(bob.answers(&device, "deny").await.status, 200);
    for who in [&bob, &admin] {
        for what in ["approve", "deny"] {
            assert_eq!(who.answers(&device, what).await.status, 409, "it was answered");
        }
    }
    team.wait(5).await;
    refuses(&team.poll(&device).await, "access_denied");

    // Of two at the same time one answers.
    let device = team.device().await;
    let (a, b) = tokio::join!(admin.answers(&device, "approve"), bob.answers(&device, "deny"));
    let mut both = [a.status.as_u16(), b.status.as_u16()];
    both.sort_unstable();
    assert_eq!(both, [200, 409]);

    // Of two polls at the same time one gets the id token; a revoked approver gives nothing.
    let device = team.device().await;
    bob.answers(&device, "approve").await;
    let (a, b) = tokio::join!(team.poll(&device), team.poll(&device));
    let given: Vec<&Answer> = [&a, &b].into_iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(given.len(), 1, "{} {}", a.text(), b.text());
    let id_token = given[0].json()["id_token"].as_str().unwrap().to_owned();
    let waiting = team.device().await;
    bob.answers(&waiting, "approve").await;
    let tokens = team.does("GET", "/__api__/tokens", Value::Null).await;
    let of_bob = tokens.as_array().unwrap().iter().find(|token| token["user"] == "bob").unwrap();
    team.does("DELETE", &format!("/__api__/tokens/{}", of_bob["id"].as_str().unwrap()), Value::Null).await;
    refuses(&team.exchange(&id_token).await, "invalid_grant");
    refuses(&team.poll(&waiting).await, "access_denied");
}

#[tokio::test]
async fn guesses_and_nonsense_are_refused() {
    let team = Team::synced().await;
    let good = challenge(VERIFIER);
    for (method, challenge) in
        [("plain", good.as_str()), ("", &good), ("S256", ""), ("S256", "short"), ("S256", VERIFIER)]
    {
        let fields = [("code_challenge_method", method), ("code_challenge", challenge)];
        refuses(&team.form("/__api__/device", &fields).await, "invalid_request");
    }
    let device = team.device().await;
    let code = device["device_code"].as_str().unwrap();
    for (code, verifier) in [(code, "another"), (code, ""), ("guess", VERIFIER), ("", "")] {
        let fields = [("device_code", code), ("code_verifier", verifier)];
        refuses(&team.form("/__api__/device_access", &fields).await, "invalid_grant");
    }
    refuses(&team.poll(&device).await, "authorization_pending");
    for token in ["", "x", team.token().as_str()] {
        refuses(&team.exchange(token).await, "invalid_grant");
    }
    let signed = team.token_for(json!({ "scope": ["global:admin"] })).await;
    refuses(&team.exchange(&signed).await, "invalid_grant");
    refuses(&team.form("/__api__/token", &[("grant_type", "password")]).await, "unsupported_grant_type");
    let half = [("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"), ("subject_token_type", "x")];
    refuses(&team.form("/__api__/token", &half).await, "invalid_request");
    let json = team.send(team.request("POST", "/__api__/device").json(&json!({}))).await;
    assert!(json.status.is_client_error() && json.json()["code"] == json.status.as_u16(), "{}", json.text());

    // Guessing codes comes to an end, also for the right one; others are not held up by it.
    let admin = team.person(&team.token()).await;
    assert!(admin.page("").await.text().contains("Give the code"));
    for nth in 0..10 {
        let guess = ["BCDF-GHJK", "nonsense", "%3Cscript%3E"][nth % 3];
        assert_eq!(admin.page(guess).await.status, 404, "{guess}");
    }
    let right = admin.answers(&device, "approve").await;
    assert!(right.status == 403 && right.text().contains("Too many wrong codes"), "{}", right.text());
    let other = team.person(&signed).await;
    assert_eq!(other.page(device["user_code"].as_str().unwrap()).await.status, 200);
    team.wait(900).await;
    let device = team.device().await;
    assert_eq!(admin.answers(&device, "approve").await.status, 200);
}

#[tokio::test]
async fn not_everybody_can_wait_at_the_same_time() {
    let team = Team::synced().await;
    for _ in 0..200 {
        team.device().await;
    }
    let fields = [("code_challenge_method", "S256"), ("code_challenge", &challenge(VERIFIER))];
    refuses(&team.form("/__api__/device", &fields).await, "slow_down");
    team.wait(900).await;
    team.device().await;
}

#[tokio::test]
async fn the_cookie_is_for_https_where_the_visitor_or_the_address_is() {
    let cookie = async |team: &Team, headers: &[(&str, &str)]| {
        let mut request = team.request("POST", "/client/sign-in").form(&[("token", team.token())]);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = team.send(request).await;
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("set-cookie").to_owned()
    };
    let team = Team::synced().await;
    assert!(!cookie(&team, &[]).await.contains("Secure"), "by HTTP it would not come back");
    let behind = cookie(&team, &[("x-forwarded-proto", "https"), ("x-forwarded-host", "pm.example")]).await;
    assert!(behind.ends_with("; HttpOnly; SameSite=Strict; Secure"), "{behind}");
    let service = crate::service::Service::with_packages().await;
    let config = pkgmgr_sim::Config { address: Some("https://pm.example/rspm".to_owned()), ..crate::config(&service) };
    let team = Team::with(service, config, crate::host()).await;
    let known = cookie(&team, &[]).await;
    assert!(known.contains("; Path=/rspm/; ") && known.ends_with("; Secure"), "{known}");
}
