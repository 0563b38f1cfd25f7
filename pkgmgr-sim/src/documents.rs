//! What the package service tells about packages: distributions, rules for system requirements, vulnerabilities.
//!
//! These feeds hold documents instead of packages; the newest of each counts, whatever the date of a snapshot. There are few of
//! them, so they are kept in memory, and read anew when their source has changed.

use std::sync::Arc;

use pkg_formats::psp::{DocumentRecord, SysreqsRule};
use serde::de::DeserializeOwned;
use sim_kit::Db;

use crate::error::Error;
use crate::platform::{self, Distro};
use crate::store::packages::{self, Shows};
use crate::store::transactions::Point;

/// The documents as they are now.
#[derive(Debug)]
pub(crate) struct Documents {
    pub(crate) distros: Arc<Vec<Distro>>,
    pub(crate) sysreqs: Arc<Vec<SysreqsRule>>,
    /// The states they are of, in the order of the members.
    at: [Option<Point>; 2],
}

impl Default for Documents {
    fn default() -> Self {
        Self { distros: Arc::new(platform::built_in()), sysreqs: Arc::default(), at: [None; 2] }
    }
}

impl Documents {
    /// The documents of the states that `newest` gives for each type of source; what is known of a state is not read again.
    pub(crate) async fn read(
        db: &Db,
        newest: impl Fn(&str) -> Option<(i64, Point)>,
        known: &Self,
    ) -> Result<Self, Error> {
        let mut now = Self { distros: known.distros.clone(), sysreqs: known.sysreqs.clone(), at: known.at };
        if let Some((source, at)) = newest("distros").filter(|(_, at)| now.at[0] != Some(*at)) {
            let told: Vec<pkg_formats::psp::Distro> = all(db, source, at).await?;
            now.distros = Arc::new(told.into_iter().map(Distro::from).collect());
            now.at[0] = Some(at);
        }
        if let Some((source, at)) = newest("sysreqs").filter(|(_, at)| now.at[1] != Some(*at)) {
            now.sysreqs = Arc::new(all(db, source, at).await?);
            now.at[1] = Some(at);
        }
        Ok(now)
    }

    /// Names the state: equal ones are equal documents.
    pub(crate) fn state(&self) -> String {
        self.at.map(|at| at.map_or(0, |at| at.tx).to_string()).join(",")
    }
}

/// Documents read at once.
const PAGE: i64 = 500;

/// The documents of a source at a state, in the order of their names. What does not have the shape that it should have is left
/// out, with a word in the log.
async fn all<T: DeserializeOwned>(db: &Db, source: i64, at: Point) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    let mut after = String::new();
    loop {
        let page = packages::page(db, source, at, true, &after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.name);
        for listed in page {
            let Shows::Record(json) = listed.shows else { continue };
            let record: DocumentRecord = serde_json::from_str(&json)?;
            if record.removed_at.is_some() {
                continue;
            }
            match serde_json::from_value(record.document) {
                Ok(document) => found.push(document),
                Err(error) => tracing::warn!(name = listed.name, %error, "a document cannot be read and is left out"),
            }
        }
    }
    Ok(found)
}
