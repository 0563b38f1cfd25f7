//! Which files are needed to install some R packages, in the order in which to install them.

use std::collections::{BTreeMap, HashMap};

use pkg_formats::r::deps::Dependency;
use pkg_formats::r::{R_BASE, RVersion};
use url::Url;

use super::repository::{Package, Repository};
use crate::{Digest, Download, Error};

/// A package to install.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// The version it must have, as in a `manifest.json`; without one the current version of the repository is taken.
    pub version: Option<RVersion>,
    /// What it needs, if the caller knows (a manifest holds each package's DESCRIPTION). The index tells only about
    /// current versions, so for an older one this is the only source; when empty, it is taken to need the packages that
    /// the current version needs, in any version.
    pub needs: Vec<Dependency>,
}

/// A package with its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: RVersion,
    /// Where its file is.
    pub url: Url,
    /// What the index says about its bytes; nothing for files in `Archive/`.
    pub digest: Option<Digest>,
    /// True when the file is in `Archive/`. The index does not tell whether it is really there.
    pub archived: bool,
    /// The packages that it needs, without R and base packages, sorted.
    pub needs: Vec<String>,
}

impl From<&Resolved> for Download {
    fn from(resolved: &Resolved) -> Self {
        Self {
            package: resolved.name.clone(),
            version: resolved.version.to_string(),
            url: resolved.url.clone(),
            size: None,
            digest: resolved.digest.clone(),
        }
    }
}

/// Finds the files of `wanted` and of all that they need (`Depends`, `Imports`, `LinkingTo`), for R of version `r`.
/// A package that several repositories have is taken from the one with the highest version, as R does. The result is in
/// the order of installation: what a package needs stands before it.
///
/// # Errors
/// [`Error::RPackageMissing`], [`Error::RUnsuitable`], [`Error::RUnsatisfied`]; [`Error::Unreadable`] when the index is
/// malformed.
pub fn resolve(repositories: &[Repository], r: &RVersion, wanted: &[Wanted]) -> Result<Vec<Resolved>, Error> {
    let pinned: BTreeMap<&str, &Wanted> = wanted.iter().map(|wanted| (wanted.name.as_str(), wanted)).collect();
    let mut chosen: HashMap<String, (Resolved, Vec<Dependency>)> = HashMap::new();
    let mut order = Vec::new();
    // Depth first without recursion: a package is entered, then what it needs, then it is left, which settles its place.
    enum Step {
        Enter(String, Option<String>),
        Leave(String),
    }
    let mut steps: Vec<_> = wanted.iter().rev().map(|w| Step::Enter(w.name.clone(), None)).collect();
    while let Some(step) = steps.pop() {
        match step {
            Step::Leave(name) => order.push(name),
            Step::Enter(name, _) if chosen.contains_key(&name) || R_BASE.contains(&name.as_str()) => {}
            Step::Enter(name, needed_by) => {
                let (resolved, needs) = choose(repositories, r, &name, pinned.get(name.as_str()), needed_by)?;
                steps.push(Step::Leave(name.clone()));
                let next = resolved.needs.iter().rev();
                steps.extend(next.map(|need| Step::Enter(need.clone(), Some(name.clone()))));
                chosen.insert(name, (resolved, needs));
            }
        }
    }
    for (resolved, needs) in order.iter().filter_map(|name| chosen.get(name)) {
        for need in needs {
            let Some((have, _)) = chosen.get(&need.name) else { continue };
            if !need.accepts(&have.version) {
                return Err(Error::RUnsatisfied {
                    package: have.name.clone(),
                    version: have.version.to_string(),
                    needed_by: resolved.name.clone(),
                    constraint: constraint(need),
                });
            }
        }
    }
    Ok(order.iter().filter_map(|name| chosen.remove(name)).map(|(resolved, _)| resolved).collect())
}

fn choose(
    repositories: &[Repository],
    r: &RVersion,
    name: &str,
    wanted: Option<&&Wanted>,
    needed_by: Option<String>,
) -> Result<(Resolved, Vec<Dependency>), Error> {
    let missing = |needed_by| Error::RPackageMissing {
        package: name.to_owned(),
        repositories: repositories.iter().map(|repository| repository.url().to_string()).collect(),
        needed_by,
    };
    let mut candidates: Vec<Package> = Vec::new();
    for repository in repositories {
        candidates.extend(repository.find(name)?);
    }
    // Stable: of equal versions the first repository's.
    candidates.sort_by(|a, b| b.version.cmp(&a.version));
    let pin = wanted.and_then(|wanted| wanted.version.as_ref());
    let current = match pin {
        Some(pin) => candidates.iter().find(|package| package.version == *pin),
        None => candidates.iter().find(|package| suits(r, &package.needs).is_none()).or(candidates.first()),
    };
    let (version, url, digest, archived) = match (current, pin) {
        (Some(package), _) => (package.version.clone(), package.url.clone(), package.digest.clone(), false),
        (None, Some(pin)) => {
            let holder = repositories.iter().find(|repository| repository.has(name)).or(repositories.first());
            let Some(holder) = holder else { return Err(missing(needed_by)) };
            (pin.clone(), holder.archived(name, pin)?, None, true)
        }
        (None, None) => return Err(missing(needed_by)),
    };
    let known = wanted.map(|wanted| wanted.needs.clone()).filter(|needs| !needs.is_empty());
    let needs = known.or_else(|| Some(current?.needs.clone()));
    // Of an older version nothing is known: likely it needs what the current one does, in whatever versions.
    let likely = || candidates.first().map_or(&[][..], |package| &package.needs);
    let likely = || likely().iter().map(|need| Dependency { requirement: None, ..need.clone() }).collect();
    let needs: Vec<Dependency> = needs.unwrap_or_else(likely);
    if let Some(need) = suits(r, &needs) {
        let (package, version) = (name.to_owned(), version.to_string());
        return Err(Error::RUnsuitable { package, version, constraint: constraint(need), r: r.to_string() });
    }
    let mut names: Vec<String> = needs.iter().map(|need| need.name.clone()).collect();
    names.retain(|need| need != name && !R_BASE.contains(&need.as_str()));
    names.sort();
    names.dedup();
    Ok((Resolved { name: name.to_owned(), version, url, digest, archived, needs: names }, needs))
}

/// The entry about R itself that this R does not satisfy.
fn suits<'a>(r: &RVersion, needs: &'a [Dependency]) -> Option<&'a Dependency> {
    needs.iter().find(|need| need.name == "R" && !need.accepts(r))
}

fn constraint(need: &Dependency) -> String {
    need.requirement.as_ref().map_or_else(String::new, |(op, version)| format!("{} {version}", op.as_str()))
}
