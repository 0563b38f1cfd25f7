//! A client of a Workbench, for tests and scripts: it signs in as the page's script does, launches a session, runs
//! commands in its terminal and reads what they write.
//!
//! ```no_run
//! # async fn example() -> Result<(), workbench_sim::client::ClientError> {
//! use std::time::Duration;
//! use workbench_sim::client::Client;
//!
//! let client = Client::sign_in("http://127.0.0.1:8787", "publisher", "publisher-password").await?;
//! let session = client.launch("RStudio", "analysis").await?;
//! client.wait_until_active(&session, Duration::from_secs(90)).await?;
//! let mut terminal = client.terminal(&session).await?;
//! let ran = terminal.run("pip install flask", Duration::from_secs(300)).await?;
//! assert_eq!(ran.status, 0, "{}", ran.output);
//! client.quit(&session).await?;
//! # Ok(()) }
//! ```

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt as _, StreamExt as _};
use http::header::{COOKIE, LOCATION};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;
use reqwest::cookie::{CookieStore as _, Jar};
use rsa::{BoxedUint, Pkcs1v15Encrypt, PublicKey};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use url::Url;

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an address.
    #[error("{0} is no http address of a Workbench")]
    Address(String),
    /// No answer.
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    /// No terminal.
    #[error("terminal: {0}")]
    Socket(Box<tungstenite::Error>),
    /// The server did not let the user in; `error=` of the sign-in page.
    #[error("sign-in of {user} was refused (error {number})")]
    Refused {
        /// Who.
        user: String,
        /// 1 wrong name or password, 2 too soon or no token, 3 not allowed.
        number: String,
    },
    /// A call failed.
    #[error("{method}: {status}: {message}")]
    Call {
        /// The API method.
        method: String,
        /// HTTP status.
        status: u16,
        /// The server's words.
        message: String,
    },
    /// The answer is not what it should be.
    #[error("unexpected answer: {0}")]
    Unexpected(String),
    /// It took too long.
    #[error("{what} took longer than {within:?}; so far: {so_far}")]
    TooLong {
        /// What was waited for.
        what: String,
        /// How long.
        within: Duration,
        /// The last of what was seen.
        so_far: String,
    },
}

impl From<tungstenite::Error> for ClientError {
    fn from(error: tungstenite::Error) -> Self {
        Self::Socket(Box::new(error))
    }
}

/// A signed-in user.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    cookies: Arc<Jar>,
    base: Url,
}

/// A session as it was launched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchedSession {
    /// Eight hex digits.
    pub id: String,
    /// Its address on the server, `/s/{scope}/`.
    pub url: String,
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Exit status.
    pub status: i32,
    /// What it wrote, without colours.
    pub output: String,
}

impl Client {
    /// Signs in at `base` (with its root path, if it has one), in whichever form the sign-in page has.
    ///
    /// # Errors
    /// [`ClientError::Refused`], or when there is no Workbench.
    pub async fn sign_in(base: &str, user: &str, password: &str) -> Result<Self, ClientError> {
        let bad = |_| ClientError::Address(base.to_owned());
        let base = Url::parse(&format!("{}/", base.trim_end_matches('/'))).map_err(bad)?;
        let cookies = Arc::new(Jar::default());
        let http = sim_kit::http_client::client(|builder| {
            let builder = builder.user_agent("Mozilla/5.0 (teamsim browser)").cookie_provider(cookies.clone());
            builder.redirect(reqwest::redirect::Policy::none())
        });
        let client = Self { http, cookies, base };
        let page = client.http.get(client.url("auth-sign-in")).send().await?.text().await?;
        let token = client.token();
        let form = if page.contains("name=\"realform\"") {
            let key = client.http.get(client.url("auth-public-key")).send().await?.text().await?;
            let v =
                encrypt(&key, user, password).ok_or_else(|| ClientError::Unexpected(format!("public key {key}")))?;
            json!({ "v": v, "persist": "0", "appUri": "/", "clientPath": "/auth-sign-in", "rs-csrf-token": token })
        } else {
            json!({ "username": user, "password": password, "appUri": "/", "rs-csrf-token": token })
        };
        let answer = client.http.post(client.url("auth-do-sign-in")).form(&form).send().await?;
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        match (answer.status().as_u16(), location.split_once("error=")) {
            (302, None) => Ok(client),
            (302, Some((_, number))) => Err(ClientError::Refused { user: user.to_owned(), number: number.to_owned() }),
            (status, _) => Err(ClientError::Unexpected(format!("status {status} of the sign-in form"))),
        }
    }

    fn url(&self, path: &str) -> Url {
        self.base.join(path).expect("paths of this module are fine")
    }

    /// The cookies a browser would send.
    #[must_use]
    pub fn cookie_header(&self) -> String {
        let header = self.cookies.cookies(&self.base);
        header.and_then(|value| value.to_str().map(str::to_owned).ok()).unwrap_or_default()
    }

    /// The CSRF token, for the `X-RS-CSRF-Token` header of calls.
    #[must_use]
    pub fn token(&self) -> String {
        let cookies = self.cookie_header();
        let token = cookies.split("; ").find_map(|cookie| cookie.strip_prefix("rs-csrf-token="));
        token.unwrap_or_default().to_owned()
    }

    /// GETs a page as the signed-in browser; `path` without a slash in front.
    ///
    /// # Errors
    /// When there is no answer.
    pub async fn get(&self, path: &str) -> Result<reqwest::Response, ClientError> {
        Ok(self.http.get(self.url(path)).send().await?)
    }

    /// Calls a method of the Workbench API.
    ///
    /// # Errors
    /// [`ClientError::Call`] with the server's words.
    pub async fn call(&self, method: &str, kwparams: Value) -> Result<Value, ClientError> {
        let body = json!({ "method": method, "kwparams": kwparams });
        let request = self.http.post(self.url(&format!("api/{method}"))).header("X-RS-CSRF-Token", self.token());
        let answer = request.json(&body).send().await?;
        let status = answer.status().as_u16();
        let mut value: Value = answer.json().await?;
        match value["error"]["message"].as_str() {
            None if status < 400 => Ok(value["result"].take()),
            message => Err(ClientError::Call {
                method: method.to_owned(),
                status,
                message: message.unwrap_or_default().to_owned(),
            }),
        }
    }

    /// Launches a session; `workbench` is `RStudio`.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn launch(&self, workbench: &str, name: &str) -> Result<LaunchedSession, ClientError> {
        let made = self.call("launch_session", json!({ "workbench": workbench, "name": name })).await?;
        match (made["id"].as_str(), made["url"].as_str()) {
            (Some(id), Some(url)) => Ok(LaunchedSession { id: id.to_owned(), url: url.to_owned() }),
            _ => Err(ClientError::Unexpected(made.to_string())),
        }
    }

    /// `activity_state` of a session.
    ///
    /// # Errors
    /// As [`Client::call`]; [`ClientError::Unexpected`] when there is no such session.
    pub async fn state(&self, session: &LaunchedSession) -> Result<String, ClientError> {
        let told = self.call("get_session", json!({ "session_id": session.id })).await?;
        let state = told["sessions"][0]["activity_state"].as_str();
        state.map(str::to_owned).ok_or_else(|| ClientError::Unexpected(told.to_string()))
    }

    /// Waits until a session runs.
    ///
    /// # Errors
    /// [`ClientError::TooLong`]; [`ClientError::Unexpected`] when it failed.
    pub async fn wait_until_active(&self, session: &LaunchedSession, within: Duration) -> Result<(), ClientError> {
        let deadline = tokio::time::Instant::now() + within;
        loop {
            let state = self.state(session).await?;
            match state.as_str() {
                "running" => return Ok(()),
                "failed" | "finished" | "killed" => return Err(ClientError::Unexpected(format!("session is {state}"))),
                _ if tokio::time::Instant::now() >= deadline => {
                    return Err(ClientError::TooLong { what: "the launch".to_owned(), within, so_far: state });
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Quits a session.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn quit(&self, session: &LaunchedSession) -> Result<(), ClientError> {
        self.call("stop_session", json!({ "session_ids": session.id })).await.map(drop)
    }

    /// Opens the terminal of a session: a shell, or the scripted console.
    ///
    /// # Errors
    /// When the session does not run.
    pub async fn terminal(&self, session: &LaunchedSession) -> Result<Terminal, ClientError> {
        self.attach(session, "terminal").await
    }

    /// Opens the R console of a session.
    ///
    /// # Errors
    /// When the session does not run.
    pub async fn console(&self, session: &LaunchedSession) -> Result<Terminal, ClientError> {
        self.attach(session, "console").await
    }

    async fn attach(&self, session: &LaunchedSession, channel: &str) -> Result<Terminal, ClientError> {
        let mut url = self.url(&format!("{}{channel}?cols=500&rows=50", session.url));
        let scheme = if url.scheme() == "https" { "wss" } else { "ws" };
        url.set_scheme(scheme).map_err(|()| ClientError::Address(url.to_string()))?;
        let mut request = url.as_str().into_client_request()?;
        let cookies = self.cookie_header().parse().map_err(|_| ClientError::Unexpected("cookies".to_owned()))?;
        request.headers_mut().insert(COOKIE, cookies);
        let (socket, _) = tokio_tungstenite::connect_async(request).await?;
        let mut terminal = Terminal { socket, seen: String::new(), runtime: String::new(), commands: 0 };
        let hello = terminal.socket.next().await.transpose()?;
        if let Some(Message::Text(text)) = hello {
            let hello: Value = serde_json::from_str(&text).unwrap_or_default();
            terminal.runtime = hello["runtime"].as_str().unwrap_or_default().to_owned();
        }
        Ok(terminal)
    }
}

fn encrypt(key: &str, user: &str, password: &str) -> Option<String> {
    let (exponent, modulus) = key.trim().split_once(':')?;
    let number = |hex_text: &str| Some(BoxedUint::from_be_slice_vartime(&hex::decode(hex_text).ok()?));
    let key = PublicKey::new(number(modulus)?, number(exponent)?).ok()?;
    let mut rng = ChaCha20Rng::from_seed(sim_kit::ids::Ids::new(0, 0).secret_bytes());
    let text = format!("{user}\n{password}");
    Some(BASE64_STANDARD.encode(key.encrypt(&mut rng, Pkcs1v15Encrypt, text.as_bytes()).ok()?))
}

/// An open terminal.
pub struct Terminal {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// What came and was not handed out.
    seen: String,
    runtime: String,
    commands: u64,
}

impl Terminal {
    /// `process` or `simulated`.
    #[must_use]
    pub fn runtime(&self) -> &str {
        &self.runtime
    }

    /// Types `text`; Enter is `\r`.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn send(&mut self, text: &str) -> Result<(), ClientError> {
        Ok(self.socket.send(Message::Binary(text.to_owned().into())).await?)
    }

    /// Tells the window's size.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn resize(&mut self, cols: u16, rows: u16) -> Result<(), ClientError> {
        let frame = json!({ "type": "resize", "cols": cols, "rows": rows }).to_string();
        Ok(self.socket.send(Message::Text(frame.into())).await?)
    }

    /// Reads until `text` has come, and answers with everything up to its end, without colours.
    ///
    /// # Errors
    /// [`ClientError::TooLong`]; [`ClientError::Unexpected`] when the terminal ended first.
    pub async fn read_until(&mut self, text: &str, within: Duration) -> Result<String, ClientError> {
        let deadline = tokio::time::Instant::now() + within;
        let mut raw = Vec::new();
        loop {
            if let Some(at) = self.seen.find(text) {
                let rest = self.seen.split_off(at + text.len());
                return Ok(std::mem::replace(&mut self.seen, rest));
            }
            match tokio::time::timeout_at(deadline, self.socket.next()).await {
                Err(_) => {
                    let so_far = self.tail();
                    return Err(ClientError::TooLong { what: format!("{text:?}"), within, so_far });
                }
                Ok(Some(Ok(Message::Binary(bytes)))) => {
                    raw.extend(&bytes);
                    // A character or a colour may come in two parts; what is not whole yet waits for the rest.
                    let whole = whole(&raw);
                    self.seen.push_str(&plain(&String::from_utf8_lossy(&raw[..whole])));
                    raw.drain(..whole);
                }
                Ok(Some(Ok(Message::Text(frame)))) if frame.contains("\"exit\"") => {
                    return Err(ClientError::Unexpected(format!("the terminal ended ({frame}): {}", self.tail())));
                }
                Ok(Some(Ok(_))) => {}
                Ok(Some(Err(error))) => return Err(error.into()),
                Ok(None) => return Err(ClientError::Unexpected("the terminal was closed".to_owned())),
            }
        }
    }

    fn tail(&self) -> String {
        let start = self.seen.len().saturating_sub(2000);
        (start..=self.seen.len()).find_map(|at| self.seen.get(at..)).unwrap_or_default().to_owned()
    }

    /// Runs one line in the shell and waits for its end. Marks that only the shell's output holds tell where it begins and
    /// ends.
    ///
    /// # Errors
    /// [`ClientError::TooLong`], or when the terminal ended.
    pub async fn run(&mut self, command: &str, within: Duration) -> Result<Ran, ClientError> {
        self.commands += 1;
        let (begin, end) = (format!("begin-{}-mark\n", self.commands), format!("end-{}-mark:", self.commands));
        let split = |mark: &str| mark.replacen('-', "-\"\"", 1);
        let quoted = command.replace('\'', "'\\''");
        let line = format!("echo \"{}\"; eval '{quoted}'; echo \"{}$?\"\r", split(begin.trim_end()), split(&end));
        self.send(&line).await?;
        self.read_until(&begin, within).await?;
        let output = self.read_until(&end, within).await?;
        let status = self.read_until("\n", within).await?;
        let output = output.strip_suffix(&end).unwrap_or(&output).trim_start_matches('\n').to_owned();
        let status = status.trim().parse().map_err(|_| ClientError::Unexpected(format!("status {status:?}")))?;
        Ok(Ran { status, output })
    }
}

/// How many of `bytes` can be read without what follows them: no part of a character, of an escape sequence, or of a
/// line's end.
fn whole(bytes: &[u8]) -> usize {
    let end = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    let bytes = &bytes[..end];
    match bytes.iter().rposition(|byte| *byte == 0x1b) {
        Some(at) if skip_escape(&String::from_utf8_lossy(&bytes[at..])).is_none() && end - at < 256 => at,
        _ if bytes.ends_with(b"\r") => end - 1,
        _ => end,
    }
}

/// The length of the escape sequence that `text` starts with; none when it is not whole.
fn skip_escape(text: &str) -> Option<usize> {
    let mut chars = text.char_indices().skip(1);
    match chars.next()?.1 {
        '[' => chars.find(|(_, c)| ('\x40'..='\x7e').contains(c)).map(|(at, _)| at + 1),
        ']' => {
            let bell = text.find('\x07').map(|at| at + 1);
            let string_end = text.find("\x1b\\").map(|at| at + 2);
            bell.into_iter().chain(string_end).min()
        }
        c => Some(1 + c.len_utf8()),
    }
}

/// `text` without escape sequences, with `\n` for line ends.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\x1b') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[skip_escape(rest).unwrap_or(1)..];
    }
    out.push_str(rest);
    out.replace("\r\n", "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn colours_and_line_ends_go() {
        assert_eq!(plain("\x1b[1;32mok\x1b[0m\r\n\x1b]0;title\x07$ \x1b[?2004h"), "ok\n$ ");
        assert_eq!(whole(b"abc\x1b[1"), 3);
        assert_eq!(whole(b"abc\r"), 3);
        assert_eq!(whole("aé".as_bytes().split_last().unwrap().1), 1);
        assert_eq!(whole(b"abc\x1b[1m"), 7);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let whole = whole(&bytes);
            plain(&String::from_utf8_lossy(&bytes[..whole]));
        }
    }
}
