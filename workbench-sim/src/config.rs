//! What can be set, under the real product's words where it has them.

use std::time::Duration;

use url::Url;

/// Where sessions run their commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Runtime {
    /// A scripted console that understands a few commands and does them over HTTP; it says that it is simulated.
    Simulated,
    /// A real shell on a PTY, and a real R in the console pane.
    Process,
    /// A real shell where the machine has one, else the scripted console.
    #[default]
    Auto,
}

impl Runtime {
    /// What `auto` means for a server that listens on `bind`: beyond loopback the scripted console, because everybody
    /// knows the passwords and a shell would be everybody's.
    #[must_use]
    pub fn at(self, bind: std::net::IpAddr) -> Self {
        if self == Self::Auto && !bind.is_loopback() { Self::Simulated } else { self }
    }
}

/// The Connect server that sessions publish to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Its address; becomes `CONNECT_SERVER`.
    pub url: Url,
    /// Give each session its user's seeded key as `CONNECT_API_KEY`. Only right for a Connect of the same seed.
    pub seeded_keys: bool,
}

/// Settings of one Workbench.
#[derive(Debug, Clone)]
pub struct Config {
    /// Shown in the footer and answered by `version`: `2026.07.0+139.pro9`.
    pub version: String,
    /// Release name in the footer.
    pub release_name: String,
    /// Commit in the footer.
    pub commit: String,
    /// `www-root-path`: empty, or a prefix such as `/workbench` without a slash at the end.
    pub root_path: String,
    /// The simple index that pip and uv in sessions use.
    pub python_index: Option<Url>,
    /// The CRAN-like repository that R in sessions uses.
    pub cran: Option<Url>,
    /// Where sessions publish to.
    pub connect: Option<Connect>,
    /// `auth-encrypt-password`: the browser encrypts name and password with the server's RSA key.
    pub encrypt_password: bool,
    /// Take a plain sign-in form without a token from a client that has no token cookie, as scripts send it.
    pub sign_in_without_token: bool,
    /// `auth-sign-in-throttle-seconds`: between two sign-ins of one user.
    pub throttle: Duration,
    /// `auth-timeout-minutes`: a sign-in ends after so long without a request. Zero: never, see `stay_signed_in`.
    pub auth_timeout: Duration,
    /// `auth-stay-signed-in-days`: how long a sign-in lasts when `auth_timeout` is zero.
    pub stay_signed_in: Duration,
    /// What sessions are made of.
    pub runtime: Runtime,
    /// Time from New Session to Active, by the World's clock: half of it Pending, half Starting.
    pub launch_delay: Duration,
    /// A session unused for so long shows as Idle.
    pub idle_after: Duration,
    /// Versions of R offered in New Session. In the `process` runtime the machine's own R runs whatever is chosen, so
    /// leave this empty there.
    pub r_versions: Vec<String>,
    /// Versions of Python offered in New Session; as above.
    pub python_versions: Vec<String>,
    /// `session-limit`: sessions a user may have at once.
    pub session_limit: u32,
    /// `server-health-check-enabled`
    pub health_check: bool,
    /// `workbench-api-enabled`
    pub api: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: "2026.07.0+139.pro9".to_owned(),
            release_name: "Pacific Dogwood".to_owned(),
            commit: "f028a7ae".to_owned(),
            root_path: String::new(),
            python_index: None,
            cran: None,
            connect: None,
            encrypt_password: true,
            sign_in_without_token: true,
            throttle: Duration::from_secs(5),
            auth_timeout: Duration::from_secs(3600),
            stay_signed_in: Duration::from_secs(30 * 86_400),
            runtime: Runtime::Auto,
            launch_delay: Duration::ZERO,
            idle_after: Duration::from_secs(15 * 60),
            r_versions: Vec::new(),
            python_versions: Vec::new(),
            session_limit: 100,
            health_check: true,
            api: true,
        }
    }
}

/// Shells of the `process` runtime, the first that is there.
const SHELLS: [&str; 3] = ["/bin/bash", "/usr/bin/bash", "/bin/sh"];

impl Config {
    /// What is wrong with the settings, if anything is.
    pub(crate) fn check(&self) -> Result<(), String> {
        let root = self.root_path.trim_end_matches('/');
        let plain =
            |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b));
        match root.strip_prefix('/') {
            None if root.is_empty() => Ok(()),
            Some(rest) if rest.split('/').all(plain) => Ok(()),
            _ => Err(format!("the root path {:?} must be like /workbench", self.root_path)),
        }
    }

    /// The shell that terminals run; none: terminals are scripted consoles.
    pub(crate) fn shell(&self) -> Option<&'static str> {
        match self.runtime {
            Runtime::Simulated => None,
            Runtime::Process | Runtime::Auto => SHELLS.into_iter().find(|path| std::path::Path::new(path).is_file()),
        }
    }

    /// What a New Session may choose from: the configured versions or, in the scripted runtime, the ones it imitates.
    pub(crate) fn r_versions(&self) -> Vec<String> {
        versions(&self.r_versions, self.shell().is_some(), "4.5.1")
    }

    /// As [`Config::r_versions`].
    pub(crate) fn python_versions(&self) -> Vec<String> {
        versions(&self.python_versions, self.shell().is_some(), "3.12.11")
    }

    /// How long a sign-in lasts without being refreshed.
    pub(crate) fn sign_in_lifetime(&self) -> Duration {
        if self.auth_timeout.is_zero() { self.stay_signed_in } else { self.auth_timeout }
    }
}

fn versions(configured: &[String], process: bool, simulated: &str) -> Vec<String> {
    match (configured.is_empty(), process) {
        (false, _) => configured.to_vec(),
        (true, true) => vec!["System default".to_owned()],
        (true, false) => vec![simulated.to_owned()],
    }
}
