//! Why there is no solution, told in pip's words.
//!
//! The solver's proof is a tree; its leaves are facts of the index and of the requirements, which together exclude every
//! choice. They are what a user can do something about, so they are told and the steps between them are not.

use std::collections::HashSet;
use std::fmt;

use pep440_rs::Version;
use pep508_rs::{PackageName, VersionOrUrl};
use pubgrub::{DerivationTree, External, Ranges};

use super::index::{Requirement, Universe, specifiers};
use super::solve::{Asked, NoSolution, Package};
use super::{Target, range};
use crate::Error;

/// More facts than this are counted, not told.
const TOLD: usize = 30;

/// A requirement that no version of its package satisfies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoMatch {
    /// As `nope>=2`.
    pub requirement: String,
    /// The package whose requirement it is, as `flask 3.0.0`; none when it was asked for directly.
    pub required_by: Option<String>,
    /// The versions that there are for this Python, oldest first.
    pub versions: Vec<Version>,
    /// Those among them that are yanked.
    pub yanked: Vec<Version>,
    /// Versions for another Python, with what they want.
    pub other_python: Vec<(Version, String)>,
}

impl fmt::Display for NoMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.yanked.is_empty() {
            writeln!(f, "ERROR: Ignored the following yanked versions: {}", joined(&self.yanked, ", "))?;
        }
        if !self.other_python.is_empty() {
            let versions =
                self.other_python.iter().map(|(version, python)| format!("{version} Requires-Python {python}"));
            let versions: Vec<_> = versions.collect();
            let what = "Ignored the following versions that require a different python version";
            writeln!(f, "ERROR: {what}: {}", versions.join("; "))?;
        }
        write!(f, "ERROR: Could not find a version that satisfies the requirement {}", self.requirement)?;
        if let Some(by) = &self.required_by {
            write!(f, " (from {by})")?;
        }
        let versions = if self.versions.is_empty() { "none".to_owned() } else { joined(&self.versions, ", ") };
        writeln!(f, " (from versions: {versions})")?;
        write!(f, "ERROR: No matching distribution found for {}", self.requirement)
    }
}

/// Requirements that exclude each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The direct requirements that take part, as written.
    pub requested: Vec<String>,
    /// The facts that exclude each other, one sentence each.
    pub causes: Vec<String>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.requested.split_last() {
            None => "the requirements".to_owned(),
            Some((last, [])) => last.clone(),
            Some((last, rest)) => format!("{} and {last}", rest.join(", ")),
        };
        writeln!(f, "ERROR: Cannot install {what} because these package versions have conflicting dependencies.")?;
        writeln!(f, "\nThe conflict is caused by:")?;
        for cause in self.causes.iter().take(TOLD) {
            writeln!(f, "    {cause}")?;
        }
        if let Some(more @ 1..) = self.causes.len().checked_sub(TOLD) {
            writeln!(f, "    and {more} more")?;
        }
        write!(
            f,
            "\nERROR: ResolutionImpossible: no versions satisfy all of these; loosen or remove one of the requirements"
        )
    }
}

/// A requirement that takes part in the proof.
struct Fact<'a> {
    /// `None` for the user's own.
    by: Option<(PackageName, String)>,
    requirement: &'a Requirement,
}

/// Finds out what to tell about a proof that there is no solution.
pub(crate) fn explain(
    universe: &Universe,
    target: &Target,
    asked: &Asked,
    roots: &[Requirement],
    proof: &NoSolution,
) -> Error {
    let mut facts: Vec<Fact<'_>> = Vec::new();
    let mut others: Vec<String> = Vec::new();
    for leaf in leaves(proof) {
        match leaf {
            External::FromDependencyOf(Package::Root, _, to, _) => {
                let named = roots.iter().filter(|root| Some(&root.name) == to.name());
                facts.extend(named.map(|requirement| Fact { by: None, requirement }));
            }
            External::FromDependencyOf(from, versions, to, _) => {
                facts.extend(dependency(universe, target, from, versions, to));
            }
            External::NoVersions(package, _) => {
                others.extend(package.name().and_then(|name| supply(universe, asked, name)));
            }
            External::Custom(package, versions, reason) => {
                let version = versions.as_singleton().map(ToString::to_string).unwrap_or_default();
                others.push(format!("{package} {version} {reason}"));
            }
            External::NotRoot(..) => {}
        }
    }
    let mut told = HashSet::new();
    facts.retain(|fact| told.insert((fact.by.clone(), fact.requirement.clone())));
    others.sort();
    others.dedup();

    let unmatched = |fact: &&Fact<'_>| is_unmatched(universe, asked, fact.requirement);
    let direct = facts.iter().filter(|fact| fact.by.is_none()).find(unmatched);
    // An indirect one is the whole story only if nothing else is required from two sides.
    let contested = facts.iter().filter(|fact| !unmatched(fact)).any(|fact| {
        facts.iter().any(|other| {
            other.requirement.name == fact.requirement.name
                && other.by.as_ref().map(|by| &by.0) != fact.by.as_ref().map(|by| &by.0)
        })
    });
    if let Some(fact) = direct.or_else(|| facts.iter().find(unmatched).filter(|_| !contested)) {
        return Error::NoMatchingDistribution(Box::new(no_match(universe, fact)));
    }
    let requested = facts.iter().filter(|fact| fact.by.is_none()).map(|fact| text(fact.requirement)).collect();
    let causes = facts.iter().map(|fact| match &fact.by {
        None => format!("The user requested {}", text(fact.requirement)),
        Some((name, versions)) => format!("{name} {versions} depends on {}", text(fact.requirement)),
    });
    Error::Conflict(Box::new(Conflict { requested, causes: causes.chain(others).collect() }))
}

/// The leaves of a proof from left to right, each part of it once.
fn leaves(proof: &NoSolution) -> Vec<&External<Package, Ranges<Version>, String>> {
    let (mut leaves, mut seen, mut stack) = (Vec::new(), HashSet::new(), vec![proof]);
    while let Some(tree) = stack.pop() {
        match tree {
            DerivationTree::External(external) => leaves.push(external),
            DerivationTree::Derived(derived) => {
                if derived.shared_id.is_none_or(|id| seen.insert(id)) {
                    stack.push(&derived.cause2);
                    stack.push(&derived.cause1);
                }
            }
        }
    }
    leaves
}

/// The requirement in the metadata of `from` that the proof uses.
fn dependency<'a>(
    universe: &'a Universe,
    target: &'a Target,
    from: &'a Package,
    versions: &Ranges<Version>,
    to: &Package,
) -> Vec<Fact<'a>> {
    let (Some(name), Some(needed)) = (from.name(), to.name()) else { return Vec::new() };
    let extras = if let Package::Extra(_, extra) = from { std::slice::from_ref(extra) } else { &[] };
    let releases = universe.releases(name).unwrap_or_default().iter().map(|release| &release.version);
    let mut holders: Vec<_> = releases.filter(|version| versions.contains(version)).collect();
    holders.retain(|version| universe.metadata(name, version).is_some());
    let Some(core) = holders.first().and_then(|newest| universe.metadata(name, newest)) else { return Vec::new() };
    let span = match holders.as_slice() {
        [one] => one.to_string(),
        [newest, .., oldest] => format!("{oldest} to {newest}"),
        [] => String::new(),
    };
    core.dependencies(target, extras)
        .filter(|requirement| requirement.name == *needed && requirement.name != *name)
        .map(|requirement| Fact { by: Some((name.clone(), span.clone())), requirement })
        .collect()
}

fn is_unmatched(universe: &Universe, asked: &Asked, requirement: &Requirement) -> bool {
    let Some(releases) = universe.releases(&requirement.name) else { return false };
    let range = range::of(specifiers(requirement));
    !releases.iter().any(|r| range.contains(&r.version) && asked.allows(universe, &requirement.name, r))
}

/// What there is of a package that none fits.
fn supply(universe: &Universe, asked: &Asked, name: &PackageName) -> Option<String> {
    let page = universe.page(name)?;
    let usable = page.releases.iter().filter(|release| asked.allows(universe, name, release));
    let usable: Vec<_> = usable.map(|release| &release.version).collect();
    Some(match usable.as_slice() {
        [] => format!("The index has no usable version of {name}"),
        [only] => format!("The index has only {name} {only}"),
        [newest, .., oldest] => format!("The index has {} versions of {name}, from {oldest} to {newest}", usable.len()),
    })
}

fn no_match(universe: &Universe, fact: &Fact<'_>) -> NoMatch {
    let requirement = fact.requirement;
    let releases = universe.releases(&requirement.name).unwrap_or_default();
    NoMatch {
        requirement: text(requirement),
        required_by: fact.by.as_ref().map(|(name, versions)| format!("{name} {versions}")),
        versions: releases
            .iter()
            .rev()
            .filter(|release| !release.yanked)
            .map(|release| release.version.clone())
            .collect(),
        yanked: releases.iter().rev().filter(|release| release.yanked).map(|release| release.version.clone()).collect(),
        other_python: universe.page(&requirement.name).map(|page| page.other_python.clone()).unwrap_or_default(),
    }
}

/// A requirement without its marker.
fn text(requirement: &Requirement) -> String {
    let mut text = requirement.name.to_string();
    if !requirement.extras.is_empty() {
        text.push_str(&format!("[{}]", joined(&requirement.extras, ",")));
    }
    match &requirement.version_or_url {
        Some(VersionOrUrl::VersionSpecifier(specifiers)) => {
            let specifiers: Vec<_> = specifiers.iter().map(ToString::to_string).collect();
            text.push_str(&specifiers.join(","));
        }
        Some(VersionOrUrl::Url(url)) => text.push_str(&format!(" @ {url}")),
        None => {}
    }
    text
}

fn joined(items: &[impl ToString], separator: &str) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(separator)
}
