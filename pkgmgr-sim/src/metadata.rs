//! Custom metadata: values that administrators give to packages under keys of their own, such as a score of risk.
//!
//! A record fits packages by name, version, source and repo; what it leaves open fits all. Of the records with one key that fit, the one
//! with more conditions counts, as the documentation has it. Among equally many a name goes before a version, that before a source and
//! that before a repo, and then the newer record goes before the older; that is a guess.

use std::collections::BTreeMap;

use pkg_formats::python::name::normalize;
use pkg_formats::python::version;

use crate::store::metadata::Record;

/// A version of a package, as a repo shows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a> {
    pub(crate) python: bool,
    /// Normalised for Python.
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    pub(crate) source: i64,
    pub(crate) repo: i64,
}

impl Shown<'_> {
    fn fits(&self, record: &Record) -> bool {
        let named = |name: &String| if self.python { normalize(name) == self.name } else { name == self.name };
        let versioned = |wanted: &String| {
            let parsed = |text: &str| Some(text).filter(|_| self.python).and_then(|text| version::parse(text).ok());
            wanted == self.version || parsed(wanted).is_some_and(|wanted| Some(wanted) == parsed(self.version))
        };
        record.package_name.as_ref().is_none_or(named)
            && record.version.as_ref().is_none_or(versioned)
            && record.source_id.is_none_or(|id| id == self.source)
            && record.repo_id.is_none_or(|id| id == self.repo)
    }

    /// Keys with their values, of `records` in the order of their numbers.
    pub(crate) fn values<'a>(&self, records: &'a [Record]) -> BTreeMap<&'a str, &'a str> {
        let rank = |record: &Record| {
            let has = [
                record.package_name.is_some(),
                record.version.is_some(),
                record.source_id.is_some(),
                record.repo_id.is_some(),
            ];
            (has.iter().filter(|one| **one).count(), has)
        };
        let mut best: BTreeMap<&str, &Record> = BTreeMap::new();
        for record in records.iter().filter(|record| self.fits(record)) {
            let known = best.entry(&record.key).or_insert(record);
            if rank(record) >= rank(known) {
                *known = record;
            }
        }
        best.into_iter().map(|(key, record)| (key, record.value.as_str())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_with_the_most_conditions_counts() {
        let record = |id, name: Option<&str>, version: Option<&str>, source_id, repo_id, value: &str| Record {
            id,
            package_name: name.map(str::to_owned),
            version: version.map(str::to_owned),
            source_id,
            repo_id,
            key: "risk".to_owned(),
            value: value.to_owned(),
        };
        let records = [
            record(1, None, None, None, None, "any"),
            record(2, None, None, Some(7), None, "source"),
            record(3, None, None, None, Some(9), "repo"),
            record(4, Some("A.b"), None, None, None, "named"),
            record(5, Some("A.b"), Some("1.0"), None, None, "version"),
            record(6, Some("A.b"), Some("2.0"), Some(7), None, "elsewhere"),
        ];
        let shown = |python, name, version, source, repo| {
            Shown { python, name, version, source, repo }.values(&records).remove("risk").unwrap()
        };
        assert_eq!(shown(false, "x", "1.0", 1, 1), "any");
        assert_eq!(shown(false, "x", "1.0", 7, 1), "source");
        assert_eq!(shown(false, "x", "1.0", 7, 9), "source");
        assert_eq!(shown(false, "x", "1.0", 1, 9), "repo");
        assert_eq!(shown(false, "a-b", "1.0", 1, 1), "any", "names of R packages are as they are");
        assert_eq!(shown(true, "a-b", "1.0.0", 1, 1), "version");
        assert_eq!(shown(true, "a-b", "2.0", 7, 1), "elsewhere");
        assert_eq!(shown(false, "A.b", "1.0.0", 7, 9), "named");
        let newer = [record(1, Some("x"), None, None, None, "old"), record(2, Some("x"), None, None, None, "new")];
        let one = Shown { python: false, name: "x", version: "1", source: 1, repo: 1 };
        assert_eq!(one.values(&newer), BTreeMap::from([("risk", "new")]));
    }
}
