//! Local sources: packages that people put in one by one.
//!
//! A package is checked before it is taken: it must be of the source's language, whole, and be named as it says inside. Its bytes are
//! stored under their digest, its record is that of a feed ([`crate::record`]), and every change is a transaction, so the states
//! before stay as they were. Of R packages the newest version is current and the others are archived, whatever the order they come
//! in. When the current version is removed, the newest of the rest takes its place; that is our choice.

mod check;

use chrono::{DateTime, Utc};
use pkg_formats::psp::{Artifact, ArtifactKind, Digest, PythonFile, PythonRecord, RRecord, RState, RVersion};
use pkg_formats::python::metadata::Metadata;
use pkg_formats::python::name::normalize;
use pkg_formats::r;
use serde::Serialize;

use check::{Checked, check};

use crate::app::App;
use crate::change::Change;
use crate::error::Error;
use crate::record::{self, instant};
use crate::renderings::blocking;
use crate::spool::Spool;
use crate::store::builders::{self, Build};
use crate::store::packages;
use crate::store::sources::Source;
use crate::store::transactions::Transaction;

/// Bytes of a package file that can be added.
pub(crate) const LARGEST: u64 = 4 << 30;
/// Files that can be added in one transaction.
pub(crate) const MOST: usize = 1000;

/// A file to be added.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) file: Spool,
    pub(crate) told: Told,
}

/// What the sender of a file tells about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Needed for Python; for R it only must fit.
    pub(crate) filename: Option<String>,
    /// Digests in hexadecimal that the sender has told.
    pub(crate) sha256: Option<String>,
    pub(crate) md5: Option<String>,
    /// The name and version that the sender has told.
    pub(crate) name: Option<String>,
    pub(crate) version: Option<String>,
    /// Take the place of the same version.
    pub(crate) replace: bool,
}

/// What was added or removed.
#[derive(Debug, Serialize)]
pub struct Done {
    /// The package.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The file; empty where there is no single one.
    pub filename: String,
    /// Number of the transaction.
    pub transaction: i64,
}

impl App {
    /// Adds package files to a local source, all of them in one transaction or none.
    pub(crate) async fn add(&self, source: &Source, uploads: Vec<Upload>) -> Result<Vec<Done>, Error> {
        is_local(source)?;
        self.keep(source, uploads, None).await
    }

    /// Puts package files into a source; with `build` as the end of a git build.
    pub(crate) async fn keep(
        &self,
        source: &Source,
        uploads: Vec<Upload>,
        build: Option<Finishing<'_>>,
    ) -> Result<Vec<Done>, Error> {
        let action = if build.is_some() { BUILD } else { "Add" };
        let python = source.is_python();
        let mut ready = Vec::with_capacity(uploads.len());
        for upload in uploads {
            let (checked, upload) = blocking(move || check(python, upload)).await??;
            upload.file.keep(self.world()).await?;
            ready.push((checked, upload));
        }
        let mut change = self.begin().await?;
        let (mut done, mut sum) = (Vec::with_capacity(ready.len()), Sum::default());
        for (checked, upload) in ready {
            let one = match checked {
                Checked::R { name, version, description } => {
                    let filename = format!("{name}_{version}.tar.gz");
                    let artifact = Artifact {
                        arch: None,
                        filename: filename.clone(),
                        kind: ArtifactKind::Source,
                        md5: upload.file.md5.clone(),
                        r: None,
                        sha256: upload.file.sha256,
                        size: upload.file.size,
                        tag: None,
                    };
                    let (text, replace) = (version.to_string(), upload.told.replace);
                    let changed = edit_r(&mut change, source, &name, action, move |record, at| {
                        add_r(record, &version, artifact, description, at, replace)
                    });
                    sum.count(changed.await?);
                    Done { name, version: text, filename, transaction: change.id }
                }
                Checked::Python { metadata, filename, beside } => {
                    let metadata_sha256 = match beside {
                        Some(bytes) => Some(Digest(*self.world().blobs().put(bytes).await?.as_bytes())),
                        None => None,
                    };
                    let file = PythonFile {
                        filename: filename.clone(),
                        metadata_sha256,
                        requires_python: metadata.requires_python.clone(),
                        sha256: upload.file.sha256,
                        size: upload.file.size,
                        upload_time: DateTime::UNIX_EPOCH,
                        version: metadata.version.clone(),
                        yanked: None,
                        yanked_at: None,
                    };
                    let (name, version) = (normalize(&metadata.name), metadata.version.clone());
                    let replace = upload.told.replace;
                    let changed = edit_python(&mut change, source, &name, action, move |record, at| {
                        add_python(record, &metadata, file, at, replace)
                    });
                    sum.count(changed.await?);
                    Done { name, version, filename, transaction: change.id }
                }
            };
            done.push(one);
        }
        let what = match done.as_slice() {
            [one] => format!("{} {}", one.name, if python { &one.filename } else { &one.version }),
            many => format!("{} files", many.len()),
        };
        if let Some(Finishing { owner, end }) = build {
            let end = Build { transaction_id: Some(change.id), ..end.clone() };
            if !builders::finish(&mut change.tx, owner, &end).await? {
                return Err(Error::Conflict("another node has taken this build over".to_owned()));
            }
        }
        self.finish_local(change, source, action, &what, sum).await?;
        Ok(done)
    }

    /// Removes `what` of a package: `all`, `current`, a version, or a file of a Python project.
    pub(crate) async fn remove(
        &self,
        source: &Source,
        name: &str,
        what: &str,
        comment: Option<&str>,
    ) -> Result<i64, Error> {
        can_be_changed(source)?;
        let told = match comment.filter(|comment| !comment.is_empty()) {
            Some(comment) => format!("{what}: {comment}"),
            None => what.to_owned(),
        };
        match source.is_python() {
            true => {
                let name = normalize(name);
                self.change_python(source, &name, "Remove", &told, |record, at| remove_python(record, what, at)).await
            }
            false => self.change_r(source, name, "Remove", &told, |record, at| remove_r(record, what, at)).await,
        }
    }

    /// Archives the current version of an R package, so that the index has none.
    pub(crate) async fn archive(&self, source: &Source, name: &str) -> Result<i64, Error> {
        can_be_changed(source)?;
        if source.is_python() {
            return Err(Error::BadRequest("Python projects have no archive; yank the version".to_owned()));
        }
        self.change_r(source, name, "Archive", "current", |record, at| {
            let current = record.versions.iter_mut().find(|v| v.archived_at.is_none());
            let current = current.ok_or_else(|| Error::Conflict(format!("{} is archived already", record.name)))?;
            current.archived_at = Some(at);
            current.state = RState::Archived;
            Ok(())
        })
        .await
    }

    /// Yanks a version or file of a Python project; without a reason takes that back.
    pub(crate) async fn yank(
        &self,
        source: &Source,
        name: &str,
        what: &str,
        reason: Option<String>,
    ) -> Result<i64, Error> {
        can_be_changed(source)?;
        if !source.is_python() {
            return Err(Error::BadRequest("R packages cannot be yanked; archive or remove the version".to_owned()));
        }
        let action = if reason.is_some() { "Yank" } else { "Unyank" };
        self.change_python(source, &normalize(name), action, what, |record, at| {
            let mut found = false;
            for file in record.files.iter_mut().filter(|f| f.version == what || f.filename == what) {
                found = true;
                file.yanked.clone_from(&reason);
                file.yanked_at = reason.as_ref().map(|_| at);
            }
            if found { Ok(()) } else { Err(no_such(&record.name, what)) }
        })
        .await
    }

    async fn change_r(
        &self,
        source: &Source,
        name: &str,
        action: &str,
        what: &str,
        edit: impl FnOnce(&mut RRecord, DateTime<Utc>) -> Result<(), Error>,
    ) -> Result<i64, Error> {
        let mut change = self.begin().await?;
        let mut sum = Sum::default();
        sum.count(edit_r(&mut change, source, name, action, edit).await?);
        self.finish_local(change, source, action, &format!("{name} {what}"), sum).await
    }

    async fn change_python(
        &self,
        source: &Source,
        name: &str,
        action: &str,
        what: &str,
        edit: impl FnOnce(&mut PythonRecord, DateTime<Utc>) -> Result<(), Error>,
    ) -> Result<i64, Error> {
        let mut change = self.begin().await?;
        let mut sum = Sum::default();
        sum.count(edit_python(&mut change, source, name, action, edit).await?);
        self.finish_local(change, source, action, &format!("{name} {what}"), sum).await
    }

    async fn finish_local(
        &self,
        change: Change,
        source: &Source,
        action: &str,
        what: &str,
        sum: Sum,
    ) -> Result<i64, Error> {
        let archives = action == "Archive";
        let done = Transaction {
            source_id: Some(source.id),
            action: action.to_owned(),
            tag: format!("{action} {what}"),
            as_of: change.as_of(),
            packages_added: sum.new,
            packages_updated: if archives { 0 } else { sum.updated },
            packages_archived: i64::from(archives),
            packages_removed: sum.gone,
            ..Transaction::default()
        };
        self.conclude(change, done).await
    }
}

/// The build that a change ends, which counts only if `owner` still has it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finishing<'a> {
    pub(crate) owner: &'a str,
    pub(crate) end: &'a Build,
}

/// What the transaction of a git build is called.
pub(crate) const BUILD: &str = "Git build";

/// Packages of git sources come from builds, but go like those of local ones.
fn can_be_changed(source: &Source) -> Result<(), Error> {
    if source.is_git() { Ok(()) } else { is_local(source) }
}

/// Packages that a change is about.
#[derive(Default)]
struct Sum {
    new: i64,
    updated: i64,
    gone: i64,
}

/// What a change did to a package.
#[derive(Clone, Copy)]
struct Changed {
    is_new: bool,
    is_gone: bool,
}

impl Sum {
    fn count(&mut self, changed: Changed) {
        self.new += i64::from(changed.is_new);
        self.updated += i64::from(!changed.is_new && !changed.is_gone);
        self.gone += i64::from(changed.is_gone);
    }
}

async fn edit_r(
    change: &mut Change,
    source: &Source,
    name: &str,
    action: &str,
    edit: impl FnOnce(&mut RRecord, DateTime<Utc>) -> Result<(), Error>,
) -> Result<Changed, Error> {
    let held = packages::newest(&mut change.tx, source.id, name).await?;
    let held: Option<RRecord> = held.map(|json| serde_json::from_str(&json)).transpose()?;
    let held = held.filter(|record| record.removed_at.is_none());
    let is_new = held.is_none();
    if is_new && action != "Add" && action != BUILD {
        return Err(Error::NotFound(format!("source {} has no package {name}", source.name)));
    }
    let empty = RRecord { name: name.to_owned(), removed_at: None, versions: Vec::new() };
    let mut record = held.unwrap_or(empty);
    edit(&mut record, instant(change.at))?;
    let json = serde_json::to_string(&record)?;
    let digest = Digest::of(json.as_bytes()).to_string();
    let package = record::r_package(&record, json, digest);
    packages::put(&mut change.tx, source.id, change.id, &[package], false, |_, _| false).await?;
    Ok(Changed { is_new, is_gone: record.removed_at.is_some() })
}

async fn edit_python(
    change: &mut Change,
    source: &Source,
    name: &str,
    action: &str,
    edit: impl FnOnce(&mut PythonRecord, DateTime<Utc>) -> Result<(), Error>,
) -> Result<Changed, Error> {
    let held = packages::newest(&mut change.tx, source.id, name).await?;
    let held: Option<PythonRecord> = held.map(|json| serde_json::from_str(&json)).transpose()?;
    let held = held.filter(|record| record.removed_at.is_none());
    let is_new = held.is_none();
    if is_new && action != "Add" && action != BUILD {
        return Err(Error::NotFound(format!("source {} has no project {name}", source.name)));
    }
    let empty = PythonRecord {
        files: Vec::new(),
        last_serial: 0,
        license: None,
        name: name.to_owned(),
        project: name.to_owned(),
        removed_at: None,
        summary: String::new(),
    };
    let mut record = held.unwrap_or(empty);
    edit(&mut record, instant(change.at))?;
    record.last_serial = change.id.try_into().unwrap_or_default();
    let json = serde_json::to_string(&record)?;
    let digest = Digest::of(json.as_bytes()).to_string();
    let package = record::python_package(&record, json, digest);
    packages::put(&mut change.tx, source.id, change.id, &[package], false, |_, _| false).await?;
    Ok(Changed { is_new, is_gone: record.removed_at.is_some() })
}

fn is_local(source: &Source) -> Result<(), Error> {
    if source.is_local() {
        return Ok(());
    }
    Err(Error::BadRequest(format!(
        "source {} is of type {}; packages are added to and removed from sources of type local and local-python",
        source.name, source.kind
    )))
}

fn no_such(name: &str, what: &str) -> Error {
    Error::NotFound(format!("{name} has no version or file {what:?}"))
}

fn add_r(
    record: &mut RRecord,
    version: &r::RVersion,
    artifact: Artifact,
    description: String,
    at: DateTime<Utc>,
    replace: bool,
) -> Result<(), Error> {
    let of = |v: &RVersion| v.version.parse::<r::RVersion>().ok();
    let mut archived_at = None;
    if let Some(place) = record.versions.iter().position(|v| of(v).as_ref() == Some(version)) {
        if !replace {
            return Err(Error::Conflict(format!(
                "{} {version} is there already; ask for it to be replaced",
                record.name
            )));
        }
        archived_at = record.versions.remove(place).archived_at;
    }
    let is_newest = record.versions.iter().filter(|v| v.archived_at.is_none()).all(|v| of(v).as_ref() < Some(version));
    if is_newest && archived_at.is_none() {
        for current in record.versions.iter_mut().filter(|v| v.archived_at.is_none()) {
            current.archived_at = Some(at);
            current.state = RState::Archived;
        }
    } else {
        archived_at = Some(at);
    }
    let place = record.versions.partition_point(|v| of(v).as_ref() < Some(version));
    let added = RVersion {
        archived_at,
        artifacts: vec![artifact],
        description,
        published_at: at,
        readme: None,
        readme_type: None,
        state: if archived_at.is_some() { RState::Archived } else { RState::Current },
        version: version.to_string(),
    };
    record.versions.insert(place, added);
    Ok(())
}

fn remove_r(record: &mut RRecord, what: &str, at: DateTime<Utc>) -> Result<(), Error> {
    if what == "all" {
        record.removed_at = Some(at);
        return Ok(());
    }
    let place = record.versions.iter().position(|v| match what {
        "current" => v.archived_at.is_none(),
        version => v.version == version,
    });
    let removed = record.versions.remove(place.ok_or_else(|| no_such(&record.name, what))?);
    match record.versions.last_mut() {
        None => record.removed_at = Some(at),
        Some(newest) if removed.archived_at.is_none() => {
            newest.archived_at = None;
            newest.state = RState::Current;
        }
        Some(_) => {}
    }
    Ok(())
}

fn add_python(
    record: &mut PythonRecord,
    metadata: &Metadata,
    mut file: PythonFile,
    at: DateTime<Utc>,
    replace: bool,
) -> Result<(), Error> {
    if let Some(place) = record.files.iter().position(|f| f.filename == file.filename) {
        if !replace {
            return Err(Error::Conflict(format!(
                "File already exists: {}; add a new version, or ask for it to be replaced",
                file.filename
            )));
        }
        record.files.remove(place);
    }
    file.upload_time = at;
    record.project.clone_from(&metadata.name);
    record.summary = metadata.summary.clone().unwrap_or_default();
    let header = |name: &str| metadata.other.iter().find(|(have, _)| have.eq_ignore_ascii_case(name));
    record.license = header("License-Expression").or_else(|| header("License")).map(|(_, value)| value.clone());
    record.files.push(file);
    Ok(())
}

fn remove_python(record: &mut PythonRecord, what: &str, at: DateTime<Utc>) -> Result<(), Error> {
    let newest = record::newest(record, at).map(str::to_owned);
    let before = record.files.len();
    match what {
        "all" => record.removed_at = Some(at),
        "current" => record.files.retain(|f| Some(&f.version) != newest.as_ref()),
        what => record.files.retain(|f| f.version != what && f.filename != what),
    }
    if what != "all" && record.files.len() == before {
        return Err(no_such(&record.name, what));
    }
    if record.files.is_empty() {
        record.removed_at = Some(at);
    }
    Ok(())
}
