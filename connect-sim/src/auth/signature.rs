//! Requests signed with a token's RSA key, as rsconnect for R and Posit Publisher send them.
//!
//! The signature (RSA PKCS#1 v1.5 with SHA-1, base64, in `X-Auth-Signature`) is over method, path, `Date` and
//! `X-Content-Checksum`, each on a line of its own. The path is without the query; rsconnect signs it with the prefix of
//! a proxy, Publisher without.
//!
//! The product does not document how it guards against replays. Here a signature is good while its `Date` is within a
//! window of the World's clock, and one that changes something is good for a second from when it first came. A client that
//! makes the same request twice within a second signs the same text twice: Publisher while it polls, rsconnect for R when it
//! deploys the same folder again. Reads may repeat.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use http::Method;
use http::request::Parts;
use rsa::PublicKey;
use rsa::pkcs8::DecodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use sha1::Sha1;

use crate::error::{Code, Error, Result};

/// What the headers of a signed request claim.
pub struct Claim<'a> {
    /// The token.
    pub token: &'a str,
    date: &'a str,
    checksum: &'a str,
    signature: Vec<u8>,
}

impl<'a> Claim<'a> {
    /// The claim in a request, if it makes one.
    ///
    /// # Errors
    /// 401 when a part of it is missing or no text.
    pub fn of(parts: &'a Parts) -> Result<Option<Self>> {
        let text = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let Some(token) = text("x-auth-token").filter(|token| is_token(token)) else {
            // Among them `anonymous-access`, which clients send while they have no token, and health probes.
            return Ok(None);
        };
        let part = |name: &str| {
            let missing = || refused(format!("A signed request needs the header {name}."));
            text(name).filter(|value| !value.is_empty()).ok_or_else(missing)
        };
        let signature = STANDARD.decode(part("X-Auth-Signature")?).ok();
        Ok(Some(Self {
            token,
            date: part("Date")?,
            checksum: part("X-Content-Checksum")?,
            signature: signature.ok_or_else(|| refused("X-Auth-Signature is not base64.".to_owned()))?,
        }))
    }
}

fn refused(text: String) -> Error {
    Error::unauthorized(Code::InvalidLogin, text)
}

/// `T` and up to 64 hexadecimal digits. Publisher sends 32; rsconnect for R leaves out the leading zero of a byte now and
/// then, which makes fewer.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let digits = text.strip_prefix('T').unwrap_or_default();
    (16..=64).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Reads a public key: base64 of an RSA SubjectPublicKeyInfo of 1024 to 4096 bits.
#[must_use]
pub fn public_key(text: &str) -> Option<PublicKey> {
    if text.len() > 2048 {
        return None;
    }
    let der = STANDARD.decode(text).ok()?;
    let key = PublicKey::from_public_key_der(&der).ok()?;
    (128..=512).contains(&key.size()).then_some(key)
}

/// Checks that the holder of `key` signed the request. `prefix` is the path that a proxy took away.
///
/// # Errors
/// 401 when the signature is not good.
pub fn check(claim: &Claim<'_>, key: &str, parts: &Parts, prefix: &str) -> Result<()> {
    let key = public_key(key).ok_or_else(Error::invalid_login)?;
    let path = parts.uri.path();
    let good = |prefix: &str| {
        let canonical = format!("{}\n{prefix}{path}\n{}\n{}", parts.method, claim.date, claim.checksum);
        key.pkcs1v15_verify::<Sha1>(canonical.as_bytes(), &claim.signature).is_ok()
    };
    if good("") || (!prefix.is_empty() && good(prefix)) {
        Ok(())
    } else {
        Err(refused("The signature of the request is not that of its token.".to_owned()))
    }
}

/// How long a client signs the same request alike: `Date` tells seconds.
const ALIKE: TimeDelta = TimeDelta::seconds(1);

/// The signatures seen within the window.
pub struct Replays {
    window: Duration,
    seen: Mutex<HashMap<Vec<u8>, Seen>>,
}

struct Seen {
    date: DateTime<Utc>,
    first: DateTime<Utc>,
}

impl Replays {
    /// None so far.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self { window, seen: Mutex::default() }
    }

    /// Notes a signature that [`check`] found good.
    ///
    /// # Errors
    /// 401 when its date is too far from `now`, or when it changes something and came more than a second before.
    pub fn check(&self, claim: &Claim<'_>, parts: &Parts, now: DateTime<Utc>) -> Result<()> {
        let date = NaiveDateTime::parse_from_str(claim.date, "%a, %d %b %Y %H:%M:%S GMT");
        let date = date.map_err(|_| refused("The Date of the request is not an HTTP date.".to_owned()))?.and_utc();
        if (now - date).abs().to_std().unwrap_or(Duration::MAX) > self.window {
            let now = sim_kit::serve_bytes::http_date(now);
            let text = format!("The Date of the request is too far from this server's, {now}; set your clock.");
            return Err(refused(text));
        }
        if matches!(parts.method, Method::GET | Method::HEAD) {
            return Ok(());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        // What is older is refused by its date.
        seen.retain(|_, seen| (now - seen.date).abs().to_std().unwrap_or(Duration::MAX) <= self.window);
        let first = seen.entry(claim.signature.clone()).or_insert(Seen { date, first: now }).first;
        match (now - first).abs() < ALIKE {
            true => Ok(()),
            false => Err(refused("This signed request was made before; sign it anew.".to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_key_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(public_key(&STANDARD.encode(&bytes)).is_none());
        }

        #[test]
        fn any_headers_are_read(token in "T[0-9a-f]{32}", date in "[ -~]{0,40}", signature in "[ -~]{0,40}") {
            let request = http::Request::get("/x")
                .header("x-auth-token", token).header("date", date)
                .header("x-content-checksum", "x").header("x-auth-signature", signature);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            if let Ok(Some(claim)) = Claim::of(&parts) {
                let _ = Replays::new(Duration::from_secs(60)).check(&claim, &parts, DateTime::UNIX_EPOCH);
            }
        }
    }
}
