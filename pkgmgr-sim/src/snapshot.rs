//! Snapshots: what the `{snapshot}` segment of a URL means.
//!
//! | form | meaning |
//! |---|---|
//! | `latest` | the newest state; moves |
//! | `2025-01-02` | what was published before that day began (UTC) |
//! | `1194160` | the state after the transaction of that number |
//! | `3-12`, `57-1-40-8123` | what a created URL pins ([`crate::urls`]) |
//!
//! A date is served once every source of the repo has been synchronised past it, so that what it shows never changes; until
//! then, and before the history begins, it is not found. A date on which nothing happened shows the closest earlier one.
//! The real server's answers for dates outside are not known.
//!
//! Bioconductor counts releases, not days: in an R repo its packages are always the newest of their release, as the real
//! product's documentation says, so such a snapshot may change. A Bioconductor repo has dates (as newer servers have); a date
//! before a release does not show it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use chrono::{DateTime, NaiveDate, Utc};
use http::HeaderValue;
use serde::Deserialize;
use sim_kit::serve_bytes::http_date;

use crate::app::{App, View};
use crate::blocklist::{Rules, When};
use crate::error::Error;
use crate::record::instant;
use crate::store::repos::{Repo, Subscription};
use crate::store::sources::{self, Source};
use crate::store::transactions::{self, Point};

/// A repo at a state of its sources. What it shows never changes.
#[derive(Debug)]
pub struct Snapshot {
    /// The repo.
    pub repo: Arc<Repo>,
    /// Its sources with their states; of two that have a package the first wins.
    pub parts: Vec<Part>,
    /// The blocklist rules that its indexes follow.
    pub(crate) rules: Option<Rules>,
    /// Of a release of Bioconductor only this part, one of [`pkg_formats::psp::BIOC_COMPONENTS`]; none shows all.
    pub component: Option<&'static str>,
    /// Names the state; equal keys show the same.
    pub key: String,
    /// False for `latest`: the same URL may lead elsewhere later.
    pub fixed: bool,
    /// How long what it shows may be kept by caches.
    pub freshness: Freshness,
}

/// What caches are told about an answer.
#[derive(Debug, Clone)]
pub struct Freshness {
    /// `Cache-Control`.
    pub cache_control: &'static str,
    /// `Last-Modified`.
    pub modified: DateTime<Utc>,
    /// The same, ready to be sent.
    pub modified_header: HeaderValue,
}

impl Freshness {
    /// Of an answer that has been what it is since `modified`.
    #[must_use]
    pub fn new(cache_control: &'static str, modified: DateTime<Utc>) -> Self {
        let modified_header = HeaderValue::try_from(http_date(modified)).expect("a date is ASCII");
        Self { cache_control, modified, modified_header }
    }
}

/// `Cache-Control` of what may change, and of what may not.
pub const MOVING: &str = "public, max-age=60";
/// See [`MOVING`].
pub const FIXED: &str = "public, max-age=31536000, immutable";

/// A source at a state.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The source's number.
    pub source: i64,
    /// Its state.
    pub at: Point,
}

impl Snapshot {
    /// Refuses repos of other kinds, for the endpoints of one.
    ///
    /// # Errors
    /// Not found.
    pub fn of_kind(&self, kind: &str) -> Result<(), Error> {
        if self.repo.kind == kind {
            return Ok(());
        }
        let Repo { name, kind: own, .. } = &*self.repo;
        Err(Error::NotFound(format!("repository {name} holds {own} packages, not {kind} packages")))
    }
}

impl Snapshot {
    /// Whether the package of a stored record belongs here.
    pub(crate) fn holds(&self, record: &str) -> Result<bool, Error> {
        #[derive(Deserialize)]
        struct Located {
            #[serde(default)]
            component: String,
        }
        match self.component {
            None => Ok(true),
            Some(component) => Ok(serde_json::from_str::<Located>(record)?.component == component),
        }
    }
}

/// Snapshots that were asked for, by repo and segment.
#[derive(Default)]
pub(crate) struct Snapshots(RwLock<HashMap<String, HashMap<String, Arc<Snapshot>>>>);

/// More segments of one repo than this are not remembered.
const REMEMBERED: usize = 1024;

impl Snapshots {
    fn get(&self, repo: &str, segment: &str) -> Option<Arc<Snapshot>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(repo)?.get(segment).cloned()
    }

    pub(crate) fn forget(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn remember(&self, repo: &str, segment: &str, snapshot: &Arc<Snapshot>) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let of_repo = all.entry(repo.to_owned()).or_default();
        if of_repo.len() >= REMEMBERED {
            of_repo.clear();
        }
        of_repo.insert(segment.to_owned(), snapshot.clone());
    }
}

impl App {
    /// The snapshot that `/{repo}/{segment}/` names.
    ///
    /// # Errors
    /// Not found, with the reason.
    pub async fn snapshot(&self, repo: &str, segment: &str) -> Result<Arc<Snapshot>, Error> {
        self.part_of_snapshot(repo, segment, None).await
    }

    /// The snapshot that `/{repo}/{segment}/packages/{release}/{component}/` names, or all components of the release.
    ///
    /// # Errors
    /// Not found, with the reason.
    pub(crate) async fn release_snapshot(
        &self,
        repo: &str,
        segment: &str,
        release: &str,
        component: Option<&'static str>,
    ) -> Result<Arc<Snapshot>, Error> {
        self.part_of_snapshot(repo, segment, Some((release, component))).await
    }

    async fn part_of_snapshot(
        &self,
        repo: &str,
        segment: &str,
        of: Option<(&str, Option<&'static str>)>,
    ) -> Result<Arc<Snapshot>, Error> {
        self.look_again().await?;
        let remembered = match of {
            None => Cow::Borrowed(segment),
            Some((release, component)) => Cow::Owned(format!("{segment} {release} {}", component.unwrap_or_default())),
        };
        if let Some(known) = self.0.snapshots.get(repo, &remembered) {
            return Ok(known);
        }
        let view = self.view();
        let found =
            view.repos.get(repo).cloned().ok_or_else(|| Error::NotFound(format!("there is no repository {repo:?}")))?;
        let only = of.map(|(release, _)| view.release(&found, release)).transpose()?;
        let mut snapshot = self.resolve(&view, found, segment, only).await?;
        if let Some((_, Some(component))) = of {
            snapshot.component = Some(component);
            snapshot.key.push('|');
            snapshot.key.push_str(component);
        }
        let snapshot = Arc::new(snapshot);
        // A change in the meantime has made `view` stale; what it showed must not be remembered then.
        if Arc::ptr_eq(&view, &self.view()) {
            self.0.snapshots.remember(repo, &remembered, &snapshot);
        }
        Ok(snapshot)
    }

    /// A source at a state; for one that shows a state of another, that one's.
    pub(crate) async fn part(&self, view: &View, source: i64, at: Point) -> Result<Part, Error> {
        if view.source(source).is_none_or(|source| source.kind != "cran-snapshot") {
            return Ok(Part { source, at });
        }
        let pin = sources::pin(self.world().db(), source, at.tx).await?;
        let (base, at) = pin.ok_or_else(|| Error::Internal(format!("source {source} has no pin")))?;
        // Nothing is shown in place of what was cleared.
        if transactions::point(self.world().db(), base, at.tx).await? != Some(at) {
            let reason = "shows a state that was cleared; rspm update moves it to another one";
            return Err(Error::NotFound(format!(
                "source {} {reason}",
                view.source(source).map_or("?", |s| s.name.as_str())
            )));
        }
        Ok(Part { source: base, at })
    }

    /// With `only` of this one of the repo's sources.
    async fn resolve(&self, view: &View, repo: Arc<Repo>, segment: &str, only: Option<i64>) -> Result<Snapshot, Error> {
        let no_sources = || Error::NotFound(format!("repository {} has no sources", repo.name));
        let rolls = |id: i64| repo.kind == "R" && view.source(id).is_some_and(Source::is_bioconductor);
        // Releases stand side by side: one that is not here (yet) does not keep others from being served.
        let absent = |id: i64| {
            repo.kind == "Bioconductor"
                && only.is_none()
                && match parse_date(segment) {
                    Some(date) => view.history_from.get(&id).is_some_and(|first| midnight(date) < *first),
                    None => !view.newest.contains_key(&id),
                }
        };
        let wanted = |id: i64| only.is_none_or(|only| only == id) && !absent(id);
        let mut rolling = segment == "latest";
        let mut parts = Vec::new();
        let when;
        if let Some(spelled) = self.created_url(&repo, segment).await? {
            when = When::After(spelled.rules);
            parts = self.spelled_parts(view, &repo, &spelled).await?.ok_or_else(|| {
                Error::NotFound(format!("there is no snapshot {segment:?} of repository {}", repo.name))
            })?;
            parts.retain(|part| only.is_none_or(|only| only == part.source));
        } else {
            let then: &Subscription = if segment == "latest" {
                when = When::Now;
                repo.subscriptions.last().ok_or_else(no_sources)?
            } else if let Some(date) = parse_date(segment) {
                let at = midnight(date);
                when = When::At(at);
                // The first composition counts for all times before it: histories begin before the repo was made.
                let then = repo.subscriptions.iter().rev().find(|s| s.since <= at).or(repo.subscriptions.first());
                then.ok_or_else(no_sources)?
            } else if let Some(id) = parse_id(segment) {
                when = When::After(id);
                let missing = || Error::NotFound(format!("there is no transaction {segment}"));
                if !transactions::exists(self.world().db(), id).await? {
                    return Err(missing());
                }
                repo.subscriptions.iter().rev().find(|s| s.since_tx <= id).ok_or_else(missing)?
            } else {
                return Err(Error::NotFound(format!(
                    "there is no snapshot {segment:?}; use latest, a date such as 2025-01-02, the number of a transaction, or what \
                     rspm url create gives"
                )));
            };
            for source in then.sources.iter().copied().filter(|source| wanted(*source)) {
                rolling |= rolls(source);
                let segment = if rolls(source) { "latest" } else { segment };
                if let Some(at) = self.state_of(view, source, segment).await? {
                    parts.push(self.part(view, source, at).await?);
                }
            }
            if parts.is_empty() && matches!(when, When::After(_)) {
                return Err(Error::NotFound(format!(
                    "repository {} had no packages at transaction {segment}",
                    repo.name
                )));
            }
        }
        if only.is_some() && parts.is_empty() {
            return Err(Error::NotFound(format!("repository {} has nothing of it at {segment}", repo.name)));
        }
        let rules = match view.rules_for(repo.id, when) {
            Some(rules) => Some(self.with_past_vulns(view, rules, when).await?),
            None => None,
        };
        let mut key = parts.iter().map(|p| format!("{}@{}", p.source, p.at.tx)).collect::<Vec<_>>().join(",");
        key.push_str(rules.as_ref().map_or("", |rules| rules.key.as_str()));
        let fixed = !rolling;
        let changed = parts.iter().map(|p| p.at.as_of).max().unwrap_or(repo.created_at);
        let freshness = Freshness::new(if fixed { FIXED } else { MOVING }, instant(changed));
        Ok(Snapshot { repo, parts, rules, component: None, key, fixed, freshness })
    }

    /// The state of one source that `latest`, a date or the number of a transaction names; none when it had none then.
    ///
    /// # Errors
    /// Not found: a date that the source cannot be asked for, or no such form.
    pub(crate) async fn state_of(&self, view: &View, source: i64, segment: &str) -> Result<Option<Point>, Error> {
        let db = self.world().db();
        let is_fed = view.source(source).is_some_and(|s| s.feed.is_some());
        let newest = view.newest.get(&source).copied();
        let unsynced = || {
            let name = view.source(source).map_or("?", |s| s.name.as_str());
            Error::NotFound(format!(
                "source {name} has not been synchronised yet; GET /__api__/status tells how far it is"
            ))
        };
        if segment == "latest" {
            return match newest {
                None if is_fed => Err(unsynced()),
                newest => Ok(newest),
            };
        }
        if let Some(id) = parse_id(segment) {
            if !transactions::exists(db, id).await? {
                return Err(Error::NotFound(format!("there is no transaction {segment}")));
            }
            return Ok(transactions::point(db, source, id).await?);
        }
        let date = parse_date(segment).ok_or_else(|| {
            Error::NotFound(format!(
                "there is no snapshot {segment:?}; use a date such as 2025-01-02, or a transaction"
            ))
        })?;
        let at = midnight(date);
        if is_fed {
            let newest = newest.ok_or_else(unsynced)?.as_of;
            if at > newest {
                let newest = instant(newest).date_naive();
                return Err(Error::NotFound(format!(
                    "{segment} is not published yet; the newest snapshot is {newest}"
                )));
            }
            let first = view.history_from.get(&source).copied().unwrap_or(newest);
            if at < first {
                let first = instant(first).date_naive();
                return Err(Error::NotFound(format!("{segment} is before the first snapshot, which is {first}")));
            }
        } else if at > self.world().clock().now_micros() {
            return Err(Error::NotFound(format!("{segment} is in the future")));
        }
        Ok(transactions::point_at(db, source, at).await?)
    }
}

/// 00:00 UTC of a day in microseconds since 1970.
fn midnight(date: NaiveDate) -> i64 {
    date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
}

/// Exactly `YYYY-MM-DD`, and a day that exists.
pub(crate) fn parse_date(text: &str) -> Option<NaiveDate> {
    let is_shaped = text.len() == 10
        && text.bytes().enumerate().all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() });
    is_shaped.then(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()).flatten()
}

/// The number of a transaction.
pub(crate) fn parse_id(text: &str) -> Option<i64> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_numbers() {
        assert!(parse_date("2024-02-29").is_some());
        for bad in ["2023-02-29", "2024-2-9", "20240209", "2024-02-31", "+024-02-01", "2024-02-01Z", "latest"] {
            assert!(parse_date(bad).is_none(), "{bad}");
        }
        assert_eq!(parse_id("12"), Some(12));
        for bad in ["-1", "+1", "99999999999999999999", "1x"] {
            assert_eq!(parse_id(bad), None, "{bad}");
        }
    }
}
