//! Formats of R: versions, dependency lists, repository indexes, source and binary packages, serialised objects.

pub mod binary;
pub mod deps;
pub mod file_lists;
pub mod index;
pub mod package;
pub mod rds;
pub mod source;
pub mod version;

pub use version::RVersion;

/// Names that no repository lists: R itself and the packages that come with it.
pub const R_BASE: [&str; 16] = [
    "R",
    "base",
    "compiler",
    "datasets",
    "graphics",
    "grDevices",
    "grid",
    "methods",
    "parallel",
    "splines",
    "stats",
    "stats4",
    "tcltk",
    "tools",
    "translations",
    "utils",
];

/// Whether a name can be a package's: ASCII letters, digits and dots, beginning with a letter, not ending in a dot.
///
/// R's package checker also wants two characters; its installer does not, so neither does this.
pub fn is_package_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && !name.ends_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}
