//! The steps of a build, with the log that a user reads.
//!
//! In the simulated runtime every package is resolved against Package Manager and its file is downloaded and checked,
//! for the same reasons to fail as a real build; nothing is installed, and the log says so.

use pkg_client::{Client, Download, Event, Received};
use pkg_formats::manifest::{self, Manifest};

use super::log::Log;
use super::{jobs, python, r, versions};
use crate::app::App;
use crate::bundles::{check, spool::Archive};
use crate::content_type::{ContentType, Kind};
use crate::differences::Difference;
use crate::error::{Code, Error};
use crate::store;
use crate::store::bundles::{Bundle, Package};
use crate::store::content::{Content, Runtime};
use crate::store::tasks::Task;

/// What a build came to.
#[derive(Default)]
pub(crate) struct Built {
    /// With which versions.
    pub(crate) runtime: Runtime,
    /// With which packages.
    pub(crate) packages: Vec<Package>,
    /// Tags of the jobs that restored packages.
    pub(crate) restored: Vec<&'static str>,
    /// OAuth integrations that the manifest asks for.
    pub(crate) integrations: Vec<manifest::IntegrationRequest>,
    /// Lines that stand at the end of the log.
    pub(crate) closing: Vec<String>,
}

/// Why a build failed, for its user.
#[derive(Debug)]
pub(crate) struct Failure {
    /// Not 0; the product's number where it has one.
    pub(crate) code: i64,
    /// One line.
    pub(crate) text: String,
}

impl Failure {
    /// A failure.
    #[must_use]
    pub(crate) fn new(code: i64, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

/// Why a build stopped.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The bundle or Package Manager is at fault.
    Failed(Failure),
    /// This server is.
    Broken(Error),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused { code, text, .. } => Self::Failed(Failure::new(code as i64, text)),
            other => Self::Broken(other),
        }
    }
}

impl From<sqlx::Error> for Stop {
    fn from(error: sqlx::Error) -> Self {
        Self::Broken(error.into())
    }
}

const NOT_RENDERED: &str = "The document is not rendered: this is the simulated runtime.";

/// What a build works on.
pub(crate) struct Job<'a> {
    pub(crate) app: &'a App,
    pub(crate) task: &'a Task,
    pub(crate) log: &'a Log,
    pub(crate) content: Content,
    pub(crate) bundle: Bundle,
    pub(crate) manifest: Manifest,
}

impl Job<'_> {
    /// Begins the job `tag`, which restores packages.
    ///
    /// # Errors
    /// [`Stop`]
    pub(super) async fn restoring(&self, built: &mut Built, tag: &'static str) -> Result<(), Stop> {
        jobs::begin(self.app, self.task, tag).await?;
        built.restored.push(tag);
        Ok(())
    }
}

/// Builds the bundle of a task.
///
/// # Errors
/// [`Stop`]
pub(crate) async fn build(app: &App, task: &Task, log: &Log) -> Result<Box<Built>, Stop> {
    let (content, bundle) = {
        let mut db = app.read().await?;
        let content = match &task.content_guid {
            Some(guid) => store::content::by_guid(&mut db, guid).await?,
            None => None,
        };
        let bundle = match task.bundle_id {
            Some(id) => store::bundles::get(&mut db, id).await?,
            None => None,
        };
        match (content, bundle) {
            (Some(content), Some(bundle)) => (content, bundle),
            _ => return Err(Failure::new(1, "The content or its bundle was deleted before the task began.").into()),
        }
    };
    let mode = ContentType::of(&bundle.app_mode).unwrap_or(ContentType::Unknown);
    log.line(format!("Building {}...", mode.noun()));
    if content.app_mode != "unknown" && content.app_mode != bundle.app_mode {
        let text = format!(
            "The bundle is of the type {}, but the content was deployed as {}. Deploy it as new content.",
            bundle.app_mode, content.app_mode
        );
        return Err(Failure::new(Code::AppModeChanged as i64, text).into());
    }
    let launching = format!("Launching {}...", mode.noun());

    if task.kind == "render" {
        let closing = vec![NOT_RENDERED.to_owned(), launching];
        return Ok(Box::new(Built { closing, ..Built::default() }));
    }
    if bundle.runtime.built && task.kind == "deploy" {
        log.line(format!("Bundle {} has been built before; it is activated as it is.", bundle.id));
        let packages = store::bundles::packages(&mut *app.read().await?, bundle.id).await?;
        let closing = vec![launching];
        return Ok(Box::new(Built { runtime: bundle.runtime, packages, closing, ..Built::default() }));
    }
    let mut built = Box::new(Built::default());
    if mode.kind() != Kind::Static {
        let manifest = read_manifest(app, &bundle).await?;
        let job = Job { app, task, log, content, bundle, manifest };
        log.line("# This is the simulated runtime: packages are resolved and downloaded, and not installed.");
        built.integrations.clone_from(&job.manifest.integration_requests);
        languages(&job, &mut built)?;
        r::restore(&job, &mut built).await?;
        python::restore(&job, &mut built).await?;
        if mode.kind() == Kind::Rendered {
            built.closing.push(NOT_RENDERED.to_owned());
        }
    }
    built.runtime.built = true;
    built.closing.push(launching);
    Ok(built)
}

async fn read_manifest(app: &App, bundle: &Bundle) -> Result<Manifest, Stop> {
    let bytes = read_file(app, bundle, "manifest.json", manifest::LARGEST as u64).await?;
    let bytes = bytes.ok_or_else(|| Failure::new(Code::InvalidManifest as i64, "The bundle has no manifest.json."))?;
    let parsed = manifest::parse(&bytes);
    Ok(parsed.map_err(|error| Failure::new(Code::InvalidManifest as i64, error.to_string()))?)
}

/// A file out of a bundle.
pub(crate) async fn read_file(app: &App, bundle: &Bundle, path: &str, largest: u64) -> Result<Option<Vec<u8>>, Error> {
    let mut archive = Archive::of(app, bundle).await?;
    let (limits, path) = (app.config().limits.archive.clone(), path.to_owned());
    let read = move || {
        let mut files = check::read(archive.reader()?, &limits, &[&path], largest)?;
        Ok(files.remove(&path))
    };
    tokio::task::spawn_blocking(read).await.map_err(|error| Error::Internal(error.to_string()))?
}

/// A language of a bundle: what it was made with, and what is chosen for it.
struct Language {
    name: &'static str,
    /// The author's version, and what the manifest requires.
    wanted: String,
    chosen: String,
    /// Where the product has it. Nothing is there: the runtime is simulated.
    path: String,
}

/// Chooses the versions of what the manifest needs, and says so in the product's words, which clients look for.
fn languages(job: &Job<'_>, built: &mut Built) -> Result<(), Stop> {
    let (config, manifest) = (job.app.config(), &job.manifest);
    let environment = manifest.environment.clone().unwrap_or_default();
    let mut all: Vec<Language> = Vec::new();
    let mut choose = |name, installed: &[String], author: Option<&str>, requires: Option<&str>| {
        let mismatch = Code::EnvironmentVersionMismatch as i64;
        let chosen = versions::choose(name, installed, author, requires)
            .map_err(|error| Failure::new(mismatch, format!("The content cannot be built: {error}.")))?;
        let wanted = match (author, requires) {
            (Some(author), Some(requires)) => format!("{author} ({requires})"),
            (one, other) => one.or(other).unwrap_or("of any kind").to_owned(),
        };
        let minor = || chosen.rsplit_once('.').map_or(chosen.as_str(), |(minor, _)| minor);
        let path = match name {
            "R" => format!("/opt/R/{chosen}/bin/R"),
            "Python" => format!("/opt/python/{chosen}/bin/python{}", minor()),
            "Quarto" => format!("/opt/quarto/{chosen}/bin/quarto"),
            _ => format!("/opt/nodejs/{chosen}/bin/node"),
        };
        all.push(Language { name, wanted, chosen: chosen.clone(), path });
        Ok::<_, Stop>(Some(chosen))
    };
    fn requires(of: Option<&manifest::Requires>) -> Option<&str> {
        of.and_then(|of| of.requires.as_deref())
    }
    if manifest.platform.is_some() || manifest.packages.as_ref().is_some_and(|packages| !packages.is_empty()) {
        let author = manifest.platform.as_deref();
        built.runtime.r_version = choose("R", &config.r_versions, author, requires(environment.r.as_ref()))?;
    }
    if let Some(python) = &manifest.python {
        let constraint = requires(environment.python.as_ref());
        let author = python.version.as_deref();
        built.runtime.py_version = choose("Python", &config.python_versions, author, constraint)?;
    }
    if let Some(quarto) = &manifest.quarto {
        built.runtime.quarto_version = choose("Quarto", &config.quarto_versions, quarto.version.as_deref(), None)?;
    }
    if let Some(node) = &manifest.node {
        let constraint = requires(environment.nodejs.as_ref());
        built.runtime.node_version = choose("Node.js", &config.node_versions, node.version.as_deref(), constraint)?;
    }
    if all.is_empty() {
        return Ok(());
    }
    let made = enumerated(all.iter().map(|one| format!("{} version {}", one.name, one.wanted)).collect());
    let has = |one: &Language| format!("{} version {} from {}", one.name, one.chosen, one.path);
    let has = enumerated(all.iter().map(has).collect());
    job.log.line(format!("Bundle created with {made} is compatible with environment Local with {has}"));
    let from = if config.version.with(Difference::BuildLogEnvironment) { "from Local " } else { "" };
    for Language { name, wanted, chosen, path } in all.iter().filter(|one| matches!(one.name, "R" | "Python")) {
        job.log
            .line(format!("Bundle requested {name} version {wanted}; using {path} {from}which has version {chosen}"));
    }
    Ok(())
}

/// `a`, `a and b`, `a, b, and c`.
fn enumerated(mut all: Vec<String>) -> String {
    let last = all.pop().unwrap_or_default();
    match all.as_slice() {
        [] => last,
        [one] => format!("{one} and {last}"),
        more => format!("{}, and {last}", more.join(", ")),
    }
}

/// A client of Package Manager that calls itself `agent`.
#[must_use]
pub(crate) fn client(app: &App, agent: &str) -> Client {
    Client::new(app.package_manager().clone(), agent, pkg_client::Limits::default())
}

/// Writes an error of the package client to the log and gives the reason in one line.
#[must_use]
pub(crate) fn failed(log: &Log, error: &pkg_client::Error, what: &str) -> Failure {
    let text = error.to_string();
    log.line(&text);
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let reason = lines.next_back().unwrap_or("no reason was given");
    Failure::new(1, format!("{what}: {reason}"))
}

/// Downloads files, several at a time, and tells about them one after the other, so that the log of a build is the same
/// in every run: each file's beginning when those before it are done, then its end.
pub(crate) async fn download(
    client: &Client,
    files: &[Download],
    mut begun: impl FnMut(&Download) + Send,
    mut done: impl FnMut(&Download, &Received) + Send,
) -> Result<(), pkg_client::Error> {
    let (mut started, mut finished) = (0, 0);
    let tell = |event: Event<'_>| match event {
        Event::Started(file) => {
            if started == finished {
                begun(file);
            }
            started += 1;
        }
        Event::Finished(file, received) => {
            done(file, &received);
            finished += 1;
            if finished < started {
                begun(&files[finished]);
            }
        }
        Event::Chunk(..) => {}
    };
    pkg_client::download(client, files, tell).await.map(drop)
}

/// `1.2 MB`, as pip writes sizes.
#[must_use]
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes / 1_000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

/// Whether packages of a language are installed: the manifest says, else the item, else the server, which does.
#[must_use]
pub(crate) fn is_managed(manifest: Option<bool>, item: Option<bool>) -> bool {
    manifest.or(item).unwrap_or(true)
}

/// The architecture that wheels and binaries are chosen for. One for all machines, so that builds are the same on each.
pub(crate) const MACHINE: &str = "x86_64";
