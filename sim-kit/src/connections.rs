//! Connections of a port: taken, given to a lane, made secure, and answered by HTTP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::host::Shared;
use crate::lanes::Place;
use crate::observe::CutConnection;
use crate::{control, sendfile, short_way};

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client may take to begin a request, and to send its head.
const PATIENCE: Duration = Duration::from_secs(30);

/// Takes connections and answers them, until it is told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    mut stopped: oneshot::Receiver<()>,
) {
    let graceful = GracefulShutdown::new();
    let stopping = CancellationToken::new();
    let mut connections = tokio::task::JoinSet::new();
    let control = control::router(shared.clone());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = &mut stopped => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, usually: let some close.
                tracing::warn!(%error, "cannot take a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let place = Place::of(&stream);
        // Known to this runtime no longer: the lane's watches it.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot hand over a connection");
                continue;
            }
        };
        let connection = Connection { shared: shared.clone(), control: control.clone(), peer, secure: tls.is_some() };
        let (tls, watcher, stopping) = (tls.clone(), graceful.watcher(), stopping.clone());
        let runtime = place.runtime();
        let answering = async move {
            let _place = place;
            let stream = match TcpStream::from_std(stream) {
                Ok(stream) => stream,
                Err(error) => return tracing::warn!(%error, "cannot take over a connection"),
            };
            match tls {
                None => connection.answer(sendfile::Stream::new(stream), watcher, &stopping).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection.talk(stream, watcher, None).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS"),
                    Err(_) => tracing::debug!("TLS took too long"),
                },
            }
        };
        connections.spawn_on(answering, &runtime);
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    stopping.cancel();
    if tokio::time::timeout(Duration::from_secs(5), graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end within five seconds");
    }
}

/// What a connection is answered with.
pub(crate) struct Connection {
    pub(crate) shared: Arc<Shared>,
    control: Router,
    peer: SocketAddr,
    secure: bool,
}

impl Connection {
    /// The whole server's answer.
    pub(crate) async fn respond(&self, mut request: Request) -> Response {
        request.extensions_mut().insert(ConnectInfo(self.peer));
        if self.secure {
            let proto = http::HeaderName::from_static("x-forwarded-proto");
            request.headers_mut().entry(proto).or_insert(http::HeaderValue::from_static("https"));
        }
        self.shared.clone().handle(self.control.clone(), request).await
    }

    /// Answers on the short way first.
    async fn answer(self, mut stream: sendfile::Stream, watcher: Watcher, stopping: &CancellationToken) {
        match short_way::answer(&mut stream, &self, stopping, PATIENCE).await {
            Ok(short_way::Next::End) => {}
            Ok(short_way::Next::Whole(begun, first)) => {
                stream.unread(begun);
                self.talk(stream, watcher, first).await;
            }
            Err(error) => tracing::debug!(%error, "connection"),
        }
    }

    /// Answers by HTTP, the first request with `first` if there is one.
    async fn talk(
        self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        watcher: Watcher,
        first: Option<Response>,
    ) {
        let (connection, first) = (Arc::new(self), Mutex::new(first));
        let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let connection = connection.clone();
            async move {
                let response = match first {
                    Some(response) => response,
                    None => connection.respond(request.map(Body::new)).await,
                };
                match response.extensions().get::<CutConnection>() {
                    // An error closes the connection without an answer.
                    Some(_) => Err(std::io::Error::other("cut by a fault rule")),
                    None => Ok(response),
                }
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(64 * 1024);
        let connection =
            watcher.watch(builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned());
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection");
        }
    }
}
