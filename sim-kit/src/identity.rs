//! Identity tokens of other issuers (OpenID Connect), and their verification.
//!
//! An issuer's keys are fetched from the place that its `/.well-known/openid-configuration` names, kept for some minutes
//! of the World's time, and fetched anew when a token names a key that is not among them. Only issuers that the server was
//! told to trust are ever asked.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Validation};
use serde_json::{Map, Value};
use url::Url;

use crate::http_client::Link;
use crate::world::World;

/// What a token says.
pub type Claims = Map<String, Value>;

/// Bytes of a token at most.
const LONGEST: usize = 16 << 10;
/// Bytes of a document of an issuer at most.
const LARGEST: usize = 256 << 10;
/// Keys of an issuer that are looked at.
const MOST_KEYS: usize = 100;
/// How long a document may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long keys are kept, in microseconds.
const KEPT: i64 = 10 * 60 * 1_000_000;
/// How long an issuer is not asked again for a key that it did not have, in microseconds.
const PAUSE: i64 = 60 * 1_000_000;
/// Clocks may be this far apart, in seconds.
const LEEWAY: i64 = 60;
/// Signatures by a key pair. With a shared secret the public key could be taken for one.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// An issuer as it described itself.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// The members of its discovery document.
    pub metadata: Claims,
    keys: Vec<Jwk>,
    fetched: i64,
}

/// The issuers that were asked.
pub struct Issuers {
    world: World,
    link: Link,
    known: Mutex<HashMap<String, Issuer>>,
}

impl Issuers {
    /// None so far.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), link: Link::new(world, "identity-provider"), known: Mutex::default() }
    }

    /// Microseconds since 1970, by the World's clock.
    fn now(&self) -> i64 {
        self.world.clock().now_micros()
    }

    fn known(&self, issuer: &str) -> Option<Issuer> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).get(issuer).cloned()
    }

    /// The issuer as it was no longer ago than `age` microseconds.
    ///
    /// # Errors
    /// Why it could not be read.
    pub async fn get(&self, issuer: &str, age: i64) -> Result<Issuer, String> {
        let now = self.now();
        if let Some(known) = self.known(issuer).filter(|known| (0..=age).contains(&(now - known.fetched))) {
            return Ok(known);
        }
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let metadata = self.document(&address).await?;
        if metadata.get("issuer").and_then(Value::as_str) != Some(issuer) {
            return Err(format!("{address} does not name the issuer {issuer}"));
        }
        let address = metadata.get("jwks_uri").and_then(Value::as_str);
        let address = address.ok_or_else(|| format!("the issuer {issuer} names no `jwks_uri`"))?;
        let keys = keys_of(&Value::Object(self.document(address).await?));
        let issuer_now = Issuer { metadata, keys, fetched: now };
        let mut all = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(issuer.to_owned(), issuer_now.clone());
        Ok(issuer_now)
    }

    /// Notes the keys of an issuer that need not be asked.
    pub fn put(&self, issuer: &str, set: &Value) {
        let known = Issuer { metadata: Claims::new(), keys: keys_of(set), fetched: self.now() };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(issuer.to_owned(), known);
    }

    /// Verifies that `issuer` signed a token and that it holds now: what it says. Whom it is for is the caller's to check.
    ///
    /// # Errors
    /// Why it cannot be trusted.
    pub async fn verify(&self, issuer: &str, token: &str) -> Result<Claims, String> {
        if token.len() > LONGEST {
            return Err("it is too long".to_owned());
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| "it is no signed JWT".to_owned())?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(format!("its algorithm {:?} is not one of a key pair", header.alg));
        }
        let choose = |keys: &[Jwk]| {
            let suitable =
                |key: &&Jwk| suits(key, header.alg) && (header.kid.is_none() || key.common.key_id == header.kid);
            let mut found = keys.iter().filter(suitable);
            // Without a name there must be no choice.
            found.next().cloned().filter(|_| header.kid.is_some() || found.next().is_none())
        };
        let mut key = choose(&self.get(issuer, KEPT).await?.keys);
        if key.is_none() {
            key = choose(&self.get(issuer, PAUSE).await?.keys);
        }
        let key = key.ok_or_else(|| "its key is none of the issuer's".to_owned())?;
        let key = DecodingKey::from_jwk(&key).map_err(|error| format!("the issuer's key is not good: {error}"))?;
        let mut validation = Validation::new(header.alg);
        validation.required_spec_claims.clear();
        // Compared with the World's clock below.
        validation.validate_exp = false;
        validation.validate_aud = false;
        let claims =
            jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|error| error.to_string())?.claims;
        if claims.get("iss").and_then(Value::as_str) != Some(issuer) {
            return Err("its issuer is another".to_owned());
        }
        let now = self.now() / 1_000_000;
        let time = |name: &str| match claims.get(name) {
            None => Ok(None),
            #[allow(clippy::cast_possible_truncation)] // a cast of a float saturates
            Some(value) => {
                value.as_f64().map(|seconds| Some(seconds as i64)).ok_or_else(|| format!("its `{name}` is no time"))
            }
        };
        let expires = time("exp")?.ok_or_else(|| "it has no `exp`".to_owned())?;
        if expires.saturating_add(LEEWAY) < now {
            return Err("it has expired".to_owned());
        }
        for name in ["nbf", "iat"] {
            if time(name)?.is_some_and(|at| at.saturating_sub(LEEWAY) > now) {
                return Err(format!("its `{name}` is in the future"));
            }
        }
        Ok(claims)
    }

    /// The identity token that an issuer gives for a code; `form` is what its token endpoint is asked.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn redeem(&self, issuer: &str, form: &[(&str, &str)]) -> Result<String, String> {
        let metadata = self.get(issuer, KEPT).await?.metadata;
        let endpoint = text(&metadata, "token_endpoint").ok_or("the provider names no `token_endpoint`")?;
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.link.client().post(endpoint).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let ask = async {
            let answer = self.link.send(request).await.map_err(|error| error.to_string())?;
            body(answer).await
        };
        let bytes =
            tokio::time::timeout(PATIENCE, ask).await.map_err(|_| "the provider takes too long".to_owned())??;
        let answer: Claims = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
        text(&answer, "id_token").map(str::to_owned).ok_or_else(|| "the provider gave no identity token".to_owned())
    }

    /// A JSON object from another server.
    async fn document(&self, address: &str) -> Result<Claims, String> {
        let url = Url::parse(address).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let url = url.ok_or_else(|| format!("{address:.200} is no http or https URL"))?;
        let failed = |why: String| format!("{url} cannot be read: {why}");
        let read = async {
            let response =
                self.link.get(&url, http::HeaderMap::new()).await.map_err(|error| failed(error.to_string()))?;
            body(response).await.map_err(&failed)
        };
        let bytes =
            tokio::time::timeout(PATIENCE, read).await.map_err(|_| failed("it takes too long".to_owned()))??;
        serde_json::from_slice(&bytes).map_err(|error| failed(format!("it is no JSON object: {error}")))
    }
}

/// The keys of a set. One of a kind that is not known here is no reason to do without the others.
fn keys_of(set: &Value) -> Vec<Jwk> {
    let keys = set.get("keys").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    keys.iter().take(MOST_KEYS).filter_map(|key| serde_json::from_value(key.clone()).ok()).collect()
}

/// The body of a good answer, as far as it is not too long.
///
/// # Errors
/// Why there is none.
async fn body(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let status = response.status();
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| error.to_string())? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > LARGEST {
            return Err(format!("it is longer than {LARGEST} bytes"));
        }
    }
    match status.is_success() {
        true => Ok(bytes),
        false => Err(format!("it answered {status}")),
    }
}

/// The issuer that a token claims to be of. Nothing of it is verified.
#[must_use]
pub fn claimed_issuer(token: &str) -> Option<String> {
    if token.len() > LONGEST {
        return None;
    }
    let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).ok()?;
    Some(claims.get("iss")?.as_str()?.to_owned())
}

/// Whether a key can have made a signature of `algorithm`.
fn suits(key: &Jwk, algorithm: Algorithm) -> bool {
    let same = matches!(
        (&key.algorithm, algorithm.family()),
        (AlgorithmParameters::RSA(_), AlgorithmFamily::Rsa)
            | (AlgorithmParameters::EllipticCurve(_), AlgorithmFamily::Ec)
            | (AlgorithmParameters::OctetKeyPair(_), AlgorithmFamily::Ed)
    );
    let named = key.common.key_algorithm.is_none_or(|named| named == algorithm.into());
    let signs = key.common.public_key_use.as_ref().is_none_or(|use_| *use_ == PublicKeyUse::Signature);
    same && named && signs
}

/// A claim that is a text, and one that a database can keep.
#[must_use]
pub fn text<'a>(claims: &'a Claims, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty() && !text.contains('\0'))
}

/// Whether a verified token is for `client`, and of the sign-in with this `nonce`.
///
/// # Errors
/// Why not.
pub fn of_sign_in(claims: &Claims, client: &str, nonce: &str) -> Result<(), &'static str> {
    if !is_for(claims, client) {
        return Err("the identity token is for another client");
    }
    if claims.get("azp").is_some_and(|party| party.as_str() != Some(client)) {
        return Err("the identity token was made for another client");
    }
    if text(claims, "nonce") != Some(nonce) {
        return Err("the identity token is of another sign-in");
    }
    Ok(())
}

/// Whether a token is for `audience`.
#[must_use]
pub fn is_for(claims: &Claims, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(all)) => all.iter().any(|one| one.as_str() == Some(audience)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn audiences_are_one_or_several() {
        let claims = |aud: Value| json!({"aud": aud}).as_object().unwrap().clone();
        assert!(is_for(&claims(json!("a")), "a") && is_for(&claims(json!(["b", "a"])), "a"));
        assert!(!is_for(&claims(json!("ab")), "a") && !is_for(&claims(json!([])), "a"));
        assert!(!is_for(&claims(json!({"a": 1})), "a") && !is_for(&Claims::new(), ""));
    }

    #[test]
    fn a_token_is_of_its_own_sign_in() {
        let check = |claims: Value| of_sign_in(claims.as_object().unwrap(), "pm", "n");
        assert_eq!(check(json!({"aud": ["pm", "x"], "azp": "pm", "nonce": "n"})), Ok(()));
        for wrong in [
            json!({"aud": "x", "nonce": "n"}),
            json!({"aud": ["pm", "x"], "azp": "x", "nonce": "n"}),
            json!({"aud": "pm", "nonce": "m"}),
            json!({"aud": "pm"}),
        ] {
            assert!(check(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_key_suits_its_own_algorithms_only() {
        let key = |value: Value| serde_json::from_value::<Jwk>(value).unwrap();
        let rsa = key(json!({"kty": "RSA", "n": "AQAB", "e": "AQAB"}));
        assert!(suits(&rsa, Algorithm::RS256) && suits(&rsa, Algorithm::PS512) && !suits(&rsa, Algorithm::ES256));
        let named = key(json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS512"}));
        assert!(suits(&named, Algorithm::RS512) && !suits(&named, Algorithm::RS256));
        let encrypts = key(json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "enc"}));
        assert!(!suits(&encrypts, Algorithm::RS256));
        let secret = key(json!({"kty": "oct", "k": "AQAB"}));
        assert!(!suits(&secret, Algorithm::HS256) && !suits(&secret, Algorithm::RS256));
    }

    proptest! {
        #[test]
        fn any_token_is_read_or_not(token in "[A-Za-z0-9._-]{0,80}", claims in ".{0,40}") {
            use base64::Engine as _;
            let encode = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
            let made = format!("{}.{}.x", encode("{\"alg\":\"RS256\"}"), encode(&claims));
            let _ = (claimed_issuer(&token), claimed_issuer(&made));
        }
    }
}
