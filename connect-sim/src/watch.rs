//! Work that falls due on the World's clock: runs of schedules, looks at repositories, idle processes.

use std::time::Duration;

use chrono::DateTime;
use futures_util::future::BoxFuture;
use sim_kit::db::Engine;
use sim_kit::watch::{Bell, Next, watch};

use crate::app::App;
use crate::error::Result;

/// Does what is due; when, in microseconds, the next is.
pub type Due = fn(App) -> BoxFuture<'static, Result<Option<i64>>>;

/// Calls `due` when something is, and when `bell` is rung, for as long as the server runs.
pub fn start(app: &App, bell: fn(&App) -> &Bell, due: Due) {
    let app = app.clone();
    app.clone().world().spawn(async move { watch(bell(&app), || look(&app, due)).await });
}

async fn look(app: &App, due: Due) -> Next {
    // Servers that share a database do not ring each other's bells.
    let shared = app.world().db().engine() == Engine::Postgres;
    match due(app.clone()).await {
        Ok(next) => Next {
            due: next.and_then(DateTime::from_timestamp_micros),
            again: shared.then_some(Duration::from_secs(1)),
        },
        Err(error) => {
            tracing::error!(%error, "what is due cannot be done");
            Next { due: None, again: Some(Duration::from_secs(1)) }
        }
    }
}
