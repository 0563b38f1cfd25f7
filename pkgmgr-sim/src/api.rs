//! The REST API under `/__api__/`: what clients and administrators ask about repos, sources and packages.
//!
//! Things are addressed by number or by name. Lists take `_limit`, `_page` (from 1) and `_order`; the real server's header for
//! totals is not known, here it is `X-Total-Count`.

pub mod packages;
pub mod repos;
pub mod sources;
pub mod status;

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::SecondsFormat;
use http::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::record::instant;

/// A stored time as RFC 3339.
fn time(micros: i64) -> String {
    instant(micros).to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// The part of a list that is asked for.
#[derive(Debug, Default, Deserialize)]
pub struct Paging {
    #[serde(rename = "_limit")]
    limit: Option<String>,
    #[serde(rename = "_page")]
    page: Option<String>,
    #[serde(rename = "_order")]
    order: Option<String>,
}

/// Items of a list at most.
const MOST: usize = 10_000;
const DEFAULT: usize = 1000;

impl Paging {
    /// Items to skip, and to give.
    fn window(&self) -> Result<(usize, usize), Error> {
        let number =
            |name: &str, text: &Option<String>, default: usize, most: usize| match text {
                None => Ok(default),
                Some(text) => text.parse::<usize>().ok().filter(|n| (1..=most).contains(n)).ok_or_else(|| {
                    Error::BadRequest(format!("{name} must be a number from 1 to {most}, not {text:?}"))
                }),
            };
        let limit = number("_limit", &self.limit, DEFAULT, MOST)?;
        let page = number("_page", &self.page, 1, 1_000_000)?;
        Ok(((page - 1) * limit, limit))
    }

    fn is_descending(&self, default: bool) -> Result<bool, Error> {
        match self.order.as_deref() {
            None => Ok(default),
            Some("asc" | "ASC") => Ok(false),
            Some("desc" | "DESC") => Ok(true),
            Some(other) => Err(Error::BadRequest(format!("_order must be asc or desc, not {other:?}"))),
        }
    }
}

/// A page of a list with the number of all items.
fn page<T: Serialize>(items: Vec<T>, total: usize) -> Response {
    let total = HeaderValue::from(total);
    ([(HeaderName::from_static("x-total-count"), total)], Json(items)).into_response()
}
