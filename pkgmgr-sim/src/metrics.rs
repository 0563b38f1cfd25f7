//! `/metrics`: what this process has done, as Prometheus reads it.
//!
//! The real server answers on a port of its own, 2112 (`Metrics.Listen`), in plain HTTP. Here that port is opened when it is asked for
//! (`--metrics-port`, `Metrics.Listen`, or `Metrics.Enabled` said to be true), so that two servers on one machine do not fight for it.
//! `Metrics.OnMainPort`, which is ours, answers on the main port as well. Names are those of the vendor's dashboards; what three of them
//! count is not documented, so the last column says what they count here:
//!
//! | series | labels | what |
//! |---|---|---|
//! | `ppm_http_requests_total` | `code`, `method` | answers; of methods nobody knows `other` |
//! | `ppm_http_requests_inflight` | | requests whose answers are not sent to their ends |
//! | `ppm_http_response_size_bytes_total` | `code` | bytes of bodies that were sent |
//! | `ppm_pkg_downloads_total` | | whole package files sent, and redirects to them |
//! | `ppm_binary_routing_distro` | `distro` | downloads of R packages through addresses of a Linux distribution |
//! | `ppm_binary_routing_binary` | | of those, the ones that gave a binary package |
//! | `ppm_binary_routing_fallback` | | of those, the ones that gave the source package because there was no binary, or the client did not say what it runs on |
//! | `ppm_repo_source_sync_duration_seconds` | `type` | how long synchronisations took on this machine, by the type of the source |
//! | `ppm_git_builds_failed_total` | | builds from git repositories that failed for good |
//! | `ppm_storage_used`, `_size`, `_free` | `path` | bytes of the data folder, and of its disk |
//! | `ppm_storage_calculation_time` | `path` | seconds that adding them up took |
//! | `ppm_license_days_left` | | infinite: no licence is needed |
//! | `ppm_build_info` | `version` | 1 |
//! | `ppm_process_start_time_seconds` | | since 1970, by the World's clock |
//!
//! A reset begins anew, as a restart of the real server would.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Extension;
use axum::body::HttpBody as _;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::Method;
use http::header::CONTENT_TYPE;

use prometheus::{
    Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TEXT_FORMAT,
    TextEncoder,
};
use sim_kit::World;
use sim_kit::at_hand::{Answer, Ready};
use sim_kit::counted::counted;
use sim_kit::host::OtherPort;

use crate::VERSION;
use crate::app::App;
use crate::error::Error;

/// Bytes of a body that is not watched on its way.
const SMALL: u64 = 64 << 10;

/// Which numbers are given to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Whether there are metrics at all (`Metrics.Enabled`).
    pub enabled: bool,
    /// Whether the main port answers `/metrics`, too (`Metrics.OnMainPort`).
    pub on_main_port: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { enabled: true, on_main_port: false }
    }
}

/// Where the numbers are.
pub const PATH: &str = "/metrics";

/// What is counted.
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    inflight: IntGauge,
    sent: IntCounterVec,
    /// Of both, those of what is fetched: GET and 200.
    fetched: IntCounter,
    fetched_bytes: IntCounter,
    pub(crate) downloads: IntCounter,
    routed: IntCounterVec,
    binaries: IntCounter,
    fallbacks: IntCounter,
    syncs: HistogramVec,
    pub(crate) failed_builds: IntCounter,
    used: GaugeVec,
    size: GaugeVec,
    free: GaugeVec,
    calculation: GaugeVec,
}

impl Metrics {
    pub(crate) fn of(world: &World) -> Result<Self, Error> {
        Self::registered(world).map_err(|error| Error::Internal(format!("metrics: {error}")))
    }

    fn registered(world: &World) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let path = &["path"];
        let seconds = vec![0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0];
        let syncs = HistogramOpts::new(
            "ppm_repo_source_sync_duration_seconds",
            "How long synchronisations took, by the type of the source.",
        );
        let requests = Opts::new("ppm_http_requests_total", "Answers by status and method.");
        let requests = IntCounterVec::new(requests, &["code", "method"])?;
        let sent = Opts::new("ppm_http_response_size_bytes_total", "Bytes of bodies sent, by status.");
        let sent = IntCounterVec::new(sent, &["code"])?;
        let metrics = Self {
            // Dashboards want to see what has not happened yet.
            fetched: requests.with_label_values(&["200", "GET"]),
            fetched_bytes: sent.with_label_values(&["200"]),
            requests,
            sent,
            inflight: IntGauge::new("ppm_http_requests_inflight", "Requests that are being answered.")?,
            downloads: IntCounter::new("ppm_pkg_downloads_total", "Package files sent, and redirects to them.")?,
            routed: IntCounterVec::new(
                Opts::new("ppm_binary_routing_distro", "Downloads of R packages for a Linux distribution."),
                &["distro"],
            )?,
            binaries: IntCounter::new("ppm_binary_routing_binary", "Of these, binary packages.")?,
            fallbacks: IntCounter::new("ppm_binary_routing_fallback", "Of these, source packages.")?,
            syncs: HistogramVec::new(syncs.buckets(seconds), &["type"])?,
            failed_builds: IntCounter::new("ppm_git_builds_failed_total", "Builds from git repositories that failed.")?,
            used: GaugeVec::new(Opts::new("ppm_storage_used", "Bytes in the data folder."), path)?,
            size: GaugeVec::new(Opts::new("ppm_storage_size", "Bytes of its disk."), path)?,
            free: GaugeVec::new(Opts::new("ppm_storage_free", "Free bytes of its disk."), path)?,
            calculation: GaugeVec::new(
                Opts::new("ppm_storage_calculation_time", "Seconds that adding up the data folder took."),
                path,
            )?,
            registry,
        };
        let constant = |name: &str, help: &str, value: f64| {
            let gauge = Gauge::new(name, help)?;
            gauge.set(value);
            Ok::<_, prometheus::Error>(gauge)
        };
        let build = GaugeVec::new(Opts::new("ppm_build_info", "The release that is simulated."), &["version"])?;
        build.with_label_values(&[VERSION]).set(1.0);
        let licence = constant("ppm_license_days_left", "Infinite: no licence is needed.", f64::INFINITY)?;
        #[allow(clippy::cast_precision_loss)] // the unit is the format's
        let began = world.clock().now_micros() as f64 / 1e6;
        let began = constant("ppm_process_start_time_seconds", "When it began, by the simulated clock.", began)?;
        for kind in ["cran", "pypi", "bioconductor"] {
            metrics.syncs.with_label_values(&[kind]);
        }
        let Self { registry, .. } = &metrics;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.inflight.clone()))?;
        registry.register(Box::new(metrics.sent.clone()))?;
        registry.register(Box::new(metrics.downloads.clone()))?;
        registry.register(Box::new(metrics.routed.clone()))?;
        registry.register(Box::new(metrics.binaries.clone()))?;
        registry.register(Box::new(metrics.fallbacks.clone()))?;
        registry.register(Box::new(metrics.syncs.clone()))?;
        registry.register(Box::new(metrics.failed_builds.clone()))?;
        for storage in [&metrics.used, &metrics.size, &metrics.free, &metrics.calculation] {
            registry.register(Box::new(storage.clone()))?;
        }
        registry.register(Box::new(build))?;
        registry.register(Box::new(licence))?;
        registry.register(Box::new(began))?;
        Ok(metrics)
    }

    /// Notes a synchronisation of a source of this type.
    pub(crate) fn synchronised(&self, kind: &str, took: Duration) {
        self.syncs.with_label_values(&[kind]).observe(took.as_secs_f64());
    }

    /// Notes a download of an R package by an address of the distribution `distro`.
    pub(crate) fn routed(&self, distro: &str, is_binary: bool) {
        self.routed.with_label_values(&[distro]).inc();
        if is_binary { self.binaries.inc() } else { self.fallbacks.inc() }
    }

    /// Counts a request from now to the end of its answer.
    pub(crate) async fn around(&self, method: Method, answer: impl Future<Output = Response>) -> Response {
        let inflight = Inflight::enter(&self.inflight);
        self.answered(inflight, &method, answer.await)
    }

    /// Counts a GET request whose answer is at hand, to the end of that.
    pub(crate) fn at_once(&self, answer: Arc<Answer>) -> Ready {
        self.fetched.inc();
        let bytes = answer.body().len() as u64;
        if bytes <= SMALL {
            self.fetched_bytes.inc_by(bytes);
            return Ready { answer, count: None };
        }
        Ready { answer, count: Some(Box::new(count(Inflight::enter(&self.inflight), self.fetched_bytes.clone()))) }
    }

    fn answered(&self, inflight: Inflight, method: &Method, response: Response) -> Response {
        let code = response.status();
        self.requests.with_label_values(&[code.as_str(), word(method)]).inc();
        let sent = self.sent.with_label_values(&[code.as_str()]);
        // A small body is on its way with its head.
        if let Some(bytes) = response.body().size_hint().exact().filter(|bytes| *bytes <= SMALL) {
            sent.inc_by(bytes);
            return response;
        }
        response.map(|body| counted(body, count(inflight, sent)))
    }

    fn measure(&self, folder: &Path) -> std::io::Result<()> {
        let began = Instant::now();
        let used = bytes_below(folder)?;
        let disk = rustix::fs::statvfs(folder)?;
        let label = folder.display().to_string();
        #[allow(clippy::cast_precision_loss)] // bytes are shown, not counted on
        for (gauge, bytes) in [
            (&self.used, used),
            (&self.size, disk.f_blocks * disk.f_frsize),
            (&self.free, disk.f_bavail * disk.f_frsize),
        ] {
            gauge.with_label_values(&[&label]).set(bytes as f64);
        }
        self.calculation.with_label_values(&[&label]).set(began.elapsed().as_secs_f64());
        Ok(())
    }
}

/// A method as a label: those that clients may invent are one.
fn word(method: &Method) -> &str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::TRACE,
        Method::CONNECT,
    ];
    if known.contains(method) { method.as_str() } else { "other" }
}

/// Bytes of the files below a folder. What goes away meanwhile does not count.
fn bytes_below(folder: &Path) -> std::io::Result<u64> {
    let mut total = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(at) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&at) else { continue };
        for entry in entries {
            let entry = entry?;
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) if found.is_file() => total += found.len(),
                _ => {}
            }
        }
    }
    Ok(total)
}

/// A request that is being answered.
struct Inflight(IntGauge);

impl Inflight {
    fn enter(gauge: &IntGauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Inflight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts bytes of a body, which is under way for as long as this lives.
fn count(inflight: Inflight, sent: IntCounter) -> impl FnMut(u64) + Send + Unpin + 'static {
    move |bytes| {
        let _ = &inflight;
        sent.inc_by(bytes);
    }
}

/// `GET /metrics`
pub async fn page(State(app): State<App>, other_port: Option<Extension<OtherPort>>) -> Result<Response, Error> {
    let Settings { enabled, on_main_port } = app.0.config.metrics;
    if !enabled || !on_main_port && other_port.is_none() {
        return Err(Error::NotFound("metrics are not on this port (Metrics.Enabled, Metrics.Listen)".to_owned()));
    }
    let folder = app.world().root().to_owned();
    let measuring = app.clone();
    let text = tokio::task::spawn_blocking(move || {
        measuring.0.metrics.measure(&folder)?;
        let families = measuring.0.metrics.registry.gather();
        TextEncoder::new().encode_to_string(&families).map_err(std::io::Error::other)
    });
    let text = text.await.map_err(|error| Error::Internal(format!("metrics: {error}")))??;
    Ok(([(CONTENT_TYPE, TEXT_FORMAT)], text).into_response())
}
