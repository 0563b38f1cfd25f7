//! Which installed version of a language a bundle gets.

use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};

/// No installed version will do.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum NoVersion {
    /// None is installed.
    #[error("{0} is not installed on this server")]
    NotInstalled(&'static str),
    /// None satisfies the constraint of the manifest.
    #[error("no installed version of {language} ({installed}) satisfies `{requires}`")]
    Unsatisfied {
        /// The language.
        language: &'static str,
        /// Those there are.
        installed: String,
        /// The constraint.
        requires: String,
    },
    /// The constraint cannot be read.
    #[error("`{0}` is not a version constraint such as `~=3.11`")]
    BadConstraint(String),
}

/// The newest that satisfies `requires`, if that is given; else the author's version, else the nearest one: of the same
/// minor version, else the next newer minor version, else the newest.
///
/// # Errors
/// [`NoVersion`]
pub(super) fn choose(
    language: &'static str,
    installed: &[String],
    author: Option<&str>,
    requires: Option<&str>,
) -> Result<String, NoVersion> {
    let mut versions: Vec<(Version, &String)> =
        installed.iter().filter_map(|text| Some((Version::from_str(text).ok()?, text))).collect();
    versions.sort();
    if let Some(requires) = requires.filter(|text| !text.trim().is_empty()) {
        let bad = || NoVersion::BadConstraint(requires.chars().take(100).collect());
        // A bare version means that minor version.
        let text = match Version::from_str(requires.trim()) {
            Ok(version) => format!("=={}.*", minor(&version)),
            Err(_) => requires.trim().to_owned(),
        };
        let wanted = VersionSpecifiers::from_str(&text).map_err(|_| bad())?;
        let best = versions.iter().rev().find(|(version, _)| wanted.contains(version));
        return best.map(|(_, text)| (*text).clone()).ok_or_else(|| NoVersion::Unsatisfied {
            language,
            installed: installed.join(", "),
            requires: requires.to_owned(),
        });
    }
    let newest = versions.last().ok_or(NoVersion::NotInstalled(language))?;
    let Some(author) = author.and_then(|text| Version::from_str(text).ok()) else { return Ok(newest.1.clone()) };
    let exact = versions.iter().find(|(version, _)| *version == author);
    let same_minor = || versions.iter().rev().find(|(version, _)| minor(version) == minor(&author));
    let newer = || versions.iter().find(|(version, _)| *version > author);
    Ok(exact.or_else(same_minor).or_else(newer).unwrap_or(newest).1.clone())
}

fn minor(version: &Version) -> String {
    version.release().iter().take(2).map(ToString::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_nearest_version_is_chosen() {
        let installed: Vec<String> = ["3.9.21", "3.11.2", "3.11.11", "3.12.8"].map(str::to_owned).to_vec();
        let chosen = |author, requires| choose("Python", &installed, author, requires);
        assert_eq!(chosen(Some("3.11.2"), None).unwrap(), "3.11.2");
        assert_eq!(chosen(Some("3.11.4"), None).unwrap(), "3.11.11");
        assert_eq!(chosen(Some("3.10.1"), None).unwrap(), "3.11.2");
        assert_eq!(chosen(Some("3.14.0"), None).unwrap(), "3.12.8");
        assert_eq!(chosen(None, None).unwrap(), "3.12.8");
        assert_eq!(chosen(Some("3.9.0"), Some("~=3.11")).unwrap(), "3.12.8");
        assert_eq!(chosen(Some("3.9.0"), Some("3.11")).unwrap(), "3.11.11");
        assert!(matches!(chosen(None, Some(">=4")), Err(NoVersion::Unsatisfied { .. })));
        assert!(matches!(chosen(None, Some("new")), Err(NoVersion::BadConstraint(_))));
        assert_eq!(choose("Quarto", &[], None, None), Err(NoVersion::NotInstalled("Quarto")));
    }

    proptest! {
        #[test]
        fn any_constraint_is_read_or_refused(author in ".{0,20}", requires in ".{0,20}") {
            let _ = choose("R", &["4.4.2".to_owned()], Some(&author), Some(&requires));
        }
    }
}
