//! What happened: every request in and out, in a ring bounded by count and bytes, with counters that lose nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Which way a request went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// A client asked this server.
    #[default]
    In,
    /// This server asked another one.
    Out,
}

/// One request and what came of it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Entry {
    /// Number since the last reset, from 1, without gaps.
    pub seq: u64,
    /// When it ended, by the World's clock.
    pub time: DateTime<Utc>,
    /// In or out.
    pub direction: Direction,
    /// The other server's role, for requests out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// `GET`, `POST` …
    pub method: String,
    /// Path and query; for requests out the whole URL. Credentials in it are blanked.
    pub path: String,
    /// The answer's status; none when there was no answer.
    pub status: Option<u16>,
    /// Until the head of the answer, in microseconds of machine time.
    pub duration_us: u64,
    /// The pattern of the route that answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// True when no route matched; a loud sign that something is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unmatched: bool,
    /// The route that comes nearest to an unmatched path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// Who asked, if that was found out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The client's `User-Agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The fault rule that fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Why there was no answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl Entry {
    /// An entry with everything optional left out; `seq` is filled in by [`Journal::record`].
    #[must_use]
    pub fn new(direction: Direction, time: DateTime<Utc>, method: &str, path: &str) -> Self {
        let mut entry = Self { direction, time, method: method.to_owned(), ..Self::default() };
        entry.set_path(path);
        entry
    }

    /// Takes `path` as an entry shows it.
    pub(crate) fn set_path(&mut self, path: &str) {
        self.path.clear();
        blank_credentials(path, &mut self.path);
    }

    fn weight(&self) -> usize {
        let texts =
            [&self.peer, &self.route, &self.nearest, &self.principal, &self.user_agent, &self.fault, &self.error];
        size_of::<Self>()
            + self.method.len()
            + self.path.len()
            + texts.into_iter().flatten().map(String::len).sum::<usize>()
    }
}

/// Writes `text` over what stands in `place`, into the room that is there.
pub(crate) fn put(place: &mut Option<String>, text: Option<&str>) {
    match text {
        None => *place = None,
        Some(text) => {
            let place = place.get_or_insert_default();
            place.clear();
            place.push_str(text);
        }
    }
}

/// Appends `path` to `text` with user information of a URL blanked, and cut when it is absurdly long.
fn blank_credentials(path: &str, text: &mut String) {
    const LONGEST: usize = 2048;
    match path.split_once("://") {
        Some((scheme, rest)) => {
            let end = rest.find('/').unwrap_or(rest.len());
            match rest[..end].rfind('@') {
                Some(at) => text.extend([scheme, "://***@", &rest[at + 1..]]),
                None => text.push_str(path),
            }
        }
        None => text.push_str(path),
    }
    if text.len() > LONGEST {
        text.truncate(text.floor_char_boundary(LONGEST));
        text.push('…');
    }
}

/// How much the ring holds.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Entries at most.
    pub entries: usize,
    /// Bytes at most, roughly.
    pub bytes: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { entries: 10_000, bytes: 4 << 20 }
    }
}

/// Counters since the last reset; they count what the ring has forgotten too.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Counters {
    /// All entries.
    pub total: u64,
    /// Entries the ring no longer holds.
    pub forgotten: u64,
    /// Requests that matched no route.
    pub unmatched: u64,
    /// Requests a fault rule touched.
    pub faults: u64,
    /// By `in`/`out` and status class (`2xx` …, `none`).
    pub by_status: BTreeMap<String, u64>,
}

/// The journal. Clones share it.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    bounds: Bounds,
    state: Mutex<State>,
    latest: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    ring: VecDeque<Entry>,
    /// The last one forgotten: its room is used again.
    spare: Entry,
    bytes: usize,
    total: u64,
    unmatched: u64,
    faults: u64,
    /// In 1xx…5xx and none, out the same.
    by_status: [u64; 12],
}

const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

impl Journal {
    /// An empty journal.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Inner { bounds, state: Mutex::default(), latest: watch::channel(0).0 }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an entry and forgets the oldest ones over the bounds.
    pub fn record(&self, entry: Entry) {
        self.write(|place| *place = entry);
    }

    /// As [`Journal::record`], with an entry that `fill` writes over a former one's; it must set every field but `seq`.
    pub(crate) fn write(&self, fill: impl FnOnce(&mut Entry)) {
        let mut state = self.lock();
        let mut entry = std::mem::take(&mut state.spare);
        fill(&mut entry);
        state.total += 1;
        entry.seq = state.total;
        state.unmatched += u64::from(entry.unmatched);
        state.faults += u64::from(entry.fault.is_some());
        let class = entry.status.map_or(0, |s| usize::from(s / 100).min(5));
        state.by_status[class + if entry.direction == Direction::In { 0 } else { 6 }] += 1;
        state.bytes += entry.weight();
        state.ring.push_back(entry);
        while state.ring.len() > self.0.bounds.entries || state.bytes > self.0.bounds.bytes {
            match state.ring.pop_front() {
                Some(oldest) => {
                    state.bytes -= oldest.weight();
                    state.spare = oldest;
                }
                None => break,
            }
        }
        let total = state.total;
        drop(state);
        // Whoever comes now looks into the ring first.
        if self.0.latest.receiver_count() > 0 {
            self.0.latest.send_replace(total);
        }
    }

    /// The entries with a number above `after` that `wanted` takes, oldest first, at most `limit`.
    pub fn entries(&self, after: u64, limit: usize, wanted: impl Fn(&Entry) -> bool) -> Vec<Entry> {
        self.lock().ring.iter().filter(|e| e.seq > after && wanted(e)).take(limit).cloned().collect()
    }

    /// Waits until `wanted` takes an entry with a number above `after`; answers with the first such.
    pub async fn wait_for(&self, after: u64, wanted: impl Fn(&Entry) -> bool) -> Entry {
        let mut latest = self.0.latest.subscribe();
        loop {
            if let Some(entry) = self.entries(after, 1, &wanted).pop() {
                return entry;
            }
            if latest.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// The counters.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let state = self.lock();
        let by_status = ["in", "out"]
            .iter()
            .enumerate()
            .flat_map(|(d, direction)| CLASSES.iter().enumerate().map(move |(c, class)| (d * 6 + c, direction, class)))
            .filter(|(i, ..)| state.by_status[*i] > 0)
            .map(|(i, direction, class)| (format!("{direction} {class}"), state.by_status[i]))
            .collect();
        Counters {
            total: state.total,
            forgotten: state.total - state.ring.len() as u64,
            unmatched: state.unmatched,
            faults: state.faults,
            by_status,
        }
    }

    /// Forgets everything; numbering starts anew.
    pub fn clear(&self) {
        *self.lock() = State::default();
        self.0.latest.send_replace(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, status: u16) -> Entry {
        Entry { status: Some(status), ..Entry::new(Direction::In, DateTime::UNIX_EPOCH, "GET", path) }
    }

    #[test]
    fn the_ring_is_bounded_and_the_counters_are_not() {
        let journal = Journal::new(Bounds { entries: 3, bytes: 1 << 20 });
        for i in 0..10 {
            journal.record(entry(&format!("/{i}"), if i % 2 == 0 { 200 } else { 404 }));
        }
        let paths: Vec<_> = journal.entries(0, 100, |_| true).into_iter().map(|e| (e.seq, e.path)).collect();
        assert_eq!(paths, [(8, "/7".into()), (9, "/8".into()), (10, "/9".into())]);
        let counters = journal.counters();
        assert_eq!((counters.total, counters.forgotten), (10, 7));
        assert_eq!(counters.by_status, BTreeMap::from([("in 2xx".into(), 5), ("in 4xx".into(), 5)]));

        let tight = Journal::new(Bounds { entries: 1000, bytes: 2000 });
        for _ in 0..100 {
            tight.record(entry(&"x".repeat(5000), 200));
        }
        assert!(tight.lock().bytes <= 2000);
    }

    #[test]
    fn credentials_do_not_get_in() {
        for (path, shown) in [("http://__token__:secret@host/x@y", "http://***@host/x@y"), ("/a?b=http", "/a?b=http")] {
            assert_eq!(entry(path, 200).path, shown);
        }
    }
}
