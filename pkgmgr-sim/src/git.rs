//! Git repositories, read with the `git` command in a cage.
//!
//! Nothing of a repository is ever checked out: its files come out of the object store one by one, with their paths checked, so neither
//! links nor filters nor hooks of a repository mean anything here. The command sees an empty home, no settings of the machine's and only
//! the protocols it may speak; it is ended when it takes too long or writes too much.

mod command;
mod remote;
mod tree;

use std::path::PathBuf;
use std::time::Duration;

pub(crate) use command::{Git, GitError};
pub(crate) use remote::Remote;
pub(crate) use tree::{Refs, Tree, Wanted, plain_sub_dir};

/// What builders of packages from git repositories may do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Folders of this machine whose repositories may be read; none: only HTTP.
    pub folders: Vec<PathBuf>,
    /// How often repositories are looked at (`Git.PollInterval`).
    pub poll_interval: Duration,
    /// How often a build that failed for a reason that may pass is tried again (`Git.BuildRetries`).
    pub retries: u32,
    /// How long one command may take.
    pub time: Duration,
    /// Bytes that a repository may take on disk, and the files of a package unpacked.
    pub bytes: u64,
    /// Files of a package.
    pub files: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            folders: Vec::new(),
            poll_interval: Duration::from_secs(300),
            retries: 3,
            time: Duration::from_secs(300),
            bytes: 1 << 30,
            files: 20_000,
        }
    }
}
