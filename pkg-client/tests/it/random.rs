//! Random small universes, where every choice can be tried.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use pep440_rs::{Version, VersionSpecifiers};
use pkg_client::Error;
use pkg_client::python::Resolution;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::served::{Release, Served, release};

/// Packages `p0` to `p4` exist, `p5` does not.
const PACKAGES: usize = 5;

#[derive(Clone, Debug)]
struct Edge {
    to: usize,
    specifier: &'static str,
    /// Requires `to[x]`.
    extra: bool,
    /// ` ; extra == 'x'`, a marker that holds, one that does not, or nothing.
    marker: &'static str,
}

#[derive(Clone, Debug)]
struct Candidate {
    package: usize,
    version: u8,
    yanked: bool,
    python: bool,
    edges: Vec<Edge>,
}

#[derive(Clone, Debug)]
pub(crate) struct World {
    candidates: Vec<Candidate>,
    roots: Vec<Edge>,
}

fn edge(markers: Vec<&'static str>) -> impl Strategy<Value = Edge> {
    let specifier = prop::sample::select(vec!["", "", ">=2", "<2", "<3", "!=2", "==2", ">=3", "~=2.0"]);
    // The package that does not exist is required less often than others.
    let to = (0..=PACKAGES * 3).prop_map(|n| if n == PACKAGES * 3 { PACKAGES } else { n % PACKAGES });
    (to, specifier, prop::bool::weighted(0.2), prop::sample::select(markers))
        .prop_map(|(to, specifier, extra, marker)| Edge { to, specifier, extra, marker })
}

fn candidates() -> impl Strategy<Value = Vec<Candidate>> {
    let markers = vec![
        "",
        "",
        "",
        "; extra == 'x'",
        "; sys_platform == 'linux'",
        "; python_version < '3.9'",
        "; extra == 'x' and os_name == 'nt'",
    ];
    let one = (prop::collection::vec(edge(markers), 0..4), prop::bool::weighted(0.15), prop::bool::weighted(0.85));
    prop::collection::vec((prop::bool::weighted(0.8), one), PACKAGES * 3).prop_map(|all| {
        let exists = all.into_iter().enumerate().filter(|(_, (exists, _))| *exists);
        exists
            .map(|(n, (_, (edges, yanked, python)))| {
                let (package, version) = (n / 3, u8::try_from(n % 3).unwrap() + 1);
                // Version 2 can be pinned, which would unyank it.
                Candidate { package, version, yanked: yanked && version != 2, python, edges }
            })
            .collect()
    })
}

pub(crate) fn world() -> impl Strategy<Value = World> {
    let roots = prop::collection::vec(edge(vec!["", "; os_name == 'posix'"]), 1..4);
    (candidates(), roots).prop_map(|(candidates, roots)| World { candidates, roots })
}

/// Worlds that are the same in every run.
pub(crate) fn some_worlds(count: usize) -> Vec<World> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    (0..count).map(|_| world().new_tree(&mut runner).unwrap().current()).collect()
}

impl Edge {
    fn text(&self) -> String {
        format!("p{}{}{}{}", self.to, if self.extra { "[x]" } else { "" }, self.specifier, self.marker)
    }

    fn active(&self, extra: bool) -> bool {
        match self.marker {
            "; python_version < '3.9'" | "; extra == 'x' and os_name == 'nt'" => false,
            "; extra == 'x'" => extra,
            _ => true,
        }
    }

    fn accepts(&self, version: u8) -> bool {
        let version = Version::new([u64::from(version), 0]);
        VersionSpecifiers::from_str(self.specifier).unwrap().contains(&version)
    }
}

impl World {
    pub(crate) fn releases(&self) -> Vec<Release> {
        let all = self.candidates.iter().map(|candidate| {
            let edges: Vec<_> = candidate.edges.iter().map(Edge::text).collect();
            let edges: Vec<_> = edges.iter().map(String::as_str).collect();
            let release = release(&format!("p{}", candidate.package), &format!("{}.0", candidate.version), &edges);
            let python = (!candidate.python).then(|| ">=3.99".to_owned());
            // All have the extra, so that none is missing.
            Release { yanked: candidate.yanked, python, extras: vec!["x".to_owned()], ..release }
        });
        all.collect()
    }

    pub(crate) fn requirements(&self) -> String {
        self.roots.iter().map(Edge::text).collect::<Vec<_>>().join("\n")
    }

    /// Whether these versions are all that is needed and satisfy everything; answers with the packages needed.
    fn check(&self, chosen: &BTreeMap<usize, u8>) -> Option<BTreeSet<usize>> {
        let mut needed: BTreeSet<(usize, bool)> = BTreeSet::new();
        let mut queue: Vec<&Edge> = self.roots.iter().collect();
        while let Some(edge) = queue.pop() {
            let version = *chosen.get(&edge.to)?;
            let candidate = self.candidates.iter().find(|c| c.package == edge.to && c.version == version)?;
            if candidate.yanked || !candidate.python || !edge.accepts(version) {
                return None;
            }
            for extra in [false, true] {
                if (!extra || edge.extra) && needed.insert((edge.to, extra)) {
                    queue.extend(candidate.edges.iter().filter(|edge| edge.active(extra)));
                }
            }
        }
        Some(needed.into_iter().map(|(package, _)| package).collect())
    }

    /// Tries every choice.
    fn satisfiable(&self) -> bool {
        let choices = 3_usize.pow(u32::try_from(PACKAGES).unwrap());
        (0..choices).any(|choice| {
            let version = |package: usize| u8::try_from(choice / 3_usize.pow(package as u32) % 3).unwrap() + 1;
            self.check(&(0..PACKAGES).map(|package| (package, version(package))).collect()).is_some()
        })
    }

    /// Holds the resolver to its word.
    pub(crate) fn judge(&self, result: &Result<Resolution, Error>) {
        match result {
            Ok(resolution) => {
                let chosen: BTreeMap<usize, u8> = resolution
                    .packages
                    .iter()
                    .map(|p| (p.name[1..].parse().unwrap(), u8::try_from(p.version.release()[0]).unwrap()))
                    .collect();
                let needed = self.check(&chosen).unwrap_or_else(|| panic!("{chosen:?} does not satisfy {self:#?}"));
                assert_eq!(needed, chosen.keys().copied().collect(), "chosen are exactly the needed of {self:#?}");
            }
            Err(Error::NoMatchingDistribution(_) | Error::Conflict(_)) => {
                assert!(!self.satisfiable(), "there is a solution of {self:#?}");
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn solutions_hold_and_are_found_when_there_are_any() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let served = runtime.block_on(Served::start());
    let solved = std::cell::Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: 400, failure_persistence: None, ..Config::default() });
    runner
        .run(&world(), |world| {
            served.publish(&world.releases());
            let result = runtime.block_on(served.resolve(&world.requirements()));
            world.judge(&result);
            solved.set(solved.get() + usize::from(result.is_ok()));
            Ok(())
        })
        .unwrap();
    let solved = solved.get();
    assert!((40..360).contains(&solved), "{solved} of 400 have a solution: both verdicts must be tried");
}

#[test]
fn the_same_question_has_the_same_answer() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let served = runtime.block_on(Served::start());
    for world in some_worlds(40) {
        served.publish(&world.releases());
        let ask = || match runtime.block_on(served.resolve(&world.requirements())) {
            Ok(resolution) => format!("{resolution:?}"),
            Err(error) => error.to_string(),
        };
        assert_eq!(ask(), ask());
    }
}

/// Bytes with some of them changed.
fn damaged(bytes: &[u8], damage: &[(usize, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (at, byte) in damage {
        let at = at % bytes.len();
        bytes[at] = *byte;
    }
    bytes
}

#[test]
fn no_bytes_bring_the_resolver_down() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let served = runtime.block_on(Served::start());
    let resolved = std::cell::Cell::new(0);
    // Characters that mean something in names, versions, specifiers, markers, JSON and HTML.
    let byte = prop::sample::select(b"0129az.-_+!=<>~*;,()[]{}'\"\\ \n/:&#@\xff".to_vec());
    let damage = prop::collection::vec((any::<usize>(), byte), 1..6);
    let config = Config { cases: 300, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&(world(), damage, any::<bool>()), |(world, damage, html)| {
            let mut releases = world.releases();
            // Not all is damaged, for the resolver to go on to what the rest leads to.
            let texts = releases.iter_mut().flat_map(|release| &mut release.requires).enumerate();
            for (_, text) in texts.filter(|(n, _)| (damage[0].0 / 8 + n) % 4 == 0) {
                *text = String::from_utf8_lossy(&damaged(text.as_bytes(), &damage[..1])).replace('\n', " ");
            }
            served.publish(&releases);
            for package in 0..PACKAGES {
                let path = format!("/simple/p{package}/");
                if !served.shelf.lock().unwrap().files.contains_key(&path) {
                    continue;
                }
                if html {
                    served.html_only(&format!("p{package}"));
                }
                if (damage[0].0 + package) % 4 == 0 {
                    served.change(&path, |page| page.body = damaged(&page.body, &damage));
                }
            }
            // A panic fails the test. What is resolved all the same has a file and stands once.
            if let Ok(resolution) = runtime.block_on(served.resolve(&world.requirements())) {
                let names: BTreeSet<_> = resolution.packages.iter().map(|package| &package.name).collect();
                prop_assert_eq!(names.len(), resolution.packages.len());
                resolved.set(resolved.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    // With no sign of life in 300 worlds, the damage is too great for the test to mean anything.
    assert!(resolved.get() > 0, "the damage must leave something to go on with");
}
