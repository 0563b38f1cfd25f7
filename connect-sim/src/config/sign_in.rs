//! Who signs users in: the settings of `Authentication` and `OAuth2`.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;

use super::ConfigError;
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

/// Who signs users in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Authentication {
    /// This server, by password.
    Password,
    /// An OpenID Connect provider.
    Oauth2,
}

/// Roles that a new account may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DefaultRole {
    /// May look.
    Viewer,
    /// May publish.
    Publisher,
}

/// The flags of [`IdentityProvider`].
#[derive(Debug, Clone, clap::Args)]
pub struct SignInArgs {
    /// Who signs users in.
    #[arg(long, env = "CONNECT_AUTHENTICATION_PROVIDER", value_enum, default_value = "password", ignore_case = true)]
    pub authentication: Authentication,
    /// Issuer of the OpenID Connect provider; default: the built-in one, where a user is chosen on a page.
    #[arg(long, env = "CONNECT_OAUTH2_OPENIDCONNECTISSUER")]
    pub oidc_issuer: Option<String>,
    /// Client id at the provider.
    #[arg(long, env = "CONNECT_OAUTH2_CLIENTID", default_value_t = IdentityProvider::default().client_id)]
    pub oidc_client_id: String,
    /// Client secret at the provider.
    #[arg(long, env = "CONNECT_OAUTH2_CLIENTSECRET", hide_env_values = true)]
    pub oidc_client_secret: Option<String>,
    /// File that holds the client secret.
    #[arg(long, env = "CONNECT_OAUTH2_CLIENTSECRETFILE", conflicts_with = "oidc_client_secret")]
    pub oidc_client_secret_file: Option<PathBuf>,
    /// What is asked for beside openid, profile and email.
    #[arg(long, env = "CONNECT_OAUTH2_CUSTOMSCOPE", default_value = "")]
    pub oidc_custom_scope: String,
    /// Claim of the user name.
    #[arg(long, env = "CONNECT_OAUTH2_USERNAMECLAIM", default_value_t = IdentityProvider::default().username_claim)]
    pub oidc_username_claim: String,
    /// Claim of the groups.
    #[arg(long, env = "CONNECT_OAUTH2_GROUPSCLAIM", default_value_t = IdentityProvider::default().groups_claim)]
    pub oidc_groups_claim: String,
    /// Make groups as tokens name them.
    #[arg(long, env = "CONNECT_OAUTH2_GROUPSAUTOPROVISION", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          default_value = "false", default_missing_value = "true")]
    pub oidc_groups_auto_provision: bool,
    /// Give an account to who signs in for the first time.
    #[arg(long, env = "CONNECT_OAUTH2_REGISTERONFIRSTLOGIN", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, default_value = "true", default_missing_value = "true")]
    pub oidc_register_on_first_login: bool,
    /// Role of such an account.
    #[arg(
        long,
        env = "CONNECT_AUTHORIZATION_DEFAULTUSERROLE",
        value_enum,
        default_value = "viewer",
        ignore_case = true
    )]
    pub default_user_role: DefaultRole,
    /// Serve the built-in identity provider, also for other servers.
    #[arg(long, env = "TEAMSIM_CONNECT_IDENTITY_PROVIDER", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub identity_provider: bool,
    /// Callback that the built-in identity provider may send users to, beside its own and those on the same machine.
    #[arg(long, env = "TEAMSIM_CONNECT_IDENTITY_REDIRECTS", value_delimiter = ',')]
    pub identity_redirect: Vec<String>,
}

impl SignInArgs {
    /// The provider that the flags mean; none for passwords.
    pub(super) fn provider(&self) -> Result<Option<IdentityProvider>, ConfigError> {
        if self.authentication == Authentication::Password {
            return Ok(None);
        }
        let own = IdentityProvider::default();
        let secret = match (&self.oidc_client_secret, &self.oidc_client_secret_file) {
            (Some(secret), _) => secret.clone(),
            (None, Some(file)) => {
                let text = std::fs::read_to_string(file);
                text.map_err(|error| ConfigError::SecretFile(file.clone(), error.to_string()))?.trim().to_owned()
            }
            (None, None) if self.oidc_issuer.is_some() => return Err(ConfigError::NoClientSecret),
            (None, None) => own.client_secret.clone(),
        };
        Ok(Some(IdentityProvider {
            issuer: self.oidc_issuer.clone(),
            client_id: self.oidc_client_id.clone(),
            client_secret: secret,
            scope: format!("{} {}", own.scope, self.oidc_custom_scope).trim().to_owned(),
            username_claim: self.oidc_username_claim.clone(),
            groups_claim: self.oidc_groups_claim.clone(),
            groups_auto_provision: self.oidc_groups_auto_provision,
            register: self.oidc_register_on_first_login,
            default_role: match self.default_user_role {
                DefaultRole::Viewer => Role::Viewer,
                DefaultRole::Publisher => Role::Publisher,
            },
        }))
    }
}
