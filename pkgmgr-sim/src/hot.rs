//! Whole answers to the requests that come most often.
//!
//! Clients ask for the same few index pages over and over, in the same words. Their answers are kept as they went out, so that
//! a request takes one look into a map instead of the way through routes, snapshots and renderings. Everything an answer
//! depends on is in [`Asked`] or clears the map ([`Hot::forget`]); requests with conditions, ranges or credentials take the
//! long way.

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    RANGE, USER_AGENT,
};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sim_kit::routing::Matched;
use sim_kit::sendfile::share;

use crate::downloads::Download;

/// Set on an answer by a handler that would give the same to the same request until something changes: its body.
#[derive(Debug, Clone)]
pub(crate) struct Repeatable(pub(crate) Bytes);

/// What an answer depends on: the address, and the headers that negotiate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    address: PathAndQuery,
    negotiated: [Option<HeaderValue>; 3],
}

impl Asked {
    /// None for a request that has to take the long way.
    pub(crate) fn of(request: &Request) -> Option<Self> {
        let headers = request.headers();
        let special = [AUTHORIZATION, RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_MATCH, IF_UNMODIFIED_SINCE];
        if request.method() != Method::GET || special.iter().any(|name| headers.contains_key(name)) {
            return None;
        }
        let mut negotiated = [None, None, None];
        for (place, name) in negotiated.iter_mut().zip([ACCEPT, ACCEPT_ENCODING, USER_AGENT]) {
            let mut values = headers.get_all(name).iter();
            *place = values.next().cloned();
            if values.next().is_some() {
                return None;
            }
        }
        Some(Self { address: request.uri().path_and_query()?.clone(), negotiated })
    }

    /// The same in memory of its own, not in that of the whole request.
    fn detached(&self) -> Option<Self> {
        let own = |value: &Option<HeaderValue>| value.as_ref().and_then(|v| HeaderValue::from_bytes(v.as_bytes()).ok());
        let address = PathAndQuery::try_from(self.address.as_str()).ok()?;
        Some(Self { address, negotiated: self.negotiated.each_ref().map(own) })
    }
}

/// Bytes of their bodies at most.
const BUDGET: u64 = 16 << 20;

/// The answers kept: those asked for often stay.
pub(crate) struct Hot {
    answers: Cache<Asked, Arc<Answer>, ByLength>,
    /// Grows with every change, so that an answer that was on its way during a change is not kept.
    age: Mutex<u64>,
}

struct Answer {
    headers: HeaderMap,
    body: Bytes,
    matched: Option<Matched>,
    download: Option<Arc<Download>>,
}

#[derive(Clone)]
struct ByLength;

impl Weighter<Asked, Arc<Answer>> for ByLength {
    fn weight(&self, _: &Asked, answer: &Arc<Answer>) -> u64 {
        // The head and the entry, roughly.
        answer.body.len() as u64 + 1024
    }
}

impl Default for Hot {
    fn default() -> Self {
        // For so few, though there can be more, that the cache is of one part, and has room for the largest.
        Self { answers: Cache::with_weighter(32, BUDGET, ByLength), age: Mutex::default() }
    }
}

impl Hot {
    /// The answer, if it is kept.
    pub(crate) fn answer(&self, asked: &Asked) -> Option<Response> {
        let answer = self.answers.get(asked)?;
        let mut response = Response::new(Body::from(answer.body.clone()));
        *response.headers_mut() = answer.headers.clone();
        let extensions = response.extensions_mut();
        if let Some(matched) = &answer.matched {
            extensions.insert(matched.clone());
        }
        if let Some(download) = &answer.download {
            extensions.insert(download.clone());
        }
        Some(response)
    }

    /// To be asked for before the long way is taken, and given to [`Hot::keep`].
    pub(crate) fn age(&self) -> u64 {
        *self.age.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what `response` says to `asked`, if it is [`Repeatable`] and nothing has changed since `age`.
    pub(crate) fn keep(&self, asked: &Asked, age: u64, response: &Response) {
        let Some(Repeatable(body)) = response.extensions().get().cloned() else { return };
        let Some(asked) = asked.detached() else { return };
        let answer = Answer {
            headers: response.headers().clone(),
            body: share(body),
            matched: response.extensions().get().cloned(),
            download: Download::of(response).cloned(),
        };
        let now = self.age.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == age {
            self.answers.insert(asked, Arc::new(answer));
        }
    }

    /// Forgets all, because something has changed.
    pub(crate) fn forget(&self) {
        let mut age = self.age.lock().unwrap_or_else(PoisonError::into_inner);
        *age += 1;
        self.answers.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(agent: &str) -> Asked {
        Asked::of(&Request::get("/pypi/latest/simple/x/?a").header(USER_AGENT, agent).body(Body::empty()).unwrap())
            .unwrap()
    }

    fn answer(body: &'static [u8]) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Repeatable(Bytes::from_static(body)));
        response
    }

    #[test]
    fn answers_are_kept_until_something_changes() {
        let hot = Hot::default();
        hot.keep(&asked("a"), hot.age(), &answer(b"1"));
        hot.keep(&asked("b"), hot.age(), &Response::new(Body::empty()));
        assert!(hot.answer(&asked("a")).is_some() && hot.answer(&asked("b")).is_none());
        let before = hot.age();
        hot.forget();
        hot.keep(&asked("a"), before, &answer(b"old"));
        assert!(hot.answer(&asked("a")).is_none(), "what was on its way during a change is stale");
    }

    #[test]
    fn special_requests_take_the_long_way() {
        for (name, value) in [(RANGE, "bytes=0-1"), (AUTHORIZATION, "Basic x"), (IF_NONE_MATCH, "\"x\"")] {
            assert!(Asked::of(&Request::get("/x").header(name, value).body(Body::empty()).unwrap()).is_none());
        }
        assert!(Asked::of(&Request::head("/x").body(Body::empty()).unwrap()).is_none());
        let twice = Request::get("/x").header(ACCEPT, "a").header(ACCEPT, "b").body(Body::empty()).unwrap();
        assert!(Asked::of(&twice).is_none());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let hot = Hot::default();
        static BODY: [u8; 64 << 10] = [b'x'; 64 << 10];
        hot.keep(&asked("often"), hot.age(), &answer(&BODY));
        for i in 0..2000 {
            hot.keep(&asked(&i.to_string()), hot.age(), &answer(&BODY));
            assert!(hot.answer(&asked("often")).is_some(), "what is asked for often stays");
        }
        assert!(hot.answers.weight() <= BUDGET && hot.answers.len() > 100);
    }
}
