//! What a feed needs of its packages. [`crate::cran`], [`crate::bioc`], [`crate::pypi`] and [`crate::almanac`] are the kinds.

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

/// Two sets of packages as one feed, the second numbered after the first.
pub(crate) struct Joined(pub(crate) Box<dyn Packages>, pub(crate) Box<dyn Packages>);

impl Joined {
    fn of(&self, package: Package) -> (&dyn Packages, Package) {
        match package.checked_sub(self.0.count()) {
            None => (&*self.0, package),
            Some(rest) => (&*self.1, rest),
        }
    }
}

impl Packages for Joined {
    fn feed(&self) -> &'static str {
        self.0.feed()
    }

    fn kind(&self) -> FeedKind {
        self.0.kind()
    }

    fn history_from(&self) -> NaiveDate {
        self.0.history_from()
    }

    fn count(&self) -> u32 {
        self.0.count() + self.1.count()
    }

    fn name(&self, package: Package) -> String {
        let (packages, package) = self.of(package);
        packages.name(package)
    }

    fn events(&self, package: Package) -> Vec<Event> {
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
pub(crate) struct Record {
    /// Canonical JSON.
    pub(crate) json: Vec<u8>,
    /// Digest and number of each file.
    pub(crate) files: Vec<(Digest, u32)>,
}
