//! Created URLs: identifiers that name one state of each source of a repo.
//!
//! `rspm url create` takes a date for the repo, a date or transaction for single sources, or both, and gives a segment that stands
//! for that combination. What it shows never changes, whatever happens later to the repo, its sources and its rules.
//!
//! | form | example | is |
//! |---|---|---|
//! | alias | `3-12` | the twelfth URL of repo 3; kept in the database |
//! | long form | `57-1-40-4-56-8123` | transaction of the rules, then source and transaction in turns, then a check number |
//!
//! The long form says everything itself and needs no row. Both stay inside digits and dashes, which is all that pak takes for a
//! snapshot, and neither can be mistaken for a date or a transaction: an alias has two numbers, a long form at least four. The real
//! product's identifiers are opaque, so their form is our own. What its `--lock` changes is not documented: here a locked alias
//! cannot be deleted. The check number makes a mistyped long form, or that of another repo, not found.

use pkg_formats::psp::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use crate::app::{App, View};
use crate::error::Error;
use crate::snapshot::Part;
use crate::store::repos::Repo;
use crate::store::transactions::{self, Point, Transaction};
use crate::store::urls::{self, Row};

/// What a created URL shall show.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The date of every source without one of its own; none: its newest state.
    date: Option<String>,
    /// `latest`, a date or the number of a transaction, by source.
    snapshots: BTreeMap<String, String>,
    /// Can never be deleted.
    lock: bool,
    /// The long form.
    no_alias: bool,
}

/// A created URL.
#[derive(Debug, Serialize)]
pub(crate) struct Created {
    /// The segment for URLs of the repo.
    pub(crate) id: String,
    /// The long form of the same.
    pub(crate) long: String,
    /// Can never be deleted.
    pub(crate) locked: bool,
    /// Microseconds since 1970; none when nothing was kept.
    #[serde(skip)]
    pub(crate) created_at: Option<i64>,
}

/// The states that a long form spells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Spelled {
    /// The blocklist's rules after this transaction count.
    pub(crate) rules: i64,
    /// Source and transaction, the source that wins first.
    pub(crate) sources: Vec<(i64, i64)>,
}

impl Spelled {
    fn write(&self, repo: i64) -> String {
        let mut text = self.rules.to_string();
        for (source, tx) in &self.sources {
            text.push_str(&format!("-{source}-{tx}"));
        }
        let check = check(repo, &text);
        format!("{text}-{check}")
    }

    /// None when it is no long form of `repo`.
    pub(crate) fn read(repo: i64, text: &str) -> Option<Self> {
        let (body, told) = text.rsplit_once('-')?;
        let mut numbers = body.split('-').map(|number| {
            let plain = number.bytes().all(|b| b.is_ascii_digit()) && (number == "0" || !number.starts_with('0'));
            plain.then(|| number.parse::<i64>().ok()).flatten()
        });
        let rules = numbers.next()??;
        let rest: Vec<i64> = numbers.collect::<Option<_>>()?;
        let whole = !rest.is_empty() && rest.len().is_multiple_of(2);
        (whole && check(repo, body) == told)
            .then(|| Self { rules, sources: rest.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect() })
    }
}

fn check(repo: i64, body: &str) -> String {
    let [a, b, c, d, ..] = Digest::of(format!("{repo}/{body}").as_bytes()).0;
    (u32::from_be_bytes([a, b, c, d]) % 1_000_000).to_string()
}

impl App {
    /// Makes a URL of `repo`.
    pub(crate) async fn create_url(&self, repo: &Repo, wanted: Wanted) -> Result<Created, Error> {
        let view = self.view();
        let now = repo.subscriptions.last().map(|s| s.sources.clone()).unwrap_or_default();
        let name = |id: i64| view.source(id).map_or("?", |source| source.name.as_str());
        if let Some(stray) = wanted.snapshots.keys().find(|named| !now.iter().any(|id| name(*id) == named.as_str())) {
            return Err(Error::BadRequest(format!("repository {} does not subscribe to {stray}", repo.name)));
        }
        let mut sources = Vec::new();
        for source in now {
            let segment = wanted.snapshots.get(name(source)).or(wanted.date.as_ref()).map_or("latest", String::as_str);
            if let Some(at) = self.state_of(&view, source, segment).await.map_err(as_mistake)? {
                sources.push((source, at.tx));
            }
        }
        if sources.is_empty() {
            return Err(Error::Conflict(format!("repository {} has no packages at that time", repo.name)));
        }
        if wanted.no_alias {
            // Nothing is kept of it that could be deleted, so that a locked one is the same.
            let rules = transactions::last(self.world().db()).await?;
            let long = Spelled { rules, sources }.write(repo.id);
            return Ok(Created { id: long.clone(), long, locked: wanted.lock, created_at: None });
        }
        let mut change = self.begin().await?;
        let number = crate::store::take_numbers(&mut change.tx, &format!("urls of {}", repo.id), 1).await?;
        let row = Row {
            id: format!("{}-{number}", repo.id),
            repo_id: repo.id,
            spelled: Spelled { rules: change.id, sources }.write(repo.id),
            locked: wanted.lock,
            created_at: change.at,
        };
        urls::insert(&mut change.tx, &row).await?;
        self.conclude(change, changed(repo, "Create URL", &row.id)).await?;
        Ok(row.into())
    }

    /// Deletes a URL of `repo`.
    pub(crate) async fn delete_url(&self, repo: &Repo, id: &str) -> Result<(), Error> {
        let missing = || Error::NotFound(format!("repository {} has no created URL {id:?}", repo.name));
        let row = urls::get(self.world().db(), repo.id, id).await?.ok_or_else(missing)?;
        if row.locked {
            return Err(Error::Conflict(format!("the URL {id} is locked and cannot be deleted")));
        }
        let mut change = self.begin().await?;
        if !urls::delete(&mut change.tx, repo.id, id, change.at).await? {
            return Err(missing());
        }
        self.conclude(change, changed(repo, "Delete URL", id)).await?;
        Ok(())
    }

    /// What the segment `segment` stands for, if it is that of a created URL of `repo`.
    pub(crate) async fn created_url(&self, repo: &Repo, segment: &str) -> Result<Option<Spelled>, Error> {
        let dashes = segment.bytes().filter(|b| *b == b'-').count();
        if dashes == 0 || !segment.bytes().all(|b| b == b'-' || b.is_ascii_digit()) {
            return Ok(None);
        }
        if dashes > 1 {
            return Ok(Spelled::read(repo.id, segment));
        }
        let Some(row) = urls::get(self.world().db(), repo.id, segment).await? else { return Ok(None) };
        let spelled = Spelled::read(repo.id, &row.spelled);
        spelled.map(Some).ok_or_else(|| Error::Internal(format!("the stored URL {segment} cannot be read")))
    }

    /// The states that `spelled` names, if they are of sources that `repo` has been made of.
    pub(crate) async fn spelled_parts(
        &self,
        view: &View,
        repo: &Repo,
        spelled: &Spelled,
    ) -> Result<Option<Vec<Part>>, Error> {
        let mut parts = Vec::new();
        for &(source, tx) in &spelled.sources {
            let at = match repo.subscriptions.iter().any(|s| s.sources.contains(&source)) {
                true => transactions::point(self.world().db(), source, tx).await?,
                false => None,
            };
            let Some(at) = at.filter(|at| at.tx == tx) else { return Ok(None) };
            parts.push(self.part(view, source, at).await?);
        }
        Ok(Some(parts))
    }

    /// What a created URL shows of each source, for people.
    pub(crate) async fn url_sources(&self, repo: &Repo, url: &Created) -> Result<Vec<Value>, Error> {
        let view = self.view();
        let mut all = Vec::new();
        for (source, tx) in Spelled::read(repo.id, &url.long).map(|s| s.sources).unwrap_or_default() {
            let at: Option<Point> = transactions::point(self.world().db(), source, tx).await?;
            let date = at.map(|at| crate::record::instant(at.as_of).date_naive().to_string());
            let members = [
                ("source", view.source(source).map(|s| s.name.clone()).into()),
                ("transaction", tx.into()),
                ("snapshot_date", date.into()),
            ];
            let members = members.into_iter().map(|(name, value): (&str, Value)| (name.to_owned(), value));
            all.push(Value::Object(members.collect::<Map<_, _>>()));
        }
        Ok(all)
    }
}

impl From<Row> for Created {
    fn from(row: Row) -> Self {
        Self { id: row.id, long: row.spelled, locked: row.locked, created_at: Some(row.created_at) }
    }
}

/// What is not found for a URL that shall be made is a mistake in the request.
fn as_mistake(error: Error) -> Error {
    match error {
        Error::NotFound(reason) => Error::BadRequest(reason),
        other => other,
    }
}

fn changed(repo: &Repo, action: &str, id: &str) -> Transaction {
    let tag = format!("{action} {id} of {}", repo.name);
    Transaction { repo_id: Some(repo.id), action: action.to_owned(), tag, ..Transaction::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::parse_date;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(
            repo in 1..1000_i64,
            rules in 0..i64::MAX,
            sources in proptest::collection::vec((1..1000_i64, 1..i64::MAX), 1..5),
        ) {
            let spelled = Spelled { rules, sources };
            let text = spelled.write(repo);
            prop_assert!(text.bytes().all(|b| b == b'-' || b.is_ascii_digit()) && parse_date(&text).is_none());
            prop_assert_eq!(Spelled::read(repo, &text), Some(spelled));
        }

        #[test]
        fn nothing_else_is_taken_for_one(repo in 1..9_i64, text in "[-0-9]{0,40}|\\PC{0,20}") {
            if let Some(read) = Spelled::read(repo, &text) {
                prop_assert_eq!(read.write(repo), text);
            }
        }
    }
}
