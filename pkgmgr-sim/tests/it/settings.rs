//! The server as a process: its settings file, the variables and the flags.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::service::Service;

/// A server process; ended when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
    /// Of its port for metrics, if it has one.
    metrics: Option<String>,
    /// Of its port for HTTPS, if it has one.
    https: Option<String>,
    /// Of its port that sends to that one, if it has one.
    redirect: Option<String>,
}

pub(crate) fn command(service: &Service, file: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pkgmgr-sim"));
    command.args(["--upstream", service.url().as_str(), "--no-sync", "--config"]).arg(file).args(flags);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

pub(crate) fn http() -> reqwest::Client {
    sim_kit::http_client::client(|builder| builder)
}

impl Server {
    pub(crate) async fn start(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (mut metrics, mut https, mut redirect) = (None, None, None);
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(address) = line.strip_prefix("Starting metrics server on ") {
                metrics = Some(format!("http://{address}/metrics"));
            }
            if let Some(address) = line.strip_prefix("Starting HTTPS server on ") {
                https = Some(format!("https://{address}"));
            }
            if let Some(address) = line.strip_prefix("Starting HTTP redirect server on ") {
                redirect = Some(format!("http://{address}"));
            }
            if let Some(address) = line.strip_prefix("Starting HTTP server on ") {
                return Self { url: format!("http://{address}"), metrics, https, redirect, process };
            }
        }
        let output = process.wait_with_output().await.unwrap();
        panic!("it did not start: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.process.kill().await.unwrap();
    }

    async fn status(&self) -> Value {
        http().get(format!("{}/__api__/status", self.url)).send().await.unwrap().json().await.unwrap()
    }

    async fn create_repo(&self, draft: Value) -> Value {
        let token = pkgmgr_sim::admin_token(1);
        let request = http().post(format!("{}/__api__/repos", self.url)).bearer_auth(token);
        request.json(&draft).send().await.unwrap().json().await.unwrap()
    }
}

fn schedule(status: &Value, name: &str) -> String {
    let sources = status["sync"].as_array().unwrap();
    let source = sources.iter().find(|source| source["source"] == name).unwrap();
    source["schedule"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn flags_go_before_variables_and_variables_before_the_file() {
    let service = Service::with_packages().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rstudio-pm.gcfg");
    let data = folder.path().join("data");
    let text = format!(
        "[Server]\nDataDir = {}\nRVersion = /opt/R/4.4\n[HTTP]\nListen = localhost:0\n[CRAN]\nSyncSchedule = 0 3 * * *\n\
         [PyPI]\nSyncSchedule = 0 3 * * *\n[Authentication]\nNewReposAuthByDefault = true\n",
        data.display()
    );
    std::fs::write(&file, text).unwrap();
    let mut only_file = command(&service, &file, &[]);
    only_file.env("PACKAGEMANAGER_CRAN_SYNCSCHEDULE", "0 4 * * *");
    let server = Server::start(only_file).await;
    let status = server.status().await;
    assert_eq!((schedule(&status, "cran"), schedule(&status, "pypi")), ("0 4 * * *".into(), "0 3 * * *".into()));
    assert_eq!(server.metrics, None, "nobody has asked for that port");
    assert!(data.join("package-manager").is_dir(), "Server.DataDir is where things are kept");
    assert_eq!(server.create_repo(json!({ "name": "one" })).await["auth"], true);
    assert_eq!(server.create_repo(json!({ "name": "two", "authenticated": false })).await["auth"], false);
    server.kill().await;
    let flags = ["--cran-sync-schedule", "0 5 * * *", "--address", "http://pm.example", "--metrics-port", "0"];
    let more = ["--set", "Metrics.OnMainPort=true", "--set", "Metrics.Enabled=false"];
    let mut both = command(&service, &file, &[&flags[..], &more].concat());
    both.env("PACKAGEMANAGER_CRAN_SYNCSCHEDULE", "0 4 * * *")
        .env("PACKAGEMANAGER_SERVER_ADDRESS", "http://other.example");
    let server = Server::start(both).await;
    assert_eq!(schedule(&server.status().await, "cran"), "0 5 * * *");
    let document: Value =
        http().get(format!("{}/__api__/swagger/doc.json", server.url)).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["servers"][0]["url"], "http://pm.example", "{}", document["servers"]);
    for url in [server.metrics.clone().unwrap(), format!("{}/metrics", server.url)] {
        let text = http().get(url).send().await.unwrap().text().await.unwrap();
        assert!(text.contains("ppm_build_info"), "the flag for the port goes before Metrics.Enabled: {text}");
    }
}

#[tokio::test]
async fn https_beside_http_and_rspm_that_believes_it() {
    let (service, folder) = (Service::with_packages().await, tempfile::tempdir().unwrap());
    let Some((certificate, key)) = sim_kit::testing::own_certificate(folder.path()) else { return };
    let file = folder.path().join("rstudio-pm.gcfg");
    let text = |key: &Path| {
        format!(
            "[HTTPS]\nListen = :0\nPermanent\nCertificate = {}\nKey = {}\n[HTTPRedirect]\nListen = :0\n",
            certificate.display(),
            key.display()
        )
    };
    std::fs::write(&file, text(&key)).unwrap();
    let server = Server::start(command(&service, &file, &["--port", "0"])).await;
    let https = server.https.clone().unwrap();
    let made = server.create_repo(json!({ "name": "one" })).await;
    assert_eq!(made["name"], "one");
    // The certificate is nobody's: rspm refuses it, unless it is told to believe it.
    let token = pkgmgr_sim::admin_token(1);
    let words = ["--address", &https, "--token", &token, "list", "repos"];
    let refused = crate::rspm::rspm(&words).await.unwrap_err();
    assert!(refused.contains("does not answer") && refused.contains("certificate"), "{refused}");
    let listed = crate::rspm::rspm(&[&["--insecure-ssl-skip-verify"], &words[..]].concat()).await.unwrap();
    assert!(listed.contains("one"), "{listed}");
    // Who signs in gets a cookie that is not sent by HTTP, where HTTPS.Permanent says that there is nothing but HTTPS.
    for address in [&https, &server.url] {
        let client = reqwest::Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
        let client = client.redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = client.post(format!("{address}/client/sign-in")).form(&[("token", &token)]).send().await.unwrap();
        let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
        assert!(cookie.contains("; Secure"), "{address}: {cookie}");
    }
    for (address, told) in [(&https, Some("max-age=2592000")), (&server.url, None)] {
        let answer = sim_kit::http_client::trusting_client().get(format!("{address}/__ping__")).send().await.unwrap();
        let header = answer.headers().get("strict-transport-security").map(|value| value.to_str().unwrap());
        assert_eq!(header, told, "{address}");
    }
    let sent = format!("{}/cran/latest?a=%20b", server.redirect.clone().unwrap());
    let client = sim_kit::http_client::client(|builder| builder.redirect(reqwest::redirect::Policy::none()));
    let sent = client.post(sent).send().await.unwrap();
    assert_eq!(sent.status(), 308);
    assert_eq!(sent.headers()["location"].to_str().unwrap(), format!("{https}/cran/latest?a=%20b"));
    // Addresses in answers are those of HTTPS.
    let document = sim_kit::http_client::trusting_client().get(format!("{https}/__api__/swagger/doc.json"));
    let document: Value = document.send().await.unwrap().json().await.unwrap();
    assert_eq!(document["servers"][0]["url"], https.as_str());
    drop(server);
    std::fs::write(&file, text(&certificate)).unwrap();
    let output = command(&service, &file, &["--port", "0"]).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("HTTPS needs a certificate and its key in PEM") && error.contains("cert.pem"), "{error}");
}

#[tokio::test]
async fn what_is_wrong_is_said_and_what_does_nothing_is_warned_of() {
    let service = Service::with_packages().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rstudio-pm.gcfg");
    let said = async |text: &str, flags: &[&str]| {
        std::fs::write(&file, text).unwrap();
        let output = command(&service, &file, flags).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let shown = file.display();
    for (text, expected) in [
        ("[HTTP]\nListen = all\n", format!("pkgmgr-sim: {shown}: line 2: HTTP.Listen must be a port")),
        ("Listen = :1\n", format!("pkgmgr-sim: {shown}: line 1: Listen stands before the first [Section]")),
        ("[HTTP]\nListen = 0.0.0.0:0\n", "pkgmgr-sim: package-manager: listening beyond loopback needs".to_owned()),
    ] {
        let (code, error) = said(text, &[]).await;
        assert_eq!((code, error.lines().count()), (Some(1), 1), "{error}");
        assert!(error.starts_with(&expected), "{error}");
    }
    // It ends because of the last line, and has told of the others before.
    let text = "[Server]\nRVersion = /opt/R\nAdress = x\n[HTTP]\nListen = :x\n";
    let (code, error) = said(text, &[]).await;
    assert_eq!(code, Some(1));
    assert!(error.contains("line 2: Server.RVersion is without effect here"), "{error}");
    assert!(error.contains("line 3: there is no setting Server.Adress"), "{error}");
    let gone = folder.path().join("gone.gcfg");
    let output = command(&service, &gone, &[]).output().await.unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.starts_with(&format!("pkgmgr-sim: cannot read the settings in {}", gone.display())), "{error}");
}
