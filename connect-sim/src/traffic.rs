//! What surrounds every request: its answer is counted, and told to the access log, when the last of it has been sent.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::STRICT_TRANSPORT_SECURITY;
use http::{HeaderMap, HeaderValue, Method};
use sim_kit::counted::counted;
use sim_kit::host::OtherPort;
use sim_kit::origin::Origin;
use sim_kit::routing::{Matched, Principal, Unmatched};

use crate::access_log::Line;
use crate::app::App;
use crate::metrics;
use crate::runtime::processes::Connection;

/// The layer.
pub async fn watch(State(app): State<App>, request: Request, next: Next) -> Response {
    let asks_for_metrics = request.method() == Method::GET && request.uri().path() == metrics::PATH;
    if request.extensions().get::<OtherPort>().is_some() || (asks_for_metrics && app.config().metrics_on_main_port) {
        return metrics::get(&app).await.unwrap_or_else(|error| error.into_response());
    }
    let mut end = End::of(&app, &request);
    let stays = app.config().https_permanent && Origin::from_headers(request.headers()).is_secure();
    let mut response = next.run(request).await;
    // By HTTP it means nothing, and browsers leave it alone.
    if stays {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=2592000"));
    }
    end.connection = response.extensions_mut().remove();
    let extensions = response.extensions();
    end.status = response.status().as_u16();
    end.route = match (extensions.get::<Matched>(), extensions.get::<Unmatched>()) {
        (Some(matched), None) => Some(matched.clone()),
        _ => None,
    };
    if let Some(line) = &mut end.line {
        line.user = extensions.get::<Principal>().map(|principal| principal.0.clone());
    }
    response.map(|body| counted(body, move |bytes| end.sent(bytes)))
}

/// The end of an answer: when it is dropped, that is.
struct End {
    app: App,
    method: Method,
    route: Option<Matched>,
    status: u16,
    bytes: u64,
    started: Instant,
    /// To the process that answers.
    connection: Option<Arc<Connection>>,
    /// Where there is an access log.
    line: Option<Line>,
}

impl End {
    fn of(app: &App, request: &Request) -> Self {
        app.metrics().inflight.inc();
        let line = app.access_log().map(|log| line(app, request, log.settings.forwarded));
        Self {
            app: app.clone(),
            method: request.method().clone(),
            route: None,
            status: 0,
            bytes: 0,
            started: Instant::now(),
            connection: None,
            line,
        }
    }
}

impl End {
    fn sent(&mut self, bytes: u64) {
        self.bytes += bytes;
    }
}

fn line(app: &App, request: &Request, forwarded: bool) -> Line {
    let header = |headers: &HeaderMap, name: &str| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let headers = request.headers();
    let through = header(headers, "x-forwarded-for").filter(|_| forwarded);
    let through = through.map(|text| text.split(',').next().unwrap_or_default().trim().to_owned());
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip().to_string());
    Line {
        time: app.world().clock().now(),
        client: through.filter(|client| !client.is_empty()).or(peer),
        user: None,
        method: request.method().to_string(),
        path: request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        protocol: format!("{:?}", request.version()),
        status: 0,
        bytes: 0,
        referer: header(headers, "referer"),
        user_agent: header(headers, "user-agent"),
        duration: std::time::Duration::ZERO,
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let metrics = self.app.metrics();
        metrics.inflight.dec();
        drop(self.connection.take());
        // The request was given up before there was an answer.
        if self.status == 0 {
            return;
        }
        let took = self.started.elapsed();
        let route = self.route.as_ref().map_or("unmatched", |matched| matched.0.as_str());
        metrics.answered(&self.method, route, self.status, self.bytes, took.as_secs_f64());
        if let (Some(line), Some(log)) = (self.line.take(), self.app.access_log()) {
            log.write(&Line { status: self.status, bytes: self.bytes, duration: took, ..line });
        }
    }
}
