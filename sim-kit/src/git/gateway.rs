//! What the git command believes to be the server of its repository: it passes its requests on over the link.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderName, StatusCode};
use tokio::task::JoinHandle;
use url::Url;

use super::SignIn;
use crate::http_client::Link;

/// The header by which the gateway knows its command among the processes of the machine.
pub(super) const SECRET: &str = "x-gateway-secret";

/// Bytes of a request's body, in which the command says what it has and what it wants.
const LONGEST: usize = 64 << 20;

const PROTOCOL: HeaderName = HeaderName::from_static("git-protocol");

/// Open until it is dropped.
pub(super) struct Gateway {
    address: String,
    state: Arc<Gate>,
    serving: JoinHandle<()>,
}

struct Gate {
    link: Link,
    sign_in: Option<SignIn>,
    secret: String,
    most: u64,
    seen: Mutex<Seen>,
}

struct Seen {
    /// The repository, after redirects.
    base: Url,
    /// Bytes that came.
    bytes: u64,
    /// Why a request got no answer that the command can use.
    trouble: Option<String>,
}

impl Gateway {
    pub(super) async fn open(
        link: Link,
        base: Url,
        sign_in: Option<&SignIn>,
        secret: &str,
        most: u64,
    ) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}/repository", listener.local_addr()?);
        let seen = Mutex::new(Seen { base, bytes: 0, trouble: None });
        let state = Arc::new(Gate { link, sign_in: sign_in.cloned(), secret: secret.to_owned(), most, seen });
        let router = Router::new().fallback(pass_on).with_state(state.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "a gateway for git has ended");
            }
        });
        Ok(Self { address, state, serving })
    }

    /// Of the repository here.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether more came than may.
    pub(super) fn is_full(&self) -> bool {
        self.state.seen(|seen| seen.bytes) > self.state.most
    }

    /// Why the last request that got no answer got none.
    pub(super) fn trouble(&self) -> Option<String> {
        self.state.seen(|seen| seen.trouble.take())
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Gate {
    fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn trouble(&self, reason: String) -> Response {
        self.seen(|seen| seen.trouble = Some(reason));
        StatusCode::BAD_GATEWAY.into_response()
    }
}

async fn pass_on(State(gate): State<Arc<Gate>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let known = parts.headers.get(SECRET).is_some_and(|given| *given == *gate.secret);
    let path = parts.uri.path().strip_prefix("/repository/").filter(|path| !path.contains(".."));
    let (true, Some(path)) = (known, path) else { return StatusCode::NOT_FOUND.into_response() };
    let Ok(body) = to_bytes(body, LONGEST).await else { return StatusCode::PAYLOAD_TOO_LARGE.into_response() };
    let mut url = gate.seen(|seen| seen.base.clone());
    url.set_path(&format!("{}/{path}", url.path().trim_end_matches('/')));
    url.set_query(parts.uri.query());
    let mut onward = gate.link.client().request(parts.method, url).body(body);
    for name in [ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, PROTOCOL, USER_AGENT] {
        if let Some(value) = parts.headers.get(&name) {
            onward = onward.header(name, value);
        }
    }
    if let Some(SignIn { username, password }) = &gate.sign_in {
        onward = onward.basic_auth(username, Some(password));
    }
    let answer = match gate.link.send(onward).await {
        Ok(answer) => answer,
        Err(error) => return gate.trouble(error.to_string()),
    };
    let status = answer.status();
    // A file that is not there is nothing special to a client of plain files.
    if !status.is_success() && !matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        let why = match status {
            StatusCode::UNAUTHORIZED => "; it wants a sign-in, or another one",
            StatusCode::FORBIDDEN => "; this sign-in, or nobody, may not read it",
            _ => "",
        };
        return gate.trouble(format!("the server of the repository answers {status}{why}"));
    }
    if let Some(moved) = answer.url().path().strip_suffix("/info/refs").filter(|_| path == "info/refs") {
        let mut base = answer.url().clone();
        base.set_path(moved);
        base.set_query(None);
        gate.seen(|seen| seen.base = base);
    }
    let mut response = Response::builder().status(status);
    for name in [CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE] {
        if let Some(value) = answer.headers().get(&name) {
            response = response.header(name, value);
        }
    }
    let counted = answer.bytes_stream().map(move |piece| {
        let piece = piece.map_err(std::io::Error::other).inspect_err(|error| {
            gate.seen(|seen| {
                seen.trouble = Some(format!("the answer of the server of the repository broke off: {error}"));
            });
        })?;
        match gate.seen(|seen| {
            seen.bytes += piece.len() as u64;
            seen.bytes
        }) > gate.most
        {
            true => Err(std::io::Error::other("more than is taken")),
            false => Ok(piece),
        }
    });
    response.body(Body::from_stream(counted)).unwrap_or_else(|_| StatusCode::BAD_GATEWAY.into_response())
}
