//! What callers send: JSON bodies, their fields, forms and queries. Each mistake is a 400 that names its place.

use std::collections::BTreeMap;

use axum::body::{Body, HttpBody as _, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderMap;
use http::request::Parts;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value};

use crate::app::App;
use crate::error::{Code, Error, Result};

/// The MD5 of a body as `X-Content-Checksum` carries it.
#[must_use]
pub fn checksum(body: &[u8]) -> String {
    STANDARD.encode(Md5::digest(body))
}

/// Compares a body's MD5 with the one in `X-Content-Checksum`, if there is one.
///
/// # Errors
/// 400 with code 104 when they differ.
pub fn check_checksum(headers: &HeaderMap, md5: &[u8]) -> Result<()> {
    match headers.get("x-content-checksum") {
        Some(given) if given.as_bytes() != STANDARD.encode(md5).as_bytes() => {
            Err(Error::bad(Code::ContentChecksum, "The body does not match its X-Content-Checksum; send it again."))
        }
        _ => Ok(()),
    }
}

/// The whole body, bounded and checked against its checksum.
pub struct Raw(pub Bytes);

impl FromRequest<App> for Raw {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        let limit = app.config().limits.body_bytes;
        // What is announced as too long is not waited for.
        if request.body().size_hint().lower() > limit as u64 {
            return Err(Error::too_large("The body", limit as u64));
        }
        let (parts, body) = request.into_parts();
        let bytes = read(body, limit).await?;
        check_checksum(&parts.headers, &Md5::digest(&bytes))?;
        Ok(Self(bytes))
    }
}

/// The whole body, of at most `limit` bytes.
///
/// # Errors
/// 413 when it is longer, 400 when it breaks off.
pub async fn read(body: Body, limit: usize) -> Result<Bytes> {
    to_bytes(body, limit).await.map_err(|error| {
        let text = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
        if text.contains("length limit") {
            Error::too_large("The body", limit as u64)
        } else {
            Error::bad(Code::CannotParseRequestBody, format!("The body ended early: {text}"))
        }
    })
}

/// A JSON body of any type. An empty body counts as `{}`, as clients send none where they have nothing to say.
pub struct Json(pub Value);

impl Json {
    /// The JSON of a body.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(Value::Object(Map::new())));
        }
        let value = serde_json::from_slice(bytes).map_err(|error| {
            Error::bad(Code::CannotParseRequestBody, format!("The body is not valid JSON: {error}."))
        })?;
        Ok(Self(value))
    }
}

impl FromRequest<App> for Json {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        Self::parse(&Raw::from_request(request, app).await?.0)
    }
}

/// A JSON object.
pub struct Fields(Map<String, Value>);

impl FromRequest<App> for Fields {
    type Rejection = Error;

    async fn from_request(request: Request, app: &App) -> Result<Self> {
        Self::of(Json::from_request(request, app).await?.0)
    }
}

/// What a body says about one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Given<T> {
    /// It is not there.
    Absent,
    /// It is `null`.
    Null,
    /// It is this.
    Value(T),
}

impl<T> Given<T> {
    /// The value, when there is one.
    pub fn value(self) -> Option<T> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    /// Puts the value, or `None` for null, into `place`; leaves it alone when nothing is said.
    pub fn store(self, place: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *place = None,
            Self::Value(value) => *place = Some(value),
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

impl Fields {
    /// The fields of a value that must be an object.
    ///
    /// # Errors
    /// 400 when it is something else.
    pub fn of(value: Value) -> Result<Self> {
        match value {
            Value::Object(map) => Ok(Self(map)),
            other => {
                let text = format!("The body must be a JSON object, not {}.", kind(&other));
                Err(Error::bad(Code::CannotParseRequestBody, text))
            }
        }
    }

    fn read<T>(&self, name: &str, expected: &str, read: impl FnOnce(&Value) -> Option<T>) -> Result<Given<T>> {
        match self.0.get(name) {
            None => Ok(Given::Absent),
            Some(Value::Null) => Ok(Given::Null),
            Some(value) => match read(value) {
                Some(value) => Ok(Given::Value(value)),
                None => {
                    let text = format!("`{name}` must be {expected}, not {}.", kind(value));
                    Err(Error::bad(Code::CannotParseRequestBody, text))
                }
            },
        }
    }

    /// A string.
    ///
    /// # Errors
    /// 400 when it is of another type or holds a NUL, which no column can keep.
    pub fn text(&self, name: &str) -> Result<Given<String>> {
        let given = self.read(name, "a string", |v| v.as_str().map(str::to_owned))?;
        match &given {
            Given::Value(text) if text.contains('\0') => {
                Err(Error::bad(Code::InvalidParameter, format!("`{name}` must not hold a NUL character.")))
            }
            _ => Ok(given),
        }
    }

    /// A string that must be there.
    ///
    /// # Errors
    /// 400 when it is missing, null, or as [`Fields::text`].
    pub fn required(&self, name: &str) -> Result<String> {
        let missing = || Error::bad(Code::ParameterMissing, format!("`{name}` is missing."));
        self.text(name)?.value().ok_or_else(missing)
    }

    /// A list of strings.
    ///
    /// # Errors
    /// 400 when it is of another type or one of them holds a NUL.
    pub fn texts(&self, name: &str) -> Result<Given<Vec<String>>> {
        let list = |value: &Value| {
            value.as_array()?.iter().map(|one| one.as_str().map(str::to_owned)).collect::<Option<Vec<String>>>()
        };
        match self.read(name, "a list of strings", list)? {
            Given::Value(texts) if texts.iter().any(|text| text.contains('\0')) => {
                Err(Error::bad(Code::InvalidParameter, format!("`{name}` must not hold a NUL character.")))
            }
            given => Ok(given),
        }
    }

    /// A boolean.
    ///
    /// # Errors
    /// 400 when it is of another type.
    pub fn flag(&self, name: &str) -> Result<Given<bool>> {
        self.read(name, "true or false", Value::as_bool)
    }

    /// An integer.
    ///
    /// # Errors
    /// 400 when it is of another type or does not fit 64 bits.
    pub fn integer(&self, name: &str) -> Result<Given<i64>> {
        self.read(name, "an integer", |v| v.as_i64().or_else(|| whole(v.as_f64()?)))
    }

    /// A number.
    ///
    /// # Errors
    /// 400 when it is of another type.
    pub fn number(&self, name: &str) -> Result<Given<f64>> {
        self.read(name, "a number", Value::as_f64)
    }

    /// The value as it is; for identifiers that clients send as number or text.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// An identifier written as a decimal number or as a string that holds one.
    ///
    /// # Errors
    /// 400 when it is neither.
    pub fn id(&self, name: &str) -> Result<Given<i64>> {
        self.read(name, "a string that holds a number", |v| match v {
            Value::String(text) => text.parse().ok(),
            other => other.as_i64(),
        })
    }
}

/// `3.0` as `3`: some languages have no integers.
fn whole(number: f64) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)] // bounded just before
    (number.fract() == 0.0 && number.abs() < 9e15).then_some(number as i64)
}

/// The query of a URL. Of a name that comes twice the first counts.
pub struct Query(BTreeMap<String, String>);

impl FromRequestParts<App> for Query {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Query {
    /// Reads `a=1&b=2`. The router has refused NUL characters already.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut pairs = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(text.as_bytes()) {
            pairs.entry(name.into_owned()).or_insert_with(|| value.into_owned());
        }
        Self(pairs)
    }

    /// Names and values.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The value of `name`, unless it is empty.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// A whole number.
    ///
    /// # Errors
    /// 400 when it is none, or not within `allowed`.
    pub fn integer(&self, name: &str, default: i64, allowed: std::ops::RangeInclusive<i64>) -> Result<i64> {
        let Some(text) = self.text(name) else { return Ok(default) };
        // A float is what R sends for a large number.
        let number = text.parse::<i64>().ok().or_else(|| whole(text.parse::<f64>().ok()?));
        number.filter(|n| allowed.contains(n)).ok_or_else(|| {
            let (low, high) = (allowed.start(), allowed.end());
            let text = format!("`{name}` must be a whole number from {low} to {high}.");
            Error::bad(Code::InvalidParameter, text)
        })
    }

    /// A boolean, as `true`, `false`, `1`, `0`.
    ///
    /// # Errors
    /// 400 when it is none.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool> {
        match self.text(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(default),
            Some("true" | "t" | "1") => Ok(true),
            Some("false" | "f" | "0") => Ok(false),
            Some(_) => Err(Error::bad(Code::InvalidParameter, format!("`{name}` must be true or false."))),
        }
    }
}

/// A time of a query, as RFC 3339, in microseconds.
///
/// # Errors
/// 400 when it is none.
pub fn moment(query: &Query, name: &str) -> Result<Option<i64>> {
    let Some(text) = query.text(name) else { return Ok(None) };
    // A plus sign that was not encoded arrives as a space.
    let read = chrono::DateTime::parse_from_rfc3339(text)
        .or_else(|_| chrono::DateTime::parse_from_rfc3339(&text.replace(' ', "+")));
    match read {
        Ok(at) => Ok(Some(at.timestamp_micros())),
        Err(_) => {
            let text = format!("`{name}` must be a time such as 2026-01-31T09:30:00Z.");
            Err(Error::bad(Code::InvalidTimeFormat, text))
        }
    }
}

/// A page of a list: which and how long.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// From 1.
    pub number: i64,
    /// Elements.
    pub size: i64,
}

impl Page {
    /// `page_number` and `page_size`, at most `largest`.
    ///
    /// # Errors
    /// 400 when one of them is no such number.
    pub fn of(query: &Query, largest: i64) -> Result<Self> {
        let number = query.integer("page_number", 1, 1..=1_000_000_000)?;
        Ok(Self { number, size: query.integer("page_size", 20, 1..=largest)? })
    }

    /// Elements before it.
    #[must_use]
    pub fn offset(self) -> i64 {
        (self.number - 1).saturating_mul(self.size)
    }

    /// The answer that holds it; clients refuse further members.
    pub fn answer(self, results: &[Value], total: i64) -> axum::Json<Value> {
        axum::Json(serde_json::json!({"results": results, "current_page": self.number, "total": total}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn fields_name_what_is_wrong() {
        let fields = Fields::of(json!({"a": 1, "b": "x\0", "c": null, "d": "7", "e": 2.0, "f": 2.5})).unwrap();
        let text = |result: Result<Given<String>>| result.unwrap_err().to_string();
        assert_eq!(text(fields.text("a")), "`a` must be a string, not a number.");
        assert_eq!(text(fields.text("b")), "`b` must not hold a NUL character.");
        assert_eq!(fields.text("c").unwrap(), Given::Null);
        assert_eq!(fields.required("c").unwrap_err().to_string(), "`c` is missing.");
        assert_eq!(fields.id("d").unwrap(), Given::Value(7));
        assert_eq!(fields.integer("e").unwrap(), Given::Value(2));
        assert!(fields.integer("f").is_err() && fields.integer("g").unwrap() == Given::Absent);
        assert!(Fields::of(json!([])).is_err());
    }

    #[test]
    fn an_empty_body_has_the_known_checksum() {
        assert_eq!(checksum(b""), "1B2M2Y8AsgTpgAmY7PhCfg==");
    }

    proptest! {
        #[test]
        fn any_query_is_read(text in ".{0,60}") {
            let query = Query::parse(&text);
            let _ = (query.integer("a", 0, 0..=9), query.flag("b", true), Page::of(&query, 500));
        }
    }
}
