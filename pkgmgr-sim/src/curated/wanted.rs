//! Requirements for R packages, as the documentation of curated sources has them: a name, versions if not all will do, and in brackets
//! which kinds of dependencies come along besides those of the source: `alpha`, `alpha>=1.0,<2.0`, `alpha==1.0[suggests]`.
//!
//! How bounds of versions are written is not documented; here they are R's operators, and may stand in parentheses as in a `DESCRIPTION`.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use pkg_formats::psp::{RRecord, RState, RVersion};
use pkg_formats::r::deps::{self, Dependency};
use pkg_formats::r::is_package_name;

use super::fields;
use crate::error::Error;

/// One package that a source shall have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) name: String,
    /// Every version must satisfy all of them.
    bounds: Vec<Dependency>,
    /// Kinds of dependencies.
    pub(super) extras: Vec<String>,
}

impl Wanted {
    /// # Errors
    /// What is wrong with the text.
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let fail = |why: &str| {
            let start: String = text.chars().take(80).collect();
            Error::BadRequest(format!("{start:?} is no requirement such as sf>=1.0,<2.0: {why}"))
        };
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        if !is_package_name(name) {
            return Err(fail("it does not begin with the name of an R package"));
        }
        let (versions, extras) = match rest.split_once('[') {
            None => (rest.to_owned(), Vec::new()),
            Some((before, bracket)) => {
                let (extras, after) = bracket.split_once(']').ok_or_else(|| fail("the bracket is not closed"))?;
                let extras: Vec<String> = extras.split(',').map(|word| word.trim().to_lowercase()).collect();
                fields(&extras).map_err(|error| fail(&error.to_string()))?;
                (format!("{before}{after}"), extras)
            }
        };
        let versions = versions.trim();
        let inner = versions.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
        let mut bounds = Vec::new();
        for bound in inner.unwrap_or(versions).split(',').map(str::trim).filter(|bound| !bound.is_empty()) {
            let read = deps::parse(&format!("{name} ({bound})")).ok();
            let read = read.ok_or_else(|| fail("versions are bounds such as ==1.0, or >=1.0 and <2.0 with a comma"))?;
            bounds.extend(read);
        }
        Ok(Self { name: name.to_owned(), bounds, extras })
    }

    /// The version that is offered at `t` in place of the current one of `record`; of the record stays what satisfies the bounds. The
    /// newest of those is offered, even where a newer one has taken its place since.
    pub(super) fn narrow(&self, record: &mut RRecord, t: DateTime<Utc>) -> Option<RVersion> {
        if self.bounds.is_empty() {
            return crate::record::current(record, t).cloned();
        }
        if record.removed_at.is_some() {
            return None;
        }
        record.versions.retain(|one| {
            one.version.parse().is_ok_and(|version| self.bounds.iter().all(|bound| bound.accepts(&version)))
        });
        let offered = record.versions.last_mut()?;
        offered.archived_at = None;
        offered.state = RState::Current;
        Some(offered.clone())
    }
}

/// As [`Wanted::parse`] reads it.
impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for (nth, (op, version)) in self.bounds.iter().filter_map(|bound| bound.requirement.as_ref()).enumerate() {
            write!(f, "{}{}{version}", if nth > 0 { "," } else { "" }, op.as_str())?;
        }
        if !self.extras.is_empty() {
            write!(f, "[{}]", self.extras.join(","))?;
        }
        Ok(())
    }
}

/// The requirements of a file, one a line.
///
/// # Errors
/// The first line that is none.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, Wanted>, Error> {
    let mut found = BTreeMap::new();
    for (number, line) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let wanted =
            Wanted::parse(line).map_err(|error| Error::BadRequest(format!("requirements: line {number}: {error}")))?;
        if let Some(other) = found.insert(wanted.name.clone(), wanted.clone())
            && other != wanted
        {
            let name = &wanted.name;
            return Err(Error::BadRequest(format!("requirements: line {number}: {name} has another line above")));
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requirements_are_read_and_written() {
        let written =
            |text: &str| Wanted::parse(text).map(|wanted| wanted.to_string()).map_err(|error| error.to_string());
        for (text, wanted) in [
            ("data.table", "data.table"),
            ("sf >= 1.0 , < 2.0-1", "sf>=1.0,<2.0-1"),
            ("sf (>= 1.0)", "sf>=1.0"),
            ("sf==1.0 [suggests]", "sf==1.0[suggests]"),
            ("sf[Suggests, imports]!=1.0", "sf!=1.0[suggests,imports]"),
        ] {
            assert_eq!(written(text).as_deref(), Ok(wanted), "{text}");
            assert_eq!(written(wanted).as_deref(), Ok(wanted));
        }
        for bad in
            ["", "1sf", "sf 1.0", "sf==", "sf=1.0", "sf~=1.0", "sf[", "sf[love]", "sf>=1.0)", "sf; x", "sf>=love"]
        {
            assert!(written(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_package_has_one_line() {
        let read = |text: &str| read(text).map(|all| all.len()).map_err(|error| error.to_string());
        assert_eq!(read("\u{feff}# ours\nsf # maps\n\nsf\ncurl>=5\n"), Ok(2));
        assert!(read("sf\nsf>1\n").unwrap_err().contains("line 2"));
        assert!(read("sf\n?\n").unwrap_err().contains("line 2"));
    }

    proptest::proptest! {
        #[test]
        fn no_line_is_too_odd(text in "[a-z.\\[\\](),<>=! 0-9]{0,30}") {
            if let Ok(wanted) = Wanted::parse(&text) {
                proptest::prop_assert_eq!(Wanted::parse(&wanted.to_string()).ok(), Some(wanted));
            }
        }
    }
}
