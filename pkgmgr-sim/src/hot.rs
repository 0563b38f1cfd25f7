//! Whole answers to the requests that come most often.
//!
//! Clients ask for the same few index pages over and over, in the same words. Their answers are kept as they went out, so that
//! a request takes one look into a map instead of the way through routes, snapshots and renderings. Everything an answer
//! depends on is in [`Asked`] or clears the map ([`Hot::forget`]); requests with conditions, ranges or credentials take the
//! long way.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{
    ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    RANGE, USER_AGENT,
};
use http::{HeaderMap, HeaderValue, Method};
use sim_kit::routing::Matched;
use sim_kit::sendfile::share;

/// Set on an answer by a handler that would give the same to the same request until something changes: its body.
#[derive(Debug, Clone)]
pub(crate) struct Repeatable(pub(crate) Bytes);

/// What an answer depends on: the address, and the headers that negotiate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    address: String,
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
        Some(Self { address: request.uri().path_and_query()?.as_str().to_owned(), negotiated })
    }
}

/// Answers at most.
const MOST: usize = 1024;
/// Bytes of their bodies at most.
const BUDGET: usize = 16 << 20;

/// The answers kept.
#[derive(Default)]
pub(crate) struct Hot(RwLock<Kept>);

#[derive(Default)]
struct Kept {
    /// Grows with every change, so that an answer that was on its way during a change is not kept.
    age: u64,
    bytes: usize,
    answers: HashMap<Asked, Answer>,
}

struct Answer {
    headers: HeaderMap,
    body: Bytes,
    matched: Option<Matched>,
}

impl Hot {
    /// The answer, if it is kept.
    pub(crate) fn answer(&self, asked: &Asked) -> Option<Response> {
        let kept = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let answer = kept.answers.get(asked)?;
        let mut response = Response::new(Body::from(answer.body.clone()));
        *response.headers_mut() = answer.headers.clone();
        if let Some(matched) = &answer.matched {
            response.extensions_mut().insert(matched.clone());
        }
        Some(response)
    }

    /// To be asked for before the long way is taken, and given to [`Hot::keep`].
    pub(crate) fn age(&self) -> u64 {
        self.0.read().unwrap_or_else(PoisonError::into_inner).age
    }

    /// Keeps what `response` says to `asked`, if it is [`Repeatable`] and nothing has changed since `age`.
    pub(crate) fn keep(&self, asked: Asked, age: u64, response: &Response) {
        let Some(Repeatable(body)) = response.extensions().get().cloned() else { return };
        if body.len() > BUDGET / 4 {
            return;
        }
        let body = share(body);
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if kept.age != age {
            return;
        }
        if kept.answers.len() >= MOST || kept.bytes + body.len() > BUDGET {
            kept.answers.clear();
            kept.bytes = 0;
        }
        let matched = response.extensions().get().cloned();
        kept.bytes += body.len();
        let answer = Answer { headers: response.headers().clone(), body, matched };
        if let Some(former) = kept.answers.insert(asked, answer) {
            kept.bytes -= former.body.len();
        }
    }

    /// Forgets all, because something has changed.
    pub(crate) fn forget(&self) {
        let mut kept = self.0.write().unwrap_or_else(PoisonError::into_inner);
        kept.age += 1;
        kept.bytes = 0;
        kept.answers = HashMap::new();
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
        hot.keep(asked("a"), hot.age(), &answer(b"1"));
        hot.keep(asked("b"), hot.age(), &Response::new(Body::empty()));
        assert!(hot.answer(&asked("a")).is_some() && hot.answer(&asked("b")).is_none());
        let before = hot.age();
        hot.forget();
        hot.keep(asked("a"), before, &answer(b"old"));
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
        for i in 0..3 * MOST {
            hot.keep(asked(&i.to_string()), hot.age(), &answer(b"x"));
        }
        let kept = hot.0.read().unwrap();
        assert!(kept.answers.len() <= MOST && kept.bytes == kept.answers.len());
    }
}
