//! Signed values in three parts: `urlenc(value)|urlenc(expiry)|urlenc(base64(HMAC-SHA256(value + expiry)))`, the form of
//! the `user-id` cookie and of `RS_SESSION_RPC_COOKIE`. The expiry is an HTTP date; clients of the RPC cookie read it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, NaiveDateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use sim_kit::serve_bytes::http_date;

/// Longer texts than this are not ours.
const LONGEST: usize = 1024;

/// A key that signs.
#[derive(Clone)]
pub(crate) struct Signer {
    key: Vec<u8>,
}

/// A signed value that is genuine and not yet expired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    pub(crate) value: String,
    pub(crate) expires: DateTime<Utc>,
}

impl Signer {
    /// A signer for `purpose`, so that what one purpose signed is worthless to another.
    pub(crate) fn new(secret: &str, purpose: &str) -> Self {
        let mut mac = mac(secret.as_bytes());
        mac.update(purpose.as_bytes());
        Self { key: mac.finalize().into_bytes().to_vec() }
    }

    /// Signs `value` until `expires`, which is cut to whole seconds.
    pub(crate) fn sign(&self, value: &str, expires: DateTime<Utc>) -> String {
        let expiry = http_date(expires);
        let mut mac = mac(&self.key);
        mac.update(value.as_bytes());
        mac.update(expiry.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        format!("{}|{}|{}", percent_encode(value), percent_encode(&expiry), percent_encode(&signature))
    }

    /// Reads what [`Signer::sign`] made; none when it is not genuine or has expired.
    pub(crate) fn open(&self, text: &str, now: DateTime<Utc>) -> Option<Signed> {
        if text.len() > LONGEST {
            return None;
        }
        let mut parts = text.split('|');
        let (value, expiry, signature) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() {
            return None;
        }
        let (value, expiry) = (percent_decode(value)?, percent_decode(expiry)?);
        let signature = BASE64_STANDARD.decode(percent_decode(signature)?).ok()?;
        let mut mac = mac(&self.key);
        mac.update(value.as_bytes());
        mac.update(expiry.as_bytes());
        mac.verify_slice(&signature).ok()?;
        let expires = NaiveDateTime::parse_from_str(&expiry, "%a, %d %b %Y %H:%M:%S GMT").ok()?.and_utc();
        (expires > now).then_some(Signed { value, expires })
    }
}

fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// Encodes everything but letters, digits and `-_.~`.
pub(crate) fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 16);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn percent_decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let high = char::from(bytes.next()?).to_digit(16)?;
                let low = char::from(bytes.next()?).to_digit(16)?;
                u8::try_from(high * 16 + low).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    #[test]
    fn only_what_was_signed_opens_and_only_in_time() {
        let signer = Signer::new("secret", "user-id");
        let text = signer.sign("pat o'neil|x", at(60));
        assert_eq!(text.split('|').count(), 3);
        assert!(text.starts_with("pat%20o%27neil%7Cx|Fri%2C%2015%20Jan%202027%20"), "{text}");
        assert_eq!(signer.open(&text, at(59)), Some(Signed { value: "pat o'neil|x".into(), expires: at(60) }));
        assert_eq!(signer.open(&text, at(60)), None);
        assert_eq!(Signer::new("secret", "rpc").open(&text, at(0)), None);
        assert_eq!(Signer::new("other", "user-id").open(&text, at(0)), None);
        assert_eq!(signer.open(&text.replace("pat", "ada"), at(0)), None);
        assert_eq!(signer.open(&format!("{text}|"), at(0)), None);
    }

    proptest! {
        #[test]
        fn any_value_comes_back(value in "\\PC{0,80}", junk in "\\PC{0,80}") {
            let signer = Signer::new("k", "p");
            let text = signer.sign(&value, at(1));
            prop_assert!(text.is_ascii());
            prop_assert_eq!(signer.open(&text, at(0)).map(|s| s.value), Some(value));
            prop_assert_eq!(signer.open(&junk, at(0)), None);
        }
    }
}
