//! Vulnerabilities of the packages that content was built with, as Package Manager knows them.
//!
//! | route | who |
//! | --- | --- |
//! | `GET /v1/vulnerabilities` | publishers; of the content that they may see |
//! | `GET /v1/content/{guid}/vulnerabilities` | whoever may see the item |
//!
//! That the product shows them is known, the shapes are not. Nothing is kept here: each request asks the Package Manager that
//! builds install from, by its `filter/packages`. Where that does not answer, the result says so in `warnings`.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use sqlx::AnyConnection;
use url::Url;

use crate::access::{Role, visible};
use crate::app::App;
use crate::auth::Principal;
use crate::error::Result;
use crate::input::{Page, Query};
use crate::store;
use crate::store::bundles::Package;
use crate::users::time;

/// Packages that Package Manager is asked about at once.
const AT_ONCE: usize = 1000;
/// Bytes of its answer.
const LONGEST: usize = 32 << 20;

/// A repository of Package Manager, by the address that builds install from.
#[derive(Debug, PartialEq, Eq)]
struct Repository {
    filter: Url,
    repo: String,
    snapshot: String,
}

impl Repository {
    /// Reads `http://host/prefix/{repo}/{snapshot}/simple`, or without the last part for R, perhaps with
    /// `__linux__/{distribution}` in the middle. None for what has not that form.
    fn of(address: &str, python: bool) -> Option<Self> {
        let mut filter = Url::parse(address).ok()?;
        let parts: Vec<String> = filter.path_segments()?.filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let parts = if python { parts.strip_suffix(&["simple".to_owned()])? } else { &parts[..] };
        let (rest, repo, snapshot) = match parts {
            [rest @ .., repo, linux, _, snapshot] if linux == "__linux__" => (rest, repo, snapshot),
            [rest @ .., repo, snapshot] => (rest, repo, snapshot),
            _ => return None,
        };
        let (repo, snapshot) = (repo.clone(), snapshot.clone());
        let prefix: String = rest.iter().map(|part| format!("/{part}")).collect();
        filter.set_path(&format!("{prefix}/__api__/filter/packages"));
        filter.set_query(None);
        Some(Self { filter, repo, snapshot })
    }

    /// The vulnerabilities of `packages` (name and version), by name and version.
    async fn ask(&self, app: &App, packages: &[(String, String)]) -> std::result::Result<Found, String> {
        let names: Vec<String> = packages.iter().map(|(name, version)| format!("{name}=={version}")).collect();
        let body = json!({
            "repo": self.repo, "snapshot": self.snapshot, "names": names, "vulns": true,
            "omit_dependencies": true, "omit_downloads": true, "omit_package_details": true,
        });
        let link = app.package_manager();
        let answer = link.send(link.client().post(self.filter.clone()).json(&body)).await;
        let answer = answer.map_err(|error| error.to_string())?;
        if !answer.status().is_success() {
            return Err(format!("it answered {}", answer.status()));
        }
        let text = crate::input::read(axum::body::Body::from_stream(answer.bytes_stream()), LONGEST).await;
        let text = text.map_err(|error| error.to_string())?;
        let mut found = Found::new();
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let row: Value = serde_json::from_slice(line).map_err(|_| "its answer is not understood".to_owned())?;
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
            let vulns = row["vulns"].as_array().cloned().unwrap_or_default();
            found.insert((text("name").to_lowercase(), text("version")), vulns);
        }
        Ok(found)
    }
}

type Found = BTreeMap<(String, String), Vec<Value>>;

/// The versions of a vulnerable package that are no longer.
fn fixed(vulnerability: &Value) -> Vec<&str> {
    let ranges = vulnerability["ranges"].as_array().into_iter().flatten();
    let events = ranges.flat_map(|range| range["events"].as_array().into_iter().flatten());
    events.filter_map(|event| event["fixed"].as_str()).collect()
}

fn shown(package: &Package, contents: &BTreeSet<String>, one: &Value) -> Value {
    let score = one["severity"].as_array().into_iter().flatten();
    let score = score.filter_map(|one| one["calculated_score"]["base_score"].as_f64()).fold(None, |most, score| {
        let most: Option<f64> = most;
        Some(most.map_or(score, |most| most.max(score)))
    });
    json!({
        "id": one["id"], "aliases": one["aliases"], "summary": one["summary"], "details": one["details"],
        "published": one["published"], "base_score": score, "fixed_in": fixed(one), "language": package.language,
        "name": package.name, "version": package.version, "content_guids": contents,
        "simulated": one["simulated"].as_bool().unwrap_or(false),
    })
}

/// Asks about packages, each with the content that has it: what was found, and what could not be asked.
async fn look(app: &App, wanted: &BTreeMap<(String, String, String), BTreeSet<String>>) -> (Vec<Value>, Vec<String>) {
    let (mut rows, mut warnings) = (Vec::new(), Vec::new());
    let config = app.config();
    for language in ["python", "r"] {
        let packages: Vec<(String, String)> = wanted
            .keys()
            .filter(|(of, ..)| of == language)
            .map(|(_, name, version)| (name.clone(), version.clone()))
            .collect();
        if packages.is_empty() {
            continue;
        }
        let addresses: Vec<&String> = match language {
            "python" => config.pypi_url.iter().collect(),
            _ => config.cran_urls.iter().collect(),
        };
        let repositories: Vec<Repository> =
            addresses.iter().filter_map(|address| Repository::of(address, language == "python")).collect();
        if repositories.is_empty() {
            warnings.push(format!("No repository of Package Manager is configured for packages of {language}."));
        }
        for repository in &repositories {
            for some in packages.chunks(AT_ONCE) {
                let found = match repository.ask(app, some).await {
                    Ok(found) => found,
                    Err(why) => {
                        warnings.push(format!("Package Manager was not asked of `{}`: {why}.", repository.repo));
                        break;
                    }
                };
                for ((of, name, version), contents) in wanted.iter().filter(|((of, ..), _)| of == language) {
                    let Some(vulns) = found.get(&(name.to_lowercase(), version.clone())) else { continue };
                    let language = if of == "r" { "r" } else { "python" };
                    let package = Package { language, name: name.clone(), version: version.clone(), hash: None };
                    rows.extend(vulns.iter().map(|one| shown(&package, contents, one)));
                }
            }
        }
    }
    (rows, warnings)
}

/// Notes the packages of a bundle as those of an item.
async fn note(
    db: &mut AnyConnection,
    wanted: &mut BTreeMap<(String, String, String), BTreeSet<String>>,
    (bundle, guid): (i64, &str),
) -> Result<()> {
    for package in store::bundles::packages(db, bundle).await? {
        let key = (package.language.to_owned(), package.name, package.version);
        wanted.entry(key).or_default().insert(guid.to_owned());
    }
    Ok(())
}

/// `GET /v1/content/{guid}/vulnerabilities`
///
/// # Errors
/// 403 for an item one may not see, 404 when there is none.
pub async fn of_content(State(app): State<App>, principal: Principal, Path(guid): Path<String>) -> Result<Json<Value>> {
    let mut wanted = BTreeMap::new();
    {
        let mut db = app.read().await?;
        let seen = visible(&mut db, &principal, &guid).await?;
        if let Some(bundle) = seen.content.bundle_id {
            note(&mut db, &mut wanted, (bundle, &guid)).await?;
        }
    }
    let (results, warnings) = look(&app, &wanted).await;
    Ok(Json(json!({"results": results, "checked_time": time(app.now()), "warnings": warnings})))
}

/// `GET /v1/vulnerabilities`
///
/// # Errors
/// 400 for a bad page, 403 for viewers.
pub async fn all(State(app): State<App>, principal: Principal, query: Query) -> Result<Json<Value>> {
    principal.require(Role::Publisher)?;
    let page = Page::of(&query, 500)?;
    let mut wanted: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    {
        let mut db = app.read().await?;
        let (found, _) = store::bundles::active_packages(&mut db, query.text("name"), true, i64::MAX, 0).await?;
        let mut may_see: BTreeMap<String, bool> = BTreeMap::new();
        for (package, bundle) in found {
            let guid = bundle.content_guid;
            let may = match may_see.get(&guid) {
                Some(may) => *may,
                None => visible(&mut db, &principal, &guid).await.is_ok(),
            };
            may_see.insert(guid.clone(), may);
            if may {
                let key = (package.language.to_owned(), package.name, package.version);
                wanted.entry(key).or_default().insert(guid);
            }
        }
    }
    let (results, warnings) = look(&app, &wanted).await;
    let skip = usize::try_from(page.offset()).unwrap_or(usize::MAX);
    let shown: Vec<&Value> = results.iter().skip(skip).take(usize::try_from(page.size).unwrap_or_default()).collect();
    Ok(Json(json!({
        "results": shown, "current_page": page.number, "total": results.len(), "checked_time": time(app.now()),
        "warnings": warnings,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repositories_are_read_off_their_addresses() {
        let of = |address, python| {
            Repository::of(address, python).map(|one| (one.filter.to_string(), one.repo, one.snapshot))
        };
        let expected =
            |filter: &str, repo: &str, snapshot: &str| Some((filter.to_owned(), repo.to_owned(), snapshot.to_owned()));
        let filter = "http://h:4242/__api__/filter/packages";
        assert_eq!(of("http://h:4242/pypi/latest/simple", true), expected(filter, "pypi", "latest"));
        assert_eq!(of("http://h:4242/cran/2026-01-01/", false), expected(filter, "cran", "2026-01-01"));
        assert_eq!(of("http://h:4242/cran/__linux__/noble/latest", false), expected(filter, "cran", "latest"));
        let below = "http://h/rspm/__api__/filter/packages";
        assert_eq!(of("http://h/rspm/pypi/latest/simple/", true), expected(below, "pypi", "latest"));
        assert_eq!((of("http://h/simple", true), of("http://h/cran", false), of("x", false)), (None, None, None));
    }

    proptest! {
        #[test]
        fn any_address_is_read_or_refused(text in "(http://h)?[/a-z_.]{0,40}", python: bool) {
            let _ = Repository::of(&text, python);
        }
    }
}
