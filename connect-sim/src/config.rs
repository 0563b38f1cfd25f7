//! What a Connect is told from outside.

pub mod settings;
mod setup;
mod sign_in;
mod values;

use std::time::Duration;

use sim_kit::origin::Origin;

use crate::access::{AccessType, Role};
use crate::access_log;
use crate::git;
use crate::license::Feature;
use crate::mail;
use crate::oauth_server::Lifetimes;
use crate::scheduler::Scheduler;
use crate::version::{NEWEST, Version};

pub use setup::{ConfigError, ConnectArgs, Listen, Place, Setup};
pub use sign_in::IdentityProvider;

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
    /// Scheduled renders at a time; 0: as many as there are builders.
    pub schedule_concurrency: i64,
    /// Bundles that are kept.
    pub bundles: Retention,
    /// The widest access that content can be given.
    pub widest_access: AccessType,
    /// The user that content is said to run as.
    pub run_as: String,
    /// The Unix users that content may be said to run as, beside that one.
    pub unix_users: Vec<String>,
    /// Whether content is said to be able to run as who looks at it.
    pub run_as_current_user: bool,
    /// How much it takes.
    pub limits: Limits,
    /// Builds that run at a time.
    pub builders: usize,
    /// How far the `Date` of a signed request may be from the World's clock.
    pub signature_window: Duration,
    /// How long a browser stays signed in.
    pub session_lifetime: Duration,
    /// How long a browser stays signed in that does nothing. `None`: for as long as one that does.
    pub session_inactivity: Option<Duration>,
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
    /// The log of requests; none: there is none.
    pub access_log: Option<access_log::Settings>,
    /// Whether `/metrics` is answered at the port of everything else, too.
    pub metrics_on_main_port: bool,
    /// The mail server; none: mail is kept.
    pub mail: Option<mail::Settings>,
    /// How the dashboard calls the server.
    pub system_name: String,
    /// Whether callers without a credential are told no version.
    pub hide_version: bool,
    /// Shown to everybody.
    pub public_warning: String,
    /// Shown to who is signed in.
    pub logged_in_warning: String,
    /// `compact` or `expanded`.
    pub content_list_view: String,
    /// How settings call who signs users in; `None`: by what that is.
    pub authentication_name: Option<String>,
    /// Shown on the login page.
    pub authentication_notice: String,
    /// Whether cookies are `Secure` even where the client came by plain HTTP.
    pub force_secure: bool,
    /// Whether browsers that came by HTTPS are to come by nothing else.
    pub https_permanent: bool,
    /// The role of an account that is made without one.
    pub default_role: Role,
    /// Whether vanity URLs are not for administrators only.
    pub publishers_can_manage_vanities: bool,
    /// Whether lists of users and groups show viewers nobody else.
    pub viewers_can_only_see_themselves: bool,
    /// What the licence does not have.
    pub unlicensed: Vec<Feature>,
    /// Whether the licence has expired.
    pub license_expired: bool,
    /// Whether only administrators see the addresses of others.
    pub hide_email_addresses: bool,
}

/// How many bundles an item keeps.
#[derive(Debug, Clone)]
pub struct Retention {
    /// The newest so many, and the active one; 0: all.
    pub keep: i64,
    /// How often the others are taken away.
    pub every: Duration,
}

/// Bounds on what callers send.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of one bundle.
    pub bundle_bytes: u64,
    /// What may be inside a bundle.
    pub archive: pkg_formats::archive::Limits,
    /// Bytes of a thumbnail.
    pub image_bytes: usize,
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
            image_bytes: 10_000_000,
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
            schedule_concurrency: 2,
            bundles: Retention { keep: 0, every: Duration::from_secs(24 * 3600) },
            widest_access: AccessType::All,
            run_as: "rstudio-connect".to_owned(),
            unix_users: Vec::new(),
            run_as_current_user: true,
            limits: Limits::default(),
            builders: 4,
            signature_window: Duration::from_secs(15 * 60),
            session_lifetime: Duration::from_secs(24 * 3600),
            session_inactivity: None,
            identity_provider: None,
            built_in_identity_provider: false,
            identity_redirects: Vec::new(),
            trusted_issuers: Vec::new(),
            oauth_lifetimes: Lifetimes::default(),
            access_log: None,
            metrics_on_main_port: false,
            mail: None,
            system_name: "Posit Connect (simulated)".to_owned(),
            hide_version: false,
            public_warning: String::new(),
            logged_in_warning: String::new(),
            content_list_view: "compact".to_owned(),
            authentication_name: None,
            authentication_notice: String::new(),
            force_secure: false,
            https_permanent: false,
            default_role: Role::Viewer,
            publishers_can_manage_vanities: true,
            viewers_can_only_see_themselves: false,
            unlicensed: Vec::new(),
            license_expired: false,
            hide_email_addresses: false,
        }
    }
}

impl Config {
    /// Whether cookies are for HTTPS only, for a visitor who came by `origin`.
    #[must_use]
    pub fn secures_cookies(&self, origin: &Origin) -> bool {
        origin.is_secure() || self.force_secure || self.https_permanent
    }

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
