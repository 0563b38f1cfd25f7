//! Debian control format as R reads and writes it (`read.dcf`, `write.dcf`): `DESCRIPTION` and `PACKAGES` files.
//!
//! Records are separated by blank lines. A field is `Name: value`; lines that start with blanks continue the value of
//! the line before, and a continuation that is a lone `.` stands for an empty line. Blanks around each line are not
//! part of the value, nor are empty lines at its ends. Of a field that comes twice in a record the later one counts.

use std::fmt::Write as _;

/// Bounds on foreign text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole text.
    pub bytes: usize,
    /// Records.
    pub records: usize,
    /// Fields of one record.
    pub fields: usize,
}

impl Default for Limits {
    /// Enough for the index of the largest repository several times over.
    fn default() -> Self {
        Self { bytes: 256 << 20, records: 500_000, fields: 250 }
    }
}

/// What is wrong with a text, and on which line (from 1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither a field nor a continuation.
    #[error("line {line}: `{text}` is neither `Field: value` nor the continuation of a field")]
    Malformed {
        /// Line number.
        line: usize,
        /// Start of the line.
        text: String,
    },
    /// A limit was passed.
    #[error("line {line}: more than {limit} {what}")]
    TooMuch {
        /// Line number.
        line: usize,
        /// The limit.
        limit: usize,
        /// Of what.
        what: &'static str,
    },
    /// [`parse_one`] found none or several records.
    #[error("expected one record, found {found}")]
    NotOne {
        /// Number of records.
        found: usize,
    },
}

/// One record: fields in order, names as written (case matters, as in R).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    fields: Vec<(String, String)>,
}

impl Record {
    /// A record without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value of a field.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    /// Replaces a field in its place, or appends it.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let (name, value) = (name.into(), value.into());
        match self.fields.iter_mut().find(|(field, _)| *field == name) {
            Some((_, old)) => *old = value,
            None => self.fields.push((name, value)),
        }
    }

    /// Removes a field and gives its value.
    pub fn remove(&mut self, name: &str) -> Option<String> {
        let at = self.fields.iter().position(|(field, _)| field == name)?;
        Some(self.fields.remove(at).1)
    }

    /// Fields in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Record {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(fields: I) -> Self {
        let mut record = Self::new();
        for (name, value) in fields {
            record.set(name, value);
        }
        record
    }
}

/// Reads all records of a text, within the default [`Limits`].
///
/// # Errors
/// See [`Error`].
pub fn parse(text: &str) -> Result<Vec<Record>, Error> {
    parse_within(text, &Limits::default())
}

/// Reads a text that holds exactly one record, as a `DESCRIPTION` file does.
///
/// # Errors
/// As [`parse`]; [`Error::NotOne`] for none or several.
pub fn parse_one(text: &str) -> Result<Record, Error> {
    let mut records = parse(text)?;
    match (records.len(), records.pop()) {
        (1, Some(record)) => Ok(record),
        (found, _) => Err(Error::NotOne { found }),
    }
}

/// Reads all records of a text.
///
/// # Errors
/// See [`Error`].
pub fn parse_within(text: &str, limits: &Limits) -> Result<Vec<Record>, Error> {
    if text.len() > limits.bytes {
        return Err(Error::TooMuch { line: 1, limit: limits.bytes, what: "bytes" });
    }
    let mut records = Vec::new();
    let mut record = Record::new();
    // The field that a continuation line continues.
    let mut open: Option<usize> = None;
    for (number, line) in text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate() {
        let number = number + 1;
        let content = line.trim_matches(BLANK);
        if content.is_empty() {
            close(&mut record, open.take());
            if !record.is_empty() {
                records.push(std::mem::take(&mut record));
            }
        } else if line.starts_with(BLANK) {
            let Some((_, value)) = open.and_then(|at| record.fields.get_mut(at)) else {
                return Err(malformed(number, line));
            };
            if !value.is_empty() {
                value.push('\n');
            }
            value.push_str(if content == "." { "" } else { content });
        } else {
            let Some((name, value)) = line.split_once(':').filter(|(name, _)| !name.is_empty()) else {
                return Err(malformed(number, line));
            };
            if record.is_empty() && records.len() == limits.records {
                return Err(Error::TooMuch { line: number, limit: limits.records, what: "records" });
            }
            close(&mut record, open.take());
            let value = value.trim_matches(BLANK).to_owned();
            let at = record.fields.iter().position(|(field, _)| field == name);
            match at {
                Some(at) => record.fields[at].1 = value,
                None if record.len() == limits.fields => {
                    return Err(Error::TooMuch { line: number, limit: limits.fields, what: "fields in a record" });
                }
                None => record.fields.push((name.to_owned(), value)),
            }
            open = at.or(Some(record.len() - 1));
        }
    }
    close(&mut record, open);
    if !record.is_empty() {
        records.push(record);
    }
    Ok(records)
}

/// Cuts the empty lines from the end of a value.
fn close(record: &mut Record, open: Option<usize>) {
    if let Some((_, value)) = open.and_then(|at| record.fields.get_mut(at)) {
        value.truncate(value.trim_end_matches('\n').len());
    }
}

/// What R's regular expressions call blank, and the carriage return of a foreign line end.
const BLANK: [char; 3] = [' ', '\t', '\r'];

fn malformed(line: usize, text: &str) -> Error {
    Error::Malformed { line, text: text.chars().take(40).collect() }
}

/// Writes records, a blank line between them. Lines of a value are kept, and indented by eight blanks from the
/// second on; nothing is folded.
pub fn write(records: &[Record]) -> String {
    let size = records.iter().flat_map(Record::iter).map(|(name, value)| name.len() + value.len() + 3).sum::<usize>();
    let mut out = String::with_capacity(size + records.len());
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        for (name, value) in record.iter() {
            write_field(&mut out, name, value);
        }
    }
    out
}

fn write_field(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    out.push(':');
    for (index, line) in value.split('\n').enumerate() {
        let line = line.trim_matches(BLANK);
        let written = match (index, line) {
            (0, "") => Ok(()),
            (0, line) => write!(out, " {line}"),
            (_, "") => write!(out, "\n        ."),
            (_, line) => write!(out, "\n        {line}"),
        };
        written.expect("writing to a string cannot fail");
    }
    out.push('\n');
}
