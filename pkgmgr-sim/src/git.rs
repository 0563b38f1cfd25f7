//! Git repositories, read with the `git` command in the cage of [`sim_kit::git`].
//!
//! Nothing of a repository is ever checked out: its files come out of the object store one by one, with their paths checked, so neither
//! links nor filters nor hooks of a repository mean anything here.

mod tree;

use std::path::PathBuf;
use std::time::Duration;

use sim_kit::World;
use sim_kit::git::{Git, GitError, Remote, SignIn};

pub(crate) use tree::{Refs, Tree, Wanted, plain_sub_dir};

/// What builders of packages from git repositories may do.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the command is run, and which folders it may read (`Git.LocalFolder`).
    pub command: sim_kit::git::Settings,
    /// How often repositories are looked at (`Git.PollInterval`).
    pub poll_interval: Duration,
    /// How often a build that failed for a reason that may pass is tried again (`Git.BuildRetries`).
    pub retries: u32,
    /// Files of a package.
    pub files: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            command: sim_kit::git::Settings::default(),
            poll_interval: Duration::from_secs(300),
            retries: 3,
            files: 20_000,
        }
    }
}

/// The folder for everything that is fetched.
pub(crate) fn folder(world: &World) -> std::io::Result<PathBuf> {
    world.folder("git")
}

/// What reading a repository needs.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    pub(crate) world: &'a World,
    pub(crate) remote: &'a Remote,
    pub(crate) sign_in: Option<&'a SignIn>,
    pub(crate) settings: &'a Settings,
}

impl Reader<'_> {
    async fn open(&self) -> Result<Git, GitError> {
        let folder = folder(self.world)?;
        Git::new(self.world, &folder, self.remote.clone(), self.sign_in, &self.settings.command).await
    }
}
