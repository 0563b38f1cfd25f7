//! Core metadata: `METADATA` in wheels, `PKG-INFO` in sdists, the `.metadata` files of an index (PEP 658).
//!
//! Header lines like those of mail, then a blank line, then the long description.

use std::fmt::Write as _;

use super::{name, version};

/// The metadata of one release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// `Metadata-Version`, such as `2.1`. From 2.2 on, installers trust an sdist's `PKG-INFO` without building it.
    pub metadata_version: String,
    /// `Name`, as the author writes it.
    pub name: String,
    /// `Version`.
    pub version: String,
    /// `Summary`: one line.
    pub summary: Option<String>,
    /// `Requires-Python`: a version specifier.
    pub requires_python: Option<String>,
    /// `Requires-Dist`: one requirement (PEP 508) each.
    pub requires_dist: Vec<String>,
    /// `Provides-Extra`.
    pub provides_extra: Vec<String>,
    /// All other headers in order.
    pub other: Vec<(String, String)>,
    /// The long description; empty for none.
    pub description: String,
}

/// Why a text is not core metadata.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Larger than 16 MiB.
    #[error("the metadata is larger than {0} bytes")]
    TooLarge(usize),
    /// More than 20,000 header lines.
    #[error("the metadata has more than {0} header lines")]
    TooManyHeaders(usize),
    /// Not text.
    #[error("the metadata is not UTF-8")]
    Encoding,
    /// A line that is no header.
    #[error("line {line}: `{text}` is not `Header: value`")]
    Malformed {
        /// Line number, from 1.
        line: usize,
        /// Start of the line.
        text: String,
    },
    /// A header that must be there is not.
    #[error("the metadata has no `{0}`")]
    Missing(&'static str),
    /// `Name` is no project name.
    #[error("`{0}` is not a project name")]
    BadName(String),
    /// `Version` or `Requires-Python` is malformed.
    #[error(transparent)]
    BadVersion(#[from] version::Error),
}

const LARGEST: usize = 16 << 20;
const MOST_HEADERS: usize = 20_000;

impl Metadata {
    /// Metadata of version 2.1 with a name, a version and nothing else.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self { metadata_version: "2.1".to_owned(), name: name.into(), version: version.into(), ..Self::default() }
    }

    /// Checks what an index needs to be sound: name, version and `Requires-Python`.
    ///
    /// # Errors
    /// The first of them that is malformed.
    pub fn check(&self) -> Result<(), Error> {
        if !name::is_valid(&self.name) {
            return Err(Error::BadName(self.name.chars().take(80).collect()));
        }
        version::parse(&self.version)?;
        if let Some(specifiers) = &self.requires_python {
            version::parse_specifiers(specifiers)?;
        }
        Ok(())
    }

    /// Reads the bytes of a `METADATA` file. Unknown headers are kept in [`Self::other`].
    ///
    /// # Errors
    /// See [`Error`]. Values are not checked: see [`Self::check`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > LARGEST {
            return Err(Error::TooLarge(LARGEST));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| Error::Encoding)?;
        let mut headers: Vec<(&str, String)> = Vec::new();
        let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut number = 0;
        while !rest.is_empty() {
            let (line, after) = rest.split_once('\n').unwrap_or((rest, ""));
            rest = after;
            number += 1;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                break;
            }
            if number > MOST_HEADERS {
                return Err(Error::TooManyHeaders(MOST_HEADERS));
            }
            match (line.starts_with([' ', '\t']), headers.last_mut(), line.split_once(':')) {
                (true, Some((_, value)), _) => {
                    value.push('\n');
                    value.push_str(line.trim());
                }
                (false, _, Some((header, value))) if !header.is_empty() => {
                    headers.push((header, value.trim().to_owned()));
                }
                _ => return Err(Error::Malformed { line: number, text: line.chars().take(40).collect() }),
            }
        }
        let mut metadata = Self { description: rest.to_owned(), ..Self::default() };
        for (header, value) in headers {
            metadata.take_header(header, value);
        }
        for (header, value) in
            [("Metadata-Version", &metadata.metadata_version), ("Name", &metadata.name), ("Version", &metadata.version)]
        {
            if value.is_empty() {
                return Err(Error::Missing(header));
            }
        }
        Ok(metadata)
    }

    fn take_header(&mut self, header: &str, value: String) {
        // Header names do not differ by case.
        match header.to_ascii_lowercase().as_str() {
            "metadata-version" => self.metadata_version = value,
            "name" => self.name = value,
            "version" => self.version = value,
            "summary" => self.summary = Some(value),
            "requires-python" => self.requires_python = Some(value),
            "requires-dist" => self.requires_dist.push(value),
            "provides-extra" => self.provides_extra.push(value),
            // Before 2.1 the long description was a header with a bar before each continued line.
            "description" if self.description.is_empty() => self.description = value.replace("\n|", "\n"),
            _ => self.other.push((header.to_owned(), value)),
        }
    }
}

impl std::fmt::Display for Metadata {
    /// The text of a `METADATA` file.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut header = |name: &str, value: &str| {
            write!(f, "{name}: ")?;
            for (index, line) in value.lines().enumerate() {
                let indent = if index > 0 { "\n        " } else { "" };
                write!(f, "{indent}{}", line.trim())?;
            }
            f.write_char('\n')
        };
        header("Metadata-Version", &self.metadata_version)?;
        header("Name", &self.name)?;
        header("Version", &self.version)?;
        for (name, value) in [("Summary", &self.summary), ("Requires-Python", &self.requires_python)] {
            if let Some(value) = value {
                header(name, value)?;
            }
        }
        for (name, value) in &self.other {
            header(name, value)?;
        }
        for value in &self.requires_dist {
            header("Requires-Dist", value)?;
        }
        for value in &self.provides_extra {
            header("Provides-Extra", value)?;
        }
        if self.description.is_empty() { Ok(()) } else { write!(f, "\n{}", self.description) }
    }
}
