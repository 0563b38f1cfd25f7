//! Settings of other servers' identities ([`crate::identity`]).

use std::time::Duration;

use sim_kit::gcfg::{Gcfg, GcfgError, Value};
use url::Url;

use super::table::{honoured, nothing};
use super::{Effect, NamedReader, Setting, Settings};
use crate::identity::{Access, Provider, Trust};

/// Sections that are there once for each name.
pub(super) const NAMED: [&str; 2] = [FEDERATION, GROUPS];
const PROVIDER: &str = "OpenIDConnect";
const FEDERATION: &str = "IdentityFederation";
const GROUPS: &str = "GroupToScopeMapping";

const ISSUER: &str =
    "who signs the tokens, as they name it; its keys are where its `/.well-known/openid-configuration` says";
const SCOPE: &str = "what every good token grants, such as `repos:read:*` or `repos:read:prod,test blocklist:admin`";
const GROUPS_CLAIM: &str = "the claim with the groups of `GroupToScopeMapping`";
const ROLE_CLAIM: &str = "a claim with scopes that the token itself grants";
const SEPARATOR: &str = "what stands between them where the claim is one text";
const UNIQUE_ID: &str = "the claim that tells people apart";
const USERNAME: &str = "the claim with the name that is shown; without it the one that tells people apart is";
const LIFETIME: &str = "how long a token of this server lives that is given for one of theirs";
const LOGGING: &str = "whether the log tells what becomes of their tokens";

/// Everything that is known.
#[rustfmt::skip] // a row a line
pub(super) static SETTINGS: &[Setting] = &[
    honoured(PROVIDER, "Issuer", "", "an identity provider where people sign in to the web interface", |value, to| issuer(value).map(|read| to.provider.trust.issuer = read)),
    honoured(PROVIDER, "ClientId", "", "as what this server is known to it; the callback is `/__login__/callback`", |value, to| set(&mut to.provider.client_id, value)),
    honoured(PROVIDER, "ClientSecret", "", "what proves that, better given as a variable", |value, to| set(&mut to.provider.client_secret, value)),
    honoured(PROVIDER, "ClientSecretFile", "", "the file where that is", |value, to| {
        let text = std::fs::read_to_string(value.text).map_err(|_| value.must_be("a file that can be read"))?;
        text.trim().clone_into(&mut to.provider.client_secret);
        Ok(())
    }),
    honoured(PROVIDER, "RequireLogin", "false", "the same as `Authentication.RequireAuthForUI`", |value, to| {
        value.bool().map(|read| to.config.identity.require_login |= read)
    }),
    honoured(PROVIDER, "Scope", "", SCOPE, |value, to| scope(value).map(|read| to.provider.trust.scope.extend(read))),
    honoured(PROVIDER, "CustomScope", "", "what the provider is asked for beside `openid profile email`", |value, to| {
        to.provider.custom_scope.extend(value.text.split([' ', ',']).filter(|scope| !scope.is_empty()).map(str::to_owned));
        Ok(())
    }),
    honoured(PROVIDER, "NoAutoGroupsScope", "false", "whether it is not asked for `groups`, which it is where there is a `GroupToScopeMapping`", |value, to| {
        value.bool().map(|read| to.provider.no_groups_scope = read)
    }),
    honoured(PROVIDER, "GroupsClaim", "groups", GROUPS_CLAIM, |value, to| set(&mut to.provider.trust.groups_claim, value)),
    honoured(PROVIDER, "GroupsSeparator", "", SEPARATOR, |value, to| some(&mut to.provider.trust.groups_separator, value)),
    honoured(PROVIDER, "RoleClaim", "", ROLE_CLAIM, |value, to| some(&mut to.provider.trust.role_claim, value)),
    honoured(PROVIDER, "RolesSeparator", "", SEPARATOR, |value, to| some(&mut to.provider.trust.roles_separator, value)),
    honoured(PROVIDER, "UniqueIdClaim", "sub", UNIQUE_ID, |value, to| set(&mut to.provider.trust.unique_id_claim, value)),
    honoured(PROVIDER, "UsernameClaim", "preferred_username", USERNAME, |value, to| set(&mut to.provider.trust.username_claim, value)),
    honoured(PROVIDER, "TokenLifetime", "8h", LIFETIME, |value, to| lifetime(value).map(|read| to.provider.trust.lifetime = read)),
    honoured(PROVIDER, "MaxAuthenticationAge", "", "how long ago people may have given the provider their password", |value, to| {
        lifetime(value).map(|read| to.provider.max_age = Some(read))
    }),
    honoured(PROVIDER, "DisablePKCE", "false", "whether codes of the provider are exchanged without PKCE", |value, to| value.bool().map(|read| to.provider.no_pkce = read)),
    honoured(PROVIDER, "Logging", "false", LOGGING, |value, to| value.bool().map(|read| to.provider.trust.logging = read)),
    nothing(PROVIDER, "EnableDevicePKCE", "devices ask this server, always with PKCE, and not the provider"),
    named(FEDERATION, "Issuer", "", ISSUER, |value, name, to| issuer(value).map(|read| trust(to, name).issuer = read)),
    named(FEDERATION, "Audience", "", "for whom tokens must be; without it for `Server.Address`", |value, name, to| some(&mut trust(to, name).audience, value)),
    named(FEDERATION, "Subject", "", "whose tokens are meant (`sub`); without it everybody's", |value, name, to| some(&mut trust(to, name).subject, value)),
    named(FEDERATION, "AuthorizedParty", "", "for which party they must have been made (`azp`)", |value, name, to| some(&mut trust(to, name).authorized_party, value)),
    named(FEDERATION, "Scope", "", SCOPE, |value, name, to| scope(value).map(|read| trust(to, name).scope.extend(read))),
    named(FEDERATION, "GroupsClaim", "groups", GROUPS_CLAIM, |value, name, to| set(&mut trust(to, name).groups_claim, value)),
    named(FEDERATION, "GroupsSeparator", "", SEPARATOR, |value, name, to| some(&mut trust(to, name).groups_separator, value)),
    named(FEDERATION, "RoleClaim", "", ROLE_CLAIM, |value, name, to| some(&mut trust(to, name).role_claim, value)),
    named(FEDERATION, "RolesSeparator", "", SEPARATOR, |value, name, to| some(&mut trust(to, name).roles_separator, value)),
    named(FEDERATION, "UniqueIdClaim", "sub", UNIQUE_ID, |value, name, to| set(&mut trust(to, name).unique_id_claim, value)),
    named(FEDERATION, "UsernameClaim", "preferred_username", USERNAME, |value, name, to| set(&mut trust(to, name).username_claim, value)),
    named(FEDERATION, "TokenLifetime", "8h", LIFETIME, |value, name, to| lifetime(value).map(|read| trust(to, name).lifetime = read)),
    named(FEDERATION, "Logging", "false", LOGGING, |value, name, to| value.bool().map(|read| trust(to, name).logging = read)),
    nothing(FEDERATION, "CustomScope", "tokens come from elsewhere, and nothing is asked for them"),
    nothing(FEDERATION, "NoAutoGroupsScope", "tokens come from elsewhere, and nothing is asked for them"),
    named(GROUPS, "Scope", "", "what the group of the section's name is granted; written as the other scopes", |value, name, to| {
        scope(value).map(|read| to.config.identity.groups.entry(name.to_owned()).or_default().extend(read))
    }),
];

const fn named(
    section: &'static str,
    key: &'static str,
    default: &'static str,
    what: &'static str,
    read: NamedReader,
) -> Setting {
    Setting { section, key, default, what, effect: Effect::Named(read) }
}

/// A provider of which nothing is said.
pub(super) fn provider() -> Provider {
    Provider {
        trust: Trust::new(PROVIDER),
        client_id: String::new(),
        client_secret: String::new(),
        custom_scope: Vec::new(),
        no_groups_scope: false,
        max_age: None,
        no_pkce: false,
    }
}

/// The federation of this name; it is there as soon as something is said of it.
fn trust<'a>(to: &'a mut Settings, name: &str) -> &'a mut Trust {
    let all = &mut to.config.identity.federation;
    let at = all.iter().position(|trust| trust.name == name).unwrap_or_else(|| {
        all.push(Trust::new(name));
        all.len() - 1
    });
    &mut all[at]
}

fn issuer(value: &Value<'_>) -> Result<String, GcfgError> {
    let expected = "a URL such as https://id.example.org";
    let url: Url = value.parse(expected)?;
    match matches!(url.scheme(), "http" | "https") && url.has_host() {
        // Tokens are compared with what is written, not with what it means.
        true => Ok(value.text.to_owned()),
        false => Err(value.must_be(expected)),
    }
}

fn scope(value: &Value<'_>) -> Result<Vec<Access>, GcfgError> {
    Access::list(value.text).map_err(|expected| value.must_be(&expected))
}

/// A length of time that a token can live.
pub(super) fn lifetime(value: &Value<'_>) -> Result<Duration, GcfgError> {
    let read = value.duration()?;
    match (Duration::from_secs(1)..=Duration::from_hours(24 * 365)).contains(&read) {
        true => Ok(read),
        false => Err(value.must_be("from a second to a year")),
    }
}

fn set(to: &mut String, value: &Value<'_>) -> Result<(), GcfgError> {
    value.text.clone_into(to);
    Ok(())
}

fn some(to: &mut Option<String>, value: &Value<'_>) -> Result<(), GcfgError> {
    *to = Some(value.text.to_owned());
    Ok(())
}

/// Looks at what belongs together, and takes the provider over if there is one.
pub(super) fn conclude(file: &Gcfg, to: &mut Settings) -> Result<(), GcfgError> {
    let grants = !to.config.identity.groups.is_empty();
    let grants_nothing = |trust: &Trust| trust.scope.is_empty() && trust.role_claim.is_none() && !grants;
    let nothing = "with Scope or RoleClaim beside it, or a GroupToScopeMapping: otherwise its tokens grant nothing";
    if let Some(value) = file.get(PROVIDER, None, "Issuer").filter(|value| !value.text.is_empty()) {
        if to.provider.client_id.is_empty() || to.provider.client_secret.is_empty() {
            return Err(value.must_be("with ClientId and ClientSecret beside it"));
        }
        if grants_nothing(&to.provider.trust) {
            return Err(value.must_be(nothing));
        }
        // People of the provider are its client's, and so are the tokens of their devices.
        to.provider.trust.audience = Some(to.provider.client_id.clone());
        to.config.identity.provider = Some(to.provider.clone());
    }
    for trust in &to.config.identity.federation {
        let value = |key| file.get(FEDERATION, Some(&trust.name), key);
        let any = || SETTINGS.iter().filter(|one| one.section == FEDERATION).find_map(|one| value(one.key));
        match value("Issuer") {
            Some(issuer) if grants_nothing(trust) => return Err(issuer.must_be(nothing)),
            None if trust.issuer.is_empty() => {
                if let Some(other) = any() {
                    return Err(other.must_be("with Issuer beside it"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

    const FILE: &str = "[OpenIDConnect]\nIssuer = https://id.example\nClientId = pm\nClientSecret = s3cret\nScope = repos:read:*\n\
                        CustomScope = offline_access, roles\nMaxAuthenticationAge = 1h\nRequireLogin\n\
                        [GroupToScopeMapping \"ops team\"]\nScope = global:admin\nScope = metadata:admin\n\
                        [IdentityFederation \"ci\"]\nIssuer = https://ci.example/x/\nAudience = pm\nSubject = repo:a/b\nTokenLifetime = 10m\n\
                        [IdentityFederation \"cd\"]\nIssuer = https://ci.example/x/\nScope = sources:write:team\nUsernameClaim = sub\n";

    #[test]
    fn what_is_said_of_identities() {
        let identity = read(FILE, &[]).unwrap().config.identity;
        let provider = identity.provider.unwrap();
        assert_eq!(
            (provider.trust.issuer.as_str(), provider.trust.audience.as_deref()),
            ("https://id.example", Some("pm"))
        );
        assert_eq!(
            (provider.custom_scope.as_slice(), provider.max_age),
            (["offline_access".to_owned(), "roles".to_owned()].as_slice(), Some(Duration::from_hours(1)))
        );
        assert!(identity.require_login && !provider.no_pkce);
        assert_eq!(identity.groups["ops team"], Access::list("global:admin metadata:admin").unwrap());
        let [ci, cd] = identity.federation.as_slice() else { panic!("two") };
        assert_eq!(
            (ci.name.as_str(), ci.issuer.as_str(), ci.subject.as_deref()),
            ("ci", "https://ci.example/x/", Some("repo:a/b"))
        );
        assert_eq!((ci.lifetime, cd.lifetime), (Duration::from_mins(10), Duration::from_hours(8)));
        assert_eq!((cd.audience.as_deref(), cd.username_claim.as_str()), (None, "sub"));
        let secret = [
            ("PACKAGEMANAGER_OPENIDCONNECT_CLIENTSECRET", "other"),
            ("PACKAGEMANAGER_IDENTITYFEDERATION_CI_SUBJECT", "x"),
        ];
        let identity = read(FILE, &secret).unwrap().config.identity;
        assert_eq!(identity.provider.unwrap().client_secret, "other");
        assert_eq!(identity.federation[0].subject.as_deref(), Some("x"));
        assert!(read("", &[]).unwrap().config.identity.provider.is_none());
    }

    #[test]
    fn what_cannot_work_is_refused() {
        for (text, expected) in [
            ("[OpenIDConnect]\nIssuer = https://x\n", "line 2: OpenIDConnect.Issuer must be with ClientId"),
            (
                "[OpenIDConnect]\nClientId = a\nClientSecret = b\nIssuer = https://x\n",
                "line 4: OpenIDConnect.Issuer must be with Scope",
            ),
            ("[OpenIDConnect]\nIssuer = file:///x\n", "line 2: OpenIDConnect.Issuer must be a URL"),
            ("[OpenIDConnect]\nClientSecretFile = /none/x\n", "line 2: OpenIDConnect.ClientSecretFile must be a file"),
            (
                "[OpenIDConnect]\nScope = repos:read\n",
                "line 2: OpenIDConnect.Scope must be repos:read with what it is about",
            ),
            ("[OpenIDConnect]\nTokenLifetime = 0\n", "line 2: OpenIDConnect.TokenLifetime must be from a second"),
            (
                "[IdentityFederation \"ci\"]\nIssuer = https://x\n",
                "line 2: IdentityFederation.ci.Issuer must be with Scope",
            ),
            (
                "[IdentityFederation \"ci\"]\nAudience = x\n",
                "line 2: IdentityFederation.ci.Audience must be with Issuer",
            ),
            (
                "[GroupToScopeMapping \"g\"]\nScope = love\n",
                "line 2: GroupToScopeMapping.g.Scope must be scopes such as repos:read",
            ),
        ] {
            let error = read(text, &[]).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }
}
