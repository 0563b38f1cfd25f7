//! The packages that a snapshot of an R repository offers, one after the other.

use std::collections::BTreeSet;

use pkg_formats::psp::{RRecord, RVersion};

use crate::app::App;
use crate::error::Error;
use crate::record::{self, instant};
use crate::snapshot::Snapshot;
use crate::store::packages::{self, Shows};

const PAGE: i64 = 500;

/// Calls `visit` with the name and the current version of every package, each from the first source that has one.
/// Holds the records of one page at a time.
///
/// # Errors
/// When the store fails or a record cannot be read.
pub(crate) async fn each_current(
    app: &App,
    snapshot: &Snapshot,
    mut visit: impl FnMut(String, &RVersion),
) -> Result<(), Error> {
    let mut seen = BTreeSet::new();
    for part in &snapshot.parts {
        let t = instant(part.at.as_of);
        let mut pages = packages::pages(app.world().db(), part.source, part.at, true, PAGE);
        while let Some(page) = pages.next().await? {
            for listed in page {
                let Shows::Record(json) = listed.shows else { continue };
                let record: RRecord = serde_json::from_str(&json)?;
                let Some(version) = record::current(&record, t) else { continue };
                if seen.insert(listed.name.clone()) {
                    visit(listed.name, version);
                }
            }
        }
    }
    Ok(())
}
