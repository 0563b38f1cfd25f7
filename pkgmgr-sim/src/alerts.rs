//! What administrators should look at: feeds that are refused, and feeds that are stale.
//!
//! The real server lists alerts too; their fields are not known beyond that. Ours have `type`, `source`, `since` and `message`.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::app::App;
use crate::error::Error;
use crate::record::instant;
use crate::store::{sources, transactions};

/// A source that was not seen to be up to date for so long is stale.
const STALE: TimeDelta = TimeDelta::days(2);

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// `sync-failed` or `sync-stale`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The source that it is about.
    pub source: String,
    /// Since when.
    pub since: DateTime<Utc>,
    /// For people.
    pub message: String,
}

impl App {
    /// All alerts. None of them keeps the server from serving what it has.
    ///
    /// # Errors
    /// The database's.
    pub async fn alerts(&self) -> Result<Vec<Alert>, Error> {
        let db = self.world().db();
        let now = self.world().clock().now();
        let view = self.view();
        let mut alerts = Vec::new();
        for source in view.fed() {
            let last = transactions::list(db, source.id, false, 1, 0).await?.pop();
            let failed = last.filter(|t| t.result != 0 && t.action == "Sync");
            let newest = view.newest.get(&source.id).map(|point| instant(point.as_of).date_naive());
            let shown = newest.map_or_else(|| "nothing".to_owned(), |date| format!("the state of {date}"));
            // A later success leaves no transaction when there was nothing new.
            let checked = sources::trust(db, source.id).await?.map(|(_, at)| instant(at));
            // Where the clock stands still, only this run's own memory tells which was first.
            let failed_last = |at: i64| checked.is_none_or(|then| then.timestamp_micros() < at);
            let failing = self.progress(source.id).error.is_some();
            if let Some(failed) = failed.filter(|t| failing || failed_last(t.completed_at)) {
                alerts.push(Alert {
                    kind: "sync-failed",
                    source: source.name.clone(),
                    since: instant(failed.created_at),
                    message: format!("{} cannot be synchronised, {shown} is served: {}", source.name, failed.error),
                });
            }
            if let Some(at) = checked.filter(|at| now - *at > STALE) {
                alerts.push(Alert {
                    kind: "sync-stale",
                    source: source.name.clone(),
                    since: at,
                    message: format!(
                        "{} was last synchronised on {}; {shown} is served, and what was published since is missing",
                        source.name,
                        at.date_naive()
                    ),
                });
            }
        }
        Ok(alerts)
    }
}
