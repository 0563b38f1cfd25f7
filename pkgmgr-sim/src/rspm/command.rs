//! Commands and their flags.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::airgap::Export;
use super::git;

/// What `rspm` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Create a repository, a source, a token or a blocklist rule.
    #[command(subcommand)]
    Create(Create),
    /// Change a repository, a source or a blocklist rule.
    #[command(subcommand)]
    Edit(Edit),
    /// Delete a repository, a source or a blocklist rule, or revoke a token.
    #[command(subcommand)]
    Delete(Delete),
    /// List what there is.
    #[command(subcommand)]
    List(List),
    /// Show one repository or source.
    Info {
        /// The repository.
        #[arg(long)]
        repo: Option<String>,
        /// The source.
        #[arg(long)]
        source: Option<String>,
    },
    /// Make a source part of a repository.
    Subscribe(Pair),
    /// Take a source out of a repository.
    Unsubscribe(Pair),
    /// Say which source of a repository wins.
    Reorder {
        /// The repository.
        #[arg(long)]
        repo: String,
        /// All its sources, the one that wins first.
        #[arg(long, value_delimiter = ',', required = true)]
        sources: Vec<String>,
    },
    /// Add package files to a local source, or packages to a curated one.
    Add(Add),
    /// Move a curated or snapshot source; only tells what would change, unless --commit is given.
    Update {
        /// The source.
        #[arg(long)]
        source: String,
        /// A requirements file.
        #[arg(long)]
        file_in: Option<PathBuf>,
        /// The new date.
        #[arg(long)]
        snapshot: Option<String>,
        /// More R packages.
        #[arg(long, value_delimiter = ',')]
        packages: Vec<String>,
        /// R packages to be taken out.
        #[arg(long, value_delimiter = ',')]
        remove: Vec<String>,
        /// Which dependencies come along: imports, depends, linking-to, suggests, none, all; those the source was made with if none
        /// are given.
        #[arg(long, value_delimiter = ',')]
        include: Option<Vec<String>>,
        /// Write what changes to this file.
        #[arg(long, value_name = "FILE")]
        csv_out: Option<PathBuf>,
        /// Do it.
        #[arg(long)]
        commit: bool,
    },
    /// Remove packages from a local source.
    #[command(subcommand)]
    Remove(Remove),
    /// Archive the current version of an R package in a local source.
    Archive {
        /// The package.
        #[arg(long)]
        name: String,
        /// The source.
        #[arg(long)]
        source: String,
    },
    /// Synchronise with the package service.
    Sync {
        /// CRAN, PyPI or Bioconductor.
        #[arg(long = "type", default_value = "CRAN")]
        kind: String,
        /// Of Bioconductor only this release, such as 3.22.
        #[arg(long)]
        version: Option<String>,
        /// Wait until it is done; the default.
        #[arg(long)]
        wait: bool,
        /// Do not wait until it is done.
        #[arg(long, conflicts_with = "wait")]
        no_wait: bool,
        /// Say less.
        #[arg(long)]
        quiet: bool,
    },
    /// Write feeds and their files into a bundle, for a server that cannot reach the package service.
    Export(Export),
    /// Give a bundle to a server, or credentials for git servers.
    #[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
    Import {
        /// A bundle: a .tar.gz file or a folder.
        #[arg(long, required = true)]
        path: Option<PathBuf>,
        #[command(subcommand)]
        #[allow(missing_docs)] // its commands say it
        what: Option<git::Import>,
    },
    /// Check a bundle: digests, chain and signatures. Needs no server.
    Verify {
        /// A bundle: a .tar.gz file or a folder.
        #[arg(long)]
        path: PathBuf,
    },
    /// Forget all that came from a feed, so that it can be synchronised anew.
    Clear {
        /// CRAN, PyPI or Bioconductor.
        #[arg(long = "type")]
        kind: String,
        /// Of Bioconductor only this release.
        #[arg(long)]
        version: Option<String>,
        /// Really do it: the snapshots of the source are gone with it.
        #[arg(long)]
        confirm: bool,
    },
    /// Try the blocklist.
    #[command(subcommand)]
    Test(Test),
    /// Addresses of snapshots.
    #[command(subcommand)]
    Url(Url),
    /// Look at what a git builder follows, now.
    #[command(subcommand)]
    Run(git::Run),
    /// Build again.
    #[command(subcommand)]
    Rerun(git::Rerun),
    /// The log of a git build.
    Logs(git::Logs),
}

/// What can be created.
#[derive(Debug, Clone, Subcommand)]
pub enum Create {
    /// A repository.
    Repo {
        /// Its name.
        #[arg(long)]
        name: String,
        /// Free text.
        #[arg(long, default_value = "")]
        description: String,
        /// r, python or bioconductor.
        #[arg(long = "type", default_value = "r")]
        kind: String,
        /// Ask for a token; what the server does on its own is Authentication.NewReposAuthByDefault.
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        authenticated: Option<bool>,
        /// Leave it out of the home page.
        #[arg(long)]
        hidden: bool,
    },
    /// A source.
    Source {
        /// Its name.
        #[arg(long)]
        name: String,
        /// local, local-python, git, git-python, cran-snapshot, curated-cran or curated-pypi.
        #[arg(long = "type", default_value = "local")]
        kind: String,
        /// The date that it shows or takes its packages from.
        #[arg(long)]
        snapshot: Option<String>,
        /// Which dependencies come along into a curated source: imports, depends, linking-to, suggests, none, all.
        #[arg(long, value_delimiter = ',')]
        include: Option<Vec<String>>,
        /// Leave archived versions out of a curated source.
        #[arg(long)]
        no_archived: bool,
    },
    /// A token; it goes to standard output, and is shown only once.
    Token {
        /// What it allows: repos:read, sources:write, sources:admin, blocklist:admin, metadata:admin, global:admin.
        #[arg(long, value_delimiter = ',', required = true)]
        scope: Vec<String>,
        /// The repositories it is for; * is all.
        #[arg(long, value_delimiter = ',')]
        repos: Vec<String>,
        /// The sources it is for; * is all.
        #[arg(long, value_delimiter = ',')]
        sources: Vec<String>,
        /// How long it is valid: 20d, 5h or never.
        #[arg(long, default_value = "never")]
        expires: String,
        /// Free text.
        #[arg(long, default_value = "")]
        description: String,
        /// For whom it is.
        #[arg(long, default_value = "")]
        user: String,
        /// Say nothing but the token.
        #[arg(long)]
        quiet: bool,
    },
    /// A rule that keeps packages from clients.
    BlocklistRule(Rule),
    /// A builder of packages from a git repository.
    GitBuilder(git::NewBuilder),
}

/// A blocklist rule; what is left out fits everything.
#[derive(Debug, Clone, Args, Serialize)]
pub struct Rule {
    /// The package.
    #[arg(long)]
    package_name: Option<String>,
    /// Versions, such as <4.0.0.
    #[arg(long)]
    version: Option<String>,
    /// Packages of this source only.
    #[arg(long)]
    source: Option<String>,
    /// In this repository only.
    #[arg(long)]
    repo: Option<String>,
    /// Packages with this license only.
    #[arg(long)]
    license: Option<String>,
    /// Packages with vulnerabilities.
    #[arg(long)]
    vulns: bool,
    /// Of vulnerabilities only those at least as severe: low, medium, high, critical, or a base score.
    #[arg(long, requires = "vulns")]
    min_severity: Option<String>,
    /// With --min-severity: those without a score, too.
    #[arg(long, requires = "vulns")]
    block_unscored: bool,
    /// Allow what other rules block.
    #[arg(long)]
    exception: bool,
    /// Of two rules that fit, the one with the higher number decides.
    #[arg(long, default_value_t = 0)]
    priority: i64,
    /// Free text.
    #[arg(long, default_value = "")]
    description: String,
}

/// What can be edited.
#[derive(Debug, Clone, Subcommand)]
pub enum Edit {
    /// A repository.
    Repo {
        /// Its name.
        #[arg(long)]
        name: String,
        /// The new name.
        #[arg(long)]
        new_name: Option<String>,
        /// Free text.
        #[arg(long)]
        description: Option<String>,
        /// Whether it asks for a token.
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        authenticated: Option<bool>,
        /// Whether it is left out of the home page.
        #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        hidden: Option<bool>,
    },
    /// A source.
    Source {
        /// Its name.
        #[arg(long)]
        name: String,
        /// The new name.
        #[arg(long)]
        new_name: String,
    },
    /// A blocklist rule: it becomes another one.
    BlocklistRule {
        /// Its number.
        #[arg(long)]
        id: String,
        #[command(flatten)]
        #[allow(missing_docs)] // the flags say it
        rule: Rule,
    },
    /// A git builder.
    GitBuilder(git::ChangedBuilder),
}

/// What can be deleted.
#[derive(Debug, Clone, Subcommand)]
pub enum Delete {
    /// A repository.
    Repo {
        /// Its name.
        #[arg(long)]
        name: String,
    },
    /// A source that no repository is made of.
    Source {
        /// Its name.
        #[arg(long)]
        name: String,
    },
    /// A token.
    Token {
        /// Its id.
        #[arg(long)]
        id: String,
    },
    /// A blocklist rule.
    BlocklistRule {
        /// Its number.
        #[arg(long)]
        id: String,
    },
    /// A git builder; what it has built stays.
    GitBuilder(git::Named),
    /// A git credential.
    GitCredential {
        /// Its name.
        #[arg(long)]
        name: String,
        /// https; the only type there is here.
        #[arg(long = "type", default_value = "https", value_parser = ["https"])]
        kind: String,
    },
}

/// What can be listed.
#[derive(Debug, Clone, Subcommand)]
pub enum List {
    /// Repositories.
    Repos {
        /// Only those that are made of this source.
        #[arg(long)]
        source: Option<String>,
    },
    /// Sources.
    Sources,
    /// Packages of a source.
    Packages {
        /// The source.
        #[arg(long)]
        source: String,
    },
    /// Tokens.
    Tokens,
    /// Blocklist rules.
    BlocklistRules,
    /// Git builders of a source.
    GitBuilders {
        /// The source.
        #[arg(long)]
        source: String,
    },
    /// Builds of git builders.
    GitBuilds(git::Builds),
    /// Git credentials.
    GitCredentials,
}

/// A repository and a source.
#[derive(Debug, Clone, Args)]
pub struct Pair {
    /// The repository.
    #[arg(long)]
    pub repo: String,
    /// The source.
    #[arg(long)]
    pub source: String,
}

/// What is added, and to what.
#[derive(Debug, Clone, Args)]
pub struct Add {
    /// The source.
    #[arg(long)]
    pub source: String,
    /// Package files.
    #[arg(long, value_delimiter = ',')]
    pub path: Vec<PathBuf>,
    /// Take the place of the same version.
    #[arg(long)]
    pub replace: bool,
    /// Packages for a curated source.
    #[arg(long, value_delimiter = ',', conflicts_with = "path")]
    pub packages: Vec<String>,
    /// A file with names of packages, one a line or with commas.
    #[arg(long, conflicts_with = "path")]
    pub file_in: Option<PathBuf>,
    /// Bring along what they suggest.
    #[arg(long)]
    pub include_suggests: bool,
    /// Write what changes to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "path")]
    pub csv_out: Option<PathBuf>,
    /// The date of a curated source.
    #[arg(long)]
    pub snapshot: Option<String>,
    /// Do it.
    #[arg(long)]
    pub commit: bool,
}

/// What can be removed.
#[derive(Debug, Clone, Subcommand)]
pub enum Remove {
    /// A package, or a version or file of it.
    Package {
        /// name@all, name@current, name@1.2.3, or the name of a Python file.
        #[arg(long)]
        name: String,
        /// The source.
        #[arg(long)]
        source: String,
        /// Free text.
        #[arg(long)]
        comment: Option<String>,
    },
}

/// What can be tried.
#[derive(Debug, Clone, Subcommand)]
pub enum Test {
    /// Whether a package would be blocked.
    BlocklistRules {
        /// The repository.
        #[arg(long)]
        repo: String,
        /// The package.
        #[arg(long)]
        package_name: String,
        /// Its version.
        #[arg(long)]
        version: String,
    },
}

/// Addresses of snapshots.
#[derive(Debug, Clone, Subcommand)]
pub enum Url {
    /// An address of a repository that pins one state of each of its sources.
    Create {
        /// The repository.
        #[arg(long)]
        repo: String,
        /// YYYY-MM-DD, for the sources without a --snapshot; without it they are pinned as they are now.
        #[arg(long)]
        date: Option<String>,
        /// source:YYYY-MM-DD or source:TRANSACTION; may be given several times.
        #[arg(long, value_delimiter = ',', value_name = "SOURCE:SNAPSHOT")]
        snapshot: Vec<String>,
        /// Make it impossible to delete.
        #[arg(long)]
        lock: bool,
        /// Spell the states out in place of making a short name for them.
        #[arg(long)]
        no_alias: bool,
    },
    /// List the created addresses of a repository.
    List {
        /// The repository.
        #[arg(long)]
        repo: String,
    },
    /// Delete an address that is not locked.
    Delete {
        /// The repository.
        #[arg(long)]
        repo: String,
        /// The part of the address that stands for the snapshot.
        #[arg(long)]
        id: String,
    },
}
