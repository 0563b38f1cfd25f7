//! Identity tokens of another server: people sign in with them, programs exchange them.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use axum::extract::{Form, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pkgmgr_sim::Config;
use pkgmgr_sim::identity::{Access, Provider, Settings, Trust};
use rsa::pkcs8::{EncodePrivateKey as _, LineEnding};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::service::{Service, day};
use crate::{Answer, Team, config, host};

/// An identity provider that says what the test wants.
struct Idp {
    issuer: String,
    said: Said,
}

/// What it says of who signs in next, and the forms that it was sent.
type Said = Arc<Mutex<(Value, Vec<Vec<(String, String)>>)>>;

/// Made once: it takes a while.
fn key(number: u64) -> EncodingKey {
    static KEYS: [OnceLock<String>; 2] = [const { OnceLock::new() }; 2];
    let pem = KEYS[usize::try_from(number).unwrap()].get_or_init(|| {
        use rand_chacha::rand_core::SeedableRng as _;
        let mut random = rand_chacha::ChaCha20Rng::seed_from_u64(number);
        rsa::PrivateKey::new(&mut random, 2048).unwrap().to_pkcs8_pem(LineEnding::LF).unwrap().to_string()
    });
    EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap()
}

fn signed(claims: &Value, with: &EncodingKey) -> String {
    let header = Header { kid: Some("one".to_owned()), ..Header::new(Algorithm::RS256) };
    jsonwebtoken::encode(&header, claims, with).unwrap()
}

impl Idp {
    async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let said = Said::default();
        let mut jwk = json!(Jwk::from_encoding_key(&key(0), Algorithm::RS256).unwrap());
        jwk["kid"] = json!("one");
        let document = json!({
            "issuer": issuer, "jwks_uri": format!("{issuer}/keys"), "token_endpoint": format!("{issuer}/token"),
            "authorization_endpoint": format!("{issuer}/authorize?tenant=t"),
        });
        let token = async |State(said): State<Said>, Form(form): Form<Vec<(String, String)>>| {
            let mut said = said.lock().unwrap();
            said.1.push(form);
            Json(json!({"access_token": "x", "id_token": signed(&said.0, &key(0))}))
        };
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(async move || Json(document)))
            .route("/keys", get(async move || Json(json!({"keys": [jwk]}))))
            .route("/token", post(token))
            .with_state(said.clone());
        tokio::spawn(async { axum::serve(listener, router).await });
        Self { issuer, said }
    }

    /// What it says of Dana at six in the morning of the 20th of January.
    fn claims(&self, audience: &str) -> Value {
        let now = day(20).timestamp() + 6 * 3600;
        json!({
            "iss": self.issuer, "aud": audience, "sub": "d-1", "iat": now, "exp": now + 600, "preferred_username": "dana",
        })
    }

    fn trust(&self, name: &str, scope: &str) -> Trust {
        Trust { issuer: self.issuer.clone(), scope: Access::list(scope).unwrap(), ..Trust::new(name) }
    }
}

fn with(claims: &Value, more: &Value) -> Value {
    let mut all = claims.clone();
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    all
}

/// With the private repository `vault`.
async fn team(identity: Settings) -> Team {
    team_at(None, identity).await
}

/// One that says itself where it is.
async fn team_at(address: Option<&str>, identity: Settings) -> Team {
    let service = Service::with_packages().await;
    let config = Config { identity, address: address.map(str::to_owned), ..config(&service) };
    let team = Team::with(service, config, host()).await;
    team.sync().await;
    team.does("POST", "/__api__/repos", json!({"name": "vault", "authenticated": true})).await;
    team.does("POST", "/__api__/repos/vault/sources", json!({"source": "cran"})).await;
    team.does("POST", "/__api__/sources", json!({"name": "team"})).await;
    team
}

const INDEX: &str = "/vault/latest/src/contrib/PACKAGES";

impl Team {
    async fn offer(&self, token: &str) -> Answer {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("subject_token", token),
            ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
        ];
        self.send(self.request("POST", "/__api__/token").form(&form)).await
    }

    /// The one token that is Dana's.
    async fn of_dana(&self) -> Value {
        let list = self.admin("GET", "/__api__/tokens", Value::Null).await.json();
        let hers: Vec<&Value> = list.as_array().unwrap().iter().filter(|token| token["user"] == "dana").collect();
        assert_eq!(hers.len(), 1, "{list}");
        hers[0].clone()
    }

    async fn reads(&self, path: &str, token: &str) -> u16 {
        self.send(self.request("GET", path).bearer_auth(token)).await.status.as_u16()
    }
}

#[tokio::test]
async fn a_job_exchanges_its_token_and_a_bad_one_is_good_for_nothing() {
    let idp = Idp::start().await;
    let ci = Trust {
        audience: Some("pm".to_owned()),
        subject: Some("d-1".to_owned()),
        lifetime: Duration::from_mins(15),
        ..idp.trust("ci", "repos:read:vault,none")
    };
    // Of two that are for the issuer, the one that fits decides.
    let other = Trust { audience: Some("other".to_owned()), ..idp.trust("cd", "global:admin") };
    let team = team(Settings { federation: vec![ci, other], ..Settings::default() }).await;
    let claims = idp.claims("pm");
    let answer = team.offer(&signed(&claims, &key(0))).await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "no-store"), "{}", answer.text());
    let got = answer.json();
    assert_eq!((&got["token_type"], &got["expires_in"]), (&json!("Bearer"), &json!(900)));
    let token = got["access_token"].as_str().unwrap();
    assert_eq!((team.reads(INDEX, token).await, team.get(INDEX).await.status.as_u16()), (200, 401));
    assert_eq!(team.reads("/__api__/tokens", token).await, 403);
    let row = &team.of_dana().await;
    assert_eq!(row["description"], "ci: d-1");
    assert_eq!((&row["scopes"], &row["repos"]), (&json!(["repos:read"]), &json!(["vault"])));

    let now = claims["iat"].as_i64().unwrap();
    let unsigned = |header: Value| {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", encode(&header), encode(&claims))
    };
    let public = json!(Jwk::from_encoding_key(&key(0), Algorithm::RS256).unwrap()).to_string();
    let confused =
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(public.as_bytes()));
    let good = signed(&claims, &key(0));
    let (head, _) = good.rsplit_once('.').unwrap();
    for (what, token, why) in [
        ("expired", signed(&with(&claims, &json!({"exp": now - 61})), &key(0)), "expired"),
        ("without an end", signed(&with(&claims, &json!({"exp": null})), &key(0)), "exp"),
        ("of the future", signed(&with(&claims, &json!({"nbf": now + 3600})), &key(0)), "future"),
        ("for another", signed(&with(&claims, &json!({"aud": "else"})), &key(0)), "audience"),
        ("of another subject", signed(&with(&claims, &json!({"sub": "d-2"})), &key(0)), "another"),
        ("of nobody", signed(&with(&claims, &json!({"sub": null})), &key(0)), "another"),
        (
            "of a foreign issuer",
            signed(&with(&claims, &json!({"iss": "https://evil.example"})), &key(0)),
            "nor of an issuer",
        ),
        ("with a foreign key", signed(&claims, &key(1)), "InvalidSignature"),
        ("of another signature", format!("{head}.AAAA"), "InvalidSignature"),
        ("unsigned", unsigned(json!({"alg": "none"})), "no signed JWT"),
        ("signed with the public key", confused.unwrap(), "key pair"),
        ("no token", "x.y.z".to_owned(), "nor of an issuer"),
    ] {
        let answer = team.offer(&token).await;
        let body = answer.json();
        assert_eq!(
            (answer.status.as_u16(), &body["error"], &body["code"]),
            (400, &json!("invalid_grant"), &json!(400)),
            "{what}: {body}"
        );
        assert!(body["error_description"].as_str().unwrap().contains(why), "{what}: {body}");
    }
    let cd = team.offer(&signed(&idp.claims("other"), &key(0))).await.json();
    assert_eq!(team.reads("/__api__/tokens", cd["access_token"].as_str().unwrap()).await, 200);
    team.running.world().clock().advance(Duration::from_secs(901)).await;
    assert_eq!(team.reads(INDEX, token).await, 401, "it lives for a quarter of an hour");
}

#[tokio::test]
async fn groups_roles_and_what_grants_nothing() {
    let idp = Idp::start().await;
    let trust = Trust { role_claim: Some("roles".to_owned()), ..idp.trust("ci", "repos:read:none") };
    let mut settings = Settings { federation: vec![trust], ..Settings::default() };
    settings.groups.insert("writers".to_owned(), Access::list("sources:write:team").unwrap());
    let team = team_at(Some("https://packages.example"), settings).await;
    // Without an audience of its own, tokens are for the server's address.
    let claims = idp.claims("https://packages.example");
    let refused = team.offer(&signed(&claims, &key(0))).await;
    assert!(refused.status == 400 && refused.text().contains("nothing is granted"), "{}", refused.text());
    let token = signed(&with(&claims, &json!({"groups": ["writers"], "roles": ["metadata:admin", "love"]})), &key(0));
    team.offer(&token).await.json()["access_token"].as_str().unwrap();
    let row = team.of_dana().await;
    assert_eq!((&row["scopes"], &row["sources"]), (&json!(["sources:write", "metadata:admin"]), &json!(["team"])));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("identity");
    std::fs::write(&file, format!("{token}\n")).unwrap();
    let own = folder.path().join("own_1.0.tar.gz");
    std::fs::write(&own, crate::administration::r_package("own", "1.0", "")).unwrap();
    let (address, file, path) = (team.running.url(), file.display().to_string(), format!("--path={}", own.display()));
    let words = ["--address", &address, "--identity-token-file", &file, "add", "--source=team", &path];
    assert_eq!(crate::rspm::rspm(&words).await.unwrap(), "Added own 1.0 to team.\n");
    std::fs::write(&own, "x").unwrap();
    let words = ["--address", &address, "--identity-token-file", own.to_str().unwrap(), "list", "sources"];
    let error = crate::rspm::rspm(&words).await.unwrap_err();
    assert!(error.contains("is not exchanged") && error.contains("nor of an issuer"), "{error}");
}

/// The answer's cookie of this name, as a browser sends it back.
fn cookie(answer: &Answer, name: &str) -> String {
    let all = answer.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap());
    let mut found = all.filter(|text| text.starts_with(&format!("{name}=")));
    found.next().unwrap_or_else(|| panic!("no {name} in {answer:?}")).split(';').next().unwrap().to_owned()
}

/// The query of the address where the provider is asked.
fn query(answer: &Answer) -> std::collections::HashMap<String, String> {
    let url: url::Url = answer.header("location").parse().unwrap();
    url.query_pairs().into_owned().collect()
}

#[tokio::test]
async fn people_sign_in_with_the_identity_provider() {
    let idp = Idp::start().await;
    let provider = Provider {
        trust: Trust { audience: Some("pm".to_owned()), ..idp.trust("OpenIDConnect", "repos:read:*") },
        client_id: "pm".to_owned(),
        client_secret: "s3cret".to_owned(),
        custom_scope: vec!["offline_access".to_owned()],
        no_groups_scope: false,
        max_age: Some(Duration::from_hours(1)),
        no_pkce: false,
    };
    let mut settings = Settings { provider: Some(provider), require_login: true, ..Settings::default() };
    settings.groups.insert("ops".to_owned(), Access::list("global:admin").unwrap());
    let team = team(settings).await;
    let home = team.get("/").await;
    assert_eq!(
        (home.status.as_u16(), home.header("location")),
        (303, "/client/view/sign-in"),
        "nobody looks in unknown"
    );
    let page = team.text("/client/view/sign-in?next=repos%2Fvault%2Fpackages").await;
    assert!(page.contains("href=\"/__login__?next=repos"), "{page}");

    let sent = team.get("/__login__?next=repos%2Fvault%2Fpackages").await;
    assert_eq!(sent.status, 303);
    assert!(sent.header("location").starts_with(&format!("{}/authorize?tenant=t&", idp.issuer)), "{sent:?}");
    assert!(sent.header("set-cookie").contains("; Path=/__login__; HttpOnly; SameSite=Lax"), "{sent:?}");
    let asked = query(&sent);
    assert_eq!(asked["redirect_uri"], team.url("/__login__/callback"));
    assert_eq!(
        (asked["scope"].as_str(), asked["max_age"].as_str()),
        ("openid profile email groups offline_access", "3600")
    );
    let way = cookie(&sent, "package-manager-sign-in");
    let claims =
        with(&idp.claims("pm"), &json!({"nonce": asked["nonce"], "auth_time": day(20).timestamp() + 6 * 3600 - 60}));
    let back = async |claims: &Value, state: &str, cookie: &str| {
        idp.said.lock().unwrap().0 = claims.clone();
        team.get_with(&format!("/__login__/callback?code=c%201&state={state}"), &[("cookie", cookie)]).await
    };
    // Not in this browser, not this sign-in, not this server, not for long enough ago.
    for (claims, state, cookie, status) in [
        (&claims, asked["state"].as_str(), "", 400),
        (&claims, "other", way.as_str(), 400),
        (&with(&claims, &json!({"nonce": "other"})), &asked["state"], &way, 403),
        (&with(&claims, &json!({"aud": "other"})), &asked["state"], &way, 403),
        (&with(&claims, &json!({"aud": ["pm", "x"], "azp": "x"})), &asked["state"], &way, 403),
        (&with(&claims, &json!({"exp": 1})), &asked["state"], &way, 403),
        (&with(&claims, &json!({"auth_time": day(20).timestamp()})), &asked["state"], &way, 403),
    ] {
        let answer = back(claims, state, cookie).await;
        assert_eq!(answer.status, status, "{claims}");
        assert!(
            answer.text().contains("Sign-in failed") && answer.headers.get("set-cookie").is_none(),
            "{}",
            answer.text()
        );
    }
    let denied = team
        .get_with(&format!("/__login__/callback?error=access_denied&state={}", asked["state"]), &[("cookie", &way)])
        .await;
    assert_eq!(denied.status, 403);

    let signed_in = back(&claims, &asked["state"], &way).await;
    assert_eq!(signed_in.status, 200, "{}", signed_in.text());
    assert!(
        signed_in.text().replace("&#x2f;", "/").contains("url=/client/view/repos/vault/packages\""),
        "{}",
        signed_in.text()
    );
    let form = idp.said.lock().unwrap().1.last().unwrap().clone();
    let field = |name: &str| form.iter().find(|(key, _)| key == name).unwrap().1.clone();
    assert_eq!((field("code").as_str(), field("client_secret").as_str()), ("c 1", "s3cret"));
    assert_eq!(URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier"))), asked["code_challenge"]);
    let session = cookie(&signed_in, "package-manager-session");
    let page = team.get_with("/client/view/repos/vault/packages", &[("cookie", &session)]).await;
    assert!(page.status == 200 && page.text().contains("dana") && page.text().contains("alpha"), "{}", page.text());
    assert_eq!(
        team.get_with("/client/view/admin/tokens", &[("cookie", &session)]).await.status,
        403,
        "Dana only reads"
    );

    // Somebody of a group that administers; and the token of the device of one of them.
    let asked = team.get("/__login__").await;
    let (way, asked) = (cookie(&asked, "package-manager-sign-in"), query(&asked));
    let admin =
        with(&claims, &json!({"groups": ["ops"], "nonce": asked["nonce"], "sub": "e-1", "preferred_username": "erik"}));
    let signed_in = back(&admin, &asked["state"], &way).await;
    let session = cookie(&signed_in, "package-manager-session");
    assert!(signed_in.text().replace("&#x2f;", "/").contains("url=/client/view/admin/repos\""), "{}", signed_in.text());
    assert_eq!(team.get_with("/client/view/admin/tokens", &[("cookie", &session)]).await.status, 200);
    assert_eq!(
        team.offer(&signed(&idp.claims("pm"), &key(0))).await.status,
        200,
        "tokens of the client are exchanged, too"
    );
    team.running.world().clock().advance(Duration::from_hours(25)).await;
    let over = team.get_with("/client/view/admin/tokens", &[("cookie", &session)]).await;
    assert_eq!(over.status, 303, "signed in for a day");
}

#[tokio::test]
async fn a_provider_that_cannot_be_used_and_none_at_all() {
    let idp = Idp::start().await;
    let provider = Provider {
        trust: Trust { issuer: format!("{}/none", idp.issuer), ..Trust::new("OpenIDConnect") },
        client_id: "pm".to_owned(),
        client_secret: "s".to_owned(),
        custom_scope: Vec::new(),
        no_groups_scope: false,
        max_age: None,
        no_pkce: false,
    };
    let team = team(Settings { provider: Some(provider), ..Settings::default() }).await;
    let answer = team.get("/__login__").await;
    assert!(answer.status == 502 && answer.text().contains("cannot be used"), "{}", answer.text());
    let plain = Team::synced().await;
    assert_eq!(plain.get("/__login__").await.status, 404);
    assert!(!plain.text("/client/view/sign-in").await.contains("/__login__"));
}
