//! `rstudio-pm.gcfg`, and the `PACKAGEMANAGER_…` variables that go before it.
//!
//! The real server reads `/etc/rstudio-pm/rstudio-pm.gcfg`; here the file is named with `--config`. [`SETTINGS`] is the one table of what
//! may stand in it. What the real server has and this one does not is told to be without effect, what nobody knows is warned of, and
//! neither keeps the server from starting: real files carry dozens of settings. A value that is not what its setting takes is refused
//! with its line. Flags of the command line go before variables, and these before the file. An empty value is as good as none, except
//! that a feed whose schedule is empty is only synchronised when somebody asks for it.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use sim_kit::cli::Https;
use sim_kit::gcfg::{Entry, Gcfg, GcfgError, Value, environment, variable};
use url::Url;

use crate::Config;

/// The real server's.
pub const METRICS_PORT: u16 = 2112;

/// What begins the names of variables.
const PREFIX: &str = "PACKAGEMANAGER";

/// Something that may stand in the file.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// As the documentation writes it.
    pub section: &'static str,
    /// The same; `*` for whatever the section has, also in subsections.
    pub key: &'static str,
    /// What holds when nothing is said, for people.
    pub default: &'static str,
    /// What it is for.
    pub what: &'static str,
    /// What it does here.
    pub effect: Effect,
}

/// What a setting does here.
#[derive(Debug, Clone, Copy)]
pub enum Effect {
    /// What it does in the real server.
    Honoured(Reader),
    /// The real server has no such setting.
    Ours(Reader),
    /// Nothing.
    Nothing,
}

/// Takes a value over, or says what would be right.
pub type Reader = fn(&Value<'_>, &mut Settings) -> Result<(), GcfgError>;

/// What file and variables say.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Of the server itself.
    pub config: Config,
    /// `HTTP.Listen`: its port.
    pub port: Option<u16>,
    /// `HTTP.Listen`: its address, where it has one.
    pub bind: Option<IpAddr>,
    /// HTTPS, if there shall be a port for it.
    pub https: Https,
    /// The port for metrics, if there shall be one, and its address, where it has one.
    pub metrics: Option<(Option<IpAddr>, u16)>,
    /// `Server.DataDir`.
    pub data_dir: Option<PathBuf>,
    /// Where the PostgreSQL database is, if that is the provider.
    pub database_url: Option<String>,
    postgres: Postgres,
}

#[derive(Debug, Clone, Default)]
struct Postgres {
    chosen: bool,
    url: Option<Url>,
    password: Option<String>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings in {path}: {source}")]
    File {
        /// Which.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is no settings file, or a value is wrong.
    #[error("{path}: {source}")]
    Gcfg {
        /// Which file.
        path: String,
        /// Where, and what was expected.
        source: GcfgError,
    },
}

const SCHEDULE: &str = "cron in UTC; empty: only when asked to";
const MODE: &str = "`lazy`: package files are fetched when clients ask for them; `eager`: with the synchronisation";
const RUNTIME: &str = "R and Python are not run";

/// Everything that is known.
#[rustfmt::skip] // a row a line
pub static SETTINGS: &[Setting] = &[
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
    nothing("Server", "SockFileDir", "`rspm` speaks HTTP, also on this machine"),
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
    nothing("OpenIDConnect", "*", "people sign in with a token"),
    nothing("IdentityFederation", "*", "people sign in with a token"),
    nothing("Licensing", "*", "no licence is needed"),
    nothing("Debug", "*", "`--log` says what is logged"),
];

/// Variables that begin as settings do and are none.
const OTHER_VARIABLES: [&str; 4] =
    ["PACKAGEMANAGER_ADDRESS", "PACKAGEMANAGER_TOKEN", "PACKAGEMANAGER_ENCRYPTION_KEY", "PACKAGEMANAGER_SECRET_KEY"];

const fn honoured(
    section: &'static str,
    key: &'static str,
    default: &'static str,
    what: &'static str,
    read: Reader,
) -> Setting {
    Setting { section, key, default, what, effect: Effect::Honoured(read) }
}

const fn ours(
    section: &'static str,
    key: &'static str,
    default: &'static str,
    what: &'static str,
    read: Reader,
) -> Setting {
    Setting { section, key, default, what, effect: Effect::Ours(read) }
}

const fn nothing(section: &'static str, key: &'static str, why: &'static str) -> Setting {
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

/// Reads the file at `path`, if one is named, the variables of the environment and `assignments` of the command line
/// (`Section.Key=value`), over `config`.
///
/// # Errors
/// The file cannot be read, or a value is wrong.
pub fn read(path: Option<&Path>, assignments: &[String], config: Config) -> Result<Settings, SettingsError> {
    let shown = path.map_or_else(|| "the environment".to_owned(), |path| path.display().to_string());
    let text = match path {
        None => String::new(),
        Some(path) => {
            std::fs::read_to_string(path).map_err(|source| SettingsError::File { path: shown.clone(), source })?
        }
    };
    let bad = |source| SettingsError::Gcfg { path: shown.clone(), source };
    let file = Gcfg::parse(&text).map_err(bad)?.with_variables(PREFIX, environment());
    let file = file.with_assignments(assignments).map_err(bad)?;
    for warning in warnings(&file) {
        tracing::warn!("{shown}: {warning}");
    }
    apply(&file, config).map_err(bad)
}

impl Setting {
    fn reader(&self) -> Option<Reader> {
        match self.effect {
            Effect::Honoured(read) | Effect::Ours(read) => Some(read),
            Effect::Nothing => None,
        }
    }

    fn is(&self, section: &str, subsection: Option<&str>, key: &str) -> bool {
        let whole = self.key == "*" || subsection.is_none() && self.key.eq_ignore_ascii_case(key);
        whole && self.section.eq_ignore_ascii_case(section)
    }

    /// Whether the variable `name` means this.
    fn is_variable(&self, name: &str) -> bool {
        match self.key {
            "*" => name.starts_with(&variable(PREFIX, self.section, None, "")),
            key => name == variable(PREFIX, self.section, None, key),
        }
    }
}

/// What of the file, the variables and the command line does nothing.
fn warnings(file: &Gcfg) -> Vec<String> {
    let told = |place: String, name: &str, known: Option<&Setting>| match known {
        None => Some(format!("{place}: there is no setting {name}")),
        Some(Setting { effect: Effect::Nothing, what, .. }) => {
            Some(format!("{place}: {name} is without effect here: {what}"))
        }
        Some(_) => None,
    };
    let known = |entry: &Entry| SETTINGS.iter().find(|s| s.is(&entry.section, entry.subsection.as_deref(), &entry.key));
    let of_file = file.entries().iter().map(|entry| (format!("line {}", entry.line), entry));
    let of_command = file.assigned().iter().map(|entry| ("--set".to_owned(), entry));
    let entries = of_file.chain(of_command).filter_map(|(place, entry)| told(place, &entry.name(), known(entry)));
    let variables = file.variables().filter(|name| !OTHER_VARIABLES.contains(name)).filter_map(|name| {
        let known = SETTINGS.iter().find(|setting| setting.is_variable(name));
        let shown = known.map_or_else(|| name.to_owned(), |known| format!("{}.{}", known.section, known.key));
        told(name.to_owned(), &shown, known)
    });
    entries.chain(variables).collect()
}

fn apply(file: &Gcfg, config: Config) -> Result<Settings, GcfgError> {
    let mut settings = Settings {
        config,
        port: None,
        bind: None,
        https: Https::default(),
        metrics: None,
        data_dir: None,
        database_url: None,
        postgres: Postgres::default(),
    };
    for setting in SETTINGS {
        let Some(read) = setting.reader() else { continue };
        for value in file.all(setting.section, None, setting.key) {
            if !value.text.is_empty() || setting.key == "SyncSchedule" {
                read(&value, &mut settings)?;
            }
        }
    }
    if settings.postgres.chosen {
        let Postgres { url, password, .. } = &settings.postgres;
        let provider = file.get("Database", None, "Provider");
        settings.database_url = match (url.clone(), provider) {
            (Some(mut url), _) => {
                if let (Some(password), Some(value)) = (password, file.get("Postgres", None, "URL")) {
                    url.set_password(Some(password)).map_err(|()| value.must_be("a URL with a host"))?;
                }
                Some(url.to_string())
            }
            (None, Some(value)) => {
                return Err(value.must_be("sqlite, unless Postgres.URL says where the database is"));
            }
            (None, None) => None,
        };
    }
    Ok(settings)
}

/// The table for people, as Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| setting | variable | default | meaning |\n|---|---|---|---|\n");
    let code = |text: &str| if text.is_empty() { String::new() } else { format!("`{text}`") };
    for Setting { section, key, default, what, effect } in SETTINGS {
        let what = match effect {
            Effect::Nothing => continue,
            Effect::Honoured(_) => (*what).to_owned(),
            Effect::Ours(_) => format!("{what} (not in the real server)"),
        };
        let name = variable(PREFIX, section, None, key);
        let _ = writeln!(text, "| `{section}.{key}` | `{name}` | {} | {what} |", code(default));
    }
    text.push_str("\nKnown, and without effect here:\n\n| setting | why |\n|---|---|\n");
    for Setting { section, key, what, .. } in SETTINGS.iter().filter(|s| matches!(s.effect, Effect::Nothing)) {
        let _ = writeln!(text, "| `{section}.{key}` | {what} |");
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sync::eager::Mode;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Settings, GcfgError> {
        let set = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let file = Gcfg::parse(text)?.with_variables(PREFIX, set);
        apply(&file, Config::new("http://127.0.0.1:9".parse().unwrap()))
    }

    const FILE: &str = "[Server]\nAddress = https://packages.example.org/rspm\nDataDir = /srv/rspm\n[Http]\nListen = :4243\n\
                        [CRAN]\nSyncSchedule = 0 3 * * *\n[pypi]\nSyncMode = eager\nSyncSchedule =\n\
                        [Git]\nPollInterval = 90s\nBuildRetries = 1\nLocalFolder = /srv/git\nLocalFolder = /home/git\n[Authentication]\nNewReposAuthByDefault\n\
                        [Database]\nProvider = Postgres\n[Postgres]\nURL = postgres://pm@db.example.org/pm\n";

    #[test]
    fn what_the_file_says_and_the_variables_before_it() {
        let secret = [("PACKAGEMANAGER_POSTGRES_PASSWORD", "s3:cret"), ("PACKAGEMANAGER_GIT_BUILDRETRIES", "2")];
        let Settings { config, port, bind, data_dir, database_url, .. } = read(FILE, &secret).unwrap();
        assert_eq!(config.address.as_deref(), Some("https://packages.example.org/rspm"));
        assert_eq!((config.git.poll_interval, config.git.retries), (Duration::from_secs(90), 2));
        assert_eq!(config.git.command.folders, [Path::new("/srv/git"), Path::new("/home/git")]);
        assert_eq!((config.cran.schedule.to_string().as_str(), config.cran.mode), ("0 3 * * *", Mode::Lazy));
        assert!(config.pypi.schedule.is_empty() && config.pypi.mode == Mode::Eager);
        assert_eq!(config.bioconductor.schedule.to_string(), "0 2 * * *");
        assert!(config.new_repos_authenticated);
        assert_eq!((port, bind, data_dir), (Some(4243), None, Some(PathBuf::from("/srv/rspm"))));
        assert_eq!(database_url.as_deref(), Some("postgres://pm:s3%3Acret@db.example.org/pm"));
        let empty = [("PACKAGEMANAGER_HTTP_LISTEN", ""), ("PACKAGEMANAGER_SERVER_ADDRESS", "")];
        let Settings { config, port, data_dir, database_url, metrics, .. } = read("", &empty).unwrap();
        assert_eq!((config.address, port, data_dir, database_url, metrics), (None, None, None, None, None));
    }

    #[test]
    fn addresses_to_listen_on() {
        for (text, bind, port) in [
            (":4243", None, 4243),
            ("4243", None, 4243),
            ("localhost:1", Some("127.0.0.1"), 1),
            ("0.0.0.0:80", Some("0.0.0.0"), 80),
            ("[::1]:0", Some("::1"), 0),
        ] {
            let settings = read(&format!("[HTTP]\nListen = {text}"), &[]).unwrap();
            assert_eq!((settings.bind, settings.port), (bind.map(|ip| ip.parse().unwrap()), Some(port)), "{text}");
        }
    }

    #[test]
    fn the_port_for_metrics() {
        let metrics = |text: &str| {
            let Settings { config, metrics, .. } = read(&format!("[Metrics]\n{text}"), &[]).unwrap();
            (config.metrics.enabled, config.metrics.on_main_port, metrics)
        };
        assert_eq!(metrics(""), (true, false, None));
        assert_eq!(metrics("Enabled = 1"), (true, false, Some((None, 2112))));
        assert_eq!(
            metrics("Listen = 127.0.0.1:0\nEnabled"),
            (true, false, Some((Some(Ipv4Addr::LOCALHOST.into()), 0)))
        );
        assert_eq!(metrics("Listen = 2113\nOnMainPort = yes"), (true, true, Some((None, 2113))));
        assert_eq!(metrics("Enabled = no"), (false, false, None));
    }

    #[test]
    fn wrong_values_are_refused_with_their_line() {
        for (text, expected) in [
            ("[HTTP]\nListen = all", "line 2: HTTP.Listen must be a port with or without an address"),
            ("[HTTP]\nListen = example.org:80", "line 2: HTTP.Listen must be a port with or without an address"),
            ("[HTTP]\nListen = :65536", "line 2: HTTP.Listen must be"),
            ("[Git]\n\nPollInterval = often", "line 3: Git.PollInterval must be a length of time"),
            ("[Git]\nPollInterval = 0", "line 2: Git.PollInterval must be longer than nothing"),
            ("[Git]\nBuildRetries = 101", "line 2: Git.BuildRetries must be a number from 0 to 100"),
            ("[Database]\nProvider = oracle", "line 2: Database.Provider must be sqlite or postgres"),
            ("[Database]\nProvider = postgres", "line 2: Database.Provider must be sqlite, unless Postgres.URL"),
            ("[Postgres]\nURL = mysql://x/y", "line 2: Postgres.URL must be a URL such as postgres://"),
            ("[CRAN]\nSyncSchedule = daily", "line 2: CRAN.SyncSchedule must be a schedule"),
            ("[Storage]\nDiskAlert = 0", "line 2: Storage.DiskAlert must be a number from 1 to 100"),
            ("[PyPI]\nSyncMode = sometimes", "line 2: PyPI.SyncMode must be lazy or eager"),
            ("[Server]\nAddress = here", "line 2: Server.Address must be a URL"),
            (
                "[Authentication]\nNewReposAuthByDefault = 2",
                "line 2: Authentication.NewReposAuthByDefault must be true",
            ),
        ] {
            let error = read(text, &[]).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
        let error = read("", &[("PACKAGEMANAGER_CRAN_SYNCSCHEDULE", "daily")]).unwrap_err().to_string();
        assert!(error.starts_with("PACKAGEMANAGER_CRAN_SYNCSCHEDULE: CRAN.SyncSchedule must be"), "{error}");
    }

    #[test]
    fn what_does_nothing_is_told() {
        let text = "[Server]\nRVersion = /opt/R\nAdress = x\n[git]\npollinterval = 5m\n[Debug]\nlog = sync\n\
                    [IdentityFederation \"ci\"]\nIssuer = x\n[Server \"x\"]\nAddress = y\n";
        let names = ["PACKAGEMANAGER_GIT_BUILDERDIR", "PACKAGEMANAGER_GIT_POLINTERVAL", "PACKAGEMANAGER_HTTP_LISTEN"];
        let others = ["PACKAGEMANAGER_TOKEN", "PACKAGEMANAGER_S3STORAGE_BUCKET", "PATH"];
        let variables = names.into_iter().chain(others).map(|name| (name.to_owned(), String::new()));
        let file = Gcfg::parse(text).unwrap().with_variables(PREFIX, variables);
        let file = file.with_assignments(&["HTTP.Lisen=:1".to_owned(), "HTTP.Listen=:1".to_owned()]).unwrap();
        let told = warnings(&file);
        let expected = [
            "line 2: Server.RVersion is without effect here: R and Python are not run",
            "line 3: there is no setting Server.Adress",
            "line 7: Debug.log is without effect here: `--log` says what is logged",
            "line 9: IdentityFederation.ci.Issuer is without effect here: people sign in with a token",
            "line 11: there is no setting Server.x.Address",
            "--set: there is no setting HTTP.Lisen",
            "PACKAGEMANAGER_GIT_BUILDERDIR: Git.BuilderDir is without effect here: builds need no folder of their own",
            "PACKAGEMANAGER_GIT_POLINTERVAL: there is no setting PACKAGEMANAGER_GIT_POLINTERVAL",
            "PACKAGEMANAGER_S3STORAGE_BUCKET: S3Storage.* is without effect here: files are kept in the data folder",
        ];
        assert_eq!(told, expected);
    }

    /// Defaults that are values must be what holds when nothing is said.
    #[test]
    fn the_defaults_of_the_table_are_the_defaults() {
        let plain = format!("{:?}", read("", &[]).unwrap().config);
        for setting in SETTINGS.iter().filter(|setting| !setting.default.is_empty()) {
            let text = format!("[{}]\n{} = {}", setting.section, setting.key, setting.default);
            // What is not of the server itself has no default in its Config.
            if setting.key != "Listen" {
                assert_eq!(format!("{:?}", read(&text, &[]).unwrap().config), plain, "{text}");
            }
        }
    }

    #[test]
    fn the_documented_settings_are_these() {
        let head = "# Settings of Package Manager\n\nA settings file in the real server's syntax is named with\n\
                    `teamsim serve pkgmgr --config rstudio-pm.gcfg` (for a whole team `--pkgmgr-config`). Flags go before\n\
                    variables, variables before the file; `--set Section.Key=value` is the flag of what has none. A wrong value is refused with its line; what is not known is\n\
                    warned of. An empty value is as good as none.\n\nThis page is generated from\n\
                    `pkgmgr-sim/src/settings.rs` by its tests.\n\n";
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/PACKAGE_MANAGER_SETTINGS.md");
        sim_kit::testing::generated(&path, &(head.to_owned() + &markdown()));
    }
}
