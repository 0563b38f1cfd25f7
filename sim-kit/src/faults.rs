//! Rules that delay, refuse, cut or corrupt answers, on purpose.
//!
//! A rule says which requests it takes ([`Matcher`]), when ([`Phase`]) and what it does to them ([`Effect`]). Rules
//! are off by default, tried in the order they were added, and the first that fires is the only one. Products ask for
//! domain effects (a build that fails, a feed that is stale) by name with [`Faults::domain`].

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::ids::Ids;
use crate::journal::Direction;

/// A rule as posted to `/__sim__/v1/faults`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name; made up when left out. Adding a rule with a known id replaces that rule.
    #[serde(default)]
    pub id: String,
    /// Which requests.
    #[serde(default, rename = "match")]
    pub matcher: Matcher,
    /// Before the handler ran, or after its side effect.
    #[serde(default)]
    pub phase: Phase,
    /// What happens.
    pub effect: Effect,
}

/// Which requests a rule takes. What is left out matches everything.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matcher {
    /// `in` (the default): requests to this server. `out`: requests this server makes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// For `out`: the other server's role, such as `package-manager`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// `GET`, `POST` …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// A glob over the path without its query: `*` within a segment, `**` across segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Only from the nth matching request on (1-based).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// Fires at most so often.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub times: Option<u64>,
    /// Fires with this chance, 0.0 to 1.0, drawn from the world's seed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
}

/// When a rule fires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before the handler: nothing has happened.
    #[default]
    Before,
    /// After the handler: its side effect stands, its answer is lost or spoilt.
    After,
}

/// What a rule does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Effect {
    /// Answers with this status.
    Status {
        /// 400 to 599, usually.
        status: u16,
        /// Sent as plain text.
        #[serde(default)]
        body: String,
        /// Seconds for a `Retry-After` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// Waits, in machine time, then goes on.
    Latency {
        /// Milliseconds.
        ms: u64,
    },
    /// Sends the body no faster than this.
    Bandwidth {
        /// Bytes a second.
        bytes_per_second: u64,
    },
    /// Closes the connection without an answer.
    Reset,
    /// Closes the connection after so many bytes of the body.
    Truncate {
        /// Bytes that still go through.
        bytes: u64,
    },
    /// Flips the bits of one byte of the body.
    Corrupt {
        /// Which byte, from 0.
        #[serde(default)]
        at: u64,
    },
    /// A product's own effect; see the product's documentation for names.
    Domain {
        /// Such as `feed.stale`.
        name: String,
        /// Its parameter.
        #[serde(default)]
        value: Value,
    },
}

/// What a fired rule asks of the server.
#[derive(Debug, Clone)]
pub struct Firing {
    /// The rule.
    pub rule: String,
    /// When.
    pub phase: Phase,
    /// What.
    pub effect: Effect,
}

/// A request as rules see it.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// In or out.
    pub direction: Direction,
    /// The other server's role, for requests out.
    pub peer: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The path without its query.
    pub path: &'a str,
}

/// A rule that cannot be taken.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RuleError {
    /// Not a chance.
    #[error("probability must be between 0 and 1")]
    Probability,
    /// Not a status.
    #[error("status must be between 200 and 599")]
    Status,
    /// A rate of nothing.
    #[error("bytes_per_second must be at least 1; use \"reset\" to cut a link")]
    Bandwidth,
    /// More rules than are kept.
    #[error("at most {0} rules; delete some first")]
    TooMany(usize),
    /// `nth` counts from one.
    #[error("nth counts from 1")]
    Nth,
}

const MOST_RULES: usize = 256;

/// The rules in force. Clones share them.
#[derive(Clone)]
pub struct Faults(Arc<Inner>);

struct Inner {
    ids: Ids,
    rules: Mutex<Vec<Active>>,
    /// Whether there are any: asked by every request, most of which are not to meet at the lock.
    any: AtomicBool,
}

/// A rule with its counters.
#[derive(Debug, Clone, Serialize)]
pub struct Active {
    /// As posted.
    #[serde(flatten)]
    pub rule: Rule,
    /// Requests that matched so far.
    pub seen: u64,
    /// Times it fired.
    pub fired: u64,
}

impl Faults {
    /// No rules.
    #[must_use]
    pub fn new(ids: Ids) -> Self {
        Self(Arc::new(Inner { ids, rules: Mutex::default(), any: AtomicBool::new(false) }))
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Active>> {
        self.0.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `rule`, or replaces the one of its id. Answers with the id.
    ///
    /// # Errors
    /// [`RuleError`] says which member is off.
    pub fn add(&self, mut rule: Rule) -> Result<String, RuleError> {
        if rule.matcher.probability.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return Err(RuleError::Probability);
        }
        if rule.matcher.nth == Some(0) {
            return Err(RuleError::Nth);
        }
        match rule.effect {
            Effect::Status { status, .. } if !(200..=599).contains(&status) => {
                return Err(RuleError::Status);
            }
            Effect::Bandwidth { bytes_per_second: 0 } => return Err(RuleError::Bandwidth),
            _ => {}
        }
        if rule.id.is_empty() {
            rule.id = self.0.ids.hex("fault", 8);
        }
        let id = rule.id.clone();
        let mut rules = self.rules();
        rules.retain(|active| active.rule.id != id);
        if rules.len() >= MOST_RULES {
            return Err(RuleError::TooMany(MOST_RULES));
        }
        rules.push(Active { rule, seen: 0, fired: 0 });
        self.0.any.store(true, Ordering::Release);
        Ok(id)
    }

    /// Takes the rule away; false when there is none of that id.
    pub fn remove(&self, id: &str) -> bool {
        let mut rules = self.rules();
        let before = rules.len();
        rules.retain(|active| active.rule.id != id);
        self.0.any.store(!rules.is_empty(), Ordering::Release);
        rules.len() < before
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        let mut rules = self.rules();
        rules.clear();
        self.0.any.store(false, Ordering::Release);
    }

    /// The rules with their counters.
    #[must_use]
    pub fn list(&self) -> Vec<Active> {
        self.rules().clone()
    }

    /// Whether there are rules at all.
    #[must_use]
    pub fn any(&self) -> bool {
        self.0.any.load(Ordering::Acquire)
    }

    /// The rule that fires for this request, if any; counts it.
    #[must_use]
    pub fn check(&self, subject: Subject<'_>) -> Option<Firing> {
        if !self.any() {
            return None;
        }
        let mut rules = self.rules();
        for active in rules.iter_mut() {
            let domain = matches!(active.rule.effect, Effect::Domain { .. });
            if !domain && active.rule.matcher.takes(subject) && active.fires(&self.0.ids) {
                return Some(active.firing());
            }
        }
        None
    }

    /// The parameter of the domain effect `name`, if a rule of that name fires; counts it.
    #[must_use]
    pub fn domain(&self, name: &str) -> Option<Value> {
        if !self.any() {
            return None;
        }
        for active in self.rules().iter_mut() {
            match &active.rule.effect {
                Effect::Domain { name: own, value } if own == name => {
                    let value = value.clone();
                    if active.fires(&self.0.ids) {
                        return Some(value);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

impl Active {
    fn fires(&mut self, ids: &Ids) -> bool {
        self.seen += 1;
        let matcher = &self.rule.matcher;
        let due = matcher.nth.is_none_or(|nth| self.seen >= nth)
            && matcher.times.is_none_or(|times| self.fired < times)
            && matcher.probability.is_none_or(|p| {
                let [a, b, c, d, ..] = ids.bytes("fault-chance");
                f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0) < p
            });
        self.fired += u64::from(due);
        due
    }

    fn firing(&self) -> Firing {
        Firing { rule: self.rule.id.clone(), phase: self.rule.phase, effect: self.rule.effect.clone() }
    }
}

impl Matcher {
    fn takes(&self, subject: Subject<'_>) -> bool {
        self.direction.unwrap_or(Direction::In) == subject.direction
            && self.peer.as_deref().is_none_or(|peer| Some(peer) == subject.peer)
            && self.method.as_deref().is_none_or(|method| method.eq_ignore_ascii_case(subject.method))
            && self.path.as_deref().is_none_or(|glob| glob_matches(glob.as_bytes(), subject.path.as_bytes()))
    }
}

/// `*` stands for any run without `/`, `**` for any run.
fn glob_matches(glob: &[u8], path: &[u8]) -> bool {
    // Where to go on when the text after a star does not fit: (glob after the star, path, star crosses `/`).
    let (mut g, mut p) = (0, 0);
    let mut back: Vec<(usize, usize, bool)> = Vec::new();
    loop {
        if glob[g..].starts_with(b"**") {
            g += 2;
            // An earlier star need not be tried again: this one can take whatever that one could.
            back.clear();
            back.push((g, p, true));
        } else if glob.get(g) == Some(&b'*') {
            g += 1;
            back.retain(|(.., crosses)| *crosses);
            back.push((g, p, false));
        } else if p < path.len() && glob.get(g) == Some(&path[p]) {
            g += 1;
            p += 1;
        } else if g == glob.len() && p == path.len() {
            return true;
        } else {
            loop {
                match back.last_mut() {
                    None => return false,
                    Some((glob_at, path_at, crosses))
                        if *path_at < path.len() && (*crosses || path[*path_at] != b'/') =>
                    {
                        *path_at += 1;
                        (g, p) = (*glob_at, *path_at);
                        break;
                    }
                    Some(_) => drop(back.pop()),
                }
            }
        }
    }
}

/// The body that a client gets to see after a body effect; other effects leave it alone.
pub fn spoil<S, E>(body: S, effect: Effect) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + use<S, E>
where
    S: Stream<Item = Result<Bytes, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let cut = || std::io::Error::other("cut by a fault rule");
    futures_util::stream::unfold((body.boxed(), 0_u64, Some(effect)), move |(mut body, start, effect)| async move {
        // Without an effect the stream was cut and has said so.
        let effect = effect?;
        if matches!(effect, Effect::Truncate { bytes } if start >= bytes) {
            // A server that finds nothing to send for a moment flushes what it has; only then may the body fail.
            tokio::task::yield_now().await;
            return Some((Err(cut()), (body, start, None)));
        }
        let bytes = match body.next().await? {
            Ok(bytes) => bytes,
            Err(error) => {
                return Some((Err(std::io::Error::other(error)), (body, start, None)));
            }
        };
        let end = start + bytes.len() as u64;
        let bytes = match effect {
            Effect::Truncate { bytes: limit } if end > limit => {
                bytes.slice(..usize::try_from(limit - start).unwrap_or(0))
            }
            Effect::Corrupt { at } if (start..end).contains(&at) => {
                let mut copy = bytes.to_vec();
                copy[usize::try_from(at - start).unwrap_or(0)] ^= 0xff;
                copy.into()
            }
            Effect::Bandwidth { bytes_per_second } => {
                let micros = bytes.len() as u64 * 1_000_000 / bytes_per_second.max(1);
                tokio::time::sleep(std::time::Duration::from_micros(micros)).await;
                bytes
            }
            _ => bytes,
        };
        Some((Ok(bytes), (body, end, Some(effect))))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(path: &str) -> Subject<'_> {
        Subject { direction: Direction::In, peer: None, method: "GET", path }
    }

    #[test]
    fn globs() {
        for (glob, path, expected) in [
            ("/a/*", "/a/b", true),
            ("/a/*", "/a/b/c", false),
            ("/a/**", "/a/b/c", true),
            ("**/simple/**", "/x/latest/simple/flask/", true),
            ("/a/*.tar.gz", "/a/b.tar.tar.gz", true),
            ("/**/x/*", "/1/2/x/y/x/z", true),
            ("/**/x/*", "/1/2/x/y/z", false),
            ("", "", true),
            ("*", "", true),
            ("/a", "/a/", false),
        ] {
            assert_eq!(glob_matches(glob.as_bytes(), path.as_bytes()), expected, "{glob} {path}");
        }
    }

    #[test]
    fn a_rule_counts_what_it_saw_and_fires_as_often_as_it_may() {
        let faults = Faults::new(Ids::new(1, 0));
        let rule = |json: &str| serde_json::from_str::<Rule>(json).unwrap();
        faults.add(rule(r#"{"id":"x","match":{"path":"/a","nth":2,"times":2},"effect":{"kind":"reset"}}"#)).unwrap();
        let fired: Vec<bool> = (0..5).map(|_| faults.check(subject("/a")).is_some()).collect();
        assert_eq!(fired, [false, true, true, false, false]);
        assert!(faults.check(subject("/b")).is_none());
        assert_eq!((faults.list()[0].seen, faults.list()[0].fired), (5, 2));
        assert!(faults.remove("x") && !faults.remove("x"));
        assert_eq!(
            faults.add(rule(r#"{"match":{"probability":2},"effect":{"kind":"reset"}}"#)),
            Err(RuleError::Probability)
        );
        faults.add(rule(r#"{"effect":{"kind":"domain","name":"feed.stale","value":3}}"#)).unwrap();
        assert!(faults.check(subject("/a")).is_none());
        assert_eq!(faults.domain("feed.stale"), Some(Value::from(3)));
        assert_eq!(faults.domain("other"), None);
    }

    #[tokio::test]
    async fn bodies_are_cut_and_spoilt() {
        let body = || futures_util::stream::iter(["abc", "def"].map(|s| Ok::<_, std::io::Error>(Bytes::from(s))));
        let seen = |effect: Effect| async move {
            let parts: Vec<_> = spoil(body(), effect).collect().await;
            let failed = parts.iter().any(Result::is_err);
            (parts.into_iter().flatten().collect::<Vec<_>>().concat(), failed)
        };
        assert_eq!(seen(Effect::Truncate { bytes: 4 }).await, (b"abcd".to_vec(), true));
        assert_eq!(seen(Effect::Truncate { bytes: 3 }).await, (b"abc".to_vec(), true));
        assert_eq!(seen(Effect::Truncate { bytes: 0 }).await, (Vec::new(), true));
        assert_eq!(seen(Effect::Truncate { bytes: 9 }).await, (b"abcdef".to_vec(), false));
        assert_eq!(seen(Effect::Corrupt { at: 4 }).await, (b"abcd\x9af".to_vec(), false));
    }
}
