//! The table of what may stand in the file.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use sim_kit::gcfg::{GcfgError, Value};
use url::Url;

use super::{Effect, METRICS_PORT, Reader, Setting, identity};

const SCHEDULE: &str = "cron in UTC; empty: only when asked to";
const MODE: &str = "`lazy`: package files are fetched when clients ask for them; `eager`: with the synchronisation";
const RUNTIME: &str = "R and Python are not run";

/// Everything that is known, but for [`identity::SETTINGS`].
#[rustfmt::skip] // a row a line
pub(super) static SETTINGS: &[Setting] = &[
    honoured("Server", "Address", "", "the address that clients see, with its path; without it each request says it", |value, to| {
        value.parse::<Url>("a URL such as https://packages.example.org/rspm").map(|_| to.config.address = Some(value.text.to_owned()))
    }),
    honoured("Server", "DataDir", "", "the folder where everything is kept; without one nothing is kept", |value, to| {
        to.data_dir = Some(PathBuf::from(value.text));
        Ok(())
    }),
    honoured("HTTP", "Listen", ":4242", "port, with an address before it if need be; without one only this machine is served", |value, to| {
        let (bind, port) = listen(value)?;
        (to.bind, to.port) = (bind, Some(port));
        Ok(())
    }),
    honoured("HTTPS", "Listen", ":443", "port of HTTPS, beside that of HTTP, with an address before it if need be; opened when there is a certificate", |value, to| {
        listen(value).map(|read| to.https.listen = Some(read))
    }),
    honoured("HTTPS", "Certificate", "", "PEM file with the server's certificate, followed by those that lead to a known one", |value, to| {
        to.https.certificate = Some(PathBuf::from(value.text));
        Ok(())
    }),
    honoured("HTTPS", "Key", "", "PEM file with its key", |value, to| {
        to.https.key = Some(PathBuf::from(value.text));
        Ok(())
    }),
    honoured("HTTPRedirect", "Listen", "", "port that sends everybody to HTTPS, with an address before it if need be; opened when there is HTTPS", |value, to| {
        listen(value).map(|read| to.https.redirect = Some(read))
    }),
    honoured("HTTPS", "Permanent", "false", "whether browsers that come by HTTPS are told to come by nothing else for thirty days", |value, to| {
        value.bool().map(|read| to.config.https_only = read)
    }),
    honoured("CRAN", "SyncSchedule", "0 0 * * *", SCHEDULE, |value, to| schedule(value).map(|read| to.config.cran.schedule = read)),
    ours("CRAN", "SyncMode", "lazy", MODE, |value, to| mode(value).map(|read| to.config.cran.mode = read)),
    honoured("PyPI", "SyncSchedule", "0 1 * * *", SCHEDULE, |value, to| schedule(value).map(|read| to.config.pypi.schedule = read)),
    ours("PyPI", "SyncMode", "lazy", MODE, |value, to| mode(value).map(|read| to.config.pypi.mode = read)),
    honoured("Bioconductor", "SyncSchedule", "0 2 * * *", SCHEDULE, |value, to| schedule(value).map(|read| to.config.bioconductor.schedule = read)),
    ours("Bioconductor", "SyncMode", "lazy", MODE, |value, to| mode(value).map(|read| to.config.bioconductor.mode = read)),
    honoured("Database", "Provider", "sqlite", "`sqlite` or `postgres`", |value, to| {
        to.postgres.chosen = match value.text.to_ascii_lowercase().as_str() {
            "sqlite" => false,
            "postgres" => true,
            _ => return Err(value.must_be("sqlite or postgres")),
        };
        Ok(())
    }),
    honoured("Postgres", "URL", "", "the database, as `postgres://user@host/name`", |value, to| {
        let expected = "a URL such as postgres://user@host/name";
        let url: Url = value.parse(expected)?;
        if !["postgres", "postgresql"].contains(&url.scheme()) {
            return Err(value.must_be(expected));
        }
        to.postgres.url = Some(url);
        Ok(())
    }),
    honoured("Postgres", "Password", "", "its password, better given as a variable", |value, to| {
        to.postgres.password = Some(value.text.to_owned());
        Ok(())
    }),
    honoured("Git", "PollInterval", "5m", "how often builders look at their repositories", |value, to| {
        to.config.git.poll_interval = value.duration()?;
        if to.config.git.poll_interval.is_zero() { Err(value.must_be("longer than nothing")) } else { Ok(()) }
    }),
    honoured("Git", "BuildRetries", "3", "how often a build that failed for a reason that may pass is tried again", |value, to| {
        let expected = "a number from 0 to 100";
        to.config.git.retries = value.parse(expected)?;
        if to.config.git.retries > 100 { Err(value.must_be(expected)) } else { Ok(()) }
    }),
    ours("Git", "LocalFolder", "", "builders may read repositories below this folder of this machine, too; may be there several times", |value, to| {
        to.config.git.command.folders.push(PathBuf::from(value.text));
        Ok(())
    }),
    honoured("Authentication", "NewReposAuthByDefault", "false", "whether new repositories ask for a token unless they are made otherwise", |value, to| {
        value.bool().map(|read| to.config.new_repos_authenticated = read)
    }),
    honoured("Authentication", "RequireAuthForUI", "false", "whether the web interface is only for those who have signed in", |value, to| {
        // Said true in one of two places is enough.
        value.bool().map(|read| to.config.identity.require_login |= read)
    }),
    honoured("Authentication", "Lifetime", "1d", "how long people stay signed in who came by `OpenIDConnect`", |value, to| {
        identity::lifetime(value).map(|read| to.config.identity.session = read)
    }),
    nothing("Authentication", "APITokenAuth", "tokens are always taken"),
    nothing("Authentication", "DeviceAuthType", "devices are approved in the web interface"),
    nothing("Authentication", "Inactivity", "who has signed in stays so for `Authentication.Lifetime`"),
    nothing("Authentication", "CookieSweepDuration", "cookies are not kept"),
    honoured("Bootstrap", "PublicKey", "", "the public key that `rspm bootstrap keys` has shown, in PEM or base64; who has the private one gets a token", |value, to| {
        let read: Result<crate::bootstrap::Key, String> = value.text.parse();
        read.map(|key| to.config.bootstrap = Some(key)).map_err(|_| value.must_be("an RSA public key of 2048 bits or more, in PEM or base64"))
    }),
    honoured("Metrics", "Enabled", "true", "metrics and usage; said to be true, it opens the port for them", |value, to| {
        to.config.metrics.enabled = value.bool()?;
        if to.config.metrics.enabled { to.metrics.get_or_insert((None, METRICS_PORT)); }
        Ok(())
    }),
    honoured("Metrics", "Listen", ":2112", "port of `/metrics`, with an address before it if need be; opened only when this, `Metrics.Enabled` or `--metrics-port` says so", |value, to| {
        listen(value).map(|read| to.metrics = Some(read))
    }),
    ours("Metrics", "OnMainPort", "false", "whether the main port answers `/metrics`, too", |value, to| {
        value.bool().map(|read| to.config.metrics.on_main_port = read)
    }),
    ours("Storage", "DiskAlert", "90", "how full the disk of the data folder may be, in percent, before an alert tells of it; 100: never", |value, to| {
        let expected = "a number from 1 to 100";
        to.config.disk_alert = value.parse(expected)?;
        if (1..=100).contains(&to.config.disk_alert) { Ok(()) } else { Err(value.must_be(expected)) }
    }),
    nothing("Server", "RVersion", RUNTIME),
    nothing("Server", "PythonVersion", RUNTIME),
    nothing("Server", "LauncherDir", "there is no launcher"),
    nothing("Server", "SockFileDir", "`rspm` speaks HTTP also on this machine, with a token"),
    nothing("Server", "EncryptionKeyPath", "secrets are kept in the database"),
    nothing("Server", "AccessLog", "the control plane has a journal of requests"),
    nothing("Server", "AccessLogFormat", "the control plane has a journal of requests"),
    nothing("Postgres", "UsageDataURL", "usage is counted in the one database"),
    nothing("Postgres", "UsageDataPassword", "usage is counted in the one database"),
    nothing("SQLite", "*", "the database is in the data folder"),
    nothing("Storage", "*", "files are kept in the data folder"),
    nothing("FileStorage", "*", "files are kept in the data folder"),
    nothing("S3Storage", "*", "files are kept in the data folder"),
    nothing("Git", "BuilderDir", "builds need no folder of their own"),
    nothing("Git", "AllowUnsandboxedGitBuilds", "nothing of a repository is run"),
    nothing("Repos", "*", "which repositories are of CRAN, PyPI and Bioconductor, their types tell"),
    nothing("Licensing", "*", "no licence is needed, and everything is licensed"),
    nothing("Debug", "*", "what is logged, and how much of it, `--log` says"),
];

pub(super) const fn honoured(
    section: &'static str,
    key: &'static str,
    default: &'static str,
    what: &'static str,
    read: Reader,
) -> Setting {
    Setting { section, key, default, what, effect: Effect::Honoured(read) }
}

pub(super) const fn ours(
    section: &'static str,
    key: &'static str,
    default: &'static str,
    what: &'static str,
    read: Reader,
) -> Setting {
    Setting { section, key, default, what, effect: Effect::Ours(read) }
}

pub(super) const fn nothing(section: &'static str, key: &'static str, why: &'static str) -> Setting {
    Setting { section, key, default: "", what: why, effect: Effect::Nothing }
}

fn schedule(value: &Value<'_>) -> Result<crate::sync::schedule::Schedule, GcfgError> {
    value.parse("a schedule of five fields such as 0 0 * * *, or empty")
}

fn mode(value: &Value<'_>) -> Result<crate::sync::eager::Mode, GcfgError> {
    value.parse("lazy or eager")
}

/// A port, and the address before it if there is one.
fn listen(value: &Value<'_>) -> Result<(Option<IpAddr>, u16), GcfgError> {
    let expected = "a port with or without an address, such as :4242 or 127.0.0.1:4242";
    let (host, port) = value.text.rsplit_once(':').unwrap_or(("", value.text));
    let port = port.parse().map_err(|_| value.must_be(expected))?;
    let bind = match host.trim_start_matches('[').trim_end_matches(']') {
        "" => None,
        "localhost" => Some(Ipv4Addr::LOCALHOST.into()),
        host => Some(host.parse().map_err(|_| value.must_be(expected))?),
    };
    Ok((bind, port))
}
