//! R source packages: `{package}_{version}.tar.gz`.

use super::package::{Error, identity};
use crate::archive::{Compression, Files, tar_gz};
use crate::dcf::{self, Record};

/// A source package to be made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceSpec {
    /// `DESCRIPTION`; needs `Package` and `Version`. See [`description`] for a start.
    pub description: Record,
    /// The other files by path inside the package: `NAMESPACE`, `R/code.R` …
    pub files: Files,
}

impl SourceSpec {
    /// `{package}_{version}.tar.gz`.
    ///
    /// # Errors
    /// The name or version is missing or malformed.
    pub fn file_name(&self) -> Result<String, Error> {
        let (name, version) = identity(&self.description)?;
        Ok(format!("{name}_{version}.tar.gz"))
    }

    /// The archive's bytes, a pure function of the spec.
    ///
    /// # Errors
    /// The name or version is missing or malformed; a path is not plain and relative.
    pub fn tar_gz(&self) -> Result<Vec<u8>, Error> {
        Ok(tar_gz(&tree(&self.description, &self.files)?, Compression::Stored)?)
    }
}

/// A `DESCRIPTION` with the fields that R's installer and checker expect of every package.
pub fn description(package: &str, version: &str, title: &str) -> Record {
    [
        ("Package", package),
        ("Version", version),
        ("Title", title),
        ("Description", &format!("{}.", title.trim_end_matches('.'))),
        ("Author", "teamsim"),
        ("Maintainer", "teamsim <teamsim@example.org>"),
        ("License", "MIT"),
        ("NeedsCompilation", "no"),
    ]
    .into_iter()
    .collect()
}

/// The files of a package under its top directory, with the `DESCRIPTION`.
pub(super) fn tree(description: &Record, files: &Files) -> Result<Files, Error> {
    let (name, _) = identity(description)?;
    let mut tree: Files = files.iter().map(|(path, file)| (format!("{name}/{path}"), file.clone())).collect();
    tree.insert(format!("{name}/DESCRIPTION"), dcf::write(std::slice::from_ref(description)).into());
    Ok(tree)
}
