//! `/metrics`: what this server has done, as Prometheus reads it, on a port of its own.
//!
//! Names and labels are those of the vendor's dashboards; what they count is as far as the names tell, and here:
//!
//! | series | labels | what |
//! |---|---|---|
//! | `connect_http_request_count` | `code`, `method`, `route` | answers; of methods nobody knows `other`, of paths without a route `unmatched` |
//! | `connect_http_request_duration_seconds` | `route` | until the answer was sent |
//! | `connect_http_request_inflight_gauge` | | requests whose answers are not sent to their ends |
//! | `connect_http_response_size_bytes` | | bytes of bodies |
//! | `connect_users_active` | `window` | users whose last request was in the last `24h`, `7d`, `30d` of the World's clock |
//! | `connect_content_hits_total` | | visits of content |
//! | `connect_content_app_sessions_current` | | connections to processes of this server |
//! | `connect_jobs_queue_total_jobs_in_queue` | | tasks that wait for a worker |
//! | `connect_jobs_queue_oldest_job_age_seconds` | | how long the oldest of them has waited |
//! | `connect_build_info` | `version`, `build`, `os` | 1 |
//!
//! A reset begins anew, as a restart of the real server would.

use std::net::{IpAddr, SocketAddr};

use axum::response::{IntoResponse as _, Response};
use http::Method;
use http::header::CONTENT_TYPE;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TEXT_FORMAT, TextEncoder,
};

use sim_kit::Running;
use sim_kit::host::StartError;

use crate::app::App;
use crate::config::Listen;
use crate::error::{Error, Result};
use crate::store;
use crate::version::Version;

/// The port that the product gives them at.
pub const PORT: u16 = 3232;
/// Where they are.
pub const PATH: &str = "/metrics";

const WINDOWS: [(&str, i64); 3] = [("24h", 1), ("7d", 7), ("30d", 30)];

/// What is counted.
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    /// Requests on their way.
    pub inflight: IntGauge,
    sizes: Histogram,
    active: IntGaugeVec,
    hits: IntCounter,
    sessions: IntGauge,
    queued: IntGauge,
    oldest: Gauge,
}

impl Metrics {
    /// All at nothing, and there.
    ///
    /// # Errors
    /// Two of one name.
    pub fn new(version: Version) -> prometheus::Result<Self> {
        let route = &["route"];
        let duration = HistogramOpts::new("connect_http_request_duration_seconds", "Time until answers were sent.");
        let sizes = HistogramOpts::new("connect_http_response_size_bytes", "Bytes of bodies of answers.");
        let metrics = Self {
            registry: Registry::new(),
            requests: IntCounterVec::new(
                Opts::new("connect_http_request_count", "Answers by status, method and route."),
                &["code", "method", "route"],
            )?,
            durations: HistogramVec::new(duration, route)?,
            inflight: IntGauge::new("connect_http_request_inflight_gauge", "Requests that are being answered.")?,
            sizes: Histogram::with_opts(sizes.buckets(prometheus::exponential_buckets(100.0, 10.0, 7)?))?,
            active: IntGaugeVec::new(Opts::new("connect_users_active", "Users who were active."), &["window"])?,
            hits: IntCounter::new("connect_content_hits_total", "Visits of content.")?,
            sessions: IntGauge::new("connect_content_app_sessions_current", "Connections to processes.")?,
            queued: IntGauge::new("connect_jobs_queue_total_jobs_in_queue", "Tasks that wait.")?,
            oldest: Gauge::new("connect_jobs_queue_oldest_job_age_seconds", "How long the oldest of them has waited.")?,
        };
        let build = GaugeVec::new(
            Opts::new("connect_build_info", "The release that is simulated."),
            &["version", "build", "os"],
        )?;
        let version = version.to_string();
        build.with_label_values(&[version.as_str(), &format!("v{version}-simulated"), std::env::consts::OS]).set(1.0);
        // Dashboards want to see what has not happened yet.
        metrics.requests.with_label_values(&["200", "GET", "/__ping__"]);
        metrics.durations.with_label_values(&["/__ping__"]);
        let Self { registry, .. } = &metrics;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.durations.clone()))?;
        registry.register(Box::new(metrics.inflight.clone()))?;
        registry.register(Box::new(metrics.sizes.clone()))?;
        registry.register(Box::new(metrics.active.clone()))?;
        registry.register(Box::new(metrics.hits.clone()))?;
        registry.register(Box::new(metrics.sessions.clone()))?;
        registry.register(Box::new(metrics.queued.clone()))?;
        registry.register(Box::new(metrics.oldest.clone()))?;
        registry.register(Box::new(build))?;
        Ok(metrics)
    }

    /// Counts an answer.
    pub fn answered(&self, method: &Method, route: &str, status: u16, bytes: u64, seconds: f64) {
        let method = match *method {
            Method::GET
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::HEAD
            | Method::OPTIONS => method.as_str(),
            _ => "other",
        };
        self.requests.with_label_values(&[status.to_string().as_str(), method, route]).inc();
        self.durations.with_label_values(&[route]).observe(seconds);
        #[allow(clippy::cast_precision_loss)] // the unit is the format's
        self.sizes.observe(bytes as f64);
    }

    /// Counts a visit.
    pub fn hit(&self) {
        self.hits.inc();
    }
}

/// Opens the port of a server's metrics: the one that was said; where nothing was, the product's own if the server has the
/// product's port, too, and nobody else has it.
///
/// # Errors
/// When a port that was said cannot be had.
pub async fn serve(
    running: &mut Running,
    said: Option<Option<Listen>>,
    usual: IpAddr,
) -> std::result::Result<Option<SocketAddr>, StartError> {
    match said {
        Some(None) => Ok(None),
        Some(Some(listen)) => running.also_answer(PATH, listen.address.unwrap_or(usual), listen.port).await.map(Some),
        None if running.address().port() != crate::PORT => Ok(None),
        None => match running.also_answer(PATH, usual, PORT).await {
            Ok(address) => Ok(Some(address)),
            Err(error) => {
                tracing::warn!(%error, "there are no metrics; choose their port with --metrics-port");
                Ok(None)
            }
        },
    }
}

/// All of them, as they are now.
///
/// # Errors
/// When the database fails.
pub async fn get(app: &App) -> Result<Response> {
    let metrics = app.metrics();
    let (now, mut db) = (app.now(), app.read().await?);
    for (window, days) in WINDOWS {
        let active = store::users::active_since(&mut db, now - days * 86_400_000_000).await?;
        metrics.active.with_label_values(&[window]).set(active);
    }
    let (queued, oldest) = store::tasks::queue(&mut db).await?;
    drop(db);
    metrics.queued.set(queued);
    #[allow(clippy::cast_precision_loss)] // the unit is the format's
    metrics.oldest.set(oldest.map_or(0.0, |since| (now - since).max(0) as f64 / 1e6));
    metrics.sessions.set(i64::try_from(app.processes().all_connections()).unwrap_or(i64::MAX));
    let text = TextEncoder::new().encode_to_string(&metrics.registry.gather());
    let text = text.map_err(|error| Error::Io(std::io::Error::other(error)))?;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}
