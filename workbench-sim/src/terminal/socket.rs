//! Terminals over WebSockets: `/s/{scope}/terminal` (a shell) and `/s/{scope}/console` (R).
//!
//! The real product's terminal protocol is not public; this one is small enough for a script:
//!
//! | frame | from | what |
//! |---|---|---|
//! | binary | both | bytes typed, bytes written |
//! | text `{"type":"input","data":"ls\r"}` | client | the same as text |
//! | text `{"type":"resize","cols":80,"rows":24}` | client | the window's size; also as `?cols=&rows=` when opening |
//! | text `{"type":"hello","runtime":"process"\|"simulated"}` | server | comes first |
//! | text `{"type":"exit","code":0}` | server | the program ended; the socket closes; opening again starts another |
//! | text `{"type":"error","message":"…"}` | server | a frame that was not understood |
//!
//! After `hello` the server sends what it still has of the output so far, then what comes.

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use chrono::TimeDelta;
use http::HeaderMap;
use serde::Deserialize;
use serde_json::json;

use super::{Channel, Input, Output, Size, Terminal};
use crate::App;
use crate::auth::{Call, csrf};
use crate::config::Runtime;
use crate::error::Error;
use crate::scope::Scope;
use crate::session::{self, Session};
use crate::{environment, store};

/// Largest frame taken: a pasted page.
const LARGEST_FRAME: usize = 64 * 1024;

#[derive(Deserialize)]
pub(crate) struct Window {
    cols: Option<u16>,
    rows: Option<u16>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Frame {
    Input { data: String },
    Resize { cols: u16, rows: u16 },
}

pub(crate) async fn shell(
    State(app): State<App>,
    caller: Call,
    path: Path<String>,
    window: Query<Window>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    attach(app, caller, path, window, &headers, upgrade, Channel::Shell).await
}

pub(crate) async fn console(
    State(app): State<App>,
    caller: Call,
    path: Path<String>,
    window: Query<Window>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Error> {
    attach(app, caller, path, window, &headers, upgrade, Channel::R).await
}

async fn attach(
    app: App,
    Call(identity): Call,
    Path(scope): Path<String>,
    Query(window): Query<Window>,
    headers: &HeaderMap,
    upgrade: WebSocketUpgrade,
    channel: Channel,
) -> Result<Response, Error> {
    csrf::check_origin(headers)?;
    check_host(&app, headers)?;
    let scope: Scope = scope.parse().map_err(|()| Error::NoSession)?;
    let session = session::find_own(&app, &identity, &scope.session).await?;
    if session.state != session::State::Running {
        return Err(Error::Conflict(format!("the session is {}", session.state.name())));
    }
    // An administrator who looks in sees the owner's session.
    let user = store::users::find(app.world().db(), &session.user).await?;
    let user = user.ok_or(Error::NoSession)?;
    let environment = environment::prepare(&app, &session, &user)?;
    let size = Size::bounded(window.cols.unwrap_or(80), window.rows.unwrap_or(24));
    let terminal = app.terminals().open(&app, &session.id, channel, &environment, size);
    Ok(upgrade
        .max_message_size(LARGEST_FRAME)
        .max_frame_size(LARGEST_FRAME)
        .on_upgrade(move |socket| converse(app, session, terminal, size, socket)))
}

/// Everybody knows the passwords. So where nobody has asked for real shells, they are for this machine's own browsers under
/// this machine's own name: a page whose name was made to lead to loopback gets none.
fn check_host(app: &App, headers: &HeaderMap) -> Result<(), Error> {
    let config = app.config();
    if config.runtime != Runtime::Auto || config.shell().is_none() {
        return Ok(());
    }
    let host = headers.get(http::header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let name =
        host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())).map_or(host, |(n, _)| n);
    if matches!(name, "localhost" | "127.0.0.1" | "[::1]") {
        return Ok(());
    }
    Err(Error::Forbidden(format!(
        "terminals are not opened under the name {host:?}; use localhost, or choose the runtime: process or simulated"
    )))
}

async fn converse(app: App, mut session: Session, terminal: Terminal, size: Size, mut socket: WebSocket) {
    let hello = json!({ "type": "hello", "runtime": terminal.runtime }).to_string();
    if socket.send(Message::Text(hello.into())).await.is_err() {
        return;
    }
    let _ = terminal.input.try_send(Input::Resize(size));
    let mut place = 0;
    loop {
        let sent = tokio::select! {
            output = terminal.screen.read(place) => match output {
                Output::Bytes(bytes, next) => {
                    place = next;
                    socket.send(Message::Binary(bytes)).await
                }
                Output::Exit(code) => {
                    let exit = json!({ "type": "exit", "code": code }).to_string();
                    let _ = socket.send(Message::Text(exit.into())).await;
                    let _ = socket.send(Message::Close(None)).await;
                    return;
                }
            },
            message = socket.recv() => {
                let input = match message {
                    Some(Ok(Message::Binary(bytes))) => Some(Input::Bytes(bytes)),
                    Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                        Ok(Frame::Input { data }) => Some(Input::Bytes(Bytes::from(data))),
                        Ok(Frame::Resize { cols, rows }) => Some(Input::Resize(Size::bounded(cols, rows))),
                        Err(error) => {
                            let told = json!({ "type": "error", "message": error.to_string() }).to_string();
                            if socket.send(Message::Text(told.into())).await.is_err() {
                                return;
                            }
                            None
                        }
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => None,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                };
                if let Some(input) = input {
                    if matches!(input, Input::Bytes(_)) {
                        used(&app, &mut session).await;
                    }
                    // Waits while the program does not read. When it has ended, the screen says so.
                    tokio::select! {
                        _ = terminal.input.send(input) => {}
                        () = terminal.screen.closed() => {}
                    }
                }
                Ok(())
            }
            () = app.world().ending() => return,
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Notes in the row that the session is in use, every ten seconds at most.
async fn used(app: &App, session: &mut Session) {
    let now = app.now().timestamp_micros();
    if now - session.last_used >= TimeDelta::seconds(10).num_microseconds().unwrap_or(i64::MAX) {
        if let Err(error) = session::touch(app, session).await {
            tracing::warn!(%error, "cannot note that a session is in use");
        }
        session.last_used = now;
    }
}
