//! What the package service tells about packages: distributions, rules for system requirements, vulnerabilities.
//!
//! These feeds hold documents instead of packages; the newest of each counts, whatever the date of a snapshot. There are few of
//! them, so they are kept in memory, and read anew when their source has changed.

use std::sync::Arc;

use pkg_formats::psp::{DocumentRecord, SysreqsRule};
use serde::de::DeserializeOwned;
use sim_kit::Db;

use crate::app::{App, View};
use crate::blocklist::{Rules, When};
use crate::error::Error;
use crate::platform::{self, Distro};
use crate::record::instant;
use crate::store::packages::{self, Shows};
use crate::store::transactions::{self, Point};
use crate::vulns::Vulns;

/// The documents as they are now.
#[derive(Debug)]
pub(crate) struct Documents {
    pub(crate) distros: Arc<Vec<Distro>>,
    pub(crate) sysreqs: Arc<Vec<SysreqsRule>>,
    pub(crate) vulns: Arc<Vulns>,
    /// The states they are of, in the order of the members.
    at: [Option<Point>; 3],
}

impl Default for Documents {
    fn default() -> Self {
        Self { distros: Arc::new(platform::built_in()), sysreqs: Arc::default(), vulns: Arc::default(), at: [None; 3] }
    }
}

impl Documents {
    /// The documents of the states that `newest` gives for each type of source; what is known of a state is not read again.
    pub(crate) async fn read(
        db: &Db,
        newest: impl Fn(&str) -> Option<(i64, Point)>,
        known: &Self,
    ) -> Result<Self, Error> {
        let mut now = Self {
            distros: known.distros.clone(),
            sysreqs: known.sysreqs.clone(),
            vulns: known.vulns.clone(),
            at: known.at,
        };
        if let Some((source, at)) = newest("distros").filter(|(_, at)| now.at[0] != Some(*at)) {
            let told: Vec<pkg_formats::psp::Distro> = all(db, source, at).await?;
            now.distros = Arc::new(told.into_iter().map(Distro::from).collect());
            now.at[0] = Some(at);
        }
        if let Some((source, at)) = newest("sysreqs").filter(|(_, at)| now.at[1] != Some(*at)) {
            now.sysreqs = Arc::new(all(db, source, at).await?);
            now.at[1] = Some(at);
        }
        if let Some((source, at)) = newest("vulns").filter(|(_, at)| now.at[2] != Some(*at)) {
            now.vulns = Arc::new(Vulns::new(all(db, source, at).await?));
            now.at[2] = Some(at);
        }
        Ok(now)
    }

    /// The number of the transaction that brought the vulnerabilities.
    pub(crate) fn vulns_tx(&self) -> i64 {
        self.at[2].map_or(0, |at| at.tx)
    }

    /// Names the state: equal ones are equal documents.
    pub(crate) fn state(&self) -> String {
        self.at.map(|at| at.map_or(0, |at| at.tx).to_string()).join(",")
    }
}

impl App {
    /// `rules` with the vulnerabilities that were known at the time that they are about, so that what a snapshot of the past has
    /// shown stays what it was.
    pub(crate) async fn with_past_vulns(&self, view: &View, rules: Rules, when: When) -> Result<Rules, Error> {
        let source = view.sources.iter().find(|source| source.kind == "vulns");
        let (true, Some(source)) = (rules.go_by_vulns(), source) else { return Ok(rules) };
        let db = self.world().db();
        let (point, t) = match when {
            When::Now => return Ok(rules),
            When::At(t) => {
                let newest = view.newest.get(&source.id).map_or(i64::MIN, |point| point.as_of);
                if t > newest {
                    return Err(Error::NotFound(format!(
                        "{} is not published yet: the vulnerabilities that a blocklist rule goes by are not known up to then",
                        instant(t).date_naive()
                    )));
                }
                (transactions::point_at(db, source.id, t).await?, Some(t))
            }
            When::After(tx) => (transactions::point(db, source.id, tx).await?, None),
        };
        let Some(point) = point else { return Ok(rules.going_by(Arc::default(), 0, i64::MAX)) };
        let vulns = Vulns::new(all(db, source.id, point).await?);
        Ok(rules.going_by(Arc::new(vulns), point.tx, t.unwrap_or(point.as_of)))
    }
}

/// Documents read at once.
const PAGE: i64 = 500;

/// The documents of a source at a state, in the order of their names. What does not have the shape that it should have is left
/// out, with a word in the log.
async fn all<T: DeserializeOwned>(db: &Db, source: i64, at: Point) -> Result<Vec<T>, Error> {
    let mut found = Vec::new();
    let mut pages = packages::pages(db, source, at, true, PAGE);
    while let Some(page) = pages.next().await? {
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
