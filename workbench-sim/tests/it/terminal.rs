//! Real shells on PTYs.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{COOKIE, ORIGIN};
use serde_json::{Value, json};
use sim_kit::Running;
use sim_kit::testing::need_tool;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use workbench_sim::Runtime;
use workbench_sim::client::{Client, LaunchedSession, Terminal};

use crate::server::{Around, LONG, config, http, publisher, start, with_around};

async fn session(client: &Client) -> LaunchedSession {
    let session = client.launch("RStudio", "t").await.unwrap();
    client.wait_until_active(&session, LONG).await.unwrap();
    session
}

async fn line(terminal: &mut Terminal, command: &str) -> String {
    let ran = terminal.run(command, LONG).await.unwrap();
    assert_eq!(ran.status, 0, "{command}: {}", ran.output);
    ran.output.trim_end().to_owned()
}

fn alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn until_gone(pids: &[String]) {
    let gone = async {
        while pids.iter().any(|pid| alive(pid)) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, gone).await.unwrap_or_else(|_| panic!("still alive: {pids:?}"));
}

#[tokio::test]
async fn commands_run_in_a_real_shell() {
    let workbench = start(config(Runtime::Process)).await;
    let client = publisher(&workbench).await;
    let session = session(&client).await;
    let mut terminal = client.terminal(&session).await.unwrap();
    assert_eq!(terminal.runtime(), "process");
    assert_eq!(line(&mut terminal, "expr 6 '*' 7").await, "42");
    let failed = terminal.run("ls /none/such", LONG).await.unwrap();
    assert!(failed.status != 0 && failed.output.contains("/none/such"), "{failed:?}");
    assert_eq!(line(&mut terminal, "cd samples && pwd | sed \"s/.*home//\"").await, "/publisher/samples");
    assert_eq!(line(&mut terminal, "tty > /dev/null && echo tty").await, "tty");
    // The terminal lives on without its browser, and shows what was.
    line(&mut terminal, "KEPT=kept-value").await;
    drop(terminal);
    let mut again = client.terminal(&session).await.unwrap();
    again.read_until("/publisher/samples", LONG).await.unwrap();
    assert_eq!(line(&mut again, "echo $KEPT").await, "kept-value");
    again.resize(93, 31).await.unwrap();
    let deadline = tokio::time::Instant::now() + LONG;
    while line(&mut again, "stty size").await != "31 93" {
        assert!(tokio::time::Instant::now() < deadline);
    }
}

#[tokio::test]
async fn several_browsers_see_the_same() {
    let workbench = start(config(Runtime::Process)).await;
    let client = publisher(&workbench).await;
    let session = session(&client).await;
    let mut first = client.terminal(&session).await.unwrap();
    let mut second = client.terminal(&session).await.unwrap();
    first.send("echo \"seen by\"\" all\"\r").await.unwrap();
    first.read_until("seen by all", LONG).await.unwrap();
    second.read_until("seen by all", LONG).await.unwrap();
}

#[tokio::test]
async fn a_session_finds_its_environment() {
    let (_, around) = Around::start(false).await;
    let workbench = start(with_around(Runtime::Process, &around)).await;
    let client = publisher(&workbench).await;
    let session = session(&client).await;
    let mut terminal = client.terminal(&session).await.unwrap();
    let environment = line(&mut terminal, "env").await;
    let key = &sim_kit::seed::users(1)[1].api_key;
    let url = workbench.url();
    for wanted in [
        "POSIT_PRODUCT=WORKBENCH".to_owned(),
        format!("PIP_INDEX_URL={around}/simple"),
        format!("UV_DEFAULT_INDEX={around}/simple"),
        format!("CONNECT_SERVER={around}/"),
        format!("CONNECT_API_KEY={key}"),
        format!("RS_SERVER_URL={url}/"),
        format!("RS_SERVER_ADDRESS={url}"),
        format!("RS_SESSION_URL={}", session.url),
        "RSTUDIO=1".to_owned(),
        "USER=publisher".to_owned(),
        "RS_PORT_TOKEN=".to_owned(),
        "RS_SESSION_RPC_COOKIE=publisher|".to_owned(),
        "PWB_SESSION_RUNTIME_DIR=/".to_owned(),
        "R_PROFILE_USER=/".to_owned(),
    ] {
        assert!(environment.lines().any(|line| line.starts_with(&wanted)), "{wanted} is not in\n{environment}");
    }
    // Nothing of the server's own environment but what a shell needs.
    assert!(!environment.contains("CARGO_"), "{environment}");
    // The cookie proves who the session belongs to.
    let cookie = line(&mut terminal, "cat \"$PWB_SESSION_RUNTIME_DIR/rpc_cookie\"").await;
    assert!(environment.contains(&format!("RS_SESSION_RPC_COOKIE={cookie}")));
    let answer = http()
        .post(format!("{url}/api/get_session"))
        .header("X-RS-Session-Server-RPC-Cookie", &cookie)
        .json(&json!({ "kwparams": { "session_id": session.id } }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.json::<Value>().await.unwrap()["result"]["sessions"][0]["id"], session.id);
    let beat = http().post(format!("{url}/heartbeat")).header("X-RS-Session-Server-RPC-Cookie", &cookie).json(
        &json!({ "method": "heartbeat", "kwparams": { "sessionId": session.url.trim_matches('/').replace("s/", "") } }),
    );
    assert_eq!(beat.send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn real_pip_downloads_from_the_index_of_the_session() {
    if need_tool("python3").is_none() {
        return;
    }
    let (_, around) = Around::start(false).await;
    let workbench = start(with_around(Runtime::Process, &around)).await;
    let client = publisher(&workbench).await;
    let session = session(&client).await;
    let mut terminal = client.terminal(&session).await.unwrap();
    line(&mut terminal, "python3 -m pip download --no-cache-dir -d wheels needy").await;
    assert_eq!(
        line(&mut terminal, "ls wheels").await.split_whitespace().collect::<Vec<_>>(),
        ["needed-1.2.0-py3-none-any.whl", "needy-1.2.0-py3-none-any.whl"]
    );
}

#[tokio::test]
async fn real_r_sees_the_repository_and_installs_from_it() {
    if need_tool("R").is_none() {
        return;
    }
    let (_, around) = Around::start(false).await;
    let workbench = start(with_around(Runtime::Process, &around)).await;
    let client = publisher(&workbench).await;
    let session = session(&client).await;
    let mut console = client.console(&session).await.unwrap();
    console.read_until("> ", LONG).await.unwrap();
    console.send("cat(paste0(\"st\", \"art\"), getOption(\"repos\"), paste0(\"fin\", \"ish\"))\n").await.unwrap();
    let seen = console.read_until("finish", LONG).await.unwrap();
    assert!(seen.contains(&format!("start {around}/cran")), "{seen}");
    console.send("R.version$major\n").await.unwrap();
    console.read_until("[1] \"4\"", LONG).await.unwrap();
    let mut terminal = client.terminal(&session).await.unwrap();
    let ran =
        terminal.run("R -q -e 'install.packages(\"rneedy\")' > log 2>&1", Duration::from_secs(180)).await.unwrap();
    assert_eq!(ran.status, 0, "{}", line(&mut terminal, "cat log").await);
    // Console and terminal share the library in the home folder.
    console.send("cat(\"version\", as.character(packageVersion(\"rneedy\")), \"\\n\")\n").await.unwrap();
    console.read_until("version 0.2.0", LONG).await.unwrap();
}

/// Starts a shell with a child in the background, one in the foreground, both deaf to hang-ups, and one in a session of
/// its own.
async fn stubborn(client: &Client, session: &LaunchedSession) -> (Terminal, Vec<String>) {
    let mut terminal = client.terminal(session).await.unwrap();
    let shell = line(&mut terminal, "echo $$").await;
    let background = line(&mut terminal, "(trap '' HUP TERM; exec sleep 1000) & echo $!").await;
    let background = background.lines().last().unwrap().trim().to_owned();
    line(&mut terminal, "setsid sh -c 'echo $$ > daemon; exec sleep 1000' < /dev/null > /dev/null 2>&1 &").await;
    let daemon = line(&mut terminal, "until [ -s daemon ]; do :; done; cat daemon; rm daemon").await;
    // The shell may have words of its own about jobs.
    let daemon = daemon.lines().next().unwrap().to_owned();
    // What is typed does not hold the word whole.
    terminal.send("sh -c 'trap \"\" HUP; echo fore\"\"ground=$$.; exec sleep 1000'\r").await.unwrap();
    terminal.read_until("foreground=", LONG).await.unwrap();
    let foreground = terminal.read_until(".", LONG).await.unwrap().trim_end_matches('.').to_owned();
    let pids = vec![shell, background, daemon, foreground];
    assert!(pids.iter().all(|pid| alive(pid)), "{pids:?}");
    (terminal, pids)
}

#[tokio::test]
async fn processes_end_with_their_session() {
    let workbench = start(config(Runtime::Process)).await;
    let client = publisher(&workbench).await;
    for kwparams in [json!({}), json!({ "force_quit": true }), json!({ "suspend": true })] {
        let session = session(&client).await;
        let (mut terminal, pids) = stubborn(&client, &session).await;
        let mut kwparams = kwparams;
        kwparams["session_ids"] = json!(session.id);
        client.call("stop_session", kwparams).await.unwrap();
        until_gone(&pids).await;
        assert!(terminal.read_until("never", LONG).await.unwrap_err().to_string().contains("ended"));
    }
}

#[tokio::test]
async fn processes_end_with_the_server_and_with_a_reset() {
    let workbench = start(config(Runtime::Process)).await;
    let client = publisher(&workbench).await;
    let (_terminal, pids) = stubborn(&client, &session(&client).await).await;
    workbench.reset().await.unwrap();
    until_gone(&pids).await;
    let client = publisher(&workbench).await;
    let (_terminal, pids) = stubborn(&client, &session(&client).await).await;
    workbench.stop().await;
    assert!(!pids.iter().any(|pid| alive(pid)), "they outlived the server");
}

#[tokio::test]
async fn an_ended_shell_is_told_and_another_started() {
    let workbench = start(config(Runtime::Process)).await;
    let client = publisher(&workbench).await;
    let session = session(&client).await;
    let mut terminal = client.terminal(&session).await.unwrap();
    let first = line(&mut terminal, "echo $$").await;
    terminal.send("exit 3\r").await.unwrap();
    let told = terminal.read_until("never", LONG).await.unwrap_err().to_string();
    assert!(told.contains("\"code\":3"), "{told}");
    let mut terminal = client.terminal(&session).await.unwrap();
    assert_ne!(line(&mut terminal, "echo $$").await, first);
}

#[tokio::test]
async fn floods_are_survived() {
    let workbench = start(config(Runtime::Process)).await;
    let client = publisher(&workbench).await;
    let session = session(&client).await;
    let mut terminal = client.terminal(&session).await.unwrap();
    let ran = terminal
        .run("seq 1 200000 | tail -n +199990; head -c 3000000 /dev/zero | tr '\\0' x | fold -w 100 | tail -1", LONG);
    let ran = ran.await.unwrap();
    assert!(ran.output.contains("199990\n199991") && ran.output.trim_end().ends_with("xxx"), "{}", ran.output.len());
    // More than is kept: the end is there.
    terminal.send("seq 1 300000; echo \"flood\"-over\r").await.unwrap();
    terminal.read_until("flood-over", LONG).await.unwrap();
}

#[tokio::test]
async fn other_names_for_loopback_open_no_shell_that_nobody_asked_for() {
    for (runtime, status) in [(Runtime::Auto, 403), (Runtime::Process, 101), (Runtime::Simulated, 101)] {
        let workbench = start(config(runtime)).await;
        let client = publisher(&workbench).await;
        let session = session(&client).await;
        let request = http()
            .get(format!("{}{}terminal", workbench.url(), session.url))
            .header("Host", "rebound.example:8787")
            .header("Origin", "http://rebound.example:8787")
            .header("Cookie", client.cookie_header())
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{runtime:?}");
    }
}

async fn open(workbench: &Running, cookie: &str, path: &str, origin: Option<&str>) -> Result<(), u16> {
    let url = format!("{}{path}", workbench.url().replace("http", "ws"));
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert(COOKIE, cookie.parse().unwrap());
    if let Some(origin) = origin {
        request.headers_mut().insert(ORIGIN, origin.parse().unwrap());
    }
    match tokio_tungstenite::connect_async(request).await {
        Ok(_) => Ok(()),
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn only_our_pages_open_terminals() {
    let workbench = start(config(Runtime::Process)).await;
    let client = publisher(&workbench).await;
    let session = session(&client).await;
    let (cookie, path) = (client.cookie_header(), format!("{}terminal", session.url));
    assert_eq!(open(&workbench, &cookie, &path, None).await, Ok(()));
    assert_eq!(open(&workbench, &cookie, &path, Some(&workbench.url())).await, Ok(()));
    assert_eq!(open(&workbench, &cookie, &path, Some("http://evil.example")).await, Err(403));
    assert_eq!(open(&workbench, &cookie, &path, Some("null")).await, Err(403));
    assert_eq!(open(&workbench, "", &path, None).await, Err(401));
    let viewer = Client::sign_in(&workbench.url(), "viewer", "viewer-password").await.unwrap();
    assert_eq!(open(&workbench, &viewer.cookie_header(), &path, None).await, Err(404));
    assert_eq!(open(&workbench, &cookie, "/s/zzz/terminal", None).await, Err(503));
    client.quit(&session).await.unwrap();
    assert_eq!(open(&workbench, &cookie, &path, None).await, Err(409));
}

#[tokio::test]
async fn frames_are_text_or_bytes_and_bad_ones_are_answered() {
    let workbench = start(config(Runtime::Process)).await;
    let client = publisher(&workbench).await;
    let session = session(&client).await;
    let url = format!("{}{}terminal?cols=70000", workbench.url().replace("http", "ws"), session.url);
    let mut request = url.as_str().into_client_request().unwrap();
    request.headers_mut().insert(COOKIE, client.cookie_header().parse().unwrap());
    // A number that does not fit is refused, not guessed.
    assert!(tokio_tungstenite::connect_async(request).await.is_err());
    let mut request = url.replace("70000", "65535").into_client_request().unwrap();
    request.headers_mut().insert(COOKIE, client.cookie_header().parse().unwrap());
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.unwrap();
    let hello: Value = serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(hello, json!({ "type": "hello", "runtime": "process" }));
    for bad in ["{", "{\"type\":\"fly\"}", "{\"type\":\"resize\",\"cols\":-1,\"rows\":0}"] {
        socket.send(Message::Text(bad.into())).await.unwrap();
        loop {
            if let Message::Text(text) = socket.next().await.unwrap().unwrap() {
                assert!(text.contains("\"error\""), "{text}");
                break;
            }
        }
    }
    let input = json!({ "type": "input", "data": "stty size; echo \"text\"-frame\r" }).to_string();
    socket.send(Message::Text(input.into())).await.unwrap();
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("text-frame") {
        if let Message::Binary(bytes) = socket.next().await.unwrap().unwrap() {
            seen.extend(bytes);
        }
    }
    assert!(String::from_utf8_lossy(&seen).contains("24 500"), "{}", String::from_utf8_lossy(&seen));
}
