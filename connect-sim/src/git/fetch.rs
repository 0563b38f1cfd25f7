//! Fetching a branch, tag or commit, and making a bundle of one of its folders.
//!
//! Nothing is checked out: the commit is fetched into a bare repository of its own, and git writes the folder's tree as an
//! archive, which then has to be as good as one that was uploaded.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use http::HeaderMap;
use serde_json::Value;
use sim_kit::git::{Git, GitError};

use crate::app::App;
use crate::build::jobs;
use crate::build::log::Log;
use crate::build::steps::{Failure, Stop};
use crate::bundles::spool::Spool;
use crate::bundles::upload;
use crate::error::{Code, Error};
use crate::store;
use crate::store::tasks::Task;

impl From<GitError> for Stop {
    fn from(error: GitError) -> Self {
        match error {
            GitError::Io(error) => Self::Broken(error.into()),
            error => Self::Failed(Failure::new(1, format!("The repository cannot be read: {error}."))),
        }
    }
}

/// A commit in a repository of its own, which goes when this is dropped.
pub(crate) struct Fetched {
    pub(crate) git: Git,
    /// 40 hex digits.
    pub(crate) commit: String,
}

/// Fetches what `name` (a full reference, a tag or branch, or a commit) is at `url`, without its history.
pub(crate) async fn fetch(app: &App, url: &str, name: &str) -> Result<Fetched, GitError> {
    let git = super::open(app, url).await?;
    let target = format!("+{name}:refs/fetched");
    match git.fetch(&["--depth=1"], &[&target]).await {
        Err(GitError::Failed(text)) if text.contains("dumb http transport does not support shallow") => {
            git.fetch(&[], &[&target]).await?;
        }
        other => other?,
    }
    let commit = git.run(&["rev-parse", "--verify", "refs/fetched^{commit}"], Vec::new(), 1_000).await?;
    let commit = String::from_utf8_lossy(&commit).trim().to_owned();
    Ok(Fetched { git, commit })
}

/// The folder's tree as a gzip-compressed tar archive.
async fn archive(app: &App, fetched: &Fetched, directory: &str) -> Result<Spool, Stop> {
    let tree = if directory == "." { "refs/fetched^{tree}".to_owned() } else { format!("refs/fetched:{directory}") };
    let mut spool = Spool::new(app.incoming(), app.config().limits.bundle_bytes, None);
    let mut failed = None;
    {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        // Its own check of the size comes late for what packs well.
        let (mut plain, most) = (0_u64, app.config().limits.archive.total_bytes);
        let each = |bytes: &[u8]| {
            plain += bytes.len() as u64;
            let written = match gzip.write_all(bytes) {
                Ok(()) => spool.write(&std::mem::take(gzip.get_mut())),
                Err(error) => Err(error.into()),
            };
            failed = written.err();
            failed.is_none() && plain <= most.saturating_mul(2)
        };
        let arguments = ["archive", "--format=tar", tree.as_str()];
        let written = fetched.git.stream(&arguments, Vec::new(), each).await;
        if let Some(error) = failed {
            return Err(error.into());
        }
        match written {
            Ok(true) => {}
            Ok(false) => return Err(GitError::TooLarge(most).into()),
            Err(GitError::Failed(_)) => {
                let text = format!("The repository has no directory `{directory}` in the commit {}.", fetched.commit);
                return Err(Failure::new(1, text).into());
            }
            Err(other) => return Err(other.into()),
        }
        spool.write(&gzip.finish().map_err(Error::from)?)?;
    }
    Ok(spool)
}

/// Fetches what a task's detail says and makes a bundle of it, under the id that the task has or a new one: its id.
pub(crate) async fn bundle(app: &App, task: &Task, worker: &str, log: &Log) -> Result<i64, Stop> {
    let detail = |name: &str| task.detail.get(name).and_then(Value::as_str).unwrap_or_default();
    let (url, name, directory) = (detail("repository"), detail("ref"), detail("directory"));
    let guid = task.content_guid.as_deref().unwrap_or_default();
    let tracked = task.detail.get("tracked") == Some(&Value::Bool(true));
    jobs::begin(app, task, "git").await?;
    log.line(format!("Fetching {name} of {url}..."));
    let wanted = if tracked { format!("refs/heads/{name}") } else { name.to_owned() };
    let fetched = fetch(app, url, &wanted).await?;
    log.line(format!("Fetched commit {}", fetched.commit));
    if tracked {
        // Before the bundle is looked at: a commit that cannot be deployed is not tried again and again.
        let mut tx = app.write().await?;
        store::repositories::fetched(&mut tx, guid, &fetched.commit, app.now()).await?;
        tx.commit().await.map_err(Error::from)?;
    }
    log.line(format!("Making a bundle of `{directory}`..."));
    let spool = archive(app, &fetched, directory).await?;
    let archive = upload::checked(app, spool, HeaderMap::new()).await?;
    let mut metadata: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in
        [("source", "git"), ("source_repo", url), ("source_branch", name), ("source_commit", &fetched.commit)]
    {
        metadata.insert(key.to_owned(), value.to_owned());
    }
    let _rows = app.blob_rows().read().await;
    let mut bundle = upload::stored(app, archive, metadata, guid, &task.user_guid).await?;
    let mut tx = app.write().await?;
    if store::content::hold(&mut tx, guid).await?.is_none() {
        return Err(Failure::new(1, "The content was deleted during the task.").into());
    }
    bundle.id = match task.bundle_id {
        Some(id) => id,
        None => store::next(&mut tx, "bundle").await?,
    };
    if !store::tasks::set_bundle(&mut tx, &task.id, worker, bundle.id).await? {
        return Err(Failure::new(1, "Another server carries this task on.").into());
    }
    store::bundles::insert(&mut tx, &bundle).await?;
    tx.commit().await.map_err(Error::from)?;
    log.line(format!("Made bundle {} of {} bytes", bundle.id, bundle.size));
    Ok(bundle.id)
}

/// What a task fails with that names a code.
pub(crate) fn is_disabled() -> Stop {
    Failure::new(Code::GitIsDisabled as i64, "Git is not available on this server.").into()
}
