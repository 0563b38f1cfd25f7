//! Connections of a port: taken, given to a lane, made secure, and answered by HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::host::Shared;
use crate::observe::CutConnection;
use crate::{control, lanes, sendfile};

/// How long a client may take to agree on TLS.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Takes connections and answers them, until it is told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: Arc<Shared>,
    tls: Option<TlsAcceptor>,
    mut stopped: oneshot::Receiver<()>,
) {
    let graceful = GracefulShutdown::new();
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
        // Known to this runtime no longer: the lane's watches it.
        let stream = match stream.into_std() {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot hand over a connection");
                continue;
            }
        };
        let connection = Connection { shared: shared.clone(), control: control.clone(), peer, secure: tls.is_some() };
        let (tls, watcher) = (tls.clone(), graceful.watcher());
        let answering = async move {
            let stream = match TcpStream::from_std(stream) {
                Ok(stream) => stream,
                Err(error) => return tracing::warn!(%error, "cannot take over a connection"),
            };
            match tls {
                None => connection.talk(sendfile::Stream::new(stream), watcher).await,
                Some(tls) => match tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await {
                    Ok(Ok(stream)) => connection.talk(stream, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "TLS"),
                    Err(_) => tracing::debug!("TLS took too long"),
                },
            }
        };
        connections.spawn_on(answering, &lanes::next());
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    if tokio::time::timeout(Duration::from_secs(5), graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end within five seconds");
    }
}

/// What a connection is answered with.
struct Connection {
    shared: Arc<Shared>,
    control: Router,
    peer: SocketAddr,
    secure: bool,
}

impl Connection {
    async fn talk(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, watcher: Watcher) {
        let Self { shared, control, peer, secure } = self;
        let service = hyper::service::service_fn(move |mut request: http::Request<hyper::body::Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            if secure {
                let proto = http::HeaderName::from_static("x-forwarded-proto");
                request.headers_mut().entry(proto).or_insert(http::HeaderValue::from_static("https"));
            }
            let (shared, control) = (shared.clone(), control.clone());
            async move {
                let response = shared.handle(control, request).await;
                match response.extensions().get::<CutConnection>() {
                    // An error closes the connection without an answer.
                    Some(_) => Err(std::io::Error::other("cut by a fault rule")),
                    None => Ok(response),
                }
            }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(30)).max_buf_size(64 * 1024);
        let connection =
            watcher.watch(builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned());
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection");
        }
    }
}
