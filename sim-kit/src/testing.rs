//! What the tests of every simulator need: a real PostgreSQL server, and the rule for missing tools.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::db::{Db, Migration};

/// A PostgreSQL server of this process's own, in a temporary folder on a free loopback port. Stops when dropped.
pub struct Postgres {
    server: Child,
    port: u16,
    // Dropped after the server has stopped.
    _folder: tempfile::TempDir,
}

impl Postgres {
    /// Starts a server; takes about a second. None (said on standard error) when the machine has no PostgreSQL, except
    /// in CI, where that is a failure.
    ///
    /// # Panics
    /// In CI without PostgreSQL, and when the server does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        let Some(bin) = postgres_bin() else {
            missing_tool("postgres");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("teamsim-pg-").tempdir().expect("a temporary folder can be made");
        let data = folder.path().join("data");
        let root = is_root();
        if root {
            // The server refuses to run as root.
            run(Command::new("chown").arg("postgres").arg(folder.path()));
        }
        let as_user = |program: &str| {
            let program = bin.join(program);
            if root {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
                command
            } else {
                Command::new(program)
            }
        };
        run(as_user("initdb").args(["-A", "trust", "-U", "teamsim", "--no-sync", "-E", "UTF8", "-D"]).arg(&data));
        let port = free_port();
        let server = as_user("postgres")
            .arg("-D")
            .arg(&data)
            .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k", "", "-F", "-c", "max_connections=60"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the postgres that was found can be started");
        let mut this = Self { server, port, _folder: folder };
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = this.server.try_wait().expect("a child can be waited for") {
                panic!("postgres ended with {status} before it answered");
            }
            std::thread::yield_now();
        }
        Some(this)
    }

    /// The URL of a new, empty database.
    ///
    /// # Panics
    /// When the database cannot be made.
    pub async fn database(&self) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let url = |database: &str| format!("postgres://teamsim@127.0.0.1:{}/{database}?sslmode=disable", self.port);
        // The port answers a moment before the server takes connections.
        let admin = loop {
            match Db::connect_raw(&url("postgres")).await {
                Ok(pool) => break pool,
                Err(error) if error.to_string().contains("starting up") => tokio::task::yield_now().await,
                Err(error) => panic!("cannot connect to the test server: {error}"),
            }
        };
        let statement = format!("CREATE DATABASE {name}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&admin).await.expect("a database can be made");
        admin.close().await;
        url(&name)
    }

    /// A new database with the tables of `migrations`.
    ///
    /// # Panics
    /// When the migrations fail.
    pub async fn db(&self, migrations: &[Migration]) -> Db {
        Db::postgres(&self.database().await, migrations).await.expect("the migrations run on PostgreSQL")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown; the helper processes go with it.
        let _ = Command::new("kill").args(["-INT", &self.server.id().to_string()]).status();
        let _ = self.server.wait();
    }
}

fn postgres_bin() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"))
        .filter(|bin| bin.join("initdb").exists() && bin.join("postgres").exists())
        .collect();
    versions.sort();
    versions.pop().or_else(|| find_tool("initdb")?.parent().map(Path::to_path_buf))
}

/// How schemathesis asks every operation of a document, with at most `examples` random inputs each and the same ones every
/// time, and sees that no answer is of the 5xx kind or one that is not described. The document and the credential are to be
/// added.
#[must_use]
pub fn schemathesis(examples: &str) -> Vec<&str> {
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance";
    let mut arguments = vec!["run", "--checks", checks, "--max-examples", examples];
    arguments.extend(["--phases", "examples,coverage,fuzzing", "--seed", "1", "--generation-deterministic"]);
    arguments.extend(["--no-color", "--continue-on-failure", "--no-shrink"]);
    arguments.extend(["--suppress-health-check", "all", "--warnings", "off"]);
    arguments
}

/// The path of a program on `PATH`.
#[must_use]
#[allow(clippy::disallowed_methods)] // tests look for tools where a shell would
pub fn find_tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|candidate| candidate.is_file())
}

/// The path of a program that a test needs; None (said on standard error) when it is missing, except in CI.
///
/// # Panics
/// In CI, when it is missing: a test that did not run must not look like one that passed.
#[must_use]
pub fn need_tool(name: &str) -> Option<PathBuf> {
    let found = find_tool(name);
    if found.is_none() {
        missing_tool(name);
    }
    found
}

/// What `scripts/test --setup` puts into `.cache`, such as `poetry/bin/poetry`; None (said on standard error) when it is
/// missing, except in CI.
///
/// # Panics
/// In CI, when it is missing.
#[must_use]
pub fn need_cached(name: &str) -> Option<PathBuf> {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(".cache").join(name);
    if !found.exists() {
        missing_tool(&format!("{name} (scripts/test --setup installs it into .cache)"));
        return None;
    }
    Some(found)
}

#[allow(clippy::disallowed_methods)] // CI says so in its environment only
fn missing_tool(name: &str) {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{name} is missing, and in CI every test must run");
    eprintln!("NOT RUN: {name} is missing");
}

/// A port that was free a moment ago.
///
/// # Panics
/// When loopback has no free port.
#[must_use]
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"))
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().expect("the command can be started");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Compares a committed file that is generated with the text that it should have. Outside CI the file is written anew, so
/// that it only has to be committed.
///
/// # Panics
/// When they differ.
#[track_caller]
#[allow(clippy::disallowed_methods)] // CI says so in its environment only
pub fn generated(path: &Path, text: &str) {
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    if committed == text {
        return;
    }
    let line = committed.lines().zip(text.lines()).position(|(a, b)| a != b).map_or(0, |line| line + 1);
    let path = path.display();
    if std::env::var("CI").as_deref() == Ok("true") {
        panic!("{path} is not up to date (line {line}); run this test without CI=true, which writes it, and commit it");
    }
    std::fs::write(path.to_string(), text).expect("the file can be written");
    panic!("{path} was brought up to date (line {line}); commit it");
}

/// Writes a certificate for 127.0.0.1 that nobody has signed and its key into `folder`: `cert.pem` and `key.pem`.
///
/// # Panics
/// When `openssl` fails; without it [`need_tool`] decides.
#[must_use]
pub fn own_certificate(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let openssl = need_tool("openssl")?;
    let words = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=unknown.example \
                 -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE";
    let made = Command::new(openssl).args(words.split_whitespace()).current_dir(folder).output().expect("openssl runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    Some((folder.join("cert.pem"), folder.join("key.pem")))
}
