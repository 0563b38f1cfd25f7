//! What a feed needs of its packages. [`crate::cran`], [`crate::bioc`], [`crate::pypi`], [`crate::vsx`] and [`crate::almanac`] are the kinds.

use std::collections::HashSet;

use chrono::NaiveDate;
use pkg_formats::psp::{Digest, FeedKind};

use crate::history::Event;

/// A number of a package within its feed.
pub(crate) type Package = u32;

/// All packages of a feed: a pure function of seed and size.
pub(crate) trait Packages: Send + Sync {
    /// The feed's name.
    fn feed(&self) -> &'static str;
    /// The kind of its records.
    fn kind(&self) -> FeedKind;
    /// The first date with a snapshot.
    fn history_from(&self) -> NaiveDate;
    /// How many there ever will be.
    fn count(&self) -> u32;
    /// Name in the index.
    fn name(&self, package: Package) -> String;
    /// All that ever happens to it, in order.
    fn events(&self, package: Package) -> Vec<Event>;
    /// Its record with the events before second `cut`.
    fn record(&self, package: Package, cut: i64) -> Record;
    /// One of its files.
    fn file(&self, package: Package, file: u32) -> Vec<u8>;
}

/// Two sets of packages as one feed, the second numbered after the first. What both have is the second's.
pub(crate) struct Joined {
    first: Box<dyn Packages>,
    second: Box<dyn Packages>,
    /// Of the first, those that the second has too: nothing ever happens to them.
    hidden: HashSet<Package>,
}

impl Joined {
    pub(crate) fn new(first: Box<dyn Packages>, second: Box<dyn Packages>) -> Self {
        let of_second: HashSet<String> = (0..second.count()).map(|package| second.name(package)).collect();
        let count = if of_second.is_empty() { 0 } else { first.count() };
        let hidden = (0..count).filter(|package| of_second.contains(&first.name(*package))).collect();
        Self { first, second, hidden }
    }

    fn of(&self, package: Package) -> (&dyn Packages, Package) {
        match package.checked_sub(self.first.count()) {
            None => (&*self.first, package),
            Some(rest) => (&*self.second, rest),
        }
    }
}

impl Packages for Joined {
    fn feed(&self) -> &'static str {
        self.first.feed()
    }

    fn kind(&self) -> FeedKind {
        self.first.kind()
    }

    fn history_from(&self) -> NaiveDate {
        self.first.history_from()
    }

    fn count(&self) -> u32 {
        self.first.count() + self.second.count()
    }

    fn name(&self, package: Package) -> String {
        let (packages, package) = self.of(package);
        packages.name(package)
    }

    fn events(&self, package: Package) -> Vec<Event> {
        if self.hidden.contains(&package) {
            return Vec::new();
        }
        let (packages, package) = self.of(package);
        packages.events(package)
    }

    fn record(&self, package: Package, cut: i64) -> Record {
        let (packages, package) = self.of(package);
        packages.record(package, cut)
    }

    fn file(&self, package: Package, file: u32) -> Vec<u8> {
        let (packages, package) = self.of(package);
        packages.file(package, file)
    }
}

/// A record and the files it names.
#[derive(Clone)]
pub(crate) struct Record {
    /// Canonical JSON.
    pub(crate) json: Vec<u8>,
    /// Digest and number of each file.
    pub(crate) files: Vec<(Digest, u32)>,
}
