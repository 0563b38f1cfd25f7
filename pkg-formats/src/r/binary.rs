//! R binary packages: an installed package tree, packed.
//!
//! For Linux R has no binary package type of its own, so Package Manager serves an installed tree under the name of
//! the source package; `R CMD INSTALL` knows it by the `Built` field. For Windows the same tree is a zip file.
//! The code is kept as plain R source in `R/{package}`, which R's loader sources when it finds no lazy-load stub there.

use std::str::FromStr;

use super::deps::{self, Dependency, Op};
use super::package::{Error, identity};
use super::rds::{Data, Value};
use super::{RVersion, source};
use crate::archive::{Compression, Files, gzip, tar_gz, zip_with_directories};
use crate::dcf::Record;

/// What the `Built` field tells of the R that a package was built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Version of R; three numbers. R warns when it loads a package of another minor version.
    pub r: RVersion,
    /// Platform such as `x86_64-pc-linux-gnu`; empty for packages without compiled code.
    pub platform: String,
    /// Time as `2026-01-01 00:00:00 UTC`.
    pub time: String,
    /// `unix` or `windows`.
    pub os: &'static str,
}

impl Built {
    /// The value of the `Built` field.
    pub fn field(&self) -> String {
        format!("R {}; {}; {}; {}", self.r, self.platform, self.time, self.os)
    }
}

/// A text that is no `Built` field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a `Built` field such as `R 4.2.0; ; 2026-01-01 00:00:00 UTC; unix`")]
pub struct BadBuilt(pub String);

impl FromStr for Built {
    type Err = BadBuilt;

    fn from_str(field: &str) -> Result<Self, BadBuilt> {
        let fail = || BadBuilt(field.chars().take(120).collect());
        let parts: Vec<&str> = field.split(';').map(str::trim).collect();
        let [r, platform, time, os] = parts.as_slice() else { return Err(fail()) };
        Ok(Self {
            r: r.strip_prefix("R ").and_then(|r| r.parse().ok()).ok_or_else(fail)?,
            platform: (*platform).to_owned(),
            time: (*time).to_owned(),
            os: ["unix", "windows"].into_iter().find(|known| known == os).ok_or_else(fail)?,
        })
    }
}

/// A binary package to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BinarySpec {
    /// `DESCRIPTION` without `Built`; needs `Package` and `Version`.
    pub description: Record,
    /// `NAMESPACE`.
    pub namespace: String,
    /// All R code of the package.
    pub code: String,
    /// Further files by path inside the installed package.
    pub files: Files,
    /// The R that it is built for.
    pub built: Built,
}

impl BinarySpec {
    /// The package for Linux (and, as `.tgz`, for macOS).
    ///
    /// # Errors
    /// The name, version or a dependency field is missing or malformed; a path is not plain and relative.
    pub fn tar_gz(&self) -> Result<Vec<u8>, Error> {
        Ok(tar_gz(&self.tree()?, Compression::Stored)?)
    }

    /// The package for Windows.
    ///
    /// # Errors
    /// As [`Self::tar_gz`].
    pub fn zip(&self) -> Result<Vec<u8>, Error> {
        Ok(zip_with_directories(&self.tree()?)?)
    }

    fn tree(&self) -> Result<Files, Error> {
        let mut description = self.description.clone();
        description.set("Built", self.built.field());
        let (name, _) = identity(&description)?;
        let mut files = self.files.clone();
        files.insert("NAMESPACE".to_owned(), self.namespace.as_str().into());
        files.insert(format!("R/{name}"), self.code.as_str().into());
        let metadata = package_rds(&description, &self.built)?.to_bytes();
        files.insert("Meta/package.rds".to_owned(), gzip(&metadata, Compression::Stored).into());
        source::tree(&description, &files)
    }
}

/// The value in `Meta/package.rds`: what R's installer makes of a `DESCRIPTION` with a `Built` field.
///
/// # Errors
/// A dependency field cannot be understood.
pub fn package_rds<'a>(description: &'a Record, built: &'a Built) -> Result<Value<'a>, Error> {
    let list = |field: &str| deps::parse(description.get(field).unwrap_or(""));
    let (on_r, depends): (Vec<_>, Vec<_>) = list("Depends")?
        .into_iter()
        .filter(|dependency| dependency.name != "base")
        .partition(|dependency| dependency.name == "R");
    let (first, all) = match on_r.first() {
        Some(first) => (entry(first), Data::List(on_r.iter().map(entry).collect()).into()),
        None => (Value::NULL, Value::NULL),
    };
    let fields = Value::strings(description.iter().map(|(_, value)| value));
    let built = Value::named_list([
        ("R", version(&built.r, &["R_system_version", "package_version", "numeric_version"])),
        ("Platform", Value::string(&built.platform)),
        ("Date", Value::string(&built.time)),
        ("OStype", Value::string(built.os)),
    ]);
    Ok(Value::named_list([
        ("DESCRIPTION", fields.with_names(description.iter().map(|(name, _)| name))),
        ("Built", built),
        ("Rdepends", first),
        ("Rdepends2", all),
        ("Depends", entries(&depends)),
        ("Suggests", entries(&list("Suggests")?)),
        ("Imports", entries(&list("Imports")?)),
        ("LinkingTo", entries(&list("LinkingTo")?)),
    ])
    .with_class(["packageDescription2"]))
}

fn entries(dependencies: &[Dependency]) -> Value<'static> {
    Value::named_list(dependencies.iter().map(|dependency| (dependency.name.clone(), entry(dependency))))
}

fn entry(dependency: &Dependency) -> Value<'static> {
    let mut parts = vec![("name", Value::string(dependency.name.clone()))];
    if let Some((op, required)) = &dependency.requirement {
        parts.push(("op", Value::string(Op::as_str(*op))));
        parts.push(("version", version(required, &["package_version", "numeric_version"])));
    }
    Value::named_list(parts)
}

fn version(version: &RVersion, classes: &[&'static str]) -> Value<'static> {
    let parts = version.parts().iter().map(|part| i32::try_from(*part).unwrap_or(i32::MAX));
    Value::from(Data::List(vec![Value::integers(parts)])).with_class(classes.iter().copied())
}
