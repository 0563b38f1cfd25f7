//! What a package's record shows at a time.
//!
//! A record is a package's whole history, as the package service writes it ([`pkg_formats::psp`]); sources that are filled
//! by hand keep the same form. A snapshot asks it what there was just before an instant *t*: a version published before *t*
//! and not archived by *t* is current, a file uploaded before *t* exists.

use chrono::{DateTime, Utc};
use pkg_formats::dcf;
use pkg_formats::psp::{
    Artifact, ArtifactKind, PythonFile, PythonRecord, RRecord, RState, RVersion, VsxRecord, VsxVersion,
};
use pkg_formats::python::version;
use pkg_formats::r::index;

use crate::store::packages::Package;

/// The instant of stored microseconds.
#[must_use]
pub fn instant(micros: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The version that `record` offers at `t`.
#[must_use]
pub fn current(record: &RRecord, t: DateTime<Utc>) -> Option<&RVersion> {
    if is_removed(record.removed_at, t) {
        return None;
    }
    record.versions.iter().rev().find(|v| v.published_at < t && v.archived_at.is_none_or(|at| at > t))
}

/// Versions of `record` that had been archived by `t`, newest first.
pub fn archived(record: &RRecord, t: DateTime<Utc>) -> impl Iterator<Item = &RVersion> {
    let removed = is_removed(record.removed_at, t);
    record
        .versions
        .iter()
        .rev()
        .filter(move |v| !removed && v.published_at < t && v.archived_at.is_some_and(|at| at <= t))
}

/// Files of `record` that exist at `t`, each with the reason if it is yanked.
pub fn files(record: &PythonRecord, t: DateTime<Utc>) -> impl DoubleEndedIterator<Item = (&PythonFile, Option<&str>)> {
    let removed = is_removed(record.removed_at, t);
    record.files.iter().filter(move |file| !removed && file.upload_time < t).map(move |file| {
        let yanked = file.yanked.as_deref().filter(|_| file.yanked_at.is_none_or(|at| at <= t));
        (file, yanked)
    })
}

fn is_removed(removed_at: Option<DateTime<Utc>>, t: DateTime<Utc>) -> bool {
    removed_at.is_some_and(|at| at <= t)
}

/// The version that installers prefer at `t`: the newest that is not yanked and no pre-release, if there is one.
#[must_use]
pub fn newest(record: &PythonRecord, t: DateTime<Utc>) -> Option<&str> {
    let parsed = |offered: &dyn Fn(Option<&str>) -> bool| {
        files(record, t)
            .filter(|(_, yanked)| offered(*yanked))
            .filter_map(|(file, _)| Some((version::parse(&file.version).ok()?, file.version.as_str())))
            .max_by(|(a, _), (b, _)| (!a.any_prerelease(), a).cmp(&(!b.any_prerelease(), b)))
            .map(|(_, text)| text)
    };
    parsed(&|yanked| yanked.is_none())
        .or_else(|| parsed(&|_| true))
        .or_else(|| files(record, t).next_back().map(|(file, _)| file.version.as_str()))
}

/// The lines of `PACKAGES` for `record` at `t`; empty when nothing is current.
#[must_use]
pub fn r_entry(record: &RRecord, t: DateTime<Utc>) -> String {
    current(record, t).map_or_else(String::new, |version| entry_of(record, version))
}

/// The lines of `PACKAGES` for one version.
pub(crate) fn entry_of(record: &RRecord, version: &RVersion) -> String {
    // A description that cannot be read still has a name and a version, which is all that R needs.
    let mut entry = dcf::parse_one(&version.description).map(|d| index::record(&d)).unwrap_or_default();
    entry.set("Package", record.name.as_str());
    entry.set("Version", version.version.as_str());
    // The digest in the description is that of the file as it came; what is served carries a stamp.
    entry.remove("MD5sum");
    dcf::write(&[entry])
}

/// The `index` line of a Python project at `t`: its newest version; empty when it has no file.
#[must_use]
pub fn python_entry(record: &PythonRecord, t: DateTime<Utc>) -> String {
    newest(record, t).unwrap_or_default().to_owned()
}

/// When anything last happened to the package.
fn r_changed_at(record: &RRecord) -> i64 {
    let versions = record.versions.iter().flat_map(|v| [Some(v.published_at), v.archived_at]);
    latest(versions.chain([record.removed_at]))
}

fn python_changed_at(record: &PythonRecord) -> i64 {
    let files = record.files.iter().flat_map(|f| [Some(f.upload_time), f.yanked_at]);
    latest(files.chain([record.removed_at]))
}

fn latest(times: impl Iterator<Item = Option<DateTime<Utc>>>) -> i64 {
    times.flatten().map(|t| t.timestamp_micros()).max().unwrap_or(0)
}

/// How a package of kind R is stored. `json` is the record as it came, `digest` its SHA-256 in hexadecimal.
#[must_use]
pub fn r_package(record: &RRecord, json: String, digest: String) -> Package {
    let entry = r_entry(record, DateTime::<Utc>::MAX_UTC);
    Package { name: record.name.clone(), digest, changed_at: r_changed_at(record), entry, record: json }
}

/// How a Python project is stored.
#[must_use]
pub fn python_package(record: &PythonRecord, json: String, digest: String) -> Package {
    let entry = python_entry(record, DateTime::<Utc>::MAX_UTC);
    Package { name: record.name.clone(), digest, changed_at: python_changed_at(record), entry, record: json }
}

/// Versions of an extension that exist at `t`, newest first: an unfinished version after those that are finished, and of one
/// version each platform.
#[must_use]
pub fn vsx_versions(record: &VsxRecord, t: DateTime<Utc>) -> Vec<&VsxVersion> {
    if is_removed(record.removed_at, t) {
        return Vec::new();
    }
    let mut found: Vec<&VsxVersion> = record.versions.iter().filter(|version| version.published_at < t).collect();
    found.sort_by(|a, b| b.published_at.cmp(&a.published_at).then_with(|| a.target_platform.cmp(&b.target_platform)));
    found
}

/// The version of an extension that is offered first at `t`: the newest, of finished ones if there are any.
#[must_use]
pub fn vsx_newest(record: &VsxRecord, t: DateTime<Utc>) -> Option<&VsxVersion> {
    let all = vsx_versions(record, t);
    all.iter().find(|version| !version.pre_release).or(all.first()).copied()
}

/// How an extension is stored.
#[must_use]
pub fn vsx_package(record: &VsxRecord, json: String, digest: String) -> Package {
    let entry = vsx_newest(record, DateTime::<Utc>::MAX_UTC).map_or_else(String::new, |v| v.version.clone());
    let times = record.versions.iter().map(|version| Some(version.published_at));
    let changed_at = latest(times.chain([record.removed_at]));
    Package { name: record.name.clone(), digest, changed_at, entry, record: json }
}

/// Whether two records of an extension show the same at every time up to `t`.
#[must_use]
pub fn vsx_same_until(old: &str, new: &str, t: DateTime<Utc>) -> bool {
    let before = |json: &str| {
        let mut record: VsxRecord = serde_json::from_str(json).ok()?;
        record.removed_at = record.removed_at.filter(|at| *at <= t);
        record.versions.retain(|version| version.published_at < t);
        Some(record)
    };
    before(old).is_some_and(|old| Some(old) == before(new))
}

/// `record` as it would have been at `t`.
pub(crate) fn r_before(mut record: RRecord, t: DateTime<Utc>) -> RRecord {
    record.removed_at = record.removed_at.filter(|at| *at <= t);
    record.versions.retain(|v| v.published_at < t);
    for version in &mut record.versions {
        version.archived_at = version.archived_at.filter(|at| *at <= t);
        version.state = if version.archived_at.is_some() { RState::Archived } else { RState::Current };
    }
    record
}

pub(crate) fn python_before(mut record: PythonRecord, t: DateTime<Utc>) -> PythonRecord {
    record.removed_at = record.removed_at.filter(|at| *at <= t);
    record.files.retain(|f| f.upload_time < t);
    for file in &mut record.files {
        file.yanked_at = file.yanked_at.filter(|at| *at <= t);
        if file.yanked_at.is_none() {
            file.yanked = None;
        }
    }
    // Not shown for past times.
    record.last_serial = 0;
    record
}

/// Whether two records of an R package show the same at every time up to `t`.
#[must_use]
pub fn r_same_until(old: &str, new: &str, t: DateTime<Utc>) -> bool {
    match (serde_json::from_str(old), serde_json::from_str(new)) {
        (Ok(old), Ok(new)) => r_before(old, t) == r_before(new, t),
        _ => false,
    }
}

/// Whether two records of a Python project show the same at every time up to `t`.
#[must_use]
pub fn python_same_until(old: &str, new: &str, t: DateTime<Utc>) -> bool {
    match (serde_json::from_str(old), serde_json::from_str(new)) {
        (Ok(old), Ok(new)) => python_before(old, t) == python_before(new, t),
        _ => false,
    }
}

/// The source package of a version.
#[must_use]
pub fn source(version: &RVersion) -> Option<&Artifact> {
    version.artifacts.iter().find(|a| a.kind == ArtifactKind::Source)
}

/// The binary of a version for a system, a minor version of R and a CPU. `place` is a distribution, a flavor of macOS, or empty.
#[must_use]
pub fn binary<'a>(version: &'a RVersion, kind: ArtifactKind, place: &str, r: &str, arch: &str) -> Option<&'a Artifact> {
    let is = |have: &Option<String>, wanted: &str| {
        let have = have.as_deref().unwrap_or_default();
        have == wanted || have == "*"
    };
    version
        .artifacts
        .iter()
        .filter(|a| a.kind == kind)
        .find(|a| a.r.as_deref() == Some(r) && is(&a.tag, place) && is(&a.arch, arch))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(day: u32) -> DateTime<Utc> {
        chrono::NaiveDate::from_ymd_opt(2024, 1, day).unwrap().and_hms_opt(0, 0, 0).unwrap().and_utc()
    }

    fn r(versions: &[(&str, u32, Option<u32>)], removed: Option<u32>) -> RRecord {
        let version = |(version, published, archived): &(&str, u32, Option<u32>)| RVersion {
            archived_at: archived.map(at),
            artifacts: vec![],
            description: format!("Package: a\nVersion: {version}\nMD5sum: x\nDepends: R (>=\n  3.5)\nTitle: T\n"),
            published_at: at(*published),
            readme: None,
            readme_type: None,
            state: if archived.is_some() { RState::Archived } else { RState::Current },
            version: (*version).to_owned(),
        };
        RRecord { name: "a".into(), removed_at: removed.map(at), versions: versions.iter().map(version).collect() }
    }

    #[test]
    fn a_version_is_current_from_after_its_publication_until_it_is_archived() {
        let record = r(&[("1", 2, Some(4)), ("2", 4, Some(6))], Some(8));
        let shown = |day| current(&record, at(day)).map(|v| v.version.as_str());
        assert_eq!([1, 2, 3, 4, 5, 6, 7].map(shown), [None, None, Some("1"), None, Some("2"), None, None]);
        let kept = |day| archived(&record, at(day)).count();
        assert_eq!([3, 4, 5, 6, 7, 8].map(kept), [0, 1, 1, 2, 2, 0]);
        assert_eq!(r_entry(&record, at(3)), "Package: a\nVersion: 1\nDepends: R (>= 3.5)\n");
    }

    #[test]
    fn later_events_do_not_change_what_was_shown_and_rewritten_ones_do() {
        let json = |record: &RRecord| serde_json::to_string(record).unwrap();
        let old = json(&r(&[("1", 2, None)], None));
        let new = json(&r(&[("1", 2, Some(4)), ("2", 4, None)], None));
        assert!(r_same_until(&old, &new, at(3)));
        assert!(!r_same_until(&old, &new, at(4)));
        let rewritten = json(&r(&[("1", 2, Some(3))], None));
        assert!(!r_same_until(&old, &rewritten, at(3)));
    }

    #[test]
    fn yanked_files_and_prereleases_are_not_preferred() {
        let file = |version: &str, day, yanked: Option<u32>| PythonFile {
            filename: format!("a-{version}.tar.gz"),
            metadata_sha256: None,
            requires_python: None,
            sha256: pkg_formats::psp::Digest::of(version.as_bytes()),
            size: 1,
            upload_time: at(day),
            version: version.to_owned(),
            yanked: yanked.map(|_| String::new()),
            yanked_at: yanked.map(at),
        };
        let record = PythonRecord {
            files: vec![file("1.9", 1, None), file("1.10", 2, Some(5)), file("2.0rc1", 3, None)],
            last_serial: 1,
            license: None,
            name: "a".into(),
            project: "A".into(),
            removed_at: None,
            summary: String::new(),
        };
        assert_eq!([1, 2, 3, 4, 5].map(|d| newest(&record, at(d)).unwrap_or("-")), ["-", "1.9", "1.10", "1.10", "1.9"]);
    }
}
