//! The dependency fields of a package: `Depends`, `Imports`, `LinkingTo`, `Suggests`, `Enhances`.
//!
//! A comma-separated list of names, each with an optional requirement in parentheses: `R (>= 3.5), methods, Rcpp`.

use std::fmt;
use std::str::FromStr;

use super::{RVersion, is_package_name};

/// How a version is compared with a required one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
}

impl Op {
    const ALL: [Self; 6] = [Self::AtLeast, Self::AtMost, Self::Equal, Self::NotEqual, Self::Above, Self::Below];

    /// As written in a field.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::AtMost => "<=",
            Self::Below => "<",
            Self::Equal => "==",
            Self::NotEqual => "!=",
        }
    }
}

/// One entry of a list. `R` itself is an entry like any other.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Dependency {
    /// The package.
    pub name: String,
    /// What its version must satisfy.
    pub requirement: Option<(Op, RVersion)>,
}

impl Dependency {
    /// Whether a version satisfies the requirement.
    pub fn accepts(&self, version: &RVersion) -> bool {
        self.requirement.as_ref().is_none_or(|(op, required)| match op {
            Op::AtLeast => version >= required,
            Op::Above => version > required,
            Op::AtMost => version <= required,
            Op::Below => version < required,
            Op::Equal => version == required,
            Op::NotEqual => version != required,
        })
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match &self.requirement {
            Some((op, version)) => write!(f, " ({} {version})", op.as_str()),
            None => Ok(()),
        }
    }
}

/// An entry that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{entry}` is not a dependency such as `Rcpp` or `Rcpp (>= 1.0.0)`: {reason}")]
pub struct Error {
    /// The entry.
    pub entry: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl FromStr for Dependency {
    type Err = Error;

    fn from_str(entry: &str) -> Result<Self, Error> {
        let entry = entry.trim();
        let fail = |reason| Error { entry: entry.chars().take(80).collect(), reason };
        let (name, requirement) = match entry.split_once('(') {
            None => (entry, None),
            Some((name, rest)) => {
                let rest = rest.strip_suffix(')').ok_or_else(|| fail("the parenthesis is not closed"))?.trim();
                let operator = Op::ALL.into_iter().find_map(|op| Some((op, rest.strip_prefix(op.as_str())?)));
                let (op, version) = operator.ok_or_else(|| fail("expected an operator such as `>=`"))?;
                let version = version.trim().parse().map_err(|_| fail("the version is not an R version"))?;
                (name.trim_end(), Some((op, version)))
            }
        };
        if !is_package_name(name) {
            return Err(fail("not a package name"));
        }
        Ok(Self { name: name.to_owned(), requirement })
    }
}

/// Reads a dependency field. Empty entries are skipped, as R does.
///
/// # Errors
/// The first entry that cannot be understood.
pub fn parse(field: &str) -> Result<Vec<Dependency>, Error> {
    field.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::parse).collect()
}

/// Writes a dependency field on one line.
pub fn write(dependencies: &[Dependency]) -> String {
    dependencies.iter().map(Dependency::to_string).collect::<Vec<_>>().join(", ")
}
