//! Commands, and the flags of those that have no file of their own.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::airgap::Export;
use super::blocklist::{Bulk, ChangedRule, Rule, Test};
use super::bootstrap::Bootstrap;
use super::packages::{Add, Remove, Update};
use super::urls::Url;
use super::{git, metadata};

/// What `rspm` can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Create a repository, a source, a token or a blocklist rule.
    #[command(after_help = "Example:\n  rspm create repo --name=prod")]
    #[command(subcommand)]
    Create(Create),
    /// Change a repository, a source or a blocklist rule.
    #[command(after_help = "Example:\n  rspm edit repo --name=prod --authenticated")]
    #[command(subcommand)]
    Edit(Edit),
    /// Delete a repository, a source or a blocklist rule, or revoke a token.
    #[command(after_help = "Example:\n  rspm delete repo --name=prod")]
    #[command(subcommand)]
    Delete(Delete),
    /// List what there is.
    #[command(after_help = "Example:\n  rspm list repos")]
    #[command(subcommand)]
    List(List),
    /// Show one repository or source.
    #[command(after_help = "Example:\n  rspm info --repo=prod")]
    Info {
        /// The repository.
        #[arg(long)]
        repo: Option<String>,
        /// The source.
        #[arg(long)]
        source: Option<String>,
    },
    /// Make a source part of a repository.
    #[command(after_help = "Example:\n  rspm subscribe --repo=prod --source=cran")]
    Subscribe(Pair),
    /// Take a source out of a repository.
    #[command(after_help = "Example:\n  rspm unsubscribe --repo=prod --source=cran")]
    Unsubscribe(Pair),
    /// Say which source of a repository wins.
    #[command(after_help = "Example:\n  rspm reorder --repo=prod --sources=team,cran")]
    Reorder {
        /// The repository.
        #[arg(long)]
        repo: String,
        /// All its sources, the one that wins first.
        #[arg(long, value_delimiter = ',', required = true)]
        sources: Vec<String>,
    },
    /// Add package files to a local source, or packages to a curated one.
    #[command(after_help = "Example:\n  rspm add --source=team --path=own_1.0.tar.gz")]
    Add(Add),
    /// Move a curated or snapshot source; only tells what would change, unless --commit is given.
    #[command(after_help = "Example:\n  rspm update --source=chosen --snapshot=2025-01-31 --commit")]
    Update(Update),
    /// Remove packages from a local source.
    #[command(after_help = "Example:\n  rspm remove package --source=team --name=own@1.0")]
    #[command(subcommand)]
    Remove(Remove),
    /// Archive the current version of an R package in a local source.
    #[command(after_help = "Example:\n  rspm archive --source=team --name=own")]
    Archive {
        /// The package.
        #[arg(long)]
        name: String,
        /// The source.
        #[arg(long)]
        source: String,
    },
    /// Synchronise with the package service.
    #[command(after_help = "Example:\n  rspm sync --type=PyPI --no-wait")]
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
    /// Get the first token of a server, with a key.
    #[command(after_help = "Example:\n  rspm bootstrap keys")]
    #[command(subcommand)]
    Bootstrap(Bootstrap),
    /// Write feeds and their files into a bundle, for a server that cannot reach the package service.
    #[command(after_help = "Example:\n  rspm export --type=CRAN --destination=cran.tar.gz")]
    Export(Export),
    /// Give a bundle to a server, or credentials for git servers.
    #[command(after_help = "Example:\n  rspm import --path=cran.tar.gz")]
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
    #[command(after_help = "Example:\n  rspm verify --path=cran.tar.gz")]
    Verify {
        /// A bundle: a .tar.gz file or a folder.
        #[arg(long)]
        path: PathBuf,
    },
    /// Forget all that came from a feed, so that it can be synchronised anew.
    #[command(after_help = "Example:\n  rspm clear --type=CRAN --confirm")]
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
    #[command(after_help = "Example:\n  rspm test blocklist-rules --repo=prod --package-name=sf --version=1.0")]
    #[command(subcommand)]
    Test(Test),
    /// Addresses of snapshots.
    #[command(after_help = "Example:\n  rspm url create --repo=prod --date=2025-01-31")]
    #[command(subcommand)]
    Url(Url),
    /// Look at what a git builder follows, now.
    #[command(after_help = "Example:\n  rspm run git-builder --source=team --name=own")]
    #[command(subcommand)]
    Run(git::Run),
    /// Build again.
    #[command(after_help = "Example:\n  rspm rerun git-builder --source=team --name=own --tag=v1.0")]
    #[command(subcommand)]
    Rerun(git::Rerun),
    /// The log of a git build.
    Logs(git::Logs),
    /// Put the server of this machine into maintenance: its repositories answer 503.
    #[command(after_help = "Example:\n  rspm offline")]
    Offline,
    /// End the maintenance of the server of this machine.
    #[command(after_help = "Example:\n  rspm online")]
    Online,
    /// List the servers that share a database; to be asked on the machine of one of them.
    #[command(after_help = "Example:\n  rspm cluster")]
    Cluster,
}

/// What can be created.
#[derive(Debug, Clone, Subcommand)]
pub enum Create {
    /// A repository.
    #[command(after_help = "Example:\n  rspm create repo --name=prod --type=python")]
    Repo {
        /// Its name.
        #[arg(long)]
        name: String,
        /// Free text.
        #[arg(long, default_value = "")]
        description: String,
        /// r, python, bioconductor or vsx.
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
    #[command(after_help = "Example:\n  rspm create source --name=team --type=local-python")]
    Source {
        /// Its name.
        #[arg(long)]
        name: String,
        /// local, local-python, git, git-python, cran-snapshot, curated-cran, curated-pypi or bioconductor.
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
        /// The release of Bioconductor, such as 3.22.
        #[arg(long)]
        version: Option<String>,
    },
    /// A token; it goes to standard output, and is shown only once.
    #[command(after_help = "Example:\n  rspm create token --scope=repos:read --repos=prod --expires=20d")]
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
    #[command(after_help = "Example:\n  rspm create blocklist-rule --package-name=sf --version=\"<1.0\"")]
    BlocklistRule(Rule),
    /// Rules of a file: a list in JSON, with members named as the flags of `create blocklist-rule`.
    #[command(after_help = "Example:\n  rspm create bulk-blocklist-rules --path=rules.json --fail-all")]
    BulkBlocklistRules(Bulk),
    /// A builder of packages from a git repository.
    GitBuilder(git::NewBuilder),
    /// A value that packages have under a key.
    Metadata(metadata::Record),
    /// Values of a file, or of standard input.
    BulkMetadata(metadata::Records),
}

/// What can be edited.
#[derive(Debug, Clone, Subcommand)]
pub enum Edit {
    /// A repository.
    #[command(after_help = "Example:\n  rspm edit repo --name=prod --new-name=live")]
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
    #[command(after_help = "Example:\n  rspm edit source --name=team --new-name=ours")]
    Source {
        /// Its name.
        #[arg(long)]
        name: String,
        /// The new name.
        #[arg(long)]
        new_name: String,
    },
    /// A blocklist rule: it becomes another one.
    #[command(after_help = "Example:\n  rspm edit blocklist-rule --id=3 --package-name=sf")]
    BlocklistRule(ChangedRule),
    /// A git builder.
    GitBuilder(git::ChangedBuilder),
}

/// What can be deleted.
#[derive(Debug, Clone, Subcommand)]
pub enum Delete {
    /// A repository.
    #[command(after_help = "Example:\n  rspm delete repo --name=prod")]
    Repo {
        /// Its name.
        #[arg(long)]
        name: String,
    },
    /// A source that no repository is made of.
    #[command(after_help = "Example:\n  rspm delete source --name=team")]
    Source {
        /// Its name.
        #[arg(long)]
        name: String,
    },
    /// A token.
    #[command(after_help = "Example:\n  rspm delete token --id=0b8f0c6e-4f7e-4c62-a9a3-3a53f1d1c0de")]
    Token {
        /// Its id.
        #[arg(long)]
        id: String,
    },
    /// A blocklist rule.
    #[command(after_help = "Example:\n  rspm delete blocklist-rule --id=3")]
    BlocklistRule {
        /// Its number.
        #[arg(long)]
        id: String,
    },
    /// Values that packages have under keys.
    #[command(after_help = "Examples:\n  rspm delete metadata --id=3,4,9\n  rspm delete metadata --id=all")]
    Metadata {
        /// Their numbers with commas, or all.
        #[arg(long)]
        id: String,
    },
    /// A git builder; what it has built stays.
    #[command(after_help = "Example:\n  rspm delete git-builder --source=team --name=own")]
    GitBuilder(git::Named),
    /// A git credential.
    #[command(after_help = "Example:\n  rspm delete git-credential --name=ci")]
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
    #[command(after_help = "Example:\n  rspm list repos --source=cran")]
    Repos {
        /// Only those that are made of this source.
        #[arg(long)]
        source: Option<String>,
    },
    /// Sources.
    #[command(after_help = "Example:\n  rspm list sources")]
    Sources,
    /// Packages of a source.
    #[command(after_help = "Example:\n  rspm list packages --source=team")]
    Packages {
        /// The source.
        #[arg(long)]
        source: String,
    },
    /// What packages need of a Linux distribution.
    #[command(
        after_help = "Example:\n  rspm list requirements --repo=cran --packages=sf,curl --distribution=ubuntu --release=24.04"
    )]
    Requirements {
        /// The repository.
        #[arg(long)]
        repo: String,
        /// The packages; * is all.
        #[arg(long, value_delimiter = ',', required = true)]
        packages: Vec<String>,
        /// The distribution, such as ubuntu.
        #[arg(long)]
        distribution: String,
        /// Its release, such as 24.04.
        #[arg(long)]
        release: String,
    },
    /// Tokens.
    #[command(after_help = "Example:\n  rspm list tokens")]
    Tokens,
    /// Blocklist rules.
    #[command(after_help = "Example:\n  rspm list blocklist-rules")]
    BlocklistRules,
    /// Values that packages have under keys.
    #[command(after_help = "Example:\n  rspm list metadata")]
    Metadata,
    /// Git builders of a source.
    #[command(after_help = "Example:\n  rspm list git-builders --source=team")]
    GitBuilders {
        /// The source.
        #[arg(long)]
        source: String,
    },
    /// Builds of git builders.
    GitBuilds(git::Builds),
    /// Git credentials.
    #[command(after_help = "Example:\n  rspm list git-credentials")]
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
