//! Whole answers to the requests that come most often.
//!
//! Clients ask for the same few index pages over and over, in the same words. Their answers are kept as they went out, so that
//! a request takes one look into a map instead of the way through routes, snapshots and renderings. Everything an answer
//! depends on is in [`Asked`] or clears the map ([`Hot::forget`]); requests with conditions, ranges or credentials take the
//! long way.

use std::sync::{Arc, Mutex, PoisonError};

use axum::response::Response;
use quick_cache::sync::Cache;
use quick_cache::{Equivalent, Weighter};
use sim_kit::at_hand::{Answer, Asked, Ready, Repeatable};
use sim_kit::sendfile::share;

use crate::downloads::Download;

/// What [`Hot`] finds an answer by.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key(Asked<'static>);

impl Equivalent<Key> for Asked<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        *self == key.0
    }
}

/// Bytes of their bodies at most.
const BUDGET: u64 = 16 << 20;

/// The answers kept: those asked for often stay.
pub(crate) struct Hot {
    answers: Cache<Key, Kept, ByLength>,
    /// Grows with every change, so that an answer that was on its way during a change is not kept.
    age: Mutex<u64>,
}

/// An answer, and the download that it is.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) answer: Arc<Answer>,
    pub(crate) download: Option<Arc<Download>>,
}

impl Kept {
    /// It again, marked as the first one was.
    pub(crate) fn response(&self) -> Response {
        let mut response = Response::from(Ready { answer: self.answer.clone(), count: None });
        if let Some(download) = &self.download {
            response.extensions_mut().insert(download.clone());
        }
        response
    }
}

#[derive(Clone)]
struct ByLength;

impl Weighter<Key, Kept> for ByLength {
    fn weight(&self, _: &Key, kept: &Kept) -> u64 {
        // The head and the entry, roughly.
        kept.answer.body().len() as u64 + 1024
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
    pub(crate) fn answer(&self, asked: &Asked<'_>) -> Option<Kept> {
        self.answers.get(asked)
    }

    /// To be asked for before the long way is taken, and given to [`Hot::keep`].
    pub(crate) fn age(&self) -> u64 {
        *self.age.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what `response` says to `asked`, if it is [`Repeatable`] and nothing has changed since `age`.
    pub(crate) fn keep(&self, asked: Asked<'static>, age: u64, response: &Response) {
        let Some(Repeatable(body)) = response.extensions().get().cloned() else { return };
        let Some(answer) = Answer::of(response, share(body)) else { return };
        let kept = Kept { answer: Arc::new(answer), download: Download::of(response).cloned() };
        let now = self.age.lock().unwrap_or_else(PoisonError::into_inner);
        if *now == age {
            self.answers.insert(Key(asked), kept);
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
    use axum::body::Body;
    use axum::extract::Request;
    use bytes::Bytes;
    use http::header::USER_AGENT;

    use super::*;

    fn request(agent: &str) -> Request {
        Request::get("/pypi/latest/simple/x/?a").header(USER_AGENT, agent).body(Body::empty()).unwrap()
    }

    fn answer(body: &'static [u8]) -> Response {
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(Repeatable(Bytes::from_static(body)));
        response
    }

    fn keep(hot: &Hot, agent: &str, age: u64, response: &Response) {
        hot.keep(Asked::of(&request(agent)).unwrap().into_owned(), age, response);
    }

    fn is_kept(hot: &Hot, agent: &str) -> bool {
        hot.answer(&Asked::of(&request(agent)).unwrap()).is_some()
    }

    #[test]
    fn answers_are_kept_until_something_changes() {
        let hot = Hot::default();
        keep(&hot, "a", hot.age(), &answer(b"1"));
        keep(&hot, "b", hot.age(), &Response::new(Body::empty()));
        assert!(is_kept(&hot, "a") && !is_kept(&hot, "b"));
        let before = hot.age();
        hot.forget();
        keep(&hot, "a", before, &answer(b"old"));
        assert!(!is_kept(&hot, "a"), "what was on its way during a change is stale");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let hot = Hot::default();
        static BODY: [u8; 64 << 10] = [b'x'; 64 << 10];
        keep(&hot, "often", hot.age(), &answer(&BODY));
        for i in 0..2000 {
            keep(&hot, &i.to_string(), hot.age(), &answer(&BODY));
            assert!(is_kept(&hot, "often"), "what is asked for often stays");
        }
        assert!(hot.answers.weight() <= BUDGET && hot.answers.len() > 100);
    }
}
