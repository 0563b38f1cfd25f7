//! Attacks on a real socket, each a test of its own: what no client library sends.

use connect_sim::config::Limits;
use connect_sim::{Config, product};
use serde_json::{Value, json};
use sim_kit::{Host, HostConfig, Running, seed};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::app::static_bundle;
use super::app::{self, TestApp};
use super::auth::{self, Signer, claimed};

struct Target {
    running: Running,
    key: String,
}

impl Target {
    async fn start(config: Config) -> Self {
        let running = Host::start(product(config), HostConfig::default()).await.unwrap();
        Self { running, key: seed::users(1)[1].api_key.clone() }
    }

    /// Sends bytes as they are: the status of the answer, if there is one, and all of its text.
    async fn raw(&self, bytes: &[u8]) -> (Option<u16>, String) {
        let mut stream = TcpStream::connect(self.running.address()).await.unwrap();
        // The server may answer and close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(std::time::Duration::from_secs(60), read).await.expect("the server answers");
        let text = String::from_utf8_lossy(&answer).into_owned();
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        (status, text)
    }

    async fn get(&self, path: &str) -> (Option<u16>, String) {
        let head =
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Key {}\r\nconnection: close\r\n\r\n", self.key);
        self.raw(head.as_bytes()).await
    }

    async fn post(&self, path: &str, body: Vec<u8>) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let request = client.post(format!("{}/__api__{path}", self.running.url())).body(body);
        let answer = request.header("authorization", format!("Key {}", self.key)).send().await.unwrap();
        serde_json::from_slice(&answer.error_for_status().unwrap().bytes().await.unwrap()).unwrap()
    }

    async fn alive(&self) {
        assert_eq!(self.get("/__ping__").await.0, Some(200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_leads_out_of_content() {
    let target = Target::start(Config::default()).await;
    let made = target.post("/v1/content", json!({"name": "own"}).to_string().into()).await;
    let guid = made["guid"].as_str().unwrap().to_owned();
    target.post(&format!("/v1/content/{guid}/bundles"), static_bundle("inside")).await;
    let task = target.post(&format!("/v1/content/{guid}/deploy"), b"{}".to_vec()).await;
    let waited = format!("/__api__/v1/tasks/{}?wait=60", task["task_id"].as_str().unwrap());
    assert_eq!(target.get(&waited).await.0, Some(200));
    assert!(target.get(&format!("/content/{guid}/")).await.1.ends_with("inside"));
    let base = format!("/content/{guid}");
    for trick in [
        "/../../../etc/passwd",
        "/..%2f..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/%252e%252e/etc/passwd",
        "/..%5c..%5cetc%5cpasswd",
        "/..\\..\\etc\\passwd",
        "/sub/../../etc/passwd",
        "/./././../etc/passwd",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/etc/passwd%00.html",
        "/index.html%00",
        "/manifest.json/../../../etc/passwd",
        "/_bundle1/../../../etc/passwd",
        "/_bundle999999/",
        "/_bundle-1/",
        "/_bundle1%2f..%2f..%2fetc/passwd",
        "/v1/../../etc/passwd",
        "/%c0%ae%c0%ae/etc/passwd",
        "/%ff%fe",
        "/sub/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    ] {
        let (status, text) = target.get(&format!("{base}{trick}")).await;
        let status = status.unwrap_or_else(|| panic!("{trick}: no answer"));
        assert!((400..500).contains(&status) || status == 200, "{trick}: {status}");
        assert!(!text.contains("root:"), "{trick}: {text}");
        assert!(status != 200 || text.ends_with("inside") || text.ends_with("below"), "{trick}: {text}");
    }
    for trick in ["/content/..%2f__api__/v1/user", "/content/%2e%2e/__api__/v1/user", "/content/../__api__/v1/user"] {
        let (status, text) = target.get(trick).await;
        assert!(status.is_some_and(|status| (400..500).contains(&status)), "{trick}: {text}");
    }
    target.alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_headers_is_refused() {
    let target = Target::start(Config::default()).await;
    let many: String = (0..2000).map(|n| format!("x-{n}: y\r\n")).collect();
    let large = format!("x-large: {}\r\n", "y".repeat(1 << 20));
    let long = "a".repeat(1 << 20);
    for (what, head) in [
        ("many", format!("GET /__ping__ HTTP/1.1\r\nhost: x\r\n{many}\r\n")),
        ("large", format!("GET /__ping__ HTTP/1.1\r\nhost: x\r\n{large}\r\n")),
        ("a long path", format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n")),
        ("without an end", format!("GET /__ping__ HTTP/1.1\r\nhost: x\r\nx: {long}")),
    ] {
        let (status, text) = target.raw(head.as_bytes()).await;
        assert!(status.is_none_or(|status| (400..500).contains(&status)), "{what}: {text:.200}");
    }
    target.alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_upload_is_refused_and_leaves_nothing() {
    let limits = Limits { bundle_bytes: 1 << 20, ..Limits::default() };
    let target = Target::start(Config { limits, ..Config::default() }).await;
    let made = target.post("/v1/content", json!({"name": "own"}).to_string().into()).await;
    let path = format!("/__api__/v1/content/{}/bundles", made["guid"].as_str().unwrap());
    let head = |length: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Key {}\r\nconnection: close\r\n{length}\r\n\r\n",
            target.key
        )
    };
    // Announced, as a lie that nothing follows; and sent in pieces without a length.
    let announced = target.raw(head("content-length: 999999999999").as_bytes()).await;
    assert_eq!(announced.0, Some(413), "{}", announced.1);
    let mut chunked = head("transfer-encoding: chunked").into_bytes();
    for _ in 0..20 {
        chunked.extend(b"10000\r\n");
        chunked.extend(vec![b'x'; 0x10000]);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    let (status, text) = target.raw(&chunked).await;
    assert!(matches!(status, Some(413) | None), "{text:.300}");
    let listed = target.get(&path).await.1;
    assert!(listed.ends_with("[]"), "{listed}");
    target.alive().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_lengths_are_no_request() {
    let target = Target::start(Config::default()).await;
    for lengths in [
        "content-length: 2\r\ncontent-length: 40",
        "content-length: 2\r\ntransfer-encoding: chunked",
        "content-length: -1",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity",
    ] {
        let smuggled = format!(
            "POST /__api__/v1/groups HTTP/1.1\r\nhost: x\r\nauthorization: Key {}\r\n{lengths}\r\n\r\n\
             0\r\n\r\nGET /__api__/v1/user HTTP/1.1\r\nhost: x\r\nauthorization: Key {}\r\nconnection: close\r\n\r\n",
            target.key, target.key
        );
        let (_, text) = target.raw(smuggled.as_bytes()).await;
        let answers = text.matches("HTTP/1.1 ").count();
        assert!(answers <= 2 && !text.starts_with("HTTP/1.1 5"), "{lengths}: {text:.400}");
    }
    target.alive().await;
}

/// A key that follows the session of another site's page: the header that only own scripts can set is demanded.
#[tokio::test(flavor = "multi_thread")]
async fn another_site_s_form_changes_nothing() {
    let target = Target::start(Config::default()).await;
    let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = target.running.url();
    let form = "username=publisher&password=publisher-password";
    let signed = client.post(format!("{url}/__login__")).body(form).send().await.unwrap();
    let cookies: Vec<String> = signed
        .headers()
        .get_all("set-cookie")
        .iter()
        .map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned())
        .collect();
    let cookie = cookies.join("; ");
    for (header, value) in [("x-other", "1"), ("x-rsc-xsrf", "forged"), ("x-rsc-xsrf", "")] {
        let request = client.post(format!("{url}/__api__/v1/content")).header("cookie", &cookie).header(header, value);
        let answer = request.body("name=forged").send().await.unwrap();
        assert_eq!(answer.status(), 403, "{header}: {value}");
    }
    for page in ["connect/claim/none", "oauth/v1/authorize", "oauth/v1/device"] {
        let request = client.post(format!("{url}/{page}")).header("cookie", &cookie).body("decision=allow");
        assert_eq!(request.send().await.unwrap().status(), 403, "{page}");
    }
    let made = target.get("/__api__/v1/content").await.1;
    assert!(made.ends_with("[]"), "{made}");
}

/// A signature by another key than that of the token, and one for something else, are worth nothing.
#[tokio::test]
async fn forged_signatures_are_refused() {
    let app = TestApp::new().await;
    let signer = claimed(&app).await;
    let anybody = app.anonymous();
    assert_eq!(signer.send(&anybody, "GET", "/v1/user", "").await.status, 200);
    let other = rsa::PrivateKey::new(&mut sim_kit::ids::Ids::new(2, 0).rng("test-key"), 2048).unwrap();
    let forger = Signer { token: signer.token.clone(), key: other, prefix: "" };
    for (method, path, body) in [("GET", "/v1/user", ""), ("POST", "/v1/content", "{\"name\":\"forged\"}")] {
        assert_eq!(forger.send(&anybody, method, path, body).await.code(), (401, 30), "{method} {path}");
    }
    let date = app::start().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let good = signer.headers("GET", "/__api__/v1/user", &date, "");
    for (method, path) in [("DELETE", "/v1/user"), ("GET", "/v1/users"), ("GET", "/v1/user/../users")] {
        let answer = auth::send(&anybody, method, path, &good, "").await;
        assert!(matches!(answer.status.as_u16(), 401 | 404), "{method} {path}: {}", answer.status);
    }
    let unknown = Signer { token: format!("T{}", "f".repeat(32)), key: signer.key.clone(), prefix: "" };
    assert_eq!(unknown.send(&anybody, "GET", "/v1/user", "").await.status, 401);
    assert_eq!(app.publisher().get("/v1/content").await.ok(), json!([]));
}

/// A signed change that is seen on its way is good for the second in which its client may make it again, and no longer.
#[tokio::test]
async fn replayed_signatures_are_refused() {
    let app = TestApp::new().await;
    let signer = claimed(&app).await;
    let anybody = app.anonymous();
    let date = app::start().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let (path, body) = ("/v1/content", "{\"name\":\"signed\"}");
    let seen = signer.headers("POST", &format!("/__api__{path}"), &date, body);
    assert_eq!(auth::send(&anybody, "POST", path, &seen, body).await.status, 200);
    assert_eq!(auth::send(&anybody, "POST", path, &seen, body).await.status, 409);
    for seconds in [1, 1, 60, 14 * 60, 3600, 24 * 3600] {
        app.world.clock().advance(std::time::Duration::from_secs(seconds)).await;
        assert_eq!(auth::send(&anybody, "POST", path, &seen, body).await.code(), (401, 30), "after {seconds} more");
    }
    assert_eq!(app.publisher().get("/v1/content").await.ok().as_array().unwrap().len(), 1);
}

/// A session that somebody has put into a browser is not the one that its user signs in to, and ends with that.
#[tokio::test]
async fn a_password_sign_in_starts_a_new_session() {
    let app = TestApp::new().await;
    let attacker = app.sign_in("viewer", "viewer-password").await;
    assert_eq!(attacker.get("/v1/user").await.ok()["username"], "viewer");
    let form = "username=publisher&password=publisher-password";
    let planted = [("cookie", "rsconnect=planted; RSC-XSRF=planted")];
    let signed = app.anonymous().raw("POST", "/__login__", &planted, form.into()).await;
    let cookies = signed.cookies();
    assert!(cookies["rsconnect"] != "planted" && cookies["RSC-XSRF"] != "planted", "{cookies:?}");
    let with = app.anonymous().with("cookie", "rsconnect=planted; RSC-XSRF=planted").with("x-rsc-xsrf", "planted");
    assert_eq!(with.get("/v1/user").await.code(), (401, 24));
    // The attacker's own session, planted, does not become the publisher's.
    let own = attacker.raw("POST", "/__login__", &[], form.into()).await;
    assert_eq!(own.status, 303);
    assert_eq!(attacker.get("/v1/user").await.code(), (401, 24), "the session from before has ended");
}

/// Tokens of another time, another server, another key, and without one.
#[tokio::test]
async fn expired_and_foreign_tokens_are_refused() {
    let secret = b"0123456789abcdef0123456789abcdef";
    let config = Config { bootstrap_secret: Some(secret.to_vec()), seed_users: false, ..Config::default() };
    let app = TestApp::with(config).await;
    let now = app::start().timestamp();
    let none = format!("{}.{}.", "eyJhbGciOiJub25lIn0", "eyJpc3MiOiJyc2Nvbm5lY3QtcHl0aG9uIn0");
    for (what, token) in [
        ("expired", auth::bootstrap_token(secret, |claims| claims["exp"] = json!(now - 1000))),
        ("of the future", auth::bootstrap_token(secret, |claims| claims["nbf"] = json!(now + 10_000))),
        ("for another server", auth::bootstrap_token(secret, |claims| claims["aud"] = json!("elsewhere"))),
        ("of another issuer", auth::bootstrap_token(secret, |claims| claims["iss"] = json!("elsewhere"))),
        ("of another key", auth::bootstrap_token(b"fedcba9876543210fedcba9876543210", |_| {})),
        ("without a signature", format!("Connect-Bootstrap {none}")),
    ] {
        let caller = app.anonymous().with("authorization", &token);
        assert_eq!(caller.post("/v1/bootstrap", &json!(null)).await.code(), (401, 166), "{what}");
    }
    // The same as a bearer's token, which only this server's own authorization server gives out.
    let token = auth::bootstrap_token(secret, |_| {}).replace("Connect-Bootstrap ", "Bearer ");
    assert_eq!(app.anonymous().with("authorization", &token).get("/v1/user").await.status, 401);
}

/// Behind a proxy that strips a prefix, forms lead back through it.
#[tokio::test]
async fn forms_keep_the_prefix_of_a_proxy() {
    let app = TestApp::new().await;
    let behind = app.anonymous().with("x-forwarded-prefix", "/rsc");
    let page = behind.page("/__login__").await.text();
    assert!(page.contains("action=\"&#x2f;rsc/__login__\""), "{page}");
    let browser = app.sign_in("publisher", "publisher-password").await.with("x-forwarded-prefix", "/rsc");
    let page = browser.page("/oauth/v1/device").await.text();
    assert!(page.contains("action=\"&#x2f;rsc/oauth/v1/device\""), "{page}");
    let body = json!({"token": format!("T{}", "0".repeat(32)), "public_key": auth::public_key(&auth::private_key())});
    let claim = behind.post("/tokens", &body).await.ok()["token_claim_url"].as_str().unwrap().to_owned();
    let path = claim.strip_prefix("http://connect.example/rsc").unwrap();
    // Its form leads to its own address, and everything around it to the prefix.
    let page = browser.page(path).await.text();
    assert!(page.contains("token-connect") && page.contains("href=\"&#x2f;rsc/connect/assets/"), "{page}");

    let fixed = Config { address: Some("https://proxy.example/deep/er/".to_owned()), ..Config::default() };
    let page = TestApp::with(fixed).await.anonymous().page("/__login__").await.text();
    assert!(page.contains("action=\"&#x2f;deep&#x2f;er/__login__\""), "{page}");
}
