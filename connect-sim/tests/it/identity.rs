//! Identity tokens: what is trusted, whom they stand for, and what machines may do with what they get.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connect_sim::Config;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rsa::PrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};

use super::app::{Answer, Caller, TestApp, start, static_bundle};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const API_KEY: &str = "urn:posit:connect:api-key";
const AUDIENCE: &str = "http://connect.example";

/// A pair of keys that is the same in every run.
pub(crate) struct Pair {
    private: EncodingKey,
    public_pem: String,
    jwk: Value,
}

impl Pair {
    pub(crate) fn new(name: &'static str) -> Self {
        let key = PrivateKey::new(&mut sim_kit::ids::Ids::new(1, 0).rng(name), 2048).unwrap();
        let private = EncodingKey::from_rsa_pem(key.to_pkcs8_pem(LineEnding::LF).unwrap().as_bytes()).unwrap();
        let mut jwk = json!(Jwk::from_encoding_key(&private, Algorithm::RS256).unwrap());
        jwk["kid"] = json!("one");
        jwk["use"] = json!("sig");
        Self { private, public_pem: key.to_public_key().to_public_key_pem(LineEnding::LF).unwrap(), jwk }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::RS256) };
        encode(&header, claims, &self.private).unwrap()
    }
}

/// An issuer on a socket of its own.
pub(crate) struct Issuer {
    pub(crate) url: String,
    pub(crate) pair: Pair,
    /// What it answers with: the discovery document, the keys, and what its token endpoint says.
    documents: Arc<Mutex<[String; 3]>>,
    asked: Arc<Mutex<usize>>,
}

impl Issuer {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let pair = Pair::new("issuer");
        let discovery = json!({
            "issuer": url, "jwks_uri": format!("{url}/keys"), "authorization_endpoint": format!("{url}/authorize"),
            "token_endpoint": format!("{url}/token"),
        });
        let keys = json!({"keys": [{"kty": "new"}, pair.jwk]});
        let documents = Arc::new(Mutex::new([discovery.to_string(), keys.to_string(), String::new()]));
        let asked = Arc::new(Mutex::new(0));
        let answer = |number: usize| {
            let (documents, asked) = (documents.clone(), asked.clone());
            any(move || async move {
                *asked.lock().unwrap() += 1;
                documents.lock().unwrap()[number].clone()
            })
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", answer(0))
            .route("/keys", answer(1))
            .route("/token", answer(2));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, pair, documents, asked }
    }

    /// Has the token endpoint say this.
    pub(crate) fn answers(&self, answer: &Value) {
        self.answers_with(answer.to_string());
    }

    pub(crate) fn answers_with(&self, answer: String) {
        self.documents.lock().unwrap()[2] = answer;
    }

    pub(crate) fn config(&self) -> Config {
        Config { trusted_issuers: vec![self.url.clone()], ..Config::default() }
    }

    /// What a build machine's token says at the start of the test.
    pub(crate) fn claims(&self, now: i64) -> Value {
        json!({
            "iss": self.url, "aud": AUDIENCE, "sub": "repo:acme/web:ref:refs/heads/main", "repository": "acme/web",
            "iat": now, "nbf": now, "exp": now + 300,
        })
    }

    pub(crate) fn token(&self, changes: &Value) -> String {
        let mut claims = self.claims(start().timestamp());
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.pair.sign(&claims)
    }
}

async fn form(app: &TestApp, path: &str, pairs: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    let head = [("content-type", "application/x-www-form-urlencoded")];
    app.anonymous().raw("POST", path, &head, body.into()).await
}

async fn exchange(app: &TestApp, token: &str) -> Answer {
    let kind = "urn:ietf:params:oauth:token-type:access_token";
    let pairs = [
        ("grant_type", EXCHANGE),
        ("subject_token_type", ID_TOKEN),
        ("requested_token_type", kind),
        ("subject_token", token),
    ];
    form(app, "/oauth/v1/token", &pairs).await
}

/// What a refused exchange says.
async fn refusal(app: &TestApp, token: &str) -> String {
    let answer = exchange(app, token).await;
    let body = answer.json();
    assert_eq!((answer.status.as_u16(), &body["error"]), (400, &json!("invalid_grant")), "{body}");
    body["error_description"].as_str().unwrap().to_owned()
}

pub(crate) async fn machine(app: &TestApp, token: &str) -> Caller {
    let given = exchange(app, token).await.ok();
    app.key(given["access_token"].as_str().unwrap())
}

pub(crate) async fn bind(app: &TestApp, guid: &str, issuer: &Issuer) -> String {
    let body = json!({"name": "Build (acme/web)", "issuer": issuer.url, "claims": {"repository": "acme/web"}});
    let made = app.publisher().post(&format!("/v1/content/{guid}/trusted-publishers"), &body).await;
    assert_eq!(made.status, 201, "{}", made.text());
    made.json()["service_principal_guid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_machine_publishes_to_its_item_and_does_nothing_else() {
    let issuer = Issuer::start().await;
    let app = TestApp::with(issuer.config()).await;
    let publisher = app.publisher();
    let (own, other) = (publisher.create("own").await, publisher.create("other").await);
    let service = bind(&app, &own, &issuer).await;
    let machine = machine(&app, &issuer.token(&json!({}))).await;
    assert_eq!(machine.get("/v1/user").await.code(), (403, 22));
    let seen = machine.get(&format!("/v1/content/{own}")).await.ok();
    assert_eq!(seen["app_role"], "editor");
    let bundle = machine.upload(&own, static_bundle("by a machine")).await.ok()["id"].clone();
    assert_eq!(machine.deploy(&own, &json!({"bundle_id": bundle})).await["code"], 0);
    assert_eq!(machine.get(&format!("/content/{own}/")).await.text(), "by a machine");

    assert_eq!(machine.upload(&other, static_bundle("x")).await.code(), (403, 22));
    assert_eq!(machine.get(&format!("/v1/content/{other}")).await.code(), (403, 22));
    assert_eq!(machine.get(&format!("/content/{other}/")).await.code(), (403, 22));
    for (method, path) in [
        ("GET", "/v1/content".to_owned()),
        ("POST", "/v1/content".to_owned()),
        ("GET", "/v1/users".to_owned()),
        ("POST", format!("/v1/users/{service}/keys")),
        ("DELETE", format!("/v1/content/{own}")),
        ("PATCH", format!("/v1/content/{own}")),
        ("GET", format!("/v1/content/{own}/permissions")),
        ("GET", format!("/v1/content/{own}/trusted-publishers")),
        ("GET", "/connect/".to_owned()),
    ] {
        assert_eq!(machine.send(method, &path, &json!({})).await.code(), (403, 22), "{method} {path}");
    }
    // Nor is it a user to others.
    assert_eq!(publisher.get("/v1/users").await.ok()["total"], 3);
    assert_eq!(publisher.get(&format!("/v1/users/{service}")).await.code(), (404, 4));
    let permission = json!({"principal_guid": service, "principal_type": "user", "role": "owner"});
    assert_eq!(publisher.post(&format!("/v1/content/{other}/permissions"), &permission).await.code(), (400, 261));

    let path = format!("/v1/content/{own}/trusted-publishers");
    let listed = publisher.get(&path).await.ok();
    assert_eq!((&listed[0]["app_role"], &listed[0]["role"]), (&json!("editor"), &json!("viewer")));
    assert_eq!(app.viewer().get(&path).await.code(), (403, 22));
    assert_eq!(publisher.delete(&format!("{path}/{service}")).await.status, 204);
    assert_eq!(publisher.delete(&format!("{path}/{service}")).await.code(), (404, 4));
    assert_eq!(machine.get(&format!("/v1/content/{own}")).await.code(), (401, 30));
    assert!(refusal(&app, &issuer.token(&json!({}))).await.contains("no access"));
}

#[tokio::test]
async fn a_machine_s_key_ends_after_an_hour() {
    let issuer = Issuer::start().await;
    let app = TestApp::with(issuer.config()).await;
    let guid = app.publisher().create("own").await;
    bind(&app, &guid, &issuer).await;
    let machine = machine(&app, &issuer.token(&json!({}))).await;
    app.world.clock().advance(Duration::from_secs(3599)).await;
    assert_eq!(machine.get(&format!("/v1/content/{guid}")).await.status, 200);
    app.world.clock().advance(Duration::from_secs(2)).await;
    assert_eq!(machine.get(&format!("/v1/content/{guid}")).await.code(), (401, 30));
}

#[tokio::test]
async fn tokens_that_cannot_be_verified_are_refused() {
    let issuer = Issuer::start().await;
    let app = TestApp::with(issuer.config()).await;
    let guid = app.publisher().create("own").await;
    bind(&app, &guid, &issuer).await;
    let now = start().timestamp();
    let claims = issuer.claims(now);
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let none = format!("{}.{}.", part(&json!({"alg": "none"})), part(&claims));
    // The public key taken for a shared secret.
    let confused = {
        let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &claims, &EncodingKey::from_secret(issuer.pair.public_pem.as_bytes())).unwrap()
    };
    let good = issuer.token(&json!({}));
    let (head, _) = good.rsplit_once('.').unwrap();
    let unsigned = format!("{head}.");
    let (header, rest) = good.split_once('.').unwrap();
    let changed =
        format!("{header}.{}.{}", part(&json!({"iss": issuer.url, "exp": now + 9})), rest.split('.').nth(1).unwrap());
    for (what, token) in [
        ("no token", "x".to_owned()),
        ("no signature", unsigned),
        ("alg none", none),
        ("RS/HS confusion", confused),
        ("another's key under the same name", Pair::new("foreign").sign(&claims)),
        ("changed claims", changed),
        ("expired", issuer.token(&json!({"exp": now - 61}))),
        ("without an end", issuer.token(&json!({"exp": null}))),
        ("not yet", issuer.token(&json!({"nbf": now + 120}))),
        ("of the future", issuer.token(&json!({"iat": now + 120}))),
        ("of an issuer that is not trusted", issuer.token(&json!({"iss": "http://127.0.0.1:9/"}))),
        ("without an issuer", issuer.token(&json!({"iss": null}))),
        ("too long", issuer.token(&json!({"sub": "x".repeat(20_000)}))),
    ] {
        let text = refusal(&app, &token).await;
        assert!(text.contains("could not be verified"), "{what}: {text}");
    }
    app.world.clock().advance(Duration::from_secs(361)).await;
    assert!(refusal(&app, &good).await.contains("expired"), "the World's clock counts");
}

#[tokio::test]
async fn claims_choose_one_principal() {
    let issuer = Issuer::start().await;
    let app = TestApp::with(issuer.config()).await;
    let publisher = app.publisher();
    let guid = publisher.create("own").await;
    bind(&app, &guid, &issuer).await;
    for changes in [json!({"repository": "acme/other"}), json!({"repository": null}), json!({"aud": "another"})] {
        let text = refusal(&app, &issuer.token(&changes)).await;
        assert!(text.contains("no access") && !text.contains("verif") && !text.contains("ambiguous"), "{text}");
    }
    assert_eq!(exchange(&app, &issuer.token(&json!({"aud": ["x", AUDIENCE]}))).await.status, 200);
    bind(&app, &publisher.create("second").await, &issuer).await;
    assert!(refusal(&app, &issuer.token(&json!({}))).await.contains("ambiguous"));

    let path = format!("/v1/content/{guid}/trusted-publishers");
    for (body, code) in [
        (json!({"name": "n", "issuer": "https://untrusted.example", "claims": {"sub": "x"}}), 216),
        (json!({"name": "", "issuer": issuer.url, "claims": {"sub": "x"}}), 25),
        (json!({"name": "n", "issuer": issuer.url, "claims": {}}), 25),
        (json!({"name": "n", "issuer": issuer.url, "claims": {"sub": 1}}), 25),
        (json!({"name": "n", "issuer": issuer.url}), 25),
        (json!({"issuer": issuer.url, "claims": {"sub": "x"}}), 12),
        (json!({"name": "n", "claims": {"sub": "x"}}), 12),
    ] {
        assert_eq!(publisher.post(&path, &body).await.code(), (400, code), "{body}");
    }
    let form_of = |pairs: &'static [(&str, &str)]| form(&app, "/oauth/v1/token", pairs);
    for pairs in [
        &[("grant_type", EXCHANGE), ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt")][..],
        &[("grant_type", EXCHANGE), ("subject_token_type", ID_TOKEN), ("requested_token_type", API_KEY)],
        &[("grant_type", EXCHANGE), ("subject_token_type", ID_TOKEN)],
    ] {
        let answer = form_of(pairs).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &json!("invalid_request")));
    }
}

#[tokio::test]
async fn a_federation_integration_maps_tokens_to_users() {
    let issuer = Issuer::start().await;
    let app = TestApp::new().await;
    let user = json!({
        "username": "alice", "email": "alice@example.com", "user_role": "publisher", "external_id": "sub-1",
        "password": "a-password",
    });
    let alice = app.admin().post("/v1/users", &user).await.ok()["guid"].as_str().unwrap().to_owned();
    let integration = json!({
        "name": "Workbench", "template": "workbench-federation",
        "config": {"issuer": issuer.url, "client_id": "workbench"},
    });
    let made = app.admin().post("/v1/oauth/integrations", &integration).await.ok();
    assert_eq!(made["auth_type"], "Identity Federation");
    let token = issuer.token(&json!({"aud": "workbench", "sub": "sub-1", "email": "ALICE@example.com"}));
    let credentials = async |token: &str| {
        let pairs = [
            ("grant_type", EXCHANGE),
            ("subject_token_type", ID_TOKEN),
            ("requested_token_type", API_KEY),
            ("subject_token", token),
        ];
        form(&app, "/v1/oauth/integrations/credentials", &pairs).await
    };
    let given = credentials(&token).await.ok();
    assert_eq!((&given["token_type"], &given["issued_token_type"]), (&json!("Key"), &json!(API_KEY)));
    let caller = app.key(given["access_token"].as_str().unwrap());
    let me = caller.get("/v1/user").await.ok();
    assert_eq!((&me["username"], &me["user_role"]), (&json!("alice"), &json!("publisher")));
    // The other endpoint knows users too.
    assert_eq!(machine(&app, &token).await.get("/v1/user").await.ok()["username"], "alice");

    let elsewhere = issuer.token(&json!({"aud": "another", "sub": "sub-1"}));
    assert_eq!(credentials(&elsewhere).await.code(), (403, 217));
    assert_eq!(credentials(&issuer.token(&json!({"aud": "workbench", "sub": "sub-2"}))).await.code(), (403, 217));
    assert_eq!(credentials("x").await.code(), (400, 275));
    assert_eq!(credentials(&issuer.token(&json!({"iss": "https://untrusted.example"}))).await.code(), (400, 216));
    let path = format!("/v1/oauth/integrations/{}", made["guid"].as_str().unwrap());
    app.admin().patch(&path, &json!({"config": {"match_claim": "email"}})).await.ok();
    assert_eq!(
        credentials(&issuer.token(&json!({"aud": "workbench", "sub": "x", "email": "ALICE@example.com"}))).await.status,
        200
    );
    app.admin().post(&format!("/v1/users/{alice}/lock"), &json!({"locked": true})).await;
    assert_eq!(credentials(&token).await.code(), (403, 217));
    let log = app.admin().get("/v1/audit_logs?limit=500").await.text();
    assert!(log.contains("exchange_identity_token"), "{log}");
    // An older server takes the content's tokens only.
    let version = "2025.12.0".parse().unwrap();
    let older = TestApp::with(Config { version, ..issuer.config() }).await;
    let pairs = [("grant_type", EXCHANGE), ("subject_token_type", ID_TOKEN), ("subject_token", &token)];
    assert_eq!(form(&older, "/v1/oauth/integrations/credentials", &pairs).await.code(), (401, 24));
}

#[tokio::test]
async fn an_issuer_is_asked_seldom_and_within_limits() {
    let issuer = Issuer::start().await;
    let app = TestApp::with(issuer.config()).await;
    let guid = app.publisher().create("own").await;
    bind(&app, &guid, &issuer).await;
    let token = issuer.token(&json!({"exp": start().timestamp() + 36_000}));
    let asked = || *issuer.asked.lock().unwrap();
    assert_eq!(exchange(&app, &token).await.status, 200);
    assert_eq!(exchange(&app, &token).await.status, 200);
    assert_eq!(asked(), 2, "the description and the keys, once");
    // A key that it does not have makes it asked again, but not at once.
    let header = Header { kid: Some("two".to_owned()), ..Header::new(Algorithm::RS256) };
    let rotated = encode(&header, &issuer.claims(start().timestamp() + 100), &issuer.pair.private).unwrap();
    assert!(refusal(&app, &rotated).await.contains("none of the issuer's"));
    assert_eq!(asked(), 2);
    app.world.clock().advance(Duration::from_secs(61)).await;
    let mut second = issuer.pair.jwk.clone();
    second["kid"] = json!("two");
    issuer.documents.lock().unwrap()[1] = json!({"keys": [second]}).to_string();
    assert_eq!(exchange(&app, &rotated).await.status, 200);
    assert_eq!(asked(), 4);

    let good = issuer.documents.lock().unwrap().clone();
    for (number, document, word) in [
        (1, "x".repeat(300 << 10), "longer than"),
        (1, "[]".to_owned(), "no JSON object"),
        (0, "{".to_owned(), "no JSON object"),
        (0, json!({"issuer": "https://another.example", "jwks_uri": "x"}).to_string(), "does not name the issuer"),
        (0, json!({"issuer": issuer.url}).to_string(), "names no `jwks_uri`"),
        (0, json!({"issuer": issuer.url, "jwks_uri": "file:///etc/passwd"}).to_string(), "no http or https URL"),
        (0, json!({"issuer": issuer.url, "jwks_uri": "http://127.0.0.1:9/keys"}).to_string(), "cannot be read"),
    ] {
        app.world.clock().advance(Duration::from_secs(11 * 60)).await;
        issuer.documents.lock().unwrap()[number] = document;
        let text = refusal(&app, &token).await;
        assert!(text.contains(word) && text.contains("could not be verified"), "{word}: {text}");
        issuer.documents.lock().unwrap().clone_from(&good);
    }
}
