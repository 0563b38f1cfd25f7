//! Work that falls due on the World's clock: runs of schedules, looks at repositories, idle processes.

use std::pin::pin;
use std::time::Duration;

use chrono::DateTime;
use futures_util::future::BoxFuture;
use sim_kit::db::Engine;
use tokio::sync::Notify;

use crate::app::App;
use crate::error::Result;

/// Does what is due; when, in microseconds, the next is.
pub type Due = fn(App) -> BoxFuture<'static, Result<Option<i64>>>;

/// Calls `due` when something is, and when `bell` is rung, for as long as the server runs.
pub fn start(app: &App, bell: fn(&App) -> &Notify, due: Due) {
    app.world().spawn(watch(app.clone(), bell, due));
}

async fn watch(app: App, bell: fn(&App) -> &Notify, due: Due) {
    let mut held = None;
    loop {
        // Servers that share a database do not ring each other's bells.
        let mut look_again = app.world().db().engine() == Engine::Postgres;
        let mut rung = pin!(bell(&app).notified());
        rung.as_mut().enable();
        let next = match due(app.clone()).await {
            Ok(next) => next.and_then(DateTime::from_timestamp_micros),
            Err(error) => {
                tracing::error!(%error, "what is due cannot be done");
                look_again = true;
                None
            }
        };
        // What fell due while this was found out is done at once.
        if next.is_some_and(|at| at <= app.world().clock().now()) {
            continue;
        }
        let next_due = async {
            match next {
                Some(at) => app.world().clock().sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let look = async {
            if look_again { tokio::time::sleep(Duration::from_secs(1)).await } else { std::future::pending().await }
        };
        tokio::select! {
            biased;
            firing = next_due => held = Some(firing),
            // The next time is waited for before the clock hears that this one is done, so that it stops there.
            () = async { drop(held.take()); std::future::pending().await } => {}
            () = rung => {}
            () = look => {}
        }
    }
}
