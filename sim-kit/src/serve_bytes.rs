//! Conditional and range requests (RFC 9110) over bytes and blobs.

use std::io::SeekFrom;
use std::ops::Range;
use std::path::{Path, PathBuf};

use axum::body::Body;
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use crate::blobs::{BlobError, Blobs, Digest};

/// What to serve.
pub struct Content {
    /// The bytes.
    pub body: Source,
    /// The strong entity tag, without quotes.
    pub etag: String,
    /// `Content-Type`.
    pub content_type: &'static str,
    /// `Cache-Control`, or none.
    pub cache_control: Option<&'static str>,
    /// `Last-Modified`, or none.
    pub last_modified: Option<DateTime<Utc>>,
}

/// Where the bytes are.
pub enum Source {
    /// In memory.
    Bytes(Bytes),
    /// In the blob store, of this size.
    Blob(Blobs, Digest, u64),
    /// In a file, of this size.
    File(PathBuf, u64),
}

impl Content {
    /// Bytes in memory, with their digest as the tag.
    #[must_use]
    pub fn bytes(bytes: Bytes, content_type: &'static str) -> Self {
        let etag = Digest::of(&bytes).to_string();
        Self { body: Source::Bytes(bytes), etag, content_type, cache_control: None, last_modified: None }
    }

    /// A blob.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or when the store fails.
    pub async fn blob(blobs: &Blobs, digest: Digest, content_type: &'static str) -> Result<Self, BlobError> {
        let size = blobs.size(&digest).await?;
        let body = Source::Blob(blobs.clone(), digest, size);
        Ok(Self { body, etag: digest.to_string(), content_type, cache_control: None, last_modified: None })
    }

    fn size(&self) -> u64 {
        match &self.body {
            Source::Bytes(bytes) => bytes.len() as u64,
            Source::Blob(_, _, size) | Source::File(_, size) => *size,
        }
    }
}

/// The answer to a GET or HEAD of `content`: 200, 206, 304 or 416.
///
/// # Errors
/// When the blob store fails before the first byte.
pub async fn serve(method: &Method, request: &HeaderMap, content: Content) -> Result<Response, BlobError> {
    let size = content.size();
    let mut headers = HeaderMap::with_capacity(6);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content.content_type));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let etag = format!("\"{}\"", content.etag);
    if let Ok(value) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, value);
    }
    if let Some(value) = content.cache_control {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
    }
    if let Some(time) = content.last_modified
        && let Ok(value) = HeaderValue::from_str(&http_date(time))
    {
        headers.insert(LAST_MODIFIED, value);
    }
    if not_modified(request, &etag, content.last_modified) {
        headers.remove(CONTENT_TYPE);
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    let range = match asked_range(request, &etag, content.last_modified, size) {
        Asked::All => None,
        Asked::Part(start, end) => Some(start..end),
        Asked::Unsatisfiable => {
            headers.insert(CONTENT_RANGE, number(format!("bytes */{size}")));
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response());
        }
    };
    let (status, length) = match &range {
        None => (StatusCode::OK, size),
        Some(range) => {
            headers.insert(CONTENT_RANGE, number(format!("bytes {}-{}/{size}", range.start, range.end - 1)));
            (StatusCode::PARTIAL_CONTENT, range.end - range.start)
        }
    };
    headers.insert(CONTENT_LENGTH, number(length.to_string()));
    let body = if method == Method::HEAD {
        Body::empty()
    } else {
        match content.body {
            Source::Bytes(bytes) => Body::from(match range {
                None => bytes,
                Some(range) => bytes.slice(index(range.start)..index(range.end)),
            }),
            Source::Blob(blobs, digest, _) => Body::from_stream(blobs.stream(&digest, range).await?),
            Source::File(path, _) => {
                file_body(&path, range.unwrap_or(0..size)).await.map_err(|e| BlobError::Source(e.into()))?
            }
        }
    };
    Ok((status, headers, body).into_response())
}

async fn file_body(path: &Path, range: Range<u64>) -> std::io::Result<Body> {
    let mut file = tokio::fs::File::open(path).await?;
    if range.start > 0 {
        file.seek(SeekFrom::Start(range.start)).await?;
    }
    Ok(Body::from_stream(ReaderStream::with_capacity(file.take(range.end - range.start), 64 * 1024)))
}

/// Whether the client takes gzip (RFC 9110: named, or `*`, and not with a weight of nothing).
#[must_use]
pub fn accepts_gzip(request: &HeaderMap) -> bool {
    let Some(accept) = request.get(ACCEPT_ENCODING).and_then(|v| v.to_str().ok()) else { return false };
    let weight = |coding: &str| {
        accept.split(',').find_map(|part| {
            let (name, parameters) = part.split_once(';').unwrap_or((part, ""));
            let name = name.trim();
            (name.eq_ignore_ascii_case(coding) || coding == "gzip" && name.eq_ignore_ascii_case("x-gzip")).then(|| {
                let q = parameters.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
                q.unwrap_or(0.0)
            })
        })
    };
    weight("gzip").or_else(|| weight("*")).is_some_and(|q| q > 0.0)
}

fn number(text: String) -> HeaderValue {
    HeaderValue::try_from(text).expect("digits and ASCII punctuation are a header value")
}

/// A position within bytes that are in memory, so it fits.
fn index(position: u64) -> usize {
    usize::try_from(position).unwrap_or(usize::MAX)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
#[must_use]
pub fn http_date(time: DateTime<Utc>) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS[time.month0() as usize];
    // By hand: every answer has one, and a format string is read anew each time.
    let (day, year) = (time.day(), time.year());
    format!(
        "{}, {day:02} {month} {year:04} {:02}:{:02}:{:02} GMT",
        time.weekday(),
        time.hour(),
        time.minute(),
        time.second()
    )
}

fn parse_http_date(value: &HeaderValue) -> Option<DateTime<Utc>> {
    let naive = chrono::NaiveDateTime::parse_from_str(value.to_str().ok()?, "%a, %d %b %Y %H:%M:%S GMT").ok()?;
    Some(naive.and_utc())
}

fn not_modified(request: &HeaderMap, etag: &str, modified: Option<DateTime<Utc>>) -> bool {
    let mut tags = request.get_all(IF_NONE_MATCH).iter().peekable();
    if tags.peek().is_some() {
        // With tags the date is ignored. The comparison is weak.
        return tags
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag);
    }
    match (request.get(IF_MODIFIED_SINCE).and_then(parse_http_date), modified) {
        (Some(since), Some(modified)) => modified.timestamp() <= since.timestamp(),
        _ => false,
    }
}

enum Asked {
    All,
    /// From the first to before the second.
    Part(u64, u64),
    Unsatisfiable,
}

fn asked_range(request: &HeaderMap, etag: &str, modified: Option<DateTime<Utc>>, size: u64) -> Asked {
    let Some(text) = request.get(RANGE).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("bytes=")) else {
        return Asked::All;
    };
    if let Some(condition) = request.get(IF_RANGE) {
        let unchanged = condition.as_bytes() == etag.as_bytes()
            || parse_http_date(condition)
                .is_some_and(|date| modified.is_some_and(|m| m.timestamp() == date.timestamp()));
        if !unchanged {
            return Asked::All;
        }
    }
    // Several ranges would need a multipart answer; a server may send the whole instead.
    if text.contains(',') {
        return Asked::All;
    }
    match text.trim().split_once('-') {
        Some(("", last)) => match last.parse::<u64>() {
            Ok(0) => Asked::Unsatisfiable,
            Ok(last) if size > 0 => Asked::Part(size.saturating_sub(last), size),
            Ok(_) => Asked::Unsatisfiable,
            Err(_) => Asked::All,
        },
        Some((first, last)) => match (first.parse::<u64>(), last.parse::<u64>()) {
            (Ok(first), _) if first >= size => Asked::Unsatisfiable,
            (Ok(first), Ok(last)) if last >= first => Asked::Part(first, last.saturating_add(1).min(size)),
            (Ok(first), Err(_)) if last.is_empty() => Asked::Part(first, size),
            _ => Asked::All,
        },
        None => Asked::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(pairs: &[(http::HeaderName, &str)]) -> (u16, String, Option<String>) {
        let headers = pairs.iter().map(|(k, v)| (k.clone(), v.parse().unwrap())).collect();
        let content = Content {
            etag: "t".into(),
            last_modified: DateTime::from_timestamp(1_000, 0),
            ..Content::bytes(Bytes::from_static(b"0123456789"), "text/plain")
        };
        let response = serve(&Method::GET, &headers, content).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 100).await.unwrap();
        let range = parts.headers.get(CONTENT_RANGE).map(|v| v.to_str().unwrap().to_owned());
        (parts.status.as_u16(), String::from_utf8(body.to_vec()).unwrap(), range)
    }

    #[tokio::test]
    async fn ranges() {
        let all = (200, "0123456789".to_owned(), None);
        let part = |s: &str, r: &str| (206, s.to_owned(), Some(r.to_owned()));
        let none = (416, String::new(), Some("bytes */10".to_owned()));
        for (range, expected) in [
            ("bytes=0-3", part("0123", "bytes 0-3/10")),
            ("bytes=8-", part("89", "bytes 8-9/10")),
            ("bytes=-3", part("789", "bytes 7-9/10")),
            ("bytes=-30", part("0123456789", "bytes 0-9/10")),
            ("bytes=5-99", part("56789", "bytes 5-9/10")),
            ("bytes=10-", none.clone()),
            ("bytes=-0", none),
            ("bytes=4-2", all.clone()),
            ("bytes=0-1,4-5", all.clone()),
            ("bytes=x-y", all.clone()),
            ("items=0-1", all.clone()),
        ] {
            assert_eq!(ask(&[(RANGE, range)]).await, expected, "{range}");
        }
        assert_eq!(ask(&[(RANGE, "bytes=0-3"), (IF_RANGE, "\"old\"")]).await, all);
        assert_eq!(ask(&[(RANGE, "bytes=0-0"), (IF_RANGE, "\"t\"")]).await.1, "0");
    }

    #[test]
    fn dates() {
        for (seconds, text) in
            [(784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT")]
        {
            let time = DateTime::from_timestamp(seconds, 0).unwrap();
            assert_eq!(http_date(time), text);
            assert_eq!(parse_http_date(&text.parse().unwrap()), Some(time));
        }
    }

    #[tokio::test]
    async fn conditions() {
        assert_eq!(ask(&[(IF_NONE_MATCH, "\"a\", W/\"t\"")]).await.0, 304);
        assert_eq!(ask(&[(IF_NONE_MATCH, "*")]).await.0, 304);
        assert_eq!(ask(&[(IF_NONE_MATCH, "\"a\""), (IF_MODIFIED_SINCE, "Thu, 01 Jan 2099 00:00:00 GMT")]).await.0, 200);
        assert_eq!(ask(&[(IF_MODIFIED_SINCE, "Thu, 01 Jan 1970 00:16:40 GMT")]).await.0, 304);
        assert_eq!(ask(&[(IF_MODIFIED_SINCE, "Thu, 01 Jan 1970 00:16:39 GMT")]).await.0, 200);
    }

    #[tokio::test]
    async fn files_are_streamed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"0123456789").unwrap();
        let file = |range: &str| {
            let content = Content {
                body: Source::File(path.clone(), 10),
                etag: "t".into(),
                content_type: "text/plain",
                cache_control: None,
                last_modified: None,
            };
            let headers = HeaderMap::from_iter([(RANGE, range.parse().unwrap())]);
            async move {
                let response = serve(&Method::GET, &headers, content).await.unwrap();
                axum::body::to_bytes(response.into_body(), 100).await.unwrap()
            }
        };
        assert_eq!(file("bytes=2-4").await, "234");
        assert_eq!(file("items=x").await, "0123456789");
    }

    #[tokio::test]
    async fn blobs_are_streamed() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        let digest = blobs.put(Bytes::from_static(b"0123456789")).await.unwrap();
        let content = Content::blob(&blobs, digest, "text/plain").await.unwrap();
        let headers = HeaderMap::from_iter([(RANGE, "bytes=2-4".parse().unwrap())]);
        let response = serve(&Method::GET, &headers, content).await.unwrap();
        assert_eq!(response.headers()[CONTENT_LENGTH], "3");
        assert_eq!(axum::body::to_bytes(response.into_body(), 100).await.unwrap(), "234");
    }

    #[test]
    fn content_codings() {
        let accepts = |value: &str| accepts_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().unwrap())]));
        assert!(
            accepts("gzip, deflate, br") && accepts("br;q=1, *;q=0.1") && accepts("GZIP;q=0.5") && accepts("x-gzip")
        );
        assert!(!accepts("identity") && !accepts("gzip;q=0, *") && !accepts("br"));
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
