//! Tokens and authenticated repos.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::administration::{r_package, wheel};
use crate::{Answer, Team};

async fn token(team: &Team, draft: Value) -> String {
    team.does("POST", "/__api__/tokens", draft).await["token"].as_str().unwrap().to_owned()
}

async fn bearer(team: &Team, path: &str, token: &str) -> Answer {
    team.send(team.request("GET", path).bearer_auth(token)).await
}

fn challenges(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 401, "{what}: {}", answer.text());
    assert!(answer.header("www-authenticate").starts_with("Basic realm="), "{what}");
}

/// A repo `secret` of a local source `hidden`, with one package, and the same for Python.
async fn with_secrets() -> Team {
    let team = Team::synced().await;
    for (repo, source, kind, of) in
        [("secret", "hidden", "R", "local"), ("pysecret", "pyhidden", "Python", "local-python")]
    {
        let wanted = json!({"name": repo, "type": kind, "authenticated": true});
        assert_eq!(team.does("POST", "/__api__/repos", wanted).await["auth"], true);
        team.does("POST", "/__api__/sources", json!({"name": source, "type": of})).await;
        team.does("POST", &format!("/__api__/repos/{repo}/sources"), json!({"source": source})).await;
    }
    assert_eq!(team.add("hidden", "", r_package("own", "1.0", "")).await.status, 201);
    let (name, bytes) = wheel("own", "1.0");
    assert_eq!(team.add("pyhidden", &format!("?filename={name}"), bytes).await.status, 201);
    team
}

#[tokio::test]
async fn an_authenticated_repo_says_nothing_without_a_token() {
    let team = with_secrets().await;
    let read = token(&team, json!({"scope": ["repos:read"], "repos": ["secret", "pysecret"]})).await;
    let other = token(&team, json!({"scope": ["repos:read"], "repos": ["cran"]})).await;
    let write = token(&team, json!({"scope": ["sources:write"], "sources": ["hidden"]})).await;
    let page = bearer(&team, "/pysecret/latest/simple/own/", &read).await;
    let file = page.text().split("href=\"../../").nth(1).unwrap().split('#').next().unwrap().to_owned();
    let file = format!("/pysecret/latest/{file}");
    for (path, there) in [
        ("/secret/latest/src/contrib/PACKAGES", true),
        ("/secret/latest/src/contrib/PACKAGES.gz", true),
        ("/secret/latest/src/contrib/own_1.0.tar.gz", true),
        ("/secret/__linux__/noble/latest/src/contrib/PACKAGES", true),
        ("//secret//latest/src/contrib/PACKAGES", true),
        ("/%73ecret/latest/src/contrib/PACKAGES", true),
        ("/pysecret/latest/simple/", true),
        ("/pysecret/latest/simple/own/", true),
        (file.as_str(), true),
        (&format!("{file}.metadata"), true),
        ("/secret/latest/src/contrib/none_1.0.tar.gz", false),
        ("/secret/2024-02-31/src/contrib/PACKAGES", false),
        ("/secret/some/thing", false),
        ("/secret", false),
        ("/secret/", false),
        ("/pysecret/latest/simple/none/", false),
        ("/__api__/repos/secret/packages", true),
        ("/__api__/repos/4/packages", true),
        ("/__api__/repos/%73ecret/packages", true),
        ("/__api__/repos/secret/packages/own", true),
        ("/__api__/repos/secret/packages/none", false),
        ("/__api__/sources/hidden/packages", true),
        ("/__api__/sources/hidden/transactions", true),
    ] {
        challenges(&team.get(path).await, path);
        let (head, allowed) = (team.head(path).await, bearer(&team, path, &read).await);
        challenges(&head, path);
        assert_eq!(allowed.status, if there { 200 } else { 404 }, "{path}: {}", allowed.text());
        let basic = |user: &str, password: &str| {
            let request = team.request("GET", path).basic_auth(user.to_owned(), Some(password.to_owned()));
            team.send(request)
        };
        assert_eq!(basic("__token__", &read).await.status, allowed.status, "{path}");
        challenges(&basic("somebody", &read).await, path);
        challenges(&basic("__token__", "nonsense").await, path);
        assert_eq!(bearer(&team, path, &other).await.status, 403, "{path}");
        let of_source = path.contains("sources/hidden");
        assert_eq!(bearer(&team, path, &write).await.status, if of_source { 200 } else { 403 }, "{path}");
    }
    // That there are such repos is no secret.
    let listed = team.get("/__api__/repos").await.json();
    assert_eq!((&listed[3]["name"], &listed[3]["auth"]), (&json!("secret"), &json!(true)));
    assert_eq!(team.get("/__api__/repos/secret").await.status, 200);
    assert_eq!(team.get("/cran/latest/src/contrib/PACKAGES").await.status, 200);
    // Open to all, it is.
    team.does("PATCH", "/__api__/repos/secret", json!({"authenticated": false})).await;
    assert_eq!(team.get("/secret/latest/src/contrib/PACKAGES").await.status, 200);
    assert_eq!(team.get("/__api__/sources/hidden/packages").await.status, 200);
    // And closed again, though the answers to all were ready.
    team.does("PATCH", "/__api__/repos/secret", json!({"authenticated": true})).await;
    challenges(&team.get("/secret/latest/src/contrib/PACKAGES").await, "closed again");
}

#[tokio::test]
async fn a_bad_token_is_told_so_by_the_front_page() {
    let team = Team::synced().await;
    assert_eq!(team.get("/").await.status, 200);
    assert_eq!(bearer(&team, "/", &team.token()).await.status, 200);
    for path in ["/", "/client/", "/__api__/status", "/__api__/repos"] {
        challenges(&bearer(&team, path, "nonsense").await, path);
        let no_base64 = team.get_with(path, &[("authorization", "Basic !!")]).await;
        challenges(&no_base64, path);
        challenges(&team.get_with(path, &[("authorization", "Digest x")]).await, path);
    }
    // A stale netrc must not keep anyone from what is open.
    assert_eq!(bearer(&team, "/cran/latest/src/contrib/PACKAGES", "nonsense").await.status, 200);
}

#[tokio::test]
async fn tokens_end() {
    let team = with_secrets().await;
    let path = "/secret/latest/src/contrib/PACKAGES";
    let made = team.does(
        "POST",
        "/__api__/tokens",
        json!({
            "scope": ["repos:read"], "repos": ["*"], "expires": "5h", "description": "for CI", "user": "ci"
        }),
    );
    let made = made.await;
    assert_eq!((&made["repos"], &made["expires"]), (&json!(["*"]), &json!("2024-01-20T11:00:00Z")));
    let text = made["token"].as_str().unwrap();
    let claims = text.split('.').nth(1).unwrap();
    let claims: Value = {
        use base64::Engine as _;
        serde_json::from_slice(&base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
    };
    assert_eq!((&claims["aud"], &claims["jti"]), (&json!("packagemanager"), &made["id"]));
    assert_eq!(claims["iss"], format!("{}/", team.running.url()));
    assert_eq!(claims["exp"], (crate::day(20) + TimeDelta::hours(11)).timestamp());
    assert_eq!(bearer(&team, path, text).await.status, 200);
    team.running.world().clock().advance(std::time::Duration::from_secs(5 * 3600 - 1)).await;
    assert_eq!(bearer(&team, path, text).await.status, 200);
    team.running.world().clock().advance(std::time::Duration::from_secs(1)).await;
    challenges(&bearer(&team, path, text).await, "expired");

    let text = token(&team, json!({"scope": ["repos:read"], "repos": ["secret"]})).await;
    assert_eq!(bearer(&team, path, &text).await.status, 200);
    let list = team.does("GET", "/__api__/tokens", Value::Null).await;
    let id = list.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    assert!(list.as_array().unwrap().iter().all(|token| token.get("token").is_none()), "shown once");
    // Signed with another key, or altered.
    let altered = text.replacen("eyJ", "eyK", 1);
    challenges(&bearer(&team, path, &altered).await, "altered");
    team.does("DELETE", &format!("/__api__/tokens/{id}"), Value::Null).await;
    challenges(&bearer(&team, path, &text).await, "revoked");
    assert_eq!(team.admin("DELETE", &format!("/__api__/tokens/{id}"), Value::Null).await.status, 404);
    // The seeded token too can be revoked.
    team.does("DELETE", "/__api__/tokens/seeded-admin", Value::Null).await;
    challenges(&team.admin("GET", "/__api__/tokens", Value::Null).await, "revoked");
}

#[tokio::test]
async fn scopes_are_what_they_say() {
    let team = with_secrets().await;
    let anonymous = async |method: &str, path: &str| team.send(team.request(method, path)).await;
    for (method, path) in [
        ("POST", "/__api__/sync"),
        ("POST", "/__api__/repos"),
        ("PATCH", "/__api__/repos/cran"),
        ("DELETE", "/__api__/repos/cran"),
        ("POST", "/__api__/repos/cran/sources"),
        ("PUT", "/__api__/repos/cran/sources"),
        ("DELETE", "/__api__/repos/cran/sources/cran"),
        ("POST", "/__api__/sources"),
        ("PATCH", "/__api__/sources/hidden"),
        ("DELETE", "/__api__/sources/hidden"),
        ("POST", "/__api__/sources/hidden/packages"),
        ("DELETE", "/__api__/sources/hidden/packages/own?which=all"),
        ("POST", "/__api__/sources/hidden/packages/own/archive"),
        ("POST", "/__api__/sources/hidden/packages/own/yank"),
        ("POST", "/__api__/sources/hidden/update"),
        ("GET", "/__api__/tokens"),
        ("POST", "/__api__/tokens"),
        ("DELETE", "/__api__/tokens/seeded-admin"),
        ("POST", "/upload/pypi/pyhidden"),
        ("POST", "/upload/pypi/nothing"),
    ] {
        challenges(&anonymous(method, path).await, path);
    }
    let write = token(&team, json!({"scope": ["sources:write"], "sources": ["hidden"]})).await;
    let as_writer = async |method: &str, path: &str, body: Vec<u8>| {
        team.send(team.request(method, path).bearer_auth(&write).body(body)).await.status.as_u16()
    };
    assert_eq!(as_writer("POST", "/__api__/sources/hidden/packages", r_package("own", "2.0", "")).await, 201);
    assert_eq!(as_writer("POST", "/__api__/sources/pyhidden/packages", vec![]).await, 403);
    assert_eq!(as_writer("POST", "/upload/pypi/pyhidden", vec![]).await, 403);
    assert_eq!(as_writer("DELETE", "/__api__/sources/hidden", vec![]).await, 403);
    assert_eq!(as_writer("POST", "/__api__/sources", b"{\"name\": \"x\"}".to_vec()).await, 403);
    assert_eq!(as_writer("POST", "/__api__/tokens", b"{\"scope\": [\"global:admin\"]}".to_vec()).await, 403);
    let admin = token(&team, json!({"scope": ["sources:admin"], "sources": ["*"]})).await;
    let made = team.request("POST", "/__api__/sources").bearer_auth(&admin).json(&json!({"name": "more"}));
    assert_eq!(team.send(made).await.status, 201);

    for (draft, reason) in [
        (json!({"scope": []}), "needs a scope"),
        (json!({"scope": ["repos:write"]}), "no scope"),
        (json!({"scope": ["repos:read"]}), "which repos"),
        (json!({"scope": ["repos:read"], "repos": ["*"], "sources": ["*"]}), "of no use"),
        (json!({"scope": ["global:admin"], "expires": "soon"}), "20d, 5h or never"),
        (json!({"scope": ["global:admin"], "description": "x".repeat(501)}), "500 characters"),
    ] {
        let answer = team.admin("POST", "/__api__/tokens", draft).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.json()["error"].as_str().unwrap().contains(reason), "{}", answer.text());
    }
    assert_eq!(
        team.admin("POST", "/__api__/tokens", json!({"scope": ["repos:read"], "repos": ["none"]})).await.status,
        404
    );
}

fn form(fields: &[(&'static str, String)], content: Option<(&str, Vec<u8>)>) -> reqwest::multipart::Form {
    let mut form = reqwest::multipart::Form::new();
    for (name, value) in fields {
        form = form.text(*name, value.clone());
    }
    if let Some((name, bytes)) = content {
        form = form.part("content", reqwest::multipart::Part::bytes(bytes).file_name(name.to_owned()));
    }
    form
}

#[tokio::test]
async fn the_legacy_upload_api() {
    let team = with_secrets().await;
    let (name, bytes) = wheel("own", "2.0");
    let fields = |sha256: String| {
        vec![
            (":action", "file_upload".to_owned()),
            ("protocol_version", "1".to_owned()),
            ("name", "own".to_owned()),
            ("version", "2.0".to_owned()),
            ("sha256_digest", sha256),
        ]
    };
    let sha256 = pkg_formats::psp::Digest::of(&bytes).to_string();
    let upload = async |form: reqwest::multipart::Form| {
        let request = team.request("POST", "/upload/pypi/pyhidden").basic_auth("__token__", Some(team.token()));
        team.send(request.multipart(form)).await
    };
    let told = |answer: &Answer| (answer.status.as_u16(), answer.text().to_owned());
    let (status, text) = told(&upload(form(&fields("0".repeat(64)), Some((&name, bytes.clone())))).await);
    assert!(status == 400 && text.contains("SHA-256"), "{status} {text}");
    let (status, text) = told(&upload(form(&fields(sha256.clone()), None)).await);
    assert!(status == 400 && text.contains("no file"), "{status} {text}");
    let mut other = fields(sha256.clone());
    other[3].1 = "3.0".to_owned();
    let (status, text) = told(&upload(form(&other, Some((&name, bytes.clone())))).await);
    assert!(status == 400 && text.contains("version 2.0"), "{status} {text}");
    other[0].1 = "doap".to_owned();
    assert_eq!(upload(form(&other, None)).await.status, 400);
    assert_eq!(upload(form(&fields(sha256.clone()), Some((&name, bytes.clone())))).await.status, 200);
    let (status, text) = told(&upload(form(&fields(sha256), Some((&name, bytes)))).await);
    assert!(status == 409 && text.contains("already exists"), "{status} {text}");
    let no_form = team.request("POST", "/upload/pypi/pyhidden").bearer_auth(team.token()).body("x");
    assert_eq!(team.send(no_form).await.status, 400);
    let wrong = team.request("POST", "/upload/pypi/hidden").bearer_auth(team.token());
    assert_eq!(team.send(wrong.multipart(form(&[], None))).await.status, 400);
    let none = team.request("POST", "/upload/pypi/nothing").bearer_auth(team.token());
    assert_eq!(team.send(none.multipart(form(&[], None))).await.status, 404);
}
