//! Answers at hand, over one connection spoken by hand: no client of HTTP shows which way its answer took.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use sim_kit::at_hand::{Answer, Asked, AtHand, Ready, Repeatable};
use sim_kit::control::Control;
use sim_kit::{Fidelity, Host, HostConfig, Product, Running, Simulator, Table};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::MIGRATIONS;

type Kept = Arc<Mutex<Option<Arc<Answer>>>>;

const BODY: &[u8] = b"a page";

async fn page() -> Response {
    let mut response = BODY.into_response();
    response.extensions_mut().insert(Repeatable(BODY.into()));
    response
}

/// Keeps the page once it has been made.
async fn keep(State(kept): State<Kept>, response: Response) -> Response {
    if response.extensions().get::<Repeatable>().is_some() {
        *kept.lock().unwrap() = Answer::of(&response, BODY.into()).map(Arc::new);
    }
    response
}

/// A product with one page, and how many of its answers were at hand.
async fn start() -> (Running, Arc<Mutex<u32>>) {
    let found = Arc::<Mutex<u32>>::default();
    let counted = found.clone();
    let build = move |world| {
        let (kept, counted) = (Kept::default(), counted.clone());
        let (router, routes) = Table::default()
            .row("GET", "/page", page, "", Fidelity::Documented)
            .row("POST", "/page", async |sent: String| format!("posted {sent}"), "", Fidelity::Documented)
            .row("GET", "/other", async || "another", "", Fidelity::Documented)
            .finish(world, async || "nothing");
        let at_hand: AtHand = {
            let kept = kept.clone();
            Arc::new(move |asked: &Asked<'_>| {
                let answer = (asked.path() == "/page").then(|| kept.lock().unwrap().clone())??;
                *counted.lock().unwrap() += 1;
                Some(Ready { answer, count: None })
            })
        };
        let router = router.layer(axum::middleware::map_response_with_state(kept, keep));
        Simulator { at_hand: Some(at_hand), router, routes, control: Control::default() }
    };
    let product = Product {
        name: "pages",
        migrations: MIGRATIONS,
        quick: |method, _| method.is_safe(),
        build: Arc::new(move |world| {
            let simulator = build(world);
            Box::pin(async move { Ok(simulator) })
        }),
    };
    (Host::start(product, HostConfig::default()).await.unwrap(), found)
}

/// A connection.
struct Talk(TcpStream);

impl Talk {
    async fn to(running: &Running) -> Self {
        Self(TcpStream::connect(running.address()).await.unwrap())
    }

    async fn say(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// The next answer's head, sorted and without its date, and its body.
    async fn hear(&mut self) -> (Vec<String>, String) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(self.0.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let mut lines: Vec<_> = head.trim_end().lines().map(str::to_owned).collect();
        assert!(lines.iter().any(|line| line.starts_with("date: ")), "{head}");
        lines.retain(|line| !line.starts_with("date: "));
        lines.sort();
        let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        (lines, String::from_utf8_lossy(&body).into_owned())
    }

    async fn ask(&mut self, text: &str) -> (Vec<String>, String) {
        self.say(text).await;
        self.hear().await
    }

    /// Whether the other side says nothing more.
    async fn is_over(&mut self) -> bool {
        self.0.read(&mut [0; 64]).await.map_or(true, |read| read == 0)
    }
}

const PAGE: &str = "GET /page HTTP/1.1\r\nHost: x\r\nUser-Agent: a reader\r\n\r\n";

#[tokio::test]
async fn every_way_gives_the_same_answer() {
    let (running, found) = start().await;
    let mut talk = Talk::to(&running).await;
    let made = talk.ask(PAGE).await;
    assert_eq!((made.0[0].as_str(), made.1.as_bytes()), ("HTTP/1.1 200 OK", BODY));
    assert_eq!(*found.lock().unwrap(), 0);
    assert_eq!(talk.ask(PAGE).await, made);
    // Two at once.
    talk.say(&PAGE.repeat(2)).await;
    assert_eq!((talk.hear().await, talk.hear().await), (made.clone(), made.clone()));
    assert_eq!(*found.lock().unwrap(), 3);
    // What came of another request is its beginning.
    talk.say(&format!("{PAGE}POST /page HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")).await;
    assert_eq!(talk.hear().await, made);
    assert_eq!(talk.ask("y").await.1, "posted xy");
    assert_eq!(talk.ask(PAGE).await, made, "by the whole server");
    assert_eq!(*found.lock().unwrap(), 5);
    // An answer that is made for nobody to keep goes out by the whole server, once.
    let mut talk = Talk::to(&running).await;
    assert_eq!(talk.ask("GET /other HTTP/1.1\r\nHost: x\r\n\r\n").await.1, "another");
    assert_eq!(talk.ask(PAGE).await, made);
    // A head in parts.
    let mut talk = Talk::to(&running).await;
    talk.say(&PAGE[..20]).await;
    assert_eq!(talk.ask(&PAGE[20..]).await, made);
    let entries = running.world().journal().entries(0, 100, |_| true);
    let told: Vec<_> = entries
        .iter()
        .map(|entry| (entry.method.as_str(), entry.route.as_deref().unwrap(), entry.user_agent.is_some()))
        .collect();
    let page = ("GET", "/page", true);
    let expected = [page, page, page, page, page, ("POST", "/page", false), page, ("GET", "/other", false), page, page];
    assert_eq!(told, expected);
    assert!(entries.iter().all(|entry| entry.status == Some(200)));
    running.stop().await;
}

#[tokio::test]
async fn rules_hold_for_what_is_at_hand() {
    let (running, _) = start().await;
    let mut talk = Talk::to(&running).await;
    talk.ask(PAGE).await;
    talk.ask(PAGE).await;
    let rule = |effect: serde_json::Value| {
        running.world().faults().clear();
        running.world().faults().add(serde_json::from_value(serde_json::json!({ "effect": effect })).unwrap()).unwrap();
    };
    rule(serde_json::json!({"kind": "status", "status": 503, "body": "no"}));
    assert_eq!(talk.ask(PAGE).await.0[0], "HTTP/1.1 503 Service Unavailable");
    rule(serde_json::json!({"kind": "reset"}));
    for mut talk in [talk, Talk::to(&running).await] {
        talk.say(PAGE).await;
        assert!(talk.is_over().await);
    }
    rule(serde_json::json!({"kind": "corrupt", "at": 0}));
    assert_eq!(Talk::to(&running).await.ask(PAGE).await.1, "\u{fffd} page");
    rule(serde_json::json!({"kind": "truncate", "bytes": 3}));
    let mut talk = Talk::to(&running).await;
    talk.say(PAGE).await;
    let mut all = Vec::new();
    let _ = talk.0.read_to_end(&mut all).await;
    assert!(all.ends_with(b"\r\n\r\na p"), "{}", String::from_utf8_lossy(&all));
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_leaves_no_connection() {
    let (running, _) = start().await;
    let (mut silent, mut idle) = (Talk::to(&running).await, Talk::to(&running).await);
    idle.ask(PAGE).await;
    // Both are known to the server: the silent one came before.
    running.stop().await;
    assert!(silent.is_over().await && idle.is_over().await);
}
