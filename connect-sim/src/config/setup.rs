//! From the command line, variables and a settings file to a [`Config`], and to the place where it is served.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::BoolishValueParser;
use lettre::Address;
use lettre::message::Mailbox;
use sim_kit::cli::Https;
use sim_kit::gcfg::{self, Gcfg, GcfgError};

use super::settings::{self, PREFIX};
use super::{Config, IdentityProvider, Limits};
use crate::access_log::{self, Format, Target};
use crate::git;
use crate::mail::{self, Encryption};
use crate::version::{NEWEST, Version};

/// Where the product looks for its settings.
const FILE: &str = "/etc/rstudio-connect/rstudio-connect.gcfg";

/// The command line of a Connect, beside the flags of every server.
#[derive(Debug, Clone, clap::Args)]
pub struct ConnectArgs {
    /// The release to be, such as 2024.08.0.
    #[arg(id = "release", long = "as", value_name = "VERSION", env = "TEAMSIM_CONNECT_VERSION", default_value_t = NEWEST)]
    pub version: Version,
    /// Settings file of the product; default: /etc/rstudio-connect/rstudio-connect.gcfg, if it is there.
    #[arg(long, value_name = "FILE", env = "TEAMSIM_CONNECT_CONFIG")]
    pub config: Option<PathBuf>,
    /// A setting of the product, in place of its variable (CONNECT_SECTION_KEY) and the file's; may be given several times.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    pub set: Vec<String>,
    /// Simple index of Package Manager, where builds get Python packages.
    #[arg(long, env = "TEAMSIM_PYPI_URL")]
    pub pypi_url: Option<String>,
    /// CRAN repository of Package Manager, where builds get R packages; may be given several times.
    #[arg(long, env = "TEAMSIM_CRAN_URL", value_delimiter = ',')]
    pub cran_url: Vec<String>,
    /// Whether a fresh world has the users admin, publisher and viewer. Default: yes, unless Bootstrap.Enabled.
    #[arg(long, env = "TEAMSIM_CONNECT_SEED_USERS", value_parser = BoolishValueParser::new())]
    pub seed_users: Option<bool>,
    /// Local repositories below this folder may be published from, as file:// URLs; may be given several times.
    #[arg(long, value_name = "FOLDER", env = "TEAMSIM_CONNECT_GIT_FOLDER", value_delimiter = ':')]
    pub git_folder: Vec<PathBuf>,
    /// Unix user that content may be set to run as, beside Applications.RunAs; may be given several times.
    #[arg(long, value_name = "NAME", env = "TEAMSIM_CONNECT_UNIX_USERS", value_delimiter = ',')]
    pub unix_user: Vec<String>,
    /// Seconds between two looks for new commits.
    #[arg(long, env = "TEAMSIM_CONNECT_GIT_POLL_SECONDS", default_value_t = 900,
          value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    pub git_poll_seconds: u64,
    /// Serve the built-in identity provider, also for other servers.
    #[arg(long, env = "TEAMSIM_CONNECT_IDENTITY_PROVIDER", value_parser = BoolishValueParser::new(),
          num_args = 0..=1, default_value = "false", default_missing_value = "true")]
    pub identity_provider: bool,
    /// Callback that the built-in identity provider may send users to, beside its own and those on the same machine.
    #[arg(long, env = "TEAMSIM_CONNECT_IDENTITY_REDIRECTS", value_delimiter = ',')]
    pub identity_redirect: Vec<String>,
    /// Issuer of identity tokens that machines may come with; may be given several times.
    #[arg(long, env = "TEAMSIM_CONNECT_TRUSTED_ISSUERS", value_delimiter = ',')]
    pub trusted_issuer: Vec<String>,
    /// Certificates in PEM of authorities that the mail server's is checked against, beside those of the machine.
    #[arg(long, value_name = "FILE", env = "TEAMSIM_CONNECT_SMTP_CA")]
    pub smtp_ca: Option<PathBuf>,
    /// Largest bundle in bytes.
    #[arg(long, env = "TEAMSIM_CONNECT_MAX_BUNDLE_BYTES", default_value_t = Limits::default().bundle_bytes)]
    pub max_bundle_bytes: u64,
}

/// Settings that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the settings file {0} cannot be read: {1}; choose another one with --config")]
    File(PathBuf, String),
    /// The file, or what goes before it, is not understood.
    #[error("{0}: {1}")]
    In(PathBuf, Box<ConfigError>),
    /// A setting is not what it takes.
    #[error(transparent)]
    Setting(#[from] GcfgError),
    /// Bootstrap is on but has no secret.
    #[error(
        "bootstrap is on but has no secret; give Bootstrap.SecretKey or CONNECT_BOOTSTRAP_SECRETKEY, the base64 of 32 random bytes"
    )]
    NoSecret,
    /// A provider without a secret.
    #[error("an OpenID Connect issuer needs a client secret; give OAuth2.ClientSecret or OAuth2.ClientSecretFile")]
    NoClientSecret,
    /// PostgreSQL without a place.
    #[error("Database.Provider is postgres, but there is no Postgres.URL")]
    NoPostgres,
    /// Mail without a server.
    #[error("Server.EmailProvider is SMTP, but there is no SMTP.Host")]
    NoMailServer,
    /// Mail without a sender.
    #[error("mail leaves by SMTP.Host or sendmail, but there is no Server.SenderEmail")]
    NoSender,
    /// The file with certificates.
    #[error("--smtp-ca {0} cannot be read: {1}")]
    Authority(PathBuf, String),
    /// A sign-in without a name.
    #[error("GitCredential.Host {0} has no Username; give both, or neither")]
    NoGitUser(String),
    /// Not a URL.
    #[error("{flag} must be an http or https URL, not `{value}`")]
    BadUrl {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
    },
}

/// An address to listen on, of which the product's settings may give the port alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen {
    /// The address; none: the usual one.
    pub address: Option<IpAddr>,
    /// The port.
    pub port: u16,
}

impl Listen {
    /// Reads `:3939`, `127.0.0.1:3939` or `[::1]:3939`.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        let (address, port) = text.rsplit_once(':')?;
        let address = match address {
            "" | "[::]" => None,
            address => Some(address.trim_start_matches('[').trim_end_matches(']').parse().ok()?),
        };
        Some(Self { address, port: port.parse().ok()? })
    }
}

/// Where it is served and kept, as far as settings say so.
#[derive(Debug, Clone, Default)]
pub struct Place {
    /// Address and port.
    pub listen: Option<Listen>,
    /// Address and port of metrics; of an empty setting `Some(None)`.
    pub metrics: Option<Option<Listen>>,
    /// HTTPS beside it, if there is a certificate.
    pub https: Https,
    /// Where everything is kept.
    pub data_dir: Option<PathBuf>,
    /// Whether rows are in PostgreSQL.
    pub postgres: bool,
    /// There.
    pub postgres_url: Option<url::Url>,
    /// Its password.
    pub postgres_password: Option<String>,
}

impl Place {
    /// The URL of the database; none for SQLite.
    ///
    /// # Errors
    /// When it should be PostgreSQL and no URL says where.
    pub fn database_url(&self) -> Result<Option<String>, ConfigError> {
        if !self.postgres {
            return Ok(None);
        }
        let mut url = self.postgres_url.clone().ok_or(ConfigError::NoPostgres)?;
        if let Some(password) = &self.postgres_password {
            // Only a URL without a host has no room for one; such a one reaches a local socket.
            let _ = url.set_password(Some(password));
        }
        Ok(Some(url.into()))
    }
}

/// What all settings come to.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The product.
    pub config: Config,
    /// Where it is.
    pub place: Place,
    /// What the user should know of.
    pub warnings: Vec<String>,
    pub(super) bootstrap: bool,
    pub(super) bootstrap_secret: Option<Vec<u8>>,
    pub(super) seed_users: Option<bool>,
    pub(super) oauth2: bool,
    pub(super) identity: IdentityProvider,
    pub(super) client_secret: Option<String>,
    pub(super) mail: Mail,
    pub(super) access_log: Option<Target>,
    pub(super) access_format: Format,
    pub(super) forwarded: bool,
}

/// Where systems have sendmail.
const SENDMAIL: &str = "/usr/sbin/sendmail";

/// Settings of mail.
#[derive(Debug, Clone, Default)]
pub(super) struct Mail {
    /// `smtp`, `sendmail`, or one that keeps mail here; none: by whether there is a host.
    pub(super) provider: Option<String>,
    pub(super) program: Option<PathBuf>,
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) user: Option<String>,
    pub(super) password: String,
    pub(super) ssl: bool,
    pub(super) starttls: Option<String>,
    pub(super) sender: Option<Address>,
    pub(super) sender_name: Option<String>,
    pub(super) redirect: Option<Address>,
    pub(super) subject_prefix: String,
}

impl Mail {
    fn settings(self) -> Result<Option<mail::Settings>, ConfigError> {
        let usual = if self.host.is_some() { "smtp" } else { "none" };
        let (program, host) = match self.provider.as_deref().unwrap_or(usual) {
            "smtp" => (None, self.host.ok_or(ConfigError::NoMailServer)?),
            "sendmail" => (Some(self.program.unwrap_or_else(|| PathBuf::from(SENDMAIL))), String::new()),
            _ => return Ok(None),
        };
        let encryption = match self.starttls.as_deref() {
            _ if self.ssl => Encryption::Tls,
            Some("always") => Encryption::StartTls,
            Some("never") => Encryption::None,
            _ => Encryption::Detect,
        };
        Ok(Some(mail::Settings {
            program,
            host,
            port: self.port.unwrap_or(if self.ssl { 465 } else { 25 }),
            credentials: self.user.map(|user| (user, self.password)),
            encryption,
            authority: None,
            sender: Mailbox::new(self.sender_name, self.sender.ok_or(ConfigError::NoSender)?),
            subject_prefix: self.subject_prefix,
            redirect: self.redirect,
        }))
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: Config::default(),
            place: Place::default(),
            warnings: Vec::new(),
            bootstrap: false,
            bootstrap_secret: None,
            seed_users: None,
            oauth2: false,
            identity: IdentityProvider { groups_auto_provision: false, ..IdentityProvider::default() },
            client_secret: None,
            mail: Mail::default(),
            access_log: None,
            access_format: Format::Combined,
            forwarded: false,
        }
    }
}

/// Whether a text is an http or https URL with a host.
pub(super) fn is_url(text: &str) -> bool {
    url::Url::parse(text).is_ok_and(|u| matches!(u.scheme(), "http" | "https") && u.has_host())
}

impl ConnectArgs {
    /// The file that is read, if any.
    fn file(&self) -> Option<&Path> {
        self.config.as_deref().or_else(|| Some(Path::new(FILE)).filter(|file| file.exists()))
    }

    /// What the command line, `variables` and the settings file come to.
    ///
    /// # Errors
    /// [`ConfigError`], in one line that says what to do.
    pub fn setup(&self, variables: Vec<(String, String)>) -> Result<Setup, ConfigError> {
        let file = self.file();
        let text = match file {
            Some(file) => {
                std::fs::read_to_string(file).map_err(|error| ConfigError::File(file.to_owned(), error.to_string()))?
            }
            None => String::new(),
        };
        let mut setup = Setup::default();
        let read = || {
            let settings = Gcfg::parse(&text)?.with_variables(PREFIX, variables).with_assignments(&self.set)?;
            settings::apply(&settings, &mut setup)?;
            setup.finish()
        };
        match (read(), file) {
            // What a line of the file is wrong about, in the file.
            (Err(error), Some(file)) if error.to_string().starts_with("line ") => {
                return Err(ConfigError::In(file.to_owned(), Box::new(error)));
            }
            (read, _) => read?,
        }
        if let Some(file) = file {
            setup.warnings.iter_mut().filter(|told| told.starts_with("line ")).for_each(|told| {
                told.insert_str(0, &format!("{}: ", file.display()));
            });
        }
        self.flags(&mut setup)?;
        Ok(setup)
    }

    /// What is no setting of the product's.
    fn flags(&self, setup: &mut Setup) -> Result<(), ConfigError> {
        let urls = self.pypi_url.iter().map(|value| ("--pypi-url", value));
        for (flag, value) in urls.chain(self.cran_url.iter().map(|value| ("--cran-url", value))) {
            if !is_url(value) {
                return Err(ConfigError::BadUrl { flag, value: value.clone() });
            }
        }
        if let Some(seed) = self.seed_users {
            setup.config.seed_users = seed;
        }
        let config = &mut setup.config;
        if let (Some(mail), Some(file)) = (&mut config.mail, &self.smtp_ca) {
            let pem = std::fs::read(file);
            let pem = pem.map_err(|error| ConfigError::Authority(file.clone(), error.to_string()))?;
            mail.authority = Some(pem);
        }
        config.version = self.version;
        config.pypi_url.clone_from(&self.pypi_url);
        if !self.cran_url.is_empty() {
            config.cran_urls.clone_from(&self.cran_url);
        }
        config.built_in_identity_provider = self.identity_provider;
        config.identity_redirects.clone_from(&self.identity_redirect);
        config.trusted_issuers.clone_from(&self.trusted_issuer);
        config.unix_users.clone_from(&self.unix_user);
        config.git.command.folders.clone_from(&self.git_folder);
        config.git.poll_interval = Duration::from_secs(self.git_poll_seconds);
        config.git.command.bytes = self.max_bundle_bytes.min(git::Settings::default().command.bytes);
        config.limits.bundle_bytes = self.max_bundle_bytes;
        Ok(())
    }

    /// The same with the variables of this process.
    ///
    /// # Errors
    /// As [`ConnectArgs::setup`].
    pub fn from_environment(&self) -> Result<Setup, ConfigError> {
        self.setup(gcfg::environment())
    }
}

impl Setup {
    /// What several settings decide together.
    fn finish(&mut self) -> Result<(), ConfigError> {
        self.config.bootstrap_secret = match (self.bootstrap, self.bootstrap_secret.take()) {
            (false, _) => None,
            (true, None) => return Err(ConfigError::NoSecret),
            (true, secret) => secret,
        };
        self.config.seed_users = self.seed_users.unwrap_or(self.config.bootstrap_secret.is_none());
        if self.oauth2 {
            let mut provider = self.identity.clone();
            match self.client_secret.take() {
                Some(secret) => provider.client_secret = secret,
                None if provider.issuer.is_some() => return Err(ConfigError::NoClientSecret),
                None => {}
            }
            provider.default_role = self.config.default_role;
            self.config.identity_provider = Some(provider);
        }
        let (format, forwarded) = (self.access_format, self.forwarded);
        let log = self.access_log.take().map(|target| access_log::Settings { target, format, forwarded });
        self.config.access_log = log;
        self.config.mail = std::mem::take(&mut self.mail).settings()?;
        self.place.database_url().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on() {
        let of = |text| Listen::of(text).map(|listen| (listen.address.map(|a| a.to_string()), listen.port));
        assert_eq!(of(":3939"), Some((None, 3939)));
        assert_eq!(of("[::]:0"), Some((None, 0)));
        assert_eq!(of("0.0.0.0:80"), Some((Some("0.0.0.0".to_owned()), 80)));
        assert_eq!(of("[::1]:80"), Some((Some("::1".to_owned()), 80)));
        for bad in ["", "3939", "host:80", ":x", ":70000", "1.2.3.4"] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
