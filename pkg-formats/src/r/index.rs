//! The index of a repository directory: `PACKAGES`, `PACKAGES.gz` and `PACKAGES.rds` from the same records.
//!
//! R asks for the `.rds` first, then the `.gz`, then the plain text, and is content with any of them.

use std::borrow::Cow;
use std::collections::HashMap;

use super::rds::Value;
use crate::archive::{Compression, gzip};
use crate::dcf::{self, Record};

/// The fields of a `DESCRIPTION` that go into an index, in the order of R's own generator.
pub const FIELDS: [&str; 15] = [
    "Package",
    "Version",
    "Priority",
    "Depends",
    "Imports",
    "LinkingTo",
    "Suggests",
    "Enhances",
    "License",
    "License_is_FOSS",
    "License_restricts_use",
    "OS_type",
    "Archs",
    "MD5sum",
    "NeedsCompilation",
];

/// The index record of a package: those of [`FIELDS`] that its `DESCRIPTION` has, each on one line.
pub fn record(description: &Record) -> Record {
    FIELDS
        .into_iter()
        .filter_map(|name| {
            let value = description.get(name)?;
            Some((name, value.split_whitespace().collect::<Vec<_>>().join(" ")))
        })
        .collect()
}

/// `PACKAGES`.
pub fn packages(records: &[Record]) -> String {
    dcf::write(records)
}

/// `PACKAGES.gz`.
pub fn packages_gz(records: &[Record]) -> Vec<u8> {
    gzip(packages(records).as_bytes(), Compression::Deflate)
}

/// `PACKAGES.rds`: a character matrix with a row for each record and a column for each field that any record has.
pub fn packages_rds(records: &[Record]) -> Vec<u8> {
    gzip(&matrix(records).to_bytes(), Compression::Deflate)
}

/// The matrix inside `PACKAGES.rds`, without row names: R discards them.
pub fn matrix(records: &[Record]) -> Value<'_> {
    let mut columns: Vec<&str> = Vec::new();
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (name, _) in records.iter().flat_map(Record::iter) {
        places.entry(name).or_insert_with(|| {
            columns.push(name);
            columns.len() - 1
        });
    }
    let rows = records.len();
    let mut cells: Vec<Option<Cow<'_, str>>> = vec![None; rows * columns.len()];
    for (row, record) in records.iter().enumerate() {
        for (name, value) in record.iter() {
            cells[places[name] * rows + row] = Some(Cow::Borrowed(value));
        }
    }
    Value::matrix(cells, rows, &columns)
}
