//! Formats of Python packaging: names, versions, metadata, wheels, sdists, the simple index, requirements files.

pub mod distribution;
pub mod metadata;
pub mod name;
pub mod requirements;
pub mod sdist;
pub mod simple;
pub mod version;
pub mod wheel;
