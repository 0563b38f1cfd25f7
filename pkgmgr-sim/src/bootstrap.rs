//! The first token, for who has the key.
//!
//! `rspm bootstrap keys` makes an RSA key; its public half goes into the server's settings (`Bootstrap.PublicKey`). That much is
//! documented. How a token is then asked for is not known; here `rspm bootstrap token` signs a JWT (RS256) with the claims `aud`
//! (`packagemanager-bootstrap`), `scope` (`bootstrap`), `iat`, `exp` and `jti`, and posts it to `/__api__/bootstrap`, which answers
//! with a token that allows everything. An assertion is good once, and for [`LONGEST`] at most.

use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use rsa::PublicKey;
use rsa::pkcs8::{DecodePublicKey as _, EncodePublicKey as _, LineEnding};
use rsa::traits::PublicKeyParts as _;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Who an assertion is for.
pub const AUDIENCE: &str = "packagemanager-bootstrap";
/// What an assertion is for.
pub const SCOPE: &str = "bootstrap";
/// How long an assertion is good at most, in seconds.
pub const LONGEST: i64 = 3600;
/// Seconds that the clocks of the two sides may differ by.
const SKEW: i64 = 60;
/// Bits of a key at least.
const BITS: u32 = 2048;
/// Characters of a `jti` at most.
const MOST_JTI: usize = 128;

/// What an assertion says. Times are seconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Assertion {
    /// [`AUDIENCE`].
    pub aud: String,
    /// [`SCOPE`].
    pub scope: String,
    /// When it was made.
    pub iat: i64,
    /// When it ends.
    pub exp: i64,
    /// Different in each.
    pub jti: String,
}

/// The public half of a bootstrap key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pem: String,
}

impl FromStr for Key {
    type Err = String;

    /// A PEM text (lines may be separated by `\n` in two characters), or base64 of one or of its DER form.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim().replace("\\n", "\n");
        let key = match text.starts_with("-----BEGIN") {
            true => PublicKey::from_public_key_pem(&text).ok(),
            false => STANDARD.decode(text.split_whitespace().collect::<String>()).ok().and_then(|bytes| {
                let as_der = PublicKey::from_public_key_der(&bytes).ok();
                as_der.or_else(|| PublicKey::from_public_key_pem(std::str::from_utf8(&bytes).ok()?).ok())
            }),
        };
        let key = key.ok_or("no RSA public key in PEM or base64")?;
        if key.n().bit_width() < BITS {
            return Err(format!("the key has {} bits; {BITS} is the least", key.n().bit_width()));
        }
        let pem = key.to_public_key_pem(LineEnding::LF).map_err(|error| error.to_string())?;
        Ok(Self { pem })
    }
}

impl Key {
    /// What a text asserts, if it was signed with this key and is good at `now` (seconds since 1970).
    pub(crate) fn verify(&self, text: &str, now: i64) -> Result<Assertion, Error> {
        let bad = |why: &str| Error::Unauthorized(format!("the assertion is not valid: {why}"));
        let key = DecodingKey::from_rsa_pem(self.pem.as_bytes()).map_err(|error| Error::Internal(error.to_string()))?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["aud"]);
        // What counts is the World's clock.
        validation.validate_exp = false;
        let said: Assertion = jsonwebtoken::decode(text, &key, &validation)
            .map_err(|_| bad("it was not signed for this server with the bootstrap key"))?
            .claims;
        if said.scope != SCOPE {
            return Err(bad("its scope is another"));
        }
        if said.exp <= now {
            return Err(bad("it has expired"));
        }
        if said.iat > now + SKEW {
            return Err(bad("it is from the future"));
        }
        if said.exp.saturating_sub(said.iat) > LONGEST {
            return Err(bad("it is good for more than an hour"));
        }
        if said.jti.is_empty() || said.jti.len() > MOST_JTI || !said.jti.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(bad("its jti is not up to 128 printable characters"));
        }
        Ok(said)
    }
}
