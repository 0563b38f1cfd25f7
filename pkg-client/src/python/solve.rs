//! The solver: PubGrub over what is known of the index.
//!
//! [`solve`] is a pure function of the [`Universe`] as far as it has been fetched. When it needs a page or a metadata
//! document that is not there, it stops and says so ([`Stop::Visit`]); the caller fetches it, with whatever seems to
//! follow from it, and solves again from the start. That costs microseconds, keeps the network out of the solver, and
//! makes its result independent of the order in which answers arrive.
//!
//! `name[extra]` is a package of its own: it depends on `name` at the same version and on what the extra adds.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use pep440_rs::Version;
use pep508_rs::{ExtraName, PackageName};
use pubgrub::{Dependencies, DependencyProvider, PackageResolutionStatistics, PubGrubError, Ranges};

use super::index::{Release, Requirement, Universe, Visit, specifiers};
use super::{Target, range};

/// A node of the solver.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Package {
    /// The requirements themselves.
    Root,
    Base(PackageName),
    Extra(PackageName, ExtraName),
}

impl Package {
    pub(crate) fn name(&self) -> Option<&PackageName> {
        match self {
            Self::Root => None,
            Self::Base(name) | Self::Extra(name, _) => Some(name),
        }
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("the requirements"),
            Self::Base(name) => write!(f, "{name}"),
            Self::Extra(name, extra) => write!(f, "{name}[{extra}]"),
        }
    }
}

/// What requirements have asked for that is not given unasked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// Pre-releases of every package will do.
    all_prereleases: bool,
    /// Packages of which a requirement names a pre-release.
    prereleases: BTreeSet<PackageName>,
    /// Versions pinned with `==`, which may be yanked ones.
    pinned: BTreeSet<(PackageName, Version)>,
}

impl Asked {
    /// Takes note of what a requirement asks for; true when that is news.
    fn note(&mut self, requirement: &Requirement) -> bool {
        let specifiers = specifiers(requirement);
        let mut news = false;
        if range::asks_for_prereleases(specifiers) {
            news |= self.prereleases.insert(requirement.name.clone());
        }
        if let Some(version) = range::pinned(specifiers) {
            news |= self.pinned.insert((requirement.name.clone(), version.clone()));
        }
        news
    }

    pub(crate) fn of<'a>(requirements: impl IntoIterator<Item = &'a Requirement>, all_prereleases: bool) -> Self {
        let mut asked = Self { all_prereleases, ..Self::default() };
        for requirement in requirements {
            asked.note(requirement);
        }
        asked
    }

    /// Whether a release may be chosen for a package.
    pub(crate) fn allows(&self, universe: &Universe, name: &PackageName, release: &Release) -> bool {
        let pinned = || self.pinned.contains(&(name.clone(), release.version.clone()));
        if release.yanked && !pinned() {
            return false;
        }
        !release.version.any_prerelease()
            || self.all_prereleases
            || self.prereleases.contains(name)
            || universe.only_prereleases(name)
    }
}

/// Why the solver stopped without a verdict.
#[derive(Debug)]
pub(crate) enum Stop {
    /// It needs to know more of a package.
    Visit(Visit),
    /// A dependency asked for pre-releases or a yanked version of a package that was already looked at.
    Again,
    /// Too many steps.
    TooDeep,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Stop {}

pub(crate) type NoSolution = pubgrub::DerivationTree<Package, Ranges<Version>, String>;

pub(crate) enum Outcome {
    Solved(BTreeMap<PackageName, Version>),
    Impossible(NoSolution),
    Stopped(Stop),
}

/// Looks for versions that satisfy all of `roots`, whose markers have been evaluated.
pub(crate) fn solve(
    universe: &Universe,
    target: &Target,
    roots: &[Requirement],
    asked: &mut Asked,
    steps: u64,
) -> Outcome {
    let problem = Problem {
        universe,
        target,
        roots,
        asked: RefCell::new(std::mem::take(asked)),
        looked_at: RefCell::default(),
        order: RefCell::default(),
        steps: Cell::new(steps),
    };
    let result = pubgrub::resolve(&problem, Package::Root, root_version());
    *asked = problem.asked.into_inner();
    match result {
        Ok(selected) => Outcome::Solved(
            selected
                .into_iter()
                .filter_map(|(package, version)| match package {
                    Package::Base(name) => Some((name, version)),
                    _ => None,
                })
                .collect(),
        ),
        Err(PubGrubError::NoSolution(tree)) => Outcome::Impossible(tree),
        Err(
            PubGrubError::ErrorRetrievingDependencies { source, .. }
            | PubGrubError::ErrorChoosingVersion { source, .. }
            | PubGrubError::ErrorInShouldCancel(source),
        ) => Outcome::Stopped(source),
    }
}

fn root_version() -> Version {
    Version::new([0])
}

struct Problem<'a> {
    universe: &'a Universe,
    target: &'a Target,
    roots: &'a [Requirement],
    asked: RefCell<Asked>,
    /// Packages for which a version was chosen or found wanting.
    looked_at: RefCell<BTreeSet<PackageName>>,
    /// The order in which packages were first required, in which they are decided.
    order: RefCell<BTreeMap<PackageName, usize>>,
    steps: Cell<u64>,
}

type Edges = Vec<(Package, Ranges<Version>)>;

/// Of two edges to one package, both must hold.
fn add(edges: &mut Edges, package: Package, range: &Ranges<Version>) {
    match edges.iter_mut().find(|(known, _)| *known == package) {
        Some((_, known)) => *known = known.intersection(range),
        None => edges.push((package, range.clone())),
    }
}

impl Problem<'_> {
    fn require(&self, edges: &mut Edges, requirement: &Requirement) -> Result<(), Stop> {
        let name = &requirement.name;
        let news = self.asked.borrow_mut().note(requirement);
        if news && self.looked_at.borrow().contains(name) && self.frees(requirement) {
            return Err(Stop::Again);
        }
        let mut order = self.order.borrow_mut();
        let next = order.len();
        order.entry(name.clone()).or_insert(next);
        let range = range::of(specifiers(requirement));
        let extras = requirement.extras.iter().map(|extra| Package::Extra(name.clone(), extra.clone()));
        for package in std::iter::once(Package::Base(name.clone())).chain(extras) {
            add(edges, package, &range);
        }
        Ok(())
    }

    /// Whether a requirement allows a release that may have been barred before.
    fn frees(&self, requirement: &Requirement) -> bool {
        let specifiers = specifiers(requirement);
        let (prereleases, pinned) = (range::asks_for_prereleases(specifiers), range::pinned(specifiers));
        self.universe.releases(&requirement.name).unwrap_or_default().iter().any(|release| {
            release.yanked && pinned == Some(&release.version) || release.version.any_prerelease() && prereleases
        })
    }

    fn dependencies_of(&self, package: &Package, version: &Version) -> Result<Result<Edges, String>, Stop> {
        let mut edges = Edges::new();
        let Some(name) = package.name() else {
            for requirement in self.roots {
                self.require(&mut edges, requirement)?;
            }
            return Ok(Ok(edges));
        };
        let Some(core) = self.universe.metadata(name, version) else {
            return Err(Stop::Visit(Visit::exactly(name, version)));
        };
        if let Some(reason) = &core.invalid {
            return Ok(Err(reason.clone()));
        }
        let extras = match package {
            Package::Extra(_, extra) => {
                edges.push((Package::Base(name.clone()), Ranges::singleton(version.clone())));
                std::slice::from_ref(extra)
            }
            _ => &[],
        };
        if let Some(needs) = core.requires_python.as_ref().filter(|needs| !needs.contains(self.target.python())) {
            return Ok(Err(format!("Requires-Python {needs}")));
        }
        for requirement in core.dependencies(self.target, extras) {
            if matches!(requirement.version_or_url, Some(pep508_rs::VersionOrUrl::Url(_))) {
                return Ok(Err(format!("depends on {requirement}, which is not in an index")));
            }
            // A package may name itself, to have its own extras; its version is settled then.
            if requirement.name == *name {
                if !range::of(specifiers(requirement)).contains(version) {
                    return Ok(Err(format!("depends on {requirement}, which excludes itself")));
                }
                let own = requirement.extras.iter().map(|extra| Package::Extra(name.clone(), extra.clone()));
                for own in own.filter(|own| own != package) {
                    add(&mut edges, own, &Ranges::singleton(version.clone()));
                }
                continue;
            }
            self.require(&mut edges, requirement)?;
        }
        Ok(Ok(edges))
    }
}

impl DependencyProvider for Problem<'_> {
    type P = Package;
    type V = Version;
    type VS = Ranges<Version>;
    type Priority = (u32, bool, Reverse<usize>);
    type M = String;
    type Err = Stop;

    /// Packages in many conflicts first, then pinned ones, then those that were required first.
    fn prioritize(&self, package: &Package, range: &Self::VS, stats: &PackageResolutionStatistics) -> Self::Priority {
        let order = package.name().and_then(|name| self.order.borrow().get(name).copied()).unwrap_or(0);
        (stats.conflict_count(), range.as_singleton().is_some(), Reverse(order))
    }

    fn choose_version(&self, package: &Package, range: &Self::VS) -> Result<Option<Version>, Stop> {
        let Some(name) = package.name() else { return Ok(Some(root_version())) };
        let Some(releases) = self.universe.releases(name) else {
            return Err(Stop::Visit(Visit::new(name, range.clone())));
        };
        self.looked_at.borrow_mut().insert(name.clone());
        let asked = self.asked.borrow();
        let best = releases.iter().find(|r| range.contains(&r.version) && asked.allows(self.universe, name, r));
        Ok(best.map(|release| release.version.clone()))
    }

    fn get_dependencies(
        &self,
        package: &Package,
        version: &Version,
    ) -> Result<Dependencies<Package, Self::VS, String>, Stop> {
        Ok(match self.dependencies_of(package, version)? {
            Ok(edges) => Dependencies::Available(edges.into_iter().collect()),
            Err(reason) => Dependencies::Unavailable(reason),
        })
    }

    fn should_cancel(&self) -> Result<(), Stop> {
        let left = self.steps.get().checked_sub(1).ok_or(Stop::TooDeep)?;
        self.steps.set(left);
        Ok(())
    }
}
