//! The REST API under `/__api__/`: what clients and administrators ask about repos, sources and packages.
//!
//! Things are addressed by number or by name. Lists take `_limit`, `_page` (from 1), `_sort` and `_order`; the real server's header for
//! totals is not known, here it is `X-Total-Count`.
//!
//! How the real server's command line talks to it remotely is not known; the methods that change something are our own.

pub mod binaries;
pub mod blocklist;
pub mod bootstrap;
pub mod builders;
pub mod cluster;
pub mod contents;
pub(crate) mod current;
pub(crate) mod dependencies;
pub mod devices;
pub mod filter;
pub mod git_credentials;
pub mod metadata;
pub mod packages;
pub mod repos;
pub mod sources;
pub mod status;
pub mod subscriptions;
pub mod sync;
pub mod sysreqs;
pub mod tokens;
pub mod uploads;
pub mod urls;
pub mod usage;
pub mod vulns;

use axum::Json;
use axum::response::{IntoResponse, Response};
use chrono::SecondsFormat;
use http::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::record::instant;

/// A stored time as RFC 3339.
pub(crate) fn time(micros: i64) -> String {
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
    #[serde(rename = "_sort")]
    sort: Option<String>,
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

    /// The field to sort by, one of `fields`; the first when none is asked for.
    fn sort(&self, fields: &[&'static str]) -> Result<&'static str, Error> {
        let wanted = self.sort.as_deref().unwrap_or(fields[0]);
        fields
            .iter()
            .copied()
            .find(|field| *field == wanted)
            .ok_or_else(|| Error::BadRequest(format!("_sort must be one of {}, not {wanted:?}", fields.join(", "))))
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

/// Which of a short list, in what order.
#[derive(Debug, Default, Deserialize)]
pub struct Chosen {
    name: Option<String>,
    name_like: Option<String>,
    #[serde(flatten)]
    paging: Paging,
}

impl Chosen {
    fn takes(&self, name: &str) -> bool {
        self.name.as_ref().is_none_or(|wanted| wanted == name)
            && self.name_like.as_ref().is_none_or(|part| name.to_lowercase().contains(&part.to_lowercase()))
    }

    /// The answer with those of `items`, which have names. They stay in their order unless one is asked for.
    fn answer(&self, mut items: Vec<Value>) -> Result<Response, Error> {
        let (skip, limit) = self.paging.window()?;
        items.retain(|item| self.takes(item["name"].as_str().unwrap_or_default()));
        if self.paging.sort.is_some() {
            let field = self.paging.sort(&["id", "name", "type", "created"])?;
            let key = |item: &Value| (item[field].as_i64(), item[field].as_str().map(str::to_owned));
            items.sort_by_cached_key(key);
        }
        if self.paging.is_descending(false)? {
            items.reverse();
        }
        let total = items.len();
        Ok(page(items.into_iter().skip(skip).take(limit).collect(), total))
    }
}

/// The JSON in a request's body. `example` shows what is expected.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8], example: &str) -> Result<T, Error> {
    let bad = |field: &str, why: &dyn std::fmt::Display| {
        let field = if field == "." { String::new() } else { format!("`{field}`: ") };
        Error::BadRequest(format!("the body must be JSON such as {example}: {field}{why}"))
    };
    // A list would be taken for the values of the fields, one after the other.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(bad(".", &"it is no object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader);
    let read = read.map_err(|error| bad(&error.path().to_string(), error.inner()))?;
    reader.end().map_err(|error| bad(".", &error))?;
    // No database holds it, and no name has it.
    if bytes.windows(6).any(|six| six == b"\\u0000") {
        let whole: Value = serde_json::from_slice(bytes).map_err(|error| bad(".", &error))?;
        let fields = whole.as_object().into_iter().flatten();
        if let Some((field, _)) = fields.into_iter().find(|(name, value)| name.contains('\0') || holds_nul(value)) {
            return Err(bad(field, &"text must not have the character U+0000"));
        }
    }
    Ok(read)
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Characters of a description, or of a reason.
const MOST_DESCRIPTION: usize = 4096;

/// Refuses text of more than `most` characters.
fn check_length(field: &str, text: Option<&str>, most: usize) -> Result<(), Error> {
    match text.is_some_and(|text| text.chars().count() > most) {
        true => Err(Error::BadRequest(format!("`{field}` has at most {most} characters"))),
        false => Ok(()),
    }
}

/// Refuses names of repos and sources that could not be addressed.
fn check_name(name: &str) -> Result<(), Error> {
    let reserved = ["latest", "client", "upload"];
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let good = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.len() <= 64
        && name.bytes().all(plain)
        && !name.bytes().all(|b| b.is_ascii_digit())
        && !reserved.contains(&name);
    if good {
        return Ok(());
    }
    let start: String = name.chars().take(80).collect();
    Err(Error::BadRequest(format!(
        "{start:?} cannot be a name: use up to 64 letters, digits, dots, dashes and underscores, not only digits, starting with a \
         letter or digit, and none of {}",
        reserved.join(", ")
    )))
}

/// A page of a list with the number of all items.
fn page<T: Serialize>(items: Vec<T>, total: usize) -> Response {
    let total = HeaderValue::from(total);
    ([(HeaderName::from_static("x-total-count"), total)], Json(items)).into_response()
}
