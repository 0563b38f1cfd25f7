//! What a Connect is told from outside.

mod sign_in;

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use clap::builder::BoolishValueParser;

use crate::git;
use crate::oauth_server::Lifetimes;
use crate::scheduler::Scheduler;
use crate::version::{NEWEST, Version};

pub use sign_in::{Authentication, DefaultRole, IdentityProvider, SignInArgs};

/// How one Connect is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// The release it is.
    pub version: Version,
    /// The simple index that builds install Python packages from, such as `http://localhost:4242/pypi/latest/simple`.
    pub pypi_url: Option<String>,
    /// The CRAN-like repositories that builds install R packages from, such as `http://localhost:4242/cran/latest`.
    pub cran_urls: Vec<String>,
    /// The secret that bootstrap tokens are signed with; `None` turns bootstrap off.
    pub bootstrap_secret: Option<Vec<u8>>,
    /// Whether a fresh world has the three seeded users. Bootstrap works only without them.
    pub seed_users: bool,
    /// What stands before paths in absolute URLs, as `Server.Address` does; `None` takes it from each request.
    pub address: Option<String>,
    /// R, newest last.
    pub r_versions: Vec<String>,
    /// Python, newest last.
    pub python_versions: Vec<String>,
    /// Quarto, newest last.
    pub quarto_versions: Vec<String>,
    /// Node.js, newest last.
    pub node_versions: Vec<String>,
    /// TensorFlow serving, newest last.
    pub tensorflow_versions: Vec<String>,
    /// Content from repositories.
    pub git: git::Settings,
    /// How content is run.
    pub scheduler: Scheduler,
    /// How much it takes.
    pub limits: Limits,
    /// Builds that run at a time.
    pub builders: usize,
    /// How far the `Date` of a signed request may be from the World's clock.
    pub signature_window: Duration,
    /// How long a browser stays signed in.
    pub session_lifetime: Duration,
    /// Who signs users in; `None`: this server, by password.
    pub identity_provider: Option<IdentityProvider>,
    /// Whether the built-in identity provider is there for others too.
    pub built_in_identity_provider: bool,
    /// Where the built-in identity provider may send users, beside this server and servers on the same machine.
    pub identity_redirects: Vec<String>,
    /// Issuers of identity tokens that machines may come with, beside those of federation integrations.
    pub trusted_issuers: Vec<String>,
    /// How long what the authorization server gives out holds.
    pub oauth_lifetimes: Lifetimes,
    /// How the dashboard calls the server.
    pub system_name: String,
}

/// Bounds on what callers send.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one bundle.
    pub bundle_bytes: u64,
    /// What may be inside a bundle.
    pub archive: pkg_formats::archive::Limits,
    /// Bytes of a JSON or form body.
    pub body_bytes: usize,
    /// Seconds that a long poll may hold on.
    pub wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bundle_bytes: 5 << 30,
            archive: pkg_formats::archive::Limits::default(),
            body_bytes: 2 << 20,
            wait: Duration::from_secs(60),
        }
    }
}

fn owned(versions: &[&str]) -> Vec<String> {
    versions.iter().map(|&v| v.to_owned()).collect()
}

impl Default for Config {
    /// The newest release, seeded users, no Package Manager.
    fn default() -> Self {
        Self {
            version: NEWEST,
            pypi_url: None,
            cran_urls: Vec::new(),
            bootstrap_secret: None,
            seed_users: true,
            address: None,
            r_versions: owned(&["4.2.3", "4.3.3", "4.4.2", "4.5.1"]),
            python_versions: owned(&["3.9.21", "3.10.16", "3.11.11", "3.12.8", "3.13.1"]),
            quarto_versions: owned(&["1.4.557", "1.6.42"]),
            node_versions: owned(&["20.18.1", "22.12.0"]),
            tensorflow_versions: owned(&["2.16.1"]),
            git: git::Settings::default(),
            scheduler: Scheduler::default(),
            limits: Limits::default(),
            builders: 4,
            signature_window: Duration::from_secs(15 * 60),
            session_lifetime: Duration::from_secs(24 * 3600),
            identity_provider: None,
            built_in_identity_provider: false,
            identity_redirects: Vec::new(),
            trusted_issuers: Vec::new(),
            oauth_lifetimes: Lifetimes::default(),
            system_name: "Posit Connect (simulated)".to_owned(),
        }
    }
}

impl Config {
    /// Whether the built-in identity provider answers.
    #[must_use]
    pub fn serves_identity(&self) -> bool {
        self.built_in_identity_provider || self.identity_provider.as_ref().is_some_and(|one| one.issuer.is_none())
    }

    /// Id and secret of the one client that the built-in identity provider knows.
    #[must_use]
    pub fn oidc_client(&self) -> (String, String) {
        let own = self.identity_provider.clone().filter(|one| one.issuer.is_none()).unwrap_or_default();
        (own.client_id, own.client_secret)
    }
}

/// The command line of a Connect, beside the flags of every server.
#[derive(Debug, Clone, clap::Args)]
pub struct ConnectArgs {
    /// The release to be, such as 2024.08.0.
    #[arg(id = "release", long = "as", value_name = "VERSION", env = "TEAMSIM_CONNECT_VERSION", default_value_t = NEWEST)]
    pub version: Version,
    /// Simple index of Package Manager, where builds get Python packages.
    #[arg(long, env = "TEAMSIM_PYPI_URL")]
    pub pypi_url: Option<String>,
    /// CRAN repository of Package Manager, where builds get R packages; may be given several times.
    #[arg(long, env = "TEAMSIM_CRAN_URL", value_delimiter = ',')]
    pub cran_url: Vec<String>,
    /// Answer bootstrap requests.
    #[arg(long, env = "CONNECT_BOOTSTRAP_ENABLED", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          default_value = "false", default_missing_value = "true")]
    pub bootstrap: bool,
    /// Base64 of the 32 bytes or more that bootstrap tokens are signed with.
    #[arg(long, env = "CONNECT_BOOTSTRAP_SECRETKEY", hide_env_values = true)]
    pub bootstrap_secret_key: Option<String>,
    /// Whether a fresh world has the users admin, publisher and viewer. Default: yes, unless bootstrap is on.
    #[arg(long, env = "TEAMSIM_CONNECT_SEED_USERS", value_parser = BoolishValueParser::new())]
    pub seed_users: Option<bool>,
    /// Address for absolute URLs; default: taken from each request.
    #[arg(long, env = "CONNECT_SERVER_ADDRESS")]
    pub address: Option<String>,
    /// Take content from git repositories, where the program is there.
    #[arg(long, env = "CONNECT_GIT_ENABLED", value_parser = BoolishValueParser::new(), num_args = 0..=1,
          default_value = "true", default_missing_value = "true")]
    pub git: bool,
    /// The git program, by name or path.
    #[arg(long, env = "CONNECT_GIT_EXECUTABLE", default_value = "git")]
    pub git_executable: PathBuf,
    /// Local repositories below this folder may be published from, as file:// URLs.
    #[arg(long, env = "TEAMSIM_CONNECT_GIT_FOLDER")]
    pub git_folder: Option<PathBuf>,
    /// Seconds between two looks for new commits.
    #[arg(long, env = "TEAMSIM_CONNECT_GIT_POLL_SECONDS", default_value_t = 900,
          value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub git_poll_seconds: u64,
    /// The host that --git-username signs in at, with its port if that is not the usual one.
    #[arg(long, env = "CONNECT_GITCREDENTIAL_HOST", requires = "git_username")]
    pub git_host: Option<String>,
    /// The user that repositories of --git-host are read as.
    #[arg(long, env = "CONNECT_GITCREDENTIAL_USERNAME", requires = "git_host")]
    pub git_username: Option<String>,
    /// That user's password or access token.
    #[arg(
        long,
        env = "CONNECT_GITCREDENTIAL_PASSWORD",
        hide_env_values = true,
        default_value = "",
        hide_default_value = true
    )]
    pub git_password: String,
    /// The protocol of --git-host.
    #[arg(long, env = "CONNECT_GITCREDENTIAL_PROTOCOL", default_value = "https", value_parser = ["https", "http"])]
    pub git_protocol: String,
    /// Who signs users in.
    #[command(flatten)]
    pub sign_in: SignInArgs,
    /// Issuer of identity tokens that machines may come with; may be given several times.
    #[arg(long, env = "TEAMSIM_CONNECT_TRUSTED_ISSUERS", value_delimiter = ',')]
    pub trusted_issuer: Vec<String>,
    /// How content is run.
    #[command(flatten)]
    pub scheduler: Scheduler,
    /// Largest bundle in bytes.
    #[arg(long, env = "TEAMSIM_CONNECT_MAX_BUNDLE_BYTES", default_value_t = Limits::default().bundle_bytes)]
    pub max_bundle_bytes: u64,
}

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Bootstrap is on but has no secret.
    #[error("bootstrap is on but has no secret; give CONNECT_BOOTSTRAP_SECRETKEY, the base64 of 32 random bytes")]
    NoSecret,
    /// The secret is not base64, or short.
    #[error("CONNECT_BOOTSTRAP_SECRETKEY must be the base64 of at least 32 bytes")]
    BadSecret,
    /// A provider without a secret.
    #[error("an OpenID Connect issuer needs a client secret; give CONNECT_OAUTH2_CLIENTSECRET or ..._CLIENTSECRETFILE")]
    NoClientSecret,
    /// The file with the secret.
    #[error("the client secret cannot be read from {0}: {1}")]
    SecretFile(PathBuf, String),
    /// Not a URL.
    #[error("{flag} must be an http or https URL, not `{value}`")]
    BadUrl {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
    },
}

impl ConnectArgs {
    fn git(&self) -> git::Settings {
        let credential = self.git_host.as_ref().zip(self.git_username.as_ref());
        let credential = credential.map(|(host, username)| git::Credential {
            protocol: self.git_protocol.clone(),
            host: host.clone(),
            username: username.clone(),
            password: self.git_password.clone(),
        });
        git::Settings {
            enabled: self.git,
            executable: self.git_executable.clone(),
            folder: self.git_folder.clone(),
            poll_interval: Duration::from_secs(self.git_poll_seconds),
            largest: self.max_bundle_bytes.min(git::Settings::default().largest),
            credentials: credential.into_iter().collect(),
            ..git::Settings::default()
        }
    }

    /// The settings the command line means.
    ///
    /// # Errors
    /// [`ConfigError`], in one line that says what to do.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let bootstrap_secret = match (self.bootstrap, &self.bootstrap_secret_key) {
            (false, _) => None,
            (true, None) => return Err(ConfigError::NoSecret),
            (true, Some(text)) => {
                let secret = base64::engine::general_purpose::STANDARD.decode(text.trim());
                Some(secret.ok().filter(|s| s.len() >= 32).ok_or(ConfigError::BadSecret)?)
            }
        };
        let urls = [
            ("--pypi-url", self.pypi_url.iter()),
            ("--address", self.address.iter()),
            ("--oidc-issuer", self.sign_in.oidc_issuer.iter()),
        ];
        let urls = urls.into_iter().flat_map(|(flag, values)| values.map(move |value| (flag, value)));
        for (flag, value) in urls.chain(self.cran_url.iter().map(|value| ("--cran-url", value))) {
            if !url::Url::parse(value).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host()) {
                return Err(ConfigError::BadUrl { flag, value: value.clone() });
            }
        }
        Ok(Config {
            version: self.version,
            pypi_url: self.pypi_url.clone(),
            cran_urls: self.cran_url.clone(),
            seed_users: self.seed_users.unwrap_or(bootstrap_secret.is_none()),
            bootstrap_secret,
            address: self.address.clone(),
            identity_provider: self.sign_in.provider()?,
            built_in_identity_provider: self.sign_in.identity_provider,
            identity_redirects: self.sign_in.identity_redirect.clone(),
            trusted_issuers: self.trusted_issuer.clone(),
            git: self.git(),
            scheduler: self.scheduler.clone(),
            limits: Limits { bundle_bytes: self.max_bundle_bytes, ..Limits::default() },
            ..Config::default()
        })
    }
}
