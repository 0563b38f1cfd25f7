//! R packages from CRAN-like repositories.
//!
//! A client of such a repository reads `src/contrib/PACKAGES.gz` (or `PACKAGES`), which lists the current packages, and
//! asks for `src/contrib/{package}_{version}.tar.gz`, or for `src/contrib/Archive/{package}/{package}_{version}.tar.gz`
//! when it wants an older version than the index has. There is no choice of versions to search through: each package
//! has its current version, or the one that the content was made with.

mod repository;
mod resolve;

pub use repository::{Package, Repository};
pub use resolve::{Resolved, Wanted, resolve};

/// The User-Agent by which Package Manager knows an R on Linux, and with it which binary packages suit it. It serves
/// source packages to everybody else.
#[must_use]
pub fn user_agent(r: &RVersion, machine: &str) -> String {
    format!("R ({r} {machine}-pc-linux-gnu {machine} linux-gnu)")
}

pub use pkg_formats::r::RVersion;
pub use pkg_formats::r::deps::Dependency;
