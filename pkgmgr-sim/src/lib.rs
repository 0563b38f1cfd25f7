//! A simulator of Posit Package Manager.
//!
//! It follows a package service ([`sync`]), and serves what it has as a CRAN-like repository to R ([`cran`]) and as a simple index
//! to Python ([`simple`]), as of now, of any past day or of any transaction ([`snapshot`]). Package files are fetched when a client
//! first asks ([`files`]). The real product is closed; what is known of it comes from its documentation and from the code of its
//! clients, and [`routes`] says how sure we are of each endpoint.
//!
//! | module | what |
//! |---|---|
//! | [`config`] | settings |
//! | [`routes`] | the one table of routes |
//! | [`store`] | sources, repos, transactions, packages: the only SQL |
//! | [`record`] | what a package's history shows at a time |
//! | [`renderings`] | index pages kept ready |
//! | [`stamp`] | the `Repository: RSPM` in served R packages |
//! | [`platform`] | distributions, and how clients say what they run on |

pub mod api;
pub mod app;
pub mod config;
pub mod cran;
pub mod error;
pub mod files;
pub mod home;
pub mod platform;
pub mod record;
pub mod renderings;
pub mod routes;
pub mod simple;
pub mod snapshot;
pub mod stamp;
pub mod store;
pub mod sync;

use std::sync::Arc;

use sim_kit::{Product, Simulator, World};
use tokio::sync::watch;

pub use app::App;
pub use config::Config;

/// The release that is simulated.
pub const VERSION: &str = "2026.06.0";

/// A Package Manager that can tell when it is ready.
#[derive(Clone)]
pub struct PackageManager {
    config: Config,
    ready: watch::Sender<Readiness>,
}

/// Whether every source that follows a feed has something to serve.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Readiness {
    /// The first synchronisation has not ended.
    #[default]
    Waiting,
    /// All sources have packages.
    Ready,
    /// The last synchronisation failed and some source has nothing yet. It is tried again.
    Failed(String),
}

impl PackageManager {
    /// One with these settings.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self { config, ready: watch::channel(Readiness::Waiting).0 }
    }

    /// What [`sim_kit::Host::start`] takes. It answers at once; the first synchronisation goes on meanwhile.
    #[must_use]
    pub fn product(&self) -> Product {
        let this = self.clone();
        Product {
            name: "package-manager",
            migrations: store::MIGRATIONS,
            build: Arc::new(move |world| {
                let this = this.clone();
                Box::pin(async move { this.build(world).await })
            }),
        }
    }

    /// How it stands now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.ready.borrow().clone()
    }

    /// Waits until every source has packages to serve. At once when they were synchronised in an earlier run.
    ///
    /// # Errors
    /// Why the first synchronisation failed. It is tried again once a minute, so waiting again makes sense.
    pub async fn synced(&self) -> Result<(), String> {
        let mut ready = self.ready.subscribe();
        match ready.wait_for(|r| *r != Readiness::Waiting).await.map(|r| r.clone()) {
            Ok(Readiness::Ready) => Ok(()),
            Ok(Readiness::Failed(reason)) => Err(reason),
            Ok(Readiness::Waiting) | Err(_) => Err("the server was stopped".to_owned()),
        }
    }

    async fn build(&self, world: World) -> anyhow::Result<Simulator> {
        let app = App::open(world.clone(), self.config.clone(), self.ready.clone()).await?;
        self.ready.send_replace(Readiness::Waiting);
        if app.missing().is_empty() {
            self.ready.send_replace(Readiness::Ready);
        }
        if self.config.sync {
            world.spawn(app.clone().sync_for_ever());
        }
        let (router, routes) = routes::table().finish(app, routes::not_found);
        Ok(Simulator { router: routes::with_plain_paths(router), routes })
    }
}

impl App {
    /// Sources that follow a feed and have nothing yet.
    fn missing(&self) -> Vec<i64> {
        let view = self.view();
        let empty = view.sources.iter().filter(|s| s.feed.is_some() && !view.newest.contains_key(&s.id));
        empty.map(|s| s.id).collect()
    }

    /// Tells those who wait for readiness how it stands after a synchronisation.
    pub(crate) async fn announce(&self) {
        let missing = self.missing();
        let readiness = match missing.iter().find_map(|id| self.progress(*id).error) {
            _ if missing.is_empty() => Readiness::Ready,
            Some((_, reason)) => Readiness::Failed(reason),
            None => Readiness::Failed("nothing was synchronised".to_owned()),
        };
        self.0.ready.send_replace(readiness);
    }
}

/// A Package Manager as a product, for those who need not wait for its first synchronisation.
#[must_use]
pub fn product(config: Config) -> Product {
    PackageManager::new(config).product()
}
