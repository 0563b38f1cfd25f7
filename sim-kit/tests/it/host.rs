//! Start, stop, what is kept, what breaks on purpose.

use sim_kit::host::StartError;
use sim_kit::journal::Direction;
use sim_kit::testing::{Postgres, own_certificate};
use sim_kit::{Host, HostConfig, WorldConfig};

use super::{client, product, start};

#[tokio::test]
async fn a_port_in_use_says_what_to_do() {
    let first = start(HostConfig::default()).await;
    let port = first.address().port();
    let error = Host::start(product(), HostConfig { port, ..HostConfig::default() }).await.err().unwrap();
    assert!(error.to_string().contains(&format!("port {port} is in use; stop what listens there")), "{error}");
    first.stop().await;
    start(HostConfig { port, ..HostConfig::default() }).await.stop().await;
}

#[tokio::test]
async fn a_lasting_folder_keeps_what_was_answered_and_is_used_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let world = WorldConfig { data_dir: Some(folder.path().join("notebook")), ..WorldConfig::default() };
    let config = HostConfig { world, ..HostConfig::default() };
    let first = start(config.clone()).await;
    let notes = format!("{}/notes", first.url());
    assert_eq!(client().post(&notes).send().await.unwrap().status(), 201);
    let error = Host::start(product(), config.clone()).await.err().unwrap();
    assert!(
        matches!(error, StartError::World { .. }) && error.to_string().contains("in use by another process"),
        "{error}"
    );
    // Whoever still looks at the World keeps nobody from its folder.
    let _held = first.world();
    first.stop().await;

    let second = start(config.clone()).await;
    let notes = format!("{}/notes", second.url());
    let read = async || client().get(&notes).send().await.unwrap().text().await.unwrap();
    assert_eq!(read().await, "notes: 1");
    assert_eq!(client().post(&notes).send().await.unwrap().status(), 201, "ids of the first run do not come again");
    second.reset().await.unwrap();
    assert_eq!(read().await, "notes: 0");
    client().post(&notes).send().await.unwrap();
    second.stop().await;
    let third = start(config).await;
    assert_eq!(client().get(format!("{}/notes", third.url())).send().await.unwrap().text().await.unwrap(), "notes: 1");
    third.stop().await;
}

#[tokio::test]
async fn another_port_answers_one_path_alone() {
    let mut running = start(HostConfig::default()).await;
    let address = running.also_answer("/notes", [127, 0, 0, 1].into(), 0).await.unwrap();
    let get = async |path: &str| client().get(format!("http://{address}{path}")).send().await;
    let notes = async || get("/notes").await.unwrap().text().await.unwrap();
    client().post(format!("{}/notes", running.url())).send().await.unwrap();
    let known = running.world().journal().counters().total;
    assert_eq!(notes().await, "notes: 1");
    assert_eq!(get("/__sim__/v1/health").await.unwrap().status(), 404);
    let posted = client().post(format!("http://{address}/notes")).send().await.unwrap();
    assert_eq!(posted.status(), 405);
    assert_eq!(running.world().journal().counters().total, known, "nothing of it is in the journal");
    running.reset().await.unwrap();
    assert_eq!(notes().await, "notes: 0");
    let error = running.also_answer("/notes", [127, 0, 0, 1].into(), address.port()).await.unwrap_err();
    assert!(error.to_string().contains("is in use"), "{error}");
    running.stop().await;
    assert!(get("/notes").await.is_err(), "it ends with the server");
}

#[tokio::test]
async fn reset_works_on_postgres() {
    let Some(server) = Postgres::start() else { return };
    let world = WorldConfig { database_url: Some(server.database().await), ..WorldConfig::default() };
    let running = start(HostConfig { world, ..HostConfig::default() }).await;
    let notes = format!("{}/notes", running.url());
    client().post(&notes).send().await.unwrap();
    running.reset().await.unwrap();
    assert_eq!(client().get(&notes).send().await.unwrap().text().await.unwrap(), "notes: 0");
    running.stop().await;
}

#[tokio::test]
async fn an_unwritable_folder_is_named() {
    let world = WorldConfig { data_dir: Some("/proc/nowhere".into()), ..WorldConfig::default() };
    let error = Host::start(product(), HostConfig { world, ..HostConfig::default() }).await.err().unwrap();
    assert!(error.to_string().contains("cannot use the data folder /proc/nowhere"), "{error}");
}

#[tokio::test]
async fn beyond_loopback_needs_a_token() {
    let config = HostConfig { bind: [0, 0, 0, 0].into(), ..HostConfig::default() };
    assert!(matches!(Host::start(product(), config).await, Err(StartError::Unprotected(_))));
}

#[tokio::test]
async fn faults_on_the_way_in() {
    let running = start(HostConfig::default()).await;
    let notes = format!("{}/notes", running.url());
    let rule = |json: serde_json::Value| {
        running.world().faults().clear();
        running.world().faults().add(serde_json::from_value(json).unwrap()).unwrap();
    };
    rule(serde_json::json!({"effect": {"kind": "status", "status": 503, "retry_after": 7}}));
    let answer = client().post(&notes).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["retry-after"].to_str().unwrap()), (503, "7"));
    rule(serde_json::json!({"phase": "after", "effect": {"kind": "reset"}}));
    assert!(client().post(&notes).send().await.is_err());
    rule(serde_json::json!({"effect": {"kind": "truncate", "bytes": 3}}));
    assert!(client().get(&notes).send().await.unwrap().text().await.is_err());
    rule(serde_json::json!({"effect": {"kind": "corrupt", "at": 0}}));
    assert_eq!(client().get(&notes).send().await.unwrap().bytes().await.unwrap()[0], b'n' ^ 0xff);
    running.world().faults().clear();
    assert_eq!(
        client().get(&notes).send().await.unwrap().text().await.unwrap(),
        "notes: 1",
        "the one whose answer was lost"
    );
    let entries = running.world().journal().entries(0, 100, |e| e.fault.is_some());
    assert_eq!(entries.iter().map(|e| e.status).collect::<Vec<_>>(), [Some(503), None, Some(200), Some(200)]);
    running.stop().await;
}

#[tokio::test]
async fn a_link_can_be_cut_from_the_side_that_asks() {
    let (asker, other) = (start(HostConfig::default()).await, start(HostConfig::default()).await);
    let ask = format!("{}/ask/{}", asker.url(), other.address().port());
    let read = async || client().get(&ask).send().await.unwrap().text().await.unwrap();
    assert_eq!(read().await, "notes: 0");
    let rule =
        serde_json::json!({"id": "cut", "match": {"direction": "out", "peer": "other"}, "effect": {"kind": "reset"}});
    asker.world().faults().add(serde_json::from_value(rule).unwrap()).unwrap();
    assert!(read().await.contains("connection reset by peer (cut by fault rule cut)"));
    let rule =
        serde_json::json!({"id": "cut", "match": {"direction": "out"}, "effect": {"kind": "truncate", "bytes": 1}});
    asker.world().faults().add(serde_json::from_value(rule).unwrap()).unwrap();
    assert_eq!(read().await, "body broken");
    asker.world().faults().clear();
    let other_port = other.address().port();
    other.stop().await;
    let text = read().await;
    assert!(text.contains("onnection refused") && text.contains(&other_port.to_string()), "{text}");
    let out = asker.world().journal().entries(0, 100, |e| e.direction == Direction::Out);
    assert_eq!(out.iter().map(|e| e.status).collect::<Vec<_>>(), [Some(200), None, Some(200), None]);
    assert!(out.iter().all(|e| !e.path.contains("secret") && e.peer.as_deref() == Some("other")));
    asker.stop().await;
}

#[tokio::test]
async fn the_same_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let Some((certificate, key)) = own_certificate(folder.path()) else { return };
    let mut running = start(HostConfig::default()).await;
    let bind = [127, 0, 0, 1].into();
    let address = running.also_serve_tls(bind, 0, &certificate, &key).await.unwrap();
    let known = reqwest::Certificate::from_pem(&std::fs::read(&certificate).unwrap()).unwrap();
    let trusting = reqwest::Client::builder().no_proxy().tls_certs_only([known]).build().unwrap();
    let ask = async |url: String| trusting.post(format!("{url}/notes")).send().await.unwrap().status();
    assert_eq!(ask(format!("https://{address}")).await, 201);
    assert_eq!(ask(running.url()).await, 201);
    let notes = trusting.get(format!("https://{address}/notes")).send().await.unwrap().text().await.unwrap();
    assert_eq!(notes, "notes: 2", "one server, two ports");
    assert!(
        sim_kit::http_client::client(|builder| builder).get(format!("https://{address}/notes")).send().await.is_err()
    );
    assert!(trusting.get(format!("http://{address}/notes")).send().await.is_err(), "nothing is told without TLS");
    for (certificate, key, reason) in [(&key, &key, "key.pem"), (&certificate, &certificate, "cert.pem")] {
        let error = running.also_serve_tls(bind, 0, certificate, key).await.unwrap_err().to_string();
        assert!(error.contains("HTTPS needs a certificate and its key in PEM") && error.contains(reason), "{error}");
    }
    running.stop().await;
    assert!(trusting.get(format!("https://{address}/notes")).send().await.is_err());
}
