//! A simulator of Posit Connect: publish content with the real clients, follow its build, open it.
//!
//! Content is built and answered in the `simulated` runtime: packages are resolved against Package Manager and
//! downloaded as a real build would, static content is served as it is, and everything else by a stand-in that says so.
//!
//! | module | what |
//! |---|---|
//! | [`routes`], [`differences`] | every route, in one table; what else releases differ in |
//! | `around` | what surrounds the routes: who asks, correlation ids, the audit log |
//! | [`auth`], [`access`] | who asks, and what it may do |
//! | [`content`], [`bundles`], [`git`], [`deploy`], [`tasks`] | publishing |
//! | [`build`] | the work behind a deploy |
//! | [`variants`], [`schedules`] | documents that are rendered, and when |
//! | [`serving`], [`runtime`], [`scheduler`] | content itself, and the processes that answer |
//! | [`oauth`] | credentials for content |
//! | [`identity`], [`trusted_publishers`] | identity tokens of other issuers, and machines that publish with them |
//! | [`idp`] | the built-in identity provider, for tests |
//! | [`oauth_server`] | tokens for applications that act as a user |
//! | [`webhooks`], [`messages`], [`subscriptions`] | who is told of what |
//! | [`instrumentation`], [`audit`], [`system`], [`storage`], [`queue`] | what happened, and the server itself |
//! | [`mail`] | what it mails, and how it leaves |
//! | [`traffic`], [`access_log`], [`metrics`] | what surrounds every request |
//! | [`ui`], [`mcp`] | pages, and what assistants see |
//! | [`store`] | SQL |

// The older shape of content is one JSON literal of some fifty members.
#![recursion_limit = "256"]

pub mod access;
pub mod access_log;
pub mod app;
pub mod applications;
mod around;
pub mod audit;
pub mod auth;
pub mod bookmarks;
pub mod build;
pub mod bundles;
pub mod cli;
pub mod config;
pub mod content;
pub mod content_type;
pub mod control;
pub mod cursor;
pub mod deploy;
pub mod differences;
pub mod documentation;
pub mod environment;
pub mod environments;
pub mod error;
pub mod git;
pub mod groups;
pub mod identity;
pub mod idp;
pub mod input;
pub mod instrumentation;
pub mod jobs;
pub mod keys;
pub mod license;
pub mod mail;
pub mod mcp;
pub mod messages;
pub mod metrics;
pub mod oauth;
pub mod oauth_server;
pub mod openapi;
pub mod packages;
pub mod permissions;
pub mod queue;
pub mod recorder;
pub mod remote;
pub mod routes;
pub mod runtime;
pub mod scheduler;
pub mod schedules;
pub mod search;
pub mod server_settings;
pub mod service_tokens;
pub mod serving;
pub mod storage;
pub mod store;
pub mod subscriptions;
pub mod system;
pub mod tags;
pub mod tasks;
pub mod thumbnails;
pub mod tickets;
pub mod timezones;
pub mod traffic;
pub mod trusted_publishers;
pub mod ui;
pub mod users;
pub mod vanities;
pub mod variants;
pub mod version;
pub mod vulnerabilities;
pub mod watch;
pub mod webhooks;

use std::sync::Arc;

use sim_kit::{Product, Simulator};

pub use config::{Config, ConfigError, ConnectArgs};
pub use version::Version;

/// The name of the role.
pub const NAME: &str = "connect";
/// The port the real product listens on.
pub const PORT: u16 = 3939;

/// The product, for [`sim_kit::Host::start`].
#[must_use]
pub fn product(config: Config) -> Product {
    Product {
        name: NAME,
        migrations: store::MIGRATIONS,
        quick: |_, path| matches!(path, "/__ping__" | "/__api__/server_settings"),
        build: Arc::new(move |world| {
            let config = config.clone();
            Box::pin(async move {
                let app = app::App::new(world, config)?;
                search::prepare(&app).await?;
                users::seed(&app).await?;
                recorder::start(&app).await?;
                runtime::files::sweep(&app).await?;
                oauth::credentials::prepare(&app).await?;
                idp::prepare(&app).await?;
                git::prepare(&app).await?;
                build::start(&app).await?;
                git::poll::start(&app);
                bundles::retention::start(&app);
                runtime::processes::prepare(&app).await?;
                schedules::start(&app);
                webhooks::start(&app);
                mail::start(&app);
                let control = control::control(app.clone());
                let (router, routes) = routes::router(app);
                Ok(Simulator { at_hand: None, router, routes, control })
            })
        }),
    }
}

/// The first line that launchers of the real image wait for.
#[must_use]
pub fn starting_line(config: &Config) -> String {
    format!("Starting Posit Connect v{}", config.version)
}

/// The second line that launchers of the real image wait for. `port` is the one inside a container.
#[must_use]
pub fn listening_line(port: u16) -> String {
    format!("Starting HTTP server on [::]:{port}")
}
