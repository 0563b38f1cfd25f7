//! The client side of a link to another server: journalled, and at the mercy of fault rules.
//!
//! Products speak HTTP only to each other. Every request one of them makes goes through a [`Link`], so that each link
//! can be watched, slowed and cut from the side that asks: a rule with `"direction": "out"` and a `peer` takes exactly
//! the requests of one link.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Request, RequestBuilder, Response, ResponseBuilderExt as _};

use url::Url;

use crate::cli::chain;
use crate::faults::{Effect, Firing, Phase, Subject, spoil};
use crate::journal::{Direction, Entry};
use crate::tls;
use crate::world::World;

/// Why a request over a link got no answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody there, connection lost, time-out, TLS.
    #[error("{}", chain(.0))]
    Http(#[from] reqwest::Error),
    /// A fault rule cut the link.
    #[error("error sending request for url ({url}): connection reset by peer (cut by fault rule {rule})")]
    Cut {
        /// The URL asked for.
        url: String,
        /// The rule.
        rule: String,
    },
}

/// A client of one other server.
#[derive(Clone)]
pub struct Link {
    client: Client,
    peer: &'static str,
    world: World,
}

/// A client with the settings that `configure` adds to the common ones: no proxies, the system's TLS roots.
///
/// # Panics
/// When `configure` asks for what cannot be.
pub fn client(configure: impl FnOnce(ClientBuilder) -> ClientBuilder) -> Client {
    build(configure(Client::builder().no_proxy()))
}

/// A client that believes whatever certificate a server shows, for those who ask for that by name.
///
/// # Panics
/// Never: it reads no files.
#[must_use]
pub fn trusting_client() -> Client {
    tls::use_ring();
    let builder = Client::builder().no_proxy().tls_danger_accept_invalid_certs(true);
    builder.build().expect("a client that reads no files can be built")
}

fn build(builder: ClientBuilder) -> Client {
    builder.tls_backend_preconfigured(tls::config()).build().expect("a client that reads no files can be built")
}

/// How long links wait, and how far they follow.
fn patient(builder: ClientBuilder) -> ClientBuilder {
    builder
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(60))
        .redirect(Policy::limited(MOST_REDIRECTS))
}

/// How often one request may be sent elsewhere.
const MOST_REDIRECTS: usize = 5;

/// The one client of the process's links: connection pools and TLS roots are worth sharing.
fn shared_client() -> Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| client(patient)).clone()
}

impl Link {
    /// A link of `world` to the server in the role `peer`, such as `package-manager`.
    #[must_use]
    pub fn new(world: &World, peer: &'static str) -> Self {
        Self { client: shared_client(), peer, world: world.clone() }
    }

    /// A link of `world` to a server that is not part of it, by the proxies that the environment names.
    #[must_use]
    pub fn outside(world: &World, peer: &'static str) -> Self {
        static CLIENT: OnceLock<Client> = OnceLock::new();
        let client = CLIENT.get_or_init(|| build(patient(Client::builder())));
        Self { client: client.clone(), peer, world: world.clone() }
    }

    /// A link of `world` to servers that are not part of it and whose answers lead nowhere else: a redirect is followed at
    /// the same server, or from `http` to `https` there.
    #[must_use]
    pub fn tethered(world: &World, peer: &'static str) -> Self {
        static CLIENT: OnceLock<Client> = OnceLock::new();
        let policy = || {
            Policy::custom(|attempt| {
                let stays = |from: &Url| {
                    let to = attempt.url();
                    let safer = (from.scheme(), to.scheme()) == ("http", "https") && from.host() == to.host();
                    safer || from.origin() == to.origin()
                };
                match attempt.previous() {
                    before if before.len() > MOST_REDIRECTS => attempt.error("too many redirects"),
                    before if before.last().is_some_and(stays) => attempt.follow(),
                    _ => {
                        let refused = format!("redirected to another server, which is refused: {}", attempt.url());
                        attempt.error(refused)
                    }
                }
            })
        };
        let client = CLIENT.get_or_init(|| build(patient(Client::builder()).redirect(policy())));
        Self { client: client.clone(), peer, world: world.clone() }
    }

    /// The client, to build requests with; send them with [`Link::send`].
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The other server's role.
    #[must_use]
    pub fn peer(&self) -> &'static str {
        self.peer
    }

    /// GETs `url`.
    ///
    /// # Errors
    /// [`LinkError`]; a status that is no success is not an error.
    pub async fn get(&self, url: &url::Url, headers: http::HeaderMap) -> Result<Response, LinkError> {
        self.send(self.client.get(url.clone()).headers(headers)).await
    }

    /// Sends a request.
    ///
    /// # Errors
    /// [`LinkError`]; a status that is no success is not an error.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, LinkError> {
        let request = request.build()?;
        let (method, url) = (request.method().clone(), request.url().clone());
        let status = |answer: &Response| Some(answer.status().as_u16());
        let sent = |firing| self.execute(request, firing);
        self.noted((method.as_str(), url.as_str(), url.path()), sent, status).await
    }

    /// A visit to `url`, whose path is `path`, by other means than HTTP: journalled, and cut or delayed by fault rules.
    ///
    /// # Errors
    /// [`LinkError::Cut`]
    pub async fn visit(&self, method: &str, url: &str, path: &str) -> Result<(), LinkError> {
        let went = async |firing: Option<Firing>| match firing {
            Some(Firing { effect: Effect::Latency { ms }, .. }) => {
                tokio::time::sleep(Duration::from_millis(ms)).await;
                Ok(())
            }
            Some(Firing { effect: Effect::Reset | Effect::Status { .. }, rule, .. }) => {
                Err(LinkError::Cut { url: url.to_owned(), rule })
            }
            // There is no answer here that could be spoilt.
            _ => Ok(()),
        };
        self.noted((method, url, path), went, |()| None).await
    }

    async fn noted<T, F: Future<Output = Result<T, LinkError>>>(
        &self,
        (method, url, path): (&str, &str, &str),
        act: impl FnOnce(Option<Firing>) -> F,
        status: impl FnOnce(&T) -> Option<u16>,
    ) -> Result<T, LinkError> {
        let started = Instant::now();
        let mut entry = Entry::new(Direction::Out, self.world.clock().now(), method, url);
        entry.peer = Some(self.peer.to_owned());
        let subject = Subject { direction: Direction::Out, peer: Some(self.peer), method, path };
        let firing = self.world.faults().check(subject);
        entry.fault = firing.as_ref().map(|f| f.rule.clone());
        let result = act(firing).await;
        entry.time = self.world.clock().now();
        entry.duration_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        match &result {
            Ok(answer) => entry.status = status(answer),
            Err(error) => entry.error = Some(error.to_string()),
        }
        self.world.journal().record(entry);
        result
    }

    async fn execute(&self, request: Request, firing: Option<Firing>) -> Result<Response, LinkError> {
        let Some(Firing { rule, phase, effect }) = firing else {
            return Ok(self.client.execute(request).await?);
        };
        let url = request.url().to_string();
        if let Effect::Latency { ms } = effect {
            tokio::time::sleep(Duration::from_millis(ms)).await;
        }
        let replaces = matches!(effect, Effect::Status { .. } | Effect::Reset);
        let answer = if replaces && phase == Phase::Before { None } else { Some(self.client.execute(request).await?) };
        match (effect, answer) {
            (Effect::Reset, _) => Err(LinkError::Cut { url, rule }),
            (Effect::Status { status, body, .. }, _) => {
                let mut response = http::Response::new(body);
                *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::BAD_GATEWAY);
                Ok(response.into())
            }
            (effect, Some(answer)) => {
                let (status, headers, landed) = (answer.status(), answer.headers().clone(), answer.url().clone());
                let body = reqwest::Body::wrap_stream(spoil(answer.bytes_stream(), effect));
                let mut response =
                    http::Response::builder().url(landed).body(body).expect("a status and a body are a response");
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                Ok(response.into())
            }
            (_, None) => Err(LinkError::Cut { url, rule }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    /// Serves one folder over TLS with the certificate `own.pem` in it, and says at which port.
    const SERVER: &str = "import http.server, ssl
server = http.server.HTTPServer(('127.0.0.1', 0), http.server.SimpleHTTPRequestHandler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain('own.pem')
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()";

    #[tokio::test]
    async fn a_certificate_that_the_system_does_not_know_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (Some(_), Some(python)) =
            (crate::testing::own_certificate(folder.path()), crate::testing::need_tool("python3"))
        else {
            return;
        };
        let pem = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        std::fs::write(folder.path().join("own.pem"), pem("key.pem") + &pem("cert.pem")).unwrap();
        let mut server = Command::new(python)
            .args(["-c", SERVER])
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut port = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let asked = client(|builder| builder).get(format!("https://127.0.0.1:{}/", port.trim())).send().await;
        let believed = trusting_client().get(format!("https://127.0.0.1:{}/", port.trim())).send().await;
        let known = reqwest::Certificate::from_pem(pem("cert.pem").as_bytes()).unwrap();
        let trusting = Client::builder().no_proxy().tls_certs_only([known]).build().unwrap();
        let trusted = trusting.get(format!("https://127.0.0.1:{}/", port.trim())).send().await;
        server.kill().unwrap();
        server.wait().unwrap();
        assert!(believed.is_ok(), "who asks for it believes it: {believed:?}");
        assert!(trusted.is_ok(), "the server is a good one for those who know it: {trusted:?}");
        let refusal = chain(&asked.unwrap_err());
        assert!(refusal.contains("UnknownIssuer") || refusal.contains("No CA certificates"), "{refusal}");
    }
}
