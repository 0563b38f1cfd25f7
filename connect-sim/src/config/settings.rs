//! The product's own settings: `rstudio-connect.gcfg`, and a variable `CONNECT_<SECTION>_<KEY>` for each.
//!
//! One table says what each of them does here. `--set Section.Key=value` goes before the variable, and that before the
//! file. What has no meaning in a simulator is taken without a word; what nobody knows is warned of, with its line.
//! `docs/CONNECT-SETTINGS.md` is written from the table.
//!
//! Names are the product's documented ones. Its defaults are kept except where the table says otherwise.

use sim_kit::gcfg::{Gcfg, GcfgError, Value, variable};

use super::values::{
    ADDRESS, BOOL, COUNT, FEATURES, NUMBER, PROGRAMS, SHOWN, SIZE, TEXT, TIME, URL, access, address, bytes, features,
    format, fraction, line, listen, number, one_of, path, positive, postgres, read, role, seconds, secret, set, target,
    time, url, versions, whole,
};
use super::{ConfigError, Setup};
use crate::git::Credential;

/// What the names of variables begin with.
pub const PREFIX: &str = "CONNECT";

/// What a setting does.
#[derive(Clone, Copy)]
pub enum Effect {
    /// Its last value counts.
    One(fn(&mut Setup, &Value<'_>) -> Result<(), GcfgError>),
    /// All its values count.
    List(fn(&mut Setup, &[Value<'_>]) -> Result<(), GcfgError>),
    /// It stands in a section that may be there several times, under names, and is read with the others of that section.
    Named,
}

/// A setting that does something.
pub struct Setting {
    /// `Server`.
    pub section: &'static str,
    /// `Address`.
    pub key: &'static str,
    /// What it takes.
    pub takes: &'static str,
    /// What it does.
    pub what: &'static str,
    /// How.
    pub effect: Effect,
}

const fn row(
    section: &'static str,
    key: &'static str,
    takes: &'static str,
    what: &'static str,
    effect: Effect,
) -> Setting {
    Setting { section, key, takes, what, effect }
}

use Effect::{List, Named, One};

/// The settings that do something.
#[rustfmt::skip] // a row a setting
pub const SETTINGS: &[Setting] = &[
    row("Server", "Address", URL, "what absolute URLs begin with; default: taken from each request",
        One(|s, v| set(&mut s.config.address, Some(url(v)?)))),
    row("Server", "DataDir", "a folder", "where everything is kept, unless `--data-dir` says so; default: nothing is kept",
        One(|s, v| set(&mut s.place.data_dir, Some(path(v)?)))),
    row("Server", "HideVersion", BOOL, "whether callers without a credential are told no version",
        One(|s, v| set(&mut s.config.hide_version, v.bool()?))),
    row("Server", "HideEmailAddresses", BOOL, "whether only administrators are told the addresses of others",
        One(|s, v| set(&mut s.config.hide_email_addresses, v.bool()?))),
    row("Server", "PublicWarning", TEXT, "shown in settings and on the sign-in page",
        One(|s, v| set(&mut s.config.public_warning, v.text.to_owned()))),
    row("Server", "LoggedInWarning", TEXT, "shown in settings to who is signed in",
        One(|s, v| set(&mut s.config.logged_in_warning, v.text.to_owned()))),
    row("Server", "DefaultContentListView", "compact or expanded", "shown in settings",
        One(|s, v| set(&mut s.config.content_list_view, one_of(v, &["compact", "expanded"])?))),
    row("Server", "EmailProvider", "SMTP, sendmail, print or none", "SMTP: mail leaves by SMTP.Host; sendmail: by a program; the others: it is kept, and shown in the control plane; default: SMTP if there is an SMTP.Host",
        One(|s, v| set(&mut s.mail.provider, Some(one_of(v, &["smtp", "sendmail", "print", "none"])?)))),
    row("Server", "SendmailPath", "a program", "what mail is given to where Server.EmailProvider is sendmail, with `-t` and `-i` as its arguments and no shell between; default: /usr/sbin/sendmail (a setting of this simulator)",
        One(|s, v| set(&mut s.mail.program, Some(path(v)?)))),
    row("Server", "SenderEmail", ADDRESS, "who mail is from", One(|s, v| set(&mut s.mail.sender, Some(address(v)?)))),
    row("Server", "SenderEmailDisplayName", TEXT, "the same, for people", One(|s, v| set(&mut s.mail.sender_name, Some(line(v)?)))),
    row("Server", "EmailTo", ADDRESS, "where all mail goes, whoever it is for", One(|s, v| set(&mut s.mail.redirect, Some(address(v)?)))),
    row("Server", "EmailSubjectPrefix", TEXT, "what subjects begin with (the name is inferred)", One(|s, v| set(&mut s.mail.subject_prefix, line(v)?))),
    row("SMTP", "Host", TEXT, "the mail server", One(|s, v| set(&mut s.mail.host, Some(line(v)?)))),
    row("SMTP", "Port", "a port", "of it; default: 25, with SSL 465",
        One(|s, v| set(&mut s.mail.port, Some(v.parse("a port from 1 to 65535").ok().filter(|port| *port > 0).ok_or_else(|| v.must_be("a port from 1 to 65535"))?)))),
    row("SMTP", "User", TEXT, "who signs in there; default: nobody does", One(|s, v| set(&mut s.mail.user, Some(line(v)?)))),
    row("SMTP", "Password", TEXT, "the password of User", One(|s, v| set(&mut s.mail.password, v.text.to_owned()))),
    row("SMTP", "SSL", BOOL, "whether the connection is encrypted from its first byte", One(|s, v| set(&mut s.mail.ssl, v.bool()?))),
    row("SMTP", "StartTLS", "detect, always or never", "whether it is encrypted afterwards; detect: if the server offers that",
        One(|s, v| set(&mut s.mail.starttls, Some(one_of(v, &["detect", "always", "never"])?)))),
    row("Server", "ProxyHeaderLogging", BOOL, "whether the access log believes X-Forwarded-For",
        One(|s, v| set(&mut s.forwarded, v.bool()?))),
    row("Logging", "AccessLog", "STDOUT, STDERR or a file", "where requests are logged; default: nowhere",
        One(|s, v| set(&mut s.access_log, target(v)))),
    row("Logging", "AccessLogFormat", "COMMON, COMBINED or JSON", "a line of that log; default: COMBINED",
        One(|s, v| set(&mut s.access_format, format(v)?))),
    row("Metrics", "PrometheusListen", "a port such as :3232, or an address with one; empty: none",
        "where Prometheus finds `/metrics`, unless `--metrics-port` says so; default: 3232 where the server itself has port 3939, none otherwise",
        One(|s, v| set(&mut s.place.metrics, Some(if v.text.is_empty() { None } else { Some(listen(v)?) })))),
    row("Metrics", "OnMainPort", BOOL, "whether `/metrics` is answered at the port of everything else, too (a setting of this simulator)",
        One(|s, v| set(&mut s.config.metrics_on_main_port, v.bool()?))),
    row("HTTP", "Listen", "a port such as :3939, or an address with one",
        "the port, unless `--port` says so; the address, if it has one, unless `--bind` says so",
        One(|s, v| set(&mut s.place.listen, Some(listen(v)?)))),
    row("HTTP", "ForceSecure", BOOL, "whether cookies are always `Secure`",
        One(|s, v| set(&mut s.config.force_secure, v.bool()?))),
    row("HTTPS", "Listen", "a port such as :443, or an address with one",
        "the port of HTTPS, beside that of HTTP; opened when there is a certificate; default: 443",
        One(|s, v| listen(v).map(|at| s.place.https.listen = Some((at.address, at.port))))),
    row("HTTPS", "Certificate", "a PEM file", "the server's certificate, followed by those that lead to a known one",
        One(|s, v| set(&mut s.place.https.certificate, Some(path(v)?)))),
    row("HTTPS", "Key", "a PEM file", "its key",
        One(|s, v| set(&mut s.place.https.key, Some(path(v)?)))),
    row("HTTPS", "Permanent", BOOL, "whether browsers that come by HTTPS are told to come by nothing else for thirty days, and cookies are always `Secure`",
        One(|s, v| set(&mut s.config.https_permanent, v.bool()?))),
    row("HTTPRedirect", "Listen", "a port such as :80, or an address with one", "a port that sends everybody to HTTPS; opened when there is HTTPS; default: none",
        One(|s, v| listen(v).map(|at| s.place.https.redirect = Some((at.address, at.port))))),
    row("Database", "Provider", "sqlite or postgres", "where rows are kept, unless `--database-url` says so",
        One(|s, v| set(&mut s.place.postgres, one_of(v, &["sqlite", "postgres"])? == "postgres"))),
    row("Database", "SeedUsers", BOOL, "as `--seed-users`: whether a fresh world has the users admin, publisher and viewer; default: unless Bootstrap.Enabled",
        One(|s, v| set(&mut s.seed_users, Some(v.bool()?)))),
    row("Postgres", "URL", "a postgres:// URL", "the database for Database.Provider = postgres",
        One(|s, v| set(&mut s.place.postgres_url, Some(postgres(v)?)))),
    row("Postgres", "Password", TEXT, "its password, in place of one in the URL",
        One(|s, v| set(&mut s.place.postgres_password, Some(v.text.to_owned())))),
    row("Bootstrap", "Enabled", BOOL, "whether bootstrap requests are answered",
        One(|s, v| set(&mut s.bootstrap, v.bool()?))),
    row("Bootstrap", "SecretKey", "base64 of 32 bytes or more", "what bootstrap tokens are signed with",
        One(|s, v| set(&mut s.bootstrap_secret, Some(secret(v, v.text)?)))),
    row("Bootstrap", "SecretKeyFile", "a file", "the same, read from a file",
        One(|s, v| set(&mut s.bootstrap_secret, Some(secret(v, &read(v)?)?)))),
    row("Authentication", "Provider", "password or oauth2", "who signs users in",
        One(|s, v| set(&mut s.oauth2, one_of(v, &["password", "oauth2"])? == "oauth2"))),
    row("Authentication", "Name", TEXT, "how settings call who signs users in",
        One(|s, v| set(&mut s.config.authentication_name, Some(v.text.to_owned())))),
    row("Authentication", "Notice", TEXT, "shown in settings and on the sign-in page",
        One(|s, v| set(&mut s.config.authentication_notice, v.text.to_owned()))),
    row("Authentication", "Lifetime", TIME, "how long a browser stays signed in; default here: 24h",
        One(|s, v| set(&mut s.config.session_lifetime, time(v)?))),
    row("Authentication", "Inactivity", TIME, "how long a browser stays signed in that does nothing; 0, the default here: as long as any",
        One(|s, v| set(&mut s.config.session_inactivity, Some(time(v)?).filter(|time| !time.is_zero())))),
    row("OAuth2", "OpenIDConnectIssuer", URL, "the provider for Authentication.Provider = oauth2; default: the built-in one, where a user is chosen on a page",
        One(|s, v| set(&mut s.identity.issuer, Some(url(v)?)))),
    row("OAuth2", "ClientId", TEXT, "what this server is called there",
        One(|s, v| set(&mut s.identity.client_id, v.text.to_owned()))),
    row("OAuth2", "ClientSecret", TEXT, "what it proves itself with there",
        One(|s, v| set(&mut s.client_secret, Some(v.text.to_owned())))),
    row("OAuth2", "ClientSecretFile", "a file", "the same, read from a file",
        One(|s, v| set(&mut s.client_secret, Some(read(v)?)))),
    row("OAuth2", "CustomScope", "words", "what is asked for beside openid, profile and email",
        List(|s, all| { all.iter().for_each(|v| { s.identity.scope.push(' '); s.identity.scope.push_str(v.text.trim()) }); Ok(()) })),
    row("OAuth2", "UsernameClaim", TEXT, "the claim of the user name",
        One(|s, v| set(&mut s.identity.username_claim, v.text.to_owned()))),
    row("OAuth2", "GroupsClaim", TEXT, "the claim of the groups",
        One(|s, v| set(&mut s.identity.groups_claim, v.text.to_owned()))),
    row("OAuth2", "GroupsAutoProvision", BOOL, "whether groups are made as tokens name them",
        One(|s, v| set(&mut s.identity.groups_auto_provision, v.bool()?))),
    row("OAuth2", "RegisterOnFirstLogin", BOOL, "whether who signs in for the first time gets an account",
        One(|s, v| set(&mut s.identity.register, v.bool()?))),
    row("Authorization", "DefaultUserRole", "viewer or publisher", "the role of an account that is made without one",
        One(|s, v| set(&mut s.config.default_role, role(v)?))),
    row("Authorization", "PublishersCanManageVanities", BOOL, "whether vanity URLs are not for administrators only; default here: true",
        One(|s, v| set(&mut s.config.publishers_can_manage_vanities, v.bool()?))),
    row("Authorization", "ViewersCanOnlySeeThemselves", BOOL, "whether lists of users and groups show viewers nobody else",
        One(|s, v| set(&mut s.config.viewers_can_only_see_themselves, v.bool()?))),
    row("Applications", "BundleRetentionLimit", COUNT, "bundles that are kept of an item, beside the active one; 0: all",
        One(|s, v| set(&mut s.config.bundles.keep, whole(v)?))),
    row("Applications", "BundleReapFrequency", TIME, "how often those over it are taken away, on the World's clock",
        One(|s, v| set(&mut s.config.bundles.every, positive(v)?))),
    row("Applications", "ScheduleConcurrency", COUNT, "scheduled renders at a time; 0: as many as there are builders",
        One(|s, v| set(&mut s.config.schedule_concurrency, whole(v)?))),
    row("Applications", "MaxAppImageSize", SIZE, "bytes of a thumbnail",
        One(|s, v| set(&mut s.config.limits.image_bytes, usize::try_from(bytes(v)?).unwrap_or(usize::MAX)))),
    row("Applications", "MostPermissiveAccessType", "all, logged_in or acl", "the widest access that content can be given",
        One(|s, v| set(&mut s.config.widest_access, access(v)?))),
    row("Applications", "RunAs", TEXT, "shown in settings; content may be set to run as it, and as the users of `--unix-user`",
        One(|s, v| set(&mut s.config.run_as, v.text.to_owned()))),
    row("Applications", "RunAsCurrentUser", BOOL, "shown in settings",
        One(|s, v| set(&mut s.config.run_as_current_user, v.bool()?))),
    row("Scheduler", "MinProcesses", COUNT, "processes that content keeps running, unless it says otherwise",
        One(|s, v| set(&mut s.config.scheduler.min_processes, whole(v)?))),
    row("Scheduler", "MaxProcesses", COUNT, "processes that content may have, unless it says otherwise",
        One(|s, v| set(&mut s.config.scheduler.max_processes, whole(v)?))),
    row("Scheduler", "MaxConnsPerProcess", COUNT, "connections that a process may have, unless its content says otherwise",
        One(|s, v| set(&mut s.config.scheduler.max_conns_per_process, whole(v)?))),
    row("Scheduler", "LoadFactor", "a number from 0 to 1", "how full processes are when another one starts",
        One(|s, v| set(&mut s.config.scheduler.load_factor, fraction(v)?))),
    row("Scheduler", "InitTimeout", TIME, "the time that a process has to start",
        One(|s, v| set(&mut s.config.scheduler.init_timeout, seconds(v)?))),
    row("Scheduler", "IdleTimeout", TIME, "after which an idle process is stopped",
        One(|s, v| set(&mut s.config.scheduler.idle_timeout, seconds(v)?))),
    row("Scheduler", "ConnectionTimeout", TIME, "silence after which a connection is closed",
        One(|s, v| set(&mut s.config.scheduler.connection_timeout, seconds(v)?))),
    row("Scheduler", "ReadTimeout", TIME, "silence of the browser after which a connection is closed",
        One(|s, v| set(&mut s.config.scheduler.read_timeout, seconds(v)?))),
    row("Scheduler", "MinProcessesLimit", COUNT, "the most that content can ask for as MinProcesses",
        One(|s, v| set(&mut s.config.scheduler.min_processes_limit, whole(v)?))),
    row("Scheduler", "MaxProcessesLimit", COUNT, "the most that content can ask for as MaxProcesses",
        One(|s, v| set(&mut s.config.scheduler.max_processes_limit, whole(v)?))),
    row("Scheduler", "CPURequest", NUMBER, "cores kept for a process", One(|s, v| set(&mut s.config.scheduler.cpu_request, number(v)?))),
    row("Scheduler", "MaxCPURequest", NUMBER, "the most cores that content can have kept; 0: no limit",
        One(|s, v| set(&mut s.config.scheduler.max_cpu_request, number(v)?))),
    row("Scheduler", "CPULimit", NUMBER, "cores that a process may use", One(|s, v| set(&mut s.config.scheduler.cpu_limit, number(v)?))),
    row("Scheduler", "MaxCPULimit", NUMBER, "the most cores that content can ask for; 0: no limit",
        One(|s, v| set(&mut s.config.scheduler.max_cpu_limit, number(v)?))),
    row("Scheduler", "MemoryRequest", SIZE, "bytes kept for a process", One(|s, v| set(&mut s.config.scheduler.memory_request, bytes(v)?))),
    row("Scheduler", "MaxMemoryRequest", SIZE, "the most bytes that content can have kept; 0: no limit",
        One(|s, v| set(&mut s.config.scheduler.max_memory_request, bytes(v)?))),
    row("Scheduler", "MemoryLimit", SIZE, "bytes that a process may use", One(|s, v| set(&mut s.config.scheduler.memory_limit, bytes(v)?))),
    row("Scheduler", "MaxMemoryLimit", SIZE, "the most bytes that content can ask for; 0: no limit",
        One(|s, v| set(&mut s.config.scheduler.max_memory_limit, bytes(v)?))),
    row("Scheduler", "AMDGPULimit", COUNT, "AMD GPUs of a process", One(|s, v| set(&mut s.config.scheduler.amd_gpu_limit, whole(v)?))),
    row("Scheduler", "MaxAMDGPULimit", COUNT, "the most AMD GPUs that content can ask for; 0: no limit",
        One(|s, v| set(&mut s.config.scheduler.max_amd_gpu_limit, whole(v)?))),
    row("Scheduler", "NvidiaGPULimit", COUNT, "NVIDIA GPUs of a process", One(|s, v| set(&mut s.config.scheduler.nvidia_gpu_limit, whole(v)?))),
    row("Scheduler", "MaxNvidiaGPULimit", COUNT, "the most NVIDIA GPUs that content can ask for; 0: no limit",
        One(|s, v| set(&mut s.config.scheduler.max_nvidia_gpu_limit, whole(v)?))),
    row("Licensing", "Without", FEATURES, "what the licence does not have: using it is answered with 402 (a setting of this simulator)",
        List(|s, all| set(&mut s.config.unlicensed, features(all)?))),
    row("Licensing", "Expired", BOOL, "whether the licence has expired: `/__ping__` is answered with 402 (a setting of this simulator)",
        One(|s, v| set(&mut s.config.license_expired, v.bool()?))),
    // Whether there is any counts last.
    row("R", "Executable", PROGRAMS, SHOWN, List(|s, all| set(&mut s.config.r_versions, versions(all)?))),
    row("R", "Enabled", BOOL, "whether there is R", One(|s, v| { if !v.bool()? { s.config.r_versions.clear(); } Ok(()) })),
    row("Python", "Executable", PROGRAMS, SHOWN, List(|s, all| set(&mut s.config.python_versions, versions(all)?))),
    row("Python", "Enabled", BOOL, "whether there is Python; default here: true",
        One(|s, v| { if !v.bool()? { s.config.python_versions.clear(); } Ok(()) })),
    row("Quarto", "Executable", PROGRAMS, SHOWN, List(|s, all| set(&mut s.config.quarto_versions, versions(all)?))),
    row("Quarto", "Enabled", BOOL, "whether there is Quarto; default here: true",
        One(|s, v| { if !v.bool()? { s.config.quarto_versions.clear(); } Ok(()) })),
    row("NodeJS", "Executable", PROGRAMS, SHOWN, List(|s, all| set(&mut s.config.node_versions, versions(all)?))),
    row("NodeJS", "Enabled", BOOL, "whether there is Node.js; default here: true",
        One(|s, v| { if !v.bool()? { s.config.node_versions.clear(); } Ok(()) })),
    row("TensorFlow", "Executable", PROGRAMS, SHOWN, List(|s, all| set(&mut s.config.tensorflow_versions, versions(all)?))),
    row("TensorFlow", "Enabled", BOOL, "whether there is TensorFlow; default here: true",
        One(|s, v| { if !v.bool()? { s.config.tensorflow_versions.clear(); } Ok(()) })),
    row("RPackageRepository", "URL", URL, "in a section with a name: a repository that builds get R packages from, unless `--cran-url` is given", Named),
    row("Git", "Enabled", BOOL, "whether content may come from git repositories", One(|s, v| set(&mut s.config.git.enabled, v.bool()?))),
    row("Git", "Executable", "a program", "git", One(|s, v| set(&mut s.config.git.command.program, path(v)?))),
    row("GitCredential", "Host", TEXT, "where the sign-in of this section counts, with a port if it is not the usual one; the section may be there several times, under names", Named),
    row("GitCredential", "Protocol", "https or http", "of that host; default: https", Named),
    row("GitCredential", "Username", TEXT, "who signs in", Named),
    row("GitCredential", "Password", TEXT, "its password or access token", Named),
];

/// Settings that are documented and have no effect here; `*`: the whole section.
pub const WITHOUT_EFFECT: &[(&str, &str)] = &[
    ("API", "*"),
    ("Applications", "DefaultAccessType"),
    ("Applications", "OAuthIntegrationsEnabled"),
    ("Applications", "PythonEnvironmentReaping"),
    ("Applications", "PythonEnvironmentReapFrequency"),
    ("Applications", "RenderingSweepAge"),
    ("Applications", "RenderingSweepFrequency"),
    ("Applications", "RenderingSweepLimit"),
    ("Applications", "RunAsGroup"),
    ("Applications", "Supervisor"),
    ("Authentication", "APIKeyBcryptCost"),
    ("Authentication", "BasicAuth"),
    ("Authentication", "ChallengeResponseEnabled"),
    ("Authentication", "InsecureDefaultUserAPIKey"),
    ("Authentication", "WarningDelay"),
    ("Authorization", "AdministratorRoleMapping"),
    ("Authorization", "PublisherRoleMapping"),
    ("Authorization", "UserRoleGroupMapping"),
    ("Authorization", "ViewerRoleMapping"),
    ("CORS", "*"),
    ("Chronicle", "*"),
    ("Database", "Dir"),
    ("ExecutionEnvironments", "*"),
    ("HTTP", "NoWarning"),
    ("HTTPS", "*"),
    ("Kubernetes", "*"),
    ("LDAP", "*"),
    ("Launcher", "*"),
    ("Licensing", "*"),
    ("Logging", "AuditLog"),
    ("Logging", "AuditLogFormat"),
    ("Logging", "ServiceLog"),
    ("Logging", "ServiceLogFormat"),
    ("Logging", "ServiceLogLevel"),
    ("Metrics", "DataPath"),
    ("Metrics", "Enabled"),
    ("Metrics", "GraphiteEnabled"),
    ("Mount", "*"),
    ("OAuth2", "EmailClaim"),
    ("OAuth2", "FirstNameClaim"),
    ("OAuth2", "LastNameClaim"),
    ("OAuth2", "RequireUsernameClaim"),
    ("OAuth2", "UniqueIdClaim"),
    ("OAuth2", "UsePKCE"),
    ("OTLPEndpoint", "*"),
    ("OpenTelemetry", "*"),
    ("PAM", "*"),
    ("Packages", "*"),
    ("Password", "*"),
    ("Postgres", "InstrumentationPassword"),
    ("Postgres", "InstrumentationURL"),
    ("ProxyAuth", "*"),
    ("Python", "EnvironmentManagement"),
    ("Python", "ExecutableVersionScanning"),
    ("R", "ConfigActive"),
    ("R", "EnvironmentManagement"),
    ("R", "ExecutableScanning"),
    ("R", "ExecutableVersionScanning"),
    ("R", "PositPackageManagerURLRewriting"),
    ("SAML", "*"),
    ("SQLite", "*"),
    ("Server", "AllowConfirmedUsers"),
    ("Server", "ContentTypeSniffing"),
    ("Server", "CustomHeader"),
    ("Server", "DatabaseEmailSettings"),
    ("Server", "EnableSitemap"),
    ("Server", "FrameOptionsContent"),
    ("Server", "FrameOptionsDashboard"),
    ("Server", "JumpStartEnabled"),
    ("Server", "LandingDir"),
    ("Server", "RVersion"),
    ("Server", "RVersionScanning"),
    ("Server", "ServerName"),
];

/// Puts all settings into `setup`; what is to be warned of goes to its warnings.
///
/// # Errors
/// With the place of a value that is none.
pub(super) fn apply(settings: &Gcfg, setup: &mut Setup) -> Result<(), ConfigError> {
    for setting in SETTINGS {
        let values = settings.all(setting.section, None, setting.key);
        match (setting.effect, values.last()) {
            (_, None) | (Named, _) => {}
            (One(apply), Some(value)) => apply(setup, value)?,
            (List(apply), _) => apply(setup, &values)?,
        }
    }
    let named = settings.subsections("RPackageRepository");
    let repositories = named.into_iter().filter_map(|name| settings.get("RPackageRepository", Some(name), "URL"));
    setup.config.cran_urls = repositories.map(|value| url(&value)).collect::<Result<_, _>>()?;
    let named = settings.subsections("GitCredential").into_iter().map(Some);
    for name in std::iter::once(None).chain(named) {
        setup.config.git.credentials.extend(credential(settings, name)?);
    }
    unknown(settings, &mut setup.warnings);
    Ok(())
}

fn credential(settings: &Gcfg, name: Option<&str>) -> Result<Option<Credential>, ConfigError> {
    let get = |key| settings.get("GitCredential", name, key);
    let text = |key| get(key).map(|value| value.text.to_owned());
    let Some(host) = get("Host") else { return Ok(None) };
    let username = text("Username").ok_or_else(|| ConfigError::NoGitUser(host.text.to_owned()))?;
    let protocol = get("Protocol").map_or(Ok("https".to_owned()), |value| one_of(&value, &["https", "http"]))?;
    Ok(Some(Credential {
        protocol,
        host: host.text.to_owned(),
        username,
        password: text("Password").unwrap_or_default(),
    }))
}

fn unknown(settings: &Gcfg, warnings: &mut Vec<String>) {
    let known = |section: &str, key: &str| {
        let is = |s: &str, k: &str| s.eq_ignore_ascii_case(section) && (k == "*" || k.eq_ignore_ascii_case(key));
        SETTINGS.iter().any(|one| is(one.section, one.key)) || WITHOUT_EFFECT.iter().any(|(s, k)| is(s, k))
    };
    for (place, entries) in [("line", settings.entries()), ("--set", settings.assigned())] {
        for entry in entries.iter().filter(|entry| !known(&entry.section, &entry.key)) {
            let place = if place == "line" { format!("line {}", entry.line) } else { place.to_owned() };
            warnings.push(format!("{place}: {} is not a setting that is known here; it has no effect", entry.name()));
        }
    }
    // Clients have variables of the same prefix, such as CONNECT_API_KEY: only those of a section are looked at.
    let starts = |name: &str, section: &str| {
        name.starts_with(&format!("{}_", variable(PREFIX, section, None, "").trim_end_matches('_')))
    };
    for name in settings.variables() {
        let of = |section: &str, key: &str| match key {
            "*" => starts(name, section),
            // Between section and key there may be a name.
            _ => starts(name, section) && name.ends_with(&format!("_{}", key.to_ascii_uppercase())),
        };
        let sections = SETTINGS.iter().any(|one| starts(name, one.section));
        let fine = SETTINGS.iter().any(|one| of(one.section, one.key)) || WITHOUT_EFFECT.iter().any(|(s, k)| of(s, k));
        if sections && !fine {
            warnings.push(format!("{name} is the variable of no setting that is known here; it has no effect"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup(file: &str, set: &[&str], variables: &[(&str, &str)]) -> Result<Setup, ConfigError> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let set: Vec<String> = set.iter().map(|&text| text.to_owned()).collect();
        let settings = Gcfg::parse(file).unwrap().with_variables(PREFIX, variables).with_assignments(&set).unwrap();
        let mut setup = Setup::default();
        apply(&settings, &mut setup)?;
        Ok(setup)
    }

    #[test]
    fn a_file_of_the_product_is_understood() {
        let file = "; a server\n[Server]\nAddress = https://proxy.example/rsc/\nDataDir = /data\nJumpStartEnabled = false\n\
            [Http]\nListen = :3999\nForceSecure = true\n[Database]\nProvider = \"Postgres\"\n\
            [Postgres]\nURL = \"postgres://u@db.example/connect?sslmode=disable\"\nPassword = \"p/w\"\n\
            [Applications]\nBundleRetentionLimit = 3\nMaxAppImageSize = 5 MB\n[Scheduler]\nIdleTimeout = 2m\nInitTimeout = 30\n\
            LoadFactor = 0.8\nMaxMemoryLimit = 8589934592\n\
            [Python]\nExecutable = /opt/python/3.12.1/bin/python\nExecutable = /opt/python/cpython-3.9.3-linux-x86_64-gnu/bin/python3.9\n\
            [Quarto]\nEnabled = false\n[RPackageRepository \"CRAN\"]\nURL = https://packages.example/cran/latest\n\
            [GitCredential \"one\"]\nHost = git.example\nUsername = u\nPassword = t\n[LDAP \"corp\"]\nServerAddress = x\n";
        let setup = setup(file, &["Scheduler.LoadFactor=0.9"], &[("CONNECT_HTTP_FORCESECURE", "no")]).unwrap();
        let config = &setup.config;
        assert_eq!(setup.warnings, [""; 0]);
        assert_eq!(config.address.as_deref(), Some("https://proxy.example/rsc/"));
        assert_eq!((setup.place.listen.unwrap().port, config.force_secure), (3999, false));
        assert_eq!(
            setup.place.database_url().unwrap().unwrap(),
            "postgres://u:p%2Fw@db.example/connect?sslmode=disable"
        );
        assert_eq!((config.bundles.keep, config.limits.image_bytes), (3, 5 << 20));
        assert_eq!((config.scheduler.idle_timeout, config.scheduler.init_timeout), (120, 30));
        assert_eq!((config.scheduler.load_factor, config.scheduler.max_memory_limit), (0.9, 8 << 30));
        assert_eq!(config.python_versions, ["3.9.3", "3.12.1"]);
        assert!(config.quarto_versions.is_empty());
        assert_eq!(config.cran_urls, ["https://packages.example/cran/latest"]);
        assert_eq!(config.git.credentials[0].host, "git.example");
    }

    #[test]
    fn what_nobody_knows_is_warned_of_and_what_is_wrong_is_refused() {
        let file = "[Server]\nAdress = x\n[Frob]\nOn = true\n";
        let variables = [("CONNECT_SERVER_ADRESS", "x"), ("CONNECT_API_KEY", "k"), ("CONNECT_SERVER", "http://x")];
        let warned = setup(file, &["HTTP.Listn=:1"], &variables).unwrap().warnings;
        let begins = [
            "line 2: Server.Adress is not",
            "line 4: Frob.On is not",
            "--set: HTTP.Listn is not",
            "CONNECT_SERVER_ADRESS is",
        ];
        assert_eq!(warned.len(), begins.len(), "{warned:?}");
        assert!(warned.iter().zip(begins).all(|(told, begin)| told.starts_with(begin)), "{warned:?}");
        for (file, problem) in [
            ("[Server]\n\nAddress = here", "line 3: Server.Address must be an http or https URL, not \"here\""),
            ("[HTTP]\nListen = x", "line 2: HTTP.Listen must be a port such as :3939"),
            (
                "[Scheduler]\nMaxProcesses = many",
                "line 2: Scheduler.MaxProcesses must be a whole number from 0, not \"many\"",
            ),
            ("[Scheduler]\nMaxProcesses = -1", "line 2: Scheduler.MaxProcesses must be"),
            ("[Scheduler]\nLoadFactor = 2", "a number from 0 to 1"),
            ("[Scheduler]\nIdleTimeout = soon", "a length of time"),
            ("[Applications]\nMaxAppImageSize = big", "bytes, such as"),
            ("[Applications]\nBundleReapFrequency = 0", "a second at least"),
            ("[Applications]\nMostPermissiveAccessType = some", "all, logged_in or acl"),
            ("[Authentication]\nProvider = ldap", "password or oauth2"),
            ("[Authorization]\nDefaultUserRole = king", "viewer or publisher"),
            ("[Bootstrap]\nSecretKey = c2hvcnQ=", "must be the base64 of at least 32 bytes, not \"***\""),
            ("[Bootstrap]\nSecretKeyFile = /none/such", "a file that can be read"),
            ("[Python]\nExecutable = /none/such/python", "a program whose path has its version"),
            ("[Postgres]\nURL = mysql://x", "a postgres:// URL"),
            ("[RPackageRepository \"X\"]\nURL = cran", "line 2: RPackageRepository.X.URL must be an http or https URL"),
            ("[GitCredential]\nHost = git.example", "git.example"),
            ("[Logging]\nAccessLogFormat = XML", "COMMON or COMBINED or JSON"),
            ("[Metrics]\nPrometheusListen = here", "a port such as :3939"),
            ("[Server]\nHideVersion = maybe", "true or false"),
            ("[Server]\nSenderEmail = \"a@b\\nBcc: c@d\"", "must be a mail address"),
            ("[Server]\nEmailSubjectPrefix = \"a\\nBcc: c@d\"", "text of one line"),
            ("[SMTP]\nPort = 0", "a port from 1 to 65535"),
            ("[SMTP]\nStartTLS = maybe", "detect or always or never"),
        ] {
            let told = setup(file, &[], &[]).unwrap_err().to_string();
            assert!(told.contains(problem), "{file}: {told}");
        }
    }

    #[test]
    fn no_setting_is_there_twice() {
        let mut names: Vec<String> = SETTINGS.iter().map(|one| format!("{}.{}", one.section, one.key)).collect();
        names.extend(WITHOUT_EFFECT.iter().map(|(section, key)| format!("{section}.{key}")));
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
