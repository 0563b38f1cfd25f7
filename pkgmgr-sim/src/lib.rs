//! A simulator of Posit Package Manager.
//!
//! It follows a package service ([`sync`]), and serves what it has as a CRAN-like repository to R ([`cran`], [`bioc`]) and as a simple index
//! to Python ([`simple`]), as of now, of any past day or of any transaction ([`snapshot`]). Package files are fetched when a client
//! first asks ([`files`]). The real product is closed; what is known of it comes from its documentation and from the code of its
//! clients, and [`routes`] says how sure we are of each endpoint.
//!
//! | module | what |
//! |---|---|
//! | [`config`], [`settings`] | settings, and the file and variables they come from |
//! | [`routes`] | the one table of routes |
//! | [`openapi`] | that table as an OpenAPI document |
//! | [`store`] | sources, repos, transactions, packages: the only SQL |
//! | [`auth`], [`bootstrap`] | tokens, who may do what, and the first token |
//! | [`identity`] | identity tokens of other servers: signing in with a provider, and exchange for a token |
//! | [`local`], [`curated`] | sources that people fill |
//! | [`vsx`] | extensions of editors, as their gallery shows them |
//! | [`bioc`] | releases of Bioconductor in the layout that BiocManager expects |
//! | `documents` | distributions, system requirements and vulnerabilities, as the package service tells them |
//! | `vulns` | vulnerabilities of packages |
//! | `downloads`, [`metrics`] | counting downloads, and everything else for Prometheus |
//! | [`builders`], [`git`] | packages built from git repositories |
//! | `blocklist` | rules that keep packages from clients |
//! | [`ui`] | the web interface |
//! | [`rspm`] | the administrator's command line |
//! | [`bundle`] | feeds carried by hand to servers that cannot reach the service |
//! | `nodes` | servers that share a database, and maintenance |
//! | [`alerts`] | what administrators should look at |
//! | `urls` | created snapshot URLs |
//! | [`record`] | what a package's history shows at a time |
//! | [`renderings`] | index pages kept ready |
//! | `hot` | whole answers kept for the requests that come most often |
//! | [`stamp`] | the `Repository: RSPM` in served R packages |
//! | [`platform`] | distributions, and how clients say what they run on |

pub mod alerts;
pub mod api;
pub mod app;
pub mod auth;
pub mod bioc;
mod blocklist;
pub mod bootstrap;
pub mod builders;
pub mod bundle;
mod change;
pub mod cli;
pub mod config;
pub mod cran;
pub mod curated;
mod demand;
mod documents;
mod downloads;
pub mod error;
pub mod files;
pub mod git;
mod hot;
pub mod identity;
pub mod local;
mod metadata;
pub mod metrics;
mod nodes;
pub mod openapi;
pub mod platform;
pub mod record;
pub mod renderings;
pub mod routes;
pub mod rspm;
pub mod settings;
pub mod simple;
pub mod snapshot;
mod spool;
pub mod stamp;
pub mod store;
pub mod sync;
pub mod ui;
mod urls;
pub mod vsx;
mod vulns;

use std::sync::Arc;

use sim_kit::control::Control;
use sim_kit::{Product, Simulator, World};

pub use app::App;
pub use auth::admin_token;
pub use config::Config;
pub use sync::synced;

/// The release that is simulated.
pub const VERSION: &str = "2026.06.0";

/// A Package Manager as a product. It answers at once; its synchronisation goes on in the background ([`synced`] waits for it).
#[must_use]
pub fn product(config: Config) -> Product {
    Product {
        name: "package-manager",
        migrations: store::MIGRATIONS,
        quick: |method, _| method.is_safe(),
        build: Arc::new(move |world| {
            let config = config.clone();
            Box::pin(async move { Ok(build(world, config).await?) })
        }),
    }
}

async fn build(world: World, config: Config) -> Result<Simulator, error::Error> {
    let syncs = config.sync;
    sim_kit::git::tidy(&git::folder(&world)?)?;
    let app = App::open(world.clone(), config).await?;
    if syncs {
        world.spawn(app.clone().sync_for_ever());
    }
    world.spawn(app.clone().build_for_ever());
    world.spawn(app.clone().beat_for_ever());
    let (router, routes) = routes::table().finish(app.clone(), routes::not_found);
    let router = routes::guarded(router, app.clone());
    let at_hand = routes::at_hand(&app);
    Ok(Simulator { at_hand, router: routes::with_plain_paths(router, app), routes, control: Control::default() })
}
