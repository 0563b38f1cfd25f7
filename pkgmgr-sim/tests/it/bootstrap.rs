//! The first token, for who has the key.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use pkgmgr_sim::bootstrap::{AUDIENCE, Assertion, SCOPE};
use serde_json::{Value, json};

use crate::rspm::rspm;
use crate::service::Service;
use crate::{Answer, Team, config, host};

/// A key made with `rspm bootstrap keys`: its folder and its public half.
async fn key(folder: &Path) -> String {
    let path = format!("--path={}", folder.display());
    rspm(&["-o", "json", "bootstrap", "keys", &path])
        .await
        .map(|text| {
            let told: Value = serde_json::from_str(&text).unwrap();
            told["public_key"].as_str().unwrap().to_owned()
        })
        .unwrap()
}

async fn team(public: &str) -> Team {
    let service = Service::with_packages().await;
    let config = pkgmgr_sim::Config { bootstrap: Some(public.parse().unwrap()), ..config(&service) };
    Team::with(service, config, host()).await
}

impl Team {
    async fn bootstrap(&self, assertion: &str) -> Answer {
        self.send(self.request("POST", "/__api__/bootstrap").json(&json!({ "assertion": assertion }))).await
    }

    /// What an assertion says that is good now.
    fn assertion(&self, jti: &str) -> Assertion {
        let now = self.running.world().clock().now().timestamp();
        Assertion { aud: AUDIENCE.into(), scope: SCOPE.into(), iat: now, exp: now + 300, jti: jti.into() }
    }
}

fn signed(folder: &Path, said: &Assertion) -> String {
    let pem = std::fs::read(folder.join("bootstrap.key")).unwrap();
    jsonwebtoken::encode(&Header::new(Algorithm::RS256), said, &EncodingKey::from_rsa_pem(&pem).unwrap()).unwrap()
}

#[tokio::test]
async fn rspm_makes_the_key_and_gets_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("ppm/keys");
    let public = key(&keys).await;
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keys), mode(&keys.join("bootstrap.key"))), (0o700, 0o600), "nobody else reads it");
    let path = format!("--path={}", keys.display());
    let again = rspm(&["bootstrap", "keys", &path]).await.unwrap_err();
    assert!(again.contains("there is a key already"), "{again}");

    let team = team(&public).await;
    let address = format!("--address={}", team.running.url());
    let token = rspm(&[&address, "--token=worthless", "bootstrap", "token", &path, "--expires=2h"]).await.unwrap();
    let made = team.send(team.request("GET", "/__api__/tokens").bearer_auth(token.trim())).await;
    assert_eq!(made.status, 200, "it allows everything: {}", made.text());
    let made = made.json();
    let made = made.as_array().unwrap().iter().find(|token| token["user"] == "bootstrap").unwrap();
    assert_eq!(made["scopes"], json!(["global:admin"]));
    let second = rspm(&[&address, "bootstrap", "token", &path]).await.unwrap();
    assert_ne!(second, token, "each has its own assertion");
    team.running.world().clock().advance(std::time::Duration::from_secs(7200)).await;
    assert_eq!(team.send(team.request("GET", "/__api__/tokens").bearer_auth(token.trim())).await.status, 401);

    let elsewhere = Team::synced().await;
    let address = format!("--address={}", elsewhere.running.url());
    let refused = rspm(&[&address, "bootstrap", "token", &path]).await.unwrap_err();
    assert!(refused.contains("no bootstrap key (Bootstrap.PublicKey)"), "{refused}");
    let none = rspm(&[&address, "bootstrap", "token", "--path=/nowhere"]).await.unwrap_err();
    assert!(none.contains("rspm bootstrap keys"), "{none}");
}

#[tokio::test]
async fn assertions_that_are_not_good_are_refused() {
    let (own, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (own, other) = (own.path(), other.path());
    let public = key(own).await;
    key(other).await;
    let team = team(&public).await;
    let good = team.assertion("good");
    let tomorrow = good.iat + 86_400;
    let changed = |change: &dyn Fn(&mut Assertion)| {
        let mut said = team.assertion("changed");
        change(&mut said);
        signed(own, &said)
    };
    let by_hmac = |secret: &[u8]| {
        let key = EncodingKey::from_secret(secret);
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &good, &key).unwrap()
    };
    let whole = signed(own, &good);
    let (head, rest) = whole.split_once('.').unwrap();
    let (body, signature) = rest.split_once('.').unwrap();
    let other_body = signed(own, &Assertion { exp: good.exp + 1, ..good.clone() });
    let other_body = other_body.split('.').nth(1).unwrap();
    // {"alg":"none"}
    let none = "eyJhbGciOiJub25lIn0";
    for (what, assertion, reason) in [
        ("expired", changed(&|said| said.exp = said.iat), "it has expired"),
        ("from the future", changed(&|said| (said.iat, said.exp) = (tomorrow, tomorrow + 300)), "from the future"),
        ("too long", changed(&|said| said.exp = said.iat + 3601), "more than an hour"),
        ("without beginning", changed(&|said| said.iat = i64::MIN), "more than an hour"),
        ("for other servers", changed(&|said| said.aud = "rsconnect".into()), "not signed for this server"),
        ("of another scope", changed(&|said| said.scope = "global:admin".into()), "scope"),
        ("without jti", changed(&|said| said.jti = String::new()), "jti"),
        ("with a long jti", changed(&|said| said.jti = "x".repeat(129)), "jti"),
        ("signed with another key", signed(other, &good), "not signed"),
        ("signed with the public key", by_hmac(public.as_bytes()), "not signed"),
        ("not signed", format!("{none}.{body}."), "not signed"),
        ("with another body", format!("{head}.{other_body}.{signature}"), "not signed"),
        ("cut", format!("{head}.{body}"), "not signed"),
        ("an administrator's token", team.token(), "not signed"),
        ("empty", String::new(), "not signed"),
    ] {
        let answer = team.bootstrap(&assertion).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text());
        assert!(answer.json()["error"].as_str().unwrap().contains(reason), "{what}: {}", answer.text());
    }
    assert_eq!(team.does("GET", "/__api__/tokens", Value::Null).await.as_array().unwrap().len(), 1, "none was made");
    let made = team.bootstrap(&whole).await;
    assert_eq!((made.status.as_u16(), made.header("cache-control")), (201, "no-store"));
    let again = team.bootstrap(&whole).await;
    assert_eq!(again.status, 401);
    assert!(again.json()["error"].as_str().unwrap().contains("used before"), "{}", again.text());
    // Of many at the same time, one is taken.
    let same = signed(own, &team.assertion("same"));
    let all = futures_util::future::join_all((0..8).map(|_| team.bootstrap(&same))).await;
    assert_eq!(all.iter().filter(|answer| answer.status == 201).count(), 1);
    // Still none when what is kept of it might be gone.
    team.running.world().clock().advance(TimeDelta::minutes(10).to_std().unwrap()).await;
    assert!(team.bootstrap(&signed(own, &team.assertion("later"))).await.status.is_success());
    assert_eq!(team.bootstrap(&whole).await.status, 401);
}

#[tokio::test]
async fn keys_in_whatever_form() {
    let folder = tempfile::tempdir().unwrap();
    let base64 = key(folder.path()).await;
    let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"));
    let read = |text: &str| text.parse::<pkgmgr_sim::bootstrap::Key>();
    let expected = read(&base64).unwrap();
    for text in [&pem, &pem.replace('\n', "\\n"), &STANDARD.encode(&pem), &lines.join("\n")] {
        assert_eq!(read(text).as_ref(), Ok(&expected), "{text}");
    }
    // Of 1024 bits.
    let short = "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQCVQAT1Y+taGcAh7atLNyWkiuuw4mA1RIGsM++/LIC5M6IiobpECRfNf8RofZHdUUOEPOt3qW3W0Wi3keusffzQHRWvzl95FaWGpz7q/+Vbm0UywiL8YhWgXEbSp9oBfggW8iy0uO2HB1fWYtQ63Lm8EUW3zmuGyQW9DVv8gnUuzwIDAQAB";
    for bad in ["", "x", "-----BEGIN PUBLIC KEY-----", "AAAA", short] {
        assert!(read(bad).is_err(), "{bad}");
    }
}
