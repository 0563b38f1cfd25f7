//! Python packages from a simple index (PEP 503, 691).
//!
//! A client of such an index reads `{index}/{project}/` for each project it comes across, chooses a version, reads its
//! core metadata for what it requires in turn, and downloads one file of each chosen version. Which versions are chosen
//! follows pip: the newest that satisfies everything; no yanked ones unless pinned with `==`; pre-releases only of
//! packages for which a requirement names one, or that have nothing else; wheels before source distributions.

mod explain;
mod index;
mod range;
mod requirements;
mod solve;
mod target;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use pep508_rs::{ExtraName, PackageName};
use url::Url;

use crate::{Client, Digest, Download, Error};
use index::{Release, Source, Universe, Visit};
use solve::{Asked, Outcome, Stop};

pub use explain::{Conflict, NoMatch};
pub use pep440_rs::Version;
pub use requirements::Requirements;
pub use target::Target;

/// One package of a resolution, with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The project's name, normalised.
    pub name: String,
    /// The chosen version.
    pub version: Version,
    /// The file to install it from.
    pub filename: String,
    /// Where the file is.
    pub url: Url,
    /// Its size in bytes, if the index tells.
    pub size: Option<u64>,
    /// SHA-256 of its bytes in hex, if the index tells.
    pub sha256: Option<String>,
    /// The packages of the resolution that it requires, in the order of its metadata.
    pub requires: Vec<String>,
}

impl From<&Resolved> for Download {
    fn from(resolved: &Resolved) -> Self {
        Self {
            package: resolved.name.clone(),
            version: resolved.version.to_string(),
            url: resolved.url.clone(),
            size: resolved.size,
            digest: resolved.sha256.clone().map(Digest::Sha256),
        }
    }
}

/// What to install.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolution {
    /// Each package once: the required ones in their order, then what they require, level by level.
    pub packages: Vec<Resolved>,
    /// What a user should know all the same, one line each, beginning with `WARNING:`.
    pub warnings: Vec<String>,
}

/// Finds a version and a file of everything that `requirements` lead to, in the index at `index`, such as
/// `http://127.0.0.1:4242/pypi/latest/simple`. The result depends on the index and the arguments alone.
///
/// # Errors
/// [`Error::NoMatchingDistribution`] and [`Error::Conflict`] when there is no solution; [`Error::HashesMissing`] and
/// [`Error::HashMismatch`] when the requirements carry hashes that the solution does not have; [`Error::Address`]; the
/// errors of requests; [`Error::TooManyPackages`] and [`Error::TooDeep`] when a limit was passed.
pub async fn resolve(
    client: &Client,
    index: &str,
    target: &Target,
    requirements: &Requirements,
) -> Result<Resolution, Error> {
    let index = crate::http::address(index)?;
    let roots: Arc<[_]> = requirements.active(target).cloned().collect();
    let hashes = requirements.hashes();
    let source = Source { client, index: &index, target, hashes: &hashes };
    let mut asked = Asked::of(&*roots, requirements.prereleases);
    let mut universe = Universe::default();
    universe.explore(&source, &asked, roots.iter().map(Visit::of).collect()).await?;
    let chosen = loop {
        let (roots, target, steps) = (roots.clone(), target.clone(), client.limits().steps);
        let solving = tokio::task::spawn_blocking(move || {
            let outcome = solve::solve(&universe, &target, &roots, &mut asked, steps);
            (universe, asked, outcome, roots, target)
        });
        let (outcome, roots, target);
        (universe, asked, outcome, roots, target) =
            solving.await.expect("the solver does not panic, and outlives nobody who waits for it");
        match outcome {
            Outcome::Solved(chosen) => break chosen,
            Outcome::Impossible(tree) => return Err(explain::explain(&universe, &target, &asked, &roots, &tree)),
            Outcome::Stopped(Stop::TooDeep) => return Err(Error::TooDeep { limit: steps }),
            Outcome::Stopped(Stop::Again) => {}
            Outcome::Stopped(Stop::Visit(visit)) => {
                if let Some(error) = universe.take_failure(&visit) {
                    return Err(error);
                }
                let visits = universe.ahead(visit, &asked);
                universe.explore(&source, &asked, visits).await?;
            }
        }
    };
    let resolution = collect(&universe, target, &roots, &chosen);
    requirements.check_hashes(&hashes, &resolution, |name| release(&universe, &chosen, name).map(|r| &r.hashes))?;
    Ok(resolution)
}

fn release<'a>(
    universe: &'a Universe,
    chosen: &BTreeMap<PackageName, Version>,
    name: &PackageName,
) -> Option<&'a Release> {
    let version = chosen.get(name)?;
    universe.releases(name)?.iter().find(|release| release.version == *version)
}

/// Lays the chosen versions out, level by level from the requirements.
fn collect(
    universe: &Universe,
    target: &Target,
    roots: &[index::Requirement],
    chosen: &BTreeMap<PackageName, Version>,
) -> Resolution {
    let mut resolution = Resolution::default();
    let mut places: BTreeMap<PackageName, usize> = BTreeMap::new();
    let mut seen: BTreeSet<(PackageName, Option<ExtraName>)> = BTreeSet::new();
    let mut queue: VecDeque<(Option<usize>, _)> = roots.iter().map(|root| (None, root)).collect();
    while let Some((parent, requirement)) = queue.pop_front() {
        let name = &requirement.name;
        let Some(release) = release(universe, chosen, name) else { continue };
        let Some(core) = universe.metadata(name, &release.version) else { continue };
        let place = *places.entry(name.clone()).or_insert_with(|| {
            resolution.packages.push(resolved(name, release));
            if release.yanked {
                let line = format!("WARNING: {name} {} is a yanked version", release.version);
                resolution.warnings.push(line);
            }
            resolution.packages.len() - 1
        });
        if let Some(parent) = parent.filter(|parent| *parent != place) {
            let requires = &mut resolution.packages[parent].requires;
            if !requires.iter().any(|known| known == name.as_ref()) {
                requires.push(name.to_string());
            }
        }
        let parts = std::iter::once(None).chain(requirement.extras.iter().map(Some));
        for extra in parts.filter(|extra| seen.insert((name.clone(), extra.cloned()))) {
            if let Some(extra) = extra.filter(|extra| !core.extras.contains(extra)) {
                let line = format!("WARNING: {name} {} does not provide the extra '{extra}'", release.version);
                resolution.warnings.push(line);
            }
            let extras = extra.map_or(&[][..], std::slice::from_ref);
            queue.extend(core.dependencies(target, extras).map(|requirement| (Some(place), requirement)));
        }
    }
    resolution
}

fn resolved(name: &PackageName, release: &Release) -> Resolved {
    Resolved {
        name: name.to_string(),
        version: release.version.clone(),
        filename: release.filename.clone(),
        url: release.url.clone(),
        size: release.size,
        sha256: release.hashes.get("sha256").cloned(),
        requires: Vec::new(),
    }
}
