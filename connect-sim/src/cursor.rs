//! Lists that are paged by cursor: `limit`, `next`, `previous`, `last`. A cursor is the id of the row it stands at.

use axum::Json;
use serde_json::{Value, json};
use sim_kit::origin::Origin;

use crate::error::Result;
use crate::input::Query;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    First,
    After(i64),
    Before(i64),
    Last,
}

/// A page of such a list.
#[derive(Debug, Clone, Copy)]
pub struct Cursor {
    limit: i64,
    ascending: bool,
    place: Place,
}

/// The rows that a store has to read for it: those with an id above and below these, in this order, so many at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The id is greater.
    pub above: i64,
    /// The id is less.
    pub below: i64,
    /// Greatest id first.
    pub descending: bool,
    /// One more than the page holds.
    pub limit: i64,
}

impl Cursor {
    /// Reads the query; `order` is the name of the parameter that turns the order around.
    ///
    /// # Errors
    /// 400 for a bad limit or cursor.
    pub fn of(query: &Query, order: &str) -> Result<Self> {
        let cursor = |name| match query.text(name) {
            Some(_) => query.integer(name, 0, 0..=i64::MAX).map(Some),
            None => Ok(None),
        };
        let place = match (cursor("next")?, cursor("previous")?, query.flag("last", false)?) {
            (Some(id), ..) => Place::After(id),
            (None, Some(id), _) => Place::Before(id),
            (None, None, true) => Place::Last,
            (None, None, false) => Place::First,
        };
        Ok(Self { limit: query.integer("limit", 20, 1..=500)?, ascending: query.flag(order, true)?, place })
    }

    /// What to read.
    #[must_use]
    pub fn window(self) -> Window {
        let forward = matches!(self.place, Place::First | Place::After(_));
        let descending = forward != self.ascending;
        let (above, below) = match self.place {
            Place::First | Place::Last => (-1, i64::MAX),
            Place::After(id) | Place::Before(id) if descending => (-1, id),
            Place::After(id) | Place::Before(id) => (id, i64::MAX),
        };
        Window { above, below, descending, limit: self.limit + 1 }
    }

    /// The answer that holds what was read, each with its id. Clients refuse further members.
    pub fn answer(self, origin: &Origin, path: &str, query: &Query, mut rows: Vec<(i64, Value)>) -> Json<Value> {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let forward = matches!(self.place, Place::First | Place::After(_));
        if !forward {
            rows.reverse();
        }
        let (has_previous, has_next) = match self.place {
            Place::First => (false, more),
            Place::After(_) => (true, more),
            Place::Before(_) => (more, true),
            Place::Last => (more, false),
        };
        let id = |row: Option<&(i64, Value)>, wanted: bool| row.filter(|_| wanted).map(|row| row.0.to_string());
        let (previous, next) = (id(rows.first(), has_previous), id(rows.last(), has_next));
        let url = |name: &str, value: &str| {
            let mut text = url::form_urlencoded::Serializer::new(String::new());
            let kept = query.pairs().filter(|(name, _)| !matches!(*name, "next" | "previous" | "last"));
            text.extend_pairs(kept);
            if !name.is_empty() {
                text.append_pair(name, value);
            }
            let text = text.finish();
            origin.url(&if text.is_empty() { path.to_owned() } else { format!("{path}?{text}") })
        };
        Json(json!({
            "paging": {
                "cursors": {"previous": previous, "next": next},
                "first": url("", ""),
                "previous": previous.as_deref().map(|id| url("previous", id)),
                "next": next.as_deref().map(|id| url("next", id)),
                "last": url("last", "true"),
            },
            "results": rows.iter().map(|row| &row.1).collect::<Vec<_>>(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Follows a list of the ids 0 to `count` by its cursors.
    fn walk(count: i64, limit: i64, ascending: bool, backward: bool) -> Vec<i64> {
        let (mut seen, mut at) = (Vec::new(), if backward { "last=true".to_owned() } else { String::new() });
        loop {
            let query = Query::parse(&format!("limit={limit}&asc_order={ascending}&{at}"));
            let cursor = Cursor::of(&query, "asc_order").unwrap();
            let window = cursor.window();
            let mut rows: Vec<(i64, Value)> =
                (0..count).filter(|id| *id > window.above && *id < window.below).map(|id| (id, json!(id))).collect();
            if window.descending {
                rows.reverse();
            }
            rows.truncate(usize::try_from(window.limit).unwrap());
            let answer = cursor.answer(&Origin::fixed("http://x"), "/p", &query, rows).0;
            let page: Vec<i64> = answer["results"].as_array().unwrap().iter().map(|id| id.as_i64().unwrap()).collect();
            if backward {
                seen.splice(0..0, page);
            } else {
                seen.extend(page);
            }
            let name = if backward { "previous" } else { "next" };
            match answer["paging"]["cursors"][name].as_str() {
                Some(id) => at = format!("{name}={id}"),
                None => return seen,
            }
        }
    }

    proptest! {
        #[test]
        fn every_row_is_seen_once(count in 0_i64..40, limit in 1_i64..10, ascending: bool, backward: bool) {
            let mut expected: Vec<i64> = (0..count).collect();
            if !ascending {
                expected.reverse();
            }
            prop_assert_eq!(walk(count, limit, ascending, backward), expected);
        }
    }
}
