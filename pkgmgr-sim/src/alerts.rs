//! What administrators should look at: feeds that are refused, feeds that are stale, and a disk that is nearly full.
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
    /// `sync-failed`, `sync-stale` or `disk-usage`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The source that it is about, if it is about one.
    pub source: Option<String>,
    /// Since when; of a disk, when it was looked at.
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
                    source: Some(source.name.clone()),
                    since: instant(failed.created_at),
                    message: format!("{} cannot be synchronised, {shown} is served: {}", source.name, failed.error),
                });
            }
            if let Some(at) = checked.filter(|at| now - *at > STALE) {
                alerts.push(Alert {
                    kind: "sync-stale",
                    source: Some(source.name.clone()),
                    since: at,
                    message: format!(
                        "{} was last synchronised on {}; {shown} is served, and what was published since is missing",
                        source.name,
                        at.date_naive()
                    ),
                });
            }
        }
        // What cannot be measured is not known to be full.
        if let Ok(disk) = rustix::fs::statvfs(self.world().root()) {
            let used = disk.f_blocks.saturating_sub(disk.f_bfree) * disk.f_frsize;
            alerts.extend(full(used, disk.f_bavail * disk.f_frsize, self.0.config.disk_alert, now));
        }
        Ok(alerts)
    }
}

/// Of a disk with so many bytes used and left, when `most` percent of it or more are used; of 100 percent it is too late to tell.
fn full(used: u64, left: u64, most: u8, now: DateTime<Utc>) -> Option<Alert> {
    // As df counts: what is reserved for the system is neither used nor left.
    let percent = u128::from(used) * 100 / (u128::from(used) + u128::from(left)).max(1);
    (most < 100 && percent >= u128::from(most)).then(|| Alert {
        kind: "disk-usage",
        source: None,
        since: now,
        message: format!("The disk of the data folder is full to {percent} %, {} MiB are left", left >> 20),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_nearly_full_from_the_set_share_on() {
        let told = |used, left, most| full(used, left, most, DateTime::<Utc>::MIN_UTC).map(|alert| alert.message);
        assert_eq!(told(89, 11, 90), None);
        let message = told(90 << 30, 10 << 30, 90).unwrap();
        assert_eq!(message, "The disk of the data folder is full to 90 %, 10240 MiB are left");
        assert_eq!(told(100, 0, 100), None, "never");
        assert_eq!((told(0, 0, 90), told(u64::MAX, u64::MAX, 90)), (None, None));
    }
}
