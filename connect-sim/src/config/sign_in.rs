//! Who signs users in: the settings of `Authentication` and `OAuth2`.

use crate::access::Role;

/// An OpenID Connect provider that signs users in, as the section `OAuth2` of the product's settings describes it.
#[derive(Debug, Clone)]
pub struct IdentityProvider {
    /// Its issuer; `None`: the built-in one.
    pub issuer: Option<String>,
    /// What this server is called there.
    pub client_id: String,
    /// What this server proves itself with there.
    pub client_secret: String,
    /// What is asked for.
    pub scope: String,
    /// The claim that holds the user name.
    pub username_claim: String,
    /// The claim that holds the names of groups.
    pub groups_claim: String,
    /// Whether groups are made as tokens name them.
    pub groups_auto_provision: bool,
    /// Whether who is not known gets an account.
    pub register: bool,
    /// The role of such an account.
    pub default_role: Role,
}

impl Default for IdentityProvider {
    /// The built-in one, with groups.
    fn default() -> Self {
        Self {
            issuer: None,
            client_id: "connect".to_owned(),
            client_secret: "simulated-client-secret".to_owned(),
            scope: "openid profile email".to_owned(),
            username_claim: "preferred_username".to_owned(),
            groups_claim: "groups".to_owned(),
            groups_auto_provision: true,
            register: true,
            default_role: Role::Viewer,
        }
    }
}
