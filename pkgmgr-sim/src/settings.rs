//! `rstudio-pm.gcfg`, and the `PACKAGEMANAGER_…` variables that go before it.
//!
//! The real server reads `/etc/rstudio-pm/rstudio-pm.gcfg`; here the file is named with `--config`. [`settings`] are the one table of what
//! may stand in it. What the real server has and this one does not is told to be without effect, what nobody knows is warned of, and
//! neither keeps the server from starting: real files carry dozens of settings. A value that is not what its setting takes is refused
//! with its line. Flags of the command line go before variables, and these before the file. An empty value is as good as none, except
//! that a feed whose schedule is empty is only synchronised when somebody asks for it.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use sim_kit::cli::Https;
use sim_kit::gcfg::{Entry, Gcfg, GcfgError, Value, environment, variable};
use url::Url;

use crate::Config;
use crate::identity::Provider;

mod identity;
mod table;

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
    /// The same, of each subsection.
    Named(NamedReader),
    /// The real server has no such setting.
    Ours(Reader),
    /// Nothing.
    Nothing,
}

/// Takes a value over, or says what would be right.
pub type Reader = fn(&Value<'_>, &mut Settings) -> Result<(), GcfgError>;

/// The same of the subsection with this name.
pub type NamedReader = fn(&Value<'_>, &str, &mut Settings) -> Result<(), GcfgError>;

/// Everything that is known.
pub fn settings() -> impl Iterator<Item = &'static Setting> {
    table::SETTINGS.iter().chain(identity::SETTINGS)
}

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
    /// `OpenIDConnect`, as far as it is said.
    provider: Provider,
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

/// Variables that begin as settings do and are none.
const OTHER_VARIABLES: [&str; 6] = [
    "PACKAGEMANAGER_ADDRESS",
    "PACKAGEMANAGER_TOKEN",
    "PACKAGEMANAGER_ENCRYPTION_KEY",
    "PACKAGEMANAGER_SECRET_KEY",
    "PACKAGEMANAGER_IDENTITY_TOKEN_FILE",
    "PACKAGEMANAGER_SSO_TOKEN_FILE",
];

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
    fn is(&self, section: &str, subsection: Option<&str>, key: &str) -> bool {
        let whole = self.key == "*" || subsection.is_some() == self.is_named() && self.key.eq_ignore_ascii_case(key);
        whole && self.section.eq_ignore_ascii_case(section)
    }

    /// Whether it stands in subsections.
    fn is_named(&self) -> bool {
        identity::NAMED.contains(&self.section)
    }

    /// How it is named in print; the name of a subsection is anything.
    fn name(&self) -> String {
        let sub = if self.is_named() { ".NAME" } else { "" };
        format!("{}{sub}.{}", self.section, self.key)
    }

    /// Whether the variable `name` means this.
    fn is_variable(&self, name: &str) -> bool {
        let begin = variable(PREFIX, self.section, None, "");
        match (self.key, self.is_named()) {
            ("*", _) => name.starts_with(&begin),
            (key, true) => name.starts_with(&begin) && name.ends_with(&format!("_{}", key.to_ascii_uppercase())),
            (key, _) => name == variable(PREFIX, self.section, None, key),
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
    let known = |entry: &Entry| settings().find(|s| s.is(&entry.section, entry.subsection.as_deref(), &entry.key));
    let of_file = file.entries().iter().map(|entry| (format!("line {}", entry.line), entry));
    let of_command = file.assigned().iter().map(|entry| ("--set".to_owned(), entry));
    let entries = of_file.chain(of_command).filter_map(|(place, entry)| told(place, &entry.name(), known(entry)));
    let variables = file.variables().filter(|name| !OTHER_VARIABLES.contains(name)).filter_map(|name| {
        let known = settings().find(|setting| setting.is_variable(name));
        let shown = known.map_or_else(|| name.to_owned(), Setting::name);
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
        provider: identity::provider(),
    };
    let counts = |setting: &Setting, value: &Value<'_>| !value.text.is_empty() || setting.key == "SyncSchedule";
    for setting in self::settings() {
        match setting.effect {
            Effect::Nothing => {}
            Effect::Honoured(read) | Effect::Ours(read) => {
                for value in file.all(setting.section, None, setting.key).iter().filter(|value| counts(setting, value))
                {
                    read(value, &mut settings)?;
                }
            }
            Effect::Named(read) => {
                for name in file.subsections(setting.section) {
                    for value in
                        file.all(setting.section, Some(name), setting.key).iter().filter(|value| counts(setting, value))
                    {
                        read(value, name, &mut settings)?;
                    }
                }
            }
        }
    }
    identity::conclude(file, &mut settings)?;
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
    for setting in settings() {
        let Setting { section, key, default, what, effect } = setting;
        let (sub, what) = match effect {
            Effect::Nothing => continue,
            Effect::Honoured(_) => (None, (*what).to_owned()),
            Effect::Named(_) => (Some("NAME"), (*what).to_owned()),
            Effect::Ours(_) => (None, format!("{what} (not in the real server)")),
        };
        let variable = variable(PREFIX, section, sub, key);
        let _ = writeln!(text, "| `{}` | `{variable}` | {} | {what} |", setting.name(), code(default));
    }
    text.push_str("\nKnown, and without effect here:\n\n| setting | why |\n|---|---|\n");
    for setting in settings().filter(|s| matches!(s.effect, Effect::Nothing)) {
        let _ = writeln!(text, "| `{}` | {} |", setting.name(), setting.what);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::sync::eager::Mode;

    pub(super) fn read(text: &str, variables: &[(&str, &str)]) -> Result<Settings, GcfgError> {
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
                    [IdentityFederation \"ci\"]\nIssuer = x\nCustomScope = y\n[IdentityFederation]\nIssuer = x\n[Server \"x\"]\nAddress = y\n";
        let names = ["PACKAGEMANAGER_GIT_BUILDERDIR", "PACKAGEMANAGER_GIT_POLINTERVAL", "PACKAGEMANAGER_HTTP_LISTEN"];
        let others = ["PACKAGEMANAGER_TOKEN", "PACKAGEMANAGER_S3STORAGE_BUCKET", "PATH"];
        let variables = names.into_iter().chain(others).map(|name| (name.to_owned(), String::new()));
        let file = Gcfg::parse(text).unwrap().with_variables(PREFIX, variables);
        let file = file.with_assignments(&["HTTP.Lisen=:1".to_owned(), "HTTP.Listen=:1".to_owned()]).unwrap();
        let told = warnings(&file);
        let expected = [
            "line 2: Server.RVersion is without effect here: R and Python are not run",
            "line 3: there is no setting Server.Adress",
            "line 7: Debug.log is without effect here: what is logged, and how much of it, `--log` says",
            "line 10: IdentityFederation.ci.CustomScope is without effect here: tokens come from elsewhere, and nothing is asked for them",
            "line 12: there is no setting IdentityFederation.Issuer",
            "line 14: there is no setting Server.x.Address",
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
        for setting in settings().filter(|setting| !setting.default.is_empty()) {
            let text = format!("[{}]\n{} = {}", setting.section, setting.key, setting.default);
            // What is not of the server itself, or of what is there only by name, has no default in its Config.
            if setting.key != "Listen" && !setting.is_named() {
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
