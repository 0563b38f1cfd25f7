//! A simulator of Posit Workbench: sign-in, home page, sessions with a terminal in the browser, and the Workbench API.
//!
//! [`product`] makes it; [`sim_kit::Host::start`] serves it. Sessions reach Package Manager and Connect by the URLs of
//! [`Config`], over HTTP. [`client`] is a client as tests and scripts need it: sign in, launch, run a command, quit.
//!
//! | module | what |
//! |---|---|
//! | `routes` | the one table of routes |
//! | `auth` | sign-in, cookies, CSRF tokens, API tokens |
//! | `home`, `ide`, `assets` | pages |
//! | `api` | JSON-RPC under `/api/`, and the home page's own calls under `/workspaces/` |
//! | `session`, `scope`, `environment` | the life of sessions, their addresses, what they find around them |
//! | `terminal` | programs on PTYs, and WebSockets to them |
//! | `console` | the scripted console that stands in for a shell |
//! | `store` | SQL |

mod api;
mod assets;
mod auth;
pub mod cli;
pub mod client;
mod config;
mod console;
mod environment;
mod error;
mod health;
mod home;
mod ide;
mod routes;
mod scope;
mod session;
mod store;
mod terminal;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use sim_kit::{Product, World};
use tokio::sync::watch;

pub use config::{Config, Connect, Runtime};
pub use store::MIGRATIONS;

use auth::{Keys, Throttle};
use error::Error;
use terminal::Terminals;

/// The product of `config`.
#[must_use]
pub fn product(config: Config) -> Product {
    let config = Arc::new(config);
    Product {
        name: "workbench",
        migrations: MIGRATIONS,
        quick: |_, _| false,
        build: Arc::new(move |world| {
            let config = config.clone();
            Box::pin(async move {
                let app = App::open(config, world).await?;
                Ok(routes::simulator(&app))
            })
        }),
    }
}

/// The API token that every fresh world of `seed` has for a user, for `Authorization: Bearer`. An administrator's may
/// act for others. It depends on the seed only.
#[must_use]
pub fn api_token(seed: u64, username: &str) -> String {
    sim_kit::ids::derived(seed, &format!("workbench-api-token/{username}"), 32)
}

/// What handlers share. Clones are the same.
#[derive(Clone)]
pub(crate) struct App(Arc<Inner>);

struct Inner {
    config: Arc<Config>,
    world: World,
    keys: Keys,
    user_list: String,
    throttle: Throttle,
    terminals: Terminals,
    templates: minijinja::Environment<'static>,
    changed: watch::Sender<u64>,
}

impl App {
    async fn open(config: Arc<Config>, world: World) -> Result<Self, Error> {
        config.check().map_err(Error::Bad)?;
        auth::seed_users(&world).await?;
        let mut list = Sha256::new();
        for user in store::users::all(world.db()).await? {
            list.update(format!("{}\0{}\0", user.name, user.locked));
        }
        let mut user_list = hex::encode(list.finalize());
        user_list.truncate(16);
        let app = Self(Arc::new(Inner {
            keys: Keys::open(&world).await?,
            templates: assets::templates(&config)?,
            user_list,
            throttle: Throttle::default(),
            terminals: Terminals::default(),
            changed: watch::Sender::new(0),
            config,
            world,
        }));
        session::recover(&app).await?;
        Ok(app)
    }

    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    pub(crate) fn world(&self) -> &World {
        &self.0.world
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.0.world.clock().now()
    }

    pub(crate) fn keys(&self) -> &Keys {
        &self.0.keys
    }

    /// Stands for the users there are.
    pub(crate) fn user_list(&self) -> &str {
        &self.0.user_list
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.0.throttle
    }

    pub(crate) fn terminals(&self) -> &Terminals {
        &self.0.terminals
    }

    /// `www-root-path`: empty, or starting but not ending with a slash.
    pub(crate) fn root(&self) -> &str {
        self.0.config.root_path.trim_end_matches('/')
    }

    pub(crate) fn cookie_path(&self) -> &str {
        if self.root().is_empty() { "/" } else { self.root() }
    }

    /// A UUID that nobody can foretell.
    pub(crate) fn new_csrf_token(&self) -> String {
        let text = hex::encode(self.0.world.ids().secret_bytes());
        format!("{}-{}-4{}-a{}-{}", &text[..8], &text[8..12], &text[13..16], &text[17..20], &text[20..32])
    }

    pub(crate) fn render(&self, template: &str, context: minijinja::Value) -> Result<String, Error> {
        Ok(self.0.templates.get_template(template)?.render(context)?)
    }

    /// Wakes those who wait for sessions to change.
    pub(crate) fn sessions_changed(&self) {
        self.0.changed.send_modify(|n| *n += 1);
    }

    /// Changes of sessions from now on.
    pub(crate) fn watch_sessions(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }
}
