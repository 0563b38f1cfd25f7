//! The package service that feeds Package Manager.
//!
//! The real one publishes, for each of its feeds, immutable manifests, a list of checkpoints and payloads named by a hash;
//! Package Manager polls it and fetches files when a client first wants them. This one speaks PSP/1
//! ([`pkg_formats::psp`]) and invents the world it publishes: real names, versions and dependencies (`catalogue` says
//! from where), made-up packages beside them, and contents that say that they are synthetic. Everything is a pure function
//! of the seed, the config and the date.
//!
//! | module | what |
//! |---|---|
//! | `catalogue` | the facts |
//! | `draw`, `history`, `names` | chance, calendar and names of what is made up |
//! | `packages`: `cran`, `bioc`, `pypi`, `vsx` | from a package's number to its events, record and files |
//! | `mirror` | real packages, fetched from a real index when they are asked for |
//! | `almanac` | feeds that are not of packages: system requirements, distributions, vulnerabilities |
//! | `artifacts` | the files of an R package |
//! | [`scenario`] | packages of scenario files, beside the others |
//! | `import` | packages that lie on this machine, in place of the others |
//! | `feed` | checkpoints, and from a digest back to bytes |
//! | `spool` | packs, in memory or on disk |
//! | `service` | feeds, key, heads |
//! | `documents`, `objects` | handlers |
//! | [`cli`] | the service as a process |

mod almanac;
mod artifacts;
mod bioc;
mod catalogue;
pub mod cli;
mod config;
mod cran;
mod documents;
mod draw;
mod error;
mod feed;
mod history;
mod import;
mod mirror;
mod names;
mod objects;
mod packages;
mod pypi;
mod routes;
pub mod scenario;
mod service;
mod spool;
mod vsx;

use std::sync::{Arc, Mutex, PoisonError};

use chrono::NaiveDate;
use sim_kit::World;
use sim_kit::control::Control;
use sim_kit::host::{Product, Simulator};

pub use config::Config;
pub use import::ImportError;
pub use mirror::sources::SourceError;
use routes::App;
use service::Service;
pub use service::StartError;

/// The role's name, as peers see it.
pub const NAME: &str = "package-service";

/// What [`Product::build`] made last, kept over resets: it depends on seed, config and first day alone.
type Kept = Arc<Mutex<Option<(u64, NaiveDate, Arc<Service>)>>>;

/// The package service as a product for [`sim_kit::Host`]. It answers at once; the first checkpoint of each feed is made in
/// the background, and whoever asks for a head before that waits for it.
#[must_use]
pub fn product(config: Config) -> Product {
    let config = Arc::new(config);
    let kept = Kept::default();
    Product {
        name: NAME,
        migrations: &[],
        quick: |method, _| method.is_safe(),
        build: Arc::new(move |world| {
            let (config, kept) = (config.clone(), kept.clone());
            Box::pin(async move { Ok(simulator(world, &config, &kept)?) })
        }),
    }
}

fn simulator(world: World, config: &Config, kept: &Kept) -> Result<Simulator, StartError> {
    let seed = world.ids().seed();
    let now = world.clock().now();
    let daily_from = config.daily_from(now);
    let service = {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some((for_seed, from, service)) if (*for_seed, *from) == (seed, daily_from) => service.clone(),
            _ => {
                let service = Arc::new(Service::new(seed, config, daily_from)?);
                *kept = Some((seed, daily_from, service.clone()));
                service
            }
        }
    };
    service.keep_in(&world)?;
    let app = App { world, service };
    let made = app.clone();
    app.world.spawn(async move {
        // One after the other: each takes all cores, and together they would take more memory.
        for feed in made.service.feeds() {
            if let Err(error) = service::newest(&made, feed).await {
                tracing::warn!(%error, feed = feed.name(), "no checkpoint yet");
            }
        }
    });
    let (router, routes) = routes::table(app);
    Ok(Simulator { at_hand: None, router, routes, control: Control::default() })
}
