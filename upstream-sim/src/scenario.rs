//! Scenarios: small made-up worlds of packages that put a resolver to the test, read from TOML files.
//!
//! Files for Python have the format of packse. Those for R look the same, say `language = "r"`, and have fields for what
//! matters there: archives, dates, binaries. Whatever folder they lie in, all share one index: a package `a` of scenario
//! `extra-required` is published as `extra-required-a` (R: `extra.required.a`), and so are all references to it.
//!
//! Unknown keys are refused, so that a scenario never tests less than it says.

pub mod python;
pub mod r;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pkg_formats::psp::Digest;
use serde::Deserialize;

/// No larger file is read.
const LARGEST: u64 = 1 << 20;
/// No more files are read.
const MOST_FILES: usize = 2_000;
/// Folders within folders.
const DEEPEST: usize = 4;

/// Why scenarios cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A folder or file cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is too large, or there are too many.
    #[error("{path}: {what}")]
    TooMuch {
        /// Which.
        path: PathBuf,
        /// Of what, and the limit.
        what: String,
    },
    /// A file is not a scenario; names the key and the place.
    #[error("{path}: {reason}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The scenarios of a folder.
#[derive(Debug, Default)]
pub struct Scenarios {
    /// In the order of their names.
    pub all: Vec<Scenario>,
    /// Of the texts of all files.
    digest: Option<Digest>,
}

/// A scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Where it was read from.
    pub path: PathBuf,
    /// What it says.
    pub content: Content,
}

/// A scenario by language.
#[derive(Debug)]
pub enum Content {
    /// In the format of packse.
    Python(Box<python::Scenario>),
    /// With `language = "r"`.
    R(Box<r::Scenario>),
}

impl Scenario {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.content {
            Content::Python(scenario) => &scenario.name,
            Content::R(scenario) => &scenario.name,
        }
    }

    /// What a user asks for, with the names as they are published.
    #[must_use]
    pub fn requires(&self) -> Vec<String> {
        match &self.content {
            Content::Python(s) => s.root.requires.iter().map(|item| python::published(&s.name, item)).collect(),
            Content::R(s) => s.root.requires.iter().map(|item| r::published(&s.name, item)).collect(),
        }
    }

    /// What should come of it, with the names as they are published.
    #[must_use]
    pub fn expected(&self) -> Expected {
        let (expected, publish): (&Expected, fn(&str, &str) -> String) = match &self.content {
            Content::Python(scenario) => (&scenario.expected, python::published),
            Content::R(scenario) => (&scenario.expected, r::published),
        };
        let packages = expected.packages.iter();
        let packages = packages.map(|(name, version)| (publish(self.name(), name), version.clone())).collect();
        Expected { packages, ..expected.clone() }
    }
}

/// What should come of a scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// There is a solution.
    pub satisfiable: bool,
    /// The solution.
    #[serde(default)]
    pub packages: BTreeMap<String, String>,
    /// Why.
    pub explanation: Option<String>,
}

impl Scenarios {
    /// Reads all `*.toml` files in `folder` and the folders in it.
    ///
    /// # Errors
    /// The first file that is no scenario, and two of one name.
    pub fn load(folder: &Path) -> Result<Self, ScenarioError> {
        let mut paths = Vec::new();
        find(folder, 0, &mut paths)?;
        paths.sort();
        let mut all: Vec<Scenario> = Vec::with_capacity(paths.len());
        let mut texts = String::new();
        for path in paths {
            let text = read(&path)?;
            let content = parse(&text).map_err(|reason| ScenarioError::Malformed { path: path.clone(), reason })?;
            texts.push_str(&text);
            texts.push('\0');
            all.push(Scenario { path, content });
        }
        all.sort_by(|a, b| a.name().cmp(b.name()));
        if let Some(pair) = all.windows(2).find(|pair| pair[0].name() == pair[1].name()) {
            let reason = format!("the name {:?} is taken by {}", pair[1].name(), pair[0].path.display());
            return Err(ScenarioError::Malformed { path: pair[1].path.clone(), reason });
        }
        Ok(Self { all, digest: Some(Digest::of(texts.as_bytes())) })
    }

    /// What tells one set of scenarios from another.
    pub(crate) fn digest(&self) -> Option<Digest> {
        self.digest
    }
}

fn find(folder: &Path, depth: usize, paths: &mut Vec<PathBuf>) -> Result<(), ScenarioError> {
    let io = |source| ScenarioError::Io { path: folder.to_owned(), source };
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let kind = entry.file_type().map_err(io)?;
        let path = entry.path();
        if kind.is_dir() && depth < DEEPEST {
            find(&path, depth + 1, paths)?;
        } else if kind.is_file() && path.extension().is_some_and(|extension| extension == "toml") {
            if paths.len() == MOST_FILES {
                return Err(ScenarioError::TooMuch { path, what: format!("more than {MOST_FILES} scenarios") });
            }
            paths.push(path);
        }
    }
    Ok(())
}

fn read(path: &Path) -> Result<String, ScenarioError> {
    let io = |source| ScenarioError::Io { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(io)?.len() > LARGEST {
        return Err(ScenarioError::TooMuch { path: path.to_owned(), what: format!("larger than {LARGEST} bytes") });
    }
    std::fs::read_to_string(path).map_err(io)
}

fn parse(text: &str) -> Result<Content, String> {
    let table: toml::Table = toml::from_str(text).map_err(|error| error.to_string())?;
    let wrong = |error: toml::de::Error| error.to_string();
    match table.get("language").and_then(toml::Value::as_str) {
        None if !table.contains_key("language") => {
            let scenario: python::Scenario = toml::from_str(text).map_err(wrong)?;
            scenario.projects()?;
            Ok(Content::Python(Box::new(scenario)))
        }
        Some("r") => {
            let scenario: r::Scenario = toml::from_str(text).map_err(wrong)?;
            scenario.packages()?;
            Ok(Content::R(Box::new(scenario)))
        }
        _ => Err("`language` must be \"r\"; leave it out for Python".to_owned()),
    }
}

/// Names of scenarios become parts of names of packages.
fn check_name(name: &str) -> Result<(), String> {
    let good = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.contains("--")
        && name.len() <= 80;
    if good { Ok(()) } else { Err(format!("name: {name:?} must be of lower-case letters, digits and single hyphens")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}", key in "[a-z_]{1,12}", value in "\\PC{0,30}") {
            let _ = parse(&text);
            let value = toml::Value::String(value);
            for head in ["", "language = \"r\"\n"] {
                let _ = parse(&format!(
                    "{head}name = \"x\"\n[root]\n[expected]\nsatisfiable = true\n[packages.a.versions.{value}]\n{key} = [{value}]\n"
                ));
            }
        }
    }
}
