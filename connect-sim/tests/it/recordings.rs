//! Our answers beside those that real servers gave.
//!
//! The recordings are no part of the project; `CONNECT_RECORDINGS` names their folder. Every one of them is compared, but
//! for those of `LEFT`; what was recorded of a release is asked of that release. Members that ours has in addition are
//! fine, as are those that only other releases have.

mod served;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use self::served::Served;
use super::git::Remote;
use super::index::Index;

/// Recordings that no server gave, and why they are told to be none.
const LEFT: [(&str, &str); 2] = [
    (
        "connectapi/2024.08.0/__api__/v1/content/34567890/environment.json",
        "an empty object, where every server gives a list: the test it was made for looks at nothing in it",
    ),
    (
        "connectapi/2024.08.0/__api__/applications/f2f37341/variants.json",
        "three members only, with texts where the whole recording beside it has numbers",
    ),
];

/// Differences that have a reason; the list may only shrink.
const KNOWN: [&str; 3] = [
    // The specification says string, and so does the server's own client.
    "GET v1/content/{}/permissions[].id is of another type",
    // Numbers in servers of 2018, strings in later ones.
    "GET v1/instrumentation/content/visits.results[].bundle_id is of another type",
    "GET v1/instrumentation/content/visits.results[].rendering_id is of another type",
];

/// Objects whose members are in another order; the list may only shrink.
const DISORDERED: [&str; 1] = [
    // The other recordings of tasks, and there are several, have `result` before `finished`.
    "POST variants/{}/sender",
];

#[allow(clippy::disallowed_methods)] // the machine that runs the test
fn recordings() -> Option<PathBuf> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/recordings");
    let folder = std::env::var_os("CONNECT_RECORDINGS").map_or_else(beside, PathBuf::from);
    if !folder.is_dir() {
        let is_ci = std::env::var("CI").as_deref() == Ok("true");
        assert!(!is_ci, "there are no recordings at {}, and in CI every test must run", folder.display());
        eprintln!("NOT RUN: there are no recordings at {}", folder.display());
        return None;
    }
    Some(folder)
}

/// One recorded answer: of which release (none: of no certain one), to which request.
struct Recording {
    file: String,
    release: String,
    method: &'static str,
    /// The path below the API, with `{}` for what names one object.
    path: String,
    answer: Value,
}

const METHODS: [&str; 5] = ["GET", "POST", "PATCH", "PUT", "DELETE"];

impl Recording {
    fn read(folder: &Path, file: &str) -> Self {
        let text = std::fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let text: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        let answer = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let (release, path) = match file.split_once('/').unwrap() {
            ("connectapi", rest) => rest.split_once('/').unwrap(),
            (_, path) => ("", path),
        };
        let path = path.strip_prefix("__api__/").unwrap_or(path);
        let (path, _) = path.rsplit_once(".json").unwrap();
        let path = path.split('?').next().unwrap();
        // A few have names of their own for what was asked.
        let (path, named) = match path {
            _ if path.ends_with("/render") || path.ends_with("/sender") => (path, "POST"),
            _ if path.ends_with("/tag-add") => (path.strip_suffix("/tag-add").unwrap(), "POST"),
            _ if path.ends_with("_patch") => (path.strip_suffix("_patch").unwrap(), "PATCH"),
            _ if path.ends_with("-patched") => (path.strip_suffix("-patched").unwrap(), "PATCH"),
            _ => (path, "GET"),
        };
        let path = if file.ends_with("tag-add.json") { format!("{path}/tags") } else { path.to_owned() };
        let spoken = METHODS.into_iter().find_map(|method| Some((path.strip_suffix(&format!("-{method}"))?, method)));
        let (path, method) = spoken.unwrap_or((&path, named));
        // A digest of the query or the body.
        let digest = |end: &str| end.len() == 6 && end.chars().all(|c| c.is_ascii_hexdigit());
        let path = path.rsplit_once('-').filter(|(_, end)| digest(end)).map_or(path, |(path, _)| path);
        let is_id = |part: &str| part != "v1" && (part.contains(|c: char| c.is_ascii_digit()) || part.contains("guid"));
        let parts: Vec<&str> = path.split('/').map(|part| if is_id(part) { "{}" } else { part }).collect();
        Self { file: file.to_owned(), release: release.to_owned(), method, path: parts.join("/"), answer }
    }
}

fn files(folder: &Path, below: &str, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder.join(below)).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let name = if below.is_empty() { name } else { format!("{below}/{name}") };
        match entry.path().is_dir() {
            true => files(folder, &name, found),
            false if name.contains(".json") => found.push(name),
            false => {}
        }
    }
}

/// What the comparison has found.
#[derive(Default)]
struct Found {
    /// Places of members that ours lacks.
    missing: BTreeSet<String>,
    /// Places where ours is of another type.
    other: BTreeSet<String>,
    /// Places where a recording is of our type.
    same: BTreeSet<String>,
    /// Places of objects whose members come in another order, and that of the recording.
    order: BTreeMap<String, String>,
    /// Places of objects whose members come in the order of a recording.
    ordered: BTreeSet<String>,
}

impl Found {
    /// Compares a recording with ours. Null fits everything.
    fn compare(&mut self, place: &str, recorded: &Value, ours: &Value) {
        match (recorded, ours) {
            (Value::Null, _) | (_, Value::Null) => {}
            (Value::Object(recorded), Value::Object(ours)) => {
                // What an integration is set up with is its template's, and some of the recorded ones are invented.
                let other_template = recorded.get("template").is_some_and(|name| ours.get("template") != Some(name));
                let common = |of: &Map<String, Value>, other: &Map<String, Value>| {
                    of.keys().filter(|name| other.contains_key(*name)).cloned().collect::<Vec<String>>()
                };
                let (theirs, mine) = (common(recorded, ours), common(ours, recorded));
                match theirs == mine {
                    true => drop(self.ordered.insert(place.to_owned())),
                    false => drop(self.order.insert(place.to_owned(), format!("{theirs:?}, not {mine:?}"))),
                }
                for (name, value) in recorded.iter().filter(|(name, _)| !(other_template && *name == "config")) {
                    let place = format!("{place}.{name}");
                    match ours.get(name) {
                        None => drop(self.missing.insert(place)),
                        Some(ours) => self.compare(&place, value, ours),
                    }
                }
            }
            (Value::Array(recorded), Value::Array(ours)) => {
                for (recorded, ours) in recorded.iter().zip(ours.iter().cycle()) {
                    self.compare(&format!("{place}[]"), recorded, ours);
                }
            }
            _ if std::mem::discriminant(recorded) == std::mem::discriminant(ours) => {
                self.same.insert(place.to_owned());
            }
            _ => drop(self.other.insert(place.to_owned())),
        }
    }

    /// The differences. Where recordings are of two types, ours may be of one of them.
    fn differences(&self) -> Vec<String> {
        let missing = self.missing.iter().map(|place| format!("{place} is missing"));
        let other = self.other.difference(&self.same).map(|place| format!("{place} is of another type"));
        missing.chain(other).collect()
    }

    /// Objects whose members come in no recorded order. R's data frames have their columns in that.
    fn disordered(&self) -> Vec<&str> {
        let other = self.order.keys().filter(|place| !self.ordered.contains(*place));
        other.map(String::as_str).collect()
    }
}

#[tokio::test]
async fn shapes_are_those_of_real_servers() {
    let Some(folder) = recordings() else { return };
    let Some(remote) = Remote::start().await else { return };
    let index = Index::start().await;
    let mut all = Vec::new();
    files(&folder, "", &mut all);
    for (left, why) in LEFT {
        assert!(all.iter().any(|file| file == left), "{left} is gone ({why})");
    }
    all.retain(|file| LEFT.iter().all(|(left, _)| file != left));
    let mut of_release: BTreeMap<String, Vec<Recording>> = BTreeMap::new();
    for file in &all {
        let recording = Recording::read(&folder, file);
        of_release.entry(recording.release.clone()).or_default().push(recording);
    }
    assert!(of_release.len() > 5, "{:?}", of_release.keys());

    let mut found = Found::default();
    let newest = Served::start("", &index, Some(&remote)).await;
    for (release, mut recordings) in of_release {
        // What is asked last takes away what others show; the names of the files say which cache was only looked at.
        recordings.sort_by_key(|one| {
            let method = METHODS.iter().position(|method| *method == one.method);
            (method, std::cmp::Reverse(one.file.clone()))
        });
        let other = if release.is_empty() {
            None
        } else {
            let with_git = recordings.iter().any(|one| one.path.ends_with("/repository"));
            Some(Served::start(&release, &index, with_git.then_some(&remote)).await)
        };
        for recording in &recordings {
            let of = other.as_ref().unwrap_or(&newest);
            let mut answer = of.ask(recording).await;
            // Some were put into the folder of an earlier release than the one that brought the route.
            if answer.text() == "404 page not found" {
                answer = newest.ask(recording).await;
            }
            assert!(answer.status.is_success(), "{}: {} {}", recording.file, answer.status, answer.text());
            let mut ours = answer.json();
            // The recording is of one, and ours of a list.
            if recording.answer.is_object() && ours.is_array() {
                ours = ours[0].take();
            }
            assert!(!ours.is_null(), "{}: there is nothing to compare with", recording.file);
            let place = format!("{} {}", recording.method, recording.path);
            found.compare(&place, &recording.answer, &ours);
        }
    }
    assert_eq!(found.differences(), KNOWN);
    assert_eq!(found.disordered(), DISORDERED, "{:#?}", found.order);
}
