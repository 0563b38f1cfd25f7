//! System requirements: which packages of a Linux distribution R packages need.
//!
//! Rules come from the package service. With names the answer is about these packages alone, not about what they depend on; those
//! without requirements are left out, and a name that the repo does not have makes the whole request an error. A posted
//! `DESCRIPTION` is answered with its own requirements and those of its dependencies, direct and indirect.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use pkg_formats::psp::SysreqsRule;
use pkg_formats::{dcf, r};
use serde::Serialize;
use serde_json::{Value, json};

use super::current::each_current;
use crate::app::App;
use crate::error::{ApiError, Error};
use crate::platform::Distro;
use crate::record;
use crate::renderings::Kind;
use crate::snapshot::Snapshot;
use crate::store::sources::Language;

/// What is asked for, and of which platform.
#[derive(Debug, Default)]
struct Asked {
    all: bool,
    names: Vec<String>,
    suggests: bool,
    distribution: Option<String>,
    release: Option<String>,
    snapshot: Option<String>,
    bioc_version: Option<String>,
}

impl Asked {
    /// `pkgname` is repeated, so this is no query of the ordinary kind.
    fn read(query: Option<&str>) -> Result<Self, Error> {
        let mut asked = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let flag = || match &*value {
                "true" | "1" => Ok(true),
                "false" | "0" | "" => Ok(false),
                _ => Err(Error::BadRequest(format!("{name} must be true or false, not {value:?}"))),
            };
            match &*name {
                "all" => asked.all = flag()?,
                "suggests" => asked.suggests = flag()?,
                "pkgname" => asked.names.push(value.into_owned()),
                "distribution" => asked.distribution = Some(value.into_owned()),
                "release" => asked.release = Some(value.into_owned()),
                "snapshot" => asked.snapshot = Some(value.into_owned()),
                "bioc_version" => asked.bioc_version = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(asked)
    }

    fn distro(&self, app: &App) -> Result<Distro, Error> {
        let view = app.view();
        let (Some(distribution), Some(release)) = (&self.distribution, &self.release) else {
            let example = "?distribution=ubuntu&release=24.04";
            return Err(Error::BadRequest(format!("say for which distribution and release, such as {example}")));
        };
        let known = || view.documents.distros.iter().filter(|distro| distro.sys_reqs);
        let found = known().find(|distro| distro.distribution == *distribution && distro.release == *release);
        found.cloned().ok_or_else(|| {
            let known: BTreeSet<String> =
                known().map(|distro| format!("{} {}", distro.distribution, distro.release)).collect();
            let known = Vec::from_iter(known).join(", ");
            Error::BadRequest(format!(
                "system requirements are not known for {distribution:?} {release:?}; they are for {known}"
            ))
        })
    }

    async fn snapshot(&self, app: &App, repo: &str) -> Result<Arc<Snapshot>, Error> {
        let repo = app.view().repo(repo)?;
        if repo.language() != Language::R {
            return Err(Error::BadRequest(format!("repository {} holds {} packages", repo.name, repo.kind)));
        }
        app.shown(&repo, self.snapshot.as_deref(), self.bioc_version.as_deref()).await
    }
}

/// What is run before or after the system packages are installed. The real server's steps have a `command` or a `script`; that they have
/// never both is a guess, and clients run whatever a step has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    Command(String),
    Script(String),
}

impl Step {
    fn of(text: &str) -> Self {
        if text.starts_with("#!") { Self::Script(text.to_owned()) } else { Self::Command(text.to_owned()) }
    }
}

/// What a package needs. Parts that are empty are left out.
#[derive(Debug, Default, Serialize)]
struct Requirements {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    packages: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pre_install: Vec<Step>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    install_scripts: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    post_install: Vec<Step>,
}

impl Requirements {
    /// Of a package with this `SystemRequirements`; none when it has none.
    fn of(rules: &[SysreqsRule], distro: &Distro, package: &str, words: &str) -> Option<Self> {
        fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
            if !list.contains(&item) {
                list.push(item);
            }
        }
        let mut found = Self::default();
        for rule in rules.iter().filter(|rule| rule.holds_for(package, words)) {
            let Some(install) = rule.install_on(&distro.distribution, &distro.release) else { continue };
            for text in &install.pre_install {
                add(&mut found.pre_install, Step::of(text));
            }
            for package in &install.packages {
                add(&mut found.packages, package.clone());
                if let Some(command) = &distro.install_command {
                    add(&mut found.install_scripts, format!("{command} {package}"));
                }
            }
            for text in &install.post_install {
                add(&mut found.post_install, Step::of(text));
            }
        }
        let is_empty = found.packages.is_empty() && found.pre_install.is_empty() && found.post_install.is_empty();
        (!is_empty).then_some(found)
    }

    fn of_description(
        rules: &[SysreqsRule],
        distro: &Distro,
        package: &str,
        description: &dcf::Record,
    ) -> Option<Self> {
        Self::of(rules, distro, package, description.get("SystemRequirements").unwrap_or_default())
    }
}

/// `GET /__api__/repos/{repo}/sysreqs`
pub async fn of_repo(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let asked = Asked::read(query.as_deref())?;
    let snapshot = asked.snapshot(&app, &repo).await?;
    let distro = asked.distro(&app)?;
    if !asked.all && asked.names.is_empty() {
        return Err(Error::BadRequest("name packages with pkgname=, or ask for all=true".to_owned()).into());
    }
    if !asked.all {
        let list = named(&app, &snapshot, &distro, &asked.names).await?;
        return Ok(Json(json!({ "requirements": list })).into_response());
    }
    let documents = app.view().documents.state();
    let key = format!("{}|sysreqs {documents}|{} {}", snapshot.key, distro.distribution, distro.release);
    let build = || async {
        let list = whole(&app, &snapshot, &distro).await?;
        Ok(json!({ "requirements": list }).to_string().into_bytes())
    };
    let rendering = app.0.renderings.get(&key, JSON, build).await?;
    let request = request.into_parts().0;
    Ok(rendering.respond(&request.method, &request.headers, &snapshot.freshness).await?)
}

const JSON: Kind = Kind { content_type: "application/json", vary: "Accept-Encoding", compress: true, keep: false };

async fn named(app: &App, snapshot: &Snapshot, distro: &Distro, names: &[String]) -> Result<Vec<Value>, Error> {
    let rules = app.view().documents.sysreqs.clone();
    let mut list = Vec::new();
    for name in names {
        let description = description_of(app, snapshot, name).await?.ok_or_else(|| {
            Error::NotFound(format!("there is no package {name:?} in repository {}", snapshot.repo.name))
        })?;
        if let Some(requirements) = Requirements::of_description(&rules, distro, name, &description) {
            list.push(json!({ "name": name, "requirements": requirements }));
        }
    }
    Ok(list)
}

/// The `DESCRIPTION` of the current version of a package.
async fn description_of(app: &App, snapshot: &Snapshot, name: &str) -> Result<Option<dcf::Record>, Error> {
    let Some((record, t, _)) = app.r_record(snapshot, name).await? else { return Ok(None) };
    Ok(record::current(&record, t).map(|version| dcf::parse_one(&version.description).unwrap_or_default()))
}

/// Of every package, by name.
async fn whole(app: &App, snapshot: &Snapshot, distro: &Distro) -> Result<Vec<Value>, Error> {
    let rules = app.view().documents.sysreqs.clone();
    let mut list = BTreeMap::new();
    each_current(app, snapshot, |name, version| {
        let description = dcf::parse_one(&version.description).unwrap_or_default();
        if let Some(requirements) = Requirements::of_description(&rules, distro, &name, &description) {
            let shown = json!({ "name": name, "requirements": requirements });
            list.insert(name, shown);
        }
    })
    .await?;
    Ok(list.into_values().collect())
}

/// `GET /__api__/repos/{repo}/packages/{name}/sysreqs`
pub async fn of_package(
    State(app): State<App>,
    Path((repo, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, ApiError> {
    let asked = Asked::read(query.as_deref())?;
    let snapshot = asked.snapshot(&app, &repo).await?;
    let distro = asked.distro(&app)?;
    let found = named(&app, &snapshot, &distro, std::slice::from_ref(&name)).await?;
    Ok(Json(found.into_iter().next().unwrap_or_else(|| json!({ "name": name, "requirements": {} }))))
}

/// Dependencies that are followed at most.
const MOST_DEPENDENCIES: usize = 2000;

/// `POST /__api__/repos/{repo}/sysreqs`: the body is a `DESCRIPTION`, whatever its content type.
pub async fn of_description(
    State(app): State<App>,
    Path(repo): Path<String>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Result<Json<Value>, ApiError> {
    let asked = Asked::read(query.as_deref())?;
    let snapshot = asked.snapshot(&app, &repo).await?;
    let distro = asked.distro(&app)?;
    let text = String::from_utf8_lossy(&body);
    if text.contains('\0') {
        return Err(Error::BadRequest("a DESCRIPTION file does not have the character U+0000".to_owned()).into());
    }
    let description = dcf::parse_one(&text)
        .map_err(|error| Error::BadRequest(format!("the body must be the text of a DESCRIPTION file: {error}")))?;
    let rules = app.view().documents.sysreqs.clone();
    let own =
        Requirements::of_description(&rules, &distro, description.get("Package").unwrap_or_default(), &description)
            .unwrap_or_default();

    let mut dependencies = Vec::new();
    let mut todo: VecDeque<String> = needed(&description, asked.suggests).into();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    while let Some(name) = todo.pop_front() {
        if seen.len() >= MOST_DEPENDENCIES || !seen.insert(name.clone()) {
            continue;
        }
        // Packages that come with R, and those of other repositories, are not here.
        let Some(description) = description_of(&app, &snapshot, &name).await? else { continue };
        todo.extend(needed(&description, false));
        if let Some(found) = Requirements::of_description(&rules, &distro, &name, &description) {
            dependencies.push(json!({
                "name": name,
                "pre_install": found.pre_install,
                "install_scripts": found.install_scripts,
                "post_install": found.post_install,
            }));
        }
    }
    Ok(Json(json!({
        "pre_install": own.pre_install,
        "install_scripts": own.install_scripts,
        "post_install": own.post_install,
        "dependencies": dependencies,
    })))
}

/// The packages that a package needs.
fn needed(description: &dcf::Record, suggests: bool) -> Vec<String> {
    let mut fields = vec!["Depends", "Imports", "LinkingTo"];
    if suggests {
        fields.push("Suggests");
    }
    let lists = fields.into_iter().filter_map(|field| r::deps::parse(description.get(field)?).ok());
    lists.flatten().map(|dependency| dependency.name).filter(|name| name != "R").collect()
}
