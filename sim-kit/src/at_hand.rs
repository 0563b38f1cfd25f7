//! Answers that are kept whole, and what they may depend on.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, DATE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::counted::counted;
use crate::routing::Matched;

/// Gives the answer to a request if it is at hand.
pub type AtHand = Arc<dyn Fn(&Asked<'_>) -> Option<Ready> + Send + Sync>;

/// What an answer that is kept may depend on: the address, and the headers that negotiate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked<'a> {
    address: Cow<'a, str>,
    negotiated: [Option<Cow<'a, [u8]>>; 3],
}

/// The headers that negotiate, in their order in [`Asked`].
const NEGOTIATING: [HeaderName; 3] = [ACCEPT, ACCEPT_ENCODING, USER_AGENT];

/// Headers whose answer is never one that is kept: conditions, ranges, credentials.
const SPECIAL: [HeaderName; 7] =
    [AUTHORIZATION, RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE];

impl<'a> Asked<'a> {
    /// None for a request whose answer cannot be one that is kept.
    #[must_use]
    pub fn of(request: &'a Request) -> Option<Self> {
        let address = request.uri().path_and_query()?.as_str();
        let headers = request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        if *request.method() == Method::GET { Self::new(address, headers) } else { None }
    }

    /// As [`Asked::of`], for a GET request with these headers, whose names may be of any case.
    pub(crate) fn new(address: &'a str, headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Option<Self> {
        let mut negotiated = [None, None, None];
        for (name, value) in headers {
            let is = |other: &HeaderName| other.as_str().eq_ignore_ascii_case(name);
            if let Some(place) = NEGOTIATING.iter().position(is) {
                // Said twice, it takes one who knows what that means.
                if negotiated[place].replace(Cow::Borrowed(value)).is_some() {
                    return None;
                }
            } else if SPECIAL.iter().any(is) {
                return None;
            }
        }
        Some(Self { address: Cow::Borrowed(address), negotiated })
    }

    /// Path and query.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The value of `User-Agent`.
    pub(crate) fn agent(&self) -> Option<&[u8]> {
        let [.., agent] = &self.negotiated;
        agent.as_deref()
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.address.split('?').next().unwrap_or_default()
    }

    /// The same in memory of its own.
    #[must_use]
    pub fn into_owned(self) -> Asked<'static> {
        Asked {
            address: Cow::Owned(self.address.into_owned()),
            negotiated: self.negotiated.map(|value| value.map(|value| Cow::Owned(value.into_owned()))),
        }
    }
}

/// Set on an answer by a handler that would give the same to the same request until something changes: its body, which is all in
/// memory.
#[derive(Debug, Clone)]
pub struct Repeatable(pub Bytes);

/// A whole answer with status 200.
#[derive(Debug)]
pub struct Answer {
    headers: HeaderMap,
    body: Bytes,
    matched: Option<Matched>,
    /// See [`Answer::head`].
    head: Vec<u8>,
}

impl Answer {
    /// `response`, whose body is `body`. None unless it has status 200.
    #[must_use]
    pub fn of(response: &Response, body: Bytes) -> Option<Self> {
        if response.status() != StatusCode::OK {
            return None;
        }
        let mut headers = response.headers().clone();
        headers.remove(DATE);
        headers.insert(CONTENT_LENGTH, body.len().into());
        let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
        for (name, value) in &headers {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                head.extend_from_slice(part);
            }
        }
        head.extend_from_slice(b"date: ");
        Some(Self { headers, body, matched: response.extensions().get().cloned(), head })
    }

    /// The head as it goes out, up to the value of `Date`.
    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// The pattern of the route that gave it.
    pub(crate) fn route(&self) -> Option<&str> {
        self.matched.as_ref().map(|matched| matched.0.as_str())
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }
}

/// An answer that is at hand.
pub struct Ready {
    /// The answer.
    pub answer: Arc<Answer>,
    /// Told the bytes of the body that were sent, and dropped when that has ended. None if nobody wants to know.
    pub count: Option<Count>,
}

/// See [`Ready::count`].
pub type Count = Box<dyn FnMut(u64) + Send>;

impl From<Ready> for Response {
    fn from(ready: Ready) -> Self {
        let Ready { answer, count } = ready;
        let body = Body::from(answer.body.clone());
        let body = match count {
            Some(count) => counted(body, count),
            None => body,
        };
        let mut response = Response::new(body);
        *response.headers_mut() = answer.headers.clone();
        if let Some(matched) = &answer.matched {
            response.extensions_mut().insert(matched.clone());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn special_requests_ask_for_nothing_that_is_kept() {
        let asked = |request: http::request::Builder| {
            let request = request.body(Body::empty()).unwrap();
            Asked::of(&request).map(Asked::into_owned)
        };
        let plain = asked(Request::get("/x?y").header(ACCEPT, "a")).unwrap();
        assert_eq!((plain.path(), plain.address(), plain.agent()), ("/x", "/x?y", None));
        assert_ne!(asked(Request::get("/x?y").header(ACCEPT, "b")), Some(plain));
        for name in SPECIAL {
            assert_eq!(asked(Request::get("/x").header(name, "x")), None);
        }
        assert_eq!(asked(Request::head("/x")), None);
        assert_eq!(asked(Request::get("/x").header(ACCEPT, "a").header(ACCEPT, "b")), None);
        let raw = |name| Asked::new("/x", [(name, b"Basic x".as_slice())].into_iter());
        assert!(raw("AUTHORIZATION").is_none() && raw("authorization").is_none() && raw("Host").is_some());
    }

    #[test]
    fn an_answer_goes_out_as_it_was() {
        let mut response = Response::new(Body::empty());
        response.headers_mut().insert(http::header::ETAG, http::HeaderValue::from_static("\"e\""));
        let answer = Answer::of(&response, Bytes::from_static(b"body")).unwrap();
        assert_eq!(answer.head(), b"HTTP/1.1 200 OK\r\netag: \"e\"\r\ncontent-length: 4\r\ndate: ");
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        assert!(Answer::of(&response, Bytes::new()).is_none());
    }
}
