//! The program itself: what it prints, and what it keeps when it is killed.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use sim_kit::seed;
use sim_kit::testing::free_port;

use super::app::static_bundle;

struct Server {
    child: Child,
    url: String,
    port: u16,
    printed: Vec<String>,
}

impl Server {
    /// Starts the program and waits for the lines that launchers wait for.
    fn start(data: &Path) -> Self {
        let port = free_port();
        let mut child = Command::new(env!("CARGO_BIN_EXE_connect-sim"))
            .args(["--port", &port.to_string(), "--data-dir"])
            .arg(data)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let printed = vec![lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
        Self { child, url: format!("http://127.0.0.1:{port}"), port, printed }
    }

    /// SIGKILL.
    fn kill(self) {
        drop(self);
    }

    async fn send(&self, method: &str, path: &str, body: Vec<u8>) -> reqwest::Response {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let key = &seed::users(1)[1].api_key;
        let request = client.request(method.parse().unwrap(), format!("{}{path}", self.url));
        request.header("authorization", format!("Key {key}")).body(body).send().await.unwrap()
    }

    async fn json(&self, method: &str, path: &str, body: Vec<u8>) -> Value {
        let response = self.send(method, &format!("/__api__{path}"), body).await;
        assert!(response.status().is_success(), "{method} {path}: {}", response.status());
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_outlives_a_kill() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    assert!(server.printed[0].starts_with("Starting Posit Connect v2026"), "{:?}", server.printed);
    assert_eq!(server.printed[1], format!("Starting HTTP server on [::]:{}", server.port));
    let made = server.json("POST", "/v1/content", json!({"name": "kept"}).to_string().into()).await;
    let guid = made["guid"].as_str().unwrap().to_owned();
    let bundles = format!("/v1/content/{guid}/bundles");
    let bytes = static_bundle("kept");
    server.json("POST", &bundles, bytes.clone()).await;
    let task = server.json("POST", &format!("/v1/content/{guid}/deploy"), b"{}".to_vec()).await;

    // An upload of which half has come.
    let key = &seed::users(1)[1].api_key;
    let mut half = TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    write!(
        half,
        "POST /__api__{bundles} HTTP/1.1\r\nHost: x\r\nAuthorization: Key {key}\r\nExpect: 100-continue\r\n\
         Content-Length: 9000000\r\n\r\n"
    )
    .unwrap();
    let mut answer = [0; 12];
    half.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100", "the server reads the body");
    half.write_all(&vec![7; 4_000_000]).unwrap();
    server.kill();

    let server = Server::start(folder.path());
    let task =
        server.json("GET", &format!("/v1/tasks/{}?wait=60", task["task_id"].as_str().unwrap()), Vec::new()).await;
    assert_eq!((&task["finished"], &task["code"]), (&json!(true), &json!(0)), "{task}");
    assert_eq!(server.json("GET", &bundles, Vec::new()).await.as_array().unwrap().len(), 1);
    let download = server.send("GET", &format!("/__api__{bundles}/1/download"), Vec::new()).await;
    assert_eq!(download.bytes().await.unwrap(), bytes);
    assert_eq!(server.send("GET", &format!("/content/{guid}/"), Vec::new()).await.text().await.unwrap(), "kept");
    let world = folder.path().join(connect_sim::NAME).join("world-0");
    assert_eq!(std::fs::read_dir(world.join("incoming")).unwrap().count(), 0, "no half bundle is left");
    server.kill();
}

#[tokio::test(flavor = "multi_thread")]
async fn visits_and_changes_outlive_a_kill() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path());
    let made = server.json("POST", "/v1/content", json!({"name": "seen"}).to_string().into()).await;
    let guid = made["guid"].as_str().unwrap().to_owned();
    server.json("POST", &format!("/v1/content/{guid}/bundles"), static_bundle("seen")).await;
    let task = server.json("POST", &format!("/v1/content/{guid}/deploy"), b"{}".to_vec()).await;
    let task = format!("/v1/tasks/{}?wait=30", task["task_id"].as_str().unwrap());
    server.json("GET", &task, Vec::new()).await;
    let visits = 50;
    for _ in 0..visits {
        assert_eq!(server.send("GET", &format!("/content/{guid}/"), Vec::new()).await.status(), 200);
    }
    server.kill();
    // Twice, as a second start must not write again what the first has recovered.
    for _ in 0..2 {
        let server = Server::start(folder.path());
        let seen = server.json("GET", "/v1/instrumentation/content/visits?limit=500", Vec::new()).await;
        assert_eq!(seen["results"].as_array().unwrap().len(), visits);
        server.kill();
    }
}

/// Command line before variable before file; the file says where it listens and what it keeps.
#[tokio::test(flavor = "multi_thread")]
async fn settings_come_from_a_file_variables_and_the_command_line() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (file, data, port) = (folder.path().join("rstudio-connect.gcfg"), folder.path().join("data"), free_port());
    let text = format!(
        "[Server]\nDataDir = {}\nAddress = http://file.example\nFrobnicate = yes\n[HTTP]\nListen = :{port}\n\
         [Scheduler]\nMaxProcesses = 4\nMinProcesses = 1\nMaxConnsPerProcess = 5\n",
        data.display()
    );
    std::fs::write(&file, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_connect-sim"))
        .arg("--config")
        .arg(&file)
        .args(["--set", "Scheduler.MaxProcesses=6"])
        .env("CONNECT_SCHEDULER_MAXPROCESSES", "5")
        .env("CONNECT_SCHEDULER_MINPROCESSES", "2")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let printed = vec![lines.next().unwrap().unwrap(), lines.next().unwrap().unwrap()];
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let server = Server { child, url: format!("http://127.0.0.1:{port}"), port, printed };
    let scheduler = server.json("GET", "/server_settings/scheduler", Vec::new()).await;
    let [most, least, each] = ["max_processes", "min_processes", "max_conns_per_process"].map(|name| &scheduler[name]);
    assert_eq!((most, least, each), (&json!(6), &json!(2), &json!(5)));
    let made = server.json("POST", "/v1/content", json!({"name": "kept"}).to_string().into()).await;
    assert!(made["content_url"].as_str().unwrap().starts_with("http://file.example/content/"), "{made}");
    assert!(data.join(connect_sim::NAME).join("lock").exists());
    let warned = told.next().unwrap().unwrap();
    assert!(warned.contains("rstudio-connect.gcfg: line 4: Server.Frobnicate is not a setting"), "{warned}");
}

#[tokio::test]
async fn https_beside_http() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let Some((certificate, key)) = sim_kit::testing::own_certificate(folder.path()) else { return };
    let start = |key: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connect-sim"));
        command.args(["--port", "0", "--set", "HTTPS.Listen=:0", "--set", "HTTPS.Permanent=true"]);
        command.args(["--set", "HTTPRedirect.Listen=127.0.0.1:0", "--set"]);
        command.arg(format!("HTTPS.Certificate={}", certificate.display())).arg("--set");
        command.arg(format!("HTTPS.Key={}", key.display())).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let mut child = start(&key).spawn().unwrap();
    let printed: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().take(4).map(Result::unwrap).collect();
    let port = printed[2].strip_prefix("Starting HTTPS server on [::]:").unwrap().parse().unwrap();
    let redirect = printed[3].strip_prefix("Starting HTTP redirect server on [::]:").unwrap().to_owned();
    let server = Server { child, url: format!("https://127.0.0.1:{port}"), port, printed };
    let client = sim_kit::http_client::client(|builder| builder.redirect(reqwest::redirect::Policy::none()));
    let sent = client.get(format!("http://127.0.0.1:{redirect}/connect/?a=%20b")).send().await.unwrap();
    assert!(sent.status().is_redirection(), "{sent:?}");
    assert_eq!(sent.headers()["location"], format!("{}/connect/?a=%20b", server.url));
    let key_of_publisher = format!("Key {}", sim_kit::seed::users(1)[1].api_key);
    let client = sim_kit::http_client::trusting_client();
    let asked = client.post(format!("{}/__api__/v1/content", server.url)).header("authorization", key_of_publisher);
    let made = asked.body(r#"{"name": "safe"}"#).send().await.unwrap();
    assert_eq!(made.headers()["strict-transport-security"], "max-age=2592000");
    let made: Value = made.json().await.unwrap();
    assert!(made["content_url"].as_str().unwrap().starts_with(&format!("{}/content/", server.url)), "{made}");
    // The certificate is nobody's.
    let strict = sim_kit::http_client::client(|builder| builder);
    assert!(strict.get(format!("{}/__ping__", server.url)).send().await.is_err());
    let output = start(&certificate).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("HTTPS needs a certificate and its key in PEM"), "{error}");
}

#[test]
fn bad_flags_say_what_to_do_in_one_line() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_connect-sim")).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let secret = run(&["--set", "Bootstrap.Enabled=true", "--port", "0"]);
    assert!(secret.contains("CONNECT_BOOTSTRAP_SECRETKEY") && secret.trim().lines().count() == 1, "{secret}");
    assert!(run(&["--set", "Bootstrap"]).contains("--set Bootstrap: expected Section.Key=value"));
    assert!(run(&["--config", "/none/such.gcfg"]).contains("/none/such.gcfg cannot be read"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rstudio-connect.gcfg");
    std::fs::write(&file, "[Scheduler]\nMaxProcesses = many\n").unwrap();
    let told = run(&["--config", file.to_str().unwrap()]);
    let expected = "rstudio-connect.gcfg: line 2: Scheduler.MaxProcesses must be a whole number from 0, not \"many\"";
    assert!(told.contains(expected), "{told}");
    let url = run(&["--pypi-url", "index", "--port", "0"]);
    assert!(url.contains("--pypi-url must be an http or https URL"), "{url}");
    assert!(run(&["--as", "newest"]).contains("2026.06.0"));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert!(run(&["--port", &port]).contains("is in use; stop what listens there"));
}
