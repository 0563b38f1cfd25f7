//! Identity tokens of other servers, and what they are good for here.
//!
//! With `OpenIDConnect` people sign in to the web interface at an identity provider; with `IdentityFederation` a program exchanges the
//! identity token that it has already, such as a job of a build service, for a token of this server. Either way a verified token's
//! groups and roles become scopes:
//!
//! | setting | what it grants |
//! |---|---|
//! | `Scope` | to everybody whose token is good |
//! | `GroupsClaim`, `[GroupToScopeMapping "group"]` | to the groups that the token names |
//! | `RoleClaim` | the scopes that the token itself names |
//!
//! A scope is written `global:admin`, or with what it is about: `repos:read:prod,test`, `repos:read:*`. The names of the settings, and
//! how scopes are written, are known from the product's documentation and from what deploys it. That a section of
//! `GroupToScopeMapping` is named as its group, and that roles are scopes, is our reading: the product wants one of the three settings
//! above and nothing more. A token must be of the named issuer, for the named audience, and of the subject and party if they are named.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use sim_kit::identity::{Claims, is_for, text};

use crate::app::{App, View};
use crate::auth::{Grants, SCOPES, Which};

/// Characters of a user's name at most.
const LONGEST: usize = 128;
/// Groups, and roles, of a token that are looked at.
const MOST: usize = 200;

/// What is said about other servers' identities.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where people sign in (`OpenIDConnect`).
    pub provider: Option<Provider>,
    /// Whose tokens are exchanged (`IdentityFederation`).
    pub federation: Vec<Trust>,
    /// What is granted to groups (`GroupToScopeMapping`).
    pub groups: BTreeMap<String, Vec<Access>>,
    /// The web interface is for those who have signed in (`Authentication.RequireAuthForUI`, `OpenIDConnect.RequireLogin`).
    pub require_login: bool,
    /// How long somebody stays signed in who has come by the provider (`Authentication.Lifetime`).
    pub session: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            provider: None,
            federation: Vec::new(),
            groups: BTreeMap::new(),
            require_login: false,
            session: Duration::from_hours(24),
        }
    }
}

impl Settings {
    /// The provider's tokens are exchanged too: in the real product it is where devices of people get theirs.
    fn trusted(&self) -> impl Iterator<Item = &Trust> {
        self.provider.iter().map(|provider| &provider.trust).chain(&self.federation)
    }
}

/// An identity provider that people sign in with.
#[derive(Debug, Clone)]
pub struct Provider {
    /// What its tokens are good for; their audience is the client.
    pub trust: Trust,
    /// As what this server is known to it.
    pub client_id: String,
    /// What proves that.
    pub client_secret: String,
    /// Asked for beside `openid`, `profile` and `email`.
    pub custom_scope: Vec<String>,
    /// `groups` is not asked for.
    pub no_groups_scope: bool,
    /// How long ago people may have signed in there.
    pub max_age: Option<Duration>,
    /// Without PKCE.
    pub no_pkce: bool,
}

/// Which tokens of an issuer are good, and for what.
#[derive(Debug, Clone)]
pub struct Trust {
    /// For the log and for descriptions of tokens.
    pub name: String,
    /// As tokens name it.
    pub issuer: String,
    /// For whom tokens must be; none: for the address of this server in its settings.
    pub audience: Option<String>,
    /// Of whom tokens must be.
    pub subject: Option<String>,
    /// The party that they must have been made for.
    pub authorized_party: Option<String>,
    /// What every good token is granted.
    pub scope: Vec<Access>,
    /// The claim with the groups.
    pub groups_claim: String,
    /// What stands between groups that are one text.
    pub groups_separator: Option<String>,
    /// The claim with scopes.
    pub role_claim: Option<String>,
    /// What stands between scopes that are one text.
    pub roles_separator: Option<String>,
    /// The claim that tells people apart.
    pub unique_id_claim: String,
    /// The claim with the name that is shown.
    pub username_claim: String,
    /// How long the token lives that is given for one.
    pub lifetime: Duration,
    /// Tell in the log what becomes of tokens.
    pub logging: bool,
}

impl Trust {
    /// With everything that need not be said.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            issuer: String::new(),
            audience: None,
            subject: None,
            authorized_party: None,
            scope: Vec::new(),
            groups_claim: "groups".to_owned(),
            groups_separator: None,
            role_claim: None,
            roles_separator: None,
            unique_id_claim: "sub".to_owned(),
            username_claim: "preferred_username".to_owned(),
            lifetime: Duration::from_hours(8),
            logging: false,
        }
    }

    /// Whether a verified token of the issuer is meant. `own` is this server's address as it is set: what a request says about that
    /// is not to be trusted, for it could name whom the token is really for.
    fn admits(&self, claims: &Claims, own: Option<&str>) -> Result<(), String> {
        let good = match (&self.audience, own.map(|own| own.trim_end_matches('/'))) {
            (Some(audience), _) => is_for(claims, audience),
            (None, Some(own)) => is_for(claims, own) || is_for(claims, &format!("{own}/")),
            (None, None) => {
                let text = "this server does not know for whom it must be: set Server.Address, or Audience of";
                return Err(format!("{text} IdentityFederation {:?}", self.name));
            }
        };
        if !good {
            return Err("it is for another audience".to_owned());
        }
        for (wanted, claim) in [(&self.subject, "sub"), (&self.authorized_party, "azp")] {
            if wanted.is_some() && text(claims, claim) != wanted.as_deref() {
                return Err(format!("its `{claim}` is another"));
            }
        }
        Ok(())
    }

    /// What a verified token is granted.
    fn granted(&self, claims: &Claims, groups: &BTreeMap<String, Vec<Access>>) -> Vec<Access> {
        let mut all = self.scope.clone();
        for group in listed(claims, &self.groups_claim, self.groups_separator.as_deref()) {
            all.extend(groups.get(group).into_iter().flatten().cloned());
        }
        for role in self.role_claim.iter().flat_map(|claim| listed(claims, claim, self.roles_separator.as_deref())) {
            match Access::list(role) {
                Ok(scopes) => all.extend(scopes),
                Err(why) => tracing::debug!(role, why, "a role is no scope"),
            }
        }
        all
    }
}

/// The texts of a claim that is a list, or one text with separators.
fn listed<'a>(claims: &'a Claims, claim: &str, separator: Option<&str>) -> Vec<&'a str> {
    let found: Vec<&str> = match (claims.get(claim), separator) {
        (Some(Value::Array(all)), _) => all.iter().filter_map(Value::as_str).collect(),
        (Some(Value::String(one)), Some(separator)) => one.split(separator).map(str::trim).collect(),
        (Some(Value::String(one)), None) => vec![one],
        _ => Vec::new(),
    };
    found.into_iter().filter(|text| !text.is_empty()).take(MOST).collect()
}

/// A scope, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    scope: &'static str,
    /// Of repositories or sources; `*` is all.
    names: Vec<String>,
}

impl Access {
    /// Reads scopes with spaces or commas between them, as `global:admin repos:read:prod,test`.
    ///
    /// # Errors
    /// What is wrong, as the way to say it right.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let mut all: Vec<Self> = Vec::new();
        for part in text.split([',', ' ', '\t']).filter(|part| !part.is_empty()) {
            // A name alone goes on with what was said before; names of repositories and sources have no colon.
            if !part.contains(':') && all.last().is_some_and(|last| !last.names.is_empty()) {
                all.last_mut().into_iter().for_each(|last| last.names.push(part.to_owned()));
                continue;
            }
            let known = SCOPES
                .iter()
                .find(|scope| part.strip_prefix(**scope).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')));
            let scope = *known.ok_or_else(|| format!("scopes such as {}", SCOPES.join(", ")))?;
            let name = part[scope.len()..].trim_start_matches(':');
            let about = scope.starts_with("repos:") || scope.starts_with("sources:");
            match (about, name) {
                (true, "") => return Err(format!("{scope} with what it is about, such as {scope}:*")),
                (false, name) if !name.is_empty() => return Err(format!("{scope} alone")),
                // What is written to and what is edited are noted as one.
                (true, name) if scope == "sources:admin" && name != "*" => {
                    return Err("sources:admin for all, as sources:admin:*".to_owned());
                }
                _ => all.push(Self { scope, names: Some(name.to_owned()).filter(|_| about).into_iter().collect() }),
            }
        }
        if all.is_empty() { Err("at least one scope".to_owned()) } else { Ok(all) }
    }
}

/// What scopes allow together; none if that is nothing. Names that nothing has are left out.
fn grants(view: &View, all: &[Access]) -> Option<Grants> {
    let which = |prefix: &str, find: &dyn Fn(&str) -> Option<i64>| {
        let names: Vec<&str> = all
            .iter()
            .filter(|one| one.scope.starts_with(prefix))
            .flat_map(|one| &one.names)
            .map(String::as_str)
            .collect();
        match names.contains(&"*") {
            true => Which::All,
            false => Which::Only(names.into_iter().filter_map(find).collect()),
        }
    };
    let repos = which("repos:", &|name| view.repos.get(name).map(|repo| repo.id));
    let sources = which("sources:", &|name| view.source_named(name).ok().map(|source| source.id));
    let is_void = |which: &Which| *which == Which::Only(Vec::new());
    let mut scopes: Vec<String> = Vec::new();
    for one in all {
        let void = one.scope.starts_with("repos:") && is_void(&repos)
            || one.scope.starts_with("sources:") && is_void(&sources);
        if !void && !scopes.iter().any(|have| have == one.scope) {
            scopes.push(one.scope.to_owned());
        }
    }
    (!scopes.is_empty()).then_some(Grants { scopes, repos, sources })
}

/// Whom a token stands for, and what that one may do.
#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) username: String,
    /// Who says so.
    pub(crate) description: String,
    pub(crate) grants: Grants,
    /// How long a token of this server lives that is given for it.
    pub(crate) lifetime: Duration,
}

impl App {
    /// Whether tokens of this issuer are exchanged.
    pub(crate) fn trusts(&self, issuer: &str) -> bool {
        self.0.config.identity.trusted().any(|trust| trust.issuer == issuer)
    }

    /// Whom a token of `issuer` stands for.
    ///
    /// # Errors
    /// Why it is not exchanged.
    pub(crate) async fn exchanged(&self, issuer: &str, token: &str) -> Result<Person, String> {
        let claims = self.0.issuers.verify(issuer, token).await?;
        let mut why = String::new();
        for trust in self.0.config.identity.trusted().filter(|trust| trust.issuer == issuer) {
            match trust.admits(&claims, self.0.config.address.as_deref()).and_then(|()| self.person(trust, &claims)) {
                Ok(person) => return Ok(person),
                Err(problem) => why = problem,
            }
        }
        Err(why)
    }

    /// Whom verified claims stand for.
    ///
    /// # Errors
    /// Why for nobody.
    pub(crate) fn person(&self, trust: &Trust, claims: &Claims) -> Result<Person, String> {
        let short = |name: &&str| name.chars().count() <= LONGEST && !name.chars().any(char::is_control);
        let id = text(claims, &trust.unique_id_claim).filter(short);
        let id = id.ok_or_else(|| format!("its `{}` names nobody", trust.unique_id_claim))?;
        let granted = trust.granted(claims, &self.0.config.identity.groups);
        let grants = grants(&self.view(), &granted);
        if trust.logging {
            let claims = claims.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            tracing::info!(name = trust.name, id, claims, ?grants, "an identity token");
        }
        Ok(Person {
            username: text(claims, &trust.username_claim).filter(short).unwrap_or(id).to_owned(),
            description: format!("{}: {id}", trust.name),
            grants: grants.ok_or_else(|| "nothing is granted to whom it is of".to_owned())?,
            lifetime: trust.lifetime,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: &Value) -> Claims {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn scopes_as_they_are_written() {
        let read = |text: &str| -> Vec<(&str, Vec<String>)> {
            Access::list(text).unwrap().into_iter().map(|one| (one.scope, one.names)).collect()
        };
        let names = |all: &[&str]| all.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        assert_eq!(read("global:admin"), [("global:admin", names(&[]))]);
        assert_eq!(
            read("repos:read:prod,test, sources:write:team blocklist:admin"),
            [
                ("repos:read", names(&["prod", "test"])),
                ("sources:write", names(&["team"])),
                ("blocklist:admin", names(&[]))
            ]
        );
        for bad in [
            "",
            "repos:read",
            "repos:read:",
            "global:admin:x",
            "global",
            "love",
            "global:admin x",
            "sources:admin:a",
            "global:admins",
        ] {
            assert!(Access::list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn claims_that_are_lists_or_texts() {
        let claims = claims(&json!({"list": ["a", 1, "", "b"], "text": "a; b", "one": "a b", "number": 1}));
        assert_eq!(listed(&claims, "list", None), ["a", "b"]);
        assert_eq!(listed(&claims, "text", Some(";")), ["a", "b"]);
        assert_eq!(listed(&claims, "one", None), ["a b"]);
        assert!(listed(&claims, "number", None).is_empty() && listed(&claims, "none", None).is_empty());
    }

    #[test]
    fn who_is_meant() {
        let own = Some("https://pm.example/rspm");
        let mut trust = Trust::new("ci");
        let token = |aud: &str| claims(&json!({"aud": aud, "sub": "s", "azp": "p"}));
        assert!(trust.admits(&token("https://pm.example/rspm"), own).is_ok());
        assert!(trust.admits(&token("https://pm.example/rspm/"), own).is_ok());
        assert!(trust.admits(&token("https://pm.example"), own).is_err(), "of another server");
        let unknown = trust.admits(&token("https://pm.example/rspm"), None).unwrap_err();
        assert!(unknown.contains("set Server.Address, or Audience of IdentityFederation \"ci\""), "{unknown}");
        trust.audience = Some("pm".to_owned());
        assert!(trust.admits(&token("pm"), None).is_ok());
        assert!(trust.admits(&token("pm"), own).is_ok() && trust.admits(&token("pm2"), own).is_err());
        trust.subject = Some("s".to_owned());
        trust.authorized_party = Some("p".to_owned());
        assert!(trust.admits(&token("pm"), own).is_ok());
        trust.subject = Some("t".to_owned());
        assert!(trust.admits(&token("pm"), own).is_err());
        (trust.subject, trust.authorized_party) = (None, Some("q".to_owned()));
        assert!(trust.admits(&token("pm"), own).is_err());
        assert!(trust.admits(&claims(&json!({"aud": "pm"})), own).is_err(), "without a party");
    }

    #[test]
    fn everybody_and_groups_and_roles() {
        let access = |text: &str| Access::list(text).unwrap();
        let groups = BTreeMap::from([("ops".to_owned(), access("global:admin"))]);
        let mut trust = Trust { scope: access("repos:read:*"), ..Trust::new("ci") };
        let token = claims(&json!({"groups": ["ops", "none"], "roles": "metadata:admin|love"}));
        assert_eq!(trust.granted(&token, &groups), access("repos:read:*,global:admin"));
        trust.role_claim = Some("roles".to_owned());
        assert_eq!(trust.granted(&token, &groups).len(), 2, "it is no scope as a whole");
        trust.roles_separator = Some("|".to_owned());
        assert_eq!(trust.granted(&token, &groups), access("repos:read:* global:admin metadata:admin"));
        trust.groups_claim = "teams".to_owned();
        assert_eq!(trust.granted(&token, &groups), access("repos:read:* metadata:admin"));
    }
}
