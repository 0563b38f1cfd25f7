//! Tokens, and who may do what with them.
//!
//! A token is a JWT (HS256) with the claims of the real product's: `aud`, `iss`, `iat`, `exp` (absent when it never ends), `jti` and
//! `scopes`. What counts is what the server has noted under its `jti`, so a revoked token is of no use from that moment on. Clients
//! send it as the password of the user `__token__`, or as a bearer. Every fresh world has one more token, [`admin_token`].
//!
//! R keeps an index under a name made of its whole address, and a signed token in there makes it longer than a file's name can be.
//! So R gets a token from a netrc file (download method `curl` with `-n`); only the seeded one is short enough for an address.
//!
//! | scope | allows |
//! |---|---|
//! | `repos:read` | to read the repos it names, where they are authenticated |
//! | `sources:write` | to add, remove and archive packages in the sources it names |
//! | `sources:admin` | that, and to edit or delete them; for all sources also to create some |
//! | `blocklist:read` | to see blocklist rules, which all may here |
//! | `blocklist:admin` | to write blocklist rules |
//! | `metadata:admin` | to write custom metadata |
//! | `global:admin` | everything |
//!
//! A repo that is authenticated asks for a token on every path below it, before it says whether there is anything. Everything else
//! is open to all, as in the real product; but a token that is not valid is refused by `/` and the API even there, because clients
//! test a stored token by asking for `/`. What the real product does about a bad token on the paths of an open repo is not known;
//! here it is ignored.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Uri};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use sim_kit::World;
use sim_kit::routing::Principal;

use crate::app::{App, View};
use crate::error::{ApiError, Error};
use crate::store::repos::Repo;
use crate::store::sources::Source;
use crate::store::tokens::{self, Token};

/// The token with the scope `global:admin` that every fresh world of this seed has.
#[must_use]
pub fn admin_token(seed: u64) -> String {
    sim_kit::ids::derived(seed, "packagemanager-token", 32)
}

/// The id under which [`admin_token`] is noted.
const SEEDED: &str = "seeded-admin";
const AUDIENCE: &str = "packagemanager";

/// Scopes that `rspm create token --scope` knows.
pub(crate) const SCOPES: [&str; 7] = [
    "repos:read",
    "sources:write",
    "sources:admin",
    "blocklist:read",
    "blocklist:admin",
    "metadata:admin",
    "global:admin",
];

/// Which repos or sources a scope is about, by number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Which {
    /// All, also those to come.
    All,
    /// These.
    Only(Vec<i64>),
}

impl Which {
    fn has(&self, id: i64) -> bool {
        match self {
            Self::All => true,
            Self::Only(ids) => ids.contains(&id),
        }
    }
}

/// What a token allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grants {
    /// Of [`SCOPES`].
    pub(crate) scopes: Vec<String>,
    /// What `repos:read` is about.
    pub(crate) repos: Which,
    /// What `sources:write` and `sources:admin` are about.
    pub(crate) sources: Which,
}

impl Grants {
    pub(crate) fn everything() -> Self {
        Self { scopes: vec!["global:admin".to_owned()], repos: Which::All, sources: Which::All }
    }

    fn has(&self, scope: &str) -> bool {
        self.scopes.iter().any(|have| have == scope || have == "global:admin")
    }

    fn reads(&self, repo: &Repo) -> bool {
        self.has("global:admin") || self.has("repos:read") && self.repos.has(repo.id)
    }

    fn writes(&self, source: &Source) -> bool {
        self.has("global:admin")
            || (self.has("sources:write") || self.has("sources:admin")) && self.sources.has(source.id)
    }
}

/// A token as it is kept in memory.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) token: Token,
    pub(crate) grants: Grants,
}

/// Who asks: nobody in particular, or the holder of a token.
#[derive(Debug, Clone)]
pub struct Caller(Option<Known>);

impl Caller {
    /// Somebody without a token.
    pub(crate) fn nobody() -> Self {
        Self(None)
    }

    /// Whom the token names, else the token's id.
    pub(crate) fn name(&self) -> Option<String> {
        let token = &self.0.as_ref()?.token;
        Some(if token.username.is_empty() { token.id.clone() } else { token.username.clone() })
    }

    /// The token's id.
    pub(crate) fn id(&self) -> Option<String> {
        Some(self.0.as_ref()?.token.id.clone())
    }

    /// What the token allows.
    pub(crate) fn scopes(&self) -> &[String] {
        self.0.as_ref().map_or(&[], |known| &known.grants.scopes)
    }

    fn needs(&self, what: &str, allowed: impl Fn(&Grants) -> bool) -> Result<(), Error> {
        match &self.0 {
            None => Err(Error::Unauthorized(format!(
                "{what} needs a token: send it as the password of the user __token__, or as a bearer"
            ))),
            Some(known) if allowed(&known.grants) => Ok(()),
            Some(_) => Err(Error::Forbidden(format!("this token does not allow it: {what} needs another scope"))),
        }
    }

    /// Before it is said whether what is asked for exists.
    pub(crate) fn needs_token(&self, what: &str) -> Result<(), Error> {
        self.needs(what, |_| true)
    }

    pub(crate) fn may(&self, scope: &str) -> Result<(), Error> {
        self.needs(&format!("this ({scope})"), |grants| grants.has(scope))
    }

    pub(crate) fn may_administrate(&self) -> Result<(), Error> {
        self.may("global:admin")
    }

    pub(crate) fn may_create_sources(&self) -> Result<(), Error> {
        self.needs("creating a source (sources:admin for all sources)", |grants| {
            grants.has("global:admin") || grants.has("sources:admin") && grants.sources == Which::All
        })
    }

    pub(crate) fn may_edit(&self, source: &Source) -> Result<(), Error> {
        self.needs(&format!("editing source {} (sources:admin)", source.name), |grants| {
            grants.has("sources:admin") && grants.writes(source)
        })
    }

    pub(crate) fn may_write(&self, source: &Source) -> Result<(), Error> {
        self.needs(&format!("writing to source {} (sources:write)", source.name), |grants| grants.writes(source))
    }

    pub(crate) fn may_read(&self, repo: &Repo) -> Result<(), Error> {
        if !repo.authenticated {
            return Ok(());
        }
        self.needs(&format!("reading repository {} (repos:read)", repo.name), |grants| grants.reads(repo))
    }

    /// What a source holds may be known to all, unless it is only shown by authenticated repos.
    pub(crate) fn may_look_into(&self, view: &View, source: &Source) -> Result<(), Error> {
        let shows = |repo: &&Repo| repo.subscriptions.last().is_some_and(|now| now.sources.contains(&source.id));
        let shown_by: Vec<&Repo> = view.repos.values().map(|repo| &**repo).filter(shows).collect();
        if shown_by.is_empty() || shown_by.iter().any(|repo| !repo.authenticated) {
            return Ok(());
        }
        self.needs(&format!("reading source {} (repos:read)", source.name), |grants| {
            grants.writes(source) || shown_by.iter().any(|repo| grants.reads(repo))
        })
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Ok(app.caller(&parts.headers)?)
    }
}

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    iat: i64,
    iss: String,
    jti: String,
    scopes: serde_json::Value,
}

impl App {
    /// Who sends a request with `headers`.
    ///
    /// # Errors
    /// Unauthorized: there are credentials, and they are not valid.
    pub(crate) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Error> {
        let Some(header) = headers.get(AUTHORIZATION) else { return Ok(Caller(None)) };
        let bad = |why: &str| Error::Unauthorized(format!("the credentials are not valid: {why}"));
        let text = header.to_str().map_err(|_| bad("the Authorization header is not text"))?;
        let (scheme, value) = text.split_once(' ').ok_or_else(|| bad("expected Basic or Bearer"))?;
        let token = if scheme.eq_ignore_ascii_case("bearer") {
            value.trim().to_owned()
        } else if scheme.eq_ignore_ascii_case("basic") {
            let decoded = STANDARD.decode(value.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
            let decoded = decoded.ok_or_else(|| bad("Basic is not base64 of user:password"))?;
            match decoded.split_once(':') {
                Some(("__token__", password)) => password.to_owned(),
                _ => return Err(bad("the user must be __token__ and the password a token")),
            }
        } else {
            return Err(bad("expected Basic or Bearer"));
        };
        self.holder(&token)
    }

    /// The holder of a token.
    ///
    /// # Errors
    /// Unauthorized: it is not valid.
    pub(crate) fn holder(&self, token: &str) -> Result<Caller, Error> {
        let bad = |why: &str| Error::Unauthorized(format!("the credentials are not valid: {why}"));
        let view = self.view();
        let id = if same(token, &admin_token(self.world().ids().seed())) {
            SEEDED.to_owned()
        } else {
            let mut validation = Validation::new(Algorithm::HS256);
            validation.set_audience(&[AUDIENCE]);
            validation.set_required_spec_claims(&["aud"]);
            // What counts is the end that is noted, and the World's clock.
            validation.validate_exp = false;
            let key = DecodingKey::from_secret(view.token_key.as_bytes());
            let decoded = jsonwebtoken::decode::<Claims>(token, &key, &validation);
            decoded.map_err(|_| bad("the token is not one of this server"))?.claims.jti
        };
        let known = view.tokens.get(&id).ok_or_else(|| bad("the token was revoked"))?;
        if known.token.expires_at.is_some_and(|at| at <= self.world().clock().now_micros()) {
            return Err(bad("the token has expired"));
        }
        Ok(Caller(Some(known.clone())))
    }

    /// The text of a token. It is shown once, to whom asked for it.
    pub(crate) fn signed(&self, token: &Token, issuer: &str) -> Result<String, Error> {
        let claims = Claims {
            aud: AUDIENCE.to_owned(),
            exp: token.expires_at.map(|at| at / 1_000_000),
            iat: token.created_at / 1_000_000,
            iss: format!("{}/", issuer.trim_end_matches('/')),
            jti: token.id.clone(),
            scopes: serde_json::from_str(&token.scopes)?,
        };
        let key = EncodingKey::from_secret(self.view().token_key.as_bytes());
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
            .map_err(|error| Error::Internal(format!("cannot sign a token: {error}")))
    }

    /// Lets a request through, or answers it because its sender may not see what it asks for.
    pub(crate) async fn guard(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Response> {
        let path = uri.path();
        let mut segments = path.split('/').skip(1).map(decoded);
        let first = segments.next().unwrap_or_default();
        let is_api = path.starts_with("/__api__/");
        let answer = |error: Error| if is_api { ApiError(error).into_response() } else { error.into_response() };
        if !is_api && !first.is_empty() && first != "client" {
            self.look_again().await.map_err(answer)?;
            let Some(repo) = self.view().repos.get(&first).filter(|repo| repo.authenticated).cloned() else {
                return Ok(());
            };
            return self.caller(headers).and_then(|caller| caller.may_read(&repo)).map_err(answer);
        }
        self.look_again().await.map_err(answer)?;
        let caller = self.caller(headers).map_err(answer)?;
        let view = self.view();
        let (collection, name, below) = (segments.next(), segments.next(), segments.next());
        // What there is is no secret, what is in it is.
        let asked = name.filter(|_| below.is_some_and(|below| below != "sources"));
        let allowed = match (collection.as_deref(), asked) {
            (Some("repos"), Some(name)) => view.repo(&name).map_or(Ok(()), |repo| caller.may_read(&repo)),
            (Some("sources"), Some(name)) => {
                view.source_named(&name).map_or(Ok(()), |source| caller.may_look_into(&view, source))
            }
            _ => Ok(()),
        };
        allowed.map_err(answer)
    }

    /// Who asked, for the journal.
    pub(crate) fn principal(&self, headers: &HeaderMap) -> Option<Principal> {
        self.caller(headers).ok()?.name().map(Principal)
    }
}

/// Notes the seeded token, and gives the key that tokens are signed with. Once revoked, the seeded token stays so.
pub(crate) async fn seed(world: &World) -> Result<String, Error> {
    let mut tx = world.db().write().await?;
    let fresh = world.ids().secret(32);
    let key = tokens::secret(&mut tx, "token-key", &fresh).await?;
    let token = Token {
        id: SEEDED.to_owned(),
        username: "admin".to_owned(),
        description: "Made with this world".to_owned(),
        scopes: serde_json::to_string(&Grants::everything())?,
        created_at: world.clock().now_micros(),
        expires_at: None,
    };
    tokens::insert(&mut tx, &token).await?;
    tx.commit().await?;
    Ok(key)
}

/// Compared by digests, which takes as long whatever differs.
pub(crate) fn same(a: &str, b: &str) -> bool {
    Sha256::digest(a.as_bytes()) == Sha256::digest(b.as_bytes())
}

/// A segment of a path as handlers see it.
fn decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = segment.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_read_as_the_router_reads_them() {
        assert_eq!(decoded("%73ecret"), "secret");
        assert_eq!(decoded("a%2Fb%"), "a/b%");
        assert_eq!(decoded("%zz%4"), "%zz%4");
        assert_eq!(decoded("é%é"), "é%é");
    }

    #[test]
    fn scopes() {
        let grants = |scope: &str, repos, sources| Grants { scopes: vec![scope.to_owned()], repos, sources };
        assert!(Grants::everything().has("blocklist:admin"));
        assert!(!grants("repos:read", Which::All, Which::All).has("global:admin"));
        assert!(Which::Only(vec![1]).has(1) && !Which::Only(vec![1]).has(2) && Which::All.has(9));
    }
}
