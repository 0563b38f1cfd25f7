//! The packages that a mirrored feed has fetched so far, as a source of a feed.

use std::sync::{Arc, PoisonError, RwLock};

use chrono::NaiveDate;
use pkg_formats::psp::{FeedKind, Op};

use super::Fetched;
use crate::history::Event;
use crate::packages::{Package, Packages, Record};

/// The packages of a feed that were fetched so far.
pub(crate) struct Shelf {
    feed: &'static str,
    kind: FeedKind,
    history_from: NaiveDate,
    taken: RwLock<Vec<Taken>>,
}

struct Taken {
    name: String,
    /// In the order of time.
    states: Vec<State>,
}

struct State {
    at: i64,
    fetched: Fetched,
}

impl Shelf {
    pub(crate) fn new(feed: &'static str, kind: FeedKind, history_from: NaiveDate) -> Arc<Self> {
        Arc::new(Self { feed, kind, history_from, taken: RwLock::default() })
    }

    /// Puts packages on it, as of second `at`; their numbers.
    pub(super) fn add(&self, at: i64, packages: Vec<Fetched>) -> Vec<Package> {
        let mut taken = self.taken.write().unwrap_or_else(PoisonError::into_inner);
        let mut numbers = Vec::with_capacity(packages.len());
        for fetched in packages {
            let place = taken.iter().position(|package| package.name == fetched.name).unwrap_or_else(|| {
                taken.push(Taken { name: fetched.name.clone(), states: Vec::new() });
                taken.len() - 1
            });
            taken[place].states.push(State { at, fetched });
            numbers.push(place as Package);
        }
        numbers
    }

    /// The newest state of a package.
    pub(super) fn newest(&self, name: &str) -> Option<Fetched> {
        let taken = self.taken.read().unwrap_or_else(PoisonError::into_inner);
        let package = taken.iter().find(|package| package.name == name)?;
        package.states.last().map(|state| state.fetched.clone())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.taken.read().unwrap_or_else(PoisonError::into_inner).iter().map(|package| package.name.clone()).collect()
    }

    fn with<T>(&self, package: Package, of: impl FnOnce(&Taken) -> T) -> T {
        of(&self.taken.read().unwrap_or_else(PoisonError::into_inner)[package as usize])
    }
}

impl Packages for Arc<Shelf> {
    fn feed(&self) -> &'static str {
        self.feed
    }

    fn kind(&self) -> FeedKind {
        self.kind
    }

    fn history_from(&self) -> NaiveDate {
        self.history_from
    }

    fn count(&self) -> u32 {
        self.taken.read().unwrap_or_else(PoisonError::into_inner).len() as u32
    }

    fn name(&self, package: Package) -> String {
        self.with(package, |taken| taken.name.clone())
    }

    fn events(&self, package: Package) -> Vec<Event> {
        self.with(package, |taken| {
            let states = taken.states.iter().enumerate();
            let event = |(nth, state): (usize, &State)| Event {
                at: state.at,
                op: if nth == 0 { Op::Add } else { Op::Update },
                version: state.fetched.version.clone(),
            };
            states.map(event).collect()
        })
    }

    fn record(&self, package: Package, cut: i64) -> Record {
        self.with(package, |taken| {
            let state = taken.states.iter().rev().find(|state| state.at < cut);
            let json = state.map(|state| state.fetched.record.clone().into_bytes()).unwrap_or_default();
            // Its files are not made here: see `Mirror::file`.
            Record { json, files: Vec::new() }
        })
    }

    fn file(&self, _package: Package, _file: u32) -> Vec<u8> {
        Vec::new()
    }
}
