//! A running simulator: its port, its World, and the swap of that World on reset.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Redirect, Response};
use futures_util::future::BoxFuture;
use http::Method;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tower::ServiceExt as _;

use crate::at_hand::{Asked, AtHand, Ready};
use crate::connections;
use crate::control::{self, Control};
use crate::db::Migration;
use crate::observe::{CutConnection, observe};
use crate::origin::Origin;
use crate::routing::Route;
use crate::tls;
use crate::world::{Home, World, WorldConfig, WorldError};

/// What a product makes of a World: its router and the rows of its table.
pub struct Simulator {
    /// Asked before the router.
    pub at_hand: Option<AtHand>,
    /// Answers everything outside the control plane.
    pub router: Router,
    /// The rows of the table the router was made from.
    pub routes: Vec<Route>,
    /// What the product adds to the control plane.
    pub control: Control,
}

/// How a product is made: the same function serves tests, the binary and containers.
#[derive(Clone)]
pub struct Product {
    /// The role, such as `package-manager`.
    pub name: &'static str,
    /// The tables.
    pub migrations: &'static [Migration],
    /// Whether a request of this method and path is answered on the thread of its connection, which costs no handing over: right for
    /// small answers that are mostly kept in memory. Others run where any idle thread takes them on, so that no writer waits for its
    /// turn on a busy thread while others wait for it.
    pub quick: fn(&Method, &str) -> bool,
    /// From a World to a simulator. It seeds a fresh World and starts background work with [`World::spawn`].
    pub build: Arc<dyn Fn(World) -> BoxFuture<'static, anyhow::Result<Simulator>> + Send + Sync>,
}

/// Where and how a simulator is served.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// Address to listen on.
    pub bind: IpAddr,
    /// Port; 0 for any free one.
    pub port: u16,
    /// Needed for the control plane when set.
    pub control_token: Option<String>,
    /// The World.
    pub world: WorldConfig,
}

impl Default for HostConfig {
    /// Loopback, any free port, nothing kept.
    fn default() -> Self {
        Self { bind: IpAddr::from([127, 0, 0, 1]), port: 0, control_token: None, world: WorldConfig::default() }
    }
}

/// Why a simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The port is taken.
    #[error("{name}: port {port} is in use; stop what listens there, or choose another port (0 = any free one)")]
    PortInUse {
        /// The product.
        name: &'static str,
        /// The port.
        port: u16,
    },
    /// The address cannot be listened on.
    #[error("{name}: cannot listen on {address}: {source}")]
    Listen {
        /// The product.
        name: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The certificate or its key.
    #[error("{name}: HTTPS needs a certificate and its key in PEM: {reason}")]
    Certificate {
        /// The product.
        name: &'static str,
        /// Which file, and why.
        reason: String,
    },
    /// Open to the network without a token.
    #[error("{0}: listening beyond loopback needs --control-token (the control plane can erase everything)")]
    Unprotected(&'static str),
    /// The World.
    #[error("{name}: {source}")]
    World {
        /// The product.
        name: &'static str,
        /// Why not.
        source: WorldError,
    },
    /// The product.
    #[error("{name}: {source:#}")]
    Build {
        /// The product.
        name: &'static str,
        /// Why not.
        source: anyhow::Error,
    },
}

/// One World with its simulator.
pub(crate) struct Instance {
    pub(crate) world: World,
    pub(crate) routes: Vec<Route>,
    pub(crate) control: Control,
    at_hand: Option<AtHand>,
    router: Router,
}

impl Instance {
    /// Whether there may be answers at hand.
    pub(crate) fn has_answers_at_hand(&self) -> bool {
        self.at_hand.is_some()
    }

    /// The product's answer, if it is at hand.
    pub(crate) fn at_hand(&self, asked: &Asked<'_>) -> Option<Ready> {
        self.at_hand.as_ref()?(asked)
    }

    /// The product's answer.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        if let Some(ready) = Asked::of(&request).and_then(|asked| self.at_hand(&asked)) {
            return ready.into();
        }
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

/// Set on requests that came by a port of [`Running::also_answer`].
#[derive(Debug, Clone, Copy)]
pub struct OtherPort;

/// What the connections and the handle share.
pub(crate) struct Shared {
    pub(crate) product: Product,
    pub(crate) config: HostConfig,
    pub(crate) address: SocketAddr,
    home: Home,
    instance: RwLock<Arc<Instance>>,
    resetting: Mutex<()>,
    /// Worlds of before a reset, on their way out.
    leaving: TaskTracker,
}

impl Shared {
    pub(crate) fn instance(&self) -> Arc<Instance> {
        self.instance.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a fresh World in the place of the old one. Requests in flight end in the old one.
    pub(crate) async fn reset(&self) -> Result<(), StartError> {
        let _one_at_a_time = self.resetting.lock().await;
        let old = self.instance();
        if self.config.world.database_url.is_some() {
            // One database has one World at a time.
            old.world.end().await;
        }
        let fresh = open(&self.product, &self.config, self.home.clone(), true).await?;
        *self.instance.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        self.leaving.spawn(async move {
            old.world.end().await;
            if let Err(error) = old.world.discard() {
                tracing::warn!(%error, "the files of the world before the reset were not taken away");
            }
        });
        Ok(())
    }

    /// The answer to a request that came by a connection.
    pub(crate) async fn handle(self: Arc<Self>, control: Router, request: Request) -> Response {
        let instance = self.instance();
        let is_control = request.uri().path().starts_with(control::PREFIX);
        if !is_control && (self.product.quick)(request.method(), request.uri().path()) {
            return observe(instance, request).await;
        }
        let runtime = instance.world.runtime().clone();
        // A reset opens the next World where the one before was opened, too.
        let answer = async move {
            if is_control { control::answer(control, &self, request).await } else { observe(instance, request).await }
        };
        AbortOnDropHandle::new(runtime.spawn(answer)).await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request has no answer");
            let mut response = http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
            response.extensions_mut().insert(CutConnection);
            response
        })
    }
}

async fn open(product: &Product, config: &HostConfig, home: Home, fresh: bool) -> Result<Instance, StartError> {
    let name = product.name;
    let world = World::open_in(home, &config.world, product.migrations, fresh)
        .await
        .map_err(|source| StartError::World { name, source })?;
    match (product.build)(world.clone()).await {
        Ok(simulator) => {
            let Simulator { at_hand, router, routes, control } = simulator;
            Ok(Instance { world, routes, control, at_hand, router })
        }
        Err(source) => {
            world.end().await;
            Err(StartError::Build { name, source })
        }
    }
}

async fn listen(name: &'static str, wanted: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let listener = TcpListener::bind(wanted).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => StartError::PortInUse { name, port: wanted.port() },
        _ => StartError::Listen { name, address: wanted, source },
    })?;
    // A kernel may be set to pace what it sends (BBR). Within a machine that gains nothing, and its timers take longer than sending.
    // A connection that was begun so would stay so.
    #[cfg(target_os = "linux")]
    if wanted.ip().is_loopback() {
        let _ = rustix::net::sockopt::set_tcp_congestion(&listener, "reno");
    }
    let address = listener.local_addr().map_err(|source| StartError::Listen { name, address: wanted, source })?;
    Ok((listener, address))
}

/// Starts simulators.
pub struct Host;

impl Host {
    /// Binds the port, opens the World, builds the product and serves it. It answers when this returns.
    ///
    /// # Errors
    /// [`StartError`], in one line that says what to do.
    pub async fn start(product: Product, config: HostConfig) -> Result<Running, StartError> {
        let name = product.name;
        if !config.bind.is_loopback() && config.control_token.is_none() {
            return Err(StartError::Unprotected(name));
        }
        let (listener, address) = listen(name, SocketAddr::from((config.bind, config.port))).await?;
        let home = Home::of(&config.world).map_err(|source| StartError::World { name, source })?;
        let instance = open(&product, &config, home.clone(), false).await?;
        let shared = Arc::new(Shared {
            product,
            config,
            address,
            home,
            instance: RwLock::new(Arc::new(instance)),
            resetting: Mutex::default(),
            leaving: TaskTracker::new(),
        });
        let port = Port::open(listener, shared.clone(), None);
        Ok(Running { shared, ports: vec![port], others: Vec::new() })
    }
}

/// A simulator that answers. Dropped, it stops at once; [`Running::stop`] is the graceful way.
pub struct Running {
    shared: Arc<Shared>,
    ports: Vec<Port>,
    others: Vec<JoinHandle<()>>,
}

/// A port that answers everything.
struct Port {
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

impl Port {
    fn open(listener: TcpListener, shared: Arc<Shared>, tls: Option<TlsAcceptor>) -> Self {
        let (stop, stopped) = oneshot::channel();
        Self { stop: Some(stop), serving: tokio::spawn(connections::serve(listener, shared, tls, stopped)) }
    }
}

impl Running {
    /// Address and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// `http://127.0.0.1:port`, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        let address = self.shared.address;
        match address.ip() {
            ip if ip.is_unspecified() => format!("http://localhost:{}", address.port()),
            _ => format!("http://{address}"),
        }
    }

    /// The World as it is now; a reset puts another in its place.
    #[must_use]
    pub fn world(&self) -> World {
        self.shared.instance().world.clone()
    }

    /// Puts a fresh World in place.
    ///
    /// # Errors
    /// When it cannot be opened; then the old one stays.
    pub async fn reset(&self) -> Result<(), StartError> {
        self.shared.reset().await
    }

    /// Opens another port that answers GET requests for `path` alone, as the product does, but without fault rules and without an entry in
    /// the journal: for metrics, which are asked for all the time. Gives the port's address. The product sees [`OtherPort`] among
    /// the request's extensions.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn also_answer(&mut self, path: &'static str, bind: IpAddr, port: u16) -> Result<SocketAddr, StartError> {
        let name = self.shared.product.name;
        let (listener, address) = listen(name, SocketAddr::from((bind, port))).await?;
        let shared = self.shared.clone();
        let answer = axum::routing::get(move |mut request: Request| async move {
            request.extensions_mut().insert(OtherPort);
            shared.instance().answer(request).await
        });
        self.others.push(answer_for_ever(listener, address, Router::new().route(path, answer)));
        Ok(address)
    }

    /// Opens another port that sends everybody to the same address by HTTPS, which is on port `https`. Gives its address.
    ///
    /// # Errors
    /// The port cannot be had.
    pub async fn also_redirect(&mut self, bind: IpAddr, port: u16, https: u16) -> Result<SocketAddr, StartError> {
        let (listener, address) = listen(self.shared.product.name, SocketAddr::from((bind, port))).await?;
        let redirect = move |origin: Origin, uri: http::Uri| async move {
            let path = uri.path_and_query().map_or("/", |path| path.as_str());
            // What is sent is sent again.
            Redirect::permanent(&origin.secured(https).url(path))
        };
        self.others.push(answer_for_ever(listener, address, Router::new().fallback(redirect)));
        Ok(address)
    }

    /// Opens another port that answers everything the first one does, over TLS with this certificate and key (PEM files). Gives
    /// its address. Requests that come by it say so in `X-Forwarded-Proto`, unless a proxy has said something there.
    ///
    /// # Errors
    /// The files or the port cannot be used, or it would be open to the network without a token.
    pub async fn also_serve_tls(
        &mut self,
        bind: IpAddr,
        port: u16,
        certificate: &Path,
        key: &Path,
    ) -> Result<SocketAddr, StartError> {
        let name = self.shared.product.name;
        if !bind.is_loopback() && self.shared.config.control_token.is_none() {
            return Err(StartError::Unprotected(name));
        }
        let config = tls::server(certificate, key).map_err(|reason| StartError::Certificate { name, reason })?;
        let (listener, address) = listen(name, SocketAddr::from((bind, port))).await?;
        self.ports.push(Port::open(listener, self.shared.clone(), Some(Arc::new(config).into())));
        Ok(address)
    }

    /// Stops taking connections, ends background work and long polls, lets requests finish for up to five seconds.
    pub async fn stop(mut self) {
        self.shared.instance().world.begin_end();
        for stop in self.ports.iter_mut().filter_map(|port| port.stop.take()) {
            let _ = stop.send(());
        }
        for port in &mut self.ports {
            let _ = (&mut port.serving).await;
        }
        for other in &mut self.others {
            other.abort();
            let _ = other.await;
        }
        self.shared.instance().world.end().await;
        self.shared.leaving.close();
        self.shared.leaving.wait().await;
        // Whoever starts in the same folder next finds it free.
        self.shared.home.leave();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Or background work would find the database gone, and complain.
        self.shared.instance().world.begin_end();
        self.ports.iter().for_each(|port| port.serving.abort());
        self.others.iter().for_each(JoinHandle::abort);
    }
}

fn answer_for_ever(listener: TcpListener, address: SocketAddr, router: Router) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, %address, "this port answers no longer");
        }
    })
}

/// The product's router without a port, for tests that need no socket: journalled and under fault rules all the same.
///
/// # Errors
/// As [`Host::start`].
pub async fn in_process(product: &Product, config: &HostConfig) -> Result<(World, Router), StartError> {
    let name = product.name;
    let home = Home::of(&config.world).map_err(|source| StartError::World { name, source })?;
    let instance = Arc::new(open(product, config, home, false).await?);
    let world = instance.world.clone();
    let service = tower::service_fn(move |request: Request| {
        let instance = instance.clone();
        async move { Ok::<_, Infallible>(observe(instance, request).await) }
    });
    Ok((world, Router::new().fallback_service(service)))
}
