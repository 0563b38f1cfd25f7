//! Mail that leaves, to a real server on a socket, and mail that cannot.

use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use connect_sim::Config;
use connect_sim::mail::{Encryption, MOST_ATTEMPTS, Settings};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use sim_kit::HostConfig;
use sim_kit::host::Host;
use sim_kit::testing::{free_port, need_tool};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::app::{TestApp, document_bundle};

/// What a mail server saw.
#[derive(Debug, Clone)]
struct Seen {
    commands: Vec<String>,
    message: String,
    encrypted: bool,
}

/// A small mail server.
struct Server {
    port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    bell: Arc<Notify>,
}

impl Server {
    /// `refusal` is its answer to `RCPT`, if it is none of success.
    async fn start(port: u16, tls: Option<TlsAcceptor>, refusal: Option<&'static str>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (seen, bell) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (all, rung) = (seen.clone(), bell.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut one = Seen { commands: Vec::new(), message: String::new(), encrypted: false };
                let stream = BufReader::new(stream);
                if let Some(stream) = talk(stream, &mut one, tls.is_some(), refusal, true).await
                    && let Some(tls) = &tls
                {
                    let stream = tls.accept(stream.into_inner()).await.unwrap();
                    one.encrypted = true;
                    talk(BufReader::new(stream), &mut one, false, refusal, false).await;
                }
                all.lock().unwrap().push(one);
                rung.notify_one();
            }
        });
        Self { port, seen, bell }
    }

    /// The conversations so far, once there are `count`.
    async fn seen(&self, count: usize) -> Vec<Seen> {
        loop {
            let seen = self.seen.lock().unwrap().clone();
            if seen.len() >= count {
                return seen;
            }
            self.bell.notified().await;
        }
    }
}

/// Speaks SMTP until the client goes, or until it asks for STARTTLS: then the stream is given back.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: BufReader<S>,
    seen: &mut Seen,
    offers_tls: bool,
    refusal: Option<&str>,
    greets: bool,
) -> Option<BufReader<S>> {
    if greets {
        stream.write_all(b"220 mail.test ESMTP\r\n").await.unwrap();
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        seen.commands.push(line.clone());
        let answer = match line.split([' ', ':']).next().unwrap() {
            "EHLO" if offers_tls => "250-mail.test\r\n250 STARTTLS",
            "EHLO" => "250-mail.test\r\n250 AUTH PLAIN",
            "STARTTLS" => {
                stream.write_all(b"220 go on\r\n").await.unwrap();
                return Some(stream);
            }
            "AUTH" => "235 welcome",
            "RCPT" => refusal.unwrap_or("250 fine"),
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.unwrap();
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    if line == ".\r\n" {
                        break;
                    }
                    seen.message.push_str(&line);
                }
                "250 kept"
            }
            "QUIT" => "221 bye",
            _ => "250 fine",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.unwrap();
    }
}

fn settings(port: u16, encryption: Encryption) -> Settings {
    Settings {
        program: None,
        host: "127.0.0.1".to_owned(),
        port,
        credentials: None,
        encryption,
        authority: None,
        sender: "Connect of Tests <connect@example.com>".parse().unwrap(),
        subject_prefix: "[Tests]".to_owned(),
        redirect: None,
    }
}

async fn app(mail: Settings) -> TestApp {
    TestApp::with(Config { mail: Some(mail), ..Config::default() }).await
}

/// The newest mail as the store has it, once it is in a state.
async fn newest(app: &TestApp, state: &str) -> connect_sim::store::mail::Mail {
    loop {
        let mut db = app.world.db().read().await.unwrap();
        let (mails, _) = connect_sim::store::mail::newest(&mut db, 1).await.unwrap();
        drop(db);
        if let Some(mail) = mails.into_iter().find(|mail| mail.state == state) {
            return mail;
        }
        tokio::task::yield_now().await;
    }
}

fn test_mail() -> Value {
    json!({"to": "somebody@example.com"})
}

#[tokio::test]
async fn mail_leaves_with_sender_subject_and_sign_in() {
    let server = Server::start(0, None, None).await;
    let credentials = Some(("user".to_owned(), "pass".to_owned()));
    let app = app(Settings { credentials, ..settings(server.port, Encryption::Detect) }).await;
    let started = app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    let task = app.admin().finished(started["task_id"].as_str().unwrap()).await;
    assert!(task["output"][0].as_str().unwrap().contains(&format!("by 127.0.0.1:{}", server.port)), "{task}");
    let seen = server.seen(1).await.remove(0);
    assert!(seen.commands.contains(&"MAIL FROM:<connect@example.com>".to_owned()), "{seen:?}");
    assert!(seen.commands.contains(&"RCPT TO:<somebody@example.com>".to_owned()), "{seen:?}");
    let plain = base64::engine::general_purpose::STANDARD.encode("\0user\0pass");
    assert!(seen.commands.iter().any(|command| command.contains(&plain)), "{seen:?}");
    for line in [
        "From: \"Connect of Tests\" <connect@example.com>",
        "To: somebody@example.com",
        "Subject: [Tests] Test mail of Posit Connect (simulated)",
        "Date: Fri, 02 Jan 2026 03:04:05 +0000",
    ] {
        assert!(seen.message.lines().any(|have| have == line), "{line}: {}", seen.message);
    }
    assert_eq!(newest(&app, "sent").await.attempts, 1);
    let out = app.world.journal().entries(0, 9, |entry| entry.peer.as_deref() == Some("smtp"));
    assert_eq!(out[0].status, Some(250));
    assert_eq!(app.publisher().get("/server_settings").await.ok()["mail_configured"], true);
}

#[tokio::test]
async fn starttls_is_checked_and_demanded() {
    if need_tool("openssl").is_none() {
        return;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let (key, certificate) = (folder.path().join("key.pem"), folder.path().join("cert.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=mail.test"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from_pem_file(&certificate).unwrap()],
            PrivateKeyDer::from_pem_file(&key).unwrap(),
        )
        .unwrap();
    let server = Server::start(0, Some(TlsAcceptor::from(Arc::new(config))), None).await;
    let authority = Some(std::fs::read(&certificate).unwrap());
    let app = app(Settings { authority, ..settings(server.port, Encryption::StartTls) }).await;
    app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    newest(&app, "sent").await;
    let seen = server.seen(1).await.remove(0);
    assert!(seen.encrypted && seen.message.contains("Subject: [Tests]"), "{seen:?}");

    // A server that does not offer it gets nothing.
    let plain = Server::start(0, None, None).await;
    let app = self::app(settings(plain.port, Encryption::StartTls)).await;
    app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    assert!(plain.seen(1).await[0].message.is_empty());
    let mail = newest(&app, "failed").await;
    assert_eq!(mail.attempts, 1, "{mail:?}");
}

/// A server that is not there holds up nobody; what was for it leaves when it is back.
#[tokio::test]
async fn a_dead_server_loses_no_mail() {
    let port = free_port();
    let app = app(settings(port, Encryption::None)).await;
    for _ in 0..3 {
        app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    }
    while newest(&app, "queued").await.next_try == app.world.clock().now_micros() {
        tokio::task::yield_now().await;
    }
    let server = Server::start(port, None, None).await;
    app.world.clock().advance(Duration::from_secs(3600)).await;
    let seen = server.seen(3).await;
    assert!(seen.iter().all(|one| one.message.contains("Test mail")), "{seen:?}");
    newest(&app, "sent").await;
}

/// The tries are bounded, on the World's clock.
#[tokio::test]
async fn a_mail_is_given_up_some_day() {
    let app = app(settings(free_port(), Encryption::None)).await;
    app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    while newest(&app, "queued").await.attempts == 0 {
        tokio::task::yield_now().await;
    }
    app.world.clock().advance(Duration::from_secs(24 * 3600)).await;
    let mail = newest(&app, "failed").await;
    assert_eq!(mail.attempts, MOST_ATTEMPTS);
    assert!(!mail.error.is_empty());
}

#[tokio::test]
async fn what_a_server_refuses_for_good_is_not_tried_again() {
    let server = Server::start(0, None, Some("550 no such user")).await;
    let app = app(settings(server.port, Encryption::None)).await;
    app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    let mail = newest(&app, "failed").await;
    assert_eq!(mail.attempts, 1);
    assert!(mail.error.contains("no such user"), "{mail:?}");
    let server = Server::start(0, None, Some("451 come back later")).await;
    let app = self::app(settings(server.port, Encryption::None)).await;
    app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    server.seen(1).await;
    assert_eq!(newest(&app, "queued").await.attempts, 1);
}

#[tokio::test]
async fn nothing_gets_into_the_head_of_a_mail() {
    let server = Server::start(0, None, None).await;
    let app = app(settings(server.port, Encryption::None)).await;
    let admin = app.admin();
    for to in ["a@b\r\nBcc: c@example.com", "a@example.com\nX: y", "a@b c", "a", ""] {
        let refused = admin.post("/v1/tasks/send-test-email", &json!({"to": to})).await;
        assert_eq!(refused.status, 400, "{to:?}");
        if !to.is_empty() {
            let user =
                admin.post("/v1/users", &json!({"username": "injected", "email": to, "password": "a-password"})).await;
            assert_eq!(user.code(), (400, 264), "{to:?}");
        }
    }
    // A title is a subject.
    let publisher = app.publisher();
    let guid = publisher.publish("document", document_bundle()).await;
    let title = json!({"title": "Report\r\nBcc: everybody@example.com"});
    publisher.patch(&format!("/v1/content/{guid}"), &title).await.ok();
    let id = publisher.get(&format!("/v1/content/{guid}")).await.ok()["id"].clone();
    let variants = publisher.get(&format!("/applications/{}/variants", id.as_str().unwrap())).await.ok();
    publisher.post(&format!("/variants/{}/sender?email=me", variants[0]["id"]), &json!({})).await.ok();
    let seen = server.seen(1).await.remove(0);
    assert!(seen.message.contains("Subject: [Tests] Report  Bcc: everybody@example.com"), "{}", seen.message);
    assert!(!seen.message.lines().any(|line| line.starts_with("Bcc")), "{}", seen.message);
    assert_eq!(seen.commands.iter().filter(|command| command.starts_with("RCPT")).count(), 1);
}

#[tokio::test]
async fn schedules_mail_what_they_render() {
    let server = Server::start(0, None, None).await;
    let app = app(Settings {
        redirect: Some("everything@example.com".parse().unwrap()),
        ..settings(server.port, Encryption::None)
    })
    .await;
    let publisher = app.publisher();
    let guid = publisher.publish("document", document_bundle()).await;
    let id = publisher.get(&format!("/v1/content/{guid}")).await.ok()["id"].clone();
    let variants = publisher.get(&format!("/applications/{}/variants", id.as_str().unwrap())).await.ok();
    let variant = variants[0]["id"].clone();
    publisher.post(&format!("/variants/{variant}"), &json!({"email_collaborators": true})).await.ok();
    let schedule = json!({
        "activate": true, "email": true, "type": "hour", "schedule": "{\"N\":1}", "timezone": "UTC",
        "start_time": "2026-01-02T03:00:00Z", "app_id": id.as_str().unwrap().parse::<i64>().unwrap(), "variant_id": variant,
    });
    publisher.post("/schedules", &schedule).await.ok();
    app.world.clock().advance(Duration::from_secs(3600)).await;
    let seen = server.seen(1).await.remove(0);
    assert!(seen.commands.contains(&"RCPT TO:<everything@example.com>".to_owned()), "{seen:?}");
    assert!(seen.message.contains("Subject: [Tests] document"), "{}", seen.message);
}

/// Without a server mail is kept, and the control plane shows it and forgets it.
#[tokio::test]
async fn the_control_plane_has_an_outbox() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let running = Host::start(connect_sim::product(Config::default()), HostConfig::default()).await.unwrap();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let key = &sim_kit::seed::users(1)[0].api_key;
    let url = format!("{}/__api__/v1/tasks/send-test-email", running.url());
    let asked = client.post(url).header("authorization", format!("Key {key}")).body(test_mail().to_string());
    assert_eq!(asked.send().await.unwrap().status(), 200);
    let outbox = format!("{}/__sim__/v1/outbox", running.url());
    let read = async || client.get(&outbox).send().await.unwrap().json::<Value>().await.unwrap();
    let all = read().await;
    assert_eq!((&all["total"], &all["mails"][0]["state"]), (&json!(1), &json!("kept")), "{all}");
    assert_eq!(all["mails"][0]["to"], "somebody@example.com");
    assert_eq!(client.delete(&outbox).send().await.unwrap().status(), 204);
    assert_eq!(read().await["total"], 0);
    let document = client.get(format!("{}/__sim__/v1/openapi.json", running.url())).send().await.unwrap();
    let document = document.json::<Value>().await.unwrap();
    let answer = &document["paths"]["/__sim__/v1/outbox"]["get"]["responses"]["200"];
    assert_eq!(answer["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Outbox");
    assert!(document["paths"].get("/__sim__/v1/idp/choose").is_some());
    running.stop().await;
}

/// A program of this test: it keeps its arguments and what it reads beside itself, and ends with `status`.
fn program(folder: &std::path::Path, name: &str, status: u8) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join(name);
    let kept = folder.join(format!("{name}.kept"));
    let script = format!(
        "#!/bin/sh\n{{ echo \"$#: $*\"; echo \"variables: $CONNECT_API_KEY$HOME\"; cat; }} > '{}'\n\
         if [ {status} != 0 ]; then echo 'no route; try later' >&2; fi\nexit {status}\n",
        kept.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn a_program_takes_mail_in_place_of_a_server() {
    let folder = tempfile::tempdir().unwrap();
    // A name that a shell would take apart.
    let path = program(folder.path(), "send mail; exit 1 #$(x)", 0);
    let app = app(Settings { program: Some(path.clone()), ..settings(0, Encryption::None) }).await;
    let started = app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    let task = app.admin().finished(started["task_id"].as_str().unwrap()).await;
    assert!(task["output"][0].as_str().unwrap().contains(path.to_str().unwrap()), "{task}");
    newest(&app, "sent").await;
    let kept = std::fs::read_to_string(folder.path().join("send mail; exit 1 #$(x).kept")).unwrap();
    assert!(kept.starts_with("2: -t -i\nvariables: \n"), "{kept}");
    for line in ["To: somebody@example.com", "Subject: [Tests] Test mail of Posit Connect (simulated)"] {
        assert!(kept.lines().any(|one| one == line), "{line}: {kept}");
    }
    assert!(!kept.contains('\r'), "{kept:?}");
    let tries = app.world.journal().entries(0, 100, |entry| entry.peer.as_deref() == Some("sendmail"));
    assert!(tries.len() == 1 && tries[0].error.is_none(), "{tries:?}");
}

/// The newest mail, once it was tried so often.
async fn tried(app: &TestApp, times: i64) -> connect_sim::store::mail::Mail {
    loop {
        let mail = newest(app, "queued").await;
        if mail.attempts == times && !mail.error.is_empty() {
            return mail;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn mail_that_a_program_does_not_take_is_kept_and_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = program(folder.path(), "sendmail", 75);
    let app = app(Settings { program: Some(path), ..settings(0, Encryption::None) }).await;
    app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    let tried = tried(&app, 1).await;
    assert!(tried.state == "queued" && tried.error.contains("exit status: 75: no route; try later"), "{tried:?}");
    // It is well again.
    program(folder.path(), "sendmail", 0);
    app.world.clock().advance(Duration::from_secs(60)).await;
    let sent = newest(&app, "sent").await;
    assert_eq!(sent.attempts, 2);

    let missing = Some(folder.path().join("none"));
    let app = self::app(Settings { program: missing, ..settings(0, Encryption::None) }).await;
    app.admin().post("/v1/tasks/send-test-email", &test_mail()).await.ok();
    let tried = self::tried(&app, 1).await;
    assert!(tried.error.contains("none cannot be run"), "{tried:?}");
}
